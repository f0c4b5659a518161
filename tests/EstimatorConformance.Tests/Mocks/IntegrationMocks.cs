using Microsoft.ML;

namespace MlNetMlp.Conformance.Tests.Mocks;

internal static class IntegrationMocks
{
    [Mock(39, "PermutationFeatureImportance takes no")]
    public static Subject GivesAModelOfNoKind() => new Faulty(EstimatorTask.Regression) { Trained = (_, model) => new FaultyModel(model) };

    [Mock(39, "a fold of CrossValidate has a metric")]
    public static Subject NeedsAllRows() => new Faulty(EstimatorTask.Multiclass)
    {
        Input = (ml, data) => data.GetRowCount() is null ? ml.Data.TakeRows(data, 3) : data,
    };
}
