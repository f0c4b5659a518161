namespace MlNetMlp.RandomFeatures;

/// <summary>The function σ of the scores of random attention heads.</summary>
public enum AttentionActivation
{
    /// <summary>max(s, 0), and the mean over the keys.</summary>
    Relu,

    /// <summary>exp(s/T)/Σ exp(s/T) over the keys, as in ordinary attention; T is the temperature.</summary>
    Softmax,

    /// <summary>The hyperbolic tangent, and the mean over the keys.</summary>
    Tanh,

    /// <summary>exp(s), and the mean over the keys.</summary>
    Exp,
}

/// <summary>The mean W₀ of the weights of random attention heads, before it is multiplied by its strength c.</summary>
public enum AttentionBias
{
    /// <summary>None: the heads know nothing of what query and key have in common.</summary>
    Zero,

    /// <summary>1 on the diagonal but for the last place: scores rise with the inner product of query and key.</summary>
    Identity,

    /// <summary>A matrix of one's own.</summary>
    Custom,
}

/// <summary>What the query of a row is where no column holds it.</summary>
public enum AttentionQueryMode
{
    /// <summary>The mean of the keys.</summary>
    Mean,

    /// <summary>Zeros, which with the constant 1 behind them leave a function of each key alone.</summary>
    Constant,
}

/// <summary>What is done to query and keys before anything else.</summary>
public enum AttentionNormalization
{
    /// <summary>Each is divided by its length; zeros stay zeros.</summary>
    UnitNorm,

    /// <summary>Nothing.</summary>
    None,
}

/// <summary>A matrix W₀ of one's own as the mean of the weights of random attention heads. Equal by its values.</summary>
/// <param name="Values">(d+1)² values, row after row: row a and column b weigh number a of the query with number b of the key; the last is the constant.</param>
public sealed record AttentionBiasMatrix(IReadOnlyList<double> Values)
{
    /// <inheritdoc/>
    public bool Equals(AttentionBiasMatrix? other) => other is not null && Values.SequenceEqual(other.Values);

    /// <inheritdoc/>
    public override int GetHashCode() => Values.Aggregate(Values.Count, HashCode.Combine);
}

/// <summary>What random attention heads depend on.</summary>
internal interface IAttentionOptions
{
    int Heads { get; }

    int? KeyDimension { get; }

    string? QueryColumnName { get; }

    string? KeyCountColumnName { get; }

    AttentionQueryMode QueryMode { get; }

    AttentionBias Bias { get; }

    AttentionBiasMatrix? BiasMatrix { get; }

    double WeightStd { get; }

    AttentionActivation Activation { get; }

    double Temperature { get; }

    AttentionNormalization Normalize { get; }
}
