using System.Diagnostics;
using System.Globalization;
using System.IO.Compression;
using Microsoft.ML;
using Microsoft.ML.Data;
using MlNetMlp.Recommendation;
using MlNetMlp.Training;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace MlNetMlp.Bench;

/// <summary>
/// Networks over columns of keys: a step against a loop by hand, a table of a million keys against one of ten thousand, and how well they tell a click beside ML.NET's own trainers
/// on one-hot keys.
/// </summary>
internal static class Fields
{
    private const int Dim = 10;
    private const int Heads = 5;
    private const int Batch = 4096;
    private const int Epochs = 4;
    private const int FieldCount = 10;

    // Users, items and contexts of a shop for applications.
    private static readonly int[] Shop = [957, 4082, 7, 2, 3, 2, 9, 80, 233, 7];

    private static readonly FinalMlp.Options Network = new()
    {
        CategoricalColumns = [.. Enumerable.Range(0, FieldCount).Select(Name)], EmbeddingDim = Dim, Heads = Heads, Mlp1Dropout = 0.4, Mlp2Dropout = 0.4, GateHiddenUnits = [400],
        Gate1Context = [Name(0)], Gate2Context = [Name(1)], BatchSize = Batch, Epochs = Epochs, ValidationFraction = 0, Seed = 1,
    };

    private static readonly Dictionary<string, Action> Parts = new()
    {
        ["steps"] = Steps,
        ["keys"] = ManyKeys,
        ["likes"] = Likes,
        ["adult"] = () => Peers("adult", "adult/adult_train.csv.gz", "adult/adult_test.csv.gz", "income"),
        ["bank"] = () => Peers("bank_marketing", "bank_marketing/bank_full.csv.gz", null, "y"),
    };

    public static void Run(ILookup<string, string> options) => Choice.RunParts(options, "fields", Parts);

    private static string Name(int field) => string.Create(CultureInfo.InvariantCulture, $"F{field}");

    private static void Steps()
    {
        const int count = 16 * Batch;
        var (ml, rows) = (new MLContext(1), Rows(count, Shop));
        var view = View(ml, rows, Shop);
        var trainer = ml.BinaryClassification.Trainers.FinalMlp(Network);
        var (x, y) = (tensor(rows.SelectMany(row => row.Keys.Select(key => (float)key + 1)).ToArray(), count, FieldCount), tensor(rows.Select(row => row.Label ? 1f : 0f).ToArray()));
        using var network = new ByHand(Shop);
        var seconds = Clock.Medians(3, () => trainer.Fit(view), () => network.Train(x, y, get_num_threads()), () => network.Train(x, y, 1));
        set_num_threads(Environment.ProcessorCount);
        Console.WriteLine($"fields: {Epochs} epochs of {count} rows, batch {Batch}, {Shop.Sum()} keys of {FieldCount} fields: fit {seconds[0] * 1e3:F0} ms (reading, model and all), by hand with a dense table "
            + $"{seconds[1] * 1e3:F0} ms, {seconds[2] * 1e3:F0} ms with one thread, ratio to the faster {seconds[0] / Math.Min(seconds[1], seconds[2]):F2}");
    }

    private static void ManyKeys()
    {
        const int count = 8 * Batch;
        foreach (var keys in new[] { 10_000, 1_000_000 })
        {
            int[] fields = [keys, .. Shop[1..]];
            var (ml, rows) = (new MLContext(1), Rows(count, fields));
            var view = View(ml, rows, fields);
            var options = Network with { Gate1Context = [], Gate2Context = [] };
            var before = Resident();
            var peak = before;
            var clock = new Stopwatch();
            var last = 0L;
            var progress = new Watcher(step =>
            {
                if (step == 0)
                    return;
                if (!clock.IsRunning)
                    clock.Start();
                last = step;
                peak = Math.Max(peak, Resident());
            });
            var epochs = 8;
            var model = ml.BinaryClassification.Trainers.FinalMlp(options with { Epochs = epochs, Progress = progress }).Fit(view);
            clock.Stop();
            var seconds = Clock.Medians(3, () => ml.BinaryClassification.Trainers.FinalMlp(options with { Epochs = 1 }).Fit(view), () => ml.BinaryClassification.Trainers.FinalMlp(options with { Epochs = 5 }).Fit(view));
            var step = (seconds[1] - seconds[0]) / (4 * count / Batch);
            Console.WriteLine($"fields: first field of {keys} keys: {step * 1e3:F1} ms a step of {Batch} rows; {before} MB before the fit, {peak} MB at most seen in it, {model.Model.Network.WeightCount * 4 / 1_000_000.0:F1} MB of weights");
            if (keys > 100_000)
            {
                var (x, y) = (tensor(rows.SelectMany(row => row.Keys.Select(key => (float)key + 1)).ToArray(), count, FieldCount), tensor(rows.Select(row => row.Label ? 1f : 0f).ToArray()));
                using var network = new ByHand(fields);
                var start = Stopwatch.GetTimestamp();
                network.Train(x, y, get_num_threads(), epochs: 1);
                Console.WriteLine($"fields: by hand with a dense table {Stopwatch.GetElapsedTime(start).TotalMilliseconds / (count / Batch):F1} ms a step");
            }
        }
    }

    private static void Likes()
    {
        const int count = 60_000;
        int[] fields = [1000, 500, .. Shop[2..]];
        foreach (var seed in new[] { 0, 1, 2 })
        {
            var (ml, rows) = (new MLContext(seed), Rows(count, fields, seed));
            var (train, test) = (View(ml, rows[..50_000], fields), View(ml, rows[50_000..], fields));
            Compare(ml, $"likes of {fields[0]} users and {fields[1]} items, seed {seed}", train, test, [.. Enumerable.Range(0, FieldCount).Select(Name)], null);
        }
    }

    private static void Peers(string name, string trainFile, string? testFile, string label)
    {
        var folder = Choice.DataFolder;
        if (!File.Exists(Path.Combine(folder, trainFile)))
        {
            Console.WriteLine($"fields: there is no {trainFile} in {folder}; set MLNETMLP_DATA.");
            return;
        }

        var (header, lines) = ReadTable(Path.Combine(folder, trainFile));
        var random = new Random(1);
        string[][] test;
        if (testFile is null)
        {
            random.Shuffle(lines);
            (lines, test) = (lines[..(lines.Length * 3 / 4)], lines[(lines.Length * 3 / 4)..]);
        }
        else
        {
            test = ReadTable(Path.Combine(folder, testFile)).Lines;
        }

        var place = Array.IndexOf(header, label);
        var positive = lines.GroupBy(line => line[place]).OrderBy(group => group.Count()).First().Key;
        var isNumber = Enumerable.Range(0, header.Length).Select(i => i != place && lines.All(line => float.TryParse(line[i], CultureInfo.InvariantCulture, out _))).ToArray();
        int[] keys = [.. Enumerable.Range(0, header.Length).Where(i => i != place && !isNumber[i])], numbers = [.. Enumerable.Range(0, header.Length).Where(i => isNumber[i])];
        var ml = new MLContext(1);
        var schema = SchemaDefinition.Create(typeof(Record));
        schema[nameof(Record.Features)].ColumnType = new VectorDataViewType(NumberDataViewType.Single, numbers.Length);
        schema[nameof(Record.Texts)].ColumnType = new VectorDataViewType(TextDataViewType.Instance, keys.Length);
        IDataView View(string[][] part) => ml.Data.LoadFromEnumerable(
            part.Select(line => new Record { Features = [.. numbers.Select(i => float.Parse(line[i], CultureInfo.InvariantCulture))], Texts = [.. keys.Select(i => line[i])], Label = line[place] == positive }), schema);

        // Each text is a column of its own, and each of these a key.
        IEstimator<ITransformer> chain = ml.Transforms.NormalizeMeanVariance("Features");
        for (var i = 0; i < keys.Length; i++)
        {
            var slot = i;
            chain = chain.Append(ml.Transforms.CustomMapping<Texts, One>((from, to) => to.Text = from.Values[slot], null, TextsOf(keys.Length))).Append(ml.Transforms.Conversion.MapValueToKey(Name(i), nameof(One.Text)));
        }

        var prepared = chain.Fit(View(lines));
        Compare(ml, $"{name}, {keys.Length} fields, {numbers.Length} numbers", prepared.Transform(View(lines)), prepared.Transform(View(test)), [.. keys.Select((_, i) => Name(i))], "Features");
    }

    private static SchemaDefinition TextsOf(int count)
    {
        var schema = SchemaDefinition.Create(typeof(Texts));
        var values = schema[nameof(Texts.Values)];
        (values.ColumnName, values.ColumnType) = (nameof(Record.Texts), new VectorDataViewType(TextDataViewType.Instance, count));
        return schema;
    }

    private static void Compare(MLContext ml, string what, IDataView train, IDataView test, string[] keys, string? features)
    {
        (train, test) = (ml.Data.Cache(train), ml.Data.Cache(test));
        IEstimator<ITransformer> oneHot = new EstimatorChain<ITransformer>();
        foreach (var key in keys)
            oneHot = oneHot.Append(ml.Transforms.Conversion.MapKeyToVector("Hot" + key, key));
        string[] all = [.. keys.Select(key => "Hot" + key), .. features is null ? Array.Empty<string>() : [features]];
        var concatenated = oneHot.Append(ml.Transforms.Concatenate("All", all));
        var options = new FinalMlp.Options { CategoricalColumns = [.. keys], FeatureColumnName = features, Seed = 1 };
        var dual = new DualMlp.Options { CategoricalColumns = [.. keys], FeatureColumnName = features, Seed = 1 };
        (string Name, IEstimator<ITransformer> Trainer)[] trainers =
        [
            ("FinalMlp", ml.BinaryClassification.Trainers.FinalMlp(options)),
            ("DualMlp", ml.BinaryClassification.Trainers.DualMlp(dual)),
            ("FieldAwareFactorizationMachine", oneHot.Append(ml.BinaryClassification.Trainers.FieldAwareFactorizationMachine(all))),
            ("LightGbm", concatenated.Append(ml.BinaryClassification.Trainers.LightGbm(featureColumnName: "All"))),
            ("SdcaLogisticRegression", concatenated.Append(ml.BinaryClassification.Trainers.SdcaLogisticRegression(featureColumnName: "All"))),
        ];
        foreach (var (name, trainer) in trainers)
        {
            var start = Stopwatch.GetTimestamp();
            var model = trainer.Fit(train);
            var fit = Stopwatch.GetElapsedTime(start).TotalSeconds;
            start = Stopwatch.GetTimestamp();
            var metrics = ml.BinaryClassification.Evaluate(model.Transform(test));
            Console.WriteLine($"fields: {what}: {name}: AUC {metrics.AreaUnderRocCurve:F4}, log-loss {metrics.LogLoss * Math.Log(2):F4}, fit {fit:F1} s, scored and evaluated in {Stopwatch.GetElapsedTime(start).TotalSeconds:F1} s");
        }
    }

    private static (string[] Header, string[][] Lines) ReadTable(string path)
    {
        using var stream = new StreamReader(new GZipStream(File.OpenRead(path), CompressionMode.Decompress));
        var lines = new List<string[]>();
        while (stream.ReadLine() is { Length: > 0 } line)
            lines.Add(line.Replace("\"", "", StringComparison.Ordinal).Split(','));
        return (lines[0], [.. lines.Skip(1)]);
    }

    // A user likes an item as their factors agree; the other fields say little.
    private static Row[] Rows(int count, int[] fields, int seed = 1)
    {
        const int factors = 3;
        var random = new Random(seed);
        var users = Factors(fields[0]);
        var items = Factors(fields[1]);
        var bias = Enumerable.Range(0, fields[7]).Select(_ => Normal() / 2).ToArray();
        var rows = new Row[count];
        for (var i = 0; i < count; i++)
        {
            var keys = fields.Select(field => (uint)(field * random.NextDouble() * random.NextDouble())).ToArray();
            var logit = bias[keys[7]];
            for (var k = 0; k < factors; k++)
                logit += 1.2 * users[(keys[0] * factors) + k] * items[(keys[1] * factors) + k];
            rows[i] = new() { Keys = keys, Label = random.NextDouble() < 1 / (1 + Math.Exp(-logit)) };
        }

        return rows;

        double Normal() => Math.Sqrt(-2 * Math.Log(1 - random.NextDouble())) * Math.Cos(2 * Math.PI * random.NextDouble());

        double[] Factors(int many) => [.. Enumerable.Range(0, many * factors).Select(_ => Normal())];
    }

    // A key of a field of a class counts from 0.
    private static IDataView View(MLContext ml, Row[] rows, int[] fields)
    {
        var schema = SchemaDefinition.Create(typeof(Keyed));
        for (var i = 0; i < FieldCount; i++)
            schema[Name(i)].ColumnType = new KeyDataViewType(typeof(uint), fields[i]);
        return ml.Data.LoadFromEnumerable(
            rows.Select(row => new Keyed
            {
                F0 = row.Keys[0], F1 = row.Keys[1], F2 = row.Keys[2], F3 = row.Keys[3], F4 = row.Keys[4], F5 = row.Keys[5], F6 = row.Keys[6], F7 = row.Keys[7], F8 = row.Keys[8], F9 = row.Keys[9],
                Label = row.Label,
            }).ToArray(),
            schema);
    }

    private static long Resident()
    {
        using var process = Process.GetCurrentProcess();
        return process.WorkingSet64 / 1_000_000;
    }

    private sealed class Row
    {
        public uint[] Keys { get; init; } = [];

        public bool Label { get; init; }
    }

    private sealed class Keyed
    {
        public uint F0 { get; set; }

        public uint F1 { get; set; }

        public uint F2 { get; set; }

        public uint F3 { get; set; }

        public uint F4 { get; set; }

        public uint F5 { get; set; }

        public uint F6 { get; set; }

        public uint F7 { get; set; }

        public uint F8 { get; set; }

        public uint F9 { get; set; }

        public bool Label { get; set; }
    }

    private sealed class Record
    {
        public float[] Features { get; set; } = [];

        public string[] Texts { get; set; } = [];

        public bool Label { get; set; }
    }

    private sealed class Texts
    {
        public string[] Values { get; set; } = [];
    }

    private sealed class One
    {
        public string Text { get; set; } = "";
    }

    private sealed class Watcher(Action<long> heard) : IProgress<TrainingProgress>
    {
        public void Report(TrainingProgress value) => heard(value.Step);
    }

    /// <summary>The same network and loop in plain TorchSharp: dense gradients and Adam over all vectors of keys, as its own embeddings have them.</summary>
    private sealed class ByHand : nn.Module<Tensor, Tensor>
    {
        private readonly Tensor _offsets;
        private readonly Parameter table;
        private readonly Parameter context1;
        private readonly Parameter context2;
        private readonly Sequential gate1;
        private readonly Sequential gate2;
        private readonly Sequential stream1;
        private readonly Sequential stream2;
        private readonly Linear output1;
        private readonly Linear output2;
        private readonly Parameter bilinear;

        public ByHand(int[] fields)
            : base(nameof(ByHand))
        {
            var first = new long[fields.Length];
            for (var i = 1; i < fields.Length; i++)
                first[i] = first[i - 1] + fields[i - 1] + 2;
            _offsets = tensor(first);
            table = new(randn(fields.Sum(field => field + 2L), Dim).mul_(1e-4));
            (context1, context2) = (new(randn(fields[0] + 2, Dim).mul_(1e-4)), new(randn(fields[1] + 2, Dim).mul_(1e-4)));
            (gate1, gate2) = (Gate(), Gate());
            (stream1, stream2) = (Stream(400), Stream(100));
            (output1, output2) = (nn.Linear(400, 1), nn.Linear(100, 1));
            bilinear = new(randn(Heads, 400 / Heads, 100 / Heads).mul_(0.01));
            RegisterComponents();

            Sequential Gate() => nn.Sequential(nn.Linear(Dim, 400), nn.ReLU(), nn.Linear(400, fields.Length * Dim), nn.Sigmoid());
            Sequential Stream(int width) => nn.Sequential(nn.Linear(fields.Length * Dim, width), nn.BatchNorm1d(width), nn.ReLU(), nn.Dropout(0.4));
        }

        public override Tensor forward(Tensor x)
        {
            var keys = x.to(ScalarType.Int64);
            var e = table.index_select(0, (keys + _offsets).flatten()).view(x.shape[0], -1);
            var o1 = stream1.call(e * gate1.call(context1.index_select(0, keys.select(1, 0))) * 2);
            var o2 = stream2.call(e * gate2.call(context2.index_select(0, keys.select(1, 1))) * 2);
            var projected = o1.view(-1, Heads, 400 / Heads).transpose(0, 1).bmm(bilinear);
            return output1.call(o1) + output2.call(o2) + (projected * o2.view(-1, Heads, 100 / Heads).transpose(0, 1)).sum([0L, 2L]).unsqueeze(1);
        }

        public void Train(Tensor x, Tensor y, int threads, int epochs = Epochs)
        {
            set_num_threads(threads);
            using var optimizer = optim.Adam(parameters(), lr: 1e-3);
            train();
            for (var epoch = 0; epoch < epochs; epoch++)
            {
                using var order = randperm(y.shape[0]);
                for (long start = 0; start < y.shape[0]; start += Batch)
                {
                    using var scope = NewDisposeScope();
                    var index = order.narrow(0, start, Math.Min(Batch, y.shape[0] - start));
                    optimizer.zero_grad();
                    var loss = nn.functional.binary_cross_entropy_with_logits(call(x.index_select(0, index)).flatten(), y.index_select(0, index));
                    loss.backward();
                    nn.utils.clip_grad_norm_(parameters(), 10);
                    optimizer.step();
                }
            }
        }
    }
}
