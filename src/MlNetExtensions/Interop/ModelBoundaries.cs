using Microsoft.ML;
using Microsoft.ML.Calibrators;
using Microsoft.ML.Data;
using Microsoft.ML.Model;
using Microsoft.ML.Trainers;
using MlNetMlp.Explanations;
using MlNetMlp.Networks;

namespace MlNetMlp.Interop;

/// <summary>The boundaries between the classes of a network, or of one of ML.NET's linear models.</summary>
internal static class ModelBoundaries
{
    private const string Expected = "a network for binary classification, or one of ML.NET's linear binary models, calibrated or not";

    /// <summary>Finds the predictor of a model.</summary>
    /// <param name="model">The model.</param>
    /// <returns>The predictor and what makes its features.</returns>
    /// <exception cref="ArgumentException">There is none, or one of sets or of several columns.</exception>
    public static ExplainedModel Find(ITransformer model)
    {
        var found = ExplainedModel.Find(model) ?? throw new ArgumentException(
            "The model holds no predictor of a feature column whose boundary could be looked at: give a fitted trainer, or a chain of transformers with one in it.", nameof(model));
        if (found.Network?.Sets is not null)
            throw new ArgumentException($"The model is a {found.Name}, which reads sets: only vectors of known size have distances to a boundary.", nameof(model));
        if (found.Network?.Layout is not null)
            throw new ArgumentException($"The model is a {found.Name}, which reads other columns beside its features: only vectors of numbers have distances to a boundary.", nameof(model));
        return found;
    }

    /// <summary>The boundary of a binary model.</summary>
    /// <param name="model">The model.</param>
    /// <param name="steps">Newton steps of a row at most.</param>
    /// <returns>The boundaries, of two classes; the caller owns them.</returns>
    /// <exception cref="ArgumentException">It is another model.</exception>
    public static DecisionBoundaries OfBinary(ExplainedModel model, int steps) => Of(model, steps) is { } found && IsBinary(model)
        ? found
        : throw new ArgumentException($"The model is a {model.Name}; it must be {Expected}.", nameof(model));

    /// <summary>The boundaries of a classifier.</summary>
    /// <param name="model">The model.</param>
    /// <param name="steps">Newton steps of a row at most.</param>
    /// <returns>The boundaries; the caller owns them.</returns>
    /// <exception cref="ArgumentException">It is another model.</exception>
    public static DecisionBoundaries OfClassifier(ExplainedModel model, int steps) => Of(model, steps)
        ?? throw new ArgumentException($"The model is a {model.Name}; it must be {Expected}, or a network or linear model for multiclass classification.", nameof(model));

    /// <summary>Whether the model tells true from false.</summary>
    public static bool IsBinary(ExplainedModel model) => model.Network is { } network ? network.Head is BinaryHead : Linear(model) is not null;

    private static DecisionBoundaries? Of(ExplainedModel model, int steps)
    {
        if (model.Network is { } network)
            return network.Head is BinaryHead or MulticlassHead ? new NetworkBoundaries(network, Threshold(model), steps) : null;
        if (Linear(model) is { } linear)
        {
            double[] weights = [.. linear.Weights.Select(w => (double)w)];
            return new LinearBoundaries([new double[weights.Length], weights], [0, linear.Bias - Threshold(model)]);
        }

        if (model.Predictor.Model is not LinearMulticlassModelParametersBase several)
            return null;
        VBuffer<float>[] classes = [];
        several.GetWeights(ref classes, out _);
        return new LinearBoundaries([.. classes.Select(one => one.DenseValues().Select(w => (double)w).ToArray())], [.. several.GetBiases().Select(bias => (double)bias)]);
    }

    private static LinearBinaryModelParameters? Linear(ExplainedModel model) =>
        (model.Predictor.Model is IWeaklyTypedCalibratedModelParameters calibrated ? calibrated.WeaklyTypedSubModel : model.Predictor.Model) as LinearBinaryModelParameters;

    // The score above which the prediction is true: a boundary that was moved is where predictions say.
    private static double Threshold(ExplainedModel model)
    {
        var (threshold, column) = model.Predictor switch
        {
            NetworkPredictionTransformer<BinaryNetworkModel> { Inner: BinaryPredictionTransformer<BinaryNetworkModel> inner } => (inner.Threshold, inner.ThresholdColumn),
            BinaryPredictionTransformer<BinaryNetworkModel> network => (network.Threshold, network.ThresholdColumn),
            BinaryPredictionTransformer<LinearBinaryModelParameters> linear => (linear.Threshold, linear.ThresholdColumn),
            BinaryPredictionTransformer<CalibratedModelParametersBase<LinearBinaryModelParameters, PlattCalibrator>> calibrated => (calibrated.Threshold, calibrated.ThresholdColumn),
            BinaryPredictionTransformer<IPredictorProducing<float>> loaded => (loaded.Threshold, loaded.ThresholdColumn),
            _ => (0, DefaultColumnNames.Score),
        };
        return column switch
        {
            DefaultColumnNames.Score => threshold,
            DefaultColumnNames.Probability when model.Network is not null && threshold is > 0 and < 1 => Math.Log(threshold / (1.0 - threshold)),
            _ => throw new ArgumentException(
                $"The model predicts true where its '{column}' is above {threshold}: only thresholds of the score, and for networks of the probability, make a boundary. Choose one with ChangeModelThreshold.", nameof(model)),
        };
    }
}
