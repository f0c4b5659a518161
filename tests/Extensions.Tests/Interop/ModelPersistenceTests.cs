using System.IO.Compression;
using System.Reflection;
using System.Text;
using Microsoft.ML;
using Microsoft.ML.Data;
using MlNetMlp.Interop;
using MlNetMlp.Persistence;
using MlNetMlp.Tests.Support;

namespace MlNetMlp.Tests.Interop;

public class ModelPersistenceTests
{
    private static readonly MLContext Ml = new(1);

    private static readonly byte[] Good = Save(Ml.Regression.Trainers.CreateTrainer(new PlainMlp(PipelineTests.Small("Target") with { Epochs = 2 })).Fit(Rows.View(Ml, 200)));

    [Theory]
    [InlineData("Target", true)]
    [InlineData("Flag", true)]
    [InlineData("Key", true)]
    [InlineData("Target", false)]
    [InlineData("Flag", false)]
    [InlineData("Key", false)]
    public void ALoadedModelIsTheSameModel(string label, bool dense)
    {
        var rows = Rows.View(Ml, 300);
        var options = new PlainMlp(PipelineTests.Small(label) with { Epochs = 2, IsDense = dense });
        IEstimator<ITransformer> trainer = label switch
        {
            "Target" => Ml.Regression.Trainers.CreateTrainer(options),
            "Flag" => Ml.BinaryClassification.Trainers.CreateTrainer(options),
            _ => Ml.MulticlassClassification.Trainers.CreateTrainer(options),
        };
        var model = Ml.Transforms.Conversion.MapValueToKey("Key", "Kind").Append(trainer).Fit(rows);

        var zip = Save(model, rows.Schema);
        var loaded = Load(zip);
        var again = Save(loaded, rows.Schema);
        var chained = Save(loaded.Append(Ml.Transforms.CopyColumns("Copy", "Score").Fit(loaded.Transform(rows))), rows.Schema);

        Assert.Equal(Scores(model.Transform(rows)), Scores(loaded.Transform(rows)));
        Assert.Equal(Zip.Entry(zip, SafeTensors.EntryName), Zip.Entry(again, SafeTensors.EntryName));
        Assert.Equal(Zip.Entry(zip, SafeTensors.EntryName), Zip.Entry(chained, SafeTensors.EntryName));
        var (before, after) = (NetworkModel.Find(model)!, NetworkModel.Find(Load(again))!);
        Assert.Equal(before.LearningCurve, after.LearningCurve);
        Assert.Equal(2, after.LearningCurve.Points.Count);
        Assert.Equal(before.Head, after.Head);
        Assert.Equal(before.Definition, after.Definition);
        Assert.Equal("PlainMlp", after.MethodName);
        Assert.Contains("\"learningRate\": 0.01", after.OptionsJson, StringComparison.Ordinal);
    }

    [Fact]
    public void SlotNamesAreKept()
    {
        var data = Ml.Transforms.Concatenate("Features", "Target", "Weight").Fit(Rows.View(Ml, 100)).Transform(Rows.View(Ml, 100));
        var model = Ml.BinaryClassification.Trainers.CreateTrainer(new PlainMlp(PipelineTests.Small("Flag") with { Epochs = 1 })).Fit(data);

        Assert.Equal(["Target", "Weight"], NetworkModel.Find(Load(Save(model)))!.FeatureNames);
    }

    [Fact]
    public void LargeWeightsAreStoredAsTheyAre()
    {
        var model = Ml.Regression.Trainers.CreateTrainer(new PlainMlp(PipelineTests.Small("Target") with { Epochs = 1, Hidden = 50_000, IsDense = false, BatchSize = 200 })).Fit(Rows.View(Ml, 200));
        var zip = Save(model);

        using (var archive = new ZipArchive(new MemoryStream(zip), ZipArchiveMode.Read))
            Assert.All(archive.Entries.Where(e => e.Name == SafeTensors.EntryName), e => Assert.True(e.Length > 1_000_000 && e.CompressedLength == e.Length));
        var loaded = Load(zip);
        Assert.Equal(Scores(model.Transform(Rows.View(Ml, 50))), Scores(loaded.Transform(Rows.View(Ml, 50))));
    }

    [Fact]
    public void SignaturesAreAsShortAsMlNetWantsThem()
    {
        string[] signatures = [RegressionNetworkModel.LoaderSignature, BinaryNetworkModel.LoaderSignature, MulticlassNetworkModel.LoaderSignature, NetworkPredictionTransformerLoader.LoaderSignature];
        Assert.All(signatures, signature => Assert.InRange(signature.Length, 1, 24));
        Assert.Equal(signatures.Length, signatures.Select(s => s.ToLowerInvariant()).Distinct().Count());

        // Throws when an entry of ours has no fitting loader, which would break the first load of any model.
        new MLContext().ComponentCatalog.RegisterAssembly(typeof(NetworkModel).Assembly);
    }

    [Fact]
    public void DisposingAModelThatOthersShareIsHarmless()
    {
        var model = Ml.Regression.Trainers.CreateTrainer(new PlainMlp(PipelineTests.Small("Target") with { Epochs = 1, IsDense = false })).Fit(Rows.View(Ml, 100));
        var before = Scores(model.Transform(Rows.View(Ml, 100)));
        using (TorchSharp.torch.NewDisposeScope())
            Assert.Equal(before, Scores(model.Transform(Rows.View(Ml, 100))));

        model.Dispose();
        Assert.Equal(before, Scores(model.Transform(Rows.View(Ml, 100))));
    }

    [Fact]
    public void AFileCutAnywhereIsRefused()
    {
        var random = new Random(1);
        var cuts = Enumerable.Range(0, 60).Select(_ => random.Next(Good.Length)).Concat(Enumerable.Range(Good.Length - 30, 30));
        foreach (var cut in cuts)
        {
            var failure = Record.Exception(() => Load(Good[..cut]));
            Assert.True(failure is not null, $"A file of {cut} of {Good.Length} bytes was loaded.");
            Assert.IsNotType<NullReferenceException>(failure.GetBaseException());
            Assert.IsNotType<OutOfMemoryException>(failure.GetBaseException());
        }
    }

    [Theory]
    [InlineData("\"format\": 1", "\"format\": 2", "Update the package")]
    [InlineData("\"inputs\": 5", "\"inputs\": 0", "Inputs")]
    [InlineData("\"inputs\": 5", "\"inputs\": 16777216", "weights.safetensors")]
    [InlineData("\"hidden\": 16", "\"hidden\": 999999", "at most 100000")]
    [InlineData("\"hidden\": 16", "\"hidden\": \"16\"", "network.json")]
    [InlineData("\"hidden\": 16", "\"hidden\": 16, \"extra\": 1", "extra")]
    [InlineData("\"hidden\": 16", "\"hidden\": 16, \"hidden\": 16", "network.json")]
    [InlineData("\"outputs\": 1", "\"outputs\": 2", "outputs")]
    [InlineData("MlNetMlp.Tests.Support.PlainMlpDefinition", "System.String", "is not a public sealed NetworkDefinition")]
    [InlineData("MlNetMlp.Tests.Support.PlainMlpDefinition", "MlNetMlp.Tests.Support.PlainMlpNetwork", "is not a public sealed NetworkDefinition")]
    [InlineData("\"assembly\": \"MlNetMlp.Extensions.Tests\"", "\"assembly\": \"System.Private.CoreLib\"", "does not use MlNetMlp.Extensions")]
    [InlineData("\"assembly\": \"MlNetMlp.Extensions.Tests\"", "\"assembly\": \"Nowhere\"", "'Nowhere', which is not beside this program")]
    [InlineData("\"assembly\": \"MlNetMlp.Extensions.Tests\"", "\"assembly\": \"../Evil\"", "is not the name of an assembly")]
    [InlineData("\"$type\": \"regression\"", "\"$type\": \"binary\"", "network.json")]
    [InlineData("\"labelScale\":", "\"labelScale\": -1, \"other\":", "network.json")]
    public void AHostileHeaderIsRefusedWithAReason(string honest, string hostile, string reason)
    {
        var json = Encoding.UTF8.GetString(Zip.Entry(Good, "network.json"));
        Assert.Contains(honest, json, StringComparison.Ordinal);

        var error = Assert.Throws<ModelFormatException>(() => Unwrapped(Zip.Replace(Good, "network.json", Encoding.UTF8.GetBytes(json.Replace(honest, hostile, StringComparison.Ordinal)))));

        Assert.Contains(reason, error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void HostileWeightsAreRefusedWithAReason()
    {
        var weights = Zip.Entry(Good, SafeTensors.EntryName);
        var nan = (byte[])weights.Clone();
        BitConverter.TryWriteBytes(nan.AsSpan(nan.Length - 4), float.NaN);
        Assert.Contains("NaN", Refusal(Zip.Replace(Good, SafeTensors.EntryName, nan)), StringComparison.Ordinal);
        Assert.Contains("bytes", Refusal(Zip.Replace(Good, SafeTensors.EntryName, weights[..^4])), StringComparison.Ordinal);
        Assert.Contains(SafeTensors.EntryName, Refusal(Zip.Replace(Good, SafeTensors.EntryName, null)), StringComparison.Ordinal);
        Assert.Contains("network.json", Refusal(Zip.Replace(Good, "network.json", null)), StringComparison.Ordinal);

        var wild = (byte[])weights.Clone();
        BitConverter.TryWriteBytes(wild, 1L << 62);
        Assert.Contains("header", Refusal(Zip.Replace(Good, SafeTensors.EntryName, wild)), StringComparison.Ordinal);

        // The directory of the zip tells the size, so a bomb is refused before it is unpacked.
        var before = GC.GetAllocatedBytesForCurrentThread();
        var bomb = Zip.Replace(Good, SafeTensors.EntryName, new byte[100_000_000]);
        var made = GC.GetAllocatedBytesForCurrentThread();
        Assert.Contains("100000000 bytes", Refusal(bomb), StringComparison.Ordinal);
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - made, 0, 20_000_000);
        Assert.True(made > before);
    }

    [Fact]
    public void ModelFileKeepsTheOldFileWhenSavingFails()
    {
        var folder = Directory.CreateTempSubdirectory("modelfile").FullName;
        var path = Path.Combine(folder, "model.zip");
        var model = Load(Good);
        ModelFile.Save(Ml, model, null, path);
        var old = File.ReadAllBytes(path);

        Assert.Throws<TimeoutException>(() => ModelFile.Save(Ml, new FailsHalfWay(model), null, path));
        Assert.Equal(old, File.ReadAllBytes(path));
        Assert.Single(Directory.GetFiles(folder));

        Assert.NotNull(ModelFile.Load(Ml, path, out _));
        File.WriteAllBytes(path, Zip.Replace(Good, "network.json", [1, 2, 3]));
        var error = Assert.Throws<ModelFormatException>(() => ModelFile.Load(Ml, path, out _));
        Assert.Contains(path, error.Message, StringComparison.Ordinal);
        Assert.Contains("network.json", error.Message, StringComparison.Ordinal);
        Directory.Delete(folder, recursive: true);
    }

    private sealed class FailsHalfWay(ITransformer model) : ITransformer
    {
        public bool IsRowToRowMapper => model.IsRowToRowMapper;

        public DataViewSchema GetOutputSchema(DataViewSchema inputSchema) => model.GetOutputSchema(inputSchema);

        public IRowToRowMapper GetRowToRowMapper(DataViewSchema inputSchema) => model.GetRowToRowMapper(inputSchema);

        public IDataView Transform(IDataView input) => model.Transform(input);

        public void Save(ModelSaveContext ctx)
        {
            model.Save(ctx);
            throw new TimeoutException();
        }
    }

    private static string Refusal(byte[] zip) => Assert.Throws<ModelFormatException>(() => Unwrapped(zip)).Message;

    private static void Unwrapped(byte[] zip)
    {
        try
        {
            Load(zip);
        }
        catch (TargetInvocationException e)
        {
            throw e.GetBaseException() is ModelFormatException ? e.GetBaseException() : FindFormat(e);
        }
    }

    private static Exception FindFormat(Exception e)
    {
        for (var inner = e; inner is not null; inner = inner.InnerException!)
        {
            if (inner is ModelFormatException)
                return inner;
        }

        return e;
    }

    private static float[] Scores(IDataView scored) => scored.Schema["Score"].Type is VectorDataViewType
        ? [.. scored.GetColumn<float[]>("Score").SelectMany(row => row)]
        : [.. scored.GetColumn<float>("Score")];

    private static byte[] Save(ITransformer model, DataViewSchema? schema = null)
    {
        using var stream = new MemoryStream();
        Ml.Model.Save(model, schema, stream);
        return stream.ToArray();
    }

    private static ITransformer Load(byte[] zip) => new MLContext().Model.Load(new MemoryStream(zip), out _);
}
