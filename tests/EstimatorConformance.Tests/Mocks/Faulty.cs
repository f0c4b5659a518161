using Microsoft.ML;
using Microsoft.ML.Data;

namespace MlNetMlp.Conformance.Tests.Mocks;

/// <summary>A trainer that keeps all promises but for what is changed here.</summary>
internal sealed class Faulty(EstimatorTask task, ConformanceProfile? profile = null) : Subject(Right(task).Name, task, profile ?? Right(task).Profile)
{
    private static readonly IReadOnlyList<CatalogSubject> Subjects =
        CatalogSubject.Find(typeof(Faulty).Assembly, ConformanceSuite.Profiles(typeof(Faulty).Assembly));

    /// <summary>Changes what the trainer is made from.</summary>
    public Func<object, object> Options { get; init; } = options => options;

    /// <summary>Makes other options to begin with.</summary>
    public Func<object>? Defaults { get; init; }

    /// <summary>Makes another trainer than the right one.</summary>
    public Func<MLContext, IEstimator<ITransformer>, IEstimator<ITransformer>> Trainer { get; init; } = (_, trainer) => trainer;

    /// <summary>Changes the columns that are promised.</summary>
    public Func<SchemaShape, SchemaShape> Promise { get; init; } = shape => shape;

    /// <summary>Changes the data that the trainer learns from.</summary>
    public Func<MLContext, IDataView, IDataView> Input { get; init; } = (_, data) => data;

    /// <summary>Changes the trained model.</summary>
    public Func<MLContext, ITransformer, ITransformer> Trained { get; init; } = (_, model) => model;

    public override Type OptionsType => Right(Task).OptionsType;

    /// <summary>The trainer that keeps all promises.</summary>
    public static CatalogSubject Right(EstimatorTask task) => Subjects.Single(subject => subject.Task == task);

    public override object DefaultOptions() => Defaults?.Invoke() ?? base.DefaultOptions();

    public override IEstimator<ITransformer> Create(MLContext ml, object options) => Wrap(ml, Right(Task).Create(ml, Options(options)));

    public override IEstimator<ITransformer> CreateShort(MLContext ml, string label, string features) => Wrap(ml, Right(Task).CreateShort(ml, label, features));

    private FaultyTrainer Wrap(MLContext ml, IEstimator<ITransformer> right) =>
        new(Trainer(ml, right)) { Promise = Promise, Input = data => Input(ml, data), Trained = model => Trained(ml, model) };
}

/// <summary>An estimator around another.</summary>
internal sealed class FaultyTrainer(IEstimator<ITransformer> right) : IEstimator<ITransformer>
{
    public required Func<SchemaShape, SchemaShape> Promise { get; init; }

    public required Func<IDataView, IDataView> Input { get; init; }

    public required Func<ITransformer, ITransformer> Trained { get; init; }

    public ITransformer Fit(IDataView input) => Trained(right.Fit(Input(input)));

    public SchemaShape GetOutputSchema(SchemaShape inputSchema) => Promise(right.GetOutputSchema(inputSchema));
}

/// <summary>A transformer around another, where each part can be changed.</summary>
internal sealed class FaultyModel(ITransformer right) : ITransformer
{
    /// <summary>Changes the scored data.</summary>
    public Func<IDataView, IDataView> Output { get; init; } = data => data;

    /// <summary>Changes the data to score.</summary>
    public Func<IDataView, IDataView> Input { get; init; } = data => data;

    /// <summary>Changes the columns that the model says come out.</summary>
    public Func<DataViewSchema, DataViewSchema> Schema { get; init; } = schema => schema;

    /// <summary>Changes how rows are scored one by one.</summary>
    public Func<IRowToRowMapper, IRowToRowMapper> Mapper { get; init; } = mapper => mapper;

    /// <summary>Saves something else, or something more.</summary>
    public Action<ModelSaveContext, Action> Saving { get; init; } = (_, save) => save();

    /// <summary>Whether the model says that it can score rows one by one.</summary>
    public bool ScoresRows { get; init; } = true;

    public bool IsRowToRowMapper => ScoresRows && right.IsRowToRowMapper;

    public DataViewSchema GetOutputSchema(DataViewSchema inputSchema) => Schema(right.GetOutputSchema(inputSchema));

    public IRowToRowMapper GetRowToRowMapper(DataViewSchema inputSchema) => Mapper(right.GetRowToRowMapper(inputSchema));

    public IDataView Transform(IDataView input) => Output(right.Transform(Input(input)));

    void ICanSaveModel.Save(ModelSaveContext ctx) => Saving(ctx, () => right.Save(ctx));
}
