using System.Runtime.CompilerServices;

namespace MlNetMlp.Scoring;

/// <summary>
/// y = finish(W x + b) with an output in every lane. Weights lie in panels of 64 outputs, [inputs][outputs of the panel] each, so that a
/// kernel reads them front to back. Every output is one chain, bias first and then the inputs in order, whatever the tile: so a row's
/// result has the same bits alone and in any batch. A chain waits for itself at each addition; tiles run enough of them side by side.
/// </summary>
internal static unsafe class PanelKernel<L, V, TFinish>
    where L : struct, ILanes<V>
    where V : struct
    where TFinish : struct, IFinish
{
    private const int PanelWidth = PanelWeights.PanelWidth;

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Run(PanelWeights weights, float* x, int xStride, float* y, int yStride, int rows)
    {
        int padded = weights.PaddedOutputs;
        int inputs = weights.Inputs;
        int tiled = TFinish.Repeats && rows > 4 ? rows : rows & ~3;
        fixed (float* bias = &weights.Bias.First, panels = &weights.Panels.First)
        {
            for (int first = 0; first < padded && tiled > 0; first += PanelWidth)
            {
                float* panel = panels + ((long)first * inputs);
                Panel(panel, Math.Min(PanelWidth, padded - first), bias + first, inputs, x, xStride, y + first, yStride, tiled);
            }

            for (int row = tiled; row < rows; row++)
                Row(panels, padded, bias, inputs, x + ((long)row * xStride), y + ((long)row * yStride));
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Panel(float* panel, int width, float* bias, int inputs, float* x, int xStride, float* y, int yStride, int rows)
    {
        int column = 0;
        if (L.TileVectors >= 4)
        {
            for (; column + (4 * L.Count) <= width; column += 4 * L.Count)
                Tile<L, V, TFinish>.FourByFour(panel + column, width, bias + column, inputs, x, xStride, y + column, yStride, rows);
        }

        for (; column + (2 * L.Count) <= width; column += 2 * L.Count)
            Tile<L, V, TFinish>.FourByTwo(panel + column, width, bias + column, inputs, x, xStride, y + column, yStride, rows);
        for (; column < width; column += L.Count)
        {
            if (rows >= 8 && (TFinish.Repeats || rows % 8 == 0))
                Tile<L, V, TFinish>.EightByOne(panel + column, width, bias + column, inputs, x, xStride, y + column, yStride, rows);
            else
                Tile<L, V, TFinish>.FourByOne(panel + column, width, bias + column, inputs, x, xStride, y + column, yStride, rows);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Row(float* panels, int padded, float* bias, int inputs, float* x, float* y)
    {
        int first = 0;
        if (8 * L.Count > PanelWidth)
        {
            for (; first + (2 * PanelWidth) <= padded; first += 2 * PanelWidth)
            {
                float* panel = panels + ((long)first * inputs);
                float* next = panel + ((long)PanelWidth * inputs);
                Tile<L, V, TFinish>.OneByEight(panel, next, PanelWidth, bias + first, inputs, x, y + first);
            }
        }

        for (; first < padded; first += PanelWidth)
        {
            float* panel = panels + ((long)first * inputs);
            int width = Math.Min(PanelWidth, padded - first);
            int column = 0;
            for (; column + (8 * L.Count) <= width; column += 8 * L.Count)
            {
                float* half = panel + column + (4 * L.Count);
                Tile<L, V, TFinish>.OneByEight(panel + column, half, width, bias + first + column, inputs, x, y + first + column);
            }

            for (; column + (4 * L.Count) <= width; column += 4 * L.Count)
                Tile<L, V, TFinish>.OneByFour(panel + column, width, bias + first + column, inputs, x, y + first + column);
            for (; column + (2 * L.Count) <= width; column += 2 * L.Count)
                Tile<L, V, TFinish>.OneByTwo(panel + column, width, bias + first + column, inputs, x, y + first + column);
            for (; column < width; column += L.Count)
                Tile<L, V, TFinish>.OneByOne(panel + column, width, bias + first + column, inputs, x, y + first + column);
        }
    }
}
