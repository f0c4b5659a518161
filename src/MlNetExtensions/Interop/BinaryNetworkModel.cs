using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.Model;
using Microsoft.ML.Runtime;
using MlNetMlp.Interop;
using MlNetMlp.Methods;
using MlNetMlp.Networks;

[assembly: LoadableClass(typeof(BinaryNetworkModel), null, typeof(SignatureLoadModel), "Network for binary classification", BinaryNetworkModel.LoaderSignature)]

namespace MlNetMlp.Interop;

/// <summary>A network that tells two classes apart: its score is the logit of its probability.</summary>
public sealed class BinaryNetworkModel : NetworkModel, IDistPredictorProducing<float, float>, IValueMapperDist
{
    internal const string LoaderSignature = "MlNetMlpBinary";

    private static readonly DataViewSchema Columns = ScoreSchemaFactory.CreateBinaryClassificationSchema();

    internal BinaryNetworkModel(TrainedNetwork network)
        : base(network)
    {
    }

    private protected override DataViewSchema TaskSchema => Columns;

    DataViewType IValueMapper.InputType => MappedType;

    DataViewType IValueMapper.OutputType => NumberDataViewType.Single;

    DataViewType IValueMapperDist.DistType => NumberDataViewType.Single;

    private protected override PredictionKind Kind => PredictionKind.BinaryClassification;

    private protected override VersionInfo Version => GetVersionInfo();

    internal static BinaryNetworkModel Create(IHostEnvironment env, ModelLoadContext ctx) => new(Load<BinaryHead>(ctx, GetVersionInfo()));

    private protected override Delegate CreateGetter(int column, RowScores scores) => column == 0
        ? (ValueGetter<float>)((ref float value) => value = scores.Current[0])
        : (ValueGetter<float>)((ref float value) => value = Probability(scores.Current[0]));

    ValueMapper<TSource, TDestination> IValueMapper.GetMapper<TSource, TDestination>()
    {
        var scorer = CreateVectorScorer<TSource>();
        return (ValueMapper<TSource, TDestination>)(Delegate)(ValueMapper<VBuffer<float>, float>)((in VBuffer<float> source, ref float score) =>
        {
            score = scorer.Score(source)[0];
        });
    }

    ValueMapper<TSource, TDestination, TProbability> IValueMapperDist.GetMapper<TSource, TDestination, TProbability>()
    {
        var scorer = CreateVectorScorer<TSource>();
        return (ValueMapper<TSource, TDestination, TProbability>)(Delegate)(ValueMapper<VBuffer<float>, float, float>)(
            (in VBuffer<float> source, ref float score, ref float probability) =>
            {
                score = scorer.Score(source)[0];
                probability = Probability(score);
            });
    }

    private static float Probability(float score) => 1 / (1 + MathF.Exp(-score));

    private static VersionInfo GetVersionInfo() => MakeVersion("MLPBINAR", LoaderSignature);
}
