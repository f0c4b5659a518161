using Microsoft.ML;
using Microsoft.ML.Data;
using MlNetMlp.Data;
using MlNetMlp.Tabular;
using MlNetMlp.Tests.Support;
using MlNetMlp.Training;

namespace MlNetMlp.Tests;

/// <summary>The examples of the README, as a reader would run them: each test holds the text, and the text must be in the README.</summary>
[Collection(nameof(CurrentFolder))]
public sealed class ReadmeTests : IDisposable
{
    private const string Data = "samples/Quickstart/data/diabetes.csv";

    private readonly string _before = Environment.CurrentDirectory;
    private readonly string _folder = Directory.CreateTempSubdirectory("readme").FullName;

    public ReadmeTests()
    {
        var copy = Path.Combine(_folder, Data);
        Directory.CreateDirectory(Path.GetDirectoryName(copy)!);
        File.Copy(Repository.At(Data), copy);
        Environment.CurrentDirectory = _folder;
    }

    [Fact]
    public void ThePipelineRuns()
    {
        // <readme>
        var ml = new MLContext(seed: 1);
        TextLoader.Column[] columns = [new("Features", DataKind.Single, 0, 9), new("Label", DataKind.Single, 10)];
        var rows = ml.Data.LoadFromTextFile("samples/Quickstart/data/diabetes.csv", columns, separatorChar: ',', hasHeader: true);
        var parts = ml.Data.TrainTestSplit(rows, testFraction: 0.25, seed: 1);

        var model = ml.Regression.Trainers.ScaledMlp().Fit(parts.TrainSet);
        var metrics = ml.Regression.Evaluate(model.Transform(parts.TestSet));
        Console.WriteLine($"R² on the test rows: {metrics.RSquared:0.00}");

        ModelFile.Save(ml, model, rows.Schema, "model.zip");
        var loaded = new MLContext().Model.Load("model.zip", out var schema);
        Console.WriteLine($"{loaded.Transform(parts.TestSet).GetColumn<float>("Score").Count()} predictions of the loaded model");
        // </readme>
        Assert.True(metrics.RSquared > 0.2, $"R² {metrics.RSquared}");
        Assert.Equal(rows.Schema.Count, schema.Count);
        Assert.Equal(model.Transform(parts.TestSet).GetColumn<float>("Score"), loaded.Transform(parts.TestSet).GetColumn<float>("Score"));
    }

    [Fact]
    public void TheOptionsAreThere()
    {
        using var cancellation = new CancellationTokenSource();
        var ml = new MLContext();

        // <readme>
        var options = new ScaledMlp.Options
        {
            LabelColumnName = "Churned",
            Progress = new Progress<TrainingProgress>(progress => Console.WriteLine(progress)),
            CancellationToken = cancellation.Token,
            ValidationFraction = 0.2,
            ClassWeights = ClassWeights.Balanced,
        };
        var trainer = ml.BinaryClassification.Trainers.ScaledMlp(options);
        // </readme>
        Assert.NotNull(trainer);
    }

    [Fact]
    public void TheReadmeHoldsTheseExamples()
    {
        var readme = Repository.Read("README.md");
        var source = Repository.Read("tests/Trainers.Tests/ReadmeTests.cs");
        var examples = source.Split("        // <readme>\n").Skip(1).Select(part => part.Split("        // </readme>\n")[0]).ToArray();

        Assert.Equal(2, examples.Length);
        foreach (var example in examples)
        {
            var text = string.Join('\n', example.Split('\n').Select(line => line.StartsWith("        ", StringComparison.Ordinal) ? line[8..] : line));
            Assert.Contains(text, readme, StringComparison.Ordinal);
        }
    }

    public void Dispose()
    {
        Environment.CurrentDirectory = _before;
        Directory.Delete(_folder, recursive: true);
    }
}
