"""Lesson 06: the exercises that derive `jemlib.losses.swav`, with their mistakes and other right answers."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from jemlib import losses
from jemlib.course.machinery.agreement import Case
from jemlib.course.machinery.answers import Body, Edit, Mistaken, declare, within
from jemlib.course.machinery.inputs import views

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


# --- Sentences that serve several exercises ---------------------------------------------------------------------

SOFTMAX_AXIS = "the softmax runs over the samples (dim=0); each sample spreads over the prototypes, dim=1."
TEMPERATURE_IGNORED = "the argument temperature is ignored: 0.1 is only its default."
TEMPERATURE_TIMES = "multiplied by the temperature; divide by it, so that a small one makes the assignment sharp."
HARD_CODES = "the codes were rounded to their largest entry; all their entries count."
EXCHANGED = "the roles are exchanged: the codes are the target, the logarithm belongs to the prediction."


# --- 6.1 soft_assignments ---------------------------------------------------------------------------------------

DETACHED = "the gradient must reach both the embeddings and the prototypes: leave out detach() and no_grad()."
UNIT_Z, UNIT_W = "z / z.norm(dim=1, keepdim=True)", "prototypes / prototypes.norm(dim=1, keepdim=True)"
RAW_SCORES = "a softmax of plain inner products: rows need unit length, and scores are divided by the temperature."

declare(
    __name__,
    soft_assignments,
    number="6.1",
    title="the softargmax over prototypes",
    difficulty=1,
    importance=4,
    minutes=6,
    points=1,
    hints=(
        "A cosine is an inner product of unit vectors. F.normalize(z, dim=1) gives every row unit length.",
        "Samples in rows, prototypes in columns: u @ c.T has shape (N, K).",
        "torch.softmax(u @ c.T / temperature, dim=1), where u and c are the normalised rows.",
    ),
    cases=_embedded,
    answer="""
        def soft_assignments(z, prototypes, temperature=0.1):
            unit_z = z / z.norm(dim=1, keepdim=True)
            unit_w = prototypes / prototypes.norm(dim=1, keepdim=True)
            return torch.softmax(unit_z @ unit_w.T / temperature, dim=1)
    """,
    mistakes={
        # First, because the hard argmax has no gradient either.
        "detached": Edit("unit_w.T -> unit_w.T.detach()", DETACHED),
        "both detached": Edit("unit_w.T / -> unit_w.T.detach() /\nunit_z @ -> unit_z.detach() @", DETACHED),
        "raw embeddings": Edit(f"{UNIT_Z} -> z", "the embeddings are not of unit length: divide each row by its norm."),
        "raw prototypes": Edit(
            f"{UNIT_W} -> prototypes", "the prototypes are not of unit length, so a long one attracts every sample."
        ),
        "raw both": Edit(
            f"{UNIT_Z} -> z\n{UNIT_W} -> prototypes",
            "inner products instead of cosines: embeddings and prototypes need unit length, both.",
        ),
        "raw scores": Edit(f"{UNIT_Z} -> z\n{UNIT_W} -> prototypes\n/ temperature ->", RAW_SCORES),
        "normalised columns": Edit(
            "norm(dim=1 -> norm(dim=0",
            "columns were scaled to unit length; rows are the vectors, so normalise over dim=1.",
        ),
        "one length": Edit(
            "norm(dim=1, keepdim=True) -> norm()",
            "each matrix was divided by one norm; each row has a length of its own, dim=1.",
        ),
        "squared lengths": Edit(
            "norm(dim=1 -> square().sum(dim=1", "the rows were divided by their squared length; take the root."
        ),
        "centred": Edit(
            "unit_z = -> z = z - z.mean(dim=0); unit_z =",
            "the embeddings were centred; a cosine takes them as they are.",
        ),
        "over the samples": Edit("temperature, dim=1 -> temperature, dim=0", SOFTMAX_AXIS),
        "over both": Body(
            "cosines = F.normalize(z, dim=1) @ F.normalize(prototypes, dim=1).T\n"
            "return torch.softmax(cosines.flatten() / temperature, dim=0).view_as(cosines)",
            "the softmax runs over all entries; each sample has a distribution of its own, dim=1.",
        ),
        "no temperature": Edit("/ temperature ->", "the division by the temperature is missing."),
        "temperature fixed": Edit("temperature -> 0.1", TEMPERATURE_IGNORED),
        "times temperature": Edit("/ temperature -> * temperature", TEMPERATURE_TIMES),
        "temperature outside": Edit(
            "/ temperature, dim=1) -> , dim=1) / temperature",
            "the division by the temperature came after the softmax; the scores are divided, inside.",
        ),
        "wrong sign": Edit("softmax( -> softmax(-", "the sign is turned: a large cosine must get a large share."),
        "logarithm": Edit("torch.softmax -> torch.log_softmax", "these are logarithms; return probabilities."),
        "scores": Edit(
            "torch.softmax(unit_z @ unit_w.T / temperature, dim=1) -> unit_z @ unit_w.T / temperature",
            "these are the scores: the softargmax is still to come.",
        ),
        "cosines": Edit(
            "torch.softmax(unit_z @ unit_w.T / temperature, dim=1) -> unit_z @ unit_w.T",
            "these are the cosines: the temperature and the softargmax are still to come.",
        ),
        "no exponential": Edit(
            "return torch.softmax(unit_z @ unit_w.T / temperature, dim=1) -> "
            "cosines = unit_z @ unit_w.T; return cosines / cosines.sum(dim=1, keepdim=True)",
            "the scores were divided by their sum without an exponential; some are negative, so take exp first.",
        ),
        "not divided by the sum": Edit(
            "torch.softmax(unit_z @ unit_w.T / temperature, dim=1) -> torch.exp(unit_z @ unit_w.T / temperature)",
            "the exponentials were not divided by their sum; the shares of a sample sum to 1.",
        ),
        "one-hot": Edit(
            "torch.softmax( -> F.one_hot((\n/ temperature, dim=1) -> ).argmax(dim=1), len(prototypes)).to(z)",
            "that is the hard argmax; the softargmax gives every prototype a share.",
        ),
        "transposed": Edit(
            "temperature, dim=1) -> temperature, dim=1).T",
            "your matrix is K x N, the orientation of the paper; here rows are samples, N x K.",
        ),
        "squared distances": Edit(
            "unit_z @ unit_w.T -> -torch.cdist(unit_z, unit_w).square()",
            "minus the squared distance is 2 cos - 2: that halves the temperature. Use the cosine.",
        ),
        "distances": Edit(
            "unit_z @ unit_w.T -> -torch.cdist(unit_z, unit_w)", "distances stand in for the scores; use the cosine."
        ),
        "plain exponential": Edit(
            "return torch.softmax(unit_z @ unit_w.T / temperature, dim=1) -> "
            "e = torch.exp(unit_z @ unit_w.T / temperature); return e / e.sum(dim=1, keepdim=True)",
            "exp overflows at a small temperature: take away the largest logit of a row first, as torch.softmax does.",
        ),
    },
    right={
        "loop": """
            rows = []
            for row in z:
                logits = torch.stack([row @ c / (row.norm() * c.norm()) / temperature for c in prototypes])
                weights = torch.exp(logits - logits.max())
                rows.append(weights / weights.sum())
            return torch.stack(rows)
        """,
        "einsum": Edit(
            "torch.softmax(unit_z @ unit_w.T / temperature, dim=1) -> "
            "torch.einsum('nd,kd->nk', unit_z, unit_w).div(temperature).log_softmax(dim=1).exp()"
        ),
        # |u - c|^2 / 2 = 1 - u.c on the sphere, and the 1 cancels in the softmax
        "distances": Edit("unit_z @ unit_w.T -> -(unit_z[:, None] - unit_w).square().sum(dim=2) / 2"),
        "cosine_similarity": """
            return torch.softmax(F.cosine_similarity(z[:, None, :], prototypes[None, :, :], dim=2) / temperature, dim=1)
        """,
    },
)


# --- 6.2 and 6.3 sinkhorn ---------------------------------------------------------------------------------------

ROWS_FIRST = "the order is reversed: columns first, rows last. Your rows do not sum to 1 after a few iterations."
NOT_BALANCED = "only the rows are normalised: that is a softmax, and one prototype may take every sample."
COLUMNS_ONLY = "only the columns are normalised: the codes of a sample must sum to 1 as well."
BOTH_AT_ONCE = "row sums and column sums were taken at the same time; the row sums come after the columns."
MAXIMUM = "divided by the largest entry; divide by the sum, so that the entries become shares."
LOGARITHMS = "these are logarithms: exp is still to come."
MASSES = "rows sum to 1/N, as in the paper's masses; a code is a distribution, so multiply by N."
PAPERS_SHAPE = "the result is K x N; rows are samples here, N x K."

# What the two exercises share; the order of the steps is written in logarithms for both.
ROWS, COLUMNS = "logs = logs - logs.logsumexp(dim=1, keepdim=True)", "logs = logs - logs.logsumexp(dim=0)"
FACTOR = "logs = logs + math.log(len(scores) / scores.shape[1])"


def _rounds(*steps: str) -> str:
    """A body in logarithms that takes these steps in each iteration."""
    return "\n    ".join(["logs = scores / epsilon\nfor _ in range(iterations):", *steps]) + "\nreturn logs.exp()"


SINKHORN_MISTAKES: dict[str, Mistaken] = {
    "rows first": Body(_rounds(ROWS, COLUMNS), ROWS_FIRST),
    "rows first, with N/K": Body(_rounds(ROWS, COLUMNS, FACTOR), ROWS_FIRST),
    "rows only": Body(_rounds(ROWS), NOT_BALANCED),
    "columns only": Body(_rounds(COLUMNS), COLUMNS_ONLY),
    "columns only, with N/K": Body(_rounds(COLUMNS, FACTOR), COLUMNS_ONLY),
    "softmax over the samples, not balanced": Body(
        "return torch.softmax(scores / epsilon, dim=0) * len(scores) / scores.shape[1]", COLUMNS_ONLY
    ),
    "N/K for the rows": Body(
        _rounds(COLUMNS, ROWS, FACTOR), "the rows were given the sum N/K; that is for the columns, a row sums to 1."
    ),
    "columns once more": Body(
        _rounds(COLUMNS, ROWS).replace("return logs.exp()", f"{COLUMNS}\n{FACTOR}\nreturn logs.exp()"),
        "after the loop the columns were normalised once more; the rows come last, so that they sum to 1.",
    ),
    "both at once": Body(_rounds(f"{COLUMNS} - logs.logsumexp(dim=1, keepdim=True)"), BOTH_AT_ONCE),
    "both at once, with N/K": Body(_rounds(f"{COLUMNS} - logs.logsumexp(dim=1, keepdim=True)", FACTOR), BOTH_AT_ONCE),
    "maximum": Body(_rounds(COLUMNS, ROWS).replace("logsumexp", "amax"), MAXIMUM),
    "maximum of a column": Body(_rounds(COLUMNS.replace("logsumexp", "amax"), ROWS), MAXIMUM),
    "maximum of a row": Body(_rounds(COLUMNS, ROWS.replace("logsumexp", "amax")), MAXIMUM),
    "no epsilon": Edit("scores / epsilon -> scores", "the division by epsilon is missing."),
    "times epsilon": Edit("/ epsilon -> * epsilon", "multiplied by epsilon; divide by it: a small epsilon sharpens."),
    "epsilon fixed": Edit("epsilon -> 0.05", "the argument epsilon is ignored: 0.05 is only its default."),
    "wrong sign": Edit(
        "scores / -> -scores /",
        "the sign is turned: scores are similarities, so a large one gets a large code. Only costs take a minus.",
    ),
    "iterations fixed": Edit("(iterations) -> (3)", "the argument iterations is ignored: 3 is only its default."),
    "no loop": Edit(
        "(iterations) -> (1)", "columns and rows were balanced once; repeat it, for _ in range(iterations)."
    ),
    "one too many": Edit("(iterations) -> (iterations + 1)", "there is one iteration too many."),
    "one too few": Edit("(iterations) -> (1, iterations)", "there is one iteration too few."),
    "softmax first": Edit(
        "scores / epsilon -> torch.log_softmax(scores / epsilon, dim=1)",
        "a softmax came before the loop; the first step takes the columns of exp(scores / epsilon).",
    ),
    "one-hot": Body(
        "codes = losses.sinkhorn(scores, epsilon, iterations)\n"
        "return F.one_hot(codes.argmax(dim=1), codes.shape[1]).to(codes)",
        "the codes were rounded to one-hot vectors; SwAV keeps them soft.",
    ),
}

SINKHORN_RIGHT = {
    "loops over entries": """
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
    """,
    # Q = diag(u) M diag(v), where only the vectors change
    "scaling vectors": """
        kernel = torch.exp((scores - scores.max()) / epsilon)
        u = scores.new_ones(len(scores))
        for _ in range(iterations):
            v = len(scores) / scores.shape[1] / (kernel.T @ u)
            u = 1 / (kernel @ v)
        return torch.diag(u) @ kernel @ torch.diag(v)
    """,
    # masses that sum to 1, prototypes in rows, and the transpose at the end
    "the paper's orientation": """
        q = torch.exp((scores.T - scores.max()) / epsilon)
        q = q / q.sum()
        for _ in range(iterations):
            q = q / q.sum(dim=1, keepdim=True) / q.shape[0]
            q = q / q.sum(dim=0, keepdim=True) / q.shape[1]
        return (q * q.shape[1]).T
    """,
}
IN_LOGARITHMS = {
    # the logarithms of the scaling vectors
    "potentials": """
        logs = scores / epsilon
        f, g = scores.new_zeros(len(scores), 1), scores.new_zeros(1, scores.shape[1])
        for _ in range(iterations):
            g = -torch.logsumexp(logs + f, dim=0, keepdim=True)
            f = -torch.logsumexp(logs + g, dim=1, keepdim=True)
        return torch.exp(logs + f + g)
    """,
    "log_softmax twice": """
        logs = scores / epsilon
        for _ in range(iterations):
            logs = torch.log_softmax(torch.log_softmax(logs, dim=0), dim=1)
        return logs.exp()
    """,
}
OVERFLOW = "exp(scores / epsilon) overflows for a small epsilon: subtract torch.logsumexp from logarithms instead."
EXPONENTIAL = """
    q = torch.exp(scores / epsilon)
    n, k = q.shape
    for _ in range(iterations):
        q = q * (n / k) / q.sum(dim=0)
        q = q / q.sum(dim=1, keepdim=True)
    return q
"""

declare(
    __name__,
    losses.sinkhorn,
    number="6.2",
    title="Sinkhorn's algorithm by loops",
    difficulty=2,
    importance=4,
    minutes=10,
    points=2,
    hints=(
        "Start from q = torch.exp(scores / epsilon), a new tensor. It may be changed in place.",
        "An iteration: multiply each column j by N/K and divide it by its sum; then divide each row i by its sum.",
        "q[:, j] = q[:, j] * (n / k) / q[:, j].sum(), then q[i] = q[i] / q[i].sum(). Rows come last.",
    ),
    cases=_mild_scores,
    gradients=False,
    answer="""
        def sinkhorn_loop(scores, epsilon=0.05, iterations=3):
            q = torch.exp(scores / epsilon)
            n, k = q.shape
            for _ in range(iterations):
                for j in range(k):
                    q[:, j] = q[:, j] * (n / k) / q[:, j].sum()
                for i in range(n):
                    q[i] = q[i] / q[i].sum()
            return q
    """,
    mistakes={
        **SINKHORN_MISTAKES,
        "lengths": Edit("sum() -> norm()", "divided by the length of a row or column; divide by its sum."),
        "sum of all": Edit(
            "q[i].sum() -> q.sum()", "each row was divided by the sum of all entries; divide it by its own sum."
        ),
        "moving sums": Body(
            """
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
            """,
            "the sum changes while you divide by it: take the sum of a column once, then divide.",
        ),
        "logarithms": Edit("return q -> return q.log()", LOGARITHMS),
        "no exponential": Edit(
            "torch.exp(scores / epsilon) -> scores / epsilon",
            "the exponential is missing: start from exp(scores / epsilon), which is positive.",
        ),
        "masses": Edit("return q -> return q / n", MASSES),
        "transposed": Edit("return q -> return q.T", PAPERS_SHAPE),
    },
    right={**SINKHORN_RIGHT, **IN_LOGARITHMS, "exponential": EXPONENTIAL, "without N/K": Edit("* (n / k) ->")},
)

declare(
    __name__,
    losses.sinkhorn,
    number="6.3",
    title="the same in logarithms, for any epsilon",
    difficulty=3,
    importance=5,
    minutes=12,
    points=3,
    hints=(
        "Dividing by a sum is subtracting a logarithm: log(q / sum q) = log q - logsumexp(log q).",
        "The sum of a column runs over the samples, dim=0; that of a row over the prototypes, dim=1, keepdim=True.",
        "The factor N/K adds the same constant to every entry, and the row step takes it away again.",
        "Start from scores / epsilon; in each iteration subtract logsumexp over dim 0, then dim 1; end with exp.",
    ),
    cases=_all_scores,
    gradients=False,
    answer="""
        def sinkhorn(scores, epsilon=0.05, iterations=3):
            logs = scores / epsilon
            for _ in range(iterations):
                logs = logs - torch.logsumexp(logs, dim=0, keepdim=True)
                logs = logs - torch.logsumexp(logs, dim=1, keepdim=True)
            return logs.exp()
    """,
    mistakes={
        **SINKHORN_MISTAKES,
        "sum of logarithms": Edit(
            "torch.logsumexp -> torch.sum", "the logarithms were summed; the logarithm of a sum is torch.logsumexp."
        ),
        "divided": Edit(
            "logs - torch -> logs / torch", "divided by a logarithm; to divide by a sum, subtract its logarithm."
        ),
        "logarithms": Edit(".exp() ->", LOGARITHMS),
        "masses": Edit(".exp() -> .exp() / len(logs)", MASSES),
        "transposed": Edit(".exp() -> .exp().T", PAPERS_SHAPE),
        "shifted exponential": Body(
            EXPONENTIAL.replace("exp(scores", "exp((scores - scores.max())"),
            "shifted by the largest entry, others underflow to 0, and a row or column of zeros is 0/0. Use logarithms.",
        ),
        "exponential": Body(EXPONENTIAL, OVERFLOW),
        "logarithm of a sum": Edit(
            "torch.logsumexp(logs, dim=0, keepdim=True) -> logs.exp().sum(dim=0, keepdim=True).log()\n"
            "torch.logsumexp(logs, dim=1, keepdim=True) -> logs.exp().sum(dim=1, keepdim=True).log()",
            OVERFLOW,
        ),
    },
    right={**IN_LOGARITHMS, "with N/K": _rounds(COLUMNS, FACTOR, ROWS)},
)


# --- 6.4 swapped_prediction -------------------------------------------------------------------------------------

MEAN_OF_ALL = "a mean over all N K entries; sum over the prototypes, then take the mean over the samples."
ORDER = "the values come in another order: (total, code_entropy, kl)."
CROSS, ENTROPY = "-(q * log_p).sum(dim=1).mean()", "torch.special.entr(q).sum(dim=1).mean()"

declare(
    __name__,
    losses.swapped_prediction,
    number="6.4",
    title="predict a code: cross-entropy with soft targets",
    difficulty=2,
    importance=5,
    minutes=10,
    points=2,
    hints=(
        "log_p = F.log_softmax(scores / temperature, dim=1) has no trouble with small probabilities.",
        "total = -(q * log_p), summed over the prototypes, then the mean over the samples. q = codes.detach().",
        "code_entropy = torch.special.entr(q).sum(dim=1).mean(), because entr(q) = -q log q with 0 log 0 = 0.",
        "kl = total - code_entropy. Return (total, code_entropy, kl).",
    ),
    cases=_scores_and_codes,
    fields=("total", "code_entropy", "kl"),
    answer="""
        def swapped_prediction(scores, codes, temperature=0.1):
            q = codes.detach()
            log_p = torch.log_softmax(scores / temperature, dim=1)
            total = -(q * log_p).sum(dim=1).mean()
            code_entropy = torch.special.entr(q).sum(dim=1).mean()
            return total, code_entropy, total - code_entropy
    """,
    mistakes={
        "no temperature": Edit("/ temperature ->", "the scores were not divided by the temperature."),
        "temperature fixed": Edit("temperature -> 0.1", TEMPERATURE_IGNORED),
        "times temperature": Edit("/ temperature -> * temperature", TEMPERATURE_TIMES),
        "sum over the batch": Edit(
            f"{CROSS} -> -(q * log_p).sum()", "summed over the batch; the total is a mean over the N samples."
        ),
        "mean over entries": Edit(f"{CROSS} -> -(q * log_p).mean()", MEAN_OF_ALL),
        "means over entries": Edit(".sum(dim=1).mean() -> .mean()", MEAN_OF_ALL),
        "wrong sign": Edit("-(q -> (q", "the minus is missing."),
        "over the samples": Edit("temperature, dim=1 -> temperature, dim=0", SOFTMAX_AXIS),
        "reversed": Edit("q * log_p -> log_p.exp() * q.log()", EXCHANGED),
        "no logarithm": Edit("log_softmax -> softmax", "the logarithm is missing: -sum q log p, not -sum q p."),
        "log of softmax": Edit(
            "torch.log_softmax(scores / temperature, dim=1) -> torch.softmax(scores / temperature, dim=1).log()",
            "log(softmax) is -infinity where a probability underflows: use log_softmax.",
        ),
        "no softmax": Edit(
            "torch.log_softmax(scores / temperature, dim=1) -> scores / temperature",
            "the scores were taken for logarithms of probabilities; log_softmax makes them so.",
        ),
        "squared error": Edit(
            f"{CROSS} -> (q - log_p.exp()).square().sum(dim=1).mean()",
            "that is a squared error; the total is a cross-entropy, -sum q log p.",
        ),
        "hard codes": Edit(f"{CROSS} -> F.nll_loss(log_p, q.argmax(dim=1))", HARD_CODES),
        "softmax of the codes": Edit(
            "codes.detach() -> torch.softmax(codes.detach(), dim=1)",
            "a softmax was taken of the codes; they are distributions already.",
        ),
        "entropy of the predictions": Edit(
            "entr(q) -> entr(log_p.exp())",
            "code_entropy is that of the predictions p; it is the entropy of the codes q.",
        ),
        "negative entropy": Edit(
            "= torch.special -> = -torch.special", "the entropy has the wrong sign: H(q) = -sum q log q >= 0."
        ),
        "summed entropy": Edit(
            f"{ENTROPY} -> torch.special.entr(q).sum()",
            "code_entropy is summed over the batch, the total is not; take the mean of both.",
        ),
        "mean entropy": Edit(
            f"{ENTROPY} -> torch.special.entr(q).mean()",
            "code_entropy is a mean over all N K entries; sum over the prototypes first, as in the total.",
        ),
        "0 log 0": Edit(
            "torch.special.entr(q) -> -(q * q.log())",
            "0 log 0 is NaN in floating point and 0 in mathematics: torch.special.entr or torch.xlogy know that.",
        ),
        "kl of the wrong sign": Edit(
            "total - code_entropy -> code_entropy - total",
            "kl has the wrong sign: it is total - code_entropy, never negative.",
        ),
        "kl added": Edit(
            "total - code_entropy -> total + code_entropy",
            "the entropy was added to the total; kl is what is left without it.",
        ),
        "other order": Edit(", code_entropy, total - code_entropy -> , total - code_entropy, code_entropy", ORDER),
        "codes with gradient": Edit(
            "codes.detach() -> codes", "the codes are targets: a gradient flows into them. Call detach() on them."
        ),
        "prediction detached": Edit(
            "softmax(scores -> softmax(scores.detach()",
            "no gradient reaches the scores: it is the codes that are detached, not the prediction.",
        ),
        "bare tensor": Edit(", code_entropy, total - code_entropy ->", "return the 3 values"),
    },
    right={
        "loop": """
            total = code_entropy = 0
            for s, q in zip(scores, codes.detach()):
                log_z = torch.logsumexp(s / temperature, dim=0)
                for k in range(len(s)):
                    total = total - q[k] * (s[k] / temperature - log_z) / len(scores)
                    if q[k] > 0:
                        code_entropy = code_entropy - q[k] * q[k].log() / len(scores)
            return total, code_entropy + scores.new_zeros(()), total - code_entropy
        """,
        # the divergence first, the total from it
        "divergence first": Edit(f"{CROSS} -> F.kl_div(log_p, q, reduction='batchmean') + {ENTROPY}"),
        "torch's cross_entropy": """
            q = codes.detach()
            total = F.cross_entropy(scores / temperature, q)
            h = -torch.xlogy(q, q).sum() / len(q)
            return losses.SwAVLoss(total, h, total - h)
        """,
        "logsumexp minus a product": """
            q, logits = codes.detach(), scores / temperature
            total = (logits.logsumexp(dim=1) - torch.einsum("nk,nk->n", q, logits)).mean()
            h = torch.where(q > 0, -q * q.clamp(min=torch.finfo(q.dtype).tiny).log(), 0.0).sum(dim=1).mean()
            return total, h, total - h
        """,
    },
)


# --- 6.5 swapped_prediction_gradient ----------------------------------------------------------------------------


def _row_sums(case: Case, ours: Sequence[Tensor], truth: Sequence[Tensor]) -> str | None:
    """A common shift of all scores of a sample changes nothing, so the rows of the gradient sum to 0."""
    g, scores = ours[0], case.args[0]
    if g.shape != scores.shape:
        return "The gradient has the shape of the scores."
    if g.isfinite().all() and float(g.sum(dim=1).abs().max()) > 1e-3 * float(g.abs().max()):
        return "Its rows do not sum to 0, though a constant added to all scores of a sample changes nothing."
    return None


declare(
    __name__,
    swapped_prediction_gradient,
    number="6.5",
    title="the gradient of that loss",
    difficulty=3,
    importance=3,
    minutes=10,
    points=2,
    hints=(
        "For one sample and logits s/tau: loss = logsumexp(s/tau) - sum_k q_k s_k/tau, because the q_k sum to 1.",
        "The slope of logsumexp is the softmax. So the slope in a logit is p_k - q_k.",
        "(p - q) / (temperature * N) with p = torch.softmax(scores / temperature, dim=1).",
    ),
    cases=_scores_and_codes,
    closed_form=True,
    gradients=False,
    symptom=_row_sums,
    answer="""
        def swapped_prediction_gradient(scores, codes, temperature=0.1):
            p = torch.softmax(scores / temperature, dim=1)
            return (p - codes) / (temperature * len(scores))
    """,
    mistakes={
        "no temperature": Edit(
            "temperature * len -> len", "the factor 1/tau is missing: the scores are divided by tau inside."
        ),
        "times temperature": Edit(
            "/ (temperature * -> * temperature / (", "multiplied by tau; the chain rule divides by it."
        ),
        "temperature twice": Edit("temperature * len -> temperature**2 * len", "divided by tau twice; once is right."),
        "no temperature inside": Edit(
            "scores / temperature -> scores", "p is the softmax of scores / tau; the tau inside is missing."
        ),
        "no temperature at all": Edit(
            "/ temperature ->\ntemperature * ->", "tau is missing, inside the softmax and as the factor 1/tau."
        ),
        "temperature fixed": Edit("temperature -> 0.1", TEMPERATURE_IGNORED),
        "not divided by N": Edit("* len(scores) ->", "the factor 1/N is missing: the loss is a mean over the samples."),
        "divided by N K": Edit(
            "len(scores) -> scores.numel()", "divided by N K; the loss is a mean over the N samples only."
        ),
        "divided by K": Edit(
            "len(scores) -> scores.shape[1]", "divided by K, the prototypes; the loss is a mean over the N samples."
        ),
        "wrong sign": Edit(
            "p - codes -> codes - p", "the sign is turned: that is the direction of descent, not the gradient."
        ),
        "added": Edit("p - codes -> p + codes", "p and q were added; the gradient is their difference, p - q."),
        "codes left out": Edit("p - codes -> p", "the codes are missing: p - q, not p."),
        "predictions left out": Edit("p - codes -> -codes", "the predictions are missing: p - q, not -q."),
        "weighted by p": Edit(
            "(p - codes) -> p * (p - codes)", "there is a factor p too many: the logarithm takes it away."
        ),
        "weighted by q": Edit(
            "(p - codes) -> codes * (p - 1)", "each slope got q_k (p_k - 1); the sum over the others gives p_k - q_k."
        ),
        "quotient": Edit(
            "p - codes -> -codes / p",
            "-q/p is the slope in p; the softmax comes next: its Jacobian turns that into p - q.",
        ),
        "logarithm": Edit("softmax -> log_softmax", "log p stands there; the gradient has p itself, p - q."),
        "over the samples": Edit("dim=1 -> dim=0", SOFTMAX_AXIS),
        "hard codes": Edit("- codes -> - F.one_hot(codes.argmax(dim=1), codes.shape[1])", HARD_CODES),
    },
    right={
        # the chain rule as a double sum: d l / d s_j = -sum_k q_k (1[k = j] - p_j) / tau
        "double sum": """
            n, k = scores.shape
            result = torch.zeros_like(scores)
            for i in range(n):
                p = torch.softmax(scores[i] / temperature, dim=0)
                for j in range(k):
                    result[i, j] = -sum(codes[i, c] * (float(c == j) - p[j]) for c in range(k)) / temperature / n
            return result
        """,
        # codes times the Jacobian of log_softmax, I - 1 p^T, for all samples at once
        "Jacobian": """
            p = torch.softmax(scores / temperature, dim=1)
            eye = torch.eye(scores.shape[1], dtype=scores.dtype)
            return -torch.einsum("nk,nkj->nj", codes, eye - p[:, None, :]) / temperature / len(scores)
        """,
    },
)


# --- 6.6 swav ---------------------------------------------------------------------------------------------------

PREDICTED_LOOP = """
    def one(scores, codes):
        log_p = (scores / temperature).log_softmax(dim=1)
        total, entropy = -(codes * log_p).sum() / len(codes), torch.special.entr(codes).sum() / len(codes)
        return total, entropy, total - entropy
    q_a, q_b = (balanced(s, epsilon, iterations) for s in (scores_a, scores_b))
    return tuple((x + y) / 2 for x, y in zip(one(scores_a, q_b), one(scores_b, q_a)))
"""
OF_A, OF_B = "sinkhorn(scores_a.detach(), epsilon, iterations)", "sinkhorn(scores_b.detach(), epsilon, iterations)"
ONE_DIRECTION = "only the direction code of {} from view {} is there; add the other one and take the mean."
NOT_SINKHORN = "the codes are a plain softmax of the scores: without Sinkhorn nothing balances the prototypes."


def _balanced(scores: Tensor, epsilon: float, iterations: int) -> Tensor:
    """Sinkhorn through which gradients flow."""
    logs = scores / epsilon
    for _ in range(iterations):
        logs = logs.log_softmax(dim=0).log_softmax(dim=1)
    return logs.exp()


declare(
    __name__,
    losses.swav,
    number="6.6",
    title="swap: each view predicts the other one's code",
    difficulty=2,
    importance=5,
    minutes=8,
    points=3,
    hints=(
        "Codes first: q_a = sinkhorn(scores_a, epsilon, iterations), and q_b from scores_b. Two separate calls.",
        "Then swap: swapped_prediction(scores_a, q_b, temperature), and the same with scores_b and q_a.",
        "Each call gives three numbers; return the mean of the two, term by term.",
    ),
    cases=_score_pairs,
    fields=("total", "code_entropy", "kl"),
    answer="""
        def swav(scores_a, scores_b, temperature=0.1, epsilon=0.05, iterations=3):
            codes_a = sinkhorn(scores_a.detach(), epsilon, iterations)
            codes_b = sinkhorn(scores_b.detach(), epsilon, iterations)
            a_predicts_b = swapped_prediction(scores_a, codes_b, temperature)
            b_predicts_a = swapped_prediction(scores_b, codes_a, temperature)
            return tuple((first + second) / 2 for first, second in zip(a_predicts_b, b_predicts_a))
    """,
    mistakes={
        "own codes": Edit(
            "scores_a, codes_b -> scores_a, codes_a\nscores_b, codes_a -> scores_b, codes_b",
            "each view predicts its own code; swap: the code of A is predicted from view B.",
        ),
        "one direction": Edit("(first + second) / 2 -> first", ONE_DIRECTION.format("B", "A")),
        "the other direction": Edit("(first + second) / 2 -> second", ONE_DIRECTION.format("A", "B")),
        "A predicts both": Edit(
            "scores_b, codes_a -> scores_a, codes_a",
            "both codes are predicted from view A; the code of A is predicted from view B.",
        ),
        "code of B twice": Edit(
            "scores_b, codes_a -> scores_b, codes_b", "the code of view A is not used: it is what view B must predict."
        ),
        "sum": Edit(
            "/ 2 ->",
            "a sum of the two directions, as in the paper's eq. 1; here it is their mean, as in the official code.",
        ),
        "summed total": Edit(
            "return tuple( -> total, *rest = tuple(\nb_predicts_a)) -> b_predicts_a)); return 2 * total, *rest",
            "the total is a sum of both directions, the other fields are means: total = code_entropy + kl must hold.",
        ),
        "jointly": Edit(
            f"codes_a = {OF_A} -> both = sinkhorn(torch.cat([scores_a, scores_b]), epsilon, iterations)"
            f"\ncodes_b = {OF_B} -> codes_a, codes_b = both.chunk(2)",
            "Sinkhorn ran once on both views together; run it on each view by itself.",
        ),
        "codes attached": Body(
            PREDICTED_LOOP, "a gradient flows through Sinkhorn: the codes are constants, detach them."
        ),
        "softmax codes": Edit(
            f"{OF_A} -> torch.softmax(scores_a / epsilon, dim=1)\n{OF_B} -> torch.softmax(scores_b / epsilon, dim=1)",
            NOT_SINKHORN,
        ),
        "softmax codes with the temperature": Edit(
            f"{OF_A} -> torch.softmax(scores_a / temperature, dim=1)\n"
            f"{OF_B} -> torch.softmax(scores_b / temperature, dim=1)",
            NOT_SINKHORN,
        ),
        **within("sinkhorn", "one-hot", "no epsilon", "wrong sign"),
        "temperature in the codes": Edit(
            ".detach() -> .detach() / temperature",
            "the scores were divided by the temperature before Sinkhorn; there only epsilon acts.",
        ),
        "epsilon fixed": Edit(
            "epsilon -> 0.05", "the argument epsilon does not reach sinkhorn: 0.05 is only its default."
        ),
        "iterations fixed": Edit(
            "iterations -> 3", "the argument iterations does not reach sinkhorn: 3 is only its default."
        ),
        "temperature fixed": Edit(
            "temperature -> 0.1", "the argument temperature does not reach the prediction: 0.1 is only its default."
        ),
        "settings fixed": Edit(
            ", epsilon, iterations ->", "the arguments epsilon and iterations do not reach sinkhorn: hand them on."
        ),
        "epsilon and temperature exchanged": Edit(
            "temperature -> tau\nepsilon -> temperature\ntau -> epsilon",
            "epsilon and temperature are exchanged: epsilon belongs to the codes, the temperature to the prediction.",
        ),
        "epsilon for the temperature": Edit(
            "temperature -> epsilon",
            "epsilon stands for the temperature in the prediction; it belongs to the codes only.",
        ),
        **within("swapped_prediction", "reversed", "no temperature", "sum over the batch", "mean over entries"),
        "other order": Edit(
            "b_predicts_a)) -> b_predicts_a))[::2] + (a_predicts_b[1] / 2 + b_predicts_a[1] / 2,)", ORDER
        ),
        "bare tensor": Edit("b_predicts_a)) -> b_predicts_a))[0]", "return the 3 values"),
        "A detached": Edit(
            "prediction(scores_a -> prediction(scores_a.detach()",
            "no gradient reaches scores_a: only the codes are constants, both predictions are trained.",
        ),
        "B detached": Edit(
            "prediction(scores_b -> prediction(scores_b.detach()",
            "no gradient reaches scores_b: only the codes are constants, both predictions are trained.",
        ),
    },
    using={"balanced": _balanced},
    right={
        "written out": PREDICTED_LOOP.replace("balanced(s,", "balanced(s.detach(),"),
        # both directions as one batch of 2N; the mean over it is the mean of both
        "one batch of 2N": """
            q = torch.cat([losses.sinkhorn(s, epsilon, iterations) for s in (scores_b, scores_a)])
            return losses.swapped_prediction(torch.cat([scores_a, scores_b]), q, temperature)
        """,
        "two crops": "return losses.swav_multicrop([scores_a, scores_b], 2, temperature, epsilon, iterations)",
    },
)


# --- 6.7 label_votes --------------------------------------------------------------------------------------------

declare(
    __name__,
    label_votes,
    number="6.7",
    title="name clusters by a few labels: count the votes",
    difficulty=2,
    importance=3,
    minutes=8,
    points=2,
    hints=(
        "The cluster of sample i is codes[i].argmax(). Samples with labels[i] == -1 have no vote.",
        "Start from codes.new_zeros(K, num_classes), and add 1 at [cluster, label] for each labelled sample.",
        "A loop will do: for q, y in zip(codes, labels.tolist()): if y >= 0: votes[q.argmax(), y] += 1.",
    ),
    cases=_votes,
    gradients=False,
    answer="""
        def label_votes(codes, labels, num_classes=3):
            votes = codes.new_zeros(codes.shape[1], num_classes)
            for cluster, label in zip(codes.argmax(dim=1).tolist(), labels.tolist()):
                if label >= 0:
                    votes[cluster, label] += 1
            return votes
    """,
    mistakes={
        "unknown counted": Edit(
            "label >= 0 -> True",
            "the label -1 means unknown, but as an index it is the last class: leave those samples out.",
        ),
        "unknown as class 0": Edit(
            "label >= 0 -> True\n[cluster, label] -> [cluster, max(label, 0)]",
            "unknown labels were counted as class 0: leave those samples out.",
        ),
        "class 0 left out": Edit(">= 0 -> > 0", "class 0 was left out: only the label -1 is unknown."),
        "counted once": Body(
            """
            votes, known = codes.new_zeros(codes.shape[1], num_classes), labels >= 0
            votes[codes.argmax(dim=1)[known], labels[known]] += 1
            return votes
            """,
            "votes[i, j] += 1 with index tensors counts a repeated pair only once: loop, bincount or accumulate=True.",
        ),
        "soft votes": Body(
            "known = labels >= 0\nreturn codes[known].T @ F.one_hot(labels[known], num_classes).to(codes)",
            "soft codes were added up; a sample votes in the one cluster where its code is largest.",
        ),
        "transposed": Edit("return votes -> return votes.T", "your table is classes x clusters; a row is a cluster."),
        "shares": Edit(
            "return votes -> return votes / votes.sum(dim=1, keepdim=True).clamp(min=1)",
            "these are shares of each cluster; return the plain counts.",
        ),
        "shares of a class": Edit(
            "return votes -> return votes / votes.sum(dim=0).clamp(min=1)",
            "these are shares of each class; return the plain counts.",
        ),
        "shares of all": Edit(
            "return votes -> return votes / votes.sum()", "these are shares of all votes; return the plain counts."
        ),
        "smallest entry": Edit(
            "argmax -> argmin", "the cluster of a sample is where its code is largest, not smallest."
        ),
        "one-hot of the winner": Edit(
            "return votes -> return F.one_hot(votes.argmax(dim=1), num_classes).to(votes)",
            "only the winner of each cluster is marked; return all counts. Who wins is the next step.",
        ),
        "whole numbers": Edit("return votes -> return votes.long()", "Results keep the type of the input"),
    },
    right={
        "accumulated": """
            votes, known = codes.new_zeros(codes.shape[1], num_classes), labels >= 0
            at = (codes.argmax(dim=1)[known], labels[known])
            return votes.index_put_(at, codes.new_ones(int(known.sum())), accumulate=True)
        """,
        # one number for each pair (cluster, class), counted
        "bincount": """
            known = labels >= 0
            pairs = codes.argmax(dim=1)[known] * num_classes + labels[known]
            counts = torch.bincount(pairs, minlength=codes.shape[1] * num_classes)
            return counts.view(codes.shape[1], num_classes).to(codes.dtype)
        """,
    },
)
