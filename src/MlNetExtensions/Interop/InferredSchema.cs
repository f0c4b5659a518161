using System.Collections;
using System.Text.Json;
using Microsoft.ML;
using Microsoft.ML.Data;

namespace MlNetMlp.Interop;

/// <summary>The columns that a row without a schema seems to have.</summary>
internal static class InferredSchema
{
    public static DataViewSchema Of(IReadOnlyDictionary<string, object?> row)
    {
        var builder = new DataViewSchema.Builder();
        foreach (var (name, value) in row)
            builder.AddColumn(name, TypeOf(name, value));
        return builder.ToSchema();
    }

    public static DataViewSchema Of(ReadOnlyMemory<byte> json)
    {
        using var document = JsonDocument.Parse(json);
        if (document.RootElement.ValueKind != JsonValueKind.Object)
            throw new ArgumentException($"A row is a JSON object, not {document.RootElement.ValueKind}.", nameof(json));
        var builder = new DataViewSchema.Builder();
        foreach (var member in document.RootElement.EnumerateObject())
        {
            var value = member.Value;
            builder.AddColumn(member.Name, value.ValueKind == JsonValueKind.Array ? new VectorDataViewType(ItemOf(value), value.GetArrayLength()) : Scalar(value));
        }

        return builder.ToSchema();
    }

    private static DataViewType TypeOf(string name, object? value) => value switch
    {
        null => NumberDataViewType.Single,
        string or ReadOnlyMemory<char> => TextDataViewType.Instance,
        bool => BooleanDataViewType.Instance,
        DateTime => DateTimeDataViewType.Instance,
        ICollection items => new VectorDataViewType(items.Cast<object?>().FirstOrDefault(item => item is not null) is string ? TextDataViewType.Instance : NumberDataViewType.Single, items.Count),
        IConvertible => NumberDataViewType.Single,
        _ => throw new ArgumentException($"The value of the column '{name}' is a {value.GetType()}, which is no number, text, Boolean, date or array of these."),
    };

    private static DataViewType Scalar(JsonElement value) => value.ValueKind switch
    {
        JsonValueKind.String => TextDataViewType.Instance,
        JsonValueKind.True or JsonValueKind.False => BooleanDataViewType.Instance,
        _ => NumberDataViewType.Single,
    };

    private static PrimitiveDataViewType ItemOf(JsonElement array) =>
        array.EnumerateArray().Any(item => item.ValueKind == JsonValueKind.String) ? TextDataViewType.Instance : NumberDataViewType.Single;
}
