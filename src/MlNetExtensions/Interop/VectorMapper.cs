using Microsoft.ML;
using Microsoft.ML.Data;
using MlNetMlp.Data;
using MlNetMlp.Methods;
using MlNetMlp.Networks;

namespace MlNetMlp.Interop;

/// <summary>A column of some of the numbers that a model computes of a row.</summary>
/// <param name="Name">Name of the column.</param>
/// <param name="Start">The first of the numbers.</param>
/// <param name="SlotNames">A name for each of them.</param>
internal sealed record VectorColumn(string Name, int Start, IReadOnlyList<string> SlotNames);

/// <summary>
/// Adds what a model computes of a row as vectors with names, and behind them the columns that a network adds, bound to the columns of some data. A row that brings its values along
/// is believed.
/// </summary>
internal sealed class VectorMapper : IRowMapper
{
    private readonly ITransformer _transformer;
    private readonly FeatureColumns _columns;
    private readonly IBlockModel _model;
    private readonly IReadOnlyList<VectorColumn> _outputs;
    private readonly IReadOnlyList<AddedColumn> _added;
    private readonly HashSet<int> _inputs;

    public VectorMapper(
        ITransformer transformer, FeatureColumns columns, IBlockModel model, IReadOnlyList<VectorColumn> outputs, DataViewSchema schema, IReadOnlyList<AddedColumn>? added = null)
    {
        (_transformer, _columns, _model, _outputs, _added) = (transformer, columns, model, outputs, added ?? []);
        _inputs = [.. columns.Find(schema, model.Inputs).Select(column => column.Index)];
    }

    public DataViewSchema.DetachedColumn[] GetOutputColumns() =>
    [
        .. _outputs.Select(output =>
        {
            var annotations = new DataViewSchema.Annotations.Builder();
            NamedSlots.Add(annotations, output.SlotNames);
            return new DataViewSchema.DetachedColumn(output.Name, new VectorDataViewType(NumberDataViewType.Single, output.SlotNames.Count), annotations.ToAnnotations());
        }),
        .. _added.Detached(),
    ];

    public Func<int, bool> GetDependencies(Func<int, bool> activeOutput) => IsActive(activeOutput) ? _inputs.Contains : _ => false;

    public Delegate?[] CreateGetters(DataViewRow input, Func<int, bool> activeOutput, out Action? disposer)
    {
        disposer = null;
        if (!IsActive(activeOutput))
            return new Delegate?[_outputs.Count + _added.Count];

        // The columns share the values of a row, which are computed once.
        var scores = RowScores.Of(input, _columns, _model);
        return
        [
            .. _outputs.Select((output, i) => activeOutput(i) ? scores.VectorGetter(output.Start, output.SlotNames.Count) : null),
            .. _added.Select((_, i) => activeOutput(_outputs.Count + i) ? _added.Getter(i, _model.Outputs - _added.Sum(column => column.Size), scores) : null),
        ];
    }

    public ITransformer GetTransformer() => _transformer;

    private bool IsActive(Func<int, bool> activeOutput) => Enumerable.Range(0, _outputs.Count + _added.Count).Any(activeOutput);

    void ICanSaveModel.Save(ModelSaveContext ctx) => ((ICanSaveModel)_transformer).Save(ctx);
}
