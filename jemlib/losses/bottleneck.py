"""The information bottleneck, discrete and Gaussian, and the four steps from it to Barlow Twins.

Variables: X is the image, Y a distorted view of it, Z = f(Y) the embedding; so X -> Y -> Z is a Markov chain. The
objective `I(Z;Y) - beta I(Z;X)`, minimised, asks Z to forget the distortion and to know the image. All entropies are
in nats unless a base is given.

Source: Tishby et al., physics/0004057; in this form Zbontar et al., 2103.03230, appendix A, eq. 5 to 8.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from jemlib import validate
from jemlib.losses.barlow_twins import cross_correlation, invariance_term, redundancy_term, standardize
from jemlib.losses.precision import full_precision

# --- discrete ---------------------------------------------------------------------------------------------------


class InformationBottleneck(NamedTuple):
    """`total = i_zy - beta * i_zx`; with a deterministic encoder also `beta * h_z_given_x + (1 - beta) * h_z`."""

    total: Tensor
    i_zy: Tensor
    i_zx: Tensor
    h_z: Tensor
    h_z_given_x: Tensor
    h_z_given_y: Tensor


@full_precision
def entropy(p: Tensor, base: float = math.e) -> Tensor:
    """`H = -sum p log p` of one discrete distribution, with 0 log 0 = 0.

    Args:
        p: probabilities, a tensor of any shape; entries >= 0 that sum to 1 (within 1e-3; 1e-2 for 16-bit input).
        base: of the logarithm, > 1: e for nats, 2 for bits.

    Returns:
        Scalar in [0, log of the number of entries]. The gradient of a zero probability, which is infinite, is given
        as 0, so that a softmax whose small entries underflow gets the right gradient instead of 0 * inf.

    Raises:
        TypeError, ValueError: `p` is no such tensor, or base is out of range.
    """
    return _entropy(_distribution("p", p)) / _log_base(base)


@full_precision
def conditional_entropy(joint: Tensor, base: float = math.e) -> Tensor:
    """`H(V|U) = -sum_uv p(u,v) log p(v|u)` of a joint table `(|U|, |V|)`: the row is known, the column is not.

    Args:
        joint: `(|U|, |V|)` probabilities that sum to 1. For `H(U|V)` pass the transpose.
        base: as `entropy`.

    Returns:
        Scalar in [0, log |V|]; 0 when the row determines the column.

    Raises:
        TypeError, ValueError: as `entropy`.
    """
    return _conditional_entropy(_distribution("joint", joint, ndim=2)) / _log_base(base)


@full_precision
def mutual_information(joint: Tensor, base: float = math.e) -> Tensor:
    """`I(U;V) = sum_uv p(u,v) log( p(u,v) / (p(u) p(v)) )` of a joint table `(|U|, |V|)`.

    Args:
        joint: `(|U|, |V|)` probabilities that sum to 1.
        base: as `entropy`.

    Returns:
        Scalar in [0, log min(|U|, |V|)] up to rounding; 0 when U and V are independent. Symmetric in U and V.

    Raises:
        TypeError, ValueError: as `entropy`.
    """
    return _mutual_information(_distribution("joint", joint, ndim=2)) / _log_base(base)


@full_precision
def information_bottleneck(
    joint_xy: Tensor, encoder: Tensor, beta: float, base: float = math.e
) -> InformationBottleneck:
    """`I(Z;Y) - beta I(Z;X)` of the discrete chain X -> Y -> Z, to be minimised over the encoder.

    For beta <= 1 it is useless: `I(Z;X) <= I(Z;Y)` gives total >= (1 - beta) I(Z;X) >= 0, and a constant Z reaches 0.
    For beta > 1 every Z that is a function of X and can be read off Y scores (1 - beta) H(Z) < 0: the smaller, the
    better, and the more entropy the better.

    Args:
        joint_xy: `(|X|, |Y|)` probabilities of image and view that sum to 1.
        encoder: `(|Y|, |Z|)`, p(z|y); each row sums to 1. One-hot rows are a deterministic encoder.
        beta: > 0, how much knowing the image counts.
        base: of the logarithm, > 1: e for nats, 2 for bits.

    Returns:
        InformationBottleneck; every field is a scalar. A constant Z gives 0 in every field.

    Raises:
        TypeError, ValueError: an argument has the wrong type, shape or range, or is no table of probabilities.

    Source: Zbontar et al., 2103.03230, eq. 5. Dividing eq. 6 by beta once H(Z|Y) = 0 is exact, not an approximation.
    """
    joint_xy, encoder = _distribution("joint_xy", joint_xy, ndim=2), _distribution("encoder", encoder, ndim=2, dim=1)
    if joint_xy.shape[1] != encoder.shape[0] or joint_xy.device != encoder.device:
        raise ValueError(
            "joint_xy must be (|X|, |Y|) and encoder (|Y|, |Z|) with the same |Y|, on one device; "
            f"got {tuple(joint_xy.shape)} on {joint_xy.device} and {tuple(encoder.shape)} on {encoder.device}."
        )
    validate.number("beta", beta, above=0)
    unit = _log_base(base)
    dtype = torch.promote_types(joint_xy.dtype, encoder.dtype)
    joint_xy, encoder = joint_xy.to(dtype), encoder.to(dtype)
    # p(y,z) = p(y) p(z|y)
    joint_yz = joint_xy.sum(dim=0)[:, None] * encoder
    # p(x,z) = sum_y p(x,y) p(z|y), because Z depends on X through Y alone
    joint_xz = joint_xy @ encoder
    i_zy, i_zx = _mutual_information(joint_yz) / unit, _mutual_information(joint_xz) / unit
    return InformationBottleneck(
        # IB = I(Z;Y) - beta I(Z;X)
        total=i_zy - beta * i_zx,
        i_zy=i_zy,
        i_zx=i_zx,
        h_z=_entropy(joint_yz.sum(dim=0)) / unit,
        h_z_given_x=_conditional_entropy(joint_xz) / unit,
        h_z_given_y=_conditional_entropy(joint_yz) / unit,
    )


def _log(p: Tensor) -> Tensor:
    """log p, but 0 with gradient 0 where p is 0: each use multiplies it by that p, and 0 log 0 is 0."""
    return torch.where(p > 0, p, 1.0).log()


def _entropy(p: Tensor) -> Tensor:
    # H = -sum p log p
    return -(p * _log(p)).sum()


def _conditional_entropy(joint: Tensor) -> Tensor:
    # H(V|U) = -sum p(u,v) [ log p(u,v) - log p(u) ]; every summand is >= 0, so nothing cancels
    return (joint * (_log(joint.sum(dim=1, keepdim=True)) - _log(joint))).sum()


def _mutual_information(joint: Tensor) -> Tensor:
    p_u, p_v = joint.sum(dim=1, keepdim=True), joint.sum(dim=0, keepdim=True)
    # I = sum p(u,v) [ log p(u,v) - log p(u) - log p(v) ]
    return (joint * (_log(joint) - _log(p_u) - _log(p_v))).sum()


def _log_base(base: float) -> float:
    validate.number("base", base, above=1)
    return math.log(base)


def _distribution(name: str, p: Tensor, *, ndim: int | None = None, dim: int | None = None) -> Tensor:
    """Check probabilities that sum to 1 over everything, or along `dim`; return them in float32 or float64."""
    rank = "any shape" if ndim is None else f"{ndim} dimensions"
    if not isinstance(p, Tensor):
        raise TypeError(f"{name} must be a torch.Tensor of probabilities with {rank}; got {type(p).__name__}.")
    if not p.is_floating_point():
        raise TypeError(f"{name} must be floating point; got {validate.describe(p)}.")
    if (ndim is not None and p.ndim != ndim) or p.numel() == 0:
        raise ValueError(f"{name} must have {rank} and at least one entry; got shape {tuple(p.shape)}.")
    validate.finite(name, p)
    tolerance = 1e-3 if p.element_size() >= 4 else 1e-2
    p = validate.as_float(p)
    if not validate.may_look(p):
        return p
    sums = p.sum() if dim is None else p.sum(dim=dim)
    if p.min() < 0 or (sums - 1).abs().max() > tolerance:
        raise ValueError(
            f"{name} must have entries >= 0 that sum to 1{'' if dim is None else ' in each row'}; "
            f"got a smallest entry of {p.min().item():.3g} and sums from {sums.min().item():.6g} "
            f"to {sums.max().item():.6g}."
        )
    return p


# --- Gaussian ---------------------------------------------------------------------------------------------------


class GaussianBottleneck(NamedTuple):
    """`total = h_z_given_x + (1 - beta) / beta * h_z`; differential entropies in nats, which may be negative."""

    total: Tensor
    h_z_given_x: Tensor
    h_z: Tensor


@full_precision
def gaussian_entropy(z: Tensor, eps: float = 0.0) -> Tensor:
    """Entropy, in nats, of the Gaussian that has the covariance of `z`: `(1/2) log|C| + (D/2) log(2 pi e)`.

    Convention: biased covariance (divide by N), the maximum-likelihood Gaussian, as `cross_correlation`. The unbiased
    covariance would add (D/2) log(N / (N-1)). It is a differential entropy: z -> w z adds D log w, so it depends
    on units, may be negative, and is not bounded below.

    Args:
        z: `(N, D)` embeddings, N >= 2; N > D, or the covariance is singular.
        eps: added to the diagonal of C, >= 0; the entropy after adding Gaussian noise of that variance.

    Returns:
        Scalar in nats. With eps = 0 it is -inf, and its gradient is given as 0, when C is singular: N <= D, or some
        dimension is, to rounding, an affine function of the others, as at collapse. With eps > 0 the value at
        complete collapse is (D/2) log(2 pi e eps), and the gradient there is 0.

    Source: Zbontar et al., 2103.03230, appendix A (before eq. 8).
    """
    z = validate.embeddings("z", z)
    validate.number("eps", eps, at_least=0)
    return _gaussian_entropy(_covariance(z), eps, rank=z.shape[0] - 1)


@full_precision
def conditional_covariance(views: Tensor, pooled: bool = True) -> Tensor:
    """Covariance of the embedding given the image: how much the views of one image differ.

    Convention: unbiased, per image the sum of squares around the mean of its views over (num_views - 1); with two
    views it is `(1/2) (a - b)(a - b)^T`. Hence for two standardised views its diagonal, pooled, is exactly
    `1 - C_ii` with C the cross-correlation of Barlow Twins.

    Args:
        views: `(num_views, N, D)`, num_views >= 2, N >= 2. For two views: `torch.stack([z_a, z_b])`.
        pooled: average over the images, `(D, D)`; otherwise one per image, `(N, D, D)`, of rank < num_views each.
    """
    return _conditional_covariance(_views(views), pooled)


@full_precision
def gaussian_bottleneck(views: Tensor, beta: float, eps: float = 0.0, *, pooled: bool = True) -> GaussianBottleneck:
    """`H(Z|X) + ((1-beta)/beta) H(Z)` for Gaussian Z: eq. 8 with the factor 1/2 and the constants kept.

    In full, `total = (1/2) [ E_x log|C_{Z|x}| + ((1-beta)/beta) log|C_Z| ] + (D / (2 beta)) log(2 pi e)`, in nats.
    This is the bottleneck over beta; it assumes a deterministic encoder, whose H(Z|Y) is dropped as a constant.

    That constant is -inf for continuous Z, and it moved with Z. Without it z -> z M adds log|det M| / beta, because the
    coefficients of the two entropies sum to 1/beta and not to 0: for every beta > 0 the best embedding is 0.
    Standardising over the batch undoes a diagonal M only. Also the standardised value goes to -inf as dimensions become
    copies of each other. Keeping H(Z|Y), or whitening, is what repairs this.

    Args:
        views: `(num_views, N, D)`, num_views >= 2, N >= 2. For two views: `torch.stack([z_a, z_b])`.
        beta: > 0. Above 1 the coefficient of H(Z) is negative: entropy is rewarded.
        eps: added to the diagonal of both covariances, >= 0.
        pooled: one covariance given X, averaged over images, needs only two views; it is what Barlow Twins' surrogate
            sees. False takes the log-determinant per image and then the mean over images, as eq. 8 is written: never
            above the pooled value (the log-determinant is concave), and -inf at eps = 0 unless num_views > D.

    Returns:
        GaussianBottleneck. C_Z is the biased covariance of all num_views * N embeddings, C_{Z|X} is
        `conditional_covariance`. Where either is singular, as at complete collapse with eps = 0, total is -inf, the
        limit of every approach to it; gradients as `gaussian_entropy`.

    Source: Zbontar et al., 2103.03230, eq. 7 and 8.
    """
    views = _views(views)
    validate.number("beta", beta, above=0)
    validate.number("eps", eps, at_least=0)
    v, n, _ = views.shape
    rank = n * (v - 1) if pooled else v - 1
    h_z_given_x = _gaussian_entropy(_conditional_covariance(views, pooled), eps, rank).mean()
    h_z = _gaussian_entropy(_covariance(views.flatten(0, 1)), eps, rank=v * n - 1)
    # H(Z|X) + ((1-beta)/beta) H(Z)
    total = h_z_given_x + (1 - beta) / beta * h_z
    # A singular C_Z has a singular C_{Z|X}, and H(Z|X) <= H(Z): the sum goes to -inf, although it reads inf - inf.
    singular = h_z_given_x.isinf() | h_z.isinf()
    return GaussianBottleneck(torch.where(singular, float("-inf"), total), h_z_given_x, h_z)


def _views(views: Tensor) -> Tensor:
    validate.tensor("views", views, "V N D", meaning="V >= 2 views of N >= 2 images")
    if min(views.shape[:2]) < 2:
        raise ValueError(f"views must have shape (V, N, D), V >= 2 and N >= 2; got shape {tuple(views.shape)}.")
    return validate.finite_float("views", views)


def _covariance(z: Tensor) -> Tensor:
    """Biased covariance `(D, D)` of `(N, D)`."""
    centred = z - z.mean(dim=0)
    # C = (1/N) sum_b (z_b - mean)(z_b - mean)^T
    return centred.T @ centred / z.shape[0]


def _conditional_covariance(views: Tensor, pooled: bool) -> Tensor:
    v, n, _ = views.shape
    around = views - views.mean(dim=0)
    if pooled:
        # C_{Z|X} = (1/N) sum_i (1/(V-1)) sum_v (z_vi - mean_v z_vi)(z_vi - mean_v z_vi)^T
        around = around.flatten(0, 1)
        return around.T @ around / (n * (v - 1))
    return torch.einsum("vni,vnj->nij", around, around) / (v - 1)


def _gaussian_entropy(c: Tensor, eps: float, rank: int) -> Tensor:
    """Of covariances `(..., D, D)` -> `(...)`; `rank` is the most that the number of samples allows them."""
    d = c.shape[-1]
    if eps == 0 and rank < d:
        c = 0 * c  # exactly singular; rounding would hide it
    # H = (1/2) log|C + eps I| + (D/2) log(2 pi e)
    return 0.5 * _log_determinant(c + eps * torch.eye(d, dtype=c.dtype, device=c.device)) + d / 2 * LOG_2_PI_E


LOG_2_PI_E = math.log(2 * math.pi) + 1


def _log_determinant(c: Tensor) -> Tensor:
    """Of positive semi-definite matrices `(..., D, D)` -> `(...)`; -inf with gradient 0 where singular."""
    singular = _singular(c.detach())
    # The identity takes the place of a singular matrix: its gradient is then 0 instead of 0 * inf.
    eye = torch.eye(c.shape[-1], dtype=c.dtype, device=c.device)
    factor = torch.linalg.cholesky(torch.where(singular[..., None, None], eye, c))
    # log|C| = 2 sum_j log L_jj   with C = L L^T
    log_determinant = 2 * factor.diagonal(dim1=-2, dim2=-1).log().sum(dim=-1)
    return torch.where(singular, float("-inf"), log_determinant)


def _singular(c: Tensor) -> Tensor:
    """Whether each of `(..., D, D)` is singular to rounding.

    Decided on the correlations, so that it does not depend on the units of a dimension. By eigenvalues, not by the
    pivots of Cholesky: those of a singular matrix can be a thousand times larger than its rounding errors.
    """
    d, variances = c.shape[-1], c.diagonal(dim1=-2, dim2=-1)
    inverse_std = torch.where(variances > 0, variances, 1.0).rsqrt()
    eigenvalues = torch.linalg.eigvalsh(inverse_std[..., :, None] * c * inverse_std[..., None, :])
    small = eigenvalues[..., 0] <= 4 * d * torch.finfo(c.dtype).eps * eigenvalues[..., -1]
    return small | (variances <= 0).any(dim=-1)


# --- from the Gaussian bottleneck to Barlow Twins ---------------------------------------------------------------


class BottleneckSurrogates(NamedTuple):
    """The objective after each of the four steps of `bottleneck_surrogates`; scalars, not on one scale."""

    log_determinant: Tensor
    frobenius: Tensor
    cross_frobenius: Tensor
    barlow_twins: Tensor


def weight_of_beta(beta: float) -> float:
    """Step 1: `lambda = (beta - 1) / beta`, so that eq. 8 reads `E_x log|C_{Z|X}| - lambda log|C_Z|`.

    Nothing is lost for beta > 1, where lambda lies in (0, 1). For beta <= 1 lambda is <= 0 and the trade-off has the
    constant as its optimum. Do not read Barlow Twins' lambda as this number: steps 2 to 4 change the units.

    Args:
        beta: > 0.

    Raises:
        TypeError, ValueError: beta is not such a number.
    """
    validate.number("beta", beta, above=0)
    # lambda = -(1 - beta) / beta
    return (beta - 1) / beta


def beta_of_weight(lambd: float) -> float:
    """The inverse of `weight_of_beta`: `beta = 1 / (1 - lambda)`.

    Args:
        lambd: < 1.

    Raises:
        TypeError, ValueError: lambd is not such a number.
    """
    validate.number("lambd", lambd)
    if lambd >= 1:
        raise ValueError(f"lambd must be < 1, because beta = 1 / (1 - lambd) must be positive; got {lambd!r}.")
    return 1 / (1 - lambd)


@full_precision
def auto_correlation(z: Tensor, eps: float = 1e-5) -> Tensor:
    """Correlation of each dimension of one view with each other: `cross_correlation(z, z)`, `(N, D)` -> `(D, D)`.

    Symmetric and positive semi-definite, with diagonal v / (v + eps) for a dimension of variance v: 1 at eps = 0.
    """
    return cross_correlation(validate.embeddings("z", z), z, eps)


@full_precision
def log_determinant_term(c: Tensor) -> Tensor:
    """`log|C|` of a symmetric positive semi-definite `(D, D)`; of a correlation matrix in [-inf, 0].

    0 exactly when the correlation matrix is the identity (Hadamard: det C <= prod_i C_ii). -inf with gradient 0 when
    it is singular. The gradient is C^-1, which grows without bound on the way there.

    Raises:
        TypeError, ValueError: `c` is not square, symmetric and positive semi-definite, or holds NaN.
    """
    c = _square("c", c)
    tolerance = math.sqrt(torch.finfo(c.dtype).eps) * c.abs().max()
    if (c - c.T).abs().max() > tolerance:
        raise ValueError("c must be symmetric; a cross-correlation matrix has no real log-determinant in general.")
    value = _log_determinant(c)
    if value.isinf() and (smallest := torch.linalg.eigvalsh(c.detach())[0]) < -tolerance:
        raise ValueError(f"c must be positive semi-definite; got a smallest eigenvalue of {smallest.item():.3g}.")
    return value


@full_precision
def frobenius_term(c: Tensor) -> Tensor:
    """Step 2: `sum_{i != j} C_ij^2` in place of `-log|C|`; the redundancy term of Barlow Twins.

    For a correlation matrix C = I + E, `-log|C| = (1/2) |E|_F^2 - (1/3) tr E^3 + ...`: the two have the same
    minimiser, C = I, and half of this term is the other to second order there. Lost: everything beyond second
    order. A singular C costs at most D(D-1) here and +inf there, so that this term alone does not forbid dimensional
    collapse. Without that half the weight lambda doubles. It needs the diagonal fixed to 1: hence the standardisation,
    which removes the unit of each dimension from the objective, and nothing more.

    Args:
        c: `(D, D)`; any square matrix, a cross-correlation too.

    Raises:
        TypeError, ValueError: `c` is not square or holds NaN.
    """
    return redundancy_term(_square("c", c))


@full_precision
def bottleneck_surrogates(z_a: Tensor, z_b: Tensor, lambd: float = 5e-3, *, eps: float = 1e-5) -> BottleneckSurrogates:
    """The four objectives on the way from the Gaussian bottleneck to Barlow Twins, for the same embeddings.

    With standardised views, S = `conditional_covariance` of both, R = the mean of their two auto-correlations (the
    covariance of all 2N rows) and C = their cross-correlation, so that S_ii = 1 - C_ii:

    1. `log_determinant = log|S| - lambd log|R|`: eq. 8 without its 1/2 and constants (see `weight_of_beta`).
    2. `frobenius = log|S| + lambd sum_{i != j} R_ij^2`: see `frobenius_term` for what is lost.
    3. `cross_frobenius = log|S| + lambd sum_{i != j} C_ij^2`. Lost: the entropy of Z. Views that are independent
       have C = 0, however redundant the dimensions of each view are.
    4. `barlow_twins = sum_i (1 - C_ii)^2 + lambd sum_{i != j} C_ij^2`. Two moves: Hadamard, log|S| <= sum_i
       log(1 - C_ii), then the square for the logarithm. Lost: optima. One perfectly invariant direction gives log|S| =
       -inf, and the rest does not matter; the sum is 0 only when every dimension is invariant.

    The first three reward copies: as dimension 2 becomes dimension 1 plus e times something else, they fall by
    2 (1 - lambd), 2 and 2 per unit of -log e, because log|S| falls faster than -lambd log|R| rises. Step 4 ends that.

    Args:
        z_a: `(N, D)` embeddings of view A, N >= 2; N > D, or S is singular.
        z_b: `(N, D)` embeddings of view B; row i is the same image as row i of `z_a`.
        lambd: weight of the second term, >= 0.
        eps: added to the variance when standardising, >= 0; not to the determinants.

    Returns:
        BottleneckSurrogates. The first three are -inf where S is singular.

    Raises:
        TypeError, ValueError: as `barlow_twins`.

    Source: Zbontar et al., 2103.03230, appendix A, the text after eq. 8.
    """
    z_a, z_b = validate.paired("z_a", z_a, "z_b", z_b)
    validate.number("lambd", lambd, at_least=0)
    validate.number("eps", eps, at_least=0)
    a, b = standardize(z_a, eps), standardize(z_b, eps)
    c, r = a.T @ b / len(a), (a.T @ a + b.T @ b) / (2 * len(a))
    s = _conditional_covariance(torch.stack([a, b]), pooled=True)
    few = len(a) - 1 < a.shape[1]  # a - b is centred: its rank is at most N - 1
    log_s, log_r = _log_determinant(0 * s if few else s), _log_determinant(r)
    return BottleneckSurrogates(
        # A singular R has a singular S; then the limit is -inf, as in gaussian_bottleneck.
        log_determinant=torch.where(log_s.isinf(), log_s, log_s - lambd * log_r),
        frobenius=log_s + lambd * redundancy_term(r),
        cross_frobenius=log_s + lambd * redundancy_term(c),
        barlow_twins=invariance_term(c) + lambd * redundancy_term(c),
    )


def _square(name: str, c: Tensor) -> Tensor:
    c = validate.embeddings(name, c, min_samples=1)
    if c.shape[0] != c.shape[1]:
        raise ValueError(f"{name} must be square, (D, D); got shape {tuple(c.shape)}.")
    return c
