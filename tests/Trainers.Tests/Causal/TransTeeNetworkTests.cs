using MlNetMlp.Causal;
using MlNetMlp.Data;
using MlNetMlp.Networks;
using MlNetMlp.Runtime;
using MlNetMlp.Tests.Support;
using static TorchSharp.torch;

namespace MlNetMlp.Tests.Causal;

/// <summary>What the network of <see cref="TransTee"/> promises of its tokens and queries.</summary>
public sealed class TransTeeNetworkTests
{
    private const int Rows = 5;
    private const int Covariates = 4;
    private static readonly long[] Order = [2, 0, 3, 1];

    [Fact]
    public void Shared_tokens_cannot_tell_which_covariate_a_value_is_of_and_tokens_of_their_own_can()
    {
        using var scope = NewDisposeScope();
        var x = TestData.Normal(1, Rows, Covariates + 1);
        var shuffled = Shuffled(x);
        using var shared = Build(Definition() with { IsShared = true });
        Assert.Equal(Values(shared.call(x)), Values(shared.call(shuffled)), Close);
        using var tokenized = Build(Definition());
        Assert.True(Values(tokenized.call(x)).Zip(Values(tokenized.call(shuffled)), (a, b) => Math.Abs(a - b)).Max() > 1e-3);

        // With their tokens in the new order too, nothing has changed.
        using var moved = Build(Definition());
        using (no_grad())
        {
            moved.TokenWeights.copy_(tokenized.TokenWeights.index_select(0, tensor(Order)));
            moved.TokenBiases.copy_(tokenized.TokenBiases.index_select(0, tensor(Order)));
        }

        Assert.Equal(Values(tokenized.call(x)), Values(moved.call(shuffled)), Close);
    }

    [Fact]
    public void A_grid_of_doses_gives_what_each_dose_gives_alone()
    {
        using var scope = NewDisposeScope();
        var definition = Definition();
        using var network = Build(definition);
        var x = TestData.Normal(2, Rows, Covariates + 1);
        var all = Values(network.call(x));
        network.IsFactual = true;
        for (var dose = -1; dose < definition.Treatments.Count; dose++)
        {
            using var row = x.clone();
            if (dose >= 0)
                row.narrow(1, Covariates, 1).copy_(tensor(definition.Treatments.Doses[dose]));
            var alone = Values(network.call(row));
            for (var i = 0; i < Rows; i++)
                Assert.Equal(alone[i], all[(i * definition.Outputs) + dose + 1], 1e-6f);
        }
    }

    [Fact]
    public void A_covariate_that_is_missing_has_no_weight_and_its_token_no_gradient()
    {
        using var scope = NewDisposeScope();
        using var network = Build(Definition() with { AcceptsMissing = true, Layers = 2 });
        using var strict = Build(Definition() with { Layers = 2 });
        var x = TestData.Normal(1, Rows, Covariates + 1);
        Assert.Equal(Values(strict.call(x)), Values(network.call(x)), Close);

        x.narrow(1, 2, 1).fill_(float.NaN);
        x[0, 2] = float.NegativeInfinity;
        var outputs = network.call(x);
        outputs.mul(TestData.Normal(2, outputs.shape)).sum().backward();
        foreach (var grad in new[] { network.TokenWeights.grad!, network.TokenBiases.grad! })
        {
            Assert.True(grad.isfinite().all().item<bool>());
            Assert.All(Enumerable.Range(0, Covariates), token => Assert.Equal(token == 2, grad[token].abs().max().item<float>() == 0));
        }

        using (no_grad())
            network.TokenWeights[2].fill_(7);
        Assert.Equal(Values(outputs), Values(network.call(x)));

        // One row's missing covariate is nothing to another's.
        var some = TestData.Normal(3, Rows, Covariates + 1);
        some[1, 0] = float.NaN;
        Assert.Equal(Values(network.call(some.narrow(0, 1, 1))), Values(network.call(some).narrow(0, 1, 1)), Close);
    }

    [Fact]
    public void A_fine_grid_is_decoded_in_parts_that_change_nothing()
    {
        using var scope = NewDisposeScope();
        using var noGradient = no_grad();
        const int doses = 30_000;
        var definition = Definition() with { Outputs = doses + 1, Treatments = new Treatments { Doses = [.. Enumerable.Range(0, doses).Select(i => i / (float)doses)] } };
        using var network = Build(definition);
        var x = TestData.Normal(5, Rows, Covariates + 1);
        var all = Values(network.call(x));

        // Parts end at each multiple of 65536 / 5 outcomes of a row, of which the first is that of its own dose.
        foreach (var dose in new[] { 0, 13_105, 13_106, 13_107, 26_212, 26_213, 26_214, doses - 1 })
        {
            var alone = Values(network.OutcomesUnder(x, full(Rows, 1, definition.Treatments.Doses[dose])));
            for (var i = 0; i < Rows; i++)
                Assert.Equal(alone[i], all[(i * definition.Outputs) + dose + 1], 1e-6f);
        }

        Assert.True(Math.Abs(all[1] - all[doses]) > 1e-3);
    }

    [Fact]
    public void Arms_of_a_key_are_found_and_missing_ones_are_told()
    {
        using var scope = NewDisposeScope();
        var definition = Arms();
        using var network = Build(definition);
        var x = TestData.Normal(3, Rows, Covariates + 1);
        x.narrow(1, Covariates, 1).copy_(tensor(new float[] { 1, 2, 3, 0, 4 }, [Rows, 1]));
        var all = Values(network.call(x));
        Assert.Equal([0f, 1, 2, -1, -1], Enumerable.Range(0, Rows).Select(i => all[i * definition.Outputs]));
        network.IsFactual = true;
        var own = Values(network.call(x));
        for (var i = 0; i < 3; i++)
            Assert.Equal(own[i], all[(i * definition.Outputs) + 1 + i], 1e-6f);
    }

    [Theory]
    [InlineData(TreatmentRegularizer.None, false)]
    [InlineData(TreatmentRegularizer.Treatment, false)]
    [InlineData(TreatmentRegularizer.ProbabilisticTreatment, false)]
    [InlineData(TreatmentRegularizer.Treatment, true)]
    public void Has_as_many_weights_as_its_definition_says(TreatmentRegularizer regularizer, bool areArms)
    {
        using var scope = NewDisposeScope();
        foreach (var isShared in new[] { false, true })
        {
            var definition = (areArms ? Arms() : Definition()) with { Regularizer = regularizer, IsShared = isShared, Layers = 2 };
            definition = definition with
            {
                Inputs = definition.Inputs + 3,
                Layout = definition.Layout! with { Columns = [.. definition.Layout.Columns, new RowColumn("Kind", 1, 5, false), new RowColumn("Tags", 2, 7, true)] },
            };
            Assert.Empty(definition.Validate(new(definition)));
            using var network = Build(definition);
            Assert.Equal(definition.WeightCount, network.state_dict().Values.Sum(tensor => tensor.numel()));
            var part = definition with { IsAttention = true, Outputs = Covariates + 2 };
            using var attention = Build(part);
            Assert.Equal(part.WeightCount, attention.state_dict().Values.Sum(tensor => tensor.numel()));
            Assert.Empty(attention.state_dict().Keys.Except(network.state_dict().Keys));
        }
    }

    [Theory]
    [InlineData(TreatmentRegularizer.Treatment, false)]
    [InlineData(TreatmentRegularizer.ProbabilisticTreatment, false)]
    [InlineData(TreatmentRegularizer.Treatment, true)]
    public void A_regulariser_pulls_its_own_network_one_way_and_the_tokens_the_other(TreatmentRegularizer regularizer, bool areArms)
    {
        using var scope = NewDisposeScope();
        using var network = Build((areArms ? Arms() : Definition()) with { Regularizer = regularizer });
        var x = TestData.Normal(4, Rows, Covariates + 1);

        // A treatment that π is right about, as the tokens are not pulled where it is wrong.
        var known = Enumerable.Range(areArms ? 1 : 0, 3).First(treatment =>
        {
            x.narrow(1, Covariates, 1).copy_(tensor((float)treatment));
            return network.TreatmentLoss(x).item<float>() < network.ConstantLoss();
        });
        Assert.InRange(known, 0, 3);
        network.RegularizerLoss(x, 0.7).backward();
        var (tokens, own) = (Values(network.TokenWeights.grad!), Values(network.get_parameter("discriminator1.weight")!.grad!));
        foreach (var parameter in network.parameters())
            parameter.grad?.zero_();
        network.TreatmentLoss(x).backward();
        Assert.Equal(Values(network.TokenWeights.grad!).Select(g => -0.7f * g), tokens, Close);
        Assert.Contains(tokens, g => Math.Abs(g) > 1e-6);

        // The numerical derivative of the loss by a weight of π: π goes down its loss.
        var weight = network.get_parameter("discriminator1.weight")!;
        var place = Array.FindIndex(own, g => Math.Abs(g) > 1e-4);
        Assert.True(place >= 0);
        const float step = 1e-2f;
        double Loss(float shift)
        {
            using var noGradient = no_grad();
            var flat = weight.view(-1);
            flat[place] = flat[place].add(tensor(shift));
            var value = network.TreatmentLoss(x).item<float>();
            flat[place] = flat[place].sub(tensor(shift));
            return value;
        }

        Assert.Equal((Loss(step) - Loss(-step)) / (2 * step), own[place], 1e-3);
    }

    private static bool Close(float a, float b) => Math.Abs(a - b) <= 1e-5f;

    private static float[] Values(Tensor tensor) => TensorMemory.ToFloats(tensor.contiguous());

    private static Tensor Shuffled(Tensor x) => cat([x.narrow(1, 0, Covariates).index_select(1, tensor(Order)), x.narrow(1, Covariates, 1)], 1);

    private static TransTeeNetwork Build(TransTeeDefinition definition)
    {
        using var random = new Generator(7);
        var network = (TransTeeNetwork)definition.Build(CPU);
        network.Initialize(random);
        network.eval();
        return network;
    }

    private static TransTeeDefinition Definition() => new()
    {
        Inputs = Covariates + 1,
        Outputs = 4,
        Layout = new RowLayout { FeatureWidth = Covariates, Columns = [new RowColumn("Dose", 1, 0, false)] },
        Treatments = new Treatments { Doses = [-1, 0.5f, 2] },
        EmbedDim = 8, Heads = 2, Layers = 1, FeedForwardDim = 10, IsShared = false, Dropout = 0.1, InitStdCovariate = 1, InitStdTreatment = 1, Regularizer = TreatmentRegularizer.None,
    };

    private static TransTeeDefinition Arms() => Definition() with
    {
        Layout = new RowLayout { FeatureWidth = Covariates, Columns = [new RowColumn("Arm", 1, 3, false)] },
        Treatments = new Treatments { Arms = ["a", "b", "c"], ArmRows = [2, 2, 1], AreKeys = true },
    };
}
