using System.Numerics;
using System.Runtime.CompilerServices;
using MlNetMlp.Runtime;
using TorchSharp;
using static TorchSharp.torch;

namespace MlNetMlp.Training;

/// <summary>
/// Adam (Kingma and Ba, "Adam: A Method for Stochastic Optimization", 2015), by default with decoupled weight decay, which makes it
/// AdamW (Loshchilov and Hutter, "Decoupled Weight Decay Regularization", 2019).
/// </summary>
/// <remarks>
/// With gradient g, step t (from 1), learning rate α and weight decay λ:
/// m ← β₁m + (1−β₁)g; v ← β₂v + (1−β₂)g²; θ ← θ(1−αλ) − α/(1−β₁ᵗ) · m / (√v/√(1−β₂ᵗ) + ε).
/// Coupled decay (the original) leaves out the factor (1−αλ) and takes g + λθ for g instead.
/// </remarks>
public sealed class Adam : FlatOptimizer
{
    private readonly double _beta1;
    private readonly double _beta2;
    private readonly double _epsilon;
    private readonly bool _decoupled;
    private readonly Tensor _m;
    private readonly Tensor _v;
    private readonly HostVectors _host;
    private readonly Tensor? _scratch;

    /// <summary>Prepares Adam.</summary>
    /// <param name="parameters">What to train. It must outlive the optimiser.</param>
    /// <param name="beta1">β₁, how slowly the mean of the gradient changes, in [0, 1).</param>
    /// <param name="beta2">β₂, how slowly the mean of its square changes, in [0, 1).</param>
    /// <param name="epsilon">ε, added to the root of the second moment, at least 0.</param>
    /// <param name="weightDecay">λ, at least 0.</param>
    /// <param name="decoupledWeightDecay">Whether λ shrinks the weights (AdamW) or, if false, is added to the gradient (L2).</param>
    public Adam(FlatParameters parameters, double beta1 = 0.9, double beta2 = 0.999, double epsilon = 1e-8, double weightDecay = 0,
        bool decoupledWeightDecay = true)
        : base(parameters, weightDecay)
    {
        _beta1 = Below1(beta1, nameof(beta1));
        _beta2 = Below1(beta2, nameof(beta2));
        _epsilon = InRange(epsilon, 0, double.MaxValue, nameof(epsilon));
        _decoupled = decoupledWeightDecay;
        _m = AddState();
        _v = AddState();
        _host = HostVectorsOf(_m, _v);
        if (!IsOnHost)
            _scratch = torch.empty_like(_m).DetachFromDisposeScope();
    }

    /// <summary>What the weight decay is multiplied by from now on, where it changes over a training; 1 at the beginning.</summary>
    public double DecayFactor { get; set; } = 1;

    /// <inheritdoc/>
    protected override void Update(double learningRate)
    {
        var correction = Math.Sqrt(1 - Math.Pow(_beta2, StepCount));
        foreach (var group in Parameters.Groups)
        {
            var rate = learningRate * group.RateFactor;
            var stepSize = rate / (1 - Math.Pow(_beta1, StepCount));
            var decay = group.Decays ? WeightDecay * DecayFactor : 0;
            var shrink = _decoupled ? 1 - rate * decay : 1;
            var coupled = _decoupled ? 0 : decay;
            if (!IsOnHost)
                UpdateOnDevice(group, stepSize, correction, shrink, coupled);
            else if (Parameters.Values.dtype == ScalarType.Float32)
                HostUpdate.Run<float, AdamKernel<float>>(_host, group.Start, group.End, Kernel<float>(stepSize, correction, shrink, coupled));
            else
                HostUpdate.Run<double, AdamKernel<double>>(_host, group.Start, group.End, Kernel<double>(stepSize, correction, shrink, coupled));
        }
    }

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        if (disposing)
            _scratch?.Dispose();
        base.Dispose(disposing);
    }

    private AdamKernel<T> Kernel<T>(double stepSize, double correction, double shrink, double coupled)
        where T : unmanaged, INumberBase<T> => AdamKernel<T>.Create(_beta1, _beta2, _epsilon, correction, stepSize, shrink, coupled);

    private void UpdateOnDevice(FlatGroup group, double stepSize, double correction, double shrink, double coupled)
    {
        using var scope = NewDisposeScope();
        var (gradient, values, m, v, scratch) = (Part(Parameters.Gradient), Part(Parameters.Values), Part(_m), Part(_v), Part(_scratch!));
        if (coupled != 0)
        {
            scratch.copy_(gradient);
            scratch.AddScaled(values, coupled);
            gradient = scratch;
        }
        else if (shrink != 1)
        {
            values.Scale(shrink);
        }
        m.Scale(_beta1);
        m.AddScaled(gradient, 1 - _beta1);
        v.Scale(_beta2);
        using (Scalar rest = 1 - _beta2)
            v.addcmul_(gradient, gradient, rest);
        scratch.copy_(v).sqrt_();
        scratch.Scale(1 / correction);
        scratch.Shift(_epsilon);
        using (Scalar step = -stepSize)
            values.addcdiv_(m, scratch, step);

        Tensor Part(Tensor all) => all.narrow(0, group.Start, group.End - group.Start);
    }
}

/// <summary>Adam's update of as many coordinates as a register holds.</summary>
internal struct AdamKernel<T> : IHostUpdate<T>
    where T : unmanaged, INumberBase<T>
{
    private Vector<T> _shrink, _coupled, _beta1, _rest1, _beta2, _rest2, _correction, _epsilon, _stepSize;

    /// <summary>The update of a step without weight decay.</summary>
    public static AdamKernel<T> Create(double beta1, double beta2, double epsilon, long step, double learningRate) =>
        Create(beta1, beta2, epsilon, Math.Sqrt(1 - Math.Pow(beta2, step)), learningRate / (1 - Math.Pow(beta1, step)), 1, 0);

    /// <summary>The update of a step.</summary>
    /// <param name="beta1">β₁.</param>
    /// <param name="beta2">β₂.</param>
    /// <param name="epsilon">ε.</param>
    /// <param name="correction">√(1−β₂ᵗ).</param>
    /// <param name="stepSize">α/(1−β₁ᵗ).</param>
    /// <param name="shrink">What decoupled weight decay multiplies by.</param>
    /// <param name="coupled">λ of coupled weight decay.</param>
    public static AdamKernel<T> Create(double beta1, double beta2, double epsilon, double correction, double stepSize, double shrink, double coupled)
    {
        return new()
        {
            _shrink = Broadcast(shrink),
            _coupled = Broadcast(coupled),
            _beta1 = Broadcast(beta1),
            _rest1 = Broadcast(1 - beta1),
            _beta2 = Broadcast(beta2),
            _rest2 = Broadcast(1 - beta2),
            _correction = Broadcast(1 / correction),
            _epsilon = Broadcast(epsilon),
            _stepSize = Broadcast(stepSize),
        };

        static Vector<T> Broadcast(double value) => new(T.CreateChecked(value));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly void Apply(ref Vector<T> value, Vector<T> gradient, ref Vector<T> first, ref Vector<T> second)
    {
        gradient += _coupled * value;
        first = _beta1 * first + _rest1 * gradient;
        second = _beta2 * second + _rest2 * gradient * gradient;
        value = _shrink * value - _stepSize * first / (Vector.SquareRoot(second) * _correction + _epsilon);
    }
}
