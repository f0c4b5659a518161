using System.Buffers.Binary;
using System.IO.Compression;
using System.Text;
using System.Text.RegularExpressions;

namespace MlNetMlp.Fuzz;

/// <summary>Damage to a model file, the same for the same seed: to its bytes, to the zip around its entries, and to the entries of a zip that is sound.</summary>
internal static partial class ModelMutation
{
    private static readonly long[] Extremes = [0, 1, -1, 255, 256, short.MaxValue, int.MaxValue, int.MinValue, uint.MaxValue, 1L << 32, 1L << 40, long.MaxValue, long.MinValue, 1L << 62];

    private static readonly string[] Names = ["../../evil", "/etc/evil", @"C:\evil", "Model.key", "TransformerChain/Model.key", "a//b", "\u0001", new('x', 5000)];

    private static readonly string[] Numbers = ["0", "-1", "1e999", "2147483647", "2147483648", "9223372036854775807", "1e-300", "NaN", "null", "[]", "{}", "\"x\"", "16777216"];

    /// <summary>Damages a file.</summary>
    /// <param name="file">A sound model.</param>
    /// <param name="other">Another one, parts of which take the places of parts of the first.</param>
    /// <param name="seed">The seed.</param>
    /// <returns>The damaged file, and what was done to it.</returns>
    public static (byte[] File, string What) Apply(byte[] file, byte[] other, int seed)
    {
        var random = new Random(seed);
        return random.Next(10) switch
        {
            0 => (Bytes(file, random), "bytes of the file"),
            1 => (file[..random.Next(file.Length)], "cut"),
            2 => ([.. file.AsSpan(0, random.Next(file.Length)), .. other.AsSpan(random.Next(other.Length))], "spliced"),
            3 => (Zip(Read(file), entries => Names[random.Next(Names.Length)] is var name ? [.. entries, (name, Bytes([1, 2, 3], random))] : entries), "another entry"),
            4 => (Zip(Read(file), entries => Swap(entries, Read(other), random)), "swapped entries"),
            5 => (Directory(file, random), "records of the zip"),
            _ => (Zip(Read(file), entries => Entry(entries, random)), "content of an entry"),
        };
    }

    private static byte[] Bytes(byte[] content, Random random)
    {
        byte[] damaged = [.. content];
        for (var times = 1 << random.Next(4); times > 0 && damaged.Length > 0; times--)
        {
            var at = random.Next(damaged.Length);
            switch (random.Next(4))
            {
                case 0:
                    damaged[at] ^= (byte)(1 << random.Next(8));
                    break;
                case 1:
                    damaged[at] = (byte)random.Next(256);
                    break;
                case 2 when damaged.Length >= 4:
                    BinaryPrimitives.WriteInt32LittleEndian(damaged.AsSpan(Math.Min(at & ~3, damaged.Length - 4)), (int)Extremes[random.Next(Extremes.Length)]);
                    break;
                case 3 when damaged.Length >= 8:
                    BinaryPrimitives.WriteInt64LittleEndian(damaged.AsSpan(Math.Min(at & ~3, damaged.Length - 8)), Extremes[random.Next(Extremes.Length)]);
                    break;
            }
        }

        return damaged;
    }

    // What stands before entries and in the directory: the sizes that a reader believes.
    private static byte[] Directory(byte[] file, Random random)
    {
        byte[] damaged = [.. file];
        var records = new List<int>();
        for (var at = 0; at + 4 < file.Length; at++)
        {
            if (BinaryPrimitives.ReadUInt32LittleEndian(file.AsSpan(at)) is 0x04034b50 or 0x02014b50 or 0x06054b50)
                records.Add(at);
        }

        var place = records[random.Next(records.Count)] + 4 + (2 * random.Next(20));
        if (place + 4 <= damaged.Length)
            BinaryPrimitives.WriteInt32LittleEndian(damaged.AsSpan(place), (int)Extremes[random.Next(Extremes.Length)]);
        return damaged;
    }

    private static List<(string Name, byte[] Content)> Entry(List<(string Name, byte[] Content)> entries, Random random)
    {
        // Small entries say what is to be built; large ones are mostly weights.
        var which = random.Next(entries.Count);
        var (name, content) = entries[which];
        var changed = random.Next(8) switch
        {
            0 => content[..random.Next(content.Length + 1)],
            1 => [.. content, .. Bytes(new byte[random.Next(100)], random)],
            2 or 3 when name.EndsWith(".json", StringComparison.Ordinal) => Json(content, random),
            _ => Bytes(content, random),
        };
        if (random.Next(20) == 0)
            entries.RemoveAt(which);
        else
            entries[which] = (name, changed);
        return entries;
    }

    private static byte[] Json(byte[] content, Random random)
    {
        var text = Encoding.UTF8.GetString(content);
        if (random.Next(10) == 0)
            return Encoding.UTF8.GetBytes(text.Replace("{", string.Concat(Enumerable.Repeat("{\"a\":", 200)), StringComparison.Ordinal));
        var numbers = Number().Matches(text);
        if (numbers.Count == 0)
            return content;
        var number = numbers[random.Next(numbers.Count)];
        return Encoding.UTF8.GetBytes(text[..number.Index] + Numbers[random.Next(Numbers.Length)] + text[(number.Index + number.Length)..]);
    }

    private static List<(string Name, byte[] Content)> Swap(List<(string Name, byte[] Content)> entries, List<(string Name, byte[] Content)> others, Random random)
    {
        var which = random.Next(entries.Count);
        var from = random.Next(2) == 0 ? entries : others;
        entries[which] = (entries[which].Name, from[random.Next(from.Count)].Content);
        return entries;
    }

    private static List<(string Name, byte[] Content)> Read(byte[] file)
    {
        using var zip = new ZipArchive(new MemoryStream(file));
        var entries = new List<(string, byte[])>();
        foreach (var entry in zip.Entries)
        {
            using var stream = entry.Open();
            var content = new MemoryStream();
            stream.CopyTo(content);
            entries.Add((entry.FullName, content.ToArray()));
        }

        return entries;
    }

    private static byte[] Zip(List<(string Name, byte[] Content)> entries, Func<List<(string Name, byte[] Content)>, List<(string Name, byte[] Content)>> change)
    {
        var file = new MemoryStream();
        using (var zip = new ZipArchive(file, ZipArchiveMode.Create, leaveOpen: true))
        {
            foreach (var (name, content) in change(entries))
            {
                using var stream = zip.CreateEntry(name, CompressionLevel.Fastest).Open();
                stream.Write(content);
            }
        }

        return file.ToArray();
    }

    [GeneratedRegex(@"(?<=[:\[,]\s*)-?\d[\d.eE+-]*")]
    private static partial Regex Number();
}
