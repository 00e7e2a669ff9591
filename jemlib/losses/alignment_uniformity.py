"""Alignment and uniformity: the two things InfoNCE asks for, as a loss of their own."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from jemlib import validate
from jemlib.losses.precision import full_precision


class AlignUniformLoss(NamedTuple):
    """`total = weights . (alignment, uniformity)`; the two terms are unweighted scalars, uniformity in nats."""

    total: Tensor
    alignment: Tensor
    uniformity: Tensor


def alignment_term(u: Tensor, v: Tensor, alpha: float) -> Tensor:
    """`mean_i |u_i - v_i|^alpha` of unit rows; in [0, 2^alpha]."""
    squares = (u - v).square().sum(dim=1)
    # |x|^alpha = (|x|^2)^(alpha/2), whose formula divides 0 by 0 in the gradient at x = 0 when alpha < 2: give 0 there
    differ = squares > 0
    return torch.where(differ, torch.where(differ, squares, 1.0).pow(alpha / 2), 0.0).mean()


def uniformity_term(u: Tensor, t: float) -> Tensor:
    """`log mean_{i<j} exp(-t |u_i - u_j|^2)` of rows `(N, D)`; in [-4t, 0] when they have unit length."""
    n = len(u)
    itself = torch.eye(n, dtype=torch.bool, device=u.device)
    # Over i != j each pair counts twice, in the sum and in N(N-1) alike; this is cheaper than picking i < j.
    scores = (-t * _squared_distances(u, u)).masked_fill(itself, float("-inf"))
    return scores.flatten().logsumexp(dim=0) - math.log(n * (n - 1))


@full_precision
def align_uniform(
    z_a: Tensor,
    z_b: Tensor,
    alignment: float = 1.0,
    uniformity: float = 1.0,
    alpha: float = 2.0,
    t: float = 2.0,
) -> AlignUniformLoss:
    """Alignment and uniformity on the sphere: views of one image close, all images far apart.

    Convention: rows are l2-normalised here; uniformity is the average over the two views, each over its own pairs
    i < j, the sample itself left out. The terms are `jemlib.diagnose.alignment` and `uniformity`. Squared distances
    come from inner products: torch.pdist has a wrong second derivative where points coincide, that is at collapse.
    Memory N^2.

    Args:
        z_a: `(N, D)` embeddings of view A, N >= 2. They need not be normalised.
        z_b: `(N, D)` embeddings of view B; row i is the same image as row i of `z_a`.
        alignment: weight of `mean_i |u_i - v_i|^alpha`, >= 0.
        uniformity: weight of `log mean_{i<j} exp(-t |u_i - u_j|^2)`, >= 0.
        alpha: power of the distance, > 0.
        t: inverse width of the kernel, > 0.

    Returns:
        AlignUniformLoss; alignment in [0, 2^alpha], uniformity in [-4t, 0]. When all embeddings coincide both are 0,
        and so is the gradient; alignment is then at its minimum and uniformity at its maximum.

    Source: Wang and Isola, 2005.10242, the definitions of L_align and L_uniform.
    """
    z_a, z_b = validate.paired("z_a", z_a, "z_b", z_b)
    for name, weight in (("alignment", alignment), ("uniformity", uniformity)):
        validate.number(name, weight, at_least=0)
    for name, value in (("alpha", alpha), ("t", t)):
        validate.number(name, value, above=0)
    u, v = F.normalize(z_a, dim=1), F.normalize(z_b, dim=1)
    align = alignment_term(u, v, alpha)
    # L_uniform = ( L_uniform(A) + L_uniform(B) ) / 2
    uniform = (uniformity_term(u, t) + uniformity_term(v, t)) / 2
    return AlignUniformLoss(alignment * align + uniformity * uniform, align, uniform)


@full_precision
def info_nce_uniformity(z_a: Tensor, z_b: Tensor, t: float = 2.0) -> Tensor:
    """`mean_i log mean_j exp(-t |u_i - v_j|^2)`: what InfoNCE at temperature 1 / (2t) has in place of uniformity.

    Exact for every N, with alpha = 2 and tau = 1 / (2t), because <u, v> = 1 - |u - v|^2 / 2:

        info_nce.total - log N = t * alignment + info_nce_uniformity
        info_nce.contrast - log N = 1 / tau + info_nce_uniformity

    It differs from `uniformity` in three ways. It counts the pair j = i, whose weight 1/N vanishes as N grows. It
    compares view A with view B, which makes no difference in the limit if both views have one distribution. And its
    logarithm stands inside the mean over i; this stays. By Jensen it is never above
    `log mean_ij exp(-t |u_i - v_j|^2)`, and equal exactly when the mean over j is the same for every i, as for
    embeddings spread evenly over the sphere. So the limit of InfoNCE is a lower bound of uniformity, not uniformity.

    Args:
        z_a: `(N, D)` embeddings of view A, N >= 2; l2-normalised here.
        z_b: `(N, D)` embeddings of view B; row i is the same image as row i of `z_a`.
        t: inverse width of the kernel, > 0.

    Returns:
        Scalar in [-4t, 0], in nats; 0 when all embeddings coincide.

    Source: Wang and Isola, 2005.10242, theorem 1 (the limit).
    """
    z_a, z_b = validate.paired("z_a", z_a, "z_b", z_b)
    validate.number("t", t, above=0)
    u, v = F.normalize(z_a, dim=1), F.normalize(z_b, dim=1)
    # mean_i [ log sum_j exp(-t |u_i - v_j|^2) - log N ]
    return (-t * _squared_distances(u, v)).logsumexp(dim=1).mean() - math.log(len(u))


def _squared_distances(u: Tensor, v: Tensor) -> Tensor:
    # |u|^2 is 1, or 0 for a zero row. Kept, so that all-zero embeddings have distance 0 and count as collapsed.
    # |u_i - v_j|^2 = |u_i|^2 + |v_j|^2 - 2 u_i.v_j
    return u.square().sum(dim=1)[:, None] + v.square().sum(dim=1)[None, :] - 2 * u @ v.T
