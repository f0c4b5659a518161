using MlNetMlp.Data;
using MlNetMlp.Networks;
using MlNetMlp.Persistence;
using MlNetMlp.Runtime;
using MlNetMlp.Scoring;
using static TorchSharp.torch;

namespace MlNetMlp.RandomFeatures;

/// <summary>
/// M hidden units drawn once, at the scale λ = 1: a = λ·â and b = λ·b̂ (or a range of its own for b) give the unit φ(a·x − b) at every scale, so
/// that scales can be compared unit by unit.
/// </summary>
/// <param name="Directions">â [M, D], row after row.</param>
/// <param name="Offsets">b̂ [M].</param>
/// <param name="BiasScale">The range of b, or null where it is λ times <paramref name="Radius"/>.</param>
/// <param name="Radius">r, what b̂ is multiplied by before λ.</param>
/// <param name="Activation">φ.</param>
/// <param name="Standardization">Means and factors of the features, or null.</param>
internal sealed record RandomLayer(
    float[] Directions, float[] Offsets, double? BiasScale, double Radius, Activation Activation, (float[] Mean, float[] Factor)? Standardization)
{
    // tanh of it is ½: at this scale a unit of two rows is ½ at one of them and −½ at the other.
    private const double PairScale = 1.0986122886681098;
    private const double RadiusQuantile = 0.95;

    public int Units => Offsets.Length;

    public int Inputs => Directions.Length / Units;

    /// <summary>Draws a layer.</summary>
    /// <param name="options">The laws.</param>
    /// <param name="units">M.</param>
    /// <param name="statistics">Means and deviations of the features.</param>
    /// <param name="sample">Some rows [n, D].</param>
    /// <param name="random">Where numbers are drawn from.</param>
    public static RandomLayer Draw(IRandomLayerOptions options, int units, FeatureStatistics statistics, Tensor sample, Generator random)
    {
        using var scope = NewDisposeScope();
        var standardization = options.StandardizeInputs ? statistics.ToUnitLength() : ((float[] Mean, float[] Factor)?)null;
        var x = sample.cpu();
        if (standardization is { } inputs)
            x = x.sub(tensor(inputs.Mean)).mul(tensor(inputs.Factor));
        var inputCount = x.shape[1];
        var activation = options.Activation.ToActivation();
        if (options.WeightDistribution == RandomWeightDistribution.DataPairs)
        {
            var (directions, offsets) = Pairs(x, units, random);
            return new(TensorMemory.ToFloats(directions), TensorMemory.ToFloats(offsets), null, 1, activation, standardization);
        }

        var drawn = empty(units, inputCount);
        if (options.WeightDistribution == RandomWeightDistribution.Uniform)
            drawn.uniform_(-1, 1, random);
        else
            drawn.normal_(0, 1, random);
        if (options.WeightDistribution == RandomWeightDistribution.Sphere)
            drawn = drawn.div(drawn.Norms([1], keepDimensions: true));
        var bias = empty(units).uniform_(-1, 1, random);
        var range = options.BiasScale ?? (activation is Activation.Sine or Activation.Cosine ? Math.PI : null);
        return new(TensorMemory.ToFloats(drawn), TensorMemory.ToFloats(bias), range, Quantile(x.Norms([1])), activation, standardization);
    }

    /// <summary>The scale where none is given and none is searched for; null where it matters.</summary>
    /// <param name="options">The laws.</param>
    public static double? FixedScale(IRandomLayerOptions options) =>
        options.WeightDistribution == RandomWeightDistribution.DataPairs ? PairScale
        // Of max(λz, 0) and of a step only the direction counts: the readout undoes the rest.
        : options.Activation is RandomActivation.Relu or RandomActivation.Step ? 1
        : null;

    /// <summary>The layer of an earlier network, at the scale that it has.</summary>
    /// <param name="network">The network.</param>
    /// <returns>The layer, to be taken at scale 1; null where the network is none of one hidden layer.</returns>
    public static RandomLayer? From(Network network)
    {
        if (network.Definition is not HiddenLayerDefinition { Units: > 0, Knots: 0 } definition)
            return null;
        var weights = network.ReadWeights();
        float[] Take(string name) => weights.TryGet(name, out var tensor) ? tensor.Floats.ToArray() : [];
        (float[], float[])? standardization = definition.StandardizeInputs ? (Take("mean"), Take("scale")) : null;
        return new(Take("hidden.weight"), [.. Take("hidden.bias").Select(b => -b)], null, 1, definition.Activation, standardization);
    }

    /// <summary>The weights at a scale.</summary>
    /// <param name="scale">λ.</param>
    /// <returns>A = λ·â [M, D] and a = −b [M].</returns>
    public (float[] Weight, float[] Bias) At(double scale)
    {
        var range = BiasScale ?? (scale * Radius);
        return ([.. Directions.Select(d => (float)(d * scale))], [.. Offsets.Select(b => (float)(-b * range))]);
    }

    /// <summary>The map at a scale.</summary>
    /// <param name="scale">λ.</param>
    /// <param name="device">Where rows are mapped.</param>
    /// <param name="units">The first so many units; null for all.</param>
    public DenseFeatureMap Map(double scale, Device device, int? units = null)
    {
        using var scope = NewDisposeScope();
        var (weight, bias) = At(scale);
        var count = units ?? Units;
        return new(tensor(weight[..(count * Inputs)], [count, Inputs]), tensor(bias[..count]), Activation, Standardization, device);
    }

    /// <summary>The layer at a scale as a network of its own.</summary>
    /// <param name="scale">λ.</param>
    public Network Network(double scale)
    {
        var definition = new FeatureLayerDefinition { Inputs = Inputs, Outputs = Units, Activation = Activation, StandardizeInputs = Standardization is not null };
        var (weight, bias) = At(scale);
        WeightSet weights = [NamedTensor.Of("hidden.weight", weight, Units, Inputs), NamedTensor.Of("hidden.bias", bias, Units)];
        if (Standardization is { } inputs)
        {
            weights.Add(NamedTensor.Of("mean", inputs.Mean, Inputs));
            weights.Add(NamedTensor.Of("scale", inputs.Factor, Inputs));
        }

        var network = definition.Build(CPU);
        network.WriteWeights(weights);
        network.eval();
        return network;
    }

    /// <summary>Some of the units.</summary>
    /// <param name="units">Their indexes.</param>
    public RandomLayer Select(IReadOnlyList<int> units) => this with
    {
        Directions = [.. units.SelectMany(unit => Directions[(unit * Inputs)..((unit + 1) * Inputs)])],
        Offsets = [.. units.Select(unit => Offsets[unit])],
    };

    // Units whose kinks lie between two rows of the data: a = (x − x′)/‖x − x′‖², b = a·p with p on the way from x′ to x.
    private static (Tensor Directions, Tensor Offsets) Pairs(Tensor x, int units, Generator random)
    {
        var count = (int)x.shape[0];
        var first = randint(count, [units], ScalarType.Int64, generator: random);
        var second = randint(count, [units], ScalarType.Int64, generator: random);
        var (from, to) = (x.index_select(0, second), x.index_select(0, first));
        var difference = to.sub(from);
        var squares = difference.mul(difference).sum(1L, keepdim: true);

        // Of two equal rows nothing follows; such a unit is a constant.
        var directions = difference.div(squares).nan_to_num(0, 0, 0);
        var way = rand([units, 1], generator: random);
        return (directions, directions.mul(from.Plus(difference.mul(way))).sum(1L));
    }

    private static double Quantile(Tensor norms)
    {
        var sorted = norms.sort().Values.data<float>().ToArray();
        var radius = sorted[(int)(RadiusQuantile * (sorted.Length - 1))];
        return radius > 0 ? radius : 1;
    }
}
