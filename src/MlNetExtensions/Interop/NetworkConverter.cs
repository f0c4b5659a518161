using System.Text.Json;
using Microsoft.ML;
using Microsoft.ML.Runtime;
using MlNetMlp.Data;
using MlNetMlp.Methods;
using MlNetMlp.Networks;
using MlNetMlp.Options;
using MlNetMlp.Persistence;
using MlNetMlp.Runtime;
using MlNetMlp.Training;

namespace MlNetMlp.Interop;

/// <summary>
/// Makes a model like another one, with another network in it: the columns that it reads and computes are the same. Made by the catalog methods
/// of the single conversions, or by <see cref="NetworkTrainerCatalog"/>. It is no estimator, as what comes out is a whole model.
/// </summary>
/// <typeparam name="TModel">The type of the model.</typeparam>
/// <remarks>It keeps no state, and the model stays as it is.</remarks>
public sealed class NetworkConverter<TModel>
    where TModel : class, ITransformer
{
    private readonly IHost _host;
    private readonly TModel _model;
    private readonly INetworkConversion _conversion;
    private readonly ISingleFeaturePredictionTransformer<NetworkModel> _original;
    private readonly Func<IDataView, IDataView> _before;
    private readonly int _seed;

    internal NetworkConverter(IHostEnvironment env, TModel model, INetworkConversion conversion)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(conversion);
        _host = env.Register(conversion.Name);
        (_model, _conversion) = (model, conversion);
        OptionRanges.Check(conversion.Options, conversion.Name);
        (_original, _before) = NetworkReplacement.Find(model) ?? throw new ArgumentException("The model holds no network of this library.", nameof(model));
        _seed = conversion.Options.Seed ?? _host.Rand.Next();
    }

    /// <summary>Makes the model by the look of data. Labels are not needed.</summary>
    /// <param name="input">Data that the model can be applied to, best those that it was trained on.</param>
    /// <returns>The other model.</returns>
    /// <exception cref="ArgumentOutOfRangeException">A column that the model reads is missing or of a type that cannot be used.</exception>
    /// <exception cref="InvalidOperationException">There are no rows, a feature is not finite, or the network cannot be converted.</exception>
    public TModel Fit(IDataView input)
    {
        ArgumentNullException.ThrowIfNull(input);
        var data = _before(input);
        var network = _original.Model.Network;
        var columns = network.Columns(_original.FeatureColumnName);
        columns.Find(data.Schema, network.Inputs);
        return Run(() => FeatureSampler.Read(data, columns, _conversion.SampleRows, _seed, () => _host.CheckAlive()) is var (statistics, rows, _)
            ? new FeatureSample(statistics, rows)
            : null);
    }

    /// <summary>Makes the model without data, where the network allows.</summary>
    /// <returns>The other model.</returns>
    /// <exception cref="InvalidOperationException">The network cannot be converted without data; the message says why.</exception>
    public TModel Convert() => Run(() => null);

    private TModel Run(Func<FeatureSample?> read)
    {
        var options = _conversion.Options;
        var original = _original.Model.Network;
        using var channel = _host.Start("Convert");
        channel.Info($"{_conversion.Name} of a {original.MethodName}, seed {_seed}, {LibTorch.Load()}.");
        var observer = new TrainingObserver(channel.Info, null, () => _host.CheckAlive(), KeepBestWhenCancelled: false, CancellationToken.None);

        // Everything that is made below is released at the end: what lives on is in managed memory.
        using var scope = TorchSharp.torch.NewDisposeScope();
        using var sample = read();
        using var run = new TrainingRun(TorchSharp.torch.CPU, _seed, observer, null);
        using var network = _conversion.Convert(original, sample, run);
        var converted = new TrainedNetwork(network.Definition, network.ReadWeights(), original.Head)
        {
            MethodName = _conversion.Name,
            OptionsJson = JsonSerializer.Serialize(options, options.GetType(), StrictJson.Settings),
            FeatureNames = original.FeatureNames,
            Sets = original.Sets,
            Images = original.Images,
            DiagnosticsJson = run.DiagnosticsJson,
        };
        return (TModel)NetworkReplacement.Replace(_host, _model, converted);
    }
}
