using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace MlNetMlp.Scoring;

/// <summary>
/// Writes a <see cref="DenseProgram"/> step by step. Registers hold one vector of activations per row; steps run in the order in which they
/// were added. All values given are copied, but for weights that are given as memory or as a function: what does not fit the processor as it is saved is then made and laid out when the first row comes,
/// so that a large network that is loaded is there once until it is used.
/// </summary>
/// <remarks>Not safe for several threads; the programs that it builds are.</remarks>
public sealed class DenseProgramBuilder
{
    private readonly List<Recipe> _recipes = [];
    private readonly List<int> _widths = [];
    private int _calls;
    private long _parameters;

    /// <summary>Starts a program.</summary>
    /// <param name="inputs">Values per row, at least 1.</param>
    /// <exception cref="ArgumentException"><paramref name="inputs"/> is below 1.</exception>
    public DenseProgramBuilder(int inputs)
    {
        if (inputs < 1)
            throw new ArgumentException($"A program needs at least 1 input, found {inputs}.", nameof(inputs));
        Input = Declare(inputs);
    }

    /// <summary>The register that holds the caller's row.</summary>
    public DenseRegister Input { get; }

    /// <summary>A dense layer: activation(W x + b).</summary>
    /// <param name="from">x, [inputs].</param>
    /// <param name="weights">W, [outputs, inputs] row after row, as torch's Linear keeps it.</param>
    /// <param name="bias">b, [outputs], or empty for none.</param>
    /// <param name="outputs">The width of the new register, at least 1.</param>
    /// <param name="activation">Applied to each output.</param>
    /// <returns>A new register, [outputs].</returns>
    /// <exception cref="ArgumentException">A size does not fit; the message names the step, what it expected and what it found.</exception>
    [OverloadResolutionPriority(1)]
    public DenseRegister Dense(
        DenseRegister from, ReadOnlySpan<float> weights, ReadOnlySpan<float> bias, int outputs, Activation activation = Activation.Identity)
    {
        string step = NextStep(nameof(Dense));
        CheckRegister(step, from, nameof(from));
        CheckLayer(step, from.Width, weights.Length, bias, outputs, activation);
        return AppendDense(from, weights, bias, outputs, activation, null);
    }

    /// <inheritdoc cref="Dense(DenseRegister, ReadOnlySpan{float}, ReadOnlySpan{float}, int, Activation)"/>
    /// <param name="from">x, [inputs].</param>
    /// <param name="weights">W, [outputs, inputs] row after row; it may not change as long as the program is used.</param>
    /// <param name="bias">b, [outputs], or empty for none.</param>
    /// <param name="outputs">The width of the new register, at least 1.</param>
    /// <param name="activation">Applied to each output.</param>
    public DenseRegister Dense(
        DenseRegister from, ReadOnlyMemory<float> weights, ReadOnlySpan<float> bias, int outputs, Activation activation = Activation.Identity)
    {
        string step = NextStep(nameof(Dense));
        CheckRegister(step, from, nameof(from));
        CheckLayer(step, from.Width, weights.Length, bias, outputs, activation);
        return AppendDense(from, weights.Span, bias, outputs, activation, () => weights);
    }

    /// <inheritdoc cref="Dense(DenseRegister, ReadOnlySpan{float}, ReadOnlySpan{float}, int, Activation)"/>
    /// <param name="from">x, [inputs].</param>
    /// <param name="weights">Makes W, [outputs, inputs] row after row, whenever it is called; by any thread, with the first row at the latest.</param>
    /// <param name="bias">b, [outputs], or empty for none.</param>
    /// <param name="outputs">The width of the new register, at least 1.</param>
    /// <param name="activation">Applied to each output.</param>
    public DenseRegister Dense(
        DenseRegister from, Func<ReadOnlyMemory<float>> weights, ReadOnlySpan<float> bias, int outputs, Activation activation = Activation.Identity)
    {
        ArgumentNullException.ThrowIfNull(weights);
        string step = NextStep(nameof(Dense));
        CheckRegister(step, from, nameof(from));
        CheckLayer(step, from.Width, (long)outputs * from.Width, bias, outputs, activation);
        return AppendDense(from, default, bias, outputs, activation, weights);
    }

    /// <summary>A residual dense layer: target += activation(W x + b).</summary>
    /// <param name="target">The register that is changed, [outputs]. Steps already added have seen its old value.</param>
    /// <param name="from">x, [inputs]; may be the target itself.</param>
    /// <param name="weights">W, [outputs, inputs] row after row.</param>
    /// <param name="bias">b, [outputs], or empty for none.</param>
    /// <param name="activation">Applied to each output before it is added.</param>
    /// <exception cref="ArgumentException">A size does not fit; the message names the step, what it expected and what it found.</exception>
    [OverloadResolutionPriority(1)]
    public void AddDense(
        DenseRegister target, DenseRegister from, ReadOnlySpan<float> weights, ReadOnlySpan<float> bias,
        Activation activation = Activation.Identity) => AddDense(target, from, weights, weights.Length, bias, activation, null);

    /// <inheritdoc cref="AddDense(DenseRegister, DenseRegister, ReadOnlySpan{float}, ReadOnlySpan{float}, Activation)"/>
    /// <param name="target">The register that is changed, [outputs]. Steps already added have seen its old value.</param>
    /// <param name="from">x, [inputs]; may be the target itself.</param>
    /// <param name="weights">W, [outputs, inputs] row after row; it may not change as long as the program is used.</param>
    /// <param name="bias">b, [outputs], or empty for none.</param>
    /// <param name="activation">Applied to each output before it is added.</param>
    public void AddDense(
        DenseRegister target, DenseRegister from, ReadOnlyMemory<float> weights, ReadOnlySpan<float> bias,
        Activation activation = Activation.Identity) => AddDense(target, from, weights.Span, weights.Length, bias, activation, () => weights);

    /// <inheritdoc cref="AddDense(DenseRegister, DenseRegister, ReadOnlySpan{float}, ReadOnlySpan{float}, Activation)"/>
    /// <param name="target">The register that is changed, [outputs]. Steps already added have seen its old value.</param>
    /// <param name="from">x, [inputs]; may be the target itself.</param>
    /// <param name="weights">Makes W, [outputs, inputs] row after row, whenever it is called; by any thread, with the first row at the latest.</param>
    /// <param name="bias">b, [outputs], or empty for none.</param>
    /// <param name="activation">Applied to each output before it is added.</param>
    public void AddDense(
        DenseRegister target, DenseRegister from, Func<ReadOnlyMemory<float>> weights, ReadOnlySpan<float> bias, Activation activation = Activation.Identity)
    {
        ArgumentNullException.ThrowIfNull(weights);
        AddDense(target, from, default, (long)target.Width * from.Width, bias, activation, weights);
    }

    private void AddDense(
        DenseRegister target, DenseRegister from, ReadOnlySpan<float> weights, long count, ReadOnlySpan<float> bias, Activation activation, Func<ReadOnlyMemory<float>>? later)
    {
        string step = NextStep(nameof(AddDense));
        CheckRegister(step, target, nameof(target));
        CheckRegister(step, from, nameof(from));
        CheckLayer(step, from.Width, count, bias, target.Width, activation);
        bool direct = activation == Activation.Identity && from.Index != target.Index && !DotWeights.Suit(from.Width, target.Width);
        if (direct)
            AppendPanels(from.Index, target.Index, weights, bias, from.Width, target.Width, relu: false, adds: true, later);
        else
            _recipes.Add(new AddRecipe(AppendDense(from, weights, bias, target.Width, activation, later).Index, target.Index));
    }

    /// <summary>A residual connection: target += x.</summary>
    /// <param name="target">The register that is changed, [n]. Steps already added have seen its old value.</param>
    /// <param name="from">x, [n].</param>
    /// <exception cref="ArgumentException">The registers differ in width.</exception>
    public void Add(DenseRegister target, DenseRegister from)
    {
        string step = NextStep(nameof(Add));
        CheckRegister(step, target, nameof(target));
        CheckRegister(step, from, nameof(from));
        CheckSize(step, "the register added", from.Width, target.Width, nameof(from));
        _recipes.Add(new AddRecipe(from.Index, target.Index));
    }

    /// <summary>Layer normalisation: (x - mean) / sqrt(variance + epsilon) * gain + shift; the variance divides by n, as torch's.</summary>
    /// <param name="from">x, [n].</param>
    /// <param name="gain">[n], or empty for ones.</param>
    /// <param name="shift">[n], or empty for zeros.</param>
    /// <param name="epsilon">Added to the variance, finite, at least 0.</param>
    /// <returns>A new register, [n].</returns>
    /// <exception cref="ArgumentException">A size does not fit, or epsilon is out of range.</exception>
    public DenseRegister LayerNorm(DenseRegister from, ReadOnlySpan<float> gain, ReadOnlySpan<float> shift, float epsilon = 1e-5f)
    {
        string step = NextStep(nameof(LayerNorm));
        CheckRegister(step, from, nameof(from));
        CheckOptionalSize(step, "gain", gain.Length, from.Width, nameof(gain));
        CheckOptionalSize(step, "shift", shift.Length, from.Width, nameof(shift));
        if (!float.IsFinite(epsilon) || epsilon < 0)
            throw new ArgumentException($"{step}: epsilon is {epsilon}, expected a finite number of at least 0.", nameof(epsilon));
        AlignedFloats gains = AlignedFloats.Padded(gain);
        if (gain.IsEmpty)
        {
            gains = new AlignedFloats(AlignedFloats.Pad(from.Width));
            gains.Span[..from.Width].Fill(1);
        }

        AlignedFloats shifts = shift.IsEmpty ? new AlignedFloats(AlignedFloats.Pad(from.Width)) : AlignedFloats.Padded(shift);
        _parameters += gain.Length + shift.Length;
        DenseRegister to = Declare(from.Width);
        _recipes.Add(new LayerNormRecipe(from.Index, to.Index, gains, shifts, epsilon, from.Width));
        return to;
    }

    /// <summary>A function of each value.</summary>
    /// <param name="from">x, [n].</param>
    /// <param name="activation">The function.</param>
    /// <returns>A new register, [n].</returns>
    /// <exception cref="ArgumentException">The register is another builder's, or the function is unknown.</exception>
    public DenseRegister Elementwise(DenseRegister from, Activation activation)
    {
        string step = NextStep(nameof(Elementwise));
        CheckRegister(step, from, nameof(from));
        CheckActivation(step, activation);
        DenseRegister to = Declare(from.Width);
        _recipes.Add(new MapRecipe(from.Index, to.Index, activation));
        return to;
    }

    /// <summary>(x - shift) * scale slot by slot: standardises inputs, given the means and the inverse deviations.</summary>
    /// <param name="from">x, [n].</param>
    /// <param name="shift">[n].</param>
    /// <param name="scale">[n].</param>
    /// <returns>A new register, [n].</returns>
    /// <exception cref="ArgumentException">A size does not fit.</exception>
    public DenseRegister Affine(DenseRegister from, ReadOnlySpan<float> shift, ReadOnlySpan<float> scale)
    {
        string step = NextStep(nameof(Affine));
        CheckRegister(step, from, nameof(from));
        CheckSize(step, "shift", shift.Length, from.Width, nameof(shift));
        CheckSize(step, "scale", scale.Length, from.Width, nameof(scale));
        _parameters += shift.Length + scale.Length;
        DenseRegister to = Declare(from.Width);
        _recipes.Add(new AffineRecipe(from.Index, to.Index, AlignedFloats.Padded(shift), AlignedFloats.Padded(scale)));
        return to;
    }

    /// <summary>
    /// A piecewise-linear function of each slot, constant beyond its first and its last knot. NaN becomes the value of the last piece's end.
    /// </summary>
    /// <param name="from">x, [n].</param>
    /// <param name="positions">Where the knots are, [n, knots] row after row, non-decreasing in each row; at least 3 knots.</param>
    /// <param name="values">What is there, [n, knots].</param>
    /// <returns>A new register, [n].</returns>
    /// <exception cref="ArgumentException">A size does not fit.</exception>
    public DenseRegister PiecewiseLinear(DenseRegister from, ReadOnlySpan<float> positions, ReadOnlySpan<float> values)
    {
        string step = NextStep(nameof(PiecewiseLinear));
        CheckRegister(step, from, nameof(from));
        CheckSize(step, "values", values.Length, positions.Length, nameof(values));
        int knots = positions.Length / from.Width;
        if (knots < 3 || positions.Length % from.Width != 0)
            throw new ArgumentException($"{step}: positions hold {positions.Length} values, expected at least 3 for each of {from.Width} slots.", nameof(positions));
        _parameters += positions.Length + values.Length;
        DenseRegister to = Declare(from.Width);
        _recipes.Add(new PiecewiseLinearRecipe(from.Index, to.Index, new KnotTable(positions, values, from.Width, knots)));
        return to;
    }

    /// <summary>
    /// Sums of cosines of single values: y_ij = a_ij + sum over f of A_ifj cos(w_fj x_j + b_fj) for the first slots j of a register. These are the periodic embeddings of
    /// numbers of Gorishniy and others, "On Embeddings for Numerical Features in Tabular Deep Learning", 2022.
    /// </summary>
    /// <param name="from">x; its first slots count, as many as an offset has for each sum.</param>
    /// <param name="frequency">w, [frequencies, slots], in radians.</param>
    /// <param name="phase">b, [frequencies, slots].</param>
    /// <param name="amplitude">A, [sums, frequencies, slots].</param>
    /// <param name="offset">a, [sums, slots].</param>
    /// <param name="slots">Number of slots that are read, at least 1.</param>
    /// <returns>A new register, [sums, slots].</returns>
    /// <exception cref="ArgumentException">A size does not fit.</exception>
    public DenseRegister CosineSums(
        DenseRegister from, ReadOnlySpan<float> frequency, ReadOnlySpan<float> phase, ReadOnlySpan<float> amplitude, ReadOnlySpan<float> offset, int slots)
    {
        string step = NextStep(nameof(CosineSums));
        CheckRegister(step, from, nameof(from));
        if (slots < 1 || slots > from.Width)
            throw new ArgumentException($"{step}: slots is {slots}, expected 1 to {from.Width}.", nameof(slots));
        int frequencies = frequency.Length / slots, sums = offset.Length / slots;
        if (frequencies < 1 || sums < 1)
            throw new ArgumentException($"{step}: there are {frequency.Length} frequencies and {offset.Length} offsets, expected at least 1 for each of {slots} slots.", nameof(frequency));
        CheckSize(step, "frequency", frequency.Length, frequencies * slots, nameof(frequency));
        CheckSize(step, "phase", phase.Length, frequencies * slots, nameof(phase));
        CheckSize(step, "amplitude", amplitude.Length, sums * frequencies * slots, nameof(amplitude));
        CheckSize(step, "offset", offset.Length, sums * slots, nameof(offset));
        _parameters += frequency.Length + phase.Length + amplitude.Length + offset.Length;
        var weights = new CosineSumWeights(slots, frequencies, sums);
        weights.Set(frequency, phase, amplitude, offset);
        DenseRegister to = Declare(sums * slots);
        _recipes.Add(new CosineSumRecipe(from.Index, to.Index, weights));
        return to;
    }

    /// <summary>Compiles the steps added so far. The builder may go on and build again.</summary>
    /// <param name="output">The register that holds the scores.</param>
    /// <returns>The program.</returns>
    /// <exception cref="ArgumentException">The register is another builder's.</exception>
    public DenseProgram Build(DenseRegister output) => Build(output, DenseProgram.MachinePath);

    internal DenseProgram Build(DenseRegister output, VectorPath path)
    {
        CheckRegister(nameof(Build), output, nameof(output));
        var plan = new RegisterPlan(_recipes, _widths, output.Index);
        Step[] steps = path switch
        {
            VectorPath.Lanes512 => Compile<Lanes512, Vector512<float>>(plan),
            VectorPath.Lanes256 => Compile<Lanes256, Vector256<float>>(plan),
            _ => Compile<Lanes128, Vector128<float>>(plan),
        };
        return new DenseProgram(steps, plan, Input.Width, output.Index, output.Width, _parameters);
    }

    private Step[] Compile<L, V>(RegisterPlan plan)
        where L : struct, ILanes<V>
        where V : struct => [.. _recipes.Select(r => r.Compile<L, V>(plan.Slots[r.From], plan.Slots[r.To]))];

    // The functions that cost more than a comparison run over the finished rows: in a tile they would push its sums out of the registers.
    private DenseRegister AppendDense(
        DenseRegister from, ReadOnlySpan<float> weights, ReadOnlySpan<float> bias, int outputs, Activation activation, Func<ReadOnlyMemory<float>>? later)
    {
        DenseRegister to = Declare(outputs);
        bool narrow = DotWeights.Suit(from.Width, outputs);
        bool fused = !narrow && activation == Activation.Relu;
        if (narrow)
        {
            _parameters += ((long)outputs * from.Width) + bias.Length;
            _recipes.Add(new DotRecipe(from.Index, to.Index, new DotWeights(later is null ? weights : later().Span, bias, from.Width, outputs)));
        }
        else
        {
            AppendPanels(from.Index, to.Index, weights, bias, from.Width, outputs, fused, adds: false, later);
        }

        if (!fused && activation != Activation.Identity)
            _recipes.Add(new MapRecipe(to.Index, to.Index, activation));
        return to;
    }

    private void AppendPanels(
        int from, int to, ReadOnlySpan<float> weights, ReadOnlySpan<float> bias, int inputs, int outputs, bool relu, bool adds, Func<ReadOnlyMemory<float>>? later)
    {
        _parameters += ((long)outputs * inputs) + bias.Length;
        _recipes.Add(new PanelRecipe(from, to, new PanelWeights(weights, bias, inputs, outputs, later), relu, adds));
    }

    private DenseRegister Declare(int width)
    {
        _widths.Add(width);
        return new DenseRegister(this, _widths.Count - 1, width);
    }

    private string NextStep(string kind) => $"Step {++_calls} ({kind})";

    private void CheckRegister(string step, DenseRegister register, string parameter)
    {
        if (!ReferenceEquals(register.Owner, this))
            throw new ArgumentException($"{step}: the register belongs to another builder, expected one of this one's.", parameter);
    }

    private static void CheckLayer(
        string step, int inputs, long weights, ReadOnlySpan<float> bias, int outputs, Activation activation)
    {
        if (outputs < 1)
            throw new ArgumentException($"{step}: outputs is {outputs}, expected at least 1.", nameof(outputs));
        if (weights != (long)outputs * inputs)
        {
            throw new ArgumentException(
                $"{step}: weights hold {weights} values, expected {(long)outputs * inputs}: {outputs} outputs x {inputs} inputs.",
                nameof(weights));
        }

        CheckOptionalSize(step, "bias", bias.Length, outputs, nameof(bias));
        CheckActivation(step, activation);
    }

    private static void CheckSize(string step, string what, int found, int expected, string parameter)
    {
        if (found != expected)
            throw new ArgumentException($"{step}: {what} holds {found} values, expected {expected}.", parameter);
    }

    private static void CheckOptionalSize(string step, string what, int found, int expected, string parameter)
    {
        if (found != 0)
            CheckSize(step, what, found, expected, parameter);
    }

    private static void CheckActivation(string step, Activation activation)
    {
        if (!Enum.IsDefined(activation))
            throw new ArgumentException($"{step}: activation is {(int)activation}, expected a named one.", nameof(activation));
    }
}
