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
public sealed class MulticlassNetworkModel : NetworkModel, IPredictorProducing<VBuffer<float>>, IValueMapper
{
    internal const string LoaderSignature = "MlNetMlpMulticlass";

    internal MulticlassNetworkModel(TrainedNetwork network)
        : base(network)
    {
        ScoreSchema = ScoreSchemaFactory.Create(ScoreType, AnnotationUtils.Const.ScoreColumnKind.MulticlassClassification);
    }

    internal override DataViewSchema ScoreSchema { get; }

    DataViewType IValueMapper.InputType => new VectorDataViewType(NumberDataViewType.Single, Network.Inputs);

    DataViewType IValueMapper.OutputType => ScoreType;

    private VectorDataViewType ScoreType => new(NumberDataViewType.Single, Network.Outputs);

    private protected override PredictionKind Kind => PredictionKind.MulticlassClassification;

    private protected override VersionInfo Version => GetVersionInfo();

    internal static MulticlassNetworkModel Create(IHostEnvironment env, ModelLoadContext ctx) => new(Load<MulticlassHead>(ctx, GetVersionInfo()));

    internal override Delegate CreateGetter(int column, RowScores scores) =>
        (ValueGetter<VBuffer<float>>)((ref VBuffer<float> value) => Put(scores.Current, ref value));

    ValueMapper<TSource, TDestination> IValueMapper.GetMapper<TSource, TDestination>()
    {
        var (features, scores) = MapperBuffers<TSource>();
        return (ValueMapper<TSource, TDestination>)(Delegate)(ValueMapper<VBuffer<float>, VBuffer<float>>)(
            (in VBuffer<float> source, ref VBuffer<float> destination) =>
            {
                ScoreOne(source, features, scores);
                Put(scores, ref destination);
            });
    }

    private static void Put(ReadOnlySpan<float> scores, ref VBuffer<float> value)
    {
        var editor = VBufferEditor.Create(ref value, scores.Length);
        scores.CopyTo(editor.Values);
        value = editor.Commit();
    }

    private static VersionInfo GetVersionInfo() => MakeVersion("MLPMULTI", LoaderSignature);
}
