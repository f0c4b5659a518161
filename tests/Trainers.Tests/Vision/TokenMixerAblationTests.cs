using Microsoft.ML;
using Microsoft.ML.Data;
using MlNetMlp.Layers;
using MlNetMlp.Methods;
using MlNetMlp.Runtime;
using MlNetMlp.Vision;
using TorchSharp;

namespace MlNetMlp.Tests.Vision;

public sealed class TokenMixerAblationTests
{
    private readonly MLContext _ml = new(1);

    private sealed class Row
    {
        [VectorType(64)]
        public float[] Features { get; set; } = [];

        public bool Label { get; set; }

        public float Number { get; set; }

        [KeyType(2)]
        public uint Kind { get; set; }
    }

    [Fact]
    public void Mixers_stand_side_by_side_and_a_strangers_among_them()
    {
        var options = new TokenMixerAblationOptions
        {
            // Whether two bright pixels are in neighbouring patches or far from each other: tokens that are not mixed cannot know.
            Mixers = [new IdentityMixer(), new PoolingMixer(), new DepthwiseConvMixer { Kernel = 5 }, new ShiftMixer { Factor = 2 }],
            Network = new() { LabelColumnName = "Kind", Stages = [new(1, 16)], Stem = new(2, 2, 0), Epochs = 25, LearningRate = 1e-2, BatchSize = 16, Seed = 1, ValidationFraction = 0 },
            Folds = 2,
        };

        var report = _ml.MulticlassClassification.TokenMixerAblation(Data(200), options);

        Assert.Equal("accuracy", report.Measure);
        Assert.Equal(["IdentityMixer", "PoolingMixer {\"Size\":3}", "DepthwiseConvMixer {\"Kernel\":5}", "ShiftMixer {\"Factor\":2}"], report.Results.Select(result => result.Name));
        Assert.All(report.Results, result => Assert.Equal(2, result.Folds.Count));
        Assert.All(report.Results, result => Assert.True(result.Latency > TimeSpan.Zero));
        var (identity, pooling, conv, shift) = (report.Results[0], report.Results[1], report.Results[2], report.Results[3]);
        Assert.Equal(identity.Weights, pooling.Weights);
        Assert.Equal(identity.Weights + (25 * 16), conv.Weights);
        Assert.Equal(identity.Weights + 16, shift.Weights);
        Assert.InRange(identity.Mean, 0.35, 0.65);
        Assert.True(conv.Mean > 0.85, $"{conv.Mean}");
        var text = report.ToString().Split('\n');
        Assert.Equal(7, text.Length);
        Assert.StartsWith("| IdentityMixer | 0.", text[2], StringComparison.Ordinal);
    }

    [Fact]
    public void Folds_are_the_same_for_all_and_every_task_is_served()
    {
        var network = new MetaFormer.Options { Stages = [new(1, 8)], Stem = new(2, 2, 0), Epochs = 2, Seed = 1 };
        var options = new TokenMixerAblationOptions { Mixers = [new PoolingMixer(), new PoolingMixer()], Network = network, Folds = 2 };
        var binary = _ml.BinaryClassification.TokenMixerAblation(Data(60), options);
        Assert.Equal(binary.Results[0].Folds, binary.Results[1].Folds);
        var regression = _ml.Regression.TokenMixerAblation(Data(60), options with { Network = network with { LabelColumnName = "Number" } });
        Assert.Equal("RMSE", regression.Measure);
        Assert.Equal(regression.Results[0].Folds, regression.Results[1].Folds);

        Assert.Contains("'Folds'", Assert.Throws<ArgumentOutOfRangeException>(() => _ml.Regression.TokenMixerAblation(Data(9), new() { Folds = 1 })).Message, StringComparison.Ordinal);
        Assert.Contains("'Mixers'", Assert.Throws<ArgumentOutOfRangeException>(() => _ml.Regression.TokenMixerAblation(Data(9), new() { Mixers = [] })).Message, StringComparison.Ordinal);
        Assert.Equal(Math.Sqrt(2), new MethodResult("", [1, 3], 0, 0, default).StandardDeviation, 1e-12);
    }

    private IDataView Data(int count)
    {
        var random = new Random(1);
        return _ml.Data.LoadFromEnumerable(Enumerable.Range(0, count).Select(i =>
        {
            var (near, features) = (i % 2 == 0, new float[64]);
            var (row, column) = (random.Next(4), random.Next(near ? 3 : 2));
            foreach (var place in new[] { column, column + (near ? 1 : 2) })
                features[(16 * row) + (2 * place)] = 1;
            return new Row { Features = features, Label = near, Number = near ? 1 : 0, Kind = near ? 1u : 0u };
        }).ToArray());
    }
}

/// <summary>A mixer of another assembly than the library's: each token gets a multiple of the one before it, by a trained gain of each channel.</summary>
public sealed record ShiftMixer : TokenMixer
{
    public float Factor { get; init; } = 1;

    public override long WeightCount(int channels, TokenGrid grid) => channels;

    public override long Multiplications(int channels, TokenGrid grid) => (long)channels * grid.Count;

    public override TokenMixerLayer Build(int channels, TokenGrid grid, torch.Device device) => new Layer(channels, Factor, device);

    private sealed class Layer : TokenMixerLayer
    {
        private readonly float _factor;
        private readonly TorchSharp.Modules.Parameter gain;

        public Layer(int channels, float factor, torch.Device device)
            : base(nameof(ShiftMixer))
        {
            (_factor, gain) = (factor, new(torch.empty(channels, device: device)));
            RegisterComponents();
        }

        public override void Initialize(torch.Generator random)
        {
            using var noGradient = torch.no_grad();
            gain.normal_(0, 1, random);
        }

        public override torch.Tensor forward(torch.Tensor input)
        {
            using var scope = torch.NewDisposeScope();
            return input.roll(1, 2).mul(gain).Times(_factor).MoveToOuterDisposeScope();
        }
    }
}
