using MlNetMlp.Training;
using TorchSharp;
using static TorchSharp.torch;
using TorchOptimizers = TorchSharp.torch.optim;

namespace MlNetMlp.Tests.Training;

public class FlatOptimizerTests
{
    private const double Rate = 0.01;

    public static TheoryData<string> Cases => ["adam", "adam L2", "adamw", "sgd", "sgd decay", "momentum", "momentum decay", "nesterov"];

    [Theory]
    [MemberData(nameof(Cases))]
    public void GivesTorchsOwnResult(string name)
    {
        foreach (var type in (ScalarType[])[ScalarType.Float32, ScalarType.Float64])
        {
            using var theirs = Networks.Perceptron(1, type);
            using var ours = Networks.Perceptron(1, type);
            var x = Networks.Normal(2, type, 32, 5);
            var y = Networks.Normal(3, type, 32, 3);
            // torch has no predicate: decay everything, as it does.
            using FlatParameters flat = new(ours, static (_, _) => true);
            var (expected, actual) = Pair(name, theirs, flat);
            for (var step = 0; step < 20; step++)
            {
                expected.zero_grad();
                Networks.Backward(theirs, x, y);
                expected.step();
                flat.ZeroGradient();
                Networks.Backward(ours, x, y);
                actual.Step(Rate);
            }
            foreach (var (a, b) in theirs.parameters().Zip(ours.parameters()))
            {
                var difference = Networks.MaxDifference(a, b);
                Assert.True(difference < (type == ScalarType.Float32 ? 1e-6 : 1e-12), $"{name} {type}: {difference}");
            }
            Assert.Equal(20, actual.StepCount);
            actual.Dispose();
            expected.Dispose();
        }
    }

    [Theory]
    [InlineData("adam")]
    [InlineData("adam L2")]
    [InlineData("sgd")]
    [InlineData("sgd decay")]
    [InlineData("momentum decay")]
    [InlineData("nesterov")]
    [InlineData("lion")]
    public void DeviceOperationsAndHostCodeAgree(string name)
    {
        // The path for other devices runs on the CPU as well, so it is tried where there is no other device.
        foreach (var type in (ScalarType[])[ScalarType.Float32, ScalarType.Float64])
        {
            using var one = Networks.Perceptron(4, type);
            using var two = Networks.Perceptron(4, type);
            using FlatParameters host = new(one), device = new(two) { UpdateInManagedCode = false };
            using FlatOptimizer a = Create(name, host), b = Create(name, device);
            for (ulong step = 0; step < 20; step++)
            {
                using var gradient = Networks.Normal(50 + step, type, host.Count);
                host.Gradient.copy_(gradient);
                device.Gradient.copy_(gradient);
                a.Step(Rate);
                b.Step(Rate);
                Assert.Equal(0, Networks.MaxDifference(gradient, device.Gradient));
            }
            var difference = Networks.MaxDifference(host.Values, device.Values);
            Assert.True(difference < (type == ScalarType.Float32 ? 3e-6 : 1e-13), $"{type}: {difference}");
        }
    }

    [Theory]
    [InlineData(0.0)]
    [InlineData(0.3)]
    public void LionMatchesAScalarReference(double decay)
    {
        using var network = Networks.Perceptron(5);
        using FlatParameters flat = new(network);
        using Lion lion = new(flat, weightDecay: decay);
        var values = Networks.Numbers(flat.Values);
        var m = new double[values.Length];
        for (ulong step = 0; step < 10; step++)
        {
            flat.Gradient.copy_(Networks.Normal(70 + step, ScalarType.Float32, flat.Count));
            if (step == 0)
                flat.Gradient[3] = 0;
            var before = Networks.Numbers(flat.Values);
            var gradient = Networks.Numbers(flat.Gradient);
            lion.Step(Rate);
            for (var i = 0; i < values.Length; i++)
            {
                var shrink = i < flat.DecayedCount ? 1 - Rate * decay : 1;
                values[i] = (float)(values[i] * shrink - Rate * Math.Sign(0.9 * m[i] + 0.1 * gradient[i]));
                m[i] = 0.99 * m[i] + 0.01 * gradient[i];
            }
            var after = Networks.Numbers(flat.Values);
            Assert.Equal(values, after, (p, q) => Math.Abs(p - q) < 1e-6);
            for (var i = 0; i < values.Length && decay == 0; i++)
                Assert.Equal(step == 0 && i == 3 ? 0 : Rate, Math.Abs(after[i] - before[i]), 1e-6);
        }
    }

    [Fact]
    public void DecayLeavesBiasesAndGainsAlone()
    {
        using var network = Networks.Perceptron(6);
        using FlatParameters flat = new(network);
        var before = Networks.Numbers(flat.Values);
        foreach (FlatOptimizer optimizer in (FlatOptimizer[])[new Adam(flat, weightDecay: 0.5), new Lion(flat, weightDecay: 0.5),
            new Sgd(flat, weightDecay: 0.5), new Sgd(flat, 0.9, weightDecay: 0.5)])
        {
            optimizer.Step(0.1);
            optimizer.Dispose();
        }
        var after = Networks.Numbers(flat.Values);
        for (var i = 0; i < before.Length; i++)
            Assert.Equal(i < flat.DecayedCount ? before[i] * Math.Pow(0.95, 4) : before[i], after[i], 1e-5);
    }

    [Fact]
    public void AResumedTrainingContinuesBitForBit()
    {
        using var one = Networks.Perceptron(7);
        using var two = Networks.Perceptron(7);
        using FlatParameters a = new(one), b = new(two);
        using Adam whole = new(a), first = new(b), second = new(b);
        for (ulong step = 0; step < 10; step++)
        {
            using var gradient = Networks.Normal(90 + step, ScalarType.Float32, a.Count);
            a.Gradient.copy_(gradient);
            b.Gradient.copy_(gradient);
            whole.Step(Rate);
            (step < 5 ? first : second).Step(Rate);
            if (step != 4)
                continue;
            second.StepCount = first.StepCount;
            foreach (var (from, to) in first.State.Zip(second.State))
                to.copy_(from);
        }
        Assert.Equal(Networks.Numbers(a.Values), Networks.Numbers(b.Values));
    }

    [Fact]
    public void AHundredStepsLeaveNoTensorBehind()
    {
        var x = Networks.Normal(2, ScalarType.Float32, 32, 5);
        var y = Networks.Normal(3, ScalarType.Float32, 32, 3);
        foreach (var managed in (bool[])[true, false])
        {
            var statistics = DisposeScopeManager.Statistics;
            var atFirst = statistics.ThreadTotalLiveCount;
            using (var network = Networks.Perceptron(8))
            {
                var withNetwork = statistics.ThreadTotalLiveCount;
                using (FlatParameters flat = new(network) { UpdateInManagedCode = managed })
                using (GradientNoiseSource noise = new(new(), flat, 1))
                using (Adam adam = new(flat, weightDecay: 0.1, decoupledWeightDecay: managed))
                using (Lion lion = new(flat, weightDecay: 0.1))
                using (Sgd sgd = new(flat, 0.9, true, 0.1))
                {
                    flat.Snapshot();
                    var before = statistics.ThreadTotalLiveCount;
                    for (var step = 0; step < 100; step++)
                    {
                        flat.ZeroGradient();
                        Networks.Backward(network, x, y);
                        flat.ClipGradient(1);
                        noise.Apply();
                        flat.ThrowIfDetached();
                        flat.Snapshot();
                        adam.Step(Rate);
                        lion.Step(Rate);
                        sgd.Step(Rate);
                        flat.GradientNorm();
                        flat.Restore();
                    }
                    Assert.Equal(before, statistics.ThreadTotalLiveCount);
                }
                Assert.Equal(withNetwork, statistics.ThreadTotalLiveCount);
            }
            Assert.True(statistics.ThreadTotalLiveCount <= atFirst);
        }
    }

    [Fact]
    public void BadSettingsAreRefused()
    {
        using var network = Networks.Perceptron(9);
        using FlatParameters flat = new(network);
        Assert.Throws<ArgumentOutOfRangeException>("beta1", () => new Adam(flat, beta1: 1));
        Assert.Throws<ArgumentOutOfRangeException>("weightDecay", () => new Lion(flat, weightDecay: -1));
        Assert.Throws<ArgumentException>("nesterov", () => new Sgd(flat, nesterov: true));
        using Sgd sgd = new(flat);
        Assert.Throws<ArgumentOutOfRangeException>("learningRate", () => sgd.Step(double.NaN));
        Assert.Equal(0, sgd.StepCount);
    }

    private static (TorchOptimizers.Optimizer Theirs, FlatOptimizer Ours) Pair(string name, nn.Module network, FlatParameters flat)
    {
        var p = network.parameters();
        TorchOptimizers.Optimizer theirs = name switch
        {
            "adam" => TorchOptimizers.Adam(p, Rate),
            "adam L2" => TorchOptimizers.Adam(p, Rate, weight_decay: 0.1),
            "adamw" => TorchOptimizers.AdamW(p, Rate, weight_decay: 0.1),
            "sgd" => TorchOptimizers.SGD(p, Rate),
            "sgd decay" => TorchOptimizers.SGD(p, Rate, weight_decay: 0.1),
            "momentum" => TorchOptimizers.SGD(p, Rate, 0.9),
            "momentum decay" => TorchOptimizers.SGD(p, Rate, 0.9, weight_decay: 0.1),
            _ => TorchOptimizers.SGD(p, Rate, 0.9, weight_decay: 0.1, nesterov: true),
        };
        return (theirs, Create(name, flat));
    }

    private static FlatOptimizer Create(string name, FlatParameters flat) => name switch
    {
        "adam" => new Adam(flat),
        "adam L2" => new Adam(flat, weightDecay: 0.1, decoupledWeightDecay: false),
        "adamw" => new Adam(flat, weightDecay: 0.1),
        "sgd" => new Sgd(flat),
        "sgd decay" => new Sgd(flat, weightDecay: 0.1),
        "momentum" => new Sgd(flat, 0.9),
        "momentum decay" => new Sgd(flat, 0.9, weightDecay: 0.1),
        "nesterov" => new Sgd(flat, 0.9, true, 0.1),
        "lion" => new Lion(flat, weightDecay: 0.1),
        _ => throw new ArgumentException(name),
    };
}
