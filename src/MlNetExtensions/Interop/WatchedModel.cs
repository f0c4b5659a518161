using System.ComponentModel.DataAnnotations;
using MlNetMlp.Interop;
using MlNetMlp.Options;
using MlNetMlp.Persistence;

namespace Microsoft.ML;

/// <summary>How a <see cref="WatchedModel"/> looks after its file.</summary>
public sealed record WatchedModelOptions
{
    /// <summary>Seconds between two looks at the file, in [0.01, 86,400]; 1 by default. <see cref="WatchedModel.Reload"/> looks at once.</summary>
    [Range(0.01, 86_400)]
    public double Seconds { get; init; } = 1;

    /// <summary>The columns to compute; null (the default) for those of <see cref="RowScoring.CreateRowScorer"/>.</summary>
    public IReadOnlyList<string>? OutputColumns { get; init; }

    /// <summary>The assemblies that a file may have loaded; null (the default) for a source that is trusted.</summary>
    public IReadOnlyCollection<string>? AllowedAssemblies { get; init; }

    /// <summary>How large a file may be that is not trusted; null (the default) for the defaults.</summary>
    public ModelFileLimits? Limits { get; init; }
}

/// <summary>
/// A model of a file that may be replaced while it is used, as in a web service: rows are scored by the newest sound model, whole, from any number of threads. A file that cannot
/// be loaded leaves the model as it is, and is told of.
/// </summary>
/// <remarks>Replace the file as a whole, as <see cref="ModelFile.Save"/> does: a file that is written in place is read half-way.</remarks>
public sealed class WatchedModel : IDisposable
{
    private readonly MLContext _context;
    private readonly WatchedModelOptions _options;
    private readonly Timer _timer;
    private readonly Lock _loading = new();
    private volatile Loaded _loaded;
    private (DateTime, long) _seen;

    /// <summary>Loads the model and looks after its file from then on.</summary>
    /// <param name="mlContext">The context.</param>
    /// <param name="path">The file.</param>
    /// <param name="options">How it is looked after; null: the defaults.</param>
    /// <exception cref="ArgumentOutOfRangeException">An option is out of its range.</exception>
    /// <exception cref="IOException">The file is not there or cannot be read.</exception>
    /// <exception cref="ModelFormatException">The file is damaged or is not a model.</exception>
    public WatchedModel(MLContext mlContext, string path, WatchedModelOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(mlContext);
        ArgumentException.ThrowIfNullOrEmpty(path);
        (_context, _options, Path) = (mlContext, options ?? new(), path);
        OptionRanges.Check(_options, nameof(WatchedModelOptions));
        _seen = Stamp();
        _loaded = Load(1);
        var period = TimeSpan.FromSeconds(_options.Seconds);
        _timer = new Timer(_ => Look(), null, period, period);
    }

    /// <summary>Something has been loaded in the place of the model, in the thread that loaded it.</summary>
    public event EventHandler? Reloaded;

    /// <summary>The file has changed and cannot be loaded; the model is the one before.</summary>
    public event EventHandler<ErrorEventArgs>? Failed;

    /// <summary>The file.</summary>
    public string Path { get; }

    /// <summary>The newest model. Whoever holds it goes on with it, whatever comes after.</summary>
    public ITransformer Model => _loaded.Model;

    /// <summary>The columns that the newest model expects; null where the file does not tell.</summary>
    public DataViewSchema? InputSchema => _loaded.Schema;

    /// <summary>Scores rows by the newest model. Ask for it anew for each row or request.</summary>
    public RowScorer Scorer => _loaded.Scorer;

    /// <summary>How many models have been loaded, from 1.</summary>
    public long Version => _loaded.Version;

    /// <summary>Loads the file now, whether it has changed or not.</summary>
    /// <exception cref="IOException">The file is not there or cannot be read. The model is the one before.</exception>
    /// <exception cref="ModelFormatException">The file is damaged or is not a model. The model is the one before.</exception>
    public void Reload()
    {
        lock (_loading)
        {
            // Before the file is read: what changes meanwhile is seen at the next look.
            _seen = Stamp();
            var before = _loaded;
            _loaded = Load(before.Version + 1);

            // Whoever still scores by it is waited for, and whoever goes on to takes the memory anew.
            NetworkModel.Release(before.Model);
        }

        Reloaded?.Invoke(this, EventArgs.Empty);
    }

    /// <summary>Looks after the file no more. The last model still works.</summary>
    public void Dispose()
    {
        _timer.Dispose();
        NetworkModel.Release(_loaded.Model);
    }

    private void Look()
    {
        // A look that takes longer than the time between two is not begun again beside itself.
        if (!_loading.TryEnter())
            return;
        try
        {
            if (Stamp() != _seen)
                Reload();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or FormatException or InvalidOperationException or ArgumentException)
        {
            Failed?.Invoke(this, new ErrorEventArgs(e));
        }
        finally
        {
            _loading.Exit();
        }
    }

    private (DateTime, long) Stamp()
    {
        var file = new FileInfo(Path);
        return file.Exists ? (file.LastWriteTimeUtc, file.Length) : default;
    }

    private Loaded Load(long version)
    {
        DataViewSchema? schema;
        var model = _options.AllowedAssemblies is { } allowed
            ? ModelFile.Load(_context, Path, _options.Limits ?? new(), allowed, out schema)
            : ModelFile.Load(_context, Path, out schema);
        return new(model, schema, model.CreateRowScorer(schema, _options.OutputColumns), version);
    }

    private sealed record Loaded(ITransformer Model, DataViewSchema? Schema, RowScorer Scorer, long Version);
}
