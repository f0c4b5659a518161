using System.ComponentModel.DataAnnotations;
using System.Text.Json;
using MlNetMlp.Interop;
using MlNetMlp.Layers;
using MlNetMlp.Methods;
using MlNetMlp.Options;
using MlNetMlp.Vision;

namespace Microsoft.ML
{
    /// <summary>Tells how much the way to mix tokens matters on some images.</summary>
    public static class TokenMixerAblationCatalog
    {
        extension(MulticlassClassificationCatalog catalog)
        {
            /// <summary>
            /// Cross-validates a <see cref="MetaFormer"/> with each of some mixers and all else as it is:
            /// <c>mlContext.MulticlassClassification.TokenMixerAblation(data, new() { Folds = 3 })</c> is the paper's comparison, on images of one's own.
            /// </summary>
            public DataEvaluation<TokenMixerAblationOptions, MethodComparison> TokenMixerAblation => (data, options) =>
                catalog.CompareMethods(data, (options ?? new()).Methods, (options ?? new()).Folds, (options ?? new()).Seed);
        }
    }

    /// <summary>Tells how much the way to mix tokens matters on some images.</summary>
    public static class BinaryTokenMixerAblationCatalog
    {
        extension(BinaryClassificationCatalog catalog)
        {
            /// <summary>As that of multiclass classification.</summary>
            public DataEvaluation<TokenMixerAblationOptions, MethodComparison> TokenMixerAblation => (data, options) =>
                catalog.CompareMethods(data, (options ?? new()).Methods, (options ?? new()).Folds, (options ?? new()).Seed);
        }
    }

    /// <summary>Tells how much the way to mix tokens matters on some images.</summary>
    public static class RegressionTokenMixerAblationCatalog
    {
        extension(RegressionCatalog catalog)
        {
            /// <summary>As that of multiclass classification, by the root of the mean squared error.</summary>
            public DataEvaluation<TokenMixerAblationOptions, MethodComparison> TokenMixerAblation => (data, options) =>
                catalog.CompareMethods(data, (options ?? new()).Methods, (options ?? new()).Folds, (options ?? new()).Seed);
        }
    }
}

namespace MlNetMlp.Vision
{
    /// <summary>What mixers are compared, and in which network.</summary>
    public sealed record TokenMixerAblationOptions : IValidatableObject
    {
        // What a mixer is by nature is not one of its settings.
        private static readonly JsonSerializerOptions Settings = new() { IgnoreReadOnlyProperties = true };

        /// <summary>The mixers, at least one; those of this library by default, with heads of 16 channels for attention.</summary>
        [Required]
        public ValueList<TokenMixer> Mixers { get; init; } =
            [new IdentityMixer(), new RandomMatrixMixer(), new PoolingMixer(), new DepthwiseConvMixer(), new SpatialFcMixer(), new AttentionMixer { HeadDim = 16 }];

        /// <summary>
        /// All else of the network and its training; each mixer takes the place of <see cref="MetaFormer.Options.Mixer"/>. Unless <see cref="MetaFormerOptions.Norm"/> and
        /// <see cref="MetaFormerOptions.PositionMaps"/> say otherwise, each has the normalisation and the map of positions that suit it.
        /// </summary>
        [Required]
        public MetaFormer.Options Network { get; init; } = new();

        /// <summary>Number of folds, in [2, 100]; 5 by default.</summary>
        [Range(2, 100)]
        public int Folds { get; init; } = 5;

        /// <summary>Decides which rows are in which fold, at least 0; 1 by default.</summary>
        [Range(0, int.MaxValue)]
        public int Seed { get; init; } = 1;

        /// <summary>The networks to compare.</summary>
        internal IReadOnlyList<(string Name, INetworkMethod Method)> Methods
        {
            get
            {
                OptionRanges.Check(this, "TokenMixerAblation");
                return [.. Mixers.Select(mixer => (NameOf(mixer), (INetworkMethod)new MetaFormer(Network with { Mixer = mixer, Mixers = null })))];
            }
        }

        /// <inheritdoc/>
        public IEnumerable<ValidationResult> Validate(ValidationContext validationContext)
        {
            if (Mixers.Count == 0)
                yield return new("option 'Mixers' must be one at least, but was []");
        }

        private static string NameOf(TokenMixer mixer)
        {
            var settings = JsonSerializer.Serialize(mixer, mixer.GetType(), Settings);
            return mixer.GetType().Name + (settings == "{}" ? "" : " " + settings);
        }
    }
}
