using MlNetMlp.Runtime;
using MlNetMlp.Training;
using TorchSharp;
using static TorchSharp.torch;

namespace MlNetMlp.Tests.Training;

public sealed class ImageAugmentationTests : IDisposable
{
    private const int Rows = 64, Height = 10, Width = 12;

    private readonly DisposeScope _scope = NewDisposeScope();
    private readonly Tensor _images;
    private readonly Tensor _mean;

    static ImageAugmentationTests() => LibTorch.Load();

    public ImageAugmentationTests()
    {
        // Every pixel of all images is another number above 0.
        _images = arange(1, 1 + (Rows * 2 * Height * Width), ScalarType.Float32).view(Rows, 2, Height, Width);
        _mean = tensor(new[] { -1f, -2 }).view(2, 1, 1);
    }

    public void Dispose() => _scope.Dispose();

    [Fact]
    public void Nothing_changes_without_a_wish() => Assert.Same(_images, ImageAugmentation.None.Change(_images, _mean, new Generator(1)));

    [Fact]
    public void Half_of_the_images_are_mirrored()
    {
        var flipped = new ImageAugmentation { HorizontalFlip = true }.Change(_images, _mean, new Generator(1));

        var same = Enumerable.Range(0, Rows).Count(i => flipped[i].eq(_images[i]).all().item<bool>());
        var mirrored = Enumerable.Range(0, Rows).Count(i => flipped[i].eq(_images[i].flip(2)).all().item<bool>());
        Assert.Equal(Rows, same + mirrored);
        Assert.InRange(mirrored, 16, 48);
    }

    [Fact]
    public void Images_are_shifted_with_zeros_moving_in()
    {
        var shifted = new ImageAugmentation { CropPadding = 2 }.Change(_images, _mean, new Generator(1));

        var padded = nn.functional.pad(_images, [2, 2, 2, 2]);
        var seen = new HashSet<(int, int)>();
        for (var i = 0; i < Rows; i++)
        {
            var moves = from y in Enumerable.Range(0, 5)
                        from x in Enumerable.Range(0, 5)
                        where shifted[i].eq(padded[i].narrow(1, y, Height).narrow(2, x, Width)).all().item<bool>()
                        select (y, x);
            seen.Add(Assert.Single(moves));
        }

        Assert.True(seen.Count > 15, $"only {seen.Count} of 25 shifts");
        Assert.All(Enumerable.Range(0, 5), i => Assert.Contains(seen, move => move.Item1 == i));
    }

    [Fact]
    public void Rectangles_are_erased()
    {
        var erased = new ImageAugmentation { ErasingProbability = 0.5 }.Change(_images, _mean, new Generator(1));

        var changed = erased.ne(_images);
        var areas = TensorMemory.ToFloats(changed.select(1, 0).sum([1, 2]));
        Assert.InRange(areas.Count(a => a > 0), 16, 48);
        Assert.Equal(changed.select(1, 0).sum(ScalarType.Int64).item<long>(), changed.select(1, 1).sum(ScalarType.Int64).item<long>());
        for (var i = 0; i < Rows; i++)
        {
            if (areas[i] == 0)
                continue;

            // A rectangle: as many pixels as rows times columns that it touches, all of them the mean.
            var mask = changed[i, 0];
            var (rows, columns) = (mask.any(1).sum(ScalarType.Int64).item<long>(), mask.any(0).sum(ScalarType.Int64).item<long>());
            Assert.Equal(areas[i], rows * columns);
            Assert.InRange(areas[i] / (Height * Width), 0, 0.45);
            Assert.Equal(-1, erased[i, 0].min().item<float>());
            Assert.Equal(-2, erased[i, 1].min().item<float>());
        }
    }

    [Fact]
    public void Mixup_adds_two_images_by_the_share()
    {
        var (mixed, order, share) = new ImageAugmentation { MixupAlpha = 1 }.Mix(_images, new Generator(3));

        var expected = (_images * share) + (_images.index_select(0, order) * (1 - share));
        Assert.InRange(share.item<float>(), 0, 1);
        Assert.True((mixed - expected).abs().max().item<float>() < 1e-2);
        Assert.Equal(Enumerable.Range(0, Rows).Select(i => (long)i), order.data<long>().ToArray().Order());
    }

    [Fact]
    public void Cuts_keep_the_share_of_the_pixels()
    {
        var cuts = new ImageAugmentation { CutMixAlpha = 1 };
        for (var seed = 1UL; seed < 20; seed++)
        {
            var (mixed, order, share) = cuts.Mix(_images, new Generator(seed));
            var partners = _images.index_select(0, order);
            var own = mixed.eq(_images);
            Assert.True(own.logical_or(mixed.eq(partners)).all().item<bool>());
            var moved = order.ne(arange(Rows)).nonzero().flatten();
            Assert.Equal(share.item<float>(), own.index_select(0, moved).to(ScalarType.Float32).mean().item<float>(), 1e-5);
        }
    }

    [Fact]
    public void Both_kinds_of_mixing_take_turns()
    {
        var both = new ImageAugmentation { MixupAlpha = 1, CutMixAlpha = 1, MixSwitchProbability = 0.5 };
        var cut = Enumerable.Range(1, 100).Count(seed =>
        {
            var (mixed, order, _) = both.Mix(_images, new Generator((ulong)seed));
            return mixed.eq(_images).logical_or(mixed.eq(_images.index_select(0, order))).all().item<bool>();
        });

        Assert.InRange(cut, 35, 65);
    }

    [Fact]
    public void Steps_draw_the_same_whatever_was_drawn_before()
    {
        var all = ImageAugmentation.Photographs with { CropPadding = 2 };
        var (first, second, other) = (new StepRandom(5), new StepRandom(5), new StepRandom(6));
        using (var idle = first.Next())
            empty(1000).normal_(0, 1, idle);
        using (second.Next())
        using (other.Next())
        {
        }

        using Generator a = first.Next(), b = second.Next(), c = other.Next();
        var (x, y, z) = (all.Change(_images, _mean, a), all.Change(_images, _mean, b), all.Change(_images, _mean, c));
        Assert.True(x.eq(y).all().item<bool>());
        Assert.False(x.eq(z).all().item<bool>());
        Assert.False(x.eq(all.Change(_images, _mean, second.Next())).all().item<bool>());
    }
}
