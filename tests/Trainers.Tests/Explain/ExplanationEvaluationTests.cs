using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.Transforms;
using MlNetMlp.Explain;
using MlNetMlp.Explanations;
using MlNetMlp.Training;

namespace MlNetMlp.Tests.Explain;

/// <summary>Whether the tests of explanations tell good ones from bad ones.</summary>
public sealed class ExplanationEvaluationTests
{
    private const int Inputs = 10;

    private static readonly MLContext Ml = new(1);

    /// <summary>Without its signal a row tells nothing, so that accuracies follow from how often the signal is ranked first and last.</summary>
    [Fact]
    public void Retraining_agrees_with_what_follows_from_the_ranks()
    {
        var (train, test) = (Signal(2000, 1), Signal(1000, 2));
        var model = Ml.BinaryClassification.Trainers.AdversariallyRobustNetwork(Options with { Epsilon = 0, Epochs = 15 }).Fit(train);
        var explain = Ml.Transforms.ExplainPrediction(model, new() { Method = ExplanationMethod.Gradient, Target = ExplanationTarget.TrueLabel }).Fit(train);

        var report = Ml.Model.EvaluateDiffRoar(explain, Trainer, train, test, new() { Levels = [1.0 / Inputs, 1], Repeats = 2 });

        var (fit, judge) = (Kept(explain.Transform(train)), Kept(explain.Transform(test)));
        var expected = Accuracy(row => row.IsTop) - Accuracy(row => row.IsBottom);
        Assert.Equal(expected, report.Points[0].Mean, 0.03);
        Assert.True(report.Points[0].Mean < -0.1, "An ordinary network does not point away from the signal.");
        Assert.Equal(2, report.Points[0].TopAccuracies.Count);

        // Nothing is left out at the level 1.
        Assert.Equal(0, report.Points[1].Mean, 0.01);

        // Rows with their signal can all be told; of the others, which are the same, all are what most of them are in training.
        double Accuracy(Func<(bool IsTop, bool IsBottom, bool Label), bool> isKept)
        {
            var most = fit.Count(row => !isKept(row) && row.Label) > fit.Count(row => !isKept(row) && !row.Label);
            return judge.Average(row => isKept(row) || row.Label == most ? 1.0 : 0);
        }

        static (bool IsTop, bool IsBottom, bool Label)[] Kept(IDataView explained) =>
        [
            .. explained.GetColumn<float[]>("FeatureContributions").Zip(explained.GetColumn<float[]>("Features"), explained.GetColumn<bool>("Label")).Select(row =>
            {
                var own = Math.Abs(row.First[Array.FindIndex(row.Second, value => value != 0)]);
                return (own == row.First.Max(Math.Abs), own == row.First.Min(Math.Abs), row.Third);
            }),
        ];
    }

    [Fact]
    public void Random_contributions_gain_nothing_and_perfect_ones_half()
    {
        var (train, test) = (Signal(2000, 1), Signal(1000, 2));
        const double level = 1.0 / Inputs;
        var random = Ml.Model.EvaluateDiffRoar(Attributor(perfect: false), Trainer, train, test, new() { Levels = [level], Repeats = 3 }).Points[0];

        // Of 1,000 rows, each is right with probability 0.55: one accuracy has a standard error of 0.016, and repeats share their test rows.
        Assert.InRange(random.Mean, -3 * 0.016 * Math.Sqrt(2), 3 * 0.016 * Math.Sqrt(2));
        var perfect = Ml.Model.EvaluateDiffRoar(Attributor(perfect: true), Trainer, train, test, new() { Levels = [level], Repeats = 1 }).Points[0];
        Assert.InRange(perfect.Mean, 0.45, 0.55);

        var error = Assert.Throws<ArgumentOutOfRangeException>(() => Ml.Model.EvaluateDiffRoar(Attributor(true), Trainer, train, test, new() { Levels = [0] }));
        Assert.Contains("'Levels'", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void The_share_on_the_signal_is_that_of_its_contributions()
    {
        var data = Ml.Data.LoadFromEnumerable(
        [
            new Masked { FeatureContributions = [3, -1, 0, 0], SignalMask = [1, 0, 0, 1] },
            new Masked { FeatureContributions = [1, 1, -2, 0], SignalMask = [0, 0, 1, 0] },
            new Masked { FeatureContributions = [0, 0, 0, 0], SignalMask = [0, 0, 1, 0] },
        ]);
        var report = Ml.Model.EvaluateSignalFraction(data, fractions: [0.25, 0.5, 1]);
        Assert.Equal(2, report.Rows);
        Assert.Equal((0.75 + 0.5) / 2, report.Overall, 1e-12);
        Assert.Equal([(0.25, 1.0), (0.5, (0.75 + (2.0 / 3)) / 2), (1, 0.625)], report.Top);
        Assert.Throws<ArgumentOutOfRangeException>(() => Ml.Model.EvaluateSignalFraction(data, fractions: [0]));
        Assert.Contains("no column 'Nowhere'", Assert.Throws<ArgumentOutOfRangeException>(() => Ml.Model.EvaluateSignalFraction(data, maskColumnName: "Nowhere")).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void On_an_additive_function_ranks_are_those_of_permutation_importance()
    {
        var random = new Random(1);
        double[] strengths = [5, 0.2, 3, 1, 0, 2, 0.6, 4, 1.5, 0.1];
        var data = Ml.Data.LoadFromEnumerable(Enumerable.Range(0, 1500).Select(_ =>
        {
            var row = new Number();
            for (var i = 0; i < Inputs; i++)
            {
                row.Features[i] = (float)((2 * random.NextDouble()) - 1);
                row.Label += (float)(strengths[i] * Math.Sin(2 * row.Features[i]));
            }

            return row;
        }).ToArray());
        var model = Ml.Regression.Trainers.ScaledMlp(width: 32, epochs: 40).Fit(data);
        var ours = Ml.Model.RankContributions(Ml.Transforms.ExplainPrediction(model, new() { Baseline = ExplanationBaseline.TrainingMean }).Fit(data).Transform(data));
        var theirs = Ml.Regression.PermutationFeatureImportance(model, data).Select((metrics, slot) => (metrics.RSquared.Mean, Name: $"{slot}")).Order().ToArray();
        double squares = 0;
        for (var rank = 0; rank < Inputs; rank++)
            squares += Math.Pow(rank - Array.FindIndex(theirs, entry => entry.Name == ours[rank].Name), 2);
        var spearman = 1 - (6 * squares / (Inputs * ((Inputs * Inputs) - 1)));
        Assert.True(spearman >= 0.9, $"The rank correlation is {spearman}.");
    }

    [Fact]
    public void Blocks_are_placed_by_the_row_alone_and_a_file_keeps_how()
    {
        var rows = Enumerable.Range(0, 200).Select(i => new Image { Digit = [.. Enumerable.Range(0, 16).Select(j => (float)((i * 16) + j))] }).ToArray();
        var data = Ml.Data.LoadFromEnumerable(rows);
        var model = Ml.Transforms.ComposeBlockImage("Features", "Digit").Fit(data);
        var composed = model.Transform(data);
        var (images, masks) = (composed.GetColumn<float[]>("Features").ToArray(), composed.GetColumn<float[]>("SignalMask").ToArray());
        float[] square = [0, 0, 0, 0, 0, 1, 1, 0, 0, 1, 1, 0, 0, 0, 0, 0];
        for (var row = 0; row < rows.Length; row++)
        {
            var isTop = masks[row][0] == 1;
            Assert.Equal(isTop ? [.. rows[row].Digit, .. square] : [.. square, .. rows[row].Digit], images[row]);
            Assert.Equal(Enumerable.Range(0, 32).Select(i => i < 16 == isTop ? 1f : 0), masks[row]);
        }

        Assert.InRange(masks.Count(mask => mask[0] == 1), 70, 130);
        using var stream = new MemoryStream();
        Ml.Model.Save(model, data.Schema, stream);
        stream.Position = 0;
        var again = new MLContext().Model.Load(stream, out _).Transform(Ml.Data.ShuffleRows(data, 3));
        var byFirst = again.GetColumn<float[]>("Features").ToArray();
        Assert.Equal(images.Select(image => string.Join(' ', image)).Order(), byFirst.Select(image => string.Join(' ', image)).Order());

        Assert.All(Ml.Transforms.ComposeBlockImage("Features", "Digit", new() { Placement = BlockPlacement.Bottom, NullBlock = NullBlock.Zeros }).Fit(data).Transform(data)
            .GetColumn<float[]>("Features"), image => Assert.All(image[..16], value => Assert.Equal(0, value)));
        Assert.Contains("'ImageWidth'", Assert.Throws<InvalidOperationException>(() => Ml.Transforms.ComposeBlockImage("B", "Features").Fit(composed)).Message, StringComparison.Ordinal);
    }

    private static AdversariallyRobustNetwork.Options Options => new()
    {
        HiddenUnits = 64, HiddenLayers = 1, BatchSize = 50, LearningRate = 5e-3, Epochs = 15, Epsilon = 0, Norm = PerturbationNorm.LInf, StandardizeInputs = false, Seed = 1,
    };

    private static IEstimator<ITransformer> Trainer(int seed) => Ml.BinaryClassification.Trainers.AdversariallyRobustNetwork(Options with { Seed = seed });

    private static CustomMappingTransformer<Row, Told> Attributor(bool perfect)
    {
        var empty = Ml.Data.LoadFromEnumerable(Array.Empty<Row>());
        return Ml.Transforms.CustomMapping<Row, Told>(
            (row, told) => told.FeatureContributions = [.. row.Features.Select((value, i) => perfect ? value : MathF.Sin(1000 * (i + 1) * (row.Key + 0.123f)))], null).Fit(empty);
    }

    private static IDataView Signal(int count, int seed)
    {
        // Each signal comes with both signs, so that means are 0 and a row without its signal is nothing but zeros.
        var random = new Random(seed);
        return Ml.Data.LoadFromEnumerable(Enumerable.Range(0, count / 2).SelectMany(_ =>
        {
            var place = random.Next(Inputs);
            return new[] { true, false }.Select(label =>
            {
                var row = new Row { Label = label, Key = (float)random.NextDouble() };
                row.Features[place] = label ? 1 : -1;
                return row;
            });
        }).ToArray());
    }

    private sealed class Row
    {
        [VectorType(Inputs)]
        public float[] Features { get; set; } = new float[Inputs];

        public bool Label { get; set; }

        public float Key { get; set; }
    }

    private sealed class Told
    {
        [VectorType(Inputs)]
        public float[] FeatureContributions { get; set; } = [];
    }

    private sealed class Masked
    {
        [VectorType(4)]
        public float[] FeatureContributions { get; set; } = [];

        [VectorType(4)]
        public float[] SignalMask { get; set; } = [];
    }

    private sealed class Number
    {
        [VectorType(Inputs)]
        public float[] Features { get; set; } = new float[Inputs];

        public float Label { get; set; }
    }

    private sealed class Image
    {
        [VectorType(16)]
        public float[] Digit { get; set; } = [];
    }
}
