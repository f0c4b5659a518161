using System.Reflection;
using Microsoft.ML;
using Microsoft.ML.Data;

namespace MlNetMlp.Conformance.Checks;

/// <summary>ML.NET's own tools that take a trainer or a model.</summary>
internal static class IntegrationChecks
{
    [Check(39, "CrossValidate, PermutationFeatureImportance, OneVersusAll, calibrators, ChangeModelThreshold and a validation set accept it", IsSlow = true)]
    public static void ToolsAcceptIt(Trial trial)
    {
        CrossValidates(trial);
        ExplainsItself(trial);
        if (trial.Task == EstimatorTask.Binary)
        {
            Calibrates(trial);
            ChangesItsThreshold(trial);
            ServesOneVersusAll(trial);
        }

        var judged = trial.Trainer().GetType().GetMethod("Fit", [typeof(IDataView), typeof(IDataView)]);
        if (judged?.Invoke(trial.Trainer(), [trial.Data, trial.OtherData]) is ITransformer model)
            trial.Score(model).ShouldBeFinite("a model trained with a validation set");
    }

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
            Assert.True(value > 0.3, $"a fold of CrossValidate has a metric of {value:0.000}");
            trial.Score(model).ShouldBeFinite("a model of CrossValidate");
        }
    }

    // The labels depend on the first two features and on no other.
    private static void ExplainsItself(Trial trial)
    {
        var loss = trial.Task switch
        {
            EstimatorTask.Regression => trial.Ml.Regression.PermutationFeatureImportance(trial.Model, trial.Data).Values.Select(m => m.RSquared.Mean),
            EstimatorTask.Binary => trial.Ml.BinaryClassification.PermutationFeatureImportanceNonCalibrated(trial.Model, trial.Data).Values.Select(m => m.Accuracy.Mean),
            _ => trial.Ml.MulticlassClassification.PermutationFeatureImportance(trial.Model, trial.Data).Values.Select(m => m.MicroAccuracy.Mean),
        };
        var importance = loss.Select(change => -change).ToArray();
        Assert.Equal(trial.Traits.FeatureCount, importance.Length);
        Assert.True(importance.Order().TakeLast(2).All(most => most > 0.02), $"PermutationFeatureImportance finds {string.Join(' ', importance)}");
    }

    private static void Calibrates(Trial trial)
    {
        var calibrator = trial.Ml.BinaryClassification.Calibrators.Platt().Fit(trial.Model.Transform(trial.Data));
        var calibrated = ScoredRows.Read(calibrator.Transform(trial.Model.Transform(trial.OtherData)));
        Assert.True(calibrated.Probabilities!.All(p => p is >= 0 and <= 1), "a calibrator gives a probability outside of [0, 1]");
    }

    private static void ChangesItsThreshold(Trial trial)
    {
        var changed = (ITransformer)Call(nameof(BinaryClassificationCatalog.ChangeModelThreshold), trial.Ml.BinaryClassification, Last(trial.Model), float.MaxValue);
        Assert.True(trial.Score(changed).Predicted!.All(label => label == bool.FalseString), "a threshold above all scores does not make all rows negative");
    }

    private static void ServesOneVersusAll(Trial trial)
    {
        var data = Samples.View(trial.Ml, EstimatorTask.Multiclass, trial.Rows, trial.Traits.FeatureCount);
        var trainer = (IEstimator<ITransformer>)Call("OneVersusAll", trial.Ml.MulticlassClassification.Trainers, trial.Trainer());
        var accuracy = trial.Ml.MulticlassClassification.Evaluate(trainer.Fit(data).Transform(data)).MicroAccuracy;
        Assert.True(accuracy > 0.6, $"OneVersusAll has an accuracy of {accuracy:0.000}");
    }

    private static ITransformer Last(ITransformer model) => model is IEnumerable<ITransformer> chain ? chain.Last() : model;

    // ML.NET's methods are generic in the type of the model; a compiler would find them where the type of the trainer is written down.
    private static object Call(string name, object catalog, params object[] arguments)
    {
        var assemblies = AppDomain.CurrentDomain.GetAssemblies().Where(a => a.GetName().Name is { } n && (n.StartsWith("Microsoft.ML", StringComparison.Ordinal) || n.StartsWith("MlNetMlp", StringComparison.Ordinal)));
        var extensions = assemblies.SelectMany(a => a.GetExportedTypes()).Where(type => type is { IsAbstract: true, IsSealed: true }).SelectMany(type => type.GetMethods(BindingFlags.Public | BindingFlags.Static));
        foreach (var method in extensions.Concat(catalog.GetType().GetMethods()).Where(method => method.Name == name))
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
            return method.GetParameters().Zip(arguments).All(pair => pair.First.ParameterType.IsInstanceOfType(pair.Second)) ? method : null;

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
