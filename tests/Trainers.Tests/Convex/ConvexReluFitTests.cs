using Microsoft.ML;
using Microsoft.ML.Data;
using MlNetMlp.Boosting;
using MlNetMlp.Conformance;
using MlNetMlp.Convex;
using MlNetMlp.Data;
using MlNetMlp.Interop;
using MlNetMlp.Methods;
using MlNetMlp.Tabular;

namespace MlNetMlp.Tests.Convex;

/// <summary>What a user gets: the network, its certificate, and how it holds under attack.</summary>
public sealed class ConvexReluFitTests
{
    private static readonly ConvexRelu.Options Options = new() { SampledPatterns = 12, MaxIterations = 60, ValidationFraction = 0, Seed = 1 };

    [Theory]
    [InlineData(ConvexReluLoss.Squared)]
    [InlineData(ConvexReluLoss.Logistic)]
    [InlineData(ConvexReluLoss.Hinge)]
    public void The_weights_are_balanced_and_their_decay_is_the_penalty(ConvexReluLoss loss)
    {
        var ml = new MLContext(1);
        var model = ml.BinaryClassification.Trainers.ConvexRelu(Options with { Loss = loss, StandardizeInputs = false }).Fit(View(ml, EstimatorTask.Binary));
        var certificate = ConvexRelu.GetCertificate(model)!;
        var (w1, b1, w2, _) = HiddenLayerModel.Find(model)!.ToWeights();

        // For the logistic loss the score is 2f; other scores are calibrated by a factor that is the same for all units.
        var ratio = 0.0;
        for (var unit = 0; unit < b1.Length; unit++)
        {
            var length = Math.Sqrt(Enumerable.Range(0, w1.GetLength(1)).Sum(j => w1[unit, j] * w1[unit, j]) + (b1[unit] * b1[unit]));
            ratio = unit == 0 ? Math.Abs(w2[0, unit]) / length : ratio;
            Assert.Equal(ratio, Math.Abs(w2[0, unit]) / length, 1e-3 * ratio);
        }

        Assert.Equal(certificate.ActiveNeurons, b1.Length);
        if (loss == ConvexReluLoss.Logistic)
            Assert.Equal(2, ratio, 2e-3);
    }

    [Fact]
    public void The_certificate_bounds_the_objective_and_survives_the_file()
    {
        var ml = new MLContext(1);
        var data = View(ml, EstimatorTask.Multiclass);
        foreach (var (trainer, name) in new (IEstimator<ITransformer>, string)[]
        {
            (ml.MulticlassClassification.Trainers.ConvexRelu(Options with { MaxIterations = 5000, RelativeTolerance = 1e-4, DualStep = 1.5 }), "factor"),
            (ml.MulticlassClassification.Trainers.SampledConvexRelu(new SampledConvexRelu.Options { HiddenUnits = 60, ValidationFraction = 0 }), "gradients"),
        })
        {
            var model = trainer.Fit(data);
            var certificate = ConvexRelu.GetCertificate(model)!;

            // Constraints that are violated a little let a network be a little better than its program allows.
            Assert.InRange(certificate.RelativeGap, -0.005, 0.005);
            Assert.True(certificate.ConvexObjective > 0.99 * certificate.DualBound);
            Assert.Contains(name, certificate.Solver, StringComparison.Ordinal);
            Assert.True(certificate.ActiveNeurons > 0);
            Assert.True(certificate.ConeViolation < 0.01);

            using var stream = new MemoryStream();
            ml.Model.Save(model, data.Schema, stream);
            stream.Position = 0;
            Assert.Equal(certificate, ConvexRelu.GetCertificate(new MLContext().Model.Load(stream, out _)));
        }

        Assert.Null(ConvexRelu.GetCertificate(ml.MulticlassClassification.Trainers.ScaledMlp(epochs: 1).Fit(data)));
    }

    [Fact]
    public void Patterns_of_a_trained_network_do_better_than_random_ones_alone()
    {
        var ml = new MLContext(1);
        var data = View(ml, EstimatorTask.Regression);
        double Objective(ConvexReluPatternSource source) => ConvexRelu.GetCertificate(ml.Regression.Trainers.ConvexRelu(
            Options with { PatternSource = source, MaxIterations = 300 }).Fit(data))!.NetworkObjective;

        Assert.True(Objective(ConvexReluPatternSource.GaussianPlusTrainedNetwork) < 0.9 * Objective(ConvexReluPatternSource.Gaussian));
    }

    [Fact]
    public void A_fit_goes_on_with_the_patterns_of_an_earlier_one()
    {
        var ml = new MLContext(1);
        var data = View(ml, EstimatorTask.Regression);
        var first = ml.Regression.Trainers.ConvexRelu(
            Options with { PatternSource = ConvexReluPatternSource.GaussianPlusTrainedNetwork, MaxIterations = 300 }).Fit(data);
        var units = ConvexRelu.GetCertificate(first)!.ActiveNeurons;
        var next = ml.Regression.Trainers.ConvexRelu(Options with { SampledPatterns = units, MaxIterations = 300, InitialModel = first, Seed = 99 }).Fit(data);
        var unrelated = ml.Regression.Trainers.ConvexRelu(Options with { SampledPatterns = units, MaxIterations = 300, Seed = 99 }).Fit(data);

        Assert.True(ConvexRelu.GetCertificate(next)!.NetworkObjective < ConvexRelu.GetCertificate(unrelated)!.NetworkObjective);
    }

    [Fact]
    public void Losses_for_classes_are_refused_for_numbers()
    {
        var ml = new MLContext(1);
        var data = View(ml, EstimatorTask.Regression);
        foreach (var trainer in new IEstimator<ITransformer>[]
        {
            ml.Regression.Trainers.ConvexRelu(Options with { Loss = ConvexReluLoss.Hinge }),
            ml.Regression.Trainers.SampledConvexRelu(new SampledConvexRelu.Options { Loss = ConvexReluLoss.Logistic }),
            ml.Regression.Trainers.RobustConvexRelu(new RobustConvexRelu.Options { Loss = ConvexReluLoss.Hinge }),
        })
        {
            Assert.Contains("'Loss'", Assert.Throws<InvalidOperationException>(() => trainer.Fit(data)).Message, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void Any_classifier_can_be_attacked_alone_or_in_a_chain()
    {
        var ml = new MLContext(1);
        var (binary, several) = (View(ml, EstimatorTask.Binary), View(ml, EstimatorTask.Multiclass));
        var options = new RobustnessOptions { Radii = [0, 0.3], Steps = 10, Restarts = 1 };
        foreach (var trainer in new IEstimator<ITransformer>[]
        {
            ml.BinaryClassification.Trainers.ScaledMlp(epochs: 20),
            ml.BinaryClassification.Trainers.GradientBoostedNetwork(new GradientBoostedNetwork.Options { TotalUnits = 20, Restarts = 1 }),
            ml.Transforms.NormalizeMinMax("Features").Append(ml.BinaryClassification.Trainers.ConvexRelu(Options)),
        })
        {
            var model = trainer.Fit(binary);
            var report = ml.BinaryClassification.EvaluateRobustness(binary, model, options);
            var accuracy = ml.BinaryClassification.Evaluate(model.Transform(binary)).Accuracy;
            Assert.Equal(accuracy, report.CleanAccuracy, 1e-9);
            Assert.Equal(accuracy, report.Points[0].AttackedAccuracy, 1e-9);
            Assert.True(report.Points[1].AttackedAccuracy < accuracy);
            Assert.Throws<ArgumentException>(() => ml.MulticlassClassification.EvaluateRobustness(several, model, options));
        }

        var classes = ml.MulticlassClassification.Trainers.ConvexRelu(Options).Fit(several);
        var points = ml.MulticlassClassification.EvaluateRobustness(several, classes, options).Points;
        Assert.Equal(ml.MulticlassClassification.Evaluate(classes.Transform(several)).MicroAccuracy, points[0].AttackedAccuracy, 1e-9);
        Assert.True(points[1].CertifiedAccuracy <= points[1].AttackedAccuracy && points[1].AttackedAccuracy < points[0].AttackedAccuracy);
        Assert.Throws<ArgumentOutOfRangeException>(() => ml.MulticlassClassification.EvaluateRobustness(several, classes, new() { LabelColumnName = "Nowhere" }));
    }

    [Fact]
    public void Robust_training_holds_where_plain_training_does_not()
    {
        // Many features that each tell little: what one row may move in all of them together is much.
        var random = new Random(1);
        var rows = Enumerable.Range(0, 300).Select(i => new Row
        {
            Label = i % 2 == 0, Features = [.. Enumerable.Range(0, 20).Select(j => (float)((random.NextDouble() * 4) - 2 + (j < 4 ? (i % 2 == 0 ? 1.5 : -1.5) : 0)))],
        }).ToArray();
        var ml = new MLContext(1);
        var (train, test) = (ml.Data.LoadFromEnumerable(rows[..150]), ml.Data.LoadFromEnumerable(rows[150..]));
        var plain = ml.BinaryClassification.Trainers.ConvexRelu(Options with { SampledPatterns = 30, Loss = ConvexReluLoss.Hinge }).Fit(train);
        var robust = ml.BinaryClassification.Trainers.RobustConvexRelu(new RobustConvexRelu.Options
        {
            SampledPatterns = 8, Epsilon = 0.4, Unit = PerturbationUnit.One, ValidationFraction = 0, MaxIterations = 150, Seed = 1,
        }).Fit(train);
        double Attacked(ITransformer model) => ml.BinaryClassification.EvaluateRobustness(test, model, new() { Radii = [0.4], Unit = PerturbationUnit.One }).Points[0].AttackedAccuracy;

        Assert.True(Attacked(robust) > Attacked(plain) + 0.1);
        var certificate = ConvexRelu.GetCertificate(robust)!;
        Assert.InRange(certificate.NetworkObjective, 0, certificate.ConvexObjective * 1.05);
    }

    private static IDataView View(MLContext ml, EstimatorTask task)
    {
        var view = Samples.View(ml, task, Samples.Make(200, 5), 5);
        return ml.Data.Cache(view);
    }

    private sealed class Row
    {
        public bool Label { get; set; }

        [VectorType(20)]
        public float[] Features { get; set; } = [];
    }
}
