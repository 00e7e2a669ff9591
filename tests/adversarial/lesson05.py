"""Answers to the exercises of lesson 05: numbers for collapse, a rule that names it, and two pieces of its theory."""

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

LENGTH = ("length", "normal", "unit", "direction")
CENTRE = ("centr", "mean")
UNBIASED = ("N - 1", "N-1", "divides by N", "unbiased", "biased", "correction")
AXIS = ("dim=", "axis", "each row", "rows", "column", "over the batch")
SHAPE = ("shape", "(D", "scalar", "one number")
SQUARE = ("square", "power", "root", "lambda")

# --- directional_spread ---------------------------------------------------------------------------------------------


def spread(body: str) -> str:
    return function("directional_spread(z)", body)


SPREAD = spread("u = z / z.norm(dim=1, keepdim=True)\nreturn ((u - u.mean(dim=0)) ** 2).mean(dim=0).sum()")

WRONG += [
    wrong(spread("u = z / z.norm(dim=1, keepdim=True)\nreturn u.var(dim=0).sum()"), *UNBIASED, misleading=("length", "centr")),
    wrong(edited(SPREAD, (".mean(dim=0).sum()", ".sum() / (len(z) - 1)")), *UNBIASED, misleading=("length", "centr")),
    wrong(spread("return z.var(dim=0, correction=0).sum()"), *LENGTH),
    wrong(edited(SPREAD, ("dim=1, keepdim=True", "dim=0")), *LENGTH, *AXIS),
    wrong(edited(SPREAD, ("z.norm(dim=1, keepdim=True)", "z.norm()")), *LENGTH, "each row"),
    wrong(spread("u = F.normalize(z, dim=0)\nreturn u.var(dim=0, correction=0).sum()"), *LENGTH, *AXIS),
    wrong(edited(SPREAD, ("z.norm(dim=1, keepdim=True)", "z.norm(dim=1, keepdim=True).mean()")), *LENGTH, "each row", "own"),
    wrong(edited(SPREAD, ("z.norm(dim=1, keepdim=True)", "z.norm(dim=1, keepdim=True) ** 2")), "square", *LENGTH),
    wrong(edited(SPREAD, ("z.norm(dim=1, keepdim=True)", "z.abs().sum(dim=1, keepdim=True)")), *LENGTH, "norm"),
    wrong(edited(SPREAD, ("z.norm(dim=1, keepdim=True)", "z.abs().amax(dim=1, keepdim=True)")), *LENGTH, "norm"),
    wrong(edited(SPREAD, (".mean(dim=0).sum()", ".mean()")), "sum", "dimension", "mean over", "D", misleading=("centr", "N - 1")),
    wrong(edited(SPREAD, (".mean(dim=0).sum()", ".sum()")), "divi", "mean", "N", misleading=("centr", "length")),
    wrong(edited(SPREAD, (".mean(dim=0).sum()", ".mean(dim=0)")), *SHAPE, "sum"),
    wrong(edited(SPREAD, (".mean(dim=0).sum()", ".mean(dim=0).max()")), "max", "sum", "all dimensions"),
    wrong(edited(SPREAD, (".mean(dim=0).sum()", ".mean(dim=0).sqrt().sum()")), "root", "variance", "std", "standard"),
    wrong(edited(SPREAD, (".mean(dim=0).sum()", ".mean(dim=0).sum().sqrt()")), "root", "variance", "std", "standard"),
    wrong(spread("u = z / z.norm(dim=1, keepdim=True)\nreturn z.shape[1] ** 0.5 * u.std(dim=0).mean()"), "std", "standard", "root", "variance", "normalised std"),
    wrong(edited(SPREAD, ("u.mean(dim=0)", "u.mean(dim=1, keepdim=True)")), *CENTRE, *AXIS),
    wrong(edited(SPREAD, ("u.mean(dim=0)", "u.mean()")), *CENTRE, "each"),
    wrong(edited(SPREAD, ("(u - u.mean(dim=0))", "u")), *CENTRE),
    wrong(edited(SPREAD, ("u.mean(dim=0)", "z.mean(dim=0)")), "mean", "direction", "centr"),
    wrong(edited(SPREAD, ("    u = ", "    z = z - z.mean(dim=0)\n    u = ")), *CENTRE, "offset", "before"),
    wrong(spread("c = z - z.mean(dim=0)\nu = c / z.norm(dim=1, keepdim=True)\nreturn (u ** 2).sum() / len(z)"), *CENTRE, "order", "before", "first"),
    wrong(edited(SPREAD, (") ** 2)", ").abs())")), "square", "abs", "variance"),
    wrong(spread("u = z / z.norm(dim=1, keepdim=True)\nreturn 1 - u.mean(dim=0).norm()"), "square", "mean direction", "|"),
    wrong(spread("u = z / z.norm(dim=1, keepdim=True)\nreturn u.mean(dim=0).square().sum()"), "1 -", "variance", "mean direction", "centr"),
    wrong(spread("u = z / z.norm(dim=1, keepdim=True)\nreturn torch.cdist(u, u).square().mean() + 0 * u.sum()"), "half", "twice", "2", *FACTOR, misleading=()),
    wrong(spread("u = z / z.norm(dim=1, keepdim=True)\nreturn F.pdist(u).square().mean() / 2"), *UNBIASED, "pair", "itself", misleading=("length",)),
    wrong(spread("return z.norm(dim=1).var(correction=0)"), *LENGTH),
    wrong(edited(SPREAD, ("return (", "return -(")), "sign", "minus", "negative", "-1", misleading=()),
    wrong(edited(SPREAD, ("u = z", "z = z.float()\n    u = z")), *FLOAT32),
    wrong(spread("z /= z.norm(dim=1, keepdim=True)\nreturn z.var(dim=0, correction=0).sum()"), *IN_PLACE),
    wrong(edited(SPREAD, ("    u = z", "    z = z.detach()\n    u = z")), *CUT, misleading=("axis", "centr", *RATIO)),
    wrong(edited(SPREAD, (".sum()", ".sum().item()")), *CUT, "float", misleading=("axis", "centr", *RATIO)),
]

RIGHT += [
    right(SPREAD),
    right(spread("u = F.normalize(z, dim=1)\nreturn 1 - (u.mean(dim=0) ** 2).sum()")),
    right(spread("u = z / (z * z).sum(1, keepdim=True).sqrt()\nreturn u.var(dim=0, unbiased=False).sum()")),
    right(
        spread(
            """
            n, d = z.shape
            rows = [z[b] / torch.sqrt(torch.sum(z[b] ** 2)) for b in range(n)]
            mean = sum(rows) / n
            total = 0
            for row in rows:
                for j in range(d):
                    total = total + (row[j] - mean[j]) ** 2 / n
            return total
            """
        )
    ),
    right(spread("u = z / z.norm(dim=1, keepdim=True)\nreturn 1 - (u @ u.T).mean()")),
    right(spread("u = torch.einsum('bj,b->bj', z, 1 / z.norm(dim=1))\nreturn torch.trace(torch.cov(u.T, correction=0).reshape(z.shape[1], -1))")),
]

# --- participation_ratio_loop ---------------------------------------------------------------------------------------


def loop(body: str) -> str:
    return function("participation_ratio_loop(z)", body)


LOOP = loop(
    """
    top = 0
    bottom = 0
    for a in range(len(z)):
        top = top + torch.sum(z[a] ** 2)
        for b in range(len(z)):
            bottom = bottom + torch.dot(z[a], z[b]) ** 2
    return top ** 2 / bottom
    """
)
PAIRS = ("pair", "all", "itself", "b = b'", "every", "both")

WRONG += [
    wrong(edited(LOOP, ("            bottom =", "            if a != b:\n                bottom =")).replace(" bottom + torch", " bottom + torch"), *PAIRS, "own", "diagonal"),
    wrong(edited(LOOP, ("for b in range(len(z))", "for b in range(a)")), *PAIRS, "half", "once"),
    wrong(edited(LOOP, ("for b in range(len(z))", "for b in range(a, len(z))")), *PAIRS, "half", "once"),
    wrong(edited(LOOP, ("for b in range(len(z))", "for b in range(len(z) - 1)")), *PAIRS, "last", "range"),
    wrong(edited(LOOP, ("for a in range(len(z))", "for a in range(len(z) - 1)")), *PAIRS, "last", "range"),
    wrong(edited(LOOP, ("for a in range(len(z))", "for a in range(1, len(z))")), *PAIRS, "first", "range"),
    wrong(edited(LOOP, ("for b in range(len(z))", "for b in [a]")), *PAIRS, "double", "second loop", "other"),
    wrong(edited(LOOP, ("torch.dot(z[a], z[b]) ** 2", "torch.dot(z[a], z[b])")), "square", "product"),
    wrong(edited(LOOP, ("torch.dot(z[a], z[b]) ** 2", "torch.dot(z[a], z[b]).abs()")), "square", "abs", "product"),
    wrong(edited(LOOP, ("torch.dot(z[a], z[b]) ** 2", "torch.dot(z[a], z[b]) ** 4")), "square", "power", "fourth"),
    wrong(edited(LOOP, ("torch.dot(z[a], z[b]) ** 2", "(z[a] * z[b]).square().sum()")), "square", "before", "product", "sum", "dot"),
    wrong(edited(LOOP, ("torch.dot(z[a], z[b]) ** 2", "torch.sum((z[a] - z[b]) ** 2)")), "product", "distance", "differen", "dot"),
    wrong(edited(LOOP, ("top ** 2 / bottom", "top / bottom")), "square", "numerator"),
    wrong(edited(LOOP, ("top ** 2 / bottom", "bottom / top ** 2")), "upside", "revers", "invert", "numerator", "1 /", "reciprocal", "swap"),
    wrong(edited(LOOP, ("top ** 2 / bottom", "top ** 2 / bottom ** 2")), "denominator", "square", "power"),
    wrong(edited(LOOP, ("top ** 2 / bottom", "(top ** 2 / bottom) ** 0.5")), "root", "square"),
    wrong(edited(LOOP, ("top ** 2 / bottom", "top ** 2 / bottom / len(z)")), "divi", "N", misleading=("square",)),
    wrong(edited(LOOP, ("top ** 2 / bottom", "top, bottom")), "ratio", "tuple", "one number", "divi", "outputs", "scalar"),
    wrong(edited(LOOP, ("torch.sum(z[a] ** 2)", "z[a].norm()")), "square", "length", "norm"),
    wrong(edited(LOOP, ("torch.sum(z[a] ** 2)", "torch.sum(z[a] ** 2) ** 2"), ("top ** 2", "top")), "square", "before", "sum", "numerator", "each"),
    wrong(edited(LOOP, ("torch.sum(z[a] ** 2)", "torch.sum(z[a]) ** 2")), "square", "length", "sum"),
    wrong(edited(LOOP, ("torch.sum(z[a] ** 2)", "torch.mean(z[a] ** 2)")), "mean", "sum", "D", misleading=("centr",)),
    wrong(edited(LOOP, ("    top = 0", "    z = z - z.mean(dim=0)\n    top = 0")), "centr", "mean", "offset"),
    wrong(edited(LOOP, ("    top = 0", "    z = z / z.norm(dim=1, keepdim=True)\n    top = 0")), "length", "normal", "unit"),
    wrong(edited(LOOP, ("    top = 0", "    z = z / z.norm(dim=0)\n    top = 0")), "length", "normal", "unit", "column"),
    wrong(edited(LOOP, ("bottom = bottom + ", "bottom = ")), "last", "add", "sum", "+=", "accumul", "overwr", "pair"),
    wrong(edited(LOOP, ("top = top + ", "top = ")), "last", "add", "sum", "+=", "accumul", "overwr", "numerator"),
    wrong(edited(LOOP, ("        for b", "        bottom = 0\n        for b")), "last", "reset", "start", "sum", "accumul", "pair"),
    wrong(edited(LOOP, ("torch.sum(z[a] ** 2)", "torch.sum(z[a] ** 2).item()")), *CUT, misleading=("centr", *RATIO)),
    wrong(edited(LOOP, ("    top = 0", "    z = z.detach()\n    top = 0")), *CUT, misleading=("centr", *RATIO)),
    wrong(edited(LOOP, ("    top = 0", "    z = z.float()\n    top = 0")), *FLOAT32),
    wrong(edited(LOOP, ("    top = 0", "    z *= 1 / z.norm()\n    top = 0")), *IN_PLACE),
]

RIGHT += [
    right(LOOP),
    # The columns give the same: the traces of Z Z^T and Z^T Z, and of their squares, are equal.
    right(edited(LOOP, ("    top = 0", "    z = z.T\n    top = 0"))),
    right(
        loop(
            """
            n, d = z.shape
            numerator = sum(z[b, j] ** 2 for b in range(n) for j in range(d)) ** 2
            denominator = sum(sum(z[a, j] * z[b, j] for j in range(d)) ** 2 for a in range(n) for b in range(n))
            return numerator / denominator
            """
        )
    ),
    right(
        loop(
            """
            lengths, off = 0, 0
            fourth = 0
            for b in range(len(z)):
                lengths = lengths + z[b].norm() ** 2
                fourth = fourth + z[b].norm() ** 4
                for other in range(b):
                    off = off + (z[b] * z[other]).sum() ** 2
            return lengths ** 2 / (fourth + 2 * off)
            """
        )
    ),
    right(loop("g = z @ z.T\nreturn g.trace() ** 2 / (g ** 2).sum()")),
]

# --- participation_ratio --------------------------------------------------------------------------------------------


def ratio(body: str) -> str:
    return function("participation_ratio(z)", body)


RATIO_OF = ratio("sigma = torch.linalg.svdvals(z)\nlam = sigma ** 2\nreturn lam.sum() ** 2 / (lam ** 2).sum()")

WRONG += [
    wrong(edited(RATIO_OF, ("sigma ** 2", "sigma")), *SQUARE, misleading=("centr",)),
    wrong(edited(RATIO_OF, ("sigma ** 2", "sigma ** 4")), *SQUARE, misleading=("centr",)),
    wrong(edited(RATIO_OF, ("sigma ** 2", "sigma.sqrt()")), *SQUARE, misleading=("centr",)),
    wrong(edited(RATIO_OF, ("lam.sum() ** 2", "lam.sum()")), "square", "numerator"),
    wrong(edited(RATIO_OF, ("(lam ** 2).sum()", "lam.sum()")), "square", "denominator"),
    wrong(edited(RATIO_OF, ("lam.sum() ** 2 / (lam ** 2).sum()", "(lam ** 2).sum() / lam.sum() ** 2")), "upside", "revers", "invert", "reciprocal", "1 /", "numerator", "swap"),
    wrong(edited(RATIO_OF, ("lam.sum() ** 2", "(lam ** 2).sum()"), ("/ (lam ** 2).sum()", "/ (lam ** 2).sum()")), "square", "before", "numerator", "always 1", "constant"),
    wrong(edited(RATIO_OF, ("svdvals(z)", "svdvals(z - z.mean(dim=0))")), "centr", "mean", "offset"),
    wrong(edited(RATIO_OF, ("svdvals(z)", "svdvals(z - z.mean(dim=1, keepdim=True))")), "centr", "mean"),
    wrong(edited(RATIO_OF, ("svdvals(z)", "svdvals(z / z.norm(dim=1, keepdim=True))")), "length", "normal", "unit"),
    wrong(edited(RATIO_OF, ("svdvals(z)", "svdvals(z / z.std(dim=0))")), "standard", "normal", "column", "scale"),
    wrong(ratio("lam = torch.linalg.svdvals(z) ** 2\np = lam / lam.sum()\nreturn torch.special.entr(p).sum().exp()"), "entropy", "square", "exp"),
    wrong(ratio("s = torch.linalg.svdvals(z)\np = s / s.sum()\nreturn torch.special.entr(p).sum().exp()"), "entropy", "rankme", "square"),
    wrong(ratio("lam = torch.linalg.svdvals(z) ** 2\nreturn lam.sum() / lam.max()"), "max", "largest", "square", "sum of"),
    wrong(ratio("return torch.linalg.matrix_rank(z).to(z.dtype) + 0 * z.sum()"), "rank", "smooth", "lambda", "count"),
    wrong(ratio("lam = torch.linalg.eigvalsh(torch.cov(z.T))\nreturn lam.sum() ** 2 / (lam ** 2).sum()"), "centr", "mean", "offset"),
    wrong(ratio("lam = torch.linalg.eigvalsh(z.T @ z) ** 2\nreturn lam.sum() ** 2 / (lam ** 2).sum()"), *SQUARE),
    wrong(edited(RATIO_OF, ("lam.sum() ** 2 / (lam ** 2).sum()", "lam.mean() ** 2 / (lam ** 2).mean()")), "mean", "sum", "number of", "min(N, D)", misleading=()),
    wrong(edited(RATIO_OF, ("lam.sum() ** 2 / (lam ** 2).sum()", "lam.sum() ** 2 / (lam ** 2).sum() / len(lam)")), "divi", "number of", "min(N, D)", "D", misleading=()),
    wrong(edited(RATIO_OF, ("(lam ** 2).sum()", "(lam ** 2).max()")), "max", "sum"),
    wrong(edited(RATIO_OF, ("return lam.sum() ** 2 / (lam ** 2).sum()", "return (lam.sum() ** 2 / (lam ** 2).sum()) ** 0.5")), "root", "square"),
    wrong(edited(RATIO_OF, ("return lam.sum()", "lam = lam[:-1]\n    return lam.sum()")), "last", "every", "all", "singular values"),
    wrong(edited(RATIO_OF, ("return lam.sum()", "lam = lam[1:]\n    return lam.sum()")), "first", "largest", "every", "all", "singular values"),
    wrong(edited(RATIO_OF, ("return lam.sum() ** 2 / (lam ** 2).sum()", "return lam.sum() ** 2 / lam ** 2")), *SHAPE, "sum"),
    wrong(ratio("v = z.var(dim=0)\nreturn v.sum() ** 2 / (v ** 2).sum()"), "singular", "variance", "column", "rotat", "axes", "centr"),
    wrong(ratio("lam = (z ** 2).sum(dim=0)\nreturn lam.sum() ** 2 / (lam ** 2).sum()"), "singular", "column", "rotat", "axes", "direction"),
    wrong(ratio("lam = (z ** 2).sum(dim=1)\nreturn lam.sum() ** 2 / (lam ** 2).sum()"), "singular", "row", "length", "itself", "pair", "direction"),
    wrong(edited(RATIO_OF, ("sigma ** 2", "(sigma + 1e-2) ** 2")), "eps", "1e-", "small", "added", "scale"),
    wrong(edited(RATIO_OF, ("svdvals(z)", "svdvals(z.float())")), *FLOAT32),
    wrong(edited(RATIO_OF, ("svdvals(z)", "svdvals(z.detach())")), *CUT, misleading=("centr", *RATIO)),
    wrong(edited(RATIO_OF, ("(lam ** 2).sum()", "(lam ** 2).sum().item()")), *CUT, misleading=("centr", *RATIO)),
    wrong(edited(RATIO_OF, ("    sigma =", "    z /= z.norm()\n    sigma =")), *IN_PLACE),
]

RIGHT += [
    right(RATIO_OF),
    right(ratio("gram = z.T @ z\nreturn torch.trace(gram) ** 2 / (gram ** 2).sum()")),
    right(ratio("lam = torch.linalg.eigvalsh(z.T @ z)\nreturn lam.sum() ** 2 / (lam ** 2).sum()")),
    right(ratio("_, s, _ = torch.linalg.svd(z, full_matrices=False)\np = s ** 2 / (s ** 2).sum()\nreturn 1 / (p ** 2).sum()")),
    right(ratio("s = torch.linalg.svdvals(z)\ntop, bottom = 0, 0\nfor x in s:\n    top = top + x ** 2\n    bottom = bottom + x ** 4\nreturn top ** 2 / bottom")),
    right(ratio("g = torch.einsum('bi,ci->bc', z, z)\nreturn g.diagonal().sum().square() / g.square().sum()")),
]

# --- covariance_spectrum --------------------------------------------------------------------------------------------


def spectrum(body: str) -> str:
    return function("covariance_spectrum(z)", body)


SPECTRUM = spectrum("c = z - z.mean(dim=0)\ncov = c.T @ c / (len(z) - 1)\nreturn torch.linalg.eigvalsh(cov).flip(0)")
SORTED = ("order", "largest first", "descend", "ascend", "sort", "flip")

WRONG += [
    wrong(edited(SPECTRUM, (".flip(0)", "")), *SORTED, misleading=("centr", "N - 1")),
    wrong(edited(SPECTRUM, ("z - z.mean(dim=0)", "z")), "centr", "mean", "offset"),
    wrong(edited(SPECTRUM, ("dim=0", "dim=1, keepdim=True")), "centr", "mean", "axis", "dim=0"),
    wrong(edited(SPECTRUM, ("z.mean(dim=0)", "z.mean()")), "centr", "mean"),
    wrong(edited(SPECTRUM, ("(len(z) - 1)", "len(z)")), "N - 1", "N-1", "unbiased", misleading=("centr", "largest first")),
    wrong(edited(SPECTRUM, (" / (len(z) - 1)", "")), "N - 1", "N-1", "divi", misleading=("centr", "largest first")),
    wrong(edited(SPECTRUM, ("(len(z) - 1)", "(z.shape[1] - 1)")), "N - 1", "N-1", "samples", "divi", misleading=("centr",)),
    wrong(edited(SPECTRUM, (".flip(0)", ".flip(0).sqrt()")), "root", "variance", "std", "standard"),
    wrong(edited(SPECTRUM, (".flip(0)", ".flip(0) ** 2")), "square", "power"),
    wrong(edited(SPECTRUM, (".flip(0)", ".flip(0).log()")), "log"),
    wrong(edited(SPECTRUM, (".flip(0)", ".flip(0)[:-1]")), "all", "last", "shape", "D eigenvalues", "entries"),
    wrong(edited(SPECTRUM, (".flip(0)", ".flip(0)[:1]")), "all", "shape", "D eigenvalues", "entries"),
    wrong(spectrum("lam = torch.linalg.eigvalsh(torch.cov(z.T)).flip(0)\nreturn lam / lam.sum()"), "normal", "shares", "sum", "scale", "units", "divi"),
    wrong(spectrum("lam = torch.linalg.eigvalsh(torch.cov(z.T)).flip(0)\nreturn lam / lam[0]"), "normal", "largest", "scale", "units", "divi"),
    wrong(spectrum("return torch.linalg.svdvals(z - z.mean(0))"), "square", "shape", "N - 1", "zeros", "D eigenvalues"),
    wrong(spectrum("return torch.linalg.svdvals(z - z.mean(0)) ** 2"), "N - 1", "N-1", "divi", "shape", misleading=()),
    wrong(spectrum("s = torch.linalg.svdvals(z - z.mean(0)) / (len(z) - 1)\nreturn F.pad(s, (0, z.shape[1] - len(s)))"), "square", "lambda"),
    wrong(spectrum("return torch.linalg.svdvals(z - z.mean(0)) ** 2 / (len(z) - 1)"), "D", "zero", "shape", "missing", "entries"),
    wrong(spectrum("c = z - z.mean(0)\nreturn torch.linalg.eigvalsh(c @ c.T / (len(z) - 1)).flip(0)"), "shape", "D", "transpos", "(N", "samples"),
    wrong(spectrum("return torch.linalg.eigvalsh(torch.cov(z)).flip(0)"), "shape", "transpos", ".T", "D eigenvalues", "samples"),
    wrong(spectrum("return torch.linalg.eigvalsh(torch.corrcoef(z.T)).flip(0)"), "correlation", "standard", "units", "scale"),
    wrong(spectrum("return z.var(dim=0).sort(descending=True).values"), "eigen", "diagonal", "variance", "direction", "off-diagonal", "rotat"),
    wrong(spectrum("return torch.cov(z.T).diagonal()"), "eigen", "diagonal", "order", "direction"),
    wrong(spectrum("return torch.cov(z.T)"), "eigen", "shape"),
    wrong(spectrum("return torch.linalg.eigh(torch.cov(z.T))"), "tuple", "eigenvectors", "outputs", "two", "values"),
    wrong(spectrum("return torch.linalg.eigh(torch.cov(z.T))[1]"), "eigenvalues", "eigenvectors", "shape"),
    wrong(spectrum("return torch.linalg.eigvals(torch.cov(z.T))"), "complex", "order", "sort", "eigvalsh", "dtype", "symmetric"),
    wrong(spectrum("return torch.linalg.svdvals(torch.cov(z.T)) ** 2"), "square"),
    wrong(spectrum("return torch.linalg.svdvals(torch.cov(z.T)).sqrt()"), "root", "variance", "standard"),
    wrong(spectrum("lam = torch.linalg.eigvalsh(torch.cov(z.T)).flip(0)\nreturn lam[lam > 1e-9]"), "zero", "all", "shape", "D eigenvalues", "entries"),
    wrong(spectrum("return torch.linalg.eigvalsh(torch.cov(z.T.float())).flip(0)"), *FLOAT32),
    wrong(spectrum("z -= z.mean(dim=0)\nreturn torch.linalg.eigvalsh(z.T @ z / (len(z) - 1)).flip(0)"), *IN_PLACE),
]

RIGHT += [
    right(SPECTRUM),
    right(spectrum("return torch.linalg.eigvalsh(torch.cov(z.T).reshape(z.shape[1], -1)).sort(descending=True).values")),
    right(spectrum("c = z - z.mean(0)\ns = torch.linalg.svdvals(c) ** 2 / (len(z) - 1)\nreturn torch.cat([s, s.new_zeros(z.shape[1] - len(s))])")),
    right(spectrum("c = z - z.mean(0)\ncov = torch.einsum('bi,bj->ij', c, c) / (len(z) - 1)\nvalues, _ = torch.linalg.eigh(cov)\nreturn torch.flip(values, dims=[0])")),
    right(spectrum("c = z - z.mean(0)\nreturn torch.linalg.svdvals(c.T @ c) / (len(z) - 1)")),
]

# --- name_collapse --------------------------------------------------------------------------------------------------


def name(body: str) -> str:
    return function("name_collapse(z, threshold=0.1)", body)


NAME = name(
    """
    if directional_spread(z) < threshold:
        return z.new_tensor(1.0)
    c = z - z.mean(dim=0)
    m = min(z.shape[0] - 1, z.shape[1])
    if participation_ratio(c) < 1 + threshold * (m - 1):
        return z.new_tensor(2.0)
    return z.new_tensor(0.0)
    """
)
RULE = ("m - 1", "min(N - 1, D)", "min(", "most", "1 + t")

WRONG += [
    wrong(
        name(
            """
            m = min(z.shape[0] - 1, z.shape[1])
            if participation_ratio(z - z.mean(dim=0)) < 1 + threshold * (m - 1):
                return z.new_tensor(2.0)
            if directional_spread(z) < threshold:
                return z.new_tensor(1.0)
            return z.new_tensor(0.0)
            """
        ),
        "order",
        "first",
        "before",
        "type 1",
    ),
    wrong(edited(NAME, ("min(z.shape[0] - 1, z.shape[1])", "min(z.shape[0], z.shape[1])")), *RULE, "N - 1"),
    wrong(edited(NAME, ("min(z.shape[0] - 1, z.shape[1])", "z.shape[1]")), *RULE, "N - 1"),
    wrong(edited(NAME, ("min(z.shape[0] - 1, z.shape[1])", "z.shape[0] - 1")), *RULE),
    wrong(edited(NAME, ("min(z.shape[0] - 1, z.shape[1])", "max(z.shape[0] - 1, z.shape[1])")), *RULE, "max"),
    wrong(edited(NAME, ("min(z.shape[0] - 1, z.shape[1])", "min(z.shape[0] - 1, z.shape[1] - 1)")), *RULE),
    wrong(edited(NAME, ("(m - 1)", "m")), *RULE),
    wrong(edited(NAME, ("1 + threshold * (m - 1)", "threshold * m")), *RULE, "1 +"),
    wrong(edited(NAME, ("1 + threshold * (m - 1)", "threshold * (m - 1)")), *RULE, "1 +"),
    wrong(edited(NAME, ("1 + threshold * (m - 1)", "threshold")), *RULE, "1 +"),
    wrong(edited(NAME, ("1 + threshold * (m - 1)", "1 + threshold")), *RULE),
    wrong(edited(NAME, ("1 + threshold * (m - 1)", "1 + 0.1 * (m - 1)")), "threshold"),
    wrong(edited(NAME, ("directional_spread(z) < threshold", "directional_spread(z) < 0.1")), "threshold"),
    wrong(edited(NAME, ("directional_spread(z) < threshold", "directional_spread(z) < 1e-6")), "threshold", "noise", "exact"),
    wrong(edited(NAME, ("directional_spread(z) < threshold", "directional_spread(z) == 0")), "threshold", "noise", "exact"),
    wrong(edited(NAME, ("directional_spread(z) < threshold", "z.std(dim=0).mean() < threshold")), "direction", "spread", "length", "scale", "small"),
    wrong(edited(NAME, ("directional_spread(z) < threshold", "z.var(dim=0).sum() < threshold")), "direction", "spread", "length", "scale", "small"),
    wrong(edited(NAME, ("directional_spread(z) < threshold", "directional_spread(z - z.mean(0)) < threshold")), "centr", "offset", "spread", "direction"),
    wrong(edited(NAME, ("directional_spread(z) < threshold", "directional_spread(z) ** 0.5 < threshold")), "spread", "root", "square"),
    wrong(edited(NAME, ("directional_spread(z) < threshold", "directional_spread(z) / z.shape[1] < threshold")), "spread", "sum", "divi", "D"),
    wrong(edited(NAME, ("directional_spread(z) <", "directional_spread(z) * len(z) / (len(z) - 1) <")), "spread", "N - 1", "divi", "unbiased"),
    wrong(edited(NAME, ("directional_spread(z) < threshold", "directional_spread(z) > threshold")), "below", "other way", "sign", "<", "revers", "less"),
    wrong(edited(NAME, ("participation_ratio(c) <", "participation_ratio(c) >")), "below", "other way", "sign", "<", "revers", "less"),
    wrong(edited(NAME, ("participation_ratio(c)", "participation_ratio(z)")), "centr", "mean", "offset"),
    wrong(edited(NAME, ("participation_ratio(c)", "participation_ratio(z / z.norm(dim=1, keepdim=True))")), "centr", "mean", "length", "normal", "direction"),
    wrong(edited(NAME, ("participation_ratio(c)", "participation_ratio(c / c.norm(dim=1, keepdim=True))")), "length", "normal", "centred batch"),
    wrong(edited(NAME, ("z.mean(dim=0)", "z.mean(dim=1, keepdim=True)")), "centr", "mean", "axis"),
    wrong(edited(NAME, ("participation_ratio(c)", "(torch.linalg.svdvals(c).sum() ** 2 / (torch.linalg.svdvals(c) ** 2).sum())")), "square", "participation", "lambda", "singular"),
    wrong(edited(NAME, ("participation_ratio(c)", "torch.special.entr(torch.linalg.svdvals(c) / torch.linalg.svdvals(c).sum()).sum().exp()")), "participation", "rankme", "entropy", "ratio"),
    wrong(edited(NAME, ("participation_ratio(c)", "torch.linalg.matrix_rank(c)")), "participation", "rank", "ratio"),
    wrong(edited(NAME, ("z.new_tensor(1.0)", "z.new_tensor(3.0)"), ("z.new_tensor(2.0)", "z.new_tensor(1.0)"), ("z.new_tensor(3.0)", "z.new_tensor(2.0)")), "swap", "exchang", "code", "type 1", "type 2"),
    wrong(edited(NAME, ("z.new_tensor(2.0)", "z.new_tensor(1.0)")), "type 2", "code", "never"),
    wrong(edited(NAME, ("z.new_tensor(0.0)", "z.new_tensor(2.0)")), "0", "healthy", "never", "no collapse"),
    wrong(edited(NAME, ("z.new_tensor(2.0)", "z.new_tensor(0.0)")), "type 2", "never", "code"),
    wrong(edited(NAME, ("z.new_tensor(1.0)", "z.new_tensor(0.0)")), "type 1", "never", "code"),
    wrong(edited(NAME, ("z.new_tensor(0.0)", "None")), "None", "return", "no collapse"),
    wrong(edited(NAME, ("z.new_tensor(0.0)", "'healthy'"), ("z.new_tensor(1.0)", "'type 1'"), ("z.new_tensor(2.0)", "'type 2'")), "str", "tensor", "code", "number"),
    wrong(name("return z.new_tensor(0.0)"), "0", "always", "same", "depend", "type 1", "never"),
]

RIGHT += [
    right(NAME),
    right(
        name(
            """
            n, d = z.shape
            u = F.normalize(z, dim=1)
            type_1 = 1 - u.mean(0).square().sum() < threshold
            lam = torch.linalg.eigvalsh(torch.cov(z.T).reshape(d, d))
            pr = lam.sum() ** 2 / (lam ** 2).sum()
            type_2 = pr < 1 + threshold * (min(n - 1, d) - 1)
            code = 1.0 if type_1 else (2.0 if type_2 else 0.0)
            return torch.tensor(code, dtype=z.dtype)
            """
        )
    ),
    right(
        name(
            """
            spread = directional_spread(z)
            lam = covariance_spectrum(z)
            ratio = lam.sum() ** 2 / (lam ** 2).sum()
            most = min(len(z) - 1, z.shape[1])
            code = torch.zeros((), dtype=z.dtype)
            if ratio < 1 + threshold * (most - 1):
                code = torch.full((), 2.0, dtype=z.dtype)
            if spread < threshold:
                code = torch.ones((), dtype=z.dtype)
            return code
            """
        )
    ),
    right(
        name(
            """
            one = directional_spread(z) < threshold
            most = min(len(z) - 1, z.shape[1])
            two = participation_ratio_loop(z - z.mean(dim=0)) < 1 + threshold * (most - 1)
            return torch.where(one, 1.0, torch.where(two, 2.0, 0.0)).to(z.dtype)
            """
        )
    ),
]

# --- info_nce_bend --------------------------------------------------------------------------------------------------


def bend(body: str) -> str:
    return function("info_nce_bend(v, c, temperature=0.2)", body)


BEND = bend(
    """
    n = len(v)
    w = v - v.mean(dim=0)
    w = w - (w @ c)[:, None] * c / (c @ c)
    return -(w ** 2).sum() / (temperature * n * (c @ c))
    """
)
ALONG = ("along", "project", "part", "orthogonal", "perpendicular", "turn")

WRONG += [
    wrong(edited(BEND, ("-(w", "(w")), "sign", "minus", "negative", "-1", "falls", misleading=()),
    wrong(edited(BEND, ("-(w ** 2)", "-2 * (w ** 2)")), "2", "twice", *FACTOR, "half", misleading=()),
    wrong(edited(BEND, ("-(w ** 2)", "-0.5 * (w ** 2)")), "half", "0.5", *FACTOR, "twice", misleading=()),
    wrong(edited(BEND, ("temperature * n *", "temperature *")), "N", "mean", "samples", "divi", misleading=()),
    wrong(edited(BEND, ("temperature * n *", "temperature * n ** 2 *")), "N", "samples", "N^2", "divi", misleading=()),
    wrong(edited(BEND, ("temperature * n *", "temperature * (n - 1) *")), "N - 1", "N-1", "N", misleading=()),
    wrong(edited(BEND, ("temperature * n *", "temperature * v.numel() *")), "D", "dimension", "sum", "divi", misleading=()),
    wrong(edited(BEND, ("temperature * n *", "n *")), "temperature", "tau"),
    wrong(edited(BEND, ("temperature * n *", "0.2 * n *")), "temperature", "tau"),
    wrong(edited(BEND, ("(temperature * n * (c @ c))", "(n * (c @ c)) * temperature")), "temperature", "tau"),
    wrong(edited(BEND, ("temperature * n *", "temperature ** 2 * n *")), "temperature", "tau"),
    wrong(edited(BEND, ("temperature * n *", "2 * temperature * n *")), "2", "half", *FACTOR, misleading=()),
    wrong(edited(BEND, ("n * (c @ c))", "n)")), "|c|", "length of c", "c need not", "|c|^2", "c @ c"),
    wrong(edited(BEND, ("n * (c @ c))", "n * c.norm())")), "|c|", "length of c", "square", "|c|^2", "c @ c"),
    wrong(edited(BEND, ("n * (c @ c))", "n * (c @ c) ** 2)")), "|c|", "length of c", "power", "|c|^2", "c @ c"),
    wrong(edited(BEND, ("* c / (c @ c)\n", "* c\n")), "|c|", "length of c", "project", "unit", "c @ c"),
    wrong(edited(BEND, ("* c / (c @ c)\n", "* c / c.norm()\n")), "|c|", "length of c", "project", "unit", "c @ c"),
    wrong(edited(BEND, ("v - v.mean(dim=0)", "v")), "centr", "mean", "differ"),
    wrong(edited(BEND, ("v.mean(dim=0)", "v.mean()")), "centr", "mean", "each"),
    wrong(edited(BEND, ("v.mean(dim=0)", "v.mean(dim=1, keepdim=True)")), "centr", "mean", "axis", "dim=0", "samples"),
    wrong(edited(BEND, ("v - v.mean(dim=0)", "v - c")), "centr", "mean", "v"),
    wrong(edited(BEND, ("    w = w - (w @ c)[:, None] * c / (c @ c)\n", "")), *ALONG),
    wrong(edited(BEND, ("    w = w - (w @ c)[:, None] * c / (c @ c)\n", "    w = w - (v @ c)[:, None] * c / (c @ c)\n")), *ALONG, "centr", "mean"),
    wrong(edited(BEND, ("    w = w - (w @ c)", "    w = (w @ c)")), *ALONG),
    wrong(edited(BEND, ("w - (w @ c)", "w + (w @ c)")), *ALONG, "sign"),
    wrong(edited(BEND, ("(w ** 2).sum()", "w.norm(dim=1).sum()")), "square"),
    wrong(edited(BEND, ("(w ** 2).sum()", "w.sum() ** 2")), "square", "before", "each"),
    wrong(edited(BEND, ("(w ** 2).sum()", "(w ** 2).sum(dim=1).max()")), "max", "sum", "all"),
    wrong(edited(BEND, ("(w ** 2).sum()", "(w ** 2).sum(dim=1)")), *SHAPE, "sum"),
    wrong(edited(BEND, ("    return -", "    return torch.log(torch.tensor(float(n))) - ")), "log N", "coefficient", "constant", "log"),
    wrong(bend("n = len(v)\nw = v - v.mean(dim=0)\nc = c / c.norm()\nw = w - torch.outer(w @ c, c)\nreturn -(w ** 2).sum() / (temperature * n)"), "|c|", "length of c", "c need not", "|c|^2"),
    wrong(edited(BEND, ("    n = len(v)", "    n = len(v)\n    v, c = v.float(), c.float()")), *FLOAT32),
    wrong(edited(BEND, ("    w = v - v.mean(dim=0)", "    v -= v.mean(dim=0)\n    w = v")), *IN_PLACE),
]

RIGHT += [
    right(BEND),
    right(
        bend(
            """
            n, d = v.shape
            length = torch.sqrt(torch.sum(c ** 2))
            unit = c / length
            project = torch.eye(d, dtype=v.dtype) - torch.outer(unit, unit)
            w = (v - v.mean(dim=0)) @ project
            return -torch.einsum('bj,bj->', w, w) / (n * temperature * length ** 2)
            """
        )
    ),
    right(
        bend(
            """
            mean = v.mean(dim=0)
            total = 0
            for b in range(len(v)):
                w = v[b] - mean
                w = w - (w @ c) / (c @ c) * c
                total = total + w @ w
            return -total / temperature / len(v) / (c @ c)
            """
        )
    ),
    # Pythagoras: what is left without the part along c.
    right(bend("w = v - v.mean(0)\ncc = (c * c).sum()\nsquares = (w ** 2).sum(1) - (w @ c) ** 2 / cc\nreturn -squares.mean() / (temperature * cc)")),
    right(bend("u = (v - torch.outer(v @ c, c) / (c @ c)) / c.norm()\nreturn -u.var(dim=0, correction=0).sum() / temperature")),
]

# --- contrastive_gradient_matrix ------------------------------------------------------------------------------------


def matrix(body: str) -> str:
    return function("contrastive_gradient_matrix(x, x_prime, w)", body)


MATRIX = matrix(
    """
    n, d_in = x.shape
    z = x @ w.T
    z_prime = x_prime @ w.T
    logits = torch.zeros(n, n, dtype=x.dtype)
    for i in range(n):
        for j in range(n):
            other = z_prime[i] if i == j else z[j]
            logits[i, j] = -((z[i] - other) ** 2).sum() / 2
    alpha = torch.softmax(logits, dim=1)
    sigma_0 = torch.zeros(d_in, d_in, dtype=x.dtype)
    sigma_1 = torch.zeros(d_in, d_in, dtype=x.dtype)
    for i in range(n):
        moved = x_prime[i] - x[i]
        sigma_1 = sigma_1 + (1 - alpha[i, i]) * torch.outer(moved, moved)
        for j in range(n):
            if i != j:
                sigma_0 = sigma_0 + alpha[i, j] * torch.outer(x[i] - x[j], x[i] - x[j])
    return sigma_0 - sigma_1
    """
)
VIEWS = ("view", "anchor", "negative", "x_prime", "x'")
WEIGHTS = ("weight", "alpha", "softmax")

WRONG += [
    wrong(edited(MATRIX, ("sigma_0 - sigma_1", "sigma_1 - sigma_0")), "sign", "minus", "-1", "other way", "order", misleading=()),
    wrong(edited(MATRIX, ("return sigma_0 - sigma_1", "return sigma_0 + sigma_1")), "sign", "minus", "subtract", "Sigma_1", "-"),
    wrong(edited(MATRIX, ("return sigma_0 - sigma_1", "return sigma_0")), "Sigma_1", "augment", "positive", "x_prime", "second"),
    wrong(edited(MATRIX, ("return sigma_0 - sigma_1", "return sigma_1")), "Sigma_0", "negative", "first"),
    wrong(edited(MATRIX, ("return sigma_0 - sigma_1", "return sigma_0, sigma_1")), "tuple", "outputs", "minus", "one matrix", "two", "differen"),
    wrong(edited(MATRIX, ("return sigma_0 - sigma_1", "return (sigma_0 - sigma_1) / n")), "N", "mean", "sum", "divi", misleading=()),
    wrong(edited(MATRIX, ("return sigma_0 - sigma_1", "return (sigma_0 - sigma_1) / 2")), "half", "2", "twice", *FACTOR, misleading=()),
    wrong(edited(MATRIX, ("return sigma_0 - sigma_1", "return -w @ (sigma_0 - sigma_1)")), "shape", "X", "dL/dW", "(D_in, D_in)"),
    wrong(edited(MATRIX, ("z_prime[i] if i == j else z[j]", "z_prime[j]")), *VIEWS),
    wrong(edited(MATRIX, ("z_prime[i] if i == j else z[j]", "z_prime[j]"), ("x[i] - x[j], x[i] - x[j]", "x[i] - x_prime[j], x[i] - x_prime[j]")), *VIEWS),
    wrong(edited(MATRIX, ("x[i] - x[j], x[i] - x[j]", "x[i] - x_prime[j], x[i] - x_prime[j]")), *VIEWS, "Sigma_0"),
    wrong(edited(MATRIX, ("z_prime[i] if i == j else z[j]", "z[j]")), *VIEWS, "positive", "diagonal"),
    wrong(edited(MATRIX, ("z_prime[i] if i == j else z[j]", "z[i] if i == j else z_prime[j]")), *VIEWS, "positive"),
    wrong(edited(MATRIX, ("torch.softmax(logits, dim=1)", "torch.softmax(logits.flatten(), dim=0).view(n, n)")), "each", "row", "dim", *WEIGHTS),
    wrong(edited(MATRIX, ("torch.softmax(logits, dim=1)", "torch.exp(logits)")), *WEIGHTS, "normal", "sum to 1"),
    wrong(edited(MATRIX, ("torch.softmax(logits, dim=1)", "torch.full_like(logits, 1 / n)")), *WEIGHTS, "w ", "depend", "W"),
    wrong(edited(MATRIX, (".sum() / 2", ".sum()")), "2", "half", "/ 2", "distance", "weight"),
    wrong(edited(MATRIX, ("-((z[i]", "((z[i]")), "sign", "minus", "negative", "weight", "near"),
    wrong(edited(MATRIX, ("-((z[i] - other) ** 2).sum() / 2", "-(z[i] - other).norm() / 2")), "square", "distance", "root"),
    wrong(edited(MATRIX, ("-((z[i] - other) ** 2).sum() / 2", "z[i] @ other")), "distance", "product", "square", "similar"),
    wrong(edited(MATRIX, ("z = x @ w.T", "z = x"), ("z_prime = x_prime @ w.T", "z_prime = x_prime")), "w", "W", "embedding", "weight"),
    wrong(edited(MATRIX, ("(1 - alpha[i, i])", "alpha[i, i]")), "1 -", "alpha_ii", "positive", *WEIGHTS),
    wrong(edited(MATRIX, ("(1 - alpha[i, i]) * ", "")), "1 -", "alpha_ii", *WEIGHTS, "Sigma_1"),
    wrong(edited(MATRIX, ("alpha[i, j] * torch.outer", "(1 - alpha[i, j]) * torch.outer")), "alpha", *WEIGHTS, "Sigma_0"),
    wrong(edited(MATRIX, ("alpha[i, j] * torch.outer", "torch.outer")), "alpha", *WEIGHTS, "Sigma_0"),
    wrong(edited(MATRIX, ("if i != j:", "if i < j:")), "i < j", "half", "both", "twice", "pair", "all"),
    wrong(edited(MATRIX, ("torch.outer(x[i] - x[j], x[i] - x[j])", "torch.outer(x[i], x[j])")), "differ", "x_i - x_j", "outer", "Sigma_0"),
    wrong(edited(MATRIX, ("torch.outer(moved, moved)", "torch.outer(x[i], x_prime[i])")), "differ", "x_i' - x_i", "Sigma_1", "moved"),
    wrong(edited(MATRIX, ("torch.outer(moved, moved)", "torch.diag(moved ** 2)")), "outer", "off-diagonal", "diagonal", "Sigma_1"),
    wrong(edited(MATRIX, ("torch.outer(moved, moved)", "(moved @ moved)")), "outer", "Sigma_1", "inner", "matrix"),
    wrong(
        edited(
            MATRIX,
            ("torch.zeros(d_in, d_in, dtype=x.dtype)", "torch.zeros(len(w), len(w), dtype=x.dtype)"),
            ("x_prime[i] - x[i]", "z_prime[i] - z[i]"),
            ("x[i] - x[j], x[i] - x[j]", "z[i] - z[j], z[i] - z[j]"),
        ),
        "shape",
        "(D_in, D_in)",
        "input",
        "W",
    ),
    wrong(edited(MATRIX, ("sigma_1 = sigma_1 + ", "sigma_1 = ")), "last", "add", "sum", "Sigma_1", "accumul"),
    wrong(edited(MATRIX, ("sigma_0 = sigma_0 + ", "sigma_0 = ")), "last", "add", "sum", "Sigma_0", "accumul"),
    wrong(edited(MATRIX, ("        for j in range(n):\n            if i != j", "        for j in range(n - 1):\n            if i != j")), "last", "range", "all", "pair", "Sigma_0"),
    wrong(edited(MATRIX, ("    n, d_in", "    x, x_prime, w = x.float(), x_prime.float(), w.float()\n    n, d_in")), *FLOAT32),
    wrong(edited(MATRIX, ("    z = x @ w.T\n    z_prime = x_prime @ w.T\n", "    z = x @ w.T\n    z_prime = x_prime @ w.T\n    x_prime -= x\n"), ("x_prime[i] - x[i]", "x_prime[i]")), *IN_PLACE),
]

RIGHT += [
    right(MATRIX),
    # The distances are symmetric, so the other axis gives the transposed weights, and the same sums.
    right(edited(MATRIX, ("dim=1", "dim=0"))),
    # x_i - x_i is 0, so the pairs i = j need not be left out of Sigma_0.
    right(edited(MATRIX, ("            if i != j:\n                sigma_0", "            sigma_0"))),
    right(
        matrix(
            """
            z, z_prime = x @ w.T, x_prime @ w.T
            logits = -torch.cdist(z, z) ** 2 / 2
            logits = logits - torch.diag(((z - z_prime) ** 2).sum(1) / 2 + logits.diagonal())
            alpha = torch.softmax(logits, dim=1)
            differ = x[:, None, :] - x[None, :, :]
            sigma_0 = (alpha[:, :, None, None] * differ[..., :, None] * differ[..., None, :]).sum(dim=(0, 1))
            moved = x_prime - x
            sigma_1 = torch.einsum('i,ik,il->kl', 1 - alpha.diagonal(), moved, moved)
            return sigma_0 - sigma_1
            """
        )
    ),
    right(
        matrix(
            """
            n = len(x)
            z, z_prime = x @ w.T, x_prime @ w.T
            squares = (z ** 2).sum(dim=1)
            k = torch.exp(-(squares[:, None] + squares[None, :] - 2 * z @ z.T) / 2)
            positive = torch.exp(-((z - z_prime) ** 2).sum(dim=1) / 2)
            off = 1 - torch.eye(n, dtype=x.dtype)
            beta = off * k / (positive + (off * k).sum(dim=1))[:, None]
            both = beta + beta.T
            sigma_0 = x.T @ (torch.diag(both.sum(dim=1)) - both) @ x
            moved = x_prime - x
            return sigma_0 - moved.T @ torch.diag(beta.sum(dim=1)) @ moved
            """
        )
    ),
]

# --- inputs ---------------------------------------------------------------------------------------------------------


def normal(generator: Generator, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def leaf(tensor: Tensor) -> Tensor:
    return tensor.detach().clone().requires_grad_()


def batches(generator: Generator, shapes: tuple[tuple[int, int], ...]) -> list[Tensor]:
    """Shifted batches, stretched in some dimensions."""
    found = []
    for n, d in shapes:
        stretch = torch.rand(d, generator=generator, dtype=torch.float64) * 2 + 0.1
        found.append(normal(generator, n, d) * stretch + normal(generator, d))
    return found


def with_gradient(generator: Generator) -> list[tuple[Any, ...]]:
    # No more dimensions than samples: the gradient of a singular value that is 0 is no number.
    return [(leaf(z),) for z in batches(generator, ((7, 3), (9, 4), (12, 2), (6, 5)))]


def of_spectrum(generator: Generator) -> list[tuple[Any, ...]]:
    return [(z,) for z in batches(generator, ((7, 3), (4, 6), (12, 2), (5, 5)))]


def of_name(generator: Generator) -> list[tuple[Any, ...]]:
    """Clouds of every kind, each at a sweep of thresholds: rules that differ a little differ at one of them."""
    clouds = [
        *batches(generator, ((8, 4), (5, 9), (12, 2), (6, 6))),
        normal(generator, 9, 4) * 0.01,
        0.5 + 0.05 * normal(generator, 9, 4),
        normal(generator, 9, 1) @ normal(generator, 1, 4) + 0.05 * normal(generator, 9, 4),
        2 + normal(generator, 10, 5) * torch.tensor([1.0, 0.5, 0.2, 0.1, 0.1], dtype=torch.float64),
        torch.full((6, 3), 0.7, dtype=torch.float64) + 1e-3 * normal(generator, 6, 3),
        3 * normal(generator, 20, 3),
    ]
    return [(z, threshold) for z in clouds for threshold in torch.linspace(0.005, 0.995, 199).tolist()]


def of_bend(generator: Generator) -> list[tuple[Any, ...]]:
    settings = ((), (0.5,), (1.3,), (0.05,))
    shapes = ((7, 3), (4, 6), (5, 5), (9, 2))
    return [(v, normal(generator, v.shape[1]) * 2, *setting) for v, setting in zip(batches(generator, shapes), settings)]


def of_matrix(generator: Generator) -> list[tuple[Any, ...]]:
    shapes = ((6, 3, 2), (4, 4, 4), (5, 2, 3), (8, 5, 3))
    found = []
    for n, d_in, d in shapes:
        x = normal(generator, n, d_in)
        found.append((x, x + 0.5 * normal(generator, n, d_in), 0.6 * normal(generator, d, d_in)))
    return found


INPUTS = {
    "directional_spread": with_gradient,
    "participation_ratio_loop": with_gradient,
    "participation_ratio": with_gradient,
    "covariance_spectrum": of_spectrum,
    "name_collapse": of_name,
    "info_nce_bend": of_bend,
    "contrastive_gradient_matrix": of_matrix,
}
