using System.Diagnostics;
using System.Globalization;
using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.Transforms;
using MlNetMlp.Tabular;
using BinaryTrainers = Microsoft.ML.BinaryClassificationCatalog.BinaryClassificationTrainers;
using MulticlassTrainers = Microsoft.ML.MulticlassClassificationCatalog.MulticlassClassificationTrainers;
using RegressionTrainers = Microsoft.ML.RegressionCatalog.RegressionTrainers;

namespace MlNetMlp.Bench;

/// <summary>
/// Trainers with their defaults over all public tables of at least 500 rows, on the splits that the tables come with. Methods that read no keys get them one-hot, and the median for missing
/// numbers where they cannot do with NaN.
/// </summary>
internal static class Tabular
{
    private const string Peer = "LightGbm";
    private const int WarmingRows = 200;

    private static readonly TabularMethod[] Methods =
    [
        Network("TabularNetwork", new()),
        Network("Fast", TabularNetwork.Options.Fast),
        new(Peer, (r, _, _) => r.LightGbm(), (b, _, _) => b.LightGbm(), (m, _, _, _) => m.LightGbm()),
        new("FastTree", (r, _, _) => r.FastTree(), (b, _, _) => b.FastTree(), (m, b, _, _) => m.OneVersusAll(b.FastTree())),
        new("ScaledMlp", (r, _, seed) => r.ScaledMlp(new ScaledMlp.Options { Seed = seed }), (b, _, seed) => b.ScaledMlp(new ScaledMlp.Options { Seed = seed }), (m, _, _, seed) => m.ScaledMlp(new ScaledMlp.Options { Seed = seed })) { NeedsNumbers = true },
        new("GradientBoostedNetwork", (r, _, _) => r.GradientBoostedNetwork(), (b, _, _) => b.GradientBoostedNetwork(), (m, _, _, _) => m.GradientBoostedNetwork()) { NeedsNumbers = true },
        new("RandomFeatureNetwork", (r, _, _) => r.RandomFeatureNetwork(), (b, _, _) => b.RandomFeatureNetwork(), (m, _, _, _) => m.RandomFeatureNetwork()) { NeedsNumbers = true },
        new("ConvexRelu", (r, _, _) => r.ConvexRelu(), (b, _, _) => b.ConvexRelu(), (m, _, _, _) => m.ConvexRelu()) { NeedsNumbers = true },
    ];

    private sealed record TabularMethod(
        string Name, Func<RegressionTrainers, TabularTable, int, IEstimator<ITransformer>> Regression, Func<BinaryTrainers, TabularTable, int, IEstimator<ITransformer>> Binary,
        Func<MulticlassTrainers, BinaryTrainers, TabularTable, int, IEstimator<ITransformer>> Multiclass)
    {
        /// <summary>Whether it reads keys, and not one-hot numbers.</summary>
        public bool ReadsKeys { get; init; }

        /// <summary>Whether it cannot do with NaN.</summary>
        public bool NeedsNumbers { get; init; }
    }

    /// <summary>What a fit gives: the measures of its task, of which the less the better, and seconds.</summary>
    private readonly record struct Result(double Error, double LogLoss, double Auc, double FitSeconds, double ScoreSeconds);

    private static TabularMethod Network(string name, TabularNetwork.Options options)
    {
        return new(name, (r, table, seed) => r.TabularNetwork(For(table, seed)), (b, table, seed) => b.TabularNetwork(For(table, seed)), (m, _, table, seed) => m.TabularNetwork(For(table, seed)))
        {
            ReadsKeys = true,
        };

        TabularNetwork.Options For(TabularTable table, int seed) =>
            options with { CategoricalColumns = [.. table.Keys], FeatureColumnName = table.Numbers > 0 ? "Features" : null, Seed = seed };
    }

    // Networks with other options, such as with=Members:8,Epochs:32.
    private static IEnumerable<TabularMethod> Variants(ILookup<string, string> options) => options["with"].Select(text => Network(text, OptionsOf(text)));

    private static TabularNetwork.Options OptionsOf(string text) => MlNetMlp.Methods.NetworkOptions.FromJson<TabularNetwork.Options>(
        "{" + string.Join(',', text.Split(',').Select(pair => pair.Split(':')).Select(pair => $"\"{pair[0]}\":{(char.IsAsciiLetter(pair[1][0]) && pair[1] is not ("true" or "false" or "null") ? $"\"{pair[1]}\"" : pair[1])}")) + "}");

    public static void Run(ILookup<string, string> options)
    {
        var folder = Choice.DataFolder;
        if (!Directory.Exists(folder))
        {
            Console.WriteLine($"tabular: there are no data in {folder}; set MLNETMLP_DATA.");
            return;
        }

        var sets = Choice.Of(options, "sets", "tabular", TabularSet.All, set => set.Name);
        var methods = Choice.Of(options, "methods", "tabular", [.. Methods, .. Variants(options)], method => method.Name);
        if (sets is null || methods is null)
            return;
        var seeds = options["seeds"].Select(word => int.Parse(word, CultureInfo.InvariantCulture)).FirstOrDefault(1);
        var most = options["rows"].Select(word => int.Parse(word, CultureInfo.InvariantCulture)).FirstOrDefault();
        var scratch = Directory.CreateTempSubdirectory("tabular").FullName;
        var results = new List<(TabularTable Table, Result[] Results)>();
        try
        {
            Console.WriteLine($"| data set | rows | {string.Join(" | ", methods.Select(method => method.Name))} |");
            Console.WriteLine($"| --- | --- |{string.Concat(methods.Select(_ => " --- |"))}");
            foreach (var set in sets)
            {
                var table = set.Read(new MLContext(1), folder, 0, most, scratch);
                if (results.Count == 0)
                    Array.ForEach(methods, method => Fit(method, set.Read(new MLContext(1), folder, 0, WarmingRows, scratch), 1));
                Console.Write($"| {set.Name} | {table.TrainRows} + {table.TestRows} |");
                results.Add((table, [.. methods.Select(method => Mean([.. Enumerable.Range(0, seeds).Select(seed => Fit(method, seed == 0 ? table : set.Read(new MLContext(1), folder, seed, most, scratch), seed + 1))], set.Task))]));
                Console.WriteLine();
            }
        }
        finally
        {
            Directory.Delete(scratch, recursive: true);
        }

        Summarize(methods, results);

    }

    private static Result Mean(Result[] results, TabularTask task)
    {
        var mean = new Result(results.Average(x => x.Error), results.Average(x => x.LogLoss), results.Average(x => x.Auc), results.Average(x => x.FitSeconds), results.Average(x => x.ScoreSeconds));
        Console.Write(task switch
        {
            TabularTask.Regression => $" {mean.Error:G4} ({mean.FitSeconds:F1} s) |",
            TabularTask.Binary => $" {100 * mean.Error:F2} / {mean.LogLoss:F4} / {mean.Auc:F4} ({mean.FitSeconds:F1} s) |",
            _ => $" {100 * mean.Error:F2} / {mean.LogLoss:F4} ({mean.FitSeconds:F1} s) |",
        });
        return mean;
    }

    private static void Summarize(TabularMethod[] methods, List<(TabularTable Table, Result[] Results)> results)
    {
        var peer = Array.FindIndex(methods, method => method.Name == Peer);
        var (measures, classes) = (new List<double[]>(), results.Where(x => x.Table.Classes > 0).ToArray());
        var numbers = results.Where(x => x.Table.Classes == 0).ToArray();
        Console.WriteLine("\nRMSE of regression; else errors in percent / log-loss in nats / area under the ROC curve of two classes; seconds of a fit.\n");
        Console.WriteLine($"| | {string.Join(" | ", methods.Select(method => method.Name))} |\n| --- |{string.Concat(methods.Select(_ => " --- |"))}");
        Line("mean rank", m => results.Average(x => Rank(x.Results, m, x.Table.Classes > 0)).ToString("F2", CultureInfo.InvariantCulture));
        Line("seconds, median", m => results.Select(x => x.Results[m].FitSeconds).Order().ElementAt(results.Count / 2).ToString("F1", CultureInfo.InvariantCulture));
        Line("scoring, µs a row, median", m => results.Select(x => 1e6 * x.Results[m].ScoreSeconds / x.Table.TestRows).Order().ElementAt(results.Count / 2).ToString("F1", CultureInfo.InvariantCulture));
        if (peer < 0)
            return;
        Line($"RMSE / that of {Peer}, geometric mean (won)", m => Ratio(numbers, x => x.Error, m));
        Line($"error / that of {Peer} (won)", m => Ratio(classes, x => x.Error, m));
        Line($"log-loss / that of {Peer} (won)", m => Ratio(classes, x => x.LogLoss, m));
        Line($"1 - AUC / that of {Peer} (won)", m => Ratio([.. classes.Where(x => x.Table.Set.Task == TabularTask.Binary)], x => 1 - x.Auc, m));

        void Line(string name, Func<int, string> cell) => Console.WriteLine($"| {name} | {string.Join(" | ", methods.Select((_, m) => cell(m)))} |");

        // A half row more or less keeps a ratio of two perfect results within bounds.
        string Ratio((TabularTable Table, Result[] Results)[] some, Func<Result, double> measure, int m) => some.Length == 0 ? "-" : string.Create(
            CultureInfo.InvariantCulture,
            $"{Math.Exp(some.Average(x => Math.Log((measure(x.Results[m]) + Least(x.Table)) / (measure(x.Results[peer]) + Least(x.Table))))):F3} ({some.Count(x => measure(x.Results[m]) < measure(x.Results[peer]))}/{some.Length})");

        static double Least(TabularTable table) => table.Classes == 0 ? 0 : 0.5 / table.TestRows;

        static double Rank(Result[] all, int m, bool isClass)
        {
            var rank = Place(x => x.Error);
            return isClass ? (rank + Place(x => x.LogLoss)) / 2 : rank;

            double Place(Func<Result, double> measure) => 1 + all.Count(x => measure(x) < measure(all[m])) + ((all.Count(x => measure(x) == measure(all[m])) - 1) / 2.0);
        }
    }

    private static Result Fit(TabularMethod method, TabularTable table, int seed)
    {
        var ml = new MLContext(seed);
        IEstimator<ITransformer> label = table.Set.Task switch
        {
            TabularTask.Regression => ml.Transforms.CopyColumns("Label", "Target"),
            TabularTask.Binary => ml.Transforms.Conversion.ConvertType("Label", "Target", DataKind.Boolean),
            _ => ml.Transforms.Conversion.MapValueToKey("Label", "Target", keyOrdinality: ValueToKeyMappingEstimator.KeyOrdinality.ByValue),
        };
        var prepare = label.Append(Inputs(ml, method, table));
        var trainer = table.Set.Task switch
        {
            TabularTask.Regression => method.Regression(ml.Regression.Trainers, table, seed),
            TabularTask.Binary => method.Binary(ml.BinaryClassification.Trainers, table, seed),
            _ => method.Multiclass(ml.MulticlassClassification.Trainers, ml.BinaryClassification.Trainers, table, seed),
        };
        var prepared = prepare.Fit(table.Train);
        var (train, test) = (ml.Data.Cache(prepared.Transform(table.Train)), ml.Data.Cache(prepared.Transform(table.Test)));
        train.Preview(1);
        var clock = Stopwatch.StartNew();
        var model = trainer.Fit(train);
        var fit = clock.Elapsed.TotalSeconds;
        var scored = model.Transform(test);
        Read<float>(test, "Target");
        clock.Restart();
        if (table.Set.Task == TabularTask.Multiclass)
            Read<VBuffer<float>>(scored, "Score");
        else
            Read<float>(scored, "Score");
        var score = clock.Elapsed.TotalSeconds;
        switch (table.Set.Task)
        {
            case TabularTask.Regression:
                return new(ml.Regression.Evaluate(scored).RootMeanSquaredError, 0, 0, fit, score);
            case TabularTask.Binary:
                // ML.NET's is in bits.
                var binary = ml.BinaryClassification.Evaluate(scored);
                return new(1 - binary.Accuracy, binary.LogLoss * Math.Log(2), binary.AreaUnderRocCurve, fit, score);
            default:
                var several = ml.MulticlassClassification.Evaluate(scored);
                return new(1 - several.MicroAccuracy, several.LogLoss, 0, fit, score);
        }
    }

    private static void Read<T>(IDataView rows, string column)
    {
        foreach (var _ in rows.GetColumn<T>(column))
        {
            // Reading is what is wanted.
        }
    }

    private static IEstimator<ITransformer> Inputs(MLContext ml, TabularMethod method, TabularTable table)
    {
        IEstimator<ITransformer> chain = ml.Transforms.CopyColumns("Same", "Target");
        if (method.ReadsKeys)
        {
            if (table.Keys.Length > 0)
                chain = chain.Append(ml.Transforms.Conversion.MapValueToKey([.. table.Keys.Select(key => new InputOutputColumnPair(key))]));
            return table.Numbers > 0 ? chain.Append(ml.Transforms.CopyColumns("Features", "Numbers")) : chain;
        }

        List<string> parts = [];
        if (table.Numbers > 0)
        {
            parts.Add("Numbers");
            if (method.NeedsNumbers)
                chain = chain.Append(ml.Transforms.ReplaceMissingValues("Numbers", replacementMode: MissingValueReplacingEstimator.ReplacementMode.Mean));
        }

        if (table.Keys.Length > 0)
        {
            chain = chain.Append(ml.Transforms.Categorical.OneHotEncoding([.. table.Keys.Select(key => new InputOutputColumnPair(key))]));
            parts.AddRange(table.Keys);
        }

        return chain.Append(ml.Transforms.Concatenate("Features", [.. parts]));
    }
}
