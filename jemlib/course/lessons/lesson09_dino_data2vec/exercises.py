"""Lesson 09: the exercises that derive DINO, data2vec, SimDINO, KoLeo and Gram anchoring, with their mistakes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from jemlib import losses
from jemlib.course.machinery.agreement import Case
from jemlib.course.machinery.answers import Body, Edit, declare, within

DOUBLE, SINGLE = torch.float64, torch.float32


def _normal(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=DOUBLE)


def _weights(seed: int, n: int, k: int) -> Tensor:
    """Rows that sum to 1."""
    return torch.softmax(2 * _normal(seed, n, k), dim=1)


# --- Sentences that serve several exercises ---------------------------------------------------------------------

CENTRE_ADDED = "the centre was added; it is subtracted. (The paper's text adds it, its code subtracts.)"
CENTRE_AFTER = "the centre was subtracted after the division; subtract it from the logits, then divide by tau_t."
NO_CENTRE = "the centre is not used: subtract it from the logits."
TIMES_TAU = "the logits were multiplied by the temperature; divide by it."
NO_TAU = "the temperature is not used."
OVER_SAMPLES = "the softmax runs over the samples; it runs over the K outputs, dim=1."
NO_MINUS = "the minus is missing: a cross-entropy is minus the mean of P log P_s."
SUMMED = "summed over the samples; the loss is their mean."
OVER_K = "divided by K as well; sum over the K outputs, and average over the N samples only."
NOT_DETACHED = "the target is not detached"
SAME_VIEW = "the pairs of one and the same view are counted too: skip them."
HARD_TARGET = "the target was rounded to a one-hot row; it is a whole distribution."
SOFTMAX_TWICE = "p is a distribution already: leave out the softmax of it."
OVERFLOW = "the exponential overflows for large logits, and inf/inf is NaN: torch.softmax shifts each row first."
ONE_SHIFT = (
    "one shift was taken for the batch, and in rows far below it all exponentials underflow to 0, so 0/0: shift each "
    "row by its own largest."
)
BITS = "the logarithm has base 2; it is the natural one, in nats."
EPS_IN_LOG = "a small number was added inside the logarithm; torch.log_softmax needs none."
LOG_OF_ZERO = (
    "a share that is 0 has the logarithm -inf, and 0 * -inf is NaN: torch.log_softmax never takes the log of 0."
)
LATER_VIEWS = (
    "only student views after the teacher's own are counted: every pair with s != t counts, in both directions."
)
LOCAL_LEFT_OUT = "the student's local views are left out: every student view but the teacher's own counts."
ALL_PAIRS = (
    "divided by the number of all pairs; those of one and the same view are skipped, so they do not count there."
)
EACH_WITH_EACH = (
    "each sample was paired with all samples of the batch; each row goes with its own row of the other view."
)
EPS_SQUARED = "eps stands there squared; the convention here has eps itself."

# --- 9.1 teacher_distribution -----------------------------------------------------------------------------------


def teacher_distribution(logits: Tensor, center: Tensor, temperature: float = 0.04) -> Tensor:
    """`softmax((g - c) / tau_t)`, `(N, K)`, without gradient."""
    return torch.softmax((logits - center) / temperature, dim=1).detach()


def _logits() -> list[Case]:
    """Logits and a centre: odd shapes, K = 2, N = 1, both types, other temperatures."""
    found = []
    for i, (n, k, kind, tau) in enumerate(
        ((6, 3, DOUBLE, None), (4, 5, DOUBLE, 0.3), (7, 2, SINGLE, None), (1, 4, DOUBLE, 0.1), (5, 3, DOUBLE, 1.0))
    ):
        scale = 0.1 if tau is None else 1.0
        args = (scale * (_normal(i, n, k) + 1), scale * _normal(10 + i, k))
        found.append(Case(tuple(a.to(kind) for a in args), {} if tau is None else {"temperature": tau}))
    far = _normal(16, 3, 4) + torch.tensor([[0.0], [300.0], [-300.0]], dtype=DOUBLE)
    return [*found, Case((far, _normal(17, 4)), note="very large logits")]


declare(
    __name__,
    teacher_distribution,
    number="9.1",
    title="centre, then sharpen: the teacher's distribution",
    difficulty=1,
    importance=5,
    minutes=5,
    points=1,
    hints=(
        "Three steps in this order: subtract the centre, divide by the temperature, softmax.",
        "The softmax runs over the K outputs of each sample, dim=1. The centre (K,) broadcasts over the rows.",
        "torch.softmax((logits - center) / temperature, dim=1), and .detach(), because a target is not trained.",
    ),
    cases=_logits,
    constants=(1,),
    answer="""
        def teacher_distribution(logits, center, temperature=0.04):
            return torch.softmax((logits - center) / temperature, dim=1).detach()
    """,
    mistakes={
        "centre added": Edit("logits - center -> logits + center", CENTRE_ADDED),
        "centre after the division": Edit(
            "(logits - center) / temperature -> logits / temperature - center", CENTRE_AFTER
        ),
        "no centre": Edit("logits - center -> logits", NO_CENTRE),
        "times the temperature": Edit("/ temperature -> * temperature", TIMES_TAU),
        "no temperature": Edit("/ temperature ->", NO_TAU),
        "over samples": Edit("dim=1 -> dim=0", OVER_SAMPLES),
        "logarithm": Edit("torch.softmax -> torch.log_softmax", "that is the logarithm of the distribution."),
        "sigmoid": Edit(
            "torch.softmax((logits - center) / temperature, dim=1) -> torch.sigmoid((logits - center) / temperature)",
            "a sigmoid looks at each output alone; the softmax makes the K outputs sum to 1.",
        ),
        "not normalised": Edit(
            "torch.softmax((logits - center) / temperature, dim=1) -> torch.exp((logits - center) / temperature)",
            "the rows do not sum to 1: divide the exponentials by their sum.",
        ),
        "not detached": Edit(
            ".detach() ->", "the values are right, but gradients reach the teacher: a target is detached."
        ),
        "own centre": Edit(
            "- center -> - logits.mean(dim=0)",
            "the mean of this batch was subtracted; subtract the centre that is given.",
        ),
        "turned round": Edit(
            "logits - center -> center - logits", "the order is turned round: subtract the centre from the logits."
        ),
        "after the softmax": Body(
            "return (torch.softmax(logits / temperature, dim=1) - center).detach()",
            "the centre was subtracted from the distribution; subtract it from the logits, before the softmax.",
        ),
        "over everything": Body(
            "x = (logits - center) / temperature\nreturn torch.softmax(x.flatten(), dim=0).view_as(x).detach()",
            "all entries together sum to 1; each row must.",
        ),
        "hard": Body(
            "return F.one_hot((logits - center).argmax(dim=1), logits.shape[1]).to(logits)",
            "the largest output gets everything: that is temperature 0. A softmax is soft.",
        ),
        "overflow": Body(
            "e = torch.exp((logits - center) / temperature)\nreturn (e / e.sum(dim=1, keepdim=True)).detach()", OVERFLOW
        ),
        "one shift for all": Body(
            """
            x = (logits - center) / temperature
            e = torch.exp(x - x.max())
            return (e / e.sum(dim=1, keepdim=True)).detach()
            """,
            ONE_SHIFT,
        ),
        "unit length": Edit(
            "(logits - center) -> F.normalize(logits - center, dim=1)",
            "the centred logits were scaled to length 1; only the temperature divides them.",
        ),
        "student's temperature": Edit(
            "/ temperature -> / 0.1", "the temperature is that of the student, 0.1; use the argument."
        ),
    },
    right={
        "exponentials": """
            e = torch.exp((logits - center - (logits - center).amax(dim=1, keepdim=True)) / temperature)
            return (e / e.sum(dim=1, keepdim=True)).detach()
        """,
        "two divisions": "return (logits.detach() / temperature - center.detach() / temperature).softmax(dim=-1)",
        "log": """
            with torch.no_grad():
                return ((logits - center) / temperature).log_softmax(dim=1).exp()
        """,
        "loop": "return torch.stack([torch.softmax((row - center) / temperature, dim=0) for row in logits]).detach()",
    },
)


# --- 9.2 teacher_cross_entropy ----------------------------------------------------------------------------------


def teacher_cross_entropy(p: Tensor, student_logits: Tensor, temperature: float = 0.1) -> Tensor:
    """`-(1/N) sum_i sum_k p_ik log softmax(s_i / tau_s)_k`; the target p is detached."""
    return -(p.detach() * torch.log_softmax(student_logits / temperature, dim=1)).sum(dim=1).mean()


def _targets() -> list[Case]:
    """A target and logits: odd shapes, N = 1, both types, other temperatures, and logits that overflow an exp."""
    found = []
    for i, (n, k, kind, tau) in enumerate(
        ((6, 3, DOUBLE, None), (4, 5, DOUBLE, 0.5), (7, 4, SINGLE, None), (1, 4, DOUBLE, 0.3), (5, 2, DOUBLE, 1.0))
    ):
        args = (_weights(20 + i, n, k), (0.2 if tau is None else 1.0) * _normal(30 + i, n, k))
        found.append(Case(tuple(a.to(kind) for a in args), {} if tau is None else {"temperature": tau}))
    far = 200 * _normal(36, 4, 3)
    return [*found, Case((_weights(37, 4, 3), far), note="very large logits")]


TARGET_DETACHED = "the target is not detached: gradients reach the teacher, which must only be followed."
declare(
    __name__,
    teacher_cross_entropy,
    number="9.2",
    title="the student's cross-entropy under the teacher",
    difficulty=2,
    importance=5,
    minutes=8,
    points=2,
    hints=(
        "The sum on paper: for each sample i and output k, add p_ik times log P_s,ik. Then minus, and divide by N.",
        "log softmax directly: torch.log_softmax(student_logits / temperature, dim=1). log of a softmax may be log 0.",
        "p.detach() * log_s, summed over dim=1, mean over the samples, minus.",
    ),
    cases=_targets,
    answer="""
        def teacher_cross_entropy(p, student_logits, temperature=0.1):
            log_s = torch.log_softmax(student_logits / temperature, dim=1)
            return -(p.detach() * log_s).sum(dim=1).mean()
    """,
    mistakes={
        "no minus": Edit("return -( -> return (", NO_MINUS),
        "not weighted": Edit("p.detach() * log_s -> log_s", "p is not used: it weighs the logarithms of the student."),
        "softmax of p": Edit("p.detach() -> p.detach().softmax(dim=1)", SOFTMAX_TWICE),
        "p sharpened": Edit(
            "p.detach() -> (p.detach().log() / temperature).softmax(dim=1)",
            "the temperature was applied to p as well; p is the teacher's distribution already.",
        ),
        "each with each": Edit("(p.detach() * log_s).sum(dim=1) -> (p.detach() @ log_s.T)", EACH_WITH_EACH),
        "small number": Edit(
            "torch.log_softmax(student_logits / temperature, dim=1) "
            "-> torch.log(torch.softmax(student_logits / temperature, dim=1) + 1e-8)",
            EPS_IN_LOG,
        ),
        "bits": Edit("return -( -> return -1 / math.log(2) * (", BITS),
        "squared": Edit(
            "-(p.detach() * log_s) -> (p.detach() - log_s.exp()).square()",
            "squares of the difference were taken; the cross-entropy is minus p times log P_s.",
        ),
        "arguments exchanged": Body(
            "return F.cross_entropy(p.detach(), student_logits / temperature)",
            "the two arguments of F.cross_entropy are swapped: the logits come first, then the target distribution.",
        ),
        "summed": Edit(".sum(dim=1).mean() -> .sum()", SUMMED),
        "mean over all": Edit(".sum(dim=1).mean() -> .mean()", OVER_K),
        "no temperature": Edit("/ temperature ->", NO_TAU),
        "times the temperature": Edit("/ temperature -> * temperature", TIMES_TAU),
        "over samples": Edit("dim=1) -> dim=0)", OVER_SAMPLES),
        "not detached": Edit("p.detach() -> p", TARGET_DETACHED),
        "no logarithm": Edit(
            "torch.log_softmax -> torch.softmax", "the logarithm is missing: P_t times log P_s, not times P_s."
        ),
        "the other way round": Edit(
            "(p.detach() * log_s) -> (log_s.exp() * p.detach().clamp_min(1e-300).log())",
            "the roles are exchanged: the teacher's distribution weighs the student's logarithm.",
        ),
        "divergence": Edit(
            "(p.detach() * log_s) -> (p.detach() * (log_s - p.detach().log()))",
            "the teacher's entropy was subtracted: that is the divergence KL. Asked is the cross-entropy.",
        ),
        "hard target": Edit(
            "p.detach() * -> F.one_hot(p.argmax(dim=1), p.shape[1]).to(p) *",
            HARD_TARGET,
        ),
        "overflow": Edit(
            "log_s = torch.log_softmax(student_logits / temperature, dim=1) "
            "-> e = (student_logits / temperature).exp(); log_s = torch.log(e / e.sum(1, keepdim=True))",
            "NaN or infinite",
        ),
        "temperature outside": Edit(
            "student_logits / temperature, dim=1) -> student_logits, dim=1) / temperature",
            "the temperature divides the logits, inside the softmax; it was applied to the logarithm.",
        ),
    },
    right={
        "loop": """
            total = 0
            for target, logits in zip(p.detach(), student_logits):
                log_s = logits / temperature - torch.logsumexp(logits / temperature, dim=0)
                for k in range(len(logits)):
                    total = total - target[k] * log_s[k]
            return total / len(p)
        """,
        "cross_entropy": "return F.cross_entropy(student_logits / temperature, p.detach())",
        "two parts": """
            x = student_logits / temperature
            return (x.logsumexp(dim=1) * p.detach().sum(dim=1) - (p.detach() * x).sum(dim=1)).mean()
        """,
        "einsum": """
            return -torch.einsum("nk,nk->", p.detach(), F.log_softmax(student_logits / temperature, -1)) / p.shape[0]
        """,
    },
)


# --- 9.3 dino ---------------------------------------------------------------------------------------------------


def dino(
    student_logits: Sequence[Tensor],
    teacher_logits: Sequence[Tensor],
    center: Tensor,
    student_temperature: float = 0.1,
    teacher_temperature: float = 0.04,
) -> losses.DINOLoss:
    """`losses.dino` of views that may also come stacked."""
    found: losses.DINOLoss = losses.dino(
        list(student_logits), list(teacher_logits), center, student_temperature, teacher_temperature
    )
    return found


def _views() -> list[Case]:
    """Views of student and teacher, stacked: two and two, four and two, three and one, four and three; both types."""
    found = []
    for i, (v, t, n, k, kind, settings) in enumerate(
        (
            (2, 2, 5, 3, DOUBLE, {}),
            (4, 2, 3, 4, DOUBLE, {}),
            (3, 1, 6, 2, DOUBLE, {}),
            (3, 2, 4, 5, SINGLE, {}),
            (3, 2, 4, 3, DOUBLE, {"student_temperature": 0.5, "teacher_temperature": 0.2}),
            (2, 2, 1, 4, DOUBLE, {"student_temperature": 0.3}),
            (4, 3, 4, 3, DOUBLE, {"teacher_temperature": 0.1}),
        )
    ):
        args = (0.2 * _normal(40 + i, v, n, k), 0.2 * _normal(50 + i, t, n, k), 0.1 * _normal(60 + i, k))
        found.append(Case(tuple(a.to(kind) for a in args), settings))
    sharp = (30 * _normal(46, 3, 4, 5), 30 * _normal(56, 2, 4, 5), _normal(66, 5))
    return [*found, Case(sharp, note="shares that are exactly 0")]


declare(
    __name__,
    dino,
    number="9.3",
    title="the loss of DINO, over all pairs of views",
    difficulty=3,
    importance=5,
    minutes=12,
    points=3,
    hints=(
        "Two loops: over the teacher's views t, over the student's views s. Skip s == t, where both saw the same view.",
        "Each pair gives one teacher_cross_entropy. The total is the mean over the pairs, not their sum.",
        "The entropy of the targets: torch.special.entr(p).sum(dim=1).mean(), averaged over the teacher's views. "
        "divergence = total - entropy.",
    ),
    cases=_views,
    fields=("total", "teacher_entropy", "divergence"),
    lists=(0, 1),
    constants=(2,),
    answer="""
        def dino(student_logits, teacher_logits, center, student_temperature=0.1, teacher_temperature=0.04):
            targets = [teacher_distribution(g, center, teacher_temperature) for g in teacher_logits]
            pairs = [
                teacher_cross_entropy(p, logits, student_temperature)
                for t, p in enumerate(targets)
                for s, logits in enumerate(student_logits)
                if s != t
            ]
            total = torch.stack(pairs).mean()
            entropy = torch.stack([torch.special.entr(p).sum(dim=1).mean() for p in targets]).mean()
            return total, entropy, total - entropy
    """,
    mistakes={
        "same view too": Edit("if s != t -> if True", SAME_VIEW),
        "only the same view": Edit(
            "if s != t -> if s == t", "only pairs of one and the same view are counted; those are the ones to skip."
        ),
        "global views only": Edit(
            "enumerate(student_logits) -> enumerate(student_logits[: len(teacher_logits)])",
            LOCAL_LEFT_OUT,
        ),
        "first teacher only": Edit(
            "for t, p in enumerate(targets) -> for t, p in enumerate(targets[:1])",
            "only the first teacher view is used; each one is a target.",
        ),
        "summed pairs": Edit(
            "torch.stack(pairs).mean() -> torch.stack(pairs).sum()", "the pairs were summed; the loss is their mean."
        ),
        "entropy summed over views": Edit(
            "for p in targets]).mean() -> for p in targets]).sum()",
            "the entropies of the teacher's views were summed; average them.",
        ),
        "temperatures exchanged": Edit(
            "g, center, teacher_temperature -> g, center, student_temperature\n"
            "p, logits, student_temperature -> p, logits, teacher_temperature",
            "the two temperatures are exchanged: tau_t is the teacher's, tau_s the student's.",
        ),
        "two teachers only": Edit(
            "enumerate(targets) -> enumerate(targets[:2])\nfor p in targets]).mean() -> for p in targets[:2]]).mean()",
            "only two of the teacher's views are used; each view in the list is a target, however many there are.",
        ),
        "the student's temperature for both": Edit(
            "g, center, teacher_temperature -> g, center, student_temperature",
            "the teacher got the student's temperature; it has its own.",
        ),
        "one temperature": Edit(
            "p, logits, student_temperature -> p, logits, teacher_temperature",
            "the student got the teacher's temperature; it has its own.",
        ),
        "student centred too": Edit(
            "teacher_cross_entropy(p, logits, -> teacher_cross_entropy(p, logits - center,",
            "the centre was taken from the student's logits too; only the teacher is centred.",
        ),
        "divergence added": Edit(
            "total - entropy -> total + entropy", "the divergence is the total minus the teacher's entropy."
        ),
        "divergence reversed": Edit(
            "total - entropy -> entropy - total", "the divergence has the wrong sign: it is total - entropy."
        ),
        "divergence for the total": Edit(
            "return total, -> return total - entropy,",
            "the first value is the divergence; the total is the whole cross-entropy, entropy included.",
        ),
        "later views only": Edit("if s != t -> if s > t", LATER_VIEWS),
        "all pairs in the mean": Edit(
            "torch.stack(pairs).mean() -> torch.stack(pairs).sum() / (len(student_logits) * len(targets))", ALL_PAIRS
        ),
        "V of all views": Edit(
            "torch.stack(pairs).mean() -> torch.stack(pairs).sum() / (2 * (len(student_logits) + 1))",
            "divided by 2 (V + 1) with all of the student's views for V, which counts local ones: divide by the pairs.",
        ),
        "divided by the teacher's views": Edit(
            "torch.stack(pairs).mean() -> torch.stack(pairs).sum() / len(targets)",
            "the sum was divided by the teacher's views only; divide by the number of pairs.",
        ),
        "entropy of the student": Edit(
            "torch.special.entr(p).sum(dim=1).mean() for p in targets "
            "-> torch.special.entr((x.detach() / student_temperature).softmax(1)).sum(1).mean() "
            "for x in student_logits",
            "the entropy is the student's; the teacher's is asked.",
        ),
        "entropy of the mean": Edit(
            "torch.special.entr(p).sum(dim=1).mean() -> torch.special.entr(p.mean(dim=0)).sum()",
            "that is the entropy of the mean distribution; take the entropy of each sample's row, then their mean.",
        ),
        "0 log 0": Edit(
            "torch.special.entr(p) -> (-p * p.log())",
            "0 * log(0) is NaN: count 0 log 0 as 0, as torch.special.entr does.",
        ),
        "small number": Edit(
            "torch.special.entr(p) -> (-p * (p + 1e-8).log())",
            "a small number was added inside the logarithm of the entropy; torch.special.entr(p) needs none.",
        ),
        "own teacher's logarithm": Edit(
            "teacher_cross_entropy(p, logits, student_temperature) "
            "-> -((logits / student_temperature).softmax(dim=1) * p.log()).sum(dim=1).mean()",
            "the roles are exchanged: the teacher's distribution weighs the logarithm of the student's.",
        ),
        "stops at the own view": Edit(
            "continue -> break",
            "the loop stops at the pair of one and the same view: `continue` skips it, `break` drops what follows.",
            of="loops",
        ),
        "entropy negative": Edit(
            "torch.special.entr(p) -> -torch.special.entr(p)", "the entropy has the wrong sign: -sum p log p."
        ),
        "not detached": Edit(
            "teacher_distribution(g, center, teacher_temperature) "
            "-> torch.softmax((g - center) / teacher_temperature, dim=1)\n"
            "torch.special.entr(p) -> torch.special.entr(p)",
            NOT_DETACHED,
        ),
        "entropy per output": Edit(
            "torch.special.entr(p).sum(dim=1).mean() -> torch.special.entr(p).mean()",
            "the entropy was averaged over the K outputs; it is their sum, averaged over the samples.",
        ),
        **within("teacher_distribution", "centre added", "no centre", "centre after the division"),
        **within("teacher_distribution", "over samples", "own centre"),
        **within("teacher_cross_entropy", "no minus", "summed", "mean over all", "hard target"),
        "log of a softmax": Edit(
            "F.log_softmax(x / student_temperature, dim=1) -> F.softmax(x / student_temperature, dim=1).log()",
            LOG_OF_ZERO,
            of="loops",
        ),
    },
    right={
        "loops": """
            total, count, entropy = 0, 0, 0
            for t, g in enumerate(teacher_logits):
                p = torch.softmax((g - center) / teacher_temperature, dim=1).detach()
                entropy = entropy + torch.special.entr(p).sum() / (len(p) * len(teacher_logits))
                for s, x in enumerate(student_logits):
                    if s == t:
                        continue
                    total = total - (p * F.log_softmax(x / student_temperature, dim=1)).sum() / len(p)
                    count += 1
            return total / count, entropy, total / count - entropy
        """,
        "all at once": """
            p = ((torch.stack(list(teacher_logits)).detach() - center.detach()) / teacher_temperature).softmax(dim=2)
            log_s = (torch.stack(list(student_logits)) / student_temperature).log_softmax(dim=2)
            table = -torch.einsum("tnk,snk->ts", p, log_s) / p.shape[1]
            off = ~torch.eye(len(p), len(log_s), dtype=torch.bool)
            entropy = torch.special.entr(p).sum(dim=2).mean()
            return table[off].mean(), entropy, table[off].mean() - entropy
        """,
        "divergence first": """
            p = [teacher_distribution(g, center, teacher_temperature) for g in teacher_logits]
            h = torch.stack([-torch.xlogy(q, q).sum(dim=1).mean() for q in p]).mean()
            total = sum(
                F.cross_entropy(x / student_temperature, q)
                for t, q in enumerate(p) for s, x in enumerate(student_logits) if s != t
            ) / (len(p) * (len(student_logits) - 1))
            return total, h, total - h
        """,
    },
)


# --- 9.4 dino_gradient ------------------------------------------------------------------------------------------


def dino_gradient(p: Tensor, student_logits: Tensor, temperature: float = 0.1) -> Tensor:
    """`(P_s - p) / (tau_s N)`: the gradient of `teacher_cross_entropy` with respect to the student's logits."""
    return (torch.softmax(student_logits / temperature, dim=1) - p) / (temperature * len(p))


declare(
    __name__,
    dino_gradient,
    number="9.4",
    title="its gradient: prediction minus target",
    difficulty=2,
    importance=4,
    minutes=10,
    points=2,
    hints=(
        "The derivative of log softmax(x)_k with respect to x_j is [j = k] - P_j. Multiply by -p_k and sum over k.",
        "The p_k sum to 1, so what is left is P_j - p_j. The inner derivative of s / tau_s gives 1 / tau_s.",
        "(torch.softmax(student_logits / temperature, dim=1) - p) / (temperature * N).",
    ),
    cases=_targets,
    gradients=False,
    closed_form=True,
    answer="""
        def dino_gradient(p, student_logits, temperature=0.1):
            predicted = torch.softmax(student_logits / temperature, dim=1)
            return (predicted - p) / (temperature * len(p))
    """,
    mistakes={
        "sign": Edit("predicted - p -> p - predicted", "the sign is turned round: prediction minus target."),
        "no N": Edit("(temperature * len(p)) -> temperature", "1/N is missing: the loss is a mean over the samples."),
        "no temperature outside": Edit(
            "(temperature * len(p)) -> len(p)", "the inner derivative 1/tau_s is missing: the logits are s / tau_s."
        ),
        "times the temperature": Edit(
            "/ (temperature * len(p)) -> * temperature / len(p)",
            "multiplied by the temperature at the end; the inner derivative is 1/tau_s.",
        ),
        "no temperature inside": Edit(
            "student_logits / temperature -> student_logits", "the softmax is that of s / tau_s."
        ),
        "over K too": Edit(
            "(temperature * len(p)) -> (temperature * p.numel())",
            "divided by K as well; the loss is a mean over N only.",
        ),
        "default temperature inside": Edit(
            "student_logits / temperature -> student_logits / 0.1",
            "the softmax has the default temperature 0.1; use the argument there too.",
        ),
        "K for N": Edit("len(p) -> p.shape[1]", "divided by K; the loss is a mean over the N samples."),
        "temperature squared": Edit(
            "(temperature * len(p)) -> (temperature**2 * len(p))", "divided by the temperature twice; once is right."
        ),
        "softmax of p": Edit("predicted - p -> predicted - p.softmax(dim=1)", SOFTMAX_TWICE),
        "no target": Edit("(predicted - p) -> predicted", "the target p is missing: prediction minus target."),
        "logarithm": Edit(
            "torch.softmax -> torch.log_softmax", "the logarithm of the prediction stands there; leave out the log."
        ),
        "only its own output": Edit(
            "(predicted - p) -> p * (predicted - 1)",
            "only the term j = k is there: each logit moves the log-softmax of all outputs, so sum over k.",
        ),
        "overflow": Edit(
            "torch.softmax(student_logits / temperature, dim=1) "
            "-> (student_logits / temperature).exp() / (student_logits / temperature).exp().sum(dim=1, keepdim=True)",
            OVERFLOW,
        ),
        "only the target": Edit("(predicted - p) -> (-p)", "the prediction is missing: it comes from the log-sum-exp."),
        "p over prediction": Edit(
            "(predicted - p) -> (-p / predicted)", "that is the derivative by P_s; go on through the softmax."
        ),
        "squared error": Edit(
            "(predicted - p) -> (predicted - p) * predicted * (1 - predicted)",
            "that is the gradient of another loss: the slope of the softmax cancels in a cross-entropy.",
        ),
        "over samples": Edit("dim=1 -> dim=0", OVER_SAMPLES),
        "hard target": Edit(
            "predicted - p -> predicted - F.one_hot(p.argmax(dim=1), p.shape[1]).to(p)",
            HARD_TARGET,
        ),
    },
    right={
        "two terms": """
            x = student_logits / temperature
            predicted = (x - x.logsumexp(dim=1, keepdim=True)).exp()
            return predicted / temperature / len(p) - p / temperature / len(p)
        """,
        "loop": """
            rows = []
            for target, logits in zip(p, student_logits):
                rows.append((torch.softmax(logits / temperature, dim=0) - target) / temperature)
            return torch.stack(rows) / p.shape[0]
        """,
        "jacobian": """
            q = torch.softmax(student_logits / temperature, dim=1)
            slope = torch.eye(p.shape[1], dtype=p.dtype) - q[:, None, :]
            return -torch.einsum("nk,nkj->nj", p, slope) / (temperature * len(p))
        """,
    },
)


# --- 9.5 teacher_step: the repair -------------------------------------------------------------------------------


class TeacherStep(NamedTuple):
    """What a step gives: the targets `(views, N, K)` and the next centre `(K,)`."""

    targets: Tensor
    center: Tensor


def teacher_step(
    center: Tensor, teacher_logits: Sequence[Tensor], momentum: float = 0.9, temperature: float = 0.04
) -> TeacherStep:
    """The targets under the old centre, and the next centre from the raw logits."""
    logits = list(teacher_logits)
    targets = torch.stack([teacher_distribution(g, center, temperature) for g in logits])
    return TeacherStep(targets, losses.update_center(center, logits, momentum))


def _teachers(**settings: tuple[float, ...]) -> Callable[[], list[Case]]:
    """A centre and views of the teacher, stacked: one to three views, both types, other settings for some."""

    def cases() -> list[Case]:
        found = []
        for i, (t, n, k, kind) in enumerate(
            ((2, 5, 3, DOUBLE), (2, 4, 6, DOUBLE), (1, 6, 2, SINGLE), (3, 3, 4, DOUBLE))
        ):
            args = (0.1 * _normal(70 + i, k), 0.2 * _normal(80 + i, t, n, k) + 0.2 * _normal(90 + i, k))
            chosen = {name: values[i // 2] for name, values in settings.items()} if i % 2 else {}
            found.append(Case(tuple(a.to(kind) for a in args), chosen))
        return found

    return cases


HALF = (
    "the new centre was computed from logits that were already centred: it then stops at half of the bias. Use the raw "
    "logits."
)
declare(
    __name__,
    teacher_step,
    number="9.5",
    title="repair: a centre that never arrives",
    difficulty=3,
    importance=5,
    minutes=12,
    points=2,
    hints=(
        "Two things leave the step, and both use the old centre: the targets, and the moving average.",
        "What is averaged are the raw logits, neither centred nor divided by the temperature, over samples and views.",
        "center_new = momentum * center + (1 - momentum) * mean; the name `teacher_logits` must still hold raw logits.",
    ),
    cases=_teachers(momentum=(0.5, 0.0), temperature=(0.1, 0.3)),
    fields=("targets", "center"),
    lists=(1,),
    gradients=False,
    answer="""
        def teacher_step(center, teacher_logits, momentum=0.9, temperature=0.04):
            targets = torch.stack([teacher_distribution(g, center, temperature) for g in teacher_logits])
            mean = torch.stack([g.mean(dim=0) for g in teacher_logits]).mean(dim=0)
            return targets, momentum * center + (1 - momentum) * mean
    """,
    mistakes={
        "from centred logits": Edit("g.mean(dim=0) -> (g - center).mean(dim=0)", HALF),
        "centred twice": Edit(
            "teacher_distribution(g, center, -> teacher_distribution(g - center, center,",
            "the centre was taken away twice from the targets.",
        ),
        "targets under the new centre": Body(
            """
            mean = torch.stack([g.mean(dim=0) for g in teacher_logits]).mean(dim=0)
            center = momentum * center + (1 - momentum) * mean
            return torch.stack([teacher_distribution(g, center, temperature) for g in teacher_logits]), center
            """,
            "the targets were computed under the new centre; they use the old one, which is updated afterwards.",
        ),
        "momentum exchanged": Edit(
            "momentum * center + (1 - momentum) * mean -> (1 - momentum) * center + momentum * mean",
            "momentum stands on the wrong part: it is the share of the old centre.",
        ),
        "sum of both": Edit(
            "momentum * center + (1 - momentum) * mean -> momentum * center + mean",
            "the new mean has full weight; its share is 1 - momentum.",
        ),
        "batch mean": Edit("momentum * center + (1 - momentum) * mean -> mean", "the old centre is forgotten."),
        "first view only": Edit(
            "for g in teacher_logits]).mean(dim=0) -> for g in teacher_logits[:1]]).mean(dim=0)",
            "the centre is the mean over all views of the teacher, and only the first was used.",
        ),
        "summed views": Edit(
            "for g in teacher_logits]).mean(dim=0) -> for g in teacher_logits]).sum(dim=0)",
            "the means of the views were summed; average them.",
        ),
        "probabilities": Edit(
            "g.mean(dim=0) -> torch.softmax(g / temperature, dim=1).mean(dim=0)",
            "probabilities were averaged; the centre is a mean of logits.",
        ),
        "of sharpened logits": Edit(
            "g.mean(dim=0) -> (g / temperature).mean(dim=0)",
            "the logits were divided by the temperature before averaging; the centre has their own unit.",
        ),
        "mean of the targets": Edit(
            "g.mean(dim=0) -> teacher_distribution(g, center, temperature).mean(dim=0)",
            "the targets were averaged, which are probabilities; the centre is a mean of raw logits.",
        ),
        "subtracted": Edit(
            "momentum * center + (1 - momentum) * mean -> momentum * center - (1 - momentum) * mean",
            "the sign: the new mean was subtracted; add its share.",
        ),
        "not updated": Edit(
            "momentum * center + (1 - momentum) * mean -> center",
            "the second value is the old centre; return the next one.",
        ),
        "old centre whole": Edit(
            "momentum * center + (1 - momentum) * mean -> center + (1 - momentum) * mean",
            "the old centre keeps its full weight and the sum grows; its share is momentum.",
        ),
        "one after the other": Body(
            """
            targets = torch.stack([teacher_distribution(g, center, temperature) for g in teacher_logits])
            for g in teacher_logits:
                center = momentum * center + (1 - momentum) * g.mean(dim=0)
            return targets, center
            """,
            "the centre moves once for each view; it moves once a step, towards the mean over all views.",
        ),
        "largest": Edit("g.mean(dim=0) -> g.amax(dim=0)", "the largest logit was taken; the centre is their mean."),
        "centre of each sample": Edit(
            "g.mean(dim=0) -> g.mean(dim=0).mean().expand_as(center)",
            "one number serves all outputs; the mean runs over the samples only.",
        ),
        **within("teacher_distribution", "centre added", "no centre", "no temperature", "times the temperature"),
        **within("teacher_distribution", "over samples", "logarithm", "student's temperature"),
    },
    right={
        "cat": """
            everything = torch.cat(list(teacher_logits))
            targets = ((everything - center) / temperature).softmax(dim=1).unflatten(0, (len(teacher_logits), -1))
            return targets, center + (1 - momentum) * (everything.mean(dim=0) - center)
        """,
        "lerp": """
            p = [torch.softmax((g - center) / temperature, dim=1) for g in teacher_logits]
            mean = sum(g.sum(dim=0) for g in teacher_logits) / (len(teacher_logits) * len(teacher_logits[0]))
            return torch.stack(p), torch.lerp(center, mean, 1 - momentum)
        """,
        "repaired in place of the broken one": """
            centred = [g - center for g in teacher_logits]
            targets = torch.stack([torch.softmax(g / temperature, dim=1) for g in centred])
            mean = torch.stack([g.mean(dim=0) for g in centred]).mean(dim=0) + center
            return targets, momentum * center + (1 - momentum) * mean
        """,
    },
)


# --- 9.6 balanced_center ----------------------------------------------------------------------------------------


def balanced_center(
    center: Tensor, teacher_logits: Sequence[Tensor], temperature: float = 0.04, iterations: int = 3
) -> Tensor:
    """`losses.balanced_center` of views that may also come stacked."""
    found: Tensor = losses.balanced_center(center, list(teacher_logits), temperature, iterations)
    return found


declare(
    __name__,
    balanced_center,
    number="9.6",
    title="a centre that balances probabilities",
    difficulty=4,
    importance=5,
    minutes=15,
    points=3,
    hints=(
        "Put the views below each other: torch.cat(list(teacher_logits)). Then repeat the update `iterations` times.",
        "An output with too much probability gets a higher centre: add temperature * log(K * its mean probability).",
        "p = softmax((g - center) / temperature, dim=1); center = center + temperature * log(K * p.mean(dim=0)).",
    ),
    cases=_teachers(temperature=(0.1, 0.3), iterations=(1, 5)),
    lists=(1,),
    gradients=False,
    answer="""
        def balanced_center(center, teacher_logits, temperature=0.04, iterations=3):
            logits = torch.cat(list(teacher_logits))
            for _ in range(iterations):
                p = teacher_distribution(logits, center, temperature)
                center = center + temperature * torch.log(logits.shape[1] * p.mean(dim=0))
            return center
    """,
    mistakes={
        "subtracted": Edit(
            "center + temperature -> center - temperature",
            "the sign is turned round: an output that is used too much needs a higher centre, which is subtracted.",
        ),
        "no temperature": Edit(
            "temperature * torch.log -> torch.log",
            "the step lacks the temperature: probabilities are exponentials of (g - c)/tau_t.",
        ),
        "divided by the temperature": Edit(
            "temperature * torch.log(logits.shape[1] * p.mean(dim=0)) "
            "-> torch.log(logits.shape[1] * p.mean(dim=0)) / temperature",
            "the step was divided by the temperature; multiply.",
        ),
        "no K": Edit(
            "logits.shape[1] * p -> p",
            "K is missing: a mean probability of 1/K is balanced, and must not move the centre.",
        ),
        "N for K": Edit("logits.shape[1] * p -> len(logits) * p", "N stands where K is asked: balanced is 1/K."),
        "sum for mean": Edit(
            "p.mean(dim=0) -> p.sum(dim=0)", "probabilities were summed over the samples; take their mean."
        ),
        "views summed": Edit(
            "p.mean(dim=0) -> len(teacher_logits) * p.mean(dim=0)",
            "the views' means were summed; average over the views too.",
        ),
        "one iteration": Edit(
            "range(iterations) -> range(1)", "only one iteration is done: the argument says how many."
        ),
        "one too few": Edit("range(iterations) -> range(iterations - 1)", "one iteration is missing at the end."),
        "one too many": Edit("range(iterations) -> range(iterations + 1)", "one iteration too many is done."),
        "no centre in the softmax": Edit(
            "teacher_distribution(logits, center, temperature) -> torch.softmax(logits / temperature, dim=1)",
            "the centre is not subtracted before the softmax: each round has to see what the last one did.",
        ),
        "probabilities of the start": Body(
            """
            logits = torch.cat(list(teacher_logits))
            p = teacher_distribution(logits, center, temperature)
            for _ in range(iterations):
                center = center + temperature * torch.log(logits.shape[1] * p.mean(dim=0))
            return center
            """,
            "the probabilities are those of the start in each round: compute them anew in the loop.",
        ),
        "step instead of centre": Edit(
            "center = center + temperature -> center = temperature",
            "the old centre is overwritten by the step; add the step to it.",
        ),
        "mean of logarithms": Edit(
            "torch.log(logits.shape[1] * p.mean(dim=0)) -> torch.log(logits.shape[1] * p).mean(dim=0)",
            "the mean of the logarithms was taken; take the logarithm of the mean.",
        ),
        "rows not normalised": Edit(
            "teacher_distribution(logits, center, temperature) -> torch.exp((logits - center) / temperature)",
            "the rows were not normalised: in each round a softmax makes each sample's probabilities sum to 1.",
        ),
        "its own step only": Edit(
            "logits = torch.cat(list(teacher_logits)) -> logits, start = torch.cat(list(teacher_logits)), center\n"
            "return center -> return center - start",
            "the change of the centre was returned; return the centre itself.",
        ),
        "mean removed": Edit(
            "return center -> return center - center.mean()",
            "the mean over the outputs was subtracted from the centre; return it as the update leaves it.",
        ),
        "divided by K": Edit(
            "logits.shape[1] * p.mean(dim=0) -> p.mean(dim=0) / logits.shape[1]",
            "divided by K; multiply: K P is 1 where it is balanced.",
        ),
        "bits": Edit("torch.log( -> torch.log2(", BITS),
        "default temperature in the step": Edit(
            "center + temperature -> center + 0.04", "the step has the default temperature 0.04; use the argument."
        ),
        "starts at the mean": Edit(
            "logits = torch.cat(list(teacher_logits)) "
            "-> logits, center = torch.cat(list(teacher_logits)), torch.cat(list(teacher_logits)).mean(dim=0)",
            "it starts from the mean of the batch; start from the centre that is given.",
        ),
        "difference of probabilities": Edit(
            "torch.log(logits.shape[1] * p.mean(dim=0)) -> (p.mean(dim=0) - 1 / logits.shape[1])",
            "the difference to 1/K stands there; the update has the logarithm of the ratio, log(K P).",
        ),
        "the table": Edit(
            "return center -> return teacher_distribution(logits, center, temperature)",
            "the distributions were returned; return the centre, (K,).",
        ),
        "starts at zero": Edit(
            "logits = torch.cat(list(teacher_logits)) "
            "-> logits, center = torch.cat(list(teacher_logits)), torch.zeros_like(center)",
            "it starts from 0; start from the centre that is given.",
        ),
        "first view only": Edit(
            "torch.cat(list(teacher_logits)) -> teacher_logits[0]", "only the first view is used; take all of them."
        ),
        "mean logits": Edit(
            "center + temperature * torch.log(logits.shape[1] * p.mean(dim=0)) "
            "-> logits.mean(dim=0) + 0 * p.mean(dim=0)",
            "that is the mean of the logits, DINO's own centre; here mean probabilities shall be equal.",
        ),
        "no logarithm": Edit(
            "torch.log(logits.shape[1] * p.mean(dim=0)) -> (logits.shape[1] * p.mean(dim=0) - 1)",
            "the logarithm is missing: K p - 1 is only its first order.",
        ),
        "over the outputs": Edit(
            "p.mean(dim=0) -> p.mean(dim=1).mean().expand_as(center)",
            "the probabilities were averaged over the outputs too; each output has its own mean.",
        ),
        **within("teacher_distribution", "centre added", "no temperature", "over samples"),
    },
    right={
        "log domain": """
            g = torch.cat(list(teacher_logits))
            n, k = g.shape
            for _ in range(iterations):
                log_p = ((g - center) / temperature).log_softmax(dim=1)
                center = center + temperature * (log_p.logsumexp(dim=0) + math.log(k / n))
            return center
        """,
        "sinkhorn": """
            g = torch.cat(list(teacher_logits)) / temperature
            column = -center / temperature
            for _ in range(iterations):
                row = -torch.logsumexp(g + column, dim=1, keepdim=True)
                column = -torch.logsumexp(g + row, dim=0) + math.log(len(g) / g.shape[1])
            return -temperature * column
        """,
        "by view": """
            k = len(center)
            for _ in range(iterations):
                mean = sum(torch.softmax((g - center) / temperature, 1).mean(0) for g in teacher_logits)
                center = center + temperature * (mean / len(teacher_logits) * k).log()
            return center
        """,
    },
)


# --- 9.7 coding_rate --------------------------------------------------------------------------------------------


def _rows() -> list[Case]:
    """Rows: N < D, N > D, one row, unit rows, rows that coincide; both types, other eps."""
    unit = torch.nn.functional.normalize(_normal(153, 6, 4), dim=1)
    return [
        Case((_normal(150, 5, 3),)),
        Case((_normal(151, 3, 5),), {"eps": 0.5}),
        Case((_normal(152, 6, 2).float(),)),
        Case((unit,), {"eps": 0.2}),
        Case((_normal(154, 1, 4),)),
        Case((unit[:1].expand(5, 4).clone(),), note="all rows equal"),
        Case((1e5 * _normal(155, 32, 32),), note="a determinant too large for a float"),
    ]


declare(
    __name__,
    losses.coding_rate,
    number="9.7",
    title="the room that a batch takes up",
    difficulty=2,
    importance=4,
    minutes=8,
    points=2,
    hints=(
        "z.T @ z is (D, D): which directions the rows use, and how much.",
        "Scale it by D / (N eps), add the identity, take torch.logdet, and half of that.",
        "torch.logdet(torch.eye(d, dtype=z.dtype) + d / (n * eps) * z.T @ z) / 2, with n, d = z.shape.",
    ),
    cases=_rows,
    answer="""
        def coding_rate(z, eps=0.05):
            n, d = z.shape
            return torch.logdet(torch.eye(d, dtype=z.dtype) + d / (n * eps) * z.T @ z) / 2
    """,
    mistakes={
        "no half": Edit("@ z) / 2 -> @ z)", "the factor 1/2 is missing."),
        "no identity": Edit(
            "torch.eye(d, dtype=z.dtype) + d / -> d /",
            "the identity is missing: where a direction is not used, the determinant is 0 and its logarithm infinite.",
        ),
        "no logarithm": Edit("torch.logdet -> torch.det", "the logarithm of the determinant is asked."),
        "no D": Edit("d / (n * eps) -> 1 / (n * eps)", "the factor D is missing: it is D / (N eps)."),
        "no N": Edit("d / (n * eps) -> d / eps", "the 1/N is missing: Z^T Z is a sum over the samples."),
        "N over D": Edit("d / (n * eps) -> n / (d * eps)", "N and D are exchanged in D / (N eps)."),
        "no eps": Edit("(n * eps) -> n", "eps is missing: it divides."),
        "eps at the identity": Edit(
            "torch.eye(d, dtype=z.dtype) + d / (n * eps) -> eps * torch.eye(d, dtype=z.dtype) + d / n",
            "eps multiplies the identity; it divides Z^T Z, which is not the same: eps^D is left over.",
        ),
        "ones for the identity": Edit(
            "torch.eye(d, dtype=z.dtype) -> 1", "1 was added to every entry; the identity has it on the diagonal only."
        ),
        "determinant first": Edit(
            "torch.logdet(torch.eye(d, dtype=z.dtype) + d / (n * eps) * z.T @ z) "
            "-> torch.det(torch.eye(d, dtype=z.dtype) + d / (n * eps) * z.T @ z).log()",
            "the determinant of many dimensions overflows before the logarithm is taken: use torch.logdet.",
        ),
        "without the 1": Edit(
            "torch.logdet(torch.eye(d, dtype=z.dtype) + d / (n * eps) * z.T @ z) "
            "-> (d / (n * eps) * torch.linalg.eigvalsh(z.T @ z)).clamp(min=1e-12).log().sum()",
            "the 1 is missing: log(1 + x) of an eigenvalue 0 is 0, and log x is infinite.",
        ),
        "singular values": Edit(
            "torch.logdet(torch.eye(d, dtype=z.dtype) + d / (n * eps) * z.T @ z) "
            "-> torch.log1p(d / (n * eps) * torch.linalg.svdvals(z)).sum()",
            "singular values of Z stand there; the eigenvalues of Z^T Z are their squares.",
        ),
        "mean over eigenvalues": Edit(
            "@ z) / 2 -> @ z) / 2 / d", "divided by D: the logarithms are summed, not averaged."
        ),
        "covariance": Edit(
            "d / (n * eps) * z.T @ z -> d / (n * eps) * torch.atleast_2d(torch.cov(z.T, correction=min(1, n - 1)))",
            "a covariance was taken: it is centred, and divided by N - 1 already. Z^T Z is the plain sum over samples.",
        ),
        "bits": Edit("@ z) / 2 -> @ z) / 2 / math.log(2)", BITS),
        "logarithm of the entries": Edit(
            "torch.logdet(torch.eye(d, dtype=z.dtype) + d / (n * eps) * z.T @ z) "
            "-> (torch.eye(d, dtype=z.dtype) + d / (n * eps) * z.T @ z).log().sum()",
            "the logarithm of each entry was taken; asked is that of the determinant.",
        ),
        "sum of entries": Edit(
            "torch.logdet(torch.eye(d, dtype=z.dtype) + d / (n * eps) * z.T @ z) "
            "-> (torch.eye(d, dtype=z.dtype) + d / (n * eps) * z.T @ z).sum().log()",
            "the entries were summed; asked is the determinant.",
        ),
        "eps squared": Edit("(n * eps) -> (n * eps**2)", EPS_SQUARED),
        "times eps": Edit("d / (n * eps) -> d * eps / n", "eps multiplies; it divides: the smaller, the finer."),
        "centred": Edit(
            "z.T @ z -> (z - z.mean(dim=0)).T @ (z - z.mean(dim=0))",
            "the mean was taken away; the rows are taken as they are.",
        ),
        "normalised": Edit(
            "z.T @ z -> F.normalize(z, dim=1).T @ F.normalize(z, dim=1)",
            "the rows were scaled to length 1; that is done in the loss, not here.",
        ),
        "trace": Edit("torch.logdet -> torch.trace", "the trace was taken; asked is the logarithm of the determinant."),
        "negative": Edit("return torch -> return -torch", "the sign is turned round: the rate is not negative."),
        "entries": Edit(
            "torch.logdet(torch.eye(d, dtype=z.dtype) + d / (n * eps) * z.T @ z) "
            "-> (torch.eye(d, dtype=z.dtype) + d / (n * eps) * z.T @ z).diagonal().log().sum()",
            "only the diagonal was used; two directions that repeat each other must not count twice.",
        ),
    },
    right={
        "rows": """
            n, d = z.shape
            return torch.logdet(torch.eye(n, dtype=z.dtype) + d / (n * eps) * z @ z.T) / 2
        """,
        "cholesky": """
            n, d = z.shape
            lower = torch.linalg.cholesky(torch.eye(d, dtype=z.dtype) + d / (n * eps) * torch.einsum("ni,nj->ij", z, z))
            return lower.diagonal().log().sum()
        """,
        "slogdet": """
            scaled = z * (z.shape[1] / (z.shape[0] * eps)) ** 0.5
            return 0.5 * torch.linalg.slogdet(torch.eye(z.shape[1]).to(z) + scaled.T @ scaled).logabsdet
        """,
    },
)


# --- 9.8 simdino -----------------------------------------------------------------------------------------------


def simdino(
    student: Sequence[Tensor], teacher: Sequence[Tensor], eps: float = 0.05, expansion: float = 1.0
) -> losses.SimDINOLoss:
    """`losses.simdino` of views that may also come stacked."""
    found: losses.SimDINOLoss = losses.simdino(list(student), list(teacher), eps, expansion)
    return found


def _embedded() -> list[Case]:
    """Views of student and teacher, stacked: two and two, four and two, three and one, four and three; both types."""
    found = []
    for i, (v, t, n, d, kind, settings) in enumerate(
        (
            (2, 2, 5, 3, DOUBLE, {}),
            (4, 2, 3, 4, DOUBLE, {}),
            (3, 1, 6, 2, DOUBLE, {}),
            (3, 2, 4, 5, SINGLE, {}),
            (3, 2, 4, 3, DOUBLE, {"eps": 0.5, "expansion": 0.3}),
            (2, 2, 3, 4, DOUBLE, {"expansion": 2.0}),
            (4, 3, 4, 2, DOUBLE, {}),
        )
    ):
        args = (_normal(160 + i, v, n, d), _normal(170 + i, t, n, d))
        found.append(Case(tuple(a.to(kind) for a in args), settings))
    return found


declare(
    __name__,
    simdino,
    number="9.8",
    title="SimDINO: a cosine and a coding rate",
    difficulty=3,
    importance=5,
    minutes=12,
    points=3,
    hints=(
        "Scale all rows to length 1 first, F.normalize(view, dim=1), and detach the teacher's.",
        "Alignment: over all pairs of a teacher view t and a student view s != t, minus the mean cosine.",
        "The rate is that of the student's first len(teacher) views, one by one, averaged. The weight of the rate is "
        "expansion * (D + N) / (D * N).",
    ),
    cases=_embedded,
    fields=("total", "alignment", "coding_rate"),
    lists=(0, 1),
    answer="""
        def simdino(student, teacher, eps=0.05, expansion=1.0):
            u = [F.normalize(view, dim=1) for view in student]
            targets = [F.normalize(view, dim=1).detach() for view in teacher]
            pairs = [(a * b).sum(dim=1).mean() for t, b in enumerate(targets) for s, a in enumerate(u) if s != t]
            alignment = -torch.stack(pairs).mean()
            rate = torch.stack([coding_rate(view, eps) for view in u[: len(targets)]]).mean()
            n, d = u[0].shape
            return alignment - expansion * (d + n) / (d * n) * rate, alignment, rate
    """,
    mistakes={
        "same view too": Edit("if s != t -> if True", SAME_VIEW),
        "later views only": Edit("if s != t -> if s > t", LATER_VIEWS),
        "only the same view": Edit(
            "if s != t -> if s == t", "only pairs of one and the same view are counted; those are the ones to skip."
        ),
        "global views only": Edit("enumerate(u) -> enumerate(u[: len(targets)])", LOCAL_LEFT_OUT),
        "all pairs in the mean": Edit(
            "torch.stack(pairs).mean() -> torch.stack(pairs).sum() / (len(u) * len(targets))", ALL_PAIRS
        ),
        "each with each": Edit("(a * b).sum(dim=1).mean() -> (a @ b.T).mean()", EACH_WITH_EACH),
        "summed over samples": Edit("(a * b).sum(dim=1).mean() -> (a * b).sum()", SUMMED),
        "squared distance": Edit(
            "(a * b).sum(dim=1).mean() -> -(a - b).square().sum(dim=1).mean()",
            "squared distances were taken, which are 2 - 2 cos; asked is the cosine.",
        ),
        "student detached in the pairs": Edit(
            "(a * b).sum -> (a.detach() * b).sum",
            "no gradient of the alignment reaches the student: detach the teacher only.",
        ),
        "student detached in the rate": Edit(
            "coding_rate(view, eps) -> coding_rate(view.detach(), eps)",
            "no gradient of the rate reaches the student: detach the teacher only.",
        ),
        "alignment field positive": Edit(
            "* rate, alignment, rate -> * rate, -alignment, rate",
            "the sign of the field alignment: it is minus the mean cosine.",
        ),
        "rate field negative": Edit(
            "alignment, rate -> alignment, -rate",
            "the sign of the field coding_rate: only in the total it is subtracted.",
        ),
        "rate of the first view": Edit(
            "view in u[: len(targets)]] -> view in u[:1]]",
            "the rate of the first view only was taken; average over the global views.",
        ),
        "rates summed": Edit(
            "for view in u[: len(targets)]]).mean() -> for view in u[: len(targets)]]).sum()",
            "the rates of the views were summed; take their mean.",
        ),
        "default eps": Edit("coding_rate(view, eps) -> coding_rate(view)", "eps is not handed on to coding_rate."),
        "brackets of the balance": Edit(
            "expansion * (d + n) / (d * n) * -> (expansion * d + n / (d * n)) *",
            "the balance lacks its brackets: (D + N) / (D N).",
        ),
        "rate added": Edit(
            "alignment - expansion -> alignment + expansion", "the rate is added; it shall grow, so subtract it."
        ),
        "alignment positive": Edit("alignment = -torch -> alignment = torch", "alignment is minus the mean cosine."),
        "no balance": Edit(
            "expansion * (d + n) / (d * n) * rate -> expansion * rate", "the balance (D + N)/(D N) is missing."
        ),
        "balance turned": Edit(
            "(d + n) / (d * n) -> (d * n) / (d + n)", "the balance is upside down: (D + N) / (D N)."
        ),
        "rate of all views": Edit(
            "u[: len(targets)]] -> u]", "the rate of local views counts too; it is that of the global ones."
        ),
        "rate of the teacher": Edit(
            "view in u[: len(targets)]] -> view in targets]",
            "the rate of the teacher was taken, which has no gradient; the student must be kept from collapsing.",
        ),
        "rate of all together": Edit(
            "torch.stack([coding_rate(view, eps) for view in u[: len(targets)]]).mean() "
            "-> coding_rate(torch.cat(list(u[: len(targets)])), eps)",
            "the rate of all views together was taken; take it view by view, and average.",
        ),
        "rate of raw rows": Edit(
            "coding_rate(view, eps) for view in u[: len(targets)]] "
            "-> coding_rate(view, eps) for view in student[: len(targets)]]",
            "the rate of rows that are not normalised was taken: longer rows would then take more room.",
        ),
        "not normalised": Edit("F.normalize(view, dim=1) -> view", "the rows are not scaled to length 1."),
        "student not normalised": Edit(
            "F.normalize(view, dim=1) for view in student -> view for view in student",
            "the student's rows are not scaled to length 1.",
        ),
        "teacher not normalised": Edit(
            "F.normalize(view, dim=1).detach() -> view.detach()", "the teacher's rows are not scaled to length 1."
        ),
        "two teachers only": Edit(
            "enumerate(targets) -> enumerate(targets[:2])\nu[: len(targets)] -> u[: len(targets[:2])]",
            "only two of the teacher's views are used; each view in the list counts, however many there are.",
        ),
        "columns normalised": Edit(
            "dim=1) for -> dim=0) for\ndim=1).detach() -> dim=0).detach()", "length 1 is that of"
        ),
        "not detached": Edit(".detach() ->", "the teacher is not detached: gradients must not reach it."),
        "summed pairs": Edit(
            "torch.stack(pairs).mean() -> torch.stack(pairs).sum()", "the pairs were summed; take their mean."
        ),
        "mean of products": Edit(
            "(a * b).sum(dim=1).mean() -> (a * b).mean()", "the products were averaged over D; a cosine sums them."
        ),
        "weighted field": Edit(
            "* rate, alignment, rate -> * rate, alignment, expansion * (d + n) / (d * n) * rate",
            "the field coding_rate carries its weight; fields are unweighted, only total has it.",
        ),
        **within("coding_rate", "no half", "eps squared", "centred"),
    },
    right={
        "loops": """
            n, d = student[0].shape
            total, count = 0, 0
            for t, b in enumerate(teacher):
                for s, a in enumerate(student):
                    if s != t:
                        total, count = total - F.cosine_similarity(a, b.detach(), dim=1).mean(), count + 1
            rate = 0
            for view in list(student)[: len(teacher)]:
                u = F.normalize(view, dim=1)
                rate = rate + torch.logdet(torch.eye(n).to(u) + d / (n * eps) * u @ u.T) / 2 / len(teacher)
            return total / count - expansion * (1 / d + 1 / n) * rate, total / count, rate
        """,
        "all at once": """
            u, v = (F.normalize(torch.stack(list(views)), dim=2) for views in (student, teacher))
            table = torch.einsum("tnd,snd->ts", v.detach(), u) / u.shape[1]
            alignment = -table[~torch.eye(len(v), len(u), dtype=torch.bool)].mean()
            rate = sum(coding_rate(view, eps) for view in u[: len(v)]) / len(v)
            weight = expansion * sum(u.shape[1:]) / (u.shape[1] * u.shape[2])
            return alignment - weight * rate, alignment, rate
        """,
    },
)


# --- 9.9 data2vec_targets ---------------------------------------------------------------------------------------


def data2vec_targets(layers: Sequence[Tensor], top: int | None = None) -> Tensor:
    """`losses.data2vec_targets` of blocks that may also come stacked."""
    return losses.data2vec_targets(list(layers), top)


def _layers() -> list[Case]:
    """Outputs of blocks, stacked: two to five blocks of different sizes, both types, all of them and some."""
    shapes = ((3, 2, 4, 5), (4, 3, 2, 6), (2, 4, 3, 3), (5, 2, 3, 4), (4, 1, 5, 7))
    found = []
    for i, shape in enumerate(shapes):
        scale = (1 + 2 * torch.arange(shape[0], dtype=DOUBLE))[:, None, None, None]
        args = (scale * (_normal(100 + i, *shape) + 2 * _normal(110 + i, *shape[:3], 1)),)
        found.append(Case(tuple(a.to(SINGLE if i == 2 else DOUBLE) for a in args), {"top": 2} if i in (1, 3) else {}))
    small = Case((3e-3 * _normal(119, 2, 3, 2, 4),), note="features as small as the 1e-5 below the root")
    return [*found, Case((found[1].args[0],), {"top": 1}), small]


declare(
    __name__,
    data2vec_targets,
    number="9.9",
    title="data2vec's targets: the mean of normalised blocks",
    difficulty=2,
    importance=4,
    minutes=10,
    points=2,
    hints=(
        "layers[-top:] are the last blocks; without top take all of them.",
        "F.layer_norm(block, block.shape[-1:]) normalises over the features of each position, without parameters.",
        "Normalise each block first, then take the mean over the blocks. Detach: these are targets.",
    ),
    cases=_layers,
    lists=(0,),
    answer="""
        def data2vec_targets(layers, top=None):
            chosen = layers if top is None else layers[-top:]
            return torch.stack([F.layer_norm(a, a.shape[-1:]) for a in chosen]).mean(dim=0).detach()
    """,
    mistakes={
        "norm after the mean": Edit(
            "torch.stack([F.layer_norm(a, a.shape[-1:]) for a in chosen]).mean(dim=0).detach() "
            "-> F.layer_norm(torch.stack(list(chosen)).mean(dim=0), layers[0].shape[-1:])",
            "the mean was taken first and normalised afterwards: then the block with the largest values decides.",
        ),
        "no norm": Edit(
            "F.layer_norm(a, a.shape[-1:]) -> a", "the blocks are not normalised: each gets a layer norm first."
        ),
        "first blocks": Edit(
            "layers[-top:] -> layers[:top]", "the first blocks were taken; data2vec takes the last ones."
        ),
        "only the last": Edit(
            "layers[-top:] -> layers[-1:]", "only the last block was taken; take as many as `top` says."
        ),
        "top ignored": Edit(
            "layers if top is None else layers[-top:] -> layers", "top is ignored: all blocks were averaged."
        ),
        "summed": Edit(".mean(dim=0).detach() -> .sum(dim=0)", "the blocks were summed; take their mean."),
        "over positions": Edit(
            "F.layer_norm(a, a.shape[-1:]) -> F.layer_norm(a.transpose(1, 2), a.shape[1:2]).transpose(1, 2)",
            "the norm runs over the positions; a layer norm runs over the features of one position.",
        ),
        "over positions and features": Edit(
            "a.shape[-1:] -> a.shape[-2:]",
            "the norm runs over positions and features together; over the features of one position only.",
        ),
        "over the batch": Edit(
            "F.layer_norm(a, a.shape[-1:]) -> (a - a.mean(dim=0)) / (a.var(dim=0, correction=0) + 1e-5).sqrt()",
            "the norm runs over the batch; a layer norm looks at one sample alone.",
        ),
        "unbiased": Edit(
            "F.layer_norm(a, a.shape[-1:]) -> (a - a.mean(-1, keepdim=True)) / (a.var(-1, keepdim=True) + 1e-5).sqrt()",
            "the variance was divided by D - 1; a layer norm divides by D.",
        ),
        "unit length": Edit(
            "F.layer_norm(a, a.shape[-1:]) -> F.normalize(a, dim=-1)",
            "the features were scaled to length 1; a layer norm takes the mean away and makes the variance 1.",
        ),
        "not detached": Edit(
            ".detach() ->", "the values are right, but gradients reach the teacher: targets are detached."
        ),
        "the last for all": Edit(
            "layers if top is None else layers[-top:] -> layers[-1:]",
            "only the last block was taken, whatever `top` says: None means all, a number that many of the last.",
        ),
        "only scaled": Edit(
            "F.layer_norm(a, a.shape[-1:]) -> a / (a.var(-1, keepdim=True, correction=0) + 1e-5).sqrt()",
            "the mean is not taken away: a layer norm subtracts it first.",
        ),
        "variance for the root": Edit(
            "F.layer_norm(a, a.shape[-1:]) "
            "-> (a - a.mean(-1, keepdim=True)) / (a.var(-1, keepdim=True, correction=0) + 1e-5)",
            "divided by the variance; divide by its root, the standard deviation.",
        ),
        "1e-5 outside": Edit(
            "F.layer_norm(a, a.shape[-1:]) "
            "-> (a - a.mean(-1, keepdim=True)) / (a.std(-1, keepdim=True, correction=0) + 1e-5)",
            "1e-5 is added outside the root; it belongs to the variance, inside.",
        ),
        "no 1e-5": Edit(
            "a.shape[-1:]) -> a.shape[-1:], eps=0.0)", "the 1e-5 below the root is missing: equal features give 0/0."
        ),
        "another eps": Edit(
            "a.shape[-1:]) -> a.shape[-1:], eps=1e-6)", "another number stands below the root; it is 1e-5."
        ),
        "over batch and positions": Edit(
            "F.layer_norm(a, a.shape[-1:]) "
            "-> (a - a.mean(dim=(0, 1))) / (a.var(dim=(0, 1), correction=0) + 1e-5).sqrt()",
            "the norm runs over the batch and the positions; it runs over the features of one position.",
        ),
        "one more block": Edit("layers[-top:] -> layers[-top - 1 :]", "one block more than `top` was averaged."),
        "from the block top on": Edit(
            "layers[-top:] -> layers[top:]", "the first `top` blocks were left out; take the last `top`."
        ),
        "last block left out": Edit("for a in chosen -> for a in chosen[:-1]", "the last block is left out."),
        "divided by all blocks": Edit(
            ".mean(dim=0).detach() -> .sum(dim=0).detach() / len(layers)",
            "the sum was divided by the number of all blocks; divide by that of the blocks averaged.",
        ),
        "only centred": Edit(
            "F.layer_norm(a, a.shape[-1:]) -> (a - a.mean(-1, keepdim=True))",
            "only the mean was taken away; divide by the standard deviation too.",
        ),
    },
    right={
        "by hand": """
            found = []
            for a in list(layers)[-(top or len(layers)):]:
                centred = a - a.mean(dim=-1, keepdim=True)
                found.append(centred / torch.sqrt(centred.square().mean(dim=-1, keepdim=True) + 1e-5))
            return (sum(found) / len(found)).detach()
        """,
        "stacked": """
            stacked = torch.stack(list(layers)).detach()[-(len(layers) if top is None else top):]
            return F.layer_norm(stacked, stacked.shape[-1:]).mean(0)
        """,
        "module": """
            norm = torch.nn.LayerNorm(layers[0].shape[-1], elementwise_affine=False)
            chosen = layers[len(layers) - top:] if top else layers
            with torch.no_grad():
                return torch.stack([norm(a) for a in chosen]).mean(dim=0)
        """,
    },
)


# --- 9.10 data2vec -----------------------------------------------------------------------------------------------


def data2vec(predictions: Tensor, targets: Tensor, mask: Tensor, beta: float = 1.0) -> Tensor:
    """The total of `losses.data2vec`."""
    return losses.data2vec(predictions, targets, mask, beta).total


def _masked() -> list[Case]:
    """Predictions, targets and a mask: odd shapes, both types, other beta; errors on both sides of beta."""
    found = []
    for i, (n, t, d, kind, beta) in enumerate(
        ((3, 4, 5, DOUBLE, None), (2, 6, 3, DOUBLE, 0.5), (4, 3, 2, SINGLE, None), (1, 5, 4, DOUBLE, 2.0))
    ):
        args = tuple((2 * _normal(120 + 10 * j + i, n, t, d)).to(kind) for j in range(2))
        mask = torch.rand(n, t, generator=torch.Generator().manual_seed(140 + i)) < 0.5
        mask[0, 0], mask[0, 1] = True, False
        found.append(Case((*args, mask), {} if beta is None else {"beta": beta}))
    return found


declare(
    __name__,
    data2vec,
    number="9.10",
    title="the loss at the masked positions",
    difficulty=2,
    importance=4,
    minutes=10,
    points=2,
    hints=(
        "predictions[mask] picks the masked positions: a matrix (masked, D). Nothing else counts.",
        "Smooth L1: with e = |prediction - target|, e^2 / (2 beta) where e < beta, and e - beta / 2 elsewhere.",
        "F.smooth_l1_loss(predictions[mask], targets[mask].detach(), beta=beta): its mean is the one asked for.",
    ),
    cases=_masked,
    answer="""
        def data2vec(predictions, targets, mask, beta=1.0):
            error = (predictions - targets.detach())[mask].abs()
            return torch.where(error < beta, error.square() / (2 * beta), error - beta / 2).mean()
    """,
    mistakes={
        "all positions": Edit("[mask].abs() -> .abs()", "all positions count; only the masked ones shall."),
        "visible positions": Edit("[mask] -> [~mask]", "the visible positions were taken; True marks the masked ones."),
        "zeros for the visible": Edit(
            "[mask].abs() -> .abs() * mask[:, :, None]",
            "the visible positions count with an error of 0: the mean runs over the masked ones only.",
        ),
        "squared error": Edit(
            "torch.where(error < beta, error.square() / (2 * beta), error - beta / 2) -> error.square()",
            "that is the squared error; smooth L1 grows linearly beyond beta.",
        ),
        "half the square": Edit(
            "torch.where(error < beta, error.square() / (2 * beta), error - beta / 2) -> (error.square() / (2 * beta))",
            "the linear part is missing: errors above beta cost error - beta / 2.",
        ),
        "absolute error": Edit(
            "torch.where(error < beta, error.square() / (2 * beta), error - beta / 2) -> error",
            "that is the absolute error; below beta it is rounded off to error^2 / (2 beta).",
        ),
        "no step": Edit(
            "error - beta / 2) -> error)", "the two parts do not meet at beta: the linear one is error - beta / 2."
        ),
        "no two": Edit("(2 * beta) -> beta", "the 2 is missing in error^2 / (2 beta)."),
        "huber": Edit(
            "error.square() / (2 * beta), error - beta / 2 -> error.square() / 2, beta * (error - beta / 2)",
            "that is Huber's loss, which is beta times smooth L1.",
        ),
        "summed": Edit(").mean() -> ).sum()", "summed; take the mean over the masked positions and the features."),
        "mean over positions": Edit(
            ").mean() -> ).sum(dim=1).mean()", "the features were summed; the mean runs over them too."
        ),
        "the other detached": Edit(
            "predictions - targets.detach() -> predictions.detach() - targets",
            "the predictions are detached, and the targets are not: it is the targets that are.",
        ),
        "mean of means": Body(
            """
            error = (predictions - targets.detach()).abs()
            loss = torch.where(error < beta, error.square() / (2 * beta), error - beta / 2)
            return torch.stack([x[m].mean() for x, m in zip(loss, mask) if m.any()]).mean()
            """,
            "a mean was taken for each image, then over the images: images with few hidden positions weigh too much.",
        ),
        "mask of the first image": Edit(
            "[mask] -> [:, mask[0]]", "the mask of the first image was used for all; each image has its own mask."
        ),
        "beta at the square": Edit(
            "error.square() / (2 * beta) -> error.square() / 2", "beta is missing below the square: error^2 / (2 beta)."
        ),
        "brackets": Edit(
            "/ (2 * beta) -> / 2 * beta", "the brackets are missing: error^2 / (2 beta), and beta multiplies there."
        ),
        "too low a line": Edit(
            "error - beta / 2) -> error - beta)",
            "the two parts do not meet at beta: the linear one is error - beta / 2.",
        ),
        "line of beta 1": Edit(
            "error - beta / 2) -> error - 0.5)",
            "0.5 is beta / 2 for beta = 1 only: the linear part is error - beta / 2.",
        ),
        "branches exchanged": Edit(
            "error < beta -> error > beta", "the branches are swapped: the square is for errors below beta."
        ),
        "no absolute value": Edit(
            ".abs() ->",
            "the absolute value is missing: a negative error falls on the side of the square, however large.",
        ),
        "length of the error": Edit(
            "[mask].abs() -> [mask].norm(dim=-1)",
            "the length of the whole error vector was taken; each feature has its own error.",
        ),
        "features averaged first": Edit(
            "[mask].abs() -> [mask].abs().mean(dim=-1)",
            "the errors were averaged over the features first; smooth L1 is taken of each feature, then the mean.",
        ),
        "normed": Body(
            """
            y, target = (F.layer_norm(x, x.shape[-1:])[mask] for x in (predictions, targets.detach()))
            return F.smooth_l1_loss(y, target, beta=beta)
            """,
            "a layer norm was applied here; targets come normed, and predictions are compared as they are.",
        ),
        "border fixed": Edit(
            "error < beta -> error < 1", "the border between the two parts is beta, and 1 stands there."
        ),
        "not detached": Edit(
            "targets.detach() -> targets", "the targets are not detached: they come from the teacher."
        ),
    },
    right={
        "torch": "return F.smooth_l1_loss(predictions[mask], targets[mask].detach(), beta=beta)",
        "clamped": """
            e = (predictions[mask] - targets.detach()[mask]).abs()
            inside = e.clamp(max=beta)
            return (inside * (e - inside / 2) / beta).mean()
        """,
        "loop": """
            total, count = 0, 0
            for p, y, hidden in zip(predictions.flatten(0, 1), targets.detach().flatten(0, 1), mask.flatten()):
                if hidden:
                    e = (p - y).abs()
                    total = total + torch.where(e < beta, e**2 / (2 * beta), e - beta / 2).sum()
                    count += len(p)
            return total / count
        """,
        "weights": """
            cost = F.smooth_l1_loss(predictions, targets.detach(), reduction="none", beta=beta)
            weight = mask[:, :, None].to(cost).expand_as(cost)
            return (cost * weight).sum() / weight.sum()
        """,
    },
)


# --- 9.11 koleo -------------------------------------------------------------------------------------------------


def koleo(z: Tensor, eps: float = 1e-8) -> Tensor:
    """The total of `losses.koleo`."""
    return losses.koleo(z, eps).total


def _spread() -> list[Case]:
    """Rows of several lengths: odd shapes, both types, a large eps."""
    found = []
    for i, (n, d, kind, eps) in enumerate(
        ((6, 3, DOUBLE, None), (5, 4, DOUBLE, 0.1), (7, 3, SINGLE, None), (4, 6, DOUBLE, 0.3))
    ):
        z = _normal(180 + i, n, d) * _normal(190 + i, n, 1).exp()
        found.append(Case((z.to(kind),), {} if eps is None else {"eps": eps}))
    obtuse = torch.tensor([[1.0, 0], [-3, 4], [-5, -12]], dtype=DOUBLE)
    return [*found, Case((obtuse,), note="rows of which no two are at an acute angle")]


declare(
    __name__,
    koleo,
    number="9.11",
    title="KoLeo: away from the nearest neighbour",
    difficulty=3,
    importance=3,
    minutes=10,
    points=2,
    hints=(
        "Scale the rows to length 1, then all distances: torch.cdist(u, u) is (N, N).",
        "A row is its own nearest one, at distance 0: add a diagonal of infinities before taking the minimum.",
        "The nearest index is enough: d = u[i] - u[nearest]; minus the mean of log(|d| + eps).",
    ),
    cases=_spread,
    answer="""
        def koleo(z, eps=1e-8):
            u = F.normalize(z, dim=1)
            cosines = u.detach() @ u.detach().T
            nearest = (cosines - 3 * torch.eye(len(u), dtype=u.dtype)).argmax(dim=1)
            distance = (u - u[nearest]).square().sum(dim=1).sqrt()
            return -(distance + eps).log().mean()
    """,
    mistakes={
        "no minus": Edit("return -(distance -> return (distance", "the sign is turned round: distances shall grow."),
        "itself": Edit(
            "- 3 * torch.eye(len(u), dtype=u.dtype) -> - 0 * torch.eye(len(u), dtype=u.dtype)",
            "each row found itself, at distance 0: leave it out.",
        ),
        "farthest": Edit(
            "cosines - 3 * torch.eye(len(u), dtype=u.dtype)).argmax(dim=1) "
            "-> cosines + 3 * torch.eye(len(u), dtype=u.dtype)).argmin(dim=1)",
            "the farthest row was taken; take the nearest.",
        ),
        "not normalised": Edit("F.normalize(z, dim=1) -> z", "the rows are not scaled to length 1."),
        "squared distance": Edit(
            ".sum(dim=1).sqrt() -> .sum(dim=1)",
            "the squared distance was taken; the logarithm is that of the distance.",
        ),
        "no logarithm": Edit("(distance + eps).log() -> (distance + eps)", "the logarithm is missing."),
        "log of the mean": Edit(
            ".log().mean() -> .mean().log()", "the logarithm of the mean was taken; take the mean of the logarithms."
        ),
        "summed": Edit(".log().mean() -> .log().sum()", "summed over the samples; take their mean."),
        "mean distance": Edit(
            "distance = (u - u[nearest]).square().sum(dim=1).sqrt() "
            "-> distance = torch.cdist(u, u).sum(dim=1) / (len(u) - 1)",
            "the mean distance to all others was taken; only the nearest one counts.",
        ),
        "cosine": Edit(
            "(u - u[nearest]).square().sum(dim=1).sqrt() -> 1 - (u * u[nearest]).sum(dim=1)",
            "one minus the cosine stands for the distance; it is half of its square.",
        ),
        "eps outside": Edit(
            "(distance + eps).log().mean() -> (distance.log().mean() + eps)", "eps stands outside the logarithm."
        ),
        "itself, at 0": Edit(
            "- 3 * torch.eye(len(u), dtype=u.dtype) -> * (1 - torch.eye(len(u), dtype=u.dtype))",
            "a 0 on the diagonal does not leave a row itself out: cosines may be negative, down to -1. Put less there.",
        ),
        "slope at 0": Edit(
            "nearest = (cosines - 3 * torch.eye(len(u), dtype=u.dtype)).argmax(dim=1) "
            "-> distances = torch.sqrt(2 - 2 * u @ u.T) + torch.diag(torch.full((len(u),), 9.0, dtype=u.dtype))\n"
            "distance = (u - u[nearest]).square().sum(dim=1).sqrt() -> distance = distances.amin(dim=1)",
            "the root of 2 - 2 cos has an infinite slope at a row's own distance 0, and its gradient is NaN: find the "
            "nearest row first, then take the distance to it.",
        ),
        "last row left out": Edit(
            "(distance + eps).log().mean() -> (distance[:-1] + eps).log().sum() / len(u)",
            "the last row is left out of the sum: the loop ends early.",
        ),
        "one pair": Edit(
            "(distance + eps).log().mean() -> (distance + eps).log().min()",
            "only the closest pair of the batch counts there; each row has its own nearest one, and the mean is taken.",
        ),
        "all others": Body(
            """
            u = F.normalize(z, dim=1)
            total = 0
            for i in range(len(u)):
                others = torch.cat([u[:i], u[i + 1:]])
                total = total - torch.log((others - u[i]).norm(dim=1) + eps).sum()
            return total / len(u)
            """,
            "all other rows count there; only the nearest one does.",
        ),
        "mean of the others": Edit(
            ".norm(dim=1).min() -> .norm(dim=1).mean()",
            "the mean distance to all others was taken; only the nearest one counts.",
            of="loop",
        ),
        "later rows only": Body(
            """
            u = F.normalize(z, dim=1)
            total = 0
            for i in range(len(u) - 1):
                total = total - torch.log((u[i + 1:] - u[i]).norm(dim=1).min() + eps)
            return total / len(u)
            """,
            "only later rows were searched, j > i; the nearest one may stand before, so take all j != i.",
        ),
        "clamped": Edit(
            "(distance + eps) -> distance.clamp(min=eps)", "eps is a lower bound there; it is added to the distance."
        ),
        "nearest by raw rows": Edit(
            "cosines = u.detach() @ u.detach().T -> cosines = z.detach() @ z.detach().T\n"
            "- 3 * torch.eye(len(u), dtype=u.dtype) -> - 1e9 * torch.eye(len(u), dtype=u.dtype)",
            "the nearest row was searched among rows that are not scaled to length 1: long rows win then.",
        ),
        "distance of raw rows": Edit(
            "(u - u[nearest]) -> (z - z[nearest])", "the distance is that of rows not scaled to length 1."
        ),
        "columns normalised": Edit(
            "F.normalize(z, dim=1) -> F.normalize(z, dim=0)", "columns were scaled to length 1; scale the rows, dim=1."
        ),
        "centred": Edit(
            "F.normalize(z, dim=1) -> F.normalize(z - z.mean(dim=0), dim=1)",
            "the mean was taken away; the rows are taken as they are.",
        ),
        "bits": Edit(".mean() -> .mean() / math.log(2)", BITS),
        "neighbour detached": Edit(
            "u[nearest]).square() -> u[nearest].detach()).square()", "the gradient must reach the neighbour as well"
        ),
        "halved": Edit(".mean() -> .mean() / 2", "there is no factor 1/2."),
    },
    right={
        "cdist": """
            u = F.normalize(z, dim=1)
            far = torch.diag(torch.full((len(u),), math.inf, dtype=u.dtype))
            nearest = (torch.cdist(u, u) + far).argmin(dim=1)
            return -torch.log((u - u[nearest]).norm(dim=1) + eps).mean()
        """,
        "loop": """
            u = F.normalize(z, dim=1)
            total = 0
            for i in range(len(u)):
                others = torch.cat([u[:i], u[i + 1:]])
                total = total - torch.log((others - u[i]).norm(dim=1).min() + eps)
            return total / len(u)
        """,
        "without the diagonal": """
            u = z / z.norm(dim=1, keepdim=True)
            off = ~torch.eye(len(u), dtype=torch.bool)
            squares = (u[:, None] - u[None])[off].square().sum(dim=1).view(len(u), -1)
            return -(squares.amin(dim=1).sqrt() + eps).log().mean()
        """,
    },
)


# --- 9.12 gram_anchoring ----------------------------------------------------------------------------------------


def gram_anchoring(student: Tensor, anchor: Tensor) -> Tensor:
    """The total of `losses.gram_anchoring`."""
    return losses.gram_anchoring(student, anchor).total


def _patches() -> list[Case]:
    """Patch features of student and anchor: odd shapes, one image, both types, an anchor of another scale."""
    found = []
    for i, (n, t, d, kind) in enumerate(((2, 4, 3, DOUBLE), (3, 3, 5, DOUBLE), (1, 5, 2, DOUBLE), (2, 3, 4, SINGLE))):
        args = (_normal(200 + i, n, t, d) + 0.5, 3 * _normal(210 + i, n, t, d))
        found.append(Case(tuple(a.to(kind) for a in args)))
    return found


declare(
    __name__,
    gram_anchoring,
    number="9.12",
    title="Gram anchoring: keep who resembles whom",
    difficulty=2,
    importance=3,
    minutes=8,
    points=2,
    hints=(
        "Scale the features of each position to length 1: F.normalize(x, dim=2).",
        "x @ x.transpose(1, 2) is (N, T, T): the cosines of all pairs of positions of one image.",
        "The mean of the squared difference of the two; the anchor is detached.",
    ),
    cases=_patches,
    answer="""
        def gram_anchoring(student, anchor):
            s, g = F.normalize(student, dim=2), F.normalize(anchor.detach(), dim=2)
            return (s @ s.transpose(1, 2) - g @ g.transpose(1, 2)).square().mean()
    """,
    mistakes={
        "features by features": Edit(
            "s @ s.transpose(1, 2) - g @ g.transpose(1, 2) -> s.transpose(1, 2) @ s - g.transpose(1, 2) @ g",
            "features were compared with features, (D, D); compare positions with positions, (T, T).",
        ),
        "not normalised": Edit(
            "F.normalize(student, dim=2) -> student\nF.normalize(anchor.detach(), dim=2) -> anchor.detach()",
            "the features are not scaled to length 1: lengths count then.",
        ),
        "student not normalised": Edit(
            "F.normalize(student, dim=2) -> student", "the student's features are not scaled to length 1."
        ),
        "anchor not normalised": Edit(
            "F.normalize(anchor.detach(), dim=2) -> anchor.detach()",
            "the anchor's features are not scaled to length 1.",
        ),
        "over positions": Edit("dim=2 -> dim=1", "length 1 is that of each position's features, dim=2."),
        "features themselves": Edit(
            "s @ s.transpose(1, 2) - g @ g.transpose(1, 2) -> s - g",
            "the features themselves were compared; compare the matrices of cosines.",
        ),
        "summed": Edit(".square().mean() -> .square().sum()", "summed; take the mean over images and pairs."),
        "norm": Edit(".square().mean() -> .square().mean().sqrt()", "a root was taken; it is the mean of the squares."),
        "absolute": Edit(".square().mean() -> .abs().mean()", "absolute differences; take squares."),
        "across": Edit(
            "s @ s.transpose(1, 2) - g @ g.transpose(1, 2) -> s @ g.transpose(1, 2) - g @ g.transpose(1, 2)",
            "the student was multiplied with the anchor; each Gram matrix is of one network with itself.",
        ),
        "only across": Edit(
            "s @ s.transpose(1, 2) - g @ g.transpose(1, 2) -> s @ g.transpose(1, 2)",
            "the student was multiplied with the anchor; take the difference of two Gram matrices, one for each.",
        ),
        "over images": Edit(
            "dim=2 -> dim=0", "length 1 is that of each position's features, dim=2; images were taken together."
        ),
        "length of an image": Edit(
            "dim=2 -> dim=(1, 2)", "each image as a whole was scaled to length 1; each position has its own length."
        ),
        "square of the mean": Edit(
            ".square().mean() -> .mean().square()",
            "the mean was taken before the square: differences of both signs cancel.",
        ),
        "half": Edit(
            ".square().mean() -> .square().mean() / 2",
            "that is half of it: there is no factor 1/2, and all T x T pairs count, both (j, k) and (k, j).",
        ),
        "all images together": Body(
            """
            s, g = F.normalize(student.flatten(0, 1), dim=1), F.normalize(anchor.detach().flatten(0, 1), dim=1)
            return (s @ s.T - g @ g.T).square().mean()
            """,
            "positions of different images were compared too; each image has its own Gram matrix, (N, T, T).",
        ),
        "images by images": Body(
            """
            s, g = (F.normalize(x, dim=2).transpose(0, 1) for x in (student, anchor.detach()))
            return (s @ s.mT - g @ g.mT).square().mean()
            """,
            "images were compared with images, (T, N, N); compare the positions of one image, (N, T, T).",
        ),
        "averaged over positions": Body(
            """
            s, g = (F.normalize(x.mean(dim=1), dim=1) for x in (student, anchor.detach()))
            return (s @ s.T - g @ g.T).square().mean()
            """,
            "the positions were averaged first; the Gram matrix is that of the single patches.",
        ),
        "centred": Body(
            """
            s, g = (F.normalize(x - x.mean(dim=1, keepdim=True), dim=2) for x in (student, anchor.detach()))
            return (s @ s.mT - g @ g.mT).square().mean()
            """,
            "the mean over the positions was taken away; cosines are those of the features as they are.",
        ),
        "the other detached": Edit(
            "F.normalize(student, dim=2), F.normalize(anchor.detach(), dim=2) "
            "-> F.normalize(student.detach(), dim=2), F.normalize(anchor, dim=2)",
            "the student is detached, and the anchor is not: it is the anchor that is.",
        ),
        "last image left out": Edit(
            ".square().mean() -> .square()[:-1].sum() / (len(s) * s.shape[1] ** 2)", "the last image is left out."
        ),
        "last position left out": Edit(
            ".square().mean() -> .square()[:, :-1].sum() / (len(s) * s.shape[1] ** 2)",
            "the last position is left out: the loop ends early.",
        ),
        "own position only": Body(
            "return (1 - F.cosine_similarity(student, anchor.detach(), dim=2)).square().mean()",
            "each position was compared with itself in the other network; compare the pairs within each network.",
        ),
        "per image": Edit(
            ".square().mean() -> .square().sum(dim=(1, 2)).mean()", "summed over the pairs; take their mean."
        ),
        "not detached": Edit("anchor.detach() -> anchor", "the anchor is not detached: it must stay where it is."),
        "off the diagonal": Edit(
            ".square().mean() -> .square().sum() / (len(s) * s.shape[1] * (s.shape[1] - 1))",
            "divided by T (T - 1) pairs; the mean runs over all T x T, the diagonal among them.",
        ),
    },
    right={
        "einsum": """
            s, g = (x / x.norm(dim=2, keepdim=True) for x in (student, anchor.detach()))
            return (torch.einsum("ntd,nud->ntu", s, s) - torch.einsum("ntd,nud->ntu", g, g)).pow(2).mean()
        """,
        "mse": """
            s, g = F.normalize(student, dim=-1), F.normalize(anchor, dim=-1).detach()
            return F.mse_loss(torch.bmm(s, s.mT), torch.bmm(g, g.mT))
        """,
        "image by image": """
            total = 0
            for x, y in zip(student, anchor.detach()):
                a = F.cosine_similarity(x[:, None], x[None], dim=2)
                b = F.cosine_similarity(y[:, None], y[None], dim=2)
                total = total + (a - b).square().mean() / len(student)
            return total
        """,
    },
)
