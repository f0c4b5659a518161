// Tells how an application stands with libtorch. The native folders of an application are known to the .NET host that starts it, so this program starts itself again
// with the application's own list of dependencies: it then runs on what the application would run on.
using System.Runtime.CompilerServices;
using MlNetMlp.Doctor;
using MlNetMlp.Runtime;

return args switch
{
    ["doctor"] => Examine("."),
    ["doctor", var place] when !place.StartsWith('-') => Examine(place),
    [Application.ReportCommand, var folder] => Report(folder),
    _ => Usage(),
};

static int Usage()
{
    Console.Error.WriteLine(
        """
        Usage: mlnetmlp doctor [PLACE]

        Tells which native libraries an application finds (libtorch, TorchSharp's bridge, what they need, CUDA), which are missing and why, devices and versions.
        PLACE is an application's .dll, its output folder or its project folder; the current folder by default. Without an application there, it is told what the
        environment variable LIBTORCH gives. The exit code is 0 where libtorch can be used, and 1 otherwise.
        """);
    return 2;
}

static int Examine(string place)
{
    if (!Path.Exists(place))
    {
        Console.Error.WriteLine($"There is no {Path.GetFullPath(place)}.");
        return 2;
    }

    if (Application.Find(place) is { } application)
    {
        Console.WriteLine($"application  {application.Path}");
        return application.Report();
    }

    Console.WriteLine($"No application of .NET in {Path.GetFullPath(place)}: this is what LIBTORCH gives.");
    return Report(AppContext.BaseDirectory);
}

static int Report(string folder)
{
    try
    {
        return Diagnose(folder);
    }
    catch (Exception e) when (e is FileNotFoundException or MissingMethodException or TypeLoadException)
    {
        Console.WriteLine($"The application has no MlNetMlp.Extensions, or one too old to tell: {e.Message}");
        return 1;
    }
}

// A method of its own: the assembly is looked for when it is compiled.
[MethodImpl(MethodImplOptions.NoInlining)]
static int Diagnose(string folder)
{
    var report = LibTorch.Diagnose(folder);
    Console.WriteLine(report.Text);
    Console.WriteLine();
    Console.WriteLine(report.IsUsable ? "libtorch can be used." : "libtorch cannot be used.");
    return report.IsUsable ? 0 : 1;
}
