using System.ComponentModel.DataAnnotations;
using MlNetMlp.Data;
using MlNetMlp.Methods;
using MlNetMlp.Networks;
using MlNetMlp.Persistence;
using MlNetMlp.Scoring;
using MlNetMlp.Training;
using TorchSharp;
using static TorchSharp.torch;

namespace MyTrainerLibrary;

/// <summary>One hidden layer of ReLU units, y = V·max(0, W·x + b) + c: replace it by a network of your own.</summary>
/// <param name="options">The options.</param>
public sealed class MyTrainer(MyTrainer.Options options) : INetworkMethod
{
    /// <summary>Options of <see cref="MyTrainer"/>.</summary>
    public sealed record Options : GradientTrainedOptions
    {
        /// <summary>Hidden units, in [1, 100,000]; 64 by default.</summary>
        [Range(1, 100_000)]
        public int Units { get; init; } = 64;
    }

    /// <inheritdoc/>
    public string Name => nameof(MyTrainer);

    NetworkOptions INetworkMethod.Options => options;

    /// <inheritdoc/>
    public Network Fit(TrainingSet data, TaskHead head, TrainingRun run)
    {
        // The network of an earlier model comes with its weights and its scaling of the features.
        var network = (MyTrainerNetwork)run.Create(new MyTrainerDefinition { Inputs = data.FeatureCount, Outputs = head.Outputs, Units = options.Units });
        if (!run.IsContinued)
            network.Standardize(data.Statistics);

        // Batches, optimiser, schedule, early stopping, progress and cancellation, as the options say; a loop of your own reads data.Batches and asks run.CheckCancelled.
        run.Minimize(network, data, head, options.ToSettings(data.RowCount));
        return network;
    }
}

/// <summary>What rebuilds the network from a model file: its properties are the file's format.</summary>
public sealed record MyTrainerDefinition : NetworkDefinition
{
    /// <summary>Hidden units.</summary>
    [Range(1, 100_000)]
    public required int Units { get; init; }

    /// <inheritdoc/>
    public override long WeightCount => (2L * Inputs) + ((Inputs + 1L) * Units) + ((Units + 1L) * Outputs);

    /// <inheritdoc/>
    public override Network Build(Device device) => new MyTrainerNetwork(this, device);

    /// <summary>The same function as dense layers, which score without libtorch: leave this out where the network is more than that.</summary>
    /// <param name="weights">The weights, by the names of the network's fields.</param>
    /// <returns>The program.</returns>
    public override DenseProgram BuildDense(WeightReader weights)
    {
        var builder = new DenseProgramBuilder(Inputs);
        var x = builder.Affine(builder.Input, weights.Take("mean", Inputs).Span, weights.Take("factor", Inputs).Span);
        var h = builder.Dense(x, weights.Take("hidden.weight", Units, Inputs).Span, weights.Take("hidden.bias", Units).Span, Units, Activation.Relu);
        var y = builder.Dense(h, weights.Take("output.weight", Outputs, Units).Span, weights.Take("output.bias", Outputs).Span, Outputs);
        weights.Finish();
        return builder.Build(y);
    }
}

/// <summary>The network: the names of its fields are those of the tensors in the file.</summary>
internal sealed class MyTrainerNetwork : Network
{
    private readonly Tensor mean;
    private readonly Tensor factor;
    private readonly Dense hidden;
    private readonly Dense output;

    public MyTrainerNetwork(MyTrainerDefinition definition, Device device)
        : base(definition)
    {
        mean = zeros(definition.Inputs, device: device);
        factor = ones(definition.Inputs, device: device);
        hidden = new Dense(definition.Inputs, definition.Units, device);
        output = new Dense(definition.Units, definition.Outputs, device);
        register_buffer("mean", mean);
        register_buffer("factor", factor);
        RegisterComponents();
    }

    public void Standardize(FeatureStatistics statistics)
    {
        using var scope = NewDisposeScope();
        mean.copy_(tensor(statistics.Mean.ToArray()));
        factor.copy_(tensor(statistics.Scale()).reciprocal());
    }

    public override void Initialize(Generator random)
    {
        hidden.Initialize(random);
        output.Initialize(random);
    }

    public override Tensor forward(Tensor x)
    {
        // Whatever is made on the way is released at the end of the scope.
        using var scope = NewDisposeScope();
        return output.call(hidden.call(x.sub(mean).mul(factor)).relu()).MoveToOuterDisposeScope();
    }
}
