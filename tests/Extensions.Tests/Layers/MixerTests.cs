using MlNetMlp.Layers;
using MlNetMlp.Networks;
using MlNetMlp.Runtime;
using TorchSharp;
using static TorchSharp.torch;

namespace MlNetMlp.Tests.Layers;

/// <summary>The blocks that mixers of tokens are made of.</summary>
public class MixerTests
{
    public MixerTests() => LibTorch.Load();

    [Theory]
    [InlineData(10, 4, 4, 2)]
    [InlineData(10, 4, 3, 3)]
    [InlineData(4, 4, 1, 1)]
    [InlineData(7, 2, 1, 6)]
    public void Patches_end_where_the_sequence_does(int steps, int length, int stride, int count)
    {
        using var sequences = arange(2 * steps, ScalarType.Float32).view(2, steps);

        using var patches = Patches.Of(sequences, length, stride);

        Assert.Equal(count, Patches.Count(steps, length, stride));
        Assert.Equal([2, count, length], patches.shape);
        var dropped = steps - length - (stride * (count - 1));
        Assert.InRange(dropped, 0, stride - 1);
        var expected = from row in Enumerable.Range(0, 2)
                       from patch in Enumerable.Range(0, count)
                       from step in Enumerable.Range(0, length)
                       select (float)((row * steps) + dropped + (patch * stride) + step);
        Assert.Equal(expected, TensorMemory.ToFloats(patches));
    }

    [Fact]
    public void Instances_are_scaled_by_the_biased_variance_with_its_floor_under_the_root()
    {
        using var sequences = tensor(new float[] { 1, 2, 4, 9, 5, 5, 5, 5 }, 2, 4);

        var scaling = InstanceScaling.Of(sequences, InstanceScale.Std);

        Assert.Equal([4, 5], TensorMemory.ToFloats(scaling.Location!));
        var scale = TensorMemory.ToFloats(scaling.Scale!);
        Assert.Equal(Math.Sqrt(((9 + 4 + 0 + 25) / 4.0) + 1e-5), scale[0], 5);
        Assert.Equal(Math.Sqrt(1e-5), scale[1], 7);
        Assert.All(TensorMemory.ToFloats(scaling.Scaled)[4..], value => Assert.Equal(0, value));
        Near(TensorMemory.ToFloats(sequences), TensorMemory.ToFloats(scaling.Inverse(scaling.Scaled)), 1e-6);
    }

    [Fact]
    public void Instances_may_be_scaled_by_their_mean_magnitude_or_not_at_all()
    {
        using var sequences = tensor(new float[] { 1, -2, 3, -6, 0, 0, 0, 0 }, 2, 4);

        var byMean = InstanceScaling.Of(sequences, InstanceScale.Mean);

        Near([3, 1e-5f], TensorMemory.ToFloats(byMean.Scale!), 1e-7);
        Near([1 / 3f, -2 / 3f, 1, -2, 0, 0, 0, 0], TensorMemory.ToFloats(byMean.Scaled), 1e-6);
        Near(TensorMemory.ToFloats(sequences), TensorMemory.ToFloats(byMean.Inverse(byMean.Scaled)), 1e-6);
        var none = InstanceScaling.Of(sequences, InstanceScale.None);
        Assert.Same(sequences, none.Scaled);
        Assert.Same(sequences, none.Inverse(sequences));
    }

    [Fact]
    public void A_gate_of_zeros_divides_by_the_size_of_the_axis_and_any_gate_sums_to_one()
    {
        using var gate = new SoftmaxGate(5, CPU);
        using var ones = torch.ones(3, 5);
        using (no_grad())
        {
            gate.Weigh.Weight.zero_();
            gate.Weigh.Bias.zero_();
            Assert.All(TensorMemory.ToFloats(gate.call(ones)), weight => Assert.Equal(0.2f, weight));
            using var random = new Generator(1);
            gate.Weigh.Initialize(random);
            gate.Weigh.Bias.normal_(0, 2, random);
        }

        var weights = TensorMemory.ToFloats(gate.call(ones));
        Assert.Equal(1, weights[..5].Sum(), 6);
        Assert.True(weights[..5].Max() > 0.3);
    }

    [Theory]
    [InlineData(1, GatePlace.BeforeMlp)]
    [InlineData(2, GatePlace.AfterMlp)]
    [InlineData(3, GatePlace.None)]
    public void A_mixer_over_an_axis_does_for_each_vector_along_it_what_its_layers_say(int axis, GatePlace place)
    {
        long[] shape = [2, 3, 4, 5];
        using var mixer = Make(new(axis, (int)shape[axis], 5, 2, place, TokenNorm.Token, 0));
        using var random = new Generator(3);
        using var x = empty(shape).normal_(0, 1, random);
        var state = mixer.state_dict();
        using var noGradient = no_grad();

        // TorchSharp reads the tensors of a stack one by one, and nothing else holds on to the first ones meanwhile.
        using var scope = NewDisposeScope();
        var y = mixer.call(x);

        // By hand: normalise features, move the axis last by indices alone, and go through the layers vector by vector.
        var normal = nn.functional.layer_norm(x, [5], state["norm.weight"], state["norm.bias"], 1e-5);
        var order = new long[] { 0, 1, 2, 3 }.Where(a => a != axis).Append(axis).ToArray();
        var vectors = normal.permute(order).reshape(-1, shape[axis]).unbind(0);
        var expected = stack(vectors.Select(u =>
        {
            u = place == GatePlace.BeforeMlp ? Gated(u) : u;
            var h = nn.functional.gelu(state["expand.weight"].mv(u).add(state["expand.bias"]));
            u = state["contract.weight"].mv(h).add(state["contract.bias"]);
            return place == GatePlace.AfterMlp ? Gated(u) : u;
        })).view([.. order.Select(a => shape[a])]);
        var back = order.Select((a, i) => (a, i)).OrderBy(pair => pair.a).Select(pair => (long)pair.i).ToArray();
        Near(TensorMemory.ToFloats(x.add(expected.permute(back))), TensorMemory.ToFloats(y), 1e-5);

        Tensor Gated(Tensor u) => u.mul(state["gate.weigh.weight"].mv(u).add(state["gate.weigh.bias"]).softmax(0));
    }

    [Fact]
    public void Without_its_last_layer_a_mixer_changes_nothing()
    {
        using var mixer = Make(new(2, 4, 5, 2, GatePlace.AfterMlp, TokenNorm.Token, 0));
        using var random = new Generator(3);
        using var x = empty(2, 3, 4, 5).normal_(0, 1, random);
        using var noGradient = no_grad();
        Assert.True(mixer.call(x).sub(x).abs().max().item<float>() > 1e-3);
        mixer.Contract.Weight.zero_();
        mixer.Contract.Bias.zero_();

        Assert.Equal(TensorMemory.ToFloats(x), TensorMemory.ToFloats(mixer.call(x)));
    }

    [Theory]
    [InlineData(TokenNorm.Token, GatePlace.None)]
    [InlineData(TokenNorm.Batch, GatePlace.AfterMlp)]
    public void Weights_are_as_many_as_the_shape_says(TokenNorm norm, GatePlace gate)
    {
        var shape = new AxisMixerShape(2, 4, 5, 3, gate, norm, 0);
        using var mixer = new AxisMixer(shape, CPU);

        Assert.Equal(mixer.state_dict().Values.Sum(tensor => tensor.numel()), shape.WeightCount);
    }

    [Fact]
    public void Dropout_keeps_the_mean_and_follows_from_its_stream()
    {
        using var values = torch.ones(200, 100);
        Assert.Same(values, values.LeaveOut(0.5, null));

        float[] Draw()
        {
            using var noise = new Generator(7);
            return TensorMemory.ToFloats(values.LeaveOut(0.25, noise));
        }

        var dropped = Draw();
        Assert.Equal(dropped, Draw());
        Assert.All(dropped, value => Assert.True(value == 0 || Math.Abs(value - (4 / 3.0)) < 1e-6));
        Assert.InRange(dropped.Count(value => value == 0) / 20_000.0, 0.23, 0.27);
    }

    private static AxisMixer Make(AxisMixerShape shape)
    {
        var mixer = new AxisMixer(shape, CPU);
        using var random = new Generator(5);
        mixer.Initialize(random);
        using var noGradient = no_grad();
        foreach (var (name, tensor) in mixer.state_dict())
        {
            if (name.StartsWith("norm", StringComparison.Ordinal))
                tensor.uniform_(0.5, 1.5, random);
        }

        mixer.eval();
        return mixer;
    }

    private static void Near(float[] expected, float[] actual, double tolerance)
    {
        Assert.Equal(expected.Length, actual.Length);
        for (var i = 0; i < expected.Length; i++)
            Assert.True(Math.Abs(expected[i] - actual[i]) <= tolerance, $"{i}: {expected[i]} and {actual[i]}");
    }
}
