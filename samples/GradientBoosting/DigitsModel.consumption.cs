using Microsoft.ML;
using Microsoft.ML.Data;

namespace GradientBoosting;

/// <summary>Reads a handwritten digit from 8 x 8 pixels; needs the model file only.</summary>
internal static partial class DigitsModel
{
    public static string ModelPath { get; } = Path.GetFullPath(Path.Combine("gradient-boosting-output", "digits", "model.zip"));

    private static readonly Lazy<PredictionEngine<ModelInput, ModelOutput>> Engine = new(() =>
    {
        var ml = new MLContext();
        return ml.Model.CreatePredictionEngine<ModelInput, ModelOutput>(ModelFile.Load(ml, ModelPath, out _));
    });

    /// <summary>Predicts with the saved model, loaded at the first call. A prediction engine serves one thread at a time.</summary>
    public static ModelOutput Predict(ModelInput input) => Engine.Value.Predict(input);

    internal sealed class ModelInput
    {
        /// <summary>The rows of the image one after the other, each pixel from 0 to 16.</summary>
        [LoadColumn(0, 63), ColumnName("pixels"), VectorType(64)]
        public float[] Pixels { get; set; } = [];

        [LoadColumn(64), ColumnName("digit")]
        public uint Digit { get; set; }
    }

    internal sealed class ModelOutput
    {
        /// <summary>The most probable digit.</summary>
        [ColumnName("PredictedLabel")]
        public uint PredictedDigit { get; set; }

        /// <summary>The probabilities of the digits 0 to 9.</summary>
        [ColumnName("Score")]
        public float[] Probabilities { get; set; } = [];
    }
}
