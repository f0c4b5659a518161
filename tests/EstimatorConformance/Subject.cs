using Microsoft.ML;
using MlNetMlp.Methods;

namespace MlNetMlp.Conformance;

/// <summary>One estimator in one task, as the suite sees it: how to make it, and what it says of itself.</summary>
public abstract class Subject
{
    private readonly Lazy<ITransformer> _model;

    /// <summary>Describes an estimator.</summary>
    /// <param name="name">Name of the catalog method.</param>
    /// <param name="task">The task.</param>
    /// <param name="profile">What the method says of itself.</param>
    protected Subject(string name, EstimatorTask task, ConformanceProfile profile)
    {
        (Name, Task, Profile) = (name, task, profile);
        _model = new(() => new Trial(this).Fit());
    }

    /// <summary>Name of the catalog method.</summary>
    public string Name { get; }

    /// <summary>The task.</summary>
    public EstimatorTask Task { get; }

    /// <summary>What the method says of itself.</summary>
    public ConformanceProfile Profile { get; }

    /// <summary>What the suite has to know.</summary>
    public Traits Traits => Profile.Traits;

    /// <summary>Type of the options.</summary>
    public abstract Type OptionsType { get; }

    /// <summary>The assembly that the method comes from.</summary>
    public virtual System.Reflection.Assembly Assembly => OptionsType.Assembly;

    /// <summary>The catalog methods that make the estimator; none where it is made in another way.</summary>
    public virtual IReadOnlyList<System.Reflection.MethodInfo> CatalogMethods => [];

    /// <summary>A model that is trained once on the rows of the suite, for all checks that only look at it.</summary>
    public ITransformer Model => _model.Value;

    /// <summary>The columns that the method reads beside the features: those of keys, and the treatment.</summary>
    public IReadOnlyList<string> ColumnsBeside => Task == EstimatorTask.Causal ? [.. Traits.KeyColumns, nameof(SampleRow.Treatment)] : Traits.KeyColumns;

    /// <summary>Whether the method takes example weights.</summary>
    public bool TakesWeights => Traits.Weights != WeightSemantics.None;

    /// <summary>Whether the method trains a network by gradients.</summary>
    public bool IsGradientTrained => Traits.IsGradientTrained ?? typeof(GradientTrainedOptions).IsAssignableFrom(OptionsType);

    /// <summary>Whether the method can go on from checkpoints: it trains by the library's own loop, which writes them.</summary>
    public bool KeepsCheckpoints => IsGradientTrained && OptionValues.Has(OptionsType, "CheckpointFile");

    /// <summary>Whether training uses the device that the context asks for.</summary>
    public bool UsesDevice => Traits.UsesDevice;

    /// <summary>Whether the method's pages and sources can be looked at.</summary>
    public bool HasRepository => Profile.Repository is not null;

    /// <summary>Model files of earlier releases: <c>[repository]/tests/Releases/[version]/[name].[task].zip</c>, with scores beside.</summary>
    public IReadOnlyList<string> Releases =>
        Profile.Repository is { } root && Path.Combine(root, "tests", "Releases") is var folder && Directory.Exists(folder)
            ? [.. Directory.GetFiles(folder, $"{Name}.{Task}.zip", SearchOption.AllDirectories).Order(StringComparer.Ordinal)]
            : [];

    /// <summary>Whether there is a model file of an earlier release.</summary>
    public bool HasReleases => Releases.Count > 0;

    /// <summary>New options of the method, all at their defaults.</summary>
    /// <returns>The options.</returns>
    public virtual object DefaultOptions() => Activator.CreateInstance(OptionsType)!;

    /// <summary>New options of the method, all at their defaults but the columns that have none.</summary>
    /// <returns>The options.</returns>
    public object OptionsWithColumns() => Profile.WithColumns(DefaultOptions());

    /// <summary>Makes the trainer from options.</summary>
    /// <param name="ml">The context.</param>
    /// <param name="options">Options of <see cref="OptionsType"/>.</param>
    /// <returns>The trainer.</returns>
    public abstract IEstimator<ITransformer> Create(MLContext ml, object options);

    /// <summary>Makes the trainer from names of columns alone.</summary>
    /// <param name="ml">The context.</param>
    /// <param name="label">The label column.</param>
    /// <param name="features">The feature column.</param>
    /// <returns>The trainer.</returns>
    public abstract IEstimator<ITransformer> CreateShort(MLContext ml, string label, string features);

    /// <inheritdoc/>
    public override string ToString() => $"{Name}, {Task}";
}
