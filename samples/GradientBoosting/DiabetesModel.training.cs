using Microsoft.ML;
using MlNetMlp.Boosting;
using MlNetMlp.Training;
using static Microsoft.ML.DataOperationsCatalog;

namespace GradientBoosting;

internal static partial class DiabetesModel
{
    private const string Label = "progression";
    private static readonly string[] Measures = ["age", "sex", "bmi", "bp", "s1", "s2", "s3", "s4", "s5", "s6"];

    public static TrainTestData LoadData(MLContext ml)
    {
        var file = Path.Combine(AppContext.BaseDirectory, "data", "diabetes.csv");
        var rows = ml.Data.LoadFromTextFile<ModelInput>(file, separatorChar: ',', hasHeader: true);
        return ml.Data.TrainTestSplit(rows, testFraction: 0.25, seed: 1);
    }

    public static IEstimator<ITransformer> BuildPipeline(MLContext ml, IProgress<TrainingProgress>? progress = null) =>
        ml.Transforms.Concatenate("Features", Measures)
            .Append(ml.Regression.Trainers.GradientBoostedNetwork(new GradientBoostedNetwork.Options
            {
                LabelColumnName = Label,
                Progress = progress,
            }));

    /// <summary>Writes the model to <see cref="ModelPath"/>, where <see cref="Predict"/> finds it.</summary>
    public static void Save(MLContext ml, ITransformer model, DataViewSchema inputSchema)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(ModelPath)!);
        ModelFile.Save(ml, model, inputSchema, ModelPath);
    }
}
