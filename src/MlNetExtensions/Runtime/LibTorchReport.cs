namespace MlNetMlp.Runtime;

/// <summary>How a process stands with libtorch, as <see cref="LibTorch.Diagnose"/> finds it.</summary>
/// <param name="IsUsable">Whether libtorch and TorchSharp's bridge are loaded and answer.</param>
/// <param name="Text">
/// Versions, the native libraries and where they are, devices; and where libtorch cannot be used, what was tried, why it failed and what helps: the message of
/// <see cref="LibTorchException"/>.
/// </param>
public sealed record LibTorchReport(bool IsUsable, string Text);
