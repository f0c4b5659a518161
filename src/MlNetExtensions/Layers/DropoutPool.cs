using MlNetMlp.Runtime;
using TorchSharp;
using static TorchSharp.torch;

namespace MlNetMlp.Layers;

/// <summary>
/// Dropout whose masks are parts of one pool, each from a place of its own: drawing a number for each value in each step takes a quarter of the time of a small network. The pool is
/// drawn once, and which of it is left out is decided anew where the share changes.
/// </summary>
public sealed class DropoutPool : IDisposable
{
    private const long MostValues = 1 << 22;
    private const long LeastValues = 1 << 16;
    private const int MasksInPool = 32;

    // What a vector may reach beyond the end of the last mask.
    private const int RoomBehind = 16;

    private readonly Tensor _uniforms;
    private readonly Tensor _kept;
    private readonly Random _places;
    private double _share = -1;

    /// <summary>Draws a pool.</summary>
    /// <param name="largest">Values of the largest mask.</param>
    /// <param name="random">Where it draws from.</param>
    /// <param name="seed">Decides the places of masks.</param>
    public DropoutPool(long largest, Generator random, int seed)
    {
        ArgumentNullException.ThrowIfNull(random);
        var size = Math.Max(2 * largest, Math.Clamp(MasksInPool * largest, LeastValues, MostValues));
        _uniforms = empty(size + RoomBehind, device: random.device).uniform_(0, 1, random).DetachFromDisposeScope();
        _kept = empty_like(_uniforms).DetachFromDisposeScope();
        _places = new Random(seed);
    }

    /// <summary>Share of the values that are left out, in [0, 1).</summary>
    public double Share
    {
        get => _share;
        set
        {
            if (_share == value)
                return;
            _share = value;
            using var scope = NewDisposeScope();
            _kept.copy_(_uniforms.IsAbove(value));
            _kept.Scale(1 / (1 - value));
        }
    }

    /// <summary>Leaves some values out, and scales the others up so that the mean stays.</summary>
    /// <param name="values">The values, no more than the largest mask has.</param>
    /// <returns>The values themselves where nothing is left out, else new ones.</returns>
    public Tensor LeaveOut(Tensor values)
    {
        ArgumentNullException.ThrowIfNull(values);
        if (_share <= 0)
            return values;
        var count = values.numel();
        return values.mul(_kept.narrow(0, Place(count), count).view(values.shape));
    }

    /// <summary>Draws a mask in this process's memory, with room for a vector behind it.</summary>
    /// <param name="count">Its values, no more than the largest mask has.</param>
    /// <returns>What values are multiplied by, or null where nothing is left out.</returns>
    internal unsafe float* Draw(long count) => _share <= 0 ? null : TensorMemory.Address(_kept) + Place(count);

    /// <summary>Releases the pool.</summary>
    public void Dispose()
    {
        _uniforms.Dispose();
        _kept.Dispose();
    }

    private long Place(long count) => _places.NextInt64(_kept.shape[0] - RoomBehind - count + 1);
}
