using System.Text.Json;
using System.Text.Json.Serialization;
using Microsoft.ML;
using MlNetMlp.Methods;

namespace MlNetMlp.Conformance.Checks;

/// <summary>Options: defaults, ranges, and that they are values.</summary>
internal static class OptionChecks
{
    private static readonly JsonSerializerOptions Plain = new() { IncludeFields = true, UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow };

    [Check(1, "Trains with nothing but its columns; the short overload and new options give the same model", IsSlow = true)]
    public static void DefaultsTrain(Trial trial)
    {
        var other = new Trial(trial.Subject);
        var byNames = trial.Score(trial.Subject.CreateShort(trial.Ml, "Label", "Features").Fit(trial.Data));
        var byOptions = other.Score(trial.Subject.Create(other.Ml, trial.Subject.OptionsWithColumns()).Fit(other.Data));
        byNames.ShouldBeFinite("a model of the short overload", trial.FirstScored);
        byOptions.ShouldBe(byNames, "new options against the short overload");
    }

    [Check(2, "An option out of its range is refused when the trainer is made, saying name, range and value; all faults at once")]
    public static void BadOptionsAreRefused(Trial trial)
    {
        var faults = OptionFault.Of(trial.Options()).ToArray();
        Assert.True(faults.Length > 0, "no option can be wrong: none has a range");
        foreach (var fault in faults)
            Trial.Refused(() => trial.Subject.Create(trial.Ml, fault.Options), $"{fault.Name} = {fault.Value ?? "null"}", [fault.Name, .. fault.Says]);

        var two = faults.Where(fault => !fault.Name.Contains('.', StringComparison.Ordinal)).DistinctBy(fault => fault.Name).Take(2).ToArray();
        var both = OptionValues.With(trial.Options(), [.. two.Select(fault => (fault.Name, fault.Value))]);
        Trial.Refused(() => trial.Subject.Create(trial.Ml, both), "two options at once", [.. two.Select(fault => fault.Name)]);
    }

    [Check(3, "Options are init-only, each with a declared range; the documentation says default and range, and is right")]
    public static void OptionsAreDocumented(Trial trial)
    {
        var rows = OptionRow.Of(trial.Subject.DefaultOptions()).ToArray();
        Nobody(row => !row.IsInitOnly, "can be changed after they are made");
        Nobody(row => !row.IsDeclared, "have no declared range");
        Nobody(row => row.Documentation.Trim().Length == 0, "have no documentation (is GenerateDocumentationFile set, and the .xml beside the assembly?)");
        Nobody(row => !row.SaysDefault, "have a default that their documentation does not say");
        Nobody(row => !row.Bounds.All(row.Says), "have a bound that their documentation does not say");

        void Nobody(Func<OptionRow, bool> isWrong, string what)
        {
            var names = rows.Where(isWrong).Select(row => row.Name).ToArray();
            Assert.True(names.Length == 0, $"Options that {what}: {string.Join(", ", names)}");
        }
    }

    [Check(4, "Options are equal by value before and after training, and editing them later does not change a trainer")]
    public static void OptionsAreValues(Trial trial)
    {
        var (options, same) = (trial.Options(), trial.Options());
        Assert.True(options.Equals(same), "two sets of the same options are not equal");
        var trainer = trial.Subject.Create(trial.Ml, options);
        var expected = trial.Score(trainer.Fit(trial.Data));
        Assert.True(options.Equals(same), "the options are others after training");

        foreach (var row in OptionRow.Of(options).Where(row => !row.IsInitOnly && row.Type == typeof(int) && row.Default is > 1))
            OptionValues.Set(options, row.Name, 1);
        foreach (var list in OptionRow.Of(options).Select(row => row.Default).OfType<Array>().Where(list => list.Length > 0))
            list.SetValue(Activator.CreateInstance(list.GetType().GetElementType()!), 0);
        trial.Score(trainer.Fit(trial.Data)).ShouldBe(expected, "after the options that the trainer was made from were edited");
    }

    [Check(5, "Options survive JSON there and back; an unknown member is refused by name")]
    public static void OptionsSurviveJson(Trial trial)
    {
        var options = trial.Options();
        var parts = OptionRow.Of(options).Where(row => row.Default is null && OptionValues.Example(row.Member) is not null);
        options = OptionValues.With(options, [.. parts.Select(row => (row.Name, OptionValues.Example(row.Member)))]);
        var text = options is NetworkOptions ours ? ours.ToJson() : JsonSerializer.Serialize(options, options.GetType(), Plain);
        Assert.True(options.Equals(Read(text)), $"the options are others after JSON: {text}");
        Trial.Refused(() => Read(text.Insert(text.IndexOf('{', StringComparison.Ordinal) + 1, "\"noSuchOption\": 1, ")), "an unknown member", "noSuchOption");

        object? Read(string json) => options is NetworkOptions
            ? NetworkOptions.FromJson(json, options.GetType())
            : JsonSerializer.Deserialize(json, options.GetType(), Plain);
    }
}
