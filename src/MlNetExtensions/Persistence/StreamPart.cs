namespace MlNetMlp.Persistence;

/// <summary>A part of a seekable stream, read from its beginning to its end.</summary>
/// <param name="whole">The stream, which stays open and is read by nobody else meanwhile.</param>
/// <param name="start">Where the part begins.</param>
/// <param name="length">Its bytes.</param>
internal sealed class StreamPart(Stream whole, long start, long length) : Stream
{
    private long _at;

    public override bool CanRead => true;

    public override bool CanSeek => false;

    public override bool CanWrite => false;

    public override long Length => length;

    public override long Position
    {
        get => _at;
        set => throw new NotSupportedException();
    }

    public override int Read(byte[] buffer, int offset, int count) => Read(buffer.AsSpan(offset, count));

    public override int Read(Span<byte> buffer)
    {
        whole.Position = start + _at;
        var read = whole.Read(buffer[..(int)Math.Min(buffer.Length, length - _at)]);
        _at += read;
        return read;
    }

    public override void Flush()
    {
    }

    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

    public override void SetLength(long value) => throw new NotSupportedException();

    public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();
}
