using Microsoft.ML;
using Microsoft.ML.Data;
using MlNetMlp.Data;

namespace MlNetMlp.Interop;

/// <summary>A model bound to the columns of some data. A row that brings its scores along is believed; any other is scored.</summary>
internal sealed class BoundNetwork : ISchemaBoundRowMapper
{
    private readonly NetworkModel _model;
    private readonly FeatureColumns _features;
    private readonly DataViewSchema.Column[] _columns;

    public BoundNetwork(NetworkModel model, RoleMappedSchema schema)
    {
        _model = model;
        InputRoleMappedSchema = schema;
        if (schema.Feature is null && model.Network.Layout is not { FeatureWidth: 0 })
            throw new ArgumentOutOfRangeException(nameof(schema), "No feature column is given.");
        _features = model.Network.Columns(schema.Feature?.Name);
        _columns = _features.Find(schema.Schema, model.Network.Inputs);
    }

    public RoleMappedSchema InputRoleMappedSchema { get; }

    public DataViewSchema InputSchema => InputRoleMappedSchema.Schema;

    public DataViewSchema OutputSchema => _model.ScoreSchema;

    public ISchemaBindableMapper Bindable => _model;

    public IEnumerable<KeyValuePair<RoleMappedSchema.ColumnRole, string>> GetInputColumnRoles() =>
        _features.Name is { } name ? [RoleMappedSchema.ColumnRole.Feature.Bind(name)] : [];

    public IEnumerable<DataViewSchema.Column> GetDependenciesForNewColumns(IEnumerable<DataViewSchema.Column> dependingColumns) =>
        dependingColumns.Any() ? _columns : [];

    public DataViewRow GetRow(DataViewRow input, IEnumerable<DataViewSchema.Column> activeColumns)
    {
        var getters = new Delegate?[OutputSchema.Count];
        RowScores? scores = null;
        foreach (var column in activeColumns)
        {
            scores ??= RowScores.Of(input, _features, _model.Network);
            getters[column.Index] = _model.Getter(column.Index, scores, InputSchema);
        }

        return new SimpleRow(OutputSchema, input, getters);
    }
}
