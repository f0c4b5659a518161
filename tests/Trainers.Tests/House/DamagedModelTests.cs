using Microsoft.ML;
using MlNetMlp.Fuzz;
using MlNetMlp.Persistence;

namespace MlNetMlp.Tests;

/// <summary>The first of the damaged files that tests/Fuzz makes by the thousand.</summary>
public sealed class DamagedModelTests
{
    private const int Cases = 400;

    private static readonly IReadOnlyList<(string Name, byte[] File)> Seeds = ModelSeeds.Make();

    [Fact]
    public void A_damaged_file_is_loaded_or_refused_as_no_model()
    {
        var path = Path.GetTempFileName();
        int loaded = 0, refused = 0;
        for (var i = 0; i < Cases; i++)
        {
            var (damaged, _) = ModelMutation.Apply(Seeds[i % Seeds.Count].File, Seeds[(i + (i / Seeds.Count)) % Seeds.Count].File, i);
            File.WriteAllBytes(path, damaged);
            try
            {
                Assert.NotNull(ModelFile.Load(new MLContext(1), path, new() { Seconds = 1 }, ModelFile.KnownAssemblies, out _));
                loaded++;
            }
            catch (ModelFormatException)
            {
                refused++;
            }
        }

        File.Delete(path);
        Assert.Equal(Cases, loaded + refused);

        // Both happen, or the damage tests nothing.
        Assert.InRange(loaded, Cases / 50, Cases / 2);
    }

    [Fact]
    public void Sound_files_are_loaded() =>
        Assert.All(Seeds, seed =>
        {
            var path = Path.GetTempFileName();
            File.WriteAllBytes(path, seed.File);
            Assert.NotNull(ModelFile.Load(new MLContext(1), path, new(), ModelFile.KnownAssemblies, out _));
            File.Delete(path);
        });
}
