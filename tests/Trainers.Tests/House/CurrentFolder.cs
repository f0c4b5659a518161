namespace MlNetMlp.Tests;

/// <summary>Tests that change the current folder of the process, one after the other.</summary>
[CollectionDefinition(nameof(CurrentFolder))]
public sealed class CurrentFolder;
