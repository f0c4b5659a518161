using System.ComponentModel.DataAnnotations;
using System.Text.Json;
using MlNetMlp.Layers;
using MlNetMlp.Options;
using MlNetMlp.Persistence;
using static TorchSharp.torch;

namespace MlNetMlp.Tests.Layers;

/// <summary>A mixer as another assembly would bring it.</summary>
public sealed record ScalingMixer : TokenMixer
{
    [Range(1, 9)]
    public int Size { get; init; } = 2;

    public override long WeightCount(int channels, TokenGrid grid) => 0;

    public override long Multiplications(int channels, TokenGrid grid) => 0;

    public override TokenMixerLayer Build(int channels, TokenGrid grid, Device device) => throw new NotSupportedException();
}

/// <summary>A mixer that no file may name, since others may derive from it.</summary>
public record OpenMixer : TokenMixer
{
    public override long WeightCount(int channels, TokenGrid grid) => 0;

    public override long Multiplications(int channels, TokenGrid grid) => 0;

    public override TokenMixerLayer Build(int channels, TokenGrid grid, Device device) => throw new NotSupportedException();
}

public sealed class TokenMixerJsonTests
{
    private const string Ours = "MlNetMlp.Tests.Layers.ScalingMixer, MlNetMlp.Extensions.Tests";

    private sealed record Holder
    {
        [Required]
        public ValueList<TokenMixer> Mixers { get; init; } = [];
    }

    [Fact]
    public void Mixers_of_any_assembly_come_back_equal()
    {
        var holder = new Holder { Mixers = [new ScalingMixer { Size = 5 }, new ScalingMixer()] };
        var text = JsonSerializer.Serialize(holder, StrictJson.Settings);

        var back = JsonSerializer.Deserialize<Holder>(text, StrictJson.Settings);

        Assert.Contains(Ours, text, StringComparison.Ordinal);
        Assert.Equal(holder, back);
        Assert.NotEqual(holder, new Holder { Mixers = [new ScalingMixer { Size = 5 }] });
        Assert.Equal(holder.GetHashCode(), back!.GetHashCode());
    }

    [Theory]
    [InlineData("""{ "size": 3 }""", "kind")]
    [InlineData("[]", "kind")]
    [InlineData("""{ "kind": 3 }""", "kind")]
    [InlineData("""{ "kind": "ScalingMixer" }""", "ScalingMixer")]
    [InlineData("""{ "kind": "MlNetMlp.Tests.Layers.OpenMixer, MlNetMlp.Extensions.Tests" }""", "public sealed TokenMixer")]
    [InlineData("""{ "kind": "MlNetMlp.Layers.TokenGrid, MlNetMlp.Extensions" }""", "public sealed TokenMixer")]
    [InlineData("""{ "kind": "System.Diagnostics.Process, System.Diagnostics.Process" }""", "does not use")]
    [InlineData("""{ "kind": "X, NoSuchAssembly" }""", "NoSuchAssembly")]
    [InlineData("""{ "kind": "MlNetMlp.Tests.Layers.ScalingMixer, MlNetMlp.Extensions.Tests", "size": "big" }""", "Size")]
    [InlineData("""{ "kind": "MlNetMlp.Tests.Layers.ScalingMixer, MlNetMlp.Extensions.Tests", "colour": 1 }""", "colour")]
    [InlineData("null", "null")]
    public void What_is_no_mixer_is_refused(string json, string says)
    {
        var error = Assert.Throws<JsonException>(() => JsonSerializer.Deserialize<Holder>($$"""{ "mixers": [{{json}}] }""", StrictJson.Settings));

        Assert.Contains(says, error.Message, StringComparison.OrdinalIgnoreCase);
    }

    [Fact]
    public void Ranges_of_items_are_checked_with_their_place()
    {
        var holder = new Holder { Mixers = [new ScalingMixer(), new ScalingMixer { Size = 10 }] };

        var error = Assert.Throws<ArgumentOutOfRangeException>(() => OptionRanges.Check(holder, "Holder"));

        Assert.Contains("option 'Mixers[1].Size' must be at least 1 and at most 9, but was 10", error.Message, StringComparison.Ordinal);
    }
}
