using MlNetMlp.Networks;
using MlNetMlp.Runtime;
using MlNetMlp.Training;
using TorchSharp;
using static TorchSharp.torch;

namespace MlNetMlp.Tests.Training;

/// <summary>Adam that touches the rows of a batch only.</summary>
public sealed class RowAdamTests
{
    private const int Rows = 12;
    private const int Width = 5;
    private const double Rate = 0.01;

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void With_all_rows_in_each_batch_it_is_Adam(bool isManaged)
    {
        using var scope = NewDisposeScope();
        using var table = Create(3);
        using var dense = nn.Sequential(("only", new Matrix(table.Weight.clone())));
        using var optimizer = new RowAdam(table, isManaged);
        using var flat = new FlatParameters(dense);
        using var adam = new Adam(flat);
        long[] all = [.. Enumerable.Range(0, Rows).Select(i => (long)i).Reverse(), 3, 3, 7];
        for (ulong step = 0; step < 15; step++)
        {
            var weights = Networks.Normal(100 + step, ScalarType.Float32, all.Length, Width);
            table.call(tensor(all)).mul(weights).sum().backward();
            optimizer.Collect();
            flat.ZeroGradient();
            using (var matrix = ((Matrix)dense[0]).Lookup(tensor(all)))
                matrix.mul(weights).sum().backward();
            Assert.Equal(Math.Pow(flat.GradientNorm(), 2), optimizer.SquaredNorm(), 1e-3);
            adam.Step(Rate);
            optimizer.Step(Rate);
        }

        Assert.True(Networks.MaxDifference(table.Weight, ((Matrix)dense[0]).Values) < 1e-6);
        Assert.Equal(15, optimizer.StepCount);
    }

    [Fact]
    public void Rows_that_are_not_looked_up_stay_as_they_are_and_others_follow_a_scalar_reference()
    {
        using var scope = NewDisposeScope();
        foreach (var isManaged in (bool[])[true, false])
        {
            using var table = Create(4, zeroRows: [0, 6]);
            using var optimizer = new RowAdam(table, isManaged);
            var values = TensorMemory.ToFloats(table.Weight);
            var before = (float[])values.Clone();
            var (m, v) = (new double[values.Length], new double[values.Length]);
            long[][] batches = [[1, 2, 2, 6], [5, 1, 0], [9], [1, 9, 9, 9]];
            for (var t = 1; t <= batches.Length; t++)
            {
                var weights = Networks.Normal((ulong)(200 + t), ScalarType.Float32, batches[t - 1].Length, Width);
                table.call(tensor(batches[t - 1])).mul(weights).sum().backward();
                optimizer.Collect();
                optimizer.AddPenalty(0.1);
                optimizer.Scale(0.5);
                var numbers = TensorMemory.ToFloats(weights);
                foreach (var row in batches[t - 1].Distinct().Where(row => row is not 0 and not 6))
                {
                    for (var j = 0; j < Width; j++)
                    {
                        var i = (row * Width) + j;
                        var gradient = 0.1 * values[i];
                        for (var k = 0; k < batches[t - 1].Length; k++)
                            gradient += batches[t - 1][k] == row ? numbers[(k * Width) + j] : 0;
                        gradient *= 0.5;
                        m[i] = (0.9 * m[i]) + (0.1 * gradient);
                        v[i] = (0.999 * v[i]) + (0.001 * gradient * gradient);
                        values[i] -= (float)(Rate / (1 - Math.Pow(0.9, t)) * m[i] / (Math.Sqrt(v[i] / (1 - Math.Pow(0.999, t))) + 1e-8));
                    }
                }

                optimizer.Step(Rate);
            }

            var after = TensorMemory.ToFloats(table.Weight);
            Assert.Equal(values, after, (x, y) => Math.Abs(x - y) < 1e-6);
            foreach (var row in (int[])[3, 4, 7, 8, 10, 11])
                Assert.Equal(before[(row * Width)..((row + 1) * Width)], after[(row * Width)..((row + 1) * Width)]);
            Assert.All(after[..Width].Concat(after[(6 * Width)..(7 * Width)]), value => Assert.Equal(0, value));
        }
    }

    [Fact]
    public void A_table_records_only_in_training_and_only_for_an_optimiser()
    {
        using var scope = NewDisposeScope();
        using var table = Create(5);
        using var index = tensor((long[])[1, 2]);
        Assert.False(table.call(index).requires_grad);
        using (new RowAdam(table))
        {
            Assert.True(table.call(index).requires_grad);
            table.eval();
            Assert.False(table.call(index).requires_grad);
            table.train();
        }

        Assert.False(table.call(index).requires_grad);
        Assert.Equal(nameof(RowTable.Weight).ToLowerInvariant(), Assert.Single(table.state_dict().Keys));
    }

    private static RowTable Create(ulong seed, long[]? zeroRows = null)
    {
        var table = new RowTable(Rows, Width, CPU, zeroRows);
        using var random = new Generator(seed);
        table.Initialize(random, 1);
        return table;
    }

    private sealed class Matrix : nn.Module<Tensor, Tensor>
    {
        private readonly TorchSharp.Modules.Parameter values;

        public Matrix(Tensor values)
            : base(nameof(Matrix))
        {
            this.values = new(values);
            RegisterComponents();
        }

        public Tensor Values => values;

        public Tensor Lookup(Tensor index) => values.index_select(0, index);

        public override Tensor forward(Tensor input) => Lookup(input);
    }
}
