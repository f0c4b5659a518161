using System.ComponentModel.DataAnnotations;
using MlNetMlp.Networks;
using MlNetMlp.Training;

namespace MlNetMlp.Methods;

/// <summary>What all conversions of trained networks have in common.</summary>
public abstract record ConversionOptions
{
    /// <summary>Decides everything random, at least 0; null (the default): follows from the seed of the context.</summary>
    [Range(0, int.MaxValue)]
    public int? Seed { get; init; }
}

/// <summary>
/// A method that makes another network for the same features and the same task of a trained one: a smaller one, for instance. One object serves
/// several conversions at once, so it keeps no state.
/// </summary>
public interface INetworkConversion
{
    /// <summary>The method's name, as the user knows it.</summary>
    string Name { get; }

    /// <summary>The options, which are checked when the converter is made.</summary>
    ConversionOptions Options { get; }

    /// <summary>Number of rows that the method wants to see where there are data, at least 1.</summary>
    int SampleRows { get; }

    /// <summary>Makes the network.</summary>
    /// <param name="original">The trained network, which stays as it is.</param>
    /// <param name="data">Rows of its features; null where none are given.</param>
    /// <param name="run">Random numbers, and ways to report and to be stopped.</param>
    /// <returns>A network with the inputs and outputs of the original.</returns>
    /// <exception cref="InvalidOperationException">The original cannot be converted, or not without data; the message says why.</exception>
    Network Convert(TrainedNetwork original, FeatureSample? data, TrainingRun run);
}
