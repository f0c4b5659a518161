using System.Runtime.InteropServices;
using System.Runtime.Versioning;
using TorchSharp;

namespace MlNetMlp.Runtime;

/// <summary>
/// Finds the native libraries and loads them in the order in which they need one another. TorchSharp then looks for them by name, and
/// finds those that are loaded.
/// </summary>
internal sealed class LibTorchLoader(LibTorchSearch search)
{
    /// <summary>The one version that TorchSharp's bridge asks of <c>libstdc++</c> without using anything of it.</summary>
    public const string TooNewVersion = "GLIBCXX_3.4.32";

    private readonly LoadTrace _trace = new(search);
    private readonly HashSet<string> _lookedFor = [];
    private readonly List<string> _cautions = [];
    private bool _isPatched;

    public LibTorchInfo Load()
    {
        if (!Environment.Is64BitProcess)
            throw _trace.Failure("TorchSharp runs in 64-bit processes only, and this is one of 32 bits.");

        if (search.Loaded is null)
            RefuseALostFolder();
        var folder = FindLibTorch();
        _trace.LibTorchFolder = folder;
        RefuseASecondOne(folder);
        var bridge = FindBridge(folder);

        TryLoadIn(folder, NativeNames.Core);
        var cpu = LoadOrFail(folder, NativeNames.Cpu);
        var version = NativeNames.VersionOf(cpu, folder);
        var hasCuda = File.Exists(Path.Combine(folder, NativeNames.Cuda)) && LoadCuda(folder);
        if (File.Exists(Path.Combine(folder, NativeNames.Torch)))
            LoadOrFail(folder, NativeNames.Torch);

        LoadBridge(bridge);
        StartTorchSharp(bridge);

        var builtFor = string.Join('.', torch.__version__.Split('.').Take(2));
        if (!version.StartsWith(builtFor + ".", StringComparison.Ordinal))
            _cautions.Add($"TorchSharp is built for libtorch {builtFor}: a call of a function that this one lacks ends the process.");

        return new(folder, version, hasCuda, _isPatched) { Caution = _cautions.Count == 0 ? null : string.Join(' ', _cautions) };
    }

    /// <summary>How things stand after <see cref="Load"/>, or where it has not failed.</summary>
    public string Report(LibTorchInfo info) => _trace.Report(info);

    /// <summary>The folder to load libtorch from.</summary>
    public string FindLibTorch()
    {
        // A second libtorch in one process ends in a crash, so one that is there already is the one to use.
        if (search.Loaded is not null)
            return search.Loaded;

        if (string.IsNullOrWhiteSpace(search.Override))
            return FirstFolderWith(NativeNames.Cpu, search.Folders) ?? throw _trace.Failure("libtorch was not found.");

        var root = LibTorchSearch.Tidy(search.Override);
        return FirstFolderWith(NativeNames.Cpu, [root, Path.Combine(root, "lib")])
            ?? throw _trace.Failure($"The environment variable LIBTORCH is '{search.Override}', but {NativeNames.Cpu} is not in there.");
    }

    // MKL asks for the current folder while libtorch_cpu is loaded, and ends the process where there is none.
    private void RefuseALostFolder()
    {
        try
        {
            _ = Directory.GetCurrentDirectory();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw _trace.Refusal(
                "The current folder of this process was deleted or cannot be read, and libtorch would end the process while it is loaded. Start the process in a folder that stays, "
                + $"or set Environment.CurrentDirectory to one before anything loads libtorch ({e.Message}).");
        }
    }

    // TorchSharp's first use searches the application's folders for torch_cpu, whatever is loaded; NativeLibrary offers no way to stop that.
    private void RefuseASecondOne(string libTorch)
    {
        var chosen = Path.Combine(libTorch, NativeNames.Cpu);
        var other = search.Folders.Select(folder => Path.Combine(folder, NativeNames.Cpu)).FirstOrDefault(File.Exists);
        if ((search.Loaded is null && string.IsNullOrWhiteSpace(search.Override)) || other is null || FinalTarget(other) == FinalTarget(chosen))
            return;

        throw _trace.Refusal(
            $"{(search.Loaded is null ? "The environment variable LIBTORCH names" : "The process has loaded")} {chosen}, but the application brings "
            + $"{other}, which TorchSharp would load as well, and two cannot share a process. Remove the reference to libtorch's package "
            + "(libtorch-cpu-*, TorchSharp-cpu or TorchSharp-cuda-*; not TorchSharp itself) from the application's project"
            + (search.Loaded is null ? ", or unset LIBTORCH." : ", or call LibTorch.Load before anything else loads libtorch."));
    }

    // A folder above the file may be a link as well as the file itself.
    private static string FinalTarget(string path)
    {
        var target = File.ResolveLinkTarget(path, returnFinalTarget: true)?.FullName ?? path;
        return Path.GetDirectoryName(target) is { } folder ? Path.Combine(FinalTarget(folder), Path.GetFileName(target)) : target;
    }

    // The application's own comes first, since it is of the version that the application's TorchSharp is of.
    private string FindBridge(string libTorch)
    {
        IEnumerable<string> folders = [.. search.Folders, libTorch];
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
            _trace.Add(path, LoadTrace.NotThere);
        }

        return null;
    }

    // What computes on the CPU works without it, so a CUDA part that does not load is worth a word and not a failure.
    private bool LoadCuda(string folder)
    {
        foreach (var name in NativeNames.BeforeCuda)
            _ = TryLoadIn(folder, name) || TryLoadElsewhere(name);
        TryLoadIn(folder, NativeNames.CudaCore);
        if (TryLoadIn(folder, NativeNames.Cuda))
            return true;

        _cautions.Add($"Its CUDA part does not load: {_trace.LastReason}.");
        return false;
    }

    private void LoadBridge(string path)
    {
        if (TryLoad(path, out _))
            return;
        if (!OperatingSystem.IsLinux() || !_trace.LastReason.Contains(TooNewVersion, StringComparison.Ordinal))
            throw _trace.Failure("TorchSharp's native library does not load.");

        LoadPatchedBridge(path);
        _isPatched = true;
    }

    [SupportedOSPlatform("linux")]
    private void LoadPatchedBridge(string path)
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
            throw _trace.Failure("This system's libstdc++ is too old for TorchSharp's native library, which cannot be adapted.", e);
        }

        foreach (var folder in search.CacheFolders)
        {
            try
            {
                if (TryLoad(PatchCache.Keep(folder, original, patched), out _))
                    return;
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                _trace.Add(folder, e.Message);
            }
        }

        throw _trace.Failure("This system's libstdc++ is too old for TorchSharp's native library, and no adapted copy of it could be used.");
    }

    private void StartTorchSharp(string bridge)
    {
        try
        {
            // The first call through the bridge: it fails here, if it fails at all.
            _ = torch.get_num_threads();
        }
        catch (Exception e) when (e is TypeInitializationException or TypeLoadException)
        {
            // TorchSharp never recovers from a failed first use, which may have been the application's, before this.
            _trace.Add(bridge, e.GetBaseException().Message.Split('\n')[0].TrimEnd());
            throw _trace.Failure(
                "TorchSharp's native library is loaded, but TorchSharp cannot call it."
                + " An application that uses TorchSharp itself has to call LibTorch.Load before its first use of it.",
                e);
        }
    }

    private nint LoadOrFail(string folder, string name) =>
        TryLoad(Path.Combine(folder, name), out var handle)
            ? handle
            : throw _trace.Failure($"libtorch was found in '{folder}', but {name} does not load.");

    private bool TryLoadIn(string folder, string name)
    {
        var path = Path.Combine(folder, name);
        return File.Exists(path) && TryLoad(path, out _);
    }

    // NuGet packages may lie in folders of their own, where the system does not find what a library of one needs from another: what it
    // misses is looked for in all folders and loaded first, and the load repeated; each library once, or two that need each other would go
    // on for ever. A CUDA libtorch needs some twenty of them.
    private bool TryLoad(string path, out nint handle)
    {
        handle = 0;
        if (OperatingSystem.IsLinux() && ElfHeader.FlawOf(path) is { } flaw)
        {
            _trace.Add(path, flaw);
            return false;
        }

        for (var attempt = 0; ; attempt++)
        {
            try
            {
                handle = NativeLibrary.Load(path);
                _trace.AddLoaded(path);
                return true;
            }
            catch (Exception e) when (e is DllNotFoundException or BadImageFormatException)
            {
                _trace.Add(path, LoadTrace.Shorten(e.Message));
                if (attempt == 64 || LoadTrace.MissingLibrary(e.Message) is not { } missing || !_lookedFor.Add(missing)
                    || !TryLoadElsewhere(missing))
                {
                    return false;
                }
            }
        }
    }

    private bool TryLoadElsewhere(string name) => search.Folders.Any(folder => TryLoadIn(folder, name));
}
