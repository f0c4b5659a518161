using MlNetMlp.Persistence;
using MlNetMlp.Tests.Support;
using TorchSharp;
using static TorchSharp.torch;

namespace MlNetMlp.Tests.Networks;

public class NetworkWeightsTests
{
    [Fact]
    public void Weights_come_back_as_they_were_and_are_set_without_copies_of_them()
    {
        var definition = new PlainMlpDefinition { Inputs = 1000, Outputs = 1, Hidden = 1000, IsDense = false };
        using var random = new Generator(1);
        using var from = definition.Build(CPU);
        using var to = definition.Build(CPU);
        from.Initialize(random);
        var weights = from.ReadWeights();
        to.WriteWeights(weights);

        var (allocated, live) = (GC.GetAllocatedBytesForCurrentThread(), DisposeScopeManager.Statistics.ThreadTotalLiveCount);
        to.WriteWeights(weights);
        to.CopyWeights(weights, _ => true);

        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - allocated, 0, weights.ByteCount / 4);
        Assert.Equal(live, DisposeScopeManager.Statistics.ThreadTotalLiveCount);
        Assert.All(weights.Zip(to.ReadWeights()), pair => Assert.Equal(pair.First.Floats.ToArray(), pair.Second.Floats.ToArray()));
    }

    [Fact]
    public void Networks_of_another_type_take_them_too()
    {
        var definition = new PlainMlpDefinition { Inputs = 3, Outputs = 2, Hidden = 4, IsDense = false };
        using var random = new Generator(1);
        using var from = definition.Build(CPU);
        from.Initialize(random);
        using var to = definition.Build(CPU);
        to.to(ScalarType.Float64);

        WeightSet weights = from.ReadWeights();
        to.WriteWeights(weights);

        Assert.All(weights.Zip(to.ReadWeights()), pair => Assert.Equal(pair.First.Floats.ToArray(), pair.Second.Floats.ToArray()));
    }
}
