using MlNetMlp.Persistence;

namespace MlNetMlp.Tests.Persistence;

public class Crc32Tests
{
    [Fact]
    public void Gives_the_published_check_values()
    {
        Assert.Equal(0u, Sum([]));
        Assert.Equal(0xCBF43926u, Sum("123456789"u8));
        Assert.Equal(0x414FA339u, Sum("The quick brown fox jumps over the lazy dog"u8));
        Assert.Equal(0x190A55ADu, Sum(new byte[32]));
    }

    [Fact]
    public void Parts_of_any_length_give_the_sum_of_the_whole()
    {
        byte[] all = [.. Enumerable.Range(0, 100).Select(i => (byte)(i * 37))];
        for (var cut = 0; cut <= all.Length; cut++)
        {
            var sum = new Crc32();
            sum.Append(all.AsSpan(0, cut));
            sum.Append(all.AsSpan(cut));
            Assert.Equal(Sum(all), sum.Value);
        }
    }

    private static uint Sum(ReadOnlySpan<byte> bytes)
    {
        var sum = new Crc32();
        sum.Append(bytes);
        return sum.Value;
    }
}
