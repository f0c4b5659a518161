using System.Globalization;
using Microsoft.ML;
using Microsoft.ML.Data;
using MlNetMlp.Interop;
using MlNetMlp.Recommendation;
using MlNetMlp.Runtime;
using MlNetMlp.Training;
using Xunit.Abstractions;

namespace MlNetMlp.Tests.Recommendation;

/// <summary><see cref="FinalMlp"/> and <see cref="DualMlp"/> as trainers.</summary>
public sealed class FinalMlpTests(ITestOutputHelper output)
{
    private static readonly MLContext Ml = new(1);

    private static readonly FinalMlp.Options Small = new()
    {
        CategoricalColumns = ["User", "Item", "Tags"], Mlp1HiddenUnits = [16], Mlp2HiddenUnits = [8], Mlp1Dropout = 0, Mlp2Dropout = 0, GateHiddenUnits = [8],
        Gate1Context = ["User"], Gate2Context = ["Item"], LearningRate = 1e-2, BatchSize = 64, Epochs = 12, Patience = 0, PlateauFactor = 1, Seed = 1,
    };

    [Fact]
    public void Learns_who_likes_what_and_tells_probabilities()
    {
        var (train, test) = Data();
        var model = Ml.BinaryClassification.Trainers.FinalMlp(Small).Fit(train);
        var metrics = Ml.BinaryClassification.Evaluate(model.Transform(test));
        Assert.True(metrics.AreaUnderRocCurve > 0.85, $"AUC {metrics.AreaUnderRocCurve}");
        var scored = model.Transform(test);
        Assert.All(
            scored.GetColumn<float>("Score").Zip(scored.GetColumn<float>("Probability")), pair => Assert.Equal(1 / (1 + Math.Exp(-pair.First)), pair.Second, 1e-6));
    }

    [Fact]
    public void The_vector_of_missing_keys_stays_zero_and_new_keys_have_one_of_their_own()
    {
        var (train, _) = Data();
        var model = Ml.BinaryClassification.Trainers.FinalMlp(Small with { MinCategoryCount = 78 }).Fit(train);
        using var network = (FinalMlpNetwork)model.Model.Network.CreateNetwork();
        foreach (var keys in new[] { network.Keys, network.Gate1!.Context!, network.Gate2!.Context! })
        {
            var weights = TensorMemory.ToFloats(keys.Table.Weight);
            foreach (var first in keys.FirstRows)
                Assert.All(weights.AsSpan((int)first * keys.Width, keys.Width).ToArray(), value => Assert.Equal(0, value));
        }

        // Rare keys have trained the vector of all that are new.
        var last = network.Keys.FirstRows[1] - 1;
        Assert.Contains(TensorMemory.ToFloats(network.Keys.Table.Weight).AsSpan((int)last * network.Keys.Width, network.Keys.Width).ToArray(), value => Math.Abs(value) > 1e-3);

        var scores = model.Transform(Ml.Data.LoadFromEnumerable([new Row { User = 900 }, new Row { User = 901 }, new Row { User = 1000 }], Schema(1000))).GetColumn<float>("Score").ToArray();
        Assert.Equal(scores[0], scores[1]);
        Assert.NotEqual(scores[0], scores[2]);
        Assert.All(scores, score => Assert.True(float.IsFinite(score)));
    }

    [Fact]
    public void A_saved_model_scores_the_same_bits_and_so_does_an_engine()
    {
        var (train, test) = Data();
        var model = Ml.BinaryClassification.Trainers.FinalMlp(Small with { Epochs = 2 }).Fit(train);
        using var stream = new MemoryStream();
        Ml.Model.Save(model, train.Schema, stream);
        var loaded = new MLContext().Model.Load(stream, out _);
        Assert.Equal(Scores(model, test), Scores(loaded, test));
        Assert.Equal(Scores(model, test), Scores(Ml.BinaryClassification.Trainers.FinalMlp(Small with { Epochs = 2 }).Fit(train), test));
        using var engine = Ml.Model.CreatePredictionEngine<Row, Scored>(loaded, inputSchemaDefinition: Schema());
        Row[] rows = [new() { User = 3, Item = 4, Tags = [1, 2] }, new() { User = Users, Item = 0 }, new() { User = 0, Item = Items, Tags = [4] }];
        Assert.Equal(Scores(model, Ml.Data.LoadFromEnumerable(rows, Schema())), rows.Select(row => engine.Predict(row).Score), (a, b) => Math.Abs(a - b) < 1e-5);
    }

    [Fact]
    public void Field_gates_are_a_column_with_a_name_for_each_field_and_stream()
    {
        var (train, test) = Data();
        var model = Ml.BinaryClassification.Trainers.FinalMlp(Small with { Epochs = 2 }).Fit(train);
        var gates = Ml.Transforms.FieldGates(model).Fit(test);
        using var stream = new MemoryStream();
        Ml.Model.Save(gates, test.Schema, stream);
        var view = new MLContext().Model.Load(stream, out _).Transform(test);
        VBuffer<ReadOnlyMemory<char>> names = default;
        view.Schema["FieldGates"].GetSlotNames(ref names);
        Assert.Equal(["User, stream 1", "Item, stream 1", "Tags, stream 1", "User, stream 2", "Item, stream 2", "Tags, stream 2"], names.DenseValues().Select(name => name.ToString()));
        Assert.All(view.GetColumn<VBuffer<float>>("FieldGates").SelectMany(row => row.DenseValues()), value => Assert.InRange(value, float.Epsilon, 2));
        Assert.ThrowsAny<InvalidOperationException>(() => Ml.Transforms.FieldGates(Ml.BinaryClassification.Trainers.FinalMlp(Small with { Epochs = 1, UseFeatureGates = false }).Fit(train)));
    }

    [Fact]
    public void The_learning_rate_falls_once_the_validation_loss_does_not()
    {
        var (train, test) = Data();
        var model = Ml.BinaryClassification.Trainers.FinalMlp(Small with { LearningRate = 0.3, PlateauFactor = 1e-9, BatchNorm = false }).Fit(train, test);
        var curve = model.Model.Network.LearningCurve;
        var losses = curve.Points.Select(point => point.ValidationLoss!.Value).ToArray();
        var first = Enumerable.Range(1, losses.Length - 1).First(i => losses[i] * (1 + 1e-4) >= losses[..i].Min());

        // The one epoch at the least rate changes next to nothing, and is the last.
        Assert.Equal(first + 2, losses.Length);
        Assert.InRange(losses.Length, 3, Small.Epochs - 1);
        Assert.Equal(losses[first], losses[^1], 1e-2 * losses[first]);
        Assert.True(losses[..(first + 1)].Max() - losses[..(first + 1)].Min() > 3e-2 * losses[first], string.Join(' ', losses));
        Assert.Contains("least learning rate", curve.StopReason, StringComparison.Ordinal);
    }

    [Fact]
    public void Options_that_do_not_fit_each_other_are_refused_by_name()
    {
        (FinalMlp.Options Options, string Name)[] wrong =
        [
            (Small with { CategoricalColumns = [] }, "CategoricalColumns"), (Small with { CategoricalColumns = ["User", "User"] }, "CategoricalColumns"),
            (Small with { CategoricalColumns = ["Label"], Gate1Context = [], Gate2Context = [] }, "CategoricalColumns"),
            (Small with { Heads = 3 }, "Heads"), (Small with { Mlp1HiddenUnits = [] }, "Mlp1HiddenUnits"), (Small with { Mlp2HiddenUnits = [0] }, "Mlp2HiddenUnits"),
            (Small with { GateHiddenUnits = [-1] }, "GateHiddenUnits"), (Small with { Gate1Context = ["Other"] }, "Gate1Context"), (Small with { Optimizer = OptimizerKind.Lbfgs }, "Optimizer"),
        ];
        foreach (var (options, name) in wrong)
            Assert.Contains($"'{name}'", Assert.ThrowsAny<ArgumentOutOfRangeException>(() => Ml.BinaryClassification.Trainers.FinalMlp(options)).Message, StringComparison.Ordinal);
        Assert.Equal(Small, FinalMlp.Options.FromJson<FinalMlp.Options>(Small.ToJson()));
    }

    [Fact]
    [Trait("Category", "Heavy")]
    public void Products_of_the_streams_tell_what_their_sum_cannot()
    {
        double[] gains = [.. Enumerable.Range(0, 3).Select(seed =>
        {
            var (sum, oracle) = StreamsOfFactors.Auc(seed, heads: 0);
            double[] products = [.. new[] { 1, 4, 16 }.Select(heads => StreamsOfFactors.Auc(seed, heads).Auc)];
            output.WriteLine($"seed {seed}: sum {sum:0.000}; k = 1, 4, 16: {string.Join(", ", products.Select(auc => auc.ToString("0.000", CultureInfo.InvariantCulture)))}; true logit {oracle:0.000}");
            return products.Min() - sum;
        })];
        Assert.All(gains, gain => Assert.True(gain >= 0.08, $"the gains are {string.Join(", ", gains)}"));
        Assert.True(gains.Average() >= 0.15, $"the gains are {string.Join(", ", gains)}");
    }

    private static float[] Scores(ITransformer model, IDataView data) => [.. model.Transform(data).GetColumn<float>("Score")];

    private static SchemaDefinition Schema(int users = Users)
    {
        var schema = SchemaDefinition.Create(typeof(Row));
        schema[nameof(Row.User)].ColumnType = new KeyDataViewType(typeof(uint), users);
        schema[nameof(Row.Item)].ColumnType = new KeyDataViewType(typeof(uint), Items);
        schema[nameof(Row.Tags)].ColumnType = new VectorDataViewType(new KeyDataViewType(typeof(uint), 5));
        return schema;
    }

    private const int Users = 30;
    private const int Items = 20;

    // A user likes items of the own kind, of three. Keys of fields count from 0, and the count is a missing one.
    private static (IDataView Train, IDataView Test) Data()
    {
        var random = new Random(1);
        var rows = Enumerable.Range(0, 3000).Select(_ =>
        {
            var (user, item) = (random.Next(Users + 1), random.Next(Items + 1));
            return new Row
            {
                User = (uint)user, Item = (uint)item, Tags = [.. Enumerable.Range(0, random.Next(3)).Select(_ => (uint)random.Next(5))],
                Label = random.NextDouble() < (user < Users && item < Items && user % 3 == item % 3 ? 0.95 : 0.05),
            };
        }).ToArray();
        return (Ml.Data.LoadFromEnumerable(rows[..2400], Schema()), Ml.Data.LoadFromEnumerable(rows[2400..], Schema()));
    }

    private sealed class Scored
    {
        public float Score { get; set; }
    }

    private sealed class Row
    {
        public uint User { get; set; }

        public uint Item { get; set; }

        public uint[] Tags { get; set; } = [];

        public bool Label { get; set; }
    }
}
