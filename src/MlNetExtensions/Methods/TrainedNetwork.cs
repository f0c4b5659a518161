using System.Text.Json;
using MlNetMlp.Data;
using MlNetMlp.Networks;
using MlNetMlp.Persistence;
using MlNetMlp.Runtime;
using MlNetMlp.Scoring;
using MlNetMlp.Training;

namespace MlNetMlp.Methods;

/// <summary>
/// A network after training, with all that is needed to score, save and explain it. It is immutable, lives in managed memory and serves all
/// threads at once; libtorch is only used to score networks that are more than dense layers.
/// </summary>
public sealed class TrainedNetwork : IBlockModel
{
    private readonly IRowScorer _scorer;

    /// <summary>Puts a trained network together.</summary>
    /// <param name="definition">The record that rebuilds the network.</param>
    /// <param name="weights">Its weights.</param>
    /// <param name="head">The task that it was trained for.</param>
    /// <exception cref="ModelFormatException">The weights are not those of such a network, or not finite.</exception>
    public TrainedNetwork(NetworkDefinition definition, WeightSet weights, TaskHead head)
    {
        (Definition, Weights, Head) = (definition, weights, head);
        weights.CheckFinite();
        var managed = definition.BuildScorer(weights.Read());
        if (managed is null)
        {
            LibTorch.Load();
            Network.CheckWeights(definition, weights);
        }
        else if (managed.Inputs != definition.Inputs || managed.Outputs != definition.ScoredOutputs)
        {
            throw new ModelFormatException($"{definition} promises {definition.ScoredOutputs} values of {definition.Inputs}, but computes {managed.Outputs} of {managed.Inputs}.");
        }

        _scorer = managed ?? new NativeScorer(definition, weights);
        ScoredOutputs = definition.ScoredOutputs;
    }

    /// <summary>The record that rebuilds the network.</summary>
    public NetworkDefinition Definition { get; }

    /// <summary>The weights.</summary>
    public WeightSet Weights { get; }

    /// <summary>The task that it was trained for.</summary>
    public TaskHead Head { get; }

    string? IBlockModel.LabelColumnName => null;

    int IBlockModel.Outputs => ScoredOutputs;

    /// <summary>Name of the method that trained it.</summary>
    public required string MethodName { get; init; }

    /// <summary>The options of its training that are plain values, as JSON.</summary>
    public string OptionsJson { get; init; } = "{}";

    /// <summary>Whether it takes features that are NaN or infinite.</summary>
    public bool AcceptsMissingValues { get; init; }

    /// <summary>How a row lies where rows are sets of items, and the columns that it comes from beside the features; null for vectors of known size.</summary>
    public SetLayout? Sets { get; init; }

    /// <summary>How a row lies where the network reads other columns beside the features; null where it does not.</summary>
    public RowLayout? Layout => Definition.Layout;

    /// <summary>
    /// What the images of the feature column became in training, which images that are scored become too; a vector of as many numbers is taken as it is. Null where it held vectors.
    /// </summary>
    public ImageShape? Images { get; init; }

    /// <summary>Names of the features, where the training data named them.</summary>
    public IReadOnlyList<string>? FeatureNames { get; init; }

    /// <summary>The losses of its training.</summary>
    public LearningCurve LearningCurve { get; init; } = LearningCurve.Empty;

    /// <summary>
    /// What the method left for a training that goes on from this model, beside the weights: sums over the rows so far, for one. Null where it
    /// left nothing, and in models whose network was changed after training.
    /// </summary>
    public WeightSet? State { get; init; }

    /// <summary>What the method found out about the data in training, as JSON; null where it has nothing to tell.</summary>
    public string? DiagnosticsJson { get; init; }

    /// <summary>Number of trained and fixed values in the network.</summary>
    public long WeightCount => Definition.WeightCount;

    /// <summary>
    /// Number of features of a row; for <see cref="Sets"/> numbers of the longest row that it was trained on; with a <see cref="Layout"/> all numbers of a row.
    /// </summary>
    public int Inputs => Definition.Inputs;

    /// <summary>Number of scores of a row.</summary>
    public int Outputs => Definition.Outputs;

    /// <summary>Numbers that scoring gives for a row: its scores, and then the values of the columns that the network adds.</summary>
    internal int ScoredOutputs { get; }

    /// <summary>
    /// Scores rows: regression in the label's unit, binary as logits, multiclass as probabilities, features as activations. A row's scores do
    /// not depend on the rows that are scored with it. Safe for all threads at once.
    /// </summary>
    /// <param name="rows">Features [n, <see cref="Inputs"/>], row after row; rows of <see cref="Sets"/> may have any one width that these have.</param>
    /// <param name="scores">Room for [n, <see cref="Outputs"/>] scores.</param>
    /// <returns>Index of the first row with a score that is not finite, or -1.</returns>
    public int Score(ReadOnlySpan<float> rows, Span<float> scores)
    {
        if (ScoredOutputs == Outputs)
            return ScoreAll(rows, scores);
        var count = scores.Length / Outputs;
        var all = new float[count * ScoredOutputs];
        var bad = ScoreAll(rows, all);
        for (var row = 0; row < count; row++)
            all.AsSpan(row * ScoredOutputs, Outputs).CopyTo(scores[(row * Outputs)..]);
        return bad;
    }

    int IBlockModel.Compute(in ModelRows rows, Span<float> values) => ScoreAll(rows.Features, values);

    /// <summary>The same model with another network for the same features and task.</summary>
    /// <param name="definition">The record that rebuilds the network.</param>
    /// <param name="weights">Its weights.</param>
    /// <param name="learningCurve">The losses of the part of the training that is left.</param>
    /// <returns>The other model; this one stays as it is.</returns>
    /// <exception cref="ModelFormatException">The weights are not those of such a network, or not finite.</exception>
    public TrainedNetwork WithNetwork(NetworkDefinition definition, WeightSet weights, LearningCurve learningCurve) =>
        With(definition, weights, Head, learningCurve);

    /// <summary>Reads what the method found out about the data in training.</summary>
    /// <typeparam name="TDiagnostics">The type that the method says.</typeparam>
    /// <returns>The findings, or null where there are none.</returns>
    /// <exception cref="ModelFormatException">The model holds findings of another kind.</exception>
    public TDiagnostics? GetDiagnostics<TDiagnostics>()
        where TDiagnostics : class
    {
        try
        {
            return DiagnosticsJson is null ? null : JsonSerializer.Deserialize<TDiagnostics>(DiagnosticsJson, StrictJson.Settings);
        }
        catch (JsonException e)
        {
            throw new ModelFormatException($"{TrainedNetworkFile.HeaderEntryName}: the diagnostics of {MethodName} are not those of {typeof(TDiagnostics).Name}: {e.Message}", e);
        }
    }

    /// <summary>The columns that rows are read from.</summary>
    /// <param name="feature">The feature column; null for none.</param>
    /// <returns>The columns.</returns>
    internal FeatureColumns Columns(string? feature) => new(feature, Sets, Layout, Images: Images);

    /// <summary>Gives back what native memory scoring has taken; the next row takes it again.</summary>
    internal void Release() => (_scorer as NativeScorer)?.Release();

    /// <summary>Takes the last layer away: what remains computes features for other trainers.</summary>
    /// <returns>The body with those of the weights that it needs; null where the method offers none.</returns>
    public TrainedNetwork? CreateBody() => Definition.Body is { } body ? CreatePart(body) : null;

    /// <summary>Takes a part of the network, whose values are features or tell how the network came to its scores.</summary>
    /// <param name="part">The part: a network for the same rows, whose tensors are those of this network by the same names, or some of them.</param>
    /// <returns>The part with those of the weights that it needs.</returns>
    /// <exception cref="ModelFormatException">The part has a tensor that this network has not.</exception>
    public TrainedNetwork CreatePart(NetworkDefinition part)
    {
        ArgumentNullException.ThrowIfNull(part);
        var reader = Weights.ReadPart();
        if (part.BuildScorer(reader) is null)
        {
            LibTorch.Load();
            Network.TakeWeights(part, reader);
        }

        return With(part, [.. reader.Taken], new FeatureHead { Width = part.Outputs }, LearningCurve);
    }

    /// <summary>Builds the network on a device, with the trained weights and in evaluation mode.</summary>
    /// <returns>The network; the caller owns it.</returns>
    public Network CreateNetwork()
    {
        LibTorch.Load();
        var network = Definition.Build(TorchSharp.torch.CPU);
        network.WriteWeights(Weights);
        network.eval();
        return network;
    }

    /// <summary>The same weights in a network that uses more or fewer of them: what a later training goes on from is still right.</summary>
    internal TrainedNetwork WithDefinition(NetworkDefinition definition) => With(definition, Weights, Head, LearningCurve, State);

    private int ScoreAll(ReadOnlySpan<float> rows, Span<float> values)
    {
        _scorer.Score(rows, values);
        for (var start = 0; start < values.Length; start += ScoredOutputs)
            Head.Finish(values.Slice(start, Outputs));
        var bad = Finite.IndexOfNonFinite(values);
        return bad < 0 ? -1 : bad / ScoredOutputs;
    }

    private TrainedNetwork With(NetworkDefinition definition, WeightSet weights, TaskHead head, LearningCurve learningCurve, WeightSet? state = null) => new(definition, weights, head)
    {
        MethodName = MethodName,
        OptionsJson = OptionsJson,
        AcceptsMissingValues = AcceptsMissingValues,
        FeatureNames = FeatureNames,
        Sets = Sets,
        Images = Images,
        LearningCurve = learningCurve,
        State = state,
        DiagnosticsJson = DiagnosticsJson,
    };
}
