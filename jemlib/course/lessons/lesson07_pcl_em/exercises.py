"""Lesson 07: the exercises that derive PCL from EM, with their mistakes and other right answers."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from jemlib import losses
from jemlib.course.machinery.agreement import Case
from jemlib.course.machinery.answers import Body, Edit, declare, within

# --- Inputs -----------------------------------------------------------------------------------------------------

DOUBLE, SINGLE = torch.float64, torch.float32
FAR = "all far below zero"
SHAPES = ((5, 3, DOUBLE), (7, 4, DOUBLE), (4, 6, SINGLE), (6, 2, DOUBLE), (3, 1, DOUBLE))  # samples, prototypes, type


def _normal(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=DOUBLE)


def _ids(seed: int, n: int, k: int) -> Tensor:
    """Cluster ids of n samples, each of the k clusters at least twice where n allows it."""
    order = torch.randperm(n, generator=torch.Generator().manual_seed(seed))
    return torch.cat([torch.arange(k).repeat(2), torch.arange(max(0, n - 2 * k)) % 2])[:n][order]


def _joints() -> list[Case]:
    """Logarithms of joint probabilities: odd shapes, one prototype, both types, and some that are far below zero."""
    found = [Case((2 * _normal(i, n, k).to(kind),)) for i, (n, k, kind) in enumerate(SHAPES)]
    # No single shift serves all rows: that of the largest entry would leave 0 for the others.
    depth = torch.tensor([[2000.0], [3000.0], [1000.0], [4000.0]], dtype=DOUBLE)
    return [*found, Case((_normal(9, 4, 3) - depth,), note=FAR)]


def _joints_with_q() -> list[Case]:
    """The same with distributions Q, and with one-hot rows."""
    cases = [
        Case((case.args[0], torch.softmax(1.5 * _normal(20 + i, *case.args[0].shape), dim=1).to(case.args[0])))
        for i, case in enumerate(_joints())
    ]
    hard = F.one_hot(_ids(3, 6, 3), 3).double()
    return [*cases, Case((_normal(30, 6, 3), hard), note="one-hot rows of q")]


def _too_large(case: Case, ours: Sequence[Tensor], truth: Sequence[Tensor]) -> str | None:
    """What a small constant inside the log, or a clamp, does: all is a little too large, and far below zero much."""
    a, b = ours[0], truth[0]
    if a.shape != b.shape or not bool((a >= b).all()):
        return None
    if case.note == FAR:
        return (
            "Only rows far below zero are off: there exp gives 0, and a clamp or a small constant takes its place. Use "
            "torch.logsumexp, which shifts first."
        )
    if float((a - b).max()) < 1e-3:
        return "It is a little too large: is a small constant (an eps) added inside the log?"
    return None


def _rows_to_one(case: Case, ours: Sequence[Tensor], truth: Sequence[Tensor]) -> str | None:
    """Probabilities whose rows do not sum to 1."""
    if ours[0].shape != truth[0].shape or not bool(ours[0].isfinite().all()):
        return None
    sums = ours[0].sum(dim=1)
    if float((sums - 1).abs().max()) <= case.tolerance():
        return None
    return f"Its rows sum to {float(sums.min()):.8g} up to {float(sums.max()):.8g}; each must sum to 1."


# --- 7.1 log_evidence -------------------------------------------------------------------------------------------

declare(
    __name__,
    losses.log_evidence,
    number="7.1",
    title="the log-likelihood, with the prototype summed out",
    difficulty=1,
    importance=4,
    minutes=6,
    points=1,
    hints=(
        "The law of total probability: p(x) is the sum of p(x, c) over the prototypes c. You are given logarithms.",
        "exp, then a sum over dim=1, then log. With logarithms of -2000 that gives log 0: torch has a safe version.",
        "torch.logsumexp(log_joint, dim=1).",
    ),
    cases=_joints,
    symptom=_too_large,
    answer="""
        def log_evidence(log_joint):
            return torch.logsumexp(log_joint, dim=1)
    """,
    mistakes={
        "over samples": Edit("dim=1 -> dim=0", "the sum runs over the samples; it runs over the prototypes, dim=1."),
        "mean of the joint": Body(
            "return torch.logsumexp(log_joint, dim=1) - math.log(log_joint.shape[1])",
            "the mean over the prototypes was taken; p(x) is the sum. The prior 1/K is inside p(x, c) already.",
        ),
        "sum of logs": Body(
            "return log_joint.sum(dim=1)",
            "logarithms were added: that is the log of a product. Add the probabilities, then take the log.",
        ),
        "mean of logs": Body(
            "return log_joint.mean(dim=1)", "logarithms were averaged; add the probabilities, then take the log."
        ),
        "largest only": Body(
            "return log_joint.amax(dim=1)", "only the largest joint counts here; the others belong to the sum too."
        ),
        "no log": Edit("torch.logsumexp(log_joint, dim=1) -> log_joint.exp().sum(dim=1)", "the log is missing."),
        "everything": Edit("dim=1) -> dim=1).sum()", "one number for the batch; asked is one for each sample, (N,)."),
        "over all entries": Body(
            "return torch.logsumexp(log_joint.flatten(), dim=0)",
            "one number for the batch: the sum runs over the samples too. It runs over the prototypes, dim=1.",
        ),
        "mean over samples": Edit("dim=1) -> dim=1).mean()", "one mean for the batch; asked is one number a sample."),
        "minus": Edit("torch.logsumexp -> -torch.logsumexp", "the sign: that is a loss; asked is log p(x)."),
        "base 2": Edit(
            "torch.logsumexp(log_joint, dim=1) -> torch.logsumexp(log_joint, dim=1) / math.log(2)",
            "that is the logarithm to base 2; the natural one is asked.",
        ),
        "shift not added": Body(
            "return (log_joint - log_joint.amax(dim=1, keepdim=True)).exp().sum(dim=1).log()",
            "the largest of each row was taken away first, which is good; add it to the log again.",
        ),
        "last prototype left out": Edit(
            "log_joint.shape[1] -> log_joint.shape[1] - 1",
            "the last prototype is left out: where does the loop, or the slice, end?",
            of="one after the other",
        ),
        "first prototype left out": Body(
            "return torch.logsumexp(log_joint[:, 1:], dim=1)",
            "the first prototype is left out: where does the loop, or the slice, start?",
        ),
        "starts at zero": Edit(
            "total = log_joint[:, 0] -> total = torch.zeros_like(log_joint[:, 0])\nrange(1, -> range(0,",
            "the running sum starts at the logarithm 0, so a probability of 1 is added: start at the first prototype, "
            "or at -inf.",
            of="one after the other",
        ),
        "sum of the posterior": Body(
            "return torch.softmax(log_joint, dim=1).sum(dim=1).log()",
            "a softmax was taken: its rows sum to 1, so the log is 0. Add the joint probabilities themselves.",
        ),
        "one shift for all": Body(
            "top = log_joint.max()\nreturn top + (log_joint - top).exp().sum(dim=1).log()",
            "one shift was taken for the batch, and rows far below it become log 0: shift each row by its own largest.",
        ),
        "underflow": Body(
            "return torch.log(torch.exp(log_joint).sum(dim=1))",
            "exp of a logarithm far below zero is 0, and log 0 is -inf: use torch.logsumexp, which shifts first.",
        ),
    },
    right={
        "shift by hand": """
            top = log_joint.amax(dim=1, keepdim=True)
            return (top + (log_joint - top).exp().sum(dim=1, keepdim=True).log()).squeeze(1)
        """,
        "one after the other": """
            total = log_joint[:, 0]
            for j in range(1, log_joint.shape[1]):
                total = torch.logaddexp(total, log_joint[:, j])
            return total
        """,
        "from the softmax": "return (log_joint - torch.log_softmax(log_joint, dim=1)).mean(dim=1)",
    },
)


# --- 7.2 elbo ---------------------------------------------------------------------------------------------------

NO_ENTROPY = "the entropy of Q is missing: the bound has log [p / Q], so - sum Q log Q belongs to it."

declare(
    __name__,
    losses.elbo,
    number="7.2",
    title="the evidence lower bound",
    difficulty=2,
    importance=5,
    minutes=8,
    points=2,
    hints=(
        "Two sums over the prototypes: Q times log p(x, c), and minus Q times log Q.",
        "0 log 0 counts as 0, but 0 * log(0) is NaN in floating point. torch.special.entr(q) is -q log q with 0 at 0.",
        "(q * log_joint + torch.special.entr(q)).sum(dim=1).",
    ),
    cases=_joints_with_q,
    gradients="flow",
    answer="""
        def elbo(log_joint, q):
            return (q * log_joint + torch.special.entr(q)).sum(dim=1)
    """,
    mistakes={
        "no entropy": Edit("+ torch.special.entr(q) ->", NO_ENTROPY),
        "entropy subtracted": Edit(
            "+ torch.special -> - torch.special", "the entropy of Q was taken away; - sum Q log Q is added."
        ),
        "joint not weighed": Edit(
            "q * log_joint -> log_joint", "log p(x, c) is not weighed: Q times log p(x, c), summed over the prototypes."
        ),
        "nothing weighed": Body(
            "return torch.where(q > 0, log_joint - q.log(), 0.0).sum(dim=1)",
            "log [p / Q] is not weighed: multiply it by Q, because the bound is a mean under Q.",
        ),
        "entropy in bits": Edit(
            "torch.special.entr(q) -> torch.special.entr(q) / math.log(2)",
            "the entropy of Q is in bits, base 2; all logarithms are natural.",
        ),
        "softmax of q": Edit(
            "return (q * -> q = torch.softmax(q, dim=1); return (q *",
            "a softmax was taken of q; its rows sum to 1 already.",
        ),
        "log of the posterior": Body(
            "return -losses.kl_to_posterior(log_joint, q)",
            "the posterior log p(c | x) stands where the joint log p(x, c) is asked: what comes out is minus the gap.",
        ),
        "last prototype left out": Edit(
            ".sum(dim=1) -> [:, :-1].sum(dim=1)",
            "the last prototype is left out: where does the loop, or the slice, end?",
        ),
        "first prototype left out": Edit(
            ".sum(dim=1) -> [:, 1:].sum(dim=1)",
            "the first prototype is left out: where does the loop, or the slice, start?",
        ),
        "last prototype only": Body(
            """
            total = torch.zeros_like(q[:, 0])
            for x, w in zip(log_joint.T, q.T):
                total = torch.where(w > 0, w * (x - w.log()), total)
            return total
            """,
            "only the last prototype counts: the sum is overwritten in each step of the loop, total = total + ...",
        ),
        "over samples": Edit("dim=1 -> dim=0", "the sum runs over the samples; it runs over the prototypes, dim=1."),
        "mean": Edit(
            ".sum(dim=1) -> .mean(dim=1)", "a mean over the prototypes; Q holds the weights already, so take the sum."
        ),
        "everything": Edit("sum(dim=1) -> sum()", "one number for the batch; asked is one for each sample."),
        "no logarithm": Edit(
            "q * log_joint -> q * log_joint.exp()",
            "p(x, c) stands there without its logarithm; log_joint is the logarithm already.",
        ),
        "the evidence": Body(
            "return torch.logsumexp(log_joint, dim=1)", "that is log p(x) itself; asked is the bound, which uses Q."
        ),
        "the gap": Body(
            "return losses.kl_to_posterior(log_joint, q)", "that is the gap KL(Q || p(c|x)), not the bound."
        ),
        "log outside": Body(
            "return torch.log((q * log_joint.exp()).sum(dim=1))",
            "the log stands outside the sum; Jensen's inequality takes it inside.",
        ),
        "Q cancels": Body(
            "return torch.log((q * (log_joint.exp() / q)).sum(dim=1))",
            "the log stands outside the sum: Q cancels, and log p(x) is left. Jensen's inequality takes it inside.",
        ),
        "exp far below zero": Body(
            "return (q * (log_joint.exp() / q).log()).sum(dim=1)",
            "exp of a logarithm far below zero is 0, and log 0 is -inf: log (p / Q) is log_joint - log Q, without exp.",
        ),
        "weights of the joint": Body(
            "p = torch.softmax(log_joint, dim=1)\nreturn (p * log_joint + torch.special.entr(q)).sum(dim=1)",
            "the posterior was used for the weights; the bound is for any Q, and q is given.",
        ),
        "zero times log zero": Body(
            "return (q * (log_joint - q.log())).sum(dim=1)",
            "0 * log(0) is NaN: for one-hot Q count 0 log 0 as 0, as torch.special.entr does.",
        ),
    },
    right={
        "loop": """
            bound = []
            for row, weights in zip(log_joint, q):
                bound.append(sum(w * (x - w.log()) for x, w in zip(row, weights) if w > 0))
            return torch.stack(bound)
        """,
        "xlogy": "return (q * log_joint - torch.xlogy(q, q)).sum(dim=1)",
        "evidence minus the gap": "return torch.logsumexp(log_joint, dim=1) - losses.kl_to_posterior(log_joint, q)",
    },
)


# --- 7.3 posterior ----------------------------------------------------------------------------------------------

declare(
    __name__,
    losses.posterior,
    number="7.3",
    title="the E-step: the Q without a gap",
    difficulty=1,
    importance=5,
    minutes=5,
    points=1,
    hints=(
        "Bayes' rule: p(c|x) is p(x, c) divided by the sum of p(x, c) over all c. Each row sums to 1.",
        "exp of the logarithms, divided by their sum over dim=1. That function has a name.",
        "torch.softmax(log_joint, dim=1).",
    ),
    cases=_joints,
    symptom=_rows_to_one,
    answer="""
        def posterior(log_joint):
            return torch.softmax(log_joint, dim=1)
    """,
    mistakes={
        "over samples": Edit(
            "dim=1 -> dim=0", "columns sum to 1; the rows must, because each sample has one posterior."
        ),
        "over everything": Body(
            "return torch.softmax(log_joint.flatten(), dim=0).view_as(log_joint)",
            "all entries together sum to 1; each row must.",
        ),
        "logarithms": Edit("softmax -> log_softmax", "those are logarithms of the posterior; leave out the log."),
        "not normalised": Body(
            "return log_joint.exp()", "that is the joint p(x, c); divide by the sum over the prototypes."
        ),
        "hard": Body(
            "return F.one_hot(log_joint.argmax(dim=1), log_joint.shape[1]).to(log_joint)",
            "the nearest prototype gets everything: that is k-means. The posterior is soft.",
        ),
        "turned around": Edit("softmax(log -> softmax(-log", "the sign is turned: the likeliest prototype gets least."),
        "logs divided": Body(
            "return log_joint / log_joint.sum(dim=1, keepdim=True)",
            "the logarithms were divided by their sum; take exp first.",
        ),
        "sigmoid": Edit(
            "torch.softmax(log_joint, dim=1) -> torch.sigmoid(log_joint)",
            "a sigmoid looks at one entry alone; a softmax divides by the sum over the prototypes.",
        ),
        "exp twice": Edit(
            "softmax(log_joint -> softmax(log_joint.exp()",
            "exp was taken twice: softmax takes it itself, of the logarithms.",
        ),
        "unit length": Body(
            "return F.normalize(log_joint.exp(), dim=1)",
            "each row was divided by its length, so that the squares sum to 1; divide by the sum.",
        ),
        "divided by K": Edit(
            "dim=1) -> dim=1) / log_joint.shape[1]",
            "it was divided by K as well: the prior 1/K is inside p(x, c) already, and rows sum to 1.",
        ),
        "first left out below": Body(
            "p = (log_joint - log_joint.amax(dim=1, keepdim=True)).exp()\nreturn p / p[:, 1:].sum(dim=1, keepdim=True)",
            "the sum below leaves out the first prototype: where does the loop, or the slice, start?",
        ),
        "last left out below": Body(
            "p = (log_joint - log_joint.amax(dim=1, keepdim=True)).exp()\n"
            "return p / p[:, :-1].sum(dim=1, keepdim=True)",
            "the sum below leaves out the last prototype: where does the loop, or the slice, end?",
        ),
        "largest divides": Body(
            "return (log_joint - log_joint.amax(dim=1, keepdim=True)).exp()",
            "it was divided by the largest entry of the row; divide by the sum.",
        ),
        "one shift for all": Body(
            "p = (log_joint - log_joint.max()).exp()\nreturn p / p.sum(dim=1, keepdim=True)",
            "one shift was taken for the batch, and rows far below it become 0/0: shift each row by its own largest.",
        ),
        "overflow": Body(
            "p = log_joint.exp()\nreturn p / p.sum(dim=1, keepdim=True)",
            "exp of a logarithm far below zero is 0, and 0/0 is NaN: torch.softmax shifts first.",
        ),
    },
    right={
        "log evidence": "return (log_joint - torch.logsumexp(log_joint, dim=1, keepdim=True)).exp()",
        "shift by hand": """
            p = (log_joint - log_joint.amax(dim=1, keepdim=True)).exp()
            return p / p.sum(dim=1, keepdim=True)
        """,
        "ratios": "return 1 / (log_joint[:, None, :] - log_joint[:, :, None]).exp().sum(dim=2)",
    },
)


# --- 7.4 mixture_log_joint --------------------------------------------------------------------------------------


def _mixtures() -> list[Case]:
    """Samples, centres and a sigma for each: odd shapes, D = 1, K = 1, both types, with and without normaliser."""
    found = []
    for i, (n, k, kind) in enumerate(SHAPES):
        d = (3, 2, 5, 1, 4)[i]
        sigma = (0.5 * _normal(50 + i, k)).exp()
        args = (_normal(40 + i, n, d).to(kind), _normal(45 + i, k, d).to(kind), sigma.to(kind))
        found.append(Case(args, {"normalizer": False} if i in (1, 2) else {}))
    return found


declare(
    __name__,
    losses.mixture_log_joint,
    number="7.4",
    title="isotropic Gaussians: the model of the notes",
    difficulty=3,
    importance=4,
    minutes=12,
    points=2,
    hints=(
        "Squared distances first: v[:, None, :] - centres has shape (N, K, D); square, and sum over the last axis.",
        "log p(x, c) = -log K - |v - c|^2 / (2 sigma^2), and with the normaliser - (D/2) log(2 pi sigma^2).",
        "sigma has shape (K,): it divides the columns of the (N, K) matrix, and broadcasting does that.",
    ),
    cases=_mixtures,
    answer="""
        def mixture_log_joint(v, centres, sigma, normalizer=True):
            k, d = centres.shape
            squares = (v[:, None, :] - centres).square().sum(dim=2)
            log_joint = -math.log(k) - squares / (2 * sigma.square())
            if normalizer:
                log_joint = log_joint - d / 2 * torch.log(2 * math.pi * sigma.square())
            return log_joint
    """,
    mistakes={
        "no prior": Edit("-math.log(k) - squares -> -squares", "the prior is missing: p(c) = 1/K gives - log K."),
        "prior added": Edit("-math.log(k) -> math.log(k)", "log K was added; the prior is 1/K, so it is taken away."),
        "prior of samples": Edit(
            "math.log(k) -> math.log(len(v))", "log N stands for the prior: there are K prototypes, so p(c) = 1/K."
        ),
        "prior without logarithm": Edit("-math.log(k) -> 1 / k", "the prior 1/K was added; its logarithm is - log K."),
        "prior minus 1/K": Edit(
            "-math.log(k) -> -1 / k", "1/K was taken away for the prior; its logarithm is - log K."
        ),
        "prior with the normaliser": Edit(
            "-math.log(k) - squares -> -squares\nlog_joint - d / 2 -> log_joint - math.log(k) - d / 2",
            "the prior goes with the normaliser: normalizer=False leaves out the last part only, - log K stays.",
        ),
        "distance not squared": Edit(
            ".sum(dim=2) -> .sum(dim=2).sqrt()", "the distance stands there without its square: |v - c|^2."
        ),
        "squared twice": Edit(
            ".sum(dim=2) -> .sum(dim=2).square()", "the squared distance was squared once more; one square is enough."
        ),
        "sigma not squared": Edit(
            "(2 * sigma.square()) -> (2 * sigma)", "sigma is squared in the exponent: 2 sigma^2."
        ),
        "sigma for the variance": Edit(
            "sigma.square() -> sigma", "sigma was taken for the variance: it is its root, so square it in both places."
        ),
        "sigma of the first": Edit(
            "(2 * sigma.square()) -> (2 * sigma[0].square())",
            "sigma of the first prototype serves all; each has its own sigma_j, one for each column.",
        ),
        "first sigma everywhere": Edit(
            "sigma.square() -> sigma[0].square()",
            "sigma of the first prototype serves all; each has its own sigma_j, one for each column.",
        ),
        "product once": Edit(
            "- 2 * v @ centres.T -> - v @ centres.T",
            "the product is taken once: |v - c|^2 = |v|^2 - 2 v c + |c|^2.",
            of="multiplied out",
        ),
        "unit vectors": Edit(
            "squares / (2 * sigma.square()) -> (1 - v @ centres.T) / sigma.square()",
            "2 - 2 v c is the squared distance of vectors of length 1 only; here nothing is normalised.",
        ),
        "no two": Edit("(2 * sigma.square()) -> sigma.square()", "the 2 of 2 sigma^2 is missing in the exponent."),
        "no D in the normaliser": Edit(
            "d / 2 -> 1 / 2", "the normaliser lacks D: each of the D dimensions brings sqrt(2 pi sigma^2)."
        ),
        "normaliser not halved": Edit(
            "d / 2 * torch.log -> d * torch.log", "the half is missing in the normaliser: D/2 times log(2 pi sigma^2)."
        ),
        "K in the normaliser": Edit(
            "d / 2 * torch -> k / 2 * torch", "K stands in the normaliser; D belongs there, the number of dimensions."
        ),
        "K and D swapped": Edit(
            "k, d = centres.shape -> d, k = centres.shape", "K and D are swapped: centres is (K, D)."
        ),
        "normaliser added": Edit("log_joint - d / 2 -> log_joint + d / 2", "the normaliser was added; it divides."),
        "sigma in the normaliser": Edit(
            "math.pi * sigma.square() -> math.pi * sigma", "sigma stands in the normaliser without its square."
        ),
        "no pi": Edit("2 * math.pi * sigma -> sigma", "the 2 pi of the normaliser is missing."),
        "pi only": Edit("2 * math.pi * sigma -> 2 * sigma", "pi is missing in the normaliser."),
        "no two before pi": Edit("2 * math.pi * sigma -> math.pi * sigma", "the 2 of 2 pi is missing: the normaliser."),
        "normalizer turned around": Edit(
            "if normalizer: -> if not normalizer:",
            "the argument normalizer is turned around: True asks for the last part.",
        ),
        "always normalised": Edit("if normalizer: -> if True:", "the argument normalizer is ignored: it is always on."),
        "never normalised": Edit(
            "if normalizer: -> if False:", "the normaliser never comes: normalizer=True asks for it."
        ),
        "plus in the exponent": Edit(
            "- squares -> + squares", "far samples get a larger density: the exponent is minus."
        ),
        "mean over dimensions": Edit(
            "sum(dim=2) -> mean(dim=2)", "the squares were averaged over the dimensions; a distance sums them."
        ),
        "no logarithm": Edit("return log_joint -> return log_joint.exp()", "that is p(x, c); asked is its logarithm."),
    },
    right={
        "cdist": """
            k, d = centres.shape
            variance = sigma**2
            found = -torch.cdist(v, centres, compute_mode="donot_use_mm_for_euclid_dist") ** 2 / (2 * variance)
            found = found - math.log(k)
            return found - 0.5 * d * (2 * math.pi * variance).log() if normalizer else found
        """,
        "multiplied out": """
            squares = v.square().sum(1, keepdim=True) - 2 * v @ centres.T + centres.square().sum(1)
            constant = v.shape[1] * (sigma.log() + 0.5 * math.log(2 * math.pi)) if normalizer else 0
            return -0.5 * squares / sigma**2 - constant - math.log(len(centres))
        """,
        "loop": """
            columns = []
            for c, s in zip(centres, sigma):
                exponent = -((v - c) ** 2).sum(dim=1) / (2 * s * s) - math.log(len(centres))
                columns.append(exponent - v.shape[1] * torch.log(s * (2 * math.pi) ** 0.5) if normalizer else exponent)
            return torch.stack(columns, dim=1)
        """,
    },
)


# --- 7.5 mixture_m_step -----------------------------------------------------------------------------------------


def _assigned() -> list[Case]:
    """Samples with soft assignments: odd shapes, D = 1, K = 1, both types, far from the origin, and hard ones."""
    found = []
    for i, (n, k, d, kind) in enumerate(((6, 3, 2, DOUBLE), (9, 2, 4, DOUBLE), (8, 3, 3, SINGLE), (7, 4, 1, DOUBLE))):
        q = torch.softmax(2 * _normal(70 + i, n, k), dim=1)
        found.append(Case(((_normal(60 + i, n, d) + 3 * (i == 1)).to(kind), q.to(kind))))
    hard = F.one_hot(_ids(5, 8, 2), 2).double()
    return [*found, Case((_normal(69, 5, 2), torch.ones(5, 1, dtype=DOUBLE))), Case((_normal(68, 8, 3), hard))]


declare(
    __name__,
    losses.mixture_m_step,
    number="7.5",
    title="the M-step: weighted means and spreads",
    difficulty=3,
    importance=4,
    minutes=12,
    points=2,
    hints=(
        "The mass of a component is the sum of its column of q, (K,). The centre is the weighted mean of the samples.",
        "q.T @ v is (K, D): the weighted sums. Divide row j by the mass of component j.",
        "sigma_j^2 is the weighted mean of |v_i - c_j|^2, divided by D, because D dimensions share one sigma.",
    ),
    cases=_assigned,
    fields=("centres", "sigma"),
    answer="""
        def mixture_m_step(v, q):
            mass = q.sum(dim=0)
            centres = q.T @ v / mass[:, None]
            squares = (v[:, None, :] - centres).square().sum(dim=2)
            sigma = ((q * squares).sum(dim=0) / (v.shape[1] * mass)).sqrt()
            return centres, sigma
    """,
    mistakes={
        "divided by N": Edit(
            "mass = q.sum(dim=0) -> mass = q.sum(dim=0) * 0 + len(v)", "divided by N; divide by the mass."
        ),
        "centres by N": Edit(
            "/ mass[:, None] -> / len(v)", "the weighted sums were divided by N; by the mass of each."
        ),
        "centres not divided": Edit("/ mass[:, None] ->", "the centres are weighted sums; divide them by the mass."),
        "spread by N": Edit(
            "v.shape[1] * mass -> v.shape[1] * len(v)", "the spread was divided by N; by the mass of each."
        ),
        "spread not divided by the mass": Edit(
            "(v.shape[1] * mass) -> v.shape[1]", "the spread is not divided by the mass, sum_i Q_ij."
        ),
        "spread of all": Edit(
            "(q * squares).sum(dim=0) / (v.shape[1] * mass) -> squares.mean(dim=0) / v.shape[1]",
            "the spread ignores q: it is the plain mean over all samples; weigh them by q.",
        ),
        "D outside the root": Edit(
            "(v.shape[1] * mass)).sqrt() -> mass).sqrt() / v.shape[1]",
            "D stands outside the root: sigma^2 is divided by D, and the root comes last.",
        ),
        "root before the mean": Edit(
            "((q * squares).sum(dim=0) / (v.shape[1] * mass)).sqrt() -> "
            "(q.T[:, :, None] * (v - centres[:, None]) ** 2).sum(dim=1).div(mass[:, None]).sqrt().mean(dim=1)",
            "the root was taken for each dimension, and the roots averaged; average the variances, then take the root.",
        ),
        "one sigma for all": Edit(
            "((q * squares).sum(dim=0) / (v.shape[1] * mass)).sqrt() -> "
            "((q * squares).sum() / (v.shape[1] * len(v))).sqrt().expand(q.shape[1])",
            "one sigma is shared by all prototypes; each has its own sigma_j.",
        ),
        "centres of length 1": Edit(
            "q.T @ v / mass[:, None] -> F.normalize(q.T @ v, dim=1)",
            "the centres were given length 1; divide the weighted sums by the mass: a mean.",
        ),
        "softmax of q": Edit(
            "mass = q.sum(dim=0) -> q = torch.softmax(q, dim=1); mass = q.sum(dim=0)",
            "a softmax was taken of q; its rows sum to 1 already.",
        ),
        "mass of the last sample": Edit(
            "mass = q.sum(dim=0) -> mass = q[-1]",
            "the mass is the weight of the last sample only: does its sum stand inside the loop over the samples?",
        ),
        "last sample left out": Edit(
            "mass = q.sum(dim=0) -> v, q = v[:-1], q[:-1]; mass = q.sum(dim=0)",
            "the last sample is left out: where does the loop, or the slice, end?",
        ),
        "no D": Edit("v.shape[1] * mass -> mass", "D is missing: one sigma is shared by the D dimensions."),
        "variance": Edit(
            "mass)).sqrt() -> mass))", "that is sigma squared; asked is its root, the standard deviation."
        ),
        "not squared": Edit(
            "sum(dim=2) -> sum(dim=2).sqrt()", "distances were averaged; the variance is the mean of their squares."
        ),
        "spread without weights": Edit(
            "(q * squares).sum -> squares.sum", "the spread counts every sample in full; weigh it by q."
        ),
        "around the common mean": Edit(
            "- centres).square() -> - v.mean(dim=0).expand_as(centres)).square()",
            "the spread was taken around the mean of all samples; around the new centre of each component.",
        ),
        "N - 1": Edit(
            "v.shape[1] * mass -> v.shape[1] * (mass - 1)",
            "one was taken from the mass; the maximum has the mass itself.",
        ),
        "plain means": Edit(
            "q.T @ v / -> torch.ones_like(q).T @ v / len(v) * mass[:, None] /", "the centres ignore q."
        ),
        "hard": Body(
            """
            q = F.one_hot(q.argmax(dim=1), q.shape[1]).to(v)
            mass = q.sum(dim=0)
            centres = q.T @ v / mass[:, None]
            squares = (v[:, None, :] - centres).square().sum(dim=2)
            return centres, ((q * squares).sum(dim=0) / (v.shape[1] * mass)).sqrt()
            """,
            "q was rounded to the nearest prototype: that is the step of k-means. Here the weights are soft.",
        ),
        "squared weights": Edit("(q * squares) -> (q.square() * squares)", "the weights of the spread are q, not q^2."),
    },
    right={
        "normalised weights": """
            w = q / q.sum(dim=0)
            centres = torch.einsum("ij,id->jd", w, v)
            squares = torch.stack([(v - c).square().sum(dim=1) for c in centres], dim=1)
            return centres, torch.sqrt((w * squares).sum(dim=0) / v.shape[1])
        """,
        "moments": """
            w = q / q.sum(dim=0, keepdim=True)
            centres = w.T @ v
            second = w.T @ v.square()
            return centres, (second - centres.square()).mean(dim=1).sqrt()
        """,
        "loop": """
            centres, sigma = [], []
            for j in range(q.shape[1]):
                w = q[:, j] / q[:, j].sum()
                c = (w[:, None] * v).sum(dim=0)
                centres.append(c)
                sigma.append(((w[:, None] * (v - c) ** 2).sum() / v.shape[1]) ** 0.5)
            return torch.stack(centres), torch.stack(sigma)
        """,
    },
)


# --- 7.6 dropped_factor_error -------------------------------------------------------------------------------------


def dropped_factor_error(cosines: Tensor, phi: Tensor) -> Tensor:
    """The largest error in a probability that comes from dropping `e^(-1/phi_j)`.

    `cosines` `(N, K)`, `phi` `(K,)`; the exact posterior has logits (cos - 1)/phi, PCL cos/phi.
    """
    exact, dropped = torch.softmax((cosines - 1) / phi, dim=1), torch.softmax(cosines / phi, dim=1)
    return (exact - dropped).abs().max()


def _cosines() -> list[Case]:
    """Cosines and concentrations: odd shapes, equal phi, both types."""
    found = []
    for i, (n, k, d, kind) in enumerate(((6, 3, 4, DOUBLE), (9, 5, 3, DOUBLE), (5, 4, 6, SINGLE), (4, 2, 2, DOUBLE))):
        v, c = F.normalize(_normal(80 + i, n, d), dim=1), F.normalize(_normal(85 + i, k, d), dim=1)
        phi = 0.3 * (0.6 * _normal(90 + i, k)).exp()
        found.append(Case(((v @ c.T).to(kind), phi.to(kind))))
    cosines = found[0].args[0]
    return [
        *found,
        Case((cosines, torch.full((3,), 0.2, dtype=DOUBLE)), note="all phi equal"),
        Case((cosines, torch.tensor([0.0002, 0.0003, 0.0005], dtype=DOUBLE)), note="very small phi"),
    ]


declare(
    __name__,
    dropped_factor_error,
    number="7.6",
    title="measure the step that nobody mentions",
    difficulty=2,
    importance=4,
    minutes=8,
    points=2,
    hints=(
        "Two softmaxes over the prototypes, dim=1: one with logits (cos - 1)/phi, one with cos/phi.",
        "phi has shape (K,): it divides columns, one for each prototype.",
        "The largest absolute difference of all entries: (exact - dropped).abs().max().",
    ),
    cases=_cosines,
    gradients=False,
    answer="""
        def dropped_factor_error(cosines, phi):
            exact = torch.softmax((cosines - 1) / phi, dim=1)
            dropped = torch.softmax(cosines / phi, dim=1)
            return (exact - dropped).abs().max()
    """,
    mistakes={
        "mean": Edit(".max() -> .mean()", "that is the mean error; asked is the largest one."),
        "sum": Edit(".max() -> .sum()", "that is the sum of all errors; asked is the largest one."),
        "signed": Edit(
            ".abs().max() -> .max()", "only errors in one direction were looked at; take absolute values first."
        ),
        "over samples, one phi, or 1 outside": Edit(
            "dim=1 -> dim=0",
            "it is 0 for every input, because the same was taken away from all logits of a row. Is it (cos - 1)/phi, "
            "with the 1 inside the bracket? Does the softmax run over the prototypes, dim=1? Has each its own phi?",
        ),
        "of the logits": Edit(
            "torch.softmax((cosines - 1) / phi, dim=1) -> (cosines - 1) / phi\n"
            "torch.softmax(cosines / phi, dim=1) -> cosines / phi",
            "logits were compared; compare probabilities: softmax first.",
        ),
        "plus one": Edit("cosines - 1 -> cosines + 1", "1 was added; |v - c|^2 = 2 - 2 cos gives (cos - 1)/phi."),
        "turned around": Edit(
            "(cosines - 1) -> (1 - cosines)", "the sign: the exponent is (cos - 1)/phi, not (1 - cos)/phi."
        ),
        "only the 1 divided": Edit(
            "(cosines - 1) / phi -> cosines - 1 / phi",
            "only the 1 is divided by phi: a bracket is missing, (cos - 1)/phi.",
        ),
        "half": Edit(
            "(cosines - 1) / phi -> (cosines - 1) / (2 * phi)",
            "a 2 stands below: it is (cos - 1)/phi, with phi = sigma^2.",
        ),
        "logarithms": Edit(
            "softmax -> log_softmax", "logarithms of probabilities were compared; compare the probabilities."
        ),
        "not normalised": Body(
            "return (torch.exp((cosines - 1) / phi) - torch.exp(cosines / phi)).abs().max()",
            "exponentials were compared; probabilities are divided by their sum over the prototypes: softmax.",
        ),
        "the factor itself": Body(
            "return torch.exp(-1 / phi).max()",
            "that is the dropped factor itself; asked is how far a probability moves: compare the two softmaxes.",
        ),
        "relative": Edit(
            "(exact - dropped).abs() -> ((exact - dropped) / exact).abs()",
            "the error was divided by the probability: that is a relative error; asked is the absolute one.",
        ),
        "relative to the other": Edit(
            "(exact - dropped).abs() -> ((exact - dropped) / dropped).abs()",
            "the error was divided by the probability: that is a relative error; asked is the absolute one.",
        ),
        "squared": Edit(".abs().max() -> .square().max()", "the error was squared; asked is its absolute value."),
        "length": Edit(
            ".abs().max() -> .norm()", "a norm adds the squares of all errors; asked is the largest absolute one."
        ),
        "total variation": Edit(
            ".abs().max() -> .abs().sum(dim=1).max() / 2",
            "that is half the sum of a row's errors (the total variation); asked is the largest single one.",
        ),
        "last sample only": Edit(
            "(exact - dropped).abs() -> (exact - dropped)[-1].abs()",
            "only the last sample counts: a loop keeps the largest so far, torch.maximum(worst, ...).",
        ),
        "two": Edit(
            "(cosines - 1) / phi -> (2 * cosines - 2) / phi",
            "the 2 cancels: (2 - 2 cos) / (2 sigma^2) = (1 - cos)/phi.",
        ),
        "E10 squared": Edit(
            "(cosines - 1) / phi -> -(2 - 2 * cosines).square() / (2 * phi)",
            "2 - 2 cos is the squared distance already; it was squared again.",
        ),
        "phi squared": Edit("/ phi -> / phi.square()", "phi is sigma^2 already; it was squared."),
        "times phi": Edit("/ phi -> * phi", "the logits were multiplied by phi; phi divides, like a temperature."),
        "overflow": Body(
            "a, b = torch.exp((cosines - 1) / phi), torch.exp(cosines / phi)\n"
            "return (a / a.sum(dim=1, keepdim=True) - b / b.sum(dim=1, keepdim=True)).abs().max()",
            "exp of a cosine over a very small phi is infinite: torch.softmax shifts first.",
        ),
        "distance of rows": Edit(
            ".abs().max() -> .abs().sum(dim=1).max()", "errors of a row were added; asked is the largest single one."
        ),
        "root mean square": Edit(
            ".abs().max() -> .square().mean().sqrt()", "a root mean square; asked is the largest."
        ),
    },
    right={
        "one factor": """
            dropped = torch.log_softmax(cosines / phi, dim=1)
            exact = torch.softmax(dropped - 1 / phi, dim=1)
            return torch.amax(torch.abs(exact - dropped.exp()))
        """,
        "loop": """
            largest = cosines.new_zeros(())
            for row in cosines:
                a, b = torch.softmax(row / phi - 1 / phi, dim=0), torch.softmax(row / phi, dim=0)
                for x, y in zip(a, b):
                    largest = torch.maximum(largest, (x - y).abs())
            return largest
        """,
        "a norm": """
            pair = torch.stack([(cosines - 1) / phi, cosines / phi]).softmax(dim=2)
            return torch.linalg.vector_norm(pair[0] - pair[1], float("inf"))
        """,
    },
)


# --- 7.7 raw_concentration ----------------------------------------------------------------------------------------


def _clustered() -> list[Case]:
    """Distances to the own centre, and ids: every cluster has two members or more, of sizes that differ."""
    found = []
    for i, (n, k, kind, alpha) in enumerate(
        ((9, 3, DOUBLE, 10.0), (14, 5, DOUBLE, 3.0), (12, 4, SINGLE, 10.0), (6, 2, DOUBLE, 0.5))
    ):
        settings = {"num_clusters": k} | ({"alpha": alpha} if alpha != 10 else {})
        found.append(Case(((0.5 * _normal(100 + i, n)).exp().to(kind), _ids(100 + i, n, k)), settings))
    return found


declare(
    __name__,
    losses.raw_concentration,
    number="7.7",
    title="concentration: how tight is a cluster?",
    difficulty=2,
    importance=4,
    minutes=10,
    points=2,
    hints=(
        "distances[assignments == j] are the distances of the members of cluster j; Z is how many there are.",
        "phi_j is their sum, divided by Z log(Z + alpha). alpha stands inside the logarithm.",
        "A loop over range(num_clusters) that fills distances.new_zeros(num_clusters).",
    ),
    cases=_clustered,
    gradients=False,
    answer="""
        def raw_concentration(distances, assignments, num_clusters, alpha=10.0):
            phi = distances.new_zeros(num_clusters)
            for j in range(num_clusters):
                own = distances[assignments == j]
                phi[j] = own.sum() / (len(own) * math.log(len(own) + alpha))
            return phi
    """,
    mistakes={
        "no logarithm": Edit(
            "math.log(len(own) + alpha) -> (len(own) + alpha)", "the logarithm is missing: log(Z + alpha)."
        ),
        "mean only": Edit(
            "(len(own) * math.log(len(own) + alpha)) -> len(own)",
            "that is the mean distance; log(Z + alpha) divides too.",
        ),
        "not divided by Z": Edit(
            "len(own) * math.log -> math.log", "the distances were added; divide by their number Z as well."
        ),
        "no alpha": Edit("+ alpha -> + 0", "alpha is missing: log(Z + alpha)."),
        "alpha outside": Edit(
            "math.log(len(own) + alpha) -> (math.log(len(own)) + alpha)",
            "alpha stands outside the logarithm: log(Z + alpha).",
        ),
        "alpha alone": Edit(
            "math.log(len(own) + alpha) -> math.log(alpha)", "Z is missing in the log: log(Z + alpha)."
        ),
        "alpha times Z": Edit(
            "len(own) + alpha -> len(own) * alpha", "Z was multiplied by alpha; add it: log(Z + alpha)."
        ),
        "K in the logarithm": Edit(
            "math.log(len(own) + -> math.log(num_clusters +", "K stands in the logarithm; Z counts the members."
        ),
        "alpha fixed": Edit("+ alpha -> + 10", "the argument alpha is ignored: 10 is only its default."),
        "log1p": Edit("math.log( -> math.log(1 + ", "1 was added inside the logarithm: log(Z + alpha), nothing else."),
        "squared distances": Edit("own.sum() -> own.square().sum()", "the distances were squared; here they are not."),
        "times the logarithm": Edit(
            "own.sum() / (len(own) * math.log(len(own) + alpha)) -> own.mean() * math.log(len(own) + alpha)",
            "multiplied by log(Z + alpha); divide, so that large clusters get a smaller phi.",
        ),
        "N for Z": Edit("len(own) -> len(distances)", "N was taken for Z: Z counts the members of the cluster."),
        "N in the logarithm": Edit(
            "math.log(len(own) + -> math.log(len(distances) +", "N stands in the logarithm; Z counts the members."
        ),
        "sum over N": Edit(
            "(len(own) * math.log -> (len(distances) * math.log",
            "the sum was divided by N, the number of all samples; by Z, that of the members of the cluster.",
        ),
        "Z - 1": Edit("(len(own) * math -> ((len(own) - 1) * math", "divided by Z - 1; a mean divides by Z."),
        "root mean square": Edit(
            "own.sum() / (len(own) * -> own.square().mean().sqrt() / (1 *",
            "the root of the mean square was taken; the mean of the distances.",
        ),
        "median": Edit(
            "own.sum() / (len(own) * -> own.median() / (1 *", "the median was taken; the mean of the distances."
        ),
        "last member only": Edit(
            "own.sum() -> own[-1]",
            "only the last member of each cluster counts: an assignment overwrites the entry. Add, as index_add does.",
        ),
        "counted from one": Edit("assignments == j -> assignments == j + 1", "ids run from 0 to K - 1; here from 1."),
        "inverse": Edit(
            "return phi -> return 1 / phi", "that is 1 / phi: the distances stand above, the logarithm below."
        ),
        "rescaled": Edit(
            "return phi -> return phi / phi.mean() * 0.2",
            "it was rescaled to a mean, a rule of later; asked is the raw phi.",
        ),
        "divided by its mean": Edit(
            "return phi -> return phi / phi.mean()", "it was rescaled to a mean of 1; asked is the raw phi."
        ),
        "clipped": Edit(
            "return phi -> return phi.clamp(phi.quantile(0.1), phi.quantile(0.9))",
            "it was clipped to percentiles, a rule of later; asked is the raw phi.",
        ),
        "logarithm of whole numbers": Body(
            """
            z = torch.bincount(assignments, minlength=num_clusters)
            sums = distances.new_zeros(num_clusters).index_add(0, assignments, distances)
            return sums / (z * torch.log(z + alpha))
            """,
            "the log of whole numbers is computed in float32: give the counts the type of the distances first, "
            "z.to(distances).",
        ),
        "largest distance": Edit(
            "own.sum() / (len(own) * -> own.max() / (1 *", "the largest distance was taken; the mean."
        ),
        "one for all": Edit(
            "distances[assignments == j] -> distances", "all samples were taken; those of cluster j only."
        ),
        "decimal logarithm": Edit("math.log -> math.log10", "the natural logarithm is meant: log, not log10."),
    },
    right={
        "index_add": """
            sums = distances.new_zeros(num_clusters).index_add(0, assignments, distances)
            sizes = distances.new_zeros(num_clusters).index_add(0, assignments, torch.ones_like(distances))
            return sums / (sizes * (sizes + alpha).log())
        """,
        "one-hot": """
            member = F.one_hot(assignments, num_clusters).to(distances)
            z = member.sum(dim=0)
            return distances @ member / z / torch.log(z + alpha)
        """,
        "list": """
            groups = [distances[assignments == j] for j in range(num_clusters)]
            return torch.stack([own.mean() / math.log(own.numel() + alpha) for own in groups])
        """,
        "bincount": """
            z = torch.bincount(assignments, minlength=num_clusters).to(distances)
            sums = torch.bincount(assignments, distances, minlength=num_clusters).to(distances)
            return sums / (z * (z + alpha).log())
        """,
    },
)


# --- 7.8 proto_nce ------------------------------------------------------------------------------------------------


def _prototyped() -> list[Case]:
    """Embeddings, prototypes, ids and phi: odd shapes, lengths other than 1, both types, one cluster."""
    found = []
    for i, (n, k, d, kind) in enumerate(
        ((6, 3, 4, DOUBLE), (5, 7, 3, DOUBLE), (9, 4, 5, SINGLE), (7, 2, 2, DOUBLE), (3, 1, 3, DOUBLE))
    ):
        v, c = (3 * _normal(110 + i, n, d)).to(kind), (0.4 * _normal(120 + i, k, d)).to(kind)
        phi = 0.3 * (0.5 * _normal(130 + i, k)).exp()
        found.append(Case((v, c, _ids(140 + i, n, k), phi.to(kind))))
    v, c, own, phi = found[0].args
    return [*found, Case((v, c, own, phi / 500), note="very small phi")]


PROTO_OTHER_ORDER = "the values come in another order: (total, alignment, contrast)."

declare(
    __name__,
    losses.proto_nce,
    number="7.8",
    title="ProtoNCE, the loss of the M-step",
    difficulty=3,
    importance=5,
    minutes=15,
    points=3,
    hints=(
        "Normalise the rows of v and of prototypes. The logits are u @ c.T / phi: (N, K), phi divides the columns.",
        "alignment is minus the mean logit of each sample's own prototype: logits.gather(1, assignments[:, None]).",
        "contrast is the mean of logits.logsumexp(dim=1), over all K prototypes. total = alignment + contrast.",
    ),
    cases=_prototyped,
    fields=("total", "alignment", "contrast"),
    answer="""
        def proto_nce(v, prototypes, assignments, phi):
            u, c = F.normalize(v, dim=1), F.normalize(prototypes, dim=1)
            logits = u @ c.T / phi
            alignment = -logits.gather(1, assignments[:, None]).mean()
            contrast = logits.logsumexp(dim=1).mean()
            return alignment + contrast, alignment, contrast
    """,
    mistakes={
        "not normalised": Edit(
            "F.normalize(v, dim=1), F.normalize(prototypes, dim=1) -> v, prototypes",
            "neither v nor the prototypes are normalised: the logits are cosines divided by phi.",
        ),
        "v not normalised": Edit("F.normalize(v, dim=1) -> v", "v is not normalised: divide each row by its length."),
        "prototypes not normalised": Edit(
            "F.normalize(prototypes, dim=1) -> prototypes", "the prototypes are not normalised: unit rows, as v."
        ),
        "normalised over samples": Edit(
            "F.normalize(v, dim=1) -> F.normalize(v, dim=0)",
            "v was normalised over the samples; each row has length 1.",
        ),
        "phi of the row": Edit(
            "/ phi -> / phi[assignments][:, None]",
            "phi of the sample's own cluster divides its whole row; phi_j divides column j.",
        ),
        "one temperature": Edit("/ phi -> / phi.mean()", "one temperature for all; each prototype has its own phi_j."),
        "times phi": Edit("/ phi -> * phi", "multiplied by phi; it divides the logits, as a temperature does."),
        "root of phi": Edit("/ phi -> / phi.sqrt()", "the root of phi was taken; phi itself divides the logits."),
        "phi squared": Edit("/ phi -> / phi.square()", "phi was squared; phi itself divides the logits."),
        "no phi": Edit("/ phi ->", "phi is missing: it divides the cosines."),
        "the exact posterior": Edit(
            "u @ c.T / phi -> (u @ c.T - 1) / phi",
            "those are the logits of the exact posterior, (cos - 1)/phi; PCL drops the factor e^(-1/phi).",
        ),
        "no minus": Edit("= -logits.gather -> = logits.gather", "the leading minus is missing (erratum E12)."),
        "contrast over samples": Edit(
            "logsumexp(dim=1) -> logsumexp(dim=0)",
            "the sum of the contrast runs over the samples; over the prototypes, dim=1.",
        ),
        "sums": Edit(".mean() -> .sum()", "sums over the samples; both terms are means."),
        "sampled prototypes": Edit(
            "logits.logsumexp(dim=1) -> logits[:, assignments].logsumexp(dim=1)",
            "the sum runs over the prototypes of the batch, with repetitions (P10); it runs over all K, once each.",
        ),
        "overflow": Edit(
            "logits.logsumexp(dim=1) -> logits.exp().sum(dim=1).log()",
            "exp of a cosine over a very small phi is infinite: use logsumexp, which shifts first.",
        ),
        "nearest prototype": Edit(
            "logits.gather(1, assignments[:, None]) -> logits.amax(dim=1)",
            "the nearest prototype was taken for the own one; the E-step says which, in assignments.",
        ),
        "all pairs of the batch": Edit(
            "logits.gather(1, assignments[:, None]) -> logits[:, assignments]",
            "logits[:, assignments] has a column for each sample of the batch, (N, N); asked is one entry a row, "
            "logits[i, assignments[i]]: index with torch.arange(N), or gather.",
        ),
        "the diagonal": Edit(
            "logits.gather(1, assignments[:, None]).mean() -> logits.diagonal().mean()",
            "the diagonal pairs sample i with prototype i; asked is the prototype of its cluster, assignments[i].",
        ),
        "no phi in the alignment": Edit(
            "-logits.gather(1 -> -(u @ c.T).gather(1",
            "phi is missing in the alignment: both terms take the same logits, cosines divided by phi.",
        ),
        "no phi in the contrast": Edit(
            "logits.logsumexp(dim=1) -> (u @ c.T).logsumexp(dim=1)",
            "phi is missing in the contrast: both terms take the same logits, cosines divided by phi.",
        ),
        "own prototype left out": Edit(
            "logits.logsumexp(dim=1).mean() -> logits.masked_fill(F.one_hot(assignments, len(phi)).bool(), -math.inf)"
            ".logsumexp(dim=1).mean()",
            "the own prototype is missing from the sum; it belongs to it.",
        ),
        "contrast of the last sample": Edit(
            "logits.logsumexp(dim=1).mean() -> logits.logsumexp(dim=1)[-1] / len(v)",
            "only the last sample counts in the contrast: the sum is overwritten in each step of the loop.",
        ),
        "alignment of the last sample": Edit(
            "-logits.gather(1, assignments[:, None]).mean() -> -logits.gather(1, assignments[:, None])[-1, 0] / len(v)",
            "only the last sample counts in the alignment: the sum is overwritten in each step of the loop.",
        ),
        "largest logit": Edit(
            "logits.logsumexp(dim=1) -> logits.amax(dim=1)",
            "only the largest logit counts in the contrast: the log of the sum of exponentials.",
        ),
        "mean over prototypes": Edit(
            "logits.logsumexp(dim=1).mean() -> (logits.logsumexp(dim=1) - math.log(len(phi))).mean()",
            "a mean over the K prototypes inside the logarithm; it is a sum.",
        ),
        "contrast subtracted": Edit(
            "alignment + contrast, -> alignment - contrast,", "the contrast was taken away; add it."
        ),
        "negative alignment field": Edit(
            "contrast, alignment, contrast -> contrast, -alignment, contrast",
            "the sign of the field alignment: total = alignment + contrast.",
        ),
        "total only": Edit(
            "return alignment + contrast, alignment, contrast -> return alignment + contrast", "return the 3 values"
        ),
        "other order": Edit(
            "return alignment + contrast, alignment, contrast -> return alignment, contrast, alignment + contrast",
            PROTO_OTHER_ORDER,
        ),
    },
    right={
        "log-softmax": """
            logits = (v / v.norm(dim=1, keepdim=True)) @ (prototypes / prototypes.norm(dim=1, keepdim=True)).T / phi
            alignment = -logits[torch.arange(len(v)), assignments].mean()
            total = -torch.log_softmax(logits, dim=1)[torch.arange(len(v)), assignments].mean()
            return total, alignment, total - alignment
        """,
        "cross-entropy": """
            logits = torch.einsum("id,jd->ij", F.normalize(v, dim=1), F.normalize(prototypes, dim=1)) / phi[None]
            total = F.cross_entropy(logits, assignments)
            contrast = torch.logsumexp(logits, dim=1).mean()
            return total, total - contrast, contrast
        """,
        "loop": """
            alignment = contrast = v.new_zeros(())
            for x, s in zip(v, assignments):
                row = torch.stack([x @ c / (x.norm() * c.norm() * p) for c, p in zip(prototypes, phi)])
                alignment = alignment - row[s] / len(v)
                contrast = contrast + row.logsumexp(dim=0) / len(v)
            return alignment + contrast, alignment, contrast
        """,
    },
)


# --- 7.9 prototype_term: repair -------------------------------------------------------------------------------------


def prototype_term(v: Tensor, index: Tensor, prototypes: Tensor, assignments: Tensor, phi: Tensor) -> Tensor:
    """ProtoNCE of a batch, averaged over M clusterings of all images.

    `v` is `(N, D)`; `index` `(N,)` says which images the rows are; `prototypes` `(M, K, D)`, `assignments`
    `(M, images)`, `phi` `(M, K)`.
    """
    terms = [losses.proto_nce(v, c, ids[index], p).total for c, ids, p in zip(prototypes, assignments, phi)]
    return torch.stack(terms).mean()


def _clusterings() -> list[Case]:
    """A batch of some of the images, in any order, under one to three clusterings."""
    found = []
    for i, (n, images, m, k, kind) in enumerate(
        ((5, 20, 2, 3, DOUBLE), (4, 16, 3, 4, DOUBLE), (6, 18, 2, 5, SINGLE), (5, 12, 1, 3, DOUBLE))
    ):
        d = 3 + i
        index = torch.randperm(images, generator=torch.Generator().manual_seed(150 + i))[:n]
        ids = torch.stack([_ids(160 + 10 * i + j, images, k) for j in range(m)])
        phi = 0.3 * (0.5 * _normal(170 + i, m, k)).exp()
        found.append(
            Case((_normal(180 + i, n, d).to(kind), index, _normal(190 + i, m, k, d).to(kind), ids, phi.to(kind)))
        )
    return found


declare(
    __name__,
    prototype_term,
    number="7.9",
    title="repair: a step that runs and pulls to wrong prototypes",
    difficulty=2,
    importance=4,
    minutes=10,
    points=2,
    hints=(
        "Row i of the batch is image index[i]. The clusters were found for all images, in the order of the data set.",
        "ids[: len(v)] are the clusters of the first images of the data set. Whose clusters do you need?",
        "ids[index], in the loop over the M clusterings; then the mean of the M totals.",
    ),
    cases=_clusterings,
    answer="""
        def prototype_term(v, index, prototypes, assignments, phi):
            terms = [proto_nce(v, c, ids[index], p)[0] for c, ids, p in zip(prototypes, assignments, phi)]
            return torch.stack(terms).mean()
    """,
    mistakes={
        "as it was": Edit(
            "ids[index] -> ids[: len(v)]",
            "that is the step as it was: it takes the clusters of the first images, not those of the batch.",
        ),
        "last images": Edit(
            "ids[index] -> ids[-len(v) :]", "those are the clusters of the last images; of the batch: index."
        ),
        "index sorted": Edit("ids[index] -> ids[index.sort().values]", "the index was sorted; the rows of v were not."),
        "index backwards": Edit(
            "ids[index] -> ids[index.flip(0)]", "the index runs backwards: row i of v is image index[i]."
        ),
        "argsort of the index": Edit(
            "ids[index] -> ids[index.argsort()]", "the index was sorted; row i of v is image index[i], in this order."
        ),
        "first prototypes": Edit(
            "proto_nce(v, c, -> proto_nce(v, prototypes[0],",
            "the prototypes of the first clustering serve all; each has its own.",
        ),
        "mean phi": Edit(
            "p)[0] -> phi.mean(dim=0))[0]", "phi was averaged over the clusterings; each clustering has its own phi."
        ),
        "inverse phi": Edit(
            "p)[0] -> 1 / p)[0]", "the logits were multiplied by phi, or 1 / phi was handed on: phi divides them."
        ),
        "divided by N": Edit(
            ".mean() -> .sum() / len(v)", "the sum was divided by N, the batch; by M, the number of clusterings."
        ),
        "divided by M + 1": Edit(
            ".mean() -> .sum() / (len(terms) + 1)", "divided by M + 1; by M, the number of terms."
        ),
        "last of M": Edit(
            "torch.stack(terms).mean() -> terms[-1] / len(terms)",
            "only the last clustering is left: the sum is overwritten in each step of the loop, total = total + ...",
        ),
        "last left out": Edit(
            "torch.stack(terms).mean() -> torch.stack(terms)[:-1].sum() / len(terms)",
            "the last clustering is left out: where does the loop end?",
        ),
        "first left out": Edit(
            "torch.stack(terms).mean() -> torch.stack(terms)[1:].sum() / len(terms)",
            "the first clustering is left out: where does the loop start?",
        ),
        "log of a sum": Edit(
            ".mean() -> .logsumexp(dim=0)", "a log of a sum of exponentials; the M terms are averaged."
        ),
        "prototypes averaged": Body(
            "return proto_nce(v, prototypes.mean(dim=0), assignments[0][index], phi.mean(dim=0))[0]",
            "the prototypes were averaged over the clusterings; each clustering has its own loss: average those.",
        ),
        "all prototypes in one sum": Body(
            """
            c, p, k = prototypes.flatten(0, 1), phi.flatten(), prototypes.shape[1]
            terms = [proto_nce(v, c, ids[index] + m * k, p)[0] for m, ids in enumerate(assignments)]
            return torch.stack(terms).mean()
            """,
            "the prototypes of all clusterings stand in one sum; each clustering has its own K.",
        ),
        "sum over clusterings": Edit(".mean() -> .sum()", "the M terms were added; they are averaged, 1/M."),
        "first clustering only": Edit(
            "torch.stack(terms).mean() -> terms[0]", "only the first clustering counts; average all M."
        ),
        "last clustering only": Edit(
            "torch.stack(terms).mean() -> terms[-1]", "only the last clustering counts; average all M."
        ),
        "worst clustering": Edit(".mean() -> .max()", "the worst clustering alone counts; the terms are averaged."),
        "first assignments": Edit(
            "ids[index] -> assignments[0][index]", "the ids of the first clustering serve all; each has its own."
        ),
        "first phi": Edit("p)[0] -> phi[0])[0]", "phi of the first clustering serves all; each has its own."),
        "nearest prototype": Edit(
            "ids[index] -> (F.normalize(v, dim=1) @ F.normalize(c, dim=1).T).argmax(dim=1)",
            "the nearest prototype was taken; the assignments of the E-step stay fixed during the M-step.",
        ),
        "alignment": Edit("p)[0] -> p)[1]", "that is the alignment alone; the total is the first value."),
        "contrast": Edit("p)[0] -> p)[2]", "that is the contrast alone; the total is the first value."),
        "detached": Edit("proto_nce(v, -> proto_nce(v.detach(),", "no gradient reaches v: leave out detach()."),
        **within("proto_nce", "not normalised", "phi of the row", "no minus", "sampled prototypes", "sums"),
    },
    right={
        "loop": """
            total = 0
            for m in range(len(prototypes)):
                total = total + losses.proto_nce(v, prototypes[m], assignments[m, index], phi[m]).total
            return total / len(prototypes)
        """,
        "cross-entropy": """
            total = 0
            for m in range(len(prototypes)):
                logits = F.normalize(v, dim=1) @ F.normalize(prototypes[m], dim=1).T / phi[m]
                total = total + F.cross_entropy(logits, assignments[m][index]) / len(prototypes)
            return total
        """,
        "all at once": """
            logits = torch.einsum("id,mkd->mik", F.normalize(v, dim=1), F.normalize(prototypes, dim=2)) / phi[:, None]
            return -torch.log_softmax(logits, dim=2).gather(2, assignments[:, index, None]).mean()
        """,
    },
)


# --- 7.10 nmi_of_counts ---------------------------------------------------------------------------------------------


def nmi_of_counts(counts: Tensor) -> Tensor:
    """Normalised mutual information of a table `(K, classes)` that counts the samples of each cluster and class."""
    p = counts / counts.sum()
    h_rows, h_columns, h_both = (torch.special.entr(x).sum() for x in (p.sum(dim=1), p.sum(dim=0), p))
    return 2 * (h_rows + h_columns - h_both) / (h_rows + h_columns)


def _tables() -> list[Case]:
    """Tables of counts: more clusters than classes and fewer, empty cells, a perfect one, an independent one."""
    found = []
    for i, (k, classes, kind) in enumerate(((3, 4, DOUBLE), (6, 3, DOUBLE), (4, 4, SINGLE), (2, 5, DOUBLE))):
        counts = (4 * _normal(200 + i, k, classes)).abs().round() + (i == 2)
        counts[:, 0] += 1
        found.append(Case((counts.to(kind),)))
    independent = torch.outer(torch.tensor([1.0, 2, 3], dtype=DOUBLE), torch.tensor([2.0, 1], dtype=DOUBLE))
    return [
        *found,
        Case((5 * torch.eye(3, dtype=DOUBLE),), note="clusters that are the classes"),
        Case((independent,), note="clusters that know nothing of the classes"),
    ]


declare(
    __name__,
    nmi_of_counts,
    number="7.10",
    title="do the clusters agree with the classes?",
    difficulty=2,
    importance=3,
    minutes=10,
    points=2,
    hints=(
        "Divide the table by its sum: p(cluster, class). Its sums over dim=1 and dim=0 are the two marginals.",
        "The mutual information is H(clusters) + H(classes) - H(both). torch.special.entr(p) is -p log p, and 0 at 0.",
        "Divide it by the mean of the two entropies: 2 (H_r + H_c - H_both) / (H_r + H_c).",
    ),
    cases=_tables,
    gradients=False,
    answer="""
        def nmi_of_counts(counts):
            p = counts / counts.sum()
            h_rows, h_columns, h_both = (torch.special.entr(x).sum() for x in (p.sum(dim=1), p.sum(dim=0), p))
            return 2 * (h_rows + h_columns - h_both) / (h_rows + h_columns)
    """,
    mistakes={
        "counts not divided": Edit(
            "counts / counts.sum() -> counts", "counts are no probabilities: divide by their sum."
        ),
        "rows made to sum to one": Edit(
            "counts / counts.sum() -> counts / counts.sum(dim=1, keepdim=True)",
            "each row was divided by its own sum; divide the table by the sum of all counts.",
        ),
        "sum of entropies": Edit(
            "return 2 * -> return", "divided by the sum of the two entropies; by their mean: a factor 2."
        ),
        "empty cells": Edit(
            "torch.special.entr(x) -> (-x * x.log())",
            "0 * log(0) is NaN: for an empty cell count 0 log 0 as 0, as entr does.",
        ),
        "mean of the terms": Edit(
            "entr(x).sum() -> entr(x).mean()", "an entropy is a sum over the entries; a mean was taken."
        ),
        "mean for the marginals": Edit(
            "p.sum(dim=1), p.sum(dim=0) -> p.mean(dim=1), p.mean(dim=0)",
            "a mean stands for the marginals: they are sums over dim=1 and dim=0, which sum to 1.",
        ),
        "softmax of the counts": Edit(
            "counts / counts.sum() -> counts.flatten().softmax(dim=0).view_as(counts)",
            "a softmax was taken of the counts; divide them by their sum.",
        ),
        "joint entropy in bits": Edit(
            "h_columns - h_both -> h_columns - h_both / math.log(2)",
            "the joint entropy is in bits, base 2, and the others in nats: any base will do, but the same for all.",
        ),
        "entropy of both": Body(
            "p = counts / counts.sum()\nreturn torch.special.entr(p).sum()",
            "that is the entropy of both together; the mutual information is H(clusters) + H(classes) - H(both).",
        ),
        "minus": Edit("return 2 * -> return -2 *", "the sign: H(clusters) + H(classes) - H(both) is never negative."),
        "distance": Edit("return 2 * -> return 1 - 2 *", "that is 1 minus the NMI, a distance; asked is the NMI."),
        "bracket below": Edit(
            "2 * (h_rows + h_columns - h_both) / (h_rows + h_columns) "
            "-> 2 * (h_rows + h_columns - h_both) * (h_rows + h_columns)",
            "multiplied by the sum of the entropies: a bracket is missing below, / (0.5 * (...)).",
        ),
        "smaller entropy": Edit(
            "2 * (h_rows + h_columns - h_both) / (h_rows + h_columns) "
            "-> (h_rows + h_columns - h_both) / torch.minimum(h_rows, h_columns)",
            "divided by the smaller entropy; by the mean of both.",
        ),
        "log K": Edit(
            "2 * (h_rows + h_columns - h_both) / (h_rows + h_columns) "
            "-> (h_rows + h_columns - h_both) / math.log(len(counts))",
            "divided by log K, the largest entropy that K clusters may have; by the mean of the two entropies.",
        ),
        "last class left out": Edit(
            "range(len(b)) -> range(len(b) - 1)", "the last class is left out: where does the loop end?", of="ratio"
        ),
        "last cluster left out": Edit(
            "range(len(a)) -> range(len(a) - 1)", "the last cluster is left out: where does the loop end?", of="ratio"
        ),
        "terms not weighed": Edit(
            "information + p[i, j] * torch.log -> information + torch.log",
            "the logarithms are not weighed: each counts with its share p(cluster, class).",
            of="ratio",
        ),
        "one marginal": Edit(
            "(a[i] * b[j]) -> a[i]",
            "the share was divided by the marginal of the cluster alone; by the product with that of the class.",
            of="ratio",
        ),
        "not normalised": Edit(
            "2 * (h_rows + h_columns - h_both) / (h_rows + h_columns) -> h_rows + h_columns - h_both",
            "that is the mutual information in nats; divide by the mean of the two entropies.",
        ),
        "by the clusters' entropy": Edit(
            "2 * (h_rows + h_columns - h_both) / (h_rows + h_columns) -> (h_rows + h_columns - h_both) / h_rows",
            "divided by the entropy of the clusters alone; by the mean of both.",
        ),
        "by the classes' entropy": Edit(
            "2 * (h_rows + h_columns - h_both) / (h_rows + h_columns) -> (h_rows + h_columns - h_both) / h_columns",
            "divided by the entropy of the classes alone; by the mean of both.",
        ),
        "geometric mean": Edit(
            "2 * (h_rows + h_columns - h_both) / (h_rows + h_columns) "
            "-> (h_rows + h_columns - h_both) / (h_rows * h_columns).sqrt()",
            "divided by the geometric mean of the entropies; here it is the arithmetic one.",
        ),
        "larger entropy": Edit(
            "2 * (h_rows + h_columns - h_both) / (h_rows + h_columns) "
            "-> (h_rows + h_columns - h_both) / torch.maximum(h_rows, h_columns)",
            "divided by the larger entropy; by the mean of both.",
        ),
        "by the joint entropy": Edit(
            "/ (h_rows + h_columns) -> / (2 * h_both)",
            "divided by the joint entropy; by the mean of the two marginal ones.",
        ),
        "joint added": Edit(
            "h_columns - h_both -> h_columns + h_both", "the joint entropy was added; it is taken away."
        ),
        "purity": Body(
            "return counts.amax(dim=1).sum() / counts.sum()",
            "that is the purity: the share of each cluster's commonest class. It is 1 for clusters of one sample.",
        ),
        "marginals mixed up": Edit(
            "p.sum(dim=0), p) -> p.sum(dim=1), p)",
            "the entropy of the clusters was taken twice; the classes are dim=0.",
        ),
    },
    right={
        "bits": """
            p = counts / counts.sum()
            h = [-(x[x > 0] * x[x > 0].log2()).sum() for x in (p.sum(1), p.sum(0), p)]
            return (h[0] + h[1] - h[2]) / ((h[0] + h[1]) / 2)
        """,
        "ratio": """
            p = counts / counts.sum()
            a, b = p.sum(dim=1), p.sum(dim=0)
            information = counts.new_zeros(())
            for i in range(len(a)):
                for j in range(len(b)):
                    if p[i, j] > 0:
                        information = information + p[i, j] * torch.log(p[i, j] / (a[i] * b[j]))
            return 2 * information / (torch.special.entr(a).sum() + torch.special.entr(b).sum())
        """,
        "xlogy": """
            n = counts.sum()
            rows, columns = counts.sum(dim=1), counts.sum(dim=0)
            both, r, c = (n.log() - torch.xlogy(x, x).sum() / n for x in (counts, rows, columns))
            return 2 - 2 * both / (r + c)
        """,
    },
)
