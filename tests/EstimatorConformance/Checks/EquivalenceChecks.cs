using System.Globalization;
using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.Transforms;

namespace MlNetMlp.Conformance.Checks;

/// <summary>Data that say the same in other ways give the same model, and reading them leaves them as they are.</summary>
internal static class EquivalenceChecks
{
    private const int Weight = 5;
    private const int BadRow = 37;

    [Check(17, "Keys of texts, numbers and Booleans in any order give the same scores in that order; integer and real labels agree", Tasks = EstimatorTask.Labelled)]
    public static void KindsOfLabelsAgree(Trial trial)
    {
        if (trial.Task == EstimatorTask.Multiclass)
            KeysAgree(trial);
        else
            NumbersAgree(trial);
    }

    [Check(19, "Dense and sparse vectors give the same model and the same scores")]
    public static void SparseIsDense(Trial trial)
    {
        var (rows, others) = (trial.View(Thinned(trial.Rows)), trial.View(Thinned(trial.OtherRows)));
        var sparse = Sparse(trial);
        var (model, fromSparse) = (trial.Fit(rows), trial.Fit(Trial.Changed(rows, sparse)));
        var expected = ScoredRows.Of(model, others);
        ScoredRows.Of(model, Trial.Changed(others, sparse)).ShouldBeNear(expected, trial.Traits.Tolerance, "sparse rows");
        ScoredRows.Of(fromSparse, others).ShouldBeNear(expected, trial.Traits.Tolerance, "a model trained on sparse rows");

        static IEnumerable<SampleRow> Thinned(IEnumerable<SampleRow> rows) =>
            rows.Select(row => row.With(r => r.Features = [.. r.Features.Select(x => Math.Abs(x) < 0.8f ? 0 : x)]));
    }

    [Check(20, "A weight of 1 is none, of 0 is no row, of k is k rows; negative ones, NaN and zeros alone are refused", Tasks = EstimatorTask.Labelled, When = nameof(Subject.TakesWeights))]
    public static void WeightsCountRows(Trial trial)
    {
        Scored(Weighted(trial, _ => 1)).ShouldBe(trial.Score(trial.Model), "with weights of 1");

        // Each row has another beside it that contradicts it, so that it shows which of them count.
        var rows = trial.Rows.Take(trial.Rows.Count / 2).ToArray();
        var pairs = rows.SelectMany(row => new[] { row, Contrary(row) });
        var without = trial.Score(trial.Fit(trial.View(rows)));
        Scored(View(pairs, most: 1, least: 0)).ShouldBeNear(without, trial.Traits.Tolerance, "with weights of 0 in place of no rows");
        var repeated = trial.Score(trial.Fit(trial.View(rows.SelectMany(row => Enumerable.Repeat(row, Weight).Append(Contrary(row))))));
        var weighted = Scored(View(pairs, most: Weight, least: 1));
        var what = $"with weights of {Weight} in place of {Weight} rows";
        if (trial.Traits.Weights == WeightSemantics.Exact)
            weighted.ShouldBeNear(repeated, trial.Traits.Tolerance, what);
        else
            ShouldBeNearer(weighted, repeated, trial.Score(trial.Fit(View(pairs, most: 1, least: 1))), what);
        BadWeightsAreRefused(trial);

        IDataView View(IEnumerable<SampleRow> pairs, float most, float least) =>
            trial.View(pairs.Select((row, i) => row.With(r => r.Weight = i % 2 == 0 ? most : least)));

        ScoredRows Scored(IDataView data) => trial.Score(trial.Fit(data, ("ExampleWeightColumnName", "Weight")));
    }

    [Check(21, "Data are only read forward, no more often than the method says, and are not written to")]
    public static void DataAreOnlyRead(Trial trial)
    {
        var watched = new WatchedView(trial.Data);
        var model = trial.Fit(watched);
        var passes = watched.RowsRead / (double)trial.Rows.Count;
        Assert.True(passes <= trial.Traits.DataPasses, $"the data are read {passes:0.#} times, which may be {trial.Traits.DataPasses}");
        Assert.True(watched.VectorsChanged == 0, $"training writes to {watched.VectorsChanged} vectors of its data");
        trial.Score(model).ShouldBe(trial.Score(trial.Model), "a model of data that are only read forward");
        var scored = new WatchedView(trial.OtherData);
        var scores = ScoredRows.Of(model, scored);
        Assert.True(scored.VectorsChanged == 0, $"scoring writes to {scored.VectorsChanged} vectors of its data");
        scores.ShouldBe(trial.Score(trial.Model), "data that are only read forward");
    }

    private static void KeysAgree(Trial trial)
    {
        var (ml, expected) = (trial.Ml, trial.Score(trial.Model));
        var codes = ml.Transforms.Conversion.MapValue("Code", new Dictionary<string, int> { ["big"] = 7, ["medium"] = 20, ["small"] = 3 }, "Kind");
        Fit(codes.Append(Samples.Key(ml, "Code", [7, 20, 3]))).ShouldBe(expected, "keys of numbers in place of texts");
        Agree(Fit(Samples.Key(ml, "Kind", ["small", "big", "medium"])), expected, [1, 2, 0], "classes in another order");
        Agree(Fit(Samples.Key(ml, "Flag", [true, false])), Fit(Samples.Key(ml, "Flag", [false, true])), [1, 0], "Boolean classes in another order");

        ScoredRows Fit(IEstimator<ITransformer> key) => trial.Score(trial.Fit(Trial.Changed(trial.Data, key)));

        void Agree(ScoredRows scored, ScoredRows expected, int[] places, string what)
        {
            var labels = scored.Predicted!.Select(label => Array.IndexOf(places, int.Parse(label, CultureInfo.InvariantCulture) - 1) + 1);
            var ordered = new ScoredRows(
                [.. scored.Scores.Select(row => places.Select(place => row[place]).ToArray())],
                null,
                [.. labels.Select(label => label.ToString(CultureInfo.InvariantCulture))]);
            if (trial.Traits.IsClassOrderExact)
                ordered.ShouldBeNear(expected, trial.Traits.Tolerance, what);
            else
                ordered.ShouldResemble(expected, what);
        }
    }

    private static void NumbersAgree(Trial trial)
    {
        var isBinary = trial.Task == EstimatorTask.Binary;
        var rows = trial.Rows.Select(row => row.With(r => r.Id = !isBinary ? (int)MathF.Round(r.Number) : r.Flag ? 1 : 0).With(r => r.Number = r.Id)).ToArray();
        var real = isBinary ? Trial.Changed(trial.View(rows), trial.Ml.Transforms.CopyColumns("Label", "Number")) : trial.View(rows);
        if (isBinary && Trial.Catch(() => trial.Trainer().GetOutputSchema(Trial.Shape(real.Schema))) is { } error)
        {
            // Numbers are no Booleans, and nobody has to take them for such.
            Trial.Refused(error, "a number as label", "Label", "Boolean", "Single");
            return;
        }

        var expected = trial.Score(trial.Fit(trial.View(rows)));
        trial.Score(trial.Fit(real)).ShouldBe(expected, "with labels of type Single");
        trial.Score(trial.Fit(Trial.Changed(real, Whole(trial)))).ShouldBe(expected, "with labels of type Int32");
        var exact = Trial.Changed(real, trial.Ml.Transforms.Conversion.ConvertType("Label", outputKind: DataKind.Double));
        trial.Score(trial.Fit(exact)).ShouldBe(expected, "with labels of type Double");
    }

    // ML.NET does not convert to integers.
    private static IEstimator<ITransformer> Whole(Trial trial) => trial.Task == EstimatorTask.MultiOutput
        ? trial.Ml.Transforms.Expression("Opposite", "x : -x", "Id").Append(trial.Ml.Transforms.Concatenate("Label", "Id", "Opposite"))
        : trial.Ml.Transforms.CopyColumns("Label", "Id");

    // What is drawn at random differs; but it must be nearer by half than a model that ignores the weights.
    private static void ShouldBeNearer(ScoredRows weighted, ScoredRows repeated, ScoredRows ignored, string what)
    {
        var (same, alike) = (weighted.Agreement(repeated), ignored.Agreement(repeated));
        Assert.True(1 - same <= (1 - alike) / 2, $"{what}: {same:P0} is the same, and {alike:P0} where weights are ignored");
    }

    private static void BadWeightsAreRefused(Trial trial)
    {
        foreach (var bad in new[] { -1, float.NaN, float.PositiveInfinity })
            Refused($"a weight of {bad}", Weighted(trial, row => row.Id == BadRow ? bad : 1), $"row {BadRow}");
        Refused("weights that are all 0", Weighted(trial, _ => 0));
        Refused("texts as weights", Trial.Changed(trial.Data, trial.Ml.Transforms.CopyColumns("Weight", "Text")), "String");
        Refused("vectors as weights", Trial.Changed(trial.Data, trial.Ml.Transforms.CopyColumns("Weight", "Features")), "Vector");
        Refused("no weights where they are asked for", Trial.Changed(trial.Data, trial.Ml.Transforms.DropColumns("Weight")));

        void Refused(string what, IDataView data, params string[] parts) =>
            Trial.Refused(() => trial.Fit(data, ("ExampleWeightColumnName", "Weight")), what, ["Weight", .. parts]);
    }

    private static IDataView Weighted(Trial trial, Func<SampleRow, float> weight) => trial.View(trial.Rows.Select(row => row.With(r => r.Weight = weight(row))));

    private static SampleRow Contrary(SampleRow row) => row.With(r =>
        (r.Number, r.Flag, r.Kind) = (20 - r.Number, !r.Flag, Samples.Kinds[(Samples.Kinds.ToList().IndexOf(r.Kind!) + 1) % Samples.Kinds.Count]));

    private static CustomMappingEstimator<Row, Row> Sparse(Trial trial)
    {
        var schema = SchemaDefinition.Create(typeof(Row));
        schema[nameof(Row.Features)].ColumnType = new VectorDataViewType(NumberDataViewType.Single, trial.Traits.FeatureCount);
        return trial.Ml.Transforms.CustomMapping<Row, Row>((dense, sparse) => sparse.Features = WithoutZeros(dense.Features), null, schema, schema);
    }

    private static VBuffer<float> WithoutZeros(VBuffer<float> vector)
    {
        var set = vector.Items(all: true).Where(item => item.Value != 0).ToArray();
        return new(vector.Length, set.Length, [.. set.Select(item => item.Value)], [.. set.Select(item => item.Key)]);
    }

    private sealed class Row
    {
        public VBuffer<float> Features { get; set; }
    }
}
