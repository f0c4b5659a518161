using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.Runtime;

namespace MlNetMlp.Conformance.Tests.Mocks;

internal static class DataMocks
{
    [Mock(12, "no rows: not refused")]
    public static Subject LearnsFromNothing() => new Faulty(EstimatorTask.Regression)
    {
        Input = (ml, data) => Count(data) > 0 ? data : Data(ml, EstimatorTask.Regression),
    };

    [Mock(12, "rows come out where none goes in")]
    public static Subject ScoresNothing() => new Faulty(EstimatorTask.Multiclass)
    {
        Trained = (ml, model) => new FaultyModel(model) { Input = data => Count(data) > 0 ? data : Data(ml, EstimatorTask.Multiclass) },
    };

    [Mock(13, "one row")]
    public static Subject ScoresOneRowAsNaN() => new Faulty(EstimatorTask.Regression)
    {
        Trained = (ml, model) => new FaultyModel(model)
        {
            Output = data => Count(data) > 1 ? data : Trial.Changed(data, ml.Transforms.CustomMapping<Number, Number>((_, to) => to.Score = float.NaN, null)),
        },
    };

    [Mock(13, "one feature: the message lacks")]
    public static Subject FailsOnOneFeature() => new Faulty(EstimatorTask.Regression)
    {
        Input = (_, data) => data.Schema["Features"].Type is VectorDataViewType { Size: 1 } ? throw new InvalidOperationException("Singular matrix.") : data,
    };

    [Mock(13, "fewer rows than a batch: System.IndexOutOfRangeException")]
    public static Subject ReadsBeyondFewRows() => new Faulty(EstimatorTask.Regression)
    {
        Input = (_, data) => new[] { data }[Count(data) == 20 ? 1 : 0],
    };

    [Mock(14, "one class: another class")]
    public static Subject ImaginesOtherClasses() => new Faulty(EstimatorTask.Binary)
    {
        Input = (ml, data) => data.GetColumn<bool>("Label").Distinct().Count() == 1 ? Data(ml, EstimatorTask.Binary) : data,
    };

    [Mock(14, "weights above 0: another class")]
    public static Subject ImaginesClassesOfNoWeight() => new Faulty(EstimatorTask.Multiclass)
    {
        Input = (ml, data) => data.GetColumn<float>("Weight").Contains(0) ? Data(ml, EstimatorTask.Multiclass) : data,
    };

    [Mock(15, "training on a feature of NaN: not refused")]
    public static Subject FillsWhatIsMissing() => new Faulty(EstimatorTask.Regression) { Input = Filled };

    [Mock(15, "scoring a feature of NaN: not refused")]
    public static Subject ScoresWhatIsMissing() => new Faulty(EstimatorTask.Regression)
    {
        Trained = (ml, model) => new FaultyModel(model) { Input = data => Filled(ml, data) },
    };

    [Mock(15, "the message lacks 'row 37'")]
    public static Subject DoesNotSayWhichRow() => new Faulty(EstimatorTask.Multiclass)
    {
        Input = (_, data) => data.GetColumn<float[]>("Features").All(row => row.All(float.IsFinite))
            ? data
            : throw new InvalidOperationException("'Features' are not finite"),
    };

    [Mock(16, "which should be skipped")]
    public static Subject TakesMissingLabelsForZero() => new Faulty(EstimatorTask.Regression)
    {
        Input = (ml, data) =>
        {
            ((IChannelProvider)ml).Start("Fit").Info(MessageSensitivity.None, "37 rows are without a label.");
            return Trial.Changed(data, ml.Transforms.ReplaceMissingValues("Label"));
        },
    };

    [Mock(16, "the log does not say")]
    public static Subject SkipsInSilence() => new Faulty(EstimatorTask.Regression)
    {
        Input = (ml, data) => ml.Data.FilterRowsByMissingValues(data, "Label"),
    };

    [Mock(16, "no label at all: the message lacks 'Label'")]
    public static Subject DoesNotSayThatLabelsAreMissing() => new Faulty(EstimatorTask.Multiclass)
    {
        Input = (_, data) => data.GetColumn<uint>("Label").All(key => key == 0) ? throw new InvalidOperationException("There are no rows.") : data,
    };

    [Mock(18, "class 3 has no rows")]
    public static Subject WantsRowsOfEveryClass() => new Faulty(EstimatorTask.Multiclass)
    {
        Input = (_, data) => data.GetColumn<uint>("Label").Contains(3u) ? data : throw new InvalidOperationException("class 3 has no rows"),
    };

    private static int Count(IDataView data) => data.GetColumn<int>("Id").Count();

    private static IDataView Data(MLContext ml, EstimatorTask task) => Samples.View(ml, task, Samples.Make(Trial.RowCount, 5), 5);

    private static IDataView Filled(MLContext ml, IDataView data) => Trial.Changed(data, ml.Transforms.ReplaceMissingValues("Features"));

    private sealed class Number
    {
        public float Score { get; set; }
    }
}
