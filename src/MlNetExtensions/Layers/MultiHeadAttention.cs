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
    /// <param name="hidden">Which tokens have weight 0: Boolean [rows, K], or [rows or 1, M, K] where it differs by query, as it does for <see cref="Later"/>; not all of them. Null for none.</param>
    /// <returns>Values [rows, M, d].</returns>
    public Tensor Read(Tensor query, Tensor tokens, Tensor? hidden) => Join(Heads(query, tokens, hidden));

    /// <summary>What each head of each query reads, before <see cref="Join"/> makes one of the heads.</summary>
    /// <param name="query">Queries [rows, M, d].</param>
    /// <param name="tokens">Tokens [rows, K, d].</param>
    /// <param name="hidden">Which tokens have weight 0, as in <see cref="Read"/>; null for none.</param>
    /// <returns>Values [rows, M, d], of which each d/h are those of a head.</returns>
    public Tensor Heads(Tensor query, Tensor tokens, Tensor? hidden = null)
    {
        ArgumentNullException.ThrowIfNull(query);
        ArgumentNullException.ThrowIfNull(tokens);
        var read = Weights(query, tokens, hidden).matmul(Split(values.call(tokens)));                   // [rows, h, M, d/h]
        return read.transpose(1, 2).reshape(query.shape[0], query.shape[1], _width);
    }

    /// <summary>The map of the outputs, which makes one of what the heads read.</summary>
    /// <param name="heads">Values [rows, M, d] as <see cref="Heads"/> gives them.</param>
    /// <returns>Values [rows, M, d].</returns>
    public Tensor Join(Tensor heads) => outputs.call(heads);

    /// <summary>How each head of each query weighs the tokens.</summary>
    /// <param name="query">Queries [rows, M, d].</param>
    /// <param name="tokens">Tokens [rows, K, d].</param>
    /// <param name="hidden">Which tokens have weight 0, as in <see cref="Read"/>; null for none.</param>
    /// <returns>Weights [rows, h, M, K], which add up to 1 over the tokens.</returns>
    public Tensor Weights(Tensor query, Tensor tokens, Tensor? hidden = null)
    {
        var (q, k) = (Split(queries.call(query)), Split(keys.call(tokens)));
        var fits = q.matmul(k.transpose(2, 3)).Times(1 / Math.Sqrt(_width / _heads));
        if (hidden is null)
            return functional.softmax(fits, 3);
        var ofQueries = hidden.dim() == 2 ? hidden.unsqueeze(1) : hidden;
        using Scalar never = double.NegativeInfinity;
        return functional.softmax(fits.masked_fill(ofQueries.unsqueeze(1), never), 3);
    }

    /// <summary>The tokens behind each token of a sequence, which causal attention hides from it.</summary>
    /// <param name="length">T, tokens of a sequence.</param>
    /// <param name="device">Where it is to be.</param>
    /// <returns>Boolean [1, T, T].</returns>
    public static Tensor Later(long length, Device device)
    {
        using var all = ones(1, length, length, dtype: ScalarType.Bool, device: device);
        return all.triu(1);
    }

    private Tensor Split(Tensor tokens) => tokens.view(tokens.shape[0], tokens.shape[1], _heads, _width / _heads).transpose(1, 2);
}
