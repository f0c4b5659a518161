using MlNetMlp.Persistence;

namespace MlNetMlp.Networks;

/// <summary>
/// A part of a network that remembers something from one step of a training to the next that is no weight, such as how often units were used. A training that is stopped and goes on from a
/// checkpoint gives it back; only then are its weights those of a training that was never stopped.
/// </summary>
public interface IKeepsTrainingState
{
    /// <summary>Tells what is remembered.</summary>
    /// <returns>Tensors by names of the part's own; none where there is nothing yet.</returns>
    WeightSet ReadTrainingState();

    /// <summary>Remembers what a part of the same shape told.</summary>
    /// <param name="state">What <see cref="ReadTrainingState"/> gave. It comes from a file, and may be hostile.</param>
    /// <exception cref="ModelFormatException">It is not of such a part.</exception>
    void WriteTrainingState(WeightSet state);
}
