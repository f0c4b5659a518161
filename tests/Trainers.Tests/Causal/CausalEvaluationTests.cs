using Microsoft.ML;
using Microsoft.ML.Data;
using MlNetMlp.Causal;

namespace MlNetMlp.Tests.Causal;

/// <summary>The figures of <c>mlContext.CausalInference</c> on tables made by hand, and the rows of the benchmark.</summary>
public sealed class CausalEvaluationTests
{
    private static readonly MLContext Ml = new(1);

    [Fact]
    public void Errors_of_effects_are_those_of_a_table_by_hand()
    {
        // Effects against the first: true 1, 3 and 2, 2; predicted 2, 3 and 2, 0. Errors 1, 0 and 0, -2.
        var data = Ml.Data.LoadFromEnumerable([new Pair { Truth = [0, 1, 3], Predicted = [5, 7, 8] }, new Pair { Truth = [1, 3, 3], Predicted = [0, 2, 0] }]);
        var metrics = Ml.CausalInference.Evaluate(data, "Truth", "Predicted");
        Assert.Equal(2, metrics.Rows);
        Assert.Equal(Math.Sqrt(5.0 / 4), metrics.Pehe, 1e-12);
        Assert.Equal([1.5, 2.5], metrics.TrueEffects);
        Assert.Equal([2, 1.5], metrics.PredictedEffects);
        Assert.Equal(0.75, metrics.AteError, 1e-12);

        // Against the last: true -3, -2 and -2, 0; predicted -3, -1 and 0, 2. Errors 0, 1 and 2, 2.
        Assert.Equal(Math.Sqrt(9.0 / 4), Ml.CausalInference.Evaluate(data, "Truth", "Predicted", 2).Pehe, 1e-12);
    }

    [Fact]
    public void Errors_of_responses_are_those_of_a_table_by_hand()
    {
        // Errors 1, -1, 0 and 3, 1, 0: on average over rows 2, 0, 0.
        var data = Ml.Data.LoadFromEnumerable([new Pair { Truth = [0, 1, 2], Predicted = [1, 0, 2] }, new Pair { Truth = [0, 0, 0], Predicted = [3, 1, 0] }]);
        var metrics = Ml.CausalInference.EvaluateDoseResponse(data, "Truth", "Predicted");
        Assert.Equal(2, metrics.Rows);
        Assert.Equal(12.0 / 6, metrics.UnitMeanSquaredError, 1e-12);
        Assert.Equal(4.0 / 3, metrics.CurveMeanSquaredError, 1e-12);
    }

    [Fact]
    public void Tables_that_tell_nothing_are_refused()
    {
        var data = Ml.Data.LoadFromEnumerable([new Pair { Truth = [0, 1, 3], Predicted = [5, 7, float.NaN] }]);
        Assert.Contains("'Predicted'", Assert.ThrowsAny<InvalidOperationException>(() => Ml.CausalInference.Evaluate(data, "Truth", "Predicted")).Message, StringComparison.Ordinal);
        Assert.Contains("'Other'", Assert.ThrowsAny<ArgumentOutOfRangeException>(() => Ml.CausalInference.Evaluate(data, "Other", "Predicted")).Message, StringComparison.Ordinal);
        Assert.Contains("'Two'", Assert.ThrowsAny<ArgumentOutOfRangeException>(() => Ml.CausalInference.EvaluateDoseResponse(data, "Two", "Predicted")).Message, StringComparison.Ordinal);
        Assert.ThrowsAny<ArgumentOutOfRangeException>(() => Ml.CausalInference.Evaluate(data, "Truth", "Predicted", 3));
        Assert.ThrowsAny<InvalidOperationException>(() => Ml.CausalInference.Evaluate(Ml.Data.LoadFromEnumerable<Pair>([]), "Truth", "Predicted"));
    }

    [Fact]
    public void Uplift_of_a_table_by_hand()
    {
        // From the greatest effect on: treated 1, other 0, treated 0, other 1.
        var data = Ml.Data.LoadFromEnumerable([
            new Unit { Effect = 1, Treatment = true }, new Unit { Effect = 3, Treatment = true, Label = 1 }, new Unit { Effect = 0, Label = 1 }, new Unit { Effect = 2 },
        ]);
        var metrics = Ml.CausalInference.EvaluateUplift(data);
        Assert.Equal((4L, 2L), (metrics.Rows, metrics.TreatedRows));
        Assert.Equal([0, 0.25, 0.5, 0.375, 0], metrics.Curve.Select(point => point.Gain));
        Assert.Equal([0, 0.5, 0.5, 0.5, 0], metrics.Curve.Select(point => point.QiniGain));
        Assert.Equal(0, metrics.AverageEffect, 1e-12);
        Assert.Equal(0.28125, metrics.Auuc, 1e-12);
        Assert.Equal(0.375, metrics.Qini, 1e-12);
        Assert.Equal(metrics, Ml.CausalInference.EvaluateUplift(Ml.Data.ShuffleRows(data, 3)));
    }

    [Fact]
    public void Effects_that_tell_nothing_lie_on_the_line_and_the_true_ones_above()
    {
        var random = new Random(1);
        var units = Enumerable.Range(0, 4000).Select(_ => random.NextSingle()).Select(x => (x, Treated: random.Next(2) == 0))
            .Select(unit => new Unit { Treatment = unit.Treated, Effect = unit.x, Label = unit.Treated ? unit.x : 0 }).ToArray();
        var right = Ml.CausalInference.EvaluateUplift(Ml.Data.LoadFromEnumerable(units));
        Assert.Equal(0.5, right.AverageEffect, 0.02);

        // The gain of the best share φ is ∫ x from 1 − φ to 1 = φ − φ²/2, the area under it 1/3, and 1/12 of it above the line.
        Assert.Equal(1.0 / 3, right.Auuc, 0.02);
        Assert.Equal(1.0 / 12, right.Qini, 0.02);
        Assert.InRange(right.Curve.Count, 90, 110);
        var wrong = Ml.CausalInference.EvaluateUplift(Ml.Data.LoadFromEnumerable(units.Select(unit => new Unit { Treatment = unit.Treatment, Label = unit.Label, Effect = -unit.Effect })));
        Assert.Equal(-1.0 / 12, wrong.Qini, 0.02);
        var flat = Ml.CausalInference.EvaluateUplift(Ml.Data.LoadFromEnumerable(units.Select(unit => new Unit { Treatment = unit.Treatment, Label = unit.Label })));
        Assert.Equal(0, flat.Qini, 1e-12);
        Assert.Equal(flat.AverageEffect / 2, flat.Auuc, 1e-12);
    }

    [Fact]
    public void Known_propensities_undo_a_selection()
    {
        // Of two kinds three in four and one in four are treated; the effects are 1 and 2, and the second kind is better off by 10.
        var units = new[] { (0.75f, 0f, 1f), (0.25f, 10f, 12f) }.SelectMany(kind => Enumerable.Range(0, 4).Select(i => i < 4 * kind.Item1)
            .Select(treated => new Unit { Propensity = kind.Item1, Treatment = treated, Label = treated ? kind.Item3 : kind.Item2, Effect = kind.Item3 - kind.Item2 })).ToArray();
        var data = Ml.Data.LoadFromEnumerable(units);
        Assert.Equal(1.5, Ml.CausalInference.EvaluateUplift(data, propensityColumnName: "Propensity").AverageEffect, 1e-6);
        Assert.Equal(-3.75, Ml.CausalInference.EvaluateUplift(data).AverageEffect, 1e-6);

        units[3].Propensity = 1;
        Assert.Contains("'Propensity'", Assert.ThrowsAny<InvalidOperationException>(() => Ml.CausalInference.EvaluateUplift(data, propensityColumnName: "Propensity")).Message, StringComparison.Ordinal);
        units[3].Label = float.NaN;
        Assert.Contains("'Label', row 3", Assert.ThrowsAny<InvalidOperationException>(() => Ml.CausalInference.EvaluateUplift(data)).Message, StringComparison.Ordinal);
        Assert.Contains("'Label'", Assert.ThrowsAny<ArgumentOutOfRangeException>(() => Ml.CausalInference.EvaluateUplift(data, treatmentColumnName: "Label")).Message, StringComparison.Ordinal);
        Assert.Contains("'Treatment'", Assert.ThrowsAny<InvalidOperationException>(
            () => Ml.CausalInference.EvaluateUplift(Ml.Data.LoadFromEnumerable(units.Where(unit => unit.Treatment).Take(2)))).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void The_benchmark_follows_its_closed_form()
    {
        // At x = (0.2, 0.4, 0.6, 0.8, 0.1, 0.9), t = 0.75: cos(π/2) = 0; at t = 0.5 the first factor is 1.
        float[] x = [0.2f, 0.4f, 0.6f, 0.8f, 0.1f, 0.9f];
        Assert.Equal(0, DoseResponseBenchmark.Response(x, 0.75), 1e-12);
        Assert.Equal(0.25 + (4 * 0.729 * 0.7173560908995228 / 1.72), DoseResponseBenchmark.Response(x, 0.5), 1e-6);

        var quiet = new DoseResponseBenchmark { Rows = 4000, Noise = 0, Seed = 3 }.MakeRows().ToArray();
        Assert.All(quiet, row => Assert.Equal(DoseResponseBenchmark.Response(row.Features, row.Treatment), row.Label, 1e-5));
        Assert.All(quiet, row => Assert.InRange(row.Treatment, 0, 1));

        // What is left of the logit of the dose once the closed form is taken away is normal noise of deviation one half.
        var left = quiet.Select(row => Math.Log(row.Treatment / (1 - (double)row.Treatment)) - Logit(row.Features)).ToArray();
        Assert.Equal(0, left.Average(), 0.03);
        Assert.Equal(0.25, left.Average(value => value * value), 0.02);

        var rows = Ml.Data.CreateEnumerable<DoseResponseRow>(Ml.Data.CreateDoseResponseBenchmark(new() { Rows = 2000, Seed = 3 }), false).ToArray();
        Assert.Equal(quiet[7].Features, rows[7].Features);
        Assert.Equal(0.25, rows.Average(row => Math.Pow(row.Label - DoseResponseBenchmark.Response(row.Features, row.Treatment), 2)), 0.03);
        Assert.Contains("'Rows'", Assert.ThrowsAny<ArgumentOutOfRangeException>(() => new DoseResponseBenchmark { Rows = 0 }.MakeRows()).Message, StringComparison.Ordinal);
    }

    private static double Logit(float[] x)
    {
        double x1 = x[0], x2 = x[1], x3 = x[2], x4 = x[3], x5 = x[4];
        var a = 10 * Math.Sin(new[] { x1, x2, x3 }.Max());
        var b = Math.Pow(new[] { x3, x4, x5 }.Max(), 3);
        var c = 1 + ((x1 + x5) * (x1 + x5));
        return ((a + b) / c) + (Math.Sin(0.5 * x3) * (1 + Math.Exp(x4 - (0.5 * x3)))) + Math.Pow(x3, 2) + (2 * Math.Sin(x4)) + (2 * x5) - 6.5;
    }

    private sealed class Pair
    {
        [VectorType(3)]
        public float[] Truth { get; set; } = [];

        [VectorType(3)]
        public float[] Predicted { get; set; } = [];

        [VectorType(2)]
        public float[] Two { get; set; } = [0, 0];
    }

    private sealed class Unit
    {
        public float Effect { get; set; }

        public bool Treatment { get; set; }

        public float Label { get; set; }

        public float Propensity { get; set; }
    }
}
