namespace MlNetMlp.Tuning;

/// <summary>What two searches have in common if evaluations of one are evaluations of the other.</summary>
/// <param name="Measure">What is minimised.</param>
/// <param name="Options">The options that the search starts from, as text.</param>
/// <param name="Space">The dimensions, as text.</param>
/// <param name="Folds">Folds.</param>
/// <param name="Seed">The seed.</param>
/// <param name="Columns">The columns of the data, as text.</param>
internal sealed record TuningSearch(string Measure, string Options, IReadOnlyList<string> Space, int Folds, int Seed, IReadOnlyList<string> Columns)
{
    /// <summary>The first difference to another search, in words; null for none.</summary>
    /// <param name="other">The other.</param>
    public string? DifferenceTo(TuningSearch other)
    {
        (string Name, string Mine, string Theirs)[] parts =
        [
            ("measure", Measure, other.Measure),
            ("options", Options, other.Options),
            ("search space", string.Join("; ", Space), string.Join("; ", other.Space)),
            ("number of folds", $"{Folds}", $"{other.Folds}"),
            ("seed", $"{Seed}", $"{other.Seed}"),
            ("columns of the data", string.Join("; ", Columns), string.Join("; ", other.Columns)),
        ];
        var different = parts.FirstOrDefault(part => part.Mine != part.Theirs);
        return different.Name is null ? null : $"its {different.Name} is '{different.Theirs}', not '{different.Mine}'";
    }
}
