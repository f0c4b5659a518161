using System.Runtime.InteropServices;
using System.Security.Cryptography;
using MlNetMlp.Methods;
using MlNetMlp.Networks;
using MlNetMlp.Persistence;
using MlNetMlp.Runtime;
using MlNetMlp.Scoring;
using MlNetMlp.Solvers;
using MlNetMlp.Training;
using static TorchSharp.torch;

namespace MlNetMlp.ScalableKernels;

/// <summary>One compression of a trained network into a layer of scalable kernels.</summary>
internal sealed class Bundling(TrainedNetwork original, BundleNetwork.Options options, TrainingRun run) : IDisposable
{
    private const int BlockRows = 1024;

    private readonly Network _network = original.CreateNetwork();

    /// <summary>Ω by ridge regression of the original's outputs on Φ.</summary>
    /// <param name="data">The rows.</param>
    public ScalableKernelStack Refine(FeatureSample data)
    {
        var stack = (ScalableKernelStack)run.Create(options.Define(original.Inputs, _network.Definition.Outputs));
        stack.SetScaling(data.Statistics.ToUnitLength());
        var map = new ScalableKernelMap(stack);
        using var sums = new LeastSquaresSums(map.Features, stack.Definition.Outputs);
        FeatureBlock? first = null;
        foreach (var x in Blocks(data))
        {
            run.CheckCancelled();
            using var rows = x;
            var block = new FeatureBlock(map.Map(x), Targets(x), x.alias(), null);
            sums.Add(block.Features, block.Targets);
            if (first is null)
                first = block;
            else
                block.Dispose();
        }

        using (first)
        using (var ridge = RidgeReadout.Primal(sums))
        using (var readout = ridge.Solve(ReadoutSolver.Choose(new() { Penalty = options.L2, MemoryBudget = MemoryBudget.Default }, ridge, first!).Penalty))
            stack.SetReadout(readout);
        return stack;
    }

    /// <summary>Ω = Ψ(W₁, b₁), merged with the layer behind.</summary>
    /// <param name="data">Rows that tell their length; null where there are none, and rows as long as 1 are thought of.</param>
    /// <exception cref="InvalidOperationException">The network is not one of a hidden layer of sines or cosines.</exception>
    public ScalableKernelStack FromWeights(FeatureSample? data)
    {
        if (original.Definition is not HiddenLayerDefinition { Knots: 0, ActiveUnits: > 0, Activation: Activation.Cosine or Activation.Sine } layer)
            throw new InvalidOperationException(WhyNot());
        using var scope = NewDisposeScope();
        using var noGradient = no_grad();
        var w1 = Take("hidden.weight", layer.Units, layer.Inputs).narrow(0, 0, layer.ActiveUnits);
        var b1 = Take("hidden.bias", layer.Units).narrow(0, 0, layer.ActiveUnits);
        var w2 = Take("output.weight", layer.Outputs, layer.Units).narrow(1, 0, layer.ActiveUnits);
        var b2 = Take("output.biases", layer.Steps + 1, layer.Outputs)[layer.ActiveSteps];
        var mean = layer.StandardizeInputs ? Take("mean", layer.Inputs) : zeros(layer.Inputs);
        var factor = layer.StandardizeInputs ? Take("scale", layer.Inputs) : ones(layer.Inputs);

        // w·x is (w/s)·(s·x); errors are least where both are of the same length.
        var length = data is null ? 1 : Length(data.Sample.sub(mean).mul(factor));
        var balance = Math.Sqrt(Math.Max(1e-6, Length(w1)) / Math.Max(1e-6, length));
        var definition = (options with
        {
            Kernel = layer.Activation == Activation.Cosine ? ScalableKernel.Cosine : ScalableKernel.Sine, NormalizeInput = false,
        }).Define(layer.Inputs, layer.ActiveUnits) with { AppendConstant = false };
        using var hidden = (ScalableKernelStack)run.Create(definition);
        hidden.SetScaling((TensorMemory.ToFloats(mean), TensorMemory.ToFloats(factor.Times(balance))));
        hidden.Layers[0].Weight!.copy_(hidden.Layers[0].Psi(w1.Times(1 / balance), b1));
        return hidden.Merge(w2, b2);
    }

    /// <summary>What it has come to.</summary>
    public BundleReport Report(ScalableKernelStack bundled, FeatureSample? data, bool isRefined)
    {
        var (greatest, sum, values) = (0.0, 0.0, 0L);
        if (data is not null)
        {
            var small = new TrainedNetwork(bundled.Definition, bundled.ReadWeights(), original.Head) { MethodName = nameof(BundleNetwork) };
            foreach (var x in Blocks(data))
            {
                using var rows = x;
                var features = x.contiguous().data<float>().ToArray();
                var (expected, found) = (new float[x.shape[0] * original.Outputs], new float[x.shape[0] * original.Outputs]);
                original.Score(features, expected);
                small.Score(features, found);
                for (var i = 0; i < expected.Length; i++)
                {
                    var difference = Math.Abs((double)expected[i] - found[i]);
                    (greatest, sum) = (Math.Max(greatest, difference), sum + difference);
                }

                values += expected.Length;
            }
        }

        return new(
            _network.parameters().Sum(parameter => parameter.numel()), bundled.parameters().Sum(parameter => parameter.numel()),
            original.WeightCount, bundled.Definition.WeightCount, values > 0 ? greatest : null, values > 0 ? sum / values : null,
            (int)(data?.Sample.shape[0] ?? 0), isRefined, Fingerprint());
    }

    public void Dispose() => _network.Dispose();

    // Outputs as the loss sees them. A softmax does not see what all classes have in common.
    private Tensor Targets(Tensor x)
    {
        using var scope = NewDisposeScope();
        using var noGradient = no_grad();
        var outputs = _network.call(x);
        return (original.Head is MulticlassHead ? outputs.sub(outputs.mean([1L], keepdim: true)) : outputs.alias()).MoveToOuterDisposeScope();
    }

    private static IEnumerable<Tensor> Blocks(FeatureSample data)
    {
        var rows = data.Sample.shape[0];
        for (long start = 0; start < rows; start += BlockRows)
            yield return data.Sample.narrow(0, start, Math.Min(BlockRows, rows - start)).clone();
    }

    private string WhyNot() =>
        $"The {original.MethodName} cannot be compressed without rows to look at: "
        + (original.Definition is not HiddenLayerDefinition layer ? "it is no network of one hidden layer"
            : layer.Knots > 0 ? "its units see more than the features"
            : layer.ActiveUnits == 0 ? "it has no units"
            : $"no random features estimate units of {layer.Activation} by their weights; they do so for Cosine and Sine")
        + ". Give data, and leave the option 'Refine' true.";

    private Tensor Take(string name, params long[] shape) =>
        original.Weights.TryGet(name, out var values) ? tensor(values.Floats.ToArray(), shape) : throw new InvalidOperationException($"The network has no '{name}'.");

    private string Fingerprint()
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        foreach (var weights in original.Weights)
            hash.AppendData(MemoryMarshal.AsBytes(weights.Floats));
        return System.Convert.ToHexString(hash.GetHashAndReset());
    }

    // Root of the mean square length of rows.
    private static double Length(Tensor rows) => Math.Sqrt(rows.mul(rows).sum(1L).mean().item<float>());
}
