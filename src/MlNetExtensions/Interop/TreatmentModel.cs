using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.Model;
using Microsoft.ML.Runtime;
using MlNetMlp.Interop;
using MlNetMlp.Methods;
using MlNetMlp.Networks;
using MlNetMlp.Persistence;

[assembly: LoadableClass(typeof(TreatmentModel), null, typeof(SignatureLoadModel), "Network for outcomes under treatments", TreatmentModel.LoaderSignature)]

namespace MlNetMlp.Interop;

/// <summary>
/// A network that predicts the outcome of a row under each treatment: its columns are <c>Score</c>, the outcome under the row's own treatment, and for arms
/// <c>PotentialOutcomes</c>, <c>Effect</c> and <c>BestTreatment</c>, for a dose <c>DoseResponse</c> and <c>BestDose</c>.
/// </summary>
public sealed class TreatmentModel : NetworkModel
{
    internal const string LoaderSignature = "MlNetMlpTreatment";

    /// <summary>Outcomes under each arm.</summary>
    internal const string PotentialOutcomes = nameof(PotentialOutcomes);

    /// <summary>Outcomes under the other arms less that under the arm of reference.</summary>
    internal const string Effect = nameof(Effect);

    /// <summary>The arm with the greatest outcome.</summary>
    internal const string BestTreatment = nameof(BestTreatment);

    /// <summary>Outcomes under each dose of the grid.</summary>
    internal const string DoseResponse = nameof(DoseResponse);

    /// <summary>The dose of the grid with the greatest outcome.</summary>
    internal const string BestDose = nameof(BestDose);

    internal TreatmentModel(TrainedNetwork network)
        : base(network)
    {
        Treatments = ((TreatmentHead)network.Head).Treatments;
        if (network.Definition is not TreatmentDefinition definition || !Equals(definition.Treatments, Treatments) || definition.Layout is not { Columns.Count: > 0 })
            throw new ModelFormatException($"{network.Definition} is no network of the treatments of its task.");
        TaskSchema = MakeSchema(Treatments);
    }

    /// <summary>The treatments under which rows are scored: arms with their names and training rows, or the doses of the grid.</summary>
    public Treatments Treatments { get; }

    private protected override DataViewSchema TaskSchema { get; }

    private protected override PredictionKind Kind => PredictionKind.Custom;

    private protected override VersionInfo Version => GetVersionInfo();

    private int Others => Treatments.Count - 1;

    internal static TreatmentModel Create(IHostEnvironment env, ModelLoadContext ctx) => new(Load<TreatmentHead>(ctx, GetVersionInfo()));

    private protected override Delegate CreateGetter(int column, RowScores scores) => TaskSchema[column].Name switch
    {
        DefaultColumnNames.Score => (ValueGetter<float>)((ref float value) => value = Own(scores.Current)),
        Effect when !Treatments.AreKeys => (ValueGetter<float>)((ref float value) => value = Difference(scores.Current[1..], 1 - Treatments.Reference)),
        Effect => (ValueGetter<VBuffer<float>>)((ref VBuffer<float> value) => PutEffects(scores.Current[1..], ref value)),
        BestTreatment => (ValueGetter<uint>)((ref uint value) => value = (uint)Best(scores.Current[1..]) + 1),
        BestDose => (ValueGetter<float>)((ref float value) => value = Treatments.Doses[Best(scores.Current[1..])]),
        _ => (ValueGetter<VBuffer<float>>)((ref VBuffer<float> value) => RowScores.Put(scores.Current[1..], ref value)),
    };

    // Without the column a row has had no treatment that is known; the other columns do not depend on it.
    private protected override Delegate CreateGetter(int column, RowScores scores, DataViewSchema input) =>
        TaskSchema[column].Name == DefaultColumnNames.Score && input.GetColumnOrNull(Network.Layout!.Columns[0].Name) is null
            ? (ValueGetter<float>)((ref float value) => value = float.NaN)
            : CreateGetter(column, scores);

    private float Own(ReadOnlySpan<float> scores) => !Treatments.AreArms ? scores[0] : scores[0] < 0 ? float.NaN : scores[1 + (int)scores[0]];

    private float Difference(ReadOnlySpan<float> outcomes, int arm) => outcomes[arm] - outcomes[Treatments.Reference];

    private void PutEffects(ReadOnlySpan<float> outcomes, ref VBuffer<float> value)
    {
        var editor = VBufferEditor.Create(ref value, Others);
        for (var i = 0; i < Others; i++)
            editor.Values[i] = Difference(outcomes, i < Treatments.Reference ? i : i + 1);
        value = editor.Commit();
    }

    /// <summary>The treatment with the greatest outcome, the first of equal ones; of arms one that training rows have had.</summary>
    private int Best(ReadOnlySpan<float> outcomes)
    {
        var best = -1;
        for (var i = 0; i < outcomes.Length; i++)
        {
            if ((!Treatments.AreArms || Treatments.ArmRows[i] > 0) && (best < 0 || outcomes[i] > outcomes[best]))
                best = i;
        }

        return best;
    }

    private static DataViewSchema MakeSchema(Treatments treatments)
    {
        var names = treatments.Names;
        var builder = new DataViewSchema.Builder();
        var score = ScoreSchemaFactory.Create(NumberDataViewType.Single, AnnotationUtils.Const.ScoreColumnKind.Regression)[0];
        builder.AddColumn(score.Name, score.Type, score.Annotations);
        if (!treatments.AreArms)
        {
            builder.AddColumn(DoseResponse, new VectorDataViewType(NumberDataViewType.Single, names.Count), Slots(names));
            builder.AddColumn(BestDose, NumberDataViewType.Single);
            return builder.ToSchema();
        }

        builder.AddColumn(PotentialOutcomes, new VectorDataViewType(NumberDataViewType.Single, names.Count), Slots(names));
        if (treatments.AreKeys)
            builder.AddColumn(Effect, new VectorDataViewType(NumberDataViewType.Single, names.Count - 1), Slots([.. names.Where((_, i) => i != treatments.Reference)]));
        else
            builder.AddColumn(Effect, NumberDataViewType.Single);
        var keys = new DataViewSchema.Annotations.Builder();
        ReadOnlyMemory<char>[] values = [.. names.Select(name => name.AsMemory())];
        keys.AddKeyValues(values.Length, TextDataViewType.Instance, (ref VBuffer<ReadOnlyMemory<char>> value) => new VBuffer<ReadOnlyMemory<char>>(values.Length, values).CopyTo(ref value));
        builder.AddColumn(BestTreatment, new KeyDataViewType(typeof(uint), names.Count), keys.ToAnnotations());
        return builder.ToSchema();
    }

    private static DataViewSchema.Annotations Slots(IReadOnlyList<string> names)
    {
        var annotations = new DataViewSchema.Annotations.Builder();
        NamedSlots.Add(annotations, names);
        return annotations.ToAnnotations();
    }

    private static VersionInfo GetVersionInfo() => MakeVersion("MLPTREAT", LoaderSignature);
}
