namespace MlNetMlp.Explanations;

/// <summary>Nodes and weights of Gauss and Legendre on [0, 1]: n of them integrate polynomials of degree 2n − 1 exactly.</summary>
internal static class GaussLegendre
{
    /// <summary>Nodes and weights.</summary>
    /// <param name="count">n, at least 1.</param>
    /// <returns>The nodes, ascending, and their weights, whose sum is 1.</returns>
    public static (double[] Nodes, double[] Weights) Of(int count)
    {
        var (nodes, weights) = (new double[count], new double[count]);
        for (var i = 0; i < (count + 1) / 2; i++)
        {
            // Newton on the Legendre polynomial from Tricomi's estimate of its root, which is near enough for every n.
            var (x, slope) = (Math.Cos(Math.PI * (i + 0.75) / (count + 0.5)), 0.0);
            for (var step = 0; step < 100; step++)
            {
                (var value, slope) = Legendre(count, x);
                var move = value / slope;
                x -= move;
                if (Math.Abs(move) < 1e-15)
                    break;
            }

            slope = Legendre(count, x).Slope;
            (nodes[i], nodes[count - 1 - i]) = ((1 - x) / 2, (1 + x) / 2);
            weights[i] = weights[count - 1 - i] = 1 / ((1 - (x * x)) * slope * slope);
        }

        return (nodes, weights);
    }

    private static (double Value, double Slope) Legendre(int degree, double x)
    {
        var (previous, value) = (1.0, x);
        for (var k = 2; k <= degree; k++)
            (previous, value) = (value, (((2 * k) - 1) * x * value - ((k - 1) * previous)) / k);
        return (value, degree * ((x * value) - previous) / ((x * x) - 1));
    }
}
