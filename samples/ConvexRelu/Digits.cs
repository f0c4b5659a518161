using System.Diagnostics;
using Microsoft.ML;
using Microsoft.ML.Data;
using MlNetMlp.Convex;
using MlNetMlp.Interop;
using MlNetMlp.Tabular;

namespace ConvexReluSample;

/// <summary>Ten digits: ten iterations of convex training beside an MLP, and what the certificate says, also of a model that was loaded.</summary>
internal static class Digits
{
    public static void Run(MLContext ml, string folder)
    {
        TextLoader.Column[] columns = [new("Features", DataKind.Single, 0, 63), new("Digit", DataKind.Single, 64)];
        var path = Path.Combine(AppContext.BaseDirectory, "data", "digits.csv");
        var all = ml.Data.LoadFromTextFile(path, columns, separatorChar: ',', hasHeader: true);
        var parts = ml.Data.TrainTestSplit(ml.Transforms.Conversion.MapValueToKey("Label", "Digit").Fit(all).Transform(all), testFraction: 0.3, seed: 1);
        var (train, test) = (ml.Data.Cache(parts.TrainSet), ml.Data.Cache(parts.TestSet));
        var trainers = ml.MulticlassClassification.Trainers;

        Console.WriteLine($"{"digits, test rows",-52}{"accuracy",10}{"log loss",10}{"fit",9}");
        Fit("ScaledMlp", trainers.ScaledMlp(new ScaledMlp.Options()));
        Fit("SampledConvexRelu", trainers.SampledConvexRelu());
        var options = new ConvexRelu.Options { SampledPatterns = 32, Beta = 3e-4, ValidationFraction = 0 };
        var model = Fit("ConvexRelu, 10 iterations", trainers.ConvexRelu(options with { MaxIterations = 10 }));
        Explain(model);
        var longer = Fit("ConvexRelu, 200 iterations", trainers.ConvexRelu(options with { MaxIterations = 200 }));
        Explain(longer);

        var zip = Path.Combine(folder, "digits.zip");
        ModelFile.Save(ml, longer, train.Schema, zip);
        var loaded = new MLContext().Model.Load(zip, out _);
        Console.WriteLine($"The certificate of the loaded model is {(ConvexRelu.GetCertificate(loaded) == ConvexRelu.GetCertificate(longer) ? "the same" : "another")}.");

        ITransformer Fit(string name, IEstimator<ITransformer> trainer)
        {
            var clock = Stopwatch.StartNew();
            var fitted = trainer.Fit(train);
            var seconds = clock.Elapsed.TotalSeconds;
            var metrics = ml.MulticlassClassification.Evaluate(fitted.Transform(test));
            Console.WriteLine($"{name,-52}{metrics.MicroAccuracy,10:P1}{metrics.LogLoss,10:F3}{seconds,7:F1} s");
            return fitted;
        }
    }

    private static void Explain(ITransformer model)
    {
        var certificate = ConvexRelu.GetCertificate(model)!;
        Console.WriteLine(
            $"  {certificate.ActiveNeurons} units; objective of the network {certificate.NetworkObjective:F1}, of the convex program {certificate.ConvexObjective:F1}, "
            + $"at least {certificate.DualBound:F1} with these patterns; constraints violated by {certificate.ConeViolation:P1}");
    }
}
