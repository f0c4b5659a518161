using System.ComponentModel.DataAnnotations;
using System.Text.Json.Serialization;
using MlNetMlp.Data;
using MlNetMlp.Methods;
using MlNetMlp.Networks;
using MlNetMlp.Runtime;
using MlNetMlp.Training;
using static TorchSharp.torch;

namespace MlNetMlp.Tests.Support;

/// <summary>The smallest method that reads other columns, as a stranger would write it: a linear function of the numbers and of a vector for each key.</summary>
public sealed class KeyedLinear(KeyedLinear.Options options) : INetworkMethod
{
    public sealed record Options : GradientTrainedOptions
    {
        [JsonIgnore]
        public IReadOnlyList<InputColumn> Inputs { get; init; } = [];

        public double RowDecay { get; init; }

        public bool ForgetsLayout { get; init; }
    }

    public string Name => nameof(KeyedLinear);

    NetworkOptions INetworkMethod.Options => options;

    IReadOnlyList<InputColumn> INetworkMethod.Columns => options.Inputs;

    public Network Fit(TrainingSet data, TaskHead head, TrainingRun run)
    {
        var network = run.Create(new KeyedLinearDefinition
        {
            Inputs = data.FeatureCount, Outputs = head.Outputs, Rows = data.Layout!, Layout = options.ForgetsLayout ? null : data.Layout,
        });
        run.Minimize(network, data, head, options.ToSettings(data.RowCount) with { RowTableDecay = options.RowDecay });
        return network;
    }
}

public sealed record KeyedLinearDefinition : NetworkDefinition
{
    public const int Width = 3;

    public required RowLayout Rows { get; init; }

    [JsonIgnore]
    public int[] Keys => [.. Enumerable.Range(0, Rows.Columns.Count).Where(i => Rows.Columns[i].IsKey)];

    [JsonIgnore]
    public int Numbers => Rows.FeatureWidth + Rows.Columns.Where(column => !column.IsKey).Sum(column => column.Width);

    public override long WeightCount =>
        KeyEmbedding.WeightCountOf(Keys.Select(i => Rows.Columns[i]), Width, hasRare: false) + (((Keys.Length * Width) + Numbers + 1L) * Outputs);

    public override Network Build(Device device) => new KeyedLinearNetwork(this, device);
}

public sealed class KeyedLinearNetwork : Network
{
    private readonly KeyedLinearDefinition _definition;
    private readonly KeyEmbedding embedding;
    private readonly Dense linear;

    public KeyedLinearNetwork(KeyedLinearDefinition definition, Device device)
        : base(definition)
    {
        _definition = definition;
        embedding = new KeyEmbedding(definition.Rows, definition.Keys, KeyedLinearDefinition.Width, device);
        linear = new Dense((definition.Keys.Length * KeyedLinearDefinition.Width) + definition.Numbers, definition.Outputs, device);
        RegisterComponents();
    }

    public KeyEmbedding Embedding => embedding;

    public override void Initialize(Generator random)
    {
        embedding.Initialize(random, 0.1);
        linear.Initialize(random);
    }

    public override Tensor forward(Tensor input)
    {
        var rows = _definition.Rows;
        List<Tensor> parts = [embedding.call(input).flatten(1)];
        if (rows.FeatureWidth > 0)
            parts.Add(input.narrow(1, 0, rows.FeatureWidth));
        for (var i = 0; i < rows.Columns.Count; i++)
        {
            if (!rows.Columns[i].IsKey)
                parts.Add(input.narrow(1, rows.StartOf(i), rows.Columns[i].Width));
        }

        return linear.call(cat(parts, 1));
    }
}
