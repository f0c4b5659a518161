using Microsoft.ML.Data;
using Microsoft.ML.Runtime;
using MlNetMlp.Data;
using MlNetMlp.Explanations;
using MlNetMlp.Interop;
using MlNetMlp.Options;
using MlNetMlp.Runtime;

namespace Microsoft.ML;

/// <summary>
/// Tells how near rows are to a classifier's boundary, and so how near adversarial examples are, without an attack: a boundary that is tilted from that of the nearest centroid comes near to all rows
/// (Tanay and Griffin, "A Boundary Tilting Perspective on the Phenomenon of Adversarial Examples", 2016).
/// </summary>
public static class BoundaryTiltCatalog
{
    /// <summary>
    /// Tells of each row how far it is from a binary model's boundary. The columns, each a Single: <c>BoundaryDistance</c>, above 0 where true is predicted; <c>CentroidDistance</c>, the same of the
    /// boundary of the nearest centroid; <c>RowStrength</c>, |CentroidDistance| / |BoundaryDistance|, how many times nearer the model's boundary is than it need be. Where it is asked for, <c>MirrorImage</c>, a
    /// vector of Single, is the row mirrored at its nearest point of the boundary: for linear models an adversarial example whose score is the row's with the other sign.
    /// </summary>
    /// <param name="catalog">The catalog.</param>
    /// <param name="model">
    /// A fitted or loaded network for binary classification, or linear binary model of ML.NET, alone or in a chain, of which the last predictor counts. Distances are in the units of the column that this reads:
    /// after a normaliser those of normalised features.
    /// </param>
    /// <param name="options">The options; null for the defaults.</param>
    /// <returns>
    /// An estimator. Fit it to the training rows with their labels, of which it keeps nothing but the two means; the transformer takes rows with the feature column, or with what the chain makes it of, and
    /// needs no labels. The boundary of a network is looked for by Newton's steps and halving: what is found is on the boundary, but there may be nearer points. Where none is found distance, strength
    /// and mirror image are NaN. Features must be finite, also where the network takes others.
    /// </returns>
    /// <exception cref="ArgumentException">The model holds no predictor of a feature column, or another one than these.</exception>
    /// <exception cref="ArgumentOutOfRangeException">An option is out of its range; the message names it.</exception>
    public static BoundaryTiltEstimator BoundaryTilt(this TransformsCatalog catalog, ITransformer model, BoundaryTiltOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(catalog);
        ArgumentNullException.ThrowIfNull(model);
        return new(CatalogUtils.GetEnvironment(catalog), model, options ?? new());
    }

    /// <summary>
    /// Tells how far the boundaries of a classifier are tilted from those of the nearest centroid of the rows that it is given, how near that makes adversarial examples, and whether the data need the tilt.
    /// </summary>
    /// <param name="catalog">The catalog.</param>
    /// <param name="model">
    /// A fitted or loaded network for classification, or linear binary or multiclass model of ML.NET, alone or in a chain, of which the last predictor counts. All is told in the space of the column that this
    /// reads.
    /// </param>
    /// <param name="data">Rows with labels, and the feature column or what the chain makes it of; all of them are kept in memory. Centroids, variances and the error rate are theirs.</param>
    /// <param name="options">Columns and limits; null for the defaults.</param>
    /// <returns>The report.</returns>
    /// <exception cref="ArgumentException">The model holds no predictor of a feature column, or another one than these.</exception>
    /// <exception cref="ArgumentOutOfRangeException">An option is out of its range, or a column is missing or of a type that cannot be used.</exception>
    /// <exception cref="InvalidOperationException">There are no rows of a second class, a feature is not finite, or a label is none of the model's classes.</exception>
    /// <exception cref="LibTorchException">libtorch does not load.</exception>
    public static BoundaryTiltReport EvaluateBoundaryTilt(
        this ModelOperationsCatalog catalog, ITransformer model, IDataView data, BoundaryTiltEvaluationOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(catalog);
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(data);
        options ??= new();
        OptionRanges.Check(options, "EvaluateBoundaryTilt");
        var found = ModelBoundaries.Find(model);
        using var boundaries = ModelBoundaries.OfClassifier(found, options.NewtonSteps);
        LibTorch.Load();
        var prepared = found.Prepare(data);
        var label = RowReader.Find(prepared.Schema, "label", options.LabelColumnName);
        var isBinary = ModelBoundaries.IsBinary(found);
        if (isBinary ? label.Type is not (BooleanDataViewType or NumberDataViewType) : label.Type is not KeyDataViewType)
            throw DataErrors.WrongType("label", label.Name, isBinary ? "Boolean (or a number that is 0 or 1)" : "a key", DataErrors.Describe(label.Type));
        using var rows = LabeledRows.Read(prepared, found.FeatureColumnName, options.LabelColumnName, boundaries.Inputs);
        if (Array.FindIndex(rows.Labels, own => !(own >= 0 && own < boundaries.Classes && own == MathF.Truncate(own))) is >= 0 and var bad)
            throw isBinary ? DataErrors.NotBinary(label.Name, rows.Labels[bad]) : DataErrors.UnknownClass(label.Name, rows.Labels[bad], boundaries.Classes);
        if (rows.Labels.Distinct().Take(2).Count() < 2)
            throw DataErrors.OneClass(label.Name, rows.Labels[0].ToString(System.Globalization.CultureInfo.InvariantCulture), rows.Labels.Length);
        return new BoundaryTiltEvaluation(rows, boundaries, options).Run();
    }
}
