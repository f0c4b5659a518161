using System.Reflection;
using Microsoft.ML;
using Microsoft.ML.Data;

namespace MlNetMlp.Conformance;

/// <summary>One run of one check on one estimator: a fresh context, data and options to begin with.</summary>
/// <param name="subject">The estimator.</param>
internal sealed class Trial(Subject subject)
{
    /// <summary>Number of rows that models are trained on.</summary>
    public const int RowCount = 240;

    private static readonly MethodInfo CreateShape = typeof(SchemaShape).GetMethod("Create", BindingFlags.Static | BindingFlags.NonPublic)!;

    /// <summary>The estimator.</summary>
    public Subject Subject => subject;

    /// <summary>The task.</summary>
    public EstimatorTask Task => subject.Task;

    /// <summary>What the suite has to know of the estimator.</summary>
    public Traits Traits => subject.Traits;

    /// <summary>A context of its own.</summary>
    public MLContext Ml { get; } = new(seed: 1);

    /// <summary>Rows to train on, the same in all checks.</summary>
    public IReadOnlyList<SampleRow> Rows { get; } = Make(subject, RowCount, 1);

    /// <summary>Rows to score that no model was trained on.</summary>
    public IReadOnlyList<SampleRow> OtherRows { get; } = Make(subject, 60, 2);

    /// <summary>Rows at the beginning that have no score, since a forecast needs those before it.</summary>
    public int FirstScored => Task == EstimatorTask.Forecasting ? Traits.ContextLength - 1 : 0;

    /// <summary>Whether a row has a score by itself, so that prediction engines work.</summary>
    public bool ScoresSingleRows => Task != EstimatorTask.Forecasting;

    /// <summary>The rows to train on as a data view.</summary>
    public IDataView Data => View(Rows);

    /// <summary>The rows to score as a data view.</summary>
    public IDataView OtherData => View(OtherRows);

    /// <summary>A model that is trained once on <see cref="Rows"/>, for all checks that only look at it.</summary>
    public ITransformer Model => subject.Model;

    /// <summary>Makes rows for the task.</summary>
    /// <param name="count">How many.</param>
    /// <param name="seed">Decides the values.</param>
    /// <returns>The rows.</returns>
    public IReadOnlyList<SampleRow> Make(int count, int seed) => Make(subject, count, seed);

    /// <summary>A data view of rows with the columns of <see cref="SampleRow"/> and the task's label column.</summary>
    /// <param name="rows">The rows.</param>
    /// <returns>The data.</returns>
    public IDataView View(IEnumerable<SampleRow> rows) => Samples.View(Ml, Task, rows, Traits.FeatureCount);

    /// <summary>Data after an estimator has been fitted to them and applied.</summary>
    /// <param name="data">The data.</param>
    /// <param name="change">The estimator.</param>
    /// <returns>The changed data.</returns>
    public static IDataView Changed(IDataView data, IEstimator<ITransformer> change) => change.Fit(data).Transform(data);

    /// <summary>Small options with columns and seed set.</summary>
    /// <param name="changes">Name and value of options that differ.</param>
    /// <returns>The options.</returns>
    public object Options(params (string Name, object? Value)[] changes)
    {
        var options = subject.Profile.SmallOptions(Task, subject.OptionsWithColumns());
        (string Name, object? Value)[] common = [("LabelColumnName", "Label"), ("FeatureColumnName", "Features"), ("Seed", 1)];
        return OptionValues.With(options, [.. common.Where(option => OptionValues.Has(options.GetType(), option.Name)), .. changes]);
    }

    /// <summary>The trainer with small options.</summary>
    /// <param name="changes">Name and value of options that differ.</param>
    /// <returns>The trainer.</returns>
    public IEstimator<ITransformer> Trainer(params (string Name, object? Value)[] changes) => subject.Create(Ml, Options(changes));

    /// <summary>Trains with small options on <see cref="Data"/>.</summary>
    /// <param name="changes">Name and value of options that differ.</param>
    /// <returns>The model.</returns>
    public ITransformer Fit(params (string Name, object? Value)[] changes) => Trainer(changes).Fit(Data);

    /// <summary>Trains with small options.</summary>
    /// <param name="data">The rows to train on.</param>
    /// <param name="changes">Name and value of options that differ.</param>
    /// <returns>The model.</returns>
    public ITransformer Fit(IDataView data, params (string Name, object? Value)[] changes) => Trainer(changes).Fit(data);

    /// <summary>Scores <see cref="OtherData"/>.</summary>
    /// <param name="model">The model.</param>
    /// <returns>The scores.</returns>
    public ScoredRows Score(ITransformer model) => ScoredRows.Of(model, OtherData);

    /// <summary>The shape of a schema, as a chain hands it to its estimators.</summary>
    /// <param name="schema">The schema.</param>
    /// <returns>The shape.</returns>
    public static SchemaShape Shape(DataViewSchema schema) => (SchemaShape)CreateShape.Invoke(null, [schema])!;

    /// <summary>Saves a model as ML.NET does.</summary>
    /// <param name="model">The model.</param>
    /// <returns>The file.</returns>
    public byte[] Save(ITransformer model)
    {
        using var stream = new MemoryStream();
        Ml.Model.Save(model, Data.Schema, stream);
        return stream.ToArray();
    }

    /// <summary>Loads a model in a context that knows nothing of it.</summary>
    /// <param name="file">The file.</param>
    /// <returns>The model.</returns>
    public static ITransformer Load(byte[] file)
    {
        using var stream = new MemoryStream(file);
        return new MLContext().Model.Load(stream, out _);
    }

    private static IReadOnlyList<SampleRow> Make(Subject subject, int count, int seed) => subject.Task == EstimatorTask.Forecasting
        ? Samples.MakeSeries(count, subject.Traits.FeatureCount, seed)
        : Samples.Make(count, subject.Traits.FeatureCount, seed);

    /// <summary>What an action throws.</summary>
    /// <param name="action">The action.</param>
    /// <returns>The exception, or null.</returns>
    public static Exception? Catch(Action action)
    {
        try
        {
            action();
            return null;
        }
#pragma warning disable CA1031 // Which exceptions are right is for the checks to say.
        catch (Exception e)
#pragma warning restore CA1031
        {
            return e;
        }
    }

    /// <summary>Fails unless an action is refused with a message that holds all of some texts.</summary>
    /// <param name="action">The action.</param>
    /// <param name="what">What is refused, for the message.</param>
    /// <param name="parts">The texts; upper and lower case are the same, and <c>a|b</c> is either of two.</param>
    public static void Refused(Action action, string what, params string[] parts) => Refused(Catch(action), what, parts);

    /// <summary>Fails unless an error is a refusal with a message that holds all of some texts.</summary>
    /// <param name="error">The error, or null.</param>
    /// <param name="what">What is refused, for the message.</param>
    /// <param name="parts">The texts; upper and lower case are the same, and <c>a|b</c> is either of two.</param>
    public static void Refused(Exception? error, string what, params string[] parts)
    {
        Assert.True(error is not null, $"{what}: not refused");

        // A fault in the code that looks at the data is no answer to a user.
        Assert.True(error is not (NullReferenceException or IndexOutOfRangeException or InvalidCastException), $"{what}: {error}");
        var missing = parts.Where(part => !part.Split('|').Any(either => error!.Message.Contains(either, StringComparison.OrdinalIgnoreCase))).ToArray();
        Assert.True(missing.Length == 0, $"{what}: the message lacks {string.Join(", ", missing.Select(part => $"'{part}'"))}: {error!.GetType().Name}: {error.Message}");
    }
}
