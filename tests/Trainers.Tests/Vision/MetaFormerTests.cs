using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.Transforms.Image;
using MlNetMlp.Interop;
using MlNetMlp.Layers;
using MlNetMlp.Methods;
using MlNetMlp.Networks;
using MlNetMlp.Tests.Support;
using MlNetMlp.Training;
using MlNetMlp.Vision;

namespace MlNetMlp.Tests.Vision;

public sealed class MetaFormerTests
{
    private static readonly MetaFormer.Options Quick = new()
    {
        Stages = [new(1, 8), new(1, 12)], Epochs = 2, BatchSize = 16, Seed = 3,
    };

    private readonly MLContext _ml = new(1);

    private sealed class Row
    {
        public float[] Features { get; set; } = [];

        public bool Label { get; set; }

        public uint Key { get; set; }
    }

    private sealed class Photograph
    {
        [ImageType(10, 12)]
        public MLImage? Image { get; set; }

        public bool Label { get; set; }
    }

    [Fact]
    public void Mixers_that_are_not_trained_stay_and_come_back_with_the_model()
    {
        var data = View(Rows(60), 16, 16);
        var options = Quick with { Mixer = new RandomMatrixMixer() };
        var untrained = _ml.BinaryClassification.Trainers.MetaFormer(options with { Epochs = 1, LearningRate = 1e-30 }).Fit(data);
        var trained = _ml.BinaryClassification.Trainers.MetaFormer(options).Fit(data);

        const string name = "stages.0.blocks.0.mixer.matrix";
        Assert.Equal(Weight(untrained, name), Weight(trained, name));
        Assert.NotEqual(Weight(untrained, "stages.0.blocks.0.mlp.expand.weight"), Weight(trained, "stages.0.blocks.0.mlp.expand.weight"));
        var loaded = Reload(trained, data);
        Assert.Equal(Weight(trained, name), Weight(loaded, name));
        Assert.Equal(Scores(trained.Transform(data)), Scores(loaded.Transform(data)));
        Assert.Equal(trained.Model.Network.Definition, NetworkModel.Find(loaded)!.Definition);
    }

    [Fact]
    public void Model_files_hold_each_kind_of_mixer()
    {
        var data = View(Rows(30), 16, 16);
        var mixers = new TokenMixer[] { new IdentityMixer(), new PoolingMixer { Size = 5 }, new AttentionMixer { HeadDim = 4 }, new SpatialFcMixer(), new DepthwiseConvMixer { Kernel = 5 } };
        foreach (var mixer in mixers)
        {
            var model = _ml.BinaryClassification.Trainers.MetaFormer(Quick with { Mixers = [mixer], Mixer = new PoolingMixer(), Epochs = 1 }).Fit(data);
            var loaded = Reload(model, data);
            Assert.Equal(mixer, ((MetaFormerDefinition)NetworkModel.Find(loaded)!.Definition).Stages[0].Mixer);
            Assert.Equal(Scores(model.Transform(data)), Scores(loaded.Transform(data)));
            Assert.Equal(Scores(model.Transform(data)).Skip(7).Take(1), Scores(model.Transform(_ml.Data.TakeRows(_ml.Data.SkipRows(data, 7), 1))), Near);
        }
    }

    [Fact]
    public void Planar_and_interleaved_columns_give_the_same_scores()
    {
        var rows = Rows(60, 2 * 8 * 9);
        var shape = new ImageShape(8, 9, 2);
        var interleaved = rows.Select(row => new Row { Label = row.Label, Features = Interleave(row.Features, shape) }).ToArray();

        var fromPlanes = _ml.BinaryClassification.Trainers.MetaFormer(Quick).Fit(View(rows, 2, 8, 9));
        var fromPixels = _ml.BinaryClassification.Trainers.MetaFormer(Quick).Fit(View(interleaved, 8, 9, 2));
        var byOption = _ml.BinaryClassification.Trainers.MetaFormer(Quick with { ImageShape = shape }).Fit(View(rows, 144));

        var expected = Scores(fromPlanes.Transform(View(rows, 2, 8, 9)));
        Assert.Equal(expected, Scores(byOption.Transform(View(rows, 144))));
        Assert.Equal(expected, Scores(fromPixels.Transform(View(interleaved, 8, 9, 2))), Near);
    }

    [Fact]
    public void Sizes_that_cannot_be_are_refused_with_what_to_do()
    {
        var data = View(Rows(30, 15), 15);
        Refused(Quick, "'Features' is a vector of 15 values", "'ImageShape'");
        Refused(Quick with { ImageShape = new(4, 4) }, "4 x 4 x 1", "16 values", "15");
        Refused(Quick with { ImageShape = new(3, 5), Stem = new(4, 4, 0) }, "no place for a token", "'Stem'");
        Refused(Quick with { ImageShape = new(3, 5), Mixer = new AttentionMixer() }, "heads of 32 channels");
        var error = Assert.Throws<ArgumentOutOfRangeException>(() => _ml.BinaryClassification.Trainers.PoolFormer(new PoolFormer.Options { PoolSize = 4 }));
        Assert.Contains("'PoolSize' must be odd, but was 4", error.Message, StringComparison.Ordinal);
        error = Assert.Throws<ArgumentOutOfRangeException>(() => _ml.BinaryClassification.Trainers.MetaFormer(Quick with { Mixers = [new PoolingMixer { Size = 65 }] }));
        Assert.Contains("'Mixers[0].Size'", error.Message, StringComparison.Ordinal);

        void Refused(MetaFormer.Options options, params string[] says)
        {
            var message = Assert.Throws<InvalidOperationException>(() => _ml.BinaryClassification.Trainers.MetaFormer(options).Fit(data)).Message;
            Assert.All(says, part => Assert.Contains(part, message, StringComparison.Ordinal));
        }
    }

    [Fact]
    public void Augmented_training_is_the_same_each_time_and_another_without()
    {
        var data = View(Rows(60), 16, 16);
        var options = Quick with { Augmentation = ImageAugmentation.Photographs with { CropPadding = 2 }, DropPath = 0.2, DropRate = 0.1 };
        var (first, second) = (Fit(options), Fit(options));

        Assert.Equal(first, second);
        Assert.NotEqual(first, Fit(options with { Augmentation = ImageAugmentation.None }));
        Assert.NotEqual(first, Fit(options with { DropPath = 0 }));

        float[] Fit(MetaFormer.Options asked) => Scores(_ml.BinaryClassification.Trainers.MetaFormer(asked).Fit(data).Transform(data));
    }

    [Fact]
    public void Pool_former_is_the_network_with_pooling()
    {
        var data = View(Rows(60), 16, 16);
        var (other, pool) = (Quick with { Mixer = new PoolingMixer { Size = 5 } }, new PoolFormer.Options { Stages = Quick.Stages, Epochs = 2, BatchSize = 16, Seed = 3, Preset = Quick.Preset, PoolSize = 5 });

        Assert.Equal(
            Scores(_ml.BinaryClassification.Trainers.MetaFormer(other).Fit(data).Transform(data)),
            Scores(_ml.BinaryClassification.Trainers.PoolFormer(pool).Fit(data).Transform(data)));
    }

    [Fact]
    public void Features_are_the_mean_of_the_last_tokens()
    {
        var data = View(Rows(60), 16, 16);
        var model = _ml.BinaryClassification.Trainers.MetaFormer(Quick).Fit(data);
        var features = _ml.Transforms.MetaFormerFeatures("Deep", model).Fit(data);

        var scored = features.Transform(model.Transform(data));

        var (w, b) = (Weight(model, "head.weight"), Weight(model, "head.bias")[0]);
        var deep = scored.GetColumn<float[]>("Deep").ToArray();
        Assert.All(deep, row => Assert.Equal(12, row.Length));
        Assert.Equal(Scores(scored), deep.Select(row => row.Zip(w, (x, y) => x * y).Sum() + b), Near);
        var own = _ml.Transforms.MetaFormerFeatures("Deep", Quick with { FeatureColumnName = "Features" }).Fit(data);
        Assert.Equal(deep.SelectMany(x => x), own.Transform(data).GetColumn<float[]>("Deep").SelectMany(x => x));
        Assert.Equal(deep.SelectMany(x => x), Reload(features, data).Transform(data).GetColumn<float[]>("Deep").SelectMany(x => x));
        var pool = _ml.BinaryClassification.Trainers.PoolFormer(new PoolFormer.Options { Stages = Quick.Stages, Epochs = 1 }).Fit(data);
        Assert.Contains("PoolFormer", Assert.Throws<ArgumentException>(() => _ml.Transforms.MetaFormerFeatures("Deep", pool)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Images_go_through_ML_NETs_own_transforms()
    {
        // Photographs that differ in which half is bright, in red.
        var random = new Random(1);
        var photographs = Enumerable.Range(0, 80).Select(i => new Photograph { Image = Draw(i % 2 == 0, random), Label = i % 2 == 0 }).ToArray();
        var data = _ml.Data.LoadFromEnumerable(photographs);
        foreach (var isInterleaved in new[] { false, true })
        {
            var pipeline = _ml.Transforms.ResizeImages("Small", 8, 8, "Image", ImageResizingEstimator.ResizingKind.Fill)
                .Append(_ml.Transforms.ExtractPixels("Features", "Small", interleavePixelColors: isInterleaved))
                .Append(_ml.BinaryClassification.Trainers.MetaFormer(Quick with { Epochs = 30, LearningRate = 5e-3, ValidationFraction = 0 }));

            var model = pipeline.Fit(data);

            var image = ((MetaFormerDefinition)NetworkModel.Find(model)!.Definition).Image;
            Assert.Equal(new ImageShape(8, 8, 3) { Order = isInterleaved ? PixelOrder.Interleaved : PixelOrder.Planar }, image);
            Assert.True(_ml.BinaryClassification.EvaluateNonCalibrated(model.Transform(data)).Accuracy > 0.95);
        }

        static MLImage Draw(bool isLeft, Random random)
        {
            var pixels = new byte[10 * 12 * 4];
            for (var i = 0; i < pixels.Length; i++)
            {
                var bright = (i / 4 % 12 < 6) == isLeft && i % 4 == 0;
                pixels[i] = i % 4 == 3 ? (byte)255 : (byte)(random.Next(100) + (bright ? 150 : 0));
            }

            return MLImage.CreateFromPixels(12, 10, MLPixelFormat.Rgba32, pixels);
        }
    }

    // The paper's comparison at small scale: identity below one half, pooling at least 12 points above it.
    [DataFact("mnist")]
    [Trait("Category", "Heavy")]
    public void Pooling_beats_no_mixing_on_digits()
    {
        var (images, labels) = TestData.Digits("mnist/t10k-images-idx3-ubyte.gz", "mnist/t10k-labels-idx1-ubyte.gz", 6000);
        var rows = images.Zip(labels, (x, y) => new Row { Features = Padded(x), Key = (uint)y }).ToArray();
        var shell = new MetaFormer.Options
        {
            LabelColumnName = "Key", Stages = [new(2, 48)], Stem = new(4, 4, 0), UseLayerScale = false, Norm = TokenNorm.Row, PositionMaps = PositionMaps.None, Epochs = 5, ValidationFraction = 0,
        };

        var (identity, pooling) = (Accuracy(shell with { Mixer = new IdentityMixer() }), Accuracy(shell with { Mixer = new PoolingMixer() }));

        Assert.True(identity < 0.5, $"identity {identity:P1}");
        Assert.InRange(pooling, 0.55, 0.7);
        Assert.True(pooling >= identity + 0.12, $"pooling {pooling:P1}, identity {identity:P1}");

        double Accuracy(MetaFormer.Options options) => new[] { 1, 2, 3 }.Average(seed =>
        {
            var model = _ml.MulticlassClassification.Trainers.MetaFormer(options with { Seed = seed }).Fit(View(rows[..4000], 1024));
            return _ml.MulticlassClassification.Evaluate(model.Transform(View(rows[4000..], 1024)), "Key").MicroAccuracy;
        });

        static float[] Padded(float[] pixels)
        {
            var image = new float[32 * 32];
            for (var y = 0; y < 28; y++)
                pixels.AsSpan(y * 28, 28).CopyTo(image.AsSpan(((y + 2) * 32) + 2));
            return image;
        }
    }

    private static float[] Interleave(float[] planes, ImageShape shape)
    {
        var size = shape.Height * shape.Width;
        return [.. from place in Enumerable.Range(0, size) from channel in Enumerable.Range(0, shape.Channels) select planes[(channel * size) + place]];
    }

    private static Row[] Rows(int count, int features = 256)
    {
        var random = new Random(1);
        return [.. Enumerable.Range(0, count).Select(i => new Row { Features = [.. Enumerable.Range(0, features).Select(_ => random.NextSingle() + (i % 2))], Label = i % 2 == 0 })];
    }

    private IDataView View(IEnumerable<Row> rows, params int[] dimensions)
    {
        var schema = SchemaDefinition.Create(typeof(Row));
        schema[nameof(Row.Features)].ColumnType = new VectorDataViewType(NumberDataViewType.Single, dimensions);
        schema[nameof(Row.Key)].ColumnType = new KeyDataViewType(typeof(uint), 10);
        return _ml.Data.LoadFromEnumerable(rows, schema);
    }

    private ITransformer Reload(ITransformer model, IDataView data)
    {
        using var stream = new MemoryStream();
        _ml.Model.Save(model, data.Schema, stream);
        stream.Position = 0;
        return new MLContext().Model.Load(stream, out _);
    }

    private static float[] Weight(ITransformer model, string name) =>
        NetworkModel.Find(model)!.CreateNetwork().state_dict()[name].data<float>().ToArray();

    private static float[] Scores(IDataView scored) => [.. scored.GetColumn<float>("Score")];

    private static bool Near(float a, float b) => Math.Abs(a - b) <= 1e-4 * (1 + Math.Abs(a));
}
