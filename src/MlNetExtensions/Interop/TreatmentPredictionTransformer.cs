using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.Runtime;
using MlNetMlp.Interop;

[assembly: LoadableClass(
    typeof(TreatmentPredictionTransformer), null, typeof(SignatureLoadModel),
    "Network prediction transformer for outcomes under treatments", TreatmentPredictionTransformer.LoaderSignature)]

namespace MlNetMlp.Interop;

/// <summary>What ML.NET has for its own tasks: a model, its feature column, and the generic scorer that adds the model's columns.</summary>
internal sealed class TreatmentPredictionTransformer : SingleFeaturePredictionTransformerBase<TreatmentModel>
{
    public const string LoaderSignature = "MlNetMlpTreatmentPred";

    public TreatmentPredictionTransformer(IHostEnvironment env, TreatmentModel model, DataViewSchema schema, string? feature)
        : base(Register(env), model, schema, feature) => Scorer = GetGenericScorer();

    private TreatmentPredictionTransformer(IHostEnvironment env, ModelLoadContext ctx)
        : base(Register(env), ctx) => Scorer = GetGenericScorer();

    public static TreatmentPredictionTransformer Create(IHostEnvironment env, ModelLoadContext ctx)
    {
        ctx.CheckAtModel(GetVersionInfo());
        return new(env, ctx);
    }

    protected override void SaveCore(ModelSaveContext ctx)
    {
        ctx.SetVersionInfo(GetVersionInfo());
        base.SaveCore(ctx);
    }

    private static IHost Register(IHostEnvironment env) => env.Register("TreatmentPrediction");

    private static VersionInfo GetVersionInfo() => new(
        modelSignature: "MLPTREPR",
        verWrittenCur: 0x00010001,
        verReadableCur: 0x00010001,
        verWeCanReadBack: 0x00010001,
        loaderSignature: LoaderSignature,
        loaderAssemblyName: typeof(TreatmentPredictionTransformer).Assembly.FullName!);
}
