"""Answers to the exercises of lesson 02: standardising, the cross-correlation matrix, and Barlow Twins."""

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

BATCH = ("batch", "dim=0", "axis", "samples", "column", "row")
CENTRE = ("cent", "mean", "subtract", "shift")
SCALE = ("scale", "standard", "deviation", "divid", "std", "sigma")
UNBIASED = ("N - 1", "N-1", "unbiased", "correction", "biased")
ORDER = ("order", "swap", "position", "outputs", "permut")
WHOLE = ("tuple", "three", "outputs", "(total", "one value", "one tensor")
ONE_VIEW = ("z_b", "view B", "one view", "same view", "not used", "depend", "auto-correlation", "autocorrelation")
OTHER_VIEW = ("z_a", "view A", "one view", "same view", "not used", "depend", "auto-correlation", "autocorrelation")

# --- standardize ----------------------------------------------------------------------------------------------------


def standard(body: str) -> str:
    return function("standardize(z, eps=1e-5)", body)


STANDARD = standard(
    """
    mean = z.mean(dim=0)
    variance = ((z - mean) ** 2).mean(dim=0)
    return (z - mean) / torch.sqrt(variance + eps)
    """
)

WRONG += [
    wrong(
        standard(
            """
            mean = z.mean(dim=1, keepdim=True)
            variance = ((z - mean) ** 2).mean(dim=1, keepdim=True)
            return (z - mean) / torch.sqrt(variance + eps)
            """
        ),
        *BATCH,
    ),
    wrong(standard("return F.layer_norm(z, z.shape[1:], eps=eps)"), *BATCH),
    wrong(edited(STANDARD, ("torch.sqrt(variance + eps)", "(variance + eps)")), "root", "sqrt", "variance"),
    wrong(edited(STANDARD, ("((z - mean) ** 2).mean(dim=0)", "z.var(dim=0)")), *UNBIASED),
    wrong(standard("return (z - z.mean(dim=0)) / torch.sqrt(z.std(dim=0) ** 2 + eps)"), *UNBIASED),
    wrong(edited(STANDARD, ("torch.sqrt(variance + eps)", "(torch.sqrt(variance) + eps)")), "eps", "inside"),
    wrong(edited(STANDARD, ("variance + eps", "variance")), "eps", "constant", "nan"),
    wrong(edited(STANDARD, ("variance + eps", "variance + 1e-5")), "eps", "1e-5"),
    wrong(edited(STANDARD, ("variance + eps", "variance + eps**2")), "eps"),
    wrong(edited(STANDARD, ("return (z - mean)", "return z")), *CENTRE),
    wrong(edited(STANDARD, (" / torch.sqrt(variance + eps)", "")), *SCALE),
    wrong(edited(STANDARD, ("(z - mean) ** 2", "z**2")), "variance", *CENTRE),
    wrong(
        edited(STANDARD, ("((z - mean) ** 2).mean(dim=0)", "((z - mean) ** 2).sum(dim=0)")),
        "mean",
        "divid",
        "sum",
        "N",
        misleading=(),
    ),
    wrong(
        edited(STANDARD, ("((z - mean) ** 2).mean(dim=0)", "((z - mean) ** 2).mean()"), ("z.mean(dim=0)", "z.mean()")),
        "each dimension",
        "dim=0",
        "whole",
        "all entries",
        "per dimension",
        "one mean",
    ),
    wrong(
        edited(STANDARD, ("((z - mean) ** 2).mean(dim=0)", "((z - mean) ** 2).mean()")),
        "each dimension",
        "dim=0",
        "whole",
        "all entries",
        "per dimension",
        "variance",
        "scale",
    ),
    wrong(standard("return F.normalize(z, dim=1)"), *CENTRE, *SCALE),
    wrong(
        standard("return F.normalize(z - z.mean(dim=0), dim=0)"),
        "root of N",
        "sqrt",
        "N",
        "length",
        "norm",
        misleading=(),
    ),
    wrong(standard("return (z - z.amin(dim=0)) / (z.amax(dim=0) - z.amin(dim=0) + eps)"), *CENTRE, *SCALE),
    wrong(
        standard("return (z - z.median(dim=0).values) / torch.sqrt(z.var(dim=0, correction=0) + eps)"),
        "median",
        *CENTRE,
    ),
    wrong(standard("z -= z.mean(dim=0)\nz /= torch.sqrt((z**2).mean(dim=0) + eps)\nreturn z"), *IN_PLACE),
    wrong(
        standard(
            """
            mean, variance = z.mean(dim=0).detach(), z.var(dim=0, correction=0).detach()
            return (z - mean) / torch.sqrt(variance + eps)
            """
        ),
        *CUT,
    ),
    wrong(edited(STANDARD, ("z.mean(dim=0)\n", "z.float().mean(dim=0)\n")), *FLOAT32),
    wrong(
        edited(
            STANDARD,
            ("torch.sqrt(variance + eps)", "torch.sqrt(variance + eps)[:, None]"),
            ("return (z - mean)", "return (z - mean).T"),
        ),
        "transpos",
        "shape",
    ),
    wrong(
        edited(STANDARD, ("((z - mean) ** 2).mean(dim=0)", "(z - mean).abs().mean(dim=0) ** 2")),
        "absolute",
        "square",
        "variance",
    ),
    wrong(edited(STANDARD, ("/ torch.sqrt", "* torch.sqrt")), "divid", "multipl", *SCALE),
    wrong(edited(STANDARD, ("z - mean) /", "mean - z) /")), "sign", "minus", "-1", misleading=()),
]
RIGHT += [
    right(STANDARD),
    right(standard("return (z - z.mean(0)) * torch.rsqrt(z.var(0, unbiased=False) + eps)")),
    right(standard("return F.batch_norm(z, None, None, training=True, eps=eps)")),
    right(standard("return F.layer_norm(z.T, (z.shape[0],), eps=eps).T")),
    right(standard("return torch.stack([(c - c.mean()) / (c.var(correction=0) + eps) ** 0.5 for c in z.T], dim=1)")),
    right(
        standard(
            """
            n = len(z)
            mu = z.sum(0) / n
            variance = (z - mu).pow(2).sum(0) / n
            return (z - mu).div((variance + eps).sqrt())
            """
        )
    ),
    right(
        standard(
            """
            out = torch.empty_like(z)
            n, d = z.shape
            for i in range(d):
                mu = 0
                for b in range(n):
                    mu = mu + z[b, i] / n
                var = 0
                for b in range(n):
                    var = var + (z[b, i] - mu) ** 2 / n
                out[:, i] = (z[:, i] - mu) / torch.sqrt(var + eps)
            return out
            """
        )
    ),
    right(
        standard(
            """
            variance, mean = torch.var_mean(z, dim=0, correction=0, keepdim=True)
            return (z - mean) / (variance + eps).sqrt()
            """
        )
    ),
]

# --- cross_correlation_loop -----------------------------------------------------------------------------------------


def loop(body: str) -> str:
    return function("cross_correlation_loop(z_a, z_b, eps=1e-5)", body)


LOOP = loop(
    """
    a, b = standardize(z_a, eps), standardize(z_b, eps)
    n, d = z_a.shape
    c = torch.zeros(d, d, dtype=z_a.dtype)
    for i in range(d):
        for j in range(d):
            for k in range(n):
                c[i, j] += a[k, i] * b[k, j]
    return c / n
    """
)

WRONG += [
    wrong(edited(LOOP, ("c[i, j] += ", "c[i, j] = ")), "+=", "last", "add", "sum", "overwrit"),
    wrong(edited(LOOP, ("return c / n", "return c")), "divid", "N", "mean", misleading=()),
    wrong(edited(LOOP, ("return c / n", "return c / (n - 1)")), *UNBIASED, misleading=()),
    wrong(edited(LOOP, ("return c / n", "return c / d")), "divid", "N", "D", misleading=()),
    wrong(edited(LOOP, ("c[i, j] +=", "c[j, i] +=")), "transpos"),
    wrong(edited(LOOP, ("a[k, i] * b[k, j]", "b[k, i] * a[k, j]")), "transpos", "swap"),
    wrong(edited(LOOP, ("standardize(z_a, eps), standardize(z_b, eps)", "z_a, z_b")), *CENTRE, *SCALE),
    wrong(
        edited(LOOP, ("standardize(z_a, eps), standardize(z_b, eps)", "z_a - z_a.mean(dim=0), z_b - z_b.mean(dim=0)")),
        *SCALE,
    ),
    wrong(
        edited(
            LOOP, ("standardize(z_a, eps), standardize(z_b, eps)", "F.normalize(z_a, dim=1), F.normalize(z_b, dim=1)")
        ),
        "standardi",
        *CENTRE,
    ),
    wrong(
        edited(
            LOOP,
            ("standardize(z_a, eps), standardize(z_b, eps)", "F.normalize(z_a, dim=0), F.normalize(z_b, dim=0)"),
            ("c / n", "c"),
        ),
        *CENTRE,
    ),
    wrong(edited(LOOP, ("standardize(z_b, eps)", "z_b")), "z_b", "view B", "both", *SCALE),
    wrong(edited(LOOP, ("standardize(z_b, eps)", "standardize(z_a, eps)")), *ONE_VIEW),
    wrong(edited(LOOP, ("a[k, i] * b[k, j]", "a[k, i] * a[k, j]")), *ONE_VIEW),
    wrong(edited(LOOP, ("standardize(z_a, eps), standardize(z_b, eps)", "standardize(z_a), standardize(z_b)")), "eps"),
    wrong(
        edited(LOOP, ("for k in range(n)", "for k in range(n - 1)")), "last", "range", "left out", "sample", "missing"
    ),
    wrong(
        edited(LOOP, ("for k in range(n)", "for k in range(1, n)")), "first", "range", "left out", "sample", "missing"
    ),
    wrong(
        edited(LOOP, ("for i in range(d)", "for i in range(d - 1)")),
        "last",
        "range",
        "left out",
        "zero",
        "row",
        "missing",
    ),
    wrong(
        edited(LOOP, ("for j in range(d)", "for j in range(i, d)")),
        "lower",
        "triangle",
        "zero",
        "range",
        "symmetr",
        "half",
        "left out",
    ),
    wrong(
        edited(LOOP, ("for j in range(d)", "for j in range(i + 1)")),
        "upper",
        "triangle",
        "zero",
        "range",
        "symmetr",
        "half",
        "left out",
    ),
    wrong(edited(LOOP, ("for j in range(d)", "for j in [i]")), "diagonal", "zero", "off", "other dimensions"),
    wrong(
        edited(LOOP, ("            for k", "            if i == j:\n                continue\n            for k")),
        "diagonal",
        "zero",
        "i = j",
    ),
    wrong(edited(LOOP, ("    n, d = z_a.shape", "    d, n = z_a.shape")), "shape", "index", "range", "size", "N and D"),
    wrong(
        edited(LOOP, ("a[k, i] * b[k, j]", "a[i, k] * b[j, k]"), ("n, d = z_a.shape", "d, n = z_a.shape")),
        "samples",
        "shape",
        "(N, N)",
        "dimensions",
        "(D, D)",
        "transpos",
    ),
    wrong(edited(LOOP, (", dtype=z_a.dtype", "")), *FLOAT32),
    wrong(edited(LOOP, ("a[k, i] * b[k, j]", "float(a[k, i] * b[k, j])")), *CUT),
    wrong(edited(LOOP, ("    return c / n", "        return c / n")), "return", "first", "zero", "row", "loop"),
    wrong(
        edited(LOOP, ("a[k, i] * b[k, j]", "(a[k, i] - b[k, j]) ** 2")), "product", "multipl", "difference", "distance"
    ),
]
RIGHT += [
    right(LOOP),
    right(
        loop(
            """
            a, b = standardize(z_a, eps), standardize(z_b, eps)
            n, d = a.shape
            rows = []
            for i in range(d):
                row = []
                for j in range(d):
                    total = 0
                    for k in range(n):
                        total = total + a[k, i] * b[k, j]
                    row.append(total / n)
                rows.append(torch.stack(row))
            return torch.stack(rows)
            """
        )
    ),
    right(
        loop(
            """
            a, b = standardize(z_a, eps), standardize(z_b, eps)
            return torch.stack([torch.stack([(x * y).mean() for y in b.T]) for x in a.T])
            """
        )
    ),
    right(
        loop(
            """
            a, b = standardize(z_a, eps), standardize(z_b, eps)
            c = 0
            for x, y in zip(a, b):
                c = c + torch.outer(x, y) / len(a)
            return c
            """
        )
    ),
    right(
        loop(
            """
            a, b = standardize(z_a, eps), standardize(z_b, eps)
            n, d = a.shape
            c = a.new_zeros(d, d)
            for sample in range(n):
                for i in range(d):
                    for j in range(d):
                        c[i, j] = c[i, j] + a[sample, i] * b[sample, j]
            c /= n
            return c
            """
        )
    ),
]

# --- cross_correlation ----------------------------------------------------------------------------------------------


def cross(body: str) -> str:
    return function("cross_correlation(z_a, z_b, eps=1e-5)", body)


CROSS = cross("a, b = standardize(z_a, eps), standardize(z_b, eps)\nreturn a.T @ b / len(z_a)")

WRONG += [
    wrong(
        edited(CROSS, ("a.T @ b / len(z_a)", "a @ b.T / len(z_a)")),
        "samples",
        "shape",
        "transpos",
        "dimensions",
        "(D, D)",
    ),
    wrong(edited(CROSS, ("a.T @ b / len(z_a)", "b.T @ a / len(z_a)")), "transpos", "swap"),
    wrong(edited(CROSS, (" / len(z_a)", "")), "divid", "N", "mean", misleading=()),
    wrong(edited(CROSS, ("len(z_a)", "(len(z_a) - 1)")), *UNBIASED, misleading=()),
    wrong(edited(CROSS, ("len(z_a)", "z_a.shape[1]")), "divid", "N", "D", "len", misleading=()),
    wrong(edited(CROSS, ("standardize(z_a, eps), standardize(z_b, eps)", "z_a, z_b")), *CENTRE, *SCALE),
    wrong(
        edited(CROSS, ("standardize(z_a, eps), standardize(z_b, eps)", "z_a - z_a.mean(dim=0), z_b - z_b.mean(dim=0)")),
        *SCALE,
    ),
    wrong(cross("return F.normalize(z_a, dim=0).T @ F.normalize(z_b, dim=0)"), *CENTRE),
    wrong(cross("return F.normalize(z_a, dim=1).T @ F.normalize(z_b, dim=1) / len(z_a)"), "standardi", *CENTRE),
    wrong(
        edited(
            CROSS,
            ("standardize(z_a, eps), standardize(z_b, eps)", "standardize(z_a.T, eps).T, standardize(z_b.T, eps).T"),
        ),
        *BATCH,
    ),
    wrong(edited(CROSS, ("standardize(z_b, eps)", "standardize(z_a, eps)")), *ONE_VIEW),
    wrong(edited(CROSS, ("standardize(z_a, eps), ", "standardize(z_b, eps), ")), *OTHER_VIEW),
    wrong(edited(CROSS, ("standardize(z_b, eps)", "z_b")), "z_b", "view B", "both", *SCALE),
    wrong(edited(CROSS, ("standardize(z_a, eps), standardize(z_b, eps)", "standardize(z_a), standardize(z_b)")), "eps"),
    wrong(edited(CROSS, ("z_b, eps)", "z_b)")), "eps"),
    wrong(
        cross(
            """
            a, b = z_a - z_a.mean(0), z_b - z_b.mean(0)
            return (a.T @ b / len(a)) / (a.std(0)[:, None] * b.std(0) + eps)
            """
        ),
        *UNBIASED,
        "eps",
        misleading=(),
    ),
    wrong(
        cross(
            """
            a = (z_a - z_a.mean(0)) / torch.sqrt(z_a.var(0) + eps)
            b = (z_b - z_b.mean(0)) / torch.sqrt(z_b.var(0) + eps)
            return a.T @ b / len(a)
            """
        ),
        *UNBIASED,
    ),
    wrong(
        cross(
            """
            a = (z_a - z_a.mean(0)) / (z_a.std(0, correction=0) + eps)
            b = (z_b - z_b.mean(0)) / (z_b.std(0, correction=0) + eps)
            return a.T @ b / len(a)
            """
        ),
        "eps",
        "inside",
        "root",
    ),
    wrong(cross("d = z_a.shape[1]\nreturn torch.corrcoef(torch.cat([z_a, z_b], dim=1).T)[:d, d:]"), "eps"),
    wrong(cross("d = z_a.shape[1]\nreturn torch.cov(torch.cat([z_a, z_b], dim=1).T, correction=0)[:d, d:]"), *SCALE),
    wrong(edited(CROSS, ("a.T @ b / len(z_a)", "(a.T @ b / len(z_a)).abs()")), "sign", "absolute", "negative"),
    wrong(edited(CROSS, ("a.T @ b / len(z_a)", "(a * b).mean(dim=0)")), "shape", "diagonal", "matrix", "(D, D)"),
    wrong(
        edited(CROSS, ("a.T @ b / len(z_a)", "(a.T @ b + b.T @ a) / (2 * len(z_a))")), "symmetr", "transpos", "average"
    ),
    wrong(edited(CROSS, ("a.T @ b / len(z_a)", "F.normalize(a.T @ b / len(z_a), dim=1)")), "normal", "length", "row"),
    wrong(edited(CROSS, ("standardize(z_b, eps)", "standardize(z_b, eps).detach()")), *CUT, "z_b"),
    wrong(edited(CROSS, ("a.T @ b / len(z_a)", "a.float().T @ b.float() / len(z_a)")), *FLOAT32),
    wrong(
        edited(CROSS, ("a.T @ b / len(z_a)", "a.reshape(a.shape[1], a.shape[0]) @ b / len(z_a)")),
        "reshape",
        "transpos",
        "view(",
    ),
]
RIGHT += [
    right(CROSS),
    right(cross("return torch.einsum('bi,bj->ij', standardize(z_a, eps), standardize(z_b, eps)) / z_a.shape[0]")),
    right(cross("return (standardize(z_a, eps)[:, :, None] * standardize(z_b, eps)[:, None, :]).mean(dim=0)")),
    right(
        cross(
            """
            a, b = z_a - z_a.mean(0), z_b - z_b.mean(0)
            va, vb = a.square().mean(0) + eps, b.square().mean(0) + eps
            return a.T @ b / len(a) / torch.outer(va.sqrt(), vb.sqrt())
            """
        )
    ),
    right(
        cross("return sum(torch.outer(x, y) for x, y in zip(standardize(z_a, eps), standardize(z_b, eps))) / len(z_a)")
    ),
    right(
        cross(
            """
            a, b = (F.batch_norm(z, None, None, training=True, eps=eps) for z in (z_a, z_b))
            return torch.matmul(a.t(), b).div(a.size(0))
            """
        )
    ),
    right(
        cross(
            """
            d = z_a.shape[1]
            both = torch.cat([standardize(z_a, eps), standardize(z_b, eps)], 1)
            return torch.cov(both.T, correction=0)[:d, d:]
            """
        )
    ),
]

# --- invariance_term ------------------------------------------------------------------------------------------------


def invariance(body: str) -> str:
    return function("invariance_term(c)", body)


WRONG += [
    wrong(invariance("return (1 - c.diagonal()).square().mean()"), "mean", "sum", "divid", misleading=()),
    wrong(invariance("return (1 - c).square().sum()"), "diagonal"),
    wrong(invariance("return (1 - c.diagonal()).sum()"), "square"),
    wrong(invariance("return (1 - c.diagonal()).abs().sum()"), "square", "absolute"),
    wrong(
        invariance("return (1 - c.diagonal()).sum().square()"), "before", "each", "square of the sum", "order", "first"
    ),
    wrong(invariance("return (1 - c.diagonal().square()).sum()"), "1 -", "inside", "square", "before", "bracket"),
    wrong(invariance("return (1 + c.diagonal()).square().sum()"), "sign", "plus", "minus", "1 -"),
    wrong(invariance("return c.diagonal().square().sum()"), "1 -", "1 ", "target", "identity"),
    wrong(invariance("return (1 - c.diagonal()).square()"), "sum", "shape", "scalar"),
    wrong(invariance("return (1 - c.diagonal()).square().sum().sqrt()"), "root", "norm", "sqrt"),
    wrong(invariance("return (1 - c.diagonal()).norm()"), "root", "norm", "square", "sqrt"),
    wrong(invariance("return 0.5 * (1 - c.diagonal()).square().sum()"), "half", "1/2", "0.5", *FACTOR, misleading=()),
    wrong(invariance("return -(1 - c.diagonal()).square().sum()"), "sign", "minus", "negative", "-1", misleading=()),
    wrong(invariance("return (torch.eye(len(c), dtype=c.dtype) - c).square().sum()"), "diagonal", "off"),
    wrong(invariance("return (1 - c.trace()) ** 2"), "each", "trace", "square of the sum", "before"),
    wrong(
        invariance("total = 0\nfor i in range(len(c)):\n    total = (1 - c[i, i]) ** 2\nreturn total"),
        "last",
        "+=",
        "sum",
        "add",
        "overwrit",
    ),
    wrong(
        invariance("return sum((1 - c[i, i]) ** 2 for i in range(len(c) - 1)) + 0 * c.sum()"),
        "last",
        "range",
        "left out",
        "missing",
    ),
    wrong(invariance("return (1 - c.diagonal(1)).square().sum()"), "offset", "diagonal", "above"),
    wrong(invariance("return (1 - c.diagonal()).square().sum().item()"), *CUT),
    wrong(invariance("c.diagonal().sub_(1)\nreturn c.diagonal().square().sum()"), *IN_PLACE),
    wrong(invariance("return (1 - c.diagonal().float()).square().sum()"), *FLOAT32),
    wrong(invariance("return (1 - c[0]).square().sum()"), "diagonal", "row"),
]
RIGHT += [
    right(invariance("return sum((1 - c[i, i]) ** 2 for i in range(len(c)))")),
    right(
        invariance(
            "total = 0\nfor i in range(c.shape[0]):\n    total = total + (1 - c[i, i]) * (1 - c[i, i])\nreturn total"
        )
    ),
    right(invariance("return torch.einsum('ii->i', c).sub(1).pow(2).sum()")),
    right(invariance("d = len(c)\nreturn d - 2 * torch.trace(c) + (torch.diag(c) ** 2).sum()")),
    right(invariance("eye = torch.eye(len(c), dtype=c.dtype)\nreturn ((c - 1) * eye).square().sum()")),
    right(invariance("return F.mse_loss(torch.diag(c), torch.ones(len(c), dtype=c.dtype), reduction='sum')")),
]

# --- redundancy_term ------------------------------------------------------------------------------------------------


def redundancy(body: str) -> str:
    return function("redundancy_term(c)", body)


REDUNDANCY_LOOP = redundancy(
    """
    total = 0
    for i in range(c.shape[0]):
        for j in range(c.shape[1]):
            if i != j:
                total = total + c[i, j] ** 2
    return total
    """
)

WRONG += [
    wrong(redundancy("return c.square().sum()"), "diagonal"),
    wrong(redundancy("return c.triu(1).square().sum()"), "half", "upper", "triang", "both", "twice", "lower", "i < j"),
    wrong(redundancy("return 2 * c.triu(1).square().sum()"), "symmetr", "upper", "triang", "both", "lower"),
    wrong(redundancy("return 2 * c.tril(-1).square().sum()"), "symmetr", "upper", "triang", "both", "lower"),
    wrong(
        redundancy("d = len(c)\nreturn (c.square().sum() - c.diagonal().square().sum()) / (d * (d - 1))"),
        "mean",
        "sum",
        "divid",
        "nan",
        misleading=(),
    ),
    wrong(
        redundancy("return (c.square().sum() - c.diagonal().square().sum()) / len(c)"),
        "divid",
        "sum",
        "mean",
        "D",
        misleading=(),
    ),
    wrong(redundancy("return (c - torch.diag(c.diagonal())).square().mean()"), "mean", "sum", "divid", misleading=()),
    wrong(redundancy("return c.sum() - c.diagonal().sum()"), "square"),
    wrong(redundancy("return (c - torch.diag(c.diagonal())).abs().sum()"), "square", "absolute"),
    wrong(
        redundancy("return (c.sum() - c.diagonal().sum()) ** 2"),
        "before",
        "each",
        "square of the sum",
        "order",
        "first",
    ),
    wrong(redundancy("return (c.square().sum() - c.diagonal().square().sum()).sqrt()"), "root", "norm", "sqrt"),
    wrong(redundancy("return c.square().sum() - c.diagonal().sum()"), "diagonal", "square"),
    wrong(redundancy("return c.square().sum() - c.diagonal().sum() ** 2"), "diagonal", "square", "each", "trace"),
    wrong(redundancy("return c.square().sum() - len(c)"), "diagonal", "D", "1", "identity"),
    wrong(redundancy("return (c - torch.eye(len(c), dtype=c.dtype)).square().sum()"), "diagonal", "identity", "eye"),
    wrong(redundancy("return c.diagonal().square().sum()"), "diagonal", "off"),
    wrong(redundancy("return c.square().sum() + c.diagonal().square().sum()"), "diagonal", "sign", "twice", "subtract"),
    wrong(redundancy("return (c - torch.diag(c.diagonal())).square()"), "sum", "shape", "scalar"),
    wrong(redundancy("c.fill_diagonal_(0)\nreturn c.square().sum()"), *IN_PLACE),
    wrong(redundancy("return (c.square().sum() - c.diagonal().square().sum()).detach()"), *CUT),
    wrong(edited(REDUNDANCY_LOOP, ("total = total + ", "total = ")), "last", "+=", "sum", "add", "overwrit"),
    wrong(
        edited(REDUNDANCY_LOOP, ("range(c.shape[1])", "range(c.shape[1] - 1)")), "last", "range", "left out", "missing"
    ),
    wrong(
        edited(REDUNDANCY_LOOP, ("range(c.shape[0])", "range(1, c.shape[0])")), "first", "range", "left out", "missing"
    ),
    wrong(edited(REDUNDANCY_LOOP, ("total = total + c[i, j] ** 2", "total = total + c[i, j].item() ** 2")), *CUT),
    wrong(redundancy("return c.flatten()[1:].square().sum() - c[-1, -1] ** 2"), "diagonal"),
]
RIGHT += [
    right(REDUNDANCY_LOOP),
    right(redundancy("return c[~torch.eye(len(c), dtype=torch.bool)].pow(2).sum()")),
    right(redundancy("return c.triu(1).square().sum() + c.tril(-1).square().sum()")),
    right(redundancy("off = c * (1 - torch.eye(len(c), dtype=c.dtype))\nreturn torch.einsum('ij,ij->', off, off)")),
    right(redundancy("off = c.clone()\noff.fill_diagonal_(0)\nreturn (off**2).sum()")),
    right(
        redundancy(
            "n = len(c)\nreturn c.flatten()[:-1].view(n - 1, n + 1)[:, 1:].square().sum() if n > 1 else 0 * c.sum()"
        )
    ),
    right(redundancy("return torch.trace(c.T @ c) - (torch.diag(c) ** 2).sum()")),
    right(redundancy("return sum(c[i, j] ** 2 for i in range(len(c)) for j in range(len(c)) if i != j)")),
]

# --- barlow_twins ---------------------------------------------------------------------------------------------------


def twins(body: str) -> str:
    return function("barlow_twins(z_a, z_b, lambd=5e-3)", body)


TWINS = twins(
    """
    c = cross_correlation(z_a, z_b)
    invariance = (1 - c.diagonal()).square().sum()
    redundancy = c.square().sum() - c.diagonal().square().sum()
    return invariance + lambd * redundancy, invariance, redundancy
    """
)
RESULT = "invariance + lambd * redundancy, invariance, redundancy"

WRONG += [
    wrong(edited(TWINS, ("lambd * redundancy, inv", "redundancy, inv")), "lambd"),
    wrong(
        edited(TWINS, (RESULT, "invariance + lambd * redundancy, invariance, lambd * redundancy")),
        "lambd",
        "weight",
        "redundancy",
    ),
    wrong(edited(TWINS, (RESULT, "invariance + 5e-3 * redundancy, invariance, redundancy")), "lambd", "0.005", "5e-3"),
    wrong(edited(TWINS, (RESULT, "lambd * invariance + redundancy, invariance, redundancy")), "lambd", "weight"),
    wrong(
        edited(TWINS, (RESULT, "invariance - lambd * redundancy, invariance, redundancy")),
        "subtract",
        "sign",
        "minus",
        "plus",
        "added",
    ),
    wrong(
        edited(TWINS, (RESULT, "(1 - lambd) * invariance + lambd * redundancy, invariance, redundancy")),
        "lambd",
        "weight",
        "total",
        "invariance",
    ),
    wrong(edited(TWINS, (RESULT, "invariance + lambd * redundancy, redundancy, invariance")), *ORDER),
    wrong(edited(TWINS, (RESULT, "invariance, redundancy, invariance + lambd * redundancy")), *ORDER),
    wrong(edited(TWINS, (RESULT, "invariance + lambd * redundancy")), *WHOLE),
    wrong(edited(TWINS, (RESULT, "invariance + lambd * redundancy, invariance")), *WHOLE, "two"),
    wrong(
        edited(TWINS, ("square().sum()\n    redundancy", "square().mean()\n    redundancy")),
        "invariance",
        "mean",
        "sum",
        misleading=(),
    ),
    wrong(
        edited(TWINS, ("redundancy = c.square().sum() - c.diagonal().square().sum()", "redundancy = c.square().sum()")),
        "diagonal",
    ),
    wrong(
        edited(
            TWINS,
            ("redundancy = c.square().sum() - c.diagonal().square().sum()", "redundancy = c.triu(1).square().sum()"),
        ),
        "upper",
        "triang",
        "half",
        "both",
        "lower",
    ),
    wrong(
        edited(
            TWINS,
            (
                "redundancy = c.square().sum() - c.diagonal().square().sum()",
                "redundancy = (c.square().sum() - c.diagonal().square().sum()) / len(c)",
            ),
        ),
        "redundancy",
        "divid",
        "sum",
        "mean",
        "D",
        misleading=(),
    ),
    wrong(edited(TWINS, ("(1 - c.diagonal())", "c.diagonal()")), "invariance", "1 -"),
    wrong(edited(TWINS, ("cross_correlation(z_a, z_b)", "cross_correlation(z_a, z_a)")), *ONE_VIEW),
    wrong(edited(TWINS, ("cross_correlation(z_a, z_b)", "z_a.T @ z_b / len(z_a)")), *CENTRE, *SCALE),
    wrong(
        edited(TWINS, ("cross_correlation(z_a, z_b)", "(z_a - z_a.mean(0)).T @ (z_b - z_b.mean(0)) / len(z_a)")), *SCALE
    ),
    wrong(
        edited(TWINS, ("cross_correlation(z_a, z_b)", "F.normalize(z_a, dim=1).T @ F.normalize(z_b, dim=1)")),
        *CENTRE,
        "standardi",
    ),
    wrong(
        edited(TWINS, ("cross_correlation(z_a, z_b)", "F.normalize(z_a, dim=0).T @ F.normalize(z_b, dim=0)")), *CENTRE
    ),
    wrong(
        edited(TWINS, ("cross_correlation(z_a, z_b)", "cross_correlation(z_a.T, z_b.T)")), "samples", "transpos", *BATCH
    ),
    wrong(edited(TWINS, ("cross_correlation(z_a, z_b)", "cross_correlation(z_a, z_b, 0.0)")), "eps"),
    wrong(
        edited(TWINS, ("cross_correlation(z_a, z_b)", "cross_correlation(z_a, z_b) * len(z_a) / (len(z_a) - 1)")),
        *UNBIASED,
    ),
    wrong(edited(TWINS, ("cross_correlation(z_a, z_b)", "cross_correlation(z_a, z_b.detach())")), *CUT, "z_b"),
    wrong(edited(TWINS, ("    c = ", "    with torch.no_grad():\n        c = ")), *CUT),
    wrong(
        edited(TWINS, (RESULT, "(invariance + lambd * redundancy) / len(c), invariance, redundancy")),
        "total",
        "divid",
        *FACTOR,
        misleading=(),
    ),
    wrong(edited(TWINS, (RESULT, "invariance + lambd**2 * redundancy, invariance, redundancy")), "lambd", "square"),
    wrong(
        edited(TWINS, (RESULT, "(invariance + lambd * redundancy).item(), invariance.item(), redundancy.item()")), *CUT
    ),
    wrong(edited(TWINS, ("cross_correlation(z_a, z_b)", "cross_correlation(z_a.float(), z_b.float())")), *FLOAT32),
]
RIGHT += [
    right(TWINS),
    right(twins("return losses.barlow_twins(z_a, z_b, lambd)")),
    right(
        twins(
            """
            c = cross_correlation(z_a, z_b)
            on, off = invariance_term(c), redundancy_term(c)
            return [on + lambd * off, on, off]
            """
        )
    ),
    right(
        twins(
            """
            c = standardize(z_a).T @ standardize(z_b) / len(z_a)
            gap = (c - torch.eye(len(c), dtype=c.dtype)).square()
            on = gap.trace()
            off = gap.sum() - on
            return on + lambd * off, on, off
            """
        )
    ),
    right(
        twins(
            """
            c = cross_correlation(z_a, z_b)
            on = off = 0
            for i in range(len(c)):
                for j in range(len(c)):
                    if i == j:
                        on = on + (1 - c[i, j]) ** 2
                    else:
                        off = off + c[i, j] ** 2
            return on + lambd * off, on, off + 0 * on
            """
        )
    ),
    right(
        twins(
            """
            a, b = (F.batch_norm(z, None, None, training=True) for z in (z_a, z_b))
            c = torch.einsum('bi,bj->ij', a, b) / len(a)
            eye = torch.eye(c.shape[0]).bool()
            inv, red = (c[eye] - 1).pow(2).sum(), c[~eye].pow(2).sum()
            return inv + lambd * red, inv, red
            """
        )
    ),
]

# --- barlow_twins_gradient ------------------------------------------------------------------------------------------


def gradient(body: str) -> str:
    return function("barlow_twins_gradient(z_a, z_b, lambd=5e-3)", body)


GRADIENT = gradient(
    """
    n, d = z_a.shape
    a, b = standardize(z_a, 0.0), standardize(z_b, 0.0)
    c = a.T @ b / n
    eye = torch.eye(d, dtype=c.dtype)
    g_c = 2 * lambd * c * (1 - eye) - 2 * (1 - c) * eye
    g = b @ g_c.T / n
    along = (a * g).mean(dim=0)
    return (g - g.mean(dim=0) - a * along) / z_a.std(dim=0, correction=0)
    """
)
PROJECTED = ("projec", "scale", "a * ", "direction", "second identity", "standardis", "third term", "last term")
NOTE = "the statement asks for the closed form, without automatic differentiation"

WRONG += [
    wrong(edited(GRADIENT, ("b @ g_c.T / n", "b @ g_c.T")), "N", "1/N", "divid", misleading=()),
    wrong(edited(GRADIENT, ("b @ g_c.T / n", "b @ g_c / n")), "transpos", "G^T", ".T"),
    wrong(
        edited(GRADIENT, ("b @ g_c.T / n", "a @ g_c.T / n")),
        "z_b",
        "view B",
        "other view",
        "Z_B",
        misleading=(*RATIO, "invariance part"),
    ),
    wrong(edited(GRADIENT, ("- a * along", "")), *PROJECTED),
    wrong(edited(GRADIENT, ("- a * along", "+ a * along")), "sign", *PROJECTED),
    wrong(edited(GRADIENT, ("- a * along", "- along")), *PROJECTED, misleading=(*RATIO, "views centred")),
    wrong(edited(GRADIENT, ("- a * along", "- b * along")), "z_a", "view A", *PROJECTED),
    wrong(edited(GRADIENT, ("(a * g).mean(dim=0)", "(a * g).sum(dim=0)")), "mean", "1/N", "divid", *PROJECTED),
    wrong(edited(GRADIENT, ("(a * g).mean(dim=0)", "(a * g).mean(dim=1, keepdim=True)")), *BATCH),
    wrong(edited(GRADIENT, ("(a * g).mean(dim=0)", "(b * g).mean(dim=0)")), "z_a", "view A", *PROJECTED),
    wrong(edited(GRADIENT, ("- 2 * (1 - c) * eye", "+ 2 * (1 - c) * eye")), "sign", "minus", "diagonal"),
    wrong(edited(GRADIENT, ("2 * lambd * c * (1 - eye)", "2 * c * (1 - eye)")), "lambd"),
    wrong(edited(GRADIENT, ("2 * lambd * c * (1 - eye)", "2 * 5e-3 * c * (1 - eye)")), "lambd", "0.005", "5e-3"),
    wrong(edited(GRADIENT, ("2 * lambd * c * (1 - eye)", "2 * lambd * c")), "diagonal"),
    wrong(edited(GRADIENT, ("2 * lambd * c * (1 - eye)", "lambd * c * (1 - eye)")), "G =", "factor", "2", "off"),
    wrong(
        edited(GRADIENT, ("2 * lambd * c * (1 - eye) - 2 * (1", "lambd * c * (1 - eye) - (1")),
        "2",
        *FACTOR,
        misleading=(),
    ),
    wrong(edited(GRADIENT, ("- 2 * (1 - c) * eye", "- 2 * (1 - c)")), "G =", "diagonal"),
    wrong(edited(GRADIENT, (" - 2 * (1 - c) * eye", "")), "invariance", "diagonal"),
    wrong(edited(GRADIENT, (" / z_a.std(dim=0, correction=0)", "")), "sigma", "std", "deviation", "divid", "scale"),
    wrong(edited(GRADIENT, ("z_a.std(dim=0, correction=0)", "z_a.std(dim=0)")), *UNBIASED, misleading=()),
    wrong(
        edited(GRADIENT, ("z_a.std(dim=0, correction=0)", "z_a.var(dim=0, correction=0)")),
        "root",
        "variance",
        "std",
        "sigma",
    ),
    wrong(
        edited(GRADIENT, ("z_a.std(dim=0, correction=0)", "z_b.std(dim=0, correction=0)")),
        "sigma",
        "z_a",
        "z_b",
        "view",
    ),
    wrong(edited(GRADIENT, ("z_a.std(dim=0, correction=0)", "z_a.std(dim=1, correction=0, keepdim=True)")), *BATCH),
    wrong(
        edited(GRADIENT, ("/ z_a.std(dim=0, correction=0)", "* z_a.std(dim=0, correction=0)")),
        "divid",
        "sigma",
        "scale",
    ),
    wrong(
        edited(
            GRADIENT, ("standardize(z_a, 0.0), standardize(z_b, 0.0)", "z_a - z_a.mean(dim=0), z_b - z_b.mean(dim=0)")
        ),
        *SCALE,
    ),
    wrong(
        edited(GRADIENT, ("standardize(z_a, 0.0), standardize(z_b, 0.0)", "standardize(z_a), standardize(z_b)")), "eps"
    ),
    wrong(
        edited(
            GRADIENT,
            ("return (", "return -("),
        ),
        "sign",
        "minus",
        "negative",
        "-1",
        misleading=(),
    ),
    wrong(edited(GRADIENT, ("    n, d", "    z_a, z_b = z_b, z_a\n    n, d")), "z_a", "z_b", "swap", "other view"),
    wrong(
        edited(GRADIENT, ("standardize(z_b, 0.0)", "standardize(z_a, 0.0)")),
        *ONE_VIEW,
        misleading=(*RATIO, "invariance part"),
    ),
    wrong(edited(GRADIENT, ("- g.mean(dim=0) -", "- g.mean(dim=1, keepdim=True) -")), *BATCH),
    wrong(edited(GRADIENT, ("c = a.T @ b / n", "c = a.T @ b / (n - 1)")), "G =", *UNBIASED),
    wrong(edited(GRADIENT, ("    n, d", "    z_a, z_b = z_a.float(), z_b.float()\n    n, d")), *FLOAT32),
    wrong(
        gradient(
            """
            z = z_a.detach().clone().requires_grad_()
            return torch.autograd.grad(losses.barlow_twins(z, z_b, lambd, eps=0.0).total, z)[0]
            """
        ),
        "autograd",
        "automatic",
        "closed form",
        "backward",
        note=NOTE,
    ),
    wrong(
        gradient(
            """
            z = z_a.detach().clone().requires_grad_()
            c = cross_correlation(z, z_b.detach(), 0.0)
            (invariance_term(c) + lambd * redundancy_term(c)).backward()
            return z.grad
            """
        ),
        "autograd",
        "automatic",
        "closed form",
        "backward",
        note=NOTE,
    ),
]
RIGHT += [
    right(GRADIENT),
    right(edited(GRADIENT, ("- g.mean(dim=0) ", ""))),
    right(
        gradient(
            """
            a, b = standardize(z_a, 0.0), standardize(z_b, 0.0)
            n = len(a)
            c = torch.einsum('bi,bj->ij', a, b) / n
            g_c = 2 * lambd * c
            g_c.diagonal().copy_(2 * (c.diagonal() - 1))
            g = torch.einsum('bj,ij->bi', b, g_c) / n
            return (g - g.mean(0) - a * torch.einsum('bi,bi->i', a, g) / n) / z_a.var(0, correction=0).sqrt()
            """
        )
    ),
    right(
        gradient(
            """
            n, d = z_a.shape
            a, b = standardize(z_a, 0.0), standardize(z_b, 0.0)
            c = a.T @ b / n
            out = torch.zeros_like(z_a)
            for i in range(d):
                g = torch.zeros(n, dtype=z_a.dtype)
                for j in range(d):
                    weight = -2 * (1 - c[i, i]) if i == j else 2 * lambd * c[i, j]
                    g = g + weight * b[:, j] / n
                out[:, i] = (g - g.mean() - a[:, i] * (a[:, i] * g).mean()) / z_a[:, i].std(correction=0)
            return out
            """
        )
    ),
    right(
        gradient(
            """
            sigma = z_a.std(dim=0, unbiased=False)
            a, b = (z_a - z_a.mean(0)) / sigma, (z_b - z_b.mean(0)) / z_b.std(dim=0, unbiased=False)
            c = a.T @ b / len(a)
            m = torch.where(torch.eye(len(c)).bool(), 2 * (c - 1), 2 * lambd * c)
            g = b @ m.T / len(a)
            h = torch.eye(len(a), dtype=a.dtype) - 1 / len(a)
            return (h @ g - a * (a * g).mean(0)) / sigma
            """
        )
    ),
]

# --- on what they are compared ---------------------------------------------------------------------------------------


def leaf(generator: Generator, *shape: int) -> Tensor:
    """Shifted and stretched a little, so that centring and scaling show."""
    return (torch.randn(*shape, generator=generator, dtype=torch.float64) * 1.3 + 0.4).requires_grad_()


def batches(generator: Generator) -> list[tuple[Any, ...]]:
    return [(leaf(generator, 6, 3),), (leaf(generator, 4, 5), 0.3), (leaf(generator, 5, 4), 1e-2)]


def views(generator: Generator) -> list[tuple[Any, ...]]:
    return [(leaf(generator, n, d), leaf(generator, n, d), *rest) for n, d, *rest in ((6, 3), (4, 5, 0.3), (5, 4, 0.1))]


def plain_views(generator: Generator) -> list[tuple[Any, ...]]:
    return [tuple(a.detach() if isinstance(a, Tensor) else a for a in case) for case in views(generator)]


def matrices(generator: Generator) -> list[tuple[Any, ...]]:
    return [(leaf(generator, d, d),) for d in (4, 3, 1)]


INPUTS = {
    "standardize": batches,
    "cross_correlation_loop": views,
    "cross_correlation": views,
    "invariance_term": matrices,
    "redundancy_term": matrices,
    "barlow_twins": views,
    "barlow_twins_gradient": plain_views,
}
