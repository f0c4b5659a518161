namespace MlNetMlp.Scoring;

/// <summary>
/// The vector operations that the kernels are written in, once for each register width. <typeparamref name="V"/> is the machine's own
/// vector type and stays bare, since the compiler then keeps it in registers. Every operation rounds each lane as IEEE 754 says, so all
/// widths give the same bits.
/// </summary>
internal unsafe interface ILanes<V>
    where V : struct
{
    /// <summary>Floats per vector.</summary>
    static abstract int Count { get; }

    /// <summary>Vectors per row of a four-row tile whose sums, inputs and weights fit the machine's registers: 2 or 4.</summary>
    static abstract int TileVectors { get; }

    static abstract V Load(float* from);

    static abstract void Store(V value, float* to);

    static abstract V Create(float value);

    static abstract V Add(V left, V right);

    static abstract V Subtract(V left, V right);

    static abstract V Multiply(V left, V right);

    static abstract V Divide(V left, V right);

    /// <summary>left * right + addend, rounded once.</summary>
    static abstract V MultiplyAdd(V left, V right, V addend);

    static abstract V Sqrt(V value);

    static abstract V Abs(V value);

    /// <summary>All bits set where left is less than right; never where either is NaN.</summary>
    static abstract V Less(V left, V right);

    static abstract V Select(V mask, V whenSet, V whenClear);

    /// <summary>The magnitude, which must not be negative, with the sign of the other value.</summary>
    static abstract V WithSign(V magnitude, V sign);

    /// <summary>2^n where the value is 1.5 * 2^23 + n with n from -126 to 127: n then sits in the low bits.</summary>
    static abstract V PowerOfTwo(V shifted);

    /// <summary>The value, with the other sign where n is odd and the other argument is 1.5 * 2^23 + n.</summary>
    static abstract V NegateOdd(V value, V shifted);

    /// <summary>The first lanes as they are, zero in the others; any count, also negative or beyond the width.</summary>
    static abstract V Keep(V value, int count);

    /// <summary>The sum of sixteen lanes held in as many of the four vectors as that takes, always added in the same tree.</summary>
    static abstract float Sum16(V first, V second, V third, V fourth);
}

/// <summary>The instruction sets that a program can be compiled for.</summary>
internal enum VectorPath
{
    /// <summary>32 registers of 16 floats (AVX-512).</summary>
    Lanes512,

    /// <summary>16 registers of 8 floats (AVX2 and FMA).</summary>
    Lanes256,

    /// <summary>Registers of 4 floats: Arm64, and whatever else there is.</summary>
    Lanes128,
}
