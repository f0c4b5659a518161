using Microsoft.ML;
using Microsoft.ML.Data;

namespace GradientBoosting;

/// <summary>Predicts how far the disease of a diabetes patient has gone on after a year; needs the model file only.</summary>
internal static partial class DiabetesModel
{
    public static string ModelPath { get; } = Path.GetFullPath(Path.Combine("gradient-boosting-output", "diabetes", "model.zip"));

    private static readonly Lazy<PredictionEngine<ModelInput, ModelOutput>> Engine = new(() =>
    {
        var ml = new MLContext();
        return ml.Model.CreatePredictionEngine<ModelInput, ModelOutput>(ModelFile.Load(ml, ModelPath, out _));
    });

    /// <summary>Predicts with the saved model, loaded at the first call. A prediction engine serves one thread at a time.</summary>
    public static ModelOutput Predict(ModelInput input) => Engine.Value.Predict(input);

    internal sealed class ModelInput
    {
        [LoadColumn(0), ColumnName("age")]
        public float Age { get; set; }

        [LoadColumn(1), ColumnName("sex")]
        public float Sex { get; set; }

        [LoadColumn(2), ColumnName("bmi")]
        public float BodyMassIndex { get; set; }

        [LoadColumn(3), ColumnName("bp")]
        public float BloodPressure { get; set; }

        [LoadColumn(4), ColumnName("s1")]
        public float TotalCholesterol { get; set; }

        [LoadColumn(5), ColumnName("s2")]
        public float Ldl { get; set; }

        [LoadColumn(6), ColumnName("s3")]
        public float Hdl { get; set; }

        [LoadColumn(7), ColumnName("s4")]
        public float TotalToHdl { get; set; }

        [LoadColumn(8), ColumnName("s5")]
        public float LogTriglycerides { get; set; }

        [LoadColumn(9), ColumnName("s6")]
        public float BloodSugar { get; set; }

        [LoadColumn(10), ColumnName("progression")]
        public float Progression { get; set; }
    }

    internal sealed class ModelOutput
    {
        /// <summary>The predicted progression.</summary>
        [ColumnName("Score")]
        public float Score { get; set; }
    }
}
