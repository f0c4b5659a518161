using MlNetMlp.Runtime;
using MlNetMlp.Solvers;
using static TorchSharp.torch;

namespace MlNetMlp.RandomFeatures;

/// <summary>
/// The map of frozen attention heads: h = [φ_1, …, φ_M], φ_m = (1/N)·Σᵢ σ(x̃₀ᵀW_m x̃ᵢ)·x̃ᵢ/√M. Heads that no feature is asked of are not computed.
/// </summary>
internal sealed class AttentionMap(RandomAttentionDefinition definition, Tensor weight) : FeatureMap
{
    // Scores and features that are in memory at once.
    private const long ChunkElements = 1 << 22;

    // What scores of keys that are not there are lowered by, so that they have no part in a softmax.
    private const double Absent = 1e30;

    public override int Inputs => definition.Inputs;

    public override int Features => definition.Features;

    /// <summary>Maps rows by all heads.</summary>
    /// <param name="definition">The network.</param>
    /// <param name="x">Rows [rows, numbers], of any number of keys.</param>
    /// <param name="weight">W [heads, D, D], all heads or some.</param>
    /// <returns>Features [rows, heads·D]; the caller owns them.</returns>
    public static Tensor Compute(RandomAttentionDefinition definition, Tensor x, Tensor weight)
    {
        using var scope = NewDisposeScope();
        var (rows, heads, width) = (x.shape[0], weight.shape[0], definition.Width);
        var room = (x.shape[1] - definition.KeysStart) / definition.KeyDimension;
        var flat = weight.permute(1, 0, 2).reshape(width, heads * width);             // W as D × (M·D)
        var features = empty(rows, heads * width, device: x.device);
        var most = Math.Max(1, ChunkElements / (heads * Math.Max(width, room)));
        for (long first = 0; first < rows; first += most)
        {
            using var inner = NewDisposeScope();
            var count = Math.Min(most, rows - first);
            features.narrow(0, first, count).copy_(MapChunk(definition, x.narrow(0, first, count), flat, heads, room));
        }

        return features.MoveToOuterDisposeScope();
    }

    public override Tensor Map(Tensor x) => Map(x, 0, Features);

    public override Tensor Map(Tensor x, int first, int count)
    {
        using var scope = NewDisposeScope();
        using var noGradient = no_grad();
        var width = definition.Width;
        var head = first / width;
        var heads = ((first + count - 1) / width) - head + 1;
        var features = Compute(definition, x, weight.narrow(0, head, heads));
        return (heads * width == count ? features : features.narrow(1, first - (head * width), count).contiguous()).MoveToOuterDisposeScope();
    }

    private static Tensor MapChunk(RandomAttentionDefinition definition, Tensor x, Tensor flat, long heads, long room)
    {
        var (rows, d) = (x.shape[0], definition.KeyDimension);
        var n = x.narrow(1, 0, 1);                                                     // N [rows, 1]
        var mask = arange(room, ScalarType.Float32, x.device).unsqueeze(0).lt(n).to(ScalarType.Float32).unsqueeze(2);
        var plain = Normalize(definition, x.narrow(1, definition.KeysStart, room * d).reshape(rows, room, d));
        var keys = cat([plain, ones(rows, room, 1, device: x.device)], 2).mul_(mask);  // x̃ᵢ [rows, keys, D], zeros where there is none
        var query = definition.HasQuery ? Normalize(definition, x.narrow(1, 1, d))
            : definition.QueryMode == AttentionQueryMode.Mean ? keys.narrow(2, 0, d).sum(1L).div(n)
            : zeros(rows, d, device: x.device);
        var q = cat([query, ones(rows, 1, device: x.device)], 1).mm(flat).view(rows, heads, d + 1);
        var s = q.bmm(keys.transpose(1, 2));                                           // x̃₀ᵀW_m x̃ᵢ [rows, M, keys]
        var scale = 1 / Math.Sqrt(definition.Heads);
        if (definition.Activation == AttentionActivation.Softmax)
        {
            var shares = s.Times(1 / definition.Temperature).Plus(mask.transpose(1, 2).Plus(-1).Times(Absent)).softmax(-1);
            return shares.bmm(keys).Times(scale).view(rows, -1);
        }

        s = definition.Activation switch
        {
            AttentionActivation.Relu => s.relu_(),
            AttentionActivation.Tanh => s.tanh_(),
            _ => s.exp(),
        };
        return s.bmm(keys).div_(n.unsqueeze(2)).Times(scale).view(rows, -1);
    }

    private static Tensor Normalize(RandomAttentionDefinition definition, Tensor x)
    {
        if (definition.Normalize == AttentionNormalization.None)
            return x;
        var doubles = x.to(ScalarType.Float64);
        var length = doubles.Norms([-1], keepDimensions: true);
        return doubles.div(length.where(length.IsAbove(0), ones_like(length))).to(ScalarType.Float32);
    }
}
