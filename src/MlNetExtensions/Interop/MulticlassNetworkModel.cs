using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.Model;
using Microsoft.ML.Runtime;
using MlNetMlp.Interop;
using MlNetMlp.Methods;
using MlNetMlp.Networks;

[assembly: LoadableClass(typeof(MulticlassNetworkModel), null, typeof(SignatureLoadModel), "Network for multiclass classification", MulticlassNetworkModel.LoaderSignature)]

namespace MlNetMlp.Interop;

/// <summary>A network that tells several classes apart: its scores are their probabilities.</summary>
public sealed class MulticlassNetworkModel : VectorNetworkModel
{
    internal const string LoaderSignature = "MlNetMlpMulticlass";

    internal MulticlassNetworkModel(TrainedNetwork network)
        : base(network)
    {
        TaskSchema = ScoreSchemaFactory.Create(ScoreType, AnnotationUtils.Const.ScoreColumnKind.MulticlassClassification);
    }

    private protected override DataViewSchema TaskSchema { get; }

    private protected override PredictionKind Kind => PredictionKind.MulticlassClassification;

    private protected override VersionInfo Version => GetVersionInfo();

    internal static MulticlassNetworkModel Create(IHostEnvironment env, ModelLoadContext ctx) => new(Load<MulticlassHead>(ctx, GetVersionInfo()));

    private static VersionInfo GetVersionInfo() => MakeVersion("MLPMULTI", LoaderSignature);
}
