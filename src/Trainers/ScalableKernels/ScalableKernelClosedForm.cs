using MlNetMlp.Data;
using MlNetMlp.Networks;
using MlNetMlp.RandomFeatures;
using MlNetMlp.Training;
using TorchSharp;
using static TorchSharp.torch;

namespace MlNetMlp.ScalableKernels;

/// <summary>Solves for the last matrix of a stack whose other parts stay as they are.</summary>
internal sealed class ScalableKernelClosedForm(TrainingSet data, TaskHead head, TrainingRun run, ScalableKernelNetwork.Options options)
{
    // Rows by which a penalty is chosen.
    private const int SampleRows = 5000;

    private readonly ReadoutFit _readouts = new(data, head, run, options);

    private bool IsCrossEntropy => options.Readout == ScalableKernelReadout.CrossEntropy;

    public void Solve(ScalableKernelStack network)
    {
        if (IsCrossEntropy && head is not (BinaryHead or MulticlassHead))
            throw new InvalidOperationException($"The option 'Readout' is {options.Readout}, which is for classification. Choose LeastSquares for regression.");
        if (IsCrossEntropy && run.IsContinued)
            throw new InvalidOperationException("With the option 'InitialModel' the last matrix is solved for from sums: 'Readout' must be LeastSquares.");
        data.MoveTo(run.Device);
        using var earlier = run.IsContinued ? _readouts.EarlierSums(options.FeatureCount) : null;
        var rows = new FeatureRows(data, head, run, new ScalableKernelMap(network));
        using var sample = data.Sample(SampleRows);
        var solution = _readouts.Solve(rows, sample, earlier);
        using var readout = solution.Readout;
        if (_readouts.NeedsCalibration)
            _readouts.Calibrate(rows, readout);
        network.SetReadout(readout);
        network.to(CPU);
        network.eval();
        _readouts.Finish(network, solution, $"{rows.Features} features");
    }
}
