namespace MlNetMlp.Conformance.Tests.Mocks;

/// <summary>Marks a method that makes a broken trainer, on which a check must fail.</summary>
/// <param name="check">Number of the check.</param>
/// <param name="says">What the failure has to say, so that it fails for the right reason.</param>
[AttributeUsage(AttributeTargets.Method)]
internal sealed class MockAttribute(int check, string says) : Attribute
{
    public int Check => check;

    public string Says => says;
}
