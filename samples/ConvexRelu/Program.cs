using System.Globalization;
using ConvexReluSample;
using Microsoft.ML;

CultureInfo.DefaultThreadCurrentCulture = CultureInfo.CurrentCulture = CultureInfo.InvariantCulture;
if (args.Length > 0)
{
    Console.Error.WriteLine("Usage: ConvexRelu, without arguments; the picture goes to convex-relu-output in the current folder");
    return 2;
}

try
{
    var output = Directory.CreateDirectory("convex-relu-output").FullName;
    var ml = new MLContext(seed: 1);
    Digits.Run(ml, output);
    Console.WriteLine();
    DecisionRegions.Run(ml, Path.Combine(output, "decision-regions.png"));
    return 0;
}
catch (Exception failure)
{
    Console.Error.WriteLine($"ConvexRelu failed: {failure.GetBaseException().Message}");
    return 1;
}
