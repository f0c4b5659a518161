using System.Runtime.CompilerServices;

namespace MlNetMlp.Scoring;

/// <summary>What a dense kernel does with a finished sum before storing it, while it is still in a register.</summary>
internal unsafe interface IFinish
{
    /// <summary>Whether doing a row twice gives the same as doing it once.</summary>
    static abstract bool Repeats { get; }

    static abstract V Apply<L, V>(V sum, float* to)
        where L : struct, ILanes<V>
        where V : struct;
}

/// <summary>Stores the sum through a map.</summary>
internal readonly unsafe struct StoreThrough<TMap> : IFinish
    where TMap : struct, IMap
{
    public static bool Repeats => true;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Apply<L, V>(V sum, float* to)
        where L : struct, ILanes<V>
        where V : struct => TMap.Apply<L, V>(sum);
}

/// <summary>Adds the sum to what is there: a residual connection.</summary>
internal readonly unsafe struct AddTo : IFinish
{
    public static bool Repeats => false;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Apply<L, V>(V sum, float* to)
        where L : struct, ILanes<V>
        where V : struct => L.Add(L.Load(to), sum);
}
