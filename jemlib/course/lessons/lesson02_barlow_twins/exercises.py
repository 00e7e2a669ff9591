"""Lesson 02: the exercises that derive `jemlib.losses.barlow_twins`, with their wrong and other right answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from jemlib import losses
from jemlib.course.machinery.agreement import Agreement, Case, Wrong
from jemlib.course.machinery.exercises import Exercise, register
from jemlib.course.machinery.inputs import pairs_with, single_views
from jemlib.course.machinery.lessons import lesson_of

LESSON = lesson_of(__name__)
Pair = tuple[Tensor, Tensor, Tensor]


# --- Inputs ----------------------------------------------------------------------------------------------------


def _varying_pairs() -> list[Case]:
    """For the gradient with eps = 0: no dimension may be constant."""
    return [case for case in pairs_with(lambd=0.2)() if "constant" not in case.note]


def _matrices() -> list[Case]:
    """Square matrices that are not symmetric, one entry alone, the identity, and both types."""
    generator = torch.Generator().manual_seed(21)
    random = [2 * torch.rand(d, d, generator=generator, dtype=torch.float64) - 1 for d in (4, 3, 7, 1)]
    return [
        *(Case((c,)) for c in random),
        Case((random[2].float(),)),
        Case((3 * random[2],), note="entries beyond 1"),
        Case((torch.eye(5, dtype=torch.float64),), note="the identity"),
    ]


# --- 2.1 standardize --------------------------------------------------------------------------------------------


def _scaled(centre: Any, spread: Callable[[Tensor, float], Tensor]) -> Callable[..., Tensor]:
    """Some way to standardise: what is subtracted, and what it is divided by."""
    return lambda z, eps=1e-5: (z - centre(z)) / spread(z, eps)


def _mean(z: Tensor) -> Tensor:
    return z.mean(dim=0)


def _deviation(z: Tensor, eps: float) -> Tensor:
    return torch.sqrt(z.var(dim=0, correction=0) + eps)


def _unbiased(z: Tensor, eps: float) -> Tensor:
    return torch.sqrt(z.var(dim=0) + eps)


def _eps_outside(z: Tensor, eps: float) -> Tensor:
    return torch.sqrt(z.var(dim=0, correction=0)) + eps


def _root_mean_square(z: Tensor, eps: float) -> Tensor:
    return torch.sqrt(z.square().mean(dim=0) + eps)


def _over_features(z: Tensor, eps: float = 1e-5) -> Tensor:
    variance = z.var(dim=1, keepdim=True, correction=0)
    return (z - z.mean(dim=1, keepdim=True)) / torch.sqrt(variance + eps)


def _std_over_features(z: Tensor, eps: float = 1e-5) -> Tensor:
    return (z - _mean(z)) / torch.sqrt(z.var(dim=1, keepdim=True, correction=0) + eps)


def _squared_deviation(z: Tensor, eps: float = 1e-5) -> Tensor:
    """Right in value, but the root of a root has no slope where a dimension is constant."""
    centred = z - _mean(z)
    return centred / torch.sqrt(centred.square().mean(dim=0).sqrt().square() + eps)


def _standardize_in_place(z: Tensor, eps: float = 1e-5) -> Tensor:
    z -= _mean(z)
    return z / _deviation(z, eps)


def _standardize_loop(z: Tensor, eps: float = 1e-5) -> Tensor:
    n, columns = z.shape[0], []
    for i in range(z.shape[1]):
        mean = sum(z[b, i] for b in range(n)) / n
        variance = sum((z[b, i] - mean) ** 2 for b in range(n)) / n
        columns.append(torch.stack([(z[b, i] - mean) / (variance + eps) ** 0.5 for b in range(n)]))
    return torch.stack(columns, dim=1)


# A phrase about the normalisation serves every exercise in which that mistake can be made.
NO_CENTRING = "the mean over the batch was not subtracted: each dimension must be centred first."
OVER_FEATURES = "std over features instead of over the batch: mean and variance run over dim=0, the N samples."
UNBIASED = (
    "the variance was divided by N - 1. The convention here divides by N (correction=0), as BatchNorm does; with "
    "N - 1 identical views get C_ii = (N - 1)/N, a slip in the paper's Algorithm 1."
)
EPS_OUTSIDE = "eps stands outside the root: it is added to the variance, sqrt(variance + eps)."
NO_EPS = "eps is missing: where a dimension is constant you divide by 0. Use sqrt(variance + eps)."
EPS_FIXED = "the argument eps is ignored: the number 1e-5 is only its default."
DETACHED_STATISTICS = "the gradient must flow through the mean and the variance too: leave out detach() and no_grad()."
IN_PLACE = "it changed its input in place"

STANDARDIZE_WRONG = {
    "no centring": Wrong(_scaled(lambda z: 0.0, _deviation), NO_CENTRING),
    "over features": Wrong(_over_features, OVER_FEATURES),
    "std over features": Wrong(
        _std_over_features, "the mean runs over the batch but the std over features; both run over dim=0, the samples."
    ),
    "one mean for all": Wrong(
        _scaled(lambda z: z.mean(), _deviation),
        "one mean was taken over all entries; each dimension has its own, dim=0.",
    ),
    "unbiased": Wrong(_scaled(_mean, _unbiased), UNBIASED),
    "eps outside": Wrong(_scaled(_mean, _eps_outside), EPS_OUTSIDE),
    "no eps": Wrong(_scaled(_mean, lambda z, eps: _deviation(z, 0.0)), NO_EPS),
    "eps fixed": Wrong(_scaled(_mean, lambda z, eps: _deviation(z, 1e-5)), EPS_FIXED),
    "variance without root": Wrong(
        _scaled(_mean, lambda z, eps: z.var(dim=0, correction=0) + eps),
        "it was divided by the variance; divide by its root, the standard deviation.",
    ),
    "root mean square": Wrong(
        _scaled(_mean, _root_mean_square), "the variance was taken from the raw values; square the centred ones."
    ),
    "only centred": Wrong(
        _scaled(_mean, lambda z, eps: torch.ones_like(z[0])), "centred, but not divided by the standard deviation."
    ),
    "standard deviation": Wrong(_squared_deviation, "dimension 1 constant. A root of exactly 0"),
    "detached statistics": Wrong(
        _scaled(lambda z: _mean(z).detach(), lambda z, eps: _deviation(z, eps).detach()), DETACHED_STATISTICS
    ),
    "in place": Wrong(_standardize_in_place, IN_PLACE),
    "numpy": Wrong(
        lambda z, eps=1e-5: losses.standardize(z, eps).detach().numpy(), "a NumPy array instead of a tensor"
    ),
}
STANDARDIZE_RIGHT = {
    "loop": _standardize_loop,
    "batch norm": lambda z, eps=1e-5: F.batch_norm(z, None, None, training=True, eps=eps),
    "var and rsqrt": lambda z, eps=1e-5: (z - z.mean(0)) * torch.rsqrt(z.var(0, unbiased=False) + eps),
    "mean of squares": lambda z, eps=1e-5: (z - z.mean(0)) / (z.square().mean(0) - z.mean(0).square() + eps).sqrt(),
    "einsum": lambda z, eps=1e-5: torch.einsum("bi,i->bi", z - z.mean(0), 1 / _deviation(z, eps)),
}

register(
    Exercise(
        name="standardize",
        lesson=LESSON,
        number="2.1",
        title="centre and scale each dimension over the batch",
        difficulty=1,
        importance=4,
        minutes=5,
        points=1,
        check=Agreement(losses.standardize, single_views(eps=0.3), STANDARDIZE_WRONG),
        hints=(
            "Rows are samples and columns are dimensions. A mean over the batch runs over the rows: dim=0.",
            "The variance of a dimension is the mean of its squared centred values, divided by N, not by N - 1.",
            "Three lines: centred = z - mean; variance = mean of centred squared; centred / sqrt(variance + eps).",
        ),
        right=STANDARDIZE_RIGHT,
    )
)


# --- 2.2 and 2.3 cross_correlation ------------------------------------------------------------------------------


def _correlate(standardize: Callable[..., Tensor], divide: Callable[[Tensor], float]) -> Callable[..., Tensor]:
    """Some cross-correlation: how a view is standardised, and what the sum over the batch is divided by."""
    return lambda z_a, z_b, eps=1e-5: standardize(z_a, eps).T @ standardize(z_b, eps) / divide(z_a)


def _batch(z: Tensor) -> float:
    return z.shape[0]


def _samples_by_samples(z_a: Tensor, z_b: Tensor, eps: float = 1e-5) -> Tensor:
    return losses.standardize(z_a, eps) @ losses.standardize(z_b, eps).T / z_a.shape[0]


def _cross_detached(z_a: Tensor, z_b: Tensor, eps: float = 1e-5) -> Tensor:
    return losses.cross_correlation(z_a, z_b.detach(), eps)


def _cross_loop(z_a: Tensor, z_b: Tensor, eps: float, entry: Callable[[Tensor, Tensor, int, int], Tensor]) -> Tensor:
    a, b = losses.standardize(z_a, eps), losses.standardize(z_b, eps)
    c = z_a.new_zeros(a.shape[1], a.shape[1])
    for i in range(a.shape[1]):
        for j in range(a.shape[1]):
            c[i, j] = entry(a, b, i, j)
    return c


def _sum_over_batch(a: Tensor, b: Tensor, i: int, j: int, skip: int = 0) -> Tensor:
    n = a.shape[0]
    return torch.stack([a[s, i] * b[s, j] for s in range(n - skip)]).sum() / n


def _loop(z_a: Tensor, z_b: Tensor, eps: float = 1e-5) -> Tensor:
    return _cross_loop(z_a, z_b, eps, _sum_over_batch)


def _loop_short(z_a: Tensor, z_b: Tensor, eps: float = 1e-5) -> Tensor:
    return _cross_loop(z_a, z_b, eps, lambda a, b, i, j: _sum_over_batch(a, b, i, j, skip=1))


def _loop_mirrored(z_a: Tensor, z_b: Tensor, eps: float = 1e-5) -> Tensor:
    return _cross_loop(z_a, z_b, eps, lambda a, b, i, j: _sum_over_batch(a, b, min(i, j), max(i, j)))


def _loop_diagonal(z_a: Tensor, z_b: Tensor, eps: float = 1e-5) -> Tensor:
    return torch.diag(losses.cross_correlation(z_a, z_b, eps).diagonal())


def _loop_item(z_a: Tensor, z_b: Tensor, eps: float = 1e-5) -> Tensor:
    return _cross_loop(z_a, z_b, eps, lambda a, b, i, j: _sum_over_batch(a, b, i, j).detach())


def _loop_float32(z_a: Tensor, z_b: Tensor, eps: float = 1e-5) -> Tensor:
    return losses.cross_correlation(z_a, z_b, eps).float()


def _outer_products(z_a: Tensor, z_b: Tensor, eps: float = 1e-5) -> Tensor:
    a, b = losses.standardize(z_a, eps), losses.standardize(z_b, eps)
    return torch.stack([torch.outer(a[s], b[s]) for s in range(len(a))]).mean(dim=0)


def _einsum_correlation(z_a: Tensor, z_b: Tensor, eps: float = 1e-5) -> Tensor:
    return torch.einsum("bi,bj->ij", losses.standardize(z_a, eps), losses.standardize(z_b, eps)) / len(z_a)


def _covariance_first(z_a: Tensor, z_b: Tensor, eps: float = 1e-5) -> Tensor:
    """Other algebra: the covariance, then divided by both standard deviations."""
    covariance = (z_a - z_a.mean(0)).T @ (z_b - z_b.mean(0)) / len(z_a)
    return covariance / torch.outer(_deviation(z_a, eps), _deviation(z_b, eps))


def _batch_norm_correlation(z_a: Tensor, z_b: Tensor, eps: float = 1e-5) -> Tensor:
    a, b = (F.batch_norm(z, None, None, training=True, eps=eps) for z in (z_a, z_b))
    return (a[:, :, None] * b[:, None, :]).mean(dim=0)


CROSS_WRONG = {
    "no centring": Wrong(_correlate(_scaled(lambda z: 0.0, _deviation), _batch), NO_CENTRING),
    "over features": Wrong(_correlate(_over_features, _batch), OVER_FEATURES),
    "unbiased": Wrong(_correlate(_scaled(_mean, _unbiased), _batch), UNBIASED),
    "unbiased twice": Wrong(
        _correlate(_scaled(_mean, _unbiased), lambda z: len(z) - 1),
        "N - 1 was used for the variance and for the sum. That cancels, except that eps is then added to another "
        "variance; the convention here divides by N in both places.",
    ),
    "eps outside": Wrong(_correlate(_scaled(_mean, _eps_outside), _batch), EPS_OUTSIDE),
    "no eps": Wrong(_correlate(_scaled(_mean, lambda z, eps: _deviation(z, 0.0)), _batch), NO_EPS),
    "eps fixed": Wrong(lambda z_a, z_b, eps=1e-5: losses.cross_correlation(z_a, z_b), EPS_FIXED),
    "divided by D": Wrong(
        _correlate(losses.standardize, lambda z: z.shape[1]), "divided by D, the dimensions, instead of N, the samples."
    ),
    "divided by N - 1": Wrong(
        _correlate(losses.standardize, lambda z: len(z) - 1), "the sum was divided by N - 1; divide by N."
    ),
    "not divided": Wrong(
        _correlate(losses.standardize, lambda z: 1), "the division by N is missing: an entry is a mean over the batch."
    ),
    "covariance": Wrong(
        _correlate(_scaled(_mean, lambda z, eps: torch.ones_like(z[0])), _batch),
        "that is the cross-covariance: each dimension must be divided by its standard deviation too.",
    ),
    "auto-correlation": Wrong(
        lambda z_a, z_b, eps=1e-5: losses.cross_correlation(z_a, z_a, eps),
        "that is the auto-correlation of view A: the second factor must come from view B.",
    ),
    "transposed": Wrong(
        lambda z_a, z_b, eps=1e-5: losses.cross_correlation(z_b, z_a, eps),
        "your matrix is the transpose: row i belongs to dimension i of A, column j to dimension j of B.",
    ),
    "samples by samples": Wrong(
        _samples_by_samples, "the product compares samples (N x N); compare dimensions: A^T B, which is D x D."
    ),
    "detached": Wrong(
        _cross_detached, "no gradient reaches z_b: Barlow Twins has no stop-gradient, both views are trained."
    ),
}
CROSS_RIGHT = {
    "loop": _loop,
    "einsum": _einsum_correlation,
    "outer products": _outer_products,
    "covariance first": _covariance_first,
    "batch norm and broadcasting": _batch_norm_correlation,
}
LOOP_WRONG = {
    **CROSS_WRONG,
    "last sample left out": Wrong(_loop_short, "the last sample is left out: b runs over all N of them."),
    "mirrored": Wrong(
        _loop_mirrored, "the lower half is a mirror of the upper one, but C is not symmetric: C_ij is not C_ji."
    ),
    "diagonal only": Wrong(_loop_diagonal, "only the diagonal is filled: i and j are two separate loops."),
    "numbers instead of tensors": Wrong(_loop_item, "none reaches argument 1"),
    "float32": Wrong(_loop_float32, "Results keep the type of the input"),
}

register(
    Exercise(
        name="cross_correlation_loop",
        lesson=LESSON,
        number="2.2",
        title="the cross-correlation as a loop that mirrors the sum",
        difficulty=2,
        importance=3,
        minutes=10,
        points=2,
        check=Agreement(losses.cross_correlation, pairs_with(eps=0.3), LOOP_WRONG),
        hints=(
            "Standardise both views first, each with its own mean and variance.",
            "Three loops: i over dimensions of A, j over dimensions of B, and inside them b over the samples.",
            "Start from c = z_a.new_zeros(D, D), add a[b, i] * b[b, j] to c[i, j], and divide by N at the end.",
        ),
        right=CROSS_RIGHT,
    )
)
register(
    Exercise(
        name="cross_correlation",
        lesson=LESSON,
        number="2.3",
        title="the cross-correlation as one matrix product",
        difficulty=2,
        importance=5,
        minutes=10,
        points=3,
        check=Agreement(losses.cross_correlation, pairs_with(eps=0.3), CROSS_WRONG),
        hints=(
            "The sum over b of a[b, i] * b[b, j] is a matrix product. Which index is summed, and is it the inner one?",
            "The result is (D, D): (D, N) times (N, D). So the first factor is transposed.",
            "standardize(z_a, eps).T @ standardize(z_b, eps), divided by N.",
        ),
        right=CROSS_RIGHT,
    )
)


# --- 2.4 and 2.5 the two terms ----------------------------------------------------------------------------------


def _off(c: Tensor) -> Tensor:
    return c[~torch.eye(len(c), dtype=torch.bool)]


def _invariance_loop(c: Tensor) -> Tensor:
    total = c.new_zeros(())
    for i in range(len(c)):
        total = total + (1 - c[i, i]) ** 2
    return total


def _redundancy_loop(c: Tensor) -> Tensor:
    total = c.new_zeros(())
    for i in range(len(c)):
        for j in range(len(c)):
            if i != j:
                total = total + c[i, j] ** 2
    return total


def _redundancy_in_place(c: Tensor) -> Tensor:
    return c.fill_diagonal_(0).square().sum()


def _flattened(c: Tensor) -> Tensor:
    """The off-diagonal entries without a mask: drop the last, then the first column of D+1 is the diagonal."""
    d = len(c)
    return c.flatten()[:-1].view(d - 1, d + 1)[:, 1:]


NO_SQUARE_OFF = (
    "the square on the off-diagonal entries is missing: the plain sum rewards dimensions that are anti-correlated."
)
INVARIANCE_WRONG = {
    "no square": Wrong(
        lambda c: (1 - c.diagonal()).sum(), "the square is missing: the deviation of C_ii from 1 is squared."
    ),
    "absolute": Wrong(
        lambda c: (1 - c.diagonal()).abs().sum(), "absolute values instead of squares: use (1 - C_ii)^2."
    ),
    "mean": Wrong(lambda c: (1 - c.diagonal()).square().mean(), "a mean over the D entries; this term is a sum."),
    "all entries": Wrong(
        lambda c: (1 - c).square().sum(), "every entry was pulled to 1; this term looks at the diagonal only."
    ),
    "distance to identity": Wrong(
        lambda c: (torch.eye(len(c), dtype=c.dtype) - c).square().sum(),
        "that is the distance of all of C to the identity; off-diagonal entries belong to the other term.",
    ),
    "square inside": Wrong(
        lambda c: (1 - c.diagonal().square()).sum(), "you computed 1 - C_ii^2; square after subtracting."
    ),
    "square of the sum": Wrong(
        lambda c: (1 - c.diagonal()).sum().square(),
        "the sum was squared; square each entry, then sum: signs must not cancel.",
    ),
    "without the 1": Wrong(lambda c: c.diagonal().square().sum(), "the 1 is missing: C_ii should become 1, not 0."),
}
REDUNDANCY_WRONG = {
    "kept the diagonal": Wrong(
        lambda c: c.square().sum(), "you kept the diagonal: only entries with i != j belong here."
    ),
    "no square": Wrong(lambda c: _off(c).sum(), NO_SQUARE_OFF),
    "absolute": Wrong(lambda c: _off(c).abs().sum(), "absolute values instead of squares: use C_ij^2."),
    "mean": Wrong(lambda c: _off(c).square().mean(), "a mean over the D (D - 1) entries; this term is a sum."),
    "divided by D": Wrong(
        lambda c: _off(c).square().sum() / len(c), "divided by D, as VICReg does; here it is a plain sum."
    ),
    "upper half": Wrong(
        lambda c: torch.triu(c, 1).square().sum(),
        "only the upper half was summed, but C_ij and C_ji are different numbers.",
    ),
    "square of the sum": Wrong(lambda c: _off(c).sum().square(), "the sum was squared; square each entry, then sum."),
    "minus identity": Wrong(
        lambda c: (c - torch.eye(len(c), dtype=c.dtype)).square().sum(),
        "subtracting the identity leaves C_ii - 1 on the diagonal; set the diagonal to 0.",
    ),
    "in place": Wrong(_redundancy_in_place, IN_PLACE),
}

register(
    Exercise(
        name="invariance_term",
        lesson=LESSON,
        number="2.4",
        title="the term that pulls the diagonal to 1",
        difficulty=1,
        importance=4,
        minutes=4,
        points=1,
        check=Agreement(losses.invariance_term, _matrices, INVARIANCE_WRONG),
        hints=(
            "c.diagonal() gives the D entries C_ii.",
            "Square each difference from 1, then sum: (1 - c.diagonal()) to the power 2.",
        ),
        right={
            "loop": _invariance_loop,
            "einsum": lambda c: (1 - torch.einsum("ii->i", c)).pow(2).sum(),
            "multiplied out": lambda c: len(c) - 2 * c.trace() + c.diagonal().square().sum(),
        },
    )
)
register(
    Exercise(
        name="redundancy_term",
        lesson=LESSON,
        number="2.5",
        title="the term that pushes everything else to 0",
        difficulty=2,
        importance=4,
        minutes=6,
        points=1,
        check=Agreement(losses.redundancy_term, _matrices, REDUNDANCY_WRONG),
        hints=(
            "Take away the diagonal first: torch.diag(c.diagonal()) is a matrix that holds nothing else.",
            "A mask works as well: ~torch.eye(D, dtype=torch.bool) is true off the diagonal.",
            "Square the entries that are left, and sum. fill_diagonal_ would change the caller's matrix.",
        ),
        right={
            "loop": _redundancy_loop,
            "mask": lambda c: _off(c).pow(2).sum(),
            "difference of sums": lambda c: torch.einsum("ij,ij->", c, c) - torch.einsum("ii,ii->", c, c),
            "flattened": lambda c: _flattened(c).square().sum(),
        },
    )
)


# --- 2.6 barlow_twins -------------------------------------------------------------------------------------------


def _assembled(
    correlation: Callable[..., Tensor] = losses.cross_correlation,
    invariance: Callable[[Tensor], Tensor] = losses.invariance_term,
    redundancy: Callable[[Tensor], Tensor] = losses.redundancy_term,
    total: Callable[[Tensor, Tensor, float], Tensor] = lambda on, off, lambd: on + lambd * off,
) -> Callable[..., Pair]:
    """Some Barlow Twins loss: its correlation, its two terms, and how they are put together."""

    def loss(z_a: Tensor, z_b: Tensor, lambd: float = 5e-3) -> Pair:
        c = correlation(z_a, z_b)
        on, off = invariance(c), redundancy(c)
        return total(on, off, lambd), on, off

    return loss


def _weighted_fields(z_a: Tensor, z_b: Tensor, lambd: float = 5e-3) -> Pair:
    total, invariance, redundancy = losses.barlow_twins(z_a, z_b, lambd)
    return total, invariance, lambd * redundancy


def _reordered(z_a: Tensor, z_b: Tensor, lambd: float = 5e-3) -> Pair:
    total, invariance, redundancy = losses.barlow_twins(z_a, z_b, lambd)
    return invariance, redundancy, total


def _without_gradient(z_a: Tensor, z_b: Tensor, lambd: float = 5e-3) -> Pair:
    with torch.no_grad():
        return losses.barlow_twins(z_a, z_b, lambd)


def _barlow_loop(z_a: Tensor, z_b: Tensor, lambd: float = 5e-3) -> Pair:
    c = _loop(z_a, z_b)
    invariance, redundancy = _invariance_loop(c), _redundancy_loop(c)
    return invariance + lambd * redundancy, invariance, redundancy


def _weighted_matrix(z_a: Tensor, z_b: Tensor, lambd: float = 5e-3) -> Pair:
    """Other algebra: the squared distance to the identity, entry by entry, under a matrix of weights."""
    c = _batch_norm_correlation(z_a, z_b)
    eye = torch.eye(len(c), dtype=c.dtype)
    squared = (c - eye).square()
    return (squared * (eye + lambd * (1 - eye))).sum(), (squared * eye).sum(), (squared * (1 - eye)).sum()


def _frobenius(z_a: Tensor, z_b: Tensor, lambd: float = 5e-3) -> Pair:
    c = _einsum_correlation(z_a, z_b)
    invariance = (c.diagonal() - 1).square().sum()
    redundancy = (c * c).sum() - c.diagonal().square().sum()
    return losses.BarlowTwinsLoss(torch.add(invariance, redundancy, alpha=lambd), invariance, redundancy)


BARLOW_WRONG = {
    "lambda on the wrong term": Wrong(
        _assembled(total=lambda on, off, lambd: lambd * on + off),
        "lambda stands on the invariance term; it weighs the redundancy.",
    ),
    "lambda forgotten": Wrong(_assembled(total=lambda on, off, lambd: on + off), "lambda is missing from the total."),
    "lambda fixed": Wrong(
        _assembled(total=lambda on, off, lambd: on + 5e-3 * off),
        "the argument lambd is ignored: 5e-3 is only its default.",
    ),
    "lambda on both terms": Wrong(
        _assembled(total=lambda on, off, lambd: lambd * (on + off)),
        "lambda multiplies both terms; it weighs the redundancy only.",
    ),
    "subtracted": Wrong(
        _assembled(total=lambda on, off, lambd: on - lambd * off),
        "the redundancy is subtracted: both terms are minimised, so add them.",
    ),
    "bare tensor": Wrong(
        lambda z_a, z_b, lambd=5e-3: losses.barlow_twins(z_a, z_b, lambd).total, "return the 3 values"
    ),
    "weighted fields": Wrong(
        _weighted_fields, "the field redundancy carries lambda; fields are unweighted, only total has it."
    ),
    "other order": Wrong(_reordered, "the values come in another order: (total, invariance, redundancy)."),
    "means": Wrong(
        _assembled(
            invariance=lambda c: (1 - c.diagonal()).square().mean(), redundancy=lambda c: _off(c).square().mean()
        ),
        "means over the entries of C; both terms are sums.",
    ),
    "kept the diagonal": Wrong(
        _assembled(redundancy=lambda c: c.square().sum()),
        "you kept the diagonal in the redundancy: only entries with i != j.",
    ),
    "no square off the diagonal": Wrong(_assembled(redundancy=lambda c: _off(c).sum()), NO_SQUARE_OFF),
    "no square on the diagonal": Wrong(
        _assembled(invariance=lambda c: (1 - c.diagonal()).sum()), "the square on (1 - C_ii) is missing."
    ),
    "absolute": Wrong(
        _assembled(invariance=lambda c: (1 - c.diagonal()).abs().sum(), redundancy=lambda c: _off(c).abs().sum()),
        "absolute values instead of squares, in both terms.",
    ),
    "no centring": Wrong(_assembled(_correlate(_scaled(lambda z: 0.0, _deviation), _batch)), NO_CENTRING),
    "over features": Wrong(_assembled(_correlate(_over_features, _batch)), OVER_FEATURES),
    "unbiased": Wrong(_assembled(_correlate(_scaled(_mean, _unbiased), _batch)), UNBIASED),
    "not divided": Wrong(
        _assembled(_correlate(losses.standardize, lambda z: 1)),
        "C was not divided by N: its diagonal cannot reach 1 as it should.",
    ),
    "samples by samples": Wrong(
        _assembled(_samples_by_samples), "C compares samples (N x N); Barlow Twins compares dimensions (D x D)."
    ),
    "auto-correlation": Wrong(
        _assembled(lambda z_a, z_b: losses.cross_correlation(z_a, z_a)),
        "view B is not used: C must pair view A with view B.",
    ),
    "one branch detached": Wrong(
        _assembled(_cross_detached),
        "no gradient reaches z_b: Barlow Twins has no stop-gradient, both views are trained.",
    ),
    "no gradient": Wrong(_without_gradient, "none reaches argument 1"),
}

register(
    Exercise(
        name="barlow_twins",
        lesson=LESSON,
        number="2.6",
        title="the loss: both terms together",
        difficulty=2,
        importance=5,
        minutes=8,
        points=3,
        check=Agreement(
            losses.barlow_twins, pairs_with(lambd=0.2), BARLOW_WRONG, fields=("total", "invariance", "redundancy")
        ),
        hints=(
            "You have all the parts: cross_correlation, invariance_term, redundancy_term.",
            "total = invariance + lambd * redundancy. The two terms themselves are returned without lambda.",
            "Return BarlowTwinsLoss(total, invariance, redundancy), or a plain tuple in that order.",
        ),
        right={"loop": _barlow_loop, "matrix of weights": _weighted_matrix, "difference of sums": _frobenius},
    )
)


# --- 2.7 barlow_twins_gradient ----------------------------------------------------------------------------------


def _gradient(
    *,
    weights: Callable[[Tensor, float], Tensor] | None = None,
    eps: float = 0.0,
    transpose: bool = True,
    divide: bool = True,
    centring: bool = True,
    projection: bool = True,
    sigma: Callable[[Tensor], Any] = lambda z: z.std(dim=0, correction=0),
) -> Callable[..., Tensor]:
    """The closed form with parts left out or replaced."""
    weights = weights or _slope_in_c

    def closed_form(z_a: Tensor, z_b: Tensor, lambd: float = 5e-3) -> Tensor:
        a, b = losses.standardize(z_a, eps), losses.standardize(z_b, eps)
        g_c = weights(a.T @ b / len(a), lambd)
        g = b @ (g_c.T if transpose else g_c)
        g = g / len(a) if divide else g
        result = g - g.mean(dim=0) if centring else g
        result = result - a * (a * g).mean(dim=0) if projection else result
        return result / sigma(z_a)

    return closed_form


def _slope_in_c(c: Tensor, lambd: float) -> Tensor:
    return 2 * lambd * losses.off_diagonal(c) - 2 * torch.diag(1 - c.diagonal())


def _autodiff(z_a: Tensor, z_b: Tensor, lambd: float = 5e-3) -> Tensor:
    with torch.enable_grad():
        z = z_a.detach().clone().requires_grad_()
        return torch.autograd.grad(losses.barlow_twins(z, z_b.detach(), lambd, eps=0).total, z)[0]


def _gradient_loop(z_a: Tensor, z_b: Tensor, lambd: float = 5e-3) -> Tensor:
    a, b = losses.standardize(z_a, 0), losses.standardize(z_b, 0)
    n, d = a.shape
    g_c = _slope_in_c(a.T @ b / n, lambd)
    result = torch.zeros_like(a)
    for k in range(d):
        g = torch.stack([g_c[k, j] * b[:, j] for j in range(d)]).sum(dim=0) / n
        sigma = (z_a[:, k] - z_a[:, k].mean()).square().mean().sqrt()
        result[:, k] = (g - g.sum() / n - a[:, k] * torch.dot(a[:, k], g) / n) / sigma
    return result


def _projected(z_a: Tensor, z_b: Tensor, lambd: float = 5e-3) -> Tensor:
    """Other algebra: multiply each column by the matrix I - 11^T/N - aa^T/N."""
    a, b = losses.standardize(z_a, 0), losses.standardize(z_b, 0)
    n = len(a)
    g = torch.einsum("bj,ij->bi", b, _slope_in_c(a.T @ b / n, lambd)) / n
    eye, ones = torch.eye(n, dtype=a.dtype), torch.ones(n, n, dtype=a.dtype)
    columns = [(eye - ones / n - torch.outer(a[:, k], a[:, k]) / n) @ g[:, k] for k in range(a.shape[1])]
    return torch.stack(columns, dim=1) / z_a.var(0, unbiased=False).sqrt()


def _identities(case: Case, ours: Sequence[Tensor], truth: Sequence[Tensor]) -> str | None:
    """The two identities of a gradient through standardising; a failing one says which term is missing."""
    g, z = ours[0], case.args[0]
    if g.shape != z.shape:
        return "The gradient has the shape of z_a."
    size = float(g.abs().max()) * len(z)
    if float(g.sum(dim=0).abs().max()) > 1e-3 * size:
        return "Its columns do not sum to 0, as they must when a shift of z_a changes nothing: are both views centred?"
    centred = z - z.mean(dim=0)
    if float((centred * g).sum(dim=0).abs().max()) > 1e-3 * size * float(centred.abs().max()):
        return (
            "It is not orthogonal to centred z_a, as it must be when the scale changes nothing: look at the projection."
        )
    return "Both identities hold, so look at G = dL/dC, at its transpose and at 1/sigma."


GRADIENT_WRONG: Mapping[str, Wrong] = {
    "no projection": Wrong(
        _gradient(projection=False), "the projection on the standardised values is missing: sigma depends on z_a too."
    ),
    "no 1/sigma": Wrong(_gradient(sigma=lambda z: 1.0), "the factor 1/sigma is missing."),
    "variance for sigma": Wrong(
        _gradient(sigma=lambda z: z.var(dim=0, correction=0)), "divided by sigma^2 instead of sigma."
    ),
    "unbiased sigma": Wrong(
        _gradient(sigma=lambda z: z.std(dim=0)), "sigma was computed with N - 1; here it is divided by N."
    ),
    "sign": Wrong(
        lambda z_a, z_b, lambd=5e-3: -losses.barlow_twins_gradient(z_a, z_b, lambd), "the sign is turned around."
    ),
    "sign of the diagonal": Wrong(
        _gradient(weights=lambda c, lambd: 2 * lambd * losses.off_diagonal(c) + 2 * torch.diag(1 - c.diagonal())),
        "the sign of the invariance part is wrong: the derivative of (1 - C_ii)^2 is -2 (1 - C_ii).",
    ),
    "no factor 2": Wrong(
        _gradient(weights=lambda c, lambd: _slope_in_c(c, lambd) / 2), "the factor 2 of the squares is missing."
    ),
    "lambda forgotten": Wrong(
        _gradient(weights=lambda c, lambd: _slope_in_c(c, 1.0)), "lambda is missing from G = dL/dC."
    ),
    "lambda fixed": Wrong(
        _gradient(weights=lambda c, lambd: _slope_in_c(c, 5e-3)),
        "the argument lambd is ignored: 5e-3 is only its default.",
    ),
    "kept the diagonal": Wrong(
        _gradient(weights=lambda c, lambd: 2 * lambd * c - 2 * torch.diag(1 - c.diagonal())),
        "you kept the diagonal in the redundancy part of G: only entries with i != j.",
    ),
    "redundancy only": Wrong(
        _gradient(weights=lambda c, lambd: 2 * lambd * losses.off_diagonal(c)), "the invariance part of G is missing."
    ),
    "invariance only": Wrong(
        _gradient(weights=lambda c, lambd: -2 * torch.diag(1 - c.diagonal())), "the redundancy part of G is missing."
    ),
    "G not transposed": Wrong(
        _gradient(transpose=False), "G must be transposed: a_bi meets the row i of G, so the product is b @ G^T."
    ),
    "not divided": Wrong(_gradient(divide=False), "the factor 1/N is missing: C is a mean over the batch."),
    "eps kept": Wrong(_gradient(eps=1e-5), "eps = 0 is needed: the closed form is exact only without eps."),
    "other branch": Wrong(
        lambda z_a, z_b, lambd=5e-3: losses.barlow_twins_gradient(z_b, z_a, lambd),
        "that is the gradient for z_b; asked is z_a.",
    ),
    "standardised space": Wrong(
        _gradient(projection=False, sigma=lambda z: 1.0),
        "that is the gradient for the standardised a; the chain rule through standardising is still to come.",
    ),
}

register(
    Exercise(
        name="barlow_twins_gradient",
        lesson=LESSON,
        number="2.7",
        title="the gradient in closed form",
        difficulty=4,
        importance=2,
        minutes=25,
        points=4,
        check=Agreement(
            losses.barlow_twins_gradient, _varying_pairs, GRADIENT_WRONG, gradients=False, symptom=_identities
        ),
        hints=(
            "First dL/dC: it is -2 (1 - C_ii) on the diagonal and 2 lambd C_ij off it. Standardise with eps=0.",
            "Then dL/da = b @ G^T / N, because C_ij is the mean over b of a_bi b_bj.",
            "Then through standardising: a change of one sample also moves the mean and sigma, which takes away two "
            "parts of g: its mean over the batch, and its part along a.",
            "dL/dz = (g - mean(g) - a * mean(a * g)) / sigma, column by column, sigma with N.",
        ),
        right={
            "automatic differentiation": _autodiff,
            "loop": _gradient_loop,
            "projection matrix": _projected,
            # b is centred, so the mean over the batch of b @ G^T is 0 already
            "without the centring term": _gradient(centring=False),
        },
    )
)
