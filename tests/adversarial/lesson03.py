"""Answers to the exercises of lesson 03: entropies, the bottleneck, and covariances."""

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

ZERO = ("0 log 0", "zero", "nan", "p > 0", "log 0", "log(0)")
BASE = ("base",)
SIGN = ("sign", "minus", "negative", "-1")
CENTRE = ("cent", "mean", "subtract", "shift")
UNBIASED = ("N - 1", "N-1", "unbiased", "correction", "biased")
ORDER = ("order", "swap", "position", "outputs", "permut")

# --- entropy --------------------------------------------------------------------------------------------------------


def entropy(body: str) -> str:
    return function("entropy(p, base=math.e)", body)


ENTROPY = entropy("q = p[p > 0]\nreturn -(q * torch.log(q)).sum() / math.log(base)")

WRONG += [
    wrong(entropy("return -(p * p.log()).sum() / math.log(base)"), *ZERO),
    wrong(edited(ENTROPY, (" / math.log(base)", "")), *BASE),
    wrong(edited(ENTROPY, (" / math.log(base)", " / math.log(2)")), *BASE),
    wrong(edited(ENTROPY, (" / math.log(base)", " * math.log(base)")), *BASE, "divid", "multipl"),
    wrong(edited(ENTROPY, (" / math.log(base)", " / base")), *BASE, "log"),
    wrong(edited(ENTROPY, (" / math.log(base)", " / math.log2(base)")), *BASE, "log2", misleading=()),
    wrong(edited(ENTROPY, ("return -(", "return (")), *SIGN, misleading=()),
    wrong(edited(ENTROPY, ("(q * torch.log(q)).sum()", "(q * torch.log(q)).mean()")), "mean", "sum", "divid"),
    wrong(
        edited(ENTROPY, ("(q * torch.log(q)).sum()", "torch.log(q).sum()")),
        "p log p",
        "weigh",
        "p *",
        "expect",
        "times p",
        "factor p",
    ),
    wrong(
        edited(ENTROPY, ("(q * torch.log(q)).sum()", "torch.log(q).mean()")),
        "p log p",
        "weigh",
        "p *",
        "expect",
        "mean",
        "times p",
    ),
    wrong(entropy("return -(p * torch.log(p + 1e-6)).sum() / math.log(base)"), "1e-", "eps", "small", "added", *ZERO),
    wrong(
        entropy("return -(p * torch.log(p + 1e-12)).sum(dim=-1) / math.log(base)"),
        "shape",
        "any shape",
        "sum over",
        "dim",
        "scalar",
    ),
    wrong(entropy("return -sum(x * math.log(x) for x in p.flatten() if x > 0) / math.log(base)"), *CUT),
    wrong(
        entropy("q = p.softmax(-1)\nreturn -(q * q.log()).sum() / math.log(base)"), "softmax", "already", "probabilit"
    ),
    wrong(entropy("q = p[p > 0]\nreturn (q * (1 - q)).sum() / math.log(base)"), "log", "gini"),
    wrong(
        entropy("q = p[p > 0]\nreturn -torch.log((q**2).sum()) / math.log(base)"),
        "log",
        "square",
        "sum",
        "collision",
        "renyi",
    ),
    wrong(edited(ENTROPY, ("p[p > 0]", "p[p > 0].float()")), *FLOAT32),
    wrong(edited(ENTROPY, ("p[p > 0]", "p[p > 0].detach()")), *CUT),
    wrong(entropy("p[p == 0] = 1\nreturn -(p * p.log()).sum() / math.log(base)"), *IN_PLACE),
    wrong(entropy("return -(p * p.log()).nansum().item() / math.log(base)"), *CUT),
    wrong(
        entropy(
            """
            total = 0
            for x in p.flatten():
                if x > 0:
                    total = -x * torch.log(x)
            return total / math.log(base)
            """
        ),
        "last",
        "+=",
        "sum",
        "add",
        "overwrit",
    ),
    wrong(entropy("q = p[p > 0]\nreturn -(q * torch.log2(q)).sum() / math.log(base)"), *BASE, "log2", misleading=()),
    wrong(entropy("q = p[p > 0]\nreturn torch.exp(-(q * q.log()).sum() / math.log(base))"), "exp"),
    wrong(
        entropy(
            """
            total = 0
            for x in p.flatten()[:-1]:
                if x > 0:
                    total = total - x * torch.log(x)
            return total / math.log(base)
            """
        ),
        "last",
        "left out",
        "missing",
        "range",
    ),
]
RIGHT += [
    right(ENTROPY),
    right(entropy("return torch.special.entr(p).sum() / math.log(base)")),
    right(entropy("return -torch.xlogy(p, p).sum() / math.log(base)")),
    right(
        entropy(
            """
            total = 0
            for x in p.flatten():
                if x > 0:
                    total = total - x * torch.log(x) / math.log(base)
            return total
            """
        )
    ),
    right(entropy("safe = torch.where(p > 0, p, torch.ones_like(p))\nreturn (p * -safe.log()).sum() / np.log(base)")),
    right(
        entropy(
            "q = p.flatten()\nq = q[q.nonzero(as_tuple=True)]\nreturn torch.dot(q, torch.log(1 / q)) / math.log(base)"
        )
    ),
    right(
        entropy("q = p[p > 0]\nreturn sum((-x * x.log() for x in q), torch.zeros((), dtype=p.dtype)) / math.log(base)")
    ),
]

# --- mutual_information_loop ----------------------------------------------------------------------------------------


def mutual(body: str) -> str:
    return function("mutual_information_loop(joint, base=math.e)", body)


MUTUAL = mutual(
    """
    p_u = joint.sum(dim=1)
    p_v = joint.sum(dim=0)
    total = 0
    for u in range(len(p_u)):
        for v in range(len(p_v)):
            p = joint[u, v]
            if p > 0:
                total = total + p * torch.log(p / (p_u[u] * p_v[v]))
    return total / math.log(base)
    """
)

WRONG += [
    wrong(edited(MUTUAL, ("            if p > 0:\n    ", "")), *ZERO),
    wrong(edited(MUTUAL, (" / math.log(base)", "")), *BASE),
    wrong(edited(MUTUAL, (" / math.log(base)", " * math.log(base)")), *BASE, "divid", "multipl"),
    wrong(edited(MUTUAL, ("total = total + p", "total = p")), "last", "+=", "sum", "add", "overwrit"),
    wrong(edited(MUTUAL, ("total + p * torch", "total - p * torch")), *SIGN, misleading=()),
    wrong(edited(MUTUAL, ("p * torch.log(p", "torch.log(p")), "weigh", "p(u", "times p", "p *", "factor p", "joint"),
    wrong(edited(MUTUAL, ("p / (p_u[u] * p_v[v])", "p / p_u[u]")), "p(v)", "p_v", "both", "marginal"),
    wrong(
        edited(MUTUAL, ("p / (p_u[u] * p_v[v])", "p / p_u[u] * p_v[v]")),
        "bracket",
        "parenthes",
        "p(v)",
        "p_v",
        "divid",
        "both",
    ),
    wrong(
        edited(MUTUAL, ("p / (p_u[u] * p_v[v])", "(p_u[u] * p_v[v]) / p")), *SIGN, "inverse", "upside", misleading=()
    ),
    wrong(edited(MUTUAL, ("p / (p_u[u] * p_v[v])", "p")), "marginal", "entropy", "independent", "p(u) p(v)", "divid"),
    wrong(edited(MUTUAL, ("p / (p_u[u] * p_v[v])", "p / (p_u[u] + p_v[v])")), "product", "multipl", "times", "sum"),
    wrong(edited(MUTUAL, ("p_u = joint.sum(dim=1)", "p_u = joint.mean(dim=1)")), "mean", "sum", "marginal"),
    wrong(
        edited(MUTUAL, ("joint.sum(dim=1)", "joint.sum(dim=0)"), ("p_v = joint.sum(dim=0)", "p_v = joint.sum(dim=1)")),
        "dim",
        "marginal",
        "swap",
        "index",
        "axis",
        "shape",
    ),
    wrong(
        edited(MUTUAL, ("p * torch.log(p /", "p_u[u] * p_v[v] * torch.log(p /")), "weigh", "joint", "p(u,v)", "p(u, v)"
    ),
    wrong(edited(MUTUAL, ("range(len(p_u))", "range(len(p_u) - 1)")), "last", "range", "left out", "row", "missing"),
    wrong(
        edited(MUTUAL, ("range(len(p_v))", "range(len(p_u))")),
        "index",
        "len(p_v)",
        "shape",
        "range",
        "columns",
        "square",
    ),
    wrong(edited(MUTUAL, ("range(len(p_v))", "range(1, len(p_v))")), "first", "range", "left out", "column", "missing"),
    wrong(
        edited(MUTUAL, ("range(len(p_v))", "range(u + 1)")), "range", "left out", "triang", "missing", "all", "index"
    ),
    wrong(edited(MUTUAL, ("    return", "        return")), "first", "return", "row", "loop", "left out"),
    wrong(edited(MUTUAL, ("p * torch.log(p / (p_u[u] * p_v[v]))", "float(p) * math.log(p / (p_u[u] * p_v[v]))")), *CUT),
    wrong(edited(MUTUAL, ("p = joint[u, v]", "p = joint[u, v].float()")), *FLOAT32),
    wrong(
        mutual("return entropy(joint.sum(0), base) + entropy(joint.sum(1), base) + entropy(joint, base)"),
        *SIGN,
        "minus",
        "subtract",
    ),
    wrong(
        mutual("return entropy(joint, base) - entropy(joint.sum(1), base)"),
        "conditional",
        "H(V|U)",
        "remain",
        "entropy",
        "independent",
    ),
    wrong(mutual("return entropy(joint, base)"), "marginal", "entropy", "independent", "joint"),
    wrong(edited(MUTUAL, ("joint[u, v]\n", "joint[u, v] + 1e-6\n")), "1e-", "eps", "small", "added"),
]
RIGHT += [
    right(MUTUAL),
    right(mutual("return entropy(joint.sum(0), base) + entropy(joint.sum(1), base) - entropy(joint, base)")),
    right(
        mutual(
            """
            total = 0
            for u, row in enumerate(joint):
                for v, p in enumerate(row):
                    if p != 0:
                        total = total + p * (p.log() - joint[u].sum().log() - joint[:, v].sum().log())
            return total / math.log(base)
            """
        )
    ),
    right(
        mutual(
            """
            u, v = joint.nonzero(as_tuple=True)
            p = joint[u, v]
            return (p * torch.log(p / (joint.sum(1)[u] * joint.sum(0)[v]))).sum() / math.log(base)
            """
        )
    ),
    right(
        mutual(
            """
            total = torch.tensor(0.0, dtype=joint.dtype)
            for u in range(joint.size(0)):
                for v in range(joint.size(1)):
                    p = joint[u, v]
                    if p == 0:
                        continue
                    total += p * torch.log(p / joint[u, :].sum() / joint[:, v].sum()) / math.log(base)
            return total
            """
        )
    ),
    right(
        mutual(
            """
            product = joint.sum(1, keepdim=True) * joint.sum(0, keepdim=True)
            return (torch.xlogy(joint, joint) - torch.xlogy(joint, product)).sum() / math.log(base)
            """
        )
    ),
]

# --- conditional_entropy --------------------------------------------------------------------------------------------


def conditional(body: str) -> str:
    return function("conditional_entropy(joint, base=math.e)", body)


WRONG += [
    wrong(
        conditional("return entropy(joint, base) - entropy(joint.sum(dim=0), base)"),
        "row",
        "column",
        "H(U|V)",
        "dim",
        "other",
        "wrong variable",
    ),
    wrong(conditional("return entropy(joint, base)"), "H(U)", "subtract", "joint", "chain"),
    wrong(
        conditional("return entropy(joint.sum(dim=0), base)"),
        "H(V)",
        "without",
        "marginal",
        "knowing",
        "chain",
        "condition",
    ),
    wrong(conditional("return entropy(joint.sum(dim=1), base) - entropy(joint, base)"), *SIGN, "order", misleading=()),
    wrong(conditional("return entropy(joint, base) - entropy(joint.sum(dim=1))"), *BASE),
    wrong(conditional("return entropy(joint) - entropy(joint.sum(dim=1), base)"), *BASE),
    wrong(conditional("return entropy(joint) - entropy(joint.sum(dim=1))"), *BASE),
    wrong(
        conditional("return entropy(joint.sum(0), base) + entropy(joint.sum(1), base) - entropy(joint, base)"),
        "mutual",
        "I(U;V)",
        "information",
    ),
    wrong(conditional("return entropy(joint, base) + entropy(joint.sum(dim=1), base)"), *SIGN, "subtract", "plus"),
    wrong(
        conditional("return sum(entropy(row / row.sum(), base) for row in joint if row.sum() > 0) / len(joint)"),
        "p(u)",
        "weigh",
        "average",
    ),
    wrong(
        conditional("return sum(entropy(row / row.sum(), base) for row in joint if row.sum() > 0)"),
        "p(u)",
        "weigh",
        "average",
    ),
    wrong(
        conditional(
            """
            p = joint / joint.sum(dim=1, keepdim=True).clamp(min=1e-30)
            q = p[p > 0]
            return -(q * q.log()).sum() / math.log(base)
            """
        ),
        "p(u)",
        "weigh",
        "joint",
        "p(u,v)",
    ),
    wrong(
        conditional("return sum(col.sum() * entropy(col / col.sum(), base) for col in joint.T if col.sum() > 0)"),
        "row",
        "column",
        "H(U|V)",
        "other",
    ),
    wrong(
        conditional("return entropy(joint, base) - entropy(joint.mean(dim=1), base)"),
        "mean",
        "sum",
        "marginal",
        "sum to 1",
    ),
    wrong(conditional("return (entropy(joint, base) - entropy(joint.sum(dim=1), base)).detach()"), *CUT),
    wrong(conditional("return float(entropy(joint, base)) - float(entropy(joint.sum(dim=1), base))"), *CUT),
    wrong(
        conditional("joint = joint.float()\nreturn entropy(joint, base) - entropy(joint.sum(dim=1), base)"), *FLOAT32
    ),
    wrong(
        conditional("p = joint.sum(dim=1, keepdim=True)\nreturn -(joint * (joint / p).log()).sum() / math.log(base)"),
        *ZERO,
    ),
    wrong(
        conditional(
            """
            h = 0
            for row in joint:
                if row.sum() > 0:
                    h = row.sum() * entropy(row / row.sum(), base)
            return h
            """
        ),
        "last",
        "+=",
        "sum",
        "add",
        "overwrit",
    ),
    wrong(
        conditional("return entropy(joint, base) / entropy(joint.sum(dim=1), base)"),
        "subtract",
        "difference",
        "minus",
        "divid",
        "ratio",
    ),
]
RIGHT += [
    right(conditional("return entropy(joint, base) - entropy(joint.sum(1), base)")),
    right(
        conditional(
            """
            h = 0
            for row in joint:
                p = row.sum()
                if p > 0:
                    h = h + p * entropy(row / p, base)
            return h
            """
        )
    ),
    right(conditional("return entropy(joint.sum(0), base) - mutual_information_loop(joint, base)")),
    right(
        conditional(
            """
            p_u = joint.sum(dim=1, keepdim=True)
            return (torch.xlogy(joint, p_u) - torch.xlogy(joint, joint)).sum() / math.log(base)
            """
        )
    ),
    right(
        conditional(
            """
            u, v = joint.nonzero(as_tuple=True)
            p = joint[u, v]
            return -(p * torch.log(p / joint.sum(1)[u])).sum() / math.log(base)
            """
        )
    ),
    right(
        conditional(
            """
            total = 0
            p_u = joint.sum(1)
            for u in range(len(joint)):
                for v in range(joint.shape[1]):
                    if joint[u, v] > 0:
                        total = total - joint[u, v] * torch.log(joint[u, v] / p_u[u])
            return total / math.log(base)
            """
        )
    ),
]

# --- information_bottleneck -----------------------------------------------------------------------------------------


def bottleneck(body: str) -> str:
    return function("information_bottleneck(joint_xy, encoder, beta, base=math.e)", body)


BOTTLENECK = bottleneck(
    """
    p_y = joint_xy.sum(dim=0)
    joint_yz = p_y[:, None] * encoder
    joint_xz = joint_xy @ encoder
    i_zy = mutual_information_loop(joint_yz, base)
    i_zx = mutual_information_loop(joint_xz, base)
    h_z = entropy(joint_yz.sum(dim=0), base)
    h_zx = conditional_entropy(joint_xz, base)
    h_zy = conditional_entropy(joint_yz, base)
    return i_zy - beta * i_zx, i_zy, i_zx, h_z, h_zx, h_zy
    """
)
RESULT = "i_zy - beta * i_zx, i_zy, i_zx, h_z, h_zx, h_zy"

WRONG += [
    wrong(edited(BOTTLENECK, ("p_y[:, None] * encoder", "encoder")), "p(y)", "joint", "weigh", "sum to", "probabilit"),
    wrong(
        edited(BOTTLENECK, ("p_y[:, None] * encoder", "encoder / len(encoder)")), "p(y)", "joint", "weigh", "uniform"
    ),
    wrong(
        edited(BOTTLENECK, ("i_zy - beta * i_zx, i_zy", "i_zx - beta * i_zy, i_zy")),
        "swap",
        "beta",
        "total",
        "I(Z;X)",
        "i_zx",
    ),
    wrong(edited(BOTTLENECK, ("i_zy - beta * i_zx, i_zy", "i_zy + beta * i_zx, i_zy")), *SIGN, "plus", "total"),
    wrong(edited(BOTTLENECK, ("i_zy - beta * i_zx, i_zy", "beta * i_zy - i_zx, i_zy")), "beta", "total"),
    wrong(edited(BOTTLENECK, ("i_zy - beta * i_zx, i_zy", "i_zy - i_zx, i_zy")), "beta"),
    wrong(edited(BOTTLENECK, ("i_zy - beta * i_zx, i_zy", "beta * i_zx - i_zy, i_zy")), *SIGN, "total", misleading=()),
    wrong(
        edited(BOTTLENECK, ("i_zy - beta * i_zx, i_zy", "h_zx + (1 - beta) / beta * h_z, i_zy")),
        "beta",
        "total",
        "divid",
        "I(Z;Y)",
    ),
    wrong(
        edited(BOTTLENECK, ("i_zy - beta * i_zx, i_zy", "beta * h_zx + (1 - beta) * h_z, i_zy")),
        "H(Z|Y)",
        "deterministic",
        "total",
        "random",
    ),
    wrong(
        edited(BOTTLENECK, (RESULT, "i_zy - beta * i_zx, i_zy, beta * i_zx, h_z, h_zx, h_zy")),
        "beta",
        "i_zx",
        "I(Z;X)",
        "weigh",
    ),
    wrong(edited(BOTTLENECK, (RESULT, "i_zy - beta * i_zx, i_zx, i_zy, h_z, h_zx, h_zy")), *ORDER),
    wrong(edited(BOTTLENECK, (RESULT, "i_zy - beta * i_zx, i_zy, i_zx, h_z, h_zy, h_zx")), *ORDER),
    wrong(
        edited(BOTTLENECK, (RESULT, "i_zy - beta * i_zx")), "6 values", "alone", "six", "tuple", "outputs", "one value"
    ),
    wrong(edited(BOTTLENECK, ("(joint_yz, base)\n    i_zx", "(joint_yz)\n    i_zx")), *BASE),
    wrong(edited(BOTTLENECK, ("entropy(joint_yz.sum(dim=0), base)", "entropy(joint_yz.sum(dim=0))")), *BASE),
    wrong(
        edited(BOTTLENECK, ("h_zx = conditional_entropy(joint_xz, base)", "h_zx = conditional_entropy(joint_xz)")),
        *BASE,
    ),
    wrong(edited(BOTTLENECK, (", base)\n", ")\n")), *BASE),
    wrong(
        edited(BOTTLENECK, ("conditional_entropy(joint_xz, base)", "conditional_entropy(joint_xz.T, base)")),
        "transpos",
        "H(X|Z)",
        "row",
        "H(Z|X)",
        "h_z_given_x",
    ),
    wrong(
        edited(BOTTLENECK, ("conditional_entropy(joint_yz, base)", "conditional_entropy(joint_yz.T, base)")),
        "transpos",
        "H(Y|Z)",
        "row",
        "H(Z|Y)",
        "h_z_given_y",
    ),
    wrong(
        edited(BOTTLENECK, ("entropy(joint_yz.sum(dim=0), base)", "entropy(joint_yz.sum(dim=1), base)")),
        "H(Y)",
        "dim",
        "marginal",
        "h_z",
        "H(Z)",
    ),
    wrong(
        edited(BOTTLENECK, ("entropy(joint_yz.sum(dim=0), base)", "entropy(encoder.mean(dim=0), base)")),
        "p(y)",
        "weigh",
        "H(Z)",
        "h_z",
        "average",
    ),
    wrong(
        edited(BOTTLENECK, ("entropy(joint_yz.sum(dim=0), base)", "entropy(joint_yz, base)")),
        "H(Y,Z)",
        "joint",
        "H(Z)",
        "h_z",
        "marginal",
    ),
    wrong(
        edited(BOTTLENECK, ("joint_xy @ encoder", "joint_xy / joint_xy.sum(dim=1, keepdim=True) @ encoder")),
        "p(x)",
        "p(x,",
        "joint",
        "condition",
        "sum to",
    ),
    wrong(
        edited(
            BOTTLENECK,
            ("joint_xz = joint_xy @ encoder", "joint_xz = joint_xy.sum(dim=1)[:, None] * (encoder.mean(dim=0)[None])"),
        ),
        "p(x,y)",
        "p(y|x)",
        "independent",
        "joint",
        "encoder",
        "sum_y",
    ),
    wrong(edited(BOTTLENECK, ("joint_xz = joint_xy @ encoder", "joint_xz = joint_yz")), "p(x,", "X", "joint"),
    wrong(
        edited(BOTTLENECK, ("joint_xy.sum(dim=0)\n", "joint_xy.sum(dim=1)\n")),
        "dim",
        "marginal",
        "p(x)",
        "shape",
        "size",
        "axis",
    ),
    wrong(
        edited(BOTTLENECK, ("    p_y", "    encoder = encoder.detach()\n    p_y")),
        *CUT,
        note="no gradient reaches the encoder, which is what one minimises over",
    ),
    wrong(
        edited(
            BOTTLENECK,
            ("    p_y", "    encoder = F.one_hot(encoder.argmax(dim=1), encoder.shape[1]).to(encoder.dtype)\n    p_y"),
        ),
        "random",
        "one-hot",
        "deterministic",
        "argmax",
        "H(Z|Y)",
    ),
    wrong(
        edited(BOTTLENECK, ("    p_y", "    encoder = encoder.softmax(dim=1)\n    p_y")),
        "softmax",
        "already",
        "probabilit",
    ),
    wrong(
        edited(BOTTLENECK, ("    p_y", "    joint_xy, encoder = joint_xy.float(), encoder.float()\n    p_y")), *FLOAT32
    ),
    wrong(
        edited(BOTTLENECK, ("h_zy = conditional_entropy(joint_yz, base)", "h_zy = 0 * h_z")),
        "H(Z|Y)",
        "deterministic",
        "random",
        "h_z_given_y",
    ),
]
RIGHT += [
    right(BOTTLENECK),
    right(
        bottleneck(
            """
            joint_yz = torch.diag(joint_xy.sum(0)) @ encoder
            joint_xz = torch.einsum('xy,yz->xz', joint_xy, encoder)
            h = entropy(joint_xz.sum(0), base)
            hx, hy = conditional_entropy(joint_xz, base), conditional_entropy(joint_yz, base)
            return [(h - hy) - beta * (h - hx), h - hy, h - hx, h, hx, hy]
            """
        )
    ),
    right(
        bottleneck(
            """
            joint = joint_xy[:, :, None] * encoder[None]
            yz, xz = joint.sum(0), joint.sum(1)
            zy, zx = mutual_information_loop(yz.T, base), mutual_information_loop(xz.T, base)
            h = entropy(joint.sum((0, 1)), base)
            return zy - beta * zx, zy, zx, h, conditional_entropy(xz, base), conditional_entropy(yz, base)
            """
        )
    ),
    right(
        bottleneck(
            """
            xs, ys = joint_xy.shape
            zs = encoder.shape[1]
            yz = torch.stack([joint_xy[:, y].sum() * encoder[y] for y in range(ys)])
            rows = []
            for x in range(xs):
                row = 0
                for y in range(ys):
                    row = row + joint_xy[x, y] * encoder[y]
                rows.append(row)
            xz = torch.stack(rows)
            p_z = torch.stack([xz[:, z].sum() for z in range(zs)])
            h_z = entropy(p_z, base)
            h_zx = entropy(xz, base) - entropy(joint_xy.sum(1), base)
            h_zy = entropy(yz, base) - entropy(joint_xy.sum(0), base)
            return beta * h_zx - h_zy + (1 - beta) * h_z, h_z - h_zy, h_z - h_zx, h_z, h_zx, h_zy
            """
        )
    ),
]

# --- bottleneck_over_beta -------------------------------------------------------------------------------------------


def over(body: str) -> str:
    return function("bottleneck_over_beta(h_z_given_x, h_z, beta)", body)


WRONG += [
    wrong(over("return h_z_given_x + (1 - beta) * h_z"), "divid", "beta"),
    wrong(over("return h_z_given_x + (1 - beta) / h_z * beta"), "beta", "divid", "h_z"),
    wrong(over("return h_z_given_x + (beta - 1) / beta * h_z"), *SIGN, "1 - beta", "beta - 1"),
    wrong(over("return h_z_given_x - (1 - beta) / beta * h_z"), *SIGN, "plus", "1 - beta"),
    wrong(over("return h_z_given_x + 1 - beta / beta * h_z"), "bracket", "parenthes", "1 - beta"),
    wrong(over("return h_z_given_x + (1 - beta / beta) * h_z"), "bracket", "parenthes", "1 - beta"),
    wrong(over("return h_z_given_x + 1 / beta * h_z"), "1 - beta", "(1 -", "beta"),
    wrong(over("return beta * h_z_given_x + (1 - beta) * h_z"), "divid", "beta", *FACTOR, misleading=()),
    wrong(over("return (h_z_given_x + (1 - beta) * h_z) / beta"), "H(Z|X)", "beta", "both", "first term", "divid"),
    wrong(over("return h_z + (1 - beta) / beta * h_z_given_x"), "swap", "order", "H(Z|X)", "argument", "h_z"),
    wrong(over("return h_z_given_x + (1 + beta) / beta * h_z"), *SIGN, "1 - beta", "plus"),
    wrong(over("return h_z_given_x + (1 - beta) / beta"), "h_z", "H(Z)", "multipl"),
    wrong(
        over("return (1 - beta) / beta * (h_z_given_x + h_z)"), "bracket", "parenthes", "H(Z|X)", "only", "first term"
    ),
    wrong(over("return h_z_given_x + (1 - beta) // beta * h_z"), "//", "round", "whole", "integer", "floor"),
    wrong(over("return h_z_given_x.item() + (1 - beta) / beta * h_z.item()"), *CUT),
    wrong(over("return h_z_given_x + (1 - beta) / beta * h_z.detach()"), *CUT),
    wrong(over("return h_z_given_x.float() + (1 - beta) / beta * h_z.float()"), *FLOAT32),
    wrong(over("return h_z_given_x + beta / (1 - beta) * h_z"), "inverse", "upside", "beta", "divid", "swap"),
    wrong(over("h_z *= (1 - beta) / beta\nreturn h_z_given_x + h_z"), *IN_PLACE),
]
RIGHT += [
    right(over("return h_z_given_x + h_z / beta - h_z")),
    right(over("return (beta * h_z_given_x + (1 - beta) * h_z) / beta")),
    right(over("weight = 1 / beta - 1\nreturn torch.add(h_z_given_x, h_z, alpha=weight)")),
    right(over("return h_z_given_x - h_z * (beta - 1) / beta")),
]

# --- log_determinant_term -------------------------------------------------------------------------------------------


def logdet(body: str) -> str:
    return function("log_determinant_term(c)", body)


WRONG += [
    wrong(logdet("return torch.log(torch.det(c))"), *OVERFLOW, "underflow", "too small", "slogdet"),
    wrong(logdet("return torch.linalg.eigvalsh(c).prod().log()"), *OVERFLOW, "underflow", "too small", "sum of"),
    wrong(logdet("return torch.det(c)"), "log"),
    wrong(
        logdet("return torch.linalg.slogdet(c)"),
        "linalg_slogdet",
        "two",
        "sign",
        "tuple",
        "logabsdet",
        misleading=(*RATIO, ".item()"),
    ),
    wrong(logdet("return torch.linalg.slogdet(c)[0]"), "sign", "logabsdet", "first", "[1]"),
    wrong(logdet("return -torch.linalg.slogdet(c)[1]"), *SIGN, misleading=()),
    wrong(
        logdet("return 0.5 * torch.linalg.slogdet(c)[1]"), "twice", "2", "half", "1/2", "0.5", *FACTOR, misleading=()
    ),
    wrong(
        logdet("return torch.linalg.cholesky(c).diagonal().log().sum()"),
        "half",
        "twice",
        "2",
        "square",
        *FACTOR,
        misleading=(),
    ),
    wrong(logdet("return c.diagonal().log().sum()"), "diagonal", "off", "eigenvalue"),
    wrong(
        logdet("return torch.linalg.eigvalsh(c).sum().log()"), "product", "log of the sum", "each", "trace", "sum of"
    ),
    wrong(logdet("return torch.linalg.eigvalsh(c).log().mean()"), "mean", "sum", "divid", misleading=()),
    wrong(logdet("return torch.linalg.eigvalsh(c).sum()"), "log", "trace"),
    wrong(logdet("return torch.linalg.slogdet(c)[1].exp()"), "log", "exp"),
    wrong(logdet("return torch.linalg.slogdet(c)[1] / math.log(2)"), "log2", "base", "natural", *FACTOR, misleading=()),
    wrong(
        logdet("return torch.linalg.svdvals(c).square().log().sum()"),
        "square",
        "twice",
        "singular",
        *FACTOR,
        misleading=(),
    ),
    wrong(
        logdet("return torch.linalg.slogdet(c + 1e-4 * torch.eye(len(c), dtype=c.dtype))[1]"),
        "1e-",
        "eps",
        "added",
        "small",
        "diagonal",
    ),
    wrong(
        logdet("return torch.linalg.eigvalsh(c).clamp(min=0.5).log().sum()"), "clamp", "small", "floor", "eigenvalue"
    ),
    wrong(logdet("return torch.linalg.slogdet(c.detach())[1]"), *CUT, misleading=(*RATIO, "two values", "the sign")),
    wrong(
        logdet("return torch.tensor(np.linalg.slogdet(c.detach().numpy())[1])"),
        *CUT,
        misleading=(*RATIO, "two values", "the sign"),
    ),
    wrong(logdet("return torch.linalg.slogdet(c.float())[1]"), *FLOAT32),
    wrong(logdet("return torch.log(torch.linalg.eigvalsh(c)[-1])"), "largest", "all", "sum", "each", "one eigenvalue"),
    wrong(
        logdet("total = 0\nfor e in torch.linalg.eigvalsh(c):\n    total = e.log()\nreturn total"),
        "last",
        "+=",
        "sum",
        "add",
        "largest",
        "overwrit",
    ),
    wrong(
        logdet("return torch.logdet(c) + len(c) * math.log(2 * math.pi * math.e)"),
        "constant",
        "2 pi",
        "added",
        "entropy",
    ),
]
RIGHT += [
    right(logdet("return torch.logdet(c)")),
    right(logdet("return 2 * torch.linalg.cholesky(c).diagonal().log().sum()")),
    right(logdet("return torch.linalg.eigvalsh(c).log().sum()")),
    right(logdet("total = 0\nfor e in torch.linalg.eigvalsh(c):\n    total = total + torch.log(e)\nreturn total")),
    right(logdet("sign, value = torch.slogdet(c)\nreturn value")),
    right(logdet("return torch.log(torch.linalg.eigh(c)[0]).sum(dim=-1)")),
    right(logdet("return torch.linalg.svdvals(c).log().sum()")),
]

# --- gaussian_entropy -----------------------------------------------------------------------------------------------


def gaussian(body: str) -> str:
    return function("gaussian_entropy(z, eps=0.0)", body)


GAUSSIAN = gaussian(
    """
    n, d = z.shape
    centred = z - z.mean(dim=0)
    c = centred.T @ centred / n + eps * torch.eye(d, dtype=z.dtype)
    return 0.5 * log_determinant_term(c) + 0.5 * d * math.log(2 * math.pi * math.e)
    """
)

WRONG += [
    wrong(edited(GAUSSIAN, ("/ n +", "/ (n - 1) +")), *UNBIASED),
    wrong(edited(GAUSSIAN, ("centred.T @ centred / n", "torch.cov(z.T)")), *UNBIASED),
    wrong(edited(GAUSSIAN, ("/ n +", "+")), "divid", "N", "mean"),
    wrong(edited(GAUSSIAN, ("z - z.mean(dim=0)", "z")), *CENTRE),
    wrong(edited(GAUSSIAN, ("z - z.mean(dim=0)", "z - z.mean(dim=1, keepdim=True)")), *CENTRE, "dim="),
    wrong(edited(GAUSSIAN, (" + eps * torch.eye(d, dtype=z.dtype)", "")), "eps"),
    wrong(edited(GAUSSIAN, ("eps * torch.eye(d, dtype=z.dtype)", "eps")), "eps", "diagonal"),
    wrong(edited(GAUSSIAN, ("eps * torch.eye", "eps**2 * torch.eye")), "eps", "square"),
    wrong(edited(GAUSSIAN, ("eps * torch.eye", "1e-5 * torch.eye")), "eps", "1e-"),
    wrong(edited(GAUSSIAN, ("0.5 * log_d", "log_d")), "half", "1/2", "0.5", "determinant"),
    wrong(edited(GAUSSIAN, ("+ 0.5 * d *", "+ d *")), "half", "1/2", "D/2", "constant", "0.5"),
    wrong(edited(GAUSSIAN, ("+ 0.5 * d *", "+ 0.5 *")), "D/2", "constant", "dimension", "D "),
    wrong(edited(GAUSSIAN, (" + 0.5 * d * math.log(2 * math.pi * math.e)", "")), "constant", "2 pi", "D/2"),
    wrong(edited(GAUSSIAN, ("2 * math.pi * math.e", "2 * math.pi")), "constant", " e", "2 pi e", "D/2"),
    wrong(edited(GAUSSIAN, ("2 * math.pi * math.e", "math.pi * math.e")), "constant", "2 pi", "D/2"),
    wrong(edited(GAUSSIAN, ("math.log(2", "math.log2(2")), "log2", "base", "natural", "constant", "2 pi", "nats"),
    wrong(edited(GAUSSIAN, ("0.5 * d *", "0.5 * n *")), "D/2", "dimension", "N", "constant"),
    wrong(edited(GAUSSIAN, ("0.5 * log_d", "-0.5 * log_d")), *SIGN, "determinant"),
    wrong(edited(GAUSSIAN, ("log_determinant_term(c) +", "log_determinant_term(c) -")), *SIGN, "constant", "plus"),
    wrong(
        edited(
            GAUSSIAN,
            (
                "0.5 * log_determinant_term(c) + 0.5 * d * math.log(2 * math.pi * math.e)",
                "(0.5 * log_determinant_term(c) + 0.5 * d * math.log(2 * math.pi * math.e)) / d",
            ),
        ),
        "divid",
        "dimension",
        "D",
        misleading=(),
    ),
    wrong(
        edited(GAUSSIAN, ("0.5 * log_determinant_term(c)", "0.5 * c.diagonal().log().sum()")),
        "diagonal",
        "determinant",
        "correlat",
        "off",
    ),
    wrong(
        edited(GAUSSIAN, ("centred = z - z.mean(dim=0)", "centred = (z - z.mean(dim=0)) / z.std(dim=0)")),
        "standard",
        "scale",
        "std",
        "correlation",
    ),
    wrong(
        edited(
            GAUSSIAN,
            (
                "centred.T @ centred / n + eps * torch.eye(d, dtype=z.dtype)",
                "centred @ centred.T / n + eps * torch.eye(n, dtype=z.dtype)",
            ),
        ),
        "samples",
        "transpos",
        "(D, D)",
        "dimensions",
        "singular",
        "(N, N)",
    ),
    wrong(edited(GAUSSIAN, ("    return 0.5", "    c = c.detach()\n    return 0.5")), *CUT),
    wrong(edited(GAUSSIAN, ("0.5 * log_determinant_term(c)", "0.5 * log_determinant_term(c).item()")), *CUT),
    wrong(
        edited(
            GAUSSIAN,
            ("z - z.mean(dim=0)", "z.float() - z.float().mean(dim=0)"),
            ("dtype=z.dtype", "dtype=torch.float32"),
        ),
        *FLOAT32,
    ),
    wrong(edited(GAUSSIAN, ("    centred = z - z.mean(dim=0)", "    z -= z.mean(dim=0)\n    centred = z")), *IN_PLACE),
    wrong(edited(GAUSSIAN, ("z - z.mean(dim=0)", "z - z.mean()")), *CENTRE, "dim=", "each dimension"),
]
RIGHT += [
    right(GAUSSIAN),
    right(
        gaussian(
            """
            d = z.shape[1]
            c = torch.cov(z.T, correction=0).reshape(d, d) + eps * torch.eye(d, dtype=z.dtype)
            return (torch.logdet(c) + d * (1 + math.log(2 * math.pi))) / 2
            """
        )
    ),
    right(
        gaussian(
            """
            n, d = z.shape
            x = z - z.mean(0)
            c = torch.einsum('ni,nj->ij', x, x) / n
            c = c + torch.diag(torch.full((d,), eps, dtype=z.dtype))
            return 0.5 * torch.linalg.eigvalsh(2 * math.pi * math.e * c).log().sum()
            """
        )
    ),
    right(
        gaussian(
            """
            n, d = z.shape
            mu = z.mean(0)
            c = eps * torch.eye(d, dtype=z.dtype)
            for row in z:
                c = c + torch.outer(row - mu, row - mu) / n
            return torch.linalg.cholesky(c).diagonal().log().sum() + d / 2 * np.log(2 * np.pi * np.e)
            """
        )
    ),
    right(
        gaussian(
            """
            c = z.T @ z / len(z) - torch.outer(z.mean(0), z.mean(0))
            c = c + eps * torch.eye(len(c), dtype=c.dtype)
            return 0.5 * torch.linalg.slogdet(c)[1] + len(c) / 2 * math.log(2 * math.pi * math.e)
            """
        )
    ),
    right(
        gaussian(
            """
            s = torch.linalg.svdvals(z - z.mean(0))
            d = z.shape[1]
            values = s**2 / len(z) + eps
            return 0.5 * values.log().sum() + d / 2 * math.log(2 * math.pi * math.e)
            """
        )
    ),
]

# --- conditional_covariance -----------------------------------------------------------------------------------------


def given(body: str) -> str:
    return function("conditional_covariance(views, pooled=True)", body)


GIVEN = given(
    """
    v, n, d = views.shape
    centred = views - views.mean(dim=0)
    each = torch.einsum("vni,vnj->nij", centred, centred) / (v - 1)
    return each.mean(dim=0) if pooled else each
    """
)

WRONG += [
    wrong(edited(GIVEN, ("(v - 1)", "v")), "V - 1", "V-1", "unbiased", "correction", misleading=()),
    wrong(edited(GIVEN, (" / (v - 1)", "")), "V - 1", "V-1", "divid", misleading=()),
    wrong(edited(GIVEN, ("(v - 1)", "(n - 1)")), "V - 1", "V-1", "views", misleading=()),
    wrong(
        edited(GIVEN, ("views.mean(dim=0)", "views.mean(dim=1, keepdim=True)")),
        "dim=",
        "over the views",
        "same image",
        "batch",
        "mean of the views",
        "around",
    ),
    wrong(
        edited(GIVEN, ("views.mean(dim=0)", "views.mean(dim=(0, 1))")),
        "each image",
        "own mean",
        "all",
        "same image",
        "mean of the views",
        "around",
    ),
    wrong(edited(GIVEN, ("views - views.mean(dim=0)", "views")), *CENTRE),
    wrong(edited(GIVEN, ("each.mean(dim=0) if pooled else each", "each.mean(dim=0)")), "pooled"),
    wrong(edited(GIVEN, ("each.mean(dim=0) if pooled else each", "each")), "pooled", "shape"),
    wrong(
        edited(GIVEN, ("each.mean(dim=0) if pooled else each", "each if pooled else each.mean(dim=0)")),
        "pooled",
        "swap",
        "shape",
    ),
    wrong(edited(GIVEN, ("each.mean(dim=0)", "each.sum(dim=0)")), "mean", "sum", "divid", "images", "N", misleading=()),
    wrong(edited(GIVEN, ("each.mean(dim=0)", "each.sum(dim=0) / (n - 1)")), *UNBIASED, "mean", misleading=()),
    wrong(edited(GIVEN, ("each.mean(dim=0)", "each.mean()")), "shape", "dim=0", "images", "(D, D)"),
    wrong(edited(GIVEN, ("vni,vnj->nij", "vni,vni->ni")), "shape", "diagonal", "outer", "(D, D)"),
    wrong(
        edited(GIVEN, ("each.mean(dim=0) if", "torch.cov(views.flatten(0, 1).T) if")),
        "given",
        "each image",
        "same image",
        "pooled",
        "own mean",
        "all",
    ),
    wrong(
        given(
            """
            d = views[0] - views[1]
            each = 0.5 * d[:, :, None] * d[:, None, :]
            return each.mean(dim=0) if pooled else each
            """
        ),
        "two views",
        "more than two",
        "V",
        "all views",
        "third",
        "views",
    ),
    wrong(
        given(
            """
            v, n, d = views.shape
            centred = views - views.mean(dim=0)
            each = torch.einsum('vni,vnj->vij', centred, centred) / (n - 1)
            return each.mean(dim=0) if pooled else each
            """
        ),
        "image",
        "views",
        "shape",
        "V - 1",
        "(N, D, D)",
    ),
    wrong(edited(GIVEN, ("centred, centred)", "centred, views[:1].expand_as(views))")), *CENTRE, "both", "outer"),
    wrong(
        edited(GIVEN, ("views - views.mean(dim=0)", "views - views[0]")),
        "(a - b)",
        *CENTRE,
        "first view",
        misleading=(*RATIO, "third view"),
    ),
    wrong(edited(GIVEN, ("    centred =", "    views = views.detach()\n    centred =")), *CUT),
    wrong(
        edited(
            GIVEN,
            ("views - views.mean(dim=0)", "views - views.mean(dim=0).detach()"),
            ("centred, centred)", "centred, centred.detach())"),
        ),
        *CUT,
    ),
    wrong(edited(GIVEN, ("views - views.mean(dim=0)", "views.float() - views.float().mean(dim=0)")), *FLOAT32),
    wrong(
        edited(
            GIVEN, ("    centred = views - views.mean(dim=0)", "    views -= views.mean(dim=0)\n    centred = views")
        ),
        *IN_PLACE,
    ),
    wrong(
        edited(GIVEN, ("views - views.mean(dim=0)", "(views - views.mean(dim=0)) / views.std(dim=0)")),
        "standard",
        "scale",
        "std",
        "divid",
    ),
    wrong(edited(GIVEN, ("vni,vnj->nij", "vni,wnj->nij")), "zero", "same view", "cross", "vanish", "sum over"),
    wrong(
        edited(
            GIVEN,
            ("v, n, d = views.shape", "n, v, d = views.shape"),
            ("views.mean(dim=0)", "views.mean(dim=1, keepdim=True)"),
            ("vni,vnj->nij", "nvi,nvj->nij"),
        ),
        "(V, N, D)",
        "shape",
        "views",
        "first",
        "axis",
        "dim",
    ),
    wrong(
        given(
            """
            around = views - views.mean(dim=0)
            each = []
            for n in range(views.shape[1]):
                for v in range(len(views)):
                    c = torch.outer(around[v, n], around[v, n]) / (len(views) - 1)
                each.append(c)
            each = torch.stack(each)
            return each.mean(dim=0) if pooled else each
            """
        ),
        "last",
        "+=",
        "sum",
        "add",
        "overwrit",
        misleading=(*RATIO, "V - 1"),
    ),
]
RIGHT += [
    right(GIVEN),
    right(
        given(
            """
            each = torch.stack([torch.cov(views[:, n].T).reshape(views.shape[2], -1) for n in range(views.shape[1])])
            return each.mean(dim=0) if pooled else each
            """
        )
    ),
    right(
        given(
            """
            x = (views - views.mean(0, keepdim=True)).transpose(0, 1)
            each = x.mT @ x / (len(views) - 1)
            return each.sum(0) / len(each) if pooled else each
            """
        )
    ),
    right(
        given(
            """
            v, n, d = views.shape
            each = []
            for k in range(n):
                mean = sum(views[a, k] for a in range(v)) / v
                c = 0
                for a in range(v):
                    c = c + torch.outer(views[a, k] - mean, views[a, k] - mean)
                each.append(c / (v - 1))
            each = torch.stack(each)
            if pooled:
                return each.mean(dim=0)
            return each
            """
        )
    ),
    right(
        given(
            """
            v = len(views)
            x = views - views.mean(0)
            each = (x[..., :, None] * x[..., None, :]).sum(0) / (v - 1)
            return torch.mean(each, 0) if pooled else each
            """
        )
    ),
    right(
        given(
            """
            v, n, d = views.shape
            x = views - views.mean(0)
            if pooled:
                x = x.reshape(v * n, d)
                return x.T @ x / (n * (v - 1))
            return torch.einsum('vni,vnj->nij', x, x) / (v - 1)
            """
        )
    ),
    right(
        given(
            """
            v = views.shape[0]
            each = 0
            for a in range(v):
                for b in range(a):
                    d = views[a] - views[b]
                    each = each + torch.einsum('ni,nj->nij', d, d) / (v * (v - 1))
            return each.mean(0) if pooled else each
            """
        )
    ),
]

# --- on what they are compared ---------------------------------------------------------------------------------------


def leaf(generator: Generator, *shape: int) -> Tensor:
    """Shifted and stretched a little, so that centring and scaling show."""
    return (torch.randn(shape, generator=generator, dtype=torch.float64) * 1.3 + 0.4).requires_grad_()


def table(generator: Generator, *shape: int, hole: bool = False) -> Tensor:
    """Probabilities; with a hole, one of them is 0 (jemlib gives it the gradient 0, others infinity: no gradient)."""
    p = torch.rand(*shape, generator=generator, dtype=torch.float64) + 0.05
    if hole:
        p.flatten()[1] = 0
    return (p / p.sum()).requires_grad_(not hole)


def distributions(generator: Generator) -> list[tuple[Any, ...]]:
    rare = torch.tensor([1e-5, 0.3, 0.7 - 1e-5], dtype=torch.float64)
    return [(table(generator, 5),), (table(generator, 3, 4), 2), (table(generator, 6, hole=True), 3), (rare,)]


def tables(generator: Generator) -> list[tuple[Any, ...]]:
    shapes = ((3, 4), (4, 2))
    return [
        *((table(generator, *s), 2) for s in shapes),
        (table(generator, 3, 5),),
        (table(generator, 3, 4, hole=True),),
    ]


def chains(generator: Generator) -> list[tuple[Any, ...]]:
    cases = []
    for x, y, z, *rest in ((3, 4, 5, 1.7), (2, 4, 3, 0.6, 2)):
        # Without a gradient: two right ways may differ in it along a change that leaves the rows' sums not 1.
        encoder = leaf(generator, y, z).detach().softmax(dim=1)
        cases.append((table(generator, x, y).detach(), encoder, *rest))
    return cases


def entropies(generator: Generator) -> list[tuple[Any, ...]]:
    return [(leaf(generator), leaf(generator), beta) for beta in (0.4, 1.7, 3.0)]


def covariances(generator: Generator) -> list[tuple[Any, ...]]:
    sizes = ((3, 1.0), (5, 0.3), (300, 1e-3))
    factors = [(leaf(generator, d, d + 4).detach() * scale, scale) for d, scale in sizes]
    return [((x @ x.T / len(x) + scale**2 * torch.eye(len(x))).requires_grad_(),) for x, scale in factors]


def batches(generator: Generator) -> list[tuple[Any, ...]]:
    return [(leaf(generator, 7, 3),), (leaf(generator, 6, 4), 0.3)]


def view_stacks(generator: Generator) -> list[tuple[Any, ...]]:
    return [(leaf(generator, 2, 5, 3),), (leaf(generator, 4, 3, 2),), (leaf(generator, 3, 4, 3), False)]


INPUTS = {
    "entropy": distributions,
    "mutual_information_loop": tables,
    "conditional_entropy": tables,
    "information_bottleneck": chains,
    "bottleneck_over_beta": entropies,
    "log_determinant_term": covariances,
    "gaussian_entropy": batches,
    "conditional_covariance": view_stacks,
}
