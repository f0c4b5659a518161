using System.ComponentModel.DataAnnotations;

namespace MlNetMlp.Explanations;

/// <summary>How contributions of features to a prediction are found.</summary>
public enum ExplanationMethod
{
    /// <summary>
    /// (x − x′) times the mean gradient on the way from a baseline x′ to x (Sundararajan, Taly and Yan, "Axiomatic Attribution for Deep Networks", 2017): contributions
    /// add up to f(x) − f(x′).
    /// </summary>
    IntegratedGradients,

    /// <summary>∂f/∂x.</summary>
    Gradient,

    /// <summary>x·∂f/∂x: of a linear model, what ML.NET's own CalculateFeatureContribution tells.</summary>
    GradientTimesInput,

    /// <summary>The mean of ∂f/∂x at points around x (Smilkov and others, "SmoothGrad: removing noise by adding noise", 2017).</summary>
    SmoothGrad,

    /// <summary>The same mean estimated from scores alone, for any model: of [f(x + σe) − f(x − σe)]/2·e/σ, e normal.</summary>
    SmoothedFiniteDifference,
}

/// <summary>Which of a model's scores is explained.</summary>
public enum ExplanationTarget
{
    /// <summary>The most probable class; of one score that score, as CalculateFeatureContribution does: for binary classification what speaks for true.</summary>
    PredictedClass,

    /// <summary>The class of the label column; for binary classification what speaks for the label.</summary>
    TrueLabel,

    /// <summary>The class <see cref="ExplanationOptions.ClassIndex"/>; of several numbers the one of this index.</summary>
    ClassIndex,

    /// <summary>All classes or numbers, one after the other.</summary>
    AllClasses,
}

/// <summary>What number of a prediction is explained.</summary>
public enum ExplainedOutput
{
    /// <summary>The raw score before it becomes a probability; for regression the predicted number. Of models that are no networks the column Score.</summary>
    Logit,

    /// <summary>The probability; of confident predictions it hardly changes with any feature.</summary>
    Probability,

    /// <summary>The loss of the label: cross-entropy, or the squared error of a number.</summary>
    Loss,
}

/// <summary>What integrated gradients compare a row to.</summary>
public enum ExplanationBaseline
{
    /// <summary>Zero in every feature.</summary>
    Zero,

    /// <summary>The mean of each feature over the rows that the explanation is fitted to.</summary>
    TrainingMean,

    /// <summary><see cref="ExplanationOptions.BaselineVector"/>.</summary>
    Vector,
}

/// <summary>What is told of predictions, and how.</summary>
public sealed record ExplanationOptions : IValidatableObject
{
    /// <summary>How contributions are found; <see cref="ExplanationMethod.IntegratedGradients"/> by default.</summary>
    public ExplanationMethod Method { get; init; } = ExplanationMethod.IntegratedGradients;

    /// <summary>Which score is explained; <see cref="ExplanationTarget.PredictedClass"/> by default.</summary>
    public ExplanationTarget Target { get; init; } = ExplanationTarget.PredictedClass;

    /// <summary>The class, from 0, of <see cref="ExplanationTarget.ClassIndex"/>; at least 0, and less than the model has.</summary>
    [Range(0, int.MaxValue)]
    public int ClassIndex { get; init; }

    /// <summary>What number is explained; <see cref="ExplainedOutput.Logit"/> by default.</summary>
    public ExplainedOutput Output { get; init; } = ExplainedOutput.Logit;

    /// <summary>Points of Gauss and Legendre on the way of integrated gradients, in [1, 1024]; 32 by default.</summary>
    [Range(1, 1024)]
    public int Steps { get; init; } = 32;

    /// <summary>What integrated gradients compare a row to; <see cref="ExplanationBaseline.Zero"/> by default.</summary>
    public ExplanationBaseline Baseline { get; init; } = ExplanationBaseline.Zero;

    /// <summary>The baseline [features] of <see cref="ExplanationBaseline.Vector"/>; else null.</summary>
    public IReadOnlyList<float>? BaselineVector { get; init; }

    /// <summary>Points around a row that the smoothed methods take, in [1, 100000]; 32 by default.</summary>
    [Range(1, 100_000)]
    public int Samples { get; init; } = 32;

    /// <summary>σ of the smoothed methods relative to the range of each feature in the rows that the explanation is fitted to, above 0; 0.15 by default.</summary>
    [Range(0, 1000, MinimumIsExclusive = true)]
    public double NoiseFraction { get; init; } = 0.15;

    /// <summary>Whether signs are left out.</summary>
    public bool Absolute { get; init; }

    /// <summary>Whether the contributions of a row are divided by the greatest of them, so that all are in [−1, 1].</summary>
    public bool Normalize { get; init; }

    /// <summary>How many of the greatest positive contributions are kept, at least 0; the others become 0. Null for all.</summary>
    [Range(0, int.MaxValue)]
    public int? NumberOfPositiveContributions { get; init; }

    /// <summary>How many of the least negative contributions are kept, at least 0; the others become 0. Null for all.</summary>
    [Range(0, int.MaxValue)]
    public int? NumberOfNegativeContributions { get; init; }

    /// <summary>
    /// Adds up the contributions of slots whose names are the same up to this text, as those of one-hot or hashed columns are ("Make.Ford", "Make.Opel" with "."). Null for no groups.
    /// </summary>
    public string? GroupBySlotPrefix { get; init; }

    /// <summary>
    /// Whether a column ConvergenceDelta tells by how much integrated gradients miss f(x) − f(x′): take more <see cref="Steps"/> where it is large.
    /// </summary>
    public bool AddConvergenceDelta { get; init; }

    /// <summary>The column of contributions, <c>FeatureContributions</c> by default.</summary>
    [Required]
    public string OutputColumnName { get; init; } = "FeatureContributions";

    /// <summary>The label column, which <see cref="ExplanationTarget.TrueLabel"/> and <see cref="ExplainedOutput.Loss"/> read; <c>Label</c> by default.</summary>
    [Required]
    public string LabelColumnName { get; init; } = "Label";

    /// <summary>Decides the noise of the smoothed methods, together with the id of each row; at least 0, 1 by default.</summary>
    [Range(0, int.MaxValue)]
    public int Seed { get; init; } = 1;

    internal bool IsSmoothed => Method is ExplanationMethod.SmoothGrad or ExplanationMethod.SmoothedFiniteDifference;

    internal bool NeedsLabel => Target == ExplanationTarget.TrueLabel || Output == ExplainedOutput.Loss;

    /// <inheritdoc/>
    public IEnumerable<ValidationResult> Validate(ValidationContext validationContext)
    {
        if (Baseline == ExplanationBaseline.Vector != BaselineVector is not null)
            yield return new($"option 'BaselineVector' must be given if and only if 'Baseline' is Vector, but 'Baseline' was {Baseline}");
        if (BaselineVector?.Any(value => !float.IsFinite(value)) == true)
            yield return new("option 'BaselineVector' must hold finite numbers only");
        if (GroupBySlotPrefix is "")
            yield return new("option 'GroupBySlotPrefix' must be null or a text of at least one character, but was empty");
        if (AddConvergenceDelta && (Method != ExplanationMethod.IntegratedGradients || Target == ExplanationTarget.AllClasses))
            yield return new($"option 'AddConvergenceDelta' must be false but for integrated gradients of one class, but the method was {Method} and the target {Target}");
        if (Output == ExplainedOutput.Loss && Target is ExplanationTarget.ClassIndex or ExplanationTarget.AllClasses)
            yield return new($"option 'Target' must be PredictedClass or TrueLabel where 'Output' is Loss, which is of the label, but was {Target}");
    }
}
