using Microsoft.ML;
using Microsoft.ML.Data;
using MlNetMlp.Boosting;
using MlNetMlp.Interop;
using MlNetMlp.Runtime;

namespace MlNetMlp.Tests.Boosting;

[Trait("Category", "Heavy")]
public class GradientBoostedNetworkFriedmanTests
{
    private const int Rows = 1500;
    private const int TestRows = 450;
    private const int Repeats = 3;

    public sealed class Row
    {
        [VectorType(10)]
        public float[] Features { get; set; } = [];

        public float Label { get; set; }
    }

    // The noise has deviation 1, which nothing can be better than; a network of 200 units trained at once by L-BFGS has 1.41, by Adam 2.48.
    [Fact]
    public void Friedmans_function_is_learned_and_half_of_the_units_cost_little()
    {
        var ml = new MLContext(1);
        double whole = 0, half = 0;
        for (var repeat = 0; repeat < Repeats; repeat++)
        {
            var rows = Friedman((ulong)repeat + 1);
            var (train, test) = (ml.Data.LoadFromEnumerable(rows.Skip(TestRows)), ml.Data.LoadFromEnumerable(rows.Take(TestRows)));
            var model = ml.Regression.Trainers.GradientBoostedNetwork(new()
            {
                TotalUnits = 200,
                UnitsPerStep = 2,
                Restarts = 1,
                InputKnots = 0,
                LearningRate = 0.1,
                Subsample = 1,
                Activation = GradientBoostedNetworkActivation.Logistic,
                ValidationFraction = 0,
                Seed = repeat,
            }).Fit(train);
            Assert.Equal(200, HiddenLayerModel.Find(model)!.ActiveUnits);
            whole += Error(model) / Repeats;
            half += Error(ml.Model.ChangeActiveUnits(model, 100)) / Repeats;

            double Error(ITransformer scorer) => ml.Regression.Evaluate(scorer.Transform(test)).RootMeanSquaredError;
        }

        Assert.InRange(whole, 1, 1.25);
        Assert.InRange(half / whole, 1, 1.2);
    }

    private static List<Row> Friedman(ulong seed)
    {
        var random = new DeterministicRandom(seed);
        return [.. Enumerable.Range(0, Rows).Select(_ =>
        {
            float[] x = [.. Enumerable.Range(0, 10).Select(_ => (float)random.NextDouble())];
            var noise = Math.Sqrt(-2 * Math.Log(1 - random.NextDouble())) * Math.Cos(2 * Math.PI * random.NextDouble());
            var signal = (10 * Math.Sin(Math.PI * x[0] * x[1])) + (20 * (x[2] - 0.5) * (x[2] - 0.5)) + (10 * x[3]) + (5 * x[4]);
            return new Row { Features = x, Label = (float)(signal + noise) };
        })];
    }
}
