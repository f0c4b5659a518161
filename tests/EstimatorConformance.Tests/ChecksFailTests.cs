using System.Reflection;
using MlNetMlp.Conformance.Tests.Mocks;

namespace MlNetMlp.Conformance.Tests;

/// <summary>Each check fails on a trainer that is broken in just the way it looks for, and passes on one that is not.</summary>
public sealed class ChecksFailTests
{
    private static readonly IReadOnlyList<(string Name, MockAttribute About, MethodInfo Make)> Mocks =
    [
        .. from type in typeof(ChecksFailTests).Assembly.GetTypes()
           from method in type.GetMethods(BindingFlags.Static | BindingFlags.Public | BindingFlags.DeclaredOnly)
           let about = method.GetCustomAttribute<MockAttribute>()
           where about is not null
           orderby about.Check, method.Name
           select (method.Name, about, method),
    ];

    public static IEnumerable<object[]> Cases => Mocks.Select(mock => new object[] { mock.About.Check, mock.Name });

    [Theory]
    [MemberData(nameof(Cases))]
    public void Fails_on_its_mock(int check, string mock)
    {
        var (_, about, make) = Mocks.Single(m => m.Name == mock && m.About.Check == check);
        var subject = (Subject)make.Invoke(null, null)!;
        var chosen = Check.All.Single(c => c.Number == check);
        Assert.True(chosen.AppliesTo(subject));

        var error = Trial.Catch(() => chosen.Run(subject));

        Assert.True(error is not null, "the check passes on its mock");
        Assert.Contains(about.Says, error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Every_check_has_a_mock() => Assert.Equal(Check.All.Select(check => check.Number), Mocks.Select(mock => mock.About.Check).Distinct());
}
