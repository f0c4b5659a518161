using System.ComponentModel.DataAnnotations;
using System.Text.Json.Serialization;
using MlNetMlp.Training;

namespace MlNetMlp.Methods;

/// <summary>What all trainers that descend gradients have in common.</summary>
public abstract record GradientTrainedOptions : NetworkOptions
{
    /// <summary>The optimiser; <see cref="OptimizerKind.AdamW"/> by default.</summary>
    public OptimizerKind Optimizer { get; init; } = OptimizerKind.AdamW;

    /// <summary>
    /// Step length at the full rate of the schedule, greater than 0 and at most 1,000; 0.001 by default. With <see cref="OptimizerKind.Lion"/>
    /// take a 3 to 10 times smaller one.
    /// </summary>
    [Range(0, 1e3, MinimumIsExclusive = true)]
    public double LearningRate { get; init; } = 1e-3;

    /// <summary>Momentum of <see cref="OptimizerKind.Sgd"/>, in [0, 1); 0.9 by default.</summary>
    [Range(0, 1, MaximumIsExclusive = true)]
    public double Momentum { get; init; } = 0.9;

    /// <summary>Weight decay on matrices (not on biases and gains), in [0, 1,000]; 0 by default.</summary>
    [Range(0, 1e3)]
    public double WeightDecay { get; init; }

    /// <summary>Course of the learning rate over the steps; constant by default.</summary>
    [Required]
    public LearningRateSchedule Schedule { get; init; } = LearningRateSchedule.Constant();

    /// <summary>Most passes over the rows, in [1, 1,000,000]; 100 by default. With <see cref="OptimizerKind.Lbfgs"/> most iterations.</summary>
    [Range(1, 1_000_000)]
    public int Epochs { get; init; } = 100;

    /// <summary>Rows of a batch, at most 2^24; 0 (the default) chooses by the number of rows.</summary>
    [Range(0, 1 << 24)]
    public int BatchSize { get; init; }

    /// <summary>
    /// Rows that go through the network at once, at most 2^24: larger batches are split and their gradients added up; 0 (the default): whole
    /// batches.
    /// </summary>
    [Range(0, 1 << 24)]
    public int MicroBatchSize { get; init; }

    /// <summary>Greatest 2-norm of the gradient, above which it is scaled down; 0 (the default) for no limit.</summary>
    [Range(0, double.MaxValue)]
    public double GradientClipNorm { get; init; }

    /// <summary>Noise added to the gradient; null (the default) for none.</summary>
    public GradientNoise? GradientNoise { get; init; }

    /// <summary>Share of the target spread evenly over the classes, in [0, 0.9]; 0 by default. Regression ignores it.</summary>
    [Range(0, 0.9)]
    public double LabelSmoothing { get; init; }

    /// <summary>
    /// Epochs without a new least validation loss after which training stops, in [0, 1,000,000], 0 for never; 20 by default. Whenever rows
    /// are held out, the weights of the best epoch are kept.
    /// </summary>
    [Range(0, 1_000_000)]
    public int Patience { get; init; } = 20;

    /// <summary>
    /// A file that training writes down at the ends of epochs all that it would need to go on; null (the default) for none. A fit that finds the file of the same options and rows there
    /// goes on from it and gives the model, to the bit, of a fit that was never stopped; one that finds a file of others refuses it. A fit that ends well deletes it. One file serves one fit at a
    /// time. Not with <see cref="OptimizerKind.Lbfgs"/>.
    /// </summary>
    [JsonIgnore]
    public string? CheckpointFile { get; init; }

    /// <summary>Least time between two writings of <see cref="CheckpointFile"/> in seconds, in [0, 1,000,000]; 60 by default, 0 for every epoch.</summary>
    [JsonIgnore]
    [Range(0, 1e6)]
    public double CheckpointSeconds { get; init; } = 60;

    /// <inheritdoc/>
    public override IEnumerable<ValidationResult> Validate(ValidationContext validationContext)
    {
        foreach (var fault in base.Validate(validationContext))
            yield return fault;
        if (CheckpointFile is "")
            yield return new ValidationResult("option 'CheckpointFile' must be given as the path of a file, or be null, but was ''");
        if (CheckpointFile is not null && Optimizer == OptimizerKind.Lbfgs)
            yield return new ValidationResult("option 'CheckpointFile' must be null where the option 'Optimizer' is Lbfgs");
    }

    /// <summary>What the training loop is to do.</summary>
    /// <param name="rows">Number of rows to train on.</param>
    /// <returns>The settings.</returns>
    public DescentSettings ToSettings(long rows) => new()
    {
        Optimizer = Optimizer,
        LearningRate = LearningRate,
        Momentum = Momentum,
        WeightDecay = WeightDecay,
        Schedule = Schedule,
        Epochs = Epochs,
        BatchSize = BatchSize > 0 ? BatchSize : ChooseBatchSize(rows),
        MicroBatchSize = MicroBatchSize,
        GradientClipNorm = GradientClipNorm,
        GradientNoise = GradientNoise,
        LabelSmoothing = LabelSmoothing,
        Patience = Patience,
    };

    /// <summary>The batch size where none is given: about 60 steps an epoch, within 32 to 1,024 rows.</summary>
    /// <param name="rows">Number of rows to train on.</param>
    /// <returns>Rows of a batch.</returns>
    protected virtual int ChooseBatchSize(long rows) => (int)Math.Clamp(rows / 60, 32, 1024);
}
