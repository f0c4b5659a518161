using System.ComponentModel.DataAnnotations;
using System.Globalization;
using System.Text.Json.Serialization;
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
        /// <param name="layer">
        /// The layer that the codes stand in, from 1: 2 of slot <c>L2.G0.#0</c>. The hidden layer of a network, the block of a sequence model; 1 for <c>VectorQuantize</c>.
        /// </param>
        /// <param name="group">The group of codes, from 0: 0 of slot <c>L2.G0.#0</c>. Behind attention the head.</param>
        /// <param name="force">Ids of codes, from 0 as <c>MapKeyToValue</c> gives them, that stand for every row; at most K.</param>
        /// <param name="disable">Ids of codes that stand for no row.</param>
        /// <param name="keepK">Whether <paramref name="force"/> is filled up to K codes with those most similar to the row; else there are no others, and the slots left are missing keys.</param>
        /// <param name="place">Where in the layer the codes stand: <see cref="CodePlace.Attention"/> for slot <c>A2.G0.#0</c>.</param>
        /// <param name="positions">Positions of a sequence, from 0, at which it is done: 5 of slot <c>L2.G0.#0@5</c>; null for all of them.</param>
        /// <returns>The other model. What was done to the same group before is taken back, at these positions; without ids nothing is done to it.</returns>
        /// <exception cref="ArgumentException">The model has no codes.</exception>
        /// <exception cref="ArgumentOutOfRangeException">There is no such layer, group, code or position; an id or a position stands twice; or fewer than K codes are left.</exception>
        public static TModel WithCodes<TModel>(
            this TModel model, int layer, int group, IReadOnlyList<int>? force = null, IReadOnlyList<int>? disable = null, bool keepK = true, CodePlace place = CodePlace.Layer,
            IReadOnlyList<int>? positions = null)
            where TModel : class, ITransformer
        {
            ArgumentNullException.ThrowIfNull(model);
            var wanted = new CodeIntervention
            {
                Layer = layer,
                Place = place,
                Edit = new() { Group = group, Force = [.. force ?? []], Disable = [.. disable ?? []], KeepK = keepK, Positions = positions is null ? null : [.. positions.Order()] },
            };
            return NetworkModel.WithDefinition(model, definition => definition is ICodebookDefinition { Sites.Count: > 0 } codes ? Change(codes, wanted) : null)
                ?? throw new ArgumentException("The model has no codes.", nameof(model));
        }

        private static NetworkDefinition Change(ICodebookDefinition definition, CodeIntervention wanted)
        {
            if (wanted.FaultIn(definition) is { } fault)
                throw new ArgumentOutOfRangeException(nameof(wanted), $"WithCodes: {fault}.");
            var rest = definition.Interventions.Select(known => known.IsBeside(wanted) ? known : known.Without(wanted.Edit.Positions, definition.Positions)).OfType<CodeIntervention>();
            if (wanted.Edit.Force.Count + wanted.Edit.Disable.Count > 0)
                rest = rest.Append(wanted.Edit.Positions?.Count == definition.Positions ? wanted with { Edit = wanted.Edit with { Positions = null } } : wanted);
            return definition.With([.. rest.OrderBy(known => (known.Layer, known.Place, known.Edit.Group, known.Edit.Positions?[0] ?? 0))]);
        }
    }
}

namespace MlNetMlp.Explain
{
    /// <summary>Where in a layer codes stand.</summary>
    public enum CodePlace
    {
        /// <summary>Behind it: a hidden layer, or the MLP of a block of a sequence model.</summary>
        Layer,

        /// <summary>Behind the attention heads of a block of a sequence model, each of which is a group.</summary>
        Attention,
    }

    /// <summary>What is done to codes of a fitted model. It stands in the model file.</summary>
    public sealed record CodeIntervention
    {
        /// <summary>The layer that the codes stand in, from 1.</summary>
        [Range(1, 64)]
        public required int Layer { get; init; }

        /// <summary>Where in the layer they stand; <see cref="CodePlace.Layer"/> by default.</summary>
        [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingDefault)]
        public CodePlace Place { get; init; }

        /// <summary>The group, and its codes that are always or never taken.</summary>
        [Required]
        public required CodeEdit Edit { get; init; }

        /// <summary>Whether it has nothing to do with the codes of another.</summary>
        internal bool IsBeside(CodeIntervention other) => (Layer, Place, Edit.Group) != (other.Layer, other.Place, other.Edit.Group);

        /// <summary>What is left of it at other positions; null for nothing.</summary>
        internal CodeIntervention? Without(ValueList<int>? positions, int all)
        {
            if (positions is null)
                return null;
            int[] left = [.. (Edit.Positions ?? Enumerable.Range(0, all)).Except(positions)];
            return left.Length == 0 ? null : this with { Edit = Edit with { Positions = [.. left] } };
        }

        /// <summary>What is wrong with it in a network; null for nothing.</summary>
        internal string? FaultIn(ICodebookDefinition definition)
        {
            var ofPlace = definition.Sites.Where(site => site.Place == Place).ToArray();
            if (Array.Find(ofPlace, site => site.Layer == Layer) is not { Shape: var shape })
                return $"there are no codes behind {NameOf(Place)} {Layer}, only behind {string.Join(" and ", definition.Sites.GroupBy(site => site.Place).Select(group => $"{NameOf(group.Key)} {string.Join(", ", group.Select(site => site.Layer))}"))}";
            if (Edit.Group < 0 || Edit.Group >= shape.Groups)
                return $"group must be at least 0 and at most {shape.Groups - 1}, but was {Edit.Group}";
            if (Edit.Force.Count > shape.K)
                return $"{Edit.Force.Count} codes cannot be forced where {shape.K} stand for a row";
            int[] named = [.. Edit.Force, .. Edit.Disable];
            if (Array.Find(named, id => id < 0 || id >= shape.NumCodes) is var outside && named.Any(id => id < 0 || id >= shape.NumCodes))
                return $"codes must be at least 0 and at most {shape.NumCodes - 1}, but one was {outside}";
            if (named.Distinct().Count() != named.Length)
                return "each code can be named once only";
            if (shape.NumCodes - Edit.Disable.Count < shape.K)
                return $"without {Edit.Disable.Count} of {shape.NumCodes} codes fewer than {shape.K} are left";
            if (Edit.Positions is not { } positions)
                return null;
            if (positions.Count == 0 || positions.Distinct().Count() != positions.Count)
                return "positions must be null, for all of them, or name at least one, and each once only";
            return positions.Where(position => position < 0 || position >= definition.Positions).Select(position => (int?)position).FirstOrDefault() is { } wrong
                ? $"positions must be at least 0 and at most {definition.Positions - 1}, but one was {wrong}"
                : null;
        }

        private static string NameOf(CodePlace place) => place == CodePlace.Layer ? "layer" : "attention";
    }

    /// <summary>Codes that stand somewhere in a network.</summary>
    /// <param name="Layer">The layer, from 1.</param>
    /// <param name="Place">Where in it.</param>
    /// <param name="Shape">The shape of the codebook.</param>
    internal sealed record CodebookSite(int Layer, CodePlace Place, CodebookShape Shape)
    {
        /// <summary>Codes of a row, or of a position of it.</summary>
        public long Slots => (long)Shape.Groups * Shape.K;

        /// <summary>Codes of one shape behind layers.</summary>
        public static IReadOnlyList<CodebookSite> Behind(IEnumerable<int> layers, CodebookShape shape) => [.. layers.Select(layer => new CodebookSite(layer, CodePlace.Layer, shape))];

        /// <summary>What the names of its slots begin with.</summary>
        public string Name => string.Create(CultureInfo.InvariantCulture, $"{(Place == CodePlace.Layer ? 'L' : 'A')}{Layer}");
    }

    /// <summary>A network in which codes stand in the place of activations.</summary>
    internal interface ICodebookDefinition
    {
        /// <summary>Where codes stand, in the order in which a row comes by.</summary>
        IReadOnlyList<CodebookSite> Sites { get; }

        /// <summary>Positions of a row that have codes of their own: tokens of a sequence; 1 for a network of rows.</summary>
        int Positions => 1;

        /// <summary>What is done to codes.</summary>
        ValueList<CodeIntervention> Interventions { get; }

        /// <summary>The same network with other interventions.</summary>
        NetworkDefinition With(ValueList<CodeIntervention> interventions);

        /// <summary>What is done to the codes of a site.</summary>
        IReadOnlyList<CodeEdit> Edits(CodebookSite site) => [.. Interventions.Where(known => (known.Layer, known.Place) == (site.Layer, site.Place)).Select(known => known.Edit)];

        /// <summary>What is wrong with the codes and the interventions.</summary>
        IEnumerable<ValidationResult> Faults()
        {
            if (CodeColumns.FaultOf(Sites, Positions) is { } wide)
                yield return new ValidationResult(wide);
            foreach (var fault in Interventions.Select(known => known.FaultIn(this)).OfType<string>())
                yield return new ValidationResult(fault);
        }
    }

    /// <summary>The columns of codes.</summary>
    internal static class CodeColumns
    {
        /// <summary>Slots of a column at most: a row of more codes can neither be read nor kept.</summary>
        private const long MostSlots = 1 << 16;

        /// <summary>What is wrong with the size of the column; null for nothing.</summary>
        public static string? FaultOf(IReadOnlyList<CodebookSite> sites, int positions = 1) => positions * sites.Sum(site => site.Slots) is > MostSlots and var slots
            ? $"a row must have at most {MostSlots} codes, but has {(positions == 1 ? "" : $"{positions} positions of ")}{slots / positions} codes: {string.Join(", ", sites.Select(site => $"{site.Shape.Groups} times {site.Shape.K} in {site.Name}"))}"
            : null;

        /// <summary>The ids of the codes of each position, site and group, and how similar they are to what they stand for.</summary>
        public static AddedColumn[] Of(string name, IReadOnlyList<CodebookSite> sites, int positions = 1)
        {
            if (sites.Count == 0)
                return [];
            string[] slots =
            [
                .. from position in Enumerable.Range(0, positions)
                   from site in sites
                   from @group in Enumerable.Range(0, site.Shape.Groups)
                   from place in Enumerable.Range(0, site.Shape.K)
                   select string.Create(CultureInfo.InvariantCulture, $"{site.Name}.G{@group}.#{place}{(positions == 1 ? "" : $"@{position}")}"),
            ];
            return [new(name, slots, sites[0].Shape.NumCodes), new(name + "Similarity", slots)];
        }
    }
}
