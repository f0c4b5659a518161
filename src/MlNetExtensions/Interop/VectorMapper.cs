using Microsoft.ML;
using Microsoft.ML.Data;
using MlNetMlp.Data;
using MlNetMlp.Methods;
using MlNetMlp.Networks;

namespace MlNetMlp.Interop;

/// <summary>
/// Adds what a model computes of a row as one vector with names, and behind it the columns that a network adds, bound to the columns of some data. A row that brings its values along
/// is believed.
/// </summary>
internal sealed class VectorMapper : IRowMapper
{
    private readonly ITransformer _transformer;
    private readonly FeatureColumns _columns;
    private readonly IBlockModel _model;
    private readonly string _outputColumnName;
    private readonly IReadOnlyList<string> _slotNames;
    private readonly IReadOnlyList<AddedColumn> _added;
    private readonly HashSet<int> _inputs;

    public VectorMapper(
        ITransformer transformer, FeatureColumns columns, IBlockModel model, string outputColumnName, IReadOnlyList<string> slotNames, DataViewSchema schema,
        IReadOnlyList<AddedColumn>? added = null)
    {
        (_transformer, _columns, _model, _outputColumnName, _slotNames, _added) = (transformer, columns, model, outputColumnName, slotNames, added ?? []);
        _inputs = [.. columns.Find(schema, model.Inputs).Select(column => column.Index)];
    }

    public DataViewSchema.DetachedColumn[] GetOutputColumns()
    {
        var annotations = new DataViewSchema.Annotations.Builder();
        NamedSlots.Add(annotations, _slotNames);
        return [new(_outputColumnName, new VectorDataViewType(NumberDataViewType.Single, _slotNames.Count), annotations.ToAnnotations()), .. _added.Detached()];
    }

    public Func<int, bool> GetDependencies(Func<int, bool> activeOutput) =>
        Enumerable.Range(0, 1 + _added.Count).Any(activeOutput) ? _inputs.Contains : _ => false;

    public Delegate?[] CreateGetters(DataViewRow input, Func<int, bool> activeOutput, out Action? disposer)
    {
        disposer = null;
        RowScores? scores = null;
        var getters = new Delegate?[1 + _added.Count];
        for (var i = 0; i < getters.Length; i++)
        {
            if (!activeOutput(i))
                continue;
            scores ??= RowScores.Of(input, _columns, _model);
            getters[i] = i == 0 ? scores.VectorGetter(0, _slotNames.Count) : _added.Getter(i - 1, _slotNames.Count, scores);
        }

        return getters;
    }

    public ITransformer GetTransformer() => _transformer;

    void ICanSaveModel.Save(ModelSaveContext ctx) => ((ICanSaveModel)_transformer).Save(ctx);
}
