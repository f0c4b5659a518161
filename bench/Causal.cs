using System.Diagnostics;
using System.Globalization;
using System.IO.Compression;
using Microsoft.ML;
using Microsoft.ML.Data;
using MlNetMlp.Causal;
using MlNetMlp.Tabular;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace MlNetMlp.Bench;

/// <summary>
/// Outcomes under treatments: a fit against a loop by hand, the closed form of doses, of which the true response is known, and IHDP, whose outcomes are simulated on real covariates. Beside it
/// an S-learner, one network on covariates and treatment side by side.
/// </summary>
internal static class Causal
{
    private const int Seeds = 3;
    private const int TestUnits = 200;
    private const int GridDoses = 200;
    private const int IhdpFiles = 5;
    private const int IhdpCovariates = 25;
    private const int StepRows = 8192;
    private const int StepBatch = 512;
    private const int StepEpochs = 5;

    // One network or one forest of trees on [covariates, treatment]: the networks with the same optimiser, and two hidden layers as wide as those of the baseline of the papers.
    private static readonly (string Name, Func<MLContext, int, IEstimator<ITransformer>> Trainer)[] SLearners =
    [
        ("S-learner, ScaledMlp", (ml, seed) => ml.Regression.Trainers.ScaledMlp(Single(seed))),
        ("S-learner, plain ReLU layers", (ml, seed) => ml.Regression.Trainers.ScaledMlp(
            Single(seed) with { Normalization = ScaledMlpNormalization.None, Activation = ScaledMlpActivation.Relu })),
        ("S-learner, LightGBM", (ml, _) => ml.Regression.Trainers.LightGbm()),
    ];

    private static readonly Dictionary<string, Action> Parts = new() { ["steps"] = Steps, ["doses"] = Doses, ["ihdp"] = Ihdp };

    public static void Run(ILookup<string, string> options) => Choice.RunParts(options, "causal", Parts);

    private static void Steps()
    {
        var (ml, options) = (new MLContext(1), new TransTee.Options { Epochs = StepEpochs, BatchSize = StepBatch, ValidationFraction = 0, Patience = 0, Seed = 1 });
        var rows = new DoseResponseBenchmark { Rows = StepRows, Seed = 1 }.MakeRows().ToArray();
        var (view, trainer) = (ml.Data.LoadFromEnumerable(rows), ml.CausalInference.Trainers.TransTee(options));
        var x = tensor(rows.SelectMany(row => row.Features).ToArray(), StepRows, rows[0].Features.Length);
        var (t, y) = (tensor(rows.Select(row => row.Treatment).ToArray(), StepRows, 1), tensor(rows.Select(row => row.Label).ToArray(), StepRows, 1));
        var threads = get_num_threads();
        var seconds = Clock.Medians(5, () => trainer.Fit(view), () => ByHand(threads), () => ByHand(1));
        set_num_threads(threads);
        Console.WriteLine($"steps: {StepEpochs} epochs of {StepRows} rows, {rows[0].Features.Length} covariates and a dose, batch {StepBatch}: fit {seconds[0] * 1e3:F0} ms (reading, model and all), "
            + $"by hand {seconds[1] * 1e3:F0} ms with {threads} threads, {seconds[2] * 1e3:F0} ms with one, ratio to the faster {seconds[0] / Math.Min(seconds[1], seconds[2]):F2}");

        void ByHand(int count)
        {
            set_num_threads(count);
            using var network = new PlainTee((int)x.shape[1], options);
            network.Train(x, t, y, options);
        }
    }

    private static void Doses()
    {
        (string Name, Func<MLContext, int, IDataView, IDataView, float[], float[][]> Respond)[] methods =
        [
            .. SLearners.Select(learner =>
                (learner.Name, new Func<MLContext, int, IDataView, IDataView, float[], float[][]>((ml, seed, train, test, grid) => SLearner(ml, learner.Trainer(ml, seed), train, test, grid)))),
            ("TransTee", (ml, seed, train, test, grid) => Respond(ml, new() { Seed = seed, Doses = [.. grid] }, train, test)),
            ("TransTee, shared tokens", (ml, seed, train, test, grid) => Respond(ml, new() { Seed = seed, Doses = [.. grid], CovariateTokens = CovariateTokens.Shared }, train, test)),
            ("TransTee, TR", (ml, seed, train, test, grid) => Respond(ml, new() { Seed = seed, Doses = [.. grid], Regularizer = TreatmentRegularizer.Treatment }, train, test)),
        ];
        foreach (var (name, respond) in methods)
        {
            var (curve, unit, clock) = (new List<double>(), new List<double>(), new Stopwatch());
            for (var seed = 0; seed < Seeds; seed++)
            {
                var ml = new MLContext(seed);
                var train = ml.Data.CreateDoseResponseBenchmark(new() { Rows = 500, Seed = (2 * seed) + 1 });
                var units = new DoseResponseBenchmark { Rows = TestUnits, Seed = (2 * seed) + 2 }.MakeRows().ToArray();

                // The doses that training rows have had, less the outermost hundredth at both ends.
                var seen = train.GetColumn<float>("Treatment").Order().ToArray();
                var (least, greatest) = (seen[seen.Length / 100], seen[^((seen.Length / 100) + 1)]);
                float[] grid = [.. Enumerable.Range(0, GridDoses).Select(i => least + (i * (greatest - least) / (GridDoses - 1)))];
                clock.Start();
                var predicted = respond(ml, seed, train, ml.Data.LoadFromEnumerable(units), grid);
                clock.Stop();
                var pairs = ml.Data.LoadFromEnumerable(
                    units.Select((row, i) => new Pair { Truth = [.. grid.Select(t => (float)DoseResponseBenchmark.Response(row.Features, t))], Predicted = predicted[i] }), Pair.Schema(GridDoses));
                var metrics = ml.CausalInference.EvaluateDoseResponse(pairs, "Truth", "Predicted");
                curve.Add(metrics.CurveMeanSquaredError);
                unit.Add(metrics.UnitMeanSquaredError);
            }

            Console.WriteLine($"doses: {name}: curve MSE {Text(curve)}, unit MSE {Text(unit)}; {clock.Elapsed.TotalSeconds / Seeds:F1} s a seed");
        }
    }

    private static float[][] Respond(MLContext ml, TransTee.Options options, IDataView train, IDataView test) =>
        [.. ml.CausalInference.Trainers.TransTee(options).Fit(train).Transform(test).GetColumn<float[]>("DoseResponse")];

    private static float[][] SLearner(MLContext ml, IEstimator<ITransformer> trainer, IDataView train, IDataView test, float[] grid)
    {
        var model = trainer.Fit(Joined(ml, train.GetColumn<float[]>("Features").Zip(train.GetColumn<float>("Treatment"), (x, t) => (x, t)), train.GetColumn<float>("Label")));
        var scores = model.Transform(Joined(ml, test.GetColumn<float[]>("Features").SelectMany(x => grid.Select(t => (x, t))), null)).GetColumn<float>("Score").ToArray();
        return [.. scores.Chunk(grid.Length)];
    }

    private static ScaledMlp.Options Single(int seed)
    {
        var tee = new TransTee.Options();
        return new()
        {
            Seed = seed, Width = 50, Blocks = 2, Architecture = ScaledMlpArchitecture.Standard, LearningRate = tee.LearningRate, WeightDecay = tee.WeightDecay, Schedule = tee.Schedule,
            Epochs = tee.Epochs, Patience = tee.Patience, BatchSize = 512,
        };
    }

    private static IDataView Joined(MLContext ml, IEnumerable<(float[] X, float T)> rows, IEnumerable<float>? labels)
    {
        Unit[] units = [.. rows.Select(row => new Unit { Features = [.. row.X, row.T] })];
        foreach (var (unit, label) in units.Zip(labels ?? []))
            unit.Label = label;
        return ml.Data.LoadFromEnumerable(units, Unit.Schema(units[0].Features.Length));
    }

    private static void Ihdp()
    {
        var path = Path.Combine(Choice.DataFolder, "ihdp", "ihdp_npci_1-50.zip");
        if (!File.Exists(path))
        {
            Console.WriteLine($"ihdp: there is no {path}; set MLNETMLP_DATA.");
            return;
        }

        var figures = new Dictionary<string, List<TreatmentEffectMetrics>>();
        void Add(string name, TreatmentEffectMetrics metrics) => (figures.TryGetValue(name, out var list) ? list : figures[name] = []).Add(metrics);
        for (var file = 1; file <= IhdpFiles; file++)
        {
            var ml = new MLContext(file);
            var rows = Read(path, file);

            // A tenth is left out of training, and all figures are of it.
            Unit[] train = [.. rows.Where((_, i) => i % 10 != 9)];
            Unit[] test = [.. rows.Where((_, i) => i % 10 == 9)];
            var difference = train.Where(row => row.Treatment).Average(row => row.Label) - train.Where(row => !row.Treatment).Average(row => row.Label);
            Add("difference of the groups", Metrics(ml, test, [.. test.Select(_ => new[] { 0, difference })]));

            var joined = Joined(ml, train.Select(row => (row.Features, row.Treatment ? 1f : 0f)), train.Select(row => row.Label));
            var both = Joined(ml, test.SelectMany(row => new[] { (row.Features, 0f), (row.Features, 1f) }), null);
            foreach (var (name, trainer) in SLearners)
                Add(name, Metrics(ml, test, [.. trainer(ml, file).Fit(joined).Transform(both).GetColumn<float>("Score").Chunk(2)]));
            foreach (var regularizer in new[] { TreatmentRegularizer.None, TreatmentRegularizer.Treatment })
            {
                var model = ml.CausalInference.Trainers.TransTee(new TransTee.Options { Seed = file, Regularizer = regularizer }).Fit(ml.Data.LoadFromEnumerable(train, Unit.Schema(IhdpCovariates)));
                Add($"TransTee, {regularizer}", Metrics(ml, test, [.. model.Transform(ml.Data.LoadFromEnumerable(test, Unit.Schema(IhdpCovariates))).GetColumn<float[]>("PotentialOutcomes")]));
            }
        }

        foreach (var (name, metrics) in figures)
            Console.WriteLine($"ihdp: {IhdpFiles} simulations: {name}: PEHE {Text(metrics.Select(m => m.Pehe))}, ATE error {Text(metrics.Select(m => m.AteError))}");
    }

    private static TreatmentEffectMetrics Metrics(MLContext ml, Unit[] units, float[][] predicted) => ml.CausalInference.Evaluate(
        ml.Data.LoadFromEnumerable(units.Select((unit, i) => new Pair { Truth = unit.Truth, Predicted = predicted[i] }), Pair.Schema(2)), "Truth", "Predicted");

    private static Unit[] Read(string path, int file)
    {
        using var archive = ZipFile.OpenRead(path);
        var entry = archive.Entries.Single(entry => entry.Name == string.Create(CultureInfo.InvariantCulture, $"ihdp_npci_{file}.csv"));
        using var reader = new StreamReader(entry.Open());
        var names = reader.ReadLine()!.Split(',').ToList();
        var rows = new List<Unit>();
        while (reader.ReadLine() is { } line)
        {
            float[] values = [.. line.Split(',').Select(text => float.Parse(text, CultureInfo.InvariantCulture))];
            float Of(string name) => values[names.IndexOf(name)];
            rows.Add(new()
            {
                Features = [.. Enumerable.Range(1, IhdpCovariates).Select(i => Of($"x{i}"))], Treatment = Of("treatment") > 0, Label = Of("y_factual"), Truth = [Of("mu0"), Of("mu1")],
            });
        }

        return [.. rows];
    }

    private static string Text(IEnumerable<double> values) => $"{values.Average():F3} ({string.Join(", ", values.Select(value => value.ToString("F3", CultureInfo.InvariantCulture)))})";

    private sealed class Unit
    {
        public float[] Features { get; set; } = [];

        public bool Treatment { get; set; }

        public float Label { get; set; }

        [VectorType(2)]
        public float[] Truth { get; set; } = [0, 0];

        public static SchemaDefinition Schema(int features)
        {
            var schema = SchemaDefinition.Create(typeof(Unit));
            schema[nameof(Features)].ColumnType = new VectorDataViewType(NumberDataViewType.Single, features);
            return schema;
        }
    }

    private sealed class Pair
    {
        public float[] Truth { get; set; } = [];

        public float[] Predicted { get; set; } = [];

        public static SchemaDefinition Schema(int width)
        {
            var schema = SchemaDefinition.Create(typeof(Pair));
            foreach (var name in new[] { nameof(Truth), nameof(Predicted) })
                schema[name].ColumnType = new VectorDataViewType(NumberDataViewType.Single, width);
            return schema;
        }
    }

    /// <summary>The same network and loop in plain TorchSharp, for doses.</summary>
    private sealed class PlainTee : nn.Module<Tensor, Tensor, Tensor>
    {
        private readonly Parameter weights;
        private readonly Parameter biases;
        private readonly Linear dose;
        private readonly MultiheadAttention encoder_attention;
        private readonly LayerNorm encoder_norm;
        private readonly Sequential encoder_layers;
        private readonly LayerNorm encoder_last;
        private readonly Sequential own;
        private readonly LayerNorm own_norm;
        private readonly MultiheadAttention decoder_attention;
        private readonly LayerNorm decoder_norm;
        private readonly Sequential decoder_layers;
        private readonly LayerNorm decoder_last;
        private readonly Sequential outcome;
        private readonly Dropout dropout;

        public PlainTee(int covariates, TransTee.Options options)
            : base(nameof(PlainTee))
        {
            var (d, leftOut) = (options.EmbedDim, options.Dropout);
            (weights, biases) = (new Parameter(randn(covariates, d).mul_(0.1)), new Parameter(randn(covariates, d).mul_(0.1)));
            dose = nn.Linear(1, d);
            (encoder_attention, decoder_attention) = (nn.MultiheadAttention(d, options.Heads), nn.MultiheadAttention(d, options.Heads));
            (encoder_norm, encoder_last, own_norm, decoder_norm, decoder_last) = (nn.LayerNorm(d), nn.LayerNorm(d), nn.LayerNorm(d), nn.LayerNorm(d), nn.LayerNorm(d));
            (encoder_layers, decoder_layers) = (Layers(), Layers());
            own = nn.Sequential(nn.Linear(d, d), nn.Linear(d, d));
            outcome = nn.Sequential(nn.Linear(d, d), nn.ReLU(), nn.Linear(d, 1));
            dropout = nn.Dropout(leftOut);
            RegisterComponents();

            Sequential Layers() => nn.Sequential(nn.Linear(d, options.FeedForwardDim), nn.ReLU(), nn.Linear(options.FeedForwardDim, d), nn.Dropout(leftOut));
        }

        // Attention of TorchSharp reads [tokens, rows, d].
        public override Tensor forward(Tensor x, Tensor t)
        {
            var e = (x.unsqueeze(2) * weights + biases).transpose(0, 1);
            e = encoder_norm.call(e + dropout.call(Read(encoder_attention, e, e)));
            e = encoder_last.call(e + encoder_layers.call(e));
            var q = dose.call(t).unsqueeze(0);
            q = own_norm.call(q + dropout.call(own.call(q)));
            q = decoder_norm.call(q + dropout.call(Read(decoder_attention, q, e)));
            return outcome.call(decoder_last.call(q + decoder_layers.call(q))).squeeze(0);
        }

        public void Train(Tensor x, Tensor t, Tensor y, TransTee.Options options)
        {
            var count = x.shape[0];
            var (standardX, standardT, standardY) = ((x - x.mean([0])) / x.std(0), (t - t.mean()) / t.std(), (y - y.mean()) / y.std());
            using var optimizer = optim.AdamW(parameters(), lr: options.LearningRate, weight_decay: options.WeightDecay);
            var steps = StepEpochs * (count / StepBatch);
            var schedule = optim.lr_scheduler.CosineAnnealingLR(optimizer, steps);
            train();
            for (var epoch = 0; epoch < StepEpochs; epoch++)
            {
                using var order = randperm(count);
                for (long start = 0; start < count; start += StepBatch)
                {
                    using var scope = NewDisposeScope();
                    var index = order.narrow(0, start, Math.Min(StepBatch, count - start));
                    optimizer.zero_grad();
                    var loss = nn.functional.mse_loss(call(standardX.index_select(0, index), standardT.index_select(0, index)), standardY.index_select(0, index));
                    loss.backward();
                    nn.utils.clip_grad_norm_(parameters(), 1);
                    optimizer.step();
                    schedule.step();
                }
            }
        }

        private static Tensor Read(MultiheadAttention attention, Tensor query, Tensor tokens) => attention.call(query, tokens, tokens, null!, false, null!).Item1;
    }
}
