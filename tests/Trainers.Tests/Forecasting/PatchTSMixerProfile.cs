using MlNetMlp.Conformance;
using MlNetMlp.Forecasting;
using MlNetMlp.Layers;
using MlNetMlp.Networks;
using MlNetMlp.Tests.Support;

namespace MlNetMlp.Tests.Forecasting;

/// <summary>What the conformance suite has to know of <see cref="PatchTSMixer"/>.</summary>
public sealed class PatchTSMixerProfile() : HouseProfile(nameof(PatchTSMixer))
{
    public override Traits Traits { get; } = new() { FeatureCount = 8, Weights = WeightSemantics.Statistical, IsClassOrderExact = false };

    public override object SmallOptions(EstimatorTask task, object defaults) => (PatchTSMixer.Options)defaults with
    {
        PatchLength = 2, DModel = 12, NumLayers = 1, Dropout = 0, HeadDropout = 0, Epochs = task == EstimatorTask.Forecasting ? 10 : 40, BatchSize = 16, LearningRate = 5e-3, Patience = 20,
        Scaling = InstanceScale.None, HeadAggregation = PatchTSMixerHeadAggregation.None,
    };
}
