using System.ComponentModel.DataAnnotations;
using MlNetMlp.Layers;
using MlNetMlp.Methods;
using MlNetMlp.Runtime;
using MlNetMlp.Solvers;
using MlNetMlp.Training;
using static TorchSharp.torch;

namespace MlNetMlp.Explain;

/// <summary>What networks have in common that are trained with codes in the place of activations.</summary>
public abstract record CodebookOptions : GradientTrainedOptions
{
    /// <summary>n, codes of each group, in [2, 65536]; 256 by default, 1,000 to 10,000 in the paper. Time grows with it.</summary>
    [Range(2, 1 << 16)]
    public int NumCodes { get; init; } = 256;

    /// <summary>K, codes that stand for an activation in each group, in [1, 65536] and at most <see cref="NumCodes"/>; 4 by default, 1 or 8 in the paper. 1 is easiest to read.</summary>
    [Range(1, 1 << 16)]
    public int K { get; init; } = 4;

    /// <summary>How alike activations and codes are; <see cref="RowSimilarity.InnerProduct"/> by default.</summary>
    public RowSimilarity Similarity { get; init; } = RowSimilarity.InnerProduct;

    /// <summary>What codes learn from beside the task; <see cref="CodebookLoss.AutoEncode"/> by default.</summary>
    public CodebookLoss Loss { get; init; } = CodebookLoss.AutoEncode;

    /// <summary>β, what keeping activations near their codes counts, at least 0; 0.25 by default. For <see cref="CodebookLoss.FullAutoEncode"/> and <see cref="CodebookLoss.VqVae"/>.</summary>
    [Range(0, double.MaxValue)]
    public double Beta { get; init; } = 0.25;

    /// <summary>Steps after which codes that no activation has used since are replaced by activations, in [0, 1,000,000,000]; 0 (the default) for never.</summary>
    [Range(0, 1_000_000_000)]
    public int ReplaceDeadAfterSteps { get; init; }

    /// <summary>Length of the noise on such activations, as a share of theirs, in [0, 1]; 1e-4 by default.</summary>
    [Range(0, 1)]
    public double ReplaceNoise { get; init; } = 1e-4;

    /// <summary>λ of a penalty ½·λ·‖c‖² on all codes, in [0, 1,000]; 0 by default. <see cref="GradientTrainedOptions.WeightDecay"/> reaches codes as it does all matrices.</summary>
    [Range(0, 1e3)]
    public double CodeDecay { get; init; }

    /// <summary>Name of the column of codes, <c>Codes</c> by default. That of their similarities has <c>Similarity</c> behind it.</summary>
    [Required]
    public string CodesColumnName { get; init; } = "Codes";

    /// <inheritdoc/>
    public override IEnumerable<ValidationResult> Validate(ValidationContext validationContext)
    {
        foreach (var fault in base.Validate(validationContext))
            yield return fault;
        if (K > NumCodes)
            yield return new ValidationResult($"option 'K' must be at most NumCodes, {NumCodes}, but was {K}");
        if (Optimizer == OptimizerKind.Lbfgs)
            yield return new ValidationResult("option 'Optimizer' must not be Lbfgs, whose line search needs the gradient of the loss itself, and here it passes through codes as if they were none");
    }

    /// <summary>Tells codebooks what becomes of their unused codes.</summary>
    internal void Prepare(IEnumerable<Codebook> codebooks)
    {
        foreach (var codebook in codebooks)
            (codebook.ReplaceDeadAfterSteps, codebook.ReplaceNoise) = (ReplaceDeadAfterSteps, ReplaceNoise);
    }

    /// <summary>The loss that is trained by: that of the task, what codes learn from beside it, and the penalty on them.</summary>
    internal Tensor WithCodes(Tensor loss, Tensor? extra, IEnumerable<Codebook> codebooks)
    {
        if (extra is not null)
            loss = loss.Plus(extra);
        return CodeDecay == 0 ? loss : codebooks.Aggregate(loss, (sum, codebook) => sum.Plus(codebook.Codes.mul(codebook.Codes).sum().Times(CodeDecay / 2)));
    }
}
