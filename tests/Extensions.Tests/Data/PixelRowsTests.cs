using MlNetMlp.Data;
using MlNetMlp.Networks;
using TorchSharp;
using static TorchSharp.torch;

namespace MlNetMlp.Tests.Data;

public sealed class PixelRowsTests
{
    private static readonly byte[] Noise = Bytes(7 * 5 * 4);

    [Fact]
    public void Channels_lie_as_the_shape_says()
    {
        // Two pixels: red, green, blue and alpha.
        byte[] pixels = [10, 20, 30, 40, 50, 60, 70, 80];
        Assert.Equal([10, 50, 20, 60, 30, 70], Write(new(1, 2, 3), pixels, 1, 2));
        Assert.Equal([10, 20, 30, 50, 60, 70], Write(new(1, 2, 3) { Order = PixelOrder.Interleaved }, pixels, 1, 2));
        Assert.Equal([40, 80, 10, 50, 20, 60, 30, 70], Write(new(1, 2, 4), pixels, 1, 2));
        Assert.Equal([18.1f, 58.1f], Write(new(1, 2), pixels, 1, 2), (a, b) => Math.Abs(a - b) < 1e-4);
        byte[] exchanged = [30, 20, 10, 40, 70, 60, 50, 80];
        Assert.Equal(Write(new(1, 2, 4), pixels, 1, 2), Write(new(1, 2, 4), exchanged, 1, 2, isBlueFirst: true));
        Assert.Equal(Write(new(1, 2), pixels, 1, 2), Write(new(1, 2), exchanged, 1, 2, isBlueFirst: true));
    }

    [Fact]
    public void Larger_images_are_interpolated_as_torch_does()
    {
        using var scope = NewDisposeScope();
        var plane = tensor(Write(new(7, 5), Noise, 7, 5)).view(1, 1, 7, 5);
        var expected = nn.functional.interpolate(plane, [17, 11], mode: InterpolationMode.Bilinear, align_corners: false);

        Assert.Equal(expected.data<float>().ToArray(), Write(new(17, 11), Noise, 7, 5), (a, b) => Math.Abs(a - b) < 1e-3);
    }

    [Theory]
    [InlineData(3, 2)]
    [InlineData(7, 2)]
    [InlineData(2, 9)]
    public void Every_pixel_counts_where_an_image_gets_smaller(int height, int width)
    {
        // Means of a constant are the constant, and a change of any one pixel is seen.
        var flat = new byte[Noise.Length];
        Array.Fill(flat, (byte)120);
        Assert.All(Write(new(height, width, 3), flat, 7, 5), value => Assert.Equal(120, value, 1e-4));
        for (var pixel = 0; pixel < 35; pixel++)
        {
            var changed = (byte[])flat.Clone();
            changed[4 * pixel] = 255;
            Assert.Contains(Write(new(height, width, 3), changed, 7, 5), value => value > 121);
        }
    }

    [Fact]
    public void Halving_a_ramp_gives_the_ramp_and_mirroring_commutes()
    {
        byte[] ramp = [.. Enumerable.Range(0, 16).SelectMany(x => new byte[] { (byte)(10 * x), 0, 0, 0 })];
        var half = Write(new(1, 8, 3), ramp, 1, 16);
        Assert.Equal([25, 45, 65, 85, 105, 125], half[1..7], (a, b) => Math.Abs(a - b) < 1e-3);

        byte[] mirrored = [.. ramp.Chunk(4).Reverse().SelectMany(pixel => pixel)];
        Assert.Equal(half[..8].Reverse(), Write(new(1, 8, 3), mirrored, 1, 16)[..8], (a, b) => Math.Abs(a - b) < 1e-3);
    }

    [Fact]
    public void Images_of_several_sizes_go_through_one_writer()
    {
        var rows = new PixelRows(new(4, 4, 3));
        float[] first = new float[48], again = new float[48];
        rows.Write(Noise, 7, 5, false, first);
        rows.Write(Bytes(400), 10, 10, false, again);
        rows.Write(Noise, 7, 5, false, again);
        Assert.Equal(first, again);
    }

    private static float[] Write(ImageShape shape, byte[] pixels, int height, int width, bool isBlueFirst = false)
    {
        var row = new float[shape.Size];
        new PixelRows(shape).Write(pixels, height, width, isBlueFirst, row);
        return row;
    }

    private static byte[] Bytes(int count)
    {
        var bytes = new byte[count];
        new Random(1).NextBytes(bytes);
        return bytes;
    }
}
