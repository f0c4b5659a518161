using Microsoft.ML;
using Microsoft.ML.Data;

namespace Tabular;

/// <summary>Predicts whether somebody earns more than 50,000 dollars a year; needs the model file only.</summary>
internal static partial class IncomeModel
{
    public static string ModelPath { get; } = Path.GetFullPath(Path.Combine("tabular-output", "income.zip"));

    private static readonly Lazy<PredictionEngine<ModelInput, ModelOutput>> Engine = new(() =>
    {
        var ml = new MLContext();
        return ml.Model.CreatePredictionEngine<ModelInput, ModelOutput>(ModelFile.Load(ml, ModelPath, out _));
    });

    /// <summary>Predicts with the saved model, loaded at the first call. A prediction engine serves one thread at a time.</summary>
    public static ModelOutput Predict(ModelInput input) => Engine.Value.Predict(input);

    internal sealed class ModelInput
    {
        [LoadColumn(0), ColumnName("age")]
        public float Age { get; set; }

        [LoadColumn(1), ColumnName("workclass")]
        public string WorkClass { get; set; } = "";

        [LoadColumn(2), ColumnName("fnlwgt")]
        public float Weight { get; set; }

        [LoadColumn(3), ColumnName("education")]
        public string Education { get; set; } = "";

        [LoadColumn(4), ColumnName("education-num")]
        public float EducationYears { get; set; }

        [LoadColumn(5), ColumnName("marital-status")]
        public string MaritalStatus { get; set; } = "";

        [LoadColumn(6), ColumnName("occupation")]
        public string Occupation { get; set; } = "";

        [LoadColumn(7), ColumnName("relationship")]
        public string Relationship { get; set; } = "";

        [LoadColumn(8), ColumnName("race")]
        public string Race { get; set; } = "";

        [LoadColumn(9), ColumnName("sex")]
        public string Sex { get; set; } = "";

        [LoadColumn(10), ColumnName("capital-gain")]
        public float CapitalGain { get; set; }

        [LoadColumn(11), ColumnName("capital-loss")]
        public float CapitalLoss { get; set; }

        [LoadColumn(12), ColumnName("hours-per-week")]
        public float HoursPerWeek { get; set; }

        [LoadColumn(13), ColumnName("native-country")]
        public string NativeCountry { get; set; } = "";

        [LoadColumn(14), ColumnName("income")]
        public bool Income { get; set; }
    }

    internal sealed class ModelOutput
    {
        /// <summary>Whether the income is predicted to be above 50,000 dollars.</summary>
        [ColumnName("PredictedLabel")]
        public bool PredictedLabel { get; set; }

        /// <summary>How probable that is.</summary>
        [ColumnName("Probability")]
        public float Probability { get; set; }
    }
}
