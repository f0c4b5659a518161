// Asynchronous successive halving: settings are trained on few rows, and the best one in η of those that were, on η times as many, until on all.
//
// Jamieson and Talwalkar, "Non-stochastic Best Arm Identification and Hyperparameter Optimization", AISTATS 2016, https://arxiv.org/abs/1502.07943
// Li et al., "A System for Massively Parallel Hyperparameter Tuning", MLSys 2020, https://arxiv.org/abs/1810.05934
using System.Diagnostics;
using MlNetMlp.Runtime;

namespace MlNetMlp.Tuning;

/// <summary>Searches for the options with the least loss.</summary>
/// <typeparam name="TOptions">The options.</typeparam>
/// <param name="start">The options that the search starts from.</param>
/// <param name="space">What may be chosen.</param>
/// <param name="options">How the search goes.</param>
/// <param name="search">What is searched, for the journal.</param>
/// <param name="evaluate">Losses of options that are trained on a share of the rows.</param>
internal sealed class Tuner<TOptions>(
    TOptions start, SearchSpace<TOptions> space, TuningOptions options, TuningSearch search, Func<TOptions, double, double[]> evaluate)
    where TOptions : class
{
    // Settings that were drawn before are drawn again so often, before the space counts as exhausted.
    private const int MostDraws = 1000;

    private readonly Stopwatch _clock = new();
    private readonly List<TuningTrial> _trials = [];
    private readonly Dictionary<int, (string[] Values, Func<TOptions, TOptions> Apply)> _drawn = [];
    private readonly HashSet<string> _seen = [];
    private TuningJournal? _journal;
    private Exception? _lastFailure;

    private bool IsTimeUp => options.MaxTime is { } most && _clock.Elapsed > most;

    /// <summary>Searches.</summary>
    /// <returns>What was found.</returns>
    /// <exception cref="InvalidOperationException">Training failed with all settings; the inner exception says how the last one did.</exception>
    public TuningResult<TOptions> Run()
    {
        _clock.Start();
        _journal = options.JournalFile is null ? null : TuningJournal.Open(options.JournalFile, search);
        var shares = Shares();
        _drawn[0] = ([], same => same);
        Evaluate(0, 1);

        // On each rung, what was evaluated and what of it has gone up.
        var rungs = shares.Select(_ => new List<TuningTrial>()).ToArray();
        var risen = shares.Select(_ => new HashSet<int>()).ToArray();
        while (!IsTimeUp && Next() is { } next)
        {
            var trial = Evaluate(next.Number, shares[next.Rung]);
            rungs[next.Rung].Add(trial);
        }

        if (_trials.Where(trial => trial.Share == 1).MinBy(trial => trial.Loss) is not { Loss: < double.PositiveInfinity } best)
            throw new InvalidOperationException($"Training failed with all of {_drawn.Count} settings, at last with: {_trials.Last(trial => trial.Failure is not null).Failure}", _lastFailure);
        return new(_drawn[best.Number].Apply(start), best, _trials, space.Names, search.Measure);

        (int Number, int Rung)? Next()
        {
            for (var rung = shares.Length - 2; rung >= 0; rung--)
            {
                if (Rising(rung, rungs[rung].Count / options.HalvingFactor) is { } number)
                    return Raise(number, rung);
            }

            if (_drawn.Count <= options.Trials && Draw() is { } drawn)
                return (drawn, 0);

            // Fewer settings than a rung asks for: the best of the highest goes on, so that at least one is trained on all rows.
            for (var rung = shares.Length - 2; rung >= 0; rung--)
            {
                if (rungs[rung].Count > 0 && risen[rung].Count == 0 && Rising(rung, 1) is { } number)
                    return Raise(number, rung);
            }

            return null;
        }

        int? Rising(int rung, int most) => rungs[rung].Where(trial => trial.Failure is null).OrderBy(trial => trial.Loss).Take(most)
            .Where(trial => !risen[rung].Contains(trial.Number)).Select(trial => (int?)trial.Number).FirstOrDefault();

        (int Number, int Rung)? Raise(int number, int rung)
        {
            risen[rung].Add(number);
            return (number, rung + 1);
        }
    }

    /// <summary>Shares of the rows, from the least to 1.</summary>
    private double[] Shares()
    {
        var shares = new List<double> { 1 };
        for (long parts = options.HalvingFactor; options.HalvingFactor > 1 && 1.0 / parts >= options.MinimumShare && parts <= options.Trials; parts *= options.HalvingFactor)
            shares.Insert(0, 1.0 / parts);
        return [.. shares];
    }

    /// <summary>Draws new settings: number i follows from the seed and i alone, so that a search that goes on draws the same.</summary>
    private int? Draw()
    {
        var number = _drawn.Count;
        var random = new DeterministicRandom(DeterministicRandom.Mix(((ulong)(uint)options.Seed << 32) | (uint)number));
        for (var i = 0; i < MostDraws; i++)
        {
            var drawn = space.Draw(random);
            if (!_seen.Add(string.Join('\0', drawn.Values)))
                continue;
            _drawn[number] = drawn;
            return number;
        }

        return null;
    }

    private TuningTrial Evaluate(int number, double share)
    {
        options.CancellationToken.ThrowIfCancellationRequested();
        var (values, apply) = _drawn[number];
        if (_journal?.Find(number, share) is not { } trial)
        {
            var begin = Stopwatch.GetTimestamp();
            var (losses, failure) = Losses(apply, share);
            trial = new(number, values, share, losses, Stopwatch.GetElapsedTime(begin).TotalSeconds, failure);
            _journal?.Add(trial);
        }

        _trials.Add(trial);
        options.Progress?.Report(trial);
        return trial;
    }

    // Settings that cannot be trained with are part of a search; what the user or the system stops is not.
    private (double[] Losses, string? Failure) Losses(Func<TOptions, TOptions> apply, double share)
    {
        try
        {
            return (evaluate(apply(start), share), null);
        }
        catch (Exception e) when (e is not OperationCanceledException and not OutOfMemoryException)
        {
            _lastFailure = e;
            return ([], e.Message);
        }
    }
}
