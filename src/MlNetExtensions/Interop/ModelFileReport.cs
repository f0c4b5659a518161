namespace Microsoft.ML;

/// <summary>What a model file holds, told without loading any of it.</summary>
/// <param name="Entries">Its entries.</param>
/// <param name="Parts">What it would have loaded: models of ML.NET and networks, in the order of the file.</param>
public sealed record ModelFileReport(IReadOnlyList<ModelFileEntry> Entries, IReadOnlyList<ModelFilePart> Parts)
{
    /// <summary>Bytes of all entries, unpacked.</summary>
    public long Bytes => Entries.Sum(entry => entry.Bytes);

    /// <summary>Simple names of the assemblies that the file would have loaded, each once.</summary>
    public IReadOnlyList<string> Assemblies => [.. Parts.Select(part => part.Assembly).OfType<string>().Distinct(StringComparer.OrdinalIgnoreCase)];
}

/// <summary>An entry of a model file.</summary>
/// <param name="Name">Its path within the file.</param>
/// <param name="Bytes">Its bytes, unpacked.</param>
/// <param name="PackedBytes">Bytes that it takes in the file.</param>
public sealed record ModelFileEntry(string Name, long Bytes, long PackedBytes);

/// <summary>A part of a model file that has a class loaded.</summary>
/// <param name="Entry">Path of the entry that names it.</param>
/// <param name="Name">The signature of a model of ML.NET, the contract of a custom mapping, or the type of a network.</param>
/// <param name="Assembly">Simple name of the assembly that the class comes from; null where the file leaves that to what is loaded already.</param>
public sealed record ModelFilePart(string Entry, string Name, string? Assembly);
