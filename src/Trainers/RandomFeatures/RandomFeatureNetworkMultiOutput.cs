// Several numbers of a row predicted by one layer of random units: see RandomFeatureNetwork.cs.
using System.Runtime.CompilerServices;
using Microsoft.ML;
using MlNetMlp.Data;
using MlNetMlp.Interop;
using MlNetMlp.Methods;
using MlNetMlp.Networks;
using MlNetMlp.RandomFeatures;
using MlNetMlp.Training;

namespace Microsoft.ML
{
    /// <summary>Catalog methods that make <see cref="MlNetMlp.RandomFeatures.RandomFeatureNetworkMultiOutput"/> trainers.</summary>
    public static class RandomFeatureNetworkMultiOutputCatalog
    {
        /// <summary>Makes a trainer that predicts several numbers with random hidden units: see <see cref="MlNetMlp.RandomFeatures.RandomFeatureNetworkMultiOutput"/>.</summary>
        /// <param name="catalog">The catalog.</param>
        /// <param name="labelColumnName">The label column: a vector of numbers of known size.</param>
        /// <param name="featureColumnName">The feature column: a vector of Single of known size. It needs no normalisation.</param>
        /// <param name="exampleWeightColumnName">The column of example weights, Single; null for none.</param>
        /// <param name="hiddenUnits">M, hidden units, in [1, 200000].</param>
        /// <param name="activation">φ, the function of the hidden units.</param>
        /// <param name="weightScale">λ, the scale of the random weights, above 0; null to search for it.</param>
        /// <returns>The trainer.</returns>
        /// <exception cref="ArgumentOutOfRangeException">An option is out of its range; the message names it.</exception>
        public static NetworkTrainer<MultiOutputRegressionNetworkModel> RandomFeatureNetworkMultiOutput(
            this RegressionCatalog.RegressionTrainers catalog, string labelColumnName = "Label", string featureColumnName = "Features",
            string? exampleWeightColumnName = null, int hiddenUnits = 1000, RandomActivation activation = RandomActivation.Tanh, double? weightScale = null) =>
            catalog.CreateMultiOutputTrainer(new RandomFeatureNetworkMultiOutput(
                RandomFeatureNetworkCatalog.Options(labelColumnName, featureColumnName, exampleWeightColumnName, hiddenUnits, activation, weightScale)));

        /// <summary>Makes a trainer that predicts several numbers with random hidden units: see <see cref="MlNetMlp.RandomFeatures.RandomFeatureNetworkMultiOutput"/>.</summary>
        /// <inheritdoc cref="RandomFeatureNetworkCatalog.RandomFeatureNetwork(RegressionCatalog.RegressionTrainers, RandomFeatureNetwork.Options)"/>
        [OverloadResolutionPriority(1)]
        public static NetworkTrainer<MultiOutputRegressionNetworkModel> RandomFeatureNetworkMultiOutput(
            this RegressionCatalog.RegressionTrainers catalog, RandomFeatureNetwork.Options options) =>
            catalog.CreateMultiOutputTrainer(new RandomFeatureNetworkMultiOutput(options));
    }
}

namespace MlNetMlp.RandomFeatures
{
    /// <summary>A <see cref="RandomFeatureNetwork"/> for several numbers at once, all of which read the same hidden units.</summary>
    /// <param name="options">The options.</param>
    /// <remarks>
    /// <format type="text/markdown"><![CDATA[
    /// To create this trainer, use `RandomFeatureNetworkMultiOutput` of the regression trainers' catalog.
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
    /// | Is caching required? | no: rows are kept in memory as far as the option `MemoryBudget` allows, else streamed |
    /// | Required NuGet in addition to Microsoft.ML | MlNetMlp.Trainers |
    /// | Exportable to ONNX | no |
    ///
    /// ### Training algorithm details
    /// That of `RandomFeatureNetwork` for regression with K outputs: one set of sums, one scale of weights and one penalty for all of them.
    ///
    /// ### References
    /// Li, Sonoda, Cao, Wang and Liang, [How Powerful are Shallow Neural Networks with Bandlimited Random Weights?](https://arxiv.org/abs/2008.08427),
    /// ICML 2023.
    /// ]]></format>
    /// </remarks>
    public sealed class RandomFeatureNetworkMultiOutput(RandomFeatureNetwork.Options options) : INetworkMethod
    {
        private readonly RandomFeatureNetwork _network = new(options);

        /// <inheritdoc/>
        public string Name => nameof(RandomFeatureNetworkMultiOutput);

        NetworkOptions INetworkMethod.Options => options;

        /// <inheritdoc/>
        public Network Fit(TrainingSet data, TaskHead head, TrainingRun run) => _network.Fit(data, head, run);
    }
}
