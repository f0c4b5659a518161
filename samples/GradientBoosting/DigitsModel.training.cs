using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.Transforms;
using MlNetMlp.Boosting;
using MlNetMlp.Tabular;
using MlNetMlp.Training;
using static Microsoft.ML.DataOperationsCatalog;

namespace GradientBoosting;

internal static partial class DigitsModel
{
    private const string Label = "digit";
    private const string Pixels = "pixels";
    private const string Embedding = "embedding";

    public static TrainTestData LoadData(MLContext ml)
    {
        var file = Path.Combine(AppContext.BaseDirectory, "data", "digits.csv");
        var rows = ml.Data.LoadFromTextFile<ModelInput>(file, separatorChar: ',', hasHeader: true);
        return ml.Data.TrainTestSplit(rows, testFraction: 0.25, seed: 1);
    }

    /// <summary>The deep form: a residual MLP learns features from the pixels, and the boosted network replaces its last layer.</summary>
    public static IEstimator<ITransformer> BuildPipeline(MLContext ml, IProgress<TrainingProgress>? progress = null) =>
        Classify(ml, ml.Transforms.ScaledMlpFeatures(Embedding, MlpOptions(progress))
            .Append(ml.MulticlassClassification.Trainers.GradientBoostedNetwork(BoostingOptions(Embedding, progress))));

    /// <summary>Writes the whole chain to <see cref="ModelPath"/>, where <see cref="Predict"/> finds it.</summary>
    public static void Save(MLContext ml, ITransformer model, DataViewSchema inputSchema)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(ModelPath)!);
        ModelFile.Save(ml, model, inputSchema, ModelPath);
    }

    /// <summary>Classes in the order of the digits, and the predicted one as a digit again.</summary>
    private static EstimatorChain<KeyToValueMappingTransformer> Classify(MLContext ml, IEstimator<ITransformer> trainer) =>
        ml.Transforms.Conversion.MapValueToKey(Label, keyOrdinality: ValueToKeyMappingEstimator.KeyOrdinality.ByValue)
            .Append(trainer)
            .Append(ml.Transforms.Conversion.MapKeyToValue("PredictedLabel"));

    private static ScaledMlp.Options MlpOptions(IProgress<TrainingProgress>? progress) => new()
    {
        LabelColumnName = Label,
        FeatureColumnName = Pixels,
        Progress = progress,
    };

    private static GradientBoostedNetwork.Options BoostingOptions(string features, IProgress<TrainingProgress>? progress) => new()
    {
        LabelColumnName = Label,
        FeatureColumnName = features,
        Progress = progress,
    };
}
