using Microsoft.ML;
using Microsoft.ML.Data;
using MlNetMlp.Runtime;

namespace MlNetMlp.Tests.Causal;

/// <summary>A row whose outcome under each treatment is known.</summary>
public sealed class TreatmentRow
{
    [VectorType(3)]
    public float[] Features { get; set; } = [];

    public bool Treated { get; set; }

    /// <summary>0 to 2 are keys 1 to 3, and 3 is a missing one.</summary>
    [KeyType(3)]
    public uint Arm { get; set; }

    public float Dose { get; set; }

    public float Label { get; set; }

    public bool Success { get; set; }

    [VectorType(2)]
    public float[] Truth { get; set; } = [];
}

/// <summary>Rows of which those with a great first covariate are treated more often, so that treated and others differ by more than what the treatment does.</summary>
internal static class TreatmentRows
{
    public static TreatmentRow[] Make(int count, int seed)
    {
        var random = new Random(seed);
        return [.. Enumerable.Range(0, count).Select(_ =>
        {
            float[] x = [.. Enumerable.Range(0, 3).Select(_ => (float)random.NextNormal())];
            var isTreated = random.NextDouble() < 1 / (1 + Math.Exp(-2 * x[0]));
            float[] truth = [2 * x[0], (2 * x[0]) + 1 + x[1]];
            return new TreatmentRow
            {
                Features = x, Treated = isTreated, Arm = (isTreated ? 1u : 0u) + (random.Next(4) == 0 ? 1u : 0u), Dose = (float)((0.5 * x[0]) + random.NextNormal()),
                Truth = truth, Label = (float)(truth[isTreated ? 1 : 0] + (0.3 * random.NextNormal())), Success = truth[isTreated ? 1 : 0] + random.NextNormal() > 0.5,
            };
        })];
    }

    public static IDataView View(MLContext ml, int count = 400, int seed = 1) => ml.Data.LoadFromEnumerable(Make(count, seed));
}
