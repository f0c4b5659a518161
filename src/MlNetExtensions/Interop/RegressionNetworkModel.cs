using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.Model;
using Microsoft.ML.Runtime;
using MlNetMlp.Interop;
using MlNetMlp.Methods;
using MlNetMlp.Networks;

[assembly: LoadableClass(typeof(RegressionNetworkModel), null, typeof(SignatureLoadModel), "Network for regression", RegressionNetworkModel.LoaderSignature)]

namespace MlNetMlp.Interop;

/// <summary>A network that predicts a number.</summary>
public sealed class RegressionNetworkModel : NetworkModel, IPredictorProducing<float>, IValueMapper
{
    internal const string LoaderSignature = "MlNetMlpRegression";

    private static readonly DataViewSchema Columns =
        ScoreSchemaFactory.Create(NumberDataViewType.Single, AnnotationUtils.Const.ScoreColumnKind.Regression);

    internal RegressionNetworkModel(TrainedNetwork network)
        : base(network)
    {
    }

    private protected override DataViewSchema TaskSchema => Columns;

    DataViewType IValueMapper.InputType => MappedType;

    DataViewType IValueMapper.OutputType => NumberDataViewType.Single;

    private protected override PredictionKind Kind => PredictionKind.Regression;

    private protected override VersionInfo Version => GetVersionInfo();

    internal static RegressionNetworkModel Create(IHostEnvironment env, ModelLoadContext ctx) => new(Load<RegressionHead>(ctx, GetVersionInfo()));

    private protected override Delegate CreateGetter(int column, RowScores scores) => (ValueGetter<float>)((ref float value) => value = scores.Current[0]);

    ValueMapper<TSource, TDestination> IValueMapper.GetMapper<TSource, TDestination>()
    {
        var scorer = CreateVectorScorer<TSource>();
        return (ValueMapper<TSource, TDestination>)(Delegate)(ValueMapper<VBuffer<float>, float>)((in VBuffer<float> source, ref float score) =>
        {
            score = scorer.Score(source)[0];
        });
    }

    private static VersionInfo GetVersionInfo() => MakeVersion("MLPREGRE", LoaderSignature);
}
