using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.Runtime;
using MlNetMlp.Explanations;
using MlNetMlp.Runtime;
using static TorchSharp.torch;

namespace MlNetMlp.Interop;

/// <summary>Explains any ML.NET model of a feature column by its scores at other points.</summary>
internal sealed class BlackBoxExplainer : Explainer
{
    private readonly IHostEnvironment _env;
    private readonly ISingleFeaturePredictionTransformer<object> _predictor;
    private readonly bool _isBinary;
    private readonly int _scores;
    private readonly string _column;

    private BlackBoxExplainer(IHostEnvironment env, ISingleFeaturePredictionTransformer<object> predictor, ExplanationState state, int scores, bool isBinary)
        : base(state, scores)
    {
        LibTorch.Load();
        (_env, _predictor, _scores, _isBinary) = (env, predictor, scores, isBinary);
        _column = isBinary && Options.Output == ExplainedOutput.Probability ? "Probability" : "Score";
    }

    protected override int LabelClasses => _isBinary ? 2 : _scores > 1 ? _scores : 0;

    /// <summary>Looks at what the model puts out.</summary>
    /// <param name="env">The environment.</param>
    /// <param name="predictor">The model.</param>
    /// <param name="state">Options and figures of the features.</param>
    /// <returns>The explainer; the caller owns it.</returns>
    public static BlackBoxExplainer Create(IHostEnvironment env, ISingleFeaturePredictionTransformer<object> predictor, ExplanationState state)
    {
        var schema = predictor.GetOutputSchema(View(env, predictor.FeatureColumnName, [new float[state.Features]]).Schema);
        var scores = schema.GetColumnOrNull("Score") is { } score
            ? (score.Type as VectorDataViewType)?.Size ?? 1
            : throw new InvalidOperationException($"The model ({predictor.GetType().Name}) puts out no column 'Score' to be explained.");
        var isBinary = scores == 1 && schema.GetColumnOrNull("PredictedLabel")?.Type is BooleanDataViewType;
        if (isBinary && state.Options.Output == ExplainedOutput.Probability && schema.GetColumnOrNull("Probability") is null)
            throw new InvalidOperationException("The option 'Output' is Probability, but the model is not calibrated: it puts out no column 'Probability'. Choose Logit, which explains its 'Score'.");
        return new(env, predictor, state, scores, isBinary);
    }

    public override void Dispose()
    {
    }

    protected override Tensor Forward(Tensor x)
    {
        var scored = _predictor.Transform(View(_env, _predictor.FeatureColumnName, [.. TensorMemory.ToFloats(x).Chunk(Inputs)]));
        float[] scores = _scores == 1 ? [.. scored.GetColumn<float>(_column)] : [.. scored.GetColumn<float[]>(_column).SelectMany(score => score)];
        return tensor(scores, [x.shape[0], _scores]);
    }

    protected override Tensor? Predicted(Tensor outputs) => _scores > 1 ? outputs.argmax(1) : _isBinary ? ones(outputs.shape[0], ScalarType.Int64) : null;

    protected override Tensor Value(Tensor outputs, Tensor? classes, Tensor? labels)
    {
        if (_scores > 1)
            return outputs.gather(1, classes!.unsqueeze(1)).squeeze(1);
        if (!_isBinary)
            return outputs.flatten();

        // What speaks for false is 1 − p, or the score with the other sign.
        var sign = classes!.to(ScalarType.Float32).Times(2).Plus(-1);
        return Options.Output == ExplainedOutput.Probability ? outputs.flatten().Plus(-0.5).mul(sign).Plus(0.5) : outputs.flatten().mul(sign);
    }

    protected override Tensor Gradient(Tensor x, Tensor? classes, Tensor? labels) =>
        throw new InvalidOperationException($"The model ({_predictor.GetType().Name}) has no gradients.");

    private static DataViewConstructionUtils.StreamingDataView<Row> View(IHostEnvironment env, string column, float[][] rows)
    {
        var schema = SchemaDefinition.Create(typeof(Row));
        var values = schema[nameof(Row.Values)];
        (values.ColumnName, values.ColumnType) = (column, new VectorDataViewType(NumberDataViewType.Single, rows[0].Length));
        return DataViewConstructionUtils.CreateFromEnumerable(env, rows.Select(row => new Row { Values = row }), schema);
    }

    private sealed class Row
    {
        public float[] Values { get; set; } = [];
    }
}
