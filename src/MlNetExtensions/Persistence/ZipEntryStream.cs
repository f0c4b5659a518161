using System.IO.Compression;

namespace MlNetMlp.Persistence;

/// <summary>
/// The content of a zip's entry. With the last byte the checksum is compared, which neither the runtime's reader nor ML.NET does: a flipped
/// bit would pass for content.
/// </summary>
/// <param name="content">The unpacked content.</param>
/// <param name="owner">What is closed with the stream.</param>
/// <param name="name">Name of the entry, for errors.</param>
/// <param name="declared">The entry, which tells length and checksum.</param>
internal sealed class ZipEntryStream(Stream content, IDisposable owner, string name, ZipArchiveEntry declared) : Stream
{
    private Crc32 _sum;
    private long _left = declared.Length;

    public override bool CanRead => true;

    public override bool CanSeek => false;

    public override bool CanWrite => false;

    public override long Length => throw new NotSupportedException();

    public override long Position
    {
        get => throw new NotSupportedException();
        set => throw new NotSupportedException();
    }

    /// <summary>Reads an entry to its end.</summary>
    /// <param name="entry">The entry.</param>
    /// <exception cref="ModelFormatException">It is damaged; the message names it.</exception>
    public static void Check(ZipArchiveEntry entry)
    {
        var left = Open(entry.FullName, () =>
        {
            using var content = entry.Open();
            using var stream = new ZipEntryStream(content, content, entry.FullName, entry);
            stream.CopyTo(Null);
            return stream._left;
        });
        if (left > 0)
            throw Damaged(entry.FullName, "it ends early");
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

    public override int Read(byte[] buffer, int offset, int count) => Read(buffer.AsSpan(offset, count));

    public override int Read(Span<byte> buffer)
    {
        var read = content.Read(buffer);
        _sum.Append(buffer[..read]);
        _left -= read;
        return read == 0 || _left > 0 || _sum.Value == declared.Crc32
            ? read
            : throw Damaged(name, $"its checksum is {_sum.Value:x8} instead of {declared.Crc32:x8}");
    }

    public override void Flush()
    {
    }

    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

    public override void SetLength(long value) => throw new NotSupportedException();

    public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();

    protected override void Dispose(bool disposing)
    {
        if (disposing)
            owner.Dispose();
        base.Dispose(disposing);
    }

    private static ModelFormatException Damaged(string name, string fault, Exception? cause = null) =>
        new($"{name}: the entry is damaged, {fault.TrimEnd('.')}.", cause);
}
