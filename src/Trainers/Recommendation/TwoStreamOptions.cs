using System.ComponentModel.DataAnnotations;
using MlNetMlp.Methods;
using MlNetMlp.Options;
using MlNetMlp.Training;

namespace MlNetMlp.Recommendation;

/// <summary>What <see cref="FinalMlp"/> and <see cref="DualMlp"/> have in common.</summary>
public abstract record TwoStreamOptions : GradientTrainedOptions
{
    private const int MostUnits = 1 << 16;
    private const int MostLayers = 16;

    /// <summary>Creates options with the defaults of these trainers.</summary>
    protected TwoStreamOptions()
    {
        FeatureColumnName = null;
        Optimizer = OptimizerKind.Adam;
        Patience = 2;
        GradientClipNorm = 10;
    }

    /// <summary>
    /// The fields: columns of keys, or vectors of keys of which the mean counts; texts become keys by <c>MapValueToKey</c>. By default [], and at
    /// least one has to be given.
    /// </summary>
    [Required]
    public ValueList<string> CategoricalColumns { get; init; } = [];

    /// <summary>d, numbers of the vector of a key, in [1, 4096]; 10 by default.</summary>
    [Range(1, 4096)]
    public int EmbeddingDim { get; init; } = 10;

    /// <summary>Units of the layers of the first stream, each in 1 to 65,536; [400] by default.</summary>
    [Required]
    public ValueList<int> Mlp1HiddenUnits { get; init; } = [400];

    /// <summary>Units of the layers of the second stream, each in 1 to 65,536; [100] by default.</summary>
    [Required]
    public ValueList<int> Mlp2HiddenUnits { get; init; } = [100];

    /// <summary>Share of the activations of the first stream that are left out in each training step, in [0, 1); 0.2 by default.</summary>
    [Range(0, 1, MaximumIsExclusive = true)]
    public double Mlp1Dropout { get; init; } = 0.2;

    /// <summary>Share of the activations of the second stream that are left out in each training step, in [0, 1); 0.2 by default.</summary>
    [Range(0, 1, MaximumIsExclusive = true)]
    public double Mlp2Dropout { get; init; } = 0.2;

    /// <summary>Whether the layers of both streams are normalised over the batch; true by default.</summary>
    public bool BatchNorm { get; init; } = true;

    /// <summary>
    /// λ of the penalty ½·λ·‖v‖² on the vectors of the keys of a batch, in [0, 1000]; 0 by default. The more keys are rare, the more it is worth.
    /// </summary>
    [Range(0, 1e3)]
    public double EmbeddingL2 { get; init; }

    /// <summary>Training rows that a key needs to have a vector of its own, in [1, 2^24]; rarer keys share one with new ones; 1 by default.</summary>
    [Range(1, 1 << 24)]
    public int MinCategoryCount { get; init; } = 1;

    /// <summary>
    /// What the learning rate is multiplied by after an epoch that did not lower the least validation loss by a ten-thousandth, above 0 and at most 1, down to a
    /// rate of 1e-6, at which such an epoch ends the training; 0.1 by default.
    /// </summary>
    [Range(0, 1, MinimumIsExclusive = true)]
    public double PlateauFactor { get; init; } = 0.1;

    /// <inheritdoc/>
    public override IEnumerable<ValidationResult> Validate(ValidationContext validationContext)
    {
        foreach (var fault in base.Validate(validationContext))
            yield return fault;
        if (CategoricalColumns.Count == 0 || CategoricalColumns.Any(string.IsNullOrEmpty) || CategoricalColumns.Distinct().Count() < CategoricalColumns.Count)
            yield return new ValidationResult($"option 'CategoricalColumns' must name at least one column of keys and each once, but was {CategoricalColumns}");
        if (CategoricalColumns.Contains(LabelColumnName))
            yield return new ValidationResult($"option 'CategoricalColumns' must not have the label column '{LabelColumnName}' among it, which is what is predicted");
        foreach (var (name, units) in ((string, ValueList<int>)[])[(nameof(Mlp1HiddenUnits), Mlp1HiddenUnits), (nameof(Mlp2HiddenUnits), Mlp2HiddenUnits)])
        {
            if (!AreLayers(units) || units.Count == 0)
                yield return new ValidationResult($"option '{name}' must be 1 to {MostLayers} numbers from 1 to {MostUnits}, but was {units}");
        }

        if (Optimizer is not (OptimizerKind.Adam or OptimizerKind.AdamW))
            yield return new ValidationResult($"option 'Optimizer' must be Adam or AdamW, which the vectors of keys are trained by, but was {Optimizer}");
    }

    /// <summary>Whether numbers can be the units of layers.</summary>
    /// <param name="units">The numbers.</param>
    /// <returns>Whether.</returns>
    internal static bool AreLayers(ValueList<int> units) => units.Count <= MostLayers && units.All(count => count is >= 1 and <= MostUnits);

    /// <inheritdoc/>
    protected override int ChooseBatchSize(long rows) => (int)Math.Clamp(rows / 60, 32, 4096);
}
