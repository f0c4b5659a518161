namespace MlNetMlp.Convex;

/// <summary>
/// What is known about how good a network of convex training is, found in training and kept in its model file: the loss plus penalty that it has,
/// and a lower bound for all solutions of its convex program. All sums are over rows, in the labels that training sees: standardised numbers, ±1 for classes.
/// </summary>
/// <param name="ConvexObjective">ℓ(Σ D_iX(v_i − w_i), y) + βΣ(‖v_i‖ + ‖w_i‖) of the solution that is kept.</param>
/// <param name="NetworkObjective">
/// ℓ + β/2·(‖W₁‖² + ‖W₂‖²) of the network itself: an upper bound of the least that any network of this kind, of any width, can have.
/// </param>
/// <param name="DualBound">The greatest lower bound of the convex program that was found: no solution with these patterns has less. At least 0.</param>
/// <param name="ConeViolation">
/// The greatest of how far a unit is on the wrong side of its pattern's hyperplane at a row, relative to the row's length and the longest v_i; 0 where all
/// constraints hold, and then network and convex program agree on all rows.
/// </param>
/// <param name="Stationarity">The greatest of ‖βv_i/‖v_i‖ − g_i‖/β over units, g_i the pull of loss and constraints on v_i: the residual of the KKT conditions of the last iterate, 0 at an optimum.</param>
/// <param name="PrimalResidual">The primal residual when training ended, relative to its tolerance: at most 1 where it converged.</param>
/// <param name="DualResidual">The dual residual when training ended, relative to its tolerance.</param>
/// <param name="Iterations">Iterations made.</param>
/// <param name="Patterns">P, distinct activation patterns; for sampled units their number.</param>
/// <param name="ActiveNeurons">Hidden units of the network.</param>
/// <param name="Beta">β, the penalty, for sums over rows.</param>
/// <param name="Rho">ρ when training ended.</param>
/// <param name="Solver">What solved the linear systems.</param>
public sealed record ConvexReluCertificate(
    double ConvexObjective, double NetworkObjective, double DualBound, double ConeViolation, double Stationarity, double PrimalResidual, double DualResidual,
    int Iterations, int Patterns, int ActiveNeurons, double Beta, double Rho, string Solver)
{
    private const double AttainTolerance = 1e-3;

    /// <summary>Whether training ended because both residuals were within their tolerances.</summary>
    public bool Converged => PrimalResidual <= 1 && DualResidual <= 1;

    /// <summary>Whether the network's own objective is that of the convex program, up to one thousandth.</summary>
    public bool AttainsConvexObjective => Math.Abs(NetworkObjective - ConvexObjective) <= AttainTolerance * Math.Max(Math.Abs(ConvexObjective), double.Epsilon);

    /// <summary>
    /// How much of the network's objective is not accounted for by the lower bound: with these patterns nothing better than this share can be gained.
    /// Below 0 where the network is better than its convex program allows, which takes units that violate their constraints.
    /// </summary>
    public double RelativeGap => (NetworkObjective - DualBound) / Math.Max(NetworkObjective, double.Epsilon);
}
