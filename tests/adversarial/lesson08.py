"""Answers to the exercises of lesson 08: directions, the moving target, one mode, a field, and DirectPred."""

from __future__ import annotations

from typing import Any

import torch
from torch import Generator, Tensor

from tests.adversarial.answers import (
    CUT,
    FACTOR,
    FLOAT32,
    IN_PLACE,
    Right,
    Wrong,
    edited,
    function,
    right,
    wrong,
)

WRONG: list[Wrong] = []
RIGHT: list[Right] = []

AXIS = ("dim", "axis", "axes", "row", "column", "along", "each sample", "over the batch", "over the samples")
SHAPE = ("shape", "dim", "keepdim", "one number", "scalar", "a number")
SIGN = ("sign", "minus", "negative", "-1", "right one times -1")
MEAN = ("mean", "sum", "divi", "average", *FACTOR)
UNIT = ("unit", "normalis", "length", "norm", "cos")
STOP = ("stop-gradient", "stop_gradient", "stop gradient", "detach", "constant", "target")
ORDER = ("order", "swap", "position", "outputs", "permut", "exchang", "first")
CROSS = ("cross", "other view", "same view", "view b", "own view", "own target", "target of")
LOOP = ("last", "range", "left out", "leave it out", "leaves out", "missing", "skip", "ends", "stops", "starts")
IGNORED = ("ignor", "no effect", "not used", "does not depend", "changes nothing", "regardless", "default")
EPS = ("1e-", "eps", "small number", "small constant", "added", "adds", "offset")

# --- directed_distance ----------------------------------------------------------------------------------------------


def distance(body: str) -> str:
    return function("directed_distance(p, target, stop_gradient=True)", body)


DISTANCE = distance(
    """
    if stop_gradient:
        target = target.detach()
    u = p / p.norm(dim=1, keepdim=True)
    t = target / target.norm(dim=1, keepdim=True)
    return ((u - t) ** 2).sum(dim=1).mean()
    """
)
DISTANCE_LOOP = distance(
    """
    N = len(p)
    total = 0
    for i in range(N):
        t = target[i].detach() if stop_gradient else target[i]
        cos = torch.dot(p[i], t) / (p[i].norm() * t.norm())
        total = total + 2 - 2 * cos
    return total / N
    """
)
ASKED = "    if stop_gradient:\n        target = target.detach()\n"

WRONG += [
    wrong(edited(DISTANCE, (".sum(dim=1).mean()", ".mean()")), *MEAN, "dimension", misleading=()),
    wrong(edited(DISTANCE, (".sum(dim=1).mean()", ".sum()")), *MEAN, "batch", misleading=()),
    wrong(edited(DISTANCE, (".sum(dim=1).mean()", ".sum(dim=1)")), "mean", "batch", *SHAPE),
    wrong(
        distance("t = target.detach() if stop_gradient else target\nreturn 1 - F.cosine_similarity(p, t).mean()"),
        "2 - 2",
        "half",
        *FACTOR,
        misleading=(),
    ),
    wrong(
        distance("t = target.detach() if stop_gradient else target\nreturn -F.cosine_similarity(p, t).mean()"),
        "2 - 2",
        "-cos",
        "distance",
        "unit",
        "simsiam",
    ),
    wrong(
        distance("t = target.detach() if stop_gradient else target\nreturn 2 + 2 * F.cosine_similarity(p, t).mean()"),
        *SIGN,
        "2 - 2",
        "apart",
    ),
    wrong(
        distance("t = target.detach() if stop_gradient else target\nreturn ((p - t) ** 2).sum(1).mean()"),
        *UNIT,
    ),
    wrong(edited(DISTANCE, ("target / target.norm(dim=1, keepdim=True)", "target")), *UNIT, "target"),
    wrong(edited(DISTANCE, ("p / p.norm(dim=1, keepdim=True)", "p")), *UNIT, "prediction"),
    wrong(edited(DISTANCE, ("norm(dim=1, keepdim=True)", "norm(dim=0, keepdim=True)")), *AXIS),
    wrong(
        edited(
            DISTANCE, ("p.norm(dim=1, keepdim=True)", "p.norm()"), ("target.norm(dim=1, keepdim=True)", "target.norm()")
        ),
        *AXIS,
        "each",
        "whole",
        "batch",
    ),
    wrong(edited(DISTANCE, (ASKED, "")), *STOP),
    wrong(edited(DISTANCE, ("target = target.detach()", "p = p.detach()")), *STOP, "prediction", "wrong side"),
    wrong(edited(DISTANCE, ("if stop_gradient:\n        target", "if not stop_gradient:\n        target")), *STOP),
    wrong(edited(DISTANCE, (ASKED, "    target = target.detach()\n")), *STOP, *IGNORED),
    wrong(
        edited(DISTANCE, ("target = target.detach()", "p, target = p.detach(), target.detach()")), *CUT, "prediction"
    ),
    wrong(edited(DISTANCE, (".sum(dim=1).mean()", ".sum(dim=1).sqrt().mean()")), "square", "root", "squared"),
    wrong(
        edited(DISTANCE, ("((u - t) ** 2).sum(dim=1).mean()", "(2 - 2 * u @ t.T).mean()")),
        "pair",
        "every",
        "all",
        "own target",
        "same row",
        "diagonal",
        "matrix",
    ),
    wrong(
        edited(DISTANCE, ("u = p / p.norm(dim=1, keepdim=True)", "p /= p.norm(dim=1, keepdim=True)\n    u = p")),
        *IN_PLACE,
    ),
    wrong(edited(DISTANCE, ("    u = p", "    p, target = p.float(), target.float()\n    u = p")), *FLOAT32),
    wrong(edited(DISTANCE, ("p.norm(dim=1, keepdim=True)", "(p.norm(dim=1, keepdim=True) + 0.01)")), *EPS, *UNIT),
    wrong(edited(DISTANCE, ("p.norm(dim=1, keepdim=True)", "p.norm(dim=1, keepdim=True).detach()")), *CUT, *UNIT),
    wrong(edited(DISTANCE, ("norm(dim=1, keepdim=True)", "norm(p=1, dim=1, keepdim=True)")), *UNIT, "root", "L1"),
    wrong(edited(DISTANCE, ("norm(dim=1, keepdim=True)", "square().sum(dim=1, keepdim=True)")), *UNIT, "root", "sqrt"),
    wrong(
        distance(
            """
            t = target.detach() if stop_gradient else target
            return (F.softmax(p, dim=1) - F.softmax(t, dim=1)).square().sum(dim=1).mean()
            """
        ),
        "softmax",
        *UNIT,
    ),
    wrong(
        edited(DISTANCE_LOOP, ("    return total / N", "        return total / N")), *LOOP, "first", "return", "loop"
    ),
    wrong(edited(DISTANCE_LOOP, ("range(N)", "range(1, N)")), *LOOP, "first", "loop"),
    wrong(edited(DISTANCE_LOOP, ("total + 2 - 2 * cos", "2 - 2 * cos")), "last", "overwrit", "anew", "+=", "accumulat"),
]
RIGHT += [
    right(DISTANCE_LOOP),
    right(
        distance("t = target.detach() if stop_gradient else target\nreturn (2 - 2 * F.cosine_similarity(p, t)).mean()")
    ),
    right(
        distance(
            """
            u, t = F.normalize(p, dim=-1), F.normalize(target, dim=-1)
            if stop_gradient:
                t = t.detach()
            return F.mse_loss(u, t) * p.shape[1]
            """
        )
    ),
    right(
        distance(
            """
            target = {True: target.detach(), False: target}[stop_gradient]
            dots = torch.einsum("nd,nd->n", p, target)
            lengths = (p.pow(2).sum(1) * target.pow(2).sum(1)).sqrt()
            return 2 * (1 - dots / lengths).sum() / len(p)
            """
        )
    ),
    right(
        distance(
            """
            if stop_gradient:
                target = target.clone().detach()
            u, t = F.normalize(p), F.normalize(target)
            return 2 - 2 / p.size(0) * torch.trace(u @ t.T)
            """
        )
    ),
]

# --- byol -----------------------------------------------------------------------------------------------------------


def both(body: str) -> str:
    return function("byol(p_a, p_b, target_a, target_b, *, stop_gradient=True)", body)


BYOL = both(
    """
    ab = directed_distance(p_a, target_b, stop_gradient)
    ba = directed_distance(p_b, target_a, stop_gradient)
    return ab + ba, ab, ba
    """
)
FLAG = "the flag is a keyword, which the comparison of numbers does not pass"

WRONG += [
    wrong(edited(BYOL, ("(p_a, target_b", "(p_a, target_a"), ("(p_b, target_a", "(p_b, target_b")), *CROSS),
    wrong(edited(BYOL, ("return ab + ba", "return (ab + ba) / 2")), "sum", *MEAN, misleading=()),
    wrong(edited(BYOL, ("return ab + ba, ab, ba", "return ab, ab, ba")), "both", "one direction", "sum", "total"),
    wrong(edited(BYOL, ("return ab + ba, ab, ba", "return ab, ba, ab + ba")), *ORDER),
    wrong(edited(BYOL, ("return ab + ba, ab, ba", "return ab + ba, ba, ab")), *ORDER),
    wrong(edited(BYOL, ("(p_a, target_b", "(p_a, p_b"), ("(p_b, target_a", "(p_b, p_a")), "target", "prediction"),
    wrong(
        edited(BYOL, ("(p_a, target_b", "(target_a, target_b"), ("(p_b, target_a", "(target_b, target_a")),
        "prediction",
        "p_a",
        "p_b",
    ),
    wrong(edited(BYOL, (", stop_gradient)", ")")), *STOP, *IGNORED, note=FLAG),
    wrong(edited(BYOL, (", stop_gradient)", ", False)")), *STOP),
    wrong(edited(BYOL, ("stop_gradient)", "not stop_gradient)")), *STOP),
    wrong(edited(BYOL, ("target_a, stop_gradient", "target_a, False")), *STOP, "b to a", "direction"),
    wrong(
        edited(BYOL, ("(p_a, target_b", "(p_a.detach(), target_b"), ("(p_b, target_a", "(p_b.detach(), target_a")), *CUT
    ),
    wrong(
        edited(BYOL, ("return ab + ba, ab, ba", "return (ab + ba) / 4 - 1, ab / 2 - 1, ba / 2 - 1")),
        "simsiam",
        "cos",
        "2 - 2",
        "unit",
    ),
    wrong(
        edited(BYOL, ("return ab + ba, ab, ba", "return ab / 2 + ba / 2, ab / 2, ba / 2")),
        "2 - 2",
        "half",
        *MEAN,
        misleading=(),
    ),
    wrong(edited(BYOL, ("return ab + ba, ab, ba", "return ab + ba")), "three", "outputs", "tuple", "scalars", "a_to_b"),
    wrong(edited(BYOL, ("return ab + ba, ab", "return (ab + ba).detach(), ab")), *CUT),
    wrong(
        both(
            """
            total = directed_distance(torch.cat([p_a, p_b]), torch.cat([target_b, target_a]), stop_gradient)
            ab = directed_distance(p_a, target_b, stop_gradient)
            return total, ab, directed_distance(p_b, target_a, stop_gradient)
            """
        ),
        "sum",
        *MEAN,
        misleading=(),
    ),
    wrong(
        both(
            """
            ab = directed_distance(p_a, target_b, stop_gradient)
            ba = directed_distance(p_b, target_a, stop_gradient)
            total = ab
            total += ba
            return total, ab, ba
            """
        ),
        "a_to_b",
        "a to b",
        *IN_PLACE,
    ),
    wrong(edited(BYOL, ("(p_b, target_a", "(p_b, target_b")), *CROSS, "target_a", "target_b", "twice"),
    wrong(edited(BYOL, ("return ab + ba, ab, ba", "return ab + ba, ab, ab")), "twice", "b_to_a", "same", "b to a"),
    wrong(edited(BYOL, ("return ab + ba", "return ab - ba")), *SIGN, "sum", "differ"),
    wrong(edited(BYOL, ("return ab + ba", "return 2 * ab")), "both", "twice", "direction", "ba", "b to a"),
    wrong(
        both(
            """
            tb, ta = (target_b.detach(), target_a.detach()) if stop_gradient else (target_b, target_a)
            ab, ba = (p_a - tb).square().sum(1).mean(), (p_b - ta).square().sum(1).mean()
            return ab + ba, ab, ba
            """
        ),
        *UNIT,
    ),
    wrong(
        both(
            """
            tb, ta = (target_b.detach(), target_a.detach()) if stop_gradient else (target_b, target_a)
            ab, ba = (2 - 2 * F.cosine_similarity(p, t, dim=0).mean() for p, t in ((p_a, tb), (p_b, ta)))
            return ab + ba, ab, ba
            """
        ),
        *AXIS,
    ),
    wrong(edited(BYOL, ("(p_a, target_b", "(p_a.float(), target_b.float()")), *FLOAT32),
]
RIGHT += [
    right(BYOL),
    right(
        both(
            """
            def one(p, t):
                t = t.detach() if stop_gradient else t
                return 2 - 2 * F.cosine_similarity(p, t, dim=-1).mean()
            terms = one(p_a, target_b), one(p_b, target_a)
            return sum(terms), *terms
            """
        )
    ),
    right(
        both(
            """
            t = torch.stack([target_b, target_a])
            if stop_gradient:
                t = t.detach()
            each = (F.normalize(torch.stack([p_a, p_b]), dim=2) - F.normalize(t, dim=2)).pow(2).sum(2).mean(1)
            return each.sum(), each[0], each[1]
            """
        )
    ),
    right(
        both(
            """
            out = []
            for p, t in ((p_a, target_b), (p_b, target_a)):
                out.append(directed_distance(p, t, stop_gradient=stop_gradient))
            return [out[0] + out[1], *out]
            """
        )
    ),
    right(
        both(
            "s = losses.simsiam(p_a, p_b, target_a, target_b, stop_gradient=stop_gradient)\nreturn 4 * s[0] + 4, 2 * s[1] + 2, 2 * s[2] + 2"
        )
    ),
]

# --- simsiam --------------------------------------------------------------------------------------------------------


def siamese(body: str) -> str:
    return function("simsiam(p_a, p_b, z_a, z_b, *, stop_gradient=True)", body)


SIMSIAM = siamese(
    """
    total, ab, ba = byol(p_a, p_b, z_a, z_b, stop_gradient=stop_gradient)
    return total / 4 - 1, ab / 2 - 1, ba / 2 - 1
    """
)
SIMSIAM_COS = siamese(
    """
    if stop_gradient:
        z_a, z_b = z_a.detach(), z_b.detach()
    ab = -F.cosine_similarity(p_a, z_b, dim=1).mean()
    ba = -F.cosine_similarity(p_b, z_a, dim=1).mean()
    return (ab + ba) / 2, ab, ba
    """
)

WRONG += [
    wrong(edited(SIMSIAM, ("/ 2 - 1", "/ 4 - 1")), "direction", "/ 2", "half", "a_to_b"),
    wrong(edited(SIMSIAM, ("total / 4 - 1", "total / 2 - 1")), "mean", "sum", "total", "4"),
    wrong(edited(SIMSIAM, ("total / 4 - 1", "total / 4")), "minus 1", "- 1", "offset", "constant", "shift", "subtract"),
    wrong(edited(SIMSIAM, ("return total / 4 - 1", "return total - 4")), "4", "divi", "offset", "constant"),
    wrong(edited(SIMSIAM, ("total / 4 - 1", "4 + 4 * total")), "4", "inver", "solve", "other way", "round"),
    wrong(
        edited(SIMSIAM, ("total / 4 - 1, ab / 2 - 1, ba / 2 - 1", "1 - total / 4, 1 - ab / 2, 1 - ba / 2")),
        *SIGN,
        misleading=(),
    ),
    wrong(
        edited(SIMSIAM, (", ab / 2 - 1, ba / 2 - 1", ", ab, ba")), "direction", "unit", "BYOL", "cos", "2 - 2", "2 + 2"
    ),
    wrong(
        edited(SIMSIAM, ("total / 4 - 1, ab / 2 - 1, ba / 2 - 1", "total / 4 - 1, total / 4 - 1, total / 4 - 1")),
        "direction",
        "each",
        "mean",
        "a_to_b",
    ),
    wrong(edited(SIMSIAM, (", stop_gradient=stop_gradient", "")), *STOP, *IGNORED, note=FLAG),
    wrong(
        edited(SIMSIAM, ("(p_a, p_b, z_a, z_b, stop_gradient=s", "(z_a, z_b, p_a, p_b, stop_gradient=s")),
        *STOP,
        "swap",
        "prediction",
    ),
    wrong(
        edited(SIMSIAM, ("(p_a, p_b, z_a, z_b, stop_gradient=s", "(p_a, z_a, p_b, z_b, stop_gradient=s")),
        "order",
        "swap",
        "prediction",
        "target",
        "argument",
    ),
    wrong(edited(SIMSIAM_COS, ("return (ab + ba) / 2", "return ab + ba")), "mean", "sum", *FACTOR, misleading=()),
    wrong(edited(SIMSIAM_COS, ("-F.", "F.")), *SIGN, misleading=()),
    wrong(edited(SIMSIAM_COS, ("p_a, z_b, dim", "p_a, z_a, dim"), ("p_b, z_a, dim", "p_b, z_b, dim")), *CROSS),
    wrong(
        edited(SIMSIAM_COS, ("z_a, z_b = z_a.detach(), z_b.detach()", "p_a, p_b = p_a.detach(), p_b.detach()")),
        *STOP,
        "wrong side",
        "prediction",
    ),
    wrong(edited(SIMSIAM_COS, ("    if stop_gradient:\n        z_a, z_b = z_a.detach(), z_b.detach()\n", "")), *STOP),
    wrong(edited(SIMSIAM_COS, ("z_a, z_b = z_a.detach(), z_b.detach()", "z_b = z_b.detach()")), *STOP, "z_a"),
    wrong(edited(SIMSIAM_COS, ("dim=1", "dim=0")), *AXIS),
    wrong(
        edited(
            SIMSIAM_COS,
            ("F.cosine_similarity(p_a, z_b, dim=1)", "(p_a * z_b).sum(1)"),
            ("F.cosine_similarity(p_b, z_a, dim=1)", "(p_b * z_a).sum(1)"),
        ),
        *UNIT,
    ),
    wrong(
        edited(
            SIMSIAM_COS,
            ("(p_a, z_b, dim=1)", "(p_a.flatten(), z_b.flatten(), dim=0)"),
            ("(p_b, z_a, dim=1)", "(p_b.flatten(), z_a.flatten(), dim=0)"),
        ),
        *AXIS,
        "each",
        "whole",
    ),
    wrong(edited(SIMSIAM_COS, ("return (ab + ba) / 2, ab, ba", "return ab, ba, (ab + ba) / 2")), *ORDER),
    wrong(
        edited(SIMSIAM_COS, ("return (ab + ba) / 2, ab, ba", "return (ab + ba) / 2")),
        "three",
        "outputs",
        "tuple",
        "scalars",
    ),
    wrong(edited(SIMSIAM_COS, (", ab, ba", ", ab / 2, ba / 2")), "direction", "half", *FACTOR, misleading=()),
    wrong(edited(SIMSIAM_COS, (", dim=1).mean()", ", dim=1)")), "mean", "batch", *SHAPE),
    wrong(edited(SIMSIAM_COS, ("(p_a, z_b", "(p_a.float(), z_b.float()")), *FLOAT32),
]
RIGHT += [
    right(SIMSIAM),
    right(SIMSIAM_COS),
    right(
        siamese(
            "terms = byol(p_a, p_b, z_a, z_b, stop_gradient=stop_gradient)\na, b = ((t - 2) / 2 for t in terms[1:])\nreturn torch.stack([a, b]).mean(), a, b"
        )
    ),
    right(
        siamese(
            """
            d = [directed_distance(p, z, stop_gradient) for p, z in ((p_a, z_b), (p_b, z_a))]
            c = [-(1 - x / 2) for x in d]
            return 0.5 * c[0] + 0.5 * c[1], c[0], c[1]
            """
        )
    ),
    right(
        siamese(
            """
            p, z = F.normalize(torch.cat([p_a, p_b]), dim=1), F.normalize(torch.cat([z_b, z_a]), dim=1)
            cos = torch.einsum("nd,nd->n", p, z.detach() if stop_gradient else z)
            n = len(p_a)
            return -cos.mean(), -cos[:n].mean(), -cos[n:].mean()
            """
        )
    ),
]

# --- prediction_gradient --------------------------------------------------------------------------------------------


def slope_of(body: str) -> str:
    return function("prediction_gradient(p, target)", body)


SLOPE = slope_of(
    """
    N = p.shape[0]
    length = p.norm(dim=1, keepdim=True)
    u = p / length
    t = target / target.norm(dim=1, keepdim=True)
    cos = (u * t).sum(dim=1, keepdim=True)
    return -2 / (N * length) * (t - cos * u)
    """
)
SLOPE_LOOP = slope_of(
    """
    n, d = p.shape
    out = torch.zeros_like(p)
    for i in range(n):
        size = torch.sqrt((p[i] ** 2).sum())
        u, t = p[i] / size, target[i] / target[i].norm()
        out[i] = -2 * (t - torch.dot(u, t) * u) / size / n
    return out
    """
)

WRONG += [
    wrong(edited(SLOPE, ("(N * length)", "length")), "mean", "batch", "N", *FACTOR, misleading=()),
    wrong(edited(SLOPE, ("-2 /", "-1 /")), "2", *FACTOR, misleading=()),
    wrong(edited(SLOPE, ("-2 /", "2 /")), *SIGN, misleading=()),
    wrong(edited(SLOPE, ("(N * length)", "N")), "|p|", "length", "norm"),
    wrong(edited(SLOPE, ("(N * length)", "(N * length**2)")), "|p|", "length", "norm", "square", "twice"),
    wrong(edited(SLOPE, ("target / target.norm(dim=1, keepdim=True)", "target")), *UNIT, "target"),
    wrong(edited(SLOPE, ("(t - cos * u)", "t")), "project", "right angle", "along", "<u, t>", "second term", "part"),
    wrong(edited(SLOPE, ("t - cos * u", "t - cos * p")), "unit", "u", "|p|", "length", "norm"),
    wrong(
        edited(SLOPE, ("t - cos * u", "t - (p * t).sum(dim=1, keepdim=True) * u")),
        "unit",
        "u",
        "|p|",
        "length",
        "norm",
        "cos",
    ),
    wrong(edited(SLOPE, ("(u * t).sum(dim=1, keepdim=True)", "(u * t).sum()")), *AXIS, "each", "own"),
    wrong(edited(SLOPE, ("t - cos * u", "t - cos * t")), "u", "project", "right angle", "along", "prediction"),
    wrong(edited(SLOPE, ("t - cos * u", "u - cos * t")), "u", "t", "swap", "target", "project", "right angle", "roles"),
    wrong(edited(SLOPE, ("t - cos * u", "t + cos * u")), *SIGN, "project", "right angle", "subtract"),
    wrong(edited(SLOPE, ("t - cos * u", "t - u")), "cos", "project", "<u, t>", "right angle", "along"),
    wrong(slope_of("n = len(p)\nreturn 2 * (p - target) / n"), *UNIT, "cos", "square"),
    wrong(edited(SLOPE, ("t - cos * u)", "t - cos * u).mean(dim=0)")), *SHAPE, "(N, D)", "each row", "mean"),
    wrong(edited(SLOPE, ("N = p.shape[0]", "N = p.shape[1]")), "N", "D", "batch", "samples"),
    wrong(edited(SLOPE, ("N = p.shape[0]", "N = p.numel()")), "N", "D", "batch", "samples", *FACTOR, misleading=()),
    wrong(
        edited(
            SLOPE,
            ("p.norm(dim=1, keepdim=True)", "p.norm(dim=0, keepdim=True)"),
            ("target.norm(dim=1", "target.norm(dim=0"),
        ),
        *AXIS,
    ),
    wrong(
        edited(SLOPE, ("length = p.norm(dim=1, keepdim=True)", "length = p.norm()")),
        *AXIS,
        "each",
        "own",
        "whole",
        "batch",
    ),
    wrong(edited(SLOPE, ("u = p / length", "p /= length\n    u = p")), *IN_PLACE),
    wrong(edited(SLOPE, ("    N = p", "    p, target = p.float(), target.float()\n    N = p")), *FLOAT32),
    wrong(
        edited(SLOPE, ("t - cos * u", "t - u @ t.T @ u")),
        "own",
        "each",
        "row",
        "all pairs",
        "other samples",
        "matrix",
        "mix",
    ),
    wrong(
        edited(SLOPE, ("    cos =", "    u, t, length = t, u, target.norm(dim=1, keepdim=True)\n    cos =")),
        "target",
        "prediction",
        "swap",
        "with respect to p",
        "roles",
    ),
    wrong(edited(SLOPE_LOOP, ("range(n)", "range(n - 1)")), *LOOP, "last"),
    wrong(edited(SLOPE_LOOP, ("    return out", "        return out")), *LOOP, "first", "return", "loop"),
    wrong(edited(SLOPE, ("p.norm(dim=1, keepdim=True)", "(p.norm(dim=1, keepdim=True) + 1e-3)")), *EPS, "length"),
]
RIGHT += [
    right(SLOPE_LOOP),
    right(
        slope_of(
            """
            length = p.norm(dim=1)[:, None]
            u, t = F.normalize(p, dim=1), F.normalize(target, dim=1)
            return 2 * ((u * t).sum(1)[:, None] * u - t) / length / len(p)
            """
        )
    ),
    right(
        slope_of(
            """
            u, t = F.normalize(p), F.normalize(target)
            eye = torch.eye(p.shape[1]).to(p)
            jacobian = (eye - torch.einsum("ni,nj->nij", u, u)) / p.norm(dim=1)[:, None, None]
            return -2 * torch.einsum("nij,nj->ni", jacobian, t) / p.shape[0]
            """
        )
    ),
    right(
        slope_of(
            """
            pp, tt, pt = (p * p).sum(1, True), (target * target).sum(1, True), (p * target).sum(1, True)
            return -2 * (target / (pp * tt).sqrt() - pt * p / (pp**1.5 * tt.sqrt())) / len(p)
            """
        )
    ),
    right(
        slope_of(
            """
            u, t = F.normalize(p), F.normalize(target)
            slope = (2 * (u - t) / len(p)) / p.norm(dim=1, keepdim=True)
            return slope - (slope * u).sum(dim=1, keepdim=True) * u
            """
        )
    ),
]

# --- follow ---------------------------------------------------------------------------------------------------------


def average(body: str) -> str:
    return function("follow(target, online, momentum=0.99)", body)


FOLLOW = average("return momentum * target + (1 - momentum) * online")
SHARES = ("share", "swap", "exchang", "keeps", "1 - m", "weights", "target", "old", "other way")

WRONG += [
    wrong(average("return (1 - momentum) * target + momentum * online"), *SHARES),
    wrong(average("return torch.lerp(target, online, momentum)"), *SHARES),
    wrong(average("target.mul_(momentum).add_(online * (1 - momentum))\nreturn target"), *IN_PLACE),
    wrong(average("target *= momentum\ntarget += (1 - momentum) * online"), *IN_PLACE, "none", "return"),
    wrong(average("return online.lerp_(target, momentum)"), *IN_PLACE),
    wrong(average("return 0.99 * target + 0.01 * online"), "momentum", *IGNORED),
    wrong(average("return online.clone()"), "average", "momentum", "target", "copy"),
    wrong(average("return target.clone()"), "average", "momentum", "online", "move"),
    wrong(average("return (target + online) / 2"), "momentum", "half", "average", "share", *IGNORED),
    wrong(average("return momentum * target + online"), "1 - m", "share", "sum to 1", "weights", "online"),
    wrong(average("return target + (1 - momentum) * online"), "share", "sum to 1", "weights", "target", "momentum"),
    wrong(average("return momentum * (target + online)"), "1 - m", "share", "sum to 1", "online"),
    wrong(average("return momentum * target - (1 - momentum) * online"), *SIGN, "add"),
    wrong(average("return target - (1 - momentum) * (online - target)"), *SIGN, "away", "toward"),
    wrong(average("return online + momentum * (online - target)"), *SIGN, "away", "toward", "overshoot", "target"),
    wrong(average("return momentum * target + 1 - momentum * online"), "bracket", "parenthes", "1 - m", "precedence"),
    wrong(
        average("return (momentum * target + (1 - momentum) * online) / (1 - momentum)"),
        "divi",
        "correct",
        *FACTOR,
        misleading=(),
    ),
    wrong(
        average("return momentum**2 * target + (1 - momentum**2) * online"),
        "square",
        "momentum",
        "once",
        "step",
        "twice",
    ),
    wrong(average("return momentum * target + (1 - momentum) * online.mean()"), "mean", "each", "entry", "element"),
    wrong(
        average("return F.normalize(momentum * target + (1 - momentum) * online, dim=-1)"), "unit", "normalis", "length"
    ),
    wrong(
        average("new = momentum * target + (1 - momentum) * online\nreturn new, online"),
        "two",
        "tuple",
        "one tensor",
        "outputs",
        "2",
    ),
    wrong(average("return (momentum * target.float() + (1 - momentum) * online.float())"), *FLOAT32),
    wrong(average("return target + (1 - momentum) * (online - target).sign()"), "sign", "differ", "gap", "size"),
]
RIGHT += [
    right(FOLLOW),
    right(average("return torch.lerp(target, online, 1 - momentum)")),
    right(average("return target + (1 - momentum) * (online - target)")),
    right(average("return online + momentum * (target - online)")),
    right(average("new = target.clone()\nnew.mul_(momentum).add_(online, alpha=1 - momentum)\nreturn new")),
    right(
        average(
            "pair = torch.stack([target, online])\nreturn torch.tensordot(torch.tensor([momentum, 1 - momentum]).to(pair) if pair.dtype != torch.float64 else torch.tensor([momentum, 1 - momentum], dtype=pair.dtype), pair, dims=1)"
        )
    ),
]

# --- best_targets ---------------------------------------------------------------------------------------------------


def targets(body: str) -> str:
    return function("best_targets(features)", body)


TARGETS_LOOP = targets(
    """
    T, N, D = features.shape
    total = torch.zeros_like(features[0])
    for t in range(T):
        total = total + features[t]
    return total / T
    """
)
VIEWS = ("view", "T", "dim=0", "dim", "axis", "first axis")

WRONG += [
    wrong(targets("return features[0]"), "one view", "all", "mean", "first view"),
    wrong(targets("return features[-1]"), "one view", "all", "mean", "last view"),
    wrong(targets("return features[:2].mean(dim=0)"), "all", "every view", "two views", "left out"),
    wrong(targets("return features[1:].mean(dim=0)"), "all", "every view", "first view", "left out", "itself"),
    wrong(targets("return features.mean(dim=1)"), *VIEWS, *SHAPE, "images"),
    wrong(targets("return features.mean(dim=2)"), *VIEWS, *SHAPE),
    wrong(targets("return features.mean(dim=(0, 1))"), *SHAPE, "each image", "images", "own"),
    wrong(targets("return features.mean(dim=(0, 1)).expand_as(features[0])"), "each image", "images", "own", "batch"),
    wrong(targets("return features.sum(dim=0)"), "mean", "sum", "divi", *FACTOR, misleading=()),
    wrong(
        targets("return features.sum(dim=0) / (len(features) - 1)"),
        "T - 1",
        "- 1",
        "mean",
        "divi",
        *FACTOR,
        misleading=(),
    ),
    wrong(targets("return features.sum(dim=0) / features.shape[1]"), "T", "N", "divi", "views", "mean"),
    wrong(targets("return features.median(dim=0).values"), "median", "mean", "squared", "absolute"),
    wrong(targets("return (features.amax(0) + features.amin(0)) / 2"), "mean", "middle", "extreme", "largest", "all"),
    wrong(targets("return F.normalize(features.mean(dim=0), dim=1)"), "unit", "normalis", "length"),
    wrong(targets("return F.normalize(features, dim=2).mean(dim=0)"), "unit", "normalis", "length"),
    wrong(
        targets("T, N, D = features.shape\nreturn features.reshape(N, T, D).mean(dim=1)"),
        "reshape",
        "permut",
        "transpos",
        "view",
        "mix",
        "order",
    ),
    wrong(
        targets("best = features[0]\nfor view in features[1:]:\n    best += view\nreturn best / len(features)"),
        *IN_PLACE,
    ),
    wrong(targets("return features.mean(dim=0, keepdim=True)"), *SHAPE),
    wrong(targets("return features.mean(dim=0, keepdim=True).expand_as(features)"), *SHAPE),
    wrong(targets("m = features.mean(dim=0)\nreturn m - m.mean(dim=0)"), "centr", "mean", "subtract", "batch"),
    wrong(targets("return features.mean(dim=0).T"), "transpos", *SHAPE),
    wrong(targets("return features.float().mean(dim=0)"), *FLOAT32),
    wrong(edited(TARGETS_LOOP, ("range(T)", "range(T - 1)")), *LOOP, "last view"),
    wrong(
        edited(TARGETS_LOOP, ("    return total", "        return total")),
        *LOOP,
        "first view",
        "loop",
        "return",
        "one view",
    ),
    wrong(edited(TARGETS_LOOP, ("total + features[t]", "features[t]")), "last", "overwrit", "anew", "one view", "sum"),
    wrong(
        targets(
            """
            y = features[0]
            for view in features[1:]:
                y = (y + view) / 2
            return y
            """
        ),
        "weight",
        "equal",
        "mean",
        "running",
        "last",
    ),
    wrong(targets("return features.square().mean(dim=0).sqrt()"), "root", "square", "mean"),
]
RIGHT += [
    right(TARGETS_LOOP),
    right(targets("return sum(features) / len(features)")),
    right(targets("return features.mean(0)")),
    right(targets("return torch.einsum('tnd->nd', features) / features.size(0)")),
    right(
        targets("T, N, D = features.shape\nreturn features.permute(1, 2, 0).reshape(N * D, T).mean(dim=1).view(N, D)")
    ),
    right(
        targets(
            """
            y = features[0]
            for k, view in enumerate(features[1:], start=2):
                y = y + (view - y) / k
            return y
            """
        )
    ),
]

# --- mode_slopes ----------------------------------------------------------------------------------------------------


def mode(body: str) -> str:
    return function("mode_slopes(p, s, tau=1.0, sigma2=0.5, eta=0.1, alpha_p=1.0)", body)


MODE = mode(
    """
    bracket = tau - (1 + sigma2) * p
    dp = alpha_p * s * bracket - eta * p
    ds = 2 * p * s * bracket - 2 * eta * s
    return dp, ds
    """
)
MODE_LOOP = mode(
    """
    K = len(p)
    dp, ds = torch.zeros_like(p), torch.zeros_like(s)
    for k in range(K):
        g = tau - (1 + sigma2) * p[k]
        dp[k] = alpha_p * s[k] * g - eta * p[k]
        ds[k] = 2 * p[k] * s[k] * g - 2 * eta * s[k]
    return dp, ds
    """
)
DECAY = ("decay", "eta")
BRACKET = ("bracket", "1 + sigma", "(1 + sigma", "sigma2", "tau")

WRONG += [
    wrong(edited(MODE, ("alpha_p * s", "s")), "alpha_p"),
    wrong(edited(MODE, ("alpha_p * s * bracket - eta * p", "alpha_p * (s * bracket - eta * p)")), "alpha_p", *DECAY),
    wrong(edited(MODE, ("2 * p * s", "2 * alpha_p * p * s")), "alpha_p", "encoder"),
    wrong(edited(MODE, ("2 * p * s", "p * s")), "2", "two", "chain", "half", "s'"),
    wrong(edited(MODE, ("- 2 * eta * s", "- eta * s")), "2", "two", *DECAY),
    wrong(
        edited(MODE, ("    ds = 2 * p * s * bracket - 2 * eta * s", "    ds = p * s * bracket - eta * s")),
        "2",
        "two",
        "chain",
        *FACTOR,
        misleading=(),
    ),
    wrong(edited(MODE, (" - eta * p", "")), *DECAY),
    wrong(edited(MODE, (" - 2 * eta * s", "")), *DECAY),
    wrong(edited(MODE, ("- eta * p", "+ eta * p"), ("- 2 * eta", "+ 2 * eta")), *DECAY, *SIGN),
    wrong(edited(MODE, ("tau - (1 + sigma2) * p", "(1 + sigma2) * p - tau")), *SIGN, "bracket", "descen"),
    wrong(edited(MODE, ("(1 + sigma2)", "sigma2")), *BRACKET),
    wrong(edited(MODE, ("(1 + sigma2)", "(1 + sigma2**2)")), *BRACKET, "square", "already"),
    wrong(edited(MODE, ("(1 + sigma2) * p", "(1 + sigma2)")), *BRACKET, "p"),
    wrong(edited(MODE, ("tau - (1 + sigma2) * p", "tau * (1 - (1 + sigma2) * p)")), *BRACKET),
    wrong(edited(MODE, ("bracket = tau", "bracket = 1")), "tau", *IGNORED),
    wrong(edited(MODE, ("2 * p * s", "2 * s")), "p", "s'", "encoder"),
    wrong(edited(MODE, ("2 * p * s", "2 * p**2 * s")), "p", "s'", "square"),
    wrong(edited(MODE, ("alpha_p * s * bracket", "alpha_p * bracket")), "s", "p'", "factor s"),
    wrong(
        edited(MODE, ("2 * p * s * bracket - 2 * eta * s", "p * s.sqrt() * bracket - eta * s.sqrt()")),
        "w'",
        "w^2",
        "2 w",
        "root",
        "chain",
        "s = w",
    ),
    wrong(edited(MODE, ("return dp, ds", "return ds, dp")), *ORDER),
    wrong(
        edited(MODE, ("ds = 2 * p * s * bracket", "ds = 2 * p * s * (2 * tau - (1 + sigma2) * p)")),
        *STOP,
        "tau",
        "twice",
    ),
    wrong(edited(MODE, ("- eta * p", "- eta * s")), *DECAY),
    wrong(edited(MODE, ("- 2 * eta * s", "- 2 * eta * p")), *DECAY),
    wrong(edited(MODE, ("return dp, ds", "return -dp, -ds")), *SIGN, "descen", misleading=()),
    wrong(edited(MODE, ("return dp, ds", "return dp.sum(), ds.sum()")), *SHAPE, "each mode", "(K,)", "sum"),
    wrong(edited(MODE, ("return dp, ds", "return p + dp, s + ds")), "slope", "step", "p itself", "added", "derivative"),
    wrong(
        edited(MODE, ("ds = 2 * p * s * bracket", "p = p + dp\n    ds = 2 * p * s * bracket")),
        "old",
        "new",
        "updated",
        "same p",
        "at the same",
        "before",
    ),
    wrong(edited(MODE, ("bracket = ", "p, s = p.float(), s.float()\n    bracket = ")), *FLOAT32),
    wrong(
        edited(
            MODE, ("dp = alpha_p * s * bracket", "s *= bracket\n    dp = alpha_p * s"), ("p * s * bracket", "p * s")
        ),
        *IN_PLACE,
    ),
    wrong(edited(MODE, ("2 * p * s * bracket", "2 * p.detach() * s * bracket")), *CUT),
    wrong(edited(MODE_LOOP, ("range(K)", "range(K - 1)")), *LOOP, "last mode"),
]
RIGHT += [
    right(MODE_LOOP),
    right(
        mode(
            "a = 1 + sigma2\nreturn alpha_p * s * tau - alpha_p * a * s * p - eta * p, 2 * s * (p * tau - a * p**2 - eta)"
        )
    ),
    right(mode("g = s * (tau - p - sigma2 * p)\nreturn [alpha_p * g - eta * p, 2 * (p * g - eta * s)]")),
    right(
        mode(
            """
            w = s.sqrt()
            dw = -((1 + sigma2) * p**2 * w - p * tau * w) - eta * w
            dp = -alpha_p * ((1 + sigma2) * p * w**2 - w * tau * w) - eta * p
            return dp, 2 * w * dw
            """
        )
    ),
    right(
        mode(
            "dp = alpha_p * s * (tau - (1 + sigma2) * p)\nds = 2 / alpha_p * p * dp\nreturn dp - eta * p, ds - 2 * eta * s"
        )
    ),
]

# --- resting_points -------------------------------------------------------------------------------------------------


def roots(body: str) -> str:
    return function("resting_points(tau, sigma2, eta)", body)


ROOTS = roots(
    """
    a = 1 + sigma2
    disc = torch.sqrt(tau**2 - 4 * a * eta)
    return (tau - disc) / (2 * a), (tau + disc) / (2 * a)
    """
)

WRONG += [
    wrong(
        edited(
            ROOTS, ("(tau - disc) / (2 * a), (tau + disc) / (2 * a)", "(tau + disc) / (2 * a), (tau - disc) / (2 * a)")
        ),
        *ORDER,
        "smaller",
    ),
    wrong(
        edited(ROOTS, ("/ (2 * a)", "/ 2 * a")), "bracket", "parenthes", "divi", "2 (1", "multipl", "2a", "denominator"
    ),
    wrong(edited(ROOTS, ("/ (2 * a)", "/ a")), "2", "half", "two", *FACTOR, misleading=()),
    wrong(edited(ROOTS, ("/ (2 * a)", "/ 2")), "1 + sigma", "divi", "denominator", "sigma2"),
    wrong(edited(ROOTS, ("tau**2 -", "tau -")), "square", "tau^2", "tau**2", "discriminant", "root"),
    wrong(edited(ROOTS, ("- 4 * a", "+ 4 * a")), *SIGN, "discriminant", "under the root"),
    wrong(edited(ROOTS, ("- 4 * a * eta", "- a * eta")), "4", "discriminant", "under the root"),
    wrong(edited(ROOTS, ("- 4 * a * eta", "- 4 * eta")), "1 + sigma", "discriminant", "under the root", "sigma2"),
    wrong(edited(ROOTS, ("- 4 * a * eta", "- 4 * a * eta**2")), "eta", "square", "discriminant"),
    wrong(edited(ROOTS, ("- 4 * a * eta", "- 4 * a")), "eta", *IGNORED),
    wrong(edited(ROOTS, ("torch.sqrt(tau**2 - 4 * a * eta)", "tau**2 - 4 * a * eta")), "root", "sqrt"),
    wrong(edited(ROOTS, ("(tau - disc)", "(-tau - disc)"), ("(tau + disc)", "(-tau + disc)")), *SIGN, "-tau", "tau"),
    wrong(edited(ROOTS, ("a = 1 + sigma2", "a = sigma2")), "1 + sigma", "sigma2"),
    wrong(edited(ROOTS, ("a = 1 + sigma2", "a = 1 + sigma2**2")), "square", "sigma2", "1 + sigma"),
    wrong(edited(ROOTS, ("a = 1 + sigma2", "a = 1 + sigma2.sqrt()")), "root", "sigma2", "1 + sigma"),
    wrong(edited(ROOTS, ("    disc =", "    tau = torch.ones_like(tau)\n    disc =")), "tau", *IGNORED),
    wrong(
        edited(ROOTS, ("return (tau - disc) / (2 * a)", "return torch.zeros_like(tau)")),
        "zero",
        "0",
        "collapse",
        "quadratic",
        "p_minus",
    ),
    wrong(
        edited(ROOTS, ("return (tau - disc) / (2 * a), (tau + disc) / (2 * a)", "return (tau + disc) / (2 * a)")),
        "two",
        "both",
        "outputs",
        "tuple",
        "p_minus",
    ),
    wrong(
        edited(
            ROOTS,
            (
                "(tau - disc) / (2 * a), (tau + disc) / (2 * a)",
                "((tau - disc) / (2 * a)) ** 2, ((tau + disc) / (2 * a)) ** 2",
            ),
        ),
        "square",
        "p, not s",
        "p^2",
        "s = p",
    ),
    wrong(
        edited(ROOTS, ("(tau - disc) / (2 * a), (tau + disc) / (2 * a)", "tau - disc / (2 * a), tau + disc / (2 * a)")),
        "bracket",
        "parenthes",
        "tau",
        "divi",
    ),
    wrong(
        roots("a = 1 + sigma2\nh = tau / 2\nr = (h**2 - 4 * a * eta).sqrt()\nreturn (h - r) / a, (h + r) / a"),
        "4",
        "discriminant",
        "under the root",
    ),
    wrong(roots("return eta / tau, tau / (1 + sigma2)"), "root", "approximat", "quadratic", "exact", "sqrt"),
    wrong(
        roots(
            "c = tau**2 / (4 * (1 + sigma2))\nreturn tau / (2 * (1 + sigma2)) - (c - eta).sqrt(), tau / (2 * (1 + sigma2)) + (c - eta).sqrt()"
        ),
        "1 + sigma",
        "divi",
        "root",
        "sqrt",
    ),
    wrong(
        edited(
            ROOTS, ("a = 1 + sigma2", "tau, sigma2, eta = tau.float(), sigma2.float(), eta.float()\n    a = 1 + sigma2")
        ),
        *FLOAT32,
    ),
    wrong(edited(ROOTS, ("a = 1 + sigma2", "sigma2 += 1\n    a = sigma2")), *IN_PLACE),
    wrong(
        roots("a = 1 + sigma2[0]\nr = (tau**2 - 4 * a * eta).sqrt()\nreturn (tau - r) / (2 * a), (tau + r) / (2 * a)"),
        "own",
        "each",
        "first",
        "mode",
        "entry",
        "sigma2",
    ),
    wrong(
        roots(
            """
            out = []
            for t, v, e in zip(tau.tolist(), sigma2.tolist(), eta.tolist()):
                r = math.sqrt(t * t - 4 * (1 + v) * e)
                out.append(((t - r) / (2 + 2 * v), (t + r) / (2 + 2 * v)))
            low, high = zip(*out)
            return torch.tensor(low).to(tau), torch.tensor(high).to(tau)
            """
        ),
        *CUT,
        *FLOAT32,
        "math domain",
    ),
]
RIGHT += [
    right(ROOTS),
    right(roots("a = 1 + sigma2\nq = (tau + (tau * tau - 4 * a * eta) ** 0.5) / 2\nreturn eta / q, q / a")),
    right(roots("m = tau / (2 * (1 + sigma2))\nr = torch.sqrt(m**2 - eta / (1 + sigma2))\nreturn m - r, m + r")),
    right(
        roots(
            "c = tau**2 / 4 / (1 + sigma2)\nf = (1 - eta / c).sqrt()\nm = tau / 2 / (1 + sigma2)\nreturn m * (1 - f), m * (1 + f)"
        )
    ),
    right(
        roots(
            """
            a = 1 + sigma2
            found = [(tau + k * torch.sqrt(tau.square() - 4 * a * eta)) / a / 2 for k in (-1, 1)]
            return found
            """
        )
    ),
]

# --- field_jacobian -------------------------------------------------------------------------------------------------


def jacobian(body: str) -> str:
    return function("field_jacobian(w, w_p, sigma2=0.5)", body)


JACOBIAN = jacobian(
    """
    a = 1 + sigma2
    ww, wp = w_p - a * w_p**2, w - 2 * a * w * w_p
    pw, pp = 2 * w - 2 * a * w * w_p, -a * w**2
    return torch.stack([torch.stack([ww, wp]), torch.stack([pw, pp])])
    """
)
PLACE = ("entry", "row", "column", "derivative", "[0, 0]", "[0, 1]", "[1, 0]", "[1, 1]", "(0,", "(1,")

WRONG += [
    wrong(
        edited(JACOBIAN, ("[ww, wp]), torch.stack([pw, pp])", "[ww, pw]), torch.stack([wp, pp])")),
        "transpos",
        "row",
        "column",
    ),
    wrong(edited(JACOBIAN, ("pw, pp = 2 * w -", "pw, pp = w -")), *PLACE, "symmetric", "2 w"),
    wrong(
        edited(JACOBIAN, ("wp = w_p - a * w_p**2, w -", "wp = w_p - a * w_p**2, 2 * w -")), *PLACE, *STOP, "symmetric"
    ),
    wrong(edited(JACOBIAN, ("a = 1 + sigma2", "a = 1")), "sigma2", *IGNORED, "a ="),
    wrong(edited(JACOBIAN, ("a = 1 + sigma2", "a = 1.5")), "sigma2", *IGNORED),
    wrong(edited(JACOBIAN, ("a = 1 + sigma2", "a = sigma2")), "1 + sigma", "sigma2"),
    wrong(edited(JACOBIAN, ("a = 1 + sigma2", "a = 1 + sigma2**2")), "square", "sigma2", "1 + sigma"),
    wrong(edited(JACOBIAN, ("w - 2 * a * w * w_p\n", "w - a * w * w_p\n")), *PLACE, "2"),
    wrong(edited(JACOBIAN, ("2 * w - 2 * a * w * w_p", "2 * w - a * w * w_p")), *PLACE, "2"),
    wrong(edited(JACOBIAN, ("-a * w**2", "-a * w")), *PLACE, "square", "w^2"),
    wrong(edited(JACOBIAN, ("-a * w**2", "w**2 - a * w**2")), *PLACE, "constant", "does not depend on w_p"),
    wrong(edited(JACOBIAN, ("-a * w**2", "a * w**2")), *PLACE, *SIGN),
    wrong(edited(JACOBIAN, ("w_p - a * w_p**2", "w_p - 2 * a * w_p")), *PLACE, "2"),
    wrong(edited(JACOBIAN, ("w_p - a * w_p**2", "1 - a * w_p**2")), *PLACE, "w_p"),
    wrong(edited(JACOBIAN, ("return torch", "return -torch")), *SIGN, "descen", misleading=()),
    wrong(
        edited(JACOBIAN, ("[ww, wp]), torch.stack([pw, pp])", "[pw, pp]), torch.stack([ww, wp])")),
        "row",
        "order",
        "swap",
        "first",
    ),
    wrong(
        edited(JACOBIAN, ("[ww, wp]), torch.stack([pw, pp])", "[wp, ww]), torch.stack([pp, pw])")),
        "column",
        "order",
        "swap",
    ),
    wrong(
        edited(
            JACOBIAN, ("torch.stack([torch.stack([ww, wp]), torch.stack([pw, pp])])", "torch.stack([ww, wp, pw, pp])")
        ),
        *SHAPE,
        "(2, 2)",
    ),
    wrong(
        edited(
            JACOBIAN,
            ("torch.stack([torch.stack([ww, wp]), torch.stack([pw, pp])])", "torch.diag(torch.stack([ww, pp]))"),
        ),
        "off",
        "diagonal",
        "mixed",
        "column",
        "all four",
    ),
    wrong(
        edited(
            JACOBIAN,
            (
                "torch.stack([torch.stack([ww, wp]), torch.stack([pw, pp])])",
                "torch.stack([w * w_p - a * w * w_p**2, w**2 - a * w**2 * w_p])",
            ),
        ),
        *SHAPE,
        "(2, 2)",
        "derivative",
        "slopes",
    ),
    wrong(
        jacobian(
            """
            a = 1 + sigma2
            cross = w - 2 * a * w * w_p
            return torch.stack([w_p - a * w_p**2, cross, cross, -a * w**2]).view(2, 2)
            """
        ),
        "symmetric",
        *PLACE,
    ),
    wrong(
        jacobian(
            """
            a = 1 + sigma2
            cross = 2 * w - 2 * a * w * w_p
            return torch.stack([2 * w_p - a * w_p**2 - a, cross, cross, -a * w**2]).view(2, 2)
            """
        ),
        "symmetric",
        *STOP,
    ),
    wrong(edited(JACOBIAN, ("2 * w - 2 * a * w * w_p", "2 * w * (1 - a * w)")), *PLACE, "w_p"),
    wrong(edited(JACOBIAN, ("w - 2 * a * w * w_p\n", "-2 * a * w * w_p\n")), *PLACE, "first term", "w w_p"),
    wrong(edited(JACOBIAN, ("w_p - a * w_p**2", "w_p - a * w_p**2 - 0.1")), *PLACE, "decay", "constant"),
    wrong(edited(JACOBIAN, ("a = 1 + sigma2", "w, w_p = w.float(), w_p.float()\n    a = 1 + sigma2")), *FLOAT32),
    wrong(edited(JACOBIAN, ("-a * w**2", "-a * w.mul_(w)")), *IN_PLACE),
]
RIGHT += [
    right(JACOBIAN),
    right(
        jacobian(
            "a = 1 + sigma2\nreturn torch.tensor([[w_p - a * w_p**2, w - 2 * a * w * w_p], [2 * w * (1 - a * w_p), -a * w**2]]).to(w)"
        )
    ),
    right(
        jacobian(
            """
            a = 1 + sigma2
            out = torch.zeros(2, 2, dtype=w.dtype)
            out[0, 0] = w_p * (1 - a * w_p)
            out[0, 1] = w * (1 - 2 * a * w_p)
            out[1, 0] = out[0, 1] + w
            out[1, 1] = -a * w * w
            return out
            """
        )
    ),
    right(
        jacobian(
            """
            m = 1 + sigma2
            g = 1 - m * w_p
            symmetric = torch.stack([w_p * g, w * g - m * w * w_p, w * g - m * w * w_p, -m * w.square()]).reshape(2, 2)
            extra = torch.zeros_like(symmetric)
            extra[1, 0] = w
            return symmetric + extra
            """
        )
    ),
    right(
        jacobian(
            """
            k = 1 + sigma2
            first = torch.hstack([w_p - k * w_p * w_p, w - 2 * k * w * w_p])
            second = torch.hstack([2 * w - 2 * k * w * w_p, -k * w.pow(2)])
            return torch.vstack([first, second])
            """
        )
    ),
]

# --- direct_predictors ----------------------------------------------------------------------------------------------


def direct(body: str) -> str:
    return function("direct_predictors(correlation, eps=0.1)", body)


DIRECT = direct(
    """
    s, U = torch.linalg.eigh(correlation)
    s = s.clamp(min=0)
    top = s.max()
    paper = s.sqrt() + eps * top
    code = ((s / top).sqrt() + eps).clamp(min=1e-4)
    return U @ torch.diag(paper) @ U.T, U @ torch.diag(code) @ U.T
    """
)
EIGEN = ("eigen", "spectr", "U diag", "basis")

WRONG += [
    wrong(
        edited(
            DIRECT,
            (
                "return U @ torch.diag(paper) @ U.T, U @ torch.diag(code) @ U.T",
                "return U @ torch.diag(code) @ U.T, U @ torch.diag(paper) @ U.T",
            ),
        ),
        *ORDER,
    ),
    wrong(edited(DIRECT, ("s.sqrt() + eps", "s + eps"), ("(s / top).sqrt()", "s / top")), "root", "sqrt"),
    wrong(
        edited(
            DIRECT,
            ("U @ torch.diag(paper) @ U.T", "U.T @ torch.diag(paper) @ U"),
            ("U @ torch.diag(code) @ U.T", "U.T @ torch.diag(code) @ U"),
        ),
        *EIGEN,
        "transpos",
        "column",
    ),
    wrong(edited(DIRECT, (" + eps * top", ""), ("(s / top).sqrt() + eps", "(s / top).sqrt()")), "eps"),
    wrong(edited(DIRECT, ("eps * top", "eps")), "max", "largest", "paper", "eps"),
    wrong(edited(DIRECT, ("eps * top", "eps * top.sqrt()")), "root", "sqrt", "max", "largest", "eps"),
    wrong(
        edited(DIRECT, ("s.sqrt() + eps * top", "(s + eps * top).sqrt()")), "root", "sqrt", "inside", "outside", "eps"
    ),
    wrong(
        edited(DIRECT, ("(s / top).sqrt() + eps)", "(s / top + eps).sqrt())")),
        "root",
        "sqrt",
        "inside",
        "outside",
        "eps",
    ),
    wrong(edited(DIRECT, ("(s / top).sqrt()", "s.sqrt()")), "divi", "max", "largest", "code"),
    wrong(edited(DIRECT, ("(s / top).sqrt()", "s.sqrt() / top")), "root", "before", "inside", "divi", "largest", "max"),
    wrong(edited(DIRECT, ("top = s.max()", "top = correlation.max()")), *EIGEN, "largest", "entry", "max"),
    wrong(edited(DIRECT, ("top = s.max()", "top = s.sum()")), "max", "largest", "sum", "trace"),
    wrong(edited(DIRECT, ("top = s.max()", "top = s[0]")), "max", "largest", "last", "ascending", "order"),
    wrong(
        edited(DIRECT, ("return U @ torch.diag(paper) @ U.T, U @ torch.diag(code) @ U.T", "return paper, code")),
        *SHAPE,
        "matri",
        "(D, D)",
    ),
    wrong(
        edited(
            DIRECT,
            (
                "return U @ torch.diag(paper) @ U.T, U @ torch.diag(code) @ U.T",
                "return torch.diag(paper), torch.diag(code)",
            ),
        ),
        *EIGEN,
        "U",
        "rotat",
    ),
    wrong(
        direct(
            "top = torch.linalg.eigvalsh(correlation).max()\nreturn correlation.sqrt() + eps * top, (correlation / top).sqrt() + eps"
        ),
        *EIGEN,
        "each entry",
        "element",
        "matrix root",
        "nan",
    ),
    wrong(
        direct(
            """
            s, U = torch.linalg.eigh(correlation)
            s = s.clamp(min=0)
            top = s.max()
            paper = U @ torch.diag(s.sqrt()) @ U.T + eps * top
            code = U @ torch.diag((s / top).sqrt()) @ U.T + eps
            return paper, code
            """
        ),
        "identity",
        "diagonal",
        "eigenvalue",
        "every entry",
        "eye",
        "matrix",
    ),
    wrong(
        direct(
            "s = correlation.diagonal()\ntop = s.max()\nreturn torch.diag(s.sqrt() + eps * top), torch.diag((s / top).sqrt() + eps)"
        ),
        *EIGEN,
        "diagonal",
    ),
    wrong(
        direct(
            "L = torch.linalg.cholesky(correlation)\neye = torch.eye(len(L)).to(L)\ntop = torch.linalg.eigvalsh(correlation).max()\nreturn L + eps * top * eye, L / top.sqrt() + eps * eye"
        ),
        *EIGEN,
        "symmetric",
        "triang",
        "cholesky",
    ),
    wrong(edited(DIRECT, (".clamp(min=1e-4)", "")), "1e-4", "at least", "floor", "clamp", "10^-4", "0.0001"),
    wrong(
        edited(DIRECT, (".clamp(min=1e-4)", ".clamp(max=1e-4)")), "1e-4", "at least", "floor", "min", "10^-4", "clamp"
    ),
    wrong(
        edited(DIRECT, ("paper = s.sqrt() + eps * top", "paper = (s.sqrt() + eps * top).clamp(min=1e-4)")),
        "1e-4",
        "floor",
        "clamp",
        "at least",
        "paper",
        "code's",
    ),
    wrong(
        edited(DIRECT, ("+ eps).clamp(min=1e-4)", ").clamp(min=1e-4) + eps")),
        "1e-4",
        "floor",
        "clamp",
        "at least",
        "after",
        note="the floor bites only at eps 0, where the order does not matter unless eps is tiny",
    ),
    wrong(
        edited(DIRECT, ("    s = s.clamp(min=0)\n", "")),
        "negative",
        "nan",
        "clamp",
        "rounding",
        "finite",
        note="rounding makes a zero eigenvalue negative: nan",
    ),
    wrong(
        edited(DIRECT, ("top = s.max()", "s = s.flip(0)\n    top = s.max()")), *EIGEN, "order", "pair", "flip", "own"
    ),
    wrong(
        edited(
            DIRECT,
            ("s.sqrt() + eps * top", "s.clamp(min=1e-9).rsqrt() + eps * top"),
            ("(s / top).sqrt()", "(s / top).clamp(min=1e-9).rsqrt()"),
        ),
        "inverse",
        "root",
        "whiten",
        "1 /",
        "rsqrt",
    ),
    wrong(edited(DIRECT, ("@ U.T", "@ U")), *EIGEN, "transpos", "inverse"),
    wrong(edited(DIRECT, ("U @ torch.diag(paper) @ U.T", "U * paper @ U.T.T")), *EIGEN, "transpos"),
    wrong(edited(DIRECT, ("eps * top", "0.1 * top"), ("sqrt() + eps)", "sqrt() + 0.1)")), "eps", *IGNORED),
    wrong(
        edited(DIRECT, ("s, U = torch.linalg.eigh(correlation)", "s, U = torch.linalg.eigh(correlation.float())")),
        *FLOAT32,
    ),
    wrong(
        edited(DIRECT, ("s, U = torch", "correlation /= 1 + 0 * correlation.norm() + 0.5\n    s, U = torch")), *IN_PLACE
    ),
    wrong(
        direct(
            """
            s, U = torch.linalg.eigh(correlation - correlation.mean(dim=0))
            s = s.clamp(min=0)
            top = s.max()
            paper, code = s.sqrt() + eps * top, ((s / top).sqrt() + eps).clamp(min=1e-4)
            return U @ torch.diag(paper) @ U.T, U @ torch.diag(code) @ U.T
            """
        ),
        "centr",
        "mean",
        "subtract",
    ),
]
RIGHT += [
    right(DIRECT),
    right(
        direct(
            """
            U, s, V = torch.linalg.svd(correlation)
            eye = torch.eye(len(s), dtype=s.dtype)
            root = U * s.sqrt() @ U.T
            code = U * ((s / s[0]).sqrt() + eps).clamp(min=1e-4) @ U.T
            return root + eps * s[0] * eye, code
            """
        )
    ),
    right(
        direct(
            """
            s, U = torch.linalg.eigh(correlation)
            s = torch.relu(s)
            form = lambda p: torch.einsum("ik,k,jk->ij", U, p, U)
            floor = torch.tensor(1e-4, dtype=s.dtype)
            return form(s**0.5 + eps * s[-1]), form(torch.maximum((s / s[-1]) ** 0.5 + eps, floor))
            """
        )
    ),
    right(
        direct(
            """
            s, U = torch.linalg.eigh(correlation)
            s = torch.where(s > 0, s, torch.zeros_like(s))
            paper = code = torch.zeros_like(correlation)
            for value, u in zip(s, U.T):
                one = torch.outer(u, u)
                paper = paper + (value.sqrt() + eps * s.max()) * one
                code = code + max((value / s.max()).sqrt() + eps, 1e-4) * one
            return [paper, code]
            """
        )
    ),
]

# --- siamese_step ---------------------------------------------------------------------------------------------------


def step(body: str) -> str:
    return function("siamese_step(x_a, x_b, w, w_p)", body)


STEP = step(
    """
    z_a, z_b = x_a @ w, x_b @ w
    p_a, p_b = z_a @ w_p, z_b @ w_p
    return simsiam(p_a, p_b, z_a, z_b)[0]
    """
)
STEP_COS = step(
    """
    z_a, z_b = x_a @ w, x_b @ w
    p_a, p_b = z_a @ w_p, z_b @ w_p
    ab = F.cosine_similarity(p_a, z_b.detach()).mean()
    ba = F.cosine_similarity(p_b, z_a.detach()).mean()
    return -(ab + ba) / 2
    """
)

WRONG += [
    wrong(
        step(
            """
            z_a, z_b = x_a @ w, x_b @ w
            p_a, p_b = (z_a @ w_p).detach(), (z_b @ w_p).detach()
            return -(F.cosine_similarity(p_a, z_b).mean() + F.cosine_similarity(p_b, z_a).mean()) / 2
            """
        ),
        *STOP,
        "wrong side",
        "prediction",
    ),
    wrong(edited(STEP_COS, (".detach()", "")), *STOP),
    wrong(edited(STEP, ("z_b)[0]", "z_b, stop_gradient=False)[0]")), *STOP),
    wrong(edited(STEP_COS, ("z_a.detach()", "z_a")), *STOP, "z_a", "one direction"),
    wrong(edited(STEP_COS, ("p_a, z_b.det", "p_a, z_a.det"), ("p_b, z_a.det", "p_b, z_b.det")), *CROSS),
    wrong(edited(STEP, ("z_a, z_b)[0]", "z_b, z_a)[0]")), *CROSS, "order"),
    wrong(edited(STEP, ("x_a @ w, x_b @ w", "(x_a @ w).detach(), (x_b @ w).detach()")), *CUT, "encoder", "w "),
    wrong(edited(STEP, ("z_a @ w_p, z_b @ w_p", "z_a @ w_p.detach(), z_b @ w_p.detach()")), *CUT, "predictor", "w_p"),
    wrong(edited(STEP, ("z_a @ w_p, z_b @ w_p", "z_a.detach() @ w_p, z_b.detach() @ w_p")), *CUT, "encoder", "w "),
    wrong(edited(STEP, ("(p_a, p_b, z_a, z_b)[0]", "(p_a, p_b, z_a, z_b)[0].detach()")), *CUT),
    wrong(
        edited(STEP, ("(p_a, p_b, z_a, z_b)[0]", "(z_a, z_b, p_a, p_b)[0]")), *STOP, "swap", "prediction", "wrong side"
    ),
    wrong(edited(STEP, ("(p_a, p_b, z_a, z_b)[0]", "(p_a, p_b, p_a, p_b)[0]")), "target", "predictor", "both", "z"),
    wrong(edited(STEP, ("(p_a, p_b, z_a, z_b)[0]", "(z_a, z_b, z_a, z_b)[0]")), "predictor", "w_p", *IGNORED),
    wrong(
        edited(STEP, ("(p_a, p_b, z_a, z_b)[0]", "(p_a, p_b, z_a, z_b)")),
        "total",
        "tuple",
        "one number",
        "outputs",
        "scalar",
        "three",
        "3",
    ),
    wrong(edited(STEP, ("(p_a, p_b, z_a, z_b)[0]", "(p_a, p_b, z_a, z_b)[1]")), "both", "direction", "total", "half"),
    wrong(
        edited(STEP, ("simsiam(p_a, p_b, z_a, z_b)[0]", "byol(p_a, p_b, z_a, z_b)[0]")),
        "simsiam",
        "byol",
        "unit",
        "2 - 2",
        "cos",
    ),
    wrong(
        edited(STEP_COS, ("return -(ab + ba) / 2", "return -(ab + ba)")), "mean", "sum", "half", *FACTOR, misleading=()
    ),
    wrong(edited(STEP_COS, ("return -(", "return (")), *SIGN, misleading=()),
    wrong(edited(STEP_COS, ("return -(ab + ba) / 2", "return -ab")), "both", "direction", "one"),
    wrong(edited(STEP, ("z_a @ w_p, z_b @ w_p", "z_a @ w_p.T, z_b @ w_p.T")), "transpos", "w_p"),
    wrong(edited(STEP_COS, (".detach()).mean()", ".detach(), dim=0).mean()")), *AXIS),
    wrong(
        edited(
            STEP_COS,
            ("F.cosine_similarity(p_a, z_b.detach())", "(p_a * z_b.detach()).sum(1)"),
            ("F.cosine_similarity(p_b, z_a.detach())", "(p_b * z_a.detach()).sum(1)"),
        ),
        *UNIT,
    ),
    wrong(
        edited(STEP, ("    p_a,", "    z_a, z_b = z_a - z_a.mean(0), z_b - z_b.mean(0)\n    p_a,")),
        "centr",
        "mean",
        "subtract",
        "batch",
    ),
    wrong(
        edited(STEP, ("    p_a,", "    z_a, z_b = F.normalize(z_a, dim=0), F.normalize(z_b, dim=0)\n    p_a,")),
        *AXIS,
        *UNIT,
    ),
    wrong(edited(STEP, ("z_a @ w_p, z_b @ w_p", "(z_a @ w_p).relu(), (z_b @ w_p).relu()")), "relu", "linear"),
    wrong(
        step(
            """
            z_a = x_a @ w
            with torch.no_grad():
                z_b = x_b @ w
            return -F.cosine_similarity(z_a @ w_p, z_b).mean()
            """
        ),
        "both",
        "direction",
        "one",
    ),
    wrong(
        step(
            """
            with torch.no_grad():
                z_a, z_b = x_a @ w, x_b @ w
            p_a, p_b = z_a @ w_p, z_b @ w_p
            return simsiam(p_a, p_b, z_a, z_b)[0]
            """
        ),
        *CUT,
        "encoder",
        "w ",
    ),
    wrong(
        edited(
            STEP,
            ("x_a @ w, x_b @ w", "x_a.float() @ w.float(), x_b.float() @ w.float()"),
            ("z_a @ w_p, z_b @ w_p", "z_a @ w_p.float(), z_b @ w_p.float()"),
        ),
        *FLOAT32,
    ),
    wrong(edited(STEP, ("x_a @ w, x_b @ w", "x_a @ w, x_a @ w")), "x_b", "view", "twice", *IGNORED),
]
RIGHT += [
    right(STEP),
    right(STEP_COS),
    right(
        step(
            """
            z = torch.stack([x_a @ w, x_b @ w])
            p = z @ w_p
            return -F.cosine_similarity(p, z.flip(0).detach(), dim=2).mean()
            """
        )
    ),
    right(
        step(
            "target_a, target_b = x_a @ w.detach(), x_b @ w.detach()\ntotal, *_ = byol(x_a @ w @ w_p, x_b @ w @ w_p, target_a, target_b)\nreturn total / 4 - 1"
        )
    ),
    right(
        step(
            """
            total = 0.0
            for x, other in ((x_a, x_b), (x_b, x_a)):
                with torch.no_grad():
                    goal = F.normalize(other @ w, dim=1)
                guess = F.normalize(x @ w @ w_p, dim=1)
                total = total - torch.einsum("nd,nd->n", guess, goal).mean()
            return total / 2
            """
        )
    ),
]

# --- on which arguments the answers are compared with the references ------------------------------------------------


def normal(generator: Generator, *shape: int) -> Tensor:
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def leaf(x: Tensor) -> Tensor:
    return x.detach().clone().requires_grad_()


SHAPES = ((5, 3), (4, 4), (3, 6), (7, 2))


def of_distances(generator: Generator) -> list[tuple[Any, ...]]:
    """The target is a leaf as well: where the gradient enters it is part of what is asked."""
    return [
        (leaf(3 * normal(generator, *shape)), leaf(normal(generator, *shape)), *flag)
        for shape in SHAPES
        for flag in ((), (False,))
    ]


def of_pairs(generator: Generator) -> list[tuple[Any, ...]]:
    return [tuple(leaf(k * normal(generator, *shape)) for k in (1, 2, 0.5, 3)) for shape in SHAPES]


def of_slopes(generator: Generator) -> list[tuple[Any, ...]]:
    """Without a gradient: what is returned is one itself."""
    return [(2 * normal(generator, *shape), normal(generator, *shape)) for shape in SHAPES]


def of_followers(generator: Generator) -> list[tuple[Any, ...]]:
    """Weights without a gradient: none enters the target network."""
    settings: tuple[tuple[float, ...], ...] = ((), (0.9,), (0.5,), (0.0,))
    return [(normal(generator, *shape), normal(generator, *shape), *m) for shape, m in zip(SHAPES, settings)]


def of_features(generator: Generator) -> list[tuple[Any, ...]]:
    """Without a gradient: in the other half of the alternation the targets are constants."""
    return [(normal(generator, *shape),) for shape in ((3, 4, 2), (5, 3, 3), (4, 5, 3), (2, 6, 4))]


def of_modes(generator: Generator) -> list[tuple[Any, ...]]:
    settings: tuple[tuple[float, ...], ...] = ((), (0.7,), (0.8, 0.3, 0.2, 2.0), (1.2, 1.1, 0.05, 0.5))
    return [
        (leaf(normal(generator, k)), leaf(normal(generator, k).exp()), *setting)
        for k, setting in zip((4, 3, 5, 1), settings)
    ]


def of_roots(generator: Generator) -> list[tuple[Any, ...]]:
    """Below the critical weight decay, where there are roots. Without a gradient: the lesson derives none by them."""
    cases = []
    for k in (4, 3, 6):
        tau, sigma2, below = (torch.rand(k, generator=generator, dtype=torch.float64) + 0.1 for _ in range(3))
        cases.append((tau, sigma2, 0.8 * below * tau**2 / (4 * (1 + sigma2))))
    return cases


def of_fields(generator: Generator) -> list[tuple[Any, ...]]:
    """Without a gradient: the entries are derivatives themselves."""
    settings: tuple[tuple[float, ...], ...] = ((), (0.2,), (1.3,))
    return [(normal(generator), normal(generator), *setting) for setting in settings]


def of_correlations(generator: Generator) -> list[tuple[Any, ...]]:
    """The last has eigenvalues that are exactly zero."""
    cases: list[tuple[Any, ...]] = []
    for d, setting in ((3, ()), (5, (0.3,)), (4, (0.02,))):
        z = normal(generator, 4 * d, d) * torch.arange(1, d + 1)
        cases.append((z.T @ z / len(z), *setting))
    return [*cases, (torch.diag(torch.tensor([2.0, 0.0, 0.5, 0.0], dtype=torch.float64)), 0.0)]


def of_steps(generator: Generator) -> list[tuple[Any, ...]]:
    """Views without a gradient, weights with one."""
    return [
        (normal(generator, n, i), normal(generator, n, i), leaf(normal(generator, i, d)), leaf(normal(generator, d, d)))
        for n, i, d in ((6, 5, 3), (4, 4, 4), (8, 3, 2))
    ]


INPUTS = {
    "directed_distance": of_distances,
    "byol": of_pairs,
    "simsiam": of_pairs,
    "prediction_gradient": of_slopes,
    "follow": of_followers,
    "best_targets": of_features,
    "mode_slopes": of_modes,
    "resting_points": of_roots,
    "field_jacobian": of_fields,
    "direct_predictors": of_correlations,
    "siamese_step": of_steps,
}
