using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using System.Text.Json.Serialization;
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

    private static readonly JsonSerializerOptions Numbers = new() { NumberHandling = JsonNumberHandling.AllowNamedFloatingPointLiterals };

    private static readonly TabularMethod[] Methods =
    [
        Network("TabularNetwork", new()),
        Network("Fast", TabularNetwork.Options.Fast),
        new NetMethod(Peer, (r, _, _) => r.LightGbm(), (b, _, _) => b.LightGbm(), (m, _, _, _) => m.LightGbm()),
        new NetMethod("FastTree", (r, _, _) => r.FastTree(), (b, _, _) => b.FastTree(), (m, b, _, _) => m.OneVersusAll(b.FastTree())),
        new PythonMethod("XGBoost", "xgb", "xgboost"),
        new PythonMethod("HistGradientBoosting", "hgb", "sklearn"),
        new PythonMethod("MLP of scikit-learn", "mlp", "sklearn"),
        new NetMethod("ScaledMlp", (r, _, seed) => r.ScaledMlp(new ScaledMlp.Options { Seed = seed }), (b, _, seed) => b.ScaledMlp(new ScaledMlp.Options { Seed = seed }), (m, _, _, seed) => m.ScaledMlp(new ScaledMlp.Options { Seed = seed })) { NeedsNumbers = true },
        new NetMethod("GradientBoostedNetwork", (r, _, _) => r.GradientBoostedNetwork(), (b, _, _) => b.GradientBoostedNetwork(), (m, _, _, _) => m.GradientBoostedNetwork()) { NeedsNumbers = true },
        new NetMethod("RandomFeatureNetwork", (r, _, _) => r.RandomFeatureNetwork(), (b, _, _) => b.RandomFeatureNetwork(), (m, _, _, _) => m.RandomFeatureNetwork()) { NeedsNumbers = true },
        new NetMethod("ConvexRelu", (r, _, _) => r.ConvexRelu(), (b, _, _) => b.ConvexRelu(), (m, _, _, _) => m.ConvexRelu()) { NeedsNumbers = true },
    ];

    private abstract record TabularMethod(string Name)
    {
        /// <summary>Whether it can be run here; if not, a line says why.</summary>
        public virtual bool IsThere => true;

        public abstract Result Fit(TabularTable table, int seed);
    }

    /// <summary>A program of scikit-learn or XGBoost.</summary>
    /// <param name="Kind">What <c>peers/tabular.py</c> knows it by.</param>
    /// <param name="Module">The module that it needs.</param>
    private sealed record PythonMethod(string Name, string Kind, string Module) : TabularMethod(Name)
    {
        public override bool IsThere => PythonPeer.Has(Name, "numpy", "sklearn", Module);

        public override Result Fit(TabularTable table, int seed) =>
            PythonPeer.RunFile("tabular.py", Kind, table.TrainFile, table.TestFile, $"{table.Classes}", $"{table.Numbers}", $"{seed}") is [var error, var logLoss, var auc, var fit, var score]
                ? new(error, logLoss, auc, fit, score) : Result.Failed;
    }

    private sealed record NetMethod(
        string Name, Func<RegressionTrainers, TabularTable, int, IEstimator<ITransformer>> Regression, Func<BinaryTrainers, TabularTable, int, IEstimator<ITransformer>> Binary,
        Func<MulticlassTrainers, BinaryTrainers, TabularTable, int, IEstimator<ITransformer>> Multiclass) : TabularMethod(Name)
    {
        /// <summary>Whether it reads keys, and not one-hot numbers.</summary>
        public bool ReadsKeys { get; init; }

        /// <summary>Whether it cannot do with NaN.</summary>
        public bool NeedsNumbers { get; init; }

        public override Result Fit(TabularTable table, int seed)
        {
            try
            {
                return FitHere(this, table, seed);
            }
            catch (Exception failure) when (failure is InvalidOperationException or ArgumentException or OutOfMemoryException)
            {
                Console.WriteLine($"{table.Set.Name}, {Name}: {failure.Message}");
                return Result.Failed;
            }
        }
    }

    /// <summary>What a fit gives: the measures of its task, of which the less the better but of the area, and seconds; not a number where it failed.</summary>
    private sealed record Result(double Error, double LogLoss, double Auc, double FitSeconds, double ScoreSeconds)
    {
        public static Result Failed { get; } = new(double.NaN, double.NaN, double.NaN, double.NaN, double.NaN);
    }

    /// <summary>What was measured, in the file that <c>keep=file</c> names.</summary>
    private sealed record Kept(string Set, string Method, int Seed, int Rows, Result Result);

    private static NetMethod Network(string name, TabularNetwork.Options options)
    {
        return new(name, (r, table, seed) => r.TabularNetwork(For(table, seed)), (b, table, seed) => b.TabularNetwork(For(table, seed)), (m, _, table, seed) => m.TabularNetwork(For(table, seed)))
        {
            ReadsKeys = true,
        };

        TabularNetwork.Options For(TabularTable table, int seed) =>
            options with { CategoricalColumns = [.. table.Keys], FeatureColumnName = table.Numbers > 0 ? "Features" : null, Seed = seed };
    }

    // Networks with other options, such as with=members:8+epochs:32.
    private static IEnumerable<TabularMethod> Variants(ILookup<string, string> options) => options["with"].Select(text => Network(text, OptionsOf(text)));

    private static TabularNetwork.Options OptionsOf(string text) => MlNetMlp.Methods.NetworkOptions.FromJson<TabularNetwork.Options>(
        "{" + string.Join(',', text.Split('+').Select(pair => pair.Split(':')).Select(pair => $"\"{JsonNamingPolicy.CamelCase.ConvertName(pair[0])}\":{(char.IsAsciiLetter(pair[1][0]) && pair[1] is not ("true" or "false" or "null") ? $"\"{pair[1]}\"" : pair[1])}")) + "}");

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
        methods = [.. methods.Where(method => method.IsThere)];
        var seeds = options["seeds"].Select(word => int.Parse(word, CultureInfo.InvariantCulture)).FirstOrDefault(1);
        var most = options["rows"].Select(word => int.Parse(word, CultureInfo.InvariantCulture)).FirstOrDefault();
        var keep = options["keep"].LastOrDefault();
        var known = (keep is not null && File.Exists(keep) ? File.ReadLines(keep) : []).Select(line => JsonSerializer.Deserialize<Kept>(line, Numbers)!)
            .ToDictionary(kept => (kept.Set, kept.Method, kept.Seed, kept.Rows), kept => kept.Result);
        var scratch = Directory.CreateTempSubdirectory("tabular").FullName;
        var results = new List<(TabularTable Table, Result[] Results)>();
        try
        {
            var isWarm = false;
            foreach (var set in sets)
            {
                var table = set.Read(new MLContext(1), folder, 0, most, scratch);
                var found = new List<Result[]>();
                for (var seed = 0; seed < seeds; seed++)
                {
                    var split = seed == 0 ? table : set.Read(new MLContext(1), folder, seed, most, scratch);
                    found.Add([.. methods.Select(method => Measure(method, split, seed + 1))]);
                }

                results.Add((table, [.. methods.Select((_, m) => Mean([.. found.Select(all => all[m])]))]));
            }

            Result Measure(TabularMethod method, TabularTable table, int seed)
            {
                if (known.TryGetValue((table.Set.Name, method.Name, seed, most), out var result))
                    return result;
                if (!isWarm)
                    Array.ForEach(methods, other => other.Fit(sets[0].Read(new MLContext(1), folder, 0, WarmingRows, scratch), 1));
                isWarm = true;
                result = method.Fit(table, seed);
                Console.WriteLine($"{table.Set.Name}, seed {seed}, {method.Name}: {Text(result, table)}");
                if (keep is not null)
                    File.AppendAllText(keep, JsonSerializer.Serialize(new Kept(table.Set.Name, method.Name, seed, most, result), Numbers) + "\n");
                return result;
            }
        }
        finally
        {
            Directory.Delete(scratch, recursive: true);
        }

        var report = Report.Of(options, "tabular", "Tables");
        report.Say(
            $"{seeds} seed{(seeds > 1 ? "s" : "")}, the splits that the tables come with, {(most > 0 ? $"at most {most} rows to train on" : "all rows")}. RMSE of regression; else errors in percent / log-loss in "
            + "nats / area under the ROC curve of two classes; seconds of a fit. Every method with its defaults, but for the MLP of scikit-learn, which has two layers of 256 units, standardised numbers and "
            + "early stopping. Methods that read no keys get them one-hot, and the mean for missing numbers where they cannot do with NaN.");
        report.Add("By table", ["table", "rows", .. methods.Select(method => method.Name)], [.. results.Select(x => (string[])
            [x.Table.Set.Name, $"{x.Table.TrainRows} + {x.Table.TestRows}", .. x.Results.Select(result => Text(result, x.Table))])]);
        Summarize(report, methods, results);
        report.Save();
    }

    private static Result Mean(Result[] results) =>
        new(results.Average(x => x.Error), results.Average(x => x.LogLoss), results.Average(x => x.Auc), results.Average(x => x.FitSeconds), results.Average(x => x.ScoreSeconds));

    private static string Text(Result result, TabularTable table) => double.IsNaN(result.Error) ? "failed" : table.Set.Task switch
    {
        TabularTask.Regression => $"{result.Error:G4} ({result.FitSeconds:F1} s)",
        TabularTask.Binary => $"{100 * result.Error:F2} / {result.LogLoss:F4} / {result.Auc:F4} ({result.FitSeconds:F1} s)",
        _ => $"{100 * result.Error:F2} / {result.LogLoss:F4} ({result.FitSeconds:F1} s)",
    };

    private static void Summarize(Report report, TabularMethod[] methods, List<(TabularTable Table, Result[] Results)> results)
    {
        var peer = Array.FindIndex(methods, method => method.Name == Peer);
        var (numbers, classes) = (results.Where(x => x.Table.Classes == 0).ToArray(), results.Where(x => x.Table.Classes > 0).ToArray());
        var lines = new List<string[]>();
        Line("mean rank", m => $"{results.Average(x => Rank(x.Results, m, x.Table.Classes > 0)):F2}");
        Line("seconds of a fit, median", m => $"{results.Select(x => x.Results[m].FitSeconds).Order().ElementAt(results.Count / 2):F1}");
        Line("scoring, µs a row, median", m => $"{results.Select(x => 1e6 * x.Results[m].ScoreSeconds / x.Table.TestRows).Order().ElementAt(results.Count / 2):F1}");
        if (peer >= 0)
        {
            Line($"RMSE / that of {Peer}, geometric mean (won)", m => Ratio(numbers, x => x.Error, m));
            Line($"error / that of {Peer} (won)", m => Ratio(classes, x => x.Error, m));
            Line($"log-loss / that of {Peer} (won)", m => Ratio(classes, x => x.LogLoss, m));
            Line($"1 - area / that of {Peer} (won)", m => Ratio([.. classes.Where(x => x.Table.Set.Task == TabularTask.Binary)], x => 1 - x.Auc, m));
            Line($"better than {Peer} in RMSE, accuracy or area", m => $"{results.Count(x => IsBetter(x.Results[m], x.Results[peer], x.Table))} of {results.Count}");
            Line($"worst RMSE or accuracy beside that of {Peer}", m =>
                results.Select(x => (x.Table.Set.Name, Worse: Worse(x.Results[m], x.Results[peer], x.Table))).MaxBy(x => x.Worse) is var worst ? $"{100 * worst.Worse:F1} % worse ({worst.Name})" : "");
        }

        report.Add("Over all tables", ["", .. methods.Select(method => method.Name)], lines);
        report.Chart("ranks", "Rank of each method on each table (1 is best)", plot =>
        {
            for (var m = 0; m < methods.Length; m++)
            {
                var line = plot.Add.Scatter(results.Select((_, i) => (double)i).ToArray(), results.Select(x => Rank(x.Results, m, x.Table.Classes > 0)).ToArray());
                (line.LegendText, line.LineWidth, line.MarkerSize) = (methods[m].Name, 0, m == 0 ? 12 : 7);
            }

            plot.Axes.Bottom.SetTicks([.. results.Select((_, i) => (double)i)], [.. results.Select(x => x.Table.Set.Name)]);
            plot.Axes.Bottom.TickLabelStyle.Rotation = 60;
            plot.Axes.Bottom.TickLabelStyle.Alignment = ScottPlot.Alignment.MiddleLeft;
            plot.Axes.Bottom.MinimumSize = 140;
            plot.YLabel("rank");
            plot.Axes.InvertY();
            plot.ShowLegend(ScottPlot.Edge.Right);
        });
        report.Chart("time", "Seconds of a fit, median, and mean rank", plot =>
        {
            for (var m = 0; m < methods.Length; m++)
            {
                var (x, y) = (Math.Log10(results.Select(all => all.Results[m].FitSeconds).Order().ElementAt(results.Count / 2)), results.Average(all => Rank(all.Results, m, all.Table.Classes > 0)));
                if (!double.IsFinite(x))
                    continue;
                plot.Add.Marker(x, y, size: 10);
                plot.Add.Text($" {methods[m].Name}", x, y);
            }

            plot.Axes.Bottom.TickGenerator = new ScottPlot.TickGenerators.NumericAutomatic { LabelFormatter = power => $"{Math.Pow(10, power):G2}" };
            plot.XLabel("seconds");
            plot.YLabel("mean rank");
            plot.Axes.Margins(0.3, 0.1);
            plot.Axes.InvertY();
        });

        void Line(string name, Func<int, string> cell) => lines.Add([name, .. methods.Select((_, m) => cell(m))]);

        // A half row more or less keeps a ratio of two perfect results within bounds.
        string Ratio((TabularTable Table, Result[] Results)[] some, Func<Result, double> measure, int m)
        {
            some = [.. some.Where(x => !double.IsNaN(x.Results[m].Error))];
            return some.Length == 0 ? "-" :
                $"{Math.Exp(some.Average(x => Math.Log((measure(x.Results[m]) + Least(x.Table)) / (measure(x.Results[peer]) + Least(x.Table))))):F3} ({some.Count(x => measure(x.Results[m]) < measure(x.Results[peer]))}/{some.Length})";
        }

        static bool IsBetter(Result mine, Result other, TabularTable table) => mine.Error < other.Error || (table.Set.Task == TabularTask.Binary && mine.Auc > other.Auc);

        static double Worse(Result mine, Result other, TabularTable table) => table.Classes == 0 ? (mine.Error / other.Error) - 1 : 1 - ((1 - mine.Error) / (1 - other.Error));

        static double Least(TabularTable table) => table.Classes == 0 ? 0 : 0.5 / table.TestRows;

        // What failed is behind all others.
        static double Rank(Result[] all, int m, bool isClass)
        {
            var rank = Place(x => x.Error);
            return isClass ? (rank + Place(x => x.LogLoss)) / 2 : rank;

            double Place(Func<Result, double> measure)
            {
                double[] values = [.. all.Select(x => double.IsNaN(x.Error) ? double.PositiveInfinity : measure(x))];
                return 1 + values.Count(x => x < values[m]) + ((values.Count(x => x == values[m]) - 1) / 2.0);
            }
        }
    }

    private static Result FitHere(NetMethod method, TabularTable table, int seed)
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
                var binary = ml.BinaryClassification.Evaluate(scored);
                return new(1 - binary.Accuracy, LogLoss(scored.GetColumn<float>("Probability").Zip(scored.GetColumn<bool>("Label"), (p, label) => label ? p : 1 - p)), binary.AreaUnderRocCurve, fit, score);
            default:
                var several = ml.MulticlassClassification.Evaluate(scored);
                return new(1 - several.MicroAccuracy, LogLoss(scored.GetColumn<float[]>("Score").Zip(scored.GetColumn<uint>("Label"), (p, label) => p[label - 1])), 0, fit, score);
        }
    }

    // In nats; a probability of zero is not the end of the world, as in scikit-learn.
    private static double LogLoss(IEnumerable<float> probabilities) => probabilities.Average(p => -Math.Log(Math.Max(p, 1e-15)));

    private static void Read<T>(IDataView rows, string column)
    {
        foreach (var _ in rows.GetColumn<T>(column))
        {
            // Reading is what is wanted.
        }
    }

    private static IEstimator<ITransformer> Inputs(MLContext ml, NetMethod method, TabularTable table)
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
