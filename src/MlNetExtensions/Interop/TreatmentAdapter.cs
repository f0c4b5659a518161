using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.Runtime;
using MlNetMlp.Data;
using MlNetMlp.Methods;
using MlNetMlp.Networks;

namespace MlNetMlp.Interop;

/// <summary>Outcomes under treatments: the label is a number or a Boolean, and the columns that come out depend on the treatment.</summary>
internal sealed class TreatmentAdapter(ITreatmentMethod method) : TaskAdapter<TreatmentModel>
{
    private static readonly BinaryAdapter Binary = new();

    public override TaskKind Kind => TaskKind.Regression;

    public override string Labels => "a number (best Single), or Boolean for an outcome that is yes or no";

    public override bool Accepts(SchemaShape.Column label) => Binary.Accepts(label);

    public override TaskKind KindOf(DataViewSchema.Column label) => label.Type is BooleanDataViewType ? TaskKind.Binary : TaskKind.Regression;

    public override IReadOnlyList<string> ClassNames(DataViewSchema.Column label) => label.Type is BooleanDataViewType ? Binary.ClassNames(label) : [];

    public override void CheckColumns(SchemaShape schema) => Treatment(schema);

    public override void CheckValidation(DataViewSchema.Column label, DataViewSchema.Column held)
    {
        if (KindOf(label) != KindOf(held))
            throw DataErrors.WrongType("label", held.Name, $"{DataErrors.Describe(label.Type)}, as in the training data", DataErrors.Describe(held.Type));
    }

    public override IEnumerable<SchemaShape.Column> Outputs(SchemaShape schema, SchemaShape.Column label)
    {
        var treatment = Treatment(schema);
        yield return Output(DefaultColumnNames.Score, NumberDataViewType.Single, Annotations());
        if (!treatment.IsKey && treatment.ItemType is NumberDataViewType)
        {
            yield return Output(TreatmentModel.DoseResponse, NumberDataViewType.Single, [Texts(AnnotationUtils.Kinds.SlotNames), SetId], isVector: true);
            yield return Output(TreatmentModel.BestDose, NumberDataViewType.Single, [SetId]);
            yield break;
        }

        yield return Output(TreatmentModel.PotentialOutcomes, NumberDataViewType.Single, [Texts(AnnotationUtils.Kinds.SlotNames), SetId], isVector: true);
        yield return Output(TreatmentModel.Effect, NumberDataViewType.Single, treatment.IsKey ? [Texts(AnnotationUtils.Kinds.SlotNames), SetId] : [SetId], treatment.IsKey);
        yield return Output(TreatmentModel.BestTreatment, NumberDataViewType.UInt32, [Texts(AnnotationUtils.Kinds.KeyValues), SetId], isKey: true);
    }

    public override SingleFeaturePredictionTransformerBase<TreatmentModel> CreateTransformer(
        IHostEnvironment env, TrainedNetwork network, DataViewSchema schema, string? feature, string label) =>
        new TreatmentPredictionTransformer(env, new(network), schema, feature);

    private static SchemaShape.Column SetId => new(AnnotationUtils.Kinds.ScoreColumnSetId, SchemaShape.Column.VectorKind.Scalar, NumberDataViewType.UInt32, true);

    private static SchemaShape.Column Texts(string name) => new(name, SchemaShape.Column.VectorKind.Vector, TextDataViewType.Instance, false);

    private SchemaShape.Column Treatment(SchemaShape schema)
    {
        if (!schema.TryFindColumn(method.Treatment.ColumnName, out var column))
            throw DataErrors.MissingColumn(TreatmentInput.Role, method.Treatment.ColumnName, schema.Select(c => c.Name));
        return IsScalar(column) && (column.IsKey || VectorReader.IsNumber(column.ItemType))
            ? column
            : throw DataErrors.WrongType(TreatmentInput.Role, column.Name, TreatmentInput.Expected, column.GetTypeString());
    }
}
