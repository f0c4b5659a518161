using MlNetMlp.Data;
using MlNetMlp.Layers;
using MlNetMlp.Networks;
using MlNetMlp.Options;
using MlNetMlp.Tests.Support;
using MlNetMlp.Training;
using MlNetMlp.Vision;
using TorchSharp;
using static TorchSharp.torch;

namespace MlNetMlp.Tests.Vision;

public sealed class MetaFormerNetworkTests : IDisposable
{
    private static readonly ImageShape Image = new(12, 16, 2);

    private readonly DisposeScope _scope = NewDisposeScope();

    public static IEnumerable<MetaFormerDefinition> Variants =>
        from mixer in (TokenMixer[])[new IdentityMixer(), new PoolingMixer(), new AttentionMixer { HeadDim = 4 }, new SpatialFcMixer(), new RandomMatrixMixer(), new DepthwiseConvMixer()]
        from norm in (TokenNorm[])[TokenNorm.Row, TokenNorm.Token, TokenNorm.Batch, TokenNorm.None]
        from switches in (int[])[0, 1, 2]
        select new MetaFormer.Options
        {
            Mixer = mixer, Norm = norm, Stages = [new(2, 8), new(1, 12)], Stem = new(4, 2, 1), UseLayerScale = switches > 0, UseResiduals = switches < 2, MlpRatio = 2 * switches,
            PositionMaps = switches > 0 ? PositionMaps.First : PositionMaps.None,
        }.Define(Image, 3);

    /// <summary>The same of sequences of as many values.</summary>
    private static IEnumerable<MetaFormerDefinition> Sequences => Variants.Select(definition => definition with
    {
        Image = new(1, 32, 12) { Order = PixelOrder.Interleaved }, IsSequence = true,
    });

    public void Dispose() => _scope.Dispose();

    // Counted by hand from the structure; the published 12, 21, 31, 56 and 73 million.
    [Theory]
    [InlineData(MetaFormerPreset.S12, 11_915_176)]
    [InlineData(MetaFormerPreset.S24, 21_388_968)]
    [InlineData(MetaFormerPreset.S36, 30_862_760)]
    [InlineData(MetaFormerPreset.M36, 56_172_520)]
    [InlineData(MetaFormerPreset.M48, 73_473_448)]
    public void Has_as_many_parameters_as_the_papers_models(MetaFormerPreset preset, long expected)
    {
        var definition = new PoolFormer.Options { Preset = preset }.Define(new(224, 224, 3), 1000);

        using var network = definition.Build(META);

        Assert.Equal(expected, network.parameters().Sum(p => p.numel()));
        Assert.Equal(expected + 6, definition.WeightCount);
        Assert.Equal([new(56, 56), new(28, 28), new(14, 14), new(7, 7)], definition.Grids());
        Assert.InRange(definition.MultiplicationsPerRow / 1e9, preset == MetaFormerPreset.S12 ? 1.7 : 3, preset == MetaFormerPreset.S12 ? 1.9 : 12);
    }

    [Fact]
    public void Counts_every_value_of_its_state_and_builds_without_memory()
    {
        foreach (var definition in Variants.Concat(Sequences).SelectMany(d => new[] { d, (MetaFormerDefinition)d.Body! }))
        {
            using var network = definition.Build(META);
            var state = network.state_dict();
            Assert.True(definition.WeightCount == state.Values.Sum(t => t.numel()), $"{definition}: {string.Join(", ", state.Keys)}");
            Assert.All(state.Values, t => Assert.Equal(DeviceType.META, t.device_type));
            Assert.Equal(definition, definition with { Stages = [.. definition.Stages] });
        }
    }

    [Fact]
    public void Rows_do_not_depend_on_each_other_and_outputs_are_finite()
    {
        var x = TestData.Normal(1, 5, Image.Size);
        foreach (var definition in Variants.Concat(Sequences))
        {
            using var network = Network(definition);
            network.eval();
            var all = network.call(x);
            Assert.Equal([5, 3], all.shape);
            Assert.True(all.isfinite().all().item<bool>());
            Near(all.narrow(0, 3, 1), network.call(x.narrow(0, 3, 1)), 1e-5);
        }
    }

    [Fact]
    public void Without_branches_only_stem_and_head_are_left()
    {
        var definition = new MetaFormer.Options { Stages = [new(3, 8)], Norm = TokenNorm.Token }.Define(Image, 3);
        using var network = Network(definition);
        network.FillLayerScale(0);
        var x = TestData.Normal(1, 5, Image.Size);
        var state = network.state_dict();

        var tokens = nn.functional.conv2d(Image.ToImages(x), state["patches.0.weight"], state["patches.0.bias"], [2, 2], [1, 1]).permute(0, 2, 3, 1);
        var pooled = nn.functional.layer_norm(tokens, [8]).mean([1, 2]);

        Near(nn.functional.linear(pooled, state["head.weight"], state["head.bias"]), network.call(x), 1e-6);
    }

    [Fact]
    public void The_order_of_tokens_is_nothing_to_a_network_that_does_not_mix_them()
    {
        // Patches of 4 x 4 without overlap: exchanging them exchanges tokens.
        var definition = new MetaFormer.Options { Mixer = new IdentityMixer(), Stages = [new(2, 8)], Stem = new(4, 4, 0) }.Define(new(16, 16), 3);
        using var network = Network(definition);
        using var pooling = Network(definition with { Stages = [definition.Stages[0] with { Mixer = new PoolingMixer() }] });
        var x = TestData.Normal(1, 5, 256);
        var patches = x.view(5, 4, 4, 4, 4).permute(0, 1, 3, 2, 4).reshape(5, 16, 4, 4);
        using var random = new Generator(2);
        var shuffled = patches.index_select(1, randperm(16, generator: random)).view(5, 4, 4, 4, 4).permute(0, 1, 3, 2, 4).reshape(5, 256);

        Near(network.call(x), network.call(shuffled), 1e-5);
        Assert.True((pooling.call(x) - pooling.call(shuffled)).abs().max().ToDouble() > 1e-3);
    }

    [Fact]
    public void Convolutions_and_windows_of_sequences_go_along_the_steps()
    {
        var definition = Sequences.First() with { Stages = [new() { Depth = 1, Dim = 8, Mixer = new PoolingMixer(), Norm = TokenNorm.Token, MlpRatio = 0, HasPositionMap = false }] };
        var x = TestData.Normal(1, 5, 384);
        var steps = x.view(5, 32, 12).transpose(1, 2);                           // [rows, channels, steps]
        foreach (var mixer in new TokenMixer[] { new PoolingMixer(), new DepthwiseConvMixer { Kernel = 5 } })
        {
            using var network = Network(definition with { Stages = [definition.Stages[0] with { Mixer = mixer }], HasResiduals = true, HasLayerScale = false });
            var state = network.state_dict();
            var tokens = nn.functional.conv1d(steps, state["patches.0.weight"].squeeze(2), state["patches.0.bias"], stride: 2, padding: 1).transpose(1, 2);
            var read = nn.functional.layer_norm(tokens, [8]).transpose(1, 2);
            var mixed = mixer is PoolingMixer
                ? nn.functional.avg_pool1d(read, 3, 1, 1, count_include_pad: false) - read
                : nn.functional.conv1d(read, state["stages.0.blocks.0.mixer.weight"].squeeze(2), padding: 2, groups: 8);
            var pooled = nn.functional.layer_norm(tokens + mixed.transpose(1, 2), [8]).mean([1]);

            Near(nn.functional.linear(pooled, state["head.weight"], state["head.bias"]), network.call(x), 1e-5);
        }
    }

    [Fact]
    public void Planes_and_interleaved_pixels_are_the_same_images()
    {
        var definition = new MetaFormer.Options { Stages = [new(1, 8)] }.Define(Image, 3);
        using var planar = Network(definition);
        using var interleaved = Network(definition with { Image = Image with { Order = PixelOrder.Interleaved } });
        var x = TestData.Normal(1, 5, Image.Size);

        Near(planar.call(x), interleaved.call((Image with { Order = PixelOrder.Interleaved }).ToRows(Image.ToImages(x))), 1e-6);
    }

    [Fact]
    public void Channels_are_standardised_over_all_pixels_of_all_images()
    {
        var x = (TestData.Normal(1, 500, Image.Size) * 3) + 5;
        x.narrow(1, 0, 192).mul_(10);
        using var network = Network(new MetaFormer.Options { Stages = [new(1, 8)] }.Define(Image, 3));
        network.Standardize(new FeatureStatistics(
            Runtime.TensorMemory.ToFloats(x.mean([0])), Runtime.TensorMemory.ToFloats(x.std(0, unbiased: false))));

        var planes = Image.ToImages(x);
        var state = network.state_dict();
        Near(planes.mean([0, 2, 3]), state["mean"].flatten(), 1e-3);
        Near(1 / planes.transpose(0, 1).flatten(1).std(1, unbiased: false), state["factor"].flatten(), 1e-5);

        network.Standardize(new FeatureStatistics(new float[Image.Size], new float[Image.Size]));
        Assert.Equal([1, 1], Runtime.TensorMemory.ToFloats(network.state_dict()["factor"]));
    }

    [Fact]
    public void A_step_of_training_leaves_branches_out_by_its_own_numbers()
    {
        var definition = new MetaFormer.Options { Stages = [new(4, 8)] }.Define(Image, 3);
        using var network = Network(definition);
        network.Regularize(0.5, 0.1);
        var x = TestData.Normal(1, 64, Image.Size);
        network.train();

        Tensor Step(ulong seed)
        {
            using var random = new Generator(seed);
            network.SetRandom(random);
            var outputs = network.call(x);
            network.SetRandom(null);
            return outputs;
        }

        Assert.True(Step(1).eq(Step(1)).all().item<bool>());
        Assert.False(Step(1).eq(Step(2)).all().item<bool>());
        network.eval();
        var plain = network.call(x);
        Assert.True(plain.eq(Step(1)).all().item<bool>());
        network.Regularize(0, 0);
        network.train();
        Assert.True(plain.eq(Step(1)).all().item<bool>());
    }

    [Fact]
    public void Gradients_of_a_block_are_those_of_differences()
    {
        foreach (var mixer in new TokenMixer[] { new PoolingMixer(), new AttentionMixer { HeadDim = 4 }, new DepthwiseConvMixer() })
        {
            var definition = new MetaFormer.Options { Mixer = mixer, Stages = [new(1, 8)], Norm = TokenNorm.Row }.Define(Image, 3);
            using var network = Network(definition);
            network.to(ScalarType.Float64);
            var block = network.Blocks.Single();
            var x = TestData.Normal(2, 2, 3, 4, 8).to(ScalarType.Float64);
            var seed = TestData.Normal(3, 2, 3, 4, 8).to(ScalarType.Float64);
            Tensor Value() => (block.Forward(x, null, null, 0, null) * seed).sum();
            Value().backward();
            foreach (var (name, parameter) in block.named_parameters())
            {
                using var noGradient = no_grad();
                var step = TestData.Normal(5, parameter.shape).to(ScalarType.Float64) * 1e-5;
                parameter.add_(step);
                var above = Value().ToDouble();
                parameter.sub_(step * 2);
                var below = Value().ToDouble();
                parameter.add_(step);
                var expected = (above - below) / 2;
                var found = (parameter.grad! * step).sum().ToDouble();
                Assert.True(Math.Abs(expected - found) <= 1e-6 * Math.Abs(expected) + 1e-11, $"{mixer}, {name}: {found} in place of {expected}");
            }
        }
    }

    [Fact]
    public void Weights_of_one_dimension_do_not_decay()
    {
        using var network = Network(new MetaFormer.Options { Stages = [new(2, 8), new(2, 12)] }.Define(Image, 3));
        using var flat = new FlatParameters(network);
        var matrices = network.named_parameters().Where(p => p.name.EndsWith("weight", StringComparison.Ordinal) && !p.name.Contains("norm", StringComparison.Ordinal));

        Assert.Equal(matrices.Sum(p => p.parameter.numel()), flat.DecayedCount);
    }

    [Fact]
    public void Small_sizes_suit_small_networks_and_attention_learns_where_tokens_stand()
    {
        Assert.Equal(1, new MetaFormer.Options().LayerScaleStart);
        Assert.Equal(1e-5, new MetaFormer.Options { Preset = MetaFormerPreset.S24 }.LayerScaleStart);
        Assert.Equal(1e-6, new MetaFormer.Options { Preset = MetaFormerPreset.S36 }.LayerScaleStart);
        Assert.Equal([0, 0, 0.1, 0.1, 0.2, 0.3, 0.4], Enum.GetValues<MetaFormerPreset>().Select(p => new MetaFormer.Options { Preset = p }.DropPathOrPreset));
        var hybrid = new MetaFormer.Options { Preset = MetaFormerPreset.S12, Mixers = [new PoolingMixer(), new PoolingMixer()], Mixer = new AttentionMixer() }.Define(new(224, 224, 3), 10);
        Assert.Equal([false, false, true, false], hybrid.Stages.Select(stage => stage.HasPositionMap));
        Assert.Equal([TokenNorm.Row, TokenNorm.Row, TokenNorm.Token, TokenNorm.Token], hybrid.Stages.Select(stage => stage.Norm));
    }

    [Fact]
    public void The_rate_rises_for_a_tenth_of_the_steps_and_ends_at_the_least()
    {
        var settings = new MetaFormer.Options { Epochs = 10 }.ToSettings(1280);
        double Rate(long step) => settings.LearningRate * settings.Schedule.At(step, 100);

        Assert.Equal(2e-4, Rate(0), 1e-12);
        Assert.Equal(2e-3, Rate(9), 1e-12);
        Assert.Equal(2e-3, Rate(10), 1e-12);
        Assert.InRange(Rate(99), 1e-5, 1.1e-5);
        Assert.Equal(1e-5, Rate(100), 1e-12);
    }

    [Fact]
    public void Definitions_that_no_image_fits_are_refused()
    {
        var good = new MetaFormer.Options { Stages = [new(1, 8), new(1, 16)] }.Define(Image, 3);
        OptionRanges.Check(good, "Network");
        Refused(good with { Inputs = 383 }, "383");
        Refused(good with { Stages = [] }, "'Stages'");
        Refused(good with { IsSequence = true }, "of one row");
        Refused(good with { Stem = new(20, 1, 0) }, "no place for a token");
        Refused(good with { Stem = new(0, 0, 0) }, "'Stem.Kernel'");
        Refused(good with { Stem = new(1, 0, 0) }, "'Stem.Stride'");
        Refused(good with { Stages = [good.Stages[0] with { Dim = 0 }] }, "'Stages[0].Dim'");
        Refused(good with { Stages = [good.Stages[0] with { Mixer = new AttentionMixer() }] }, "heads of 32 channels");
        Refused(good with { Stages = [good.Stages[0] with { Mixer = new PoolingMixer { Size = 4 } }] }, "must be odd");
        Refused((MetaFormerDefinition)good.Body! with { Outputs = 3 }, "'Outputs'");

        static void Refused(MetaFormerDefinition definition, string says) =>
            Assert.Contains(says, Assert.Throws<ArgumentOutOfRangeException>(() => OptionRanges.Check(definition, "Network")).Message, StringComparison.Ordinal);
    }

    private static MetaFormerNetwork Network(MetaFormerDefinition definition)
    {
        using var random = new Generator(4);
        var network = (MetaFormerNetwork)definition.Build(CPU);
        network.Initialize(random);
        return network;
    }

    private static void Near(Tensor expected, Tensor actual, double tolerance)
    {
        Assert.Equal(expected.shape, actual.shape);
        var difference = (expected - actual).abs().max().ToDouble();
        Assert.True(difference <= tolerance, $"{difference} > {tolerance}");
    }
}
