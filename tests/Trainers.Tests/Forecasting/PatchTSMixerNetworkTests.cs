using MlNetMlp.Forecasting;
using MlNetMlp.Layers;
using MlNetMlp.Networks;
using MlNetMlp.Runtime;
using MlNetMlp.Tests.Support;
using static TorchSharp.torch;

namespace MlNetMlp.Tests.Forecasting;

/// <summary>What the paper's equations say of the network, whatever its weights.</summary>
public sealed class PatchTSMixerNetworkTests : IDisposable
{
    private readonly IDisposable _noGradient = no_grad();

    private const int Steps = 21;
    private const int Channels = 3;
    private const int Horizon = 5;

    public void Dispose() => _noGradient.Dispose();

    public static TheoryData<PatchTSMixerMode> Modes => [.. Enum.GetValues<PatchTSMixerMode>()];

    [Theory]
    [MemberData(nameof(Modes))]
    public void Forecasts_follow_scale_and_level_of_each_channel(PatchTSMixerMode mode)
    {
        using var network = Make(Define() with { Mode = mode });
        var x = TestData.Normal(1, 4, Steps * Channels);
        var (a, b) = (tensor(new float[] { 2, 0.5f, 10 }), tensor(new float[] { -3, 100, 7 }));
        var expected = network.call(x).view(4, Horizon, Channels).mul(a).add(b);

        var moved = network.call(x.view(4, Steps, Channels).mul(a).add(b).view(4, -1)).view(4, Horizon, Channels);

        // The floor of 1e-5 under the root is the only thing that does not scale.
        Assert.True(moved.sub(expected).abs().div(a).max().item<float>() < 1e-3);
        Assert.True(expected.std().item<float>() > 0.1);
    }

    [Fact]
    public void A_channel_that_does_not_change_is_forecast_as_it_is()
    {
        using var network = Make(Define());
        var x = ones(2, Steps * Channels).mul(5);

        var forecast = network.call(x);

        Assert.True(forecast.isfinite().all().item<bool>());
        Assert.True(forecast.sub(5).abs().max().item<float>() < 20 * Math.Sqrt(1e-5));
        Assert.True(forecast.sub(5).abs().max().item<float>() > 0);
    }

    [Theory]
    [InlineData(PatchTSMixerMode.CommonChannel, true)]
    [InlineData(PatchTSMixerMode.MixChannel, false)]
    [InlineData(PatchTSMixerMode.Flatten, false)]
    public void Channels_are_alone_and_alike_only_where_they_share_all_weights(PatchTSMixerMode mode, bool isAlone)
    {
        using var network = Make(Define() with { Mode = mode });
        var x = TestData.Normal(1, 4, Steps, Channels);
        var forecast = network.call(x.view(4, -1)).view(4, Horizon, Channels);
        var order = tensor(new long[] { 2, 0, 1 });

        var swapped = network.call(x.index_select(2, order).reshape(4, -1)).view(4, Horizon, Channels);
        var changed = x.clone();
        changed.select(2, 1).mul_(tensor(3f)).add_(TestData.Normal(2, 4, Steps));
        var other = network.call(changed.view(4, -1)).view(4, Horizon, Channels);

        Assert.Equal(isAlone, Gap(swapped, forecast.index_select(2, order)) < 1e-5);
        Assert.Equal(isAlone, Gap(other.select(2, 0), forecast.select(2, 0)) < 1e-6);
        Assert.True(Gap(other.select(2, 1), forecast.select(2, 1)) > 0.1);
    }

    [Fact]
    public void The_oldest_steps_that_no_patch_reaches_do_not_count()
    {
        // 21 steps, patches of 4 every 3: n = 6 reach back 19 steps.
        using var network = Make(Define() with { PatchLength = 4, PatchStride = 3, Scaling = InstanceScale.None });
        var x = TestData.Normal(1, 2, Steps, Channels);
        var forecast = network.call(x.view(2, -1));

        Assert.Equal(0, Gap(forecast, network.call(Changed(1).view(2, -1))));
        Assert.True(Gap(forecast, network.call(Changed(2).view(2, -1))) > 1e-3);

        Tensor Changed(int step)
        {
            var changed = x.clone();
            changed.select(1, step).zero_();
            return changed;
        }
    }

    [Fact]
    public void Without_the_last_layers_of_the_mixers_it_is_linear_in_the_patches()
    {
        var definition = Define() with { Scaling = InstanceScale.None };
        using var network = Make(definition);
        foreach (var mixer in network.Backbone.Mixers)
        {
            mixer.Contract.Weight.zero_();
            mixer.Contract.Bias.zero_();
        }

        using var scope = NewDisposeScope();
        var x = TestData.Normal(1, 2, Steps, Channels);
        var forecast = network.call(x.view(2, -1)).view(2, Horizon, Channels);

        for (var channel = 0; channel < Channels; channel++)
        {
            var patches = Enumerable.Range(0, 5).Select(i => x.select(2, channel).narrow(1, 1 + (4 * i), 4));
            var h = cat([.. patches.Select(patch => patch.matmul(network.Backbone.Embedding.Weight.t()).add(network.Backbone.Embedding.Bias))], 1);
            Assert.True(Gap(h.matmul(network.Head.Weight.t()).add(network.Head.Bias), forecast.select(2, channel)) < 1e-5);
        }
    }

    [Theory]
    [InlineData(0)]
    [InlineData(2)]
    public void Reconciliation_with_zeros_leaves_the_base_forecast_and_else_looks_only_so_far(int context)
    {
        var definition = Define() with { FcmContextLength = context, Scaling = InstanceScale.None };
        using var network = Make(definition);
        var x = TestData.Normal(1, 2, Steps * Channels);
        var reconciled = network.call(x);
        using var plain = new PatchTSMixerNetwork(Define() with { Scaling = InstanceScale.None }, CPU);
        var state = network.state_dict();
        foreach (var (name, value) in plain.state_dict())
            value.copy_(state[name]);
        plain.eval();
        Assert.True(Gap(reconciled, plain.call(x)) > 1e-3);

        network.ChannelReconciliation!.Weight.zero_();
        network.ChannelReconciliation.Bias.zero_();

        Assert.Equal(TensorMemory.ToFloats(plain.call(x)), TensorMemory.ToFloats(network.call(x)));
    }

    [Fact]
    public void Quantiles_follow_scale_and_level_and_are_moved_with_the_mean()
    {
        using var network = Make(Define() with { FcmContextLength = 1, HierarchyPatch = Horizon, Outputs = 3 * Horizon * Channels });
        var x = TestData.Normal(1, 4, Steps * Channels);
        var outputs = network.call(x).view(4, 3, Horizon, Channels);

        var moved = network.call(x.mul(tensor(2f)).add(tensor(5f))).view(4, 3, Horizon, Channels);

        Assert.True(Gap(moved, outputs.mul(tensor(2f)).add(tensor(5f))) < 1e-3);
        Assert.True(Gap(outputs.select(1, 1), outputs.select(1, 2)) > 0.1);
        foreach (var layer in new[] { network.ChannelReconciliation!, network.Hierarchy! })
        {
            layer.Weight.zero_();
            layer.Bias.zero_();
        }

        var move = outputs.sub(network.call(x).view(4, 3, Horizon, Channels));
        Assert.True(move.abs().max().item<float>() > 1e-2);
        Assert.True(Gap(move.select(1, 1), move.select(1, 0)) < 1e-5);
        Assert.True(Gap(move.select(1, 2), move.select(1, 0)) < 1e-5);
    }

    [Theory]
    [MemberData(nameof(Modes))]
    public void A_hierarchy_of_zeros_leaves_the_base_forecast_and_sums_follow_scale_and_level(PatchTSMixerMode mode)
    {
        const int horizon = 6;
        var definition = Define() with { Mode = mode, Horizon = horizon, Outputs = horizon * Channels, HierarchyPatch = 3 };
        using var network = Make(definition);
        using var plain = new PatchTSMixerNetwork(definition with { HierarchyPatch = null }, CPU);
        plain.CopyWeights(network.ReadWeights(), _ => true);
        plain.eval();
        var x = TestData.Normal(1, 4, Steps * Channels);
        var (forecast, sums) = network.ForecastWithSums(x);

        var (moved, sumsMoved) = network.ForecastWithSums(x.mul(tensor(2f)).add(tensor(5f)));

        Assert.Equal([4, 2 * Channels], sums!.shape);
        Assert.True(Gap(moved, forecast.mul(tensor(2f)).add(tensor(5f))) < 1e-3);
        Assert.True(Gap(sumsMoved!, sums.mul(tensor(2f)).add(tensor(3 * 5f))) < 1e-3);
        Assert.True(Gap(forecast, plain.call(x)) > 1e-2);

        // Only the steps of a patch hear of its sum.
        network.Sums!.Bias.narrow(0, 0, 1).add_(tensor(1f));
        var change = network.call(x).sub(forecast).view(4, horizon, Channels).abs();
        Assert.True(change.select(2, 0).narrow(1, 0, 3).min().item<float>() > 0);
        Assert.Equal(0, change.narrow(1, 3, 3).max().item<float>());

        network.Hierarchy!.Weight.zero_();
        network.Hierarchy.Bias.zero_();
        Assert.Equal(TensorMemory.ToFloats(plain.call(x)), TensorMemory.ToFloats(network.call(x)));
    }

    [Fact]
    public void The_terms_of_the_hierarchy_are_zero_where_all_sums_agree()
    {
        var hierarchy = new PatchHierarchy(6, Channels, 2);
        var (forecast, labels) = (TestData.Normal(1, 5, 6 * Channels), TestData.Normal(2, 5, 6 * Channels));
        static Tensor SquaredError(Tensor one, Tensor other) => one.sub(other).square().mean();
        var sums = hierarchy.BottomUp(labels);
        var steps = labels.view(5, 6, Channels);
        Assert.True(Gap(sums.view(5, 3, Channels).select(1, 1), steps.select(1, 2).add(steps.select(1, 3))) < 1e-6);

        // Where Â is the sum of the forecasts, what is left is how far it is from that of the labels; with the labels' sums, the other term; with both, nothing.
        var apart = SquaredError(hierarchy.BottomUp(forecast), sums).item<float>() / 4;
        Assert.Equal(apart, hierarchy.Loss(forecast, hierarchy.BottomUp(forecast), labels, SquaredError).item<float>(), 1e-6f);
        Assert.Equal(apart, hierarchy.Loss(forecast, sums, labels, SquaredError).item<float>(), 1e-6f);
        Assert.Equal(0, hierarchy.Loss(labels, sums, labels, SquaredError).item<float>());

        // A forecast that is wrong by step and right by patch costs nothing here.
        var swapped = steps.view(5, 3, 2, Channels).flip(2).reshape(5, -1);
        Assert.True(Gap(swapped, labels) > 0.1);
        Assert.True(hierarchy.Loss(swapped, sums, labels, SquaredError).item<float>() < 1e-10);
        Assert.True(hierarchy.Loss(forecast, TestData.Normal(3, 5, 3 * Channels), labels, SquaredError).item<float>() > apart);
    }

    [Theory]
    [MemberData(nameof(Shapes))]
    public void Weights_and_outputs_are_as_many_as_the_definition_says(PatchTSMixerDefinition definition)
    {
        using var network = Make(definition);

        Assert.Equal(definition.WeightCount, network.state_dict().Values.Sum(value => value.numel()));
        Assert.Equal([2, definition.Outputs], network.call(TestData.Normal(1, 2, definition.Inputs)).shape);
    }

    public static IEnumerable<object[]> Shapes =>
        from mode in Enum.GetValues<PatchTSMixerMode>()
        from definition in new[]
        {
            Define(), Define() with { Norm = TokenNorm.Batch, GatedAttention = false }, Define() with { FcmContextLength = 2 }, Define() with { FcmContextLength = 1, HierarchyPatch = Horizon, Outputs = 3 * Horizon * Channels }, Define() with { HierarchyPatch = 1 }, Define() with { PatchLength = Steps, PatchStride = 1 },
            Define() with { Horizon = 0, Outputs = 2, HeadAggregation = PatchTSMixerHeadAggregation.None },
            Define() with { Horizon = 0, Outputs = 2, HeadAggregation = PatchTSMixerHeadAggregation.UseLast },
        }
        select new object[] { definition with { Mode = mode } };

    [Theory]
    [InlineData(PatchTSMixerHeadAggregation.MaxPool)]
    [InlineData(PatchTSMixerHeadAggregation.AvgPool)]
    public void Pooling_forgets_the_order_of_patches_and_the_last_one_the_others(PatchTSMixerHeadAggregation pool)
    {
        // Without mixers each patch stands for itself.
        using var network = Make(Define() with { Horizon = 0, Outputs = 2, HeadAggregation = pool, Scaling = InstanceScale.None });
        foreach (var mixer in network.Backbone.Mixers)
        {
            mixer.Contract.Weight.zero_();
            mixer.Contract.Bias.zero_();
        }

        using var scope = NewDisposeScope();
        var x = TestData.Normal(1, 2, Steps, Channels);
        var patches = Enumerable.Range(0, 5).Select(i => x.narrow(1, 1 + (4 * i), 4)).ToArray();
        var swapped = cat([x.narrow(1, 0, 1), .. patches.Reverse()], 1);

        Assert.True(Gap(network.call(x.view(2, -1)), network.call(swapped.reshape(2, -1))) < 1e-5);
        var noise = TestData.Normal(9, 2, Steps, Channels);
        Assert.True(Gap(network.call(x.view(2, -1)), network.call(noise.view(2, -1))) > 1e-3);
    }

    [Fact]
    public void Gradients_are_those_of_differences()
    {
        using var network = Make(Define() with { Mode = PatchTSMixerMode.MixChannel, FcmContextLength = 1 });
        using var gradients = enable_grad();
        var x = TestData.Normal(1, 2, Steps * Channels);
        var weight = network.Backbone.Mixers[0].Gate!.Weigh.Weight;
        network.call(x).sum().backward();
        var gradient = TensorMemory.ToFloats(weight.grad!);

        using var noGradient = no_grad();
        const float step = 1e-2f;
        for (var i = 0; i < gradient.Length; i++)
        {
            float At(float move)
            {
                weight.view(-1).narrow(0, i, 1).add_(tensor(move));
                var value = network.call(x).sum().item<float>();
                weight.view(-1).narrow(0, i, 1).sub_(tensor(move));
                return value;
            }

            Assert.Equal((At(step) - At(-step)) / (2 * step), gradient[i], 0.02 * (1 + Math.Abs(gradient[i])));
        }

        Assert.Contains(gradient, value => Math.Abs(value) > 1e-3);
    }

    private static double Gap(Tensor one, Tensor other) => one.sub(other).abs().max().item<float>();

    private static PatchTSMixerDefinition Define() => new()
    {
        Inputs = Steps * Channels, Outputs = Horizon * Channels, Channels = Channels, Horizon = Horizon, PatchLength = 4, PatchStride = 4, DModel = 6, ExpansionFactor = 2,
        NumLayers = 2, Dropout = 0.5, HeadDropout = 0.5, Mode = PatchTSMixerMode.CommonChannel, GatedAttention = true, Norm = TokenNorm.Token, Scaling = InstanceScale.Std,
        HeadAggregation = PatchTSMixerHeadAggregation.MaxPool, FcmContextLength = null, HierarchyPatch = null,
    };

    private static PatchTSMixerNetwork Make(PatchTSMixerDefinition definition)
    {
        var network = (PatchTSMixerNetwork)definition.Build(CPU);
        using var random = new Generator(11);
        network.Initialize(random);
        network.eval();
        return network;
    }
}
