using Microsoft.ML;
using Microsoft.ML.Data;
using MlNetMlp.Layers;
using MlNetMlp.Networks;
using MlNetMlp.Vision;

namespace MlNetMlp.Tests.Vision;

public sealed class MetaFormerSequenceTests
{
    private const int Steps = 24;

    private static readonly MetaFormerSequence.Options Quick = new() { Stages = [new(1, 8), new(1, 12)], Epochs = 2, BatchSize = 16, Seed = 3 };

    private readonly MLContext _ml = new(1);

    private sealed class Row
    {
        public float[] Features { get; set; } = [];

        public bool Label { get; set; }
    }

    [Fact]
    public void Steps_and_channels_are_read_off_the_type_or_given()
    {
        var rows = Waves(60);
        var byType = _ml.BinaryClassification.Trainers.MetaFormerSequence(Quick).Fit(View(rows, Steps, 2));
        var byOption = _ml.BinaryClassification.Trainers.MetaFormerSequence(Quick with { SequenceLength = Steps }).Fit(View(rows, 2 * Steps));
        var oneChannel = _ml.BinaryClassification.Trainers.MetaFormerSequence(Quick).Fit(View(rows, 2 * Steps));

        Assert.Equal(new ImageShape(1, Steps, 2) { Order = PixelOrder.Interleaved }, Shape(byType));
        Assert.Equal(new ImageShape(1, 2 * Steps) { Order = PixelOrder.Interleaved }, Shape(oneChannel));
        Assert.Equal(Scores(byType.Transform(View(rows, Steps, 2))), Scores(byOption.Transform(View(rows, 2 * Steps))));

        Assert.Contains("no sequence of 7 steps", Assert.Throws<InvalidOperationException>(
            () => _ml.BinaryClassification.Trainers.MetaFormerSequence(Quick with { SequenceLength = 7 }).Fit(View(rows, 2 * Steps))).Message, StringComparison.Ordinal);
        Assert.Contains("sequences of 24 steps leave stage 1 no place", Assert.Throws<InvalidOperationException>(
            () => _ml.BinaryClassification.Trainers.MetaFormerSequence(Quick with { Stem = new(30, 1, 0) }).Fit(View(rows, Steps, 2))).Message, StringComparison.Ordinal);

        static ImageShape Shape(Interop.NetworkPredictionTransformer<Interop.BinaryNetworkModel> model) => ((MetaFormerDefinition)model.Model.Network.Definition).Image;
    }

    [Fact]
    public void Waves_are_told_apart_by_their_length_wherever_they_begin()
    {
        var (train, test) = (View(Waves(300), Steps, 2), View(Waves(200, seed: 2), Steps, 2));
        var options = Quick with { Epochs = 20, LearningRate = 1e-2 };

        Assert.True(Accuracy(options) > 0.95);
        Assert.True(Accuracy(options with { Mixer = new AttentionMixer { HeadDim = 4 } }) > 0.9);
        Assert.InRange(Accuracy(options with { Mixer = new IdentityMixer(), Stem = new(1, 1, 0), DownSampling = new(1, 1, 0) }), 0.3, 0.7);

        double Accuracy(MetaFormerSequence.Options asked) =>
            _ml.BinaryClassification.EvaluateNonCalibrated(_ml.BinaryClassification.Trainers.MetaFormerSequence(asked).Fit(train).Transform(test)).Accuracy;
    }

    /// <summary>Waves of two channels, the second a quarter behind or before the first, so that no step tells which kind it is.</summary>
    private static Row[] Waves(int count, int seed = 1)
    {
        var random = new Random(seed);
        return
        [
            .. Enumerable.Range(0, count).Select(i =>
            {
                var (phase, length) = (random.NextDouble() * 2 * Math.PI, i % 2 == 0 ? 6.0 : 9.0);
                var sign = random.Next(2) == 0 ? 1 : -1;
                return new Row
                {
                    Label = i % 2 == 0,
                    Features = [.. Enumerable.Range(0, Steps).SelectMany(t => new[]
                    {
                        (float)(Math.Sin((2 * Math.PI * t / length) + phase) + (0.1 * random.NextDouble())), (float)(sign * Math.Cos((2 * Math.PI * t / length) + phase)),
                    })],
                };
            }),
        ];
    }

    private IDataView View(IEnumerable<Row> rows, params int[] dimensions)
    {
        var schema = SchemaDefinition.Create(typeof(Row));
        schema[nameof(Row.Features)].ColumnType = new VectorDataViewType(NumberDataViewType.Single, dimensions);
        return _ml.Data.LoadFromEnumerable(rows, schema);
    }

    private static float[] Scores(IDataView scored) => [.. scored.GetColumn<float>("Score")];
}
