using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.Runtime;
using MlNetMlp.Data;
using MlNetMlp.Explanations;
using MlNetMlp.Options;
using MlNetMlp.Runtime;

namespace MlNetMlp.Interop;

/// <summary>Prepares the distances of rows to a fitted model's boundary. Made by <see cref="BoundaryTiltCatalog"/>.</summary>
/// <remarks>Fitting learns nothing but the mean of the features of each class.</remarks>
public sealed class BoundaryTiltEstimator : IEstimator<BoundaryTiltTransformer>
{
    private readonly IHost _host;
    private readonly ITransformer _model;
    private readonly BoundaryTiltOptions _options;
    private readonly ExplainedModel _explained;

    internal BoundaryTiltEstimator(IHostEnvironment env, ITransformer model, BoundaryTiltOptions options)
    {
        _host = env.Register("BoundaryTilt");
        (_model, _options) = (model, options);
        OptionRanges.Check(options, "BoundaryTilt");
        _explained = ModelBoundaries.Find(model);
        ModelBoundaries.OfBinary(_explained, options.NewtonSteps).Dispose();
    }

    /// <summary>The columns after the transformation.</summary>
    /// <param name="inputSchema">The columns before.</param>
    /// <returns>The columns.</returns>
    /// <exception cref="ArgumentOutOfRangeException">A column that is read is missing.</exception>
    public SchemaShape GetOutputSchema(SchemaShape inputSchema)
    {
        ArgumentNullException.ThrowIfNull(inputSchema);
        if (!_explained.HasBefore && inputSchema.All(column => column.Name != _explained.FeatureColumnName))
            throw DataErrors.MissingColumn("feature", _explained.FeatureColumnName, inputSchema.Select(column => column.Name));
        var added = BoundaryTiltTransformer.FigureColumnNames
            .Select(name => new SchemaShape.Column(name, SchemaShape.Column.VectorKind.Scalar, NumberDataViewType.Single, false)).ToList();
        if (_options.AddMirrorImage)
            added.Add(SchemaShapes.VectorOfSingle(BoundaryTiltTransformer.MirrorColumnName, hasNames: true));
        return inputSchema.With(added);
    }

    /// <summary>Reads features and labels once.</summary>
    /// <param name="input">Rows like those that the model was trained on, with their labels, and the feature column or what the model makes it of. Rows without a label are passed over.</param>
    /// <returns>The transformer that adds the distances; it reads no labels.</returns>
    /// <exception cref="ArgumentOutOfRangeException">A column is missing or of a type or width that cannot be used.</exception>
    /// <exception cref="InvalidOperationException">There are no rows of one of the classes, both have the same mean, a feature is not finite, or a label is neither 0 nor 1.</exception>
    /// <exception cref="LibTorchException">The model is a network, and libtorch does not load.</exception>
    public BoundaryTiltTransformer Fit(IDataView input)
    {
        ArgumentNullException.ThrowIfNull(input);
        using var channel = _host.Start("Fit");
        var data = _explained.Prepare(input);
        using var boundaries = ModelBoundaries.OfBinary(_explained, _options.NewtonSteps);
        var means = ClassMeans.Read(data, _explained.FeatureColumnName, _options.LabelColumnName, boundaries.Inputs, () => _host.CheckAlive());
        var centroids = new CentroidBoundary(means.False, means.True);
        if (centroids.Length == 0)
        {
            throw new InvalidOperationException(
                $"The features '{_explained.FeatureColumnName}' of rows with '{_options.LabelColumnName}' true and false have the same mean: there is no boundary of the nearest centroid to compare to.");
        }

        var transformer = new BoundaryTiltTransformer(_host, _model, new(_options, means.False, means.True, means.SlotNames ?? _explained.Network?.FeatureNames));
        transformer.GetOutputSchema(input.Schema);
        channel.Info(FormattableString.Invariant($"The means of the classes are {centroids.Length:G4} apart."));
        return transformer;
    }
}
