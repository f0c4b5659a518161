using Microsoft.ML;
using Microsoft.ML.Data;
using MlNetMlp.Data;
using MlNetMlp.Methods;

namespace MlNetMlp.Interop;

/// <summary>Adds what a model computes of a row as one vector with names, bound to the columns of some data. A row that brings its values along is believed.</summary>
internal sealed class VectorMapper : IRowMapper
{
    private readonly ITransformer _transformer;
    private readonly FeatureColumns _columns;
    private readonly IBlockModel _model;
    private readonly string _outputColumnName;
    private readonly IReadOnlyList<string> _slotNames;
    private readonly HashSet<int> _inputs;

    public VectorMapper(ITransformer transformer, FeatureColumns columns, IBlockModel model, string outputColumnName, IReadOnlyList<string> slotNames, DataViewSchema schema)
    {
        (_transformer, _columns, _model, _outputColumnName, _slotNames) = (transformer, columns, model, outputColumnName, slotNames);
        _inputs = [.. columns.Find(schema, model.Inputs).Select(column => column.Index)];
    }

    public DataViewSchema.DetachedColumn[] GetOutputColumns()
    {
        var annotations = new DataViewSchema.Annotations.Builder();
        NamedSlots.Add(annotations, _slotNames);
        return [new(_outputColumnName, new VectorDataViewType(NumberDataViewType.Single, _model.Outputs), annotations.ToAnnotations())];
    }

    public Func<int, bool> GetDependencies(Func<int, bool> activeOutput) => activeOutput(0) ? _inputs.Contains : _ => false;

    public Delegate?[] CreateGetters(DataViewRow input, Func<int, bool> activeOutput, out Action? disposer)
    {
        disposer = null;
        return [activeOutput(0) ? RowScores.Of(input, _columns, _model).VectorGetter() : null];
    }

    public ITransformer GetTransformer() => _transformer;

    void ICanSaveModel.Save(ModelSaveContext ctx) => ((ICanSaveModel)_transformer).Save(ctx);
}
