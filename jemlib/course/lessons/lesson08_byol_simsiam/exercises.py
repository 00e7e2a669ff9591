"""Lesson 08: the exercises that derive BYOL, SimSiam and their linear theory, with mistakes and other right answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from jemlib import losses
from jemlib.course.machinery.agreement import Case
from jemlib.course.machinery.answers import Body, Edit, declare, within
from jemlib.course.machinery.inputs import pairs, views
from jemlib.losses.simsiam import as_target
from jemlib.nets.predictors import direct_predictor

# --- Sentences that serve several exercises ---------------------------------------------------------------------

NO_STOP = (
    "no stop-gradient: a gradient flows into the target, so both sides move towards each other. Detach the target."
)
STOP_ON_P = (
    "the stop-gradient stands on the wrong side: the prediction is detached and the target is trained. The prediction "
    "learns, the target stands still."
)
STOP_REVERSED = "the switch is reversed: stop_gradient=True detaches the target, False does not."
STOP_IGNORED = "the argument stop_gradient is ignored: with False the target is not detached."
NOT_UNIT = "the rows were not divided by their lengths: only directions are compared."
SAME_VIEW = "each view predicts its own target; the prediction from view A is held to the target of view B."
ONE_LENGTH = "all rows were divided by one length, that of the whole batch; each row has its own."
COLUMNS = "the cosines are those of columns, over the batch; take those of rows, dim=1."
ALL_PAIRS = "every prediction was compared with the targets of all samples; each has one target, in the same row."


def _double(n: int, d: int, seed: int) -> tuple[Tensor, Tensor]:
    return views(n, d, seed, torch.float64, 1, 1)


# --- 8.1 directed_distance ----------------------------------------------------------------------------------------


def directed_distance(p: Tensor, target: Tensor, stop_gradient: bool = True) -> Tensor:
    """Mean squared distance of unit rows, `2 - 2 cos`: predictions `(N, D)` to targets `(N, D)`, in [0, 4]."""
    return 2 - 2 * F.cosine_similarity(p, as_target(target, stop_gradient), dim=1).mean()


def _one_direction() -> list[Case]:
    return [*pairs(), Case(_double(5, 3, 21), {"stop_gradient": False})]


declare(
    __name__,
    directed_distance,
    number="8.1",
    title="how far a prediction is from its target",
    difficulty=2,
    importance=5,
    minutes=8,
    points=1,
    hints=(
        "Divide each row by its length: F.normalize(p, dim=1). Do the same with the target.",
        "The squared distance is a sum over the D dimensions; then take the mean over the N samples.",
        "target.detach() is the same numbers, but no gradient flows into them.",
    ),
    cases=_one_direction,
    answer="""
        def directed_distance(p, target, stop_gradient=True):
            if stop_gradient:
                target = target.detach()
            unit_p, unit_t = F.normalize(p, dim=1), F.normalize(target, dim=1)
            return (unit_p - unit_t).square().sum(dim=1).mean()
    """,
    mistakes={
        "no stop-gradient": Edit("target.detach() -> target", NO_STOP),
        "stop-gradient on the prediction": Edit("target = target.detach() -> p = p.detach()", STOP_ON_P),
        "both stopped": Edit(
            "target = target.detach() -> p, target = p.detach(), target.detach()",
            "both sides are detached, so nothing is trained; detach the target only.",
        ),
        "switch reversed": Edit("if stop_gradient -> if not stop_gradient", STOP_REVERSED),
        "always stopped": Edit("if stop_gradient -> if True", STOP_IGNORED),
        "not normalised": Edit("F.normalize(p, dim=1) -> p\nF.normalize(target, dim=1) -> target", NOT_UNIT),
        "prediction not normalised": Edit(
            "F.normalize(p, dim=1) -> p", "the prediction was not divided by its length; the target was. Do it to both."
        ),
        "target not normalised": Edit(
            "F.normalize(target, dim=1) -> target", "the target was not divided by its length; both must be."
        ),
        "columns normalised": Edit(
            "dim=1), F -> dim=0), F\ntarget, dim=1 -> target, dim=0",
            "columns were divided by their lengths, over the batch; divide rows, dim=1.",
        ),
        "mean over dimensions": Edit(
            ".sum(dim=1).mean() -> .mean()", "a mean over the dimensions was taken; the squared distance is their sum."
        ),
        "sum over the batch": Edit(
            ".sum(dim=1).mean() -> .sum()", "the samples were summed; take the mean over the batch."
        ),
        "distance not squared": Edit(
            ".sum(dim=1).mean() -> .sum(dim=1).clamp(min=1e-12).sqrt().mean()",
            "a root was taken: the distance is asked for squared.",
        ),
        "one minus cosine": Edit(
            "(unit_p - unit_t).square().sum(dim=1).mean() -> 1 - (unit_p * unit_t).sum(dim=1).mean()",
            "that is 1 - cos, half of the squared distance 2 - 2 cos.",
        ),
        "the cosine itself": Edit(
            "(unit_p - unit_t).square().sum(dim=1).mean() -> (unit_p * unit_t).sum(dim=1).mean()",
            "that is the cosine: a similarity, large when they agree. The squared distance is 2 - 2 cos.",
        ),
        "negative cosine": Edit(
            "(unit_p - unit_t).square().sum(dim=1).mean() -> -(unit_p * unit_t).sum(dim=1).mean()",
            "that is minus the cosine, SimSiam's convention; here the squared distance 2 - 2 cos is asked.",
        ),
        "cosine added": Edit(
            "(unit_p - unit_t).square().sum(dim=1).mean() -> 2 + 2 * (unit_p * unit_t).sum(dim=1).mean()",
            "the sign of the cosine is turned round: 2 + 2 cos is large when they agree; asked is 2 - 2 cos.",
        ),
        "one length for the batch": Edit(
            "F.normalize(p, dim=1) -> p / p.norm()\nF.normalize(target, dim=1) -> target / target.norm()", ONE_LENGTH
        ),
        "cosine of columns": Edit(
            "(unit_p - unit_t).square().sum(dim=1).mean() -> 2 - 2 * F.cosine_similarity(p, target, dim=0).mean()",
            COLUMNS,
        ),
        "all pairs": Edit(
            "(unit_p - unit_t).square().sum(dim=1).mean() -> (2 - 2 * unit_p @ unit_t.T).mean()", ALL_PAIRS
        ),
        "length detached": Edit(
            "F.normalize(p, dim=1) -> p / p.norm(dim=1, keepdim=True).detach()",
            "the value is right, but the length of p was detached: the gradient then has a part along p, which would "
            "change its length.",
        ),
        "both lengths detached": Edit(
            "F.normalize(p, dim=1) -> p / p.norm(dim=1, keepdim=True).detach()\n"
            "F.normalize(target, dim=1) -> target / target.norm(dim=1, keepdim=True).detach()",
            "the value is right, but the lengths were detached: the gradient then has a part along p, which would "
            "change its length.",
        ),
        "sums of absolute values": Edit(
            "F.normalize(p, dim=1) -> F.normalize(p, p=1, dim=1)\n"
            "F.normalize(target, dim=1) -> F.normalize(target, p=1, dim=1)",
            "rows were divided by the sum of their absolute values; the length is the root of the sum of squares.",
        ),
        "length without the root": Edit(
            "F.normalize(p, dim=1) -> p / p.square().sum(dim=1, keepdim=True)\n"
            "F.normalize(target, dim=1) -> target / target.square().sum(dim=1, keepdim=True)",
            "rows were divided by the square of their length: take the root of the sum of squares.",
        ),
        "softmax": Edit(
            "F.normalize(p, dim=1) -> p.softmax(dim=1)\nF.normalize(target, dim=1) -> target.softmax(dim=1)",
            "a softmax was taken of the rows; divide them by their lengths.",
        ),
        "first sample only": Edit(
            ".sum(dim=1).mean() -> .sum(dim=1)[0] / len(p)",
            "only the first sample counts: a `return` inside the loop ends it there.",
        ),
        "last sample only": Edit(
            ".sum(dim=1).mean() -> .sum(dim=1)[-1] / len(p)",
            "only the last sample counts: add each term to the sum, do not overwrite it.",
        ),
        "first sample left out": Edit(
            ".sum(dim=1).mean() -> .sum(dim=1)[1:].sum() / len(p)", "the first sample is left out of the sum."
        ),
        "last sample left out": Edit(
            ".sum(dim=1).mean() -> .sum(dim=1)[:-1].sum() / len(p)", "the last sample is left out of the sum."
        ),
    },
    right={
        "two minus two cosines": """
            t = target.detach() if stop_gradient else target
            return 2 - 2 * F.cosine_similarity(p, t, dim=1).mean()
        """,
        "loop": """
            t = target.detach() if stop_gradient else target
            rows = [((a / a.norm() - b / b.norm()) ** 2).sum() for a, b in zip(p, t)]
            return sum(rows) / len(rows)
        """,
        "einsum": """
            t = target.detach() if stop_gradient else target
            a, b = p / p.norm(dim=1, keepdim=True), t / t.norm(dim=1, keepdim=True)
            return 2 - 2 * torch.einsum("bi,bi->b", a, b).mean()
        """,
    },
)


# --- 8.2 byol -----------------------------------------------------------------------------------------------------


def _four(**settings: float) -> Callable[[], list[Case]]:
    def cases() -> list[Case]:
        found = []
        for seed, (n, d) in enumerate(((7, 4), (5, 8), (6, 3), (4, 2))):
            kind = torch.float32 if seed == 1 else torch.float64
            p_a, p_b = views(n, d, 30 + seed, kind, 1, 3.0**seed)
            t_a, t_b = views(n, d, 40 + seed, kind, 0.5, 1)
            found.append(Case((p_a, p_b, t_a, t_b), settings if seed == 3 else {}))
        return found

    return cases


declare(
    __name__,
    losses.byol,
    number="8.2",
    title="the loss of BYOL, both directions",
    difficulty=2,
    importance=5,
    minutes=8,
    points=2,
    hints=(
        "Two directions: the prediction from view A meets the target of view B, and the other way round.",
        "directed_distance does each of them. Hand stop_gradient on to it.",
        "The total is the sum of both, not their mean. Return total, a_to_b, b_to_a.",
    ),
    cases=_four(stop_gradient=False),
    fields=("total", "a_to_b", "b_to_a"),
    answer="""
        def byol(p_a, p_b, target_a, target_b, *, stop_gradient=True):
            a_to_b = directed_distance(p_a, target_b, stop_gradient)
            b_to_a = directed_distance(p_b, target_a, stop_gradient)
            return a_to_b + b_to_a, a_to_b, b_to_a
    """,
    mistakes={
        "own view": Edit("p_a, target_b -> p_a, target_a\np_b, target_a -> p_b, target_b", SAME_VIEW),
        "mean of both": Edit(
            "return a_to_b + b_to_a -> return (a_to_b + b_to_a) / 2", "the mean of both directions; BYOL's is the sum."
        ),
        "one direction": Edit("return a_to_b + b_to_a -> return a_to_b", "the total has one direction; add the other."),
        "one direction twice": Edit(
            "p_b, target_a -> p_a, target_b", "both directions are A to B; the second is p_b with target_a."
        ),
        "predictions with each other": Edit(
            "p_a, target_b -> p_a, p_b\np_b, target_a -> p_b, p_a",
            "the predictions were compared with each other; the targets come without the predictor.",
        ),
        "targets for predictions": Edit(
            "p_a, target_b -> target_b, p_a\np_b, target_a -> target_a, p_b",
            "the stop-gradient is on the predictor's side, the wrong one: the prediction is detached and the target is "
            "trained. Was detach() put on p, or did the two change places?",
        ),
        "stop_gradient not handed on": Edit(", stop_gradient) -> )", STOP_IGNORED),
        "detached here too": Edit(
            "target_b, stop -> target_b.detach(), stop\ntarget_a, stop -> target_a.detach(), stop", STOP_IGNORED
        ),
        "total only": Edit("return a_to_b + b_to_a, a_to_b, b_to_a -> return a_to_b + b_to_a", "return the 3 values"),
        "difference": Edit(
            "return a_to_b + b_to_a -> return a_to_b - b_to_a", "the directions are added, not subtracted."
        ),
        "one direction doubled": Edit(
            "return a_to_b + b_to_a -> return 2 * a_to_b", "the total is A to B twice; add both directions."
        ),
        "total added into a_to_b": Edit(
            "return a_to_b + b_to_a, a_to_b -> return a_to_b + b_to_a, a_to_b + b_to_a",
            "a_to_b holds the total: += changed it in place. Write total = a_to_b + b_to_a.",
        ),
        "a_to_b given twice": Edit(
            "a_to_b, b_to_a -> a_to_b, a_to_b", "b_to_a is missing: a_to_b was given for both directions."
        ),
        "target_b for both": Edit(
            "p_b, target_a -> p_b, target_b", "both directions use target_b; from B to A the target is target_a."
        ),
        "target_a for both": Edit(
            "p_a, target_b -> p_a, target_a", "both directions use target_a; from A to B the target is target_b."
        ),
        "targets with each other": Edit(
            "p_a, target_b -> target_a, target_b\np_b, target_a -> target_b, target_a",
            "the targets were compared with each other; the predictions p_a and p_b are not used.",
        ),
        "one target not stopped": Edit(
            "target_a, stop_gradient -> target_a, False", "from B to A there is no stop-gradient: detach target_a too."
        ),
        "the other target not stopped": Edit(
            "target_b, stop_gradient -> target_b, False", "from A to B there is no stop-gradient: detach target_b too."
        ),
        "SimSiam's unit": Edit(
            "return a_to_b + b_to_a, a_to_b, b_to_a -> "
            "return (a_to_b + b_to_a) / 4 - 1, a_to_b / 2 - 1, b_to_a / 2 - 1",
            "that is SimSiam's unit, minus the cosine; BYOL's is 2 - 2 cos, both directions added.",
        ),
        **within(
            "directed_distance",
            "no stop-gradient",
            "both stopped",
            "switch reversed",
            "not normalised",
            "prediction not normalised",
            "target not normalised",
            "columns normalised",
            "mean over dimensions",
            "sum over the batch",
            "one minus cosine",
            "the cosine itself",
            "cosine of columns",
            "one length for the batch",
            "all pairs",
            "distance not squared",
        ),
    },
    right={
        "by cosines": """
            t_a, t_b = (t.detach() if stop_gradient else t for t in (target_a, target_b))
            first = 2 - 2 * F.cosine_similarity(p_a, t_b).mean()
            second = 2 - 2 * F.cosine_similarity(p_b, t_a).mean()
            return first + second, first, second
        """,
        "stacked": """
            p, t = torch.stack([p_a, p_b]), torch.stack([target_b, target_a])
            t = t.detach() if stop_gradient else t
            each = (F.normalize(p, dim=2) - F.normalize(t, dim=2)).square().sum(2).mean(1)
            return each.sum(), each[0], each[1]
        """,
        "library": "return losses.byol(p_a, p_b, target_a, target_b, stop_gradient=stop_gradient)",
    },
)


# --- 8.3 simsiam --------------------------------------------------------------------------------------------------

declare(
    __name__,
    losses.simsiam,
    number="8.3",
    title="SimSiam is BYOL's formula in another unit",
    difficulty=2,
    importance=4,
    minutes=8,
    points=1,
    hints=(
        "One direction of BYOL is 2 - 2 cos. One direction of SimSiam is -cos. Which x makes one out of the other?",
        "-cos = (distance - 2) / 2.",
        "The total of SimSiam is a mean of two directions, that of BYOL a sum: byol = 4 + 4 simsiam.",
    ),
    cases=_four(stop_gradient=False),
    fields=("total", "a_to_b", "b_to_a"),
    answer="""
        def simsiam(p_a, p_b, z_a, z_b, *, stop_gradient=True):
            total, a_to_b, b_to_a = byol(p_a, p_b, z_a, z_b, stop_gradient=stop_gradient)
            return (total - 4) / 4, (a_to_b - 2) / 2, (b_to_a - 2) / 2
    """,
    mistakes={
        "not shifted": Edit(
            "(total - 4) / 4, (a_to_b - 2) / 2, (b_to_a - 2) / 2 -> total / 4, a_to_b / 2, b_to_a / 2",
            "the constant is missing: 2 - 2 cos is at 0 where -cos is at -1.",
        ),
        "not scaled": Edit(
            "(total - 4) / 4, (a_to_b - 2) / 2, (b_to_a - 2) / 2 -> total - 4, a_to_b - 2, b_to_a - 2",
            "the factor is missing: 2 - 2 cos changes twice as fast as -cos, and the total is a mean, not a sum.",
        ),
        "sum of both": Edit(
            "(total - 4) / 4 -> (total - 4) / 2", "the total is the sum of both directions; SimSiam takes their mean."
        ),
        "sign": Edit(
            ("total - 4 -> 4 - total", "a_to_b - 2 -> 2 - a_to_b", "b_to_a - 2 -> 2 - b_to_a"),
            "the sign is turned round: that is the cosine, and SimSiam minimises minus the cosine.",
        ),
        "parts as the total": Edit(
            "(a_to_b - 2) / 2, (b_to_a - 2) / 2 -> (a_to_b - 4) / 4, (b_to_a - 4) / 4",
            "the total is right; one direction is 2 + 2 (-cos), so it is (distance - 2) / 2.",
        ),
        "halves in the parts": Edit(
            "(a_to_b - 2) / 2, (b_to_a - 2) / 2 -> (a_to_b - 2) / 4, (b_to_a - 2) / 4",
            "the two directions are given without the 1/2 of the mean: each is -cos, in [-1, 1].",
        ),
        "own view": Edit("z_a, z_b, stop -> z_b, z_a, stop", SAME_VIEW),
        "stop_gradient not handed on": Edit(", stop_gradient=stop_gradient ->", STOP_IGNORED),
        "no stop-gradient": Edit("stop_gradient=stop_gradient -> stop_gradient=False", NO_STOP),
        "switch reversed": Edit("stop_gradient=stop_gradient -> stop_gradient=not stop_gradient", STOP_REVERSED),
        "stop-gradient on the prediction": Edit("(p_a, p_b, z_a, z_b -> (z_b, z_a, p_b, p_a", STOP_ON_P),
        "prediction and target exchanged": Edit(
            "(p_a, p_b, z_a, z_b -> (z_a, z_b, p_a, p_b",
            "predictions and targets are swapped: byol takes p_a, p_b first. So the stop-gradient is on the wrong "
            "side, and the directions change places.",
        ),
        "arguments in another order": Edit(
            "(p_a, p_b, z_a, z_b -> (p_a, z_a, p_b, z_b",
            "the arguments of byol are in another order: both predictions first, then both targets. From B to A the "
            "target is trained here, and the prediction is detached.",
        ),
        "total of a sum": Edit(
            "(total - 4) / 4 -> total / 2 - 1",
            "the total holds two directions, so its constant is 4, and the mean divides once more: (total - 4) / 4.",
        ),
        "total not shifted": Edit(
            "(total - 4) / 4 -> total / 4", "the total is off by a constant: subtract 1 from total / 4."
        ),
        "total not scaled": Edit("(total - 4) / 4 -> total - 4", "the total has to be divided by 4 as well."),
        "the other way round": Edit(
            "(total - 4) / 4 -> 4 + 4 * total",
            "the identity was used the other way round: byol = 4 + 4 simsiam, so solve it for simsiam.",
        ),
        "parts in BYOL's unit": Edit(
            "(a_to_b - 2) / 2, (b_to_a - 2) / 2 -> a_to_b, b_to_a",
            "the total is right; the two directions are still in BYOL's unit, 2 - 2 cos. Each is (distance - 2) / 2.",
        ),
        "total three times": Edit(
            "(a_to_b - 2) / 2, (b_to_a - 2) / 2 -> (total - 4) / 4, (total - 4) / 4",
            "the total stands for each direction too; a_to_b and b_to_a are the two that it is the mean of.",
        ),
        "one target not stopped": Body(
            """
            a_to_b = directed_distance(p_a, z_b, stop_gradient) / 2 - 1
            b_to_a = directed_distance(p_b, z_a, False) / 2 - 1
            return (a_to_b + b_to_a) / 2, a_to_b, b_to_a
            """,
            "from B to A there is no stop-gradient: detach z_a too.",
        ),
        "the other target not stopped": Body(
            """
            a_to_b = directed_distance(p_a, z_b, False) / 2 - 1
            b_to_a = directed_distance(p_b, z_a, stop_gradient) / 2 - 1
            return (a_to_b + b_to_a) / 2, a_to_b, b_to_a
            """,
            "from A to B there is no stop-gradient: detach z_b too.",
        ),
        "dot products": Body(
            """
            t_a, t_b = (z.detach() if stop_gradient else z for z in (z_a, z_b))
            first, second = -(p_a * t_b).sum(dim=1).mean(), -(p_b * t_a).sum(dim=1).mean()
            return (first + second) / 2, first, second
            """,
            NOT_UNIT,
        ),
        "cosine of columns": Edit(
            "F.cosine_similarity(p_a, t_b) -> F.cosine_similarity(p_a, t_b, dim=0)\n"
            "F.cosine_similarity(p_b, t_a) -> F.cosine_similarity(p_b, t_a, dim=0)",
            COLUMNS,
            of="by cosines",
        ),
        "cosine of the whole batch": Edit(
            "F.cosine_similarity(p_a, t_b) -> F.cosine_similarity(p_a.flatten(), t_b.flatten(), dim=0)\n"
            "F.cosine_similarity(p_b, t_a) -> F.cosine_similarity(p_b.flatten(), t_a.flatten(), dim=0)",
            "that is one cosine of the whole batch; each row has its own, and they are averaged.",
            of="by cosines",
        ),
    },
    right={
        "by cosines": """
            t_a, t_b = (z.detach() if stop_gradient else z for z in (z_a, z_b))
            first, second = -F.cosine_similarity(p_a, t_b).mean(), -F.cosine_similarity(p_b, t_a).mean()
            return (first + second) / 2, first, second
        """,
        "one direction at a time": """
            first = directed_distance(p_a, z_b, stop_gradient) / 2 - 1
            second = directed_distance(p_b, z_a, stop_gradient) / 2 - 1
            return 0.5 * first + 0.5 * second, first, second
        """,
        "library": "return tuple(losses.simsiam(p_a, p_b, z_a, z_b, stop_gradient=stop_gradient))",
    },
)


# --- 8.4 prediction_gradient --------------------------------------------------------------------------------------


def prediction_gradient(p: Tensor, target: Tensor) -> Tensor:
    """The gradient of `directed_distance` with respect to the predictions: `(N, D)`, orthogonal to each row of p."""
    length = p.norm(dim=1, keepdim=True)
    unit_p, unit_t = p / length, F.normalize(target, dim=1)
    cosine = (unit_p * unit_t).sum(dim=1, keepdim=True)
    return -2 * (unit_t - cosine * unit_p) / length / len(p)


declare(
    __name__,
    prediction_gradient,
    number="8.4",
    title="the gradient for the prediction",
    difficulty=3,
    importance=4,
    minutes=12,
    points=2,
    hints=(
        "The loss of a row is 2 - 2 <p/|p|, t>, with the unit target t. Only p/|p| depends on p.",
        "A unit vector moves only at right angles to itself: the derivative of p/|p| is (I - u u^T) / |p|, u = p/|p|.",
        "So a row's gradient is -2 (t - <u, t> u) / |p|; then the mean over the batch divides by N.",
    ),
    cases=pairs,
    gradients=False,
    closed_form=True,
    answer="""
        def prediction_gradient(p, target):
            length = p.norm(dim=1, keepdim=True)
            unit_p, unit_t = p / length, F.normalize(target, dim=1)
            cosine = (unit_p * unit_t).sum(dim=1, keepdim=True)
            return -2 * (unit_t - cosine * unit_p) / length / len(p)
    """,
    mistakes={
        "sign": Edit("-2 * -> 2 *", "the sign is turned round: that is the direction of descent, minus the gradient."),
        "no projection": Edit(
            "- cosine * unit_p ->",
            "the part along the prediction is missing: a unit vector moves only at right angles.",
        ),
        "projection added": Edit("- cosine * unit_p -> + cosine * unit_p", "the part along p was added; take it away."),
        "projected without the cosine": Edit(
            "cosine * unit_p -> unit_p", "p/|p| was taken away whole; take away only its share, the cosine."
        ),
        "no length": Edit("/ length / len(p) -> / len(p)", "the factor 1/|p| is missing: long rows turn slowly."),
        "length squared": Edit("/ length / len(p) -> / length**2 / len(p)", "divided by |p|^2; once is right."),
        "target's length": Edit(
            "/ length / len(p) -> / target.norm(dim=1, keepdim=True) / len(p)",
            "divided by the length of the target; it is the length of the prediction.",
        ),
        "not a mean": Edit("/ len(p) ->", "the mean over the batch is missing: divide by N."),
        "no two": Edit(
            "-2 * -> -1 *", "the factor 2 is missing: the squared distance is 2 - 2 cos. (SimSiam has none.)"
        ),
        "divided by D": Edit("len(p) -> p.shape[1]", "divided by D, the dimensions, instead of N, the samples."),
        "target not normalised": Edit("F.normalize(target, dim=1) -> target", "the target has to be a unit vector."),
        "p not normalised": Edit("p / length, -> p,", "p was not divided by its length in the projection."),
        "one cosine for all": Edit(
            "sum(dim=1, keepdim=True) -> sum(dim=1).mean()", "one cosine was used for all rows; each row has its own."
        ),
        "all cosines added": Edit(
            "sum(dim=1, keepdim=True) -> sum()", "the cosines of all rows were added to one; each row has its own."
        ),
        "cosine of p as it is": Edit(
            "(unit_p * unit_t).sum -> (p * unit_t).sum",
            "p was not divided by its length in one place: the cosine is that of unit rows, and it multiplies p/|p|.",
        ),
        "projected onto the target": Edit(
            "cosine * unit_p -> cosine * unit_t",
            "the part along the target was taken away; it is the part along the prediction, <u, t> u.",
        ),
        "roles exchanged": Edit(
            "unit_t - cosine * unit_p -> unit_p - cosine * unit_t",
            "u and t changed roles: the direction is t less its part along u. The target pulls, and p can only turn.",
        ),
        "for the target": Edit(
            "unit_t - cosine * unit_p -> unit_p - cosine * unit_t\n"
            "/ length / len(p) -> / target.norm(dim=1, keepdim=True) / len(p)",
            "that is the gradient with respect to the target; prediction and target changed roles.",
        ),
        "without directions": Body(
            "return 2 * (p - target) / len(p)",
            "that is the gradient of the squared distance of p and the target as they are; here only unit rows count.",
        ),
        "mean over all entries": Edit(
            "len(p) -> p.numel()", "divided by N and D, all entries; the mean is over the N samples."
        ),
        "columns": Edit(
            "p.norm(dim=1, keepdim=True) -> p.norm(dim=0, keepdim=True)\n"
            "F.normalize(target, dim=1) -> F.normalize(target, dim=0)",
            "lengths are those of columns, over the batch; take those of rows, dim=1.",
        ),
        "one length": Edit("p.norm(dim=1, keepdim=True) -> p.norm()", ONE_LENGTH),
        "all pairs": Edit(
            "cosine * unit_p -> unit_p @ unit_t.T @ unit_p",
            "unit_p @ unit_t.T has the cosines of all pairs of rows and mixes samples; each row needs its own.",
        ),
        "first row only": Body(
            """
            t = F.normalize(target, dim=1)[0]
            u = p[0] / p[0].norm()
            rows = torch.zeros_like(p)
            rows[0] = -2 * (t - u.dot(t) * u) / p[0].norm() / len(p)
            return rows
            """,
            "only the first row is filled: the loop ends too early. Is the `return` inside it?",
        ),
        "last row left out": Edit(
            "/ len(p) -> / len(p) * (torch.arange(len(p)) < len(p) - 1)[:, None]",
            "the last row is left out, and stays zero: where does the loop end?",
        ),
    },
    right={
        "projection matrices": """
            rows = []
            for a, b in zip(p, target):
                u = a / a.norm()
                eye = torch.eye(len(a), dtype=p.dtype)
                rows.append(-2 * (eye - torch.outer(u, u)) @ (b / b.norm()) / a.norm() / len(p))
            return torch.stack(rows)
        """,
        "quotient rule": """
            t = target / target.norm(dim=1, keepdim=True)
            inner = (p * t).sum(1, keepdim=True)
            n = p.square().sum(1, keepdim=True)
            return (-2 * t / n.sqrt() + 2 * inner * p / n.pow(1.5)) / p.shape[0]
        """,
        "einsum": """
            u, t = F.normalize(p, dim=1), F.normalize(target, dim=1)
            c = torch.einsum("bi,bi->b", u, t)[:, None]
            return 2 * (c * u - t) / (len(p) * p.norm(dim=1)[:, None])
        """,
    },
)


# --- 8.5 follow ---------------------------------------------------------------------------------------------------


def follow(target: Tensor, online: Tensor, momentum: float = 0.99) -> Tensor:
    """One step of the average: the target's new weights. 1 stays, 0 copies."""
    return momentum * target + (1 - momentum) * online


def _weights() -> list[Case]:
    return [
        Case(_double(3, 4, 50)),
        Case(views(2, 5, 51, torch.float32, 2, 1), {"momentum": 0.5}),
        Case(_double(4, 1, 52), {"momentum": 0.8}),
        Case(_double(2, 2, 53), {"momentum": 0.0}, "a copy"),
        Case(_double(2, 2, 54), {"momentum": 1.0}, "standing still"),
    ]


declare(
    __name__,
    follow,
    number="8.5",
    title="the target follows",
    difficulty=1,
    importance=3,
    minutes=4,
    points=1,
    hints=(
        "A weighted mean of two tensors. The weights add up to 1.",
        "The target keeps the share m of what it was, and takes the share 1 - m from the online network.",
    ),
    cases=_weights,
    gradients=False,
    answer="""
        def follow(target, online, momentum=0.99):
            return momentum * target + (1 - momentum) * online
    """,
    mistakes={
        "shares exchanged": Edit(
            "momentum * target + (1 - momentum) * online -> (1 - momentum) * target + momentum * online",
            "the shares are exchanged: the target keeps m of its own weights, and takes 1 - m from the online network.",
        ),
        "all of the online network": Edit(
            "(1 - momentum) * online -> online", "the online weights were added whole; their share is 1 - m."
        ),
        "same share twice": Edit("(1 - momentum) -> momentum", "both have the share m; the shares must add up to 1."),
        "target whole": Edit("momentum * target + -> target +", "the target kept all of its weights; its share is m."),
        "difference": Edit("+ (1 -> - (1", "the online part was taken away; add it."),
        "a copy": Edit(
            "momentum * target + (1 - momentum) * online -> online.clone()",
            "that is a copy of the online network, as with momentum 0.",
        ),
        "never moves": Edit(
            "momentum * target + (1 - momentum) * online -> target.clone()", "the target never moves; it must follow."
        ),
        "plain mean": Edit(
            "momentum * target + (1 - momentum) * online -> (target + online) / 2",
            "a plain mean; the shares are m and 1 - m.",
        ),
        "no brackets": Edit(
            "(1 - momentum) * online -> 1 - momentum * online",
            "the brackets of (1 - m) are missing: without them a 1 is added to each weight.",
        ),
        "away from the online network": Edit(
            "momentum * target + (1 - momentum) * online -> target - (1 - momentum) * (online - target)",
            "the sign of the step is turned round: the target moves away from the online network.",
        ),
        "past the online network": Edit(
            "momentum * target + (1 - momentum) * online -> online + momentum * (online - target)",
            "the sign of the difference is turned round: that lies beyond the online network, away from the target.",
        ),
        "divided": Edit(
            "momentum * target + (1 - momentum) * online -> "
            "(momentum * target + (1 - momentum) * online) / max(1 - momentum, 1e-6)",
            "divided by 1 - m; the shares m and 1 - m add up to 1 already.",
        ),
        "mean of the weights": Edit(
            "* online -> * online.mean()", "the mean of the online weights was taken; each entry follows its own."
        ),
        "unit rows": Edit(
            "momentum * target + (1 - momentum) * online -> "
            "F.normalize(momentum * target + (1 - momentum) * online, dim=-1)",
            "the new weights were divided by their length; weights are not normalised.",
        ),
    },
    right={
        "step": "return target + (1 - momentum) * (online - target)",
        "lerp": "return torch.lerp(target, online, 1 - momentum)",
        "from the online side": "return online + momentum * (target - online)",
        "loop": """
            rows = [[momentum * t + (1 - momentum) * o for t, o in zip(a, b)] for a, b in zip(target, online)]
            return torch.stack([torch.stack(row) for row in rows])
        """,
    },
)


# --- 8.6 best_targets ---------------------------------------------------------------------------------------------


def best_targets(features: Tensor) -> Tensor:
    """The `(N, D)` targets with the least squared distance to all views' features, `(T, N, D)`."""
    return features.mean(dim=0)


def _many_views() -> list[Case]:
    found = []
    for seed, (t, n, d) in enumerate(((3, 4, 2), (5, 3, 4), (2, 6, 3), (4, 4, 4))):
        generator = torch.Generator().manual_seed(60 + seed)
        x = 2 * torch.randn(t, n, d, generator=generator, dtype=torch.float64) + seed
        found.append(Case((x.to(torch.float32 if seed == 1 else torch.float64),)))
    return found


declare(
    __name__,
    best_targets,
    number="8.6",
    title="the best targets for a fixed network",
    difficulty=2,
    importance=3,
    minutes=6,
    points=1,
    hints=(
        "Each image may have its own target, so minimise for one image alone: sum_t |f_t - y|^2.",
        "Set the derivative to zero: sum_t 2 (y - f_t) = 0.",
        "y is the mean over the views. Which axis of (T, N, D) counts views?",
    ),
    cases=_many_views,
    answer="""
        def best_targets(features):
            return features.mean(dim=0)
    """,
    mistakes={
        "mean over images": Edit(
            "dim=0 -> dim=1", "the mean runs over the images; each image has a target of its own. Views are axis 0."
        ),
        "mean over dimensions": Edit("dim=0 -> dim=2", "the mean runs over the dimensions; views are axis 0."),
        "sum": Edit(".mean(dim=0) -> .sum(dim=0)", "a sum over the views; the derivative is 0 at their mean."),
        "median": Edit(
            ".mean(dim=0) -> .median(dim=0).values",
            "the median is best for absolute distances; for squared ones it is the mean.",
        ),
        "first view": Edit(".mean(dim=0) -> [0]", "one view only; all of them count."),
        "unit vector": Edit(
            "features.mean(dim=0) -> F.normalize(features.mean(dim=0), dim=1)",
            "the mean was divided by its length; for plain squared distances it is left as it is.",
        ),
        "mean of unit vectors": Edit(
            "features.mean(dim=0) -> F.normalize(features, dim=2).mean(dim=0)",
            "the features were divided by their lengths first; here plain squared distances count.",
        ),
        "one for all images": Edit(
            "features.mean(dim=0) -> features.mean(dim=(0, 1)).expand(features.shape[1:])",
            "all images got one target, which is collapse; each image has its own.",
        ),
        "midrange": Edit(
            "features.mean(dim=0) -> (features.amax(dim=0) + features.amin(dim=0)) / 2",
            "the middle between the extremes is best for the largest distance; for the sum of squares it is the mean.",
        ),
        "one view short": Edit(
            "features.mean(dim=0) -> features.sum(dim=0) / (len(features) - 1)", "divided by T - 1; divide by T."
        ),
        "last view": Edit(".mean(dim=0) -> [-1]", "one view only, the last; all of them count."),
        "two views": Edit("features.mean -> features[:2].mean", "only the first two views count; take all of them."),
        "first view left out": Edit(
            "features.mean -> features[1:].mean", "the first view is left out; all of them count."
        ),
        "last view left out": Edit(
            "features.mean -> features[:-1].mean", "the last view is left out; all of them count."
        ),
        "last view not added": Edit(
            "features.mean(dim=0) -> features[:-1].sum(dim=0) / len(features)",
            "the last view is left out of the sum: where does the loop end?",
        ),
        "first view over T": Edit(
            "features.mean(dim=0) -> features[0] / len(features)",
            "only the first view is in the sum: a `return` inside the loop ends it there.",
        ),
        "last view over T": Edit(
            "features.mean(dim=0) -> features[-1] / len(features)",
            "only the last view is in the sum: add each to it, do not overwrite it.",
        ),
        "divided by N": Edit(
            "features.mean(dim=0) -> features.sum(dim=0) / features.shape[1]",
            "divided by N, the images; the mean over the views divides by T.",
        ),
        "reshaped": Edit(
            "features.mean(dim=0) -> "
            "features.reshape(features.shape[1], features.shape[0], features.shape[2]).mean(dim=1)",
            "a reshape does not exchange axes, it mixes images: use permute, or take the mean over axis 0.",
        ),
        "halves": Body(
            """
            best = features[0]
            for view in features[1:]:
                best = (best + view) / 2
            return best
            """,
            "a running mean by halves gives the last view the most weight; in the mean all weigh the same.",
        ),
        "centred": Edit(
            "features.mean(dim=0) -> features.mean(dim=0) - features.mean(dim=(0, 1))",
            "the mean over the images was subtracted; the best target is the mean over the views, not centred.",
        ),
        "root mean square": Edit(
            "features.mean(dim=0) -> features.square().mean(dim=0).sqrt()",
            "that is the root of the mean square; the signs are lost. Take the mean.",
        ),
    },
    right={
        "loop": """
            total = torch.zeros_like(features[0])
            for view in features:
                total = total + view
            return total / features.shape[0]
        """,
        "einsum": "return torch.einsum('tnd->nd', features) / len(features)",
        "one step of Newton": "return features[0] - (features[0] - features).sum(dim=0) / len(features)",
    },
)


# --- 8.7 mode_slopes ----------------------------------------------------------------------------------------------


def mode_slopes(
    p: Tensor, s: Tensor, tau: float = 1.0, sigma2: float = 0.5, eta: float = 0.1, alpha_p: float = 1.0
) -> tuple[Tensor, Tensor]:
    """`(p', s')` of the modes of a linear BYOL, each `(K,)`; `jemlib.theory.mode_dynamics` follows them."""
    gain = tau - (1 + sigma2) * p
    return alpha_p * s * gain - eta * p, 2 * p * s * gain - 2 * eta * s


def _modes() -> list[Case]:
    found = []
    settings: tuple[dict[str, float], ...] = (
        {},
        {"tau": 0.7, "sigma2": 0.2},
        {"eta": 0.3, "alpha_p": 4.0},
        {"tau": 0.5, "sigma2": 2.0, "eta": 0.02, "alpha_p": 0.5},
        {"eta": 0.0},
    )
    for seed, chosen in enumerate(settings):
        generator = torch.Generator().manual_seed(70 + seed)
        p, s = (torch.rand(seed + 2, generator=generator, dtype=torch.float64) + 0.1 for _ in range(2))
        kind = torch.float32 if seed == 3 else torch.float64
        found.append(Case((p.to(kind), s.to(kind)), chosen))
    return found


declare(
    __name__,
    mode_slopes,
    number="8.7",
    title="the two slopes of one mode",
    difficulty=3,
    importance=5,
    minutes=12,
    points=2,
    hints=(
        "Both slopes hold the same bracket, tau - (1 + sigma^2) p: how far the prediction is from its target.",
        "p' = alpha_p s [bracket] - eta p.",
        "s is a square of weights, s = w^2, so s' = 2 w w': the factor 2 stands before both of its parts.",
    ),
    cases=_modes,
    fields=("p_slope", "s_slope"),
    answer="""
        def mode_slopes(p, s, tau=1.0, sigma2=0.5, eta=0.1, alpha_p=1.0):
            gain = tau - (1 + sigma2) * p
            return alpha_p * s * gain - eta * p, 2 * p * s * gain - 2 * eta * s
    """,
    mistakes={
        "no noise": Edit(
            "(1 + sigma2) * p -> p", "the noise of the augmentation is missing: 1 + sigma2 stands before p."
        ),
        "noise alone": Edit("(1 + sigma2) -> sigma2", "1 + sigma2 is the variance of a view; the 1 is missing."),
        "noise squared": Edit("1 + sigma2 -> 1 + sigma2**2", "sigma2 is a variance already; it was squared once more."),
        "bracket turned round": Edit(
            "tau - (1 + sigma2) * p -> (1 + sigma2) * p - tau", "the bracket has the wrong sign: modes would run away."
        ),
        "no target": Edit("gain = tau - -> gain = -", "the target tau is missing: nothing would grow."),
        "no two in s": Edit(
            "2 * p * s * gain - 2 * eta * s -> p * s * gain - eta * s", "s is a square, so its slope has the factor 2."
        ),
        "s decays once": Edit("2 * eta * s -> eta * s", "s is a square, so it decays at 2 eta."),
        "s grows once": Edit("2 * p * s * gain -> p * s * gain", "the factor 2 before the growth of s is missing."),
        "no decay of p": Edit("s * gain - eta * p, -> s * gain,", "weight decay acts on the predictor too: - eta p."),
        "no decay of s": Edit("- 2 * eta * s ->", "weight decay acts on the encoder too: - 2 eta s."),
        "decay added": Edit("- eta * p -> + eta * p\n- 2 * eta -> + 2 * eta", "weight decay shrinks: minus eta."),
        "alpha_p in s": Edit(
            "2 * p * s * gain -> 2 * alpha_p * p * s * gain", "alpha_p is the predictor's rate; s has none."
        ),
        "alpha_p on the decay": Edit(
            "alpha_p * s * gain - eta * p -> alpha_p * (s * gain - eta * p)",
            "alpha_p multiplies the gradient only, not the decay of the predictor.",
        ),
        "p for s": Edit(
            "alpha_p * s * gain -> alpha_p * p * gain", "the predictor's slope has s before the bracket, not p."
        ),
        "s for p": Edit(
            "2 * p * s * gain -> 2 * s * s * gain", "the encoder's gradient comes through the predictor: p s."
        ),
        "no s in p": Edit("alpha_p * s * gain -> alpha_p * gain", "the factor s before the bracket of p' is missing."),
        "no p in s": Edit(
            "2 * p * s * gain -> 2 * s * gain",
            "the factor p before the bracket of s' is missing: the gradient of the "
            "encoder comes through the predictor.",
        ),
        "p squared in s": Edit("2 * p * s -> 2 * p**2 * s", "s' has p before the bracket, not its square."),
        "tau before the bracket": Edit(
            "tau - (1 + sigma2) * p -> tau * (1 - (1 + sigma2) * p)",
            "tau multiplies the whole bracket; it is its first term alone: tau - (1 + sigma2) p.",
        ),
        "no p in the bracket": Edit(
            "tau - (1 + sigma2) * p -> tau - (1 + sigma2)", "the factor p is missing in the bracket: (1 + sigma2) p."
        ),
        "slope of w": Edit(
            "2 * p * s * gain - 2 * eta * s -> p * s.sqrt() * gain - eta * s.sqrt()",
            "that is the slope w' of the weight; s = w^2, so s' = 2 w w'.",
        ),
        "target trained too": Edit(
            "2 * p * s * gain -> 2 * p * s * (2 * tau - (1 + sigma2) * p)",
            "tau counts twice in s', as without the stop-gradient: the target sg(tau w) is a constant when you derive.",
        ),
        "s in the decay of p": Edit("eta * p, -> eta * s,", "weight decay of the predictor acts on p: - eta p."),
        "p in the decay of s": Edit("2 * eta * s -> 2 * eta * p", "weight decay of the encoder acts on s: - 2 eta s."),
        "uphill": Edit(
            "return alpha_p * s * gain - eta * p, 2 * p -> return -alpha_p * s * gain + eta * p, -2 * p\n"
            "- 2 * eta * s -> + 2 * eta * s",
            "both slopes have the wrong sign: descent goes against the gradient.",
        ),
        "a step taken": Edit(
            "return alpha_p -> return p + alpha_p\n2 * p * s * gain -> s + 2 * p * s * gain",
            "p and s themselves were added, as in a step; return the slopes alone.",
        ),
        "the new p": Body(
            """
            gain = tau - (1 + sigma2) * p
            p_slope = alpha_p * s * gain - eta * p
            return p_slope, 2 * (p + p_slope) * s * gain - 2 * eta * s
            """,
            "s' was computed with the new p; both slopes belong to the same p, the old one.",
        ),
    },
    right={
        "through the weights": """
            w = s.sqrt()
            pull = (tau * w - (1 + sigma2) * p * w)
            w_slope = p * pull - eta * w
            return alpha_p * pull * w - eta * p, 2 * w * w_slope
        """,
        "multiplied out": """
            a = 1 + sigma2
            p_slope = alpha_p * tau * s - alpha_p * a * p * s - eta * p
            return p_slope, 2 * tau * p * s - 2 * a * p**2 * s - 2 * eta * s
        """,
        "loop": """
            found = []
            for one, other in zip(p, s):
                gain = tau - one - sigma2 * one
                found.append(torch.stack([alpha_p * other * gain - eta * one, 2 * other * (one * gain - eta)]))
            return tuple(torch.stack(found).T)
        """,
    },
)


# --- 8.8 resting_points -------------------------------------------------------------------------------------------


def resting_points(tau: Tensor, sigma2: Tensor, eta: Tensor) -> tuple[Tensor, Tensor]:
    """`(p_minus, p_plus)`, the points besides 0 where a mode rests; each argument and result is `(K,)`."""
    a = 1 + sigma2
    root = torch.sqrt(tau**2 - 4 * eta * a)
    return (tau - root) / (2 * a), (tau + root) / (2 * a)


def _below_critical() -> list[Case]:
    found = []
    for seed, kind in enumerate((torch.float64, torch.float64, torch.float32)):
        generator = torch.Generator().manual_seed(80 + seed)
        tau, sigma2, share = (torch.rand(seed + 2, generator=generator, dtype=torch.float64) for _ in range(3))
        tau = tau + 0.3
        eta = 0.9 * share * tau**2 / (4 * (1 + sigma2))
        found.append(Case((tau.to(kind), sigma2.to(kind), eta.to(kind))))
    one = torch.ones(1, dtype=torch.float64)
    return [*found, Case((one, 0.5 * one, 0 * one), note="no weight decay")]


declare(
    __name__,
    resting_points,
    number="8.8",
    title="where a mode can rest",
    difficulty=2,
    importance=4,
    minutes=10,
    points=1,
    hints=(
        "Set p' = p^2 [tau - (1 + sigma^2) p] - eta p to zero, and divide by p.",
        "A quadratic equation is left: (1 + sigma^2) p^2 - tau p + eta = 0.",
        "Its two roots are (tau -+ sqrt(tau^2 - 4 eta (1 + sigma^2))) / (2 (1 + sigma^2)).",
    ),
    cases=_below_critical,
    gradients=False,
    fields=("p_minus", "p_plus"),
    answer="""
        def resting_points(tau, sigma2, eta):
            a = 1 + sigma2
            root = torch.sqrt(tau**2 - 4 * eta * a)
            return (tau - root) / (2 * a), (tau + root) / (2 * a)
    """,
    mistakes={
        "two only": Edit(
            "(2 * a) -> 2", "divided by 2; the leading coefficient is 1 + sigma2, so divide by 2 (1 + sigma2)."
        ),
        "not by two": Edit("(2 * a) -> a", "the 2 of the quadratic formula is missing below."),
        "no noise in the root": Edit(
            "4 * eta * a -> 4 * eta", "under the root 1 + sigma2 is missing: tau^2 - 4 eta (1 + sigma2)."
        ),
        "noise alone": Edit("a = 1 + sigma2 -> a = sigma2 + 0.5", "the coefficient is 1 + sigma2."),
        "plus under the root": Edit("tau**2 - 4 -> tau**2 + 4", "the sign under the root is minus."),
        "tau not squared": Edit(
            "tau**2 - 4 * eta * a -> (tau - 4 * eta * a).abs()", "tau stands squared under the root."
        ),
        "four missing": Edit("4 * eta -> eta", "the 4 of the quadratic formula is missing."),
        "no root": Edit("torch.sqrt(tau**2 - 4 * eta * a) -> tau**2 - 4 * eta * a", "the root was not taken."),
        "minus tau": Edit(
            "(tau - root) / (2 * a), (tau + root) / (2 * a) -> (-tau - root) / (2 * a), (-tau + root) / (2 * a)",
            "tau has the wrong sign: the linear coefficient is -tau, and the formula turns it round.",
        ),
        "without noise": Edit("a = 1 + sigma2 -> a = 1", "the noise of the augmentation is missing: 1 + sigma2."),
        "sigma2 alone": Edit("a = 1 + sigma2 -> a = sigma2", "the coefficient is 1 + sigma2; the 1 is missing."),
        "sigma2 squared": Edit(
            "1 + sigma2 -> 1 + sigma2**2", "sigma2 is a variance already; it was squared once more."
        ),
        "times the coefficient": Edit(
            "/ (2 * a) -> / 2 * a",
            "brackets are missing: / 2 * a multiplies by 1 + sigma2. Divide by both, / (2 * a).",
        ),
        "only the root divided": Edit(
            "(tau - root) / (2 * a), (tau + root) / (2 * a) -> tau - root / (2 * a), tau + root / (2 * a)",
            "brackets are missing: only the root is divided by 2 (1 + sigma2); tau has to be, too.",
        ),
        "tau as it is": Edit("tau**2 - -> tau -", "tau stands squared under the root."),
        "eta squared": Edit("4 * eta -> 4 * eta**2", "eta was squared under the root; it stands there as it is."),
        "tau left out": Edit(
            "tau**2 -> 1\n(tau - root) -> (1 - root)\n(tau + root) -> (1 + root)",
            "tau is not used: 1 stands in its place.",
        ),
        "half of tau under the root": Edit(
            "tau**2 - 4 * eta * a -> tau**2 / 4 - 4 * eta * a\n(tau - root) / (2 * a) -> (tau / 2 - root) / a\n"
            "(tau + root) / (2 * a) -> (tau / 2 + root) / a",
            "with half of tau the 4 under the root goes: (tau / 2)^2 - eta (1 + sigma2).",
        ),
        "collapse for p_minus": Edit(
            "(tau - root) / (2 * a), -> 0 * tau,",
            "p_minus is given as 0, which is collapse; asked are the two roots of the quadratic equation besides it.",
        ),
        "s for p": Edit(
            "(tau - root) / (2 * a), (tau + root) / (2 * a) -> "
            "((tau - root) / (2 * a)) ** 2, ((tau + root) / (2 * a)) ** 2",
            "those are squares, the values of s; asked is p.",
        ),
    },
    right={
        "by the product of the roots": """
            plus = (tau + (tau.square() - 4 * (1 + sigma2) * eta).sqrt()) / (2 + 2 * sigma2)
            return eta / ((1 + sigma2) * plus), plus
        """,
        "by the critical decay": """
            middle = tau / (2 * (1 + sigma2))
            critical = tau**2 / (4 * (1 + sigma2))
            swing = middle * torch.sqrt(1 - eta / critical)
            return middle - swing, middle + swing
        """,
        "companion matrix": """
            roots = []
            for t, v, e in zip(tau, sigma2, eta):
                companion = torch.stack([torch.stack([t / (1 + v), -e / (1 + v)]), torch.stack([t * 0 + 1, t * 0])])
                roots.append(torch.linalg.eigvals(companion).real.sort().values)
            return tuple(torch.stack(roots).T)
        """,
    },
)


# --- 8.9 field_jacobian -------------------------------------------------------------------------------------------


def field_jacobian(w: Tensor, w_p: Tensor, sigma2: float = 0.5) -> Tensor:
    """`(2, 2)`: derivatives of the slopes `(w', w_p')` of a one-dimensional SimSiam by `(w, w_p)`, both scalars."""
    a = 1 + sigma2
    first = torch.stack([w_p - a * w_p**2, w - 2 * a * w * w_p])
    second = torch.stack([2 * w - 2 * a * w * w_p, -a * w**2])
    return torch.stack([first, second])


def _scalars() -> list[Case]:
    def at(w: float, w_p: float, kind: torch.dtype = torch.float64, **settings: float) -> Case:
        return Case((torch.tensor(w, dtype=kind), torch.tensor(w_p, dtype=kind)), settings)

    return [at(0.7, 0.3), at(-0.4, 1.2, sigma2=0.0), at(1.5, -0.6, sigma2=2.0), at(0.9, 0.8, torch.float32)]


ENTRIES = (("d w'/d w", "d w'/d w_p"), ("d w_p'/d w", "d w_p'/d w_p"))


def _which_derivatives(case: Case, ours: Sequence[Tensor], truth: Sequence[Tensor]) -> str | None:
    """Which of the four entries are wrong, where some are right."""
    off = (ours[0] - truth[0]).abs() > 100 * case.tolerance()
    wrong = [name for names, row in zip(ENTRIES, off.tolist()) for name, is_off in zip(names, row) if is_off]
    if not 0 < len(wrong) < 4:
        return None
    return f"Of the four derivatives {' and '.join(wrong)} {'is' if len(wrong) == 1 else 'are'} wrong."


declare(
    __name__,
    field_jacobian,
    number="8.9",
    title="a field that is no gradient",
    difficulty=3,
    importance=4,
    minutes=12,
    points=2,
    hints=(
        "Write a = 1 + sigma^2. The slopes are w' = w w_p - a w w_p^2 and w_p' = w^2 - a w^2 w_p.",
        "The first row holds the derivatives of w' by w and by w_p; the second row those of w_p'.",
        "d w'/d w_p = w - 2 a w w_p, and d w_p'/d w = 2 w - 2 a w w_p.",
    ),
    cases=_scalars,
    gradients=False,
    closed_form=True,
    symptom=_which_derivatives,
    answer="""
        def field_jacobian(w, w_p, sigma2=0.5):
            a = 1 + sigma2
            first = torch.stack([w_p - a * w_p**2, w - 2 * a * w * w_p])
            second = torch.stack([2 * w - 2 * a * w * w_p, -a * w**2])
            return torch.stack([first, second])
    """,
    mistakes={
        "transposed": Edit(
            "torch.stack([first, second]) -> torch.stack([first, second], dim=1)",
            "that is the transpose: a row belongs to a slope, a column to the variable.",
        ),
        "without the stop-gradient": Edit(
            "w_p - a * w_p**2, w - 2 * a * w * w_p -> 2 * w_p - a * w_p**2 - a, 2 * w - 2 * a * w * w_p",
            "that matrix is symmetric: it belongs to the loss without stop-gradient. The target is a constant.",
        ),
        "symmetrised": Edit(
            "torch.stack([first, second]) -> (torch.stack([first, second]) + torch.stack([first, second]).T) / 2",
            "the matrix was made symmetric; it is not.",
        ),
        "no noise": Edit("a = 1 + sigma2 -> a = 1", "the noise is missing: a = 1 + sigma2."),
        "noise alone": Edit("a = 1 + sigma2 -> a = sigma2", "the 1 is missing: a = 1 + sigma2."),
        "sign": Edit(
            "return torch.stack([first, second]) -> return -torch.stack([first, second])",
            "the sign is turned round: the slopes are minus the gradients.",
        ),
        "target held fixed in w_p": Edit(
            "2 * w - 2 * a -> w - 2 * a",
            "w_p' = w^2 - a w^2 w_p was derived as if one w of w^2 stood still: once the slopes are written, "
            "w is w wherever it stands. That derivative is 2 w - 2 a w w_p.",
        ),
        "twice in w": Edit(
            "w - 2 * a * w * w_p]) -> 2 * w - 2 * a * w * w_p])",
            "d w'/d w_p was made equal to d w_p'/d w, as in a symmetric matrix; derive w' = w w_p - a w w_p^2 by w_p.",
        ),
        "no square": Edit("-a * w**2 -> -a * w", "w_p' holds w^2, so its derivative by w_p does too."),
        "columns exchanged": Edit(
            "torch.stack([first, second]) -> torch.stack([first, second]).flip(1)",
            "the columns are exchanged: w first, then w_p.",
        ),
        "rows exchanged": Edit(
            "[first, second] -> [second, first]", "the rows are exchanged: the slope of w first, then that of w_p."
        ),
        "the slopes' product": Edit(
            "w_p - a * w_p**2, -> w * w_p - a * w * w_p**2,", "the first entry is the slope w' itself; derive it by w."
        ),
        "diagonal only": Edit(
            "torch.stack([first, second]) -> torch.diag(torch.stack([first[0], second[1]]))",
            "only the diagonal is filled; the mixed derivatives belong in the other two places.",
        ),
    },
    right={
        "filled in": """
            a = 1 + sigma2
            j = torch.zeros(2, 2, dtype=w.dtype)
            j[0, 0], j[0, 1] = w_p * (1 - a * w_p), w * (1 - 2 * a * w_p)
            j[1, 0], j[1, 1] = 2 * w * (1 - a * w_p), -a * w * w
            return j
        """,
        "symmetric part and the rest": """
            a = 1 + sigma2
            off = 1.5 * w - 2 * a * w * w_p
            even = torch.stack([torch.stack([w_p - a * w_p * w_p, off]), torch.stack([off, -a * w * w])])
            odd = torch.stack([torch.stack([w * 0, -w / 2]), torch.stack([w / 2, w * 0])])
            return even + odd
        """,
        "one stack": """
            b = 1 + sigma2
            flat = [w_p - b * w_p**2, w - 2 * b * w * w_p, 2 * w - 2 * b * w * w_p, -b * w**2]
            return torch.stack(flat).reshape(2, 2)
        """,
    },
)


# --- 8.10 direct_predictors ---------------------------------------------------------------------------------------


def direct_predictors(correlation: Tensor, eps: float = 0.1) -> tuple[Tensor, Tensor]:
    """DirectPred in the paper's form and in that of its code, from a `(D, D)` correlation; both `(D, D)`."""
    return direct_predictor(correlation, eps, "paper"), direct_predictor(correlation, eps, "code")


def _correlations() -> list[Case]:
    found = []
    for seed, (d, scale) in enumerate(((3, 1.0), (4, 9.0), (2, 0.05), (5, 2.0))):
        kind = torch.float32 if seed == 3 else torch.float64
        z = views(3 * d + 4, d, 90 + seed, torch.float64, 0.5, 1)[0]
        f = scale * z.T @ z / len(z)
        found.append(Case((f.to(kind),), {"eps": 0.3} if seed in (1, 2) else {}))
    # Rounding may leave an eigenvalue that is zero a hair below it, and a tiny eps shows the floor of the code's form.
    flat = torch.tensor([2.0, -1e-20, 0.5], dtype=torch.float64).diag()
    return [*found, Case((flat,), {"eps": 2e-5}, "an eigenvalue 0, below it by rounding")]


declare(
    __name__,
    direct_predictors,
    number="8.10",
    title="set the predictor instead of training it",
    difficulty=3,
    importance=3,
    minutes=12,
    points=2,
    hints=(
        "s, u = torch.linalg.eigh(correlation) gives eigenvalues, and eigenvectors as the columns of u.",
        "A matrix with the same eigenvectors and eigenvalues p is (u * p) @ u.T.",
        "Clamp s at 0. Paper: p = sqrt(s) + eps * max(s). Code: p = sqrt(s / max(s)) + eps, and never below 1e-4.",
    ),
    cases=_correlations,
    gradients=False,
    fields=("paper", "code"),
    answer="""
        def direct_predictors(correlation, eps=0.1):
            s, u = torch.linalg.eigh(correlation)
            s = s.clamp(min=0)
            paper = s.sqrt() + eps * s.max()
            code = ((s / s.max()).sqrt() + eps).clamp(min=1e-4)
            return (u * paper) @ u.T, (u * code) @ u.T
    """,
    mistakes={
        "no root": Edit(
            "s.sqrt() -> s\n(s / s.max()).sqrt() -> s / s.max()", "the root is missing: p is near the root of s."
        ),
        "eps not scaled": Edit(
            "eps * s.max() -> eps", "in the paper's form eps is multiplied by the largest eigenvalue."
        ),
        "eps scaled in the code's form": Edit(
            "sqrt() + eps). -> sqrt() + eps * s.max()).", "in the code's form eps is added as it is."
        ),
        "code not scaled": Edit(
            "(s / s.max()).sqrt() -> s.sqrt()", "the code's form divides s by its largest value first."
        ),
        "divided after the root": Edit(
            "(s / s.max()).sqrt() -> s.sqrt() / s.max()", "divide by the largest eigenvalue first, then take the root."
        ),
        "eps under the root": Edit(
            "s.sqrt() + eps * s.max() -> (s + eps * s.max()).sqrt()", "eps stands outside the root."
        ),
        "no eps": Edit(
            "+ eps * s.max() ->\n.sqrt() + eps) -> .sqrt())", "eps is missing: it lifts the weak directions."
        ),
        "rows for columns": Edit(
            "(u * paper) @ u.T, (u * code) @ u.T -> (u.T * paper) @ u, (u.T * code) @ u",
            "the eigenvectors are the columns of u: (u * p) @ u.T.",
        ),
        "eigenvalues only": Edit(
            "(u * paper) @ u.T, (u * code) @ u.T -> torch.diag(paper), torch.diag(code)",
            "those are the eigenvalues on a diagonal; turn them back with the eigenvectors u.",
        ),
        "entries": Edit(
            "(u * paper) @ u.T -> correlation.abs().sqrt() + eps * s.max()",
            "the root was taken of the entries; take it of the eigenvalues.",
        ),
        "inverse": Edit("s.sqrt() + eps -> 1 / s.sqrt() + eps", "that whitens: p grows with s, as its root."),
        "trace for the largest": Edit("s.max() -> s.sum()", "the sum of the eigenvalues was taken; take the largest."),
        "mean for the largest": Edit("s.max() -> s.mean()", "the mean of the eigenvalues was taken; take the largest."),
        "smallest for the largest": Edit(
            "s.max() -> s.min()", "eigh sorts upwards: the largest eigenvalue is the last."
        ),
        "largest entry": Edit(
            "s.max() -> correlation.max()", "the largest entry of the matrix was taken; take the largest eigenvalue."
        ),
        "eps with the root": Edit(
            "eps * s.max() -> eps * s.max().sqrt()",
            "the paper's form has eps times the largest eigenvalue, not its root.",
        ),
        "eps under the code's root": Edit(
            "(s / s.max()).sqrt() + eps -> (s / s.max() + eps).sqrt()",
            "in the code's form eps stands outside the root.",
        ),
        "eps under both roots": Edit(
            "s.sqrt() + eps * s.max() -> (s + eps * s.max()).sqrt()\n"
            "(s / s.max()).sqrt() + eps -> (s / s.max() + eps).sqrt()",
            "eps stands outside the roots.",
        ),
        "no floor": Edit(".clamp(min=1e-4) ->", "in the code's form no p is below 1e-4: the floor is missing."),
        "floor before eps": Edit(
            "((s / s.max()).sqrt() + eps).clamp(min=1e-4) -> (s / s.max()).sqrt().clamp(min=1e-4) + eps",
            "the floor 1e-4 comes last, after eps.",
        ),
        "floor in both": Edit(
            "paper = s.sqrt() + eps * s.max() -> paper = (s.sqrt() + eps * s.max()).clamp(min=1e-4)",
            "the floor 1e-4 belongs to the code's form alone, not to the paper's.",
        ),
        "ceiling": Edit(
            "clamp(min=1e-4) -> clamp(max=1e-4)", "1e-4 is the least value, not the largest: clamp(min=1e-4)."
        ),
        "no clamp at zero": Edit(
            "s = s.clamp(min=0) -> s = s",
            "an eigenvalue that is zero comes out a hair negative, and its root is nan: clamp s at 0 first.",
        ),
        "eps in every entry": Edit(
            "s.sqrt() + eps * s.max() -> s.sqrt()\n"
            "((s / s.max()).sqrt() + eps).clamp(min=1e-4) -> (s / s.max()).sqrt()\n"
            "(u * paper) @ u.T, (u * code) @ u.T -> (u * paper) @ u.T + eps * s.max(), (u * code) @ u.T + eps",
            "eps was added to every entry of the matrix; it is added to each eigenvalue, so to the diagonal (eps I).",
        ),
        "entries of both": Edit(
            "(u * paper) @ u.T, (u * code) @ u.T -> correlation.abs().sqrt() + eps * s.max(), "
            "(correlation.abs() / s.max()).sqrt() + eps",
            "the root was taken of the entries; take it of the eigenvalues.",
        ),
        "diagonal for eigenvalues": Edit(
            "s, u = torch.linalg.eigh(correlation) -> "
            "s, u = correlation.diagonal(), torch.eye(len(correlation), dtype=correlation.dtype)",
            "the diagonal of the matrix was taken; take its eigenvalues, and turn back with the eigenvectors.",
        ),
        "no transpose": Edit(
            "(u * paper) @ u.T, (u * code) @ u.T -> (u * paper) @ u, (u * code) @ u",
            "the second u has to be transposed: U diag(p) U^T.",
        ),
        "eigenvalues turned round": Edit(
            "s = s.clamp(min=0) -> s = s.clamp(min=0).flip(0)",
            "the eigenvalues were put in another order than their eigenvectors: entry j belongs to column j of u.",
        ),
        "inverse roots": Edit(
            "s.sqrt() + eps -> 1 / s.sqrt() + eps\n(s / s.max()).sqrt() -> 1 / (s / s.max()).sqrt()",
            "that whitens: p grows with s, as its root, not as 1 over it.",
        ),
        "centred": Edit(
            "torch.linalg.eigh(correlation) -> torch.linalg.eigh(correlation - correlation.mean(dim=0))",
            "a mean was subtracted from the matrix; it is used as it is, not centred.",
        ),
    },
    right={
        "diagonal matrices": """
            s, u = torch.linalg.eigh(correlation)
            largest = s[-1]
            paper = u @ torch.diag(s.clamp(min=0).sqrt() + eps * largest) @ u.T
            return paper, u @ torch.diag(((s.clamp(min=0) / largest).sqrt() + eps).clamp(min=1e-4)) @ u.T
        """,
        "singular values": """
            u, s, _ = torch.linalg.svd(correlation)
            eye = torch.eye(len(s), dtype=s.dtype)
            root = (u * s.sqrt()) @ u.T
            return root + eps * s[0] * eye, (u * ((s / s[0]).sqrt() + eps).clamp(min=1e-4)) @ u.T
        """,
        "sum over modes": """
            s, u = torch.linalg.eigh(correlation)
            s = torch.where(s > 0, s, 0 * s)
            outer = [torch.outer(column, column) for column in u.T]
            paper = sum((value.sqrt() + eps * s[-1]) * o for value, o in zip(s, outer))
            return paper, sum(((value / s[-1]).sqrt() + eps).clamp(min=1e-4) * o for value, o in zip(s, outer))
        """,
    },
)


# --- 8.11 siamese_step: repair ------------------------------------------------------------------------------------


def siamese_step(x_a: Tensor, x_b: Tensor, w: Tensor, w_p: Tensor) -> Tensor:
    """SimSiam's total for a linear network: views `(N, P)`, encoder `(P, D)`, predictor `(D, D)`."""
    z_a, z_b = x_a @ w, x_b @ w
    return losses.simsiam(z_a @ w_p, z_b @ w_p, z_a, z_b).total


def _linear_networks() -> list[Case]:
    found = []
    for seed, (n, p, d) in enumerate(((6, 5, 4), (5, 3, 2), (8, 4, 3), (7, 6, 3))):
        kind = torch.float32 if seed == 3 else torch.float64
        x_a, x_b = views(n, p, 100 + seed, kind, 1, 1)
        generator = torch.Generator().manual_seed(110 + seed)
        w, w_p = (torch.randn(size, d, generator=generator, dtype=torch.float64).to(kind) for size in (p, d))
        found.append(Case((x_a, x_b, w, w_p)))
    return found


AS_IT_WAS = """
z_a, z_b = x_a @ w, x_b @ w
p_a, p_b = (z_a @ w_p).detach(), (z_b @ w_p).detach()
return -(F.cosine_similarity(p_a, z_b).mean() + F.cosine_similarity(p_b, z_a).mean()) / 2
"""

declare(
    __name__,
    siamese_step,
    number="8.11",
    title="repair: a step whose predictor never learns",
    difficulty=2,
    importance=4,
    minutes=10,
    points=2,
    hints=(
        "The predictor's weights did not move by a hair. So no gradient reaches them. What cuts it off?",
        "The stop-gradient belongs on the target z, not on the prediction z w_p.",
        "Your simsiam detaches its targets by itself: hand it the predictions and the projections as they are.",
    ),
    cases=_linear_networks,
    answer="""
        def siamese_step(x_a, x_b, w, w_p):
            z_a, z_b = x_a @ w, x_b @ w
            return simsiam(z_a @ w_p, z_b @ w_p, z_a, z_b)[0]
    """,
    mistakes={
        "as it was": Body(
            AS_IT_WAS,
            "that is the step as it was: the prediction is detached, so the predictor gets no gradient, and the target "
            "is trained.",
        ),
        "no stop-gradient": Edit(
            "z_a, z_b)[0] -> z_a, z_b, stop_gradient=False)[0]",
            "no stop-gradient at all: the targets are trained too, and both sides meet.",
        ),
        "predictor only": Edit(
            "z_a @ w_p, z_b @ w_p -> z_a.detach() @ w_p, z_b.detach() @ w_p",
            "no gradient reaches the encoder w: the projections were detached before the predictor.",
        ),
        "no predictor": Edit("z_a @ w_p, z_b @ w_p -> z_a, z_b", "the predictor w_p is not used."),
        "predictor on both sides": Edit(
            "z_b @ w_p, z_a, z_b -> z_b @ w_p, z_a @ w_p, z_b @ w_p",
            "the target went through the predictor too; it belongs on one side only.",
        ),
        "squared distance": Edit(
            "simsiam(z_a @ w_p, z_b @ w_p, z_a, z_b)[0] -> "
            "((z_a @ w_p - z_b.detach()).square().sum(1) + (z_b @ w_p - z_a.detach()).square().sum(1)).mean() / 2",
            "lengths count in a squared distance of rows as they are; SimSiam compares directions.",
        ),
        "own view": Edit("z_a, z_b)[0] -> z_b, z_a)[0]", SAME_VIEW),
        "one direction": Edit(")[0] -> )[1]", "only view A predicts view B; take the total, both directions."),
        "sum of both": Edit(")[0] -> )[0] * 2", "that is the sum of both directions; SimSiam's total is their mean."),
        "sign": Edit(
            "return simsiam -> return -simsiam", "the sign is turned round: SimSiam minimises minus the cosine."
        ),
        "one target not stopped": Edit(
            "z_a.detach()) -> z_a)", "one of the two targets, z_a, is trained too: detach both.", of="by cosines"
        ),
        "the other target not stopped": Edit(
            "z_b.detach()) -> z_b)", "one of the two targets, z_b, is trained too: detach both.", of="by cosines"
        ),
        "cosine of columns": Edit(".detach()) -> .detach(), dim=0)", COLUMNS, of="by cosines"),
        "dot products": Edit(
            "F.cosine_similarity(z_a @ w_p, z_b.detach()) -> (z_a @ w_p * z_b.detach()).sum(dim=1)\n"
            "F.cosine_similarity(z_b @ w_p, z_a.detach()) -> (z_b @ w_p * z_a.detach()).sum(dim=1)",
            NOT_UNIT,
            of="by cosines",
        ),
        "centred": Edit(
            "x_a @ w, x_b @ w -> x_a @ w - (x_a @ w).mean(dim=0), x_b @ w - (x_b @ w).mean(dim=0)",
            "the mean over the batch was subtracted; the step does not centre, it compares directions as they are.",
        ),
        "columns divided": Edit(
            "x_a @ w, x_b @ w -> F.normalize(x_a @ w, dim=0), F.normalize(x_b @ w, dim=0)",
            "the columns of z were divided by their lengths, over the batch; simsiam divides the rows by itself.",
        ),
        "a nonlinear predictor": Edit(
            "z_a @ w_p, z_b @ w_p -> (z_a @ w_p).relu(), (z_b @ w_p).relu()",
            "a relu follows the predictor; here it is linear: z w_p.",
        ),
        "view A twice": Edit("x_b @ w -> x_a @ w", "view B is not used: both views are x_a."),
        "predictor transposed": Edit(
            "@ w_p -> @ w_p.T", "the predictor was transposed; a row of z is multiplied by w_p."
        ),
        "BYOL's unit": Edit(
            "simsiam(z_a @ w_p -> losses.byol(z_a @ w_p", "that is BYOL's total, 4 + 4 of SimSiam's; use simsiam."
        ),
    },
    right={
        "library": "z_a, z_b = x_a @ w, x_b @ w\nreturn losses.simsiam(z_a @ w_p, z_b @ w_p, z_a, z_b).total",
        "by cosines": """
            z_a, z_b = x_a @ w, x_b @ w
            first = F.cosine_similarity(z_a @ w_p, z_b.detach()).mean()
            second = F.cosine_similarity(z_b @ w_p, z_a.detach()).mean()
            return -(first + second) / 2
        """,
        "one product": """
            z = torch.cat([x_a, x_b]) @ w
            n = len(x_a)
            t = torch.cat([z[n:], z[:n]]).detach()
            return -F.cosine_similarity(z @ w_p, t).mean()
        """,
        "from byol": """
            z_a, z_b = x_a @ w, x_b @ w
            return losses.byol(z_a @ w_p, z_b @ w_p, z_a, z_b)[0] / 4 - 1
        """,
    },
)
