"""Lesson 00: the exercises, with their wrong and other right answers.

The lesson derives the measurements that every later lesson uses: an energy, a view, similarities, the vote of the
nearest neighbours, and two diagnostics of collapse.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from jemlib import diagnose
from jemlib.course.machinery.agreement import Agreement, Case, Wrong
from jemlib.course.machinery.exercises import Exercise, register
from jemlib.course.machinery.inputs import pairs, single_views, views
from jemlib.course.machinery.lessons import lesson_of

LESSON = lesson_of(__name__)


# --- Inputs ----------------------------------------------------------------------------------------------------


def _batches() -> list[Case]:
    """One batch of embeddings each: odd shapes, shifted, scaled, D > N, both types."""
    return [case for case in single_views()() if not case.kwargs]


def _banks() -> list[Case]:
    """Two sets of different size in the same D: queries and the bank that they are compared with."""

    def case(m: int, n: int, d: int, seed: int, dtype: torch.dtype, scale: float = 1.0) -> Case:
        x, y = views(max(m, n), d, seed, dtype, 1, scale)
        return Case((x[:m], y[:n]))

    double, single = torch.float64, torch.float32
    return [
        case(4, 7, 3, 31, double),
        case(5, 2, 6, 32, single),
        case(6, 6, 4, 33, double, 20),
        case(1, 5, 2, 34, double),
        case(3, 4, 5, 35, double, 1e-3),
    ]


def _votes() -> list[Case]:
    """Similarities in [-1, 1] of M queries to a bank of N, the bank's labels, and the settings of the vote."""

    def case(m: int, n: int, seed: int, dtype: torch.dtype, **settings: float) -> Case:
        generator = torch.Generator().manual_seed(seed)
        similarity = 2 * torch.rand(m, n, generator=generator, dtype=torch.float64) - 1
        labels = torch.randint(int(settings.get("num_classes", 10)), (n,), generator=generator)
        return Case((similarity.to(dtype), labels), settings)

    double, single = torch.float64, torch.float32
    return [
        case(6, 45, 41, double),
        case(4, 9, 42, double, num_classes=3, k=4),
        case(5, 30, 43, single, num_classes=4, k=7, temperature=0.5),
        case(3, 8, 44, double, num_classes=6, k=1, temperature=0.2),
        case(2, 12, 45, double, num_classes=2, k=12, temperature=1.0),
        case(4, 11, 46, double, num_classes=3, k=5, temperature=0.3),
    ]


def _pictures() -> list[Case]:
    """Small pictures that are not symmetric, wider than high and higher than wide, and which of them to mirror."""

    def case(n: int, c: int, h: int, w: int, seed: int, which: list[bool], dtype: torch.dtype = torch.float64) -> Case:
        generator = torch.Generator().manual_seed(seed)
        x = torch.rand(n, c, h, w, generator=generator, dtype=torch.float64)
        return Case((x.to(dtype), torch.tensor(which)))

    return [
        case(3, 3, 4, 4, 51, [True, False, False]),
        case(4, 3, 5, 3, 52, [False, True, True, False]),
        case(2, 3, 3, 6, 53, [True, True], torch.float32),
        case(2, 1, 2, 5, 54, [False, False]),
        case(5, 3, 4, 4, 55, [True, False, True, True, False]),
    ]


def _spectra() -> list[Case]:
    """Batches for ranks: scaled, off the origin, close to rank 2; and with an eps large enough to see where it stands.

    Not of rank 2 exactly: singular values from a Gram matrix are right too, but are off by 1e-8 where they should be 0.
    """
    low, rest = views(9, 6, 61, torch.float64, 0, 1)
    low = low[:, :2] @ low[:2, :] + 1e-3 * rest
    hand = torch.diag(torch.tensor([3.0, 1.0], dtype=torch.float64))
    small = {"eps": 0.03}
    return [
        *_batches(),
        Case((hand,), note="diag(3, 1)"),
        Case((low,), note="close to rank 2"),
        Case((views(7, 4, 62, torch.float64, 1, 1)[0],), small),
        Case((low.clone(),), small, note="close to rank 2"),
        Case((views(5, 8, 63, torch.float32, 2, 3)[0],), {"eps": 0.1}),
    ]


# --- 0.1 energy: the practice exercise ---------------------------------------------------------------------------


def energy(z_a: Tensor, z_b: Tensor) -> Tensor:
    """Mean over the batch of the squared Euclidean distance between the two embeddings of each pair.

    Args:
        z_a, z_b: `(N, D)`; row i of both belongs to the same image.

    Returns:
        Scalar >= 0; 0 exactly when each pair coincides.
    """
    return (z_a - z_b).square().sum(dim=1).mean()


def _energy_loop(z_a: Tensor, z_b: Tensor) -> Tensor:
    n, d = z_a.shape
    total = z_a.new_zeros(())
    for i in range(n):
        for j in range(d):
            total = total + (z_a[i, j] - z_b[i, j]) ** 2
    return total / n


ENERGY_WRONG = {
    "mean over entries": Wrong(
        lambda z_a, z_b: F.mse_loss(z_a, z_b),
        "the mean was taken over all N x D entries. Sum the squares over the D dimensions first, then take the mean "
        "over the N pairs only.",
    ),
    "sum over the batch": Wrong(
        lambda z_a, z_b: (z_a - z_b).square().sum(),
        "the sum over the batch was not divided by N: the energy is a mean over the pairs.",
    ),
    "not squared": Wrong(
        lambda z_a, z_b: (z_a - z_b).square().sum(dim=1).sqrt().mean(),
        "that is the mean distance, not the mean squared distance: leave out the root (or the norm).",
    ),
    "absolute values": Wrong(
        lambda z_a, z_b: (z_a - z_b).abs().sum(dim=1).mean(),
        "absolute differences were summed; the energy sums their squares.",
    ),
    "one value per pair": Wrong(
        lambda z_a, z_b: (z_a - z_b).square().sum(dim=1),
        "that is one energy for each pair, (N,); the mean over the batch is missing.",
    ),
    "mean over pairs, kept per dimension": Wrong(
        lambda z_a, z_b: (z_a - z_b).square().mean(dim=0),
        "the mean over the batch is there, but the sum over the dimensions is missing: one number must be left.",
    ),
    "square of the mean": Wrong(
        lambda z_a, z_b: (z_a - z_b).mean(dim=0).square().sum(),
        "you took the mean first and squared afterwards: differences of opposite sign then cancel. Square first.",
    ),
    "normalised": Wrong(
        lambda z_a, z_b: energy(F.normalize(z_a, dim=1), F.normalize(z_b, dim=1)),
        "the rows were scaled to length 1 first. That is the alignment of unit vectors; here lengths count.",
    ),
    "all pairs": Wrong(
        lambda z_a, z_b: (z_a[:, None] - z_b[None]).square().sum(dim=2).mean(),
        "every row of A was compared with every row of B. Only row i with row i is a pair.",
    ),
    "half": Wrong(
        lambda z_a, z_b: energy(z_a, z_b) / 2,
        "a factor 1/2 was put in front. It is common elsewhere, but not in this course.",
    ),
    "no squared term of B": Wrong(
        lambda z_a, z_b: (z_a.square().sum(1) - 2 * (z_a * z_b).sum(1)).mean(),
        "|a - b|^2 = |a|^2 - 2 a.b + |b|^2: the last term, |b|^2, is missing.",
    ),
    "target cut off": Wrong(
        lambda z_a, z_b: energy(z_a, z_b.detach()),
        "no gradient reaches z_b: both views go through the trained network, so leave out detach().",
    ),
}
ENERGY_RIGHT = {
    "loop": _energy_loop,
    "einsum": lambda z_a, z_b: torch.einsum("nd,nd->", z_a - z_b, z_a - z_b) / len(z_a),
    "other algebra": lambda z_a, z_b: (z_a * z_a + z_b * z_b - 2 * z_a * z_b).sum() / z_a.shape[0],
    "mse times D": lambda z_a, z_b: z_a.shape[1] * F.mse_loss(z_a, z_b),
}

register(
    Exercise(
        name="energy",
        lesson=LESSON,
        number="0.1",
        title="for practice: the energy of a batch of pairs",
        difficulty=1,
        importance=4,
        minutes=5,
        points=1,
        check=Agreement(energy, pairs, ENERGY_WRONG),
        hints=(
            "Three steps: the difference of each pair; one squared length for each pair; one number for the batch.",
            "The squared length of a row is the sum of its squared entries: .square().sum(dim=1).",
            "One line: (z_a - z_b).square().sum(dim=1), and then the mean of these N numbers.",
        ),
        right=ENERGY_RIGHT,
    )
)


# --- 0.2 mirror: one operation of a view ------------------------------------------------------------------------


def mirror(x: Tensor, which: Tensor) -> Tensor:
    """Mirror the chosen images left to right.

    Args:
        x: `(N, C, H, W)`.
        which: `(N,)` bool.

    Returns:
        `(N, C, H, W)`, a new tensor; images that are not chosen stay as they are.
    """
    return torch.where(which.view(-1, 1, 1, 1), x.flip(3), x)


def _chosen(x: Tensor, which: Tensor, changed: Tensor) -> Tensor:
    return torch.where(which.view(-1, 1, 1, 1), changed, x)


def _mirror_in_place(x: Tensor, which: Tensor) -> Tensor:
    x[which] = x[which].flip(3)
    return x


def _mirror_loop(x: Tensor, which: Tensor) -> Tensor:
    return torch.stack(
        [image[:, :, torch.arange(x.shape[3] - 1, -1, -1)] if w else image for image, w in zip(x, which)]
    )


def _mirror_copy(x: Tensor, which: Tensor) -> Tensor:
    x = x.clone()
    x[which] = x[which].flip(-1)
    return x


MIRROR_WRONG = {
    "upside down": Wrong(
        lambda x, which: _chosen(x, which, x.flip(2)),
        "the images stand on their head: dim 2 is the height. Left and right are dim 3, the width.",
    ),
    "half a turn": Wrong(
        lambda x, which: _chosen(x, which, x.flip(2, 3)),
        "height and width were both reversed: that is a turn by 180 degrees, not a mirror image.",
    ),
    "all of them": Wrong(
        lambda x, which: x.flip(3),
        "every image was mirrored, whatever `which` says.",
    ),
    "the others": Wrong(
        lambda x, which: _chosen(x, ~which, x.flip(3)),
        "the images that should stay were mirrored, and the chosen ones were not: the two cases are exchanged.",
    ),
    "colours": Wrong(
        lambda x, which: _chosen(x, which, x.flip(1)),
        "red and blue were exchanged: dim 1 holds the channels.",
    ),
    "samples": Wrong(
        lambda x, which: _chosen(x, which, x.flip(0)),
        "the order of the images was reversed: dim 0 holds the samples. A view must never exchange images.",
    ),
    "only the chosen": Wrong(
        lambda x, which: x[which].flip(3),
        "only the chosen images came back. The batch keeps its N images, in their order.",
    ),
    "none": Wrong(
        lambda x, which: x.clone(),
        "nothing was mirrored.",
    ),
    "in place": Wrong(_mirror_in_place, "it changed its input in place"),
}
MIRROR_RIGHT = {
    "loop": _mirror_loop,
    "on a copy": _mirror_copy,
    "a blend": lambda x, which: x + which.to(x.dtype)[:, None, None, None] * (x.flip(3) - x),
    "gather": lambda x, which: x.gather(
        3,
        torch.where(which[:, None], torch.arange(x.shape[3]).flip(0), torch.arange(x.shape[3]))[
            :, None, None
        ].expand_as(x),
    ),
}

register(
    Exercise(
        name="mirror",
        lesson=LESSON,
        number="0.2",
        title="mirror some images of a batch",
        difficulty=1,
        importance=2,
        minutes=6,
        points=1,
        check=Agreement(mirror, _pictures, MIRROR_WRONG, gradients=False),
        hints=(
            "x.flip(dim) reverses one dimension. Images are (N, C, H, W); which of the four runs from left to right?",
            "torch.where(condition, a, b) takes entries from a where the condition holds. It broadcasts.",
            "Give the condition the shape (N, 1, 1, 1): which.view(-1, 1, 1, 1). Then choose between x.flip(3) and x.",
        ),
        right=MIRROR_RIGHT,
    )
)


# --- 0.3 and 0.4 cosine_matrix ----------------------------------------------------------------------------------


def cosine_matrix(x: Tensor, y: Tensor) -> Tensor:
    """Cosine similarity of every row of x with every row of y.

    Args:
        x: `(M, D)`.
        y: `(N, D)`.

    Returns:
        `(M, N)`, entries in [-1, 1].
    """
    return F.normalize(x, dim=1) @ F.normalize(y, dim=1).T


def _over_lengths(x: Tensor, y: Tensor, power: float = 1) -> Tensor:
    return x @ y.T / torch.outer(x.norm(dim=1), y.norm(dim=1)) ** power


def _cosine_loop(x: Tensor, y: Tensor, entry: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    return torch.stack([torch.stack([entry(row, other) for other in y]) for row in x])


def _cosine(a: Tensor, b: Tensor) -> Tensor:
    return (a * b).sum() / (a.square().sum().sqrt() * b.square().sum().sqrt())


def _short_loop(x: Tensor, y: Tensor) -> Tensor:
    d = x.shape[1]
    out = x.new_zeros(len(x), len(y))
    for i in range(len(x)):
        for j in range(len(y)):
            out[i, j] = sum(x[i, k] * y[j, k] for k in range(d - 1)) / (x[i].norm() * y[j].norm())
    return out


COSINE_WRONG = {
    "inner products": Wrong(
        lambda x, y: x @ y.T,
        "these are plain inner products: each row must be divided by its length.",
    ),
    "normalised over the batch": Wrong(
        lambda x, y: F.normalize(x, dim=0) @ F.normalize(y, dim=0).T,
        "the columns were scaled to length 1 (dim=0). It is each row, over its features, dim=1.",
    ),
    "only x": Wrong(
        lambda x, y: F.normalize(x, dim=1) @ y.T,
        "only the rows of x were divided by their length; those of y must be too.",
    ),
    "only y": Wrong(
        lambda x, y: x @ F.normalize(y, dim=1).T,
        "only the rows of y were divided by their length; those of x must be too.",
    ),
    "squared lengths": Wrong(
        lambda x, y: _over_lengths(x, y, 2),
        "it was divided by the squared lengths. A length is the root of the sum of squares.",
    ),
    "one length for all": Wrong(
        lambda x, y: x @ y.T / (x.norm() * y.norm()),
        "one norm was taken of the whole matrix; every row has a length of its own (dim=1).",
    ),
    "transposed": Wrong(
        lambda x, y: cosine_matrix(y, x),
        "your matrix is the transpose: row i belongs to row i of x, column j to row j of y.",
    ),
    "centred": Wrong(
        lambda x, y: cosine_matrix(x - x.mean(dim=1, keepdim=True), y - y.mean(dim=1, keepdim=True)),
        "the mean of each row was subtracted first: that is a correlation. A cosine leaves the rows where they are.",
    ),
    "distances": Wrong(
        lambda x, y: 2 - 2 * cosine_matrix(x, y),
        "those are squared distances of unit vectors, 2 - 2 cos: 0 for the same direction. A similarity gives 1 there.",
    ),
    "absolute values": Wrong(
        lambda x, y: cosine_matrix(x, y).abs(),
        "the sign is gone: opposite directions have cosine -1.",
    ),
    "detached lengths": Wrong(
        lambda x, y: x @ y.T / torch.outer(x.detach().norm(dim=1), y.detach().norm(dim=1)),
        "the gradient must flow through the lengths too: leave out detach() and no_grad().",
    ),
}
COSINE_RIGHT = {
    "loop": lambda x, y: _cosine_loop(x, y, _cosine),
    "divided afterwards": _over_lengths,
    "einsum": lambda x, y: torch.einsum("md,nd->mn", x / x.norm(dim=1)[:, None], y / y.norm(dim=1)[:, None]),
    "torch's own": lambda x, y: F.cosine_similarity(x[:, None], y[None], dim=2),
}
COSINE_LOOP_WRONG = {
    **COSINE_WRONG,
    "a dimension left out": Wrong(_short_loop, "the last dimension is left out: the sum runs over all D."),
    "numbers instead of tensors": Wrong(
        lambda x, y: x.new_tensor([[float(_cosine(a, b).detach()) for b in y] for a in x]), "none reaches argument 1"
    ),
    "float32": Wrong(lambda x, y: cosine_matrix(x, y).float(), "Results keep the type of the input"),
}

register(
    Exercise(
        name="cosine_matrix_loop",
        lesson=LESSON,
        number="0.3",
        title="all cosine similarities, as loops",
        difficulty=2,
        importance=3,
        minutes=8,
        points=2,
        check=Agreement(cosine_matrix, _banks, COSINE_LOOP_WRONG),
        hints=(
            "Two loops: i over the rows of x, j over the rows of y. Inside: one inner product and two lengths.",
            "The length of a row is the root of its sum of squares: x[i].square().sum().sqrt().",
            "Start from s = x.new_zeros(M, N); s[i, j] is (x[i] * y[j]).sum() over the product of the two lengths.",
        ),
        right=COSINE_RIGHT,
    )
)
register(
    Exercise(
        name="cosine_matrix",
        lesson=LESSON,
        number="0.4",
        title="all cosine similarities, as one matrix product",
        difficulty=2,
        importance=5,
        minutes=6,
        points=1,
        check=Agreement(cosine_matrix, _banks, COSINE_WRONG),
        hints=(
            "A cosine is the inner product of two vectors of length 1. So scale all rows first.",
            "F.normalize(x, dim=1) divides each row by its length.",
            "All inner products of the rows of a (M, D) with those of b (N, D) are a @ b.T, which is (M, N).",
        ),
        right=COSINE_RIGHT,
    )
)


# --- 0.5 knn_votes ----------------------------------------------------------------------------------------------


def knn_votes(
    similarity: Tensor, labels: Tensor, num_classes: int = 10, k: int = 20, temperature: float = 0.1
) -> Tensor:
    """Votes of the k most similar bank rows, each with weight exp(similarity / temperature).

    Args:
        similarity: `(M, N)`, of M queries to N bank rows.
        labels: `(N,)` int64, of the bank.
        num_classes: number of classes.
        k: number of neighbours, at most N.
        temperature: > 0.

    Returns:
        `(M, num_classes)` >= 0; the predicted class of a query is the one with most votes.
    """
    nearest, neighbour = similarity.topk(k, dim=1)
    votes = similarity.new_zeros(len(similarity), num_classes)
    return votes.scatter_add(1, labels[neighbour], (nearest / temperature).exp())


def _vote(
    similarity: Tensor, labels: Tensor, num_classes: int, k: int, weight: Callable[[Tensor], Tensor], far: bool = False
) -> Tensor:
    """Some vote: how a similarity becomes a weight, and whether the farthest vote instead of the nearest."""
    nearest, neighbour = similarity.topk(k, dim=1, largest=not far)
    votes = similarity.new_zeros(len(similarity), num_classes)
    return votes.scatter_add(1, labels[neighbour], weight(nearest))


def _last_of_a_class(
    similarity: Tensor, labels: Tensor, num_classes: int = 10, k: int = 20, temperature: float = 0.1
) -> Tensor:
    votes = similarity.new_zeros(len(similarity), num_classes)
    for i, row in enumerate(similarity):
        for j in row.topk(k).indices:
            votes[i, labels[j]] = (row[j] / temperature).exp()
    return votes


def _votes_loop(
    similarity: Tensor, labels: Tensor, num_classes: int = 10, k: int = 20, temperature: float = 0.1
) -> Tensor:
    votes = similarity.new_zeros(len(similarity), num_classes)
    for i, row in enumerate(similarity):
        for j in row.argsort(descending=True)[:k]:
            votes[i, labels[j]] += math.exp(float(row[j]) / temperature)
    return votes


def _votes_by_product(
    similarity: Tensor, labels: Tensor, num_classes: int = 10, k: int = 20, temperature: float = 0.1
) -> Tensor:
    """Weights of all N, zero beyond the k nearest, times the one-hot labels."""
    threshold = similarity.sort(dim=1, descending=True).values[:, k - 1 : k]
    weights = torch.where(similarity >= threshold, torch.exp(similarity / temperature), 0.0)
    return weights @ F.one_hot(labels, num_classes).to(similarity.dtype)


VOTES_WRONG = {
    "one vote each": Wrong(
        lambda s, y, num_classes=10, k=20, temperature=0.1: _vote(s, y, num_classes, k, torch.ones_like),
        "every neighbour has one vote here. Its weight must grow with its similarity, exp(similarity / temperature).",
    ),
    "similarity as weight": Wrong(
        lambda s, y, num_classes=10, k=20, temperature=0.1: _vote(s, y, num_classes, k, lambda v: v),
        "the weights are the similarities themselves, and may be negative; take exp(similarity / temperature).",
    ),
    "no exponential": Wrong(
        lambda s, y, num_classes=10, k=20, temperature=0.1: _vote(s, y, num_classes, k, lambda v: v / temperature),
        "the exponential is missing: similarity / temperature stands in its exponent.",
    ),
    "no temperature": Wrong(
        lambda s, y, num_classes=10, k=20, temperature=0.1: _vote(s, y, num_classes, k, torch.exp),
        "the temperature is missing: exp(similarity) hardly tells near neighbours from far ones.",
    ),
    "times the temperature": Wrong(
        lambda s, y, num_classes=10, k=20, temperature=0.1: _vote(
            s, y, num_classes, k, lambda v: (v * temperature).exp()
        ),
        "the similarity was multiplied by the temperature; divide by it.",
    ),
    "temperature fixed": Wrong(
        lambda s, y, num_classes=10, k=20, temperature=0.1: knn_votes(s, y, num_classes, k),
        "the argument temperature is ignored: the number 0.1 is only its default.",
    ),
    "all vote": Wrong(
        lambda s, y, num_classes=10, k=20, temperature=0.1: knn_votes(s, y, num_classes, s.shape[1], temperature),
        "the whole bank votes: only the k most similar rows may.",
    ),
    "one too few": Wrong(
        lambda s, y, num_classes=10, k=20, temperature=0.1: knn_votes(s, y, num_classes, max(1, k - 1), temperature),
        "the last of the k neighbours has no vote: one too few is counted.",
    ),
    "nearest skipped": Wrong(
        lambda s, y, num_classes=10, k=20, temperature=0.1: (
            knn_votes(s, y, num_classes, k, temperature) - knn_votes(s, y, num_classes, 1, temperature)
        ),
        "the nearest neighbour was skipped. That is right where the bank holds the queries themselves; here it does "
        "not.",
    ),
    "farthest": Wrong(
        lambda s, y, num_classes=10, k=20, temperature=0.1: _vote(
            s, y, num_classes, k, lambda v: (v / temperature).exp(), far=True
        ),
        "the k least similar rows vote: sort with the largest first.",
    ),
    "last of a class": Wrong(
        _last_of_a_class,
        "a later neighbour overwrites an earlier one of the same class: add the weights up (+=, scatter_add).",
    ),
    "shares": Wrong(
        lambda s, y, num_classes=10, k=20, temperature=0.1: (
            knn_votes(s, y, num_classes, k, temperature)
            / knn_votes(s, y, num_classes, k, temperature).sum(dim=1, keepdim=True)
        ),
        "the votes were divided by their sum (a softmax over the neighbours). The winner is the same, but here the "
        "plain sums of weights are asked for.",
    ),
    "the winner only": Wrong(
        lambda s, y, num_classes=10, k=20, temperature=0.1: (
            knn_votes(s, y, num_classes, k, temperature).argmax(dim=1).to(s.dtype)
        ),
        "that is the winning class, (M,); return the votes of all classes, (M, num_classes).",
    ),
    "transposed": Wrong(
        lambda s, y, num_classes=10, k=20, temperature=0.1: knn_votes(s, y, num_classes, k, temperature).T,
        "rows and columns are exchanged: a row for each query, a column for each class.",
    ),
}
VOTES_RIGHT = {
    "loop": _votes_loop,
    "one-hot product": _votes_by_product,
    "einsum": lambda s, y, num_classes=10, k=20, temperature=0.1: torch.einsum(
        "mk,mkc->mc",
        (s.topk(k).values / temperature).exp(),
        F.one_hot(y[s.topk(k).indices], num_classes).to(s.dtype),
    ),
}

register(
    Exercise(
        name="knn_votes",
        lesson=LESSON,
        number="0.5",
        title="the vote of the nearest neighbours",
        difficulty=3,
        importance=4,
        minutes=12,
        points=2,
        check=Agreement(knn_votes, _votes, VOTES_WRONG, gradients=False),
        hints=(
            "similarity.topk(k, dim=1) returns the k largest values of each row and their places; both are (M, k).",
            "The places are rows of the bank, so labels[places] are the classes of the neighbours, (M, k).",
            "Start from votes = similarity.new_zeros(M, num_classes); votes.scatter_add(1, classes, weights) adds each "
            "weight to the column of its class.",
        ),
        right=VOTES_RIGHT,
    )
)


# --- 0.6 normalized_std -----------------------------------------------------------------------------------------


def _unit(z: Tensor) -> Tensor:
    return F.normalize(z, dim=1)


def _std(u: Tensor) -> Tensor:
    return u.std(dim=0, correction=0)


def _std_loop(z: Tensor) -> Tensor:
    n, d = z.shape
    u = torch.stack([row / row.square().sum().sqrt() for row in z])
    total = z.new_zeros(())
    for j in range(d):
        mean = sum(u[i, j] for i in range(n)) / n
        total = total + torch.sqrt(torch.stack([(u[i, j] - mean) ** 2 for i in range(n)]).sum() / n)
    return total * d**0.5 / d


STD_WRONG = {
    "rows not normalised": Wrong(
        lambda z: math.sqrt(z.shape[1]) * _std(z).mean(),
        "the rows were not divided by their lengths: then the result grows with the scale of the embeddings.",
    ),
    "columns normalised": Wrong(
        lambda z: math.sqrt(z.shape[1]) * _std(F.normalize(z, dim=0)).mean(),
        "the columns were scaled to length 1 instead of the rows: dim=1 runs over the features of a sample.",
    ),
    "over features": Wrong(
        lambda z: math.sqrt(z.shape[1]) * _unit(z).std(dim=1, correction=0).mean(),
        "std over features instead of over the batch: it runs over dim=0, the N samples.",
    ),
    "unbiased": Wrong(
        lambda z: math.sqrt(z.shape[1]) * _unit(z).std(dim=0).mean(),
        "the variance was divided by N - 1, which is torch's default. Divide by N (correction=0): only then 1 is the "
        "largest value.",
    ),
    "no factor": Wrong(
        lambda z: _std(_unit(z)).mean(),
        "the factor sqrt(D) is missing: coordinates of unit vectors are of the size 1 / sqrt(D).",
    ),
    "factor D": Wrong(
        lambda z: _std(_unit(z)).sum(),
        "the sum over the dimensions was taken, a factor D; the mean and the factor sqrt(D) are asked for.",
    ),
    "divided by the root": Wrong(
        lambda z: _std(_unit(z)).mean() / math.sqrt(z.shape[1]),
        "divided by sqrt(D) where it is multiplied.",
    ),
    "variance": Wrong(
        lambda z: math.sqrt(z.shape[1]) * _unit(z).var(dim=0, correction=0).mean(),
        "the variance was used; its root is the standard deviation.",
    ),
    "root of the mean variance": Wrong(
        lambda z: _unit(z).var(dim=0, correction=0).sum().sqrt(),
        "the root was taken last, of the mean variance. It is the mean of the roots that is asked for; the two agree "
        "only when all dimensions spread alike.",
    ),
    "one std for all": Wrong(
        lambda z: math.sqrt(z.shape[1]) * _unit(z).std(correction=0),
        "one std was taken of all N x D entries at once. Each dimension has its own mean and its own std.",
    ),
    "no centring": Wrong(
        lambda z: math.sqrt(z.shape[1]) * _unit(z).square().mean(dim=0).sqrt().mean(),
        "the mean over the batch was not subtracted: that is the root mean square, which never notices a collapse.",
    ),
    "one value per dimension": Wrong(
        lambda z: math.sqrt(z.shape[1]) * _std(_unit(z)),
        "one value for each dimension is left, (D,); take their mean.",
    ),
}
STD_RIGHT = {
    "loop": _std_loop,
    "mean of squares": lambda z: (
        math.sqrt(z.shape[1]) * (_unit(z).square().mean(0) - _unit(z).mean(0).square()).clamp(min=0).sqrt().mean()
    ),
    "sum over the root": lambda z: (
        (z / z.norm(dim=1)[:, None]).var(dim=0, unbiased=False).sqrt().sum() / z.shape[1] ** 0.5
    ),
}


def _several_dimensions() -> list[Case]:
    """Batches with more than one dimension: of one there is nothing but the sign left of a unit vector."""
    return [case for case in _batches() if case.args[0].shape[1] > 1]


register(
    Exercise(
        name="normalized_std",
        lesson=LESSON,
        number="0.6",
        title="do all embeddings coincide? the normalised standard deviation",
        difficulty=2,
        importance=4,
        minutes=8,
        points=1,
        check=Agreement(diagnose.normalized_std, _several_dimensions, STD_WRONG, gradients=False),
        hints=(
            "First the rows: divide each by its length, u = F.normalize(z, dim=1). Then the columns: their std.",
            "u.std(dim=0, correction=0) divides by N. Without correction=0 torch divides by N - 1.",
            "The mean of these D numbers, multiplied by math.sqrt(D).",
        ),
        right=STD_RIGHT,
    )
)


# --- 0.7 rankme -------------------------------------------------------------------------------------------------


def _shares(z: Tensor, eps: float) -> Tensor:
    sigma = torch.linalg.svdvals(z)
    return sigma / sigma.sum() + eps


def _perplexity(p: Tensor) -> Tensor:
    return torch.exp(-(p * p.log()).sum())


def _squared_shares(z: Tensor, eps: float) -> Tensor:
    squares = torch.linalg.svdvals(z).square()
    return squares / squares.sum() + eps


def _rank_from_gram(z: Tensor, eps: float = 1e-7) -> Tensor:
    """Other algebra: the singular values are the roots of the eigenvalues of the smaller Gram matrix, in float64."""
    double = z.double()
    gram = double @ double.T if len(z) <= z.shape[1] else double.T @ double
    sigma = torch.linalg.eigvalsh(gram).clamp(min=0).sqrt()
    p = sigma / sigma.sum() + eps
    return _perplexity(p).to(z.dtype)


def _rank_loop(z: Tensor, eps: float = 1e-7) -> Tensor:
    sigma = torch.linalg.svdvals(z)
    total = sum(sigma)
    entropy = z.new_zeros(())
    for value in sigma:
        share = value / total + eps
        entropy = entropy - share * torch.log(share)
    return torch.exp(entropy)


RANKME_WRONG = {
    "squared": Wrong(
        lambda z, eps=1e-7: _perplexity(_squared_shares(z, eps)),
        "the singular values were squared (the eigenvalues of Z^T Z). RankMe takes them as they are.",
    ),
    "centred": Wrong(
        lambda z, eps=1e-7: _perplexity(_shares(z - z.mean(dim=0), eps)),
        "the mean over the batch was subtracted. RankMe does not centre, so that a constant output has rank 1.",
    ),
    "rows normalised": Wrong(
        lambda z, eps=1e-7: _perplexity(_shares(_unit(z), eps)),
        "the rows were scaled to length 1 first; RankMe takes the embeddings as they are.",
    ),
    "entropy": Wrong(
        lambda z, eps=1e-7: _perplexity(_shares(z, eps)).log(),
        "that is the entropy. Its exponential is the number of directions.",
    ),
    "two to the nats": Wrong(
        lambda z, eps=1e-7: 2 ** _perplexity(_shares(z, eps)).log(),
        "2 ** entropy goes with log2; with the natural logarithm it is exp(entropy).",
    ),
    "exponential of bits": Wrong(
        lambda z, eps=1e-7: torch.exp(_perplexity(_shares(z, eps)).log2()),
        "exp(entropy) goes with the natural logarithm; the entropy was taken in bits, with log2.",
    ),
    "wrong sign": Wrong(
        lambda z, eps=1e-7: 1 / _perplexity(_shares(z, eps)),
        "the minus sign of the entropy is missing: the result is below 1.",
    ),
    "over the largest": Wrong(
        lambda z, eps=1e-7: _perplexity(torch.linalg.svdvals(z) / torch.linalg.svdvals(z).max() + eps),
        "the singular values were divided by the largest one. Divide by their sum: shares add up to 1.",
    ),
    "over the norm": Wrong(
        lambda z, eps=1e-7: _perplexity(torch.linalg.svdvals(z) / z.norm() + eps),
        "divided by the root of the sum of squares (the Frobenius norm); shares are divided by the plain sum.",
    ),
    "no eps": Wrong(
        lambda z, eps=1e-7: _perplexity(_shares(z, 1e-300)),
        "eps is missing: a singular value of exactly 0 gives 0 log 0, which is NaN. Add eps to each share.",
    ),
    "eps in the denominator": Wrong(
        lambda z, eps=1e-7: _perplexity((torch.linalg.svdvals(z) / (torch.linalg.svdvals(z).sum() + eps)) + 1e-300),
        "eps was added to the sum below the fraction line. It is added to each share, after the division.",
    ),
    "eps fixed": Wrong(
        lambda z, eps=1e-7: _perplexity(_shares(z, 1e-7)),
        "the argument eps is ignored: the number 1e-7 is only its default.",
    ),
    "eps only in the logarithm": Wrong(
        lambda z, eps=1e-7: torch.exp(-(_shares(z, 0.0) * _shares(z, eps).log()).sum()),
        "eps stands in the logarithm only. The convention here adds it to the share, which then stands in both places.",
    ),
    "made to sum to one again": Wrong(
        lambda z, eps=1e-7: _perplexity(_shares(z, eps) / _shares(z, eps).sum()),
        "after adding eps the shares were divided by their sum once more; the convention leaves them as they are.",
    ),
    "participation ratio": Wrong(
        lambda z, eps=1e-7: 1 / _squared_shares(z, 0.0).square().sum(),
        "that is the participation ratio, another count of directions: it needs no logarithm. RankMe uses the entropy.",
    ),
    "count": Wrong(
        lambda z, eps=1e-7: torch.linalg.matrix_rank(z).to(z.dtype),
        "that is the plain rank: it counts a direction with almost nothing in it as a whole one.",
    ),
}
RANKME_RIGHT = {
    "loop": _rank_loop,
    "from the Gram matrix": _rank_from_gram,
    "xlogy": lambda z, eps=1e-7: torch.exp(-torch.xlogy(_shares(z, eps), _shares(z, eps)).sum()),
    "product": lambda z, eps=1e-7: (_shares(z, eps) ** -_shares(z, eps)).prod(),
    "in bits": lambda z, eps=1e-7: 2 ** -(_shares(z, eps) * _shares(z, eps).log2()).sum(),
}

register(
    Exercise(
        name="rankme",
        lesson=LESSON,
        number="0.7",
        title="along how many directions? RankMe",
        difficulty=3,
        importance=4,
        minutes=10,
        points=2,
        check=Agreement(diagnose.rankme, _spectra, RANKME_WRONG, gradients=False),
        hints=(
            "torch.linalg.svdvals(z) gives the singular values, largest first. Do not centre z and do not square them.",
            "Shares: divide by the sum, then add eps to each. They play the part of probabilities.",
            "The entropy is minus the sum of p * log(p). The result is its exponential.",
        ),
        right=RANKME_RIGHT,
    )
)
