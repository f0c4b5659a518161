using System.Globalization;
using MlNetMlp.Bench;
using MlNetMlp.Runtime;

CultureInfo.DefaultThreadCurrentCulture = CultureInfo.CurrentCulture = CultureInfo.InvariantCulture;
var benchmarks = new Dictionary<string, Action>
{
    ["loop"] = TrainingLoop.Run,
    ["scoring"] = BatchScoring.Run,
    ["feeding"] = Feeding.Run,
    ["engine"] = SingleRow.Run,
    ["memory"] = Memory.Run,
    ["streaming"] = Streaming.Run,
    ["boosting"] = Boosting.Run,
    ["forms"] = Forms.Run,
    ["peers"] = FormsAndPeers.Run,
    ["table"] = Table.Run,
};
if (args.Length == 0 || args.Any(name => !benchmarks.ContainsKey(name)))
{
    Console.Error.WriteLine($"Usage: bench {string.Join(" | ", benchmarks.Keys)} (one or more)");
    return 2;
}

Console.WriteLine($"{Environment.ProcessorCount} cores, .NET {Environment.Version}, {LibTorch.Load()}");
foreach (var name in args)
    benchmarks[name]();
return 0;
