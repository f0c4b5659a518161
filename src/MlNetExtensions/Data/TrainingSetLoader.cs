using Microsoft.ML;
using Microsoft.ML.Data;
using MlNetMlp.Networks;
using MlNetMlp.Runtime;

namespace MlNetMlp.Data;

/// <summary>How a data view becomes a training set.</summary>
/// <param name="Task">What the labels mean.</param>
/// <param name="Columns">The columns to read.</param>
/// <param name="ClassNames">Names of the classes; empty for regression.</param>
/// <param name="ClassWeights">Weights of the classes, or null.</param>
/// <param name="ValidationFraction">Share of the rows held out, where neither a column nor a data view of their own says which.</param>
/// <param name="MemoryBudget">Bytes that the rows may take; a larger set is streamed.</param>
/// <param name="AcceptNonFinite">Whether features may be NaN or infinite.</param>
/// <param name="Seed">Chooses the rows held out and their order in training.</param>
internal sealed record LoadSettings(
    TaskKind Task,
    ColumnNames Columns,
    IReadOnlyList<string> ClassNames,
    ClassWeights? ClassWeights,
    double ValidationFraction,
    long MemoryBudget,
    bool AcceptNonFinite,
    int Seed);

/// <summary>
/// Reads a data view once: counts it, gathers statistics, and keeps the rows if they fit the budget. A larger set is read again in each
/// epoch, through a buffer of the budget's size.
/// </summary>
internal sealed class TrainingSetLoader(LoadSettings settings, Action<string> log, Action checkCancelled)
{
    private const int CheckInterval = 1024;

    private readonly double[] _classRows = new double[settings.ClassNames.Count];
    private double[] _labelMeans = [];
    private double[] _labelSquares = [];
    private IReadOnlyList<int> _dimensions = [];
    private IReadOnlyList<IReadOnlyList<string>?> _keyNames = [];
    private double _weightSum;
    private bool _weighted;

    /// <summary>Loads a training set.</summary>
    /// <param name="data">The rows to train on.</param>
    /// <param name="validation">Rows held out, or null to hold out some of <paramref name="data"/>.</param>
    /// <param name="initialHead">The head of the model that training goes on from: its labels' scale is kept; or null.</param>
    /// <returns>The set and the head of its task.</returns>
    public (TrainingSet Set, TaskHead Head) Load(IDataView data, IDataView? validation, TaskHead? initialHead)
    {
        var features = settings.Columns.Features;
        var (width, labelWidth) = (features.Width(data, checkCancelled), RowReader.LabelWidth(data.Schema, settings.Columns.Label));
        if (features.Sets is not null && validation is not null)
            width = Math.Max(width, features.Width(validation, checkCancelled));
        var names = features.FeatureNames(data.Schema);
        (_dimensions, _keyNames) = (features.Dimensions(data.Schema, width), features.KeyNames(data.Schema));
        (_labelMeans, _labelSquares) = (new double[labelWidth], new double[labelWidth]);
        var limit = Math.Max(1, settings.MemoryBudget / RowStore.BytesPerRow(width, labelWidth));
        var known = data.GetRowCount();
        var moments = new FeatureMoments(width);
        var store = new RowStore(width, labelWidth, known <= limit ? known : null, limit);
        long rows = 0;
        bool[]? validationFlags = null;

        try
        {
            using (var reader = new RowReader(data, settings.Columns, settings.AcceptNonFinite))
            {
                var flags = settings.Columns.Validation is null ? null : new List<bool>();
                var streamed = known > limit;
                while (reader.Next(store.NextRow()))
                {
                    store.Commit(reader.Label, reader.Weight);
                    rows++;
                    Count(reader.Label, reader.Weight);
                    if (!streamed)
                        flags?.Add(reader.IsValidation);
                    streamed |= rows > limit;
                    if (streamed && store.Count * (long)width >= 1 << 20)
                    {
                        store.ForEachBlock(moments.Add);
                        store.Clear();
                    }

                    if (rows % CheckInterval == 0)
                        checkCancelled();
                }

                LogSkipped(reader);
                if (rows == 0)
                    throw DataErrors.NoRows(settings.Columns.Label ?? "", reader.MissingLabels, reader.ZeroWeights);
                store.ForEachBlock(moments.Add);
                if (streamed)
                    store.Dispose();
                validationFlags = flags?.ToArray();
                CheckClasses(rows);

                var head = MakeHead(settings.Columns.Label is { } label ? SlotNames.Get(data.Schema[label]) : null, width, initialHead);
                var (factors, meanWeight) = RowWeights(rows);
                var shared = new RowTransform(head, factors, _weighted || settings.ClassWeights is not null, meanWeight);
                var held = validation is null ? null : LoadValidation(validation, width, shared);
                var hold = held is null && settings.Columns.Validation is null ? settings.ValidationFraction : 0;
                var set = streamed
                    ? Streamed(data, width, rows, limit, moments.Finish(), names, shared, held, hold)
                    : InMemory(store, moments.Finish(), names, shared, held, hold, validationFlags);
                return (set, head);
            }
        }
        finally
        {
            store.Dispose();
        }
    }

    private TrainingSet InMemory(
        RowStore store, FeatureStatistics statistics, string[]? slotNames, RowTransform transform, RowBlock? held, double hold, bool[]? flags)
    {
        var rows = (int)store.Count;
        var isValidation = flags ?? (settings.Task.IsClassification()
            ? ValidationSplit.Choose(store.Labels, settings.ClassNames.Count, hold, settings.Seed)
            : ValidationSplit.Choose(new float[rows], 1, hold, settings.Seed));
        var all = transform.Make(store.Weights, store.Labels, store.TakeFeatures());
        var train = Enumerable.Range(0, rows).Where(i => !isValidation[i]).Select(i => (long)i).ToArray();
        if (train.Length == 0)
            throw DataErrors.NoTrainingRows(settings.Columns.Validation!);
        if (held is null && train.Length < rows)
            held = RowPool.Gather(all, [.. Enumerable.Range(0, rows).Where(i => isValidation[i]).Select(i => (long)i)]);
        log($"{rows} rows of {statistics.Mean.Count} features are in memory, {held?.Rows ?? 0} held out for validation.");
        return new TrainingSet(statistics, slotNames, train.Length, held, settings.Seed, transform.MeanWeight, new RowPool(all, train), null)
        {
            Sets = settings.Columns.Features.Sets,
            Layout = settings.Columns.Features.Layout,
            KeyNames = _keyNames,
            Images = settings.Columns.Features.Images,
            FeatureDimensions = _dimensions,
        };
    }

    private TrainingSet Streamed(
        IDataView data, int width, long rows, long limit, FeatureStatistics statistics, string[]? slotNames, RowTransform transform, RowBlock? held, double hold)
    {
        // A quarter of the budget holds the validation rows, the rest the shuffle buffer.
        var room = Math.Max(1, limit / 4);
        if (hold * rows > room)
        {
            log($"The validation part is cut from {hold:P1} to {(double)room / rows:P1} of the rows to stay within the memory budget.");
            hold = (double)room / rows;
        }

        var source = new RowStream(data, settings, transform, width, _labelMeans.Length, hold, checkCancelled);
        if (held is null && (hold > 0 || settings.Columns.Validation is not null))
            held = source.ReadValidation(room, log);
        var training = settings.Columns.Validation is null && hold == 0 ? rows : source.CountTraining();
        log($"{rows} rows of {width} features do not fit the memory budget of {MemoryBudget.Format(settings.MemoryBudget)}: they are streamed in each epoch, {held?.Rows ?? 0} held out for validation.");
        return new TrainingSet(statistics, slotNames, training, held, settings.Seed, transform.MeanWeight, null, source with { BufferRows = Math.Max(1, limit - (held?.Rows ?? 0)) })
        {
            Sets = settings.Columns.Features.Sets,
            Layout = settings.Columns.Features.Layout,
            KeyNames = _keyNames,
            Images = settings.Columns.Features.Images,
            FeatureDimensions = _dimensions,
        };
    }

    private RowBlock LoadValidation(IDataView validation, int width, RowTransform transform)
    {
        var columns = settings.Columns with { Validation = null };
        columns.Features.Find(validation.Schema, width);
        using var store = new RowStore(width, _labelMeans.Length, validation.GetRowCount(), long.MaxValue);
        using var reader = new RowReader(validation, columns, settings.AcceptNonFinite);
        while (reader.Next(store.NextRow()))
        {
            CheckClass(reader.Label[0]);
            store.Commit(reader.Label, reader.Weight);
        }

        LogSkipped(reader);
        if (store.Count == 0)
            throw new InvalidOperationException("The validation data have no rows with a label.");
        return transform.Make(store.Weights, store.Labels, store.TakeFeatures());
    }

    private void Count(ReadOnlySpan<float> label, float weight)
    {
        _weightSum += weight;
        _weighted |= weight != 1;
        if (settings.Task.IsClassification())
        {
            CheckClass(label[0]);
            _classRows[(int)label[0]] += weight;
            return;
        }

        for (var k = 0; k < label.Length; k++)
        {
            var difference = label[k] - _labelMeans[k];
            _labelMeans[k] += difference * (weight / _weightSum);
            _labelSquares[k] += weight * difference * (label[k] - _labelMeans[k]);
        }
    }

    private void CheckClass(float label)
    {
        if (settings.Task.IsClassification() && !(label >= 0 && label < _classRows.Length && label == MathF.Truncate(label)))
            throw settings.Task == TaskKind.Binary ? DataErrors.NotBinary(settings.Columns.Label!, label) : DataErrors.UnknownClass(settings.Columns.Label!, label, _classRows.Length);
    }

    private TaskHead MakeHead(string[]? labelNames, int width, TaskHead? initial)
    {
        if (initial is not null)
            return initial is MultiOutputRegressionHead several ? several with { LabelNames = labelNames } : initial;
        var scales = _labelSquares.Zip(_labelMeans, (squares, mean) => Math.Sqrt(squares / _weightSum) is var deviation && deviation > 1e-9 * Math.Abs(mean) ? deviation : 1).ToArray();
        return settings.Task switch
        {
            TaskKind.Regression => new RegressionHead { LabelMean = _labelMeans[0], LabelScale = scales[0] },
            TaskKind.MultiOutputRegression => new MultiOutputRegressionHead { LabelMeans = _labelMeans, LabelScales = scales, LabelNames = labelNames },
            TaskKind.Binary => new BinaryHead(),
            TaskKind.Features => new FeatureHead { Width = width },
            _ => new MulticlassHead { Classes = settings.ClassNames.Count },
        };
    }

    private void CheckClasses(long rows)
    {
        if (settings.Task.IsClassification() && _classRows.Count(r => r > 0) < 2)
            throw DataErrors.OneClass(settings.Columns.Label!, settings.ClassNames[Math.Max(0, Array.FindIndex(_classRows, r => r > 0))], rows);
    }

    /// <summary>What an example weight is multiplied by, for each class, so that the weights of all rows have mean 1, and the mean before.</summary>
    private (float[] Factors, double Mean) RowWeights(long rows)
    {
        if (!settings.Task.IsClassification())
            return ([(float)(rows / _weightSum)], _weightSum / rows);
        var byClass = settings.ClassWeights?.For(_classRows) ?? [.. _classRows.Select(_ => 1f)];
        var sum = byClass.Zip(_classRows, (w, r) => w * r).Sum();
        return sum > 0
            ? ([.. byClass.Select(w => (float)(w * rows / sum))], sum / rows)
            : throw new InvalidOperationException($"The class weights leave no row to train on: all classes of '{settings.Columns.Label}' that occur have weight 0.");
    }

    private void LogSkipped(RowReader reader)
    {
        if (reader.MissingLabels > 0)
            log($"{reader.MissingLabels} rows without a label were skipped.");
        if (reader.ZeroWeights > 0)
            log($"{reader.ZeroWeights} rows of weight 0 were skipped.");
    }
}
