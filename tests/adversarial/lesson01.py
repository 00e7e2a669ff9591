"""Answers to the exercises of lesson 01: InfoNCE and its relatives, alignment and uniformity, a queue."""

from __future__ import annotations

from typing import Any

import torch
from torch import Generator, Tensor

from tests.adversarial.answers import (
    CUT,
    FACTOR,
    FLOAT32,
    IN_PLACE,
    OVERFLOW,
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

LENGTH = ("length", "normal", "unit", "cosine")
MEAN = ("mean", "divided by N", "/ N", "1/N", "sum over")
AXIS = ("dim=", "axis", "column", "candidates", "row", "direction")
ORDER = ("order", "swap", "position", "outputs", "permut")
WHOLE = ("tuple", "three", "outputs", "(total", "one value", "one tensor")

# --- info_nce_loop --------------------------------------------------------------------------------------------------


def loop(body: str) -> str:
    return function("info_nce_loop(z_a, z_b, temperature=0.2)", body)


LOOP = loop(
    """
    n = len(z_a)
    alignment = 0
    contrast = 0
    for i in range(n):
        denominator = 0
        for j in range(n):
            s = torch.dot(z_a[i], z_b[j]) / (z_a[i].norm() * z_b[j].norm()) / temperature
            denominator = denominator + torch.exp(s)
            if i == j:
                alignment = alignment - s / n
        contrast = contrast + torch.log(denominator) / n
    return alignment + contrast, alignment, contrast
    """
)

WRONG += [
    wrong(
        edited(
            LOOP,
            ("contrast + torch.log(denominator) / n", "contrast + denominator / n"),
            ("    return", "    contrast = torch.log(contrast)\n    return"),
        ),
        "log inside",
        "inside the mean",
        "outside",
        "before the mean",
        "log of the mean",
        "mean of the log",
        "each anchor",
    ),
    wrong(edited(LOOP, ("torch.log(denominator)", "denominator")), "log"),
    wrong(edited(LOOP, ("torch.log(denominator)", "torch.log2(denominator)")), "log2", "base", "natural"),
    wrong(edited(LOOP, ("denominator + torch.exp(s)", "denominator + s")), "exp"),
    wrong(
        edited(LOOP, ("            denominator = d", "            if i != j:\n                denominator = d")),
        "positive",
        "j = i",
        "diagonal",
    ),
    wrong(edited(LOOP, ("alignment - s / n", "alignment + s / n")), "sign", "minus", "negative", "-1"),
    wrong(edited(LOOP, ("contrast + torch.log(", "contrast - torch.log(")), "sign", "minus", "negative", "-1"),
    wrong(edited(LOOP, ("s / n", "s"), ("(denominator) / n", "(denominator)")), *MEAN, misleading=()),
    wrong(edited(LOOP, ("s / n", "s")), "alignment", *MEAN, misleading=()),
    wrong(edited(LOOP, ("(denominator) / n", "(denominator)")), "contrast", *MEAN, misleading=()),
    wrong(
        edited(LOOP, ("    n = len(z_a)", "    n = len(z_a)\n    m = n - 1"), ("/ n", "/ m")),
        "N - 1",
        "N-1",
        *MEAN,
        misleading=(),
    ),
    wrong(
        edited(LOOP, ("torch.log(denominator) / n", "torch.log(denominator / n) / n")),
        "log N",
        "mean over j",
        "sum",
        "log(N)",
    ),
    wrong(edited(LOOP, (" / temperature", "")), "temperature"),
    wrong(edited(LOOP, (" / temperature", " * temperature")), "temperature", "divid", "multipl"),
    wrong(edited(LOOP, (" / temperature", " / 0.2")), "temperature", "0.2"),
    wrong(edited(LOOP, (" / (z_a[i].norm() * z_b[j].norm())", "")), *LENGTH),
    wrong(edited(LOOP, (" / (z_a[i].norm() * z_b[j].norm())", " / z_a[i].norm()")), *LENGTH),
    wrong(
        edited(LOOP, ("(z_a[i].norm() * z_b[j].norm())", "(z_a[i].norm() * z_b[j].norm()) ** 2")),
        "root",
        "square",
        *LENGTH,
    ),
    wrong(
        edited(LOOP, ("for j in range(n)", "for j in range(n - 1)")),
        "last",
        "range",
        "left out",
        "candidate",
        "missing",
    ),
    wrong(
        edited(LOOP, ("for j in range(n)", "for j in range(i, n)")),
        "range",
        "left out",
        "candidate",
        "j < i",
        "missing",
        "all",
    ),
    wrong(
        edited(LOOP, ("for i in range(n)", "for i in range(n - 1)")), "last", "range", "left out", "anchor", "missing"
    ),
    wrong(edited(LOOP, ("denominator = denominator + ", "denominator = ")), "last", "+=", "sum", "overwrit", "add"),
    wrong(edited(LOOP, ("contrast = contrast + ", "contrast = ")), "last", "+=", "sum", "overwrit", "add"),
    wrong(
        edited(
            LOOP, ("        denominator = 0\n", ""), ("    contrast = 0\n", "    contrast = 0\n    denominator = 0\n")
        ),
        "reset",
        "each anchor",
        "start",
        "inside the loop",
        "previous",
        "accumul",
        "new",
        "earlier",
    ),
    wrong(
        edited(LOOP, ("z_a[i], z_b[j]", "z_b[i], z_a[j]"), ("z_a[i].norm() * z_b[j]", "z_b[i].norm() * z_a[j]")),
        "dim=0",
        "rows of z_a",
        "direction",
        "from B",
        "b to a",
        "b -> a",
        "swap",
        "view B",
    ),
    wrong(
        edited(LOOP, ("z_b", "z_a"), ("(z_a, z_a,", "(z_a, z_b,")), "z_b", "view B", "one view", "not used", "depend"
    ),
    wrong(
        edited(LOOP, ("alignment + contrast, alignment, contrast", "alignment + contrast, contrast, alignment")), *ORDER
    ),
    wrong(edited(LOOP, ("alignment + contrast, alignment, contrast", "alignment + contrast")), *WHOLE),
    wrong(
        edited(LOOP, ("alignment + contrast,", "alignment - contrast,")), "total", "sum", "alignment + contrast", "sign"
    ),
    wrong(
        edited(
            LOOP,
            (
                "            if i == j:\n                alignment = alignment - s / n",
                "            alignment = alignment - s / n",
            ),
        ),
        "i == j",
        "all pairs",
        "diagonal",
        "positive",
        "own",
    ),
    wrong(
        edited(LOOP, ("contrast, alignment, contrast", "contrast, alignment * temperature, contrast * temperature")),
        "temperature",
        "field",
        "alignment",
    ),
    wrong(edited(LOOP, ("+ torch.exp(s)", "+ torch.exp(s).item()")), "not float", *CUT),
    wrong(edited(LOOP, ("torch.exp(s)", "math.exp(s)"), ("torch.log(", "math.log(")), *CUT),
    wrong(edited(LOOP, ("    n = len(z_a)", "    z_a, z_b = z_a.float(), z_b.float()\n    n = len(z_a)")), *FLOAT32),
]
RIGHT += [
    right(LOOP),
    right(
        loop(
            """
            alignment, contrast = [], []
            for i, a in enumerate(z_a):
                s = [F.cosine_similarity(a, b, dim=0) / temperature for b in z_b]
                alignment.append(-s[i])
                contrast.append(torch.logsumexp(torch.stack(s), dim=0))
            alignment, contrast = torch.stack(alignment).mean(), torch.stack(contrast).mean()
            return alignment + contrast, alignment, contrast
            """
        )
    ),
    right(
        loop(
            """
            u, v = F.normalize(z_a, dim=1), F.normalize(z_b, dim=1)
            n = len(u)
            align = contr = 0.0
            for i in range(n):
                align += -(u[i] @ v[i]) / temperature
                contr += torch.log(sum(torch.exp(u[i] @ v[j] / temperature) for j in range(n)))
            align, contr = align / n, contr / n
            return [align + contr, align, contr]
            """
        )
    ),
    right(
        loop(
            """
            total = alignment = 0
            for i in range(len(z_a)):
                s = [F.cosine_similarity(z_a[i : i + 1], z_b[j : j + 1])[0] for j in range(len(z_b))]
                s = torch.stack(s) / temperature
                total = total - torch.log(torch.softmax(s, 0)[i]) / len(z_a)
                alignment = alignment - s[i] / len(z_a)
            return total, alignment, total - alignment
            """
        )
    ),
    right(loop("return losses.info_nce(z_a, z_b, temperature)")),
]

# --- info_nce -------------------------------------------------------------------------------------------------------


def nce(body: str) -> str:
    return function("info_nce(z_a, z_b, temperature=0.2)", body)


NCE = nce(
    """
    u = F.normalize(z_a, dim=1)
    v = F.normalize(z_b, dim=1)
    scores = u @ v.T / temperature
    alignment = -scores.diagonal().mean()
    contrast = torch.logsumexp(scores, dim=1).mean()
    return alignment + contrast, alignment, contrast
    """
)
RESULT = "alignment + contrast, alignment, contrast"

WRONG += [
    wrong(edited(NCE, ("(scores, dim=1)", "(scores, dim=0)")), *AXIS),
    wrong(edited(NCE, ("u @ v.T", "z_a @ z_b.T")), *LENGTH),
    wrong(edited(NCE, ("u @ v.T", "u @ z_b.T")), *LENGTH),
    wrong(edited(NCE, ("(z_a, dim=1)", "(z_a, dim=0)"), ("(z_b, dim=1)", "(z_b, dim=0)")), "dim=", "row", "column"),
    wrong(
        edited(
            NCE,
            (
                "torch.logsumexp(scores, dim=1)",
                "torch.logsumexp(scores.masked_fill(torch.eye(len(u)).bool(), -1e9), dim=1)",
            ),
        ),
        "positive",
        "diagonal",
        "left out",
        "decoupled",
    ),
    wrong(edited(NCE, (".mean()", ".sum()")), *MEAN, misleading=()),
    wrong(edited(NCE, ("dim=1).mean()\n    return", "dim=1).sum()\n    return")), "contrast", *MEAN, misleading=()),
    wrong(edited(NCE, ("torch.logsumexp(scores, dim=1)", "scores.exp().sum(dim=1).log()")), *OVERFLOW),
    wrong(edited(NCE, ("/ temperature", "* temperature")), "temperature", "divid", "multipl"),
    wrong(edited(NCE, (" / temperature", "")), "temperature"),
    wrong(edited(NCE, ("/ temperature", "/ 0.2")), "temperature", "0.2"),
    wrong(edited(NCE, ("/ temperature", "/ temperature**2")), "temperature", "twice", "square"),
    wrong(edited(NCE, ("-scores.diagonal()", "-(u * v).sum(dim=1)")), "temperature", "alignment"),
    wrong(edited(NCE, ("-scores.diagonal()", "scores.diagonal()")), "sign", "minus", "negative", "-1"),
    wrong(edited(NCE, ("-scores.diagonal()", "-scores")), "diagonal", "all pairs", "positive"),
    wrong(
        edited(NCE, ("torch.logsumexp(scores, dim=1).mean()", "torch.logsumexp(scores.flatten(), dim=0)")),
        "each anchor",
        "inside the mean",
        "all pairs",
        "one log",
        "dim=",
        "outside",
        "per row",
    ),
    wrong(
        edited(
            NCE,
            ("torch.logsumexp(scores, dim=1).mean()", "torch.logsumexp(scores.flatten(), dim=0) - math.log(len(u))"),
        ),
        "inside the mean",
        "log inside",
        "outside",
        "each anchor",
        "log of the mean",
        "mean of the log",
        "before the mean",
    ),
    wrong(edited(NCE, ("torch.logsumexp(scores, dim=1).mean()", "scores.exp().sum(dim=1).mean()")), "log"),
    wrong(
        edited(NCE, ("dim=1).mean()\n    return", "dim=1).mean() - math.log(len(u))\n    return")),
        "log N",
        "log(N)",
        "mean over",
        "sum",
    ),
    wrong(
        edited(
            NCE,
            (
                "torch.logsumexp(scores, dim=1).mean()",
                "(torch.logsumexp(scores, dim=1).mean() + torch.logsumexp(scores, dim=0).mean()) / 2",
            ),
        ),
        "direction",
        "both",
        "symmetr",
        "dim=0",
    ),
    wrong(
        edited(NCE, ("u @ v.T", "v @ u.T")),
        "dim=0",
        "rows of z_a",
        "direction",
        "from B",
        "b to a",
        "b -> a",
        "swap",
        "transpos",
        "view B",
    ),
    wrong(edited(NCE, ("u @ v.T", "u @ u.T")), "z_b", "view B", "one view", "not used", "depend"),
    wrong(edited(NCE, ("u @ v.T", "u.T @ v")), "transpos", "samples", "shape", "dimensions"),
    wrong(edited(NCE, (RESULT, "alignment + contrast")), *WHOLE),
    wrong(edited(NCE, (RESULT, "alignment, contrast, alignment + contrast")), *ORDER),
    wrong(edited(NCE, (RESULT, "alignment + contrast, contrast, alignment")), *ORDER),
    wrong(edited(NCE, (RESULT, "alignment + contrast, alignment * temperature, contrast")), "temperature", "alignment"),
    wrong(
        edited(NCE, (RESULT, "2 * temperature * (alignment + contrast), alignment, contrast")),
        "temperature",
        "total",
        *FACTOR,
        misleading=(),
    ),
    wrong(edited(NCE, ("normalize(z_b, dim=1)", "normalize(z_b.detach(), dim=1)")), *CUT, "z_b"),
    wrong(
        edited(NCE, ("    u =", "    with torch.no_grad():\n        u ="), ("    v =", "        v =")),
        *CUT,
        misleading=(*RATIO, "not used"),
    ),
    wrong(edited(NCE, ("(z_a, dim=1)", "(z_a.float(), dim=1)"), ("(z_b, dim=1)", "(z_b.float(), dim=1)")), *FLOAT32),
    wrong(
        nce(
            """
            z_a /= z_a.norm(dim=1, keepdim=True)
            z_b /= z_b.norm(dim=1, keepdim=True)
            return losses.info_nce(z_a, z_b, temperature)
            """
        ),
        *IN_PLACE,
    ),
    wrong(
        edited(NCE, ("torch.logsumexp(scores, dim=1)", "torch.log_softmax(scores, dim=1).diagonal()")),
        "contrast",
        "logsumexp",
        "log-sum",
        "softmax",
        "total",
    ),
    wrong(
        nce(
            """
            scores = F.normalize(z_a, dim=1) @ F.normalize(z_b, dim=1).T / temperature
            alignment = -scores.diagonal().mean()
            total = F.cross_entropy(scores, torch.zeros(len(z_a), dtype=torch.long))
            return total, alignment, total - alignment
            """
        ),
        "label",
        "row i",
        "diagonal",
        "positive",
    ),
    wrong(
        nce(
            """
            scores = F.normalize(z_a, dim=1) @ F.normalize(z_b, dim=1).T / temperature
            alignment = -scores.diagonal().mean()
            total = F.cross_entropy(scores.softmax(dim=1), torch.arange(len(z_a)))
            return total, alignment, total - alignment
            """
        ),
        "softmax",
        "twice",
        "logits",
        "cross_entropy",
        "exp",
    ),
    wrong(
        edited(
            NCE,
            ("    u = F.normalize(z_a, dim=1)", "    u = F.normalize(z_a - z_a.mean(dim=0), dim=1)"),
            ("    v = F.normalize(z_b, dim=1)", "    v = F.normalize(z_b - z_b.mean(dim=0), dim=1)"),
        ),
        "cent",
        "mean embedding",
        "subtract",
    ),
]
RIGHT += [
    right(NCE),
    right(
        nce(
            """
            scores = F.cosine_similarity(z_a[:, None], z_b[None], dim=-1) / temperature
            alignment = -scores.trace() / len(z_a)
            total = F.cross_entropy(scores, torch.arange(len(z_a)))
            return total, alignment, total - alignment
            """
        )
    ),
    right(
        nce(
            """
            s = torch.einsum('nd,md->nm', F.normalize(z_a), F.normalize(z_b)) / temperature
            top = s.amax(dim=1, keepdim=True)
            contrast = ((s - top).exp().sum(1).log() + top[:, 0]).mean()
            alignment = -torch.diag(s).mean()
            return (alignment + contrast, alignment, contrast)
            """
        )
    ),
    right(nce("return losses.info_nce(z_a, z_b, temperature=temperature)")),
    right(
        nce(
            """
            u, v = z_a / z_a.norm(dim=1, keepdim=True), z_b / z_b.norm(dim=1, keepdim=True)
            s = u @ v.T / temperature
            total = -s.log_softmax(dim=1).diagonal().mean()
            alignment = -(u * v).sum(1).mean() / temperature
            return total, alignment, total - alignment
            """
        )
    ),
    right(
        nce(
            """
            u, v = F.normalize(z_a), F.normalize(z_b)
            s = (1 - torch.cdist(u, v, compute_mode='donot_use_mm_for_euclid_dist').square() / 2) / temperature
            alignment, contrast = -s.diagonal().mean(), s.logsumexp(1).mean()
            return alignment + contrast, alignment, contrast
            """
        )
    ),
]

# --- decoupled_info_nce ---------------------------------------------------------------------------------------------


def decoupled(body: str) -> str:
    return function("decoupled_info_nce(z_a, z_b, temperature)", body)


DECOUPLED = decoupled(
    """
    scores = F.normalize(z_a, dim=1) @ F.normalize(z_b, dim=1).T / temperature
    alignment = -scores.diagonal().mean()
    mask = torch.eye(len(scores), dtype=torch.bool)
    negatives = scores.masked_fill(mask, -math.inf)
    contrast = negatives.logsumexp(dim=1).mean()
    return alignment + contrast, alignment, contrast
    """
)

WRONG += [
    wrong(
        edited(DECOUPLED, ("negatives.logsumexp", "scores.logsumexp")),
        "positive",
        "diagonal",
        "left out",
        "kept",
        "b' = b",
    ),
    wrong(edited(DECOUPLED, ("-math.inf", "0.0")), "zero", "exp(0)", "0", "-inf", "masked", "e^0"),
    wrong(
        edited(DECOUPLED, ("scores.masked_fill(mask, -math.inf)", "scores * ~mask")),
        "zero",
        "exp(0)",
        "-inf",
        "masked",
        "e^0",
    ),
    wrong(edited(DECOUPLED, ("(mask, -", "(~mask, -")), "mask", "positive", "diagonal", "invert", "only"),
    wrong(edited(DECOUPLED, ("negatives.logsumexp(dim=1)", "(scores.exp() * ~mask).sum(dim=1).log()")), *OVERFLOW),
    wrong(
        edited(DECOUPLED, ("dim=1).mean()\n    return", "dim=1).mean() - math.log(len(scores) - 1)\n    return")),
        "log",
        "mean over",
        "N - 1",
        "N-1",
        "sum",
    ),
    wrong(edited(DECOUPLED, (".mean()", ".sum()")), *MEAN, misleading=()),
    wrong(edited(DECOUPLED, ("logsumexp(dim=1).mean()", "logsumexp(dim=1).sum()")), "contrast", *MEAN, misleading=()),
    wrong(edited(DECOUPLED, (".logsumexp(dim=1)", ".logsumexp(dim=0)")), *AXIS),
    wrong(edited(DECOUPLED, ("-scores.diag", "scores.diag")), "sign", "minus", "negative", "-1"),
    wrong(edited(DECOUPLED, (" / temperature", "")), "temperature"),
    wrong(edited(DECOUPLED, (" / temperature", " * temperature")), "temperature", "divid", "multipl"),
    wrong(edited(DECOUPLED, ("F.normalize(z_a, dim=1) @ F.normalize(z_b, dim=1).T", "z_a @ z_b.T")), *LENGTH),
    wrong(edited(DECOUPLED, (".logsumexp(dim=1).mean()", ".exp().sum(dim=1).mean()")), "log"),
    wrong(
        edited(
            DECOUPLED,
            ("negatives.logsumexp(dim=1).mean()", "negatives.flatten().logsumexp(dim=0) - math.log(len(scores))"),
        ),
        "inside the mean",
        "log inside",
        "outside",
        "each anchor",
        "log of the mean",
        "mean of the log",
        "before the mean",
    ),
    wrong(
        edited(
            DECOUPLED,
            ("negatives = ", "scores = "),
            ("negatives.", "scores."),
            ("    alignment = -scores.diagonal().mean()\n", ""),
            ("    contrast", "    alignment = -scores.diagonal().mean()\n    contrast"),
        ),
        *OVERFLOW,
        "alignment",
        "before",
    ),
    wrong(
        edited(
            DECOUPLED,
            (
                "negatives.logsumexp(dim=1).mean()",
                "torch.cat([negatives, (F.normalize(z_a) @ F.normalize(z_a).T / "
                "temperature).masked_fill(mask, -math.inf)], 1).logsumexp(1).mean()",
            ),
        ),
        "view A",
        "same view",
        "both views",
        "other view",
        "nt-xent",
        "2N",
    ),
    wrong(edited(DECOUPLED, (RESULT, "alignment + contrast")), *WHOLE),
    wrong(edited(DECOUPLED, (RESULT, "alignment + contrast, contrast, alignment")), *ORDER),
    wrong(
        edited(DECOUPLED, ("@ F.normalize(z_b", "@ F.normalize(z_a")), "z_b", "view B", "one view", "not used", "depend"
    ),
    wrong(edited(DECOUPLED, ("normalize(z_b,", "normalize(z_b.detach(),")), *CUT, "z_b"),
    wrong(edited(DECOUPLED, ("alignment + contrast,", "contrast,")), "total", "alignment", "sum"),
]
RIGHT += [
    right(DECOUPLED),
    right(
        decoupled(
            """
            s = F.cosine_similarity(z_a[:, None], z_b, dim=-1) / temperature
            n = len(s)
            others = s[~torch.eye(n).bool()].view(n, n - 1)
            a, c = -torch.diag(s).mean(), others.logsumexp(1).mean()
            return a + c, a, c
            """
        )
    ),
    right(
        decoupled(
            """
            s = F.normalize(z_a) @ F.normalize(z_b).T / temperature
            n = len(s)
            alignment = contrast = 0
            for i in range(n):
                alignment = alignment - s[i, i] / n
                contrast = contrast + torch.logsumexp(torch.cat([s[i, :i], s[i, i + 1 :]]), dim=0) / n
            return alignment + contrast, alignment, contrast
            """
        )
    ),
    right(
        decoupled(
            """
            s = F.normalize(z_a) @ F.normalize(z_b).T / temperature
            alignment = -s.diagonal().mean()
            itself = torch.zeros_like(s).fill_diagonal_(math.inf)
            contrast = torch.logsumexp(s - itself, 1).mean()
            return alignment + contrast, alignment, contrast
            """
        )
    ),
    right(
        decoupled(
            """
            s = F.normalize(z_a) @ F.normalize(z_b).T / temperature
            alignment = -s.diagonal().mean()
            t = s.clone()
            t.fill_diagonal_(float('-inf'))
            contrast = t.logsumexp(-1).mean()
            return alignment + contrast, alignment, contrast
            """
        )
    ),
    right(decoupled("return losses.decoupled_info_nce(z_a, z_b, temperature)")),
]

# --- nt_xent --------------------------------------------------------------------------------------------------------


def xent(body: str) -> str:
    return function("nt_xent(z_a, z_b, temperature=0.5)", body)


XENT = xent(
    """
    n = len(z_a)
    u = F.normalize(torch.cat([z_a, z_b]), dim=1)
    scores = u @ u.T / temperature
    alignment = -torch.cat([scores.diagonal(n), scores.diagonal(-n)]).mean()
    itself = torch.eye(2 * n, dtype=torch.bool)
    contrast = scores.masked_fill(itself, -math.inf).logsumexp(dim=1).mean()
    return alignment + contrast, alignment, contrast
    """
)

WRONG += [
    wrong(edited(XENT, ("scores.masked_fill(itself, -math.inf)", "scores")), "itself", "self", "diagonal", "mask"),
    wrong(edited(XENT, ("-math.inf)", "0.0)")), "zero", "exp(0)", "-inf", "e^0", "mask"),
    wrong(
        edited(
            XENT, ("torch.eye(2 * n, dtype=torch.bool)", "torch.eye(2 * n).bool() | torch.eye(2 * n).roll(n, 0).bool()")
        ),
        "positive",
        "left out",
    ),
    wrong(
        edited(XENT, ("torch.eye(2 * n, dtype=torch.bool)", "torch.eye(2 * n).roll(n, 0).bool()")),
        "positive",
        "itself",
        "self",
    ),
    wrong(
        edited(XENT, ("scores.diagonal(n), scores.diagonal(-n)", "scores.diagonal(1), scores.diagonal(-1)")),
        "positive",
        "other view",
        "offset",
        "i + N",
        "diagonal",
    ),
    wrong(
        edited(XENT, ("scores.diagonal(n), scores.diagonal(-n)", "scores.diagonal()")),
        "positive",
        "other view",
        "itself",
        "diagonal",
        "self",
    ),
    wrong(edited(XENT, (".mean()", ".sum() / n")), "2N", "mean", "twice", "2", *FACTOR, misleading=()),
    wrong(edited(XENT, (".mean()", ".sum()")), "2N", *MEAN, misleading=()),
    wrong(
        edited(XENT, ("mean()\n    itself", "sum() / n\n    itself")),
        "alignment",
        "2N",
        "mean",
        "twice",
        *FACTOR,
        misleading=(),
    ),
    wrong(edited(XENT, (".logsumexp(dim=1).mean()", ".logsumexp(dim=1)[:n].mean()")), "both", "2N", "view B", "anchor"),
    wrong(edited(XENT, (" / temperature", "")), "temperature"),
    wrong(edited(XENT, (" / temperature", " * temperature")), "temperature", "divid", "multipl"),
    wrong(edited(XENT, ("temperature=0.5", "temperature=0.2")), "default", "0.5"),
    wrong(edited(XENT, ("F.normalize(torch.cat([z_a, z_b]), dim=1)", "torch.cat([z_a, z_b])")), *LENGTH),
    wrong(edited(XENT, ("b]), dim=1)", "b]), dim=0)")), "dim=", "row", "column"),
    wrong(
        edited(XENT, ("torch.cat([z_a, z_b])", "torch.cat([z_a, z_a])")),
        "z_b",
        "view B",
        "one view",
        "not used",
        "depend",
    ),
    wrong(edited(XENT, ("-torch.cat", "torch.cat")), "sign", "minus", "negative", "-1"),
    wrong(
        edited(XENT, (".logsumexp(dim=1).mean()", ".exp().sum(dim=1).mean().log()")),
        "inside the mean",
        "log inside",
        "outside",
        "each anchor",
        "log of the mean",
        "mean of the log",
        "before the mean",
    ),
    wrong(
        edited(XENT, ("dim=1).mean()\n    return", "dim=1).mean() - math.log(2 * n - 1)\n    return")),
        "log",
        "mean over",
        "2N - 1",
        "sum",
    ),
    wrong(edited(XENT, (".logsumexp(dim=1)", ".exp().sum(dim=1).log()")), *OVERFLOW),
    wrong(edited(XENT, (RESULT, "alignment + contrast")), *WHOLE),
    wrong(edited(XENT, (RESULT, "alignment + contrast, contrast, alignment")), *ORDER),
    wrong(
        xent(
            """
            n = len(z_a)
            s = F.normalize(z_a) @ F.normalize(z_b).T / temperature
            a = -s.diagonal().mean()
            c = (s.logsumexp(1).mean() + s.logsumexp(0).mean()) / 2
            return a + c, a, c
            """
        ),
        "same view",
        "own view",
        "2N",
        "both views",
        "negatives",
    ),
    wrong(
        xent(
            """
            n = len(z_a)
            u, v = F.normalize(z_a), F.normalize(z_b)
            s = torch.cat([u @ v.T, (u @ u.T).masked_fill(torch.eye(n).bool(), -math.inf)], 1) / temperature
            a = -s.diagonal().mean()
            c = s.logsumexp(1).mean()
            return a + c, a, c
            """
        ),
        "both",
        "2N",
        "view B",
        "anchor",
        "direction",
    ),
    wrong(edited(XENT, ("    u =", "    z_b = z_b.detach()\n    u =")), *CUT, "z_b"),
    wrong(edited(XENT, ("u @ u.T", "(u @ u.T).float()")), *FLOAT32),
]
RIGHT += [
    right(XENT),
    right(
        xent(
            """
            n = len(z_a)
            u = F.normalize(torch.cat([z_a, z_b]))
            s = (u @ u.T / temperature).masked_fill(torch.eye(2 * n).bool(), -torch.inf)
            labels = torch.cat([torch.arange(n, 2 * n), torch.arange(n)])
            total = F.cross_entropy(s, labels)
            alignment = -F.cosine_similarity(z_a, z_b).mean() / temperature
            return total, alignment, total - alignment
            """
        )
    ),
    right(
        xent(
            """
            u = torch.cat([F.normalize(z_a), F.normalize(z_b)])
            m = len(u)
            alignment = contrast = 0
            for i in range(m):
                s = (u[i] * u).sum(dim=1) / temperature
                alignment = alignment - s[(i + m // 2) % m]
                contrast = contrast + torch.logsumexp(torch.stack([s[j] for j in range(m) if j != i]), 0)
            return (alignment + contrast) / m, alignment / m, contrast / m
            """
        )
    ),
    right(
        xent(
            """
            n = len(z_a)
            a, b = F.normalize(z_a), F.normalize(z_b)
            off = torch.zeros(n, n).fill_diagonal_(-torch.inf)
            aa, bb, ab = a @ a.T / temperature + off, b @ b.T / temperature + off, a @ b.T / temperature
            alignment = -ab.diagonal().mean()
            contrast = torch.cat([torch.cat([aa, ab], 1), torch.cat([ab.T, bb], 1)]).logsumexp(1).mean()
            return alignment + contrast, alignment, contrast
            """
        )
    ),
    right(
        xent(
            """
            u = F.normalize(torch.stack([z_a, z_b], dim=1).flatten(0, 1), dim=1)
            s = u @ u.T / temperature
            k = torch.arange(len(u))
            alignment = -s[k, k ^ 1].mean()
            contrast = s.masked_fill(k[:, None] == k, -math.inf).logsumexp(1).mean()
            return alignment + contrast, alignment, contrast
            """
        )
    ),
]

# --- info_nce_gradient ----------------------------------------------------------------------------------------------


def gradient(body: str) -> str:
    return function("info_nce_gradient(z_a, z_b, temperature=0.2)", body)


GRADIENT = gradient(
    """
    n = len(z_a)
    u = F.normalize(z_a, dim=1)
    v = F.normalize(z_b, dim=1)
    p = torch.softmax(u @ v.T / temperature, dim=1)
    g = (p - torch.eye(n, dtype=p.dtype)) @ v / (n * temperature)
    along = (g * u).sum(dim=1, keepdim=True)
    return (g - along * u) / z_a.norm(dim=1, keepdim=True)
    """
)
TANGENT = ("tangent", "along", "projec", "<g", "orthogonal", "u_i", "direction")

WRONG += [
    wrong(edited(GRADIENT, ("(n * temperature)", "temperature")), *MEAN, "1/N", misleading=()),
    wrong(edited(GRADIENT, ("(n * temperature)", "n")), "temperature", "tau", misleading=()),
    wrong(
        edited(GRADIENT, ("(n * temperature)", "n * temperature")),
        "temperature",
        "tau",
        "bracket",
        "parenthes",
        misleading=(),
    ),
    wrong(
        edited(GRADIENT, ("(p - torch.eye(n, dtype=p.dtype))", "(torch.eye(n, dtype=p.dtype) - p)")),
        "sign",
        "minus",
        "negative",
        "-1",
        misleading=(),
    ),
    wrong(
        edited(GRADIENT, ("(p - torch.eye(n, dtype=p.dtype))", "(p - torch.eye(n, dtype=p.dtype)).T")),
        "transpos",
        "P^T",
        "rows",
    ),
    wrong(edited(GRADIENT, ("temperature, dim=1)", "temperature, dim=0)")), *AXIS),
    wrong(edited(GRADIENT, ("g - along * u", "g")), *TANGENT),
    wrong(edited(GRADIENT, ("g - along * u", "g + along * u")), "sign", *TANGENT),
    wrong(edited(GRADIENT, ("g - along * u", "g - along * v")), *TANGENT),
    wrong(edited(GRADIENT, ("g - along * u", "g - along")), *TANGENT),
    wrong(edited(GRADIENT, ("(g * u).sum(dim=1, keepdim=True)", "(g * u).sum(dim=0, keepdim=True)")), *TANGENT, "dim="),
    wrong(
        edited(GRADIENT, ("(g * u).sum(dim=1, keepdim=True)", "(g * z_a).sum(dim=1, keepdim=True)")), *TANGENT, *LENGTH
    ),
    wrong(edited(GRADIENT, (" / z_a.norm(dim=1, keepdim=True)", "")), *LENGTH, "|z", "norm"),
    wrong(
        edited(GRADIENT, ("z_a.norm(dim=1, keepdim=True)", "z_a.norm(dim=1, keepdim=True) ** 2")),
        "|z_i|",
        "square",
        "|z",
        *LENGTH,
    ),
    wrong(
        edited(GRADIENT, ("/ z_a.norm(dim=1, keepdim=True)", "* z_a.norm(dim=1, keepdim=True)")), "divid", "|z", *LENGTH
    ),
    wrong(
        edited(GRADIENT, ("/ z_a.norm(dim=1, keepdim=True)", "/ z_b.norm(dim=1, keepdim=True)")), "z_b", "z_a", *LENGTH
    ),
    wrong(
        edited(GRADIENT, ("/ z_a.norm(dim=1, keepdim=True)", "/ z_a.norm()")),
        "row",
        "each",
        "whole",
        "dim=1",
        *LENGTH,
        misleading=RATIO,
    ),
    wrong(edited(GRADIENT, (") @ v /", ") @ z_b /")), "v_j", "V", *LENGTH),
    wrong(edited(GRADIENT, (") @ v /", ") @ u /")), "v", "z_b", "view"),
    wrong(
        edited(
            GRADIENT,
            ("torch.softmax(u @ v.T / temperature, dim=1)", "torch.exp(u @ v.T / temperature)"),
            ("    g = (p", "    p = p / p.sum(dim=1, keepdim=True)\n    g = (p"),
        ),
        *OVERFLOW,
    ),
    wrong(
        edited(GRADIENT, ("(p - torch.eye(n, dtype=p.dtype))", "p")),
        "identity",
        "positive",
        "- I",
        "P - I",
        "alignment",
        "eye",
    ),
    wrong(edited(GRADIENT, ("u @ v.T / temperature", "u @ v.T")), "temperature", "softmax", "tau"),
    wrong(edited(GRADIENT, ("u @ v.T / temperature", "z_a @ z_b.T / temperature")), *LENGTH),
    wrong(
        edited(GRADIENT, ("u = F.normalize(z_a, dim=1)", "u = z_a"), ("v = F.normalize(z_b, dim=1)", "v = z_b")),
        *LENGTH,
    ),
    wrong(
        edited(GRADIENT, ("torch.eye(n, dtype=p.dtype)", "1 / n")),
        "identity",
        "positive",
        "- I",
        "P - I",
        "diagonal",
        "eye",
    ),
    wrong(
        edited(GRADIENT, ("    n = len(z_a)", "    z_a, z_b = z_b, z_a\n    n = len(z_a)")),
        "z_a",
        "z_b",
        "swap",
        "other view",
    ),
    wrong(edited(GRADIENT, ("    return ", "    g = g - g.mean(dim=0)\n    return ")), "cent", "mean", "subtract"),
    wrong(
        edited(GRADIENT, ("    n = len(z_a)", "    z_a, z_b = z_a.float(), z_b.float()\n    n = len(z_a)")), *FLOAT32
    ),
    wrong(
        gradient(
            """
            z = z_a.detach().clone().requires_grad_()
            return torch.autograd.grad(losses.info_nce(z, z_b, temperature).total, z)[0]
            """
        ),
        "autograd",
        "automatic",
        "closed form",
        "backward",
        note="the statement asks for the closed form, without automatic differentiation",
    ),
    wrong(
        gradient(
            """
            z = z_a.clone().detach().requires_grad_(True)
            F.cross_entropy(F.normalize(z) @ F.normalize(z_b).T / temperature, torch.arange(len(z))).backward()
            return z.grad
            """
        ),
        "autograd",
        "automatic",
        "closed form",
        "backward",
        note="the statement asks for the closed form, without automatic differentiation",
    ),
]
RIGHT += [
    right(GRADIENT),
    right(
        gradient(
            """
            out = torch.zeros_like(z_a)
            v = F.normalize(z_b, dim=1)
            n = len(z_a)
            for i in range(n):
                length = z_a[i].norm()
                u = z_a[i] / length
                p = torch.softmax(v @ u / temperature, dim=0)
                g = (p[:, None] * v).sum(dim=0) - v[i]
                out[i] = (g - (g @ u) * u) / length / (n * temperature)
            return out
            """
        )
    ),
    right(
        gradient(
            """
            u, v = F.normalize(z_a), F.normalize(z_b)
            p = (u @ v.T / temperature).softmax(1)
            g = (p @ v - v) / len(z_a) / temperature
            return (g - torch.einsum('nd,nd->n', g, u)[:, None] * u) / torch.linalg.vector_norm(z_a, dim=1)[:, None]
            """
        )
    ),
    right(
        gradient(
            """
            length = z_a.norm(dim=1, keepdim=True)
            u, v = z_a / length, F.normalize(z_b)
            s = u @ v.T / temperature
            p = (s - s.logsumexp(1, keepdim=True)).exp()
            p.diagonal().sub_(1)
            g = p @ v
            projector = torch.eye(z_a.shape[1], dtype=u.dtype) - u[:, :, None] * u[:, None, :]
            return (projector @ g[:, :, None])[:, :, 0] / (length * len(u) * temperature)
            """
        )
    ),
    right(
        gradient(
            """
            u, v = F.normalize(z_a), F.normalize(z_b)
            s = u @ v.T
            p = (s / temperature).softmax(1) - torch.eye(len(u), dtype=s.dtype)
            return (p @ v - (p * s).sum(1, keepdim=True) * u) / (len(u) * temperature * z_a.norm(dim=1, keepdim=True))
            """
        )
    ),
]

# --- alignment ------------------------------------------------------------------------------------------------------


def align(body: str) -> str:
    return function("alignment(z_a, z_b, alpha=2)", body)


ALIGN = align(
    """
    u = F.normalize(z_a, dim=1)
    v = F.normalize(z_b, dim=1)
    distances = (u - v).norm(dim=1)
    return distances.pow(alpha).mean()
    """
)

WRONG += [
    wrong(edited(ALIGN, ("pow(alpha)", "pow(2)")), "alpha"),
    wrong(edited(ALIGN, (".pow(alpha)", "")), "alpha", "power"),
    wrong(edited(ALIGN, ("(u - v).norm(dim=1)", "(u - v).square().sum(dim=1)")), "root", "square", "2 alpha", "twice"),
    wrong(edited(ALIGN, ("(u - v).norm(dim=1)", "(z_a - z_b).norm(dim=1)")), *LENGTH),
    wrong(edited(ALIGN, (".mean()", ".sum()")), *MEAN, misleading=()),
    wrong(edited(ALIGN, (".mean()", ".sum() / (len(u) - 1)")), "N - 1", "N-1", *MEAN, misleading=()),
    wrong(edited(ALIGN, (".mean()", "")), "shape", "mean", "scalar", "one number"),
    wrong(edited(ALIGN, (".norm(dim=1)", ".norm(dim=0)")), "dim=", "row", "column", "pair"),
    wrong(
        edited(ALIGN, ("distances.pow(alpha).mean()", "distances.mean().pow(alpha)")),
        "mean of",
        "power of the mean",
        "before",
        "inside",
        "each",
        "order",
    ),
    wrong(
        edited(ALIGN, ("(u - v).norm(dim=1)", "(u - v).square().mean(dim=1).sqrt()")),
        "dimension",
        "/ D",
        "divided by D",
        "mean over",
        *FACTOR,
        misleading=(),
    ),
    wrong(edited(ALIGN, ("(u - v).norm(dim=1)", "(u - v).abs().sum(dim=1)")), "absolute", "square", "euclid", "root"),
    wrong(
        edited(ALIGN, ("distances = (u - v).norm(dim=1)", "distances = 1 - (u * v).sum(dim=1)")),
        "cos",
        "distance",
        "2 - 2",
    ),
    wrong(
        edited(ALIGN, ("distances = (u - v).norm(dim=1)", "distances = (u + v).norm(dim=1)")),
        "sign",
        "plus",
        "minus",
        "sum",
        "difference",
    ),
    wrong(
        edited(ALIGN, ("distances.pow(alpha)", "(u - v).abs().pow(alpha).sum(dim=1)")),
        "norm",
        "length",
        "before",
        "each entry",
        "dimension",
        "distance",
    ),
    wrong(
        edited(ALIGN, ("v = F.normalize(z_b", "v = F.normalize(z_a")), "z_b", "view B", "one view", "not used", "depend"
    ),
    wrong(edited(ALIGN, ("return ", "return -")), "sign", "minus", "negative", "-1", misleading=()),
    wrong(edited(ALIGN, ("distances.pow(alpha)", "(alpha * distances)")), "power", "alpha", "exponent"),
    wrong(
        edited(ALIGN, ("distances = (u - v).norm(dim=1)", "distances = torch.cdist(u, v)")),
        "all pairs",
        "row i",
        "positive",
        "own",
        "same image",
        "every",
    ),
    wrong(edited(ALIGN, ("(z_a, dim=1)", "(z_a, dim=0)"), ("(z_b, dim=1)", "(z_b, dim=0)")), "dim=", "row", "column"),
    wrong(edited(ALIGN, (".mean()", ".mean().detach()")), *CUT),
    wrong(edited(ALIGN, ("u - v).norm", "u - v.detach()).norm")), *CUT, "z_b"),
    wrong(edited(ALIGN, ("(u - v).norm(dim=1)", "(u - v).float().norm(dim=1)")), *FLOAT32),
    wrong(
        edited(ALIGN, ("(u - v).norm(dim=1)", "((u - v).square().sum(dim=1) + 1e-4).sqrt()")),
        "eps",
        "1e-",
        "added",
        "small",
    ),
    wrong(edited(ALIGN, ("alpha=2", "alpha=1")), "alpha", "default", "2"),
]
RIGHT += [
    right(ALIGN),
    right(align("return (2 - 2 * F.cosine_similarity(z_a, z_b, dim=1)).clamp(min=0).pow(alpha / 2).mean()")),
    right(align("return sum((a / a.norm() - b / b.norm()).norm() ** alpha for a, b in zip(z_a, z_b)) / len(z_a)")),
    right(align("return F.pairwise_distance(F.normalize(z_a), F.normalize(z_b), eps=0).pow(alpha).mean()")),
    right(
        align(
            """
            d = torch.stack([torch.dist(a, b) for a, b in zip(F.normalize(z_a), F.normalize(z_b))])
            return (d**alpha).mean()
            """
        )
    ),
    right(
        align(
            """
            u, v = F.normalize(z_a), F.normalize(z_b)
            return ((u - v) ** 2).sum(1).sqrt().pow(alpha).sum() / u.shape[0]
            """
        )
    ),
    right(align("return losses.align_uniform(z_a, z_b, alpha=alpha).alignment")),
]

# --- uniformity -----------------------------------------------------------------------------------------------------


def uniform(body: str) -> str:
    return function("uniformity(z, t=2)", body)


UNIFORM = uniform(
    """
    u = F.normalize(z, dim=1)
    n = len(u)
    squared = (u[:, None] - u[None]).square().sum(dim=2)
    i, j = torch.triu_indices(n, n, offset=1)
    return squared[i, j].mul(-t).exp().mean().log()
    """
)

WRONG += [
    wrong(edited(UNIFORM, ("offset=1", "offset=0")), "itself", "diagonal", "i = j", "i < j", "self"),
    wrong(edited(UNIFORM, ("squared[i, j]", "squared")), "itself", "diagonal", "i = j", "self", "i < j"),
    wrong(edited(UNIFORM, (".log()", "")), "log"),
    wrong(
        edited(UNIFORM, (".mul(-t).exp().mean().log()", ".mul(-t).exp().log().mean()")),
        "inside the mean",
        "outside",
        "log of the mean",
        "mean of the log",
        "before",
        "after",
        "exp",
        misleading=RATIO,
    ),
    wrong(edited(UNIFORM, (".mul(-t)", ".mul(t)")), "sign", "minus", "negative", "-t"),
    wrong(edited(UNIFORM, (".mul(-t)", ".mul(-2)")), "depend on t", "t is", "ignor", " t "),
    wrong(edited(UNIFORM, (".mul(-t)", ".mul(-1)")), "depend on t", "t is", "ignor", " t ", "t missing"),
    wrong(edited(UNIFORM, (".mul(-t)", ".div(-t)")), "divid", "multipl", " t "),
    wrong(edited(UNIFORM, (".mul(-t)", ".mul(-t / 2)")), "half", "/ 2", "factor", "2", misleading=(*RATIO, "factor t")),
    wrong(edited(UNIFORM, (".square().sum(dim=2)", ".norm(dim=2)")), "square"),
    wrong(
        edited(UNIFORM, (".square().sum(dim=2)", ".square().mean(dim=2)")), "dimension", "divided by D", "/ D", "sum"
    ),
    wrong(edited(UNIFORM, ("F.normalize(z, dim=1)", "z")), *LENGTH),
    wrong(edited(UNIFORM, ("(z, dim=1)", "(z, dim=0)")), "dim=", "row", "column"),
    wrong(edited(UNIFORM, (".mean().log()", ".sum().log()")), "mean", "divid", "number of pairs", "N(N"),
    wrong(
        edited(UNIFORM, (".exp().mean().log()", ".exp().sum().div(n * n).log()")),
        "N(N",
        "N^2",
        "number of pairs",
        "pairs",
    ),
    wrong(
        edited(UNIFORM, (".exp().mean().log()", ".exp().sum().div(n * (n - 1)).log()")),
        "twice",
        "2",
        "number of pairs",
        "half",
        "each pair",
    ),
    wrong(
        edited(UNIFORM, (".exp().mean().log()", ".exp().mean().mul(2).log()")),
        "twice",
        "2",
        "number of pairs",
        "each pair",
    ),
    wrong(edited(UNIFORM, (".log()", ".log2()")), "log2", "base", "natural"),
    wrong(
        edited(
            UNIFORM,
            ("return squared", "return -squared"),
        ),
        "sign",
        "minus",
        "negative",
        "-1",
        misleading=(),
    ),
    wrong(
        edited(UNIFORM, ("squared = (u[:, None] - u[None]).square().sum(dim=2)", "squared = u @ u.T")),
        "distance",
        "cos",
        "2 - 2",
        "inner product",
    ),
    wrong(
        edited(UNIFORM, ("squared = (u[:, None] - u[None]).square().sum(dim=2)", "squared = 1 - u @ u.T")),
        "2 - 2",
        "half",
        "distance",
        "cos",
        misleading=(*RATIO, "factor t"),
    ),
    wrong(edited(UNIFORM, ("offset=1", "offset=2")), "left out", "neighbour", "i < j", "missing", "pair"),
    wrong(
        edited(UNIFORM, ("n, n, offset=1", "n - 1, n - 1, offset=1")),
        "left out",
        "last",
        "i < j",
        "missing",
        "pair",
        "range",
    ),
    wrong(edited(UNIFORM, (".mean().log()", ".mean().log().detach()")), *CUT),
    wrong(edited(UNIFORM, (".mean().log()", ".mean().log().item()")), *CUT),
    wrong(edited(UNIFORM, ("(z, dim=1)", "(z.float(), dim=1)")), *FLOAT32),
    wrong(
        edited(UNIFORM, ("F.normalize(z, dim=1)", "F.normalize(z - z.mean(dim=0), dim=1)")),
        "cent",
        "mean of",
        "subtract",
    ),
    wrong(edited(UNIFORM, (".mean().log()", ".mean().add(1e-6).log()")), "eps", "small", "1e-", "added"),
    wrong(
        uniform(
            """
            u = F.normalize(z, dim=1)
            n = len(u)
            total = 0
            for i in range(n):
                others = torch.cat([u[:i], u[i + 1 :]])
                total = total + torch.exp(-t * (u[i] - others).square().sum(dim=1)).mean().log()
            return total / n
            """
        ),
        "inside the mean",
        "outside",
        "log of the mean",
        "mean of the log",
        "each",
        "all pairs",
        "one log",
    ),
]
RIGHT += [
    right(UNIFORM),
    right(uniform("return torch.pdist(F.normalize(z)).pow(2).mul(-t).exp().mean().log()")),
    right(
        uniform("d = torch.pdist(F.normalize(z, dim=1))\nreturn torch.logsumexp(-t * d**2, dim=0) - math.log(len(d))")
    ),
    right(
        uniform(
            """
            u = F.normalize(z, dim=1)
            n = len(u)
            total = 0
            for i in range(n):
                for j in range(i + 1, n):
                    total = total + torch.exp(-t * ((u[i] - u[j]) ** 2).sum())
            return torch.log(2 * total / (n * (n - 1)))
            """
        )
    ),
    right(
        uniform(
            """
            u = F.normalize(z)
            n = len(u)
            k = torch.exp(-t * (2 - 2 * u @ u.T))
            return torch.log((k.sum() - k.diagonal().sum()) / (n * (n - 1)))
            """
        )
    ),
    right(
        uniform(
            """
            u = F.normalize(z)
            pairs = torch.combinations(torch.arange(len(u)))
            d = u[pairs[:, 0]] - u[pairs[:, 1]]
            return torch.exp(-t * torch.einsum('pd,pd->p', d, d)).mean().log()
            """
        )
    ),
    right(
        uniform(
            """
            u = F.normalize(z)
            n = len(u)
            s = (2 * t * (u @ u.T - 1)).masked_fill(torch.eye(n).bool(), -math.inf)
            return s.logsumexp((0, 1)) - math.log(n * (n - 1))
            """
        )
    ),
]

# --- info_nce_queue -------------------------------------------------------------------------------------------------


def queued(body: str) -> str:
    return function("info_nce_queue(q, k, queue, temperature=0.2)", body)


QUEUE = queued(
    """
    k, queue = k.detach(), queue.detach()
    u, v, w = F.normalize(q, dim=1), F.normalize(k, dim=1), F.normalize(queue, dim=1)
    positive = (u * v).sum(dim=1, keepdim=True) / temperature
    negative = u @ w.T / temperature
    alignment = -positive.mean()
    contrast = torch.cat([positive, negative], dim=1).logsumexp(dim=1).mean()
    return alignment + contrast, alignment, contrast
    """
)

WRONG += [
    wrong(edited(QUEUE, ("torch.cat([positive, negative], dim=1)", "negative")), "positive", "key", "left out"),
    wrong(edited(QUEUE, ("F.normalize(queue, dim=1)", "queue")), *LENGTH, "queue"),
    wrong(edited(QUEUE, ("F.normalize(k, dim=1)", "k")), *LENGTH),
    wrong(edited(QUEUE, ("F.normalize(q, dim=1)", "q")), *LENGTH),
    wrong(edited(QUEUE, ("k, queue = k.detach(), queue.detach()", "queue = queue.detach()")), *CUT, "k"),
    wrong(edited(QUEUE, ("k, queue = k.detach(), queue.detach()", "k = k.detach()")), *CUT, "queue"),
    wrong(edited(QUEUE, ("    k, queue = k.detach(), queue.detach()\n", "")), *CUT),
    wrong(
        edited(
            QUEUE, ("k, queue = k.detach(), queue.detach()", "q, k, queue = q.detach(), k.detach(), queue.detach()")
        ),
        *CUT,
    ),
    wrong(edited(QUEUE, ("negative = u @ w.T", "negative = u @ v.T")), "queue", "batch", "keys"),
    wrong(
        edited(
            QUEUE,
            ("negative = u @ w.T", "negative = u @ torch.cat([v, w]).T"),
            ("torch.cat([positive, negative], dim=1)", "negative"),
        ),
        "other keys",
        "batch",
        "keys",
        "queue only",
        "only the queue",
    ),
    wrong(
        edited(QUEUE, ("negative = u @ w.T", "negative = u @ torch.cat([v, w]).T")),
        "other keys",
        "batch",
        "keys",
        "twice",
        "queue only",
        "only the queue",
    ),
    wrong(edited(QUEUE, ("[positive, negative]", "[positive, positive, negative]")), "twice", "positive"),
    wrong(edited(QUEUE, (" / temperature", "")), "temperature"),
    wrong(edited(QUEUE, (" / temperature", " * temperature")), "temperature", "divid", "multipl"),
    wrong(edited(QUEUE, ("u @ w.T / temperature", "u @ w.T")), "temperature", "negative"),
    wrong(edited(QUEUE, ("keepdim=True) / temperature", "keepdim=True)")), "temperature", "positive"),
    wrong(edited(QUEUE, ("-positive", "positive")), "sign", "minus", "negative", "-1"),
    wrong(edited(QUEUE, (".mean()", ".sum()")), *MEAN, misleading=()),
    wrong(edited(QUEUE, (".logsumexp(dim=1)", ".logsumexp(dim=0)")), *AXIS),
    wrong(
        edited(QUEUE, (".logsumexp(dim=1).mean()", ".exp().sum(dim=1).mean().log()")),
        "inside the mean",
        "log inside",
        "outside",
        "each",
        "log of the mean",
        "mean of the log",
        "before the mean",
    ),
    wrong(edited(QUEUE, (".logsumexp(dim=1)", ".exp().sum(dim=1).log()")), *OVERFLOW),
    wrong(edited(QUEUE, (".logsumexp(dim=1).mean()", ".exp().sum(dim=1).mean()")), "log"),
    wrong(edited(QUEUE, (RESULT, "alignment + contrast")), *WHOLE),
    wrong(edited(QUEUE, (RESULT, "alignment + contrast, contrast, alignment")), *ORDER),
    wrong(
        edited(QUEUE, ("dim=1).mean()\n    return", "dim=1).mean() - math.log(1 + len(queue))\n    return")),
        "log",
        "mean over",
        "sum",
    ),
    wrong(
        edited(QUEUE, ("(u * v).sum(dim=1, keepdim=True)", "(u * w[: len(u)]).sum(dim=1, keepdim=True)")),
        "key",
        "k ",
        "positive",
        "queue",
        "size",
    ),
    wrong(edited(QUEUE, ("F.normalize(queue, dim=1)", "F.normalize(queue, dim=0)")), "dim=", "row", "column", *LENGTH),
    wrong(edited(QUEUE, ("F.normalize(q, dim=1)", "F.normalize(q.float(), dim=1).double()")), *FLOAT32),
]
RIGHT += [
    right(QUEUE),
    right(
        queued(
            """
            with torch.no_grad():
                v, w = F.normalize(k), F.normalize(queue)
            u = F.normalize(q)
            own, others = torch.einsum('nd,nd->n', u, v), torch.einsum('nd,rd->nr', u, w)
            logits = torch.cat([own.unsqueeze(1), others], 1) / temperature
            total = F.cross_entropy(logits, torch.zeros(len(q), dtype=torch.long))
            alignment = -logits[:, 0].mean()
            return total, alignment, total - alignment
            """
        )
    ),
    right(
        queued(
            """
            alignment = contrast = 0
            for i in range(len(q)):
                positive = F.cosine_similarity(q[i], k[i].detach(), dim=0) / temperature
                scores = [positive] + [F.cosine_similarity(q[i], w.detach(), dim=0) / temperature for w in queue]
                alignment = alignment - positive
                contrast = contrast + torch.logsumexp(torch.stack(scores), dim=0)
            n = len(q)
            return (alignment + contrast) / n, alignment / n, contrast / n
            """
        )
    ),
    right(
        queued(
            """
            p = F.cosine_similarity(q, k.detach()) / temperature
            n = F.cosine_similarity(q[:, None], queue.detach()[None], dim=2) / temperature
            contrast = torch.logaddexp(p, n.logsumexp(1)).mean()
            return contrast - p.mean(), -p.mean(), contrast
            """
        )
    ),
    right(
        queued(
            """
            k, queue = F.normalize(k).detach(), F.normalize(queue).detach()
            u = F.normalize(q) / temperature
            pos = (u * k).sum(1)
            gap = torch.cat([torch.zeros_like(pos)[:, None], u @ queue.T - pos[:, None]], 1)
            total = gap.logsumexp(1).mean()
            return total, -pos.mean(), total + pos.mean()
            """
        )
    ),
]

# --- on what they are compared ---------------------------------------------------------------------------------------


def leaf(generator: Generator, *shape: int) -> Tensor:
    """Shifted and stretched a little, so that centring and scaling show."""
    return (torch.randn(*shape, generator=generator, dtype=torch.float64) * 1.3 + 0.4).requires_grad_()


def views(generator: Generator) -> list[tuple[Any, ...]]:
    return [(leaf(generator, n, d), leaf(generator, n, d), *rest) for n, d, *rest in ((5, 3), (4, 6), (4, 3, 0.7))]


def gentle_views(generator: Generator) -> list[tuple[Any, ...]]:
    return [*views(generator), (leaf(generator, 4, 3), leaf(generator, 4, 3), 1.9)]


def sharp_views(generator: Generator) -> list[tuple[Any, ...]]:
    """With a temperature at which an exponential by itself overflows."""
    return [*views(generator), (leaf(generator, 4, 3), leaf(generator, 4, 3), 0.001)]


def decoupled_views(generator: Generator) -> list[tuple[Any, ...]]:
    return [
        (leaf(generator, n, d), leaf(generator, n, d), tau) for n, d, tau in ((5, 3, 0.3), (4, 6, 0.7), (4, 3, 0.001))
    ]


def plain_views(generator: Generator) -> list[tuple[Any, ...]]:
    return [tuple(a.detach() if isinstance(a, Tensor) else a for a in case) for case in sharp_views(generator)]


def align_views(generator: Generator) -> list[tuple[Any, ...]]:
    return [
        (leaf(generator, n, d), leaf(generator, n, d), *rest)
        for n, d, *rest in ((5, 3), (4, 6), (4, 3, 1.5), (4, 3, 3))
    ]


def clouds(generator: Generator) -> list[tuple[Any, ...]]:
    opposite = torch.tensor([[1.0, 0.0], [-2.0, 0.0]], dtype=torch.float64).requires_grad_()
    return [(leaf(generator, 6, 3),), (leaf(generator, 4, 5), 0.7), (leaf(generator, 5, 3), 3), (opposite,)]


def queues(generator: Generator) -> list[tuple[Any, ...]]:
    shapes = ((4, 3, 6), (3, 5, 4, 0.7), (3, 4, 3, 0.001))
    return [(leaf(generator, n, d), leaf(generator, n, d), leaf(generator, r, d), *rest) for n, d, r, *rest in shapes]


INPUTS = {
    "info_nce_loop": gentle_views,
    "info_nce": sharp_views,
    "decoupled_info_nce": decoupled_views,
    "nt_xent": sharp_views,
    "info_nce_gradient": plain_views,
    "alignment": align_views,
    "uniformity": clouds,
    "info_nce_queue": queues,
}
