using MlNetMlp.Data;
using MlNetMlp.Layers;
using MlNetMlp.Networks;
using MlNetMlp.Runtime;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace MlNetMlp.Causal;

/// <summary>The network of a <see cref="TransTee"/>.</summary>
internal sealed class TransTeeNetwork : TreatmentNetwork
{
    private const double Epsilon = 1e-5;
    private const double MostLogVariance = 5;

    private readonly TransTeeDefinition _definition;
    private readonly Tensor mean;
    private readonly Tensor scale;
    private readonly Parameter weights;
    private readonly Parameter biases;
    private readonly KeyEmbedding? keys;
    private readonly Tensor? dose_mean;
    private readonly Tensor? dose_scale;
    private readonly Parameter query;
    private readonly Parameter? query_bias;
    private readonly ModuleList<EncoderLayer> encoder = [];
    private readonly ModuleList<DecoderLayer> decoder = [];
    private readonly Dense? hidden;
    private readonly Dense? output;
    private readonly Dense? discriminator1;
    private readonly Dense? discriminator2;

    public TransTeeNetwork(TransTeeDefinition definition, Device device)
        : base(definition)
    {
        _definition = definition;
        var (k, d) = (definition.Numbers, definition.EmbedDim);
        var tokens = definition.IsShared ? 1 : k;
        (mean, scale) = (zeros(k, device: device), ones(k, device: device));
        (weights, biases) = (new Parameter(empty(tokens, d, device: device)), new Parameter(empty(tokens, d, device: device)));
        if (definition.KeyColumns is { Count: > 0 } columns)
            keys = new KeyEmbedding(definition.Layout!, columns, d, device);
        if (definition.Treatments.AreArms)
        {
            query = new Parameter(empty(definition.Treatments.Count, d, device: device));
        }
        else
        {
            (dose_mean, dose_scale) = (zeros(1, device: device), ones(1, device: device));
            (query, query_bias) = (new Parameter(empty(1, d, device: device)), new Parameter(empty(d, device: device)));
        }

        for (var layer = 0; layer < definition.Layers; layer++)
        {
            encoder.Add(new EncoderLayer(definition, device));
            decoder.Add(new DecoderLayer(definition, device));
        }

        if (!definition.IsAttention)
            (hidden, output) = (new Dense(d, d, device), new Dense(d, 1, device));
        if (definition.DiscriminatorOutputs is > 0 and var outputs)
            (discriminator1, discriminator2) = (new Dense(d, TransTeeDefinition.DiscriminatorUnits, device), new Dense(TransTeeDefinition.DiscriminatorUnits, outputs, device));
        RegisterComponents();
    }

    public Parameter TokenWeights => weights;

    public Parameter TokenBiases => biases;

    public bool HasDiscriminator => discriminator1 is not null;

    /// <summary>Where dropout draws from in training; without it, nothing is left out.</summary>
    public Generator? Noise { get; set; }

    private Generator? Dropped => training ? Noise : null;

    /// <inheritdoc/>
    public override void Initialize(Generator random)
    {
        using var noGradient = no_grad();
        weights.normal_(0, _definition.InitStdCovariate, random);
        biases.normal_(0, _definition.InitStdCovariate, random);
        keys?.Initialize(random, _definition.InitStdCovariate);
        query.normal_(0, _definition.InitStdTreatment, random);
        query_bias?.normal_(0, _definition.InitStdTreatment, random);
        foreach (var layer in encoder)
            layer.Initialize(random);
        foreach (var layer in decoder)
            layer.Initialize(random);
        foreach (var layer in (Dense?[])[hidden, output, discriminator1, discriminator2])
            layer?.InitializeXavier(random);
    }

    /// <summary>Fixes how covariates and doses are standardised.</summary>
    /// <param name="statistics">Those of the training rows.</param>
    public void Standardize(FeatureStatistics statistics)
    {
        var (k, factors) = (_definition.Numbers, statistics.Scale());
        Set(mean, [.. statistics.Mean.Take(k)]);
        Set(scale, [.. factors.Take(k).Select(s => 1 / s)]);
        if (dose_mean is null || dose_scale is null)
            return;
        Set(dose_mean, [statistics.Mean[k]]);
        Set(dose_scale, [1 / factors[k]]);

        static void Set(Tensor buffer, float[] values)
        {
            using var noGradient = no_grad();
            using Tensor source = tensor(values);
            buffer.copy_(source);
        }
    }

    /// <inheritdoc/>
    public override Tensor forward(Tensor x) => _definition.IsAttention ? CovariateWeights(x) : base.forward(x);

    /// <summary>L_t(π(h)) − α·min(L_t(π(h)), that of the best constant), h = meanⱼ eⱼ: the first is a loss of π alone, the second one of the tokens alone.</summary>
    /// <param name="x">Rows [rows, inputs].</param>
    /// <param name="alpha">α.</param>
    /// <returns>A scalar.</returns>
    public Tensor RegularizerLoss(Tensor x, double alpha)
    {
        var (h, own) = (MeanToken(x), Own(x));
        var fixedLoss = TreatmentLoss(h, own, isFixed: true);
        return TreatmentLoss(h.detach(), own, isFixed: false).Plus(fixedLoss.CutTo(double.NegativeInfinity, ConstantLoss()).Times(-alpha));
    }

    /// <summary>L_t, the loss of π on rows.</summary>
    /// <param name="x">Rows [rows, inputs].</param>
    /// <returns>A scalar.</returns>
    public Tensor TreatmentLoss(Tensor x) => TreatmentLoss(MeanToken(x), Own(x), isFixed: true);

    /// <summary>L_t of the best prediction that is the same for all rows.</summary>
    public double ConstantLoss()
    {
        if (!_definition.Treatments.AreArms)
            return _definition.Regularizer == TreatmentRegularizer.ProbabilisticTreatment ? 0.5 : 1;
        var total = (double)_definition.Treatments.ArmRows.Sum();
        return _definition.Treatments.ArmRows.Where(rows => rows > 0).Sum(rows => -rows / total * Math.Log(rows / total));
    }

    /// <inheritdoc/>
    protected override Tensor Encode(Tensor x)
    {
        var (e, hidden) = (Tokens(x), Hidden(x));
        foreach (var layer in encoder)
            e = layer.Apply(e, hidden, _definition.Dropout, Dropped);

        // Which covariates are missing goes along with the tokens, as one number more of each.
        return hidden is null ? e : cat([e, hidden.to_type(e.dtype).unsqueeze(2)], 2);
    }

    /// <inheritdoc/>
    protected override Tensor Outcomes(Tensor encoded, Tensor treatments)
    {
        var (q, (e, missing)) = (Query(treatments), Split(encoded));
        foreach (var layer in decoder)
            q = layer.Apply(q, e, missing, _definition.Dropout, Dropped);
        return output!.call(nn.functional.relu(hidden!.call(q))).squeeze(2);            // [rows, treatments]
    }

    /// <summary>e_j = x_j·w_j + b_j, and behind them the vectors of keys: [rows, K, d].</summary>
    private Tensor Tokens(Tensor x)
    {
        var standard = x.narrow(1, 0, _definition.Numbers).sub(mean).mul(scale);
        if (_definition.AcceptsMissing)
            standard = where(standard.isfinite(), standard, zeros_like(standard));
        var numbers = standard.unsqueeze(2).mul(weights).Plus(biases);
        return keys is null ? numbers : cat([numbers, keys.call(x)], 1);
    }

    /// <summary>Which covariates are missing [rows, K]; of a row without any, none is hidden: all tokens then stand for means. Null where none may be missing.</summary>
    private Tensor? Hidden(Tensor x)
    {
        if (!_definition.AcceptsMissing)
            return null;
        var missing = x.narrow(1, 0, _definition.Numbers).isfinite().logical_not();
        var layout = _definition.Layout!;
        foreach (var column in _definition.KeyColumns)
            missing = cat([missing, x.narrow(1, layout.StartOf(column), layout.Columns[column].Width).abs().sum(1L, keepdim: true).IsAbove(0).logical_not()], 1);
        return missing.logical_and(missing.to_type(ScalarType.Float32).mean([1L], keepdim: true).Plus(-1).neg().IsAbove(0));
    }

    /// <summary>h = meanⱼ eⱼ of the covariates that are there: [rows, d].</summary>
    private Tensor MeanToken(Tensor x)
    {
        var e = Tokens(x);
        if (Hidden(x) is not { } hidden)
            return e.mean([1L]);
        var there = hidden.logical_not().to_type(e.dtype).unsqueeze(2);
        return e.mul(there).sum(1L).div(there.sum(1L));
    }

    private (Tensor Tokens, Tensor? Hidden) Split(Tensor encoded) => _definition.AcceptsMissing
        ? (encoded.narrow(2, 0, _definition.EmbedDim), encoded.select(2, _definition.EmbedDim).IsAbove(0.5))
        : (encoded, null);

    /// <summary>q: [rows, treatments, d]. A missing arm, which no outcome is asked for, is taken for the first.</summary>
    private Tensor Query(Tensor treatments) => dose_mean is null
        ? query.index_select(0, treatments.AtLeast(0).to_type(ScalarType.Int64).flatten()).view(treatments.shape[0], treatments.shape[1], -1)
        : Standard(treatments).unsqueeze(2).mul(query).Plus(query_bias!);

    private Tensor Standard(Tensor doses) => doses.sub(dose_mean!).mul(dose_scale!);

    /// <summary>Weights of the last cross-attention, averaged over its heads: [rows, K].</summary>
    private Tensor CovariateWeights(Tensor x)
    {
        var ((e, hidden), q) = (Split(Encode(x)), Query(Own(x)));
        for (var layer = 0; layer < decoder.Count - 1; layer++)
            q = decoder[layer].Apply(q, e, hidden, 0, null);
        return decoder[^1].CovariateWeights(q, e, hidden).mean([1L]).squeeze(1);
    }

    private Tensor TreatmentLoss(Tensor h, Tensor own, bool isFixed)
    {
        var u = Apply(discriminator2!, nn.functional.relu(Apply(discriminator1!, h)));
        if (_definition.Treatments.AreArms)
            return nn.functional.cross_entropy(u, own.flatten().to_type(ScalarType.Int64));
        var t = Standard(own);
        if (_definition.Regularizer == TreatmentRegularizer.Treatment)
            return nn.functional.mse_loss(u, t);
        var logVariance = u.narrow(1, 1, 1).CutTo(-MostLogVariance, MostLogVariance);
        var error = t.sub(u.narrow(1, 0, 1));
        return error.mul(error).mul(logVariance.neg().exp()).Plus(logVariance).mean().Times(0.5);

        Tensor Apply(Dense layer, Tensor z) => isFixed ? nn.functional.linear(z, layer.Weight.detach(), layer.Bias.detach()) : layer.call(z);
    }

    /// <summary>Two dense layers with a ReLU between, added to what they read and normalised: Norm(z + FFN(z)).</summary>
    private sealed class FeedForward : nn.Module<Tensor, Tensor>
    {
        private readonly Dense inner;
        private readonly Dense outer;
        private readonly LayerNorm norm;

        public FeedForward(TransTeeDefinition definition, Device device)
            : base(nameof(FeedForward))
        {
            inner = new Dense(definition.EmbedDim, definition.FeedForwardDim, device);
            outer = new Dense(definition.FeedForwardDim, definition.EmbedDim, device);
            norm = nn.LayerNorm(definition.EmbedDim, Epsilon, device: device);
            RegisterComponents();
        }

        public void Initialize(Generator random)
        {
            inner.InitializeXavier(random);
            outer.InitializeXavier(random);
        }

        public override Tensor forward(Tensor z) => Apply(z, 0, null);

        public Tensor Apply(Tensor z, double dropout, Generator? noise) =>
            norm.call(z.Plus(outer.call(nn.functional.relu(inner.call(z))).LeaveOut(dropout, noise)));
    }

    /// <summary>E ← Norm(E + MHA(E, E, E)); E ← Norm(E + FFN(E)).</summary>
    private sealed class EncoderLayer : nn.Module<Tensor, Tensor>
    {
        private readonly MultiHeadAttention attention;
        private readonly LayerNorm norm;
        private readonly FeedForward feed_forward;

        public EncoderLayer(TransTeeDefinition definition, Device device)
            : base(nameof(EncoderLayer))
        {
            attention = new MultiHeadAttention(definition.EmbedDim, definition.Heads, device);
            norm = nn.LayerNorm(definition.EmbedDim, Epsilon, device: device);
            feed_forward = new FeedForward(definition, device);
            RegisterComponents();
        }

        public void Initialize(Generator random)
        {
            attention.Initialize(random);
            feed_forward.Initialize(random);
        }

        public override Tensor forward(Tensor e) => Apply(e, null, 0, null);

        public Tensor Apply(Tensor e, Tensor? hidden, double dropout, Generator? noise) =>
            feed_forward.Apply(norm.call(e.Plus(attention.Read(e, e, hidden).LeaveOut(dropout, noise))), dropout, noise);
    }

    /// <summary>q ← Norm(q + MHA(q, q, q)); q ← Norm(q + MHA(q, E, E)); q ← Norm(q + FFN(q)), for each query alone.</summary>
    private sealed class DecoderLayer : nn.Module<Tensor, Tensor, Tensor>
    {
        private readonly Dense own_values;
        private readonly Dense own_outputs;
        private readonly LayerNorm own_norm;
        private readonly MultiHeadAttention attention;
        private readonly LayerNorm norm;
        private readonly FeedForward feed_forward;

        public DecoderLayer(TransTeeDefinition definition, Device device)
            : base(nameof(DecoderLayer))
        {
            own_values = new Dense(definition.EmbedDim, definition.EmbedDim, device);
            own_outputs = new Dense(definition.EmbedDim, definition.EmbedDim, device);
            own_norm = nn.LayerNorm(definition.EmbedDim, Epsilon, device: device);
            attention = new MultiHeadAttention(definition.EmbedDim, definition.Heads, device);
            norm = nn.LayerNorm(definition.EmbedDim, Epsilon, device: device);
            feed_forward = new FeedForward(definition, device);
            RegisterComponents();
        }

        public void Initialize(Generator random)
        {
            own_values.InitializeXavier(random);
            own_outputs.InitializeXavier(random);
            attention.Initialize(random);
            feed_forward.Initialize(random);
        }

        public override Tensor forward(Tensor q, Tensor e) => Apply(q, e, null, 0, null);

        public Tensor Apply(Tensor q, Tensor e, Tensor? hidden, double dropout, Generator? noise)
        {
            q = ReadItself(q, dropout, noise);
            return feed_forward.Apply(norm.call(q.Plus(attention.Read(q, e, hidden).LeaveOut(dropout, noise))), dropout, noise);
        }

        /// <summary>How the query weighs the tokens: [rows, h, treatments, K].</summary>
        public Tensor CovariateWeights(Tensor q, Tensor e, Tensor? hidden) => attention.Weights(ReadItself(q, 0, null), e, hidden);

        // NOTE[DIFF]: attention of one token to itself weighs it by 1, whatever the maps of queries and keys are: only those of values and outputs are kept.
        private Tensor ReadItself(Tensor q, double dropout, Generator? noise) =>
            own_norm.call(q.Plus(own_outputs.call(own_values.call(q)).LeaveOut(dropout, noise)));
    }
}
