namespace MlNetMlp.Conformance;

/// <summary>What an estimator learns; decides the label column and the columns that come out.</summary>
[Flags]
public enum EstimatorTask
{
    /// <summary>A number.</summary>
    Regression = 1,

    /// <summary>Yes or no.</summary>
    Binary = 2,

    /// <summary>One of several classes.</summary>
    Multiclass = 4,

    /// <summary>Either kind of classes; for checks only.</summary>
    Classification = Binary | Multiclass,

    /// <summary>Any of them; for checks only.</summary>
    All = Regression | Classification,
}
