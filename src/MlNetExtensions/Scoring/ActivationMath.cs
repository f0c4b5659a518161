using System.Runtime.CompilerServices;

namespace MlNetMlp.Scoring;

/// <summary>A function of one value, written for whole vectors.</summary>
internal interface IMap
{
    static abstract V Apply<L, V>(V x)
        where L : struct, ILanes<V>
        where V : struct;
}

/// <summary>The functions behind <see cref="Activation"/>. Comparisons choose the bound, so NaN, which compares false, survives.</summary>
internal static partial class ActivationMath
{
    internal readonly struct Identity : IMap
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static V Apply<L, V>(V x)
            where L : struct, ILanes<V>
            where V : struct => x;
    }

    internal readonly struct Relu : IMap
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static V Apply<L, V>(V x)
            where L : struct, ILanes<V>
            where V : struct
        {
            V zero = L.Create(0);
            return L.Select(L.Less(x, zero), zero, x);
        }
    }

    /// <summary>
    /// relu(x) - a * P(-a) with a = |x| and P the normal distribution function: the part that needs approximating is then below 0.17 and
    /// fades, so the last subtraction alone decides the rounding. P(-a) = exp(-a^2 / 2) * g(u) with u = 1 / (1 + 0.35 a) and g the
    /// minimax polynomial (relative error 2.5e-7) of erfcx(a / sqrt(2)) / 2.
    /// </summary>
    internal readonly struct Gelu : IMap
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static V Apply<L, V>(V x)
            where L : struct, ILanes<V>
            where V : struct
        {
            V far = L.Create(14);
            V a = L.Abs(x);
            a = L.Select(L.Less(far, a), far, a);
            V u = L.Divide(L.Create(1), L.MultiplyAdd(L.Create(0.35f), a, L.Create(1)));
            V g = L.MultiplyAdd(L.Create(0.04749689271f), u, L.Create(-0.1957849373f));
            g = L.MultiplyAdd(g, u, L.Create(0.2290836784f));
            g = L.MultiplyAdd(g, u, L.Create(-0.005670769266f));
            g = L.MultiplyAdd(g, u, L.Create(0.1494932145f));
            g = L.MultiplyAdd(g, u, L.Create(0.1354877259f));
            g = L.MultiplyAdd(g, u, L.Create(0.1398943206f));
            V density = ExpOfNegative<L, V>(L.Multiply(L.Multiply(a, a), L.Create(-0.5f)));
            V tail = L.Multiply(L.Multiply(a, u), L.Multiply(g, density));
            return L.Subtract(Relu.Apply<L, V>(x), tail);
        }
    }

    /// <summary>relu(x) - a * sigmoid(-a) with a = |x|; the part subtracted is below 0.28, so the last rounding decides.</summary>
    internal readonly struct Silu : IMap
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static V Apply<L, V>(V x)
            where L : struct, ILanes<V>
            where V : struct
        {
            V far = L.Create(100);
            V a = L.Abs(x);
            a = L.Select(L.Less(far, a), far, a);
            V decay = ExpOfNegative<L, V>(L.Subtract(L.Create(0), a));
            V tail = L.Divide(L.Multiply(a, decay), L.Add(L.Create(1), decay));
            return L.Subtract(Relu.Apply<L, V>(x), tail);
        }
    }

    /// <summary>An odd polynomial near zero, where 1 - exp(-2a) would cancel; beyond, (1 - exp(-2a)) / (1 + exp(-2a)).</summary>
    internal readonly struct Tanh : IMap
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static V Apply<L, V>(V x)
            where L : struct, ILanes<V>
            where V : struct
        {
            V a = L.Abs(x);
            V square = L.Multiply(a, a);
            V near = L.MultiplyAdd(L.Create(-0.005717046385f), square, L.Create(0.02065058861f));
            near = L.MultiplyAdd(near, square, L.Create(-0.05374349853f));
            near = L.MultiplyAdd(near, square, L.Create(0.1333149129f));
            near = L.MultiplyAdd(near, square, L.Create(-0.3333328393f));
            near = L.MultiplyAdd(L.Multiply(near, square), a, a);
            V one = L.Create(1);
            V decay = ExpOfNegative<L, V>(L.Multiply(a, L.Create(-2)));
            V far = L.Divide(L.Subtract(one, decay), L.Add(one, decay));
            return L.WithSign(L.Select(L.Less(a, L.Create(0.625f)), near, far), x);
        }
    }

    /// <summary>exp(-|x|) is at most 1, so neither branch overflows.</summary>
    internal readonly struct Sigmoid : IMap
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static V Apply<L, V>(V x)
            where L : struct, ILanes<V>
            where V : struct
        {
            V zero = L.Create(0);
            V one = L.Create(1);
            V decay = ExpOfNegative<L, V>(L.Subtract(zero, L.Abs(x)));
            return L.Divide(L.Select(L.Less(x, zero), decay, one), L.Add(one, decay));
        }
    }

    /// <summary>Beyond 1e9 the bound is reached in float, and the square would overflow further out.</summary>
    internal readonly struct SmoothClip : IMap
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static V Apply<L, V>(V x)
            where L : struct, ILanes<V>
            where V : struct
        {
            V far = L.Create(1e9f);
            V a = L.Abs(x);
            a = L.Select(L.Less(far, a), far, a);
            V third = L.Multiply(a, L.Create(1f / 3));
            V root = L.Sqrt(L.MultiplyAdd(third, third, L.Create(1)));
            return L.WithSign(L.Divide(a, root), x);
        }
    }

    /// <summary>
    /// exp(x) for x up to 0, within 2 units of the last place; below -87, where floats end, exp(-87). x = n ln 2 + r with |r| at most
    /// ln 2 / 2, ln 2 in two parts so that r is exact; exp(r) by its minimax polynomial (relative error 3e-9).
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static V ExpOfNegative<L, V>(V x)
        where L : struct, ILanes<V>
        where V : struct
    {
        V lowest = L.Create(-87);
        x = L.Select(L.Less(x, lowest), lowest, x);

        // Adding 1.5 * 2^23 leaves no bits for a fraction, so the sum is rounded to a whole number, which sits in its low bits.
        V rounder = L.Create(12582912f);
        V shifted = L.MultiplyAdd(x, L.Create(1.44269504f), rounder);
        V n = L.Subtract(shifted, rounder);
        V r = L.MultiplyAdd(n, L.Create(-0.693359375f), x);
        r = L.MultiplyAdd(n, L.Create(2.12194440e-4f), r);
        V p = L.MultiplyAdd(L.Create(0.001395060152f), r, L.Create(0.008368953524f));
        p = L.MultiplyAdd(p, r, L.Create(0.04166620415f));
        p = L.MultiplyAdd(p, r, L.Create(0.1666651831f));
        p = L.MultiplyAdd(p, r, L.Create(0.5000000096f));
        p = L.MultiplyAdd(L.Multiply(p, r), r, L.Add(r, L.Create(1)));
        return L.Multiply(p, L.PowerOfTwo(shifted));
    }
}
