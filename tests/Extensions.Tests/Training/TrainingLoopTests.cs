using Microsoft.ML;
using Microsoft.ML.Data;
using MlNetMlp.Data;
using MlNetMlp.Interop;
using MlNetMlp.Methods;
using MlNetMlp.Runtime;
using MlNetMlp.Tests.Support;
using MlNetMlp.Training;

namespace MlNetMlp.Tests.Training;

public class TrainingLoopTests
{
    private static readonly MLContext Ml = new(1);
    private static readonly PlainMlp.Options Short = new() { LabelColumnName = "Target", Epochs = 5, LearningRate = 0.01, Seed = 3 };

    [Fact]
    public void TheSameSeedGivesTheSameWeightsToTheBitAlsoOnTwoThreads()
    {
        var rows = Rows.View(Ml, 500);
        var trainer = Ml.Regression.Trainers.CreateTrainer(new PlainMlp(Short with { GradientNoise = new() { Eta = 1e-4 } }));
        var weights = new float[4][];
        Parallel.For(0, 4, i => weights[i] = Weights(trainer.Fit(rows).Model.Network));

        Assert.All(weights, other => Assert.Equal(weights[0], other));
        Assert.NotEqual(weights[0], Weights(Fit(Short with { Seed = 4 }, rows)));
        Assert.Equal(Weights(Fit(Short, rows)), Weights(Ml2().Regression.Trainers.CreateTrainer(new PlainMlp(Short)).Fit(rows).Model.Network));

        static MLContext Ml2() => new();
    }

    [Theory]
    [InlineData(OptimizerKind.AdamW, 0.01)]
    [InlineData(OptimizerKind.Adam, 0.01)]
    [InlineData(OptimizerKind.Sgd, 0.05)]
    [InlineData(OptimizerKind.Lion, 0.003)]
    [InlineData(OptimizerKind.Lbfgs, 1)]
    public void EveryOptimizerLearns(OptimizerKind optimizer, double rate)
    {
        var curve = Fit(Short with { Optimizer = optimizer, LearningRate = rate, Epochs = 30, WeightDecay = 1e-5 }, Rows.View(Ml, 600)).LearningCurve;

        Assert.True(curve.Points.Min(p => p.ValidationLoss) < 0.1, $"validation loss {curve.Points.Min(p => p.ValidationLoss)}");
        Assert.InRange(curve.Points.Count, 2, 30);
    }

    [Fact]
    public void TheBestEpochIsKeptAndTrainingStopsWhenPatienceEnds()
    {
        // Few rows and many epochs: the validation loss rises in the end.
        var rows = Rows.Make(80).Select((row, i) =>
        {
            row.Target += (i % 7) - 3;
            return row;
        }).ToArray();
        var held = Rows.View(Ml, Rows.Make(200, seed: 9));
        var trainer = Ml.Regression.Trainers.CreateTrainer(new PlainMlp(Short with { Epochs = 400, Patience = 8, Hidden = 64 }));

        var model = trainer.Fit(Rows.View(Ml, rows), held);

        var curve = model.Model.Network.LearningCurve;
        Assert.Equal(curve.BestEpoch + 8, curve.Points.Count);
        Assert.Equal(curve.Points.MinBy(p => p.ValidationLoss)!.Epoch, curve.BestEpoch);
        var rmse = Ml.Regression.Evaluate(model.Transform(held), "Target").RootMeanSquaredError;
        Assert.Equal(curve.Points[curve.BestEpoch - 1].Metric!.Value, rmse, 3);
        Assert.Contains("8 epochs", curve.StopReason, StringComparison.Ordinal);
    }

    [Fact]
    public void TheValidationPartMayComeFromAColumnOrOtherData()
    {
        var rows = Rows.Make(300);
        var column = Fit(Short with { ValidationColumnName = "Held" }, Rows.View(Ml, rows));
        var other = Fit(Short with { ValidationData = Rows.View(Ml, rows.Where(r => r.Held)) }, Rows.View(Ml, rows.Where(r => !r.Held)));
        var none = Fit(Short with { ValidationFraction = 0 }, Rows.View(Ml, rows));

        Assert.All(column.LearningCurve.Points.Zip(other.LearningCurve.Points), pair => Assert.Equal(pair.First.ValidationLoss!.Value, pair.Second.ValidationLoss!.Value, 0.2));
        Assert.All(none.LearningCurve.Points, point => Assert.Null(point.ValidationLoss));
        Assert.Equal(5, none.LearningCurve.Points.Count);
    }

    [Fact]
    public void PartsOfABatchAddUpToTheBatch()
    {
        var whole = Weights(Fit(Short with { BatchSize = 128 }, Rows.View(Ml, 500)));
        var parts = Weights(Fit(Short with { BatchSize = 128, MicroBatchSize = 20 }, Rows.View(Ml, 500)));

        Assert.All(whole.Zip(parts), pair => Assert.Equal(pair.First, pair.Second, 0.002f));
    }

    [Fact]
    public void ProgressIsReportedAndCancellingStopsWithinAStep()
    {
        using var cancellation = new CancellationTokenSource();
        var reports = new List<TrainingProgress>();
        var after = 0;
        var options = Short with
        {
            Epochs = 1000,
            CancellationToken = cancellation.Token,
            Progress = new Reporter(progress =>
            {
                reports.Add(progress);
                after += cancellation.IsCancellationRequested ? 1 : 0;
                if (progress.Epoch == 3)
                    cancellation.Cancel();
            }),
        };

        Assert.Throws<OperationCanceledException>(() => Fit(options, Rows.View(Ml, 500)));
        Assert.Equal(0, after);
        Assert.Equal([1, 2, 3], reports.Where(r => r.IsEndOfEpoch).Select(r => r.Epoch));
        Assert.Equal((0, "reading the data"), (reports[0].Epoch, reports[0].ToString()));
        Assert.All(reports.Skip(1), r => Assert.True(r.RowsPerSecond > 0 && r.Epochs == 1000 && double.IsFinite(r.TrainingLoss) && r.ValidationLoss > 0));

        using var second = new CancellationTokenSource();
        var kept = Fit(options with
        {
            CancellationToken = second.Token,
            KeepBestWhenCancelled = true,
            Progress = new Reporter(progress =>
            {
                if (progress.Epoch == 4)
                    second.Cancel();
            }),
        }, Rows.View(Ml, 500));
        Assert.Equal(4, kept.LearningCurve.Points.Count);
        Assert.Contains("Cancelled", kept.LearningCurve.StopReason, StringComparison.Ordinal);
    }

    [Fact]
    public void TheCallersThreadsAreAsBefore()
    {
        LibTorch.Load();
        var before = TorchSharp.torch.get_num_threads();
        var during = 0;
        Fit(Short with { Progress = new Reporter(progress => during = progress.Step > 0 ? TorchSharp.torch.get_num_threads() : 0) }, Rows.View(Ml, 300));

        Assert.Equal(1, during);
        Assert.Equal(before, TorchSharp.torch.get_num_threads());
    }

    [Fact]
    public void TheHostCanCancel()
    {
        var ml = new MLContext(1);
        var trainer = ml.Regression.Trainers.CreateTrainer(new PlainMlp(Short with { Epochs = 100_000, Progress = new Reporter(p => ml.CancelExecution()) }));

        Assert.Throws<OperationCanceledException>(() => trainer.Fit(Rows.View(ml, 300)));
    }

    [Fact]
    public void DivergenceIsSaidWithStepAndAdvice()
    {
        var error = Assert.Throws<TrainingDivergedException>(() => Fit(Short with { Optimizer = OptimizerKind.Sgd, LearningRate = 1000, Epochs = 50 }, Rows.View(Ml, 300)));

        Assert.True(error.Step > 0);
        Assert.Contains("Lower the option 'LearningRate'", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void AFitGoesOnFromAnEarlierModel()
    {
        var rows = Rows.View(Ml, 600);
        var first = Ml.Regression.Trainers.CreateTrainer(new PlainMlp(Short with { Epochs = 20 })).Fit(rows);

        var second = Fit(Short with { InitialModel = first, Epochs = 1 }, rows);

        Assert.True(second.LearningCurve.Points[0].TrainingLoss < first.Model.Network.LearningCurve.Points[0].TrainingLoss / 5);
        Assert.Contains("is not", Assert.Throws<InvalidOperationException>(() => Fit(Short with { InitialModel = first, Hidden = 17 }, rows)).Message, StringComparison.Ordinal);
        Assert.Contains("cannot go on from", Assert.Throws<InvalidOperationException>(() => Ml.BinaryClassification.Trainers.CreateTrainer(
            new PlainMlp(Short with { LabelColumnName = "Flag", InitialModel = first })).Fit(rows)).Message, StringComparison.Ordinal);
        Assert.Contains("holds no network", Assert.Throws<InvalidOperationException>(() => Fit(
            Short with { InitialModel = Ml.Transforms.CopyColumns("A", "Target").Fit(rows) }, rows)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void ARareClassCountsAsMuchAsTheOthersWhenWeightsAreBalanced()
    {
        var rows = Rows.Make(2000).Where((row, i) => !row.Flag || i % 20 == 0).ToArray();
        rows = [.. rows.Select((row, i) =>
        {
            // Features that tell little, so that the share of the classes decides.
            row.Features = [.. row.Features.Select((x, j) => j == 0 ? (0.3f * x) + (row.Flag ? 0.3f : 0) : (float)Math.Sin(i * (j + 1)))];
            return row;
        })];
        var options = Short with { LabelColumnName = "Flag", Epochs = 15 };

        var plain = Recall(options);
        var balanced = Recall(options with { ClassWeights = ClassWeights.Balanced });

        Assert.True(balanced > plain + 0.3, $"{balanced} against {plain}");

        double Recall(PlainMlp.Options with) => Ml.BinaryClassification.Evaluate(
            Ml.BinaryClassification.Trainers.CreateTrainer(new PlainMlp(with)).Fit(Rows.View(Ml, rows)).Transform(Rows.View(Ml, rows)), "Flag").PositiveRecall;
    }

    private static TrainedNetwork Fit(PlainMlp.Options options, IDataView rows) =>
        Ml.Regression.Trainers.CreateTrainer(new PlainMlp(options)).Fit(rows).Model.Network;

    private static float[] Weights(TrainedNetwork network) => [.. network.Weights.SelectMany(tensor => tensor.Floats.ToArray())];

    private sealed class Reporter(Action<TrainingProgress> report) : IProgress<TrainingProgress>
    {
        public void Report(TrainingProgress value) => report(value);
    }
}
