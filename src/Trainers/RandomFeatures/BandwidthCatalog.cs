using MlNetMlp.Data;
using MlNetMlp.Interop;
using MlNetMlp.Methods;
using MlNetMlp.Networks;
using MlNetMlp.RandomFeatures;
using MlNetMlp.Training;

namespace Microsoft.ML
{
    /// <summary>Tells from data what range random weights should be drawn from.</summary>
    public static class BandwidthCatalog
    {
        extension(RegressionCatalog catalog)
        {
            /// <summary>
            /// Tries a grid of weight scales with an eighth, a quarter, half and all of the hidden units on up to 5,000 rows:
            /// <c>mlContext.Regression.EvaluateBandwidth(data, new() { HiddenUnits = 400 })</c>. Where the options give a weight scale, the report says
            /// whether it is the right one.
            /// </summary>
            public DataEvaluation<RandomFeatureNetwork.Options, BandwidthReport> EvaluateBandwidth => (data, options) =>
                catalog.Trainers.CreateTrainer(new BandwidthEvaluation(options ?? new())).Fit(data).Model.Network.GetDiagnostics<BandwidthReport>()!;
        }
    }
}

namespace MlNetMlp.RandomFeatures
{
    /// <summary>A method whose network is a constant, and whose diagnostics are what it is for.</summary>
    internal sealed class BandwidthEvaluation(RandomFeatureNetwork.Options options) : INetworkMethod
    {
        public string Name => "EvaluateBandwidth";

        NetworkOptions INetworkMethod.Options => options;

        public Network Fit(TrainingSet data, TaskHead head, TrainingRun run)
        {
            data.MoveTo(run.Device);
            using var sample = data.Sample(BandwidthSweep.SampleRows);
            var layer = RandomLayer.Draw(options, options.HiddenUnits, data.Statistics, sample.Features, run.Random.Weights);
            using var sweep = new BandwidthSweep(head, run, sample, layer, (ridge, rows) => ReadoutSolver.Choose(ReadoutFit.Settings(options), ridge, rows));
            var grid = RandomLayer.FixedScale(options) is { } only ? [only] : RandomFeatureNetworkFit.Grid(options);
            run.KeepDiagnostics(sweep.Run(grid, options.WeightScale, allWidths: true));
            return new HiddenLayerBuilder(data.FeatureCount, 1, layer.Activation, new double[head.Outputs]).Build(0);
        }
    }
}
