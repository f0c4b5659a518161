using System.Collections.Concurrent;
using System.Diagnostics;
using System.Globalization;
using System.Text.Json;

namespace WebApi;

/// <summary>Asks a server for a while from several connections at once, and tells how it went; the exit code is 1 if any answer was wrong.</summary>
internal static class LoadTest
{
    private const int Connections = 8;

    public static async Task<int> Run(Uri server, TimeSpan time)
    {
        using var client = new HttpClient(new SocketsHttpHandler { MaxConnectionsPerServer = Connections }) { BaseAddress = server };
        var row = Numbers(await client.GetStringAsync("/columns"));
        var expected = await Ask(client, row);
        var before = await Memory(client);
        var (times, errors) = (new ConcurrentBag<List<double>>(), 0L);
        var clock = Stopwatch.StartNew();
        await Task.WhenAll(Enumerable.Range(0, Connections).Select(_ => Task.Run(async () =>
        {
            var mine = new List<double>();
            while (clock.Elapsed < time)
            {
                var start = Stopwatch.GetTimestamp();
                if (await Ask(client, row) != expected)
                    Interlocked.Increment(ref errors);
                mine.Add(Stopwatch.GetElapsedTime(start).TotalMilliseconds);
            }

            times.Add(mine);
        })));
        var sorted = times.SelectMany(list => list).Order().ToArray();
        var after = await Memory(client);
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture,
            $"{sorted.Length / clock.Elapsed.TotalSeconds:0} requests a second over {Connections} connections, p50 {sorted[sorted.Length / 2]:0.00} ms, p99 {sorted[sorted.Length * 99 / 100]:0.00} ms, {errors} wrong of {sorted.Length}, server's memory {before >> 20} MiB before and {after >> 20} MiB after"));
        return errors == 0 ? 0 : 1;
    }

    private static async Task<string> Ask(HttpClient client, byte[] row)
    {
        using var content = new ByteArrayContent(row);
        using var answer = await client.PostAsync("/predict", content);
        return answer.IsSuccessStatusCode ? await answer.Content.ReadAsStringAsync() : $"{answer.StatusCode}: {await answer.Content.ReadAsStringAsync()}";
    }

    private static async Task<long> Memory(HttpClient client) =>
        long.Parse((await client.GetStringAsync("/metrics")).Split('\n').First(line => line.StartsWith("process_resident_memory_bytes ", StringComparison.Ordinal)).Split(' ')[1], CultureInfo.InvariantCulture);

    // The page's example holds texts, as a form does.
    private static byte[] Numbers(string columns) => JsonSerializer.SerializeToUtf8Bytes(
        JsonSerializer.Deserialize<Dictionary<string, string>>(columns)!.ToDictionary(pair => pair.Key, pair => float.Parse(pair.Value, CultureInfo.InvariantCulture)));
}
