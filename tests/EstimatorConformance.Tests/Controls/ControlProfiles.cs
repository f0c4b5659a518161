namespace MlNetMlp.Conformance.Tests.Controls;

/// <summary>Why ML.NET's own trainers do not keep some of the promises.</summary>
internal static class Reasons
{
    public const string NoRanges =
        "Options say little of their ranges: null, NaN and numbers without meaning are taken, or end in a NullReferenceException, and a refusal seldom says range and value.";

    public const string MutableOptions = "Options are public fields that can be changed at any time, have no ranges that can be read, and no defaults in their documentation.";

    public const string NoValues = "Two sets of the same options are not equal.";

    public const string NoJson = "Options do not come back from JSON, whose text leaves out what lies in their factories.";

    public const string RolesForColumns = "A model without its feature column names the role ('Feature') and not the column; a text column ends in an InvalidOperationException that names neither.";

    public const string SilentSkip = "Rows without a label are skipped, but nothing says how many.";

    public const string MissingLabelsCount = "Rows without a label change the model, though they should be skipped.";

    public const string SingleLabels = "Labels must be Single: integers are refused.";

    public const string NegativeWeights = "A weight of k is near k rows but not the same, and weights below 0 are taken.";

    public const string ZeroWeights = "Rows of weight 0 change the model.";

    public const string NoChecksum =
        "ML.NET keeps trees in an entry whose checksum nobody compares: with a bit flipped they score otherwise, throw IndexOutOfRangeException or go round in circles.";

    /// <summary>What both trainers fail in every task.</summary>
    public static IReadOnlyDictionary<int, string> OfBoth { get; } = new Dictionary<int, string>
    {
        [2] = NoRanges,
        [3] = MutableOptions,
        [4] = NoValues,
        [5] = NoJson,
        [9] = RolesForColumns,
        [32] = NoChecksum,
    };
}

internal sealed class FastTreeProfile() : ConformanceProfile("FastTree")
{
    public override Traits Traits { get; } = new() { IsRandom = false, UsesDevice = false, AcceptsMissingValues = true, Weights = WeightSemantics.Statistical };

    public override object SmallOptions(EstimatorTask task, object defaults) =>
        OptionValues.With(defaults, ("NumberOfTrees", 20), ("NumberOfLeaves", 8), ("MinimumExampleCountPerLeaf", 3));

    public override IReadOnlyDictionary<int, string> KnownFailures(EstimatorTask task)
    {
        var failures = new Dictionary<int, string>(Reasons.OfBoth) { [20] = Reasons.NegativeWeights };
        if (task == EstimatorTask.Regression)
            (failures[16], failures[17]) = (Reasons.SilentSkip, Reasons.SingleLabels);
        return failures;
    }
}

internal sealed class LightGbmProfile() : ConformanceProfile("LightGbm")
{
    public override Traits Traits { get; } = new() { IsRandom = false, UsesDevice = false, AcceptsMissingValues = true, DataPasses = 5 };

    public override object SmallOptions(EstimatorTask task, object defaults) =>
        OptionValues.With(defaults, ("NumberOfIterations", 20), ("NumberOfLeaves", 8), ("MinimumExampleCountPerLeaf", 3));

    public override IReadOnlyDictionary<int, string> KnownFailures(EstimatorTask task)
    {
        var failures = new Dictionary<int, string>(Reasons.OfBoth) { [20] = Reasons.ZeroWeights };
        if (task != EstimatorTask.Binary)
            failures[16] = Reasons.MissingLabelsCount;
        if (task == EstimatorTask.Regression)
            failures[17] = Reasons.SingleLabels;
        return failures;
    }
}
