using Microsoft.ML;
using Microsoft.ML.Data;
using MlNetMlp.Data;
using MlNetMlp.Interop;
using MlNetMlp.Methods;
using MlNetMlp.Networks;
using MlNetMlp.Persistence;
using MlNetMlp.Runtime;
using MlNetMlp.Tests.Support;
using MlNetMlp.Training;
using static TorchSharp.torch;

namespace MlNetMlp.Tests.Interop;

/// <summary>Time series: how windows are cut for a method, and the three ways in which a fitted model forecasts.</summary>
public class ForecastTests
{
    private const int Length = 6;
    private const int Horizon = 3;

    private static readonly ForecastOptions Two = new() { InputColumnNames = ["A", "B"], ContextLength = Length, Horizon = Horizon };

    private static readonly Lazy<ForecastTransformer> Fit = new(() => Estimator(Two).Fit(View(Waves(120))));

    public sealed class Observation
    {
        public float A { get; set; }

        public float B { get; set; }

        [VectorType(2)]
        public float[] Both { get; set; } = [];

        public string Name { get; set; } = "one";
    }

    public sealed class Forecasts
    {
        public float[] Forecast { get; set; } = [];
    }

    public sealed class Window
    {
        [VectorType(2 * Length)]
        public float[] Past { get; set; } = [];
    }

    [Fact]
    public void A_method_sees_windows_and_the_steps_that_follow_them()
    {
        // Rows are numbers that tell where they stand: series s, row t, channel c is 1000·s + 10·t + c.
        var rows = Mixed((1, 12), (2, 5), (3, 20));
        var probe = new Probe(new() { ValidationFraction = 0.25, Seed = 1 });

        Ml.Forecasting.Trainers.CreateTrainer(probe, Two with { SeriesColumnName = "Key" }).Fit(Keyed(View(rows)));

        var expectedTraining = new List<(int Series, int Start)>();
        var expectedHeld = new List<(int Series, int Start)>();
        foreach (var (series, count, held) in new[] { (1, 12, 3), (2, 5, 1), (3, 20, 5) })
        {
            var split = count - held;
            expectedTraining.AddRange(Enumerable.Range(0, count).Where(t => t + Length + Horizon <= split).Select(t => (series, t)));
            expectedHeld.AddRange(Enumerable.Range(0, count).Where(t => t + Length >= split && t + Length + Horizon <= count).Select(t => (series, t)));
        }

        Assert.Equal(1 + 7, expectedTraining.Count);
        Assert.Equal(1 + 3, expectedHeld.Count);
        Assert.Equal(expectedTraining.SelectMany(at => Numbers(at.Series, at.Start, Length)), probe.Features);
        Assert.Equal(expectedTraining.SelectMany(at => Numbers(at.Series, at.Start + Length, Horizon)), probe.Labels.Select(value => (float)Math.Round(value)));
        Assert.Equal(expectedHeld.SelectMany(at => Numbers(at.Series, at.Start, Length)), probe.HeldFeatures);
        Assert.Equal(expectedHeld.Count, probe.HeldCount);
        Assert.Equal(new SeriesLayout(Length, Horizon, ["A", "B"]).LabelNames(), probe.Head!.LabelNames);
        Assert.Equal("B[3]", probe.Head.LabelNames![^1]);

        // Every window is drawn once in an epoch.
        Assert.Equal(expectedTraining.Select(at => Numbers(at.Series, at.Start, 1).First()).Order(), probe.Drawn.Order());
    }

    [Fact]
    public void Scaling_knows_nothing_of_the_part_held_out()
    {
        var rows = Waves(100);
        var changed = Waves(100);
        foreach (var row in changed[80..])
            (row.A, row.B) = (1e4f, -1e4f);
        var (probe, other) = (new Probe(new() { ValidationFraction = 0.2, Seed = 1 }), new Probe(new() { ValidationFraction = 0.2, Seed = 1 }));

        Ml.Forecasting.Trainers.CreateTrainer(probe, Two).Fit(View(rows));
        Ml.Forecasting.Trainers.CreateTrainer(other, Two).Fit(View(changed));

        Assert.Equal(probe.Head, other.Head);
        Assert.Equal(probe.Features, other.Features);
        Assert.Equal(probe.Labels, other.Labels);
        Assert.NotEqual(probe.HeldFeatures, other.HeldFeatures);
        var a = rows[..80].Select(row => (double)row.A).ToArray();
        Assert.Equal(a.Average(), probe.Head!.LabelMeans[2], 5);
        Assert.Equal(Math.Sqrt(a.Average(value => Math.Pow(value - a.Average(), 2))), probe.Head.LabelScales[2], 5);
    }

    [Fact]
    public void Rows_windows_and_observations_give_the_same_forecasts()
    {
        var rows = Waves(200);

        var inRows = Rows(Fit.Value.Transform(View(rows)));

        Assert.All(inRows[..(Length - 1)], forecast => Assert.All(forecast, value => Assert.True(float.IsNaN(value))));
        var windows = Enumerable.Range(Length - 1, rows.Count - Length + 1)
            .Select(last => new Window { Past = [.. rows[(last - Length + 1)..(last + 1)].SelectMany(row => new[] { row.A, row.B })] });
        var overWindows = Rows(Fit.Value.OverWindows("Past").Transform(Ml.Data.LoadFromEnumerable(windows)));
        Same(inRows[(Length - 1)..], overWindows);
        var forecaster = Fit.Value.CreateForecaster();
        for (var t = 0; t < rows.Count; t++)
        {
            forecaster.Observe([rows[t].A, rows[t].B]);
            if (t >= Length - 1)
                Same([inRows[t]], [forecaster.Forecast()]);
        }

        // They are forecasts and not anything: waves go on.
        var error = Enumerable.Range(Length - 1, 190).Average(t => Math.Pow(inRows[t][0] - rows[t + 1].A, 2));
        Assert.True(error < 0.1, $"{error}");
    }

    [Fact]
    public void Series_are_apart_however_their_rows_are_mixed()
    {
        var options = Two with { SeriesColumnName = "Key" };
        var model = Estimator(options).Fit(Keyed(View([.. Waves(60, "x", 0.3), .. Waves(60, "y", 0.5)])));
        var (x, y) = (Waves(20, "x", 0.3), Waves(20, "y", 0.5));
        var mixed = x.Zip(y).SelectMany(pair => new[] { pair.First, pair.Second }).ToList();
        var keys = Ml.Transforms.Conversion.MapValueToKey("Key", "Name").Fit(View([.. x, .. y]));

        var forecasts = Rows(model.Transform(keys.Transform(View(mixed))));

        Same(Rows(model.Transform(keys.Transform(View(x)))), [.. forecasts.Where((_, i) => i % 2 == 0)]);
        Same(Rows(model.Transform(keys.Transform(View(y)))), [.. forecasts.Where((_, i) => i % 2 == 1)]);
        var forecaster = model.CreateForecaster(keys.Transform(View(mixed)));
        Same([forecasts[^2], forecasts[^1]], [forecaster.Forecast(1), forecaster.Forecast(2)]);
        Assert.Equal(0, forecaster.Observations(3));
    }

    [Fact]
    public void One_vector_column_is_the_same_as_single_columns()
    {
        var rows = View(Waves(120));
        var model = Estimator(Two with { InputColumnNames = ["Both"] }).Fit(rows);

        Same(Rows(Fit.Value.Transform(rows)), Rows(model.Transform(rows)));
        VBuffer<ReadOnlyMemory<char>> names = default;
        model.Transform(rows).Schema["Forecast"].GetSlotNames(ref names);
        Assert.Equal("Both1[1]", names.GetItemOrDefault(1).ToString());
    }

    [Fact]
    public void A_loaded_model_forecasts_what_the_saved_one_did_and_a_chain_names_the_slots()
    {
        var rows = View(Waves(50));
        var chain = Ml.Transforms.CopyColumns("C", "A").Append(Estimator(Two)).Fit(View(Waves(120)));

        var loaded = ModelZip.Load(ModelZip.Save(chain, rows));

        var forecasts = loaded.Transform(rows);
        Same(Rows(chain.Transform(rows)), Rows(forecasts));
        VBuffer<ReadOnlyMemory<char>> names = default;
        forecasts.Schema["Forecast"].GetSlotNames(ref names);
        Assert.Equal(["A[1]", "B[1]", "A[2]", "B[2]", "A[3]", "B[3]"], names.DenseValues().Select(name => name.ToString()));
        Assert.Equal(chain.GetOutputSchema(rows.Schema).Select(column => (column.Name, column.Type.ToString())), forecasts.Schema.Select(column => (column.Name, column.Type.ToString())));
        var window = Ml.Data.LoadFromEnumerable([new Window { Past = [.. Enumerable.Range(0, 2 * Length).Select(i => (float)i)] }]);
        var over = Fit.Value.OverWindows("Past", "Next");
        var again = ModelZip.Load(ModelZip.Save(over, window));
        Assert.Equal(over.Transform(window).GetColumn<float[]>("Next").Single(), again.Transform(window).GetColumn<float[]>("Next").Single());
    }

    [Fact]
    public void Quantiles_and_bounds_are_columns_of_their_own_in_all_ways_to_forecast()
    {
        // The spread of the noise changes with the wave, and the truth is known.
        var random = new Random(1);
        var rows = Enumerable.Range(0, 1500).Select(t => Make((float)(Math.Sin(0.3 * t) + random.NextDouble()), (float)(3 * random.NextDouble()), "one")).ToList();
        var options = Two with { Quantiles = [0.1, 0.5, 0.9], ConfidenceLevel = 0.8, ConfidenceLowerBoundColumnName = "Low", ConfidenceUpperBoundColumnName = "High" };
        var estimator = Ml.Forecasting.Trainers.CreateTrainer(new PlainMlp(new() { Seed = 1, Epochs = 40, Hidden = 16, BatchSize = 32, LearningRate = 0.01 }), options);
        var data = View(rows);
        string[] columns = ["Forecast", "ForecastQuantile10", "ForecastQuantile50", "ForecastQuantile90", "Low", "High"];

        var model = estimator.Fit(data);

        var forecasts = columns.ToDictionary(name => name, name => model.Transform(data).GetColumn<float[]>(name).ToList());
        Assert.Equal(columns, model.Transform(data).Schema.Skip(data.Schema.Count).Select(column => column.Name));
        Assert.Equal(6 * 4, model.Network.Outputs);
        Assert.Equal(2, model.Channels);
        Same(forecasts["ForecastQuantile10"], forecasts["Low"]);
        Same(forecasts["ForecastQuantile90"], forecasts["High"]);
        VBuffer<ReadOnlyMemory<char>> names = default;
        model.Transform(data).Schema["Low"].GetSlotNames(ref names);
        Assert.Equal("B[3]", names.DenseValues().Last().ToString());

        // B is evenly spread in [0, 3], whatever was before: quantiles 0.3, 1.5 and 2.7; of the steps to come, that share is below each.
        var at = Enumerable.Range(Length - 1, rows.Count - Length - Horizon).ToArray();
        foreach (var quantile in options.Quantiles)
        {
            var column = forecasts[options.QuantileColumnName(quantile)];
            Assert.Equal(quantile, at.Average(t => rows[t + 1].A < column[t][0] ? 1.0 : 0), 0.05);
            Assert.Equal(quantile, at.Average(t => rows[t + 3].B < column[t][5] ? 1.0 : 0), 0.05);
            Assert.Equal(3 * quantile, at.Average(t => column[t][1]), 0.15);
        }

        Assert.All(at, t => Assert.All(Enumerable.Range(0, 6), k => Assert.True(
            forecasts["ForecastQuantile10"][t][k] <= forecasts["ForecastQuantile50"][t][k] && forecasts["ForecastQuantile50"][t][k] <= forecasts["ForecastQuantile90"][t][k])));

        var loaded = Assert.IsType<ForecastTransformer>(ModelZip.Load(ModelZip.Save(model, data)));
        foreach (var name in columns)
            Same(forecasts[name], [.. loaded.Transform(data).GetColumn<float[]>(name)]);
        var seen = loaded.CreateForecaster(data).ForecastColumns();
        Assert.Equal(columns, seen.Keys);
        Assert.All(seen, column => Assert.Equal(forecasts[column.Key][^1], column.Value));
        Assert.Equal(forecasts["Forecast"][^1], loaded.CreateForecaster(data).Forecast());

        var window = Ml.Data.LoadFromEnumerable([new Window { Past = [.. rows[^Length..].SelectMany(row => new[] { row.A, row.B })] }]);
        var over = ModelZip.Load(ModelZip.Save(loaded.OverWindows("Past", "Next"), window)).Transform(window);
        foreach (var (name, column) in columns.Zip(["Next", "NextQuantile10", "NextQuantile50", "NextQuantile90", "Low", "High"]))
            Assert.Equal(forecasts[name][^1], over.GetColumn<float[]>(column).Single());
    }

    [Fact]
    public void Quantiles_that_cannot_be_are_refused_by_name()
    {
        Says("'Quantiles' must be greater than 0", () => Estimator(Two with { Quantiles = [0.5, 0.1] }));
        Says("'Quantiles'", () => Estimator(Two with { Quantiles = [0, 0.1] }));
        Says("'ConfidenceLevel'", () => Estimator(Two with { ConfidenceLevel = 1 }));
        Says("'ConfidenceLowerBoundColumnName'", () => Estimator(Two with { ConfidenceLowerBoundColumnName = "" }));
        Says("'Forecast' for 2 things", () => Estimator(Two with { ConfidenceLowerBoundColumnName = "Forecast" }));
        Says("no quantiles", () => Ml.Forecasting.Trainers.CreateTrainer(new SquaredErrorOnly(), Two with { Quantiles = [0.5] }));
        Says("cannot go on", () => Ml.Forecasting.Trainers.CreateTrainer(new PlainMlp(new() { Seed = 1, InitialModel = Fit.Value, Hidden = 8 }), Two with { Quantiles = [0.5] }).Fit(View(Waves(80))));
        Assert.Equal("ForecastQuantile2_5", Two.QuantileColumnName(0.025));
        Assert.Equal("ForecastQuantile29", Two.QuantileColumnName(0.29));
    }

    [Theory]
    [InlineData("{\"horizon\": 4}", "forecasts 6 numbers")]
    [InlineData("{\"contextLength\": 5, \"horizon\": 3}", "forecasts 6 numbers")]
    [InlineData("{\"horizon\": 0}", "Horizon")]
    [InlineData("{\"contextLength\": 6, \"horizon\": 3, \"quantiles\": [0.5]}", "the quantiles [0.5], which are not those of the network")]
    [InlineData("{\"other\": 1}", "other")]
    [InlineData("[", "forecast.json")]
    public void A_file_that_does_not_fit_its_network_is_refused(string json, string said)
    {
        var file = ModelZip.Change(ModelZip.Save(Fit.Value, View(Waves(5))), "forecast.json", _ => System.Text.Encoding.UTF8.GetBytes(json));

        Exception error = Assert.ThrowsAny<Exception>(() => ModelZip.Load(file));
        while (error.InnerException is not null and not System.Text.Json.JsonException && error is not ModelFormatException)
            error = error.InnerException;
        Assert.Contains(said, Assert.IsType<ModelFormatException>(error).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void What_a_forecaster_has_seen_can_be_saved()
    {
        var forecaster = Fit.Value.CreateForecaster(View(Waves(20)));
        forecaster.Observe([0.5f, 0.25f], 7);
        using var stream = new MemoryStream();
        forecaster.Save(stream);
        stream.Position = 0;

        var other = Fit.Value.CreateForecaster(View(Waves(9, frequency: 0.9)));
        other.Load(stream);

        Assert.Equal(forecaster.Forecast(), other.Forecast());
        Assert.Equal(1, other.Observations(7));
        forecaster.Observe([1, 2]);
        Assert.NotEqual(forecaster.Forecast(), other.Forecast());
        other.Observe([1, 2]);
        Assert.Equal(forecaster.Forecast(), other.Forecast());
        var narrow = Estimator(new() { InputColumnNames = ["A"], ContextLength = Length, Horizon = Horizon }).Fit(View(Waves(60))).CreateForecaster();
        stream.Position = 0;
        Assert.Contains("channels", Assert.Throws<ModelFormatException>(() => narrow.Load(stream)).Message, StringComparison.Ordinal);
        Assert.Throws<ModelFormatException>(() => other.Load(new MemoryStream([1, 2, 3])));
        Assert.Equal(forecaster.Forecast(), other.Forecast());
    }

    [Fact]
    public void What_cannot_be_used_is_refused_by_name()
    {
        var rows = Waves(40);
        Says("'Nothing'", () => Estimator(Two with { InputColumnNames = ["Nothing"] }).Fit(View(rows)));
        Says("'Name'", () => Estimator(Two with { InputColumnNames = ["Name"] }).Fit(View(rows)));
        Says("'Both'", () => Estimator(Two with { SeriesColumnName = "Both" }).Fit(View(rows)));
        Says("'Horizon'", () => Estimator(Two with { Horizon = 0 }));
        Says("'InputColumnNames'", () => Estimator(Two with { InputColumnNames = [] }));
        Says("'ValidationColumnName'", () => Ml.Forecasting.Trainers.CreateTrainer(new PlainMlp(new() { ValidationColumnName = "A" }), Two));
        Says("longest series has 8", () => Estimator(Two).Fit(View(Waves(8))));
        Says("There are no rows", () => Estimator(Two).Fit(View([])));
        Says("memory budget", () => Ml.Forecasting.Trainers.CreateTrainer(new PlainMlp(new() { MemoryBudget = 1_000_000 }), Two).Fit(View(Waves(40_000))));
        rows[17].B = float.NaN;
        Says("'B', row 17", () => Estimator(Two).Fit(View(rows)));
        Says("'B', row 17", () => Rows(Fit.Value.Transform(View(rows))));
        Says("2 channels", () => Fit.Value.CreateForecaster().Observe([1]));
        Says("finite", () => Fit.Value.CreateForecaster().Observe([1, float.NaN]));
        Says("needs 6 observations", () => Fit.Value.CreateForecaster(View(Waves(5))).Forecast());
        var narrow = Estimator(Two with { InputColumnNames = ["Both"] }).Fit(View(Waves(60)));
        Says("has had 0", () => narrow.CreateForecaster().Forecast());
        var missing = Ml.Transforms.Conversion.MapValueToKey("Key", "Name").Fit(View(Waves(3, "x"))).Transform(View(Waves(30, "unknown")));
        Says("'Key' has no value in row 0", () => Estimator(Two with { SeriesColumnName = "Key" }).Fit(missing));
    }

    [Fact]
    public void Columns_that_are_not_asked_for_cost_nothing_and_others_pass()
    {
        var rows = Waves(40);
        rows[17].B = float.NaN;

        var forecasts = Fit.Value.Transform(View(rows));

        Assert.Equal(rows.Select(row => row.A), forecasts.GetColumn<float>("A"));
        var fine = Fit.Value.Transform(View(Waves(40)));
        Assert.False(fine.CanShuffle);
        Assert.Single(fine.GetRowCursorSet(fine.Schema, 4));
        using var cursor = fine.GetRowCursor(fine.Schema, new Random(1));
        var (a, forecast) = (cursor.GetGetter<float>(fine.Schema["A"]), cursor.GetGetter<VBuffer<float>>(fine.Schema["Forecast"]));
        VBuffer<float> value = default;
        float first = 0;
        var expected = Rows(fine);
        for (var t = 0; cursor.MoveNext(); t++)
        {
            a(ref first);
            forecast(ref value);
            Assert.Equal(Waves(40)[t].A, first);
            Assert.Equal(expected[t], value.DenseValues());
        }
    }

    [Fact]
    public void Training_goes_on_from_a_model()
    {
        var options = new PlainMlp.Options { Seed = 1, Epochs = 2, Hidden = 8, InitialModel = Fit.Value };

        var model = Ml.Forecasting.Trainers.CreateTrainer(new PlainMlp(options), Two).Fit(View(Waves(80, frequency: 0.4)));

        Assert.Equal(((MultiOutputRegressionHead)Fit.Value.Network.Head).LabelScales, ((MultiOutputRegressionHead)model.Network.Head).LabelScales);
        Says("cannot go on", () => Ml.Forecasting.Trainers.CreateTrainer(new PlainMlp(options), Two with { Horizon = 2 }).Fit(View(Waves(80))));
    }

    private static MLContext Ml => Fitted.Ml;

    private static ForecastEstimator Estimator(ForecastOptions series) =>
        Ml.Forecasting.Trainers.CreateTrainer(new PlainMlp(new() { Seed = 1, Epochs = 60, Hidden = 8, BatchSize = 16, LearningRate = 0.01 }), series);

    private static void Says(string what, Action action) => Assert.Contains(what, Assert.ThrowsAny<Exception>(action).Message, StringComparison.Ordinal);

    private static IDataView View(List<Observation> rows) => Ml.Data.LoadFromEnumerable(rows);

    private static IDataView Keyed(IDataView rows) => Ml.Transforms.Conversion.MapValueToKey("Key", "Name").Fit(rows).Transform(rows);

    private static List<Observation> Waves(int count, string name = "one", double frequency = 0.3) =>
        [.. Enumerable.Range(0, count).Select(t => Make((float)(3 + Math.Sin(frequency * t)), (float)(2 * Math.Cos(2 * frequency * t)), name))];

    private static Observation Make(float a, float b, string name) => new() { A = a, B = b, Both = [a, b], Name = name };

    /// <summary>Rows of series in turns, as long as each has some left.</summary>
    private static List<Observation> Mixed(params (int Series, int Rows)[] series) =>
    [
        .. from t in Enumerable.Range(0, series.Max(one => one.Rows))
           from one in series
           where t < one.Rows
           select Make((1000 * one.Series) + (10 * t), (1000 * one.Series) + (10 * t) + 1, $"s{one.Series}"),
    ];

    private static IEnumerable<float> Numbers(int series, int start, int steps) =>
        from t in Enumerable.Range(start, steps)
        from c in Enumerable.Range(0, 2)
        select (float)((1000 * series) + (10 * t) + c);

    private static List<float[]> Rows(IDataView data) => [.. Ml.Data.CreateEnumerable<Forecasts>(data, false, ignoreMissingColumns: true).Select(row => row.Forecast)];

    private static void Same(List<float[]> expected, List<float[]> actual)
    {
        Assert.Equal(expected.Count, actual.Count);
        foreach (var (one, other) in expected.Zip(actual))
            Assert.Equal(one, other);
    }

    private sealed record PlainOptions : NetworkOptions;

    private sealed class SquaredErrorOnly : INetworkMethod
    {
        public string Name => nameof(SquaredErrorOnly);

        NetworkOptions INetworkMethod.Options => new PlainOptions();

        public Network Fit(TrainingSet data, TaskHead head, TrainingRun run) => throw new NotSupportedException();
    }

    /// <summary>A method that looks at what it is given.</summary>
    private sealed class Probe(PlainMlp.Options options) : INetworkMethod
    {
        public float[] Features { get; private set; } = [];

        public double[] Labels { get; private set; } = [];

        public float[] HeldFeatures { get; private set; } = [];

        public List<float> Drawn { get; } = [];

        public long HeldCount { get; private set; }

        public MultiOutputRegressionHead? Head { get; private set; }

        public string Name => nameof(PlainMlp);

        NetworkOptions INetworkMethod.Options => options;

        public Network Fit(TrainingSet data, TaskHead head, TrainingRun run)
        {
            Head = (MultiOutputRegressionHead)head;
            using (var all = data.All())
            {
                Features = TensorMemory.ToFloats(all.Features);
                Labels = [.. TensorMemory.ToFloats(all.Labels).Select((value, i) => (value * Head.LabelScales[i % head.Outputs]) + Head.LabelMeans[i % head.Outputs])];
            }

            foreach (var batch in data.Batches(3, 1))
            {
                using (batch)
                    Drawn.AddRange(TensorMemory.ToFloats(batch.Features.select(1, 0)));
            }

            HeldCount = data.HeldCount;
            var held = new List<float>();
            foreach (var block in data.HeldBlocks(3))
            {
                using (block)
                    held.AddRange(TensorMemory.ToFloats(block.Features));
            }

            HeldFeatures = [.. held];
            Assert.Equal(HeldFeatures, TensorMemory.ToFloats(data.Validation!.Features));
            return run.Create(new PlainMlpDefinition { Inputs = data.FeatureCount, Outputs = head.Outputs, Hidden = 1, IsDense = true });
        }
    }
}
