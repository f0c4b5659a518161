using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.Runtime;
using MlNetMlp.Data;
using MlNetMlp.Explanations;
using MlNetMlp.Interop;
using MlNetMlp.Methods;
using MlNetMlp.Persistence;

[assembly: LoadableClass(typeof(BoundaryTiltTransformer), null, typeof(SignatureLoadModel), "Distances of rows to a model's boundary", BoundaryTiltTransformer.LoaderSignature)]

namespace MlNetMlp.Interop;

/// <summary>
/// Adds how near a row is to a binary model's boundary, and so its nearest adversarial example: <c>BoundaryDistance</c>, <c>CentroidDistance</c> and <c>RowStrength</c>, each a Single, and, where it is
/// asked for, <c>MirrorImage</c>, a vector of Single with the slots of the features. See <see cref="BoundaryTiltCatalog"/>.
/// </summary>
/// <remarks>One transformer serves any number of threads.</remarks>
public sealed class BoundaryTiltTransformer : RowDiagnosticTransformer
{
    internal const string LoaderSignature = "MlNetMlpBoundaryTilt";
    internal const string MirrorColumnName = "MirrorImage";
    internal static readonly string[] FigureColumnNames = ["BoundaryDistance", "CentroidDistance", "RowStrength"];

    internal BoundaryTiltTransformer(IHostEnvironment env, ITransformer model, BoundaryTiltState state)
        : base(env.Register("BoundaryTilt"), model)
    {
        State = state;
    }

    /// <summary>What is told, and how.</summary>
    public BoundaryTiltOptions Options => State.Options;

    /// <summary>Mean of the rows that it was fitted to whose label is false [features].</summary>
    public IReadOnlyList<double> FalseMean => State.FalseMean;

    /// <summary>Mean of the rows that it was fitted to whose label is true [features].</summary>
    public IReadOnlyList<double> TrueMean => State.TrueMean;

    internal BoundaryTiltState State { get; }

    private protected override VersionInfo Version => GetVersionInfo();

    private protected override IBlockModel CreateComputing()
    {
        var boundaries = ModelBoundaries.OfBinary(Explained, Options.NewtonSteps);
        return boundaries.Inputs == State.Features ? new BoundaryTiltModel(State, boundaries)
            : throw new ModelFormatException($"{BoundaryTiltState.EntryName}: means of {State.Features} features do not belong to a model of {boundaries.Inputs}.");
    }

    private protected override IRowMapper CreateMapper(DataViewSchema schema) => new BoundaryTiltMapper(this, schema);

    private protected override BoundaryTiltTransformer OfPredictor() => new(Host, Explained.Predictor, State);

    private protected override void SaveState(ModelSaveContext ctx) => ctx.SaveBinaryStream(BoundaryTiltState.EntryName, writer => writer.Write(State.Write()));

    private static BoundaryTiltTransformer Create(IHostEnvironment env, ModelLoadContext ctx)
    {
        ctx.CheckAtModel(GetVersionInfo());
        var state = BoundaryTiltState.Read(JsonEntry.Read(ctx, BoundaryTiltState.EntryName));
        return new(env, LoadModel(env, ctx), state);
    }

    private static VersionInfo GetVersionInfo() => new(
        modelSignature: "MLPBTILT",
        verWrittenCur: 0x00010001,
        verReadableCur: 0x00010001,
        verWeCanReadBack: 0x00010001,
        loaderSignature: LoaderSignature,
        loaderAssemblyName: typeof(BoundaryTiltTransformer).Assembly.FullName!);
}

/// <summary>A <see cref="BoundaryTiltTransformer"/> bound to the columns of some data. A row that brings its figures along is believed.</summary>
internal sealed class BoundaryTiltMapper : IRowMapper
{
    private readonly BoundaryTiltTransformer _transformer;
    private readonly DataViewSchema.Column _feature;

    public BoundaryTiltMapper(BoundaryTiltTransformer transformer, DataViewSchema schema) =>
        (_transformer, _feature) = (transformer, VectorReader.Find(schema, transformer.FeatureColumnName, transformer.State.Features));

    private int ColumnCount => BoundaryTiltModel.Figures + (_transformer.Options.AddMirrorImage ? 1 : 0);

    public DataViewSchema.DetachedColumn[] GetOutputColumns()
    {
        var columns = BoundaryTiltTransformer.FigureColumnNames.Select(name => new DataViewSchema.DetachedColumn(name, NumberDataViewType.Single));
        if (!_transformer.Options.AddMirrorImage)
            return [.. columns];
        var annotations = new DataViewSchema.Annotations.Builder();
        if ((SlotNames.Get(_feature) ?? _transformer.State.SlotNames) is { } names)
            NamedSlots.Add(annotations, names);
        return
        [
            .. columns, new(BoundaryTiltTransformer.MirrorColumnName, new VectorDataViewType(NumberDataViewType.Single, _transformer.State.Features), annotations.ToAnnotations()),
        ];
    }

    public Func<int, bool> GetDependencies(Func<int, bool> activeOutput) =>
        Enumerable.Range(0, ColumnCount).Any(activeOutput) ? column => column == _feature.Index : _ => false;

    public Delegate?[] CreateGetters(DataViewRow input, Func<int, bool> activeOutput, out Action? disposer)
    {
        disposer = null;
        RowScores? scores = null;
        return
        [
            .. Enumerable.Range(0, ColumnCount).Select(column => !activeOutput(column) ? null
                : column == BoundaryTiltModel.Figures ? (Delegate)MirrorGetter(Scores()) : FigureGetter(Scores(), column)),
        ];

        RowScores Scores() => scores ??= RowScores.Of(input, new(_transformer.FeatureColumnName), _transformer.Computing);
    }

    public ITransformer GetTransformer() => _transformer;

    void ICanSaveModel.Save(ModelSaveContext ctx) => ((ICanSaveModel)_transformer).Save(ctx);

    private static ValueGetter<float> FigureGetter(RowScores scores, int figure) => (ref float value) => value = scores.Current[figure];

    private static ValueGetter<VBuffer<float>> MirrorGetter(RowScores scores) =>
        (ref VBuffer<float> value) => RowScores.Put(scores.Current[BoundaryTiltModel.Figures..], ref value);
}
