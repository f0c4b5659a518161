using Microsoft.ML;
using MlNetMlp.Data;
using MlNetMlp.Interop;
using MlNetMlp.Methods;
using MlNetMlp.Networks;
using MlNetMlp.Persistence;
using MlNetMlp.Runtime;
using MlNetMlp.Tests.Support;
using MlNetMlp.Training;
using TorchSharp;

namespace MlNetMlp.Tests.Training;

/// <summary>A fit that is stopped at any moment and started again is, to the bit, one that was never stopped.</summary>
public sealed class CheckpointTests : IDisposable
{
    private static readonly MLContext Ml = new(1);

    private static readonly IDataView Data = Rows.View(Ml, 300);

    private static readonly PlainMlp.Options Short = new() { LabelColumnName = "Target", Epochs = 6, LearningRate = 0.01, BatchSize = 64, Seed = 3, WeightDecay = 1e-3 };

    private readonly string _folder = Directory.CreateTempSubdirectory("checkpoints").FullName;

    private string File => Path.Combine(_folder, "fit.checkpoint");

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    public static TheoryData<string> Trainings => [.. Options.Keys];

    private static Dictionary<string, PlainMlp.Options> Options { get; } = new()
    {
        ["AdamW"] = Short,
        ["Adam"] = Short with { Optimizer = OptimizerKind.Adam },
        ["Sgd"] = Short with { Optimizer = OptimizerKind.Sgd },
        ["Lion"] = Short with { Optimizer = OptimizerKind.Lion, LearningRate = 0.001 },
        ["noise"] = Short with { GradientNoise = new() { Eta = 0.01 }, GradientClipNorm = 1 },
        ["schedule"] = Short with { Schedule = LearningRateSchedule.Cosine(0.1) },
        ["no rows held out"] = Short with { ValidationFraction = 0 },
        ["best epoch first"] = Short with { Loss = (network, batch) => network.call(batch.Features).add(batch.Labels).square().mean(), Patience = 4 },
        ["in parts"] = Short with { MicroBatchSize = 20 },
    };

    [Theory]
    [MemberData(nameof(Trainings))]
    public void A_fit_stopped_at_any_step_goes_on_as_if_it_had_not_been(string training)
    {
        var options = Options[training];
        var (expected, steps) = Count(options);
        var random = new Random(1);
        for (var times = 0; times < 6; times++)
            AssertSame(expected, Restart(options, random, steps));
    }

    [Fact]
    public void Rows_that_are_streamed_and_tables_of_rows_go_on_too()
    {
        var data = Ml.Transforms.Conversion.MapValueToKey("Key", "Number").Append(Ml.Transforms.Conversion.MapValueToKey("Kinds", "Kind")).Fit(Data).Transform(Data);
        var options = new KeyedLinear.Options
        {
            LabelColumnName = "Target", Inputs = [new("Key", InputColumnTypes.Keys), new("Kinds", InputColumnTypes.Keys)], Epochs = 4, BatchSize = 64, Seed = 1, RowDecay = 0.1, GradientClipNorm = 2,
        };
        var expected = Fit(options).LearningCurve;
        var weights = Floats(Fit(options));
        foreach (var epoch in new[] { 1, 2, 3 })
        {
            Stop(epoch, (token, progress) => Fit(options with { CheckpointFile = File, CheckpointSeconds = 0, CancellationToken = token, Progress = progress }));
            var resumed = Fit(options with { CheckpointFile = File, CheckpointSeconds = 0 });
            Assert.Equal(expected, resumed.LearningCurve);
            Assert.Equal(weights, Floats(resumed));
        }

        TrainedNetwork Fit(KeyedLinear.Options wanted) => Ml.Regression.Trainers.CreateTrainer(new KeyedLinear(wanted)).Fit(data).Model.Network;
    }

    [Theory]
    [InlineData(1)]
    [InlineData(3)]
    [InlineData(4)]
    [InlineData(6)]
    public void A_fit_of_several_trainings_goes_on_in_the_one_that_it_was_in(int epoch)
    {
        var options = Short with { Epochs = 4, ValidationFraction = 0 };
        var expected = Fit(options);
        var ended = 0;
        using var source = new CancellationTokenSource();
        var stopping = new Reporter(progress =>
        {
            if (progress.IsEndOfEpoch && ++ended == epoch)
                source.Cancel();
        });
        Assert.Throws<OperationCanceledException>(() => Fit(Kept(options) with { CancellationToken = source.Token, Progress = stopping }));

        var left = 0;
        var going = new Reporter(progress => left += progress.IsEndOfEpoch ? 1 : 0);
        AssertSame(expected, Fit(Kept(options) with { Progress = going }));

        // The last epoch of a training leaves no checkpoint of its own: it is gone through again.
        Assert.Equal(8 - epoch + (epoch % 4 == 0 ? 1 : 0), left);
        Assert.Empty(Directory.GetFileSystemEntries(_folder));

        static TrainedNetwork Fit(PlainMlp.Options wanted) => Ml.Regression.Trainers.CreateTrainer(new TwoTrainings(wanted)).Fit(Data).Model.Network;
    }

    [Fact]
    public void Checkpoints_change_nothing_and_are_gone_in_the_end()
    {
        var plain = Fit(Short);
        var kept = Fit(Kept(Short));

        Assert.Equal(ToBytes(plain), ToBytes(kept));
        Assert.Empty(Directory.GetFileSystemEntries(_folder));
    }

    [Fact]
    public void A_fit_that_is_stopped_and_started_leaves_no_tensors()
    {
        var live = DisposeScopeManager.Statistics.ThreadTotalLiveCount;
        Stop(2, (token, progress) => Fit(Kept(Short) with { CancellationToken = token, Progress = progress }));
        Fit(Kept(Short));

        Assert.Equal(live, DisposeScopeManager.Statistics.ThreadTotalLiveCount);
    }

    [Fact]
    public void The_best_so_far_can_be_taken_and_the_fit_go_on_later()
    {
        var best = Stop(3, (token, progress) => Fit(Kept(Short) with { CancellationToken = token, Progress = progress, KeepBestWhenCancelled = true }));

        Assert.Equal(3, best!.LearningCurve.Points.Count);
        AssertSame(Fit(Short), Fit(Kept(Short)));
    }

    [Fact]
    public void The_checkpoint_of_another_training_is_refused_and_left_alone()
    {
        Stop(2, (token, progress) => Fit(Kept(Short) with { CancellationToken = token, Progress = progress }));
        var before = System.IO.File.ReadAllBytes(File);
        var others = Rows.Make(300);
        others[7].Target++;
        var earlier = Ml.Regression.Trainers.CreateTrainer(new PlainMlp(Short)).Fit(Data);
        foreach (var (options, data, says) in new (PlainMlp.Options, IDataView, string)[]
        {
            (Short with { LearningRate = 0.02 }, Data, "its option 'LearningRate' is 0.01, and here 0.02"),
            (Short with { Epochs = 7 }, Data, "its option 'Epochs' is 6, and here 7"),
            (Short with { Seed = 4 }, Data, "its option 'Seed' is 3, and here 4"),
            (Short, Rows.View(Ml, 299), "it has 270 rows of 5 numbers, 30 held out, in memory, and this 269 rows"),
            (Short with { ValidationData = Rows.View(Ml, Rows.Make(30, seed: 5)), ValidationFraction = 0.1 }, Rows.View(Ml, 270), "it"),
            (Short, Rows.View(Ml, others), "its task"),
            (Short with { InitialModel = earlier }, Data, "the values of its rows or its initial weights are others"),
        })
        {
            var error = Assert.Throws<InvalidOperationException>(() => Fit(Kept(options), data));
            Assert.StartsWith($"The option 'CheckpointFile' names '{File}', which is the checkpoint of another training: {says}", error.Message, StringComparison.Ordinal);
            Assert.EndsWith("Give another file, or delete this one.", error.Message, StringComparison.Ordinal);
        }

        var multiclass = new PlainMlp(Kept(Short) with { LabelColumnName = "Flag" });
        Assert.Contains("its option 'LabelColumnName'", Assert.Throws<InvalidOperationException>(() => Ml.BinaryClassification.Trainers.CreateTrainer(multiclass).Fit(Data)).Message, StringComparison.Ordinal);
        Assert.Equal(before, System.IO.File.ReadAllBytes(File));
        AssertSame(Fit(Short), Fit(Kept(Short)));
    }

    [Fact]
    public void A_damaged_checkpoint_is_refused_or_does_no_harm_and_is_left_alone()
    {
        Stop(2, (token, progress) => Fit(Kept(Short) with { CancellationToken = token, Progress = progress }));
        var sound = System.IO.File.ReadAllBytes(File);
        var random = new Random(1);
        var refused = 0;
        for (var i = 0; i < 60; i++)
        {
            var damaged = (byte[])sound.Clone();
            if (i % 3 == 0)
                damaged = damaged[..random.Next(damaged.Length)];
            else
                damaged[i % 3 == 1 ? random.Next(damaged.Length) : random.Next(Math.Min(damaged.Length, 4000))] ^= (byte)(1 << random.Next(8));
            System.IO.File.WriteAllBytes(File, damaged);

            // Bits of weights may be any; training goes on from other ones then.
            switch (Record.Exception(() => Fit(Kept(Short) with { MicroBatchSize = 0 })))
            {
                case null:
                    break;
                case ModelFormatException e:
                    refused++;
                    Assert.Contains($"'{File}'", e.Message, StringComparison.Ordinal);
                    Assert.Equal(damaged, System.IO.File.ReadAllBytes(File));
                    break;
                case InvalidOperationException e:
                    refused++;
                    Assert.True(e is TrainingDivergedException || e.Message.Contains("the checkpoint of another training", StringComparison.Ordinal), e.ToString());
                    break;
                case var other:
                    Assert.Fail($"case {i}: {other}");
                    break;
            }
        }

        Assert.InRange(refused, 22, 59);
    }

    [Theory]
    [InlineData("\"plateau\": 1,", "\"plateau\": 0,", "numbers that no training has")]
    [InlineData("\"phase\": 0,", "\"phase\": -1,", "numbers that no training has")]
    [InlineData("\"phase\": 0,", "\"phase\": 3,", "It is of training 4 of the fit, which has 1.")]
    [InlineData("\"format\": 1,", "\"format\": 2,", "Its format is 2")]
    [InlineData("\"bestEpoch\": ", "\"bestEpoch\": 9", "a course that no training has")]
    [InlineData("\"optimizer\": 10", "\"optimizes\": 10", "counts other things")]
    [InlineData("\"optimizer\": 10", "\"optimizer\": -10", "numbers that no training has")]
    public void A_header_that_cannot_be_is_refused(string find, string replace, string says)
    {
        Stop(2, (token, progress) => Fit(Kept(Short) with { CancellationToken = token, Progress = progress }));
        Change(tensor =>
        {
            if (tensor.Name != "training.json")
                return tensor;
            var text = System.Text.Encoding.UTF8.GetString(tensor.Bytes);
            Assert.Contains(find, text, StringComparison.Ordinal);
            var bytes = System.Text.Encoding.UTF8.GetBytes(text.Replace(find, replace, StringComparison.Ordinal));
            return NamedTensor.Of(tensor.Name, bytes, bytes.Length);
        });

        Assert.Contains(says, Assert.Throws<ModelFormatException>(() => Fit(Kept(Short))).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("optimizer.0", "There is no tensor 'optimizer.0'")]
    [InlineData("network.hidden.weight", "There is no tensor 'network.hidden.weight'")]
    [InlineData("random.training", "There is no tensor 'random.training'")]
    [InlineData("best.0", "There is no tensor 'best.0'")]
    public void Tensors_that_are_missing_of_another_shape_or_unknown_are_refused(string name, string says)
    {
        Stop(2, (token, progress) => Fit(Kept(Short) with { CancellationToken = token, Progress = progress }));
        var sound = System.IO.File.ReadAllBytes(File);

        Change(tensor => tensor.Name == name ? null : tensor);
        Refused(says);
        System.IO.File.WriteAllBytes(File, sound);
        Change(tensor => tensor.Name == name ? NamedTensor.Of(name, new long[3], 3) : tensor);
        Refused($"tensor '{name}' is Int64 [3]");
        System.IO.File.WriteAllBytes(File, sound);
        Change(tensor => tensor.Name == name ? NamedTensor.Of(name + "x", new long[3], 3) : tensor);
        Refused(says);
        if (name == "random.training")
        {
            System.IO.File.WriteAllBytes(File, sound);
            Change(tensor => tensor.Name == name ? NamedTensor.Of(name, new byte[tensor.ElementCount], tensor.ElementCount) : tensor);
            Refused("is no state of a generator");
        }

        void Refused(string what) => Assert.Contains(what, Assert.Throws<ModelFormatException>(() => Fit(Kept(Short))).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_file_that_is_no_checkpoint_is_never_written_over()
    {
        System.IO.File.WriteAllText(File, "a letter to somebody, and no checkpoint");

        Assert.Contains("damaged or no checkpoint", Assert.Throws<ModelFormatException>(() => Fit(Kept(Short))).Message, StringComparison.Ordinal);
        Assert.Equal("a letter to somebody, and no checkpoint", System.IO.File.ReadAllText(File));
    }

    [Fact]
    public void A_folder_that_is_not_there_is_told_before_training_and_a_full_disk_does_not_end_it()
    {
        var none = Path.Combine(_folder, "none", "a.checkpoint");
        Assert.Contains($"'{none}'", Assert.Throws<DirectoryNotFoundException>(() => Fit(Short with { CheckpointFile = none })).Message, StringComparison.Ordinal);

        // A folder cannot be written to as a file, whoever writes.
        var lines = new List<string>();
        var ml = new MLContext(1);
        ml.Log += (_, log) => lines.Add(log.Message);
        var later = new Reporter(progress =>
        {
            if (progress is { IsEndOfEpoch: true, Epoch: 1 })
                Directory.CreateDirectory(File);
        });
        var model = ml.Regression.Trainers.CreateTrainer(new PlainMlp(Kept(Short) with { Progress = later })).Fit(Data);

        AssertSame(Fit(Short), model.Model.Network);
        Assert.Contains(lines, line => line.Contains("there is no new checkpoint", StringComparison.Ordinal) && line.Contains(File, StringComparison.Ordinal));
    }

    [Fact]
    public void Options_that_cannot_be_together_are_refused()
    {
        Assert.Contains("option 'CheckpointFile' must be null where the option 'Optimizer' is Lbfgs", Refusal(Short with { CheckpointFile = "a", Optimizer = OptimizerKind.Lbfgs }), StringComparison.Ordinal);
        Assert.Contains("option 'CheckpointFile' must be given as the path of a file", Refusal(Short with { CheckpointFile = "" }), StringComparison.Ordinal);
        Assert.Contains("option 'CheckpointSeconds' must be ", Refusal(Short with { CheckpointSeconds = -1 }), StringComparison.Ordinal);

        static string Refusal(PlainMlp.Options options) => Assert.Throws<ArgumentOutOfRangeException>(() => Ml.Regression.Trainers.CreateTrainer(new PlainMlp(options))).Message;
    }

    // Starts the fit again and again until it is done; every time it is stopped at a random step.
    private TrainedNetwork Restart(PlainMlp.Options options, Random random, int steps)
    {
        while (true)
        {
            using var source = new CancellationTokenSource();
            var (left, loss) = (random.Next(1, steps + 1), options.Loss ?? ((network, batch) => network.call(batch.Features).sub(batch.Labels).square().mean()));
            var kept = Kept(options) with
            {
                CancellationToken = source.Token,
                Loss = (network, batch) =>
                {
                    if (--left == 0)
                        source.Cancel();
                    return loss(network, batch);
                },
            };
            try
            {
                return Fit(kept);
            }
            catch (OperationCanceledException)
            {
                // As many steps again from the last checkpoint on.
            }
        }
    }

    private static (TrainedNetwork Network, int Steps) Count(PlainMlp.Options options)
    {
        var (steps, loss) = (0, options.Loss ?? ((network, batch) => network.call(batch.Features).sub(batch.Labels).square().mean()));
        var network = Fit(options with
        {
            Loss = (trained, batch) =>
            {
                steps++;
                return loss(trained, batch);
            },
        });
        return (network, steps);
    }

    private static TrainedNetwork? Stop(int epoch, Func<CancellationToken, IProgress<TrainingProgress>, TrainedNetwork> fit)
    {
        using var source = new CancellationTokenSource();
        var reporter = new Reporter(progress =>
        {
            if (progress.IsEndOfEpoch && progress.Epoch == epoch)
                source.Cancel();
        });
        try
        {
            return fit(source.Token, reporter);
        }
        catch (OperationCanceledException)
        {
            return null;
        }
    }

    private PlainMlp.Options Kept(PlainMlp.Options options) => options with { CheckpointFile = File, CheckpointSeconds = 0 };

    private static TrainedNetwork Fit(PlainMlp.Options options, IDataView? data = null) => Ml.Regression.Trainers.CreateTrainer(new PlainMlp(options)).Fit(data ?? Data).Model.Network;

    private void Change(Func<NamedTensor, NamedTensor?> change)
    {
        WeightSet tensors;
        using (var stream = System.IO.File.OpenRead(File))
            tensors = SafeTensors.Read(stream, stream.Length);
        using var target = System.IO.File.Create(File);
        SafeTensors.Write(target, [.. tensors.Select(change).OfType<NamedTensor>()]);
    }

    private static byte[] ToBytes(TrainedNetwork network)
    {
        using var stream = new MemoryStream();
        stream.Write(TrainedNetworkFile.WriteHeader(network));
        SafeTensors.Write(stream, network.Weights);
        return stream.ToArray();
    }

    private static float[] Floats(TrainedNetwork network) => [.. network.Weights.SelectMany(tensor => tensor.Floats.ToArray())];

    private static void AssertSame(TrainedNetwork expected, TrainedNetwork found)
    {
        Assert.Equal(expected.LearningCurve, found.LearningCurve);
        Assert.Equal(Floats(expected).Select(BitConverter.SingleToInt32Bits), Floats(found).Select(BitConverter.SingleToInt32Bits));
    }

    private sealed class TwoTrainings(PlainMlp.Options options) : INetworkMethod
    {
        public string Name => nameof(TwoTrainings);

        NetworkOptions INetworkMethod.Options => options;

        public Network Fit(TrainingSet data, TaskHead head, TrainingRun run)
        {
            var network = run.Create(new PlainMlpDefinition { Inputs = data.FeatureCount, Outputs = head.Outputs, Hidden = options.Hidden, IsDense = options.IsDense });
            ((PlainMlpNetwork)network).Standardize(data.Statistics);
            run.Minimize(network, data, head, options.ToSettings(data.RowCount));
            run.Minimize(network, data, head, options.ToSettings(data.RowCount) with { Optimizer = OptimizerKind.Sgd });
            return network;
        }
    }

    private sealed class Reporter(Action<TrainingProgress> report) : IProgress<TrainingProgress>
    {
        public void Report(TrainingProgress value) => report(value);
    }
}
