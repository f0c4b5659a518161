using Microsoft.ML;
using Microsoft.ML.Data;

namespace MlNetMlp.Conformance;

/// <summary>Scores rows one by one, as a web service does.</summary>
internal static class Engine
{
    /// <summary>The scores of each row.</summary>
    public static float[][] Scores(Trial trial, ITransformer model, IEnumerable<SampleRow> rows)
    {
        // An engine disposes its model unless it is told that others use it too.
        var options = new PredictionEngineOptions { InputSchemaDefinition = Samples.Schema(trial.Traits.FeatureCount), OwnsTransformer = false };
        if (trial.Task is EstimatorTask.Multiclass or EstimatorTask.MultiOutput)
        {
            using var engine = trial.Ml.Model.CreatePredictionEngine<SampleRow, Vector>(model, options);
            return [.. rows.Select(row => engine.Predict(row).Score.ToArray())];
        }

        using var single = trial.Ml.Model.CreatePredictionEngine<SampleRow, Scalar>(model, options);
        return [.. rows.Select(row => new[] { single.Predict(row).Score })];
    }

    private sealed class Scalar
    {
        public float Score { get; set; }
    }

    private sealed class Vector
    {
        public float[] Score { get; set; } = [];
    }
}
