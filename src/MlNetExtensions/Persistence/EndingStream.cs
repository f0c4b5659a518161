namespace MlNetMlp.Persistence;

/// <summary>A stream whose end is an error, for readers that ask again and again where there is nothing more.</summary>
/// <param name="content">The stream, seekable; it stays open.</param>
internal sealed class EndingStream(Stream content) : ReadOnlyStream
{
    // Readers may ask at an end once or twice, to see that there is one.
    private const int MostEmptyReads = 100;

    private int _empty;

    public override bool CanSeek => true;

    public override long Length => content.Length;

    public override long Position
    {
        get => content.Position;
        set => content.Position = value;
    }

    public override int Read(Span<byte> buffer)
    {
        var read = content.Read(buffer);
        _empty = read > 0 ? 0 : _empty + 1;
        return _empty <= MostEmptyReads ? read : throw new EndOfStreamException("it promises more than it holds.");
    }

    public override long Seek(long offset, SeekOrigin origin) => content.Seek(offset, origin);
}
