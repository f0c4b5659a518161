using Microsoft.ML;
using Microsoft.ML.Data;

namespace MlNetMlp.Tests.Explain;

/// <summary>Rows of classes that each lie in several clusters.</summary>
internal sealed class CodeRow
{
    /// <summary>Number of features.</summary>
    public const int Width = 16;

    [VectorType(Width)]
    public float[] Features { get; set; } = [];

    public int Class { get; set; }

    public int Cluster { get; set; }

    public bool IsEven { get; set; }

    public float Number { get; set; }

    /// <summary>Makes rows: cluster c is of class c modulo the number of classes.</summary>
    public static CodeRow[] Make(int rows, int clusters, int classes, double spread, int seed)
    {
        // The clusters are the same whatever the seed of the rows.
        var (places, random) = (new Random(7), new Random(seed));
        float[][] centres = [.. Enumerable.Range(0, clusters).Select(_ => Enumerable.Range(0, Width).Select(_ => (float)Normal(places)).ToArray())];
        return
        [
            .. Enumerable.Range(0, rows).Select(_ =>
            {
                var cluster = random.Next(clusters);
                return new CodeRow
                {
                    Features = [.. centres[cluster].Select(value => value + (float)(spread * Normal(random)))], Class = cluster % classes, Cluster = cluster, IsEven = cluster % 2 == 0,
                    Number = centres[cluster][0] + (float)(0.05 * Normal(random)),
                };
            }),
        ];
    }

    /// <summary>The rows as data, with the class as key <c>Label</c>.</summary>
    public static IDataView View(MLContext ml, CodeRow[] rows, int classes)
    {
        // All classes are keys, also those that no row has.
        var keys = ml.Data.LoadFromEnumerable(Enumerable.Range(0, classes).Select(value => new CodeKey { Class = value }));
        var data = ml.Data.LoadFromEnumerable(rows);
        return ml.Transforms.Conversion.MapValueToKey("Label", "Class", keyData: keys).Fit(data).Transform(data);
    }

    /// <summary>Mutual information of two ways to part rows, over the mean of their entropies: 1 where they are the same, 0 where one tells nothing of the other.</summary>
    public static double NormalizedMutualInformation(IReadOnlyList<int> first, IReadOnlyList<int> second)
    {
        double Entropy<T>(IEnumerable<T> values) => values.GroupBy(value => value).Select(group => (double)group.Count() / first.Count).Sum(share => -share * Math.Log(share));
        var (one, other, both) = (Entropy(first), Entropy(second), Entropy(first.Zip(second)));
        return 2 * (one + other - both) / (one + other);
    }

    private static double Normal(Random random) => Math.Sqrt(-2 * Math.Log(1 - random.NextDouble())) * Math.Cos(2 * Math.PI * random.NextDouble());

    private sealed class CodeKey
    {
        public int Class { get; set; }
    }
}
