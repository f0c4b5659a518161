using System.ComponentModel.DataAnnotations;
using System.Text.Json.Serialization;
using MlNetMlp.Data;
using MlNetMlp.Methods;
using MlNetMlp.Networks;
using MlNetMlp.Persistence;
using MlNetMlp.Scoring;
using MlNetMlp.Training;
using TorchSharp;
using static TorchSharp.torch;

namespace MlNetMlp.Tests.Support;

/// <summary>The smallest method there can be, as a stranger would write it: standardised inputs, one hidden layer, the shared loop.</summary>
public sealed class PlainMlp(PlainMlp.Options options) : INetworkMethod
{
    public sealed record Options : GradientTrainedOptions
    {
        /// <summary>Hidden units, in [1, 100,000]; 16 by default.</summary>
        [Range(1, 100_000)]
        public int Hidden { get; init; } = 16;

        /// <summary>Whether the network can be scored by managed code; true by default.</summary>
        public bool IsDense { get; init; } = true;

        /// <summary>The loss of a batch; null (the default) for the task's own.</summary>
        [JsonIgnore]
        public BatchLoss? Loss { get; init; }

        /// <summary>Whether features may be NaN; false by default.</summary>
        public bool AcceptsMissing { get; init; }
    }

    public string Name => nameof(PlainMlp);

    NetworkOptions INetworkMethod.Options => options;

    public bool AcceptsMissingValues => options.AcceptsMissing;

    public Network Fit(TrainingSet data, TaskHead head, TrainingRun run)
    {
        var network = (PlainMlpNetwork)run.Create(
            new PlainMlpDefinition { Inputs = data.FeatureCount, Outputs = head.Outputs, Hidden = options.Hidden, IsDense = options.IsDense });
        if (!run.IsContinued)
            network.Standardize(data.Statistics);
        run.Minimize(network, data, head, options.ToSettings(data.RowCount), options.Loss);
        return network;
    }
}

public sealed record PlainMlpDefinition : NetworkDefinition
{
    [Range(1, 100_000)]
    public required int Hidden { get; init; }

    public required bool IsDense { get; init; }

    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingDefault)]
    public bool IsBody { get; init; }

    public override NetworkDefinition? Body => IsBody ? null : this with { IsBody = true, Outputs = Hidden };

    public override long WeightCount => (2L * Inputs) + ((Inputs + 1L) * Hidden) + (IsBody ? 0 : (Hidden + 1L) * Outputs);

    public override Network Build(Device device) => new PlainMlpNetwork(this, device);

    public override DenseProgram? BuildDense(WeightReader weights)
    {
        if (!IsDense)
            return null;
        var builder = new DenseProgramBuilder(Inputs);
        var shift = weights.Take("mean", Inputs).ToArray();
        var scale = weights.Take("scale", Inputs).ToArray();
        var factor = scale.Select(s => 1 / s).ToArray();
        var x = builder.Affine(builder.Input, shift, factor);
        var h = builder.Dense(x, weights.Take("hidden.weight", Hidden, Inputs).Span, weights.Take("hidden.bias", Hidden).Span, Hidden, Activation.Relu);
        if (IsBody)
        {
            weights.Finish();
            return builder.Build(h);
        }

        var y = builder.Dense(h, weights.Take("output.weight", Outputs, Hidden).Span, weights.Take("output.bias", Outputs).Span, Outputs, Activation.Identity);
        weights.Finish();
        return builder.Build(y);
    }
}

public sealed class PlainMlpNetwork : Network
{
    private readonly Tensor mean;
    private readonly Tensor scale;
    private readonly Dense hidden;
    private readonly Dense? output;

    public PlainMlpNetwork(PlainMlpDefinition definition, Device device)
        : base(definition)
    {
        mean = zeros(definition.Inputs, device: device);
        scale = ones(definition.Inputs, device: device);
        hidden = new Dense(definition.Inputs, definition.Hidden, device);
        output = definition.IsBody ? null : new Dense(definition.Hidden, definition.Outputs, device);
        register_buffer("mean", mean);
        register_buffer("scale", scale);
        RegisterComponents();
    }

    public override void Initialize(Generator random)
    {
        hidden.Initialize(random);
        output?.Initialize(random);
    }

    public void Standardize(FeatureStatistics statistics)
    {
        using var noGradient = no_grad();
        mean.copy_(tensor(statistics.Mean.ToArray()));
        scale.copy_(tensor(statistics.Scale()));
    }

    public override Tensor forward(Tensor input)
    {
        using var scope = NewDisposeScope();
        var h = nn.functional.relu(hidden.call((input - mean) / scale));
        return (output is null ? h : output.call(h)).MoveToOuterDisposeScope();
    }
}
