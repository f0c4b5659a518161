using System.IO.Compression;
using System.Reflection;
using MlNetMlp.Interop;
using MlNetMlp.Persistence;

namespace Microsoft.ML;

/// <summary>Saves models so that a failure half-way leaves the old file as it was, and loads them with the error that really happened.</summary>
/// <remarks>The files are ML.NET's own: <c>mlContext.Model.Save</c> and <c>Load</c> read and write the same ones.</remarks>
public static class ModelFile
{
    private const int UnixDiskFull = 28;
    private const int WindowsDiskFull = unchecked((int)0x80070070);

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

    /// <summary>Assemblies of ML.NET and of this project whose loaders do no more than read a model: no native library named by a file, no code of an application.</summary>
    /// <remarks>What runs other frameworks' models (ONNX, TensorFlow, TorchSharp) is not among them.</remarks>
    public static IReadOnlyList<string> KnownAssemblies { get; } =
    [
        "Microsoft.ML", "Microsoft.ML.Core", "Microsoft.ML.Data", "Microsoft.ML.Ensemble", "Microsoft.ML.EntryPoints", "Microsoft.ML.FastTree", "Microsoft.ML.ImageAnalytics",
        "Microsoft.ML.KMeansClustering", "Microsoft.ML.LightGbm", "Microsoft.ML.Mkl.Components", "Microsoft.ML.PCA", "Microsoft.ML.Recommender", "Microsoft.ML.StandardTrainers",
        "Microsoft.ML.TimeSeries", "Microsoft.ML.Transforms", "MlNetMlp.Extensions", "MlNetMlp.Trainers",
    ];

    /// <summary>Looks through a model file without loading any of it or any assembly that it names.</summary>
    /// <param name="path">The file.</param>
    /// <param name="limits">How large it may be; null: the defaults.</param>
    /// <returns>Its entries, and the classes and assemblies that it would have loaded.</returns>
    /// <exception cref="ArgumentOutOfRangeException">A limit is out of its range.</exception>
    /// <exception cref="IOException">The file is not there or cannot be read.</exception>
    /// <exception cref="ModelFormatException">The file is damaged, breaks a limit, or is not a model; the message says what is wrong.</exception>
    public static ModelFileReport Inspect(string path, ModelFileLimits? limits = null)
    {
        limits = ModelFileLimits.Checked(limits);
        using var file = Open(path);
        return Inspect(path, file, limits);
    }

    /// <summary>Loads a model of a source that is not trusted: the whole file is looked through first, and names no assembly but allowed ones.</summary>
    /// <param name="mlContext">The context.</param>
    /// <param name="path">The file.</param>
    /// <param name="limits">How large it may be.</param>
    /// <param name="allowedAssemblies">
    /// Simple names of the assemblies that it may have loaded, such as <see cref="KnownAssemblies"/> and the application's own with custom mappings
    /// or trainers: <c>[.. ModelFile.KnownAssemblies, "MyApp"]</c>. Anything else is refused before any assembly is loaded.
    /// </param>
    /// <param name="inputSchema">The columns that the model expects; null where the file does not tell.</param>
    /// <returns>The model.</returns>
    /// <exception cref="ArgumentOutOfRangeException">A limit is out of its range.</exception>
    /// <exception cref="IOException">The file is not there or cannot be read.</exception>
    /// <exception cref="ModelFormatException">The file is damaged, breaks a limit, names an assembly that is not allowed, or is not a model; the message says what is wrong.</exception>
    public static ITransformer Load(MLContext mlContext, string path, ModelFileLimits limits, IReadOnlyCollection<string> allowedAssemblies, out DataViewSchema? inputSchema)
    {
        ArgumentNullException.ThrowIfNull(mlContext);
        ArgumentNullException.ThrowIfNull(limits);
        ArgumentNullException.ThrowIfNull(allowedAssemblies);
        limits = ModelFileLimits.Checked(limits);

        // One handle for both, and no writer beside it: what is loaded is what was looked through.
        using var file = Open(path);
        var report = Inspect(path, file, limits);
        var allowed = allowedAssemblies.ToHashSet(StringComparer.OrdinalIgnoreCase);
        if (report.Parts.FirstOrDefault(part => part.Assembly is { } assembly && !allowed.Contains(assembly)) is { } stranger)
        {
            throw new ModelFormatException(
                $"'{path}' cannot be loaded. {stranger.Entry}: '{stranger.Name}' is to come from the assembly '{stranger.Assembly}', which is not among the allowed ones. Add it to them if you trust it and the file.");
        }

        file.Position = 0;
        try
        {
            return TimedModelLoad.Load(mlContext, file, TimeSpan.FromSeconds(limits.Seconds), out inputSchema);
        }
        catch (Exception e) when (!IsOfTheMachine(Innermost(e)))
        {
            var cause = Innermost(e);
            throw new ModelFormatException($"'{path}' cannot be loaded. {cause.Message}", cause);
        }
    }

    /// <summary>Loads a model of a source that is trusted.</summary>
    /// <param name="mlContext">The context.</param>
    /// <param name="path">The file.</param>
    /// <param name="inputSchema">The columns that the model expects; null where the file does not tell.</param>
    /// <returns>The model.</returns>
    /// <remarks>As <c>mlContext.Model.Load</c> it unpacks whatever is in the file and loads whatever assembly the file names; the other overload does not.</remarks>
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
            // What ML.NET finds before it calls any loader is that the file is none of its own.
            var cause = Innermost(e);
            throw cause == e || cause is FormatException or InvalidDataException
                ? new ModelFormatException($"'{path}' cannot be loaded. {cause.Message}", cause)
                : new InvalidOperationException($"'{path}' cannot be loaded. {cause.Message}", cause);
        }
    }

    // ML.NET calls loaders by reflection, one inside the other; the innermost exception is the one that says what is wrong.
    internal static Exception Innermost(Exception e)
    {
        while (e is TargetInvocationException { InnerException: { } inner })
            e = inner;
        return e;
    }

    // A full disk or a native library that is not there is no fault of the file; an assembly of a version that is not there, or a place beyond an entry's end, is.
    private static bool IsOfTheMachine(Exception e) => e is UnauthorizedAccessException or DirectoryNotFoundException or OperationCanceledException or DllNotFoundException or TypeInitializationException
        || (e is IOException && e.HResult is UnixDiskFull or WindowsDiskFull);

    private static FileStream Open(string path) => new(path, FileMode.Open, FileAccess.Read, FileShare.Read);

    private static ModelFileReport Inspect(string path, FileStream file, ModelFileLimits limits)
    {
        try
        {
            return new ModelInspection(file, limits).Inspect();
        }
        catch (ModelFormatException e)
        {
            throw new ModelFormatException($"'{path}' cannot be trusted. {e.Message}", e);
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
