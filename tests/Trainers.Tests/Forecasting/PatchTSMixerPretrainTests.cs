using Microsoft.ML;
using Microsoft.ML.Data;
using MlNetMlp.Forecasting;
using MlNetMlp.Interop;
using MlNetMlp.Layers;
using MlNetMlp.Methods;
using MlNetMlp.Networks;
using MlNetMlp.Persistence;
using MlNetMlp.Runtime;
using MlNetMlp.Tests.Support;
using static TorchSharp.torch;

namespace MlNetMlp.Tests.Forecasting;

/// <summary>Masked pretraining, and what begins with its weights.</summary>
public class PatchTSMixerPretrainTests
{
    private const int Steps = 32;

    private static readonly MLContext Ml = new(1);

    private static readonly PatchTSMixerPretrain.Options Small = new()
    {
        FeatureColumnName = "Past", PatchLength = 8, DModel = 4, NumLayers = 1, Dropout = 0, HeadDropout = 0, LearningRate = 5e-3, Seed = 1, Epochs = 15, MaskRatio = 0.3,
    };

    private static readonly PatchTSMixer.Options Head = new()
    {
        PatchLength = 8, DModel = 4, NumLayers = 1, Dropout = 0, HeadDropout = 0, LearningRate = 5e-3, Seed = 2, Epochs = 15, Tuning = PatchTSMixerTuning.LinearProbe,
    };

    private static readonly ForecastOptions Series = new() { InputColumnNames = ["Value"], ContextLength = Steps, Horizon = 8 };

    private static readonly Lazy<NetworkFeatureTransformer> Pretrained = new(() => Ml.Transforms.PatchTSMixerPretrain("Embedding", Small).Fit(Windows(Wave(900, 1))));

    public sealed class Window
    {
        [VectorType(Steps)]
        public float[] Past { get; set; } = [];
    }

    public sealed class Observation
    {
        public float Value { get; set; }
    }

    public sealed class LabeledWindow
    {
        [VectorType(2 * Steps)]
        public float[] Past { get; set; } = [];

        public string Label { get; set; } = "";
    }

    [Theory]
    [InlineData(1, 10, 5)]
    [InlineData(3, 7, 4)]
    [InlineData(2, 5, 1)]
    public void As_many_patches_are_masked_as_there_are_to_be_in_each_window_and_track(int tracks, int patches, int masked)
    {
        using var random = new Generator(1);
        using var mask = PatchMasks.Random(200, tracks, patches, masked, random, CPU);

        Assert.Equal([200, tracks, patches], mask.shape);
        Assert.All(TensorMemory.ToFloats(mask.sum([2L])), count => Assert.Equal(masked, count));
        Assert.All(TensorMemory.ToFloats(mask), value => Assert.True(value is 0 or 1));

        // Each patch has its turn, and tracks have masks of their own.
        Assert.All(TensorMemory.ToFloats(mask.mean([0L, 1L])), share => Assert.Equal((double)masked / patches, share, 0.15));
        if (tracks > 1)
            Assert.Contains(TensorMemory.ToFloats(mask.select(1, 0).sub(mask.select(1, 1)).abs().sum([1L])), gap => gap > 0);
    }

    [Fact]
    public void The_last_patches_are_masked_and_their_number_is_drawn()
    {
        using var random = new Generator(1);
        using var mask = PatchMasks.Last(300, 6, [1, 3], random, CPU);

        var rows = TensorMemory.ToFloats(mask).Chunk(6).Select(row => string.Concat(row)).ToArray();
        Assert.Equal(["000001", "000111"], rows.Distinct().Order());
        Assert.InRange(rows.Count(row => row == "000001"), 100, 200);
    }

    [Fact]
    public void Only_masked_patches_count_in_the_loss()
    {
        var (told, patches) = (TestData.Normal(1, 5, 2, 4, 3), TestData.Normal(2, 5, 2, 4, 3));
        var mask = tensor(new float[] { 0, 1, 0, 1 }).expand(5, 1, 4);
        var loss = TensorMemory.ToFloats(PatchMasks.RowLosses(told, patches, mask));
        var expected = told.sub(patches).square();
        var masked = cat([expected.select(2, 1), expected.select(2, 3)], 1).mean([1L, 2L]);
        Assert.All(loss.Zip(TensorMemory.ToFloats(masked)), pair => Assert.Equal(pair.Second, pair.First, 1e-5f));

        told.select(2, 0).add_(tensor(7f));
        told.select(2, 2).mul_(tensor(-3f));

        Assert.Equal(loss, TensorMemory.ToFloats(PatchMasks.RowLosses(told, patches, mask)));
        told.select(2, 1).add_(tensor(7f));
        Assert.All(TensorMemory.ToFloats(PatchMasks.RowLosses(told, patches, mask)).Zip(loss), pair => Assert.True(pair.First > pair.Second));
    }

    [Theory]
    [InlineData(PatchTSMixerMode.CommonChannel)]
    [InlineData(PatchTSMixerMode.MixChannel)]
    [InlineData(PatchTSMixerMode.Flatten)]
    public void What_is_told_does_not_know_what_is_masked(PatchTSMixerMode mode)
    {
        const int channels = 2;
        using var network = Make(new() { Mode = mode, Scaling = InstanceScale.None, PatchLength = 8, DModel = 6, NumLayers = 2, Channels = channels });
        using var noGradient = no_grad();
        var x = TestData.Normal(1, 3, Steps, channels);
        var mask = tensor(new float[] { 0, 1, 0, 1 }).expand(3, 1, 4);
        var (told, patches) = network.Reconstruct(x.view(3, -1), mask);
        var other = x.clone();
        other.narrow(1, 8, 8).add_(TestData.Normal(2, 3, 8, channels));
        other.narrow(1, 24, 8).mul_(tensor(5f));

        var (toldOther, patchesOther) = network.Reconstruct(other.view(3, -1), mask);

        Assert.Equal(TensorMemory.ToFloats(told), TensorMemory.ToFloats(toldOther));
        Assert.True(patches.sub(patchesOther).abs().max().item<float>() > 1);
        other.narrow(1, 0, 8).add_(tensor(1f));
        Assert.True(network.Reconstruct(other.view(3, -1), mask).Told.sub(told).abs().max().item<float>() > 1e-3);
    }

    [Theory]
    [InlineData(PatchTSMixerHeadAggregation.MaxPool, 2 * 4)]
    [InlineData(PatchTSMixerHeadAggregation.None, 2 * 4 * 4)]
    public void A_window_becomes_a_vector_without_a_label(PatchTSMixerHeadAggregation aggregation, int width)
    {
        var rows = Ml.Data.LoadFromEnumerable(Enumerable.Range(0, 60).Select(i => new TwoChannels { Past = [.. Enumerable.Range(0, 2 * Steps).Select(t => MathF.Sin(i + (0.3f * t)))] }).ToArray());
        var options = Small with { Channels = 2, HeadAggregation = aggregation, Epochs = 2, Mask = PatchTSMixerMask.Forecast, ForecastMaskPatches = [1, 2] };
        var estimator = Ml.Transforms.PatchTSMixerPretrain("Embedding", options);

        var model = estimator.Fit(rows);

        var column = model.Transform(rows).GetColumn<float[]>("Embedding").ToArray();
        Assert.Equal(width, column[0].Length);
        Assert.All(column, row => Assert.All(row, value => Assert.True(float.IsFinite(value))));
        Assert.Contains(column[0].Zip(column[1]), pair => pair.First != pair.Second);
        using var file = new MemoryStream();
        Ml.Model.Save(model, rows.Schema, file);
        var loaded = new MLContext().Model.Load(file, out _);
        Assert.Equal(column.SelectMany(row => row), loaded.Transform(rows).GetColumn<float[]>("Embedding").SelectMany(row => row));
        Assert.Equal(column.SelectMany(row => row), estimator.Fit(rows).Transform(rows).GetColumn<float[]>("Embedding").SelectMany(row => row));

        // Training goes on from a loaded model: a step that is next to nothing leaves it where it was.
        var further = Ml.Transforms.PatchTSMixerPretrain("Embedding", options with { InitialModel = loaded, Seed = 3, LearningRate = 1e-9 }).Fit(rows).Transform(rows).GetColumn<float[]>("Embedding");
        Assert.All(further.SelectMany(row => row).Zip(column.SelectMany(row => row)), pair => Assert.Equal(pair.Second, pair.First, 1e-5f));
    }

    public sealed class TwoChannels
    {
        [VectorType(2 * Steps)]
        public float[] Past { get; set; } = [];
    }

    [Fact]
    public void What_begins_with_pretrained_mixers_has_their_weights_and_a_probe_leaves_them()
    {
        var rows = Rows(Wave(150, 2));
        using var file = new MemoryStream();
        Ml.Model.Save(Pretrained.Value, Windows(Wave(50, 1)).Schema, file);
        var loaded = new MLContext().Model.Load(file, out _);
        TrainedNetwork Fit(PatchTSMixerTuning tuning, ITransformer? from) =>
            Ml.Forecasting.Trainers.PatchTSMixer(Series, Head with { InitFrom = from, Tuning = tuning, Epochs = 2 }).Fit(rows).Network;

        var (probe, probeOfLoaded, tuned, random) = (Fit(PatchTSMixerTuning.LinearProbe, Pretrained.Value), Fit(PatchTSMixerTuning.LinearProbe, loaded),
            Fit(PatchTSMixerTuning.LinearProbeThenFull, Pretrained.Value), Fit(PatchTSMixerTuning.LinearProbe, null));

        var learned = Mixers(Pretrained.Value.Network);
        Assert.NotEmpty(learned);
        Assert.Equal(learned, Mixers(probe));
        Assert.Equal(learned.Select(tensor => tensor.Name), Mixers(random).Select(tensor => tensor.Name));
        Assert.All(learned.Zip(Mixers(random)).Where(pair => !pair.First.Name.Contains("norm", StringComparison.Ordinal)), pair => Assert.NotEqual(pair.First.Values, pair.Second.Values));
        Assert.All(learned.Zip(Mixers(tuned)), pair => Assert.NotEqual(pair.First.Values, pair.Second.Values));
        Assert.Equal(Values(probe), Values(probeOfLoaded));

        // The head learns, and scaling is that of the new data.
        Assert.NotEqual(Values(random, "head.weight"), Values(probe, "head.weight"));
        Assert.Equal(Values(random, "backbone.mean"), Values(probe, "backbone.mean"));
        Assert.NotEqual(Values(Pretrained.Value.Network, "backbone.mean"), Values(probe, "backbone.mean"));

        // A forecaster is a start as well, for another horizon.
        var further = Ml.Forecasting.Trainers.PatchTSMixer(
            Series with { Horizon = 3 }, Head with { InitFrom = Ml.Forecasting.Trainers.PatchTSMixer(Series, Head with { Tuning = PatchTSMixerTuning.Full, Epochs = 1 }).Fit(rows), Epochs = 1 }).Fit(rows);
        Assert.Equal(3, further.Network.Outputs);
    }

    [Fact]
    public void Rows_in_time_order_are_windows_too()
    {
        var values = Wave(200, 2);
        var rows = Rows(values);
        var estimator = Ml.Transforms.PatchTSMixerPretrain(Series with { OutputColumnName = "Embedding" }, Small with { Epochs = 2 });

        var model = estimator.Fit(rows);

        var embeddings = model.Transform(rows).GetColumn<float[]>("Embedding").ToArray();
        Assert.All(embeddings[..(Steps - 1)], row => Assert.All(row, value => Assert.True(float.IsNaN(value))));
        Assert.Equal(4, embeddings[^1].Length);
        var ofWindows = model.OverWindows("Past").Transform(Windows(values)).GetColumn<float[]>("Embedding").ToArray();
        Assert.All(embeddings[(Steps - 1)..].SelectMany(row => row).Zip(ofWindows.SelectMany(row => row)), pair => Assert.Equal(pair.First, pair.Second, 1e-5f));
        using var file = new MemoryStream();
        Ml.Model.Save(model, rows.Schema, file);
        var loaded = new MLContext().Model.Load(file, out _);
        Assert.Equal(embeddings[^1], loaded.Transform(rows).GetColumn<float[]>("Embedding").Last());
        var probe = Ml.Forecasting.Trainers.PatchTSMixer(Series, Head with { InitFrom = loaded, Epochs = 1 }).Fit(rows).Network;
        Assert.Equal(Mixers(model.Network), Mixers(probe));
        Says("forecasts nothing", () => model.CreateForecaster());
        Says("no quantiles", () => Ml.Transforms.PatchTSMixerPretrain(Series with { Quantiles = [0.5] }, Small));
        Says("no features of windows", () => Ml.Transforms.CreateFeaturizer(new PatchTSMixer(Head), Series));
    }

    [Fact]
    public void A_probe_of_pretrained_mixers_is_better_than_one_of_random_ones()
    {
        // Four frequencies under noise, whatever the phase: many windows, and labels of forty.
        var options = Small with { DModel = 16, NumLayers = 2, Epochs = 30, Patience = 0, HeadAggregation = PatchTSMixerHeadAggregation.AvgPool };
        var pretrained = Ml.Transforms.PatchTSMixerPretrain("Embedding", options).Fit(Frequencies(800, 1));
        double Accuracy(ITransformer? from)
        {
            var probe = new PatchTSMixer.Options
            {
                FeatureColumnName = "Past", PatchLength = 8, DModel = 16, NumLayers = 2, Dropout = 0, HeadDropout = 0, LearningRate = 0.02, Seed = 2, Epochs = 60, ValidationFraction = 0,
                BatchSize = 20, HeadAggregation = PatchTSMixerHeadAggregation.AvgPool, Tuning = PatchTSMixerTuning.LinearProbe, InitFrom = from,
            };
            var model = Ml.Transforms.Conversion.MapValueToKey("Label").Append(Ml.MulticlassClassification.Trainers.PatchTSMixer(probe)).Fit(Frequencies(40, 2));
            return Ml.MulticlassClassification.Evaluate(model.Transform(Frequencies(400, 3))).MicroAccuracy;
        }

        var (ofPretrained, ofRandom) = (Accuracy(pretrained), Accuracy(null));

        Assert.True(ofPretrained > ofRandom + 0.2, $"pretrained {ofPretrained}, random {ofRandom}");
    }

    [Fact]
    public void What_cannot_be_is_refused_by_name()
    {
        var rows = Rows(Wave(150, 2));
        Says("'MaskRatio'", () => Ml.Transforms.PatchTSMixerPretrain("Embedding", Small with { MaskRatio = 1 }));
        Says("'ForecastMaskPatches'", () => Ml.Transforms.PatchTSMixerPretrain("Embedding", Small with { ForecastMaskPatches = [0] }));
        Says("'MaskRatio' hides 4 of the 4 patches", () => Ml.Transforms.PatchTSMixerPretrain("Embedding", Small with { MaskRatio = 0.9 }).Fit(Windows(Wave(60, 1))));
        Says("'ForecastMaskPatches' hides 5", () => Ml.Transforms.PatchTSMixerPretrain("Embedding", Small with { Mask = PatchTSMixerMask.Forecast, ForecastMaskPatches = [1, 5] }).Fit(Windows(Wave(60, 1))));
        Says("'Other'", () => Ml.Transforms.PatchTSMixerPretrain("Embedding", Small with { FeatureColumnName = "Other" }).Fit(Windows(Wave(60, 1))));
        Says("DModel are 5 here, and 4 there", () => Ml.Forecasting.Trainers.PatchTSMixer(Series, Head with { InitFrom = Pretrained.Value, DModel = 5 }).Fit(rows));
        Says("patches are 3 here, and 4 there", () => Ml.Forecasting.Trainers.PatchTSMixer(Series with { ContextLength = 24 }, Head with { InitFrom = Pretrained.Value }).Fit(rows));
        Says("'InitFrom' holds no", () => Ml.Forecasting.Trainers.PatchTSMixer(Series, Head with { InitFrom = Ml.Transforms.CopyColumns("B", "Value").Fit(rows) }).Fit(rows));
        Says("only one of the options 'InitFrom' and 'InitialModel'", () => Ml.Forecasting.Trainers.PatchTSMixer(Series, Head with { InitFrom = Pretrained.Value, InitialModel = Pretrained.Value }));
        Says("learns without labels", () => Ml.Regression.Trainers.CreateTrainer(new PatchTSMixerPretrain(Small)));
        Says("learns without labels", () => Ml.Forecasting.Trainers.CreateTrainer(new PatchTSMixerPretrain(Small), Series));
    }

    private static void Says(string what, Action action) => Assert.Contains(what, Assert.ThrowsAny<Exception>(action).Message, StringComparison.Ordinal);

    private static List<Named> Mixers(TrainedNetwork network) =>
        [.. network.Weights.Where(tensor => PatchTSMixerBackbone.IsLearned(tensor.Name)).Select(tensor => new Named(tensor.Name, string.Join(" ", tensor.Floats.ToArray())))];

    private static string Values(TrainedNetwork network, string? name = null) =>
        string.Join(' ', network.Weights.Where(tensor => name is null || tensor.Name == name).SelectMany(tensor => tensor.Floats.ToArray()));

    private sealed record Named(string Name, string Values);

    private static PatchTSMixerEmbeddingNetwork Make(PatchTSMixer.Options options)
    {
        var definition = new PatchTSMixerEmbeddingDefinition
        {
            Inputs = Steps * options.Channels, Outputs = 1, Channels = options.Channels, PatchLength = options.PatchLength, PatchStride = options.PatchLength, DModel = options.DModel,
            ExpansionFactor = 2, NumLayers = options.NumLayers, Dropout = 0, HeadDropout = 0, Mode = options.Mode, GatedAttention = true, Norm = options.Norm, Scaling = options.Scaling,
            HeadAggregation = options.HeadAggregation, HasReconstruction = true,
        };
        var network = (PatchTSMixerEmbeddingNetwork)(definition with { Outputs = (int)definition.AggregateWidth }).Build(CPU);
        using var random = new Generator(11);
        network.Initialize(random);
        network.eval();
        return network;
    }

    /// <summary>Three waves of fixed frequencies with slowly changing sizes, and a little noise: a patch of eight steps has less to say than eight numbers.</summary>
    private static float[] Wave(int count, int seed)
    {
        var random = new Random(seed);
        var (a, b, c) = (1.0, 1.0, 1.0);
        return
        [
            .. Enumerable.Range(0, count).Select(t =>
            {
                (a, b, c) = (Next(a), Next(b), Next(c));
                return (float)((seed * 10) + (a * Math.Sin(0.2 * t)) + (b * Math.Sin(0.55 * t)) + (c * Math.Sin(0.9 * t)) + (0.05 * (random.NextDouble() - 0.5)));
            }),
        ];

        double Next(double size) => Math.Clamp(size + (0.1 * (random.NextDouble() - 0.5)), 0.3, 2);
    }

    private static IDataView Windows(float[] series) =>
        Ml.Data.LoadFromEnumerable(Enumerable.Range(0, series.Length - Steps + 1).Select(start => new Window { Past = series[start..(start + Steps)] }).ToArray());

    private static IDataView Frequencies(int count, int seed)
    {
        var random = new Random(seed);
        return Ml.Data.LoadFromEnumerable(Enumerable.Range(0, count).Select(i =>
        {
            var (frequency, phase) = (new[] { 0.25, 0.4, 0.6, 0.85 }[i % 4], 2 * Math.PI * random.NextDouble());
            return new LabeledWindow { Label = $"{i % 4}", Past = [.. Enumerable.Range(0, 2 * Steps).Select(t => (float)(Math.Sin(phase + (frequency * t)) + (0.5 * Normal(random))))] };
        }).ToArray());
    }

    private static double Normal(Random random) => Math.Sqrt(-2 * Math.Log(1 - random.NextDouble())) * Math.Cos(2 * Math.PI * random.NextDouble());

    private static IDataView Rows(float[] series) => Ml.Data.LoadFromEnumerable(series.Select(value => new Observation { Value = value }).ToArray());
}
