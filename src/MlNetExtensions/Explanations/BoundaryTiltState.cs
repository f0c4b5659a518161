using System.Text.Json;
using MlNetMlp.Options;
using MlNetMlp.Persistence;

namespace MlNetMlp.Explanations;

/// <summary>What a diagnosis of boundaries keeps of the rows that it is fitted to, and its options: all of it but the model.</summary>
/// <param name="Options">The options.</param>
/// <param name="FalseMean">Mean of the rows whose label is false.</param>
/// <param name="TrueMean">Mean of the rows whose label is true.</param>
/// <param name="SlotNames">Names of the features, or null.</param>
internal sealed record BoundaryTiltState(BoundaryTiltOptions Options, IReadOnlyList<double> FalseMean, IReadOnlyList<double> TrueMean, IReadOnlyList<string>? SlotNames)
{
    public const string EntryName = "BoundaryTilt.json";

    public int Features => FalseMean.Count;

    /// <summary>Reads what <see cref="Write"/> wrote.</summary>
    /// <param name="json">The entry.</param>
    /// <exception cref="ModelFormatException">It is damaged.</exception>
    public static BoundaryTiltState Read(ReadOnlySpan<byte> json)
    {
        try
        {
            var state = JsonSerializer.Deserialize<BoundaryTiltState>(json, StrictJson.Settings) ?? throw new JsonException("it is empty");
            OptionRanges.Check(state.Options, EntryName);
            var width = state.Features;
            if (width == 0 || state.TrueMean.Count != width || (state.SlotNames is { } names && names.Count != width)
                || !state.FalseMean.Concat(state.TrueMean).All(double.IsFinite))
            {
                throw new ModelFormatException(
                    $"{EntryName}: means of {width} and {state.TrueMean.Count} features do not belong together, or are not finite.");
            }

            return state;
        }
        catch (Exception e) when (e is JsonException or ArgumentException)
        {
            throw new ModelFormatException($"{EntryName}: {e.Message}", e);
        }
    }

    public byte[] Write() => JsonSerializer.SerializeToUtf8Bytes(this, StrictJson.Settings);
}
