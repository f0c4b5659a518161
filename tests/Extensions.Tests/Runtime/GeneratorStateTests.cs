using System.Buffers.Binary;
using MlNetMlp.Runtime;
using TorchSharp;
using static TorchSharp.torch;

namespace MlNetMlp.Tests.Runtime;

public class GeneratorStateTests
{
    [Fact]
    public void Every_state_that_a_generator_comes_to_is_possible()
    {
        using var generator = new Generator(7, CPU);
        for (var drawn = 0; drawn < 1300; drawn++)
        {
            using var state = generator.get_state();
            Assert.True(GeneratorState.IsPossible(state.bytes, DeviceType.CPU), $"after {drawn} numbers");
            using var number = rand(1, generator: generator);
        }
    }

    [Theory]
    [InlineData(8, 0)]
    [InlineData(8, 625)]
    [InlineData(8, -1)]
    [InlineData(8, 300)]
    [InlineData(12, 0)]
    [InlineData(16, 625)]
    [InlineData(16, -1)]
    [InlineData(16, 0)]
    [InlineData(20, 1)]
    public void A_state_that_would_end_the_process_or_read_beyond_its_words_is_not(int place, int value)
    {
        using var generator = new Generator(7, CPU);
        using var number = rand(10, generator: generator);
        using var state = generator.get_state();
        byte[] bytes = [.. state.bytes];
        BinaryPrimitives.WriteInt32LittleEndian(bytes.AsSpan(place), value);

        Assert.False(GeneratorState.IsPossible(bytes, DeviceType.CPU));
        Assert.False(GeneratorState.IsPossible(bytes.AsSpan(0, 100), DeviceType.CPU));
    }

    [Fact]
    public void That_of_a_gpu_is_a_seed_and_an_offset_of_fours()
    {
        var state = new byte[16];
        Assert.True(GeneratorState.IsPossible(state, DeviceType.CUDA));
        state[8] = 6;
        Assert.False(GeneratorState.IsPossible(state, DeviceType.CUDA));
        Assert.False(GeneratorState.IsPossible(state.AsSpan(0, 8), DeviceType.CUDA));
    }
}
