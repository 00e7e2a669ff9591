"""Lesson 00: the exercises, with their mistakes and other right answers.

The lesson derives the measurements that every later lesson uses: an energy, a view, similarities, the vote of the
nearest neighbours, and two diagnostics of collapse.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from jemlib import diagnose
from jemlib.course.machinery.agreement import Case
from jemlib.course.machinery.answers import Body, Edit, Mistaken, declare
from jemlib.course.machinery.inputs import pairs, single_views, views

# --- Inputs ----------------------------------------------------------------------------------------------------


def _batches() -> list[Case]:
    """One batch of embeddings each: odd shapes, shifted, scaled, D > N, both types."""
    return [case for case in single_views()() if not case.kwargs]


def _several_dimensions() -> list[Case]:
    """Batches with more than one dimension: of one there is nothing but the sign left of a unit vector."""
    return [case for case in _batches() if case.args[0].shape[1] > 1]


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
    absent = case(3, 14, 47, double, num_classes=4, k=6, temperature=0.4)
    return [
        case(6, 45, 41, double),
        case(4, 9, 42, double, num_classes=3, k=4),
        case(5, 30, 43, single, num_classes=4, k=7, temperature=0.5),
        case(3, 8, 44, double, num_classes=6, k=1, temperature=0.2),
        case(2, 12, 45, double, num_classes=2, k=12, temperature=1.0),
        case(4, 11, 46, double, num_classes=3, k=5, temperature=0.3),
        absent._replace(kwargs={**absent.kwargs, "num_classes": 6}, note="classes 4 and 5 do not occur in the bank"),
    ]


def _which_images(case: Case, ours: Sequence[Tensor], truth: Sequence[Tensor]) -> str | None:
    """Which images came out wrong, chosen ones or others, and what became of them."""
    (x, which), result = case.args, ours[0]
    if result.shape != x.shape:
        return None
    off = (result - truth[0]).abs().flatten(1).amax(dim=1) > case.tolerance()
    kinds = {
        "unchanged": x,
        "turned upside down": x.flip(2),
        "mirrored": x.flip(3),
        "transposed": x.transpose(2, 3) if x.shape[2] == x.shape[3] else x,
    }
    said = []
    for chosen, whose in ((True, "chosen"), (False, "not chosen")):
        wrong = off & (which == chosen)
        if not bool(wrong.any()):
            continue
        became = next((name for name, image in kinds.items() if torch.equal(result[wrong], image[wrong])), "wrong")
        said.append(f"{int(wrong.sum())} of the images that are {whose} came out {became}")
    return f"There {' and '.join(said)}." if said else None


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


declare(
    __name__,
    energy,
    number="0.1",
    title="for practice: the energy of a batch of pairs",
    difficulty=1,
    importance=4,
    minutes=5,
    points=1,
    hints=(
        "Three steps: the difference of each pair; one squared length for each pair; one number for the batch.",
        "The squared length of a row is the sum of its squared entries: .square().sum(dim=1).",
        "One line: (z_a - z_b).square().sum(dim=1), and then the mean of these N numbers.",
    ),
    cases=pairs,
    answer="""
        def energy(z_a, z_b):
            return (z_a - z_b).square().sum(dim=1).mean()
    """,
    mistakes={
        "mean over entries": Edit(
            ".sum(dim=1) ->",
            "the mean was taken over all N x D entries. Sum the squares over the D dimensions first, then take the "
            "mean over the N pairs only.",
        ),
        "sum over the batch": Edit(
            ".mean() -> .sum()", "the sum over the batch was not divided by N: the energy is a mean over the pairs."
        ),
        "axes exchanged": Edit(
            "dim=1 -> dim=0",
            "it was summed over the N pairs and averaged over the D dimensions; it is the other way round.",
        ),
        "not squared": Edit(
            ".sum(dim=1) -> .sum(dim=1).sqrt()",
            "that is the mean distance, not the mean squared distance: leave out the root (or the norm).",
        ),
        "root of the mean": Edit(
            ".mean() -> .mean().sqrt()", "a root was taken at the end; the energy is the mean square itself."
        ),
        "no square": Edit(
            ".square() ->",
            "the differences were added as they are, so those of opposite sign cancel: square them first.",
        ),
        "absolute values": Edit(
            "square() -> abs()", "absolute differences were summed; the energy sums their squares."
        ),
        "one value per pair": Edit(
            ".mean() ->", "that is one energy for each pair, (N,); the mean over the batch is missing."
        ),
        "mean over pairs, kept per dimension": Edit(
            ".sum(dim=1).mean() -> .mean(dim=0)",
            "the mean over the batch is there, but the sum over the dimensions is missing: one number must be left.",
        ),
        "square of the mean": Edit(
            "square().sum(dim=1).mean() -> mean(dim=0).square().sum()",
            "you took the mean first and squared afterwards: differences of opposite sign then cancel. Square first.",
        ),
        "square of the sum": Edit(
            "square().sum(dim=1) -> sum(dim=1).square()",
            "the differences of a pair were summed before they were squared: square each one first.",
        ),
        "normalised": Edit(
            "z_a - z_b -> F.normalize(z_a, dim=1) - F.normalize(z_b, dim=1)",
            "the rows were scaled to length 1 first. That is the alignment of unit vectors; here lengths count.",
        ),
        "all pairs": Edit(
            "(z_a - z_b).square().sum(dim=1) -> (z_a[:, None] - z_b).square().sum(dim=2)",
            "every row of A was compared with every row of B. Only row i with row i is a pair.",
        ),
        "half": Edit(
            ".mean() -> .mean() / 2", "a factor 1/2 was put in front. It is common elsewhere, but not in this course."
        ),
        "views added": Edit("z_a - z_b -> z_a + z_b", "the two views were added; subtract one from the other."),
        "inner product": Edit(
            "(z_a - z_b).square() -> -(z_a * z_b)",
            "that is minus the inner product of each pair; the energy is the squared length of their difference.",
        ),
        "no squared term of B": Body(
            "return (z_a.square().sum(dim=1) - 2 * (z_a * z_b).sum(dim=1)).mean()",
            "|a - b|^2 = |a|^2 - 2 a.b + |b|^2: the last term, |b|^2, is missing.",
        ),
        "target cut off": Edit(
            "- z_b -> - z_b.detach()",
            "no gradient reaches z_b: both views go through the trained network, so leave out detach().",
        ),
    },
    right={
        "loop": """
            total = 0
            for i in range(len(z_a)):
                for j in range(z_a.shape[1]):
                    total = total + (z_a[i, j] - z_b[i, j]) ** 2
            return total / len(z_a)
        """,
        "einsum": "return torch.einsum('nd,nd->', z_a - z_b, z_a - z_b) / len(z_a)",
        "other algebra": "return (z_a * z_a + z_b * z_b - 2 * z_a * z_b).sum() / z_a.shape[0]",
        "mse times D": "return z_a.shape[1] * F.mse_loss(z_a, z_b)",
    },
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


declare(
    __name__,
    mirror,
    number="0.2",
    title="mirror some images of a batch",
    difficulty=1,
    importance=2,
    minutes=6,
    points=1,
    hints=(
        "x.flip(dim) reverses one dimension. Images are (N, C, H, W); which of the four runs from left to right?",
        "torch.where(condition, a, b) takes entries from a where the condition holds. It broadcasts.",
        "Give the condition the shape (N, 1, 1, 1): which.view(-1, 1, 1, 1). Then choose between x.flip(3) and x.",
    ),
    cases=_pictures,
    symptom=_which_images,
    gradients=False,
    answer="""
        def mirror(x, which):
            return torch.where(which.view(-1, 1, 1, 1), x.flip(3), x)
    """,
    mistakes={
        "upside down": Edit(
            "flip(3) -> flip(2)",
            "the images stand on their head: dim 2 is the height. Left and right are dim 3, the width.",
        ),
        "half a turn": Edit(
            "flip(3) -> flip(2, 3)",
            "height and width were both reversed: that is a turn by 180 degrees, not a mirror image.",
        ),
        "all of them": Body("return x.flip(3)", "every image was mirrored, whatever `which` says."),
        "the others": Edit(
            "which.view -> (~which).view",
            "the images that should stay were mirrored, and the chosen ones were not: the two cases are exchanged.",
        ),
        "colours": Edit("flip(3) -> flip(1)", "red and blue were exchanged: dim 1 holds the channels."),
        "samples": Edit(
            "flip(3) -> flip(0)",
            "the order of the images was reversed: dim 0 holds the samples. A view must never exchange images.",
        ),
        "only the chosen": Body(
            "return x[which].flip(3)", "only the chosen images came back. The batch keeps its N images, in their order."
        ),
        "the others black": Edit(
            ", x) -> , torch.zeros_like(x))", "the images that are not chosen became 0; they stay as they are."
        ),
        "none": Body("return x.clone()", "nothing was mirrored."),
        "in place": Body("x[which] = x[which].flip(3)\nreturn x", "it changed its input in place"),
    },
    right={
        "loop": """
            backwards = torch.arange(x.shape[3] - 1, -1, -1)
            return torch.stack([image[:, :, backwards] if w else image for image, w in zip(x, which)])
        """,
        "on a copy": "x = x.clone()\nx[which] = x[which].flip(-1)\nreturn x",
        "a blend": "return x + which.to(x.dtype)[:, None, None, None] * (x.flip(3) - x)",
        "gather": """
            there = torch.arange(x.shape[3])
            columns = torch.where(which[:, None], there.flip(0), there)
            return x.gather(3, columns[:, None, None].expand_as(x))
        """,
    },
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


COSINE_RIGHT = {
    "unit rows": "return F.normalize(x, dim=1) @ F.normalize(y, dim=1).T",
    "over lengths": "return x @ y.T / torch.outer(x.norm(dim=1), y.norm(dim=1))",
    "loop": """
        def cosine(a, b):
            return (a * b).sum() / (a.square().sum().sqrt() * b.square().sum().sqrt())
        return torch.stack([torch.stack([cosine(row, other) for other in y]) for row in x])
    """,
    "einsum": "return torch.einsum('md,nd->mn', x / x.norm(dim=1)[:, None], y / y.norm(dim=1)[:, None])",
    "torch's own": "return F.cosine_similarity(x[:, None], y[None], dim=2)",
}
COSINE_MISTAKES: dict[str, Mistaken] = {
    "inner products": Body("return x @ y.T", "these are plain inner products: each row must be divided by its length."),
    "normalised over the batch": Edit(
        "dim=1 -> dim=0",
        "the columns were scaled to length 1 (dim=0). It is each row, over its features, dim=1.",
        of="unit rows",
    ),
    "only x": Edit(
        "F.normalize(y, dim=1) -> y",
        "only the rows of x were divided by their length; those of y must be too.",
        of="unit rows",
    ),
    "only y": Edit(
        "F.normalize(x, dim=1) -> x",
        "only the rows of y were divided by their length; those of x must be too.",
        of="unit rows",
    ),
    "squared lengths": Edit(
        "norm(dim=1) -> square().sum(dim=1)",
        "it was divided by the squared lengths. A length is the root of the sum of squares.",
        of="over lengths",
    ),
    "sums of absolute values": Edit(
        "norm(dim=1) -> abs().sum(dim=1)",
        "it was divided by sums of absolute values. A length is the root of the sum of squares.",
        of="over lengths",
    ),
    "one length for all": Edit(
        "torch.outer(x.norm(dim=1), y.norm(dim=1)) -> (x.norm() * y.norm())",
        "one norm was taken of the whole matrix; every row has a length of its own (dim=1).",
        of="over lengths",
    ),
    "transposed": Body(
        "return F.normalize(y, dim=1) @ F.normalize(x, dim=1).T",
        "your matrix is the transpose: row i belongs to row i of x, column j to row j of y.",
    ),
    "centred": Edit(
        "x, -> x - x.mean(dim=1, keepdim=True),\ny, -> y - y.mean(dim=1, keepdim=True),",
        "the mean of each row was subtracted first: that is a correlation. A cosine leaves the rows where they are.",
        of="unit rows",
    ),
    "centred over the batch": Edit(
        "x, -> x - x.mean(dim=0),\ny, -> y - y.mean(dim=0),",
        "the mean over the batch was subtracted first. A cosine leaves the rows where they are.",
        of="unit rows",
    ),
    "squared distances": Edit(
        "return -> return 2 - 2 *",
        "those are squared distances of unit vectors, 2 - 2 cos: 0 for the same direction. A similarity gives 1 there.",
        of="unit rows",
    ),
    "cosine distances": Edit(
        "return -> return 1 -",
        "that is 1 - cos, a distance: 0 for the same direction. A similarity gives 1 there.",
        of="unit rows",
    ),
    "distances": Body("return torch.cdist(x, y)", "those are distances of the rows; asked are the cosines of angles."),
    "absolute values": Body(
        "return (F.normalize(x, dim=1) @ F.normalize(y, dim=1).T).abs()",
        "the sign is gone: opposite directions have cosine -1.",
    ),
    "detached lengths": Edit(
        "x.norm -> x.detach().norm\ny.norm -> y.detach().norm",
        "the gradient must flow through the lengths too: leave out detach() and no_grad().",
        of="over lengths",
    ),
    "y detached": Edit("y, -> y.detach(),", "no gradient reaches y: leave out detach() and no_grad().", of="unit rows"),
}

declare(
    __name__,
    cosine_matrix,
    number="0.3",
    title="all cosine similarities, as loops",
    difficulty=2,
    importance=3,
    minutes=8,
    points=2,
    hints=(
        "Two loops: i over the rows of x, j over the rows of y. Inside: one inner product and two lengths.",
        "The length of a row is the root of its sum of squares: x[i].square().sum().sqrt().",
        "Start from s = x.new_zeros(M, N); s[i, j] is (x[i] * y[j]).sum() over the product of the two lengths.",
    ),
    cases=_banks,
    answer="""
        def cosine_matrix_loop(x, y):
            similarity = x.new_zeros(len(x), len(y))
            for i in range(len(x)):
                for j in range(len(y)):
                    lengths = x[i].square().sum().sqrt() * y[j].square().sum().sqrt()
                    similarity[i, j] = (x[i] * y[j]).sum() / lengths
            return similarity
    """,
    mistakes={
        **COSINE_MISTAKES,
        "a dimension left out": Edit(
            "y[j]).sum() -> y[j])[:-1].sum()", "the last dimension is left out: the sum runs over all D."
        ),
        "last row of y left out": Edit(
            "range(len(y)) -> range(len(y) - 1)", "the last column is left out: j runs over all N rows of y."
        ),
        "last row of x left out": Edit(
            "range(len(x)) -> range(len(x) - 1)", "the last row is left out: i runs over all M rows of x."
        ),
        "lengths added": Edit("sqrt() * y -> sqrt() + y", "the two lengths were added; divide by their product."),
        "one length twice": Edit(
            "y[j].square() -> x[i].square()",
            "it was divided twice by the length of the row of x; the second length is that of the row of y.",
        ),
        "times the lengths": Edit("/ lengths -> * lengths", "it was multiplied by the lengths; divide by them."),
        "numbers instead of tensors": Edit(
            ".sum() / lengths -> .sum().item() / lengths.item()",
            "the values are right, but no gradient reaches x or y: .item() and float() turn a tensor into a number.",
        ),
        "float32": Edit("x.new_zeros -> torch.zeros", "Results keep the type of the input"),
    },
    right=COSINE_RIGHT,
)
declare(
    __name__,
    cosine_matrix,
    number="0.4",
    title="all cosine similarities, as one matrix product",
    difficulty=2,
    importance=5,
    minutes=6,
    points=1,
    hints=(
        "A cosine is the inner product of two vectors of length 1. So scale all rows first.",
        "F.normalize(x, dim=1) divides each row by its length.",
        "All inner products of the rows of a (M, D) with those of b (N, D) are a @ b.T, which is (M, N).",
    ),
    cases=_banks,
    answer="""
        def cosine_matrix(x, y):
            return F.normalize(x, dim=1) @ F.normalize(y, dim=1).T
    """,
    mistakes=COSINE_MISTAKES,
    right=COSINE_RIGHT,
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


declare(
    __name__,
    knn_votes,
    number="0.5",
    title="the vote of the nearest neighbours",
    difficulty=3,
    importance=4,
    minutes=12,
    points=2,
    hints=(
        "similarity.topk(k, dim=1) returns the k largest values of each row and their places; both are (M, k).",
        "The places are rows of the bank, so labels[places] are the classes of the neighbours, (M, k).",
        "Start from votes = similarity.new_zeros(M, num_classes); votes.scatter_add(1, classes, weights) adds each "
        "weight to the column of its class.",
    ),
    cases=_votes,
    gradients=False,
    answer="""
        def knn_votes(similarity, labels, num_classes=10, k=20, temperature=0.1):
            nearest, places = similarity.topk(k, dim=1)
            votes = similarity.new_zeros(len(similarity), num_classes)
            return votes.scatter_add(1, labels[places], (nearest / temperature).exp())
    """,
    mistakes={
        "one vote each": Edit(
            "(nearest / temperature).exp() -> torch.ones_like(nearest)",
            "every neighbour has one vote. Its weight must grow with its similarity, exp(similarity / temperature).",
        ),
        "similarity as weight": Edit(
            "(nearest / temperature).exp() -> nearest",
            "the weights are the similarities themselves, and may be negative; take exp(similarity / temperature).",
        ),
        "no exponential": Edit(
            ".exp() ->", "the exponential is missing: similarity / temperature stands in its exponent."
        ),
        "no temperature": Edit(
            "/ temperature ->",
            "the temperature is missing: exp(similarity) hardly tells near neighbours from far ones.",
        ),
        "times the temperature": Edit(
            "/ temperature -> * temperature", "the similarity was multiplied by the temperature; divide by it."
        ),
        "temperature fixed": Edit(
            "temperature -> 0.1", "the argument temperature is ignored: the number 0.1 is only its default."
        ),
        "sign": Edit("(nearest -> (-nearest", "the exponent has a minus: then the nearest neighbour weighs least."),
        "all vote": Edit(
            "topk(k, -> topk(similarity.shape[1],", "the whole bank votes: only the k most similar rows may."
        ),
        "k fixed": Edit(
            "topk(k, -> topk(min(20, similarity.shape[1]),", "the argument k is ignored: 20 is only its default."
        ),
        "one too few": Edit(
            "topk(k, -> topk(max(1, k - 1),", "the last of the k neighbours has no vote: one too few is counted."
        ),
        "one too many": Edit(
            "topk(k, -> topk(min(k + 1, similarity.shape[1]),", "k + 1 neighbours vote: one too many is counted."
        ),
        "nearest skipped": Edit(
            "exp() -> exp() * (torch.arange(k) > 0)",
            "the nearest neighbour was skipped. That is right where the bank holds the queries themselves; here it "
            "does not.",
        ),
        "farthest": Edit(
            "dim=1) -> dim=1, largest=False)", "the k least similar rows vote: sort with the largest first."
        ),
        "last of a class": Edit(
            "+= -> =",
            "a later neighbour overwrites an earlier one of the same class: add the weights up (+=, scatter_add).",
            of="loop",
        ),
        "shares": Edit(
            "exp() -> softmax(dim=1)",
            "the votes were divided by their sum (a softmax over the neighbours). The winner is the same, but here the "
            "plain sums of weights are asked for.",
        ),
        "softmax over the bank": Edit(
            "similarity -> (similarity / temperature).softmax(dim=1)\n(nearest / temperature).exp() -> nearest",
            "the weights were divided by their sum over the bank (a softmax). Here the plain weights are asked for.",
        ),
        "divided by k": Edit(
            ".exp()) -> .exp()) / k", "the votes were divided by k; the plain sums of weights are asked for."
        ),
        "the winner only": Edit(
            ".exp()) -> .exp()).argmax(dim=1).to(votes.dtype)",
            "that is the winning class, (M,); return the votes of all classes, (M, num_classes).",
        ),
        "transposed": Edit(
            ".exp()) -> .exp()).T", "rows and columns are exchanged: a row for each query, a column for each class."
        ),
    },
    right={
        "loop": """
            votes = similarity.new_zeros(len(similarity), num_classes)
            for i, row in enumerate(similarity):
                for j in row.argsort(descending=True)[:k]:
                    votes[i, labels[j]] += math.exp(float(row[j]) / temperature)
            return votes
        """,
        # Weights of all N, zero beyond the k nearest, times the one-hot labels.
        "one-hot product": """
            threshold = similarity.sort(dim=1, descending=True).values[:, k - 1 : k]
            weights = torch.where(similarity >= threshold, torch.exp(similarity / temperature), 0.0)
            return weights @ F.one_hot(labels, num_classes).to(similarity.dtype)
        """,
        "einsum": """
            nearest, places = similarity.topk(k)
            classes = F.one_hot(labels[places], num_classes).to(similarity.dtype)
            return torch.einsum("mk,mkc->mc", (nearest / temperature).exp(), classes)
        """,
    },
)


# --- 0.6 normalized_std -----------------------------------------------------------------------------------------

declare(
    __name__,
    diagnose.normalized_std,
    number="0.6",
    title="do all embeddings coincide? the normalised standard deviation",
    difficulty=2,
    importance=4,
    minutes=8,
    points=1,
    hints=(
        "First the rows: divide each by its length, u = F.normalize(z, dim=1). Then the columns: their std.",
        "u.std(dim=0, correction=0) divides by N. Without correction=0 torch divides by N - 1.",
        "The mean of these D numbers, multiplied by math.sqrt(D).",
    ),
    cases=_several_dimensions,
    gradients=False,
    answer="""
        def normalized_std(z):
            u = F.normalize(z, dim=1)
            return z.shape[1] ** 0.5 * u.std(dim=0, correction=0).mean()
    """,
    mistakes={
        "rows not normalised": Edit(
            "F.normalize(z, dim=1) -> z",
            "the rows were not divided by their lengths: then the result grows with the scale of the embeddings.",
        ),
        "columns normalised": Edit(
            "dim=1 -> dim=0",
            "the columns were scaled to length 1 instead of the rows: dim=1 runs over the features of a sample.",
        ),
        "centred first": Edit(
            "F.normalize(z -> F.normalize(z - z.mean(dim=0)",
            "the batch was centred before the rows were scaled to length 1: take the embeddings as they are.",
        ),
        "over features": Edit(
            "dim=0 -> dim=1", "std over features instead of over the batch: it runs over dim=0, the N samples."
        ),
        "unbiased": Edit(
            ", correction=0 ->",
            "the variance was divided by N - 1, which is torch's default. Divide by N (correction=0): only then 1 is "
            "the largest value.",
        ),
        "no factor": Edit(
            "z.shape[1] ** 0.5 * ->",
            "the factor sqrt(D) is missing: coordinates of unit vectors are of the size 1 / sqrt(D).",
        ),
        "factor D": Edit(
            "** 0.5 ->",
            "the sum over the dimensions was taken, a factor D; the mean and the factor sqrt(D) are asked for.",
        ),
        "sum and factor": Edit(
            "mean() -> sum()", "the D standard deviations were summed; take their mean, and then the factor sqrt(D)."
        ),
        "divided by the root": Edit("** 0.5 -> ** -0.5", "divided by sqrt(D) where it is multiplied."),
        "factor of N": Edit("shape[1] -> shape[0]", "the factor is sqrt(N), of the samples; it is sqrt(D)."),
        "variance": Edit("u.std -> u.var", "the variance was used; its root is the standard deviation."),
        "root of the mean variance": Edit(
            "u.std(dim=0, correction=0).mean() -> u.var(dim=0, correction=0).mean().sqrt()",
            "the root was taken last, of the mean variance. It is the mean of the roots that is asked for; the two "
            "agree only when all dimensions spread alike.",
        ),
        "one std for all": Edit(
            "dim=0, ->",
            "one std was taken of all N x D entries at once. Each dimension has its own mean and its own std.",
        ),
        "no centring": Edit(
            "u.std(dim=0, correction=0) -> u.square().mean(dim=0).sqrt()",
            "the mean over the batch was not subtracted: that is the root mean square, which never notices a collapse.",
        ),
        "one value per dimension": Edit(".mean() ->", "one value for each dimension is left, (D,); take their mean."),
    },
    right={
        "loop": """
            n, d = z.shape
            u = torch.stack([row / row.square().sum().sqrt() for row in z])
            total = 0
            for j in range(d):
                mean = sum(u[i, j] for i in range(n)) / n
                total = total + (sum((u[i, j] - mean) ** 2 for i in range(n)) / n) ** 0.5
            return total * d**0.5 / d
        """,
        "mean of squares": """
            u = F.normalize(z, dim=1)
            variance = u.square().mean(dim=0) - u.mean(dim=0).square()
            return math.sqrt(z.shape[1]) * variance.clamp(min=0).sqrt().mean()
        """,
        "sum over the root": """
            u = z / z.norm(dim=1)[:, None]
            return u.var(dim=0, unbiased=False).sqrt().sum() / z.shape[1] ** 0.5
        """,
    },
)


# --- 0.7 rankme -------------------------------------------------------------------------------------------------

declare(
    __name__,
    diagnose.rankme,
    number="0.7",
    title="along how many directions? RankMe",
    difficulty=3,
    importance=4,
    minutes=10,
    points=2,
    hints=(
        "torch.linalg.svdvals(z) gives the singular values, largest first. Do not centre z and do not square them.",
        "Shares: divide by the sum, then add eps to each. They play the part of probabilities.",
        "The entropy is minus the sum of p * log(p). The result is its exponential.",
    ),
    cases=_spectra,
    gradients=False,
    answer="""
        def rankme(z, eps=1e-7):
            sigma = torch.linalg.svdvals(z)
            p = sigma / sigma.sum() + eps
            return torch.exp(-(p * p.log()).sum())
    """,
    mistakes={
        "squared": Edit(
            "svdvals(z) -> svdvals(z).square()",
            "the singular values were squared (the eigenvalues of Z^T Z). RankMe takes them as they are.",
        ),
        "centred": Edit(
            "svdvals(z) -> svdvals(z - z.mean(dim=0))",
            "the mean over the batch was subtracted. RankMe does not centre, so that a constant output has rank 1.",
        ),
        "rows normalised": Edit(
            "svdvals(z) -> svdvals(F.normalize(z, dim=1))",
            "the rows were scaled to length 1 first; RankMe takes the embeddings as they are.",
        ),
        "entropy": Edit(
            "return torch.exp -> return", "that is the entropy. Its exponential is the number of directions."
        ),
        "two to the nats": Edit(
            "torch.exp( -> 2 ** (", "2 ** entropy goes with log2; with the natural logarithm it is exp(entropy)."
        ),
        "exponential of bits": Edit(
            "p.log() -> p.log2()",
            "exp(entropy) goes with the natural logarithm; the entropy was taken in bits, with log2.",
        ),
        "wrong sign": Edit("exp(-( -> exp((", "the minus sign of the entropy is missing: the result is below 1."),
        "not weighted": Edit(
            "p * p.log() -> p.log()", "the p in front of the logarithm is missing: the entropy sums p * log(p)."
        ),
        "mean": Edit("()).sum() -> ()).mean()", "a mean over the shares; they are weights already, so it is a sum."),
        "no shares": Edit("/ sigma.sum() ->", "the singular values were not divided by their sum: shares add up to 1."),
        "softmax": Edit(
            "sigma / sigma.sum() -> sigma.softmax(dim=0)",
            "a softmax was taken of the singular values; a share is the value itself over the sum of all.",
        ),
        "over the largest": Edit(
            "sigma.sum() -> sigma.max()",
            "the singular values were divided by the largest one. Divide by their sum: shares add up to 1.",
        ),
        "over the norm": Edit(
            "sigma.sum() -> sigma.norm()",
            "divided by the root of the sum of squares (the Frobenius norm); shares are divided by the plain sum.",
        ),
        "no eps": Edit(
            "+ eps ->",
            "eps is missing: a singular value of exactly 0 gives 0 log 0, which is NaN. Add eps to each share.",
        ),
        "eps in the denominator": Edit(
            "sigma.sum() + eps -> (sigma.sum() + eps)",
            "eps was added to the sum below the fraction line. It is added to each share, after the division.",
        ),
        "eps fixed": Edit("+ eps -> + 1e-7", "the argument eps is ignored: the number 1e-7 is only its default."),
        "eps only in the logarithm": Edit(
            "+ eps ->\np.log() -> (p + eps).log()",
            "eps stands in the logarithm only. The convention here adds it to the share, which then stands in both "
            "places.",
        ),
        "made to sum to one again": Edit(
            ("+ eps -> + eps\n    p = p / p.sum()",),
            "after adding eps the shares were divided by their sum once more; the convention leaves them as they are.",
        ),
        "participation ratio": Body(
            "squares = torch.linalg.svdvals(z).square()\nreturn squares.sum() ** 2 / squares.square().sum()",
            "that is the participation ratio, another count of directions: it needs no logarithm. RankMe uses the "
            "entropy.",
        ),
        "count": Body(
            "return torch.linalg.matrix_rank(z).to(z.dtype)",
            "that is the plain rank: it counts a direction with almost nothing in it as a whole one.",
        ),
    },
    right={
        "loop": """
            sigma = torch.linalg.svdvals(z)
            entropy = 0
            for value in sigma:
                share = value / sum(sigma) + eps
                entropy = entropy - share * torch.log(share)
            return torch.exp(entropy)
        """,
        # The singular values are the roots of the eigenvalues of the smaller Gram matrix, in float64.
        "from the Gram matrix": """
            double = z.double()
            gram = double @ double.T if len(z) <= z.shape[1] else double.T @ double
            sigma = torch.linalg.eigvalsh(gram).clamp(min=0).sqrt()
            p = sigma / sigma.sum() + eps
            return torch.exp(-(p * p.log()).sum()).to(z.dtype)
        """,
        "xlogy": Edit("p * p.log() -> torch.xlogy(p, p)"),
        "product": Edit("torch.exp(-(p * p.log()).sum()) -> (p**-p).prod()"),
        "in bits": Edit("torch.exp(-(p * p.log()).sum()) -> 2 ** -(p * p.log2()).sum()"),
    },
)
