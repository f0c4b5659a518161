using System.Diagnostics;
using System.Globalization;
using Microsoft.ML;
using Microsoft.ML.Data;
using MlNetMlp.Interop;
using MlNetMlp.Pictures;
using MlNetMlp.Tabular;
using MlNetMlp.Training;
using Quickstart;
using Tabular;

const int ExplainedRows = 100, OtherRows = 30, ShownRows = 3;
CultureInfo.DefaultThreadCurrentCulture = CultureInfo.CurrentCulture = CultureInfo.InvariantCulture;
if (args.Length > 1 || args is ["-h" or "--help"])
{
    Console.Error.WriteLine("Usage: Tabular [folder with adult_train.csv(.gz) and adult_test.csv(.gz)] (writes to ./tabular-output)");
    return 2;
}

var folder = args.FirstOrDefault() ?? Path.Combine(Environment.GetEnvironmentVariable("MLNETMLP_DATA") ?? Path.Combine("..", "shared", "data"), "adult");
string? Find(string name) => new[] { name + ".csv.gz", name + ".csv" }.Select(file => Path.Combine(folder, file)).FirstOrDefault(File.Exists);
if (Find("adult_train") is not { } trainFile || Find("adult_test") is not { } testFile)
{
    Console.Error.WriteLine(
        $"There are no adult_train.csv and adult_test.csv, plain or .gz, in '{folder}'. They are the two files of the public data set Adult (https://archive.ics.uci.edu/dataset/2/adult) with a line of column "
        + "names: age,workclass,fnlwgt,…,native-country,income. Give their folder as the argument, or set MLNETMLP_DATA to the folder above it.");
    return 2;
}

try
{
    var output = Directory.CreateDirectory("tabular-output").FullName;
    var ml = new MLContext(seed: 1);
    var live = new LiveLine();
    var (train, test) = (IncomeModel.LoadData(ml, trainFile, output), IncomeModel.LoadData(ml, testFile, output));
    var progress = live.Progress<TrainingProgress>(report => report.ToString());
    (string Name, IEstimator<ITransformer> Pipeline)[] pipelines =
    [
        ("FastTree", IncomeModel.BuildFastTreePipeline(ml)),
        ("LightGBM", IncomeModel.BuildLightGbmPipeline(ml)),
        ("TabularNetwork, Fast", IncomeModel.BuildPipeline(ml, TabularNetwork.Options.Fast with { Seed = 1 }, progress)),
        ("TabularNetwork", IncomeModel.BuildPipeline(ml, new() { Seed = 1 }, progress)),
    ];
    var board = new List<(string Name, ITransformer Model, IDataView Scored, CalibratedBinaryClassificationMetrics Metrics, double Seconds)>();
    foreach (var (name, pipeline) in pipelines)
    {
        live.Begin($"fitting {name}");
        var clock = Stopwatch.StartNew();
        var fitted = pipeline.Fit(train);
        var seconds = clock.Elapsed.TotalSeconds;
        live.End();
        var scored = fitted.Transform(test);
        board.Add((name, fitted, scored, IncomeModel.Evaluate(ml, scored), seconds));
    }

    string[] columns = ["model", "accuracy", "area under the ROC curve", "log-loss (bits)", "seconds of the fit"];
    string[][] leaders = [.. board.OrderByDescending(entry => entry.Metrics.AreaUnderRocCurve).Select(entry => (string[])
        [entry.Name, $"{entry.Metrics.Accuracy:0.0000}", $"{entry.Metrics.AreaUnderRocCurve:0.0000}", $"{entry.Metrics.LogLoss:0.0000}", $"{entry.Seconds:0.0}"])];
    foreach (var line in leaders.Prepend(columns))
        Console.WriteLine($"{line[0],-24}{line[1],10}{line[2],26}{line[3],17}{line[4],20}");

    var (_, model, predictions, metrics, _) = board[^1];
    IncomeModel.Save(ml, model, train.Schema);
    Console.WriteLine($"saved and loaded again: {IncomeModel.VerifySavedModel(ml, predictions, test)} predictions, all equal to the bit; {IncomeModel.ModelPath}");

    var report = new ExplanationReport("Incomes above 50,000 dollars").AddTable(
        "Leaderboard", $"Rows that no model has seen: {test.GetColumn<bool>(IncomeModel.Label).Count()}. Everything with its defaults.", columns, leaders);
    var curve = NetworkModel.Find(model)!.LearningCurve;
    report.Add(
        "Learning curves", $"Losses of TabularNetwork, of which the weights of epoch {curve.BestEpoch} were kept.",
        ExplanationPicture.Curves([.. curve.Points.Select(point => (double)point.Epoch)],
            [("training rows", [.. curve.Points.Select(point => point.TrainingLoss)]), ("rows held out", [.. curve.Points.Select(point => point.ValidationLoss ?? double.NaN)])], "epoch", "loss"));
    var calibration = board.Select(entry => (entry.Name, Points: IncomeModel.Calibration(entry.Scored))).ToArray();
    double[] middles = [.. calibration[0].Points.Select(point => point.Probability)];
    report.Add(
        "Calibration", "How often an income was above 50,000 dollars where a model said so with about this probability.",
        ExplanationPicture.Curves(middles, [.. calibration.Select(entry => (entry.Name, (IReadOnlyList<double>)[.. entry.Points.Select(point => point.Share)])), ("perfect", middles)], "predicted probability", "share of true"));

    // The saved file is all that the explanations need: it scores raw columns.
    var scorer = ModelFile.Load(ml, IncomeModel.ModelPath, out var schema).CreateRowScorer(schema, ["Score"]);
    var random = new Random(1);
    var rows = IncomeModel.ReadRows(ml, test, ExplainedRows);
    var others = IncomeModel.ReadRows(ml, ml.Data.ShuffleRows(train, seed: 1), OtherRows);
    var contributions = rows.Select(row => IncomeModel.Contributions(scorer, row, others, random)).ToArray();
    float[] means = [.. IncomeModel.Columns.Select((_, c) => contributions.Average(row => Math.Abs(row[c])))];
    report.Add(
        "What moves predictions", $"Mean size of each column's contribution to the logit, over {rows.Length} test rows, beside {others.Length} training rows.", ExplanationPicture.Bars(IncomeModel.Columns, means));
    bool[] labels = [.. test.GetColumn<bool>(IncomeModel.Label).Take(ShownRows)];
    float[] probabilities = [.. predictions.GetColumn<float>("Probability").Take(ShownRows)];
    for (var i = 0; i < Math.Min(ShownRows, rows.Length); i++)
    {
        report.Add(
            $"Person {i + 1}", $"Predicted {probabilities[i]:P0}, actually {(labels[i] ? "above" : "not above")} 50,000 dollars. What speaks for more and for less, in units of the logit.",
            ExplanationPicture.Bars([.. IncomeModel.Columns.Select(column => $"{column} = {rows[i][column] ?? "missing"}")], contributions[i]));
    }

    var page = Path.Combine(output, "report.html");
    report.Save(page);
    Console.WriteLine($"{string.Join(", ", IncomeModel.Columns.Zip(means).OrderByDescending(pair => pair.Second).Take(3).Select(pair => pair.First))} move predictions most; {page}");
    return 0;
}
catch (Exception failure)
{
    Console.Error.WriteLine($"Tabular failed: {failure.GetBaseException().Message}");
    return 1;
}
