// A linear classifier whose regularisation is set by an angle: how far its boundary is tilted from that of the nearest centroid. Along directions in which rows hardly vary a
// boundary can tilt without any loss of accuracy, and comes as near to all rows as one likes: those are the strongest adversarial examples, and regularisation removes them.
//
// Tanay and Griffin, "A Boundary Tilting Perspective on the Phenomenon of Adversarial Examples", 2016, https://arxiv.org/abs/1608.07690
//
// i, j means of the false and the true rows, S pooled within-class covariance, w normal of the boundary, θ its angle with j − i, λ the regularisation.
using System.ComponentModel.DataAnnotations;
using System.Runtime.CompilerServices;
using Microsoft.ML;
using MlNetMlp.Data;
using MlNetMlp.Explain;
using MlNetMlp.Interop;
using MlNetMlp.Methods;
using MlNetMlp.Networks;
using MlNetMlp.Training;

namespace Microsoft.ML
{
    /// <summary>Catalog methods that make <see cref="MlNetMlp.Explain.TiltControlledLinear"/> trainers.</summary>
    public static class TiltControlledLinearCatalog
    {
        /// <summary>Makes a trainer that tells yes from no by a linear boundary whose tilt is bounded: see <see cref="MlNetMlp.Explain.TiltControlledLinear"/>.</summary>
        /// <param name="catalog">The catalog.</param>
        /// <param name="labelColumnName">The label column, Boolean.</param>
        /// <param name="featureColumnName">The feature column: a vector of Single of known size.</param>
        /// <param name="exampleWeightColumnName">The column of example weights, Single; null for none.</param>
        /// <param name="maxDeviationAngle">Greatest θ in degrees, in (0, 90).</param>
        /// <returns>The trainer.</returns>
        /// <exception cref="ArgumentOutOfRangeException">An option is out of its range; the message names it.</exception>
        public static NetworkTrainer<BinaryNetworkModel> TiltControlledLinear(
            this BinaryClassificationCatalog.BinaryClassificationTrainers catalog, string labelColumnName = "Label", string featureColumnName = "Features",
            string? exampleWeightColumnName = null, double maxDeviationAngle = 60) =>
            catalog.CreateTrainer(new TiltControlledLinear(new()
            {
                LabelColumnName = labelColumnName, FeatureColumnName = featureColumnName, ExampleWeightColumnName = exampleWeightColumnName, MaxDeviationAngle = maxDeviationAngle,
            }));

        /// <summary>Makes a trainer that tells yes from no by a linear boundary whose tilt is bounded: see <see cref="MlNetMlp.Explain.TiltControlledLinear"/>.</summary>
        /// <param name="catalog">The catalog.</param>
        /// <param name="options">The options.</param>
        /// <returns>The trainer.</returns>
        /// <exception cref="ArgumentOutOfRangeException">An option is out of its range; the message names it.</exception>
        [OverloadResolutionPriority(1)]
        public static NetworkTrainer<BinaryNetworkModel> TiltControlledLinear(
            this BinaryClassificationCatalog.BinaryClassificationTrainers catalog, TiltControlledLinear.Options options) =>
            catalog.CreateTrainer(new TiltControlledLinear(options));
    }
}

namespace MlNetMlp.Explain
{
    /// <summary>What the normal of a <see cref="TiltControlledLinear"/> is found by.</summary>
    public enum TiltEstimator
    {
        /// <summary>(S + λI)⁻¹(j − i), for all λ from one decomposition of S, or of the rows where they are fewer than the features.</summary>
        RidgeDiscriminant,

        /// <summary>Logistic regression with the penalty λ/2·‖w‖².</summary>
        Logistic,
    }

    /// <summary>Where the boundary of a <see cref="TiltControlledLinear"/> cuts the line between the means.</summary>
    public enum TiltBias
    {
        /// <summary>In the middle.</summary>
        Midpoint,

        /// <summary>Where fewest training rows are on the wrong side.</summary>
        MinError,

        /// <summary>In the middle, moved by the logarithm of how many rows the classes have; for logistic regression where that puts it.</summary>
        LogPrior,
    }

    /// <summary>A regularisation of the path.</summary>
    /// <param name="Regularization">λ, in units of the mean within-class variance of the features.</param>
    /// <param name="AngleDegrees">θ.</param>
    /// <param name="TrainError">Share of the training rows on the wrong side.</param>
    public sealed record TiltPoint(double Regularization, double AngleDegrees, double TrainError);

    /// <summary>How far the boundary of a <see cref="TiltControlledLinear"/> is tilted.</summary>
    /// <param name="DeviationAngleDegrees">θ, the angle between the normal and the line between the means.</param>
    /// <param name="AdversarialStrength">
    /// 1/cos θ: how many times nearer rows are, in the mean, to this boundary than to that of the nearest centroid, and so their adversarial examples. null where θ is 90° or more.
    /// </param>
    /// <param name="Regularization">λ that was chosen, in units of the mean within-class variance of the features.</param>
    /// <param name="Weights">w [features].</param>
    /// <param name="Bias">The offset: a row is true where w·x + offset is above 0.</param>
    /// <param name="Path">What other λ give, in rising order.</param>
    public sealed record TiltReport(
        double DeviationAngleDegrees, double? AdversarialStrength, double Regularization, IReadOnlyList<float> Weights, float Bias, IReadOnlyList<TiltPoint> Path);

    /// <summary>
    /// A linear classifier whose boundary is tilted no further from that of the nearest centroid than an angle allows, or than rows held out ask for.
    /// </summary>
    /// <param name="options">The options.</param>
    /// <remarks>
    /// <format type="text/markdown"><![CDATA[
    /// To create this trainer, use `TiltControlledLinear` of the binary trainers' catalog.
    ///
    /// ### Input and output columns
    /// Features are a vector of [Single](xref:System.Single) of known size, labels Boolean, example weights, if any, a Single.
    ///
    /// | Column | Type | Description |
    /// | --- | --- | --- |
    /// | `Score` | Single | the logit: above 0 for true |
    /// | `Probability` | Single | 1 / (1 + exp(-Score)) |
    /// | `PredictedLabel` | Boolean | whether the score is above 0 |
    ///
    /// ### Trainer characteristics
    /// | | |
    /// | --- | --- |
    /// | Machine learning tasks | binary classification |
    /// | Is normalization required? | no, but the angle is one in the space of the features: bring features of many kinds to one scale first |
    /// | Is caching required? | no: rows are read three times, and streamed where they do not fit the memory budget; for logistic regression, and for fewer rows than features, they have to fit |
    /// | Required NuGet in addition to Microsoft.ML | MlNetMlp.Trainers |
    /// | Exportable to ONNX | no |
    ///
    /// ### Training algorithm details
    /// The mean signed distance of rows to the boundary of the nearest centroid is 1/cos θ times that to the classifier's own: θ says how strong adversarial examples are, whatever the
    /// offset and the covariances. With S = U·diag(e)·Uᵀ the normals w(λ) = U·diag(1/(e + λ))·Uᵀ(j − i) go from Fisher's discriminant (λ → 0) to the nearest centroid (λ → ∞), and θ falls all the way.
    /// Where λ is not given it is the least whose θ is at most `MaxDeviationAngle`; where rows are held out, the greatest whose error on them is within one standard error of the least.
    /// The logit is the score times the factor with the least logistic loss on the training rows. `TiltControlledLinear.GetReport(model)` tells angle, strength and path, of a loaded model too.
    ///
    /// ### References
    /// Tanay and Griffin, [A Boundary Tilting Perspective on the Phenomenon of Adversarial Examples](https://arxiv.org/abs/1608.07690), 2016.
    /// ]]></format>
    /// </remarks>
    public sealed class TiltControlledLinear(TiltControlledLinear.Options options) : INetworkMethod
    {
        /// <summary>Options of <see cref="TiltControlledLinear"/>; <see cref="NetworkOptions.ValidationFraction"/> is 0 by default.</summary>
        public sealed record Options : NetworkOptions
        {
            /// <summary>Creates options with the defaults of this trainer.</summary>
            public Options() => ValidationFraction = 0;

            /// <summary>What the normal is found by; <see cref="TiltEstimator.RidgeDiscriminant"/> by default.</summary>
            public TiltEstimator Estimator { get; init; } = TiltEstimator.RidgeDiscriminant;

            /// <summary>λ in units of the mean within-class variance of the features, above 0; null (the default) to have it chosen.</summary>
            [Range(0, double.MaxValue, MinimumIsExclusive = true)]
            public double? Regularization { get; init; }

            /// <summary>Greatest θ in degrees, in (0, 90); 60 by default. Where λ is given or rows are held out it is not used.</summary>
            [Range(0, 90, MinimumIsExclusive = true, MaximumIsExclusive = true)]
            public double MaxDeviationAngle { get; init; } = 60;

            /// <summary>Regularisations of the path, from 1e-6 to 100, in [1, 1000]; 33 by default.</summary>
            [Range(1, 1000)]
            public int PathPoints { get; init; } = 33;

            /// <summary>Where the boundary cuts the line between the means; <see cref="TiltBias.Midpoint"/> by default.</summary>
            public TiltBias Bias { get; init; } = TiltBias.Midpoint;
        }

        /// <inheritdoc/>
        public string Name => nameof(TiltControlledLinear);

        NetworkOptions INetworkMethod.Options => options;

        /// <summary>Reads how far the boundary is tilted.</summary>
        /// <param name="model">A fitted or loaded model with such a classifier in it, alone or in a chain, of which the last one counts.</param>
        /// <returns>The report; null where the model holds none.</returns>
        public static TiltReport? GetReport(ITransformer model) =>
            NetworkModel.Find(model) is { MethodName: nameof(TiltControlledLinear) } network ? network.GetDiagnostics<TiltReport>() : null;

        /// <inheritdoc/>
        public Network Fit(TrainingSet data, TaskHead head, TrainingRun run)
        {
            var monitor = run.Watch(head, 1, data.RowCount, patience: 0);
            var (network, loss) = new TiltControlledLinearFit(data, head, run, options).Run();
            monitor.OnLoss(loss);
            monitor.OnRows(data.RowCount);
            monitor.OnEpoch(Judge());
            if (!monitor.KeepsBest)
                run.CheckCancelled();
            monitor.Finish("The normal is solved for.");
            return network;

            (double Loss, double Metric)? Judge()
            {
                if (data.Validation is not { } held)
                    return null;
                using var scope = TorchSharp.torch.NewDisposeScope();
                using var noGradient = TorchSharp.torch.no_grad();
                var outputs = network.call(held.Features.cpu());
                return (head.Loss(outputs, held.Labels.cpu(), held.Weights?.cpu()).item<float>(), head.Metric(head.MetricSum(outputs, held.Labels.cpu()) / held.Rows));
            }
        }
    }
}
