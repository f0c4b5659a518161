using Microsoft.ML;
using Microsoft.ML.Data;
using static Microsoft.ML.DataOperationsCatalog;

namespace Quickstart;

/// <summary>A CSV file beside the program and its columns; every process splits it into the same training and test rows.</summary>
internal sealed record DataSet(string Name, string Title, params TextLoader.Column[] Columns)
{
    public static readonly DataSet BreastCancer = new(
        "breast_cancer",
        "Breast cancer: malignant or benign",
        new TextLoader.Column("Features", DataKind.Single, 0, 29),
        new TextLoader.Column("Label", DataKind.Boolean, 30));

    public static readonly DataSet Digits = new(
        "digits",
        "Digits: 8 x 8 pixels, ten classes",
        new TextLoader.Column("Features", DataKind.Single, 0, 63),
        new TextLoader.Column("Label", DataKind.UInt32, 64));

    public static readonly DataSet Diabetes = new(
        "diabetes",
        "Diabetes: progression after one year",
        new TextLoader.Column("Features", DataKind.Single, 0, 9),
        new TextLoader.Column("Label", DataKind.Single, 10));

    public static DataSet Named(string name) =>
        new[] { BreastCancer, Digits, Diabetes }.FirstOrDefault(data => data.Name == name)
        ?? throw new ArgumentException($"There is no data set '{name}'.", nameof(name));

    public TrainTestData Load(MLContext ml)
    {
        var file = Path.Combine(AppContext.BaseDirectory, "data", Name + ".csv");
        var rows = ml.Data.LoadFromTextFile(file, Columns, separatorChar: ',', hasHeader: true);
        return ml.Data.TrainTestSplit(rows, testFraction: 0.25, seed: 1);
    }
}
