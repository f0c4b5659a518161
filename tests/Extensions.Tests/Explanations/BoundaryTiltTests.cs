using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.Trainers;
using MlNetMlp.Explanations;
using MlNetMlp.Interop;
using MlNetMlp.Methods;
using MlNetMlp.Networks;
using MlNetMlp.Runtime;
using MlNetMlp.Scoring;
using MlNetMlp.Tests.Support;

namespace MlNetMlp.Tests.Explanations;

/// <summary>Distances to boundaries as columns and reports: of ML.NET's models and ours, of chains, files and engines.</summary>
public sealed class BoundaryTiltTests
{
    private static readonly MLContext Ml = Fitted.Ml;

    private static readonly string[] Names = ["BoundaryDistance", "CentroidDistance", "RowStrength"];

    public static TheoryData<string> LinearTrainers => ["Lbfgs", "Sdca", "Perceptron", "Svm", "Sgd"];

    [Theory]
    [MemberData(nameof(LinearTrainers))]
    public void Distances_to_the_boundary_of_a_linear_model_follow_from_its_weights(string trainer)
    {
        var model = Linear(trainer);
        var (weights, bias) = WeightsOf(model);
        var transformer = Ml.Transforms.BoundaryTilt(model, Flag with { AddMirrorImage = true }).Fit(Fitted.Named);
        var told = transformer.Transform(model.Transform(Fitted.Named));
        var (features, labels) = (Features(Fitted.Named), Fitted.Named.GetColumn<bool>("Flag").ToArray());
        var (own, other, strengths, mirrored) = (told.GetColumn<float>(Names[0]).ToArray(), told.GetColumn<float>(Names[1]).ToArray(), told.GetColumn<float>(Names[2]).ToArray(), Mirrors(told));
        var length = Math.Sqrt(weights.Sum(w => w * w));
        double[] trueMean = Mean(features.Where((_, i) => labels[i])), falseMean = Mean(features.Where((_, i) => !labels[i]));
        double[] difference = [.. trueMean.Zip(falseMean, (j, i) => j - i)];
        var span = Math.Sqrt(difference.Sum(d => d * d));
        for (var row = 0; row < own.Length; row++)
        {
            var expected = (features[row].Zip(weights, (x, w) => x * w).Sum() + bias) / length;
            Assert.Equal(expected, own[row], 1e-5 * Math.Max(1, Math.Abs(expected)));
            var centroid = features[row].Select((x, i) => (x - ((trueMean[i] + falseMean[i]) / 2)) * difference[i] / span).Sum();
            Assert.Equal(centroid, other[row], 1e-5 * Math.Max(1, Math.Abs(centroid)));
            Assert.Equal(Math.Abs(centroid / expected), strengths[row], 1e-3 * Math.Abs(centroid / expected));

            // The way to the mirror image is twice that to the boundary.
            Assert.Equal(2 * Math.Abs(expected), Math.Sqrt(mirrored[row].Zip(features[row], (m, x) => Math.Pow(m - x, 2)).Sum()), 1e-3);
        }

        Assert.Equal(told.GetColumn<bool>("PredictedLabel"), own.Select(distance => distance > 0));
        VBuffer<ReadOnlyMemory<char>> names = default, slots = default;
        told.Schema["MirrorImage"].GetSlotNames(ref names);
        Fitted.Named.Schema["Features"].GetSlotNames(ref slots);
        Assert.Equal(slots.DenseValues().Select(name => name.ToString()), names.DenseValues().Select(name => name.ToString()));
        Assert.Equal(falseMean[0], transformer.FalseMean[0], 1e-6);
        Assert.Equal(trueMean[0], transformer.TrueMean[0], 1e-6);
    }

    [Fact]
    public void A_mirror_image_is_as_far_on_the_other_side_and_mirrored_again_the_row()
    {
        var model = Linear("Lbfgs");
        var transformer = Ml.Transforms.BoundaryTilt(model, Flag with { AddMirrorImage = true }).Fit(Fitted.Named);
        var once = transformer.Transform(Fitted.Named);
        var mirrored = Mirrors(once);
        var images = Ml.Data.LoadFromEnumerable(mirrored.Select(row => new Image { Features = row }), Width(mirrored[0].Length));
        var again = transformer.Transform(images);
        float[] before = [.. once.GetColumn<float>(Names[0])], after = [.. again.GetColumn<float>(Names[0])];
        for (var row = 0; row < before.Length; row++)
            Assert.Equal(-before[row], after[row], 1e-3 * Math.Max(1, Math.Abs(before[row])));
        float[] scores = [.. model.Transform(Fitted.Named).GetColumn<float>("Score")], scored = [.. model.Transform(images).GetColumn<float>("Score")];
        var size = scores.Max(Math.Abs);
        for (var row = 0; row < scores.Length; row++)
            Assert.Equal(-scores[row], scored[row], 1e-3 * size);
        foreach (var (row, twice) in Features(Fitted.Named).Zip(Mirrors(again)))
        {
            for (var i = 0; i < row.Length; i++)
                Assert.Equal(row[i], twice[i], 1e-3);
        }
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Half_way_to_the_mirror_image_a_network_cannot_tell(bool isDense)
    {
        var model = Fitted.Model(TaskKind.Binary, isDense);
        var told = Ml.Transforms.BoundaryTilt(model, Flag with { AddMirrorImage = true }).Fit(Fitted.Data).Transform(Fitted.Data);
        var (features, mirrored, scores) = (Features(Fitted.Named), Mirrors(told), Fitted.Scores(model));
        float[] distances = [.. told.GetColumn<float>(Names[0])];
        Assert.True(distances.Count(float.IsFinite) > 0.9 * distances.Length);
        var found = Enumerable.Range(0, distances.Length).Where(row => float.IsFinite(distances[row])).ToArray();
        float[][] middles = [.. found.Select(row => features[row].Zip(mirrored[row], (x, m) => (x + m) / 2).ToArray())];
        var network = Ml.Data.LoadFromEnumerable(middles.Select(row => new Image { Features = row }), Width(middles[0].Length));
        float[] at = [.. ((IEnumerable<ITransformer>)model).Last().Transform(network).GetColumn<float>("Score")];
        for (var i = 0; i < found.Length; i++)
        {
            Assert.True(Math.Abs(at[i]) <= 1e-3 * Math.Max(Math.Abs(scores[found[i]]), 0.01), $"row {found[i]}: {at[i]} where it was {scores[found[i]]}");
            Assert.Equal(Math.Sign(scores[found[i]]), Math.Sign(distances[found[i]]));
        }
    }

    // Moosavi-Dezfooli, Fawzi and Frossard, "DeepFool", 2016, algorithm 1 with its overshoot, row by row.
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void No_boundary_is_further_than_where_deep_fool_ends(bool isDense)
    {
        var model = Fitted.Model(TaskKind.Binary, isDense);
        var told = Ml.Transforms.BoundaryTilt(model, Flag).Fit(Fitted.Data).Transform(Fitted.Data);
        float[] distances = [.. told.GetColumn<float>(Names[0])];
        using var network = new DifferentiableModel(Fitted.Network(model));
        var (compared, features) = (0, Features(Fitted.Named));
        for (var row = 0; row < features.Length; row++)
        {
            using var scope = TorchSharp.torch.NewDisposeScope();
            var x = TorchSharp.torch.tensor(features[row], [1, features[row].Length]);
            var way = TorchSharp.torch.zeros_like(x);
            var (margin, slope) = network.Gradient(x, outputs => outputs.flatten());
            var side = Math.Sign(margin.item<float>());
            for (var step = 0; step < 20 && Math.Sign(margin.item<float>()) == side; step++)
            {
                way.AddScaled(slope, -margin.item<float>() / slope.mul(slope).sum().item<float>());
                (margin, slope) = network.Gradient(x.Plus(way.Times(1.02)), outputs => outputs.flatten());
            }

            if (Math.Sign(margin.item<float>()) == side)
                continue;
            compared++;
            var theirs = 1.02 * Math.Sqrt(way.mul(way).sum().item<float>());
            Assert.True(Math.Abs(distances[row]) <= 1.1 * theirs, $"row {row}: {distances[row]} against {theirs}");
        }

        Assert.True(compared > 0.9 * features.Length, $"{compared}");
    }

    [Fact]
    public void A_network_of_one_layer_tells_what_the_linear_model_does()
    {
        var linear = Linear("Lbfgs");
        var (weights, bias) = WeightsOf(linear);
        var trained = Ml.BinaryClassification.Trainers.CreateTrainer(new PlainMlp(Fitted.Options(TaskKind.Binary))).Fit(Fitted.Named);
        var builder = new HiddenLayerBuilder(weights.Length, 1, Activation.Identity, [0.0]);
        builder.Add(new([.. weights.Select(w => (float)w)], [0], [1], [(float)bias]), 1);
        using var built = builder.Build(1);
        var network = NetworkReplacement.Replace(Ml, trained, new(built.Definition, built.ReadWeights(), new BinaryHead()) { MethodName = "Linear" });
        var (expected, found) = (Told(linear), Told(network));
        for (var column = 0; column < 2; column++)
        {
            for (var row = 0; row < expected[column].Length; row++)
                Assert.Equal(expected[column][row], found[column][row], 1e-5 * Math.Max(1, Math.Abs(expected[column][row])));
        }

        var options = new BoundaryTiltEvaluationOptions { LabelColumnName = "Flag" };
        var (one, other) = (Ml.Model.EvaluateBoundaryTilt(linear, Fitted.Named, options), Ml.Model.EvaluateBoundaryTilt(network, Fitted.Named, options));
        Assert.Equal(one.ErrorRate, other.ErrorRate);
        Assert.Equal(one.Tilt!.AdversarialStrength!.Value, other.Tilt!.AdversarialStrength!.Value, 1e-4);
        Assert.Equal(one.Tilt.DeviationAngleDegrees, other.Tilt.DeviationAngleDegrees, 1e-3);

        static float[][] Told(ITransformer model)
        {
            var told = Ml.Transforms.BoundaryTilt(model, Flag).Fit(Fitted.Named).Transform(Fitted.Named);
            return [.. Names.Select(name => told.GetColumn<float>(name).ToArray())];
        }
    }

    [Theory]
    [InlineData("network")]
    [InlineData("Lbfgs")]
    [InlineData("Perceptron")]
    public void A_file_an_engine_and_parallel_cursors_tell_the_same(string kind)
    {
        var model = kind == "network" ? Fitted.Model(TaskKind.Binary) : Chain(kind);
        var transformer = Ml.Transforms.BoundaryTilt(model, Flag with { AddMirrorImage = true }).Fit(Fitted.Data);
        var expected = transformer.Transform(Fitted.Data);
        float[][] columns = [.. Names.Select(name => expected.GetColumn<float>(name).ToArray())];
        var mirrored = Mirrors(expected);

        using var stream = new MemoryStream();
        Ml.Model.Save(model.Append(transformer), Fitted.Data.Schema, stream);
        stream.Position = 0;
        var loaded = new MLContext().Model.Load(stream, out _);
        var again = loaded.Transform(Fitted.Data);
        for (var i = 0; i < Names.Length; i++)
            Near(columns[i], [.. again.GetColumn<float>(Names[i])]);
        foreach (var (row, other) in mirrored.Zip(Mirrors(again)))
            Near(row, other);
        Assert.NotNull(again.Schema.GetColumnOrNull("PredictedLabel"));

        var asked = again.Schema.Where(column => Names.Contains(column.Name)).ToArray();
        var rows = 0;
        var byId = columns[0].Select((value, row) => (Key: new DataViewRowId((ulong)row, 0), value)).ToDictionary(entry => entry.Key, entry => entry.value);
        foreach (var cursor in again.GetRowCursorSet(asked, 3))
        {
            using var part = cursor;
            var (id, value) = (part.GetIdGetter(), part.GetGetter<float>(asked[0]));
            for (; part.MoveNext(); rows++)
            {
                DataViewRowId key = default;
                float distance = 0;
                id(ref key);
                value(ref distance);
                Near([byId[key]], [distance]);
            }
        }

        Assert.Equal(Fitted.FewRows, rows);
        var engine = Ml.Model.CreatePredictionEngine<Rows.Row, Output>(loaded, Fitted.Data.Schema);
        var examples = Ml.Data.CreateEnumerable<Rows.Row>(Fitted.Data, reuseRowObject: false).Take(20).ToArray();
        for (var row = 0; row < examples.Length; row++)
        {
            var output = engine.Predict(examples[row]);
            Near([columns[0][row], columns[1][row], columns[2][row]], [output.BoundaryDistance, output.CentroidDistance, output.RowStrength]);
            Near(mirrored[row], output.MirrorImage);
        }
    }

    [Fact]
    public void Later_steps_of_a_pipeline_know_the_columns()
    {
        var chain = Ml.Transforms.BoundaryTilt(Chain("Lbfgs"), Flag with { AddMirrorImage = true })
            .Append(Ml.Transforms.Concatenate("All", "BoundaryDistance", "CentroidDistance", "RowStrength", "MirrorImage")).Fit(Fitted.Data);
        Assert.Equal(3 + Features(Fitted.Named)[0].Length, ((VectorDataViewType)chain.Transform(Fitted.Data).Schema["All"].Type).Size);

        // Labels are not read any more.
        var transformer = Ml.Transforms.BoundaryTilt(Chain("Lbfgs"), Flag).Fit(Fitted.Data);
        Assert.Equal(Fitted.FewRows, transformer.Transform(Ml.Transforms.DropColumns("Flag").Fit(Fitted.Data).Transform(Fitted.Data)).GetColumn<float>("RowStrength").Count());
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void A_threshold_that_was_moved_moves_the_boundary(bool isNetwork)
    {
        var network = Ml.BinaryClassification.Trainers.CreateTrainer(new PlainMlp(Fitted.Options(TaskKind.Binary))).Fit(Fitted.Named);
        var linear = Ml.BinaryClassification.Trainers.LbfgsLogisticRegression("Flag").Fit(Fitted.Named);
        ITransformer model = isNetwork ? Ml.BinaryClassification.ChangeModelThreshold(network, 0.2f) : Ml.BinaryClassification.ChangeModelThreshold(linear, 1.5f);
        foreach (var one in new[] { model, ModelZip.Load(ModelZip.Save(model, Fitted.Named)) })
        {
            var scored = one.Transform(Fitted.Named);
            var told = Ml.Transforms.BoundaryTilt(one, Flag).Fit(Fitted.Named).Transform(scored);
            var predicted = scored.GetColumn<bool>("PredictedLabel").ToArray();
            float[] distances = [.. told.GetColumn<float>(Names[0])];
            Assert.NotEqual(predicted, scored.GetColumn<float>("Score").Select(score => score > 0));
            for (var row = 0; row < predicted.Length; row++)
                Assert.True(float.IsNaN(distances[row]) || predicted[row] == distances[row] > 0, $"row {row}: {predicted[row]}, {distances[row]}");
            var wrong = predicted.Zip(Fitted.Named.GetColumn<bool>("Flag"), (guess, label) => guess == label ? 0.0 : 1).Average();
            Assert.Equal(wrong, Ml.Model.EvaluateBoundaryTilt(one, Fitted.Named, new() { LabelColumnName = "Flag" }).ErrorRate, 1e-12);
        }
    }

    [Theory]
    [MemberData(nameof(LinearTrainers))]
    public void The_report_of_a_linear_model_is_what_its_rows_say(string trainer)
    {
        var model = Chain(trainer);
        var report = Ml.Model.EvaluateBoundaryTilt(model, Fitted.Data, new() { LabelColumnName = "Flag" });
        var told = Ml.Transforms.BoundaryTilt(model, Flag).Fit(Fitted.Data).Transform(Fitted.Data);
        var labels = Fitted.Data.GetColumn<bool>("Flag").ToArray();
        var ratio = Signed(Names[1]) / Signed(Names[0]);
        var inverse = Math.Cos(report.Tilt!.DeviationAngleDegrees * Math.PI / 180);
        Assert.Equal(1, inverse * ratio, 1e-5);
        Assert.Equal(ratio > 0, report.Tilt.AdversarialStrength is not null);
        Assert.Equal(1, inverse * (report.Tilt.AdversarialStrength ?? (1 / inverse)), 1e-9);
        Assert.Equal(Fitted.FewRows, report.Rows);
        Assert.Null(report.Pairs);
        Assert.Equal(1 - Ml.BinaryClassification.EvaluateNonCalibrated(model.Transform(Fitted.Data), "Flag").Accuracy, report.ErrorRate, 1e-9);
        Assert.Equal(report, Ml.Model.EvaluateBoundaryTilt(model, Fitted.Data, new() { LabelColumnName = "Flag" }));

        double Signed(string name)
        {
            float[] values = [.. told.GetColumn<float>(name)];
            return values.Where((_, i) => labels[i]).Average(value => (double)value) - values.Where((_, i) => !labels[i]).Average(value => (double)value);
        }
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void A_network_reports_what_its_rows_find(bool isDense)
    {
        var model = Fitted.Model(TaskKind.Binary, isDense);
        var report = Ml.Model.EvaluateBoundaryTilt(model, Fitted.Data, new() { LabelColumnName = "Flag" });
        var told = Ml.Transforms.BoundaryTilt(model, Flag).Fit(Fitted.Data).Transform(Fitted.Data);
        var strengths = told.GetColumn<float>("RowStrength").Where(float.IsFinite).Order().ToArray();
        var local = report.Tilt!.Local!;
        Assert.Equal(Fitted.FewRows, local.Rows);
        Assert.Equal(Fitted.FewRows - strengths.Length, local.RowsWithoutBoundary);
        Assert.Equal(strengths[0], local.RowStrength!.Least, 1e-4 * strengths[0]);
        Assert.Equal(strengths[^1], local.RowStrength.Greatest, 1e-3 * strengths[^1]);
        Assert.InRange(local.RowStrength.Median, strengths[(strengths.Length - 1) / 2] * 0.9999, strengths[strengths.Length / 2] * 1.0001);
        Assert.InRange(local.AngleDegrees!.Median, 0.01, 120);
        Assert.Equal(1 - Ml.BinaryClassification.Evaluate(model.Transform(Fitted.Data), "Flag").Accuracy, report.ErrorRate, 1e-9);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Of_several_classes_each_pair_is_told(bool isNetwork)
    {
        var keys = Ml.Transforms.Conversion.MapValueToKey("Key", "Kind").Fit(Fitted.Named);
        var data = keys.Transform(Fitted.Named);
        var model = isNetwork
            ? Ml.MulticlassClassification.Trainers.CreateTrainer(new PlainMlp(Fitted.Options(TaskKind.Multiclass))).Fit(data)
            : (ITransformer)Ml.MulticlassClassification.Trainers.LbfgsMaximumEntropy("Key").Fit(data);
        var report = Ml.Model.EvaluateBoundaryTilt(model, data, new() { LabelColumnName = "Key" });
        Assert.Null(report.Tilt);
        Assert.Equal(3, report.Pairs!.Count);
        Assert.Equal(1 - Ml.MulticlassClassification.Evaluate(model.Transform(data), "Key").MicroAccuracy, report.ErrorRate, 1e-9);
        VBuffer<float>[] weights = [];
        if (!isNetwork)
            ((MulticlassPredictionTransformer<MaximumEntropyModelParameters>)model).Model.GetWeights(ref weights, out _);
        var (features, labels) = (Features(data), data.GetColumn<uint>("Key").ToArray());
        for (var i = 0; i < 3; i++)
        {
            Assert.Null(report.Pairs[i][i]);
            for (var j = 0; j < 3; j++)
            {
                if (i == j)
                    continue;
                Assert.Equal(report.Pairs[i][j], report.Pairs[j][i]);
                Assert.Equal(isNetwork, report.Pairs[i][j]!.Local is not null);
                if (isNetwork)
                    continue;
                double[] normal = [.. weights[j].DenseValues().Zip(weights[i].DenseValues(), (a, b) => (double)a - b)];
                var centroids = new CentroidBoundary(Mean(features.Where((_, row) => labels[row] == i + 1)), Mean(features.Where((_, row) => labels[row] == j + 1)));
                Assert.Equal(centroids.AngleDegrees(normal), report.Pairs[i][j]!.DeviationAngleDegrees, 1e-6);
            }
        }

        // A class that has no rows is in no pair.
        var without = Ml.Data.FilterByCustomPredicate<Keyed>(data, row => row.Key == 1);
        var some = Ml.Model.EvaluateBoundaryTilt(model, without, new() { LabelColumnName = "Key" });
        Assert.All(some.Pairs![0], Assert.Null);
        Assert.NotNull(some.Pairs[1][2]);
    }

    [Fact]
    public void What_does_not_suit_is_refused_by_name()
    {
        var model = Fitted.Model(TaskKind.Binary);
        Refused("'NewtonSteps'", () => Ml.Transforms.BoundaryTilt(model, new() { NewtonSteps = 0 }));
        Refused("'RowsPerClass'", () => Ml.Model.EvaluateBoundaryTilt(model, Fitted.Data, new() { RowsPerClass = 0 }));
        Refused("'LittleStrength'", () => Ml.Model.EvaluateBoundaryTilt(model, Fitted.Data, new() { LittleStrength = 0.5 }));
        Refused("it must be a network for binary classification", () => Ml.Transforms.BoundaryTilt(Fitted.Model(TaskKind.Multiclass)));
        Refused("it must be a network for binary classification", () => Ml.Transforms.BoundaryTilt(Fitted.Model(TaskKind.Regression)));
        Refused("LdSvmModelParameters; it must be", () => Ml.Transforms.BoundaryTilt(Ml.BinaryClassification.Trainers.LdSvm("Flag", numberOfIterations: 10).Fit(Fitted.Named)));
        Refused("LinearRegressionModelParameters; it must be", () => Ml.Transforms.BoundaryTilt(Ml.Regression.Trainers.Sdca("Target", maximumNumberOfIterations: 1).Fit(Fitted.Named)));
        Refused("multiclass classification", () => Ml.Model.EvaluateBoundaryTilt(Fitted.Model(TaskKind.Regression), Fitted.Data));
        Refused("no predictor", () => Ml.Transforms.BoundaryTilt(Ml.Transforms.CopyColumns("A", "Weight").Fit(Fitted.Data)));
        Refused("no column 'Nowhere'", () => Ml.Transforms.BoundaryTilt(model, new() { LabelColumnName = "Nowhere" }).Fit(Fitted.Data));
        Refused("'Kind' must be Boolean", () => Ml.Transforms.BoundaryTilt(model, new() { LabelColumnName = "Kind" }).Fit(Fitted.Data));
        Refused("'Kind' must be Boolean", () => Ml.Model.EvaluateBoundaryTilt(model, Fitted.Data, new() { LabelColumnName = "Kind" }));
        Refused("must be 0 or 1", () => Ml.Transforms.BoundaryTilt(model, new() { LabelColumnName = "Number" }).Fit(Fitted.Data));
        Refused("must be 0 or 1", () => Ml.Model.EvaluateBoundaryTilt(model, Fitted.Data, new() { LabelColumnName = "Number" }));

        var one = Ml.Data.FilterByCustomPredicate<Flagged>(Fitted.Data, row => row.Flag);
        Refused("is false in all", () => Ml.Transforms.BoundaryTilt(model, Flag).Fit(one));
        Refused("at least two classes", () => Ml.Model.EvaluateBoundaryTilt(model, one, new() { LabelColumnName = "Flag" }));
        var bad = Rows.Make(20);
        bad[3].Features[2] = float.NaN;
        Refused("row 3, slot 2", () => Ml.Transforms.BoundaryTilt(model, Flag).Fit(Rows.View(Ml, bad)));
        var transformer = Ml.Transforms.BoundaryTilt(model, Flag).Fit(Fitted.Data);
        Refused("row 3, slot 2", () => transformer.Transform(Rows.View(Ml, bad)).GetColumn<float>("RowStrength").ToArray());
        foreach (var (index, row) in bad.Index())
            (row.Features, row.Weight, row.Number) = ([1, 1, 1, 1, 1], 1, 1);
        Refused("the same mean", () => Ml.Transforms.BoundaryTilt(model, new() { LabelColumnName = "Held" }).Fit(Rows.View(Ml, bad)));

        static void Refused(string what, Func<object> action) => Assert.Contains(what, Assert.ThrowsAny<Exception>(action).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("\"falseMean\": [", "\"falseMean\": [ 0,")]
    [InlineData("\"newtonSteps\": 20", "\"newtonSteps\": 0")]
    [InlineData("\"addMirrorImage\"", "\"addMirror\"")]
    public void A_file_that_was_tampered_with_is_refused(string old, string other)
    {
        var file = ModelZip.Save(Ml.Transforms.BoundaryTilt(Fitted.Model(TaskKind.Binary), Flag).Fit(Fitted.Data));
        var changed = ModelZip.Change(file, "BoundaryTilt.json", content =>
        {
            var text = System.Text.Encoding.UTF8.GetString(content);
            Assert.Contains(old, text, StringComparison.Ordinal);
            return System.Text.Encoding.UTF8.GetBytes(text.Replace(old, other, StringComparison.Ordinal));
        });
        var path = Path.GetTempFileName();
        try
        {
            File.WriteAllBytes(path, changed);
            Assert.Contains("BoundaryTilt.json", Assert.ThrowsAny<Exception>(() => ModelFile.Load(new MLContext(), path, out _)).Message, StringComparison.Ordinal);
        }
        finally
        {
            File.Delete(path);
        }
    }

    private static BoundaryTiltOptions Flag { get; } = new() { LabelColumnName = "Flag" };

    private static ITransformer Linear(string trainer) => Trainer(trainer).Fit(Fitted.Named);

    // From the columns of the data: the features are made first.
    private static TransformerChain<ITransformer> Chain(string trainer) =>
        Ml.Transforms.Conversion.ConvertType("Number2", "Number").Append(Ml.Transforms.Concatenate("Features", "Features", "Number2", "Weight")).Append(Trainer(trainer)).Fit(Fitted.Data);

    private static IEstimator<ITransformer> Trainer(string trainer)
    {
        var trainers = Ml.BinaryClassification.Trainers;
        return trainer switch
        {
            "Lbfgs" => trainers.LbfgsLogisticRegression("Flag"),
            "Sdca" => trainers.SdcaLogisticRegression("Flag", maximumNumberOfIterations: 5),
            "Perceptron" => trainers.AveragedPerceptron("Flag"),
            "Svm" => trainers.LinearSvm("Flag"),
            _ => trainers.SgdCalibrated("Flag", numberOfIterations: 5),
        };
    }

    private static (double[] Weights, double Bias) WeightsOf(ITransformer model)
    {
        var linear = model switch
        {
            BinaryPredictionTransformer<LinearBinaryModelParameters> plain => plain.Model,
            BinaryPredictionTransformer<Microsoft.ML.Calibrators.CalibratedModelParametersBase<LinearBinaryModelParameters, Microsoft.ML.Calibrators.PlattCalibrator>> calibrated => calibrated.Model.SubModel,
            _ => throw new InvalidOperationException(model.GetType().ToString()),
        };
        return ([.. linear.Weights.Select(w => (double)w)], linear.Bias);
    }

    private static float[][] Features(IDataView data) => [.. data.GetColumn<VBuffer<float>>("Features").Select(row => row.DenseValues().ToArray())];

    private static float[][] Mirrors(IDataView data) => [.. data.GetColumn<VBuffer<float>>("MirrorImage").Select(row => row.DenseValues().ToArray())];

    private static double[] Mean(IEnumerable<float[]> rows)
    {
        var all = rows.ToArray();
        return [.. Enumerable.Range(0, all[0].Length).Select(i => all.Average(row => (double)row[i]))];
    }

    private static void Near(float[] expected, float[] actual)
    {
        Assert.Equal(expected.Length, actual.Length);
        for (var i = 0; i < expected.Length; i++)
            Assert.True(float.IsNaN(expected[i]) ? float.IsNaN(actual[i]) : Math.Abs(expected[i] - actual[i]) <= 1e-4 * Math.Max(1, Math.Abs(expected[i])), $"{expected[i]} {actual[i]}");
    }

    private static SchemaDefinition Width(int width)
    {
        var definition = SchemaDefinition.Create(typeof(Image));
        definition[nameof(Image.Features)].ColumnType = new VectorDataViewType(NumberDataViewType.Single, width);
        return definition;
    }

    private sealed class Image
    {
        public float[] Features { get; set; } = [];
    }

    private sealed class Flagged
    {
        public bool Flag { get; set; }
    }

    private sealed class Keyed
    {
        [KeyType(3)]
        public uint Key { get; set; }
    }

    private sealed class Output
    {
        public float BoundaryDistance { get; set; }

        public float CentroidDistance { get; set; }

        public float RowStrength { get; set; }

        public float[] MirrorImage { get; set; } = [];
    }
}
