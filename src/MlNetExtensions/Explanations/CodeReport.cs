using System.ComponentModel.DataAnnotations;

namespace MlNetMlp.Explanations;

/// <summary>What <c>mlContext.Model.EvaluateCodes</c> looks at.</summary>
public sealed record CodeEvaluationOptions
{
    /// <summary>The column of codes that the model adds, <c>Codes</c> by default: a vector of keys, or a key.</summary>
    [Required]
    public string CodesColumnName { get; init; } = "Codes";

    /// <summary>The column of classes, keys or Boolean, that purity and entropy are of; a vector of them where each position of a row has codes. Null (the default) for none.</summary>
    public string? LabelColumnName { get; init; }

    /// <summary>A Boolean column that says which rows a code is searched for, or a vector for their positions; null (the default) for none. <see cref="CodeReport.Search(IReadOnlyList{bool}, double)"/> takes any rows.</summary>
    public string? PredicateColumnName { get; init; }

    /// <summary>Rows that are named for each code, in [0, 1,000]; 5 by default.</summary>
    [Range(0, 1000)]
    public int TopRows { get; init; } = 5;
}

/// <summary>The codes of one group behind one layer.</summary>
/// <param name="Name">Its name, such as <c>L1.G0</c>.</param>
/// <param name="NumCodes">Number of codes.</param>
/// <param name="UsedCodes">Number of codes that stand for a row at least.</param>
public sealed record CodeSite(string Name, int NumCodes, int UsedCodes)
{
    /// <summary>Share of the codes that stand for no row.</summary>
    public double DeadFraction => 1 - ((double)UsedCodes / NumCodes);
}

/// <summary>One code that stands for rows.</summary>
/// <param name="Site">Name of its group, such as <c>L1.G0</c>.</param>
/// <param name="Code">Its id, from 0.</param>
/// <param name="Count">Number of rows that it stands for; of sequences, of positions.</param>
/// <param name="TopRows">Indices of rows that it stands for, the most similar first; where the model does not tell similarities, those whose list it comes first in.</param>
/// <param name="TopPositions">Where in each of these rows, from 0; a row of a sequence may stand there more than once.</param>
/// <param name="MajorityClass">The class that most of the rows have; null without labels.</param>
/// <param name="Purity">Share of that class among the rows with a label; NaN without labels.</param>
/// <param name="Entropy">Entropy of the classes of the rows in bits; 0 where all are of one class, NaN without labels.</param>
public sealed record CodeStatistics(string Site, int Code, long Count, IReadOnlyList<long> TopRows, IReadOnlyList<int> TopPositions, string? MajorityClass, double Purity, double Entropy);

/// <summary>How well a code tells some rows from all others.</summary>
/// <param name="Site">Name of its group.</param>
/// <param name="Code">Its id, from 0.</param>
/// <param name="Count">Number of rows that it stands for.</param>
/// <param name="Precision">Share of the wanted rows among those that it stands for.</param>
/// <param name="Recall">Share of those that it stands for among the wanted rows.</param>
public sealed record CodeMatch(string Site, int Code, long Count, double Precision, double Recall);

/// <summary>What the codes of a model stand for in data. It keeps the codes of all rows, four bytes each.</summary>
public sealed class CodeReport
{
    private readonly int[] _ids;
    private readonly int[] _siteOf;
    private readonly int[] _positionOf;

    internal CodeReport(int[] ids, int[] siteOf, int[] positionOf, IReadOnlyList<CodeSite> sites, IReadOnlyList<CodeStatistics> codes, IReadOnlyList<bool>? predicate)
    {
        (_ids, _siteOf, _positionOf, Sites, Codes) = (ids, siteOf, positionOf, sites, codes);
        Positions = positionOf.Max() + 1;
        Matches = predicate is null ? [] : Match(predicate);
    }

    /// <summary>Number of rows.</summary>
    public long Rows => _ids.Length / _siteOf.Length;

    /// <summary>Positions of a row that have codes of their own, such as tokens of a sequence; 1 where a row has codes as a whole.</summary>
    public int Positions { get; }

    /// <summary>The groups of codes, in the order of the column's slots.</summary>
    public IReadOnlyList<CodeSite> Sites { get; }

    /// <summary>The codes that stand for a row at least, group by group, the most frequent first.</summary>
    public IReadOnlyList<CodeStatistics> Codes { get; }

    /// <summary>How well each used code tells the rows of the option <see cref="CodeEvaluationOptions.PredicateColumnName"/>, the best recall first; empty without it.</summary>
    public IReadOnlyList<CodeMatch> Matches { get; }

    /// <summary>Of <see cref="Matches"/> those that are nearly always right.</summary>
    /// <param name="leastPrecision">The precision that is wanted, in [0, 1]; 0.9 by default.</param>
    /// <returns>The codes, the best recall first.</returns>
    public IReadOnlyList<CodeMatch> Search(double leastPrecision = 0.9) => [.. Matches.Where(match => match.Precision >= leastPrecision)];

    /// <summary>Finds codes that stand for wanted rows and for hardly any other.</summary>
    /// <param name="predicate">Whether each row is wanted; or each position of the first row, then of the second, and so on. Positions without codes do not count.</param>
    /// <param name="leastPrecision">The precision that is wanted, in [0, 1]; 0.9 by default.</param>
    /// <returns>The codes, the best recall first.</returns>
    /// <exception cref="ArgumentException">There are not as many values as rows, or as positions of all rows.</exception>
    public IReadOnlyList<CodeMatch> Search(IReadOnlyList<bool> predicate, double leastPrecision = 0.9) => [.. Match(predicate).Where(match => match.Precision >= leastPrecision)];

    private CodeMatch[] Match(IReadOnlyList<bool> predicate)
    {
        ArgumentNullException.ThrowIfNull(predicate);
        if (predicate.Count != Rows && predicate.Count != Rows * Positions)
            throw new ArgumentException($"There are {predicate.Count} values for {Rows} rows{(Positions == 1 ? "" : $" of {Positions} positions")}.", nameof(predicate));
        long[][] hits = [.. Sites.Select(site => new long[site.NumCodes])];
        var (places, isOfRows, wanted) = (new bool[Positions], predicate.Count == Rows, 0L);
        for (var row = 0; row < Rows; row++)
        {
            Array.Clear(places);
            for (var slot = 0; slot < _siteOf.Length; slot++)
            {
                var (id, position) = (_ids[(row * _siteOf.Length) + slot], _positionOf[slot]);
                if (id < 0 || !predicate[isOfRows ? row : (row * Positions) + position])
                    continue;
                places[position] = true;
                hits[_siteOf[slot]][id]++;
            }

            wanted += places.Count(isThere => isThere);
        }

        var sites = Sites.Select((site, index) => (site.Name, index)).ToDictionary(pair => pair.Name, pair => pair.index);
        return
        [
            .. from code in Codes
               let found = hits[sites[code.Site]][code.Code]
               let match = new CodeMatch(code.Site, code.Code, code.Count, (double)found / code.Count, wanted == 0 ? 0 : (double)found / wanted)
               orderby match.Recall descending, match.Precision descending
               select match,
        ];
    }
}
