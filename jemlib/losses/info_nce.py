"""InfoNCE and its two closest relatives: SimCLR's NT-Xent and the decoupled form that Barlow Twins compares with."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from jemlib import validate
from jemlib.losses.gram import gram
from jemlib.losses.precision import full_precision


class ContrastiveLoss(NamedTuple):
    """`total = alignment + contrast`; all three are scalars, in nats, already divided by the temperature."""

    total: Tensor
    alignment: Tensor
    contrast: Tensor


@full_precision
def info_nce(z_a: Tensor, z_b: Tensor, temperature: float = 0.2) -> ContrastiveLoss:
    """InfoNCE with in-batch negatives: find, among all rows of `z_b`, the one that belongs to a row of `z_a`.

    Convention: cosine similarity; the positive is part of the sum; one direction, a -> b; mean over N.
    MoCo v3's official code sums both directions and multiplies by 2 * temperature, a factor that its eq. 1 lacks.

    Args:
        z_a: `(N, D)` embeddings of view A, N >= 2. They need not be normalised.
        z_b: `(N, D)` embeddings of view B; row i is the same image as row i of `z_a`.
        temperature: tau > 0. Small values let the hardest negatives dominate.

    Returns:
        ContrastiveLoss. `total` lies in [0, log(1 + (N-1) e^(2/tau))] and is log N when all embeddings coincide.

    Source: van den Oord et al., 1807.03748, eq. 4; in-batch form as in MoCo v3, 2104.02057, eq. 1.
    """
    z_a, z_b = validate.paired("z_a", z_a, "z_b", z_b)
    validate.number("temperature", temperature, above=0)
    # S_ij = cos(a_i, b_j) / tau
    scores = F.normalize(z_a, dim=1) @ F.normalize(z_b, dim=1).T / temperature
    # L = mean_i [ -S_ii + log sum_j exp S_ij ]
    alignment = -scores.diagonal().mean()
    contrast = scores.logsumexp(dim=1).mean()
    return ContrastiveLoss(alignment + contrast, alignment, contrast)


@full_precision
def nt_xent(z_a: Tensor, z_b: Tensor, temperature: float = 0.5) -> ContrastiveLoss:
    """SimCLR's normalised-temperature cross-entropy: both views give anchors, and both give negatives.

    Convention: cosine similarity; 2N anchors, each with 1 positive and 2N-2 negatives, itself masked;
    mean over the 2N anchors. SimCLR's own code adds the two directions, which is twice this value.

    Args:
        z_a: `(N, D)` embeddings of view A, N >= 2.
        z_b: `(N, D)` embeddings of view B; row i is the same image as row i of `z_a`.
        temperature: tau > 0.

    Returns:
        ContrastiveLoss; `total` >= 0, and log(2N - 1) when all embeddings coincide.

    Source: Chen et al., 2002.05709, eq. 1.
    """
    z_a, z_b = validate.paired("z_a", z_a, "z_b", z_b)
    validate.number("temperature", temperature, above=0)
    n = z_a.shape[0]
    u = F.normalize(torch.cat([z_a, z_b]), dim=1)
    scores = gram(u / math.sqrt(temperature))
    # alignment = -mean_i S_{i, p(i)}, where p(i) is the other view of the same image
    alignment = -scores.diagonal(offset=n).mean()
    # L = alignment + mean_i log sum_{j != i} exp S_ij, as one cross-entropy: a fused kernel, and 2N x 2N is large
    others = scores.fill_diagonal_(float("-inf"))
    total = F.cross_entropy(others, torch.arange(2 * n, device=u.device).roll(n))
    return ContrastiveLoss(total, alignment, total - alignment)


@full_precision
def decoupled_info_nce(z_a: Tensor, z_b: Tensor, temperature: float) -> ContrastiveLoss:
    """The form that Barlow Twins is compared with: the positive is left out of the log-sum.

    Per sample, `info_nce = softplus(decoupled)`. Hence this one has no lower bound: it falls without end as
    the temperature goes to 0. Convention: mean over N, where the Barlow Twins paper writes a sum.

    Args:
        z_a: `(N, D)` embeddings of view A, N >= 2.
        z_b: `(N, D)` embeddings of view B; row i is the same image as row i of `z_a`.
        temperature: tau > 0.

    Returns:
        ContrastiveLoss; `total` is log(N - 1) when all embeddings coincide.

    Source: Zbontar et al., 2103.03230, section 5.1 (the temperature is in the text around the formula).
    """
    z_a, z_b = validate.paired("z_a", z_a, "z_b", z_b)
    validate.number("temperature", temperature, above=0)
    scores = F.normalize(z_a, dim=1) @ F.normalize(z_b, dim=1).T / temperature
    alignment = -scores.diagonal().mean()
    # contrast = mean_i log sum_{j != i} exp S_ij
    positive = torch.eye(z_a.shape[0], dtype=torch.bool, device=scores.device)
    contrast = scores.masked_fill(positive, float("-inf")).logsumexp(dim=1).mean()
    return ContrastiveLoss(alignment + contrast, alignment, contrast)
