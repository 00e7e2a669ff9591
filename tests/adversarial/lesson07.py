"""Answers to the exercises of lesson 07: the bound, mixtures, concentration, ProtoNCE, and agreement."""

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

AXIS = ("dim", "axis", "axes", "row", "column", "along", "over the prototypes", "over the samples", "transpos")
SHAPE = ("shape", "dim", "keepdim", "(N,)", "one number", "scalar")
SIGN = ("sign", "minus", "negative", "-1", "right one times -1")
ZERO = ("0 log 0", "zero", "nan", "log 0", "log(0)", "entr", "xlogy", "finite")
EPS = ("1e-", "eps", "small number", "small constant", "added", "adds", "offset", "zero")
BASE = ("base", "log2", "log10", "natural", "nat")
LOOP = (
    "last",
    "first row",
    "first column",
    "range",
    "left out",
    "leave it out",
    "leaves out",
    "missing",
    "skip",
    "ends",
    "stops",
    "starts",
)
OVERWRITTEN = ("last", "overwrit", "anew", "+=", "accumulat")
MEAN = ("mean", "sum", "divi", "factor", "times the right", "right one times", "average")
ORDER = ("order", "swap", "position", "outputs", "permut", "exchang")

# --- log_evidence ---------------------------------------------------------------------------------------------------


def evidence(body: str) -> str:
    return function("log_evidence(log_joint)", body)


WRONG += [
    wrong(evidence("return torch.log(torch.exp(log_joint).sum(dim=1))"), *OVERFLOW, "underflow", "far below", "-inf"),
    wrong(evidence("return torch.logsumexp(log_joint, dim=0)"), *AXIS),
    wrong(evidence("return log_joint.sum(dim=1)"), "exp", "log of", "logsumexp", "sum of the log", "product"),
    wrong(evidence("return torch.exp(log_joint).sum(-1)"), "log", "logarithm"),
    wrong(
        evidence("n, K = log_joint.shape\nreturn torch.logsumexp(log_joint, 1) - math.log(K)"),
        "mean",
        "log K",
        "log(K)",
        "sum",
        "prior",
        "constant",
        "divi",
    ),
    wrong(evidence("return log_joint.max(dim=1).values"), "max", "largest", "all prototypes", "sum"),
    wrong(
        evidence("return log_joint.logsumexp(dim=(0, 1))"),
        *AXIS,
        *SHAPE,
        "each sample",
        misleading=(*RATIO, "not depend on log_joint"),
    ),
    wrong(evidence("return log_joint.logsumexp(dim=1, keepdim=True)"), *SHAPE),
    wrong(evidence("return -torch.logsumexp(log_joint, dim=1)"), *SIGN, misleading=()),
    wrong(evidence("return torch.logsumexp(log_joint, dim=1) / math.log(2)"), *BASE, *FACTOR, misleading=()),
    wrong(evidence("return torch.logsumexp(log_joint.detach(), dim=1)"), *CUT),
    wrong(evidence("return torch.logsumexp(log_joint.float(), dim=1).double()"), *FLOAT32),
    wrong(
        evidence(
            """
            top = log_joint.amax(dim=1, keepdim=True)
            log_joint -= top
            return log_joint.exp().sum(dim=1).log() + top.squeeze(1)
            """
        ),
        *IN_PLACE,
    ),
    wrong(
        evidence(
            """
            m = log_joint.max(dim=1, keepdim=True).values
            return torch.log(torch.exp(log_joint - m).sum(dim=1))
            """
        ),
        "add",
        "back",
        "max",
        "top",
        "term",
        "shift",
    ),
    wrong(
        evidence("m = log_joint.max()\nreturn m + torch.log(torch.exp(log_joint - m).sum(dim=1))"),
        *OVERFLOW,
        "underflow",
        "each row",
        "own max",
        "-inf",
        "far below",
    ),
    wrong(
        evidence(
            """
            N, K = log_joint.shape
            out = log_joint[:, 0]
            for k in range(1, K - 1):
                out = torch.logaddexp(out, log_joint[:, k])
            return out
            """
        ),
        *LOOP,
    ),
    wrong(
        evidence(
            """
            total = torch.zeros_like(log_joint[:, 0])
            for column in log_joint.unbind(dim=1):
                total = torch.logaddexp(total, column)
            return total
            """
        ),
        "start",
        "begin",
        "zero",
        "one more",
        "added",
        "extra",
        "initial",
        "-inf",
        "1 +",
        "log1p",
    ),
    wrong(
        evidence("p = torch.softmax(log_joint, dim=1)\nreturn p.sum(dim=1).log()"),
        "softmax",
        "normalis",
        "sum to 1",
        misleading=(*RATIO, "loop", "centred"),
    ),
    wrong(evidence("return (log_joint.exp().sum(1) + 1e-8).log()"), *EPS, *OVERFLOW, "far below"),
    wrong(evidence("return torch.logsumexp(log_joint, dim=1).mean()"), *SHAPE, "mean", "each sample"),
    wrong(
        evidence("return torch.tensor([math.log(sum(math.exp(x) for x in row)) for row in log_joint.tolist()])"),
        *CUT,
        *OVERFLOW,
        *FLOAT32,
        "math domain",
        "log 0",
        "log(0)",
    ),
]
RIGHT += [
    right(
        evidence("top, _ = log_joint.detach().max(dim=1)\nreturn top + (log_joint - top[:, None]).exp().sum(1).log()")
    ),
    right(evidence("out = log_joint[:, 0]\nfor c in log_joint.T[1:]:\n    out = torch.logaddexp(out, c)\nreturn out")),
    right(evidence("return torch.stack([torch.logsumexp(row, 0) for row in log_joint])")),
    right(evidence("return log_joint[:, 0] - torch.log_softmax(log_joint, dim=-1)[:, 0]")),
    right(evidence("return log_joint.T.logsumexp(0)")),
]

# --- elbo -----------------------------------------------------------------------------------------------------------


def bound(body: str) -> str:
    return function("elbo(log_joint, q)", body)


ELBO = bound("entropy = torch.special.entr(q)\nreturn (q * log_joint + entropy).sum(dim=1)")
ELBO_LOOP = bound(
    """
    N, K = log_joint.shape
    result = []
    for i in range(N):
        total = 0.0
        for j in range(K):
            if q[i, j] > 0:
                total = total + q[i, j] * (log_joint[i, j] - torch.log(q[i, j]))
        result.append(total)
    return torch.stack(result)
    """
)

WRONG += [
    wrong(bound("return (q * (log_joint - q.log())).sum(dim=1)"), *ZERO),
    wrong(bound("return (q * (log_joint - torch.log(q + 1e-6))).sum(1)"), *EPS),
    wrong(edited(ELBO, ("+ entropy", "- entropy")), *SIGN, "entropy"),
    wrong(edited(ELBO, (" + entropy", "")), "entropy", "log Q", "log q", "divid"),
    wrong(
        bound("return (log_joint + torch.special.entr(q)).sum(dim=1)"),
        "weigh",
        "expect",
        "times q",
        "multipl",
        "factor",
    ),
    wrong(
        bound("return torch.where(q > 0, log_joint - torch.log(q.clamp(min=1e-300)), 0.0).sum(dim=1)"),
        "weigh",
        "expect",
        "times q",
        "multipl",
        "factor q",
    ),
    wrong(bound("return log_evidence(log_joint)"), "log p(x)", "evidence", "jensen", "depend", "inside", "q"),
    wrong(
        bound("ratio = log_joint.exp() / q\nreturn torch.log((q * ratio).sum(dim=1))"),
        "log of",
        "log p(x)",
        "evidence",
        "jensen",
        "inside",
        "overflow",
    ),
    wrong(edited(ELBO, ("dim=1", "dim=0")), *AXIS),
    wrong(edited(ELBO, (".sum(dim=1)", ".mean(dim=1)")), *MEAN, misleading=()),
    wrong(edited(ELBO, (".sum(dim=1)", ".sum(dim=1).mean()")), *SHAPE, "mean", "each sample"),
    wrong(edited(ELBO, ("q * log_joint", "q * log_joint.exp()")), "exp", "log p", "logarithm"),
    wrong(
        edited(ELBO, ("q * log_joint", "torch.softmax(log_joint, dim=1) * log_joint")),
        "posterior",
        "softmax",
        "q",
        "weigh",
    ),
    wrong(bound("return (torch.xlogy(q, q) - q * log_joint).sum(dim=1)"), *SIGN, misleading=()),
    wrong(edited(ELBO, ("torch.special.entr(q)", "torch.special.entr(q) / math.log(2)")), *BASE, "entropy", "factor"),
    wrong(
        bound("p = q.softmax(dim=1)\nreturn (p * (log_joint - p.log())).sum(dim=1)"),
        "softmax",
        "already",
        "sum to 1",
        misleading=(*RATIO, "over the columns"),
    ),
    wrong(edited(ELBO, ("q * log_joint", "q * log_joint.detach()")), *CUT),
    wrong(bound("lj, w = log_joint.float(), q.float()\nreturn (w * lj + torch.special.entr(w)).sum(1)"), *FLOAT32),
    wrong(bound("q.clamp_(min=1e-30)\nreturn (q * (log_joint - q.log())).sum(dim=1)"), *IN_PLACE),
    wrong(edited(ELBO_LOOP, ("total = total + q", "total = q")), *OVERWRITTEN),
    wrong(edited(ELBO_LOOP, ("range(K)", "range(K - 1)")), *LOOP),
    wrong(
        bound(
            """
            log_p = log_joint - torch.logsumexp(log_joint, dim=1, keepdim=True)
            return (torch.xlogy(q, q) - q * log_p).sum(dim=1)
            """
        ),
        "gap",
        "KL",
        "divergence",
        "minus",
        "sign",
    ),
    wrong(
        bound("log_p = log_joint.log_softmax(dim=1)\nreturn (q * log_p + torch.special.entr(q)).sum(dim=1)"),
        "posterior",
        "gap",
        "KL",
        "softmax",
        "log p(x",
        "evidence",
        "normalis",
        misleading=(*RATIO, "over the columns"),
    ),
]
RIGHT += [
    right(ELBO_LOOP),
    right(bound("return (q * log_joint - torch.xlogy(q, q)).sum(-1)")),
    right(bound("safe = torch.where(q == 0, 1.0, q)\nreturn torch.einsum('nk,nk->n', q, log_joint - safe.log())")),
    right(bound("return (q @ log_joint.T).diagonal() + torch.special.entr(q).sum(dim=1)")),
    right(
        bound(
            """
            log_p = torch.log_softmax(log_joint, dim=1)
            gap = (torch.xlogy(q, q) - q * log_p).sum(dim=1)
            return log_evidence(log_joint) - gap
            """
        )
    ),
]

# --- posterior ------------------------------------------------------------------------------------------------------


def bayes(body: str) -> str:
    return function("posterior(log_joint)", body)


WRONG += [
    wrong(bayes("return torch.softmax(log_joint, dim=0)"), *AXIS),
    wrong(
        bayes("joint = log_joint.exp()\nreturn joint / joint.sum(dim=1, keepdim=True)"), *OVERFLOW, "underflow", "0/0"
    ),
    wrong(bayes("return F.log_softmax(log_joint, dim=1)"), "log", "exp"),
    wrong(
        bayes("return F.one_hot(log_joint.argmax(dim=1), log_joint.shape[1]).to(log_joint)"),
        "hard",
        "soft",
        "one-hot",
        "one hot",
        "k-means",
        "largest",
        "argmax",
        "0 or 1",
    ),
    wrong(bayes("return log_joint.exp()"), "normalis", "sum to 1", "divid", "evidence", "p(x)"),
    wrong(bayes("return log_joint / log_joint.sum(dim=1, keepdim=True)"), "exp", "log"),
    wrong(bayes("return torch.softmax(log_joint.flatten(), 0).view_as(log_joint)"), "sum to 1", "all", *AXIS),
    wrong(bayes("return torch.softmax(-log_joint, dim=1)"), *SIGN),
    wrong(bayes("joint = log_joint.exp()\nreturn joint / joint.sum(dim=1)"), "keepdim", "broadcast", *SHAPE),
    wrong(bayes("return torch.softmax(log_joint.detach(), dim=1)"), *CUT),
    wrong(bayes("return torch.softmax(log_joint, dim=1, dtype=torch.float32).to(log_joint.dtype)"), *FLOAT32),
    wrong(
        bayes("log_joint -= log_joint.logsumexp(dim=1, keepdim=True)\nreturn log_joint.exp()"),
        *IN_PLACE,
    ),
    wrong(
        bayes("e = torch.exp(log_joint - log_joint.max())\nreturn e / e.sum(dim=1, keepdim=True)"),
        *OVERFLOW,
        "underflow",
        "each row",
        "own max",
        "0/0",
    ),
    wrong(
        bayes("return torch.exp(log_joint - log_joint.amax(dim=1, keepdim=True))"),
        "sum to 1",
        "normalis",
        "divid",
        "max",
        "largest",
    ),
    wrong(
        bayes("return F.normalize(torch.exp(log_joint), dim=1)"), "sum to 1", "length", "divid", "root", "p=1", "square"
    ),
    wrong(
        bayes("e = log_joint.exp()\nreturn e / (e.sum(dim=1, keepdim=True) + 1e-6)"),
        *EPS,
        *OVERFLOW,
        "sum to 1",
        "divid",
    ),
    wrong(bayes("return torch.sigmoid(log_joint)"), "sigmoid", "sum to 1", "softmax", "normalis"),
    wrong(bayes("return torch.softmax(log_joint, dim=1).T"), "transpos", *SHAPE),
    wrong(bayes("return torch.softmax(log_joint.exp(), dim=1)"), "exp", "already", "log", "twice"),
    wrong(
        bayes(
            """
            out = torch.zeros_like(log_joint)
            n, k = log_joint.shape
            for i in range(n):
                m = log_joint[i].max()
                below = sum(torch.exp(log_joint[i, j] - m) for j in range(1, k))
                for j in range(k):
                    out[i, j] = torch.exp(log_joint[i, j] - m) / below
            return out
            """
        ),
        *LOOP,
        "sum to 1",
    ),
    wrong(
        bayes("n, k = log_joint.shape\nreturn torch.exp(log_joint - log_evidence(log_joint)[:, None]) / k"),
        "sum to 1",
        "prior",
        "K",
        *FACTOR,
        misleading=(),
    ),
]
RIGHT += [
    right(bayes("return torch.exp(log_joint - log_evidence(log_joint)[:, None])")),
    right(bayes("e = (log_joint - log_joint.amax(dim=1, keepdim=True)).exp()\nreturn e / e.sum(dim=1)[:, None]")),
    right(bayes("return torch.stack([row.log_softmax(-1).exp() for row in log_joint])")),
    right(
        bayes(
            """
            n, k = log_joint.shape
            columns = []
            for j in range(k):
                columns.append(1 / torch.exp(log_joint - log_joint[:, j : j + 1]).sum(dim=1))
            return torch.stack(columns, dim=1)
            """
        )
    ),
]

# --- mixture_log_joint ----------------------------------------------------------------------------------------------


def gaussians(body: str) -> str:
    return function("mixture_log_joint(v, centres, sigma, normalizer=True)", body)


GAUSSIANS = gaussians(
    """
    K, D = centres.shape
    var = sigma**2
    sq = ((v.unsqueeze(1) - centres.unsqueeze(0)) ** 2).sum(dim=-1)
    out = -math.log(K) - sq / (2 * var)
    if normalizer:
        out = out - 0.5 * D * torch.log(2 * math.pi * var)
    return out
    """
)
GAUSSIANS_LOOP = gaussians(
    """
    n, d = v.shape
    k = len(centres)
    rows = []
    for i in range(n):
        row = []
        for j in range(k):
            diff = v[i] - centres[j]
            value = -torch.dot(diff, diff) / (2 * sigma[j] ** 2) - math.log(k)
            if normalizer:
                value = value - d * torch.log(sigma[j]) - d / 2 * math.log(2 * math.pi)
            row.append(value)
        rows.append(torch.stack(row))
    return torch.stack(rows)
    """
)
PRIOR = ("prior", "log K", "log(K)", "-log K", "1/K", "uniform", "constant")

WRONG += [
    wrong(edited(GAUSSIANS, ("-math.log(K) - sq", "-sq")), *PRIOR),
    wrong(edited(GAUSSIANS, ("-math.log(K)", "math.log(K)")), *PRIOR, "sign", "minus"),
    wrong(edited(GAUSSIANS, ("-math.log(K)", "-math.log(len(v))")), *PRIOR, "N"),
    wrong(edited(GAUSSIANS, ("-math.log(K)", "1 / K")), *PRIOR),
    wrong(edited(GAUSSIANS, ("sq / (2 * var)", "sq / var")), "2", "half", "two", "factor", "exponent"),
    wrong(edited(GAUSSIANS, ("sq / (2 * var)", "sq / (2 * sigma)")), "sigma", "square", "variance"),
    wrong(edited(GAUSSIANS, ("sq / (2 * var)", "sq.sqrt() / (2 * var)")), "square", "distance", "norm"),
    wrong(edited(GAUSSIANS, ("    if normalizer:\n        out =", "    out =")), "normalizer", "normaliser"),
    wrong(edited(GAUSSIANS, ("if normalizer", "if not normalizer")), "normalizer", "normaliser"),
    wrong(edited(GAUSSIANS, ("0.5 * D * ", "0.5 * ")), "D", "dimension", "normalizer", "normaliser"),
    wrong(edited(GAUSSIANS, ("0.5 * D * ", "D * ")), "half", "2", "two", "normalizer", "normaliser"),
    wrong(edited(GAUSSIANS, ("math.pi * var", "math.pi * sigma")), "square", "sigma", "variance", "normalizer"),
    wrong(edited(GAUSSIANS, ("2 * math.pi * var", "2 * var")), "pi", "normalizer", "normaliser", "constant"),
    wrong(edited(GAUSSIANS, ("out - 0.5", "out + 0.5")), "sign", "minus", "normalizer", "normaliser"),
    wrong(edited(GAUSSIANS, ("0.5 * D", "0.5 * K")), "D", "K", "dimension", "normalizer"),
    wrong(edited(GAUSSIANS, ("K, D = centres.shape", "D, K = centres.shape")), "K", "D", "dimension", "swap", "shape"),
    wrong(edited(GAUSSIANS, ("sum(dim=-1)", "mean(dim=-1)")), "mean", "sum", "D", "dimension"),
    wrong(edited(GAUSSIANS, ("var = sigma**2", "var = (sigma**2)[:, None]")), *SHAPE, "broadcast", "column", "row"),
    wrong(edited(GAUSSIANS, ("return out", "return out.exp()")), "log", "exp"),
    wrong(edited(GAUSSIANS, ("return out", "return out.T")), "transpos", *SHAPE),
    wrong(
        edited(GAUSSIANS, ("centres.unsqueeze(0)", "centres.detach().unsqueeze(0)")),
        *CUT,
    ),
    wrong(edited(GAUSSIANS, ("sigma**2", "sigma.float() ** 2")), *FLOAT32),
    wrong(edited(GAUSSIANS, ("sigma**2", "sigma.mul_(sigma)")), *IN_PLACE),
    wrong(
        gaussians(
            """
            k, d = centres.shape
            log_p = -torch.cdist(v, centres) ** 2 / (2 * sigma**2)
            if normalizer:
                log_p = log_p - math.log(k) - d / 2 * torch.log(2 * math.pi * sigma**2)
            return log_p
            """
        ),
        *PRIOR,
        "normalizer",
        "normaliser",
    ),
    wrong(
        gaussians(
            """
            k, d = centres.shape
            cross = v @ centres.T
            squares = (v * v).sum(1)[:, None] + (centres * centres).sum(1) - cross
            out = -math.log(k) - squares / (2 * sigma**2)
            return out - d / 2 * (2 * math.pi * sigma**2).log() if normalizer else out
            """
        ),
        "twice",
        "2 v",
        "factor 2",
        "|v - c|",
        "square",
        "distance",
    ),
    wrong(
        gaussians(
            """
            k, d = centres.shape
            out = -math.log(k) - (1 - v @ centres.T) / sigma**2
            return out - d / 2 * (2 * math.pi * sigma**2).log() if normalizer else out
            """
        ),
        "unit",
        "length",
        "distance",
        "square",
        "normalis",
    ),
    wrong(
        edited(GAUSSIANS_LOOP, ("sigma[j] ** 2", "sigma[0] ** 2")),
        "sigma",
        "own",
        "each",
        misleading=(*RATIO, "The result of `-`"),
    ),
    wrong(
        edited(GAUSSIANS_LOOP, ("d * torch.log(sigma[j])", "d / 2 * torch.log(sigma[j])")),
        "sigma",
        "square",
        "half",
        "normalizer",
        "normaliser",
        "2",
    ),
]
RIGHT += [
    right(GAUSSIANS_LOOP),
    right(
        gaussians(
            """
            k, d = centres.shape
            squares = v.square().sum(1, keepdim=True) - 2 * v @ centres.T + centres.square().sum(1)
            out = -squares / sigma.square() / 2 - math.log(k)
            return out - d * torch.log(sigma * math.sqrt(2 * math.pi)) if normalizer else out
            """
        )
    ),
    right(
        gaussians(
            """
            k, d = centres.shape
            z = (v[:, None] - centres) / sigma[:, None]
            out = -0.5 * torch.einsum("nkd,nkd->nk", z, z) + math.log(1 / k)
            return out - normalizer * d * (0.5 * math.log(2 * math.pi) + sigma.log())
            """
        )
    ),
    right(
        gaussians(
            """
            cloud = torch.distributions.Normal(centres, sigma[:, None].expand_as(centres))
            out = cloud.log_prob(v[:, None, :]).sum(dim=2) - np.log(len(centres))
            if not normalizer:
                out = out + v.shape[1] / 2 * torch.log(2 * np.pi * sigma**2)
            return out
            """
        )
    ),
]

# --- mixture_m_step -------------------------------------------------------------------------------------------------


def m_step(body: str) -> str:
    return function("mixture_m_step(v, q)", body)


M_STEP = m_step(
    """
    n, d = v.shape
    weight = q.sum(0)
    mu = (q.T @ v) / weight.unsqueeze(1)
    sq = ((v.unsqueeze(1) - mu) ** 2).sum(-1)
    var = (q * sq).sum(0) / (d * weight)
    return mu, var.sqrt()
    """
)
M_STEP_LOOP = m_step(
    """
    N, D = v.shape
    K = q.shape[1]
    centres, sigmas = [], []
    for j in range(K):
        total, mass = 0, 0
        for i in range(N):
            total = total + q[i, j] * v[i]
            mass = mass + q[i, j]
        c = total / mass
        spread = 0
        for i in range(N):
            spread = spread + q[i, j] * ((v[i] - c) ** 2).sum()
        centres.append(c)
        sigmas.append((spread / (D * mass)) ** 0.5)
    return torch.stack(centres), torch.stack(sigmas)
    """
)

WRONG += [
    wrong(edited(M_STEP, ("/ weight.unsqueeze(1)", "/ n")), "N", "mass", "divid", "sum of q", "Q_ij", "centre"),
    wrong(edited(M_STEP, ("/ weight.unsqueeze(1)", "")), "divid", "mass", "sum", "mean", "normalis"),
    wrong(edited(M_STEP, ("(d * weight)", "weight")), "D", "dimension", "sqrt", "factor"),
    wrong(edited(M_STEP, ("(d * weight)", "d")), "mass", "divid", "sum", "Q", "sigma"),
    wrong(edited(M_STEP, ("var.sqrt()", "var")), "root", "sqrt", "variance", "square"),
    wrong(
        edited(M_STEP, ("(d * weight)", "weight"), ("var.sqrt()", "var.sqrt() / d")),
        "root",
        "sqrt",
        "D",
        "dimension",
        misleading=("the mean instead",),  # the root of D is a factor
    ),
    wrong(edited(M_STEP, ("v.unsqueeze(1) - mu", "v.unsqueeze(1) - v.mean(0)")), "centre", "mean", "own"),
    wrong(
        edited(M_STEP, ("weight = q", "q = F.one_hot(q.argmax(1), q.shape[1]).to(v)\nweight = q"), ("\nw", "\n    w")),
        "hard",
        "argmax",
        "one-hot",
        "soft",
        "share",
        "weigh",
    ),
    wrong(edited(M_STEP, ("return mu, var.sqrt()", "return var.sqrt(), mu")), *ORDER),
    wrong(edited(M_STEP, ("weight = q.sum(0)", "weight = q.sum(1)")), *SHAPE, *AXIS, "broadcast"),
    wrong(
        edited(M_STEP, ("(d * weight)", "(d * (weight - 1))")), "N - 1", "- 1", "unbiased", "minus 1", "mass", "divi"
    ),
    wrong(edited(M_STEP, ("(q * sq).sum(0) / (d * weight)", "sq.mean(0) / d")), "weigh", "q", "sigma"),
    wrong(
        edited(M_STEP, ("(q * sq).sum(0) / (d * weight)", "((q * sq).sum() / (d * n)).expand(len(mu))")),
        "own sigma",
        "each prototype",
        "one sigma",
        "each component",
        "shared",
        "expand",
        misleading=(*RATIO, "standard deviation", "each dimension"),
    ),
    wrong(edited(M_STEP, ("weight = q", "q = q.detach()\n    weight = q")), *CUT),
    wrong(edited(M_STEP, ("q.T @ v", "q.T.float() @ v.float()")), *FLOAT32),
    wrong(
        m_step(
            """
            d = v.shape[1]
            q /= q.sum(dim=0)
            c = q.T @ v
            s = torch.einsum("nk,nkd->k", q, (v[:, None] - c) ** 2) / d
            return c, torch.sqrt(s)
            """
        ),
        *IN_PLACE,
    ),
    wrong(edited(M_STEP, (".sum(-1)", ".sum(-1).sqrt()")), "square", "distance", "norm"),
    wrong(
        edited(M_STEP, ("mu = (q.T @ v) / weight.unsqueeze(1)", "mu = F.normalize(q.T @ v, dim=1)")),
        "unit",
        "length",
        "normalis",
        "divid",
        "mass",
        "mean",
    ),
    wrong(
        edited(M_STEP, ("weight = q.sum(0)", "q = q.softmax(dim=1)\n    weight = q.sum(0)")),
        "softmax",
        "already",
        "sum to 1",
    ),
    wrong(edited(M_STEP, ("(q * sq).sum(0)", "(q**2 * sq).sum(0)")), "square", "q", "twice", "weigh"),
    wrong(edited(M_STEP, ("return mu,", "return mu.T,")), "transpos", *SHAPE),
    wrong(
        m_step(
            """
            m = q.sum(dim=0)[:, None]
            c = q.T @ v / m
            per_dim = q.T @ v**2 / m - c**2
            return c, per_dim.sqrt()
            """
        ),
        *SHAPE,
        "one sigma",
        "each dimension",
    ),
    wrong(
        m_step(
            """
            m = q.sum(dim=0)
            c = q.T @ v / m[:, None]
            per_dim = q.T @ v**2 / m[:, None] - c**2
            return c, per_dim.sqrt().mean(dim=1)
            """
        ),
        "root",
        "sqrt",
        "mean of",
        "dimension",
        "variance",
    ),
    wrong(edited(M_STEP, ("q.sum(0)", "q.sum(0) + 1e-6")), *EPS),
    wrong(
        edited(M_STEP_LOOP, ("            mass = mass + q[i, j]", "        mass = mass + q[i, j]")),
        "mass",
        "last",
        "loop",
        "indent",
        "once",
        misleading=(*RATIO, "The result of `*`"),
    ),
    wrong(edited(M_STEP_LOOP, ("range(N)", "range(N - 1)")), *LOOP),
]
RIGHT += [
    right(M_STEP_LOOP),
    right(
        m_step(
            """
            w = q / q.sum(dim=0, keepdim=True)
            c = torch.einsum("nk,nd->kd", w, v)
            variance = torch.einsum("nk,nd->k", w, v**2) - (c * c).sum(dim=1)
            return c, torch.sqrt(variance / v.shape[1])
            """
        )
    ),
    right(
        m_step(
            """
            w = q / q.sum(0)
            c = w.t().mm(v)
            far = torch.cdist(v, c.detach())  # the derivative by c is zero at the mean
            return c, ((w * far**2).sum(0) / v.size(1)).pow(0.5)
            """
        )
    ),
    right(
        m_step(
            """
            c = (q[:, :, None] * v[:, None, :]).sum(0) / q.sum(0)[:, None]
            var = (q[:, :, None] * (v[:, None] - c[None]) ** 2).sum(0) / q.sum(0)[:, None]
            return [c, var.mean(dim=1).sqrt()]
            """
        )
    ),
]

# --- dropped_factor_error -------------------------------------------------------------------------------------------


def dropped(body: str) -> str:
    return function("dropped_factor_error(cosines, phi)", body)


DROPPED = dropped(
    """
    p = F.softmax((cosines - 1) / phi, dim=1)
    q = F.softmax(cosines / phi, dim=1)
    return (p - q).abs().max()
    """
)
ERROR = ("absolute", "abs", "largest", "max")

WRONG += [
    wrong(edited(DROPPED, ("dim=1", "dim=0")), *AXIS),
    wrong(edited(DROPPED, (".max()", ".mean()")), "mean", "largest", "max"),
    wrong(edited(DROPPED, (".abs().max()", ".max()")), "abs", "sign", "negative"),
    wrong(edited(DROPPED, ("(p - q).abs().max()", "(p - q).max().abs()")), "abs", "order", "sign", "negative"),
    wrong(edited(DROPPED, (".max()", ".max(dim=1).values")), *SHAPE, "all entries"),
    wrong(edited(DROPPED, (".max()", ".sum(dim=1).max() / 2")), "sum", "entr", "variation", "largest"),
    wrong(edited(DROPPED, (".abs().max()", ".square().max()")), "square", "abs"),
    wrong(edited(DROPPED, (".abs().max()", ".norm()")), "norm", "square", *ERROR),
    wrong(edited(DROPPED, (" / phi", " * phi")), "divid", "multipl", "phi", "temperature"),
    wrong(edited(DROPPED, (" / phi", " / phi[:, None]")), *SHAPE, "broadcast", "column", "row"),
    wrong(edited(DROPPED, ("softmax", "log_softmax")), "log", "probabilit"),
    wrong(
        dropped("exact = (cosines - 1) / phi\nreturn (exact - cosines / phi).abs().max()"),
        "softmax",
        "probabilit",
        "normalis",
    ),
    wrong(
        dropped("return (torch.exp((cosines - 1) / phi) - torch.exp(cosines / phi)).abs().max()"),
        "softmax",
        "probabilit",
        "normalis",
        "sum to 1",
        *OVERFLOW,
        misleading=(*RATIO, "loop"),
    ),
    wrong(edited(DROPPED, ("(cosines - 1) / phi", "(1 - cosines) / phi")), "sign", "minus", "- 1", "1 -", "swap"),
    wrong(
        edited(DROPPED, ("(cosines - 1) / phi", "cosines / phi - 1")),
        "bracket",
        "parenthes",
        "divid",
        "1/phi",
        "cancel",
        "constant",
        misleading=(*RATIO, "softmax runs"),
    ),
    wrong(edited(DROPPED, ("(cosines - 1) / phi", "(cosines - 1) / (2 * phi)")), "2", "two", "half", "phi"),
    wrong(edited(DROPPED, ("/ phi", "/ phi**2")), "square", "phi", "sigma"),
    wrong(edited(DROPPED, ("(cosines - 1)", "(cosines + 1)")), "sign", "- 1", "minus", "+ 1"),
    wrong(edited(DROPPED, ("(p - q).abs()", "((p - q) / p).abs()")), "relative", "divid", "absolute"),
    wrong(edited(DROPPED, ("(p - q).abs().max()", "(p - q).abs().max().item()")), *CUT),
    wrong(edited(DROPPED, ("(cosines - 1) / phi", "((cosines - 1) / phi).float()")), *FLOAT32),
    wrong(
        dropped(
            """
            q = torch.softmax(cosines / phi, dim=-1)
            cosines -= 1
            p = torch.softmax(cosines / phi, dim=-1)
            return torch.max(torch.abs(p - q))
            """
        ),
        *IN_PLACE,
    ),
    wrong(
        dropped(
            """
            a = torch.exp((cosines - 1) / phi)
            b = torch.exp(cosines / phi)
            return (a / a.sum(1, keepdim=True) - b / b.sum(1, keepdim=True)).abs().max()
            """
        ),
        *OVERFLOW,
    ),
    wrong(
        dropped(
            """
            worst = 0
            for row in cosines:
                exact = torch.softmax((row - 1) / phi, 0)
                rough = torch.softmax(row / phi, 0)
                worst = (exact - rough).abs().max()
            return worst
            """
        ),
        *OVERWRITTEN,
        "max",
        "largest",
        "all",
    ),
    wrong(
        dropped("return torch.exp(-1 / phi).max()"),
        "softmax",
        "depend on cosines",
        "probabilit",
        misleading=(*RATIO, "loop"),
    ),
]
RIGHT += [
    right(
        dropped(
            """
            worst = []
            for row in cosines:
                for a, b in zip(((row - 1) / phi).softmax(0), (row / phi).softmax(0)):
                    worst.append(abs(a - b))
            return max(worst)
            """
        )
    ),
    right(
        dropped(
            """
            z = cosines / phi
            rough = z.log_softmax(dim=-1).exp()
            exact = (z - 1 / phi).log_softmax(dim=-1).exp()
            return torch.maximum((exact - rough).max(), (rough - exact).max())
            """
        )
    ),
    right(
        dropped(
            """
            def soft(x):
                e = torch.exp(x - x.max(dim=1, keepdim=True)[0])
                return e / e.sum(dim=1, keepdim=True)
            return torch.linalg.vector_norm(soft((cosines - 1) / phi[None, :]) - soft(cosines / phi), ord=math.inf)
            """
        )
    ),
    right(dropped("return (posterior((cosines - 1) / phi) - posterior(cosines / phi)).abs().amax()")),
]

# --- raw_concentration ----------------------------------------------------------------------------------------------


def concentration(body: str) -> str:
    return function("raw_concentration(distances, assignments, num_clusters, alpha=10.0)", body)


PHI = concentration(
    """
    out = []
    for k in range(num_clusters):
        members = distances[assignments == k]
        Z = members.numel()
        out.append(members.sum() / (Z * math.log(Z + alpha)))
    return torch.stack(out)
    """
)
PHI_BINS = concentration(
    """
    sums = torch.zeros(num_clusters, dtype=distances.dtype).index_add(0, assignments, distances)
    Z = torch.bincount(assignments, minlength=num_clusters).to(distances)
    return sums / (Z * torch.log(Z + alpha))
    """
)

WRONG += [
    wrong(edited(PHI, ("math.log(Z + alpha)", "(math.log(Z) + alpha)")), "inside", "log(Z", "alpha", "bracket"),
    wrong(edited(PHI, ("math.log(Z + alpha)", "math.log(Z)")), "alpha"),
    wrong(edited(PHI, ("math.log(Z + alpha)", "math.log(Z + 10)")), "alpha", "setting", "ignor"),
    wrong(edited(PHI, ("math.log(Z + alpha)", "math.log(alpha)")), "Z", "member", "size", "number", "len", "term"),
    wrong(edited(PHI, ("math.log(Z + alpha)", "math.log(Z * alpha)")), "Z +", "add", "alpha", "plus"),
    wrong(
        edited(PHI, ("math.log(Z + alpha)", "math.log(len(distances) + alpha)")), "N", "cluster", "own", "member", "Z"
    ),
    wrong(edited(PHI_BINS, ("torch.log(", "torch.log10(")), *BASE, *FACTOR, misleading=()),
    wrong(edited(PHI, ("math.log(", "math.log1p(")), "log1p", "1 +", "+ 1", "alpha"),
    wrong(edited(PHI, ("math.log(Z + alpha)", "(Z + alpha)")), "log"),
    wrong(edited(PHI, ("(Z * math.log(Z + alpha))", "math.log(Z + alpha)")), "mean", "Z", "divi", "member", "number"),
    wrong(
        edited(PHI, ("(Z * math.log(Z + alpha))", "Z * math.log(Z + alpha)")), "bracket", "divid", "multipl", "parenth"
    ),
    wrong(edited(PHI, (" / (Z * math.log(Z + alpha))", " / Z")), "log"),
    wrong(edited(PHI, ("members.sum()", "members.square().sum()")), "square", "distance"),
    wrong(edited(PHI, ("members.sum() / (Z", "Z * members.square().mean().sqrt() / (Z")), "square", "root", "mean"),
    wrong(edited(PHI, ("members.sum() / (Z *", "members.median() / (1 *")), "median", "mean", "sum"),
    wrong(edited(PHI, ("members.sum() / (Z *", "members.max() / (1 *")), "max", "mean", "sum", "largest"),
    wrong(edited(PHI, ("(Z * math", "((Z - 1) * math")), "Z", "- 1", "unbiased", "mean", "minus 1"),
    wrong(edited(PHI, ("range(num_clusters)", "range(num_clusters - 1)")), *LOOP, *SHAPE),
    wrong(
        edited(PHI, ("range(num_clusters)", "range(1, num_clusters + 1)")),
        "from 0",
        "0",
        "first",
        "range",
        "nan",
        "off",
    ),
    wrong(edited(PHI, ("torch.stack(out)", "torch.stack(out)[assignments]")), *SHAPE, "each cluster", "each sample"),
    wrong(edited(PHI, ("torch.stack(out)", "1 / torch.stack(out)")), "invers", "reciproc", "divid", "1 /", "one over"),
    wrong(
        edited(PHI, ("return torch.stack(out)", "phi = torch.stack(out)\n    return phi / phi.mean() * 0.2")),
        "rescal",
        "mean",
        "tau",
        "scale",
        *FACTOR,
        misleading=(),
    ),
    wrong(
        edited(
            PHI,
            (
                "return torch.stack(out)",
                "phi = torch.stack(out)\n    return phi.clamp(phi.quantile(0.1), phi.quantile(0.9))",
            ),
        ),
        "clip",
        "clamp",
        "percentile",
        "quantile",
        "smallest",
        "largest",
    ),
    wrong(edited(PHI, ("members.sum() /", "members.sum().item() /"), ("torch.stack", "torch.tensor")), *CUT, *FLOAT32),
    wrong(
        concentration(
            """
            phi = torch.zeros(num_clusters)
            for j in range(num_clusters):
                own = distances[assignments == j]
                phi[j] = own.mean() / math.log(len(own) + alpha)
            return phi
            """
        ),
        *FLOAT32,
    ),
    wrong(
        concentration(
            """
            Z = torch.bincount(assignments, minlength=num_clusters)
            distances /= Z[assignments] * torch.log(Z[assignments] + alpha).to(distances)
            return torch.zeros(num_clusters).to(distances).scatter_add(0, assignments, distances)
            """
        ),
        *IN_PLACE,
        *FLOAT32,
    ),
    wrong(
        concentration(
            """
            phi = distances.new_zeros(num_clusters)
            size = torch.bincount(assignments, minlength=num_clusters)
            for d, a in zip(distances, assignments):
                phi[a] = d / (size[a] * torch.log(size[a] + alpha))
            return phi
            """
        ),
        *OVERWRITTEN,
        *FLOAT32,
    ),
    wrong(edited(PHI_BINS, ("torch.log(Z + alpha)", "math.log(num_clusters + alpha)")), "Z", "K", "member", "size"),
    wrong(
        concentration(
            """
            one_hot = F.one_hot(assignments, num_clusters).to(distances)
            Z = one_hot.sum(dim=0)
            return (distances[:, None] * one_hot).mean(dim=0) / torch.log(Z + alpha)
            """
        ),
        "mean over",
        "divid",
        "member",
        "zero",
        "N",
        "distances stands",
    ),
]
RIGHT += [
    right(PHI),
    right(PHI_BINS),
    # phi comes from a rule and is a constant of the loss: the reference has no gradient either.
    right(edited(PHI, ("distances[assignments == k]", "distances.detach()[assignments == k]"))),
    right(
        concentration(
            """
            member = (assignments[:, None] == torch.arange(num_clusters)).to(distances.dtype)
            z = member.sum(0)
            return (member.T @ distances) / z / torch.log(z + alpha)
            """
        )
    ),
    right(
        concentration(
            """
            sizes = assignments.unique(return_counts=True)[1]
            order = torch.argsort(assignments)
            groups = distances[order].split(sizes.tolist())
            return torch.stack([g.mean() / np.log(len(g) + alpha) for g in groups])
            """
        )
    ),
    right(
        concentration(
            """
            total, count = [0.0] * num_clusters, [0] * num_clusters
            for i in range(len(distances)):
                j = int(assignments[i])
                total[j] = total[j] + distances[i]
                count[j] += 1
            return torch.stack([t / c / math.log(c + alpha) for t, c in zip(total, count)])
            """
        )
    ),
]

# --- proto_nce ------------------------------------------------------------------------------------------------------


def nce(body: str) -> str:
    return function("proto_nce(v, prototypes, assignments, phi)", body)


NCE = nce(
    """
    z = F.normalize(v, dim=1)
    c = F.normalize(prototypes, dim=1)
    logits = (z @ c.T) / phi
    alignment = -logits[torch.arange(len(z)), assignments].mean()
    contrast = torch.logsumexp(logits, dim=1).mean()
    return alignment + contrast, alignment, contrast
    """
)
NCE_LOOP = nce(
    """
    N, K = len(v), len(prototypes)
    alignment, contrast = 0, 0
    for i in range(N):
        scores = []
        for j in range(K):
            cos = (v[i] @ prototypes[j]) / (v[i].norm() * prototypes[j].norm())
            scores.append(cos / phi[j])
        alignment = alignment - scores[assignments[i]] / N
        contrast = contrast + torch.logsumexp(torch.stack(scores), 0) / N
    return alignment + contrast, alignment, contrast
    """
)
LENGTH = ("normalis", "normaliz", "unit", "length", "norm", "scale")
OWN = ("own", "each column", "column", "phi", "every prototype", "j")

WRONG += [
    wrong(edited(NCE, ("F.normalize(v, dim=1)", "v")), *LENGTH),
    wrong(edited(NCE, ("F.normalize(prototypes, dim=1)", "prototypes")), *LENGTH),
    wrong(edited(NCE, ("F.normalize(v, dim=1)", "F.normalize(v, dim=0)")), *LENGTH, *AXIS),
    wrong(edited(NCE, ("/ phi", "/ phi[assignments].unsqueeze(1)")), *OWN),
    wrong(edited(NCE, ("/ phi", "/ phi[:, None]")), *SHAPE, "broadcast", *AXIS),
    wrong(edited(NCE, ("/ phi", "* phi")), "divid", "multipl", "phi", "temperature"),
    wrong(edited(NCE, ("/ phi", "/ phi.mean()")), "mean", "each", "own", "phi"),
    wrong(edited(NCE, ("/ phi", "/ phi.sqrt()")), "root", "phi", "sqrt"),
    wrong(edited(NCE, ("alignment = -logits", "alignment = logits")), *SIGN),
    wrong(edited(NCE, (".mean()", ".sum()")), *MEAN, misleading=()),
    wrong(
        edited(NCE, ("alignment + contrast, alignment, contrast", "alignment + contrast, contrast, alignment")), *ORDER
    ),
    wrong(
        edited(NCE, ("return alignment + contrast, alignment, contrast", "return alignment + contrast")),
        "three",
        "tuple",
        "3",
        "outputs",
        "terms",
    ),
    wrong(
        edited(NCE, ("return alignment + contrast", "return alignment - contrast")),
        "add",
        "away",
        "sign",
        "minus",
        "plus",
    ),
    wrong(edited(NCE, ("logsumexp(logits, dim=1)", "logsumexp(logits, dim=0)")), *AXIS),
    wrong(
        edited(NCE, ("logsumexp(logits, dim=1)", "logsumexp(logits[:, assignments], dim=1)")),
        "repeat",
        "twice",
        "once",
        "batch",
        "prototypes",
        "K",
        "sampled",
        "each prototype",
    ),
    wrong(
        edited(
            NCE,
            (
                "torch.logsumexp(logits, dim=1)",
                "torch.logsumexp(logits.scatter(1, assignments[:, None], -math.inf), dim=1)",
            ),
        ),
        "own",
        "positive",
        "all",
        "denominator",
        "leaves out",
        "left out",
    ),
    wrong(
        edited(NCE, ("logits, dim=1).mean()", "logits, dim=1).mean() - math.log(len(c))")),
        "log K",
        "log(K)",
        "constant",
        "mean",
        "sum",
    ),
    wrong(edited(NCE, ("torch.logsumexp(logits, dim=1)", "logits.exp().sum(dim=1).log()")), *OVERFLOW),
    wrong(
        edited(NCE, ("-logits[torch.arange(len(z)), assignments].mean()", "-(z * c[assignments]).sum(1).mean()")),
        "phi",
        "divid",
        "temperature",
    ),
    wrong(edited(NCE, ("logsumexp(logits, dim=1)", "logsumexp(z @ c.T, dim=1)")), "phi", "divid", "temperature"),
    wrong(
        edited(NCE, ("logits[torch.arange(len(z)), assignments]", "logits[:, assignments]")),
        "own",
        "pair",
        "all",
        "each sample",
        "gather",
        "index",
        "diagonal",
    ),
    wrong(
        edited(NCE, ("logits[torch.arange(len(z)), assignments]", "logits.diagonal()")),
        "assignments",
        "own cluster",
        "its own",
    ),
    wrong(
        edited(NCE, ("(z @ c.T) / phi", "(z @ c.T - 1) / phi")),
        "- 1",
        "-1",
        "1/phi",
        "e^",
        "drop",
        "factor",
        "gaussian",
        "constant",
    ),
    wrong(edited(NCE, ("c = F.normalize(prototypes, dim=1)", "c = F.normalize(prototypes, dim=1).detach()")), *CUT),
    wrong(edited(NCE, ("contrast = torch.logsumexp(logits,", "contrast = torch.logsumexp(logits.detach(),")), *CUT),
    wrong(edited(NCE, ("(z @ c.T) / phi", "((z @ c.T) / phi).float()")), *FLOAT32),
    wrong(edited(NCE, ("z = F.normalize(v, dim=1)", "v /= v.norm(dim=1, keepdim=True)\n    z = v")), *IN_PLACE),
    wrong(
        nce(
            """
            u, c = F.normalize(v, dim=1), F.normalize(prototypes, dim=1)
            logits = -(u[:, None] - c).square().sum(-1) / (2 * phi)
            align = -logits.gather(1, assignments[:, None]).mean()
            contrast = logits.logsumexp(1).mean()
            return align + contrast, align, contrast
            """
        ),
        "cos",
        "distance",
        "- 1",
        "-1",
        "1/phi",
        "drop",
        "gaussian",
        "product",
    ),
    wrong(
        nce(
            """
            u, c = F.normalize(v, dim=1), F.normalize(prototypes, dim=1)
            logits = u @ c.T / phi
            own = logits.argmax(dim=1)
            alignment = -logits.gather(1, own[:, None]).mean()
            contrast = logits.logsumexp(1).mean()
            return alignment + contrast, alignment, contrast
            """
        ),
        "assignments",
        "nearest",
        "argmax",
        "own",
        "largest",
    ),
    wrong(edited(NCE_LOOP, ("range(K)", "range(K - 1)")), *LOOP, "index"),
    wrong(edited(NCE_LOOP, ("cos / phi[j]", "cos / phi[assignments[i]]")), *OWN),
    wrong(edited(NCE_LOOP, ("contrast = contrast + torch", "contrast = torch")), *OVERWRITTEN),
]
RIGHT += [
    right(NCE_LOOP),
    right(
        nce(
            """
            u = v / v.norm(dim=1, keepdim=True)
            c = prototypes / prototypes.norm(dim=1, keepdim=True)
            logits = torch.einsum("nd,kd->nk", u, c) / phi[None, :]
            total = F.cross_entropy(logits, assignments)
            alignment = -(logits * F.one_hot(assignments, len(c))).sum(dim=1).mean()
            return total, alignment, total - alignment
            """
        )
    ),
    right(
        nce(
            """
            scaled = F.normalize(prototypes, dim=-1) / phi[:, None]
            s = F.normalize(v, dim=-1) @ scaled.T
            pos = torch.take_along_dim(s, assignments.unsqueeze(1), dim=1).squeeze(1)
            top = s.max(dim=1).values
            log_z = top + (s - top[:, None]).exp().sum(1).log()
            return (log_z - pos).mean(), -pos.mean(), log_z.mean()
            """
        )
    ),
    right(
        nce(
            """
            sim = F.cosine_similarity(v[:, None, :], prototypes[None, :, :], dim=2).div(phi)
            a = -torch.stack([row[k] for row, k in zip(sim, assignments)]).mean()
            b = log_evidence(sim).mean()
            return [a + b, a, b]
            """
        )
    ),
]

# --- prototype_term -------------------------------------------------------------------------------------------------


def term(body: str) -> str:
    return function("prototype_term(v, index, prototypes, assignments, phi)", body)


TERM = term(
    """
    total = 0
    M = len(prototypes)
    for m in range(M):
        ids = assignments[m][index]
        total = total + proto_nce(v, prototypes[m], ids, phi[m])[0]
    return total / M
    """
)
TERM_LIST = term(
    """
    losses_m = [proto_nce(v, c, a[index], p)[0] for c, a, p in zip(prototypes, assignments, phi)]
    return torch.stack(losses_m).mean()
    """
)
INDEX = ("index", "first images", "batch", "images", "position")

WRONG += [
    wrong(edited(TERM, ("assignments[m][index]", "assignments[m][: len(v)]")), *INDEX),
    wrong(edited(TERM, ("assignments[m][index]", "assignments[m]")), *INDEX, "shape", "size"),
    wrong(edited(TERM, ("assignments[m][index]", "assignments[index][m]")), *INDEX, "axis", "shape", "bound", "M"),
    wrong(edited(TERM, ("assignments[m][index]", "assignments[m][index.sort().values]")), "order", "sort", *INDEX),
    wrong(edited(TERM, ("assignments[m][index]", "assignments[m][index.argsort()]")), "order", "sort", *INDEX),
    wrong(
        edited(TERM, ("assignments[m][index]", "assignments[0][index]")),
        "first clustering",
        "own",
        "each",
    ),
    wrong(edited(TERM, ("prototypes[m]", "prototypes[0]")), "first clustering", "own", "each"),
    wrong(edited(TERM, ("phi[m]", "phi[0]")), "first clustering", "own", "each"),
    wrong(edited(TERM, ("phi[m]", "phi.mean(dim=0)")), "phi", "mean", "clustering", "own", "each"),
    wrong(edited(TERM, ("total / M", "total")), *MEAN, "M", misleading=()),
    wrong(edited(TERM, ("total / M", "total / len(v)")), "N", "M", *FACTOR, misleading=()),
    wrong(edited(TERM, ("total / M", "total / (M + 1)")), "M", *FACTOR, misleading=()),
    wrong(edited(TERM, ("total = total + proto_nce", "total = proto_nce")), *OVERWRITTEN, misleading=()),
    wrong(edited(TERM, ("total = total + proto_nce", "total = proto_nce"), ("total / M", "total")), *OVERWRITTEN),
    wrong(edited(TERM, ("range(M)", "range(M - 1)")), *LOOP),
    wrong(edited(TERM, ("range(M)", "range(1, M)")), *LOOP),
    wrong(
        term("return proto_nce(v, prototypes[0], assignments[0][index], phi[0])[0]"),
        "first clustering",
        "mean",
        "average",
        "all",
    ),
    wrong(edited(TERM, ("phi[m])[0]", "phi[m])[1]")), "the total", "alignment alone", "first value"),
    wrong(edited(TERM, ("phi[m])[0]", "phi[m])[2]")), "the total", "contrast alone", "first value"),
    wrong(edited(TERM_LIST, (".mean()", "")), *SHAPE, "mean", "average"),
    wrong(edited(TERM_LIST, (".mean()", ".max()")), "max", "mean", "largest", "average"),
    wrong(edited(TERM_LIST, (".mean()", ".logsumexp(0)")), "mean", "exp", "average"),
    wrong(edited(TERM_LIST, ("torch.stack(losses_m)", "torch.tensor(losses_m)")), *CUT, *FLOAT32),
    wrong(edited(TERM_LIST, ("proto_nce(v,", "proto_nce(v.detach(),")), *CUT),
    wrong(
        edited(TERM_LIST, ("proto_nce(v, c, a[index], p)", "proto_nce(v.float(), c.float(), a[index], p.float())")),
        *FLOAT32,
    ),
    wrong(edited(TERM_LIST, ("proto_nce(v, c, a[index], p)", "proto_nce(v[index], c, a, p)")), *INDEX, "bound"),
    wrong(
        edited(TERM_LIST, ("proto_nce(v, c, a[index], p)", "proto_nce(c[a[index]], v, index, p)")),
        *ORDER,
        "assignments must",
        "cluster",
    ),
    wrong(
        edited(TERM_LIST, ("proto_nce(v, c, a[index], p)", "proto_nce(v, c, a[index], 1 / p)")), "invers", "phi", "1 /"
    ),
    wrong(
        term(
            """
            u = F.normalize(v, dim=1)
            out = []
            for c, p in zip(prototypes, phi):
                nearest = (u @ F.normalize(c, dim=1).T).argmax(dim=1)
                out.append(proto_nce(v, c, nearest, p)[0])
            return sum(out) / len(out)
            """
        ),
        "assignments",
        "index",
        "nearest",
        "argmax",
        "depend",
    ),
    wrong(
        term(
            """
            c, p = prototypes.mean(dim=0), phi.mean(dim=0)
            return proto_nce(v, c, assignments[0][index], p)[0]
            """
        ),
        "mean",
        "clustering",
        "each",
        "average",
        "prototypes",
    ),
    wrong(
        term(
            """
            c, p = prototypes.flatten(0, 1), phi.flatten()
            K = prototypes.shape[1]
            out = [proto_nce(v, c, a[index] + m * K, p)[0] for m, a in enumerate(assignments)]
            return sum(out) / len(out)
            """
        ),
        "clustering",
        "own",
        "prototypes",
        "other",
        "denominator",
        "all",
        "each",
    ),
    wrong(edited(TERM, ("total = 0", "v /= v.norm(dim=1, keepdim=True)\n    total = 0")), *IN_PLACE),
]
RIGHT += [
    right(TERM),
    right(TERM_LIST),
    right(
        term(
            """
            u, c = F.normalize(v, dim=1), F.normalize(prototypes, dim=2)
            logits = torch.einsum("nd,mkd->mnk", u, c) / phi[:, None, :]
            own = assignments[:, index]
            picked = logits.gather(2, own[..., None]).squeeze(-1)
            return (logits.logsumexp(dim=2) - picked).mean()
            """
        )
    ),
    right(
        term(
            """
            out = []
            for m, ids in enumerate(assignments.index_select(1, index)):
                scores = F.normalize(v, dim=1) @ F.normalize(prototypes[m], dim=1).T / phi[m]
                out.append(F.cross_entropy(scores, ids))
            return sum(out) / len(out)
            """
        )
    ),
    right(
        term(
            """
            a, b = 0.0, 0.0
            m = prototypes.shape[0]
            for j in range(m):
                _, align, contrast = proto_nce(v, prototypes[j], assignments[j, index], phi[j])
                a, b = a + align / m, b + contrast / m
            return a + b
            """
        )
    ),
]

# --- nmi_of_counts --------------------------------------------------------------------------------------------------


def nmi(body: str) -> str:
    return function("nmi_of_counts(counts)", body)


NMI = nmi(
    """
    p = counts / counts.sum()
    def H(x):
        return torch.special.entr(x).sum()
    h_k, h_l, h_kl = H(p.sum(1)), H(p.sum(0)), H(p)
    return (h_k + h_l - h_kl) / (0.5 * (h_k + h_l))
    """
)
NMI_LOOP = nmi(
    """
    joint = counts / counts.sum()
    K, C = joint.shape
    rows = [joint[k].sum() for k in range(K)]
    columns = [joint[:, c].sum() for c in range(C)]
    mi = 0
    for k in range(K):
        for c in range(C):
            if joint[k, c] > 0:
                mi = mi + joint[k, c] * torch.log(joint[k, c] / (rows[k] * columns[c]))
    h_rows = -sum(x * torch.log(x) for x in rows if x > 0)
    h_columns = -sum(x * torch.log(x) for x in columns if x > 0)
    return 2 * mi / (h_rows + h_columns)
    """
)
HALF = ("half", "2", "two", "factor", "mean", "right one times", "times the right")

WRONG += [
    wrong(edited(NMI, ("torch.special.entr(x)", "(-x * x.log())")), *ZERO, misleading=()),
    wrong(edited(NMI, ("torch.special.entr(x)", "(-x * (x + 1e-6).log())")), *EPS),
    wrong(
        edited(NMI, ("(0.5 * (h_k + h_l))", "(h_k * h_l).sqrt()")),
        "geometric",
        "root",
        "sqrt",
        "mean",
        "divid",
        "denom",
    ),
    wrong(edited(NMI, ("(0.5 * (h_k + h_l))", "torch.maximum(h_k, h_l)")), "max", "larger", "mean", "denom", "divid"),
    wrong(
        edited(NMI, ("(0.5 * (h_k + h_l))", "torch.minimum(h_k, h_l)")),
        "min",
        "smaller",
        "mean",
        "denom",
        "divid",
        misleading=(*RATIO, "the clusters alone"),
    ),
    wrong(edited(NMI, ("0.5 * ", "")), *HALF, misleading=()),
    wrong(edited(NMI, (" / (0.5 * (h_k + h_l))", "")), "normalis", "divid", "entrop", "denominator"),
    wrong(
        edited(NMI, ("(0.5 * (h_k + h_l))", "0.5 * (h_k + h_l)")), "bracket", "divid", "multipl", "parenthes", "denom"
    ),
    wrong(edited(NMI, ("(0.5 * (h_k + h_l))", "h_kl")), "joint", "both", "mean", "denom", "divid"),
    wrong(
        edited(NMI, ("(0.5 * (h_k + h_l))", "h_l")), "classes", "clusters", "both", "mean", "denom", "divid", "homogen"
    ),
    wrong(
        edited(NMI, ("(0.5 * (h_k + h_l))", "math.log(len(counts))")),
        "log K",
        "log(K)",
        "entropy",
        "entropies",
        "mean",
        "denom",
    ),
    wrong(
        edited(NMI, ("p = counts / counts.sum()", "p = counts.double()")),
        "divid",
        "sum to 1",
        "share",
        "probabilit",
        "normalis",
        "N",
    ),
    wrong(
        edited(NMI, ("counts.sum()", "counts.sum(dim=1, keepdim=True)")),
        "row",
        "all",
        "whole",
        "sum to 1",
        "total",
        "every",
    ),
    wrong(edited(NMI, ("- h_kl", "+ h_kl")), *SIGN, "both", "joint"),
    wrong(edited(NMI, ("h_k + h_l - h_kl", "h_kl - h_k - h_l")), *SIGN, misleading=()),
    wrong(edited(NMI, ("return (h_k", "return 1 - (h_k")), "1 -", "one minus", "distance", "dissimil"),
    wrong(edited(NMI, ("H(p.sum(0))", "H(p.sum(1))")), *AXIS, "classes", "clusters", "twice", "both"),
    wrong(edited(NMI, ("entr(x).sum()", "entr(x).mean()")), "mean", "sum"),
    wrong(
        edited(NMI, ("H(p.sum(1)), H(p.sum(0)), H(p)", "H(p.sum(1)), H(p.sum(0)), H(p) / math.log(2)")),
        *BASE,
        "both",
        "joint",
    ),
    wrong(edited(NMI, ("counts / counts.sum()", "counts.float() / counts.sum()")), *FLOAT32),
    wrong(edited(NMI, ("p = counts / counts.sum()", "counts /= counts.sum()\n    p = counts")), *IN_PLACE),
    wrong(edited(NMI, ("p.sum(1)", "p.mean(1)"), ("p.sum(0)", "p.mean(0)")), "mean", "sum", "margin", "sum to 1"),
    wrong(
        edited(NMI, ("p = counts / counts.sum()", "p = counts.flatten().softmax(0).view_as(counts)")),
        "softmax",
        "divid",
        "share",
    ),
    wrong(nmi("return counts.max(dim=1).values.sum() / counts.sum()"), "purity", "entrop", "largest", "log", "max"),
    wrong(
        nmi("p = counts / counts.sum()\nreturn -(p * torch.log(p.clamp(min=1e-12))).sum()"),
        "entropy",
        "both",
        "joint",
        "normalis",
        "clusters",
    ),
    wrong(
        edited(NMI_LOOP, ("for c in range(C):\n            if", "for c in range(C - 1):\n            if")),
        *LOOP,
        "last class",
    ),
    wrong(
        edited(NMI_LOOP, ("mi = mi + joint[k, c] * torch", "mi = mi + torch")),
        "weigh",
        "p(",
        "p *",
        "times p",
        "expect",
        "share",
    ),
    wrong(
        edited(NMI_LOOP, ("/ (rows[k] * columns[c])", "/ rows[k]")), "column", "class", "margin", "both", "condition"
    ),
    wrong(edited(NMI_LOOP, ("            if joint[k, c] > 0:\n                mi", "            mi")), *ZERO),
]
RIGHT += [
    right(NMI_LOOP),
    right(
        nmi(
            """
            p = counts / counts.sum()
            a, b = p.sum(dim=1), p.sum(dim=0)
            outer = a[:, None] * b[None, :]
            seen = p > 0
            mi = (p[seen] * (p[seen] / outer[seen]).log()).sum()
            h = -torch.xlogy(a, a).sum() - torch.xlogy(b, b).sum()
            return mi / h * 2
            """
        )
    ),
    right(
        nmi(
            """
            n = counts.sum()
            def entropy(c):
                return n.log() - torch.xlogy(c, c).sum() / n
            clusters, classes, both = entropy(counts.sum(1)), entropy(counts.sum(0)), entropy(counts)
            return 2 - 2 * both / (clusters + classes)
            """
        )
    ),
    right(
        nmi(
            """
            def bits(x):
                x = x.flatten()
                x = x[x > 0] / x.sum()
                return -torch.dot(x, x.log2())
            top = bits(counts.sum(dim=1)) + bits(counts.sum(dim=0))
            return (top - bits(counts)) / top * 2
            """
        )
    ),
]

# --- on which arguments the answers are compared with the references ------------------------------------------------


def normal(generator: Generator, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def leaf(x: Tensor) -> Tensor:
    return x.detach().clone().requires_grad_()


def table(generator: Generator, n: int, k: int) -> Tensor:
    return torch.softmax(normal(generator, n, k), dim=1)


def ids(generator: Generator, n: int, k: int) -> Tensor:
    """Each of k clusters at least twice, in a random order."""
    found = torch.cat([torch.arange(k).repeat(2), torch.randint(0, k, (n - 2 * k,), generator=generator)])
    return found[torch.randperm(n, generator=generator)]


def of_logs(generator: Generator) -> list[tuple[Any, ...]]:
    """The last ones lie far below zero, and rows lie far from each other."""
    shapes = ((5, 3), (4, 4), (2, 6))
    cases = [normal(generator, *shape) for shape in shapes]
    cases += [normal(generator, 4, 3) - 2000, normal(generator, 3, 5) - torch.tensor([[0.0], [1500], [3000]])]
    return [(leaf(x),) for x in cases]


def of_bounds(generator: Generator) -> list[tuple[Any, ...]]:
    """q without a gradient: right ways differ in it along a change that leaves the rows' sums not 1."""
    cases = [(leaf(normal(generator, n, k)), table(generator, n, k)) for n, k in ((5, 3), (4, 4), (3, 6))]
    hard = torch.eye(3, dtype=torch.float64)[[0, 2, 2, 1]]
    half = torch.tensor([[0.5, 0.5, 0], [0, 0.3, 0.7]], dtype=torch.float64)
    return [*cases, *((leaf(normal(generator, len(q), 3) - 800), q) for q in (hard, half))]


def of_mixtures(generator: Generator) -> list[tuple[Any, ...]]:
    cases: list[tuple[Any, ...]] = []
    for n, k, d, setting in ((7, 3, 2, ()), (4, 5, 3, (False,)), (6, 2, 4, (True,)), (4, 4, 4, ())):
        sigma = normal(generator, k).exp()
        cases.append((leaf(normal(generator, n, d)), leaf(normal(generator, k, d)), leaf(sigma), *setting))
    return cases


def of_m_steps(generator: Generator) -> list[tuple[Any, ...]]:
    shapes = ((7, 3, 2), (9, 2, 4), (5, 5, 3))
    return [(leaf(normal(generator, n, d)), leaf(table(generator, n, k))) for n, k, d in shapes]


def of_cosines(generator: Generator) -> list[tuple[Any, ...]]:
    """The last has temperatures at which exponentials overflow."""
    cases = []
    for n, k, low in ((7, 3, 0.1), (4, 5, 0.2), (1, 4, 0.3), (5, 5, 0.1), (6, 2, 0.05), (6, 4, 1e-3)):
        phi = low * (1 + torch.rand(k, generator=generator, dtype=torch.float64))
        cases.append((leaf(normal(generator, n, k).tanh()), leaf(phi)))
    return cases


def of_concentrations(generator: Generator) -> list[tuple[Any, ...]]:
    """Without a gradient: phi is a constant, so an answer may have one or none."""
    sizes: tuple[tuple[int, int, tuple[float, ...]], ...] = ((12, 3, ()), (20, 5, (1.0,)), (40, 2, (3.0,)), (9, 4, ()))
    return [(normal(generator, n).abs() + 0.1, ids(generator, n, k), k, *setting) for n, k, setting in sizes]


def of_proto_nce(generator: Generator) -> list[tuple[Any, ...]]:
    """The last has temperatures at which exponentials overflow."""
    cases = []
    for n, k, d, low in ((7, 3, 4, 0.2), (4, 6, 3, 0.1), (5, 5, 5, 0.3), (6, 3, 2, 1e-3)):
        phi = low * (1 + torch.rand(k, generator=generator, dtype=torch.float64))
        own = torch.randint(0, k, (n,), generator=generator)
        cases.append((leaf(normal(generator, n, d)), leaf(normal(generator, k, d)), own, leaf(phi)))
    return cases


def of_terms(generator: Generator) -> list[tuple[Any, ...]]:
    cases = []
    for n, images, m, k, d in ((6, 11, 2, 3, 4), (5, 9, 3, 4, 3), (4, 8, 1, 2, 2), (7, 12, 4, 3, 5)):
        index = torch.randperm(images, generator=generator)[:n]
        owners = torch.randint(0, k, (m, images), generator=generator)
        phi = 0.1 + torch.rand(m, k, generator=generator, dtype=torch.float64)
        cases.append((leaf(normal(generator, n, d)), index, leaf(normal(generator, m, k, d)), owners, leaf(phi)))
    return cases


def of_counts(generator: Generator) -> list[tuple[Any, ...]]:
    """The last has a cell, a cluster and a class without samples."""
    full = [torch.randint(1, 30, shape, generator=generator).double() for shape in ((5, 3), (3, 4), (4, 4), (12, 10))]
    holes = torch.tensor([[5, 0, 2, 0], [0, 7, 1, 0], [0, 0, 0, 0], [3, 3, 0, 0]], dtype=torch.float64)
    return [(x,) for x in [*full, holes]]


INPUTS = {
    "log_evidence": of_logs,
    "elbo": of_bounds,
    "posterior": of_logs,
    "mixture_log_joint": of_mixtures,
    "mixture_m_step": of_m_steps,
    "dropped_factor_error": of_cosines,
    "raw_concentration": of_concentrations,
    "proto_nce": of_proto_nce,
    "prototype_term": of_terms,
    "nmi_of_counts": of_counts,
}
