using System.ComponentModel.DataAnnotations;
using MlNetMlp.Options;

namespace MlNetMlp.Tests.Options;

public class WholeBoundsTests
{
    public sealed record Shares
    {
        [Range(0, 1, MaximumIsExclusive = true)]
        public double Share { get; init; }

        [Range(0, 10)]
        public float Rate { get; init; }
    }

    [Fact]
    public void Fractions_are_not_rounded_to_whole_bounds()
    {
        OptionRanges.Check(new Shares { Share = 0.999, Rate = 9.5f }, "Test");
        Refused("option 'Share' must be at least 0 and less than 1, but was 1", new() { Share = 1 });
        Refused("option 'Share' must be at least 0 and less than 1, but was -0.1", new() { Share = -0.1 });
        Refused("option 'Share' must be at least 0 and less than 1, but was NaN", new() { Share = double.NaN });
        Refused("option 'Rate' must be at least 0 and at most 10, but was 10.25", new() { Rate = 10.25f });
        Refused("option 'Rate' must be at least 0 and at most 10, but was Infinity", new() { Rate = float.PositiveInfinity });
    }

    private static void Refused(string message, Shares options) =>
        Assert.Contains(message, Assert.Throws<ArgumentOutOfRangeException>(() => OptionRanges.Check(options, "Test")).Message, StringComparison.Ordinal);
}
