"""Answers to the exercises of lesson 00: energies, views, neighbours, and two numbers for collapse."""

from __future__ import annotations

from typing import Any

import torch
from torch import Generator, Tensor

from tests.adversarial.answers import (
    CUT,
    FACTOR,
    FLOAT32,
    IN_PLACE,
    RATIO,
    Right,
    Wrong,
    edited,
    function,
    right,
    wrong,
)

WRONG: list[Wrong] = []
RIGHT: list[Right] = []

DIMENSIONS = ("dimension", "divided by D", "/ D", "1/D", "mean()")
SAMPLES = ("divided by N", "over the pairs", "/ N", "1/N", "over the batch", "number of pairs", "samples")
LENGTH = ("length", "normal", "unit")

# --- energy ---------------------------------------------------------------------------------------------------------


def energy(body: str) -> str:
    return function("energy(z_a, z_b)", body)


ENERGY_LOOP = energy(
    """
    total = 0
    for i in range(len(z_a)):
        for j in range(z_a.shape[1]):
            total = total + (z_a[i, j] - z_b[i, j]) ** 2
    return total / len(z_a)
    """
)

WRONG += [
    wrong(energy("return torch.nn.functional.mse_loss(z_a, z_b)"), *DIMENSIONS, misleading=()),
    wrong(energy("return ((z_a - z_b) ** 2).sum()"), *SAMPLES, misleading=()),
    wrong(energy("return ((z_a - z_b) ** 2).sum(dim=0).mean()"), *DIMENSIONS, "axis", "dim=", misleading=()),
    wrong(energy("return (z_a - z_b).norm(dim=1).mean()"), "square", "root"),
    wrong(energy("return (z_a - z_b).abs().sum(dim=1).mean()"), "square", "absolute value"),
    wrong(energy("return ((z_a - z_b) ** 2).sum() / (len(z_a) - 1)"), "N - 1", "N-1", misleading=()),
    wrong(energy("return ((z_a - z_b) ** 2).sum(dim=1)"), "shape", "scalar", "one number", "mean"),
    wrong(energy("return 0.5 * ((z_a - z_b) ** 2).sum(dim=1).mean()"), "half", "0.5", "1/2", *FACTOR, misleading=()),
    wrong(energy("return -((z_a - z_b) ** 2).sum(dim=1).mean()"), "sign", "minus", "negative", "-1", misleading=()),
    wrong(energy("return ((z_a + z_b) ** 2).sum(dim=1).mean()"), "sign", "plus", "minus", "difference", "added"),
    wrong(
        energy("return ((z_a - z_b).sum(dim=1) ** 2).mean()"), "before", "square of the sum", "each", "first", "order"
    ),
    wrong(
        energy("return (z_a.mean(dim=0) - z_b.mean(dim=0)).square().sum()"),
        "mean first",
        "mean embedding",
        "means",
        "each pair",
        "pair",
    ),
    wrong(
        energy("return torch.cdist(z_a, z_b).square().mean()"), "all pairs", "row i", "same image", "every row", "other"
    ),
    wrong(energy("return 2 - 2 * F.cosine_similarity(z_a, z_b).mean()"), *LENGTH, "cosine"),
    wrong(energy("return ((z_a - z_a) ** 2).sum(dim=1).mean()"), "z_b", "view B", "second", "not used", "depend"),
    wrong(energy("return ((z_a - z_b) ** 2).sum(dim=1).mean().item()"), *CUT),
    wrong(energy("return ((z_a - z_b) ** 2).sum(dim=1).mean().detach()"), *CUT),
    wrong(energy("return ((z_a.float() - z_b.float()) ** 2).sum(dim=1).mean()"), *FLOAT32),
    wrong(energy("z_a -= z_b\nreturn (z_a**2).sum(dim=1).mean()"), *IN_PLACE),
    wrong(
        edited(ENERGY_LOOP, ("total = total + ", "total = ")), "+=", "last", "overwrit", "add", "sum", misleading=RATIO
    ),
    wrong(
        edited(ENERGY_LOOP, ("range(len(z_a))", "range(len(z_a) - 1)")),
        "last",
        "left out",
        "missing",
        "range",
        "off by",
    ),
    wrong(
        edited(ENERGY_LOOP, ("    return", "        return")),
        "first",
        "return",
        "loop",
        "one pair",
        "left out",
        "indent",
    ),
]
RIGHT += [
    right(ENERGY_LOOP),
    right(energy("return torch.einsum('nd,nd->n', z_a - z_b, z_a - z_b).mean()")),
    right(energy("return F.mse_loss(z_a, z_b, reduction='sum') / z_a.size(0)")),
    right(energy("return z_a.shape[1] * (z_a - z_b).pow(2).mean()")),
    right(energy("return torch.stack([((a - b) ** 2).sum() for a, b in zip(z_a, z_b)]).mean()")),
    right(energy("d = z_a - z_b\nreturn torch.trace(d @ d.T) / len(d)")),
    right(energy("return (z_a**2).sum(1).mean() + (z_b**2).sum(1).mean() - 2 * (z_a * z_b).sum(1).mean()")),
    right(energy("return sum((a - b) @ (a - b) for a, b in zip(z_a, z_b)) / len(z_a)")),
]

# --- mirror ---------------------------------------------------------------------------------------------------------


def mirror(body: str) -> str:
    return function("mirror(x, which)", body)


WRONG += [
    wrong(mirror("return x.flip(3)"), "which", "all", "every", "chosen"),
    wrong(mirror("return x"), "which", "nothing", "unchanged", "no image", "none", "not mirrored"),
    wrong(
        mirror("return torch.where(which.view(-1, 1, 1, 1), x.flip(2), x)"),
        "upside",
        "height",
        "top",
        "vertical",
        "dim 2",
    ),
    wrong(
        mirror("return torch.where(which.view(-1, 1, 1, 1), x, x.flip(3))"),
        "exchange",
        "other",
        "not chosen",
        "swap",
        "opposite",
        "where",
    ),
    wrong(mirror("return torch.where(which.view(-1, 1, 1, 1), x.flip(1), x)"), "channel", "colour"),
    wrong(
        mirror("return torch.where(which.view(-1, 1, 1, 1), x.flip(0), x)"), "batch", "order", "other image", "dim 0"
    ),
    wrong(
        mirror("return torch.where(which.view(-1, 1, 1, 1), x.flip(2, 3), x)"),
        "upside",
        "rotat",
        "180",
        "both",
        "half turn",
    ),
    wrong(
        mirror("return torch.where(which.view(-1, 1, 1, 1), x.transpose(2, 3), x)"),
        "transpos",
        "rows and columns",
        "shape",
        "swap",
        "must match",
    ),
    wrong(mirror("x[which] = x[which].flip(3)\nreturn x"), *IN_PLACE),
    wrong(mirror("for i in range(len(x)):\n    if which[i]:\n        x[i] = x[i].flip(2)\nreturn x"), *IN_PLACE),
    wrong(mirror("return x[which].flip(3)"), "shape", "all images", "whole batch", "only the"),
    wrong(mirror("return torch.where(which, x.flip(3), x)"), "shape", "size", "broadcast", "view(", "which"),
    wrong(mirror("return x.flip(3) if which.any() else x"), "which", "all", "every", "each image"),
    wrong(mirror("return x.flip(3) if which[0] else x"), "which", "all", "every", "each image"),
    wrong(mirror("out = x.clone()\nout[which] = x[which].flip(3)"), "return", "None"),
    wrong(
        mirror(
            "for i in range(len(x)):\n    out = x.clone()\n    if which[i]:\n        out[i] = x[i].flip(2)\nreturn out"
        ),
        "last",
        "loop",
        "only one",
        "clone",
    ),
    wrong(
        mirror("out = x.clone()\nout[which] = x.flip(3)[: which.sum()]\nreturn out"),
        "other image",
        "index",
        "first",
        "belong",
        "order",
    ),
    wrong(mirror("out = x.float()\nreturn torch.where(which.view(-1, 1, 1, 1), out.flip(3), out)"), *FLOAT32),
    wrong(
        mirror("out = torch.zeros_like(x)\nout[which] = x[which].flip(3)\nreturn out"),
        "zero",
        "black",
        "kept",
        "not chosen",
        "other",
    ),
]
RIGHT += [
    right(mirror("out = x.clone()\nout[which] = out[which].flip(-1)\nreturn out")),
    right(mirror("return torch.stack([image.flip(2) if flag else image for image, flag in zip(x, which)])")),
    right(mirror("w = which[:, None, None, None].to(x.dtype)\nreturn w * x.flip(3) + (1 - w) * x")),
    right(
        mirror(
            "return torch.where(which[:, None, None, None], torch.fliplr(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1), x)"
        )
    ),
    right(mirror("out = x.clone()\nfor i in which.nonzero().flatten():\n    out[i] = x[i].flip(-1)\nreturn out")),
    right(
        mirror(
            """
            columns = torch.arange(x.shape[3])
            places = torch.where(which[:, None], columns.flip(0), columns)
            return x.gather(3, places[:, None, None, :].expand_as(x))
            """
        )
    ),
]

# --- cosine_matrix_loop ---------------------------------------------------------------------------------------------


def cosine_loop(body: str) -> str:
    return function("cosine_matrix_loop(x, y)", body)


COSINE_LOOP = cosine_loop(
    """
    similarity = torch.zeros(len(x), len(y), dtype=x.dtype)
    for i in range(len(x)):
        for j in range(len(y)):
            dot = 0
            for k in range(x.shape[1]):
                dot = dot + x[i, k] * y[j, k]
            similarity[i, j] = dot / (torch.sqrt((x[i] ** 2).sum()) * torch.sqrt((y[j] ** 2).sum()))
    return similarity
    """
)
LENGTHS = "dot / (torch.sqrt((x[i] ** 2).sum()) * torch.sqrt((y[j] ** 2).sum()))"

WRONG += [
    wrong(edited(COSINE_LOOP, (LENGTHS, "dot")), *LENGTH),
    wrong(edited(COSINE_LOOP, (LENGTHS, "dot / x[i].norm()")), *LENGTH, "y"),
    wrong(edited(COSINE_LOOP, (LENGTHS, "dot / y[j].norm()")), *LENGTH),
    wrong(edited(COSINE_LOOP, (LENGTHS, "dot / ((x[i] ** 2).sum() * (y[j] ** 2).sum())")), "root", "sqrt", "square"),
    wrong(edited(COSINE_LOOP, (LENGTHS, "dot / (x[i].norm() * y[j].norm()).sqrt()")), "root", "sqrt", "square"),
    wrong(
        edited(COSINE_LOOP, (LENGTHS, "dot / (x[i].norm() + y[j].norm())")),
        "product",
        "sum of the lengths",
        "times",
        "multipl",
    ),
    wrong(
        edited(COSINE_LOOP, (LENGTHS, "dot / (x[i].abs().sum() * y[j].abs().sum())")),
        "root",
        "square",
        "absolute",
        *LENGTH,
    ),
    wrong(edited(COSINE_LOOP, (LENGTHS, "dot / (x.norm() * y.norm())")), "row", "whole", "each", misleading=RATIO),
    wrong(edited(COSINE_LOOP, (LENGTHS, "1 - " + LENGTHS)), "distance", "1 -", "sign"),
    wrong(edited(COSINE_LOOP, (LENGTHS, "torch.acos(dot / (x[i].norm() * y[j].norm()))")), "angle", "cos"),
    wrong(
        edited(COSINE_LOOP, ("len(x), len(y)", "len(y), len(x)"), ("similarity[i, j]", "similarity[j, i]")),
        "transpos",
        "shape",
        "(M, N)",
    ),
    wrong(edited(COSINE_LOOP, ("dot = dot + ", "dot = ")), "last", "+=", "add", "sum", "overwrit"),
    wrong(
        edited(COSINE_LOOP, ("range(x.shape[1])", "range(x.shape[1] - 1)")), "last", "dimension", "left out", "range"
    ),
    wrong(
        edited(COSINE_LOOP, ("in range(len(x))", "in range(len(x) - 1)")), "last", "row", "zero", "range", "left out"
    ),
    wrong(
        edited(COSINE_LOOP, ("in range(len(y))", "in range(1, len(y))")), "first", "column", "zero", "range", "from 0"
    ),
    wrong(
        edited(COSINE_LOOP, ("in range(len(y))", "in range(len(x))")),
        "index",
        "len(y)",
        "shape",
        "number of rows",
        "size",
    ),
    wrong(edited(COSINE_LOOP, ("y[j, k]", "x[j, k]"), ("y[j] **", "x[j] **")), "y", "index", "size"),
    wrong(edited(COSINE_LOOP, (", dtype=x.dtype", "")), *FLOAT32),
    wrong(
        edited(COSINE_LOOP, ("    return similarity", "            return similarity")),
        "return",
        "first",
        "zero",
        "row",
    ),
    wrong(
        cosine_loop(
            """
            x = x / x.norm(dim=0)
            y = y / y.norm(dim=0)
            return torch.stack([torch.stack([a @ b for b in y]) for a in x])
            """
        ),
        "row",
        "column",
        "dim=",
    ),
]
RIGHT += [
    right(COSINE_LOOP),
    right(cosine_loop("return torch.stack([torch.stack([F.cosine_similarity(a, b, dim=0) for b in y]) for a in x])")),
    right(
        cosine_loop(
            """
            rows = []
            for a in x:
                row = []
                for b in y:
                    row.append(torch.dot(a, b) / (a.norm() * b.norm()))
                rows.append(torch.stack(row))
            return torch.stack(rows)
            """
        )
    ),
    right(cosine_loop("return torch.stack([F.cosine_similarity(a[None], y) for a in x])")),
]

# --- cosine_matrix --------------------------------------------------------------------------------------------------


def cosine(body: str) -> str:
    return function("cosine_matrix(x, y)", body)


WRONG += [
    wrong(cosine("return F.normalize(x, dim=0) @ F.normalize(y, dim=0).T"), "dim=", "row", "column"),
    wrong(cosine("return x @ y.T"), *LENGTH),
    wrong(cosine("return F.normalize(x, dim=1) @ y.T"), *LENGTH),
    wrong(cosine("return x @ F.normalize(y, dim=1).T"), *LENGTH),
    wrong(cosine("return F.normalize(y, dim=1) @ F.normalize(x, dim=1).T"), "transpos", "shape", "(M, N)"),
    wrong(cosine("return F.normalize(x, dim=1).T @ F.normalize(y, dim=1)"), "transpos", "shape", "size"),
    wrong(cosine("return (x @ y.T) / ((x**2).sum(1)[:, None] * (y**2).sum(1))"), "root", "sqrt", "square"),
    wrong(cosine("return (x @ y.T) / (x.norm() * y.norm())"), "row", "whole", "each", "dim=1", misleading=RATIO),
    wrong(cosine("return F.cosine_similarity(x, y)"), "shape", "size", "pair", "every row", "matrix"),
    wrong(cosine("u = F.normalize(x, dim=1)\nreturn u @ u.T"), "y", "shape"),
    wrong(
        cosine(
            "return F.normalize(x - x.mean(dim=1, keepdim=True), dim=1) @ F.normalize(y - "
            "y.mean(dim=1, keepdim=True), dim=1).T"
        ),
        "cent",
        "mean",
    ),
    wrong(
        cosine("return F.normalize(x - x.mean(dim=0), dim=1) @ F.normalize(y - y.mean(dim=0), dim=1).T"), "cent", "mean"
    ),
    wrong(cosine("return F.normalize(x @ y.T, dim=1)"), *LENGTH, "before", "first"),
    wrong(
        cosine("return (x @ y.T) / (1e-3 + x.norm(dim=1)[:, None] * y.norm(dim=1))"),
        "eps",
        "small number",
        "1e-",
        "add",
    ),
    wrong(
        cosine("return F.normalize(x, p=1, dim=1) @ F.normalize(y, p=1, dim=1).T"), "p=1", "absolute", "square", *LENGTH
    ),
    wrong(cosine("x /= x.norm(dim=1, keepdim=True)\ny /= y.norm(dim=1, keepdim=True)\nreturn x @ y.T"), *IN_PLACE),
    wrong(cosine("return (F.normalize(x, dim=1).float() @ F.normalize(y, dim=1).float().T).to(x.dtype)"), *FLOAT32),
    wrong(cosine("return 1 - F.normalize(x, dim=1) @ F.normalize(y, dim=1).T"), "distance", "1 -", "sign"),
    wrong(cosine("return (F.normalize(x, dim=1) @ F.normalize(y, dim=1).T).softmax(dim=1)"), "softmax", "sum to 1"),
    wrong(cosine("return (F.normalize(x, dim=1) @ F.normalize(y, dim=1).T).abs()"), "sign", "absolute", "negative"),
    wrong(cosine("return torch.cdist(F.normalize(x, dim=1), F.normalize(y, dim=1))"), "distance", "cdist"),
]
RIGHT += [
    right(cosine("return F.cosine_similarity(x[:, None, :], y[None, :, :], dim=2)")),
    right(cosine("return (x @ y.T) / (x.norm(dim=1)[:, None] * y.norm(dim=1)[None, :])")),
    right(cosine("return torch.einsum('md,nd->mn', F.normalize(x), F.normalize(y))")),
    right(
        cosine(
            "return 1 - torch.cdist(F.normalize(x), F.normalize(y), "
            "compute_mode='donot_use_mm_for_euclid_dist') ** 2 / 2"
        )
    ),
    right(cosine("return (x / x.norm(dim=1, keepdim=True)) @ (y / y.norm(dim=1, keepdim=True)).transpose(0, 1)")),
    right(cosine("return (x @ y.T) * x.square().sum(1, keepdim=True).rsqrt() * y.square().sum(1).rsqrt()")),
]

# --- knn_votes ------------------------------------------------------------------------------------------------------


def knn(body: str) -> str:
    return function("knn_votes(similarity, labels, num_classes=10, k=20, temperature=0.1)", body)


KNN_LOOP = knn(
    """
    votes = torch.zeros(len(similarity), num_classes, dtype=similarity.dtype)
    for i in range(len(similarity)):
        order = similarity[i].argsort(descending=True)
        for j in order[:k]:
            votes[i, labels[j]] += torch.exp(similarity[i, j] / temperature)
    return votes
    """
)
KNN = knn(
    """
    nearest, places = similarity.topk(k, dim=1)
    weights = (nearest / temperature).exp()
    return similarity.new_zeros(len(similarity), num_classes).scatter_add(1, labels[places], weights)
    """
)
WEIGHTS = "(nearest / temperature).exp()"

WRONG += [
    wrong(edited(KNN, (WEIGHTS, "torch.ones_like(nearest)")), "weight", "exp", "similar"),
    wrong(edited(KNN, (WEIGHTS, "nearest.exp()")), "temperature"),
    wrong(edited(KNN, (WEIGHTS, "(nearest * temperature).exp()")), "temperature", "divid", "multipl"),
    wrong(edited(KNN, (WEIGHTS, "nearest / temperature")), "exp"),
    wrong(edited(KNN, (WEIGHTS, "nearest.exp() / temperature")), "temperature", "inside", "before"),
    wrong(edited(KNN, (WEIGHTS, "(nearest / 0.1).exp()")), "temperature", "0.1"),
    wrong(
        edited(KNN, (WEIGHTS, "(-nearest / temperature).exp()")),
        "sign",
        "minus",
        "negative",
        "nearer",
        "-1",
        misleading=(*RATIO, "least similar"),
    ),
    wrong(edited(KNN, (WEIGHTS, "(nearest / temperature).softmax(dim=1)")), "softmax", "normal", "sum to 1"),
    wrong(edited(KNN, (".topk(k,", ".topk(20,")), "k ", "20", "range", "neighbours"),
    wrong(edited(KNN, (".topk(k,", ".topk(similarity.shape[1],")), "k ", "all", "nearest"),
    wrong(edited(KNN, ("dim=1)\n", "dim=1, largest=False)\n")), "largest", "least", "smallest", "far", "most similar"),
    wrong(edited(KNN, ("topk(k, dim=1)", "topk(k, dim=0)")), "dim=", "axis", "row", "quer", "bank", "size"),
    wrong(edited(KNN, (".scatter_add(", ".scatter(")), "add", "overwrit", "+=", "last", "sum"),
    wrong(edited(KNN, ("labels[places]", "labels[:k].expand_as(places)")), "label", "first", "place", "index"),
    wrong(edited(KNN, ("labels[places]", "places % num_classes")), "label", "place", "index"),
    wrong(edited(KNN, ("num_classes)", "int(labels.max()) + 1)")), "num_classes", "shape", "index", "classes"),
    wrong(
        edited(KNN, ("return ", "votes = "), ("weights)\n", "weights)\n    return votes.argmax(dim=1)\n")),
        "shape",
        "argmax",
        "votes",
    ),
    wrong(
        edited(
            KNN,
            ("return ", "votes = "),
            ("weights)\n", "weights)\n    return votes / votes.sum(dim=1, keepdim=True)\n"),
        ),
        "sum to 1",
        "normal",
        "divid",
    ),
    wrong(
        edited(KNN, ("return ", "votes = "), ("weights)\n", "weights)\n    return votes / k\n")),
        "mean",
        "divid",
        "sum",
        "k",
        misleading=(),
    ),
    wrong(edited(KNN_LOOP, ("] += ", "] = ")), "add", "overwrit", "+=", "last", "sum"),
    wrong(edited(KNN_LOOP, ("order[:k]", "order[: k - 1]")), "k - 1", "k ", "neighbours", "one too few", "off by"),
    wrong(edited(KNN_LOOP, ("order[:k]", "order[1 : k + 1]")), "first", "itself", "nearest", "skip"),
    wrong(
        edited(KNN_LOOP, ("descending=True", "")), "largest", "least", "smallest", "far", "most similar", "descending"
    ),
    wrong(edited(KNN_LOOP, (", dtype=similarity.dtype", "")), *FLOAT32),
    wrong(
        knn(
            """
            nearest, places = similarity.topk(k, dim=1)
            votes = similarity.new_zeros(len(similarity), num_classes)
            votes[torch.arange(len(similarity))[:, None], labels[places]] += (nearest / temperature).exp()
            return votes
            """
        ),
        "+=",
        "add",
        "twice",
        "repeat",
        "once",
        "last",
        "overwrit",
        "same class",
    ),
    wrong(
        knn(
            "weights = similarity.div_(temperature).exp()\n" + "nearest, places = weights.topk(k, dim=1)\n"
            "return similarity.new_zeros(len(similarity), num_classes).scatter_add(1, labels[places], nearest)"
        ),
        *IN_PLACE,
    ),
]
RIGHT += [
    right(KNN_LOOP),
    right(
        knn(
            """
            nearest, places = similarity.topk(k, dim=1)
            one_hot = F.one_hot(labels[places], num_classes).to(similarity.dtype)
            return torch.einsum("mk,mkc->mc", torch.exp(nearest / temperature), one_hot)
            """
        )
    ),
    right(
        knn(
            """
            nearest, places = similarity.sort(dim=1, descending=True)
            weights, classes = torch.exp(nearest[:, :k] / temperature), labels[places[:, :k]]
            return torch.stack([(weights * (classes == c)).sum(dim=1) for c in range(num_classes)], dim=1)
            """
        )
    ),
    right(
        knn(
            """
            kept = torch.zeros_like(similarity).scatter(1, similarity.topk(k, dim=1).indices, 1.0)
            return (kept * (similarity / temperature).exp()) @ F.one_hot(labels, num_classes).to(similarity.dtype)
            """
        )
    ),
    right(
        knn(
            """
            rows = []
            for row in similarity:
                nearest, places = torch.topk(row, k)
                rows.append(torch.bincount(labels[places], torch.exp(nearest / temperature), minlength=num_classes))
            return torch.stack(rows)
            """
        )
    ),
]

# --- normalized_std -------------------------------------------------------------------------------------------------


def std(body: str) -> str:
    return function("normalized_std(z)", body)


STD = std("u = F.normalize(z, dim=1)\nreturn math.sqrt(z.shape[1]) * u.std(dim=0, correction=0).mean()")

WRONG += [
    wrong(edited(STD, ("F.normalize(z, dim=1)", "z")), *LENGTH),
    wrong(edited(STD, ("F.normalize(z, dim=1)", "F.normalize(z, dim=0)")), "row", "column", "dim="),
    wrong(edited(STD, (", correction=0", "")), "N - 1", "N-1", "unbiased", "correction", misleading=()),
    wrong(
        edited(STD, ("dim=0, correction", "dim=1, correction")),
        "batch",
        "dim=0",
        "axis",
        "over the features",
        "over the dimensions",
    ),
    wrong(edited(STD, ("math.sqrt(z.shape[1]) * ", "")), "sqrt", "root of D", *FACTOR, misleading=()),
    wrong(edited(STD, ("math.sqrt(z.shape[1])", "z.shape[1]")), "sqrt", "root", *FACTOR, misleading=()),
    wrong(
        edited(STD, ("math.sqrt(z.shape[1])", "math.sqrt(z.shape[0])")),
        "shape",
        "sqrt",
        "root of D",
        "root of N",
        *FACTOR,
        misleading=(),
    ),
    wrong(
        edited(STD, ("math.sqrt(z.shape[1]) * ", "1 / math.sqrt(z.shape[1]) * ")),
        "sqrt",
        "divid",
        "multipl",
        *FACTOR,
        misleading=(),
    ),
    wrong(edited(STD, (".mean()", ".sum()")), "mean", "divided by D", "1/D", *FACTOR, misleading=()),
    wrong(edited(STD, (".std(dim=0, correction=0).mean()", ".var(dim=0, correction=0).mean()")), "root", "variance"),
    wrong(
        edited(STD, (".std(dim=0, correction=0).mean()", ".var(dim=0, correction=0).mean().sqrt()")),
        "root",
        "variance",
        "before",
        "each",
    ),
    wrong(
        edited(STD, (".std(dim=0, correction=0).mean()", ".std(correction=0)")),
        "each dimension",
        "dim=0",
        "all",
        "per dimension",
    ),
    wrong(edited(STD, (".mean()", "")), "shape", "mean", "one number", "scalar"),
    wrong(edited(STD, (".mean()", ".median()")), "mean", "median"),
    wrong(edited(STD, (".mean()", ".min()")), "mean", "minimum", "smallest"),
    wrong(edited(STD, ("F.normalize(z, dim=1)", "F.normalize(z - z.mean(dim=0), dim=1)")), "cent", "mean"),
    wrong(edited(STD, ("F.normalize(z, dim=1)", "z / z.norm()")), "row", "each", "whole", *LENGTH, misleading=RATIO),
    wrong(
        edited(STD, ("u.std(dim=0, correction=0)", "torch.sqrt(u.var(dim=0, correction=0) + 1e-4)")),
        "eps",
        "1e-",
        "added",
        "small",
    ),
    wrong(edited(STD, ("z.shape[1]) * ", "z.shape[1]) * 1.0 * "), ("(z, dim=1)", "(z.float(), dim=1)")), *FLOAT32),
    wrong(edited(STD, ("u.std(dim=0, correction=0)", "(u - u.mean(dim=0)).abs().mean(dim=0)")), "square", "absolute"),
    wrong(edited(STD, ("u.std(dim=0, correction=0)", "u.square().mean(dim=0).sqrt()")), "mean", "cent", "subtract"),
    wrong(
        std("z /= z.norm(dim=1, keepdim=True)\nreturn math.sqrt(z.shape[1]) * z.std(dim=0, correction=0).mean()"),
        *IN_PLACE,
    ),
]
RIGHT += [
    right(
        std(
            "u = z / z.norm(dim=1, keepdim=True)\nreturn u.var(dim=0, unbiased=False).sqrt().mean() * z.shape[1] ** 0.5"
        )
    ),
    right(std("u = F.normalize(z)\nreturn (u - u.mean(0)).pow(2).mean(0).sqrt().sum() / math.sqrt(z.shape[1])")),
    right(
        std(
            """
            u = F.normalize(z)
            return (u.square().mean(0) - u.mean(0).square()).clamp(min=0).sqrt().mean() * np.sqrt(z.shape[1])
            """
        )
    ),
    right(
        std(
            """
            n, d = z.shape
            u = torch.stack([row / torch.sqrt((row * row).sum()) for row in z])
            total = 0
            for j in range(d):
                mean = sum(u[i, j] for i in range(n)) / n
                total = total + torch.sqrt(sum((u[i, j] - mean) ** 2 for i in range(n)) / n)
            return total / d * math.sqrt(d)
            """
        )
    ),
    right(
        std("u = F.normalize(z)\nn = len(z)\nreturn z.shape[1] ** 0.5 * (u.std(dim=0) * math.sqrt((n - 1) / n)).mean()")
    ),
    right(
        std(
            "u = F.normalize(z)\nreturn torch.linalg.norm(u - u.mean(0), dim=0).mean() * math.sqrt(z.shape[1] / len(z))"
        )
    ),
]

# --- rankme ---------------------------------------------------------------------------------------------------------


def rank(body: str) -> str:
    return function("rankme(z, eps=1e-7)", body)


RANK = rank(
    """
    sigma = torch.linalg.svdvals(z)
    p = sigma / sigma.sum() + eps
    return torch.exp(-torch.sum(p * torch.log(p)))
    """
)

WRONG += [
    wrong(edited(RANK, ("svdvals(z)", "svdvals(z) ** 2")), "square"),
    wrong(
        edited(RANK, ("torch.linalg.svdvals(z)", "torch.linalg.eigvalsh(z.T @ z).clamp(min=0)")),
        "square",
        "root",
        "eigenvalue",
    ),
    wrong(edited(RANK, ("svdvals(z)", "svdvals(z - z.mean(dim=0))")), "cent", "mean"),
    wrong(edited(RANK, ("svdvals(z)", "svdvals(F.normalize(z, dim=1))")), *LENGTH),
    wrong(
        edited(RANK, ("torch.linalg.svdvals(z)", "torch.linalg.eigvalsh(torch.cov(z.T)).clamp(min=0)")),
        "cov",
        "square",
        "cent",
        "singular",
    ),
    wrong(edited(RANK, ("torch.exp(-torch.sum(p * torch.log(p)))", "-torch.sum(p * torch.log(p))")), "exp"),
    wrong(edited(RANK, ("exp(-torch.sum", "exp(torch.sum")), "sign", "minus", "negative", "1 /", "inverse"),
    wrong(edited(RANK, ("torch.exp(-", "2 ** (-")), "exp", "base", "2 to the", "log"),
    wrong(edited(RANK, ("torch.log(p)", "torch.log2(p)")), "log2", "base", "natural", "log"),
    wrong(edited(RANK, ("sigma / sigma.sum() + eps", "(sigma + eps) / (sigma + eps).sum()")), "eps"),
    wrong(edited(RANK, ("sigma / sigma.sum() + eps", "sigma / (sigma.sum() + eps)")), "eps", "nan", "log"),
    wrong(edited(RANK, ("sigma / sigma.sum() + eps", "sigma / sigma.sum()")), "eps", "nan", "log"),
    wrong(edited(RANK, ("sum() + eps\n", "sum() + 1e-7\n")), "eps"),
    wrong(
        edited(RANK, ("sum() + eps\n", "sum() + eps\n    p = p / p.sum()\n")), "eps", "renormal", "divid", "sum to 1"
    ),
    wrong(
        edited(RANK, ("sum() + eps\n", "sum()\n"), ("torch.log(p)", "torch.log(p + eps)")), "eps", "both", "each share"
    ),
    wrong(edited(RANK, ("sigma / sigma.sum() + eps", "sigma + eps")), "share", "divid", "sum"),
    wrong(edited(RANK, ("sigma.sum()", "sigma.max()")), "sum", "max", "largest", "share"),
    wrong(edited(RANK, ("sigma.sum()", "sigma.norm()")), "sum", "share", "norm"),
    wrong(edited(RANK, ("sigma / sigma.sum() + eps", "sigma.softmax(dim=0) + eps")), "softmax", "divid", "share"),
    wrong(edited(RANK, ("torch.sum(p", "torch.mean(p")), "mean", "sum"),
    wrong(
        rank("sigma = torch.linalg.svdvals(z)\nreturn sigma.sum() ** 2 / (sigma**2).sum()"),
        "entropy",
        "participation",
        "exp",
        "log",
    ),
    wrong(rank("return torch.linalg.matrix_rank(z).to(z.dtype)"), "entropy", "count", "rank", "integer"),
    wrong(edited(RANK, ("svdvals(z)", "svdvals(z.float()).double()")), *FLOAT32),
    wrong(
        edited(RANK, ("torch.sum(p * torch.log(p))", "torch.sum(torch.log(p))")),
        "p *",
        "weigh",
        "p log p",
        "entropy",
        "share",
    ),
]
RIGHT += [
    right(rank("sigma = torch.linalg.svd(z).S\np = sigma / torch.sum(sigma) + eps\nreturn torch.prod(p ** (-p))")),
    right(rank("s = torch.linalg.svdvals(z.T)\np = s / s.norm(p=1) + eps\nreturn torch.special.entr(p).sum().exp()")),
    right(
        rank(
            """
            sigma = torch.linalg.svdvals(z)
            h = 0
            for s in sigma:
                p = s / sum(sigma) + eps
                h = h - p * p.log()
            return torch.exp(h)
            """
        )
    ),
    right(
        rank(
            """
            _, s, _ = torch.linalg.svd(z, full_matrices=False)
            p = F.normalize(s, p=1, dim=0) + eps
            return math.e ** -(p @ p.log())
            """
        )
    ),
    right(rank("p = torch.svd(z)[1]\np = p / p.sum() + eps\nreturn torch.exp(-torch.dot(p, torch.log(p)))")),
    right(rank("s = torch.linalg.svdvals(z)\np = s.div(s.sum()).add(eps)\nreturn torch.exp(-torch.xlogy(p, p).sum())")),
]

# --- on what they are compared ---------------------------------------------------------------------------------------


def pairs(generator: Generator) -> list[tuple[Any, ...]]:
    return [(leaf(generator, n, d), leaf(generator, n, d)) for n, d in ((5, 3), (3, 6))]


def leaf(generator: Generator, *shape: int) -> Tensor:
    """Shifted and stretched a little, so that centring and scaling show."""
    return (torch.randn(*shape, generator=generator, dtype=torch.float64) * 1.3 + 0.4).requires_grad_()


def images(generator: Generator) -> list[tuple[Any, ...]]:
    which = torch.tensor([False, True, False, True, False])
    return [(leaf(generator, 5, 3, 4, 4).detach(), which), (leaf(generator, 5, 2, 4, 6).detach(), ~which)]


def rows(generator: Generator) -> list[tuple[Any, ...]]:
    return [(leaf(generator, m, d).detach(), leaf(generator, n, d).detach()) for m, n, d in ((3, 5, 4), (6, 4, 3))]


def similarities(generator: Generator) -> list[tuple[Any, ...]]:
    cosines = torch.rand(4, 30, generator=generator, dtype=torch.float64) * 2 - 1
    labels = torch.randint(0, 5, (30,), generator=generator)
    return [(cosines, labels, 7, 6, 0.3), (cosines[:, :25], labels[:25])]


def one(generator: Generator) -> list[tuple[Any, ...]]:
    return [(leaf(generator, n, d).detach(),) for n, d in ((6, 3), (4, 7))]


def ranks(generator: Generator) -> list[tuple[Any, ...]]:
    z = leaf(generator, 7, 4).detach()
    return [(z,), (z, 1e-2), (z[:, :1] * z[:1],)]


INPUTS = {
    "energy": pairs,
    "mirror": images,
    "cosine_matrix_loop": rows,
    "cosine_matrix": rows,
    "knn_votes": similarities,
    "normalized_std": one,
    "rankme": ranks,
}
