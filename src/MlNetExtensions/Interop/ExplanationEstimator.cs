using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.Runtime;
using MlNetMlp.Data;
using MlNetMlp.Explanations;
using MlNetMlp.Networks;
using MlNetMlp.Options;
using MlNetMlp.Runtime;

namespace MlNetMlp.Interop;

/// <summary>Prepares explanations of a fitted model's predictions. Made by <see cref="ExplanationCatalog"/>.</summary>
/// <remarks>Fitting learns nothing but the range and the mean of each feature.</remarks>
public sealed class ExplanationEstimator : IEstimator<ExplanationTransformer>
{
    private readonly IHost _host;
    private readonly ITransformer _model;
    private readonly ExplanationOptions _options;
    private readonly ExplainedModel _explained;

    internal ExplanationEstimator(IHostEnvironment env, ITransformer model, ExplanationOptions options)
    {
        _host = env.Register("ExplainPrediction");
        (_model, _options) = (model, options);
        OptionRanges.Check(options, "ExplainPrediction");
        _explained = ExplainedModel.Find(model) ?? throw new ArgumentException(
            "The model holds no predictor of a feature column that could be explained: give a fitted trainer, or a chain of transformers with one in it.", nameof(model));
        _explained.Check(options);
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
        var added = new List<SchemaShape.Column> { SchemaShapes.VectorOfSingle(_options.OutputColumnName, hasNames: true) };
        if (_explained.TellsClass(_options))
            added.Add(new(ExplanationTransformer.ClassColumnName, SchemaShape.Column.VectorKind.Scalar, NumberDataViewType.UInt32, true, ClassNames()));
        if (_options.AddConvergenceDelta)
            added.Add(new(ExplanationTransformer.DeltaColumnName, SchemaShape.Column.VectorKind.Scalar, NumberDataViewType.Single, false));
        return inputSchema.With(added);
    }

    /// <summary>Reads the feature column once.</summary>
    /// <param name="input">Rows like those that the model was trained on, with the feature column or with what the model makes it of.</param>
    /// <returns>The transformer that adds the contributions.</returns>
    /// <exception cref="ArgumentOutOfRangeException">A column is missing or of a type or width that cannot be used, or the baseline has another width than the features.</exception>
    /// <exception cref="InvalidOperationException">There are no rows, a feature is not finite, or slots are to be grouped that have no names.</exception>
    /// <exception cref="LibTorchException">libtorch does not load.</exception>
    public ExplanationTransformer Fit(IDataView input)
    {
        ArgumentNullException.ThrowIfNull(input);
        using var channel = _host.Start("Fit");
        var data = _explained.Prepare(input);
        var width = VectorReader.Width(RowReader.Find(data.Schema, "feature", _explained.FeatureColumnName));
        if (_options.BaselineVector is { } baseline && baseline.Count != width)
            throw new ArgumentOutOfRangeException(nameof(input), $"ExplainPrediction: option 'BaselineVector' must have {width} numbers, one for each feature, but has {baseline.Count}.");
        if (_options.NeedsLabel)
            RowReader.Find(data.Schema, "label", _options.LabelColumnName);
        var range = FeatureRange.Read(
            data, _explained.FeatureColumnName, _explained.Width ?? width, _explained.Network?.AcceptsMissingValues == true, () => _host.CheckAlive());
        var state = new ExplanationState(_options, range.Minimum, range.Maximum, range.Mean, range.SlotNames ?? _explained.Network?.FeatureNames);
        var transformer = new ExplanationTransformer(_host, _model, state);
        transformer.GetOutputSchema(input.Schema);
        channel.Info($"{_options.Method} explains {_explained.Name}, {LibTorch.Load()}.");
        return transformer;
    }

    // The transformer passes on what the predictor knows of its classes; whether they have names only it can say.
    private SchemaShape ClassNames() => _explained.ClassNames() is { } names ? new SchemaShape([names]) : new SchemaShape([]);
}
