"""Lesson 06: the exercises that derive `jemlib.losses.swav`, with their wrong and other right answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from jemlib import losses
from jemlib.course.machinery.agreement import Agreement, Case, Wrong
from jemlib.course.machinery.exercises import Exercise, register
from jemlib.course.machinery.inputs import views
from jemlib.course.machinery.lessons import lesson_of

LESSON = lesson_of(__name__)
Terms = tuple[Tensor, Tensor, Tensor]


# --- References without a function in jemlib.losses -------------------------------------------------------------


def soft_assignments(z: Tensor, prototypes: Tensor, temperature: float = 0.1) -> Tensor:
    """Softargmax of the cosines of embeddings `(N, D)` with prototypes `(K, D)`: `(N, K)`, rows sum to 1."""
    return torch.softmax(F.normalize(z, dim=1) @ F.normalize(prototypes, dim=1).T / temperature, dim=1)


def swapped_prediction_gradient(scores: Tensor, codes: Tensor, temperature: float = 0.1) -> Tensor:
    """Gradient of the cross-entropy in the scores, `(N, K)`: (p - q) / (tau N)."""
    return (torch.softmax(scores / temperature, dim=1) - codes) / (temperature * len(scores))


def label_votes(codes: Tensor, labels: Tensor, num_classes: int = 3) -> Tensor:
    """Labelled samples of each class in each cluster, `(K, num_classes)`; a label of -1 is unknown."""
    known = labels >= 0
    cluster = codes.argmax(dim=1)[known]
    return F.one_hot(cluster, codes.shape[1]).to(codes).T @ F.one_hot(labels[known], num_classes).to(codes)


# --- Inputs ----------------------------------------------------------------------------------------------------


def _cosines(n: int, k: int, seed: int, dtype: torch.dtype = torch.float64) -> Tensor:
    """Scores in (-1, 1) whose columns have different means, so that balancing has something to do."""
    generator = torch.Generator().manual_seed(seed)
    scores = torch.randn(n, k, generator=generator, dtype=torch.float64)
    return torch.tanh(scores + torch.randn(k, generator=generator, dtype=torch.float64)).to(dtype)


def _distributions(n: int, k: int, seed: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.softmax(2 * _cosines(n, k, seed), dim=1).to(dtype)


def _embedded() -> list[Case]:
    """Embeddings and prototypes of all lengths; small temperatures, where a plain exponential overflows."""

    def pair(n: int, k: int, d: int, seed: int, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
        z, prototypes = views(max(n, k), d, seed, dtype, 0.5, 1)
        return z[:n], 3 * prototypes[:k]

    return [
        Case(pair(7, 3, 4, 1)),
        Case(pair(4, 6, 3, 2)),
        Case(pair(5, 4, 8, 3, torch.float32)),
        Case(pair(6, 5, 4, 4), {"temperature": 0.5}),
        Case(pair(5, 5, 3, 5), {"temperature": 1.0}),
        Case(pair(6, 3, 4, 6), {"temperature": 0.0005}, "where exp(1 / temperature) overflows"),
    ]


def _mild_scores() -> list[Case]:
    """For the loop: epsilon so large that the exponentials are tame."""
    return [
        Case((_cosines(4, 3, 1),), {"epsilon": 0.5}),
        Case((_cosines(6, 2, 2),), {"epsilon": 0.3, "iterations": 1}),
        Case((_cosines(3, 5, 3),), {"epsilon": 0.4, "iterations": 5}, "fewer samples than prototypes"),
        Case((_cosines(5, 3, 4, torch.float32),), {"epsilon": 0.5, "iterations": 2}),
        Case((_cosines(5, 4, 5),), {"epsilon": 1.0, "iterations": 2}),
        Case((_cosines(4, 4, 6),)),
    ]


def _all_scores() -> list[Case]:
    """The same, and small epsilons where exp(scores / epsilon) overflows."""
    return [
        *_mild_scores(),
        Case((_cosines(9, 4, 7),), {"epsilon": 0.05, "iterations": 10}),
        Case((_cosines(8, 3, 8),), {"epsilon": 0.001}, "where exp(scores / epsilon) overflows"),
        Case((0.9 + 0.1 * _cosines(6, 3, 10),), {"epsilon": 0.001}, "all scores near 0.9"),
        Case((_cosines(6, 4, 9, torch.float32),), {"epsilon": 0.008}, "where exp(scores / epsilon) overflows"),
    ]


def _scores_and_codes() -> list[Case]:
    """Soft codes, one-hot codes, and a temperature at which probabilities underflow."""
    one_hot = F.one_hot(torch.tensor([2, 0, 1, 2, 2]), 3).double()
    return [
        Case((_cosines(6, 4, 1), _distributions(6, 4, 11))),
        Case((_cosines(3, 5, 2), _distributions(3, 5, 12))),
        Case((_cosines(5, 3, 3, torch.float32), _distributions(5, 3, 13, torch.float32))),
        Case((_cosines(7, 3, 4), _distributions(7, 3, 14)), {"temperature": 0.5}),
        Case((_cosines(4, 6, 5), _distributions(4, 6, 15)), {"temperature": 2.0}),
        Case((_cosines(5, 3, 6), one_hot), {"temperature": 0.3}, "one-hot codes"),
        Case((_cosines(4, 3, 7), _distributions(4, 3, 17)), {"temperature": 0.0005}, "where probabilities underflow"),
    ]


def _score_pairs() -> list[Case]:
    """Scores of two related views, with more and with fewer samples than prototypes."""

    def pair(n: int, k: int, seed: int, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
        scores = _cosines(n, k, seed)
        return scores.to(dtype), (0.7 * scores + 0.3 * _cosines(n, k, seed + 100)).to(dtype)

    return [
        Case(pair(6, 3, 1)),
        Case(pair(4, 6, 2)),
        Case(pair(5, 4, 3, torch.float32)),
        Case(pair(7, 3, 4), {"temperature": 0.5}),
        Case(pair(5, 3, 5), {"epsilon": 0.3}),
        Case(pair(6, 4, 6), {"iterations": 1}),
        Case(pair(5, 5, 7), {"temperature": 0.2, "epsilon": 0.1, "iterations": 6}),
    ]


def _votes() -> list[Case]:
    """Soft codes whose largest entry decides; several labels in one cluster, unknown labels, empty clusters."""

    def case(n: int, k: int, seed: int, labels: list[int], classes: int, dtype: torch.dtype = torch.float64) -> Case:
        return Case((_distributions(n, k, seed, dtype), torch.tensor(labels)), {"num_classes": classes})

    return [
        Case((_distributions(7, 3, 31), torch.tensor([0, 2, -1, 1, 1, -1, 2]))),
        case(9, 4, 32, [0, 0, 0, 0, 1, 1, 1, -1, -1], 2),
        case(6, 2, 33, [2, 3, -1, 3, 3, 0], 4),
        case(8, 3, 34, [-1, 1, -1, 0, 2, 0, 0, -1], 3, torch.float32),
        case(5, 8, 35, [1, -1, 1, 0, 2], 5),
    ]


# --- 6.1 soft_assignments ---------------------------------------------------------------------------------------


def _assigned(
    z_of: Callable[[Tensor], Tensor] = lambda z: F.normalize(z, dim=1),
    w_of: Callable[[Tensor], Tensor] = lambda w: F.normalize(w, dim=1),
    end: Callable[[Tensor, float], Tensor] = lambda s, tau: torch.softmax(s / tau, dim=1),
) -> Callable[..., Tensor]:
    """Some soft assignment: what is done to the embeddings, to the prototypes, and to the scores."""
    return lambda z, prototypes, temperature=0.1: end(z_of(z) @ w_of(prototypes).T, temperature)


def _plain_exponential(s: Tensor, tau: float) -> Tensor:
    e = torch.exp(s / tau)
    return e / e.sum(dim=1, keepdim=True)


def _by_distances(z: Tensor, prototypes: Tensor, temperature: float = 0.1) -> Tensor:
    squared = torch.cdist(F.normalize(z, dim=1), F.normalize(prototypes, dim=1)).square()
    return torch.softmax(-squared / temperature, dim=1)


def _half_distances(z: Tensor, prototypes: Tensor, temperature: float = 0.1) -> Tensor:
    """Other algebra: |u - c|^2 / 2 = 1 - u.c on the sphere, and the 1 cancels in the softmax."""
    u, c = F.normalize(z, dim=1), F.normalize(prototypes, dim=1)
    squared = (u[:, None, :] - c[None, :, :]).square().sum(dim=2)
    return torch.softmax(-squared / 2 / temperature, dim=1)


def _assigned_loop(z: Tensor, prototypes: Tensor, temperature: float = 0.1) -> Tensor:
    rows = []
    for row in z:
        logits = [row @ c / (row.norm() * c.norm()) / temperature for c in prototypes]
        largest = torch.stack(logits).max()
        weights = [torch.exp(logit - largest) for logit in logits]
        rows.append(torch.stack([w / torch.stack(weights).sum() for w in weights]))
    return torch.stack(rows)


def _same(t: Tensor) -> Tensor:
    return t


SOFTMAX_AXIS = "the softmax runs over the samples (dim=0); each sample spreads over the prototypes, dim=1."
TEMPERATURE_IGNORED = "the argument temperature is ignored: 0.1 is only its default."
TEMPERATURE_TIMES = "multiplied by the temperature; divide by it, so that a small one makes the assignment sharp."
DETACHED = "the gradient must reach both the embeddings and the prototypes: leave out detach() and no_grad()."

ASSIGN_WRONG = {
    "raw embeddings": Wrong(
        _assigned(z_of=_same), "the embeddings are not of unit length: divide each row by its norm."
    ),
    "raw prototypes": Wrong(
        _assigned(w_of=_same), "the prototypes are not of unit length, so a long one attracts every sample."
    ),
    "raw both": Wrong(
        _assigned(_same, _same), "inner products instead of cosines: embeddings and prototypes need unit length, both."
    ),
    "raw scores": Wrong(
        _assigned(_same, _same, lambda s, tau: torch.softmax(s, dim=1)),
        "a softmax of plain inner products: rows need unit length, and scores are divided by the temperature.",
    ),
    "normalised columns": Wrong(
        _assigned(lambda z: F.normalize(z, dim=0), lambda w: F.normalize(w, dim=0)),
        "columns were scaled to unit length; rows are the vectors, so normalise over dim=1.",
    ),
    "over the samples": Wrong(_assigned(end=lambda s, tau: torch.softmax(s / tau, dim=0)), SOFTMAX_AXIS),
    "no temperature": Wrong(
        _assigned(end=lambda s, tau: torch.softmax(s, dim=1)), "the division by the temperature is missing."
    ),
    "temperature fixed": Wrong(_assigned(end=lambda s, tau: torch.softmax(s / 0.1, dim=1)), TEMPERATURE_IGNORED),
    "times temperature": Wrong(_assigned(end=lambda s, tau: torch.softmax(s * tau, dim=1)), TEMPERATURE_TIMES),
    "logarithm": Wrong(
        _assigned(end=lambda s, tau: torch.log_softmax(s / tau, dim=1)), "these are logarithms; return probabilities."
    ),
    "scores": Wrong(_assigned(end=lambda s, tau: s / tau), "these are the scores: the softargmax is still to come."),
    "one-hot": Wrong(
        _assigned(end=lambda s, tau: F.one_hot(s.argmax(dim=1), s.shape[1]).to(s)),
        "that is the hard argmax; the softargmax gives every prototype a share.",
    ),
    "transposed": Wrong(
        _assigned(end=lambda s, tau: torch.softmax(s / tau, dim=1).T),
        "your matrix is K x N, the orientation of the paper; here rows are samples, N x K.",
    ),
    "squared distances": Wrong(
        _by_distances, "minus the squared distance is 2 cos - 2: that halves the temperature. Use the cosine."
    ),
    "plain exponential": Wrong(
        _assigned(end=_plain_exponential),
        "exp overflows at a small temperature: take away the largest logit of a row first, as torch.softmax does.",
    ),
    "detached": Wrong(_assigned(w_of=lambda w: F.normalize(w, dim=1).detach()), DETACHED),
}

register(
    Exercise(
        name="soft_assignments",
        lesson=LESSON,
        number="6.1",
        title="the softargmax over prototypes",
        difficulty=1,
        importance=4,
        minutes=6,
        points=1,
        check=Agreement(soft_assignments, _embedded, ASSIGN_WRONG),
        hints=(
            "A cosine is an inner product of unit vectors. F.normalize(z, dim=1) gives every row unit length.",
            "Samples in rows, prototypes in columns: u @ c.T has shape (N, K).",
            "torch.softmax(u @ c.T / temperature, dim=1), where u and c are the normalised rows.",
        ),
        right={
            "loop": _assigned_loop,
            "einsum": lambda z, prototypes, temperature=0.1: (
                torch.einsum(
                    "nd,kd->nk", z / z.norm(dim=1, keepdim=True), prototypes / prototypes.norm(dim=1, keepdim=True)
                )
                .div(temperature)
                .log_softmax(dim=1)
                .exp()
            ),
            "distances": _half_distances,
            "cosine_similarity": lambda z, prototypes, temperature=0.1: torch.softmax(
                F.cosine_similarity(z[:, None, :], prototypes[None, :, :], dim=2) / temperature, dim=1
            ),
        },
    )
)


# --- 6.2 and 6.3 sinkhorn ---------------------------------------------------------------------------------------


def _balanced(
    start: Callable[[Tensor, float], Tensor] = lambda s, eps: s / eps,
    dims: tuple[int, ...] = (0, 1),
    rounds: Callable[[int], int] = lambda iterations: iterations,
    end: Callable[[Tensor], Tensor] = torch.exp,
) -> Callable[..., Tensor]:
    """Some Sinkhorn in the log domain: its start, what is normalised in which order, how often, and its end."""

    def codes(scores: Tensor, epsilon: float = 0.05, iterations: int = 3) -> Tensor:
        logs = start(scores, epsilon)
        for _ in range(rounds(iterations)):
            for dim in dims:
                logs = logs - logs.logsumexp(dim=dim, keepdim=True)
        return end(logs)

    return codes


def _simultaneous(scores: Tensor, epsilon: float = 0.05, iterations: int = 3) -> Tensor:
    logs = scores / epsilon
    for _ in range(iterations):
        logs = logs - logs.logsumexp(dim=0) - logs.logsumexp(dim=1, keepdim=True)
    return logs.exp()


def _exponential(scores: Tensor, epsilon: float = 0.05, iterations: int = 3) -> Tensor:
    """Right where exp does not overflow."""
    q = torch.exp(scores / epsilon)
    n, k = q.shape
    for _ in range(iterations):
        q = q * (n / k) / q.sum(dim=0)
        q = q / q.sum(dim=1, keepdim=True)
    return q


def _moving_sums(scores: Tensor, epsilon: float = 0.05, iterations: int = 3) -> Tensor:
    """The sum is taken anew for each entry, while the column is being divided."""
    q = torch.exp(scores / epsilon)
    n, k = q.shape
    for _ in range(iterations):
        for j in range(k):
            for i in range(n):
                q[i, j] = q[i, j] / q[:, j].sum()
        for i in range(n):
            for j in range(k):
                q[i, j] = q[i, j] / q[i, :].sum()
    return q


def _entry_loops(scores: Tensor, epsilon: float = 0.05, iterations: int = 3) -> Tensor:
    n, k = scores.shape
    q = [[torch.exp((scores[i, j] - scores.max()) / epsilon) for j in range(k)] for i in range(n)]
    for _ in range(iterations):
        for j in range(k):
            total = sum(q[i][j] for i in range(n))
            for i in range(n):
                q[i][j] = q[i][j] * n / (k * total)
        for i in range(n):
            total = sum(q[i])
            q[i] = [entry / total for entry in q[i]]
    return torch.stack([torch.stack(row) for row in q])


def _scaling_vectors(scores: Tensor, epsilon: float = 0.05, iterations: int = 3) -> Tensor:
    """Other algebra: Q = diag(u) M diag(v), where only the vectors change."""
    kernel = torch.exp((scores - scores.max()) / epsilon)
    u, v = scores.new_ones(len(scores)), scores.new_ones(scores.shape[1])
    for _ in range(iterations):
        v = len(scores) / scores.shape[1] / (kernel.T @ u)
        u = 1 / (kernel @ v)
    return torch.diag(u) @ kernel @ torch.diag(v)


def _potentials(scores: Tensor, epsilon: float = 0.05, iterations: int = 3) -> Tensor:
    """Other algebra: the logarithms of the scaling vectors."""
    logs = scores / epsilon
    f, g = scores.new_zeros(len(scores), 1), scores.new_zeros(1, scores.shape[1])
    for _ in range(iterations):
        g = -torch.logsumexp(logs + f, dim=0, keepdim=True)
        f = -torch.logsumexp(logs + g, dim=1, keepdim=True)
    return torch.exp(logs + f + g)


def _softmaxes(scores: Tensor, epsilon: float = 0.05, iterations: int = 3) -> Tensor:
    logs = scores / epsilon
    for _ in range(iterations):
        logs = torch.log_softmax(torch.log_softmax(logs, dim=0), dim=1)
    return logs.exp()


def _in_the_papers_orientation(scores: Tensor, epsilon: float = 0.05, iterations: int = 3) -> Tensor:
    """Masses that sum to 1, prototypes in rows, and the transpose at the end."""
    q = torch.exp((scores.T - scores.max()) / epsilon)
    q = q / q.sum()
    k, n = q.shape
    for _ in range(iterations):
        q = q / q.sum(dim=1, keepdim=True) / k
        q = q / q.sum(dim=0, keepdim=True) / n
    return (q * n).T


NOT_BALANCED = "only the rows are normalised: that is a softmax, and one prototype may take every sample."
SINKHORN_WRONG = {
    "rows first": Wrong(
        _balanced(dims=(1, 0)),
        "the order is reversed: columns first, rows last. Your rows do not sum to 1 after a few iterations.",
    ),
    "rows only": Wrong(_balanced(dims=(1,)), NOT_BALANCED),
    "columns only": Wrong(
        _balanced(dims=(0,)), "only the columns are normalised: the codes of a sample must sum to 1 as well."
    ),
    "softmax first": Wrong(
        _balanced(start=lambda s, eps: torch.log_softmax(s / eps, dim=1)),
        "a softmax came before the loop; the first step takes the columns of exp(scores / epsilon).",
    ),
    "both at once": Wrong(
        _simultaneous, "row sums and column sums were taken at the same time; the row sums come after the columns."
    ),
    "no epsilon": Wrong(_balanced(start=lambda s, eps: s), "the division by epsilon is missing."),
    "times epsilon": Wrong(
        _balanced(start=lambda s, eps: s * eps), "multiplied by epsilon; divide by it: a small epsilon sharpens."
    ),
    "epsilon fixed": Wrong(
        _balanced(start=lambda s, eps: s / 0.05), "the argument epsilon is ignored: 0.05 is only its default."
    ),
    "wrong sign": Wrong(
        _balanced(start=lambda s, eps: -s / eps),
        "the sign is turned: scores are similarities, so a large one gets a large code. Only costs take a minus.",
    ),
    "iterations fixed": Wrong(
        _balanced(rounds=lambda iterations: 3), "the argument iterations is ignored: 3 is only its default."
    ),
    "one too many": Wrong(_balanced(rounds=lambda iterations: iterations + 1), "there is one iteration too many."),
    "one too few": Wrong(_balanced(rounds=lambda iterations: iterations - 1), "there is one iteration too few."),
    "logarithms": Wrong(_balanced(end=_same), "these are logarithms: exp is still to come."),
    "masses": Wrong(
        _balanced(end=lambda logs: logs.exp() / len(logs)),
        "rows sum to 1/N, as in the paper's masses; a code is a distribution, so multiply by N.",
    ),
    "one-hot": Wrong(
        _balanced(end=lambda logs: F.one_hot(logs.argmax(dim=1), logs.shape[1]).to(logs)),
        "the codes were rounded to one-hot vectors; SwAV keeps them soft.",
    ),
    "transposed": Wrong(_balanced(end=lambda logs: logs.exp().T), "the result is K x N; rows are samples here, N x K."),
}
SINKHORN_RIGHT = {
    "loops over entries": _entry_loops,
    "scaling vectors": _scaling_vectors,
    "potentials": _potentials,
    "log_softmax twice": _softmaxes,
    "the paper's orientation": _in_the_papers_orientation,
}

MOVING_SUMS = "the sum changes while you divide by it: take the sum of a column once, then divide."
LOOP_WRONG = {**SINKHORN_WRONG, "moving sums": Wrong(_moving_sums, MOVING_SUMS)}

register(
    Exercise(
        name="sinkhorn_loop",
        lesson=LESSON,
        number="6.2",
        title="Sinkhorn's algorithm by loops",
        difficulty=2,
        importance=4,
        minutes=10,
        points=2,
        check=Agreement(losses.sinkhorn, _mild_scores, LOOP_WRONG, gradients=False),
        hints=(
            "Start from q = torch.exp(scores / epsilon), a new tensor. It may be changed in place.",
            "An iteration: multiply each column j by N/K and divide it by its sum; then divide each row i by its sum.",
            "q[:, j] = q[:, j] * (n / k) / q[:, j].sum(), then q[i] = q[i] / q[i].sum(). Rows come last.",
        ),
        right={**SINKHORN_RIGHT, "exponential": _exponential},
    )
)

OVERFLOW = "exp(scores / epsilon) overflows for a small epsilon: subtract torch.logsumexp from logarithms instead."
UNDERFLOW = (
    "shifted by the largest entry, others underflow to 0, and a row or column of zeros gives 0/0: use logarithms."
)
VECTOR_WRONG = {
    **SINKHORN_WRONG,
    "shifted exponential": Wrong(
        lambda scores, epsilon=0.05, iterations=3: _exponential(scores - scores.max(), epsilon, iterations), UNDERFLOW
    ),
    "exponential": Wrong(_exponential, OVERFLOW),
}

register(
    Exercise(
        name="sinkhorn",
        lesson=LESSON,
        number="6.3",
        title="the same in logarithms, for any epsilon",
        difficulty=3,
        importance=5,
        minutes=12,
        points=3,
        check=Agreement(losses.sinkhorn, _all_scores, VECTOR_WRONG, gradients=False),
        hints=(
            "Dividing by a sum is subtracting a logarithm: log(q / sum q) = log q - logsumexp(log q).",
            "The sum of a column runs over the samples, dim=0; that of a row over the prototypes, dim=1, keepdim=True.",
            "The factor N/K adds the same constant to every entry, and the row step takes it away again.",
            "Start from scores / epsilon; in each iteration subtract logsumexp over dim 0, then dim 1; end with exp.",
        ),
        right={"potentials": _potentials, "log_softmax twice": _softmaxes},
    )
)


# --- 6.4 swapped_prediction -------------------------------------------------------------------------------------


def _entropy(q: Tensor) -> Tensor:
    return torch.special.entr(q).sum(dim=1).mean()


def _predicted(
    cross: Callable[[Tensor, Tensor, float], Tensor] | None = None,
    codes_of: Callable[[Tensor], Tensor] = torch.Tensor.detach,
    entropy: Callable[[Tensor, Tensor, float], Tensor] = lambda s, q, tau: _entropy(q),
    kl: Callable[[Tensor, Tensor], Tensor] = lambda total, h: total - h,
) -> Callable[..., Terms]:
    """Some cross-entropy with its two parts."""
    cross = cross or _cross_entropy

    def loss(scores: Tensor, codes: Tensor, temperature: float = 0.1) -> Terms:
        q = codes_of(codes)
        total, h = cross(scores, q, temperature), entropy(scores, q, temperature)
        return total, h, kl(total, h)

    return loss


def _cross_entropy(s: Tensor, q: Tensor, tau: float) -> Tensor:
    return -(q * F.log_softmax(s / tau, dim=1)).sum(dim=1).mean()


def _predicted_loop(scores: Tensor, codes: Tensor, temperature: float = 0.1) -> Terms:
    total = code_entropy = scores.new_zeros(())
    for s, q in zip(scores, codes.detach()):
        log_z = torch.logsumexp(s / temperature, dim=0)
        for k in range(len(s)):
            total = total - q[k] * (s[k] / temperature - log_z) / len(scores)
            code_entropy = code_entropy - (q[k] * q[k].log() if q[k] > 0 else 0.0) / len(scores)
    return total, code_entropy, total - code_entropy


def _kl_first(scores: Tensor, codes: Tensor, temperature: float = 0.1) -> Terms:
    """Other algebra: the divergence first, the total from it."""
    q = codes.detach()
    kl = F.kl_div(F.log_softmax(scores / temperature, dim=1), q, reduction="batchmean")
    return kl + _entropy(q), _entropy(q), kl


def _by_torch(scores: Tensor, codes: Tensor, temperature: float = 0.1) -> Terms:
    q = codes.detach()
    total = F.cross_entropy(scores / temperature, q)
    h = -torch.xlogy(q, q).sum() / len(q)
    return losses.SwAVLoss(total, h, total - h)


def _linear_minus_logsumexp(scores: Tensor, codes: Tensor, temperature: float = 0.1) -> Terms:
    q, logits = codes.detach(), scores / temperature
    total = (logits.logsumexp(dim=1) - torch.einsum("nk,nk->n", q, logits)).mean()
    h = torch.where(q > 0, -q * q.clamp(min=1e-300).log(), 0.0).sum(dim=1).mean()
    return total, h, total - h


PREDICT_WRONG = {
    "no temperature": Wrong(
        _predicted(lambda s, q, tau: _cross_entropy(s, q, 1.0)), "the scores were not divided by the temperature."
    ),
    "temperature fixed": Wrong(_predicted(lambda s, q, tau: _cross_entropy(s, q, 0.1)), TEMPERATURE_IGNORED),
    "times temperature": Wrong(_predicted(lambda s, q, tau: _cross_entropy(s, q, 1 / tau)), TEMPERATURE_TIMES),
    "sum over the batch": Wrong(
        _predicted(lambda s, q, tau: _cross_entropy(s, q, tau) * len(s)),
        "summed over the batch; the total is a mean over the N samples.",
    ),
    "mean over entries": Wrong(
        _predicted(lambda s, q, tau: _cross_entropy(s, q, tau) / s.shape[1]),
        "a mean over all N K entries; sum over the prototypes, then take the mean over the samples.",
    ),
    "wrong sign": Wrong(_predicted(lambda s, q, tau: -_cross_entropy(s, q, tau)), "the minus is missing."),
    "over the samples": Wrong(
        _predicted(lambda s, q, tau: -(q * F.log_softmax(s / tau, dim=0)).sum(dim=1).mean()), SOFTMAX_AXIS
    ),
    "reversed": Wrong(
        _predicted(lambda s, q, tau: -(torch.softmax(s / tau, dim=1) * q.log()).sum(dim=1).mean()),
        "the roles are exchanged: the codes are the target, the logarithm belongs to the prediction.",
    ),
    "no logarithm": Wrong(
        _predicted(lambda s, q, tau: -(q * torch.softmax(s / tau, dim=1)).sum(dim=1).mean()),
        "the logarithm is missing: -sum q log p, not -sum q p.",
    ),
    "log of softmax": Wrong(
        _predicted(lambda s, q, tau: -(q * torch.softmax(s / tau, dim=1).log()).sum(dim=1).mean()),
        "log(softmax) is -infinity where a probability underflows: use log_softmax.",
    ),
    "hard codes": Wrong(
        _predicted(lambda s, q, tau: F.cross_entropy(s / tau, q.argmax(dim=1))),
        "the codes were rounded to their largest entry; all their entries count.",
    ),
    "entropy of the predictions": Wrong(
        _predicted(entropy=lambda s, q, tau: _entropy(torch.softmax(s / tau, dim=1))),
        "code_entropy is that of the predictions p; it is the entropy of the codes q.",
    ),
    "negative entropy": Wrong(
        _predicted(entropy=lambda s, q, tau: -_entropy(q)), "the entropy has the wrong sign: H(q) = -sum q log q >= 0."
    ),
    "summed entropy": Wrong(
        _predicted(entropy=lambda s, q, tau: _entropy(q) * len(q)),
        "code_entropy is summed over the batch, the total is not; take the mean of both.",
    ),
    "0 log 0": Wrong(
        _predicted(entropy=lambda s, q, tau: -(q * q.log()).sum(dim=1).mean()),
        "0 log 0 is NaN in floating point and 0 in mathematics: torch.special.entr or torch.xlogy know that.",
    ),
    "kl of the wrong sign": Wrong(
        _predicted(kl=lambda total, h: h - total), "kl has the wrong sign: it is total - code_entropy, never negative."
    ),
    "codes with gradient": Wrong(
        _predicted(codes_of=_same), "the codes are targets: a gradient flows into them. Call detach() on them."
    ),
    "prediction detached": Wrong(
        lambda scores, codes, temperature=0.1: losses.swapped_prediction(scores.detach(), codes, temperature),
        "no gradient reaches the scores: it is the codes that are detached, not the prediction.",
    ),
    "bare tensor": Wrong(
        lambda scores, codes, temperature=0.1: losses.swapped_prediction(scores, codes, temperature).total,
        "return the 3 values",
    ),
}

register(
    Exercise(
        name="swapped_prediction",
        lesson=LESSON,
        number="6.4",
        title="predict a code: cross-entropy with soft targets",
        difficulty=2,
        importance=5,
        minutes=10,
        points=2,
        check=Agreement(
            losses.swapped_prediction, _scores_and_codes, PREDICT_WRONG, fields=("total", "code_entropy", "kl")
        ),
        hints=(
            "log_p = F.log_softmax(scores / temperature, dim=1) has no trouble with small probabilities.",
            "total = -(q * log_p), summed over the prototypes, then the mean over the samples. q = codes.detach().",
            "code_entropy = torch.special.entr(q).sum(dim=1).mean(), because entr(q) = -q log q with 0 log 0 = 0.",
            "kl = total - code_entropy. Return (total, code_entropy, kl).",
        ),
        right={
            "loop": _predicted_loop,
            "divergence first": _kl_first,
            "torch's cross_entropy": _by_torch,
            "logsumexp minus a product": _linear_minus_logsumexp,
        },
    )
)


# --- 6.5 swapped_prediction_gradient ----------------------------------------------------------------------------


def _slope(
    p: Callable[[Tensor, float], Tensor] = lambda s, tau: torch.softmax(s / tau, dim=1),
    difference: Callable[[Tensor, Tensor], Tensor] = torch.sub,
    scale: Callable[[Tensor, float], float] = lambda s, tau: 1 / (tau * len(s)),
) -> Callable[..., Tensor]:
    """The closed form with parts replaced."""
    return lambda scores, codes, temperature=0.1: difference(p(scores, temperature), codes) * scale(scores, temperature)


def _autodiff(scores: Tensor, codes: Tensor, temperature: float = 0.1) -> Tensor:
    with torch.enable_grad():
        s = scores.detach().clone().requires_grad_()
        return torch.autograd.grad(losses.swapped_prediction(s, codes, temperature).total, s)[0]


def _slope_loop(scores: Tensor, codes: Tensor, temperature: float = 0.1) -> Tensor:
    """The chain rule as a double sum: d l / d s_j = -sum_k q_k (1[k = j] - p_j) / tau."""
    n, k = scores.shape
    result = torch.zeros_like(scores)
    for i in range(n):
        p = torch.softmax(scores[i] / temperature, dim=0)
        for j in range(k):
            result[i, j] = -sum(codes[i, c] * (float(c == j) - p[j]) for c in range(k)) / temperature / n
    return result


def _slope_jacobian(scores: Tensor, codes: Tensor, temperature: float = 0.1) -> Tensor:
    """Other algebra: codes times the Jacobian of log_softmax, I - 1 p^T, for all samples at once."""
    p = torch.softmax(scores / temperature, dim=1)
    eye = torch.eye(scores.shape[1], dtype=scores.dtype)
    return -torch.einsum("nk,nkj->nj", codes, eye - p[:, None, :]) / temperature / len(scores)


def _row_sums(case: Case, ours: Sequence[Tensor], truth: Sequence[Tensor]) -> str | None:
    """A common shift of all scores of a sample changes nothing, so the rows of the gradient sum to 0."""
    g, scores = ours[0], case.args[0]
    if g.shape != scores.shape:
        return "The gradient has the shape of the scores."
    if float(g.sum(dim=1).abs().max()) > 1e-3 * float(g.abs().max()):
        return "Its rows do not sum to 0, as they must: a constant added to all scores of a sample changes nothing."
    return None


SLOPE_WRONG = {
    "no temperature": Wrong(
        _slope(scale=lambda s, tau: 1 / len(s)), "the factor 1/tau is missing: the scores are divided by tau inside."
    ),
    "times temperature": Wrong(
        _slope(scale=lambda s, tau: tau / len(s)), "multiplied by tau; the chain rule divides by it."
    ),
    "no temperature inside": Wrong(
        _slope(p=lambda s, tau: torch.softmax(s, dim=1)), "p is the softmax of scores / tau; the tau inside is missing."
    ),
    "not divided by N": Wrong(
        _slope(scale=lambda s, tau: 1 / tau), "the factor 1/N is missing: the loss is a mean over the samples."
    ),
    "divided by N K": Wrong(
        _slope(scale=lambda s, tau: 1 / (tau * s.numel())),
        "divided by N K; the loss is a mean over the N samples only.",
    ),
    "wrong sign": Wrong(
        _slope(difference=lambda p, q: q - p), "the sign is turned: that is the direction of descent, not the gradient."
    ),
    "codes left out": Wrong(_slope(difference=lambda p, q: p), "the codes are missing: p - q, not p."),
    "predictions left out": Wrong(_slope(difference=lambda p, q: -q), "the predictions are missing: p - q, not -q."),
    "weighted by p": Wrong(
        _slope(difference=lambda p, q: p * (p - q)), "there is a factor p too many: the logarithm takes it away."
    ),
    "quotient": Wrong(
        _slope(difference=lambda p, q: -q / p),
        "-q/p is the slope in p; the softmax comes next: its Jacobian turns that into p - q.",
    ),
    "over the samples": Wrong(_slope(p=lambda s, tau: torch.softmax(s / tau, dim=0)), SOFTMAX_AXIS),
    "hard codes": Wrong(
        lambda scores, codes, temperature=0.1: _slope()(
            scores, F.one_hot(codes.argmax(dim=1), codes.shape[1]).to(codes), temperature
        ),
        "the codes were rounded to their largest entry; use them as they are.",
    ),
}

register(
    Exercise(
        name="swapped_prediction_gradient",
        lesson=LESSON,
        number="6.5",
        title="the gradient of that loss",
        difficulty=3,
        importance=3,
        minutes=10,
        points=2,
        check=Agreement(
            swapped_prediction_gradient, _scores_and_codes, SLOPE_WRONG, gradients=False, symptom=_row_sums
        ),
        hints=(
            "For one sample and logits s/tau: loss = logsumexp(s/tau) - sum_k q_k s_k/tau, because the q_k sum to 1.",
            "The slope of logsumexp is the softmax. So the slope in a logit is p_k - q_k.",
            "(p - q) / (temperature * N) with p = torch.softmax(scores / temperature, dim=1).",
        ),
        right={"autograd": _autodiff, "double sum": _slope_loop, "Jacobian": _slope_jacobian},
    )
)


# --- 6.6 swav ---------------------------------------------------------------------------------------------------


def _swapped(
    codes: Callable[[Tensor, float, int], Tensor] = losses.sinkhorn,
    one: Callable[[Tensor, Tensor, float], Terms] = losses.swapped_prediction,
    pairing: Callable[[Terms, Terms], Terms] | None = None,
    own: bool = False,
) -> Callable[..., Terms]:
    """Some SwAV: its codes, its loss of one direction, and how both directions are put together."""
    pairing = pairing or _mean_of_terms

    def loss(
        scores_a: Tensor, scores_b: Tensor, temperature: float = 0.1, epsilon: float = 0.05, iterations: int = 3
    ) -> Terms:
        q_a, q_b = codes(scores_a, epsilon, iterations), codes(scores_b, epsilon, iterations)
        if own:
            q_a, q_b = q_b, q_a
        return pairing(one(scores_a, q_b, temperature), one(scores_b, q_a, temperature))

    return loss


def _mean_of_terms(first: Sequence[Tensor], second: Sequence[Tensor]) -> Terms:
    total, entropy, kl = ((a + b) / 2 for a, b in zip(first, second))
    return total, entropy, kl


def _sum_of_terms(first: Sequence[Tensor], second: Sequence[Tensor]) -> Terms:
    total, entropy, kl = (a + b for a, b in zip(first, second))
    return total, entropy, kl


def _summed_total(first: Sequence[Tensor], second: Sequence[Tensor]) -> Terms:
    return first[0] + second[0], (first[1] + second[1]) / 2, (first[2] + second[2]) / 2


def _jointly(
    scores_a: Tensor, scores_b: Tensor, temperature: float = 0.1, epsilon: float = 0.05, iterations: int = 3
) -> Terms:
    q_a, q_b = losses.sinkhorn(torch.cat([scores_a, scores_b]), epsilon, iterations).chunk(2)
    return _mean_of_terms(
        losses.swapped_prediction(scores_a, q_b, temperature), losses.swapped_prediction(scores_b, q_a, temperature)
    )


def _temperature_in_codes(
    scores_a: Tensor, scores_b: Tensor, temperature: float = 0.1, epsilon: float = 0.05, iterations: int = 3
) -> Terms:
    return _swapped(lambda s, eps, n: losses.sinkhorn(s / temperature, eps, n))(
        scores_a, scores_b, temperature, epsilon, iterations
    )


def _attached(scores: Tensor, epsilon: float, iterations: int) -> Tensor:
    """Sinkhorn through which gradients flow."""
    return _balanced()(scores, epsilon, iterations)


def _swav_loop(
    scores_a: Tensor, scores_b: Tensor, temperature: float = 0.1, epsilon: float = 0.05, iterations: int = 3
) -> Terms:
    q_a, q_b = (_potentials(s.detach(), epsilon, iterations) for s in (scores_a, scores_b))
    return _mean_of_terms(_predicted_loop(scores_a, q_b, temperature), _predicted_loop(scores_b, q_a, temperature))


def _stacked(
    scores_a: Tensor, scores_b: Tensor, temperature: float = 0.1, epsilon: float = 0.05, iterations: int = 3
) -> Terms:
    """Other algebra: both directions as one batch of 2N; the mean over it is the mean of both."""
    q = torch.cat([losses.sinkhorn(s, epsilon, iterations) for s in (scores_b, scores_a)])
    return _by_torch(torch.cat([scores_a, scores_b]), q, temperature)


def _as_two_crops(
    scores_a: Tensor, scores_b: Tensor, temperature: float = 0.1, epsilon: float = 0.05, iterations: int = 3
) -> Terms:
    return losses.swav_multicrop([scores_a, scores_b], 2, temperature, epsilon, iterations)


SWAV_WRONG = {
    "own codes": Wrong(
        _swapped(own=True), "each view predicts its own code; swap: the code of A is predicted from view B."
    ),
    "one direction": Wrong(
        _swapped(pairing=lambda first, second: (first[0], first[1], first[2])),
        "only the direction code of B from view A is there; add the other one and take the mean.",
    ),
    "the other direction": Wrong(
        _swapped(pairing=lambda first, second: (second[0], second[1], second[2])),
        "only the direction code of A from view B is there; add the other one and take the mean.",
    ),
    "sum": Wrong(
        _swapped(pairing=_sum_of_terms),
        "a sum of the two directions, as in the paper's eq. 1; here it is their mean, as in the official code.",
    ),
    "summed total": Wrong(
        _swapped(pairing=_summed_total),
        "the total is a sum of both directions while the other fields are means: total = code_entropy + kl must hold.",
    ),
    "jointly": Wrong(_jointly, "Sinkhorn ran once on both views together; run it on each view by itself."),
    "codes attached": Wrong(
        _swapped(_attached, one=lambda s, q, tau: _predicted(codes_of=_same)(s, q, tau)),
        "a gradient flows through Sinkhorn: the codes are constants, detach them.",
    ),
    "softmax codes": Wrong(
        _swapped(lambda s, eps, n: torch.softmax(s.detach() / eps, dim=1)),
        "the codes are a plain softmax of the scores: without Sinkhorn nothing balances the prototypes.",
    ),
    "hard codes": Wrong(
        _swapped(lambda s, eps, n: F.one_hot(losses.sinkhorn(s, eps, n).argmax(dim=1), s.shape[1]).to(s)),
        "the codes were rounded to one-hot vectors; SwAV keeps them soft.",
    ),
    "temperature in the codes": Wrong(
        _temperature_in_codes, "the scores were divided by the temperature before Sinkhorn; there only epsilon acts."
    ),
    "epsilon fixed": Wrong(
        _swapped(lambda s, eps, n: losses.sinkhorn(s, 0.05, n)),
        "the argument epsilon does not reach sinkhorn: 0.05 is only its default.",
    ),
    "iterations fixed": Wrong(
        _swapped(lambda s, eps, n: losses.sinkhorn(s, eps, 3)),
        "the argument iterations does not reach sinkhorn: 3 is only its default.",
    ),
    "temperature fixed": Wrong(
        _swapped(one=lambda s, q, tau: losses.swapped_prediction(s, q)),
        "the argument temperature does not reach the prediction: 0.1 is only its default.",
    ),
    "epsilon and temperature exchanged": Wrong(
        lambda scores_a, scores_b, temperature=0.1, epsilon=0.05, iterations=3: losses.swav(
            scores_a, scores_b, epsilon, temperature, iterations
        ),
        "epsilon and temperature are exchanged: epsilon belongs to the codes, the temperature to the prediction.",
    ),
    "reversed": Wrong(
        _swapped(one=_predicted(lambda s, q, tau: -(torch.softmax(s / tau, dim=1) * q.log()).sum(dim=1).mean())),
        "the roles are exchanged: the codes are the target, the logarithm belongs to the prediction.",
    ),
    "bare tensor": Wrong(lambda *args, **kwargs: losses.swav(*args, **kwargs).total, "return the 3 values"),
}

register(
    Exercise(
        name="swav",
        lesson=LESSON,
        number="6.6",
        title="swap: each view predicts the other one's code",
        difficulty=2,
        importance=5,
        minutes=8,
        points=3,
        check=Agreement(losses.swav, _score_pairs, SWAV_WRONG, fields=("total", "code_entropy", "kl")),
        hints=(
            "Codes first: q_a = sinkhorn(scores_a, epsilon, iterations), and q_b from scores_b. Two separate calls.",
            "Then swap: swapped_prediction(scores_a, q_b, temperature), and the same with scores_b and q_a.",
            "Each call gives three numbers; return the mean of the two, term by term.",
        ),
        right={"loop": _swav_loop, "one batch of 2N": _stacked, "two crops": _as_two_crops},
    )
)


# --- 6.7 label_votes --------------------------------------------------------------------------------------------


def _votes_loop(codes: Tensor, labels: Tensor, num_classes: int = 3) -> Tensor:
    votes = codes.new_zeros(codes.shape[1], num_classes)
    for q, label in zip(codes, labels.tolist()):
        if label >= 0:
            votes[int(q.argmax()), label] += 1
    return votes


def _votes_accumulated(codes: Tensor, labels: Tensor, num_classes: int = 3) -> Tensor:
    known = labels >= 0
    votes = codes.new_zeros(codes.shape[1], num_classes)
    at = (codes.argmax(dim=1)[known], labels[known])
    return votes.index_put_(at, codes.new_ones(int(known.sum())), accumulate=True)


def _votes_bincount(codes: Tensor, labels: Tensor, num_classes: int = 3) -> Tensor:
    """Other algebra: one number for each pair (cluster, class), counted."""
    known = labels >= 0
    pairs = codes.argmax(dim=1)[known] * num_classes + labels[known]
    counts = torch.bincount(pairs, minlength=codes.shape[1] * num_classes)
    return counts.view(codes.shape[1], num_classes).to(codes.dtype)


def _votes_indexed(codes: Tensor, labels: Tensor, num_classes: int = 3) -> Tensor:
    known = labels >= 0
    votes = codes.new_zeros(codes.shape[1], num_classes)
    votes[codes.argmax(dim=1)[known], labels[known]] += 1
    return votes


def _votes_of_all(codes: Tensor, labels: Tensor, num_classes: int = 3) -> Tensor:
    votes = codes.new_zeros(codes.shape[1], num_classes)
    for q, label in zip(codes, labels.tolist()):
        votes[int(q.argmax()), label] += 1
    return votes


def _votes_soft(codes: Tensor, labels: Tensor, num_classes: int = 3) -> Tensor:
    known = labels >= 0
    return codes[known].T @ F.one_hot(labels[known], num_classes).to(codes)


def _changed(end: Callable[[Tensor], Tensor]) -> Callable[..., Tensor]:
    return lambda codes, labels, num_classes=3: end(label_votes(codes, labels, num_classes))


def _shares(votes: Tensor) -> Tensor:
    return votes / votes.sum(dim=1, keepdim=True).clamp(min=1)


VOTES_WRONG: dict[str, Any] = {
    "unknown counted": Wrong(
        _votes_of_all, "the label -1 means unknown, but as an index it is the last class: leave those samples out."
    ),
    "unknown as class 0": Wrong(
        lambda codes, labels, num_classes=3: label_votes(codes, labels.clamp(min=0), num_classes),
        "unknown labels were counted as class 0: leave those samples out.",
    ),
    "counted once": Wrong(
        _votes_indexed,
        "votes[i, j] += 1 with index tensors counts a repeated pair only once: loop, bincount or accumulate=True.",
    ),
    "soft votes": Wrong(
        _votes_soft, "soft codes were added up; a sample votes in the one cluster where its code is largest."
    ),
    "transposed": Wrong(_changed(lambda votes: votes.T), "your table is classes x clusters; a row is a cluster."),
    "shares": Wrong(_changed(_shares), "these are shares of each cluster; return the plain counts."),
    "shares of a class": Wrong(
        _changed(lambda votes: votes / votes.sum(dim=0).clamp(min=1)),
        "these are shares of each class; return the plain counts.",
    ),
    "smallest entry": Wrong(
        lambda codes, labels, num_classes=3: label_votes(-codes, labels, num_classes),
        "the cluster of a sample is where its code is largest, not smallest.",
    ),
    "one-hot of the winner": Wrong(
        _changed(lambda votes: F.one_hot(votes.argmax(dim=1), votes.shape[1]).to(votes)),
        "only the winner of each cluster is marked; return all counts. Who wins is the next step.",
    ),
}

register(
    Exercise(
        name="label_votes",
        lesson=LESSON,
        number="6.7",
        title="name clusters by a few labels: count the votes",
        difficulty=2,
        importance=3,
        minutes=8,
        points=2,
        check=Agreement(label_votes, _votes, VOTES_WRONG, gradients=False),
        hints=(
            "The cluster of sample i is codes[i].argmax(). Samples with labels[i] == -1 have no vote.",
            "Start from codes.new_zeros(K, num_classes), and add 1 at [cluster, label] for each labelled sample.",
            "A loop will do: for q, y in zip(codes, labels.tolist()): if y >= 0: votes[q.argmax(), y] += 1.",
        ),
        right={"loop": _votes_loop, "accumulated": _votes_accumulated, "bincount": _votes_bincount},
    )
)
