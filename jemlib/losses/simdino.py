"""SimDINO: DINO without prototypes, centre and temperatures; the student's coding rate keeps it from collapsing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from jemlib import validate
from jemlib.losses.crops import named_views, student_and_teacher
from jemlib.losses.gram import gram
from jemlib.losses.precision import full_precision


class SimDINOLoss(NamedTuple):
    """`total = alignment - balance * coding_rate`; both terms are unweighted scalars, `coding_rate` in nats."""

    total: Tensor
    alignment: Tensor
    coding_rate: Tensor


@full_precision
def coding_rate(z: Tensor, eps: float = 0.05) -> Tensor:
    """`(1/2) log det(I + D/(N eps) Z^T Z)`: how much room the rows take up, in all directions at once.

    Convention: natural logarithm; the rows are taken as they are, neither centred nor normalised. `eps` is the mean
    squared error per sample up to which rows are coded, and the formula has it where rate distortion theory has its
    square; the official code does as here.

    Args:
        z: `(N, D)` rows, N >= 1.
        eps: > 0. The smaller, the more a direction that few rows use counts.

    Returns:
        Scalar >= 0. For rows of length 1: (1/2) log(1 + D/eps) when all coincide, the least; (D/2) log(1 + 1/eps) when
        Z^T Z = (N/D) I, the most.

    Source: Yu et al., 2006.08558, with eps^2 there; as here in Wu et al., 2502.10385.
    """
    z = validate.embeddings("z", z, min_samples=1, check_finite=False)
    validate.number("eps", eps, above=0)
    rate = _coding_rate(z, eps)
    validate.finite_result(rate, z=z)
    return rate


def _coding_rate(z: Tensor, eps: float) -> Tensor:
    n, d = z.shape
    # det(I + a Z^T Z) = det(I + a Z Z^T): the smaller of the two
    products = gram(z if n < d else z.T)
    # (1/2) log det M = sum_i log L_ii, M = L L^T
    eye = torch.eye(len(products), dtype=products.dtype, device=products.device)
    lower, _ = torch.linalg.cholesky_ex(eye + d / (n * eps) * products)
    return lower.diagonal().log().sum()


@full_precision
def simdino(
    student: Sequence[Tensor], teacher: Sequence[Tensor], eps: float = 0.05, expansion: float = 1.0
) -> SimDINOLoss:
    """Turn the student's view towards the teacher's other views, and let the student's rows take up room.

    Convention: the official code's. All rows are scaled to length 1; pairs of one and the same view are skipped; the
    coding rate is that of the student's global views, one by one, and then averaged. Its weight
    `balance = expansion (D + N)/(D N)` is meant to keep the two gradients of one size for every N and D; the code calls
    it a heuristic. The teacher is detached here.

    Args:
        student: list of `(N, D)`, one per view: first the global views, then the local ones, if any. At least two.
        teacher: list of `(N, D)`, one per global view, in the same order as the student's first ones.
        eps: of `coding_rate`, > 0. The official commands take 0.05, the code's default is 0.5.
        expansion: factor of the balance, >= 0. With 0 nothing keeps the student from collapsing.

    Returns:
        SimDINOLoss; `alignment` is minus the mean cosine, in [-1, 1]. When all rows coincide, alignment is -1 and the
        coding rate (1/2) log(1 + D/eps), its least: collapse is no minimum, but the gradient there is 0.

    Source: Wu et al., 2502.10385; RobinWu218/SimDINO, main_dino.py.
    """
    validate.number("eps", eps, above=0)
    validate.number("expansion", expansion, at_least=0)
    students, teachers = student_and_teacher(student=student, teacher=teacher)
    n, d = students[0].shape
    u, targets = ([F.normalize(view, dim=1) for view in views] for views in (students, teachers))
    # a = -mean over pairs (t, s), s != t, of (1/N) sum_i u_s,i . sg(u_t,i)
    pairs = [torch.sum(a * b.detach()) / n for t, b in enumerate(targets) for s, a in enumerate(u) if s != t]
    alignment = -torch.stack(pairs).mean()
    # R = mean over global views of (1/2) log det(I + D/(N eps) U^T U)
    rate = torch.stack([_coding_rate(view, eps) for view in u[: len(targets)]]).mean()
    validate.finite_result(alignment + rate, **named_views("student", students), **named_views("teacher", teachers))
    # L = a - expansion (D + N)/(D N) R
    return SimDINOLoss(alignment - expansion * (d + n) / (d * n) * rate, alignment, rate)
