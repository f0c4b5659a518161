using Microsoft.ML;
using Microsoft.ML.Data;
using MlNetMlp.Interop;
using MlNetMlp.Networks;
using MlNetMlp.Tests.Support;
using MlNetMlp.Training;
using TorchSharp;

namespace MlNetMlp.Tests.Interop;

/// <summary>
/// Data views of users that throw or lie: what they throw reaches the caller, nothing of libtorch and no cursor is left, and the same trainer and model go on to work.
/// </summary>
public class FaultyDataTests
{
    private const int Count = 900;

    // Rows of six numbers: a budget of a megabyte holds 40,000 of them, which is too many to be read in tests. Wide ones do not fit.
    private const int Wide = 400;

    private static readonly PlainMlp.Options Short = new() { LabelColumnName = "Target", Epochs = 2, Seed = 1, MemoryBudget = 1_000_000 };

    private static readonly MLContext Ml = new(1);

    private static readonly IDataView Narrow = Ml.Data.LoadFromEnumerable(WideRow.Make(Count)[..300]);

    private static readonly IDataView Large = Ml.Data.LoadFromEnumerable(WideRow.Make(Count));

    /// <summary>Every way to throw, in every pass of a fit: the first counts, and in streamed ones further passes find the rows held out, count those to train on, and are the epochs.</summary>
    public static TheoryData<FaultAt, bool, int> Throwing
    {
        get
        {
            var cases = new TheoryData<FaultAt, bool, int>();
            foreach (var at in new[] { FaultAt.GetRowCursor, FaultAt.GetGetter, FaultAt.MoveNext, FaultAt.Getter })
            {
                cases.Add(at, false, 1);
                for (var pass = 1; pass <= 5; pass++)
                    cases.Add(at, true, pass);
            }

            return cases;
        }
    }

    [Theory]
    [MemberData(nameof(Throwing))]
    public void What_a_cursor_throws_while_a_trainer_fits_reaches_the_caller(FaultAt at, bool isStreamed, int pass) =>
        AssertThrown(at, isStreamed, pass, Short);

    [Theory]
    [InlineData(FaultAt.GetRowCursor)]
    [InlineData(FaultAt.GetGetter)]
    [InlineData(FaultAt.MoveNext)]
    [InlineData(FaultAt.Getter)]
    public void What_a_cursor_throws_on_threads_that_share_the_rows_reaches_the_caller(FaultAt at) =>
        AssertThrown(at, isStreamed: true, pass: 5, Short with { Optimizer = OptimizerKind.Lbfgs });

    [Theory]
    [InlineData(FaultAt.GetRowCursor)]
    [InlineData(FaultAt.GetGetter)]
    [InlineData(FaultAt.MoveNext)]
    [InlineData(FaultAt.Getter)]
    public void What_a_cursor_of_validation_data_throws_reaches_the_caller(FaultAt at)
    {
        var trainer = Trainer(Short);
        var held = new FaultyView(Narrow, at, 1, 200);

        AssertUsersOwn(() => trainer.Fit(Narrow, held), held);
    }

    [Theory]
    [InlineData(FaultAt.GetRowCursor, true)]
    [InlineData(FaultAt.GetGetter, true)]
    [InlineData(FaultAt.MoveNext, true)]
    [InlineData(FaultAt.Getter, true)]
    [InlineData(FaultAt.GetRowCursor, false)]
    [InlineData(FaultAt.GetGetter, false)]
    [InlineData(FaultAt.MoveNext, false)]
    [InlineData(FaultAt.Getter, false)]
    public void What_a_cursor_throws_while_rows_are_scored_reaches_the_caller(FaultAt at, bool isDense)
    {
        var model = Trainer(Short with { IsDense = isDense }).Fit(Narrow);
        var expected = Scores(model, Narrow);
        foreach (var readsSets in new[] { false, true })
        {
            var view = new FaultyView(Narrow, at, 1, readsSets ? 20 : 200);
            AssertUsersOwn(() => Read(model.Transform(view), readsSets), view);
            Assert.Equal(expected, Scores(model, view));
            Assert.Equal(0, view.Open);
        }
    }

    [Theory]
    [InlineData(FaultAt.MoveNext)]
    [InlineData(FaultAt.Getter)]
    public void What_a_cursor_throws_while_features_are_computed_reaches_the_caller(FaultAt at)
    {
        var model = Ml.Transforms.CreateFeaturizer("Body", new PlainMlp(Short with { IsDense = false })).Fit(Narrow);
        var expected = model.Transform(Narrow).GetColumn<float[]>("Body").ToArray();
        var view = new FaultyView(Narrow, at, 1, 200);

        AssertUsersOwn(() => Assert.NotEmpty(model.Transform(view).GetColumn<float[]>("Body").ToArray()), view);
        Assert.Equal(expected, model.Transform(view).GetColumn<float[]>("Body").ToArray());
    }

    [Theory]
    [InlineData(FaultAt.TooShort, "399")]
    [InlineData(FaultAt.TooLong, "401")]
    public void Vectors_of_another_length_than_their_type_says_are_refused_with_their_row(FaultAt at, string found)
    {
        var trainer = Trainer(Short);
        var model = trainer.Fit(Narrow);
        foreach (var (view, use) in new (FaultyView, Action<IDataView>)[]
        {
            (new(Narrow, at, 1, 200), data => trainer.Fit(data)),
            (new(Large, at, 4, 200), data => trainer.Fit(data)),
            (new(Narrow, at, 1, 200), data => trainer.Fit(Narrow, data)),
            (new(Narrow, at, 1, 200), data => Scores(model, data)),
        })
        {
            var error = AssertNothingLeft(() => use(view), view);
            Assert.Equal($"Column 'Features', row 200 has {found} values, but the type of the column says that there are {Wide}.", Assert.IsType<InvalidOperationException>(error).Message);
        }
    }

    [Theory]
    [InlineData(FaultAt.Ends, 4, OptimizerKind.AdamW, "[0-9]+ now")]
    [InlineData(FaultAt.Ends, 5, OptimizerKind.AdamW, "[0-9]+ now")]
    [InlineData(FaultAt.GoesOn, 4, OptimizerKind.AdamW, "more now")]
    [InlineData(FaultAt.Ends, 5, OptimizerKind.Lbfgs, "[0-9]+ now")]
    public void Rows_that_are_others_in_a_later_pass_are_refused(FaultAt at, int pass, OptimizerKind optimizer, string found)
    {
        var trainer = Trainer(Short with { Optimizer = optimizer });
        var view = new FaultyView(Large, at, pass, at == FaultAt.Ends ? 500 : Count);

        var error = AssertNothingLeft(() => trainer.Fit(view), view);

        Assert.Matches($"The data had [0-9]+ rows to train on when they were read before, and {found}: they must be the same each time", Assert.IsType<InvalidOperationException>(error).Message);
    }

    [Fact]
    public void A_fit_that_is_cancelled_leaves_nothing_and_the_next_one_is_as_if_it_had_not_been()
    {
        var expected = Scores(Trainer(Short).Fit(Large), Narrow);
        var live = DisposeScopeManager.Statistics.ThreadTotalLiveCount;
        for (var steps = 1; steps <= 3; steps++)
        {
            using var source = new CancellationTokenSource();
            var seen = 0;
            var options = Short with
            {
                CancellationToken = source.Token,
                Loss = (network, batch) =>
                {
                    if (++seen == steps)
                        source.Cancel();
                    return network.call(batch.Features).sub(batch.Labels).square().mean();
                },
            };
            Assert.Throws<OperationCanceledException>(() => Trainer(options).Fit(Large));
            Assert.Equal(live, DisposeScopeManager.Statistics.ThreadTotalLiveCount);
        }

        Assert.Equal(expected, Scores(Trainer(Short).Fit(Large), Narrow));
    }

    private static void AssertThrown(FaultAt at, bool isStreamed, int pass, PlainMlp.Options options)
    {
        var trainer = Trainer(options);
        var rows = isStreamed ? Large : Narrow;
        var view = new FaultyView(rows, at, pass, 200);

        AssertUsersOwn(() => trainer.Fit(view), view);

        view.IsMended = true;
        Assert.Equal(Scores(Trainer(options).Fit(new FaultyView(rows, at, 0, 0)), Narrow), Scores(trainer.Fit(view), Narrow));
        Assert.Equal(0, view.Open);
    }

    private static void AssertUsersOwn(Action use, FaultyView view)
    {
        var error = AssertNothingLeft(use, view);
        var causes = Causes(error).ToArray();
        Assert.Contains(causes, cause => cause is InvalidDataException && cause.Message == FaultyView.Message);
    }

    private static Exception AssertNothingLeft(Action use, FaultyView view)
    {
        var live = DisposeScopeManager.Statistics.ThreadTotalLiveCount;
        var error = Record.Exception(use);
        Assert.True(view.HasFailed, $"it did not come to it in {view.Passes} passes");
        Assert.NotNull(error);
        Assert.Equal(live, DisposeScopeManager.Statistics.ThreadTotalLiveCount);
        Assert.Equal(0, view.Open);
        return error;
    }

    private static IEnumerable<Exception> Causes(Exception error) =>
        error is AggregateException several ? several.InnerExceptions.SelectMany(Causes)
        : error.InnerException is { } inner ? [error, .. Causes(inner)]
        : [error];

    private static NetworkTrainer<RegressionNetworkModel> Trainer(PlainMlp.Options options) => Ml.Regression.Trainers.CreateTrainer(new PlainMlp(options));

    private static float[] Scores(NetworkPredictionTransformer<RegressionNetworkModel> model, IDataView data) => [.. model.Transform(data).GetColumn<float>("Score")];

    private static void Read(IDataView scored, bool readsSets)
    {
        if (!readsSets)
        {
            Assert.NotEmpty(scored.GetColumn<float>("Score").ToArray());
            return;
        }

        var cursors = scored.GetRowCursorSet([scored.Schema["Score"]], 2);
        try
        {
            foreach (var cursor in cursors)
            {
                var getter = cursor.GetGetter<float>(scored.Schema["Score"]);
                var score = 0f;
                while (cursor.MoveNext())
                    getter(ref score);
            }
        }
        finally
        {
            Array.ForEach(cursors, cursor => cursor.Dispose());
        }
    }

    private sealed class WideRow
    {
        [VectorType(Wide)]
        public float[] Features { get; set; } = [];

        public float Target { get; set; }

        public static WideRow[] Make(int count) => [.. Rows.Make(count).Select(row => new WideRow
        {
            Features = [.. Enumerable.Range(0, Wide).Select(i => row.Features[i % Rows.Width] + (i / Rows.Width))],
            Target = row.Target,
        })];
    }
}
