"""VICReg: variance, invariance and covariance, each its own term."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from jemlib import validate
from jemlib.losses.gram import gram
from jemlib.losses.precision import full_precision


class VICRegLoss(NamedTuple):
    """`total = weights . (invariance, variance, covariance)`; the three terms are unweighted scalars."""

    total: Tensor
    invariance: Tensor
    variance: Tensor
    covariance: Tensor


def covariance_matrix(z: Tensor) -> Tensor:
    """The covariance of the dimensions over the batch, unbiased: `(N, D)` -> `(D, D)`, in units of z squared."""
    # Cov = Zc^T Zc / (N - 1)
    return gram((z - z.mean(dim=0)).T) / (z.shape[0] - 1)


def variance_hinge(cov: Tensor, gamma: float, eps: float) -> Tensor:
    """`(1/D) sum_j max(0, gamma - S_j)`, `S_j = sqrt(Cov_jj + eps)`, of a covariance; in [0, gamma - sqrt(eps)]."""
    return torch.relu(gamma - torch.sqrt(cov.diagonal() + eps)).mean()


def covariance_penalty(cov: Tensor) -> Tensor:
    """`(1/D) sum_{i != j} Cov_ij^2`, of a covariance matrix `(D, D)`."""
    return cov.square().fill_diagonal_(0).sum() / cov.shape[0]


@full_precision
def vicreg(
    z_a: Tensor,
    z_b: Tensor,
    invariance: float = 25.0,
    variance: float = 25.0,
    covariance: float = 1.0,
    gamma: float = 1.0,
    eps: float = 1e-4,
) -> VICRegLoss:
    """VICReg: pull the views together, keep each dimension spread out, keep dimensions uncorrelated.

    Convention: the official code's scale. Invariance is the mean over N and D; variance is the average of the
    two branches; covariance is the sum of the two branches, each divided by D. In the paper's scale (sum over
    D, branches added) these default weights read lambda = 25/D, mu = 12.5, nu = 1.

    Args:
        z_a: `(N, D)` embeddings of view A, N >= 2. They are not normalised.
        z_b: `(N, D)` embeddings of view B; row i is the same image as row i of `z_a`.
        invariance: weight of `(1/ND) sum (a - b)^2`, >= 0.
        variance: weight of the hinge on the standard deviation, >= 0.
        covariance: weight of the off-diagonal covariances, >= 0.
        gamma: the standard deviation below which the hinge pushes, > 0.
        eps: added to the variance inside the root, >= 0. With 0 the gradient of a constant dimension is NaN.

    Returns:
        VICRegLoss. When all embeddings coincide, total is `variance * (gamma - sqrt(eps))`: 24.75 by default.

    Source: Bardes et al., 2105.04906, eq. 1 to 6; scale of facebookresearch/vicreg, main_vicreg.py.
    """
    z_a, z_b = validate.paired("z_a", z_a, "z_b", z_b)
    for name, weight in (
        ("invariance", invariance),
        ("variance", variance),
        ("covariance", covariance),
        ("eps", eps),
    ):
        validate.number(name, weight, at_least=0)
    validate.number("gamma", gamma, above=0)
    # s = (1/ND) sum_bj (a_bj - b_bj)^2
    s = F.mse_loss(z_a, z_b)
    cov_a, cov_b = covariance_matrix(z_a), covariance_matrix(z_b)
    # v = ( v(A) + v(B) ) / 2
    v = (variance_hinge(cov_a, gamma, eps) + variance_hinge(cov_b, gamma, eps)) / 2
    # c = c(A) + c(B)
    c = covariance_penalty(cov_a) + covariance_penalty(cov_b)
    return VICRegLoss(invariance * s + variance * v + covariance * c, s, v, c)
