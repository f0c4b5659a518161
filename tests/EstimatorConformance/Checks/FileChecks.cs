using System.Globalization;
using System.IO.Compression;

namespace MlNetMlp.Conformance.Checks;

/// <summary>Model files: what comes back from them, and what damaged ones do.</summary>
internal static class FileChecks
{
    private const int Damages = 40;
    private const long MostBytes = 64 << 20;

    [Check(30, "A saved model loads in a new context and in another process without registration, and scores the same bits")]
    public static void SavedModelsComeBack(Trial trial)
    {
        var file = trial.Save(trial.Model);
        var loaded = Trial.Load(file);
        trial.Score(loaded).ShouldBe(trial.Score(trial.Model), "the loaded model");
        Assert.Equal(SchemaText.Of(trial.Model.Transform(trial.Data).Schema), SchemaText.Of(loaded.Transform(trial.Data).Schema));

        var elsewhere = FreshProcess.Score(trial, file, trial.OtherData);
        Assert.True(elsewhere == Program.Scores(trial.Model.Transform(trial.OtherData)), $"another process answers {elsewhere[..Math.Min(300, elsewhere.Length)]}");
    }

    [Check(31, "Saved, loaded and saved again, a model is the same entries byte for byte")]
    public static void SavingAgainChangesNothing(Trial trial)
    {
        var first = trial.Save(trial.Model);
        var second = trial.Save(Trial.Load(first));
        var (entries, again) = (Entries(first), Entries(second));
        Assert.Equal(entries.Keys, again.Keys);
        foreach (var (name, content) in entries)
            Assert.True(content.AsSpan().SequenceEqual(again[name]), $"the entry '{name}' differs after loading and saving: {content.Length} against {again[name].Length} bytes");
    }

    [Check(32, "A damaged file is refused, naming the entry, or does no harm; no size in it is trusted")]
    public static void DamagedFilesAreRefused(Trial trial)
    {
        var file = trial.Save(trial.Model);
        var expected = trial.Score(trial.Model);
        for (var i = 0; i < Damages; i++)
        {
            var place = (int)((long)file.Length * i / Damages);
            Assert.True(Trial.Catch(() => Trial.Load(file[..place])) is { } cut && IsAnswer(cut), $"a file that is cut at byte {place} of {file.Length} is not refused");
            byte[] flipped = [.. file];
            flipped[place] ^= 0x10;
            var error = Trial.Catch(() => trial.Score(Trial.Load(flipped)).ShouldBe(expected, $"with byte {place} of {file.Length} flipped"));
            Assert.True(error is null || IsAnswer(error), $"with byte {place} of {file.Length} flipped: {error}");
        }

        foreach (var name in Own(file))
        {
            Trial.Refused(() => Trial.Load(Changed(file, name, _ => null)), $"without the entry '{name}'", Path.GetFileName(name));
            Trial.Refused(() => Trial.Load(Changed(file, name, content => content[..(content.Length / 2)])), $"with the entry '{name}' cut in half", Path.GetFileName(name));
            var before = GC.GetAllocatedBytesForCurrentThread();
            _ = Trial.Catch(() => Trial.Load(Changed(file, name, content => [0xff, 0xff, 0xff, 0x7f, .. content[4..]])));
            Assert.True(GC.GetAllocatedBytesForCurrentThread() - before < MostBytes, $"a size in the entry '{name}' is believed");
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
                Assert.True(Math.Abs(was - now) <= trial.Traits.Tolerance * Math.Max(1, Math.Abs(was)), $"{Path.GetFileName(path)}: a score was {was} and is {now}");
        }
    }

    /// <summary>Writes the file and the scores that later versions are held to.</summary>
    public static void WriteRelease(Trial trial, string path)
    {
        File.WriteAllBytes(path, trial.Save(trial.Model));
        File.WriteAllLines(
            Path.ChangeExtension(path, ".scores"),
            trial.Score(trial.Model).Scores.SelectMany(row => row).Select(score => score.ToString("R", CultureInfo.InvariantCulture)));
    }

    private static Dictionary<string, byte[]> Entries(byte[] file)
    {
        using var zip = new ZipArchive(new MemoryStream(file));
        return zip.Entries.ToDictionary(entry => entry.FullName, Content);
    }

    private static byte[] Content(ZipArchiveEntry entry)
    {
        using var stream = entry.Open();
        using var content = new MemoryStream();
        stream.CopyTo(content);
        return content.ToArray();
    }

    // What ML.NET itself writes for every model is not the estimator's to guard.
    private static string[] Own(byte[] file) =>
        [.. Entries(file).Keys.Where(name => Path.GetFileName(name) is not ("Model.key" or "Version.txt" or "Schema" or "TrainSchema"))];

    /// <summary>The file with one entry changed, or left out where the change gives null.</summary>
    private static byte[] Changed(byte[] file, string name, Func<byte[], byte[]?> change)
    {
        using var changed = new MemoryStream();
        using (var zip = new ZipArchive(changed, ZipArchiveMode.Create, leaveOpen: true))
        {
            foreach (var (entry, content) in Entries(file))
            {
                if ((entry == name ? change(content) : content) is not { } bytes)
                    continue;
                using var stream = zip.CreateEntry(entry, CompressionLevel.Fastest).Open();
                stream.Write(bytes);
            }
        }

        return changed.ToArray();
    }

    // Errors of the code itself, rather than of the file, mean that nothing was checked.
    private static bool IsAnswer(Exception e) => e.GetBaseException() is not
        (NullReferenceException or IndexOutOfRangeException or OutOfMemoryException or OverflowException or AccessViolationException or Xunit.Sdk.XunitException);
}
