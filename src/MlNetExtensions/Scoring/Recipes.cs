namespace MlNetMlp.Scoring;

/// <summary>An instruction as the builder notes it down, before registers have places and lanes have a width.</summary>
/// <param name="From">The register read.</param>
/// <param name="To">The register written.</param>
internal abstract record Recipe(int From, int To)
{
    /// <summary>Whether the step changes a register that was there before, instead of making a new one.</summary>
    public virtual bool Updates => false;

    /// <summary>Whether the new register may lie where the one read lies: each value is read before it is overwritten.</summary>
    public virtual bool InPlace => false;

    /// <summary>Whether whole padded rows are read, which the caller's rows are not.</summary>
    public virtual bool ReadsPadding => true;

    public abstract Step Compile<L, V>(Slot from, Slot to)
        where L : struct, ILanes<V>
        where V : struct;
}

internal sealed record PanelRecipe(int From, int To, PanelWeights Weights, bool Relu, bool Adds) : Recipe(From, To)
{
    public override bool Updates => Adds;

    public override bool ReadsPadding => false;

    public override Step Compile<L, V>(Slot from, Slot to) =>
        Adds ? new PanelStep<L, V, AddTo>(from, to, Weights)
        : Relu ? new PanelStep<L, V, StoreThrough<ActivationMath.Relu>>(from, to, Weights)
        : new PanelStep<L, V, StoreThrough<ActivationMath.Identity>>(from, to, Weights);
}

internal sealed record DotRecipe(int From, int To, DotWeights Weights) : Recipe(From, To)
{
    public override Step Compile<L, V>(Slot from, Slot to) => new DotStep<L, V>(from, to, Weights);
}

internal sealed record MapRecipe(int From, int To, Activation Function) : Recipe(From, To)
{
    public override bool Updates => From == To;

    public override bool InPlace => true;

    public override Step Compile<L, V>(Slot from, Slot to) => Function switch
    {
        Activation.Relu => new MapStep<L, V, ActivationMath.Relu>(from, to),
        Activation.Gelu => new MapStep<L, V, ActivationMath.Gelu>(from, to),
        Activation.Silu => new MapStep<L, V, ActivationMath.Silu>(from, to),
        Activation.Tanh => new MapStep<L, V, ActivationMath.Tanh>(from, to),
        Activation.Sigmoid => new MapStep<L, V, ActivationMath.Sigmoid>(from, to),
        Activation.SmoothClip => new MapStep<L, V, ActivationMath.SmoothClip>(from, to),
        Activation.Gaussian => new MapStep<L, V, ActivationMath.Gaussian>(from, to),
        Activation.Sine => new MapStep<L, V, ActivationMath.Sine>(from, to),
        Activation.Cosine => new MapStep<L, V, ActivationMath.Cosine>(from, to),
        Activation.Step => new MapStep<L, V, ActivationMath.Step>(from, to),
        Activation.Softplus => new MapStep<L, V, ActivationMath.Softplus>(from, to),
        _ => new MapStep<L, V, ActivationMath.Identity>(from, to),
    };
}

internal sealed record AddRecipe(int From, int To) : Recipe(From, To)
{
    public override bool Updates => true;

    public override Step Compile<L, V>(Slot from, Slot to) => new AddStep<L, V>(from, to);
}

internal sealed record AffineRecipe(int From, int To, AlignedFloats Shift, AlignedFloats Scale) : Recipe(From, To)
{
    public override bool InPlace => true;

    public override Step Compile<L, V>(Slot from, Slot to) => new AffineStep<L, V>(from, to, Shift, Scale);
}

internal sealed record PiecewiseLinearRecipe(int From, int To, KnotTable Table) : Recipe(From, To)
{
    public override bool ReadsPadding => false;

    public override Step Compile<L, V>(Slot from, Slot to) => new PiecewiseLinearStep(from, to, Table);
}

internal sealed record LayerNormRecipe(int From, int To, AlignedFloats Gain, AlignedFloats Shift, float Epsilon, int Width)
    : Recipe(From, To)
{
    public override bool InPlace => true;

    public override Step Compile<L, V>(Slot from, Slot to) => new LayerNormStep<L, V>(from, to, Gain, Shift, Epsilon, Width);
}

internal sealed record CosineSumRecipe(int From, int To, CosineSumWeights Weights) : Recipe(From, To)
{
    public override bool ReadsPadding => false;

    public override Step Compile<L, V>(Slot from, Slot to) => new CosineSumStep<L, V>(from, to, Weights);
}
