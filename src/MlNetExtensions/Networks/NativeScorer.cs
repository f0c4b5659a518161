using MlNetMlp.Persistence;
using MlNetMlp.Runtime;
using MlNetMlp.Scoring;
using TorchSharp;
using static TorchSharp.torch;

namespace MlNetMlp.Networks;

/// <summary>Scores rows with libtorch, for networks that are more than dense layers. The network is built at the first row.</summary>
internal sealed class NativeScorer(NetworkDefinition definition, WeightSet weights) : IRowScorer
{
    private readonly Lock _gate = new();
    private Network? _network;

    public int Inputs => definition.Inputs;

    public int Outputs => definition.Outputs;

    public void Score(ReadOnlySpan<float> rows, Span<float> scores)
    {
        var network = _network ?? Build();

        // The caller's cursors are the parallel ones; on small batches several threads of torch's own are slower than one.
        using var threads = TorchThreads.Limit(1);
        using var inference = inference_mode();
        using var scope = NewDisposeScope();
        var input = empty(rows.Length / Inputs, Inputs);
        rows.CopyTo(TensorMemory.Floats(input));
        var output = network.call(input).contiguous();
        TensorMemory.Floats(output).CopyTo(scores);
    }

    private Network Build()
    {
        lock (_gate)
        {
            if (_network is not null)
                return _network;
            LibTorch.Load();
            var network = definition.Build(CPU);
            network.WriteWeights(weights);
            network.eval();

            // A caller's dispose scope must not take the weights with it.
            foreach (var tensor in network.parameters().Concat(network.buffers()))
                tensor.DetachFromDisposeScope();
            Volatile.Write(ref _network, network);
            return network;
        }
    }
}
