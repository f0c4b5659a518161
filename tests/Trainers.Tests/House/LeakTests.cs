using System.Buffers;
using System.Text;
using Microsoft.ML;
using Microsoft.ML.Data;
using MlNetMlp.Boosting;
using MlNetMlp.Convex;
using MlNetMlp.Explain;
using MlNetMlp.Explanations;
using MlNetMlp.Forecasting;
using MlNetMlp.Interop;
using MlNetMlp.Layers;
using MlNetMlp.Methods;
using MlNetMlp.RandomFeatures;
using MlNetMlp.ScalableKernels;
using MlNetMlp.Tabular;
using MlNetMlp.Tests.Causal;
using MlNetMlp.Vision;
using TorchSharp;

namespace MlNetMlp.Tests.House;

/// <summary>Every public operation leaves the number of live native tensors where it was. Fits, scores and files of each trainer are the conformance suite's.</summary>
public sealed class LeakTests
{
    private const int Width = 16;

    private static readonly MLContext Ml = new(1);
    private static readonly IDataView Data = Ml.Data.LoadFromEnumerable(Row.Make(120));
    private static readonly IDataView Treated = TreatmentRows.View(Ml, 120);
    private static readonly ForecastOptions Series = new() { InputColumnNames = ["Features"], ContextLength = 8, Horizon = 2, Quantiles = [0.5] };
    private static readonly ScaledMlp.Options Mlp = new() { Epochs = 2, Width = 8, Blocks = 1, Seed = 1 };

    // An MLP of layer normalisation is scored by libtorch, and not by managed code.
    private static readonly MetaFormer.Options Pixels = new() { Stages = [new(1, 8)], Stem = new(2, 2, 0), Epochs = 1, Seed = 1 };

    private static readonly IDataView Keyed = Ml.Transforms.Conversion.MapValueToKey("Key", "Kind").Fit(Data).Transform(Data);
    private static readonly NetworkPredictionTransformer<RegressionNetworkModel> Regression = Ml.Regression.Trainers.ScaledMlp(Mlp).Fit(Data);
    private static readonly NetworkPredictionTransformer<RegressionNetworkModel> Native = Ml.Regression.Trainers.MetaFormer(Pixels).Fit(Data);
    private static readonly NetworkPredictionTransformer<BinaryNetworkModel> Binary = Ml.BinaryClassification.Trainers.ScaledMlp(Mlp with { LabelColumnName = "Flag" }).Fit(Data);
    private static readonly NetworkPredictionTransformer<MulticlassNetworkModel> Multiclass = Ml.MulticlassClassification.Trainers.ScaledMlp(Mlp with { LabelColumnName = "Key" }).Fit(Keyed);
    private static readonly NetworkPredictionTransformer<RegressionNetworkModel> Boosted = Ml.Regression.Trainers.GradientBoostedNetwork(new() { TotalUnits = 4, Restarts = 1, Seed = 1 }).Fit(Data);
    private static readonly NetworkPredictionTransformer<RegressionNetworkModel> Random = Ml.Regression.Trainers.RandomFeatureNetwork(new() { HiddenUnits = 12, Seed = 1 }).Fit(Data);
    private static readonly NetworkPredictionTransformer<MulticlassNetworkModel> Codes =
        Ml.MulticlassClassification.Trainers.CodebookNetwork(new() { LabelColumnName = "Key", HiddenUnits = 8, NumCodes = 10, K = 2, Epochs = 2, Seed = 1 }).Fit(Keyed);

    private static readonly ExplanationTransformer Told = Ml.Transforms.ExplainPrediction(Regression).Fit(Data);
    private static readonly ExplanationTransformer ToldOfLabels =
        Ml.Transforms.ExplainPrediction(Binary, new() { Method = ExplanationMethod.Gradient, Target = ExplanationTarget.TrueLabel, LabelColumnName = "Flag" }).Fit(Data);

    private static readonly NetworkPredictionTransformer<TreatmentModel> Treatment = Ml.CausalInference.Trainers.TransTee(new() { TreatmentColumnName = "Treated", EmbedDim = 4, Heads = 1, Epochs = 1, Seed = 1 }).Fit(Treated);
    private static readonly NetworkPredictionTransformer<RegressionNetworkModel> Convex = Ml.Regression.Trainers.ConvexRelu(new() { SampledPatterns = 8, MaxIterations = 20, Seed = 1 }).Fit(Data);
    private static readonly ForecastTransformer Forecaster = Ml.Forecasting.Trainers.PatchTSMixer(
        Series, new() { PatchLength = 4, DModel = 8, NumLayers = 1, Epochs = 1, Seed = 1 }).Fit(Data);

    private static readonly Dictionary<string, Action> Operations = new()
    {
        ["ExplainPrediction"] = Explained,
        ["ExplainPrediction of a network of libtorch"] = () => Read(Ml.Transforms.ExplainPrediction(Native, new() { Steps = 4 }).Fit(Data), "FeatureContributions"),
        ["EvaluateDiffRoar"] = () => Ml.Model.EvaluateDiffRoar(
            ToldOfLabels, _ => Ml.BinaryClassification.Trainers.ScaledMlp(Mlp with { LabelColumnName = "Flag" }), Data, Data, new() { Levels = [0.5], Repeats = 1, LabelColumnName = "Flag" }),
        ["RankContributions"] = () => Ml.Model.RankContributions(Told.Transform(Data)),
        ["EvaluateSignalFraction"] = () => Ml.Model.EvaluateSignalFraction(Told.Transform(Data), maskColumnName: "Mask"),
        ["ComposeBlockImage"] = () => Read(Ml.Transforms.ComposeBlockImage("Block", "Features").Fit(Data), "Block"),
        ["BoundaryTilt"] = () => Read(Ml.Transforms.BoundaryTilt(Binary, new() { LabelColumnName = "Flag", AddMirrorImage = true }).Fit(Data), "BoundaryDistance"),
        ["EvaluateBoundaryTilt"] = () => Ml.Model.EvaluateBoundaryTilt(Binary, Data, new() { LabelColumnName = "Flag" }),
        ["EvaluateRobustness, binary"] = () => Ml.BinaryClassification.EvaluateRobustness(Data, Binary, new() { LabelColumnName = "Flag", Radii = [0.1], Steps = 2 }),
        ["EvaluateRobustness, multiclass"] = () => Ml.MulticlassClassification.EvaluateRobustness(Keyed, Multiclass, new() { LabelColumnName = "Key", Radii = [0.1], Steps = 2 }),
        ["CompareMethods, regression"] = () => Ml.Regression.CompareMethods(Data, [("one", new ScaledMlp(Mlp)), ("two", new RandomFeatureNetwork(new() { HiddenUnits = 8, Seed = 1 }))], folds: 2),
        ["CompareMethods, binary"] = () => Ml.BinaryClassification.CompareMethods(Data, [("one", new ScaledMlp(Mlp with { LabelColumnName = "Flag" }))], folds: 2),
        ["CompareMethods, multiclass"] = () => Ml.MulticlassClassification.CompareMethods(Keyed, [("one", new ScaledMlp(Mlp with { LabelColumnName = "Key" }))], folds: 2),
        ["TokenMixerAblation"] = () => Ml.Regression.TokenMixerAblation(Data, new() { Mixers = [new PoolingMixer()], Network = Pixels, Folds = 2 }),
        ["EvaluateBandwidth"] = () => Ml.Regression.EvaluateBandwidth(Data, new() { HiddenUnits = 20, Seed = 1 }),
        ["EvaluateCodes"] = () => Ml.Model.EvaluateCodes(Codes, Keyed, new() { LabelColumnName = "Key" }),
        ["WithCodes"] = () => Read(Codes.WithCodes(2, 0, force: [1]), "Score", Keyed),
        ["NetworkModel.WithDefinition"] = () => Read(NetworkModel.WithDefinition(Codes, definition => definition)!, "Score", Keyed),
        ["CausalInference.Evaluate"] = () => Ml.CausalInference.Evaluate(Treatment.Transform(Treated), "Truth"),
        ["EvaluateUplift"] = () => Ml.CausalInference.EvaluateUplift(Ml.Transforms.CopyColumns("Treatment", "Treated").Append(Ml.Transforms.CopyColumns("Effect", "Dose")).Fit(Treated).Transform(Treated)),
        ["ChangeActiveUnits"] = () => Read(Ml.Model.ChangeActiveUnits(Boosted, 2), "Score"),
        ["TruncateHiddenUnits"] = () => Read(Ml.Model.TruncateHiddenUnits(Boosted, 2), "Score"),
        ["HiddenLayerModel"] = () => _ = HiddenLayerModel.Find(Boosted)!.WithActiveUnits(2).ToWeights(),
        ["ChangeModelThreshold"] = () => Read(Ml.BinaryClassification.ChangeModelThreshold(Binary, 0.3f), "PredictedLabel"),
        ["OneVersusAll"] = () => Read(Ml.MulticlassClassification.Trainers.OneVersusAll(Ml.BinaryClassification.Trainers.ScaledMlp(Mlp with { LabelColumnName = "Flag" }), "Key").Fit(Keyed), "Score", Keyed),
        ["Calibrators.Platt"] = () => Ml.BinaryClassification.Calibrators.Platt("Flag", "Score").Fit(Binary.Transform(Data)),
        ["CrossValidate"] = () => Ml.Regression.CrossValidate(Data, Ml.Regression.Trainers.ScaledMlp(Mlp), numberOfFolds: 2),
        ["Evaluate"] = () => Ml.Regression.Evaluate(Native.Transform(Data)),
        ["PermutationFeatureImportance"] = () => Ml.Regression.PermutationFeatureImportance(Regression, Data),
        ["CreatePredictionEngine"] = Engine,
        ["CreateRowScorer"] = Scored,
        ["ModelFile.Save, Load and Inspect"] = Filed,
        ["WatchedModel"] = Watched,
        ["CreateConverter"] = () => Read(Ml.Transforms.BundleNetwork(Random, 8).Fit(Data), "Score"),
        ["CreateFeatureMap, RandomFeatureMap"] = () => Read(Ml.Transforms.RandomFeatureMap("Map", "Features", 8).Fit(Data), "Map"),
        ["CreateFeatureMap, RandomAttentionFeatures"] = () => Read(Ml.Transforms.RandomAttentionFeatures("Map", "Features", keyDimension: 4, heads: 3).Fit(Data), "Map"),
        ["CreateFeatureMap, VectorQuantize"] = () => Read(Ml.Transforms.VectorQuantize("Map", "Features", new() { NumCodes = 4, Seed = 1 }).Fit(Data), "Map"),
        ["CreateFeaturizer of a method"] = () => Read(Ml.Transforms.MetaFormerFeatures("Map", Pixels).Fit(Data), "Map"),
        ["CreateFeaturizer of a model"] = () => Read(Ml.Transforms.CreateFeaturizer("Map", Native).Fit(Data), "Map"),
        ["CreateFeaturizer without labels"] = () => Read(Ml.Transforms.PatchTSMixerPretrain("Map", new PatchTSMixerPretrain.Options { FeatureColumnName = "Features", PatchLength = 4, DModel = 8, NumLayers = 1, Epochs = 1, Seed = 1 }).Fit(Data), "Map"),
        ["CreateMultiOutputTrainer"] = () => Read(Ml.Regression.Trainers.RandomFeatureNetworkMultiOutput(new() { LabelColumnName = "Two", HiddenUnits = 8, Seed = 1 }).Fit(Data), "Score"),
        ["Forecasting"] = Forecast,
        ["ConvexRelu.GetCertificate"] = () => ConvexRelu.GetCertificate(Convex),
        ["DifferentiableModel"] = Differentiated,
        ["A fit that goes on from a model"] = () => Dispose(Ml.Regression.Trainers.ScaledMlp(Mlp with { InitialModel = Regression }).Fit(Data)),
        ["A fit that is cancelled"] = Cancelled,
        ["TabularNetwork of several members"] = () => Dispose(Ml.Regression.Trainers.TabularNetwork(TabularNetwork.Options.Fast with { Epochs = 2, Seed = 1 }).Fit(Data)),
        ["LibTorch.Diagnose"] = () => Runtime.LibTorch.Diagnose(),
    };

    public static TheoryData<string> Names => [.. Operations.Keys];

    [Theory]
    [MemberData(nameof(Names))]
    public void Leaves_as_many_tensors_as_there_were(string operation)
    {
        // What models and the process make once and keep is made the first time. Tensors are counted thread by thread, so that no other test counts, and what is left to the
        // garbage collector counts as left.
        Operations[operation]();
        var before = DisposeScopeManager.Statistics.ThreadTotalLiveCount;
        Operations[operation]();
        Assert.Equal(before, DisposeScopeManager.Statistics.ThreadTotalLiveCount);
    }

    private static void Read(ITransformer model, string column, IDataView? data = null)
    {
        var scored = model.Transform(data ?? Data);
        using (var cursor = scored.GetRowCursor([scored.Schema[column]]))
        {
            while (cursor.MoveNext())
            {
            }
        }

        Assert.NotEmpty(scored.Preview(200).RowView);
        Dispose(model);
    }

    private static void Dispose(ITransformer model) => (model as IDisposable)?.Dispose();

    private static void Explained()
    {
        foreach (var method in Enum.GetValues<ExplanationMethod>())
            Read(Ml.Transforms.ExplainPrediction(Regression, new() { Method = method, Steps = 4, Samples = 4 }).Fit(Data), "FeatureContributions");
    }

    private static void Engine()
    {
        foreach (var model in new[] { Regression, Native })
        {
            using var engine = Ml.Model.CreatePredictionEngine<Row, Prediction>(model, new PredictionEngineOptions { OwnsTransformer = false });
            engine.Predict(Row.Make(1)[0]);
        }
    }

    private static void Scored()
    {
        foreach (var model in new[] { Regression, Native })
        {
            var scorer = model.CreateRowScorer(Ml.Transforms.SelectColumns("Features").Fit(Data).Transform(Data).Schema, ["Score"]);
            scorer.Score(new Dictionary<string, object?> { ["Features"] = new float[Width] });
            scorer.Score(new float[Width], new float[1]);
            scorer.ScoreJson($"{{\"Features\":[{string.Join(',', Enumerable.Repeat("0.5", Width))}]}}");
            scorer.ScoreJson(Encoding.UTF8.GetBytes($"{{\"Features\":[{string.Join(',', Enumerable.Repeat("0.5", Width))}]}}"), new ArrayBufferWriter<byte>());
        }
    }

    private static void Filed()
    {
        var path = Path.GetTempFileName();
        foreach (var model in new ITransformer[] { Regression, Native, Boosted, Codes, Treatment, Convex, Forecaster })
        {
            ModelFile.Save(Ml, model, null, path);
            _ = ModelFile.Inspect(path);
            Dispose(ModelFile.Load(Ml, path, out _));
            Dispose(ModelFile.Load(Ml, path, new(), ModelFile.KnownAssemblies, out _));
            File.WriteAllBytes(path, [.. File.ReadAllBytes(path)[..^100], .. new byte[100]]);
            Assert.ThrowsAny<Exception>(() => ModelFile.Load(Ml, path, new(), ModelFile.KnownAssemblies, out _));
        }

        File.Delete(path);
    }

    private static void Watched()
    {
        var path = Path.GetTempFileName();
        var row = new Dictionary<string, object?> { ["Features"] = new float[Width] };
        ModelFile.Save(Ml, Native, null, path);
        using (var watched = new WatchedModel(Ml, path, new() { Seconds = 3600, OutputColumns = ["Score"] }))
        {
            for (var i = 0; i < 3; i++)
            {
                watched.Scorer.Score(row);
                ModelFile.Save(Ml, i == 0 ? Regression : Native, null, path);
                watched.Reload();
            }
        }

        File.Delete(path);
    }

    private static void Forecast()
    {
        var model = Ml.Forecasting.Trainers.PatchTSMixer(Series, new() { PatchLength = 4, DModel = 8, NumLayers = 1, Epochs = 1, Seed = 1 }).Fit(Data);
        var forecaster = model.CreateForecaster(Data);
        forecaster.Observe(new float[Width]);
        forecaster.Forecast();
        forecaster.ForecastColumns();
        using var stream = new MemoryStream();
        forecaster.Save(stream);
        stream.Position = 0;
        forecaster.Load(stream);
        Read(model, "Forecast");
    }

    private static void Differentiated()
    {
        using var scope = torch.NewDisposeScope();
        using var model = new DifferentiableModel(Regression.Model.Network);
        model.Gradient(torch.zeros(2, Width), outputs => outputs);
    }

    private static void Cancelled()
    {
        using var source = new CancellationTokenSource();
        var progress = new Progress(source);
        Assert.Throws<OperationCanceledException>(() => Ml.Regression.Trainers.ScaledMlp(Mlp with { Epochs = 50, CancellationToken = source.Token, Progress = progress }).Fit(Data));
    }

    private sealed class Progress(CancellationTokenSource source) : IProgress<Training.TrainingProgress>
    {
        public void Report(Training.TrainingProgress value)
        {
            if (value.Epoch > 1)
                source.Cancel();
        }
    }

    private sealed class Prediction
    {
        public float Score { get; set; }
    }

    private sealed class Row
    {
        [VectorType(Width)]
        public float[] Features { get; set; } = [];

        [VectorType(Width)]
        public float[] Mask { get; set; } = [];

        [VectorType(2)]
        public float[] Two { get; set; } = [];

        public float Label { get; set; }

        public bool Flag { get; set; }

        public string Kind { get; set; } = "";

        public static Row[] Make(int count)
        {
            var random = new Random(1);
            return [.. Enumerable.Range(0, count).Select(i =>
            {
                float[] x = [.. Enumerable.Range(0, Width).Select(_ => (float)random.NextDouble())];
                return new Row { Features = x, Mask = [.. x.Select(value => value > 0.5f ? 1f : 0)], Two = [x[0], x[1]], Label = x[0] + x[1], Flag = x[0] > 0.5, Kind = "abc"[i % 3].ToString() };
            })];
        }
    }
}
