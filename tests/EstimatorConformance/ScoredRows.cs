using Microsoft.ML;
using Microsoft.ML.Data;

namespace MlNetMlp.Conformance;

/// <summary>What a model says of rows: scores, and what classification adds to them.</summary>
/// <param name="Scores">The scores of each row: one, or one for each class.</param>
/// <param name="Probabilities">The probability of each row, where there is one.</param>
/// <param name="Predicted">The predicted label of each row as text, where there is one; keys by their number.</param>
internal sealed record ScoredRows(float[][] Scores, float[]? Probabilities, string[]? Predicted)
{
    private const double LeastAgreement = 0.9;

    /// <summary>Number of rows.</summary>
    public int Count => Scores.Length;

    /// <summary>Scores rows.</summary>
    /// <param name="model">The model.</param>
    /// <param name="data">The rows.</param>
    /// <returns>The scores.</returns>
    public static ScoredRows Of(ITransformer model, IDataView data) => Read(model.Transform(data));

    /// <summary>Reads rows that are scored already.</summary>
    /// <param name="scored">The rows.</param>
    /// <returns>The scores.</returns>
    public static ScoredRows Read(IDataView scored)
    {
        var scores = scored.Schema["Score"].Type is VectorDataViewType
            ? scored.GetColumn<VBuffer<float>>("Score").Select(row => row.DenseValues().ToArray()).ToArray()
            : scored.GetColumn<float>("Score").Select(score => new[] { score }).ToArray();
        var probability = scored.Schema.GetColumnOrNull("Probability") is { } p ? scored.GetColumn<float>(p).ToArray() : null;
        string[]? predicted = scored.Schema.GetColumnOrNull("PredictedLabel") switch
        {
            { Type: BooleanDataViewType } column => [.. scored.GetColumn<bool>(column).Select(label => label.ToString())],
            { Type: KeyDataViewType } column => [.. scored.GetColumn<uint>(column).Select(label => label.ToString(System.Globalization.CultureInfo.InvariantCulture))],
            _ => null,
        };
        return new(scores, probability, predicted);
    }

    /// <summary>Reads scores by several cursors, each on a thread of its own.</summary>
    /// <param name="scored">The rows, with their numbers.</param>
    /// <param name="cursors">How many cursors to ask for.</param>
    /// <returns>The scores of each row, in the order of their numbers.</returns>
    public static float[][] ReadInParallel(IDataView scored, int cursors)
    {
        var (score, id) = (scored.Schema["Score"], scored.Schema[nameof(SampleRow.Id)]);
        var reading = scored.GetRowCursorSet([score, id], cursors).Select(cursor => Task.Factory.StartNew(() => ReadAll(cursor), TaskCreationOptions.LongRunning));
        return [.. Task.WhenAll([.. reading]).Result.SelectMany(rows => rows).OrderBy(row => row.Id).Select(row => row.Scores)];

        List<(int Id, float[] Scores)> ReadAll(DataViewRowCursor cursor)
        {
            var rows = new List<(int, float[])>();
            using (cursor)
            {
                var number = cursor.GetGetter<int>(id);
                var one = score.Type is VectorDataViewType ? null : cursor.GetGetter<float>(score);
                var several = score.Type is VectorDataViewType ? cursor.GetGetter<VBuffer<float>>(score) : null;
                while (cursor.MoveNext())
                {
                    var (n, value, vector) = (0, 0f, default(VBuffer<float>));
                    number(ref n);
                    one?.Invoke(ref value);
                    several?.Invoke(ref vector);
                    rows.Add((n, several is null ? [value] : vector.DenseValues().ToArray()));
                }
            }

            return rows;
        }
    }

    /// <summary>Fails unless other scores are the same to the bit.</summary>
    /// <param name="other">The other scores.</param>
    /// <param name="what">What is compared, for the message.</param>
    public void ShouldBe(ScoredRows other, string what) => ShouldBeNear(other, 0, what);

    /// <summary>Fails unless other scores are the same up to a tolerance.</summary>
    /// <param name="other">The other scores.</param>
    /// <param name="tolerance">Greatest difference, relative to the largest score; 0 for none.</param>
    /// <param name="what">What is compared, for the message.</param>
    public void ShouldBeNear(ScoredRows other, double tolerance, string what)
    {
        Assert.True(Count == other.Count, $"{what}: {Count} rows against {other.Count}");
        var scale = Scores.SelectMany(row => row).Select(Math.Abs).Where(float.IsFinite).DefaultIfEmpty().Max();
        for (var i = 0; i < Count; i++)
        {
            var isSame = Scores[i].Length == other.Scores[i].Length && Scores[i].Zip(other.Scores[i]).All(pair => IsNear(pair.First, pair.Second, tolerance * scale))
                && (Probabilities is null || IsNear(Probabilities[i], other.Probabilities![i], tolerance));
            Assert.True(isSame, $"{what}: row {i} scores {Text(i)} against {other.Text(i)}");
            Assert.True(tolerance > 0 || Predicted?[i] == other.Predicted?[i], $"{what}: row {i} is predicted {Predicted?[i]} against {other.Predicted?[i]}");
        }
    }

    /// <summary>How far another model says the same: the share of rows of the same class, or the share of the variance of its scores.</summary>
    /// <param name="other">The other scores.</param>
    /// <returns>1 where they agree; for scores without classes it may be negative.</returns>
    public double Agreement(ScoredRows other)
    {
        if (Predicted is not null)
            return Predicted.Zip(other.Predicted!).Count(pair => pair.First == pair.Second) / (double)Count;
        var mean = other.Scores.Average(row => (double)row[0]);
        return 1 - (Scores.Zip(other.Scores).Sum(pair => Math.Pow(pair.First[0] - pair.Second[0], 2)) / other.Scores.Sum(row => Math.Pow(row[0] - mean, 2)));
    }

    /// <summary>Fails unless another model says nine tenths the same.</summary>
    /// <param name="other">The other scores.</param>
    /// <param name="what">What is compared, for the message.</param>
    public void ShouldResemble(ScoredRows other, string what) =>
        Assert.True(Agreement(other) >= LeastAgreement, $"{what}: only {Agreement(other):P0} is the same");

    /// <summary>Whether other scores differ in at least one bit.</summary>
    /// <param name="other">The other scores.</param>
    /// <returns>Whether.</returns>
    public bool Differs(ScoredRows other) =>
        !Scores.SelectMany(row => row).Select(BitConverter.SingleToInt32Bits).SequenceEqual(other.Scores.SelectMany(row => row).Select(BitConverter.SingleToInt32Bits));

    /// <summary>Fails unless all scores and probabilities are finite.</summary>
    /// <param name="what">What is scored, for the message.</param>
    /// <param name="first">The first row that has a score.</param>
    public void ShouldBeFinite(string what, int first = 0)
    {
        var bad = Array.FindIndex(Scores, Math.Min(first, Count), row => !row.All(float.IsFinite));
        Assert.True(bad < 0, $"{what}: row {bad} has the score {(bad < 0 ? "" : Text(bad))}");
        Assert.True(Probabilities?.All(float.IsFinite) ?? true, $"{what}: a probability is not finite");
    }

    private static bool IsNear(float a, float b, double tolerance) =>
        BitConverter.SingleToInt32Bits(a) == BitConverter.SingleToInt32Bits(b) || Math.Abs((double)a - b) <= tolerance;

    private string Text(int row) => string.Join(' ', Scores[row].Select(score => score.ToString("R", System.Globalization.CultureInfo.InvariantCulture)))
        + (Probabilities is null ? "" : $" ({Probabilities[row].ToString("R", System.Globalization.CultureInfo.InvariantCulture)})");
}
