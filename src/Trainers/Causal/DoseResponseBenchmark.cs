// A closed form of outcomes under doses with confounding, which dose-response methods are compared on since:
//
// Nie, Ye, Liu and Nicolae, "VCNet and Functional Targeted Regularization For Learning Causal Effects of Continuous Treatments", ICLR 2021,
// https://arxiv.org/abs/2103.07861; the paper of TransTee.cs uses it too.
using System.ComponentModel.DataAnnotations;
using Microsoft.ML;
using Microsoft.ML.Data;
using MlNetMlp.Causal;
using MlNetMlp.Interop;
using MlNetMlp.Options;
using MlNetMlp.Runtime;

namespace Microsoft.ML
{
    /// <summary>Data to try methods for doses on.</summary>
    public static class DoseResponseCatalog
    {
        extension(DataOperationsCatalog catalog)
        {
            /// <summary>
            /// Makes rows of six covariates, a dose that depends on them, and an outcome that depends on both:
            /// <c>mlContext.Data.CreateDoseResponseBenchmark(new() { Rows = 500 })</c>. Columns are those of <see cref="DoseResponseRow"/>.
            /// </summary>
            public DataGeneration<DoseResponseBenchmark> CreateDoseResponseBenchmark => benchmark => catalog.LoadFromEnumerable((benchmark ?? new()).MakeRows());
        }
    }
}

namespace MlNetMlp.Causal
{
    /// <summary>A generated row.</summary>
    public sealed class DoseResponseRow
    {
        /// <summary>x₁ to x₆, evenly spread in [0, 1].</summary>
        [VectorType(DoseResponseBenchmark.Covariates)]
        public float[] Features { get; set; } = [];

        /// <summary>t, the dose that the row has had, in (0, 1).</summary>
        public float Treatment { get; set; }

        /// <summary>y, the outcome, with noise.</summary>
        public float Label { get; set; }
    }

    /// <summary>
    /// Doses and outcomes by a closed form: t = σ((10·sin(max(x₁, x₂, x₃)) + max(x₃, x₄, x₅)³)/(1 + (x₁ + x₅)²) + sin(x₃/2)·(1 + exp(x₄ − x₃/2)) + x₃² + 2·sin(x₄) + 2·x₅ −
    /// 6.5 + ½ε), and y is <see cref="Response"/> + ½ε′, with ε and ε′ from N(0, 1).
    /// </summary>
    public sealed record DoseResponseBenchmark
    {
        internal const int Covariates = 6;

        /// <summary>Number of rows, in [1, 10,000,000]; 500 by default.</summary>
        [Range(1, 10_000_000)]
        public int Rows { get; init; } = 500;

        /// <summary>Deviation of the noise on the outcome, at least 0; 0.5 by default. That on the dose is always 0.5.</summary>
        [Range(0, double.MaxValue)]
        public double Noise { get; init; } = 0.5;

        /// <summary>Decides the rows, at least 0; 1 by default.</summary>
        [Range(0, int.MaxValue)]
        public int Seed { get; init; } = 1;

        /// <summary>The outcome without noise, cos(2π(t − ½))·(t² + 4·max(x₁, x₆)³·sin(x₄)/(1 + 2·x₃²)).</summary>
        /// <param name="x">x₁ to x₆.</param>
        /// <param name="t">The dose, in [0, 1].</param>
        /// <returns>The outcome.</returns>
        /// <exception cref="ArgumentException">There are not six covariates.</exception>
        public static double Response(IReadOnlyList<float> x, double t)
        {
            ArgumentNullException.ThrowIfNull(x);
            if (x.Count != Covariates)
                throw new ArgumentException($"A row has {Covariates} covariates, but was given {x.Count}.", nameof(x));
            return Math.Cos(2 * Math.PI * (t - 0.5)) * ((t * t) + (4 * Math.Pow(Math.Max(x[0], x[5]), 3) * Math.Sin(x[3]) / (1 + (2 * x[2] * x[2]))));
        }

        /// <summary>Makes the rows.</summary>
        /// <returns>The rows, the same for the same options; they are made when they are asked for.</returns>
        /// <exception cref="ArgumentOutOfRangeException">An option is out of its range.</exception>
        public IEnumerable<DoseResponseRow> MakeRows()
        {
            OptionRanges.Check(this, nameof(DoseResponseBenchmark));
            return Enumerable.Range(0, Rows).Select(Make);
        }

        private DoseResponseRow Make(int row)
        {
            // Each row has numbers of its own, so that it is the same in every pass and however many there are.
            var random = new Random((int)(RandomStreams.Hash((ulong)Seed, (ulong)row) >> 33));
            float[] x = [.. Enumerable.Range(0, Covariates).Select(_ => random.NextSingle())];
            var t = 1 / (1 + Math.Exp(-(DoseLogit(x) + (0.5 * random.NextNormal()))));
            return new() { Features = x, Treatment = (float)t, Label = (float)(Response(x, t) + (Noise * random.NextNormal())) };
        }

        private static double DoseLogit(float[] x) =>
            (((10 * Math.Sin(Math.Max(x[0], Math.Max(x[1], x[2])))) + Math.Pow(Math.Max(x[2], Math.Max(x[3], x[4])), 3)) / (1 + Math.Pow(x[0] + x[4], 2)))
            + (Math.Sin(x[2] / 2) * (1 + Math.Exp(x[3] - (x[2] / 2)))) + (x[2] * x[2]) + (2 * Math.Sin(x[3])) + (2 * x[4]) - 6.5;
    }
}
