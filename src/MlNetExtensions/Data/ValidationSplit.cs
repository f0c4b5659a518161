using MlNetMlp.Runtime;

namespace MlNetMlp.Data;

/// <summary>Chooses the rows that are held out to judge training by.</summary>
internal static class ValidationSplit
{
    /// <summary>Holds out the same share of every class; which rows of a class, the seed decides.</summary>
    /// <param name="labels">The class index of each row; 0 for all where there are no classes.</param>
    /// <param name="classes">Number of classes, at least 1.</param>
    /// <param name="fraction">Share of the rows to hold out.</param>
    /// <param name="seed">The seed.</param>
    /// <returns>For each row whether it is held out; at least one row of each class stays in training.</returns>
    public static bool[] Choose(ReadOnlySpan<float> labels, int classes, double fraction, int seed)
    {
        var chosen = new bool[labels.Length];
        if (fraction <= 0)
            return chosen;
        var byClass = new List<int>[classes];
        for (var row = 0; row < labels.Length; row++)
            (byClass[(int)labels[row]] ??= []).Add(row);

        for (var index = 0; index < classes; index++)
        {
            if (byClass[index] is not { } rows)
                continue;
            var random = new DeterministicRandom(RandomStreams.Hash((ulong)seed, (ulong)index));
            var held = Math.Min((int)Math.Round(fraction * rows.Count), rows.Count - 1);
            for (var i = 0; i < held; i++)
            {
                var other = i + random.Next(rows.Count - i);
                (rows[i], rows[other]) = (rows[other], rows[i]);
                chosen[rows[i]] = true;
            }
        }

        return chosen;
    }

    /// <summary>Whether a row of a stream is held out: a coin that falls the same way in every epoch and in any order of rows.</summary>
    /// <param name="rowId">The row's identity.</param>
    /// <param name="fraction">Share of the rows to hold out.</param>
    /// <param name="seed">The seed.</param>
    /// <returns>True where it is held out.</returns>
    public static bool IsHeldOut(ulong rowId, double fraction, int seed) =>
        (RandomStreams.Hash((ulong)seed, rowId) >> 11) * (1.0 / (1UL << 53)) < fraction;
}
