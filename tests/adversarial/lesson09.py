"""Answers to the exercises of lesson 09: DINO and its centre, SimDINO, data2vec, KoLeo and Gram anchoring."""

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
    Right,
    Wrong,
    edited,
    function,
    right,
    wrong,
)

WRONG: list[Wrong] = []
RIGHT: list[Right] = []

AXIS = ("dim", "axis", "axes", "row", "column", "along", "over the samples", "over the outputs", "transpos")
SHAPE = ("shape", "dim", "keepdim", "scalar", "one number", "broadcast")
SIGN = ("sign", "minus", "negative", "subtract", "add", "plus", "right one times -1")
MEAN = ("mean", "sum", "divi", "average", *FACTOR)
ORDER = ("order", "swap", "position", "outputs", "permut", "exchang")
WHOLE = ("tuple", "three", "outputs", "(total", "one value", "only the total")
TEMPERATURE = ("temperature", "tau")
CENTRE = ("centre", "center")
SOFTMAX = ("softmax", "sum to 1", "normalis")
HARD = ("hard", "soft", "one-hot", "argmax", "largest", "0 or 1")
ZERO = ("0 log 0", "zero", "nan", "log 0", "log(0)", "entr", "xlogy", "finite", "underflow", "log_softmax")
EPS = ("1e-", "eps", "small number", "small constant", "added", "adds", "offset", "zero", "log_softmax")
BASE = ("base", "log2", "log10", "natural", "nat", "bits")
LOOP = ("last", "range", "left out", "leaves out", "missing", "skip", "ends", "stops", "early", "all")
OVERWRITTEN = ("last", "overwrit", "anew", "+=", "accumulat")
PAIRS = ("same view", "equal view", "own view", "pair", "different view", "skip", "t != s", "s == t")
LOCAL = ("local", "all views", "crop", "every view", "student's views", "views")
LENGTH = ("length", "unit", "normalis", "cosine", "F.normalize")
ITERATIONS = ("iteration", "round", "loop", "repeat", "once")

# --- teacher_distribution -------------------------------------------------------------------------------------------


def sharp(body: str) -> str:
    return function("teacher_distribution(logits, center, temperature=0.04)", body)


SHARP = sharp("return torch.softmax((logits - center) / temperature, dim=1).detach()")
SHARP_BY_HAND = sharp(
    """
    with torch.no_grad():
        x = (logits - center) / temperature
        x = x - x.max(dim=1, keepdim=True).values
        e = torch.exp(x)
        return e / e.sum(dim=1, keepdim=True)
    """
)

WRONG += [
    wrong(edited(SHARP, (".detach()", "")), *CUT),
    wrong(edited(SHARP, ("logits - center", "logits + center")), *SIGN),
    wrong(edited(SHARP, ("logits - center", "center - logits")), *SIGN, "order"),
    wrong(edited(SHARP, ("dim=1", "dim=0")), *AXIS),
    wrong(
        edited(SHARP, ("(logits - center) / temperature", "logits / temperature - center")),
        "order",
        "before",
        "first",
        "then",
        "divided by the temperature",
    ),
    wrong(edited(SHARP, (" / temperature", "")), *TEMPERATURE),
    wrong(edited(SHARP, (" / temperature", " * temperature")), *TEMPERATURE),
    wrong(edited(SHARP, (" / temperature", " / 0.04")), *TEMPERATURE),
    wrong(edited(SHARP, ("(logits - center)", "logits")), *CENTRE),
    wrong(edited(SHARP, ("torch.softmax", "torch.log_softmax")), "log", "exp"),
    wrong(
        sharp("return (torch.softmax(logits / temperature, dim=1) - center).detach()"),
        "before",
        "inside",
        "logits",
        "sum to 1",
        "after the softmax",
        "order",
    ),
    wrong(
        edited(SHARP, ("logits - center", "logits - logits.mean(dim=0)")), *CENTRE, "batch", "given", "not depend on"
    ),
    wrong(
        edited(SHARP, ("logits - center", "logits - center.mean()")), *CENTRE, "each output", "one number", "own entry"
    ),
    wrong(edited(SHARP, ("logits - center", "logits - center[:, None]")), *SHAPE),
    wrong(edited(SHARP_BY_HAND, ("        x = x - x.max(dim=1, keepdim=True).values\n", "")), *OVERFLOW),
    wrong(edited(SHARP_BY_HAND, ("e.sum(dim=1, keepdim=True)", "e.sum(dim=1)")), *SHAPE),
    wrong(edited(SHARP_BY_HAND, ("e.sum(dim=1, keepdim=True)", "e.sum()")), "sum to 1", "each row", *AXIS),
    wrong(edited(SHARP_BY_HAND, ("x.max(dim=1, keepdim=True).values", "x.max()")), *OVERFLOW, "underflow", "each row"),
    wrong(edited(SHARP, ("(logits - center)", "(logits - center).float()")), *FLOAT32),
    wrong(sharp("logits -= center\nreturn torch.softmax(logits / temperature, dim=1).detach()"), *IN_PLACE),
    wrong(
        sharp("return F.one_hot((logits - center).argmax(dim=1), logits.shape[1]).to(logits.dtype)"),
        *HARD,
        *TEMPERATURE,
    ),
    wrong(edited(SHARP, ("torch.softmax(", "torch.sigmoid("), (", dim=1", "")), "sigmoid", *SOFTMAX),
    wrong(edited(SHARP, ("(logits - center)", "F.normalize(logits - center, dim=1)")), *LENGTH),
    wrong(sharp("return F.gumbel_softmax(logits - center, tau=temperature, dim=1).detach()"), "random", "noise"),
]
RIGHT += [
    right(SHARP),
    right(SHARP_BY_HAND),
    right(sharp("g = logits.detach()\nreturn g.sub(center.detach()).div(temperature).log_softmax(-1).exp()")),
    right(
        sharp(
            """
            out = torch.zeros_like(logits)
            for i in range(logits.shape[0]):
                out[i] = torch.softmax((logits[i].detach() - center) / temperature, dim=0)
            return out.detach()
            """
        )
    ),
    right(sharp("beta = 1 / temperature\nreturn F.softmax(beta * logits - beta * center[None, :], dim=1).data")),
]

# --- teacher_cross_entropy ------------------------------------------------------------------------------------------


def cross(body: str) -> str:
    return function("teacher_cross_entropy(p, student_logits, temperature=0.1)", body)


CROSS = cross(
    "log_q = F.log_softmax(student_logits / temperature, dim=1)\nreturn -(p.detach() * log_q).sum(dim=1).mean()"
)
CROSS_LOOP = cross(
    """
    p = p.detach()
    x = student_logits / temperature
    n, k = x.shape
    loss = 0
    for i in range(n):
        norm = torch.logsumexp(x[i], dim=0)
        for j in range(k):
            loss = loss - p[i, j] * (x[i, j] - norm)
    return loss / n
    """
)

WRONG += [
    wrong(edited(CROSS, ("p.detach()", "p")), *CUT),
    wrong(edited(CROSS, (" / temperature", "")), *TEMPERATURE),
    wrong(edited(CROSS, (" / temperature", " * temperature")), *TEMPERATURE),
    wrong(edited(CROSS, ("student_logits / temperature", "student_logits / 0.1")), *TEMPERATURE),
    wrong(
        edited(
            CROSS,
            (
                "F.log_softmax(student_logits / temperature, dim=1)",
                "F.log_softmax(student_logits, dim=1) / temperature",
            ),
        ),
        *TEMPERATURE,
    ),
    wrong(
        cross(
            "q = torch.softmax(student_logits / temperature, dim=1)\nreturn -(p.detach() * q.log()).sum(dim=1).mean()"
        ),
        *OVERFLOW,
        *ZERO,
    ),
    wrong(
        cross(
            "q = torch.softmax(student_logits / temperature, dim=1)\nreturn -(p.detach() * (q + 1e-8).log()).sum(dim=1).mean()"
        ),
        *EPS,
    ),
    wrong(
        edited(
            CROSS,
            ("log_softmax(student_logits / temperature, dim=1)", "log_softmax(student_logits / temperature, dim=0)"),
        ),
        *AXIS,
    ),
    wrong(edited(CROSS, (".sum(dim=1).mean()", ".sum()")), *MEAN, misleading=()),
    wrong(edited(CROSS, (".sum(dim=1).mean()", ".mean()")), *MEAN, misleading=()),
    wrong(edited(CROSS, (".sum(dim=1).mean()", ".sum(dim=1)")), *SHAPE, *MEAN),
    wrong(edited(CROSS, ("return -", "return ")), *SIGN, misleading=()),
    wrong(
        cross(
            "q = torch.softmax(student_logits / temperature, dim=1)\nreturn -(q * torch.log(p.detach())).sum(dim=1).mean()"
        ),
        *ORDER,
        "weights",
        "weighted",
        "log of the teacher",
        "log of the student",
        "log P",
    ),
    wrong(edited(CROSS, ("p.detach()", "p.detach().softmax(dim=1)")), *SOFTMAX, "already"),
    wrong(
        edited(CROSS, ("p.detach()", "F.softmax(p.detach().log() / temperature, dim=1)")),
        *TEMPERATURE,
        "already",
        "sharpen",
    ),
    wrong(
        cross("return F.kl_div(F.log_softmax(student_logits / temperature, dim=1), p.detach(), reduction='batchmean')"),
        "KL",
        "divergence",
        "entropy of",
        "teacher's entropy",
    ),
    wrong(edited(CROSS, ("F.log_softmax(student_logits ", "F.log_softmax(student_logits.detach() ")), *CUT),
    wrong(edited(CROSS, ("p.detach() * log_q", "log_q")), "weigh", "times p", "p_k", "not depend on p", "ignor"),
    wrong(cross("return F.cross_entropy(student_logits / temperature, p.detach().argmax(dim=1))"), *HARD),
    wrong(
        cross("return F.cross_entropy(p.detach(), student_logits / temperature)"), *ORDER, "first argument", "logits"
    ),
    wrong(edited(CROSS, ("student_logits / temperature", "student_logits.float() / temperature")), *FLOAT32),
    wrong(
        cross(
            "student_logits /= temperature\nreturn -(p.detach() * F.log_softmax(student_logits, dim=1)).sum(dim=1).mean()"
        ),
        *IN_PLACE,
    ),
    wrong(
        edited(CROSS, ("dim=1)\nreturn".replace("\n", "\n    "), "dim=1) / math.log(2)\n    return")),
        *BASE,
        *FACTOR,
        misleading=(),
    ),
    wrong(
        edited(CROSS, ("-(p.detach() * log_q).sum(dim=1).mean()", "-(p.detach() @ log_q.T).mean()")),
        "pair",
        "other samples",
        "own",
        "diagonal",
        "row",
        "same sample",
    ),
    wrong(edited(CROSS_LOOP, ("range(k)", "range(k - 1)")), *LOOP),
    wrong(edited(CROSS_LOOP, ("loss = loss - p", "loss = -p")), *OVERWRITTEN),
    wrong(
        cross(
            "q = torch.softmax(student_logits / temperature, dim=1)\nreturn (p.detach() - q).square().sum(dim=1).mean()"
        ),
        "square",
        "log",
        "cross-entropy",
    ),
]
RIGHT += [
    right(CROSS),
    right(CROSS_LOOP),
    right(cross("return F.cross_entropy(student_logits / temperature, p.detach())")),
    right(
        cross(
            """
            t = p.detach()
            x = student_logits / temperature
            return (t.sum(dim=1) * x.logsumexp(dim=1) - (t * x).sum(dim=1)).mean()
            """
        )
    ),
    right(
        cross(
            """
            x = student_logits.div(temperature)
            log_q = x - torch.logsumexp(x, dim=-1, keepdim=True)
            return -torch.einsum("nk,nk->", p.detach(), log_q) / len(p)
            """
        )
    ),
]

# --- dino -----------------------------------------------------------------------------------------------------------


def pairs(body: str) -> str:
    return function(
        "dino(student_logits, teacher_logits, center, student_temperature=0.1, teacher_temperature=0.04)", body
    )


DINO = pairs(
    """
    total, entropy, count = 0.0, 0.0, 0
    for t, g in enumerate(teacher_logits):
        p = torch.softmax((g - center) / teacher_temperature, dim=1).detach()
        entropy = entropy + torch.special.entr(p).sum(dim=1).mean()
        for s, x in enumerate(student_logits):
            if s == t:
                continue
            log_q = F.log_softmax(x / student_temperature, dim=1)
            total = total - (p * log_q).sum(dim=1).mean()
            count += 1
    total, entropy = total / count, entropy / len(teacher_logits)
    return total, entropy, total - entropy
    """
)
DINO_LISTS = pairs(
    """
    targets = [teacher_distribution(g, center, teacher_temperature) for g in teacher_logits]
    terms = [
        teacher_cross_entropy(p, x, student_temperature)
        for t, p in enumerate(targets)
        for s, x in enumerate(student_logits)
        if s != t
    ]
    total = torch.stack(terms).mean()
    entropy = torch.stack([torch.special.entr(p).sum(1).mean() for p in targets]).mean()
    return total, entropy, total - entropy
    """
)
SKIP = "            if s == t:\n                    continue\n".replace("    " * 5, "    " * 4)

WRONG += [
    wrong(edited(DINO_LISTS, ("        if s != t\n", "")), *PAIRS),
    wrong(edited(DINO_LISTS, ("if s != t", "if s == t")), *PAIRS),
    wrong(edited(DINO_LISTS, ("if s != t", "if s > t")), *PAIRS, "both"),
    wrong(edited(DINO, ("s == t", "x is g")), *PAIRS),
    wrong(
        edited(DINO, ("total / count", "total / (len(teacher_logits) * len(student_logits))")),
        *PAIRS,
        *MEAN,
        misleading=(),
    ),
    wrong(edited(DINO, ("total / count", "total / (2 * (len(student_logits) + 1))")), *PAIRS, *MEAN, misleading=()),
    wrong(edited(DINO, ("total / count", "total")), *PAIRS, *MEAN, misleading=()),
    wrong(edited(DINO, ("total / count", "total / len(teacher_logits)")), *PAIRS, *MEAN, misleading=()),
    wrong(edited(DINO, ("g - center", "g + center")), *SIGN),
    wrong(edited(DINO, ("(g - center)", "g")), *CENTRE),
    wrong(edited(DINO, ("x / student_temperature", "(x - center) / student_temperature")), *CENTRE, "student"),
    wrong(
        edited(
            DINO,
            ("/ student_temperature", "/ t_s"),
            ("/ teacher_temperature", "/ student_temperature"),
            ("/ t_s", "/ teacher_temperature"),
        ),
        *TEMPERATURE,
    ),
    wrong(edited(DINO, ("/ student_temperature", "/ teacher_temperature")), *TEMPERATURE),
    wrong(edited(DINO, ("/ teacher_temperature", "/ student_temperature")), *TEMPERATURE),
    wrong(edited(DINO_LISTS, (", student_temperature)\n", ")\n")), *TEMPERATURE),
    wrong(edited(DINO, (".detach()", "")), *CUT),
    wrong(edited(DINO, ("F.log_softmax(x ", "F.log_softmax(x.detach() ")), *CUT),
    wrong(edited(DINO, ("entropy + torch", "entropy - torch")), *SIGN, "entropy", misleading=()),
    wrong(
        edited(
            DINO,
            ("        entropy = entropy + torch.special.entr(p).sum(dim=1).mean()\n", ""),
            (
                "total, entropy = total",
                "for x in student_logits:\n        q = torch.softmax(x / student_temperature, dim=1).detach()\n        entropy = entropy + torch.special.entr(q).sum(dim=1).mean()\n    total, entropy = total",
            ),
            ("entropy / len(teacher_logits)", "entropy / len(student_logits)"),
        ),
        "teacher",
        "student",
        "whose entropy",
    ),
    wrong(edited(DINO, ("return total, entropy, total - entropy", "return total, total - entropy, entropy")), *ORDER),
    wrong(edited(DINO, ("return total, entropy, total - entropy", "return total")), *WHOLE),
    wrong(edited(DINO, ("total - entropy", "entropy - total")), *SIGN, "divergence", misleading=()),
    wrong(edited(DINO, ("return total, entropy", "return total - entropy, entropy")), "entropy", "divergence", "total"),
    wrong(edited(DINO, ("entropy / len(teacher_logits)", "entropy")), *MEAN, "views", misleading=()),
    wrong(edited(DINO, ("entropy / len(teacher_logits)", "entropy / count")), *MEAN, "views", misleading=()),
    wrong(edited(DINO, ("torch.special.entr(p)", "(-p * p.log())")), *ZERO),
    wrong(edited(DINO, ("torch.special.entr(p)", "(-p * (p + 1e-8).log())")), *EPS),
    wrong(
        edited(DINO, ("torch.special.entr(p).sum(dim=1).mean()", "torch.special.entr(p.mean(dim=0)).sum()")),
        "mean distribution",
        "each sample",
        "entropy of the mean",
        "of each row",
        "mean of the entropies",
        "samples",
    ),
    wrong(edited(DINO, ("continue", "break")), "break", "continue", *PAIRS, *LOCAL),
    wrong(
        pairs(
            """
            total, entropy = 0.0, 0.0
            for g, x in zip(teacher_logits, student_logits):
                p = torch.softmax((g - center) / teacher_temperature, dim=1).detach()
                entropy = entropy + torch.special.entr(p).sum(dim=1).mean() / len(teacher_logits)
                total = total + F.cross_entropy(x / student_temperature, p) / len(teacher_logits)
            return total, entropy, total - entropy
            """
        ),
        *PAIRS,
    ),
    wrong(edited(DINO_LISTS, ("enumerate(student_logits)", "enumerate(student_logits[: len(targets)])")), *LOCAL),
    wrong(
        edited(DINO_LISTS, ("in teacher_logits]", "in teacher_logits[:2]]")), "two", "teacher's views", "all", *LOCAL
    ),
    wrong(
        pairs(
            """
            p0 = teacher_distribution(teacher_logits[0], center, teacher_temperature)
            p1 = teacher_distribution(teacher_logits[1], center, teacher_temperature)
            total = teacher_cross_entropy(p0, student_logits[1], student_temperature)
            total = (total + teacher_cross_entropy(p1, student_logits[0], student_temperature)) / 2
            entropy = torch.special.entr(torch.cat([p0, p1])).sum(dim=1).mean()
            return total, entropy, total - entropy
            """
        ),
        *LOCAL,
        *PAIRS,
        "two",
    ),
    wrong(edited(DINO, ("center) / teacher_temperature, dim=1)", "center) / teacher_temperature, dim=0)")), *AXIS),
    wrong(
        edited(
            DINO,
            (
                "log_q = F.log_softmax(x / student_temperature, dim=1)",
                "q = torch.softmax(x / student_temperature, dim=1)",
            ),
            ("(p * log_q)", "(q * p.log())"),
        ),
        *ORDER,
        "weigh",
        "log of the",
        *ZERO,
    ),
    wrong(
        edited(
            DINO, ("F.log_softmax(x / student_temperature, dim=1)", "F.softmax(x / student_temperature, dim=1).log()")
        ),
        *OVERFLOW,
        *ZERO,
    ),
    wrong(edited(DINO, ("(g - center)", "(g - center).float()")), *FLOAT32),
    wrong(
        edited(DINO, ("        p = torch", "        g -= center\n        p = torch"), ("(g - center) / ", "g / ")),
        *IN_PLACE,
    ),
    wrong(edited(DINO, ("total = total - (p", "total = -(p")), *OVERWRITTEN, misleading=()),
    wrong(
        edited(DINO, (".sum(dim=1).mean()\n            count", ".mean()\n            count")),
        *MEAN,
        "outputs",
        misleading=(),
    ),
]
RIGHT += [
    right(DINO),
    right(DINO_LISTS),
    right(
        pairs(
            """
            P = torch.stack([(g.detach() - center) / teacher_temperature for g in teacher_logits]).softmax(-1)
            log_q = torch.stack([x / student_temperature for x in student_logits]).log_softmax(-1)
            table = -torch.einsum("tnk,snk->ts", P, log_q) / P.shape[1]
            keep = ~torch.eye(*table.shape, dtype=torch.bool)
            entropy = -torch.xlogy(P, P).sum(-1).mean()
            total = table[keep].mean()
            return total, entropy, total - entropy
            """
        )
    ),
    right(
        pairs(
            """
            P = [F.softmax((g.detach() - center) / teacher_temperature, dim=1) for g in teacher_logits]
            h = sum(torch.special.entr(p).sum() for p in P) / sum(len(p) for p in P)
            apart = []
            for s in range(len(student_logits)):
                log_q = (student_logits[s] / student_temperature).log_softmax(dim=1)
                apart += [F.kl_div(log_q, P[t], reduction="batchmean") for t in range(len(P)) if t != s]
            d = sum(apart) / len(apart)
            return h + d, h, d
            """
        )
    ),
]

# --- dino_gradient --------------------------------------------------------------------------------------------------


def slope(body: str) -> str:
    return function("dino_gradient(p, student_logits, temperature=0.1)", body)


SLOPE = slope(
    """
    n, k = student_logits.shape
    q = torch.softmax(student_logits / temperature, dim=1)
    return (q - p) / (n * temperature)
    """
)
SLOPE_BY_HAND = slope(
    """
    x = student_logits / temperature
    e = torch.exp(x - x.max(dim=1, keepdim=True).values)
    q = e / e.sum(dim=1, keepdim=True)
    return (q - p) / temperature / len(p)
    """
)

WRONG += [
    wrong(edited(SLOPE, ("q - p", "p - q")), *SIGN, misleading=()),
    wrong(edited(SLOPE, ("(n * temperature)", "n")), *TEMPERATURE, "inner", *FACTOR, misleading=()),
    wrong(edited(SLOPE, ("(n * temperature)", "temperature")), "1/N", "N", "mean", *FACTOR, misleading=()),
    wrong(edited(SLOPE, ("(n * temperature)", "(n * k * temperature)")), "N", "K", "mean", *FACTOR, misleading=()),
    wrong(edited(SLOPE, ("(n * temperature)", "(k * temperature)")), "N", "K", "samples", *FACTOR, misleading=()),
    wrong(
        edited(SLOPE, ("(n * temperature)", "n * temperature")),
        *TEMPERATURE,
        "bracket",
        "parenthes",
        *FACTOR,
        misleading=(),
    ),
    wrong(edited(SLOPE, ("(n * temperature)", "(n * temperature**2)")), *TEMPERATURE, *FACTOR, misleading=()),
    wrong(edited(SLOPE, (" / (n * temperature)", "")), *TEMPERATURE, "N", *FACTOR, misleading=()),
    wrong(edited(SLOPE, ("softmax(student_logits / temperature", "softmax(student_logits")), *TEMPERATURE),
    wrong(edited(SLOPE, ("/ temperature, dim", "/ 0.1, dim")), *TEMPERATURE),
    wrong(edited(SLOPE, ("q - p", "q - p.softmax(dim=1)")), *SOFTMAX, "already"),
    wrong(edited(SLOPE, ("dim=1", "dim=0")), *AXIS),
    wrong(edited(SLOPE, ("(q - p)", "q")), "target", "minus", "not depend on p", "ignor", "p is"),
    wrong(edited(SLOPE, ("(q - p)", "-p / q")), "softmax", "log", "chain", "derivative", "q", "logits"),
    wrong(
        edited(SLOPE, ("(q - p)", "p * (q - 1)")),
        "sum over k",
        "other",
        "every k",
        "p_k",
        "weigh",
        "sum",
        "all outputs",
    ),
    wrong(
        edited(SLOPE, ("(q - p)", "(q - p) * q * (1 - q)")),
        "q (1 - q)",
        "sigmoid",
        "square",
        "cancel",
        "once more",
        "derivative of the softmax",
        "softmax",
    ),
    wrong(edited(SLOPE, ("torch.softmax", "torch.log_softmax")), "log", "exp"),
    wrong(
        edited(SLOPE, ("/ (n * temperature)", "/ (n * temperature)).mean(dim=0)"), ("return (q", "return ((q")), *SHAPE
    ),
    wrong(edited(SLOPE, ("torch.softmax(student_logits", "torch.softmax(student_logits.float()")), *FLOAT32),
    wrong(edited(SLOPE_BY_HAND, ("x - x.max(dim=1, keepdim=True).values", "x")), *OVERFLOW),
    wrong(edited(SLOPE_BY_HAND, ("e.sum(dim=1, keepdim=True)", "e.sum(dim=1)")), *SHAPE),
    wrong(
        slope("p -= torch.softmax(student_logits / temperature, dim=1)\nreturn -p / (len(p) * temperature)"), *IN_PLACE
    ),
    wrong(
        slope("q = torch.softmax(p / temperature, dim=1)\nreturn (q - student_logits) / (len(p) * temperature)"),
        *ORDER,
        "logits",
    ),
    wrong(slope("return teacher_cross_entropy(p, student_logits, temperature)"), "loss", "gradient", *SHAPE),
    wrong(
        slope(
            """
            x = student_logits.detach().clone().requires_grad_()
            loss = -(p.detach() * F.log_softmax(x / temperature, dim=1)).sum(dim=1).mean()
            return torch.autograd.grad(loss, x)[0]
            """
        ),
        "autograd",
        "automatic",
        "formula",
        note="its values are right, but a formula is asked",
    ),
]
RIGHT += [
    right(SLOPE),
    right(SLOPE_BY_HAND),
    right(
        slope(
            """
            n, k = p.shape
            q = F.log_softmax(student_logits / temperature, dim=-1).exp()
            # of -sum_k p_k log q_k, with d log q_k / d x_j = [j = k] - q_j
            jacobian = torch.eye(k, dtype=q.dtype) - q[:, None, :]
            return -torch.einsum("nk,nkj->nj", p, jacobian) / n / temperature
            """
        )
    ),
    right(
        slope(
            """
            rows = []
            for target, logits in zip(p, student_logits):
                rows.append(torch.softmax(logits / temperature, dim=0) - target)
            return torch.stack(rows) / temperature / len(rows)
            """
        )
    ),
]

# --- teacher_step ---------------------------------------------------------------------------------------------------


def step(body: str) -> str:
    return function("teacher_step(center, teacher_logits, momentum=0.9, temperature=0.04)", body)


STEP = step(
    """
    g = torch.stack(teacher_logits)
    targets = torch.softmax((g - center) / temperature, dim=-1)
    mean = g.mean(dim=(0, 1))
    return targets, momentum * center + (1 - momentum) * mean
    """
)
STEP_LISTS = step(
    """
    targets = torch.stack([torch.softmax((g - center) / temperature, dim=1) for g in teacher_logits])
    mean = torch.stack([g.mean(dim=0) for g in teacher_logits]).mean(dim=0)
    return targets, momentum * center + (1 - momentum) * mean
    """
)

WRONG += [
    wrong(
        edited(
            STEP_LISTS,
            ("targets =", "teacher_logits = [g - center for g in teacher_logits]\n    targets ="),
            ("(g - center) / temp", "g / temp"),
        ),
        "raw",
        "half",
        "already",
        "centred",
    ),
    wrong(
        edited(STEP, ("momentum * center + (1 - momentum) * mean", "(1 - momentum) * center + momentum * mean")),
        "momentum",
        "share",
        "swap",
    ),
    wrong(
        step(
            """
            g = torch.stack(teacher_logits)
            center = momentum * center + (1 - momentum) * g.mean(dim=(0, 1))
            return torch.softmax((g - center) / temperature, dim=-1), center
            """
        ),
        "old",
        "before",
        "first",
        "order",
    ),
    wrong(edited(STEP_LISTS, (".mean(dim=0)\n", ".sum(dim=0)\n")), *MEAN, "views", misleading=()),
    wrong(edited(STEP, ("g.mean(dim=(0, 1))", "g.sum(dim=(0, 1)) / len(g)")), *MEAN, "samples"),
    wrong(edited(STEP, ("g.mean(dim=(0, 1))", "g[0].mean(dim=0)")), "first view", "all views", "views", "every view"),
    wrong(
        edited(
            STEP,
            (
                "return targets, momentum * center + (1 - momentum) * mean",
                "return momentum * center + (1 - momentum) * mean, targets",
            ),
        ),
        *ORDER,
    ),
    wrong(edited(STEP, ("g.mean(dim=(0, 1))", "targets.mean(dim=(0, 1))")), "raw", "logits", "probabilit", "softmax"),
    wrong(edited(STEP, ("g.mean(dim=(0, 1))", "g.mean(dim=(0, 1)) / temperature")), "raw", *TEMPERATURE),
    wrong(edited(STEP, ("g - center", "g + center")), *SIGN),
    wrong(edited(STEP, ("(g - center)", "g")), *CENTRE),
    wrong(edited(STEP, ("dim=-1", "dim=1")), *AXIS),
    wrong(edited(STEP, ("dim=-1", "dim=0")), *AXIS, "views"),
    wrong(edited(STEP_LISTS, ("targets = torch.stack(", "targets = torch.cat(")), *SHAPE, "stack"),
    wrong(edited(STEP, ("return targets", "return list(targets)")), *SHAPE, "stack", "list", "tensor"),
    wrong(
        edited(
            STEP,
            (
                "return targets, momentum * center + (1 - momentum) * mean",
                "center.mul_(momentum).add_((1 - momentum) * mean)\n    return targets, center",
            ),
        ),
        *IN_PLACE,
    ),
    wrong(edited(STEP, (" / temperature", "")), *TEMPERATURE),
    wrong(edited(STEP, (" / temperature", " * temperature")), *TEMPERATURE),
    wrong(edited(STEP, ("momentum * center + (1 - momentum) * mean", "0.9 * center + 0.1 * mean")), "momentum"),
    wrong(edited(STEP, ("g.mean(dim=(0, 1))", "g.mean()")), *AXIS, "each output", "own mean", "one number", "scalar"),
    wrong(edited(STEP, ("g.mean(dim=(0, 1))", "g.mean(dim=(0, 2))")), *AXIS, *SHAPE),
    wrong(edited(STEP, ("center + (1", "center - (1")), *SIGN),
    wrong(edited(STEP, ("momentum * center + (1 - momentum) * mean", "center")), "next", "old", "update", "same"),
    wrong(edited(STEP, ("momentum * center + (1", "center + (1")), "momentum", "keep", "share", "grow", "old"),
    wrong(edited(STEP, ("momentum * center + (1 - momentum) * mean", "mean")), "momentum", "moving", "old"),
    wrong(
        step(
            """
            targets = torch.stack([torch.softmax((g - center) / temperature, dim=1) for g in teacher_logits])
            for g in teacher_logits:
                center = momentum * center + (1 - momentum) * g.mean(dim=0)
            return targets, center
            """
        ),
        "once",
        "each view",
        "per view",
        "views",
        "twice",
    ),
    wrong(edited(STEP, ("g = torch.stack(teacher_logits)", "g = torch.stack(teacher_logits).float()")), *FLOAT32),
    wrong(edited(STEP, ("torch.softmax(", "torch.log_softmax(")), "log", "exp"),
    wrong(
        edited(
            STEP,
            ("targets = torch", "for x in teacher_logits:\n        x -= center\n    targets = torch"),
            ("g - center", "torch.stack(teacher_logits)"),
        ),
        *IN_PLACE,
    ),
    wrong(edited(STEP, ("mean = g.mean(dim=(0, 1))", "mean = g.amax(dim=(0, 1))")), "mean", "max", "largest"),
]
RIGHT += [
    right(STEP),
    right(STEP_LISTS),
    right(
        step(
            """
            with torch.no_grad():
                targets = [teacher_distribution(g, center, temperature) for g in teacher_logits]
                mean = torch.cat(teacher_logits).mean(dim=0)
                return torch.stack(targets), center.lerp(mean, 1 - momentum)
            """
        )
    ),
    right(
        step(
            """
            new = center.clone()
            new *= momentum
            p = []
            for g in teacher_logits:
                new += (1 - momentum) * g.detach().mean(0) / len(teacher_logits)
                p.append(F.softmax(g.detach() / temperature - center / temperature, dim=-1))
            return torch.stack(p, dim=0), new
            """
        )
    ),
    right(
        step(
            """
            g = torch.stack(list(teacher_logits)).detach()
            V, N, K = g.shape
            x = (g - center.view(1, 1, K)) / temperature
            p = (x - x.logsumexp(dim=2, keepdim=True)).exp()
            return p, center + (1 - momentum) * (g.reshape(V * N, K).sum(0) / (V * N) - center)
            """
        )
    ),
]

# --- balanced_center ------------------------------------------------------------------------------------------------


def balanced(body: str) -> str:
    return function("balanced_center(center, teacher_logits, temperature=0.04, iterations=3)", body)


BALANCED = balanced(
    """
    g = torch.cat(teacher_logits)
    N, K = g.shape
    for _ in range(iterations):
        p = torch.softmax((g - center) / temperature, dim=1)
        center = center + temperature * torch.log(K * p.mean(dim=0))
    return center
    """
)
BALANCED_STACK = balanced(
    """
    g = torch.stack(teacher_logits)
    for _ in range(iterations):
        p = torch.softmax((g - center) / temperature, dim=-1).mean(dim=(0, 1))
        center = center + temperature * torch.log(p * len(p))
    return center
    """
)

WRONG += [
    wrong(edited(BALANCED, ("center + temperature", "center - temperature")), *SIGN),
    wrong(edited(BALANCED, ("K * p", "p")), "K", "1/K", "constant"),
    wrong(edited(BALANCED, ("K * p", "N * p")), "K", "outputs", "N"),
    wrong(edited(BALANCED, ("K * p", "p / K")), "K", "divi", "multipl"),
    wrong(edited(BALANCED, ("temperature * torch.log", "torch.log")), *TEMPERATURE),
    wrong(
        edited(BALANCED, ("temperature * torch.log(K * p.mean(dim=0))", "torch.log(K * p.mean(dim=0)) / temperature")),
        *TEMPERATURE,
    ),
    wrong(edited(BALANCED, ("temperature * torch.log", "0.04 * torch.log")), *TEMPERATURE),
    wrong(edited(BALANCED, (" / temperature", "")), *TEMPERATURE),
    wrong(
        edited(BALANCED, ("for _", "center = torch.zeros_like(center)\n    for _")),
        "start",
        "begin",
        "given",
        "zero",
        "ignor",
        "not depend",
    ),
    wrong(edited(BALANCED, ("range(iterations)", "range(1)")), *ITERATIONS),
    wrong(edited(BALANCED, ("range(iterations)", "range(iterations - 1)")), *ITERATIONS),
    wrong(edited(BALANCED, ("range(iterations)", "range(iterations + 1)")), *ITERATIONS),
    wrong(edited(BALANCED, ("range(iterations)", "range(3)")), *ITERATIONS),
    wrong(edited(BALANCED, ("    return center", "        return center")), *ITERATIONS, "return", "indent"),
    wrong(edited(BALANCED, ("torch.cat(teacher_logits)", "teacher_logits[0]")), "first view", "all views", "views"),
    wrong(edited(BALANCED, ("(g - center)", "g")), *CENTRE, "each round"),
    wrong(edited(BALANCED, ("(g - center)", "(g + center)")), *SIGN),
    wrong(
        edited(
            BALANCED,
            (
                "    for _ in range(iterations):\n        p = torch.softmax((g - center) / temperature, dim=1)\n",
                "    p = torch.softmax((g - center) / temperature, dim=1)\n    for _ in range(iterations):\n",
            ),
        ),
        "each round",
        "again",
        "inside the loop",
        "anew",
        "new centre",
        *ITERATIONS,
    ),
    wrong(edited(BALANCED_STACK, ("dim=-1", "dim=1")), *AXIS),
    wrong(edited(BALANCED, ("dim=1", "dim=0")), *AXIS),
    wrong(edited(BALANCED, ("p.mean(dim=0)", "p.sum(dim=0)")), *MEAN),
    wrong(edited(BALANCED_STACK, (".mean(dim=(0, 1))", ".sum(dim=0).mean(dim=0)")), *MEAN, "views"),
    wrong(edited(BALANCED, ("center = center + ", "center += ")), *IN_PLACE),
    wrong(edited(BALANCED, ("center = center + ", "center = ")), "old", "add", *OVERWRITTEN, *CENTRE),
    wrong(edited(BALANCED, ("torch.log(K", "torch.log2(K")), *BASE),
    wrong(
        edited(BALANCED, ("torch.log(K * p.mean(dim=0))", "(torch.log(K * p)).mean(dim=0)")),
        "log of the mean",
        "mean of the log",
        "first the mean",
        "order",
        "before",
    ),
    wrong(
        balanced(
            """
            g = torch.cat(teacher_logits)
            N, K = g.shape
            for _ in range(iterations):
                e = torch.exp((g - center) / temperature)
                center = center + temperature * torch.log(K * e.mean(dim=0))
            return center
            """
        ),
        "rows",
        "row",
        *SOFTMAX,
        *OVERFLOW,
    ),
    wrong(
        edited(BALANCED, ("torch.log(K * p.mean(dim=0))", "(p.mean(dim=0) - 1 / K)")),
        "log",
        "differ",
        "factor",
        "ratio",
    ),
    wrong(
        edited(BALANCED, ("return center", "return torch.softmax((g - center) / temperature, dim=1)")), "centre", *SHAPE
    ),
    wrong(
        edited(BALANCED, ("for _", "start = center\n    for _"), ("return center", "return center - start")),
        "start",
        "given",
        "whole centre",
        "change",
        *CENTRE,
    ),
    wrong(
        edited(BALANCED, ("return center", "return center - center.mean()")), "mean", "constant", "shift", "subtract"
    ),
    wrong(edited(BALANCED, ("g = torch.cat(teacher_logits)", "g = torch.cat(teacher_logits).float()")), *FLOAT32),
    wrong(
        edited(BALANCED, ("g.shape\n", "g.shape\n    center = g.mean(dim=0)\n")),
        "start",
        "given",
        "mean",
        "ignor",
        "not depend",
    ),
    wrong(
        balanced("return 0.9 * center + 0.1 * torch.cat(teacher_logits).mean(dim=0)"),
        "probabilit",
        "balanc",
        "log",
        *ITERATIONS,
    ),
]
RIGHT += [
    right(BALANCED),
    right(BALANCED_STACK),
    right(
        balanced(
            """
            g = torch.cat(list(teacher_logits), dim=0).detach()
            for _ in range(iterations):
                log_p = F.log_softmax((g - center) / temperature, dim=1)
                log_mean = log_p.logsumexp(dim=0) - math.log(log_p.shape[0])
                center = center + temperature * (log_mean + math.log(log_p.shape[1]))
            return center.detach()
            """
        )
    ),
    right(
        balanced(
            """
            c = center.clone()
            views = len(teacher_logits)
            for round in range(iterations):
                used = sum(teacher_distribution(g, c, temperature).mean(0) for g in teacher_logits) / views
                c += temperature * (used / (1 / used.numel())).log()
            return c
            """
        )
    ),
    right(
        balanced(
            """
            g = torch.cat(teacher_logits) / temperature
            potential = -center / temperature
            for _ in range(iterations):
                p = torch.softmax(g + potential, dim=1)
                potential = potential - torch.log(p.sum(0)) + math.log(len(g) / len(potential))
            return -temperature * potential
            """
        )
    ),
]

# --- coding_rate ----------------------------------------------------------------------------------------------------


def rate(body: str) -> str:
    return function("coding_rate(z, eps=0.05)", body)


RATE = rate(
    """
    n, d = z.shape
    a = d / (n * eps)
    return 0.5 * torch.logdet(torch.eye(d, dtype=z.dtype) + a * z.T @ z)
    """
)
RATE_EIGEN = rate(
    """
    n, d = z.shape
    values = torch.linalg.eigvalsh(z.T @ z)
    return 0.5 * torch.log(1 + d / (n * eps) * values).sum()
    """
)
SCALE = ("D/(N eps)", "D / (N eps)", "N", "D", "D/N", "factor in front", "eps", "samples", "dimensions")

WRONG += [
    wrong(edited(RATE, ("0.5 * ", "")), "half", "1/2", *FACTOR, misleading=()),
    wrong(edited(RATE, ("torch.eye(d, dtype=z.dtype) + ", "")), "identity", "I", "singular", "infinit", "-inf"),
    wrong(edited(RATE, ("d / (n * eps)", "n / (d * eps)")), *SCALE),
    wrong(edited(RATE, ("d / (n * eps)", "1 / (n * eps)")), *SCALE),
    wrong(edited(RATE, ("d / (n * eps)", "d / eps")), *SCALE),
    wrong(edited(RATE, ("d / (n * eps)", "d / n * eps")), *SCALE, "bracket", "parenthes"),
    wrong(edited(RATE, ("n * eps", "n * eps**2")), "eps", "square"),
    wrong(edited(RATE, ("n * eps", "n")), "eps"),
    wrong(edited(RATE, ("n * eps", "n * 0.05")), "eps"),
    wrong(
        edited(RATE, ("torch.eye(d, dtype=z.dtype) + a", "eps * torch.eye(d, dtype=z.dtype) + d / n")),
        "eps",
        "identity",
    ),
    wrong(
        edited(RATE, ("n, d = z.shape", "n, d = z.shape\n    z = z - z.mean(dim=0)")), "centre", "mean", "as they are"
    ),
    wrong(edited(RATE, ("n, d = z.shape", "n, d = z.shape\n    z = F.normalize(z, dim=1)")), *LENGTH, "as they are"),
    wrong(
        edited(RATE, ("torch.logdet(", "torch.log(torch.det("), ("z.T @ z)", "z.T @ z))")),
        *OVERFLOW,
        "logdet",
        "slogdet",
    ),
    wrong(edited(RATE, ("torch.logdet(", "torch.det(")), "log"),
    wrong(
        edited(RATE, ("torch.logdet(", "torch.log(torch.trace("), ("z.T @ z)", "z.T @ z))")), "trace", "det", "eigen"
    ),
    wrong(
        edited(RATE, ("torch.logdet(", "torch.log("), ("z.T @ z)", "z.T @ z).sum()")), "det", "eigen", "entry", "matrix"
    ),
    wrong(edited(RATE, ("return 0.5", "return -0.5")), *SIGN, misleading=()),
    wrong(edited(RATE, ("z.T @ z)", "z.T @ z) / math.log(2)")), *BASE, *FACTOR, misleading=()),
    wrong(edited(RATE, ("n, d = z.shape", "d, n = z.shape")), *SCALE, *SHAPE, "(N, D)"),
    wrong(edited(RATE, ("torch.eye(d, dtype=z.dtype)", "1")), "identity", "diagonal", "every entry", "eye"),
    wrong(edited(RATE, ("torch.eye(d, dtype=z.dtype)", "torch.eye(n, dtype=z.dtype)")), "identity", *SHAPE),
    wrong(edited(RATE, ("z.T @ z", "z @ z.T")), "identity", "Z^T Z", *SHAPE),
    wrong(edited(RATE_EIGEN, (".sum()", ".mean()")), *MEAN, misleading=()),
    wrong(
        edited(RATE_EIGEN, ("torch.log(1 + ", "torch.log("), ("* values)", "* values.clamp(min=1e-12))")),
        "1 +",
        "identity",
        "eigenvalue 0",
        "one",
        "log1p",
    ),
    wrong(
        edited(RATE_EIGEN, ("torch.linalg.eigvalsh(z.T @ z)", "torch.linalg.svdvals(z)")),
        "square",
        "eigenvalue",
        "singular",
    ),
    wrong(
        edited(RATE_EIGEN, ("torch.linalg.eigvalsh(z.T @ z)", "torch.linalg.eigvalsh(torch.cov(z.T))")),
        "centre",
        "mean",
        "N",
        "covariance",
    ),
    wrong(edited(RATE, ("z.T @ z", "z.T @ z.detach()")), *CUT),
    wrong(
        rate(
            "n, d = z.shape\nm = torch.eye(d, dtype=z.dtype) + d / (n * eps) * z.T @ z\nreturn torch.tensor(0.5 * torch.logdet(m).item())"
        ),
        *CUT,
        *FLOAT32,
    ),
    wrong(edited(RATE, ("n, d = z.shape", "z = z.float()\n    n, d = z.shape")), *FLOAT32),
    wrong(edited(RATE, ("a = d / (n * eps)", "z *= (d / (n * eps)) ** 0.5"), ("a * z", "z")), *IN_PLACE),
]
RIGHT += [
    right(RATE),
    right(RATE_EIGEN),
    right(
        rate("n, d = z.shape\nreturn torch.linalg.slogdet(torch.eye(n, dtype=z.dtype) + z @ z.T * d / n / eps)[1] / 2")
    ),
    right(
        rate(
            "n, d = z.shape\nm = torch.eye(d).to(z) + (d / (eps * n)) * z.mT @ z\nreturn torch.linalg.cholesky(m).diagonal().log().sum()"
        )
    ),
    right(
        rate(
            """
            n, d = z.shape
            gram = torch.zeros(d, d, dtype=z.dtype)
            for row in z:
                gram = gram + torch.outer(row, row)
            return torch.logdet(gram * d / (n * eps) + torch.diag(torch.ones(d, dtype=z.dtype))) / 2
            """
        )
    ),
]

# --- simdino --------------------------------------------------------------------------------------------------------


def room(body: str) -> str:
    return function("simdino(student, teacher, eps=0.05, expansion=1.0)", body)


ROOM = room(
    """
    us = [F.normalize(x, dim=1) for x in student]
    ut = [F.normalize(x.detach(), dim=1) for x in teacher]
    n, d = us[0].shape
    total, count = 0.0, 0
    for t in range(len(ut)):
        for s in range(len(us)):
            if s != t:
                total = total + (us[s] * ut[t]).sum(dim=1).mean()
                count += 1
    alignment = -total / count
    rate = sum(coding_rate(u, eps) for u in us[: len(ut)]) / len(ut)
    balance = expansion * (d + n) / (d * n)
    return alignment - balance * rate, alignment, rate
    """
)
ROOM_STACK = room(
    """
    us = F.normalize(torch.stack(student), dim=2)
    ut = F.normalize(torch.stack(teacher).detach(), dim=2)
    v, n, d = ut.shape
    cosines = torch.einsum("tnd,snd->ts", ut, us) / n
    off = ~torch.eye(*cosines.shape, dtype=torch.bool)
    alignment = -cosines[off].mean()
    rate = torch.stack([coding_rate(u, eps) for u in us[:v]]).mean()
    return alignment - expansion * (1 / n + 1 / d) * rate, alignment, rate
    """
)
BALANCE = ("balance", "(D + N)", "D + N", "weight", "factor", "times the right", "N", "D")

WRONG += [
    wrong(edited(ROOM, ("F.normalize(x, dim=1)", "x")), *LENGTH),
    wrong(edited(ROOM, ("F.normalize(x.detach(), dim=1)", "x.detach()")), *LENGTH),
    wrong(edited(ROOM, ("for u in us[: len(ut)]", "for u in student[: len(ut)]")), *LENGTH, "rate"),
    wrong(edited(ROOM, ("dim=1) for", "dim=0) for")), *LENGTH, *AXIS),
    wrong(edited(ROOM, ("x.detach()", "x")), *CUT),
    wrong(edited(ROOM, ("            if s != t:", "            if True:")), *PAIRS),
    wrong(edited(ROOM, ("s != t", "s > t")), *PAIRS, "both"),
    wrong(edited(ROOM, ("s != t", "s == t")), *PAIRS),
    wrong(edited(ROOM, ("-total / count", "-total")), *MEAN, *PAIRS, misleading=()),
    wrong(edited(ROOM, ("-total / count", "-total / (len(us) * len(ut))")), *MEAN, *PAIRS, misleading=()),
    wrong(edited(ROOM, ("-total / count", "total / count")), *SIGN, misleading=()),
    wrong(
        edited(ROOM, ("-total / count", "total / count"), ("alignment - balance", "-alignment - balance")),
        *SIGN,
        misleading=(),
    ),
    wrong(edited(ROOM, ("alignment - balance", "alignment + balance")), *SIGN),
    wrong(edited(ROOM, ("expansion * (d + n) / (d * n)", "expansion")), *BALANCE),
    wrong(edited(ROOM, ("(d + n) / (d * n)", "(d * n) / (d + n)")), *BALANCE, "invers", "upside"),
    wrong(edited(ROOM, ("(d + n) / (d * n)", "d + n / (d * n)")), *BALANCE, "bracket", "parenthes"),
    wrong(edited(ROOM, ("expansion * ", "")), "expansion", "gamma"),
    wrong(edited(ROOM, ("us[: len(ut)]) / len(ut)", "us) / len(us)")), "global", *LOCAL),
    wrong(edited(ROOM, ("in us[: len(ut)]", "in ut")), "teacher", "student", "gradient"),
    wrong(
        edited(
            ROOM,
            ("sum(coding_rate(u, eps) for u in us[: len(ut)]) / len(ut)", "coding_rate(torch.cat(us[: len(ut)]), eps)"),
        ),
        "one by one",
        "each view",
        "concat",
        "together",
        "own rate",
        "view",
    ),
    wrong(
        edited(ROOM, ("sum(coding_rate(u, eps) for u in us[: len(ut)]) / len(ut)", "coding_rate(us[0], eps)")),
        "first view",
        "average",
        "both",
        "view",
        "mean",
    ),
    wrong(
        edited(ROOM, ("for u in us[: len(ut)]) / len(ut)", "for u in us[: len(ut)])")), *MEAN, "views", misleading=()
    ),
    wrong(
        edited(
            ROOM, ("for u in us[: len(ut)]", "for u in [F.normalize(x.detach(), dim=1) for x in student[: len(ut)]]")
        ),
        *CUT,
    ),
    wrong(edited(ROOM, ("coding_rate(u, eps)", "coding_rate(u)")), "eps"),
    wrong(
        edited(ROOM, ("coding_rate(u, eps)", "coding_rate(u - u.mean(dim=0), eps)")), "centre", "mean", "as they are"
    ),
    wrong(edited(ROOM, ("alignment, rate\n", "alignment, balance * rate\n")), "weight", "without", *BALANCE),
    wrong(edited(ROOM, ("alignment, rate\n", "alignment, -rate\n")), *SIGN, misleading=()),
    wrong(edited(ROOM, ("alignment, rate\n", "rate, alignment\n")), *ORDER),
    wrong(edited(ROOM, ("rate, alignment, rate\n", "rate\n")), *WHOLE),
    wrong(
        edited(ROOM, ("(us[s] * ut[t]).sum(dim=1).mean()", "(us[s] * ut[t]).mean()")),
        *MEAN,
        "features",
        "dimensions",
        misleading=(),
    ),
    wrong(edited(ROOM, ("(us[s] * ut[t]).sum(dim=1).mean()", "(us[s] * ut[t]).sum()")), *MEAN, misleading=()),
    wrong(
        edited(ROOM, ("(us[s] * ut[t]).sum(dim=1).mean()", "(us[s] @ ut[t].T).mean()")),
        "other samples",
        "same sample",
        "own",
        "diagonal",
        "pair",
        "row",
    ),
    wrong(
        edited(ROOM, ("(us[s] * ut[t]).sum(dim=1).mean()", "-(us[s] - ut[t]).square().sum(dim=1).mean()")),
        "cosine",
        "distance",
        "2 - 2",
        "square",
    ),
    wrong(edited(ROOM, ("range(len(us))", "range(len(ut))")), *LOCAL),
    wrong(edited(ROOM, ("us[s] *", "us[s].detach() *")), *CUT),
    wrong(edited(ROOM, ("F.normalize(x, dim=1)", "F.normalize(x.float(), dim=1)")), *FLOAT32),
    wrong(
        edited(
            ROOM,
            (
                "us = [F.normalize(x, dim=1) for x in student]",
                "for x in student:\n        x /= x.norm(dim=1, keepdim=True)\n    us = student",
            ),
        ),
        *IN_PLACE,
    ),
    wrong(edited(ROOM, ("total = total + (us", "total = (us")), *OVERWRITTEN, misleading=()),
    wrong(
        room(
            """
            us = [F.normalize(x, dim=1) for x in student]
            ut = [F.normalize(x.detach(), dim=1) for x in teacher]
            n, d = us[0].shape
            alignment = -((us[0] * ut[1]).sum(1).mean() + (us[1] * ut[0]).sum(1).mean()) / 2
            rate = (coding_rate(us[0], eps) + coding_rate(us[1], eps)) / 2
            return alignment - expansion * (d + n) / (d * n) * rate, alignment, rate
            """
        ),
        *LOCAL,
        *PAIRS,
    ),
]
RIGHT += [
    right(ROOM),
    right(ROOM_STACK),
    right(
        room(
            """
            pairs = [(a, b) for i, a in enumerate(teacher) for j, b in enumerate(student) if i != j]
            alignment = -torch.stack([F.cosine_similarity(a.detach(), b, dim=1).mean() for a, b in pairs]).mean()
            N, D = student[0].shape
            rates = []
            for x, _ in zip(student, teacher):
                u = x / x.norm(dim=1, keepdim=True)
                a = D / (N * eps)
                rates.append(0.5 * torch.logdet(torch.eye(D, dtype=u.dtype) + a * u.T @ u))
            rate = torch.stack(rates).mean()
            return alignment - expansion * (D + N) / (D * N) * rate, alignment, rate
            """
        )
    ),
    right(
        room(
            """
            total = 0
            ut = [F.normalize(x, dim=1).detach() for x in teacher]
            us = [F.normalize(x, dim=1) for x in student]
            for t, a in enumerate(ut):
                for s, b in enumerate(us):
                    if s == t:
                        continue
                    total = total + (1 - 0.5 * (a - b).pow(2).sum(1)).mean()
            alignment = -total / (len(ut) * (len(us) - 1))
            n, d = us[0].shape
            rate = 0
            for s in range(len(ut)):
                rate = rate + 0.5 * torch.log1p(d / (n * eps) * torch.linalg.eigvalsh(us[s].T @ us[s])).sum() / len(ut)
            return alignment - expansion * rate / n - expansion * rate / d, alignment, rate
            """
        )
    ),
]

# --- data2vec_targets -----------------------------------------------------------------------------------------------


def blocks(body: str) -> str:
    return function("data2vec_targets(layers, top=None)", body)


BLOCKS = blocks(
    """
    if top is not None:
        layers = layers[-top:]
    normed = []
    for a in layers:
        mean = a.mean(dim=-1, keepdim=True)
        var = a.var(dim=-1, keepdim=True, correction=0)
        normed.append((a - mean) / torch.sqrt(var + 1e-5))
    return torch.stack(normed).mean(dim=0).detach()
    """
)
BLOCKS_SHORT = blocks(
    """
    chosen = layers if top is None else layers[-top:]
    return sum(F.layer_norm(a.detach(), a.shape[-1:]) for a in chosen) / len(chosen)
    """
)
TOP = ("top", "last", "blocks")
POSITION = ("position", "features", "each patch", *AXIS)

WRONG += [
    wrong(edited(BLOCKS, (", correction=0", "")), "D - 1", "biased", "correction", "divides by D"),
    wrong(edited(BLOCKS, ("torch.sqrt(var + 1e-5)", "(torch.sqrt(var) + 1e-5)")), "root", "1e-5", "eps", "inside"),
    wrong(edited(BLOCKS, ("var + 1e-5", "var")), "1e-5", "eps", "zero", "nan"),
    wrong(edited(BLOCKS, ("1e-5", "1e-6")), "1e-5", "eps"),
    wrong(edited(BLOCKS, ("torch.sqrt(var + 1e-5)", "(var + 1e-5)")), "root", "sqrt", "variance", "standard deviation"),
    wrong(edited(BLOCKS, ("(a - mean) / ", "a / ")), "mean", "centre", "subtract"),
    wrong(edited(BLOCKS, (" / torch.sqrt(var + 1e-5)", "")), "variance", "divid", "deviation", "root", "size"),
    wrong(edited(BLOCKS, ("dim=-1", "dim=1")), *POSITION),
    wrong(edited(BLOCKS, ("dim=-1", "dim=0")), "batch", "image", *POSITION),
    wrong(edited(BLOCKS_SHORT, ("a.shape[-1:]", "a.shape[1:]")), *POSITION),
    wrong(edited(BLOCKS, ("dim=-1, keepdim=True", "dim=(0, 1), keepdim=True")), "batch", "image", *POSITION),
    wrong(
        blocks(
            "chosen = layers if top is None else layers[-top:]\nmean = torch.stack(list(chosen)).mean(dim=0).detach()\nreturn F.layer_norm(mean, mean.shape[-1:])"
        ),
        "each block",
        "before",
        "first",
        "order",
        "then",
        "after",
    ),
    wrong(edited(BLOCKS_SHORT, ("F.layer_norm(a.detach(), a.shape[-1:])", "a.detach()")), "norm"),
    wrong(
        edited(BLOCKS_SHORT, ("F.layer_norm(a.detach(), a.shape[-1:])", "F.normalize(a.detach(), dim=-1)")),
        "layer norm",
        "length",
        "mean",
        "variance",
        "centre",
    ),
    wrong(edited(BLOCKS, ("layers[-top:]", "layers[:top]")), *TOP),
    wrong(edited(BLOCKS, ("layers[-top:]", "layers[-top]")), *TOP, "list", *SHAPE),
    wrong(edited(BLOCKS, ("layers[-top:]", "layers[top:]")), *TOP),
    wrong(edited(BLOCKS, ("layers[-top:]", "layers[-top - 1 :]")), *TOP),
    wrong(edited(BLOCKS_SHORT, ("layers if top is None else layers[-top:]", "layers")), *TOP),
    wrong(edited(BLOCKS_SHORT, ("layers if top is None else layers[-top:]", "layers[-1:]")), *TOP, "None", "all"),
    wrong(edited(BLOCKS_SHORT, ("layers if top is None else layers[-top:]", "layers[-top:]")), "None", *TOP),
    wrong(edited(BLOCKS_SHORT, ("/ len(chosen)", "/ len(layers)")), *MEAN, *TOP),
    wrong(edited(BLOCKS_SHORT, (" / len(chosen)", "")), *MEAN, misleading=()),
    wrong(edited(BLOCKS, (".mean(dim=0).detach()", ".detach()")), *SHAPE, *MEAN),
    wrong(edited(BLOCKS, (".mean(dim=0).detach()", ".mean().detach()")), *SHAPE, *MEAN),
    wrong(edited(BLOCKS, (".mean(dim=0).detach()", ".mean(dim=1).detach()")), *SHAPE, *AXIS, "blocks"),
    wrong(edited(BLOCKS, (".detach()", "")), *CUT),
    wrong(edited(BLOCKS, ("        mean = a", "        a = a.float()\n        mean = a")), *FLOAT32),
    wrong(edited(BLOCKS, ("normed.append((a - mean) ", "a -= mean\n        normed.append(a ")), *IN_PLACE),
    wrong(edited(BLOCKS, ("for a in layers:", "for a in layers[:-1]:")), *LOOP),
    wrong(edited(BLOCKS, ("torch.stack(normed)", "torch.stack(normed[-1:])")), *LOOP, *OVERWRITTEN, *TOP),
]
RIGHT += [
    right(BLOCKS),
    right(BLOCKS_SHORT),
    right(
        blocks(
            """
            with torch.no_grad():
                top = len(layers) if top is None else top
                norm = torch.nn.LayerNorm(layers[0].shape[-1], elementwise_affine=False)
                return torch.stack([norm(a) for a in layers])[-top:].mean(0)
            """
        )
    ),
    right(
        blocks(
            """
            x = torch.stack(list(layers)).detach()
            if top:
                x = x[len(layers) - top :]
            x = x - x.mean(dim=3, keepdim=True)
            return (x * (x.square().mean(dim=3, keepdim=True) + 1e-5).rsqrt()).mean(dim=0)
            """
        )
    ),
    right(
        blocks(
            """
            y, used = 0, 0
            for a in reversed(layers):
                if top is not None and used == top:
                    break
                n, t, d = a.shape
                rows = a.detach().reshape(n * t, d)
                m = rows.sum(1, keepdim=True) / d
                v = ((rows - m) ** 2).sum(1, keepdim=True) / d
                y = y + ((rows - m) / (v + 1e-5) ** 0.5).view(n, t, d)
                used += 1
            return y / used
            """
        )
    ),
]

# --- data2vec -------------------------------------------------------------------------------------------------------


def hidden(body: str) -> str:
    return function("data2vec(predictions, targets, mask, beta=1.0)", body)


HIDDEN = hidden(
    """
    e = (predictions - targets.detach()).abs()
    loss = torch.where(e < beta, e**2 / (2 * beta), e - beta / 2)
    return loss[mask].mean()
    """
)
HIDDEN_SHORT = hidden("return F.smooth_l1_loss(predictions[mask], targets.detach()[mask], beta=beta)")
BRANCH = ("beta", "parabola", "line", "half", "value", "where they meet", "jump")
MASKED = ("mask", "hidden", "visible", "True", "every position", "all positions")

WRONG += [
    wrong(edited(HIDDEN, (".detach()", "")), *CUT),
    wrong(edited(HIDDEN, ("predictions - targets.detach()", "predictions.detach() - targets")), *CUT),
    wrong(edited(HIDDEN, ("loss[mask]", "loss[~mask]")), *MASKED),
    wrong(edited(HIDDEN, ("loss[mask]", "loss")), *MASKED),
    wrong(edited(HIDDEN, ("loss[mask].mean()", "(loss * mask[..., None]).mean()")), *MASKED, *MEAN, misleading=()),
    wrong(
        hidden(
            "hide = mask.unsqueeze(-1)\nreturn F.smooth_l1_loss(predictions * hide, targets.detach() * hide, beta=beta)"
        ),
        *MASKED,
        *MEAN,
        misleading=(),
    ),
    wrong(
        edited(HIDDEN, ("loss[mask].mean()", "(loss * mask[..., None]).sum() / mask.sum()")),
        *MEAN,
        "features",
        misleading=(),
    ),
    wrong(edited(HIDDEN, ("loss[mask].mean()", "loss[mask].sum()")), *MEAN, misleading=()),
    wrong(edited(HIDDEN, ("loss[mask].mean()", "loss[mask]")), *SHAPE, *MEAN),
    wrong(edited(HIDDEN, ("loss[mask].mean()", "loss[mask].mean(dim=-1)")), *SHAPE, *MEAN),
    wrong(
        edited(
            HIDDEN, ("loss[mask].mean()", "torch.stack([x[m].mean() for x, m in zip(loss, mask) if m.any()]).mean()")
        ),
        "image",
        "position",
        "count",
        "mean of means",
        "weigh",
    ),
    wrong(edited(HIDDEN_SHORT, (", beta=beta", "")), "beta"),
    wrong(edited(HIDDEN, ("(2 * beta)", "2")), *BRANCH),
    wrong(edited(HIDDEN, ("(2 * beta)", "beta")), *BRANCH, "2"),
    wrong(edited(HIDDEN, ("(2 * beta)", "2 * beta")), *BRANCH, "bracket", "parenthes"),
    wrong(edited(HIDDEN, ("e - beta / 2", "e - beta")), *BRANCH),
    wrong(edited(HIDDEN, ("e - beta / 2", "e - 0.5")), *BRANCH),
    wrong(edited(HIDDEN, ("e - beta / 2", "e")), *BRANCH),
    wrong(edited(HIDDEN, ("e < beta", "e < 1")), "beta"),
    wrong(edited(HIDDEN, ("e < beta", "e > beta")), *BRANCH, "swap", "branch", "small"),
    wrong(
        hidden("return F.huber_loss(predictions[mask], targets.detach()[mask], delta=beta)"),
        "huber",
        "beta",
        *FACTOR,
        misleading=(),
    ),
    wrong(hidden("return F.mse_loss(predictions[mask], targets.detach()[mask])"), "square", "smooth", "line", "beta"),
    wrong(
        hidden("return F.l1_loss(predictions[mask], targets.detach()[mask])"),
        "L1",
        "smooth",
        "parabola",
        "beta",
        "small",
    ),
    wrong(edited(HIDDEN, (".abs()", "")), "absolute", "abs", "negative", "sign"),
    wrong(edited(HIDDEN, (".abs()", ".norm(dim=-1)")), "each feature", "length", "norm", "feature"),
    wrong(edited(HIDDEN, (".abs()", ".abs().mean(dim=-1)")), "each feature", "before", "feature", "first"),
    wrong(edited(HIDDEN, ("(predictions - targets.detach())", "(predictions - targets.detach()).float()")), *FLOAT32),
    wrong(
        hidden(
            "predictions[~mask] = 0\ntargets = targets.detach() * mask[..., None]\nreturn F.smooth_l1_loss(predictions, targets, beta=beta, reduction='sum') / (mask.sum() * targets.shape[-1])"
        ),
        *IN_PLACE,
    ),
    wrong(edited(HIDDEN, ("loss[mask]", "loss[:, mask[0]]")), *MASKED, "own mask", "each image", "first image"),
    wrong(
        hidden(
            "p, t = (F.layer_norm(x, x.shape[-1:]) for x in (predictions, targets.detach()))\nreturn F.smooth_l1_loss(p[mask], t[mask], beta=beta)"
        ),
        "norm",
    ),
]
RIGHT += [
    right(HIDDEN),
    right(HIDDEN_SHORT),
    right(
        hidden(
            """
            each = F.smooth_l1_loss(predictions, targets.detach(), beta=beta, reduction="none")
            weight = mask.to(each.dtype)[:, :, None].expand_as(each)
            return (each * weight).sum() / weight.sum()
            """
        )
    ),
    right(
        hidden(
            """
            total, count = 0, 0
            N, T, D = predictions.shape
            for i in range(N):
                for t in range(T):
                    if mask[i, t]:
                        e = torch.abs(predictions[i, t] - targets[i, t].detach())
                        small = e <= beta
                        total = total + (0.5 * e[small] ** 2 / beta).sum() + (e[~small] - 0.5 * beta).sum()
                        count += D
            return total / count
            """
        )
    ),
    right(
        hidden(
            """
            e = predictions[mask] - targets[mask].detach()
            near = e.clamp(-beta, beta)
            return (near * (e - near / 2)).mean() / beta
            """
        )
    ),
]

# --- koleo ----------------------------------------------------------------------------------------------------------


def spread(body: str) -> str:
    return function("koleo(z, eps=1e-8)", body)


SPREAD = spread(
    """
    u = F.normalize(z, dim=1)
    with torch.no_grad():
        cosines = u @ u.T
        cosines.fill_diagonal_(-2)
        nearest = cosines.argmax(dim=1)
    distance = (u - u[nearest]).norm(dim=1)
    return -torch.log(distance + eps).mean()
    """
)
SPREAD_LOOP = spread(
    """
    u = F.normalize(z, dim=1)
    total = 0
    for i in range(len(u)):
        others = torch.stack([(u[i] - u[j]).norm() for j in range(len(u)) if j != i])
        total = total - torch.log(others.min() + eps)
    return total / len(u)
    """
)
OWN = ("diagonal", "itself", "own", "other rows", "j != i")

WRONG += [
    wrong(
        edited(
            SPREAD, ("F.normalize(z, dim=1)", "z"), ("cosines.fill_diagonal_(-2)", "cosines.fill_diagonal_(-math.inf)")
        ),
        *LENGTH,
    ),
    wrong(edited(SPREAD_LOOP, ("F.normalize(z, dim=1)", "z")), *LENGTH),
    wrong(edited(SPREAD, ("dim=1)\n    with", "dim=0)\n    with")), *LENGTH, *AXIS),
    wrong(edited(SPREAD, ("        cosines.fill_diagonal_(-2)\n", "")), *OWN),
    wrong(edited(SPREAD, ("fill_diagonal_(-2)", "fill_diagonal_(0)")), *OWN, "opposite", "0", "-1"),
    wrong(
        edited(
            SPREAD,
            ("cosines = u @ u.T", "cosines = u @ u.T - torch.eye(len(u), dtype=u.dtype)"),
            ("        cosines.fill_diagonal_(-2)\n", ""),
        ),
        *OWN,
        "opposite",
        "0",
        "-1",
    ),
    wrong(edited(SPREAD_LOOP, (" if j != i", "")), *OWN),
    wrong(
        edited(SPREAD, (".norm(dim=1)", ".square().sum(dim=1)")), "square", "root", "distance", "twice", misleading=()
    ),
    wrong(edited(SPREAD, ("return -", "return ")), *SIGN, misleading=()),
    wrong(
        edited(SPREAD, ("argmax", "argmin"), ("fill_diagonal_(-2)", "fill_diagonal_(2)")),
        "furthest",
        "farthest",
        "nearest",
        "largest",
        "smallest",
    ),
    wrong(
        edited(SPREAD_LOOP, ("others.min()", "others.max()")), "furthest", "farthest", "nearest", "largest", "smallest"
    ),
    wrong(edited(SPREAD_LOOP, ("others.min()", "others.mean()")), "nearest", "mean", "smallest", "min"),
    wrong(
        edited(SPREAD_LOOP, ("torch.log(others.min() + eps)", "torch.log(others + eps).sum()")),
        "nearest",
        "all",
        "smallest",
        "min",
    ),
    wrong(edited(SPREAD_LOOP, ("torch.log(others.min() + eps)", "(others.min() + eps)")), "log"),
    wrong(edited(SPREAD, (".mean()", ".sum()")), *MEAN, misleading=()),
    wrong(edited(SPREAD, (".mean()", "")), *SHAPE, *MEAN),
    wrong(
        edited(SPREAD, ("torch.log(distance + eps).mean()", "torch.log((distance + eps).mean())")),
        "mean of the log",
        "log of the mean",
        "before",
        "order",
        "each",
    ),
    wrong(
        edited(SPREAD, ("torch.log(distance + eps).mean()", "torch.log((distance + eps).min())")),
        "each row",
        "every row",
        "own nearest",
        "mean",
        "one pair",
    ),
    wrong(edited(SPREAD, ("distance + eps", "distance")), "eps", "infinit", "duplicate"),
    wrong(edited(SPREAD, ("distance + eps", "distance + 1e-8")), "eps"),
    wrong(edited(SPREAD, ("distance + eps", "distance.clamp(min=eps)")), "eps", "added", "clamp"),
    wrong(
        edited(SPREAD, ("torch.log(distance + eps)", "(torch.log(distance) + eps)")),
        "eps",
        "inside",
        "duplicate",
        "infinit",
    ),
    wrong(
        spread(
            """
            u = F.normalize(z, dim=1)
            d = torch.sqrt(2 - 2 * u @ u.T)
            d = d + torch.diag(torch.full((len(z),), 9.0))
            return -torch.log(d.min(dim=1).values + eps).mean()
            """
        ),
        "slope",
        "infinit",
        "nan",
        "root",
        "sqrt",
    ),
    wrong(
        spread(
            """
            u = F.normalize(z, dim=1)
            cosines = u @ u.T
            cosines = cosines.masked_fill(torch.eye(len(z), dtype=torch.bool), -2)
            return -torch.log(1 - cosines.max(dim=1).values + eps).mean()
            """
        ),
        "distance",
        "cosine",
        "1 - cos",
        "square",
        "root",
    ),
    wrong(edited(SPREAD, ("u[nearest]", "u[nearest].detach()")), *CUT),
    wrong(edited(SPREAD, ("(u - u[nearest])", "(u.detach() - u.detach()[nearest])")), *CUT),
    wrong(
        edited(SPREAD, ("cosines = u @ u.T", "cosines = z @ z.T"), ("fill_diagonal_(-2)", "fill_diagonal_(-math.inf)")),
        *LENGTH,
        "nearest",
    ),
    wrong(edited(SPREAD, ("u - u[nearest]", "z - z[nearest]")), *LENGTH),
    wrong(edited(SPREAD, ("u = F.normalize(z, dim=1)", "u = F.normalize(z - z.mean(dim=0), dim=1)")), "centre", "mean"),
    wrong(edited(SPREAD, ("F.normalize(z, dim=1)", "F.normalize(z.float(), dim=1)")), *FLOAT32),
    wrong(edited(SPREAD, ("u = F.normalize(z, dim=1)", "z /= z.norm(dim=1, keepdim=True)\n    u = z")), *IN_PLACE),
    wrong(
        edited(SPREAD_LOOP, ("if j != i", "if j > i"), ("range(len(u)):", "range(len(u) - 1):")),
        *OWN,
        "both",
        "j > i",
        "j < i",
        "earlier",
        "later",
        "all",
    ),
    wrong(edited(SPREAD_LOOP, ("range(len(u)):", "range(len(u) - 1):")), *LOOP),
    wrong(edited(SPREAD_LOOP, ("total = total - ", "total = -")), *OVERWRITTEN, misleading=()),
    wrong(edited(SPREAD, (".mean()", ".mean() / math.log(2)")), *BASE, *FACTOR, misleading=()),
]
RIGHT += [
    right(SPREAD),
    right(
        spread(
            """
            u = F.normalize(z, dim=1)
            d = torch.sqrt((2 - 2 * u @ u.T).clamp(min=0))
            d = d.masked_fill(torch.eye(len(z), dtype=torch.bool), 9.0)
            return -torch.log(d.amin(dim=1) + eps).mean()
            """
        )
    ),
    right(SPREAD_LOOP),
    right(
        spread(
            """
            u = z / z.norm(dim=1, keepdim=True)
            d = (u[:, None] - u[None]).norm(dim=2)
            d = d.masked_fill(torch.eye(len(u), dtype=torch.bool), math.inf)
            return -(d.min(dim=1).values + eps).log().mean()
            """
        )
    ),
    right(
        spread(
            """
            u = F.normalize(z, dim=-1)
            near = torch.cdist(u, u).detach().topk(2, dim=1, largest=False).indices
            me = torch.arange(len(u))
            j = torch.where(near[:, 0] == me, near[:, 1], near[:, 0])
            return -torch.log(F.pairwise_distance(u, u.index_select(0, j), eps=0) + eps).sum() / len(u)
            """
        )
    ),
    right(
        spread(
            """
            n = len(z)
            u = F.normalize(z, dim=1)
            dots = (u @ u.T).detach() - 4 * torch.eye(n, dtype=z.dtype)
            gap = u - u[dots.max(dim=1).indices]
            return torch.stack([-torch.log(torch.linalg.vector_norm(row) + eps) for row in gap]).mean()
            """
        )
    ),
]

# --- gram_anchoring -------------------------------------------------------------------------------------------------


def grams(body: str) -> str:
    return function("gram_anchoring(student, anchor)", body)


GRAMS = grams(
    """
    s = F.normalize(student, dim=-1)
    a = F.normalize(anchor.detach(), dim=-1)
    difference = s @ s.transpose(1, 2) - a @ a.transpose(1, 2)
    return (difference**2).mean()
    """
)
GRAMS_LOOP = grams(
    """
    N, T, D = student.shape
    total = 0
    for i in range(N):
        s = student[i] / student[i].norm(dim=1, keepdim=True)
        a = anchor[i].detach() / anchor[i].detach().norm(dim=1, keepdim=True)
        for j in range(T):
            for k in range(T):
                total = total + (s[j] @ s[k] - a[j] @ a[k]) ** 2
    return total / (N * T * T)
    """
)
PATCHES = ("patch", "position", "T x T", "(N, T, T)", "features", *AXIS)

WRONG += [
    wrong(
        edited(
            GRAMS,
            ("F.normalize(student, dim=-1)", "student"),
            ("F.normalize(anchor.detach(), dim=-1)", "anchor.detach()"),
        ),
        *LENGTH,
    ),
    wrong(edited(GRAMS, ("F.normalize(student, dim=-1)", "student")), *LENGTH),
    wrong(edited(GRAMS, ("F.normalize(anchor.detach(), dim=-1)", "anchor.detach()")), *LENGTH),
    wrong(edited(GRAMS, (", dim=-1", "")), *LENGTH, *PATCHES),
    wrong(edited(GRAMS, ("dim=-1", "dim=0")), *LENGTH, *PATCHES),
    wrong(edited(GRAMS, ("dim=-1", "dim=(1, 2)")), *LENGTH, *PATCHES),
    wrong(edited(GRAMS, ("anchor.detach()", "anchor")), *CUT),
    wrong(edited(GRAMS, ("F.normalize(student,", "F.normalize(student.detach(),")), *CUT),
    wrong(
        edited(
            GRAMS,
            ("s @ s.transpose(1, 2)", "s.transpose(1, 2) @ s"),
            ("a @ a.transpose(1, 2)", "a.transpose(1, 2) @ a"),
        ),
        *PATCHES,
    ),
    wrong(
        edited(GRAMS, ("s @ s.transpose(1, 2) - a @ a.transpose(1, 2)", "s @ a.transpose(1, 2)")),
        "anchor",
        "student",
        "each other",
        "two Gram",
        "difference",
        "own",
    ),
    wrong(edited(GRAMS, (".mean()", ".sum()")), *MEAN, misleading=()),
    wrong(
        edited(GRAMS, ("(difference**2).mean()", "(difference**2).sum() / len(student)")), *MEAN, "pairs", misleading=()
    ),
    wrong(edited(GRAMS, (".mean()", ".mean(dim=(1, 2))")), *SHAPE, *MEAN),
    wrong(edited(GRAMS, ("difference**2", "difference.abs()")), "square", "absolute"),
    wrong(edited(GRAMS, ("(difference**2).mean()", "difference.mean() ** 2")), "square", "before", "each", "order"),
    wrong(edited(GRAMS, ("(difference**2).mean()", "(difference**2).mean().sqrt()")), "root", "square"),
    wrong(edited(GRAMS, ("return (difference", "return 0.5 * (difference")), "half", *FACTOR, misleading=()),
    wrong(
        edited(
            GRAMS,
            ("(difference**2).mean()", "difference[:, ~torch.eye(student.shape[1], dtype=torch.bool)].square().mean()"),
        ),
        "diagonal",
        "all pairs",
        "itself",
        *FACTOR,
        misleading=(),
    ),
    wrong(
        edited(GRAMS, ("(difference**2).mean()", "(difference.triu(1) ** 2).mean()")),
        "diagonal",
        "all pairs",
        "both",
        "half",
        *FACTOR,
        misleading=(),
    ),
    wrong(
        grams("s, a = F.normalize(student, dim=-1), F.normalize(anchor.detach(), dim=-1)\nreturn F.mse_loss(s, a)"),
        "Gram",
        "cosine",
        "rotat",
        "similarit",
        "features themselves",
    ),
    wrong(
        grams("return (1 - F.cosine_similarity(student, anchor.detach(), dim=-1)).square().mean()"),
        "Gram",
        "pair",
        "rotat",
        "similarit",
        "features themselves",
        "same position",
    ),
    wrong(
        grams(
            """
            s = F.normalize(student.flatten(0, 1), dim=1)
            a = F.normalize(anchor.detach().flatten(0, 1), dim=1)
            return (s @ s.T - a @ a.T).square().mean()
            """
        ),
        "image",
        "own image",
        "batch",
        "flatten",
    ),
    wrong(
        edited(
            GRAMS,
            ("s @ s.transpose(1, 2)", "s.transpose(0, 1) @ s.permute(1, 2, 0)"),
            ("a @ a.transpose(1, 2)", "a.transpose(0, 1) @ a.permute(1, 2, 0)"),
        ),
        "image",
        *PATCHES,
    ),
    wrong(
        grams(
            "s, a = F.normalize(student.mean(1), dim=-1), F.normalize(anchor.detach().mean(1), dim=-1)\nreturn (s @ s.T - a @ a.T).square().mean()"
        ),
        "patch",
        "position",
        "averag",
        "pool",
        "image",
    ),
    wrong(
        edited(
            GRAMS,
            ("F.normalize(student,", "F.normalize(student - student.mean(dim=1, keepdim=True),"),
            (
                "F.normalize(anchor.detach(),",
                "F.normalize(anchor.detach() - anchor.detach().mean(dim=1, keepdim=True),",
            ),
        ),
        "centre",
        "mean",
    ),
    wrong(
        edited(
            GRAMS,
            ("F.normalize(student,", "F.normalize(student.float(),"),
            ("anchor.detach()", "anchor.detach().float()"),
        ),
        *FLOAT32,
    ),
    wrong(
        edited(
            GRAMS,
            ("s = F.normalize(student, dim=-1)", "student /= student.norm(dim=-1, keepdim=True)\n    s = student"),
        ),
        *IN_PLACE,
    ),
    wrong(edited(GRAMS, ("transpose(1, 2)", "T")), "transpos", *SHAPE),
    wrong(edited(GRAMS_LOOP, ("range(N)", "range(N - 1)")), *LOOP),
    wrong(edited(GRAMS_LOOP, ("for j in range(T)", "for j in range(T - 1)")), *LOOP),
    wrong(edited(GRAMS_LOOP, ("total = total + ", "total = ")), *OVERWRITTEN, misleading=()),
    wrong(edited(GRAMS_LOOP, ("(N * T * T)", "(N * T)")), *MEAN, "pairs", misleading=()),
]
RIGHT += [
    right(GRAMS),
    right(GRAMS_LOOP),
    right(
        grams(
            """
            def cosines(x):
                return F.cosine_similarity(x[:, :, None], x[:, None, :], dim=3)
            return F.mse_loss(cosines(student), cosines(anchor.detach()))
            """
        )
    ),
    right(
        grams(
            """
            def gram(x):
                raw = torch.einsum("ntd,nsd->nts", x, x)
                length = raw.diagonal(dim1=1, dim2=2).sqrt()
                return raw / (length[:, :, None] * length[:, None, :])
            return (gram(student) - gram(anchor).detach()).pow(2).sum() / student.shape[0] / student.shape[1] ** 2
            """
        )
    ),
    right(
        grams(
            """
            with torch.no_grad():
                fixed = F.normalize(anchor, dim=2)
                fixed = torch.bmm(fixed, fixed.mT)
            u = student / student.norm(dim=2, keepdim=True)
            return torch.stack([(u[i] @ u[i].T - fixed[i]).square().mean() for i in range(len(u))]).mean()
            """
        )
    ),
]

# --- on which arguments the answers are compared with the references ------------------------------------------------


def normal(generator: Generator, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def leaf(x: Tensor) -> Tensor:
    return x.detach().clone().requires_grad_()


def leaves(generator: Generator, views: int, *shape: int, scale: float = 1.0) -> list[Tensor]:
    return [leaf(scale * normal(generator, *shape)) for _ in range(views)]


def of_sharp(generator: Generator) -> list[tuple[Any, ...]]:
    """The last two have logits at which exponentials overflow, or underflow in one row beside another."""
    cases = [
        (leaf(normal(generator, n, k)), normal(generator, k), *t)
        for n, k, t in ((5, 3, (0.5,)), (2, 6, (0.1,)), (4, 4, ()))
    ]
    far = normal(generator, 3, 5) + torch.tensor([[0.0], [500], [-500]])
    return [
        *cases,
        (leaf(far), normal(generator, 5)),
        (leaf(100 * normal(generator, 4, 3)), normal(generator, 3), 0.07),
    ]


def of_cross(generator: Generator) -> list[tuple[Any, ...]]:
    shapes = ((5, 3, (0.5,)), (2, 6, (0.2,)), (4, 4, ()))
    cases = [(leaf(normal(generator, n, k).softmax(1)), leaf(normal(generator, n, k)), *t) for n, k, t in shapes]
    return [*cases, (leaf(normal(generator, 4, 3).softmax(1)), leaf(300 * normal(generator, 4, 3)), 0.07)]


def of_dino(generator: Generator) -> list[tuple[Any, ...]]:
    """Two or three global views and no, one or two local ones; the last is so sharp that probabilities are 0."""
    cases = []
    for few, many, n, k, setting in (
        (2, 2, 5, 3, (0.5, 0.2)),
        (2, 4, 3, 5, (0.3, 0.1)),
        (3, 4, 4, 4, ()),
        (2, 3, 6, 2, (0.2, 0.4)),
    ):
        students, teachers = leaves(generator, many, n, k), leaves(generator, few, n, k)
        cases.append((students, teachers, normal(generator, k), *setting))
    students, teachers = leaves(generator, 3, 4, 5, scale=30), leaves(generator, 2, 4, 5, scale=30)
    return [*cases, (students, teachers, normal(generator, 5))]


def of_slope(generator: Generator) -> list[tuple[Any, ...]]:
    """Without a gradient: it is a gradient already."""
    shapes = ((5, 3, (0.5,)), (2, 6, (0.2,)), (4, 4, ()))
    cases = [(normal(generator, n, k).softmax(1), normal(generator, n, k), *t) for n, k, t in shapes]
    return [*cases, (normal(generator, 4, 3).softmax(1), 300 * normal(generator, 4, 3), 0.07)]


def of_steps(generator: Generator) -> list[tuple[Any, ...]]:
    """Without a gradient: the teacher has none, so an answer may detach or not."""
    cases = []
    for views, n, k, setting in ((2, 5, 3, (0.8, 0.3)), (3, 4, 6, (0.5, 0.1)), (2, 3, 3, ()), (1, 6, 4, (0.0, 0.2))):
        cases.append((normal(generator, k), [normal(generator, n, k) for _ in range(views)], *setting))
    return cases


def of_balances(generator: Generator) -> list[tuple[Any, ...]]:
    """Without a gradient, as the steps."""
    cases = []
    for views, n, k, setting in ((2, 5, 3, (0.8, 2)), (3, 4, 6, (0.5, 5)), (2, 7, 4, (0.3,)), (1, 6, 2, (0.2, 1))):
        cases.append((normal(generator, k), [normal(generator, n, k) for _ in range(views)], *setting))
    return cases


def of_rates(generator: Generator) -> list[tuple[Any, ...]]:
    """The last has a determinant that no double can hold."""
    cases: list[tuple[Any, ...]] = [
        (leaf(normal(generator, n, d)), *e) for n, d, e in ((7, 3, ()), (3, 5, (0.5,)), (4, 4, (0.2,)))
    ]
    return [*cases, (leaf(1e5 * normal(generator, 32, 32)),)]


def of_rooms(generator: Generator) -> list[tuple[Any, ...]]:
    cases = []
    for few, many, n, d, setting in (
        (2, 2, 5, 3, ()),
        (2, 4, 3, 5, (0.5, 2.0)),
        (3, 4, 4, 4, (0.2, 0.7)),
        (2, 3, 6, 2, (0.1,)),
    ):
        cases.append((leaves(generator, many, n, d), leaves(generator, few, n, d), *setting))
    return cases


def of_blocks(generator: Generator) -> list[tuple[Any, ...]]:
    """The last has a block whose variances are as small as the number below the root."""
    cases: list[tuple[Any, ...]] = []
    for count, n, t, d, setting in ((3, 2, 4, 5, ()), (4, 3, 2, 6, (2,)), (3, 4, 4, 4, (1,)), (4, 2, 3, 5, (3,))):
        cases.append((leaves(generator, count, n, t, d, scale=3.0), *setting))
    return [*cases, (leaves(generator, 2, 3, 2, 4, scale=3e-3),)]


def of_masks(generator: Generator) -> list[tuple[Any, ...]]:
    """Images with other numbers of hidden patches; in the last one all are hidden, so that none is all right alone."""
    cases = []
    for n, t, d, setting in ((3, 4, 5, ()), (2, 6, 3, (0.5,)), (4, 4, 4, (2.0,)), (5, 3, 2, (0.3,))):
        mask = torch.rand(n, t, generator=generator) < 0.5
        mask[0, 0], mask[1, 1], mask[-1] = True, False, True
        cases.append((leaf(2 * normal(generator, n, t, d)), leaf(normal(generator, n, t, d)), mask, *setting))
    return cases


def of_clouds(generator: Generator) -> list[tuple[Any, ...]]:
    """The last but one has no two rows at an acute angle, and one whose length is 1 exactly; the last has duplicates."""
    cases: list[tuple[Any, ...]] = [
        (leaf(normal(generator, n, d)), *e) for n, d, e in ((7, 3, ()), (5, 5, (0.1,)), (4, 6, (0.01,)))
    ]
    opposite = torch.tensor([[1.0, 0], [-3, 4], [-5, -12]], dtype=torch.float64)
    twins = normal(generator, 5, 3)[[0, 1, 1, 2, 3]]
    return [*cases, (leaf(opposite),), (leaf(twins), 0.05)]


def of_patches(generator: Generator) -> list[tuple[Any, ...]]:
    shapes = ((2, 4, 5), (3, 5, 2), (4, 4, 4), (1, 3, 6))
    return [(leaf(normal(generator, *shape)), leaf(normal(generator, *shape))) for shape in shapes]


INPUTS = {
    "teacher_distribution": of_sharp,
    "teacher_cross_entropy": of_cross,
    "dino": of_dino,
    "dino_gradient": of_slope,
    "teacher_step": of_steps,
    "balanced_center": of_balances,
    "coding_rate": of_rates,
    "simdino": of_rooms,
    "data2vec_targets": of_blocks,
    "data2vec": of_masks,
    "koleo": of_clouds,
    "gram_anchoring": of_patches,
}
