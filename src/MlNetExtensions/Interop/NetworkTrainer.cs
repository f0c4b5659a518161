using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.Runtime;
using Microsoft.ML.Trainers;
using MlNetMlp.Methods;
using MlNetMlp.Runtime;
using MlNetMlp.Training;

namespace MlNetMlp.Interop;

/// <summary>
/// An ML.NET trainer around a method: it goes into pipelines, cross-validation and everything else that takes ML.NET's own trainers. Made by
/// the catalog methods of the single trainers, or by <see cref="NetworkTrainerCatalog"/>.
/// </summary>
/// <typeparam name="TModel">The model parameters of the task.</typeparam>
/// <remarks>It keeps no state: several threads may fit it at once, and each gets the same model for the same data.</remarks>
public sealed class NetworkTrainer<TModel> : ITrainerEstimator<NetworkPredictionTransformer<TModel>, TModel>
    where TModel : NetworkModel
{
    private readonly MethodTraining _training;
    private readonly TaskAdapter<TModel> _task;

    internal NetworkTrainer(IHostEnvironment env, INetworkMethod method, TaskAdapter<TModel> task)
    {
        // Models of treatments have columns of their own, which only their catalog adds.
        if (method is ITreatmentMethod != task is TreatmentAdapter)
            throw new ArgumentException($"{method?.Name} {(method is ITreatmentMethod ? "reads treatments: make its trainer by" : "reads no treatments: it is no trainer of")} CausalInference.Trainers.", nameof(method));
        _training = new MethodTraining(env, method);
        _task = task;
        _training.CheckOptions(task);
    }

    /// <summary>What the trainer wants of its data: it neither needs normalised features nor a cache.</summary>
    public TrainerInfo Info { get; } = new(normalization: false, caching: false, supportValid: true, supportIncrementalTrain: true);

    /// <summary>The columns after the trained model has been applied.</summary>
    /// <param name="inputSchema">The columns before.</param>
    /// <returns>The columns.</returns>
    /// <exception cref="ArgumentOutOfRangeException">A column is missing or of a type that cannot be used.</exception>
    public SchemaShape GetOutputSchema(SchemaShape inputSchema)
    {
        ArgumentNullException.ThrowIfNull(inputSchema);
        var label = _training.CheckColumns(inputSchema, _task);
        var columns = inputSchema.ToDictionary(column => column.Name);
        foreach (var column in _task.Outputs(inputSchema, label).Concat(_training.AddedColumns.Shapes(AnnotationUtils.GetTrainerOutputAnnotation())))
            columns[column.Name] = column;
        return new SchemaShape(columns.Values);
    }

    /// <summary>Trains a model. Rows are held out to judge it by as the options say.</summary>
    /// <param name="input">The data.</param>
    /// <returns>The model.</returns>
    /// <exception cref="ArgumentOutOfRangeException">A column is missing or of a type that cannot be used.</exception>
    /// <exception cref="InvalidOperationException">The data hold no rows to train on, one class only, or values that cannot be used.</exception>
    /// <exception cref="OperationCanceledException">Training was cancelled.</exception>
    /// <exception cref="TrainingDivergedException">The loss became NaN or infinite.</exception>
    /// <exception cref="LibTorchException">libtorch does not load.</exception>
    public NetworkPredictionTransformer<TModel> Fit(IDataView input) => Train(input, null);

    /// <summary>Trains a model, judged by other data than it is trained on.</summary>
    /// <param name="trainData">The data to train on, all rows of it.</param>
    /// <param name="validationData">The data to judge by, with the same columns.</param>
    /// <returns>The model.</returns>
    /// <inheritdoc cref="Fit(IDataView)" path="/exception"/>
    public NetworkPredictionTransformer<TModel> Fit(IDataView trainData, IDataView validationData)
    {
        ArgumentNullException.ThrowIfNull(validationData);
        return Train(trainData, validationData);
    }

    /// <summary>
    /// Goes on from a trained model with more rows, as the option <see cref="NetworkOptions.InitialModel"/> does: what that means, the method
    /// says.
    /// </summary>
    /// <param name="trainData">The rows that are new.</param>
    /// <param name="modelParameters">The model of an earlier fit of the same method, such as <c>transformer.Model</c>; it stays as it is.</param>
    /// <returns>The model.</returns>
    /// <inheritdoc cref="Fit(IDataView)" path="/exception"/>
    public NetworkPredictionTransformer<TModel> Fit(IDataView trainData, TModel modelParameters)
    {
        ArgumentNullException.ThrowIfNull(modelParameters);
        return Train(trainData, null, modelParameters.Network);
    }

    /// <inheritdoc cref="MethodTraining.CheckSingleVectors"/>
    internal void CheckSingleVectors(string tool) => _training.CheckSingleVectors(tool);

    private NetworkPredictionTransformer<TModel> Train(IDataView data, IDataView? validation, TrainedNetwork? initial = null)
    {
        ArgumentNullException.ThrowIfNull(data);
        var network = _training.Run(_task, data, validation, initial);
        var (feature, label) = (_training.Options.FeatureColumnName, _training.Options.LabelColumnName);
        var schema = network.Images is null ? data.Schema : WithPixels(data.Schema, feature!, network.Inputs);
        return new(_training.Host, _task.CreateTransformer(_training.Host, network, schema, feature, label));
    }

    // ML.NET writes the columns of the training data into a model file but for images, and then does not read a file whose feature column is not among them.
    private static DataViewSchema WithPixels(DataViewSchema schema, string feature, int count)
    {
        var columns = new DataViewSchema.Builder();
        foreach (var column in schema)
        {
            if (column.Index == schema[feature].Index)
                columns.AddColumn(feature, new VectorDataViewType(NumberDataViewType.Single, count));
            else
                columns.AddColumn(column.Name, column.Type, column.Annotations);
        }

        return columns.ToSchema();
    }
}
