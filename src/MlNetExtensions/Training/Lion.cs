using System.Numerics;
using System.Runtime.CompilerServices;
using MlNetMlp.Runtime;
using TorchSharp;
using static TorchSharp.torch;

namespace MlNetMlp.Training;

/// <summary>
/// Lion (Chen et al., "Symbolic Discovery of Optimization Algorithms", 2023): each coordinate moves by exactly the learning rate, in
/// the direction of a sign. Its learning rate is 3 to 10 times smaller than Adam's, its weight decay as many times larger.
/// </summary>
/// <remarks>
/// With gradient g, learning rate α and weight decay λ:
/// θ ← θ(1−αλ); θ ← θ − α·sign(β₁m + (1−β₁)g); m ← β₂m + (1−β₂)g.
/// </remarks>
public sealed class Lion : FlatOptimizer
{
    private readonly double _beta1;
    private readonly double _beta2;
    private readonly Tensor _m;
    private readonly HostVectors _host;
    private readonly Tensor? _scratch;

    /// <summary>Prepares Lion.</summary>
    /// <param name="parameters">What to train. It must outlive the optimiser.</param>
    /// <param name="beta1">β₁, the weight of the momentum in the sign, in [0, 1).</param>
    /// <param name="beta2">β₂, how slowly the momentum changes, in [0, 1).</param>
    /// <param name="weightDecay">λ, at least 0, decoupled from the gradient.</param>
    public Lion(FlatParameters parameters, double beta1 = 0.9, double beta2 = 0.99, double weightDecay = 0)
        : base(parameters, weightDecay)
    {
        _beta1 = Below1(beta1, nameof(beta1));
        _beta2 = Below1(beta2, nameof(beta2));
        _m = AddState();
        _host = HostVectorsOf(_m, _m);
        if (!IsOnHost)
            _scratch = torch.empty_like(_m).DetachFromDisposeScope();
    }

    /// <inheritdoc/>
    protected override void Update(double learningRate)
    {
        if (!IsOnHost)
            UpdateOnDevice(learningRate);
        else if (Parameters.Values.dtype == ScalarType.Float32)
            UpdateOnHost<float>(learningRate);
        else
            UpdateOnHost<double>(learningRate);
    }

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        if (disposing)
            _scratch?.Dispose();
        base.Dispose(disposing);
    }

    private void UpdateOnHost<T>(double learningRate)
        where T : unmanaged, INumberBase<T>
    {
        HostUpdate.Run<T, Kernel<T>>(_host, 0, Parameters.DecayedCount, Coefficients(1 - learningRate * WeightDecay));
        HostUpdate.Run<T, Kernel<T>>(_host, Parameters.DecayedCount, Parameters.Count, Coefficients(1));

        Kernel<T> Coefficients(double shrink) => new()
        {
            Shrink = Broadcast(shrink),
            Beta1 = Broadcast(_beta1),
            Rest1 = Broadcast(1 - _beta1),
            Beta2 = Broadcast(_beta2),
            Rest2 = Broadcast(1 - _beta2),
            Rate = Broadcast(learningRate),
        };

        static Vector<T> Broadcast(double value) => new(T.CreateChecked(value));
    }

    private void UpdateOnDevice(double learningRate)
    {
        var gradient = Parameters.Gradient;
        if (WeightDecay != 0)
            Parameters.DecayedValues.Scale(1 - learningRate * WeightDecay);
        _scratch!.copy_(_m);
        _scratch.Scale(_beta1);
        _scratch.AddScaled(gradient, 1 - _beta1);
        _scratch.sign_();
        Parameters.Values.AddScaled(_scratch, -learningRate);
        _m.Scale(_beta2);
        _m.AddScaled(gradient, 1 - _beta2);
    }

    private struct Kernel<T> : IHostUpdate<T>
        where T : unmanaged
    {
        public Vector<T> Shrink, Beta1, Rest1, Beta2, Rest2, Rate;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public readonly void Apply(ref Vector<T> value, Vector<T> gradient, ref Vector<T> m, ref Vector<T> unused)
        {
            var u = Beta1 * m + Rest1 * gradient;
            var zero = Vector<T>.Zero;
            var move = Vector.ConditionalSelect(Vector.GreaterThan(u, zero), Rate,
                Vector.ConditionalSelect(Vector.LessThan(u, zero), -Rate, zero));
            value = Shrink * value - move;
            m = Beta2 * m + Rest2 * gradient;
        }
    }
}
