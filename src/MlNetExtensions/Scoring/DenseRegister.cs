namespace MlNetMlp.Scoring;

/// <summary>An activation vector of the program that a <see cref="DenseProgramBuilder"/> is writing, one per row.</summary>
public readonly struct DenseRegister
{
    internal DenseRegister(DenseProgramBuilder owner, int index, int width)
    {
        Owner = owner;
        Index = index;
        Width = width;
    }

    /// <summary>Values per row.</summary>
    public int Width { get; }

    internal DenseProgramBuilder? Owner { get; }

    internal int Index { get; }
}
