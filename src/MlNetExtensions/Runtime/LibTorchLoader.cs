using System.Diagnostics;
using System.Reflection;
using System.Runtime.InteropServices;
using TorchSharp;

namespace MlNetMlp.Runtime;

/// <summary>Finds the native libraries, loads them in the order in which they need one another, and points TorchSharp at them.</summary>
internal sealed class LibTorchLoader(LibTorchSearch search)
{
    private const string TooNewVersion = "GLIBCXX_3.4.32";
    private readonly LoadTrace _trace = new();

    public LibTorchInfo Load()
    {
        if (!Environment.Is64BitProcess)
            throw new LibTorchException("TorchSharp runs in 64-bit processes only, and this one is of 32 bits.");

        var folder = FindLibTorch();
        var bridge = FindBridge(folder);

        foreach (var name in NativeNames.BeforeCpu)
            TryLoadIn(folder, name);
        var cpu = LoadOrFail(Path.Combine(folder, NativeNames.Cpu));
        var hasCuda = TryLoadIn(folder, NativeNames.CudaCore) & TryLoadIn(folder, NativeNames.Cuda);
        if (File.Exists(Path.Combine(folder, NativeNames.Torch)))
            LoadOrFail(Path.Combine(folder, NativeNames.Torch));

        var handle = LoadBridge(bridge, out var isPatched);
        TorchSharpBackend.Use(handle, hasCuda);
        return new(folder, NativeNames.VersionOf(cpu), hasCuda, isPatched);
    }

    public string FindLibTorch()
    {
        // A second libtorch in one process ends in a crash, so one that is there already is the one to use.
        if (FolderOfLoadedLibTorch() is { } loaded)
            return loaded;

        if (!string.IsNullOrWhiteSpace(search.Override))
        {
            var root = LibTorchSearch.Tidy(search.Override);
            return FirstFolderWith(NativeNames.Cpu, [root, Path.Combine(root, "lib")])
                ?? throw _trace.Failure($"The environment variable LIBTORCH is '{search.Override}', and there is no {NativeNames.Cpu} in it.");
        }

        return FirstFolderWith(NativeNames.Cpu, search.Folders)
            ?? throw _trace.Failure("libtorch was not found.");
    }

    private string FindBridge(string libTorch)
    {
        IEnumerable<string> folders = [libTorch, .. search.Folders];
        var folder = FirstFolderWith(NativeNames.Bridge, folders.Distinct(StringComparer.Ordinal))
            ?? throw _trace.Failure($"libtorch is in '{libTorch}', but TorchSharp's own native library was not found.");
        return Path.Combine(folder, NativeNames.Bridge);
    }

    private string? FirstFolderWith(string file, IEnumerable<string> folders)
    {
        foreach (var folder in folders)
        {
            var path = Path.Combine(folder, file);
            if (File.Exists(path))
                return folder;
            _trace.Add(path, "not there");
        }

        return null;
    }

    private nint LoadBridge(string path, out bool isPatched)
    {
        isPatched = false;
        if (TryLoad(path, out var handle))
            return handle;

        if (OperatingSystem.IsLinux() && _trace.LastReason.Contains(TooNewVersion, StringComparison.Ordinal))
        {
            isPatched = true;
            return LoadPatchedBridge(path);
        }

        throw _trace.Failure("TorchSharp's native library does not load.");
    }

    private nint LoadPatchedBridge(string path)
    {
        byte[] original, patched;
        try
        {
            original = File.ReadAllBytes(path);
            patched = ElfVersionPatch.MakeWeak(original, TooNewVersion);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or InvalidDataException)
        {
            _trace.Add(path, e.Message);
            throw _trace.Failure($"This system's libstdc++ is too old for TorchSharp's native library, which cannot be adapted.", e);
        }

        foreach (var folder in search.CacheFolders)
        {
            try
            {
                if (OperatingSystem.IsLinux() && TryLoad(PatchCache.Keep(folder, original, patched), out var handle))
                    return handle;
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                _trace.Add(folder, e.Message);
            }
        }

        throw _trace.Failure("This system's libstdc++ is too old for TorchSharp's native library, and no adapted copy of it could be used.");
    }

    private nint LoadOrFail(string path) =>
        TryLoad(path, out var handle) ? handle : throw _trace.Failure($"libtorch was found in '{Path.GetDirectoryName(path)}', but does not load.");

    private bool TryLoadIn(string folder, string name)
    {
        var path = Path.Combine(folder, name);
        return File.Exists(path) && TryLoad(path, out _);
    }

    // Packages may lie in folders of their own, where the system's linker does not find what a library of one needs from another:
    // a library that it misses is looked for in all folders, loaded first, and the load repeated.
    private bool TryLoad(string path, out nint handle)
    {
        for (var attempt = 0; ; attempt++)
        {
            try
            {
                handle = NativeLibrary.Load(path);
                return true;
            }
            catch (Exception e) when (e is DllNotFoundException or BadImageFormatException)
            {
                _trace.Add(path, e.Message);
                handle = 0;
                if (attempt == 32 || LoadTrace.MissingLibrary(e.Message) is not { } missing || !TryLoadElsewhere(missing, path))
                    return false;
            }
        }
    }

    private bool TryLoadElsewhere(string missing, string wantedBy) =>
        search.Folders
            .Select(folder => Path.Combine(folder, missing))
            .FirstOrDefault(path => path != wantedBy && File.Exists(path)) is { } path
        && TryLoad(path, out _);

    private static string? FolderOfLoadedLibTorch()
    {
        using var process = Process.GetCurrentProcess();
        foreach (ProcessModule module in process.Modules)
        {
            using (module)
            {
                if (string.Equals(Path.GetFileName(module.FileName), NativeNames.Cpu, StringComparison.OrdinalIgnoreCase))
                    return Path.GetDirectoryName(module.FileName);
            }
        }

        return null;
    }
}
