using Microsoft.ML;
using Microsoft.ML.Data;
using MlNetMlp.Interop;
using MlNetMlp.Methods;
using MlNetMlp.Networks;
using MlNetMlp.Runtime;
using TorchSharp;

namespace MlNetMlp.Conformance.Checks;

/// <summary>What is learned: well enough, the same again, and the same however the rows come.</summary>
internal static class LearningChecks
{
    private const double LeastAccuracy = 0.83;
    private const double LeastFit = 0.5;
    private const int ManyRows = 600;

    // Both are also well above what guessing the mean or the largest class gives: 0, 0.5 and 0.35.
    [Check(22, "Learns easy data: an accuracy above 0.83 or an R² above 0.5 on new rows")]
    public static void Learns(Trial trial)
    {
        var model = trial.Fit(trial.View(trial.Make(ManyRows, 1)));
        var scored = model.Transform(trial.View(trial.Make(ManyRows, 3)));
        var (what, value, least) = trial.Task switch
        {
            EstimatorTask.Regression or EstimatorTask.Causal => ("R²", trial.Ml.Regression.Evaluate(scored).RSquared, LeastFit),
            EstimatorTask.MultiOutput => ("R²", LeastRSquared([.. scored.GetColumn<float[]>("Label")], [.. scored.GetColumn<float[]>("Score")]), LeastFit),
            EstimatorTask.Forecasting => ("R²", LeastRSquared(Following(trial, [.. scored.GetColumn<float[]>("Features")]), [.. scored.GetColumn<float[]>("Score").Skip(trial.FirstScored)]), LeastFit),
            EstimatorTask.Binary => ("accuracy", trial.Ml.BinaryClassification.EvaluateNonCalibrated(scored).Accuracy, LeastAccuracy),
            _ => ("accuracy", trial.Ml.MulticlassClassification.Evaluate(scored).MicroAccuracy, LeastAccuracy),
        };
        Assert.True(value > least, $"the {what} on new rows is {value:0.000}, not above {least}");
    }

    [Check(23, "Trained by gradients, the loss falls in ten epochs, and after one step each weight has a finite gradient that is not zero", When = nameof(Subject.IsGradientTrained))]
    public static void GradientsReachEveryWeight(Trial trial)
    {
        var losses = Network(trial, 10, trial.Rows.Count / 10).LearningCurve.Points.Select(point => point.TrainingLoss).ToArray();
        Assert.True(losses.Length == 10 && losses[^1] < losses[0], $"the training loss goes {string.Join(' ', losses)}");

        // One step and not none, since many a network starts with zeros in its last layer, which let nothing through.
        var trained = Network(trial, 1, trial.Rows.Count);
        using var scope = torch.NewDisposeScope();
        using var network = trained.CreateNetwork();
        if (network is TreatmentNetwork treated)
            treated.IsFactual = true;
        trained.Head.Loss(network.call(torch.tensor(Inputs(trial, trained)).view(-1, trained.Inputs)), Labels(trial)).backward();
        foreach (var (name, weight) in network.named_parameters().Where(p => p.parameter.requires_grad))
        {
            Assert.True(weight.grad is not null, $"no gradient reaches '{name}'");
            Assert.True(weight.grad.isfinite().all().item<bool>(), $"the gradient of '{name}' is not finite");
            Assert.True(weight.grad.abs().max().item<float>() > 0, $"the gradient of '{name}' is zero in all {weight.numel()} places");
        }
    }

    [Check(24, "Scores are finite, probabilities are probabilities, and the predicted label follows from the scores")]
    public static void ScoresAreConsistent(Trial trial)
    {
        var scored = trial.Score(trial.Model);
        scored.ShouldBeFinite("the model", trial.FirstScored);
        if (trial.Task == EstimatorTask.Multiclass)
        {
            Assert.True(scored.Scores.SelectMany(row => row).All(p => p is >= 0 and <= 1), "a probability is outside of [0, 1]");
            Assert.True(scored.Scores.All(row => Math.Abs(row.Sum() - 1) < 1e-5), "the probabilities of a row do not sum to one");
            var most = scored.Scores.Select(row => (Array.IndexOf(row, row.Max()) + 1).ToString(System.Globalization.CultureInfo.InvariantCulture));
            Assert.True(most.SequenceEqual(scored.Predicted!), "a predicted label is not the class with the largest score");
        }
        else if (scored.Probabilities is not null)
        {
            Assert.True(scored.Probabilities.All(p => p is >= 0 and <= 1), "a probability is outside of [0, 1]");
            var ordered = scored.Scores.Select((row, i) => (Score: row[0], Probability: scored.Probabilities[i])).OrderBy(pair => pair.Score).ToArray();
            Assert.True(ordered.Zip(ordered.Skip(1)).All(pair => pair.First.Probability <= pair.Second.Probability), "a probability falls where the score rises");
        }

        if (trial.Task == EstimatorTask.Binary)
            Assert.True(scored.Scores.Select(row => (row[0] > 0).ToString()).SequenceEqual(scored.Predicted!), "a predicted label is not whether the score is positive");
    }

    [Check(25, "A row scores the same alone, in any batch, in any order and in a prediction engine", Tasks = EstimatorTask.Labelled)]
    public static void RowsDoNotInfluenceEachOther(Trial trial)
    {
        var together = trial.Score(trial.Model);
        var backwards = ScoredRows.Of(trial.Model, trial.View(trial.OtherRows.Reverse()));
        new ScoredRows([.. backwards.Scores.Reverse()], null, null).ShouldBeNear(together, 1e-6, "rows in another order");
        var many = Enumerable.Repeat(trial.OtherRows, 40).SelectMany(rows => rows);
        var inMany = ScoredRows.Of(trial.Model, trial.View(many));
        new ScoredRows(inMany.Scores[^together.Count..], null, null).ShouldBeNear(together, 1e-6, "rows at the end of a long view");
        for (var i = 0; i < 3; i++)
        {
            var alone = ScoredRows.Of(trial.Model, trial.View([trial.OtherRows[i]]));
            alone.ShouldBeNear(new([together.Scores[i]], alone.Probabilities, alone.Predicted), 1e-6, $"row {i} alone");
        }

        var single = Engine.Scores(trial, trial.Model, trial.OtherRows);
        new ScoredRows(single, null, null).ShouldBeNear(together, 1e-6, "rows through a prediction engine");
    }

    [Check(41, "A forecast depends on the rows of its window alone: on no later one, and on none before", Tasks = EstimatorTask.Forecasting)]
    public static void ForecastsSeeTheirWindow(Trial trial)
    {
        const int some = 25;
        var all = trial.Score(trial.Model);
        Assert.True(all.Scores.Take(trial.FirstScored).All(row => row.All(float.IsNaN)), "a row has a forecast though too few are before it");
        var early = ScoredRows.Of(trial.Model, trial.View(trial.OtherRows.Take(some)));
        early.ShouldBeNear(new(all.Scores[..some], null, null), 1e-6, "without later rows");
        var late = ScoredRows.Of(trial.Model, trial.View(trial.OtherRows.Skip(some)));
        new ScoredRows(late.Scores[trial.FirstScored..], null, null).ShouldBeNear(new(all.Scores[(some + trial.FirstScored)..], null, null), 1e-6, "without the rows before");

        // Far away enough, other values are not seen; in the window they are.
        var changed = ScoredRows.Of(trial.Model, trial.View(trial.OtherRows.Select(row => row.With(r => r.Features[0] += r.Id < some ? 0.5f : 0))));
        var gap = changed.Scores[some].Zip(all.Scores[some]).Max(pair => Math.Abs(pair.First - pair.Second));
        Assert.True(gap > 1e-4, "other values in the window change nothing");
    }

    [Check(26, "Scored twice, by four threads or with some columns left out: the same values, and the model stays as it is")]
    public static void ScoringChangesNothing(Trial trial)
    {
        var before = ModelZip.Entries(trial.Save(trial.Model));
        var once = trial.Score(trial.Model);
        var views = Enumerable.Range(0, 4).Select(_ => trial.OtherData).ToArray();
        var all = new ScoredRows[4];
        Parallel.For(0, 4, new ParallelOptions { MaxDegreeOfParallelism = 4 }, i => all[i] = ScoredRows.Of(trial.Model, views[i]));
        foreach (var scored in all.Append(trial.Score(trial.Model)))
            scored.ShouldBe(once, "scored again");

        // Where scores are read above, no other column is active.
        var view = trial.Model.Transform(trial.OtherData);
        var values = view.Preview(once.Count).ColumnView.Last(column => column.Column.Name == "Score").Values;
        new ScoredRows([.. values.Select(v => v is VBuffer<float> vector ? vector.DenseValues().ToArray() : [(float)v])], null, null)
            .ShouldBe(once with { Probabilities = null, Predicted = null }, "with all columns active");
        Assert.Equal(trial.OtherRows.Select(row => row.Id), view.GetColumn<int>(nameof(SampleRow.Id)));

        foreach (var (name, content) in ModelZip.Entries(trial.Save(trial.Model)))
            Assert.True(content.AsSpan().SequenceEqual(before[name]), $"the entry '{name}' of the model's file differs after scoring");
    }

    [Check(27, "The same seed gives the same model bit for bit, another one differs, and a trainer fitted before is as good as new")]
    public static void SeedsDecide(Trial trial)
    {
        var trainer = trial.Trainer();
        var first = trial.Score(trainer.Fit(trial.Data));
        trial.Score(new Trial(trial.Subject).Fit()).ShouldBe(first, "the same seed");
        var other = trial.View(trial.Rows.Skip(trial.Rows.Count / 4));
        trial.Score(new Trial(trial.Subject).Fit(other)).ShouldBe(trial.Score(trainer.Fit(other)), "a trainer that was fitted on other data before");
        if (trial.Traits.IsRandom)
            Assert.True(first.Differs(trial.Score(trial.Fit(("Seed", 2)))), "another seed gives the same scores: nothing is drawn from it");
    }

    [Check(28, "One thread and all threads agree, in training and in scoring", IsExclusive = true)]
    public static void ThreadsAgree(Trial trial)
    {
        var all = trial.Score(trial.Model);
        LibTorch.Load();
        var threads = torch.get_num_threads();
        try
        {
            torch.set_num_threads(threads == 1 ? 2 : 1);
            var name = OptionValues.Has(trial.Subject.OptionsType, "NumberOfThreads");
            trial.Score(trial.Fit(name ? [("NumberOfThreads", 1)] : [])).ShouldBeNear(all, trial.Traits.Tolerance, "a model trained by another number of threads");
        }
        finally
        {
            torch.set_num_threads(threads);
        }

        new ScoredRows(ScoredRows.ReadInParallel(trial.Model.Transform(trial.OtherData), 4), null, null)
            .ShouldBe(all with { Probabilities = null, Predicted = null }, "scored by parallel cursors");
    }

    [Check(29, "Alone, in a chain, after a cache and from a file: the same model")]
    public static void PipelinesGiveTheSameModel(Trial trial)
    {
        var alone = trial.Score(trial.Model);
        var copy = trial.Ml.Transforms.CopyColumns("Copy", "Features");
        trial.Score(copy.Append(trial.Trainer()).Fit(trial.Data)).ShouldBe(alone, "in a chain");
        trial.Score(copy.AppendCacheCheckpoint(trial.Ml).Append(trial.Trainer()).Fit(trial.Data)).ShouldBe(alone, "after AppendCacheCheckpoint");
        var path = Path.GetTempFileName();
        try
        {
            using (var stream = File.Create(path))
                trial.Ml.Data.SaveAsBinary(trial.Data, stream);
            trial.Score(trial.Fit(trial.Ml.Data.LoadFromBinary(path))).ShouldBe(alone, "from a file");
        }
        finally
        {
            File.Delete(path);
        }
    }

    // ML.NET evaluates one number at a time.
    private static double LeastRSquared(float[][] labels, float[][] scores)
    {
        return Enumerable.Range(0, labels[0].Length).Min(k =>
        {
            var mean = labels.Average(label => label[k]);
            return 1 - (labels.Zip(scores).Sum(pair => Math.Pow(pair.First[k] - pair.Second[k], 2)) / labels.Sum(label => Math.Pow(label[k] - mean, 2)));
        });
    }

    // What comes after each window that is followed by as many rows as are forecast.
    private static float[][] Following(Trial trial, float[][] rows) =>
        [.. Enumerable.Range(trial.Traits.ContextLength, rows.Length - trial.Traits.ContextLength - trial.Traits.Horizon + 1).Select(t => rows[t..(t + trial.Traits.Horizon)].SelectMany(row => row).ToArray())];

    private static float[] Inputs(Trial trial, TrainedNetwork network)
    {
        if (trial.Task != EstimatorTask.Forecasting)
            return [.. trial.Rows.SelectMany(row => Samples.Numbers(row, network.Layout))];
        var (length, windows) = (trial.Traits.ContextLength, trial.Rows.Count - trial.Traits.ContextLength - trial.Traits.Horizon + 1);
        return [.. Enumerable.Range(0, windows).SelectMany(t => trial.Rows.Skip(t).Take(length).SelectMany(row => row.Features))];
    }

    private static torch.Tensor Labels(Trial trial) => trial.Task switch
    {
        EstimatorTask.Forecasting => torch.tensor(Following(trial, [.. trial.Rows.Select(row => row.Features)]).SelectMany(row => row).ToArray())
            .view(-1, trial.Traits.Horizon * trial.Traits.FeatureCount),
        EstimatorTask.MultiOutput => torch.tensor(trial.Rows.SelectMany(row => new[] { row.Number, -row.Number }).ToArray(), [trial.Rows.Count, 2]),
        EstimatorTask.Regression or EstimatorTask.Causal => torch.tensor(trial.Rows.Select(row => row.Number).ToArray()),
        EstimatorTask.Binary => torch.tensor(trial.Rows.Select(row => row.Flag ? 1f : 0f).ToArray()),
        _ => torch.tensor(trial.Rows.Select(row => (long)Samples.Kinds.ToList().IndexOf(row.Kind!)).ToArray()),
    };

    // All rows are trained on, and the weights are those of the last epoch.
    private static TrainedNetwork Network(Trial trial, int epochs, int batchSize)
    {
        (string Name, object? Value)[] wanted = [("Epochs", epochs), ("BatchSize", batchSize), ("ValidationFraction", 0.0)];
        var network = NetworkModel.Find(trial.Fit([.. wanted.Where(option => OptionValues.Has(trial.Subject.OptionsType, option.Name))]));
        Assert.True(network is not null, "the model holds no network");
        return network;
    }
}
