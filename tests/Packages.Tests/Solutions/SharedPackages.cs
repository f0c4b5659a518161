using MlNetMlp.Tests.Support;

namespace MlNetMlp.Tests.Solutions;

/// <summary>Solutions that share the packed packages, one after the other.</summary>
[CollectionDefinition(nameof(PackedPackages))]
public sealed class SharedPackages : ICollectionFixture<PackedPackages>;
