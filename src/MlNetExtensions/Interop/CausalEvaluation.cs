using Microsoft.ML.Data;
using MlNetMlp.Data;
using MlNetMlp.Interop;

namespace Microsoft.ML;

/// <summary>Tells how good predictions of outcomes under treatments are, for data in which the true ones are known.</summary>
public static class CausalEvaluation
{
    /// <summary>Compares predicted outcomes under some treatments with the true ones, which simulated data know.</summary>
    /// <param name="catalog">The catalog.</param>
    /// <param name="data">Scored rows.</param>
    /// <param name="truthColumnName">The true outcomes without noise: a vector with a slot for each treatment, in the order of those predicted.</param>
    /// <param name="potentialOutcomesColumnName">The predicted outcomes.</param>
    /// <param name="reference">Index of the treatment that effects are measured against.</param>
    /// <returns>The figures.</returns>
    /// <exception cref="ArgumentOutOfRangeException">A column is missing, or no vector of two numbers or more, or they differ in size; or there is no such treatment.</exception>
    /// <exception cref="InvalidOperationException">There are no rows, or a value is not finite.</exception>
    public static TreatmentEffectMetrics Evaluate(
        this CausalInferenceCatalog catalog, IDataView data, string truthColumnName, string potentialOutcomesColumnName = TreatmentModel.PotentialOutcomes, int reference = 0)
    {
        ArgumentNullException.ThrowIfNull(catalog);
        var rows = new PairedVectors(data, truthColumnName, potentialOutcomesColumnName);
        ArgumentOutOfRangeException.ThrowIfNegative(reference);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(reference, rows.Width);
        int[] others = [.. Enumerable.Range(0, rows.Width).Where(arm => arm != reference)];
        var (truths, predictions, squares, count) = (new double[others.Length], new double[others.Length], 0.0, 0L);
        foreach (var (truth, predicted) in rows.Read())
        {
            count++;
            for (var i = 0; i < others.Length; i++)
            {
                var (effect, guess) = ((double)truth[others[i]] - truth[reference], (double)predicted[others[i]] - predicted[reference]);
                truths[i] += effect;
                predictions[i] += guess;
                squares += (guess - effect) * (guess - effect);
            }
        }

        return new(count, Math.Sqrt(squares / (count * others.Length)), [.. truths.Select(sum => sum / count)], [.. predictions.Select(sum => sum / count)]);
    }

    /// <summary>Compares predicted outcomes under the doses of a grid with the true ones, which simulated data know.</summary>
    /// <param name="catalog">The catalog.</param>
    /// <param name="data">Scored rows.</param>
    /// <param name="truthColumnName">The true outcomes without noise: a vector with a slot for each dose of the grid (<see cref="TreatmentModel.Treatments"/>).</param>
    /// <param name="doseResponseColumnName">The predicted outcomes.</param>
    /// <returns>The figures; all doses of the grid count the same.</returns>
    /// <exception cref="ArgumentOutOfRangeException">A column is missing, or no vector of two numbers or more, or they differ in size.</exception>
    /// <exception cref="InvalidOperationException">There are no rows, or a value is not finite.</exception>
    public static DoseResponseMetrics EvaluateDoseResponse(
        this CausalInferenceCatalog catalog, IDataView data, string truthColumnName, string doseResponseColumnName = TreatmentModel.DoseResponse)
    {
        ArgumentNullException.ThrowIfNull(catalog);
        var rows = new PairedVectors(data, truthColumnName, doseResponseColumnName);
        var (sums, squares, count) = (new double[rows.Width], 0.0, 0L);
        foreach (var (truth, predicted) in rows.Read())
        {
            count++;
            for (var dose = 0; dose < sums.Length; dose++)
            {
                var error = (double)predicted[dose] - truth[dose];
                sums[dose] += error;
                squares += error * error;
            }
        }

        return new(count, squares / (count * sums.Length), sums.Average(sum => sum / count * (sum / count)));
    }
}

/// <summary>How far predicted effects are from true ones.</summary>
/// <param name="Rows">Number of rows.</param>
/// <param name="Pehe">
/// The root of the mean squared error of the effect of a row, in the outcome's unit (precision in estimation of heterogeneous effects; Hill, "Bayesian nonparametric
/// modeling for causal inference", 2011); over all treatments but that of reference.
/// </param>
/// <param name="TrueEffects">The true mean effect of each treatment but that of reference.</param>
/// <param name="PredictedEffects">The predicted ones.</param>
public sealed record TreatmentEffectMetrics(long Rows, double Pehe, IReadOnlyList<double> TrueEffects, IReadOnlyList<double> PredictedEffects)
{
    /// <summary>|predicted − true mean effect|, averaged over the treatments but that of reference.</summary>
    public double AteError => TrueEffects.Zip(PredictedEffects, (truth, predicted) => Math.Abs(predicted - truth)).Average();
}

/// <summary>How far predicted responses to a dose are from true ones.</summary>
/// <param name="Rows">Number of rows.</param>
/// <param name="UnitMeanSquaredError">The mean squared error over rows and doses.</param>
/// <param name="CurveMeanSquaredError">The mean over doses of the squared error of the response that is averaged over rows: that of the average dose response.</param>
public sealed record DoseResponseMetrics(long Rows, double UnitMeanSquaredError, double CurveMeanSquaredError);

/// <summary>Two columns of vectors of the same size, row by row.</summary>
internal sealed class PairedVectors
{
    private readonly IDataView _data;
    private readonly DataViewSchema.Column _truth;
    private readonly DataViewSchema.Column _predicted;

    public PairedVectors(IDataView data, string truthColumnName, string predictedColumnName)
    {
        ArgumentNullException.ThrowIfNull(data);
        ArgumentNullException.ThrowIfNull(truthColumnName);
        ArgumentNullException.ThrowIfNull(predictedColumnName);
        _data = data;
        _predicted = RowReader.Find(data.Schema, "predicted", predictedColumnName);
        _truth = RowReader.Find(data.Schema, "truth", truthColumnName);
        Width = VectorReader.Width(_predicted);
        if (Width < 2)
            throw DataErrors.WrongType("predicted", predictedColumnName, "a vector of two numbers or more", DataErrors.Describe(_predicted.Type));
        if (VectorReader.Width(_truth) is var width && width != Width)
            throw DataErrors.WrongType("truth", truthColumnName, $"a vector of {Width} numbers, as '{predictedColumnName}' is", DataErrors.Describe(_truth.Type));
    }

    public int Width { get; }

    /// <summary>The rows; both vectors are overwritten by the next one.</summary>
    public IEnumerable<(float[] Truth, float[] Predicted)> Read()
    {
        var (truth, predicted) = (new float[Width], new float[Width]);
        using var cursor = _data.GetRowCursor([_truth, _predicted]);
        var (readTruth, readPredicted) = (VectorReader.Create(cursor, _truth), VectorReader.Create(cursor, _predicted));
        var isEmpty = true;
        while (cursor.MoveNext())
        {
            isEmpty = false;
            readTruth.Read(truth);
            readPredicted.Read(predicted);
            foreach (var (name, values) in ((string, float[])[])[(_truth.Name, truth), (_predicted.Name, predicted)])
            {
                if (Array.FindIndex(values, value => !float.IsFinite(value)) is >= 0 and var slot)
                    throw DataErrors.NonFiniteFeature(name, cursor.Position, slot, null, values[slot]);
            }

            yield return (truth, predicted);
        }

        if (isEmpty)
            throw new InvalidOperationException("There are no rows to evaluate.");
    }
}
