using System.Globalization;
using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.Runtime;
using MlNetMlp.Data;
using MlNetMlp.Explanations;
using MlNetMlp.Interop;
using MlNetMlp.Methods;

[assembly: LoadableClass(typeof(ExplanationTransformer), null, typeof(SignatureLoadModel), "Contributions of features to predictions", ExplanationTransformer.LoaderSignature)]

namespace MlNetMlp.Interop;

/// <summary>
/// Adds what each feature contributes to a model's prediction: a vector of Single with a slot for each feature, named as the features are; for several classes also
/// <c>ExplainedClass</c>, the class that is meant. Data views are explained in blocks of rows, and only where the columns are asked for. It holds the model, and is saved with it.
/// </summary>
/// <remarks>One transformer serves any number of threads.</remarks>
public sealed class ExplanationTransformer : RowDiagnosticTransformer
{
    internal const string LoaderSignature = "MlNetMlpExplanation";
    internal const string ClassColumnName = "ExplainedClass";
    internal const string DeltaColumnName = "ConvergenceDelta";

    internal ExplanationTransformer(IHostEnvironment env, ITransformer model, ExplanationState state)
        : base(env.Register("Explanation"), model)
    {
        State = state;
        Explained.Check(state.Options);
    }

    /// <summary>What is told, and how.</summary>
    public ExplanationOptions Options => State.Options;

    internal ExplanationState State { get; }

    internal Explainer Explainer => (Explainer)Computing;

    private protected override VersionInfo Version => GetVersionInfo();

    internal DataViewSchema.Column[] FindColumns(DataViewSchema schema)
    {
        var feature = VectorReader.Find(schema, FeatureColumnName, State.Features);
        return Options.NeedsLabel ? [feature, RowReader.Find(schema, "label", Options.LabelColumnName)] : [feature];
    }

    /// <summary>The class names of the model, as its own column of predictions has them.</summary>
    internal DataViewSchema.Column? PredictedClass(DataViewSchema schema) =>
        Explained.Predictor.GetOutputSchema(schema).GetColumnOrNull("PredictedLabel") is { Type: KeyDataViewType } column ? column : null;

    private protected override IBlockModel CreateComputing() => Explained.CreateExplainer(Host, State);

    private protected override IRowMapper CreateMapper(DataViewSchema schema) => new ExplanationMapper(this, schema);

    private protected override ExplanationTransformer OfPredictor() => new(Host, Explained.Predictor, State);

    private protected override void SaveState(ModelSaveContext ctx) => ctx.SaveBinaryStream(ExplanationState.EntryName, writer => writer.Write(State.Write()));

    private static ExplanationTransformer Create(IHostEnvironment env, ModelLoadContext ctx)
    {
        ctx.CheckAtModel(GetVersionInfo());
        var state = ExplanationState.Read(JsonEntry.Read(ctx, ExplanationState.EntryName));
        return new(env, LoadModel(env, ctx), state);
    }

    private static VersionInfo GetVersionInfo() => new(
        modelSignature: "MLPEXPLA",
        verWrittenCur: 0x00010001,
        verReadableCur: 0x00010001,
        verWeCanReadBack: 0x00010001,
        loaderSignature: LoaderSignature,
        loaderAssemblyName: typeof(ExplanationTransformer).Assembly.FullName!);
}

/// <summary>An <see cref="ExplanationTransformer"/> bound to the columns of some data. A row that brings its contributions along is believed.</summary>
internal sealed class ExplanationMapper : IRowMapper
{
    private readonly ExplanationTransformer _transformer;
    private readonly Explainer _explainer;
    private readonly DataViewSchema _schema;
    private readonly HashSet<int> _inputs;

    public ExplanationMapper(ExplanationTransformer transformer, DataViewSchema schema)
    {
        (_transformer, _explainer, _schema) = (transformer, transformer.Explainer, schema);
        _inputs = [.. transformer.FindColumns(schema).Select(column => column.Index)];
    }

    private ExplanationOptions Options => _transformer.Options;

    public DataViewSchema.DetachedColumn[] GetOutputColumns()
    {
        var columns = new List<DataViewSchema.DetachedColumn>();
        var annotations = new DataViewSchema.Annotations.Builder();
        if (Names() is { } names)
            NamedSlots.Add(annotations, names);
        columns.Add(new(Options.OutputColumnName, new VectorDataViewType(NumberDataViewType.Single, _explainer.Width * _explainer.Blocks), annotations.ToAnnotations()));
        if (_explainer.TellsClass)
        {
            columns.Add(_transformer.PredictedClass(_schema) is { } predicted
                ? new(ExplanationTransformer.ClassColumnName, predicted.Type, predicted.Annotations)
                : new(ExplanationTransformer.ClassColumnName, new KeyDataViewType(typeof(uint), int.MaxValue)));
        }

        if (Options.AddConvergenceDelta)
            columns.Add(new(ExplanationTransformer.DeltaColumnName, NumberDataViewType.Single));
        return [.. columns];
    }

    public Func<int, bool> GetDependencies(Func<int, bool> activeOutput) =>
        Enumerable.Range(0, 1 + (_explainer.TellsClass ? 1 : 0) + (Options.AddConvergenceDelta ? 1 : 0)).Any(activeOutput) ? _inputs.Contains : _ => false;

    public Delegate?[] CreateGetters(DataViewRow input, Func<int, bool> activeOutput, out Action? disposer)
    {
        disposer = null;
        var (told, place) = (_explainer.Width * _explainer.Blocks, 0);
        RowScores? scores = null;
        var getters = new List<Delegate?> { Make<VBuffer<float>>(of => (ref VBuffer<float> value) => RowScores.Put(of.Current[..told], ref value)) };
        if (_explainer.TellsClass)
            getters.Add(Make<uint>(of => (ref uint value) => value = (uint)of.Current[told] + 1));
        if (Options.AddConvergenceDelta)
            getters.Add(Make<float>(of => (ref float value) => value = of.Current[^1]));
        return [.. getters];

        Delegate? Make<T>(Func<RowScores, ValueGetter<T>> create) =>
            activeOutput(place++) ? create(scores ??= RowScores.Of(input, new(_transformer.FeatureColumnName), _explainer)) : null;
    }

    public ITransformer GetTransformer() => _transformer;

    void ICanSaveModel.Save(ModelSaveContext ctx) => ((ICanSaveModel)_transformer).Save(ctx);

    private string[]? Names()
    {
        var names = _transformer.State.Groups()?.Names
            ?? SlotNames.Get(_schema[_transformer.FeatureColumnName]) ?? (_transformer.State.SlotNames is { } known ? [.. known] : null);
        if (_explainer.Blocks == 1)
            return names;
        names ??= [.. Enumerable.Range(0, _explainer.Width).Select(slot => slot.ToString(CultureInfo.InvariantCulture))];
        return [.. Enumerable.Range(0, _explainer.Blocks).SelectMany(block => names.Select(name => string.Create(CultureInfo.InvariantCulture, $"{block}.{name}")))];
    }
}
