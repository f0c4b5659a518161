using System.ComponentModel.DataAnnotations;
using Microsoft.ML;
using MlNetMlp.Data;
using MlNetMlp.Interop;
using MlNetMlp.Methods;
using MlNetMlp.Networks;
using MlNetMlp.Runtime;
using MlNetMlp.Scoring;
using MlNetMlp.Training;
using static TorchSharp.torch;

namespace MlNetMlp.Bench;

/// <summary>What adversarial training is elsewhere: one hidden layer of ReLU units trained by AdamW on rows that projected gradient steps have moved.</summary>
internal sealed class AttackedMlp(AttackedMlp.Options options) : INetworkMethod
{
    private const int Units = 64;
    private const int Steps = 10;

    public sealed record Options : GradientTrainedOptions
    {
        /// <summary>How far each feature may move, in units of <see cref="Unit"/>.</summary>
        [Range(0, double.MaxValue)]
        public double Epsilon { get; init; } = 0.1;

        /// <summary>The unit.</summary>
        public PerturbationUnit Unit { get; init; } = PerturbationUnit.StandardDeviation;
    }

    public string Name => nameof(AttackedMlp);

    NetworkOptions INetworkMethod.Options => options;

    public Network Fit(TrainingSet data, TaskHead head, TrainingRun run)
    {
        var builder = new HiddenLayerBuilder(
            data.FeatureCount, Units, Activation.Relu, new double[head.Outputs], 1, ([.. data.Statistics.Mean], [.. data.Statistics.Scale().Select(s => 1 / s)]));
        builder.Add(new(Draw(Units * data.FeatureCount, data.FeatureCount), new float[Units], Draw(Units * head.Outputs, Units), new float[head.Outputs]), 1);
        var network = builder.Build(1);
        using var radius = tensor(options.Unit.For(data.Statistics)).Times(options.Epsilon);
        run.Minimize(network, data, head, options.ToSettings(data.RowCount), (trained, batch) =>
            head.Loss(trained.call(batch.Features.Plus(Move(trained, batch))), batch.Labels, batch.Weights));
        network.eval();
        return network;

        float[] Draw(int count, int inputs)
        {
            using var drawn = empty(count).normal_(0, Math.Sqrt(2.0 / inputs), run.Random.Weights);
            return drawn.data<float>().ToArray();
        }

        Tensor Move(Network trained, RowBlock batch)
        {
            using var scope = NewDisposeScope();
            var move = rand(batch.Features.shape, generator: run.Random.Training).Times(2).Plus(-1).mul(radius);
            for (var step = 0; step < Steps; step++)
            {
                var x = batch.Features.Plus(move).requires_grad_();
                using var loss = head.Loss(trained.call(x), batch.Labels);
                var next = move.clone();
                next.AddScaled(autograd.grad([loss], [x])[0].sign().mul(radius), 0.25);
                move = next.minimum(radius).maximum(radius.neg());
            }

            return move.MoveToOuterDisposeScope();
        }
    }
}

/// <summary>Makes the trainer.</summary>
internal static class AttackedMlpCatalog
{
    public static NetworkTrainer<BinaryNetworkModel> CreateAttackedTrainer(
        this BinaryClassificationCatalog.BinaryClassificationTrainers catalog, AttackedMlp.Options options) => catalog.CreateTrainer(new AttackedMlp(options));
}
