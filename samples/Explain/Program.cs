using System.Globalization;
using Explain;
using Microsoft.ML;
using MlNetMlp.Pictures;

CultureInfo.DefaultThreadCurrentCulture = CultureInfo.CurrentCulture = CultureInfo.InvariantCulture;
if (args.Length > 0)
{
    Console.Error.WriteLine("Usage: Explain (without arguments; writes to ./explain-output)");
    return 2;
}

try
{
    var ml = new MLContext(seed: 1);
    var report = new ExplanationReport("Explained predictions");
    var folder = Directory.CreateDirectory("explain-output").FullName;
    BreastCancer.Run(ml, report, folder);
    Digits.Run(ml, report);
    var path = Path.Combine(folder, "report.html");
    report.Save(path);
    Console.WriteLine(path);
    return 0;
}
catch (Exception failure)
{
    Console.Error.WriteLine($"Explain failed: {failure.GetBaseException().Message}");
    return 1;
}
