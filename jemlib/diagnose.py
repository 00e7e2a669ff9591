"""Collapse diagnostics: how much of the space embeddings still use. Pure functions of `(N, D)` tensors.

There are two collapses. Complete: all embeddings coincide. Dimensional: they differ, but only along few directions.
No single number sees both, so `diagnose` measures several. Each function returns a scalar tensor, computed in float32
(float64 for float64 input), on the tensor's device; call `float()` for a plain number.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from jemlib import validate
from jemlib.losses import alignment_term, off_diagonal
from jemlib.losses.precision import full_precision

# Conventions, not laws. `diagnose` prints each one beside the number it is held to.
COMPLETE_BELOW = 0.1
DIMENSIONAL_BELOW = 0.1


# --- spread: does everything coincide? --------------------------------------------------------------------------


@full_precision
def normalized_std(z: Tensor) -> Tensor:
    """`sqrt(D) mean_j std_j(u)`, with `u = z / |z|`: 1 for isotropic embeddings, 0 for a constant.

    Blind to dimensional collapse: embeddings `+-(1, ..., 1)` lie on one line and score 1. A large common offset
    counts as collapse, because it makes all directions equal; centre `z` first if your loss ignores offsets.

    Args:
        z: `(N, D)` embeddings, N >= 2; rows are l2-normalised here.

    Returns:
        Scalar in [0, 1], without unit. Convention: biased standard deviation, which is what bounds it by 1.

    Source: Chen and He, SimSiam, 2011.10566, scaled by sqrt(D).
    """
    u = F.normalize(validate.embeddings("z", z), dim=1)
    # sqrt(D) (1/D) sum_j sqrt( (1/N) sum_b (u_bj - mean_j)^2 )
    return math.sqrt(u.shape[1]) * u.std(dim=0, correction=0).mean()


@full_precision
def directional_spread(z: Tensor) -> Tensor:
    """`sum_j Var_j(u) = 1 - |mean u|^2`, with `u = z / |z|`: 0 exactly when all rows point the same way.

    It is at least `normalized_std(z)^2`, and does not care along how many dimensions the rows differ. So together
    they tell a complete collapse from embeddings that live on one axis, where the normalised std is 1 / sqrt(D).

    Args, Raises: as `normalized_std`.

    Returns:
        Scalar in [0, 1], without unit.
    """
    u = F.normalize(validate.embeddings("z", z), dim=1)
    # The sum of variances, rather than 1 - |mean u|^2: near collapse the difference would cancel.
    return u.var(dim=0, correction=0).sum()


# --- rank: along how many directions? ---------------------------------------------------------------------------


@full_precision
def rankme(z: Tensor, eps: float = 1e-7) -> Tensor:
    """`exp(-sum_k p_k log p_k)`, `p_k = sigma_k / sum sigma + eps`: the effective number of directions in use.

    Convention: singular values of `z` itself, neither centred nor squared; eps is added after the division and p is
    not renormalised. Being uncentred it sees a constant output (1), and a large common offset lowers it.

    Args:
        z: `(N, D)` embeddings, N >= 2. Use N well above D: RankMe cannot exceed N.
        eps: keeps the logarithm finite, > 0.

    Returns:
        Scalar in [1, min(N, D)], up to a relative 17 * eps * min(N, D) that eps adds (1.0001 for a line in 64
        dimensions). A zero matrix has no spectrum to take an entropy of; it gives 1, as every constant output does.

    Raises:
        TypeError, ValueError: `z` has the wrong type or shape, or holds NaN; eps is out of range.

    Source: Garrido et al., RankMe, 2210.02885; eps and its place as in common implementations.
    """
    z = validate.embeddings("z", z)
    validate.number("eps", eps, above=0)
    return _entropy_rank(_singular_values(z), eps)


@full_precision
def centered_rankme(z: Tensor, eps: float = 1e-7) -> Tensor:
    """RankMe of `z` less its mean: the number of directions along which embeddings *differ*.

    A common offset changes nothing. For losses that ignore one (VICReg, Barlow Twins), and wherever two clouds with
    different offsets are compared. Being centred it cannot see a complete collapse: noise around a constant has full
    rank, so look at a spread as well.

    Args: as `rankme`.

    Returns:
        Scalar in [1, min(N - 1, D)], up to what eps adds, as for `rankme`. Embeddings that are all equal have no
        direction along which they differ; they give 1.

    Raises:
        TypeError, ValueError: as `rankme`.
    """
    z = validate.embeddings("z", z)
    validate.number("eps", eps, above=0)
    # The mean of equal rows may round to something else, and what is left would have a direction. From the first row
    # they are exactly 0 away.
    z = z - z[:1]
    return _entropy_rank(_singular_values(z - z.mean(dim=0)), eps)


@full_precision
def participation_ratio(z: Tensor) -> Tensor:
    """`(sum lambda)^2 / sum lambda^2`, lambda = squared singular values of `z`, not centred: a stricter RankMe.

    `1 <= participation ratio <= exp(H(lambda)) <= RankMe <= rank`: squaring, and then the second moment in place of
    the entropy, each give large directions more say.

    Args:
        z: `(N, D)` embeddings, N >= 2.

    Returns:
        Scalar in [1, min(N, D)]; 1 for a zero matrix, as for every other constant output.
    """
    z = validate.embeddings("z", z)
    return _participation(_singular_values(z))


def _singular_values(z: Tensor) -> Tensor:
    """Of `z` over its largest entry: ranks ignore scale, and the squares of tiny or huge entries would not survive."""
    largest = z.abs().max()
    return torch.linalg.svdvals(z / torch.where(largest == 0, torch.ones_like(largest), largest))


def _entropy_rank(sigma: Tensor, eps: float) -> Tensor:
    if sigma[0] == 0:
        return torch.ones_like(sigma[0])
    p = sigma / sigma.sum() + eps
    return torch.exp(-(p * p.log()).sum())


def _participation(sigma: Tensor) -> Tensor:
    if sigma[0] == 0:
        return torch.ones_like(sigma[0])
    return sigma.square().sum().square() / sigma.pow(4).sum()


@full_precision
def covariance_spectrum(z: Tensor) -> Tensor:
    """Eigenvalues of the centred covariance of `z`, descending: `(N, D)` -> `(D,)`, in units of z squared.

    Convention: unbiased covariance (divide by N - 1), as in VICReg. At most N - 1 of them are not zero.
    They come from the singular values of the centred batch, so none is negative.

    Args, Raises: as `participation_ratio`.
    """
    z = validate.embeddings("z", z)
    n, d = z.shape
    # eigenvalues of Zc^T Zc / (N-1)  =  sigma(Zc)^2 / (N-1)
    values = torch.linalg.svdvals(z - z.mean(dim=0)).square() / (n - 1)
    return F.pad(values, (0, d - len(values)))


@full_precision
def correlation_offdiagonal(z: Tensor) -> Tensor:
    """Root mean square of the correlations between different dimensions of one view: the redundancy left.

    Dimensions that are constant over the batch have no correlation and are left out; with fewer than two others the
    result is 0. Independent dimensions give about 1 / sqrt(N) by chance.

    Args, Raises: as `participation_ratio`.

    Returns:
        Scalar in [0, 1], without unit.
    """
    z = validate.embeddings("z", z)
    z = z[:, z.amax(dim=0) != z.amin(dim=0)]
    d = z.shape[1]
    if d < 2:
        return z.new_zeros(())
    columns = F.normalize(z - z.mean(dim=0), dim=0, eps=torch.finfo(z.dtype).tiny)
    # sqrt( (1 / D(D-1)) sum_{i != j} R_ij^2 )
    return torch.sqrt(off_diagonal(columns.T @ columns).square().sum() / (d * (d - 1)))


# --- alignment and uniformity -----------------------------------------------------------------------------------


@full_precision
def alignment(z_a: Tensor, z_b: Tensor, alpha: float = 2) -> Tensor:
    """`mean_i |u_i - v_i|^alpha` between the two views of each image, with `u = z_a / |z_a|` and `v = z_b / |z_b|`.

    Args:
        z_a: `(N, D)` embeddings of view A, N >= 2; l2-normalised here.
        z_b: `(N, D)` embeddings of view B; row i is the same image as row i of `z_a`.
        alpha: power of the distance, > 0. Where two views coincide the gradient is 0 for every alpha.

    Returns:
        Scalar in [0, 2^alpha]; 0 when the views agree, and also at complete collapse.

    Source: Wang and Isola, 2005.10242, eq. for L_align.
    """
    z_a, z_b = validate.paired("z_a", z_a, "z_b", z_b)
    validate.number("alpha", alpha, above=0)
    u, v = F.normalize(z_a, dim=1), F.normalize(z_b, dim=1)
    return alignment_term(u, v, alpha)


@full_precision
def uniformity(z: Tensor, t: float = 2) -> Tensor:
    """`log mean_{i<j} exp(-t |u_i - u_j|^2)`, with `u = z / |z|`: the lower, the more evenly spread on the sphere.

    Squared distances come from inner products, not from torch.pdist, whose second derivative is wrong where points
    coincide, that is at collapse. Rows are taken in blocks: memory grows as N, time as N^2.

    Args:
        z: `(N, D)` embeddings, N >= 2; l2-normalised here.
        t: inverse width of the kernel, > 0.

    Returns:
        Scalar in [-4t, 0], in nats: 0 at complete collapse, -2t for an orthonormal frame, -4t for one antipodal pair.

    Source: Wang and Isola, 2005.10242, eq. for L_uniform.
    """
    z = validate.embeddings("z", z)
    validate.number("t", t, above=0)
    u = F.normalize(z, dim=1)
    n = len(u)
    # |u|^2 is 1, or 0 for a zero row. Kept, so that all-zero embeddings have distance 0 and count as collapsed.
    squares = u.square().sum(dim=1)
    block = max(1, _UNIFORMITY_ENTRIES // n)
    sums = []
    for start in range(0, n - 1, block):
        left = u[start : start + block]
        # |u_i - u_j|^2 = |u_i|^2 + |u_j|^2 - 2 u_i.u_j, for the columns j >= start; of these i < j are counted
        distances = squares[start : start + block, None] + squares[None, start:] - 2 * left @ u[start:].T
        counted = torch.ones_like(distances, dtype=torch.bool).triu(diagonal=1)
        sums.append(torch.logsumexp(-t * distances[counted], dim=0))
    return torch.logsumexp(torch.stack(sums), dim=0) - math.log(n * (n - 1) / 2)


_UNIFORMITY_ENTRIES = 2**22  # distances held at once: 16 MiB in float32


# --- cluster assignments ----------------------------------------------------------------------------------------


class AssignmentEntropy(NamedTuple):
    """Both in nats, in [0, log K], scalars. Healthy: `usage` near log K and `per_sample` clearly below it."""

    usage: Tensor
    per_sample: Tensor


@full_precision
def assignment_entropy(probabilities: Tensor) -> AssignmentEntropy:
    """Entropies of soft cluster assignments, for methods with prototypes (SwAV, PCL) or a softmax output (DINO).

    These methods collapse in two ways. One cluster takes every sample: `usage = H(mean_i p_i)` is 0. Or every
    sample gets the same flat assignment: `per_sample = mean_i H(p_i)` is log K. `usage - per_sample` is the mutual
    information between sample and cluster, >= 0; it is 0 in both collapses.

    Args:
        probabilities: `(N, K)`, entries >= 0, rows sum to 1 (within 1e-3; 1e-2 for 16-bit input). Not logits.

    Returns:
        AssignmentEntropy.

    Raises:
        TypeError, ValueError: wrong type or shape, NaN, or rows that are not probabilities.
    """
    p = validate.embeddings("probabilities", probabilities, min_samples=1)
    tolerance = 1e-3 if probabilities.element_size() >= 4 else 1e-2
    validate.distributions("probabilities", p, tolerance=tolerance, advice=" (apply a softmax to logits first)")
    # H(p) = -sum_k p_k log p_k, with 0 log 0 = 0
    return AssignmentEntropy(torch.special.entr(p.mean(dim=0)).sum(), torch.special.entr(p).sum(dim=1).mean())


# --- all at once ------------------------------------------------------------------------------------------------


def effective_number(assignments: Tensor, count: int) -> float:
    """How many prototypes are in use: exp of the entropy of their shares; 1 for one alone, `count` for equal use."""
    shares = F.one_hot(assignments, count).double()
    return float(assignment_entropy(shares).usage.exp())


class Diagnosis(NamedTuple):
    """What `diagnose` measured, as plain numbers; `print` it for a table. `verdict` says in words what is seen."""

    samples: int
    dimensions: int
    normalized_std: float
    directional_spread: float
    rankme: float
    participation_ratio: float
    correlation: float
    uniformity: float
    alignment: float | None
    verdict: str

    def __str__(self) -> str:
        most = min(self.samples, self.dimensions)
        table: list[tuple[str, float | None, str]] = [
            ("normalised std", self.normalized_std, "0 constant, 1 isotropic"),
            ("directional spread", self.directional_spread, "0 all rows point one way, 1 mean direction 0"),
            ("RankMe", self.rankme, f"1 to {most}"),
            ("participation ratio", self.participation_ratio, f"1 to {most}, at most RankMe"),
            ("rms correlation", self.correlation, "0 uncorrelated dimensions, 1 copies"),
            ("uniformity", self.uniformity, "0 collapsed, about -4 uniform"),
            ("alignment", self.alignment, "0 views agree, 4 opposite"),
        ]
        lines = [f"{self.samples} embeddings of {self.dimensions} dimensions"]
        lines += [f"  {name:<20} {value:>8.3f}   ({scale})" for name, value, scale in table if value is not None]
        return "\n".join([*lines, self.verdict])


@full_precision
def diagnose(z: Tensor, z_b: Tensor | None = None) -> Diagnosis:
    """Measure every collapse diagnostic of one set of embeddings and say in words what is seen.

    The thresholds are conventions. Complete collapse: normalised std and directional spread both below 0.1.
    Dimensional collapse: RankMe below 1 + 10% of the other min(N, D) - 1 directions. Few samples bound RankMe too;
    use N of at least a few times D.

    Args:
        z: `(N, D)` embeddings, N >= 2. What is diagnosed is this layer: a projector may collapse and its input not.
        z_b: `(N, D)` embeddings of another view of the same images, for `alignment`; None leaves that None.

    Returns:
        Diagnosis, detached plain numbers; without gradients.

    Raises:
        TypeError, ValueError: `z` or `z_b` has the wrong type or shape, or holds NaN.
    """
    with torch.no_grad():
        if z_b is None:
            z = validate.embeddings("z", z)
        else:
            z, z_b = validate.paired("z", z, "z_b", z_b)
        sigma = _singular_values(z)  # once for both ranks: by far the most expensive step
        std, spread, rank = float(normalized_std(z)), float(directional_spread(z)), float(_entropy_rank(sigma, 1e-7))
        return Diagnosis(
            samples=z.shape[0],
            dimensions=z.shape[1],
            normalized_std=std,
            directional_spread=spread,
            rankme=rank,
            participation_ratio=float(_participation(sigma)),
            correlation=float(correlation_offdiagonal(z)),
            uniformity=float(uniformity(z)),
            alignment=None if z_b is None else float(alignment(z, z_b)),
            verdict=_verdict(std, spread, rank, most=min(z.shape)),
        )


def _verdict(std: float, spread: float, rank: float, most: int) -> str:
    """One line; complete collapse first, because it lowers the rank as well."""
    threshold = 1 + DIMENSIONAL_BELOW * (most - 1)
    if std < COMPLETE_BELOW and spread < COMPLETE_BELOW:
        seen = (
            f"complete collapse: normalised std {std:.2g} < {COMPLETE_BELOW:g} "
            f"and directional spread {spread:.2g} < {COMPLETE_BELOW:g}"
        )
    elif most > 1 and rank < threshold:  # one direction cannot lose another
        seen = (
            f"dimensional collapse: RankMe {rank:.1f} of {most} < {threshold:.1f} "
            f"(1 + {DIMENSIONAL_BELOW:.0%} of the other {most - 1} directions)"
        )
    else:
        seen = (
            f"no collapse seen: normalised std {std:.2f}, directional spread {spread:.2f} (not both < "
            f"{COMPLETE_BELOW:g}), RankMe {rank:.1f} of {most} (not < {threshold:.1f})"
        )
    return f"{seen}; the thresholds are conventions."
