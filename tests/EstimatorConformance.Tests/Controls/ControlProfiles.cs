using Microsoft.ML.Trainers.FastTree;

namespace MlNetMlp.Conformance.Tests.Controls;

internal sealed class FastTreeProfile() : ConformanceProfile("FastTree")
{
    public override Traits Traits { get; } = new() { IsRandom = false, UsesDevice = false };

    public override object SmallOptions(EstimatorTask task, object defaults) =>
        OptionValues.With(defaults, ("NumberOfTrees", 20), ("NumberOfLeaves", 8), ("MinimumExampleCountPerLeaf", 3));
}

internal sealed class LightGbmProfile() : ConformanceProfile("LightGbm")
{
    public override Traits Traits { get; } = new() { IsRandom = false, UsesDevice = false };

    public override object SmallOptions(EstimatorTask task, object defaults) =>
        OptionValues.With(defaults, ("NumberOfIterations", 20), ("NumberOfLeaves", 8), ("MinimumExampleCountPerLeaf", 3));
}
