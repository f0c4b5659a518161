using MlNetMlp.Scoring;
using Register = MlNetMlp.Tests.Scoring.ReferenceProgram.Register;

namespace MlNetMlp.Tests.Scoring;

public class DenseProgramTests
{
    private static readonly VectorPath[] Paths = Enum.GetValues<VectorPath>();

    public static TheoryData<int, int> Sizes
    {
        get
        {
            var sizes = new TheoryData<int, int>();
            foreach (int inputs in new[] { 1, 2, 7, 15, 16, 17, 28, 33, 64, 100 })
            {
                foreach (int outputs in new[] { 1, 2, 5, 10, 15, 16, 17, 31, 32, 33, 48, 63, 64, 65, 80, 112, 128, 129, 200 })
                    sizes.Add(inputs, outputs);
            }

            return sizes;
        }
    }

    [Theory]
    [MemberData(nameof(Sizes))]
    public void A_layer_agrees_with_doubles_and_with_itself_for_every_row_count(int inputs, int outputs)
    {
        var network = new ReferenceProgram(inputs, seed: inputs + (1000 * outputs));
        CheckEverything(network, network.Dense(network.Input, outputs), rows: 21, scale: inputs);
    }

    [Theory]
    [InlineData(Activation.Relu, 28, 64, 64, 1)]
    [InlineData(Activation.Relu, 128, 256, 256, 1)]
    [InlineData(Activation.Relu, 784, 256, 10)]
    [InlineData(Activation.Gelu, 5, 33, 7)]
    [InlineData(Activation.Silu, 17, 48, 16)]
    [InlineData(Activation.Tanh, 3, 20, 20, 20, 2)]
    [InlineData(Activation.Sigmoid, 40, 1, 1)]
    [InlineData(Activation.SmoothClip, 9, 100, 3)]
    public void A_stack_of_layers_agrees(Activation activation, params int[] widths)
    {
        var network = new ReferenceProgram(widths[0], seed: 3);
        Register h = network.Input;
        foreach (int width in widths.Skip(1))
            h = network.Dense(h, width, activation, hasBias: width != 33);
        CheckEverything(network, h, rows: 73, scale: widths.Max());
    }

    [Theory]
    [InlineData(28, 64)]
    [InlineData(13, 37)]
    [InlineData(32, 16)]
    public void A_residual_network_with_layer_norms_agrees(int inputs, int width)
    {
        var network = new ReferenceProgram(inputs, seed: 4);
        Register h = network.Dense(network.Affine(network.Input), width);
        for (int block = 0; block < 2; block++)
            network.AddDense(h, network.Dense(network.LayerNorm(h), 2 * width, Activation.Gelu));
        CheckEverything(network, network.Dense(network.LayerNorm(h), 1), rows: 70, scale: 4 * width);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(16)]
    [InlineData(21)]
    [InlineData(70)]
    public void Residuals_reach_the_input_narrow_registers_and_the_register_itself(int width)
    {
        var network = new ReferenceProgram(width, seed: 5);
        Register h = network.Dense(network.Input, width, Activation.Relu);
        network.AddDense(network.Input, h);
        network.AddDense(h, h);
        network.AddDense(h, network.Input, Activation.Silu);
        network.Add(h, network.Input);
        network.Add(h, h);
        CheckEverything(network, h, rows: 9, scale: 8 * width);
        CheckEverything(network, network.Input, rows: 9, scale: 8 * width);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(5)]
    [InlineData(16)]
    [InlineData(50)]
    public void Steps_that_read_whole_lines_take_the_callers_rows_of_any_width(int width)
    {
        foreach (Func<ReferenceProgram, Register> write in new Func<ReferenceProgram, Register>[]
        {
            n => n.Input, n => n.Affine(n.Input), n => n.LayerNorm(n.Input, 0.1f), n => n.Elementwise(n.Input, Activation.Tanh),
        })
        {
            var network = new ReferenceProgram(width, seed: 6);
            CheckEverything(network, write(network), rows: 67, scale: width);
        }
    }

    [Fact]
    public void Random_programs_agree()
    {
        for (int seed = 0; seed < 300; seed++)
        {
            var random = new Random(seed);
            var network = new ReferenceProgram(random.Next(1, 40), seed);
            List<Register> registers = [network.Input];
            Register Any() => registers[random.Next(registers.Count)];
            Activation AnyActivation() => (Activation)random.Next(7);
            for (int step = random.Next(1, 12); step > 0; step--)
            {
                Register from = Any();
                switch (random.Next(7))
                {
                    case 0: registers.Add(network.Elementwise(from, AnyActivation())); break;
                    case 1: registers.Add(network.Affine(from)); break;
                    case 2: registers.Add(network.LayerNorm(from, 0.5f)); break;
                    case 3: network.AddDense(Any(), from, AnyActivation()); break;
                    case 4: network.Add(from, registers.Last(r => r.Handle.Width == from.Handle.Width)); break;
                    default: registers.Add(network.Dense(from, random.Next(1, 90), AnyActivation())); break;
                }
            }

            CheckEverything(network, Any(), rows: random.Next(1, 80), scale: 2000);
        }
    }

    [Fact]
    public void A_wide_program_runs_in_smaller_blocks()
    {
        var network = new ReferenceProgram(11, seed: 7);
        CheckEverything(network, network.Dense(network.Dense(network.Input, 9000, Activation.Relu), 4), rows: 37, scale: 9000);
    }

    [Fact]
    public void Infinite_inputs_do_not_leak_from_padding()
    {
        var builder = new DenseProgramBuilder(2);
        float[] weights = [.. Enumerable.Repeat(-1f, 2 * 20)];
        DenseRegister bounded = builder.Dense(builder.Input, weights, default, 20, Activation.Sigmoid);
        DenseRegister clipped = builder.Dense(builder.Input, weights, default, 20, Activation.Relu);
        builder.Add(bounded, clipped);
        DenseRegister output = builder.Dense(bounded, [.. Enumerable.Repeat(1f, 20)], [2f], 1);
        float[] rows = [float.PositiveInfinity, 1, 5, float.PositiveInfinity];
        foreach (VectorPath path in Paths)
            Assert.Equal([2f, 2f], builder.Build(output, path).ScoreAll(rows), (a, b) => Math.Abs(a - b) < 1e-5f);
    }

    [Fact]
    public void A_nan_marks_its_own_row_only()
    {
        var network = new ReferenceProgram(28, seed: 8);
        Register h = network.Dense(network.Input, 64, Activation.Relu);
        Register output = network.Dense(network.LayerNorm(network.Dense(h, 30, Activation.Gelu)), 1);
        foreach (VectorPath path in Paths)
        {
            DenseProgram program = network.Builder.Build(output.Handle, path);
            float[] rows = network.Values(10 * 28, 1);
            rows[(3 * 28) + 27] = float.NaN;
            Assert.All(program.ScoreAll(rows), (score, row) => Assert.Equal(row == 3, float.IsNaN(score)));
        }
    }

    [Fact]
    public void Scores_land_between_untouched_neighbours()
    {
        var network = new ReferenceProgram(6, seed: 9);
        DenseProgram program = network.Builder.Build(network.Dense(network.Input, 19).Handle);
        float[] scores = new float[(5 * 19) + 32];
        Array.Fill(scores, 77f);
        program.Score(network.Values(5 * 6, 1), scores.AsSpan(16, 5 * 19));
        Assert.All(scores[..16].Concat(scores[^16..]), value => Assert.Equal(77f, value));
        Assert.DoesNotContain(77f, scores[16..^16]);
    }

    private static void CheckEverything(ReferenceProgram network, Register output, int rows, int scale)
    {
        float[] x = network.Values(rows * network.Input.Handle.Width, 1);
        float[] y = network.Builder.Build(output.Handle, VectorPath.Lanes512).ScoreAll(x);
        double[] expected = network.Score(x, output);
        double size = expected.Max(Math.Abs);
        for (int i = 0; i < y.Length; i++)
        {
            double error = Math.Abs(expected[i] - y[i]);
            Assert.True(error <= 1e-5 * Math.Sqrt(scale) * Math.Max(1, size), $"score {i}: expected {expected[i]}, found {y[i]}");
        }

        foreach (VectorPath path in Paths)
            CheckSplits(network.Builder.Build(output.Handle, path), x, y);
    }

    private static void CheckSplits(DenseProgram program, float[] x, float[] expected)
    {
        int rows = x.Length / program.Inputs;
        Bits.Equal(expected, program.ScoreAll(x));
        foreach (int size in new[] { 1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 64, 65 })
        {
            for (int row = 0; row < rows; row += size)
            {
                int count = Math.Min(size, rows - row);
                float[] part = program.ScoreAll(x.AsSpan(row * program.Inputs, count * program.Inputs));
                Bits.Equal(expected.AsSpan(row * program.Outputs, count * program.Outputs), part);
            }
        }
    }
}
