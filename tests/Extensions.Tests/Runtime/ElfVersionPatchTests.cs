using System.Text;
using MlNetMlp.Runtime;

namespace MlNetMlp.Tests.Runtime;

public class ElfVersionPatchTests
{
    private const string Version = LibTorchLoader.TooNewVersion;

    [Fact]
    public void ChangesOneBitAndNothingElse()
    {
        if (Bridge() is not { } original)
            return;

        var patched = ElfVersionPatch.MakeWeak(original, Version);

        var different = Enumerable.Range(0, original.Length).Where(i => original[i] != patched[i]).ToArray();
        Assert.Equal(original.Length, patched.Length);
        Assert.Equal([ElfVersionPatch.FindFlags(original, Version)], different);
        Assert.Equal(0x2, original[different[0]] ^ patched[different[0]]);
    }

    [Fact]
    public void PatchesTheEntryOfThatName()
    {
        if (Bridge() is not { } original)
            return;

        // The hash of the name precedes the flags: the linker knows the version by both.
        var at = ElfVersionPatch.FindFlags(original, Version);
        Assert.Equal(ElfHash(Version), BitConverter.ToUInt32(original, at - 4));
    }

    [Fact]
    public void TwiceIsTheSameAsOnce()
    {
        if (Bridge() is not { } original)
            return;

        var once = ElfVersionPatch.MakeWeak(original, Version);
        Assert.Equal(once, ElfVersionPatch.MakeWeak(once, Version));
    }

    [Fact]
    public void RefusesAVersionThatIsNotNeeded()
    {
        if (Bridge() is not { } original)
            return;

        var error = Assert.Throws<InvalidDataException>(() => ElfVersionPatch.MakeWeak(original, "GLIBCXX_9.9"));
        Assert.Contains("GLIBCXX_9.9", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void RefusesFilesThatAreCutOffAnywhere()
    {
        if (Bridge() is not { } original)
            return;

        // What follows the last segment (symbols for debuggers) is no part of what is loaded.
        var end = (int)ElfHeader.ReadSegments(new MemoryStream(original)).Max(segment => segment.Offset + segment.Length);
        foreach (var length in Enumerable.Range(0, 700).Concat(Enumerable.Range(1, 40).Select(i => (end * i / 40) - 1)))
            Assert.Throws<InvalidDataException>(() => ElfVersionPatch.MakeWeak(original[..length], Version));

        Assert.Equal(ElfVersionPatch.MakeWeak(original, Version)[..end], ElfVersionPatch.MakeWeak(original[..end], Version));
    }

    [Fact]
    public void RefusesOtherFiles()
    {
        Refuses("not an ELF", []);
        Refuses("not an ELF", Encoding.ASCII.GetBytes(new string('x', 1000)));
        Refuses("64-bit little-endian", Header(bits: 1, order: 1));
        Refuses("64-bit little-endian", Header(bits: 2, order: 2));
        Refuses("program headers", Header(bits: 2, order: 1));
    }

    [Fact]
    public void RefusesARealLibraryOfAnotherKind()
    {
        if (Bridge() is not { } original)
            return;

        original[4] = 1;
        Refuses("64-bit little-endian", original);
        (original[4], original[5]) = (2, 2);
        Refuses("64-bit little-endian", original);
    }

    [Fact]
    public void DamagedTablesAreRefusedOrDoNoHarm()
    {
        if (Bridge() is not { } original)
            return;

        // Any byte of the headers, the dynamic section and the version records may be wrong: no other exception, and no endless loop.
        var random = new Random(7);
        var dynamic = ElfHeader.ReadSegments(new MemoryStream(original)).Single(segment => segment.Type == ElfHeader.DynamicSegment);
        var refused = 0;
        foreach (var start in (int[])[0, (int)dynamic.Offset, ElfVersionPatch.FindFlags(original, Version) - 300])
        {
            for (var trial = 0; trial < 400; trial++)
            {
                var damaged = original.AsSpan().ToArray();
                for (var k = 0; k < 1 + (trial % 4); k++)
                    damaged[start + random.Next(600)] = (byte)(random.Next(4) == 0 ? 0xff : random.Next(256));

                try
                {
                    ElfVersionPatch.FindFlags(damaged, Version);
                }
                catch (InvalidDataException)
                {
                    refused++;
                }
            }
        }

        Assert.InRange(refused, 100, 1100);
    }

    private static byte[] Header(byte bits, byte order) => [0x7f, (byte)'E', (byte)'L', (byte)'F', bits, order, .. new byte[100]];

    private static void Refuses(string why, byte[] file) =>
        Assert.Contains(
            why, Assert.Throws<InvalidDataException>(() => ElfVersionPatch.MakeWeak(file, Version)).Message, StringComparison.Ordinal);

    private static uint ElfHash(string name)
    {
        uint hash = 0;
        foreach (var c in name)
        {
            hash = (hash << 4) + c;
            var high = hash & 0xf0000000;
            hash = (hash ^ (high >> 24)) & ~high;
        }

        return hash;
    }

    private static byte[]? Bridge() => NativePackages.LinuxBridge is { } path ? File.ReadAllBytes(path) : null;
}
