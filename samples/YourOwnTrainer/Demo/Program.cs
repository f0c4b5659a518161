using System.Diagnostics;
using System.Globalization;
using Microsoft.ML;
using Microsoft.ML.Data;
using YourOwnTrainer;

CultureInfo.CurrentCulture = CultureInfo.InvariantCulture;
var ml = new MLContext(seed: 1);

// The second process: it knows a file and ML.NET, and nothing of the trainer but that its assembly is beside it.
if (args is ["score", var modelFile])
{
    foreach (var score in Scores(ml.Model.Load(modelFile, out _).Transform(Digits()).GetColumn<float[]>("Score")))
        Console.WriteLine(score);
    return 0;
}

var digits = Digits();
var scaled = ml.Transforms.Conversion.MapValueToKey("Label").Append(ml.Transforms.NormalizeMinMax("Features"));

var linear = ml.MulticlassClassification.Trainers.LbfgsMaximumEntropy();
var features = ml.Transforms.KMeansFeatures("Features", new KMeansFeatures.Options { Clusters = 256, StandardizeInputs = false });
var trainer = ml.MulticlassClassification.Trainers.QuadraticNetwork(new QuadraticNetwork.Options { LearningRate = 0.003, WeightDecay = 1 });

Console.WriteLine("Handwritten digits, share of right answers in three parts that were not trained on:");
Judge("ML.NET's linear model", scaled.Append(linear));
Judge("the same behind KMeansFeatures", scaled.Append(features).Append(ml.Transforms.NormalizeMeanVariance("Features")).Append(linear));
Judge("QuadraticNetwork", scaled.Append(trainer));

var model = scaled.Append(trainer).Fit(digits);
var file = Path.Combine(Path.GetTempPath(), $"digits-{Environment.ProcessId}.zip");
ml.Model.Save(model, digits.Schema, file);
var here = Scores(model.Transform(digits).GetColumn<float[]>("Score")).ToArray();
var there = Run("score", file);
File.Delete(file);
if (!here.SequenceEqual(there))
    throw new InvalidOperationException("The second process scores otherwise.");
Console.WriteLine($"\nSaved, loaded by a second process: the same {here.Length} scores, bit by bit.");

var first = ml.Data.TakeRows(digits, 1);
var told = ml.Transforms.ExplainPrediction(model).Fit(digits).Transform(first).GetColumn<float[]>("FeatureContributions").Single();
Console.WriteLine($"\nWhy the first image is a {first.GetColumn<float>("Label").Single()}: pixels that speak for it (+) and against it (-).");
var greatest = told.Max(Math.Abs);
foreach (var row in told.Chunk(8))
    Console.WriteLine(string.Join(' ', row.Select(value => value > 0.2 * greatest ? '+' : value < -0.2 * greatest ? '-' : '.')));
return 0;

IDataView Digits()
{
    TextLoader.Column[] columns = [new("Features", DataKind.Single, 0, 63), new("Label", DataKind.Single, 64)];
    return ml.Data.LoadFromTextFile(Path.Combine(AppContext.BaseDirectory, "data", "digits.csv"), columns, separatorChar: ',', hasHeader: true);
}

void Judge(string name, IEstimator<ITransformer> pipeline)
{
    var parts = ml.MulticlassClassification.CrossValidate(Digits(), pipeline, numberOfFolds: 3);
    Console.WriteLine($"  {name,-32}{parts.Average(part => part.Metrics.MicroAccuracy):0.0 %}");
}

static IEnumerable<string> Scores(IEnumerable<float[]> rows) => rows.SelectMany(row => row).Select(score => $"{BitConverter.SingleToUInt32Bits(score):x8}");

static string[] Run(params string[] arguments)
{
    var host = Environment.ProcessPath!;
    string[] program = Path.GetFileNameWithoutExtension(host) == "dotnet" ? [Environment.GetCommandLineArgs()[0]] : [];
    using var process = Process.Start(new ProcessStartInfo(host, [.. program, .. arguments]) { RedirectStandardOutput = true })!;
    var output = process.StandardOutput.ReadToEnd();
    process.WaitForExit();
    return process.ExitCode == 0 ? output.Split(Environment.NewLine, StringSplitOptions.RemoveEmptyEntries) : throw new InvalidOperationException("The second process failed.");
}
