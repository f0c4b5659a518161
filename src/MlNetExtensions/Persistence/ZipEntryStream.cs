using System.IO.Compression;

namespace MlNetMlp.Persistence;

/// <summary>
/// The content of a zip's entry. With the last byte the checksum is compared, which neither the runtime's reader nor ML.NET does: a flipped
/// bit would pass for content.
/// </summary>
/// <param name="content">The unpacked content.</param>
/// <param name="owner">What is closed with the stream.</param>
/// <param name="name">Name of the entry, for errors.</param>
/// <param name="length">Bytes of the content that the zip's directory tells of.</param>
/// <param name="checksum">The checksum that it tells of.</param>
internal sealed class ZipEntryStream(Stream content, IDisposable owner, string name, long length, uint checksum) : ReadOnlyStream
{
    private Crc32 _sum;
    private long _read;

    /// <summary>Reads an entry to its end.</summary>
    /// <param name="entry">The entry.</param>
    /// <exception cref="ModelFormatException">It is damaged; the message names it.</exception>
    public static void Check(ZipArchiveEntry entry) => Unpack(entry.FullName, entry.Length, entry.Crc32, entry.Open, Null);

    /// <summary>Unpacks an entry as a whole, and no more of it than it should have.</summary>
    /// <param name="name">Name of the entry.</param>
    /// <param name="length">Bytes of the content that the zip's directory tells of.</param>
    /// <param name="checksum">The checksum that it tells of.</param>
    /// <param name="open">Opens the unpacked content.</param>
    /// <param name="target">Gets the content.</param>
    /// <exception cref="ModelFormatException">It is damaged; the message names it.</exception>
    public static void Unpack(string name, long length, uint checksum, Func<Stream> open, Stream target)
    {
        var read = Open(name, () =>
        {
            using var content = open();
            using var stream = new ZipEntryStream(content, content, name, length, checksum);
            stream.CopyTo(target);
            return stream._read;
        });
        if (read < length)
            throw Damaged(name, "it ends early");
    }

    /// <summary>Unpacks an entry, and names it if that fails.</summary>
    /// <typeparam name="T">Type of what comes of it.</typeparam>
    /// <param name="name">Name of the entry.</param>
    /// <param name="unpack">Unpacks it.</param>
    /// <returns>What comes of it.</returns>
    /// <exception cref="ModelFormatException">The entry cannot be unpacked.</exception>
    public static T Open<T>(string name, Func<T> unpack)
    {
        try
        {
            return unpack();
        }
        catch (InvalidDataException e)
        {
            throw Damaged(name, e.Message, e);
        }
    }

    public override int Read(Span<byte> buffer)
    {
        var read = content.Read(buffer);
        _sum.Append(buffer[..read]);
        _read += read;
        if (_read > length)
            throw new ModelFormatException($"{name}: the entry unpacks to more than the {length} bytes that the zip's directory tells of.");
        return _read < length || _sum.Value == checksum
            ? read
            : throw Damaged(name, $"its checksum is {_sum.Value:x8} instead of {checksum:x8}");
    }

    protected override void Dispose(bool disposing)
    {
        if (disposing)
            owner.Dispose();
        base.Dispose(disposing);
    }

    private static ModelFormatException Damaged(string name, string fault, Exception? cause = null) =>
        new($"{name}: the entry is damaged, {fault.TrimEnd('.')}.", cause);
}
