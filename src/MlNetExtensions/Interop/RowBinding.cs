using Microsoft.ML;
using Microsoft.ML.Data;

namespace MlNetMlp.Interop;

/// <summary>What a model reads of a row and what is wanted of it.</summary>
internal sealed class RowBinding
{
    private static readonly string[] Predictions = ["Score", "Probability", "PredictedLabel"];

    public RowBinding(ITransformer model, DataViewSchema schema, IReadOnlyList<string>? outputColumns)
    {
        Mapper = model.GetRowToRowMapper(schema);
        Outputs = [.. Choose(Mapper.OutputSchema, schema, outputColumns)];
        var needed = Mapper.GetDependencies(Outputs).Select(column => column.Index).ToHashSet();
        Schema = schema;
        Inputs = [.. schema.Where(column => needed.Contains(column.Index))];
    }

    public IRowToRowMapper Mapper { get; }

    public DataViewSchema Schema { get; }

    public IReadOnlyList<DataViewSchema.Column> Inputs { get; }

    public IReadOnlyList<DataViewSchema.Column> Outputs { get; }

    private static IEnumerable<DataViewSchema.Column> Choose(DataViewSchema all, DataViewSchema input, IReadOnlyList<string>? names)
    {
        if (names is not null)
        {
            return names.Select(name => all.GetColumnOrNull(name)
                ?? throw new ArgumentException($"The model computes no column '{name}'. It has {string.Join(", ", all.Where(column => !column.IsHidden).Select(column => $"'{column.Name}'"))}.", nameof(names)));
        }

        var predictions = Predictions.Where(name => all.GetColumnOrNull(name) is not null).ToArray();
        return predictions.Length > 0
            ? predictions.Select(name => all[name])
            : all.Where(column => !column.IsHidden && (input.GetColumnOrNull(column.Name) is not { } before || before.Index != column.Index));
    }
}
