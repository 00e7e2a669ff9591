"""KoLeo: push each sample away from its nearest neighbour, so that the batch spreads out."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from jemlib import validate
from jemlib.losses.precision import full_precision


class KoLeoLoss(NamedTuple):
    """`total`: a scalar, the mean over the samples of minus the log distance to the nearest other one."""

    total: Tensor


@full_precision
def koleo(z: Tensor, eps: float = 1e-8) -> KoLeoLoss:
    """`-(1/N) sum_i log(min_{j != i} |u_i - u_j| + eps)`, with the rows scaled to length 1.

    Up to constants it is minus the Kozachenko-Leonenko estimate of the entropy. DINOv2 adds it with weight 0.1.

    Convention: natural logarithm; distances, not their squares; eps is added to the distance. Which row is the
    nearest is not differentiated; where several are, it is the first one.

    Args:
        z: `(N, D)` rows, N >= 2.
        eps: > 0. It keeps duplicates finite.

    Returns:
        KoLeoLoss; `total` >= -log(2 + eps), which two opposite rows reach. When all rows coincide it is -log eps, the
        most, and the gradient is 0: as everywhere, the exact collapse has no force. Close to it the force is large.

    Source: Sablayrolles et al., 1806.03198; as in facebookresearch/dinov2, koleo_loss.py.
    """
    z = validate.embeddings("z", z, check_finite=False)
    validate.number("eps", eps, above=0)
    u = F.normalize(z, dim=1)
    with torch.no_grad():
        cosines = (u @ u.T).fill_diagonal_(-torch.inf)  # the nearest row has the largest cosine
        nearest = cosines.argmax(dim=1)
    # The difference itself, not sqrt(2 - 2 cos): near duplicates that root is rounding, and its slope is infinite.
    distance = torch.linalg.vector_norm(u - u[nearest], dim=1)
    # L = -mean_i log( |u_i - u_nn(i)| + eps )
    total = -(distance + eps).log().mean()
    validate.finite_result(total, z=z)
    return KoLeoLoss(total)
