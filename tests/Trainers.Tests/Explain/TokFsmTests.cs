using Microsoft.ML;
using Microsoft.ML.Data;
using MlNetMlp.Explain;

namespace MlNetMlp.Tests.Explain;

/// <summary><see cref="TokFsm"/>: a machine, and walks through it.</summary>
public sealed class TokFsmTests
{
    private static readonly MLContext Ml = new(1);

    public static TheoryData<int, int, int, int> Machines => new() { { 100, 10, 10, 128 }, { 30, 5, 10, 22 }, { 8, 2, 3, 13 }, { 5, 5, 7, 9 }, { 20, 1, 2, 40 } };

    [Theory]
    [MemberData(nameof(Machines))]
    public void Successors_are_distinct_states_and_as_many_for_each_state(int states, int edges, int @base, int length)
    {
        var machine = new TokFsm { States = states, Edges = edges, Base = @base, Length = length };
        for (var state = 0; state < states; state++)
        {
            var successors = machine.Successors(state);
            Assert.Equal(edges, successors.Count);
            Assert.Equal(successors.Order().Distinct(), successors);
            Assert.All(successors, other => Assert.InRange(other, 0, states - 1));
            Assert.Equal(state, machine.StateOf(machine.TokensOf(state)));
        }

        if (edges is > 1 && edges < states)
            Assert.True(Enumerable.Range(0, states).Select(state => string.Join(' ', machine.Successors(state))).Distinct().Count() > 1);
    }

    [Theory]
    [MemberData(nameof(Machines))]
    public void Rows_begin_with_BOS_and_every_transition_is_legal(int states, int edges, int @base, int length)
    {
        var machine = new TokFsm { States = states, Edges = edges, Base = @base, Length = length, Rows = 60 };
        var data = Ml.Data.GenerateTokFsm(machine);
        Assert.Equal(new VectorDataViewType(new KeyDataViewType(typeof(uint), @base + 1), length), data.Schema["Tokens"].Type);
        Assert.Equal(new VectorDataViewType(new KeyDataViewType(typeof(uint), states), length), data.Schema["States"].Type);
        var rows = data.GetColumn<uint[]>("Tokens").Zip(data.GetColumn<uint[]>("States")).ToArray();
        Assert.Equal(60, rows.Length);
        foreach (var (tokens, told) in rows)
        {
            Assert.Equal(length, tokens.Length);
            Assert.Equal(@base + 1u, tokens[0]);
            Assert.All(tokens[1..], token => Assert.InRange(token, 1u, (uint)@base));
            var whole = (length - 1) / machine.Digits;
            int[] walk = [.. Enumerable.Range(0, whole).Select(i => machine.StateOf(tokens[(1 + (i * machine.Digits))..(1 + ((i + 1) * machine.Digits))])!.Value)];
            Assert.All(walk.Zip(walk.Skip(1)), pair => Assert.Contains(pair.Second, machine.Successors(pair.First)));

            // The state stands where its last digit does.
            Assert.Equal(walk.SelectMany(state => (uint[])[.. new uint[machine.Digits - 1], (uint)state + 1]), told.Skip(1).Take(whole * machine.Digits));
            Assert.Equal(0u, told[0]);
            Assert.All(told[(1 + (whole * machine.Digits))..], state => Assert.Equal(0u, state));
        }
    }

    [Fact]
    public void Keys_stand_for_digits_and_numbers_of_states()
    {
        var machine = new TokFsm { States = 30, Edges = 5, Length = 7, Rows = 20 };
        var data = Ml.Data.GenerateTokFsm(machine);
        var told = Ml.Transforms.Conversion.MapKeyToValue([new("Words", "Tokens"), new("Names", "States")]).Fit(data).Transform(data);
        foreach (var (words, names) in told.GetColumn<ReadOnlyMemory<char>[]>("Words").Zip(told.GetColumn<ReadOnlyMemory<char>[]>("Names")))
        {
            Assert.Equal("BOS", words[0].ToString());
            for (var i = 1; i < 7; i += 2)
                Assert.Equal(int.Parse(names[i + 1].Span, provider: null), int.Parse($"{words[i]}{words[i + 1]}", provider: null));
        }
    }

    [Fact]
    public void Each_successor_is_equally_likely()
    {
        var machine = new TokFsm { States = 6, Edges = 3, Base = 6, Length = 101, Rows = 200 };
        var counts = new Dictionary<(int, int), int>();
        foreach (var row in machine.MakeRows())
        {
            foreach (var (from, to) in row.Tokens.Skip(1).Zip(row.Tokens.Skip(2)))
                counts[((int)from - 1, (int)to - 1)] = counts.GetValueOrDefault(((int)from - 1, (int)to - 1)) + 1;
        }

        Assert.Equal(Enumerable.Range(0, 6).SelectMany(state => machine.Successors(state).Select(other => (state, other))), counts.Keys.Order());

        // Within five deviations of a third.
        foreach (var of in counts.GroupBy(pair => pair.Key.Item1))
        {
            var all = of.Sum(pair => pair.Value);
            Assert.All(of, pair => Assert.InRange(pair.Value, (all / 3.0) - (5 * Math.Sqrt(all * 2 / 9.0)), (all / 3.0) + (5 * Math.Sqrt(all * 2 / 9.0))));
        }
    }

    [Fact]
    public void The_seed_decides_everything_and_rows_do_not_depend_on_their_number()
    {
        var machine = new TokFsm { States = 30, Edges = 5, Length = 21, Rows = 40, Seed = 3 };
        uint[][] Tokens(TokFsm some) => [.. Ml.Data.GenerateTokFsm(some).GetColumn<uint[]>("Tokens")];
        var data = Ml.Data.GenerateTokFsm(machine);
        Assert.Equal(data.GetColumn<uint[]>("Tokens"), data.GetColumn<uint[]>("Tokens"));
        Assert.Equal(Tokens(machine), Tokens(machine with { }));
        Assert.Equal(Tokens(machine).Skip(10).Take(5), Tokens(machine with { FirstRow = 10, Rows = 5 }));
        Assert.NotEqual(Tokens(machine), Tokens(machine with { Seed = 4 }));
        Assert.NotEqual(Tokens(machine)[0], Tokens(machine)[1]);
        Assert.Equal(machine.Successors(7), (machine with { Rows = 1, FirstRow = 100, Length = 9 }).Successors(7));
        Assert.NotEqual(
            Enumerable.Range(0, 30).SelectMany(machine.Successors), Enumerable.Range(0, 30).SelectMany((machine with { Seed = 4 }).Successors));
    }

    [Fact]
    public void What_cannot_be_is_told()
    {
        static string Message(Action act) => Assert.ThrowsAny<ArgumentException>(act).Message;
        Assert.Contains("option 'Edges' must be at most States, 4, but was 5", Message(() => Ml.Data.GenerateTokFsm(new() { States = 4, Edges = 5 })), StringComparison.Ordinal);
        Assert.Contains("'Length'", Message(() => Ml.Data.GenerateTokFsm(new() { Length = 1 })), StringComparison.Ordinal);
        Assert.Contains("'Base'", Message(() => Ml.Data.GenerateTokFsm(new() { Base = 1 })), StringComparison.Ordinal);
        Assert.ThrowsAny<ArgumentOutOfRangeException>(() => new TokFsm { States = 5, Edges = 2 }.Successors(5));
        Assert.ThrowsAny<ArgumentOutOfRangeException>(() => new TokFsm { States = 5, Edges = 2 }.TokensOf(-1));
        var machine = new TokFsm { States = 30, Edges = 2 };
        Assert.Null(machine.StateOf([4, 1]));
        Assert.Null(machine.StateOf([1, 11]));
        Assert.Null(machine.StateOf([1]));
        Assert.Equal(29, machine.StateOf([3, 10]));
    }
}
