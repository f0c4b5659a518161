using System.ComponentModel.DataAnnotations;
using MlNetMlp.Data;
using MlNetMlp.Methods;
using MlNetMlp.Networks;
using MlNetMlp.Runtime;
using MlNetMlp.Training;
using TorchSharp;
using static TorchSharp.torch;

namespace YourOwnTrainer;

/// <summary>
/// A linear model with a quadratic form of low rank beside it, y = W·x + C·(V·x)² + b: units that are squared see products and squares of features, which a linear model does not
/// (Livni, Shalev-Shwartz and Shamir, "On the Computational Efficiency of Training Neural Networks", 2014).
/// </summary>
/// <param name="options">The options.</param>
public sealed class QuadraticNetwork(QuadraticNetwork.Options options) : INetworkMethod
{
    /// <summary>Options of <see cref="QuadraticNetwork"/>.</summary>
    public sealed record Options : GradientTrainedOptions
    {
        /// <summary>Number of squared units, the rank of the quadratic form, in [1, 10,000]; 32 by default.</summary>
        [Range(1, 10_000)]
        public int Units { get; init; } = 32;
    }

    /// <inheritdoc/>
    public string Name => nameof(QuadraticNetwork);

    NetworkOptions INetworkMethod.Options => options;

    /// <inheritdoc/>
    public Network Fit(TrainingSet data, TaskHead head, TrainingRun run)
    {
        var network = (QuadraticModule)run.Create(new QuadraticDefinition { Inputs = data.FeatureCount, Outputs = head.Outputs, Units = options.Units });
        if (!run.IsContinued)
            network.Standardize(data.Statistics);
        run.Minimize(network, data, head, options.ToSettings(data.RowCount));
        return network;
    }
}

/// <summary>What rebuilds the network from a model file.</summary>
public sealed record QuadraticDefinition : NetworkDefinition
{
    /// <summary>Number of squared units.</summary>
    [Range(1, 10_000)]
    public required int Units { get; init; }

    /// <inheritdoc/>
    public override long WeightCount => (2L * Inputs) + ((Inputs + 1L) * (Outputs + Units)) + ((Units + 1L) * Outputs);

    /// <inheritdoc/>
    public override Network Build(Device device) => new QuadraticModule(this, device);
}

/// <summary>The network: the names of its fields are those of the tensors in the file.</summary>
internal sealed class QuadraticModule : Network
{
    private readonly Tensor mean;
    private readonly Tensor scale;
    private readonly Dense linear;
    private readonly Dense hidden;
    private readonly Dense squares;

    public QuadraticModule(QuadraticDefinition definition, Device device)
        : base(definition)
    {
        mean = zeros(definition.Inputs, device: device);
        scale = ones(definition.Inputs, device: device);
        linear = new Dense(definition.Inputs, definition.Outputs, device);
        hidden = new Dense(definition.Inputs, definition.Units, device);
        squares = new Dense(definition.Units, definition.Outputs, device);
        register_buffer("mean", mean);
        register_buffer("scale", scale);
        RegisterComponents();
    }

    public void Standardize(FeatureStatistics statistics)
    {
        using var scope = NewDisposeScope();
        mean.copy_(tensor(statistics.Mean.ToArray()));
        scale.copy_(tensor(statistics.Scale()));
    }

    public override void Initialize(Generator random)
    {
        foreach (var layer in new[] { linear, hidden, squares })
            layer.Initialize(random);
    }

    public override Tensor forward(Tensor x)
    {
        using var scope = NewDisposeScope();
        var z = x.sub(mean).div(scale);
        var h = hidden.call(z);
        return linear.call(z).Plus(squares.call(h.mul(h))).MoveToOuterDisposeScope();
    }
}
