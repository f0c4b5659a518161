using System.ComponentModel.DataAnnotations;

namespace MlNetMlp.Explanations;

/// <summary>What is told of the way of each row to a binary model's boundary.</summary>
public sealed record BoundaryTiltOptions
{
    /// <summary>The label column of the rows that it is fitted to, Boolean or a number that is 0 or 1; <c>Label</c> by default.</summary>
    [Required]
    public string LabelColumnName { get; init; } = "Label";

    /// <summary>Whether a column MirrorImage tells where each row lies when it is mirrored at the boundary; false by default.</summary>
    public bool AddMirrorImage { get; init; }

    /// <summary>Newton steps from a row to the boundary of a network at most, in [1, 1000]; 20 by default. Linear models need none.</summary>
    [Range(1, 1000)]
    public int NewtonSteps { get; init; } = 20;
}

/// <summary>How the tilt of a model's boundaries is told.</summary>
public sealed record BoundaryTiltEvaluationOptions
{
    /// <summary>The label column, Boolean or a number that is 0 or 1 for binary models, a key for others; <c>Label</c> by default.</summary>
    [Required]
    public string LabelColumnName { get; init; } = "Label";

    /// <summary>Newton steps from a row to the boundary of a network at most, in [1, 1000]; 20 by default.</summary>
    [Range(1, 1000)]
    public int NewtonSteps { get; init; } = 20;

    /// <summary>Rows of each class from which the boundary of a network is looked for, evenly spread over the data; at least 1, 1000 by default.</summary>
    [Range(1, int.MaxValue)]
    public int RowsPerClass { get; init; } = 1000;

    /// <summary>Adversarial strength below which a boundary is <see cref="BoundaryTiltType.Type0"/>; at least 1, 1.25 by default.</summary>
    [Range(1, double.MaxValue)]
    public double LittleStrength { get; init; } = 1.25;

    /// <summary>Tilt variance ratio below which a tilted boundary is <see cref="BoundaryTiltType.Type2"/>; at least 0, 0.05 by default.</summary>
    [Range(0, double.MaxValue)]
    public double FlatVarianceRatio { get; init; } = 0.05;
}
