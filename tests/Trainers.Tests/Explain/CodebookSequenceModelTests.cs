using Microsoft.ML;
using Microsoft.ML.Data;
using MlNetMlp.Conformance;
using MlNetMlp.Explain;
using MlNetMlp.Interop;
using MlNetMlp.Layers;
using MlNetMlp.Methods;
using MlNetMlp.Runtime;
using MlNetMlp.Solvers;
using MlNetMlp.Training;
using Xunit.Abstractions;
using static TorchSharp.torch;

namespace MlNetMlp.Tests.Explain;

/// <summary><see cref="CodebookSequenceModel"/>: what depends on what in it, its columns, and what its codes stand for.</summary>
public sealed class CodebookSequenceModelTests(ITestOutputHelper output)
{
    private const int Length = 9;
    private const int Tokens = 4;

    private static readonly MLContext Ml = new(1);
    private static readonly TokFsm Machine = new() { States = 8, Edges = 2, Base = 3, Length = Length, Rows = 300 };
    private static readonly IDataView Data = Ml.Data.GenerateTokFsm(Machine);
    private static readonly TokFsmRow[] Rows = [.. Machine.MakeRows()];

    private static readonly CodebookSequenceModel.Options Small = new() { Seed = 1, Width = 12, Heads = 2, Layers = 2, NumCodes = 20, K = 2, Epochs = 3, BatchSize = 32, LearningRate = 3e-3 };

    private static readonly Lazy<NetworkFeatureTransformer> Fitted = new(() => Ml.Transforms.CodebookSequenceModel(Small).Fit(Data));

    private static NetworkFeatureTransformer Model => Fitted.Value;

    [Theory]
    [InlineData(true, true, 2, RowSimilarity.InnerProduct)]
    [InlineData(true, false, 1, RowSimilarity.Euclidean)]
    [InlineData(false, true, 3, RowSimilarity.InnerProduct)]
    [InlineData(false, false, 1, RowSimilarity.InnerProduct)]
    public void What_comes_later_changes_nothing_before_it(bool attention, bool mlp, int k, RowSimilarity similarity)
    {
        using var scope = NewDisposeScope();
        using var random = new Generator(3);
        var definition = (CodebookSequenceModelDefinition)Model.Network.Definition with { AttentionCodes = attention, MlpCodes = mlp, K = k, Similarity = similarity };
        using var network = (CodebookSequenceNetwork)definition.Build(CPU);
        network.Initialize(random);
        network.eval();
        Assert.Equal(definition.WeightCount, network.ReadWeights().Sum(tensor => tensor.ElementCount));
        using var inference = inference_mode();
        var x = randint(1L, Tokens + 1, [50, Length], generator: random).to(ScalarType.Float32);
        var (logits, values) = (network.Logits(x), network.CallWithAdded(x));
        var slots = definition.AddedColumns.Count == 0 ? 0 : definition.AddedColumns[0].Size / Length;
        Assert.Equal(Tokens + (2 * Length * slots), values.shape[1]);
        for (var t = 0; t < Length - 1; t++)
        {
            var other = cat([x.narrow(1, 0, t + 1), randint(0L, Tokens + 1, [50, Length - t - 1], generator: random).to(ScalarType.Float32)], 1);
            var changed = network.Logits(other);
            Assert.Equal(TensorMemory.ToFloats(logits.narrow(1, 0, t + 1)), TensorMemory.ToFloats(changed.narrow(1, 0, t + 1)));
            Assert.NotEqual(TensorMemory.ToFloats(logits.narrow(1, t + 1, 1)), TensorMemory.ToFloats(changed.narrow(1, t + 1, 1)));
            Assert.Equal(TensorMemory.ToFloats(values.narrow(1, Tokens, (t + 1) * slots)), TensorMemory.ToFloats(network.CallWithAdded(other).narrow(1, Tokens, (t + 1) * slots)));
        }

        // A row that ends before the others has the score of its last token, and no codes behind it.
        for (var length = 1; length <= Length; length++)
        {
            var cut = cat([x.narrow(1, 0, length), zeros(50, Length - length)], 1);
            var all = network.CallWithAdded(cut);
            var expected = nn.functional.softmax(logits.select(1, length - 1), 1);
            Assert.Equal(TensorMemory.ToFloats(expected), TensorMemory.ToFloats(all.narrow(1, 0, Tokens)), (a, b) => Math.Abs(a - b) < 1e-5);
            Assert.All(TensorMemory.ToFloats(all.narrow(1, Tokens + (length * slots), (Length - length) * slots)), id => Assert.Equal(-1, id));
            Assert.All(TensorMemory.ToFloats(all.narrow(1, Tokens, length * slots)), id => Assert.InRange(id, 0, definition.NumCodes - 1));
        }
    }

    [Fact]
    public void Codes_come_with_names_and_ids_and_scores_with_tokens()
    {
        var scored = Model.Transform(Data);
        string[] at = ["A1.G0.#0", "A1.G0.#1", "A1.G1.#0", "A1.G1.#1", "L1.G0.#0", "L1.G0.#1", "A2.G0.#0", "A2.G0.#1", "A2.G1.#0", "A2.G1.#1", "L2.G0.#0", "L2.G0.#1"];
        string[] names = [.. Enumerable.Range(0, Length).SelectMany(position => at.Select(name => $"{name}@{position}"))];
        Assert.Equal(names, Names(scored.Schema["Codes"]));
        Assert.Equal(names, Names(scored.Schema["CodesSimilarity"]));
        Assert.Equal(["0", "1", "2", "BOS"], Names(scored.Schema["Score"]));
        Assert.Equal(new VectorDataViewType(new KeyDataViewType(typeof(uint), 20), 12 * Length), scored.Schema["Codes"].Type);
        Assert.All(scored.GetColumn<float[]>("Score"), row => Assert.Equal(1, row.Sum(), 1e-5));
        var told = Ml.Transforms.Conversion.MapKeyToValue("Ids", "Codes").Fit(scored).Transform(scored);
        Assert.Equal(scored.GetColumn<uint[]>("Codes").Select(row => row.Select(key => (int)key - 1)), told.GetColumn<int[]>("Ids"));
        Assert.All(scored.GetColumn<float[]>("CodesSimilarity"), row => Assert.All(Enumerable.Range(0, row.Length / 2), i => Assert.True(row[2 * i] >= row[(2 * i) + 1])));

        // What is promised comes out.
        var estimator = Ml.Transforms.CodebookSequenceModel(Small);
        Assert.Equal(SchemaText.Of(Trial.Shape(Model.GetOutputSchema(Data.Schema))), SchemaText.Of(estimator.GetOutputSchema(Trial.Shape(Data.Schema))));
        var renamed = Ml.Transforms.CodebookSequenceModel(Small with { CodesColumnName = "Why", ScoreColumnName = "Next", Epochs = 1 }).Fit(Data).Transform(Data);
        Assert.NotNull(renamed.Schema.GetColumnOrNull("Why"));
        Assert.Equal(Tokens, ((VectorDataViewType)renamed.Schema["Next"].Type).Size);
    }

    [Fact]
    public void The_codes_of_another_row_at_all_sites_behind_the_last_token_give_its_scores()
    {
        var scores = Column<float>(Model, "Score");
        var codes = Column<uint>(Model, "Codes");

        // The last token itself goes past all codes, so the rows have to share it.
        var (a, b) = (
            from first in Enumerable.Range(0, Rows.Length) from second in Enumerable.Range(0, Rows.Length)
            where Rows[first].Tokens[^1] == Rows[second].Tokens[^1] && scores[first].Zip(scores[second]).Max(pair => Math.Abs(pair.First - pair.Second)) > 0.02
            select (first, second)).First();
        var names = Names(Model.GetOutputSchema(Data.Schema)["Codes"]);
        foreach (var model in new[] { Model, (NetworkFeatureTransformer)Reload(Model) })
        {
            var swapped = model;
            for (var layer = 1; layer <= 2; layer++)
            {
                foreach (var (place, letter, groups) in new[] { (CodePlace.Attention, 'A', 2), (CodePlace.Layer, 'L', 1) })
                {
                    for (var group = 0; group < groups; group++)
                    {
                        int[] ids = [.. Enumerable.Range(0, 2).Select(i => (int)codes[b][Array.IndexOf(names, $"{letter}{layer}.G{group}.#{i}@{Length - 1}")] - 1)];
                        swapped = swapped.WithCodes(layer, group, force: ids, place: place, positions: [Length - 1]);
                    }
                }
            }

            var changed = Column<float>(swapped, "Score")[a];
            Assert.Equal(scores[b], changed, (x, y) => Math.Abs(x - y) < 1e-6);

            // Codes before the last token are those that they were.
            Assert.Equal(codes[a][..(12 * (Length - 1))], Column<uint>(swapped, "Codes")[a][..(12 * (Length - 1))]);
            Assert.Equal(codes[b][(12 * (Length - 1))..], Column<uint>(swapped, "Codes")[a][(12 * (Length - 1))..]);
        }
    }

    [Fact]
    public void Disabled_codes_stand_for_nothing_at_the_positions_that_are_meant()
    {
        var codes = Column<uint>(Model, "Codes");
        var names = Names(Model.GetOutputSchema(Data.Schema)["Codes"]);
        foreach (var (place, layer, group) in new[] { (CodePlace.Attention, 1, 1), (CodePlace.Attention, 2, 0), (CodePlace.Layer, 1, 0), (CodePlace.Layer, 2, 0) })
        {
            var site = $"{(place == CodePlace.Attention ? 'A' : 'L')}{layer}.G{group}.";
            var slots = Enumerable.Range(0, names.Length).Where(slot => names[slot].StartsWith(site, StringComparison.Ordinal)).ToArray();
            int[] most = [.. codes.SelectMany(row => slots.Select(slot => (int)row[slot] - 1)).GroupBy(id => id).OrderByDescending(same => same.Count()).Take(3).Select(same => same.Key)];
            foreach (var model in new[] { Model.WithCodes(layer, group, disable: most, place: place), Reload(Model.WithCodes(layer, group, disable: most, place: place)) })
                Assert.All(Column<uint>(model, "Codes"), row => Assert.All(slots, slot => Assert.DoesNotContain((int)row[slot] - 1, most)));

            var some = Column<uint>(Model.WithCodes(layer, group, disable: most, place: place, positions: [5, 3]), "Codes");
            int[] meant = [.. slots.Where(slot => names[slot].EndsWith("@3", StringComparison.Ordinal) || names[slot].EndsWith("@5", StringComparison.Ordinal))];
            Assert.All(some, row => Assert.All(meant, slot => Assert.DoesNotContain((int)row[slot] - 1, most)));
            for (var row = 0; row < Rows.Length; row++)
                Assert.Equal(codes[row][..(3 * 12)], some[row][..(3 * 12)]);
        }
    }

    [Fact]
    public void A_head_has_codes_of_its_own()
    {
        // Of the first layer, nothing but the head that is changed is changed; forced codes stand first, and others fill the list up.
        var names = Names(Model.GetOutputSchema(Data.Schema)["Codes"]);
        var (before, after) = (Column<uint>(Model, "Codes"), Column<uint>(Model.WithCodes(1, 1, force: [7], place: CodePlace.Attention, positions: [4]), "Codes"));
        int At(string slot) => Array.IndexOf(names, slot);
        for (var row = 0; row < Rows.Length; row++)
        {
            Assert.Equal(8u, after[row][At("A1.G1.#0@4")]);
            Assert.NotEqual(8u, after[row][At("A1.G1.#1@4")]);
            Assert.Equal(before[row][At("A1.G0.#0@4")], after[row][At("A1.G0.#0@4")]);
            Assert.Equal(before[row][At("A1.G0.#1@4")], after[row][At("A1.G0.#1@4")]);
        }

        var alone = Column<uint>(Model.WithCodes(1, 1, force: [7], keepK: false, place: CodePlace.Attention, positions: [4]), "Codes");
        Assert.All(alone, row => Assert.Equal((8u, 0u), (row[At("A1.G1.#0@4")], row[At("A1.G1.#1@4")])));
    }

    [Fact]
    public void Interventions_add_up_by_positions()
    {
        var definition = Model.WithCodes(1, 0, force: [1]).WithCodes(1, 0, force: [2], positions: [0, 4]).WithCodes(1, 0, positions: [8]).Network.Definition;
        Assert.Equal(definition, Model.WithCodes(1, 0, force: [2], positions: [4, 0]).WithCodes(1, 0, force: [1], positions: [1, 2, 3, 5, 6, 7]).Network.Definition);
        Assert.Equal(Model.Network.Definition, Model.WithCodes(1, 0, force: [1], positions: [2]).WithCodes(1, 0).Network.Definition);
        Assert.Equal(Model.WithCodes(1, 0, force: [1]).Network.Definition, Model.WithCodes(1, 0, force: [1], positions: [.. Enumerable.Range(0, Length)]).Network.Definition);
        var codes = Column<uint>(Model.WithCodes(1, 0, force: [1]).WithCodes(1, 0, force: [2], positions: [0, 4]), "Codes");
        var names = Names(Model.GetOutputSchema(Data.Schema)["Codes"]);
        for (var position = 0; position < Length; position++)
            Assert.All(codes, row => Assert.Equal(position is 0 or 4 ? 3u : 2u, row[Array.IndexOf(names, $"L1.G0.#0@{position}")]));
    }

    [Fact]
    public void Saved_models_engines_and_a_fresh_process_agree()
    {
        var model = Model.WithCodes(2, 1, force: [3], disable: [5], place: CodePlace.Attention, positions: [2, 3]);
        var loaded = Reload(model);
        Assert.Equal(Column<uint>(model, "Codes"), Column<uint>(loaded, "Codes"));
        Assert.Equal(Column<float>(model, "Score"), Column<float>(loaded, "Score"));

        using var stream = new MemoryStream();
        Ml.Model.Save(model, Data.Schema, stream);
        using var fresh = new FreshProcess(typeof(CodebookSequenceModelTests).Assembly, Ml, Data);
        var answer = fresh.Score(stream.ToArray());
        Assert.Null(answer.Error);
        Assert.Equal(MlNetMlp.Conformance.Program.Scores(model.Transform(Data)), answer.Scores);

        var schema = SchemaDefinition.Create(typeof(TokFsmRow));
        foreach (var name in new[] { "Tokens", "States" })
            schema[name].ColumnType = Data.Schema[name].Type;
        using var engine = Ml.Model.CreatePredictionEngine<TokFsmRow, Prediction>(loaded, inputSchemaDefinition: schema);
        var (codes, scores) = (Column<uint>(model, "Codes"), Column<float>(model, "Score"));
        for (var i = 0; i < 20; i++)
        {
            var one = engine.Predict(Rows[i]);
            Assert.Equal(codes[i], one.Codes);
            Assert.Equal(scores[i], one.Score, (a, b) => Math.Abs(a - b) < 1e-5);
        }
    }

    [Fact]
    public void Rows_of_unknown_size_are_rows_that_are_filled_up()
    {
        var random = new Random(2);
        TokFsmRow[] cut = [.. Rows.Select(row => new TokFsmRow { Tokens = row.Tokens[..(row == Rows[0] ? Length : random.Next(1, Length + 1))] })];
        var model = Ml.Transforms.CodebookSequenceModel(Small with { Epochs = 2 }).Fit(Variable(cut));
        Assert.Equal(Length, model.Network.Definition.Inputs);
        var filled = Ml.Transforms.CodebookSequenceModel(Small with { Epochs = 2 }).Fit(Variable([.. cut.Select(Fill)]));
        Assert.Equal(model.Transform(Variable(cut)).GetColumn<float[]>("Score"), filled.Transform(Variable([.. cut.Select(Fill)])).GetColumn<float[]>("Score"));
        Assert.Equal(["1", "2", "3", "4"], Names(model.GetOutputSchema(Variable(cut).Schema)["Score"]));

        static TokFsmRow Fill(TokFsmRow row) => new() { Tokens = [.. row.Tokens, .. new uint[Length - row.Tokens.Length]] };
        static IDataView Variable(TokFsmRow[] rows)
        {
            var schema = SchemaDefinition.Create(typeof(TokFsmRow));
            schema["Tokens"].ColumnType = new VectorDataViewType(new KeyDataViewType(typeof(uint), Tokens));
            schema.Remove(schema["States"]);
            return Ml.Data.LoadFromEnumerable(rows, schema);
        }
    }

    [Fact]
    public void What_fills_rows_up_counts_nothing_in_training()
    {
        using var scope = NewDisposeScope();
        using var random = new Generator(4);
        var definition = (CodebookSequenceModelDefinition)Model.Network.Definition;
        using var network = (CodebookSequenceNetwork)definition.Build(CPU);
        network.Initialize(random);

        // Rows of five tokens have the same mean over positions, and gradients, whether or not they are filled up.
        var x = randint(1L, Tokens + 1, [20, 5], generator: random).to(ScalarType.Float32);
        var (_, padded) = network.Run(cat([x, zeros(20, Length - 5)], 1), CodebookLoss.FullAutoEncode, 0.25, null);
        using var shorter = (CodebookSequenceNetwork)(definition with { Inputs = 5, Layout = definition.Layout! with { Columns = [definition.Layout.Columns[0] with { Width = 5 }] } }).Build(CPU);
        using (no_grad())
        {
            var known = network.state_dict();
            foreach (var (name, tensor) in shorter.state_dict())
                tensor.copy_(name == "positions" ? known[name].narrow(0, 0, 5) : known[name]);
        }

        var (_, plain) = shorter.Run(x, CodebookLoss.FullAutoEncode, 0.25, null);
        Assert.Equal(plain!.item<float>(), padded!.item<float>(), 1e-4 * plain.item<float>());
        plain.backward();
        padded.backward();
        foreach (var (one, other) in network.Codebooks.Zip(shorter.Codebooks))
            Assert.True(one.Codes.grad!.allclose(other.Codes.grad!, 1e-4, 1e-6));
    }

    [Fact]
    public void Codes_are_counted_and_searched_at_all_positions()
    {
        var report = Ml.Model.EvaluateCodes(Model, Data, new() { LabelColumnName = "States", TopRows = 3 });
        var (codes, names) = (Column<uint>(Model, "Codes"), Names(Model.GetOutputSchema(Data.Schema)["Codes"]));
        var similar = Column<float>(Model, "CodesSimilarity");
        Assert.Equal((Rows.Length, Length), (report.Rows, report.Positions));
        Assert.Equal(["A1.G0", "A1.G1", "L1.G0", "A2.G0", "A2.G1", "L2.G0"], report.Sites.Select(site => site.Name));
        bool[] wanted = [.. Rows.SelectMany(row => row.States.Select(state => state == 3))];
        var matches = report.Search(wanted, leastPrecision: 0);
        foreach (var code in report.Codes.Where(code => code.Site is "L1.G0" or "A2.G1"))
        {
            var found = (
                from row in Enumerable.Range(0, Rows.Length) from slot in Enumerable.Range(0, names.Length)
                where names[slot].StartsWith(code.Site, StringComparison.Ordinal) && codes[row][slot] == code.Code + 1
                select (Row: row, Position: slot / 12, Similarity: similar[row][slot])).ToArray();
            Assert.Equal(found.Length, code.Count);
            var top = found.OrderByDescending(place => place.Similarity).ThenBy(place => (place.Row, place.Position)).Take(3).ToArray();
            Assert.Equal(top.Select(place => ((long)place.Row, place.Position)), code.TopRows.Zip(code.TopPositions));
            var states = found.Select(place => Rows[place.Row].States[place.Position]).Where(state => state > 0).GroupBy(state => state).Select(same => same.Count()).ToArray();
            Assert.Equal(states.Length == 0 ? double.NaN : states.Max() / (double)states.Sum(), code.Purity, 1e-12);
            var match = matches.Single(match => (match.Site, match.Code) == (code.Site, code.Code));
            Assert.Equal(found.Count(place => wanted[(place.Row * Length) + place.Position]) / (double)found.Length, match.Precision, 1e-12);
            Assert.Equal(found.Count(place => wanted[(place.Row * Length) + place.Position]) / (double)wanted.Count(is_ => is_), match.Recall, 1e-12);
        }

        Assert.Contains("values for 300 rows of 9 positions", Assert.Throws<ArgumentException>(() => report.Search([true])).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Without_codes_it_is_a_plain_transformer()
    {
        var plain = Ml.Transforms.CodebookSequenceModel(Small with { AttentionCodes = false, MlpCodes = false }).Fit(Data);
        Assert.Null(plain.GetOutputSchema(Data.Schema).GetColumnOrNull("Codes"));
        Assert.Contains("no codes", Assert.Throws<ArgumentException>(() => plain.WithCodes(1, 0, [1])).Message, StringComparison.Ordinal);
        Assert.Equal(Column<float>(plain, "Score"), Column<float>(Reload(plain), "Score"));
    }

    [Fact]
    public void The_same_seed_learns_the_same_and_nothing_stays_behind()
    {
        var before = TorchSharp.DisposeScopeManager.Statistics.ThreadTotalLiveCount;
        var first = Ml.Transforms.CodebookSequenceModel(Small with { ReplaceDeadAfterSteps = 5, CodeDecay = 1e-4 }).Fit(Data);
        Assert.Equal(before, TorchSharp.DisposeScopeManager.Statistics.ThreadTotalLiveCount);
        Assert.Equal(Column<float>(first, "Score"), Column<float>(Ml.Transforms.CodebookSequenceModel(Small with { ReplaceDeadAfterSteps = 5, CodeDecay = 1e-4 }).Fit(Data), "Score"));
        Assert.NotEqual(Column<float>(first, "Score"), Column<float>(Ml.Transforms.CodebookSequenceModel(Small with { Seed = 2 }).Fit(Data), "Score"));

        // Training goes on from a model, whose loss it begins with.
        var more = Ml.Transforms.CodebookSequenceModel(Small with { InitialModel = Model }).Fit(Data);
        Assert.Equal(Model.Network.LearningCurve.Points[^1].ValidationLoss!.Value, more.Network.LearningCurve.Points[0].ValidationLoss!.Value, 0.3);
        Assert.True(more.Network.LearningCurve.Points[^1].ValidationLoss < Model.Network.LearningCurve.Points[0].ValidationLoss);
    }

    [Fact]
    public void What_cannot_be_is_told()
    {
        static string Message(Action act) => Assert.ThrowsAny<Exception>(act).Message;
        foreach (var (wrong, name) in new (CodebookSequenceModel.Options, string)[]
        {
            (Small with { Heads = 5 }, "'Heads' must divide Width, 12"), (Small with { K = 21 }, "'K'"), (Small with { FeatureColumnName = "Features" }, "'FeatureColumnName' must be null"),
            (Small with { Layers = 0 }, "'Layers'"), (Small with { Optimizer = OptimizerKind.Lbfgs }, "'Optimizer'"),
        })
            Assert.Contains(name, Message(() => Ml.Transforms.CodebookSequenceModel(wrong)), StringComparison.Ordinal);
        Assert.Contains("'Missing'", Message(() => Ml.Transforms.CodebookSequenceModel(Small with { TokensColumnName = "Missing" }).Fit(Data)), StringComparison.Ordinal);
        var numbers = Ml.Data.LoadFromEnumerable(CodeRow.Make(10, 2, 2, 0.1, 1));
        Assert.Contains("token column 'Features'", Message(() => Ml.Transforms.CodebookSequenceModel(Small with { TokensColumnName = "Features" }).Fit(numbers)), StringComparison.Ordinal);
        var single = Ml.Transforms.Conversion.MapValueToKey("Tokens", "Class").Fit(numbers).Transform(numbers);
        Assert.Contains("no row of column 'Tokens' has two tokens", Message(() => Ml.Transforms.CodebookSequenceModel(Small).Fit(single)), StringComparison.Ordinal);
        Assert.Contains("9", Message(() => Model.Transform(Ml.Data.GenerateTokFsm(Machine with { Length = 7 }))), StringComparison.Ordinal);
        var others = Ml.Data.GenerateTokFsm(Machine with { Base = 4, FirstRow = 300 });
        Assert.Contains("'Tokens'", Message(() => Ml.Transforms.CodebookSequenceModel(Small).Fit(Data, others)), StringComparison.Ordinal);
        Assert.Contains("65536 codes", Message(() => Ml.Transforms.CodebookSequenceModel(Small with { NumCodes = 4096, K = 4000 }).Fit(Data)), StringComparison.Ordinal);

        Assert.Contains("no codes behind attention 3, only behind attention 1, 2 and layer 1, 2", Message(() => Model.WithCodes(3, 0, [1], place: CodePlace.Attention)), StringComparison.Ordinal);
        Assert.Contains("group must be at least 0 and at most 0, but was 1", Message(() => Model.WithCodes(1, 1, [1])), StringComparison.Ordinal);
        Assert.Contains("positions must be at least 0 and at most 8, but one was 9", Message(() => Model.WithCodes(1, 0, [1], positions: [3, 9])), StringComparison.Ordinal);
        Assert.Contains("each once only", Message(() => Model.WithCodes(1, 0, [1], positions: [3, 3])), StringComparison.Ordinal);
        Assert.Contains("name at least one", Message(() => Model.WithCodes(1, 0, [1], positions: [])), StringComparison.Ordinal);
        Assert.Contains("9 positions", Message(() => Ml.Model.EvaluateCodes(Model, Data, new() { LabelColumnName = "Codes" })), StringComparison.Ordinal);
    }

    [Fact]
    [Trait("Category", "Heavy")]
    public void Codes_stand_for_states_and_move_what_is_told_next()
    {
        var machine = Machine with { Rows = 2048 };
        var options = new CodebookSequenceModel.Options
        {
            Seed = 1, Width = 48, Heads = 4, Layers = 2, NumCodes = 64, K = 1, Epochs = 20, BatchSize = 32, LearningRate = 3e-3, ValidationFraction = 0, ReplaceDeadAfterSteps = 50,
        };
        var model = Ml.Transforms.CodebookSequenceModel(options).Fit(Ml.Data.GenerateTokFsm(machine));
        var dense = Ml.Transforms.CodebookSequenceModel(options with { AttentionCodes = false, MlpCodes = false }).Fit(Ml.Data.GenerateTokFsm(machine));
        var test = machine with { FirstRow = machine.Rows, Rows = 400 };
        var (legal, plain) = (Legal(model, test), Legal(dense, test));
        var report = Ml.Model.EvaluateCodes(model, Ml.Data.GenerateTokFsm(test), new() { LabelColumnName = "States" });
        var purity = report.Codes.Where(code => code.Site == "L1.G0" && !double.IsNaN(code.Purity)).Average(code => code.Purity);
        var (before, after) = Swapped(model, machine);
        output.WriteLine($"legal {legal:F3} with codes, {plain:F3} without; purity {purity:F3}; probability of B's successors {before:F3} -> {after:F3}");
        Assert.True(legal >= 0.9, $"{legal}");
        Assert.True(plain >= 0.97, $"{plain}");
        Assert.True(purity >= 0.8, $"{purity}");
        Assert.True(before <= 0.4 && after >= 0.7, $"{before} -> {after}");
    }

    // Probability that the two tokens behind a state of a row are those of a legal state.
    private static double Legal(ITransformer model, TokFsm machine)
    {
        var walks = machine.MakeRows().Select((row, i) => (Row: row, Length: 3 + (2 * (i % 3)))).ToArray();
        return walks.Zip(Told(model, machine, [.. walks.Select(walk => walk.Row.Tokens[..walk.Length])], _ => model))
            .Average(pair => machine.Successors((int)pair.First.Row.States[pair.First.Length - 1] - 1).Sum(state => pair.Second[state]));
    }

    // Mean probability of B's successors behind A, and where the MLPs pass on what they do for B.
    private static (double Before, double After) Swapped(NetworkFeatureTransformer model, TokFsm machine)
    {
        var names = Names(model.GetOutputSchema(Ml.Data.GenerateTokFsm(machine).Schema)["Codes"]);
        uint[][] rows = [.. Enumerable.Range(0, machine.States).Select(state => (uint[])[4, .. machine.TokensOf(state)])];
        var codes = Enumerable.Range(1, machine.Base).ToDictionary(digit => (uint)digit, digit => View(machine, [.. rows.Select(row => (uint[])[.. row, (uint)digit])]) is var data
            ? model.Transform(data).GetColumn<uint[]>("Codes").ToArray() : []);
        double before = 0, after = 0;
        for (var b = 0; b < machine.States; b++)
        {
            NetworkFeatureTransformer At(NetworkFeatureTransformer some, uint digit, int position) => Enumerable.Range(1, 2).Aggregate(
                some, (changed, layer) => changed.WithCodes(layer, 0, force: [(int)codes[digit][b][Array.IndexOf(names, $"L{layer}.G0.#0@{position}")] - 1], positions: [position]));
            var swapped = At(model, 1, 2);
            uint[][] others = [.. rows.Where((_, a) => a != b)];
            before += Told(model, machine, others, _ => model).Average(told => machine.Successors(b).Sum(state => told[state]));
            after += Told(swapped, machine, others, digit => At(swapped, digit, 3)).Average(told => machine.Successors(b).Sum(state => told[state]));
        }

        return (before / machine.States, after / machine.States);
    }

    // The probabilities of the states behind each row: that of the first digit, and of the second behind it.
    private static float[][] Told(ITransformer model, TokFsm machine, uint[][] rows, Func<uint, ITransformer> behind)
    {
        float[][] Scores(ITransformer one, uint[][] some) => [.. one.Transform(View(machine, some)).GetColumn<float[]>("Score")];
        var first = Scores(model, rows);
        float[][][] second = [.. Enumerable.Range(1, machine.Base).Select(digit => Scores(behind((uint)digit), [.. rows.Select(row => (uint[])[.. row, (uint)digit])]))];
        return
        [
            .. rows.Select((_, i) => Enumerable.Range(0, machine.States).Select(state => machine.TokensOf(state) is var digits ? first[i][(int)digits[0] - 1] * second[(int)digits[0] - 1][i][(int)digits[1] - 1] : 0).ToArray()),
        ];
    }

    private static IDataView View(TokFsm machine, uint[][] rows)
    {
        var schema = SchemaDefinition.Create(typeof(TokFsmRow));
        schema["Tokens"].ColumnType = new VectorDataViewType(new KeyDataViewType(typeof(uint), machine.Base + 1), machine.Length);
        schema.Remove(schema["States"]);
        return Ml.Data.LoadFromEnumerable(rows.Select(row => new TokFsmRow { Tokens = [.. row, .. new uint[machine.Length - row.Length]] }), schema);
    }

    [Fact]
    public void Options_are_equal_by_value()
    {
        Assert.Equal(Small, NetworkOptions.FromJson<CodebookSequenceModel.Options>(Small.ToJson()));
        var rebuilt = (NetworkFeatureTransformer)Reload(Model.WithCodes(1, 0, [1], positions: [2]));
        Assert.Equal(Model.WithCodes(1, 0, [1], positions: [2]).Network.Definition, rebuilt.Network.Definition);
    }

    private static T[][] Column<T>(ITransformer model, string name) => [.. model.Transform(Data).GetColumn<T[]>(name)];

    private static string[] Names(DataViewSchema.Column column)
    {
        VBuffer<ReadOnlyMemory<char>> names = default;
        column.GetSlotNames(ref names);
        return [.. names.DenseValues().Select(name => name.ToString())];
    }

    private static ITransformer Reload(ITransformer model)
    {
        using var stream = new MemoryStream();
        Ml.Model.Save(model, Data.Schema, stream);
        stream.Position = 0;
        return new MLContext().Model.Load(stream, out _);
    }

    private sealed class Prediction
    {
        public float[] Score { get; set; } = [];

        public uint[] Codes { get; set; } = [];
    }
}
