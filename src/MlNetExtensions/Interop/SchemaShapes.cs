using Microsoft.ML;
using Microsoft.ML.Data;

namespace MlNetMlp.Interop;

/// <summary>What estimators that add columns say of them before they are fitted.</summary>
internal static class SchemaShapes
{
    /// <summary>A column of vectors of Single.</summary>
    /// <param name="name">Its name.</param>
    /// <param name="hasNames">Whether its slots have names.</param>
    /// <returns>The column.</returns>
    public static SchemaShape.Column VectorOfSingle(string name, bool hasNames)
    {
        const SchemaShape.Column.VectorKind vector = SchemaShape.Column.VectorKind.Vector;
        return hasNames
            ? new(name, vector, NumberDataViewType.Single, false, new SchemaShape([new SchemaShape.Column(AnnotationUtils.Kinds.SlotNames, vector, TextDataViewType.Instance, false)]))
            : new(name, vector, NumberDataViewType.Single, false);
    }

    /// <summary>The shape of a schema with more columns, which take the place of those of the same names.</summary>
    /// <param name="schema">The shape before.</param>
    /// <param name="added">The columns.</param>
    /// <returns>The shape after.</returns>
    public static SchemaShape With(this SchemaShape schema, params IReadOnlyCollection<SchemaShape.Column> added) =>
        new(schema.Where(column => added.All(other => other.Name != column.Name)).Concat(added));
}
