using System.Collections.Concurrent;
using Microsoft.ML;
using Microsoft.ML.Data;
using MlNetMlp.Interop;
using MlNetMlp.Methods;
using MlNetMlp.Networks;

namespace MlNetMlp.Tests.Support;

/// <summary>Small fitted models of every kind, each trained once for all tests.</summary>
public static class Fitted
{
    public const int FewRows = 120;

    private static readonly ConcurrentDictionary<(TaskKind, bool), Lazy<ITransformer>> Models = new();

    public static MLContext Ml { get; } = new(1);

    public static IDataView Data { get; } = Rows.View(Ml, FewRows);

    /// <summary>The data with the features that the models read.</summary>
    public static IDataView Named { get; } = Features().Fit(Data).Transform(Data);

    /// <summary>The tasks that have labels.</summary>
    public static IEnumerable<TaskKind> Tasks => Enum.GetValues<TaskKind>().Where(task => task != TaskKind.Features);

    /// <summary>Every task, dense (scored by managed code) and not.</summary>
    public static TheoryData<TaskKind, bool> Kinds
    {
        get
        {
            var kinds = new TheoryData<TaskKind, bool>();
            foreach (var task in Tasks)
            {
                kinds.Add(task, true);
                kinds.Add(task, false);
            }

            return kinds;
        }
    }

    public static PlainMlp.Options Options(TaskKind task, bool isDense = true) => new()
    {
        LabelColumnName = task switch { TaskKind.Regression => "Target", TaskKind.Binary => "Flag", TaskKind.Multiclass => "Key", _ => "Targets" },
        Seed = 1,
        Epochs = 3,
        Hidden = 8,
        IsDense = isDense,
    };

    /// <summary>A chain that names its features, trains, and gives names of classes back.</summary>
    public static IEstimator<ITransformer> Pipeline(TaskKind task, PlainMlp.Options options)
    {
        var method = new PlainMlp(options);
        var start = Features();
        return task switch
        {
            TaskKind.Regression => start.Append(Ml.Regression.Trainers.CreateTrainer(method)),
            TaskKind.Binary => start.Append(Ml.BinaryClassification.Trainers.CreateTrainer(method)),
            TaskKind.MultiOutputRegression => start.Append(Ml.Transforms.Concatenate("Targets", "Target", "Weight", "Number2"))
                .Append(Ml.Regression.Trainers.CreateMultiOutputTrainer(method)),
            _ => start.Append(Ml.Transforms.Conversion.MapValueToKey("Key", "Kind"))
                .Append(Ml.MulticlassClassification.Trainers.CreateTrainer(method))
                .Append(Ml.Transforms.Conversion.MapKeyToValue("Answer", "PredictedLabel")),
        };
    }

    private static EstimatorChain<ColumnConcatenatingTransformer> Features() =>
        Ml.Transforms.Conversion.ConvertType("Number2", "Number").Append(Ml.Transforms.Concatenate("Features", "Features", "Number2", "Weight"));

    public static ITransformer Model(TaskKind task, bool isDense = true) =>
        Models.GetOrAdd((task, isDense), key => new(() => Pipeline(key.Item1, Options(key.Item1, key.Item2)).Fit(Data))).Value;

    public static TrainedNetwork Network(ITransformer model) => Assert.IsType<TrainedNetwork>(NetworkModel.Find(model));

    public static float[] Scores(ITransformer model, IDataView? data = null)
    {
        var scored = model.Transform(data ?? Data);
        return scored.Schema["Score"].Type is VectorDataViewType
            ? [.. scored.GetColumn<VBuffer<float>>("Score").SelectMany(row => row.DenseValues())]
            : [.. scored.GetColumn<float>("Score")];
    }
}
