namespace MlNetMlp.Tests;
public class SmokeTest { [Fact] public void Runs() => Assert.Equal(4, 2 + 2); }
