using System.ComponentModel.DataAnnotations;
using MlNetMlp.Data;
using MlNetMlp.Networks;
using MlNetMlp.Training;
using static TorchSharp.torch;

namespace MlNetMlp.Methods;

/// <summary>What all estimators of features that need no label have in common.</summary>
public abstract record FeatureOptions
{
    /// <summary>The feature column, <c>Features</c> by default: a vector of numbers of known size.</summary>
    [Required]
    public string InputColumnName { get; init; } = "Features";

    /// <summary>Decides everything random, at least 0; null (the default): follows from the seed of the context.</summary>
    [Range(0, int.MaxValue)]
    public int? Seed { get; init; }
}

/// <summary>What a <see cref="IFeatureMethod"/> gets to see of the data.</summary>
/// <param name="Statistics">Means and standard deviations of the features over all rows.</param>
/// <param name="Sample">Rows drawn at random, Single [rows, features]; as many as the method asked for, or all that there are.</param>
public sealed record FeatureSample(FeatureStatistics Statistics, Tensor Sample) : IDisposable
{
    /// <summary>How a row lies where the method asks for sets of items; null for vectors of known size.</summary>
    public SetLayout? Sets { get; init; }

    /// <summary>Number of features of a row; of sets, the numbers of the longest row.</summary>
    public int FeatureCount => Statistics.Mean.Count;

    /// <summary>Releases the sample.</summary>
    public void Dispose() => Sample.Dispose();
}

/// <summary>A method that makes a network of features from rows without labels. One object serves several fits at once, so it keeps no state.</summary>
public interface IFeatureMethod
{
    /// <summary>The method's name, as the user knows it.</summary>
    string Name { get; }

    /// <summary>The options, which are checked when the estimator is made.</summary>
    FeatureOptions Options { get; }

    /// <summary>What the method wants where its rows are sets of items rather than vectors of known size; null by default.</summary>
    SetInput? Sets => null;

    /// <summary>The columns that its networks compute beside the features: <see cref="NetworkDefinition.AddedColumns"/> of them all. None by default.</summary>
    IReadOnlyList<AddedColumn> AddedColumns => [];

    /// <summary>Number of rows that the method wants to see, at least 1.</summary>
    int SampleRows { get; }

    /// <summary>Makes the network.</summary>
    /// <param name="data">What is known of the rows.</param>
    /// <param name="run">Random numbers, and ways to report and to be stopped.</param>
    /// <returns>The network, whose outputs are the features.</returns>
    Network Fit(FeatureSample data, TrainingRun run);
}
