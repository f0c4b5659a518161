using System.Diagnostics;
using System.Globalization;
using Microsoft.ML;
using Microsoft.ML.Data;
using Quickstart;

CultureInfo.DefaultThreadCurrentCulture = CultureInfo.CurrentCulture = CultureInfo.InvariantCulture;
try
{
    switch (args)
    {
        case []:
            Compete(Directory.CreateDirectory("quickstart-output").FullName);
            return 0;
        case [FreshProcess.Command, var dataSet, var modelFile]:
            FreshProcess.PrintScores(dataSet, modelFile);
            return 0;
        default:
            Console.Error.WriteLine("Usage: Quickstart (without arguments; writes to ./quickstart-output)");
            return 2;
    }
}
catch (Exception failure)
{
    Console.Error.WriteLine($"Quickstart failed: {failure.GetBaseException().Message}");
    return 1;
}

static void Compete(string outputFolder)
{
    var ml = new MLContext(seed: 1);
    var live = new LiveLine();
    var problems = Problem.All(ml, live);
    var entries = problems.SelectMany(problem => FitAll(ml, problem, live)).ToArray();

    Console.WriteLine($"{"data set",-16}{"trainer",-14}{"on the test rows",-36}{"fit",8}");
    foreach (var entry in entries) Console.WriteLine(Row(entry));
    Console.WriteLine();

    foreach (var problem in problems)
    {
        var last = entries.Last(entry => entry.Problem == problem);
        var modelFile = Path.Combine(outputFolder, problem.Data.Name, "model.zip");
        Directory.CreateDirectory(Path.GetDirectoryName(modelFile)!);
        ModelFile.Save(ml, last.Model, last.InputSchema, modelFile);
        var count = FreshProcess.Verify(problem.Data.Name, modelFile, last.Scored);
        Console.WriteLine($"{problem.Data.Name}, {last.Competitor.Name} loaded by a second process: {count} scores, all equal to the bit");
    }

    var picture = Path.Combine(outputFolder, "quickstart.png");
    Picture.Draw(ml, entries, picture);
    Console.WriteLine($"Models and a picture are in {outputFolder}");
}

static IEnumerable<Entry> FitAll(MLContext ml, Problem problem, LiveLine live)
{
    var data = problem.Data.Load(ml);
    foreach (var competitor in problem.Competitors)
    {
        live.Begin($"{problem.Data.Name}: fitting {competitor.Name}");
        var clock = Stopwatch.StartNew();
        var model = problem.Preparation.Append(competitor.Trainer).Fit(data.TrainSet);
        clock.Stop();
        live.End();
        var scored = model.Transform(data.TestSet);
        yield return new Entry(problem, competitor, model, data.TrainSet.Schema, scored, problem.Judge(scored), clock.Elapsed);
    }
}

static string Row(Entry entry)
{
    var metrics = string.Concat(entry.Metrics.Select(m => $"{m.Name,-10}{m.Value,-8}"));
    return $"{entry.Problem.Data.Name,-16}{entry.Competitor.Name,-14}{metrics,-36}{entry.FitTime.TotalSeconds,6:0.00} s";
}

/// <summary>What came of one trainer on one data set.</summary>
internal sealed record Entry(
    Problem Problem,
    Competitor Competitor,
    TransformerChain<ITransformer> Model,
    DataViewSchema InputSchema,
    IDataView Scored,
    Metric[] Metrics,
    TimeSpan FitTime);
