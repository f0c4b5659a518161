using Microsoft.ML.Data;
using Microsoft.ML.Runtime;
using MlNetMlp.Explanations;
using MlNetMlp.Interop;

namespace Microsoft.ML;

/// <summary>Explains predictions row by row.</summary>
public static class ExplanationCatalog
{
    /// <summary>
    /// Tells what each feature contributes to a model's prediction of each row. It works like ML.NET's CalculateFeatureContribution, whose contract it keeps (a column
    /// <c>FeatureContributions</c> with the names of the features), but for every network of this library, and by scores alone for every other model of a feature column.
    /// </summary>
    /// <param name="catalog">The catalog.</param>
    /// <param name="model">
    /// A fitted or loaded model: a predictor, or a chain, of which the last predictor counts. Contributions are in the units of the column that this reads: after a normaliser
    /// those of normalised features.
    /// </param>
    /// <param name="options">What is told, and how; null for integrated gradients of the predicted class.</param>
    /// <returns>
    /// An estimator. Fit it to the training rows; the transformer takes rows with the feature column, or with what the chain makes it of. Whether a network's gradients can be believed is
    /// another question: ask <c>mlContext.Model.EvaluateDiffRoar</c>.
    /// </returns>
    /// <exception cref="ArgumentException">The model holds no predictor of a feature column, or one of sets.</exception>
    /// <exception cref="ArgumentOutOfRangeException">An option is out of its range, or does not suit the model; the message names it.</exception>
    public static ExplanationEstimator ExplainPrediction(this TransformsCatalog catalog, ITransformer model, ExplanationOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(catalog);
        ArgumentNullException.ThrowIfNull(model);
        return new(CatalogUtils.GetEnvironment(catalog), model, options ?? new());
    }
}
