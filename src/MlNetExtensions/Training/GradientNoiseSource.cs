using MlNetMlp.Runtime;
using TorchSharp;
using static TorchSharp.torch;

namespace MlNetMlp.Training;

/// <summary>
/// Adds <see cref="GradientNoise"/> to the gradients of one training. It draws from a generator of its own, so that a training with
/// noise sees the same batches and dropout as one without.
/// </summary>
public sealed class GradientNoiseSource : IDisposable
{
    private readonly FlatParameters _parameters;
    private readonly Generator _generator;
    private readonly Tensor _noise;
    private long _step;

    /// <summary>Prepares the noise of one training.</summary>
    /// <param name="settings">What noise to add.</param>
    /// <param name="parameters">The parameters whose gradients get it; a gradient that tied parameters share gets it once.</param>
    /// <param name="seed">The seed where <paramref name="settings"/> gives none.</param>
    public GradientNoiseSource(GradientNoise settings, FlatParameters parameters, long seed)
    {
        ArgumentNullException.ThrowIfNull(settings);
        ArgumentNullException.ThrowIfNull(parameters);
        Settings = settings;
        _parameters = parameters;
        _generator = new Generator(unchecked((ulong)(settings.Seed ?? seed)), parameters.Values.device);
        _noise = torch.empty_like(parameters.Gradient).DetachFromDisposeScope();
    }

    /// <summary>What noise is added.</summary>
    public GradientNoise Settings { get; }

    /// <summary>t: how many steps have had their noise. Part of a training's state: a resumed training sets it and so continues.</summary>
    public long StepCount
    {
        get => _step;
        set
        {
            ArgumentOutOfRangeException.ThrowIfNegative(value);
            _step = value;
        }
    }

    internal Generator Generator => _generator;

    /// <summary>Adds the noise of the next step to the gradients. Call it once per optimiser step, after clipping.</summary>
    public void Apply()
    {
        var deviation = Settings.StandardDeviationAt(_step++);
        // Without noise not even -0 becomes +0: the training is bit for bit the one that has no noise source.
        if (deviation == 0)
            return;
        _noise.normal_(0, deviation, _generator);
        _parameters.Gradient.AddScaled(_noise);
    }

    /// <summary>Frees the generator and the buffer.</summary>
    public void Dispose()
    {
        _noise.Dispose();
        _generator.Dispose();
    }
}
