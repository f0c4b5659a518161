using System.Globalization;

namespace MlNetMlp.Conformance.Checks;

/// <summary>Model files: what comes back from them, and what damaged ones do.</summary>
internal static class FileChecks
{
    private const int Places = 60;
    private const int MostSeconds = 5;
    private const long MostBytes = 64 << 20;

    [Check(30, "A saved model loads in a new context and in another process without registration, and scores the same bits")]
    public static void SavedModelsComeBack(Trial trial)
    {
        var file = trial.Save(trial.Model);
        var loaded = Trial.Load(file);
        trial.Score(loaded).ShouldBe(trial.Score(trial.Model), "the loaded model");
        Assert.Equal(SchemaText.Of(trial.Model.Transform(trial.Data).Schema), SchemaText.Of(loaded.Transform(trial.Data).Schema));

        using var elsewhere = new FreshProcess(trial);
        var answer = elsewhere.Score(file);
        Assert.True(answer.Error is null, $"another process cannot load the model: {answer.Error}: {answer.Message}");
        Assert.True(answer.Scores == Program.Scores(trial.Model.Transform(trial.OtherData)), "another process gives other scores");
    }

    [Check(31, "Saved, loaded and saved again, a model is the same entries byte for byte")]
    public static void SavingAgainChangesNothing(Trial trial)
    {
        var first = trial.Save(trial.Model);
        var (entries, again) = (ModelZip.Entries(first), ModelZip.Entries(trial.Save(Trial.Load(first))));
        Assert.Equal(entries.Keys, again.Keys);
        foreach (var (name, content) in entries)
            Assert.True(content.AsSpan().SequenceEqual(again[name]), $"the entry '{name}' differs after loading and saving: {content.Length} against {again[name].Length} bytes");
    }

    [Check(32, "A damaged file does no harm, or is refused at once and naming the entry; no size in it is believed")]
    public static void DamagedFilesAreRefused(Trial trial)
    {
        using var elsewhere = new FreshProcess(trial);
        var file = trial.Save(trial.Model);
        var sound = elsewhere.Score(file);
        Assert.True(sound.Error is null, $"{sound.Error}: {sound.Message}");
        foreach (var (what, damaged) in ModelZip.DamagedAnywhere(file, Places))
            Survives(what, elsewhere.Score(damaged, MostSeconds));
        foreach (var (what, entry, damaged) in ModelZip.DamagedEntries(file))
        {
            var answer = elsewhere.Score(damaged, MostSeconds);
            Survives(what, answer);
            Assert.True(answer.Error is null || answer.Message.Contains(entry, StringComparison.Ordinal), $"a file {what} is refused without naming it: {answer.Message}");
            Assert.True(answer.AllocatedBytes < MostBytes, $"a file {what} takes {answer.AllocatedBytes >> 20} MB of memory");
        }

        void Survives(string what, Answer answer)
        {
            Assert.True(answer.Error is null || answer.IsRefusal, $"a file {what} is not refused, but ends with {answer.Error}: {answer.Message}");
            Assert.True(answer.Error is not null || answer.Scores == sound.Scores, $"a file {what} gives other scores");
        }
    }

    [Check(33, "A model file of every release still loads and gives the scores that it gave", When = nameof(Subject.HasReleases))]
    public static void OldFilesStillLoad(Trial trial)
    {
        foreach (var path in trial.Subject.Releases)
        {
            var expected = File.ReadAllLines(Path.ChangeExtension(path, ".scores")).Select(line => float.Parse(line, CultureInfo.InvariantCulture)).ToArray();
            var actual = trial.Score(Trial.Load(File.ReadAllBytes(path))).Scores.SelectMany(row => row).ToArray();
            Assert.Equal(expected.Length, actual.Length);
            foreach (var (was, now) in expected.Zip(actual))
                Assert.True(was.Equals(now) || Math.Abs(was - now) <= trial.Traits.Tolerance * Math.Max(1, Math.Abs(was)), $"{Path.GetFileName(path)}: a score was {was} and is {now}");
        }
    }

    /// <summary>Writes the file and the scores that later versions are held to.</summary>
    public static void WriteRelease(Trial trial, string path)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        File.WriteAllBytes(path, trial.Save(trial.Model));
        File.WriteAllLines(
            Path.ChangeExtension(path, ".scores"),
            trial.Score(trial.Model).Scores.SelectMany(row => row).Select(score => score.ToString("R", CultureInfo.InvariantCulture)));
    }
}
