namespace MlNetMlp.Methods;

/// <summary>Scores windows of which some are not there yet: their first number is NaN, and so is all that is computed of them.</summary>
internal sealed class WindowModel(TrainedNetwork network) : IBlockModel
{
    public int Inputs => network.Inputs;

    public int Outputs => network.Outputs;

    public bool AcceptsMissingValues => true;

    public IReadOnlyList<string>? FeatureNames => network.FeatureNames;

    public string? LabelColumnName => null;

    public int Compute(in ModelRows rows, Span<float> values)
    {
        // Windows that are there mostly follow those that are not, so runs of them are long.
        for (int first = 0, next = 0; first < rows.Count; first = next)
        {
            var isThere = IsThere(rows, first);
            for (next = first + 1; next < rows.Count && IsThere(rows, next) == isThere;)
                next++;
            var scores = values[(first * Outputs)..(next * Outputs)];
            if (!isThere)
                scores.Fill(float.NaN);
            else if (network.Score(rows.Features[(first * Inputs)..(next * Inputs)], scores) is >= 0 and var bad)
                return first + bad;
        }

        return -1;
    }

    private bool IsThere(in ModelRows rows, int row) => !float.IsNaN(rows.Features[row * Inputs]);
}
