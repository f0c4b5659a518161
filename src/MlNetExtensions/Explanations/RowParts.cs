using Microsoft.ML.Data;
using MlNetMlp.Methods;
using MlNetMlp.Runtime;
using static TorchSharp.torch;

namespace MlNetMlp.Explanations;

/// <summary>Computes some values of each row of a part of a block.</summary>
/// <param name="rows">The rows.</param>
/// <param name="values">Room for their values, row after row.</param>
internal delegate void RowPartWork(in ModelRows rows, Span<float> values);

/// <summary>Shares the rows of a block among threads: products of some hundred rows are too small for libtorch to share, but parts of the rows are not.</summary>
internal static class RowParts
{
    private const int LeastRowsOfThread = 64;

    /// <summary>Computes the values of all rows.</summary>
    /// <param name="rows">The rows.</param>
    /// <param name="values">Room for their values.</param>
    /// <param name="inputs">Features of a row.</param>
    /// <param name="outputs">Values of a row.</param>
    /// <param name="work">Computes those of a part.</param>
    public static unsafe void Compute(in ModelRows rows, Span<float> values, int inputs, int outputs, RowPartWork work)
    {
        var threads = Math.Min(get_num_threads(), rows.Count / LeastRowsOfThread);
        if (threads < 2)
        {
            if (rows.Count > 0)
                work(rows, values);
            return;
        }

        fixed (float* features = rows.Features, labels = rows.Labels, told = values)
        fixed (DataViewRowId* ids = rows.Ids)
            ComputeParts((nint)features, (nint)labels, (nint)ids, (nint)told, rows.Count, !rows.Labels.IsEmpty, threads, inputs, outputs, work);
    }

    private static unsafe void ComputeParts(
        nint features, nint labels, nint ids, nint values, int count, bool hasLabels, int threads, int inputs, int outputs, RowPartWork work) =>
        TorchThreads.ForEach(threads, threads, part =>
        {
            var (first, end) = ((int)((long)count * part / threads), (int)((long)count * (part + 1) / threads));
            var rows = end - first;
            work(
                new(new((float*)features + ((long)first * inputs), rows * inputs), hasLabels ? new((float*)labels + first, rows) : [], new((DataViewRowId*)ids + first, rows)),
                new((float*)values + ((long)first * outputs), rows * outputs));
        });
}
