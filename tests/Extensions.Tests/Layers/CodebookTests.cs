using MlNetMlp.Layers;
using MlNetMlp.Persistence;
using MlNetMlp.Runtime;
using MlNetMlp.Solvers;
using MlNetMlp.Training;
using static TorchSharp.torch;

namespace MlNetMlp.Tests.Layers;

/// <summary><see cref="Codebook"/>: what it puts out, what it depends on, its gradients, and what may be done to its codes.</summary>
public sealed class CodebookTests
{
    private const int Rows = 7;
    private const int Width = 6;
    private const int Codes = 9;

    public static TheoryData<RowSimilarity, int, int> Shapes => new()
    {
        { RowSimilarity.InnerProduct, 1, 1 }, { RowSimilarity.InnerProduct, 3, 1 }, { RowSimilarity.InnerProduct, 2, 3 }, { RowSimilarity.Euclidean, 1, 1 }, { RowSimilarity.Euclidean, 4, 2 },
    };

    [Fact]
    public void What_a_codebook_remembers_of_its_use_can_be_handed_on_and_nothing_else_is_taken()
    {
        using var scope = NewDisposeScope();
        using var random = new Generator(1);
        using var first = Make(new(Width, Codes, 2, 3, RowSimilarity.Euclidean), random);
        using var second = Make(new(Width, Codes, 2, 3, RowSimilarity.Euclidean), random);
        first.train();
        first.ReplaceDeadAfterSteps = second.ReplaceDeadAfterSteps = 2;
        Assert.Empty(first.ReadTrainingState());
        first.call(randn(Rows, Width, ScalarType.Float64, generator: random));
        Assert.Null(first.Replace(random));

        var state = first.ReadTrainingState();
        second.WriteTrainingState(state);

        Assert.Equal(state.Select(tensor => tensor.ToString()), second.ReadTrainingState().Select(tensor => tensor.ToString()));
        var (one, other) = (first.Replace(random), second.Replace(random));
        Assert.Equal(one!.Value.Replaced.data<bool>().ToArray(), other!.Value.Replaced.data<bool>().ToArray());
        foreach (var bad in new WeightSet[]
        {
            [.. state.Where(tensor => tensor.Name != "steps")],
            [.. state.Where(tensor => tensor.Name != "last")],
            [.. state.Select(tensor => tensor.Name == "steps" ? NamedTensor.Of("steps", [-1L]) : tensor)],
            [.. state.Select(tensor => tensor.Name == "counts" ? NamedTensor.Of("counts", new double[5], 5) : tensor)],
            [.. state.Select(tensor => tensor.Name == "last" ? NamedTensor.Of("last", new double[6], 1, 2, 3) : tensor)],
            [.. state.Select(tensor => tensor.Name == "last" ? NamedTensor.Of("last", Array.Empty<double>(), 0, 3, 2) : tensor)],
        })
        {
            Assert.Throws<ModelFormatException>(() => second.WriteTrainingState(bad));
        }
    }

    [Theory]
    [MemberData(nameof(Shapes))]
    public void Puts_out_the_mean_of_the_most_similar_codes(RowSimilarity similarity, int k, int groups)
    {
        using var scope = NewDisposeScope();
        using var random = new Generator(1);
        using var codebook = Make(new(Width, Codes, k, groups, similarity), random);
        var a = randn(Rows, Width, ScalarType.Float64, generator: random);
        var part = Width / groups;
        var output = codebook.call(a);
        var ids = codebook.Select(codebook.Normalize(a));
        for (var row = 0; row < Rows; row++)
        {
            for (var group = 0; group < groups; group++)
            {
                // The normalisation and the similarities, written out.
                double[] x = [.. Enumerable.Range(0, part).Select(i => a[row, (group * part) + i].item<double>())];
                var (mean, variance) = (x.Average(), x.Sum(v => Math.Pow(v - x.Average(), 2)) / part);
                double[] own =
                [
                    .. x.Select((v, i) => ((v - mean) / Math.Sqrt(variance + Codebook.Epsilon) * codebook.Gain![(group * part) + i].item<double>()) + codebook.Offset![(group * part) + i].item<double>()),
                ];
                double[][] codes = [.. Enumerable.Range(0, Codes).Select(j => Enumerable.Range(0, part).Select(i => codebook.Codes[group, j, i].item<double>()).ToArray())];
                double Alike(double[] code) => similarity == RowSimilarity.InnerProduct
                    ? code.Zip(own, (c, v) => c * v).Sum() / Math.Sqrt(code.Sum(c => c * c))
                    : -Math.Sqrt(code.Zip(own, (c, v) => (c - v) * (c - v)).Sum());
                int[] expected = [.. Enumerable.Range(0, Codes).OrderByDescending(j => Alike(codes[j])).Take(k)];
                Assert.Equal(expected, Enumerable.Range(0, k).Select(place => (int)ids[row, group, place].item<long>()));

                // Original codes, not normalised ones, and divided by K.
                var sum = codebook.Codes[group].index_select(0, ids[row, group]).mean([0]);
                Assert.True(sum.Equals(output.narrow(1, group * part, part)[row]));
                var alike = codebook.Similarities(codebook.Normalize(a), ids);
                for (var place = 0; place < k; place++)
                    Assert.Equal(Alike(codes[expected[place]]), alike[row, group, place].item<double>(), 1e-10);
            }
        }
    }

    [Theory]
    [MemberData(nameof(Shapes))]
    public void Depends_on_the_activation_through_its_codes_alone(RowSimilarity similarity, int k, int groups)
    {
        using var scope = NewDisposeScope();
        using var random = new Generator(2);
        using var codebook = Make(new(Width, Codes, k, groups, similarity), random);
        var a = randn(200, Width, ScalarType.Float64, generator: random);
        var ids = codebook.Select(codebook.Normalize(a));
        var output = codebook.call(a);
        var of = new Dictionary<string, Tensor>();
        var shared = 0;
        for (var row = 0; row < 200; row++)
        {
            var key = string.Join(",", ids[row].flatten().data<long>().ToArray());
            if (!of.TryAdd(key, output[row]))
            {
                shared++;
                Assert.True(of[key].Equals(output[row]));
            }
        }

        Assert.True(shared > 0 || k > 1 || groups > 1);

        // A small step in the activation leaves the codes and hence the output as they are.
        Assert.True(codebook.call(a.Plus(1e-9)).Equals(output));
    }

    [Theory]
    [InlineData(CodebookLoss.Task, RowSimilarity.InnerProduct, 3, 1)]
    [InlineData(CodebookLoss.AutoEncode, RowSimilarity.InnerProduct, 2, 2)]
    [InlineData(CodebookLoss.AutoEncode, RowSimilarity.Euclidean, 1, 1)]
    [InlineData(CodebookLoss.FullAutoEncode, RowSimilarity.Euclidean, 3, 3)]
    [InlineData(CodebookLoss.VqVae, RowSimilarity.InnerProduct, 2, 1)]
    public void Gradients_are_those_of_the_surrogate_with_the_codes_held(CodebookLoss loss, RowSimilarity similarity, int k, int groups)
    {
        const double beta = 0.4, step = 1e-5;
        using var scope = NewDisposeScope();
        using var random = new Generator(3);
        using var codebook = Make(new(Width, Codes, k, groups, similarity), random);
        var a = randn(Rows, Width, ScalarType.Float64, generator: random).requires_grad_();
        var weights = rand(Rows, ScalarType.Float64, generator: random);
        var direction = randn(Rows, Width, ScalarType.Float64, generator: random);
        var (output, extra) = codebook.Snap(a, loss, beta, weights);
        var total = output.mul(direction).sum();
        (extra is null ? total : total.Plus(extra)).backward();

        // Where S, and what the gradient is stopped at, are constants.
        var fixedIds = codebook.Select(codebook.Normalize(a));
        var fixedO = codebook.Combine(fixedIds).detach().clone();
        var fixedA = codebook.Normalize(a).view(Rows, Width).detach().clone();
        double Mean(Tensor difference) => difference.mul(difference).mul(weights.unsqueeze(1)).sum().item<double>() / Rows;
        double Surrogate()
        {
            using var noGradient = no_grad();
            using var inner = NewDisposeScope();
            var (o, x) = (codebook.Combine(fixedIds), codebook.Normalize(a).view(Rows, Width));
            var passed = (loss == CodebookLoss.VqVae ? fixedO : o).Plus(x).sub(fixedA);
            return passed.mul(direction).sum().item<double>()
                + (loss == CodebookLoss.Task ? 0 : Mean(o.sub(fixedA)))
                + (loss is CodebookLoss.FullAutoEncode or CodebookLoss.VqVae ? beta * Mean(x.sub(fixedO)) : 0);
        }

        foreach (var values in new[] { codebook.Codes, codebook.Gain!, codebook.Offset!, a })
        {
            var (flat, gradient) = (values.detach().view(-1), values.grad?.view(-1) ?? zeros(values.numel(), ScalarType.Float64));
            for (long i = 0; i < flat.shape[0]; i++)
            {
                var at = flat[i].item<double>();
                flat[i] = at + step;
                var above = Surrogate();
                flat[i] = at - step;
                var below = Surrogate();
                flat[i] = at;
                var expected = (above - below) / (2 * step);
                Assert.True(Math.Abs(expected - gradient[i].item<double>()) < 1e-5 * Math.Max(1, Math.Abs(expected)), $"{expected} against {gradient[i].item<double>()}");
            }
        }
    }

    [Fact]
    public void The_gradient_of_the_task_goes_to_the_normalised_activation_as_it_is()
    {
        using var scope = NewDisposeScope();
        using var random = new Generator(4);
        using var codebook = Make(new(Width, Codes, 2, 2, RowSimilarity.InnerProduct, IsNormalized: false), random);
        var a = randn(Rows, Width, ScalarType.Float64, generator: random).requires_grad_();
        var direction = randn(Rows, Width, ScalarType.Float64, generator: random);
        codebook.call(a).mul(direction).sum().backward();
        Assert.True(a.grad!.Equals(direction));
    }

    [Fact]
    public void Codes_that_are_the_normalised_activations_pass_them_on()
    {
        using var scope = NewDisposeScope();
        using var random = new Generator(5);
        using var codebook = new Codebook(new(Width, Rows, 1, 1, RowSimilarity.Euclidean), CPU, type: ScalarType.Float64);
        codebook.Initialize(random);
        var a = randn(Rows, Width, ScalarType.Float64, generator: random);
        using (no_grad())
            codebook.Codes.copy_(codebook.Normalize(a).transpose(0, 1));
        Assert.True(codebook.call(a).Equals(codebook.Normalize(a).view(Rows, Width)));
    }

    [Fact]
    public void One_euclidean_code_is_the_nearest_centroid()
    {
        using var scope = NewDisposeScope();
        using var random = new Generator(6);
        var rows = randn(300, Width, ScalarType.Float64, generator: random);
        using var codebook = new Codebook(new(Width, Codes, 1, 1, RowSimilarity.Euclidean, IsNormalized: false), CPU, type: ScalarType.Float64);
        codebook.Initialize(random);
        codebook.InitializeByKMeans(rows, new(), random);
        var centroids = codebook.Codes[0];
        var nearest = cdist(rows, centroids.detach()).argmin(1);
        Assert.True(nearest.Equals(codebook.Select(codebook.Normalize(rows)).flatten()));

        // Lloyd's fixed point: each centroid is the mean of its rows, to what the tolerance of k-means leaves.
        var error = rows.sub(centroids.index_select(0, nearest)).pow(2).sum().item<double>();
        var means = stack([.. Enumerable.Range(0, Codes).Select(j => rows.index_select(0, nearest.eq(j).nonzero().flatten()).mean([0]))]);
        var best = rows.sub(means.index_select(0, nearest)).pow(2).sum().item<double>();
        Assert.InRange(error / best, 1 - 1e-12, 1 + 1e-3);
    }

    [Fact]
    public void Groups_are_independent_layers_side_by_side()
    {
        const int groups = 3, part = Width / groups;
        using var scope = NewDisposeScope();
        using var random = new Generator(7);
        using var whole = Make(new(Width, Codes, 2, groups, RowSimilarity.InnerProduct), random);
        var a = randn(Rows, Width, ScalarType.Float64, generator: random).requires_grad_();
        var (output, extra) = whole.Snap(a, CodebookLoss.FullAutoEncode, 0.3);
        var direction = randn(Rows, Width, ScalarType.Float64, generator: random);
        output.mul(direction).sum().Plus(extra!).backward();
        var sum = 0.0;
        for (var group = 0; group < groups; group++)
        {
            using var one = new Codebook(new(part, Codes, 2, 1, RowSimilarity.InnerProduct), CPU, type: ScalarType.Float64);
            using (no_grad())
            {
                one.Codes.copy_(whole.Codes.narrow(0, group, 1));
                one.Gain!.copy_(whole.Gain!.narrow(0, group * part, part));
                one.Offset!.copy_(whole.Offset!.narrow(0, group * part, part));
            }

            var slice = a.detach().narrow(1, group * part, part).clone().requires_grad_();
            var (own, loss) = one.Snap(slice, CodebookLoss.FullAutoEncode, 0.3);
            own.mul(direction.narrow(1, group * part, part)).sum().Plus(loss!).backward();
            sum += loss!.item<double>();
            Assert.True(own.allclose(output.narrow(1, group * part, part), 1e-12, 1e-12));
            Assert.True(slice.grad!.allclose(a.grad!.narrow(1, group * part, part), 1e-10, 1e-10));
            Assert.True(one.Codes.grad!.allclose(whole.Codes.grad!.narrow(0, group, 1), 1e-10, 1e-10));
        }

        Assert.Equal(sum, extra!.item<double>(), 1e-10);
    }

    [Theory]
    [InlineData(RowSimilarity.InnerProduct)]
    [InlineData(RowSimilarity.Euclidean)]
    public void Disabled_codes_are_never_taken_and_forced_ones_always(RowSimilarity similarity)
    {
        const int k = 3;
        using var scope = NewDisposeScope();
        using var random = new Generator(8);
        var shape = new CodebookShape(Width, Codes, k, 2, similarity);
        using var plain = Make(shape, random);
        var a = randn(500, Width, ScalarType.Float64, generator: random);
        var ids = plain.Select(plain.Normalize(a));
        using var edited = new Codebook(
            shape, CPU, [new() { Group = 0, Force = [4], Disable = [0, 2] }, new() { Group = 1, Force = [5, 1], Disable = [], KeepK = false }], ScalarType.Float64);
        edited.load_state_dict(plain.state_dict());
        var changed = edited.Select(edited.Normalize(a));
        var output = edited.call(a);
        for (var row = 0; row < 500; row++)
        {
            // Of the codes that are left, the most similar ones fill the list up.
            long[] first = [.. changed[row, 0].data<long>().ToArray()];
            long[] rank = plain.Similarities(plain.Normalize(a[row].unsqueeze(0)), arange(0L, Codes).view(1, 1, Codes).expand(1, 2, Codes))[0, 0].argsort(0, descending: true).data<long>().ToArray();
            Assert.Equal([4, .. rank.Where(id => id is not (0 or 2 or 4)).Take(k - 1)], first);
            Assert.Equal([5, 1, -1], changed[row, 1].data<long>().ToArray());
        }

        Assert.Contains(ids.select(1, 0).flatten().data<long>().ToArray(), id => id is 0 or 2);
        var forced = edited.Codes[1].index_select(0, tensor(new long[] { 5, 1 })).mean([0]);
        Assert.True(output.narrow(1, Width / 2, Width / 2).allclose(forced.unsqueeze(0).expand(500, -1), 1e-14, 1e-14));
    }

    [Theory]
    [InlineData(RowSimilarity.InnerProduct)]
    [InlineData(RowSimilarity.Euclidean)]
    public void What_is_done_at_positions_leaves_the_others_alone_and_the_last_edit_counts(RowSimilarity similarity)
    {
        const int length = 5;
        using var scope = NewDisposeScope();
        using var random = new Generator(10);
        var shape = new CodebookShape(Width, Codes, 2, 2, similarity);
        using var plain = Make(shape, random);
        var a = randn(40 * length, Width, ScalarType.Float64, generator: random);
        CodeEdit none = new() { Group = 1, Force = [], Disable = [0, 1, 2] }, first = new() { Group = 1, Force = [4, 3], Disable = [], Positions = [0, 2] };
        Tensor Ids(params CodeEdit[] edits)
        {
            using var codebook = new Codebook(shape, CPU, edits, ScalarType.Float64, length);
            codebook.load_state_dict(plain.state_dict());
            return codebook.Select(codebook.Normalize(a));
        }

        Tensor before = plain.Select(plain.Normalize(a)), everywhere = Ids(none);
        Tensor both = Ids(none, first), alone = Ids(first), over = Ids(first, none);
        Tensor dropped = Ids(first with { Force = [4], KeepK = false });
        Assert.True(over.Equals(everywhere));
        for (var row = 0; row < a.shape[0]; row++)
        {
            var isMeant = row % length is 0 or 2;
            long[] Of(Tensor ids, int group) => ids[row, group].data<long>().ToArray();
            Assert.Equal(isMeant ? [4, 3] : Of(before, 1), Of(alone, 1));
            Assert.Equal(isMeant ? [4, 3] : Of(everywhere, 1), Of(both, 1));
            Assert.Equal(isMeant ? [4, -1] : Of(before, 1), Of(dropped, 1));
            Assert.All(new[] { everywhere, both, alone, dropped }, ids => Assert.Equal(Of(before, 0), Of(ids, 0)));
        }

        // The mean is over the codes that are there.
        using var one = new Codebook(shape, CPU, [first with { Force = [4], KeepK = false }], ScalarType.Float64, length);
        one.load_state_dict(plain.state_dict());
        Tensor output = one.call(a), as_before = plain.call(a);
        var code = plain.Codes[1, 4];
        for (var row = 0; row < a.shape[0]; row++)
            Assert.True(output[row].narrow(0, Width / 2, Width / 2).allclose(row % length is 0 or 2 ? code : as_before[row].narrow(0, Width / 2, Width / 2), 1e-14, 1e-14));
    }

    [Fact]
    public void Rows_of_weight_0_use_no_code_and_none_begins_anew_from_them()
    {
        using var scope = NewDisposeScope();
        using var random = new Generator(11);
        using var codebook = new Codebook(new(Width, Codes, 1, 1, RowSimilarity.Euclidean, IsNormalized: false), CPU) { ReplaceDeadAfterSteps = 1, ReplaceNoise = 0 };
        codebook.Initialize(random);
        codebook.train();

        // Rows that stand on the codes: one for each, of which the first three count.
        var rows = codebook.Codes[0].detach().clone();
        codebook.Snap(rows, CodebookLoss.AutoEncode, 0, tensor([.. Enumerable.Range(0, Codes).Select(i => i < 3 ? 1f : 0)]));
        var (_, replaced) = codebook.Replace(random)!.Value;
        Assert.Equal(Enumerable.Range(0, Codes).Select(i => i >= 3), replaced.flatten().data<bool>().ToArray());
        Assert.True(cdist(codebook.Codes[0].detach(), rows.narrow(0, 0, 3)).amin([1]).max().item<float>() < 1e-5);
    }

    [Fact]
    public void Codes_without_rows_become_activations_and_the_optimiser_forgets_them()
    {
        using var scope = NewDisposeScope();
        using var random = new Generator(9);
        using var codebook = new Codebook(new(Width, Codes, 1, 1, RowSimilarity.Euclidean, IsNormalized: false), CPU);
        codebook.Initialize(random);
        codebook.ReplaceDeadAfterSteps = 2;
        using (no_grad())
        {
            using var far = codebook.Codes.narrow(1, 3, Codes - 3);
            far.Shift(100);
        }

        var rows = randn(50, Width, generator: random);
        codebook.train();
        using var parameters = new FlatParameters(codebook);
        using var adam = new Adam(parameters);
        for (var step = 1; step <= 2; step++)
        {
            parameters.ZeroGradient();
            codebook.Snap(rows, CodebookLoss.AutoEncode, 0).Loss!.Plus(codebook.Codes.sum()).backward();
            adam.Step(1e-3);
            var replaced = codebook.Replace(random);
            Assert.Equal(step == 2, replaced is not null);
            if (replaced is not var (parameter, elements))
                continue;
            Assert.Equal(Enumerable.Range(0, Codes).Select(j => j >= 3), elements.flatten().data<bool>().ToArray());
            adam.Forget(parameter, elements);
        }

        // Each new code is a row, but for the noise.
        var distances = cdist(codebook.Codes[0].detach().narrow(0, 3, Codes - 3), rows).amin([1]).div(rows.norm());
        Assert.True(distances.max().item<float>() < 1e-3);
        foreach (var state in adam.State)
        {
            var moments = TensorMemory.ToFloats(state);
            Assert.All(moments[..(3 * Width)], moment => Assert.NotEqual(0, moment));
            Assert.All(moments[(3 * Width)..], moment => Assert.Equal(0, moment));
        }
    }

    [Fact]
    public void Has_as_many_weights_as_it_says_and_refuses_shapes_that_are_none()
    {
        var shape = new CodebookShape(Width, Codes, 2, 3, RowSimilarity.InnerProduct);
        using var codebook = new Codebook(shape, CPU);
        Assert.Equal(shape.WeightCount, codebook.parameters().Sum(parameter => parameter.numel()));
        Assert.Empty(codebook.buffers());
        Assert.Throws<ArgumentOutOfRangeException>(() => new Codebook(shape with { Groups = 4 }, CPU));
        Assert.Throws<ArgumentOutOfRangeException>(() => new Codebook(shape with { K = Codes + 1 }, CPU));
    }

    private static Codebook Make(CodebookShape shape, Generator random)
    {
        var codebook = new Codebook(shape, CPU, type: ScalarType.Float64);
        codebook.Initialize(random);
        if (shape.IsNormalized)
        {
            using var noGradient = no_grad();
            codebook.Gain!.uniform_(0.5, 1.5, random);
            codebook.Offset!.normal_(0, 0.3, random);
        }

        return codebook;
    }
}
