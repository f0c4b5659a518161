using MlNetMlp.Runtime;

namespace MlNetMlp.Tests.Runtime;

public class LoadTraceTests
{
    private const string FromDotNet =
        "Unable to load shared library '/x/libtorch_cpu.so' or one of its dependencies. Consider setting LD_DEBUG: \n"
        + "libgomp.so.1: cannot open shared object file: No such file or directory\n";

    [Fact]
    public void KeepsWhatTheLinkerSaid()
    {
        Assert.Equal("libgomp.so.1: cannot open shared object file: No such file or directory", LoadTrace.Shorten(FromDotNet));
        Assert.Equal("Not found. (0x8007007E)", LoadTrace.Shorten("Not found. (0x8007007E)"));
    }

    [Fact]
    public void FindsTheMissingLibrary()
    {
        Assert.Equal("libgomp.so.1", LoadTrace.MissingLibrary(FromDotNet));
        Assert.Equal("libgomp-98b21ff3.so.1", LoadTrace.MissingLibrary("libgomp-98b21ff3.so.1: cannot open shared object file: No"));
        Assert.Null(LoadTrace.MissingLibrary("/lib/libstdc++.so.6: version `GLIBCXX_3.4.32' not found (required by /x/libLibTorchSharp.so)"));
    }

    [Fact]
    public void SaysWhatToInstall()
    {
        var trace = new LoadTrace(new(null, [], []));
        trace.Add("/x/libtorch_cpu.so", LoadTrace.Shorten(FromDotNet));

        Assert.Contains("Install libgomp.so.1 (libgomp1 on Debian", trace.Failure("No.").Message, StringComparison.Ordinal);
    }
}
