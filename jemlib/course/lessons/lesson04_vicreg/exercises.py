"""Lesson 04: the exercises that derive `jemlib.losses.vicreg`, with their mistakes and other right answers."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from typing import Any

import torch
from torch import Tensor

from jemlib import losses
from jemlib.course.machinery.agreement import Agreement, Case, Function
from jemlib.course.machinery.answers import Body, Edit, Mistaken, declare, within
from jemlib.course.machinery.exercises import register
from jemlib.course.machinery.inputs import pairs_with, single_views

# --- Inputs -----------------------------------------------------------------------------------------------------


def _wide(cases: Callable[[], list[Case]]) -> Callable[[], list[Case]]:
    """Without D = 1, where `torch.cov(z.T)` is a number and no matrix."""
    return lambda: [case for case in cases() if case.args[0].shape[1] > 1]


def _covariances(**settings: float) -> Callable[[], list[Case]]:
    """Covariance matrices with spreads on both sides of 1, a zero variance, and both types."""

    def cases() -> list[Case]:
        generator = torch.Generator().manual_seed(41)
        found = []
        for d, note in ((4, ""), (6, ""), (3, "dimension 1 constant"), (2, ""), (5, "")):
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


def _hinged() -> list[Case]:
    """The same, and one where every dimension is wide enough, so that the term is 0."""
    cases = _covariances(gamma=1.0, eps=1e-2)()
    return [*cases, Case(cases[0].args, {"gamma": 0.3, "eps": 1e-2}, "every dimension wide enough")]


# --- Sentences that serve several exercises ---------------------------------------------------------------------

IN_PLACE = "it changed its input in place"
OTHER_TYPE = "Results keep the type of the input"
NO_GRADIENT = "the values are right, but no gradient reaches {}: leave out detach(), .item(), float() and no_grad()."
BIASED = "the sum was divided by N. VICReg's covariance is the unbiased one: divide by N - 1."
NOT_DIVIDED = "the sum over the batch was not divided by N - 1."
BY_D = "divided by D, the dimensions; the sum runs over samples, so N - 1 belongs there."
NO_BRACKETS = "1 was taken away from the quotient: N - 1 needs brackets, ... / (len(z) - 1)."
EPS_FIXED = "the argument eps is ignored: use it instead of a fixed 1e-4."
GAMMA_FIXED = "the argument gamma is ignored: 1 is only a usual choice."
EPS_OUTSIDE = "eps stands outside the root: it is added to the variance, sqrt(Cov_jj + eps)."


# --- 4.1 and 4.2 covariance_matrix ------------------------------------------------------------------------------

COVARIANCE_MISTAKES: dict[str, Mistaken] = {
    "no centring": Edit(
        "z - z.mean(dim=0) -> z",
        "the mean over the batch was not subtracted: a constant output would then count as spread.",
    ),
    "over features": Edit(
        "dim=0 -> dim=1, keepdim=True",
        "each row was centred over its features; centre each column over the batch, dim=0.",
    ),
    "one mean for all": Edit("dim=0 ->", "one mean was taken over all entries; each dimension has its own, dim=0."),
    "lecture": Body(
        "return z.T @ z / len(z)",
        "that is the lecture's H^T H / N, which is no covariance: it neither centres nor divides by N - 1.",
    ),
    "samples by samples": Body(
        "centred = z - z.mean(dim=0)\nreturn centred @ centred.T / (len(z) - 1)",
        "the product compares samples (N x N); compare dimensions: Z^T Z, which is D x D.",
    ),
    "torch.cov not transposed": Body(
        "return torch.cov(z)",
        "torch.cov takes each row for a variable, so this compares samples (N x N): hand it the transpose, z.T.",
    ),
    "correlation": Body(
        "a = losses.standardize(z, 1e-12)\nreturn a.T @ a / len(z)",
        "that is the correlation, with every variance scaled to 1. VICReg keeps the units: the variances are needed.",
    ),
    "diagonal only": Body("return torch.diag(z.var(dim=0))", "only the diagonal is filled: i and j are independent."),
    "variances": Body(
        "return z.var(dim=0)", "those are the D variances; asked is the D x D matrix that has them on its diagonal."
    ),
    "in place": Body("z -= z.mean(dim=0)\nreturn z.T @ z / (len(z) - 1)", IN_PLACE),
    "detached": Edit("z - z.mean(dim=0) -> (z - z.mean(dim=0)).detach()", NO_GRADIENT.format("z")),
}
COVARIANCE_RIGHT = {
    "einsum": """
        centred = z - z.mean(dim=0)
        return torch.einsum("bi,bj->ij", centred, centred) / (len(z) - 1)
    """,
    "torch.cov": "return torch.cov(z.T)",
    "outer products": """
        return torch.stack([torch.outer(row, row) for row in z - z.mean(dim=0)]).sum(dim=0) / (len(z) - 1)
    """,
    # Half the mean outer product of the differences of all pairs; no mean is needed.
    "all pairs of samples": """
        n, gap = len(z), z[:, None] - z[None]
        return torch.einsum("abi,abj->ij", gap, gap) / (2 * n * (n - 1))
    """,
    "mean of products": """
        n, mean = len(z), z.mean(dim=0)
        return (z.T @ z - n * torch.outer(mean, mean)) / (n - 1)
    """,
    # Centring one factor is enough: deviations sum to zero. The slope through the mean is zero for the same reason.
    "one factor centred": "return z.T @ (z - z.mean(dim=0)) / (len(z) - 1)",
    "detached mean": "centred = z - z.mean(dim=0).detach()\nreturn centred.T @ centred / (len(z) - 1)",
}

declare(
    __name__,
    losses.covariance_matrix,
    number="4.1",
    title="the covariance as a loop that mirrors the sum",
    difficulty=1,
    importance=3,
    minutes=8,
    points=2,
    hints=(
        "Centre first: subtract from each column its mean over the batch, z.mean(dim=0).",
        "Three loops: i and j over the dimensions, and inside them b over all samples.",
        "Start from cov = z.new_zeros(D, D), add centred[b, i] * centred[b, j] to cov[i, j], divide by N - 1.",
    ),
    cases=_wide(single_views()),
    answer="""
        def covariance_matrix_loop(z):
            n, d = z.shape
            centred = z - z.mean(dim=0)
            cov = z.new_zeros(d, d)
            for i in range(d):
                for j in range(d):
                    for b in range(n):
                        cov[i, j] = cov[i, j] + centred[b, i] * centred[b, j] / (n - 1)
            return cov
    """,
    mistakes={
        **COVARIANCE_MISTAKES,
        "biased": Edit("/ (n - 1) -> / n", BIASED),
        "not divided": Edit("/ (n - 1) ->", NOT_DIVIDED),
        "divided by D": Edit("n - 1 -> d", BY_D),
        "divided by D - 1": Edit("n - 1 -> d - 1", BY_D),
        "no brackets": Edit("return cov -> return cov * (n - 1) / n - 1", NO_BRACKETS),
        "last sample left out": Edit(
            "range(n) -> range(n - 1)",
            "the last sample is left out: b runs over all N of them; only the divisor is N - 1.",
        ),
        "first sample left out": Edit("range(n) -> range(1, n)", "the first sample is left out: b runs over all N."),
        "assigned": Edit(
            "cov[i, j] + centred -> centred",
            "each sample overwrites the one before: add to cov[i, j], with += instead of =.",
        ),
        "divided in every step": Edit(
            "cov[i, j] + centred[b, i] * centred[b, j] / -> (cov[i, j] + centred[b, i] * centred[b, j]) /",
            "the sum was divided by N - 1 in every step; divide once, at the end.",
        ),
        "added": Edit("* centred -> + centred", "the two entries were added; multiply them."),
        "upper half only": Edit(
            "j in range(d) -> j in range(i, d)",
            "the lower half is empty: j runs over all D dimensions, also those below i.",
        ),
        "no diagonal": Edit(
            "* centred -> * (i != j) * centred", "the diagonal is 0: with i = j it holds the variances, which count."
        ),
        "last dimension left out": Edit(
            "range(d) -> range(d - 1)", "the last dimension is left out: i and j run over all D."
        ),
        "rows for columns": Edit(
            "range(n) -> range(min(n, d))\n[b, i] -> [i % n, b]\n[b, j] -> [j % n, b]",
            "the indices are swapped: centred[b, i], because rows are samples and columns are dimensions.",
        ),
        "numbers instead of tensors": Edit("[b, j] -> [b, j].item()\n[b, i] -> [b, i].item()", NO_GRADIENT.format("z")),
        "float32": Edit("return cov -> return cov.float()", OTHER_TYPE),
    },
    right=COVARIANCE_RIGHT,
)
declare(
    __name__,
    losses.covariance_matrix,
    number="4.2",
    title="the covariance as one matrix product",
    difficulty=1,
    importance=4,
    minutes=5,
    points=2,
    hints=(
        "A sum over b of products of entries (b, i) and (b, j) is a matrix product in which b is the inner index.",
        "The result is (D, D): (D, N) times (N, D). So the first factor is transposed.",
        "centred.T @ centred / (len(z) - 1).",
    ),
    cases=_wide(single_views()),
    answer="""
        def covariance_matrix(z):
            centred = z - z.mean(dim=0)
            return centred.T @ centred / (len(z) - 1)
    """,
    mistakes={
        **COVARIANCE_MISTAKES,
        "biased": Edit("(len(z) - 1) -> len(z)", BIASED),
        "not divided": Edit("/ (len(z) - 1) ->", NOT_DIVIDED),
        "divided by D": Edit("len(z) - 1 -> z.shape[1]", BY_D),
        "divided by D - 1": Edit("len(z) -> z.shape[1]", BY_D),
        "no brackets": Edit("(len(z) - 1) -> len(z) - 1", NO_BRACKETS),
    },
    right={
        **COVARIANCE_RIGHT,
        "loop": """
            centred, cov = z - z.mean(dim=0), z.new_zeros(z.shape[1], z.shape[1])
            for i in range(z.shape[1]):
                for j in range(z.shape[1]):
                    cov[i, j] = sum(centred[b, i] * centred[b, j] for b in range(len(z))) / (len(z) - 1)
            return cov
        """,
    },
)


# --- 4.3 variance_hinge -----------------------------------------------------------------------------------------

ON_THE_VARIANCE = (
    "the hinge acts on the variance, as the lecture prints it; it acts on its root, the standard deviation."
)
ALL_ENTRIES = "every entry of the matrix was used; variances stand on the diagonal, cov.diagonal()."

declare(
    __name__,
    losses.variance_hinge,
    number="4.3",
    title="the term that keeps each dimension spread out",
    difficulty=2,
    importance=5,
    minutes=6,
    points=2,
    hints=(
        "cov.diagonal() holds the D variances; S is the root of variance plus eps.",
        "max(0, x) of a tensor is torch.relu(x) or x.clamp(min=0).",
        "torch.relu(gamma - torch.sqrt(cov.diagonal() + eps)), and then the mean.",
    ),
    cases=_hinged,
    answer="""
        def variance_hinge(cov, gamma, eps):
            spread = torch.sqrt(cov.diagonal() + eps)
            return torch.relu(gamma - spread).mean()
    """,
    mistakes={
        "variance": Edit("torch.sqrt(cov.diagonal() + eps) -> cov.diagonal()", ON_THE_VARIANCE),
        "root forgotten": Edit("torch.sqrt ->", ON_THE_VARIANCE),
        "no eps": Edit(
            "+ eps ->",
            "eps is missing under the root: for a constant dimension the slope of the root would be infinite.",
        ),
        "eps outside": Edit("() + eps) -> ()) + eps", EPS_OUTSIDE),
        "eps in the gap": Edit("+ eps ->\n- spread -> - spread + eps", EPS_OUTSIDE),
        "eps squared": Edit("+ eps -> + eps**2", "eps was squared; the variance gets eps itself."),
        "eps as a floor": Edit(
            "() + eps -> ().clamp(min=eps)", "eps is a floor under the variance there; it is added: sqrt(Cov_jj + eps)."
        ),
        "eps fixed": Edit("+ eps -> + 1e-4", EPS_FIXED),
        "gamma fixed": Edit("gamma -> 1", GAMMA_FIXED),
        "sum": Edit("mean -> sum", "a sum over the dimensions; this term is a mean: divide by D."),
        "not reduced": Edit(".mean() ->", "that is one number for each dimension; this term is their mean."),
        "narrow ones only": Edit(
            "torch.relu(gamma - spread).mean() -> (gamma - spread)[spread < gamma].mean()",
            "the mean runs only over the dimensions that are too narrow; divide by all D.",
        ),
        "narrowest only": Edit("mean -> max", "only the narrowest dimension pays; the term is the mean over all D."),
        "no hinge": Edit(
            "torch.relu ->",
            "max(0, ...) is missing: a dimension that is spread out enough must not pay for another one.",
        ),
        "hinge after the mean": Edit(
            "spread).mean() -> spread.mean())",
            "max(0, ...) was taken of the mean; take it for each dimension, then the mean.",
        ),
        "mean variance": Edit(
            "diagonal() -> diagonal().mean()",
            "the variances were averaged before the root; each dimension has a hinge of its own.",
        ),
        "turned around": Edit(
            "gamma - spread -> spread - gamma",
            "the difference is turned around: too little spread costs, too much does not.",
        ),
        "minimum": Edit(
            "torch.relu(gamma - spread) -> (gamma - spread).clamp(max=0)",
            "min(0, ...) stands there; it is max(0, ...): clamp(min=0) keeps what is positive.",
        ),
        "absolute": Edit(
            "torch.relu(gamma - spread) -> (gamma - spread).abs()",
            "an absolute value instead of max(0, ...): more spread than gamma costs nothing.",
        ),
        "squared": Edit("spread).mean -> spread).square().mean", "the hinge was squared; here it enters as it is."),
        "all entries": Edit("cov.diagonal() -> cov.abs()", ALL_ENTRIES),
        "roots of all entries": Edit(".diagonal() ->", ALL_ENTRIES),
        "Python's max": Body(
            "return sum(max(0.0, gamma - s) for s in torch.sqrt(cov.diagonal() + eps)) / len(cov)",
            "a float instead of a tensor",
        ),
        "detached": Edit("cov.diagonal() -> cov.detach().diagonal()", NO_GRADIENT.format("cov")),
    },
    right={
        "loop": """
            total = cov.new_zeros(())
            for j in range(len(cov)):
                spread = (cov[j, j] + eps) ** 0.5
                if spread < gamma:
                    total = total + (gamma - spread)
            return total / len(cov)
        """,
        "clamp": "return (gamma - (cov.diag() + eps).sqrt()).clamp(min=0).sum() / len(cov)",
        "mask": "gap = gamma - torch.sqrt(cov.diagonal() + eps)\nreturn (gap * (gap > 0)).mean()",
        "maximum": Edit("torch.relu(gamma - spread) -> torch.maximum(gamma - spread, torch.zeros_like(spread))"),
        # max(0, x) = (x + |x|) / 2
        "half of x plus |x|": Edit("torch.relu(gamma - spread) -> (gamma - spread + (gamma - spread).abs()).div(2)"),
    },
)


# --- 4.4 covariance_penalty -------------------------------------------------------------------------------------

SQUARE_OF_SUM = "the sum was squared; square each entry, then sum."

penalty = declare(
    __name__,
    losses.covariance_penalty,
    number="4.4",
    title="the term that keeps dimensions from copying each other",
    difficulty=2,
    importance=4,
    minutes=5,
    points=1,
    hints=(
        "Square all entries, sum them, and take away the squares on the diagonal.",
        "Divide by D, the number of dimensions, not by the number of entries.",
        "(cov.square().sum() - cov.diagonal().square().sum()) / len(cov).",
    ),
    cases=_covariances(),
    answer="""
        def covariance_penalty(cov):
            return (cov.square().sum() - cov.diagonal().square().sum()) / len(cov)
    """,
    mistakes={
        "kept the diagonal": Edit(
            "- cov.diagonal().square().sum() ->",
            "you kept the diagonal: the squared variances do not belong here, only entries with i != j.",
        ),
        "diagonal only": Edit("cov.square().sum() - ->", "only the diagonal was summed; it is what must be left out."),
        "no square": Edit(
            ".square() ->", "the square is missing: the plain sum rewards dimensions that move in opposite ways."
        ),
        "absolute": Edit("square -> abs", "absolute values instead of squares: use Cov_ij^2."),
        "not divided": Edit("/ len(cov) ->", "the sum was not divided by D."),
        "divided by D - 1": Edit("len(cov) -> (len(cov) - 1)", "divided by D - 1; divide the sum by D."),
        "mean": Edit(
            "len(cov) -> (len(cov) * (len(cov) - 1))",
            "a mean over the D (D - 1) entries; divide the sum by D, not by their number.",
        ),
        "mean of all": Edit("len(cov) -> cov.numel()", "divided by D^2, the size of the matrix; divide by D."),
        "upper half": Body(
            "return torch.triu(cov, 1).square().sum() / len(cov)",
            "each pair was counted once; the sum runs over (i, j) and (j, i), which is twice as much.",
        ),
        "square of the sum": Body("return (cov.sum() - cov.trace()).square() / len(cov)", SQUARE_OF_SUM),
        "squares of both sums": Edit("square().sum() -> sum().square()", SQUARE_OF_SUM),
        "root": Edit("len(cov) -> len(cov) ** 0.5", "divided by the root of D; divide by D."),
        "norm": Body(
            "return (cov - torch.diag(cov.diagonal())).norm() / len(cov)",
            "that is the root of the sum of squares (a norm); the term takes no root.",
        ),
        "minus identity": Body(
            "return (cov - torch.eye(len(cov), dtype=cov.dtype)).square().sum() / len(cov)",
            "the identity was subtracted; that pulls variances to 1, which is the work of the other term.",
        ),
        "in place": Body("return cov.fill_diagonal_(0).square().sum() / len(cov)", IN_PLACE),
        "detached": Edit(
            "cov.square() -> cov.detach().square()\ncov.diag -> cov.detach().diag", NO_GRADIENT.format("cov")
        ),
    },
    right={
        "loop": """
            total = 0
            for i in range(len(cov)):
                for j in range(len(cov)):
                    if i != j:
                        total = total + cov[i, j] ** 2
            return total / len(cov)
        """,
        "mask": "return cov[~torch.eye(len(cov), dtype=torch.bool)].pow(2).sum() / len(cov)",
        "einsum": "return (torch.einsum('ij,ij->', cov, cov) - torch.einsum('ii,ii->', cov, cov)) / len(cov)",
        "diagonal taken away": "return (cov - torch.diag(cov.diagonal())).square().sum(dim=0).mean()",
        # A covariance is symmetric, so one half tells all.
        "upper half twice": "return 2 * torch.triu(cov, 1).square().sum() / len(cov)",
        "lower half twice": "return 2 * torch.tril(cov, -1).square().sum() / len(cov)",
    },
)


class OfSymmetric(Agreement):
    """The inputs are symmetric, so the gradient counts only along symmetric changes: (i, j) and (j, i) together."""

    def __call__(self, f: Function) -> None:
        @functools.wraps(f)
        def symmetrised(cov: Tensor, *args: Any, **kwargs: Any) -> Any:
            return f((cov + cov.T) / 2 if cov.requires_grad else cov, *args, **kwargs)

        super().__call__(symmetrised)


parts = {field.name: getattr(penalty.check, field.name) for field in fields(penalty.check)}
register(replace(penalty, check=OfSymmetric(**parts)))


# --- 4.5 vicreg -------------------------------------------------------------------------------------------------

ONE_BRANCH = "only view {} is regularised: variance and covariance are needed for each branch by itself."
OTHER_ORDER = "the values come in another order: (total, invariance, variance, covariance)."
BOTH = "covariance_matrix(z_a), covariance_matrix(z_b)"
SUM = "invariance * s + variance * v + covariance * c"

declare(
    __name__,
    losses.vicreg,
    number="4.5",
    title="the loss: three terms together",
    difficulty=2,
    importance=5,
    minutes=10,
    points=3,
    hints=(
        "You have the parts: covariance_matrix for each view, then variance_hinge and covariance_penalty of each.",
        "Invariance: the mean of (z_a - z_b)^2 over all N D entries. Variance: the average of the two branches. "
        "Covariance: the sum of the two branches.",
        "total = invariance * s + variance * v + covariance * c; return (total, s, v, c).",
    ),
    cases=_wide(pairs_with(invariance=3.0, variance=7.0, covariance=2.0, gamma=1.5, eps=0.1)),
    fields=("total", "invariance", "variance", "covariance"),
    answer="""
        def vicreg(z_a, z_b, invariance=25.0, variance=25.0, covariance=1.0, gamma=1.0, eps=1e-4):
            s = (z_a - z_b).square().mean()
            cov_a, cov_b = covariance_matrix(z_a), covariance_matrix(z_b)
            v = (variance_hinge(cov_a, gamma, eps) + variance_hinge(cov_b, gamma, eps)) / 2
            c = covariance_penalty(cov_a) + covariance_penalty(cov_b)
            return invariance * s + variance * v + covariance * c, s, v, c
    """,
    mistakes={
        "invariance summed over D": Edit(
            "square().mean() -> square().sum(dim=1).mean()",
            "the invariance is summed over the dimensions: that is the paper's scale, here it is a mean over N and D.",
        ),
        "invariance summed over N": Edit(
            "square().mean() -> square().mean(dim=1).sum()",
            "the invariance is summed over the samples; it is a mean over N and D.",
        ),
        "invariance summed": Edit(
            "square().mean() -> square().sum()", "the invariance is a sum over all entries; take the mean over N and D."
        ),
        "distance": Edit(
            "square().mean() -> norm(dim=1).mean()",
            "the invariance is made of distances; their squares belong there, no root.",
        ),
        "root mean square": Edit(
            "mean() -> mean().sqrt()", "a root was taken of the invariance; it is the mean square itself."
        ),
        "absolute": Edit("square -> abs", "the invariance takes absolute differences; square them."),
        "not squared": Edit(".square() ->", "the square is missing from the invariance: differences would cancel."),
        "cosine": Edit(
            "(z_a - z_b).square().mean() -> 1 - F.cosine_similarity(z_a, z_b).mean()",
            "the invariance compares angles; VICReg takes the squared differences of the embeddings as they are.",
        ),
        "views centred": Edit(
            "(z_a - z_b).square() -> (z_a - z_a.mean(dim=0) - z_b + z_b.mean(dim=0)).square()",
            "the views were centred before the invariance: a shift of one view against the other must cost.",
        ),
        "variances added": Edit(
            "/ 2 ->", "the variance terms of the two branches are added, as in the paper; here they are averaged."
        ),
        "covariances averaged": Edit(
            "c = covariance_penalty(cov_a) + covariance_penalty(cov_b) -> "
            "c = (covariance_penalty(cov_a) + covariance_penalty(cov_b)) / 2",
            "the covariance terms of the two branches are averaged; they are added.",
        ),
        "branches exchanged": Edit(
            "/ 2 ->\nc = covariance_penalty(cov_a) + covariance_penalty(cov_b) -> "
            "c = (covariance_penalty(cov_a) + covariance_penalty(cov_b)) / 2",
            "the variance is added and the covariance averaged; it is the other way round.",
        ),
        "view A twice": Edit("covariance_matrix(z_b) -> covariance_matrix(z_a)", ONE_BRANCH.format("A")),
        "view B twice": Edit("covariance_matrix(z_a) -> covariance_matrix(z_b)", ONE_BRANCH.format("B")),
        "view A only": Edit(
            "(variance_hinge(cov_a, gamma, eps) + variance_hinge(cov_b, gamma, eps)) / 2 -> "
            "variance_hinge(cov_a, gamma, eps)\n+ covariance_penalty(cov_b) ->",
            ONE_BRANCH.format("A"),
        ),
        "view B only": Edit(
            "(variance_hinge(cov_a, gamma, eps) + variance_hinge(cov_b, gamma, eps)) / 2 -> "
            "variance_hinge(cov_b, gamma, eps)\ncovariance_penalty(cov_a) + ->",
            ONE_BRANCH.format("B"),
        ),
        "half of each": Edit(
            "+ variance_hinge(cov_b, gamma, eps) ->\n+ covariance_penalty(cov_b) ->", ONE_BRANCH.format("A")
        ),
        "variance of A only": Edit(
            "(variance_hinge(cov_a, gamma, eps) + variance_hinge(cov_b, gamma, eps)) / 2 -> "
            "variance_hinge(cov_a, gamma, eps)",
            "the variance term of view B is missing: take the average of both branches.",
        ),
        "covariance of A only": Edit(
            "+ covariance_penalty(cov_b) ->", "the covariance term of view B is missing: add both branches."
        ),
        "cross-covariance": Edit(
            f"{BOTH} -> [(z_a - z_a.mean(dim=0)).T @ (z_b - z_b.mean(dim=0)) / (len(z_a) - 1)] * 2",
            "the covariance pairs view A with view B, as Barlow Twins does; VICReg takes each branch by itself.",
        ),
        "stacked": Edit(
            f"{BOTH} -> [covariance_matrix(torch.cat([z_a, z_b]))] * 2",
            "both views were stacked into one batch of 2N; each branch has a mean and a covariance of its own.",
        ),
        "mean of the views": Edit(
            f"{BOTH} -> [covariance_matrix((z_a + z_b) / 2)] * 2",
            "the views were averaged before the covariance; each branch has a covariance of its own.",
        ),
        "normalised": Edit(
            "s = -> z_a, z_b = F.normalize(z_a, dim=1), F.normalize(z_b, dim=1); s =",
            "the embeddings were normalised to length 1; VICReg takes them as they are.",
        ),
        "standardised": Edit(
            "s = -> z_a, z_b = losses.standardize(z_a), losses.standardize(z_b); s =",
            "the embeddings were standardised, as Barlow Twins does; VICReg takes them as they are, and the hinge "
            "looks after their spread.",
        ),
        **within(
            "covariance_matrix",
            *("biased", "no centring", "one mean for all", "not divided", "divided by D", "lecture", "correlation"),
            "diagonal only",
        ),
        **within(
            "variance_hinge", "variance", phrase="the hinge acts on the variance; it acts on the standard deviation."
        ),
        **within(
            "variance_hinge",
            *("root forgotten", "no eps", "eps outside", "sum", "no hinge", "hinge after the mean", "mean variance"),
            *("turned around", "absolute", "squared"),
        ),
        **within("covariance_penalty", "not divided", phrase="the covariance term was not divided by D."),
        **within("covariance_penalty", "kept the diagonal", "no square", "absolute", "mean", "mean of all"),
        "no weights": Edit(f"{SUM} -> s + v + c", "the three weights are missing from the total."),
        "no weight of s": Edit("invariance * ->", "the weight of the invariance is missing from the total."),
        "no weight of v": Edit("+ variance * -> +", "the weight of the variance is missing from the total."),
        "no weight of c": Edit("covariance * ->", "the weight of the covariance is missing from the total."),
        "weights fixed": Edit(
            f"{SUM} -> 25.0 * s + 25.0 * v + c",
            "the weights given as arguments are ignored: 25, 25 and 1 are only their defaults.",
        ),
        "weights in another order": Edit(
            "invariance * s + variance * v -> variance * s + invariance * v",
            "the weights of invariance and variance are exchanged.",
        ),
        "gamma fixed": Edit("gamma -> 1.0", GAMMA_FIXED),
        "eps fixed": Edit("eps -> 1e-4", EPS_FIXED),
        "gamma and eps fixed": Edit(
            "gamma, eps -> 1.0, 1e-4", "the arguments gamma and eps do not reach variance_hinge: hand them on."
        ),
        "gamma and eps exchanged": Edit(
            "gamma, eps -> eps, gamma", "gamma and eps are exchanged: it is variance_hinge(cov, gamma, eps)."
        ),
        "weighted fields": Edit(
            ", s, v, c -> , invariance * s, variance * v, covariance * c",
            "the three terms carry their weights; fields are unweighted, only total has them.",
        ),
        "invariance and variance swapped": Edit(", s, v, c -> , v, s, c", OTHER_ORDER),
        "variance and covariance swapped": Edit(", s, v, c -> , s, c, v", OTHER_ORDER),
        "total last": Edit(f"{SUM}, s, v, c -> s, v, c, {SUM}", OTHER_ORDER),
        "bare tensor": Edit(", s, v, c ->", "return the 4 values"),
        "stop-gradient": Edit(
            "- z_b -> - z_b.detach()\nmatrix(z_b) -> matrix(z_b.detach())",
            "no gradient reaches z_b: VICReg has no stop-gradient, both branches are trained.",
        ),
        "stop-gradient in the invariance": Edit(
            "- z_b -> - z_b.detach()",
            "the invariance sends no gradient to z_b: VICReg has no stop-gradient, both branches are trained.",
        ),
        "detached": Edit("s = -> z_a, z_b = z_a.detach(), z_b.detach(); s =", NO_GRADIENT.format("z_a or z_b")),
    },
    right={
        "loops": """
            n, d = z_a.shape
            s = v = c = 0
            for b in range(n):
                for j in range(d):
                    s = s + (z_a[b, j] - z_b[b, j]) ** 2 / (n * d)
            for z in (z_a, z_b):
                centred = z - z.mean(dim=0)
                for i in range(d):
                    for j in range(d):
                        entry = (centred[:, i] * centred[:, j]).sum() / (n - 1)
                        if i != j:
                            c = c + entry**2 / d
                        else:
                            v = v + torch.relu(gamma - (entry + eps) ** 0.5) / d / 2
            return invariance * s + variance * v + covariance * c, s, v, c
        """,
        # std from `var`, and the penalty as |C|_F^2 minus the squared variances
        "from columns": """
            s, v, c = (z_a - z_b).pow(2).mean(), 0, 0
            for z in (z_a, z_b):
                centred = z - z.mean(dim=0)
                cov = torch.einsum("bi,bj->ij", centred, centred) / (len(z) - 1)
                v = v + (gamma - (z.var(dim=0) + eps).sqrt()).clamp(min=0).mean() / 2
                c = c + ((cov * cov).sum() - z.var(dim=0).square().sum()) / z.shape[1]
            return losses.VICRegLoss(invariance * s + variance * v + covariance * c, s, v, c)
        """,
        "torch.cov": Edit(f"{BOTH} -> torch.cov(z_a.T), torch.cov(z_b.T)"),
        "mse_loss": Edit("(z_a - z_b).square().mean() -> F.mse_loss(z_a, z_b)"),
    },
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


DIVIDED = "the weight of the invariance was divided by D; a sum over D is D times a mean, so multiply."

declare(
    __name__,
    vicreg_paper,
    number="4.6",
    title="the same loss in the paper's scale",
    difficulty=2,
    importance=3,
    minutes=6,
    points=1,
    hints=(
        "Nothing has to be computed anew: vicreg with other weights gives it. Compare the two forms term by term.",
        "A sum over D is D times a mean over D; a sum over two branches is twice their average.",
        "The weights to hand over are invariance * D, 2 * variance and covariance; return the total alone, [0].",
    ),
    cases=_wide(pairs_with(invariance=3.0, variance=7.0, covariance=2.0, gamma=1.5, eps=0.1)),
    answer="""
        def vicreg_paper(z_a, z_b, invariance=25.0, variance=25.0, covariance=1.0, gamma=1.0, eps=1e-4):
            return vicreg(z_a, z_b, invariance * z_a.shape[1], 2 * variance, covariance, gamma, eps)[0]
    """,
    mistakes={
        "code scale": Edit("* z_a.shape[1], 2 * -> ,", "that is the code's scale, with the weights as they came in."),
        "variance not doubled": Edit(
            "2 * ->",
            "the variance is still averaged over the branches; the paper adds them, so its weight doubles.",
        ),
        "invariance not times D": Edit(
            "* z_a.shape[1] ->",
            "the invariance is still a mean over D; the paper sums over the dimensions, so its weight grows by D.",
        ),
        "other direction": Edit(
            "* z_a.shape[1], 2 * variance -> / z_a.shape[1], variance / 2",
            "you divided by D and by 2: that turns the code's weights into the paper's; asked is the other direction.",
        ),
        "divided by D": Edit("* z_a -> / z_a", DIVIDED),
        "divided by D alone": Edit("* z_a -> / z_a\n2 * ->", DIVIDED),
        "variance halved": Edit(
            "2 * variance -> variance / 2",
            "the weight of the variance was halved; a sum of two is twice their average.",
        ),
        "times N": Edit(
            "shape[1] -> shape[0]",
            "the invariance was multiplied by N; both scales take the mean over the samples, D is what differs.",
        ),
        "times N D": Edit(
            "z_a.shape[1] -> z_a.numel()",
            "the invariance was multiplied by N D; both scales take the mean over the samples, only D differs.",
        ),
        "covariance doubled": Edit(
            ", covariance -> , 2 * covariance",
            "the covariance was doubled; the code already adds the two branches, so its weight stays.",
        ),
        "variance times D": Edit(
            "2 * -> 2 * z_a.shape[1] *",
            "the variance was multiplied by D; the paper divides that term by D as well, only the branches differ.",
        ),
        "covariance times D": Edit(
            ", covariance -> , z_a.shape[1] * covariance",
            "the covariance was multiplied by D; both scales divide that term by D.",
        ),
        "weights fixed": Edit(
            "invariance * -> 25.0 *\n2 * variance -> 50.0\n, covariance -> , 1.0",
            "the weights given as arguments are ignored.",
        ),
        "settings forgotten": Edit(
            ", gamma, eps ->", "gamma and eps are not handed on: vicreg then takes its own 1 and 1e-4."
        ),
        "gamma forgotten": Edit("gamma, eps -> eps=eps", GAMMA_FIXED),
        "eps forgotten": Edit(", eps ->", EPS_FIXED),
        "one term": Edit("[0] -> [1]", "that is the invariance alone; the total comes first, [0]."),
        "terms as well": Edit("[0] ->", "return one tensor"),
        "detached": Edit("[0] -> [0].detach()", NO_GRADIENT.format("z_a or z_b")),
    },
    right={
        "written out": """
            total = invariance * (z_a - z_b).square().sum(dim=1).mean()
            for z in (z_a, z_b):
                cov = losses.covariance_matrix(z)
                v, c = losses.variance_hinge(cov, gamma, eps), losses.covariance_penalty(cov)
                total = total + variance * v + covariance * c
            return total
        """,
        "from the terms": """
            terms = losses.vicreg(z_a, z_b, gamma=gamma, eps=eps)
            s, v = z_a.shape[1] * terms.invariance, 2 * terms.variance
            return invariance * s + variance * v + covariance * terms.covariance
        """,
    },
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
    (n, d), spread = z.shape, torch.sqrt(z.var(dim=0) + eps)
    return (spread < gamma) * (z.mean(dim=0) - z) / (d * (n - 1) * spread)


def _sums_to_zero(case: Case, ours: Sequence[Tensor], truth: Sequence[Tensor]) -> str | None:
    """A shift of all samples changes nothing, so each column of the gradient sums to zero."""
    g = ours[0]
    if g.shape != truth[0].shape:
        return "The gradient has the shape of z."
    if not g.isfinite().all():
        return None
    if float(g.sum(dim=0).abs().max()) > 1e-3 * float(g.abs().max()) * len(g):
        return "Its columns do not sum to 0, though a shift of z changes nothing: is z centred?"
    return "Look at the hinge, at 1/S, at eps inside the root, and at the divisors N - 1 and D."


declare(
    __name__,
    variance_gradient,
    number="4.7",
    title="the gradient of the variance term in closed form",
    difficulty=3,
    importance=4,
    minutes=15,
    points=3,
    hints=(
        "Chain rule in three steps: v depends on S_j, S_j on Var_j, Var_j on z_bj.",
        "dv/dS_j = -1/D where S_j < gamma, else 0; dS/dVar = 1/(2 S); dVar/dz_bj = 2 (z_bj - mean)/(N - 1).",
        "(S < gamma) * (z.mean(dim=0) - z) / (D * (N - 1) * S), with S = torch.sqrt(z.var(dim=0) + eps).",
    ),
    cases=_wide(single_views(gamma=1.5, eps=0.3)),
    closed_form=True,
    gradients=False,
    symptom=_sums_to_zero,
    answer="""
        def variance_gradient(z, gamma=1.0, eps=1e-4):
            n, d = z.shape
            spread = torch.sqrt(z.var(dim=0) + eps)
            return (spread < gamma) * (z.mean(dim=0) - z) / (d * (n - 1) * spread)
    """,
    mistakes={
        "sign": Edit(
            "z.mean(dim=0) - z -> z - z.mean(dim=0)",
            "the sign is turned around: the term falls when samples move away from their mean.",
        ),
        "no hinge": Edit(
            "(spread < gamma) * ->", "the hinge is missing: where S_j >= gamma the term is flat and the gradient 0."
        ),
        "hinge turned around": Edit("< -> >=", "the hinge is turned around: it pushes where S_j < gamma."),
        "squared hinge": Edit(
            "(spread < gamma) -> torch.relu(gamma - spread)",
            "the gap gamma - S_j stands there as a factor; the slope of a hinge that is not squared is 1 or 0.",
        ),
        "gamma fixed": Edit("gamma -> 1", GAMMA_FIXED),
        "eps fixed": Edit("+ eps -> + 1e-4", EPS_FIXED),
        "no eps": Edit("+ eps ->", "eps is missing from S_j = sqrt(Var_j + eps)."),
        "eps outside": Edit("(dim=0) + eps) -> (dim=0)) + eps", EPS_OUTSIDE),
        "root forgotten": Edit(
            "torch.sqrt ->", "the root is missing: S_j is the standard deviation, sqrt(Var_j + eps)."
        ),
        "biased variance": Edit(
            "var(dim=0) -> var(dim=0, correction=0)",
            "S_j has a variance divided by N; it is the unbiased one, with N - 1.",
        ),
        "not divided by D": Edit("d * ->", "the factor 1/D is missing: v is a mean over D."),
        "N": Edit("(n - 1) -> n", "divided by N; the variance is the unbiased one, with N - 1."),
        "biased throughout": Edit(
            "(n - 1) -> n\nvar(dim=0) -> var(dim=0, correction=0)",
            "the variance was divided by N throughout, in S_j and in the slope; divide by N - 1 in both.",
        ),
        "no N": Edit("* (n - 1) ->", "the factor 1/(N - 1) of the variance is missing."),
        "by the variance": Edit("* spread) -> * spread**2)", "divided by S_j^2; the slope of the root has one S_j."),
        "no 1/S": Edit("* spread) -> )", "the factor 1/S_j is missing: the slope of the root is 1/(2 S_j)."),
        "times S": Edit("* spread) -> ) * spread", "multiplied by S_j; the slope of the root divides by it."),
        "variance hinge": Edit(
            "* spread) -> / 2)",
            "that is the slope of a hinge on the variance, 2 (z - mean) / (N - 1); the root brings 1/(2 S_j).",
        ),
        "half": Edit(
            "d * -> 2 * d *",
            "a factor 2 is missing: the 1/2 of the root meets the 2 of the square, and both cancel.",
        ),
        "twice": Edit(
            "(spread < gamma) -> 2 * (spread < gamma)",
            "a factor 2 is too much: the 2 of the square meets the 1/2 of the root, and both cancel.",
        ),
        "no centring": Edit("z.mean(dim=0) - z -> -z", "z stands there instead of z minus its mean over the batch."),
        "one mean for all": Edit(
            "z.mean(dim=0) -> z.mean()", "one mean was taken over all entries; each dimension has its own, dim=0."
        ),
        "over features": Edit(
            "dim=0 -> dim=1, keepdim=True",
            "mean and variance run over the features of a row; they run over the samples, dim=0.",
        ),
    },
    right={
        "loop": """
            n, d = z.shape
            result = torch.zeros_like(z)
            for j in range(d):
                centred = z[:, j] - z[:, j].mean()
                spread = (centred.square().sum() / (n - 1) + eps).sqrt()
                if spread < gamma:
                    for b in range(n):
                        result[b, j] = -centred[b] / ((n - 1) * spread * d)
            return result
        """,
        # The slope in each variance, -1 / (2 D S), times that of the variance, 2 (z - mean) / (N - 1).
        "through the diagonal": """
            n, d = z.shape
            spread = torch.sqrt(losses.covariance_matrix(z).diagonal() + eps)
            in_variance = torch.where(spread < gamma, -1 / (2 * d * spread), torch.zeros_like(spread))
            return torch.einsum("bj,j->bj", 2 * (z - z.mean(dim=0)) / (n - 1), in_variance)
        """,
    },
)
