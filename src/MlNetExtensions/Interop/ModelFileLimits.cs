using System.ComponentModel.DataAnnotations;
using MlNetMlp.Options;

namespace Microsoft.ML;

/// <summary>How large a model file may be for <see cref="ModelFile.Inspect(string, ModelFileLimits?)"/> and <see cref="ModelFile.Load(MLContext, string, ModelFileLimits, IReadOnlyCollection{string}, out DataViewSchema?)"/>.</summary>
public sealed record ModelFileLimits
{
    /// <summary>Most entries of the zip, 1 or more; 1,024 by default.</summary>
    [Range(1, int.MaxValue)]
    public int Entries { get; init; } = 1024;

    /// <summary>Most bytes of all entries, unpacked: what ML.NET writes to the folder of temporary files. 1 or more; 4 GiB by default.</summary>
    [Range(1, long.MaxValue)]
    public long Bytes { get; init; } = 4L << 30;

    /// <summary>Most unpacked bytes for one packed byte, in entries of more than 1,000,000 bytes. 1 or more; 100 by default.</summary>
    [Range(1, int.MaxValue)]
    public int Ratio { get; init; } = 100;

    /// <summary>Most bytes of the description of a network (<c>network.json</c>) and of the header of its weights, 1 or more; 1 MiB by default.</summary>
    [Range(1, int.MaxValue)]
    public int HeaderBytes { get; init; } = 1 << 20;

    /// <summary>Most tensors of one network, 1 or more; 10,000 by default.</summary>
    [Range(1, int.MaxValue)]
    public int Tensors { get; init; } = 10_000;

    /// <summary>Most seconds that loading may take, more than 0 and at most 86,400; 10 by default. Longer ones of sound models begin with networks of gigabytes.</summary>
    [Range(0, 86_400, MinimumIsExclusive = true)]
    public double Seconds { get; init; } = 10;

    internal static ModelFileLimits Checked(ModelFileLimits? limits)
    {
        limits ??= new();
        OptionRanges.Check(limits, nameof(ModelFileLimits));
        return limits;
    }
}
