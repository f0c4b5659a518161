using Microsoft.ML.Trainers.FastTree;

namespace MlNetMlp.Conformance.Tests.Controls;

internal static class Reasons
{
    public const string NoChecksum =
        "ML.NET keeps trees in an entry whose checksum nobody compares: with a bit flipped they score otherwise, throw IndexOutOfRangeException or go round in circles.";
}

internal sealed class FastTreeProfile() : ConformanceProfile("FastTree")
{
    public override Traits Traits { get; } = new() { IsRandom = false, UsesDevice = false };

    public override object SmallOptions(EstimatorTask task, object defaults) =>
        OptionValues.With(defaults, ("NumberOfTrees", 20), ("NumberOfLeaves", 8), ("MinimumExampleCountPerLeaf", 3));

    public override IReadOnlyDictionary<int, string> KnownFailures(EstimatorTask task) => new Dictionary<int, string> { [32] = Reasons.NoChecksum };
}

internal sealed class LightGbmProfile() : ConformanceProfile("LightGbm")
{
    public override Traits Traits { get; } = new() { IsRandom = false, UsesDevice = false };

    public override object SmallOptions(EstimatorTask task, object defaults) =>
        OptionValues.With(defaults, ("NumberOfIterations", 20), ("NumberOfLeaves", 8), ("MinimumExampleCountPerLeaf", 3));

    public override IReadOnlyDictionary<int, string> KnownFailures(EstimatorTask task) => new Dictionary<int, string> { [32] = Reasons.NoChecksum };
}
