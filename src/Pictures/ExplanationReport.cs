using System.Net;
using System.Text;

namespace MlNetMlp.Pictures;

/// <summary>A report of texts and pictures as one HTML file, which needs nothing beside it.</summary>
/// <param name="title">The title.</param>
public sealed class ExplanationReport(string title)
{
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

    /// <summary>The file.</summary>
    /// <returns>HTML.</returns>
    public string ToHtml()
    {
        var name = WebUtility.HtmlEncode(title);
        return $"<!DOCTYPE html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\"><title>{name}</title></head>\n<body>\n<h1>{name}</h1>\n{_body}</body>\n</html>\n";
    }

    /// <summary>Writes the file.</summary>
    /// <param name="path">Where to.</param>
    /// <exception cref="IOException">The file cannot be written.</exception>
    public void Save(string path) => File.WriteAllText(path, ToHtml());
}
