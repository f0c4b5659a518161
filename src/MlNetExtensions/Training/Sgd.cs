using System.Numerics;
using System.Runtime.CompilerServices;
using MlNetMlp.Runtime;
using TorchSharp;
using static TorchSharp.torch;

namespace MlNetMlp.Training;

/// <summary>
/// Stochastic gradient descent, with momentum if wanted (Sutskever et al., "On the Importance of Initialization and Momentum in Deep
/// Learning", 2013, in torch's form).
/// </summary>
/// <remarks>
/// With gradient g, learning rate α, weight decay λ and momentum μ: g' = g + λθ; b ← μb + g'; θ ← θ − αb, or with Nesterov's
/// momentum θ ← θ − α(g' + μb). Without momentum θ ← θ − αg'.
/// </remarks>
public sealed class Sgd : FlatOptimizer
{
    private readonly double _momentum;
    private readonly bool _nesterov;
    private readonly Tensor? _velocity;
    private readonly HostVectors _host;

    /// <summary>Prepares gradient descent.</summary>
    /// <param name="parameters">What to train. It must outlive the optimiser.</param>
    /// <param name="momentum">μ, in [0, 1); 0 for none.</param>
    /// <param name="nesterov">Whether to look ahead along the momentum; needs a momentum above 0.</param>
    /// <param name="weightDecay">λ, at least 0.</param>
    public Sgd(FlatParameters parameters, double momentum = 0, bool nesterov = false, double weightDecay = 0)
        : base(parameters, weightDecay)
    {
        _momentum = Below1(momentum, nameof(momentum));
        if (nesterov && momentum == 0)
            throw new ArgumentException("Nesterov's momentum needs a momentum in (0, 1).", nameof(nesterov));
        _nesterov = nesterov;
        if (momentum == 0)
            return;
        _velocity = AddState();
        _host = HostVectorsOf(_velocity, _velocity);
    }

    /// <inheritdoc/>
    protected override void Update(double learningRate)
    {
        if (_velocity is null)
        {
            if (WeightDecay != 0)
                Parameters.DecayedValues.Scale(1 - learningRate * WeightDecay);
            Parameters.Values.AddScaled(Parameters.Gradient, -learningRate);
        }
        else if (!IsOnHost)
        {
            UpdateOnDevice(_velocity, learningRate);
        }
        else if (Parameters.Values.dtype == ScalarType.Float32)
        {
            UpdateOnHost<float>(learningRate);
        }
        else
        {
            UpdateOnHost<double>(learningRate);
        }
    }

    private void UpdateOnHost<T>(double learningRate)
        where T : unmanaged, INumberBase<T>
    {
        HostUpdate.Run<T, Kernel<T>>(_host, 0, Parameters.DecayedCount, Coefficients(WeightDecay));
        HostUpdate.Run<T, Kernel<T>>(_host, Parameters.DecayedCount, Parameters.Count, Coefficients(0));

        // θ − α(p·g' + q·b), with p = 0 and q = 1, or Nesterov's p = 1 and q = μ.
        Kernel<T> Coefficients(double decay) => new()
        {
            Decay = Broadcast(decay),
            Momentum = Broadcast(_momentum),
            GradientRate = Broadcast(_nesterov ? learningRate : 0),
            VelocityRate = Broadcast(_nesterov ? learningRate * _momentum : learningRate),
        };

        static Vector<T> Broadcast(double value) => new(T.CreateChecked(value));
    }

    private void UpdateOnDevice(Tensor velocity, double learningRate)
    {
        velocity.Scale(_momentum);
        velocity.AddScaled(Parameters.Gradient);
        if (WeightDecay != 0)
        {
            using var decayed = velocity.narrow(0, 0, Parameters.DecayedCount);
            decayed.AddScaled(Parameters.DecayedValues, WeightDecay);
        }
        if (_nesterov)
        {
            if (WeightDecay != 0)
                Parameters.DecayedValues.Scale(1 - learningRate * WeightDecay);
            Parameters.Values.AddScaled(Parameters.Gradient, -learningRate);
        }
        Parameters.Values.AddScaled(velocity, _nesterov ? -learningRate * _momentum : -learningRate);
    }

    private struct Kernel<T> : IHostUpdate<T>
        where T : unmanaged
    {
        public Vector<T> Decay, Momentum, GradientRate, VelocityRate;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public readonly void Apply(ref Vector<T> value, Vector<T> gradient, ref Vector<T> velocity, ref Vector<T> unused)
        {
            gradient += Decay * value;
            velocity = Momentum * velocity + gradient;
            value -= GradientRate * gradient + VelocityRate * velocity;
        }
    }
}
