using System.ComponentModel.DataAnnotations;

namespace MlNetMlp.Explanations;

/// <summary>Where the image with the signal goes.</summary>
public enum BlockPlacement
{
    /// <summary>Above or below, each in half of the rows, as the seed and the row's id decide.</summary>
    Random,

    /// <summary>Above.</summary>
    Top,

    /// <summary>Below.</summary>
    Bottom,
}

/// <summary>What the half without a signal shows.</summary>
public enum NullBlock
{
    /// <summary>A filled square in the middle, half as high and wide as the image.</summary>
    CentredSquare,

    /// <summary>Nothing.</summary>
    Zeros,

    /// <summary><see cref="BlockImageOptions.NullValues"/>.</summary>
    Vector,
}

/// <summary>How images are composed.</summary>
public sealed record BlockImageOptions : IValidatableObject
{
    /// <summary>Where the image goes; <see cref="BlockPlacement.Random"/> by default.</summary>
    public BlockPlacement Placement { get; init; } = BlockPlacement.Random;

    /// <summary>What the other half shows; <see cref="Explanations.NullBlock.CentredSquare"/> by default.</summary>
    public NullBlock NullBlock { get; init; } = NullBlock.CentredSquare;

    /// <summary>The other half [height · width] of <see cref="Explanations.NullBlock.Vector"/>; else null.</summary>
    public IReadOnlyList<float>? NullValues { get; init; }

    /// <summary>The value of the square, 1 by default.</summary>
    public float SquareValue { get; init; } = 1;

    /// <summary>Pixels of a row, in [1, 65536]; null (the default) for square images.</summary>
    [Range(1, 1 << 16)]
    public int? ImageWidth { get; init; }

    /// <summary>The column of masks, 1 on the half that shows the image; <c>SignalMask</c> by default.</summary>
    [Required]
    public string MaskColumnName { get; init; } = "SignalMask";

    /// <summary>Decides the placement, at least 0; 1 by default.</summary>
    [Range(0, int.MaxValue)]
    public int Seed { get; init; } = 1;

    /// <inheritdoc/>
    public IEnumerable<ValidationResult> Validate(ValidationContext validationContext)
    {
        if (NullBlock == NullBlock.Vector != NullValues is not null)
            yield return new($"option 'NullValues' must be given if and only if 'NullBlock' is Vector, but 'NullBlock' was {NullBlock}");
        if (!float.IsFinite(SquareValue) || NullValues?.Any(value => !float.IsFinite(value)) == true)
            yield return new("options 'SquareValue' and 'NullValues' must be finite");
    }

    /// <summary>The half without a signal.</summary>
    /// <param name="size">Number of pixels.</param>
    internal float[] NullPixels(int size)
    {
        var width = ImageWidth ?? (int)Math.Round(Math.Sqrt(size));
        if (NullBlock == NullBlock.Vector)
        {
            return NullValues!.Count == size
                ? [.. NullValues]
                : throw new InvalidOperationException($"The option 'NullValues' must have {size} values, one for each pixel, but has {NullValues.Count}.");
        }

        var pixels = new float[size];
        if (NullBlock == NullBlock.Zeros)
            return pixels;
        if (size % width != 0 || (ImageWidth is null && width * width != size))
            throw new InvalidOperationException($"Images of {size} pixels are not {(ImageWidth is null ? "square" : $"{width} wide")}: give the option 'ImageWidth'.");
        var height = size / width;
        for (var y = height / 4; y < height - (height / 4); y++)
            pixels.AsSpan((y * width) + (width / 4), width - (2 * (width / 4))).Fill(SquareValue);
        return pixels;
    }
}
