using System.Text.Json.Nodes;
using Microsoft.ML;
using Microsoft.ML.Data;
using MlNetMlp.Data;
using MlNetMlp.Interop;
using MlNetMlp.Methods;
using MlNetMlp.Networks;
using MlNetMlp.Persistence;
using MlNetMlp.Tests.Support;
using MlNetMlp.Training;

namespace MlNetMlp.Tests.Interop;

/// <summary>What a method leaves in its model, for a training that goes on and for whoever asks what it found out.</summary>
public class TrainingStateTests
{
    private const string StateEntry = "state.safetensors";

    private static readonly NetworkTrainer<RegressionNetworkModel> Trainer = Fitted.Ml.Regression.Trainers.CreateTrainer(new RowCounter(new() { LabelColumnName = "Target", Epochs = 1, Seed = 1 }));

    [Theory]
    [InlineData(10)]
    [InlineData(300_000)]
    public void Adds_up_over_trainings_through_files(int width)
    {
        var trainer = Fitted.Ml.Regression.Trainers.CreateTrainer(new RowCounter(new() { LabelColumnName = "Target", Epochs = 1, Seed = 1, Hidden = 4, Width = width }));
        var (first, more) = (Rows.View(Fitted.Ml, 50), Rows.View(Fitted.Ml, 30, seed: 2));
        var model = trainer.Fit(first);
        Assert.Equal([50.0, 1.0], State(model)[..2]);

        var loaded = ModelZip.Load(ModelZip.Save(model));
        Assert.Equal(State(model), State(loaded));
        var further = trainer.Fit(more, ((ISingleFeaturePredictionTransformer<RegressionNetworkModel>)loaded).Model);
        Assert.Equal([80.0, 2.0], State(further)[..2]);
        Assert.Equal(width, State(further).Length);
        Assert.Equal([50.0, 1.0], State(loaded)[..2]);

        var byOption = Fitted.Ml.Regression.Trainers.CreateTrainer(
            new RowCounter(new() { LabelColumnName = "Target", Epochs = 1, Seed = 1, Hidden = 4, Width = width, InitialModel = loaded })).Fit(more);
        Assert.Equal(State(further), State(byOption));
        Assert.Throws<ArgumentNullException>(() => trainer.Fit(more, (RegressionNetworkModel)null!));
    }

    [Fact]
    public void Findings_come_back_and_are_read_strictly()
    {
        var model = Trainer.Fit(Rows.View(Fitted.Ml, 50));
        var network = Fitted.Network(ModelZip.Load(ModelZip.Save(model)));
        Assert.Equal(new Findings("odd", 0.1 + 0.2), network.GetDiagnostics<Findings>());
        Assert.Equal(new Findings("odd", 0.1 + 0.2), network.WithNetwork(network.Definition, network.Weights, network.LearningCurve).GetDiagnostics<Findings>());
        Assert.Null(network.WithNetwork(network.Definition, network.Weights, network.LearningCurve).State);
        Assert.Contains("OtherFindings", Assert.Throws<ModelFormatException>(() => network.GetDiagnostics<OtherFindings>()).Message, StringComparison.Ordinal);
        Assert.Null(Fitted.Network(Fitted.Model(TaskKind.Regression)).GetDiagnostics<Findings>());
        Assert.Null(Fitted.Network(Fitted.Model(TaskKind.Regression)).State);
    }

    [Fact]
    public void A_model_without_them_is_the_file_that_it_was()
    {
        var file = ModelZip.Save(Fitted.Model(TaskKind.Regression));
        var header = JsonNode.Parse(ModelZip.Read(file, ModelZip.Header)[0])!.AsObject();
        Assert.False(header.ContainsKey("stateBytes"));
        Assert.False(header.ContainsKey("diagnostics"));
        Assert.Empty(ModelZip.Read(file, StateEntry));
    }

    [Fact]
    public void Damaged_state_is_refused_by_name()
    {
        var file = ModelZip.Save(Trainer.Fit(Rows.View(Fitted.Ml, 50)));
        Refused(ModelZip.Change(file, StateEntry, _ => null), "no entry");
        Refused(ModelZip.Change(file, StateEntry, content => content[..(content.Length / 2)]), "");
        Refused(ModelZip.Change(file, StateEntry, content => [.. content, .. content]), "");
        Refused(ModelZip.Change(file, StateEntry, content => [.. content[..^8], .. BitConverter.GetBytes(double.NaN)]), "NaN");
        Refused(ModelZip.ChangeJson(file, header => header["stateBytes"] = 1_000_000_000L), "1000000000");
        Refused(ModelZip.ChangeJson(file, header => header["stateBytes"] = -1L), "-1");

        // A header that does not speak of it makes a model that cannot go on.
        var silent = ModelZip.ChangeJson(file, header => header.AsObject().Remove("stateBytes"));
        Assert.Null(Fitted.Network(ModelZip.Load(silent)).State);

        static void Refused(byte[] file, string says)
        {
            Exception e = Assert.ThrowsAny<Exception>(() => ModelZip.Load(file));
            while (e.InnerException is { } inner && e is not ModelFormatException)
                e = inner;
            Assert.Contains(StateEntry, Assert.IsType<ModelFormatException>(e).Message, StringComparison.Ordinal);
            Assert.Contains(says, e.Message, StringComparison.Ordinal);
        }
    }

    private static double[] State(ITransformer model) => Fitted.Network(model).State!.Single().Doubles.ToArray();

    private sealed record Findings(string Kind, double Value);

    private sealed record OtherFindings(int Number);

    /// <summary>Counts rows and trainings, in the first two numbers of its state.</summary>
    private sealed class RowCounter(RowCounter.Options options) : INetworkMethod
    {
        public sealed record Options : GradientTrainedOptions
        {
            public int Hidden { get; init; } = 4;

            public int Width { get; init; } = 2;
        }

        public string Name => nameof(RowCounter);

        NetworkOptions INetworkMethod.Options => options;

        public Network Fit(TrainingSet data, TaskHead head, TrainingRun run)
        {
            var counts = new double[options.Width];
            run.InitialState?.Single().Doubles.CopyTo(counts);
            counts[0] += data.RowCount + (data.Validation?.Rows ?? 0);
            counts[1]++;
            run.KeepState([NamedTensor.Of("counts", counts, counts.Length)]);
            run.KeepDiagnostics(new Findings("odd", 0.1 + 0.2));
            return run.Create(new PlainMlpDefinition { Inputs = data.FeatureCount, Outputs = head.Outputs, Hidden = options.Hidden, IsDense = true });
        }
    }
}
