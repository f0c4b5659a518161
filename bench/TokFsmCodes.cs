using System.Diagnostics;
using Microsoft.ML;
using Microsoft.ML.Data;
using MlNetMlp.Explain;
using MlNetMlp.Interop;

namespace MlNetMlp.Bench;

/// <summary>
/// Models of walks through a machine of states, with codes and without: how often what they sample is legal, how pure the codes of states are, and whether the codes of one state, put in the
/// place of another's, move what is told next.
/// </summary>
internal static class TokFsmCodes
{
    private const int Batch = 128;
    private const int Steps = 3000;
    private const int Prefixes = 2000;

    private static readonly TokFsm Machine = new() { States = 30, Edges = 5, Length = 17, Rows = 100 * Batch, Seed = 1 };

    private static readonly CodebookSequenceModel.Options Model = new()
    {
        Seed = 1, Width = 64, Heads = 4, Layers = 2, NumCodes = 256, K = 1, BatchSize = Batch, Epochs = Steps * Batch / Machine.Rows, ValidationFraction = 0, LearningRate = 1e-3,
    };

    public static void Run()
    {
        var ml = new MLContext(1);
        var train = ml.Data.GenerateTokFsm(Machine);
        var test = Machine with { FirstRow = Machine.Rows, Rows = Prefixes };
        foreach (var options in new[] { Model with { AttentionCodes = false, MlpCodes = false }, Model, Model with { ReplaceDeadAfterSteps = 100, LearningRate = 2e-3 } })
        {
            var start = Stopwatch.GetTimestamp();
            var model = ml.Transforms.CodebookSequenceModel(options).Fit(train);
            var seconds = Stopwatch.GetElapsedTime(start).TotalSeconds;
            var what = !options.MlpCodes ? "no codes" : options.ReplaceDeadAfterSteps > 0 ? $"codes, those unused for {options.ReplaceDeadAfterSteps} steps replaced" : "codes";
            Console.WriteLine($"codes: {Machine.States} states of {Machine.Edges} successors, {what}, {Steps} steps of {Batch} rows of {Machine.Length} tokens at {options.LearningRate} in {seconds:F0} s: "
                + $"{Legal(ml, model, test):P1} of the sampled states are legal");
            if (!options.MlpCodes)
                continue;
            var report = ml.Model.EvaluateCodes(model, ml.Data.GenerateTokFsm(test), new() { LabelColumnName = nameof(TokFsmRow.States) });
            for (var layer = 1; layer <= options.Layers; layer++)
            {
                var codes = report.Codes.Where(code => code.Site == $"L{layer}.G0" && !double.IsNaN(code.Purity)).ToArray();
                Console.WriteLine($"codes:   behind MLP {layer} {codes.Length} of {options.NumCodes} codes stand for states, mean purity {codes.Average(code => code.Purity):F3}, "
                    + $"{codes.Sum(code => code.Purity * code.Count) / codes.Sum(code => code.Count):F3} weighed by their counts");
            }

            foreach (var (name, layers, both) in new[] { ("of layer 1 at the state", 1, false), ("of layer 1 at the state and the next digit", 1, true), ("of all layers at the state", 2, false), ("of all layers at the state and the next digit", 2, true) })
            {
                var (before, after) = Swapped(ml, model, Machine, layers, both);
                Console.WriteLine($"codes:   MLP codes {name} from B: probability of B's successors {before:F3} -> {after:F3}");
            }
        }
    }

    /// <summary>Share of sampled next states that are legal.</summary>
    private static double Legal(MLContext ml, NetworkFeatureTransformer model, TokFsm machine)
    {
        var random = new Random(1);
        var walks = machine.MakeRows().ToArray();
        var most = (machine.Length - 1) / machine.Digits;
        int[] lengths = [.. walks.Select(_ => 1 + (random.Next(1, most) * machine.Digits))];
        uint[][] rows = [.. walks.Zip(lengths, (walk, length) => walk.Tokens.Select((token, i) => i < length ? token : 0).ToArray())];
        for (var digit = 0; digit < machine.Digits; digit++)
        {
            var scores = Scores(ml, model, machine, rows);
            for (var i = 0; i < rows.Length; i++)
            {
                var (left, token) = (random.NextSingle(), 0);
                while (token < scores[i].Length - 1 && (left -= scores[i][token]) > 0)
                    token++;
                rows[i][lengths[i] + digit] = (uint)token + 1;
            }
        }

        return rows.Select((row, i) => (From: (int)walks[i].States[lengths[i] - 1] - 1, To: machine.StateOf(row[lengths[i]..(lengths[i] + machine.Digits)])))
            .Average(pair => pair.To is { } to && machine.Successors(pair.From).Contains(to) ? 1.0 : 0);
    }

    /// <summary>Mean probability of B's successors behind A, over all pairs of two states, before and after A's codes are those of B.</summary>
    private static (double Before, double After) Swapped(MLContext ml, NetworkFeatureTransformer model, TokFsm machine, int layers, bool both)
    {
        uint[] Row(int state, params uint[] behind) => [(uint)machine.Base + 1, .. machine.TokensOf(state), .. behind, .. new uint[machine.Length - 1 - machine.Digits - behind.Length]];
        var last = machine.Digits;
        uint[] firsts = [.. Enumerable.Range(0, machine.States).Select(state => machine.TokensOf(state)[0]).Distinct()];
        var codesOf = firsts.ToDictionary(first => first, first => Codes(ml, model, machine, [.. Enumerable.Range(0, machine.States).Select(state => Row(state, first))]));
        var names = Slots(ml, model, machine);
        double before = 0, after = 0;
        for (var b = 0; b < machine.States; b++)
        {
            int CodeOf(uint first, int layer, int position) => (int)codesOf[first][b][Array.IndexOf(names, $"L{layer}.G0.#0@{position}")] - 1;
            var swapped = model;
            for (var layer = 1; layer <= layers; layer++)
                swapped = swapped.WithCodes(layer, 0, force: [CodeOf(firsts[0], layer, last)], positions: [last]);
            before += Mass(b, model, _ => model);
            after += Mass(b, swapped, first => !both ? swapped : Enumerable.Range(1, layers).Aggregate(swapped, (some, layer) => some.WithCodes(layer, 0, force: [CodeOf(first, layer, last + 1)], positions: [last + 1])));
        }

        return (before / machine.States, after / machine.States);

        double Mass(int b, NetworkFeatureTransformer one, Func<uint, NetworkFeatureTransformer> behind)
        {
            int[] others = [.. Enumerable.Range(0, machine.States).Where(a => a != b)];
            var first = Scores(ml, one, machine, [.. others.Select(a => Row(a))]);
            var sum = 0.0;
            foreach (var group in machine.Successors(b).GroupBy(state => machine.TokensOf(state)[0]))
            {
                var second = Scores(ml, behind(group.Key), machine, [.. others.Select(a => Row(a, group.Key))]);
                for (var i = 0; i < others.Length; i++)
                    sum += first[i][group.Key - 1] * group.Sum(state => second[i][machine.TokensOf(state)[1] - 1]);
            }

            return sum / others.Length;
        }
    }

    private static float[][] Scores(MLContext ml, NetworkFeatureTransformer model, TokFsm machine, uint[][] rows) => [.. model.Transform(View(ml, machine, rows)).GetColumn<float[]>("Score")];

    private static uint[][] Codes(MLContext ml, NetworkFeatureTransformer model, TokFsm machine, uint[][] rows) => [.. model.Transform(View(ml, machine, rows)).GetColumn<uint[]>("Codes")];

    private static string[] Slots(MLContext ml, NetworkFeatureTransformer model, TokFsm machine)
    {
        VBuffer<ReadOnlyMemory<char>> names = default;
        model.GetOutputSchema(View(ml, machine, []).Schema)["Codes"].GetSlotNames(ref names);
        return [.. names.DenseValues().Select(name => name.ToString())];
    }

    private static IDataView View(MLContext ml, TokFsm machine, uint[][] rows)
    {
        var schema = SchemaDefinition.Create(typeof(Sequence));
        schema[nameof(Sequence.Tokens)].ColumnType = new VectorDataViewType(new KeyDataViewType(typeof(uint), machine.TokenNames.Count), machine.Length);
        return ml.Data.LoadFromEnumerable(rows.Select(row => new Sequence { Tokens = row }), schema);
    }

    private sealed class Sequence
    {
        public uint[] Tokens { get; set; } = [];
    }
}
