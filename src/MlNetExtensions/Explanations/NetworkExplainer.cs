using MlNetMlp.Methods;
using MlNetMlp.Networks;
using MlNetMlp.Runtime;
using static TorchSharp.torch;

namespace MlNetMlp.Explanations;

/// <summary>Explains a network by its own gradients.</summary>
internal sealed class NetworkExplainer : Explainer
{
    private readonly DifferentiableModel _model;
    private readonly TaskHead _head;

    public NetworkExplainer(ExplanationState state, TrainedNetwork network)
        : base(state, network.Outputs)
    {
        (_model, _head) = (new(network), network.Head);
    }

    public override bool AcceptsMissingValues => _model.Trained.AcceptsMissingValues;

    protected override int LabelClasses => _head switch
    {
        BinaryHead => 2,
        MulticlassHead classes => classes.Classes,
        _ => 0,
    };

    public override void Dispose() => _model.Dispose();

    protected override Tensor Forward(Tensor x) => _model.Forward(x);

    protected override Tensor Gradient(Tensor x, Tensor? classes, Tensor? labels)
    {
        var (values, gradients) = _model.Gradient(x, outputs => Value(outputs, classes, labels));
        values.Dispose();
        return gradients;
    }

    protected override Tensor AffinePart(Tensor x) => _model.AffinePart(x);

    protected override Tensor ContinuedGradient(Tensor begun, Tensor? classes, Tensor? labels) => _model.ContinuedGradient(begun, outputs => Value(outputs, classes, labels));

    protected override Tensor PullBack(Tensor slopes) => _model.PullBack(slopes);

    // Of two classes what speaks for true is told, whatever is predicted.
    protected override Tensor? Predicted(Tensor outputs) => _head switch
    {
        BinaryHead => ones(outputs.shape[0], ScalarType.Int64),
        MulticlassHead => outputs.argmax(1),
        _ => null,
    };

    protected override Tensor Value(Tensor outputs, Tensor? classes, Tensor? labels)
    {
        switch (_head)
        {
            case RegressionHead regression:
                var number = outputs.flatten().Times(regression.LabelScale).Plus(regression.LabelMean);
                if (Options.Output != ExplainedOutput.Loss)
                    return number;
                var error = number.sub(labels!);
                return error.mul(error);
            case BinaryHead:
                var margin = outputs.flatten().mul(classes!.to(ScalarType.Float32).Times(2).Plus(-1));
                return Options.Output switch
                {
                    ExplainedOutput.Probability => margin.sigmoid(),
                    ExplainedOutput.Loss => nn.functional.softplus(margin.neg()),
                    _ => margin,
                };
            case MultiOutputRegressionHead several:
                var (means, scales) = (Values(several.LabelMeans), Values(several.LabelScales));
                return Own(outputs).mul(scales.index_select(0, classes!)).Plus(means.index_select(0, classes!));
            default:
                return Options.Output switch
                {
                    ExplainedOutput.Probability => Own(outputs.softmax(1)),
                    ExplainedOutput.Loss => outputs.logsumexp(1).sub(Own(outputs)),
                    _ => Own(outputs),
                };
        }

        Tensor Own(Tensor values) => values.gather(1, classes!.unsqueeze(1)).squeeze(1);

        static Tensor Values(IReadOnlyList<double> numbers) => tensor([.. numbers.Select(number => (float)number)]);
    }
}
