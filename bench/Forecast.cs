using System.Diagnostics;
using System.Globalization;
using System.IO.Compression;
using Microsoft.ML;
using Microsoft.ML.Data;
using MlNetMlp.Forecasting;
using MlNetMlp.Interop;
using MlNetMlp.Methods;
using MlNetMlp.Training;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace MlNetMlp.Bench;

/// <summary>
/// Hourly electricity transformer temperatures (ETTh1: 8,640 training, 2,880 validation and 2,880 test rows of 7 channels), 96 steps from 336: test error on standardised channels
/// against simple forecasts, and the time of a training step against a loop by hand over the same network.
/// </summary>
internal static class Forecast
{
    private const int Length = 336;
    private const int Horizon = 96;
    private const int Channels = 7;
    private const int Training = 8_640;
    private const int Held = 2_880;
    private const int Batch = 64;
    private const int Day = 24;
    private const int Epochs = 2;
    private const int Every = 4;
    private const int MostMinutes = 6;

    private static readonly PatchTSMixer.Options Mixer = new()
    {
        PatchLength = 16, DModel = 32, ExpansionFactor = 2, NumLayers = 2, Dropout = 0.3, HeadDropout = 0.3, Optimizer = OptimizerKind.Adam, BatchSize = Batch, Epochs = Epochs,
        Patience = 0, Seed = 1, ValidationFraction = (double)Held / (Training + Held),
    };

    private static readonly ForecastOptions Series = new() { ContextLength = Length, Horizon = Horizon };

    // The published recipe for these data; its rate of 1e-4 and batches of 32 would take ten times the steps.
    private static readonly PatchTSMixer.Options Recipe = Mixer with
    {
        PatchLength = 8, DModel = 48, ExpansionFactor = 3, NumLayers = 3, Dropout = 0.5, HeadDropout = 0.7, Epochs = 8,
    };

    private static readonly ForecastOptions LongSeries = Series with { ContextLength = 512 };

    private sealed class Row
    {
        [VectorType(Channels)]
        public float[] Values { get; set; } = [];
    }

    /// <summary>Errors of forecasts.</summary>
    public static void Run()
    {
        if (Read() is not { } rows)
            return;
        var deviation = Moments(rows[..Training]).Deviation;
        Report(rows, deviation, "last value", (t, h, c) => rows[t][c]);
        Report(rows, deviation, "same hour of the last day", (t, h, c) => rows[t - Day + 1 + ((h - 1) % Day)][c]);
        Fit(rows, "linear, all channels alike", Series, Mixer with { NumLayers = 1, PatchLength = Length, DModel = 1, GatedAttention = false }, isLinear: true);
        Fit(rows, "mixer", Series, Mixer);
        Fit(rows, "mixer without gates", Series, Mixer with { GatedAttention = false });
        Fit(rows, "mixer with quantiles", Series with { Quantiles = [0.1, 0.5, 0.9] }, Mixer);
    }

    /// <summary>The published recipe, as far as it gets in some minutes: <c>minutes=6</c> or as many as there are.</summary>
    public static void Full(ILookup<string, string> options)
    {
        if (Read() is not { } rows)
            return;
        var minutes = options["minutes"].Select(word => double.Parse(word, CultureInfo.InvariantCulture)).FirstOrDefault(MostMinutes);
        using var enough = new CancellationTokenSource(TimeSpan.FromMinutes(minutes));
        Fit(rows, "published recipe", LongSeries, Recipe with { CancellationToken = enough.Token, KeepBestWhenCancelled = true, Progress = new EpochLines() });
    }

    private sealed class EpochLines : IProgress<TrainingProgress>
    {
        private TimeSpan _last;

        public void Report(TrainingProgress value)
        {
            if (!value.IsEndOfEpoch && value.Elapsed - _last < TimeSpan.FromMinutes(1))
                return;
            _last = value.Elapsed;
            Console.WriteLine($"forecast: {value}");
        }
    }

    private static void Fit(float[][] rows, string name, ForecastOptions series, PatchTSMixer.Options options, bool isLinear = false)
    {
        var ml = new MLContext(1);
        var deviation = Moments(rows[..Training]).Deviation;
        var clock = Stopwatch.StartNew();
        var trainer = isLinear ? ml.Forecasting.Trainers.CreateTrainer(new SharedLinear(options), series) : ml.Forecasting.Trainers.PatchTSMixer(series, options);
        var model = trainer.Fit(View(ml, rows[..(Training + Held)]));
        var seconds = clock.Elapsed.TotalSeconds;
        var schema = SchemaDefinition.Create(typeof(Past));
        schema[nameof(Past.Values)].ColumnType = new VectorDataViewType(NumberDataViewType.Single, series.ContextLength * Channels);
        var windows = ml.Data.LoadFromEnumerable(Tests().Select(t => new Past { Values = [.. rows[(t - series.ContextLength + 1)..(t + 1)].SelectMany(row => row)] }), schema);
        var scored = ml.Data.Cache(model.OverWindows(nameof(Past.Values)).Transform(windows));
        var forecasts = scored.GetColumn<float[]>("Forecast").ToArray();
        Report(rows, deviation, $"{name} ({model.Network.WeightCount} values, {model.Network.LearningCurve.Points.Count} epochs in {seconds:F0} s, best {model.Network.LearningCurve.BestEpoch})", Of(forecasts));
        foreach (var quantile in series.Quantiles)
        {
            var values = Of([.. scored.GetColumn<float[]>(series.QuantileColumnName(quantile))]);
            var below = Tests().Average(t => Enumerable.Range(1, Horizon).Average(h => Enumerable.Range(0, Channels).Average(c => rows[t + h][c] < values(t, h, c) ? 1.0 : 0)));
            Console.WriteLine($"forecast: {below:P1} of the test values are below the quantile {quantile}");
        }

        Func<int, int, int, double> Of(float[][] column) => (t, h, c) => column[(t - First) / Every][((h - 1) * Channels) + c];
    }

    private static void Report(float[][] rows, double[] deviation, string name, Func<int, int, int, double> forecast)
    {
        double sum = 0;
        long count = 0;
        foreach (var t in Tests())
        {
            for (var h = 1; h <= Horizon; h++)
            {
                for (var c = 0; c < Channels; c++, count++)
                    sum += Math.Pow((forecast(t, h, c) - rows[t + h][c]) / deviation[c], 2);
            }
        }

        Console.WriteLine($"forecast: test MSE {sum / count:F4}  {name}");
    }

    /// <summary>Time of training steps, to be run alone on the machine.</summary>
    public static void Time()
    {
        if (Read() is not { } rows)
            return;
        Measure(Series, Mixer, steps: 10);
        Measure(LongSeries, Recipe, steps: 4);

        void Measure(ForecastOptions series, PatchTSMixer.Options options, int steps)
        {
            var count = series.ContextLength + Horizon - 1 + (steps * Batch);
            var ml = new MLContext(1);
            var view = View(ml, rows[..count]);
            var trainer = ml.Forecasting.Trainers.PatchTSMixer(series, options with { Epochs = 1, ValidationFraction = 0 });
            var (mean, deviation) = Moments(rows[..count]);
            using var table = tensor(rows[..count].SelectMany(row => row.Select((value, c) => (float)((value - mean[c]) / deviation[c]))).ToArray(), count, Channels);
            var seconds = Clock.Medians(5, () => trainer.Fit(view), () => ByHand(table, series.ContextLength, options));
            Console.WriteLine(
                $"forecast time: {steps} steps of {Batch} windows of {series.ContextLength} rows, fit {seconds[0] / steps * 1e3:F1} ms a step (reading, model and all), "
                + $"by hand {seconds[1] / steps * 1e3:F1} ms, ratio {seconds[0] / seconds[1]:F2}");
        }
    }

    private static int First => Training + Held - 1;

    private static IEnumerable<int> Tests() => Enumerable.Range(0, (Held - Horizon + Every) / Every).Select(i => First + (i * Every));

    private static IDataView View(MLContext ml, float[][] rows) => ml.Data.LoadFromEnumerable(rows.Select(row => new Row { Values = row }).ToArray());

    private static (double[] Mean, double[] Deviation) Moments(float[][] rows)
    {
        double[] mean = [.. Enumerable.Range(0, Channels).Select(c => rows.Average(row => (double)row[c]))];
        return (mean, [.. Enumerable.Range(0, Channels).Select(c => Math.Sqrt(rows.Average(row => Math.Pow(row[c] - mean[c], 2))))]);
    }

    private static float[][]? Read()
    {
        var path = Path.Combine(Choice.DataFolder, "ett_small", "ETTh1.csv.gz");
        if (!File.Exists(path))
        {
            Console.WriteLine($"forecast: {path} is not there: set MLNETMLP_DATA to the folder of the public data sets.");
            return null;
        }

        using var reader = new StreamReader(new GZipStream(File.OpenRead(path), CompressionMode.Decompress));
        var rows = new List<float[]>();
        reader.ReadLine();
        while (reader.ReadLine() is { } line)
            rows.Add([.. line.Split(',').Skip(1).Select(word => float.Parse(word, CultureInfo.InvariantCulture))]);
        return [.. rows];
    }

    /// <summary>The same network as a person would write it in TorchSharp, and the plainest loop around it.</summary>
    private static void ByHand(Tensor table, int length, PatchTSMixer.Options options)
    {
        using var network = new HandMixer(length, options);
        using var optimizer = optim.Adam(network.parameters(), lr: 1e-3);
        var windows = table.shape[0] - length - Horizon + 1;
        using var x = table.as_strided([windows, length, Channels], [Channels, Channels, 1]);
        using var y = table.as_strided([windows, Horizon, Channels], [Channels, Channels, 1], length * Channels);
        using var order = randperm(windows);
        network.train();
        for (long start = 0; start < windows; start += Batch)
        {
            using var scope = NewDisposeScope();
            var index = order.narrow(0, start, Math.Min(Batch, windows - start));
            optimizer.zero_grad();
            var loss = functional.mse_loss(network.call(x.index_select(0, index)), y.index_select(0, index));
            loss.backward();
            optimizer.step();
            _ = loss.item<float>();
        }
    }

    private sealed class Past
    {
        public float[] Values { get; set; } = [];
    }

    private sealed class HandMixer : Module<Tensor, Tensor>
    {
        private readonly int _patch;
        private readonly Linear embed;
        private readonly ModuleList<HandLayer> layers = [];
        private readonly TorchSharp.Modules.Dropout drop;
        private readonly Linear head;

        public HandMixer(int length, PatchTSMixer.Options options)
            : base(nameof(HandMixer))
        {
            _patch = options.PatchLength;
            embed = Linear(_patch, options.DModel);
            drop = nn.Dropout(options.HeadDropout);
            head = Linear(length / _patch * options.DModel, Horizon);
            for (var layer = 0; layer < options.NumLayers; layer++)
            {
                layers.Add(new HandLayer(length / _patch, true, options));
                layers.Add(new HandLayer(options.DModel, false, options));
            }

            RegisterComponents();
        }

        public override Tensor forward(Tensor input)
        {
            var x = input.transpose(1, 2);
            var location = x.mean([-1L], true);
            var scale = (x.var([-1L], false, true) + 1e-5).sqrt();
            var h = embed.call(((x - location) / scale).unfold(-1, _patch, _patch));
            foreach (var layer in layers)
                h = layer.call(h);
            return (head.call(drop.call(h.flatten(2))) * scale + location).transpose(1, 2);
        }
    }

    private sealed class HandLayer : Module<Tensor, Tensor>
    {
        private readonly bool _mixesPatches;
        private readonly LayerNorm norm;
        private readonly Linear expand;
        private readonly Linear contract;
        private readonly Linear gate;
        private readonly TorchSharp.Modules.Dropout drop;

        public HandLayer(int size, bool mixesPatches, PatchTSMixer.Options options)
            : base(nameof(HandLayer))
        {
            _mixesPatches = mixesPatches;
            norm = LayerNorm(options.DModel);
            (expand, contract, gate) = (Linear(size, options.ExpansionFactor * size), Linear(options.ExpansionFactor * size, size), Linear(size, size));
            drop = nn.Dropout(options.Dropout);
            RegisterComponents();
        }

        public override Tensor forward(Tensor input)
        {
            var u = norm.call(input);
            u = _mixesPatches ? u.transpose(2, 3) : u;
            u = drop.call(contract.call(drop.call(functional.gelu(expand.call(u)))));
            u = u * gate.call(u).softmax(-1);
            return input + (_mixesPatches ? u.transpose(2, 3) : u);
        }
    }

    /// <summary>A linear layer from the scaled past of a channel to its future: what a mixer has to be better than.</summary>
    private sealed class SharedLinear(GradientTrainedOptions options) : INetworkMethod
    {
        public string Name => nameof(SharedLinear);

        NetworkOptions INetworkMethod.Options => options;

        public Networks.Network Fit(Data.TrainingSet data, Networks.TaskHead head, TrainingRun run)
        {
            var network = run.Create(new SharedLinearDefinition { Inputs = data.FeatureCount, Outputs = head.Outputs, Channels = data.Series!.Channels });
            ((SharedLinearDefinition.SharedLinearNetwork)network).Standardize(data.Statistics);
            run.Minimize(network, data, head, options.ToSettings(data.RowCount));
            return network;
        }
    }
}

/// <summary>The record that rebuilds a shared linear forecast.</summary>
public sealed record SharedLinearDefinition : Networks.NetworkDefinition
{
    /// <summary>Number of channels.</summary>
    public required int Channels { get; init; }

    /// <inheritdoc/>
    public override long WeightCount => (2L * Channels) + (((Inputs / Channels) + 1L) * (Outputs / Channels));

    /// <inheritdoc/>
    public override Networks.Network Build(Device device) => new SharedLinearNetwork(this, device);

    internal sealed class SharedLinearNetwork : Networks.Network
    {
        private readonly SharedLinearDefinition _definition;
        private readonly Tensor mean;
        private readonly Tensor scale;
        private readonly Networks.Dense linear;

        public SharedLinearNetwork(SharedLinearDefinition definition, Device device)
            : base(definition)
        {
            _definition = definition;
            (mean, scale) = (zeros(definition.Channels, device: device), ones(definition.Channels, device: device));
            linear = new(definition.Inputs / definition.Channels, definition.Outputs / definition.Channels, device);
            RegisterComponents();
        }

        public override void Initialize(Generator random) => linear.Initialize(random);

        // The numbers of all steps of a channel have the same statistics.
        public void Standardize(Data.FeatureStatistics statistics)
        {
            using var noGradient = no_grad();
            using Tensor means = tensor(statistics.Mean.Take(_definition.Channels).ToArray()), scales = tensor(statistics.Scale().Take(_definition.Channels).ToArray());
            mean.copy_(means);
            scale.copy_(scales);
        }

        public override Tensor forward(Tensor input)
        {
            var scaling = Layers.InstanceScaling.Of(input.view(input.shape[0], -1, _definition.Channels).sub(mean).div(scale).transpose(1, 2), Layers.InstanceScale.Std);
            return scaling.Inverse(linear.call(scaling.Scaled)).transpose(1, 2).flatten(1);
        }
    }
}
