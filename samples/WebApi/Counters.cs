using System.Globalization;

namespace WebApi;

/// <summary>What has been answered, and how fast: buckets of microseconds, counted without a lock.</summary>
internal sealed class Counters
{
    private static readonly double[] Limits = [10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000];

    private readonly long[] _buckets = new long[Limits.Length + 1];
    private long _refused;
    private long _microseconds;

    public void Answered(TimeSpan time)
    {
        var bucket = Array.FindIndex(Limits, limit => time.TotalMicroseconds <= limit);
        Interlocked.Increment(ref _buckets[bucket < 0 ? Limits.Length : bucket]);
        Interlocked.Add(ref _microseconds, (long)time.TotalMicroseconds);
    }

    public void Refused() => Interlocked.Increment(ref _refused);

    public string ToPrometheus(long version)
    {
        var text = new StringWriter(CultureInfo.InvariantCulture) { NewLine = "\n" };
        text.WriteLine("# TYPE predict_seconds histogram");
        long sum = 0;
        for (var i = 0; i < _buckets.Length; i++)
        {
            sum += Interlocked.Read(ref _buckets[i]);
            text.WriteLine($"predict_seconds_bucket{{le=\"{(i < Limits.Length ? (Limits[i] / 1e6).ToString(CultureInfo.InvariantCulture) : "+Inf")}\"}} {sum}");
        }

        text.WriteLine($"predict_seconds_sum {(Interlocked.Read(ref _microseconds) / 1e6).ToString(CultureInfo.InvariantCulture)}");
        text.WriteLine($"predict_seconds_count {sum}");
        text.WriteLine("# TYPE predict_refused_total counter");
        text.WriteLine($"predict_refused_total {Interlocked.Read(ref _refused)}");
        text.WriteLine("# TYPE model_version gauge");
        text.WriteLine($"model_version {version}");
        text.WriteLine("# TYPE process_resident_memory_bytes gauge");
        text.WriteLine($"process_resident_memory_bytes {Environment.WorkingSet}");
        return text.ToString();
    }
}
