namespace MlNetMlp.Conformance;

/// <summary>
/// What a method says of itself to the suite. A class of this kind lives with the method's tests and is found by reflection; a method without
/// one is held to everything, with its default options.
/// </summary>
/// <param name="name">Name of the catalog method.</param>
public abstract class ConformanceProfile(string name)
{
    /// <summary>Name of the catalog method.</summary>
    public string Name { get; } = name;

    /// <summary>What the suite has to know.</summary>
    public virtual Traits Traits { get; } = new();

    /// <summary>Names the columns that have no default name: those of <see cref="Traits.KeyColumns"/>, and the features where they are not read by default.</summary>
    /// <param name="defaults">New options of the type that the catalog method takes.</param>
    /// <returns>The options.</returns>
    public virtual object WithColumns(object defaults) => defaults;

    /// <summary>Options with which a fit takes well under two seconds and still learns; null for the defaults.</summary>
    /// <param name="task">The task.</param>
    /// <param name="defaults">New options of the type that the catalog method takes, from <see cref="WithColumns"/>.</param>
    /// <returns>The options. Label, features and seed are set by the suite.</returns>
    public virtual object SmallOptions(EstimatorTask task, object defaults) => defaults;

    /// <summary>
    /// Checks that are known to fail, with the reason. Such a check must fail: the run breaks when it starts to pass, so that the entry goes.
    /// </summary>
    /// <param name="task">The task.</param>
    /// <returns>Reason by number of the check.</returns>
    public virtual IReadOnlyDictionary<int, string> KnownFailures(EstimatorTask task) => new Dictionary<int, string>();

    /// <summary>Root folder of the repository that holds the method's page, sources and stored models; null where there is none.</summary>
    public virtual string? Repository => null;
}
