using MlNetMlp.Persistence;
using MlNetMlp.Runtime;
using MlNetMlp.Scoring;
using TorchSharp;
using static TorchSharp.torch;

namespace MlNetMlp.Networks;

/// <summary>
/// Scores rows with libtorch, for networks that are more than dense layers. The network is built at the first row, and again at the first one
/// after a release.
/// </summary>
internal sealed class NativeScorer(NetworkDefinition definition, WeightSet weights) : IRowScorer
{
    private readonly Lock _gate = new();
    private Network? _network;
    private int _users;
    private bool _isReleased;

    public int Inputs => definition.Inputs;

    public int Outputs { get; } = definition.ScoredOutputs;

    public void Score(ReadOnlySpan<float> rows, Span<float> scores)
    {
        var count = scores.Length / Outputs;
        if (count == 0)
            return;
        var network = Enter();
        try
        {
            // The caller's cursors are the parallel ones; on small batches several threads of torch's own are slower than one.
            using var threads = TorchThreads.Limit(1);
            using var inference = inference_mode();
            using var scope = NewDisposeScope();
            var input = empty(count, rows.Length / count);
            rows.CopyTo(TensorMemory.Floats(input));
            var output = network.CallWithAdded(input).contiguous();
            if (output.numel() != scores.Length)
                throw new InvalidOperationException($"{definition} promises {Outputs} values for a row, but its network puts out {output.numel() / count}.");
            TensorMemory.Floats(output).CopyTo(scores);
        }
        finally
        {
            Leave();
        }
    }

    /// <summary>Gives native memory back as soon as no row is being scored.</summary>
    public void Release()
    {
        lock (_gate)
        {
            _isReleased = true;
            DisposeIfIdle();
        }
    }

    private Network Enter()
    {
        lock (_gate)
        {
            _network ??= Build();
            _isReleased = false;
            _users++;
            return _network;
        }
    }

    private void Leave()
    {
        lock (_gate)
        {
            _users--;
            DisposeIfIdle();
        }
    }

    private void DisposeIfIdle()
    {
        if (!_isReleased || _users > 0)
            return;
        _network?.Dispose();
        _network = null;
    }

    private Network Build()
    {
        LibTorch.Load();
        var network = definition.Build(CPU);
        network.WriteWeights(weights);
        network.eval();

        // A caller's dispose scope must not take the weights with it.
        foreach (var tensor in network.parameters().Concat(network.buffers()))
            tensor.DetachFromDisposeScope();
        return network;
    }
}
