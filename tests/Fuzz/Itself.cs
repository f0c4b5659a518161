using System.Diagnostics;

namespace MlNetMlp.Fuzz;

/// <summary>This program in another process.</summary>
internal static class Itself
{
    /// <summary>How it is started, whether it runs by a host of its own or by <c>dotnet</c>.</summary>
    /// <param name="arguments">Its arguments.</param>
    /// <returns>What starts it.</returns>
    public static ProcessStartInfo With(params string[] arguments) =>
        new(Environment.ProcessPath!, Path.GetFileNameWithoutExtension(Environment.ProcessPath) == "dotnet" ? [typeof(Itself).Assembly.Location, .. arguments] : arguments);
}
