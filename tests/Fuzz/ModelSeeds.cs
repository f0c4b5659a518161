using Microsoft.ML;
using Microsoft.ML.Data;
using MlNetMlp.RandomFeatures;

namespace MlNetMlp.Fuzz;

/// <summary>Sound models of many kinds to begin from: networks, transforms and models of ML.NET, alone and within each other.</summary>
internal static class ModelSeeds
{
    private sealed class Row
    {
        [VectorType(6)]
        public float[] Features { get; set; } = [];

        public float Label { get; set; }

        public bool Flag { get; set; }

        public string Kind { get; set; } = "";

        public string Text { get; set; } = "";
    }

    /// <summary>Trains the models.</summary>
    /// <returns>Their files.</returns>
    public static IReadOnlyList<(string Name, byte[] File)> Make()
    {
        var ml = new MLContext(1);
        var random = new Random(1);
        var data = ml.Data.LoadFromEnumerable(Enumerable.Range(0, 120).Select(i =>
        {
            var features = Enumerable.Range(0, 6).Select(_ => (float)random.NextDouble()).ToArray();
            return new Row { Features = features, Label = features[0], Flag = features[1] > 0.5, Kind = "abc"[i % 3].ToString(), Text = i % 2 == 0 ? "one two" : "three four" };
        }).ToArray());
        var keys = ml.Transforms.Conversion.MapValueToKey("Key", "Kind");
        var mlp = ml.Regression.Trainers.ScaledMlp(new() { Epochs = 1, Width = 8, Blocks = 1, Seed = 1 });
        (string, IEstimator<ITransformer>)[] pipelines =
        [
            ("ScaledMlp", ml.Transforms.NormalizeMeanVariance("Features").Append(mlp)),
            ("GradientBoostedNetwork", ml.BinaryClassification.Trainers.GradientBoostedNetwork(new() { LabelColumnName = "Flag", TotalUnits = 4, Restarts = 1, Seed = 1 })),
            ("RandomFeatureNetwork", keys.Append(ml.MulticlassClassification.Trainers.RandomFeatureNetwork(new() { LabelColumnName = "Key", HiddenUnits = 8, Seed = 1 }))),
            ("FinalMlp", keys.Append(ml.BinaryClassification.Trainers.DualMlp(new() { LabelColumnName = "Flag", FeatureColumnName = null, CategoricalColumns = ["Key"], Epochs = 1, Seed = 1 }))),
            ("RandomFeatureMap", ml.Transforms.RandomFeatureMap("Map", new RandomFeatureMap.Options { InputColumnName = "Features", Units = 4, Seed = 1 })),
            ("FastTree", ml.Transforms.Text.FeaturizeText("Words", "Text").Append(ml.Transforms.Concatenate("Features", "Features", "Words"))
                .Append(ml.BinaryClassification.Trainers.FastTree("Flag", numberOfTrees: 3, minimumExampleCountPerLeaf: 2))),
            ("OneVersusAll", keys.Append(ml.MulticlassClassification.Trainers.OneVersusAll(ml.BinaryClassification.Trainers.SdcaLogisticRegression("Flag"), "Key"))
                .Append(ml.Transforms.Conversion.MapKeyToValue("PredictedLabel"))),
            ("KMeans", ml.Transforms.NormalizeBinning("Features").Append(ml.Clustering.Trainers.KMeans(numberOfClusters: 2))),
        ];
        return [.. pipelines.Select(pipeline =>
        {
            var file = new MemoryStream();
            ml.Model.Save(pipeline.Item2.Fit(data), data.Schema, file);
            return (pipeline.Item1, file.ToArray());
        })];
    }
}
