using System.Globalization;
using MlNetMlp.Bench;
using MlNetMlp.Runtime;

CultureInfo.DefaultThreadCurrentCulture = CultureInfo.CurrentCulture = CultureInfo.InvariantCulture;
string[] names = [.. args.Where(word => !word.Contains('=') && !word.StartsWith("--", StringComparison.Ordinal))];
var options = args.Except(names).Select(word => word.TrimStart('-').Split('=', 2)).ToLookup(pair => pair[0], pair => pair.Length > 1 ? pair[1] : "");
var benchmarks = new Dictionary<string, Action>
{
    ["training"] = () => TrainingLoop.Run(options),
    ["feeding"] = Feeding.Run,
    ["memory"] = Memory.Run,
    ["streaming"] = Streaming.Run,
    ["boosting"] = Boosting.Run,
    ["closed-form"] = () => Forms.Run(options),
    ["kernels"] = Kernels.Run,
    ["convex"] = () => Convex.Run(options),
    ["explain"] = Explain.Run,
    ["tilt"] = Tilt.Run,
    ["tilt-paths"] = Tilt.Paths,
    ["fields"] = () => Fields.Run(options),
    ["images"] = () => Images.Run(options),
    ["forecast"] = Forecast.Run,
    ["forecastfull"] = () => Forecast.Full(options),
    ["forecasttime"] = Forecast.Time,
    ["causal"] = () => Causal.Run(options),
    ["codes"] = () => Codes.Run(options),
    ["table"] = () => Table.Run(options),
    ["tabular"] = () => Tabular.Run(options),
    ["tabulartime"] = TabularTime.Run,
    ["scaling"] = () => Scaling.Run(options),
    ["gpu"] = () => Gpu.Run(options),
#if WITH_PEERS
    ["scoring"] = () => ScoringPeers.Run(options),
    ["micro"] = () => Micro.Run(options),
#endif
};
if (names is [Scaling.Child])
{
    Scaling.RunChild(options);
    return 0;
}

if (names.Length == 0 || names.Any(name => !benchmarks.ContainsKey(name)))
{
    Console.Error.WriteLine($"Usage: bench {string.Join(" | ", benchmarks.Keys)} (one or more); table takes sets=a,b and methods=c,d, tabular these and seeds=n, rows=n and with=option:value+…, fields, images, causal and codes parts=a,b, forecastfull minutes=n; scaling takes methods=c,d, scaling and gpu take --quick; out=folder writes the reports of training, closed-form, convex, tabular, scoring, scaling and gpu there");
    return 2;
}

Console.WriteLine($"{Environment.ProcessorCount} cores, .NET {Environment.Version}, {LibTorch.Load()}");
foreach (var name in names)
    benchmarks[name]();
return Environment.ExitCode;
