using System.Text.Json;
using MlNetMlp.Persistence;

namespace MlNetMlp.Tuning;

/// <summary>The evaluations of a search in a file: a line that says what is searched, then a line for each evaluation.</summary>
internal sealed class TuningJournal
{
    private static readonly JsonSerializerOptions Lines = new(StrictJson.Settings) { WriteIndented = false };

    private readonly string _path;
    private readonly Dictionary<(int Number, double Share), TuningTrial> _trials = [];

    private TuningJournal(string path) => _path = path;

    /// <summary>Opens a journal, or begins it where there is none.</summary>
    /// <param name="path">The file.</param>
    /// <param name="search">What is searched.</param>
    /// <returns>The journal.</returns>
    /// <exception cref="InvalidOperationException">The file is one of another search, or no journal.</exception>
    /// <exception cref="IOException">The file cannot be read or written.</exception>
    public static TuningJournal Open(string path, TuningSearch search)
    {
        var journal = new TuningJournal(path);
        var text = File.Exists(path) ? File.ReadAllText(path) : "";
        if (text.LastIndexOf('\n') is var end && end < 0)
        {
            File.WriteAllText(path, JsonSerializer.Serialize(search, Lines) + "\n");
            return journal;
        }

        var lines = text[..end].Split('\n');
        var there = Read<TuningSearch>(path, lines, 0);
        if (search.DifferenceTo(there) is { } difference)
            throw new InvalidOperationException($"Journal '{path}' is one of another search: {difference}. Give this search another 'JournalFile'.");
        for (var i = 1; i < lines.Length; i++)
        {
            var trial = Read<TuningTrial>(path, lines, i);
            journal._trials[(trial.Number, trial.Share)] = trial;
        }

        // A process that was killed may have left part of a line.
        if (end < text.Length - 1)
            AtomicFile.Write(path, stream => stream.Write(System.Text.Encoding.UTF8.GetBytes(text[..(end + 1)])));
        return journal;
    }

    /// <summary>The evaluation of settings on a share of the rows, if it is there.</summary>
    public TuningTrial? Find(int number, double share) => _trials.GetValueOrDefault((number, share));

    /// <summary>Writes an evaluation.</summary>
    /// <param name="trial">The evaluation.</param>
    public void Add(TuningTrial trial) => File.AppendAllText(_path, JsonSerializer.Serialize(trial, Lines) + "\n");

    private static T Read<T>(string path, string[] lines, int line)
    {
        try
        {
            return JsonSerializer.Deserialize<T>(lines[line], Lines) ?? throw new JsonException("the line is null");
        }
        catch (JsonException e)
        {
            throw new InvalidOperationException($"Journal '{path}' cannot be read: line {line + 1}: {e.Message} Give this search another 'JournalFile', or delete this one.", e);
        }
    }
}
