using MlNetMlp.Scoring;

namespace MlNetMlp.Tests.Scoring;

public class DenseProgramBuilderTests
{
    [Fact]
    public void Wrong_sizes_are_refused_by_step_expected_and_found()
    {
        var builder = new DenseProgramBuilder(3);
        DenseRegister h = builder.Dense(builder.Input, new float[6], new float[2], 2);
        Refused(
            "Step 2 (Dense): weights hold 5 values, expected 6: 2 outputs x 3 inputs.",
            () => builder.Dense(builder.Input, new float[5], default, 2));
        Refused("Step 3 (Dense): bias holds 1 values, expected 2.", () => builder.Dense(builder.Input, new float[6], new float[1], 2));
        Refused("Step 4 (Dense): outputs is 0, expected at least 1.", () => builder.Dense(builder.Input, default, default, 0));
        Refused(
            "Step 5 (AddDense): weights hold 9 values, expected 6: 2 outputs x 3 inputs.",
            () => builder.AddDense(h, builder.Input, new float[9], default));
        Refused("Step 6 (Add): the register added holds 3 values, expected 2.", () => builder.Add(h, builder.Input));
        Refused("Step 7 (LayerNorm): gain holds 1 values, expected 2.", () => builder.LayerNorm(h, new float[1], default));
        Refused("Step 8 (LayerNorm): shift holds 3 values, expected 2.", () => builder.LayerNorm(h, default, new float[3]));
        Refused(
            "Step 9 (LayerNorm): epsilon is -1, expected a finite number of at least 0.",
            () => builder.LayerNorm(h, default, default, -1));
        Refused("Step 10 (Affine): shift holds 0 values, expected 2.", () => builder.Affine(h, default, new float[2]));
        Refused("Step 11 (Affine): scale holds 4 values, expected 2.", () => builder.Affine(h, new float[2], new float[4]));
        Refused("Step 12 (Elementwise): activation is 99, expected a named one.", () => builder.Elementwise(h, (Activation)99));
        Refused("A program needs at least 1 input, found 0.", () => _ = new DenseProgramBuilder(0));
    }

    [Fact]
    public void Registers_of_another_builder_are_refused()
    {
        var builder = new DenseProgramBuilder(3);
        DenseRegister stranger = new DenseProgramBuilder(3).Input;
        Refused("Step 1 (Elementwise): the register belongs to another builder", () => builder.Elementwise(stranger, Activation.Relu));
        Refused("Step 2 (Elementwise): the register belongs to another builder", () => builder.Elementwise(default, Activation.Relu));
        Refused("Step 3 (Add): the register belongs to another builder", () => builder.Add(builder.Input, stranger));
        Refused("Build: the register belongs to another builder", () => builder.Build(stranger));
    }

    [Fact]
    public void A_refused_step_leaves_no_trace()
    {
        var builder = new DenseProgramBuilder(2);
        Assert.Throws<ArgumentException>(() => builder.Dense(builder.Input, new float[3], default, 2));
        DenseProgram program = builder.Build(builder.Dense(builder.Input, [1, 2], default, 1));
        Assert.Equal([3f], program.ScoreAll([1, 1]));
        Assert.Equal(2, program.ParameterCount);
    }

    [Fact]
    public void Values_are_copied_and_counted()
    {
        var builder = new DenseProgramBuilder(2);
        float[] weights = [1, 2, 3, 4], bias = [10, 20];
        DenseRegister h = builder.Dense(builder.Input, weights, bias, 2);
        DenseRegister n = builder.LayerNorm(builder.Affine(h, [0, 0], [1, 1]), [1, 1], default);
        Array.Clear(weights);
        Array.Clear(bias);
        Assert.Equal([13f, 27f], builder.Build(h).ScoreAll([1, 1]));
        Assert.Equal(6 + 4 + 2, builder.Build(n).ParameterCount);
    }

    [Fact]
    public void A_program_does_not_see_steps_added_after_it_was_built()
    {
        var builder = new DenseProgramBuilder(1);
        DenseRegister h = builder.Elementwise(builder.Input, Activation.Identity);
        DenseProgram before = builder.Build(h);
        builder.Add(h, builder.Input);
        Assert.Equal([4f], before.ScoreAll([4]));
        Assert.Equal([8f], builder.Build(h).ScoreAll([4]));
    }

    [Fact]
    public void Layer_norm_without_gain_and_shift_is_standardisation()
    {
        var builder = new DenseProgramBuilder(3);
        float[] y = builder.Build(builder.LayerNorm(builder.Input, default, default, 0)).ScoreAll([1, 2, 3]);
        Assert.Equal([-MathF.Sqrt(1.5f), 0, MathF.Sqrt(1.5f)], y, (a, b) => MathF.Abs(a - b) < 1e-6f);
    }

    [Fact]
    public void Spans_that_are_not_whole_rows_are_refused()
    {
        var builder = new DenseProgramBuilder(3);
        DenseProgram program = builder.Build(builder.Dense(builder.Input, new float[6], default, 2));
        Refused("Rows hold 4 values, expected a multiple of 3.", () => program.Score(new float[4], new float[2]));
        Refused("Scores hold 3 values, expected 4: 2 rows of 2.", () => program.Score(new float[6], new float[3]));
        program.Score(default, default);
    }

    private static void Refused(string message, Action call) => Assert.StartsWith(message, Assert.Throws<ArgumentException>(call).Message);

    private static void Refused<T>(string message, Func<T> call) => Refused(message, () => { _ = call(); });
}
