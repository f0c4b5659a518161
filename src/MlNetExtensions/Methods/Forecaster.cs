using System.Globalization;
using MlNetMlp.Data;
using MlNetMlp.Networks;
using MlNetMlp.Persistence;
using MlNetMlp.Runtime;

namespace MlNetMlp.Methods;

/// <summary>
/// Forecasts from observations that come one by one, of one series or of several. What it has seen can be saved and loaded, so that a process goes on where another stopped. It
/// gives what the model gives for the same rows of a data view.
/// </summary>
/// <remarks>One forecaster belongs to one thread at a time; the network behind it may have many.</remarks>
public sealed class Forecaster
{
    private const long OnlySeries = WindowInput.OnlySeries;
    private const string Prefix = "series.";

    private readonly TrainedNetwork _network;
    private readonly IReadOnlyList<OutputBlock> _blocks;
    private readonly int _width;
    private readonly float[] _window;
    private SeriesMemory _memory;

    internal Forecaster(TrainedNetwork network, ForecastOptions options)
    {
        (_network, _blocks, ContextLength, Horizon) = (network, options.Outputs, options.ContextLength, options.Horizon);
        _width = QuantileRegressionHead.MeanOf(network.Head)!.Outputs;
        _window = new float[network.Inputs];
        _memory = new(ContextLength, Channels);
    }

    /// <summary>L, observations of a series that a forecast needs.</summary>
    public int ContextLength { get; }

    /// <summary>H, steps that are forecast.</summary>
    public int Horizon { get; }

    /// <summary>C, numbers of an observation.</summary>
    public int Channels => _width / Horizon;

    /// <summary>Takes the next observation of a series.</summary>
    /// <param name="values">Numbers of the C channels, in the order of the model's columns.</param>
    /// <param name="series">The key of the series, from 1, as a key column has it; 1 where there is one series.</param>
    /// <exception cref="ArgumentException">There are more or fewer numbers than channels, or one is not finite.</exception>
    /// <exception cref="ArgumentOutOfRangeException">The key is less than 1.</exception>
    public void Observe(ReadOnlySpan<float> values, long series = OnlySeries)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(series, 1);
        if (values.Length != Channels)
            throw new ArgumentException($"An observation has {values.Length} numbers, but the model has {Channels} channels.", nameof(values));
        if (Finite.IndexOfNonFinite(values) is >= 0 and var channel)
            throw new ArgumentException($"Channel {channel} of the observation is {values[channel].ToString(CultureInfo.InvariantCulture)}; it must be finite. Replace missing values first.", nameof(values));
        _memory.Add(series, values);
    }

    /// <summary>How many observations of a series are kept.</summary>
    /// <param name="series">The key of the series.</param>
    /// <returns>At most <see cref="ContextLength"/>, with which a forecast can be made.</returns>
    public int Observations(long series = OnlySeries) => _memory.Count(series);

    /// <summary>Forecasts the steps that follow the last observation of a series.</summary>
    /// <param name="series">The key of the series.</param>
    /// <returns>H·C numbers: those of all channels one step ahead, then two, and so on.</returns>
    /// <exception cref="InvalidOperationException">Fewer than <see cref="ContextLength"/> observations of the series were there, or the forecast is not finite.</exception>
    public float[] Forecast(long series = OnlySeries) => Score(series)[.._width];

    /// <summary>Forecasts the steps that follow the last observation of a series, with quantiles and bounds where the model has them.</summary>
    /// <param name="series">The key of the series.</param>
    /// <returns>By the name of each column that the model adds to rows, H·C numbers: those of all channels one step ahead, then two, and so on.</returns>
    /// <inheritdoc cref="Forecast" path="/exception"/>
    public IReadOnlyDictionary<string, float[]> ForecastColumns(long series = OnlySeries)
    {
        var scores = Score(series);
        return _blocks.ToDictionary(block => block.Name, block => scores.AsSpan(block.Block * _width, _width).ToArray());
    }

    private float[] Score(long series)
    {
        if (Observations(series) is var seen && seen < ContextLength)
            throw new InvalidOperationException($"A forecast needs {ContextLength} observations, and series {series} has had {seen}.");
        _memory.Write(series, _window);
        var forecast = new float[_network.Outputs];
        return _network.Score(_window, forecast) < 0
            ? forecast
            : throw new InvalidOperationException($"The forecast of series {series} is not finite: its observations lie too far outside of those that the model was trained on.");
    }

    /// <summary>Writes what was seen, as a safetensors file with a tensor [observations, C] for each series.</summary>
    /// <param name="stream">The stream; it stays open.</param>
    public void Save(Stream stream)
    {
        var state = new WeightSet();
        foreach (var series in _memory.Series)
        {
            var rows = new float[_memory.Count(series) * Channels];
            _memory.Write(series, rows);
            state.Add(NamedTensor.Of(Prefix + series.ToString(CultureInfo.InvariantCulture), rows, _memory.Count(series), Channels));
        }

        SafeTensors.Write(stream, state);
    }

    /// <summary>Takes what <see cref="Save"/> wrote in the place of what was seen so far. Where it fails, all stays as it was.</summary>
    /// <param name="stream">The stream, which tells its length; it stays open.</param>
    /// <exception cref="ModelFormatException">The stream holds no such state, or that of a model with other channels or another context.</exception>
    public void Load(Stream stream)
    {
        ArgumentNullException.ThrowIfNull(stream);
        var state = SafeTensors.Read(stream, stream.Length - stream.Position);
        state.CheckFinite();
        var memory = new SeriesMemory(ContextLength, Channels);
        foreach (var tensor in state)
        {
            if (!tensor.Name.StartsWith(Prefix, StringComparison.Ordinal)
                || !long.TryParse(tensor.Name.AsSpan(Prefix.Length), NumberStyles.None, CultureInfo.InvariantCulture, out var series) || series < 1
                || tensor.Type != TensorType.Float32 || tensor.Shape is not [var rows, var channels] || channels != Channels || rows > ContextLength)
            {
                throw new ModelFormatException($"The state holds {tensor}, which is no series of at most {ContextLength} observations of {Channels} channels.");
            }

            for (var row = 0; row < rows; row++)
                memory.Add(series, tensor.Floats.Slice(row * Channels, Channels));
        }

        _memory = memory;
    }
}
