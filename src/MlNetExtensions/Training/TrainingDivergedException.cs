namespace MlNetMlp.Training;

/// <summary>The loss or a weight became NaN or infinite during training.</summary>
public sealed class TrainingDivergedException : InvalidOperationException
{
    /// <summary>Creates the exception.</summary>
    /// <param name="epoch">The epoch, from 1.</param>
    /// <param name="step">The optimiser step, from 1.</param>
    /// <param name="what">What is no longer finite.</param>
    public TrainingDivergedException(int epoch, long step, string what)
        : base($"Training diverged: {what} is no longer finite at step {step} (epoch {epoch}). Lower the option 'LearningRate', set 'GradientClipNorm' (for instance to 1), "
            + "or look for extreme values among features and labels.")
    {
        Epoch = epoch;
        Step = step;
    }

    /// <summary>The epoch, from 1.</summary>
    public int Epoch { get; }

    /// <summary>The optimiser step, from 1.</summary>
    public long Step { get; }
}
