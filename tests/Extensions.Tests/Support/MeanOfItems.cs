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

/// <summary>The smallest method of sets, as a stranger would write it: a linear function of the context and the mean of the items.</summary>
public sealed class MeanOfItems(MeanOfItems.Options options) : INetworkMethod
{
    public sealed record Options : GradientTrainedOptions
    {
        /// <summary>Numbers of an item, in [1, 1,000]; null (the default) for those of the context.</summary>
        [Range(1, 1000)]
        public int? ItemWidth { get; init; }

        /// <summary>Columns of context; empty by default.</summary>
        [JsonIgnore]
        public IReadOnlyList<string> Context { get; init; } = [];

        /// <summary>The column of counts; null (the default) for none.</summary>
        public string? Count { get; init; }

        /// <summary>Whether managed code scores the network; true by default.</summary>
        public bool IsManaged { get; init; } = true;
    }

    public string Name => nameof(MeanOfItems);

    NetworkOptions INetworkMethod.Options => options;

    SetInput INetworkMethod.Sets => new(options.ItemWidth, options.Context, options.Count);

    public Network Fit(TrainingSet data, TaskHead head, TrainingRun run)
    {
        var sets = data.Sets!;
        var network = run.Create(new MeanOfItemsDefinition
        {
            Inputs = data.FeatureCount, Outputs = head.Outputs, ItemWidth = sets.ItemWidth, ContextWidth = sets.ContextWidth, IsManaged = options.IsManaged,
        });
        run.Minimize(network, data, head, options.ToSettings(data.RowCount));
        return network;
    }
}

public sealed record MeanOfItemsDefinition : NetworkDefinition
{
    [Range(1, 1000)]
    public required int ItemWidth { get; init; }

    [Range(0, 1000)]
    public required int ContextWidth { get; init; }

    public required bool IsManaged { get; init; }

    public int Width => ItemWidth + ContextWidth;

    public override long WeightCount => (Width + 1L) * Outputs;

    public override Network Build(Device device) => new MeanOfItemsNetwork(this, device);

    public override IRowScorer? BuildScorer(WeightReader weights)
    {
        if (!IsManaged)
            return null;
        var scorer = new Scorer(this, weights.Take("linear.weight", Outputs, Width).ToArray(), weights.Take("linear.bias", Outputs).ToArray());
        weights.Finish();
        return scorer;
    }

    public float[] Summary(ReadOnlySpan<float> row)
    {
        var summary = new float[Width];
        row.Slice(1, ContextWidth).CopyTo(summary);
        for (var i = 0; i < (int)row[0]; i++)
        {
            for (var j = 0; j < ItemWidth; j++)
                summary[ContextWidth + j] += row[1 + ContextWidth + (i * ItemWidth) + j] / row[0];
        }

        return summary;
    }

    private sealed class Scorer(MeanOfItemsDefinition definition, float[] weight, float[] bias) : IRowScorer
    {
        public int Inputs => definition.Inputs;

        public int Outputs => definition.Outputs;

        public void Score(ReadOnlySpan<float> rows, Span<float> scores)
        {
            var count = scores.Length / Outputs;
            for (var row = 0; row < count; row++)
            {
                var summary = definition.Summary(rows.Slice(row * (rows.Length / count), rows.Length / count));
                for (var k = 0; k < Outputs; k++)
                    scores[(row * Outputs) + k] = bias[k] + Enumerable.Range(0, summary.Length).Sum(j => weight[(k * summary.Length) + j] * summary[j]);
            }
        }
    }
}

public sealed class MeanOfItemsNetwork : Network
{
    private readonly MeanOfItemsDefinition _definition;
    private readonly Dense linear;

    public MeanOfItemsNetwork(MeanOfItemsDefinition definition, Device device)
        : base(definition)
    {
        _definition = definition;
        linear = new Dense(definition.Width, definition.Outputs, device);
        RegisterComponents();
    }

    public override void Initialize(Generator random) => linear.Initialize(random);

    public override Tensor forward(Tensor input)
    {
        using var scope = NewDisposeScope();
        var (start, width) = (1 + _definition.ContextWidth, _definition.ItemWidth);
        var items = input.narrow(1, start, input.shape[1] - start).reshape(input.shape[0], -1, width);
        var means = items.sum(1L).div(input.narrow(1, 0, 1));
        return linear.call(cat([input.narrow(1, 1, _definition.ContextWidth), means], 1)).MoveToOuterDisposeScope();
    }
}
