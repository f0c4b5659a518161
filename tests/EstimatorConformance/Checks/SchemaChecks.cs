using Microsoft.ML;
using Microsoft.ML.Data;

namespace MlNetMlp.Conformance.Checks;

/// <summary>Columns: those that are promised, those that come out, and those that cannot be used.</summary>
internal static class SchemaChecks
{
    [Check(6, "The schema promised is the schema delivered")]
    public static void PromisedIsDelivered(Trial trial)
    {
        var promised = Describe(trial.Trainer().GetOutputSchema(Trial.Shape(trial.Data.Schema)));
        var delivered = Describe(Trial.Shape(trial.Model.Transform(trial.Data).Schema));
        Assert.Equal(delivered, promised);
    }

    // Every column with its kind, type and annotations, in the order of names: a shape has no order of columns.
    private static string[] Describe(SchemaShape shape) =>
    [
        .. shape.OrderBy(column => column.Name, StringComparer.Ordinal).Select(column =>
            $"{column.Name}: {column.Kind} {column.ItemType}{(column.IsKey ? " key" : "")}"
            + string.Concat(Describe(column.Annotations).Select(annotation => $" [{annotation}]"))),
    ];
}
