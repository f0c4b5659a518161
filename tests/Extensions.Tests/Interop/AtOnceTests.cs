using Microsoft.ML;
using MlNetMlp.Networks;
using MlNetMlp.Tests.Scoring;
using MlNetMlp.Tests.Support;

namespace MlNetMlp.Tests.Interop;

/// <summary>Many at once give what each gives alone.</summary>
public sealed class AtOnceTests
{
    [Theory]
    [InlineData(TaskKind.Regression, true)]
    [InlineData(TaskKind.Multiclass, false)]
    public void Eight_fits_at_once_give_the_bits_of_one(TaskKind task, bool isDense)
    {
        var alone = Fitted.Scores(Fitted.Pipeline(task, Fitted.Options(task, isDense)).Fit(Fitted.Data));
        var scores = new float[8][];

        Parallel.For(0, scores.Length, new() { MaxDegreeOfParallelism = scores.Length }, i => scores[i] = Fitted.Scores(Fitted.Pipeline(task, Fitted.Options(task, isDense)).Fit(Fitted.Data)));

        Assert.All(scores, some => Bits.Equal(alone, some));
    }

    [Theory]
    [MemberData(nameof(Fitted.Kinds), MemberType = typeof(Fitted))]
    public void Sixteen_threads_get_the_scores_of_one_from_views_and_row_scorers(TaskKind task, bool isDense)
    {
        var model = Fitted.Model(task, isDense);
        var alone = Fitted.Scores(model);
        var scorer = model.CreateRowScorer(Fitted.Data.Schema, ["Score"]);
        var row = Rows.Make(Fitted.FewRows)[0];
        var values = new Dictionary<string, object?> { ["Features"] = row.Features, ["Number"] = row.Number, ["Weight"] = row.Weight };
        var expected = Scores(scorer.Score(values)["Score"]);

        Parallel.For(0, 64, new() { MaxDegreeOfParallelism = 16 }, i =>
        {
            if (i % 2 == 0)
                Bits.Equal(alone, Fitted.Scores(model));
            else
                Bits.Equal(expected, Scores(scorer.Score(values)["Score"]));
        });

        static float[] Scores(object? score) => score as float[] ?? [(float)score!];
    }
}
