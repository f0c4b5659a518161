using System.ComponentModel.DataAnnotations;
using System.Text.Json.Serialization;
using MlNetMlp.Runtime;
using static TorchSharp.torch;

namespace MlNetMlp.Networks;

/// <summary>
/// Outcomes under several treatments, of which each row has seen one. Training sees one raw output, the outcome under the row's own treatment [rows, 1], and judges it by
/// the task of the outcome. Scoring sees 1 + <see cref="Treatments.Count"/>: in front of the outcomes under all treatments stands the row's own arm (its index, or -1 for
/// none), or the outcome under its own dose.
/// </summary>
public sealed record TreatmentHead : TaskHead, IValidatableObject
{
    /// <summary>What the outcome is: a number, or yes or no.</summary>
    public required TaskHead Outcome { get; init; }

    /// <summary>The treatments.</summary>
    public required Treatments Treatments { get; init; }

    /// <inheritdoc/>
    public override int Outputs => 1 + Treatments.Count;

    /// <inheritdoc/>
    public override string MetricName => Outcome.MetricName;

    /// <inheritdoc/>
    public override double MetricSum(Tensor outputs, Tensor labels) => Outcome.MetricSum(outputs, labels);

    /// <inheritdoc/>
    public override double Metric(double mean) => Outcome.Metric(mean);

    /// <summary>Turns raw outcomes into those that the user sees: numbers in the label's unit, or probabilities.</summary>
    /// <param name="outputs">Raw outputs of one row.</param>
    public override void Finish(Span<float> outputs)
    {
        var outcomes = outputs[(Treatments.AreArms ? 1 : 0)..];
        Outcome.Finish(outcomes);
        if (Outcome is not BinaryHead)
            return;
        foreach (ref var outcome in outcomes)
            outcome = 1 / (1 + MathF.Exp(-outcome));
    }

    /// <inheritdoc/>
    public IEnumerable<ValidationResult> Validate(ValidationContext validationContext)
    {
        if (Outcome is not (RegressionHead or BinaryHead))
            yield return new ValidationResult("'Outcome' must be a number, or yes or no");
    }

    /// <inheritdoc/>
    protected override Tensor RowLosses(Tensor outputs, Tensor labels, double labelSmoothing) => Outcome.LossOfRows(outputs, labels, labelSmoothing);

    /// <inheritdoc/>
    protected override Tensor MeanLoss(Tensor outputs, Tensor labels, double labelSmoothing) => Outcome.Loss(outputs, labels, null, labelSmoothing);
}

/// <summary>The record that rebuilds a <see cref="TreatmentNetwork"/>.</summary>
public abstract record TreatmentDefinition : NetworkDefinition
{
    /// <summary>The treatments under which a row is scored.</summary>
    public required Treatments Treatments { get; init; }
}

/// <summary>
/// A network that predicts the outcome of a row under any treatment. What it makes of a row is computed once, and then asked for as many treatments as there are. The
/// treatment is the first column of the layout.
/// </summary>
public abstract class TreatmentNetwork : Network
{
    // A network may need many numbers for each outcome: so many outcomes at once keep a fine grid from taking gigabytes.
    private const long MostOutcomes = 1 << 16;

    private readonly Treatments _treatments;
    private readonly int _place;

    /// <summary>Creates a network.</summary>
    /// <param name="definition">The record that rebuilds it.</param>
    protected TreatmentNetwork(TreatmentDefinition definition)
        : base(definition) => (_treatments, _place) = (definition.Treatments, definition.Layout!.FeatureWidth);

    /// <summary>Whether only the outcome under the row's own treatment is wanted, as in training.</summary>
    public bool IsFactual { get; set; }

    /// <summary>What is put out: see <see cref="TreatmentHead"/>.</summary>
    /// <param name="x">Rows [rows, inputs].</param>
    /// <returns>Raw outputs.</returns>
    public override Tensor forward(Tensor x)
    {
        var own = Own(x);
        var encoded = Encode(x);
        if (IsFactual)
            return Outcomes(encoded, own);
        if (!_treatments.AreArms)
        {
            using var grid = tensor(_treatments.Doses.ToArray(), device: x.device);
            return InParts(encoded, cat([own, grid.expand(x.shape[0], -1)], 1));
        }

        using var arms = arange(_treatments.Count, ScalarType.Float32, x.device);
        return cat([own, InParts(encoded, arms.expand(x.shape[0], -1))], 1);
    }

    /// <summary>Outcomes under treatments, whatever the rows' own ones are.</summary>
    /// <param name="x">Rows [rows, inputs].</param>
    /// <param name="treatments">Doses, or arms from 0 [rows, treatments].</param>
    /// <returns>Raw outcomes [rows, treatments].</returns>
    public Tensor OutcomesUnder(Tensor x, Tensor treatments) => Outcomes(Encode(x), treatments);

    /// <summary>The treatments of rows: doses, or arms from 0, where -1 stands for a missing arm.</summary>
    /// <param name="x">Rows [rows, inputs].</param>
    /// <returns>Treatments [rows, 1].</returns>
    public Tensor Own(Tensor x)
    {
        var column = x.narrow(1, _place, 1);
        if (!_treatments.AreArms)
            return column;
        var first = _treatments.AreKeys ? 1 : 0;
        using var arms = arange(first, first + _treatments.Count, ScalarType.Float32, x.device);
        using var numbers = arange(1, 1 + _treatments.Count, ScalarType.Float32, x.device);
        return column.eq(arms).to_type(ScalarType.Float32).matmul(numbers.unsqueeze(1)).Plus(-1);
    }

    private Tensor InParts(Tensor encoded, Tensor treatments)
    {
        var (rows, count) = (treatments.shape[0], treatments.shape[1]);
        var most = Math.Max(1, MostOutcomes / Math.Max(1, rows));
        if (count <= most)
            return Outcomes(encoded, treatments);
        var parts = new List<Tensor>();
        for (var start = 0L; start < count; start += most)
            parts.Add(Outcomes(encoded, treatments.narrow(1, start, Math.Min(most, count - start))));
        return cat(parts, 1);
    }

    /// <summary>What the network makes of rows without their treatments.</summary>
    /// <param name="x">Rows [rows, inputs].</param>
    /// <returns>Whatever <see cref="Outcomes"/> reads.</returns>
    protected abstract Tensor Encode(Tensor x);

    /// <summary>Outcomes under treatments, which do not depend on each other.</summary>
    /// <param name="encoded">What <see cref="Encode"/> gave.</param>
    /// <param name="treatments">Doses, or arms from 0 [rows, treatments]; training rows have no missing ones.</param>
    /// <returns>Raw outcomes [rows, treatments].</returns>
    protected abstract Tensor Outcomes(Tensor encoded, Tensor treatments);
}
