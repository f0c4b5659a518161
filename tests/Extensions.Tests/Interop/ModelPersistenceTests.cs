using System.IO.Compression;
using System.Reflection;
using Microsoft.ML;
using Microsoft.ML.Data;
using MlNetMlp.Interop;
using MlNetMlp.Networks;
using MlNetMlp.Persistence;
using MlNetMlp.Tests.Scoring;
using MlNetMlp.Tests.Support;
using TorchSharp;

namespace MlNetMlp.Tests.Interop;

/// <summary>What is saved is what is loaded, in whatever model the network stands.</summary>
public class ModelPersistenceTests
{
    private static MLContext Ml => Fitted.Ml;

    [Theory]
    [MemberData(nameof(Fitted.Kinds), MemberType = typeof(Fitted))]
    public void A_loaded_model_scores_and_tells_what_the_saved_one_did(TaskKind task, bool isDense)
    {
        var model = Fitted.Model(task, isDense);

        var loaded = ModelZip.Load(ModelZip.Save(model));

        Bits.Equal(Fitted.Scores(model), Fitted.Scores(loaded));
        var (before, after) = (Fitted.Network(model), Fitted.Network(loaded));
        Assert.NotSame(before, after);
        Assert.Equal(before.LearningCurve, after.LearningCurve);
        Assert.Equal(3, after.LearningCurve.Points.Count);
        Assert.NotNull(after.LearningCurve.Points[0].ValidationLoss);
        Assert.Equal(before.FeatureNames, after.FeatureNames);
        Assert.Equal("Weight", after.FeatureNames![^1]);
        Assert.Contains("\"hidden\": 8", before.OptionsJson, StringComparison.Ordinal);
        Assert.Equal(Flat(before.OptionsJson), Flat(after.OptionsJson));
        Assert.Equal(before.Head, after.Head);
        Assert.Equal(before.Definition, after.Definition);
        Assert.Equal("PlainMlp", after.MethodName);
        Assert.Equal(before.AcceptsMissingValues, after.AcceptsMissingValues);
    }

    [Theory]
    [MemberData(nameof(Fitted.Kinds), MemberType = typeof(Fitted))]
    public void Saving_again_and_loading_twice_changes_nothing(TaskKind task, bool isDense)
    {
        var first = ModelZip.Save(Fitted.Model(task, isDense));
        var (one, two) = (ModelZip.Load(first), ModelZip.Load(first));

        var second = ModelZip.Save(one);

        Assert.Equal(Assert.Single(ModelZip.Read(first, ModelZip.Weights)), Assert.Single(ModelZip.Read(second, ModelZip.Weights)));
        Assert.Equal(ModelZip.Read(second, ModelZip.Header), ModelZip.Read(ModelZip.Save(ModelZip.Load(second)), ModelZip.Header));
        Bits.Equal(Fitted.Scores(one), Fitted.Scores(two));
    }

    [Fact]
    public void Names_of_classes_survive()
    {
        var loaded = ModelZip.Load(ModelZip.Save(Fitted.Model(TaskKind.Multiclass)));

        var scored = loaded.Transform(Fitted.Data);

        VBuffer<ReadOnlyMemory<char>> names = default;
        scored.Schema["Score"].GetSlotNames(ref names);
        Assert.Equal(Rows.Make(Fitted.FewRows).Select(row => row.Kind).Distinct(), names.DenseValues().Select(name => name.ToString()));
        Assert.Equal(
            Fitted.Model(TaskKind.Multiclass).Transform(Fitted.Data).GetColumn<string>("Answer"), scored.GetColumn<string>("Answer"));
    }

    [Fact]
    public void A_longer_chain_holds_the_same_weights()
    {
        var model = Fitted.Model(TaskKind.Multiclass);
        var longer = Ml.Transforms.CopyColumns("Again", "Score").Fit(model.Transform(Fitted.Data));

        var chain = ModelZip.Save(new TransformerChain<ITransformer>(model, longer));

        Assert.Equal(Assert.Single(ModelZip.Read(ModelZip.Save(model), ModelZip.Weights)), Assert.Single(ModelZip.Read(chain, ModelZip.Weights)));
        Bits.Equal(Fitted.Scores(model), Fitted.Scores(ModelZip.Load(chain)));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void A_threshold_is_kept_beside_the_same_weights(bool isDense)
    {
        var trainer = Ml.BinaryClassification.Trainers.CreateTrainer(new PlainMlp(Fitted.Options(TaskKind.Binary, isDense)));
        var model = trainer.Fit(Fitted.Data);
        var scores = Fitted.Scores(model);
        var threshold = scores.Order().ElementAt(scores.Length * 9 / 10);

        var changed = Ml.BinaryClassification.ChangeModelThreshold(model, threshold);
        var loaded = ModelZip.Load(ModelZip.Save(changed));

        Assert.Equal(ModelZip.Read(ModelZip.Save(model), ModelZip.Weights), ModelZip.Read(ModelZip.Save(changed), ModelZip.Weights));
        var expected = scores.Select(score => score > threshold).ToArray();
        Assert.Equal(expected, changed.Transform(Fitted.Data).GetColumn<bool>("PredictedLabel"));
        Assert.Equal(expected, loaded.Transform(Fitted.Data).GetColumn<bool>("PredictedLabel"));
        Assert.NotEqual(expected, model.Transform(Fitted.Data).GetColumn<bool>("PredictedLabel"));
        Assert.IsType<NetworkPredictionTransformer<BinaryNetworkModel>>(loaded);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void One_versus_all_survives(bool isDense)
    {
        var binary = Ml.BinaryClassification.Trainers.CreateTrainer(new PlainMlp(Fitted.Options(TaskKind.Binary, isDense) with { LabelColumnName = "Key" }));
        var model = Ml.Transforms.Conversion.MapValueToKey("Key", "Kind")
            .Append(Ml.MulticlassClassification.Trainers.OneVersusAll(binary, "Key"))
            .Append(Ml.Transforms.Conversion.MapKeyToValue("Answer", "PredictedLabel"))
            .Fit(Fitted.Data);

        var file = ModelZip.Save(model);
        var loaded = ModelZip.Load(file);

        Bits.Equal(Fitted.Scores(model), Fitted.Scores(loaded));
        Assert.Equal(3, ModelZip.Read(file, ModelZip.Weights).Length);
        Assert.Equal(ModelZip.Read(file, ModelZip.Weights), ModelZip.Read(ModelZip.Save(loaded), ModelZip.Weights));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Weights_are_a_plain_safetensors_file(bool isDense)
    {
        var model = Fitted.Model(TaskKind.Regression, isDense);

        var entry = Assert.Single(ModelZip.Read(ModelZip.Save(model), ModelZip.Weights));

        var weights = SafeTensors.Read(new MemoryStream(entry), entry.Length);
        Assert.Equal(["hidden.bias", "hidden.weight", "mean", "output.bias", "output.weight", "scale"], weights.Select(tensor => tensor.Name).Order());
        var stream = new MemoryStream();
        SafeTensors.Write(stream, Fitted.Network(model).Weights);
        Assert.Equal(stream.ToArray(), entry);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Large_weights_are_stored_as_they_are(bool isDense)
    {
        var options = Fitted.Options(TaskKind.Multiclass, isDense) with { Hidden = 10_000, Epochs = 1 };
        var model = Fitted.Pipeline(TaskKind.Multiclass, options).Fit(Fitted.Data);
        Assert.True(Fitted.Network(model).Weights.ByteCount is > 400_000 and < 1_000_000);
        var wide = Ml.Transforms.Concatenate("Features", [.. Enumerable.Repeat("Features", 8)]).Fit(Fitted.Data).Transform(Fitted.Data);
        var large = Ml.Regression.Trainers.CreateTrainer(new PlainMlp(options with { LabelColumnName = "Target" })).Fit(wide);
        Assert.True(Fitted.Network(large).Weights.ByteCount > 1_000_000);

        AssertStored(ModelZip.Save(model), isStored: false);
        var file = ModelZip.Save(large, wide);
        AssertStored(file, isStored: true);
        var loaded = ModelZip.Load(file);
        Bits.Equal(Fitted.Scores(large, wide), Fitted.Scores(loaded, wide));
        Bits.Equal(Fitted.Scores(model), Fitted.Scores(ModelZip.Load(ModelZip.Save(model))));

        // In a chain there are entries before and behind the stored one.
        var longer = Ml.Transforms.CopyColumns("Again", "Score").Fit(large.Transform(wide));
        var chain = ModelZip.Save(new TransformerChain<ITransformer>(large, longer, Ml.Transforms.CopyColumns("Third", "Again").Fit(longer.Transform(large.Transform(wide)))), wide);
        AssertStored(chain, isStored: true);
        Assert.Equal(ModelZip.Read(file, ModelZip.Weights), ModelZip.Read(chain, ModelZip.Weights));
        Bits.Equal(Fitted.Scores(large, wide), Fitted.Scores(ModelZip.Load(chain), wide));
    }

    [Fact]
    public void Signatures_have_the_lengths_that_files_have_room_for()
    {
        var names = typeof(NetworkModel).Assembly.GetCustomAttributesData()
            .Where(attribute => attribute.AttributeType.Name == "LoadableClassAttribute")
            .SelectMany(attribute => (IReadOnlyCollection<CustomAttributeTypedArgument>)attribute.ConstructorArguments[^1].Value!)
            .Select(name => (string)name.Value!)
            .ToArray();
        Assert.Equal(13, names.Length);
        Assert.All(names, name => Assert.InRange(name.Length, 1, 24));
        Assert.All(names, name => Assert.StartsWith("MlNetMlp", name, StringComparison.Ordinal));

        var versions = typeof(NetworkModel).Assembly.GetTypes()
            .Where(type => !type.IsGenericTypeDefinition)
            .Select(type => type.GetMethod("GetVersionInfo", BindingFlags.Static | BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.DeclaredOnly))
            .OfType<MethodInfo>()
            .Select(method => method.Invoke(null, null)!)
            .ToArray();
        Assert.Equal(13, versions.Length);

        // ML.NET keeps the eight characters of a signature as one number, and a shorter one has zeros at the end.
        Assert.All(versions, version => Assert.NotEqual(0UL, (ulong)version.GetType().GetField("ModelSignature")!.GetValue(version)! >> 56));
        Assert.All(versions, version => Assert.InRange(((string)version.GetType().GetField("LoaderSignature")!.GetValue(version)!).Length, 1, 24));
    }

    [Fact]
    public void All_loadable_classes_can_be_registered() =>
        new MLContext().ComponentCatalog.RegisterAssembly(typeof(NetworkModel).Assembly, throwOnError: true);

    [Theory]
    [MemberData(nameof(Fitted.Kinds), MemberType = typeof(Fitted))]
    public void A_dispose_scope_around_everything_does_no_harm(TaskKind task, bool isDense)
    {
        ITransformer model, loaded;
        float[] inside;
        using (torch.NewDisposeScope())
        {
            model = Fitted.Pipeline(task, Fitted.Options(task, isDense)).Fit(Fitted.Data);
            loaded = ModelZip.Load(ModelZip.Save(model));
            inside = Fitted.Scores(model);
            Bits.Equal(inside, Fitted.Scores(loaded));
        }

        Bits.Equal(inside, Fitted.Scores(model));
        Bits.Equal(inside, Fitted.Scores(loaded));
        Bits.Equal(Fitted.Scores(Fitted.Model(task, isDense)), inside);
        Bits.Equal(inside, Fitted.Scores(ModelZip.Load(ModelZip.Save(model))));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void A_disposed_model_still_works_and_so_do_its_copies(bool isDense)
    {
        var model = Ml.BinaryClassification.Trainers.CreateTrainer(new PlainMlp(Fitted.Options(TaskKind.Binary, isDense))).Fit(Fitted.Data);
        var copy = Ml.BinaryClassification.ChangeModelThreshold(model, 0.1f);
        var chain = new TransformerChain<ITransformer>(model);
        var view = model.Transform(Fitted.Data);
        var expected = Fitted.Scores(model);

        chain.Dispose();
        model.Dispose();
        copy.Dispose();

        Bits.Equal(expected, [.. view.GetColumn<float>("Score")]);
        Bits.Equal(expected, Fitted.Scores(model));
        Bits.Equal(expected, Fitted.Scores(copy));
        Bits.Equal(expected, Fitted.Scores(ModelZip.Load(ModelZip.Save(model))));
    }

    [Fact]
    public void A_disposed_model_holds_no_native_memory()
    {
        var model = Ml.BinaryClassification.Trainers.CreateTrainer(new PlainMlp(Fitted.Options(TaskKind.Binary, isDense: false))).Fit(Fitted.Data);
        var before = TorchSharp.DisposeScopeManager.Statistics.ThreadTotalLiveCount;
        for (var i = 0; i < 3; i++)
        {
            Fitted.Scores(model);
            Assert.True(TorchSharp.DisposeScopeManager.Statistics.ThreadTotalLiveCount > before);
            model.Dispose();
            Assert.Equal(before, TorchSharp.DisposeScopeManager.Statistics.ThreadTotalLiveCount);
        }
    }

    [Fact]
    public void A_model_may_be_disposed_while_others_score_with_it()
    {
        var model = Ml.BinaryClassification.Trainers.CreateTrainer(new PlainMlp(Fitted.Options(TaskKind.Binary, isDense: false))).Fit(Fitted.Data);
        var expected = Fitted.Scores(model);
        Parallel.For(0, 40, i =>
        {
            if (i % 2 == 0)
                model.Dispose();
            else
                Bits.Equal(expected, Fitted.Scores(model));
        });
    }

    private static string Flat(string json) => System.Text.Json.Nodes.JsonNode.Parse(json)!.ToJsonString();

    private static void AssertStored(byte[] file, bool isStored)
    {
        using var zip = new ZipArchive(new MemoryStream(file));
        var entry = Assert.Single(zip.Entries, entry => entry.Name == ModelZip.Weights);
        Assert.Equal(isStored, entry.CompressedLength == entry.Length);
    }
}
