using System.Text.Json;
using Microsoft.ML;
using Microsoft.ML.Data;
using MlNetMlp.Tabular;

namespace WebApi;

/// <summary>A model to serve: a network with its explanation behind it, in one file.</summary>
internal static class Training
{
    public static void Save(MLContext ml, string path)
    {
        var file = Path.Combine(AppContext.BaseDirectory, "data", "breast_cancer.csv");
        var names = File.ReadLines(file).First().Split(',')[..30];
        var columns = names.Select((name, i) => new TextLoader.Column(name, DataKind.Single, i)).Append(new("Label", DataKind.Boolean, 30));
        var rows = ml.Data.LoadFromTextFile(file, [.. columns], separatorChar: ',', hasHeader: true);
        var features = ml.Transforms.Concatenate("Features", names).Append(ml.Transforms.NormalizeMeanVariance("Features", fixZero: false)).Fit(rows);
        var scaled = features.Transform(rows);
        var network = ml.BinaryClassification.Trainers.ScaledMlp(new ScaledMlp.Options { Width = 32, Epochs = 40, Seed = 1 }).Fit(scaled);
        var explain = ml.Transforms.ExplainPrediction(network).Fit(scaled);
        ModelFile.Save(ml, features.Append(network).Append(explain), rows.Schema, path);
    }

    /// <summary>What the page asks for, with the first row of the data as an example.</summary>
    /// <param name="model">The model that is served.</param>
    /// <returns>JSON: a value by column.</returns>
    public static string Columns(WatchedModel model)
    {
        var lines = File.ReadLines(Path.Combine(AppContext.BaseDirectory, "data", "breast_cancer.csv")).Take(2).Select(line => line.Split(',')).ToArray();
        var example = lines[0].Zip(lines[1]).ToDictionary(pair => pair.First, pair => pair.Second);
        return JsonSerializer.Serialize(model.Scorer.InputColumns.ToDictionary(column => column.Name, column => example.GetValueOrDefault(column.Name, "")));
    }
}
