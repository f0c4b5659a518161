using Microsoft.ML;
using Microsoft.ML.Data;

namespace MlNetMlp.Conformance.Tests.Mocks;

internal static class ColumnMocks
{
    [Mock(7, "Score")]
    public static Subject ForgetsItsColumns() => new Faulty(EstimatorTask.Regression)
    {
        Trained = (_, model) => new FaultyModel(model) { Schema = schema => Without(schema, "Score") },
    };

    [Mock(7, "single rows")]
    public static Subject ScoresOnlyViews() => new Faulty(EstimatorTask.Regression)
    {
        Trained = (_, model) => new FaultyModel(model) { ScoresRows = false },
    };

    [Mock(8, "'Features'")]
    public static Subject InsistsOnItsNames() => new Faulty(EstimatorTask.Regression)
    {
        Options = options => OptionValues.With(options, ("FeatureColumnName", "Features")),
    };

    [Mock(8, "without other columns")]
    public static Subject LearnsFromOtherColumns() => new Faulty(EstimatorTask.Multiclass)
    {
        Input = (ml, data) => data.Schema.GetColumnOrNull("Id") is null ? data : ml.Data.TakeRows(data, 200),
    };

    [Mock(8, "with hidden columns")]
    public static Subject TakesTheFirstOfItsName() => new Faulty(EstimatorTask.Binary)
    {
        Input = (ml, data) => data.Schema.Count(column => column.Name == "Features") > 1 ? ml.Data.TakeRows(data, 200) : data,
    };

    [Mock(8, "do not pass through")]
    public static Subject DropsOtherColumns() => new Faulty(EstimatorTask.Regression)
    {
        Trained = (ml, model) => new FaultyModel(model)
        {
            Output = data => data.Schema.GetColumnOrNull("Id") is null ? data : Trial.Changed(data, ml.Transforms.DropColumns("Id")),
        },
    };

    [Mock(9, "a text as label, GetOutputSchema: not refused")]
    public static Subject PromisesWithoutLooking() => new Faulty(EstimatorTask.Binary) { Trainer = (_, trainer) => new Trusting(trainer) };

    [Mock(9, "a text as features, Transform: not refused")]
    public static Subject TransformsAnything() => new Faulty(EstimatorTask.Regression)
    {
        Trained = (ml, model) => new FaultyModel(model)
        {
            Input = data => data.Schema.GetColumnOrNull("Features")?.Type is TextDataViewType ? Samples.View(ml, EstimatorTask.Regression, [], 5) : data,
        },
    };

    [Mock(9, "Transform with FormatException")]
    public static Subject RefusesInAnotherWay() => new Faulty(EstimatorTask.Regression)
    {
        Trained = (_, model) => new FaultyModel(model)
        {
            Input = data => data.Schema.GetColumnOrNull("Features")?.Type is VectorDataViewType { IsKnownSize: false }
                ? throw new FormatException("'Features' is Vector<Single> of unknown size")
                : data,
        },
    };

    [Mock(9, "features of type Double")]
    public static Subject LearnsLessFromDoubles() => new Faulty(EstimatorTask.Regression)
    {
        Input = (ml, data) => data.Schema.GetColumnOrNull("Features")?.Type is VectorDataViewType vector && vector.ItemType == NumberDataViewType.Double
            ? ml.Data.TakeRows(data, 200)
            : data,
    };

    [Mock(10, "not refused")]
    public static Subject CutsRowsToSize() => new Faulty(EstimatorTask.Multiclass)
    {
        Trained = (ml, model) => new FaultyModel(model) { Input = data => Width(data) == 6 ? Samples.View(ml, EstimatorTask.Multiclass, [], 5) : data },
    };

    [Mock(10, "lacks")]
    public static Subject SaysNoWidths() => new Faulty(EstimatorTask.Regression)
    {
        Trained = (_, model) => new FaultyModel(model)
        {
            Input = data => Width(data) == 5 ? data : throw new ArgumentException("The features have the wrong size."),
        },
    };

    [Mock(11, "ScoreColumnKind")]
    public static Subject SaysNothingOfItsScores() => new Faulty(EstimatorTask.Regression)
    {
        Trained = (ml, model) => new FaultyModel(model)
        {
            Output = data => Trial.Changed(data, ml.Transforms.CustomMapping<Number, Number>((from, to) => to.Score = from.Score, null)),
        },
    };

    [Mock(11, "small")]
    public static Subject NamesOtherClasses() => new Faulty(EstimatorTask.Multiclass)
    {
        Input = (ml, data) => Trial.Changed(data, Samples.Key(ml, "Kind", ["big", "medium", "little"])),
    };

    private static int Width(IDataView data) => ((VectorDataViewType)data.Schema["Features"].Type).Size;

    private static DataViewSchema Without(DataViewSchema schema, string column)
    {
        var builder = new DataViewSchema.Builder();
        foreach (var kept in schema.Where(c => c.Name != column))
            builder.AddColumn(kept.Name, kept.Type, kept.Annotations);
        return builder.ToSchema();
    }

    private sealed class Number
    {
        public float Score { get; set; }
    }

    /// <summary>A trainer that promises what it promises for good data, whatever the data are.</summary>
    private sealed class Trusting(IEstimator<ITransformer> right) : IEstimator<ITransformer>
    {
        public ITransformer Fit(IDataView input) => right.Fit(input);

        public SchemaShape GetOutputSchema(SchemaShape inputSchema) =>
            right.GetOutputSchema(inputSchema.Any(column => column.Name == "Label" && column.ItemType is TextDataViewType)
                ? Trial.Shape(new Trial(Faulty.Right(EstimatorTask.Binary)).Data.Schema)
                : inputSchema);
    }
}
