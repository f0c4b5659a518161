using System.Diagnostics;
using Microsoft.ML.Data;
using MlNetMlp.Interop;
using MlNetMlp.Methods;

namespace Microsoft.ML;

/// <summary>Compares methods on data by cross-validation.</summary>
public static class ComparisonCatalog
{
    private const int TimedRows = 64;
    private const int TimedRuns = 5;

    /// <summary>Cross-validates methods on the same folds of the data, and tells what their networks cost.</summary>
    /// <param name="catalog">The catalog.</param>
    /// <param name="data">The rows, with the columns that the methods' options name.</param>
    /// <param name="methods">The methods, each with the name that it has in the comparison.</param>
    /// <param name="folds">Number of folds, at least 2: each method is trained so many times.</param>
    /// <param name="seed">Decides which rows are in which fold.</param>
    /// <returns>The comparison, by the mean accuracy.</returns>
    /// <exception cref="ArgumentOutOfRangeException">There are fewer than two folds, or an option of a method is out of its range, or a column is missing.</exception>
    public static MethodComparison CompareMethods(
        this MulticlassClassificationCatalog catalog, IDataView data, IReadOnlyList<(string Name, INetworkMethod Method)> methods, int folds = 5, int seed = 1)
    {
        ArgumentNullException.ThrowIfNull(catalog);
        return Compare("accuracy", methods, folds, method => catalog
            .CrossValidate(data, catalog.Trainers.CreateTrainer(method), folds, method.Options.LabelColumnName, seed: seed)
            .Select(fold => (fold.Model, fold.Metrics.MicroAccuracy)));
    }

    /// <inheritdoc cref="CompareMethods(MulticlassClassificationCatalog, IDataView, IReadOnlyList{ValueTuple{string, INetworkMethod}}, int, int)"/>
    public static MethodComparison CompareMethods(
        this BinaryClassificationCatalog catalog, IDataView data, IReadOnlyList<(string Name, INetworkMethod Method)> methods, int folds = 5, int seed = 1)
    {
        ArgumentNullException.ThrowIfNull(catalog);
        return Compare("accuracy", methods, folds, method => catalog
            .CrossValidateNonCalibrated(data, catalog.Trainers.CreateTrainer(method), folds, method.Options.LabelColumnName, seed: seed)
            .Select(fold => (fold.Model, fold.Metrics.Accuracy)));
    }

    /// <inheritdoc cref="CompareMethods(MulticlassClassificationCatalog, IDataView, IReadOnlyList{ValueTuple{string, INetworkMethod}}, int, int)"/>
    /// <returns>The comparison, by the mean root of the mean squared error.</returns>
    public static MethodComparison CompareMethods(
        this RegressionCatalog catalog, IDataView data, IReadOnlyList<(string Name, INetworkMethod Method)> methods, int folds = 5, int seed = 1)
    {
        ArgumentNullException.ThrowIfNull(catalog);
        return Compare("RMSE", methods, folds, method => catalog
            .CrossValidate(data, catalog.Trainers.CreateTrainer(method), folds, method.Options.LabelColumnName, seed: seed)
            .Select(fold => (fold.Model, fold.Metrics.RootMeanSquaredError)));
    }

    private static MethodComparison Compare(
        string measure, IReadOnlyList<(string Name, INetworkMethod Method)> methods, int folds, Func<INetworkMethod, IEnumerable<(ITransformer Model, double Figure)>> run)
    {
        ArgumentNullException.ThrowIfNull(methods);
        ArgumentOutOfRangeException.ThrowIfLessThan(folds, 2);
        return new(measure, [.. methods.Select(Measured)]);

        MethodResult Measured((string Name, INetworkMethod Method) entry)
        {
            var trained = run(entry.Method).ToArray();
            var network = NetworkModel.Find(trained[0].Model)!;
            var result = new MethodResult(entry.Name, [.. trained.Select(fold => fold.Figure)], network.WeightCount, network.Definition.MultiplicationsPerRow, Latency(network));
            Array.ForEach(trained, fold => NetworkModel.Release(fold.Model));
            return result;
        }
    }

    private static TimeSpan Latency(TrainedNetwork network)
    {
        var (rows, scores) = (new float[TimedRows * network.Inputs], new float[TimedRows * network.Outputs]);
        network.Score(rows, scores);
        var times = new double[TimedRuns];
        for (var i = 0; i < TimedRuns; i++)
        {
            var start = Stopwatch.GetTimestamp();
            network.Score(rows, scores);
            times[i] = Stopwatch.GetElapsedTime(start).TotalSeconds / TimedRows;
        }

        return TimeSpan.FromSeconds(times.Order().ElementAt(TimedRuns / 2));
    }
}
