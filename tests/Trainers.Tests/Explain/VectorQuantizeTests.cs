using Microsoft.ML;
using Microsoft.ML.Data;
using MlNetMlp.Conformance;
using MlNetMlp.Explain;
using MlNetMlp.Layers;
using MlNetMlp.Runtime;
using MlNetMlp.Solvers;
using static TorchSharp.torch;

namespace MlNetMlp.Tests.Explain;

/// <summary><see cref="VectorQuantize"/>: codes without a label.</summary>
public sealed class VectorQuantizeTests
{
    private const int Clusters = 8;

    private static readonly MLContext Ml = new(1);
    private static readonly CodeRow[] Rows = CodeRow.Make(1200, Clusters, Clusters, 0.1, 1);
    private static readonly IDataView Data = Ml.Data.LoadFromEnumerable(Rows);

    [Fact]
    public void One_code_is_the_cluster_and_its_centroid_the_reconstruction()
    {
        var model = Ml.Transforms.VectorQuantize("Codes", "Features", new() { Seed = 1, NumCodes = Clusters }).Fit(Data);
        var (codes, restored) = (Column<uint>(model, "Codes"), Column<float>(model, "Reconstruction"));
        foreach (var cluster in Rows.Select((row, i) => (row, i)).GroupBy(pair => pair.row.Cluster))
        {
            Assert.Single(cluster.Select(pair => codes[pair.i][0]).Distinct());
            for (var j = 0; j < CodeRow.Width; j++)
                Assert.Equal(cluster.Average(pair => (double)pair.row.Features[j]), restored[cluster.First().i][j], 1e-4);
        }

        Assert.Equal(Clusters, codes.Select(row => row[0]).Distinct().Count());
    }

    [Theory]
    [InlineData(1, 1, RowSimilarity.Euclidean, false, true, QuantizerTraining.KMeans)]
    [InlineData(3, 1, RowSimilarity.Euclidean, false, false, QuantizerTraining.AutoEncode)]
    [InlineData(2, 4, RowSimilarity.InnerProduct, true, true, QuantizerTraining.AutoEncode)]
    [InlineData(1, 2, RowSimilarity.Euclidean, false, false, QuantizerTraining.KMeans)]
    public void Saved_models_engines_and_the_network_agree(int k, int groups, RowSimilarity similarity, bool normalize, bool standardize, QuantizerTraining training)
    {
        var options = new VectorQuantize.Options
        {
            Seed = 1, NumCodes = 16, K = k, Groups = groups, Similarity = similarity, Normalize = normalize, StandardizeInputs = standardize, Training = training, Epochs = 3,
        };
        var estimator = Ml.Transforms.VectorQuantize("Codes", "Features", options);
        var model = estimator.Fit(Data);
        using var stream = new MemoryStream();
        Ml.Model.Save(model, Data.Schema, stream);
        stream.Position = 0;
        var loaded = new MLContext().Model.Load(stream, out _);
        Assert.Equal(Column<uint>(model, "Codes"), Column<uint>(loaded, "Codes"));
        Assert.Equal(Column<float>(model, "Reconstruction"), Column<float>(loaded, "Reconstruction"));
        using var engine = Ml.Model.CreatePredictionEngine<CodeRow, Quantized>(loaded, inputSchemaDefinition: null);
        var (codes, restored) = (Column<uint>(model, "Codes"), Column<float>(model, "Reconstruction"));
        for (var i = 0; i < 10; i++)
        {
            var one = engine.Predict(Rows[i]);
            Assert.Equal(codes[i], one.Codes);
            Assert.Equal(restored[i], one.Reconstruction);
        }

        // By libtorch.
        using var network = model.Network.CreateNetwork();
        using var x = tensor(Rows.SelectMany(row => row.Features).ToArray(), [Rows.Length, CodeRow.Width]);
        using var noGradient = no_grad();
        using var all = network.CallWithAdded(x);
        Assert.Equal(CodeRow.Width + (2 * k * groups), all.shape[1]);

        // Of two codes that a row is as like to the last digit, either may come first.
        using var similarities = all.narrow(1, CodeRow.Width + (k * groups), k * groups);
        Assert.Equal(Column<float>(model, "CodesSimilarity").SelectMany(row => row), TensorMemory.ToFloats(similarities), (a, b) => Math.Abs(a - b) < 1e-3);
        using var ids = all.narrow(1, CodeRow.Width, k * groups);
        Assert.InRange(codes.SelectMany(row => row.Select(key => key - 1f)).Zip(TensorMemory.ToFloats(ids)).Count(pair => pair.First != pair.Second), 0, 4);
        using var values = all.narrow(1, 0, CodeRow.Width);
        Assert.InRange(restored.SelectMany(row => row).Zip(TensorMemory.ToFloats(values)).Count(pair => Math.Abs(pair.First - pair.Second) > 1e-4), 0, 2 * CodeRow.Width);

        // What is promised comes out.
        Assert.Equal(SchemaText.Of(Trial.Shape(model.GetOutputSchema(Data.Schema))), SchemaText.Of(estimator.GetOutputSchema(Trial.Shape(Data.Schema))));
    }

    [Fact]
    public void Several_codes_learn_to_add_up()
    {
        double Error(VectorQuantize.Options options)
        {
            var restored = Column<float>(Ml.Transforms.VectorQuantize("Codes", "Features", options).Fit(Data), "Reconstruction");
            return Rows.Zip(restored, (row, other) => row.Features.Zip(other, (a, b) => (double)(a - b) * (a - b)).Sum()).Average();
        }

        var options = new VectorQuantize.Options { Seed = 1, NumCodes = 8, K = 2, StandardizeInputs = false };
        var (centroids, learned) = (Error(options), Error(options with { Training = QuantizerTraining.AutoEncode, ReplaceDeadAfterSteps = 50 }));
        Assert.True(learned < 0.6 * centroids, $"{learned} against {centroids}");

        // More codes are nearer, and so are codes of slices.
        Assert.True(Error(options with { K = 1, NumCodes = 64 }) < 0.9 * Error(options with { K = 1 }));
        Assert.True(Error(options with { K = 1, Groups = 4 }) < Error(options with { K = 1, NumCodes = 4 }));
    }

    [Fact]
    public void Keys_stand_for_ids_in_a_pipeline_that_is_saved()
    {
        var pipeline = Ml.Transforms.VectorQuantize("Words", "Features", new() { Seed = 1, NumCodes = 16, Groups = 2, ReconstructionColumnName = "Restored" })
            .Append(Ml.Transforms.Conversion.MapKeyToValue("Ids", "Words"))
            .Append(Ml.Transforms.Conversion.MapKeyToVector("Bag", "Words", outputCountVector: true));
        ITransformer model = pipeline.Fit(Data);
        using var stream = new MemoryStream();
        Ml.Model.Save(model, Data.Schema, stream);
        stream.Position = 0;
        var scored = new MLContext().Model.Load(stream, out _).Transform(Data);
        Assert.Equal(scored.GetColumn<uint[]>("Words").Select(row => row.Select(key => (int)key - 1)), scored.GetColumn<int[]>("Ids"));
        Assert.All(scored.GetColumn<float[]>("Bag"), bag => Assert.Equal(2, bag.Sum()));
        Assert.Equal(CodeRow.Width, scored.GetColumn<float[]>("Restored").First().Length);
        var off = model.WithCodes(1, 0, disable: [0, 1, 2]).Transform(Data);
        Assert.All(off.GetColumn<int[]>("Ids"), ids => Assert.True(ids[0] > 2));
    }

    [Fact]
    public void The_same_seed_finds_the_same_codes_and_nothing_stays_behind()
    {
        var options = new VectorQuantize.Options { Seed = 5, NumCodes = 16, BatchSize = 200, Epochs = 4 };
        var before = TorchSharp.DisposeScopeManager.Statistics.ThreadTotalLiveCount;
        var first = Ml.Transforms.VectorQuantize("Codes", "Features", options).Fit(Data);
        Assert.Equal(before, TorchSharp.DisposeScopeManager.Statistics.ThreadTotalLiveCount);
        Assert.Equal(Column<float>(first, "Reconstruction"), Column<float>(Ml.Transforms.VectorQuantize("Codes", "Features", options).Fit(Data), "Reconstruction"));
        Assert.NotEqual(Column<float>(first, "Reconstruction"), Column<float>(Ml.Transforms.VectorQuantize("Codes", "Features", options with { Seed = 6 }).Fit(Data), "Reconstruction"));
    }

    [Fact]
    public void What_cannot_be_is_told()
    {
        Assert.Contains("'Groups' must divide the number of features, 16", Assert.ThrowsAny<ArgumentException>(() => Ml.Transforms.VectorQuantize("Codes", "Features", new() { Groups = 3 }).Fit(Data)).Message, StringComparison.Ordinal);
        Assert.Contains("'K'", Assert.ThrowsAny<ArgumentException>(() => Ml.Transforms.VectorQuantize("Codes", "Features", new() { K = 300 })).Message, StringComparison.Ordinal);
        Assert.Contains("'Missing'", Assert.ThrowsAny<ArgumentException>(() => Ml.Transforms.VectorQuantize("Codes", "Missing").Fit(Data)).Message, StringComparison.Ordinal);
    }

    private static T[][] Column<T>(ITransformer model, string name) => [.. model.Transform(Data).GetColumn<T[]>(name)];

    private sealed class Quantized
    {
        public uint[] Codes { get; set; } = [];

        public float[] Reconstruction { get; set; } = [];
    }
}
