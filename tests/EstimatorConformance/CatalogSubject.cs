using System.Reflection;
using System.Runtime.CompilerServices;
using Microsoft.ML;
using MlNetMlp.Interop;
using MlNetMlp.Methods;

namespace MlNetMlp.Conformance;

/// <summary>An estimator made by public extension methods on one of ML.NET's catalogs of trainers.</summary>
public sealed class CatalogSubject : Subject
{
    private readonly MethodInfo _short;
    private readonly MethodInfo _withOptions;

    private CatalogSubject(string name, EstimatorTask task, ConformanceProfile profile, MethodInfo shortMethod, MethodInfo withOptions)
        : base(name, task, profile) => (_short, _withOptions) = (shortMethod, withOptions);

    /// <inheritdoc/>
    public override Type OptionsType => _withOptions.GetParameters()[^1].ParameterType;

    /// <inheritdoc/>
    public override Assembly Assembly => _withOptions.DeclaringType!.Assembly;

    /// <inheritdoc/>
    public override IReadOnlyList<MethodInfo> CatalogMethods => [_short, _withOptions];

    /// <summary>Finds all estimators that public extension methods of an assembly make.</summary>
    /// <param name="assembly">The assembly.</param>
    /// <param name="profiles">What the methods say of themselves.</param>
    /// <returns>The estimators, by name and task.</returns>
    /// <exception cref="InvalidOperationException">A catalog method lacks one of its two overloads, or a profile names no method.</exception>
    public static IReadOnlyList<CatalogSubject> Find(Assembly assembly, IReadOnlyCollection<ConformanceProfile> profiles)
    {
        var doors = assembly.GetExportedTypes()
            .Where(type => type is { IsAbstract: true, IsSealed: true })
            .SelectMany(type => type.GetMethods(BindingFlags.Public | BindingFlags.Static))
            .Where(method => method.IsDefined(typeof(ExtensionAttribute)) && typeof(IEstimator<ITransformer>).IsAssignableFrom(method.ReturnType))
            .Where(method => TaskOf(method) is not null)
            .GroupBy(method => (method.Name, Task: TaskOf(method)!.Value))
            .OrderBy(group => group.Key.Name, StringComparer.Ordinal).ThenBy(group => group.Key.Task);
        var subjects = new List<CatalogSubject>();
        foreach (var door in doors)
        {
            var parameters = door.Select(method => (Method: method, Options: method.GetParameters()[1..])).ToArray();
            var isForecast = door.Key.Task == EstimatorTask.Forecasting;
            var withOptions = parameters.FirstOrDefault(m => (isForecast ? m.Options is [{ } first, ..] && first.ParameterType == typeof(ForecastOptions) ? m.Options[1..] : [] : m.Options)
                is [{ ParameterType: { IsClass: true } type }] && type != typeof(string)).Method;
            var column = isForecast ? "inputColumnName" : "labelColumnName";
            var shortMethod = parameters.FirstOrDefault(m => m.Options.Any(p => p.Name == column) && m.Options.All(p => p.HasDefaultValue)).Method;
            if (withOptions is null || shortMethod is null)
                throw new InvalidOperationException($"{door.Key.Name} for {door.Key.Task} must have one overload with optional columns and one with options.");
            var profile = profiles.SingleOrDefault(p => p.Name == door.Key.Name) ?? new Undeclared(door.Key.Name);
            subjects.Add(new(door.Key.Name, door.Key.Task, profile, shortMethod, withOptions));
        }

        return subjects;
    }

    /// <inheritdoc/>
    public override IEstimator<ITransformer> Create(MLContext ml, object options) =>
        Invoke(_withOptions, Task == EstimatorTask.Forecasting ? [Catalog(ml), Series(options), options] : [Catalog(ml), options]);

    /// <inheritdoc/>
    public override IEstimator<ITransformer> CreateShort(MLContext ml, string label, string features) => Invoke(
        _short,
        [Catalog(ml), .. _short.GetParameters()[1..].Select(p => p.Name switch
        {
            "labelColumnName" => label,
            "featureColumnName" or "inputColumnName" => features,
            "outputColumnName" => "Score",
            "contextLength" => Traits.ContextLength,
            "horizon" => Traits.Horizon,
            "categoricalColumns" => Traits.KeyColumns,
            _ => p.DefaultValue,
        })]);

    private static EstimatorTask? TaskOf(MethodInfo method)
    {
        var catalog = method.GetParameters()[0].ParameterType;
        return method.ReturnType == typeof(NetworkTrainer<MultiOutputRegressionNetworkModel>) ? EstimatorTask.MultiOutput
            : catalog == typeof(RegressionCatalog.RegressionTrainers) ? EstimatorTask.Regression
            : catalog == typeof(BinaryClassificationCatalog.BinaryClassificationTrainers) ? EstimatorTask.Binary
            : catalog == typeof(MulticlassClassificationCatalog.MulticlassClassificationTrainers) ? EstimatorTask.Multiclass
            : catalog == typeof(CausalInferenceTrainers) ? EstimatorTask.Causal
            : catalog == typeof(ForecastingCatalog.Forecasters) ? EstimatorTask.Forecasting
            : null;
    }

    private static IEstimator<ITransformer> Invoke(MethodInfo method, object?[] arguments) =>
        (IEstimator<ITransformer>)method.Invoke(null, BindingFlags.DoNotWrapExceptions, null, arguments, null)!;

    // A forecaster's columns are no part of the method's options; the feature column of these stands for the series.
    private ForecastOptions Series(object options) => new()
    {
        OutputColumnName = "Score", InputColumnNames = [(string?)OptionValues.Get(options, nameof(NetworkOptions.FeatureColumnName)) ?? "Features"],
        ContextLength = Traits.ContextLength, Horizon = Traits.Horizon,
    };

    private object Catalog(MLContext ml) => Task switch
    {
        EstimatorTask.Regression or EstimatorTask.MultiOutput => ml.Regression.Trainers,
        EstimatorTask.Binary => ml.BinaryClassification.Trainers,
        EstimatorTask.Causal => ml.CausalInference.Trainers,
        EstimatorTask.Forecasting => ml.Forecasting.Trainers,
        _ => ml.MulticlassClassification.Trainers,
    };

    private sealed class Undeclared(string name) : ConformanceProfile(name);
}
