using System.Reflection;

namespace MlNetMlp.Conformance;

/// <summary>Marks a method that takes a <see cref="Trial"/> and throws unless the estimator keeps a promise.</summary>
/// <param name="number">Number of the check.</param>
/// <param name="promise">What is promised, in a few words.</param>
[AttributeUsage(AttributeTargets.Method)]
internal sealed class CheckAttribute(int number, string promise) : Attribute
{
    /// <summary>Number of the check.</summary>
    public int Number => number;

    /// <summary>What is promised, in a few words.</summary>
    public string Promise => promise;

    /// <summary>The tasks that the promise is about.</summary>
    public EstimatorTask Tasks { get; init; } = EstimatorTask.All;

    /// <summary>Name of a Boolean property of <see cref="Subject"/> without which the promise means nothing; null for none.</summary>
    public string? When { get; init; }

    /// <summary>Whether the check takes seconds: a run that must be short does it for a part of the estimators in turn.</summary>
    public bool IsSlow { get; init; }

    /// <summary>Whether the check touches what all threads of a process share, the console for one: no other check runs meanwhile.</summary>
    public bool IsExclusive { get; init; }
}

/// <summary>A check of the suite.</summary>
public sealed class Check
{
    private static readonly ReaderWriterLockSlim Process = new();

    private readonly MethodInfo _method;
    private readonly CheckAttribute _attribute;

    private Check(MethodInfo method, CheckAttribute attribute) => (_method, _attribute) = (method, attribute);

    /// <summary>All checks, by number.</summary>
    public static IReadOnlyList<Check> All { get; } =
    [
        .. typeof(Check).Assembly.GetTypes()
            .SelectMany(type => type.GetMethods(BindingFlags.Static | BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.DeclaredOnly))
            .Where(method => method.IsDefined(typeof(CheckAttribute)))
            .Select(method => new Check(method, method.GetCustomAttribute<CheckAttribute>()!))
            .OrderBy(check => check.Number),
    ];

    /// <summary>Number of the check.</summary>
    public int Number => _attribute.Number;

    /// <summary>Number and promise, as shown in lists of tests.</summary>
    public string Name => $"{Number:00} {_attribute.Promise}";

    /// <summary>What is promised, in a few words.</summary>
    public string Promise => _attribute.Promise;

    /// <summary>Whether the check takes seconds.</summary>
    public bool IsSlow => _attribute.IsSlow;

    /// <summary>Whether the promise means something for an estimator.</summary>
    /// <param name="subject">The estimator.</param>
    /// <returns>Whether.</returns>
    public bool AppliesTo(Subject subject) => _attribute.Tasks.HasFlag(subject.Task)
        && (_attribute.When is null || (bool)typeof(Subject).GetProperty(_attribute.When)!.GetValue(subject)!);

    /// <summary>Runs the check.</summary>
    /// <param name="subject">The estimator.</param>
    /// <exception cref="Xunit.Sdk.XunitException">The promise is not kept.</exception>
    public void Run(Subject subject)
    {
        Action enter = _attribute.IsExclusive ? Process.EnterWriteLock : Process.EnterReadLock;
        Action leave = _attribute.IsExclusive ? Process.ExitWriteLock : Process.ExitReadLock;
        enter();
        try
        {
            _method.Invoke(null, BindingFlags.DoNotWrapExceptions, null, [new Trial(subject)], null);
        }
        finally
        {
            leave();
        }
    }
}
