using System.Globalization;
using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.Runtime;
using MlNetMlp.Data;
using MlNetMlp.Methods;
using MlNetMlp.Networks;

namespace MlNetMlp.Interop;

/// <summary>What differs between the labels of the tasks.</summary>
internal abstract class TaskAdapter
{
    // The first that accepts a label is meant: binary classification takes numbers too where it is asked for.
    private static readonly TaskAdapter[] All = [new RegressionAdapter(), new MultiOutputRegressionAdapter(), new MulticlassAdapter(), new BinaryAdapter()];

    public abstract TaskKind Kind { get; }

    /// <summary>What a label column must be, for an error.</summary>
    public abstract string Labels { get; }

    /// <summary>The task that the type of a label stands for.</summary>
    /// <param name="label">The label.</param>
    /// <returns>The task, or null where the column is no label.</returns>
    public static TaskAdapter? ForLabel(SchemaShape.Column label) => Array.Find(All, task => task.Accepts(label));

    public abstract bool Accepts(SchemaShape.Column label);

    /// <summary>Checks columns that only this task reads.</summary>
    /// <param name="schema">The columns.</param>
    public virtual void CheckColumns(SchemaShape schema)
    {
    }

    /// <summary>What the labels of a column mean, where a task has labels of several kinds.</summary>
    /// <param name="label">A label that the task accepts.</param>
    /// <returns>The task that its network is trained for.</returns>
    public virtual TaskKind KindOf(DataViewSchema.Column label) => Kind;

    /// <summary>Names of the classes; none for regression.</summary>
    /// <param name="label">A label that the task accepts.</param>
    /// <returns>The names in the order of the classes.</returns>
    public virtual IReadOnlyList<string> ClassNames(DataViewSchema.Column label) => [];

    /// <summary>Checks that the labels of the validation data mean the same as those of the training data.</summary>
    /// <param name="label">The label that is trained on.</param>
    /// <param name="held">The label of the validation data.</param>
    public virtual void CheckValidation(DataViewSchema.Column label, DataViewSchema.Column held)
    {
    }
}

/// <summary>What differs between the tasks: the labels, the columns that come out, and ML.NET's own classes of the task.</summary>
/// <typeparam name="TModel">The model parameters.</typeparam>
internal abstract class TaskAdapter<TModel> : TaskAdapter
    where TModel : NetworkModel
{
    public abstract IEnumerable<SchemaShape.Column> Outputs(SchemaShape schema, SchemaShape.Column label);

    public abstract SingleFeaturePredictionTransformerBase<TModel> CreateTransformer(
        IHostEnvironment env, TrainedNetwork network, DataViewSchema schema, string? feature, string label);

    protected static SchemaShape.Column Output(string name, DataViewType type, IEnumerable<SchemaShape.Column> annotations, bool isVector = false, bool isKey = false) =>
        new(name, isVector ? SchemaShape.Column.VectorKind.Vector : SchemaShape.Column.VectorKind.Scalar, type, isKey, new SchemaShape(annotations));

    protected static IEnumerable<SchemaShape.Column> Annotations(bool isNormalized = false) => AnnotationUtils.GetTrainerOutputAnnotation(isNormalized);

    protected static bool IsScalar(SchemaShape.Column label) => label.Kind == SchemaShape.Column.VectorKind.Scalar;
}

internal sealed class RegressionAdapter : TaskAdapter<RegressionNetworkModel>
{
    public override TaskKind Kind => TaskKind.Regression;

    public override string Labels => "a number (best Single)";

    public override bool Accepts(SchemaShape.Column label) => IsScalar(label) && !label.IsKey && label.ItemType is NumberDataViewType;

    public override IEnumerable<SchemaShape.Column> Outputs(SchemaShape schema, SchemaShape.Column label) =>
        [Output(DefaultColumnNames.Score, NumberDataViewType.Single, Annotations())];

    public override SingleFeaturePredictionTransformerBase<RegressionNetworkModel> CreateTransformer(
        IHostEnvironment env, TrainedNetwork network, DataViewSchema schema, string? feature, string label) =>
        new RegressionPredictionTransformer<RegressionNetworkModel>(env, new(network), schema, feature);
}

internal sealed class MultiOutputRegressionAdapter : TaskAdapter<MultiOutputRegressionNetworkModel>
{
    public override TaskKind Kind => TaskKind.MultiOutputRegression;

    public override string Labels => "a vector of numbers of known size (best Single), such as Transforms.Concatenate makes";

    public override bool Accepts(SchemaShape.Column label) =>
        label.Kind == SchemaShape.Column.VectorKind.Vector && !label.IsKey && label.ItemType is NumberDataViewType;

    public override void CheckValidation(DataViewSchema.Column label, DataViewSchema.Column held)
    {
        if (VectorReader.LabelWidth(held) != VectorReader.LabelWidth(label))
            throw DataErrors.LabelWidthMismatch(label.Name, VectorReader.LabelWidth(label), VectorReader.LabelWidth(held));
    }

    public override IEnumerable<SchemaShape.Column> Outputs(SchemaShape schema, SchemaShape.Column label) =>
    [
        Output(
            DefaultColumnNames.Score,
            NumberDataViewType.Single,
            label.Annotations.Where(annotation => annotation.Name == AnnotationUtils.Kinds.SlotNames).Concat(Annotations()),
            isVector: true),
    ];

    public override SingleFeaturePredictionTransformerBase<MultiOutputRegressionNetworkModel> CreateTransformer(
        IHostEnvironment env, TrainedNetwork network, DataViewSchema schema, string? feature, string label) =>
        new MultiOutputRegressionPredictionTransformer(env, new(network), schema, feature);
}

internal sealed class BinaryAdapter : TaskAdapter<BinaryNetworkModel>
{
    public override TaskKind Kind => TaskKind.Binary;

    public override string Labels => "Boolean (or a number that is 0 or 1)";

    public override bool Accepts(SchemaShape.Column label) => IsScalar(label) && !label.IsKey && label.ItemType is BooleanDataViewType or NumberDataViewType;

    public override IReadOnlyList<string> ClassNames(DataViewSchema.Column label) =>
        label.Type is BooleanDataViewType ? ["false", "true"] : ["0", "1"];

    public override IEnumerable<SchemaShape.Column> Outputs(SchemaShape schema, SchemaShape.Column label) =>
    [
        Output(DefaultColumnNames.Score, NumberDataViewType.Single, Annotations()),
        Output(DefaultColumnNames.Probability, NumberDataViewType.Single, Annotations(isNormalized: true)),
        Output(DefaultColumnNames.PredictedLabel, BooleanDataViewType.Instance, Annotations()),
    ];

    public override SingleFeaturePredictionTransformerBase<BinaryNetworkModel> CreateTransformer(
        IHostEnvironment env, TrainedNetwork network, DataViewSchema schema, string? feature, string label) =>
        new BinaryPredictionTransformer<BinaryNetworkModel>(env, new(network), schema, feature);
}

internal sealed class MulticlassAdapter : TaskAdapter<MulticlassNetworkModel>
{
    public override TaskKind Kind => TaskKind.Multiclass;

    public override string Labels => "a key of known count (made with Transforms.Conversion.MapValueToKey)";

    public override bool Accepts(SchemaShape.Column label) => IsScalar(label) && label.IsKey;

    public override IReadOnlyList<string> ClassNames(DataViewSchema.Column label)
    {
        if (label.Type is not KeyDataViewType { Count: > 0 and <= int.MaxValue } key)
            throw DataErrors.WrongType("label", label.Name, Labels, DataErrors.Describe(label.Type));
        var count = (int)key.Count;
        return KeyNames.Of(label, count) is { } names ? [.. names.Select(name => $"'{name}'")] : [.. Enumerable.Range(1, count).Select(number => "key " + number.ToString(CultureInfo.InvariantCulture))];
    }

    // A key is a number that means nothing without its column: the same number may stand for another class there.
    public override void CheckValidation(DataViewSchema.Column label, DataViewSchema.Column held)
    {
        if (!ClassNames(held).SequenceEqual(ClassNames(label)))
            throw DataErrors.OtherClasses(label.Name);
    }

    public override IEnumerable<SchemaShape.Column> Outputs(SchemaShape schema, SchemaShape.Column label) =>
    [
        Output(DefaultColumnNames.Score, NumberDataViewType.Single, AnnotationUtils.AnnotationsForMulticlassScoreColumn(label), isVector: true),
        Output(
            DefaultColumnNames.PredictedLabel,
            NumberDataViewType.UInt32,
            label.Annotations.Where(annotation => annotation.Name == AnnotationUtils.Kinds.KeyValues).Concat(Annotations()),
            isKey: true),
    ];

    public override SingleFeaturePredictionTransformerBase<MulticlassNetworkModel> CreateTransformer(
        IHostEnvironment env, TrainedNetwork network, DataViewSchema schema, string? feature, string label) =>
        new MulticlassPredictionTransformer<MulticlassNetworkModel>(env, new(network), schema, feature, label);
}
