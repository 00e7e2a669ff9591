"""Lesson 04: the exercises that derive `jemlib.losses.vicreg`, with their wrong and other right answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
FIELDS = ("total", "invariance", "variance", "covariance")
Terms = tuple[Tensor, Tensor, Tensor, Tensor]


# --- Inputs ----------------------------------------------------------------------------------------------------


def _covariances(**settings: float) -> Callable[[], list[Case]]:
    """Covariance matrices with spreads on both sides of 1, a zero variance, D = 1, and both types."""

    def cases() -> list[Case]:
        generator = torch.Generator().manual_seed(41)
        found = []
        for d, note in ((4, ""), (6, ""), (3, "dimension 1 constant"), (1, ""), (5, "")):
            # Standard deviations from 0.4 to 1.6, so that the hinge pushes some dimensions and leaves others alone.
            spread = torch.linspace(0.4, 1.6, d, dtype=torch.float64)
            if note:
                spread[1] = 0.0
            cov = losses.covariance_matrix(torch.randn(3 * d + 2, d, generator=generator, dtype=torch.float64))
            root = cov.diagonal().rsqrt()
            cov = cov * torch.outer(root * spread, root * spread)
            found.append(Case((cov,), settings, note))
        other = {name: value * 3 for name, value in settings.items()}
        return [*found, Case((found[0].args[0].float(),), settings), Case((found[4].args[0],), other)]

    return cases


# --- 4.1 and 4.2 covariance_matrix ------------------------------------------------------------------------------


def _mean(z: Tensor) -> Tensor:
    return z.mean(dim=0)


def _covariance(
    centre: Callable[[Tensor], Any] = _mean, divide: Callable[[Tensor], float] = lambda z: len(z) - 1
) -> Callable[[Tensor], Tensor]:
    """Some covariance: what is subtracted, and what the sum over the batch is divided by."""
    return lambda z: (z - centre(z)).T @ (z - centre(z)) / divide(z)


def _samples_by_samples(z: Tensor) -> Tensor:
    return (z - _mean(z)) @ (z - _mean(z)).T / (len(z) - 1)


def _correlation(z: Tensor) -> Tensor:
    a = losses.standardize(z, 1e-12)
    return a.T @ a / len(z)


def _by_entry(z: Tensor, entry: Callable[[Tensor, int, int], Tensor]) -> Tensor:
    centred = z - _mean(z)
    cov = z.new_zeros(z.shape[1], z.shape[1])
    for i in range(z.shape[1]):
        for j in range(z.shape[1]):
            cov[i, j] = entry(centred, i, j)
    return cov


def _sum_over_batch(centred: Tensor, i: int, j: int, skip: int = 0) -> Tensor:
    n = len(centred)
    return torch.stack([centred[b, i] * centred[b, j] for b in range(n - skip)]).sum() / (n - 1)


def _loop(z: Tensor) -> Tensor:
    return _by_entry(z, _sum_over_batch)


def _centred_in_place(z: Tensor) -> Tensor:
    z -= _mean(z)
    return z.T @ z / (len(z) - 1)


def _outer_products(z: Tensor) -> Tensor:
    return torch.stack([torch.outer(row, row) for row in z - _mean(z)]).sum(dim=0) / (len(z) - 1)


def _all_pairs(z: Tensor) -> Tensor:
    """Other algebra: half the mean outer product of the differences of all pairs; no mean is needed."""
    n, gap = len(z), z[:, None] - z[None]
    return torch.einsum("abi,abj->ij", gap, gap) / (2 * n * (n - 1))


def _mean_of_products(z: Tensor) -> Tensor:
    n = len(z)
    return (z.T @ z - n * torch.outer(_mean(z), _mean(z))) / (n - 1)


NO_CENTRING = "the mean over the batch was not subtracted: a constant output would then count as spread."
OVER_FEATURES = "each row was centred over its features; centre each column over the batch, dim=0."
BIASED = "the sum was divided by N. VICReg's covariance is the unbiased one: divide by N - 1."

COVARIANCE_WRONG = {
    "no centring": Wrong(_covariance(centre=lambda z: 0.0), NO_CENTRING),
    "lecture": Wrong(
        _covariance(centre=lambda z: 0.0, divide=len),
        "that is the lecture's H^T H / N, which is no covariance: it neither centres nor divides by N - 1.",
    ),
    "biased": Wrong(_covariance(divide=len), BIASED),
    "not divided": Wrong(_covariance(divide=lambda z: 1), "the sum over the batch was not divided by N - 1."),
    "divided by D": Wrong(
        _covariance(divide=lambda z: z.shape[1]),
        "divided by D, the dimensions; the sum runs over samples, so N - 1 belongs there.",
    ),
    "one mean for all": Wrong(
        _covariance(centre=lambda z: z.mean()),
        "one mean was taken over all entries; each dimension has its own, dim=0.",
    ),
    "over features": Wrong(_covariance(centre=lambda z: z.mean(dim=1, keepdim=True)), OVER_FEATURES),
    "samples by samples": Wrong(
        _samples_by_samples, "the product compares samples (N x N); compare dimensions: Z^T Z, which is D x D."
    ),
    "correlation": Wrong(
        _correlation,
        "that is the correlation, with every variance scaled to 1. VICReg keeps the units: the variances are needed.",
    ),
    "no gradient": Wrong(lambda z: losses.covariance_matrix(z.detach()), "none reaches argument 1"),
    "in place": Wrong(_centred_in_place, "it changed its input in place"),
}
COVARIANCE_LOOP_WRONG = {
    **COVARIANCE_WRONG,
    "last sample left out": Wrong(
        lambda z: _by_entry(z, lambda c, i, j: _sum_over_batch(c, i, j, skip=1)),
        "the last sample is left out: b runs over all N of them; only the divisor is N - 1.",
    ),
    "diagonal only": Wrong(
        lambda z: torch.diag(z.var(dim=0)), "only the diagonal is filled: i and j are two separate loops."
    ),
    "upper half only": Wrong(
        lambda z: torch.triu(losses.covariance_matrix(z)),
        "the lower half is empty: j runs over all D dimensions, also those below i.",
    ),
    "float32": Wrong(lambda z: losses.covariance_matrix(z).float(), "Results keep the type of the input"),
}
COVARIANCE_RIGHT = {
    "loop": _loop,
    "einsum": lambda z: torch.einsum("bi,bj->ij", z - _mean(z), z - _mean(z)) / (len(z) - 1),
    "torch.cov": lambda z: torch.atleast_2d(torch.cov(z.T)),
    "outer products": _outer_products,
    "all pairs of samples": _all_pairs,
    "mean of products": _mean_of_products,
    # The slope through the mean is zero: deviations sum to zero.
    "detached mean": _covariance(centre=lambda z: _mean(z).detach()),
}

register(
    Exercise(
        name="covariance_matrix_loop",
        lesson=LESSON,
        number="4.1",
        title="the covariance as a loop that mirrors the sum",
        difficulty=1,
        importance=3,
        minutes=8,
        points=2,
        check=Agreement(losses.covariance_matrix, single_views(), COVARIANCE_LOOP_WRONG),
        hints=(
            "Centre first: subtract from each column its mean over the batch, z.mean(dim=0).",
            "Three loops: i and j over the dimensions, and inside them b over all samples.",
            "Start from cov = z.new_zeros(D, D), add centred[b, i] * centred[b, j] to cov[i, j], divide by N - 1.",
        ),
        right=COVARIANCE_RIGHT,
    )
)
register(
    Exercise(
        name="covariance_matrix",
        lesson=LESSON,
        number="4.2",
        title="the covariance as one matrix product",
        difficulty=1,
        importance=4,
        minutes=5,
        points=2,
        check=Agreement(losses.covariance_matrix, single_views(), COVARIANCE_WRONG),
        hints=(
            "A sum over b of products of entries (b, i) and (b, j) is a matrix product in which b is the inner index.",
            "The result is (D, D): (D, N) times (N, D). So the first factor is transposed.",
            "centred.T @ centred / (len(z) - 1).",
        ),
        right=COVARIANCE_RIGHT,
    )
)


# --- 4.3 variance_hinge -----------------------------------------------------------------------------------------


def _root(cov: Tensor, eps: float) -> Tensor:
    return torch.sqrt(cov.diagonal() + eps)


def _hinge(
    spread: Callable[[Tensor, float], Tensor] = _root,
    hinge: Callable[[Tensor, float], Tensor] = lambda s, gamma: torch.relu(gamma - s).mean(),
) -> Callable[..., Tensor]:
    """Some variance term: how spread is measured, and what is made of spread and gamma."""
    return lambda cov, gamma, eps: hinge(spread(cov, eps), gamma)


def _hinge_loop(cov: Tensor, gamma: float, eps: float) -> Tensor:
    total = cov.new_zeros(())
    for j in range(len(cov)):
        spread = (cov[j, j] + eps) ** 0.5
        if spread < gamma:
            total = total + (gamma - spread)
    return total / len(cov)


HINGE_WRONG = {
    "variance": Wrong(
        _hinge(lambda cov, eps: cov.diagonal()),
        "the hinge acts on the variance, as the lecture prints it; it acts on its root, the standard deviation.",
    ),
    "no eps": Wrong(
        _hinge(lambda cov, eps: cov.diagonal().sqrt()),
        "eps is missing under the root: for a constant dimension the slope of the root would be infinite.",
    ),
    "eps outside": Wrong(
        _hinge(lambda cov, eps: cov.diagonal().sqrt() + eps),
        "eps stands outside the root: it is added to the variance, sqrt(Cov_jj + eps).",
    ),
    "eps fixed": Wrong(
        _hinge(lambda cov, eps: _root(cov, 1e-4)), "the argument eps is ignored: use it instead of a fixed 1e-4."
    ),
    "gamma fixed": Wrong(
        _hinge(hinge=lambda s, gamma: torch.relu(1 - s).mean()),
        "the argument gamma is ignored: 1 is only a usual choice.",
    ),
    "sum": Wrong(
        _hinge(hinge=lambda s, gamma: torch.relu(gamma - s).sum()),
        "a sum over the dimensions; this term is a mean: divide by D.",
    ),
    "no hinge": Wrong(
        _hinge(hinge=lambda s, gamma: (gamma - s).mean()),
        "max(0, ...) is missing: a dimension that is spread out enough must not pay for another one.",
    ),
    "hinge after the mean": Wrong(
        _hinge(hinge=lambda s, gamma: torch.relu(gamma - s.mean())),
        "max(0, ...) was taken of the mean; take it for each dimension, then the mean.",
    ),
    "turned around": Wrong(
        _hinge(hinge=lambda s, gamma: torch.relu(s - gamma).mean()),
        "the difference is turned around: too little spread costs, too much does not.",
    ),
    "absolute": Wrong(
        _hinge(hinge=lambda s, gamma: (gamma - s).abs().mean()),
        "an absolute value instead of max(0, ...): more spread than gamma costs nothing.",
    ),
    "squared": Wrong(
        _hinge(hinge=lambda s, gamma: torch.relu(gamma - s).square().mean()),
        "the hinge was squared; here it enters as it is.",
    ),
    "all entries": Wrong(
        _hinge(lambda cov, eps: torch.sqrt(cov.abs() + eps)),
        "every entry of the matrix was used; variances stand on the diagonal, cov.diagonal().",
    ),
}

register(
    Exercise(
        name="variance_hinge",
        lesson=LESSON,
        number="4.3",
        title="the term that keeps each dimension spread out",
        difficulty=2,
        importance=5,
        minutes=6,
        points=2,
        check=Agreement(losses.variance_hinge, _covariances(gamma=1.0, eps=1e-2), HINGE_WRONG),
        hints=(
            "cov.diagonal() holds the D variances; S is the root of variance plus eps.",
            "max(0, x) of a tensor is torch.relu(x) or x.clamp(min=0).",
            "torch.relu(gamma - torch.sqrt(cov.diagonal() + eps)), and then the mean.",
        ),
        right={
            "loop": _hinge_loop,
            "clamp": lambda cov, gamma, eps: (gamma - _root(cov, eps)).clamp(min=0).sum() / len(cov),
            "mask": lambda cov, gamma, eps: ((gamma - _root(cov, eps)) * (_root(cov, eps) < gamma)).mean(),
            # max(0, x) = (x + |x|) / 2
            "half of x plus |x|": lambda cov, gamma, eps: (
                ((gamma - _root(cov, eps)) + (gamma - _root(cov, eps)).abs()).mean() / 2
            ),
        },
    )
)


# --- 4.4 covariance_penalty -------------------------------------------------------------------------------------


def _off(cov: Tensor) -> Tensor:
    return cov[~torch.eye(len(cov), dtype=torch.bool)]


def _penalty_loop(cov: Tensor) -> Tensor:
    total = cov.new_zeros(())
    for i in range(len(cov)):
        for j in range(len(cov)):
            if i != j:
                total = total + cov[i, j] ** 2
    return total / len(cov)


KEPT_DIAGONAL = "you kept the diagonal: the squared variances do not belong here, only entries with i != j."
PENALTY_WRONG = {
    "kept the diagonal": Wrong(lambda cov: cov.square().sum() / len(cov), KEPT_DIAGONAL),
    "no square": Wrong(
        lambda cov: _off(cov).sum() / len(cov),
        "the square is missing: the plain sum rewards dimensions that move in opposite ways.",
    ),
    "absolute": Wrong(
        lambda cov: _off(cov).abs().sum() / len(cov), "absolute values instead of squares: use Cov_ij^2."
    ),
    "not divided": Wrong(lambda cov: _off(cov).square().sum(), "the sum was not divided by D."),
    "mean": Wrong(
        lambda cov: _off(cov).square().mean(),
        "a mean over the D (D - 1) entries; divide the sum by D, not by their number.",
    ),
    "mean of all": Wrong(
        lambda cov: _off(cov).square().sum() / cov.numel(), "divided by D^2, the size of the matrix; divide by D."
    ),
    "upper half": Wrong(
        lambda cov: torch.triu(cov, 1).square().sum() / len(cov),
        "each pair was counted once; the sum runs over (i, j) and (j, i), which is twice as much.",
    ),
    "square of the sum": Wrong(
        lambda cov: _off(cov).sum().square() / len(cov), "the sum was squared; square each entry, then sum."
    ),
    "minus identity": Wrong(
        lambda cov: (cov - torch.eye(len(cov), dtype=cov.dtype)).square().sum() / len(cov),
        "the identity was subtracted; that pulls variances to 1, which is the work of the other term.",
    ),
    "in place": Wrong(
        lambda cov: cov.fill_diagonal_(0).square().sum() / len(cov), "it changed its input in place (-=, fill_diagonal_"
    ),
}

register(
    Exercise(
        name="covariance_penalty",
        lesson=LESSON,
        number="4.4",
        title="the term that keeps dimensions from copying each other",
        difficulty=2,
        importance=4,
        minutes=5,
        points=1,
        check=Agreement(losses.covariance_penalty, _covariances(), PENALTY_WRONG),
        hints=(
            "Square all entries, sum them, and take away the squares on the diagonal.",
            "Divide by D, the number of dimensions, not by the number of entries.",
            "(cov.square().sum() - cov.diagonal().square().sum()) / len(cov).",
        ),
        right={
            "loop": _penalty_loop,
            "mask": lambda cov: _off(cov).pow(2).sum() / len(cov),
            "einsum": lambda cov: (torch.einsum("ij,ij->", cov, cov) - torch.einsum("ii,ii->", cov, cov)) / len(cov),
            "diagonal taken away": lambda cov: (cov - torch.diag(cov.diagonal())).square().sum(dim=0).mean(),
        },
    )
)


# --- 4.5 vicreg -------------------------------------------------------------------------------------------------


def _both(f: Callable[[Tensor], Tensor]) -> Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]:
    return lambda z_a, z_b: (f(z_a), f(z_b))


def _each_branch(z_a: Tensor, z_b: Tensor) -> tuple[Tensor, Tensor]:
    return losses.covariance_matrix(z_a), losses.covariance_matrix(z_b)


def _assembled(
    *,
    pull: Callable[[Tensor, Tensor], Tensor] = F.mse_loss,
    covariances: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]] = _each_branch,
    hinge: Callable[..., Tensor] = losses.variance_hinge,
    penalty: Callable[[Tensor], Tensor] = losses.covariance_penalty,
    of_variances: Callable[[Tensor, Tensor], Tensor] = lambda a, b: (a + b) / 2,
    of_penalties: Callable[[Tensor, Tensor], Tensor] = lambda a, b: a + b,
    weights: Callable[[float, float, float], tuple[float, float, float]] = lambda s, v, c: (s, v, c),
) -> Callable[..., Terms]:
    """Some VICReg loss: how each term is made, how the branches come together, and the weights."""

    def loss(
        z_a: Tensor,
        z_b: Tensor,
        invariance: float = 25.0,
        variance: float = 25.0,
        covariance: float = 1.0,
        gamma: float = 1.0,
        eps: float = 1e-4,
    ) -> Terms:
        cov_a, cov_b = covariances(z_a, z_b)
        s = pull(z_a, z_b)
        v = of_variances(hinge(cov_a, gamma, eps), hinge(cov_b, gamma, eps))
        c = of_penalties(penalty(cov_a), penalty(cov_b))
        w = weights(invariance, variance, covariance)
        return w[0] * s + w[1] * v + w[2] * c, s, v, c

    return loss


def _with_fixed(**fixed: float) -> Callable[..., Terms]:
    """The loss with some of its arguments ignored."""
    return lambda z_a, z_b, **settings: losses.vicreg(z_a, z_b, **{**settings, **fixed})


def _cross_covariance(z_a: Tensor, z_b: Tensor) -> tuple[Tensor, Tensor]:
    cov = (z_a - _mean(z_a)).T @ (z_b - _mean(z_b)) / (len(z_a) - 1)
    return cov, cov.T


def _stacked(z_a: Tensor, z_b: Tensor) -> tuple[Tensor, Tensor]:
    cov = losses.covariance_matrix(torch.cat([z_a, z_b]))
    return cov, cov


def _normalized(z_a: Tensor, z_b: Tensor, **settings: float) -> Terms:
    return losses.vicreg(F.normalize(z_a, dim=1), F.normalize(z_b, dim=1), **settings)


def _weighted_fields(
    z_a: Tensor, z_b: Tensor, invariance: float = 25.0, variance: float = 25.0, covariance: float = 1.0, **more: float
) -> Terms:
    total, s, v, c = losses.vicreg(z_a, z_b, invariance, variance, covariance, **more)
    return total, invariance * s, variance * v, covariance * c


def _other_order(z_a: Tensor, z_b: Tensor, **settings: float) -> Terms:
    total, s, v, c = losses.vicreg(z_a, z_b, **settings)
    return total, v, s, c


def _without_gradient(z_a: Tensor, z_b: Tensor, **settings: float) -> Terms:
    with torch.no_grad():
        return losses.vicreg(z_a, z_b, **settings)


def _distance(z_a: Tensor, z_b: Tensor) -> Tensor:
    return (z_a - z_b).norm(dim=1).mean()


def _variance_not_root(cov: Tensor, gamma: float, eps: float) -> Tensor:
    return torch.relu(gamma - cov.diagonal()).mean()


def _loop_invariance(z_a: Tensor, z_b: Tensor) -> Tensor:
    n, d = z_a.shape
    return torch.stack([(z_a[b, j] - z_b[b, j]) ** 2 for b in range(n) for j in range(d)]).sum() / (n * d)


def _from_columns(
    z_a: Tensor,
    z_b: Tensor,
    invariance: float = 25.0,
    variance: float = 25.0,
    covariance: float = 1.0,
    gamma: float = 1.0,
    eps: float = 1e-4,
) -> Terms:
    """Other algebra: std from `var`, and the penalty as |C|_F^2 minus the squared variances."""
    s, v, c = (z_a - z_b).pow(2).mean(), z_a.new_zeros(()), z_a.new_zeros(())
    for z in (z_a, z_b):
        cov = torch.einsum("bi,bj->ij", z - _mean(z), z - _mean(z)) / (len(z) - 1)
        v = v + (gamma - (z.var(dim=0) + eps).sqrt()).clamp(min=0).mean() / 2
        c = c + ((cov * cov).sum() - z.var(dim=0).square().sum()) / z.shape[1]
    return losses.VICRegLoss(invariance * s + variance * v + covariance * c, s, v, c)


VICREG_WRONG = {
    "invariance summed over D": Wrong(
        _assembled(pull=lambda a, b: (a - b).square().sum(dim=1).mean()),
        "the invariance is summed over the dimensions: that is the paper's scale, here it is a mean over N and D.",
    ),
    "invariance summed": Wrong(
        _assembled(pull=lambda a, b: (a - b).square().sum()),
        "the invariance is a sum over all entries; take the mean over N and D.",
    ),
    "distance": Wrong(
        _assembled(pull=_distance), "the invariance is made of distances; their squares belong there, no root."
    ),
    "absolute": Wrong(_assembled(pull=F.l1_loss), "the invariance takes absolute differences; square them."),
    "variances added": Wrong(
        _assembled(of_variances=lambda a, b: a + b),
        "the variance terms of the two branches are added, as in the paper; here they are averaged.",
    ),
    "covariances averaged": Wrong(
        _assembled(of_penalties=lambda a, b: (a + b) / 2),
        "the covariance terms of the two branches are averaged; they are added.",
    ),
    "one branch": Wrong(
        _assembled(of_variances=lambda a, b: a, of_penalties=lambda a, b: 2 * a),
        "only view A is regularised: variance and covariance are needed for each branch by itself.",
    ),
    "cross-covariance": Wrong(
        _assembled(covariances=_cross_covariance),
        "the covariance pairs view A with view B, as Barlow Twins does; VICReg takes each branch by itself.",
    ),
    "stacked": Wrong(
        _assembled(covariances=_stacked),
        "both views were stacked into one batch of 2N; each branch has a mean and a covariance of its own.",
    ),
    "biased": Wrong(_assembled(covariances=_both(_covariance(divide=len))), BIASED),
    "no centring": Wrong(_assembled(covariances=_both(_covariance(centre=lambda z: 0.0))), NO_CENTRING),
    "variance": Wrong(
        _assembled(hinge=_variance_not_root), "the hinge acts on the variance; it acts on the standard deviation."
    ),
    "kept the diagonal": Wrong(_assembled(penalty=lambda cov: cov.square().sum() / len(cov)), KEPT_DIAGONAL),
    "penalty not divided": Wrong(
        _assembled(penalty=lambda cov: len(cov) * losses.covariance_penalty(cov)),
        "the covariance term was not divided by D.",
    ),
    "normalised": Wrong(_normalized, "the embeddings were normalised to length 1; VICReg takes them as they are."),
    "no weights": Wrong(
        _assembled(weights=lambda s, v, c: (1.0, 1.0, 1.0)), "the three weights are missing from the total."
    ),
    "weights fixed": Wrong(
        _assembled(weights=lambda s, v, c: (25.0, 25.0, 1.0)),
        "the weights given as arguments are ignored: 25, 25 and 1 are only their defaults.",
    ),
    "weights in another order": Wrong(
        _assembled(weights=lambda s, v, c: (v, s, c)), "the weights of invariance and variance are exchanged."
    ),
    "gamma fixed": Wrong(_with_fixed(gamma=1.0), "the argument gamma is ignored: 1 is only its default."),
    "eps fixed": Wrong(_with_fixed(eps=1e-4), "the argument eps is ignored: 1e-4 is only its default."),
    "weighted fields": Wrong(
        _weighted_fields, "the three terms carry their weights; fields are unweighted, only total has them."
    ),
    "other order": Wrong(_other_order, "the values come in another order: (total, invariance, variance, covariance)."),
    "bare tensor": Wrong(lambda z_a, z_b, **settings: losses.vicreg(z_a, z_b, **settings).total, "return the 4 values"),
    "stop-gradient": Wrong(
        lambda z_a, z_b, **settings: losses.vicreg(z_a, z_b.detach(), **settings),
        "no gradient reaches z_b: VICReg has no stop-gradient, both branches are trained.",
    ),
    "no gradient": Wrong(_without_gradient, "none reaches argument 1"),
}

register(
    Exercise(
        name="vicreg",
        lesson=LESSON,
        number="4.5",
        title="the loss: three terms together",
        difficulty=2,
        importance=5,
        minutes=10,
        points=3,
        check=Agreement(
            losses.vicreg,
            pairs_with(invariance=3.0, variance=7.0, covariance=2.0, gamma=1.5, eps=0.1),
            VICREG_WRONG,
            fields=FIELDS,
        ),
        hints=(
            "You have the parts: covariance_matrix for each view, then variance_hinge and covariance_penalty of each.",
            "Invariance: the mean of (z_a - z_b)^2 over all N D entries. Variance: the average of the two branches. "
            "Covariance: the sum of the two branches.",
            "total = invariance * s + variance * v + covariance * c; return (total, s, v, c).",
        ),
        right={
            "loops": _assembled(
                pull=_loop_invariance, covariances=_both(_loop), hinge=_hinge_loop, penalty=_penalty_loop
            ),
            "from columns": _from_columns,
            "torch.cov": _assembled(covariances=_both(lambda z: torch.atleast_2d(torch.cov(z.T)))),
        },
    )
)


# --- 4.6 vicreg_paper -------------------------------------------------------------------------------------------


def vicreg_paper(
    z_a: Tensor,
    z_b: Tensor,
    invariance: float = 25.0,
    variance: float = 25.0,
    covariance: float = 1.0,
    gamma: float = 1.0,
    eps: float = 1e-4,
) -> Tensor:
    """VICReg's total in the scale of the paper: sums over D and over the branches, where the code takes means.

    Args:
        z_a, z_b: `(N, D)`.
        invariance, variance, covariance: lambda, mu and nu of the paper.
        gamma, eps: as `losses.vicreg`.

    Returns:
        A scalar.

    Source: Bardes et al., 2105.04906, eq. 1 to 6.
    """
    return losses.vicreg(z_a, z_b, invariance * z_a.shape[1], 2 * variance, covariance, gamma, eps).total


def _converted(change: Callable[[float, float, float, int, int], tuple[float, float, float]]) -> Callable[..., Tensor]:
    """The code's loss with changed weights; `change` gets the paper's weights, N and D."""

    def total(
        z_a: Tensor,
        z_b: Tensor,
        invariance: float = 25.0,
        variance: float = 25.0,
        covariance: float = 1.0,
        gamma: float = 1.0,
        eps: float = 1e-4,
    ) -> Tensor:
        weights = change(invariance, variance, covariance, *z_a.shape)
        return losses.vicreg(z_a, z_b, *weights, gamma, eps).total

    return total


def _paper_written_out(
    z_a: Tensor,
    z_b: Tensor,
    invariance: float = 25.0,
    variance: float = 25.0,
    covariance: float = 1.0,
    gamma: float = 1.0,
    eps: float = 1e-4,
) -> Tensor:
    total = invariance * (z_a - z_b).square().sum(dim=1).mean()
    for z in (z_a, z_b):
        cov = losses.covariance_matrix(z)
        total = total + variance * losses.variance_hinge(cov, gamma, eps) + covariance * losses.covariance_penalty(cov)
    return total


def _paper_from_terms(
    z_a: Tensor,
    z_b: Tensor,
    invariance: float = 25.0,
    variance: float = 25.0,
    covariance: float = 1.0,
    gamma: float = 1.0,
    eps: float = 1e-4,
) -> Tensor:
    terms = losses.vicreg(z_a, z_b, gamma=gamma, eps=eps)
    s, v = z_a.shape[1] * terms.invariance, 2 * terms.variance
    return invariance * s + variance * v + covariance * terms.covariance


PAPER_WRONG = {
    "code scale": Wrong(
        _converted(lambda s, v, c, n, d: (s, v, c)), "that is the code's scale, with the weights as they came in."
    ),
    "variance not doubled": Wrong(
        _converted(lambda s, v, c, n, d: (s * d, v, c)),
        "the variance is still averaged over the branches; the paper adds them, so its weight doubles.",
    ),
    "invariance not times D": Wrong(
        _converted(lambda s, v, c, n, d: (s, 2 * v, c)),
        "the invariance is still a mean over D; the paper sums over the dimensions, so its weight grows by D.",
    ),
    "other direction": Wrong(
        _converted(lambda s, v, c, n, d: (s / d, v / 2, c)),
        "you divided by D and by 2: that turns the code's weights into the paper's; asked is the other direction.",
    ),
    "times N": Wrong(
        _converted(lambda s, v, c, n, d: (s * n, 2 * v, c)),
        "the invariance was multiplied by N; both scales take the mean over the samples, D is what differs.",
    ),
    "covariance doubled": Wrong(
        _converted(lambda s, v, c, n, d: (s * d, 2 * v, 2 * c)),
        "the covariance was doubled; the code already adds the two branches, so its weight stays.",
    ),
    "variance times D": Wrong(
        _converted(lambda s, v, c, n, d: (s * d, 2 * v * d, c)),
        "the variance was multiplied by D; the paper divides that term by D as well, only the branches differ.",
    ),
    "covariance times D": Wrong(
        _converted(lambda s, v, c, n, d: (s * d, 2 * v, c * d)),
        "the covariance was multiplied by D; both scales divide that term by D.",
    ),
    "weights fixed": Wrong(
        _converted(lambda s, v, c, n, d: (25.0 * d, 50.0, 1.0)), "the weights given as arguments are ignored."
    ),
    "terms as well": Wrong(
        lambda z_a, z_b, **settings: tuple(losses.vicreg(z_a, z_b, **settings)), "a tuple instead of a tensor"
    ),
}

register(
    Exercise(
        name="vicreg_paper",
        lesson=LESSON,
        number="4.6",
        title="the same loss in the paper's scale",
        difficulty=2,
        importance=3,
        minutes=6,
        points=1,
        check=Agreement(
            vicreg_paper,
            pairs_with(invariance=3.0, variance=7.0, covariance=2.0, gamma=1.5, eps=0.1),
            PAPER_WRONG,
        ),
        hints=(
            "Nothing has to be computed anew: vicreg with other weights gives it. Compare the two forms term by term.",
            "A sum over D is D times a mean over D; a sum over two branches is twice their average.",
            "The weights to hand over are invariance * D, 2 * variance and covariance; return the total alone, [0].",
        ),
        right={"written out": _paper_written_out, "from the terms": _paper_from_terms},
    )
)


# --- 4.7 variance_gradient --------------------------------------------------------------------------------------


def variance_gradient(z: Tensor, gamma: float = 1.0, eps: float = 1e-4) -> Tensor:
    """The gradient of the variance term of one branch, `dv/dz`, in closed form.

    Args:
        z: `(N, D)` embeddings, N >= 2.
        gamma, eps: as `losses.vicreg`.

    Returns:
        `(N, D)`; zero for dimensions whose spread reaches gamma.

    Source: derivative of Bardes et al., 2105.04906, eq. 1 and 2.
    """
    return _slope(z, gamma, eps)


def _slope(
    z: Tensor,
    gamma: float = 1.0,
    eps: float = 1e-4,
    *,
    sign: float = -1.0,
    centre: Callable[[Tensor], Any] = _mean,
    inside: Callable[[Tensor, float], Tensor] = lambda s, gamma: s < gamma,
    divide: Callable[[Tensor], float] = lambda z: z.shape[1] * (z.shape[0] - 1),
    by: Callable[[Tensor], Tensor] = lambda s: s,
) -> Tensor:
    spread = torch.sqrt(z.var(dim=0) + eps)
    return sign * inside(spread, gamma) * (z - centre(z)) / (divide(z) * by(spread))


def _changed(**parts: Any) -> Callable[..., Tensor]:
    return lambda z, gamma=1.0, eps=1e-4: _slope(z, gamma, eps, **parts)


def _variance_slope_autodiff(z: Tensor, gamma: float = 1.0, eps: float = 1e-4) -> Tensor:
    with torch.enable_grad():
        leaf = z.detach().clone().requires_grad_()
        return torch.autograd.grad(losses.variance_hinge(losses.covariance_matrix(leaf), gamma, eps), leaf)[0]


def _variance_slope_loop(z: Tensor, gamma: float = 1.0, eps: float = 1e-4) -> Tensor:
    n, d = z.shape
    result = torch.zeros_like(z)
    for j in range(d):
        centred = z[:, j] - z[:, j].mean()
        spread = (centred.square().sum() / (n - 1) + eps).sqrt()
        if spread < gamma:
            for b in range(n):
                result[b, j] = -centred[b] / ((n - 1) * spread * d)
    return result


def _through_the_diagonal(z: Tensor, gamma: float = 1.0, eps: float = 1e-4) -> Tensor:
    """Other algebra: the slope in each variance, -1 / (2 D S), times that of the variance, 2 (z - mean) / (N - 1)."""
    n, d = z.shape
    spread = torch.sqrt(losses.covariance_matrix(z).diagonal() + eps)
    in_variance = torch.where(spread < gamma, -1 / (2 * d * spread), torch.zeros_like(spread))
    return torch.einsum("bj,j->bj", 2 * (z - _mean(z)) / (n - 1), in_variance)


def _sums_to_zero(case: Case, ours: Sequence[Tensor], truth: Sequence[Tensor]) -> str | None:
    """A shift of all samples changes nothing, so each column of the gradient sums to zero."""
    g = ours[0]
    if g.shape != truth[0].shape:
        return "The gradient has the shape of z."
    if float(g.sum(dim=0).abs().max()) > 1e-3 * float(g.abs().max()) * len(g):
        return "Its columns do not sum to 0, as they must when a shift changes nothing: is z centred?"
    return "Its columns sum to 0, as they must. Look at the hinge, at 1/S, and at the divisors N - 1 and D."


SLOPE_WRONG = {
    "sign": Wrong(
        _changed(sign=1.0), "the sign is turned around: the term falls when samples move away from their mean."
    ),
    "no hinge": Wrong(
        _changed(inside=lambda s, gamma: torch.ones_like(s)),
        "the hinge is missing: where S_j >= gamma the term is flat and the gradient 0.",
    ),
    "hinge turned around": Wrong(
        _changed(inside=lambda s, gamma: s >= gamma), "the hinge is turned around: it pushes where S_j < gamma."
    ),
    "gamma fixed": Wrong(
        _changed(inside=lambda s, gamma: s < 1), "the argument gamma is ignored: 1 is only its default."
    ),
    "eps fixed": Wrong(
        lambda z, gamma=1.0, eps=1e-4: _slope(z, gamma, 1e-4), "the argument eps is ignored: 1e-4 is only its default."
    ),
    "no eps": Wrong(
        lambda z, gamma=1.0, eps=1e-4: _slope(z, gamma, 0.0), "eps is missing from S_j = sqrt(Var_j + eps)."
    ),
    "not divided by D": Wrong(_changed(divide=lambda z: len(z) - 1), "the factor 1/D is missing: v is a mean over D."),
    "N": Wrong(
        _changed(divide=lambda z: z.shape[0] * z.shape[1]),
        "divided by N; the variance is the unbiased one, with N - 1.",
    ),
    "no N": Wrong(_changed(divide=lambda z: z.shape[1]), "the factor 1/(N - 1) of the variance is missing."),
    "by the variance": Wrong(_changed(by=lambda s: s.square()), "divided by S_j^2; the slope of the root has one S_j."),
    "variance hinge": Wrong(
        _changed(by=lambda s: torch.full_like(s, 0.5)),
        "that is the slope of a hinge on the variance, 2 (z - mean) / (N - 1); the root brings 1/(2 S_j).",
    ),
    "half": Wrong(
        _changed(by=lambda s: 2 * s),
        "a factor 2 is missing: the 1/2 of the root meets the 2 of the square, and both cancel.",
    ),
    "no centring": Wrong(_changed(centre=lambda z: 0.0), "z stands there instead of z minus its mean over the batch."),
}

register(
    Exercise(
        name="variance_gradient",
        lesson=LESSON,
        number="4.7",
        title="the gradient of the variance term in closed form",
        difficulty=3,
        importance=4,
        minutes=15,
        points=3,
        check=Agreement(
            variance_gradient,
            single_views(gamma=1.5, eps=0.3),
            SLOPE_WRONG,
            gradients=False,
            symptom=_sums_to_zero,
        ),
        hints=(
            "Chain rule in three steps: v depends on S_j, S_j on Var_j, Var_j on z_bj.",
            "dv/dS_j = -1/D where S_j < gamma, else 0; dS/dVar = 1/(2 S); dVar/dz_bj = 2 (z_bj - mean)/(N - 1).",
            "(S < gamma) * (z.mean(dim=0) - z) / (D * (N - 1) * S), with S = torch.sqrt(z.var(dim=0) + eps).",
        ),
        right={
            "automatic differentiation": _variance_slope_autodiff,
            "loop": _variance_slope_loop,
            "through the diagonal": _through_the_diagonal,
        },
    )
)
