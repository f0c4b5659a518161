using Microsoft.ML;
using Microsoft.ML.Data;

namespace GradientBoosting;

internal static partial class DiabetesModel
{
    /// <summary>What to compare with: boosted trees on the same columns.</summary>
    public static IEstimator<ITransformer> BuildFastTreePipeline(MLContext ml) =>
        ml.Transforms.Concatenate("Features", Measures).Append(ml.Regression.Trainers.FastTree(labelColumnName: Label));

    public static RegressionMetrics Evaluate(MLContext ml, ITransformer model, IDataView rows) =>
        ml.Regression.Evaluate(model.Transform(rows), labelColumnName: Label);

    /// <summary>Checks that the saved model predicts for each row what the fitted one does, to the bit.</summary>
    /// <returns>The number of rows.</returns>
    /// <exception cref="InvalidOperationException">A prediction differs.</exception>
    public static int VerifySavedModel(MLContext ml, ITransformer fitted, IDataView rows)
    {
        float[] expected = [.. fitted.Transform(rows).GetColumn<float>("Score")];
        float[] actual = [.. ml.Data.CreateEnumerable<ModelInput>(rows, reuseRowObject: false).Select(row => Predict(row).Score)];
        return expected.SequenceEqual(actual)
            ? expected.Length
            : throw new InvalidOperationException($"{ModelPath} predicts something else than the model that was saved in it.");
    }
}
