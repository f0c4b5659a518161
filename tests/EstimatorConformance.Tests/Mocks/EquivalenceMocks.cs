using Microsoft.ML;
using Microsoft.ML.Data;

namespace MlNetMlp.Conformance.Tests.Mocks;

internal static class EquivalenceMocks
{
    [Mock(17, "with labels of type Int32")]
    public static Subject CutsWholeNumbers() => new Faulty(EstimatorTask.Regression)
    {
        Input = (ml, data) => data.Schema["Label"].Type.RawType == typeof(int) ? ml.Data.TakeRows(data, 200) : data,
    };

    [Mock(17, "with labels of type Single")]
    public static Subject TakesNumbersForTheirOpposites() => new Faulty(EstimatorTask.Binary)
    {
        Input = (ml, data) => data.Schema["Label"].Type is NumberDataViewType
            ? Trial.Changed(data, ml.Transforms.CustomMapping<Truth, Truth>((from, to) => to.Label = 1 - from.Label, null))
            : data,
    };

    [Mock(17, "classes in another order")]
    public static Subject BelievesInAnOrderOfClasses() => new Faulty(EstimatorTask.Multiclass)
    {
        Input = (ml, data) => data.GetColumn<string>("Kind").Zip(data.GetColumn<uint>("Label")).Any(pair => pair is ("big", 2))
            ? Trial.Changed(data, Samples.Key(ml, "Kind", Samples.Kinds))
            : data,
    };

    [Mock(19, "sparse rows")]
    public static Subject ForgetsWhereValuesStand() => new Faulty(EstimatorTask.Regression)
    {
        Trained = (ml, model) => new FaultyModel(model) { Input = data => Packed(ml, data) },
    };

    [Mock(19, "trained on sparse rows")]
    public static Subject LearnsWithoutPlaces() => new Faulty(EstimatorTask.Multiclass) { Input = Packed };

    [Mock(20, "with weights of 1")]
    public static Subject LearnsLessWithWeights() => new Faulty(EstimatorTask.Regression)
    {
        Input = (ml, data) => data.GetColumn<float>("Weight").All(weight => weight == 1) ? ml.Data.TakeRows(data, 200) : data,
    };

    [Mock(20, "with weights of 0")]
    public static Subject IgnoresWeights() => new Faulty(EstimatorTask.Regression) { Input = (ml, data) => Reweighted(ml, data, _ => 1) };

    [Mock(20, "with weights of 5")]
    public static Subject OnlyAsksWhetherThereIsAWeight() => new Faulty(EstimatorTask.Binary)
    {
        Input = (ml, data) => Reweighted(ml, data, weight => weight > 0 ? 1 : weight),
    };

    [Mock(20, "a weight of -1: not refused")]
    public static Subject IgnoresTheSign() => new Faulty(EstimatorTask.Multiclass) { Input = (ml, data) => Reweighted(ml, data, Math.Abs) };

    [Mock(21, "the data are read 6 times")]
    public static Subject ReadsAgainAndAgain() => new Faulty(EstimatorTask.Regression)
    {
        Input = (_, data) =>
        {
            for (var pass = 0; pass < 5; pass++)
                Count(data);
            return data;
        },
    };

    [Mock(21, "training writes to 240 vectors")]
    public static Subject WritesIntoItsData() => new Faulty(EstimatorTask.Binary) { Input = (_, data) => Halved(data) };

    [Mock(21, "scoring writes to 60 vectors")]
    public static Subject WritesIntoWhatItScores() => new Faulty(EstimatorTask.Multiclass)
    {
        Trained = (_, model) => new FaultyModel(model) { Output = Halved },
    };

    private static int Count(IDataView data) => data.GetColumn<float>("Number").Count();

    private static IDataView Halved(IDataView data)
    {
        foreach (var row in data.GetColumn<VBuffer<float>>("Features"))
        {
            var buffer = row;
            VBufferEditor.CreateFromBuffer(ref buffer).Values[0] /= 2;
        }

        return data;
    }

    private static IDataView Reweighted(MLContext ml, IDataView data, Func<float, float> change) =>
        data.Schema.GetColumnOrNull("Weight")?.Type == NumberDataViewType.Single
        ? Trial.Changed(data, ml.Transforms.CustomMapping<Weighted, Weighted>((from, to) => to.Weight = change(from.Weight), null))
        : data;

    private static IDataView Packed(MLContext ml, IDataView data)
    {
        var schema = SchemaDefinition.Create(typeof(Row));
        schema[nameof(Row.Features)].ColumnType = data.Schema["Features"].Type;
        return Trial.Changed(data, ml.Transforms.CustomMapping<Row, Row>((from, to) => to.Features = Packed(from.Features), null, schema, schema));
    }

    private static VBuffer<float> Packed(VBuffer<float> vector) =>
        new(vector.Length, [.. vector.GetValues(), .. new float[vector.Length - vector.GetValues().Length]]);

    private sealed class Truth
    {
        public float Label { get; set; }
    }

    private sealed class Weighted
    {
        public float Weight { get; set; }
    }

    private sealed class Row
    {
        public VBuffer<float> Features { get; set; }
    }
}
