using MlNetMlp.Data;
using MlNetMlp.Layers;
using MlNetMlp.Networks;
using MlNetMlp.Runtime;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace MlNetMlp.Vision;

/// <summary>The network of a <see cref="MetaFormer"/>. Tokens are [rows, height, width, channels].</summary>
internal sealed class MetaFormerNetwork : Network
{
    private readonly MetaFormerDefinition _definition;
    private readonly double[] _branchRates;
    private readonly Tensor mean;
    private readonly Tensor factor;
    private readonly ModuleList<ImageConvolution> patches = [];
    private readonly ModuleList<MetaFormerStageLayers> stages = [];
    private readonly TokenNormalization norm;
    private readonly Dense? head;
    private double _dropRate;
    private Generator? _random;

    public MetaFormerNetwork(MetaFormerDefinition definition, Device device)
        : base(definition)
    {
        _definition = definition;
        var image = definition.Image;
        (mean, factor) = (zeros(image.Channels, 1, 1, device: device), ones(image.Channels, 1, 1, device: device));
        var (inputs, shape) = (image.Channels, definition.Stem);
        foreach (var (stage, grid) in definition.Stages.Zip(definition.Grids()))
        {
            patches.Add(new(inputs, stage.Dim, device, shape.Kernel, shape.Stride, shape.Padding, definition.IsSequence));
            stages.Add(new(definition, stage, grid, device));
            (inputs, shape) = (stage.Dim, definition.DownSampling);
        }

        norm = new(definition.Stages[^1].Norm, inputs, device);
        head = definition.IsBody ? null : new(inputs, definition.Outputs, device);
        _branchRates = new double[2 * definition.Stages.Sum(stage => stage.Depth)];
        RegisterComponents();
    }

    /// <summary>Means of the channels of pixels, [channels, 1, 1], in the unit of the features.</summary>
    public Tensor PixelMeans => mean;

    /// <summary>The stages' blocks.</summary>
    public IEnumerable<MetaFormerBlock> Blocks => stages.SelectMany(stage => stage.Blocks);

    /// <summary>Says what is left out at random in training.</summary>
    /// <param name="dropPath">Probability with which the branches of the last block are left out; it rises evenly from 0 for the first block.</param>
    /// <param name="dropRate">Share of values dropped after each dense layer of the MLPs.</param>
    public void Regularize(double dropPath, double dropRate)
    {
        _dropRate = dropRate;
        var blocks = _branchRates.Length / 2;
        for (var i = 0; i < _branchRates.Length; i++)
            _branchRates[i] = blocks == 1 ? dropPath : dropPath * (i / 2) / (blocks - 1);
    }

    /// <summary>Gives the random numbers of a step of training; null after it.</summary>
    public void SetRandom(Generator? random) => _random = random;

    /// <summary>Fixes how pixels are standardised: each channel by its mean and deviation over all pixels of the training images.</summary>
    /// <param name="statistics">Means and deviations of the features.</param>
    public void Standardize(FeatureStatistics statistics)
    {
        using var scope = NewDisposeScope();
        using var noGradient = no_grad();
        using var means = _definition.Image.ToImages(tensor(statistics.Mean.ToArray()).to(ScalarType.Float64));
        using var deviations = _definition.Image.ToImages(tensor(statistics.StandardDeviation.ToArray()).to(ScalarType.Float64));
        var channels = means.mean([0, 2, 3], keepdim: true);
        var offsets = means.sub(channels);
        var variances = offsets.mul(offsets).Plus(deviations.mul(deviations)).mean([0, 2, 3], keepdim: true);
        var isConstant = variances.le(channels.mul(channels).Times(1e-12));
        var factors = where(isConstant, ones_like(variances), variances.rsqrt());
        mean.copy_(channels[0]);
        factor.copy_(factors[0]);
    }

    /// <summary>Sets the factors of all branches' channels.</summary>
    public void FillLayerScale(double value)
    {
        foreach (var block in Blocks)
            block.FillLayerScale(value);
    }

    /// <inheritdoc/>
    public override void Initialize(Generator random)
    {
        foreach (var (patch, stage) in patches.Zip(stages))
        {
            patch.Initialize(random);
            stage.Initialize(random);
        }

        norm.Initialize();
        if (head is null)
            return;

        // NOTE[DIFF]: dense layers begin from 1/√(3·n) for n inputs, the original's from 0.02 whatever their width: at 32 to 96 channels that is far too little for some epochs.
        InitialWeights.Dense(head.Weight, random);
        using var noGradient = no_grad();
        using var zeroed = head.Bias.zero_();
    }

    /// <inheritdoc/>
    public override Tensor forward(Tensor x)
    {
        using var scope = NewDisposeScope();
        var drops = training && _random is not null;
        var factors = drops && _branchRates[^1] > 0 ? ResidualBranch.DropFactors(_branchRates, x.shape[0], _random!).to(x.device) : null;
        var planes = _definition.Image.ToImages(x).sub(mean).mul(factor);
        Tensor? tokens = null;
        var block = 0;
        for (var i = 0; i < stages.Count; i++)
        {
            tokens = patches[i].call(tokens?.permute(0, 3, 1, 2) ?? planes).permute(0, 2, 3, 1).contiguous();
            tokens = stages[i].Forward(tokens, factors, block, drops ? _dropRate : 0, _random);
            block += stages[i].Blocks.Count;
        }

        var pooled = norm.call(tokens!).mean([1, 2]);                                     // [rows, D]
        return (head is null ? pooled : head.call(pooled)).MoveToOuterDisposeScope();
    }
}

/// <summary>A map of positions, where there is one, and the blocks of a stage.</summary>
internal sealed class MetaFormerStageLayers : nn.Module
{
    private readonly Parameter? positions;
    private readonly ModuleList<MetaFormerBlock> blocks = [];

    public MetaFormerStageLayers(MetaFormerDefinition definition, MetaFormerStage stage, TokenGrid grid, Device device)
        : base(nameof(MetaFormerStageLayers))
    {
        positions = stage.HasPositionMap ? new Parameter(empty(grid.Height, grid.Width, stage.Dim, device: device)) : null;
        for (var i = 0; i < stage.Depth; i++)
            blocks.Add(new(definition, stage, grid, device));
        RegisterComponents();
    }

    public IReadOnlyList<MetaFormerBlock> Blocks => [.. blocks];

    public void Initialize(Generator random)
    {
        using var noGradient = no_grad();
        using var zeroed = positions?.zero_();
        foreach (var block in blocks)
            block.Initialize(random);
    }

    public Tensor Forward(Tensor tokens, Tensor? factors, int first, double dropRate, Generator? random)
    {
        using var scope = NewDisposeScope();
        if (positions is not null)
            tokens = tokens.Plus(positions);
        for (var i = 0; i < blocks.Count; i++)
            tokens = blocks[i].Forward(tokens, factors?[2 * (first + i)], factors?[(2 * (first + i)) + 1], dropRate, random);
        return tokens.MoveToOuterDisposeScope();
    }
}

/// <summary>x ← x + λ₁ ⊙ Mix(N₁(x)); x ← x + λ₂ ⊙ MLP(N₂(x)).</summary>
internal sealed class MetaFormerBlock : nn.Module
{
    private readonly bool _hasResiduals;
    private readonly TokenNormalization norm1;
    private readonly TokenMixerLayer mixer;
    private readonly Parameter? scale1;
    private readonly TokenNormalization? norm2;
    private readonly ChannelMlp? mlp;
    private readonly Parameter? scale2;

    public MetaFormerBlock(MetaFormerDefinition definition, MetaFormerStage stage, TokenGrid grid, Device device)
        : base(nameof(MetaFormerBlock))
    {
        _hasResiduals = definition.HasResiduals;
        norm1 = new(stage.Norm, stage.Dim, device);
        mixer = stage.Mixer.Build(stage.Dim, grid, device);
        scale1 = definition.HasLayerScale ? new Parameter(empty(stage.Dim, device: device)) : null;
        if (stage.MlpRatio > 0)
        {
            norm2 = new(stage.Norm, stage.Dim, device);
            mlp = new(stage.Dim, stage.MlpRatio, device);
            scale2 = definition.HasLayerScale ? new Parameter(empty(stage.Dim, device: device)) : null;
        }

        RegisterComponents();
    }

    /// <summary>Mix.</summary>
    public TokenMixerLayer Mixer => mixer;

    public void Initialize(Generator random)
    {
        norm1.Initialize();
        mixer.Initialize(random);
        norm2?.Initialize();
        mlp?.Initialize(random);
        FillLayerScale(1);
    }

    public void FillLayerScale(double value)
    {
        using var noGradient = no_grad();
        using Scalar scalar = value;
        scale1?.fill_(scalar);
        scale2?.fill_(scalar);
    }

    public Tensor Forward(Tensor x, Tensor? factors1, Tensor? factors2, double dropRate, Generator? random)
    {
        using var scope = NewDisposeScope();
        x = ResidualBranch.Add(_hasResiduals ? x : null, mixer.call(norm1.call(x)), scale1, factors1);
        if (mlp is not null)
            x = ResidualBranch.Add(_hasResiduals ? x : null, mlp.Forward(norm2!.call(x), dropRate, random), scale2, factors2);
        return x.MoveToOuterDisposeScope();
    }
}
