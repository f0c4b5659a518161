using System.Collections.Concurrent;
using System.Diagnostics;
using System.Globalization;
using System.Reflection;

namespace MlNetMlp.Conformance;

/// <summary>All checks over all estimators of an assembly.</summary>
/// <example>
/// The whole of a test project, with xUnit:
/// <code>
/// public sealed class ConformanceTests
/// {
///     private static readonly ConformanceSuite Suite = ConformanceSuite.Of(typeof(MyTrainer).Assembly, typeof(ConformanceTests).Assembly);
///
///     public static IEnumerable&lt;object[]&gt; Cases => Suite.Cases;
///
///     [Theory, MemberData(nameof(Cases))]
///     public void Keeps(string estimator, EstimatorTask task, string check) => Suite.Run(estimator, task, check);
/// }
/// </code>
/// </example>
public sealed class ConformanceSuite
{
    /// <summary>
    /// Name of the environment variable with which a run does the slow checks for a part of the estimators only, as many as fit the time:
    /// any number, another in each run, so that all get their turn.
    /// </summary>
    public const string RoundVariable = "MLNETMLP_CONFORMANCE_ROUND";

    /// <summary>How many estimators in one task get the slow checks in one run that is in turn.</summary>
    public const int SlowSubjectsPerRound = 30;

    private readonly ConcurrentDictionary<(Subject, Check), (Outcome Outcome, double Seconds)> _results = new();

    /// <summary>Puts a suite together.</summary>
    /// <param name="subjects">The estimators.</param>
    public ConformanceSuite(IEnumerable<Subject> subjects) => Subjects = [.. subjects];

    /// <summary>The estimators.</summary>
    public IReadOnlyList<Subject> Subjects { get; }

    /// <summary>The cases of this run, each the arguments of <see cref="Run"/>: estimator, task and name of the check.</summary>
    public IEnumerable<object[]> Cases =>
        from subject in Subjects
        from check in Check.All
        where check.AppliesTo(subject) && (!check.IsSlow || IsInTurn(subject))
        select new object[] { subject.Name, subject.Task, check.Name };

    /// <summary>The suite over all estimators that catalog methods of an assembly make.</summary>
    /// <param name="trainers">The assembly of the catalog methods.</param>
    /// <param name="profiles">The assembly in which the methods' <see cref="ConformanceProfile"/> classes are public.</param>
    /// <returns>The suite.</returns>
    public static ConformanceSuite Of(Assembly trainers, Assembly profiles) => new(CatalogSubject.Find(trainers, Profiles(profiles)));

    /// <summary>The profiles of an assembly: its public classes of that kind.</summary>
    /// <param name="assembly">The assembly.</param>
    /// <returns>The profiles.</returns>
    public static IReadOnlyCollection<ConformanceProfile> Profiles(Assembly assembly) =>
    [
        .. assembly.GetExportedTypes().Where(type => !type.IsAbstract && typeof(ConformanceProfile).IsAssignableFrom(type))
            .Select(type => (ConformanceProfile)Activator.CreateInstance(type)!),
    ];

    /// <summary>Runs a check on an estimator.</summary>
    /// <param name="estimator">Name of the catalog method.</param>
    /// <param name="task">The task.</param>
    /// <param name="check">Name of the check.</param>
    /// <exception cref="Xunit.Sdk.XunitException">The promise is not kept, or is kept though it is known not to be.</exception>
    public void Run(string estimator, EstimatorTask task, string check)
    {
        var subject = Subjects.Single(s => s.Name == estimator && s.Task == task);
        var chosen = Check.All.Single(c => c.Name == check);
        var isKnown = subject.Profile.KnownFailures(task).TryGetValue(chosen.Number, out var reason);
        var start = Stopwatch.GetTimestamp();
        var error = Trial.Catch(() => chosen.Run(subject));
        var outcome = (error, isKnown) switch { (null, _) => Outcome.Passed, (_, true) => Outcome.KnownFailure, _ => Outcome.Failed };
        _results[(subject, chosen)] = (outcome, Stopwatch.GetElapsedTime(start).TotalSeconds);
        if (outcome == Outcome.Failed)
            System.Runtime.ExceptionServices.ExceptionDispatchInfo.Throw(error!);
        Assert.False(isKnown && error is null, $"This check is known to fail ({reason}), but passes: remove it from the known failures.");
    }

    /// <summary>
    /// Writes the model file of each estimator that has a repository, with scores beside, to <c>[repository]/tests/Releases/[version]</c>. Later
    /// versions have to load it and give these scores.
    /// </summary>
    /// <param name="version">The version that is about to be released.</param>
    /// <returns>The files.</returns>
    public IReadOnlyList<string> WriteReleases(string version)
    {
        var files = new List<string>();
        foreach (var subject in Subjects.Where(subject => subject.HasRepository))
        {
            files.Add(Path.Combine(subject.Profile.Repository!, "tests", "Releases", version, $"{subject.Name}.{subject.Task}.zip"));
            Checks.FileChecks.WriteRelease(new Trial(subject), files[^1]);
        }

        return files;
    }

    /// <summary>What came of a check in this run.</summary>
    /// <param name="subject">The estimator.</param>
    /// <param name="check">The check.</param>
    /// <returns>The outcome.</returns>
    public Outcome OutcomeOf(Subject subject, Check check) =>
        !check.AppliesTo(subject) ? Outcome.NotApplicable : _results.TryGetValue((subject, check), out var result) ? result.Outcome : Outcome.Skipped;

    /// <summary>What is expected of a check: all that apply pass, but for those known to fail.</summary>
    /// <param name="subject">The estimator.</param>
    /// <param name="check">The check.</param>
    /// <returns>The outcome.</returns>
    public static Outcome Expected(Subject subject, Check check) =>
        !check.AppliesTo(subject) ? Outcome.NotApplicable
        : subject.Profile.KnownFailures(subject.Task).ContainsKey(check.Number) ? Outcome.KnownFailure
        : Outcome.Passed;

    /// <summary>Seconds that this run has spent on an estimator.</summary>
    /// <param name="subject">The estimator.</param>
    /// <param name="slowOnly">Whether only the slow checks count.</param>
    /// <returns>Seconds.</returns>
    public double SecondsOf(Subject subject, bool slowOnly = false) =>
        _results.Where(result => result.Key.Item1 == subject && (!slowOnly || result.Key.Item2.IsSlow)).Sum(result => result.Value.Seconds);

    private bool IsInTurn(Subject subject)
    {
        var round = Environment.GetEnvironmentVariable(RoundVariable);
        if (string.IsNullOrEmpty(round))
            return true;
        var rounds = (Subjects.Count + SlowSubjectsPerRound - 1) / SlowSubjectsPerRound;
        var index = Subjects.Select((s, i) => (s, i)).First(pair => pair.s == subject).i;
        return index % rounds == int.Parse(round, CultureInfo.InvariantCulture) % rounds;
    }
}
