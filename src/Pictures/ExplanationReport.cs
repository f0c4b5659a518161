using System.Net;
using System.Text;

namespace MlNetMlp.Pictures;

/// <summary>A report of texts and pictures as one HTML file, which needs nothing beside it.</summary>
/// <param name="title">The title.</param>
public sealed class ExplanationReport(string title)
{
    private const string Style = "<style>body{font-family:sans-serif;margin:2em}table{border-collapse:collapse}th,td{padding:.3em .8em;border-bottom:1px solid #ccc;text-align:left}img{max-width:100%}</style>";

    private readonly StringBuilder _body = new();

    /// <summary>Adds a heading, a text and a picture.</summary>
    /// <param name="heading">The heading, as plain text.</param>
    /// <param name="text">What is said of the picture, as plain text.</param>
    /// <param name="png">A PNG file; null for none.</param>
    /// <returns>This report.</returns>
    public ExplanationReport Add(string heading, string text = "", byte[]? png = null)
    {
        ArgumentNullException.ThrowIfNull(heading);
        ArgumentNullException.ThrowIfNull(text);
        var name = WebUtility.HtmlEncode(heading);
        _body.Append("<h2>").Append(name).Append("</h2>\n<p>").Append(WebUtility.HtmlEncode(text)).Append("</p>\n");
        if (png is not null)
            _body.Append("<img alt=\"").Append(name).Append("\" src=\"data:image/png;base64,").Append(Convert.ToBase64String(png)).Append("\">\n");
        return this;
    }

    /// <summary>Adds a heading, a text and a table.</summary>
    /// <param name="heading">The heading, as plain text.</param>
    /// <param name="text">What is said of the table, as plain text.</param>
    /// <param name="columns">Names of the columns, as plain text.</param>
    /// <param name="rows">Cells of each row, as plain text.</param>
    /// <returns>This report.</returns>
    /// <exception cref="ArgumentException">A row has another number of cells than there are columns.</exception>
    public ExplanationReport AddTable(string heading, string text, IReadOnlyList<string> columns, IReadOnlyList<IReadOnlyList<string>> rows)
    {
        ArgumentNullException.ThrowIfNull(columns);
        ArgumentNullException.ThrowIfNull(rows);
        if (rows.FirstOrDefault(row => row.Count != columns.Count) is { } wrong)
            throw new ArgumentException($"A row has {wrong.Count} cells, but there are {columns.Count} columns.", nameof(rows));
        Add(heading, text);
        _body.Append("<table>\n").Append(Line("th", columns));
        foreach (var row in rows)
            _body.Append(Line("td", row));
        _body.Append("</table>\n");
        return this;

        static string Line(string cell, IReadOnlyList<string> texts) => $"<tr>{string.Concat(texts.Select(t => $"<{cell}>{WebUtility.HtmlEncode(t)}</{cell}>"))}</tr>\n";
    }

    /// <summary>The file.</summary>
    /// <returns>HTML.</returns>
    public string ToHtml()
    {
        var name = WebUtility.HtmlEncode(title);
        return $"<!DOCTYPE html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\"><title>{name}</title>{Style}</head>\n<body>\n<h1>{name}</h1>\n{_body}</body>\n</html>\n";
    }

    /// <summary>Writes the file.</summary>
    /// <param name="path">Where to.</param>
    /// <exception cref="IOException">The file cannot be written.</exception>
    public void Save(string path) => File.WriteAllText(path, ToHtml());
}
