using Microsoft.ML;
using Microsoft.ML.Data;
using MlNetMlp.Explain;
using MlNetMlp.Tabular;
using MlNetMlp.Training;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace MlNetMlp.Bench;

/// <summary>
/// Networks of codes: a fit against a loop by hand over the same network, the quantiser alone against ML.NET's k-means, and what codes cost in accuracy and tell of clusters that no label
/// tells apart.
/// </summary>
internal static class Codes
{
    private const int Width = 32;
    private const int Classes = 8;
    private const int Batch = 256;
    private const int Epochs = 4;

    private static readonly CodebookNetwork.Options Network = new() { Seed = 1, BatchSize = Batch, Epochs = Epochs, ValidationFraction = 0, LearningRate = 1e-3 };

    private static readonly Dictionary<string, Action> Parts = new() { ["steps"] = Steps, ["means"] = Means, ["clusters"] = Clusters, ["tokfsm"] = TokFsmCodes.Run };

    public static void Run(ILookup<string, string> options) => Choice.RunParts(options, "codes", Parts);

    private static void Steps()
    {
        const int count = 40 * Batch;
        var ml = new MLContext(1);
        var rows = Make(count, Width, 32, 0.5, 1);
        var view = View(ml, rows);
        using var x = tensor(rows.SelectMany(row => row.Features).ToArray(), count, Width);
        using var y = tensor(rows.Select(row => (long)row.Cluster % Classes).ToArray());
        var threads = get_num_threads();
        foreach (var k in new[] { 1, 4 })
        {
            var trainer = ml.MulticlassClassification.Trainers.CodebookNetwork(Network with { K = k });
            var seconds = Clock.Medians(5, () => trainer.Fit(view), () => ByHand(x, y, k, threads), () => ByHand(x, y, k, 1));
            set_num_threads(threads);
            Console.WriteLine($"codes: {Epochs} epochs of {count} rows, batch {Batch}, {Network.HiddenLayers} layers of {Network.HiddenUnits} units with {Network.NumCodes} codes, K = {k}: fit {seconds[0] * 1e3:F0} ms "
                + $"(reading, model and all), by hand {seconds[1] * 1e3:F0} ms, {seconds[2] * 1e3:F0} ms with one thread, ratio to the faster {seconds[0] / Math.Min(seconds[1], seconds[2]):F2}");
        }
    }

    private static void Means()
    {
        foreach (var (count, codes) in new[] { (20_000, 64), (20_000, 256) })
        {
            var ml = new MLContext(1);
            var rows = Make(count, Width, codes / 2, 0.7, 1);
            var view = ml.Data.Cache(ml.Data.LoadFromEnumerable(rows, Schema(Width)));
            var (ours, batches) = (new VectorQuantize.Options { Seed = 1, NumCodes = codes, StandardizeInputs = false }, 2048);
            double mine = 0, parts = 0, theirs = 0;
            var seconds = Clock.Medians(
                3,
                () => mine = Error(rows, Ours(ml, view, ours)),
                () => parts = Error(rows, Ours(ml, view, ours with { BatchSize = batches, Epochs = 10 })),
                () =>
                {
                    VBuffer<float>[] centroids = [];
                    ml.Clustering.Trainers.KMeans("Features", numberOfClusters: codes).Fit(view).Model.GetClusterCentroids(ref centroids, out _);
                    theirs = Error(rows, [.. centroids.Select(centroid => centroid.DenseValues().ToArray())]);
                });
            Console.WriteLine($"codes: {codes} codes of {count} rows, {Width} features: mean squared distance {mine:F4} in {seconds[0]:F2} s, {parts:F4} in {seconds[1]:F2} s by batches of {batches}, "
                + $"ML.NET's KMeans {theirs:F4} in {seconds[2]:F2} s");
        }
    }

    private static float[][] Ours(MLContext ml, IDataView view, VectorQuantize.Options options)
    {
        var weights = ml.Transforms.VectorQuantize("Codes", "Features", options).Fit(view).Network.Weights;
        return [.. weights.Single(tensor => tensor.Name == "codebook.codes").Floats.ToArray().Chunk(Width)];
    }

    private static double Error(Row[] rows, float[][] centroids)
    {
        using var scope = NewDisposeScope();
        var (x, c) = (tensor(rows.SelectMany(row => row.Features).ToArray(), rows.Length, Width).to(ScalarType.Float64), tensor(centroids.SelectMany(row => row).ToArray(), centroids.Length, Width).to(ScalarType.Float64));
        return cdist(x, c).amin([1]).pow(2).mean().item<double>();
    }

    private static void Clusters()
    {
        const int width = 16, clusters = 32;
        foreach (var (layers, seed) in Enumerable.Range(1, 2).SelectMany(layers => Enumerable.Range(1, 3).Select(seed => (layers, seed))))
        {
            var ml = new MLContext(seed);
            var rows = Make(12_000, width, clusters, 0.45, 10 + seed);
            var (train, test) = (View(ml, rows[..8000]), View(ml, rows[8000..]));
            int[] truth = [.. rows[8000..].Select(row => row.Cluster)];
            var coded = new CodebookNetwork.Options { Seed = seed, K = 1, HiddenLayers = layers, Epochs = 30 };
            var plain = new ScaledMlp.Options
            {
                Seed = seed, Width = coded.HiddenUnits, Blocks = layers, Architecture = ScaledMlpArchitecture.Standard, Normalization = ScaledMlpNormalization.None,
                Activation = ScaledMlpActivation.Relu, ClipInputs = false, LabelSmoothing = 0, WeightDecay = 0, Schedule = LearningRateSchedule.Constant(), Epochs = coded.Epochs,
            };
            var dense = ml.MulticlassClassification.Trainers.ScaledMlp(plain).Fit(train);
            double Accuracy(IDataView scored) => ml.MulticlassClassification.Evaluate(scored).MicroAccuracy;
            var hidden = ml.Transforms.ScaledMlpFeatures("Hidden", dense).Fit(test).Transform(test).GetColumn<float[]>("Hidden").ToArray();
            var with = ml.MulticlassClassification.Trainers.CodebookNetwork(coded).Fit(train).Transform(test);
            var four = ml.MulticlassClassification.Trainers.CodebookNetwork(coded with { K = 4 }).Fit(train).Transform(test);
            var codes = with.GetColumn<uint[]>("Codes").ToArray();
            Console.WriteLine($"codes: {clusters} clusters in {Classes} classes, {layers} hidden layers, seed {seed}: accuracy {Accuracy(dense.Transform(test)):F4} without codes, {Accuracy(with):F4} with one, "
                + $"{Accuracy(four):F4} with four; information on clusters of the code behind layer {string.Join(", ", Enumerable.Range(0, layers).Select(l => $"{l + 1}: {Information([.. codes.Select(row => (int)row[l])], truth):F3}"))}; "
                + $"of the most active unit {Information([.. hidden.Select(row => Array.IndexOf(row, row.Max()))], truth):F3}");
        }
    }

    // Mutual information over the mean of the entropies.
    private static double Information(int[] first, int[] second)
    {
        double Entropy<T>(IEnumerable<T> values) => values.GroupBy(value => value).Select(group => (double)group.Count() / first.Length).Sum(share => -share * Math.Log(share));
        var (one, other, both) = (Entropy(first), Entropy(second), Entropy(first.Zip(second)));
        return 2 * (one + other - both) / (one + other);
    }

    private static IDataView View(MLContext ml, Row[] rows)
    {
        var data = ml.Data.LoadFromEnumerable(rows, Schema(rows[0].Features.Length));
        var keys = ml.Data.LoadFromEnumerable(Enumerable.Range(0, Classes).Select(value => new Key { Class = value }));
        return ml.Data.Cache(ml.Transforms.Conversion.MapValueToKey("Label", "Class", keyData: keys).Fit(data).Transform(data));
    }

    private static SchemaDefinition Schema(int width)
    {
        var schema = SchemaDefinition.Create(typeof(Row));
        schema[nameof(Row.Features)].ColumnType = new VectorDataViewType(NumberDataViewType.Single, width);
        return schema;
    }

    private static Row[] Make(int count, int width, int clusters, double spread, int seed)
    {
        var random = new Random(seed);
        double Normal() => Math.Sqrt(-2 * Math.Log(1 - random.NextDouble())) * Math.Cos(2 * Math.PI * random.NextDouble());
        float[][] centres = [.. Enumerable.Range(0, clusters).Select(_ => Enumerable.Range(0, width).Select(_ => (float)Normal()).ToArray())];
        return
        [
            .. Enumerable.Range(0, count).Select(_ =>
            {
                var cluster = random.Next(clusters);
                return new Row { Features = [.. centres[cluster].Select(value => value + (float)(spread * Normal()))], Class = cluster % Classes, Cluster = cluster };
            }),
        ];
    }

    /// <summary>The same network as a person would write it in TorchSharp, and the plainest loop around it.</summary>
    private static void ByHand(Tensor x, Tensor y, int k, int threads)
    {
        set_num_threads(threads);
        using var network = new HandNetwork(k);
        using var optimizer = optim.Adam(network.parameters(), lr: Network.LearningRate);
        network.train();
        for (var epoch = 0; epoch < Epochs; epoch++)
        {
            using var order = randperm(x.shape[0]);
            for (long start = 0; start < x.shape[0]; start += Batch)
            {
                using var scope = NewDisposeScope();
                var index = order.narrow(0, start, Math.Min(Batch, x.shape[0] - start));
                optimizer.zero_grad();
                var (outputs, extra) = network.Run(x.index_select(0, index));
                var loss = functional.cross_entropy(outputs, y.index_select(0, index)) + extra;
                loss.backward();
                optimizer.step();
                if (!float.IsFinite(loss.item<float>()))
                    throw new InvalidOperationException("The loss is not finite.");
            }
        }
    }

    private sealed class HandNetwork : Module
    {
        private readonly int _k;
        private readonly ModuleList<Linear> layers = [];
        private readonly ModuleList<LayerNorm> norms = [];
        private readonly ParameterList codes = [];
        private readonly Linear output = Linear(Network.HiddenUnits, Classes);

        public HandNetwork(int k)
            : base(nameof(HandNetwork))
        {
            _k = k;
            for (var l = 0; l < Network.HiddenLayers; l++)
            {
                layers.Add(Linear(l == 0 ? Width : Network.HiddenUnits, Network.HiddenUnits));
                norms.Add(LayerNorm(Network.HiddenUnits));
                codes.Add(new Parameter(randn(Network.NumCodes, Network.HiddenUnits)));
            }

            RegisterComponents();
        }

        public (Tensor Outputs, Tensor Extra) Run(Tensor x)
        {
            Tensor? sum = null;
            for (var l = 0; l < layers.Count; l++)
            {
                var a = norms[l].call(functional.relu(layers[l].call(x)));
                var (own, stopped) = (codes[l], a.detach());
                Tensor ids;
                using (no_grad())
                    ids = stopped.mm((own / own.norm(1, keepdim: true, p: 2)).t()).topk(_k, 1).indexes;
                var o = own.index_select(0, ids.flatten()).view(-1, _k, Network.HiddenUnits).mean([1]);
                x = o + (a - stopped);
                var extra = (o - stopped).pow(2).sum(1).mean();
                sum = sum is null ? extra : sum + extra;
            }

            return (output.call(x), sum!);
        }
    }

    private sealed class Row
    {
        public float[] Features { get; set; } = [];

        public int Class { get; set; }

        public int Cluster { get; set; }
    }

    private sealed class Key
    {
        public int Class { get; set; }
    }
}
