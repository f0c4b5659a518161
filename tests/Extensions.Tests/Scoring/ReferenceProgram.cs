using MlNetMlp.Scoring;

namespace MlNetMlp.Tests.Scoring;

/// <summary>Writes a program and, beside it, what the program should compute: plain loops over doubles.</summary>
internal sealed class ReferenceProgram
{
    private readonly Random _random;
    private readonly List<Action<double[][]>> _steps = [];
    private int _registers = 1;

    public ReferenceProgram(int inputs, int seed)
    {
        _random = new Random(seed);
        Builder = new DenseProgramBuilder(inputs);
        Input = new Register(0, Builder.Input);
    }

    public DenseProgramBuilder Builder { get; }

    public Register Input { get; }

    public Register Dense(Register from, int outputs, Activation activation = Activation.Identity, bool hasBias = true)
    {
        (float[] weights, float[] bias) = Layer(from.Handle.Width, outputs, hasBias);
        Register to = Next(Builder.Dense(from.Handle, weights, bias, outputs, activation));
        _steps.Add(r => r[to.Index] = Layer(r[from.Index], weights, bias, outputs, activation));
        return to;
    }

    public void AddDense(Register target, Register from, Activation activation = Activation.Identity)
    {
        int outputs = target.Handle.Width;
        (float[] weights, float[] bias) = Layer(from.Handle.Width, outputs, hasBias: true);
        Builder.AddDense(target.Handle, from.Handle, weights, bias, activation);
        _steps.Add(r => r[target.Index] =
            [.. r[target.Index].Zip(Layer(r[from.Index], weights, bias, outputs, activation), (a, b) => a + b)]);
    }

    public void Add(Register target, Register from)
    {
        Builder.Add(target.Handle, from.Handle);
        _steps.Add(r => r[target.Index] = [.. r[target.Index].Zip(r[from.Index], (a, b) => a + b)]);
    }

    public Register LayerNorm(Register from, float epsilon = 1e-5f)
    {
        float[] gain = Values(from.Handle.Width, 1), shift = Values(from.Handle.Width, 1);
        Register to = Next(Builder.LayerNorm(from.Handle, gain, shift, epsilon));
        _steps.Add(r =>
        {
            double[] x = r[from.Index];
            double mean = x.Average();
            double deviation = Math.Sqrt(x.Average(v => (v - mean) * (v - mean)) + epsilon);
            r[to.Index] = [.. x.Select((v, i) => ((v - mean) / deviation * gain[i]) + shift[i])];
        });
        return to;
    }

    public Register Elementwise(Register from, Activation activation)
    {
        Register to = Next(Builder.Elementwise(from.Handle, activation));
        _steps.Add(r => r[to.Index] = [.. r[from.Index].Select(v => ActivationReference.Of(activation, v))]);
        return to;
    }

    public Register Affine(Register from)
    {
        float[] shift = Values(from.Handle.Width, 1), scale = Values(from.Handle.Width, 1);
        Register to = Next(Builder.Affine(from.Handle, shift, scale));
        _steps.Add(r => r[to.Index] = [.. r[from.Index].Select((v, i) => (v - shift[i]) * scale[i])]);
        return to;
    }

    public double[] Score(ReadOnlySpan<float> rows, Register output)
    {
        var scores = new List<double>();
        int inputs = Input.Handle.Width;
        for (int row = 0; row < rows.Length; row += inputs)
        {
            var registers = new double[_registers][];
            registers[0] = [.. rows.Slice(row, inputs).ToArray().Select(v => (double)v)];
            _steps.ForEach(step => step(registers));
            scores.AddRange(registers[output.Index]);
        }

        return [.. scores];
    }

    /// <summary>Numbers spread evenly between -limit and limit.</summary>
    public float[] Values(int count, double limit) =>
        [.. Enumerable.Range(0, count).Select(_ => (float)(((_random.NextDouble() * 2) - 1) * limit))];

    private Register Next(DenseRegister handle) => new(_registers++, handle);

    private (float[] Weights, float[] Bias) Layer(int inputs, int outputs, bool hasBias) =>
        (Values(inputs * outputs, Math.Sqrt(3.0 / inputs)), hasBias ? Values(outputs, 0.5) : []);

    private static double[] Layer(double[] x, float[] weights, float[] bias, int outputs, Activation activation)
    {
        var y = new double[outputs];
        for (int j = 0; j < outputs; j++)
        {
            double sum = bias.Length == 0 ? 0 : bias[j];
            for (int k = 0; k < x.Length; k++)
                sum += x[k] * weights[(j * x.Length) + k];
            y[j] = ActivationReference.Of(activation, sum);
        }

        return y;
    }

    internal sealed record Register(int Index, DenseRegister Handle);
}
