namespace MlNetMlp.Scoring;

/// <summary>Turns rows of numbers into rows of scores.</summary>
/// <remarks>
/// One object serves all threads at once and allocates nothing per call once each thread has scored its first rows. A row's scores do not
/// depend on the rows that are scored with it.
/// </remarks>
public interface IRowScorer
{
    /// <summary>
    /// Values per input row. A scorer of rows that are sets takes rows of other widths too: it has as many rows to score as there is room for
    /// scores.
    /// </summary>
    int Inputs { get; }

    /// <summary>Scores per row.</summary>
    int Outputs { get; }

    /// <summary>Scores any number of rows.</summary>
    /// <param name="rows">[n, <see cref="Inputs"/>] values, row after row; all rows of a set scorer's call have one width.</param>
    /// <param name="scores">[n, <see cref="Outputs"/>] values, written row after row. Must not overlap <paramref name="rows"/>.</param>
    /// <exception cref="ArgumentException">The lengths are not those of the same number of whole rows.</exception>
    void Score(ReadOnlySpan<float> rows, Span<float> scores);
}
