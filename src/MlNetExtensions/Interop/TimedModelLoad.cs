using System.Runtime.CompilerServices;
using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.Data.IO;
using Microsoft.ML.Runtime;
using MlNetMlp.Persistence;

namespace MlNetMlp.Interop;

/// <summary>
/// Loads a model as <see cref="ModelOperationsCatalog.Load(Stream, out DataViewSchema)"/> does, but not for ever: ML.NET's readers of arrays wait without end for bytes that
/// a file promises and does not have.
/// </summary>
internal static class TimedModelLoad
{
    private const string SchemaEntry = "Schema";
    private const string ChainFolder = "TransformerChain";

    /// <summary>Loads a model.</summary>
    /// <param name="env">The environment.</param>
    /// <param name="file">The file.</param>
    /// <param name="most">How long it may take.</param>
    /// <param name="schema">The columns that the model expects; null where the file does not tell.</param>
    /// <returns>The model.</returns>
    /// <exception cref="ModelFormatException">It takes longer, or the file holds no model.</exception>
    public static ITransformer Load(IHostEnvironment env, Stream file, TimeSpan most, out DataViewSchema? schema)
    {
        var isLate = new StrongBox<bool>();
        using var repository = RepositoryReader.Open(file, env);

        // A read of a closed file ends the wait by an exception in the thread that waits.
        using var clock = new Timer(_ => CloseAll(repository, isLate), null, most, TimeSpan.FromMilliseconds(50));
        try
        {
            schema = repository.OpenEntryOrNull(SchemaEntry) is { } entry ? new BinaryLoader(env, new BinaryLoader.Arguments(), entry.Stream).Schema : null;
            return ModelLoadContext.LoadModelOrNull<ITransformer, SignatureLoadModel>(env, out var model, repository, ChainFolder)
                ? model
                : throw new ModelFormatException("It holds no chain of transformers: models saved with a data loader, which opens files that the model names, are not loaded.");
        }
        catch (Exception e) when (Volatile.Read(ref isLate.Value))
        {
            throw new ModelFormatException($"Its entries promise more than they hold, or it takes longer than {most.TotalSeconds} s to load ({nameof(ModelFileLimits)}.{nameof(ModelFileLimits.Seconds)}).", e);
        }
    }

    private static void CloseAll(RepositoryReader repository, StrongBox<bool> isLate)
    {
        Volatile.Write(ref isLate.Value, true);
        try
        {
            foreach (var entry in repository._open.ToArray())
                entry.Stream.Dispose();
        }
        catch (Exception e) when (e is InvalidOperationException or ArgumentException or NullReferenceException)
        {
            // The list belongs to the loading thread, which was just changing it: the clock comes again.
        }
    }
}
