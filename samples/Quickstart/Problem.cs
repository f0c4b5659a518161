using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.Transforms;
using MlNetMlp.Interop;
using MlNetMlp.Tabular;
using MlNetMlp.Training;

namespace Quickstart;

/// <summary>A trainer and its name; <paramref name="Curve"/> reads the losses by epoch from the fitted model, if it keeps them.</summary>
internal sealed record Competitor(string Name, IEstimator<ITransformer> Trainer, Func<ITransformer, LearningCurve?>? Curve = null);

internal sealed record Metric(string Name, string Value);

/// <summary>A data set, what comes before the trainer in its pipeline, who competes on it, and how scored test rows are judged.</summary>
internal sealed record Problem(
    DataSet Data,
    EstimatorChain<ITransformer> Preparation,
    Competitor[] Competitors,
    Func<IDataView, Metric[]> Judge)
{
    public static Problem[] All(MLContext ml, LiveLine live) => [BreastCancer(ml, live), Digits(ml, live), Diabetes(ml, live)];

    private static Problem BreastCancer(MLContext ml, LiveLine live) => new(
        DataSet.BreastCancer,
        new EstimatorChain<ITransformer>(),
        [
            new("FastTree", ml.BinaryClassification.Trainers.FastTree()),
            new("LightGBM", ml.BinaryClassification.Trainers.LightGbm()),
            new("ScaledMlp", ml.BinaryClassification.Trainers.ScaledMlp(Watched(live)), CurveOf),
        ],
        scored =>
        {
            var metrics = ml.BinaryClassification.Evaluate(scored);
            return [new("accuracy", $"{metrics.Accuracy:0.000}"), new("AUC", $"{metrics.AreaUnderRocCurve:0.000}")];
        });

    private static Problem Digits(MLContext ml, LiveLine live) => new(
        DataSet.Digits,
        new EstimatorChain<ITransformer>().Append<ITransformer>(
            ml.Transforms.Conversion.MapValueToKey("Label", keyOrdinality: ValueToKeyMappingEstimator.KeyOrdinality.ByValue)),
        [
            new("FastTree", ml.MulticlassClassification.Trainers.OneVersusAll(ml.BinaryClassification.Trainers.FastTree())),
            new("LightGBM", ml.MulticlassClassification.Trainers.LightGbm()),
            new("ScaledMlp", ml.MulticlassClassification.Trainers.ScaledMlp(Watched(live)), CurveOf),
        ],
        scored =>
        {
            var metrics = ml.MulticlassClassification.Evaluate(scored);
            return [new("accuracy", $"{metrics.MicroAccuracy:0.000}"), new("log-loss", $"{metrics.LogLoss:0.000}")];
        });

    private static Problem Diabetes(MLContext ml, LiveLine live) => new(
        DataSet.Diabetes,
        new EstimatorChain<ITransformer>(),
        [
            new("FastTree", ml.Regression.Trainers.FastTree()),
            new("LightGBM", ml.Regression.Trainers.LightGbm()),
            new("ScaledMlp", ml.Regression.Trainers.ScaledMlp(Watched(live)), CurveOf),
        ],
        scored =>
        {
            var metrics = ml.Regression.Evaluate(scored);
            return [new("R2", $"{metrics.RSquared:0.000}"), new("RMSE", $"{metrics.RootMeanSquaredError:0.0}")];
        });

    private static ScaledMlp.Options Watched(LiveLine live) => new()
    {
        Progress = live.Progress<TrainingProgress>(progress => progress.ToString()),
    };

    private static LearningCurve? CurveOf(ITransformer model) => NetworkModel.Find(model)?.LearningCurve;
}
