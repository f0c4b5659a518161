using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace MlNetMlp.Training;

/// <summary>
/// An optimiser over <see cref="FlatParameters"/>: one update of one vector per step. It owns vectors of state as long as the
/// parameters and nothing per step.
/// </summary>
/// <remarks>
/// On the CPU the optimisers of this library update in one pass over the memory, in vector instructions and without a call into
/// libtorch; on other devices by a handful of in-place operations. Both give torch's own results up to rounding, and the same ones at
/// every run.
/// </remarks>
public abstract class FlatOptimizer : IDisposable
{
    private readonly List<Tensor> _state = [];
    private long _steps;
    private bool _disposed;

    /// <summary>Prepares an optimiser.</summary>
    /// <param name="parameters">What to train. It must outlive the optimiser.</param>
    /// <param name="weightDecay">The weight decay, at least 0, of the first <see cref="FlatParameters.DecayedCount"/> numbers.</param>
    protected FlatOptimizer(FlatParameters parameters, double weightDecay)
    {
        ArgumentNullException.ThrowIfNull(parameters);
        Parameters = parameters;
        WeightDecay = InRange(weightDecay, 0, double.MaxValue, nameof(weightDecay));
    }

    /// <summary>What is trained.</summary>
    public FlatParameters Parameters { get; }

    /// <summary>The weight decay; 0 for none.</summary>
    public double WeightDecay { get; }

    /// <summary>How many steps were made. To resume a training, set it and copy the saved vectors into <see cref="State"/>.</summary>
    public long StepCount
    {
        get => _steps;
        set
        {
            ArgumentOutOfRangeException.ThrowIfNegative(value);
            _steps = value;
        }
    }

    /// <summary>The vectors that the optimiser remembers between steps, always in the same order; owned by the optimiser.</summary>
    public IReadOnlyList<Tensor> State => _state;

    /// <summary>Updates the parameters from their gradients, which stay as they are. The caller clears them.</summary>
    /// <param name="learningRate">The learning rate of this step, finite and at least 0.</param>
    public void Step(double learningRate)
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        InRange(learningRate, 0, double.MaxValue, nameof(learningRate));
        _steps++;
        Update(learningRate);
    }

    /// <summary>Forgets what is remembered of some elements of a parameter, whose values are others now.</summary>
    /// <param name="parameter">The parameter.</param>
    /// <param name="elements">Which elements, Boolean of a shape that broadcasts to that of the parameter.</param>
    /// <exception cref="ArgumentException">The parameter is none of those that are trained.</exception>
    public void Forget(Parameter parameter, Tensor elements)
    {
        ArgumentNullException.ThrowIfNull(parameter);
        using Scalar zero = 0.0;
        foreach (var state in _state)
        {
            using var part = state.narrow(0, Parameters.OffsetOf(parameter), parameter.numel());
            using var shaped = part.view(parameter.shape);
            shaped.masked_fill_(elements, zero);
        }
    }

    /// <summary>Frees the state; the parameters stay.</summary>
    public void Dispose()
    {
        Dispose(true);
        GC.SuppressFinalize(this);
    }

    /// <summary>The update itself; <see cref="StepCount"/> already counts it, so it is 1 at the first step.</summary>
    /// <param name="learningRate">The learning rate of this step.</param>
    protected abstract void Update(double learningRate);

    /// <summary>A vector of zeros, shaped like the parameters, that becomes part of <see cref="State"/>.</summary>
    protected Tensor AddState()
    {
        var state = torch.zeros_like(Parameters.Values).DetachFromDisposeScope();
        _state.Add(state);
        return state;
    }

    /// <summary>Frees the state.</summary>
    /// <param name="disposing">Whether <see cref="Dispose()"/> was called.</param>
    protected virtual void Dispose(bool disposing)
    {
        if (!disposing || _disposed)
            return;
        _disposed = true;
        _state.ForEach(static state => state.Dispose());
    }

    // Whether the vectors lie in this process's memory, so that managed code may update them.
    internal bool IsOnHost => Parameters.UpdateInManagedCode && Parameters.ValuesAddress != 0;

    internal HostVectors HostVectorsOf(Tensor first, Tensor second) =>
        new(Parameters.ValuesAddress, Parameters.GradientAddress, FlatParameters.AddressOf(first), FlatParameters.AddressOf(second));

    internal static double InRange(double value, double minimum, double maximum, string name) =>
        value >= minimum && value <= maximum
            ? value
            : throw new ArgumentOutOfRangeException(name, value, $"{name} must be in [{minimum}, {maximum}].");

    internal static double Below1(double value, string name) =>
        value >= 0 && value < 1 ? value : throw new ArgumentOutOfRangeException(name, value, $"{name} must be in [0, 1).");
}
