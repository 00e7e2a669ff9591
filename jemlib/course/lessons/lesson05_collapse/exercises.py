"""Lesson 05: the exercises of the collapse laboratory, with their mistakes and other right answers."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from jemlib import diagnose
from jemlib.course.machinery.agreement import Case
from jemlib.course.machinery.answers import Body, Edit, declare
from jemlib.course.machinery.inputs import single_views
from jemlib.theory import dynamics

DOUBLE = torch.float64


def _normal(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=DOUBLE)


# --- Sentences that serve several exercises ---------------------------------------------------------------------

NO_GRADIENT = "the values are right, but no gradient reaches {}: leave out detach(), .item(), float() and no_grad()."
CENTRED = "the batch was centred first; the convention here is RankMe's, not centred, so that a constant counts."
ROWS_NORMALISED = "the rows were brought to length 1; leave them as they are."
UPSIDE_DOWN = "the fraction is upside down: the result is at least 1."
ONE_MEAN = "one mean was taken over all entries; each dimension has its own, dim=0."


# --- 5.1 directional_spread -------------------------------------------------------------------------------------

declare(
    __name__,
    diagnose.directional_spread,
    number="5.1",
    title="a number that is 0 exactly when all rows point one way",
    difficulty=1,
    importance=4,
    minutes=5,
    points=1,
    hints=(
        "First bring each row to length 1: F.normalize(z, dim=1).",
        "Then the variance of each of the D columns over the samples (correction=0), and their sum.",
        "In one line: F.normalize(z, dim=1).var(dim=0, correction=0).sum().",
    ),
    cases=single_views(),
    answer="""
        def directional_spread(z):
            u = z / z.norm(dim=1, keepdim=True)
            return (u - u.mean(dim=0)).square().mean(dim=0).sum()
    """,
    mistakes={
        "not normalised": Edit(
            "z / z.norm(dim=1, keepdim=True) -> z",
            "the rows were not divided by their length: then the result grows with the scale of z.",
        ),
        "columns normalised": Edit(
            "dim=1 -> dim=0", "columns were brought to length 1; each row is a sample and gets length 1, dim=1."
        ),
        "one length": Edit(
            "dim=1, keepdim=True ->", "all of z was divided by one norm; each row has a length of its own, dim=1."
        ),
        "squared length": Edit(
            "norm(dim=1, keepdim=True) -> square().sum(dim=1, keepdim=True)",
            "the rows were divided by their squared length; take the root.",
        ),
        "centred first": Edit(
            "u = -> z = z - z.mean(dim=0); u =",
            "the batch was centred before the rows got length 1: a constant with noise then looks spread out.",
        ),
        "unbiased": Edit(
            "(u - u.mean(dim=0)).square().mean(dim=0) -> u.var(dim=0)",
            "the variance was divided by N - 1; with N the identity 1 - |mean u|^2 holds exactly.",
        ),
        "mean over dimensions": Edit("sum() -> mean()", "a mean over the D variances; they are summed."),
        "summed over the batch": Edit(
            "mean(dim=0).sum() -> sum()", "the squares were summed over the batch too; a variance is their mean over N."
        ),
        "std": Edit("mean(dim=0).sum -> mean(dim=0).sqrt().sum", "standard deviations were summed; sum the variances."),
        "mean std": Edit(
            "mean(dim=0).sum -> mean(dim=0).sqrt().mean",
            "that is a mean of standard deviations; the spread is the sum of the variances.",
        ),
        "normalised std": Body(
            "return diagnose.normalized_std(z)",
            "that is the normalised std, sqrt(D) times a mean of standard deviations.",
        ),
        "over features": Edit(
            "u.mean(dim=0)).square().mean(dim=0) -> u.mean(dim=1, keepdim=True)).square().mean(dim=1)",
            "the variance runs over the features; it must run over the samples, dim=0.",
        ),
        "one mean": Edit("u.mean(dim=0) -> u.mean()", ONE_MEAN),
        "not centred": Edit(
            "(u - u.mean(dim=0)) -> u", "the mean was not subtracted: the squares of rows of length 1 always sum to 1."
        ),
        "absolute": Edit("square -> abs", "absolute deviations were averaged; square them."),
        "no square": Body(
            "return 1 - F.normalize(z, dim=1).mean(dim=0).norm()",
            "1 minus the length of the mean; it is 1 minus the square of that length.",
        ),
        "concentration": Body(
            "return F.normalize(z, dim=1).mean(dim=0).square().sum()",
            "that is |mean u|^2, which is 1 at collapse; the spread is what is missing to 1.",
        ),
        "mean of z": Body(
            "return 1 - F.normalize(z.mean(dim=0), dim=0).square().sum()",
            "the mean was taken before the rows were normalised; first lengths 1, then the mean.",
        ),
        "detached": Edit("u = -> z = z.detach(); u =", NO_GRADIENT.format("z")),
    },
    right={
        "loop": """
            n, d = z.shape
            u = [z[b] / z[b].norm() for b in range(n)]
            total = 0
            for j in range(d):
                mean = sum(u[b][j] for b in range(n)) / n
                for b in range(n):
                    total = total + (u[b][j] - mean) ** 2 / n
            return total
        """,
        # half the mean squared distance over all ordered pairs
        "pairs": "u = F.normalize(z, dim=1)\nreturn (u[:, None] - u).square().sum(dim=2).mean() / 2",
        "mean direction": "return 1 - F.normalize(z, dim=1).mean(dim=0).square().sum()",
        "einsum": "u = F.normalize(z, dim=1)\nreturn 1 - torch.einsum('bi,ci->', u, u) / len(z) ** 2",
    },
)


# --- 5.2 and 5.3 participation_ratio ----------------------------------------------------------------------------

RATIO_RIGHT = {
    "Gram matrix": "gram = z @ z.T\nreturn gram.trace().square() / gram.square().sum()",
    "second moments": "moments = z.T @ z\nreturn moments.trace().square() / moments.square().sum()",
    "einsum": "return torch.einsum('bi,bi->', z, z) ** 2 / torch.einsum('bi,ci,bj,cj->', z, z, z, z)",
    "shares": "p = torch.linalg.svdvals(z) ** 2 / z.square().sum()\nreturn 1 / (p * p).sum()",
}
START = "lengths, products = z.new"

declare(
    __name__,
    diagnose.participation_ratio,
    number="5.2",
    title="how many directions are in use, by a loop over pairs",
    difficulty=2,
    importance=3,
    minutes=8,
    points=2,
    hints=(
        "Two running sums: one over b of z_b . z_b, one over all b and b' of (z_b . z_b')^2.",
        "b and b' run over all samples, and b = b' belongs to it. Nothing is centred.",
        "Start with norms = pairs = 0; at the end return norms**2 / pairs.",
    ),
    cases=single_views(),
    answer="""
        def participation_ratio_loop(z):
            lengths, products = z.new_zeros(()), z.new_zeros(())
            for b in range(len(z)):
                lengths = lengths + z[b] @ z[b]
                for other in range(len(z)):
                    products = products + (z[b] @ z[other]) ** 2
            return lengths**2 / products
    """,
    mistakes={
        "centred": Edit(f"{START} -> z = z - z.mean(dim=0); {START}", CENTRED),
        "rows normalised": Edit(f"{START} -> z = F.normalize(z, dim=1); {START}", ROWS_NORMALISED),
        "pairs not squared": Edit(
            "(z[b] @ z[other]) ** 2 -> z[b] @ z[other]",
            "the inner products were not squared; z_b . z_b' can be negative and would cancel.",
        ),
        "squared after the sum": Edit(
            "(z[b] @ z[other]) ** 2 -> z[b] @ z[other]\n/ products -> / products**2",
            "the inner products were summed before squaring; square each of them, then sum.",
        ),
        "absolute": Edit(") ** 2 -> ).abs()", "absolute values of the inner products; square them."),
        "b = b' left out": Edit(
            "** 2 -> ** 2 * (b != other)", "the pairs with b = b' are left out; both sums run over all N."
        ),
        "each pair once": Edit(
            "other in range(len(z)) -> other in range(b, len(z))",
            "each pair was counted once; b and b' both run over all samples.",
        ),
        "each pair once, without b = b'": Edit(
            "other in range(len(z)) -> other in range(b + 1, len(z))",
            "each pair was counted once, and those with b = b' not at all; b and b' both run over all samples.",
        ),
        "numerator not squared": Edit(
            "lengths**2 -> lengths", "the numerator is not squared: it is the square of a sum."
        ),
        "sum of squares": Edit(
            "z[b] @ z[b] -> (z[b] @ z[b]) ** 2\nlengths**2 -> lengths",
            "in the numerator each |z_b|^2 was squared before summing; sum first, then square.",
        ),
        "upside down": Edit("lengths**2 / products -> products / lengths**2", UPSIDE_DOWN),
        "lengths": Edit("z[b] @ z[b] -> z[b].norm()", "lengths |z_b| were summed in the numerator; sum their squares."),
        "overwritten": Edit(
            "products + (z -> (z", "each pair overwrites the one before: add to the sum, with += instead of =."
        ),
        "last sample left out": Edit(
            "range(len(z)) -> range(len(z) - 1)", "the last sample is left out: b and b' run over all N of them."
        ),
        "first sample left out": Edit(
            "range(len(z)) -> range(1, len(z))", "the first sample is left out: b and b' run over all N of them."
        ),
        "detached": Edit(f"{START} -> z = z.detach(); {START}", NO_GRADIENT.format("z")),
    },
    right={**RATIO_RIGHT, "singular values": "s = torch.linalg.svdvals(z) ** 2\nreturn s.sum() ** 2 / (s * s).sum()"},
)
declare(
    __name__,
    diagnose.participation_ratio,
    number="5.3",
    title="the same from the singular values",
    difficulty=2,
    importance=4,
    minutes=6,
    points=2,
    hints=(
        "torch.linalg.svdvals(z) gives the singular values. lambda is their square.",
        "The sum of the z_b . z_b is the sum of the lambda; the sum of all (z_b . z_b')^2 is that of lambda^2.",
        "squared = torch.linalg.svdvals(z) ** 2; return squared.sum() ** 2 / (squared ** 2).sum().",
    ),
    cases=single_views(),
    answer="""
        def participation_ratio(z):
            squared = torch.linalg.svdvals(z).square()
            return squared.sum().square() / squared.square().sum()
    """,
    mistakes={
        "centred": Edit("svdvals(z) -> svdvals(z - z.mean(dim=0))", CENTRED),
        "rows normalised": Edit("svdvals(z) -> svdvals(F.normalize(z, dim=1))", ROWS_NORMALISED),
        "not squared": Edit(
            "svdvals(z).square() -> svdvals(z)", "singular values stand in for lambda; lambda is their square."
        ),
        "squared twice": Edit(
            "svdvals(z).square() -> svdvals(z).pow(4)",
            "the singular values were raised to the fourth power; lambda is their square.",
        ),
        "numerator not squared": Edit(
            "squared.sum().square() -> squared.sum()", "the sum in the numerator is not squared."
        ),
        "numerator squared inside": Edit(
            "squared.sum().square() -> squared.square().sum()",
            "in the numerator each lambda was squared before summing, so the ratio is always 1; sum first.",
        ),
        "denominator not squared": Edit(
            "squared.square().sum() -> squared.sum()", "lambda was not squared in the denominator."
        ),
        "upside down": Edit("return -> return 1 / (\nsquare().sum() -> square().sum())", UPSIDE_DOWN),
        "mean": Edit(
            "square().sum() -> square().mean()",
            "a mean stands in the denominator; both parts of the fraction are sums.",
        ),
        "entropy": Body(
            "p = torch.linalg.svdvals(z).square() / z.square().sum()\nreturn torch.special.entr(p).sum().exp()",
            "that is exp(H(lambda)), the effective rank by entropy; here are squares.",
        ),
        "RankMe": Body(
            "return diagnose.rankme(z)", "that is RankMe: an entropy of singular values; here are their fourth powers."
        ),
        "stable rank": Edit(
            "squared.sum().square() / squared.square().sum() -> squared.sum() / squared.max()",
            "that is the stable rank, the sum over the largest; here the square of the sum meets a sum of squares.",
        ),
        "columns": Edit(
            "torch.linalg.svdvals(z).square() -> z.square().sum(dim=0)",
            "the squared lengths of the columns stand in for lambda; copies of one dimension would count as many.",
        ),
        "rows": Edit(
            "torch.linalg.svdvals(z).square() -> z.square().sum(dim=1)",
            "the squared lengths of the rows stand in for lambda; that counts samples, not directions.",
        ),
        "share": Edit(
            "/ squared -> / min(z.shape) / squared",
            "divided by min(N, D): that is a share; the ratio itself counts directions.",
        ),
        "detached": Edit("svdvals(z) -> svdvals(z.detach())", NO_GRADIENT.format("z")),
    },
    right={
        **RATIO_RIGHT,
        "loop over pairs": """
            lengths = pairs = 0
            for row in z:
                lengths += row @ row
                for other in z:
                    pairs += (row @ other) ** 2
            return lengths**2 / pairs
        """,
    },
)


# --- 5.4 covariance_spectrum ------------------------------------------------------------------------------------


def _matrices() -> list[Case]:
    """Without D = 1, where `torch.cov(z.T)` is a number and no matrix."""
    return [case for case in single_views()() if case.args[0].shape[1] > 1]


BY_SAMPLES = "the matrix compares samples, N x N: it has N eigenvalues; the covariance is D x D."

declare(
    __name__,
    diagnose.covariance_spectrum,
    number="5.4",
    title="the variance along each direction, largest first",
    difficulty=2,
    importance=5,
    minutes=7,
    points=2,
    hints=(
        "Centre over the batch, then the covariance: centred.T @ centred / (N - 1), which is D x D.",
        "torch.linalg.eigvalsh gives the eigenvalues of a symmetric matrix, the smallest first.",
        "torch.linalg.eigvalsh(covariance).flip(0).",
    ),
    cases=_matrices,
    answer="""
        def covariance_spectrum(z):
            centred = z - z.mean(dim=0)
            covariance = centred.T @ centred / (len(z) - 1)
            return torch.linalg.eigvalsh(covariance).flip(0)
    """,
    mistakes={
        "not centred": Edit(
            "z - z.mean(dim=0) -> z",
            "the mean over the batch was not subtracted: a common offset then looks like a direction in use.",
        ),
        "rows centred": Edit(
            "dim=0 -> dim=1, keepdim=True",
            "the mean was taken over the features of each row; it runs over the samples, dim=0.",
        ),
        "one mean": Edit("dim=0 ->", ONE_MEAN),
        "biased": Edit(
            "(len(z) - 1) -> len(z)", "divided by N; the convention here is N - 1, as torch.cov and VICReg have it."
        ),
        "divided by D": Edit(
            "(len(z) - 1) -> z.shape[1]", "divided by D, the dimensions; a covariance is an average over samples."
        ),
        "not divided": Edit("/ (len(z) - 1) ->", "the division by N - 1 is missing."),
        "ascending": Edit(".flip(0) ->", "the smallest comes first; put the largest first."),
        "largest only": Edit(".flip(0) -> [-1]", "that is the largest alone; return all D eigenvalues."),
        "roots": Edit(
            "flip(0) -> flip(0).clamp(min=0).sqrt()",
            "those are roots (singular values over sqrt(N - 1)); eigenvalues of the covariance are their squares.",
        ),
        "correlation": Edit(
            "centred = z - z.mean(dim=0) -> centred = (z - z.mean(dim=0)) / z.std(dim=0).clamp(min=1e-12)",
            "that is the spectrum of the correlation matrix; do not divide by the std.",
        ),
        "variances": Body(
            "return z.var(dim=0).sort(descending=True).values",
            "those are the variances of the coordinates, sorted; eigenvalues belong to directions of any slant.",
        ),
        "shares": Edit(
            "flip(0) -> flip(0) / covariance.trace()",
            "divided by their sum; asked are the eigenvalues in units of z squared.",
        ),
        "singular values": Body(
            "return torch.linalg.svdvals(z - z.mean(dim=0))",
            "those are the singular values of the centred batch; square them and divide by N - 1.",
        ),
        "not padded": Body(
            "return torch.linalg.svdvals(z - z.mean(dim=0)).square() / (len(z) - 1)",
            "min(N, D) values were returned; there are D eigenvalues, and those without samples are 0.",
        ),
        "samples by samples": Edit("centred.T @ centred -> centred @ centred.T", BY_SAMPLES),
        "torch.cov not transposed": Edit(
            "centred.T @ centred / (len(z) - 1) -> torch.cov(z)",
            "torch.cov takes each row for a variable, so this compares samples (N x N): hand it the transpose, z.T.",
        ),
        "detached": Edit("centred = -> z = z.detach(); centred =", NO_GRADIENT.format("z")),
    },
    right={
        "torch.cov": "return torch.linalg.eigvalsh(torch.cov(z.T)).flip(0)",
        "einsum": """
            centred = z - z.mean(0)
            return torch.linalg.eigh(torch.einsum("bi,bj->ij", centred, centred) / (len(z) - 1))[0].flip(0)
        """,
        "singular values": """
            values = torch.linalg.svdvals(z - z.mean(dim=0)).square() / (len(z) - 1)
            return F.pad(values, (0, z.shape[1] - len(values)))
        """,
    },
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
    if diagnose.directional_spread(z) < threshold:
        return z.new_tensor(1.0)
    most = min(len(z) - 1, z.shape[1])
    dimensional = diagnose.participation_ratio(z - z.mean(dim=0)) < 1 + threshold * (most - 1)
    return z.new_tensor(2.0 if dimensional else 0.0)


def _clouds() -> list[Case]:
    """Healthy and collapsed batches of many shapes, scales and offsets."""
    few = torch.cat([_normal(9, 400, 7), 1e-3 * _normal(10, 400, 57)], dim=1)
    line = _normal(3, 60, 1) @ torch.ones(1, 12, dtype=DOUBLE) + 0.01 * _normal(4, 60, 12)
    sign = _normal(5, 200, 1).sign()
    axis = torch.cat([sign, 1e-3 * _normal(6, 200, 127)], dim=1)
    four = torch.cat([_normal(11, 120, 4), 1e-2 * _normal(12, 120, 16)], dim=1)
    direction = torch.ones(64, dtype=DOUBLE) / 8
    few_samples = 1 + 0.5 * _normal(22, 4, 8)
    return [
        Case((_normal(1, 40, 8),), note="a Gaussian cloud"),
        Case((1 + 1e-3 * _normal(2, 50, 10),), note="a constant with a little noise"),
        Case((1 + 1e-2 * _normal(15, 50, 1) * _normal(16, 10),), note="a constant with noise along one direction"),
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
        # N / (N - 1) times as large the spread would pass.
        Case((few_samples,), {"threshold": 1.1 * float(diagnose.directional_spread(few_samples))}, "4 samples"),
        *_swept(),
    ]


def _swept() -> list[Case]:
    """A sweep of thresholds, which tells limits apart that are close to each other.

    Each cloud holds every sample and its negative, so that the spread is 1 and only the rank decides.
    """
    graded = torch.cat([_normal(17, 20, 3), 0.3 * _normal(18, 20, 13)], dim=1)
    halves = {
        "3 wide and 13 narrow directions": graded,
        "4 samples": _normal(19, 2, 16),
        "6 samples": _normal(20, 3, 12),
        "many samples of few dimensions": _normal(21, 15, 4),
    }
    thresholds = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
    return [
        Case((torch.cat([half, -half]),), {"threshold": threshold}, note)
        for note, half in halves.items()
        for threshold in thresholds
    ]


def _what_is_there(case: Case, ours: Sequence[Tensor], truth: Sequence[Tensor]) -> str | None:
    """The two numbers on which the answer depends, for a batch that was called by a wrong name."""
    (z,) = case.args
    threshold = case.kwargs.get("threshold", 0.1)
    most = min(len(z) - 1, z.shape[1])
    spread = float(diagnose.directional_spread(z))
    ratio, limit = float(diagnose.participation_ratio(z - z.mean(dim=0))), 1 + threshold * (most - 1)
    if spread < threshold:
        return f"There the spread is {spread:.3g}, below the threshold {threshold:.3g}: that alone makes it type 1."
    said = f"There the spread is {spread:.3g}, not below the threshold {threshold:.3g}, so it is not type 1"
    side = "below, which makes it type 2" if ratio < limit else "not below, so it is not type 2 either"
    return (
        f"{said}; the participation ratio of the centred batch is {ratio:.3g}, the limit 1 + threshold * (m - 1) is "
        f"{limit:.3g}, m = {most}: {side}."
    )


RANK_FIRST = (
    "the rank is asked first: a constant, exact or with noise along one line, is then called type 2. "
    "Ask the spread first."
)
CENTRED_RATIO = "participation_ratio(z - z.mean(dim=0))"
LIMIT = "1 + threshold * (most - 1)"

declare(
    __name__,
    name_collapse,
    number="5.5",
    title="say which collapse it is",
    difficulty=3,
    importance=4,
    minutes=10,
    points=3,
    hints=(
        "Ask directional_spread first: below the threshold it is type 1, whatever the rank says.",
        "Then the participation ratio of z - z.mean(dim=0). It is at most m = min(N - 1, D).",
        "Return z.new_tensor(1.0) for type 1, z.new_tensor(2.0) when the ratio is below 1 + threshold * (m - 1), "
        "and z.new_tensor(0.0) otherwise.",
    ),
    cases=_clouds,
    gradients=False,
    symptom=_what_is_there,
    answer="""
        def name_collapse(z, threshold=0.1):
            if directional_spread(z) < threshold:
                return z.new_tensor(1.0)
            most = min(len(z) - 1, z.shape[1])
            if participation_ratio(z - z.mean(dim=0)) < 1 + threshold * (most - 1):
                return z.new_tensor(2.0)
            return z.new_tensor(0.0)
    """,
    # The narrower mistake comes first: on its few failing clouds a broader one may give the same wrong code.
    mistakes={
        "rank first": Body(
            """
            most = min(len(z) - 1, z.shape[1])
            if participation_ratio(z - z.mean(dim=0)) < 1 + threshold * (most - 1):
                return z.new_tensor(2.0)
            return z.new_tensor(1.0 if directional_spread(z) < threshold else 0.0)
            """,
            RANK_FIRST,
        ),
        "N samples": Edit(
            "len(z) - 1 -> len(z)", "m is min(N, D) here; N samples, centred, span at most N - 1 directions."
        ),
        "one more": Edit(
            "(most - 1) -> most", "the limit is 1 + threshold * m; one direction is always there: threshold * (m - 1)."
        ),
        "D directions": Edit(
            "min(len(z) - 1, z.shape[1]) -> z.shape[1]",
            "m is D here; N samples, centred, span at most N - 1 directions.",
        ),
        "N - 1 directions": Edit(
            "min(len(z) - 1, z.shape[1]) -> len(z) - 1", "m is N - 1 here; there are no more than D directions."
        ),
        "not squared": Edit(
            f"{CENTRED_RATIO} -> torch.linalg.svdvals(z - z.mean(dim=0)).sum() ** 2 / z.var(dim=0, correction=0).sum() "
            "/ len(z)",
            "the ratio was made of singular values; the participation ratio is made of their squares.",
        ),
        "RankMe": Edit(
            f"{CENTRED_RATIO} -> diagnose.rankme(z - z.mean(dim=0))",
            "RankMe stands in for the participation ratio: it is larger and misses some collapses.",
        ),
        "not centred": Edit(
            "z - z.mean(dim=0) -> z",
            "the ratio was taken without centring: an offset is one strong direction and hides the others.",
        ),
        "share": Edit(
            f"{LIMIT} -> threshold * most",
            "the limit is threshold * m; one direction is always there: 1 + threshold * (m - 1).",
        ),
        "no m": Edit(f"{LIMIT} -> 1 + threshold", "m is missing from the limit: it is 1 + threshold * (m - 1)."),
        "centred spread": Edit(
            "directional_spread(z) -> directional_spread(z - z.mean(dim=0))",
            "the batch was centred before the spread: a constant with a little noise then looks spread out.",
        ),
        "rank only": Edit(
            "directional_spread(z) < threshold -> False",
            "type 1 is never found: a constant with a little noise has full rank around its mean. Ask the spread too.",
        ),
        "spread only": Edit(
            CENTRED_RATIO + " -> float('inf')", "type 2 is never found: a line has spread enough, so ask the rank."
        ),
        "normalised std": Edit(
            "directional_spread -> diagnose.normalized_std",
            "the normalised std stands in for the spread: on one axis of many it is small although the rows differ.",
        ),
        "raw variance": Edit(
            "directional_spread(z) -> z.var(dim=0).sum()",
            "the raw variance was held to the threshold: a small scale is not a collapse. Take directions.",
        ),
        "threshold fixed": Edit("threshold -> 0.1", "the argument threshold is ignored: 0.1 is only its default."),
        "codes swapped": Edit(
            "1.0 -> 3.0\n2.0 -> 1.0\n3.0 -> 2.0", "1 and 2 are exchanged: 1 is complete, 2 is dimensional."
        ),
        "turned around": Edit(
            ") < 1 -> ) > 1", "the second comparison is turned around: type 2 is a ratio *below* the limit."
        ),
    },
    right={
        # squared lengths instead of singular values, and the mean direction instead of variances
        "traces": """
            if 1 - F.normalize(z, dim=1).mean(dim=0).square().sum() < threshold:
                return z.new_ones(())
            moments = torch.cov(z.T)
            ratio = moments.trace() ** 2 / (moments * moments).sum()
            return z.new_tensor(2.0 * float(ratio < 1 + threshold * (min(z.shape[0] - 1, z.shape[1]) - 1)))
        """,
        "where": """
            u, values = F.normalize(z, dim=1), diagnose.covariance_spectrum(z)
            spread = u.var(dim=0, correction=0).sum()
            ratio = values.sum() ** 2 / (values**2).sum().clamp(min=torch.finfo(z.dtype).tiny)
            limit = 1 + threshold * (min(len(z) - 1, z.shape[1]) - 1)
            one, zero = z.new_ones(()), z.new_zeros(())
            return torch.where(spread < threshold, one, torch.where(ratio < limit, 2 * one, zero))
        """,
    },
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
    w = v - v.mean(dim=0)
    w = w - torch.outer(w @ c, c) / (c @ c)
    return -w.square().sum() / (temperature * len(v) * (c @ c))


def _perturbations() -> list[Case]:
    return [
        Case((_normal(31, 6, 4), _normal(32, 4))),
        Case((_normal(33, 5, 3) + 2, 0.5 * _normal(34, 3))),
        Case((_normal(35, 9, 7), 3 * _normal(36, 7))),
        Case((_normal(37, 4, 6).float(), _normal(38, 6).float())),
        Case((_normal(39, 7, 5) - 1, _normal(40, 5)), {"temperature": 0.5}),
        Case((_normal(41, 3, 2), _normal(42, 2)), {"temperature": 0.07}),
    ]


declare(
    __name__,
    info_nce_bend,
    number="5.6",
    title="how InfoNCE bends at the constant",
    difficulty=3,
    importance=4,
    minutes=12,
    points=3,
    hints=(
        "Take away from v what cosine similarities cannot see: its mean over the batch, and its part along c.",
        "The part of w along c is ((w . c) / |c|^2) c; for all rows at once torch.outer(w @ c, c) / (c @ c).",
        "What is left, squared and summed, times -1 / (temperature * N * |c|^2).",
    ),
    cases=_perturbations,
    answer="""
        def info_nce_bend(v, c, temperature=0.2):
            w = v - v.mean(dim=0)
            w = w - torch.outer(w @ c, c) / (c @ c)
            return -w.square().sum() / (temperature * len(v) * (c @ c))
    """,
    mistakes={
        "sign": Edit("-w -> w", "the sign: InfoNCE bends downwards here."),
        "Hessian": Edit(
            "-w -> -2 * w", "twice too much: that is the second derivative; the term of the expansion is half of it."
        ),
        "half": Edit(
            "-w -> -0.5 * w",
            "half of it is missing: a mean over all pairs is twice a variance, which cancels the 1/2 of the expansion.",
        ),
        "no centring": Edit(
            "v - v.mean(dim=0) -> v",
            "the mean of v over the batch was left in: moving all samples alike changes no distance.",
        ),
        "centred over features": Edit(
            "dim=0 -> dim=1, keepdim=True", "v was centred over its features; the mean runs over the samples, dim=0."
        ),
        "one mean": Edit("dim=0 ->", ONE_MEAN),
        "no projection": Edit(
            "- torch.outer(w @ c, c) / (c @ c) ->",
            "the part along c was left in: cosine similarity does not see a change of length.",
        ),
        "part along c added": Edit("w - torch -> w + torch", "the part along c was added; take it away from w."),
        "only along c": Edit(
            "w - torch -> torch", "the part along c was kept and the rest thrown away; it is the other way round."
        ),
        "c not of length 1": Edit(
            "c, c) / (c @ c) -> c, c)", "the projection takes c for a unit vector: divide (w . c) c by |c|^2."
        ),
        "projection over |c|": Edit(
            "c, c) / (c @ c) -> c, c) / c.norm()", "the projection was divided by |c|; divide (w . c) c by |c|^2."
        ),
        "no 1/|c|^2": Edit(
            "* (c @ c)) -> )", "the factor 1/|c|^2 is missing: the longer c is, the less a perturbation turns it."
        ),
        "1/|c|": Edit("* (c @ c) -> * c.norm()", "divided by |c|; an angle is |w| / |c|, and it is squared."),
        "temperature missing": Edit("temperature * ->", "the temperature is missing from the factor."),
        "temperature fixed": Edit(
            "temperature -> 0.2", "the argument temperature is ignored: 0.2 is only its default."
        ),
        "temperature multiplied": Edit(
            "(temperature * -> (1 / temperature *", "multiplied by the temperature; divide by it."
        ),
        "temperature twice": Edit(
            "temperature * -> temperature**2 *", "divided by the temperature twice; once is right."
        ),
        "no 1/N": Edit("len(v) * ->", "the factor 1/N is missing: L is a mean."),
        "N squared": Edit(
            "len(v) -> len(v) ** 2", "divided by N twice; after centring one mean over the N rows is left."
        ),
        "mean over all entries": Edit(
            "len(v) -> v.numel()",
            "a mean over the N D entries; the squares of a row are summed, and the mean runs over the N rows.",
        ),
        "N - 1": Edit("len(v) -> (len(v) - 1)", "divided by N - 1; the mean runs over N samples."),
        "not squared": Edit("square().sum() -> norm(dim=1).sum()", "the lengths |w_b| were summed; sum their squares."),
        "detached": Edit("w = v -> v = v.detach(); w = v", NO_GRADIENT.format("v")),
    },
    right={
        # the mean over all ordered pairs of squared differences, which is twice the variance
        "loop over pairs": """
            n, unit, total = len(v), c / c.norm(), 0
            for i in range(n):
                for j in range(n):
                    difference = v[i] - v[j]
                    difference = difference - (difference @ unit) * unit
                    total = total + difference @ difference
            return -total / (2 * temperature * n**2 * (c @ c))
        """,
        "matrices": """
            n, d = v.shape
            project = torch.eye(d, dtype=v.dtype) - torch.outer(c, c) / c.square().sum()
            centre = torch.eye(n, dtype=v.dtype) - 1 / n
            return -torch.trace(v.T @ centre @ v @ project) / (temperature * n * c.square().sum())
        """,
        # Pythagoras instead of a projection
        "Pythagoras": """
            w = v - v.mean(dim=0)
            squared = torch.einsum("bi,bi->", w, w) - torch.einsum("bi,i->b", w, c).square().sum() / (c @ c)
            return -squared / (temperature * len(v) * (c @ c))
        """,
    },
)


# --- 5.7 contrastive_gradient_matrix ----------------------------------------------------------------------------


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


POSITIVES = "distances = distances + torch.diag((z - z_prime).square().sum(dim=1))"
FROM_THE_VIEWS = "the negatives came from the other views, {}; they are the other anchors, x_j and z_j."

declare(
    __name__,
    dynamics.contrastive_gradient_matrix,
    number="5.7",
    title="the matrix that drives a linear contrastive model",
    difficulty=4,
    importance=3,
    minutes=15,
    points=4,
    hints=(
        "First the softmax: an (N, N) matrix of -|z_i - z_j|^2 / 2 whose diagonal is replaced by "
        "-|z_i - z_i'|^2 / 2, softmax over j.",
        "Sigma_0 needs the weights without their diagonal, and all differences x_i - x_j: "
        "x[:, None] - x has shape (N, N, D_in).",
        'torch.einsum("ij,ijk,ijl->kl", others, between, between) is Sigma_0. Sigma_1 is the same with one index '
        "i, the differences x' - x, and the weights 1 - alpha_ii.",
    ),
    cases=_linear_inputs,
    gradients=False,
    answer="""
        def contrastive_gradient_matrix(x, x_prime, w):
            z, z_prime = x @ w.T, x_prime @ w.T
            distances = (z[:, None] - z).square().sum(dim=2)
            distances = distances + torch.diag((z - z_prime).square().sum(dim=1))
            alpha = torch.softmax(-distances / 2, dim=1)
            others = alpha - torch.diag(alpha.diagonal())
            between, moved = x[:, None] - x, x_prime - x
            sigma_0 = torch.einsum("ij,ijk,ijl->kl", others, between, between)
            sigma_1 = moved.T @ ((1 - alpha.diagonal())[:, None] * moved)
            return sigma_0 - sigma_1
    """,
    mistakes={
        "sign": Edit(
            "sigma_0 - sigma_1 -> sigma_1 - sigma_0",
            "the sign is turned around: X is the spread of negatives minus that of augmentation.",
        ),
        "added": Edit(
            "sigma_0 - sigma_1 -> sigma_0 + sigma_1",
            "Sigma_1 was added; augmentation works against the spread: subtract it.",
        ),
        "no Sigma_1": Edit("sigma_0 - sigma_1 -> sigma_0", "Sigma_1 is missing: augmentation has no say."),
        "no Sigma_0": Edit("sigma_0 - sigma_1 -> -sigma_1", "Sigma_0 is missing: the negatives have no say."),
        "alpha_ii": Edit(
            "1 - alpha.diagonal() -> alpha.diagonal()",
            "alpha_ii weighs the positive; the weight is 1 - alpha_ii, small where the positive has already won.",
        ),
        "unweighted positive": Edit(
            "((1 - alpha.diagonal())[:, None] * moved) -> moved", "the weight 1 - alpha_ii of the positive is missing."
        ),
        "views as negatives": Edit(
            "x[:, None] - x, -> x[:, None] - x_prime,",
            "the differences x_i - x_j' were taken; negatives are the other anchors, x_j.",
        ),
        "views in the softmax": Edit(
            f"z[:, None] - z) -> z[:, None] - z_prime)\n{POSITIVES} -> pass",
            FROM_THE_VIEWS.format("z_j', in the softmax"),
        ),
        "views in both": Edit(
            f"z[:, None] - z) -> z[:, None] - z_prime)\n{POSITIVES} -> pass\nx[:, None] - x, -> x[:, None] - x_prime,",
            FROM_THE_VIEWS.format("x_j' and z_j'"),
        ),
        "no half": Edit(
            "distances / 2 -> distances", "the 1/2 in the exponent is missing: the kernel is exp(-|.|^2 / 2)."
        ),
        "no square": Edit(
            "-distances / 2 -> -distances.sqrt() / 2", "the distances are not squared: the kernel is exp(-|.|^2 / 2)."
        ),
        "no minus": Edit(
            "-distances -> distances", "the minus in the exponent is missing: far samples get little weight."
        ),
        "positive left out": Edit(
            "-distances / 2 -> (-distances / 2).fill_diagonal_(float('-inf'))",
            "the positive is not in the denominator of the softmax; it belongs there.",
        ),
        "self as positive": Edit(
            f"{POSITIVES} -> pass",
            "alpha_ii was computed from z_i against itself; the positive is the other view, z_i'.",
        ),
        "uniform weights": Edit(
            "-distances / 2 -> 0 * distances",
            "all weights are 1/N: the softmax does not see W. The distances are those of z = W x.",
        ),
        "input distances": Edit(
            "x @ w.T, x_prime @ w.T -> x, x_prime",
            "the softmax was taken over distances of x; it takes those of z = W x.",
        ),
        "embedded differences": Edit(
            "x[:, None] - x, x_prime - x -> z[:, None] - z, z_prime - z",
            "the differences of the embeddings z were taken; X is made of differences of the inputs x.",
        ),
        "mean": Edit(
            "sigma_0 - sigma_1 -> (sigma_0 - sigma_1) / len(x)", "divided by N; L is a sum over the samples here."
        ),
        "gradient": Edit(
            "sigma_0 - sigma_1 -> -w @ (sigma_0 - sigma_1)", "that is dL/dW = -W X, shape (D, D_in); asked is X alone."
        ),
        "float32": Edit("sigma_0 - sigma_1 -> (sigma_0 - sigma_1).float()", "Results keep the type of the input"),
    },
    right={
        "loop": """
            n, d = x.shape
            result = x.new_zeros(d, d)
            for i in range(n):
                kernel = [torch.exp(-(w @ (x[i] - x[j])).square().sum() / 2) for j in range(n)]
                kernel[i] = torch.exp(-(w @ (x[i] - x_prime[i])).square().sum() / 2)
                for j in range(n):
                    if j != i:
                        result = result + kernel[j] / sum(kernel) * torch.outer(x[i] - x[j], x[i] - x[j])
                moved = x_prime[i] - x[i]
                result = result - (1 - kernel[i] / sum(kernel)) * torch.outer(moved, moved)
            return result
        """,
        # x_i - x_i is 0, so the weight of the positive has no say in Sigma_0
        "diagonal kept": Edit("- torch.diag(alpha.diagonal()) ->"),
        # distances are symmetric: the other axis gives the transposed weights, and Sigma_0 is the same
        "softmax over the other axis": Edit("/ 2, dim=1 -> / 2, dim=0"),
        # the sum over pairs is twice a graph Laplacian between the data
        "Laplacian": Edit(
            """
            sigma_0 = torch.einsum("ij,ijk,ijl->kl", others, between, between) -> both = others + others.T
            return sigma_0 -> return x.T @ (torch.diag(both.sum(dim=1)) - both) @ x
            """
        ),
    },
)
