using System.Buffers;
using System.Text.Json;
using BenchmarkDotNet.Attributes;
using BenchmarkDotNet.Configs;
using BenchmarkDotNet.Jobs;
using BenchmarkDotNet.Running;
using BenchmarkDotNet.Toolchains.InProcess.Emit;
using Microsoft.ML;
using MlNetMlp.Methods;

namespace MlNetMlp.Bench;

/// <summary>What single calls take, by BenchmarkDotNet: a row of 28 numbers through a network of two hidden layers of 64, and blocks of rows.</summary>
[MemoryDiagnoser]
public class Micro
{
    private const int Blocks = 256;

    private readonly float[] _score = new float[1];
    private readonly float[] _block = new float[Blocks * Generated.Width];
    private readonly float[] _scores = new float[Blocks];
    private readonly ArrayBufferWriter<byte> _output = new(256);
    private Prediction _prediction = new();
    private Generated.Row _row = new();
    private byte[] _json = [];
    private Dictionary<string, object?> _dictionary = [];
    private RowScorer? _scorer;
    private PredictionEngine<Generated.Row, Prediction>? _engine;
    private PredictionEngine<Generated.Row, Prediction>? _trees;
    private TrainedNetwork? _network;

    /// <summary>What an engine fills in.</summary>
    public sealed class Prediction
    {
        /// <summary>The score.</summary>
        public float Score { get; set; }
    }

    // Within this process, as the packages' natives are found through its settings.
    internal static void Run(ILookup<string, string> options) => BenchmarkRunner.Run<Micro>(
        ManualConfig.Create(DefaultConfig.Instance).WithArtifactsPath(options["out"].LastOrDefault() ?? Path.Combine(Path.GetTempPath(), "micro"))
            .AddJob((options["quick"].Any() ? Job.ShortRun : Job.MediumRun).WithToolchain(InProcessEmitToolchain.Instance)));

    /// <summary>Trains what is measured.</summary>
    [GlobalSetup]
    public void Setup()
    {
        var ml = new MLContext(1);
        var rows = Generated.Rows(10_000);
        var data = ml.Data.LoadFromEnumerable(rows);
        var model = Generated.Fit(ml, rows);
        (_row, _network, _scorer) = (rows[0], model.Model.Network, model.CreateRowScorer(data.Schema, ["Score"]));
        _json = JsonSerializer.SerializeToUtf8Bytes(new { _row.Features });
        _dictionary = new() { ["Features"] = _row.Features };
        _engine = ml.Model.CreatePredictionEngine<Generated.Row, Prediction>(model);
        _trees = ml.Model.CreatePredictionEngine<Generated.Row, Prediction>(ml.Regression.Trainers.LightGbm().Fit(data));
        rows.Take(Blocks).SelectMany(row => row.Features).ToArray().CopyTo(_block, 0);
    }

    /// <summary>A span through a row scorer.</summary>
    [Benchmark(Baseline = true)]
    public int RowScorerSpan() => _scorer!.Score(_row.Features, _score);

    /// <summary>A dictionary through a row scorer.</summary>
    [Benchmark]
    public object RowScorerDictionary() => _scorer!.Score(_dictionary);

    /// <summary>JSON through a row scorer.</summary>
    [Benchmark]
    public int RowScorerJson()
    {
        _output.ResetWrittenCount();
        _scorer!.ScoreJson(_json, _output);
        return _output.WrittenCount;
    }

    /// <summary>A prediction engine.</summary>
    [Benchmark]
    public float Engine()
    {
        _engine!.Predict(_row, ref _prediction);
        return _prediction.Score;
    }

    /// <summary>A prediction engine of LightGBM with 100 trees.</summary>
    [Benchmark]
    public float EngineLightGbm()
    {
        _trees!.Predict(_row, ref _prediction);
        return _prediction.Score;
    }

    /// <summary>256 rows by the managed kernels.</summary>
    [Benchmark(OperationsPerInvoke = Blocks)]
    public int BlockOf256() => _network!.Score(_block, _scores);
}
