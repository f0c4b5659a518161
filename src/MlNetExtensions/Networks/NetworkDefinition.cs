using System.ComponentModel.DataAnnotations;
using System.Text.Json.Serialization;
using MlNetMlp.Persistence;
using MlNetMlp.Scoring;
using TorchSharp;

namespace MlNetMlp.Networks;

/// <summary>
/// The record that rebuilds a network: its shapes and switches, nothing trained. It is written as JSON into the model file, so its
/// properties are the file format. A definition lives in the assembly of its method; a model file names that assembly and the
/// definition's type, and nothing but a public sealed subtype of this record is ever built from a file.
/// </summary>
/// <remarks>
/// Put the ranges of the properties as <see cref="RangeAttribute"/> on them: they are checked before anything is built from a file.
/// </remarks>
public abstract record NetworkDefinition
{
    /// <summary>Number of features that a row has.</summary>
    [Range(1, 1 << 24)]
    public required int Inputs { get; init; }

    /// <summary>Number of values that the network puts out for a row.</summary>
    [Range(1, 1 << 24)]
    public required int Outputs { get; init; }

    /// <summary>
    /// How a row lies where the network reads other columns beside the features: what <see cref="Data.TrainingSet.Layout"/> was. Null (the default) where it
    /// reads features alone.
    /// </summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public RowLayout? Layout { get; init; }

    /// <summary>
    /// Number of values of all tensors in the network's state dictionary. A file of another size is refused before it is unpacked.
    /// </summary>
    [JsonIgnore]
    public abstract long WeightCount { get; }

    /// <summary>
    /// Multiplications that a row takes, for networks that use a weight more than once; training chooses by it how many threads pay. 0 (the default): as many as there are weights.
    /// </summary>
    [JsonIgnore]
    public virtual long MultiplicationsPerRow => 0;

    /// <summary>
    /// Values of a row where it is widest within the network; rows held out are judged in blocks that keep it within reason. 0 (the default): no more than some thousands.
    /// </summary>
    [JsonIgnore]
    public virtual long WidestLayer => 0;

    /// <summary>
    /// The network up to the activations that its last layer reads, which are features for other trainers. Its tensors are those of this
    /// network, by the same names, without those of the last layer. Null (the default) where the network offers none.
    /// </summary>
    [JsonIgnore]
    public virtual NetworkDefinition? Body => null;

    /// <summary>Names of the values that the network puts out, where they stand in a column of their own and not for a task; null (the default) for numbers.</summary>
    [JsonIgnore]
    public virtual IReadOnlyList<string>? OutputNames => null;

    /// <summary>Columns that the network computes beside its outputs; none by default. Transformers of forecasts over rows do not show them.</summary>
    [JsonIgnore]
    public virtual IReadOnlyList<AddedColumn> AddedColumns => [];

    /// <summary>Numbers that scoring a row gives: the outputs, and then the values of <see cref="AddedColumns"/>.</summary>
    [JsonIgnore]
    internal int ScoredOutputs => Outputs + AddedColumns.Sum(column => column.Size);

    /// <summary>Builds the network with weights that are not yet set.</summary>
    /// <param name="device">
    /// Where all parameters and buffers are to be: a device, or <see cref="torch.META"/> to learn the names and shapes of the tensors
    /// without allocating them, as is done before weights are read from a file.
    /// </param>
    /// <returns>The network, to be initialised or filled with trained weights.</returns>
    public abstract Network Build(torch.Device device);

    /// <summary>Builds the same function as a program of dense layers, if it is one: such networks score without libtorch.</summary>
    /// <param name="weights">The trained weights.</param>
    /// <returns>The program, or null where the network is more than dense layers.</returns>
    public virtual DenseProgram? BuildDense(WeightReader weights) => null;

    /// <summary>
    /// Builds the same function as managed code, if there is such: the network then scores without libtorch. The default is that of
    /// <see cref="BuildDense"/>. Values of <see cref="AddedColumns"/> come behind the outputs.
    /// </summary>
    /// <param name="weights">The trained weights.</param>
    /// <returns>The scorer, or null where libtorch has to score.</returns>
    public virtual IRowScorer? BuildScorer(WeightReader weights) => BuildDense(weights);
}
