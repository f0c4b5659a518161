using System.Text.Json;
using MlNetMlp.Methods;
using MlNetMlp.Options;
using MlNetMlp.Persistence;

namespace MlNetMlp.Explanations;

/// <summary>What an explanation keeps of the rows that it is fitted to, and its options: all of it but the model.</summary>
/// <param name="Options">The options.</param>
/// <param name="Minimum">The least value of each feature.</param>
/// <param name="Maximum">The greatest.</param>
/// <param name="Mean">The mean.</param>
/// <param name="SlotNames">Names of the features, or null.</param>
internal sealed record ExplanationState(
    ExplanationOptions Options, IReadOnlyList<float> Minimum, IReadOnlyList<float> Maximum, IReadOnlyList<float> Mean, IReadOnlyList<string>? SlotNames)
{
    public const string EntryName = "Explanation.json";

    public int Features => Mean.Count;

    /// <summary>The group of each slot, and the groups' names; null where slots are not grouped.</summary>
    public (int[] GroupOf, string[] Names)? Groups()
    {
        if (Options.GroupBySlotPrefix is not { } separator)
            return null;
        var names = SlotNames ?? throw new InvalidOperationException("The option 'GroupBySlotPrefix' needs names of the slots, but the feature column has none.");
        var (groups, order) = (new Dictionary<string, int>(StringComparer.Ordinal), new List<string>());
        int[] groupOf =
        [
            .. names.Select(name =>
            {
                var end = name.IndexOf(separator, StringComparison.Ordinal);
                var prefix = end < 0 ? name : name[..end];
                if (!groups.TryGetValue(prefix, out var group))
                {
                    groups.Add(prefix, group = order.Count);
                    order.Add(prefix);
                }

                return group;
            }),
        ];
        return (groupOf, [.. order]);
    }

    /// <summary>What is compared to.</summary>
    public float[] BaselineValues() => Options.Baseline switch
    {
        ExplanationBaseline.TrainingMean => [.. Mean],
        ExplanationBaseline.Vector => [.. Options.BaselineVector!],
        _ => new float[Features],
    };

    /// <summary>σ of each feature.</summary>
    public float[] Deviations() => [.. Maximum.Zip(Minimum, (high, low) => (float)(Options.NoiseFraction * (high - low)))];

    /// <summary>Reads what <see cref="Write"/> wrote.</summary>
    /// <exception cref="ModelFormatException">It is damaged.</exception>
    public static ExplanationState Read(ReadOnlySpan<byte> json)
    {
        try
        {
            var state = JsonSerializer.Deserialize<ExplanationState>(json, StrictJson.Settings) ?? throw new JsonException("it is empty");
            OptionRanges.Check(state.Options, EntryName);
            var width = state.Mean.Count;
            if (width == 0 || state.Minimum.Count != width || state.Maximum.Count != width || (state.SlotNames is { } names && names.Count != width)
                || (state.Options.BaselineVector is { } baseline && baseline.Count != width)
                || state.Mean.Concat(state.Minimum).Concat(state.Maximum).Any(value => !float.IsFinite(value)))
            {
                throw new ModelFormatException($"{EntryName}: figures of {width}, {state.Minimum.Count} and {state.Maximum.Count} features do not belong together, or are not finite.");
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
