using System.IO.Compression;

namespace MlNetMlp.Tests.Support;

/// <summary>Looks into model files and changes them, as an attacker would.</summary>
internal static class Zip
{
    public static byte[] Entry(byte[] zip, string name)
    {
        using var archive = new ZipArchive(new MemoryStream(zip), ZipArchiveMode.Read);
        using var stream = archive.Entries.Single(entry => entry.FullName.EndsWith(name, StringComparison.Ordinal)).Open();
        using var content = new MemoryStream();
        stream.CopyTo(content);
        return content.ToArray();
    }

    public static byte[] Replace(byte[] zip, string name, byte[]? content)
    {
        using var result = new MemoryStream();
        using (var source = new ZipArchive(new MemoryStream(zip), ZipArchiveMode.Read))
        using (var target = new ZipArchive(result, ZipArchiveMode.Create, leaveOpen: true))
        {
            foreach (var entry in source.Entries)
            {
                var isIt = entry.FullName.EndsWith(name, StringComparison.Ordinal);
                if (isIt && content is null)
                    continue;
                using var to = target.CreateEntry(entry.FullName).Open();
                if (isIt)
                {
                    to.Write(content);
                    continue;
                }

                using var from = entry.Open();
                from.CopyTo(to);
            }
        }

        return result.ToArray();
    }
}
