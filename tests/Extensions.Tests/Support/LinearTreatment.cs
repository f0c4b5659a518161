using MlNetMlp.Data;
using MlNetMlp.Methods;
using MlNetMlp.Networks;
using MlNetMlp.Training;
using static TorchSharp.torch;

namespace MlNetMlp.Tests.Support;

/// <summary>
/// The smallest method of treatments, as a stranger would write it: a linear function of the covariates for each arm, or one of the covariates and the dose.
/// </summary>
public sealed class LinearTreatment(LinearTreatment.Options options) : ITreatmentMethod
{
    public sealed record Options : GradientTrainedOptions
    {
        public string? ReferenceArm { get; init; }

        public int Doses { get; init; } = 3;

        public bool ForgetsTreatments { get; init; }
    }

    public string Name => nameof(LinearTreatment);

    NetworkOptions INetworkMethod.Options => options;

    public TreatmentInput Treatment => new("Treatment", options.ReferenceArm, options.Doses, []);

    public Network Fit(TrainingSet data, TaskHead head, TrainingRun run)
    {
        var treatments = ((TreatmentHead)head).Treatments;
        var network = (LinearTreatmentNetwork)run.Create(new LinearTreatmentDefinition
        {
            Inputs = data.FeatureCount, Outputs = head.Outputs, Layout = data.Layout, Treatments = options.ForgetsTreatments ? treatments with { Reference = 1 } : treatments,
        });
        network.IsFactual = true;
        run.Minimize(network, data, head, options.ToSettings(data.RowCount));
        network.IsFactual = false;
        return network;
    }
}

public sealed record LinearTreatmentDefinition : TreatmentDefinition
{
    [System.Text.Json.Serialization.JsonIgnore]
    public int Lines => Treatments.AreArms ? Treatments.Count : 1;

    [System.Text.Json.Serialization.JsonIgnore]
    public int Terms => Layout!.FeatureWidth + (Treatments.AreArms ? 0 : 1);

    public override long WeightCount => Lines * (Terms + 1L);

    public override Network Build(Device device) => new LinearTreatmentNetwork(this, device);
}

public sealed class LinearTreatmentNetwork : TreatmentNetwork
{
    private readonly LinearTreatmentDefinition _definition;
    private readonly Dense lines;

    public LinearTreatmentNetwork(LinearTreatmentDefinition definition, Device device)
        : base(definition)
    {
        _definition = definition;
        lines = new Dense(definition.Terms, definition.Lines, device);
        RegisterComponents();
    }

    public override void Initialize(Generator random) => lines.Initialize(random);

    protected override Tensor Encode(Tensor x) => x.narrow(1, 0, _definition.Layout!.FeatureWidth);

    protected override Tensor Outcomes(Tensor encoded, Tensor treatments)
    {
        if (_definition.Treatments.AreArms)
            return lines.call(encoded).gather(1, treatments.to_type(ScalarType.Int64));
        var (rows, doses) = (encoded.shape[0], treatments.shape[1]);
        return lines.call(cat([encoded.unsqueeze(1).expand(rows, doses, -1), treatments.unsqueeze(2)], 2)).squeeze(2);
    }
}
