using System.Collections;
using System.Reflection;
using Microsoft.ML;
using Microsoft.ML.Data;

namespace MlNetMlp.Conformance.Checks;

/// <summary>ML.NET's own tools that take a trainer or a model.</summary>
internal static class IntegrationChecks
{
    private const BindingFlags Static = BindingFlags.Public | BindingFlags.Static;

    [Check(39, "Evaluate, CrossValidate, PermutationFeatureImportance, OneVersusAll, calibrators, ChangeModelThreshold, a validation set and prediction engines accept it", Tasks = EstimatorTask.Labelled, IsSlow = true)]
    public static void ToolsAcceptIt(Trial trial)
    {
        if (EstimatorTask.MlNet.HasFlag(trial.Task))
        {
            CrossValidates(trial);
            ExplainsItself(trial);
        }

        if (trial.Task == EstimatorTask.Binary)
        {
            Calibrates(trial);
            ChangesItsThreshold(trial);
            ServesOneVersusAll(trial);
        }

        var judged = trial.Trainer().GetType().GetMethod("Fit", [typeof(IDataView), typeof(IDataView)]);
        if (judged?.Invoke(trial.Trainer(), BindingFlags.DoNotWrapExceptions, null, [trial.Data, trial.OtherData], null) is ITransformer model)
            trial.Score(model).ShouldBeFinite("a model trained with a validation set");

        var chain = trial.Ml.Transforms.CopyColumns("Copy", "Features").Append(trial.Trainer()).Fit(trial.Data);
        new ScoredRows(Engine.Scores(trial, Trial.Load(trial.Save(chain)), trial.OtherRows), null, null)
            .ShouldBeNear(trial.Score(trial.Model), 1e-6, "rows through a prediction engine from a loaded chain");
    }

    // Each fold is evaluated by ML.NET, for binary classification with its probabilities.
    private static void CrossValidates(Trial trial)
    {
        var folds = trial.Task switch
        {
            EstimatorTask.Regression => trial.Ml.Regression.CrossValidate(trial.Data, trial.Trainer(), 3).Select(fold => (fold.Model, Value: fold.Metrics.RSquared)),
            EstimatorTask.Binary => trial.Ml.BinaryClassification.CrossValidate(trial.Data, trial.Trainer(), 3).Select(fold => (fold.Model, Value: fold.Metrics.Accuracy)),
            _ => trial.Ml.MulticlassClassification.CrossValidate(trial.Data, trial.Trainer(), 3).Select(fold => (fold.Model, Value: fold.Metrics.MicroAccuracy)),
        };
        foreach (var (model, value) in folds.ToArray())
        {
            Assert.True(value > 0.5, $"a fold of CrossValidate has a metric of {value:0.000}");
            trial.Score(model).ShouldBeFinite("a model of CrossValidate");
        }
    }

    // The labels depend on the first two features and on no other. ML.NET has a method for models whose type is known and one for any model,
    // which needs names of the features.
    private static void ExplainsItself(Trial trial)
    {
        object catalog = trial.Task switch { EstimatorTask.Regression => trial.Ml.Regression, EstimatorTask.Binary => trial.Ml.BinaryClassification, _ => trial.Ml.MulticlassClassification };
        const string name = nameof(PermutationFeatureImportanceExtensions.PermutationFeatureImportance);
        var named = Samples.View(trial.Ml, trial.Task, trial.Rows, trial.Traits.FeatureCount, isNamed: true);
        var model = Last(trial.Model);
        Assert.True(model.GetType().GetInterfaces().Any(type => type.Name.StartsWith("ISingleFeaturePredictionTransformer", StringComparison.Ordinal)), $"{name} takes no {model.GetType()}");
        var typed = ((IEnumerable)Call(name, catalog, model, trial.Data)).Cast<object>().Select(Loss).ToArray();
        Assert.Equal(trial.Traits.FeatureCount, typed.Length);
        Assert.True(typed.Order().TakeLast(2).All(most => most > 0.02), $"{name} finds {string.Join(' ', typed)}");
        string[] names = trial.Task switch
        {
            EstimatorTask.Regression => [.. trial.Ml.Regression.PermutationFeatureImportance(model, named).OrderByDescending(m => Loss(m.Value)).Select(m => m.Key)],
            EstimatorTask.Binary => [.. trial.Ml.BinaryClassification.PermutationFeatureImportanceNonCalibrated(model, named).OrderByDescending(m => Loss(m.Value)).Select(m => m.Key)],
            _ => [.. trial.Ml.MulticlassClassification.PermutationFeatureImportance(model, named).OrderByDescending(m => Loss(m.Value)).Select(m => m.Key)],
        };
        Assert.Equal(["f0", "f1"], names[..2].Order());
    }

    private static double Loss(object metrics) => metrics switch
    {
        RegressionMetricsStatistics regression => -regression.RSquared.Mean,
        BinaryClassificationMetricsStatistics binary => -binary.Accuracy.Mean,
        _ => -((MulticlassClassificationMetricsStatistics)metrics).MicroAccuracy.Mean,
    };

    private static void Calibrates(Trial trial)
    {
        var calibrators = trial.Ml.BinaryClassification.Calibrators;
        foreach (var calibrator in new IEstimator<ITransformer>[] { calibrators.Platt(), calibrators.Isotonic() })
        {
            var calibrated = ScoredRows.Read(calibrator.Fit(trial.Model.Transform(trial.Data)).Transform(trial.Model.Transform(trial.OtherData)));
            Assert.True(calibrated.Probabilities!.All(p => p is >= 0 and <= 1), "a calibrator gives a probability outside of [0, 1]");
        }
    }

    private static void ChangesItsThreshold(Trial trial)
    {
        var model = Last(trial.Model);
        var changed = (ITransformer)Call(nameof(BinaryClassificationCatalog.ChangeModelThreshold), trial.Ml.BinaryClassification, model, float.MaxValue);
        Assert.True(trial.Score(changed).Predicted!.All(label => label == bool.FalseString), "a threshold above all scores does not make all rows negative");
        trial.Score(Trial.Load(trial.Save(changed))).ShouldBe(trial.Score(changed), "a model with another threshold, loaded");
    }

    private static void ServesOneVersusAll(Trial trial)
    {
        var data = Samples.View(trial.Ml, EstimatorTask.Multiclass, trial.Rows, trial.Traits.FeatureCount);
        if (trial.Traits.KeyColumns.Count > 0)
        {
            Trial.Refused(() => Call("OneVersusAll", trial.Ml.MulticlassClassification.Trainers, trial.Trainer()), "OneVersusAll, which hands over single vectors", "column");
            return;
        }

        var trainer = (IEstimator<ITransformer>)Call("OneVersusAll", trial.Ml.MulticlassClassification.Trainers, trial.Trainer());
        var accuracy = trial.Ml.MulticlassClassification.Evaluate(trainer.Fit(data).Transform(data)).MicroAccuracy;
        Assert.True(accuracy > 0.6, $"OneVersusAll has an accuracy of {accuracy:0.000}");
    }

    private static ITransformer Last(ITransformer model) => model is IEnumerable<ITransformer> chain ? chain.Last() : model;

    // ML.NET's methods are generic in the type of the model; a compiler would find them where the type of the trainer is written down.
    private static object Call(string name, object catalog, params object[] arguments)
    {
        var assemblies = AppDomain.CurrentDomain.GetAssemblies().Where(a => a.GetName().Name is { } n && (n.StartsWith("Microsoft.ML", StringComparison.Ordinal) || n.StartsWith("MlNetMlp", StringComparison.Ordinal)));
        var extensions = assemblies.SelectMany(a => a.GetExportedTypes()).Where(type => type is { IsAbstract: true, IsSealed: true }).SelectMany(type => type.GetMethods(Static));
        var methods = extensions.Concat(catalog.GetType().GetMethods()).Where(method => method.Name == name);
        foreach (var method in methods.OrderByDescending(method => method.IsGenericMethodDefinition))
        {
            object[] all = method.IsStatic ? [catalog, .. arguments] : arguments;
            if (Bind(method, all) is { } bound)
                return bound.Invoke(catalog, BindingFlags.DoNotWrapExceptions, null, [.. all, .. bound.GetParameters().Skip(all.Length).Select(p => p.DefaultValue)], null)!;
        }

        throw new Xunit.Sdk.XunitException($"{name} takes no {arguments[0].GetType()}");
    }

    private static MethodInfo? Bind(MethodInfo method, object[] arguments)
    {
        if (!method.IsGenericMethodDefinition)
        {
            var parameters = method.GetParameters();
            return parameters.Length >= arguments.Length && parameters.Zip(arguments).All(pair => pair.First.ParameterType.IsInstanceOfType(pair.Second)) ? method : null;
        }

        // The one type argument is that of the model parameters, which the trainer's or transformer's own type tells.
        var types = arguments.SelectMany(argument => argument.GetType().GetInterfaces().Append(argument.GetType())).Where(type => type.IsGenericType).SelectMany(type => type.GetGenericArguments());
        foreach (var type in types.Distinct().Where(_ => method.GetGenericArguments().Length == 1))
        {
            try
            {
                if (Bind(method.MakeGenericMethod(type), arguments) is { } bound)
                    return bound;
            }
            catch (ArgumentException)
            {
                // The type does not meet the method's constraint: it is not the one.
            }
        }

        return null;
    }
}
