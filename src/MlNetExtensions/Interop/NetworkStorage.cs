using System.IO.Compression;
using Microsoft.ML;
using MlNetMlp.Methods;
using MlNetMlp.Persistence;

namespace MlNetMlp.Interop;

/// <summary>Where a trained network lies in ML.NET's model file: two entries beside the model's own, and a third where training can go on from more than weights.</summary>
internal static class NetworkStorage
{
    // Above this, compressing random digits costs far more time than the bytes that it saves are worth.
    private const long MostCompressedBytes = 1_000_000;

    // What ML.NET writes around a network has some hundred bytes; larger entries belong to others.
    private const long MostCheckedBytes = 1_000_000;

    public static void Save(ModelSaveContext ctx, TrainedNetwork network)
    {
        ctx.SaveBinaryStream(TrainedNetworkFile.HeaderEntryName, writer => writer.Write(TrainedNetworkFile.WriteHeader(network)));
        SaveTensors(ctx, SafeTensors.EntryName, network.Weights);
        if (network.State is { } state)
            SaveTensors(ctx, TrainedNetworkFile.StateEntryName, state);
    }

    public static TrainedNetwork Load(ModelLoadContext ctx)
    {
        CheckAbove(ctx);
        return TrainedNetworkFile.Read(LengthOf, Open);

        // The directory of the zip knows the length; ML.NET unpacks an entry to disk as a whole when it is opened.
        long? LengthOf(string name) => Find(name)?.Length;

        Stream Open(string name)
        {
            var entry = ZipEntryStream.Open(name, () => ctx.Repository.OpenEntry(ctx.Directory, name));
            var declared = Find(name)!;
            return new ZipEntryStream(entry.Stream, entry, name, declared.Length, declared.Crc32);
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
            if (here.StartsWith(folder, StringComparison.Ordinal) && !IsOurs(entry.Name) && entry.Length <= MostCheckedBytes)
                ZipEntryStream.Check(entry);
        }
    }

    private static bool IsOurs(string name) => name is TrainedNetworkFile.HeaderEntryName or SafeTensors.EntryName or TrainedNetworkFile.StateEntryName;

    private static void SaveTensors(ModelSaveContext ctx, string name, WeightSet tensors)
    {
        if (tensors.ByteCount <= MostCompressedBytes)
        {
            ctx.SaveBinaryStream(name, writer => SafeTensors.Write(writer.BaseStream, tensors));
            return;
        }

        // Entries that are closed but not yet written must go first: an archive takes one at a time.
        ctx.Repository.Flush();
        using var stream = ctx.Repository._archive.CreateEntry(PathOf(ctx.Directory, name), CompressionLevel.NoCompression).Open();
        SafeTensors.Write(stream, tensors);
    }

    private static string PathOf(string? directory, string name) => string.IsNullOrEmpty(directory) ? name : Path.Combine(directory, name);
}
