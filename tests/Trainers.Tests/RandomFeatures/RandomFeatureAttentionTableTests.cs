using System.Globalization;
using Microsoft.ML;
using Microsoft.ML.Data;
using MlNetMlp.RandomFeatures;
using Xunit.Abstractions;

namespace MlNetMlp.Tests.RandomFeatures;

/// <summary>
/// Attention beside random units of the concatenated row, with the same number of features: what a layer gains that knows that its rows are
/// sets, and what a bias gains where labels depend on what query and keys have in common.
/// </summary>
public sealed class RandomFeatureAttentionTableTests(ITestOutputHelper output)
{
    private const int D = 8;
    private const int Keys = 8;
    private const int Heads = 100;
    private const int TestRows = 2000;

    private static readonly MLContext Ml = new(1);

    private static readonly (string Name, SetFunctionTarget Target, int Power)[] Functions =
    [
        ("mean ⟨β, xᵢ⟩²", SetFunctionTarget.Power, 2),
        ("mean ⟨x₀, xᵢ⟩⟨β, xᵢ⟩", SetFunctionTarget.Correlation, 1),
        ("mean ⟨x₀, xᵢ⟩³⟨β, xᵢ⟩", SetFunctionTarget.Correlation, 3),
    ];

    private static readonly RandomFeatureAttention.Options Attention = new()
    {
        FeatureColumnName = "Keys", QueryColumnName = "Query", Heads = Heads, Seed = 1, ValidationFraction = 0,
    };

    private static readonly RandomFeatureNetwork.Options Units = new()
    {
        FeatureColumnName = "All", HiddenUnits = Heads * (D + 1), Activation = RandomActivation.Relu, WeightDistribution = RandomWeightDistribution.Gaussian, Seed = 1,
        ValidationFraction = 0,
    };

    [Fact]
    [Trait("Category", "Heavy")]
    public void Sets_and_a_bias_pay()
    {
        var errors = new Dictionary<(int Function, int Rows, string Method), double>();
        foreach (var (name, i) in Functions.Select((function, i) => (function.Name, i)))
        {
            foreach (var rows in new[] { 200, 600, 1500 })
            {
                var (train, test) = Data(Functions[i].Target, Functions[i].Power, rows);
                foreach (var (method, trainer) in Trainers())
                    errors[(i, rows, method)] = RelativeError(trainer.Fit(train).Transform(test));
            }

            output.WriteLine($"| {name} | " + string.Join(" | ", new[] { "RFMLP", "RFA", "BRFA", "chosen" }.Select(method =>
                string.Join(" / ", new[] { 200, 600, 1500 }.Select(rows => errors[(i, rows, method)].ToString("0.00", CultureInfo.InvariantCulture))))) + " |");
        }

        Assert.True(errors[(0, 600, "RFA")] < errors[(0, 600, "RFMLP")] / 3, "sets do not pay where the query does not matter");
        Assert.True(errors[(2, 200, "BRFA")] < errors[(2, 200, "RFA")] && errors[(2, 600, "BRFA")] < errors[(2, 600, "RFA")], "the bias does not pay where the query matters");
    }

    [Fact]
    public void The_order_of_the_keys_matters_to_a_concatenated_row_alone()
    {
        var (train, _) = Data(SetFunctionTarget.Power, 2, 200);
        var turned = Ml.Transforms.CustomMapping<Turned, Turned>((row, other) => other.Keys = [.. row.Keys[D..], .. row.Keys[..D]], null, null, Turned.Schema).Fit(train).Transform(train);
        var attention = Ml.Regression.Trainers.RandomFeatureAttention(Attention).Fit(train);

        // By its own choice of the penalty the other predicts little but the mean.
        var units = Ml.Transforms.Concatenate("All", "Query", "Keys").Append(Ml.Regression.Trainers.RandomFeatureNetwork(Units with { L2 = 1e-6 })).Fit(train);

        Assert.Equal(Scores(attention, train), Scores(attention, turned));
        Assert.True(Scores(units, train).Zip(Scores(units, turned)).Average(pair => Math.Abs(pair.First - pair.Second)) > 0.05);
    }

    private static (IDataView Train, IDataView Test) Data(SetFunctionTarget target, int power, int rows)
    {
        var all = Ml.Data.GenerateSetFunction(new() { Target = target, Power = power, Dimension = D, Keys = Keys, Rows = TestRows + rows, Seed = 3 });
        return (Ml.Data.TakeRows(Ml.Data.SkipRows(all, TestRows), rows), Ml.Data.TakeRows(all, TestRows));
    }

    private static IEnumerable<(string Method, IEstimator<ITransformer> Trainer)> Trainers()
    {
        yield return ("RFMLP", Ml.Transforms.Concatenate("All", "Query", "Keys").Append(Ml.Regression.Trainers.RandomFeatureNetwork(Units)));
        yield return ("RFA", Ml.Regression.Trainers.RandomFeatureAttention(Attention));
        yield return ("BRFA", Ml.Regression.Trainers.RandomFeatureAttention(Attention with { Bias = AttentionBias.Identity }));
        yield return ("chosen", Ml.Regression.Trainers.RandomFeatureAttention(Attention with { Bias = AttentionBias.Identity, BiasStrength = null }));
    }

    // 1 is what predicting the mean gives.
    private static double RelativeError(IDataView scored) => 1 - Ml.Regression.Evaluate(scored).RSquared;

    private static float[] Scores(ITransformer model, IDataView rows) => [.. model.Transform(rows).GetColumn<float>("Score")];

    private sealed class Turned
    {
        public float[] Keys { get; set; } = [];

        public static SchemaDefinition Schema
        {
            get
            {
                var schema = SchemaDefinition.Create(typeof(Turned));
                schema[nameof(Keys)].ColumnType = new VectorDataViewType(NumberDataViewType.Single, D * RandomFeatureAttentionTableTests.Keys);
                return schema;
            }
        }
    }
}
