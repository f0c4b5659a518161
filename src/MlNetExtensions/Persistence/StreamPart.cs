namespace MlNetMlp.Persistence;

/// <summary>A part of a seekable stream.</summary>
/// <param name="whole">The stream, which stays open and is read by nobody else meanwhile.</param>
/// <param name="start">Where the part begins.</param>
/// <param name="length">Its bytes.</param>
internal sealed class StreamPart(Stream whole, long start, long length) : ReadOnlyStream
{
    private long _at;

    public override int Read(Span<byte> buffer)
    {
        whole.Position = start + _at;
        var read = whole.Read(buffer[..(int)Math.Min(buffer.Length, length - _at)]);
        _at += read;
        return read;
    }
}
