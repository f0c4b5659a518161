using System.ComponentModel.DataAnnotations;
using System.Globalization;
using System.Text.Json.Serialization;
using MlNetMlp.Options;

namespace MlNetMlp.Networks;

/// <summary>The treatments under which a network predicts: some arms, or doses on a grid. It is part of the network's definition and so of the model file.</summary>
public sealed record Treatments : IValidatableObject
{
    /// <summary>Names of the arms; none where the treatment is a dose.</summary>
    [Required]
    public ValueList<string> Arms { get; init; } = [];

    /// <summary>Training rows of each arm.</summary>
    [Required]
    public ValueList<long> ArmRows { get; init; } = [];

    /// <summary>Whether an arm stands in a row as its key, from 1; else as 0 or 1.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingDefault)]
    public bool AreKeys { get; init; }

    /// <summary>Index of the arm that effects are measured against.</summary>
    [Range(0, RowLayout.MostKeys)]
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingDefault)]
    public int Reference { get; init; }

    /// <summary>The doses under which a row is scored, in rising order; none where the treatment is one of some arms.</summary>
    [Required]
    public ValueList<float> Doses { get; init; } = [];

    /// <summary>Whether the treatment is one of some arms.</summary>
    [JsonIgnore]
    public bool AreArms => Arms.Count > 0;

    /// <summary>Number of treatments under which a row is scored.</summary>
    [JsonIgnore]
    public int Count => AreArms ? Arms.Count : Doses.Count;

    /// <summary>Names of the treatments: those of the arms, or the doses.</summary>
    [JsonIgnore]
    public IReadOnlyList<string> Names => AreArms ? Arms : [.. Doses.Select(dose => dose.ToString(CultureInfo.InvariantCulture))];

    /// <summary>Whether the parts fit each other.</summary>
    /// <param name="validationContext">Not used.</param>
    /// <returns>The faults.</returns>
    public IEnumerable<ValidationResult> Validate(ValidationContext validationContext)
    {
        if (AreArms ? Arms.Count < 2 || Doses.Count > 0 || Arms.Contains(null!) || ArmRows.Count != Arms.Count || Reference >= Arms.Count || (!AreKeys && Arms.Count > 2) : Doses.Count < 2)
            yield return new ValidationResult("'Treatments' must be two arms or more with a number of rows each, or two doses or more");
        if (!Doses.All(float.IsFinite) || Doses.Zip(Doses.Skip(1)).Any(pair => pair.First >= pair.Second))
            yield return new ValidationResult("'Doses' must be finite and rise");
    }
}
