using System.Globalization;
using Explain;
using Microsoft.ML;
using MlNetMlp.Pictures;

CultureInfo.DefaultThreadCurrentCulture = CultureInfo.CurrentCulture = CultureInfo.InvariantCulture;
var ml = new MLContext(seed: 1);
var report = new ExplanationReport("Explained predictions");
BreastCancer.Run(ml, report);
Digits.Run(ml, report);
var folder = Directory.CreateDirectory("explain-output").FullName;
var path = Path.Combine(folder, "report.html");
report.Save(path);
Console.WriteLine(path);
