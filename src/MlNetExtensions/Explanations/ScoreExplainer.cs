using MlNetMlp.Runtime;
using static TorchSharp.torch;

namespace MlNetMlp.Explanations;

/// <summary>Explains any model by its scores at other points.</summary>
internal sealed class ScoreExplainer : Explainer
{
    private readonly Func<float[][], float[]> _score;
    private readonly int _scores;
    private readonly bool _isBinary;

    /// <summary>Prepares explanations.</summary>
    /// <param name="state">Options and figures of the features.</param>
    /// <param name="score">Scores rows: the scores of each, row after row; of binary classification what <see cref="ExplanationOptions.Output"/> says, of the class true.</param>
    /// <param name="scores">Number of scores of a row.</param>
    /// <param name="isBinary">Whether the score tells true from false.</param>
    public ScoreExplainer(ExplanationState state, Func<float[][], float[]> score, int scores, bool isBinary)
        : base(state, scores)
    {
        LibTorch.Load();
        (_score, _scores, _isBinary) = (score, scores, isBinary);
    }

    protected override int LabelClasses => _isBinary ? 2 : _scores > 1 ? _scores : 0;

    public override void Dispose()
    {
    }

    protected override Tensor Forward(Tensor x) => tensor(_score([.. TensorMemory.ToFloats(x).Chunk(Inputs)]), [x.shape[0], _scores]);

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
}
