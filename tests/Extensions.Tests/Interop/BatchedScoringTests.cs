using Microsoft.ML;
using Microsoft.ML.Data;
using MlNetMlp.Interop;
using MlNetMlp.Tests.Support;

namespace MlNetMlp.Tests.Interop;

/// <summary>Scoring in blocks must not be told from scoring row by row, however the rows are read.</summary>
public class BatchedScoringTests
{
    private static readonly MLContext Ml = new(1);

    private static readonly NetworkPredictionTransformer<RegressionNetworkModel> Model = Ml.Regression.Trainers
        .CreateTrainer(new PlainMlp(PipelineTests.Small("Target") with { Epochs = 3 })).Fit(Rows.View(Ml, 500));

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(63)]
    [InlineData(64)]
    [InlineData(65)]
    [InlineData(320)]
    [InlineData(5000)]
    public void EveryRowKeepsItsOwnScoreAndItsOwnColumns(int count)
    {
        var rows = Rows.Make(count, seed: 3);
        var expected = Alone(rows);

        var scored = Model.Transform(Rows.View(Ml, rows));
        using var cursor = scored.GetRowCursor(scored.Schema);
        var score = cursor.GetGetter<float>(scored.Schema["Score"]);
        var number = cursor.GetGetter<int>(scored.Schema["Number"]);
        var kind = cursor.GetGetter<ReadOnlyMemory<char>>(scored.Schema["Kind"]);
        var features = cursor.GetGetter<VBuffer<float>>(scored.Schema["Features"]);
        var id = cursor.GetIdGetter();
        var ids = new HashSet<DataViewRowId>();
        float value = 0;
        var index = 0;
        ReadOnlyMemory<char> text = default;
        VBuffer<float> vector = default;
        DataViewRowId rowId = default;
        var seen = 0;
        while (cursor.MoveNext())
        {
            Assert.Equal(seen, cursor.Position);
            number(ref index);
            Assert.Equal(seen, index);
            score(ref value);
            Assert.Equal(expected[index], value);
            kind(ref text);
            Assert.Equal(rows[index].Kind, text.ToString());
            features(ref vector);
            Assert.Equal(rows[index].Features, vector.DenseValues());
            id(ref rowId);
            Assert.True(ids.Add(rowId));
            seen++;
        }

        Assert.Equal(count, seen);
        Assert.False(cursor.MoveNext());
    }

    [Fact]
    public void RowsStayInStepWithTheirScoresWhenShuffledFilteredAndTaken()
    {
        var rows = Rows.Make(4000, seed: 4);
        var expected = Alone(rows);
        var view = Ml.Data.TakeRows(Ml.Data.ShuffleRows(Ml.Data.FilterRowsByColumn(Rows.View(Ml, rows), "Target", 8, 14), seed: 5), 1000);

        var scored = Model.Transform(view);
        var numbers = scored.GetColumn<int>("Number").ToArray();
        Assert.NotEqual(numbers.Order(), numbers);
        using var cursor = scored.GetRowCursor([scored.Schema["Number"], scored.Schema["Score"]], new Random(7));
        var number = cursor.GetGetter<int>(scored.Schema["Number"]);
        var score = cursor.GetGetter<float>(scored.Schema["Score"]);
        var (index, value, seen) = (0, 0f, 0);
        while (cursor.MoveNext())
        {
            number(ref index);
            score(ref value);
            Assert.Equal(expected[index], value);
            seen++;
        }

        Assert.Equal(numbers.Length, seen);
    }

    [Fact]
    public void ACursorSetReadOnSeveralThreadsCoversEveryRowOnce()
    {
        var rows = Rows.Make(6000, seed: 6);
        var expected = Alone(rows);
        var scored = Model.Transform(Ml.Data.Cache(Rows.View(Ml, rows)));

        var cursors = scored.GetRowCursorSet([scored.Schema["Number"], scored.Schema["Score"]], 4);
        var seen = new int[rows.Count];
        Parallel.ForEach(cursors, cursor =>
        {
            using (cursor)
            {
                var number = cursor.GetGetter<int>(scored.Schema["Number"]);
                var score = cursor.GetGetter<float>(scored.Schema["Score"]);
                var (index, value) = (0, 0f);
                while (cursor.MoveNext())
                {
                    number(ref index);
                    score(ref value);
                    Assert.Equal(expected[index], value);
                    Interlocked.Increment(ref seen[index]);
                }
            }
        });

        Assert.True(cursors.Length > 1);
        Assert.All(seen, times => Assert.Equal(1, times));
    }

    [Fact]
    public void OneTransformerServesManyThreads()
    {
        var rows = Rows.Make(2000, seed: 8);
        var expected = Alone(rows);
        Parallel.For(0, 8, _ => Assert.Equal(expected, Model.Transform(Rows.View(Ml, rows)).GetColumn<float>("Score")));
    }

    [Fact]
    public void OnlyWhatIsAskedForIsRead()
    {
        var reads = 0;
        var view = Ml.Transforms.CustomMapping<Rows.Row, Extra>((row, extra) =>
        {
            reads++;
            extra.Twice = 2 * row.Number;
        }, null).Fit(Rows.View(Ml, 100)).Transform(Rows.View(Ml, 100));
        var scored = Model.Transform(view);

        Assert.Equal(100, scored.GetColumn<float>("Score").Count());
        Assert.Equal(0, reads);
        Assert.Equal(100, scored.GetColumn<int>("Twice").Count());
        Assert.Equal(100, reads);
    }

    [Fact]
    public void AColumnThatWasNotAskedForIsRefused()
    {
        var scored = Model.Transform(Rows.View(Ml, 10));
        using var cursor = scored.GetRowCursor([scored.Schema["Score"]]);

        Assert.False(cursor.IsColumnActive(scored.Schema["Features"]));
        Assert.ThrowsAny<InvalidOperationException>(() => cursor.GetGetter<VBuffer<float>>(scored.Schema["Features"]));
        Assert.ThrowsAny<InvalidOperationException>(() => cursor.GetGetter<double>(scored.Schema["Score"]));
    }

    [Fact]
    public void ColumnsThatAScoreHidesKeepTheirPlacesAndValues()
    {
        // ML.NET puts a new column right behind the one of its name, so that all columns after it move.
        var rows = Rows.Make(100, seed: 9);
        var hiding = Ml.Transforms.CopyColumns("Score", "Target").Append(Ml.Transforms.CopyColumns("Last", "Number"));
        var scored = Model.Transform(hiding.Fit(Rows.View(Ml, rows)).Transform(Rows.View(Ml, rows)));
        var hidden = scored.Schema.First(column => column.Name == "Score");
        Assert.Equal(hidden.Index + 1, scored.Schema["Score"].Index);

        using var cursor = scored.GetRowCursor([hidden, scored.Schema["Last"], scored.Schema["Score"]]);
        var (before, last, score) = (cursor.GetGetter<float>(hidden), cursor.GetGetter<int>(scored.Schema["Last"]), cursor.GetGetter<float>(scored.Schema["Score"]));
        var expected = Alone(rows);
        var (target, number, value) = (0f, 0, 0f);
        while (cursor.MoveNext())
        {
            before(ref target);
            last(ref number);
            score(ref value);
            var row = rows[(int)cursor.Position];
            Assert.Equal((row.Target, row.Number, expected[(int)cursor.Position]), (target, number, value));
        }
    }

    [Fact]
    public void ALookAtTheFirstRowsIsCheap()
    {
        var reads = 0;
        var source = Rows.Make(100_000).Select(row =>
        {
            reads++;
            return row;
        });

        Assert.Equal(5, Model.Transform(Rows.View(Ml, source)).Preview(5).RowView.Length);
        Assert.InRange(reads, 5, 1000);
    }

    [Fact]
    public void DoubleFeaturesScoreLikeSingleOnes()
    {
        var rows = Rows.Make(200);
        var doubles = Ml.Transforms.Conversion.ConvertType("Features", outputKind: DataKind.Double).Fit(Rows.View(Ml, rows)).Transform(Rows.View(Ml, rows));
        var model = Ml.Regression.Trainers.CreateTrainer(new PlainMlp(PipelineTests.Small("Target") with { Epochs = 3, Seed = 5 })).Fit(doubles);
        var single = Ml.Regression.Trainers.CreateTrainer(new PlainMlp(PipelineTests.Small("Target") with { Epochs = 3, Seed = 5 })).Fit(Rows.View(Ml, rows));

        Assert.Equal(
            single.Transform(Rows.View(Ml, rows)).GetColumn<float>("Score"),
            model.Transform(doubles).GetColumn<float>("Score"));
    }

    private static float[] Alone(List<Rows.Row> rows)
    {
        var scores = new float[1];
        return [.. rows.Select(row =>
        {
            Assert.Equal(-1, Model.Model.Network.Score(row.Features, scores));
            return scores[0];
        })];
    }

    private sealed class Extra
    {
        public int Twice { get; set; }
    }
}
