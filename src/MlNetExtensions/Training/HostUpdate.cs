using System.Numerics;

namespace MlNetMlp.Training;

// One update of as many coordinates as a vector register holds: θ, its gradient, and up to two numbers of state.
internal interface IHostUpdate<T>
    where T : unmanaged
{
    void Apply(ref Vector<T> value, Vector<T> gradient, ref Vector<T> first, ref Vector<T> second);
}

// The vectors of an update, as addresses in this process's memory. An update with one vector of state gives it twice.
internal readonly record struct HostVectors(nint Values, nint Gradient, nint First, nint Second);

// Runs an update in one pass over memory. Every coordinate is computed on its own by the same operations, whatever the width of the
// register, so the result is the same on every machine and at every run.
internal static class HostUpdate
{
    public static unsafe void Run<T, TUpdate>(HostVectors vectors, long start, long end, TUpdate update)
        where T : unmanaged
        where TUpdate : struct, IHostUpdate<T>
    {
        T* values = (T*)vectors.Values, gradient = (T*)vectors.Gradient, first = (T*)vectors.First, second = (T*)vectors.Second;
        var two = first != second;
        var i = (nint)start;
        for (var last = (nint)end - Vector<T>.Count; i <= last; i += Vector<T>.Count)
        {
            var value = Vector.Load(values + i);
            var a = Vector.Load(first + i);
            var b = two ? Vector.Load(second + i) : default;
            update.Apply(ref value, Vector.Load(gradient + i), ref a, ref b);
            Vector.Store(value, values + i);
            Vector.Store(a, first + i);
            if (two)
                Vector.Store(b, second + i);
        }

        // The rest goes through the same code in a register of which only a part is used.
        var rest = (int)((nint)end - i);
        if (rest <= 0)
            return;
        var tail = (Value: Part(values + i, rest), First: Part(first + i, rest), Second: Part(second + i, rest));
        update.Apply(ref tail.Value, Part(gradient + i, rest), ref tail.First, ref tail.Second);
        for (var j = 0; j < rest; j++)
        {
            values[i + j] = tail.Value[j];
            first[i + j] = tail.First[j];
            if (two)
                second[i + j] = tail.Second[j];
        }
    }

    private static unsafe Vector<T> Part<T>(T* source, int length)
        where T : unmanaged
    {
        Span<T> padded = stackalloc T[Vector<T>.Count];
        padded.Clear();
        new ReadOnlySpan<T>(source, length).CopyTo(padded);
        return new Vector<T>(padded);
    }
}
