using System.Runtime.CompilerServices;
using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.Transforms.Image;
using MlNetMlp.Networks;

namespace MlNetMlp.Data;

/// <summary>
/// Columns of ML.NET's images. Their assembly is only there where a program has such columns: but for methods that are not entered without one, and <see cref="ImageReader"/>,
/// nothing may name its types.
/// </summary>
internal static class ImageColumn
{
    private const int Colours = 3;

    /// <summary>Whether a column holds images.</summary>
    /// <param name="type">The type of the column.</param>
    /// <returns>Whether it does.</returns>
    public static bool IsImage(DataViewType type) => type is not VectorDataViewType && type.RawType.FullName == "Microsoft.ML.Data.MLImage";

    /// <summary>What the images of a column become.</summary>
    /// <param name="column">A column of images.</param>
    /// <param name="wanted">What they are asked to become; null for the size that the column's type tells.</param>
    /// <returns>The shape.</returns>
    /// <exception cref="ArgumentOutOfRangeException">Nothing tells of a size, or the channels are not those of images.</exception>
    public static ImageShape ShapeOf(DataViewSchema.Column column, ImageShape? wanted)
    {
        var shape = wanted ?? SizeOf(column.Type) ?? throw DataErrors.UnknownImageSize(column.Name);
        return shape.IsOfColours ? shape : throw DataErrors.ImageChannels(column.Name, shape.Channels);
    }

    /// <summary>Makes the reader of a column of images.</summary>
    /// <param name="row">The rows.</param>
    /// <param name="name">The column.</param>
    /// <param name="shape">What the images become.</param>
    /// <returns>The reader.</returns>
    [MethodImpl(MethodImplOptions.NoInlining)]
    public static FeatureReader CreateReader(DataViewRow row, string name, ImageShape shape) => new ImageReader(row, name, shape);

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static ImageShape? SizeOf(DataViewType type) => type is ImageDataViewType { Height: > 0, Width: > 0 } image ? new(image.Height, image.Width, Colours) : null;
}

/// <summary>A row that is an image.</summary>
internal sealed class ImageReader(DataViewRow row, string name, ImageShape shape) : FeatureReader
{
    private readonly ValueGetter<MLImage> _getter = row.GetGetter<MLImage>(row.Schema[name]);
    private readonly PixelRows _pixels = new(shape);
    private MLImage? _image;

    // The image that was read last is given back, for whoever made it to dispose of; one that a user holds in memory must stay as it is.
    public override int Load()
    {
        _getter(ref _image!);
        return _image is null ? throw DataErrors.NoImage(name, row.Position) : (int)shape.Size;
    }

    public override void Write(Span<float> destination) =>
        _pixels.Write(_image!.Pixels, _image.Height, _image.Width, _image.PixelFormat == MLPixelFormat.Bgra32, destination[..(int)shape.Size]);
}
