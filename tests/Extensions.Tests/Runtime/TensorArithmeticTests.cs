using MlNetMlp.Runtime;
using TorchSharp;
using static TorchSharp.torch;

namespace MlNetMlp.Tests.Runtime;

public sealed class TensorArithmeticTests
{
    [Fact]
    public void Results_are_those_of_the_formulas()
    {
        using var scope = NewDisposeScope();
        var (a, b) = (tensor(new float[] { 1, -2, 3 }), tensor(new float[] { 0.5f, 4, -1 }));

        Assert.Equal([1.5f, 2, 2], a.Plus(b).data<float>().ToArray());
        Assert.Equal([3, 0, 5], a.Plus(2).data<float>().ToArray());
        Assert.Equal([-2, 4, -6], a.Times(-2).data<float>().ToArray());
        Assert.Equal([true, false, true], a.IsAbove(0).data<bool>().ToArray());
        a.AddScaled(b, 2);
        Assert.Equal([2, 6, 1], a.data<float>().ToArray());
        a.Scale(0.5);
        a.Shift(1);
        Assert.Equal([2, 4, 1.5f], a.data<float>().ToArray());
    }

    [Fact]
    public void Numbers_live_as_long_as_they_are_read()
    {
        using var scope = NewDisposeScope();
        var (a, b) = (ones(4), ones(4));
        using var done = new CancellationTokenSource();
        var collector = new Thread(() =>
        {
            while (!done.IsCancellationRequested)
            {
                GC.Collect(0);
                GC.WaitForPendingFinalizers();
            }
        });
        collector.Start();
        try
        {
            for (var i = 0; i < 100_000; i++)
            {
                using var sum = a.Plus(b);
                Assert.Equal(2, sum.ReadCpuSingle(0));
            }
        }
        finally
        {
            done.Cancel();
            collector.Join();
        }
    }
}
