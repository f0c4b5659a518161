namespace MlNetMlp.Conformance;

/// <summary>What came of a check on an estimator.</summary>
public enum Outcome
{
    /// <summary>The promise means nothing for this estimator.</summary>
    NotApplicable,

    /// <summary>It was not run.</summary>
    Skipped,

    /// <summary>The promise is kept.</summary>
    Passed,

    /// <summary>The promise is not kept.</summary>
    Failed,

    /// <summary>The promise is not kept, which is known and has a reason.</summary>
    KnownFailure,
}
