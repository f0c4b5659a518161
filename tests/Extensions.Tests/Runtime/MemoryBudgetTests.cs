using System.Globalization;
using MlNetMlp.Runtime;

namespace MlNetMlp.Tests.Runtime;

public class MemoryBudgetTests
{
    [Fact]
    public void TheDefaultIsAQuarterOfWhatThereIs() =>
        Assert.Equal(GC.GetGCMemoryInfo().TotalAvailableMemoryBytes / 4, MemoryBudget.Default);

    [Theory]
    [InlineData(0, "0 B")]
    [InlineData(999, "999 B")]
    [InlineData(1_000, "1 kB")]
    [InlineData(1_500_000_000, "1.5 GB")]
    [InlineData(99_940_000, "99.9 MB")]
    [InlineData(123_456_789, "123 MB")]
    [InlineData(99_960_000, "100 MB")]
    [InlineData(999_960_000, "1 GB")]
    [InlineData(-2_500_000, "-2.5 MB")]
    [InlineData(long.MaxValue, "9.2 EB")]
    public void AmountsAreReadable(long bytes, string expected)
    {
        var culture = CultureInfo.CurrentCulture;
        try
        {
            CultureInfo.CurrentCulture = new CultureInfo("de-DE");
            Assert.Equal(expected, MemoryBudget.Format(bytes));
        }
        finally
        {
            CultureInfo.CurrentCulture = culture;
        }
    }
}
