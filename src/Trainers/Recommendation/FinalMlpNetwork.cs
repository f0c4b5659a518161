using MlNetMlp.Data;
using MlNetMlp.Layers;
using MlNetMlp.Networks;
using MlNetMlp.Options;
using MlNetMlp.Runtime;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace MlNetMlp.Recommendation;

/// <summary>The network of a <see cref="FinalMlp"/> or <see cref="DualMlp"/>.</summary>
internal sealed class FinalMlpNetwork : Network
{
    private const double EmbeddingDeviation = 1e-4;

    private readonly FinalMlpDefinition _definition;
    private readonly Tensor? mean;
    private readonly Tensor? scale;
    private readonly Parameter? numbers;
    private readonly KeyEmbedding? keys;
    private readonly FieldGate? gate1;
    private readonly FieldGate? gate2;
    private readonly FieldStream? stream1;
    private readonly FieldStream? stream2;
    private readonly Dense? output1;
    private readonly Dense? output2;
    private readonly Parameter? bilinear;

    public FinalMlpNetwork(FinalMlpDefinition definition, Device device)
        : base(definition)
    {
        _definition = definition;
        var (layout, d) = (definition.Layout!, definition.EmbeddingDim);
        if (definition.GateUnits is { } units)
        {
            gate1 = new FieldGate(definition, definition.Gate1Context, units, device);
            gate2 = new FieldGate(definition, definition.Gate2Context, units, device);
        }

        if (definition.IsGates)
        {
            RegisterComponents();
            return;
        }

        if (layout.FeatureWidth > 0)
        {
            (mean, scale) = (zeros(layout.FeatureWidth, device: device), ones(layout.FeatureWidth, device: device));
            numbers = new Parameter(empty(layout.FeatureWidth, d, device: device));
        }

        keys = new KeyEmbedding(layout, [.. Enumerable.Range(0, layout.Columns.Count)], d, device, definition.HasRare);
        stream1 = new FieldStream(definition.Fields * d, definition.Stream1, definition.BatchNorm, definition.Dropout1, device);
        stream2 = new FieldStream(definition.Fields * d, definition.Stream2, definition.BatchNorm, definition.Dropout2, device);
        (output1, output2) = (new Dense(definition.Width1, 1, device), new Dense(definition.Width2, 1, device));
        if (definition.Heads is > 0 and var k)
            bilinear = new Parameter(empty(k, definition.Width1 / k, definition.Width2 / k, device: device));
        RegisterComponents();
    }

    public KeyEmbedding Keys => keys!;

    public FieldGate? Gate1 => gate1;

    public FieldGate? Gate2 => gate2;

    public Dense Output1 => output1!;

    public Dense Output2 => output2!;

    public Parameter? Bilinear => bilinear;

    public IEnumerable<(FieldStream Layers, ValueList<int> Units)> Streams => [(stream1!, _definition.Stream1), (stream2!, _definition.Stream2)];

    /// <summary>Where dropout draws from in training; without it, nothing is left out.</summary>
    public Generator? Noise
    {
        set
        {
            stream1!.Noise = value;
            stream2!.Noise = value;
        }
    }

    /// <inheritdoc/>
    public override void Initialize(Generator random)
    {
        using var noGradient = no_grad();
        Keys.Initialize(random, EmbeddingDeviation);
        numbers?.normal_(0, Math.Sqrt(2.0 / (1 + _definition.EmbeddingDim)), random);
        gate1?.Initialize(random);
        gate2?.Initialize(random);
        foreach (var layer in (nn.Module[])[.. Streams.SelectMany(part => part.Layers.Layers), Output1, Output2])
            ((Dense)layer).InitializeXavier(random);
        bilinear?.normal_(0, Math.Sqrt(2.0 / (bilinear.numel() + 1)), random);
    }

    /// <summary>Fixes what follows from the training rows: how features are standardised, and which keys are rare.</summary>
    /// <param name="data">The rows.</param>
    /// <param name="fewest">Rows that a key needs.</param>
    public void Prepare(TrainingSet data, int fewest)
    {
        var layout = _definition.Layout!;
        if (mean is not null && scale is not null)
        {
            using var noGradient = no_grad();
            using Tensor means = tensor(data.Statistics.Mean.Take(layout.FeatureWidth).ToArray());
            using Tensor factors = tensor(data.Statistics.Scale().Take(layout.FeatureWidth).Select(s => 1 / s).ToArray());
            mean.copy_(means);
            scale.copy_(factors);
        }

        if (_definition.HasRare)
            DeclareRare(data, layout, fewest);
    }

    /// <inheritdoc/>
    public override Tensor forward(Tensor x)
    {
        if (_definition.IsGates)
            return cat([gate1!.FieldMeans(x), gate2!.FieldMeans(x)], 1);
        var e = Embed(x);                                                   // e: [rows, F·d]
        var o1 = stream1!.call(gate1?.Apply(x, e) ?? e);                    // o₁ = MLP₁(2σ(g₁) ⊙ e): [rows, D₁]
        var o2 = stream2!.call(gate2?.Apply(x, e) ?? e);                    // o₂ = MLP₂(2σ(g₂) ⊙ e): [rows, D₂]
        var sum = output1!.call(o1).Plus(output2!.call(o2));                // b₁ + w₁ᵀo₁ + b₂ + w₂ᵀo₂: [rows, 1]
        return bilinear is null ? sum : sum.Plus(Interaction(o1, o2));
    }

    /// <summary>Σⱼ o₁ⱼᵀ·Wⱼ·o₂ⱼ over the k parts of both streams: [rows, 1].</summary>
    public Tensor Interaction(Tensor o1, Tensor o2)
    {
        var k = _definition.Heads;
        if (k == 1)
            return o1.matmul(bilinear!.view(_definition.Width1, _definition.Width2)).mul(o2).sum(1L, keepdim: true);
        var projected = o1.view(-1, k, _definition.Width1 / k).transpose(0, 1).bmm(bilinear!);          // [k, rows, D₂/k]
        return projected.mul(o2.view(-1, k, _definition.Width2 / k).transpose(0, 1)).sum([0L, 2L]).unsqueeze(1);
    }

    private Tensor Embed(Tensor x)
    {
        var vectors = Keys.call(x);                                         // [rows, columns, d]
        if (numbers is null)
            return vectors.flatten(1);

        // NOTE[DIFF]: features are standardised and bent to stay within ±3; the paper's data sets come scaled, and wild values make logits at which a probability
        // is exactly 0 or 1.
        var z = SmoothClip.Apply(x.narrow(1, 0, mean!.shape[0]).sub(mean).mul(scale!));
        return cat([z.unsqueeze(2).mul(numbers), vectors], 1).flatten(1);   // x·w_f for features
    }

    private void DeclareRare(TrainingSet data, RowLayout layout, int fewest)
    {
        var counts = layout.Columns.Select(column => new int[column.KeyCount + 2]).ToArray();
        const int blockRows = 4096;
        foreach (var block in data.Blocks(blockRows))
        {
            using (block)
            {
                var values = TensorMemory.ToFloats(block.Features);
                for (var row = 0; row < values.Length; row += layout.Width)
                {
                    var place = row + layout.FeatureWidth;
                    for (var column = 0; column < counts.Length; column++)
                    {
                        for (var slot = 0; slot < layout.Columns[column].Width; slot++)
                            counts[column][(int)values[place++]]++;
                    }
                }
            }
        }

        Declare(Keys, [.. Enumerable.Range(0, counts.Length)]);
        Declare(gate1?.Context, _definition.Gate1Context);
        Declare(gate2?.Context, _definition.Gate2Context);

        void Declare(KeyEmbedding? embedding, ValueList<int> columns)
        {
            for (var i = 0; i < columns.Count && embedding is not null; i++)
            {
                var count = counts[columns[i]];
                embedding.SetRare(i, Enumerable.Range(1, count.Length - 2).Where(key => count[key] < fewest));
            }
        }
    }

    /// <summary>2σ(g), by which a stream stresses or passes over what each field says.</summary>
    internal sealed class FieldGate : nn.Module<Tensor, Tensor>
    {
        private const double ContextDeviation = 0.1;

        private readonly int _fields;
        private readonly KeyEmbedding? context;
        private readonly Parameter? start;
        private readonly ModuleList<Dense> layers = [];
        private readonly Dense last;

        public FieldGate(FinalMlpDefinition definition, ValueList<int> columns, ValueList<int> units, Device device)
            : base(nameof(FieldGate))
        {
            var d = definition.EmbeddingDim;
            _fields = definition.Fields;
            if (columns.Count > 0)
                context = new KeyEmbedding(definition.Layout!, columns, d, device, definition.HasRare);
            else
                start = new Parameter(empty(1, d, device: device));
            var width = Math.Max(1, columns.Count) * d;
            foreach (var count in units)
            {
                layers.Add(new Dense(width, count, device));
                width = count;
            }

            last = new Dense(width, _fields * d, device);
            RegisterComponents();
        }

        /// <summary>Vectors of the columns that the gate looks at, which are none of those that it weighs; null without a context.</summary>
        public KeyEmbedding? Context => context;

        /// <summary>The layer that gives g.</summary>
        public Dense Last => last;

        public IEnumerable<Dense> Layers => layers;

        public void Initialize(Generator random)
        {
            context?.Initialize(random, EmbeddingDeviation);

            // NOTE[DIFF]: the original starts this vector at zero, so that no gradient ever reaches the hidden layers and only the last bias
            // is learned: the gate is a constant for each number. Drawn at random, it is a gate that all its layers learn.
            start?.normal_(0, ContextDeviation, random);
            foreach (var layer in layers)
                layer.InitializeXavier(random);
            last.InitializeXavier(random);
        }

        /// <summary>2σ(g): [rows, F·d], or [1, F·d] without a context.</summary>
        public override Tensor forward(Tensor x)
        {
            var z = context is null ? start! : context.call(x).flatten(1);
            foreach (var layer in layers)
                z = nn.functional.relu(layer.call(z));
            return last.call(z).sigmoid().Times(2);
        }

        /// <summary>2σ(g) ⊙ e.</summary>
        public Tensor Apply(Tensor x, Tensor e) => e.mul(call(x));

        /// <summary>The mean gate of each field: [rows, F].</summary>
        public Tensor FieldMeans(Tensor x) => call(x).view(-1, _fields, last.Weight.shape[0] / _fields).mean([2L]).expand(x.shape[0], _fields);
    }

    /// <summary>Layers of units: dense, normalised, rectified, and some left out in training.</summary>
    internal sealed class FieldStream : nn.Module<Tensor, Tensor>
    {
        private readonly double _dropout;
        private readonly ModuleList<Dense> layers = [];
        private readonly ModuleList<BatchNormalization> norms = [];

        public FieldStream(int inputs, ValueList<int> units, bool isNormalized, double dropout, Device device)
            : base(nameof(FieldStream))
        {
            _dropout = dropout;
            foreach (var count in units)
            {
                layers.Add(new Dense(inputs, count, device));
                if (isNormalized)
                    norms.Add(new BatchNormalization(count, device));
                inputs = count;
            }

            RegisterComponents();
        }

        public IEnumerable<Dense> Layers => layers;

        public Generator? Noise { get; set; }

        public override Tensor forward(Tensor h)
        {
            for (var i = 0; i < layers.Count; i++)
            {
                h = layers[i].call(h);
                h = nn.functional.relu(norms.Count > 0 ? norms[i].call(h) : h);
                h = h.LeaveOut(_dropout, training ? Noise : null);
            }

            return h;
        }
    }
}
