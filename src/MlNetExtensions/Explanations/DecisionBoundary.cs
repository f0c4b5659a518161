namespace MlNetMlp.Explanations;

/// <summary>The boundaries between the classes that a model tells apart.</summary>
internal abstract class DecisionBoundaries : IDisposable
{
    /// <summary>Number of features.</summary>
    public abstract int Inputs { get; }

    /// <summary>Number of classes; of a binary model false is the first.</summary>
    public abstract int Classes { get; }

    /// <summary>The boundary between two classes. It lives no longer than this.</summary>
    /// <param name="first">The class on its negative side.</param>
    /// <param name="second">The class on its positive side.</param>
    public abstract DecisionBoundary Between(int first, int second);

    /// <summary>What is predicted.</summary>
    /// <param name="rows">Features, row after row.</param>
    /// <param name="classes">Room for the class of each row.</param>
    public abstract void Predict(ReadOnlySpan<float> rows, Span<int> classes);

    public abstract void Dispose();
}

/// <summary>Where a model's margin between two classes, the difference of their scores, is 0.</summary>
internal abstract class DecisionBoundary
{
    /// <summary>The normal, of length 1, where it is the same everywhere; else null.</summary>
    public abstract double[]? Normal { get; }

    /// <summary>Finds the way of rows to the boundary. Of a row from which none is found all is NaN.</summary>
    /// <param name="rows">Features, row after row.</param>
    /// <param name="distances">Room for the distance of each row: above 0 on the side of the second class.</param>
    /// <param name="moves">Room for what takes each row to the boundary [rows, features]; empty where it is not asked for.</param>
    /// <param name="normals">Room for the direction in which each row's margin rises fastest, of length 1 [rows, features]; empty where it is not asked for.</param>
    public abstract void Find(ReadOnlySpan<float> rows, Span<double> distances, Span<float> moves, Span<float> normals);
}

/// <summary>Boundaries between classes whose scores are linear.</summary>
/// <param name="weights">Weights of each class [classes][features]; of a binary model those of false are 0.</param>
/// <param name="biases">Offset of each class.</param>
internal sealed class LinearBoundaries(double[][] weights, double[] biases) : DecisionBoundaries
{
    public override int Inputs => weights[0].Length;

    public override int Classes => weights.Length;

    public override DecisionBoundary Between(int first, int second) =>
        new LinearBoundary([.. weights[second].Zip(weights[first], (w, other) => w - other)], biases[second] - biases[first]);

    public override void Predict(ReadOnlySpan<float> rows, Span<int> classes)
    {
        for (var row = 0; row < classes.Length; row++)
        {
            var x = rows.Slice(row * Inputs, Inputs);
            var best = double.NegativeInfinity;
            for (var i = 0; i < Classes; i++)
            {
                if (LinearBoundary.Score(weights[i], biases[i], x) is var score && score > best)
                    (best, classes[row]) = (score, i);
            }
        }
    }

    public override void Dispose()
    {
    }
}

/// <summary>The plane w·x + bias = 0.</summary>
internal sealed class LinearBoundary : DecisionBoundary
{
    private readonly double[] _weights;
    private readonly double _bias;
    private readonly double _length;

    public LinearBoundary(double[] weights, double bias)
    {
        (_weights, _bias) = (weights, bias);
        _length = System.Numerics.Tensors.TensorPrimitives.Norm<double>(weights);
        Normal = [.. weights.Select(w => w / _length)];
    }

    public override double[] Normal { get; }

    public static double Score(ReadOnlySpan<double> weights, double bias, ReadOnlySpan<float> x)
    {
        var sum = bias;
        for (var i = 0; i < x.Length; i++)
            sum += weights[i] * x[i];
        return sum;
    }

    public override void Find(ReadOnlySpan<float> rows, Span<double> distances, Span<float> moves, Span<float> normals)
    {
        var width = _weights.Length;
        for (var row = 0; row < distances.Length; row++)
        {
            distances[row] = Score(_weights, _bias, rows.Slice(row * width, width)) / _length;
            Put(moves, -distances[row]);
            Put(normals, 1);

            void Put(Span<float> values, double factor)
            {
                for (var i = 0; i < width && !values.IsEmpty; i++)
                    values[(row * width) + i] = (float)(factor * Normal[i]);
            }
        }
    }
}
