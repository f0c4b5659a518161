using System.Globalization;
using Microsoft.ML;
using MlNetMlp.Interop;
using MlNetMlp.Tests.Support;
using MlNetMlp.Tuning;

namespace MlNetMlp.Tests.Tuning;

/// <summary>Searches for options: what is drawn, how successive halving goes, the journal, and the catalogs' methods.</summary>
public sealed class TunerTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("tuning").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    private sealed record Point(double X = 0, int N = 4, string Kind = "a");

    private static SearchSpace<Point> Space { get; } = new SearchSpace<Point>()
        .Between("X", 1e-4, 1, (p, x) => p with { X = x }, isLogarithmic: true)
        .Between("N", 1, 8, (p, n) => p with { N = n })
        .Choose("Kind", ["a", "b"], (p, kind) => p with { Kind = kind });

    private static TuningResult<Point> Search(TuningOptions options, Func<Point, double, double> loss, SearchSpace<Point>? space = null, Point? start = null)
    {
        space ??= Space;
        return new Tuner<Point>(start ?? new(), space, options, new("loss", "{}", space.Description, options.Folds, options.Seed, []), (point, share) => [loss(point, share)]).Run();
    }

    [Fact]
    public void One_in_so_many_goes_on_to_so_many_times_the_rows()
    {
        var result = Search(new() { Trials = 9, HalvingFactor = 3 }, (point, _) => point.X);

        Assert.Equal(9, result.Trials.Count(trial => trial.Number > 0 && trial.Share == 1.0 / 9));
        Assert.Equal(3, result.Trials.Count(trial => trial.Share == 1.0 / 3));
        Assert.Equal([0, result.Trials.Where(trial => trial.Number > 0).MinBy(trial => trial.Loss)!.Number], result.Trials.Where(trial => trial.Share == 1).Select(trial => trial.Number).Order());
        var least = result.Trials.Where(trial => trial.Share == 1.0 / 9).OrderBy(trial => trial.Loss).Take(3).Select(trial => trial.Number).Order();
        Assert.Equal(least, result.Trials.Where(trial => trial.Share == 1.0 / 3).Select(trial => trial.Number).Order());
    }

    [Theory]
    [InlineData(1, 7, 8)]
    [InlineData(3, 2, 3)]
    [InlineData(2, 5, 8)]
    public void Some_settings_are_trained_on_all_rows_however_few_there_are(int factor, int trials, int evaluations)
    {
        var result = Search(new() { Trials = trials, HalvingFactor = factor, MinimumShare = 0.4 }, (point, _) => point.X);

        Assert.Equal(evaluations, result.Trials.Count);
        Assert.Contains(result.Trials, trial => trial is { Number: > 0, Share: 1 });
    }

    [Fact]
    public void What_is_found_is_no_worse_than_the_start()
    {
        var better = Search(new() { Trials = 30 }, (point, _) => Math.Abs(point.X - 0.01), start: new(X: 0.02));
        Assert.True(better.BestTrial.Loss < 0.01);
        Assert.Equal(better.BestTrial.Loss, Math.Abs(better.Best.X - 0.01));

        var same = new Point(X: 0.01);
        Assert.Same(same, Search(new() { Trials = 30 }, (point, _) => Math.Abs(point.X - 0.01), start: same).Best);
    }

    [Fact]
    public void Draws_follow_from_the_seed_and_the_number_alone()
    {
        string[] Drawn(int seed, int trials) => [.. Search(new() { Trials = trials, Seed = seed, HalvingFactor = 1 }, (point, _) => point.X).Trials.Select(trial => string.Join(' ', trial.Values))];

        Assert.Equal(Drawn(1, 12), Drawn(1, 30)[..13]);
        Assert.NotEqual(Drawn(1, 12), Drawn(2, 12));
    }

    [Fact]
    public void A_space_without_more_settings_ends_the_search_and_none_is_tried_twice()
    {
        var space = new SearchSpace<Point>().Between("N", 1, 3, (p, n) => p with { N = n }).Choose("Kind", ["a", "b"], (p, kind) => p with { Kind = kind });
        var result = Search(new() { Trials = 100, HalvingFactor = 1 }, (point, _) => point.N, space);

        Assert.Equal(6, result.Trials.Skip(1).Select(trial => string.Join(' ', trial.Values)).Distinct().Count());
        Assert.Equal(7, result.Trials.Count);
        Assert.Equal(1, result.Best.N);
    }

    [Fact]
    public void Logarithmic_numbers_are_as_often_in_one_power_of_ten_as_in_the_next_and_ends_are_drawn()
    {
        const int many = 4000;
        var trials = Search(new() { Trials = many, HalvingFactor = 1 }, (point, _) => point.X).Trials.Skip(1).ToArray();
        var powers = trials.Select(trial => (int)Math.Floor(Math.Log10(double.Parse(trial.Values[0], CultureInfo.InvariantCulture)))).CountBy(power => power).ToDictionary();
        var numbers = trials.CountBy(trial => trial.Values[1]).ToDictionary();

        // Five standard deviations of a count.
        Assert.Equal([-4, -3, -2, -1], powers.Keys.Order());
        Assert.All(powers.Values, count => Assert.InRange(count, (many / 4) - 140, (many / 4) + 140));
        Assert.Equal(8, numbers.Count);
        Assert.All(numbers.Values, count => Assert.InRange(count, (many / 8) - 105, (many / 8) + 105));
    }

    [Fact]
    public void What_cannot_be_trained_is_told_and_passed_over()
    {
        var result = Search(new() { Trials = 20, HalvingFactor = 1 }, (point, _) => point.Kind == "b" ? throw new InvalidOperationException("no b") : point.X, start: new(X: 2));

        Assert.Equal("a", result.Best.Kind);
        Assert.All(result.Trials, trial => Assert.Equal(trial.Values is [.., "b"] ? "no b" : null, trial.Failure));
        Assert.Contains("failed: no b", result.ToString(), StringComparison.Ordinal);

        var error = Assert.Throws<InvalidOperationException>(() => Search(new() { Trials = 3 }, (_, _) => throw new ArithmeticException("never")));
        Assert.Contains("never", error.Message, StringComparison.Ordinal);
        Assert.IsType<ArithmeticException>(error.InnerException);
    }

    [Fact]
    public void A_loss_that_is_no_number_is_the_worst()
    {
        var result = Search(new() { Trials = 20, HalvingFactor = 1 }, (point, _) => point.Kind == "b" ? double.NaN : point.X, start: new(X: 2));
        Assert.Equal("a", result.Best.Kind);
    }

    [Fact]
    public void A_search_that_was_stopped_goes_on_where_it_was()
    {
        var (done, journal) = (0, Path.Combine(_folder, "journal.jsonl"));
        using var stop = new CancellationTokenSource();
        var options = new TuningOptions { Trials = 9, JournalFile = journal };
        double Loss(Point point, double share)
        {
            done++;
            if (done == 7)
                stop.Cancel();
            return point.X + share;
        }

        Assert.Throws<OperationCanceledException>(() => Search(options with { CancellationToken = stop.Token }, Loss));
        Assert.Equal(7, done);
        File.AppendAllText(journal, "{\"number\":3,\"val");
        var result = Search(options, Loss);
        var whole = Search(options with { JournalFile = null }, (point, share) => point.X + share);

        Assert.Equal(whole.Trials.Count, done);
        Assert.Equal(whole.Trials.Select(trial => (trial.Number, trial.Share, trial.Loss)), result.Trials.Select(trial => (trial.Number, trial.Share, trial.Loss)));
        Assert.Equal(whole.Best, result.Best);
        Search(options, Loss);
        Assert.Equal(whole.Trials.Count, done);
    }

    [Fact]
    public void A_journal_of_another_search_is_refused()
    {
        var journal = Path.Combine(_folder, "journal.jsonl");
        var options = new TuningOptions { Trials = 2, JournalFile = journal };
        Search(options, (point, _) => point.X);

        var seed = Assert.Throws<InvalidOperationException>(() => Search(options with { Seed = 2 }, (point, _) => point.X));
        Assert.Equal($"Journal '{journal}' is one of another search: its seed is '1', not '2'. Give this search another 'JournalFile'.", seed.Message);
        Assert.Contains("search space", Assert.Throws<InvalidOperationException>(() => Search(options, (point, _) => point.X, new SearchSpace<Point>().Between("X", 1, 2, (p, x) => p with { X = x }))).Message, StringComparison.Ordinal);
        File.AppendAllText(journal, "what?\n");
        Assert.Contains("line 5:", Assert.Throws<InvalidOperationException>(() => Search(options, (point, _) => point.X)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Ranges_and_names_are_checked()
    {
        var space = new SearchSpace<Point>();
        Assert.Contains("'X' must go up", Assert.Throws<ArgumentOutOfRangeException>(() => space.Between("X", 2.0, 1.0, (p, _) => p)).Message, StringComparison.Ordinal);
        Assert.Contains("starts at 0", Assert.Throws<ArgumentOutOfRangeException>(() => space.Between("X", 0.0, 1.0, (p, _) => p, isLogarithmic: true)).Message, StringComparison.Ordinal);
        Assert.Contains("at least two values", Assert.Throws<ArgumentException>(() => space.Choose("X", [1], (p, _) => p)).Message, StringComparison.Ordinal);
        Assert.Contains("already", Assert.Throws<ArgumentException>(() => Space.Choose("X", [1, 2], (p, _) => p)).Message, StringComparison.Ordinal);
        Assert.Empty(space.Names);
    }

    [Fact]
    public void Regression_is_judged_on_the_rows_that_folds_hold_out()
    {
        var ml = new MLContext(1);
        var data = ml.Data.Cache(Rows.View(ml, 300));
        var start = new PlainMlp.Options { LabelColumnName = nameof(Rows.Row.Target), Epochs = 20, Seed = 1, LearningRate = 1e-5 };
        var space = new SearchSpace<PlainMlp.Options>()
            .Between("LearningRate", 1e-5, 0.1, (o, rate) => o with { LearningRate = rate }, isLogarithmic: true)
            .Choose("Hidden", [4, 16], (o, units) => o with { Hidden = units });
        var heard = new List<TuningTrial>();
        var options = new TuningOptions { Trials = 6, LabelColumnName = start.LabelColumnName, Folds = 2, Progress = new Listener(heard.Add) };
        var result = ml.Regression.Tune(o => ml.Regression.Trainers.CreateTrainer(new PlainMlp(o)), start, space, data, options);

        Assert.Equal(result.Trials, heard);
        Assert.True(result.BestTrial.Loss < result.Trials[0].Loss / 2, result.ToString());
        var folds = ml.Data.CrossValidationSplit(data, 2, seed: options.Seed);
        var byHand = folds.Select(fold =>
            ml.Regression.Evaluate(ml.Regression.Trainers.CreateTrainer(new PlainMlp(result.Best)).Fit(fold.TrainSet).Transform(fold.TestSet), start.LabelColumnName).RootMeanSquaredError);
        Assert.Equal(byHand, result.BestTrial.Losses);
        Assert.Equal(result.Trials.Count + 2, result.ToString().Split('\n', StringSplitOptions.RemoveEmptyEntries).Length);
    }

    [Fact]
    public void Classes_are_judged_by_their_log_loss_or_by_what_is_asked_for()
    {
        var ml = new MLContext(1);
        var data = ml.Data.Cache(ml.Transforms.Conversion.MapValueToKey(nameof(Rows.Row.Kind)).Fit(Rows.View(ml, 200)).Transform(Rows.View(ml, 200)));
        var start = new PlainMlp.Options { Epochs = 3, Seed = 1 };
        var space = new SearchSpace<PlainMlp.Options>().Choose("Hidden", [2, 16], (o, units) => o with { Hidden = units });
        var options = new TuningOptions { Trials = 2, Folds = 2, HalvingFactor = 1 };
        var two = ml.BinaryClassification.Tune(
            o => ml.BinaryClassification.Trainers.CreateTrainer(new PlainMlp(o)), start with { LabelColumnName = nameof(Rows.Row.Flag) }, space, data,
            options with { LabelColumnName = nameof(Rows.Row.Flag) }, metrics => 1 - metrics.Accuracy);
        var many = ml.MulticlassClassification.Tune(
            o => ml.MulticlassClassification.Trainers.CreateTrainer(new PlainMlp(o)), start with { LabelColumnName = nameof(Rows.Row.Kind) }, space, data,
            options with { LabelColumnName = nameof(Rows.Row.Kind) });

        Assert.All(two.Trials, trial => Assert.InRange(trial.Loss, 0, 1));
        Assert.Equal(("loss", "log-loss"), (two.Measure, many.Measure));
        Assert.Equal(many.Trials.Min(trial => trial.Loss), many.BestTrial.Loss);
    }

    [Fact]
    public void After_the_time_nothing_begins_but_the_start_is_judged()
    {
        var ml = new MLContext(1);
        var space = new SearchSpace<PlainMlp.Options>().Choose("Hidden", [2, 16], (o, units) => o with { Hidden = units });
        var start = new PlainMlp.Options { LabelColumnName = nameof(Rows.Row.Target), Epochs = 1, Seed = 1 };
        var result = ml.Regression.Tune(
            o => ml.Regression.Trainers.CreateTrainer(new PlainMlp(o)), start, space, Rows.View(ml, 50),
            new() { LabelColumnName = start.LabelColumnName, MaxTime = TimeSpan.FromTicks(1), Folds = 2 });

        Assert.Equal(0, Assert.Single(result.Trials).Number);
        Assert.Same(start, result.Best);
    }

    [Fact]
    public void Bad_arguments_are_named()
    {
        var ml = new MLContext(1);
        var space = new SearchSpace<PlainMlp.Options>();
        TuningResult<PlainMlp.Options> Tune(SearchSpace<PlainMlp.Options> space, TuningOptions options) =>
            ml.Regression.Tune(o => ml.Regression.Trainers.CreateTrainer(new PlainMlp(o)), new(), space, Rows.View(ml, 50), options);

        Assert.Contains("has no dimension", Assert.Throws<ArgumentException>(() => Tune(space, new())).Message, StringComparison.Ordinal);
        space = space.Choose("Hidden", [2, 16], (o, units) => o with { Hidden = units });
        Assert.Contains("no column 'Label'", Assert.Throws<ArgumentOutOfRangeException>(() => Tune(space, new())).Message, StringComparison.Ordinal);
        Assert.Contains("option 'Folds' must be at least 2 and at most 100, but was 1", Assert.Throws<ArgumentOutOfRangeException>(() => Tune(space, new() { Folds = 1 })).Message, StringComparison.Ordinal);
        Assert.Contains("option 'MaxTime' must be above zero", Assert.Throws<ArgumentOutOfRangeException>(() => Tune(space, new() { MaxTime = TimeSpan.Zero })).Message, StringComparison.Ordinal);
    }

    private sealed class Listener(Action<TuningTrial> heard) : IProgress<TuningTrial>
    {
        public void Report(TuningTrial value) => heard(value);
    }
}
