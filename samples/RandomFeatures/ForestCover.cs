using System.Diagnostics;
using System.IO.Compression;
using Microsoft.ML;
using Microsoft.ML.Data;
using MlNetMlp.RandomFeatures;

namespace RandomFeatures;

/// <summary>Seven kinds of forest told apart by 54 features of the map, beside ML.NET's own trainers. Skipped where the data are not at hand.</summary>
internal static class ForestCover
{
    private const int TrainingRows = 11_340;
    private const int TestRows = 3_780;

    public static void Run(MLContext ml)
    {
        var path = Path.Combine(Environment.GetEnvironmentVariable("MLNETMLP_DATA") ?? Path.Combine("..", "shared", "data"), "covertype", "covertype_20k.csv.gz");
        if (!File.Exists(path))
        {
            Console.WriteLine($"forest cover: skipped, there is no {path}; set MLNETMLP_DATA to the folder of the data sets.");
            return;
        }

        var unpacked = Path.GetTempFileName();
        try
        {
            using (var from = new GZipStream(File.OpenRead(path), CompressionMode.Decompress))
            using (var to = File.Create(unpacked))
                from.CopyTo(to);
            Compare(ml, unpacked);
        }
        finally
        {
            File.Delete(unpacked);
        }
    }

    private static void Compare(MLContext ml, string path)
    {
        TextLoader.Column[] columns = [new("Features", DataKind.Single, 0, 53), new("Cover", DataKind.Single, 54)];
        var all = ml.Data.LoadFromTextFile(path, columns, separatorChar: ',', hasHeader: true);
        var keys = ml.Transforms.Conversion.MapValueToKey("Label", "Cover").Fit(all);

        // The official parts, both with as many rows of each class.
        var train = ml.Data.Cache(keys.Transform(ml.Data.TakeRows(all, TrainingRows)));
        var test = ml.Data.Cache(keys.Transform(ml.Data.TakeRows(ml.Data.SkipRows(all, TrainingRows), TestRows)));
        Console.WriteLine($"{"forest cover, 7 classes, test rows",-52}{"accuracy",10}{"log loss",10}{"fit",9}");
        Fit("SdcaMaximumEntropy", ml.Transforms.NormalizeMeanVariance("Features").Append(ml.MulticlassClassification.Trainers.SdcaMaximumEntropy()));
        Fit("FastTree, one against all", ml.MulticlassClassification.Trainers.OneVersusAll(ml.BinaryClassification.Trainers.FastTree()));
        var options = new RandomFeatureNetwork.Options { HiddenUnits = 1000 };
        Fit("RandomFeatureNetwork", ml.MulticlassClassification.Trainers.RandomFeatureNetwork(options));
        Fit("RandomFeatureNetwork, cross-entropy", ml.MulticlassClassification.Trainers.RandomFeatureNetwork(options with { Solver = RandomFeatureNetworkSolver.CrossEntropy }));
        Fit("RandomFeatureMap + SdcaMaximumEntropy", ml.Transforms.RandomFeatureMap("Random", "Features", units: 300).Append(
            ml.MulticlassClassification.Trainers.SdcaMaximumEntropy("Label", "Random", maximumNumberOfIterations: 20)));

        void Fit(string name, IEstimator<ITransformer> pipeline)
        {
            var clock = Stopwatch.StartNew();
            var model = pipeline.Fit(train);
            var seconds = clock.Elapsed.TotalSeconds;
            var metrics = ml.MulticlassClassification.Evaluate(model.Transform(test));
            Console.WriteLine($"{name,-52}{metrics.MicroAccuracy,10:P1}{metrics.LogLoss,10:F3}{seconds,7:F1} s");
        }
    }
}
