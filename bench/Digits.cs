using System.IO.Compression;

namespace MlNetMlp.Bench;

/// <summary>The 10,000 test images of MNIST, from the folder that MLNETMLP_DATA names.</summary>
internal static class Digits
{
    /// <summary>Reads those of some digits.</summary>
    /// <param name="owner">The benchmark, for a message where there are none.</param>
    /// <param name="wanted">The digits.</param>
    /// <returns>Pixels in [0, 1] and the digit of each image, in the order of the file; null where there is no file.</returns>
    public static (float[] Pixels, int Digit)[]? Read(string owner, params int[] wanted)
    {
        var folder = Path.Combine(Choice.DataFolder, "mnist");
        if (!Directory.Exists(folder))
        {
            Console.WriteLine($"{owner}: there is no {folder}; set MLNETMLP_DATA.");
            return null;
        }

        var (pixels, labels) = (Unpack("t10k-images-idx3-ubyte.gz")[16..], Unpack("t10k-labels-idx1-ubyte.gz")[8..]);
        return
        [
            .. labels.Select((label, i) => (label, i)).Where(entry => wanted.Contains(entry.label)).Select(
                entry => (pixels.AsSpan(entry.i * 784, 784).ToArray().Select(value => value / 255f).ToArray(), (int)entry.label)),
        ];

        byte[] Unpack(string name)
        {
            using var file = new GZipStream(File.OpenRead(Path.Combine(folder, name)), CompressionMode.Decompress);
            using var memory = new MemoryStream();
            file.CopyTo(memory);
            return memory.ToArray();
        }
    }
}
