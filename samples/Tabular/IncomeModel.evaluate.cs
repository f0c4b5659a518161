using Microsoft.ML;
using Microsoft.ML.Data;
using MlNetMlp.Interop;

namespace Tabular;

internal static partial class IncomeModel
{
    private const int Bins = 10;
    private const int LeastInBin = 30;

    public static CalibratedBinaryClassificationMetrics Evaluate(MLContext ml, IDataView scored) => ml.BinaryClassification.Evaluate(scored, labelColumnName: Label);

    /// <summary>How often true came true where its probability was about so great: not a number where there are few such rows.</summary>
    /// <returns>The middle of each bin of probabilities, and the share of true in it.</returns>
    public static (double Probability, double Share)[] Calibration(IDataView scored)
    {
        var bins = scored.GetColumn<float>("Probability").Zip(scored.GetColumn<bool>(Label)).GroupBy(pair => Math.Min(Bins - 1, (int)(pair.First * Bins))).ToDictionary(bin => bin.Key, bin => bin.ToArray());
        return [.. Enumerable.Range(0, Bins).Select(bin => (
            (bin + 0.5) / Bins,
            bins.TryGetValue(bin, out var pairs) && pairs.Length >= LeastInBin ? pairs.Average(pair => pair.Second ? 1.0 : 0) : double.NaN))];
    }

    /// <summary>Checks that the saved model predicts for each row what the fitted one does, to the bit.</summary>
    /// <returns>The number of rows.</returns>
    /// <exception cref="InvalidOperationException">A prediction differs.</exception>
    public static int VerifySavedModel(MLContext ml, IDataView scored, IDataView rows)
    {
        float[] expected = [.. scored.GetColumn<float>("Probability")];
        float[] actual = [.. ml.Data.CreateEnumerable<ModelInput>(rows, reuseRowObject: false).Select(row => Predict(row).Probability)];
        return expected.SequenceEqual(actual)
            ? expected.Length
            : throw new InvalidOperationException($"{ModelPath} predicts something else than the model that was saved in it.");
    }

    /// <summary>
    /// What each column contributes to the score of a row (Štrumbelj and Kononenko, "Explaining prediction models and individual predictions with feature contributions", 2014): columns of another
    /// row are replaced by those of this one, one after the other in random order, and the change of the score is the column's; the mean over orders and rows is its Shapley value. Columns of texts
    /// and of numbers alike, and for any model.
    /// </summary>
    /// <param name="scorer">Scores rows of raw columns.</param>
    /// <param name="row">The row.</param>
    /// <param name="others">Rows to compare with.</param>
    /// <param name="random">Draws the orders.</param>
    /// <returns>A contribution for each of <see cref="Columns"/>; together the difference of the score to the mean score of the others.</returns>
    public static float[] Contributions(RowScorer scorer, IReadOnlyDictionary<string, object?> row, IReadOnlyList<IReadOnlyDictionary<string, object?>> others, Random random)
    {
        var sums = new float[Columns.Length];
        int[] order = [.. Enumerable.Range(0, Columns.Length)];
        foreach (var other in others)
        {
            random.Shuffle(order);
            var mixed = other.ToDictionary();
            var before = Score();
            foreach (var column in order)
            {
                mixed[Columns[column]] = row[Columns[column]];
                var after = Score();
                sums[column] += (after - before) / others.Count;
                before = after;
            }

            float Score() => (float)scorer.Score(mixed)["Score"]!;
        }

        return sums;
    }

    /// <summary>Rows as dictionaries of their raw columns; a missing text is null.</summary>
    public static IReadOnlyDictionary<string, object?>[] ReadRows(MLContext ml, IDataView rows, int count)
    {
        object?[][] parts = [.. Columns.Select(Read)];
        return [.. Enumerable.Range(0, parts[0].Length).Select(i => Columns.Select((name, c) => KeyValuePair.Create(name, parts[c][i])).ToDictionary())];

        object?[] Read(string name) => Numbers.Contains(name)
            ? [.. rows.GetColumn<float>(name).Take(count).Select(value => (object?)value)]
            : [.. rows.GetColumn<string>(name).Take(count).Select(text => string.IsNullOrEmpty(text) ? null : (object?)text)];
    }
}
