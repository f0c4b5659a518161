using MlNetMlp.Layers;
using MlNetMlp.Networks;
using MlNetMlp.Runtime;
using MlNetMlp.Scoring;
using MlNetMlp.Training;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace MlNetMlp.Tests.Training;

/// <summary>Passes through dense layers that are written out, against torch in Double.</summary>
public sealed unsafe class BatchedDensePassesTests
{
    [Fact]
    public void Products_agree_with_doubles_and_are_the_same_whatever_the_registers()
    {
        var random = new Random(1);
        foreach (var (rows, columns, steps) in new[] { (1, 1, 1), (3, 5, 7), (6, 16, 4), (8, 33, 9), (23, 40, 12), (37, 128, 33) })
        {
            foreach (var (across, transposed) in new[] { (false, false), (true, false), (false, true) })
            {
                float[] a = Draw(rows * steps), b = Draw(steps * columns), bias = Draw(columns);
                float[]? first = null;
                foreach (var path in Enum.GetValues<VectorPath>())
                {
                    // What lies behind the last row must stay as it is.
                    var c = new float[(rows * columns) + 1];
                    c[^1] = 7;
                    Multiply(PassKernels.Of(path), a, b, bias, c, rows, columns, steps, across, transposed);
                    Assert.Equal(7, c[^1]);
                    Assert.Equal(first ??= c, c);
                }

                for (var row = 0; row < rows; row++)
                {
                    for (var column = 0; column < columns; column++)
                    {
                        double sum = 0;
                        for (var k = 0; k < steps; k++)
                            sum += (double)a[across ? (k * rows) + row : (row * steps) + k] * b[transposed ? (column * steps) + k : (k * columns) + column];
                        Assert.Equal((0.5 * sum) + bias[column], first![(row * columns) + column], 1e-5);
                    }
                }
            }
        }

        float[] Draw(int count) => [.. Enumerable.Range(0, count).Select(_ => (float)((2 * random.NextDouble()) - 1))];
    }

    [Theory]
    [InlineData(Activation.Silu, 1, 8, 1, 1, 0)]
    [InlineData(Activation.Silu, 3, 37, 3, 2, 0.3)]
    [InlineData(Activation.Relu, 2, 16, 5, 3, 0.3)]
    public void Outputs_and_gradients_are_those_of_torch(Activation activation, int networks, int units, int outputs, int hiddenLayers, double dropout)
    {
        const int numbers = 5, plain = 7, further = 3, rows = 19;
        using var scope = NewDisposeScope();
        using var random = new Generator(4);
        using var single = new Stack(networks, numbers, plain, further, units, hiddenLayers, outputs, ScalarType.Float32);
        using var exact = new Stack(networks, numbers, plain, further, units, hiddenLayers, outputs, ScalarType.Float64);
        single.Initialize(random);
        using var parameters = new FlatParameters(single);
        using (no_grad())
        {
            foreach (var (one, other) in single.parameters().Zip(exact.parameters()))
                other.copy_(one);
        }

        var x = empty(40, plain).normal_(0, 1, random);
        var rest = empty(networks, rows, further).normal_(0, 1, random);
        var pull = empty(networks, rows, outputs).normal_(0, 1, random);
        long[] places = [.. Enumerable.Range(0, rows).Select(row => (long)(2 * row))];
        var passes = new BatchedDensePasses(parameters, single.Layers, single.Scale, single.Embedding, plain, activation, rows + 2);
        using var pool = new DropoutPool((long)networks * rows * units, random, 1) { Share = dropout };
        using var samePool = new DropoutPool((long)networks * rows * units, new Generator(9), 1) { Share = dropout };
        Same(samePool, pool);
        for (var pass = 0; pass < 2; pass++)
        {
            passes.DrawMasks(pool, rows);
            var chosen = x.index_select(0, tensor(places)).to(ScalarType.Float64).unsqueeze(0).expand(networks, -1, -1);
            var behind = rest.to(ScalarType.Float64).requires_grad_(true);
            foreach (var parameter in exact.parameters())
                parameter.grad = null;
            var expected = exact.Forward(chosen, behind, activation, samePool);
            expected.mul(pull.to(ScalarType.Float64)).sum().backward();
            for (var network = 0; network < networks; network++)
            {
                passes.SetInputs(x, places);
                for (var row = 0; row < rows; row++)
                    TensorMemory.Floats(rest).Slice(((network * rows) + row) * further, further).CopyTo(passes.Input(row)[^further..]);
                Assert.True(Near(passes.Forward(network, rows).ToArray(), expected.select(0, network)));
                TensorMemory.Floats(pull).Slice(network * rows * outputs, rows * outputs).CopyTo(passes.OutputGradient(rows));
                passes.Backward(network, rows);
                float[] given = [.. Enumerable.Range(0, rows).SelectMany(row => passes.InputGradient(row)[^further..].ToArray())];
                Assert.True(Near(given, behind.grad!.select(0, network)));
            }

            foreach (var ((name, one), (_, other)) in single.named_parameters().Zip(exact.named_parameters()))
                Assert.True(Near(TensorMemory.ToFloats(one.grad!), other.grad!), name);
        }
    }

    [Fact]
    public void They_serve_single_numbers_on_the_cpu_only()
    {
        using var exact = new Stack(1, 2, 2, 0, 8, 1, 1, ScalarType.Float64);
        using var parameters = new FlatParameters(exact);
        Assert.Throws<ArgumentException>("parameters", () => new BatchedDensePasses(parameters, exact.Layers, exact.Scale, exact.Embedding, 2, Activation.Silu, 4));
        using var single = new Stack(1, 2, 2, 0, 8, 1, 1, ScalarType.Float32);
        using var own = new FlatParameters(single);
        Assert.Throws<ArgumentException>("activation", () => new BatchedDensePasses(own, single.Layers, single.Scale, single.Embedding, 2, Activation.Tanh, 4));
        var passes = new BatchedDensePasses(own, single.Layers, single.Scale, single.Embedding, 2, Activation.Silu, 4);
        Assert.Throws<ArgumentOutOfRangeException>("rows", () => passes.Forward(0, 5).Length);
        Assert.False(BatchedDensePasses.Serve(Activation.Gelu, CPU));
        Assert.False(BatchedDensePasses.Serve(Activation.Silu, META));
        Assert.True(BatchedDensePasses.Serve(Activation.Silu, CPU));
    }

    private static void Multiply(PassKernels kernels, float[] a, float[] b, float[] bias, float[] c, int rows, int columns, int steps, bool across, bool transposed)
    {
        var scratch = new float[kernels.ScratchOf(steps)];
        fixed (float* pa = a, pb = b, pBias = bias, pc = c, pScratch = scratch)
        {
            kernels.Multiply(
                new()
                {
                    A = pa, ARow = across ? 1 : steps, AStep = across ? rows : 1, B = pb, BStride = transposed ? steps : columns, IsTransposed = transposed, Factor = 0.5f, Bias = pBias,
                    C = pc, CRow = columns, Rows = rows, Columns = columns, Steps = steps,
                },
                pScratch);
        }
    }

    private static void Same(DropoutPool target, DropoutPool source)
    {
        const System.Reflection.BindingFlags hidden = System.Reflection.BindingFlags.Instance | System.Reflection.BindingFlags.NonPublic;
        var kept = typeof(DropoutPool).GetField("_kept", hidden)!;
        ((Tensor)kept.GetValue(target)!).copy_((Tensor)kept.GetValue(source)!);
    }

    private static bool Near(float[] values, Tensor expected)
    {
        using var scope = NewDisposeScope();
        var scale = Math.Max(1, expected.abs().max().item<double>());
        return tensor(values).to(ScalarType.Float64).sub(expected.detach().flatten()).abs().max().item<double>() < 2e-5 * scale;
    }

    private sealed class Stack : nn.Module
    {
        private readonly int _plain;
        private readonly PeriodicEmbedding embedding;
        private readonly Parameter scale;
        private readonly ModuleList<BatchedDense> layers = [];

        public Stack(int networks, int numbers, int plain, int further, int units, int hiddenLayers, int outputs, ScalarType type)
            : base(nameof(Stack))
        {
            _plain = plain;
            embedding = new PeriodicEmbedding(networks, numbers, 4, CPU, type);
            var width = plain + (PeriodicEmbedding.Sums * numbers) + further;
            scale = new Parameter(ones(networks, 1, width, type));
            for (var i = 0; i <= hiddenLayers; i++)
            {
                layers.Add(new BatchedDense(networks, width, i < hiddenLayers ? units : outputs, CPU, type));
                width = units;
            }

            RegisterComponents();
        }

        public PeriodicEmbedding Embedding => embedding;

        public Parameter Scale => scale;

        public IReadOnlyList<BatchedDense> Layers => [.. layers];

        public void Initialize(Generator random)
        {
            using var noGradient = no_grad();
            embedding.Initialize(random, 0.5);
            scale.uniform_(0.5, 2, random);
            foreach (var layer in layers)
            {
                layer.Initialize(random);
                layer.Bias.normal_(0, 1, random);
            }
        }

        public Tensor Forward(Tensor x, Tensor rest, Activation activation, DropoutPool pool)
        {
            var h = cat([x.narrow(2, 0, _plain), embedding.call(x), rest], 2).mul(scale);
            for (var i = 0; i + 1 < layers.Count; i++)
            {
                h = layers[i].call(h);
                h = pool.LeaveOut(activation == Activation.Silu ? nn.functional.silu(h) : nn.functional.relu(h));
            }

            return layers[^1].call(h);
        }
    }
}
