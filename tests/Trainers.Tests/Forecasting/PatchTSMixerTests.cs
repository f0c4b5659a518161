using Microsoft.ML;
using Microsoft.ML.Data;
using MlNetMlp.Forecasting;
using MlNetMlp.Interop;
using MlNetMlp.Methods;
using MlNetMlp.Layers;
using MlNetMlp.Networks;
using static TorchSharp.torch;

namespace MlNetMlp.Tests.Forecasting;

/// <summary>The trainers as users meet them.</summary>
public class PatchTSMixerTests
{
    private static readonly MLContext Ml = new(1);

    private static readonly ForecastOptions Series = new() { ContextLength = 24, Horizon = 4 };

    private static readonly PatchTSMixer.Options Small = new() { PatchLength = 6, DModel = 12, NumLayers = 1, Dropout = 0, HeadDropout = 0, LearningRate = 5e-3, Seed = 1, Epochs = 20 };

    public sealed class Row
    {
        [VectorType(2)]
        public float[] Values { get; set; } = [];
    }

    public sealed class Window
    {
        [VectorType(16)]
        public float[] Features { get; set; } = [];

        public bool Label { get; set; }

        public float Number { get; set; }
    }

    [Fact]
    public void Rows_observations_and_a_loaded_model_forecast_alike()
    {
        var rows = Rows(200, (t, _) => [(float)Math.Sin(0.4 * t), (float)(50 + (10 * Math.Cos(0.7 * t)))]);
        var view = Ml.Data.LoadFromEnumerable(rows);
        var model = Ml.Forecasting.Trainers.PatchTSMixer(Series, Small).Fit(view);
        using var file = new MemoryStream();
        Ml.Model.Save(model, view.Schema, file);

        var loaded = Assert.IsType<ForecastTransformer>(new MLContext().Model.Load(file, out _));

        var forecasts = Column(model.Transform(view));
        Assert.Equal(forecasts[23..].SelectMany(row => row), Column(loaded.Transform(view))[23..].SelectMany(row => row));
        var forecaster = loaded.CreateForecaster();
        foreach (var row in rows)
            forecaster.Observe(row.Values);

        // libtorch may round products of one window otherwise than those of many: the same to seven digits, whatever the processor.
        Assert.All(forecasts[^1].Zip(forecaster.Forecast()), pair => Assert.Equal(pair.First, pair.Second, 1e-6f * Math.Max(1, Math.Abs(pair.First))));

        // A wave is no riddle: the error is a small part of its size.
        var errors = Enumerable.Range(23, 170).Select(t => (A: forecasts[t][0] - rows[t + 1].Values[0], B: forecasts[t][7] - rows[t + 4].Values[1])).ToArray();
        Assert.True(errors.Average(e => e.A * e.A) < 0.02, $"{errors.Average(e => e.A * e.A)}");
        Assert.True(errors.Average(e => e.B * e.B) < 2, $"{errors.Average(e => e.B * e.B)}");
    }

    [Fact]
    public void Hierarchies_and_channels_are_reconciled_and_saved()
    {
        // What is in doubt is the single step, not the sum of two: every second step takes back the noise of the first.
        var random = new Random(1);
        var values = Enumerable.Range(0, 300).SelectMany(t =>
        {
            var (noise, level) = (Normal(random), 5 * Math.Sin(0.3 * t));
            return new[] { (float)(level + noise), (float)(level - noise) };
        }).ToArray();
        var view = Ml.Data.LoadFromEnumerable(values.Select(value => new Row { Values = [value, 1 - value] }).ToArray());
        var options = Small with { HierarchyPatch = 2, ChannelReconciliation = true, Epochs = 10 };

        var model = Ml.Forecasting.Trainers.PatchTSMixer(Series with { Quantiles = [0.5] }, options).Fit(view);

        using var file = new MemoryStream();
        Ml.Model.Save(model, view.Schema, file);
        Assert.Equal(Column(model.Transform(view))[^1], Column(new MLContext().Model.Load(file, out _).Transform(view))[^1]);
        using var network = (PatchTSMixerNetwork)model.Network.CreateNetwork();
        using var noGradient = no_grad();
        var windows = tensor(Enumerable.Range(0, 100).SelectMany(i => values[(2 * i)..((2 * i) + 24)].SelectMany(value => new[] { value, 1 - value })).ToArray(), [100, 48]);
        var (forecast, sums) = network.ForecastWithSums(windows);
        var gap = new PatchHierarchy(4, 2, 2).BottomUp(forecast.narrow(1, 0, 8)).sub(sums!).square().mean().item<float>();

        // In standardised units, where sums of two steps have a variance near 4.
        Assert.True(gap < 0.1, $"{gap}");
    }

    [Fact]
    public void The_same_seed_gives_the_same_model_and_another_one_another()
    {
        var view = Ml.Data.LoadFromEnumerable(Rows(120, (t, noise) => [(float)Math.Sin(0.4 * t), noise]));
        byte[] Fit(int seed) => Bytes(Ml.Forecasting.Trainers.PatchTSMixer(Series, Small with { Seed = seed, Epochs = 2, Dropout = 0.3, HeadDropout = 0.2 }).Fit(view).Network);

        var first = Fit(1);

        Assert.Equal(first, Fit(1));
        Assert.NotEqual(first, Fit(2));
    }

    [Fact]
    [Trait("Category", "Heavy")]
    public void Only_mixed_channels_learn_what_one_channel_tells_of_another()
    {
        // y₂ is noise of its own to whoever does not look at y₁, five steps before.
        var random = new Random(1);
        var noise = Enumerable.Range(0, 2_500).Select(_ => (float)Normal(random)).ToArray();
        var rows = Enumerable.Range(5, 2_400).Select(t => new Row { Values = [noise[t], noise[t - 5] + (float)(0.1 * Normal(random))] }).ToArray();
        var view = Ml.Data.LoadFromEnumerable(rows);
        double Error(PatchTSMixerMode mode)
        {
            var options = Small with { Mode = mode, PatchLength = 1, DModel = 16, NumLayers = 2, Scaling = InstanceScale.None, Epochs = 25, GatedAttention = false };
            var forecasts = Column(Ml.Forecasting.Trainers.PatchTSMixer(Series with { ContextLength = 8 }, options).Fit(view).Transform(view));
            return Enumerable.Range(2_160, 230).Average(t => Enumerable.Range(1, 4).Average(h => Math.Pow(forecasts[t][(2 * (h - 1)) + 1] - rows[t + h].Values[1], 2)));
        }

        var (mixed, common) = (Error(PatchTSMixerMode.MixChannel), Error(PatchTSMixerMode.CommonChannel));

        Assert.True(mixed <= 0.5 * common, $"MixChannel {mixed}, CommonChannel {common}");
    }

    [Fact]
    public void Windows_are_classified_whatever_their_level_and_size()
    {
        // The class is whether the wave is fast; level and size are drawn at random.
        var random = new Random(1);
        Window Make(int i)
        {
            var (size, level, phase, isFast) = (1 + (9 * random.NextDouble()), 100 * random.NextDouble(), 6 * random.NextDouble(), i % 2 == 0);
            return new() { Features = [.. Enumerable.Range(0, 16).Select(t => (float)(level + (size * Math.Sin(phase + ((isFast ? 1.5 : 0.6) * t)))))], Label = isFast, Number = (float)size };
        }

        var rows = Ml.Data.LoadFromEnumerable(Enumerable.Range(0, 600).Select(Make).ToArray());
        var parts = Ml.Data.TrainTestSplit(rows, 0.25, seed: 1);
        var options = Small with { PatchLength = 4, Epochs = 30 };

        var model = Ml.BinaryClassification.Trainers.PatchTSMixer(options).Fit(parts.TrainSet);

        Assert.True(Ml.BinaryClassification.Evaluate(model.Transform(parts.TestSet)).Accuracy > 0.95);

        // The size is what scaling takes away.
        double RSquared(InstanceScale scaling) => Ml.Regression.Evaluate(
            Ml.Regression.Trainers.PatchTSMixer(options with { LabelColumnName = "Number", Scaling = scaling }).Fit(parts.TrainSet).Transform(parts.TestSet), "Number").RSquared;
        Assert.True(RSquared(InstanceScale.None) > 0.8);
        Assert.True(RSquared(InstanceScale.Std) < 0.2);
    }

    [Fact]
    public void Options_that_do_not_go_together_are_refused_by_name()
    {
        var rows = Ml.Data.LoadFromEnumerable(Enumerable.Range(0, 20).Select(i => new Window { Features = new float[16], Number = i }).ToArray());
        Says("'PatchStride'", () => Ml.Regression.Trainers.PatchTSMixer(Small with { PatchStride = 7 }));
        Says("'PatchLength' must be at most 'ContextLength', 5", () => Ml.Forecasting.Trainers.PatchTSMixer(Series with { ContextLength = 5 }, Small));
        Says("'PatchLength' must be at most the 16 steps that a row of the feature column 'Features' has", () => Ml.Regression.Trainers.PatchTSMixer(Small with { LabelColumnName = "Number", PatchLength = 17 }).Fit(rows));
        Says("3 channels: give the option 'Channels'", () => Ml.Regression.Trainers.PatchTSMixer(Small with { LabelColumnName = "Number", Channels = 3 }).Fit(rows));
        Says("'HierarchyPatch' must be 0 or divide 'Horizon', 4, but was 3", () => Ml.Forecasting.Trainers.PatchTSMixer(Series, Small with { HierarchyPatch = 3 }));
        Says("'Dropout'", () => Ml.Regression.Trainers.PatchTSMixer(Small with { Dropout = 1 }));
    }

    private static void Says(string what, Action action) => Assert.Contains(what, Assert.ThrowsAny<Exception>(action).Message, StringComparison.Ordinal);

    private static byte[] Bytes(TrainedNetwork network)
    {
        using var stream = new MemoryStream();
        Persistence.SafeTensors.Write(stream, network.Weights);
        return stream.ToArray();
    }

    private static Row[] Rows(int count, Func<int, float, float[]> values)
    {
        var random = new Random(1);
        return [.. Enumerable.Range(0, count).Select(t => new Row { Values = values(t, (float)Normal(random)) })];
    }

    private static double Normal(Random random) => Math.Sqrt(-2 * Math.Log(1 - random.NextDouble())) * Math.Cos(2 * Math.PI * random.NextDouble());

    private static List<float[]> Column(IDataView data) => [.. data.GetColumn<float[]>("Forecast")];
}
