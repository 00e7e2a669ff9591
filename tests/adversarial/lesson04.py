"""Answers to the exercises of lesson 04: covariance, VICReg's terms, its two scales, and the gradient of the variance."""

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

UNBIASED = ("N - 1", "N-1", "n - 1", "unbiased", "biased")
CENTRE = ("centr", "mean")
AXIS = ("dim=0", "axis", "over the batch", "over the samples", "each column", "columns")
SHAPE = ("shape", "transpos", ".T", "(D, D)", "rows and columns")
DIAGONAL = ("diagonal", "off-diagonal", "i != j", "i = j")
ROOT = ("root", "sqrt", "standard deviation", "variance")
ORDER = ("order", "swap", "position", "permut")
WHOLE = ("tuple", "four", "outputs", "(total", "three terms", "one value")
# What a message about a cut graph must not blame instead.
NOT_CUT = ("axis", "N - 1", "centr", "not used", "diagonal", *RATIO)

# --- covariance_matrix_loop -----------------------------------------------------------------------------------------


def loop(body: str) -> str:
    return function("covariance_matrix_loop(z)", body)


LOOP = loop(
    """
    n, d = z.shape
    mean = z.mean(dim=0)
    cov = torch.zeros(d, d, dtype=z.dtype)
    for i in range(d):
        for j in range(d):
            total = 0
            for b in range(n):
                total = total + (z[b, i] - mean[i]) * (z[b, j] - mean[j])
            cov[i, j] = total / (n - 1)
    return cov
    """
)

WRONG += [
    wrong(edited(LOOP, ("total / (n - 1)", "total / n")), *UNBIASED, misleading=("axis", "centr", "diagonal")),
    wrong(edited(LOOP, ("total / (n - 1)", "total")), "divi", "N - 1", "N-1", "sum", misleading=("axis", "centr")),
    wrong(edited(LOOP, ("total / (n - 1)", "total / (d - 1)")), *UNBIASED, "divi", "samples", misleading=()),
    wrong(edited(LOOP, ("total / (n - 1)", "total / d")), *UNBIASED, "divi", "samples", misleading=()),
    wrong(edited(LOOP, (" - mean[i]", ""), (" - mean[j]", "")), *CENTRE),
    wrong(edited(LOOP, ("z.mean(dim=0)", "z.mean()"), ("mean[i]", "mean"), ("mean[j]", "mean")), *CENTRE, "each dimension"),
    wrong(edited(LOOP, ("z.mean(dim=0)", "z.mean(dim=1)"), ("mean[i]", "mean[b]"), ("mean[j]", "mean[b]")), *AXIS, "mean"),
    wrong(edited(LOOP, ("z.mean(dim=0)", "z.sum(dim=0) / (n - 1)")), "mean", "N - 1", "1/N", "centr"),
    wrong(edited(LOOP, ("total = total + ", "total = ")), "last", "add", "sum", "accumul", "overwr", "+="),
    wrong(
        loop(
            """
            n, d = z.shape
            centred = z - z.mean(dim=0)
            cov = z.new_zeros(d, d)
            total = 0
            for i in range(d):
                for j in range(d):
                    for b in range(n):
                        total = total + centred[b, i] * centred[b, j]
                    cov[i, j] = total / (n - 1)
            return cov
            """
        ),
        "reset",
        "start",
        "accumul",
        "symmetr",
        "new entry",
        "each entry",
        "carr",
    ),
    wrong(edited(LOOP, ("for b in range(n)", "for b in range(n - 1)")), "last", "every sample", "all samples", "range", "off by one"),
    wrong(edited(LOOP, ("for b in range(n)", "for b in range(1, n)")), "first", "every sample", "all samples", "range", "off by one"),
    wrong(edited(LOOP, ("for j in range(d)", "for j in range(i, d)")), "symmetr", "triangle", "below", "mirror", "both"),
    wrong(edited(LOOP, ("for j in range(d)", "for j in range(d - 1)")), "last", "column", "range", "off by one", "every"),
    wrong(edited(LOOP, ("            total = 0", "            if i == j:\n                continue\n            total = 0")), *DIAGONAL),
    wrong(
        edited(LOOP, ("cov[i, j] = total / (n - 1)", "cov[i, j] = total / (n - 1) / (z[:, i].std() * z[:, j].std())")),
        "correlation",
        "units",
        "standard deviation",
        "standardi",
        "scale",
    ),
    wrong(edited(LOOP, ("(z[b, i] - mean[i]) * (z[b, j] - mean[j])", "abs((z[b, i] - mean[i]) * (z[b, j] - mean[j]))")), "abs", "sign", "negative"),
    wrong(edited(LOOP, ("(z[b, i] - mean[i]) * (z[b, j] - mean[j])", "(z[b, i] - mean[i]) * (z[b, i] - mean[i])")), "j", "diagonal", "symmetr", "same row"),
    wrong(edited(LOOP, ("(z[b, i] - mean[i]) * (z[b, j] - mean[j])", "z[b, i] * z[b, j] - mean[i] * mean[j]"), ("(n - 1)", "n")), *UNBIASED, misleading=("axis",)),
    wrong(edited(LOOP, ("(z[b, i] - mean[i]) * (z[b, j] - mean[j])", "z[b, i] * z[b, j]"), ("total / (n - 1)", "total / (n - 1) - mean[i] * mean[j]")), *CENTRE, "N / (N"),
    wrong(
        loop(
            """
            n, d = z.shape
            centred = z - z.mean(dim=0)
            gram = torch.zeros(n, n, dtype=z.dtype)
            for i in range(n):
                for j in range(n):
                    for k in range(d):
                        gram[i, j] += centred[i, k] * centred[j, k] / (n - 1)
            return gram
            """
        ),
        *SHAPE,
    ),
    wrong(edited(LOOP, (", dtype=z.dtype", "")), *FLOAT32),
    wrong(edited(LOOP, ("    mean = z.mean(dim=0)", "    z -= z.mean(dim=0)\n    mean = z.mean(dim=0)")), *IN_PLACE),
    wrong(edited(LOOP, ("total + (", "total + float("), ("[i]) * (z", "[i]) * float(z")), *CUT, misleading=NOT_CUT),
    wrong(edited(LOOP, ("cov[i, j] = total / (n - 1)", "cov[i, j] = (total / (n - 1)).item()")), *CUT, misleading=NOT_CUT),
    wrong(edited(LOOP, ("z.mean(dim=0)", "z.detach().mean(dim=0)"), ("return cov", "return cov.detach()")), *CUT, misleading=NOT_CUT),
    wrong(
        loop(
            """
            n, d = z.shape
            c = z - z.mean(dim=0)
            return [[sum(c[b, i] * c[b, j] for b in range(n)) / (n - 1) for j in range(d)] for i in range(d)]
            """
        ),
        "list",
        "tensor",
        "stack",
        note="a list of lists, where the lesson asks for a matrix",
    ),
]

RIGHT += [
    right(LOOP),
    right(
        loop(
            """
            n, d = z.shape
            rows = []
            for i in range(d):
                row = []
                for j in range(d):
                    entry = 0
                    for b in range(n):
                        entry = entry + (z[b, i] - z[:, i].mean()) * (z[b, j] - z[:, j].mean())
                    row.append(entry / (n - 1))
                rows.append(torch.stack(row))
            return torch.stack(rows)
            """
        )
    ),
    right(
        loop(
            """
            n, d = z.shape
            mean = sum(z[b] for b in range(n)) / n
            total = 0
            for b in range(n):
                total = total + torch.outer(z[b] - mean, z[b] - mean)
            return total / (n - 1)
            """
        )
    ),
    # One factor without its mean changes nothing: the deviations of the other sum to zero.
    right(edited(LOOP, (" - mean[j]", ""))),
    right(
        loop(
            """
            n, d = z.shape
            cov = z.new_zeros(d, d)
            for i in range(d):
                for j in range(i, d):
                    value = ((z[:, i] - z[:, i].mean()) * (z[:, j] - z[:, j].mean())).sum() / (n - 1)
                    cov[i, j] = value
                    cov[j, i] = value
            return cov
            """
        )
    ),
    right(loop("return torch.stack([torch.stack([(a * b).sum() for b in (z - z.mean(0)).T]) for a in (z - z.mean(0)).T]) / (len(z) - 1)")),
]

# --- covariance_matrix ----------------------------------------------------------------------------------------------


def matrix(body: str) -> str:
    return function("covariance_matrix(z)", body)


MATRIX = matrix("c = z - z.mean(dim=0)\nreturn c.T @ c / (z.shape[0] - 1)")

WRONG += [
    wrong(edited(MATRIX, ("(z.shape[0] - 1)", "z.shape[0]")), *UNBIASED, misleading=("axis", "centr")),
    wrong(matrix("return torch.cov(z.T, correction=0)"), *UNBIASED, "correction", misleading=("axis", "centr")),
    wrong(edited(MATRIX, (" / (z.shape[0] - 1)", "")), "divi", "N - 1", "N-1", "sum", misleading=("axis", "centr")),
    wrong(edited(MATRIX, ("(z.shape[0] - 1)", "z.shape[0] - 1")), "parenthes", "bracket", "N - 1", "subtract", "minus 1"),
    wrong(edited(MATRIX, ("z.shape[0]", "z.shape[1]")), *UNBIASED, "samples", "shape[0]", "divi", misleading=()),
    wrong(edited(MATRIX, ("z - z.mean(dim=0)", "z")), *CENTRE),
    wrong(edited(MATRIX, ("dim=0", "dim=1, keepdim=True")), *AXIS, "mean"),
    wrong(edited(MATRIX, ("z.mean(dim=0)", "z.mean()")), *CENTRE, "each dimension", "each column"),
    wrong(edited(MATRIX, ("c.T @ c", "c @ c.T")), *SHAPE),
    wrong(matrix("return torch.cov(z)"), *SHAPE),
    wrong(matrix("return torch.corrcoef(z.T)"), "correlation", "units", "standardi", "standard deviation", "scale"),
    wrong(matrix("c = (z - z.mean(0)) / z.std(0)\nreturn c.T @ c / (len(z) - 1)"), "correlation", "units", "standardi", "standard deviation", "scale"),
    wrong(matrix("c = z - z.mean(0)\nc = c / c.norm(dim=1, keepdim=True)\nreturn c.T @ c / (len(z) - 1)"), "normali", "length", "unit", "scale"),
    wrong(matrix("c = z - z.mean(0)\nreturn c * c / (len(z) - 1)"), "shape", "matrix product", "@", "(D, D)"),
    wrong(matrix("return torch.diag(z.var(dim=0))"), "off-diagonal", "off the diagonal", "only the diagonal", "covarianc", "diagonal"),
    wrong(matrix("return z.var(dim=0)"), "shape", "diagonal", "(D, D)", "matrix"),
    wrong(matrix("c = z - z.mean(0)\ncov = c.T @ c / (len(z) - 1)\nreturn cov - torch.diag(cov.diagonal())"), *DIAGONAL),
    wrong(matrix("c = z - z.mean(0)\nreturn (c.T @ c / (len(z) - 1)).abs()"), "sign", "abs", "negative"),
    wrong(matrix("c = z - z.mean(0)\nreturn (c.T @ c / (len(z) - 1)) ** 2"), "square", "units", "power"),
    wrong(matrix("return z.T @ z / (len(z) - 1) - torch.outer(z.mean(0), z.mean(0))"), *CENTRE, "N / (N"),
    wrong(matrix("c = z - z.sum(dim=0)\nreturn c.T @ c / (len(z) - 1)"), *CENTRE),
    wrong(matrix("c = z - z.median(dim=0).values\nreturn c.T @ c / (len(z) - 1)"), "median", *CENTRE),
    wrong(matrix("c = (z - z.mean(0)).float()\nreturn (c.T @ c / (len(z) - 1)).to(z.dtype)"), *FLOAT32),
    wrong(matrix("z -= z.mean(dim=0)\nreturn z.T @ z / (len(z) - 1)"), *IN_PLACE),
    wrong(matrix("c = (z - z.mean(0)).detach()\nreturn c.T @ c / (len(z) - 1)"), *CUT, misleading=NOT_CUT),
    wrong(matrix("with torch.no_grad():\n    c = z - z.mean(0)\n    return c.T @ c / (len(z) - 1)"), *CUT, misleading=NOT_CUT),
    wrong(matrix("c = z.detach() - z.detach().mean(0)\nreturn torch.tensor(np.cov(c.numpy(), rowvar=False).reshape(z.shape[1], -1), dtype=z.dtype)"), *CUT, misleading=NOT_CUT),
]

RIGHT += [
    right(MATRIX),
    right(matrix("return torch.cov(z.T)")),  # the lesson verifies against it, so it recommends it
    right(matrix("c = z - z.mean(0, keepdim=True)\nreturn torch.einsum('bi,bj->ij', c, c) / (len(z) - 1)")),
    right(matrix("n = len(z)\nreturn (z.T @ z - n * torch.outer(z.mean(0), z.mean(0))) / (n - 1)")),
    right(matrix("c = z - z.mean(0)\nreturn (c[:, :, None] * c[:, None, :]).sum(dim=0) / (len(z) - 1)")),
    right(matrix("n = len(z)\nh = torch.eye(n, dtype=z.dtype) - 1 / n\nreturn z.T @ h @ z / (n - 1)")),
]

# --- variance_hinge -------------------------------------------------------------------------------------------------


def hinge(body: str) -> str:
    return function("variance_hinge(cov, gamma, eps)", body)


HINGE = hinge("spread = torch.sqrt(torch.diagonal(cov) + eps)\nreturn torch.relu(gamma - spread).mean()")
EPS = ("eps",)
EACH = ("each dimension", "every dimension", "own hinge", "before", "mean", "first")

WRONG += [
    wrong(edited(HINGE, ("torch.sqrt(torch.diagonal(cov) + eps)", "torch.diagonal(cov) + eps")), "root", "sqrt", "standard deviation"),
    wrong(edited(HINGE, ("torch.sqrt(torch.diagonal(cov) + eps)", "torch.diagonal(cov)")), "root", "sqrt", "standard deviation"),
    wrong(edited(HINGE, (" + eps", "")), *EPS),
    wrong(edited(HINGE, ("torch.diagonal(cov) + eps)", "torch.diagonal(cov)) + eps")), *EPS),
    wrong(edited(HINGE, ("torch.diagonal(cov) + eps", "torch.diagonal(cov).clamp(min=eps)")), *EPS),
    wrong(edited(HINGE, ("+ eps", "+ 1e-4")), *EPS),
    wrong(edited(HINGE, ("+ eps", "+ eps ** 2")), *EPS),
    wrong(edited(HINGE, ("+ eps", "- eps")), *EPS),
    wrong(edited(HINGE, ("gamma - spread", "1.0 - spread")), "gamma"),
    wrong(edited(HINGE, ("gamma - spread", "spread - gamma")), "sign", "gamma -", "wide", "reverse", "other way", "narrow"),
    wrong(edited(HINGE, ("torch.relu(gamma - spread)", "(gamma - spread)")), "hinge", "relu", "max(0", "clamp", "wide", "below 0", "negative"),
    wrong(edited(HINGE, ("torch.relu(gamma - spread)", "(gamma - spread).abs()")), "hinge", "abs", "relu", "max(0", "wide"),
    wrong(edited(HINGE, ("torch.relu(gamma - spread)", "(torch.relu(gamma - spread) ** 2)")), "square", "power"),
    wrong(edited(HINGE, (".mean()", ".sum()")), "sum", "mean", "divi", "1/D", "/ D", "number of dimensions", misleading=("root", "eps")),
    wrong(edited(HINGE, ("torch.relu(gamma - spread).mean()", "torch.relu(gamma - spread.mean())")), *EACH),
    wrong(edited(HINGE, (".mean()", ".max()")), "max", "mean", "every dimension", "all dimensions", "each dimension"),
    wrong(edited(HINGE, (".mean()", "")), "shape", "scalar", "mean", "one number"),
    wrong(edited(HINGE, ("torch.relu(gamma - spread).mean()", "torch.nn.functional.softplus(gamma - spread).mean()")), "hinge", "softplus", "relu", "max(0", "wide"),
    wrong(edited(HINGE, ("torch.relu(gamma - spread).mean()", "-torch.relu(gamma - spread).mean()")), "sign", "minus", "negative", "-1", misleading=()),
    wrong(hinge("return torch.relu(gamma - torch.sqrt(cov.abs() + eps)).mean()"), "diagonal"),
    wrong(hinge("return torch.relu(gamma - torch.sqrt(cov + eps)).mean()"), "diagonal", "nan", "negative"),
    wrong(hinge("return torch.relu(gamma - torch.sqrt(cov.sum(dim=0).abs() + eps)).mean()"), "diagonal"),
    wrong(hinge("return torch.relu(gamma - torch.sqrt(cov.trace() + eps))"), *EACH, "trace"),
    wrong(hinge("return torch.relu(gamma ** 2 - (cov.diagonal() + eps)).mean()"), "root", "sqrt", "standard deviation", "gamma"),
    wrong(hinge("return torch.relu(gamma - torch.sqrt(torch.diag(torch.diag(cov)) + eps)).mean()"), "off-diagonal", "diagonal", "zeros", "D entries", "D numbers"),
    wrong(hinge("return torch.relu(gamma - torch.sqrt(cov.diagonal() + eps)).sum() / (len(cov) - 1)"), "D - 1", "divi", "mean", "1/D", "nan", "inf", misleading=("root",)),
    wrong(hinge("return torch.relu(gamma - cov.diagonal().std() - eps)"), *EACH, "std", "root"),
    wrong(hinge("cov.diagonal().add_(eps)\nreturn torch.relu(gamma - cov.diagonal().sqrt()).mean()"), *IN_PLACE),
    wrong(hinge("return torch.relu(gamma - torch.sqrt(cov.detach().diagonal() + eps)).mean()"), *CUT, misleading=(*RATIO, "root")),
    wrong(hinge("return torch.tensor(torch.relu(gamma - torch.sqrt(cov.diagonal() + eps)).mean().item(), dtype=cov.dtype)"), *CUT, misleading=(*RATIO, "root")),
    wrong(hinge("return torch.relu(gamma - torch.sqrt(cov.diagonal().float() + eps)).mean().to(cov.dtype)"), *FLOAT32),
]

RIGHT += [
    right(HINGE),
    right(hinge("return (gamma - (cov.diag() + eps) ** 0.5).clamp(min=0).mean()")),
    right(
        hinge(
            """
            total = 0
            for j in range(len(cov)):
                total = total + torch.relu(gamma - torch.sqrt(cov[j, j] + eps))
            return total / len(cov)
            """
        )
    ),
    right(hinge("s = torch.einsum('ii->i', cov).add(eps).sqrt()\nreturn torch.maximum(gamma - s, torch.zeros_like(s)).mean()")),
    right(hinge("s = (cov.diagonal() + eps).sqrt()\nreturn torch.where(s < gamma, gamma - s, torch.zeros_like(s)).sum() / cov.shape[0]")),
]

# --- covariance_penalty ---------------------------------------------------------------------------------------------


def penalty(body: str) -> str:
    return function("covariance_penalty(cov)", body)


PENALTY = penalty("off = cov - torch.diag(torch.diag(cov))\nreturn (off ** 2).sum() / len(cov)")
BY_D = ("divi", "/ D", "1/D", "D - 1", "D^2", "D(D", "mean", "number of", "entries")

WRONG += [
    wrong(penalty("return (cov ** 2).sum() / len(cov)"), *DIAGONAL),
    wrong(penalty("return (cov ** 2).mean()"), *DIAGONAL, *BY_D),
    wrong(edited(PENALTY, (".sum() / len(cov)", ".mean()")), *BY_D, misleading=("square", "keep", "kept")),
    wrong(edited(PENALTY, ("/ len(cov)", "/ (len(cov) * (len(cov) - 1))")), *BY_D, "nan", "inf"),
    wrong(edited(PENALTY, (" / len(cov)", "")), *BY_D, misleading=("square", "kept")),
    wrong(edited(PENALTY, ("/ len(cov)", "/ (len(cov) - 1)")), *BY_D, "nan", "inf"),
    wrong(edited(PENALTY, ("/ len(cov)", "/ (2 * len(cov))")), "half", "twice", *FACTOR, "0.5", "2", misleading=()),
    wrong(edited(PENALTY, ("(off ** 2)", "off.abs()")), "square", "abs"),
    wrong(edited(PENALTY, ("(off ** 2)", "off")), "square"),
    wrong(edited(PENALTY, ("(off ** 2).sum()", "off.sum() ** 2")), "square", "before", "each"),
    wrong(edited(PENALTY, ("(off ** 2).sum()", "off.norm()")), "root", "norm", "square"),
    wrong(edited(PENALTY, ("off ** 2", "off ** 4")), "power", "square", "fourth"),
    wrong(edited(PENALTY, ("(off ** 2).sum() / len(cov)", "(off ** 2).max()")), "max", "sum", "all"),
    wrong(edited(PENALTY, ("(off ** 2).sum() / len(cov)", "(off ** 2).sum(dim=1)")), "shape", "scalar", "one number", "sum"),
    wrong(edited(PENALTY, ("return (off", "return -(off")), "sign", "minus", "negative", "-1", misleading=()),
    wrong(penalty("return torch.triu(cov, 1).square().sum() / len(cov)"), "half", "triangle", "twice", "both", "i < j", misleading=("diagonal is", "kept")),
    wrong(penalty("return torch.tril(cov, -1).square().sum() / len(cov)"), "half", "triangle", "twice", "both", "i < j", misleading=("kept",)),
    wrong(penalty("return torch.triu(cov).square().sum() / len(cov)"), "half", "triangle", "diagonal", "both", "i < j"),
    wrong(penalty("return (cov.square().sum() - cov.diagonal().sum()) / len(cov)"), "square", "diagonal"),
    wrong(penalty("return (cov.square().sum() - cov.trace() ** 2) / len(cov)"), "diagonal", "square", "trace", "each"),
    wrong(penalty("return ((cov - torch.eye(len(cov), dtype=cov.dtype)) ** 2).sum() / len(cov)"), "diagonal", "identity"),
    wrong(penalty("return ((cov - cov.diagonal()) ** 2).sum() / len(cov)"), "diagonal"),
    wrong(penalty("off = cov * torch.eye(len(cov), dtype=cov.dtype)\nreturn (off ** 2).sum() / len(cov)"), "diagonal"),
    wrong(
        penalty("s = cov.diagonal().sqrt()\nc = cov / torch.outer(s, s)\nreturn (c - torch.diag(c.diagonal())).square().sum() / len(cov)"),
        "correlation",
        "normali",
        "units",
        "scale",
        "standard",
        "fourth",
    ),
    wrong(penalty("off = cov - torch.diag(cov.diagonal())\nreturn (off @ off).sum() / len(cov)"), "square", "elementwise", "matrix product", "each entry", "@", "**"),
    wrong(penalty("return cov.fill_diagonal_(0).square().sum() / len(cov)"), *IN_PLACE, "leaf"),
    wrong(penalty("off = (cov - torch.diag(cov.diagonal())).detach()\nreturn off.square().sum() / len(cov)"), *CUT, misleading=(*RATIO, "half"), note="it has no gradient"),
    wrong(edited(PENALTY, ("(off ** 2)", "(off.float() ** 2)"), ("/ len(cov)", "/ len(cov) + 0 * cov[0, 0]")), *FLOAT32),
    wrong(
        penalty(
            """
            total = 0
            for i in range(len(cov)):
                for j in range(i):
                    total = total + cov[i, j] ** 2
            return total / len(cov) + 0 * cov.sum()
            """
        ),
        "half",
        "triangle",
        "both",
        "twice",
        "i < j",
    ),
]

RIGHT += [
    right(PENALTY),
    # Right for the symmetric matrices that it is for; entry by entry its gradient differs from the other forms'.
    right(penalty("return 2 * torch.triu(cov, 1).square().sum() / len(cov)")),
    right(
        penalty(
            """
            total = 0
            for i in range(len(cov)):
                for j in range(len(cov)):
                    if i != j:
                        total = total + cov[i, j] ** 2
            return total / len(cov)
            """
        )
    ),
    right(penalty("mask = ~torch.eye(len(cov), dtype=torch.bool)\nreturn cov[mask].pow(2).sum() / cov.shape[0]")),
    right(penalty("return (torch.einsum('ij,ij->', cov, cov) - torch.einsum('ii,ii->', cov, cov)) / len(cov)")),
    right(penalty("return cov.clone().fill_diagonal_(0).pow(2).sum(dim=1).mean()")),
    right(penalty("d = len(cov)\nreturn (cov * (1 - torch.eye(d, dtype=cov.dtype))).norm() ** 2 / d if d > 1 else 0 * cov.sum()")),
]

# --- vicreg ---------------------------------------------------------------------------------------------------------


def vicreg(body: str) -> str:
    return function(
        "vicreg(z_a, z_b, invariance=25.0, variance=25.0, covariance=1.0, gamma=1.0, eps=1e-4)",
        body,
    )


VICREG = vicreg(
    """
    s = ((z_a - z_b) ** 2).mean()
    cov_a = covariance_matrix(z_a)
    cov_b = covariance_matrix(z_b)
    v = (variance_hinge(cov_a, gamma, eps) + variance_hinge(cov_b, gamma, eps)) / 2
    c = covariance_penalty(cov_a) + covariance_penalty(cov_b)
    total = invariance * s + variance * v + covariance * c
    return total, s, v, c
    """
)
HINGES = "(variance_hinge(cov_a, gamma, eps) + variance_hinge(cov_b, gamma, eps)) / 2"
PENALTIES = "covariance_penalty(cov_a) + covariance_penalty(cov_b)"
BRANCHES = ("branch", "view", "z_b", "z_a", "average", "both", "sum of the two")
S_TERM = ("invariance", "mean over", "squared distance", "field 1", "second")

WRONG += [
    wrong(edited(VICREG, (".mean()\n", ".sum(dim=1).mean()\n")), *S_TERM, "paper", "divi", misleading=("swap", "branch")),
    wrong(edited(VICREG, (".mean()\n", ".sum()\n")), *S_TERM, "sum", "divi", misleading=("swap", "branch")),
    wrong(edited(VICREG, (".mean()\n", ".sum(dim=0).mean()\n")), *S_TERM, "divi", "axis", misleading=("swap", "branch")),
    wrong(edited(VICREG, ("((z_a - z_b) ** 2).mean()", "(z_a - z_b).abs().mean()")), "square", "invariance", "abs"),
    wrong(edited(VICREG, ("((z_a - z_b) ** 2).mean()", "((z_a - z_b) ** 2).mean().sqrt()")), "root", "invariance"),
    wrong(
        edited(VICREG, ("((z_a - z_b) ** 2).mean()", "((z_a - z_a.mean(0) - z_b + z_b.mean(0)) ** 2).mean()")),
        "centr",
        "invariance",
        "mean of",
        "shift",
    ),
    wrong(edited(VICREG, (f"v = {HINGES}", f"v = {HINGES[1:-5]}")), *BRANCHES, "half", "paper", "/ 2", misleading=("invariance is", "gamma")),
    wrong(edited(VICREG, (f"c = {PENALTIES}", f"c = ({PENALTIES}) / 2")), *BRANCHES, "half", "covariance", misleading=("variance is averaged",)),
    wrong(edited(VICREG, (HINGES, "variance_hinge(cov_a, gamma, eps)")), *BRANCHES, misleading=("gamma", "paper", *RATIO)),
    wrong(edited(VICREG, (HINGES, "variance_hinge(cov_b, gamma, eps)")), *BRANCHES, misleading=("gamma", "paper", *RATIO)),
    wrong(edited(VICREG, (HINGES, "variance_hinge(cov_a, gamma, eps) / 2")), *BRANCHES, misleading=("gamma", "paper", *RATIO)),
    wrong(edited(VICREG, (PENALTIES, "covariance_penalty(cov_a)")), *BRANCHES),
    wrong(edited(VICREG, (PENALTIES, "2 * covariance_penalty(cov_a)")), *BRANCHES),
    wrong(edited(VICREG, ("cov_b = covariance_matrix(z_b)", "cov_b = covariance_matrix(z_a)")), *BRANCHES),
    wrong(edited(VICREG, ("invariance * s + variance * v + covariance * c", "s + v + c")), "weight", "total", "invariance *", "25"),
    wrong(edited(VICREG, ("invariance * s + variance * v + covariance * c", "25 * s + 25 * v + c")), "weight", "argument", "depend", "invariance", "ignored"),
    wrong(edited(VICREG, ("invariance * s + variance * v", "invariance * s + invariance * v")), "variance", "weight", "argument", "depend"),
    wrong(edited(VICREG, ("variance * v + covariance * c", "covariance * v + variance * c")), "weight", "swap", "exchang", "total"),
    wrong(edited(VICREG, ("gamma, eps)", "1.0, eps)")), "gamma"),
    wrong(edited(VICREG, ("gamma, eps)", "gamma, 1e-4)")), "eps"),
    wrong(edited(VICREG, ("gamma, eps)", "eps, gamma)")), "gamma", "eps", "swap"),
    wrong(edited(VICREG, ("gamma, eps)", "gamma, 0.0)")), "eps", "nan"),
    wrong(edited(VICREG, ("total, s, v, c", "total, v, s, c")), *ORDER),
    wrong(edited(VICREG, ("total, s, v, c", "total, s, c, v")), *ORDER),
    wrong(edited(VICREG, ("total, s, v, c", "s, v, c, total")), *ORDER),
    wrong(edited(VICREG, ("return total, s, v, c", "return total")), *WHOLE),
    wrong(edited(VICREG, ("return total, s, v, c", "return s, v, c")), *WHOLE),
    wrong(edited(VICREG, ("return total, s, v, c", "return {'total': total, 's': s, 'v': v, 'c': c}")), "dict", *WHOLE, note="a dict"),
    wrong(edited(VICREG, ("total, s, v, c\n", "total, invariance * s, variance * v, covariance * c\n")), "weight"),
    wrong(
        edited(VICREG, ("cov_a = covariance_matrix(z_a)", "cov_a = covariance_matrix(torch.cat([z_a, z_b]))"), ("cov_b = covariance_matrix(z_b)", "cov_b = cov_a")),
        *BRANCHES,
        "by itself",
        "cat",
    ),
    wrong(
        edited(VICREG, ("c = covariance", "cross = (z_a - z_a.mean(0)).T @ (z_b - z_b.mean(0)) / (len(z_a) - 1)\n    c = 2 * covariance_penalty(cross) + 0 * covariance")),
        "cross",
        "by itself",
        "branch",
        "each view",
        "covariance",
    ),
    wrong(edited(VICREG, ("    cov_a = cov", "    z_a = torch.nn.functional.normalize(z_a, dim=1)\n    z_b = torch.nn.functional.normalize(z_b, dim=1)\n    cov_a = cov")), "normali", "length", "unit"),
    wrong(edited(VICREG, ("    s = ((z", "    z_a = torch.nn.functional.normalize(z_a, dim=1)\n    z_b = torch.nn.functional.normalize(z_b, dim=1)\n    s = ((z")), "normali", "length", "unit"),
    wrong(edited(VICREG, ("    cov_a = cov", "    z_a = z_a / z_a.std(dim=0)\n    z_b = z_b / z_b.std(dim=0)\n    cov_a = cov")), "standard", "normali", "scale", "std"),
    wrong(edited(VICREG, ("covariance_matrix(z_a)", "torch.cov(z_a.T, correction=0)"), ("covariance_matrix(z_b)", "torch.cov(z_b.T, correction=0)")), *UNBIASED),
    wrong(
        edited(VICREG, (HINGES, "(torch.relu(gamma - z_a.var(0) - eps).mean() + torch.relu(gamma - z_b.var(0) - eps).mean()) / 2")),
        *ROOT,
    ),
    wrong(
        edited(VICREG, (HINGES, "(torch.relu(gamma - torch.sqrt(z_a.var(1) + eps)).mean() + torch.relu(gamma - torch.sqrt(z_b.var(1) + eps)).mean()) / 2")),
        *AXIS,
        "variance",
    ),
    wrong(edited(VICREG, (HINGES, "(torch.relu(gamma - z_a.std(0) - eps).mean() + torch.relu(gamma - z_b.std(0) - eps).mean()) / 2")), "eps"),
    wrong(edited(VICREG, (f"c = {PENALTIES}", "c = (cov_a ** 2).sum() / len(cov_a) + (cov_b ** 2).sum() / len(cov_b)")), *DIAGONAL),
    wrong(edited(VICREG, (PENALTIES, "(covariance_penalty(cov_a) + covariance_penalty(cov_b)) / z_a.shape[1]")), "divi", "covariance", "1/D", "/ D"),
    wrong(edited(VICREG, ("variance * v + cov", "-variance * v + cov")), "sign", "minus", "variance", "negative"),
    wrong(edited(VICREG, ("(z_a - z_b)", "(z_a - z_b.detach())")), *CUT, misleading=(*RATIO, "swap")),
    wrong(edited(VICREG, ("    s = ((z", "    z_b = z_b.detach()\n    s = ((z")), *CUT, misleading=(*RATIO, "swap")),
    wrong(edited(VICREG, ("return total, s", "return total.detach(), s")), *CUT, misleading=(*RATIO, "swap")),
    wrong(edited(VICREG, ("    s = ((z", "    z_a, z_b = z_a.float(), z_b.float()\n    s = ((z")), *FLOAT32),
    wrong(edited(VICREG, ("    cov_a = cov", "    z_a -= z_a.mean(dim=0)\n    z_b -= z_b.mean(dim=0)\n    cov_a = cov")), *IN_PLACE),
]

RIGHT += [
    right(VICREG),
    right(vicreg("return losses.vicreg(z_a, z_b, invariance, variance, covariance, gamma, eps)")),
    right(
        vicreg(
            """
            n, d = z_a.shape
            s, v, c = 0, 0, 0
            for b in range(n):
                for j in range(d):
                    s = s + (z_a[b, j] - z_b[b, j]) ** 2 / (n * d)
            for z in (z_a, z_b):
                z = z - z.mean(dim=0)
                for i in range(d):
                    v = v + torch.clamp(gamma - torch.sqrt((z[:, i] ** 2).sum() / (n - 1) + eps), min=0) / (2 * d)
                    for j in range(d):
                        c = c + (i != j) * (z[:, i] @ z[:, j] / (n - 1)) ** 2 / d
            return invariance * s + variance * v + covariance * c, s, v, c
            """
        )
    ),
    right(
        vicreg(
            """
            d = z_a.shape[1]
            s = F.mse_loss(z_a, z_b)
            v = (F.relu(gamma - (z_a.var(0) + eps).sqrt()).mean() + F.relu(gamma - (z_b.var(0) + eps).sqrt()).mean()) / 2
            c = 0
            for z in (z_a, z_b):
                cov = torch.cov(z.T).reshape(d, d)
                c = c + (cov - torch.diag(cov.diag())).pow(2).sum() / d
            return (invariance * s + variance * v + covariance * c, s, v, c)
            """
        )
    ),
    right(
        vicreg(
            """
            both = torch.stack([z_a, z_b])
            c = both - both.mean(dim=1, keepdim=True)
            cov = torch.einsum('vbi,vbj->vij', c, c) / (z_a.shape[0] - 1)
            spread = torch.sqrt(torch.diagonal(cov, dim1=1, dim2=2) + eps)
            v = torch.relu(gamma - spread).mean()
            off = cov * (1 - torch.eye(z_a.shape[1], dtype=z_a.dtype))
            c = off.square().sum() / z_a.shape[1]
            s = (both[0] - both[1]).square().mean()
            return [invariance * s + variance * v + covariance * c, s, v, c]
            """
        )
    ),
]

# --- vicreg_paper ---------------------------------------------------------------------------------------------------


def paper(call: str) -> str:
    return function(
        "vicreg_paper(z_a, z_b, invariance=25.0, variance=25.0, covariance=1.0, gamma=1.0, eps=1e-4)",
        f"d = z_a.shape[1]\nreturn {call}",
    )


SQUARED = ("invariance", "sums", "over the dimensions", "by D", "times D", "D *", "* D")
HALVED = ("variance", "branch", "average", "twice", "half", "2 *")

WRONG += [
    wrong(paper("vicreg(z_a, z_b, invariance, variance, covariance, gamma, eps)[0]"), "weight", *SQUARED, misleading=()),
    wrong(paper("vicreg(z_a, z_b, invariance * d, variance, covariance, gamma, eps)[0]"), *HALVED),
    wrong(paper("vicreg(z_a, z_b, invariance, 2 * variance, covariance, gamma, eps)[0]"), *SQUARED, misleading=()),
    wrong(paper("vicreg(z_a, z_b, invariance / d, variance / 2, covariance, gamma, eps)[0]"), "other way", "inverse", "divid", "reverse", "multipl", misleading=()),
    wrong(paper("vicreg(z_a, z_b, invariance / d, 2 * variance, covariance, gamma, eps)[0]"), *SQUARED, "divid", misleading=()),
    wrong(paper("vicreg(z_a, z_b, invariance * d, variance / 2, covariance, gamma, eps)[0]"), *HALVED),
    wrong(paper("vicreg(z_a, z_b, invariance * d, 2 * variance, 2 * covariance, gamma, eps)[0]"), "covariance"),
    wrong(paper("vicreg(z_a, z_b, invariance * d, 2 * variance, covariance / 2, gamma, eps)[0]"), "covariance"),
    wrong(paper("vicreg(z_a, z_b, invariance * d, 2 * variance, covariance * d, gamma, eps)[0]"), "covariance"),
    wrong(paper("vicreg(z_a, z_b, invariance * d, variance * d, covariance, gamma, eps)[0]"), *HALVED),
    wrong(paper("vicreg(z_a, z_b, invariance * len(z_a), 2 * variance, covariance, gamma, eps)[0]"), "N", "samples", "dimension", "shape[1]", *SQUARED),
    wrong(paper("vicreg(z_a, z_b, invariance * len(z_a) * d, 2 * variance, covariance, gamma, eps)[0]"), "N", "samples", "batch", *SQUARED),
    wrong(paper("2 * vicreg(z_a, z_b, invariance * d, variance, covariance, gamma, eps)[0]"), "factor", "covariance", "invariance", "twice", "2"),
    wrong(paper("vicreg(z_a, z_b, invariance * d, 2 * variance, covariance, gamma, eps)"), *WHOLE, "scalar", "[0]", "total"),
    wrong(paper("vicreg(z_a, z_b, invariance * d, 2 * variance, covariance, gamma, eps)[1]"), "total", "invariance", "[0]", "field"),
    wrong(paper("vicreg(z_a, z_b, invariance * d, 2 * variance, covariance)[0]"), "gamma", "eps"),
    wrong(paper("vicreg(z_a, z_b, invariance * d, 2 * variance, covariance, gamma)[0]"), "eps"),
    wrong(paper("vicreg(z_a, z_b, invariance * d, 2 * variance, covariance, eps=eps)[0]"), "gamma"),
    wrong(paper("vicreg(z_a, z_b, 25.0 * d, 50.0, 1.0, gamma, eps)[0]"), "weight", "argument", "depend", "ignored", "25"),
    wrong(paper("vicreg(z_a, z_b, variance=2 * variance, covariance=covariance, gamma=gamma, eps=eps, invariance=25.0 * d)[0]"), "invariance"),
    wrong(paper("vicreg(z_a, z_b, invariance * d, 2 * variance, 1.0, gamma, eps)[0]"), "covariance"),
    wrong(paper("vicreg(z_a, z_b, invariance * (d - 1), 2 * variance, covariance, gamma, eps)[0]"), *SQUARED, "D - 1"),
    wrong(paper("vicreg(z_a, z_b, invariance * d, 2 * variance, covariance, 2 * gamma, eps)[0]"), "gamma"),
    wrong(paper("vicreg(z_a, z_a, invariance * d, 2 * variance, covariance, gamma, eps)[0]"), "z_b", "view", "same", "twice"),
    wrong(paper("sum(vicreg(z_a, z_b, invariance * d, 2 * variance, covariance, gamma, eps)[1:])"), "weight", "total"),
    wrong(paper("vicreg(z_a, z_b, invariance * d, 2 * variance, covariance, gamma, eps)[0].detach()"), *CUT, misleading=(*RATIO, "covariance")),
    wrong(paper("vicreg(z_a, z_b.detach(), invariance * d, 2 * variance, covariance, gamma, eps)[0]"), *CUT, misleading=(*RATIO, "covariance")),
    wrong(paper("vicreg(z_a.float(), z_b.float(), invariance * d, 2 * variance, covariance, gamma, eps)[0].to(z_a.dtype)"), *FLOAT32),
]

RIGHT += [
    right(paper("vicreg(z_a, z_b, invariance * d, 2 * variance, covariance, gamma, eps)[0]")),
    right(paper("losses.vicreg(z_a, z_b, d * invariance, variance + variance, covariance, gamma=gamma, eps=eps).total")),
    right(
        function(
            "vicreg_paper(z_a, z_b, invariance=25.0, variance=25.0, covariance=1.0, gamma=1.0, eps=1e-4)",
            "_, s, v, c = vicreg(z_a, z_b, gamma=gamma, eps=eps)\n"
            "return invariance * z_a.shape[1] * s + 2 * variance * v + covariance * c",
        )
    ),
    right(
        function(
            "vicreg_paper(z_a, z_b, invariance=25.0, variance=25.0, covariance=1.0, gamma=1.0, eps=1e-4)",
            """
            total = invariance * (z_a - z_b).square().sum(dim=1).mean()
            for z in (z_a, z_b):
                cov = covariance_matrix(z)
                total = total + variance * variance_hinge(cov, gamma, eps) + covariance * covariance_penalty(cov)
            return total
            """,
        )
    ),
]

# --- variance_gradient ----------------------------------------------------------------------------------------------


def slope(body: str) -> str:
    return function("variance_gradient(z, gamma=1.0, eps=1e-4)", body)


SLOPE = slope(
    """
    n, d = z.shape
    spread = torch.sqrt(z.var(dim=0) + eps)
    active = (spread < gamma).to(z.dtype)
    return -active * (z - z.mean(dim=0)) / (d * (n - 1) * spread)
    """
)

WRONG += [
    wrong(edited(SLOPE, ("-active", "active")), "sign", "minus", "-1", "opposite", "direction", misleading=()),
    wrong(edited(SLOPE, ("-active", "-2 * active")), "2", "twice", *FACTOR, misleading=("N - 1",)),
    wrong(edited(SLOPE, ("* spread)", "* 2 * spread)")), "half", "2", *FACTOR, misleading=()),
    wrong(edited(SLOPE, ("(n - 1)", "n")), "N - 1", "N-1", "unbiased", misleading=("1/D", "gamma")),
    wrong(edited(SLOPE, ("d * (n - 1)", "(n - 1)")), "D", "dimension", misleading=()),
    wrong(edited(SLOPE, ("d * (n - 1)", "d")), "N - 1", "N-1", "divi", misleading=()),
    wrong(edited(SLOPE, ("(d * (n - 1) * spread)", "(n * d * spread)")), "N - 1", "N-1", misleading=()),
    wrong(edited(SLOPE, ("d * (n - 1) * spread", "n * (d - 1) * spread")), "N - 1", "D - 1", "N-1", "swap", "divi", misleading=()),
    wrong(edited(SLOPE, (" * spread)", ")")), "1/S", "/ S", "S_j", "spread", "standard deviation", "divi"),
    wrong(edited(SLOPE, (" * spread)", " * spread ** 2)")), "S", "root", "power", "variance", "square"),
    wrong(edited(SLOPE, ("torch.sqrt(z.var(dim=0) + eps)", "z.std(dim=0) + eps")), "eps"),
    wrong(edited(SLOPE, (" + eps", "")), "eps"),
    wrong(edited(SLOPE, ("+ eps", "+ 1e-4")), "eps"),
    wrong(edited(SLOPE, ("< gamma", "< 1.0")), "gamma"),
    wrong(edited(SLOPE, ("-active * ", "-")), "hinge", "wide", "gamma", "bracket", "condition", "active"),
    wrong(edited(SLOPE, ("spread < gamma", "spread > gamma")), "other way", "wide", "bracket", "condition", "narrow", "reverse", "gamma"),
    wrong(edited(SLOPE, ("spread < gamma", "spread ** 2 < gamma")), "gamma", "root", "variance", "condition", "S_j"),
    wrong(edited(SLOPE, ("spread < gamma", "spread.mean() < gamma")), "each", "own", "mean", "every", "condition", "bracket"),
    wrong(edited(SLOPE, ("z.var(dim=0)", "z.var(dim=0, correction=0)")), "N - 1", "N-1", "unbiased", "biased", "variance"),
    wrong(edited(SLOPE, ("z.var(dim=0)", "z.var(dim=1, keepdim=True)")), *AXIS, "variance"),
    wrong(edited(SLOPE, ("(z - z.mean(dim=0))", "z")), *CENTRE),
    wrong(edited(SLOPE, ("z.mean(dim=0)", "z.mean(dim=1, keepdim=True)")), *AXIS, "mean"),
    wrong(edited(SLOPE, ("z.mean(dim=0)", "z.mean()")), "mean", "centr", "each dimension"),
    wrong(edited(SLOPE, ("-active", "-active * (gamma - spread)")), "hinge", "gamma - S", "slope", "square", "power", "S_j"),
    wrong(edited(SLOPE, ("-active * (z", "-active * (1 - 1 / n) * (z")), "mean", "N - 1", "vanish", "(N - 1)", *FACTOR, misleading=()),
    wrong(
        edited(SLOPE, ("    return -active * (z - z.mean(dim=0))", "    cov = covariance_matrix(z)\n    return -active * (z - z.mean(dim=0)) @ cov")),
        "covariance",
        "1/S",
        "spread",
        "product",
        "mix",
        "each dimension",
    ),
    wrong(edited(SLOPE, ("-active * (z - z.mean(dim=0)) / (d * (n - 1) * spread)", "(-active * (z - z.mean(dim=0)) / (d * (n - 1) * spread)).sum(dim=0)")), "shape", "(N, D)", "sum"),
    wrong(edited(SLOPE, ("-active * (z - z.mean(dim=0)) / (d * (n - 1) * spread)", "-active / (2 * d * spread)")), "shape", "(N, D)", "sample", "chain"),
    wrong(edited(SLOPE, ("-active * (z - z.mean(dim=0))", "-active * (z - z.mean(dim=0)).abs()")), "sign", "abs", "sum to"),
    wrong(
        slope(
            """
            leaf = z.detach().clone().requires_grad_()
            variance_hinge(covariance_matrix(leaf), gamma, eps).backward()
            return leaf.grad
            """
        ),
        "autograd",
        "automatic",
        "closed form",
        "backward",
        note="the closed form is asked, without automatic differentiation",
    ),
    wrong(
        slope("return torch.autograd.grad(variance_hinge(covariance_matrix(z), gamma, eps), z)[0]"),
        "autograd",
        "automatic",
        "closed form",
        "backward",
        note="the closed form is asked, without automatic differentiation",
    ),
    wrong(edited(SLOPE, ("    n, d = z.shape", "    n, d = z.shape\n    z = z.float()")), *FLOAT32),
    wrong(edited(SLOPE, ("    return -active * (z - z.mean(dim=0))", "    z -= z.mean(dim=0)\n    return -active * z")), *IN_PLACE),
]

RIGHT += [
    right(SLOPE),
    right(
        slope(
            """
            n, d = z.shape
            result = torch.zeros_like(z)
            for j in range(d):
                mean = z[:, j].sum() / n
                s = (((z[:, j] - mean) ** 2).sum() / (n - 1) + eps) ** 0.5
                if s < gamma:
                    for b in range(n):
                        result[b, j] = -(z[b, j] - mean) / (d * (n - 1) * s)
            return result
            """
        )
    ),
    right(slope("n, d = z.shape\nc = z - z.mean(0)\ns = torch.sqrt(covariance_matrix(z).diagonal() + eps)\nreturn torch.where(s < gamma, -c / s, torch.zeros_like(c)) / (d * (n - 1))")),
    right(
        slope(
            """
            n, d = z.shape
            s = (z.var(0) + eps).sqrt()
            dv_ds = -(s < gamma).double() / d
            ds_dc = 1 / (2 * s)
            dc_dz = 2 * (z - z.mean(0)) / (n - 1)
            return (dv_ds * ds_dc * dc_dz).to(z.dtype)
            """
        )
    ),
    right(slope("n, d = z.shape\ns = (z.var(0) + eps).sqrt()\nc = z - z.mean(0)\nreturn -torch.einsum('bj,j->bj', c, (s < gamma) / s) / d / (n - 1)")),
]

# --- inputs ---------------------------------------------------------------------------------------------------------


def clouds(generator: Generator) -> list[Tensor]:
    """Batches of several shapes, shifted, stretched in some dimensions; some dimensions are narrow and some wide."""
    batches = []
    for n, d in ((7, 3), (5, 5), (4, 6), (12, 2)):
        stretch = torch.rand(d, generator=generator, dtype=torch.float64) * 1.6 + 0.1
        batches.append(torch.randn(n, d, generator=generator, dtype=torch.float64) * stretch + 3 * torch.rand(d, generator=generator).double())
    return batches


def leaves(*tensors: Tensor) -> tuple[Tensor, ...]:
    return tuple(tensor.detach().clone().requires_grad_() for tensor in tensors)


def one_batch(generator: Generator) -> list[tuple[Any, ...]]:
    return [leaves(z) for z in clouds(generator)]


def covariances(generator: Generator) -> list[Tensor]:
    return [torch.cov(z.T) for z in clouds(generator)]


def of_hinge(generator: Generator) -> list[tuple[Any, ...]]:
    settings = ((1.0, 1e-4), (0.7, 1e-2), (1.5, 0.3), (1.0, 1e-3))
    return [(*leaves(cov), *setting) for cov, setting in zip(covariances(generator), settings)]


def of_penalty(generator: Generator) -> list[tuple[Any, ...]]:
    """Values only: a right answer may use one triangle of the symmetric matrix, and its gradient is another one then."""
    return [(cov,) for cov in covariances(generator)]


def two_views(generator: Generator) -> list[tuple[Any, ...]]:
    settings = ((), (10.0, 3.0, 2.0, 0.8, 1e-2), (25.0, 25.0, 1.0, 1.4, 0.1), (1.0, 0.5, 7.0))
    views = [(z, z * 0.8 + 0.4 * torch.randn(z.shape, generator=generator, dtype=z.dtype) + 0.2) for z in clouds(generator)]
    return [(*leaves(*pair), *setting) for pair, setting in zip(views, settings)]


def of_slope(generator: Generator) -> list[tuple[Any, ...]]:
    settings = ((), (0.7, 1e-2), (1.5, 0.3), (1.2, 1e-3))
    return [(z, *setting) for z, setting in zip(clouds(generator), settings)]


INPUTS = {
    "covariance_matrix_loop": one_batch,
    "covariance_matrix": one_batch,
    "variance_hinge": of_hinge,
    "covariance_penalty": of_penalty,
    "vicreg": two_views,
    "vicreg_paper": two_views,
    "variance_gradient": of_slope,
}
