using System.Diagnostics;
using Microsoft.ML;
using Microsoft.ML.Data;
using MlNetMlp.Tabular;

namespace MlNetMlp.Tests;

/// <summary>A model file is all that another process needs, beside the assemblies.</summary>
public sealed class FreshProcessTests
{
    private sealed class Row
    {
        [VectorType(4)]
        public float[] Features { get; set; } = [];

        public float Label { get; set; }
    }

    [Fact]
    public void AProcessThatNamesNothingOfOursPredictsTheSameBits()
    {
        var folder = Directory.CreateTempSubdirectory("fresh").FullName;
        try
        {
            var ml = new MLContext(1);
            var random = new Random(1);
            var rows = ml.Data.LoadFromEnumerable(Enumerable.Range(0, 300).Select(_ => new Row
            {
                Features = [.. Enumerable.Range(0, 4).Select(_ => random.NextSingle())],
                Label = random.NextSingle(),
            }).ToArray());
            var model = ml.Transforms.NormalizeMinMax("Features").Append(ml.Regression.Trainers.ScaledMlp(new ScaledMlp.Options { Epochs = 2 })).Fit(rows);
            var (zip, data) = (Path.Combine(folder, "model.zip"), Path.Combine(folder, "rows.idv"));
            ModelFile.Save(ml, model, rows.Schema, zip);
            using (var stream = File.Create(data))
                ml.Data.SaveAsBinary(rows, stream);

            var start = new ProcessStartInfo("dotnet", [typeof(FreshProcessTests).Assembly.Location.Replace("Trainers.Tests", "FreshProcess", StringComparison.Ordinal).Replace("MlNetMlp.", "", StringComparison.Ordinal), zip, data])
            {
                RedirectStandardOutput = true,
            };
            using var process = Process.Start(start)!;
            var printed = process.StandardOutput.ReadToEnd().Split('\n', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);
            process.WaitForExit();

            Assert.Equal(0, process.ExitCode);
            Assert.Equal(model.Transform(rows).GetColumn<float>("Score").Select(score => $"{BitConverter.SingleToUInt32Bits(score):x8}"), printed);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }
}
