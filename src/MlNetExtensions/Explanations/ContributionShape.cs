namespace MlNetMlp.Explanations;

/// <summary>Turns the contributions of the slots of a row into those that are told: groups added up, small ones left out, all divided by the greatest.</summary>
/// <param name="options">What is wanted.</param>
/// <param name="groupOf">The group of each slot; null where each slot is told.</param>
/// <param name="slots">Number of slots.</param>
internal sealed class ContributionShape(ExplanationOptions options, int[]? groupOf, int slots)
{
    /// <summary>Number of contributions that are told.</summary>
    public int Width { get; } = groupOf is null ? slots : groupOf.Max() + 1;

    /// <summary>Shapes a row.</summary>
    /// <param name="found">A contribution for each slot.</param>
    /// <param name="told">Room for those that are told.</param>
    public void Write(ReadOnlySpan<float> found, Span<float> told)
    {
        if (groupOf is null)
        {
            found.CopyTo(told);
        }
        else
        {
            told.Clear();
            for (var slot = 0; slot < found.Length; slot++)
                told[groupOf[slot]] += found[slot];
        }

        if (options.Absolute)
        {
            foreach (ref var value in told)
                value = Math.Abs(value);
        }

        Keep(told, options.NumberOfPositiveContributions, sign: 1);
        Keep(told, options.NumberOfNegativeContributions, sign: -1);
        if (options.Normalize)
            Normalize(told);
    }

    // Of equal ones the first are kept.
    private static void Keep(Span<float> values, int? count, int sign)
    {
        if (count is not { } most)
            return;
        var ranked = new List<(float Value, int Slot)>();
        for (var slot = 0; slot < values.Length; slot++)
        {
            if (values[slot] * sign > 0)
                ranked.Add((values[slot] * sign, slot));
        }

        foreach (var (_, slot) in ranked.OrderByDescending(entry => entry.Value).Skip(most))
            values[slot] = 0;
    }

    private static void Normalize(Span<float> values)
    {
        var greatest = 0f;
        foreach (var value in values)
            greatest = Math.Max(greatest, Math.Abs(value));
        if (greatest == 0)
            return;
        foreach (ref var value in values)
            value /= greatest;
    }
}
