using static TorchSharp.torch;

namespace MlNetMlp.Layers;

/// <summary>Patches of a sequence: pieces of equal length, the last of which ends where the sequence does.</summary>
public static class Patches
{
    /// <summary>How many patches a sequence has: ⌊(L − p)/s⌋ + 1.</summary>
    /// <param name="steps">L, steps of the sequence, at least p.</param>
    /// <param name="length">p, steps of a patch.</param>
    /// <param name="stride">s, steps from one patch to the next.</param>
    /// <returns>The number.</returns>
    public static int Count(int steps, int length, int stride) => ((steps - length) / stride) + 1;

    /// <summary>Cuts sequences into patches. Steps at the beginning that no patch reaches are dropped.</summary>
    /// <param name="sequences">Sequences [..., L].</param>
    /// <param name="length">p.</param>
    /// <param name="stride">s.</param>
    /// <returns>Patches [..., n, p], not copied.</returns>
    public static Tensor Of(Tensor sequences, int length, int stride)
    {
        var steps = (int)sequences.shape[^1];
        var used = length + (stride * (Count(steps, length, stride) - 1));
        return sequences.narrow(-1, steps - used, used).unfold(-1, length, stride);
    }
}
