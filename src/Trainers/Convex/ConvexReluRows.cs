using MlNetMlp.Data;
using MlNetMlp.Networks;
using MlNetMlp.Runtime;
using MlNetMlp.Training;
using TorchSharp;
using static TorchSharp.torch;

namespace MlNetMlp.Convex;

/// <summary>The rows of convex training: standardised features with a constant one at the end, and labels that are ±1 for classes.</summary>
internal sealed class ConvexReluRows : IDisposable
{
    private readonly TaskHead _head;
    private readonly Device _device;
    private readonly bool _hasBias;

    /// <summary>Takes all rows in.</summary>
    /// <param name="data">The rows.</param>
    /// <param name="head">The task.</param>
    /// <param name="run">The device, and a network to go on from, whose standardisation is kept.</param>
    /// <param name="standardize">Whether features are z-scored.</param>
    /// <param name="bias">Whether there is a constant feature.</param>
    public ConvexReluRows(TrainingSet data, TaskHead head, TrainingRun run, bool standardize, bool bias)
    {
        using var scope = NewDisposeScope();
        (_head, _device, _hasBias) = (head, run.Device, bias);
        Standardization = run.Initial is { } initial ? StandardizationOf(initial) : standardize ? Scaling(data.Statistics) : null;
        var all = data.All();
        X = Features(all.Features).DetachFromDisposeScope();
        Labels = all.Labels.DetachFromDisposeScope();
        Targets = TargetsOf(all.Labels).DetachFromDisposeScope();
        Weights = all.Weights is null && data.MeanWeight == 1
            ? null
            : (all.Weights ?? ones(X.shape[0], device: X.device)).Times(data.MeanWeight).DetachFromDisposeScope();
        TotalWeight = Weights?.sum(ScalarType.Float64).ToDouble() ?? X.shape[0];
        if (data.Validation is { } held)
            Held = (Features(held.Features).DetachFromDisposeScope(), TargetsOf(held.Labels).DetachFromDisposeScope(), held);
    }

    /// <summary>Means and factors of the features, or null.</summary>
    public (float[] Mean, float[] Factor)? Standardization { get; }

    /// <summary>X, Float32 [n, d].</summary>
    public Tensor X { get; }

    /// <summary>The labels as the task has them.</summary>
    public Tensor Labels { get; }

    /// <summary>y, Float32 [n, C].</summary>
    public Tensor Targets { get; }

    /// <summary>w as they were given [n], or null where all are 1.</summary>
    public Tensor? Weights { get; }

    public double TotalWeight { get; }

    /// <summary>Rows held out: X, y, and the rest, which the training set owns; or null.</summary>
    public (Tensor X, Tensor Targets, RowBlock Rows)? Held { get; }

    /// <summary>Mean loss and measure on the rows held out; null where there are none.</summary>
    public (double Loss, double Metric)? Judge(Func<Tensor, Tensor> predict, ConvexReluLossFunction loss)
    {
        if (Held is not { } held)
            return null;
        using var scope = NewDisposeScope();
        var outputs = predict(held.X);
        var losses = loss.Values(outputs, held.Targets).mean([1L]);
        if (held.Rows.Weights is { } weights)
            losses = losses.mul(weights);
        return (losses.mean().ToDouble(), _head.Metric(_head.MetricSum(outputs, held.Rows.Labels) / held.Rows.Rows));
    }

    /// <summary>What makes logits of outputs: what the loss itself says, or what fits best on the rows held out, or on all rows where there are none.</summary>
    public OutputCalibration Calibrate(Func<Tensor, Tensor> predict, ConvexReluLoss loss)
    {
        if (_head is not (BinaryHead or MulticlassHead))
            return new(1, 0);
        if (_head is BinaryHead && loss == ConvexReluLoss.Logistic)
            return new(2, 0);
        using var scope = NewDisposeScope();
        var (x, labels, weights) = Held is { } held ? (held.X, held.Rows.Labels, held.Rows.Weights) : (X, Labels, Weights);
        return OutputCalibration.Fit(
            _head, predict(x).to(ScalarType.Float64), ReadoutTargets.Of(_head, labels), weights?.to(ScalarType.Float64));

    }

    /// <summary>Builds the network of some ReLU units.</summary>
    /// <param name="units">Weights on the standardised features, with the bias last [units, d], row after row.</param>
    /// <param name="outputs">Output weights [C, units].</param>
    /// <param name="calibration">What outputs are made logits by.</param>
    public Network Build(float[] units, float[] outputs, OutputCalibration calibration)
    {
        var width = (int)X.shape[1];
        var (inputs, count) = (_hasBias ? width - 1 : width, units.Length / width);
        var constant = Enumerable.Repeat(calibration.Shift / calibration.Scale, _head.Outputs).ToArray();
        var builder = new HiddenLayerBuilder(inputs, Math.Max(1, count), Scoring.Activation.Relu, constant, calibration.Scale, Standardization);
        if (count == 0)
            return builder.Build(0);
        var (weight, bias) = (new float[count * inputs], new float[count]);
        for (var unit = 0; unit < count; unit++)
        {
            units.AsSpan(unit * width, inputs).CopyTo(weight.AsSpan(unit * inputs));
            if (_hasBias)
                bias[unit] = units[(unit * width) + inputs];
        }

        builder.Add(new(weight, bias, outputs, new float[_head.Outputs]), 1);
        return builder.Build(1);
    }

    /// <summary>The hyperplanes of the units of the network that the fit goes on from, on standardised features [d, units]; null where there are none.</summary>
    public Tensor? UnitsOf(Network initial)
    {
        if (initial.Definition is not HiddenLayerDefinition { ActiveUnits: > 0 and var active } definition)
            return null;
        using var scope = NewDisposeScope();
        var weights = initial.ReadWeights();
        var hidden = tensor(Take(weights, "hidden.weight"), [definition.Units, definition.Inputs]).narrow(0, 0, active);
        if (_hasBias)
            hidden = cat([hidden, tensor(Take(weights, "hidden.bias"), [definition.Units, 1]).narrow(0, 0, active)], 1);
        return hidden.t().to(_device).MoveToOuterDisposeScope();
    }

    public void Dispose()
    {
        X.Dispose();
        Labels.Dispose();
        Targets.Dispose();
        Weights?.Dispose();
        Held?.X.Dispose();
        Held?.Targets.Dispose();
    }

    /// <summary>Standardised features with the constant.</summary>
    public Tensor Features(Tensor raw)
    {
        using var scope = NewDisposeScope();
        var x = raw.to(_device);
        if (Standardization is { } scaling)
            x = x.sub(tensor(scaling.Mean, device: _device)).mul_(tensor(scaling.Factor, device: _device));
        return (_hasBias ? cat([x, ones([x.shape[0], 1], device: _device)], 1) : x.clone()).MoveToOuterDisposeScope();
    }

    private static (float[] Mean, float[] Factor) Scaling(FeatureStatistics statistics) =>
        ([.. statistics.Mean], [.. statistics.StandardDeviation.Select(deviation => deviation > 0 ? 1 / deviation : 0)]);

    private static (float[] Mean, float[] Factor)? StandardizationOf(Network network)
    {
        var weights = network.ReadWeights();
        return network.Definition is HiddenLayerDefinition { StandardizeInputs: true } ? (Take(weights, "mean"), Take(weights, "scale")) : null;
    }

    private static float[] Take(Persistence.WeightSet weights, string name) => weights.TryGet(name, out var tensor) ? tensor.Floats.ToArray() : [];

    private Tensor TargetsOf(Tensor labels)
    {
        using var scope = NewDisposeScope();
        var targets = ReadoutTargets.Of(_head, labels).to(_device);
        return (_head is MulticlassHead ? targets.Times(2).Plus(-1) : targets.clone()).MoveToOuterDisposeScope();
    }
}
