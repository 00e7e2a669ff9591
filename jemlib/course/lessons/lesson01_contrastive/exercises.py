"""Lesson 01: the exercises that derive InfoNCE and its relatives, with their mistakes and other right answers."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from jemlib import diagnose, losses
from jemlib.course.machinery.agreement import Case
from jemlib.course.machinery.answers import Body, Edit, declare
from jemlib.course.machinery.inputs import pairs_with, single_views, views

FIELDS = ("total", "alignment", "contrast")


# --- Inputs ----------------------------------------------------------------------------------------------------


INFINITE = "exp(1 / temperature) is infinite"


def _tiny_temperatures() -> list[Case]:
    return [
        Case(views(6, 3, 7, torch.float64, 1, 1), {"temperature": 0.0002}, INFINITE),
        Case(views(5, 4, 9, torch.float64, 1, 1), {"temperature": 0.0001}, INFINITE),
    ]


def _pairs_and_small_temperature(usual: float = 0.5) -> list[Case]:
    """The usual pairs, and temperatures at which exp(1 / temperature) is infinite."""
    return pairs_with(temperature=usual)() + _tiny_temperatures()


def _pairs_with_temperature() -> list[Case]:
    """For a function whose temperature has no default."""
    temperatures = (0.2, 0.5, 0.3, 0.7, 0.1, 1.0, 0.25, 0.4)
    return [
        *(case._replace(kwargs={"temperature": t}) for case, t in zip(pairs_with()(), temperatures)),
        *_tiny_temperatures(),
    ]


def _smooth(cases: list[Case]) -> list[Case]:
    """Unit vectors of one dimension coincide exactly, where a root has no slope: there values only, in float32."""
    return [
        case._replace(args=tuple(arg.float() for arg in case.args)) if case.args[0].shape[1] == 1 else case
        for case in cases
    ]


def _queues() -> list[Case]:
    """Queries, keys and queues of several sizes: N = 1, R = 1, R < N, both types, and keys of any length."""
    generator = torch.Generator().manual_seed(31)
    sizes = ((5, 9, 4, 0.2), (3, 1, 6, 0.2), (1, 7, 3, 0.2), (8, 4, 5, 0.2), (4, 12, 3, 0.5), (6, 5, 4, 0.1))
    cases = []
    for n, size, d, temperature in sizes:
        q, k = views(n, d, n, torch.float64, 1, 1)
        queue = 3 * torch.randn(size, d, generator=generator, dtype=torch.float64)
        settings = {} if temperature == 0.2 else {"temperature": temperature}
        cases.append(Case((q, k, queue), settings, f"a queue of {size} keys"))
    single = cases[0]
    tiny = single._replace(kwargs={"temperature": 0.0002}, note=INFINITE)
    return [*cases, Case(tuple(arg.float() for arg in single.args), {"temperature": 0.5}), tiny]


# --- What goes wrong in any of the losses ----------------------------------------------------------------------

NO_NORMALIZATION = (
    "plain inner products: each row must be divided by its length first, cosine = <u, v> with |u| = |v| = 1."
)
OVER_BATCH = "the columns were normalised over the batch; normalise each row over its D features, dim=1."
SUM_OVER_BATCH = "a sum over the batch; this loss is a mean."
NO_LOG = "the log of the sum is missing: it is what makes the two terms minus a log-probability."
NO_LOG_SUMMED = (
    "the total is minus the sum of the probabilities, as the hand-written notes print it: take the log of each, and "
    "the mean over N."
)
LOG_OF_EACH = "the log was taken of each exponential, which undoes it; it stands outside the sum over j."
LOG_OUTSIDE = (
    "the log was taken last, of the mean over the anchors. Each anchor has its own log; the mean over them comes last."
)
MEAN_OF_EXP = (
    "the mean of the exponentials was taken inside the log; it is a sum, and the difference is a log of a count."
)
OVERFLOW = "the exponential of a large score overflows to infinity. logsumexp(dim=1) takes out the largest score first."
LOG_OF_EXP = Edit("logsumexp(dim=1) -> exp().sum(dim=1).log()", OVERFLOW)
ONE_SUM = "one log-sum was taken over the whole matrix; each anchor has its own."
NO_GRADIENT = "no gradient reaches any argument: detach(), item(), float() and no_grad() cut the graph."
NO_GRADIENT_TO_A = "no gradient reaches z_a: both views are trained, leave out detach() and no_grad()."
NO_GRADIENT_TO_B = "no gradient reaches z_b: both views are trained, leave out detach() and no_grad()."
OF_CONTRAST = (
    "no gradient comes through the contrast: detach(), item(), float(), math.log and math.exp cut the graph. Use "
    "torch.log and torch.exp."
)
DISTANCES_OF_ROWS = "the rows were not normalised: distances are measured on the unit sphere."


def _of_scores(default: str = "0.2") -> dict[str, Edit]:
    """Mistakes that any loss with `scores`, `alignment` and `contrast` invites, given its default temperature."""
    return {
        "no temperature": Edit(
            "/ temperature ->", "the temperature is missing: every similarity is divided by it, in both terms."
        ),
        "temperature fixed": Edit(
            f"temperature -> {default}", "the argument temperature is ignored: you used its default."
        ),
        "temperature inverted": Edit(
            "/ temperature -> * temperature", "the similarities were multiplied by the temperature; divide by it."
        ),
        "alignment not divided": Edit(
            "= -scores. -> = -temperature * scores.", "the alignment is not divided by the temperature; both terms are."
        ),
        "sign": Edit(
            "= -scores -> = scores", "the sign is turned around: alignment is minus the similarity of the positives."
        ),
        "subtracted": Edit(
            "alignment + contrast -> alignment - contrast",
            "the contrast was subtracted; the total is alignment + contrast.",
        ),
        "other order": Edit(
            "alignment + contrast, alignment, contrast -> alignment, contrast, alignment + contrast",
            "the values come in another order: (total, alignment, contrast).",
        ),
        "bare tensor": Edit("contrast, alignment, contrast -> contrast", "return the 3 values"),
        "no log": Edit("logsumexp(dim=1) -> exp().sum(dim=1)", NO_LOG),
        "log of each": Edit("logsumexp(dim=1) -> sum(dim=1)", LOG_OF_EACH),
        "log outside the mean": Edit(
            "logsumexp(dim=1).mean() -> logsumexp(dim=(0, 1)).sub(math.log(len(scores)))", LOG_OUTSIDE
        ),
        "one sum for all": Edit("logsumexp(dim=1) -> logsumexp(dim=(0, 1))", ONE_SUM),
        "detached": Edit(("/ temperature -> / temperature\n    scores = scores.detach()",), NO_GRADIENT),
        "contrast detached": Edit(".logsumexp -> .detach().logsumexp", OF_CONTRAST),
    }


A, B = "F.normalize(z_a, dim=1)", "F.normalize(z_b, dim=1)"
# Mistakes in the N x N cosines of view A with view B.
OF_TWO_VIEWS = {
    "no normalisation": Edit(f"{A} -> z_a\n{B} -> z_b", NO_NORMALIZATION),
    "A not normalised": Edit(f"{A} -> z_a", "the rows of z_a were not divided by their length."),
    "B not normalised": Edit(f"{B} -> z_b", "the rows of z_b were not divided by their length."),
    "over the batch": Edit("z_a, dim=1 -> z_a, dim=0\nz_b, dim=1 -> z_b, dim=0", OVER_BATCH),
    "sum": Edit(".mean() -> .sum()", SUM_OVER_BATCH),
    "view B unused": Edit(f"{B} -> {A}", "view B is not used: the positive of a row of z_a is the same row of z_b."),
    "view A unused": Edit(f"{A} -> {B}", "view A is not used: its rows are the anchors."),
    "view A detached": Edit("(z_a, -> (z_a.detach(),", NO_GRADIENT_TO_A),
    "view B detached": Edit("(z_b, -> (z_b.detach(),", NO_GRADIENT_TO_B),
}


# --- 1.1 and 1.2 info_nce ---------------------------------------------------------------------------------------

INFO_NCE_RIGHT = {
    "matrix algebra": """
        scores = F.normalize(z_a, dim=1) @ F.normalize(z_b, dim=1).T / temperature
        alignment = -scores.diagonal().mean()
        contrast = scores.logsumexp(dim=1).mean()
        return alignment + contrast, alignment, contrast
    """,
    "loop": """
        n, alignment, contrast = len(z_a), 0, 0
        for i in range(n):
            u = z_a[i] / z_a[i].norm()
            similarities = [u @ (z_b[j] / z_b[j].norm()) / temperature for j in range(n)]
            largest = max(float(s.detach()) for s in similarities)
            alignment = alignment - similarities[i] / n
            contrast = contrast + (largest + sum((s - largest).exp() for s in similarities).log()) / n
        return alignment + contrast, alignment, contrast
    """,
    "cross-entropy": """
        scores = F.normalize(z_a, dim=1) @ F.normalize(z_b, dim=1).T / temperature
        total = F.cross_entropy(scores, torch.arange(len(scores)))
        return total, -scores.diagonal().mean(), total + scores.diagonal().mean()
    """,
    "einsum": """
        lengths = torch.einsum("id,id->i", z_a, z_a).sqrt(), torch.einsum("jd,jd->j", z_b, z_b).sqrt()
        s = torch.einsum("id,jd->ij", z_a, z_b) / torch.outer(*lengths) / temperature
        total = -s.log_softmax(dim=1).diagonal().mean()
        alignment = -torch.einsum("ii->", s) / len(s)
        return total, alignment, total - alignment
    """,
    # The cosine from the squared distance of unit vectors, 1 - |u - v|^2 / 2.
    "squared distances": """
        u, v = z_a / z_a.norm(dim=1, keepdim=True), z_b / z_b.norm(dim=1, keepdim=True)
        s = (1 - (u[:, None] - v[None]).square().sum(dim=2) / 2) / temperature
        alignment, contrast = -s.trace() / len(s), torch.logsumexp(s, 1).mean()
        return alignment + contrast, alignment, contrast
    """,
    # The form without the positive in the sum, through softplus.
    "softplus": """
        s = F.normalize(z_a, dim=1) @ F.normalize(z_b, dim=1).T / temperature
        others = s.masked_fill(torch.eye(len(s), dtype=torch.bool), -math.inf)
        total = F.softplus(others.logsumexp(dim=1) - s.diagonal()).mean()
        return total, -s.diagonal().mean(), total + s.diagonal().mean()
    """,
}
NAIVE = INFO_NCE_RIGHT["matrix algebra"].replace("logsumexp(dim=1)", "exp().sum(dim=1).log()")
INFO_NCE_MISTAKES = {
    **_of_scores(),
    **OF_TWO_VIEWS,
    "positive left out": Edit(
        "scores.logsumexp -> scores.masked_fill(torch.eye(len(scores), dtype=torch.bool), -math.inf).logsumexp",
        "the positive is left out of the sum under the log: that is the decoupled form. Here j runs over all N rows "
        "of z_b.",
    ),
    "wrong axis": Edit(
        "logsumexp(dim=1) -> logsumexp(dim=0)",
        "the sum runs over the rows of z_a (dim=0): an anchor of A is compared with all rows of z_b, dim=1.",
    ),
    "both directions": Edit(
        "scores.logsumexp(dim=1) -> (scores.logsumexp(dim=1) + scores.logsumexp(dim=0)).div(2)",
        "that is the average of both directions; here only rows of z_a are anchors.",
    ),
    "minus the probability": Edit(
        "return alignment + contrast -> return -scores.softmax(dim=1).diagonal().mean()",
        "the total is minus the mean probability; take its log first. Without the log a badly ranked positive "
        "has hardly any gradient.",
    ),
    "minus the probability, summed": Edit(
        "return alignment + contrast -> return -scores.softmax(dim=1).diagonal().sum()", NO_LOG_SUMMED
    ),
    "minus the probability, summed, and no log": Edit(
        "return alignment + contrast -> return -scores.softmax(dim=1).diagonal().sum()\n"
        "logsumexp(dim=1) -> exp().sum(dim=1)",
        NO_LOG_SUMMED,
    ),
    "mean of exponentials": Edit("logsumexp(dim=1) -> logsumexp(dim=1).sub(math.log(len(scores)))", MEAN_OF_EXP),
    "all pairs are positives": Edit(
        "scores.diagonal() -> scores", "the alignment averages over all pairs; only the diagonal holds the positives."
    ),
    "contrast not divided": Edit(
        "scores.logsumexp -> (scores * temperature).logsumexp",
        "the scores under the log are not divided by the temperature; both terms are.",
    ),
    "times 2 tau": Edit(
        "return alignment + contrast, alignment, contrast "
        "-> return tuple(2 * temperature * term for term in (alignment + contrast, alignment, contrast))",
        "multiplied by 2 * temperature, as MoCo v3 scales its loss; here it has no such factor.",
    ),
}

declare(
    __name__,
    losses.info_nce,
    number="1.1",
    title="InfoNCE as loops that mirror the sum",
    difficulty=2,
    importance=4,
    minutes=12,
    points=2,
    hints=(
        "An outer loop over the anchors i, an inner one over the candidates j = 0 ... N-1, the positive too.",
        "The cosine of z_a[i] and z_b[j] is z_a[i] @ z_b[j] / (z_a[i].norm() * z_b[j].norm()). Divide it by the "
        "temperature and collect the N results of one anchor.",
        "For anchor i: alignment -= s_ii / N, and contrast += log(sum_j exp(s_ij)) / N. Begin both with "
        "z_a.new_zeros(()), and return (alignment + contrast, alignment, contrast).",
    ),
    cases=pairs_with(temperature=0.5),
    fields=FIELDS,
    answer="""
        def info_nce_loop(z_a, z_b, temperature=0.2):
            n = len(z_a)
            alignment, contrast = z_a.new_zeros(()), z_a.new_zeros(())
            for i in range(n):
                exponentials = z_a.new_zeros(())
                for j in range(n):
                    s_ij = z_a[i] @ z_b[j] / (z_a[i].norm() * z_b[j].norm()) / temperature
                    exponentials = exponentials + torch.exp(s_ij)
                    if i == j:
                        alignment = alignment - s_ij / n
                contrast = contrast + torch.log(exponentials) / n
            return alignment + contrast, alignment, contrast
    """,
    mistakes={
        **{name: mistake._replace(of="matrix algebra") for name, mistake in INFO_NCE_MISTAKES.items()},
        "last one left out": Edit(
            "exponentials = exponentials + torch -> exponentials = exponentials + (j < n - 1) * torch",
            "the last row of z_b is left out of the sum: j runs over all N of them.",
        ),
        "only later rows": Edit(
            "j in range(n) -> j in range(i, n)", "j starts at i: the rows of z_b before i are candidates as well."
        ),
        "only earlier rows": Edit(
            "j in range(n) -> j in range(i + 1)", "j stops at i: the rows of z_b after i are candidates as well."
        ),
        "overwritten": Edit(
            "= exponentials + torch -> = torch",
            "each candidate overwrites the one before: add up the exponentials, with += instead of =.",
        ),
        "not begun anew": Edit(
            "exponentials = z_a.new_zeros(()) -> exponentials = exponentials if i else 0",
            "the sum under the log goes on from one anchor to the next; it begins anew for each i.",
        ),
        "floats": Edit(
            "return alignment + contrast, alignment, contrast "
            "-> return [float(term) for term in (alignment + contrast, alignment, contrast)]",
            "a float as",
        ),
    },
    right={**INFO_NCE_RIGHT, "without care for overflow": NAIVE},
)
declare(
    __name__,
    losses.info_nce,
    number="1.2",
    title="InfoNCE in a few lines of tensor algebra",
    difficulty=2,
    importance=5,
    minutes=8,
    points=3,
    hints=(
        "All N x N cosines are one product: normalised rows of A times the transpose of the normalised rows of B.",
        "The positives stand on the diagonal. The sum over j runs along a row: logsumexp(dim=1).",
        "scores = F.normalize(z_a, dim=1) @ F.normalize(z_b, dim=1).T / temperature; alignment = "
        "-scores.diagonal().mean(); contrast = scores.logsumexp(dim=1).mean().",
    ),
    cases=_pairs_and_small_temperature,
    fields=FIELDS,
    answer="""
        def info_nce(z_a, z_b, temperature=0.2):
            scores = F.normalize(z_a, dim=1) @ F.normalize(z_b, dim=1).T / temperature
            alignment = -scores.diagonal().mean()
            contrast = scores.logsumexp(dim=1).mean()
            return alignment + contrast, alignment, contrast
    """,
    # The overflow first, because where it overflows a missing log gives infinity as well.
    mistakes={"overflow": Body(NAIVE, OVERFLOW), **INFO_NCE_MISTAKES},
    right=INFO_NCE_RIGHT,
)


# --- 1.3 decoupled_info_nce -------------------------------------------------------------------------------------

declare(
    __name__,
    losses.decoupled_info_nce,
    number="1.3",
    title="the positive out of the sum",
    difficulty=2,
    importance=3,
    minutes=6,
    points=2,
    hints=(
        "The scores and the alignment are those of info_nce. Only the diagonal must not count under the log.",
        "exp(-inf) is 0, so an entry of -inf drops out of a logsumexp.",
        "scores.masked_fill(torch.eye(N, dtype=torch.bool), float('-inf')).logsumexp(dim=1).mean()",
    ),
    cases=_pairs_with_temperature,
    fields=FIELDS,
    answer="""
        def decoupled_info_nce(z_a, z_b, temperature):
            scores = F.normalize(z_a, dim=1) @ F.normalize(z_b, dim=1).T / temperature
            alignment = -scores.diagonal().mean()
            positive = torch.eye(len(z_a), dtype=torch.bool)
            contrast = scores.masked_fill(positive, float("-inf")).logsumexp(dim=1).mean()
            return alignment + contrast, alignment, contrast
    """,
    mistakes={
        "overflow": LOG_OF_EXP,
        # without "temperature fixed": it has no default here. "log of each" would be minus infinity.
        **{name: m for name, m in _of_scores().items() if name not in ("temperature fixed", "log of each")},
        **OF_TWO_VIEWS,
        "sum": Edit(
            ".mean() -> .sum()", "a sum over the batch, as Barlow Twins prints it; jemlib takes the mean over N."
        ),
        "positive kept": Edit(
            'masked_fill(positive, float("-inf")). ->',
            "you kept the positive in the sum: that is the usual InfoNCE. Here j runs over j != i.",
        ),
        "diagonal set to 0": Edit(
            'float("-inf") -> 0', "a score of 0 still counts as e^0 = 1 in the sum; fill the diagonal with -inf."
        ),
        "mask turned around": Edit(
            "torch.eye(len(z_a), dtype=torch.bool) -> ~torch.eye(len(z_a), dtype=torch.bool)",
            "only the positive is left in the sum: the mask is turned around, the diagonal must be filled with -inf.",
        ),
        "mean of exponentials": Edit(
            "logsumexp(dim=1) -> logsumexp(dim=1).sub(math.log(len(scores) - 1))", MEAN_OF_EXP
        ),
        "wrong axis": Edit(
            "logsumexp(dim=1) -> logsumexp(dim=0)",
            "the sum runs over the rows of z_a (dim=0); the negatives of an anchor of A are rows of z_b, dim=1.",
        ),
        "same view": Edit(
            "contrast = scores -> contrast = (F.normalize(z_a, dim=1) @ F.normalize(z_a, dim=1).T / temperature)",
            "the negatives come from view A; in this form they are rows of z_b.",
        ),
    },
    right={
        "loop": """
            u, v = F.normalize(z_a, dim=1), F.normalize(z_b, dim=1)
            n, alignment, contrast = len(u), [], []
            for i in range(n):
                negatives = torch.stack([u[i] @ v[j] / temperature for j in range(n) if j != i])
                alignment.append(-(u[i] * v[i]).sum() / temperature)
                contrast.append(negatives.logsumexp(dim=0))
            terms = torch.stack(alignment).mean(), torch.stack(contrast).mean()
            return terms[0] + terms[1], *terms
        """,
        # The entries off the diagonal, picked into an N x (N-1) matrix.
        "picked entries": """
            s = F.normalize(z_a, dim=1) @ F.normalize(z_b, dim=1).T / temperature
            negatives = s[~torch.eye(len(s), dtype=torch.bool)].view(len(s), -1)
            per_sample = negatives.logsumexp(dim=1) - s.diagonal()
            return per_sample.mean(), -s.diagonal().mean(), (per_sample + s.diagonal()).mean()
        """,
    },
)


# --- 1.4 nt_xent ------------------------------------------------------------------------------------------------

declare(
    __name__,
    losses.nt_xent,
    number="1.4",
    title="NT-Xent: every row an anchor",
    difficulty=3,
    importance=4,
    minutes=15,
    points=3,
    hints=(
        "Put the views one below the other: torch.cat([z_a, z_b]) has 2N rows. Compute all 2N x 2N scores.",
        "No anchor may find itself: fill the diagonal with -inf before the logsumexp.",
        "The positive of row i < N is row i + N, and the other way round: scores.diagonal(N) holds N of these "
        "similarities, and the other N are the same numbers.",
        "alignment = -scores.diagonal(N).mean(); contrast = masked.logsumexp(dim=1).mean(), over all 2N rows.",
    ),
    cases=lambda: _pairs_and_small_temperature(0.2),
    fields=FIELDS,
    answer="""
        def nt_xent(z_a, z_b, temperature=0.5):
            n = len(z_a)
            both = F.normalize(torch.cat([z_a, z_b]), dim=1)
            scores = both @ both.T / temperature
            alignment = -scores.diagonal(n).mean()
            itself = torch.eye(2 * n, dtype=torch.bool)
            contrast = scores.masked_fill(itself, float("-inf")).logsumexp(dim=1).mean()
            return alignment + contrast, alignment, contrast
    """,
    mistakes={
        "overflow": LOG_OF_EXP,
        **{name: m for name, m in _of_scores("0.5").items() if name != "log of each"},
        "no normalisation": Edit(
            "F.normalize(torch.cat([z_a, z_b]), dim=1) -> torch.cat([z_a, z_b])", NO_NORMALIZATION
        ),
        "over the batch": Edit("]), dim=1 -> ]), dim=0", OVER_BATCH),
        "sum": Edit(
            "diagonal(n).mean() -> diagonal(n).sum().mul(2)\nlogsumexp(dim=1).mean() -> logsumexp(dim=1).sum()",
            "a sum over the 2N anchors; this loss is their mean.",
        ),
        "view B unused": Edit("z_b -> z_a", "view B is not used: the positive of a row of z_a is the same row of z_b."),
        "view A detached": Edit("[z_a, -> [z_a.detach(),", NO_GRADIENT_TO_A),
        "view B detached": Edit("z_b] -> z_b.detach()]", NO_GRADIENT_TO_B),
        "self kept": Edit(
            'masked_fill(itself, float("-inf")). ->',
            "the anchor itself is in its sum, with similarity 1: mask the diagonal of the 2N x 2N scores.",
        ),
        "self set to 0": Edit(
            'float("-inf") -> 0', "a masked score of 0 still counts as e^0 = 1 in the sum; fill the diagonal with -inf."
        ),
        "positive masked": Edit(
            "torch.eye(2 * n, dtype=torch.bool) -> torch.eye(n, dtype=torch.bool).repeat(2, 2)",
            "the positive is masked as well; only the anchor itself is left out.",
        ),
        "other view only": Edit(
            "torch.eye(2 * n, dtype=torch.bool) -> torch.block_diag(*[torch.ones(n, n)] * 2).bool()",
            "the negatives come from the other view only; the other images of the anchor's own view count too.",
        ),
        "own view only": Edit(
            "torch.eye(2 * n, dtype=torch.bool) "
            "-> (torch.block_diag(*[1 - torch.eye(n)] * 2) + torch.eye(2 * n).roll(n, 0) == 0)",
            "the negatives come from the anchor's own view only; the other images of the other view count too.",
        ),
        "similarity with itself": Edit(
            "diagonal(n) -> diagonal()",
            "the diagonal of the 2N x 2N scores holds each row with itself; the positives stand N beside it.",
        ),
        "rows next to each other": Edit(
            "scores.diagonal(n) -> scores[torch.arange(2 * n), torch.arange(2 * n) ^ 1]",
            "the positive of row i is row i + N (or i - N) when the views are stacked, not the row beside it.",
        ),
        "anchors of A only": Edit('"-inf")) -> "-inf"))[:n]', "only the rows of z_a are anchors; all 2N rows are."),
        "divided by N": Edit(
            "return alignment + contrast, alignment, contrast "
            "-> return 2 * (alignment + contrast), 2 * alignment, 2 * contrast",
            "that is the sum of two means over N, as SimCLR's code adds them: twice the mean over 2N anchors.",
        ),
        "mean of exponentials": Edit("logsumexp(dim=1) -> logsumexp(dim=1).sub(math.log(2 * n - 1))", MEAN_OF_EXP),
    },
    right={
        "loop": """
            n = len(z_a)
            u = [z / z.norm() for z in (*z_a, *z_b)]
            alignment = contrast = 0
            for i in range(2 * n):
                positive = i + n if i < n else i - n
                others = torch.stack([u[i] @ u[j] / temperature for j in range(2 * n) if j != i])
                alignment = alignment - u[i] @ u[positive] / temperature / (2 * n)
                contrast = contrast + others.logsumexp(dim=0) / (2 * n)
            return alignment + contrast, alignment, contrast
        """,
        # The four N x N blocks, as SimCLR's own code has them, with the mean of both directions.
        "four blocks": """
            n, u, v = len(z_a), F.normalize(z_a, dim=1), F.normalize(z_b, dim=1)
            across, mask = u @ v.T / temperature, torch.eye(n, dtype=torch.bool)
            of_a, of_b = ((w @ w.T / temperature).masked_fill(mask, -math.inf) for w in (u, v))
            there = F.cross_entropy(torch.cat([across, of_a], dim=1), torch.arange(n))
            back = F.cross_entropy(torch.cat([across.T, of_b], dim=1), torch.arange(n))
            total, alignment = (there + back) / 2, -across.diagonal().mean()
            return total, alignment, total - alignment
        """,
        "cross-entropy": """
            n, both = len(z_a), F.normalize(torch.cat([z_a, z_b]), dim=1)
            s = (both @ both.T / temperature).fill_diagonal_(-math.inf)
            total = F.cross_entropy(s, torch.cat([torch.arange(n, 2 * n), torch.arange(n)]))
            alignment = -(both[:n] * both[n:]).sum(dim=1).mean() / temperature
            return losses.ContrastiveLoss(total, alignment, total - alignment)
        """,
    },
)


# --- 1.5 info_nce_gradient --------------------------------------------------------------------------------------


def info_nce_gradient(z_a: Tensor, z_b: Tensor, temperature: float = 0.2) -> Tensor:
    """dL/dz_a of `jemlib.losses.info_nce`, `(N, D)`, without automatic differentiation."""
    u, v = F.normalize(z_a, dim=1), F.normalize(z_b, dim=1)
    n = len(u)
    p = (u @ v.T / temperature).softmax(dim=1)
    # g = dL/du = (P - I) v / (N tau)
    g = (p - torch.eye(n, dtype=u.dtype, device=u.device)) @ v / (n * temperature)
    # dL/dz_i = (g_i - <g_i, u_i> u_i) / |z_i|
    return (g - (g * u).sum(dim=1, keepdim=True) * u) / z_a.norm(dim=1, keepdim=True)


def _orthogonal(case: Case, ours: Sequence[Tensor], truth: Sequence[Tensor]) -> str | None:
    """The identity of a gradient through a normalisation."""
    g, z = ours[0], case.args[0]
    if g.shape != z.shape:
        return "The gradient has the shape of z_a."
    if not g.isfinite().all():
        return None
    if float((g * z).sum(dim=1).abs().max()) > 1e-3 * float(g.norm(dim=1).max() * z.norm(dim=1).max()):
        return "Its rows are not orthogonal to those of z_a, as they must be: the length of a row changes nothing."
    return "Each row is orthogonal to its row of z_a, as it must be, so look at P - I, at N, tau and the length."


declare(
    __name__,
    info_nce_gradient,
    number="1.5",
    title="the gradient in closed form",
    difficulty=4,
    importance=3,
    minutes=20,
    points=4,
    hints=(
        "First the gradient for the scores: P - I, divided by N, where P is the softmax of each row of scores.",
        "Then for the unit vectors: score_ij = <u_i, v_j> / tau, so g = (P - I) @ v / (N * tau).",
        "Then through u = z / |z|. Only the part of g_i that is orthogonal to u_i survives, divided by |z_i|.",
        "g = g - (g * u).sum(dim=1, keepdim=True) * u, and the result is g / z_a.norm(dim=1, keepdim=True).",
    ),
    cases=_pairs_and_small_temperature,
    closed_form=True,
    gradients=False,
    symptom=_orthogonal,
    answer="""
        def info_nce_gradient(z_a, z_b, temperature=0.2):
            n = len(z_a)
            u, v = F.normalize(z_a, dim=1), F.normalize(z_b, dim=1)
            p = (u @ v.T / temperature).softmax(dim=1)
            g = (p - torch.eye(n, dtype=z_a.dtype)) @ v / (n * temperature)
            tangent = g - (g * u).sum(dim=1, keepdim=True) * u
            return tangent / z_a.norm(dim=1, keepdim=True)
    """,
    mistakes={
        "overflow": Edit(
            "(p - torch -> (p / p.sum(dim=1, keepdim=True) - torch\nsoftmax(dim=1) -> exp()",
            "the exponential of a large score overflows to infinity. softmax(dim=1) takes out the largest score first.",
        ),
        "no projection": Edit(
            "- (g * u).sum(dim=1, keepdim=True) * u ->",
            "the part along u was not taken away: the length of z does not change the loss.",
        ),
        "projection added": Edit("g - (g -> g + (g", "the part along u was added; take it away from g."),
        "projection on v": Edit(
            "(g * u).sum(dim=1, keepdim=True) * u -> (g * v).sum(dim=1, keepdim=True) * v",
            "the part along v was taken away; it is the part along u, the row's own direction.",
        ),
        "projection on z": Edit(
            "(g * u).sum(dim=1, keepdim=True) * u -> (g * z_a).sum(dim=1, keepdim=True) * z_a",
            "the part along z was taken away with its length squared: project on the unit vector u.",
        ),
        "no length": Edit("/ z_a.norm(dim=1, keepdim=True) ->", "the division by the length |z_i| is missing."),
        "squared length": Edit("z_a.norm(dim=1 -> z_a.square().sum(dim=1", "divided by |z_i|^2 instead of |z_i|."),
        "times the length": Edit("tangent / -> tangent *", "it was multiplied by the length |z_i|; divide by it."),
        "on the sphere": Edit(
            "return tangent / z_a.norm(dim=1, keepdim=True) -> return g",
            "that is the gradient for the normalised u; the chain rule through u = z / |z| is still to come.",
        ),
        "keys not normalised": Edit(
            "@ v / -> @ z_b /", "the keys were not normalised: the gradient is a mixture of unit vectors."
        ),
        "anchors for keys": Edit(
            "@ v / -> @ u /", "that is a mixture of the anchors u; (P - I) multiplies the keys v."
        ),
        "sign": Edit(
            "return tangent -> return -tangent",
            "the sign is turned around: it is P - I, and a step goes against the gradient.",
        ),
        "no identity": Edit(
            "(p - torch.eye(n, dtype=z_a.dtype)) -> p",
            "the -I is missing: without it nothing pulls the anchor to its positive.",
        ),
        "no softmax": Edit(
            "(p - -> (-", "the P is missing: only the pull to the positive is there, nothing pushes away."
        ),
        "columns": Edit(
            "softmax(dim=1) -> softmax(dim=0)",
            "the softmax runs down the columns; the candidates of an anchor are a row, dim=1.",
        ),
        "transposed": Edit(
            ")) @ v -> )).T @ v", "P - I is transposed: that matrix belongs to the gradient for the keys."
        ),
        "not divided by N": Edit(
            "(n * temperature) -> temperature", "the factor 1/N is missing: the loss is a mean over the batch."
        ),
        "not divided by the temperature": Edit(
            "(n * temperature) -> n", "the factor 1/tau in front of (P - I) v is missing."
        ),
        "temperature in front only": Edit("v.T / temperature -> v.T", "the temperature is missing in the softmax."),
        "temperature fixed": Edit(
            "temperature -> 0.2", "the argument temperature is ignored: 0.2 is only its default."
        ),
        "no temperature": Edit(
            "v.T / temperature -> v.T\n(n * temperature) -> n",
            "the temperature is missing, in the softmax and in front of it.",
        ),
        "other branch": Edit(
            "(z_a, -> (z,\n(z_b, -> (z_a,\n(z, -> (z_b,\nz_a.norm -> z_b.norm",
            "the roles are exchanged: asked is the gradient for z_a, whose rows are the anchors.",
        ),
        "gradient for the keys": Edit(
            ")) @ v -> )).T @ u\n(g * u).sum(dim=1, keepdim=True) * u -> (g * v).sum(dim=1, keepdim=True) * v\n"
            "z_a.norm -> z_b.norm",
            "that is the gradient for z_b, the keys; asked is z_a.",
        ),
    },
    right={
        "loop": """
            u, v = F.normalize(z_a, dim=1), F.normalize(z_b, dim=1)
            n, rows = len(u), []
            for i in range(n):
                p = torch.stack([u[i] @ v[j] / temperature for j in range(n)]).softmax(dim=0)
                g = -v[i]
                for j in range(n):
                    g = g + p[j] * v[j]
                g = g / (n * temperature)
                rows.append((g - torch.dot(g, u[i]) * u[i]) / z_a[i].norm())
            return torch.stack(rows)
        """,
        # The projector I - u u^T as a matrix for each sample.
        "projector": """
            u, v = F.normalize(z_a, dim=1), F.normalize(z_b, dim=1)
            weights = (u @ v.T / temperature).softmax(dim=1) - torch.eye(len(u), dtype=u.dtype)
            g = torch.einsum("ij,jd->id", weights, v) / (len(u) * temperature)
            tangent = torch.eye(u.shape[1], dtype=u.dtype) - torch.einsum("ic,id->icd", u, u)
            return torch.einsum("icd,id->ic", tangent, g) / z_a.norm(dim=1, keepdim=True)
        """,
    },
)


# --- 1.6 alignment ----------------------------------------------------------------------------------------------

declare(
    __name__,
    diagnose.alignment,
    number="1.6",
    title="how far apart two views of an image lie",
    difficulty=1,
    importance=4,
    minutes=4,
    points=1,
    hints=(
        "Normalise the rows of both views, subtract, and take the length of each row of the difference.",
        "(F.normalize(z_a, dim=1) - F.normalize(z_b, dim=1)).norm(dim=1), to the power alpha, and the mean.",
    ),
    cases=lambda: _smooth(pairs_with(alpha=3.0)()),
    answer="""
        def alignment(z_a, z_b, alpha=2):
            u, v = F.normalize(z_a, dim=1), F.normalize(z_b, dim=1)
            return (u - v).norm(dim=1).pow(alpha).mean()
    """,
    mistakes={
        "no normalisation": Edit("F.normalize(z_a, dim=1), F.normalize(z_b, dim=1) -> z_a, z_b", DISTANCES_OF_ROWS),
        "A not normalised": Edit("F.normalize(z_a, dim=1) -> z_a", "the rows of z_a were not divided by their length."),
        "B not normalised": Edit("F.normalize(z_b, dim=1) -> z_b", "the rows of z_b were not divided by their length."),
        "over the batch": Edit("z_a, dim=1 -> z_a, dim=0\nz_b, dim=1 -> z_b, dim=0", OVER_BATCH),
        "sum": Edit("mean() -> sum()", "a sum over the pairs; take the mean."),
        "no mean": Edit(".mean() ->", "one value for each pair is left, (N,); take their mean."),
        "mean over features": Edit(
            "mean() -> mean() / z_a.shape[1]", "divided by D as well: a squared distance is a sum over the features."
        ),
        "columns": Edit(
            "norm(dim=1) -> norm(dim=0)", "the lengths are those of the columns; a pair is a row, so dim=1."
        ),
        "alpha fixed": Edit("pow(alpha) -> square()", "the argument alpha is ignored: 2 is its default."),
        "no power": Edit(".pow(alpha) ->", "the distance was not raised to the power alpha."),
        "half the power": Edit(
            "pow(alpha) -> pow(alpha / 2)",
            "the distance was raised to alpha / 2; that is for the squared distance, the distance gets alpha.",
        ),
        "power of the square": Edit(
            "norm(dim=1) -> square().sum(dim=1)",
            "the squared distance was raised to alpha; |u - v|^alpha is the squared distance to the power alpha / 2.",
        ),
        "power of the mean": Edit(
            "pow(alpha).mean() -> mean().pow(alpha)",
            "the mean distance was raised to alpha: raise each distance first, then average.",
        ),
        "entry by entry": Edit(
            "norm(dim=1).pow(alpha) -> abs().pow(alpha).sum(dim=1)",
            "the power was taken entry by entry; first the Euclidean distance of the two rows, then the power.",
        ),
        "all pairs": Edit(
            "(u - v).norm(dim=1) -> torch.cdist(u, v)",
            "all pairs of rows were compared; row i of z_a belongs to row i of z_b.",
        ),
        "pairwise_distance": Edit(
            "(u - v).norm(dim=1) -> F.pairwise_distance(u, v)",
            "F.pairwise_distance adds 1e-6 to each entry of the difference: give it eps=0, or use norm(dim=1).",
        ),
        "cosine distance": Edit(
            "(u - v).norm(dim=1).pow(alpha) -> (1 - (u * v).sum(dim=1))",
            "1 - cosine is half the squared distance: |u - v|^2 = 2 - 2 <u, v>.",
        ),
        "sign": Edit("return -> return -", "the sign is turned around: a distance is minimised, and 0 is best."),
        "detached": Edit("(u - v) -> (u - v).detach()", NO_GRADIENT),
        "view A detached": Edit("(z_a, -> (z_a.detach(),", NO_GRADIENT_TO_A),
        "view B detached": Edit("(z_b, -> (z_b.detach(),", NO_GRADIENT_TO_B),
    },
    right={
        "loop": """
            total = 0
            for a, b in zip(z_a, z_b):
                total = total + (a / a.norm() - b / b.norm()).norm() ** alpha
            return total / len(z_a)
        """,
        "root and power": Edit("(u - v).norm(dim=1).pow(alpha) -> ((u - v).square().sum(dim=1).sqrt() ** alpha)"),
        "squares": Edit("norm(dim=1).pow(alpha) -> square().sum(dim=1).pow(alpha / 2)"),
        "from the cosine": Edit("(u - v).norm(dim=1).pow(alpha) -> (2 - 2 * (u * v).sum(dim=1)).pow(alpha / 2)"),
        "diagonal of all distances": Edit("(u - v).norm(dim=1) -> torch.cdist(u, v).diagonal()"),
    },
)


# --- 1.7 uniformity ---------------------------------------------------------------------------------------------

PDIST = "return torch.pdist(F.normalize(z, dim=1)).square().mul(-t).exp().mean().log()"

declare(
    __name__,
    diagnose.uniformity,
    number="1.7",
    title="how evenly embeddings cover the sphere",
    difficulty=3,
    importance=4,
    minutes=10,
    points=2,
    hints=(
        "For unit rows all squared distances come from one product: |u_i - u_j|^2 = 2 - 2 <u_i, u_j>.",
        "Take the pairs i < j only, or the pairs i != j: each counts twice, in the sum and in their number.",
        "mask = torch.ones(N, N).triu(1).bool(); torch.exp(-t * squared[mask]).mean().log()",
    ),
    cases=lambda: _smooth(single_views(t=0.7)()),
    answer="""
        def uniformity(z, t=2):
            u = F.normalize(z, dim=1)
            squared = 2 - 2 * u @ u.T
            pairs = torch.ones_like(squared).triu(diagonal=1).bool()
            return torch.exp(-t * squared[pairs]).mean().log()
    """,
    mistakes={
        "no normalisation": Edit("F.normalize(z, dim=1) -> z", DISTANCES_OF_ROWS, of="pdist"),
        "inner products of rows": Edit("F.normalize(z, dim=1) -> z", DISTANCES_OF_ROWS),
        "over the batch": Edit("dim=1 -> dim=0", OVER_BATCH, of="pdist"),
        "itself": Edit(
            "[pairs] ->",
            "each sample was compared with itself: distance 0, so N ones stand in the mean. Only pairs i < j.",
        ),
        "itself, in one half": Edit(
            "diagonal=1 -> diagonal=0",
            "the mask keeps the diagonal, where each sample meets itself: triu(diagonal=1) leaves it out.",
        ),
        "no log": Edit(".log() ->", "the log of the mean is missing."),
        "log inside": Edit(
            "torch.exp(-t * squared[pairs]).mean().log() -> (-t * squared[pairs]).mean()",
            "the log was taken before the mean: what is left is minus t times the mean squared distance.",
        ),
        "log of each row": Body(
            """
            u = F.normalize(z, dim=1)
            others = (-t * (2 - 2 * u @ u.T)).masked_fill(torch.eye(len(z), dtype=torch.bool), -math.inf)
            return (others.exp().sum(dim=1) / (len(z) - 1)).log().mean()
            """,
            "a log for each sample, and then their mean: that is InfoNCE's order. Here one log stands outside of all.",
        ),
        "sum": Edit(
            "mean() -> sum()",
            "the log of a sum: without dividing by the number of pairs the value grows with the batch.",
        ),
        "sum over both orders": Edit(
            "mean() -> sum().mul(2)",
            "the log of a sum over all i != j: without dividing by their number, N (N - 1), the value grows with the "
            "batch.",
        ),
        "half": Edit(
            "mean() -> mean().div(2)",
            "pairs i < j were divided by N (N - 1): there are N (N - 1) / 2 of them, and log 2 is off.",
        ),
        "divided by N squared": Edit(
            "mean() -> sum().mul(2).div(len(z) ** 2)",
            "divided by N^2; without the diagonal there are N (N - 1) ordered pairs.",
        ),
        "one half divided by N squared": Edit(
            "mean() -> sum().div(len(z) ** 2)", "divided by N^2; there are N (N - 1) / 2 pairs i < j."
        ),
        "minus missing": Edit(
            "-t * -> t *", "the minus in the exponent is missing: near pairs must weigh most, exp(-t |u_i - u_j|^2)."
        ),
        "t fixed": Edit("-t * -> -2 *", "the argument t is ignored: 2 is its default."),
        "no t": Edit("-t * -> -", "the factor t in the exponent is missing."),
        "over t": Edit("-t * squared[pairs] -> -squared[pairs] / t", "the exponent was divided by t; multiply by it."),
        "no square": Edit(
            ".square() ->", "the distance in the exponent is not squared: it is exp(-t |u_i - u_j|^2).", of="pdist"
        ),
        "cosine": Edit(
            "-t * squared[pairs] -> t * (u @ u.T)[pairs]",
            "cosines stand in the exponent; the squared distance is 2 - 2 cos, which is another factor and a constant.",
        ),
        "sign": Edit("return -> return -", "the sign is turned around: lower is more uniform, and 0 is collapse."),
        "root of zero": Edit(
            "2 - 2 * u @ u.T -> (u[:, None] - u).square().sum(dim=2).sqrt().square()",
            "the gradient is NaN: the distance of a sample to itself is a root of 0, which has no slope. Square "
            "distances need no root.",
        ),
        "detached": Edit("F.normalize(z, -> F.normalize(z.detach(),", NO_GRADIENT),
    },
    right={
        "loop": """
            u = [row / row.norm() for row in z]
            n, total = len(u), 0
            for i in range(n):
                for j in range(i + 1, n):
                    total = total + torch.exp(-t * (u[i] - u[j]).square().sum())
            return (2 * total / (n * (n - 1))).log()
        """,
        "pdist": PDIST,
        "both orders": Edit("torch.ones_like(squared).triu(diagonal=1).bool() -> ~torch.eye(len(z), dtype=torch.bool)"),
        "roots of pairs": """
            u = F.normalize(z, dim=1)
            i, j = torch.triu_indices(len(z), len(z), 1)
            return (-t * (u[i] - u[j]).square().sum(dim=1).sqrt() ** 2).exp().mean().log()
        """,
        "einsum": """
            u = F.normalize(z, dim=1)
            scores = -2 * t + 2 * t * torch.einsum("id,jd->ij", u, u)
            return scores[~torch.eye(len(z), dtype=torch.bool)].exp().mean().log()
        """,
    },
)


# --- 1.8 info_nce_queue -----------------------------------------------------------------------------------------

CANDIDATES = "torch.cat([positive[:, None], negative], dim=1)"

declare(
    __name__,
    losses.info_nce_queue,
    number="1.8",
    title="negatives from a queue",
    difficulty=3,
    importance=3,
    minutes=12,
    points=3,
    hints=(
        "Each query has 1 + R candidates: its own key, row i of k, and the R rows of the queue. Normalise all.",
        "The positives are N numbers, (u * v).sum(dim=1) / temperature. The negatives are an N x R matrix.",
        "Put the positives in front as a column, torch.cat([positive[:, None], negative], dim=1), and take the "
        "logsumexp of each row. Detach k and the queue.",
    ),
    cases=_queues,
    fields=FIELDS,
    answer="""
        def info_nce_queue(q, k, queue, temperature=0.2):
            u = F.normalize(q, dim=1)
            positive = (u * F.normalize(k.detach(), dim=1)).sum(dim=1) / temperature
            negative = u @ F.normalize(queue.detach(), dim=1).T / temperature
            alignment = -positive.mean()
            contrast = torch.cat([positive[:, None], negative], dim=1).logsumexp(dim=1).mean()
            return alignment + contrast, alignment, contrast
    """,
    mistakes={
        "overflow": LOG_OF_EXP,
        "positive left out": Edit(
            f"{CANDIDATES} -> negative",
            "the positive is missing from the sum: the candidates are the key and the R entries of the queue.",
        ),
        "queue unused": Edit(
            f"queue.detach() -> k.detach()\n{CANDIDATES} -> negative",
            "the queue is not used: the negatives are its R keys, not the other keys of the batch.",
        ),
        "batch and queue": Edit(
            f"queue.detach() -> torch.cat([k, queue]).detach()\n{CANDIDATES} -> negative",
            "the other keys of the batch are negatives as well; here only the queue gives negatives.",
        ),
        "nothing normalised": Edit(
            "F.normalize(q, dim=1) -> q\nF.normalize(k.detach(), dim=1) -> k.detach()\n"
            "F.normalize(queue.detach(), dim=1) -> queue.detach()",
            NO_NORMALIZATION,
        ),
        "queue not normalised": Edit(
            "F.normalize(queue.detach(), dim=1) -> queue.detach()",
            "the keys in the queue were not normalised; do not count on it.",
        ),
        "queries not normalised": Edit("F.normalize(q, dim=1) -> q", "the queries were not normalised."),
        "keys not normalised": Edit(
            "F.normalize(k.detach(), dim=1) -> k.detach()", "the positive keys were not normalised."
        ),
        "over the batch": Edit("(q, dim=1 -> (q, dim=0\ndetach(), dim=1 -> detach(), dim=0", OVER_BATCH),
        "no temperature": Edit(
            "/ temperature ->", "the temperature is missing: every similarity is divided by it, in both terms."
        ),
        "temperature fixed": Edit("temperature -> 0.2", "the argument temperature is ignored: you used its default."),
        "temperature inverted": Edit(
            "/ temperature -> * temperature", "the similarities were multiplied by the temperature; divide by it."
        ),
        "temperature on negatives only": Edit(
            ".sum(dim=1) / temperature -> .sum(dim=1)",
            "the similarity with the positive is not divided by the temperature; both are.",
        ),
        "temperature on positives only": Edit(
            ".T / temperature -> .T", "the similarities with the queue are not divided by the temperature; all are."
        ),
        "sign": Edit(
            "= -positive -> = positive",
            "the sign is turned around: alignment is minus the similarity of the positives.",
        ),
        "subtracted": Edit(
            "alignment + contrast -> alignment - contrast",
            "the contrast was subtracted; the total is alignment + contrast.",
        ),
        "sum": Edit(".mean() -> .sum()", SUM_OVER_BATCH),
        "no log": Edit("logsumexp(dim=1) -> exp().sum(dim=1)", NO_LOG),
        "log outside the mean": Edit("logsumexp(dim=1).mean() -> exp().sum(dim=1).mean().log()", LOG_OUTSIDE),
        "mean of exponentials": Edit("logsumexp(dim=1) -> logsumexp(dim=1).sub(math.log(1 + len(queue)))", MEAN_OF_EXP),
        "keys trained": Edit(
            "(k.detach() -> (k", "a gradient reaches the keys k: they come from the momentum encoder, so detach them."
        ),
        "queue trained": Edit(
            "queue.detach() -> queue", "a gradient reaches the queue: its keys are old values, so detach them."
        ),
        "both trained": Edit(
            ".detach() ->", "gradients reach both k and the queue: neither is trained, so detach the two."
        ),
        "queries detached": Edit(
            "(q, -> (q.detach(),",
            "no gradient reaches q: the queries are what is trained, so detach k and the queue only.",
        ),
        "contrast detached": Edit(".logsumexp -> .detach().logsumexp", OF_CONTRAST),
    },
    right={
        # As MoCo's algorithm has it: the positive is column 0, and the label is 0.
        "cross-entropy with label 0": """
            u, v, w = F.normalize(q, dim=1), F.normalize(k, dim=1).detach(), F.normalize(queue, dim=1).detach()
            positive, negative = torch.einsum("nd,nd->n", u, v), torch.einsum("nd,rd->nr", u, w)
            logits = torch.cat([positive[:, None], negative], dim=1) / temperature
            total = F.cross_entropy(logits, torch.zeros(len(q), dtype=torch.long))
            alignment = -logits[:, 0].mean()
            return total, alignment, total - alignment
        """,
        "loop": """
            alignment = contrast = 0
            for anchor, key in zip(q, k):
                u, keys = anchor / anchor.norm(), (key, *queue)
                candidates = torch.stack([u @ (other / other.norm()).detach() / temperature for other in keys])
                alignment = alignment - candidates[0] / len(q)
                contrast = contrast + candidates.logsumexp(dim=0) / len(q)
            return alignment + contrast, alignment, contrast
        """,
        "log-add-exp": Edit(f"{CANDIDATES}.logsumexp(dim=1) -> torch.logaddexp(positive, negative.logsumexp(dim=1))"),
    },
)
