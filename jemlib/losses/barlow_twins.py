"""Barlow Twins: make the cross-correlation matrix of two views the identity."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from jemlib import validate
from jemlib.losses.precision import full_precision


class BarlowTwinsLoss(NamedTuple):
    """`total = invariance + lambd * redundancy`; scalars without unit, sums over the entries of C."""

    total: Tensor
    invariance: Tensor
    redundancy: Tensor


def off_diagonal(matrix: Tensor) -> Tensor:
    """The square matrix `(D, D)` with its diagonal set to zero."""
    return matrix - torch.diag(matrix.diagonal())


def standardize(z: Tensor, eps: float = 1e-5) -> Tensor:
    """Centre each dimension over the batch and divide by its standard deviation: `(N, D)` -> `(N, D)`.

    Convention: biased variance (divide by N) and eps inside the root, as BatchNorm without affine in training.
    A constant dimension comes out as zeros when eps > 0; with eps = 0 it is an error, because 0/0 has no value.
    """
    centred = z - z.mean(dim=0)
    # sigma_i^2 = (1/N) sum_b (z_bi - mean_i)^2
    variance = centred.square().mean(dim=0)
    if eps == 0 and not torch.compiler.is_compiling():
        # Not `variance == 0`: the mean of equal numbers may be rounded, and then the variance is tiny, not 0.
        constant = (z.amax(dim=0) == z.amin(dim=0)).nonzero().flatten().tolist()
        if constant:
            raise ValueError(
                f"eps = 0 needs every dimension to vary over the batch; dimensions {constant[:8]} are constant."
            )
    return centred / torch.sqrt(variance + eps)


@full_precision
def cross_correlation(z_a: Tensor, z_b: Tensor, eps: float = 1e-5) -> Tensor:
    """Correlation, over the batch, of each dimension of view A with each dimension of view B.

    Convention: centred, biased variance, divided by N; as the official code (BatchNorm without affine). The
    paper's Algorithm 1 divides by the unbiased standard deviation and by N, which makes C_ii = (N-1)/N for
    identical views and leaves a floor of D/N^2 under the loss.

    Args:
        z_a: `(N, D)` embeddings of view A, N >= 2.
        z_b: `(N, D)` embeddings of view B; row i is the same image as row i of `z_a`.
        eps: added to the variance, >= 0. With 0 the result is exactly invariant to scale.

    Returns:
        `(D, D)`, entries in [-1, 1]; entry (i, j) belongs to dimension i of A and dimension j of B.

    Raises:
        TypeError, ValueError: an argument has the wrong type, shape or range, or holds NaN; or eps is 0 and a
            dimension is constant.

    Source: Zbontar et al., 2103.03230, eq. 2.
    """
    z_a, z_b = validate.paired("z_a", z_a, "z_b", z_b)
    validate.number("eps", eps, at_least=0)
    # C_ij = (1/N) sum_b  a_bi b_bj   with a, b standardised over the batch
    return standardize(z_a, eps).T @ standardize(z_b, eps) / z_a.shape[0]


def invariance_term(c: Tensor) -> Tensor:
    """`sum_i (1 - C_ii)^2`, in [0, 4D], for a cross-correlation matrix `(D, D)`."""
    return (1 - c.diagonal()).square().sum()


def redundancy_term(c: Tensor) -> Tensor:
    """`sum_i sum_{j != i} C_ij^2`, in [0, D(D-1)], for a cross-correlation matrix `(D, D)`."""
    return off_diagonal(c).square().sum()


@full_precision
def barlow_twins(z_a: Tensor, z_b: Tensor, lambd: float = 5e-3, *, eps: float = 1e-5) -> BarlowTwinsLoss:
    """Barlow Twins: correlate each dimension with itself across views, and with no other dimension.

    Convention: sums over the entries of C, not means. There are D invariance terms and D(D-1) redundancy
    terms, so lambd has to shrink roughly as 1/D when D changes. Paper 5e-3, official code 5.1e-3, both at D = 8192.

    Args:
        z_a: `(N, D)` embeddings of view A, N >= 2.
        z_b: `(N, D)` embeddings of view B; row i is the same image as row i of `z_a`.
        lambd: weight of the redundancy term, >= 0.
        eps: added to the variance, >= 0.

    Returns:
        BarlowTwinsLoss. `invariance = sum_i (1 - C_ii)^2` in [0, 4D], `redundancy = sum_{i != j} C_ij^2` in
        [0, D(D-1)]. When all embeddings coincide C is 0, so total is D. The redundancy of identical views of
        rank r < D cannot fall below D^2/r - D (Welch), and r <= N - 1.

    Raises:
        TypeError, ValueError: as `cross_correlation`.

    Source: Zbontar et al., 2103.03230, eq. 1 and 2.
    """
    validate.number("lambd", lambd, at_least=0)
    c = cross_correlation(z_a, z_b, eps)
    invariance, redundancy = invariance_term(c), redundancy_term(c)
    # L = sum_i (1 - C_ii)^2 + lambd sum_{i != j} C_ij^2
    return BarlowTwinsLoss(invariance + lambd * redundancy, invariance, redundancy)


@full_precision
def barlow_twins_gradient(z_a: Tensor, z_b: Tensor, lambd: float = 5e-3) -> Tensor:
    """The gradient of `barlow_twins(z_a, z_b, lambd, eps=0).total` with respect to `z_a`, in closed form.

    Two identities hold for each dimension j, because standardising removes shift and scale:
    `sum_b g_bj = 0` and `sum_b (z_bj - mean_j) g_bj = 0`.

    Args:
        z_a: `(N, D)` embeddings of view A, N >= 2; no dimension may be constant.
        z_b: `(N, D)` embeddings of view B.
        lambd: weight of the redundancy term, >= 0.

    Returns:
        `(N, D)`, in units of 1 / z_a: ten times smaller embeddings have a ten times larger gradient.

    Raises:
        TypeError, ValueError: as `cross_correlation` with eps = 0.

    Source: derived in lesson 02; checked against automatic differentiation in the tests.
    """
    z_a, z_b = validate.paired("z_a", z_a, "z_b", z_b)
    validate.number("lambd", lambd, at_least=0)
    a, b = standardize(z_a, eps=0), standardize(z_b, eps=0)
    c = a.T @ b / z_a.shape[0]
    # G = dL/dC = 2 lambd offdiag(C) - 2 diag(1 - C_ii)
    g_c = 2 * lambd * off_diagonal(c) - 2 * torch.diag(1 - c.diagonal())
    # dL/da = b G^T / N
    g_a = b @ g_c.T / z_a.shape[0]
    return standardize_gradient(g_a, z_a)


def standardize_gradient(g: Tensor, z: Tensor) -> Tensor:
    """Back through `standardize(z, eps=0)`: from the gradient `g` for its result to the gradient for `z`.

    Args:
        g: `(N, D)`, the gradient of some loss with respect to the standardised values.
        z: `(N, D)`; no dimension may be constant.

    Returns:
        `(N, D)`, in units of g / z.
    """
    a = standardize(z, eps=0)
    # dL/dz_bj = [ g_bj - mean_b g_bj - a_bj mean_b(a_bj g_bj) ] / sigma_j
    return (g - g.mean(dim=0) - a * (a * g).mean(dim=0)) / z.std(dim=0, correction=0)
