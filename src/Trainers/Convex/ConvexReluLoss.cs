using MlNetMlp.Networks;
using MlNetMlp.Runtime;
using TorchSharp;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace MlNetMlp.Convex;

/// <summary>The loss of convex training, for labels y that are ±1 for classes and standardised for regression.</summary>
public enum ConvexReluLoss
{
    /// <summary>½(f − y)².</summary>
    Squared,

    /// <summary>log(1 + exp(−2yf)), for classification.</summary>
    Logistic,

    /// <summary>max(0, 1 − yf), for classification.</summary>
    Hinge,
}

/// <summary>A convex loss ℓ of a value f and a label y, elementwise, with all that splitting methods and dual bounds need of it.</summary>
internal abstract class ConvexReluLossFunction
{
    /// <summary>The function of a loss, which has to be one for the task.</summary>
    /// <exception cref="InvalidOperationException">It is for classification, and the task is not.</exception>
    public static ConvexReluLossFunction For(ConvexReluLoss loss, TaskHead head) => head is RegressionHead && loss != ConvexReluLoss.Squared
        ? throw new InvalidOperationException($"The option 'Loss' is {loss}, which is for classification. Choose Squared for regression.")
        : Of(loss);

    public static ConvexReluLossFunction Of(ConvexReluLoss loss) => loss switch
    {
        ConvexReluLoss.Logistic => new LogisticLoss(),
        ConvexReluLoss.Hinge => new HingeLoss(),
        _ => new SquaredLoss(),
    };

    /// <summary>Whether ℓ is quadratic, so that the linear system of an iteration takes it in.</summary>
    public virtual bool IsSquared => false;

    /// <summary>ℓ(f, y).</summary>
    public abstract Tensor Values(Tensor f, Tensor y);

    /// <summary>−ℓ'(f, y); for the hinge a subgradient.</summary>
    public abstract Tensor Slopes(Tensor f, Tensor y);

    /// <summary>The minimiser of ℓ(p, y) + ρ/2·(p − q)² over p.</summary>
    public abstract Tensor Proximal(Tensor q, Tensor y, double rho);

    /// <summary>The least value of ℓ(f, y) + af over f, where it is finite.</summary>
    public abstract Tensor DualValues(Tensor a, Tensor y);

    /// <summary>ℓ_rob(p, a): the loss of the worst value within ±a of p, a ≥ 0. Only the squared loss tells the sign of the error.</summary>
    public virtual Tensor WorstValues(Tensor p, Tensor a, Tensor y) => Values(p.sub(y.mul(a)), y);

    private sealed class SquaredLoss : ConvexReluLossFunction
    {
        public override bool IsSquared => true;

        public override Tensor Values(Tensor f, Tensor y)
        {
            var error = f.sub(y);
            return error.mul(error).Times(0.5);
        }

        public override Tensor Slopes(Tensor f, Tensor y) => y.sub(f);

        public override Tensor Proximal(Tensor q, Tensor y, double rho) => y.Plus(q.Times(rho)).Times(1 / (1 + rho));

        public override Tensor DualValues(Tensor a, Tensor y) => a.mul(y.sub(a.Times(0.5)));

        public override Tensor WorstValues(Tensor p, Tensor a, Tensor y)
        {
            var error = p.sub(y).abs().Plus(a);
            return error.mul(error).Times(0.5);
        }
    }

    private sealed class LogisticLoss : ConvexReluLossFunction
    {
        private const int NewtonSteps = 30;
        private const float Tiny = 1e-30f;

        public override Tensor Values(Tensor f, Tensor y) => functional.softplus(f.mul(y).Times(-2));

        public override Tensor Slopes(Tensor f, Tensor y) => f.mul(y).Times(-2).sigmoid().mul(y).Times(2);

        // In the margin m = yf the minimiser is the root of ρ(m − m₀) − 2σ(−2m), which rises, in [m₀, m₀ + 2/ρ]: Newton, halving where it leaves the bracket.
        public override Tensor Proximal(Tensor q, Tensor y, double rho)
        {
            var start = q.mul(y);
            var (low, high) = (start, start.Plus(2 / rho));
            var m = start.maximum(high.minimum(zeros_like(start)));
            for (var step = 0; step < NewtonSteps; step++)
            {
                var pull = m.Times(-2).sigmoid();
                var value = m.sub(start).Times(rho).sub(pull.Times(2));
                var slope = pull.mul(pull.neg().Plus(1)).Times(4).Plus(rho);
                var isHigh = value.IsAbove(0);
                (low, high) = (where(isHigh, low, m), where(isHigh, m, high));
                var next = m.sub(value.div(slope));
                next = where(next.ge(low).logical_and(next.le(high)), next, low.Plus(high).Times(0.5));
                var isDone = next.sub(m).abs().max().ToDouble() <= 1e-15 * (1 + (1 / rho));
                m = next;
                if (isDone)
                    break;
            }

            return m.mul(y);
        }

        public override Tensor DualValues(Tensor a, Tensor y)
        {
            // The entropy, 0 at both ends.
            var t = a.mul(y).Times(0.5).CutTo(0, 1);
            var rest = t.neg().Plus(1);
            return t.mul(t.AtLeast(Tiny).log()).Plus(rest.mul(rest.AtLeast(Tiny).log())).neg();
        }
    }

    private sealed class HingeLoss : ConvexReluLossFunction
    {
        public override Tensor Values(Tensor f, Tensor y) => f.mul(y).neg().Plus(1).relu();

        public override Tensor Slopes(Tensor f, Tensor y) => f.mul(y).neg().Plus(1).IsAbove(0).to(f.dtype).mul(y);

        public override Tensor Proximal(Tensor q, Tensor y, double rho)
        {
            var start = q.mul(y);
            return start.maximum(start.Plus(1 / rho).minimum(ones_like(start))).mul(y);
        }

        public override Tensor DualValues(Tensor a, Tensor y) => a.mul(y);
    }
}
