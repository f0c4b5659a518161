using MlNetMlp.Networks;

namespace MlNetMlp.Data;

/// <summary>
/// Makes rows of features of images of four bytes for a pixel: channels from 0 to 255, in the order in which ML.NET's <c>ExtractPixels</c> has them. An image of another size is
/// stretched to it: each new pixel is a mean of those under it, with weights that fall linearly from its middle to zero at the middles of its neighbours.
/// </summary>
/// <param name="shape">What images become: grey, red, green and blue, or those behind the alpha channel.</param>
internal sealed class PixelRows(ImageShape shape)
{
    private const int PixelBytes = 4;
    private const int Alpha = 3;

    // Those of ML.NET's ConvertToGrayscale.
    private const float Red = 0.3f;
    private const float Green = 0.59f;
    private const float Blue = 0.11f;

    private (Line Rows, Line Columns)? _lines;
    private float[] _plane = [];
    private float[] _narrowed = [];

    /// <summary>Writes an image.</summary>
    /// <param name="pixels">Row by row, pixel by pixel: red, green, blue and alpha.</param>
    /// <param name="height">Rows of pixels.</param>
    /// <param name="width">Pixels of a row.</param>
    /// <param name="isBlueFirst">Whether blue and red are exchanged.</param>
    /// <param name="destination">Room for the image.</param>
    public void Write(ReadOnlySpan<byte> pixels, int height, int width, bool isBlueFirst, Span<float> destination)
    {
        var size = height * width;
        if (_plane.Length < size)
            _plane = new float[size];
        for (var channel = 0; channel < shape.Channels; channel++)
        {
            Extract(pixels, channel, isBlueFirst, _plane.AsSpan(0, size));
            var plane = Resized(_plane.AsSpan(0, size), height, width);
            if (shape.Order == PixelOrder.Planar)
            {
                plane.CopyTo(destination[(channel * plane.Length)..]);
                continue;
            }

            for (var place = 0; place < plane.Length; place++)
                destination[(place * shape.Channels) + channel] = plane[place];
        }
    }

    private void Extract(ReadOnlySpan<byte> pixels, int channel, bool isBlueFirst, Span<float> plane)
    {
        var (red, blue) = isBlueFirst ? (2, 0) : (0, 2);
        if (shape.Channels == 1)
        {
            for (var i = 0; i < plane.Length; i++)
                plane[i] = (Red * pixels[(i * PixelBytes) + red]) + (Green * pixels[(i * PixelBytes) + 1]) + (Blue * pixels[(i * PixelBytes) + blue]);
            return;
        }

        ReadOnlySpan<int> offsets = shape.Channels == PixelBytes ? [Alpha, red, 1, blue] : [red, 1, blue];
        for (int i = 0, from = offsets[channel]; i < plane.Length; i++, from += PixelBytes)
            plane[i] = pixels[from];
    }

    private ReadOnlySpan<float> Resized(ReadOnlySpan<float> plane, int height, int width)
    {
        if (height == shape.Height && width == shape.Width)
            return plane;
        if (_lines is not { } lines || lines.Rows.Length != height || lines.Columns.Length != width)
            _lines = lines = (new(height, shape.Height), new(width, shape.Width));
        var needed = (height + shape.Height) * shape.Width;
        if (_narrowed.Length < needed)
            _narrowed = new float[needed];
        var narrow = _narrowed.AsSpan(0, height * shape.Width);
        var result = _narrowed.AsSpan(narrow.Length, shape.Height * shape.Width);
        for (var y = 0; y < height; y++)
            lines.Columns.Apply(plane.Slice(y * width, width), narrow.Slice(y * shape.Width, shape.Width));
        lines.Rows.ApplyDown(narrow, result, shape.Width);
        return result;
    }

    /// <summary>Brings lines of numbers to another length.</summary>
    private sealed class Line
    {
        private readonly int[] _first;
        private readonly float[][] _weights;

        public Line(int length, int target)
        {
            (Length, _first, _weights) = (length, new int[target], new float[target][]);
            var step = length / (double)target;
            var reach = Math.Max(1, step);
            for (var i = 0; i < target; i++)
            {
                var middle = (i + 0.5) * step;
                var first = Math.Max(0, (int)Math.Ceiling(middle - reach - 0.5));
                var last = Math.Min(length - 1, (int)Math.Floor(middle + reach - 0.5));
                var weights = Enumerable.Range(first, last - first + 1).Select(j => Math.Max(0, 1 - (Math.Abs(j + 0.5 - middle) / reach))).ToArray();
                var sum = weights.Sum();
                (_first[i], _weights[i]) = (first, [.. weights.Select(weight => (float)(weight / sum))]);
            }
        }

        public int Length { get; }

        public void Apply(ReadOnlySpan<float> from, Span<float> to)
        {
            for (var i = 0; i < to.Length; i++)
            {
                var sum = 0f;
                for (var j = 0; j < _weights[i].Length; j++)
                    sum += _weights[i][j] * from[_first[i] + j];
                to[i] = sum;
            }
        }

        public void ApplyDown(ReadOnlySpan<float> from, Span<float> to, int width)
        {
            to.Clear();
            for (var i = 0; i < _first.Length; i++)
            {
                var line = to.Slice(i * width, width);
                for (var j = 0; j < _weights[i].Length; j++)
                    System.Numerics.Tensors.TensorPrimitives.MultiplyAdd(from.Slice((_first[i] + j) * width, width), _weights[i][j], line, line);
            }
        }
    }
}
