using System.ComponentModel.DataAnnotations;
using System.Text.Json.Serialization;
using MlNetMlp.Layers;
using MlNetMlp.Networks;
using MlNetMlp.Options;
using static TorchSharp.torch;

namespace MlNetMlp.Vision;

/// <summary>How a convolution goes over an image.</summary>
/// <param name="Kernel">Height and width of a kernel, in [1, 64].</param>
/// <param name="Stride">How far apart the places are, in [1, 64].</param>
/// <param name="Padding">Rows and columns of zeros around the image, in [0, 32].</param>
public sealed record PatchShape([property: Range(1, 64)] int Kernel, [property: Range(1, 64)] int Stride, [property: Range(0, 32)] int Padding)
{
    /// <summary>The grid of the places.</summary>
    /// <param name="grid">The grid that the convolution goes over.</param>
    /// <param name="isAlongRows">Whether it goes over each row for itself.</param>
    /// <returns>The grid, of no places where the kernel finds no room.</returns>
    internal TokenGrid Over(TokenGrid grid, bool isAlongRows)
    {
        return new(isAlongRows ? grid.Height : Places(grid.Height), Places(grid.Width));

        int Places(int size) => size + (2 * Padding) < Kernel ? 0 : ((size + (2 * Padding) - Kernel) / Stride) + 1;
    }

    /// <summary>Number of values of the layer.</summary>
    internal long WeightCount(int inputs, int outputs, bool isAlongRows) => (((isAlongRows ? 1L : Kernel) * Kernel * inputs) + 1) * outputs;
}

/// <summary>Blocks of a network that see tokens of one size.</summary>
public sealed record MetaFormerStage
{
    /// <summary>Number of blocks, in [1, 64].</summary>
    [Range(1, 64)]
    public required int Depth { get; init; }

    /// <summary>D, values of a token, in [1, 8192].</summary>
    [Range(1, 8192)]
    public required int Dim { get; init; }

    /// <summary>What mixes the tokens.</summary>
    [Required]
    public required TokenMixer Mixer { get; init; }

    /// <summary>What tokens are normalised by.</summary>
    public required TokenNorm Norm { get; init; }

    /// <summary>How many times D the MLP of a block is wide inside, in [0, 16]; 0 for none.</summary>
    [Range(0, 16)]
    public required int MlpRatio { get; init; }

    /// <summary>Whether a trained value for each place and channel is added before the blocks.</summary>
    public required bool HasPositionMap { get; init; }
}

/// <summary>Shapes and switches of the network of a <see cref="MetaFormer"/> and of every other method that puts a mixer of its own into it: its file format.</summary>
public sealed record MetaFormerDefinition : NetworkDefinition, IValidatableObject
{
    /// <summary>Size and order of the images.</summary>
    [Required]
    public required ImageShape Image { get; init; }

    /// <summary>Whether rows are sequences, images of one row, and convolutions go along it.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingDefault)]
    public bool IsSequence { get; init; }

    /// <summary>The convolution that makes the first tokens.</summary>
    [Required]
    public required PatchShape Stem { get; init; }

    /// <summary>The convolution between two stages.</summary>
    [Required]
    public required PatchShape DownSampling { get; init; }

    /// <summary>The stages, one at least.</summary>
    [Required]
    public required ValueList<MetaFormerStage> Stages { get; init; }

    /// <summary>Whether each branch of a block has a trained factor for each channel.</summary>
    public required bool HasLayerScale { get; init; }

    /// <summary>Whether what comes into a branch also goes past it.</summary>
    public required bool HasResiduals { get; init; }

    /// <summary>Whether the last layer is left out, so that the values that it would read are put out.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingDefault)]
    public bool IsBody { get; init; }

    /// <inheritdoc/>
    public override NetworkDefinition? Body => IsBody ? null : this with { IsBody = true, Outputs = Stages[^1].Dim };

    /// <inheritdoc/>
    public override long WeightCount
    {
        get
        {
            // Means and factors of the channels of pixels, the last normalisation and layer.
            var last = Stages[^1];
            var count = (2L * Image.Channels) + TokenNormalization.WeightCount(last.Norm, last.Dim) + (IsBody ? 0 : (last.Dim + 1L) * Outputs);
            var inputs = Image.Channels;
            var patches = Stem;
            foreach (var (stage, grid) in Stages.Zip(Grids()))
            {
                count += patches.WeightCount(inputs, stage.Dim, IsSequence) + (stage.HasPositionMap ? (long)grid.Count * stage.Dim : 0);
                var block = stage.Mixer.WeightCount(stage.Dim, grid) + TokenNormalization.WeightCount(stage.Norm, stage.Dim) + (HasLayerScale ? stage.Dim : 0);
                if (stage.MlpRatio > 0)
                    block += ChannelMlp.WeightCount(stage.Dim, stage.MlpRatio) + TokenNormalization.WeightCount(stage.Norm, stage.Dim) + (HasLayerScale ? stage.Dim : 0);
                count += stage.Depth * block;
                (inputs, patches) = (stage.Dim, DownSampling);
            }

            return count;
        }
    }

    /// <inheritdoc/>
    public override long MultiplicationsPerRow
    {
        get
        {
            var count = (long)Stages[^1].Dim * Outputs;
            var inputs = Image.Channels;
            var patches = Stem;
            foreach (var (stage, grid) in Stages.Zip(Grids()))
            {
                count += grid.Count * patches.WeightCount(inputs, stage.Dim, IsSequence);
                count += stage.Depth * (stage.Mixer.Multiplications(stage.Dim, grid) + (2L * grid.Count * stage.MlpRatio * stage.Dim * stage.Dim));
                (inputs, patches) = (stage.Dim, DownSampling);
            }

            return count;
        }
    }

    /// <inheritdoc/>
    public override long WidestLayer => Stages.Zip(Grids()).Max(pair => (long)pair.Second.Count * pair.First.Dim * Math.Max(3, pair.First.MlpRatio));

    /// <summary>The grids of the stages.</summary>
    internal IEnumerable<TokenGrid> Grids()
    {
        var grid = new TokenGrid(Image.Height, Image.Width);
        for (var i = 0; i < Stages.Count; i++)
            yield return grid = (i == 0 ? Stem : DownSampling).Over(grid, IsSequence);
    }

    /// <inheritdoc/>
    public override Network Build(Device device) => new MetaFormerNetwork(this, device);

    /// <inheritdoc/>
    public IEnumerable<ValidationResult> Validate(ValidationContext validationContext)
    {
        if (Image.Size != Inputs)
            yield return new($"'Image' must be of {Inputs} values, one for each input, but {Image} has {Image.Size}");
        if (IsSequence && Image.Height != 1)
            yield return new($"'Image' of a sequence must be of one row, but was {Image}");
        if (Stages.Count is 0 or > 16)
        {
            yield return new($"'Stages' must be 1 to 16, but were {Stages.Count}");
            yield break;
        }

        if (IsBody && Outputs != Stages[^1].Dim)
            yield return new($"'Outputs' of a body must be the {Stages[^1].Dim} values of a token, but were {Outputs}");
        foreach (var (i, stage, grid) in Stages.Zip(Grids()).Select((pair, i) => (i, pair.First, pair.Second)))
        {
            if (grid.Height == 0 || grid.Width == 0)
            {
                yield return new($"{(IsSequence ? $"sequences of {Image.Width} steps" : $"images of {Image}")} leave stage {i + 1} no place for a token; give larger ones, or a smaller 'Stem' or 'DownSampling', or fewer 'Stages'");
                yield break;
            }

            if (stage.Mixer.Fault(stage.Dim, grid) is { } fault)
                yield return new($"stage {i + 1}: {fault}");
        }
    }
}
