using Microsoft.ML;

namespace MlNetMlp.Conformance.Tests.Mocks;

internal static class SchemaMocks
{
    [Mock(6, "PredictedLabel")]
    public static Subject PromisesNoPredictedLabel() => new Faulty(EstimatorTask.Binary)
    {
        Promise = shape => (SchemaShape)Activator.CreateInstance(typeof(SchemaShape), shape.Where(column => column.Name != "PredictedLabel"))!,
    };
}
