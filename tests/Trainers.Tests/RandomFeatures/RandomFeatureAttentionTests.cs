using System.Globalization;
using Microsoft.ML;
using Microsoft.ML.Data;
using MlNetMlp.Conformance;
using MlNetMlp.Methods;
using MlNetMlp.RandomFeatures;
using MlNetMlp.Tests.Support;
using static TorchSharp.torch;

namespace MlNetMlp.Tests.RandomFeatures;

/// <summary>What attention over sets promises: no order, no padding, closed forms, and the same by any way of computing it.</summary>
public sealed class RandomFeatureAttentionTests
{
    private const int D = 3;

    private static readonly MLContext Ml = new(1);

    private static readonly RandomFeatureAttention.Options Small = new()
    {
        FeatureColumnName = "Keys", QueryColumnName = "Query", Heads = 20, Seed = 1, ValidationFraction = 0,
    };

    public static IEnumerable<object[]> Forms =>
        from activation in Enum.GetValues<AttentionActivation>()
        from query in new[] { "column", "mean", "constant" }
        from normalize in Enum.GetValues<AttentionNormalization>()
        select new object[] { activation, query, normalize };

    [Theory]
    [MemberData(nameof(Forms))]
    public void Features_are_those_of_the_plain_loop(AttentionActivation activation, string query, AttentionNormalization normalize)
    {
        var options = new RandomAttentionFeatures.Options
        {
            InputColumnName = "Keys", QueryColumnName = query == "column" ? "Query" : null, KeyDimension = D, Heads = 7, Seed = 3, Activation = activation,
            QueryMode = query == "mean" ? AttentionQueryMode.Mean : AttentionQueryMode.Constant, Normalize = normalize, Temperature = 0.7, Bias = AttentionBias.Identity,
            BiasStrength = 1.5,
        };
        SetRow[] rows = [.. Rows(12)];
        var model = Ml.Transforms.RandomAttentionFeatures("Out", options).Fit(View(rows));
        var found = model.Transform(View(rows)).GetColumn<float[]>("Out").ToArray();
        var w = model.Network.Weights.Single(tensor => tensor.Name == "heads.weight").Floats.ToArray();
        using var scope = NewDisposeScope();
        using var network = model.Network.CreateNetwork();
        var definition = (RandomAttentionDefinition)model.Network.Definition;

        for (var r = 0; r < rows.Length; r++)
        {
            var expected = Loop(w, options, rows[r]);
            AssertNear(expected, found[r], 2e-6);

            // The same by products of matrices, as in training.
            var packed = Packed(rows[r], query == "column", r % 2);
            AssertNear(expected, [.. network.call(tensor(packed, [1, packed.Length])).data<float>()], 2e-6);
        }

        Assert.Equal(7 * (D + 1), definition.Outputs);
    }

    [Fact]
    public void One_key_is_a_closed_form()
    {
        SetRow row = new() { Query = [0.6f, 0, 0.8f], Keys = [0, 1, 0], KeyCount = 1 };
        var model = Ml.Transforms.RandomAttentionFeatures("Out", "Keys", "Query", heads: 5).Fit(View([row]));
        var w = model.Network.Weights.Single(tensor => tensor.Name == "heads.weight").Floats.ToArray();
        var found = model.Transform(View([row])).GetColumn<float[]>("Out").Single();

        float[] x0 = [0.6f, 0, 0.8f, 1], x1 = [0, 1, 0, 1];
        for (var m = 0; m < 5; m++)
        {
            var s = 0.0;
            for (var a = 0; a <= D; a++)
            {
                for (var b = 0; b <= D; b++)
                    s += x0[a] * w[(((m * (D + 1)) + a) * (D + 1)) + b] * x1[b];
            }

            for (var b = 0; b <= D; b++)
                Assert.Equal(Math.Max(0, s) * x1[b] / Math.Sqrt(5), found[(m * (D + 1)) + b], 1e-6);
        }
    }

    [Theory]
    [InlineData(AttentionActivation.Relu)]
    [InlineData(AttentionActivation.Softmax)]
    public void The_order_of_the_keys_does_not_matter_to_the_bit(AttentionActivation activation)
    {
        SetRow[] rows = [.. Rows(60)];
        var model = Ml.Regression.Trainers.RandomFeatureAttention(Small with { Activation = activation }).Fit(View(rows));
        SetRow[] reversed = [.. rows.Select(row => row with { Keys = [.. row.Keys.Chunk(D).Reverse().SelectMany(key => key)] })];
        SetRow[] turned = [.. rows.Select(row => row with { Keys = [.. row.Keys[D..], .. row.Keys[..D]] })];

        Assert.Equal(Scores(model, rows), Scores(model, reversed));
        Assert.Equal(Scores(model, rows), Scores(model, turned));
    }

    [Theory]
    [InlineData(AttentionActivation.Relu)]
    [InlineData(AttentionActivation.Softmax)]
    public void Twice_the_same_keys_are_the_same_set(AttentionActivation activation)
    {
        SetRow[] rows = [.. Rows(60)];
        var model = Ml.Regression.Trainers.RandomFeatureAttention(Small with { Activation = activation, QueryColumnName = null, KeyDimension = D }).Fit(View(rows));
        SetRow[] twice = [.. rows.Select(row => row with { Keys = [.. row.Keys, .. row.Keys], KeyCount = 2 * row.KeyCount })];

        AssertNear(Scores(model, rows), Scores(model, twice), 1e-6);
    }

    [Fact]
    public void Filled_up_rows_are_shorter_ones_in_training_and_in_scoring()
    {
        SetRow[] rows = [.. Rows(60)];
        var most = rows.Max(row => row.Keys.Length);
        var variable = Ml.Regression.Trainers.RandomFeatureAttention(Small).Fit(View(rows));
        var counted = Ml.Regression.Trainers.RandomFeatureAttention(Small with { KeyCountColumnName = "KeyCount" }).Fit(View(Filled(rows, most, 99), most));
        var missing = Ml.Regression.Trainers.RandomFeatureAttention(Small).Fit(View(Filled(rows, most, float.NaN), most));
        var expected = Scores(variable, rows);

        Assert.Equal(expected, Scores(counted, Filled(rows, most, 99), most));
        Assert.Equal(expected, Scores(missing, Filled(rows, most, float.NaN), most));

        // What is behind the count may be anything, and there may be more of it than in training.
        Assert.Equal(expected, Scores(counted, Filled(rows, most + (4 * D), float.NaN), most + (4 * D)));
        Assert.Equal(expected, Scores(missing, Filled(rows, most + (4 * D), float.NaN), most + (4 * D)));
    }

    [Fact]
    public void Sets_longer_than_any_trained_on_are_scored_alone_and_among_others()
    {
        SetRow[] rows = [.. Rows(200)];
        var model = Ml.Regression.Trainers.RandomFeatureAttention(Small).Fit(View(rows));
        SetRow[] longer = [.. rows.Select((row, i) => i % 40 != 7 ? row : row with { Keys = [.. Enumerable.Repeat(row.Keys, 1 + (i * 10)).SelectMany(keys => keys)] })];
        var scores = Scores(model, longer);

        for (var i = 0; i < longer.Length; i += 7)
            Assert.Equal(scores[i], Scores(model, [longer[i]]).Single());
        using var engine = Ml.Model.CreatePredictionEngine<SetRow, Scored>(model);
        Assert.Equal(scores, longer.Select(row => engine.Predict(row).Score));
    }

    [Fact]
    public void Rows_and_sums_give_the_same_readout()
    {
        var rows = View([.. Rows(50)]);
        foreach (var l2 in new[] { 1e-3, 1e-6 })
        {
            var dual = Ml.Regression.Trainers.RandomFeatureAttention(Small with { L2 = l2, Solver = RandomFeatureNetworkSolver.Dual }).Fit(rows);
            var primal = Ml.Regression.Trainers.RandomFeatureAttention(Small with { L2 = l2, Solver = RandomFeatureNetworkSolver.NormalEquations }).Fit(rows);
            AssertNear(Scores(primal, [.. Rows(80, 5)]), Scores(dual, [.. Rows(80, 5)]), 2e-5);
        }
    }

    [Fact]
    public void Without_strength_the_bias_is_none()
    {
        var rows = View([.. Rows(60)]);
        SetRow[] others = [.. Rows(30, 5)];
        var plain = Ml.Regression.Trainers.RandomFeatureAttention(Small).Fit(rows);
        var biased = Ml.Regression.Trainers.RandomFeatureAttention(Small with { Bias = AttentionBias.Identity, BiasStrength = 0 }).Fit(rows);
        var identity = Small with { Bias = AttentionBias.Identity };
        var matrix = new AttentionBiasMatrix([1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0]);
        var custom = Ml.Regression.Trainers.RandomFeatureAttention(Small with { Bias = AttentionBias.Custom, BiasMatrix = matrix }).Fit(rows);

        Assert.Equal(Scores(plain, others), Scores(biased, others));
        Assert.Equal(Scores(Ml.Regression.Trainers.RandomFeatureAttention(identity).Fit(rows), others), Scores(custom, others));
        Assert.NotEqual(Scores(plain, others), Scores(custom, others));
    }

    [Fact]
    public void Heads_are_frozen_and_follow_from_the_seed_alone()
    {
        var model = Ml.Regression.Trainers.RandomFeatureAttention(Small).Fit(View([.. Rows(60)]));
        var other = Ml.BinaryClassification.Trainers.RandomFeatureAttention(Small with { LabelColumnName = "Flag" }).Fit(View([.. Rows(40, 9)]));
        var features = Ml.Transforms.RandomAttentionFeatures("Out", new RandomAttentionFeatures.Options
        {
            InputColumnName = "Keys", QueryColumnName = "Query", Heads = 20, Seed = 1,
        }).Fit(View([.. Rows(5)]));

        Assert.Equal(Heads(model.Model.Network), Heads(features.Network));
        Assert.Equal(Heads(other.Model.Network), Heads(features.Network));
        var drawn = Heads(features.Network);
        Assert.Equal(0, drawn.Average(), 0.1);
        Assert.Equal(0.5, Math.Sqrt(drawn.Average(w => w * w)), 0.05);
    }

    // E σ(u·Wv)σ(u′·Wv′) over W with entries of deviation s is s²·k(u⊗v, u′⊗v′), k the arc-cosine kernel of degree 1 (Cho and Saul, 2009).
    [Fact]
    public void Many_heads_are_near_the_kernel_of_one_over_the_root_of_their_number()
    {
        SetRow[] rows = [.. Rows(8).Select(row => row with { Keys = row.Keys[..D], KeyCount = 1 })];
        double[] errors = [Error(200), Error(12_800)];

        Assert.True(errors[1] < errors[0] / 4, $"64 times as many heads bring the error from {errors[0]} to {errors[1]}");
        Assert.True(errors[1] < 0.02, $"{errors[1]}");

        double Error(int heads)
        {
            var options = new RandomAttentionFeatures.Options { InputColumnName = "Keys", QueryColumnName = "Query", Heads = heads, Seed = 2 };
            var h = Ml.Transforms.RandomAttentionFeatures("Out", options).Fit(View(rows)).Transform(View(rows)).GetColumn<float[]>("Out").ToArray();
            var squares = 0.0;
            for (var i = 0; i < rows.Length; i++)
            {
                for (var j = 0; j < rows.Length; j++)
                {
                    var found = h[i].Zip(h[j], (x, y) => (double)x * y).Sum();
                    var keys = Product(rows[i].Keys, rows[j].Keys);
                    squares += Math.Pow(found - (0.25 * ArcCosine(2 * 2, Product(rows[i].Query, rows[j].Query) * keys) * keys), 2);
                }
            }

            return Math.Sqrt(squares / rows.Length / rows.Length);
        }

        // Of vectors of squared length 4 and an inner product: ‖u‖‖v‖·(sin θ + (π − θ)cos θ)/(2π).
        static double ArcCosine(double square, double product)
        {
            var cosine = Math.Clamp(product / square, -1, 1);
            var angle = Math.Acos(cosine);
            return square * (Math.Sin(angle) + ((Math.PI - angle) * cosine)) / (2 * Math.PI);
        }

        static double Product(float[] x, float[] y)
        {
            double Length(float[] v) => Math.Sqrt(v.Sum(value => (double)value * value));
            return 1 + (x.Zip(y, (a, b) => (double)a * b).Sum() / Length(x) / Length(y));
        }
    }

    [Fact]
    public void The_strength_is_chosen_by_rows_left_out()
    {
        var function = new SetFunction { Target = SetFunctionTarget.Correlation, Power = 3, Dimension = 8, Keys = 8, Rows = 300 };
        var options = Small with { LabelColumnName = "Label", Bias = AttentionBias.Identity, BiasStrength = null, Heads = 60 };
        var rows = Ml.Data.GenerateSetFunction(function);
        var ignoring = Ml.Data.GenerateSetFunction(function with { Target = SetFunctionTarget.Power, Power = 2 });
        var model = Ml.Regression.Trainers.RandomFeatureAttention(options).Fit(rows);
        var report = RandomFeatureAttention.GetDiagnostics(model)!;

        Assert.Equal([0, 1, 2, 4, 8], report.Points.Select(point => point.Strength));
        Assert.Equal(report.Points.MinBy(point => point.Error)!.Strength, report.Strength);
        Assert.True(report.Strength > 0, $"{report.Strength} where the label depends on the query");
        Assert.Equal(Scores(Ml.Regression.Trainers.RandomFeatureAttention(options with { BiasStrength = report.Strength }).Fit(rows), rows), Scores(model, rows));
        Assert.True(RandomFeatureAttention.GetDiagnostics(Ml.Regression.Trainers.RandomFeatureAttention(options).Fit(ignoring))!.Strength < report.Strength);
    }

    [Fact]
    public void More_rows_add_to_those_of_before()
    {
        SetRow[] rows = [.. Rows(300)];
        var trainer = Ml.Regression.Trainers.RandomFeatureAttention(Small with { L2 = 1e-3, L2Unit = RandomFeatureNetworkPenaltyUnit.Absolute, Solver = RandomFeatureNetworkSolver.NormalEquations });
        SetRow[] scaled = [.. rows.Select((row, i) => row with { Target = rows[i / 2].Target })];
        var first = trainer.Fit(View(scaled[..150]));
        var both = trainer.Fit(View(scaled[150..]), first.Model);

        // The scale of labels is that of the first fit, so the whole is compared where both have it.
        var whole = trainer.Fit(View(scaled));
        Assert.NotEqual(Scores(first, rows), Scores(both, rows));
        AssertNear(Scores(whole, rows), Scores(both, rows), 0.02);
        var other = Ml.Regression.Trainers.RandomFeatureAttention(Small with { Heads = 21, InitialModel = first });
        Assert.Contains("'InitialModel'", Assert.Throws<InvalidOperationException>(() => other.Fit(View(rows))).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Lengths_are_bounded_where_they_would_be_greater()
    {
        var rows = View([.. Rows(100)]);
        var free = Ml.Regression.Trainers.RandomFeatureAttention(Small with { L2 = 1e-4 }).Fit(rows);
        var norm = Norm(free.Model.Network);
        var wide = Ml.Regression.Trainers.RandomFeatureAttention(Small with { L2 = 1e-4, MaxNorm = 2 * norm }).Fit(rows);
        var tight = Ml.Regression.Trainers.RandomFeatureAttention(Small with { L2 = 1e-4, MaxNorm = norm / 4 }).Fit(rows);

        Assert.Equal(Scores(free, rows), Scores(wide, rows));
        Assert.Equal(norm / 4, Norm(tight.Model.Network), 1e-3 * norm);
        var (all, bounded) = (Ml.Regression.Evaluate(free.Transform(rows)).RSquared, Ml.Regression.Evaluate(tight.Transform(rows)).RSquared);
        Assert.True(bounded > 0.3 && bounded < all, $"{bounded} and {all}");

        static double Norm(TrainedNetwork network)
        {
            var v = network.Weights.Single(tensor => tensor.Name == "output.weight").Floats.ToArray();
            return v.Chunk(D + 1).Sum(head => Math.Sqrt(head.Sum(x => (double)x * x))) / Math.Sqrt(20);
        }
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Classes_are_told_apart(bool crossEntropy)
    {
        var options = Small with
        {
            Heads = 60, ValidationFraction = 0.1, Solver = crossEntropy ? RandomFeatureNetworkSolver.CrossEntropy : RandomFeatureNetworkSolver.Auto, LabelColumnName = "Flag",
        };
        var (rows, others) = (View([.. Rows(600)]), View([.. Rows(300, 8)]));
        var binary = Ml.BinaryClassification.Trainers.RandomFeatureAttention(options).Fit(rows);
        var key = Ml.Transforms.Conversion.MapValueToKey("Class", "Kind");
        var multiclass = key.Append(Ml.MulticlassClassification.Trainers.RandomFeatureAttention(options with { LabelColumnName = "Class" })).Fit(rows);

        Assert.True(Ml.BinaryClassification.Evaluate(binary.Transform(others), "Flag").Accuracy > 0.85);
        Assert.True(Ml.MulticlassClassification.Evaluate(multiclass.Transform(others), "Class").MicroAccuracy > 0.8);
    }

    [Fact]
    public void A_streamed_set_gives_the_same_as_one_in_memory()
    {
        SetRow[] rows = [.. Rows(30_000)];
        var options = Small with { Heads = 10, L2 = 1e-4, Solver = RandomFeatureNetworkSolver.NormalEquations };
        var inMemory = Ml.Regression.Trainers.RandomFeatureAttention(options).Fit(View(rows));
        var streamed = Ml.Regression.Trainers.RandomFeatureAttention(options with { MemoryBudget = 1_000_000 }).Fit(View(rows));
        var wide = Ml.Regression.Trainers.RandomFeatureAttention(options with { Solver = RandomFeatureNetworkSolver.ConjugateGradient, L2 = 1e-9 }).Fit(View(rows[..2000]));
        var exact = Ml.Regression.Trainers.RandomFeatureAttention(options with { L2 = 1e-9 }).Fit(View(rows[..2000]));

        AssertNear(Scores(inMemory, rows[..50]), Scores(streamed, rows[..50]), 1e-4);
        AssertNear(Scores(exact, rows[..50]), Scores(wide, rows[..50]), 0.1);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void A_saved_model_scores_the_same_bits_in_a_process_that_never_asked_for_it(bool variable)
    {
        SetRow[] rows = [.. Rows(60)];
        var most = rows.Max(row => row.Keys.Length);
        var (data, size) = variable ? (rows, (int?)null) : (Filled(rows, most, 7), most);
        var trainer = Ml.Regression.Trainers.RandomFeatureAttention(Small with { KeyCountColumnName = variable ? null : "KeyCount" });
        var features = Ml.Transforms.RandomAttentionFeatures("Out", new RandomAttentionFeatures.Options
        {
            InputColumnName = "Keys", QueryColumnName = "Query", KeyCountColumnName = variable ? null : "KeyCount", Heads = 3,
        });
        var model = features.Append(trainer).Fit(View(data, size));
        var folder = Directory.CreateTempSubdirectory("attention").FullName;
        try
        {
            var path = Path.Combine(folder, "model.zip");
            Ml.Model.Save(model, View(data, size).Schema, path);
            Assert.Equal(Elsewhere(path, View(data, size)), string.Join(' ', Scores(model, data, size).Select(score => BitConverter.SingleToUInt32Bits(score).ToString("x8", CultureInfo.InvariantCulture))));
            var loaded = new MLContext().Model.Load(path, out var schema);
            Assert.Equal(variable, !((VectorDataViewType)schema["Keys"].Type).IsKnownSize);
            Assert.Equal(Scores(model, data, size), Scores(loaded, data, size));
            Assert.Equal(model.Transform(View(data, size)).GetColumn<float[]>("Out").SelectMany(row => row), loaded.Transform(View(data, size)).GetColumn<float[]>("Out").SelectMany(row => row));
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    [Fact]
    public void What_cannot_be_read_is_refused_with_column_and_row()
    {
        var trainer = Ml.Regression.Trainers.RandomFeatureAttention(Small);
        SetRow[] rows = [.. Rows(20)];
        var model = trainer.Fit(View(rows));
        Refused(Changed(7, row => row with { Keys = row.Keys[1..] }), null, "'Keys'", "row 7", $"{rows[7].Keys.Length - 1}", "items of 3");
        Refused(Changed(4, row => row with { Keys = [] }), null, "'Keys'", "row 4", "no items");
        Refused(Changed(4, row => row with { Keys = [float.NaN, float.NaN, float.NaN] }), null, "'Keys'", "row 4", "no items");
        Refused(Changed(5, row => row with { Keys = [1, float.NaN, 2] }), null, "'Keys'", "row 5", "slot 1", "NaN");
        Refused(Changed(6, row => row with { Query = [1, float.PositiveInfinity, 2] }), null, "'Query'", "row 6", "slot 1", "Infinity");
        foreach (var count in new[] { -1, 0.5f, 1e6f, float.NaN })
            Refused(Changed(3, row => row with { KeyCount = count }), "KeyCount", "'KeyCount'", "row 3", "'Keys'", $"0 to {rows[3].Keys.Length / 3}");
        Refused(Changed(3, row => row with { KeyCount = 0 }), "KeyCount", "'Keys'", "row 3", "no items");

        Says(() => Ml.Regression.Trainers.RandomFeatureAttention(Small with { QueryColumnName = "No" }).Fit(View(rows)), "'No'", "context column");
        Says(() => Ml.Regression.Trainers.RandomFeatureAttention(Small with { KeyDimension = 2 }).Fit(View([.. rows.Select(row => row with { Keys = [1, 2] })])), "'Query'", "3", "2");
        Says(() => Ml.Regression.Trainers.RandomFeatureAttention(Small with { QueryColumnName = null }).Fit(View(rows)), "'Keys'", "unknown size", "'KeyDimension'");
        Says(() => Ml.Regression.Trainers.RandomFeatureAttention(Small).Fit(View([.. rows.Select(row => row with { Keys = [1, 2, 3, 4] })], 4)), "'Keys'", "4 slots", "items of 3");
        Says(() => Ml.Regression.Trainers.RandomFeatureAttention(Small with { KeyCountColumnName = "Kind" }).Fit(View(rows)), "'Kind'", "count column", "String");
        Says(() => model.Transform(Ml.Transforms.DropColumns("Query").Fit(View(rows)).Transform(View(rows))), "'Query'", "context column");
        Says(() => model.Transform(Ml.Transforms.CopyColumns("Query", "Target").Fit(View(rows)).Transform(View(rows))), "'Query'", "1 slots", "3");
        Says(() => Ml.Regression.Trainers.RandomFeatureAttention(Small with { Bias = AttentionBias.Custom }), "'BiasMatrix'");
        Says(() => Ml.Regression.Trainers.RandomFeatureAttention(Small with { Bias = AttentionBias.Custom, BiasMatrix = new([1, 2]) }).Fit(View(rows)), "'BiasMatrix'", "16");

        IDataView Changed(int index, Func<SetRow, SetRow> change) => View([.. rows.Select((row, i) => i == index ? change(row) : row)]);

        void Refused(IDataView data, string? count, params string[] parts)
        {
            Says(() => Ml.Regression.Trainers.RandomFeatureAttention(Small with { KeyCountColumnName = count }).Fit(data), parts);
            var good = count is null ? model : Ml.Regression.Trainers.RandomFeatureAttention(Small with { KeyCountColumnName = count }).Fit(View(rows));
            Says(() => Scores(good, data), parts);
        }

        static void Says(Action action, params string[] parts)
        {
            var message = Trial.Catch(action)?.Message ?? "nothing";
            Assert.All(parts, part => Assert.Contains(part, message, StringComparison.Ordinal));
        }
    }

    [Fact]
    public void Generated_rows_are_the_function_that_they_say()
    {
        var function = new SetFunction { Target = SetFunctionTarget.Correlation, Power = 2, Dimension = 4, Keys = 6, FewestKeys = 2, Rows = 200 };
        SetFunctionRow[] rows = [.. function.MakeRows()];
        Assert.Equal(rows.Select(row => row.Label), function.MakeRows().Select(row => row.Label));
        Assert.Equal([2, 3, 4, 5, 6], rows.Select(row => (int)row.KeyCount).Distinct().Order());
        Assert.All(rows, row => Assert.All(row.Keys.Chunk(4).Append(row.Query), key => Assert.Equal(1, key.Sum(x => x * x), 1e-5)));

        // The same keys with another target tell what β is: labels of p = 1 are linear in the mean of ⟨x₀, xᵢ⟩·xᵢ.
        var powers = (function with { Target = SetFunctionTarget.Power, Power = 1 }).MakeRows().ToArray();
        using var scope = NewDisposeScope();
        var means = tensor(powers.SelectMany(row => Enumerable.Range(0, 4).Select(j => 2 * row.Keys.Chunk(4).Average(key => key[j]))).ToArray(), [200, 4]);
        var beta = linalg.lstsq(means, tensor(powers.Select(row => row.Label).ToArray(), [200, 1])).Solution.data<float>().ToArray();
        Assert.Equal(1, beta.Sum(b => b * b), 1e-4);
        Assert.All(rows, row => Assert.Equal(
            row.Keys.Chunk(4).Average(key => Math.Pow(2 * Dot(key, row.Query), 2) * 2 * Dot(key, beta)), row.Label, 1e-4));
        Assert.Equal(24, ((VectorDataViewType)Ml.Data.GenerateSetFunction(function with { FewestKeys = null }).Schema["Keys"].Type).Size);
        Assert.Throws<ArgumentOutOfRangeException>(() => Ml.Data.GenerateSetFunction(new() { FewestKeys = 20, Keys = 3 }));

        static double Dot(float[] x, float[] y) => x.Zip(y, (a, b) => (double)a * b).Sum();
    }

    private static float[] Heads(TrainedNetwork network) => network.Weights.Single(tensor => tensor.Name == "heads.weight").Floats.ToArray();

    // In the conformance suite's process, which has never heard of this library.
    private static string Elsewhere(string model, IDataView data)
    {
        using var elsewhere = new FreshProcess(typeof(RandomFeatureAttentionTests).Assembly, Ml, data);
        var answer = elsewhere.Score(File.ReadAllBytes(model));
        return answer.Scores ?? answer.Message;
    }

    private static SetRow[] Filled(SetRow[] rows, int length, float value) =>
        [.. rows.Select(row => row with { Keys = [.. row.Keys, .. Enumerable.Repeat(value, length - row.Keys.Length)] })];

    private static IDataView View(SetRow[] rows, int? size = null)
    {
        var schema = SchemaDefinition.Create(typeof(SetRow));
        if (size is { } known)
            schema["Keys"].ColumnType = new VectorDataViewType(NumberDataViewType.Single, known);
        return Ml.Data.LoadFromEnumerable(rows, schema);
    }

    private static float[] Scores(ITransformer model, SetRow[] rows, int? size = null) => Scores(model, View(rows, size));

    private static float[] Scores(ITransformer model, IDataView rows) => [.. model.Transform(rows).GetColumn<float>("Score")];

    private static void AssertNear(float[] expected, float[] found, double tolerance)
    {
        Assert.Equal(expected.Length, found.Length);
        var unit = Math.Max(1, expected.Max(Math.Abs));
        Assert.All(expected.Zip(found), pair => Assert.Equal(pair.First, pair.Second, tolerance * unit));
    }

    private static float[] Packed(SetRow row, bool withQuery, int more) =>
        [row.Keys.Length / D, .. withQuery ? row.Query : [], .. row.Keys, .. new float[more * D]];

    private static float[] Loop(float[] w, RandomAttentionFeatures.Options options, SetRow row)
    {
        double[] Unit(float[] x)
        {
            var length = options.Normalize == AttentionNormalization.None ? 1 : Math.Sqrt(x.Sum(value => (double)value * value));
            return [.. x.Select(value => value / length), 1];
        }

        double[][] keys = [.. row.Keys.Chunk(D).Select(Unit)];
        double[] query = options.QueryColumnName is not null ? Unit(row.Query)
            : options.QueryMode == AttentionQueryMode.Mean ? [.. Enumerable.Range(0, D + 1).Select(j => keys.Average(key => key[j]))]
            : [0, 0, 0, 1];
        var features = new List<float>();
        for (var m = 0; m < options.Heads; m++)
        {
            double[] scores = [.. keys.Select(key => Enumerable.Range(0, D + 1).Sum(a => Enumerable.Range(0, D + 1).Sum(b => query[a] * w[(((m * (D + 1)) + a) * (D + 1)) + b] * key[b])))];
            double[] shares = options.Activation switch
            {
                AttentionActivation.Relu => [.. scores.Select(s => Math.Max(0, s) / keys.Length)],
                AttentionActivation.Tanh => [.. scores.Select(s => Math.Tanh(s) / keys.Length)],
                AttentionActivation.Exp => [.. scores.Select(s => Math.Exp(s) / keys.Length)],
                _ => [.. scores.Select(s => Math.Exp(s / options.Temperature) / scores.Sum(other => Math.Exp(other / options.Temperature)))],
            };
            for (var b = 0; b <= D; b++)
                features.Add((float)(keys.Select((key, i) => shares[i] * key[b]).Sum() / Math.Sqrt(options.Heads)));
        }

        return [.. features];
    }

    private static IEnumerable<SetRow> Rows(int count, int seed = 1)
    {
        var random = new Random(seed);
        float Next() => (float)((random.NextDouble() * 2) - 1);
        for (var i = 0; i < count; i++)
        {
            float[] query = [Next(), Next(), Next()];
            float[] keys = [.. Enumerable.Range(0, D * random.Next(1, 6)).Select(_ => Next())];
            var target = keys.Chunk(D).Average(key => (key[0] + (query[0] * key[0])) / MathF.Sqrt(key.Sum(x => x * x)));
            yield return new()
            {
                Query = query, Keys = keys, KeyCount = keys.Length / D, Target = target, Flag = target > 0, Kind = target > 0 ? "high" : query[1] > 0 ? "low" : "middle",
            };
        }
    }

    private sealed record SetRow
    {
        [VectorType(D)]
        public float[] Query { get; init; } = [];

        [VectorType]
        public float[] Keys { get; init; } = [];

        public float KeyCount { get; init; }

        public float Target { get; init; }

        public bool Flag { get; init; }

        public string Kind { get; init; } = "";

        public float Label => Target;
    }

    private sealed class Scored
    {
        public float Score { get; set; }
    }
}
