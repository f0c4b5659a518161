using Microsoft.ML;
using Microsoft.ML.Runtime;
using MlNetMlp.Persistence;

namespace MlNetMlp.Interop;

/// <summary>Reads an entry of JSON of a model file.</summary>
internal static class JsonEntry
{
    private const int MostBytes = 1 << 28;

    /// <summary>Reads an entry.</summary>
    /// <param name="ctx">The model.</param>
    /// <param name="name">Name of the entry.</param>
    /// <returns>Its bytes.</returns>
    /// <exception cref="ModelFormatException">It is missing or too large.</exception>
    public static byte[] Read(ModelLoadContext ctx, string name)
    {
        byte[]? bytes = null;
        ctx.TryLoadBinaryStream(name, reader => bytes = ReadAll(reader.BaseStream));
        return bytes is null ? throw new ModelFormatException($"{name}: it is missing.")
            : bytes.Length < MostBytes ? bytes
            : throw new ModelFormatException($"{name}: it has more than {MostBytes} bytes.");
    }

    // A reader that is asked for so many bytes takes the memory for them, whatever there is to read.
    private static byte[] ReadAll(Stream stream)
    {
        using var all = new MemoryStream();
        var part = new byte[1 << 16];
        for (var read = stream.Read(part); read > 0 && all.Length < MostBytes; read = stream.Read(part))
            all.Write(part, 0, Math.Min(read, (int)(MostBytes - all.Length)));
        return all.ToArray();
    }
}
