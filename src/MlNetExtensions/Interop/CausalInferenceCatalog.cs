using Microsoft.ML.Runtime;

namespace Microsoft.ML;

/// <summary>Adds <c>mlContext.CausalInference</c>.</summary>
public static class CausalInferenceExtensions
{
    extension(MLContext mlContext)
    {
        /// <summary>Trainers that predict outcomes under treatments of which each row has seen one, and evaluators of what they say.</summary>
        public CausalInferenceCatalog CausalInference => new(mlContext);
    }
}

/// <summary>The trainers of <c>mlContext.CausalInference.Trainers</c>; catalog methods are extensions of it.</summary>
public sealed class CausalInferenceTrainers
{
    internal CausalInferenceTrainers(IHostEnvironment env) => Environment = env;

    internal IHostEnvironment Environment { get; }
}

/// <summary>Trainers that predict outcomes under treatments, and evaluators of their predictions.</summary>
public sealed class CausalInferenceCatalog
{
    internal CausalInferenceCatalog(MLContext mlContext)
    {
        ArgumentNullException.ThrowIfNull(mlContext);
        Trainers = new(mlContext);
    }

    /// <summary>The trainers.</summary>
    public CausalInferenceTrainers Trainers { get; }
}
