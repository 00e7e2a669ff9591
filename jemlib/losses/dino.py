"""DINO: match the softmax of a student to the sharper, centred softmax of a teacher that saw another view."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from jemlib import validate
from jemlib.losses.crops import alike, named_views, student_and_teacher, views_of
from jemlib.losses.precision import full_precision


class DINOLoss(NamedTuple):
    """`total = teacher_entropy + kl` (to rounding); scalars in nats. Only `kl` has a gradient, which is `total`'s."""

    total: Tensor
    teacher_entropy: Tensor
    kl: Tensor


@full_precision
def dino(
    student_logits: Sequence[Tensor],
    teacher_logits: Sequence[Tensor],
    center: Tensor,
    student_temperature: float = 0.1,
    teacher_temperature: float = 0.04,
) -> DINOLoss:
    """Cross-entropy of the student's prediction for one view under the teacher's for another.

    Convention: the centre is subtracted from the teacher's logits, as in the official code (the paper's text
    adds it); pairs of one and the same view are skipped; mean over the pairs that remain and over N. The
    teacher is detached here. Update the centre after this call, with `update_center`.

    Args:
        student_logits: list of `(N, K)`, one per view: first the global views, then the local ones, if any.
            At least two views; N >= 1.
        teacher_logits: list of `(N, K)`, one per global view, in the same order as the student's first ones.
        center: `(K,)`, the running mean of the teacher's logits.
        student_temperature: tau_s > 0.
        teacher_temperature: tau_t > 0; smaller than tau_s, so that the target is sharper than the prediction.

    Returns:
        DINOLoss; `total` >= `teacher_entropy` >= 0. There are two collapses. Uniform (all probabilities 1/K):
        `total` and `teacher_entropy` are log K; centring alone leads there. One-hot (one and the same dimension
        wins for every image): all three are 0, the least possible; sharpening alone, a small tau_t, leads there.

    Source: Caron et al., 2104.14294, eq. 1 to 3; facebookresearch/dino, main_dino.py.
    """
    validate.number("student_temperature", student_temperature, above=0)
    validate.number("teacher_temperature", teacher_temperature, above=0)
    students, teachers = student_and_teacher(student_logits=student_logits, teacher_logits=teacher_logits)
    center = _check_center(center, teachers[0]).to(teachers[0].dtype)
    n = teachers[0].shape[0]
    # log P_s = log softmax(g_s / tau_s), P_t = softmax((g_t - c) / tau_t)
    log_s = [(view / student_temperature).log_softmax(dim=1).flatten() for view in students]
    shift = -center / teacher_temperature
    logits_t = [torch.add(shift, view.detach(), alpha=1 / teacher_temperature) for view in teachers]
    p_t = [logits.softmax(dim=1) for logits in logits_t]
    # L = mean over pairs (t, s), s != t, of -(1/N) sum_i sum_k P_t,ik log P_s,ik; a dot product stores no N x K term
    pairs = [torch.dot(p.flatten(), log_p) for t, p in enumerate(p_t) for s, log_p in enumerate(log_s) if s != t]
    total = -torch.stack(pairs).mean() / n
    # every teacher view is in the same number of pairs
    entropy = torch.stack([_entropy(p, logits) for p, logits in zip(p_t, logits_t)]).mean()
    validate.finite_result(
        total + entropy, **named_views("student_logits", students), **named_views("teacher_logits", teachers)
    )
    return DINOLoss(total, entropy, total - entropy)


def _entropy(p: Tensor, logits: Tensor) -> Tensor:
    """Mean entropy of the rows of p = softmax(logits), without the logarithm of each entry."""
    # H_i = log sum_k e^{x_ik} - sum_k p_ik x_ik, and the first term is x_ik - log p_ik for every k: the largest will do
    normalizer = logits.amax(dim=1) - p.amax(dim=1).log()
    return normalizer.mean() - torch.dot(p.flatten(), logits.flatten()) / len(p)


@full_precision
@torch.no_grad()
def update_center(center: Tensor, teacher_logits: Sequence[Tensor], momentum: float = 0.9) -> Tensor:
    """The next centre: a moving average of the mean of the teacher's raw logits over samples and global views.

    Convention: raw means neither centred nor divided by the temperature. Call it after `dino`, which must see
    the old centre. With several processes the mean has to be taken over all of them first. Start from zeros, as
    the official code; a library that starts from the first batch's mean has ten times that centre after one step.

    Args:
        center: `(K,)`, the present centre. It is not changed.
        teacher_logits: list of `(N, K)`, one per global view.
        momentum: m in [0, 1]: 0 takes the batch mean, 1 keeps the centre. Of a constant bias, the fraction m^k is not
            yet in the centre after k steps.

    Returns:
        `(K,)`, without gradient, in the dtype of `center` (float32 if that has 16 bits).

    Source: Caron et al., 2104.14294, eq. 4.
    """
    validate.number("momentum", momentum, at_least=0, at_most=1)
    teachers = alike(views_of("teacher_logits", teacher_logits))
    center = _check_center(center, teachers[0])
    mean = torch.stack([view.mean(dim=0) for view in teachers]).mean(dim=0)
    # c <- m c + (1 - m) mean_{views, samples} g_t
    return momentum * center + (1 - momentum) * mean.to(center.dtype)


@torch.no_grad()
@full_precision
def balanced_center(
    center: Tensor, teacher_logits: Sequence[Tensor], temperature: float = 0.04, iterations: int = 3
) -> Tensor:
    """The centre under which the teacher uses all dimensions alike, on average over the batch.

    `update_center` makes the mean *logit* of every dimension equal; this makes the mean *probability* equal. Each
    iteration is one of Sinkhorn's, seen from the centre: -center / temperature is its potential of the dimensions.
    In the limit of many iterations DINO with this centre is DINO with Sinkhorn codes: the rows of a softmax sum to 1
    and the columns are equal. After a few the columns are only pushed towards it.

    Args:
        center: `(K,)`, where to start: the centre of the step before. It is not changed.
        teacher_logits: list of `(N, K)`, one per global view.
        temperature: tau_t > 0, that of the teacher's softmax.
        iterations: >= 1; the mean probabilities are 1/K in the limit.

    Returns:
        `(K,)`, detached. Convention: used on the batch that it was computed from, unlike `update_center`.

    Source: the ablation of 2104.14294 with Sinkhorn-Knopp in place of centring; the default of DINOv2, 2304.07193.
    """
    validate.number("temperature", temperature, above=0)
    validate.integer("iterations", iterations, at_least=1)
    logits = torch.cat(alike(views_of("teacher_logits", teacher_logits))).detach()
    center = _check_center(center, logits).to(logits.dtype)
    n, k = logits.shape
    for _ in range(iterations):
        log_p = ((logits - center) / temperature).log_softmax(dim=1)
        # c_k <- c_k + tau_t log( K mean_i P_ik )
        center = center + temperature * (log_p.logsumexp(dim=0) + math.log(k / n))
    return center


def _check_center(center: Tensor, logits: Tensor) -> Tensor:
    validate.tensor("center", center, "K", K=logits.shape[1])
    if center.device != logits.device:
        raise ValueError(f"center and the logits must be on one device; got {center.device} and {logits.device}.")
    return validate.finite_float("center", center.detach())
