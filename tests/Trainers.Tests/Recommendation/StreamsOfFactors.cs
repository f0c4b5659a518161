using MlNetMlp.Networks;
using MlNetMlp.Recommendation;
using MlNetMlp.Runtime;
using MlNetMlp.Training;
using TorchSharp;
using static TorchSharp.torch;

namespace MlNetMlp.Tests.Recommendation;

/// <summary>
/// Data that only products of the streams can tell: four fields of 20 values with factors in three dimensions, and the logit 1.5·⟨a₁(x₁) + a₂(x₂), b₁(x₃) + b₂(x₄)⟩. The first stream
/// sees fields 1 and 2 and the second fields 3 and 4, by gates that are fixed.
/// </summary>
internal static class StreamsOfFactors
{
    private const int Values = 20;
    private const int Factors = 3;
    private const int TrainRows = 20_000;
    private const int TestRows = 4_000;
    private const int Dim = 8;
    private const int Hidden = 32;
    private const int BatchSize = 256;
    private const int Epochs = 6;

    /// <summary>Trains and tests.</summary>
    /// <param name="seed">Decides everything.</param>
    /// <param name="heads">Heads of the bilinear form; 0 for the sum.</param>
    /// <returns>Areas under the ROC curve of the network and of the true logit.</returns>
    public static (double Auc, double Oracle) Auc(int seed, int heads)
    {
        var random = new Random(seed);
        var factors = Enumerable.Range(0, 4 * Values * Factors).Select(_ => Normal()).ToArray();
        var (x, logit, y) = (new float[(TrainRows + TestRows) * 4], new double[TrainRows + TestRows], new float[TrainRows + TestRows]);
        for (var i = 0; i < y.Length; i++)
        {
            for (var f = 0; f < 4; f++)
                x[(i * 4) + f] = random.Next(Values) + 1;
            for (var k = 0; k < Factors; k++)
                logit[i] += 1.5 * (Factor(i, 0, k) + Factor(i, 1, k)) * (Factor(i, 2, k) + Factor(i, 3, k));
            y[i] = random.NextDouble() < 1 / (1 + Math.Exp(-logit[i])) ? 1 : 0;
        }

        using var scope = NewDisposeScope();
        using var network = Create(seed, heads);
        using var flat = new FlatParameters(network);
        using var adam = new Adam(flat);
        using var keys = new RowAdam(network.Keys.Table);
        var (rows, labels) = (tensor(x, [y.Length, 4]), tensor(y));
        var order = Enumerable.Range(0, TrainRows).Select(i => (long)i).ToArray();
        for (var epoch = 0; epoch < Epochs; epoch++)
        {
            network.train();
            random.Shuffle(order);
            for (var start = 0; start < TrainRows; start += BatchSize)
            {
                using var step = NewDisposeScope();
                var index = tensor(order[start..Math.Min(TrainRows, start + BatchSize)]);
                flat.ZeroGradient();
                nn.functional.binary_cross_entropy_with_logits(network.call(rows.index_select(0, index)).flatten(), labels.index_select(0, index)).backward();
                keys.Collect();
                adam.Step(3e-3);
                keys.Step(3e-3);
            }
        }

        network.eval();
        var scores = TensorMemory.ToFloats(network.call(rows.narrow(0, TrainRows, TestRows)));
        return (Area([.. scores.Select(score => (double)score)], y[TrainRows..]), Area(logit[TrainRows..], y[TrainRows..]));

        double Normal() => Math.Sqrt(-2 * Math.Log(1 - random.NextDouble())) * Math.Cos(2 * Math.PI * random.NextDouble());

        double Factor(int row, int field, int k) => factors[(((field * Values) + (int)x[(row * 4) + field] - 1) * Factors) + k];
    }

    private static FinalMlpNetwork Create(int seed, int heads)
    {
        var layout = new RowLayout { FeatureWidth = 0, Columns = [.. Enumerable.Range(1, 4).Select(i => new RowColumn($"x{i}", 1, Values, false))] };
        var network = (FinalMlpNetwork)new FinalMlpDefinition
        {
            Inputs = 4, Outputs = 1, Layout = layout, EmbeddingDim = Dim, Stream1 = [Hidden], Stream2 = [Hidden], Dropout1 = 0, Dropout2 = 0, BatchNorm = false, GateUnits = [], Heads = heads,
            HasRare = false,
        }.Build(CPU);
        using var random = new Generator((ulong)seed);
        network.Initialize(random);
        network.Keys.Initialize(random, 0.1);
        using var noGradient = no_grad();
        foreach (var (gate, first) in new[] { (network.Gate1!, 0), (network.Gate2!, 2 * Dim) })
        {
            // 2σ(0) = 1 lets a field through, and 2σ(-200) = 0 does not.
            gate.Last.Weight.zero_();
            gate.Last.Bias.fill_(-200);
            gate.Last.Bias.narrow(0, first, 2 * Dim).zero_();
            foreach (var parameter in gate.parameters())
                parameter.requires_grad = false;
        }

        return network;
    }

    private static double Area(double[] scores, float[] labels)
    {
        var ranked = scores.Zip(labels).OrderBy(pair => pair.First).Select((pair, rank) => (pair.Second, Rank: rank + 1.0)).ToArray();
        var positives = ranked.Count(pair => pair.Second > 0);
        return (ranked.Where(pair => pair.Second > 0).Sum(pair => pair.Rank) - (positives * (positives + 1.0) / 2)) / (positives * (double)(ranked.Length - positives));
    }
}
