using Microsoft.ML;
using Microsoft.ML.Data;
using MlNetMlp.RandomFeatures;

namespace RandomFeatures;

/// <summary>
/// Rows that are sets of 4 to 12 keys beside a query, with a label that is the mean of ⟨x₀, xᵢ⟩³·⟨β, xᵢ⟩ over the keys: random attention, and what
/// can be had from hand-made means of the keys.
/// </summary>
internal static class Sets
{
    private const int Dimension = 8;

    public static void Run(MLContext ml)
    {
        var rows = ml.Data.GenerateSetFunction(new() { Target = SetFunctionTarget.Correlation, Power = 3, Dimension = Dimension, Keys = 12, FewestKeys = 4, Rows = 1800 });
        var parts = ml.Data.TrainTestSplit(rows, testFraction: 5.0 / 6, seed: 1);
        var options = new RandomFeatureAttention.Options { FeatureColumnName = "Keys", QueryColumnName = "Query", Heads = 200 };
        Console.WriteLine("Sets of 4 to 12 keys of 8 numbers and a query, 300 rows: R² on 1,500 others");
        Print("FastTree on query and mean of the keys", Means(ml).Append(ml.Regression.Trainers.FastTree()));
        Print("random attention", ml.Regression.Trainers.RandomFeatureAttention(options));
        Print("random attention that looks for what query and key have in common", ml.Regression.Trainers.RandomFeatureAttention(options with
        {
            Bias = AttentionBias.Identity, BiasStrength = null,
        }));
        Print("SDCA on the attention heads alone", ml.Transforms.RandomAttentionFeatures("Heads", "Keys", "Query", bias: AttentionBias.Identity)
            .Append(ml.Regression.Trainers.Sdca(featureColumnName: "Heads")));

        void Print(string name, IEstimator<ITransformer> trainer) =>
            Console.WriteLine($"  {name,-68} {ml.Regression.Evaluate(trainer.Fit(parts.TrainSet).Transform(parts.TestSet)).RSquared,5:0.00}");
    }

    private static EstimatorChain<ColumnConcatenatingTransformer> Means(MLContext ml) =>
        ml.Transforms.CustomMapping<Basket, Summary>((basket, summary) => summary.Mean = basket.Mean(), null)
            .Append(ml.Transforms.Concatenate("Features", "Query", "Mean"));

    private sealed class Basket
    {
        public VBuffer<float> Keys { get; set; }

        public float[] Mean()
        {
            float[][] keys = [.. Keys.DenseValues().Chunk(Dimension)];
            return [.. Enumerable.Range(0, Dimension).Select(j => keys.Average(key => key[j]))];
        }
    }

    private sealed class Summary
    {
        [VectorType(Dimension)]
        public float[] Mean { get; set; } = [];
    }
}
