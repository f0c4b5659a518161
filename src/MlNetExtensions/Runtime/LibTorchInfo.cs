namespace MlNetMlp.Runtime;

/// <summary>Which libtorch this process uses.</summary>
/// <param name="Folder">The folder that <c>libtorch_cpu</c> was loaded from.</param>
/// <param name="Version">libtorch's own version, such as <c>2.10.0</c>; <c>unknown</c> where neither it nor the files beside it tell.</param>
/// <param name="HasCuda">
/// Whether this libtorch was built for CUDA and its CUDA part is loaded. It does not say that there is a GPU:
/// the log of a training names the device.
/// </param>
/// <param name="IsPatched">
/// Whether TorchSharp's native bridge was loaded from a copy whose demand for a newer <c>libstdc++</c> is marked as optional.
/// </param>
public sealed record LibTorchInfo(string Folder, string Version, bool HasCuda, bool IsPatched)
{
    /// <summary>
    /// What a user should know about this libtorch, if anything: that its version is not the one that TorchSharp was built for, or that
    /// its CUDA part does not load. Otherwise null.
    /// </summary>
    public string? Caution { get; init; }

    /// <summary>A line for a log, such as <c>libtorch 2.10.0 (CPU) from /app</c>.</summary>
    /// <returns>The line.</returns>
    public override string ToString() =>
        $"libtorch {Version} ({(HasCuda ? "CUDA" : "CPU")}) from {Folder}"
        + (IsPatched ? ", TorchSharp's bridge adapted to this system's libstdc++" : "")
        + (Caution is null ? "" : ". " + Caution);
}
