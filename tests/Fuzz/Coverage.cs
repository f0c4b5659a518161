using System.IO.Compression;
using Microsoft.ML;
using MlNetMlp.Persistence;
using SharpFuzz;

namespace MlNetMlp.Fuzz;

/// <summary>
/// The target of a fuzzer that looks for bytes which lead where none has been before. It is given the bytes of a whole model, or, as no checksum is right by chance, those of one entry of a
/// sound one.
/// </summary>
internal static class Coverage
{
    /// <summary>Writes what a fuzzer begins from, and a sound model beside it.</summary>
    /// <param name="folder">The folder; the model has its name and <c>.sound</c> behind it.</param>
    /// <param name="entry">Name of an entry; null for whole models.</param>
    public static void WriteSeeds(string folder, string? entry)
    {
        Directory.CreateDirectory(folder);
        var seeds = ModelSeeds.Make();

        // Of all seeds this one has the most entries of ours.
        File.WriteAllBytes(folder + ".sound", seeds[0].File);
        foreach (var (name, file) in seeds)
        {
            if (entry is null)
                File.WriteAllBytes(Path.Combine(folder, name), file);
            else if (Find(file, entry) is { } content)
                File.WriteAllBytes(Path.Combine(folder, name), content);
        }
    }

    /// <summary>Loads what the fuzzer gives, again and again; whatever is thrown but a refusal is a finding.</summary>
    /// <param name="sound">A sound model, of which an entry is given; null for whole models.</param>
    /// <param name="entry">Name of the entry.</param>
    public static void Run(string? sound = null, string? entry = null)
    {
        // No code that counts where it goes may run before the fuzzer has said where to.
        var model = sound is null ? [] : File.ReadAllBytes(sound);
        var path = Path.GetTempFileName();
        Fuzzer.OutOfProcess.Run(stream =>
        {
            using (var given = new MemoryStream())
            {
                stream.CopyTo(given);
                File.WriteAllBytes(path, entry is null ? given.ToArray() : Replace(model, entry, given.ToArray()));
            }

            try
            {
                ModelFile.Load(new MLContext(1), path, new() { Seconds = 1 }, ModelFile.KnownAssemblies, out _);
            }
            catch (ModelFormatException)
            {
                // Refused.
            }
        });
        File.Delete(path);
    }

    private static byte[]? Find(byte[] file, string entry)
    {
        using var zip = new ZipArchive(new MemoryStream(file));
        if (zip.Entries.FirstOrDefault(found => found.Name == entry) is not { } found)
            return null;
        using var stream = found.Open();
        using var content = new MemoryStream();
        stream.CopyTo(content);
        return content.ToArray();
    }

    private static byte[] Replace(byte[] file, string entry, byte[] content)
    {
        var changed = new MemoryStream();
        using (var from = new ZipArchive(new MemoryStream(file)))
        using (var to = new ZipArchive(changed, ZipArchiveMode.Create, leaveOpen: true))
        {
            foreach (var found in from.Entries)
            {
                using var source = found.Open();
                using var target = to.CreateEntry(found.FullName, CompressionLevel.NoCompression).Open();
                if (found.Name == entry)
                    target.Write(content);
                else
                    source.CopyTo(target);
            }
        }

        return changed.ToArray();
    }
}
