using System.Buffers;
using System.Globalization;
using System.Reflection;
using System.Text.Json;
using Microsoft.ML;
using WebApi;

// dotnet run -c Release --project samples/WebApi                               trains a model if there is none, and serves it
// dotnet run -c Release --project samples/WebApi -- load http://localhost:5080 10 asks it for ten seconds
if (args is ["load", var server, var seconds])
    return await LoadTest.Run(new Uri(server), TimeSpan.FromSeconds(double.Parse(seconds, CultureInfo.InvariantCulture)));

var path = args.Length > 0 ? args[0] : "breast-cancer.zip";
var ml = new MLContext(seed: 1);
if (!File.Exists(path))
    Training.Save(ml, path);

// One scorer for all requests; a file that replaces the old one is loaded within a second, one that is damaged or names strange code is not.
var options = new WatchedModelOptions { OutputColumns = ["Score", "Probability", "PredictedLabel"], AllowedAssemblies = ModelFile.KnownAssemblies };
using var model = new WatchedModel(ml, path, options);

// An explanation takes some hundred predictions: who does not ask for it does not wait for it. It is one of the same model, whichever that is.
RowScorer Explaining() => model.Model.CreateRowScorer(model.InputSchema, [.. options.OutputColumns, "FeatureContributions"]);
var explaining = Explaining();
model.Reloaded += (_, _) => explaining = Explaining();
var counters = new Counters();
var page = new StreamReader(Assembly.GetExecutingAssembly().GetManifestResourceStream("page.html")!).ReadToEnd();

var builder = WebApplication.CreateSlimBuilder();
builder.WebHost.UseUrls(Environment.GetEnvironmentVariable("ASPNETCORE_URLS") ?? "http://localhost:5080");
builder.WebHost.ConfigureKestrel(server => server.Limits.MaxRequestBodySize = 1 << 20);
builder.Logging.SetMinimumLevel(LogLevel.Warning);
var app = builder.Build();
model.Reloaded += (_, _) => Console.WriteLine($"Model {model.Version} is loaded.");
model.Failed += (_, e) => Console.Error.WriteLine($"The model stays as it is: {e.GetException().Message}");

app.MapPost("/predict", (HttpRequest request, HttpResponse response) => Answer(model.Scorer, request, response));
app.MapPost("/explain", (HttpRequest request, HttpResponse response) => Answer(explaining, request, response));
app.MapGet("/columns", () => Results.Text(Training.Columns(model)));
app.MapGet("/health", () => Results.Text($"model {model.Version}\n"));
app.MapGet("/metrics", () => Results.Text(counters.ToPrometheus(model.Version), "text/plain; version=0.0.4"));
app.MapGet("/", () => Results.Content(page, "text/html; charset=utf-8"));
Console.WriteLine($"Serving {Path.GetFullPath(path)}; stop with Ctrl+C.");
app.Run();
return 0;

async Task Answer(RowScorer scorer, HttpRequest request, HttpResponse response)
{
    var start = TimeProvider.System.GetTimestamp();
    var row = await request.BodyReader.ReadAtLeastAsync((int)(request.ContentLength ?? 1));
    try
    {
        response.ContentType = "application/json";
        scorer.ScoreJson(row.Buffer.IsSingleSegment ? row.Buffer.FirstSpan : row.Buffer.ToArray(), response.BodyWriter);
        counters.Answered(TimeProvider.System.GetElapsedTime(start));
        await response.BodyWriter.FlushAsync();
    }
    catch (Exception e) when (e is ArgumentException or JsonException)
    {
        counters.Refused();
        response.StatusCode = StatusCodes.Status400BadRequest;
        response.ContentType = "text/plain; charset=utf-8";
        await response.WriteAsync(e.Message);
    }
    finally
    {
        request.BodyReader.AdvanceTo(row.Buffer.End);
    }
}
