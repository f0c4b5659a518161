// Synthetic functions of a query and a set of keys, of the kinds that the paper of RandomFeatureAttention.cs compares methods on.
using System.ComponentModel.DataAnnotations;
using Microsoft.ML;
using Microsoft.ML.Data;
using MlNetMlp.Interop;
using MlNetMlp.Options;
using MlNetMlp.RandomFeatures;
using MlNetMlp.Runtime;

namespace Microsoft.ML
{
    /// <summary>Data to try methods for sets on.</summary>
    public static class SetFunctionCatalog
    {
        extension(DataOperationsCatalog catalog)
        {
            /// <summary>
            /// Makes rows of a query, keys and a number that depends on them: <c>mlContext.Data.GenerateSetFunction(new() { Rows = 600 })</c>. Columns are
            /// <c>Query</c>, <c>Keys</c>, <c>KeyCount</c> and <c>Label</c>, as in <see cref="SetFunctionRow"/>.
            /// </summary>
            public DataGeneration<SetFunction> GenerateSetFunction => function =>
            {
                function ??= new();
                var rows = function.MakeRows();
                var schema = SchemaDefinition.Create(typeof(SetFunctionRow));
                schema[nameof(SetFunctionRow.Query)].ColumnType = new VectorDataViewType(NumberDataViewType.Single, function.Dimension);
                if (function.FewestKeys is null)
                    schema[nameof(SetFunctionRow.Keys)].ColumnType = new VectorDataViewType(NumberDataViewType.Single, function.Keys * function.Dimension);
                return catalog.LoadFromEnumerable(rows, schema);
            };
        }
    }
}

namespace MlNetMlp.RandomFeatures
{
    /// <summary>Functions of a query x₀ and keys xᵢ; β is a fixed random direction, and inner products are of unit vectors, times √d.</summary>
    public enum SetFunctionTarget
    {
        /// <summary>mean ⟨β, xᵢ⟩^p: the query does not matter.</summary>
        Power,

        /// <summary>mean ⟨x₀, xᵢ⟩^p·⟨β, xᵢ⟩.</summary>
        Correlation,

        /// <summary>mean cos(⟨x₀, xᵢ⟩)·⟨β, xᵢ⟩^p.</summary>
        Cosine,
    }

    /// <summary>A generated row.</summary>
    public sealed class SetFunctionRow
    {
        /// <summary>x₀, of length 1: d numbers.</summary>
        public float[] Query { get; set; } = [];

        /// <summary>x₁ to x_N, each of length 1, one after the other: N·d numbers.</summary>
        public float[] Keys { get; set; } = [];

        /// <summary>N.</summary>
        public float KeyCount { get; set; }

        /// <summary>The value of the function, with noise.</summary>
        public float Label { get; set; }
    }

    /// <summary>A function of sets, and the rows that it is given.</summary>
    public sealed record SetFunction : IValidatableObject
    {
        /// <summary>The function; <see cref="SetFunctionTarget.Correlation"/> by default.</summary>
        public SetFunctionTarget Target { get; init; } = SetFunctionTarget.Correlation;

        /// <summary>p, in [1, 10]; 1 by default.</summary>
        [Range(1, 10)]
        public int Power { get; init; } = 1;

        /// <summary>d, numbers of a key, in [1, 10000]; 16 by default.</summary>
        [Range(1, 10_000)]
        public int Dimension { get; init; } = 16;

        /// <summary>Keys of a row, in [1, 10000]; 16 by default.</summary>
        [Range(1, 10_000)]
        public int Keys { get; init; } = 16;

        /// <summary>
        /// Fewest keys of a row, in [1, 10000] and at most <see cref="Keys"/>: rows have any number from it to <see cref="Keys"/>, and the column is of
        /// unknown size; null (the default): all have as many.
        /// </summary>
        [Range(1, 10_000)]
        public int? FewestKeys { get; init; }

        /// <summary>Number of rows, in [1, 10,000,000]; 1,000 by default.</summary>
        [Range(1, 10_000_000)]
        public int Rows { get; init; } = 1000;

        /// <summary>Deviation of normal noise on the label, at least 0; 0 by default.</summary>
        [Range(0, double.MaxValue)]
        public double Noise { get; init; }

        /// <summary>Decides β and the rows, at least 0; 1 by default.</summary>
        [Range(0, int.MaxValue)]
        public int Seed { get; init; } = 1;

        /// <summary>Makes the rows.</summary>
        /// <returns>The rows, the same for the same function; they are made when they are asked for.</returns>
        /// <exception cref="ArgumentOutOfRangeException">An option is out of its range.</exception>
        public IEnumerable<SetFunctionRow> MakeRows()
        {
            OptionRanges.Check(this, nameof(SetFunction));
            return Make();
        }

        /// <summary>Whether the numbers of keys fit each other.</summary>
        /// <param name="validationContext">Not used.</param>
        /// <returns>The faults.</returns>
        public IEnumerable<ValidationResult> Validate(ValidationContext validationContext)
        {
            if (FewestKeys > Keys)
                yield return new ValidationResult($"option 'FewestKeys' must be at most 'Keys', {Keys}, but was {FewestKeys}");
        }

        private IEnumerable<SetFunctionRow> Make()
        {
            var beta = Unit(new Random(Hash(0)));
            for (var i = 1; i <= Rows; i++)
            {
                // Each row has numbers of its own, so that it is the same in every pass and however many there are.
                var random = new Random(Hash(i));
                var count = random.Next(FewestKeys ?? Keys, Keys + 1);
                var query = Unit(random);
                float[][] keys = [.. Enumerable.Range(0, count).Select(_ => Unit(random))];
                yield return new()
                {
                    Query = query,
                    Keys = [.. keys.SelectMany(key => key)],
                    KeyCount = count,
                    Label = (float)(keys.Average(key => Value(query, key, beta)) + (Noise * random.NextNormal())),
                };
            }
        }

        private double Value(float[] query, float[] key, float[] beta)
        {
            var (withQuery, withBeta) = (Product(query, key), Product(beta, key));
            return Target switch
            {
                SetFunctionTarget.Power => Math.Pow(withBeta, Power),
                SetFunctionTarget.Correlation => Math.Pow(withQuery, Power) * withBeta,
                _ => Math.Cos(withQuery) * Math.Pow(withBeta, Power),
            };
        }

        private int Hash(int row) => (int)(RandomStreams.Hash((ulong)Seed, (ulong)row) >> 33);

        private double Product(float[] a, float[] b) => Math.Sqrt(Dimension) * a.Zip(b, (x, y) => (double)x * y).Sum();

        private float[] Unit(Random random)
        {
            double[] values = [.. Enumerable.Range(0, Dimension).Select(_ => random.NextNormal())];
            var length = Math.Sqrt(values.Sum(value => value * value));
            return [.. values.Select(value => (float)(value / length))];
        }
    }
}
