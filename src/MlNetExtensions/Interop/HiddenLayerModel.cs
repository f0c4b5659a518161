using Microsoft.ML;
using MlNetMlp.Methods;
using MlNetMlp.Networks;

namespace MlNetMlp.Interop;

/// <summary>
/// A fitted or loaded model whose network has one hidden layer that can be cut short: boosted networks, random features and the like. It is
/// a view: models never change, and what changes one returns another.
/// </summary>
/// <remarks>To get an ML.NET model with other active units, use <c>mlContext.Model.ChangeActiveUnits</c>.</remarks>
public sealed class HiddenLayerModel
{
    private readonly HiddenLayerDefinition _definition;

    private HiddenLayerModel(TrainedNetwork network, HiddenLayerDefinition definition) => (Network, _definition) = (network, definition);

    /// <summary>The network: scores, weights, learning curve, feature names and options.</summary>
    public TrainedNetwork Network { get; }

    /// <summary>Number of hidden units whose weights the model holds.</summary>
    public int HiddenUnits => _definition.Units;

    /// <summary>Number of hidden units that take part in scores: the first so many.</summary>
    public int ActiveUnits => _definition.ActiveUnits;

    /// <summary>Number of units that were added at a time: active units are a multiple of it.</summary>
    public int UnitsPerStep => _definition.UnitsPerStep;

    /// <summary>The step size of each step, already part of the output weights; ones where a method has none.</summary>
    public IReadOnlyList<float> StepSizes => Weights.StepSizes.ToArray();

    /// <summary>
    /// q, the map of each feature that the hidden units see beside the feature itself; null for none. The columns of W₁ that
    /// <see cref="ToWeights"/> gives are those of the features and then those of q.
    /// </summary>
    public InputKnots? InputKnots => Weights.Knots;

    /// <summary>The losses of the constant and after each step; empty where the training was not in steps.</summary>
    public IReadOnlyList<StagedLoss> StagedLosses => Network.LearningCurve is not { Start: { } start } curve
        ? []
        :
        [
            .. curve.Points.Take(_definition.Steps).Prepend(start)
                .Select(point => new StagedLoss(point.Epoch * UnitsPerStep, point.TrainingLoss, point.ValidationLoss, point.Metric)),
        ];

    private HiddenLayerWeights Weights => new(_definition, Network.Weights.Read());

    /// <summary>Finds the network in a fitted or loaded model, alone or in a chain.</summary>
    /// <param name="model">The model.</param>
    /// <returns>The last network in it, or null where there is none or it is none of one hidden layer.</returns>
    public static HiddenLayerModel? Find(ITransformer? model) => NetworkModel.Find(model) is { } network ? Of(network) : null;

    /// <summary>The view of a network.</summary>
    /// <param name="network">The network.</param>
    /// <returns>The view, or null where the network is none of one hidden layer.</returns>
    public static HiddenLayerModel? Of(TrainedNetwork network)
    {
        ArgumentNullException.ThrowIfNull(network);
        return network.Definition is HiddenLayerDefinition definition ? new(network, definition) : null;
    }

    /// <summary>The model with other active units. All weights are kept, so that they can be raised again.</summary>
    /// <param name="units">How many, in [0, <see cref="HiddenUnits"/>]; rounded down to whole steps. 0 for the constant.</param>
    /// <returns>The other model.</returns>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="units"/> is negative or more than there are.</exception>
    public HiddenLayerModel WithActiveUnits(int units) => Of(Network.WithDefinition(Active(units)))!;

    /// <summary>The model cut down to its first units, without the weights of the others; nothing is trained.</summary>
    /// <param name="units">How many, in [0, <see cref="HiddenUnits"/>]; rounded down to whole steps. 0 for the constant.</param>
    /// <returns>The other model.</returns>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="units"/> is negative or more than there are.</exception>
    public HiddenLayerModel Truncate(int units)
    {
        var active = Active(units);
        var definition = active with { Units = active.ActiveUnits };
        var weights = Weights;
        var (d, k) = (definition.HiddenInputs, definition.Outputs);
        var cut = HiddenLayerWeights.Of(
            definition,
            weights.Hidden[..(definition.Units * d)].ToArray(),
            weights.HiddenBias[..definition.Units].ToArray(),
            active.ActiveColumns(weights.Output.Span),
            weights.Biases[..((definition.Steps + 1) * k)].ToArray(),
            weights.StepSizes[..definition.Steps].ToArray(),
            definition.StandardizeInputs ? (weights.Mean.ToArray(), weights.Scale.ToArray()) : null,
            weights.Knots);
        var curve = Network.LearningCurve;
        var left = curve with { Points = [.. curve.Points.Take(definition.Steps)], BestEpoch = Math.Min(curve.BestEpoch, definition.Steps) };
        return Of(Network.WithNetwork(definition, cut, left))!;
    }

    /// <summary>
    /// The active part as plain matrices: score = W₂·φ(W₁·x + b₁) + b₂ of features x as they are in the data, with standardisation and the
    /// label's scale folded in. Multiclass scores are the softmax of it, and binary ones the log-odds. Where there are <see cref="InputKnots"/> q,
    /// the units see [x, q(x)] instead of x.
    /// </summary>
    /// <returns>W₁ [units, features], or [units, 2·features] with knots; b₁ [units], W₂ [outputs, units] and b₂ [outputs].</returns>
    public (double[,] W1, double[] B1, double[,] W2, double[] B2) ToWeights()
    {
        var weights = Weights;
        var (m, d, k) = (ActiveUnits, _definition.HiddenInputs, _definition.Outputs);
        var hidden = weights.Hidden.Span;
        var output = weights.Output.Span;
        var (w1, b1, w2, b2) = (new double[m, d], new double[m], new double[k, m], new double[k]);
        for (var j = 0; j < m; j++)
        {
            b1[j] = weights.HiddenBias[j];
            for (var i = 0; i < d; i++)
            {
                var isScaled = _definition.StandardizeInputs && i < _definition.Inputs;
                w1[j, i] = hidden[(j * d) + i] * (isScaled ? (double)weights.Scale[i] : 1);
                b1[j] -= isScaled ? w1[j, i] * weights.Mean[i] : 0;
            }
        }

        for (var row = 0; row < k; row++)
        {
            var (scale, shift) = Network.Head switch
            {
                RegressionHead head => (head.LabelScale, head.LabelMean),
                MultiOutputRegressionHead head => (head.LabelScales[row], head.LabelMeans[row]),
                _ => (1, 0),
            };
            b2[row] = (weights.Biases[(_definition.ActiveSteps * k) + row] * scale) + shift;
            for (var j = 0; j < m; j++)
                w2[row, j] = output[(row * HiddenUnits) + j] * scale;
        }

        return (w1, b1, w2, b2);
    }

    private HiddenLayerDefinition Active(int units)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(units);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(units, HiddenUnits);
        return _definition with { ActiveUnits = units / UnitsPerStep * UnitsPerStep };
    }
}

/// <summary>
/// The losses of a network of one hidden layer with its first units only: squared error on standardised labels for regression, logistic loss
/// for binary and cross-entropy for multiclass classification.
/// </summary>
/// <param name="Units">Number of units; 0 for the constant.</param>
/// <param name="TrainingLoss">Mean loss of the training rows.</param>
/// <param name="ValidationLoss">Mean loss of the rows held out, or null.</param>
/// <param name="Metric">The task's measure on the rows held out, or null.</param>
public sealed record StagedLoss(int Units, double TrainingLoss, double? ValidationLoss, double? Metric);
