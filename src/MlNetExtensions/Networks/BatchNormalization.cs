using TorchSharp.Modules;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace MlNetMlp.Networks;

/// <summary>
/// Batch normalisation (Ioffe and Szegedy, "Batch Normalization", 2015) that also takes a batch of one row, as the last of an epoch may be: it is
/// normalised as in evaluation.
/// </summary>
public sealed class BatchNormalization : Module<Tensor, Tensor>
{
    /// <summary>ε, added to the variance.</summary>
    public const double Epsilon = 1e-5;

    private readonly Parameter weight;
    private readonly Parameter bias;
    private readonly Tensor running_mean;
    private readonly Tensor running_var;

    /// <summary>Creates a layer that changes nothing yet.</summary>
    /// <param name="width">Values of a row.</param>
    /// <param name="device">Where the weights are.</param>
    public BatchNormalization(int width, Device device)
        : base(nameof(BatchNormalization))
    {
        weight = new Parameter(ones(width, device: device));
        bias = new Parameter(zeros(width, device: device));
        running_mean = zeros(width, device: device);
        running_var = ones(width, device: device);
        RegisterComponents();
    }

    /// <summary>Number of values that a layer adds to a network's state.</summary>
    /// <param name="width">Values of a row.</param>
    /// <returns>The number.</returns>
    public static long WeightCountOf(int width) => 4L * width;

    /// <summary>Normalises rows: by themselves in training, by those of training in evaluation.</summary>
    /// <param name="input">Values [rows, width].</param>
    /// <returns>Values [rows, width].</returns>
    public override Tensor forward(Tensor input) => Apply(input, running_mean, running_var, weight, bias, training);

    /// <summary>Normalises rows by given tensors.</summary>
    /// <param name="input">Values [rows, width].</param>
    /// <param name="mean">Running means [width], which training changes.</param>
    /// <param name="variance">Running variances [width], which training changes.</param>
    /// <param name="weight">Gains [width].</param>
    /// <param name="bias">Shifts [width].</param>
    /// <param name="isTraining">Whether rows are normalised by themselves, if they are several.</param>
    /// <returns>Values [rows, width].</returns>
    internal static Tensor Apply(Tensor input, Tensor mean, Tensor variance, Tensor weight, Tensor bias, bool isTraining) =>
        functional.batch_norm(input, mean, variance, weight, bias, isTraining && input.shape[0] > 1, momentum: 0.1, eps: Epsilon);
}
