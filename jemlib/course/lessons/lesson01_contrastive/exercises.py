"""Lesson 01: the exercises that derive InfoNCE and its relatives, with their wrong and other right answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from jemlib import diagnose, losses
from jemlib.course.machinery.agreement import Agreement, Case, Wrong
from jemlib.course.machinery.exercises import Exercise, register
from jemlib.course.machinery.inputs import pairs_with, single_views, views
from jemlib.course.machinery.lessons import lesson_of

LESSON = lesson_of(__name__)
FIELDS = ("total", "alignment", "contrast")
Terms = tuple[Tensor, Tensor, Tensor]
Loss = Callable[..., Terms]


# --- Inputs ----------------------------------------------------------------------------------------------------


def _pairs_and_small_temperature() -> list[Case]:
    """The usual pairs, and a temperature at which exp(1 / temperature) is infinite."""
    tiny = [
        Case(views(6, 3, 7, torch.float64, 1, 1), {"temperature": 0.0002}, "exp(1 / temperature) is infinite"),
        Case(views(5, 4, 9, torch.float64, 1, 1), {"temperature": 0.0001}, "exp(1 / temperature) is infinite"),
    ]
    return pairs_with(temperature=0.5)() + tiny


def _pairs_with_temperature() -> list[Case]:
    """For a function whose temperature has no default."""
    temperatures = (0.2, 0.5, 0.3, 0.7, 0.1, 1.0, 0.25, 0.4)
    return [case._replace(kwargs={"temperature": t}) for case, t in zip(pairs_with()(), temperatures)]


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
    return [*cases, Case(tuple(arg.float() for arg in single.args), {"temperature": 0.5})]


# --- What goes wrong in any of the losses ----------------------------------------------------------------------

NO_TEMPERATURE = "the temperature is missing: every similarity is divided by it, in both terms."
TEMPERATURE_FIXED = "the argument temperature is ignored: you used its default."
TEMPERATURE_INVERTED = "the similarities were multiplied by the temperature; divide by it."
NO_NORMALIZATION = (
    "plain inner products: each row must be divided by its length first, cosine = <u, v> with |u| = |v| = 1."
)
OVER_BATCH = "the columns were normalised over the batch; normalise each row over its D features, dim=1."
SUM_OVER_BATCH = "a sum over the batch; this loss is a mean."
NO_LOG = "the log of the sum is missing: it is what makes the two terms minus a log-probability."
MEAN_OF_EXP = (
    "the mean of the exponentials was taken inside the log; it is a sum, and the difference is a log of a count."
)
SIGN = "the sign is turned around: alignment is minus the similarity of the positives."
OTHER_ORDER = "the values come in another order: (total, alignment, contrast)."
DETACHED = "no gradient reaches argument 2: both views are trained, leave out detach() and no_grad()."


def _cosine(z_a: Tensor, z_b: Tensor, temperature: float) -> Tensor:
    return F.normalize(z_a, dim=1) @ F.normalize(z_b, dim=1).T / temperature


def _dot(z_a: Tensor, z_b: Tensor, temperature: float) -> Tensor:
    return z_a @ z_b.T / temperature


def _over_batch(z_a: Tensor, z_b: Tensor, temperature: float) -> Tensor:
    return F.normalize(z_a, dim=0) @ F.normalize(z_b, dim=0).T / temperature


def _others(scores: Tensor, value: float = float("-inf")) -> Tensor:
    """The scores without the diagonal."""
    return scores.masked_fill(torch.eye(len(scores), dtype=torch.bool), value)


def _log_sum(scores: Tensor) -> Tensor:
    return scores.logsumexp(dim=1)


def _assembled(
    default: float = 0.2,
    *,
    scores: Callable[[Tensor, Tensor, float], Tensor] = _cosine,
    alignment: Callable[[Tensor], Tensor] = lambda s: -s.diagonal(),
    contrast: Callable[[Tensor], Tensor] = _log_sum,
    reduce: Callable[[Tensor], Tensor] = torch.mean,
) -> Loss:
    """Some InfoNCE: its scores, its two terms for each sample, and how they become one number."""

    def loss(z_a: Tensor, z_b: Tensor, temperature: float = default) -> Terms:
        s = scores(z_a, z_b, temperature)
        align, spread = reduce(alignment(s)), reduce(contrast(s))
        return align + spread, align, spread

    return loss


def _reordered(loss: Loss, default: float) -> Loss:
    def other(z_a: Tensor, z_b: Tensor, temperature: float = default) -> Terms:
        total, align, spread = loss(z_a, z_b, temperature)
        return align, spread, total

    return other


def _second_detached(loss: Loss, default: float) -> Loss:
    return lambda z_a, z_b, temperature=default: loss(z_a, z_b.detach(), temperature)


def _common_mistakes(loss: Loss, assembled: Callable[..., Loss], default: float) -> dict[str, Wrong]:
    """Mistakes that any of the three in-batch losses invites."""
    return {
        "no temperature": Wrong(lambda z_a, z_b, temperature=default: loss(z_a, z_b, 1.0), NO_TEMPERATURE),
        "temperature fixed": Wrong(lambda z_a, z_b, temperature=default: loss(z_a, z_b, default), TEMPERATURE_FIXED),
        "temperature inverted": Wrong(
            lambda z_a, z_b, temperature=default: loss(z_a, z_b, 1 / temperature), TEMPERATURE_INVERTED
        ),
        "no normalisation": Wrong(assembled(scores=_dot), NO_NORMALIZATION),
        "over the batch": Wrong(assembled(scores=_over_batch), OVER_BATCH),
        "sum": Wrong(assembled(reduce=torch.sum), SUM_OVER_BATCH),
        "view B unused": Wrong(
            lambda z_a, z_b, temperature=default: loss(z_a, z_a, temperature),
            "view B is not used: the positive of a row of z_a is the same row of z_b.",
        ),
        "sign": Wrong(assembled(alignment=lambda s: s.diagonal()), SIGN),
        "other order": Wrong(_reordered(loss, default), OTHER_ORDER),
        "bare tensor": Wrong(
            lambda z_a, z_b, temperature=default: loss(z_a, z_b, temperature)[0], "return the 3 values"
        ),
        "view B detached": Wrong(_second_detached(loss, default), DETACHED),
    }


# --- 1.1 and 1.2 info_nce ---------------------------------------------------------------------------------------


def _both_directions(z_a: Tensor, z_b: Tensor, temperature: float = 0.2) -> Terms:
    there, back = losses.info_nce(z_a, z_b, temperature), losses.info_nce(z_b, z_a, temperature)
    total, align, spread = ((x + y) / 2 for x, y in zip(there, back))
    return total, align, spread


def _only_contrast_scaled(z_a: Tensor, z_b: Tensor, temperature: float = 0.2) -> Terms:
    s = _cosine(z_a, z_b, 1.0)
    align, spread = -s.diagonal().mean(), (s / temperature).logsumexp(dim=1).mean()
    return align + spread, align, spread


def _minus_probability(z_a: Tensor, z_b: Tensor, temperature: float = 0.2) -> Terms:
    _, align, spread = losses.info_nce(z_a, z_b, temperature)
    return -_cosine(z_a, z_b, temperature).softmax(dim=1).diagonal().mean(), align, spread


def _moco_scale(z_a: Tensor, z_b: Tensor, temperature: float = 0.2) -> Terms:
    total, align, spread = (2 * temperature * x for x in losses.info_nce(z_a, z_b, temperature))
    return total, align, spread


def _naive(z_a: Tensor, z_b: Tensor, temperature: float = 0.2) -> Terms:
    s = _cosine(z_a, z_b, temperature)
    align, spread = -s.diagonal().mean(), s.exp().sum(dim=1).log().mean()
    return align + spread, align, spread


def _loop(z_a: Tensor, z_b: Tensor, temperature: float = 0.2) -> Terms:
    n = len(z_a)
    align, spread = z_a.new_zeros(()), z_a.new_zeros(())
    for i in range(n):
        u = z_a[i] / z_a[i].norm()
        similarities = [u @ (z_b[j] / z_b[j].norm()) / temperature for j in range(n)]
        largest = max(float(s.detach()) for s in similarities)
        sum_of_exp = z_a.new_zeros(())
        for s in similarities:
            sum_of_exp = sum_of_exp + (s - largest).exp()
        align = align - similarities[i] / n
        spread = spread + (largest + sum_of_exp.log()) / n
    return align + spread, align, spread


def _cross_entropy(z_a: Tensor, z_b: Tensor, temperature: float = 0.2) -> Terms:
    s = _cosine(z_a, z_b, temperature)
    total = F.cross_entropy(s, torch.arange(len(s)))
    return total, -s.diagonal().mean(), total + s.diagonal().mean()


def _einsum(z_a: Tensor, z_b: Tensor, temperature: float = 0.2) -> Terms:
    lengths = torch.einsum("id,id->i", z_a, z_a).sqrt(), torch.einsum("jd,jd->j", z_b, z_b).sqrt()
    s = torch.einsum("id,jd->ij", z_a, z_b) / torch.outer(*lengths) / temperature
    total = -s.log_softmax(dim=1).diagonal().mean()
    align = -torch.einsum("ii->", s) / len(s)
    return total, align, total - align


def _from_distances(z_a: Tensor, z_b: Tensor, temperature: float = 0.2) -> Terms:
    """Other algebra: the cosine from the squared distance of unit vectors, 1 - |u - v|^2 / 2."""
    u, v = z_a / z_a.norm(dim=1, keepdim=True), z_b / z_b.norm(dim=1, keepdim=True)
    s = (1 - (u[:, None] - v[None]).square().sum(dim=2) / 2) / temperature
    align, spread = -s.trace() / len(s), torch.logsumexp(s, 1).mean()
    return align + spread, align, spread


def _from_decoupled(z_a: Tensor, z_b: Tensor, temperature: float = 0.2) -> Terms:
    """Other algebra: softplus of the form without the positive in the sum."""
    s = _cosine(z_a, z_b, temperature)
    total = F.softplus(_others(s).logsumexp(dim=1) - s.diagonal()).mean()
    return total, -s.diagonal().mean(), total + s.diagonal().mean()


POSITIVE_LEFT_OUT = (
    "the positive is left out of the sum under the log: that is the decoupled form. Here j runs over all N rows of z_b."
)
INFO_NCE_WRONG = {
    **_common_mistakes(losses.info_nce, _assembled, 0.2),
    "positive left out": Wrong(_assembled(contrast=lambda s: _others(s).logsumexp(dim=1)), POSITIVE_LEFT_OUT),
    "wrong axis": Wrong(
        _assembled(contrast=lambda s: s.logsumexp(dim=0)),
        "the sum runs over the rows of z_a (dim=0): an anchor of A is compared with all rows of z_b, dim=1.",
    ),
    "both directions": Wrong(
        _both_directions, "that is the average of both directions; here only rows of z_a are anchors."
    ),
    "no log": Wrong(_assembled(contrast=lambda s: s.exp().sum(dim=1)), NO_LOG),
    "minus the probability": Wrong(
        _minus_probability,
        "the total is minus the mean probability; take its log first. Without the log a badly ranked positive "
        "has hardly any gradient.",
    ),
    "mean of exponentials": Wrong(_assembled(contrast=lambda s: s.exp().mean(dim=1).log()), MEAN_OF_EXP),
    "one sum for all": Wrong(
        _assembled(contrast=lambda s: s.logsumexp(dim=(0, 1))),
        "one log-sum was taken over the whole matrix; each anchor has its own.",
    ),
    "all pairs are positives": Wrong(
        _assembled(alignment=lambda s: -s.mean(dim=1)),
        "the alignment averages over all pairs; only the diagonal holds the positives.",
    ),
    "temperature in one term": Wrong(
        _only_contrast_scaled, "the alignment is not divided by the temperature; both terms are."
    ),
    "times 2 tau": Wrong(
        _moco_scale, "multiplied by 2 * temperature, as MoCo v3 scales its loss; here it has no such factor."
    ),
}
INFO_NCE_RIGHT: dict[str, Loss] = {
    "loop": _loop,
    "cross-entropy": _cross_entropy,
    "einsum": _einsum,
    "squared distances": _from_distances,
    "softplus": _from_decoupled,
}
LOOP_WRONG = {
    **INFO_NCE_WRONG,
    "last one left out": Wrong(
        _assembled(contrast=lambda s: s[:, :-1].logsumexp(dim=1)),
        "the last row of z_b is left out of the sum: j runs over all N of them.",
    ),
    "only later rows": Wrong(
        _assembled(contrast=lambda s: s.masked_fill(torch.ones_like(s).tril(-1).bool(), float("-inf")).logsumexp(1)),
        "j starts at i: the rows of z_b before i are candidates as well.",
    ),
    "floats": Wrong(
        lambda z_a, z_b, temperature=0.2: [float(x.detach()) for x in _loop(z_a, z_b, temperature)], "a float as"
    ),
}

register(
    Exercise(
        name="info_nce_loop",
        lesson=LESSON,
        number="1.1",
        title="InfoNCE as loops that mirror the sum",
        difficulty=2,
        importance=4,
        minutes=12,
        points=2,
        check=Agreement(losses.info_nce, pairs_with(temperature=0.5), LOOP_WRONG, fields=FIELDS),
        hints=(
            "An outer loop over the anchors i, an inner one over the candidates j = 0 ... N-1, the positive too.",
            "The cosine of z_a[i] and z_b[j] is z_a[i] @ z_b[j] / (z_a[i].norm() * z_b[j].norm()). Divide it by the "
            "temperature and collect the N results of one anchor.",
            "For anchor i: alignment -= s_ii / N, and contrast += log(sum_j exp(s_ij)) / N. Begin both with "
            "z_a.new_zeros(()), and return (alignment + contrast, alignment, contrast).",
        ),
        right={**INFO_NCE_RIGHT, "without care for overflow": _naive},
    )
)
VECTOR_WRONG = {
    # First, because where it overflows a missing log gives infinity as well.
    "overflow": Wrong(
        _naive,
        "the exponential of a large score overflows to infinity. logsumexp(dim=1) takes out the largest score first.",
    ),
    **INFO_NCE_WRONG,
}
register(
    Exercise(
        name="info_nce",
        lesson=LESSON,
        number="1.2",
        title="InfoNCE in a few lines of tensor algebra",
        difficulty=2,
        importance=5,
        minutes=8,
        points=3,
        check=Agreement(losses.info_nce, _pairs_and_small_temperature, VECTOR_WRONG, fields=FIELDS),
        hints=(
            "All N x N cosines are one product: normalised rows of A times the transpose of the normalised rows of B.",
            "The positives stand on the diagonal. The sum over j runs along a row: logsumexp(dim=1).",
            "scores = F.normalize(z_a, dim=1) @ F.normalize(z_b, dim=1).T / temperature; alignment = "
            "-scores.diagonal().mean(); contrast = scores.logsumexp(dim=1).mean().",
        ),
        right=INFO_NCE_RIGHT,
    )
)


# --- 1.3 decoupled_info_nce -------------------------------------------------------------------------------------


def _decoupled(
    *,
    scores: Callable[[Tensor, Tensor, float], Tensor] = _cosine,
    alignment: Callable[[Tensor], Tensor] = lambda s: -s.diagonal(),
    contrast: Callable[[Tensor], Tensor] = lambda s: _others(s).logsumexp(dim=1),
    reduce: Callable[[Tensor], Tensor] = torch.mean,
) -> Loss:
    return _assembled(scores=scores, alignment=alignment, contrast=contrast, reduce=reduce)


def _same_view(z_a: Tensor, z_b: Tensor, temperature: float) -> Terms:
    align = -_cosine(z_a, z_b, temperature).diagonal().mean()
    spread = _others(_cosine(z_a, z_a, temperature)).logsumexp(dim=1).mean()
    return align + spread, align, spread


def _decoupled_loop(z_a: Tensor, z_b: Tensor, temperature: float) -> Terms:
    u, v = F.normalize(z_a, dim=1), F.normalize(z_b, dim=1)
    n = len(u)
    align, spread = [], []
    for i in range(n):
        negatives = torch.stack([u[i] @ v[j] / temperature for j in range(n) if j != i])
        align.append(-(u[i] * v[i]).sum() / temperature)
        spread.append(negatives.logsumexp(dim=0))
    terms = torch.stack(align).mean(), torch.stack(spread).mean()
    return terms[0] + terms[1], *terms


def _decoupled_picked(z_a: Tensor, z_b: Tensor, temperature: float) -> Terms:
    """Other algebra: pick the entries off the diagonal into an N x (N-1) matrix."""
    s = _cosine(z_a, z_b, temperature)
    n = len(s)
    negatives = s[~torch.eye(n, dtype=torch.bool)].view(n, n - 1)
    per_sample = negatives.exp().sum(dim=1).log() - s.diagonal()
    return per_sample.mean(), -s.diagonal().mean(), (per_sample + s.diagonal()).mean()


def _decoupled_subtracted(z_a: Tensor, z_b: Tensor, temperature: float) -> Terms:
    """Other algebra: take the positive's weight out of the log-sum, log(1 - p)."""
    s = torch.einsum("id,jd->ij", F.normalize(z_a, dim=1), F.normalize(z_b, dim=1)) / temperature
    p = s.softmax(dim=1)
    negatives = s.logsumexp(dim=1) + (p.sum(dim=1) - p.diagonal()).log()
    align, spread = -s.diagonal().mean(), negatives.mean()
    return align + spread, align, spread


DECOUPLED_WRONG = {
    # without "temperature fixed": it has no default here
    **{
        name: wrong
        for name, wrong in _common_mistakes(losses.decoupled_info_nce, _decoupled, 0.2).items()
        if name not in ("temperature fixed", "sum")
    },
    "sum": Wrong(
        _decoupled(reduce=torch.sum), "a sum over the batch, as Barlow Twins prints it; jemlib takes the mean over N."
    ),
    "positive kept": Wrong(
        _assembled(), "you kept the positive in the sum: that is the usual InfoNCE. Here j runs over j != i."
    ),
    "diagonal set to 0": Wrong(
        _decoupled(contrast=lambda s: _others(s, 0.0).logsumexp(dim=1)),
        "a score of 0 still counts as e^0 = 1 in the sum; fill the diagonal with -inf.",
    ),
    "no log": Wrong(_decoupled(contrast=lambda s: _others(s).exp().sum(dim=1)), NO_LOG),
    "mean of exponentials": Wrong(
        _decoupled(contrast=lambda s: (_others(s).exp().sum(dim=1) / (len(s) - 1)).log()), MEAN_OF_EXP
    ),
    "wrong axis": Wrong(
        _decoupled(contrast=lambda s: _others(s).logsumexp(dim=0)),
        "the sum runs over the rows of z_a (dim=0); the negatives of an anchor of A are rows of z_b, dim=1.",
    ),
    "same view": Wrong(_same_view, "the negatives come from view A; in this form they are rows of z_b."),
}

register(
    Exercise(
        name="decoupled_info_nce",
        lesson=LESSON,
        number="1.3",
        title="the positive out of the sum",
        difficulty=2,
        importance=3,
        minutes=6,
        points=2,
        check=Agreement(losses.decoupled_info_nce, _pairs_with_temperature, DECOUPLED_WRONG, fields=FIELDS),
        hints=(
            "The scores and the alignment are those of info_nce. Only the diagonal must not count under the log.",
            "exp(-inf) is 0, so an entry of -inf drops out of a logsumexp.",
            "scores.masked_fill(torch.eye(N, dtype=torch.bool), float('-inf')).logsumexp(dim=1).mean()",
        ),
        right={
            "loop": _decoupled_loop,
            "picked entries": _decoupled_picked,
            "positive subtracted": _decoupled_subtracted,
        },
    )
)


# --- 1.4 nt_xent ------------------------------------------------------------------------------------------------


def _partner(scores: Tensor) -> Tensor:
    """The similarity of each of the 2N anchors with its positive."""
    n = len(scores) // 2
    return torch.cat([scores.diagonal(n), scores.diagonal(-n)])


def _twice(scores: Callable[[Tensor, Tensor, float], Tensor]) -> Callable[[Tensor, Tensor, float], Tensor]:
    """The 2N x 2N scores of both views together."""

    def of_both(z_a: Tensor, z_b: Tensor, temperature: float) -> Tensor:
        z = torch.cat([z_a, z_b])
        return scores(z, z, temperature)

    return of_both


def _nt_xent(
    *,
    scores: Callable[[Tensor, Tensor, float], Tensor] = _cosine,
    alignment: Callable[[Tensor], Tensor] = lambda s: -s.diagonal(),
    contrast: Callable[[Tensor], Tensor] = lambda s: _others(s).logsumexp(dim=1),
    reduce: Callable[[Tensor], Tensor] = torch.mean,
) -> Loss:
    """NT-Xent with parts replaced. An `alignment` written for the diagonal gets the positives on it."""

    def terms(z_a: Tensor, z_b: Tensor, temperature: float = 0.5) -> Terms:
        s = _twice(scores)(z_a, z_b, temperature)
        align, spread = reduce(alignment(torch.diag(_partner(s)))), reduce(contrast(s))
        return align + spread, align, spread

    return terms


def _without_positive(scores: Tensor) -> Tensor:
    n = len(scores) // 2
    return _others(scores).masked_fill(torch.eye(2 * n, dtype=torch.bool).roll(n, 0), float("-inf")).logsumexp(dim=1)


def _neighbour_rows(z_a: Tensor, z_b: Tensor, temperature: float = 0.5) -> Terms:
    s = _twice(_cosine)(z_a, z_b, temperature)
    align = -s[torch.arange(len(s)), torch.arange(len(s)) ^ 1].mean()
    spread = _others(s).logsumexp(dim=1).mean()
    return align + spread, align, spread


def _anchors_of_a(z_a: Tensor, z_b: Tensor, temperature: float = 0.5) -> Terms:
    s = _twice(_cosine)(z_a, z_b, temperature)
    n = len(z_a)
    align, spread = -s.diagonal(n).mean(), _others(s)[:n].logsumexp(dim=1).mean()
    return align + spread, align, spread


def _divided_by_n(z_a: Tensor, z_b: Tensor, temperature: float = 0.5) -> Terms:
    total, align, spread = (2 * x for x in losses.nt_xent(z_a, z_b, temperature))
    return total, align, spread


def _nt_xent_loop(z_a: Tensor, z_b: Tensor, temperature: float = 0.5) -> Terms:
    n = len(z_a)
    u = [z / z.norm() for z in (*z_a, *z_b)]
    align, spread = z_a.new_zeros(()), z_a.new_zeros(())
    for i in range(2 * n):
        positive = i + n if i < n else i - n
        others = torch.stack([u[i] @ u[j] / temperature for j in range(2 * n) if j != i])
        align = align - u[i] @ u[positive] / temperature / (2 * n)
        spread = spread + others.logsumexp(dim=0) / (2 * n)
    return align + spread, align, spread


def _nt_xent_blocks(z_a: Tensor, z_b: Tensor, temperature: float = 0.5) -> Terms:
    """Other algebra: the four N x N blocks, as SimCLR's own code has them, with the mean of both directions."""
    n = len(z_a)
    across = _cosine(z_a, z_b, temperature)
    within = [_others(_cosine(z, z, temperature)) for z in (z_a, z_b)]
    labels = torch.arange(n)
    there = F.cross_entropy(torch.cat([across, within[0]], dim=1), labels)
    back = F.cross_entropy(torch.cat([across.T, within[1]], dim=1), labels)
    align = -across.diagonal().mean()
    return (there + back) / 2, align, (there + back) / 2 - align


def _nt_xent_entropy(z_a: Tensor, z_b: Tensor, temperature: float = 0.5) -> Terms:
    s = _others(_twice(_cosine)(z_a, z_b, temperature))
    n = len(z_a)
    total = F.cross_entropy(s, torch.cat([torch.arange(n, 2 * n), torch.arange(n)]))
    align = -(F.normalize(z_a, dim=1) * F.normalize(z_b, dim=1)).sum(dim=1).mean() / temperature
    return losses.ContrastiveLoss(total, align, total - align)


NT_XENT_WRONG = {
    **{k: w for k, w in _common_mistakes(losses.nt_xent, _nt_xent, 0.5).items() if k not in ("sum", "over the batch")},
    "sum": Wrong(_nt_xent(reduce=torch.sum), "a sum over the 2N anchors; this loss is their mean."),
    "over the batch": Wrong(_nt_xent(scores=_over_batch), OVER_BATCH),
    "self kept": Wrong(
        _nt_xent(contrast=_log_sum),
        "the anchor itself is in its sum, with similarity 1: mask the diagonal of the 2N x 2N scores.",
    ),
    "self set to 0": Wrong(
        _nt_xent(contrast=lambda s: _others(s, 0.0).logsumexp(dim=1)),
        "a masked score of 0 still counts as e^0 = 1 in the sum; fill the diagonal with -inf.",
    ),
    "positive masked": Wrong(
        _nt_xent(contrast=_without_positive), "the positive is masked as well; only the anchor itself is left out."
    ),
    "other view only": Wrong(
        lambda z_a, z_b, temperature=0.5: _both_directions(z_a, z_b, temperature),
        "the negatives come from the other view only; the other images of the anchor's own view count too.",
    ),
    "rows next to each other": Wrong(
        _neighbour_rows,
        "the positive of row i is row i + N (or i - N) when the views are stacked, not the row beside it.",
    ),
    "anchors of A only": Wrong(_anchors_of_a, "only the rows of z_a are anchors; all 2N rows are."),
    "divided by N": Wrong(
        _divided_by_n,
        "that is the sum of two means over N, as SimCLR's code adds them: twice the mean over 2N anchors.",
    ),
    "no log": Wrong(_nt_xent(contrast=lambda s: _others(s).exp().sum(dim=1)), NO_LOG),
}

register(
    Exercise(
        name="nt_xent",
        lesson=LESSON,
        number="1.4",
        title="NT-Xent: every row an anchor",
        difficulty=3,
        importance=4,
        minutes=15,
        points=3,
        check=Agreement(losses.nt_xent, pairs_with(temperature=0.2), NT_XENT_WRONG, fields=FIELDS),
        hints=(
            "Put the views one below the other: torch.cat([z_a, z_b]) has 2N rows. Compute all 2N x 2N scores.",
            "No anchor may find itself: fill the diagonal with -inf before the logsumexp.",
            "The positive of row i < N is row i + N, and the other way round: scores.diagonal(N) holds N of these "
            "similarities, and the other N are the same numbers.",
            "alignment = -scores.diagonal(N).mean(); contrast = masked.logsumexp(dim=1).mean(), over all 2N rows.",
        ),
        right={"loop": _nt_xent_loop, "four blocks": _nt_xent_blocks, "cross-entropy": _nt_xent_entropy},
    )
)


# --- 1.5 info_nce_gradient --------------------------------------------------------------------------------------


def _gradient(
    *,
    weights: Callable[[Tensor], Tensor] | None = None,
    keys: Callable[[Tensor], Tensor] = lambda z: F.normalize(z, dim=1),
    batch: bool = True,
    heat: Callable[[float], float] = lambda temperature: temperature,
    project: bool = True,
    length: Callable[[Tensor], Tensor] = lambda z: z.norm(dim=1, keepdim=True),
) -> Callable[..., Tensor]:
    """The closed form with parts left out or replaced."""
    weights = weights or _p_minus_identity

    def closed_form(z_a: Tensor, z_b: Tensor, temperature: float = 0.2) -> Tensor:
        u = F.normalize(z_a, dim=1)
        g = weights(_cosine(z_a, z_b, temperature)) @ keys(z_b) / heat(temperature)
        g = g / len(u) if batch else g
        g = g - (g * u).sum(dim=1, keepdim=True) * u if project else g
        return g / length(z_a)

    return closed_form


def _p_minus_identity(scores: Tensor) -> Tensor:
    return scores.softmax(dim=1) - torch.eye(len(scores), dtype=scores.dtype)


def info_nce_gradient(z_a: Tensor, z_b: Tensor, temperature: float = 0.2) -> Tensor:
    """dL/dz_a of `jemlib.losses.info_nce`, `(N, D)`, without automatic differentiation."""
    u, v = F.normalize(z_a, dim=1), F.normalize(z_b, dim=1)
    n = len(u)
    p = (u @ v.T / temperature).softmax(dim=1)
    # g = dL/du = (P - I) v / (N tau)
    g = (p - torch.eye(n, dtype=u.dtype, device=u.device)) @ v / (n * temperature)
    # dL/dz_i = (g_i - <g_i, u_i> u_i) / |z_i|
    return (g - (g * u).sum(dim=1, keepdim=True) * u) / z_a.norm(dim=1, keepdim=True)


def _autodiff(z_a: Tensor, z_b: Tensor, temperature: float = 0.2) -> Tensor:
    with torch.enable_grad():
        z = z_a.detach().clone().requires_grad_()
        return torch.autograd.grad(losses.info_nce(z, z_b.detach(), temperature).total, z)[0]


def _gradient_loop(z_a: Tensor, z_b: Tensor, temperature: float = 0.2) -> Tensor:
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


def _gradient_einsum(z_a: Tensor, z_b: Tensor, temperature: float = 0.2) -> Tensor:
    """Other algebra: the projector I - u u^T as a matrix for each sample."""
    u, v = F.normalize(z_a, dim=1), F.normalize(z_b, dim=1)
    g = torch.einsum("ij,jd->id", _p_minus_identity(u @ v.T / temperature), v) / (len(u) * temperature)
    tangent = torch.eye(u.shape[1], dtype=u.dtype) - torch.einsum("ic,id->icd", u, u)
    return torch.einsum("icd,id->ic", tangent, g) / z_a.norm(dim=1, keepdim=True)


def _orthogonal(case: Case, ours: Sequence[Tensor], truth: Sequence[Tensor]) -> str | None:
    """The identity of a gradient through a normalisation."""
    g, z = ours[0], case.args[0]
    if g.shape != z.shape:
        return "The gradient has the shape of z_a."
    if float((g * z).sum(dim=1).abs().max()) > 1e-3 * float(g.norm(dim=1).max() * z.norm(dim=1).max()):
        return "Its rows are not orthogonal to those of z_a, as they must be: the length of a row changes nothing."
    return "Each row is orthogonal to its row of z_a, as it must be, so look at P - I, at N, tau and the length."


GRADIENT_WRONG = {
    "no projection": Wrong(
        _gradient(project=False), "the part along u was not taken away: the length of z does not change the loss."
    ),
    "no length": Wrong(
        _gradient(length=lambda z: torch.ones_like(z[:, :1])), "the division by the length |z_i| is missing."
    ),
    "squared length": Wrong(
        _gradient(length=lambda z: z.square().sum(dim=1, keepdim=True)), "divided by |z_i|^2 instead of |z_i|."
    ),
    "on the sphere": Wrong(
        _gradient(project=False, length=lambda z: torch.ones_like(z[:, :1])),
        "that is the gradient for the normalised u; the chain rule through u = z / |z| is still to come.",
    ),
    "keys not normalised": Wrong(
        _gradient(keys=lambda z: z), "the keys were not normalised: the gradient is a mixture of unit vectors."
    ),
    "sign": Wrong(
        lambda z_a, z_b, temperature=0.2: -info_nce_gradient(z_a, z_b, temperature),
        "the sign is turned around: it is P - I, and a step goes against the gradient.",
    ),
    "no identity": Wrong(
        _gradient(weights=lambda s: s.softmax(dim=1)),
        "the -I is missing: without it nothing pulls the anchor to its positive.",
    ),
    "no softmax": Wrong(
        _gradient(weights=lambda s: -torch.eye(len(s), dtype=s.dtype)),
        "the P is missing: only the pull to the positive is there, nothing pushes away.",
    ),
    "columns": Wrong(
        _gradient(weights=lambda s: s.softmax(dim=0) - torch.eye(len(s), dtype=s.dtype)),
        "the softmax runs down the columns; the candidates of an anchor are a row, dim=1.",
    ),
    "transposed": Wrong(
        _gradient(weights=lambda s: _p_minus_identity(s).T),
        "P - I is transposed: that matrix belongs to the gradient for the keys.",
    ),
    "not divided by N": Wrong(_gradient(batch=False), "the factor 1/N is missing: the loss is a mean over the batch."),
    "not divided by the temperature": Wrong(
        _gradient(heat=lambda temperature: 1.0), "the factor 1/tau in front of (P - I) v is missing."
    ),
    "temperature fixed": Wrong(
        lambda z_a, z_b, temperature=0.2: info_nce_gradient(z_a, z_b), "the argument temperature is ignored"
    ),
    "no temperature": Wrong(
        lambda z_a, z_b, temperature=0.2: info_nce_gradient(z_a, z_b, 1.0),
        "the temperature is missing, in the softmax and in front of it.",
    ),
    "other branch": Wrong(
        lambda z_a, z_b, temperature=0.2: info_nce_gradient(z_b, z_a, temperature),
        "the roles are exchanged: asked is the gradient for z_a, whose rows are the anchors.",
    ),
}

register(
    Exercise(
        name="info_nce_gradient",
        lesson=LESSON,
        number="1.5",
        title="the gradient in closed form",
        difficulty=4,
        importance=3,
        minutes=20,
        points=4,
        check=Agreement(
            info_nce_gradient, pairs_with(temperature=0.5), GRADIENT_WRONG, gradients=False, symptom=_orthogonal
        ),
        hints=(
            "First the gradient for the scores: P - I, divided by N, where P is the softmax of each row of scores.",
            "Then for the unit vectors: score_ij = <u_i, v_j> / tau, so g = (P - I) @ v / (N * tau).",
            "Then through u = z / |z|. Only the part of g_i that is orthogonal to u_i survives, divided by |z_i|.",
            "g = g - (g * u).sum(dim=1, keepdim=True) * u, and the result is g / z_a.norm(dim=1, keepdim=True).",
        ),
        right={"automatic differentiation": _autodiff, "loop": _gradient_loop, "projector": _gradient_einsum},
    )
)


# --- 1.6 alignment ----------------------------------------------------------------------------------------------


def _aligned(of: Callable[[Tensor, Tensor, float], Tensor]) -> Callable[..., Tensor]:
    """Something computed from the unit rows of both views."""
    return lambda z_a, z_b, alpha=2: of(F.normalize(z_a, dim=1), F.normalize(z_b, dim=1), alpha)


def _distances(u: Tensor, v: Tensor) -> Tensor:
    return (u - v).norm(dim=1)


def _alignment_loop(z_a: Tensor, z_b: Tensor, alpha: float = 2) -> Tensor:
    total = z_a.new_zeros(())
    for a, b in zip(z_a, z_b):
        total = total + (a / a.norm() - b / b.norm()).norm() ** alpha
    return total / len(z_a)


ALIGNMENT_WRONG = {
    "no normalisation": Wrong(
        lambda z_a, z_b, alpha=2: _distances(z_a, z_b).pow(alpha).mean(),
        "the rows were not normalised: distances are measured on the unit sphere.",
    ),
    "over the batch": Wrong(
        lambda z_a, z_b, alpha=2: _distances(F.normalize(z_a, dim=0), F.normalize(z_b, dim=0)).pow(alpha).mean(),
        OVER_BATCH,
    ),
    "sum": Wrong(
        _aligned(lambda u, v, alpha: _distances(u, v).pow(alpha).sum()), "a sum over the pairs; take the mean."
    ),
    "mean over features": Wrong(
        _aligned(lambda u, v, alpha: _distances(u, v).pow(alpha).mean() / u.shape[1]),
        "divided by D as well: a squared distance is a sum over the features.",
    ),
    "alpha fixed": Wrong(
        _aligned(lambda u, v, alpha: _distances(u, v).square().mean()),
        "the argument alpha is ignored: 2 is its default.",
    ),
    "no power": Wrong(
        _aligned(lambda u, v, alpha: _distances(u, v).mean()), "the distance was not raised to the power alpha."
    ),
    "power of the square": Wrong(
        _aligned(lambda u, v, alpha: _distances(u, v).square().pow(alpha).mean()),
        "the squared distance was raised to alpha; |u - v|^alpha is the squared distance to the power alpha / 2.",
    ),
    "power of the mean": Wrong(
        _aligned(lambda u, v, alpha: _distances(u, v).mean().pow(alpha)),
        "the mean distance was raised to alpha: raise each distance first, then average.",
    ),
    "entry by entry": Wrong(
        _aligned(lambda u, v, alpha: (u - v).abs().pow(alpha).sum(dim=1).mean()),
        "the power was taken entry by entry; first the Euclidean distance of the two rows, then the power.",
    ),
    "all pairs": Wrong(
        _aligned(lambda u, v, alpha: torch.cdist(u, v).pow(alpha).mean()),
        "all pairs of rows were compared; row i of z_a belongs to row i of z_b.",
    ),
    "cosine distance": Wrong(
        _aligned(lambda u, v, alpha: (1 - (u * v).sum(dim=1)).mean()),
        "1 - cosine is half the squared distance: |u - v|^2 = 2 - 2 <u, v>.",
    ),
    "sign": Wrong(
        _aligned(lambda u, v, alpha: -_distances(u, v).pow(alpha).mean()),
        "the sign is turned around: a distance is minimised, and 0 is best.",
    ),
    "view B detached": Wrong(_aligned(lambda u, v, alpha: _distances(u, v.detach()).pow(alpha).mean()), DETACHED),
}

register(
    Exercise(
        name="alignment",
        lesson=LESSON,
        number="1.6",
        title="how far apart two views of an image lie",
        difficulty=1,
        importance=4,
        minutes=4,
        points=1,
        check=Agreement(diagnose.alignment, pairs_with(alpha=3.0), ALIGNMENT_WRONG),
        hints=(
            "Normalise the rows of both views, subtract, and take the length of each row of the difference.",
            "(F.normalize(z_a, dim=1) - F.normalize(z_b, dim=1)).norm(dim=1), to the power alpha, and the mean.",
        ),
        right={
            "loop": _alignment_loop,
            "squares": _aligned(lambda u, v, alpha: (u - v).square().sum(dim=1).pow(alpha / 2).mean()),
            "from the cosine": _aligned(lambda u, v, alpha: (2 - 2 * (u * v).sum(dim=1)).pow(alpha / 2).mean()),
        },
    )
)


# --- 1.7 uniformity ---------------------------------------------------------------------------------------------


def _uniform(of: Callable[[Tensor, float], Tensor]) -> Callable[..., Tensor]:
    """Something computed from the matrix of squared distances between the unit rows."""

    def measure(z: Tensor, t: float = 2) -> Tensor:
        u = F.normalize(z, dim=1)
        return of(2 - 2 * u @ u.T, t)

    return measure


def _off(matrix: Tensor) -> Tensor:
    return matrix[~torch.eye(len(matrix), dtype=torch.bool)]


def _uniformity_loop(z: Tensor, t: float = 2) -> Tensor:
    u = [row / row.norm() for row in z]
    terms = [torch.exp(-t * (u[i] - u[j]).square().sum()) for i in range(len(u)) for j in range(i + 1, len(u))]
    return (torch.stack(terms).sum() / len(terms)).log()


def _root_of_zero(z: Tensor, t: float = 2) -> Tensor:
    u = F.normalize(z, dim=1)
    distances = (u[:, None] - u[None]).square().sum(dim=2).sqrt()
    return _off((-t * distances.square()).exp()).mean().log()


UNIFORMITY_WRONG = {
    "no normalisation": Wrong(
        lambda z, t=2: torch.pdist(z).square().mul(-t).exp().mean().log(),
        "the rows were not normalised: distances are measured on the unit sphere.",
    ),
    "over the batch": Wrong(
        lambda z, t=2: torch.pdist(F.normalize(z, dim=0)).square().mul(-t).exp().mean().log(), OVER_BATCH
    ),
    "itself": Wrong(
        _uniform(lambda d, t: (-t * d).exp().mean().log()),
        "each sample was compared with itself: distance 0, so N ones stand in the mean. Only pairs i < j.",
    ),
    "no log": Wrong(_uniform(lambda d, t: _off((-t * d).exp()).mean()), "the log of the mean is missing."),
    "log inside": Wrong(
        _uniform(lambda d, t: _off(-t * d).mean()),
        "the log was taken before the mean: what is left is minus t times the mean squared distance.",
    ),
    "log of each row": Wrong(
        _uniform(lambda d, t: (_others(-t * d).exp().sum(dim=1) / (len(d) - 1)).log().mean()),
        "a log for each sample, and then their mean: that is InfoNCE's order. Here one log stands outside of all.",
    ),
    "sum": Wrong(
        _uniform(lambda d, t: _off((-t * d).exp()).sum().log()),
        "the log of a sum: without dividing by the number of pairs the value grows with the batch.",
    ),
    "half": Wrong(
        _uniform(lambda d, t: (_off((-t * d).exp()).mean() / 2).log()),
        "pairs i < j were divided by N (N - 1): there are N (N - 1) / 2 of them, and log 2 is off.",
    ),
    "divided by N squared": Wrong(
        _uniform(lambda d, t: (_off((-t * d).exp()).sum() / len(d) ** 2).log()),
        "divided by N^2; without the diagonal there are N (N - 1) ordered pairs.",
    ),
    "t fixed": Wrong(
        _uniform(lambda d, t: _off((-2 * d).exp()).mean().log()), "the argument t is ignored: 2 is its default."
    ),
    "no t": Wrong(_uniform(lambda d, t: _off((-d).exp()).mean().log()), "the factor t in the exponent is missing."),
    "no square": Wrong(
        lambda z, t=2: torch.pdist(F.normalize(z, dim=1)).mul(-t).exp().mean().log(),
        "the distance in the exponent is not squared: it is exp(-t |u_i - u_j|^2).",
    ),
    "cosine": Wrong(
        _uniform(lambda d, t: _off((t * (1 - d / 2)).exp()).mean().log()),
        "cosines stand in the exponent; the squared distance is 2 - 2 cos, which is another factor and a constant.",
    ),
    "sign": Wrong(
        lambda z, t=2: -diagnose.uniformity(z, t),
        "the sign is turned around: lower is more uniform, and 0 is collapse.",
    ),
    "root of zero": Wrong(
        _root_of_zero,
        "the gradient is NaN: the distance of a sample to itself is a root of 0, which has no slope. Square distances "
        "need no root.",
    ),
}

register(
    Exercise(
        name="uniformity",
        lesson=LESSON,
        number="1.7",
        title="how evenly embeddings cover the sphere",
        difficulty=3,
        importance=4,
        minutes=10,
        points=2,
        check=Agreement(diagnose.uniformity, single_views(t=0.7), UNIFORMITY_WRONG),
        hints=(
            "For unit rows all squared distances come from one product: |u_i - u_j|^2 = 2 - 2 <u_i, u_j>.",
            "Take the pairs i < j only, or the pairs i != j: each counts twice, in the sum and in their number.",
            "mask = torch.ones(N, N).triu(1).bool(); torch.exp(-t * squared[mask]).mean().log()",
        ),
        right={
            "loop": _uniformity_loop,
            "pdist": lambda z, t=2: torch.pdist(F.normalize(z, dim=1)).square().mul(-t).exp().mean().log(),
            "both orders": _uniform(lambda d, t: _off((-t * d).exp()).mean().log()),
            "einsum": lambda z, t=2: (
                _off(torch.exp(-2 * t + 2 * t * torch.einsum("id,jd->ij", *[F.normalize(z, dim=1)] * 2))).mean().log()
            ),
        },
    )
)


# --- 1.8 info_nce_queue -----------------------------------------------------------------------------------------


def _queued(
    *,
    unit: Sequence[bool] = (True, True, True),
    detach: Sequence[bool] = (True, True),
    heat: Callable[[float], tuple[float, float]] = lambda temperature: (temperature, temperature),
    contrast: Callable[[Tensor, Tensor], Tensor] = lambda p, n: torch.logaddexp(p, n.logsumexp(dim=1)),
    reduce: Callable[[Tensor], Tensor] = torch.mean,
) -> Loss:
    """The loss with a queue, with parts left out or replaced."""

    def loss(q: Tensor, k: Tensor, queue: Tensor, temperature: float = 0.2) -> Terms:
        k, queue = (z.detach() if stop else z for z, stop in zip((k, queue), detach))
        q, k, queue = (F.normalize(z, dim=1) if is_unit else z for z, is_unit in zip((q, k, queue), unit))
        hot, cold = heat(temperature)
        positive, negative = (q * k).sum(dim=1) / hot, q @ queue.T / cold
        align, spread = -reduce(positive), reduce(contrast(positive, negative))
        return align + spread, align, spread

    return loss


def _in_batch_too(q: Tensor, k: Tensor, queue: Tensor, temperature: float = 0.2) -> Terms:
    s = _cosine(q, torch.cat([k, queue]).detach(), temperature)
    align, spread = -s.diagonal().mean(), s.logsumexp(dim=1).mean()
    return align + spread, align, spread


def _first_of_queue(q: Tensor, k: Tensor, queue: Tensor, temperature: float = 0.2) -> Terms:
    _, align, _ = losses.info_nce_queue(q, k, queue, temperature)
    spread = _cosine(q, queue.detach(), temperature).logsumexp(dim=1).mean()
    return align + spread, align, spread


def _queue_cross_entropy(q: Tensor, k: Tensor, queue: Tensor, temperature: float = 0.2) -> Terms:
    """As MoCo's algorithm has it: the positive is column 0, and the label is 0."""
    u, v, w = F.normalize(q, dim=1), F.normalize(k, dim=1).detach(), F.normalize(queue, dim=1).detach()
    logits = torch.cat([torch.einsum("nd,nd->n", u, v)[:, None], torch.einsum("nd,rd->nr", u, w)], dim=1) / temperature
    total = F.cross_entropy(logits, torch.zeros(len(q), dtype=torch.long))
    align = -logits[:, 0].mean()
    return total, align, total - align


def _queue_loop(q: Tensor, k: Tensor, queue: Tensor, temperature: float = 0.2) -> Terms:
    align, spread = q.new_zeros(()), q.new_zeros(())
    k, queue = k.detach(), queue.detach()
    for anchor, key in zip(q, k):
        u = anchor / anchor.norm()
        candidates = torch.stack([u @ (other / other.norm()) / temperature for other in (key, *queue)])
        align = align - candidates[0] / len(q)
        spread = spread + candidates.exp().sum().log() / len(q)
    return align + spread, align, spread


QUEUE_WRONG = {
    "positive left out": Wrong(
        _first_of_queue,
        "the positive is missing from the sum: the candidates are the key and the R entries of the queue.",
    ),
    "queue unused": Wrong(
        lambda q, k, queue, temperature=0.2: losses.info_nce(q, k.detach(), temperature),
        "the queue is not used: the negatives are its R keys, not the other keys of the batch.",
    ),
    "batch and queue": Wrong(
        _in_batch_too, "the other keys of the batch are negatives as well; here only the queue gives negatives."
    ),
    "queue not normalised": Wrong(
        _queued(unit=(True, True, False)), "the keys in the queue were not normalised; do not count on it."
    ),
    "queries not normalised": Wrong(_queued(unit=(False, True, True)), "the queries were not normalised."),
    "keys not normalised": Wrong(_queued(unit=(True, False, True)), "the positive keys were not normalised."),
    "no temperature": Wrong(_queued(heat=lambda temperature: (1.0, 1.0)), NO_TEMPERATURE),
    "temperature fixed": Wrong(
        lambda q, k, queue, temperature=0.2: losses.info_nce_queue(q, k, queue), TEMPERATURE_FIXED
    ),
    "temperature on negatives only": Wrong(
        _queued(heat=lambda temperature: (1.0, temperature)),
        "the similarity with the positive is not divided by the temperature; both are.",
    ),
    "sum": Wrong(_queued(reduce=torch.sum), SUM_OVER_BATCH),
    "no log": Wrong(_queued(contrast=lambda p, n: p.exp() + n.exp().sum(dim=1)), NO_LOG),
    "mean of exponentials": Wrong(
        _queued(contrast=lambda p, n: ((p.exp() + n.exp().sum(dim=1)) / (1 + n.shape[1])).log()), MEAN_OF_EXP
    ),
    "keys trained": Wrong(
        _queued(detach=(False, True)),
        "a gradient reaches the keys k: they come from the momentum encoder, so detach them.",
    ),
    "queue trained": Wrong(
        _queued(detach=(True, False)), "a gradient reaches the queue: its keys are old values, so detach them."
    ),
    "both trained": Wrong(
        _queued(detach=(False, False)),
        "gradients reach both k and the queue: neither is trained, so detach the two.",
    ),
    "queries detached": Wrong(
        lambda q, k, queue, temperature=0.2: losses.info_nce_queue(q.detach(), k, queue, temperature),
        "none reaches argument 1",
    ),
}

register(
    Exercise(
        name="info_nce_queue",
        lesson=LESSON,
        number="1.8",
        title="negatives from a queue",
        difficulty=3,
        importance=3,
        minutes=12,
        points=3,
        check=Agreement(losses.info_nce_queue, _queues, QUEUE_WRONG, fields=FIELDS),
        hints=(
            "Each query has 1 + R candidates: its own key, row i of k, and the R rows of the queue. Normalise all.",
            "The positives are N numbers, (u * v).sum(dim=1) / temperature. The negatives are an N x R matrix.",
            "Put the positives in front as a column, torch.cat([positive[:, None], negative], dim=1), and take the "
            "logsumexp of each row. Detach k and the queue.",
        ),
        right={"cross-entropy with label 0": _queue_cross_entropy, "loop": _queue_loop, "log-add-exp": _queued()},
    )
)
