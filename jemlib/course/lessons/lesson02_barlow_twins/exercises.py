"""Lesson 02: the exercises that derive `jemlib.losses.barlow_twins`, with their mistakes and other right answers."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from jemlib import diagnose, losses
from jemlib.course.machinery.agreement import Case
from jemlib.course.machinery.answers import Body, Edit, Mistaken, declare, within
from jemlib.course.machinery.inputs import pairs, pairs_with, single_views, views
from jemlib.losses.barlow_twins import standardize_gradient

# --- Sentences that serve several exercises ---------------------------------------------------------------------

NO_CENTRING = "the mean over the batch was not subtracted: each dimension must be centred first."
OVER_FEATURES = "std over features instead of over the batch: mean and variance run over dim=0, the N samples."
UNBIASED = (
    "the variance was divided by N - 1. The convention here divides by N (correction=0), as BatchNorm does; with "
    "N - 1 identical views get C_ii = (N - 1)/N, a slip in the paper's Algorithm 1."
)
NO_EPS = "eps is missing: where a dimension is constant you divide by 0. Use sqrt(variance + eps)."
EPS_OUTSIDE = "eps stands outside the root: it is added to the variance, sqrt(variance + eps)."
NOT_SCALED = "centred, but not divided by the standard deviation."
SLOPE_AT_ZERO = "dimension 1 constant. A root of exactly 0"
DETACHED_STATISTICS = "the gradient must flow through the mean and the variance too: leave out detach() and no_grad()."
IN_PLACE = "it changed its input in place"
NOT_STANDARDISED = "the views are not standardised: centre each dimension and divide by its standard deviation first."
NO_STOP = "no gradient reaches z_b: Barlow Twins has no stop-gradient, both views are trained."
NO_GRADIENT = (
    "the value is right, but no gradient reaches z_a or z_b: leave out .detach(), .item(), float() and torch.no_grad()."
)
NO_PROJECTION = "the projection on the standardised values is missing: sigma depends on z too."
PROJECTION_ADDED = "the part along a was added; take it away from g: that is the projection."
PROJECTION_SUMMED = "the part along a is a mean over the batch, not a sum: mean(a * g)."
BACK_OVER_FEATURES = "the mean of g was taken over the features; it runs over the batch, dim=0."
NO_SIGMA = "the factor 1/sigma is missing."
VARIANCE_FOR_SIGMA = "divided by sigma^2 instead of sigma."
UNBIASED_SIGMA = "sigma was computed with N - 1; here it is divided by N."
EPS_KEPT = "eps = 0 is needed: the closed form is exact only without eps."
NO_SQUARE_OFF = (
    "the square on the off-diagonal entries is missing: the plain sum rewards dimensions that are anti-correlated."
)

# --- 2.1 standardize --------------------------------------------------------------------------------------------

STANDARDIZE_LOOP = """
columns = []
for i in range(z.shape[1]):
    mean = sum(z[b, i] for b in range(len(z))) / len(z)
    variance = sum((z[b, i] - mean) ** 2 for b in range(len(z))) / len(z)
    columns.append(torch.stack([(z[b, i] - mean) / (variance + eps) ** 0.5 for b in range(len(z))]))
return torch.stack(columns, dim=1)
"""

declare(
    __name__,
    losses.standardize,
    number="2.1",
    title="centre and scale each dimension over the batch",
    difficulty=1,
    importance=4,
    minutes=5,
    points=1,
    hints=(
        "Rows are samples and columns are dimensions. A mean over the batch runs over the rows: dim=0.",
        "The variance of a dimension is the mean of its squared centred values, divided by N, not by N - 1.",
        "Three lines: centred = z - mean; variance = mean of centred squared; centred / sqrt(variance + eps).",
    ),
    cases=single_views(eps=0.3),
    answer="""
        def standardize(z, eps=1e-5):
            centred = z - z.mean(dim=0)
            variance = centred.square().mean(dim=0)
            return centred / torch.sqrt(variance + eps)
    """,
    mistakes={
        "no centring": Edit("return centred -> return z", NO_CENTRING),
        "over features": Edit("dim=0 -> dim=1, keepdim=True", OVER_FEATURES),
        "std over features": Edit(
            "square().mean(dim=0) -> square().mean(dim=1, keepdim=True)",
            "the mean runs over the batch but the std over features; both run over dim=0, the samples.",
        ),
        "one mean for all": Edit(
            "z.mean(dim=0) -> z.mean()\ncentred.square().mean(dim=0) -> z.var(dim=0, correction=0)",
            "one mean was taken over all entries; each dimension has its own, dim=0.",
        ),
        "mean and variance of all": Edit(
            "dim=0 ->", "one mean and one variance were taken over all entries; each dimension has its own, dim=0."
        ),
        "one variance for all": Edit(
            "square().mean(dim=0) -> square().mean()",
            "one variance was taken over all entries; each dimension has its own, dim=0.",
        ),
        "unbiased": Edit("centred.square().mean(dim=0) -> z.var(dim=0)", UNBIASED),
        "eps outside": Edit("torch.sqrt(variance + eps) -> (torch.sqrt(variance) + eps)", EPS_OUTSIDE),
        "eps squared": Edit("+ eps -> + eps**2", "eps was squared; the variance gets eps itself."),
        "no eps": Edit("+ eps ->", NO_EPS),
        "eps fixed": Edit("+ eps -> + 1e-5", "the argument eps is ignored: the number 1e-5 is only its default."),
        "variance without root": Edit(
            "torch.sqrt ->", "it was divided by the variance; divide by its root, the standard deviation."
        ),
        "times the deviation": Edit(
            "centred / torch -> centred * torch", "it was multiplied by the standard deviation; divide by it."
        ),
        "root mean square": Edit(
            "centred.square() -> z.square()", "the variance was taken from the raw values; square the centred ones."
        ),
        "uncentred throughout": Edit(
            "z - z.mean(dim=0) -> z",
            "nothing was centred: subtract the mean over the batch, then take the variance of what is left.",
        ),
        "mean added": Edit("z - z.mean -> z + z.mean", "the mean was added; subtract it."),
        "sum for mean": Edit(
            "square().mean -> square().sum",
            "the squares were summed over the batch; the variance is their mean, divided by N.",
        ),
        "mean absolute deviation": Edit(
            "square().mean(dim=0) -> abs().mean(dim=0).square()",
            "absolute deviations were averaged; the variance is the mean of the squares.",
        ),
        "only centred": Edit("/ torch.sqrt(variance + eps) ->", NOT_SCALED),
        "standard deviation": Edit("variance + eps -> variance.sqrt().square() + eps", SLOPE_AT_ZERO),
        "detached statistics": Edit("mean(dim=0) -> mean(dim=0).detach()", DETACHED_STATISTICS),
        "in place": Body("z -= z.mean(dim=0)\nreturn z / torch.sqrt(z.square().mean(dim=0) + eps)", IN_PLACE),
        "numpy": Body("return losses.standardize(z, eps).detach().numpy()", "a NumPy array instead of a tensor"),
    },
    right={
        "loop": STANDARDIZE_LOOP,
        "batch norm": "return F.batch_norm(z, None, None, training=True, eps=eps)",
        "var and rsqrt": "return (z - z.mean(0)) * torch.rsqrt(z.var(0, unbiased=False) + eps)",
        "mean of squares": "return (z - z.mean(0)) / (z.square().mean(0) - z.mean(0).square() + eps).sqrt()",
        "einsum": "s = (z.var(0, correction=0) + eps).sqrt()\nreturn torch.einsum('bi,i->bi', z - z.mean(0), 1 / s)",
    },
)


# --- 2.2 and 2.3 cross_correlation ------------------------------------------------------------------------------

# Mistakes in standardising that are mistakes of everything built on it.
STANDARDISING = (
    "no centring",
    "over features",
    "std over features",
    "one mean for all",
    "mean and variance of all",
    "one variance for all",
    "unbiased",
    "eps outside",
    "variance without root",
    "root mean square",
    "uncentred throughout",
    "sum for mean",
    "only centred",
    "detached statistics",
)
# (The centre of one view is enough for the covariance, so a forgotten centre shows less here.)
COVARIANCE = "that is the cross-covariance: each dimension must be divided by its standard deviation too."
CROSS_MISTAKES: dict[str, Mistaken] = {
    **within("standardize", *(name for name in STANDARDISING if name != "only centred")),
    **within("standardize", "no eps", "eps fixed"),
    **within("standardize", "only centred", phrase=COVARIANCE),
    "covariance over N - 1": Body(
        "a, b = z_a - z_a.mean(0), z_b - z_b.mean(0)\nreturn a.T @ b / (len(a) - 1)",
        "that is the cross-covariance, divided by N - 1: divide by N, and each dimension by its standard deviation.",
    ),
    "unbiased twice": Body(
        "a, b = ((z - z.mean(0)) / torch.sqrt(z.var(0) + eps) for z in (z_a, z_b))\nreturn a.T @ b / (len(a) - 1)",
        "N - 1 was used for the variance and for the sum. That cancels, except that eps is then added to another "
        "variance; the convention here divides by N in both places.",
    ),
    "lengths for deviations": Body(
        "return F.normalize(z_a, dim=0).T @ F.normalize(z_b, dim=0)",
        "that is the cosine of the columns: centre each dimension before you normalise it.",
    ),
    "cosines of samples": Body(
        "return F.normalize(z_a, dim=1).T @ F.normalize(z_b, dim=1) / len(z_a)",
        "the samples (rows) were normalised to length 1; standardise the dimensions (columns) over the batch instead.",
    ),
    "statistics of A for both": Body(
        "mean, s = z_a.mean(0), (z_a.var(0, correction=0) + eps).sqrt()\n"
        "return ((z_a - mean) / s).T @ ((z_b - mean) / s) / len(z_a)",
        "view B was standardised with the mean and variance of view A; each view has its own.",
    ),
}
OF_THE_MATRIX: dict[str, Mistaken] = {
    "not standardised": Edit("standardize(z_a, eps) -> z_a\nstandardize(z_b, eps) -> z_b", NOT_STANDARDISED),
    "A not standardised": Edit("standardize(z_a, eps) -> z_a", "view A is not standardised; both views must be."),
    "B not standardised": Edit("standardize(z_b, eps) -> z_b", "view B is not standardised; both views must be."),
    "auto-correlation": Edit(
        "z_b, eps -> z_a, eps", "that is the auto-correlation of view A: the second factor must come from view B."
    ),
    "detached": Edit("standardize(z_b, eps) -> standardize(z_b, eps).detach()", NO_STOP),
}
# Their texts differ in the two exercises; what the learner reads does not.
BY_D = "divided by D, the dimensions, instead of N, the samples."
BY_LESS = "the sum was divided by N - 1; divide by N."
NOT_DIVIDED = "the division by N is missing: an entry is a mean over the batch."
TRANSPOSED = "your matrix is the transpose: row i belongs to dimension i of A, column j to dimension j of B."
BETWEEN_SAMPLES = "the product compares samples (N x N); compare dimensions: A^T B, which is D x D."
CROSS_RIGHT = {
    "loop": """
        a, b = losses.standardize(z_a, eps), losses.standardize(z_b, eps)
        c = z_a.new_zeros(a.shape[1], a.shape[1])
        for i in range(a.shape[1]):
            for j in range(a.shape[1]):
                c[i, j] = torch.stack([a[s, i] * b[s, j] for s in range(len(a))]).sum() / len(a)
        return c
    """,
    "einsum": """
        a, b = losses.standardize(z_a, eps), losses.standardize(z_b, eps)
        return torch.einsum("bi,bj->ij", a, b) / len(z_a)
    """,
    "outer products": """
        a, b = losses.standardize(z_a, eps), losses.standardize(z_b, eps)
        return torch.stack([torch.outer(a[s], b[s]) for s in range(len(a))]).mean(dim=0)
    """,
    "covariance first": """
        covariance = (z_a - z_a.mean(0)).T @ (z_b - z_b.mean(0)) / len(z_a)
        s_a, s_b = (torch.sqrt(z.var(dim=0, correction=0) + eps) for z in (z_a, z_b))
        return covariance / torch.outer(s_a, s_b)
    """,
    "batch norm and broadcasting": """
        a, b = (F.batch_norm(z, None, None, training=True, eps=eps) for z in (z_a, z_b))
        return (a[:, :, None] * b[:, None, :]).mean(dim=0)
    """,
}

declare(
    __name__,
    losses.cross_correlation,
    number="2.2",
    title="the cross-correlation as a loop that mirrors the sum",
    difficulty=2,
    importance=3,
    minutes=10,
    points=2,
    hints=(
        "Standardise both views first, each with its own mean and variance.",
        "Three loops: i over dimensions of A, j over dimensions of B, and inside them b over the samples.",
        "Start from c = z_a.new_zeros(D, D), add a[b, i] * b[b, j] to c[i, j], and divide by N at the end.",
    ),
    cases=pairs_with(eps=0.3),
    answer="""
        def cross_correlation_loop(z_a, z_b, eps=1e-5):
            a, b = standardize(z_a, eps), standardize(z_b, eps)
            n, d = a.shape
            c = torch.zeros(d, d, dtype=a.dtype)
            for i in range(d):
                for j in range(d):
                    for sample in range(n):
                        c[i, j] = c[i, j] + a[sample, i] * b[sample, j] / n
            return c
    """,
    mistakes={
        **CROSS_MISTAKES,
        **OF_THE_MATRIX,
        "divided by D": Edit("/ n -> / d", BY_D),
        "divided by N - 1": Edit("/ n -> / (n - 1)", BY_LESS),
        "not divided": Edit("/ n ->", NOT_DIVIDED),
        "transposed": Edit("a[sample, i] -> a[sample, j]\nb[sample, j] -> b[sample, i]", TRANSPOSED),
        "samples by samples": Body(
            "return standardize(z_a, eps) @ standardize(z_b, eps).T / len(z_a)", BETWEEN_SAMPLES
        ),
        "last sample left out": Edit("range(n) -> range(n - 1)", "the last sample is left out: b runs over all N."),
        "first sample left out": Edit("range(n) -> range(1, n)", "the first sample is left out: b runs over all N."),
        "last dimension left out": Edit(
            "range(d) -> range(d - 1)", "the last dimension is left out: i and j run over all D."
        ),
        "assigned": Edit(
            "c[i, j] + a -> a", "each sample overwrites the one before: add to c[i, j], with += instead of =."
        ),
        "divided in every step": Edit(
            "c[i, j] + a[sample, i] * b[sample, j] / n -> (c[i, j] + a[sample, i] * b[sample, j]) / n",
            "the sum was divided by N in every step; divide once, at the end.",
        ),
        "added": Edit("* b[ -> + b[", "the two entries were added; multiply them."),
        "rows for columns": Edit(
            "in range(n) -> in range(min(n, d))\na[sample, i] -> a[i % n, sample]\nb[sample, j] -> b[j % n, sample]",
            "the indices are swapped: a[sample, i], because rows are samples and columns are dimensions.",
        ),
        "mirrored": Edit(
            "a[sample, i] -> a[sample, min(i, j)]\nb[sample, j] -> b[sample, max(i, j)]",
            "the lower half is a mirror of the upper one, but C is not symmetric: C_ij is not C_ji.",
        ),
        "upper half": Edit(
            "for j in range(d) -> for j in range(i, d)", "only the upper half is filled: j starts at 0."
        ),
        "no diagonal": Edit(
            "* b[sample, j] -> * b[sample, j] * (i != j)", "the diagonal is 0: here i = j belongs to the matrix too."
        ),
        "diagonal only": Edit(
            "for j in range(d) -> for j in [i]", "only the diagonal is filled: i and j are two separate loops."
        ),
        "numbers instead of tensors": Edit("* b[sample, j] -> .item() * b[sample, j].item()", NO_GRADIENT),
        "float32": Edit("return c -> return c.float()", "Results keep the type of the input"),
    },
    right=CROSS_RIGHT,
)
declare(
    __name__,
    losses.cross_correlation,
    number="2.3",
    title="the cross-correlation as one matrix product",
    difficulty=2,
    importance=5,
    minutes=10,
    points=3,
    hints=(
        "The sum over b of a[b, i] * b[b, j] is a matrix product. Which index is summed, and is it the inner one?",
        "The result is (D, D): (D, N) times (N, D). So the first factor is transposed.",
        "standardize(z_a, eps).T @ standardize(z_b, eps), divided by N.",
    ),
    cases=pairs_with(eps=0.3),
    answer="""
        def cross_correlation(z_a, z_b, eps=1e-5):
            return standardize(z_a, eps).T @ standardize(z_b, eps) / len(z_a)
    """,
    mistakes={
        **CROSS_MISTAKES,
        **OF_THE_MATRIX,
        "divided by D": Edit("len(z_a) -> z_a.shape[1]", BY_D),
        "divided by N - 1": Edit("len(z_a) -> (len(z_a) - 1)", BY_LESS),
        "divided by N squared": Edit("len(z_a) -> len(z_a) ** 2", "divided by N twice; an entry is a mean over N."),
        "not divided": Edit("/ len(z_a) ->", NOT_DIVIDED),
        "transposed": Edit("z_a, eps -> z, eps\nz_b, eps -> z_a, eps\nz, eps -> z_b, eps", TRANSPOSED),
        "samples by samples": Edit(".T @ -> @\neps) / -> eps).T /", BETWEEN_SAMPLES),
    },
    right=CROSS_RIGHT,
)


# --- 2.4 and 2.5 the two terms ----------------------------------------------------------------------------------


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


declare(
    __name__,
    losses.invariance_term,
    number="2.4",
    title="the term that pulls the diagonal to 1",
    difficulty=1,
    importance=4,
    minutes=4,
    points=1,
    hints=(
        "c.diagonal() gives the D entries C_ii.",
        "Square each difference from 1, then sum: (1 - c.diagonal()) to the power 2.",
    ),
    cases=_matrices,
    answer="""
        def invariance_term(c):
            return (1 - c.diagonal()).square().sum()
    """,
    mistakes={
        "no square": Edit(".square() ->", "the square is missing: the deviation of C_ii from 1 is squared."),
        "absolute": Edit(".square() -> .abs()", "absolute values instead of squares: use (1 - C_ii)^2."),
        "mean": Edit("sum -> mean", "a mean over the D entries; this term is a sum."),
        "entries": Edit(".sum() ->", "that is one number for each dimension; this term is their sum."),
        "halved": Edit("sum() -> sum() / 2", "there is no factor 1/2 in this term: it is the plain sum."),
        "root": Edit("sum() -> sum().sqrt()", "that is the root of the sum (a norm); this term is the sum of squares."),
        "all entries": Edit(".diagonal() ->", "every entry was pulled to 1; this term looks at the diagonal only."),
        "distance to identity": Body(
            "return (torch.eye(len(c), dtype=c.dtype) - c).square().sum()",
            "that is the distance of all of C to the identity; off-diagonal entries belong to the other term.",
        ),
        "square inside": Edit(
            "diagonal()).square() -> diagonal().square())", "you computed 1 - C_ii^2; square after subtracting."
        ),
        "square of the sum": Edit(
            "square().sum() -> sum().square()",
            "the sum was squared; square each entry, then sum: signs must not cancel.",
        ),
        "without the 1": Edit("1 - ->", "the 1 is missing: C_ii should become 1, not 0."),
        "added": Edit("1 - -> 1 +", "1 was added to C_ii; what counts is the difference from 1."),
        "the other term": Body(
            "return losses.redundancy_term(c)", "that is the term off the diagonal; asked is the one on it."
        ),
        "trace": Edit(
            "diagonal()).square().sum() -> trace()).square()",
            "the trace was compared with 1; each C_ii has its own difference from 1, squared before the sum.",
        ),
    },
    right={
        "loop": "total = 0\nfor i in range(len(c)):\n    total = total + (1 - c[i, i]) ** 2\nreturn total",
        "einsum": "return (1 - torch.einsum('ii->i', c)).pow(2).sum()",
        "multiplied out": "return len(c) - 2 * c.trace() + c.diagonal().square().sum()",
    },
)
declare(
    __name__,
    losses.redundancy_term,
    number="2.5",
    title="the term that pushes everything else to 0",
    difficulty=2,
    importance=4,
    minutes=6,
    points=1,
    hints=(
        "Take away the diagonal first: torch.diag(c.diagonal()) is a matrix that holds nothing else.",
        "A mask works as well: ~torch.eye(D, dtype=torch.bool) is true off the diagonal.",
        "Square the entries that are left, and sum. fill_diagonal_ would change the caller's matrix.",
    ),
    cases=_matrices,
    answer="""
        def redundancy_term(c):
            return c.square().sum() - c.diagonal().square().sum()
    """,
    mistakes={
        "kept the diagonal": Edit(
            "- c.diagonal().square().sum() ->", "you kept the diagonal: only entries with i != j belong here."
        ),
        "no square": Edit(".square() ->", NO_SQUARE_OFF),
        "absolute": Edit("square -> abs", "absolute values instead of squares: use C_ij^2."),
        "mean": Edit(
            "c[off].pow(2).sum -> c[off].pow(2).mean", "a mean over the D (D - 1) entries; this term is a sum.", "mask"
        ),
        "mean with the zeros": Edit(
            "c.square().sum() - c.diagonal().square().sum() -> losses.off_diagonal(c).square().mean()",
            "a mean over all D^2 entries, the zeros of the diagonal among them; this term is a sum.",
        ),
        "divided by D": Edit(
            "c.square().sum() - c.diagonal().square().sum() -> losses.redundancy_term(c) / len(c)",
            "divided by D, as VICReg does; here it is a plain sum.",
        ),
        "halved": Edit(
            "c.square().sum() - c.diagonal().square().sum() -> losses.redundancy_term(c) / 2",
            "halved: C_ij and C_ji are two entries of C, and both count in full.",
        ),
        "upper half": Body(
            "return torch.triu(c, 1).square().sum()",
            "only the upper half was summed, but C_ij and C_ji are different numbers.",
        ),
        "lower half": Body(
            "return torch.tril(c, -1).square().sum()", "only the lower half was summed: C_ij counts too."
        ),
        "twice the upper half": Body(
            "return 2 * torch.triu(c, 1).square().sum()",
            "the upper half was taken twice, as if C were symmetric; C_ij and C_ji are different numbers.",
        ),
        "square of the sum": Edit(
            "c.square().sum() - c.diagonal().square().sum() -> losses.off_diagonal(c).sum().square()",
            "the sum was squared; square each entry, then sum.",
        ),
        "root": Edit(
            "c.square().sum() - c.diagonal().square().sum() -> losses.off_diagonal(c).norm()",
            "that is the root of the sum (a norm); this term is the sum of squares.",
        ),
        "minus identity": Body(
            "return (c - torch.eye(len(c), dtype=c.dtype)).square().sum()",
            "subtracting the identity leaves C_ii - 1 on the diagonal; set the diagonal to 0.",
        ),
        "pulled to 1": Body(
            "off = c[~torch.eye(len(c), dtype=torch.bool)]\nreturn (1 - off).square().sum()",
            "the entries off the diagonal are pulled to 1; they should become 0, so square C_ij itself.",
        ),
        "diagonal only": Body(
            "return c.diagonal().square().sum()", "only the diagonal was summed; it is what must be left out."
        ),
        "the other term": Body(
            "return losses.invariance_term(c)", "that is the term on the diagonal; asked is the one off it."
        ),
        "in place": Body("return c.fill_diagonal_(0).square().sum()", IN_PLACE),
    },
    right={
        "loop": """
            total = 0
            for i in range(len(c)):
                for j in range(len(c)):
                    if i != j:
                        total = total + c[i, j] ** 2
            return total
        """,
        "mask": "off = ~torch.eye(len(c), dtype=torch.bool)\nreturn c[off].pow(2).sum()",
        "difference of sums": "return torch.einsum('ij,ij->', c, c) - torch.einsum('ii,ii->', c, c)",
        # Without a mask: drop the last, then the first column of D + 1 is the diagonal.
        "flattened": "d = len(c)\nreturn c.flatten()[:-1].view(d - 1, d + 1)[:, 1:].square().sum()",
    },
)


# --- 2.6 barlow_twins -------------------------------------------------------------------------------------------

declare(
    __name__,
    losses.barlow_twins,
    number="2.6",
    title="the loss: both terms together",
    difficulty=2,
    importance=5,
    minutes=8,
    points=3,
    hints=(
        "You have all the parts: cross_correlation, invariance_term, redundancy_term.",
        "total = invariance + lambd * redundancy. The two terms themselves are returned without lambda.",
        "Return BarlowTwinsLoss(total, invariance, redundancy), or a plain tuple in that order.",
    ),
    cases=pairs_with(lambd=0.2),
    fields=("total", "invariance", "redundancy"),
    answer="""
        def barlow_twins(z_a, z_b, lambd=5e-3):
            c = cross_correlation(z_a, z_b)
            invariance, redundancy = invariance_term(c), redundancy_term(c)
            return invariance + lambd * redundancy, invariance, redundancy
    """,
    mistakes={
        "lambda on the wrong term": Edit(
            "invariance + lambd * redundancy -> lambd * invariance + redundancy",
            "lambda stands on the invariance term; it weighs the redundancy.",
        ),
        "lambda forgotten": Edit("lambd * ->", "lambda is missing from the total."),
        "lambda fixed": Edit("lambd * -> 5e-3 *", "the argument lambd is ignored: 5e-3 is only its default."),
        "lambda on both terms": Edit(
            "invariance + lambd * redundancy -> lambd * (invariance + redundancy)",
            "lambda multiplies both terms; it weighs the redundancy only.",
        ),
        "1 - lambda": Edit(
            "return invariance -> return (1 - lambd) * invariance",
            "the invariance term carries 1 - lambda; it stands in full, and lambda weighs the redundancy.",
        ),
        "subtracted": Edit(
            "+ lambd -> - lambd", "the redundancy is subtracted: both terms are minimised, so add them."
        ),
        "bare tensor": Edit(
            "redundancy, invariance, redundancy -> redundancy",
            "return the 3 values",
        ),
        "weighted fields": Edit(
            "invariance, redundancy -> invariance, lambd * redundancy\nlambd * redundancy = -> redundancy =",
            "the field redundancy carries lambda; fields are unweighted, only total has it.",
        ),
        "other order": Edit(
            "return invariance + lambd * redundancy, invariance, redundancy "
            "-> return invariance, redundancy, invariance + lambd * redundancy",
            "the values come in another order: (total, invariance, redundancy).",
        ),
        "means": Edit(
            "invariance_term(c) -> (1 - c.diagonal()).square().mean()\n"
            "redundancy_term(c) -> c[~torch.eye(len(c), dtype=torch.bool)].square().mean()",
            "means over the entries of C; both terms are sums.",
        ),
        **within("invariance_term", "no square", phrase="the square on (1 - C_ii) is missing."),
        **within("invariance_term", "mean", "square inside", "without the 1", "all entries", "distance to identity"),
        **within(
            "redundancy_term",
            "kept the diagonal",
            phrase="you kept the diagonal in the redundancy: only entries with i != j.",
        ),
        **within("redundancy_term", "no square", "mean", "divided by D", "upper half", "minus identity"),
        "absolute": Edit(
            "invariance_term(c) -> (1 - c.diagonal()).abs().sum()\n"
            "redundancy_term(c) -> losses.off_diagonal(c).abs().sum()",
            "absolute values instead of squares, in both terms.",
        ),
        **within(
            "cross_correlation",
            *(f"standardize: {name}" for name in STANDARDISING),
            "lengths for deviations",
            "cosines of samples",
            "not standardised",
            "A not standardised",
            "B not standardised",
            "divided by D",
            "divided by N - 1",
        ),
        **within(
            "cross_correlation",
            "not divided",
            phrase="C was not divided by N: its diagonal cannot reach 1 as it should.",
        ),
        **within(
            "cross_correlation",
            "samples by samples",
            phrase="C compares samples (N x N); Barlow Twins compares dimensions (D x D).",
        ),
        **within("cross_correlation", "auto-correlation", phrase="view B is not used: C must pair view A with view B."),
        **within("cross_correlation", "detached"),
        "no gradient": Edit(
            "c = cross_correlation(z_a, z_b) -> c = cross_correlation(z_a, z_b).detach()",
            NO_GRADIENT,
        ),
    },
    right={
        "loop": """
            c = losses.cross_correlation(z_a, z_b)
            invariance = redundancy = 0
            for i in range(len(c)):
                for j in range(len(c)):
                    if i == j:
                        invariance = invariance + (1 - c[i, i]) ** 2
                    else:
                        redundancy = redundancy + c[i, j] ** 2
            return invariance + lambd * redundancy, invariance, redundancy
        """,
        # The squared distance to the identity, entry by entry, under a matrix of weights.
        "matrix of weights": """
            a, b = (F.batch_norm(z, None, None, training=True) for z in (z_a, z_b))
            eye = torch.eye(a.shape[1], dtype=a.dtype)
            squared = (a.T @ b / len(a) - eye).square()
            return (squared * (eye + lambd * (1 - eye))).sum(), (squared * eye).sum(), (squared * (1 - eye)).sum()
        """,
        "difference of sums": """
            c = torch.einsum("bi,bj->ij", losses.standardize(z_a), losses.standardize(z_b)) / len(z_a)
            invariance = (c.diagonal() - 1).square().sum()
            redundancy = (c * c).sum() - c.diagonal().square().sum()
            return losses.BarlowTwinsLoss(torch.add(invariance, redundancy, alpha=lambd), invariance, redundancy)
        """,
    },
)


# --- 2.7 standardize_gradient -------------------------------------------------------------------------------------


def _varying_pairs() -> list[Case]:
    """For the gradient with eps = 0: no dimension may be constant."""
    return [case for case in pairs_with(lambd=0.2)() if "constant" not in case.note]


declare(
    __name__,
    standardize_gradient,
    number="2.7",
    title="back through the standardisation",
    difficulty=3,
    importance=2,
    minutes=12,
    points=2,
    hints=(
        "Take one dimension. A change of one value moves the mean and sigma as well, so all rows of it react.",
        "The mean takes away the mean of g over the batch. Sigma takes away the part of g along a: a * mean(a * g).",
        "What is left is divided by sigma, with N: (g - mean(g) - a * mean(a * g)) / sigma, means over dim=0.",
    ),
    cases=lambda: [Case(case.args, {}, case.note) for case in _varying_pairs()],
    gradients=False,
    closed_form=True,
    answer="""
        def standardize_gradient(g, z):
            centred = z - z.mean(dim=0)
            sigma = centred.square().mean(dim=0).sqrt()
            a = centred / sigma
            return (g - g.mean(dim=0) - a * (a * g).mean(dim=0)) / sigma
    """,
    mistakes={
        "no projection": Edit("- a * (a * g).mean(dim=0) ->", NO_PROJECTION),
        "no centring of g": Edit(
            "g - g.mean(dim=0) -> g", "the mean of g over the batch is still there: the mean of z depends on every row."
        ),
        "neither": Edit(
            "(g - g.mean(dim=0) - a * (a * g).mean(dim=0)) -> g",
            "mean and sigma were taken for constants, so g is only divided by sigma; both depend on z.",
        ),
        "projection turned around": Edit("- a * (a -> + a * (a", PROJECTION_ADDED),
        "projection summed": Edit("(a * g).mean -> (a * g).sum", PROJECTION_SUMMED),
        "projection along z": Edit(
            "- a * (a * g) -> - z * (z * g)",
            "the part along z was taken away; it is the part along the standardised a.",
        ),
        "projection along centred z": Edit(
            "- a * (a * g) -> - centred * (centred * g)",
            "the part along centred z was taken away; divide it by sigma first: along a.",
        ),
        "mean over features": Edit("g.mean(dim=0) -> g.mean(dim=1, keepdim=True)", BACK_OVER_FEATURES),
        "one mean for all": Edit(
            "g.mean(dim=0) -> g.mean()", "one mean of all entries of g; each dimension has its own."
        ),
        "no 1/sigma": Edit("mean(dim=0)) / sigma -> mean(dim=0))", NO_SIGMA),
        "times sigma": Edit("mean(dim=0)) / sigma -> mean(dim=0)) * sigma", "multiplied by sigma; divide by it."),
        "variance for sigma": Edit("mean(dim=0)) / sigma -> mean(dim=0)) / sigma**2", VARIANCE_FOR_SIGMA),
        "unbiased sigma": Edit("centred.square().mean(dim=0).sqrt() -> z.std(dim=0)", UNBIASED_SIGMA),
        "eps kept": Edit("mean(dim=0).sqrt() -> mean(dim=0).add(1e-5).sqrt()", EPS_KEPT),
        "forward": Body("return losses.standardize(z, 0.0)", "that is the way forward; asked is the gradient, from g."),
    },
    right={
        "loop": """
            result = torch.zeros_like(z)
            for k in range(z.shape[1]):
                sigma = z[:, k].var(correction=0).sqrt()
                a = (z[:, k] - z[:, k].mean()) / sigma
                result[:, k] = (g[:, k] - g[:, k].sum() / len(z) - a * torch.dot(a, g[:, k]) / len(z)) / sigma
            return result
        """,
        "projection matrix": """
            n, d = z.shape
            a = losses.standardize(z, 0.0)
            eye, ones = torch.eye(n, dtype=z.dtype), torch.ones(n, n, dtype=z.dtype)
            columns = [(eye - ones / n - torch.outer(a[:, k], a[:, k]) / n) @ g[:, k] for k in range(d)]
            return torch.stack(columns, dim=1) / z.std(dim=0, correction=0)
        """,
        # a is centred, so it sees g with or without its mean
        "centred first": """
            sigma = z.var(0, unbiased=False).sqrt()
            a, g = (z - z.mean(0)) / sigma, g - g.mean(0)
            return (g - a * torch.einsum("bi,bi->i", a, g) / len(z)) / sigma
        """,
    },
)


# --- 2.8 barlow_twins_gradient ------------------------------------------------------------------------------------


def _identities(case: Case, ours: Sequence[Tensor], truth: Sequence[Tensor]) -> str | None:
    """The two identities of a gradient through standardising; a failing one says which term is missing."""
    g, z = ours[0], case.args[0]
    if g.shape != z.shape:
        return "The gradient has the shape of z_a."
    if not g.isfinite().all():
        return None
    size = float(g.abs().max()) * len(z)
    if float(g.sum(dim=0).abs().max()) > 1e-3 * size:
        return (
            "Its columns do not sum to 0, as they must when a shift of z_a changes nothing: what is subtracted from g "
            "is its mean over dim=0, and a multiple of a."
        )
    centred = z - z.mean(dim=0)
    if float((centred * g).sum(dim=0).abs().max()) > 1e-3 * size * float(centred.abs().max()):
        return (
            "It is not orthogonal to centred z_a, as it must be when the scale changes nothing: look at the projection."
        )
    return "Both identities hold, so look at G = dL/dC, at its transpose and at 1/sigma."


declare(
    __name__,
    losses.barlow_twins_gradient,
    number="2.8",
    title="the gradient in closed form",
    difficulty=4,
    importance=2,
    minutes=25,
    points=4,
    hints=(
        "First dL/dC: it is -2 (1 - C_ii) on the diagonal and 2 lambd C_ij off it. Standardise with eps=0.",
        "Then dL/da = b @ G^T / N, because C_ij is the mean over b of a_bi b_bj.",
        "Then back through the standardisation: standardize_gradient of exercise 2.7, with dL/da and z_a.",
    ),
    cases=_varying_pairs,
    gradients=False,
    closed_form=True,
    symptom=_identities,
    answer="""
        def barlow_twins_gradient(z_a, z_b, lambd=5e-3):
            n = len(z_a)
            a, b = standardize(z_a, 0.0), standardize(z_b, 0.0)
            c = a.T @ b / n
            g_c = 2 * lambd * c
            g_c = g_c - torch.diag(g_c.diagonal()) - 2 * torch.diag(1 - c.diagonal())
            g_a = b @ g_c.T / n
            return standardize_gradient(g_a, z_a)
    """,
    mistakes={
        **within(
            "standardize_gradient",
            "no projection",
            "projection turned around",
            "projection summed",
            "no 1/sigma",
            "variance for sigma",
            "unbiased sigma",
        ),
        "sigma of B": Edit(
            "z_a.std -> z_b.std", "divided by sigma of view B; the derivative is with respect to z_a.", "expanded"
        ),
        "through B": Edit(
            "(g_a, z_a) -> (g_a, z_b)", "back through the standardisation of view B; the derivative is for z_a."
        ),
        "sign": Edit("return standardize -> return -standardize", "the sign is turned around."),
        "sign of the diagonal": Edit(
            "- 2 * torch -> + 2 * torch",
            "the sign of the invariance part is wrong: the derivative of (1 - C_ii)^2 is -2 (1 - C_ii).",
        ),
        "no factor 2": Edit("2 * ->", "the factor 2 of the squares is missing."),
        "no factor 2 on the diagonal": Edit("- 2 * -> -", "the factor 2 of (1 - C_ii)^2 is missing."),
        "no factor 2 off the diagonal": Edit("2 * lambd -> lambd", "the factor 2 of the redundancy part is missing."),
        "lambda forgotten": Edit("* lambd ->", "lambda is missing from G = dL/dC."),
        "lambda fixed": Edit("* lambd -> * 5e-3", "the argument lambd is ignored: 5e-3 is only its default."),
        "kept the diagonal": Edit(
            "- torch.diag(g_c.diagonal()) ->",
            "you kept the diagonal in the redundancy part of G: only entries with i != j.",
        ),
        "redundancy only": Edit("- 2 * torch.diag(1 - c.diagonal()) ->", "the invariance part of G is missing."),
        "invariance only": Edit("2 * lambd -> 0", "the redundancy part of G is missing."),
        "no square on C": Edit(
            "2 * lambd * c -> 2 * lambd * torch.ones_like(c)", "C_ij is missing in G: the slope of C_ij^2 is 2 C_ij."
        ),
        "G not transposed": Edit(
            "g_c.T -> g_c", "G must be transposed: a_bi meets the row i of G, so the product is b @ G^T."
        ),
        "not divided": Edit("g_c.T / n -> g_c.T", "the factor 1/N is missing: C is a mean over the batch."),
        "C not divided": Edit("a.T @ b / n -> a.T @ b", "C was not divided by N: it is a mean over the batch."),
        "a for b": Edit("b @ g_c -> a @ g_c", "dL/da is b @ G^T / N: the other view stands there, not a itself."),
        "eps kept": Edit("0.0 -> 1e-5", EPS_KEPT),
        "other branch": Edit(
            "z_a -> z\nz_b -> z_a\nz, 0 -> z_b, 0\n(z) -> (z_b)\n, z) -> , z_b)",
            "that is the gradient for z_b; asked is z_a.",
        ),
        "standardised space": Edit(
            "standardize_gradient(g_a, z_a) -> g_a",
            "that is the gradient for the standardised a; the chain rule through standardising is still to come.",
        ),
        "not standardised": Edit("standardize(z_a, 0.0), standardize(z_b, 0.0) -> z_a, z_b", NOT_STANDARDISED),
    },
    right={
        "expanded": """
            n = len(z_a)
            a, b = standardize(z_a, 0.0), standardize(z_b, 0.0)
            c = a.T @ b / n
            g_c = 2 * lambd * c
            g_c = g_c - torch.diag(g_c.diagonal()) - 2 * torch.diag(1 - c.diagonal())
            g_a = b @ g_c.T / n
            projected = g_a - g_a.mean(dim=0) - a * (a * g_a).mean(dim=0)
            return projected / z_a.std(dim=0, correction=0)
        """,
        "loop": """
            a, b = losses.standardize(z_a, 0), losses.standardize(z_b, 0)
            n, d = a.shape
            c = a.T @ b / n
            g_c = 2 * lambd * losses.off_diagonal(c) - 2 * torch.diag(1 - c.diagonal())
            result = torch.zeros_like(a)
            for k in range(d):
                g = torch.stack([g_c[k, j] * b[:, j] for j in range(d)]).sum(dim=0) / n
                sigma = (z_a[:, k] - z_a[:, k].mean()).square().mean().sqrt()
                result[:, k] = (g - g.sum() / n - a[:, k] * torch.dot(a[:, k], g) / n) / sigma
            return result
        """,
        # Each column is multiplied by the matrix I - 11^T/N - aa^T/N.
        "projection matrix": """
            a, b = losses.standardize(z_a, 0), losses.standardize(z_b, 0)
            n, d = a.shape
            c = a.T @ b / n
            g_c = 2 * lambd * losses.off_diagonal(c) - 2 * torch.diag(1 - c.diagonal())
            g = torch.einsum("bj,ij->bi", b, g_c) / n
            eye, ones = torch.eye(n, dtype=a.dtype), torch.ones(n, n, dtype=a.dtype)
            columns = [(eye - ones / n - torch.outer(a[:, k], a[:, k]) / n) @ g[:, k] for k in range(d)]
            return torch.stack(columns, dim=1) / z_a.var(0, unbiased=False).sqrt()
        """,
        # b is centred, so the mean over the batch of b @ G^T is 0 already
        "without the centring term": """
            a, b = losses.standardize(z_a, 0), losses.standardize(z_b, 0)
            c = a.T @ b / len(a)
            g = b @ (2 * lambd * losses.off_diagonal(c) - 2 * torch.diag(1 - c.diagonal())).T / len(a)
            return (g - a * (a * g).mean(dim=0)) / z_a.std(dim=0, correction=0)
        """,
    },
)


# --- 2.9 redundancy_of_eigenvalues --------------------------------------------------------------------------------


def redundancy_of_eigenvalues(mu: Tensor) -> Tensor:
    """`sum_{i != j} C_ij^2` of a symmetric `C` with ones on its diagonal, from its eigenvalues `(D,)`."""
    return mu.square().sum() - len(mu)


def _spectra() -> list[Case]:
    """Eigenvalues of correlation matrices: full rank, D > N, one dimension, both types."""
    batches = [case.args[0] for case in pairs() if "constant" not in case.note]
    return [Case((torch.linalg.eigvalsh(losses.cross_correlation(z, z, 0.0)),)) for z in batches]


declare(
    __name__,
    redundancy_of_eigenvalues,
    number="2.9",
    title="the redundancy from eigenvalues",
    difficulty=2,
    importance=2,
    minutes=8,
    points=1,
    hints=(
        "The sum of all squared entries of a symmetric matrix is the sum of its squared eigenvalues.",
        "The redundancy leaves the diagonal out. Its entries are all 1, and there are D of them: len(mu).",
    ),
    cases=_spectra,
    gradients=False,
    answer="""
        def redundancy_of_eigenvalues(mu):
            return mu.square().sum() - len(mu)
    """,
    mistakes={
        "kept the diagonal": Edit("- len(mu) ->", "you kept the diagonal: take away its D squares, which are all 1."),
        "no square": Edit(".square() ->", "the eigenvalues are not squared; their plain sum is the trace, D."),
        "square of the sum": Edit("mu.square().sum() -> mu.sum().square()", "the sum was squared; square, then sum."),
        "minus D squared": Edit("- len(mu) -> - len(mu) ** 2", "D squares of 1 are D, not D^2."),
        "minus the rank": Edit(
            "len(mu) -> (mu.abs() > 1e-6).sum()",
            "the number of eigenvalues that are not 0 was taken away; the diagonal has D entries.",
        ),
        "minus one": Edit("len(mu) -> 1", "one was taken away; the diagonal has D entries of 1."),
        "root": Edit("mu.square().sum() -> mu.norm()", "that is the root of the sum of squares; leave the root out."),
        "mean": Edit("square().sum() -> square().mean()", "a mean of the squares; the redundancy is a sum."),
        "largest only": Edit("mu.square().sum() -> mu.max().square()", "only the largest eigenvalue counts here; sum."),
        "halved": Edit(
            "mu.square().sum() - len(mu) -> (mu.square().sum() - len(mu)) / 2", "halved: C_ij and C_ji both count."
        ),
    },
    right={
        "distance to 1": "return (mu - 1).square().sum()",
        "minus the trace": "return mu @ mu - mu.sum()",
        "loop": "return sum(m * m for m in mu) - mu.shape[0]",
        "a matrix": "return torch.diag(mu).pow(2).sum() - mu.numel()",
    },
)


# --- 2.10 paired_loss: repair -------------------------------------------------------------------------------------


def paired_loss(x: Tensor, w: Tensor, lambd: float = 5e-3) -> losses.BarlowTwinsLoss:
    """Barlow Twins of a linear network: `x` holds view A of all images, then view B, `(2N, P)`; `w` is `(P, D)`."""
    z_a, z_b = (x @ w).chunk(2)
    return losses.barlow_twins(z_a, z_b, lambd)


def _stacked() -> list[Case]:
    """Both views below each other, and the weights of a linear network."""
    found = []
    for seed, (n, p, d) in enumerate(((6, 5, 4), (5, 3, 2), (8, 4, 6), (7, 6, 3))):
        kind = torch.float32 if seed == 3 else torch.float64
        x_a, x_b = views(n, p, 40 + seed, kind, 1, 1)
        w = torch.randn(p, d, generator=torch.Generator().manual_seed(50 + seed), dtype=torch.float64).to(kind)
        found.append(Case((torch.cat([x_a, x_b]), w), {"lambd": 0.2} if seed else {}))
    return found


declare(
    __name__,
    paired_loss,
    number="2.10",
    title="repair: a step that runs and learns nothing",
    difficulty=2,
    importance=4,
    minutes=10,
    points=2,
    hints=(
        "The diagonal of C stays near 0: the two things that are compared have nothing to do with each other.",
        "x holds N rows of view A, then N rows of view B. Which rows do z[0::2] and z[1::2] take?",
        "Image b is row b and row b + N. So z_a is the first half of z, and z_b the second.",
    ),
    cases=_stacked,
    fields=("total", "invariance", "redundancy"),
    answer="""
        def paired_loss(x, w, lambd=5e-3):
            z = x @ w
            n = len(z) // 2
            return barlow_twins(z[:n], z[n:], lambd)
    """,
    mistakes={
        "as it was": Edit(
            "z[:n], z[n:] -> z[0::2], z[1::2]",
            "that is the step as it was: rows 0 and 1 are two images of view A, not two views of one image.",
        ),
        "view A twice": Edit(
            "z[n:] -> z[:n]",
            "view A is compared with itself: the invariance is 0 from the start, and nothing is learned.",
        ),
        "view B twice": Edit("z[:n] -> z[n:]", "view B is compared with itself; view A is the first half of the rows."),
        "B backwards": Edit("z[n:] -> z[n:].flip(0)", "view B runs backwards: image b is row b and row b + N."),
        "B shifted": Edit("z[n:] -> z[n:].roll(1, 0)", "view B is off by one row: image b is row b and row b + N."),
        "halves of the dimensions": Edit(
            "z[:n], z[n:] -> z.chunk(2, dim=1)[0], z.chunk(2, dim=1)[1]",
            "the dimensions were cut in two halves; cut the rows.",
        ),
        "no network": Edit("x @ w -> x", "the weights w are not used: the loss is that of the pixels."),
        "stop-gradient": Edit(
            "z[n:] -> z[n:].detach()", "no gradient flows through view B: Barlow Twins has no stop-gradient."
        ),
        "stop-gradient on A": Edit(
            "z[:n] -> z[:n].detach()", "no gradient flows through view A: Barlow Twins has no stop-gradient."
        ),
        "standardised over features": Edit(
            "x @ w -> losses.standardize((x @ w).T).T",
            "each row was standardised first, over the features; barlow_twins standardises over the batch by itself.",
        ),
        "total only": Edit("z[n:], lambd) -> z[n:], lambd)[0]", "return the 3 values"),
    },
    right={
        "chunk": "z_a, z_b = (x @ w).chunk(2)\nreturn losses.barlow_twins(z_a, z_b, lambd)",
        "one product each": """
            x_a, x_b = x[: len(x) // 2], x[len(x) // 2 :]
            return tuple(losses.barlow_twins(x_a @ w, x_b @ w, lambd))
        """,
        "view": "z = (x @ w).view(2, len(x) // 2, -1)\nreturn losses.barlow_twins(z[0], z[1], lambd)",
        "row by row": """
            z, n = x @ w, len(x) // 2
            z_a = torch.stack([z[b] for b in range(n)])
            z_b = torch.stack([z[b + n] for b in range(n)])
            return losses.barlow_twins(z_a, z_b, lambd)
        """,
    },
)


# --- 2.11 correlation_offdiagonal ---------------------------------------------------------------------------------


def _batches() -> list[Case]:
    """One view each, at least two dimensions, none of them constant."""
    found = [case.args[0] for case in pairs() if "constant" not in case.note]
    return [Case((z,)) for z in found if z.shape[1] > 1]


declare(
    __name__,
    diagnose.correlation_offdiagonal,
    number="2.11",
    title="do the dimensions of one view repeat each other?",
    difficulty=2,
    importance=4,
    minutes=8,
    points=1,
    hints=(
        "The correlations within one view are cross_correlation(z, z, 0.0), with eps = 0.",
        "redundancy_term sums the squares off the diagonal. There are D (D - 1) of them.",
        "Root mean square: divide the sum by D (D - 1), then take the root.",
    ),
    cases=_batches,
    gradients=False,
    answer="""
        def correlation_offdiagonal(z):
            d = z.shape[1]
            return torch.sqrt(redundancy_term(cross_correlation(z, z, 0.0)) / (d * (d - 1)))
    """,
    mistakes={
        "no root": Edit("torch.sqrt ->", "the root is missing: root mean square."),
        "kept the diagonal": Edit(
            "redundancy_term(cross_correlation(z, z, 0.0)) -> cross_correlation(z, z, 0.0).square().sum()",
            "you kept the diagonal: a dimension always repeats itself.",
        ),
        "all entries": Edit(
            "torch.sqrt(redundancy_term(cross_correlation(z, z, 0.0)) / (d * (d - 1))) "
            "-> cross_correlation(z, z, 0.0).square().mean().sqrt()",
            "the mean runs over all D^2 entries, the diagonal among them.",
        ),
        "divided by D squared": Edit(
            "(d * (d - 1)) -> d**2", "divided by D^2; off the diagonal there are D (D - 1) entries."
        ),
        "divided by D": Edit("(d * (d - 1)) -> d", "divided by D; off the diagonal there are D (D - 1) entries."),
        "divided by half": Edit(
            "(d * (d - 1)) -> (d * (d - 1) / 2)", "divided by the number of pairs, but each pair is in the sum twice."
        ),
        "not divided": Edit("/ (d * (d - 1)) ->", "that is the root of a sum; take the mean of the squares first."),
        "eps kept": Edit(
            "z, 0.0 -> z", "eps = 0 is needed: with eps small embeddings look less correlated than they are."
        ),
        "of the samples": Edit("(z, z, 0.0) -> (z.T, z.T, 0.0)", "the samples were correlated; compare dimensions."),
        "covariance": Edit(
            "cross_correlation(z, z, 0.0) -> ((z - z.mean(0)).T @ (z - z.mean(0)) / len(z))",
            "those are covariances: divide each dimension by its standard deviation.",
        ),
        "mean absolute value": Edit(
            "torch.sqrt(redundancy_term(cross_correlation(z, z, 0.0)) / (d * (d - 1))) "
            "-> losses.off_diagonal(cross_correlation(z, z, 0.0)).abs().sum() / (d * (d - 1))",
            "a mean of absolute values; asked is the root of the mean of squares.",
        ),
        "mean with signs": Edit(
            "torch.sqrt(redundancy_term(cross_correlation(z, z, 0.0)) / (d * (d - 1))) "
            "-> losses.off_diagonal(cross_correlation(z, z, 0.0)).sum() / (d * (d - 1))",
            "the plain mean: correlations of opposite sign cancel. Square them first.",
        ),
    },
    right={
        "loop": """
            c = losses.cross_correlation(z, z, 0.0)
            d = len(c)
            return (sum(c[i, j] ** 2 for i in range(d) for j in range(d) if i != j) / (d * (d - 1))).sqrt()
        """,
        "corrcoef": """
            r = torch.corrcoef(z.T)
            return r[~torch.eye(len(r), dtype=torch.bool)].square().mean().sqrt()
        """,
        "normalised columns": """
            columns = F.normalize(z - z.mean(dim=0), dim=0)
            r = columns.T @ columns
            return (r - torch.diag(r.diagonal())).norm() / (len(r) * (len(r) - 1)) ** 0.5
        """,
    },
)
