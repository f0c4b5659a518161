using Microsoft.ML.Data;
using MlNetMlp.Interop;

namespace Microsoft.ML;

/// <summary>Makes models of one hidden layer faster or slower after training: see <see cref="HiddenLayerModel"/>.</summary>
public static class HiddenLayerCatalog
{
    /// <summary>
    /// A model like another whose hidden layer uses its first units only. All weights stay in the model and its file, so that the number
    /// can be raised again.
    /// </summary>
    /// <typeparam name="TModel">The type of the model, which the other one has too.</typeparam>
    /// <param name="catalog">The catalog.</param>
    /// <param name="model">A fitted or loaded model, alone or in a chain, in which the last network is meant; it stays as it is.</param>
    /// <param name="units">How many units are active, from 0 for a constant to all that there are; rounded down to whole steps.</param>
    /// <returns>The other model.</returns>
    /// <exception cref="ArgumentException">The model holds no network of one hidden layer.</exception>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="units"/> is negative or more than there are.</exception>
    public static TModel ChangeActiveUnits<TModel>(this ModelOperationsCatalog catalog, TModel model, int units)
        where TModel : class, ITransformer => Change(catalog, model, layer => layer.WithActiveUnits(units));

    /// <summary>A model like another with the first units of its hidden layer only; the weights of the others are gone.</summary>
    /// <inheritdoc cref="ChangeActiveUnits"/>
    public static TModel TruncateHiddenUnits<TModel>(this ModelOperationsCatalog catalog, TModel model, int units)
        where TModel : class, ITransformer => Change(catalog, model, layer => layer.Truncate(units));

    private static TModel Change<TModel>(ModelOperationsCatalog catalog, TModel model, Func<HiddenLayerModel, HiddenLayerModel> change)
        where TModel : class, ITransformer
    {
        ArgumentNullException.ThrowIfNull(catalog);
        ArgumentNullException.ThrowIfNull(model);
        return HiddenLayerModel.Find(model) is { } layer
            ? (TModel)NetworkReplacement.Replace(CatalogUtils.GetEnvironment(catalog), model, change(layer).Network)
            : throw new ArgumentException("The model holds no network of one hidden layer.", nameof(model));
    }
}
