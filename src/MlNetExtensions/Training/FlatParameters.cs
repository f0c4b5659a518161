using System.Runtime.InteropServices;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace MlNetMlp.Training;

/// <summary>
/// All trainable parameters of a module laid end to end in one vector, with their gradients in a second one, so that an optimiser,
/// a clip or a noise is one pass over one vector instead of several calls per parameter.
/// </summary>
/// <remarks>
/// <para>
/// Each parameter becomes a view of <see cref="Values"/> and each gradient a view of <see cref="Gradient"/>: <c>backward()</c> adds
/// into <see cref="Gradient"/> in place, and <see cref="ZeroGradient"/> clears all of it at once. Do not call the module's own
/// <c>zero_grad()</c>, which throws the gradient views away, nor <c>to(...)</c>, which gives the parameters new storage, while this
/// object is in use (<see cref="ThrowIfDetached"/> finds out).
/// </para>
/// <para>
/// A parameter that appears twice (tied weights) is laid once; parameters that need no gradient are left alone. Those that weight
/// decay applies to come first: they are the first <see cref="DecayedCount"/> elements.
/// </para>
/// <para>
/// <see cref="Values"/> itself needs no gradient, so it may be changed in place without <c>no_grad()</c>; autograd does not see such
/// a change, so make it after <c>backward()</c>, never between it and the forward pass.
/// </para>
/// <para>
/// After <see cref="Dispose"/> the module works as before: its parameters keep the common storage alive (all of it, as long as one
/// of them lives), keep their values and have no gradient.
/// </para>
/// </remarks>
public sealed class FlatParameters : IDisposable
{
    private readonly List<(string Name, Parameter Parameter, long Offset)> _laid = [];
    private readonly List<Tensor> _buffers;
    private readonly Scalar _zero = 0.0;
    private List<Tensor>? _bestBuffers;
    private Tensor? _best;
    private bool _disposed;

    /// <summary>Lays out the trainable parameters of <paramref name="module"/>.</summary>
    /// <param name="module">The module, on its final device and in its final type; all its trainable parameters must share both.</param>
    /// <param name="decays">
    /// Whether weight decay applies to a parameter, by its name in the module and the parameter. The default takes those of two or
    /// more dimensions: matrices and filters, not biases and normalisation gains. A module that batches several networks, whose
    /// biases are matrices too, gives its own.
    /// </param>
    /// <param name="rateFactor">What the learning rate of a parameter is multiplied by, by its name and the parameter; null for 1.</param>
    /// <exception cref="ArgumentException">
    /// The module has no trainable parameter, or they differ in device or type, or are neither float nor double.
    /// </exception>
    public FlatParameters(nn.Module module, Func<string, Tensor, bool>? decays = null, Func<string, Tensor, double>? rateFactor = null)
    {
        ArgumentNullException.ThrowIfNull(module);
        decays ??= static (_, parameter) => parameter.dim() >= 2;
        rateFactor ??= static (_, _) => 1;

        List<(string Name, Parameter Parameter)> trainable =
            [.. module.named_parameters().Where(p => p.parameter.requires_grad).Select(p => (p.name, p.parameter))];
        var first = CheckAlike(trainable);
        (bool Decays, double Factor)[] kinds = [.. trainable.Select(p => (decays(p.Name, p.Parameter), rateFactor(p.Name, p.Parameter)))];

        // Two wrappers of one native tensor, or two tensors on one storage, share an address: they are one parameter.
        Dictionary<(nint, long), long> offsets = [];
        List<FlatGroup> groups = [];
        foreach (var kind in kinds.Distinct().OrderByDescending(kind => kind.Decays))
        {
            var start = Count;
            for (var i = 0; i < trainable.Count; i++)
            {
                var (name, parameter) = trainable[i];
                if (kinds[i] != kind)
                    continue;
                var length = parameter.numel();
                var key = (Identity(parameter), length);
                if (!offsets.TryGetValue(key, out var offset))
                {
                    offsets[key] = offset = Count;
                    Count += length;
                }
                _laid.Add((name, parameter, offset));
            }
            groups.Add(new(start, Count, kind.Factor, kind.Decays));
            if (kind.Decays)
                DecayedCount = Count;
        }

        Groups = groups;
        Values = torch.empty(Count, first.dtype, first.device).DetachFromDisposeScope();
        Gradient = torch.zeros(Count, first.dtype, first.device).DetachFromDisposeScope();
        DecayedValues = Values.narrow(0, 0, DecayedCount).DetachFromDisposeScope();
        _buffers = [.. module.buffers()];
        foreach (var (_, parameter, offset) in _laid)
            Attach(parameter, offset);
        ValuesAddress = AddressOf(Values);
        GradientAddress = AddressOf(Gradient);
    }

    /// <summary>The parameters, shape [<see cref="Count"/>]; the module's parameters are views of it. Owned by this object.</summary>
    public Tensor Values { get; }

    /// <summary>The gradients, shape [<see cref="Count"/>], in the order of <see cref="Values"/>. Owned by this object.</summary>
    public Tensor Gradient { get; }

    /// <summary>How many numbers there are; tied parameters count once.</summary>
    public long Count { get; }

    /// <summary>How many of them, from the first on, weight decay applies to.</summary>
    public long DecayedCount { get; }

    /// <summary>The parts of the vectors that are trained at rates of their own, from the first number to the last.</summary>
    public IReadOnlyList<FlatGroup> Groups { get; }

    /// <summary>Whether <see cref="Snapshot"/> has kept weights.</summary>
    public bool HasSnapshot => _best is not null;

    /// <summary>What <see cref="Snapshot"/> has kept, always in the same order; nothing before.</summary>
    internal IReadOnlyList<Tensor> Best => _best is null || _bestBuffers is null ? [] : [_best, .. _bestBuffers];

    internal Tensor DecayedValues { get; }

    // Where the numbers lie in this process's memory; 0 where they lie on another device.
    internal nint ValuesAddress { get; }

    internal nint GradientAddress { get; }

    // Off for the tests of the code that serves other devices.
    internal bool UpdateInManagedCode { get; init; } = true;

    /// <summary>Sets all gradients to zero.</summary>
    // Not zero_(), which gives another wrapper of the same tensor each time and leaves it to the finaliser (TorchSharp 0.107).
    public void ZeroGradient() => Gradient.fill_(_zero);

    /// <summary>The Euclidean norm of all gradients together, ‖g‖₂.</summary>
    public double GradientNorm()
    {
        using var norm = Gradient.norm();
        return norm.ToDouble();
    }

    /// <summary>Scales the gradients so that their common norm is at most the given one: g ← g · min(1, c / ‖g‖₂).</summary>
    /// <param name="maxNorm">c, greater than 0.</param>
    /// <remarks>The norm does not leave the device. A gradient that is not finite stays so.</remarks>
    public void ClipGradient(double maxNorm)
    {
        if (!(maxNorm > 0))
            throw new ArgumentOutOfRangeException(nameof(maxNorm), maxNorm, "The norm to clip at must be greater than 0.");
        using var norm = Gradient.norm();
        using Scalar limit = maxNorm, one = 1.0;
        norm.reciprocal_();
        norm.mul_(limit).clamp_max_(one);
        Gradient.mul_(norm);
    }

    /// <summary>Adds the gradient of a penalty on the decayed parameters w, ½·λ·‖w‖².</summary>
    /// <param name="decay">λ, at least 0.</param>
    /// <returns>The penalty.</returns>
    public double AddPenalty(double decay)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(decay);
        using var gradient = Gradient.narrow(0, 0, DecayedCount);
        using var norm = DecayedValues.norm();
        using Scalar scale = decay;
        gradient.add_(DecayedValues, scale);
        var length = norm.ToDouble();
        return decay / 2 * length * length;
    }

    /// <summary>
    /// Keeps a copy of the parameters and of the module's persistent buffers (running statistics), in place of an earlier copy.
    /// </summary>
    public void Snapshot()
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        using var noGradient = torch.no_grad();
        if (_best is null || _bestBuffers is null)
        {
            _best = Values.clone().DetachFromDisposeScope();
            _bestBuffers = [.. _buffers.Select(buffer => buffer.clone().DetachFromDisposeScope())];
            return;
        }
        _best.copy_(Values);
        for (var i = 0; i < _buffers.Count; i++)
            _bestBuffers[i].copy_(_buffers[i]);
    }

    /// <summary>Brings back what the last <see cref="Snapshot"/> kept; it stays kept.</summary>
    /// <exception cref="InvalidOperationException">There was no snapshot.</exception>
    public void Restore()
    {
        if (_best is null || _bestBuffers is null)
            throw new InvalidOperationException("There is no snapshot to restore.");
        using var noGradient = torch.no_grad();
        Values.copy_(_best);
        for (var i = 0; i < _buffers.Count; i++)
            _buffers[i].copy_(_bestBuffers[i]);
    }

    /// <summary>Where the elements of a parameter begin in <see cref="Values"/>.</summary>
    /// <param name="parameter">A parameter of the module.</param>
    /// <returns>The index of the first.</returns>
    /// <exception cref="ArgumentException">It is none of the module's that are trained.</exception>
    public long OffsetOf(Parameter parameter) =>
        _laid.Find(laid => ReferenceEquals(laid.Parameter, parameter)) is { Parameter: not null } found
            ? found.Offset
            : throw new ArgumentException("The parameter is not one of those that are trained.", nameof(parameter));

    /// <summary>Checks that every parameter and gradient still is a view of the common vectors; costs a few µs per parameter.</summary>
    /// <exception cref="InvalidOperationException">One is not, so an optimiser would train nothing; the message names it.</exception>
    public void ThrowIfDetached()
    {
        var size = (long)Values.element_size();
        foreach (var (name, parameter, offset) in _laid)
        {
            using var gradient = parameter.grad;
            // Storage offsets and not addresses, which only the CPU shows.
            if (gradient is null || gradient.storage_offset() != offset || parameter.storage_offset() != offset
                || (ValuesAddress != 0 && parameter.numel() > 0
                    && (AddressOf(parameter) != ValuesAddress + (nint)(offset * size)
                        || AddressOf(gradient) != GradientAddress + (nint)(offset * size))))
            {
                throw new InvalidOperationException(
                    $"Parameter '{name}' no longer shares the flat vectors: zero_grad() or to() of the module was called. "
                    + $"Use {nameof(FlatParameters)}.{nameof(ZeroGradient)}().");
            }
        }
    }

    /// <summary>Frees the common vectors and the snapshot; the module's parameters keep their values and lose their gradients.</summary>
    public void Dispose()
    {
        if (_disposed)
            return;
        _disposed = true;
        foreach (var (_, parameter, _) in _laid)
        {
            if (!parameter.IsInvalid)
                parameter.grad = null;
        }
        _zero.Dispose();
        DecayedValues.Dispose();
        Values.Dispose();
        Gradient.Dispose();
        _best?.Dispose();
        _bestBuffers?.ForEach(static buffer => buffer.Dispose());
    }

    private void Attach(Parameter parameter, long offset)
    {
        using var noGradient = torch.no_grad();
        var shape = parameter.shape;
        using var values = Values.narrow(0, offset, parameter.numel());
        using var view = values.view(shape);
        view.copy_(parameter);
        parameter.set_(view);

        using var gradients = Gradient.narrow(0, offset, parameter.numel());
        using var gradientView = gradients.view(shape);
        using (var before = parameter.grad)
        {
            if (before is not null)
                gradientView.copy_(before);
        }
        parameter.grad = gradientView;
    }

    private static Parameter CheckAlike(List<(string Name, Parameter Parameter)> trainable)
    {
        if (trainable.Count == 0)
            throw new ArgumentException("The module has no parameter that requires a gradient.", nameof(trainable));
        var (firstName, first) = trainable[0];
        if (first.dtype is not (ScalarType.Float32 or ScalarType.Float64))
            throw new ArgumentException($"Parameter '{firstName}' is of type {first.dtype}; only Float32 and Float64 can be trained.");
        foreach (var (name, parameter) in trainable)
        {
            if (parameter.dtype != first.dtype || parameter.device.ToString() != first.device.ToString())
            {
                throw new ArgumentException(
                    $"Parameter '{name}' ({parameter.dtype}, {parameter.device}) differs from '{firstName}' ({first.dtype}, "
                    + $"{first.device}): all trainable parameters must share type and device.");
            }
        }
        return first;
    }

    // On the CPU the address of the data, elsewhere that of the wrapper, which modules that tie weights share.
    private static nint Identity(Tensor tensor)
    {
        var address = AddressOf(tensor);
        return address != 0 ? address : tensor.Handle;
    }

    internal static unsafe nint AddressOf(Tensor tensor)
    {
        if (tensor.device_type != DeviceType.CPU || tensor.numel() == 0)
            return 0;
        // A one-element view, since the bytes of a whole tensor are a span and so must stay below 2 GiB.
        using var start = tensor.as_strided([1], [1], tensor.storage_offset());
        return (nint)System.Runtime.CompilerServices.Unsafe.AsPointer(ref MemoryMarshal.GetReference(start.bytes));
    }
}

/// <summary>A part of <see cref="FlatParameters"/> whose numbers are trained alike.</summary>
/// <param name="Start">The first of them.</param>
/// <param name="End">The first behind them.</param>
/// <param name="RateFactor">What the learning rate is multiplied by.</param>
/// <param name="Decays">Whether weight decay applies.</param>
public sealed record FlatGroup(long Start, long End, double RateFactor, bool Decays);
