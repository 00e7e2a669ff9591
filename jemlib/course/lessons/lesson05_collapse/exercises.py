"""Lesson 05: the exercises of the collapse laboratory, with their wrong and other right answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from jemlib import diagnose
from jemlib.course.machinery.agreement import Agreement, Case, Wrong
from jemlib.course.machinery.exercises import Exercise, register
from jemlib.course.machinery.inputs import single_views
from jemlib.course.machinery.lessons import lesson_of
from jemlib.theory import dynamics

LESSON = lesson_of(__name__)

DOUBLE = torch.float64


def _normal(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=DOUBLE)


def _squares(z: Tensor) -> Tensor:
    """Squared singular values, descending."""
    return torch.linalg.svdvals(z).square()


# --- 5.1 directional_spread -------------------------------------------------------------------------------------


def _unit(z: Tensor) -> Tensor:
    return F.normalize(z, dim=1)


def _spread_loop(z: Tensor) -> Tensor:
    n, d = z.shape
    u = [z[b] / z[b].norm() for b in range(n)]
    total = z.new_zeros(())
    for j in range(d):
        mean = sum(u[b][j] for b in range(n)) / n
        for b in range(n):
            total = total + (u[b][j] - mean) ** 2 / n
    return total


def _spread_pairs(z: Tensor) -> Tensor:
    """Other algebra: half the mean squared distance over all ordered pairs."""
    u = _unit(z)
    return (u[:, None] - u).square().sum(dim=2).mean() / 2


SPREAD_WRONG = {
    "not normalised": Wrong(
        lambda z: z.var(dim=0, correction=0).sum(),
        "the rows were not divided by their length: then the result grows with the scale of z.",
    ),
    "columns normalised": Wrong(
        lambda z: F.normalize(z, dim=0).var(dim=0, correction=0).sum(),
        "columns were brought to length 1; each row is a sample and gets length 1, dim=1.",
    ),
    "unbiased": Wrong(
        lambda z: _unit(z).var(dim=0).sum(),
        "the variance was divided by N - 1; with N the identity 1 - |mean u|^2 holds exactly.",
    ),
    "mean over dimensions": Wrong(
        lambda z: _unit(z).var(dim=0, correction=0).mean(), "a mean over the D variances; they are summed."
    ),
    "std": Wrong(
        lambda z: _unit(z).std(dim=0, correction=0).sum(), "standard deviations were summed; sum the variances."
    ),
    "normalised std": Wrong(
        diagnose.normalized_std, "that is the normalised std, sqrt(D) times a mean of standard deviations."
    ),
    "over features": Wrong(
        lambda z: _unit(z).var(dim=1, correction=0).sum(),
        "the variance runs over the features; it must run over the samples, dim=0.",
    ),
    "no square": Wrong(
        lambda z: 1 - _unit(z).mean(dim=0).norm(),
        "1 minus the length of the mean; it is 1 minus the square of that length.",
    ),
    "concentration": Wrong(
        lambda z: _unit(z).mean(dim=0).square().sum(),
        "that is |mean u|^2, which is 1 at collapse; the spread is what is missing to 1.",
    ),
    "mean of z": Wrong(
        lambda z: 1 - F.normalize(z.mean(dim=0), dim=0).square().sum(),
        "the mean was taken before the rows were normalised; first lengths 1, then the mean.",
    ),
    "detached": Wrong(lambda z: diagnose.directional_spread(z.detach()), "none reaches argument 1"),
}

register(
    Exercise(
        name="directional_spread",
        lesson=LESSON,
        number="5.1",
        title="a number that is 0 exactly when all rows point one way",
        difficulty=1,
        importance=4,
        minutes=5,
        points=1,
        check=Agreement(diagnose.directional_spread, single_views(), SPREAD_WRONG),
        hints=(
            "First bring each row to length 1: F.normalize(z, dim=1).",
            "Then the variance of each of the D columns over the samples (correction=0), and their sum.",
            "In one line: F.normalize(z, dim=1).var(dim=0, correction=0).sum().",
        ),
        right={
            "loop": _spread_loop,
            "pairs": _spread_pairs,
            "mean direction": lambda z: 1 - _unit(z).mean(dim=0).square().sum(),
            "einsum": lambda z: 1 - torch.einsum("bi,ci->", _unit(z), _unit(z)) / len(z) ** 2,
        },
    )
)


# --- 5.2 and 5.3 participation_ratio ----------------------------------------------------------------------------


def _pairs(
    *,
    centre: bool = False,
    unit: bool = False,
    kept: Callable[[Tensor], Tensor] = lambda g: g.square(),
    norms: Callable[[Tensor], Tensor] = lambda g: g.diagonal().sum().square(),
) -> Callable[[Tensor], Tensor]:
    """The ratio from inner products of samples, with parts replaced."""

    def ratio(z: Tensor) -> Tensor:
        z = z - z.mean(dim=0) if centre else z
        z = _unit(z) if unit else z
        gram = z @ z.T
        return norms(gram) / kept(gram).sum()

    return ratio


def _ratio_loop(z: Tensor) -> Tensor:
    n = len(z)
    norms, pairs = z.new_zeros(()), z.new_zeros(())
    for b in range(n):
        norms = norms + z[b] @ z[b]
        for c in range(n):
            pairs = pairs + (z[b] @ z[c]) ** 2
    return norms**2 / pairs


def _off_diagonal(gram: Tensor) -> Tensor:
    return (gram - torch.diag(gram.diagonal())).square()


def _last_left_out(z: Tensor) -> Tensor:
    return _pairs()(z[:-1])


CENTRED = "the batch was centred first; the convention here is RankMe's, not centred, so that a constant counts."
LOOP_RATIO_WRONG = {
    "centred": Wrong(_pairs(centre=True), CENTRED),
    "rows normalised": Wrong(_pairs(unit=True), "the rows were brought to length 1; leave them as they are."),
    "pairs not squared": Wrong(
        _pairs(kept=lambda g: g), "the inner products were not squared; z_b . z_c can be negative and would cancel."
    ),
    "absolute": Wrong(_pairs(kept=torch.abs), "absolute values of the inner products; square them."),
    "b = c left out": Wrong(_pairs(kept=_off_diagonal), "the pairs with b = c are left out; both sums run over all N."),
    "each pair once": Wrong(
        _pairs(kept=lambda g: g.triu().square()), "each pair was counted once; b and c both run over all samples."
    ),
    "numerator not squared": Wrong(
        _pairs(norms=lambda g: g.diagonal().sum()), "the numerator is not squared: it is the square of a sum."
    ),
    "sum of squares": Wrong(
        _pairs(norms=lambda g: g.diagonal().square().sum()),
        "in the numerator each |z_b|^2 was squared before summing; sum first, then square.",
    ),
    "upside down": Wrong(lambda z: 1 / _pairs()(z), "the fraction is upside down: the result is at least 1."),
    "lengths": Wrong(
        _pairs(norms=lambda g: g.diagonal().sqrt().sum().square()),
        "lengths |z_b| were summed in the numerator; sum their squares.",
    ),
    "last sample left out": Wrong(_last_left_out, "the last sample is left out: b and c run over all N of them."),
    "detached": Wrong(lambda z: diagnose.participation_ratio(z.detach()), "none reaches argument 1"),
}


def _entropy_of(p: Tensor) -> Tensor:
    return torch.special.entr(p / p.sum()).sum().exp()


RATIO_WRONG = {
    "centred": Wrong(lambda z: diagnose.participation_ratio(z - z.mean(dim=0)), CENTRED),
    "not squared": Wrong(
        lambda z: torch.linalg.svdvals(z).sum().square() / torch.linalg.svdvals(z).square().sum(),
        "singular values stand in for lambda; lambda is their square.",
    ),
    "squared twice": Wrong(
        lambda z: _squares(z).square().sum().square() / _squares(z).pow(4).sum(),
        "the singular values were raised to the fourth power; lambda is their square.",
    ),
    "numerator not squared": Wrong(
        lambda z: _squares(z).sum() / _squares(z).square().sum(), "the sum in the numerator is not squared."
    ),
    "upside down": Wrong(
        lambda z: 1 / diagnose.participation_ratio(z), "the fraction is upside down: the result is at least 1."
    ),
    "entropy": Wrong(
        lambda z: _entropy_of(_squares(z)), "that is exp(H(lambda)), the effective rank by entropy; here are squares."
    ),
    "RankMe": Wrong(diagnose.rankme, "that is RankMe: an entropy of singular values; here are their fourth powers."),
    "columns": Wrong(
        lambda z: z.square().sum(dim=0).sum().square() / z.square().sum(dim=0).square().sum(),
        "the squared lengths of the columns stand in for lambda; copies of one dimension would count as many.",
    ),
    "share": Wrong(
        lambda z: diagnose.participation_ratio(z) / min(z.shape),
        "divided by min(N, D): that is a share; the ratio itself counts directions.",
    ),
    "detached": Wrong(lambda z: diagnose.participation_ratio(z.detach()), "none reaches argument 1"),
}

RATIO_RIGHT = {
    "loop over pairs": _ratio_loop,
    "Gram matrix": _pairs(),
    "second moments": lambda z: (z.T @ z).trace().square() / (z.T @ z).square().sum(),
    "einsum": lambda z: torch.einsum("bi,bi->", z, z) ** 2 / torch.einsum("bi,ci,bj,cj->", z, z, z, z),
    "singular values": lambda z: _squares(z).sum() ** 2 / (_squares(z) ** 2).sum(),
}

register(
    Exercise(
        name="participation_ratio_loop",
        lesson=LESSON,
        number="5.2",
        title="how many directions are in use, by a loop over pairs",
        difficulty=2,
        importance=3,
        minutes=8,
        points=2,
        check=Agreement(diagnose.participation_ratio, single_views(), LOOP_RATIO_WRONG),
        hints=(
            "Two running sums: one over b of z_b . z_b, one over all b and c of (z_b . z_c)^2.",
            "b and c run over all samples, and b = c belongs to it. Nothing is centred.",
            "Start with norms = pairs = 0; at the end return norms**2 / pairs.",
        ),
        right=RATIO_RIGHT,
    )
)
register(
    Exercise(
        name="participation_ratio",
        lesson=LESSON,
        number="5.3",
        title="the same from the singular values",
        difficulty=2,
        importance=4,
        minutes=6,
        points=2,
        check=Agreement(diagnose.participation_ratio, single_views(), RATIO_WRONG),
        hints=(
            "torch.linalg.svdvals(z) gives the singular values. lambda is their square.",
            "The sum of the z_b . z_b is the sum of the lambda; the sum of all (z_b . z_c)^2 is that of lambda^2.",
            "squared = torch.linalg.svdvals(z) ** 2; return squared.sum() ** 2 / (squared ** 2).sum().",
        ),
        right=RATIO_RIGHT,
    )
)


# --- 5.4 covariance_spectrum ------------------------------------------------------------------------------------


def _eigenvalues(covariance: Tensor) -> Tensor:
    return torch.linalg.eigvalsh(covariance).flip(0)


def _covariance(z: Tensor) -> Tensor:
    centred = z - z.mean(dim=0)
    return centred.T @ centred / (len(z) - 1)


def _spectrum_of(covariance: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    return lambda z: _eigenvalues(covariance(z))


def _correlation(z: Tensor) -> Tensor:
    covariance = _covariance(z)
    std = covariance.diagonal().sqrt().clamp(min=1e-12)
    return covariance / torch.outer(std, std)


def _samples_spectrum(z: Tensor) -> Tensor:
    centred = z - z.mean(dim=0)
    return _eigenvalues(centred @ centred.T / (len(z) - 1))


def _unpadded(z: Tensor) -> Tensor:
    return _squares(z - z.mean(dim=0)) / (len(z) - 1)


def _padded(z: Tensor) -> Tensor:
    values = _unpadded(z)
    return F.pad(values, (0, z.shape[1] - len(values)))


SPECTRUM_WRONG = {
    "not centred": Wrong(
        _spectrum_of(lambda z: z.T @ z / (len(z) - 1)),
        "the mean over the batch was not subtracted: a common offset then looks like a direction in use.",
    ),
    "rows centred": Wrong(
        _spectrum_of(lambda z: (z - z.mean(dim=1, keepdim=True)).T @ (z - z.mean(dim=1, keepdim=True)) / (len(z) - 1)),
        "the mean was taken over the features of each row; it runs over the samples, dim=0.",
    ),
    "biased": Wrong(
        lambda z: diagnose.covariance_spectrum(z) * (len(z) - 1) / len(z),
        "divided by N; the convention here is N - 1, as torch.cov and VICReg have it.",
    ),
    "divided by D": Wrong(
        lambda z: diagnose.covariance_spectrum(z) * (len(z) - 1) / z.shape[1],
        "divided by D, the dimensions; a covariance is an average over samples.",
    ),
    "not divided": Wrong(lambda z: diagnose.covariance_spectrum(z) * (len(z) - 1), "the division by N - 1 is missing."),
    "ascending": Wrong(
        lambda z: diagnose.covariance_spectrum(z).flip(0), "the smallest comes first; put the largest first."
    ),
    "roots": Wrong(
        lambda z: torch.sqrt(diagnose.covariance_spectrum(z) + 1e-30),
        "those are roots (singular values over sqrt(N - 1)); eigenvalues of the covariance are their squares.",
    ),
    "correlation": Wrong(
        _spectrum_of(_correlation), "that is the spectrum of the correlation matrix; do not divide by the std."
    ),
    "variances": Wrong(
        lambda z: z.var(dim=0).sort(descending=True).values,
        "those are the variances of the coordinates, sorted; eigenvalues belong to directions of any slant.",
    ),
    "shares": Wrong(
        lambda z: diagnose.covariance_spectrum(z) / diagnose.covariance_spectrum(z).sum(),
        "divided by their sum; asked are the eigenvalues in units of z squared.",
    ),
    "not padded": Wrong(
        _unpadded, "min(N, D) values were returned; there are D eigenvalues, and those without samples are 0."
    ),
    "samples by samples": Wrong(
        _samples_spectrum, "the matrix compares samples, N x N: it has N eigenvalues; the covariance is D x D."
    ),
    "detached": Wrong(lambda z: diagnose.covariance_spectrum(z.detach()), "none reaches argument 1"),
}

register(
    Exercise(
        name="covariance_spectrum",
        lesson=LESSON,
        number="5.4",
        title="the variance along each direction, largest first",
        difficulty=2,
        importance=5,
        minutes=7,
        points=2,
        check=Agreement(diagnose.covariance_spectrum, single_views(), SPECTRUM_WRONG),
        hints=(
            "Centre over the batch, then the covariance: centred.T @ centred / (N - 1), which is D x D.",
            "torch.linalg.eigvalsh gives the eigenvalues of a symmetric matrix, the smallest first.",
            "torch.linalg.eigvalsh(covariance).flip(0).",
        ),
        right={
            "eigenvalues": _spectrum_of(_covariance),
            "torch.cov": lambda z: _eigenvalues(torch.cov(z.T).reshape(z.shape[1], z.shape[1])),
            "einsum": lambda z: torch.linalg.eigh(
                torch.einsum("bi,bj->ij", z - z.mean(0), z - z.mean(0)) / (len(z) - 1)
            )[0].flip(0),
            "singular values": _padded,
        },
    )
)


# --- 5.5 name_collapse ------------------------------------------------------------------------------------------


def name_collapse(z: Tensor, threshold: float = 0.1) -> Tensor:
    """Which collapse a batch of embeddings shows: 0 none, 1 type 1 (complete), 2 type 2 (dimensional).

    Type 1: directional spread below `threshold`. Otherwise type 2: the participation ratio of the *centred* batch
    below `1 + threshold (m - 1)`, where `m = min(N - 1, D)` is the most that it can be.

    Args:
        z: `(N, D)` embeddings, N >= 2.
        threshold: a convention, in (0, 1).

    Returns:
        A scalar tensor of the type of `z`.
    """
    return _named(z, threshold)


def _named(
    z: Tensor,
    threshold: float = 0.1,
    *,
    spread: Callable[[Tensor], Tensor] = diagnose.directional_spread,
    centre: bool = True,
    most: Callable[[Tensor], int] = lambda z: min(len(z) - 1, z.shape[1]),
    limit: Callable[[float, int], float] = lambda threshold, most: 1 + threshold * (most - 1),
    rank_first: bool = False,
) -> Tensor:
    complete = bool(spread(z) < threshold)
    ratio = diagnose.participation_ratio(z - z.mean(dim=0) if centre else z)
    dimensional = bool(ratio < limit(threshold, most(z)))
    first, second = (1.0, 2.0) if not rank_first else (2.0, 1.0)
    flags = (complete, dimensional) if not rank_first else (dimensional, complete)
    return z.new_tensor(first if flags[0] else second if flags[1] else 0.0)


def _clouds() -> list[Case]:
    """Healthy and collapsed batches of many shapes, scales and offsets."""
    few = torch.cat([_normal(9, 400, 7), 1e-3 * _normal(10, 400, 57)], dim=1)
    line = _normal(3, 60, 1) @ torch.ones(1, 12, dtype=DOUBLE) + 0.01 * _normal(4, 60, 12)
    sign = _normal(5, 200, 1).sign()
    axis = torch.cat([sign, 1e-3 * _normal(6, 200, 127)], dim=1)
    four = torch.cat([_normal(11, 120, 4), 1e-2 * _normal(12, 120, 16)], dim=1)
    direction = torch.ones(64, dtype=DOUBLE) / 8
    return [
        Case((_normal(1, 40, 8),), note="a Gaussian cloud"),
        Case((1 + 1e-3 * _normal(2, 50, 10),), note="a constant with a little noise"),
        Case((torch.full((9, 4), 2.0, dtype=DOUBLE),), note="an exact constant"),
        Case((line,), note="a line along (1, ..., 1)"),
        Case((axis,), note="two points on one axis, D = 128"),
        Case((_normal(7, 300, 64) + 12 * direction,), note="a Gaussian cloud with an offset"),
        Case((_normal(8, 6, 64),), note="6 samples of 64 dimensions"),
        Case((1e-3 * _normal(13, 40, 8),), note="a tiny Gaussian cloud"),
        Case((few,), note="7 of 64 directions"),
        Case((four,), {}, "4 of 20 directions"),
        Case((four,), {"threshold": 0.3}, "4 of 20 directions"),
        Case((_normal(14, 80, 16).float() + 0.5 * 16**0.5,), {"threshold": 0.35}, "an offset"),
        Case((line.float(),), note="a line along (1, ..., 1)"),
    ]


def _variant(**parts: Any) -> Callable[..., Tensor]:
    return lambda z, threshold=0.1: _named(z, threshold, **parts)


def _swapped(z: Tensor, threshold: float = 0.1) -> Tensor:
    code = _named(z, threshold)
    return torch.where(code == 0, code, 3 - code)


def _name_by_traces(z: Tensor, threshold: float = 0.1) -> Tensor:
    """Other algebra: squared lengths instead of singular values, and the mean direction instead of variances."""
    if 1 - _unit(z).mean(dim=0).square().sum() < threshold:
        return z.new_ones(())
    moments = torch.cov(z.T)
    ratio = moments.trace() ** 2 / (moments * moments).sum()
    return z.new_tensor(2.0 * float(ratio < 1 + threshold * (min(z.shape[0] - 1, z.shape[1]) - 1)))


def _name_by_where(z: Tensor, threshold: float = 0.1) -> Tensor:
    values = diagnose.covariance_spectrum(z)
    ratio = values.sum() ** 2 / (values**2).sum().clamp(min=1e-300 if z.dtype == DOUBLE else 1e-30)
    limit = 1 + threshold * (min(len(z) - 1, z.shape[1]) - 1)
    one, zero = z.new_ones(()), z.new_zeros(())
    return torch.where(_spread_pairs(z) < threshold, one, torch.where(ratio < limit, 2 * one, zero))


NAME_WRONG = {
    "rank first": Wrong(
        _variant(rank_first=True),
        "the rank is asked first: an exact constant, which has no direction left, is then called type 2. "
        "Ask the spread first.",
    ),
    "rank only": Wrong(
        _variant(spread=lambda z: z.new_ones(())),
        "type 1 is never found: a constant with a little noise has full rank around its mean, so ask the spread too.",
    ),
    "share": Wrong(
        _variant(limit=lambda threshold, most: threshold * most),
        "the limit is threshold * m; one direction is always there: 1 + threshold * (m - 1).",
    ),
    "spread only": Wrong(
        _variant(limit=lambda threshold, most: 0.0), "type 2 is never found: a line has spread enough, so ask the rank."
    ),
    "normalised std": Wrong(
        _variant(spread=diagnose.normalized_std),
        "the normalised std stands in for the spread: on one axis of many it is small although the rows differ.",
    ),
    "raw variance": Wrong(
        _variant(spread=lambda z: z.var(dim=0).sum()),
        "the raw variance was held to the threshold: a small scale is not a collapse. Take directions.",
    ),
    "not centred": Wrong(
        _variant(centre=False),
        "the participation ratio was taken without centring: an offset is one strong direction and hides the others.",
    ),
    "D directions": Wrong(
        _variant(most=lambda z: z.shape[1]), "m is D here; N samples, centred, span at most N - 1 directions."
    ),
    "threshold fixed": Wrong(
        lambda z, threshold=0.1: _named(z), "the argument threshold is ignored: 0.1 is only its default."
    ),
    "codes swapped": Wrong(_swapped, "1 and 2 are exchanged: 1 is complete, 2 is dimensional."),
}

register(
    Exercise(
        name="name_collapse",
        lesson=LESSON,
        number="5.5",
        title="say which collapse it is",
        difficulty=3,
        importance=4,
        minutes=10,
        points=3,
        check=Agreement(name_collapse, _clouds, NAME_WRONG, gradients=False),
        hints=(
            "Ask directional_spread first: below the threshold it is type 1, whatever the rank says.",
            "Then the participation ratio of z - z.mean(dim=0). It is at most m = min(N - 1, D).",
            "Return z.new_tensor(1.0) for type 1, z.new_tensor(2.0) when the ratio is below 1 + threshold * (m - 1), "
            "and z.new_tensor(0.0) otherwise.",
        ),
        right={"traces": _name_by_traces, "where": _name_by_where},
    )
)


# --- 5.6 info_nce_bend ------------------------------------------------------------------------------------------


def info_nce_bend(v: Tensor, c: Tensor, temperature: float = 0.2) -> Tensor:
    """The second-order term of InfoNCE at complete collapse: `L(c + h v) = log N + h^2 bend + O(h^3)`.

    `bend = -(1 / (tau N |c|^2)) sum_b |w_b|^2`, where w is v without its mean over the batch and without its part
    along c. Both views are the same embeddings.

    Args:
        v: `(N, D)` the perturbation, one row for each sample.
        c: `(D,)` the constant embedding, not 0.
        temperature: tau > 0.

    Returns:
        A scalar, <= 0.
    """
    return _bend(v, c, temperature)


def _bend(
    v: Tensor,
    c: Tensor,
    temperature: float = 0.2,
    *,
    centre: Callable[[Tensor], Tensor] = lambda v: v - v.mean(dim=0),
    along: Callable[[Tensor, Tensor], Tensor] = lambda w, c: torch.outer(w @ c, c) / (c @ c),
    factor: Callable[[Tensor, Tensor, float], Any] = lambda v, c, tau: -1 / (tau * len(v) * (c @ c)),
) -> Tensor:
    w = centre(v)
    w = w - along(w, c)
    return factor(v, c, temperature) * w.square().sum()


def _bend_loop(v: Tensor, c: Tensor, temperature: float = 0.2) -> Tensor:
    """The mean over all ordered pairs of squared differences, which is twice the variance."""
    n, unit = len(v), c / c.norm()
    total = v.new_zeros(())
    for i in range(n):
        for j in range(n):
            difference = v[i] - v[j]
            difference = difference - (difference @ unit) * unit
            total = total + difference @ difference
    return -total / (2 * temperature * n**2 * (c @ c))


def _bend_matrix(v: Tensor, c: Tensor, temperature: float = 0.2) -> Tensor:
    n, d = v.shape
    project = torch.eye(d, dtype=v.dtype) - torch.outer(c, c) / c.square().sum()
    centre = torch.eye(n, dtype=v.dtype) - 1 / n
    return -torch.trace(v.T @ centre @ v @ project) / (temperature * n * c.square().sum())


def _bend_einsum(v: Tensor, c: Tensor, temperature: float = 0.2) -> Tensor:
    """Other algebra: Pythagoras instead of a projection."""
    w = v - v.mean(dim=0)
    squared = torch.einsum("bi,bi->", w, w) - torch.einsum("bi,i->b", w, c).square().sum() / (c @ c)
    return -squared / (temperature * len(v) * (c @ c))


def _perturbations() -> list[Case]:
    return [
        Case((_normal(31, 6, 4), _normal(32, 4))),
        Case((_normal(33, 5, 3) + 2, 0.5 * _normal(34, 3))),
        Case((_normal(35, 9, 7), 3 * _normal(36, 7))),
        Case((_normal(37, 4, 6).float(), _normal(38, 6).float())),
        Case((_normal(39, 7, 5) - 1, _normal(40, 5)), {"temperature": 0.5}),
        Case((_normal(41, 3, 2), _normal(42, 2)), {"temperature": 0.07}),
    ]


BEND_WRONG = {
    "sign": Wrong(lambda v, c, temperature=0.2: -_bend(v, c, temperature), "the sign: InfoNCE bends downwards here."),
    "Hessian": Wrong(
        lambda v, c, temperature=0.2: 2 * _bend(v, c, temperature),
        "twice too much: that is the second derivative; the term of the expansion is half of it.",
    ),
    "no centring": Wrong(
        lambda v, c, temperature=0.2: _bend(v, c, temperature, centre=lambda v: v),
        "the mean of v over the batch was left in: moving all samples alike changes no distance.",
    ),
    "centred over features": Wrong(
        lambda v, c, temperature=0.2: _bend(v, c, temperature, centre=lambda v: v - v.mean(dim=1, keepdim=True)),
        "v was centred over its features; the mean runs over the samples, dim=0.",
    ),
    "no projection": Wrong(
        lambda v, c, temperature=0.2: _bend(v, c, temperature, along=lambda w, c: torch.zeros_like(w)),
        "the part along c was left in: cosine similarity does not see a change of length.",
    ),
    "only along c": Wrong(
        lambda v, c, temperature=0.2: _bend(
            v, c, temperature, along=lambda w, c: w - torch.outer(w @ c, c) / c.square().sum()
        ),
        "the part along c was kept and the rest thrown away; it is the other way round.",
    ),
    "c not of length 1": Wrong(
        lambda v, c, temperature=0.2: _bend(v, c, temperature, along=lambda w, c: torch.outer(w @ c, c)),
        "the projection takes c for a unit vector: divide (w . c) c by |c|^2.",
    ),
    "no 1/|c|^2": Wrong(
        lambda v, c, temperature=0.2: _bend(v, c, temperature, factor=lambda v, c, tau: -1 / (tau * len(v))),
        "the factor 1/|c|^2 is missing: the longer c is, the less a perturbation turns it.",
    ),
    "1/|c|": Wrong(
        lambda v, c, temperature=0.2: _bend(v, c, temperature, factor=lambda v, c, tau: -1 / (tau * len(v) * c.norm())),
        "divided by |c|; an angle is |w| / |c|, and it is squared.",
    ),
    "temperature missing": Wrong(
        lambda v, c, temperature=0.2: _bend(v, c, 1.0), "the temperature is missing from the factor."
    ),
    "temperature fixed": Wrong(
        lambda v, c, temperature=0.2: _bend(v, c), "the argument temperature is ignored: 0.2 is only its default."
    ),
    "temperature multiplied": Wrong(
        lambda v, c, temperature=0.2: _bend(v, c, 1 / temperature), "multiplied by the temperature; divide by it."
    ),
    "no 1/N": Wrong(
        lambda v, c, temperature=0.2: len(v) * _bend(v, c, temperature), "the factor 1/N is missing: L is a mean."
    ),
    "mean over all entries": Wrong(
        lambda v, c, temperature=0.2: _bend(v, c, temperature) / v.shape[1],
        "a mean over the N D entries; the squares of a row are summed, and the mean runs over the N rows.",
    ),
    "N - 1": Wrong(
        lambda v, c, temperature=0.2: _bend(v, c, temperature) * len(v) / (len(v) - 1),
        "divided by N - 1; the mean runs over N samples.",
    ),
    "detached": Wrong(lambda v, c, temperature=0.2: _bend(v.detach(), c, temperature), "none reaches argument 1"),
}

register(
    Exercise(
        name="info_nce_bend",
        lesson=LESSON,
        number="5.6",
        title="how InfoNCE bends at the constant",
        difficulty=3,
        importance=4,
        minutes=12,
        points=3,
        check=Agreement(info_nce_bend, _perturbations, BEND_WRONG),
        hints=(
            "Take away from v what cosine similarities cannot see: its mean over the batch, and its part along c.",
            "The part of w along c is ((w . c) / |c|^2) c; for all rows at once torch.outer(w @ c, c) / (c @ c).",
            "What is left, squared and summed, times -1 / (temperature * N * |c|^2).",
        ),
        right={"loop over pairs": _bend_loop, "matrices": _bend_matrix, "Pythagoras": _bend_einsum},
    )
)


# --- 5.7 contrastive_gradient_matrix ----------------------------------------------------------------------------


def _weights(x: Tensor, x_prime: Tensor, w: Tensor, half: float = 0.5) -> Tensor:
    """The (N, N) softmax: alpha_ij for j != i, and alpha_ii for the positive."""
    z, z_prime = x @ w.T, x_prime @ w.T
    squared = (z[:, None] - z).square().sum(dim=2)
    squared = squared + torch.diag((z - z_prime).square().sum(dim=1))
    return torch.softmax(-half * squared, dim=1)


def _matrix(
    x: Tensor,
    x_prime: Tensor,
    w: Tensor,
    *,
    alpha: Callable[..., Tensor] = _weights,
    negatives: Callable[[Tensor, Tensor], Tensor] = lambda x, x_prime: x,
    positive: Callable[[Tensor], Tensor] = lambda alpha: 1 - alpha.diagonal(),
    signs: tuple[float, float] = (1.0, -1.0),
    dtype: torch.dtype = DOUBLE,
) -> Tensor:
    a = alpha(x, x_prime, w)
    between = x[:, None] - negatives(x, x_prime)
    others = a - torch.diag(a.diagonal())
    sigma_0 = torch.einsum("ij,ijk,ijl->kl", others, between, between)
    moved = x_prime - x
    sigma_1 = torch.einsum("i,ik,il->kl", positive(a), moved, moved)
    return (signs[0] * sigma_0 + signs[1] * sigma_1).to(dtype)


def _matrix_loop(x: Tensor, x_prime: Tensor, w: Tensor) -> Tensor:
    n, d = x.shape
    result = x.new_zeros(d, d)
    for i in range(n):
        kernel = [torch.exp(-(w @ (x[i] - x[j])).square().sum() / 2) for j in range(n)]
        kernel[i] = torch.exp(-(w @ (x[i] - x_prime[i])).square().sum() / 2)
        total = sum(kernel)
        for j in range(n):
            if j != i:
                result = result + kernel[j] / total * torch.outer(x[i] - x[j], x[i] - x[j])
        moved = x_prime[i] - x[i]
        result = result - (1 - kernel[i] / total) * torch.outer(moved, moved)
    return result


def _matrix_laplacian(x: Tensor, x_prime: Tensor, w: Tensor) -> Tensor:
    """Other algebra: the sum over pairs is twice a graph Laplacian between the data."""
    a = _weights(x, x_prime, w)
    others = a - torch.diag(a.diagonal())
    both = others + others.T
    laplacian = torch.diag(both.sum(dim=1)) - both
    moved = x_prime - x
    return x.T @ laplacian @ x - moved.T @ ((1 - a.diagonal())[:, None] * moved)


def _linear_inputs() -> list[Case]:
    def case(seed: int, n: int, d: int, d_in: int, noise: float, scale: float = 0.5, note: str = "") -> Case:
        x = _normal(seed, n, d_in)
        return Case((x, x + noise * _normal(seed + 1, n, d_in), scale * _normal(seed + 2, d, d_in)), note=note)

    return [
        case(51, 6, 2, 3, 0.5),
        case(54, 5, 4, 4, 1.5),
        case(57, 7, 3, 2, 0.1),
        case(60, 4, 3, 3, 1.0, 0.0, "w = 0"),
        case(63, 8, 2, 5, 3.0, 0.3),
    ]


def _without_positive(x: Tensor, x_prime: Tensor, w: Tensor) -> Tensor:
    """The softmax over the negatives alone; the positive then has weight 0."""
    z = x @ w.T
    squared = (z[:, None] - z).square().sum(dim=2)
    return torch.softmax((-squared / 2).masked_fill(torch.eye(len(x), dtype=torch.bool), float("-inf")), dim=1)


def _self_as_positive(x: Tensor, x_prime: Tensor, w: Tensor) -> Tensor:
    z = x @ w.T
    return torch.softmax(-(z[:, None] - z).square().sum(dim=2) / 2, dim=1)


def _part(**parts: Any) -> Callable[..., Tensor]:
    return lambda x, x_prime, w: _matrix(x, x_prime, w, **parts)


MATRIX_WRONG = {
    "sign": Wrong(
        _part(signs=(-1.0, 1.0)), "the sign is turned around: X is the spread of negatives minus that of augmentation."
    ),
    "added": Wrong(_part(signs=(1.0, 1.0)), "Sigma_1 was added; augmentation works against the spread: subtract it."),
    "no Sigma_1": Wrong(_part(signs=(1.0, 0.0)), "Sigma_1 is missing: augmentation has no say."),
    "no Sigma_0": Wrong(_part(signs=(0.0, -1.0)), "Sigma_0 is missing: the negatives have no say."),
    "alpha_ii": Wrong(
        _part(positive=lambda a: a.diagonal()),
        "alpha_ii weighs the positive; the weight is 1 - alpha_ii, small where the positive has already won.",
    ),
    "unweighted positive": Wrong(
        _part(positive=lambda a: torch.ones_like(a.diagonal())), "the weight 1 - alpha_ii of the positive is missing."
    ),
    "views as negatives": Wrong(
        _part(negatives=lambda x, x_prime: x_prime),
        "the differences x_i - x_j' were taken; negatives are the other anchors, x_j.",
    ),
    "no half": Wrong(
        _part(alpha=lambda x, x_prime, w: _weights(x, x_prime, w, half=1.0)),
        "the 1/2 in the exponent is missing: the kernel is exp(-|.|^2 / 2).",
    ),
    "positive left out": Wrong(
        _part(alpha=_without_positive), "the positive is not in the denominator of the softmax; it belongs there."
    ),
    "self as positive": Wrong(
        _part(alpha=_self_as_positive),
        "alpha_ii was computed from z_i against itself; the positive is the other view, z_i'.",
    ),
    "uniform weights": Wrong(
        _part(alpha=lambda x, x_prime, w: _weights(x, x_prime, 0 * w)),
        "all weights are 1/N: the softmax does not see W. The distances are those of z = W x.",
    ),
    "input distances": Wrong(
        _part(alpha=lambda x, x_prime, w: _weights(x, x_prime, torch.eye(x.shape[1], dtype=x.dtype))),
        "the softmax was taken over distances of x; it takes those of z = W x.",
    ),
    "mean": Wrong(
        lambda x, x_prime, w: _matrix(x, x_prime, w) / len(x), "divided by N; L is a sum over the samples here."
    ),
    "float32": Wrong(_part(dtype=torch.float32), "Results keep the type of the input"),
}

register(
    Exercise(
        name="contrastive_gradient_matrix",
        lesson=LESSON,
        number="5.7",
        title="the matrix that drives a linear contrastive model",
        difficulty=4,
        importance=3,
        minutes=15,
        points=4,
        check=Agreement(dynamics.contrastive_gradient_matrix, _linear_inputs, MATRIX_WRONG, gradients=False),
        hints=(
            "First the softmax: an (N, N) matrix of -|z_i - z_j|^2 / 2 whose diagonal is replaced by "
            "-|z_i - z_i'|^2 / 2, softmax over j.",
            "Sigma_0 needs the weights without their diagonal, and all differences x_i - x_j: "
            "x[:, None] - x has shape (N, N, D_in).",
            'torch.einsum("ij,ijk,ijl->kl", others, between, between) is Sigma_0. Sigma_1 is the same with one index '
            "i, the differences x' - x, and the weights 1 - alpha_ii.",
        ),
        right={"loop": _matrix_loop, "einsum": _matrix, "Laplacian": _matrix_laplacian},
    )
)
