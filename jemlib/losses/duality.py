"""Contrastive and non-contrastive criteria are dual: one penalises the Gram matrix of the samples, the other that of
the dimensions, and they differ only by the norms of rows and columns.

Convention: `k` is `(N, D)`, samples in rows, as everywhere in jemlib. The paper's K is the transpose, `(M, N)` with
samples in columns and M = D; its K^T K is k k^T here.

Source: Garrido et al., 2206.02574, section 3.
"""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from jemlib import validate
from jemlib.losses.barlow_twins import off_diagonal
from jemlib.losses.precision import full_precision


class Duality(NamedTuple):
    """`noncontrastive + dimension_norms = contrastive + sample_norms`, both equal to |k^T k|_F^2."""

    noncontrastive: Tensor
    dimension_norms: Tensor
    contrastive: Tensor
    sample_norms: Tensor

    @property
    def dimension_side(self) -> Tensor:
        """`L_nc + sum_j |k_.j|^4`, from the `(D, D)` Gram matrix."""
        return self.noncontrastive + self.dimension_norms

    @property
    def sample_side(self) -> Tensor:
        """`L_c + sum_i |k_i.|^4`, from the `(N, N)` Gram matrix."""
        return self.contrastive + self.sample_norms


class ContrastiveBounds(NamedTuple):
    """What `contrastive_criterion` can be once `noncontrastive_criterion` and the norms of the samples are known."""

    lower: Tensor
    upper: Tensor


@full_precision
def contrastive_criterion(k: Tensor) -> Tensor:
    """`L_c = sum_{i != i'} <k_i, k_i'>^2` over pairs of samples: how far the samples are from orthogonal.

    Args:
        k: `(N, D)` embeddings, as they are: neither centred nor normalised here.

    Returns:
        Scalar >= 0, in units of k to the fourth. Memory N^2. When all samples are one vector c it is N(N-1) |c|^4.

    Source: Garrido et al., 2206.02574, section 3 (there |K^T K - diag(K^T K)|_F^2).
    """
    k = validate.embeddings("k", k, min_samples=1)
    # L_c = |k k^T - diag|_F^2
    return off_diagonal(k @ k.T).square().sum()


@full_precision
def noncontrastive_criterion(k: Tensor) -> Tensor:
    """`L_nc = sum_{j != j'} <k_.j, k_.j'>^2` over pairs of dimensions: how far the dimensions are from orthogonal.

    With k the centred embeddings it is `D (N-1)^2` times VICReg's covariance penalty; with k standardised it is N^2
    times Barlow Twins' redundancy of two identical views.

    Args:
        k: `(N, D)` embeddings, as they are: neither centred nor normalised here.

    Returns:
        Scalar >= 0, in units of k to the fourth. Memory D^2. When all samples are one vector c it is
        N^2 (|c|^4 - sum_j c_j^4).

    Source: Garrido et al., 2206.02574, section 3 (there |K K^T - diag(K K^T)|_F^2).
    """
    k = validate.embeddings("k", k, min_samples=1)
    # L_nc = |k^T k - diag|_F^2
    return off_diagonal(k.T @ k).square().sum()


@full_precision
def duality(k: Tensor) -> Duality:
    """Both criteria and the norms that separate them: `L_nc + sum_j |k_.j|^4 = L_c + sum_i |k_i.|^4` for every k.

    Each side is the squared Frobenius norm of a Gram matrix, and k^T k and k k^T have the same one.

    Args:
        k: `(N, D)` embeddings. Nothing is normalised, and nothing need be.

    Returns:
        Duality; its four terms are computed one by one, so that the identity can be checked.

    Source: Garrido et al., 2206.02574, section 3.
    """
    k = validate.embeddings("k", k, min_samples=1)
    squares = k.square()
    return Duality(
        noncontrastive=noncontrastive_criterion(k),
        # sum_j ( sum_i k_ij^2 )^2
        dimension_norms=squares.sum(dim=0).square().sum(),
        contrastive=contrastive_criterion(k),
        # sum_i ( sum_j k_ij^2 )^2
        sample_norms=squares.sum(dim=1).square().sum(),
    )


@full_precision
def contrastive_bounds(k: Tensor) -> ContrastiveBounds:
    """`L_nc + S^2 / D - sum_i |k_i|^4 <= L_c <= L_nc + S^2 - sum_i |k_i|^4`, with `S = |k|_F^2`.

    The D numbers |k_.j|^2 are >= 0 and sum to S, so the sum of their squares lies in [S^2/D, S^2]; the rest is the
    identity of `duality`. The lower bound is reached when all dimensions have the same norm, the upper one when one
    dimension carries everything. For unit samples S = N, and it reads L_nc - N + N^2/D <= L_c <= L_nc - N + N^2.

    Unit samples and unit dimensions at once need N = D (both sums of squares are S), and then L_c = L_nc; a constant
    N - D between them, as the paper has for that case, is 0. Unit samples and dimensions of equal norm, which is
    sqrt(N/D), give L_c - L_nc = N^2/D - N.

    Args:
        k: `(N, D)` embeddings, not normalised here.

    Source: Garrido et al., 2206.02574, section 3, for unit samples.
    """
    k = validate.embeddings("k", k, min_samples=1)
    squares = k.square()
    total = squares.sum()
    offset = noncontrastive_criterion(k) - squares.sum(dim=1).square().sum()
    # S^2/D <= sum_j |k_.j|^4 <= S^2
    return ContrastiveBounds(offset + total.square() / k.shape[1], offset + total.square())
