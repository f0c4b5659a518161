using System.IO.Compression;
using Microsoft.ML;
using MlNetMlp.Methods;
using MlNetMlp.Persistence;

namespace MlNetMlp.Interop;

/// <summary>Where a trained network lies in ML.NET's model file: two entries beside the model's own.</summary>
internal static class NetworkStorage
{
    // Above this, compressing random digits costs far more time than the bytes that it saves are worth.
    private const long MostCompressedBytes = 1_000_000;

    // What ML.NET writes around a network has some hundred bytes; larger entries belong to others.
    private const long MostCheckedBytes = 1_000_000;

    public static void Save(ModelSaveContext ctx, TrainedNetwork network)
    {
        ctx.SaveBinaryStream(TrainedNetworkFile.HeaderEntryName, writer => writer.Write(TrainedNetworkFile.WriteHeader(network)));
        if (network.Weights.ByteCount <= MostCompressedBytes)
        {
            ctx.SaveBinaryStream(SafeTensors.EntryName, writer => SafeTensors.Write(writer.BaseStream, network.Weights));
            return;
        }

        // Entries that are closed but not yet written must go first: an archive takes one at a time.
        ctx.Repository.Flush();
        using var stream = ctx.Repository._archive.CreateEntry(PathOf(ctx.Directory, SafeTensors.EntryName), CompressionLevel.NoCompression).Open();
        SafeTensors.Write(stream, network.Weights);
    }

    public static TrainedNetwork Load(ModelLoadContext ctx)
    {
        CheckAbove(ctx);
        return TrainedNetworkFile.Read(LengthOf, Open);

        // The directory of the zip knows the length; ML.NET unpacks an entry to disk as a whole when it is opened.
        long? LengthOf(string name) => Find(name)?.Length;

        Stream Open(string name)
        {
            try
            {
                var entry = ctx.Repository.OpenEntry(ctx.Directory, name);
                return new EntryStream(entry.Stream, entry, name, Find(name)!);
            }
            catch (InvalidDataException e)
            {
                throw Damaged(name, e.Message, e);
            }
        }

        ZipArchiveEntry? Find(string name) =>
            ctx.Repository._entries.TryGetValue(PathOf(ctx.Directory, name), out var entry)
            || ctx.Repository._entries.TryGetValue(PathOf(ctx.Directory, name).Replace('/', '\\'), out entry)
                ? entry
                : null;
    }

    /// <summary>
    /// Checks what ML.NET writes around a network, which says what column is read and from which score on a row is true: ML.NET takes whatever
    /// is there, and goes round in circles at some of it.
    /// </summary>
    private static void CheckAbove(ModelLoadContext ctx)
    {
        var here = ctx.Directory?.Replace('\\', '/') + "/";
        foreach (var (path, entry) in ctx.Repository._entries)
        {
            var folder = path.Replace('\\', '/')[..(path.LastIndexOfAny(['/', '\\']) + 1)];
            if (!here.StartsWith(folder, StringComparison.Ordinal) || entry.Name is TrainedNetworkFile.HeaderEntryName or SafeTensors.EntryName || entry.Length > MostCheckedBytes)
                continue;
            try
            {
                using var content = entry.Open();
                using var stream = new EntryStream(content, content, path, entry);
                stream.CopyTo(Stream.Null);
                if (!stream.IsAtEnd)
                    throw Damaged(path, "it ends early");
            }
            catch (InvalidDataException e)
            {
                throw Damaged(path, e.Message, e);
            }
        }
    }

    private static ModelFormatException Damaged(string name, string fault, Exception? cause = null) => new($"{name}: the entry is damaged, {fault.TrimEnd('.')}.", cause);

    private static string PathOf(string? directory, string name) => string.IsNullOrEmpty(directory) ? name : Path.Combine(directory, name);

    /// <summary>An entry's stream; closing it closes what it belongs to. With the last byte the checksum is compared.</summary>
    private sealed class EntryStream(Stream content, IDisposable owner, string name, ZipArchiveEntry declared) : Stream
    {
        private Crc32 _sum;
        private long _left = declared.Length;

        public bool IsAtEnd => _left == 0;

        public override bool CanRead => true;

        public override bool CanSeek => false;

        public override bool CanWrite => false;

        public override long Length => throw new NotSupportedException();

        public override long Position
        {
            get => throw new NotSupportedException();
            set => throw new NotSupportedException();
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
    }
}
