using System.Buffers.Binary;
using System.IO.Compression;
using System.Runtime.CompilerServices;
using MlNetMlp.Runtime;
using TorchSharp;
using static TorchSharp.torch;

namespace MlNetMlp.Tests.Support;

/// <summary>Numbers and files that tests of trainers work on.</summary>
internal static class TestData
{
    /// <summary>The folder of the public data sets, or null where there is none.</summary>
    public static string? Folder { get; } = FindFolder();

    [ModuleInitializer]
    internal static void Load() => LibTorch.Load();

    /// <summary>Normal numbers from a generator of their own, so that tests never touch torch's global one.</summary>
    public static Tensor Normal(ulong seed, params long[] shape)
    {
        using var generator = new Generator(seed);
        return empty(shape).normal_(0, 1, generator);
    }

    /// <summary>Reads images and labels in the IDX format of MNIST.</summary>
    public static (float[][] Images, int[] Labels) Digits(string images, string labels, int count)
    {
        using var pixels = Open(images, out var size, out var rows, out var columns);
        using var classes = Open(labels, out _, out _, out _);
        var result = new float[Math.Min(count, size)][];
        var digits = new int[result.Length];
        var buffer = new byte[rows * columns];
        for (var i = 0; i < result.Length; i++)
        {
            pixels.ReadExactly(buffer);
            result[i] = [.. buffer.Select(b => b / 255f)];
            digits[i] = classes.ReadByte();
        }

        return (result, digits);
    }

    private static GZipStream Open(string path, out int count, out int rows, out int columns)
    {
        var stream = new GZipStream(File.OpenRead(Path.Combine(Folder!, path)), CompressionMode.Decompress);
        int Next()
        {
            Span<byte> bytes = stackalloc byte[4];
            stream.ReadExactly(bytes);
            return BinaryPrimitives.ReadInt32BigEndian(bytes);
        }

        var isImages = Next() == 2051;
        count = Next();
        (rows, columns) = isImages ? (Next(), Next()) : (1, 1);
        return stream;
    }

    private static string? FindFolder()
    {
        var folder = Environment.GetEnvironmentVariable("MLNETMLP_DATA");
        for (var parent = new DirectoryInfo(AppContext.BaseDirectory); folder is null && parent is not null; parent = parent.Parent)
        {
            if (File.Exists(Path.Combine(parent.FullName, "MlNetMlp.sln")))
                folder = Path.Combine(parent.FullName, "..", "shared", "data");
        }

        return Directory.Exists(folder) ? folder : null;
    }
}

/// <summary>A test on a public data set, skipped where the set is not at hand.</summary>
[AttributeUsage(AttributeTargets.Method)]
internal sealed class DataFactAttribute : FactAttribute
{
    public DataFactAttribute(string name)
    {
        if (TestData.Folder is null || !Path.Exists(Path.Combine(TestData.Folder, name)))
            Skip = $"The data set '{name}' is not at hand: set MLNETMLP_DATA to the folder that holds it.";
    }
}
