// Several numbers of a row predicted by one boosted network, whose hidden units serve all of them.
//
// Emami and Martínez-Muñoz, "Sequential Training of Neural Networks With Gradient Boosting", IEEE Access 11, 42738–42750, 2023,
// https://arxiv.org/abs/1909.12098; original code of the form with several outputs: https://github.com/GAA-UAM/GBNN-MO
using System.Runtime.CompilerServices;
using Microsoft.ML;
using MlNetMlp.Boosting;
using MlNetMlp.Data;
using MlNetMlp.Interop;
using MlNetMlp.Methods;
using MlNetMlp.Networks;
using MlNetMlp.Training;

namespace Microsoft.ML
{
    /// <summary>Catalog methods that make <see cref="MlNetMlp.Boosting.GradientBoostedNetworkMultiOutput"/> trainers.</summary>
    public static class GradientBoostedNetworkMultiOutputCatalog
    {
        /// <summary>Makes a trainer that predicts several numbers with one boosted network: see <see cref="MlNetMlp.Boosting.GradientBoostedNetworkMultiOutput"/>.</summary>
        /// <param name="catalog">The catalog.</param>
        /// <param name="labelColumnName">The label column: a vector of numbers of known size.</param>
        /// <param name="featureColumnName">The feature column: a vector of Single of known size. It needs no normalisation.</param>
        /// <param name="exampleWeightColumnName">The column of example weights, Single; null for none.</param>
        /// <param name="totalUnits">Hidden units of the whole network, in [1, 10000].</param>
        /// <param name="unitsPerStep">J, units trained at a time, in [1, totalUnits].</param>
        /// <param name="learningRate">η, in (0, 1].</param>
        /// <returns>The trainer.</returns>
        /// <exception cref="ArgumentOutOfRangeException">An option is out of its range; the message names it.</exception>
        public static NetworkTrainer<MultiOutputRegressionNetworkModel> GradientBoostedNetworkMultiOutput(
            this RegressionCatalog.RegressionTrainers catalog, string labelColumnName = "Label", string featureColumnName = "Features",
            string? exampleWeightColumnName = null, int totalUnits = 1000, int unitsPerStep = 4, double learningRate = 0.2) =>
            catalog.CreateMultiOutputTrainer(new GradientBoostedNetworkMultiOutput(new()
            {
                LabelColumnName = labelColumnName, FeatureColumnName = featureColumnName, ExampleWeightColumnName = exampleWeightColumnName,
                TotalUnits = totalUnits, UnitsPerStep = unitsPerStep, LearningRate = learningRate,
            }));

        /// <summary>Makes a trainer that predicts several numbers with one boosted network: see <see cref="MlNetMlp.Boosting.GradientBoostedNetworkMultiOutput"/>.</summary>
        /// <inheritdoc cref="GradientBoostedNetworkCatalog.GradientBoostedNetwork(RegressionCatalog.RegressionTrainers, GradientBoostedNetwork.Options)"/>
        [OverloadResolutionPriority(1)]
        public static NetworkTrainer<MultiOutputRegressionNetworkModel> GradientBoostedNetworkMultiOutput(
            this RegressionCatalog.RegressionTrainers catalog, GradientBoostedNetwork.Options options) =>
            catalog.CreateMultiOutputTrainer(new GradientBoostedNetworkMultiOutput(options));
    }
}

namespace MlNetMlp.Boosting
{
    /// <summary>A <see cref="GradientBoostedNetwork"/> for several numbers at once: the hidden units that a step adds serve all of them.</summary>
    /// <param name="options">The options.</param>
    /// <remarks>
    /// <format type="text/markdown"><![CDATA[
    /// To create this trainer, use `GradientBoostedNetworkMultiOutput` of the regression trainers' catalog.
    ///
    /// ### Input and output columns
    /// Features are a vector of [Single](xref:System.Single) of known size, and so are labels; example weights, if any, a Single.
    ///
    /// | Column | Type | Description |
    /// | --- | --- | --- |
    /// | `Score` | vector of Single | the predicted numbers, each in its label's unit, with the label's slot names |
    ///
    /// ### Trainer characteristics
    /// | | |
    /// | --- | --- |
    /// | Machine learning tasks | regression of several numbers |
    /// | Is normalization required? | no: features and each of the labels are standardised inside |
    /// | Is caching required? | no: rows are kept in memory as far as the option `MemoryBudget` allows, else streamed once for each step |
    /// | Required NuGet in addition to Microsoft.ML | MlNetMlp.Trainers |
    /// | Exportable to ONNX | no |
    ///
    /// ### Training algorithm details
    /// That of `GradientBoostedNetwork` for regression with K outputs: F₀ is the mean of each label, the residuals are r = y − F for each of
    /// them, and a step of J hidden units is fitted to all K columns of residuals at once.
    ///
    /// ### References
    /// Emami and Martínez-Muñoz, [Sequential Training of Neural Networks With Gradient Boosting](https://arxiv.org/abs/1909.12098),
    /// IEEE Access 11, 2023, and the authors' code [GBNN-MO](https://github.com/GAA-UAM/GBNN-MO).
    /// ]]></format>
    /// </remarks>
    public sealed class GradientBoostedNetworkMultiOutput(GradientBoostedNetwork.Options options) : INetworkMethod
    {
        private readonly GradientBoostedNetwork _boosted = new(options);

        /// <inheritdoc/>
        public string Name => nameof(GradientBoostedNetworkMultiOutput);

        NetworkOptions INetworkMethod.Options => options;

        /// <inheritdoc/>
        public bool HoldsOutRows => true;

        /// <inheritdoc/>
        public Network Fit(TrainingSet data, TaskHead head, TrainingRun run) => _boosted.Fit(data, head, run);
    }
}
