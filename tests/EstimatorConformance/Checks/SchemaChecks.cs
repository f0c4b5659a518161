using Microsoft.ML;
using Microsoft.ML.Data;

namespace MlNetMlp.Conformance.Checks;

/// <summary>Columns: those that are promised, those that come out, and those that cannot be used.</summary>
internal static class SchemaChecks
{
    [Check(6, "The schema promised is the schema delivered")]
    public static void PromisedIsDelivered(Trial trial)
    {
        var promised = SchemaText.Of(trial.Trainer().GetOutputSchema(Trial.Shape(trial.Data.Schema)));
        var delivered = SchemaText.Of(Trial.Shape(trial.Model.Transform(trial.Data).Schema));
        Assert.Equal(delivered, promised);
    }

    [Check(7, "Transformer, row mapper, transformed view and loaded model agree on the schema")]
    public static void SchemasAgree(Trial trial)
    {
        var schema = trial.Data.Schema;
        var view = SchemaText.Of(trial.Model.Transform(trial.Data).Schema);
        Assert.Equal(view, SchemaText.Of(trial.Model.GetOutputSchema(schema)));
        Assert.True(trial.Model.IsRowToRowMapper == trial.ScoresSingleRows, $"the model says that it {(trial.ScoresSingleRows ? "cannot" : "can")} score single rows");
        if (trial.ScoresSingleRows)
            Assert.Equal(view, SchemaText.Of(trial.Model.GetRowToRowMapper(schema).OutputSchema));
        else
            Trial.Refused(() => trial.Model.GetRowToRowMapper(schema), "single rows, of which none has a forecast by itself", "row");
        Assert.Equal(view, SchemaText.Of(Trial.Load(trial.Save(trial.Model)).GetOutputSchema(schema)));
    }
}
