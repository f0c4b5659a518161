namespace MlNetMlp.Layers;

/// <summary>The grid that the tokens of an image lie in. Tokens are tensors [rows, height, width, channels]: the channels of a token lie side by side.</summary>
/// <param name="Height">Rows of tokens.</param>
/// <param name="Width">Tokens of a row.</param>
public sealed record TokenGrid(int Height, int Width)
{
    /// <summary>Number of tokens.</summary>
    public int Count => checked(Height * Width);
}
