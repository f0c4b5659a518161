namespace MlNetMlp.Networks;

/// <summary>
/// A column that a network computes beside what its task asks for, such as how it came to its scores: a vector of numbers, or of keys. A definition names such columns
/// (<see cref="NetworkDefinition.AddedColumns"/>), and its network puts their values out behind its outputs (<see cref="Network.CallWithAdded"/>).
/// </summary>
/// <param name="Name">Name of the column.</param>
/// <param name="SlotNames">A name for each slot of the vector.</param>
/// <param name="KeyCount">Number of values of the keys; null for numbers.</param>
/// <remarks>
/// A key is the number from 0 that the network puts out; −1 is a missing one. Its value, as <c>MapKeyToValue</c> gives it, is the same number as Int32.
/// </remarks>
public sealed record AddedColumn(string Name, IReadOnlyList<string> SlotNames, int? KeyCount = null)
{
    /// <summary>Number of slots.</summary>
    public int Size => SlotNames.Count;
}
