using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.Transforms.Image;
using MlNetMlp.Conformance;
using MlNetMlp.Interop;
using MlNetMlp.Networks;
using MlNetMlp.Tabular;
using MlNetMlp.Vision;

namespace MlNetMlp.Tests.Vision;

/// <summary>Columns of ML.NET's images as features.</summary>
public sealed class ImageColumnTests
{
    private static readonly MetaFormer.Options Quick = new() { FeatureColumnName = "Image", Stages = [new(1, 8)], Epochs = 2, BatchSize = 16, Seed = 3 };

    private readonly MLContext _ml = new(1);

    private sealed class Photograph
    {
        [ImageType(10, 12)]
        public MLImage? Image { get; set; }

        public bool Label { get; set; }
    }

    private sealed class ImageFile
    {
        public string Path { get; set; } = "";

        public bool Label { get; set; }
    }

    private sealed class Scored
    {
        [ImageType(10, 12)]
        public MLImage? Image { get; set; }

        public float Score { get; set; }
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Images_are_what_their_extracted_pixels_are(bool isInterleaved)
    {
        var data = Photographs(60);
        var options = isInterleaved ? Quick with { ImageShape = new(10, 12, 3) { Order = PixelOrder.Interleaved } } : Quick;
        var pixels = _ml.Transforms.ExtractPixels("Pixels", "Image", interleavePixelColors: isInterleaved).Fit(data).Transform(data);

        var model = _ml.BinaryClassification.Trainers.MetaFormer(options).Fit(data);
        var expected = _ml.BinaryClassification.Trainers.MetaFormer(options with { FeatureColumnName = "Pixels", ImageShape = null }).Fit(pixels);

        Assert.Equal(expected.Model.Network.Definition, model.Model.Network.Definition);
        Assert.Equal(Scores(expected.Transform(pixels)), Scores(model.Transform(data)));
        Assert.Equal(new ImageShape(10, 12, 3) { Order = isInterleaved ? PixelOrder.Interleaved : PixelOrder.Planar }, model.Model.Network.Images);

        // The model takes the pixels too, wherever they come from.
        var renamed = _ml.Transforms.DropColumns("Image").Append(_ml.Transforms.CopyColumns("Image", "Pixels")).Fit(pixels).Transform(pixels);
        Assert.Equal(Scores(expected.Transform(pixels)), Scores(model.Transform(renamed)));
    }

    [Fact]
    public void Saved_models_and_engines_read_images_and_hand_them_on()
    {
        var data = Photographs(40);
        var model = _ml.BinaryClassification.Trainers.MetaFormer(Quick).Fit(data);
        var expected = Scores(model.Transform(data));

        var loaded = Reload(model, data);

        Assert.Equal(expected, Scores(loaded.Transform(data)));
        Assert.Equal(model.Model.Network.Images, NetworkModel.Find(loaded)!.Images);
        using var engine = _ml.Model.CreatePredictionEngine<Photograph, Scored>(loaded);
        Assert.Equal(expected, Make(40).Select(photograph => engine.Predict(photograph).Score), Near);
        var both = _ml.Data.CreateEnumerable<Scored>(loaded.Transform(data), reuseRowObject: false).ToArray();
        Assert.Equal(expected, both.Select(row => row.Score), Near);
        Assert.Equal(Make(1).Single().Image!.Pixels.ToArray(), both[0].Image!.Pixels.ToArray());
    }

    [Fact]
    public void Features_of_a_network_are_those_of_images()
    {
        var data = Photographs(40);
        var model = _ml.BinaryClassification.Trainers.MetaFormer(Quick).Fit(data);
        var features = _ml.Transforms.MetaFormerFeatures("Deep", model);
        var own = _ml.Transforms.MetaFormerFeatures("Deep", Quick);
        var shape = Trial.Shape(data.Schema);
        Assert.All([features.GetOutputSchema(shape), own.GetOutputSchema(shape)], after => Assert.Contains(after, column => column.Name == "Deep"));

        var expected = Deep(features.Fit(data));

        Assert.Equal(expected, Deep(own.Fit(data)));
        Assert.Equal(expected, Deep(Reload(own.Fit(data), data)));

        float[] Deep(ITransformer transformer) => [.. transformer.Transform(data).GetColumn<float[]>("Deep").SelectMany(x => x)];
    }

    [Fact]
    public void Image_files_of_several_sizes_are_brought_to_the_shape()
    {
        var folder = Directory.CreateTempSubdirectory();
        try
        {
            var files = Make(60, sizes: true).Select((photograph, i) => new ImageFile { Path = $"{i}.png", Label = photograph.Label }).ToArray();
            foreach (var (photograph, file) in Make(60, sizes: true).Zip(files))
                photograph.Image!.Save(Path.Combine(folder.FullName, file.Path));
            var rows = _ml.Data.LoadFromEnumerable(files);
            CheckFiles(_ml.Transforms.LoadImages("Image", folder.FullName, "Path").Fit(rows).Transform(rows));
        }
        finally
        {
            folder.Delete(recursive: true);
        }
    }

    private void CheckFiles(IDataView data)
    {
        var options = Quick with { ImageShape = new(8, 8, 3), Epochs = 40, LearningRate = 5e-3, ValidationFraction = 0 };
        var model = _ml.BinaryClassification.Trainers.MetaFormer(options).Fit(data);

        Assert.True(_ml.BinaryClassification.EvaluateNonCalibrated(model.Transform(data)).Accuracy > 0.95);
        Assert.Equal(192, model.Model.Network.Inputs);
        Assert.Equal(64, _ml.BinaryClassification.Trainers.MetaFormer(options with { ImageShape = new(8, 8), Epochs = 1 }).Fit(data).Model.Network.Inputs);
        Refused("'Image' holds images of any size", data, Quick);
        Refused("2 are asked for", data, Quick with { ImageShape = new(8, 8, 2) });

        void Refused(string says, IDataView rows, MetaFormer.Options asked) => Assert.Contains(
            says, Assert.Throws<ArgumentOutOfRangeException>(() => _ml.BinaryClassification.Trainers.MetaFormer(asked).Fit(rows)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_row_without_an_image_is_named()
    {
        var broken = Photographs(40, missing: 7);
        var error = Assert.Throws<InvalidOperationException>(() => _ml.BinaryClassification.Trainers.MetaFormer(Quick).Fit(broken));
        Assert.Contains("'Image', row 7 holds no image", error.Message, StringComparison.Ordinal);

        var model = _ml.BinaryClassification.Trainers.MetaFormer(Quick).Fit(Photographs(40));
        error = Assert.Throws<InvalidOperationException>(() => Scores(model.Transform(broken)));
        Assert.Contains("'Image', row 7 holds no image", error.Message, StringComparison.Ordinal);
        using var engine = _ml.Model.CreatePredictionEngine<Photograph, Scored>(model);
        Assert.Contains("holds no image", Assert.Throws<InvalidOperationException>(() => engine.Predict(new())).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Every_method_of_plain_vectors_reads_images_in_memory_and_streamed()
    {
        // 360 numbers a row: a million bytes hold some 690 of them.
        var data = Photographs(1200);
        var options = new ScaledMlp.Options { FeatureColumnName = "Image", Width = 16, Blocks = 1, Epochs = 2, Seed = 1 };
        var streamed = _ml.BinaryClassification.Trainers.ScaledMlp(options with { MemoryBudget = 1_000_000 }).Fit(data);
        var inMemory = _ml.BinaryClassification.Trainers.ScaledMlp(options).Fit(data);

        Assert.True(_ml.BinaryClassification.EvaluateNonCalibrated(streamed.Transform(data)).Accuracy > 0.95);
        Assert.True(_ml.BinaryClassification.EvaluateNonCalibrated(inMemory.Transform(data)).Accuracy > 0.95);
    }

    private IDataView Photographs(int count, int missing = -1) => _ml.Data.LoadFromEnumerable(Make(count, missing));

    /// <summary>Photographs that differ in which half is bright, in red. They are drawn anew each time: who reads images may dispose of them.</summary>
    private static IEnumerable<Photograph> Make(int count, int missing = -1, bool sizes = false)
    {
        for (var i = 0; i < count; i++)
        {
            var random = new Random(i);
            var (height, width) = sizes ? (8 + (i % 5), 8 + (i % 7)) : (10, 12);
            var pixels = new byte[height * width * 4];
            for (var j = 0; j < pixels.Length; j++)
            {
                var bright = (j / 4 % width < width / 2) == (i % 2 == 0) && j % 4 == (i % 3 == 0 ? 2 : 0);
                pixels[j] = j % 4 == 3 ? (byte)255 : (byte)(random.Next(100) + (bright ? 150 : 0));
            }

            var format = i % 3 == 0 ? MLPixelFormat.Bgra32 : MLPixelFormat.Rgba32;
            yield return new() { Image = i == missing ? null : MLImage.CreateFromPixels(width, height, format, pixels), Label = i % 2 == 0 };
        }
    }

    private ITransformer Reload(ITransformer model, IDataView data)
    {
        using var stream = new MemoryStream();
        _ml.Model.Save(model, data.Schema, stream);
        stream.Position = 0;
        return new MLContext().Model.Load(stream, out _);
    }

    private static float[] Scores(IDataView scored) => [.. scored.GetColumn<float>("Score")];

    private static bool Near(float a, float b) => Math.Abs(a - b) <= 1e-4 * (1 + Math.Abs(a));
}
