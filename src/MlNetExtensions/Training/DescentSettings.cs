using MlNetMlp.Data;
using MlNetMlp.Networks;
using static TorchSharp.torch;

namespace MlNetMlp.Training;

/// <summary>The optimisers that a network can be trained with.</summary>
public enum OptimizerKind
{
    /// <summary>Adam with decoupled weight decay (Loshchilov and Hutter, 2019).</summary>
    AdamW,

    /// <summary>Adam (Kingma and Ba, 2015); weight decay is added to the gradient.</summary>
    Adam,

    /// <summary>Stochastic gradient descent with momentum.</summary>
    Sgd,

    /// <summary>Lion, the sign of an interpolated momentum (Chen et al., 2023): take a 3 to 10 times smaller learning rate than with Adam.</summary>
    Lion,

    /// <summary>L-BFGS on all rows at once with a strong Wolfe line search: an epoch is one iteration, the learning rate is not used.</summary>
    Lbfgs,
}

/// <summary>The loss of a batch, for methods whose loss is more than that of their task.</summary>
/// <param name="network">The network in training mode.</param>
/// <param name="batch">The rows.</param>
/// <returns>A scalar.</returns>
public delegate Tensor BatchLoss(Network network, RowBlock batch);

/// <summary>How the mini-batch loop goes. <see cref="Methods.GradientTrainedOptions"/> are the options behind it.</summary>
public sealed record DescentSettings
{
    /// <summary>The optimiser.</summary>
    public required OptimizerKind Optimizer { get; init; }

    /// <summary>Step length at the full rate of the schedule.</summary>
    public required double LearningRate { get; init; }

    /// <summary>Momentum of <see cref="OptimizerKind.Sgd"/>.</summary>
    public required double Momentum { get; init; }

    /// <summary>Weight decay; on matrices, not on biases and gains.</summary>
    public required double WeightDecay { get; init; }

    /// <summary>Course of the learning rate.</summary>
    public required LearningRateSchedule Schedule { get; init; }

    /// <summary>Passes over the rows.</summary>
    public required int Epochs { get; init; }

    /// <summary>Rows of a batch.</summary>
    public required int BatchSize { get; init; }

    /// <summary>Rows that go through the network at once: a batch is split into such parts and their gradients are added up; 0 = the whole batch.</summary>
    public required int MicroBatchSize { get; init; }

    /// <summary>Greatest 2-norm of the gradient; 0 = no limit.</summary>
    public required double GradientClipNorm { get; init; }

    /// <summary>Noise on the gradient, or null.</summary>
    public required GradientNoise? GradientNoise { get; init; }

    /// <summary>Share of the target spread over the classes.</summary>
    public required double LabelSmoothing { get; init; }

    /// <summary>Epochs without a new best validation loss after which training stops; 0 = never.</summary>
    public required int Patience { get; init; }

    /// <summary>
    /// What the learning rate is multiplied by after an epoch that did not lower the least validation loss by a ten-thousandth, in (0, 1]; 1 by default, which leaves it.
    /// After such an epoch at <see cref="PlateauFloor"/> training stops.
    /// </summary>
    public double PlateauFactor { get; init; } = 1;

    /// <summary>What the learning rate does not fall below by <see cref="PlateauFactor"/>; 0 by default.</summary>
    public double PlateauFloor { get; init; }

    /// <summary>
    /// λ of the penalty ½·λ·‖w‖² on the rows of each <see cref="RowTable"/> that a batch looks up; 0 by default. Such tables are trained by Adam at the same
    /// rate, whatever the optimiser, without <see cref="WeightDecay"/> and <see cref="GradientNoise"/>; their gradients count in <see cref="GradientClipNorm"/>.
    /// </summary>
    public double RowTableDecay { get; init; }
}
