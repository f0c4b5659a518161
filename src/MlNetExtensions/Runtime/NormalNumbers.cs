namespace MlNetMlp.Runtime;

/// <summary>Normal random numbers of .NET's generator, for generated rows.</summary>
public static class NormalNumbers
{
    /// <summary>Draws from N(0, 1), of two even numbers (Box and Muller, 1958).</summary>
    /// <param name="random">The generator.</param>
    /// <returns>The number.</returns>
    public static double NextNormal(this Random random)
    {
        ArgumentNullException.ThrowIfNull(random);
        return Math.Sqrt(-2 * Math.Log(1 - random.NextDouble())) * Math.Cos(2 * Math.PI * random.NextDouble());
    }
}
