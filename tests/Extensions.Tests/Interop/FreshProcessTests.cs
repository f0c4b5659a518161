using System.Diagnostics;
using System.Globalization;
using Microsoft.ML;
using Microsoft.ML.Data;
using MlNetMlp.Interop;
using MlNetMlp.Networks;
using MlNetMlp.Tests.Support;

namespace MlNetMlp.Tests.Interop;

/// <summary>Models in a process that has our assemblies beside it and never asked for one.</summary>
public sealed class FreshProcessTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("fresh").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Theory]
    [MemberData(nameof(Fitted.Kinds), MemberType = typeof(Fitted))]
    public void Scores_are_the_same_to_the_bit(TaskKind task, bool isDense)
    {
        var model = Fitted.Model(task, isDense);
        var (file, data) = (Path.Combine(_folder, "model.zip"), Path.Combine(_folder, "rows.idv"));
        Fitted.Ml.Model.Save(model, Fitted.Data.Schema, file);
        using (var stream = File.Create(data))
            Fitted.Ml.Data.SaveAsBinary(Fitted.Data, stream);

        var output = Run("score", file, data);

        Assert.Equal("input " + string.Join(' ', Fitted.Data.Schema.Select(column => column.Name)), output[0]);
        var expected = Fitted.Scores(model).Select(score => BitConverter.SingleToUInt32Bits(score).ToString("x8", CultureInfo.InvariantCulture));
        Assert.Equal("scores " + string.Join(' ', expected), output[1]);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Features_are_the_same_to_the_bit(bool isDense)
    {
        var model = Fitted.Ml.Transforms.CreateFeaturizer("Deep", Fitted.Model(TaskKind.Binary, isDense), "Features").Fit(Fitted.Named);
        var (file, data) = (Path.Combine(_folder, "features.zip"), Path.Combine(_folder, "rows.idv"));
        Fitted.Ml.Model.Save(model, Fitted.Named.Schema, file);
        using (var stream = File.Create(data))
            Fitted.Ml.Data.SaveAsBinary(Fitted.Named, stream);

        var output = Run("score", file, data, "Deep");

        var expected = model.Transform(Fitted.Named).GetColumn<VBuffer<float>>("Deep").SelectMany(row => row.DenseValues())
            .Select(value => BitConverter.SingleToUInt32Bits(value).ToString("x8", CultureInfo.InvariantCulture));
        Assert.Equal("scores " + string.Join(' ', expected), output[1]);
    }

    [Fact]
    public void Explanations_are_the_same() =>
        AssertSame(Fitted.Ml.Transforms.ExplainPrediction(Fitted.Model(TaskKind.Binary)).Fit(Fitted.Data), "FeatureContributions");

    [Fact]
    public void Mirror_images_are_the_same() => AssertSame(
        Fitted.Ml.Transforms.BoundaryTilt(Fitted.Model(TaskKind.Binary), new() { LabelColumnName = "Flag", AddMirrorImage = true }).Fit(Fitted.Data), "MirrorImage");

    [Fact]
    public void Outcomes_under_treatments_are_the_same_to_the_bit()
    {
        var rows = TreatmentTests.Rows();
        var model = Fitted.Ml.CausalInference.Trainers.CreateTrainer(new LinearTreatment(new() { Epochs = 2, Seed = 1 })).Fit(rows);
        var (file, data) = (Path.Combine(_folder, "treated.zip"), Path.Combine(_folder, "rows.idv"));
        Fitted.Ml.Model.Save(model, rows.Schema, file);
        using (var stream = File.Create(data))
            Fitted.Ml.Data.SaveAsBinary(rows, stream);

        var output = Run("score", file, data, "PotentialOutcomes");

        var expected = model.Transform(rows).GetColumn<float[]>("PotentialOutcomes").SelectMany(row => row)
            .Select(value => BitConverter.SingleToUInt32Bits(value).ToString("x8", CultureInfo.InvariantCulture));
        Assert.Equal("scores " + string.Join(' ', expected), output[1]);
    }

    [Fact]
    public void A_full_disk_leaves_the_old_model()
    {
        if (!OperatingSystem.IsLinux())
            return;
        var folder = Directory.CreateDirectory(Path.Combine(_folder, "models")).FullName;
        var (file, target) = (Path.Combine(_folder, "model.zip"), Path.Combine(folder, "model.zip"));
        ModelFile.Save(Fitted.Ml, Fitted.Model(TaskKind.Multiclass), Fitted.Data.Schema, file);

        var output = Run("fill", file, target);

        Assert.Equal(40, output.Length);

        // "old": as it was; "1": no other file beside it. The runtime has a name of its own for the error of this limit.
        Assert.All(output, line => Assert.Matches(@"^old 1 (IOException|ArgumentOutOfRangeException) .*(Cannot write|too large)", line));
    }

    [Fact]
    public void A_deleted_current_folder_is_told_and_does_not_end_the_process()
    {
        if (!OperatingSystem.IsLinux())
            return;
        var (file, data) = (Path.Combine(_folder, "model.zip"), Path.Combine(_folder, "rows.idv"));
        Fitted.Ml.Model.Save(Fitted.Model(TaskKind.Regression, isDense: false), Fitted.Data.Schema, file);
        using (var stream = File.Create(data))
            Fitted.Ml.Data.SaveAsBinary(Fitted.Data, stream);

        var output = Run("lost", file, data, Directory.CreateDirectory(Path.Combine(_folder, "lost")).FullName);

        Assert.StartsWith("LibTorchException The current folder of this process was deleted", output[^1]);
    }

    private void AssertSame(ITransformer model, string column)
    {
        var (file, data) = (Path.Combine(_folder, "told.zip"), Path.Combine(_folder, "rows.idv"));
        Fitted.Ml.Model.Save(model, Fitted.Data.Schema, file);
        using (var stream = File.Create(data))
            Fitted.Ml.Data.SaveAsBinary(Fitted.Data, stream);

        var output = Run("score", file, data, column);

        var expected = model.Transform(Fitted.Data).GetColumn<VBuffer<float>>(column).SelectMany(row => row.DenseValues().ToArray()).ToArray();
        var found = output[1].Split(' ')[1..].Select(bits => BitConverter.UInt32BitsToSingle(uint.Parse(bits, NumberStyles.HexNumber, CultureInfo.InvariantCulture))).ToArray();
        Assert.Equal(expected.Length, found.Length);
        for (var i = 0; i < found.Length; i++)
            Assert.Equal(expected[i], found[i], float.IsNaN(expected[i]) ? 0 : 1e-5 * Math.Max(1, Math.Abs(expected[i])));
    }

    private static string[] Run(params string[] arguments)
    {
        var here = AppContext.BaseDirectory;
        var tests = Path.Combine(here, typeof(FreshProcessTests).Assembly.GetName().Name!);
        var start = new ProcessStartInfo(Environment.ProcessPath is { } host && Path.GetFileNameWithoutExtension(host) == "dotnet" ? host : "dotnet")
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };

        // The program runs on the files of the tests, where all assemblies are that a user would have beside the program.
        string[] all = ["exec", "--depsfile", tests + ".deps.json", "--runtimeconfig", tests + ".runtimeconfig.json", Path.Combine(here, "MlNetMlp.FreshProcess.dll"), .. arguments];
        foreach (var argument in all)
            start.ArgumentList.Add(argument);

        // Else compiled code takes a file of its own, which the limit on files would stop.
        start.Environment["DOTNET_EnableWriteXorExecute"] = "0";
        using var process = Process.Start(start)!;
        var error = process.StandardError.ReadToEndAsync();
        var output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        Assert.True(process.ExitCode == 0, output + error.Result);
        return output.Split('\n', StringSplitOptions.RemoveEmptyEntries);
    }
}
