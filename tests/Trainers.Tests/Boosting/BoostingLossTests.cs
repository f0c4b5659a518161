using MlNetMlp.Boosting;
using MlNetMlp.Networks;
using MlNetMlp.Tests.Support;
using TorchSharp;
using static TorchSharp.torch;

namespace MlNetMlp.Tests.Boosting;

public class BoostingLossTests
{
    private const int Rows = 12;

    public static TheoryData<string> Tasks => ["regression", "columns", "binary", "multiclass"];

    [Theory]
    [MemberData(nameof(Tasks))]
    public void Residuals_are_what_autograd_makes_of_the_loss(string task)
    {
        using var scope = NewDisposeScope();
        var (head, labels, f) = Problem(task);
        var point = f.clone().requires_grad_();
        Loss(task, labels, point).backward();
        var residuals = BoostingLoss.For(head).Residuals(labels, f);
        Assert.True((residuals + point.grad!).abs().max().ToDouble() < 1e-6);
    }

    [Theory]
    [InlineData("binary")]
    [InlineData("multiclass")]
    public void A_step_is_one_of_newton_on_a_line(string task)
    {
        using var scope = NewDisposeScope();
        var (head, labels, f) = Problem(task);
        var (h, weights) = (TestData.Normal(5, [.. f.shape]), tensor(Enumerable.Range(0, Rows).Select(i => 1f + (i % 3)).ToArray()));
        var slope = Derivative(rho => Loss(task, labels, f + (rho * h), weights));
        var curvature = task == "binary"
            ? Derivative(rho => Loss(task, labels, f + (rho * h), weights), 2)
            : (weights.unsqueeze(1) * h.square() * f.softmax(1) * (1 - f.softmax(1))).sum().ToDouble();
        var loss = BoostingLoss.For(head);
        Assert.Equal(-slope / curvature, loss.StepSize(loss.Residuals(labels, f), h, weights)!.Value, 1e-5);
    }

    [Fact]
    public void Steps_are_clipped_and_end_where_nothing_curves()
    {
        using var scope = NewDisposeScope();
        var loss = new LogisticLoss();
        var labels = ones(4);
        Assert.Null(loss.StepSize(loss.Residuals(labels, full(4, 1, 100f)), ones(4, 1), null));
        Assert.Equal(10, loss.StepSize(loss.Residuals(labels, zeros(4, 1)), full(4, 1, 1e-3f), null));
        Assert.Equal(-10, loss.StepSize(loss.Residuals(labels, zeros(4, 1)), full(4, 1, -1e-3f), null));
        Assert.Equal(1, new SquaredLoss().StepSize(ones(4, 1), ones(4, 1), null));
    }

    [Fact]
    public void Constants_are_those_of_least_loss_or_zero()
    {
        using var scope = NewDisposeScope();
        var votes = tensor(Enumerable.Range(0, 10).Select(i => i < 7 ? 1f : 0f).ToArray());
        Assert.Equal(Math.Log(7.0 / 3) / 2, new LogisticLoss().Constant(votes, null, 1)[0], 1e-7);
        Assert.Equal(Math.Log(14.0 / 3) / 2, new LogisticLoss().Constant(votes, votes + 1, 1)[0], 1e-7);
        Assert.Equal(Math.Log(1.999999 / 1e-6) / 2, new LogisticLoss().Constant(ones(5), null, 1)[0], 1e-6);
        var columns = tensor(new float[] { 1, 10, 2, 20, 6, 60 }, [3, 2]);
        Assert.Equal([3.0, 30], new SquaredLoss().Constant(columns, null, 2));
        Assert.Equal([3.75, 37.5], new SquaredLoss().Constant(columns, tensor(new float[] { 0.75f, 0.75f, 1.5f }), 2), (a, b) => Math.Abs(a - b) < 1e-6);
        Assert.Equal(new double[3], new SoftmaxLoss().Constant(tensor(new long[] { 0, 0, 2 }), null, 3));
    }

    private static (TaskHead Head, Tensor Labels, Tensor F) Problem(string task) => task switch
    {
        "regression" => (new RegressionHead { LabelMean = 0, LabelScale = 1 }, TestData.Normal(1, Rows), TestData.Normal(2, Rows, 1)),
        "columns" => (new RegressionHead { LabelMean = 0, LabelScale = 1 }, TestData.Normal(1, Rows, 3), TestData.Normal(2, Rows, 3)),
        "binary" => (new BinaryHead(), TestData.Normal(1, Rows).gt(0).to(ScalarType.Float32), TestData.Normal(2, Rows, 1) * 2),
        _ => (new MulticlassHead { Classes = 3 }, arange(Rows, ScalarType.Int64).remainder(3), TestData.Normal(2, Rows, 3)),
    };

    // The losses as the paper has them, summed over rows.
    private static Tensor Loss(string task, Tensor labels, Tensor f, Tensor? weights = null)
    {
        var rows = task switch
        {
            "binary" => (1 + ((1 - (2 * labels)) * 2 * f.squeeze(1)).exp()).log(),
            "multiclass" => f.logsumexp(1) - f.gather(1, labels.unsqueeze(1)).squeeze(1),
            _ => (labels.view_as(f) - f).square().sum(1) / 2,
        };
        return (weights is null ? rows : rows * weights).sum();
    }

    private static double Derivative(Func<Tensor, Tensor> function, int order = 1)
    {
        var x = zeros(1).requires_grad_();
        var value = function(x);
        for (var i = 0; i < order; i++)
            value = autograd.grad([value.sum()], [x], retain_graph: true, create_graph: true)[0];
        return value.ToDouble();
    }
}
