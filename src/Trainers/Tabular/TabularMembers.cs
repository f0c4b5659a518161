using MlNetMlp.Layers;
using MlNetMlp.Networks;
using MlNetMlp.Runtime;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace MlNetMlp.Tabular;

/// <summary>Some members of a <see cref="TabularNetwork"/> as one batched network: prepared rows in, numbers or logits of each member out.</summary>
internal sealed class TabularMembers : nn.Module<Tensor, Tensor?, Tensor>
{
    private readonly TabularNetworkDefinition _definition;
    private readonly int[] _slots;
    private readonly PeriodicEmbedding? embedding;
    private readonly RowTable? table;
    private readonly Parameter scale;
    private readonly ModuleList<BatchedDense> layers = [];
    private readonly BatchedDense output;

    public TabularMembers(TabularNetworkDefinition definition, int count, Device device, ScalarType type = ScalarType.Float32)
        : base(nameof(TabularMembers))
    {
        (_definition, Count) = (definition, count);
        _slots = [.. definition.EmbeddedColumns.Select(column => definition.Layout!.Columns[column].Width)];
        if (definition.HasEmbedding)
            embedding = new PeriodicEmbedding(count, definition.Scaled.Count, definition.Frequencies, device, type);
        if (definition.TableRows is > 0 and var rows)
            table = new RowTable(count * rows, definition.KeyEmbeddingSize, device, [.. Enumerable.Range(0, count).Select(member => member * rows)], type);
        scale = new Parameter(ones(count, 1, definition.LayerInputs, type, device));
        var width = definition.LayerInputs;
        for (var layer = 0; layer < definition.HiddenLayers; layer++)
        {
            layers.Add(new BatchedDense(count, width, definition.HiddenSize, device, type));
            width = definition.HiddenSize;
        }

        output = new BatchedDense(count, width, definition.MemberOutputs, device, type);
        RegisterComponents();
    }

    /// <summary>Number of members.</summary>
    public int Count { get; }

    public PeriodicEmbedding? Embedding => embedding;

    public RowTable? Table => table;

    /// <summary>s, what the inputs of the first layer are multiplied by [members, 1, inputs].</summary>
    public Parameter InputScale => scale;

    public IReadOnlyList<BatchedDense> Layers => [.. layers, output];

    /// <summary>What is left out in training; null for nothing.</summary>
    public DropoutPool? Dropout { get; set; }

    public void Initialize(Generator random, double frequencyScale)
    {
        embedding?.Initialize(random, frequencyScale);
        table?.Initialize(random, 1);
        scale.fill_(1);
        foreach (var layer in Layers)
            layer.Initialize(random);
    }

    /// <summary>Fits the weights to rows, layer by layer: see <see cref="BatchedDense.FitTo"/>.</summary>
    public void FitTo(Tensor x, Tensor? keys, Generator random)
    {
        using var noGradient = no_grad();
        using var scope = NewDisposeScope();
        var h = Embed(x, keys);
        foreach (var layer in layers)
            h = Activate(layer.FitTo(h, random));
        output.FitTo(h, random);
    }

    /// <param name="x">Prepared numbers [members, rows, plain inputs].</param>
    /// <param name="keys">Places of keys in the table of a member [members, rows, slots]; null where no keys have vectors.</param>
    /// <returns>Numbers or logits [members, rows, outputs].</returns>
    public override Tensor forward(Tensor x, Tensor? keys)
    {
        var h = Embed(x, keys);
        foreach (var layer in layers)
        {
            h = Activate(layer.call(h));
            if (training && Dropout is not null)
                h = Dropout.LeaveOut(h);
        }

        return output.call(h);
    }

    /// <summary>Takes the weights of members of another network of the same definition, or puts these there.</summary>
    /// <param name="all">The other network.</param>
    /// <param name="first">The first of its members.</param>
    /// <param name="isTarget">Whether the weights go to it and do not come from it.</param>
    public void Exchange(TabularMembers all, int first, bool isTarget)
    {
        using var scope = NewDisposeScope();
        using var noGradient = no_grad();
        var others = all.state_dict();
        foreach (var (name, own) in state_dict())
        {
            var rows = own.shape[0] / Count;
            var part = others[name].narrow(0, first * rows, Count * rows);
            if (isTarget)
                part.copy_(own);
            else
                own.copy_(part);
        }
    }

    private Tensor Activate(Tensor h) => _definition.Activation switch
    {
        TabularActivation.Silu => nn.functional.silu(h),
        TabularActivation.Selu => nn.functional.selu(h),
        TabularActivation.Mish => nn.functional.mish(h),
        _ => nn.functional.relu(h),
    };

    // s ⊙ [numbers, their periodic functions, vectors of keys]
    private Tensor Embed(Tensor x, Tensor? keys)
    {
        var parts = new List<Tensor> { x };
        if (embedding is not null)
            parts.Add(embedding.call(x));
        if (table is not null)
            parts.Add(Vectors(keys!));
        return (parts.Count == 1 ? x : cat(parts, 2)).mul(scale);
    }

    // The vectors of a column of several keys are averaged over those that are there: missing ones are 0.
    private Tensor Vectors(Tensor keys)
    {
        var (rows, slots) = (keys.shape[1], keys.shape[2]);
        var starts = arange(0, Count * _definition.TableRows, _definition.TableRows, ScalarType.Int64, keys.device).view(-1, 1, 1);
        var vectors = table!.call(keys.Plus(starts).flatten()).view(Count, rows, slots, _definition.KeyEmbeddingSize);
        if (Array.TrueForAll(_slots, width => width == 1))
            return vectors.flatten(2);
        var parts = new List<Tensor>();
        for (int column = 0, start = 0; column < _slots.Length; start += _slots[column++])
        {
            var present = keys.narrow(2, start, _slots[column]).IsAbove(0).sum(2L, keepdim: true, type: vectors.dtype).AtLeast(1);
            parts.Add(vectors.narrow(2, start, _slots[column]).sum(2L).div(present));
        }

        return cat(parts, 2);
    }
}
