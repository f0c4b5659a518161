using MlNetMlp.Networks;
using MlNetMlp.Runtime;
using TorchSharp;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace MlNetMlp.Layers;

/// <summary>
/// Attention of several heads (Vaswani et al., "Attention is all you need", 2017): a query reads a mean of the tokens' values, weighed by softmax(q·kᵀ/√(d/h)) in each
/// of h parts of the d numbers. With the tokens as queries it is self-attention.
/// </summary>
public sealed class MultiHeadAttention : Module<Tensor, Tensor, Tensor>
{
    private readonly int _width;
    private readonly int _heads;
    private readonly Dense queries;
    private readonly Dense keys;
    private readonly Dense values;
    private readonly Dense outputs;

    /// <summary>Creates the block with weights that are not yet set.</summary>
    /// <param name="width">d, numbers of a token.</param>
    /// <param name="heads">h, which must divide d.</param>
    /// <param name="device">Where the weights are.</param>
    public MultiHeadAttention(int width, int heads, Device device)
        : base(nameof(MultiHeadAttention))
    {
        ArgumentOutOfRangeException.ThrowIfNotEqual(width % heads, 0, nameof(heads));
        (_width, _heads) = (width, heads);
        queries = new Dense(width, width, device);
        keys = new Dense(width, width, device);
        values = new Dense(width, width, device);
        outputs = new Dense(width, width, device);
        RegisterComponents();
    }

    /// <summary>The maps of queries, keys, values and outputs, each [d, d] with a bias.</summary>
    public IReadOnlyList<Dense> Maps => [queries, keys, values, outputs];

    /// <summary>Number of weights.</summary>
    /// <param name="width">d, numbers of a token.</param>
    /// <returns>The number.</returns>
    public static long WeightCountOf(int width) => 4L * width * (width + 1);

    /// <summary>Draws all weights.</summary>
    /// <param name="random">The stream of random numbers.</param>
    public void Initialize(Generator random)
    {
        foreach (var map in Maps)
            map.InitializeXavier(random);
    }

    /// <summary>What each query reads.</summary>
    /// <param name="query">Queries [rows, M, d].</param>
    /// <param name="tokens">Tokens [rows, K, d].</param>
    /// <returns>Values [rows, M, d].</returns>
    public override Tensor forward(Tensor query, Tensor tokens) => Read(query, tokens, null);

    /// <summary>What each query reads of the tokens that are not hidden.</summary>
    /// <param name="query">Queries [rows, M, d].</param>
    /// <param name="tokens">Tokens [rows, K, d].</param>
    /// <param name="hidden">Which tokens have weight 0, Boolean [rows, K], not all of a row; null for none.</param>
    /// <returns>Values [rows, M, d].</returns>
    public Tensor Read(Tensor query, Tensor tokens, Tensor? hidden)
    {
        var read = Weights(query, tokens, hidden).matmul(Split(values.call(tokens)));                   // [rows, h, M, d/h]
        return outputs.call(read.transpose(1, 2).reshape(query.shape[0], query.shape[1], _width));
    }

    /// <summary>How each head of each query weighs the tokens.</summary>
    /// <param name="query">Queries [rows, M, d].</param>
    /// <param name="tokens">Tokens [rows, K, d].</param>
    /// <param name="hidden">Which tokens have weight 0, Boolean [rows, K], not all of a row; null for none.</param>
    /// <returns>Weights [rows, h, M, K], which add up to 1 over the tokens.</returns>
    public Tensor Weights(Tensor query, Tensor tokens, Tensor? hidden = null)
    {
        var (q, k) = (Split(queries.call(query)), Split(keys.call(tokens)));
        var fits = q.matmul(k.transpose(2, 3)).Times(1 / Math.Sqrt(_width / _heads));
        if (hidden is null)
            return functional.softmax(fits, 3);
        using Scalar never = double.NegativeInfinity;
        return functional.softmax(fits.masked_fill(hidden.unsqueeze(1).unsqueeze(1), never), 3);
    }

    private Tensor Split(Tensor tokens) => tokens.view(tokens.shape[0], tokens.shape[1], _heads, _width / _heads).transpose(1, 2);
}
