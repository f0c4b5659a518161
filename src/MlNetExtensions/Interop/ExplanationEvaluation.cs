using System.Globalization;
using Microsoft.ML.Data;
using Microsoft.ML.Runtime;
using MlNetMlp.Data;
using MlNetMlp.Explanations;
using MlNetMlp.Options;

namespace Microsoft.ML;

/// <summary>Tells whether explanations can be believed.</summary>
public static class ExplanationEvaluation
{
    /// <summary>
    /// Puts explanations to the test by training: of each row only the share of features with the greatest |contributions| is kept, or that with the least; the others become the mean of the
    /// training rows. Networks trained on the former are to predict better. Train with the kind of trainer that is explained, and explain the true label.
    /// </summary>
    /// <param name="catalog">The catalog.</param>
    /// <param name="attributor">What adds the contributions, such as a fitted <c>Transforms.ExplainPrediction</c> with the target <see cref="ExplanationTarget.TrueLabel"/>.</param>
    /// <param name="trainerFactory">Makes a trainer of a seed. It is fitted 2 · levels · repeats times.</param>
    /// <param name="train">Rows to train on.</param>
    /// <param name="test">Rows to judge by, masked the same way.</param>
    /// <param name="options">Levels, repeats and columns; null for the defaults.</param>
    /// <returns>The report.</returns>
    /// <exception cref="ArgumentOutOfRangeException">An option is out of its range, or a column is missing or of a type that cannot be used.</exception>
    /// <exception cref="InvalidOperationException">There are no rows.</exception>
    public static DiffRoarReport EvaluateDiffRoar(
        this ModelOperationsCatalog catalog, ITransformer attributor, Func<int, IEstimator<ITransformer>> trainerFactory, IDataView train, IDataView test, DiffRoarOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(catalog);
        ArgumentNullException.ThrowIfNull(attributor);
        ArgumentNullException.ThrowIfNull(trainerFactory);
        ArgumentNullException.ThrowIfNull(train);
        ArgumentNullException.ThrowIfNull(test);
        options ??= new();
        OptionRanges.Check(options, "EvaluateDiffRoar");
        var env = CatalogUtils.GetEnvironment(catalog);
        var (fit, judge) = (RankedRows.Read(attributor.Transform(train), options), RankedRows.Read(attributor.Transform(test), options));
        var means = fit.Means();
        return new([.. options.Levels.Select(level => new DiffRoarPoint(level, Accuracies(level, isTop: true), Accuracies(level, isTop: false)))]);

        double[] Accuracies(double level, bool isTop)
        {
            var (masked, judged) = (fit.Keep(env, level, isTop, means), judge.Keep(env, level, isTop, means));
            return [.. Enumerable.Range(0, options.Repeats).Select(repeat => judge.Accuracy(trainerFactory(options.Seed + repeat).Fit(masked).Transform(judged)))];
        }
    }

    /// <summary>Tells how much of the contributions falls on the features that carry the signal, for data where it is known which these are.</summary>
    /// <param name="catalog">The catalog.</param>
    /// <param name="data">Rows with contributions and masks, vectors of Single of the same size.</param>
    /// <param name="contributionColumnName">The column of contributions.</param>
    /// <param name="maskColumnName">The column of masks: above 0 where a feature carries the signal.</param>
    /// <param name="fractions">Fractions of the features with the greatest contributions that are looked at alone, each above 0 and at most 1; null for 0.01, 0.05 and 0.1.</param>
    /// <returns>The report. Rows without any contribution are left out.</returns>
    /// <exception cref="ArgumentOutOfRangeException">A fraction is out of its range, or a column is missing or of a type that cannot be used.</exception>
    /// <exception cref="InvalidOperationException">No row has contributions.</exception>
    public static SignalFractionReport EvaluateSignalFraction(
        this ModelOperationsCatalog catalog, IDataView data, string contributionColumnName = "FeatureContributions", string maskColumnName = "SignalMask", IReadOnlyList<double>? fractions = null)
    {
        ArgumentNullException.ThrowIfNull(catalog);
        ArgumentNullException.ThrowIfNull(data);
        fractions ??= [0.01, 0.05, 0.1];
        foreach (var fraction in fractions)
        {
            ArgumentOutOfRangeException.ThrowIfNegativeOrZero(fraction, nameof(fractions));
            ArgumentOutOfRangeException.ThrowIfGreaterThan(fraction, 1, nameof(fractions));
        }

        var (found, mask) = (RowReader.Find(data.Schema, "contribution", contributionColumnName), RowReader.Find(data.Schema, "mask", maskColumnName));
        var width = VectorReader.Width(found);
        VectorReader.Find(data.Schema, maskColumnName, width);
        var (values, signal) = (new float[width], new float[width]);
        var (rows, overall, top) = (0L, 0.0, new double[fractions.Count]);
        using var cursor = data.GetRowCursor([found, mask]);
        var (readValues, readSignal) = (VectorReader.Create(cursor, found), VectorReader.Create(cursor, mask));
        while (cursor.MoveNext())
        {
            readValues.Read(values);
            readSignal.Read(signal);
            var ranked = values.Select((value, i) => (Size: (double)Math.Abs(value), IsSignal: signal[i] > 0)).OrderByDescending(entry => entry.Size).ToArray();
            if (ranked[0].Size == 0)
                continue;
            rows++;
            overall += Share(ranked);
            for (var i = 0; i < top.Length; i++)
                top[i] += Share(ranked.AsSpan(0, Math.Max(1, (int)Math.Round(fractions[i] * width))));
        }

        if (rows == 0)
            throw new InvalidOperationException($"No row has a contribution other than 0 in the column '{contributionColumnName}'.");
        return new(rows, overall / rows, [.. fractions.Select((fraction, i) => (fraction, top[i] / rows))]);

        static double Share(ReadOnlySpan<(double Size, bool IsSignal)> entries)
        {
            var (sum, onSignal) = (0.0, 0.0);
            foreach (var (size, isSignal) in entries)
            {
                sum += size;
                onSignal += isSignal ? size : 0;
            }

            return onSignal / sum;
        }
    }

    /// <summary>
    /// Ranks features by their mean |contribution| over rows. It tells which features move predictions; which ones the model's measure depends on, PermutationFeatureImportance tells.
    /// </summary>
    /// <param name="catalog">The catalog.</param>
    /// <param name="data">Rows with contributions.</param>
    /// <param name="contributionColumnName">The column of contributions.</param>
    /// <returns>The features, those with the greatest contributions first.</returns>
    /// <exception cref="ArgumentOutOfRangeException">The column is missing or no vector of numbers of known size.</exception>
    /// <exception cref="InvalidOperationException">There are no rows.</exception>
    public static IReadOnlyList<GlobalContribution> RankContributions(this ModelOperationsCatalog catalog, IDataView data, string contributionColumnName = "FeatureContributions")
    {
        ArgumentNullException.ThrowIfNull(catalog);
        ArgumentNullException.ThrowIfNull(data);
        var column = RowReader.Find(data.Schema, "contribution", contributionColumnName);
        var (row, sums, rows) = (new float[VectorReader.Width(column)], new double[VectorReader.Width(column)], 0L);
        using var cursor = data.GetRowCursor([column]);
        var reader = VectorReader.Create(cursor, column);
        for (; cursor.MoveNext(); rows++)
        {
            reader.Read(row);
            for (var i = 0; i < row.Length; i++)
                sums[i] += Math.Abs(row[i]);
        }

        if (rows == 0)
            throw new InvalidOperationException($"There are no rows with contributions in the column '{contributionColumnName}'.");
        var names = SlotNames.Get(column);
        return [.. sums.Select((sum, i) => new GlobalContribution(names?[i] ?? i.ToString(CultureInfo.InvariantCulture), sum / rows)).OrderByDescending(entry => entry.MeanAbsoluteContribution)];
    }

    /// <summary>Rows in memory, with the features of each in the order of their contributions.</summary>
    private sealed record RankedRows(float[][] Features, int[][] Order, float[] Labels, DataViewType LabelType, DiffRoarOptions Options)
    {
        public static RankedRows Read(IDataView data, DiffRoarOptions options)
        {
            var feature = RowReader.Find(data.Schema, "feature", options.FeatureColumnName);
            var contribution = VectorReader.Find(data.Schema, options.ContributionColumnName, VectorReader.Width(feature));
            var label = RowReader.Find(data.Schema, "label", options.LabelColumnName);
            if (label.Type is not (BooleanDataViewType or KeyDataViewType))
                throw DataErrors.WrongType("label", label.Name, "Boolean or a key", DataErrors.Describe(label.Type));
            var (features, order, labels) = (new List<float[]>(), new List<int[]>(), new List<float>());
            using var cursor = data.GetRowCursor([feature, contribution, label]);
            var (readFeatures, readContributions, readLabel) =
                (VectorReader.Create(cursor, feature), VectorReader.Create(cursor, contribution), ScalarReader.Create(cursor, label));
            var width = VectorReader.Width(feature);
            var sizes = new float[width];
            while (cursor.MoveNext())
            {
                if (readLabel() is var value && float.IsNaN(value))
                    continue;
                var row = new float[width];
                readFeatures.Read(row);
                readContributions.Read(sizes);
                features.Add(row);
                labels.Add(value);
                order.Add([.. Enumerable.Range(0, width).OrderByDescending(i => Math.Abs(sizes[i]))]);
            }

            return features.Count > 0 ? new([.. features], [.. order], [.. labels], label.Type, options) : throw DataErrors.NoRows(label.Name, 0, 0);
        }

        public float[] Means() => [.. Enumerable.Range(0, Features[0].Length).Select(i => (float)Features.Average(row => (double)row[i]))];

        public IDataView Keep(IHostEnvironment env, double level, bool isTop, float[] means)
        {
            var (width, kept) = (means.Length, Math.Max(1, (int)Math.Round(level * means.Length)));
            var rows = Features.Select((row, r) =>
            {
                var masked = (float[])means.Clone();
                foreach (var i in Order[r].AsSpan(isTop ? 0 : width - kept, kept))
                    masked[i] = row[i];
                return masked;
            }).ToArray();
            return LabelType is BooleanDataViewType
                ? View(env, rows.Select((row, r) => new FlaggedRow { Features = row, Label = Labels[r] > 0 }))
                : View(env, rows.Select((row, r) => new KeyedRow { Features = row, Label = (uint)Labels[r] + 1 }));
        }

        public double Accuracy(IDataView scored) => LabelType is BooleanDataViewType
            ? scored.GetColumn<bool>("PredictedLabel").Zip(Labels, (predicted, label) => predicted == label > 0 ? 1.0 : 0).Average()
            : scored.GetColumn<uint>("PredictedLabel").Zip(Labels, (predicted, label) => predicted == (uint)label + 1 ? 1.0 : 0).Average();

        private DataViewConstructionUtils.StreamingDataView<TRow> View<TRow>(IHostEnvironment env, IEnumerable<TRow> rows)
            where TRow : class
        {
            var schema = SchemaDefinition.Create(typeof(TRow));
            var (features, label) = (schema[nameof(KeyedRow.Features)], schema[nameof(KeyedRow.Label)]);
            (features.ColumnName, features.ColumnType) = (Options.FeatureColumnName, new VectorDataViewType(NumberDataViewType.Single, Features[0].Length));
            label.ColumnName = Options.LabelColumnName;
            if (LabelType is KeyDataViewType key)
                label.ColumnType = new KeyDataViewType(typeof(uint), key.Count);
            return DataViewConstructionUtils.CreateFromEnumerable(env, rows.ToArray(), schema);
        }
    }

    private sealed class FlaggedRow
    {
        public float[] Features { get; set; } = [];

        public bool Label { get; set; }
    }

    private sealed class KeyedRow
    {
        public float[] Features { get; set; } = [];

        public uint Label { get; set; }
    }
}
