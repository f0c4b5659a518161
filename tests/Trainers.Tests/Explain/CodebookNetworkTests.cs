using Microsoft.ML;
using Microsoft.ML.Data;
using MlNetMlp.Explain;
using MlNetMlp.Explanations;
using MlNetMlp.Interop;
using MlNetMlp.Layers;
using MlNetMlp.Methods;
using MlNetMlp.Runtime;
using MlNetMlp.Solvers;
using MlNetMlp.Tabular;
using MlNetMlp.Training;
using Xunit.Abstractions;
using static TorchSharp.torch;

namespace MlNetMlp.Tests.Explain;

/// <summary><see cref="CodebookNetwork"/>: its columns, what may be done to its codes, and what they stand for.</summary>
public sealed class CodebookNetworkTests(ITestOutputHelper output)
{
    private const int Classes = 4;

    private static readonly MLContext Ml = new(1);
    private static readonly CodeRow[] Rows = CodeRow.Make(600, 8, Classes, 0.2, 1);
    private static readonly IDataView Train = CodeRow.View(Ml, Rows, Classes);
    private static readonly CodebookNetwork.Options Small = new() { Seed = 1, HiddenUnits = 12, NumCodes = 20, K = 2, Groups = 2, Epochs = 15, BatchSize = 32, LearningRate = 5e-3 };
    private static readonly NetworkPredictionTransformer<MulticlassNetworkModel> Model = Ml.MulticlassClassification.Trainers.CodebookNetwork(Small).Fit(Train);

    [Theory]
    [InlineData(RowSimilarity.InnerProduct, 1, 1, new[] { 1, 2, 3 }, false)]
    [InlineData(RowSimilarity.InnerProduct, 3, 4, new[] { 2 }, false)]
    [InlineData(RowSimilarity.Euclidean, 2, 2, new[] { 1, 3 }, false)]
    [InlineData(RowSimilarity.Euclidean, 3, 1, new[] { 3 }, true)]
    [InlineData(RowSimilarity.InnerProduct, 3, 2, new[] { 1, 2 }, true)]
    public void Managed_code_scores_as_the_network_does(RowSimilarity similarity, int k, int groups, int[] layers, bool isEdited)
    {
        var definition = new CodebookNetworkDefinition
        {
            Inputs = 5, Outputs = 3, HiddenUnits = 16, HiddenLayers = 3, CodebookLayers = [.. layers], NumCodes = 30, K = k, Groups = groups, Similarity = similarity,
            StandardizeInputs = true, CodesColumnName = "Codes",
            Interventions = isEdited
                ? [new() { Layer = layers[^1], Edit = new() { Group = groups - 1, Force = [7], Disable = [1, 2, 3] } }, .. layers.Length == 1 ? Array.Empty<CodeIntervention>()
                    : [new CodeIntervention { Layer = layers[0], Edit = new() { Group = 0, Force = [9, 4], Disable = [], KeepK = false } }]]
                : [],
        };
        using var scope = NewDisposeScope();
        using var random = new Generator(3);
        foreach (var part in new[] { definition, (CodebookNetworkDefinition)definition.Body! })
        {
            using var network = (CodebookNetworkModule)part.Build(CPU);
            network.Initialize(random);
            network.SetScaling(new([1, 2, 3, 4, 5], [1, 2, 3, 4, 5]));

            // Units that are all 0 would be equally like all codes otherwise.
            foreach (var codebook in network.Codebooks)
            {
                using var noGradient = no_grad();
                codebook.Offset!.normal_(0, 1, random);
            }

            network.eval();
            using var inference = inference_mode();
            var x = randn(200, 5, generator: random).Times(4);
            var expected = network.CallWithAdded(x);
            var scorer = part.BuildScorer(network.ReadWeights().Read())!;
            var scores = new float[200 * scorer.Outputs];
            scorer.Score(TensorMemory.ToFloats(x), scores);
            Assert.Equal(expected.shape[1], scorer.Outputs);
            Assert.Equal(TensorMemory.ToFloats(expected), scores, (a, b) => Math.Abs(a - b) <= 1e-4 * Math.Max(1, Math.Abs(a)));
            Assert.Equal(part.WeightCount, network.ReadWeights().Sum(tensor => tensor.ElementCount));

            // Alone, a row has the very same scores.
            var alone = new float[scorer.Outputs];
            scorer.Score(TensorMemory.ToFloats(x).AsSpan(17 * 5, 5), alone);
            Assert.Equal(scores.AsSpan(17 * scorer.Outputs, scorer.Outputs).ToArray(), alone);
        }
    }

    [Fact]
    public void Codes_come_with_names_and_ids()
    {
        var scored = Ml.Transforms.Conversion.MapKeyToValue("Ids", "Codes").Fit(Model.Transform(Train)).Transform(Model.Transform(Train));
        var keys = scored.GetColumn<uint[]>("Codes").ToArray();
        Assert.Equal(new VectorDataViewType(new KeyDataViewType(typeof(uint), 20), 8), scored.Schema["Codes"].Type);
        Assert.All(keys.SelectMany(row => row), key => Assert.InRange(key, 1u, 20u));
        Assert.Equal(keys.Select(row => row.Select(key => (int)key - 1)), scored.GetColumn<int[]>("Ids"));
        VBuffer<ReadOnlyMemory<char>> names = default;
        scored.Schema["Codes"].GetSlotNames(ref names);
        Assert.Equal(["L1.G0.#0", "L1.G0.#1", "L1.G1.#0", "L1.G1.#1", "L2.G0.#0", "L2.G0.#1", "L2.G1.#0", "L2.G1.#1"], names.DenseValues().Select(name => name.ToString()));

        // The most similar code stands first.
        Assert.All(scored.GetColumn<float[]>("CodesSimilarity"), row => Assert.All(Enumerable.Range(0, 4), i => Assert.True(row[2 * i] >= row[(2 * i) + 1])));

        var bare = Ml.MulticlassClassification.Trainers.CodebookNetwork(Small with { CodesColumnName = "Why", CodebookLayers = [2], Epochs = 1 }).Fit(Train).Transform(Train);
        Assert.Equal(4, ((VectorDataViewType)bare.Schema["Why"].Type).Size);
    }

    [Fact]
    public void Engines_and_loaded_models_give_the_same_codes()
    {
        var loaded = Reload(Model.WithCodes(2, 1, force: [3], disable: [5]));
        var expected = Model.WithCodes(2, 1, force: [3], disable: [5]).Transform(Train);
        Assert.Equal(expected.GetColumn<uint[]>("Codes"), loaded.Transform(Train).GetColumn<uint[]>("Codes"));
        Assert.Equal(expected.GetColumn<float[]>("Score"), loaded.Transform(Train).GetColumn<float[]>("Score"));
        using var engine = Ml.Model.CreatePredictionEngine<CodeRow, Prediction>(loaded, inputSchemaDefinition: null);
        foreach (var (row, keys) in Rows.Zip(expected.GetColumn<uint[]>("Codes")).Take(20))
            Assert.Equal(keys, engine.Predict(row).Codes);
    }

    [Fact]
    public void The_codes_of_another_row_at_all_sites_give_its_scores()
    {
        var scored = Model.Transform(Train);
        var codes = scored.GetColumn<uint[]>("Codes").ToArray();
        var scores = scored.GetColumn<float[]>("Score").ToArray();
        var (a, b) = (0, Array.FindIndex(scores, row => row.AsSpan().IndexOf(row.Max()) != scores[0].AsSpan().IndexOf(scores[0].Max())));
        foreach (var model in new[] { Model, (NetworkPredictionTransformer<MulticlassNetworkModel>)Reload(Model) })
        {
            var swapped = model;
            for (var site = 0; site < 4; site++)
                swapped = swapped.WithCodes(1 + (site / 2), site % 2, force: [.. codes[b].Skip(2 * site).Take(2).Select(key => (int)key - 1)]);
            var changed = swapped.Transform(Train).GetColumn<float[]>("Score").ToArray();
            Assert.NotEqual(scores[a], scores[b]);
            Assert.Equal(scores[b], changed[a]);

            // Those behind the last layer decide alone; taken back, all is as it was.
            var last = model.WithCodes(2, 0, force: [.. codes[b].Skip(4).Take(2).Select(key => (int)key - 1)]).WithCodes(2, 1, force: [.. codes[b].Skip(6).Take(2).Select(key => (int)key - 1)]);
            Assert.Equal(scores[b], last.Transform(Train).GetColumn<float[]>("Score").First());
            Assert.Equal(scores, last.WithCodes(2, 0).WithCodes(2, 1).Transform(Train).GetColumn<float[]>("Score"));
        }
    }

    [Fact]
    public void Codes_can_be_switched_off_and_left_alone()
    {
        var before = Model.Transform(Train).GetColumn<uint[]>("Codes").ToArray();
        int[] used = [.. before.Select(row => (int)row[0] - 1).Distinct()];
        var off = Model.WithCodes(1, 0, disable: used).Transform(Train).GetColumn<uint[]>("Codes").ToArray();
        Assert.All(off, row => Assert.DoesNotContain((int)row[0] - 1, used));
        Assert.All(off, row => Assert.DoesNotContain((int)row[1] - 1, used));
        var alone = Model.WithCodes(1, 1, force: [4], keepK: false).Transform(Train).GetColumn<uint[]>("Codes").ToArray();
        Assert.All(alone, row => Assert.Equal([5u, 0u], row[2..4]));
        Assert.Equal(before.Select(row => row[..2]), alone.Select(row => row[..2]));
    }

    [Fact]
    public void Explanations_are_of_the_changed_model()
    {
        var binary = Ml.BinaryClassification.Trainers.CodebookNetwork(Small with { LabelColumnName = "IsEven", Epochs = 3 }).Fit(Train);
        var (forced, plain) = (binary.WithCodes(2, 0, force: [0, 1]).WithCodes(2, 1, force: [0, 1]), binary);
        using var network = forced.Model.Network.CreateNetwork();
        using var x = tensor(Rows.Take(50).SelectMany(row => row.Features).ToArray(), [50, CodeRow.Width]);
        using var scores = network.call(x);
        Assert.Equal(forced.Transform(Train).GetColumn<float>("Score").Take(50), TensorMemory.ToFloats(scores), (a, b) => Math.Abs(a - b) < 1e-4);
        Assert.NotEqual(plain.Transform(Train).GetColumn<float>("Score").Take(50), TensorMemory.ToFloats(scores));
    }

    [Fact]
    public void Codes_are_counted_and_searched()
    {
        var report = Ml.Model.EvaluateCodes(Model, Train, new() { LabelColumnName = "Label", PredicateColumnName = "IsEven", TopRows = 3 });
        var scored = Model.Transform(Train);
        var (codes, similar) = (scored.GetColumn<uint[]>("Codes").ToArray(), scored.GetColumn<float[]>("CodesSimilarity").ToArray());
        Assert.Equal(["L1.G0", "L1.G1", "L2.G0", "L2.G1"], report.Sites.Select(site => site.Name));
        foreach (var code in report.Codes)
        {
            var slots = Array.IndexOf([.. report.Sites.Select(site => site.Name)], code.Site) * 2;
            (int Row, float Similarity)[] rows = [.. from row in Enumerable.Range(0, Rows.Length) from slot in new[] { slots, slots + 1 } where codes[row][slot] == code.Code + 1 select (row, similar[row][slot])];
            Assert.Equal(rows.Length, code.Count);
            var classes = rows.GroupBy(pair => Rows[pair.Row].Class).Select(group => (double)group.Count() / rows.Length).ToArray();
            Assert.Equal(classes.Max(), code.Purity, 1e-12);
            Assert.Equal(-classes.Sum(share => share * Math.Log2(share)), code.Entropy, 1e-9);
            Assert.Equal(rows.OrderByDescending(pair => pair.Similarity).ThenBy(pair => pair.Row).Take(3).Select(pair => (long)pair.Row), code.TopRows);
            var match = report.Matches.Single(match => (match.Site, match.Code) == (code.Site, code.Code));
            Assert.Equal(rows.Average(pair => Rows[pair.Row].IsEven ? 1.0 : 0), match.Precision, 1e-12);
            Assert.Equal(rows.Count(pair => Rows[pair.Row].IsEven) / (double)Rows.Count(row => row.IsEven), match.Recall, 1e-12);
        }

        Assert.All(report.Sites, site => Assert.Equal(1 - (report.Codes.Count(code => code.Site == site.Name) / 20.0), site.DeadFraction, 1e-12));
        Assert.Equal(report.Matches.Where(match => match.Precision >= 0.9).OrderByDescending(match => match.Recall), report.Search(), (a, b) => a.Recall == b.Recall);
        Assert.Equal(report.Search(), report.Search([.. Rows.Select(row => row.IsEven)]));
        Assert.NotEmpty(report.Search());
    }

    [Fact]
    public void Codes_without_rows_come_back_and_centroids_begin_with_none()
    {
        var options = Small with { HiddenUnits = 16, Groups = 1, K = 1, NumCodes = 64, CodebookLayers = [1], Similarity = RowSimilarity.Euclidean, Epochs = 6 };
        double Dead(CodebookNetwork.Options some) => Ml.Model.EvaluateCodes(Ml.MulticlassClassification.Trainers.CodebookNetwork(some).Fit(Train), Train).Sites[0].DeadFraction;
        var (plain, replaced) = (Dead(options), Dead(options with { ReplaceDeadAfterSteps = 20 }));
        Assert.True(replaced < plain - 0.3, $"dead: {plain}, replaced {replaced}");

        // Before training has moved what codes stand for.
        var start = options with { Epochs = 1, LearningRate = 1e-7 };
        var (drawn, centroids) = (Dead(start), Dead(start with { Initialization = CodeInitialization.KMeans }));
        Assert.True(centroids < 0.1 && drawn > 0.3, $"dead at the start: drawn {drawn}, centroids {centroids}");
    }

    [Fact]
    public void What_cannot_be_is_told()
    {
        static string Message(Action act) => Assert.ThrowsAny<ArgumentException>(act).Message;
        Assert.Contains("layer 3, only behind layer 1, 2", Message(() => Model.WithCodes(3, 0, [1])), StringComparison.Ordinal);
        Assert.Contains("group must be at least 0 and at most 1, but was 2", Message(() => Model.WithCodes(1, 2, [1])), StringComparison.Ordinal);
        Assert.Contains("3 codes cannot be forced where 2", Message(() => Model.WithCodes(1, 0, [1, 2, 3])), StringComparison.Ordinal);
        Assert.Contains("at most 19, but one was 20", Message(() => Model.WithCodes(1, 0, disable: [1, 20])), StringComparison.Ordinal);
        Assert.Contains("once only", Message(() => Model.WithCodes(1, 0, [1], [1])), StringComparison.Ordinal);
        Assert.Contains("fewer than 2 are left", Message(() => Model.WithCodes(1, 0, disable: [.. Enumerable.Range(0, 19)])), StringComparison.Ordinal);
        var other = Ml.Transforms.CopyColumns("Other", "Features").Fit(Train);
        Assert.Contains("no codes", Message(() => other.WithCodes(1, 0, [1])), StringComparison.Ordinal);
        Assert.Contains("'Codes'", Message(() => Ml.Model.EvaluateCodes(other, Train)), StringComparison.Ordinal);
        Assert.Contains("'Features'", Message(() => Ml.Model.EvaluateCodes(other, Train, new() { CodesColumnName = "Features" })), StringComparison.Ordinal);
        Assert.Contains("'Number'", Message(() => Ml.Model.EvaluateCodes(Model, Train, new() { LabelColumnName = "Number" })), StringComparison.Ordinal);
        foreach (var (wrong, name) in new (CodebookNetwork.Options, string)[]
        {
            (Small with { K = 21 }, "'K'"), (Small with { Groups = 5 }, "'Groups'"), (Small with { CodebookLayers = [2, 1] }, "'CodebookLayers'"), (Small with { CodebookLayers = [] }, "'CodebookLayers'"),
            (Small with { Optimizer = OptimizerKind.Lbfgs }, "'Optimizer'"), (Small with { NumCodes = 1 }, "'NumCodes'"),
        })
            Assert.Contains(name, Message(() => Ml.MulticlassClassification.Trainers.CodebookNetwork(wrong)), StringComparison.Ordinal);
    }

    [Fact]
    public void Options_and_interventions_are_equal_by_value()
    {
        Assert.Equal(Small with { CodebookLayers = [1] }, NetworkOptions.FromJson<CodebookNetwork.Options>((Small with { CodebookLayers = [1] }).ToJson()));
        Assert.Equal(Model.WithCodes(1, 0, [1]).WithCodes(2, 1, disable: [3]).Model.Network.Definition, Model.WithCodes(2, 1, disable: [3]).WithCodes(1, 0, [1]).Model.Network.Definition);
    }

    [Fact]
    [Trait("Category", "Heavy")]
    public void Codes_find_clusters_that_no_label_tells_apart()
    {
        const int classes = 8, clusters = 32;
        var (train, rows) = (CodeRow.View(Ml, CodeRow.Make(8000, clusters, classes, 0.45, 11), classes), CodeRow.Make(4000, clusters, classes, 0.45, 12));
        var test = CodeRow.View(Ml, rows, classes);
        int[] truth = [.. rows.Select(row => row.Cluster)];
        var options = new CodebookNetwork.Options { Seed = 1, K = 1, CodebookLayers = [1], Similarity = RowSimilarity.InnerProduct, Epochs = 30 };
        var plain = new ScaledMlp.Options
        {
            Seed = 1, Width = options.HiddenUnits, Blocks = options.HiddenLayers, Architecture = ScaledMlpArchitecture.Standard, Normalization = ScaledMlpNormalization.None,
            Activation = ScaledMlpActivation.Relu, ClipInputs = false, LabelSmoothing = 0, WeightDecay = 0, Schedule = options.Schedule, Epochs = options.Epochs,
        };
        var coded = Ml.MulticlassClassification.Trainers.CodebookNetwork(options).Fit(train).Transform(test);
        var dense = Ml.MulticlassClassification.Trainers.ScaledMlp(plain with { Blocks = options.HiddenLayers }).Fit(train);
        var hidden = Ml.Transforms.ScaledMlpFeatures("Hidden", dense).Fit(test).Transform(test);
        double Accuracy(IDataView scored) => Ml.MulticlassClassification.Evaluate(scored).MicroAccuracy;
        var (withCodes, without) = (Accuracy(coded), Accuracy(dense.Transform(test)));
        var byCode = CodeRow.NormalizedMutualInformation([.. coded.GetColumn<uint[]>("Codes").Select(row => (int)row[0])], truth);
        var byNeuron = CodeRow.NormalizedMutualInformation([.. hidden.GetColumn<float[]>("Hidden").Select(row => Array.IndexOf(row, row.Max()))], truth);
        output.WriteLine($"accuracy {withCodes:F4} with codes, {without:F4} without; information of codes {byCode:F3}, of the most active unit {byNeuron:F3}");
        Assert.True(withCodes >= without - 0.02, $"{withCodes} with codes, {without} without");
        Assert.True(byCode >= 0.7, $"{byCode}");
    }

    private static ITransformer Reload(ITransformer model)
    {
        using var stream = new MemoryStream();
        Ml.Model.Save(model, Train.Schema, stream);
        stream.Position = 0;
        return new MLContext().Model.Load(stream, out _);
    }

    private sealed class Prediction
    {
        public uint[] Codes { get; set; } = [];
    }
}
