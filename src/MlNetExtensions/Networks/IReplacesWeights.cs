using TorchSharp.Modules;
using static TorchSharp.torch;

namespace MlNetMlp.Networks;

/// <summary>
/// A part of a network that now and then puts new values in the place of trained ones, such as those of units that no row uses. Whoever trains asks it after each step, and lets the
/// optimiser forget what it remembers of them: the old momentum would carry the new values away.
/// </summary>
public interface IReplacesWeights
{
    /// <summary>Puts new values in, where it is time.</summary>
    /// <param name="random">What is drawn from, on the device of the weights.</param>
    /// <returns>The parameter, and which of its elements are new, Boolean of a shape that broadcasts to its own; null where none are. The caller disposes the second.</returns>
    (Parameter Parameter, Tensor Replaced)? Replace(Generator random);
}
