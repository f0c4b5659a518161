using System.Globalization;
using System.IO.Compression;
using System.Text;
using Microsoft.ML;
using Microsoft.ML.Data;

namespace MlNetMlp.Bench;

/// <summary>What a table is to be learned for.</summary>
internal enum TabularTask
{
    Regression,
    Binary,
    Multiclass,
}

/// <summary>How a table is cut into rows to train on and rows to judge by.</summary>
internal abstract record TabularSplit
{
    /// <summary>Row i judges where i mod 5 is 4.</summary>
    public sealed record EveryFifth : TabularSplit;

    /// <summary>The first rows train, the others, up to a row, judge.</summary>
    public sealed record First(int Rows, int End = int.MaxValue) : TabularSplit;

    /// <summary>A file of its own judges.</summary>
    public sealed record OtherFile(string File) : TabularSplit;

    /// <summary>A file lists the rows that judge, a line for each of several splits.</summary>
    public sealed record Listed(string File) : TabularSplit;

    /// <summary>A column says "Train" of rows to train on.</summary>
    public sealed record Column(string Name) : TabularSplit;
}

/// <summary>A public table.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Task">What it is learned for.</param>
/// <param name="File">Its file.</param>
/// <param name="Label">Its label column.</param>
/// <param name="Split">How it is split.</param>
internal sealed record TabularSet(string Name, TabularTask Task, string File, string Label, TabularSplit Split)
{
    private static readonly string[] MissingWords = ["", "?", "NA"];

    /// <summary>Columns that say too much, or nothing.</summary>
    public string[] Dropped { get; init; } = [];

    /// <summary>The only class that counts as no, where there are several to tell it from.</summary>
    public string? Negative { get; init; }

    /// <summary>All tables of at least 500 rows.</summary>
    public static IReadOnlyList<TabularSet> All { get; } =
    [
        new("adult", TabularTask.Binary, "adult/adult_train.csv.gz", "income", new TabularSplit.OtherFile("adult/adult_test.csv.gz")),
        new("australian_credit", TabularTask.Binary, "australian_credit/australian_credit.csv", "target", new TabularSplit.EveryFifth()),
        new("bank_marketing", TabularTask.Binary, "bank_marketing/bank_full.csv.gz", "y", new TabularSplit.EveryFifth()),
        new("banknote", TabularTask.Binary, "banknote/banknote.csv", "class", new TabularSplit.EveryFifth()),
        new("german_credit", TabularTask.Binary, "german_credit/german_credit.csv", "class", new TabularSplit.EveryFifth()),
        new("higgs_small", TabularTask.Binary, "higgs_small/higgs_train_7k.csv.gz", "label", new TabularSplit.EveryFifth()),
        new("magic_telescope", TabularTask.Binary, "magic_telescope/magic_telescope.csv.gz", "target", new TabularSplit.EveryFifth()),
        new("nsl_kdd", TabularTask.Binary, "nsl_kdd/kddtrain_full.csv.gz", "attack", new TabularSplit.OtherFile("nsl_kdd/kddtest.csv.gz")) { Dropped = ["difficulty"], Negative = "normal" },
        new("phoneme", TabularTask.Binary, "phoneme/phoneme.csv", "target", new TabularSplit.EveryFifth()),
        new("pima_diabetes", TabularTask.Binary, "pima_diabetes/pima_diabetes.csv", "class", new TabularSplit.EveryFifth()),
        new("spambase", TabularTask.Binary, "spambase/spambase.csv.gz", "class", new TabularSplit.EveryFifth()),
        new("tic_tac_toe", TabularTask.Binary, "tic_tac_toe/tic_tac_toe.csv", "Class", new TabularSplit.EveryFifth()),
        new("wdbc", TabularTask.Binary, "wdbc/wdbc.csv", "target", new TabularSplit.EveryFifth()),
        new("covertype", TabularTask.Multiclass, "covertype/covertype_20k.csv.gz", "Cover_Type", new TabularSplit.First(11_340, 15_120)),
        new("digits8x8", TabularTask.Multiclass, "digits8x8/digits8x8.csv", "digit", new TabularSplit.EveryFifth()),
        new("letter", TabularTask.Multiclass, "letter/letter.csv.gz", "class", new TabularSplit.First(16_000)),
        new("optdigits", TabularTask.Multiclass, "optdigits/optdigits.csv.gz", "class", new TabularSplit.First(3823)),
        new("pendigits", TabularTask.Multiclass, "pendigits/pendigits.csv.gz", "class", new TabularSplit.First(7494)),
        new("satimage", TabularTask.Multiclass, "satimage/satimage.csv.gz", "target", new TabularSplit.First(4435)),
        new("segment", TabularTask.Multiclass, "segment/segment.csv.gz", "class", new TabularSplit.EveryFifth()),
        new("vehicle", TabularTask.Multiclass, "vehicle/vehicle.csv", "Class", new TabularSplit.EveryFifth()),
        new("vowel", TabularTask.Multiclass, "vowel/vowel.csv", "Class", new TabularSplit.Column("Train or Test")) { Dropped = ["Train or Test", "Speaker Number", "Sex"] },
        new("waveform", TabularTask.Multiclass, "waveform/waveform.csv.gz", "class", new TabularSplit.EveryFifth()),
        new("abalone", TabularTask.Regression, "abalone/abalone.csv", "rings", new TabularSplit.EveryFifth()),
        new("airfoil_noise", TabularTask.Regression, "airfoil_noise/airfoil_noise.csv", "scaled_sound_pressure", new TabularSplit.EveryFifth()),
        new("bike_sharing", TabularTask.Regression, "bike_sharing/bike_sharing_hour.csv.gz", "cnt", new TabularSplit.EveryFifth()) { Dropped = ["instant", "dteday", "casual", "registered"] },
        new("boston_housing", TabularTask.Regression, "boston_housing/boston_housing.csv", "MEDV", new TabularSplit.Listed("boston_housing/test_rows.txt")),
        new("california_housing", TabularTask.Regression, "california_housing/california_housing.csv.gz", "median_house_value", new TabularSplit.EveryFifth()),
        new("concrete", TabularTask.Regression, "concrete/concrete.csv", "strength", new TabularSplit.Listed("concrete/test_rows.txt")),
        new("diamonds", TabularTask.Regression, "diamonds/diamonds.csv.gz", "price", new TabularSplit.EveryFifth()),
        new("energy_efficiency", TabularTask.Regression, "energy_efficiency/energy_efficiency.csv", "heating_load", new TabularSplit.Listed("energy_efficiency/test_rows.txt")),
        new("kin8nm", TabularTask.Regression, "kin8nm/kin8nm.csv.gz", "y", new TabularSplit.Listed("kin8nm/test_rows.txt")),
        new("naval_propulsion", TabularTask.Regression, "naval_propulsion/naval_propulsion.csv.gz", "compressor_decay", new TabularSplit.Listed("naval_propulsion/test_rows.txt.gz")) { Dropped = ["turbine_decay"] },
        new("power_plant", TabularTask.Regression, "power_plant/power_plant.csv.gz", "PE", new TabularSplit.Listed("power_plant/test_rows.txt")),
        new("protein_structure", TabularTask.Regression, "protein_structure/protein_structure.csv.gz", "RMSD", new TabularSplit.Listed("protein_structure/test_rows.txt.gz")),
        new("wine_red", TabularTask.Regression, "wine_quality/winequality_red.csv", "quality", new TabularSplit.EveryFifth()),
        new("wine_white", TabularTask.Regression, "wine_quality/winequality_white.csv", "quality", new TabularSplit.EveryFifth()),
    ];

    /// <summary>Reads the table.</summary>
    /// <param name="ml">The context.</param>
    /// <param name="folder">Folder of all tables.</param>
    /// <param name="split">Which split, where there are several.</param>
    /// <param name="most">Most rows to train on, chosen at random; 0 for all.</param>
    /// <param name="scratch">A folder for files.</param>
    /// <returns>The rows.</returns>
    public TabularTable Read(MLContext ml, string folder, int split, int most, string scratch)
    {
        var (header, lines) = ReadFile(Path.Combine(folder, File));
        var (train, test) = Cut(folder, split, header, lines);
        if (most > 0 && train.Length > most)
        {
            new Random(split).Shuffle(train);
            train = train[..most];
        }

        var label = Array.IndexOf(header, Label);
        int[] used = [.. Enumerable.Range(0, header.Length).Where(i => i != label && !Dropped.Contains(header[i]))];
        var numbers = used.Where(i => train.Concat(test).All(line => MissingWords.Contains(line[i]) || float.TryParse(line[i], CultureInfo.InvariantCulture, out _))).ToArray();
        var keys = used.Except(numbers).ToArray();
        var classes = Task == TabularTask.Regression ? [] : train.Concat(test).Select(line => Class(line[label])).Distinct().Order(StringComparer.Ordinal).ToArray();
        var (trainFile, testFile) = (Write("train", train), Write("test", test));
        return new(this, trainFile, testFile, Load(trainFile), Load(testFile), [.. keys.Select(Name)], numbers.Length, train.Length, test.Length, classes.Length);

        string Name(int column) => $"Key {header[column]}";

        string Write(string name, string[][] rows)
        {
            var path = Path.Combine(scratch, $"{this.Name}.{split}.{most}.{name}.tsv");
            System.IO.File.WriteAllLines(path, rows.Select(line =>
                string.Join('\t', numbers.Select(i => MissingWords.Contains(line[i]) ? "NaN" : line[i]).Prepend(Target(line[label])).Concat(keys.Select(i => MissingWords.Contains(line[i]) ? "" : line[i])))));
            return path;
        }

        IDataView Load(string path)
        {
            List<TextLoader.Column> columns = [new("Target", DataKind.Single, 0)];
            if (numbers.Length > 0)
                columns.Add(new("Numbers", DataKind.Single, 1, numbers.Length));
            columns.AddRange(keys.Select((key, i) => new TextLoader.Column(Name(key), DataKind.String, 1 + numbers.Length + i)));
            return ml.Data.LoadFromTextFile(path, [.. columns], separatorChar: '\t', hasHeader: false);
        }

        string Class(string word) => Negative is null ? word.TrimEnd('.') : word == Negative ? "0" : "1";

        string Target(string word) => Task == TabularTask.Regression ? word : Array.IndexOf(classes, Class(word)).ToString(CultureInfo.InvariantCulture);
    }

    private (string[][] Train, string[][] Test) Cut(string folder, int split, string[] header, string[][] lines)
    {
        switch (Split)
        {
            case TabularSplit.First first:
                return (lines[..first.Rows], lines[first.Rows..Math.Min(first.End, lines.Length)]);
            case TabularSplit.OtherFile other:
                return (lines, ReadFile(Path.Combine(folder, other.File)).Lines);
            case TabularSplit.Column column:
                var place = Array.IndexOf(header, column.Name);
                return ([.. lines.Where(line => line[place] == "Train")], [.. lines.Where(line => line[place] != "Train")]);
            case TabularSplit.Listed listed:
                using (var reader = Open(Path.Combine(folder, listed.File)))
                {
                    var splits = reader.ReadToEnd().Split('\n', StringSplitOptions.RemoveEmptyEntries);
                    var judged = splits[split % splits.Length].Split(' ', StringSplitOptions.RemoveEmptyEntries).Select(word => int.Parse(word, CultureInfo.InvariantCulture)).ToHashSet();
                    return ([.. lines.Where((_, i) => !judged.Contains(i))], [.. lines.Where((_, i) => judged.Contains(i))]);
                }

            default:
                return ([.. lines.Where((_, i) => i % 5 != 4)], [.. lines.Where((_, i) => i % 5 == 4)]);
        }
    }

    private static StreamReader Open(string path)
    {
        var file = System.IO.File.OpenRead(path);
        return new(path.EndsWith(".gz", StringComparison.Ordinal) ? new GZipStream(file, CompressionMode.Decompress) : file);
    }

    private static (string[] Header, string[][] Lines) ReadFile(string path)
    {
        using var reader = Open(path);
        var header = Words(reader.ReadLine()!);
        var lines = new List<string[]>();
        while (reader.ReadLine() is { Length: > 0 } line)
            lines.Add(Words(line));
        return (header, [.. lines]);
    }

    private static string[] Words(string line)
    {
        var (words, word, isQuoted) = (new List<string>(), new StringBuilder(), false);
        foreach (var letter in line)
        {
            if (letter == '"')
            {
                isQuoted = !isQuoted;
            }
            else if (letter == ',' && !isQuoted)
            {
                words.Add(word.ToString().Trim());
                word.Clear();
            }
            else
            {
                word.Append(letter);
            }
        }

        return [.. words, word.ToString().Trim()];
    }
}

/// <summary>A table, split.</summary>
/// <param name="Set">Where it comes from.</param>
/// <param name="TrainFile">Rows to train on: tab-separated target, numbers and texts.</param>
/// <param name="TestFile">Rows to judge by.</param>
/// <param name="Train">Rows to train on, with the columns Target, Numbers and those of texts.</param>
/// <param name="Test">Rows to judge by.</param>
/// <param name="Keys">Columns of texts.</param>
/// <param name="Numbers">Number of numbers.</param>
/// <param name="TrainRows">Number of rows to train on.</param>
/// <param name="TestRows">Number of rows to judge by.</param>
/// <param name="Classes">Number of classes; 0 for regression.</param>
internal sealed record TabularTable(
    TabularSet Set, string TrainFile, string TestFile, IDataView Train, IDataView Test, string[] Keys, int Numbers, int TrainRows, int TestRows, int Classes);
