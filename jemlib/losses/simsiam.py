"""SimSiam: predict the other view's projection by its direction, and let no gradient through that target."""

from __future__ import annotations

from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor

from jemlib import validate
from jemlib.losses.precision import full_precision


class SimSiamLoss(NamedTuple):
    """`total = (a_to_b + b_to_a) / 2`; scalars without unit, each in [-1, 1]."""

    total: Tensor
    a_to_b: Tensor
    b_to_a: Tensor


def as_target(z: Tensor, stop_gradient: bool) -> Tensor:
    """The one place where SimSiam's and BYOL's targets are detached."""
    if not isinstance(stop_gradient, bool):
        raise TypeError(f"stop_gradient must be True or False; got {validate.describe(stop_gradient)}.")
    return z.detach() if stop_gradient else z


@full_precision
def simsiam(p_a: Tensor, p_b: Tensor, z_a: Tensor, z_b: Tensor, *, stop_gradient: bool = True) -> SimSiamLoss:
    """Negative cosine between each view's prediction and the other view's projection.

    Convention: mean of the two directions and over N; `p_a` predicts `z_b`. The projections are detached here,
    so the caller need not. `byol = 4 + 4 simsiam` on the same tensors, hence gradients four times as large:
    a learning rate of SGD does not carry over from one to the other.

    Args:
        p_a: `(N, D)` predictions from view A (projection, then predictor), N >= 1. They need not be normalised;
            a row of zeros has cosine 0 with everything.
        p_b: `(N, D)` predictions from view B; row i is the same image as row i of `p_a`.
        z_a: `(N, D)` projections of view A, the targets of `p_b`.
        z_b: `(N, D)` projections of view B, the targets of `p_a`.
        stop_gradient: False lets the gradient into the targets. It is there to cause the collapse on purpose.

    Returns:
        SimSiamLoss. When all vectors coincide, total is -1: collapse is a global minimum of the loss. What keeps
        training away from it is the stop-gradient together with the predictor.

    Source: Chen and He, 2011.10566, eq. 1 to 4.
    """
    p_a, p_b = validate.paired("p_a", p_a, "p_b", p_b, min_samples=1, check_finite=False)
    p_a, z_b = validate.paired("p_a", p_a, "z_b", z_b, min_samples=1, check_finite=False)
    p_b, z_a = validate.paired("p_b", p_b, "z_a", z_a, min_samples=1, check_finite=False)
    # D(p, z) = -(1/N) sum_i p_i . sg(z_i) / (|p_i| |z_i|)
    a_to_b = -F.cosine_similarity(p_a, as_target(z_b, stop_gradient), dim=1).mean()
    b_to_a = -F.cosine_similarity(p_b, as_target(z_a, stop_gradient), dim=1).mean()
    validate.finite_result(a_to_b + b_to_a, p_a=p_a, p_b=p_b, z_a=z_a, z_b=z_b)
    # L = D(p_a, z_b) / 2 + D(p_b, z_a) / 2
    return SimSiamLoss((a_to_b + b_to_a) / 2, a_to_b, b_to_a)
