using Microsoft.ML;
using Microsoft.ML.Data;
using MlNetMlp.Data;
using MlNetMlp.Networks;
using MlNetMlp.Runtime;
using MlNetMlp.Tests.Support;

namespace MlNetMlp.Tests.Data;

public class TrainingSetTests
{
    private static readonly MLContext Ml = new(1);

    static TrainingSetTests() => LibTorch.Load();

    [Fact]
    public void EveryNumberTypeBecomesSingle()
    {
        Check<double>([-1.5, 0, 3]);
        Check<long>([-1, 0, 3]);
        Check<ulong>([1, 0, 3]);
        Check<int>([-1, 0, 3]);
        Check<uint>([1, 0, 3]);
        Check<short>([-1, 0, 3]);
        Check<ushort>([1, 0, 3]);
        Check<sbyte>([-1, 0, 3]);
        Check<byte>([1, 0, 3]);
        Check([true, false, true]);

        static void Check<T>(T[] features)
        {
            using var set = Load(Ml.Data.LoadFromEnumerable(new[] { new Typed<T> { Features = features, Target = 1 }, new Typed<T> { Features = features, Target = 2 } }), 0).Set;
            using var block = set.All();
            var expected = features.Select(x => Convert.ToSingle(x, System.Globalization.CultureInfo.InvariantCulture)).ToArray();
            Assert.Equal([.. expected, .. expected], TensorMemory.Floats(block.Features).ToArray());
        }
    }

    [Fact]
    public void SparseFeaturesAreFilledWithZeros()
    {
        var rows = new[] { new Sparse { Features = new VBuffer<float>(5, 2, [7, 8], [1, 4]), Target = 1 }, new Sparse { Features = new VBuffer<float>(5, 0, [], []), Target = 2 } };
        var schema = SchemaDefinition.Create(typeof(Sparse));
        schema["Features"].ColumnType = new VectorDataViewType(NumberDataViewType.Single, 5);

        using var set = Load(Ml.Data.LoadFromEnumerable(rows, schema), 0).Set;
        using var block = set.All();

        Assert.Equal([0, 7, 0, 0, 8, 0, 0, 0, 0, 0], TensorMemory.Floats(block.Features).ToArray());
    }

    [Theory]
    [InlineData(long.MaxValue)]
    [InlineData(1L)]
    public void DimensionsOfTheFeatureColumnAreKept(long budget)
    {
        var rows = new[] { new Sparse { Features = new VBuffer<float>(24, new float[24]), Target = 1 }, new Sparse { Features = new VBuffer<float>(24, new float[24]), Target = 2 } };
        foreach (var dimensions in new int[][] { [24], [2, 3, 4], [4, 6] })
        {
            var schema = SchemaDefinition.Create(typeof(Sparse));
            schema["Features"].ColumnType = new VectorDataViewType(NumberDataViewType.Single, dimensions);

            using var set = Load(Ml.Data.LoadFromEnumerable(rows, schema), 0, budget).Set;

            Assert.Equal(dimensions, set.FeatureDimensions);
        }
    }

    [Theory]
    [InlineData(long.MaxValue, 0.0)]
    [InlineData(long.MaxValue, 0.2)]
    [InlineData(3000L, 0.0)]
    [InlineData(3000L, 0.2)]
    public void EveryRowComesOnceInEachEpochWhetherInMemoryOrStreamed(long budget, double fraction)
    {
        var rows = Rows.Make(1000);
        rows.ForEach(row => row.Features[0] = row.Number);
        var (set, _) = Load(Rows.View(Ml, rows), fraction, budget);
        using (set)
        {
            Assert.Equal(budget < 100_000, set.IsStreamed);
            var held = set.Validation is null ? [] : Numbers(set.Validation);
            Assert.Equal(1000, set.RowCount + (set.IsStreamed && fraction > 0 ? 1000 - set.RowCount : held.Length));

            var first = Epoch(set, 1);
            Assert.Equal(first, Epoch(set, 1));
            Assert.NotEqual(first, Epoch(set, 2));
            Assert.Equal(set.RowCount, first.Length);
            Assert.Equal(first.Order(), Epoch(set, 2).Order());
            Assert.Equal(first.Length, first.Distinct().Count());
            Assert.Empty(first.Intersect(held));

            var blocks = set.Blocks(64).SelectMany(block =>
            {
                using (block)
                    return Numbers(block);
            }).ToArray();
            Assert.Equal(first.Order(), blocks);
        }

        static int[] Epoch(TrainingSet set, int epoch)
        {
            var sizes = new List<long>();
            var seen = set.Batches(48, epoch).SelectMany(batch =>
            {
                using (batch)
                {
                    sizes.Add(batch.Rows);
                    return Numbers(batch);
                }
            }).ToArray();
            Assert.InRange(sizes.Max() - sizes.Min(), 0, 1);
            return seen;
        }
    }

    [Fact]
    public void LabelsWeightsAndStatisticsAreThoseOfTheRows()
    {
        var rows = Rows.Make(400);
        rows.ForEach(row => row.Features[4] = 5);
        var (set, head) = Load(Rows.View(Ml, rows), 0, weight: "Weight");

        // A row of weight k is k rows.
        double Average(Func<Rows.Row, double> value) => rows.Sum(row => row.Weight * value(row)) / rows.Sum(row => row.Weight);
        using (set)
        {
            using var block = set.All();
            var regression = Assert.IsType<RegressionHead>(head);
            var mean = Average(row => row.Target);
            var scale = Math.Sqrt(Average(row => Math.Pow(row.Target - mean, 2)));
            Assert.Equal(mean, regression.LabelMean, 5);
            Assert.Equal(scale, regression.LabelScale, 5);
            Assert.All(TensorMemory.Floats(block.Labels).ToArray().Zip(rows), pair => Assert.Equal((pair.Second.Target - mean) / scale, pair.First, 4));
            Assert.Equal(1, TensorMemory.Floats(block.Weights!).ToArray().Average(), 5);
            Assert.Equal(rows[0].Weight / rows[1].Weight, TensorMemory.Floats(block.Weights!)[0] / TensorMemory.Floats(block.Weights!)[1], 5);
            for (var j = 0; j < Rows.Width; j++)
            {
                var average = Average(row => row.Features[j]);
                Assert.Equal(average, set.Statistics.Mean[j], 5);
                Assert.Equal(Math.Sqrt(Average(row => Math.Pow(row.Features[j] - average, 2))), set.Statistics.StandardDeviation[j], 5);
            }

            Assert.Equal(0, set.Statistics.StandardDeviation[4]);
            Assert.Equal(1, set.Statistics.Scale()[4]);
        }
    }

    [Theory]
    [InlineData(long.MaxValue)]
    [InlineData(3000L)]
    public void LabelsOfSeveralColumnsStayWithTheirRows(long budget)
    {
        var rows = Rows.Make(500);
        rows.ForEach(row => row.Features[0] = row.Number);
        var view = Ml.Transforms.Concatenate("Targets", "Target", "Weight", "Target").Fit(Rows.View(Ml, rows)).Transform(Rows.View(Ml, rows));
        var (set, head) = Load(view, 0.2, budget, task: TaskKind.MultiOutputRegression, label: "Targets");
        using (set)
        {
            Assert.Equal(budget < 100_000, set.IsStreamed);
            var several = Assert.IsType<MultiOutputRegressionHead>(head);
            Assert.Equal(["Target", "Weight", "Target"], several.LabelNames);
            double[] means = [rows.Average(row => (double)row.Target), rows.Average(row => (double)row.Weight)];
            Assert.Equal([means[0], means[1], means[0]], several.LabelMeans, (a, b) => Math.Abs(a - b) < 1e-5);
            var scale = Math.Sqrt(rows.Average(row => Math.Pow(row.Weight - means[1], 2)));
            Assert.Equal(scale, several.LabelScales[1], 5);
            foreach (var block in set.Batches(48, 1).Concat(set.Blocks(100)).Append(set.Validation!))
            {
                using (block)
                {
                    Assert.Equal([block.Rows, 3], block.Labels.shape);
                    var labels = TensorMemory.Floats(block.Labels);
                    var numbers = Numbers(block);
                    for (var i = 0; i < numbers.Length; i++)
                    {
                        Assert.Equal((rows[numbers[i]].Target - means[0]) / several.LabelScales[0], labels[3 * i], 4);
                        Assert.Equal((rows[numbers[i]].Weight - means[1]) / scale, labels[(3 * i) + 1], 4);
                        Assert.Equal(labels[3 * i], labels[(3 * i) + 2]);
                    }
                }
            }
        }
    }

    [Fact]
    public void AFarMeanCostsNoDigits()
    {
        var rows = Rows.Make(5000);
        rows.ForEach(row => row.Features = [.. row.Features.Select(x => 100_000 + x)]);
        using var set = Load(Rows.View(Ml, rows), 0).Set;

        for (var j = 0; j < Rows.Width; j++)
        {
            var average = rows.Average(row => (double)row.Features[j]);
            var deviation = Math.Sqrt(rows.Average(row => Math.Pow(row.Features[j] - average, 2)));
            Assert.InRange(set.Statistics.StandardDeviation[j], deviation * 0.999, deviation * 1.001);
        }
    }

    [Fact]
    public void TheSameShareOfEveryClassIsHeldOut()
    {
        float[] labels = [.. Enumerable.Range(0, 1000).Select(i => i % 10 == 0 ? 1f : 0f)];
        var chosen = ValidationSplit.Choose(labels, 2, 0.2, seed: 5);

        Assert.Equal(180, chosen.Where((held, i) => held && labels[i] == 0).Count());
        Assert.Equal(20, chosen.Where((held, i) => held && labels[i] == 1).Count());
        Assert.Equal(chosen, ValidationSplit.Choose(labels, 2, 0.2, seed: 5));
        Assert.NotEqual(chosen, ValidationSplit.Choose(labels, 2, 0.2, seed: 6));
    }

    [Fact]
    public void AStreamedSetIsNotGivenAtOnce()
    {
        using var set = Load(Rows.View(Ml, 1000), 0, 3000).Set;

        Assert.Contains("'MemoryBudget'", Assert.Throws<InvalidOperationException>(() => set.All()).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void RandomNumbersAreTheSameForEver()
    {
        var random = new DeterministicRandom(1);
        Assert.Equal([0x910A2DEC89025CC1, 0xBEEB8DA1658EEC67], [random.NextBits(), random.NextBits()]);

        var counts = new int[7];
        for (var i = 0; i < 70_000; i++)
            counts[random.Next(7)]++;
        Assert.All(counts, count => Assert.InRange(count, 9_600, 10_400));
    }

    private static int[] Numbers(RowBlock block) =>
        [.. Enumerable.Range(0, (int)block.Rows).Select(i => (int)TensorMemory.Floats(block.Features)[i * Rows.Width])];

    private static (TrainingSet Set, TaskHead Head) Load(
        IDataView view, double fraction, long budget = long.MaxValue, string? weight = null, TaskKind task = TaskKind.Regression, string label = "Target") =>
        new TrainingSetLoader(
            new LoadSettings(task, new ColumnNames(new("Features"), label, weight, null), [], null, fraction, budget, false, 7), _ => { }, () => { })
            .Load(view, null, null);

    private sealed class Typed<T>
    {
        [VectorType(3)]
        public T[] Features { get; set; } = [];

        public float Target { get; set; }
    }

    private sealed class Sparse
    {
        public VBuffer<float> Features { get; set; }

        public float Target { get; set; }
    }
}
