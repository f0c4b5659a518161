using System.IO.Compression;
using System.Reflection;
using MlNetMlp.Persistence;

namespace Microsoft.ML;

/// <summary>Saves models so that a failure half-way leaves the old file as it was, and loads them with the error that really happened.</summary>
/// <remarks>The files are ML.NET's own: <c>mlContext.Model.Save</c> and <c>Load</c> read and write the same ones.</remarks>
public static class ModelFile
{
    /// <summary>Writes a model beside its final place, checks that it is whole, flushes it to disk and renames it over an old file.</summary>
    /// <param name="mlContext">The context.</param>
    /// <param name="model">The model.</param>
    /// <param name="inputSchema">The columns that the model expects, or null where they need not be kept.</param>
    /// <param name="path">The file.</param>
    /// <exception cref="IOException">The file cannot be written, as when the disk is full. An old file is as it was.</exception>
    /// <exception cref="UnauthorizedAccessException">The folder may not be written to.</exception>
    public static void Save(MLContext mlContext, ITransformer model, DataViewSchema? inputSchema, string path)
    {
        ArgumentNullException.ThrowIfNull(mlContext);
        ArgumentNullException.ThrowIfNull(model);
        AtomicFile.Write(path, stream =>
        {
            mlContext.Model.Save(model, inputSchema, stream);
            CheckWhole(stream);
        });
    }

    /// <summary>Loads a model.</summary>
    /// <param name="mlContext">The context.</param>
    /// <param name="path">The file.</param>
    /// <param name="inputSchema">The columns that the model expects; null where the file does not tell.</param>
    /// <returns>The model.</returns>
    /// <exception cref="IOException">The file is not there or cannot be read.</exception>
    /// <exception cref="ModelFormatException">The file is damaged or is not a model; the message says what is wrong.</exception>
    public static ITransformer Load(MLContext mlContext, string path, out DataViewSchema? inputSchema)
    {
        ArgumentNullException.ThrowIfNull(mlContext);
        try
        {
            CheckSchema(path);
            return mlContext.Model.Load(path, out inputSchema);
        }
        catch (Exception e) when (e is TargetInvocationException or FormatException or InvalidDataException or InvalidOperationException)
        {
            // ML.NET calls loaders by reflection, one inside the other; the innermost exception is the one that says what is wrong.
            Exception cause = e;
            while (cause is TargetInvocationException { InnerException: { } inner })
                cause = inner;

            // What ML.NET finds before it calls any loader is that the file is none of its own.
            throw cause == e || cause is FormatException or InvalidDataException
                ? new ModelFormatException($"'{path}' cannot be loaded. {cause.Message}", cause)
                : new InvalidOperationException($"'{path}' cannot be loaded. {cause.Message}", cause);
        }
    }

    // ML.NET reads it before any model, takes it as it is, and goes round in circles at some of what it may find.
    private static void CheckSchema(string path)
    {
        using var zip = ZipFile.OpenRead(path);
        if (zip.GetEntry("Schema") is { } schema)
            ZipEntryStream.Check(schema);
    }

    // ML.NET swallows what goes wrong when it writes the zip's directory, which comes last.
    private static void CheckWhole(Stream stream)
    {
        try
        {
            stream.Position = 0;
            using var zip = new ZipArchive(stream, ZipArchiveMode.Read, leaveOpen: true);
            _ = zip.Entries.Count;
        }
        catch (InvalidDataException e)
        {
            throw new IOException("the model could not be written to its end; the disk may be full.", e);
        }
    }
}
