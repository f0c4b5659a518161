using Microsoft.ML;
using Microsoft.ML.Data;
using MlNetMlp.Data;
using MlNetMlp.Networks;
using MlNetMlp.Runtime;
using MlNetMlp.Tests.Support;
using static TorchSharp.torch;

namespace MlNetMlp.Tests.Data;

public sealed class SharedPassTests : IDisposable
{
    private const int Count = 3000;

    private readonly MLContext _ml = new(1);
    private readonly string _folder = Directory.CreateTempSubdirectory("shared").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Theory]
    [InlineData("objects", false)]
    [InlineData("transformed", true)]
    [InlineData("text", true)]
    [InlineData("cached", true)]
    public void Several_cursors_give_the_rows_in_the_order_of_one(string kind, bool isShared)
    {
        var view = new SetWatch(View(kind));
        using var set = Load(view);

        Assert.True(set.IsStreamed);
        for (var pass = 0; pass < 3; pass++)
        {
            var numbers = Numbers(set, 100);
            Assert.Equal(Count, numbers.Distinct().Count());
            Assert.Equal(numbers.Order(), numbers);
        }

        Assert.Equal(isShared, view.MostCursors > 1);
    }

    [Fact]
    public void Rows_held_out_are_the_same_whoever_reads_them()
    {
        var view = View("text");
        using var several = Load(view, holdOut: 0.3);
        using var one = Load(new SetWatch(view, mostCursors: 1), holdOut: 0.3);

        Assert.True(several.IsStreamed);
        Assert.InRange(several.RowCount, 1, Count - 1);
        Assert.Equal(Numbers(one, 64), Numbers(several, 64));
    }

    [Fact]
    public void Whoever_stops_early_leaves_no_cursor_open()
    {
        var view = new SetWatch(View("transformed"));
        using var set = Load(view);
        var before = view.Open;
        foreach (var block in set.Blocks(10).Take(3))
            block.Dispose();

        Assert.Equal(before, view.Open);
        Assert.Equal(Count, Numbers(set, 500).Length);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1700)]
    public void What_a_thread_throws_comes_out_where_the_rows_are_asked_for(int bad)
    {
        var isBroken = false;
        var rows = _ml.Data.LoadFromEnumerable(Rows.Make(Count));
        var view = _ml.Transforms.CustomMapping<Rows.Row, Copy>(
            (row, copy) => copy.Target = isBroken && row.Number == bad ? throw new InvalidDataException("broken row") : row.Number, null).Fit(rows).Transform(rows);
        using var set = Load(view);
        isBroken = true;

        // ML.NET wraps what a mapping throws on threads of its own.
        var error = Assert.ThrowsAny<Exception>(() => Numbers(set, 50));
        Assert.Contains("broken row", error.ToString(), StringComparison.Ordinal);
    }

    private IDataView View(string kind)
    {
        var rows = Rows.Make(Count);
        rows.ForEach(row => row.Target = row.Number);
        var view = _ml.Data.LoadFromEnumerable(rows);
        switch (kind)
        {
            case "objects":
                return view;
            case "transformed":
                return _ml.Transforms.NormalizeBinning("Features").Fit(view).Transform(view);
            case "cached":
                return _ml.Data.Cache(view);
            default:
                var path = Path.Combine(_folder, "rows.csv");
                using (var stream = File.Create(path))
                    _ml.Data.SaveAsText(_ml.Transforms.SelectColumns("Features", "Target").Fit(view).Transform(view), stream, separatorChar: ',', headerRow: false, schema: false);
                return _ml.Data.LoadFromTextFile(
                    path, [new("Features", DataKind.Single, 0, Rows.Width - 1), new("Target", DataKind.Single, Rows.Width)], separatorChar: ',');
        }
    }

    private static TrainingSet Load(IDataView view, double holdOut = 0, long budget = 3000) =>
        new TrainingSetLoader(
            new LoadSettings(TaskKind.Regression, new(new("Features"), "Target", null, null), [], null, holdOut, budget, false, 1), _ => { }, () => { })
            .Load(view, null, null).Set;

    private static float[] Numbers(TrainingSet set, int blockRows)
    {
        var numbers = new List<float>();
        foreach (var block in set.Blocks(blockRows))
        {
            using (block)
                numbers.AddRange(TensorMemory.Floats(block.Labels).ToArray());
        }

        return [.. numbers];
    }

    private sealed class Copy
    {
        public float Target { get; set; }
    }

    private sealed class SetWatch(IDataView source, int mostCursors = int.MaxValue) : IDataView
    {
        private int _open;

        public int MostCursors { get; private set; }

        public int Open => _open;

        public bool CanShuffle => source.CanShuffle;

        public DataViewSchema Schema => source.Schema;

        public long? GetRowCount() => source.GetRowCount();

        public DataViewRowCursor GetRowCursor(IEnumerable<DataViewSchema.Column> columns, Random? random = null) => Watch(source.GetRowCursor(columns, random));

        public DataViewRowCursor[] GetRowCursorSet(IEnumerable<DataViewSchema.Column> columns, int most, Random? random = null)
        {
            var cursors = source.GetRowCursorSet(columns, Math.Min(most, mostCursors), random);
            MostCursors = Math.Max(MostCursors, cursors.Length);
            return [.. cursors.Select(Watch)];
        }

        private Watched Watch(DataViewRowCursor cursor)
        {
            Interlocked.Increment(ref _open);
            return new(cursor, () => Interlocked.Decrement(ref _open));
        }
    }

    private sealed class Watched(DataViewRowCursor source, Action close) : DataViewRowCursor
    {
        private int _isClosed;

        public override long Position => source.Position;

        public override long Batch => source.Batch;

        public override DataViewSchema Schema => source.Schema;

        public override ValueGetter<TValue> GetGetter<TValue>(DataViewSchema.Column column) => source.GetGetter<TValue>(column);

        public override ValueGetter<DataViewRowId> GetIdGetter() => source.GetIdGetter();

        public override bool IsColumnActive(DataViewSchema.Column column) => source.IsColumnActive(column);

        public override bool MoveNext() => source.MoveNext();

        protected override void Dispose(bool disposing)
        {
            if (Interlocked.Exchange(ref _isClosed, 1) == 0)
                close();
            source.Dispose();
            base.Dispose(disposing);
        }
    }
}
