using System.IO.Compression;
using Microsoft.ML;
using Microsoft.ML.Data;
using MlNetMlp.Tabular;
using MlNetMlp.Training;

namespace Tabular;

internal static partial class IncomeModel
{
    public const string Label = "income";

    public static readonly string[] Numbers = ["age", "fnlwgt", "education-num", "capital-gain", "capital-loss", "hours-per-week"];
    public static readonly string[] Texts = ["workclass", "education", "marital-status", "occupation", "relationship", "race", "sex", "native-country"];
    public static readonly string[] Columns = [.. Numbers, .. Texts];

    /// <summary>Reads one of the two files of the public data set Adult, plain or packed by gzip.</summary>
    /// <param name="ml">The context.</param>
    /// <param name="path">The file.</param>
    /// <param name="scratch">A folder for the file in the form that ML.NET reads: without question marks, which stand for missing values, and with a label that is true or false.</param>
    public static IDataView LoadData(MLContext ml, string path, string scratch)
    {
        using Stream file = File.OpenRead(path), content = path.EndsWith(".gz", StringComparison.OrdinalIgnoreCase) ? new GZipStream(file, CompressionMode.Decompress) : file;
        using var reader = new StreamReader(content);
        var header = reader.ReadLine()?.Split(',') ?? [];
        if (header is not ["age", .., Label])
            throw new InvalidDataException($"'{path}' is not Adult: the first of its columns must be 'age' and the last '{Label}', but they are '{string.Join("', '", header)}'.");
        var lines = new List<string>();
        while (reader.ReadLine() is { Length: > 0 } line)
        {
            var words = line.Split(',', StringSplitOptions.TrimEntries);
            lines.Add(string.Join('\t', words[..^1].Select(word => word == "?" ? "" : word).Append($"{words[^1].StartsWith(">50K", StringComparison.Ordinal)}")));
        }

        var table = Path.Combine(scratch, Path.GetFileNameWithoutExtension(path) + ".tsv");
        File.WriteAllLines(table, lines);
        return ml.Data.LoadFromTextFile<ModelInput>(table);
    }

    /// <summary>Texts become keys, numbers a vector; nothing else has to be done for a network that reads both.</summary>
    public static IEstimator<ITransformer> BuildPipeline(MLContext ml, TabularNetwork.Options options, IProgress<TrainingProgress>? progress = null) =>
        ml.Transforms.Conversion.MapValueToKey([.. Texts.Select(text => new InputOutputColumnPair(text))])
            .Append(ml.Transforms.Concatenate("Features", Numbers))
            .Append(ml.BinaryClassification.Trainers.TabularNetwork(options with { LabelColumnName = Label, CategoricalColumns = [.. Texts], Progress = progress }));

    /// <summary>What to compare with: boosted trees on numbers and one-hot texts.</summary>
    public static IEstimator<ITransformer> BuildFastTreePipeline(MLContext ml) => BuildOneHotPipeline(ml).Append(ml.BinaryClassification.Trainers.FastTree(Label));

    /// <summary>What to compare with: boosted trees on numbers and one-hot texts.</summary>
    public static IEstimator<ITransformer> BuildLightGbmPipeline(MLContext ml) => BuildOneHotPipeline(ml).Append(ml.BinaryClassification.Trainers.LightGbm(Label));

    /// <summary>Writes the model to <see cref="ModelPath"/>, where <see cref="Predict"/> finds it.</summary>
    public static void Save(MLContext ml, ITransformer model, DataViewSchema inputSchema) => ModelFile.Save(ml, model, inputSchema, ModelPath);

    private static EstimatorChain<ColumnConcatenatingTransformer> BuildOneHotPipeline(MLContext ml) =>
        ml.Transforms.Categorical.OneHotEncoding([.. Texts.Select(text => new InputOutputColumnPair(text))]).Append(ml.Transforms.Concatenate("Features", [.. Numbers, .. Texts]));
}
