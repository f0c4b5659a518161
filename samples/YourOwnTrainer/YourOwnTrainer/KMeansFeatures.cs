using System.ComponentModel.DataAnnotations;
using MlNetMlp.Data;
using MlNetMlp.Methods;
using MlNetMlp.Networks;
using MlNetMlp.Runtime;
using MlNetMlp.Training;
using TorchSharp;
using static TorchSharp.torch;

namespace YourOwnTrainer;

/// <summary>
/// How near a row is to each of some typical rows, which k-means finds without labels: max(0, mean distance − distance), so that about half of the features of a row are
/// zero (Coates, Lee and Ng, "An Analysis of Single-Layer Networks in Unsupervised Feature Learning", 2011).
/// </summary>
/// <param name="options">The options.</param>
public sealed class KMeansFeatures(KMeansFeatures.Options options) : IFeatureMethod
{
    /// <summary>Options of <see cref="KMeansFeatures"/>.</summary>
    public sealed record Options : FeatureOptions
    {
        /// <summary>Number of typical rows, and of features, in [2, 10,000]; 64 by default.</summary>
        [Range(2, 10_000)]
        public int Clusters { get; init; } = 64;

        /// <summary>Steps of k-means, in [1, 1,000]; 20 by default.</summary>
        [Range(1, 1000)]
        public int Iterations { get; init; } = 20;

        /// <summary>Whether each feature is standardised, so that all of them count alike in distances; true by default. Pixels are better left as they are.</summary>
        public bool StandardizeInputs { get; init; } = true;
    }

    /// <inheritdoc/>
    public string Name => nameof(KMeansFeatures);

    /// <inheritdoc/>
    public int SampleRows => 20_000;

    FeatureOptions IFeatureMethod.Options => options;

    /// <inheritdoc/>
    public Network Fit(FeatureSample data, TrainingRun run)
    {
        var network = (KMeansNetwork)run.Create(new KMeansDefinition { Inputs = data.FeatureCount, Outputs = options.Clusters });
        network.Learn(data, options, run);
        return network;
    }
}

/// <summary>What rebuilds the network from a model file.</summary>
public sealed record KMeansDefinition : NetworkDefinition
{
    /// <inheritdoc/>
    public override long WeightCount => (2L * Inputs) + ((long)Inputs * Outputs);

    /// <inheritdoc/>
    public override Network Build(Device device) => new KMeansNetwork(this, device);
}

/// <summary>The network: the names of its buffers are those of the tensors in the file.</summary>
internal sealed class KMeansNetwork : Network
{
    private readonly Tensor mean;
    private readonly Tensor factor;
    private readonly Tensor centres;

    public KMeansNetwork(KMeansDefinition definition, Device device)
        : base(definition)
    {
        register_buffer("mean", mean = zeros(definition.Inputs, device: device));
        register_buffer("factor", factor = ones(definition.Inputs, device: device));
        register_buffer("centres", centres = zeros(definition.Outputs, definition.Inputs, device: device));
    }

    public override void Initialize(Generator random) => centres.normal_(0, 1, random);

    public void Learn(FeatureSample data, KMeansFeatures.Options options, TrainingRun run)
    {
        using var scope = NewDisposeScope();
        if (options.StandardizeInputs)
        {
            var (means, factors) = data.Statistics.ToUnitLength();
            mean.copy_(tensor(means));
            factor.copy_(tensor(factors));
        }

        var z = data.Sample.sub(mean).mul(factor);

        // The first centres are rows; where there are fewer rows than centres, the others stay at random places.
        var first = new long[Math.Min(centres.shape[0], z.shape[0])];
        run.Random.ChooseRows(z.shape[0], [], first);
        centres.narrow(0, 0, first.Length).copy_(z.index_select(0, tensor(first)));
        for (var i = 0; i < options.Iterations; i++)
        {
            run.CheckCancelled();
            using var step = NewDisposeScope();
            var member = nn.functional.one_hot(cdist(z, centres).argmin(1), centres.shape[0]).to(ScalarType.Float32);
            var sizes = member.sum(new long[] { 0 }).unsqueeze(1);
            centres.copy_(where(sizes.IsAbove(0), member.t().matmul(z).div(sizes.AtLeast(1)), centres));
        }
    }

    public override Tensor forward(Tensor x)
    {
        using var scope = NewDisposeScope();
        var distances = cdist(x.sub(mean).mul(factor), centres);
        return distances.mean([1], keepdim: true).sub(distances).relu().MoveToOuterDisposeScope();
    }
}
