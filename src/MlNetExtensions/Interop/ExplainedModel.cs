using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.Runtime;
using MlNetMlp.Explanations;
using MlNetMlp.Methods;
using MlNetMlp.Networks;

namespace MlNetMlp.Interop;

/// <summary>The last predictor of a model, alone or in a chain, and what makes its features.</summary>
/// <param name="Predictor">The predictor.</param>
/// <param name="Before">What is applied before it.</param>
internal sealed record ExplainedModel(ISingleFeaturePredictionTransformer<object> Predictor, IReadOnlyList<ITransformer> Before)
{
    /// <summary>The predictor's network; null for models that are none.</summary>
    public TrainedNetwork? Network => (Predictor.Model as NetworkModel)?.Network;

    public string FeatureColumnName => Predictor.FeatureColumnName;

    /// <summary>Number of features; null where the predictor does not say.</summary>
    public int? Width => Network?.Inputs ?? (Predictor.FeatureColumnType as VectorDataViewType)?.Size;

    public bool HasBefore => Before.Count > 0;

    public string Name => Network?.MethodName ?? Predictor.Model.GetType().Name;

    /// <summary>Finds it.</summary>
    /// <param name="model">The model.</param>
    /// <returns>The last predictor, or null where there is none.</returns>
    public static ExplainedModel? Find(ITransformer model) =>
        ChainSearch.Last<ISingleFeaturePredictionTransformer<object>>(model) is var (predictor, before) ? new(predictor, before) : null;

    /// <summary>Refuses what cannot be told of this model.</summary>
    /// <param name="options">What is wanted.</param>
    /// <exception cref="ArgumentOutOfRangeException">The options do not suit the model; the message names option and model.</exception>
    public void Check(ExplanationOptions options)
    {
        if (Network is null)
        {
            if (options.Method != ExplanationMethod.SmoothedFiniteDifference)
                throw Wrong("Method", $"SmoothedFiniteDifference for a {Name}, which has no gradients", options.Method);
            if (options.Output == ExplainedOutput.Loss)
                throw Wrong("Output", $"Logit or Probability for a {Name}, which is no network", options.Output);
            return;
        }

        if (Network.Sets is not null)
            throw new ArgumentException($"The model is a {Name}, which reads sets: only predictions from vectors of known size can be explained.", nameof(options));
        if (Network.Layout is not null)
            throw new ArgumentException($"The model is a {Name}, which reads other columns beside its features: only predictions from one vector can be explained.", nameof(options));
        var isSeveral = Network.Head is MultiOutputRegressionHead;
        if (isSeveral && options.Target is not (ExplanationTarget.ClassIndex or ExplanationTarget.AllClasses))
            throw Wrong("Target", $"ClassIndex or AllClasses for a {Name} of {Network.Outputs} numbers", options.Target);
        if (isSeveral && options.Output == ExplainedOutput.Loss)
            throw Wrong("Output", $"Logit for a {Name} of {Network.Outputs} numbers", options.Output);
        if (Network.Head is RegressionHead && options.Target == ExplanationTarget.TrueLabel)
            throw Wrong("Target", "PredictedClass for regression, which has no classes", options.Target);
        var classes = Network.Head is BinaryHead ? 2 : Network.Outputs;
        if (options.Target == ExplanationTarget.ClassIndex && options.ClassIndex >= classes)
            throw Wrong("ClassIndex", $"less than {classes}, the classes or numbers of the model", options.ClassIndex);

        static ArgumentOutOfRangeException Wrong(string option, string expected, object was) =>
            new(nameof(options), $"ExplainPrediction: option '{option}' must be {expected}, but was {was}.");
    }

    /// <summary>Whether the class that is explained is told.</summary>
    public bool TellsClass(ExplanationOptions options) => options.Target != ExplanationTarget.AllClasses && (Network is { } network
        ? network.Outputs > 1
        : Predictor.Model is IPredictor { PredictionKind: PredictionKind.MulticlassClassification });

    /// <summary>The annotation of the classes' names in the predictor's own column of predictions; null where they have none.</summary>
    public SchemaShape.Column? ClassNames()
    {
        if (Width is not { } width)
            return null;
        var builder = new DataViewSchema.Builder();
        builder.AddColumn(FeatureColumnName, new VectorDataViewType(NumberDataViewType.Single, width));
        var annotations = Predictor.GetOutputSchema(builder.ToSchema()).GetColumnOrNull("PredictedLabel")?.Annotations.Schema;
        return annotations?.GetColumnOrNull(AnnotationUtils.Kinds.KeyValues) is { Type: VectorDataViewType names }
            ? new SchemaShape.Column(AnnotationUtils.Kinds.KeyValues, SchemaShape.Column.VectorKind.Vector, names.ItemType, false)
            : null;
    }

    /// <summary>The data with the feature column: as they are, or after what is applied before the predictor.</summary>
    public IDataView Prepare(IDataView data) =>
        NeedsBefore(data.Schema) ? Before.Apply(data) : data;

    /// <summary>Whether the feature column has to be made first.</summary>
    public bool NeedsBefore(DataViewSchema schema) =>
        HasBefore && !(schema.GetColumnOrNull(FeatureColumnName)?.Type is VectorDataViewType found && (Width is null || found.Size == Width));

    /// <summary>Makes what explains.</summary>
    public Explainer CreateExplainer(IHostEnvironment env, ExplanationState state) =>
        Network is { } network ? new NetworkExplainer(state, network) : PredictorScores.CreateExplainer(env, Predictor, state);
}
