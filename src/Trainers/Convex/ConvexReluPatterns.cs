using MlNetMlp.Runtime;
using MlNetMlp.Training;
using TorchSharp;
using static TorchSharp.torch;
using Parameter = TorchSharp.Modules.Parameter;

namespace MlNetMlp.Convex;

/// <summary>Where the activation patterns of convex training come from.</summary>
public enum ConvexReluPatternSource
{
    /// <summary>Hyperplanes with normally distributed directions.</summary>
    Gaussian,

    /// <summary>
    /// Half of them from the units of a network that is trained by Adam for a moment: the optimum over them is at least as good as that network, and
    /// on hard problems much better than that over random patterns alone.
    /// </summary>
    GaussianPlusTrainedNetwork,
}

/// <summary>Activation patterns: which rows a unit is active on, D_i = [Xg_i ≥ 0], without duplicates and without the pattern of no row.</summary>
internal static class ConvexReluPatterns
{
    private const int TrainingSteps = 300;
    private const double LearningRate = 0.02;

    /// <summary>The patterns of given hyperplanes.</summary>
    /// <param name="x">X [n, d].</param>
    /// <param name="directions">g [d, m].</param>
    /// <param name="most">Patterns to keep at most, the first ones.</param>
    /// <param name="shifts">What is added to Xg [m]; null for nothing.</param>
    /// <returns>D, 0 or 1, of the type of X [n, P]; at least one column, all ones where no hyperplane has an active row.</returns>
    public static Tensor Of(Tensor x, Tensor directions, int most, Tensor? shifts = null)
    {
        using var scope = NewDisposeScope();
        var sides = x.mm(directions);
        if (shifts is not null)
            sides.AddScaled(shifts);
        var gates = sides.ge(zeros(1, x.dtype, x.device)).to(x.dtype);
        return Distinct(gates, most).MoveToOuterDisposeScope();
    }

    /// <summary>Leaves out columns that are zero or there already.</summary>
    public static Tensor Distinct(Tensor gates, int most)
    {
        using var scope = NewDisposeScope();

        // Sums of whole numbers are the same in whatever order they are added, so equal columns have equal hashes.
        using var random = new Generator(1, CPU);
        var keys = randint(1, long.MaxValue / 2, [gates.shape[0], 1], ScalarType.Int64, generator: random).to(gates.device);
        var (seen, kept) = (new HashSet<(long, long)>(), new List<long>());
        const long block = 256;
        for (long first = 0; first < gates.shape[1] && kept.Count < most; first += block)
        {
            using var inner = NewDisposeScope();
            var part = gates.narrow(1, first, Math.Min(block, gates.shape[1] - first)).to(ScalarType.Int64);
            var hashes = part.mul(keys).sum(0L).cpu().data<long>().ToArray();
            var counts = part.sum(0L).cpu().data<long>().ToArray();
            for (var i = 0; i < hashes.Length && kept.Count < most; i++)
            {
                if (counts[i] > 0 && seen.Add((hashes[i], counts[i])))
                    kept.Add(first + i);
            }
        }

        if (kept.Count == 0)
            return ones([gates.shape[0], 1], gates.dtype, gates.device).MoveToOuterDisposeScope();
        return gates.index_select(1, tensor(kept.ToArray(), device: gates.device)).MoveToOuterDisposeScope();
    }

    /// <summary>Draws directions.</summary>
    /// <param name="width">d.</param>
    /// <param name="count">How many.</param>
    /// <param name="random">Where numbers are drawn from.</param>
    /// <param name="like">Type and device.</param>
    /// <returns>g [d, count].</returns>
    public static Tensor Draw(long width, int count, Generator random, Tensor like)
    {
        // One direction after the other, so that more patterns are the same ones and some more.
        using var drawn = empty(count, width).normal_(0, 1, random);
        using var turned = drawn.t();
        return turned.to(like.dtype, like.device, copy: true);
    }

    /// <summary>Trains the units of (XW)₊α on ℓ + β/2·(‖W‖² + ‖α‖²) by Adam on all rows.</summary>
    /// <param name="x">X [n, d].</param>
    /// <param name="targets">y [n, C].</param>
    /// <param name="weights">w [n], or null.</param>
    /// <param name="loss">ℓ.</param>
    /// <param name="beta">β.</param>
    /// <param name="count">Number of units.</param>
    /// <param name="random">Where initial weights are drawn from.</param>
    /// <param name="checkCancelled">Throws when it is to stop.</param>
    /// <param name="steps">Steps.</param>
    /// <returns>W [d, count] and α [count, C].</returns>
    public static (Tensor Hidden, Tensor Output) Train(
        Tensor x, Tensor targets, Tensor? weights, ConvexReluLossFunction loss, double beta, int count, Generator random, Action checkCancelled,
        int steps = TrainingSteps)
    {
        // The gradient is in closed form.
        using var noGradient = no_grad();
        using var scope = NewDisposeScope();
        var scale = 1 / (weights?.sum().ToDouble() ?? x.shape[0]);
        var w = Draw(x.shape[1], count, random, x);
        w.Scale(Math.Sqrt(2.0 / x.shape[1]));
        var a = Draw(count, (int)targets.shape[1], random, x);
        a.Scale(Math.Sqrt(1.0 / count));
        using var units = new TrainedUnits(w, a);
        using var flat = new FlatParameters(units);
        using var adam = new Adam(flat);
        for (var step = 1; step <= steps; step++)
        {
            using var inner = NewDisposeScope();
            checkCancelled();
            var z = x.mm(units.Hidden).relu_();
            var slopes = loss.Slopes(z.mm(units.Output), targets);
            if (weights is not null)
                slopes.mul_(weights.unsqueeze(1));
            slopes.Scale(-scale);
            var back = slopes.mm(units.Output.t()).mul_(z.IsAbove(0));
            var (forW, forA) = (x.t().mm(back), z.t().mm(slopes));
            forW.AddScaled(units.Hidden, beta * scale);
            forA.AddScaled(units.Output, beta * scale);
            units.Hidden.grad!.copy_(forW);
            units.Output.grad!.copy_(forA);

            // A cosine to zero.
            adam.Step(LearningRate * 0.5 * (1 + Math.Cos(Math.PI * (step - 1) / steps)));
        }

        return (units.Hidden.detach().clone().MoveToOuterDisposeScope(), units.Output.detach().clone().MoveToOuterDisposeScope());
    }

    private sealed class TrainedUnits : nn.Module
    {
        public TrainedUnits(Tensor hidden, Tensor output)
            : base(nameof(TrainedUnits))
        {
            (Hidden, Output) = (new(hidden), new(output));
            register_parameter(nameof(Hidden), Hidden);
            register_parameter(nameof(Output), Output);
        }

        public Parameter Hidden { get; }

        public Parameter Output { get; }
    }
}
