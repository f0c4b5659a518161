using System.ComponentModel.DataAnnotations;
using System.Globalization;
using Microsoft.ML;
using MlNetMlp.Explain;
using MlNetMlp.Interop;
using MlNetMlp.Layers;
using MlNetMlp.Networks;
using MlNetMlp.Options;

namespace Microsoft.ML
{
    /// <summary>Changes which codes stand for what in models with codebooks.</summary>
    public static class CodeInterventionCatalog
    {
        /// <summary>A model like another in which codes are activated or switched off, whatever a row is; scores, codes and explanations follow. It can be saved.</summary>
        /// <typeparam name="TModel">The type of the model, which the other one has too.</typeparam>
        /// <param name="model">A fitted or loaded model of codes, alone or in a chain, in which the last such is meant; it stays as it is.</param>
        /// <param name="layer">The hidden layer behind which the codes stand, from 1: 2 of slot <c>L2.G0.#0</c>. 1 for <c>VectorQuantize</c>.</param>
        /// <param name="group">The group of codes, from 0: 0 of slot <c>L2.G0.#0</c>.</param>
        /// <param name="force">Ids of codes, from 0 as <c>MapKeyToValue</c> gives them, that stand for every row; at most K.</param>
        /// <param name="disable">Ids of codes that stand for no row.</param>
        /// <param name="keepK">Whether <paramref name="force"/> is filled up to K codes with those most similar to the row; else there are no others, and the slots left are missing keys.</param>
        /// <returns>The other model. What was done to the same group before is taken back; without ids nothing is done to it.</returns>
        /// <exception cref="ArgumentException">The model has no codes.</exception>
        /// <exception cref="ArgumentOutOfRangeException">There is no such layer, group or code; an id stands twice; or fewer than K codes are left.</exception>
        public static TModel WithCodes<TModel>(
            this TModel model, int layer, int group, IReadOnlyList<int>? force = null, IReadOnlyList<int>? disable = null, bool keepK = true)
            where TModel : class, ITransformer
        {
            ArgumentNullException.ThrowIfNull(model);
            var wanted = new CodeIntervention
            {
                Layer = layer,
                Edit = new() { Group = group, Force = [.. force ?? []], Disable = [.. disable ?? []], KeepK = keepK },
            };
            return NetworkModel.WithDefinition(model, definition => definition is ICodebookDefinition codes ? Change(codes, wanted) : null)
                ?? throw new ArgumentException("The model has no codes.", nameof(model));
        }

        private static NetworkDefinition Change(ICodebookDefinition definition, CodeIntervention wanted)
        {
            if (wanted.FaultIn(definition) is { } fault)
                throw new ArgumentOutOfRangeException(nameof(wanted), $"WithCodes: {fault}.");
            var others = definition.Interventions.Where(known => (known.Layer, known.Edit.Group) != (wanted.Layer, wanted.Edit.Group));
            return definition.With(
                wanted.Edit.Force.Count + wanted.Edit.Disable.Count == 0 ? [.. others] : [.. others.Append(wanted).OrderBy(known => (known.Layer, known.Edit.Group))]);
        }
    }
}

namespace MlNetMlp.Explain
{
    /// <summary>What is done to codes of a fitted model. It stands in the model file.</summary>
    public sealed record CodeIntervention
    {
        /// <summary>The hidden layer behind which the codes stand, from 1.</summary>
        [Range(1, 64)]
        public required int Layer { get; init; }

        /// <summary>The group, and its codes that are always or never taken.</summary>
        [Required]
        public required CodeEdit Edit { get; init; }

        /// <summary>What is wrong with it in a network; null for nothing.</summary>
        internal string? FaultIn(ICodebookDefinition definition)
        {
            var shape = definition.Codes;
            if (!definition.CodebookLayers.Contains(Layer))
                return $"there are no codes behind layer {Layer}, only behind {string.Join(", ", definition.CodebookLayers)}";
            if (Edit.Group < 0 || Edit.Group >= shape.Groups)
                return $"group must be at least 0 and at most {shape.Groups - 1}, but was {Edit.Group}";
            if (Edit.Force.Count > shape.K)
                return $"{Edit.Force.Count} codes cannot be forced where {shape.K} stand for a row";
            int[] named = [.. Edit.Force, .. Edit.Disable];
            if (Array.Find(named, id => id < 0 || id >= shape.NumCodes) is var outside && named.Any(id => id < 0 || id >= shape.NumCodes))
                return $"codes must be at least 0 and at most {shape.NumCodes - 1}, but one was {outside}";
            if (named.Distinct().Count() != named.Length)
                return "each code can be named once only";
            return shape.NumCodes - Edit.Disable.Count < shape.K ? $"without {Edit.Disable.Count} of {shape.NumCodes} codes fewer than {shape.K} are left" : null;
        }
    }

    /// <summary>A network in which codes stand in the place of activations.</summary>
    internal interface ICodebookDefinition
    {
        /// <summary>The layers behind which codes stand, from 1, ascending.</summary>
        ValueList<int> CodebookLayers { get; }

        /// <summary>The shape of all codebooks.</summary>
        CodebookShape Codes { get; }

        /// <summary>What is done to codes.</summary>
        ValueList<CodeIntervention> Interventions { get; }

        /// <summary>The same network with other interventions.</summary>
        NetworkDefinition With(ValueList<CodeIntervention> interventions);

        /// <summary>What is done to the codes behind a layer.</summary>
        IReadOnlyList<CodeEdit> Edits(int layer) => [.. Interventions.Where(known => known.Layer == layer).Select(known => known.Edit)];

        /// <summary>What is wrong with the interventions.</summary>
        IEnumerable<ValidationResult> Faults() => Interventions.Select(known => known.FaultIn(this)).OfType<string>().Select(fault => new ValidationResult(fault));
    }

    /// <summary>The columns of codes.</summary>
    internal static class CodeColumns
    {
        /// <summary>Slots of a column at most: a row of more codes can neither be read nor kept.</summary>
        private const long MostSlots = 1 << 16;

        /// <summary>What is wrong with the size of the column; null for nothing.</summary>
        public static string? FaultOf(int layers, int groups, int k) => (long)layers * groups * k > MostSlots
            ? $"layers with codes times 'Groups' times 'K' must be at most {MostSlots}, but are {layers} times {groups} times {k}"
            : null;

        /// <summary>The ids of the codes of each layer and group, and how similar they are to what they stand for.</summary>
        public static AddedColumn[] Of(string name, IEnumerable<int> layers, int groups, int k, int codes)
        {
            string[] slots =
            [
                .. from layer in layers from @group in Enumerable.Range(0, groups) from place in Enumerable.Range(0, k)
                   select string.Create(CultureInfo.InvariantCulture, $"L{layer}.G{@group}.#{place}"),
            ];
            return [new(name, slots, codes), new(name + "Similarity", slots)];
        }
    }
}
