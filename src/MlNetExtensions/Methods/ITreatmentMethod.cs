using MlNetMlp.Data;
using MlNetMlp.Networks;

namespace MlNetMlp.Methods;

/// <summary>The treatment that a method reads, and the treatments under which its models score rows.</summary>
/// <param name="ColumnName">The treatment column: Boolean or a key for arms, a number for a dose.</param>
/// <param name="ReferenceArm">Name of the arm that effects are measured against; null for the first one.</param>
/// <param name="GridPoints">Doses of the grid, where none are given: quantiles of those of the training rows, from 1 % to 99 %.</param>
/// <param name="Doses">The doses of the grid, rising; none for quantiles.</param>
public sealed record TreatmentInput(string ColumnName, string? ReferenceArm, int GridPoints, IReadOnlyList<float> Doses)
{
    internal const string Role = "treatment";

    /// <summary>What a treatment column must be, for an error.</summary>
    internal const string Expected = "Boolean or a key (one of some treatments) or a number (a dose), and one for each row";

    /// <summary>The column as one that is read beside the features, and that data which are scored may lack.</summary>
    public InputColumn Column => new(ColumnName, InputColumnTypes.Keys | InputColumnTypes.Numbers, Role, IsOptionalInScoring: true);
}

/// <summary>
/// A method that learns outcomes under treatments of which each row has seen one, and whose models predict the outcome under each. The head that it is given is a
/// <see cref="TreatmentHead"/>; its network is a <see cref="TreatmentNetwork"/>.
/// </summary>
public interface ITreatmentMethod : INetworkMethod
{
    /// <summary>The treatment.</summary>
    TreatmentInput Treatment { get; }

    /// <summary>The columns that the method reads beside the feature column; the treatment comes first.</summary>
    IReadOnlyList<InputColumn> INetworkMethod.Columns => [Treatment.Column];
}
