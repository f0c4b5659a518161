using System.Globalization;
using System.Runtime.InteropServices;
using Microsoft.ML;
using Microsoft.ML.Data;
using MlNetMlp.Tests.Support;
using TorchSharp;

namespace MlNetMlp.Conformance.Tests.Mocks;

internal static partial class RunMocks
{
    private static string? _kept;

    [Mock(34, "the token in the options was cancelled")]
    public static Subject IgnoresItsToken() => new Faulty(EstimatorTask.Regression) { Options = options => (PlainMlp.Options)options with { CancellationToken = default } };

    [Mock(34, "and Fit ended as if nothing were")]
    public static Subject KeepsWhatItHasWhenCancelled() => new Faulty(EstimatorTask.Regression) { Options = options => (PlainMlp.Options)options with { KeepBestWhenCancelled = true } };

    [Mock(34, "the context was cancelled")]
    public static Subject IgnoresItsContext() => new Faulty(EstimatorTask.Regression)
    {
        Trainer = (_, trainer) => new ElsewhereTrainer(trainer),
    };

    [Mock(42, "left no checkpoint")]
    public static Subject WritesNoCheckpoint() => new Faulty(EstimatorTask.Regression) { Options = options => (PlainMlp.Options)options with { CheckpointFile = null } };

    [Mock(42, "the fit began anew")]
    public static Subject LosesItsCheckpoint() => new Faulty(EstimatorTask.Regression)
    {
        Options = options =>
        {
            if (((PlainMlp.Options)options).CheckpointFile is { } file && !((PlainMlp.Options)options).CancellationToken.CanBeCanceled)
                File.Delete(file);
            return options;
        },
    };

    [Mock(42, "a fit that went on from its checkpoint")]
    public static Subject RemembersWhatNoCheckpointHolds() => new Faulty(EstimatorTask.Regression)
    {
        Options = options =>
        {
            var steps = 0;
            return (PlainMlp.Options)options with
            {
                Loss = (network, batch) =>
                {
                    var pull = 1f / ++steps;
                    return network.call(batch.Features).sub(batch.Labels).square().mean().mul(torch.tensor(pull));
                },
            };
        },
    };

    [Mock(42, "the checkpoint is still there")]
    public static Subject KeepsItsCheckpoint() => new Faulty(EstimatorTask.Regression)
    {
        Options = options =>
        {
            if (((PlainMlp.Options)options).CheckpointFile is { } file && !((PlainMlp.Options)options).CancellationToken.CanBeCanceled)
                _kept = file;
            return options;
        },
        Trained = (_, model) =>
        {
            if (_kept is not null)
                File.WriteAllText(_kept, "");
            return model;
        },
    };

    [Mock(35, "written to the console: training")]
    public static Subject WritesToTheConsole() => new Faulty(EstimatorTask.Regression)
    {
        Input = (_, data) =>
        {
            Console.WriteLine("training");
            return data;
        },
    };

    [Mock(35, "written to the console: native training")]
    public static Subject WritesToTheConsoleFromNativeCode() => new Faulty(EstimatorTask.Regression)
    {
        Input = (context, data) =>
        {
            _ = write(1, "native training"u8.ToArray(), 15);
            return data;
        },
    };

    [Mock(35, "no progress is reported")]
    public static Subject ReportsNoProgress() => new Faulty(EstimatorTask.Regression) { Options = options => (PlainMlp.Options)options with { Progress = null } };

    [Mock(36, "1 tensors are alive")]
    public static Subject LeavesATensor() => new Faulty(EstimatorTask.Regression)
    {
        Trained = (context, model) =>
        {
            _ = torch.zeros(3);
            return model;
        },
    };

    [Mock(36, "after Dispose: System.InvalidOperationException: closed")]
    public static Subject BreaksWhenDisposed() => new Faulty(EstimatorTask.Regression) { Trained = (_, model) => new ClosedModel(model) };

    [Mock(37, "trained, saved and loaded under tr-TR")]
    public static Subject ReadsTheCulture() => new Faulty(EstimatorTask.Regression)
    {
        Options = options => (PlainMlp.Options)options with { Seed = CultureInfo.CurrentCulture.TextInfo.ToUpper('i') == 'I' ? 1 : 2 },
    };

    [Mock(37, "becomes 'not above 1,5'")]
    public static Subject ComplainsByTheCulture() => new Faulty(EstimatorTask.Regression)
    {
        Options = options => ((PlainMlp.Options)options).LearningRate >= 0 ? options : throw new InvalidOperationException($"not above {1.5}"),
    };

    [Mock(38, "the log does not say")]
    public static Subject TakesTheCpuWithoutAWord() => new Faulty(EstimatorTask.Regression)
    {
        Trainer = (ml, _) =>
        {
            ml.GpuDeviceId = null;
            return Faulty.Right(EstimatorTask.Regression).Create(ml, new PlainMlp.Options { Seed = 1 });
        },
    };

    [LibraryImport("libc")]
    private static partial nint write(int stream, byte[] bytes, nint count);

    /// <summary>Trains elsewhere where its context is cancelled, which throws without a token.</summary>
    private sealed class ElsewhereTrainer(IEstimator<ITransformer> right) : IEstimator<ITransformer>
    {
        public ITransformer Fit(IDataView input)
        {
            try
            {
                return right.Fit(input);
            }
            catch (OperationCanceledException e) when (!e.CancellationToken.CanBeCanceled)
            {
                return Faulty.Right(EstimatorTask.Regression).CreateShort(new MLContext(1), "Label", "Features").Fit(input);
            }
        }

        public SchemaShape GetOutputSchema(SchemaShape inputSchema) => right.GetOutputSchema(inputSchema);
    }

    private sealed class ClosedModel(ITransformer right) : ITransformer, IDisposable
    {
        private bool _isClosed;

        public bool IsRowToRowMapper => true;

        public DataViewSchema GetOutputSchema(DataViewSchema inputSchema) => right.GetOutputSchema(inputSchema);

        public IRowToRowMapper GetRowToRowMapper(DataViewSchema inputSchema) => right.GetRowToRowMapper(inputSchema);

        public IDataView Transform(IDataView input) => _isClosed ? throw new InvalidOperationException("closed") : right.Transform(input);

        public void Save(ModelSaveContext ctx) => right.Save(ctx);

        public void Dispose() => _isClosed = true;
    }
}
