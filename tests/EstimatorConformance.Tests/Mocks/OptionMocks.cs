using System.ComponentModel.DataAnnotations;
using Microsoft.ML;
using MlNetMlp.Methods;
using MlNetMlp.Tests.Support;

namespace MlNetMlp.Conformance.Tests.Mocks;

internal static class OptionMocks
{
    [Mock(1, "new options against the short overload")]
    public static Subject HasTwoSetsOfDefaults() => new Faulty(EstimatorTask.Regression) { Options = options => (PlainMlp.Options)options with { Epochs = 3 } };

    [Mock(2, "Hidden = 0: not refused")]
    public static Subject MendsBadOptionsInSilence() => new Faulty(EstimatorTask.Regression)
    {
        Options = options => (PlainMlp.Options)options with { Hidden = Math.Clamp(((PlainMlp.Options)options).Hidden, 1, 100_000) },
    };

    [Mock(3, "have a default that their documentation does not say: Depth")]
    public static Subject IsSilentOnADefault() => new Faulty(EstimatorTask.Regression) { Defaults = () => new Terse() };

    [Mock(3, "have no declared range: Width")]
    public static Subject HasNoRange() => new Faulty(EstimatorTask.Regression) { Defaults = () => new Boundless() };

    [Mock(4, "two sets of the same options are not equal")]
    public static Subject HasOptionsThatAreNotValues() => new Faulty(EstimatorTask.Regression)
    {
        Defaults = () =>
        {
            var smoothing = 0.0;
            return new PlainMlp.Options { Loss = (network, batch) => network.call(batch.Features).flatten().sub(batch.Labels).square().mean().add(smoothing) };
        },
    };

    [Mock(4, "after the options that the trainer was made from were edited")]
    public static Subject ReadsItsOptionsLate() => new LateSubject();

    [Mock(5, "the options are others after JSON")]
    public static Subject LosesAnOptionInJson() => new Faulty(EstimatorTask.Regression) { Defaults = () => new PlainMlp.Options { Loss = Plain } };

    private static TorchSharp.torch.Tensor Plain(Networks.Network network, Data.RowBlock batch) => network.call(batch.Features).flatten().sub(batch.Labels).square().mean();

    /// <summary>Options whose documentation leaves something out.</summary>
    public sealed record Terse : NetworkOptions
    {
        /// <summary>Layers, in [1, 9].</summary>
        [Range(1, 9)]
        public int Depth { get; init; } = 4;
    }

    /// <summary>Options that say nothing of a range.</summary>
    public sealed record Boundless : NetworkOptions
    {
        /// <summary>Units, 4 by default.</summary>
        public int Width { get; init; } = 4;
    }

    /// <summary>Options that can be edited.</summary>
    public sealed class EditableOptions : IEquatable<EditableOptions>
    {
        public int Epochs { get; set; } = 30;

        public bool Equals(EditableOptions? other) => other?.Epochs == Epochs;

        public override bool Equals(object? obj) => Equals(obj as EditableOptions);

        public override int GetHashCode() => Epochs;
    }

    private sealed class LateSubject() : Subject("Late", EstimatorTask.Regression, new LateProfile())
    {
        public override Type OptionsType => typeof(EditableOptions);

        public override IEstimator<ITransformer> Create(MLContext ml, object options) => new LateTrainer(ml, (EditableOptions)options);

        public override IEstimator<ITransformer> CreateShort(MLContext ml, string label, string features) => Create(ml, new EditableOptions());
    }

    private sealed class LateProfile() : ConformanceProfile("Late");

    private sealed class LateTrainer(MLContext ml, EditableOptions options) : IEstimator<ITransformer>
    {
        private Interop.NetworkTrainer<Interop.RegressionNetworkModel> Right => ml.Regression.Trainers.PlainMlp(new PlainMlp.Options { Epochs = options.Epochs, Seed = 1 });

        public ITransformer Fit(IDataView input) => Right.Fit(input);

        public SchemaShape GetOutputSchema(SchemaShape inputSchema) => Right.GetOutputSchema(inputSchema);
    }
}
