using MlNetMlp.Data;
using MlNetMlp.Networks;
using MlNetMlp.Training;

namespace MlNetMlp.Methods;

/// <summary>
/// A method of training: rows in, network out, for whatever task is asked. It sees tensors only; columns, files, scoring and devices are
/// taken care of by the trainer that it is given to. One object serves several fits at once, so it keeps no state.
/// </summary>
public interface INetworkMethod
{
    /// <summary>The method's name, as the user knows it.</summary>
    string Name { get; }

    /// <summary>The options, which a trainer checks when it is made.</summary>
    NetworkOptions Options { get; }

    /// <summary>Whether features may be NaN or infinite, in training and in scoring; an error says where one is otherwise.</summary>
    bool AcceptsMissingValues => false;

    /// <summary>
    /// What the method wants where its rows are sets of items rather than vectors of known size: rows are then laid out as
    /// <see cref="TrainingSet.Sets"/> says. Null by default.
    /// </summary>
    SetInput? Sets => null;

    /// <summary>
    /// What images become where the feature column holds <c>MLImage</c> of ML.NET and not vectors; null for three channels of the size that the type of the column tells. By default
    /// the option <see cref="ImageTrainedOptions.ImageShape"/>, where the method has it. Rows are vectors of pixels all the same.
    /// </summary>
    ImageShape? ImageShape => (Options as ImageTrainedOptions)?.ImageShape;

    /// <summary>
    /// The columns that the method reads beside the feature column, of keys or numbers: rows are then laid out as <see cref="TrainingSet.Layout"/> says,
    /// which has to become <see cref="NetworkDefinition.Layout"/>. The feature column may then be null. None by default, and none with <see cref="Sets"/>.
    /// </summary>
    IReadOnlyList<InputColumn> Columns => [];

    /// <summary>
    /// The columns that its networks compute beside what the task asks for: <see cref="NetworkDefinition.AddedColumns"/> of them all. None by default.
    /// </summary>
    IReadOnlyList<AddedColumn> AddedColumns => [];

    /// <summary>
    /// Whether the method itself holds out the share <see cref="NetworkOptions.ValidationFraction"/> of the rows: all of them come as training
    /// rows then, but where a column or a data view of their own says which ones are held out.
    /// </summary>
    bool HoldsOutRows => false;

    /// <summary>
    /// Whether the method learns from labels; true by default. One that does not brings a loss of its own, is made an estimator by <c>Transforms.CreateFeaturizer</c>, and its network puts out
    /// features: the task that it is given is a <see cref="FeatureHead"/>, and labels mean nothing.
    /// </summary>
    bool ReadsLabels => true;

    /// <summary>
    /// Whether the method trains by whatever loss its <see cref="TaskHead"/> has, so that it can be asked for quantiles of forecasts (<see cref="QuantileRegressionHead"/>). By default
    /// those that are trained by gradients do.
    /// </summary>
    bool PredictsQuantiles => Options is GradientTrainedOptions;

    /// <summary>Trains a network.</summary>
    /// <param name="data">The rows.</param>
    /// <param name="head">The task: loss and number of outputs.</param>
    /// <param name="run">The device, random numbers, the training loop, and ways to report and to be stopped.</param>
    /// <returns>The network, in evaluation mode.</returns>
    Network Fit(TrainingSet data, TaskHead head, TrainingRun run);
}
