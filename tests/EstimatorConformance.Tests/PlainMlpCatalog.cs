using Microsoft.ML;
using MlNetMlp.Conformance;
using MlNetMlp.Interop;
using MlNetMlp.Methods;
using MlNetMlp.Tests.Support;

namespace Microsoft.ML
{
    /// <summary>Catalog methods of a stranger's trainer.</summary>
    public static class PlainMlpCatalog
    {
        /// <summary>Makes a trainer that predicts a number.</summary>
        public static NetworkTrainer<RegressionNetworkModel> PlainMlp(
            this RegressionCatalog.RegressionTrainers catalog, string labelColumnName = "Label", string featureColumnName = "Features") =>
            catalog.CreateTrainer(new PlainMlp(new() { LabelColumnName = labelColumnName, FeatureColumnName = featureColumnName }));

        /// <summary>Makes a trainer that predicts a number.</summary>
        public static NetworkTrainer<RegressionNetworkModel> PlainMlp(this RegressionCatalog.RegressionTrainers catalog, PlainMlp.Options options) =>
            catalog.CreateTrainer(new PlainMlp(options));

        /// <summary>Makes a trainer that tells yes from no.</summary>
        public static NetworkTrainer<BinaryNetworkModel> PlainMlp(
            this BinaryClassificationCatalog.BinaryClassificationTrainers catalog, string labelColumnName = "Label", string featureColumnName = "Features") =>
            catalog.CreateTrainer(new PlainMlp(new() { LabelColumnName = labelColumnName, FeatureColumnName = featureColumnName }));

        /// <summary>Makes a trainer that tells yes from no.</summary>
        public static NetworkTrainer<BinaryNetworkModel> PlainMlp(
            this BinaryClassificationCatalog.BinaryClassificationTrainers catalog, PlainMlp.Options options) => catalog.CreateTrainer(new PlainMlp(options));

        /// <summary>Makes a trainer that chooses one of several classes.</summary>
        public static NetworkTrainer<MulticlassNetworkModel> PlainMlp(
            this MulticlassClassificationCatalog.MulticlassClassificationTrainers catalog, string labelColumnName = "Label", string featureColumnName = "Features") =>
            catalog.CreateTrainer(new PlainMlp(new() { LabelColumnName = labelColumnName, FeatureColumnName = featureColumnName }));

        /// <summary>Makes a trainer that chooses one of several classes.</summary>
        public static NetworkTrainer<MulticlassNetworkModel> PlainMlp(
            this MulticlassClassificationCatalog.MulticlassClassificationTrainers catalog, PlainMlp.Options options) => catalog.CreateTrainer(new PlainMlp(options));

        /// <summary>Makes a trainer that forecasts time series.</summary>
        public static ForecastEstimator PlainMlp(
            this ForecastingCatalog.Forecasters catalog, string outputColumnName = "Forecast", string inputColumnName = "Values", int contextLength = 8, int horizon = 4) =>
            catalog.PlainMlp(new() { OutputColumnName = outputColumnName, InputColumnNames = [inputColumnName], ContextLength = contextLength, Horizon = horizon }, new());

        /// <summary>Makes a trainer that forecasts time series.</summary>
        public static ForecastEstimator PlainMlp(this ForecastingCatalog.Forecasters catalog, ForecastOptions series, PlainMlp.Options options) =>
            catalog.CreateTrainer(new PlainMlp(options), series);
    }
}

namespace MlNetMlp.Conformance.Tests
{
    /// <summary>What the stranger's trainer says of itself.</summary>
    public sealed class PlainMlpProfile() : ConformanceProfile(nameof(PlainMlp))
    {
        public override Traits Traits { get; } = new() { Weights = WeightSemantics.Statistical, IsClassOrderExact = false };

        public override object SmallOptions(EstimatorTask task, object defaults) =>
            (PlainMlp.Options)defaults with { Hidden = 16, Epochs = 40, BatchSize = 16, LearningRate = 0.02 };
    }
}
