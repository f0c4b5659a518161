using Microsoft.ML.Data;
using Microsoft.ML.Runtime;
using MlNetMlp.Data;
using MlNetMlp.Interop;
using MlNetMlp.Methods;
using MlNetMlp.Networks;
using MlNetMlp.Options;

namespace Microsoft.ML;

/// <summary>Tells how classifiers hold when their features are perturbed.</summary>
public static class RobustnessCatalog
{
    /// <summary>
    /// Attacks a network with perturbations of its features, and tells its accuracy as it is and at the worst points found, radius by radius; for one hidden layer of
    /// ReLU units also the share of the rows that no perturbation of that size can fool.
    /// </summary>
    /// <param name="catalog">The catalog.</param>
    /// <param name="data">The rows, with the columns that the model's input has, and the label.</param>
    /// <param name="model">A fitted or loaded model with a network in it, alone or in a chain, of which the last one counts: what is perturbed are the features that it reads.</param>
    /// <param name="options">Radii and how hard to try; null for the defaults.</param>
    /// <returns>The report.</returns>
    /// <exception cref="ArgumentException">The model holds no network for this task.</exception>
    /// <exception cref="ArgumentOutOfRangeException">An option is out of its range, or a column is missing or of a type that cannot be used.</exception>
    public static RobustnessReport EvaluateRobustness(
        this BinaryClassificationCatalog catalog, IDataView data, ITransformer model, RobustnessOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(catalog);
        return Evaluate<BinaryHead>(data, model, options ?? new());
    }

    /// <inheritdoc cref="EvaluateRobustness(BinaryClassificationCatalog, IDataView, ITransformer, RobustnessOptions?)"/>
    public static RobustnessReport EvaluateRobustness(
        this MulticlassClassificationCatalog catalog, IDataView data, ITransformer model, RobustnessOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(catalog);
        return Evaluate<MulticlassHead>(data, model, options ?? new());
    }

    private static RobustnessReport Evaluate<THead>(IDataView data, ITransformer model, RobustnessOptions options)
        where THead : TaskHead
    {
        ArgumentNullException.ThrowIfNull(data);
        ArgumentNullException.ThrowIfNull(model);
        OptionRanges.Check(options, "EvaluateRobustness");
        if (NetworkReplacement.Find(model) is not { Transformer: { Model.Network: { Head: THead } network } transformer, Before: var before })
            throw new ArgumentException($"The model holds no network for this task ({typeof(THead).Name}).", nameof(model));
        if (network.Sets is not null)
            throw new ArgumentException($"The model is a {network.MethodName}, which reads sets: only vectors of known size can be attacked.", nameof(model));
        if (network.Layout is not null)
            throw new ArgumentException($"The model is a {network.MethodName}, which reads other columns beside its features: only vectors of numbers can be attacked.", nameof(model));
        using var rows = LabeledRows.Read(before(data), transformer.FeatureColumnName, options.LabelColumnName, network.Inputs);
        var classes = Math.Max(2, network.Outputs);
        if (Array.FindIndex(rows.Labels, label => !(label >= 0 && label < classes && label == MathF.Truncate(label))) is >= 0 and var bad)
            throw DataErrors.UnknownClass(options.LabelColumnName, rows.Labels[bad], classes);
        using var evaluation = new RobustnessEvaluation(network, options);
        return evaluation.Run(rows);
    }
}
