using Microsoft.ML;
using Microsoft.ML.Data;
using MlNetMlp.Data;
using MlNetMlp.Interop;
using MlNetMlp.Methods;
using MlNetMlp.Networks;
using MlNetMlp.Persistence;
using MlNetMlp.Tests.Support;

namespace MlNetMlp.Tests.Interop;

/// <summary>Outcomes under treatments, by the smallest method that has any.</summary>
public sealed class TreatmentTests
{
    private static readonly MLContext Ml = new(1);

    private static readonly LinearTreatment.Options Options = new() { Epochs = 200, LearningRate = 0.05, Patience = 0, ValidationFraction = 0, Seed = 1 };

    /// <summary>Rows without noise: 1 + 2·x₁ of those not treated, 3 − x₁ + x₂ of those treated.</summary>
    internal static IDataView Rows(int count = 300, Func<int, float>? weight = null) => Ml.Data.LoadFromEnumerable(Make(count, weight));

    [Fact]
    public void A_line_for_each_arm_is_found_and_its_difference_is_the_effect()
    {
        var model = Ml.CausalInference.Trainers.CreateTrainer(new LinearTreatment(Options)).Fit(Rows());
        var scored = model.Transform(Rows(20));
        foreach (var (row, outcomes, effect, score) in Make(20, null).Zip(scored.GetColumn<float[]>("PotentialOutcomes"), scored.GetColumn<float>("Effect"))
            .Zip(scored.GetColumn<float>("Score"), (a, b) => (a.First, a.Second, a.Third, b)))
        {
            Assert.Equal(1 + (2 * row.Features[0]), outcomes[0], 0.02f);
            Assert.Equal(3 - row.Features[0] + row.Features[1], outcomes[1], 0.02f);
            Assert.Equal(outcomes[1] - outcomes[0], effect);
            Assert.Equal(outcomes[row.Treatment ? 1 : 0], score);
        }

        Assert.Equal([150, 150], model.Model.Treatments.ArmRows);
    }

    [Fact]
    public void Rows_of_weight_0_are_passed_over()
    {
        // Rows of another truth that do not count.
        var rows = Make(300, i => i % 3 == 0 ? 0 : 1);
        foreach (var row in rows.Where(row => row.Weight == 0))
            row.Label = 100;
        var model = Ml.CausalInference.Trainers.CreateTrainer(new LinearTreatment(Options with { ExampleWeightColumnName = "Weight" })).Fit(Ml.Data.LoadFromEnumerable(rows));
        var outcomes = model.Transform(Rows(20)).GetColumn<float[]>("PotentialOutcomes");
        Assert.All(outcomes.Zip(Make(20, null)), pair => Assert.Equal(1 + (2 * pair.Second.Features[0]), pair.First[0], 0.02f));
        Assert.Equal([100, 100], model.Model.Treatments.ArmRows);
    }

    [Fact]
    public void Doses_are_quantiles_of_the_training_rows_even_where_the_rows_are_streamed()
    {
        const int count = 100_003;
        var (ml, isStreamed) = (new MLContext(1), false);
        ml.Log += (_, line) => isStreamed |= line.Message.Contains("streamed", StringComparison.Ordinal);
        var numbers = Enumerable.Range(0, count).Select(i => new Dosed { Features = [i % 7, i % 5], Treatment = (int)(i * 7919L % count), Label = i % 3 });
        var options = Options with { Epochs = 1, BatchSize = 4096, Doses = 3, MemoryBudget = 1_000_000 };
        var model = ml.CausalInference.Trainers.CreateTrainer(new LinearTreatment(options)).Fit(ml.Data.LoadFromEnumerable(numbers));
        Assert.True(isStreamed);
        Assert.Equal([1000.02f, 50_001, 99_001.98f], model.Model.Treatments.Doses, (a, b) => Math.Abs(a - b) < 0.02f);

        // Where nearly all have had the same dose, its quantiles are no grid.
        var rare = Ml.Data.LoadFromEnumerable(Enumerable.Range(0, 1000).Select(i => new Dosed { Features = [i % 7, i % 5], Treatment = i == 3 ? 5 : 1, Label = i % 3 }));
        Assert.Equal([1, 5], Ml.CausalInference.Trainers.CreateTrainer(new LinearTreatment(Options with { Epochs = 1 })).Fit(rare).Model.Treatments.Doses);
    }

    [Fact]
    public void Files_whose_treatments_are_not_those_of_the_network_are_refused()
    {
        Assert.ThrowsAny<ModelFormatException>(() => Ml.CausalInference.Trainers.CreateTrainer(new LinearTreatment(Options with { Epochs = 1, ForgetsTreatments = true })).Fit(Rows()));
        var model = Ml.CausalInference.Trainers.CreateTrainer(new LinearTreatment(Options with { Epochs = 1 })).Fit(Rows());
        var network = model.Model.Network;
        var head = (TreatmentHead)network.Head;
        foreach (var wrong in new[] { head.Treatments with { Arms = ["one"] }, head.Treatments with { Doses = [1, 2] }, head.Treatments with { Reference = 2 } })
        {
            var header = TrainedNetworkFile.WriteHeader(new TrainedNetwork(network.Definition, network.Weights, head with { Treatments = wrong }) { MethodName = "x" });
            Assert.ThrowsAny<ModelFormatException>(() => TrainedNetworkFile.Read(_ => header.Length, _ => new MemoryStream(header)));
        }
    }

    [Fact]
    public void A_method_of_treatments_belongs_to_their_catalog_and_no_other_does()
    {
        Assert.Contains("CausalInference", Assert.ThrowsAny<ArgumentException>(() => Ml.Regression.Trainers.CreateTrainer(new LinearTreatment(Options))).Message, StringComparison.Ordinal);
        Assert.Contains("CausalInference", Assert.ThrowsAny<ArgumentException>(() => Ml.BinaryClassification.Trainers.CreateTrainer(new LinearTreatment(Options))).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Other_models_still_need_all_their_columns()
    {
        var method = new KeyedLinear(new() { Epochs = 1, Inputs = [new InputColumn("Arm")], Seed = 1 });
        var model = Ml.Regression.Trainers.CreateTrainer(method).Fit(Rows());
        var bare = Ml.Transforms.DropColumns("Arm").Fit(Rows()).Transform(Rows());
        Assert.Contains("'Arm'", Assert.ThrowsAny<ArgumentOutOfRangeException>(() => model.Transform(bare)).Message, StringComparison.Ordinal);
        var optional = Ml.Regression.Trainers.CreateTrainer(new KeyedLinear(new() { Epochs = 1, Inputs = [new InputColumn("Arm", IsOptionalInScoring: true)], Seed = 1 })).Fit(Rows());
        var missing = Ml.Data.LoadFromEnumerable(Make(300, null).Select(row => { row.Arm = 2; return row; }));
        Assert.Equal(optional.Transform(missing).GetColumn<float>("Score"), optional.Transform(bare).GetColumn<float>("Score"));
    }

    private static Row[] Make(int count, Func<int, float>? weight)
    {
        var random = new Random(count);
        return [.. Enumerable.Range(0, count).Select(i =>
        {
            float[] x = [random.NextSingle(), random.NextSingle()];
            var isTreated = i % 2 == 1;
            return new Row
            {
                Features = x, Treatment = isTreated, Arm = (uint)(i % 2), Weight = weight?.Invoke(i) ?? 1, Label = isTreated ? 3 - x[0] + x[1] : 1 + (2 * x[0]),
            };
        })];
    }

    private sealed class Row
    {
        [VectorType(2)]
        public float[] Features { get; set; } = [];

        public bool Treatment { get; set; }

        /// <summary>0 and 1 are keys, and 2 is a missing one.</summary>
        [KeyType(2)]
        public uint Arm { get; set; }

        public float Weight { get; set; }

        public float Label { get; set; }
    }

    private sealed class Dosed
    {
        [VectorType(2)]
        public float[] Features { get; set; } = [];

        public float Treatment { get; set; }

        public float Label { get; set; }
    }
}
