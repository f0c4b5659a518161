using System.Buffers.Binary;
using System.Diagnostics;
using System.IO.Compression;
using Microsoft.ML;
using Microsoft.ML.Data;
using MlNetMlp.Layers;
using MlNetMlp.Vision;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace MlNetMlp.Bench;

/// <summary>
/// Networks of image tokens: a fit against a loop written by hand in TorchSharp, dense layers against convolutions of 1 x 1, the small preset on digits, and the paper's
/// comparison of mixers at small scale.
/// </summary>
internal static class Images
{
    private const int Batch = 128;

    private sealed class Row
    {
        public float[] Features { get; set; } = [];

        public uint Label { get; set; }
    }

    public static void Run(ILookup<string, string> options) =>
        Choice.RunParts(options, "images", new Dictionary<string, Action> { ["step"] = Step, ["layout"] = Layout, ["digits"] = Digits, ["mixers"] = Mixers });

    /// <summary>Rows of digits, 28 x 28 pixels in [0, 1]; null, after a line, where the data are not there.</summary>
    private static (Row[] Train, Row[] Test)? Read(int train, int test)
    {
        var folder = Path.Combine(Choice.DataFolder, "mnist");
        if (!Directory.Exists(folder))
        {
            Console.WriteLine($"images: there are no digits in {folder}; set MLNETMLP_DATA.");
            return null;
        }

        return (Rows("train", train), Rows("t10k", test));

        Row[] Rows(string part, int count)
        {
            using var images = Open($"{part}-images-idx3-ubyte.gz", 16, out var size);
            using var labels = Open($"{part}-labels-idx1-ubyte.gz", 8, out _);
            var rows = new Row[Math.Min(count, size)];
            var pixels = new byte[784];
            for (var i = 0; i < rows.Length; i++)
            {
                images.ReadExactly(pixels);
                rows[i] = new() { Features = [.. pixels.Select(p => p / 255f)], Label = (uint)labels.ReadByte() };
            }

            return rows;
        }

        GZipStream Open(string file, int header, out int count)
        {
            var stream = new GZipStream(File.OpenRead(Path.Combine(folder, file)), CompressionMode.Decompress);
            var bytes = new byte[header];
            stream.ReadExactly(bytes);
            count = BinaryPrimitives.ReadInt32BigEndian(bytes.AsSpan(4));
            return stream;
        }
    }

    // A key of a field of a class counts from 0.
    private static IDataView View(MLContext ml, Row[] rows)
    {
        var schema = SchemaDefinition.Create(typeof(Row));
        schema[nameof(Row.Features)].ColumnType = new VectorDataViewType(NumberDataViewType.Single, rows[0].Features.Length);
        schema[nameof(Row.Label)].ColumnType = new KeyDataViewType(typeof(uint), 10);
        return ml.Data.LoadFromEnumerable(rows, schema);
    }

    private static void Step()
    {
        const int count = 4096;
        const int epochs = 2;
        var ml = new MLContext(1);
        var random = new Random(1);
        Row[] rows = [.. Enumerable.Range(0, count).Select(i => new Row { Features = [.. Enumerable.Range(0, 784).Select(_ => random.NextSingle())], Label = (uint)(i % 10) })];
        var view = View(ml, rows);
        var x = tensor(rows.SelectMany(row => row.Features).ToArray(), count, 784);
        var y = tensor(rows.Select(row => (long)row.Label).ToArray());
        foreach (var (name, mixer) in new (string, TokenMixer)[] { ("convolutions of channels", new DepthwiseConvMixer()), ("pooling", new PoolingMixer()), ("attention", new AttentionMixer()) })
        {
            var trainer = ml.MulticlassClassification.Trainers.MetaFormer(new MetaFormer.Options
            {
                Mixer = mixer, Norm = TokenNorm.Row, PositionMaps = PositionMaps.None, Epochs = epochs, ValidationFraction = 0, Seed = 1,
            });
            var seconds = Clock.Medians(3, () => trainer.Fit(view), () => ByHand(x, y, mixer, epochs));
            var steps = count / Batch * epochs;
            Console.WriteLine($"images step, {name}: batch {Batch} of 28 x 28 pixels, stages of 2 and 2 blocks: fit {seconds[0] / steps * 1e3:F1} ms a step (reading, model and all), "
                + $"by hand {seconds[1] / steps * 1e3:F1} ms, ratio {seconds[0] / seconds[1]:F2}");
        }
    }

    /// <summary>As the original code is written: images as planes, convolutions of 1 x 1, group normalisation, torch's own AdamW.</summary>
    private static void ByHand(Tensor x, Tensor y, TokenMixer mixer, int epochs)
    {
        using var network = new HandWritten(mixer);
        using var optimizer = optim.AdamW(network.parameters(), lr: 2e-3, weight_decay: 0.05);
        for (var epoch = 0; epoch < epochs; epoch++)
        {
            using var order = randperm(x.shape[0]);
            for (var start = 0; start < x.shape[0]; start += Batch)
            {
                using var scope = NewDisposeScope();
                var index = order.narrow(0, start, Batch);
                optimizer.zero_grad();
                var loss = nn.functional.cross_entropy(network.call(x.index_select(0, index).view(-1, 1, 28, 28)), y.index_select(0, index), label_smoothing: 0.1);
                loss.backward();
                nn.utils.clip_grad_norm_(network.parameters(), 5);
                optimizer.step();
            }
        }
    }

    private static GroupNorm Norm(int channels)
    {
        // Its gains are not set by TorchSharp 0.107.
        var norm = nn.GroupNorm(1, channels);
        nn.init.ones_(norm.weight!);
        nn.init.zeros_(norm.bias!);
        return norm;
    }

    private sealed class HandWritten : nn.Module<Tensor, Tensor>
    {
        private readonly ModuleList<nn.Module<Tensor, Tensor>> parts = [];
        private readonly GroupNorm norm = Norm(64);
        private readonly Linear head = nn.Linear(64, 10);

        public HandWritten(TokenMixer mixer)
            : base(nameof(HandWritten))
        {
            var inputs = 1;
            foreach (var channels in new[] { 32, 64 })
            {
                parts.Add(nn.Conv2d(inputs, channels, 3, stride: 2, padding: 1));
                parts.Add(new Block(channels, mixer));
                parts.Add(new Block(channels, mixer));
                inputs = channels;
            }

            RegisterComponents();
        }

        public override Tensor forward(Tensor input)
        {
            foreach (var part in parts)
                input = part.call(input);
            return head.call(norm.call(input).mean([2, 3]));
        }
    }

    private sealed class Block : nn.Module<Tensor, Tensor>
    {
        private readonly bool _pools;
        private readonly Parameter scale1;
        private readonly Parameter scale2;
        private readonly GroupNorm norm1;
        private readonly Conv2d? depthwise;
        private readonly Linear? qkv;
        private readonly Linear? projection;
        private readonly GroupNorm norm2;
        private readonly Conv2d expand;
        private readonly Conv2d contract;

        public Block(int channels, TokenMixer mixer)
            : base(nameof(Block))
        {
            _pools = mixer is PoolingMixer;
            (norm1, norm2) = (Norm(channels), Norm(channels));
            (scale1, scale2) = (new Parameter(ones(channels, 1, 1)), new Parameter(ones(channels, 1, 1)));
            if (mixer is DepthwiseConvMixer)
                depthwise = nn.Conv2d(channels, channels, 3, padding: 1, groups: channels, bias: false);
            else if (mixer is AttentionMixer)
                (qkv, projection) = (nn.Linear(channels, 3 * channels, hasBias: false), nn.Linear(channels, channels));
            (expand, contract) = (nn.Conv2d(channels, 4 * channels, 1), nn.Conv2d(4 * channels, channels, 1));
            RegisterComponents();
        }

        public override Tensor forward(Tensor input)
        {
            var x = input + (scale1 * Mix(norm1.call(input)));
            return x + (scale2 * contract.call(nn.functional.gelu(expand.call(norm2.call(x)))));
        }

        private Tensor Mix(Tensor x)
        {
            if (_pools)
                return nn.functional.avg_pool2d(x, [3, 3], [1, 1], [1, 1], count_include_pad: false) - x;
            if (depthwise is not null)
                return depthwise.call(x);
            var (rows, channels) = (x.shape[0], x.shape[1]);
            var parts = qkv!.call(x.flatten(2).transpose(1, 2)).view(rows, -1, 3, channels / 32, 32).permute(2, 0, 3, 1, 4);
            var mixed = nn.functional.scaled_dot_product_attention(parts[0], parts[1], parts[2]);
            return projection!.call(mixed.transpose(1, 2).reshape(rows, -1, channels)).transpose(1, 2).reshape(x.shape);
        }
    }

    /// <summary>The MLP of a block on tokens whose channels lie side by side, and on planes.</summary>
    private static void Layout()
    {
        foreach (var (side, channels) in new[] { (14, 32), (7, 64), (8, 48), (14, 320) })
        {
            const int rows = 64;
            using var tokens = randn(rows, side, side, channels).requires_grad_();
            using var planes = randn(rows, channels, side, side).requires_grad_();
            using var w1 = randn(4 * channels, channels).requires_grad_();
            using var w2 = randn(channels, 4 * channels).requires_grad_();
            using var k1 = w1.detach().view(4 * channels, channels, 1, 1).requires_grad_();
            using var k2 = w2.detach().view(channels, 4 * channels, 1, 1).requires_grad_();
            var seconds = Clock.Medians(
                15,
                () => Backward(() => nn.functional.linear(nn.functional.gelu(nn.functional.linear(tokens, w1)), w2)),
                () => Backward(() => nn.functional.conv2d(nn.functional.gelu(nn.functional.conv2d(planes, k1)), k2)),
                () => Backward(() => nn.functional.conv2d(nn.functional.gelu(nn.functional.conv2d(tokens.permute(0, 3, 1, 2), k1)), k2)));
            Console.WriteLine($"images layout: MLP of {side} x {side} tokens of {channels} values, batch {rows}, forward and backward: dense {seconds[0] * 1e3:F1} ms, "
                + $"convolutions on planes {seconds[1] * 1e3:F1} ms, on channels last {seconds[2] * 1e3:F1} ms");
        }

        static void Backward(Func<Tensor> forward)
        {
            using var scope = NewDisposeScope();
            forward().sum().backward();
        }
    }

    private static void Digits()
    {
        if (Read(10_000, 10_000) is not var (train, test))
            return;
        foreach (var seed in new[] { 1, 2, 3 })
        {
            var ml = new MLContext(seed);
            var (fit, judge) = (View(ml, train), View(ml, test));
            var clock = Stopwatch.StartNew();
            var model = ml.MulticlassClassification.Trainers.MetaFormer(new MetaFormer.Options { Epochs = 10, ValidationFraction = 0, Seed = seed }).Fit(fit);
            var seconds = clock.Elapsed.TotalSeconds;
            clock.Restart();
            var accuracy = ml.MulticlassClassification.Evaluate(model.Transform(judge)).MicroAccuracy;
            Console.WriteLine($"images digits: Small28 with convolutions of channels, 10 epochs on 10,000 of MNIST's training rows, seed {seed}: {100 * accuracy:F2} % of 10,000 test rows in {seconds:F0} s, "
                + $"scored in {clock.Elapsed.TotalSeconds:F1} s");
        }
    }

    /// <summary>The table of mixers: two blocks of 48 channels on patches of 4 x 4 of digits in 32 x 32 pixels, 4,000 rows to train on and 2,000 to test on, five epochs.</summary>
    private static void Mixers()
    {
        if (Read(1, 6000) is not var (_, rows))
            return;
        Row[] padded = [.. rows.Select(row => new Row { Features = Pad(row.Features), Label = row.Label })];
        var shell = new MetaFormer.Options
        {
            Stages = [new(2, 48)], Stem = new(4, 4, 0), UseLayerScale = false, Norm = TokenNorm.Row, PositionMaps = PositionMaps.None, Epochs = 5, ValidationFraction = 0,
        };
        (string Name, MetaFormer.Options Options)[] rowsOfTable =
        [
            ("identity", shell with { Mixer = new IdentityMixer() }),
            ("random matrix", shell with { Mixer = new RandomMatrixMixer() }),
            ("attention", shell with { Mixer = new AttentionMixer { HeadDim = 24 } }),
            ("attention, map of positions", shell with { Mixer = new AttentionMixer { HeadDim = 24 }, PositionMaps = PositionMaps.First }),
            ("pooling", shell with { Mixer = new PoolingMixer() }),
            ("depthwise 3 x 3", shell with { Mixer = new DepthwiseConvMixer() }),
            ("spatial dense", shell with { Mixer = new SpatialFcMixer() }),
            ("pooling, no residuals", shell with { Mixer = new PoolingMixer(), UseResiduals = false }),
            ("pooling, no MLP", shell with { Mixer = new PoolingMixer(), MlpRatio = 0 }),
            ("spatial dense, no residuals", shell with { Mixer = new SpatialFcMixer(), UseResiduals = false }),
            ("spatial dense, no MLP", shell with { Mixer = new SpatialFcMixer(), MlpRatio = 0 }),
            ("8 blocks, identity", Deep(new IdentityMixer())),
            ("8 blocks, pooling", Deep(new PoolingMixer())),
            ("8 blocks, spatial dense", Deep(new SpatialFcMixer())),
        ];
        Console.WriteLine("| mixer | weights | test accuracy, mean of 3 seeds | seeds | seconds of a fit |\n| --- | --- | --- | --- | --- |");
        foreach (var (name, options) in rowsOfTable)
        {
            var (accuracies, seconds, weights) = (new List<double>(), new List<double>(), 0L);
            foreach (var seed in new[] { 1, 2, 3 })
            {
                var ml = new MLContext(seed);
                var clock = Stopwatch.StartNew();
                var model = ml.MulticlassClassification.Trainers.MetaFormer(options with { Seed = seed }).Fit(View(ml, padded[..4000]));
                seconds.Add(clock.Elapsed.TotalSeconds);
                weights = model.Model.Network.WeightCount;
                accuracies.Add(100 * ml.MulticlassClassification.Evaluate(model.Transform(View(ml, padded[4000..]))).MicroAccuracy);
            }

            Console.WriteLine($"| {name} | {weights:N0} | {accuracies.Average():F1} | {string.Join(", ", accuracies.Select(a => $"{a:F1}"))} | {seconds.Average():F1} |");
        }

        MetaFormer.Options Deep(TokenMixer mixer) => shell with { Mixer = mixer, Stages = [new(8, 48)], Stem = new(3, 2, 1) };

        static float[] Pad(float[] pixels)
        {
            var result = new float[32 * 32];
            for (var y = 0; y < 28; y++)
                pixels.AsSpan(y * 28, 28).CopyTo(result.AsSpan(((y + 2) * 32) + 2));
            return result;
        }
    }
}
