using System.Reflection;
using Microsoft.ML;

namespace MlNetMlp.Conformance.Tests.Mocks;

internal static class FileMocks
{
    private static readonly MethodInfo SaveBinaryStream =
        typeof(ModelSaveContext).GetMethod("SaveBinaryStream", BindingFlags.Instance | BindingFlags.Public | BindingFlags.NonPublic)!;

    [Mock(30, "the loaded model")]
    public static Subject SavesHalfOfItself() => new Faulty(EstimatorTask.Regression)
    {
        Trained = (ml, model) => new FaultyModel(model) { Output = data => ml.Transforms.Expression("Score", "s => s + 1", "Score").Fit(data).Transform(data) },
    };

    [Mock(31, "Extra")]
    public static Subject ForgetsAnEntry() => new Faulty(EstimatorTask.Regression)
    {
        Trained = (_, model) => new FaultyModel(model)
        {
            Saving = (context, save) =>
            {
                save();
                SaveBinaryStream.Invoke(context, ["Extra", (BinaryWriter writer) => writer.Write(1)]);
            },
        },
    };

    // ML.NET's trees lie in an entry that nobody checks.
    [Mock(32, "flipped")]
    public static Subject BelievesWhatItReads() => new Faulty(EstimatorTask.Regression)
    {
        Trainer = (ml, _) => ml.Regression.Trainers.FastTree(numberOfTrees: 5, minimumExampleCountPerLeaf: 3),
    };

    [Mock(33, "a score was")]
    public static Subject ScoresUnlikeItsLastRelease()
    {
        var root = Directory.CreateTempSubdirectory("release").FullName;
        AppDomain.CurrentDomain.ProcessExit += (_, _) => Directory.Delete(root, recursive: true);
        var profile = new ReleasedProfile(root);
        foreach (var file in new ConformanceSuite([new Faulty(EstimatorTask.Regression, profile)]).WriteReleases("0.0.1"))
        {
            var scores = Path.ChangeExtension(file, ".scores");
            File.WriteAllLines(scores, File.ReadAllLines(scores).Select((line, row) => row == 3 ? "1e6" : line));
        }

        return new Faulty(EstimatorTask.Regression, profile);
    }

    private sealed class ReleasedProfile(string root) : ConformanceProfile(nameof(MlNetMlp.Tests.Support.PlainMlp))
    {
        public override string? Repository => root;

        public override object SmallOptions(EstimatorTask task, object defaults) => new PlainMlpProfile().SmallOptions(task, defaults);
    }
}
