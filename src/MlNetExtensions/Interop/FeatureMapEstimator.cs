using Microsoft.ML;
using Microsoft.ML.Runtime;
using MlNetMlp.Data;
using MlNetMlp.Methods;
using MlNetMlp.Networks;
using MlNetMlp.Options;
using MlNetMlp.Runtime;
using MlNetMlp.Training;

namespace MlNetMlp.Interop;

/// <summary>
/// Makes a network of features from the rows of a column, without a label. Made by the catalog methods of the single maps, or by
/// <see cref="NetworkTrainerCatalog"/>.
/// </summary>
/// <remarks>It keeps no state: several threads may fit it at once, and each gets the same transformer for the same data.</remarks>
public sealed class FeatureMapEstimator : IEstimator<NetworkFeatureTransformer>
{
    private readonly IHost _host;
    private readonly IFeatureMethod _method;
    private readonly string _outputColumnName;
    private readonly int _seed;

    internal FeatureMapEstimator(IHostEnvironment env, IFeatureMethod method, string outputColumnName)
    {
        ArgumentNullException.ThrowIfNull(method);
        ArgumentException.ThrowIfNullOrEmpty(outputColumnName);
        _host = env.Register(method.Name);
        (_method, _outputColumnName) = (method, outputColumnName);
        OptionRanges.Check(method.Options, method.Name);
        _seed = method.Options.Seed ?? _host.Rand.Next();
    }

    /// <summary>The columns after the transformation.</summary>
    /// <param name="inputSchema">The columns before.</param>
    /// <returns>The columns.</returns>
    /// <exception cref="ArgumentOutOfRangeException">The input column is missing or of a type that cannot be used.</exception>
    public SchemaShape GetOutputSchema(SchemaShape inputSchema)
    {
        ArgumentNullException.ThrowIfNull(inputSchema);
        MethodTraining.CheckFeature(inputSchema, _method.Options.InputColumnName, _method.Sets, []);
        return NetworkFeatureTransformer.AddTo(inputSchema, _outputColumnName, _method.AddedColumns);
    }

    /// <summary>Reads the column once and makes the network.</summary>
    /// <param name="input">The data.</param>
    /// <returns>The transformer.</returns>
    /// <exception cref="ArgumentOutOfRangeException">The input column is missing or of a type that cannot be used.</exception>
    /// <exception cref="InvalidOperationException">There are no rows, or a feature is not finite.</exception>
    /// <exception cref="OperationCanceledException">The context was cancelled.</exception>
    /// <exception cref="LibTorchException">libtorch does not load.</exception>
    public NetworkFeatureTransformer Fit(IDataView input)
    {
        ArgumentNullException.ThrowIfNull(input);
        var options = _method.Options;
        MethodTraining.CheckFeature(SchemaShape.Create(input.Schema), options.InputColumnName, _method.Sets, []);
        var columns = FeatureColumns.Of(input.Schema, options.InputColumnName, _method.Sets, []);
        using var channel = _host.Start("Fit");
        channel.Info($"{_method.Name} reads '{options.InputColumnName}', seed {_seed}, {LibTorch.Load()}.");
        var observer = new TrainingObserver(channel.Info, null, () => _host.CheckAlive(), KeepBestWhenCancelled: false, CancellationToken.None);

        // Everything that is made below is released at the end: what lives on is in managed memory.
        using var scope = TorchSharp.torch.NewDisposeScope();
        var (statistics, rows, names) = FeatureSampler.Read(input, columns, _method.SampleRows, _seed, () => _host.CheckAlive());
        using var sample = new FeatureSample(statistics, rows) { Sets = columns.Sets };
        using var run = new TrainingRun(TorchSharp.torch.CPU, _seed, observer, null);
        using var network = _method.Fit(sample, run);
        var trained = new TrainedNetwork(network.Definition, network.ReadWeights(), new FeatureHead { Width = network.Definition.Outputs })
        {
            MethodName = _method.Name,
            OptionsJson = System.Text.Json.JsonSerializer.Serialize(options, options.GetType(), Persistence.StrictJson.Settings),
            FeatureNames = names,
            Sets = columns.Sets,
            Images = columns.Images,
        };
        return new(_host, trained, _outputColumnName, options.InputColumnName);
    }
}
