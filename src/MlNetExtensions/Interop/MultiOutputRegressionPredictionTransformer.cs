using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.Runtime;
using MlNetMlp.Interop;

[assembly: LoadableClass(
    typeof(MultiOutputRegressionPredictionTransformer), null, typeof(SignatureLoadModel),
    "Network prediction transformer for multi-output regression", MultiOutputRegressionPredictionTransformer.LoaderSignature)]

namespace MlNetMlp.Interop;

/// <summary>What ML.NET has for every task but this one: a model, its feature column, and the generic scorer that adds <c>Score</c>.</summary>
internal sealed class MultiOutputRegressionPredictionTransformer : SingleFeaturePredictionTransformerBase<MultiOutputRegressionNetworkModel>
{
    public const string LoaderSignature = "MlNetMlpMultiOutputPred";

    public MultiOutputRegressionPredictionTransformer(IHostEnvironment env, MultiOutputRegressionNetworkModel model, DataViewSchema schema, string? feature)
        : base(Register(env), model, schema, feature) => Scorer = GetGenericScorer();

    private MultiOutputRegressionPredictionTransformer(IHostEnvironment env, ModelLoadContext ctx)
        : base(Register(env), ctx) => Scorer = GetGenericScorer();

    public static MultiOutputRegressionPredictionTransformer Create(IHostEnvironment env, ModelLoadContext ctx)
    {
        ctx.CheckAtModel(GetVersionInfo());
        return new(env, ctx);
    }

    protected override void SaveCore(ModelSaveContext ctx)
    {
        ctx.SetVersionInfo(GetVersionInfo());
        base.SaveCore(ctx);
    }

    private static IHost Register(IHostEnvironment env) => env.Register("MultiOutputRegressionPrediction");

    private static VersionInfo GetVersionInfo() => new(
        modelSignature: "MLPOUTPR",
        verWrittenCur: 0x00010001,
        verReadableCur: 0x00010001,
        verWeCanReadBack: 0x00010001,
        loaderSignature: LoaderSignature,
        loaderAssemblyName: typeof(MultiOutputRegressionPredictionTransformer).Assembly.FullName!);
}
