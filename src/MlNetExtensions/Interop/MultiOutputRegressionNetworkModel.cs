using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.Model;
using Microsoft.ML.Runtime;
using MlNetMlp.Interop;
using MlNetMlp.Methods;
using MlNetMlp.Networks;

[assembly: LoadableClass(
    typeof(MultiOutputRegressionNetworkModel), null, typeof(SignatureLoadModel), "Network for multi-output regression", MultiOutputRegressionNetworkModel.LoaderSignature)]

namespace MlNetMlp.Interop;

/// <summary>A network that predicts several numbers: its score is a vector whose slots have the names of the label's.</summary>
public sealed class MultiOutputRegressionNetworkModel : VectorNetworkModel
{
    internal const string LoaderSignature = "MlNetMlpMultiOutput";

    internal MultiOutputRegressionNetworkModel(TrainedNetwork network)
        : base(network)
    {
        var names = ((MultiOutputRegressionHead)network.Head).LabelNames;
        TaskSchema = NamedSlots.Add(ScoreSchemaFactory.Create(ScoreType, AnnotationUtils.Const.ScoreColumnKind.MultiOutputRegression), names);
    }

    private protected override DataViewSchema TaskSchema { get; }

    private protected override PredictionKind Kind => PredictionKind.MultiOutputRegression;

    private protected override VersionInfo Version => GetVersionInfo();

    internal static MultiOutputRegressionNetworkModel Create(IHostEnvironment env, ModelLoadContext ctx) =>
        new(Load<MultiOutputRegressionHead>(ctx, GetVersionInfo()));

    private static VersionInfo GetVersionInfo() => MakeVersion("MLPOUTPU", LoaderSignature);
}
