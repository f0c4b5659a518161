using System.Runtime.CompilerServices;

namespace MlNetMlp.Scoring;

/// <content>The functions that random features are made of, beside those of trained networks.</content>
internal static partial class ActivationMath
{
    internal readonly struct Gaussian : IMap
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static V Apply<L, V>(V x)
            where L : struct, ILanes<V>
            where V : struct => ExpOfNegative<L, V>(L.Multiply(L.Multiply(x, x), L.Create(-0.5f)));
    }

    /// <summary>x = n pi + r with |r| at most pi / 2: the sine of r, with the other sign where n is odd.</summary>
    internal readonly struct Sine : IMap
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static V Apply<L, V>(V x)
            where L : struct, ILanes<V>
            where V : struct
        {
            x = L.WithSign(Bounded<L, V>(x), x);
            V rounder = L.Create(12582912f);
            V shifted = L.MultiplyAdd(x, L.Create(InversePi), rounder);
            V r = WithoutPis<L, V>(x, L.Subtract(shifted, rounder));
            return L.NegateOdd(SineOfRest<L, V>(r), shifted);
        }
    }

    /// <summary>|x| = (n + 1/2) pi + r with |r| at most pi / 2: the sine of r, with the other sign where n is even.</summary>
    internal readonly struct Cosine : IMap
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static V Apply<L, V>(V x)
            where L : struct, ILanes<V>
            where V : struct
        {
            x = Bounded<L, V>(x);
            V rounder = L.Create(12582912f);
            V shifted = L.Add(L.MultiplyAdd(x, L.Create(InversePi), L.Create(-0.5f)), rounder);
            V r = WithoutPis<L, V>(x, L.Add(L.Subtract(shifted, rounder), L.Create(0.5f)));
            return L.NegateOdd(SineOfRest<L, V>(L.Subtract(L.Create(0), r)), shifted);
        }
    }

    internal readonly struct Step : IMap
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static V Apply<L, V>(V x)
            where L : struct, ILanes<V>
            where V : struct
        {
            V zero = L.Create(0);

            // What is neither above nor below is 0 of either sign, or NaN.
            return L.Select(L.Less(zero, x), L.Create(1), L.Select(L.Less(x, zero), zero, L.Add(x, zero)));
        }
    }

    /// <summary>
    /// relu(x) + log(1 + u) with u = exp(-|x|), and log(1 + u) = 2 artanh(s) with s = u / (2 + u) at most 1/3: s + s^3 q(s^2) with q minimax
    /// (relative error 5e-9).
    /// </summary>
    internal readonly struct Softplus : IMap
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static V Apply<L, V>(V x)
            where L : struct, ILanes<V>
            where V : struct
        {
            V u = ExpOfNegative<L, V>(L.Subtract(L.Create(0), L.Abs(x)));
            V s = L.Divide(u, L.Add(u, L.Create(2)));
            V square = L.Multiply(s, s);
            V q = L.MultiplyAdd(L.Create(0.1400599326f), square, L.Create(0.1400090271f));
            q = L.MultiplyAdd(q, square, L.Create(0.2001076361f));
            q = L.MultiplyAdd(q, square, L.Create(0.3333320814f));
            V half = L.MultiplyAdd(L.Multiply(q, square), s, s);
            return L.Add(Relu.Apply<L, V>(x), L.Add(half, half));
        }
    }

    private const float InversePi = 0.318309886f;

    /// <summary>|x| up to 10,000,000, where floats are whole numbers, so that any sine is as good as another further out.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static V Bounded<L, V>(V x)
        where L : struct, ILanes<V>
        where V : struct
    {
        V far = L.Create(1e7f);
        V a = L.Abs(x);
        return L.Select(L.Less(far, a), far, a);
    }

    /// <summary>x - k pi, with pi in three parts, of which the first product is exact.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static V WithoutPis<L, V>(V x, V k)
        where L : struct, ILanes<V>
        where V : struct
    {
        V r = L.MultiplyAdd(k, L.Create(-3.14159274f), x);
        r = L.MultiplyAdd(k, L.Create(8.74227766e-8f), r);
        return L.MultiplyAdd(k, L.Create(3.55271368e-15f), r);
    }

    /// <summary>sin(r) for |r| up to pi / 2: r + r^3 q(r^2) with q minimax (relative error 6e-9).</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static V SineOfRest<L, V>(V r)
        where L : struct, ILanes<V>
        where V : struct
    {
        V square = L.Multiply(r, r);
        V q = L.MultiplyAdd(L.Create(2.605481502e-6f), square, L.Create(-0.0001980947492f));
        q = L.MultiplyAdd(q, square, L.Create(0.008333064611f));
        q = L.MultiplyAdd(q, square, L.Create(-0.1666665949f));
        return L.MultiplyAdd(L.Multiply(q, square), r, r);
    }
}
