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

    /// <summary>Several numbers at once.</summary>
    MultiOutput = 8,

    /// <summary>A number, under one of some treatments: the treatment is the column <see cref="SampleRow.Treatment"/>, whose effect is nothing.</summary>
    Causal = 16,

    /// <summary>Either kind of classes; for checks only.</summary>
    Classification = Binary | Multiclass,

    /// <summary>All that ML.NET itself has trainers for; for checks only.</summary>
    MlNet = Regression | Classification,

    /// <summary>Those of which the columns that come out are known; for checks only.</summary>
    Predicted = MlNet | MultiOutput,

    /// <summary>Any of them; for checks only.</summary>
    All = Predicted | Causal,
}
