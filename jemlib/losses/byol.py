"""BYOL: predict the direction that a slowly moving copy of the network gives to the other view."""

from __future__ import annotations

from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor

from jemlib import validate
from jemlib.losses.precision import full_precision
from jemlib.losses.simsiam import as_target


class BYOLLoss(NamedTuple):
    """`total = a_to_b + b_to_a`; scalars without unit, each direction in [0, 4]."""

    total: Tensor
    a_to_b: Tensor
    b_to_a: Tensor


@full_precision
def byol(p_a: Tensor, p_b: Tensor, target_a: Tensor, target_b: Tensor, *, stop_gradient: bool = True) -> BYOLLoss:
    """Squared distance between unit vectors: each view's prediction and the target network's other view.

    Convention: both directions added (some libraries give one direction, or their mean), mean over N; `p_a`
    predicts `target_b`. The targets are detached here, so the caller need not. `byol = 4 + 4 simsiam`.

    Args:
        p_a: `(N, D)` predictions of the online network from view A, N >= 1. They need not be normalised;
            a row of zeros has cosine 0, hence distance 2, with everything.
        p_b: `(N, D)` predictions from view B; row i is the same image as row i of `p_a`.
        target_a: `(N, D)` projections of view A by the target network, which `p_b` predicts.
        target_b: `(N, D)` projections of view B by the target network, which `p_a` predicts.
        stop_gradient: False lets the gradient into the targets, for experiments in which both networks are one.

    Returns:
        BYOLLoss; `total` in [0, 8]. When all vectors coincide it is 0: collapse is a global minimum of the loss.
        What keeps training away from it is the stop-gradient together with the predictor.

    Source: Grill et al., 2006.07733, eq. 2, added over both directions.
    """
    p_a, p_b = validate.paired("p_a", p_a, "p_b", p_b, min_samples=1, check_finite=False)
    p_a, target_b = validate.paired("p_a", p_a, "target_b", target_b, min_samples=1, check_finite=False)
    p_b, target_a = validate.paired("p_b", p_b, "target_a", target_a, min_samples=1, check_finite=False)
    # (1/N) sum_i | p_i/|p_i| - z_i/|z_i| |^2 = 2 - 2 mean_i cos(p_i, z_i)
    a_to_b = 2 - 2 * F.cosine_similarity(p_a, as_target(target_b, stop_gradient), dim=1).mean()
    b_to_a = 2 - 2 * F.cosine_similarity(p_b, as_target(target_a, stop_gradient), dim=1).mean()
    validate.finite_result(a_to_b + b_to_a, p_a=p_a, p_b=p_b, target_a=target_a, target_b=target_b)
    return BYOLLoss(a_to_b + b_to_a, a_to_b, b_to_a)
