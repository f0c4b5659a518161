using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.Runtime;
using MlNetMlp.Explanations;

namespace MlNetMlp.Interop;

/// <summary>The scores of any ML.NET model of a feature column at points of one's own.</summary>
internal static class PredictorScores
{
    /// <summary>Looks at what the model puts out, and makes what explains it.</summary>
    /// <param name="env">The environment.</param>
    /// <param name="predictor">The model.</param>
    /// <param name="state">Options and figures of the features.</param>
    /// <returns>The explainer; the caller owns it.</returns>
    /// <exception cref="InvalidOperationException">The model puts out no score, or no probability that is to be explained.</exception>
    public static ScoreExplainer CreateExplainer(IHostEnvironment env, ISingleFeaturePredictionTransformer<object> predictor, ExplanationState state)
    {
        var schema = predictor.GetOutputSchema(View([new float[state.Features]]).Schema);
        var scores = schema.GetColumnOrNull("Score") is { } score
            ? (score.Type as VectorDataViewType)?.Size ?? 1
            : throw new InvalidOperationException($"The model ({predictor.GetType().Name}) puts out no column 'Score' to be explained.");
        var isBinary = scores == 1 && schema.GetColumnOrNull("PredictedLabel")?.Type is BooleanDataViewType;
        var column = isBinary && state.Options.Output == ExplainedOutput.Probability ? "Probability" : "Score";
        if (schema.GetColumnOrNull(column) is null)
            throw new InvalidOperationException("The option 'Output' is Probability, but the model is not calibrated: it puts out no column 'Probability'. Choose Logit, which explains its 'Score'.");
        return new(state, Read, scores, isBinary);

        float[] Read(float[][] rows)
        {
            var scored = predictor.Transform(View(rows));
            return scores == 1 ? [.. scored.GetColumn<float>(column)] : [.. scored.GetColumn<float[]>(column).SelectMany(row => row)];
        }

        IDataView View(float[][] rows)
        {
            var definition = SchemaDefinition.Create(typeof(Row));
            var values = definition[nameof(Row.Values)];
            (values.ColumnName, values.ColumnType) = (predictor.FeatureColumnName, new VectorDataViewType(NumberDataViewType.Single, state.Features));
            return DataViewConstructionUtils.CreateFromEnumerable(env, rows.Select(row => new Row { Values = row }), definition);
        }
    }

    private sealed class Row
    {
        public float[] Values { get; set; } = [];
    }
}
