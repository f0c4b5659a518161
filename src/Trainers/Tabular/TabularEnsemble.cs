using MlNetMlp.Networks;
using MlNetMlp.Runtime;
using TorchSharp;
using static TorchSharp.torch;

namespace MlNetMlp.Tabular;

/// <summary>The network of a <see cref="TabularNetwork"/>: rows as they come are prepared, scored by all members, and the mean of what these say is put out.</summary>
internal sealed class TabularEnsemble : Network
{
    private readonly TabularNetworkDefinition _definition;
    private readonly long[] _scaled;
    private readonly long[] _pairs;
    private readonly long[] _indicators;
    private readonly Tensor? median;
    private readonly Tensor? positions;
    private readonly Tensor? values;
    private readonly Tensor? centre;
    private readonly Tensor? factor;
    private readonly Tensor? middle;
    private readonly Tensor? half;
    private readonly Tensor? known;
    private readonly Tensor? temperature;
    private readonly Tensor? range;
    private readonly TabularMembers members;

    public TabularEnsemble(TabularNetworkDefinition definition, Device device)
        : base(definition)
    {
        _definition = definition;
        (_scaled, _pairs, _indicators) = (Indices(definition.Scaled), Indices(definition.Pairs), Indices(definition.Indicators));
        if (definition.Numbers > 0)
            median = zeros(definition.Numbers, device: device);
        if (_scaled.Length > 0 && definition.Knots > 0)
            (positions, values) = (zeros(_scaled.Length, definition.Knots, device: device), zeros(_scaled.Length, definition.Knots, device: device));
        else if (_scaled.Length > 0)
            (centre, factor) = (zeros(_scaled.Length, device: device), ones(_scaled.Length, device: device));
        if (_pairs.Length > 0)
            (middle, half) = (zeros(_pairs.Length, device: device), ones(_pairs.Length, device: device));
        if (definition.KnownKeys.Sum(count => (long)count) is > 0 and var keys)
            known = zeros(keys, device: device);
        if (definition.Classes > 0)
            temperature = ones(1, device: device);
        else
            range = tensor(new[] { float.MinValue, float.MaxValue }, device: device);
        members = new TabularMembers(definition, definition.Members, device);
        RegisterComponents();

        static long[] Indices(IEnumerable<int> places) => [.. places.Select(place => (long)place)];
    }

    public TabularMembers Members => members;

    /// <summary>1/T, which all logits are multiplied by.</summary>
    public float InverseTemperature
    {
        set => temperature!.fill_(value);
    }

    /// <inheritdoc/>
    public override void Initialize(Generator random) => members.Initialize(random, TabularNetwork.DefaultFrequencyScale);

    /// <summary>Fixes how rows are prepared.</summary>
    public void SetInputs(TabularInputs inputs)
    {
        using var noGradient = no_grad();
        Set(median, inputs.Medians);
        Set(positions, inputs.Positions);
        Set(values, inputs.Values);
        Set(centre, inputs.Centres);
        Set(factor, inputs.Factors);
        Set(middle, inputs.Middles);
        Set(half, inputs.Halves);
        Set(known, inputs.Known);

        static void Set(Tensor? target, float[] numbers)
        {
            using var scope = NewDisposeScope();
            target?.copy_(tensor(numbers, target.shape));
        }
    }

    /// <summary>Takes from another network how rows are prepared, and the range of its scores.</summary>
    public void CopyInputs(TabularEnsemble other)
    {
        using var scope = NewDisposeScope();
        using var noGradient = no_grad();
        var theirs = other.state_dict();
        foreach (var (name, own) in state_dict())
        {
            if (!name.StartsWith("members.", StringComparison.Ordinal))
                own.copy_(theirs[name]);
        }
    }

    /// <summary>Fixes the range of scores, in the unit of the loss.</summary>
    public void SetRange(double least, double greatest)
    {
        using var noGradient = no_grad();
        using var bounds = tensor(new[] { (float)least, (float)greatest });
        range!.copy_(bounds);
    }

    /// <summary>Makes of rows what members read.</summary>
    /// <param name="x">Rows [rows, inputs].</param>
    /// <returns>Numbers [rows, plain inputs] and places of keys Int64 [rows, slots], null where no keys have vectors.</returns>
    public (Tensor X, Tensor? Keys) Prepare(Tensor x)
    {
        var (parts, places) = (new List<Tensor>(), new List<Tensor>());
        if (median is not null)
            PrepareNumbers(x.narrow(1, 0, _definition.Numbers), parts);
        var (start, firstKnown, firstRow) = (_definition.Numbers, 0L, 1L);
        for (var column = 0; column < _definition.KnownKeys.Count; column++)
        {
            var (width, count) = (_definition.Layout!.Columns[column].Width, _definition.KnownKeys[column]);
            if (count > 0)
            {
                var number = NumberOf(x.narrow(1, start, width), known!.narrow(0, firstKnown, count));
                if (count > _definition.MaxOneHot)
                {
                    places.Add(where(number.IsAbove(0), number.PlusWhole(firstRow - 1), number));
                    firstRow += count;
                }
                else
                {
                    parts.Add(Inputs(number, count, x.dtype));
                }
            }

            (start, firstKnown) = (start + width, firstKnown + count);
        }

        var plain = parts.Count > 0 ? cat(parts, 1) : zeros(x.shape[0], _definition.PlainInputs, x.dtype, x.device);
        return (plain, places.Count > 0 ? cat(places, 1) : null);
    }

    /// <inheritdoc/>
    public override Tensor forward(Tensor x) => FromMembers(OfMembers(x));

    /// <inheritdoc/>
    public override Tensor CallWithAdded(Tensor x)
    {
        if (_definition.SpreadScale is not { } scale)
            return call(x);
        var outputs = OfMembers(x);
        var raw = FromMembers(outputs);
        var said = outputs;
        if (_definition.Classes > 0)
        {
            var predicted = (_definition.IsBinary ? raw.IsAbove(0).to(ScalarType.Int64) : raw.argmax(1, keepdim: true)).unsqueeze(0).expand(_definition.Members, -1, -1);
            said = outputs.mul(temperature!).softmax(2).gather(2, predicted);
        }

        return cat([raw, said.std(0L, unbiased: false).Times(scale)], 1);
    }

    /// <summary>The mean of what members put out: of numbers, or of probabilities as their logarithm or logit.</summary>
    /// <param name="outputs">Numbers or logits [members, rows, outputs].</param>
    /// <returns>Raw outputs [rows, outputs].</returns>
    public Tensor FromMembers(Tensor outputs)
    {
        if (_definition.Classes == 0)
            return outputs.mean([0L]).clamp(range!.select(0, 0), range.select(0, 1));
        var logs = outputs.mul(temperature!).log_softmax(2).logsumexp(0).Plus(-Math.Log(outputs.shape[0]));
        return _definition.IsBinary ? logs.narrow(1, 1, 1).sub(logs.narrow(1, 0, 1)) : logs;
    }

    private Tensor OfMembers(Tensor x)
    {
        var (plain, keys) = Prepare(x);
        return members.call(Shared(plain)!, Shared(keys));

        Tensor? Shared(Tensor? rows) => rows?.unsqueeze(0).expand(_definition.Members, -1, -1);
    }

    private void PrepareNumbers(Tensor numbers, List<Tensor> parts)
    {
        var missing = numbers.isnan();

        // Beyond these the distance of two numbers overflows.
        var filled = where(missing, median!, numbers).CutTo(-TabularInputs.Far, TabularInputs.Far);
        if (_scaled.Length > 0)
            parts.Add(Scale(Columns(filled, _scaled)));
        if (middle is not null && half is not null)
            parts.Add(Columns(filled, _pairs).sub(middle).div(half).CutTo(-1, 1));
        if (_indicators.Length > 0)
            parts.Add(Columns(missing, _indicators).to(numbers.dtype));

        static Tensor Columns(Tensor all, long[] places)
        {
            using var index = tensor(places, device: all.device);
            return all.index_select(1, index);
        }
    }

    private Tensor Scale(Tensor numbers)
    {
        if (positions is not null && values is not null)
            return InputKnots.Map(numbers, positions, values);
        var scaled = numbers.sub(centre!).mul(factor!);
        return _definition.NumericScaling == NumericScaling.Robust ? SmoothClip.Apply(scaled) : scaled;
    }

    // The place of a key among the known ones, from 1; 0 for all others.
    private static Tensor NumberOf(Tensor keys, Tensor known)
    {
        var flat = keys.contiguous();
        var place = searchsorted(known, flat).minimum(tensor(known.shape[0] - 1, device: keys.device));
        var isKnown = known.index_select(0, place.flatten()).view(place.shape).eq(flat);
        return where(isKnown, place.PlusWhole(1), zeros_like(place));
    }

    // A column of several keys has the mean of those that are there.
    private static Tensor Inputs(Tensor number, int count, ScalarType type)
    {
        var kinds = arange(1, count + 1, ScalarType.Int64, number.device);
        var each = number.unsqueeze(2).eq(kinds).to(type).sum(1L);                         // [rows, known keys]
        if (count == 2)
            each = each.narrow(1, 1, 1).sub(each.narrow(1, 0, 1));
        return number.shape[1] == 1 ? each : each.div(number.IsAbove(0).sum(1L, keepdim: true, type: type).AtLeast(1));
    }
}
