using System.Buffers.Binary;
using System.IO.Compression;
using System.Reflection;
using System.Text;
using System.Text.Json.Nodes;
using Microsoft.ML;
using Microsoft.ML.Data;
using MlNetMlp.Interop;
using MlNetMlp.Networks;
using MlNetMlp.Persistence;
using MlNetMlp.Runtime;
using MlNetMlp.Scoring;
using MlNetMlp.Tests.Scoring;
using MlNetMlp.Tests.Support;

namespace MlNetMlp.Tests.Interop;

/// <summary>Model files that are damaged, or made to do harm.</summary>
public sealed class HostileModelTests : IDisposable
{
    private const string Ours = "MlNetMlp.Extensions.Tests";

    private readonly string _folder = Directory.CreateTempSubdirectory("hostile").FullName;

    /// <summary>A definition that no file may name.</summary>
    public record Unsealed : NetworkDefinition
    {
        public override long WeightCount => 1;

        public override Network Build(TorchSharp.torch.Device device) => throw new InvalidOperationException("built");
    }

    internal sealed record Hidden : Unsealed;

    public abstract record Unfinished : NetworkDefinition;

    public sealed record Generic<T> : Unsealed;

    private static byte[] Good(TaskKind task = TaskKind.Regression, bool isDense = true) => ModelZip.Save(Fitted.Model(task, isDense));

    private static byte[] Features() =>
        ModelZip.Save(Fitted.Ml.Transforms.CreateFeaturizer("Deep", Fitted.Model(TaskKind.Regression)).Fit(Fitted.Named), Fitted.Named);

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Theory]
    [InlineData(TaskKind.Regression, true)]
    [InlineData(TaskKind.Multiclass, false)]
    public void A_cut_file_is_refused_wherever_it_ends(TaskKind task, bool isDense)
    {
        var file = Good(task, isDense);
        var lengths = Enumerable.Range(0, 100).Select(i => (int)((long)file.Length * i / 100)).Concat(Enumerable.Range(file.Length - 100, 100));
        foreach (var length in lengths)
        {
            var e = Assert.ThrowsAny<Exception>(() => ModelZip.Load(file[..length]));
            AssertSensible(Innermost(e), $"cut at {length}");
        }
    }

    [Theory]
    [InlineData(TaskKind.Binary, true)]
    [InlineData(TaskKind.Binary, false)]
    public void A_flipped_bit_is_refused_or_does_no_harm(TaskKind task, bool isDense)
    {
        var file = Good(task, isDense);
        var expected = Fitted.Scores(Fitted.Model(task, isDense));
        var random = new DeterministicRandom(7);
        int loaded = 0, refused = 0;
        for (var i = 0; i < 300; i++)
        {
            byte[] damaged = [.. file];
            damaged[(int)(random.NextDouble() * file.Length)] ^= (byte)(1 << (i % 8));
            float[] scores;
            try
            {
                // A step of ML.NET's own in the chain may have learned another name of a column, and says so when it is applied.
                scores = Fitted.Scores(ModelZip.Load(damaged));
            }
            catch (Exception e)
            {
                AssertSensible(Innermost(e), $"flip {i}");
                refused++;
                continue;
            }

            Bits.Equal(expected, scores);
            loaded++;
        }

        // Both happen, or the damage tests nothing: dates and names of entries matter to nobody.
        Assert.InRange(loaded, 5, 295);
        Assert.InRange(refused, 5, 295);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(50)]
    [InlineData(99)]
    public void Cut_entries_are_refused(int percent)
    {
        Refused(ModelZip.Change(Good(), ModelZip.Header, content => content[..(content.Length * percent / 100)]), "network.json: ");
        Refused(ModelZip.Change(Good(), ModelZip.Weights, content => content[..(content.Length * percent / 100)]), "weights.safetensors: ");
    }

    // ML.NET takes them as they are: another threshold, another column, and at some bits of a schema no end.
    [Theory]
    [InlineData(TaskKind.Binary)]
    [InlineData(TaskKind.Multiclass)]
    public void A_flipped_bit_in_what_MlNet_writes_around_a_network_is_refused(TaskKind task)
    {
        var file = ModelZip.Change(Good(task), "", content => content, CompressionLevel.NoCompression);
        using var zip = new ZipArchive(new MemoryStream(file));
        var entries = zip.Entries.Where(entry => entry.FullName.Contains("Inner", StringComparison.Ordinal)).ToArray();
        Assert.Contains(entries, entry => entry.Name == "TrainSchema");
        foreach (var entry in entries)
        {
            var start = file.AsSpan().IndexOf(Encoding.UTF8.GetBytes(entry.FullName)) + entry.FullName.Length;
            for (var i = 0; i < entry.Length; i += 7)
            {
                byte[] damaged = [.. file];
                damaged[start + i] ^= 0x10;
                var e = Innermost(Assert.ThrowsAny<Exception>(() => ModelZip.Load(damaged)));
                AssertSensible(e, $"byte {i} of {entry.FullName}");
            }
        }
    }

    [Fact]
    public void A_flipped_bit_in_the_schema_of_the_input_is_refused_before_MlNet_reads_it()
    {
        var file = ModelZip.Change(Good(), "", content => content, CompressionLevel.NoCompression);
        var schema = ModelZip.Read(file, "Schema")[0];
        var start = file.AsSpan().LastIndexOf(schema);
        var path = Path.Combine(_folder, "schema.zip");
        for (var i = 0; i < schema.Length; i++)
        {
            byte[] damaged = [.. file];
            damaged[start + i] ^= (byte)(1 << (i % 8));
            File.WriteAllBytes(path, damaged);
            Assert.Contains("Schema: the entry is damaged", Assert.Throws<ModelFormatException>(() => ModelFile.Load(Fitted.Ml, path, out _)).Message, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void A_missing_entry_is_named()
    {
        Refused(ModelZip.Change(Good(), ModelZip.Header, _ => null), "no entry 'network.json'");
        Refused(ModelZip.Change(Good(), ModelZip.Weights, _ => null), "no entry 'weights.safetensors'");
    }

    public static TheoryData<string, string> Headers => new()
    {
        { "", "network.json: " },
        { "null", "network.json: " },
        { "[]", "network.json: " },
        { "17", "network.json: " },
        { "{}", "network.json: " },
        { "{\"format\": 1}", "network.json: " },
        { "{\"format\": 2, \"unheard\": 3}", "the format is 2, and this version of MlNetMlp.Extensions reads 1. Update the package" },
        { "{\"format\": -1}", "the format is -1" },
        { "{\"format\": 1e99}", "network.json: " },
        { "{\"format\": \"1\"}", "network.json: " },
        { "{\"format\": 1, \"format\": 1}", "network.json: " },
        { new string('[', 100_000), "network.json: " },
        { string.Concat(Enumerable.Repeat("{\"a\":", 100_000)), "network.json: " },
        { "\uFEFF{}", "network.json: " },
        { "{/* */}", "network.json: " },
        { "{\"format\": NaN}", "network.json: " },
    };

    [Theory]
    [MemberData(nameof(Headers))]
    public void A_header_of_another_kind_is_refused(string json, string message) => Refused(ModelZip.ChangeHeader(Good(), _ => json), message);

    public static TheoryData<string, string, string> Texts => new()
    {
        { "\"format\": 1", "\"format\": 1, \"extra\": 1", "extra" },
        { "\"format\": 1", "\"format\": 1, \"format\": 1", "format" },
        { "\"format\": 1", "\"Format\": 1", "Format" },
        { "\"hidden\": 8", "\"hidden\": 8, \"hidden\": 8", "hidden" },
        { "\"hidden\": 8", "\"hidden\": 8, \"extra\": [[[]]]", "extra" },
        { "\"hidden\": 8", "\"hidden\": NaN", "network.json: " },
        { "\"hidden\": 8", "\"hidden\": \"8\"", "hidden" },
        { "\"hidden\": 8", "\"hidden\": 8.5", "hidden" },
        { "\"hidden\": 8", "\"hidden\": 99999999999", "hidden" },
        { "\"hidden\": 8", "\"hidden\": null", "hidden" },
        { "\"labelMean\": ", "\"labelMean\": 1e999, \"a\": ", "network.json: " },
        { "\"labelMean\": ", "\"labelMean\": NaN, \"a\": ", "network.json: " },
        { "\"labelMean\": ", "\"labelMean\": \"NaN\", \"a\": ", "network.json: " },
    };

    [Theory]
    [MemberData(nameof(Texts))]
    public void A_header_with_something_odd_in_it_is_refused(string find, string replace, string message) =>
        Refused(
            ModelZip.ChangeHeader(Good(), text =>
            {
                // The last one is in the definition: the options have a "hidden" too, and are not read.
                var at = text.IndexOf(find, StringComparison.Ordinal);
                Assert.True(at >= 0);
                return text[..at] + replace + text[(at + find.Length)..];
            }),
            "network.json: ",
            message);

    public static TheoryData<string, string, string> Members => new()
    {
        { "definition.inputs", "0", "'Inputs' must be at least 1" },
        { "definition.inputs", "-7", "'Inputs' must be at least 1" },
        { "definition.inputs", "16777217", "'Inputs' must be at least 1 and at most 16777216, but was 16777217" },
        { "definition.hidden", "0", "'Hidden'" },
        { "definition.hidden", "-2147483648", "'Hidden'" },
        { "definition.hidden", "2147483647", "'Hidden'" },
        { "definition.hidden", "10000", "weights.safetensors: the entry has" },
        { "definition.hidden", "9", "weights.safetensors: tensor 'hidden." },
        { "definition.outputs", "2", "network.json: the network has 2 outputs, but its task needs 1" },
        { "definition.outputs", "16777216", "outputs" },
        { "definition", "null", "null" },
        { "definition", "[]", "network.json: " },
        { "definition", "5", "network.json: " },
        { "head", "null", "head" },
        { "head", "{}", "network.json: " },
        { "head", "{\"$type\":\"binary\"}", "the task is BinaryHead, but the model is one for RegressionHead" },
        { "head", "{\"$type\":\"multiclass\",\"classes\":1}", "'Classes' must be at least 2" },
        { "head", "{\"$type\":\"System.String\"}", "network.json: " },
        { "head", "{\"$type\":\"regression\",\"labelMean\":0,\"labelScale\":0}", "'LabelScale' must be greater than 0" },
        { "head", "{\"$type\":\"regression\",\"labelMean\":0,\"labelScale\":-1}", "'LabelScale' must be greater than 0" },
        { "head", "{\"$type\":\"regression\",\"labelMean\":0}", "labelScale" },
        { "featureNames", "[]", "there are 0 feature names for 7 features" },
        { "featureNames", "[\"a\"]", "there are 1 feature names for 7 features" },
        { "featureNames", "[1,2,3,4,5,6,7]", "network.json: " },
        { "featureNames", "[null,null,null,null,null,null,null]", "network.json: " },
        { "learningCurve", "null", "learningCurve" },
        { "learningCurve.points", "null", "points" },
        { "learningCurve.points", "[null]", "network.json: " },
        { "learningCurve.points", "[{}]", "network.json: " },
        { "learningCurve.bestEpoch", "\"x\"", "network.json: " },
        { "method", "null", "method" },
        { "network", "null", "network" },
        { "network.assembly", "null", "assembly" },
        { "network.type", "null", "type" },
    };

    [Theory]
    [MemberData(nameof(Members))]
    public void A_value_that_cannot_be_is_refused(string member, string json, string message) =>
        Refused(ModelZip.ChangeJson(Good(), root => Set(root, member, JsonNode.Parse(json))), message);

    [Theory]
    [InlineData("{\"$type\":\"regression\",\"labelMean\":0,\"labelScale\":1}", "but its task needs 1")]
    [InlineData("{\"$type\":\"multiclass\",\"classes\":3}", "the task is MulticlassHead, but the model is one for MultiOutputRegressionHead")]
    [InlineData("{\"$type\":\"multiOutputRegression\",\"labelMeans\":[],\"labelScales\":[]}", "'LabelMeans' must be one finite number or more")]
    [InlineData("{\"$type\":\"multiOutputRegression\",\"labelMeans\":[1,2],\"labelScales\":[1,2]}", "the network has 3 outputs, but its task needs 2")]
    [InlineData("{\"$type\":\"multiOutputRegression\",\"labelMeans\":[1,2,1e999],\"labelScales\":[1,2,3]}", "'LabelMeans' must be one finite number or more")]
    [InlineData("{\"$type\":\"multiOutputRegression\",\"labelMeans\":[1,2,3],\"labelScales\":[1,2]}", "'LabelScales' must be 3 finite numbers")]
    [InlineData("{\"$type\":\"multiOutputRegression\",\"labelMeans\":[1,2,3],\"labelScales\":[1,2,0]}", "'LabelScales' must be 3 finite numbers")]
    [InlineData("{\"$type\":\"multiOutputRegression\",\"labelMeans\":[1,2,3],\"labelScales\":null}", "network.json: ")]
    [InlineData("{\"$type\":\"multiOutputRegression\",\"labelMeans\":[1,2,3]}", "labelScales")]
    [InlineData("{\"$type\":\"multiOutputRegression\",\"labelMeans\":[1,2,3],\"labelScales\":[1,2,3],\"labelNames\":[\"a\"]}", "'LabelNames' must be 3 names")]
    [InlineData("{\"$type\":\"multiOutputRegression\",\"labelMeans\":[1,2,3],\"labelScales\":[1,2,3],\"labelNames\":[\"a\",null,\"c\"]}", "'LabelNames' must be 3 names")]
    public void A_head_of_several_outputs_that_cannot_be_is_refused(string json, string message) =>
        Refused(ModelZip.ChangeJson(Good(TaskKind.MultiOutputRegression), root => Set(root, "head", JsonNode.Parse(json))), message);

    [Theory]
    [InlineData("head", "{\"$type\":\"regression\",\"labelMean\":0,\"labelScale\":1}", "the network has 8 outputs, but its task needs 1")]
    [InlineData("head", "{\"$type\":\"multiclass\",\"classes\":8}", "the task is MulticlassHead, but the model is one for FeatureHead")]
    [InlineData("head", "{\"$type\":\"features\",\"width\":0}", "'Width' must be at least 1")]
    [InlineData("head", "{\"$type\":\"features\",\"width\":9}", "the network has 8 outputs, but its task needs 9")]
    [InlineData("head", "{\"$type\":\"features\"}", "width")]
    [InlineData("head", "null", "head")]
    [InlineData("definition.isBody", "false", "weights.safetensors: the entry has")]
    [InlineData("definition.hidden", "7", "weights.safetensors: ")]
    [InlineData("definition.hidden", "100000", "weights.safetensors: the entry has")]
    [InlineData("definition.inputs", "0", "'Inputs' must be at least 1")]
    [InlineData("featureNames", "[\"a\"]", "there are 1 feature names for 7 features")]
    public void Features_that_cannot_be_are_refused(string member, string json, string message) =>
        Refused(ModelZip.ChangeJson(Features(), root => Set(root, member, JsonNode.Parse(json))), message);

    [Fact]
    public void Features_of_another_width_than_promised_are_refused() =>
        Refused(
            ModelZip.ChangeJson(Features(), root =>
            {
                Set(root, "definition.outputs", 5);
                Set(root, "head.width", 5);
            }),
            "promises 5 values of 7, but computes 8 of 7");

    [Fact]
    public void A_network_with_its_last_layer_is_no_body_and_a_body_predicts_nothing()
    {
        var (whole, body) = (Good(TaskKind.Regression), Features());
        var swapped = ModelZip.Change(ModelZip.Change(whole, ModelZip.Header, _ => ModelZip.Read(body, ModelZip.Header)[0]), ModelZip.Weights, _ => ModelZip.Read(body, ModelZip.Weights)[0]);
        Refused(swapped, "the task is FeatureHead, but the model is one for RegressionHead");
        swapped = ModelZip.Change(ModelZip.Change(body, ModelZip.Header, _ => ModelZip.Read(whole, ModelZip.Header)[0]), ModelZip.Weights, _ => ModelZip.Read(whole, ModelZip.Weights)[0]);
        Refused(swapped, "the task is RegressionHead, but the model is one for FeatureHead");
    }

    [Fact]
    public void Damaged_files_of_features_are_refused_or_do_no_harm()
    {
        var file = Features();
        float[] Read(ITransformer model) => [.. model.Transform(Fitted.Named).GetColumn<VBuffer<float>>("Deep").SelectMany(row => row.DenseValues())];
        var expected = Read(ModelZip.Load(file));
        for (var i = 0; i < 50; i++)
            AssertSensible(Innermost(Assert.ThrowsAny<Exception>(() => ModelZip.Load(file[..(file.Length * i / 50)]))), $"cut {i}");

        var random = new DeterministicRandom(8);
        for (var i = 0; i < 200; i++)
        {
            byte[] damaged = [.. file];
            damaged[(int)(random.NextDouble() * file.Length)] ^= (byte)(1 << (i % 8));
            ITransformer model;
            try
            {
                model = ModelZip.Load(damaged);
            }
            catch (Exception e)
            {
                AssertSensible(Innermost(e), $"flip {i}");
                continue;
            }

            Bits.Equal(expected, Read(model));
        }
    }

    [Fact]
    public void Wild_sizes_are_refused_before_memory_is_taken()
    {
        var file = ModelZip.ChangeJson(Good(isDense: false), root =>
        {
            Set(root, "definition.inputs", 1 << 24);
            Set(root, "definition.hidden", 10_000);
            Set(root, "featureNames", null);
        });
        Assert.ThrowsAny<Exception>(() => ModelZip.Load(file));

        var before = GC.GetAllocatedBytesForCurrentThread();
        Refused(file, "weights.safetensors: the entry has", "671");
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 4 << 20);
    }

    public static TheoryData<string, string, string> Types => new()
    {
        { "System.Private.CoreLib", "System.String", "has no networks" },
        { "Microsoft.ML.Data", "Microsoft.ML.MLContext", "has no networks" },
        { "No.Such.Assembly", "No.Such.Network", "'No.Such.Assembly', which is not beside this program. Reference the package" },
        { "../evil", "Evil", "'../evil' is not the name of an assembly" },
        { "/tmp/evil.dll", "Evil", "is not the name of an assembly" },
        { @"\\server\share\evil", "Evil", "is not the name of an assembly" },
        { "C:evil", "Evil", "is not the name of an assembly" },
        { Ours + ", Version=9.9.9.9", "Evil", "is not the name of an assembly" },
        { "", "Evil", "is not the name of an assembly" },
        { " ", "Evil", "' ' is not the name of an assembly" },
        { "a\0b", "Evil", "'a?b' is not the name of an assembly" },
        { new string('a', 100_000), "Evil", "a name of an assembly or type has more than" },
        { Ours, "", "is not a public sealed NetworkDefinition" },
        { Ours, "No.Such.Network", "'No.Such.Network' in 'MlNetMlp.Extensions.Tests' is not a public sealed NetworkDefinition" },
        { Ours, "System.String", "is not a public sealed NetworkDefinition" },
        { Ours, "MlNetMlp.Tests.Support.PlainMlp", "is not a public sealed NetworkDefinition" },
        { Ours, "MlNetMlp.Tests.Support.PlainMlpDefinition[]", "is not a public sealed NetworkDefinition" },
        { Ours, "MlNetMlp.Tests.Support.PlainMlpDefinition&", "is not a public sealed NetworkDefinition" },
        { Ours, "MlNetMlp.Tests.Support.PlainMlpDefinition*", "is not a public sealed NetworkDefinition" },
        { Ours, "MlNetMlp.Tests.Support.PlainMlpDefinition, Evil", "is not a public sealed NetworkDefinition" },
        { Ours, "mlnetmlp.tests.support.plainmlpdefinition", "is not a public sealed NetworkDefinition" },
        { Ours, typeof(Unsealed).FullName!, "is not a public sealed NetworkDefinition" },
        { Ours, typeof(Unfinished).FullName!, "is not a public sealed NetworkDefinition" },
        { Ours, typeof(Hidden).FullName!, "is not a public sealed NetworkDefinition" },
        { Ours, typeof(Generic<>).FullName!, "is not a public sealed NetworkDefinition" },
        { Ours, typeof(Generic<>).FullName + "[[Evil, Evil]]", "is not a public sealed NetworkDefinition" },
        { Ours, typeof(Generic<>).FullName + "[[", "is not a public sealed NetworkDefinition" },
        { Ours, new string('[', 10_000), "a name of an assembly or type has more than" },
        { Ours, "Evil\0", "is not a public sealed NetworkDefinition" },
        { "MlNetMlp.Extensions", "MlNetMlp.Networks.NetworkDefinition", "is not a public sealed NetworkDefinition" },
    };

    [Theory]
    [MemberData(nameof(Types))]
    public void Nothing_but_a_definition_of_a_network_is_built(string assembly, string type, string message) =>
        Refused(
            ModelZip.ChangeJson(Good(), root =>
            {
                Set(root, "network.assembly", assembly);
                Set(root, "network.type", type);
            }),
            message);

    [Theory]
    [InlineData(float.NaN, true)]
    [InlineData(float.NaN, false)]
    [InlineData(float.PositiveInfinity, true)]
    [InlineData(float.NegativeInfinity, false)]
    public void Weights_that_are_not_finite_are_refused(float value, bool isDense) =>
        Refused(
            ModelZip.Change(Good(isDense: isDense), ModelZip.Weights, content =>
            {
                BinaryPrimitives.WriteSingleLittleEndian(content.AsSpan(content.Length - 4), value);
                return content;
            }),
            "weights.safetensors: tensor '", "weights must be finite numbers");

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Weights_of_another_network_are_refused(bool isDense)
    {
        var good = Good(isDense: isDense);
        Tampered(set => [.. set.Where(tensor => tensor.Name != "mean"), NamedTensor.Of("mien", new float[7], 7)], "tensor 'mean' is missing");
        Tampered(set => [.. set.Where(tensor => tensor.Name != "mean"), NamedTensor.Of("mean", new float[7], 1, 7)], "tensor 'mean' is Float32 [1, 7]; the network needs it as Float32 [7]");
        Tampered(set => [.. set.Where(tensor => tensor.Name != "mean"), NamedTensor.Of("mean", new double[7], 7)], "tensor 'mean' is Float64 [7]");
        Tampered(set => [.. set, NamedTensor.Of("extra", [1f])], "does not know 1 of the 7 tensors: 'extra'");
        Tampered(set => [.. set.Where(tensor => !tensor.Name.StartsWith("hidden.w", StringComparison.Ordinal)), NamedTensor.Of("hidden.weight", new float[56], 7, 8)], "tensor 'hidden.weight' is Float32 [7, 8]; the network needs it as Float32 [8, 7]");
        Tampered(_ => [], "the entry has");

        void Tampered(Func<WeightSet, WeightSet> change, string message) =>
            Refused(
                ModelZip.Change(good, ModelZip.Weights, content =>
                {
                    var stream = new MemoryStream();
                    SafeTensors.Write(stream, change(SafeTensors.Read(new MemoryStream(content), content.Length)));
                    return stream.ToArray();
                }),
                "weights.safetensors: ",
                message);
    }

    [Theory]
    [InlineData(ModelZip.Weights)]
    [InlineData(ModelZip.Header)]
    public void Gigabytes_of_zeros_are_refused_before_they_are_unpacked(string entry)
    {
        var path = Path.Combine(_folder, "model.zip");
        WriteBomb(Good(), entry, path);
        var ml = new MLContext { TempFilePath = Directory.CreateDirectory(Path.Combine(_folder, "temp")).FullName };
        Assert.ThrowsAny<Exception>(() => ml.Model.Load(path, out _));

        var before = GC.GetAllocatedBytesForCurrentThread();
        var e = Innermost(Assert.ThrowsAny<Exception>(() => ml.Model.Load(path, out _)));

        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 4 << 20);
        Assert.IsType<ModelFormatException>(e);
        Assert.StartsWith($"{entry}: the entry has 1073741824 bytes", e.Message, StringComparison.Ordinal);
        Assert.Empty(Directory.GetFileSystemEntries(ml.TempFilePath));
    }

    [Fact]
    public void Refused_and_loaded_models_leave_no_temporary_files()
    {
        var ml = new MLContext { TempFilePath = Directory.CreateDirectory(Path.Combine(_folder, "temp")).FullName };

        ml.Model.Load(new MemoryStream(Good()), out _);
        Assert.ThrowsAny<Exception>(() => ml.Model.Load(new MemoryStream(ModelZip.ChangeHeader(Good(), _ => "{")), out _));
        Assert.ThrowsAny<Exception>(() => ml.Model.Load(new MemoryStream(ModelZip.Change(Good(), ModelZip.Weights, content => [.. content, 0])), out _));

        Assert.Empty(Directory.GetFileSystemEntries(ml.TempFilePath));
    }

    private static void WriteBomb(byte[] file, string name, string path)
    {
        using var from = new ZipArchive(new MemoryStream(file));
        using var to = ZipFile.Open(path, ZipArchiveMode.Create);
        foreach (var entry in from.Entries)
        {
            using var source = entry.Open();
            using var target = to.CreateEntry(entry.FullName, CompressionLevel.Fastest).Open();
            if (entry.Name != name)
            {
                source.CopyTo(target);
                continue;
            }

            var zeros = new byte[1 << 20];
            for (var i = 0; i < 1024; i++)
                target.Write(zeros);
        }
    }

    private static void Set(JsonNode root, string member, JsonNode? value)
    {
        var names = member.Split('.');
        foreach (var name in names[..^1])
            root = root[name]!;
        root[names[^1]] = value;
    }

    private static Exception Innermost(Exception e)
    {
        while (e is TargetInvocationException { InnerException: { } inner })
            e = inner;
        return e;
    }

    private static void Refused(byte[] file, params string[] parts)
    {
        var e = Innermost(Assert.ThrowsAny<Exception>(() => ModelZip.Load(file)));
        Assert.True(e is ModelFormatException, e.ToString());
        Assert.All(parts, part => Assert.Contains(part, e.Message, StringComparison.Ordinal));
        Assert.InRange(e.Message.Length, 30, 1_000);
    }

    // What ML.NET says of its own parts of a file, or the runtime of a broken zip, is theirs. From our entries on, refusals are ours.
    private static void AssertSensible(Exception e, string what)
    {
        var isOurs = e.StackTrace?.Contains("NetworkStorage.Load", StringComparison.Ordinal) == true;
        Assert.True(isOurs ? e is FormatException or InvalidDataException : e is not (NullReferenceException or OutOfMemoryException), $"{what}: {e}");
        Assert.False(string.IsNullOrWhiteSpace(e.Message), what);
    }
}
