using System.Globalization;
using System.Reflection;
using Microsoft.ML;
using Microsoft.ML.Data;

namespace MlNetMlp.Conformance;

/// <summary>Schemas as text, a line for each column, to be compared and read.</summary>
internal static class SchemaText
{
    private static readonly MethodInfo ReadAnnotation = typeof(SchemaText).GetMethod(nameof(Read), BindingFlags.Static | BindingFlags.NonPublic)!;

    /// <summary>The columns of a schema in their order, with types and the values of their annotations.</summary>
    /// <param name="schema">The schema.</param>
    /// <returns>A line for each column.</returns>
    public static string[] Of(DataViewSchema schema) =>
    [
        .. schema.Select(column => $"{column.Name}: {column.Type}{(column.IsHidden ? " hidden" : "")}"
            + string.Concat(column.Annotations.Schema.OrderBy(a => a.Name, StringComparer.Ordinal).Select(a => $" [{a.Name}: {a.Type} {Value(column.Annotations, a)}]"))),
    ];

    /// <summary>The columns of a shape with kinds, types and annotations, in the order of names: a shape has no order of its own.</summary>
    /// <param name="shape">The shape.</param>
    /// <returns>A line for each column.</returns>
    public static string[] Of(SchemaShape shape) =>
    [
        .. shape.OrderBy(column => column.Name, StringComparer.Ordinal).Select(column =>
            $"{column.Name}: {column.Kind} {column.ItemType}{(column.IsKey ? " key" : "")}" + string.Concat(Of(column.Annotations).Select(a => $" [{a}]"))),
    ];

    private static string Value(DataViewSchema.Annotations annotations, DataViewSchema.Column annotation) =>
        (string)ReadAnnotation.MakeGenericMethod(annotation.Type.RawType).Invoke(null, [annotations, annotation.Name])!;

    private static string Read<T>(DataViewSchema.Annotations annotations, string name)
    {
        T value = default!;
        annotations.GetValue(name, ref value);
        return value switch
        {
            VBuffer<ReadOnlyMemory<char>> texts => string.Join(' ', texts.DenseValues()),
            VBuffer<float> numbers => string.Join(' ', numbers.DenseValues().Select(n => n.ToString("R", CultureInfo.InvariantCulture))),
            _ => Convert.ToString(value, CultureInfo.InvariantCulture) ?? "",
        };
    }
}
