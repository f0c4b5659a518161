using System.ComponentModel.DataAnnotations;
using System.Text.Json.Serialization;
using static TorchSharp.torch;

namespace MlNetMlp.Networks;

/// <summary>How the values of an image's pixels follow each other.</summary>
public enum PixelOrder
{
    /// <summary>Channel by channel, each row by row: [channels, height, width], as ML.NET's <c>ExtractPixels</c> puts them unless it is told otherwise.</summary>
    Planar,

    /// <summary>Pixel by pixel: [height, width, channels].</summary>
    Interleaved,
}

/// <summary>The size of images whose pixels are the features of a row; a sequence is an image of one row.</summary>
/// <param name="Height">Rows of pixels, in [1, 4096].</param>
/// <param name="Width">Pixels of a row, in [1, 65536].</param>
/// <param name="Channels">Values of a pixel, in [1, 4096].</param>
public sealed record ImageShape(
    [property: Range(1, 4096)] int Height, [property: Range(1, 1 << 16)] int Width, [property: Range(1, 4096)] int Channels = 1)
{
    private const int MostColours = 4;

    /// <summary>How the values follow each other; <see cref="PixelOrder.Planar"/> by default.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingDefault)]
    public PixelOrder Order { get; init; }

    /// <summary>Number of features.</summary>
    [JsonIgnore]
    public long Size => (long)Height * Width * Channels;

    /// <summary>Whether the channels are ones that pixels of image files can become: grey, colours, or alpha and colours.</summary>
    [JsonIgnore]
    internal bool IsOfColours => Channels is 1 or 3 or MostColours;

    /// <summary>The rows as images, without a copy.</summary>
    /// <param name="rows">Features [rows, <see cref="Size"/>].</param>
    /// <returns>A view [rows, channels, height, width].</returns>
    public Tensor ToImages(Tensor rows)
    {
        if (Order == PixelOrder.Planar)
            return rows.view(-1, Channels, Height, Width);
        using var interleaved = rows.view(-1, Height, Width, Channels);
        return interleaved.permute(0, 3, 1, 2);
    }

    /// <summary>Images as rows of features: what <see cref="ToImages"/> undoes.</summary>
    /// <param name="images">Images [rows, channels, height, width].</param>
    /// <returns>Features [rows, <see cref="Size"/>].</returns>
    public Tensor ToRows(Tensor images)
    {
        if (Order == PixelOrder.Planar)
            return images.reshape(-1, Size);
        using var interleaved = images.permute(0, 2, 3, 1);
        return interleaved.reshape(-1, Size);
    }

    /// <summary>
    /// The shape that the dimensions of a vector tell of: of three the channels are the first or the last, whichever is at most 4, of two there is one channel. A flat vector
    /// is taken for a square of one channel or, channel by channel, of three.
    /// </summary>
    /// <param name="dimensions">The dimensions of the vector type; one where it is flat.</param>
    /// <returns>The shape, or null where the dimensions do not tell.</returns>
    public static ImageShape? Of(IReadOnlyList<int> dimensions) => dimensions switch
    {
        [var channels and <= MostColours, var height, var width] => new(height, width, channels),
        [var height, var width, var channels and <= MostColours] => new(height, width, channels) { Order = PixelOrder.Interleaved },
        [var height, var width] => new(height, width),
        [var size] when Side(size) is { } side => new(side, side),
        [var size] when size % 3 == 0 && Side(size / 3) is { } side => new(side, side, 3),
        _ => null,
    };

    /// <inheritdoc/>
    public override string ToString() => $"{Height} x {Width} x {Channels}{(Order == PixelOrder.Interleaved ? ", pixel by pixel" : "")}";

    private static int? Side(int size) => (int)Math.Round(Math.Sqrt(size)) is var side && side * side == size ? side : null;
}
