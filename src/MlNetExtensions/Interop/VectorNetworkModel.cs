using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.Runtime;
using MlNetMlp.Methods;

namespace MlNetMlp.Interop;

/// <summary>A network whose score is a vector.</summary>
public abstract class VectorNetworkModel : NetworkModel, IPredictorProducing<VBuffer<float>>, IValueMapper
{
    private protected VectorNetworkModel(TrainedNetwork network)
        : base(network)
    {
    }

    DataViewType IValueMapper.InputType => MappedType;

    DataViewType IValueMapper.OutputType => ScoreType;

    private protected VectorDataViewType ScoreType => new(NumberDataViewType.Single, Network.Outputs);

    private protected override Delegate CreateGetter(int column, RowScores scores) => scores.VectorGetter(0, Network.Outputs);

    ValueMapper<TSource, TDestination> IValueMapper.GetMapper<TSource, TDestination>()
    {
        var scorer = CreateVectorScorer<TSource>();
        return (ValueMapper<TSource, TDestination>)(Delegate)(ValueMapper<VBuffer<float>, VBuffer<float>>)(
            (in VBuffer<float> source, ref VBuffer<float> destination) =>
                RowScores.Put(scorer.Score(source), ref destination));
    }
}
