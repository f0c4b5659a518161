using Microsoft.ML;
using Microsoft.ML.Data;
using MlNetMlp.Runtime;

namespace MlNetMlp.Tests.Support;

/// <summary>Generated data that small networks learn in a fraction of a second.</summary>
public static class Rows
{
    public const int Width = 5;

    public sealed class Row
    {
        [VectorType(Width)]
        public float[] Features { get; set; } = [];

        public float Target { get; set; }

        public bool Flag { get; set; }

        public string Kind { get; set; } = "";

        public float Weight { get; set; }

        public bool Held { get; set; }

        public int Number { get; set; }
    }

    public static List<Row> Make(int count, ulong seed = 1)
    {
        var random = new DeterministicRandom(seed);
        var rows = new List<Row>(count);
        for (var i = 0; i < count; i++)
        {
            var x = Enumerable.Range(0, Width).Select(_ => (float)((random.NextDouble() * 4) - 2)).ToArray();
            var target = 10 + (3 * x[0]) - (2 * x[1] * x[1]) + (float)(0.1 * (random.NextDouble() - 0.5));
            rows.Add(new()
            {
                Features = x,
                Target = target,
                Flag = x[0] + x[1] > 0,
                Kind = x[0] > 0.7f ? "big" : x[1] > 0 ? "medium" : "small",
                Weight = 1 + (i % 3),
                Held = i % 5 == 0,
                Number = i,
            });
        }

        return rows;
    }

    public static IDataView View(MLContext ml, int count, ulong seed = 1) => ml.Data.LoadFromEnumerable(Make(count, seed));

    public static IDataView View(MLContext ml, IEnumerable<Row> rows) => ml.Data.LoadFromEnumerable(rows);
}
