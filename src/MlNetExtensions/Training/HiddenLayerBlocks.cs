using System.Runtime.Intrinsics;
using MlNetMlp.Scoring;

namespace MlNetMlp.Training;

/// <summary>Loss and gradient of h(x) = C·φ(A·x + a) + c over one block of rows, in managed vector code.</summary>
/// <param name="inputs">D.</param>
/// <param name="units">J.</param>
/// <param name="outputs">K.</param>
internal abstract unsafe class HiddenLayerBlocks(int inputs, int units, int outputs)
{
    protected int Inputs => inputs;

    protected int Units => units;

    protected int Outputs => outputs;

    /// <summary>Where a, C and c start in the flat vector A [J, D], a [J], C [K, J], c [K].</summary>
    protected int HiddenBias => units * inputs;

    protected int OutputWeight => HiddenBias + units;

    protected int OutputBias => OutputWeight + (outputs * units);

    /// <summary>Floats of scratch memory for a block.</summary>
    public static int ScratchLength(int units, int outputs, int rows) => checked(((2 * units) + outputs) * rows);

    /// <summary>Makes the code for this machine's vectors; null where φ's slope does not follow from its value.</summary>
    public static HiddenLayerBlocks? Create(int inputs, int units, int outputs, Activation activation) => activation switch
    {
        Activation.Sigmoid => Create<ActivationMath.Sigmoid, ActivationSlopes.Sigmoid>(inputs, units, outputs),
        Activation.Tanh => Create<ActivationMath.Tanh, ActivationSlopes.Tanh>(inputs, units, outputs),
        Activation.Relu => Create<ActivationMath.Relu, ActivationSlopes.Relu>(inputs, units, outputs),
        _ => null,
    };

    /// <summary>Adds a block's gradient of ½·Σ w·‖h(x) − r‖² to a vector.</summary>
    /// <returns>Σ w·‖h(x) − r‖².</returns>
    public abstract double Evaluate(float* parameters, float* x, float* r, float* w, float* scratch, double* gradient, int rows);

    /// <summary>h of the rows of a block, output by output.</summary>
    public abstract void Predict(float* parameters, float* x, float* y, float* scratch, int rows);

    private static HiddenLayerBlocks Create<TMap, TSlope>(int inputs, int units, int outputs)
        where TMap : struct, IMap
        where TSlope : struct, ISlope => DenseProgram.MachinePath switch
        {
            VectorPath.Lanes512 => new HiddenLayerBlocks<Lanes512, Vector512<float>, TMap, TSlope>(inputs, units, outputs),
            VectorPath.Lanes256 => new HiddenLayerBlocks<Lanes256, Vector256<float>, TMap, TSlope>(inputs, units, outputs),
            _ => new HiddenLayerBlocks<Lanes128, Vector128<float>, TMap, TSlope>(inputs, units, outputs),
        };
}

internal sealed unsafe class HiddenLayerBlocks<L, V, TMap, TSlope>(int inputs, int units, int outputs) : HiddenLayerBlocks(inputs, units, outputs)
    where L : struct, ILanes<V>
    where V : struct
    where TMap : struct, IMap
    where TSlope : struct, ISlope
{
    public override double Evaluate(float* parameters, float* x, float* r, float* w, float* scratch, double* gradient, int rows)
    {
        float* h = scratch;
        float* delta = h + ((nint)Units * rows);
        float* e = delta + ((nint)Units * rows);
        float* c = parameters + OutputWeight;
        Hidden(parameters, x, h, rows);                                                                          // H = φ(A·X + a)
        HiddenLayerKernel<L, V>.Combine(c, Units, 1, parameters + OutputBias, h, e, Outputs, Units, rows);       // C·H + c
        var squares = HiddenLayerKernel<L, V>.Residuals(e, r, w, gradient + OutputBias, Outputs, rows);          // E = w·(C·H + c − R), ∂c
        HiddenLayerKernel<L, V>.Products(e, h, gradient + OutputWeight, Outputs, Units, rows);                   // ∂C = E·Hᵀ
        HiddenLayerKernel<L, V>.Combine(c, 1, Units, null, e, delta, Units, Outputs, rows);                      // Δ = Cᵀ·E
        HiddenLayerKernel<L, V>.Slope<TSlope>(delta, h, gradient + HiddenBias, Units, rows);                     // Δ∘φ′, ∂a
        HiddenLayerKernel<L, V>.Products(delta, x, gradient, Units, Inputs, rows);                               // ∂A = Δ·Xᵀ
        return squares;
    }

    public override void Predict(float* parameters, float* x, float* y, float* scratch, int rows)
    {
        Hidden(parameters, x, scratch, rows);
        HiddenLayerKernel<L, V>.Combine(parameters + OutputWeight, Units, 1, parameters + OutputBias, scratch, y, Outputs, Units, rows);
    }

    private void Hidden(float* parameters, float* x, float* h, int rows)
    {
        HiddenLayerKernel<L, V>.Combine(parameters, Inputs, 1, parameters + HiddenBias, x, h, Units, Inputs, rows);
        HiddenLayerKernel<L, V>.Activate<TMap>(h, Units * rows);
    }
}
