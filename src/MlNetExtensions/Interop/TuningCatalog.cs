using System.Text.Json;
using Microsoft.ML.Data;
using MlNetMlp.Methods;
using MlNetMlp.Options;
using MlNetMlp.Tuning;

namespace Microsoft.ML;

/// <summary>Searches for options by cross-validation.</summary>
public static class TuningCatalog
{
    /// <summary>
    /// Searches for the options of a trainer, or of a chain that ends in one, by random search with successive halving: see <see cref="TuningOptions"/>.
    /// </summary>
    /// <typeparam name="TOptions">The options.</typeparam>
    /// <param name="catalog">The catalog.</param>
    /// <param name="makeTrainer">Makes a trainer of options: <c>options => ml.Regression.Trainers.CreateTrainer(new MyMethod(options))</c>, alone or behind transforms. It is fitted to the training rows of each fold.</param>
    /// <param name="start">The options that the search starts from, which are evaluated too: what is found is no worse on the rows held out.</param>
    /// <param name="space">What may be chosen.</param>
    /// <param name="data">The rows; where reading them takes long, behind <c>Cache</c>, as each fold of each evaluation reads them.</param>
    /// <param name="options">How the search goes; null for the defaults.</param>
    /// <param name="loss">
    /// What is minimised, of the metrics of the rows that a fold held out; null for the root of the mean squared error of regression, the log-loss of classes (of two, in bits, and the trainer has
    /// to give probabilities; of many, in nats).
    /// </param>
    /// <returns>The best options, and all evaluations.</returns>
    /// <exception cref="ArgumentOutOfRangeException">An option of the search is out of its range.</exception>
    /// <exception cref="InvalidOperationException">Training failed with all settings, or the journal is one of another search.</exception>
    /// <exception cref="OperationCanceledException">The search was stopped.</exception>
    public static TuningResult<TOptions> Tune<TOptions>(
        this RegressionCatalog catalog, Func<TOptions, IEstimator<ITransformer>> makeTrainer, TOptions start, SearchSpace<TOptions> space, IDataView data,
        TuningOptions? options = null, Func<RegressionMetrics, double>? loss = null)
        where TOptions : class
    {
        ArgumentNullException.ThrowIfNull(catalog);
        return Run(
            catalog.GetEnvironment(), makeTrainer, start, space, data, options, loss is null ? "RMSE" : "loss",
            (scored, label) => (loss ?? (metrics => metrics.RootMeanSquaredError))(catalog.Evaluate(scored, label)));
    }

    /// <inheritdoc cref="Tune{TOptions}(RegressionCatalog, Func{TOptions, IEstimator{ITransformer}}, TOptions, SearchSpace{TOptions}, IDataView, TuningOptions, Func{RegressionMetrics, double})"/>
    public static TuningResult<TOptions> Tune<TOptions>(
        this BinaryClassificationCatalog catalog, Func<TOptions, IEstimator<ITransformer>> makeTrainer, TOptions start, SearchSpace<TOptions> space, IDataView data,
        TuningOptions? options = null, Func<CalibratedBinaryClassificationMetrics, double>? loss = null)
        where TOptions : class
    {
        ArgumentNullException.ThrowIfNull(catalog);
        return Run(
            catalog.GetEnvironment(), makeTrainer, start, space, data, options, loss is null ? "log-loss" : "loss",
            (scored, label) => (loss ?? (metrics => metrics.LogLoss))(catalog.Evaluate(scored, label)));
    }

    /// <inheritdoc cref="Tune{TOptions}(RegressionCatalog, Func{TOptions, IEstimator{ITransformer}}, TOptions, SearchSpace{TOptions}, IDataView, TuningOptions, Func{RegressionMetrics, double})"/>
    public static TuningResult<TOptions> Tune<TOptions>(
        this MulticlassClassificationCatalog catalog, Func<TOptions, IEstimator<ITransformer>> makeTrainer, TOptions start, SearchSpace<TOptions> space, IDataView data,
        TuningOptions? options = null, Func<MulticlassClassificationMetrics, double>? loss = null)
        where TOptions : class
    {
        ArgumentNullException.ThrowIfNull(catalog);
        return Run(
            catalog.GetEnvironment(), makeTrainer, start, space, data, options, loss is null ? "log-loss" : "loss",
            (scored, label) => (loss ?? (metrics => metrics.LogLoss))(catalog.Evaluate(scored, label)));
    }

    private static TuningResult<TOptions> Run<TOptions>(
        Runtime.IHostEnvironment env, Func<TOptions, IEstimator<ITransformer>> makeTrainer, TOptions start, SearchSpace<TOptions> space, IDataView data, TuningOptions? options, string measure,
        Func<IDataView, string, double> evaluate)
        where TOptions : class
    {
        ArgumentNullException.ThrowIfNull(makeTrainer);
        ArgumentNullException.ThrowIfNull(start);
        ArgumentNullException.ThrowIfNull(space);
        ArgumentNullException.ThrowIfNull(data);
        options ??= new();
        OptionRanges.Check(options, "Tune");
        if (space.Names.Count == 0)
            throw new ArgumentException("Tune: the search space has no dimension; add some by Between and Choose.", nameof(space));
        if (data.Schema.GetColumnOrNull(options.LabelColumnName) is null)
            throw new ArgumentOutOfRangeException(nameof(options), $"Tune: there is no column '{options.LabelColumnName}', which option 'LabelColumnName' names.");
        var rows = new DataOperationsCatalog(env);
        var folds = rows.CrossValidationSplit(data, options.Folds, options.SamplingKeyColumnName, options.Seed);
        var search = new TuningSearch(
            measure, start is NetworkOptions known ? known.ToJson().ReplaceLineEndings("") : JsonSerializer.Serialize(start), space.Description, options.Folds, options.Seed,
            [.. data.Schema.Select(column => $"{column.Name}: {column.Type}")]);
        return new Tuner<TOptions>(start, space, options, search, Losses).Run();

        double[] Losses(TOptions settings, double share) => [.. folds.Select(fold =>
        {
            // Another seed than that of the folds, by which rows would be chosen that lie alike in them.
            var train = share < 1 ? rows.TrainTestSplit(fold.TrainSet, 1 - share, options.SamplingKeyColumnName, unchecked(options.Seed + 1)).TrainSet : fold.TrainSet;
            var model = makeTrainer(settings).Fit(train);
            try
            {
                return evaluate(model.Transform(fold.TestSet), options.LabelColumnName);
            }
            finally
            {
                (model as IDisposable)?.Dispose();
            }
        })];
    }
}
