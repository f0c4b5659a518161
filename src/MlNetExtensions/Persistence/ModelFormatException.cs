namespace MlNetMlp.Persistence;

/// <summary>A model file, or an entry of it, is damaged, hostile or was made for another network.</summary>
/// <remarks>
/// ML.NET calls loaders by reflection, so what a user sees first is a <see cref="System.Reflection.TargetInvocationException"/>.
/// Every message of this exception is therefore complete by itself: it names the entry, the tensor, what was expected and what was found.
/// </remarks>
public sealed class ModelFormatException : FormatException
{
    /// <summary>Creates the exception with a general message.</summary>
    public ModelFormatException()
        : base("The model file is damaged or is not a model file.")
    {
    }

    /// <summary>Creates the exception.</summary>
    /// <param name="message">What is wrong, complete by itself.</param>
    public ModelFormatException(string message)
        : base(message)
    {
    }

    /// <summary>Creates the exception with its cause.</summary>
    /// <param name="message">What is wrong, complete by itself.</param>
    /// <param name="innerException">The exception that revealed the damage.</param>
    public ModelFormatException(string message, Exception? innerException)
        : base(message, innerException)
    {
    }

    /// <summary>The exception for a fault of the weights entry, whose name every message begins with.</summary>
    internal static ModelFormatException InWeights(FormattableString fault, Exception? cause = null) =>
        new(SafeTensors.EntryName + ": " + FormattableString.Invariant(fault), cause);
}
