using System.IO.Compression;
using System.Text;
using System.Text.Json.Nodes;
using Microsoft.ML;

namespace MlNetMlp.Tests.Support;

/// <summary>Model files as the zips that they are: looked into and tampered with.</summary>
public static class ModelZip
{
    public const string Header = "network.json";
    public const string Weights = "weights.safetensors";

    public static byte[] Save(ITransformer model, IDataView? data = null)
    {
        using var stream = new MemoryStream();
        Fitted.Ml.Model.Save(model, (data ?? Fitted.Data).Schema, stream);
        return stream.ToArray();
    }

    public static ITransformer Load(byte[] file) => new MLContext(1).Model.Load(new MemoryStream(file), out _);

    /// <summary>Contents of all entries of a file name, in the order of the zip.</summary>
    public static byte[][] Read(byte[] file, string fileName)
    {
        using var zip = new ZipArchive(new MemoryStream(file));
        return [.. zip.Entries.Where(entry => entry.Name == fileName).Select(Content)];
    }

    /// <summary>The file with every entry of a name changed; null from the change leaves the entry out.</summary>
    public static byte[] Change(byte[] file, string fileName, Func<byte[], byte[]?> change, CompressionLevel level = CompressionLevel.Fastest)
    {
        var copy = new MemoryStream();
        using (var from = new ZipArchive(new MemoryStream(file)))
        using (var to = new ZipArchive(copy, ZipArchiveMode.Create, leaveOpen: true))
        {
            foreach (var entry in from.Entries)
            {
                var content = entry.Name == fileName ? change(Content(entry)) : Content(entry);
                if (content is null)
                    continue;
                using var stream = to.CreateEntry(entry.FullName, level).Open();
                stream.Write(content);
            }
        }

        return copy.ToArray();
    }

    /// <summary>The file with another text for its networks.</summary>
    public static byte[] ChangeHeader(byte[] file, Func<string, string> change) =>
        Change(file, Header, content => Encoding.UTF8.GetBytes(change(Encoding.UTF8.GetString(content))));

    /// <summary>The file with a member of its networks set.</summary>
    public static byte[] ChangeJson(byte[] file, Action<JsonNode> change) => ChangeHeader(file, text =>
    {
        var node = JsonNode.Parse(text)!;
        change(node);
        return node.ToJsonString();
    });

    private static byte[] Content(ZipArchiveEntry entry)
    {
        using var stream = entry.Open();
        var content = new MemoryStream();
        stream.CopyTo(content);
        return content.ToArray();
    }
}
