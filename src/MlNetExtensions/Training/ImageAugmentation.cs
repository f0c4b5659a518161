using System.ComponentModel.DataAnnotations;
using System.Text.Json.Serialization;
using MlNetMlp.Runtime;
using static TorchSharp.torch;

namespace MlNetMlp.Training;

/// <summary>
/// How images are changed at random while a network is trained on them. All of it is done to a batch at once, and what is drawn follows from the seed and the number of the
/// step alone.
/// </summary>
public sealed record ImageAugmentation
{
    private const double LeastErased = 0.02;
    private const double MostErased = 1.0 / 3;
    private const double LogAspect = 1.2039728043259361;

    /// <summary>Nothing is changed.</summary>
    public static ImageAugmentation None { get; } = new();

    /// <summary>
    /// What large sets of photographs are trained with: flips, mixup 0.8, CutMix 1 and erasing 0.25. Too much for some epochs on a small set.
    /// </summary>
    public static ImageAugmentation Photographs { get; } = new() { HorizontalFlip = true, MixupAlpha = 0.8, CutMixAlpha = 1, ErasingProbability = 0.25 };

    /// <summary>Whether half of the images are mirrored, left to right; false by default. Not for digits and letters.</summary>
    public bool HorizontalFlip { get; init; }

    /// <summary>Most pixels that an image is shifted by in each direction, with zeros moving in, in [0, 64]; 0 by default.</summary>
    [Range(0, 64)]
    public int CropPadding { get; init; }

    /// <summary>Probability that a rectangle of 2 % to a third of an image becomes its channels' mean, in [0, 1]; 0 by default.</summary>
    [Range(0, 1)]
    public double ErasingProbability { get; init; }

    /// <summary>α of mixup, in [0, 100], 0 for none; 0 by default. One share λ ~ Beta(α, α) is drawn for a batch, whose images are mixed with others of it.</summary>
    [Range(0, 100)]
    public double MixupAlpha { get; init; }

    /// <summary>
    /// α of CutMix, in [0, 100], 0 for none; 0 by default. A rectangle of the share 1 − λ, with λ ~ Beta(α, α), comes from another image of the batch (Yun and others, "CutMix",
    /// 2019).
    /// </summary>
    [Range(0, 100)]
    public double CutMixAlpha { get; init; }

    /// <summary>Probability that a batch is cut where both kinds of mixing are on, in [0, 1]; 0.5 by default.</summary>
    [Range(0, 1)]
    public double MixSwitchProbability { get; init; } = 0.5;

    /// <summary>Whether images of a batch are mixed with each other.</summary>
    [JsonIgnore]
    public bool Mixes => MixupAlpha > 0 || CutMixAlpha > 0;

    /// <summary>Changes images one by one.</summary>
    /// <param name="images">Images [rows, channels, height, width].</param>
    /// <param name="mean">Means of the channels, [channels, 1, 1].</param>
    /// <param name="random">Where numbers are drawn from, on the CPU.</param>
    /// <returns>Images of the same shape; the given ones where nothing is to be changed.</returns>
    public Tensor Change(Tensor images, Tensor mean, Generator random)
    {
        ArgumentNullException.ThrowIfNull(images);
        if (HorizontalFlip)
            images = where(Draw(images, random).IsAbove(0.5), images.flip(3), images);
        if (CropPadding > 0)
            images = Shift(images, random);
        return ErasingProbability > 0 ? Erase(images, mean, random) : images;
    }

    /// <summary>Mixes images with others of the batch; call it where <see cref="MixupAlpha"/> or <see cref="CutMixAlpha"/> is above 0.</summary>
    /// <param name="images">Images [rows, channels, height, width].</param>
    /// <param name="random">Where numbers are drawn from, on the CPU.</param>
    /// <returns>The mixed images, the partner of each row, and the share λ that a row keeps of its own label.</returns>
    public (Tensor Images, Tensor Order, Tensor Share) Mix(Tensor images, Generator random)
    {
        ArgumentNullException.ThrowIfNull(images);
        var cuts = CutMixAlpha > 0 && (MixupAlpha == 0 || empty(1).uniform_(0, 1, random).item<float>() < MixSwitchProbability);
        using var alpha = tensor(new[] { (float)(cuts ? CutMixAlpha : MixupAlpha) });
        var share = distributions.Beta(alpha, alpha, random).sample();
        var order = randperm(images.shape[0], generator: random).to(images.device);
        var partners = images.index_select(0, order);
        if (!cuts)
        {
            share = share.to(images.device);
            return (lerp(partners, images, share), order, share);
        }

        // The rectangle is cut to the image, so that the share is that of the pixels.
        var (height, width) = ((int)images.shape[2], (int)images.shape[3]);
        var side = Math.Sqrt(1 - share.item<float>());
        using var centre = empty(2).uniform_(0, 1, random);
        var (top, bottom) = Span(centre[0].item<float>(), height, side);
        var (left, right) = Span(centre[1].item<float>(), width, side);
        var mixed = images.clone();
        using (var target = mixed.narrow(2, top, bottom - top).narrow(3, left, right - left))
        using (var source = partners.narrow(2, top, bottom - top).narrow(3, left, right - left))
            target.copy_(source);
        var kept = 1 - ((float)((bottom - top) * (right - left)) / (height * width));
        return (mixed, order, tensor(kept, device: images.device));

        static (int From, int To) Span(float centre, int size, double share)
        {
            var (middle, half) = ((int)(centre * size), (int)(size * share / 2));
            return (Math.Max(0, middle - half), Math.Min(size, middle + half));
        }
    }

    private static Tensor Draw(Tensor images, Generator random) => empty(images.shape[0], 1, 1, 1).uniform_(0, 1, random).to(images.device);

    private Tensor Shift(Tensor images, Generator random)
    {
        var (rows, channels, height, width) = (images.shape[0], images.shape[1], images.shape[2], images.shape[3]);
        var wide = width + (2 * CropPadding);
        var padded = nn.functional.pad(images, [CropPadding, CropPadding, CropPadding, CropPadding]).reshape(rows, channels, -1);
        var corners = empty(2, rows, 1, 1).uniform_(0, (2 * CropPadding) + 1, random).floor_().to(ScalarType.Int64).to(images.device);
        var y = arange(height, device: images.device).view(1, height, 1).Plus(corners[0]);
        var x = arange(width, device: images.device).view(1, 1, width).Plus(corners[1]);
        var places = y.mul(tensor(wide, device: images.device)).Plus(x).view(rows, 1, height * width).expand(rows, channels, height * width);
        return padded.gather(2, places).view(images.shape);
    }

    private Tensor Erase(Tensor images, Tensor mean, Generator random)
    {
        var (height, width) = (images.shape[2], images.shape[3]);
        var draws = empty([5, images.shape[0], 1, 1, 1]).uniform_(0, 1, random).to(images.device);
        var area = draws[1].Times(MostErased - LeastErased).Plus(LeastErased);
        var aspect = draws[2].Times(2 * LogAspect).Plus(-LogAspect).exp();
        var inside = Within(height, area.mul(aspect).sqrt(), draws[3], 2).logical_and(Within(width, area.div(aspect).sqrt(), draws[4], 3));
        var erased = inside.logical_and(draws[0].IsAbove(1 - ErasingProbability));
        return where(erased, mean, images);

        // Whether places along one axis lie in an interval of some share of it.
        Tensor Within(long size, Tensor share, Tensor at, int axis)
        {
            var length = share.Times(size).round_().CutTo(1, size);
            var start = at.mul(length.neg().Plus(size + 1)).floor();
            var shape = new long[] { 1, 1, 1, 1 };
            shape[axis] = size;
            var place = arange(size, ScalarType.Float32, images.device).view(shape);
            return place.ge(start).logical_and(place.lt(start.Plus(length)));
        }
    }
}
