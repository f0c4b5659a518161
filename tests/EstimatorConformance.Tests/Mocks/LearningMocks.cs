using Microsoft.ML;
using Microsoft.ML.Data;
using MlNetMlp.Data;
using MlNetMlp.Interop;
using MlNetMlp.Methods;
using MlNetMlp.Networks;
using MlNetMlp.Tests.Support;
using MlNetMlp.Training;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace MlNetMlp.Conformance.Tests.Mocks;

internal static class LearningMocks
{
    [Mock(22, "the accuracy on new rows is")]
    public static Subject LearnsNothing() => new Faulty(EstimatorTask.Binary) { Options = options => (PlainMlp.Options)options with { Epochs = 1, LearningRate = 1e-9 } };

    [Mock(23, "no gradient reaches 'unused'")]
    public static Subject HasAnUnusedWeight() => new Faulty(EstimatorTask.Regression)
    {
        Trainer = (ml, _) => ml.Regression.Trainers.CreateTrainer(new OddMlp(new() { Epochs = 10, Seed = 1 }, loss: null)),
    };

    [Mock(23, "the training loss goes")]
    public static Subject DoesNotDescend() => new Faulty(EstimatorTask.Multiclass)
    {
        Trainer = (ml, _) => ml.MulticlassClassification.Trainers.CreateTrainer(
            new OddMlp(new() { Epochs = 10, Seed = 1 }, (network, batch) => network.call(batch.Features).mul(0).sum())),
    };

    [Mock(24, "is not whether the score is positive")]
    public static Subject PredictsTheOpposite() => Scoring(EstimatorTask.Binary, ml => ml.Transforms.Expression("PredictedLabel", "label => !label", "PredictedLabel"));

    [Mock(24, "a probability falls where the score rises")]
    public static Subject GivesTheProbabilityOfNo() => Scoring(EstimatorTask.Binary, ml => ml.Transforms.Expression("Probability", "p => 1 - p", "Probability"));

    [Mock(24, "do not sum to one")]
    public static Subject GivesHalfOfTheProbability() => Scoring(EstimatorTask.Multiclass, ml => ml.Transforms.Expression("Score", "p => p / 2", "Score"));

    [Mock(24, "row 0 has the score NaN")]
    public static Subject ScoresNaN() => Scoring(EstimatorTask.Regression, ml => ml.Transforms.Expression("Score", "s => s / 0 - s / 0", "Score"));

    [Mock(25, "row 0 alone")]
    public static Subject NormalizesByTheBatch() => new Faulty(EstimatorTask.Regression)
    {
        Trained = (ml, model) => new FaultyModel(model) { Input = data => ml.Transforms.NormalizeMinMax("Features").Fit(data).Transform(data) },
    };

    [Mock(26, "scored again")]
    public static Subject CountsItsCalls() => new Faulty(EstimatorTask.Regression)
    {
        Trained = (ml, model) =>
        {
            var calls = 0;
            return new FaultyModel(model) { Output = data => ml.Transforms.Expression("Score", $"s => s + {Interlocked.Increment(ref calls)}f", "Score").Fit(data).Transform(data) };
        },
    };

    [Mock(27, "nothing is drawn from it")]
    public static Subject IgnoresItsSeed() => new Faulty(EstimatorTask.Regression) { Options = options => (PlainMlp.Options)options with { Seed = 7 } };

    [Mock(27, "the same seed")]
    public static Subject DrawsItsSeed() => new Faulty(EstimatorTask.Regression)
    {
        Options = options => (PlainMlp.Options)options with { Seed = Random.Shared.Next() },
    };

    [Mock(27, "a trainer that was fitted on other data before")]
    public static Subject GoesOnFromTheLastFit() => new Faulty(EstimatorTask.Regression)
    {
        Trainer = (_, trainer) =>
        {
            IDataView? first = null;
            return new FaultyTrainer(trainer) { Promise = shape => shape, Input = data => first ??= data, Trained = model => model };
        },
    };

    [Mock(28, "another number of threads")]
    public static Subject DependsOnThreads() => new Faulty(EstimatorTask.Regression)
    {
        Options = options => (PlainMlp.Options)options with { Seed = get_num_threads() },
    };

    [Mock(29, "in a chain")]
    public static Subject MindsOtherColumns() => new Faulty(EstimatorTask.Regression)
    {
        Input = (ml, data) => data.Schema.GetColumnOrNull("Copy") is null ? data : ml.Data.TakeRows(data, 100),
    };

    [Mock(29, "from a file")]
    public static Subject WantsItsRowsInMemory() => new Faulty(EstimatorTask.Regression)
    {
        Input = (ml, data) => data.GetType().Name.Contains("BinaryLoader", StringComparison.Ordinal) ? ml.Data.TakeRows(data, 100) : data,
    };

    [Mock(41, "without later rows")]
    public static Subject LooksAhead() => Seeing((ml, data) => ml.Transforms.NormalizeMeanVariance("Features").Fit(data).Transform(data));

    [Mock(41, "without the rows before")]
    public static Subject RemembersTheFirstRow() => Seeing((ml, data) =>
    {
        var first = data.GetColumn<float[]>("Features").First()[0].ToString(System.Globalization.CultureInfo.InvariantCulture);
        return ml.Transforms.Expression("Features", $"x : x - ({first})", "Features").Fit(data).Transform(data);
    });

    [Mock(41, "though too few are before it")]
    public static Subject ForecastsFromNothing() => new Faulty(EstimatorTask.Forecasting)
    {
        Trained = (ml, model) => new FaultyModel(model) { Output = data => ml.Transforms.ReplaceMissingValues("Score").Fit(data).Transform(data) },
    };

    private static Faulty Seeing(Func<MLContext, IDataView, IDataView> change) => new(EstimatorTask.Forecasting)
    {
        Trained = (ml, model) => new FaultyModel(model) { Input = data => change(ml, data) },
    };

    private static Faulty Scoring(EstimatorTask task, Func<MLContext, IEstimator<ITransformer>> last) => new(task)
    {
        Trained = (ml, model) => new FaultyModel(model) { Output = data => last(ml).Fit(data).Transform(data) },
    };
}

/// <summary>A method whose network has a weight that nothing depends on, and that may descend a loss of its own.</summary>
internal sealed class OddMlp(PlainMlp.Options options, BatchLoss? loss) : INetworkMethod
{
    public string Name => nameof(OddMlp);

    public bool AcceptsMissingValues => false;

    NetworkOptions INetworkMethod.Options => options;

    public Network Fit(TrainingSet data, TaskHead head, TrainingRun run)
    {
        var network = run.Create(new OddMlpDefinition { Inputs = data.FeatureCount, Outputs = head.Outputs });
        run.Minimize(network, data, head, options.ToSettings(data.RowCount), loss);
        return network;
    }
}

/// <summary>A linear network with a weight that nothing depends on.</summary>
public sealed record OddMlpDefinition : NetworkDefinition
{
    public override long WeightCount => ((Inputs + 1L) * Outputs) + 1;

    public override Network Build(Device device) => new OddMlpNetwork(this, device);
}

/// <summary>The network of an <see cref="OddMlpDefinition"/>.</summary>
internal sealed class OddMlpNetwork : Network
{
    private readonly Dense output;
    private readonly Parameter unused;

    public OddMlpNetwork(OddMlpDefinition definition, Device device)
        : base(definition)
    {
        output = new Dense(definition.Inputs, definition.Outputs, device);
        unused = new Parameter(zeros(1, device: device));
        RegisterComponents();
    }

    public override void Initialize(Generator random) => output.Initialize(random);

    public override Tensor forward(Tensor input) => output.call(input);
}
