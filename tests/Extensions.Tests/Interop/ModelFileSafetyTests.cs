using System.Buffers.Binary;
using System.IO.Compression;
using System.Text;
using System.Text.Json.Nodes;
using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.Transforms;
using MlNetMlp.Networks;
using MlNetMlp.Persistence;
using MlNetMlp.Runtime;
using MlNetMlp.Tests.Scoring;
using MlNetMlp.Tests.Support;

namespace MlNetMlp.Tests.Interop;

/// <summary>Files from anywhere: what is refused before ML.NET sees it, and that nothing sound is.</summary>
public sealed class ModelFileSafetyTests : IDisposable
{
    private const string Here = "MlNetMlp.Extensions.Tests";
    private const int LocalLength = 30;

    private static readonly string[] Trusted = [.. ModelFile.KnownAssemblies, Here];

    private readonly string _folder = Directory.CreateTempSubdirectory("safety").FullName;

    private string Target => Path.Combine(_folder, "model.zip");

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    private static byte[] Good(TaskKind task = TaskKind.Regression) => ModelZip.Save(Fitted.Model(task));

    private ITransformer Load(byte[] file, params string[] allowed)
    {
        File.WriteAllBytes(Target, file);
        return ModelFile.Load(new MLContext(1), Target, new(), allowed, out _);
    }

    private void Refused(byte[] file, string message, ModelFileLimits? limits = null)
    {
        File.WriteAllBytes(Target, file);
        var e = Assert.Throws<ModelFormatException>(() => ModelFile.Inspect(Target, limits));
        Assert.StartsWith($"'{Target}' cannot be trusted. ", e.Message, StringComparison.Ordinal);
        Assert.Contains(message, e.Message, StringComparison.Ordinal);
        Assert.Throws<ModelFormatException>(() => ModelFile.Load(new MLContext(1), Target, limits ?? new(), Trusted, out _));
    }

    [Theory]
    [MemberData(nameof(Fitted.Kinds), MemberType = typeof(Fitted))]
    public void A_sound_model_is_loaded_as_MlNet_loads_it(TaskKind task, bool isDense)
    {
        var model = Fitted.Model(task, isDense);

        Bits.Equal(Fitted.Scores(model), Fitted.Scores(Load(ModelZip.Save(model), Trusted)));
    }

    [Fact]
    public void A_report_names_entries_models_networks_and_assemblies()
    {
        ModelFile.Save(Fitted.Ml, Fitted.Model(TaskKind.Multiclass), Fitted.Data.Schema, Target);

        var report = ModelFile.Inspect(Target);

        using var zip = ZipFile.OpenRead(Target);
        Assert.Equal(zip.Entries.Select(entry => (entry.FullName.Replace('\\', '/'), entry.Length, entry.CompressedLength)), report.Entries.Select(entry => (entry.Name, entry.Bytes, entry.PackedBytes)));
        Assert.Equal(zip.Entries.Sum(entry => entry.Length), report.Bytes);
        Assert.Contains(report.Parts, part => part.Assembly == Here && part.Name == typeof(PlainMlpDefinition).FullName && part.Entry.EndsWith("network.json", StringComparison.Ordinal));
        Assert.Contains(report.Parts, part => part.Assembly == "Microsoft.ML.Data" && part.Entry == "TransformerChain/Model.key");
        Assert.Subset(Trusted.ToHashSet(), report.Assemblies.ToHashSet());
    }

    [Fact]
    public void Models_of_MlNet_need_no_assembly_but_known_ones()
    {
        var ml = new MLContext(1);
        var words = ml.Data.LoadFromEnumerable(Enumerable.Range(0, 60).Select(i => new Words { Text = i % 2 == 0 ? "one two three" : "four five", Label = i % 2 == 0, Number = i }));
        var features = ml.Transforms.Text.FeaturizeText("Words", "Text")
            .Append(ml.Transforms.NormalizeBinning("Bin", "Number"))
            .Append(ml.Transforms.ReplaceMissingValues("Number2", "Number"))
            .Append(ml.Transforms.Concatenate("Features", "Words", "Bin", "Number2"));
        IEstimator<ITransformer>[] trainers =
        [
            ml.BinaryClassification.Trainers.FastTree(numberOfTrees: 3, minimumExampleCountPerLeaf: 2),
            ml.BinaryClassification.Trainers.SdcaLogisticRegression(),
            ml.BinaryClassification.Calibrators.Platt("Label", "Number"),
            ml.Transforms.Conversion.MapValueToKey("Key", "Label")
                .Append(ml.MulticlassClassification.Trainers.OneVersusAll(ml.BinaryClassification.Trainers.AveragedPerceptron(), "Key")),
            ml.Clustering.Trainers.KMeans(numberOfClusters: 2),
        ];
        foreach (var trainer in trainers)
        {
            var model = features.Append(trainer).Fit(words);
            Assert.NotNull(Load(ModelZip.Save(model, words), [.. ModelFile.KnownAssemblies]));
            Assert.Subset(ModelFile.KnownAssemblies.ToHashSet(), ModelFile.Inspect(Target).Assemblies.ToHashSet());
        }
    }

    [Fact]
    public void A_custom_mapping_is_the_applications_code_and_needs_its_leave()
    {
        var ml = new MLContext(1);
        var model = ml.Transforms.CustomMapping(new HalfMapping().GetMapping(), "Half").Fit(Fitted.Data);
        var file = ModelZip.Save(model);

        var e = Assert.Throws<ModelFormatException>(() => Load(file, [.. ModelFile.KnownAssemblies]));

        Assert.Contains($"'Half' is to come from the assembly '{Here}', which is not among the allowed ones", e.Message, StringComparison.Ordinal);
        Assert.Contains(ModelFile.Inspect(Target).Parts, part => part is { Name: "Half", Assembly: Here });
        Assert.Equal(model.Transform(Fitted.Data).GetColumn<float>("Half"), Load(file, Trusted).Transform(Fitted.Data).GetColumn<float>("Half"));
    }

    [Fact]
    public void An_assembly_that_is_not_allowed_is_refused_before_it_is_looked_for()
    {
        var asked = new List<string>();
        AppDomain.CurrentDomain.AssemblyResolve += Note;
        try
        {
            // Of the same length, so that the layout of the models stays as it is.
            foreach (var file in new[]
            {
                ReplaceInModels(Good(), "MlNetMlp.Extensions", "Evil.Assembly.Here1"),
                ReplaceInModels(Good(), "Microsoft.ML.Data", "Evil.Assembly.Here"[..17]),
                ModelZip.ChangeJson(Good(), root => root["network"]!["assembly"] = "Evil.Assembly"),
                ModelZip.ChangeJson(Good(), root => root["definition"]!["deep"] = new JsonArray(new JsonObject { ["kind"] = "Some.Type, Evil.Assembly" })),
            })
            {
                var e = Assert.Throws<ModelFormatException>(() => Load(file, Trusted));
                Assert.Contains("is to come from the assembly 'Evil.Assembly", e.Message, StringComparison.Ordinal);
            }
        }
        finally
        {
            AppDomain.CurrentDomain.AssemblyResolve -= Note;
        }

        Assert.DoesNotContain(asked, name => name.StartsWith("Evil", StringComparison.Ordinal));

        System.Reflection.Assembly? Note(object? sender, ResolveEventArgs args)
        {
            lock (asked)
                asked.Add(args.Name);
            return null;
        }
    }

    [Theory]
    [InlineData("/tmp/Evil.dll")]
    [InlineData(@"..\Evil")]
    [InlineData("Evil, Version=x.y")]
    [InlineData("Evil\0")]
    public void What_is_no_name_of_an_assembly_is_refused(string name) =>
        Refused(ModelZip.ChangeJson(Good(), root => root["network"]!["assembly"] = name), "is not the name of an assembly");

    [Fact]
    public void A_model_within_the_bytes_of_another_is_seen()
    {
        var inner = ModelZip.Read(ReplaceInModels(Good(), "MlNetMlp.Extensions", "Evil.Assembly.Here1"), "Model.key").First(model => Contains(model, "Evil"));

        // The parts that are searched have 65,536 bytes: the model lies across two.
        var file = With(("Blob", [.. new byte[65_530], .. inner]));

        var e = Assert.Throws<ModelFormatException>(() => Load(file, Trusted));
        Assert.Contains("'Evil.Assembly.Here1'", e.Message, StringComparison.Ordinal);
        Assert.Contains("Blob", e.Message, StringComparison.Ordinal);
    }

    public static TheoryData<string> Names => ["/etc/passwd", "../evil", "a/../b", "a//b", "./a", @"C:\evil", @"\\server\share", @"..\evil", "a\nb", "a/"];

    [Theory]
    [MemberData(nameof(Names))]
    public void A_name_that_leaves_the_model_is_refused(string name) => Refused(With((name, [1])), "which is no path within a model");

    [Theory]
    [InlineData("Blob", "Blob")]
    [InlineData("Blob", "BLOB")]
    [InlineData("a/b", @"a\b")]
    public void Two_entries_of_one_name_are_refused(string first, string second) => Refused(With((first, [1]), (second, [2])), "the zip holds this entry twice");

    [Fact]
    public void A_bomb_is_refused_by_its_size_and_by_how_well_it_packs()
    {
        var bomb = With(("Blob", new byte[8_000_000]));
        Refused(bomb, "unpack to 8000000, more than 100 times as many (ModelFileLimits.Ratio)");
        Refused(bomb, "bytes, more than 4000000 (ModelFileLimits.Bytes)", new() { Bytes = 4_000_000, Ratio = 10_000 });
        File.WriteAllBytes(Target, bomb);
        Assert.Equal(8_000_000, ModelFile.Inspect(Target, new() { Ratio = 10_000 }).Entries.Max(entry => entry.Bytes));
    }

    [Fact]
    public void A_bomb_that_lies_about_its_size_is_found_out()
    {
        var bomb = With(("Blob", new byte[8_000_000]));
        ForEntry(bomb, "Blob", (local, central) =>
        {
            BinaryPrimitives.WriteUInt32LittleEndian(bomb.AsSpan(local + 22), 100);
            BinaryPrimitives.WriteUInt32LittleEndian(bomb.AsSpan(central + 24), 100);
        });
        Refused(bomb, "Blob: the entry unpacks to more than the 100 bytes");
    }

    [Fact]
    public void Too_many_entries_are_refused()
    {
        var file = With([.. Enumerable.Range(0, 50).Select(i => ($"Blob{i}", new byte[] { 1 }))]);
        Refused(file, "entries, more than 40", new() { Entries = 40 });
        Assert.NotNull(Load(file, Trusted));
    }

    [Fact]
    public void Large_headers_and_many_tensors_are_refused()
    {
        Refused(Good(), "network.json: it has", new() { HeaderBytes = 100 });
        Refused(ModelZip.Change(Good(), ModelZip.Header, _ => [.. "{}"u8]), "weights.safetensors: its header has", new() { HeaderBytes = 100 });
        Refused(Good(), "tensors, more than 3 (ModelFileLimits.Tensors)", new() { Tensors = 3 });
        Refused(ModelZip.Change(Good(), ModelZip.Weights, content => content[..7]), "7 bytes, too few for a header");
        Refused(ModelZip.ChangeHeader(Good(), _ => string.Concat(Enumerable.Repeat("[", 5000))), "network.json: ");
        Refused(ModelZip.ChangeHeader(Good(), text => text.Replace("\"format\": 1", "\"format\": 1, \"format\": 1", StringComparison.Ordinal)), "network.json: ");
    }

    [Fact]
    public void Bytes_that_belong_to_no_entry_are_refused()
    {
        var good = Good();
        Refused([.. good, 0], "has bytes after its end");
        Refused([.. good, .. good], "bytes between the last entry and the directory", null, orElse: "does not end at byte");
        Refused([0, .. good], "does not end at byte");
        Refused([.. good.AsSpan(0, good.Length - 22), .. new byte[22]], "it is no zip");
        Refused([], "fewer than the smallest zip");

        byte[] comment = [.. good, (byte)'x'];
        comment[^3] = 1;
        Refused(comment, "has bytes after its end");
    }

    [Fact]
    public void Entries_that_share_their_bytes_are_refused()
    {
        var file = With(("Blob1", [1, 2, 3]), ("Blob2", [1, 2, 3]));
        int first = 0;
        ForEntry(file, "Blob1", (local, _) => first = local);
        ForEntry(file, "Blob2", (_, central) => BinaryPrimitives.WriteInt32LittleEndian(file.AsSpan(central + 42), first));
        Refused(file, "entries overlap, are out of order or leave room between them");
    }

    [Theory]
    [InlineData(6, 1, "is encrypted")]
    [InlineData(8, 9, "is packed by method 9")]
    public void What_no_writer_of_models_uses_is_refused(int place, byte value, string message)
    {
        var file = With(("Blob", [1, 2, 3]));
        ForEntry(file, "Blob", (local, central) => (file[local + place], file[central + place + 2]) = (value, value));
        Refused(file, message);
    }

    [Theory]
    [InlineData(6)]
    [InlineData(8)]
    [InlineData(14)]
    [InlineData(18)]
    [InlineData(22)]
    [InlineData(30)]
    public void A_record_that_tells_otherwise_than_the_directory_is_refused(int place)
    {
        var file = With(("Blob", [1, 2, 3]));
        ForEntry(file, "Blob", (local, _) => file[local + place] ^= 1);
        Refused(file, "Blob'");
    }

    [Fact]
    public void A_zip_written_to_a_stream_that_cannot_go_back_is_sound()
    {
        using var written = new MemoryStream();
        using (var from = new ZipArchive(new MemoryStream(Good())))
        using (var to = new ZipArchive(new ForwardOnly(written), ZipArchiveMode.Create))
        {
            foreach (var entry in from.Entries)
            {
                using var content = entry.Open();
                using var copy = to.CreateEntry(entry.FullName).Open();
                content.CopyTo(copy);
            }
        }

        Bits.Equal(Fitted.Scores(Fitted.Model(TaskKind.Regression)), Fitted.Scores(Load(written.ToArray(), Trusted)));
    }

    [Fact]
    public void A_flipped_bit_is_refused_or_changes_nothing()
    {
        var good = Good(TaskKind.Binary);
        var expected = Fitted.Scores(Fitted.Model(TaskKind.Binary));
        var random = new DeterministicRandom(3);
        int refused = 0, loaded = 0;
        for (var i = 0; i < 400; i++)
        {
            byte[] damaged = [.. good];
            damaged[(int)(random.NextDouble() * good.Length)] ^= (byte)(1 << (i % 8));
            try
            {
                Bits.Equal(expected, Fitted.Scores(Load(damaged, Trusted)));
                loaded++;
            }
            catch (ModelFormatException)
            {
                refused++;
            }
        }

        Assert.InRange(loaded, 1, 100);
        Assert.Equal(400, loaded + refused);
    }

    [Fact]
    public void A_cut_file_is_refused_wherever_it_ends()
    {
        var good = Good();
        for (var length = 0; length < good.Length; length += 37)
        {
            File.WriteAllBytes(Target, good[..length]);
            Assert.Throws<ModelFormatException>(() => ModelFile.Inspect(Target));
        }
    }

    [Fact]
    public void Limits_out_of_their_range_and_files_that_are_not_there_are_told()
    {
        File.WriteAllBytes(Target, Good());
        Assert.Contains("'Entries' must be at least 1", Assert.Throws<ArgumentOutOfRangeException>(() => ModelFile.Inspect(Target, new() { Entries = 0 })).Message, StringComparison.Ordinal);
        Assert.Throws<FileNotFoundException>(() => ModelFile.Inspect(Target + "x"));
        Assert.Throws<FileNotFoundException>(() => ModelFile.Load(new MLContext(1), Target + "x", new(), Trusted, out _));
    }

    private void Refused(byte[] file, string message, ModelFileLimits? limits, string orElse)
    {
        File.WriteAllBytes(Target, file);
        var e = Assert.Throws<ModelFormatException>(() => ModelFile.Inspect(Target, limits));
        Assert.True(e.Message.Contains(message, StringComparison.Ordinal) || e.Message.Contains(orElse, StringComparison.Ordinal), e.Message);
    }

    /// <summary>A sound model with more entries.</summary>
    private static byte[] With(params (string Name, byte[] Content)[] more)
    {
        var copy = new MemoryStream();
        copy.Write(Good());
        using (var zip = new ZipArchive(copy, ZipArchiveMode.Update, leaveOpen: true))
        {
            foreach (var (name, content) in more)
            {
                using var stream = zip.CreateEntry(name, CompressionLevel.SmallestSize).Open();
                stream.Write(content);
            }
        }

        return copy.ToArray();
    }

    private static byte[] ReplaceInModels(byte[] file, string from, string to)
    {
        Assert.Equal(from.Length, to.Length);
        return ModelZip.Change(file, "Model.key", content =>
        {
            var (find, replace) = (Encoding.Unicode.GetBytes(from), Encoding.Unicode.GetBytes(to));
            for (int at = 0, next; (next = content.AsSpan(at).IndexOf(find)) >= 0; at += next)
                replace.CopyTo(content.AsSpan(at + next));
            return content;
        });
    }

    private static bool Contains(byte[] content, string text) => content.AsSpan().IndexOf(Encoding.Unicode.GetBytes(text)) >= 0;

    private static void ForEntry(byte[] file, string name, Action<int, int> change)
    {
        var bytes = Encoding.UTF8.GetBytes(name);
        int local = file.AsSpan().IndexOf(bytes) - LocalLength, central = file.AsSpan().LastIndexOf(bytes) - 46;
        Assert.Equal(0x04034b50u, BinaryPrimitives.ReadUInt32LittleEndian(file.AsSpan(local)));
        Assert.Equal(0x02014b50u, BinaryPrimitives.ReadUInt32LittleEndian(file.AsSpan(central)));
        change(local, central);
    }

    private sealed class Words
    {
        public string Text { get; init; } = "";

        public bool Label { get; init; }

        public float Number { get; init; }
    }

    private sealed class Whole
    {
        public float Weight { get; set; }
    }

    private sealed class HalfOf
    {
        public float Half { get; set; }
    }

    [CustomMappingFactoryAttribute("Half")]
    private sealed class HalfMapping : CustomMappingFactory<Whole, HalfOf>
    {
        public override Action<Whole, HalfOf> GetMapping() => (whole, half) => half.Half = whole.Weight / 2;
    }

    private sealed class ForwardOnly(Stream target) : Stream
    {
        public override bool CanRead => false;

        public override bool CanSeek => false;

        public override bool CanWrite => true;

        public override long Length => throw new NotSupportedException();

        public override long Position
        {
            get => throw new NotSupportedException();
            set => throw new NotSupportedException();
        }

        public override void Flush() => target.Flush();

        public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException();

        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

        public override void SetLength(long value) => throw new NotSupportedException();

        public override void Write(byte[] buffer, int offset, int count) => target.Write(buffer, offset, count);
    }
}
