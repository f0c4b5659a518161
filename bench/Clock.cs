using System.Diagnostics;

namespace MlNetMlp.Bench;

/// <summary>Times things against each other: in turns, so that whatever else the machine does hits all alike; the medians are reported.</summary>
internal static class Clock
{
    public static double[] Medians(int rounds, params Action[] actions)
    {
        foreach (var action in actions)
            action();
        var seconds = actions.Select(_ => new List<double>()).ToArray();
        for (var round = 0; round < rounds; round++)
        {
            for (var i = 0; i < actions.Length; i++)
            {
                var start = Stopwatch.GetTimestamp();
                actions[i]();
                seconds[i].Add(Stopwatch.GetElapsedTime(start).TotalSeconds);
            }
        }

        return [.. seconds.Select(times => times.Order().ElementAt(times.Count / 2))];
    }
}
