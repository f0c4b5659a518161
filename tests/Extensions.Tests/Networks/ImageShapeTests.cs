using MlNetMlp.Networks;
using MlNetMlp.Runtime;
using static TorchSharp.torch;

namespace MlNetMlp.Tests.Networks;

public sealed class ImageShapeTests
{
    static ImageShapeTests() => LibTorch.Load();

    public static TheoryData<int[], ImageShape?> Dimensions => new()
    {
        { [3, 20, 30], new(20, 30, 3) },
        { [20, 30, 3], new(20, 30, 3) { Order = PixelOrder.Interleaved } },
        { [1, 4, 4], new(4, 4) },
        { [20, 30], new(20, 30) },
        { [784], new(28, 28) },
        { [3072], new(32, 32, 3) },
        { [783], null },
        { [20, 30, 8], null },
        { [2, 3, 4, 5], null },
    };

    [Theory]
    [MemberData(nameof(Dimensions))]
    public void Dimensions_tell_the_shape(int[] dimensions, ImageShape? expected) => Assert.Equal(expected, ImageShape.Of(dimensions));

    [Fact]
    public void Both_orders_are_the_same_images()
    {
        using var scope = NewDisposeScope();
        var images = arange(2 * 3 * 4 * 5, ScalarType.Float32).view(2, 3, 4, 5);
        foreach (var order in Enum.GetValues<PixelOrder>())
        {
            var shape = new ImageShape(4, 5, 3) { Order = order };
            var rows = shape.ToRows(images);
            Assert.Equal([2, 60], rows.shape);
            Assert.True(shape.ToImages(rows).eq(images).all().item<bool>());

            // The second value is the next pixel's in planes, the next channel's otherwise.
            Assert.Equal(order == PixelOrder.Planar ? 1 : 20, rows[0, 1].item<float>());
        }
    }
}
