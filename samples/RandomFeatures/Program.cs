using System.Globalization;
using Microsoft.ML;
using RandomFeatures;

CultureInfo.DefaultThreadCurrentCulture = CultureInfo.CurrentCulture = CultureInfo.InvariantCulture;
var count = 300_000;
if (args.Length > 1 || (args.Length == 1 && !(int.TryParse(args[0], CultureInfo.InvariantCulture, out count) && count is >= 1000 and <= 1_000_000_000)))
{
    Console.Error.WriteLine("Usage: RandomFeatures [rows of the generated stream, 1000 or more; 300000 by default]");
    return 2;
}

try
{
    var ml = new MLContext(seed: 1);
    Frequencies.Run(ml);
    Console.WriteLine();
    Sets.Run(ml);
    Console.WriteLine();
    ForestCover.Run(ml);
    Console.WriteLine();
    GeneratedRows.Run(ml, count);
    return 0;
}
catch (Exception failure)
{
    Console.Error.WriteLine($"RandomFeatures failed: {failure.GetBaseException().Message}");
    return 1;
}
