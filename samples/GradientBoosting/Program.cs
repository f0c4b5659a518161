using System.Diagnostics;
using System.Globalization;
using GradientBoosting;
using Microsoft.ML;
using MlNetMlp.Interop;
using MlNetMlp.Training;
using Quickstart;

CultureInfo.DefaultThreadCurrentCulture = CultureInfo.CurrentCulture = CultureInfo.InvariantCulture;
if (args.Length > 0)
{
    Console.Error.WriteLine("Usage: GradientBoosting (without arguments; writes to ./gradient-boosting-output)");
    return 2;
}

try
{
    var ml = new MLContext(seed: 1);
    var live = new LiveLine();
    Diabetes(ml, live);
    Console.WriteLine();
    Digits(ml, live);
    return 0;
}
catch (Exception failure)
{
    Console.Error.WriteLine($"GradientBoosting failed: {failure.GetBaseException().Message}");
    return 1;
}

static void Diabetes(MLContext ml, LiveLine live)
{
    var data = DiabetesModel.LoadData(ml);
    List<string> table = [$"{"diabetes, test rows",-44}{"R2",8}{"RMSE",8}{"fit",10}"];
    Fit("FastTree", DiabetesModel.BuildFastTreePipeline(ml));
    var model = Fit("GradientBoostedNetwork", DiabetesModel.BuildPipeline(ml, Progress(live)));
    table.ForEach(Console.WriteLine);

    DiabetesModel.Save(ml, model, data.TrainSet.Schema);
    var count = DiabetesModel.VerifySavedModel(ml, model, data.TestSet);
    Console.WriteLine($"saved and loaded again: {count} predictions, all equal to the bit");
    var patient = ml.Data.CreateEnumerable<DiabetesModel.ModelInput>(data.TestSet, reuseRowObject: false).First();
    Console.WriteLine($"the first patient: predicted {DiabetesModel.Predict(patient).Score:0}, actual {patient.Progression:0}");

    // Every prefix of the hidden layer is a model too, also of one that comes from a file.
    var loaded = ModelFile.Load(ml, DiabetesModel.ModelPath, out _);
    var layer = HiddenLayerModel.Find(loaded)!;
    var picture = Path.ChangeExtension(DiabetesModel.ModelPath, "png");
    TruncationCurve.Save(
        ml,
        loaded,
        "Diabetes: the network cut after each step",
        "squared error (label standardised)",
        "RMSE (units of progression)",
        cut => DiabetesModel.Evaluate(ml, cut, data.TestSet).RootMeanSquaredError,
        picture);
    Console.WriteLine($"{layer.ActiveUnits} of {layer.HiddenUnits} hidden units are active; what fewer or more are worth: {picture}");

    ITransformer Fit(string name, IEstimator<ITransformer> pipeline)
    {
        var (model, time) = Timed($"diabetes: fitting {name}", pipeline, data.TrainSet, live);
        var metrics = DiabetesModel.Evaluate(ml, model, data.TestSet);
        table.Add($"{name,-44}{metrics.RSquared,8:0.000}{metrics.RootMeanSquaredError,8:0.0}{time.TotalSeconds,8:0.00} s");
        return model;
    }
}

static void Digits(MLContext ml, LiveLine live)
{
    var data = DigitsModel.LoadData(ml);
    List<string> table = [$"{"digits, test rows",-44}{"accuracy",8}{"log-loss",10}{"fit",10}"];
    Fit("GradientBoostedNetwork on pixels", DigitsModel.BuildShallowPipeline(ml, Progress(live)));
    Fit("ScaledMlp", DigitsModel.BuildMlpPipeline(ml, Progress(live)));
    var model = Fit("ScaledMlpFeatures, GradientBoostedNetwork", DigitsModel.BuildPipeline(ml, Progress(live)));
    table.ForEach(Console.WriteLine);

    DigitsModel.Save(ml, model, data.TrainSet.Schema);
    var count = DigitsModel.VerifySavedModel(ml, model, data.TestSet);
    Console.WriteLine($"saved and loaded again as one file: {count} predictions, all equal to the bit; {DigitsModel.ModelPath}");

    ITransformer Fit(string name, IEstimator<ITransformer> pipeline)
    {
        var (model, time) = Timed($"digits: fitting {name}", pipeline, data.TrainSet, live);
        var metrics = DigitsModel.Evaluate(ml, model, data.TestSet);
        table.Add($"{name,-44}{metrics.MicroAccuracy,8:0.000}{metrics.LogLoss,10:0.000}{time.TotalSeconds,8:0.00} s");
        return model;
    }
}

static (ITransformer Model, TimeSpan Time) Timed(string task, IEstimator<ITransformer> pipeline, IDataView rows, LiveLine live)
{
    live.Begin(task);
    var clock = Stopwatch.StartNew();
    var model = pipeline.Fit(rows);
    clock.Stop();
    live.End();
    return (model, clock.Elapsed);
}

static IProgress<TrainingProgress> Progress(LiveLine live) => live.Progress<TrainingProgress>(progress => progress.ToString());
