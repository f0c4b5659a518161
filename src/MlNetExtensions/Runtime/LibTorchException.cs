namespace MlNetMlp.Runtime;

/// <summary>
/// libtorch, or the bridge that TorchSharp calls it through, cannot be used in this process. The message is complete by itself:
/// every path that was tried, why it failed, and what to install or set.
/// </summary>
public sealed class LibTorchException : Exception
{
    /// <summary>Creates the exception with a message only.</summary>
    /// <param name="message">What was tried, why it failed and what helps.</param>
    public LibTorchException(string message) : base(message) { }

    /// <summary>Creates the exception with the failure that led to it.</summary>
    /// <param name="message">What was tried, why it failed and what helps.</param>
    /// <param name="innerException">The failure that led to this one.</param>
    public LibTorchException(string message, Exception? innerException) : base(message, innerException) { }

    /// <summary>Creates the exception with a general message.</summary>
    public LibTorchException() : base("libtorch cannot be used in this process.") { }
}
