namespace MlNetMlp.Tabular;

/// <summary>How a <see cref="TabularNetwork"/> scales its features.</summary>
public enum NumericScaling
{
    /// <summary>By rank: to the normal scores of a feature's quantiles, whatever its distribution.</summary>
    Quantile,

    /// <summary>By median and distance of the quartiles, bent to stay within ±3.</summary>
    Robust,

    /// <summary>By mean and standard deviation.</summary>
    Standard,
}

/// <summary>What a <see cref="TabularNetwork"/> makes of a scaled feature beside the number itself.</summary>
public enum NumericEmbedding
{
    /// <summary>Nothing.</summary>
    None,

    /// <summary>Three learned sums of cosines.</summary>
    Periodic,
}

/// <summary>The function of the units of a <see cref="TabularNetwork"/>.</summary>
public enum TabularActivation
{
    /// <summary>x / (1 + exp(−x)).</summary>
    Silu,

    /// <summary>The scaled exponential linear unit.</summary>
    Selu,

    /// <summary>x·tanh(log(1 + exp(x))).</summary>
    Mish,

    /// <summary>max(x, 0).</summary>
    Relu,
}

/// <summary>Which epoch's weights a <see cref="TabularNetwork"/> keeps.</summary>
public enum EpochSelection
{
    /// <summary>Of classes that with the least product of error rate and calibrated log-loss on the rows held out, of numbers that with the least squared error.</summary>
    Best,

    /// <summary>Of classes that with the least calibrated log-loss.</summary>
    LogLoss,

    /// <summary>Of classes that with the least error rate.</summary>
    ErrorRate,

    /// <summary>The last.</summary>
    Last,
}
