namespace MlNetMlp.Networks;

/// <summary>
/// How a row lies where it is a window of a time series: the numbers of all channels at the first step, then those at the second, and so on. Its label
/// lies alike: the steps that follow the window.
/// </summary>
/// <param name="ContextLength">L, steps of a window.</param>
/// <param name="Horizon">H, steps of a label.</param>
/// <param name="ChannelNames">A name for each channel.</param>
public sealed record SeriesLayout(int ContextLength, int Horizon, IReadOnlyList<string> ChannelNames)
{
    /// <summary>C, numbers of a step.</summary>
    public int Channels => ChannelNames.Count;

    /// <summary>Names of the numbers of a label: <c>channel[t]</c>, with t the steps ahead, from 1.</summary>
    /// <returns>H·C names.</returns>
    public string[] LabelNames() =>
        [.. Enumerable.Range(1, Horizon).SelectMany(step => ChannelNames.Select(channel => FormattableString.Invariant($"{channel}[{step}]")))];
}
