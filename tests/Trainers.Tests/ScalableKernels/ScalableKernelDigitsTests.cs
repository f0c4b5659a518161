using System.Globalization;
using Microsoft.ML;
using Microsoft.ML.Data;
using MlNetMlp.ScalableKernels;
using MlNetMlp.Tests.Support;
using Xunit.Abstractions;

namespace MlNetMlp.Tests.ScalableKernels;

/// <summary>The 8 × 8 digits: how accuracy goes with the number of features.</summary>
public sealed class ScalableKernelDigitsTests(ITestOutputHelper output)
{
    internal const string File = "digits8x8/digits8x8.csv";

    private readonly MLContext _ml = new(1);

    public sealed class Row
    {
        [VectorType(64)]
        public float[] Features { get; set; } = [];

        [KeyType(10)]
        public uint Label { get; set; }
    }

    [DataFact(File)]
    public void A_few_hundred_features_are_enough_for_digits()
    {
        foreach (var count in new[] { 16, 32, 64, 128, 256, 512 })
        {
            var accuracy = Enumerable.Range(1, 3).Average(seed =>
            {
                var (train, test) = Split(_ml, (ulong)seed);
                var model = _ml.MulticlassClassification.Trainers.ScalableKernelNetwork(new() { FeatureCount = count, Seed = seed, ValidationFraction = 0 }).Fit(train);
                Assert.Equal((count * 10) + 10, ScalableKernelNetwork.GetSize(model)!.Trained);
                return _ml.MulticlassClassification.Evaluate(model.Transform(test)).MicroAccuracy;
            });
            output.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{count} features, {(count * 10) + 10} values: {accuracy:P1}"));
            Assert.True(count != 256 || accuracy >= 0.97, $"accuracy {accuracy}");
        }
    }

    /// <summary>1,200 rows to train on and 597 others, at random.</summary>
    internal static (IDataView Train, IDataView Test) Split(MLContext ml, ulong seed)
    {
        var rows = System.IO.File.ReadLines(Path.Combine(TestData.Folder!, File)).Skip(1).Select(line => line.Split(',')).Select(cells => new Row
        {
            Features = [.. cells[..64].Select(cell => float.Parse(cell, CultureInfo.InvariantCulture))],
            Label = uint.Parse(cells[64], CultureInfo.InvariantCulture) + 1,
        }).ToArray();
        using var random = new TorchSharp.torch.Generator(seed);
        using var order = TorchSharp.torch.randperm(rows.Length, generator: random);
        var shuffled = order.data<long>().ToArray().Select(i => rows[i]).ToArray();
        return (ml.Data.LoadFromEnumerable(shuffled[..1200]), ml.Data.LoadFromEnumerable(shuffled[1200..]));
    }
}
