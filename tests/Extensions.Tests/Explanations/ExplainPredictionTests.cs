using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.Trainers;
using MlNetMlp.Explanations;
using MlNetMlp.Interop;
using MlNetMlp.Networks;
using MlNetMlp.Scoring;
using MlNetMlp.Tests.Support;

namespace MlNetMlp.Tests.Explanations;

/// <summary>Contributions as a column: of chains, of files, in engines, and of models that are no networks.</summary>
public sealed class ExplainPredictionTests
{
    private static readonly MLContext Ml = Fitted.Ml;

    [Theory]
    [MemberData(nameof(Fitted.Kinds), MemberType = typeof(Fitted))]
    public void Every_network_is_explained_from_the_data_that_its_chain_reads(TaskKind task, bool isDense)
    {
        var model = Fitted.Model(task, isDense);
        var options = new ExplanationOptions { Target = task == TaskKind.MultiOutputRegression ? ExplanationTarget.AllClasses : ExplanationTarget.PredictedClass };
        var explained = Ml.Transforms.ExplainPrediction(model, options).Fit(Fitted.Data).Transform(Fitted.Data);

        var outputs = Fitted.Network(model).Outputs;
        var blocks = task == TaskKind.MultiOutputRegression ? outputs : 1;
        var width = ((VectorDataViewType)Fitted.Named.Schema["Features"].Type).Size;
        Assert.Equal(new VectorDataViewType(NumberDataViewType.Single, blocks * width), explained.Schema["FeatureContributions"].Type);
        Assert.Equal(task == TaskKind.Multiclass, explained.Schema.GetColumnOrNull("ExplainedClass") is not null);
        var found = Read(explained);
        Assert.Equal(Fitted.FewRows, found.Length);
        Assert.All(found, row => Assert.All(row, value => Assert.True(float.IsFinite(value))));
        Assert.Contains(found, row => row.Any(value => value != 0));

        // With the features at hand nothing before the network is asked.
        var direct = Ml.Transforms.ExplainPrediction(model, options).Fit(Fitted.Named).Transform(Fitted.Named);
        for (var row = 0; row < found.Length; row++)
            Near(found[row], Read(direct)[row], 1e-5);
    }

    [Fact]
    public void Names_of_slots_and_classes_come_along()
    {
        var explained = Ml.Transforms.ExplainPrediction(Fitted.Model(TaskKind.Multiclass)).Fit(Fitted.Data).Transform(Fitted.Data);
        VBuffer<ReadOnlyMemory<char>> names = default, expected = default, classes = default;
        explained.Schema["FeatureContributions"].GetSlotNames(ref names);
        Fitted.Named.Schema["Features"].GetSlotNames(ref expected);
        Assert.Equal(expected.DenseValues().Select(name => name.ToString()), names.DenseValues().Select(name => name.ToString()));
        explained.Schema["ExplainedClass"].GetKeyValues(ref classes);
        Assert.True(classes.Length > 1);

        // A chain may go on with them.
        var named = Ml.Transforms.ExplainPrediction(Fitted.Model(TaskKind.Multiclass)).Append(Ml.Transforms.Conversion.MapKeyToValue("Read", "ExplainedClass")).Fit(Fitted.Data).Transform(Fitted.Data);
        Assert.Subset(classes.DenseValues().Select(name => name.ToString()).ToHashSet(), named.GetColumn<string>("Read").ToHashSet());

        var predicted = Fitted.Model(TaskKind.Multiclass).Transform(Fitted.Data).GetColumn<uint>("PredictedLabel");
        Assert.Equal(predicted, explained.GetColumn<uint>("ExplainedClass"));
    }

    [Fact]
    public void Of_a_linear_model_it_tells_what_feature_contribution_calculation_does()
    {
        var linear = Ml.Regression.Trainers.OnlineGradientDescent("Target", learningRate: 0.001f, numberOfIterations: 20).Fit(Fitted.Named);
        var theirs = Ml.Transforms.CalculateFeatureContribution(
            linear, numberOfPositiveContributions: 100, numberOfNegativeContributions: 100, normalize: false).Fit(Fitted.Named).Transform(Fitted.Named);
        var ours = Ml.Transforms.ExplainPrediction(
            Linear(linear.Model), new() { Method = ExplanationMethod.GradientTimesInput }).Fit(Fitted.Named).Transform(Fitted.Named);

        Assert.Equal(theirs.Schema["FeatureContributions"].Type, ours.Schema["FeatureContributions"].Type);
        var (expected, found) = (Read(theirs), Read(ours));
        for (var row = 0; row < expected.Length; row++)
            Near(expected[row], found[row], 1e-5);
    }

    [Fact]
    public void Other_models_are_explained_by_their_scores()
    {
        var linear = Ml.Regression.Trainers.OnlineGradientDescent("Target", learningRate: 0.001f, numberOfIterations: 20).Fit(Fitted.Named);
        var options = new ExplanationOptions { Method = ExplanationMethod.SmoothedFiniteDifference, Samples = 16 };
        var byScores = Read(Ml.Transforms.ExplainPrediction(linear, options).Fit(Fitted.Named).Transform(Fitted.Named));
        var byNetwork = Read(Ml.Transforms.ExplainPrediction(Linear(linear.Model), options).Fit(Fitted.Named).Transform(Fitted.Named));
        for (var row = 0; row < byScores.Length; row++)
            Near(byNetwork[row], byScores[row], 1e-3);

        var other = Ml.BinaryClassification.Trainers.LdSvm("Flag").Fit(Fitted.Named);
        foreach (var model in new ITransformer[] { other, Ml.BinaryClassification.Trainers.FastTree("Flag", minimumExampleCountPerLeaf: 3).Fit(Fitted.Named) })
        {
            var explained = Ml.Transforms.ExplainPrediction(model, options).Fit(Fitted.Named).Transform(Fitted.Named);
            Assert.All(Read(explained), row => Assert.All(row, value => Assert.True(float.IsFinite(value))));
            Assert.Contains(Read(explained), row => row.Any(value => value != 0));
        }

        var error = Assert.Throws<ArgumentOutOfRangeException>(() => { Ml.Transforms.ExplainPrediction(other); });
        Assert.Contains("'Method' must be SmoothedFiniteDifference", error.Message, StringComparison.Ordinal);
        Assert.Contains("no gradients", error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(ExplanationMethod.IntegratedGradients)]
    [InlineData(ExplanationMethod.SmoothGrad)]
    public void A_file_an_engine_and_parallel_cursors_tell_the_same(ExplanationMethod method)
    {
        var model = Fitted.Model(TaskKind.Binary);
        var transformer = Ml.Transforms.ExplainPrediction(model, new() { Method = method }).Fit(Fitted.Data);
        var expected = Read(transformer.Transform(Fitted.Data));

        using var stream = new MemoryStream();
        Ml.Model.Save(model.Append(transformer), Fitted.Data.Schema, stream);
        stream.Position = 0;
        var loaded = new MLContext().Model.Load(stream, out _);
        var again = loaded.Transform(Fitted.Data);
        var found = Read(again);
        for (var row = 0; row < expected.Length; row++)
            Near(expected[row], found[row], 1e-5);
        Assert.NotNull(again.Schema.GetColumnOrNull("Probability"));

        var columns = again.Schema.Where(column => column.Name == "FeatureContributions").ToArray();
        var byId = new Dictionary<DataViewRowId, float[]>();
        foreach (var cursor in again.GetRowCursorSet(columns, 3))
        {
            using var rows = cursor;
            var (id, value) = (cursor.GetIdGetter(), cursor.GetGetter<VBuffer<float>>(columns[^1]));
            while (cursor.MoveNext())
            {
                DataViewRowId key = default;
                VBuffer<float> row = default;
                id(ref key);
                value(ref row);
                byId.Add(key, [.. row.DenseValues()]);
            }
        }

        using (var cursor = again.GetRowCursor(columns))
        {
            var id = cursor.GetIdGetter();
            for (var row = 0; cursor.MoveNext(); row++)
            {
                DataViewRowId key = default;
                id(ref key);
                Near(expected[row], byId[key], 1e-5);
            }
        }

        if (method != ExplanationMethod.IntegratedGradients)
            return;
        var engine = Ml.Model.CreatePredictionEngine<Rows.Row, Told>(loaded, Fitted.Data.Schema);
        var examples = Ml.Data.CreateEnumerable<Rows.Row>(Fitted.Data, reuseRowObject: false).Take(20).ToArray();
        for (var row = 0; row < examples.Length; row++)
            Near(expected[row], engine.Predict(examples[row]).FeatureContributions, 1e-5);
    }

    [Fact]
    public void What_does_not_suit_is_refused_by_name()
    {
        var model = Fitted.Model(TaskKind.Multiclass);
        Refused(model, new() { Steps = 0 }, "'Steps'");
        Refused(model, new() { NoiseFraction = 0 }, "'NoiseFraction'");
        Refused(model, new() { Baseline = ExplanationBaseline.Vector }, "'BaselineVector'");
        Refused(model, new() { Target = ExplanationTarget.ClassIndex, ClassIndex = 50 }, "'ClassIndex' must be less than");
        Refused(model, new() { Output = ExplainedOutput.Loss, Target = ExplanationTarget.AllClasses }, "'Target'");
        Refused(Fitted.Model(TaskKind.MultiOutputRegression), new(), "'Target' must be ClassIndex or AllClasses");
        Refused(Fitted.Model(TaskKind.Regression), new() { Target = ExplanationTarget.TrueLabel }, "'Target'");

        var baseline = new ExplanationOptions { Baseline = ExplanationBaseline.Vector, BaselineVector = [1] };
        Assert.Contains("'BaselineVector' must have", Message(() => Ml.Transforms.ExplainPrediction(model, baseline).Fit(Fitted.Data)), StringComparison.Ordinal);
        var label = new ExplanationOptions { Target = ExplanationTarget.TrueLabel, LabelColumnName = "Nowhere" };
        Assert.Contains("no column 'Nowhere'", Message(() => Ml.Transforms.ExplainPrediction(model, label).Fit(Fitted.Data)), StringComparison.Ordinal);
        var scorer = Fitted.Model(TaskKind.Regression);
        var last = ((IEnumerable<ITransformer>)scorer).Last();
        Assert.Contains("no column 'Features'", Message(() => Ml.Transforms.ExplainPrediction(last).Fit(Ml.Data.LoadFromEnumerable([new Told()]))), StringComparison.Ordinal);
        Assert.Contains("no predictor", Assert.Throws<ArgumentException>(() => Ml.Transforms.ExplainPrediction(Ml.Transforms.CopyColumns("A", "B").Fit(Ml.Data.LoadFromEnumerable([new { B = 1f }])))).Message, StringComparison.Ordinal);

        static void Refused(ITransformer model, ExplanationOptions options, string what) =>
            Assert.Contains(what, Message(() => Ml.Transforms.ExplainPrediction(model, options)), StringComparison.Ordinal);

        static string Message(Action action) => Assert.ThrowsAny<ArgumentException>(action).Message;
    }

    private static ITransformer Linear(LinearRegressionModelParameters parameters)
    {
        var trained = Ml.Regression.Trainers.CreateTrainer(new PlainMlp(Fitted.Options(TaskKind.Regression))).Fit(Fitted.Named);
        using var scope = TorchSharp.torch.NewDisposeScope();
        var builder = new HiddenLayerBuilder(parameters.Weights.Count, 1, Activation.Identity, [0.0], 1, null);
        builder.Add(new([.. parameters.Weights], [0], [1], [parameters.Bias]), 1);
        using var network = builder.Build(1);
        return NetworkReplacement.Replace(
            Ml, trained, new(network.Definition, network.ReadWeights(), new RegressionHead { LabelMean = 0, LabelScale = 1 }) { MethodName = "Linear" });
    }

    private static float[][] Read(IDataView data) => [.. data.GetColumn<VBuffer<float>>("FeatureContributions").Select(row => row.DenseValues().ToArray())];

    private static void Near(float[] expected, float[] actual, double tolerance)
    {
        var size = expected.Select(Math.Abs).Append(1).Max();
        Assert.Equal(expected.Length, actual.Length);
        for (var i = 0; i < expected.Length; i++)
            Assert.Equal(expected[i], actual[i], tolerance * size);
    }

    private sealed class Told
    {
        public float[] FeatureContributions { get; set; } = [];
    }
}
