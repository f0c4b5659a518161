using Microsoft.ML;

namespace MlNetMlp.Interop;

/// <summary>Looks for a transformer in a model, which may be a chain of transformers and of chains.</summary>
internal static class ChainSearch
{
    /// <summary>Finds the last transformer of a kind.</summary>
    /// <typeparam name="T">The kind.</typeparam>
    /// <param name="model">The model.</param>
    /// <returns>The transformer, and those that are applied before it; null where there is none.</returns>
    public static (T Found, IReadOnlyList<ITransformer> Before)? Last<T>(ITransformer model)
        where T : class
    {
        if (model is T alone)
            return (alone, []);
        if (model is not IEnumerable<ITransformer> chain)
            return null;
        ITransformer[] parts = [.. chain];
        for (var i = parts.Length - 1; i >= 0; i--)
        {
            if (Last<T>(parts[i]) is var (found, before))
                return (found, [.. parts[..i], .. before]);
        }

        return null;
    }

    /// <summary>Applies transformers one after the other.</summary>
    /// <param name="transformers">The transformers.</param>
    /// <param name="data">The data.</param>
    /// <returns>The data after the last.</returns>
    public static IDataView Apply(this IReadOnlyList<ITransformer> transformers, IDataView data) => transformers.Aggregate(data, (view, part) => part.Transform(view));
}
