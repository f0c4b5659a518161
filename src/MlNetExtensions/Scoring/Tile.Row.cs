using System.Runtime.CompilerServices;

namespace MlNetMlp.Scoring;

/// <content>The loops for a row on its own.</content>
internal static unsafe partial class Tile<L, V, TFinish>
{
    /// <summary>Eight sums, four at each of two places; stored side by side.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void OneByEight(float* weights, float* next, int width, float* bias, int inputs, float* x, float* y)
    {
        V sum0 = L.Load(bias);
        V sum1 = L.Load(bias + L.Count);
        V sum2 = L.Load(bias + (2 * L.Count));
        V sum3 = L.Load(bias + (3 * L.Count));
        V sum4 = L.Load(bias + (4 * L.Count));
        V sum5 = L.Load(bias + (5 * L.Count));
        V sum6 = L.Load(bias + (6 * L.Count));
        V sum7 = L.Load(bias + (7 * L.Count));
        for (int k = 0; k < inputs; k++, weights += width, next += width)
        {
            V value = L.Create(x[k]);
            sum0 = L.MultiplyAdd(value, L.Load(weights), sum0);
            sum1 = L.MultiplyAdd(value, L.Load(weights + L.Count), sum1);
            sum2 = L.MultiplyAdd(value, L.Load(weights + (2 * L.Count)), sum2);
            sum3 = L.MultiplyAdd(value, L.Load(weights + (3 * L.Count)), sum3);
            sum4 = L.MultiplyAdd(value, L.Load(next), sum4);
            sum5 = L.MultiplyAdd(value, L.Load(next + L.Count), sum5);
            sum6 = L.MultiplyAdd(value, L.Load(next + (2 * L.Count)), sum6);
            sum7 = L.MultiplyAdd(value, L.Load(next + (3 * L.Count)), sum7);
        }

        Store4(y, sum0, sum1, sum2, sum3);
        Store4(y + (4 * L.Count), sum4, sum5, sum6, sum7);
    }

    /// <summary>Four sums.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void OneByFour(float* weights, int width, float* bias, int inputs, float* x, float* y)
    {
        V sum0 = L.Load(bias);
        V sum1 = L.Load(bias + L.Count);
        V sum2 = L.Load(bias + (2 * L.Count));
        V sum3 = L.Load(bias + (3 * L.Count));
        for (int k = 0; k < inputs; k++, weights += width)
        {
            V value = L.Create(x[k]);
            sum0 = L.MultiplyAdd(value, L.Load(weights), sum0);
            sum1 = L.MultiplyAdd(value, L.Load(weights + L.Count), sum1);
            sum2 = L.MultiplyAdd(value, L.Load(weights + (2 * L.Count)), sum2);
            sum3 = L.MultiplyAdd(value, L.Load(weights + (3 * L.Count)), sum3);
        }

        Store4(y, sum0, sum1, sum2, sum3);
    }

    /// <summary>Two sums.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void OneByTwo(float* weights, int width, float* bias, int inputs, float* x, float* y)
    {
        V sum0 = L.Load(bias);
        V sum1 = L.Load(bias + L.Count);
        for (int k = 0; k < inputs; k++, weights += width)
        {
            V value = L.Create(x[k]);
            sum0 = L.MultiplyAdd(value, L.Load(weights), sum0);
            sum1 = L.MultiplyAdd(value, L.Load(weights + L.Count), sum1);
        }

        Store2(y, sum0, sum1);
    }

    /// <summary>One sum.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void OneByOne(float* weights, int width, float* bias, int inputs, float* x, float* y)
    {
        V sum0 = L.Load(bias);
        for (int k = 0; k < inputs; k++, weights += width)
        {
            V value = L.Create(x[k]);
            sum0 = L.MultiplyAdd(value, L.Load(weights), sum0);
        }

        Store1(y, sum0);
    }
}
