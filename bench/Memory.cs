using System.Diagnostics;
using Microsoft.ML;
using Microsoft.ML.Data;
using MlNetMlp.Tabular;

namespace MlNetMlp.Bench;

/// <summary>Resident memory over many fits and many predictions, which must not grow.</summary>
internal static class Memory
{
    private sealed class Prediction
    {
        public float Score { get; set; }
    }

    public static void Run()
    {
        var ml = new MLContext(1);
        var rows = Generated.Rows(300);
        var view = ml.Data.LoadFromEnumerable(rows);
        foreach (var normalization in new[] { ScaledMlpNormalization.None, ScaledMlpNormalization.Layer })
        {
            for (var fit = 0; fit <= 1000; fit++)
            {
                ml.Regression.Trainers.ScaledMlp(Generated.Small with { Epochs = 3, Width = 16, Normalization = normalization }).Fit(view);
                if (fit is 50 or 200 or 500 or 1000)
                    Console.WriteLine($"memory: normalisation {normalization}, after {fit} fits {Resident()} MB");
            }
        }

        var model = Generated.Fit(ml, rows);
        using (var engine = ml.Model.CreatePredictionEngine<Generated.Row, Prediction>(model))
        {
            for (var i = 0; i <= 1_000_000; i++)
            {
                engine.Predict(rows[i % rows.Length]);
                if (i is 10_000 or 100_000 or 1_000_000)
                    Console.WriteLine($"memory: after {i} predictions of an engine {Resident()} MB");
            }
        }

        for (var i = 0; i <= 1000; i++)
        {
            _ = model.Transform(view).GetColumn<float>("Score").Last();
            if (i is 10 or 1000)
                Console.WriteLine($"memory: after {i} passes over 300 rows {Resident()} MB");
        }
    }

    private static long Resident()
    {
        GC.Collect();
        GC.WaitForPendingFinalizers();
        using var process = Process.GetCurrentProcess();
        return process.WorkingSet64 / 1_000_000;
    }
}
