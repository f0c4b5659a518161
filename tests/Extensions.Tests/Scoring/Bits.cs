using System.Runtime.InteropServices;
using MlNetMlp.Scoring;

namespace MlNetMlp.Tests.Scoring;

internal static class Bits
{
    /// <summary>Asserts the same bit patterns, except that any NaN equals any other: hardware chooses their payload.</summary>
    public static void Equal(ReadOnlySpan<float> expected, ReadOnlySpan<float> actual)
    {
        Assert.Equal(expected.Length, actual.Length);
        ReadOnlySpan<int> left = MemoryMarshal.Cast<float, int>(expected), right = MemoryMarshal.Cast<float, int>(actual);
        for (int i = 0; i < left.Length; i++)
        {
            bool same = left[i] == right[i] || (float.IsNaN(expected[i]) && float.IsNaN(actual[i]));
            Assert.True(same, $"value {i}: expected {expected[i]:R}, found {actual[i]:R}");
        }
    }

    public static float[] ScoreAll(this DenseProgram program, ReadOnlySpan<float> rows)
    {
        var scores = new float[rows.Length / program.Inputs * program.Outputs];
        program.Score(rows, scores);
        return scores;
    }
}
