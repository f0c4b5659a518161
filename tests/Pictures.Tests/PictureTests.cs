using System.Buffers.Binary;
using Microsoft.ML;
using Microsoft.ML.Data;
using MlNetMlp.Pictures;

namespace MlNetMlp.Tests;

/// <summary>Pictures are PNG files of the size that was asked for, and depend on what they show; reports are whole and escaped.</summary>
public sealed class PictureTests
{
    private sealed class Row
    {
        [VectorType(3)]
        public float[] FeatureContributions { get; set; } = [];
    }

    private static readonly IDataView Data = new MLContext(1).Data.LoadFromEnumerable(new Row[] { new() { FeatureContributions = [1, -2, 0] }, new() { FeatureContributions = [3, 0, 1] } });

    [Fact]
    public void Bars_show_the_row_that_is_asked_for()
    {
        var (first, second) = (ExplanationPicture.Bars(Data, 0, width: 321, height: 123), ExplanationPicture.Bars(Data, 1, width: 321, height: 123));
        Assert.Equal((321, 123), Size(first));
        Assert.Equal(first, ExplanationPicture.Bars(["Feature 0", "Feature 1", "Feature 2"], [1, -2, 0], width: 321, height: 123));
        Assert.NotEqual(first, second);
    }

    [Fact]
    public void Only_the_greatest_bars_are_shown() => Assert.Equal(
        ExplanationPicture.Bars(["b"], [-2]), ExplanationPicture.Bars(["a", "b", "c"], [1, -2, 0], mostBars: 1));

    [Fact]
    public void Searches_show_what_did_not_fail()
    {
        Tuning.TuningTrial[] trials = [new(0, [], 1, [2], 1), new(1, ["a"], 0.5, [1], 1), new(2, ["b"], 0.5, [], 0, "no"), new(1, ["a"], 1, [1.5], 2)];
        Assert.Equal((300, 200), Size(TuningPicture.Trials(trials, "RMSE", "search", 300, 200)));
        Assert.Equal(TuningPicture.Trials(trials), TuningPicture.Trials([trials[0], trials[1], trials[3]]));
        Assert.NotEqual(TuningPicture.Trials(trials), TuningPicture.Trials(trials[..3]));
        Assert.Equal((300, 200), Size(TuningPicture.Trials([], width: 300, height: 200)));
    }

    [Fact]
    public void Heat_maps_and_curves_have_the_size_that_is_asked_for()
    {
        Assert.Equal((200, 150), Size(ExplanationPicture.HeatMap([1, 2, -3, 0, 0, 1], 2, 3, "<map>", 200, 150)));
        Assert.Equal((200, 150), Size(ExplanationPicture.HeatMap([0, 0], 1, 2, null, 200, 150)));
        Assert.NotEqual(ExplanationPicture.HeatMap([1, 0], 1, 2), ExplanationPicture.HeatMap([0, 1], 1, 2));
        var report = new Explanations.DiffRoarReport([new(1, [0.9], [0.9]), new(0.1, [0.8, 0.7], [0.6, 0.6])]);
        Assert.Equal((300, 200), Size(ExplanationPicture.DiffRoar(report, "retrained", 300, 200)));
        Assert.NotEqual(ExplanationPicture.DiffRoar(report), ExplanationPicture.DiffRoar(new([report.Points[0], new(0.1, [0.8, 0.7], [0.5, 0.6])])));
        Assert.Equal((300, 200), Size(ExplanationPicture.Curves([0.1, 0.5], [("top", [1, 2]), ("bottom", [0, 1])], "kept", "accuracy", "DiffROAR", 300, 200)));
    }

    [Fact]
    public void What_cannot_be_drawn_is_refused()
    {
        Refused("no column 'None'", () => ExplanationPicture.Bars(Data, 0, columnName: "None"));
        Refused("only 2 rows", () => ExplanationPicture.Bars(Data, 2));
        Refused("width", () => ExplanationPicture.Bars(Data, 0, width: 0));
        Refused("2 names, but 1", () => ExplanationPicture.Bars(["a", "b"], [1]));
        Refused("2 x 2 pixels", () => ExplanationPicture.HeatMap([1, 2, 3], 2, 2));
        Refused("curve 'c' has 1", () => ExplanationPicture.Curves([1, 2], [("c", [1])], "", ""));

        static void Refused(string message, Func<byte[]> draw) => Assert.Contains(message, Assert.ThrowsAny<ArgumentException>(draw).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_report_is_one_file_with_escaped_names_and_its_pictures()
    {
        var png = ExplanationPicture.Bars(Data, 0, width: 100, height: 100);
        var path = Path.GetTempFileName();
        try
        {
            new ExplanationReport("A & B").Add("<b>Row</b> \"1\"", "x < y", png).AddTable("Table", "", ["a<b", "c"], [["1", "<2>"]]).Save(path);
            var html = File.ReadAllText(path);
            Assert.Contains("<h1>A &amp; B</h1>", html, StringComparison.Ordinal);
            Assert.Contains("<h2>&lt;b&gt;Row&lt;/b&gt; &quot;1&quot;</h2>", html, StringComparison.Ordinal);
            Assert.Contains("x &lt; y", html, StringComparison.Ordinal);
            Assert.DoesNotContain("<b>", html, StringComparison.Ordinal);
            Assert.Contains("<tr><th>a&lt;b</th><th>c</th></tr>\n<tr><td>1</td><td>&lt;2&gt;</td></tr>\n", html, StringComparison.Ordinal);
            Assert.Throws<ArgumentException>(() => new ExplanationReport("").AddTable("", "", ["a"], [["1", "2"]]));
            Assert.Contains("src=\"data:image/png;base64," + Convert.ToBase64String(png) + "\"", html, StringComparison.Ordinal);
        }
        finally
        {
            File.Delete(path);
        }
    }

    private static (int Width, int Height) Size(byte[] png)
    {
        Assert.Equal([0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A], png[..8]);
        return (BinaryPrimitives.ReadInt32BigEndian(png.AsSpan(16)), BinaryPrimitives.ReadInt32BigEndian(png.AsSpan(20)));
    }
}
