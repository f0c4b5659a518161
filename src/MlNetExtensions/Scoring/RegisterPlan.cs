namespace MlNetMlp.Scoring;

/// <summary>
/// Gives every register of a program its place in the scratch memory. Registers that are never needed at the same time share a place, so
/// that a block of rows stays in the first caches.
/// </summary>
internal sealed class RegisterPlan
{
    private readonly int[] _born;
    private readonly int[] _dies;
    private readonly Slot[] _slots;

    /// <param name="recipes">The steps, in order.</param>
    /// <param name="widths">Values per row of each register; the first is the input.</param>
    /// <param name="output">The register that is read at the end.</param>
    public RegisterPlan(IReadOnlyList<Recipe> recipes, IReadOnlyList<int> widths, int output)
    {
        _born = new int[widths.Count];
        _dies = new int[widths.Count];
        _slots = new Slot[widths.Count];
        int inputWidth = widths[0];
        CopiesInput = output == 0 || recipes.Any(r => r.To == 0)
            || (inputWidth % AlignedFloats.LineFloats != 0 && recipes.Any(r => r.From == 0 && r.ReadsPadding));
        FindLifetimes(recipes, output);
        if (CopiesInput)
            Place(0, inputWidth);
        else
            _slots[0] = new Slot(-1, inputWidth);
        foreach (Recipe recipe in recipes.Where(r => !r.Updates))
        {
            bool takesOver = recipe.InPlace && _slots[recipe.From].Offset >= 0 && _dies[recipe.From] < _born[recipe.To];
            if (takesOver)
                _slots[recipe.To] = _slots[recipe.From];
            else
                Place(recipe.To, widths[recipe.To]);
        }
    }

    /// <summary>Whether the caller's rows must be copied to scratch memory: they are changed, or read in whole cache lines.</summary>
    public bool CopiesInput { get; }

    public IReadOnlyList<Slot> Slots => _slots;

    /// <summary>Floats of scratch memory per row.</summary>
    public int FloatsPerRow { get; private set; }

    // Step s reads at time 2s and writes at 2s + 1; a step that must not work in place writes from 2s on.
    private void FindLifetimes(IReadOnlyList<Recipe> recipes, int output)
    {
        _born[0] = -1;
        for (int step = 0; step < recipes.Count; step++)
        {
            Recipe recipe = recipes[step];
            if (!recipe.Updates)
                _born[recipe.To] = (2 * step) + (recipe.InPlace ? 1 : 0);
            _dies[recipe.From] = 2 * step;
            _dies[recipe.To] = (2 * step) + 1;
        }

        _dies[output] = int.MaxValue;
    }

    private void Place(int register, int width)
    {
        int stride = AlignedFloats.Pad(width);
        int[] inTheWay = [.. Enumerable.Range(0, _slots.Length).Where(other => other != register && Overlaps(register, other))];
        IEnumerable<int> candidates = inTheWay.Select(other => _slots[other].Offset + _slots[other].Stride).Append(0).Order();
        int offset = candidates.First(start =>
            inTheWay.All(other => _slots[other].Offset >= start + stride || _slots[other].Offset + _slots[other].Stride <= start));
        _slots[register] = new Slot(offset, stride);
        FloatsPerRow = Math.Max(FloatsPerRow, offset + stride);
    }

    private bool Overlaps(int register, int other) =>
        _slots[other] is { Offset: >= 0, Stride: > 0 } && _born[register] <= _dies[other] && _born[other] <= _dies[register];
}
