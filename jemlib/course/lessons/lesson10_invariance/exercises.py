"""Lesson 10: firing units, RIS with its baselines, what the official code computes, and recovery up to a linear map."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from jemlib import invariance
from jemlib.course.machinery.agreement import Case
from jemlib.course.machinery.answers import Body, Edit, declare, within

# --- Inputs -----------------------------------------------------------------------------------------------------


def _normal(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def _order(seed: int, n: int) -> Tensor:
    return torch.randperm(n, generator=torch.Generator().manual_seed(seed))


def _features() -> list[Case]:
    """Odd shapes, shifted and scaled, one unit, both signs, both types, ties, and rates that round to none or all."""
    return [
        Case((_normal(1, 12, 3),), {"rate": 0.25}),
        Case((_normal(2, 7, 4) * 5 + 2,), {"rate": 0.4}),
        Case((_normal(3, 9, 5).float(),), {"rate": 0.45}),
        Case((_normal(4, 8, 1),), {"rate": 0.25, "signs": -1}),
        Case((3 * _normal(5, 10, 3) - 1,), {"rate": 0.1, "signs": -1}),
        Case(((_normal(6, 20, 3) - 0.8).relu(),), {"rate": 0.3}, note="units that are mostly 0"),
        Case((_normal(7, 6, 2),), {"rate": 0.01}),
        Case((_normal(8, 6, 2),), {"rate": 1.0}),
        Case((_normal(9, 12, 3),), {"rate": 0.2}, note="2.4 images, that is 2"),
        Case(((2 * _normal(11, 15, 3)).round() / 2,), {"rate": 0.4}, note="values with ties"),
    ]


def _labels(seed: int, lengths: list[list[int]]) -> tuple[Tensor, Tensor]:
    """Trajectories of these lengths in classes, with ids in no order, and the images in any order."""
    rows = [(10 * c + t, 7 - 3 * c) for c, ts in enumerate(lengths) for t, n in enumerate(ts) for _ in range(n)]
    trajectories, classes = torch.tensor(rows)[_order(seed, len(rows))].unbind(dim=1)
    return trajectories.contiguous(), classes.contiguous()


LENGTHS = ([[1, 4, 2], [3, 3]], [[2, 5], [1, 1, 4], [6]], [[4], [2, 3]], [[3, 1], [5, 2, 2], [1], [4, 4]])


def _grouped(*, signs: bool = False) -> list[Case]:
    """Fires `(M, U)`, with `signs` those for both, trajectories and classes; unequal lengths, both types."""
    found = []
    for i, lengths in enumerate(LENGTHS):
        trajectories, classes = _labels(10 + i, lengths)
        h = _normal(20 + i, len(classes), (3, 5, 1, 4)[i])
        kind = torch.float32 if i == 1 else torch.float64
        fires = [(h > 0.3).to(kind), (h < -0.6).to(kind)] if signs else [(h > 0.3).to(kind)]
        if signs and i in (1, 3):  # on no trajectory of this class
            for f in fires:
                f[classes == classes.min(), 0] = 0
        found.append(Case((*fires, trajectories, classes)))
    return found


# --- 10.1 firing_threshold --------------------------------------------------------------------------------------

COUNTED = "m = len(h)\ncount = min(max(round(rate * m), 1), m - 1)\n"

declare(
    __name__,
    invariance.firing_threshold,
    number="10.1",
    title="a threshold that lets a unit fire on a given share",
    difficulty=2,
    importance=4,
    minutes=8,
    points=2,
    hints=(
        "How many images shall fire? round(rate * M), but at least one of them and not all of them.",
        "Sort signs * h downwards over the images, dim=0. The first `count` values shall lie above the threshold.",
        "So the threshold is the value at place `count`, counted from 0: the largest that does not fire.",
    ),
    cases=_features,
    gradients=False,
    answer="""
        def firing_threshold(h, rate, signs=1):
            m = len(h)
            count = min(max(round(rate * m), 1), m - 1)
            return (signs * h).sort(dim=0, descending=True).values[count]
    """,
    mistakes={
        "the smallest that fires": Edit(
            "values[count] -> values[count - 1]",
            "that is the smallest value that fires; the threshold is the largest that does not, because f asks for >.",
        ),
        "one too low": Edit(
            "values[count] -> values[min(count + 1, m - 1)]", "one place too low: count + 1 images lie above it."
        ),
        "interpolated": Body(
            "return torch.quantile(signs * h, 1 - rate, dim=0)",
            "torch.quantile puts the threshold between two images; here it is the value of an image.",
        ),
        "upwards": Edit(
            "descending=True -> descending=False",
            "the values were sorted upwards: then all but a share of the images fire. Sort downwards.",
        ),
        "over units": Body(
            COUNTED + "return (signs * h).sort(dim=1, descending=True).values[:, min(count, h.shape[1] - 1)]",
            "it was sorted over the units; each unit has its own threshold over the images, dim=0.",
        ),
        "one for all": Body(
            "m = h.numel()\ncount = min(max(round(rate * m), 1), m - 1)\n"
            "return (signs * h).flatten().sort(descending=True).values[count].repeat(h.shape[1])",
            "one threshold for all units together; each unit has its own.",
        ),
        "no sign": Edit("(signs * h) -> h", "signs is not used: multiply h by it before you sort."),
        "sign on the threshold": Body(
            COUNTED + "return signs * h.sort(dim=0, descending=True).values[count]",
            "the sign stands before the threshold; multiply h by it first, then sort.",
        ),
        "absolute values": Edit(
            "(signs * h) -> h.abs()", "absolute values were sorted; a unit of sign -1 fires for its smallest values."
        ),
        "no lower bound": Edit(
            "max(round(rate * m), 1) -> round(rate * m)",
            "a small rate rounds to no image at all; a unit fires on one at least.",
        ),
        "floor": Edit("round(rate -> int(rate", "int() cuts off; round the number of images."),
        "the mean": Body(
            "return (signs * h).mean(dim=0)", "that is the mean; asked is a quantile, which counts images."
        ),
        "a share of the largest": Body(
            "return (1 - rate) * (signs * h).amax(dim=0)",
            "a share of the largest value was taken; a quantile counts images.",
        ),
        "standard deviations": Body(
            "s = signs * h\nreturn s.mean(dim=0) + s.std(dim=0)",
            "mean plus standard deviation says nothing about the share that fires; count images.",
        ),
        "ceil": Edit("round(rate -> math.ceil(rate", "ceil goes up to the next number of images; round it."),
        "cut off by quantile": Body(
            "return torch.quantile(signs * h, 1 - rate, dim=0, interpolation='lower')",
            "torch.quantile cuts off where the count is rounded: more fire than round(rate * M). Sort, and count.",
        ),
        "the other quantile": Body(
            "return torch.quantile(signs * h, rate, dim=0)",
            "a share `rate` lies below that quantile, so all others fire. Sort downwards, and take an image's value.",
        ),
        "sign taken out again": Edit(
            "return (signs * h) -> return signs * (signs * h)",
            "the sign was multiplied in twice: the threshold is that of signs * h.",
        ),
        "equal values once": Body(
            COUNTED + "ranked = [column.unique().flip(0) for column in (signs * h).T]\n"
            "return torch.stack([values[min(count, len(values) - 1)] for values in ranked])",
            "equal values were counted once (unique); each image counts, also where it ties with another.",
        ),
        "a share of the range": Body(
            "s = signs * h\nlow, high = s.amin(dim=0), s.amax(dim=0)\nreturn high - rate * (high - low)",
            "a share of the range of values was taken; a quantile counts images.",
        ),
        "as if normal": Body(
            "s = signs * h\nz = torch.special.ndtri(torch.tensor(1 - rate, dtype=h.dtype))\n"
            "return s.mean(dim=0) + z * s.std(dim=0)",
            "that is the quantile of a normal distribution; count the images themselves.",
        ),
    },
    right={
        "kthvalue": COUNTED + "return (signs * h).kthvalue(m - count, dim=0).values",
        "topk": COUNTED + "return torch.topk(signs * h, count + 1, dim=0).values[-1]",
        "a unit after the other": COUNTED
        + "return torch.stack([sorted(signs * column, reverse=True)[count] for column in h.T])",
        "from below": COUNTED + "return torch.sort(h * signs, dim=0)[0][m - 1 - count]",
    },
)


# --- 10.2 fire --------------------------------------------------------------------------------------------------


def fire(h: Tensor, rate: float, signs: Tensor | int = 1) -> Tensor:
    """`1[ s_i h_i(x) > t_i ]` as numbers 0 and 1 of the type of `h`: `(M, U)` -> `(M, U)`."""
    return invariance.fire(h, rate, signs).to(h.dtype)


declare(
    __name__,
    fire,
    number="10.2",
    title="which units fire, for which images",
    difficulty=1,
    importance=5,
    minutes=5,
    points=1,
    hints=(
        "Compare signs * h with your firing_threshold(h, rate, signs). The threshold (U,) broadcasts over the images.",
        "Strictly larger. The comparison gives True and False; .to(h.dtype) makes 1 and 0 of them.",
    ),
    cases=_features,
    gradients=False,
    answer="""
        def fire(h, rate, signs=1):
            return (signs * h > firing_threshold(h, rate, signs)).to(h.dtype)
    """,
    mistakes={
        "not strictly": Edit("signs * h > -> signs * h >=", "the image at the threshold fires too; f asks for >."),
        "no sign on the left": Edit("(signs * h > -> (h >", "h is compared without its sign: signs * h > t."),
        "no sign in the threshold": Edit(
            "rate, signs) -> rate)", "the threshold was taken for sign +1; pass signs on."
        ),
        "no sign": Edit(
            "signs * h > firing_threshold(h, rate, signs) -> h > firing_threshold(h, rate)",
            "signs is used nowhere: neither for h nor for the threshold.",
        ),
        "turned around": Edit("signs * h > -> signs * h <", "it fires below the threshold; f asks for above."),
        "turned around, the threshold too": Edit(
            "signs * h > -> signs * h <=", "it fires at the threshold and below; f asks for above: turn the sign round."
        ),
        "threshold 0": Edit("firing_threshold(h, rate, signs) -> 0", "the threshold is 0; it comes from the rate."),
        "the rate as threshold": Edit(
            "firing_threshold(h, rate, signs) -> rate", "the rate is a share of images, not a threshold for h."
        ),
        "values": Body(
            "s = signs * h\nreturn s * (s > firing_threshold(h, rate, signs))",
            "the values that fire are returned; f is 1 for each of them.",
        ),
        "distance": Body(
            "return signs * h - firing_threshold(h, rate, signs)", "that is the distance to the threshold; f is 1 or 0."
        ),
        "soft": Body(
            "return torch.sigmoid(signs * h - firing_threshold(h, rate, signs))",
            "a sigmoid is soft; f is 1 above the threshold and 0 elsewhere.",
        ),
        "minus for silent": Edit(
            "return (signs * h > firing_threshold(h, rate, signs)).to(h.dtype) -> "
            "return 2 * (signs * h > firing_threshold(h, rate, signs)).to(h.dtype) - 1",
            "-1 stands where a unit does not fire; f is 0 or 1.",
        ),
        "sign on both sides": Edit(
            "> firing_threshold -> > signs * firing_threshold",
            "the threshold was multiplied by the sign once more; it is that of signs * h already.",
        ),
        "exactly so many": Body(
            COUNTED + "top = (signs * h).topk(count, dim=0).indices\nreturn torch.zeros_like(h).scatter(0, top, 1.0)",
            "so many images were picked, also among equal values; those that tie with the threshold do not fire.",
        ),
        "the other share": Edit(
            "(h, rate, -> (h, 1 - rate,", "the share is 1 - rate here; rate is the one that fires."
        ),
        "absolute values": Edit(
            "signs * h > -> h.abs() >", "absolute values are compared; a unit of sign -1 fires for its smallest values."
        ),
        "the others for minus": Body(
            "up = (h > firing_threshold(h, rate)).to(h.dtype)\n"
            "return torch.where(torch.as_tensor(signs) > 0, up, 1 - up)",
            "for the sign -1 all silent images were taken, a share of 1 - rate; the sign is put before h first.",
        ),
        "the rate": Edit(
            "return (signs * h > firing_threshold(h, rate, signs)).to(h.dtype) -> "
            "return (signs * h > firing_threshold(h, rate, signs)).to(h.dtype).mean(dim=0)",
            "that is G, a mean over the images; f has one entry for each image, (M, U).",
        ),
        "above the mean": Body(
            "s = signs * h\nreturn (s > s.mean(dim=0)).to(h.dtype)",
            "the threshold is the mean; it comes from the rate, the share of images that shall fire.",
        ),
        **within("firing_threshold", "upwards", "one for all", "no lower bound", "floor", "the smallest that fires"),
        **within("firing_threshold", "interpolated", "ceil", "one too low", "equal values once"),
    },
    right={
        "where": "s = signs * h\n"
        "return torch.where(s > firing_threshold(h, rate, signs), torch.ones_like(s), torch.zeros_like(s))",
        "heaviside": "return torch.heaviside(signs * h - firing_threshold(h, rate, signs), h.new_zeros(()))",
        "by rank": COUNTED
        + "s = signs * h\nas_large = (s[None] >= s[:, None]).sum(dim=1)\nreturn (as_large <= count).to(h.dtype)",
    },
)


# --- 10.3 local_firing_rate -------------------------------------------------------------------------------------


def local_firing_rate(fires: Tensor, trajectories: Tensor, classes: Tensor) -> Tensor:
    """L, `(C, U)`: the mean over the trajectories of a class of the mean along each; rows by ascending class id."""
    return invariance.local_firing_rate(fires, trajectories, classes).to(fires.dtype)


ALONG = "fires[trajectories == z].mean(dim=0)"

declare(
    __name__,
    local_firing_rate,
    number="10.3",
    title="how often a unit fires on the trajectories of a class",
    difficulty=3,
    importance=5,
    minutes=12,
    points=3,
    hints=(
        "Two means, one inside the other. Inside: along one trajectory, fires[trajectories == z].mean(dim=0).",
        "Outside: over the trajectories of class y. Their ids are trajectories[classes == y].unique().",
        "One row for each y in classes.unique(), which is sorted; torch.stack(rows) is (C, U).",
    ),
    cases=_grouped,
    gradients=False,
    answer="""
        def local_firing_rate(fires, trajectories, classes):
            rows = []
            for y in classes.unique():
                members = trajectories[classes == y].unique()
                rates = torch.stack([fires[trajectories == z].mean(dim=0) for z in members])
                rows.append(rates.mean(dim=0))
            return torch.stack(rows)
    """,
    mistakes={
        "pooled": Edit(
            "rates.mean(dim=0) -> fires[classes == y].mean(dim=0)",
            "all images of a class were pooled, so a long trajectory counts more; first take the mean along each one.",
        ),
        "first frame": Edit(
            f"{ALONG} -> fires[trajectories == z][0]", "only the first frame of each trajectory counts; take the mean."
        ),
        "any frame": Edit(
            f"{ALONG} -> fires[trajectories == z].amax(dim=0)",
            "a trajectory counts in full as soon as the unit fires once on it; take the mean along it.",
        ),
        "every frame": Edit(
            f"{ALONG} -> fires[trajectories == z].amin(dim=0)",
            "a trajectory counts only if the unit fires on all of it; take the mean along it.",
        ),
        "sum of frames": Edit(
            f"{ALONG} -> fires[trajectories == z].sum(dim=0)",
            "the frames were summed; divide by |T(z)|, the length of the trajectory.",
        ),
        "sum of trajectories": Edit(
            "rates.mean(dim=0) -> rates.sum(dim=0)", "the trajectories were summed; divide by |X_y|, their number."
        ),
        "divided by all": Edit(
            "rates.mean(dim=0) -> rates.sum(dim=0) / len(trajectories.unique())",
            "it was divided by the number of all trajectories; divide by that of the class, |X_y|.",
        ),
        "all trajectories": Edit(
            "trajectories[classes == y].unique() -> trajectories.unique()",
            "every class gets the mean over all trajectories; take those of class y.",
        ),
        "the silent left out": Edit(
            "rates.mean(dim=0) -> rates.sum(dim=0) / (rates > 0).sum(dim=0).clamp(min=1)",
            "trajectories on which the unit never fires were left out, as the official code does; all of them count.",
        ),
        "best trajectory": Edit(
            "rates.mean(dim=0) -> rates.amax(dim=0)",
            "only the best trajectory of a class counts, the largest rate; take the mean over all.",
        ),
        "no classes": Body(
            "return torch.stack([fires[trajectories == z].mean(dim=0) for z in trajectories.unique()])",
            "one row for each trajectory; average them over each class.",
        ),
        "transposed": Edit("torch.stack(rows) -> torch.stack(rows, dim=1)", "that is (U, C); rows are the classes."),
        "in order of appearance": Edit(
            "classes.unique() -> dict.fromkeys(classes.tolist())",
            "the rows come in the order in which the classes appear; they come by ascending id.",
        ),
        "backwards": Edit("classes.unique() -> classes.unique().flip(0)", "the rows come by descending id."),
        "rows by id": Body(
            """
            out = fires.new_zeros(int(classes.max()) + 1, fires.shape[1])
            for y in classes.unique():
                members = trajectories[classes == y].unique()
                out[y] = torch.stack([fires[trajectories == z].mean(dim=0) for z in members]).mean(dim=0)
            return out
            """,
            "the id of a class was taken for its row; ids may have gaps. One row for each class that occurs.",
        ),
        "median": Edit(
            f"{ALONG} -> fires[trajectories == z].median(dim=0).values",
            "that is the median along a trajectory; the fraction of the time is the mean.",
        ),
        "divided by all images": Edit(
            "rates.mean(dim=0) -> fires[classes == y].sum(dim=0) / len(fires)",
            "it was divided by the number of all images; take means: along a trajectory, then over those of the class.",
        ),
        "last trajectory": Edit(
            "rates.mean(dim=0) -> rates[-1]", "only the last trajectory of a class counts; take the mean over them."
        ),
        "first trajectory": Edit(
            "rates.mean(dim=0) -> rates[0]", "only the first trajectory of a class counts; take the mean over them."
        ),
        "one number a class": Edit(
            "rates.mean(dim=0) -> rates.mean()", "one number for each class; asked is one for each class and unit."
        ),
        "means of nothing": Body(
            """
            rows = []
            for y in classes.unique():
                rates = [fires[(trajectories == z) & (classes == y)].mean(dim=0) for z in trajectories.unique()]
                rows.append(torch.stack(rates).mean(dim=0))
            return torch.stack(rows)
            """,
            "trajectories of other classes have no image here, and a mean of nothing is NaN: take those of class y.",
        ),
    },
    right={
        "matrices": """
            ids, t = trajectories.unique(return_inverse=True)
            c = classes.unique(return_inverse=True)[1]
            along = F.one_hot(t).to(fires.dtype)
            of_class = F.one_hot(torch.zeros(len(ids), dtype=torch.long).scatter(0, t, c)).to(fires.dtype)
            rates = along.T @ fires / along.sum(dim=0)[:, None]
            return of_class.T @ rates / of_class.sum(dim=0)[:, None]
        """,
        "a weight for each image": """
            rows = []
            weights = fires.new_tensor([1 / float((trajectories == z).sum()) for z in trajectories])
            for y in classes.unique():
                own = weights * (classes == y)
                rows.append(own @ fires / own.sum())
            return torch.stack(rows)
        """,
        "lists": """
            rows = []
            for y in sorted(set(classes.tolist())):
                found = []
                for z in sorted(set(trajectories.tolist())):
                    inside = (trajectories == z) & (classes == y)
                    if inside.any():
                        found.append(fires[inside].sum(dim=0) / inside.sum())
                rows.append(sum(found) / len(found))
            return torch.stack(rows)
        """,
    },
)


# --- 10.4 target_conditioned_invariance -------------------------------------------------------------------------


def target_conditioned_invariance(local: Tensor, overall: Tensor) -> Tensor:
    """`I_y(i) = L_y(i) / G(i)`, `(C, U)`; 0 for a unit that never fires."""
    return invariance.target_conditioned_invariance(local, overall).to(local.dtype)


def _rates() -> list[Case]:
    """L `(C, U)` and G `(U,)`: odd shapes, one unit, both types, and units that never fire."""
    found = []
    for i, (c, u) in enumerate(((3, 4), (5, 2), (2, 6), (4, 1))):
        kind = torch.float32 if i == 2 else torch.float64
        local = _normal(30 + i, c, u).abs().clamp(max=1)
        overall = _normal(40 + i, u).abs().clamp(0.05, 1)
        if i in (0, 2):
            local[:, 1], overall[1] = 0.0, 0.0
        note = "unit 1 never fires" if i in (0, 2) else ""
        found.append(Case((local.to(kind), overall.to(kind)), note=note))
    return found[1:2] + found[3:] + found[:1] + found[2:3]


def _g_was_changed(case: Case, ours: Sequence[Tensor], truth: Sequence[Tensor]) -> str | None:
    """Whether a number was added to G, or G was bounded from below: seen from what L was divided by."""
    (local, overall), (found,) = case.args, ours
    if found.shape != local.shape or found.dtype != torch.float64:
        return None
    alive = overall > 0
    divisors = (local / found).nan_to_num(nan=0.0).amax(dim=0)[alive]
    extra = divisors - overall[alive]
    if not bool(torch.isfinite(divisors).all()) or bool(extra.abs().max() < 1e-9):
        return None
    if len(extra) > 1 and bool(extra.min() > 0) and bool(extra.max() - extra.min() < 1e-3 * extra.max()):
        return "A small number was added to G, which changes every unit; only 0/0 needs care."
    lifted = extra > 1e-9
    bound = divisors[lifted]
    if bool(lifted.all()) or bool((bound != bound[:1]).any()) or bool(extra[~lifted].abs().max() > 1e-9):
        return None
    return "G was bounded from below (clamp); a small rate is a rate too, only 0/0 needs care."


declare(
    __name__,
    target_conditioned_invariance,
    number="10.4",
    title="more often than on everything: I = L / G",
    difficulty=1,
    importance=4,
    minutes=5,
    points=1,
    hints=(
        "local is (C, U) and overall (U,): the division broadcasts over the classes.",
        "A dead unit has G = 0 and L = 0, and 0/0 is NaN. Such a unit is invariant to nothing: give it 0.",
        "torch.where(overall > 0, local / overall, 0.0).",
    ),
    cases=_rates,
    symptom=_g_was_changed,
    gradients=False,
    answer="""
        def target_conditioned_invariance(local, overall):
            return torch.where(overall > 0, local / overall, 0.0)
    """,
    mistakes={
        "no care for dead units": Body(
            "return local / overall", "0/0 is NaN: a unit that never fires gets I = 0 by convention."
        ),
        "an eps": Body(
            "return local / (overall + 1e-3)", "a number was added to G, which changes every unit; only 0/0 needs care."
        ),
        "dead units get 1": Edit("0.0) -> 1.0)", "a unit that never fires got 1; it is invariant to nothing: 0."),
        "upside down": Body(
            "return torch.where(local > 0, overall / local, torch.zeros_like(local))", "upside down: it is L over G."
        ),
        "times": Edit("local / overall -> local * overall", "L was multiplied by G; divide."),
        "difference": Body("return local - overall", "G was taken away from L; divide by it."),
        "relative difference": Edit(
            "local / overall -> (local - overall) / overall", "that is I - 1; leave L as it is in the numerator."
        ),
        "mean over classes": Body(
            "m = local.mean(dim=0)\nreturn torch.where(m > 0, local / m, 0.0)",
            "it was divided by the mean of L over the classes; G is over all images, the same only if all is balanced.",
        ),
        "sum over classes": Body(
            "m = local.sum(dim=0)\nreturn torch.where(m > 0, local / m, 0.0)",
            "it was divided by the sum over the classes: shares that sum to 1. Divide by G.",
        ),
        "one G for all": Body("return local / overall.mean()", "one mean of G divides all units; each has its own."),
        "logarithm": Body(
            "return torch.where(overall > 0, torch.log1p(local / overall), 0.0)",
            "a logarithm was taken; I is the ratio.",
        ),
        "at most 1": Edit("local / overall -> (local / overall).clamp(max=1)", "it was cut at 1; I may be up to 1/G."),
        "squared": Edit("local / overall -> local / overall.square()", "G was squared."),
        "largest G for all": Body("return local / overall.max()", "the largest G divides all units; each has its own."),
        "by the classes too": Edit(
            "local / overall -> local / overall / len(local)",
            "it was divided by the number of classes as well; I is L / G for each class.",
        ),
        "G as it was aimed at": Body(
            "return local * len(local)", "G was taken to be 1/|Y|, which one aims at; divide by the measured `overall`."
        ),
        "averaged": Edit(
            "return torch.where(overall > 0, local / overall, 0.0) -> "
            "return torch.where(overall > 0, local / overall, 0.0).mean(dim=0)",
            "the classes were averaged; I has one row for each class, (C, U).",
        ),
        "dead units left out": Body(
            "alive = overall > 0\nreturn local[:, alive] / overall[alive]",
            "units that never fire were left out, so the shape is another; they stay and get 0.",
        ),
        "root": Edit("local / overall -> local / overall.sqrt()", "the root of G was taken; divide by G itself."),
        "logarithm of the ratio": Edit(
            "local / overall -> torch.log(local / overall)", "a logarithm was taken; I is the ratio."
        ),
        "L over its largest": Body(
            "m = local.amax(dim=0)\nreturn torch.where(m > 0, local / m, 0.0)",
            "it was divided by the largest L of the unit; divide by G.",
        ),
    },
    right={
        "nan_to_num": "return (local / overall).nan_to_num(nan=0.0)",
        "only the living": """
            found = torch.zeros_like(local)
            alive = overall > 0
            found[:, alive] = local[:, alive] / overall[alive]
            return found
        """,
        "loop": """
            columns = []
            for i in range(len(overall)):
                columns.append(local[:, i] / overall[i] if overall[i] > 0 else torch.zeros_like(local[:, i]))
            return torch.stack(columns, dim=1)
        """,
    },
)


# --- 10.5 best_signs --------------------------------------------------------------------------------------------


def best_signs(up: Tensor, down: Tensor) -> Tensor:
    """s, `(U,)`: +1 or -1, whichever fires more on some class; +1 when equal.

    Args:
        up, down: L for s = +1 and for s = -1, `(C, U)`.
    """
    return torch.where(up.amax(dim=0) >= down.amax(dim=0), 1.0, -1.0).to(up.dtype)


def _both_signs() -> list[Case]:
    """L for both signs, `(C, U)`: odd shapes, both types, and units whose signs are equally good."""
    found = []
    for i, (c, u) in enumerate(((3, 6), (5, 4), (2, 7), (4, 5))):
        kind = torch.float32 if i == 2 else torch.float64
        up, down = (_normal(seed, c, u).abs().clamp(max=1) for seed in (50 + i, 60 + i))
        if i % 2:
            down[:, 0] = up[:, 0].flip(0)
        found.append(Case((up.to(kind), down.to(kind)), note="unit 0 is as good with both signs" if i % 2 else ""))
    return found


declare(
    __name__,
    best_signs,
    number="10.5",
    title="one sign for each unit",
    difficulty=2,
    importance=3,
    minutes=6,
    points=1,
    hints=(
        "For each sign, a unit's largest rate over the classes: .amax(dim=0), shape (U,).",
        "+1 where that of `up` is at least that of `down`, -1 elsewhere, in the type of `up`.",
    ),
    cases=_both_signs,
    gradients=False,
    answer="""
        def best_signs(up, down):
            return torch.where(up.amax(dim=0) >= down.amax(dim=0), 1.0, -1.0).to(up.dtype)
    """,
    mistakes={
        "sum over classes": Edit(
            "amax(dim=0) -> sum(dim=0)",
            "sums over the classes were compared; without ties they are equal for both signs. Compare the largest.",
        ),
        "smallest": Edit("amax -> amin", "the smallest rates were compared; a unit may be for one class: the largest."),
        "a sign for each class": Body(
            "return torch.where(up >= down, 1.0, -1.0).to(up.dtype)",
            "a sign for each class and unit, (C, U); a unit has one sign, whatever the class.",
        ),
        "over units": Edit("amax(dim=0) -> amax(dim=1)", "the maximum runs over the units; it runs over the classes."),
        "one for all": Body(
            "return torch.where(up.amax() >= down.amax(), 1.0, -1.0).to(up.dtype).repeat(up.shape[1])",
            "one sign for all units together; each has its own.",
        ),
        "equal gives minus": Edit("dim=0) >= -> dim=0) >", "where both signs are equally good the sign is +1."),
        "turned around": Edit("1.0, -1.0 -> -1.0, 1.0", "the signs are turned around: +1 where `up` is larger."),
        "0 and 1": Edit("1.0, -1.0 -> 1.0, 0.0", "0 stands where -1 is asked."),
        "first class": Edit("amax(dim=0) -> select(0, 0)", "only the first class was looked at."),
        "majority": Body(
            "return torch.where((up >= down).sum(dim=0) * 2 >= len(up), 1.0, -1.0).to(up.dtype)",
            "the classes voted; what counts is the largest rate over the classes.",
        ),
        "the rates": Body(
            "return torch.maximum(up.amax(dim=0), down.amax(dim=0))", "those are the larger rates; asked are the signs."
        ),
        "the sign of the gap": Body(
            "return torch.sign(up.amax(dim=0) - down.amax(dim=0))",
            "torch.sign gives 0 where both signs are equally good; the sign is +1 there.",
        ),
        "spread": Edit("amax(dim=0) -> std(dim=0)", "standard deviations were compared; compare the largest rates."),
        "which class": Edit(
            "amax -> argmax", "argmax says for which class, not how much: compare the largest rates themselves, amax."
        ),
        "last class": Edit(
            "amax(dim=0) -> select(0, -1)", "only the last class was looked at; the largest of all counts."
        ),
        "largest gap": Body(
            "gap = up - down\nreturn torch.where(gap.amax(dim=0) >= -gap.amin(dim=0), 1.0, -1.0).to(up.dtype)",
            "the differences within each class were compared; compare the largest of `up` with the largest of `down`.",
        ),
        "some class": Body(
            "return torch.where((up - down).amax(dim=0) >= 0, 1.0, -1.0).to(up.dtype)",
            "+1 as soon as `up` is larger on some class; compare the largest of `up` with the largest of `down`.",
        ),
    },
    right={
        "sign": """
            gap = up.max(dim=0).values - down.max(dim=0).values
            return 2 * (gap >= 0).to(up.dtype) - 1
        """,
        "loop": """
            signs = []
            for i in range(up.shape[1]):
                signs.append(1.0 if max(up[:, i]) >= max(down[:, i]) else -1.0)
            return up.new_tensor(signs)
        """,
        "argmax of both": """
            both = torch.stack([up.amax(dim=0), down.amax(dim=0)])
            return 1 - 2 * (both[1] > both[0]).to(up.dtype)
        """,
    },
)


# --- 10.6 mean_of_top -------------------------------------------------------------------------------------------


def mean_of_top(invariance: Tensor, k: int) -> Tensor:
    """`RIS_K`: the mean over the classes of the mean of the K largest of each row of I, `(C, U)` -> a number."""
    return invariance.topk(k, dim=1).values.mean()


def _tables() -> list[Case]:
    """I `(C, U)`: odd shapes, both types, K from 1 to U."""
    shapes = ((3, 5, 2), (4, 9, 3), (5, 6, 1), (6, 7, 7), (4, 8, 4))
    return [
        Case(((3 * _normal(70 + i, c, u).abs()).to(torch.float32 if i == 1 else torch.float64),), {"k": k})
        for i, (c, u, k) in enumerate(shapes)
    ]


declare(
    __name__,
    mean_of_top,
    number="10.6",
    title="the score of the best K units of each class",
    difficulty=1,
    importance=5,
    minutes=6,
    points=1,
    hints=(
        "Each class chooses its own K units: topk over the units, dim=1. Take .values.",
        "A mean over the K, then a mean over the classes. All rows have K entries, so one mean does both.",
    ),
    cases=_tables,
    gradients=False,
    answer="""
        def mean_of_top(invariance, k):
            return invariance.topk(k, dim=1).values.mean()
    """,
    mistakes={
        "smallest": Edit("dim=1) -> dim=1, largest=False)", "the K smallest were taken; take the K largest."),
        "sum": Edit("values.mean() -> values.sum()", "the entries were summed; take their mean."),
        "sum over classes": Edit(
            "values.mean() -> values.mean(dim=1).sum()", "the classes were summed; take the mean over them."
        ),
        "sum over units": Edit(
            "values.mean() -> values.sum(dim=1).mean()", "the K units were summed; take their mean."
        ),
        "one number a class": Edit("mean() -> mean(dim=1)", "one number for each class; take the mean over them."),
        "the K-th": Edit(
            "values.mean() -> values[:, -1].mean()", "only the K-th largest counts; take the mean of the K."
        ),
        "the best": Body("return invariance.amax(dim=1).mean()", "only the best unit counts; K of them do."),
        "best class": Edit("values.mean() -> values.mean(dim=1).amax()", "only the best class counts; take the mean."),
        "all units": Body(
            "return invariance.mean()",
            "all units were averaged, so nothing was chosen; take the K largest of each row.",
        ),
        "over classes": Body(
            "return invariance.topk(min(k, len(invariance)), dim=0).values.mean()",
            "the best classes of each unit were taken; take the best units of each class, dim=1.",
        ),
        "one choice for all": Body(
            "units = invariance.mean(dim=0).topk(k).indices\nreturn invariance[:, units].mean()",
            "all classes got the same K units; each class chooses its own.",
        ),
        "all together": Body(
            "return invariance.flatten().topk(k).values.mean()",
            "the best K entries of the whole table were taken; take K for each class.",
        ),
        "what is common": Body(
            """
            chosen = [set(row.tolist()) for row in invariance.topk(k, dim=1).indices]
            return invariance.new_tensor(float(len(set.intersection(*chosen))))
            """,
            "units common to all classes were counted, as the notes have it (E6); nothing is shared between classes.",
        ),
        "the median": Edit("values.mean() -> values.median()", "that is the median; take the mean."),
        "places": Edit(
            "values.mean() -> indices.to(invariance.dtype).mean()",
            "topk gives values and indices; the indices were averaged. Take .values.",
        ),
        "one more": Body(
            "return invariance.sort(dim=1, descending=True).values[:, : k + 1].mean()",
            "k + 1 units of each class were taken; take k.",
        ),
        "one fewer": Body(
            "return invariance.sort(dim=1, descending=True).values[:, : max(k - 1, 1)].mean()",
            "k - 1 units of each class were taken; take k.",
        ),
        "the best left out": Body(
            "return invariance.sort(dim=1, descending=True).values[:, 1 : k + 1].mean()",
            "the largest of each row was left out: counting starts at 0.",
        ),
        "divided by U": Edit(
            "values.mean() -> values.sum(dim=1).mean() / invariance.shape[1]",
            "the sum of the K was divided by U, all units; divide by K.",
        ),
        "the first": Body(
            "return invariance[:, :k].mean()", "the first K units were taken, not the largest: topk, or sort each row."
        ),
        "as many together": Body(
            "return invariance.flatten().topk(k * len(invariance)).values.mean()",
            "the best of the whole table were taken, so a class may give more than K; each class chooses its own K.",
        ),
        "one choice, by the best class": Body(
            "units = invariance.amax(dim=0).topk(k).indices\nreturn invariance[:, units].mean()",
            "all classes got the same K units, those with the best class; each class chooses its own.",
        ),
        "last class": Body("return invariance[-1].topk(k).values.mean()", "only the last class counts; take the mean."),
        "first class left out": Edit(
            "values.mean() -> values[1:].mean()", "the first class was left out; take the mean over all."
        ),
        "median of each": Edit(
            "values.mean() -> values.median(dim=1).values.mean()", "the median of the K was taken; take their mean."
        ),
        "logarithms": Edit("invariance.topk -> invariance.log1p().topk", "a logarithm was taken; average I itself."),
    },
    right={
        "sort": "return invariance.sort(dim=1, descending=True).values[:, :k].mean(dim=1).mean()",
        "loop": """
            total = 0
            for row in invariance:
                total = total + sum(sorted(row, reverse=True)[:k]) / k
            return total / len(invariance)
        """,
        "by column": "return invariance.sort(dim=1).values[:, invariance.shape[1] - k :].mean(dim=0).sum() / k",
    },
)


# --- 10.7 ris_score ---------------------------------------------------------------------------------------------


def ris_score(h: Tensor, trajectories: Tensor, classes: Tensor, k: int = 10) -> Tensor:
    """`RIS_K` by the definition: `(M, U)` features, `(M,)` trajectories and classes -> a number."""
    return h.new_tensor(invariance.ris(h, trajectories, classes, k, num_shuffles=1).score)


def _represented() -> list[Case]:
    """Features that know a little about the class. Lengths are powers of two, so that equal rates are equal."""
    found = []
    for i, (c, per_class, frames, u, k) in enumerate(
        ((4, 4, 4, 12, 10), (3, 4, 2, 6, 2), (5, 2, 4, 7, 3), (6, 2, 2, 8, 1), (4, 4, 2, 9, 4))
    ):
        trajectories = torch.arange(c * per_class).repeat_interleave(frames)
        classes = 5 * (trajectories // per_class) + 2
        code = _normal(90 + i, c, u)[trajectories // per_class]
        h = _normal(80 + i, len(classes), u) + code + 0.5 * _normal(95 + i, c * per_class, u)[trajectories]
        if i >= 3:
            h = h.round() if i == 3 else (h - 1.5).relu()
        order = _order(i, len(classes))
        args = (h[order].to(torch.float32 if i == 2 else torch.float64), trajectories[order], classes[order])
        found.append(
            Case(args, {"k": k} if i else {}, note={3: "values with ties", 4: "units that are mostly 0"}.get(i, ""))
        )
    # Classes of several sizes and trajectories of several lengths; and so many classes that 1/|Y| is below 5%.
    for i, of_class in ((5, [[4, 1, 2, 4], [2, 4], [1, 2, 4, 1]]), (6, [[2, 2]] * 25)):
        rows = [(10 * c + t, 3 * c + 1) for c, ts in enumerate(of_class) for t, n in enumerate(ts) for _ in range(n)]
        trajectories, classes = torch.tensor(rows)[_order(i, len(rows))].unbind(dim=1)
        h = _normal(80 + i, len(rows), 6) + _normal(90 + i, int(classes.max()) + 1, 6)[classes]
        note = "classes and trajectories of several sizes" if i == 5 else "25 classes"
        found.append(Case((h, trajectories.contiguous(), classes.contiguous()), {"k": 2}, note=note))
    return found


declare(
    __name__,
    ris_score,
    number="10.7",
    title="RIS, all steps in a row",
    difficulty=3,
    importance=5,
    minutes=15,
    points=3,
    hints=(
        "The target rate is 1 over the number of classes. Compute fires and L twice: for s = +1 and for s = -1.",
        "best_signs(up, down) says which of the two each unit keeps: torch.where(signs > 0, up, down).",
        "Choose G in the same way: the mean of the fires of the chosen sign. Then I, then mean_of_top(I, k).",
    ),
    cases=_represented,
    gradients=False,
    answer="""
        def ris_score(h, trajectories, classes, k=10):
            rate = 1 / len(classes.unique())
            f_up, f_down = fire(h, rate, 1), fire(h, rate, -1)
            up, down = (local_firing_rate(f, trajectories, classes) for f in (f_up, f_down))
            plus = best_signs(up, down) > 0
            local = torch.where(plus, up, down)
            overall = torch.where(plus, f_up.mean(dim=0), f_down.mean(dim=0))
            return mean_of_top(target_conditioned_invariance(local, overall), k)
    """,
    mistakes={
        "only plus": Edit(
            "best_signs(up, down) > 0 -> best_signs(up, up) > 0",
            "only the sign +1 is used; a unit may speak for a class by being small.",
        ),
        "only minus": Edit("best_signs(up, down) > 0 -> best_signs(up, down) > 2", "only the sign -1 is used."),
        "signs turned": Edit(
            "best_signs(up, down) > 0 -> best_signs(up, down) < 0", "each unit got the other sign: + where it is +1."
        ),
        "a sign for each class": Edit(
            "torch.where(plus, up, down) -> torch.maximum(up, down)",
            "each class chose its own sign of a unit; a unit has one sign for all classes.",
        ),
        "G as it was aimed at": Edit(
            "torch.where(plus, f_up.mean(dim=0), f_down.mean(dim=0)) -> h.new_full((len(plus),), rate)",
            "G was set to the rate aimed at; measure it after thresholding, because rounding and ties change it.",
        ),
        "G of plus": Edit(
            "torch.where(plus, f_up.mean(dim=0), f_down.mean(dim=0)) -> f_up.mean(dim=0)",
            "G is that of the sign +1 for all units; take that of the chosen sign.",
        ),
        "no G": Edit("target_conditioned_invariance(local, overall) -> local", "L stands where I = L / G is asked."),
        "5 percent": Edit("1 / len(classes.unique()) -> 0.05", "the rate is 1 over the number of classes, not 5%."),
        "half": Edit("1 / len(classes.unique()) -> 0.5", "the rate is 1 over the number of classes, not one half."),
        "one over units": Edit(
            "1 / len(classes.unique()) -> 1 / h.shape[1]", "the rate is 1 over the number of classes, not of units."
        ),
        "one over trajectories": Edit(
            "len(classes.unique()) -> len(trajectories.unique())",
            "the rate is 1 over the number of classes, not of trajectories.",
        ),
        "trajectories for classes": Edit(
            "(f, trajectories, classes) -> (f, trajectories, trajectories)",
            "each trajectory was taken for a class of its own; pass the classes on.",
        ),
        "one over images": Edit(
            "len(classes.unique()) -> len(classes)", "the rate is 1 over the number of classes, not of images."
        ),
        "K over units": Edit(
            "1 / len(classes.unique()) -> k / h.shape[1]", "the rate is 1 over the number of classes; K comes last."
        ),
        "the largest id": Edit(
            "len(classes.unique()) -> (int(classes.max()) + 1)",
            "the largest id was taken for the number of classes, but ids may have gaps: the rate is 1/|Y|.",
        ),
        "floor of 5%": Edit(
            "1 / len(classes.unique()) -> max(1 / len(classes.unique()), 0.05)",
            "the rate has a floor of 5%, as in the official code; by the definition it is 1/|Y|.",
        ),
        "G from L": Edit(
            "torch.where(plus, f_up.mean(dim=0), f_down.mean(dim=0)) -> local.mean(dim=0)",
            "G is the mean of L over the classes here; it is measured on all images, the same only if all is balanced.",
        ),
        "one G": Edit(
            "torch.where(plus, f_up.mean(dim=0), f_down.mean(dim=0)) -> torch.where(plus, f_up.mean(), f_down.mean())",
            "one G for all units; each has its own, the mean over the images, dim=0.",
        ),
        "the better score": Body(
            """
            rate, scores = 1 / len(classes.unique()), []
            for s in (1, -1):
                f = fire(h, rate, s)
                local = local_firing_rate(f, trajectories, classes)
                scores.append(mean_of_top(target_conditioned_invariance(local, f.mean(dim=0)), k))
            return torch.stack(scores).max()
            """,
            "one sign was chosen for all units, by the score; each unit keeps its own better sign.",
        ),
        "the mean of both scores": Body(
            """
            rate, scores = 1 / len(classes.unique()), []
            for s in (1, -1):
                f = fire(h, rate, s)
                local = local_firing_rate(f, trajectories, classes)
                scores.append(mean_of_top(target_conditioned_invariance(local, f.mean(dim=0)), k))
            return torch.stack(scores).mean()
            """,
            "the scores of both signs were averaged; each unit keeps its better sign.",
        ),
        "each unit twice": Edit(
            "target_conditioned_invariance(local, overall) -> "
            "torch.cat([target_conditioned_invariance(up, f_up.mean(dim=0)), "
            "target_conditioned_invariance(down, f_down.mean(dim=0))], dim=1)",
            "each unit stands in the table twice, once for each sign; it keeps one sign for all classes.",
        ),
        "percent": Edit(
            "return mean_of_top -> return 100 * rate * mean_of_top", "that is the score in percent; RIS has no 100 G*."
        ),
        "the complement": Edit(
            "fire(h, rate, -1) -> 1 - fire(h, rate, 1)",
            "for the sign -1 the silent images were taken, 1 - rate of them; use fire with the sign -1.",
        ),
        "absolute values": Edit(
            ("fire(h, -> fire(h.abs(),",), "absolute values hide the sign of h; fire takes the sign."
        ),
        "pooled": Edit(
            "(f, trajectories, classes) -> (f, torch.arange(len(f)), classes)",
            "all images of a class were pooled; pass the trajectories on, so that each has the same weight.",
        ),
        # (One choice of units for all classes would give 1, as all units do: the mean of I over the classes is 1.)
        **within("mean_of_top", "all units", "all together", "the best", "smallest"),
        **within("fire", "not strictly", "turned around", "threshold 0"),
        **within("best_signs", "smallest"),
    },
    right={
        "the library": "return h.new_tensor(invariance.ris(h, trajectories, classes, k, num_shuffles=1).score)",
        "signs put into h": """
            rate = 1 / len(set(classes.tolist()))
            rates = [local_firing_rate(fire(h, rate, s), trajectories, classes) for s in (1, -1)]
            fires = fire(h * best_signs(*rates), rate)
            local = local_firing_rate(fires, trajectories, classes)
            return mean_of_top(target_conditioned_invariance(local, fires.mean(dim=0)), k)
        """,
        "signs passed on": """
            rate = 1 / len(classes.unique())
            signs = best_signs(*(local_firing_rate(fire(h, rate, s), trajectories, classes) for s in (1, -1)))
            fires = fire(h, rate, signs)
            found = local_firing_rate(fires, trajectories, classes) / fires.mean(dim=0)
            return found.nan_to_num().topk(k, dim=1).values.mean()
        """,
    },
    using={"invariance": invariance},
)


# --- 10.8 shuffled_local_rate: repair ---------------------------------------------------------------------------


def shuffled_local_rate(fires: Tensor, trajectories: Tensor, classes: Tensor, order: Tensor) -> Tensor:
    """L, `(C, U)`, after trajectory t got the class of trajectory `order[t]`.

    Args:
        fires: `(M, U)`.
        trajectories: `(M,)`, numbered from 0 to T - 1.
        classes: `(M,)`.
        order: `(T,)`, a permutation of the trajectories.
    """
    own = classes.new_zeros(len(order)).scatter(0, trajectories, classes)
    return local_firing_rate(fires, trajectories, own[order][trajectories])


def _to_shuffle() -> list[Case]:
    """Trajectories numbered from 0, of unequal length, in two or three classes; the inverse order gives others."""
    found = []
    for i, (t, c, u) in enumerate(((6, 2, 3), (7, 3, 4), (9, 3, 2), (5, 2, 5))):
        own = 4 - torch.arange(t) % c
        lengths = 1 + (torch.arange(t) * 5) % 4
        trajectories = torch.arange(t).repeat_interleave(lengths)
        images = _order(100 + i, len(trajectories))
        trajectories = trajectories[images]
        order = next(o for o in (_order(s, t) for s in range(1000, 1200)) if _tells(own, o))
        fires = (_normal(110 + i, len(trajectories), u) > 0.2).to(torch.float32 if i == 2 else torch.float64)
        found.append(Case((fires, trajectories, own[trajectories], order)))
    return found


def _tells(own: Tensor, order: Tensor) -> bool:
    """Whether the order changes the classes, and its inverse changes them in another way."""
    return not torch.equal(own[order], own) and not torch.equal(own[order], own[order.argsort()])


declare(
    __name__,
    shuffled_local_rate,
    number="10.8",
    title="repair: a baseline that is too low",
    difficulty=3,
    importance=4,
    minutes=10,
    points=2,
    hints=(
        "What is shuffled must stay whole: all frames of a trajectory get one class, that of another trajectory.",
        "First the class of each trajectory, (T,): own[trajectories] = classes. Then own[order] is the shuffled list.",
        "own[order][trajectories] gives each image its new class; your local_firing_rate does the rest.",
    ),
    cases=_to_shuffle,
    gradients=False,
    answer="""
        def shuffled_local_rate(fires, trajectories, classes, order):
            own = torch.zeros_like(order)
            own[trajectories] = classes
            return local_firing_rate(fires, trajectories, own[order][trajectories])
    """,
    mistakes={
        "nothing shuffled": Edit("own[order][trajectories] -> classes", "nothing is shuffled: order is not used."),
        "images for trajectories": Edit(
            "own[order][trajectories] -> classes[order][trajectories]",
            "order numbers trajectories, but classes has an entry for each image; first find each trajectory's class.",
        ),
        "single images": Body(
            """
            own = torch.zeros_like(order)
            own[trajectories] = classes
            moved = classes.roll(1)
            return torch.stack([fires[moved == y].mean(dim=0) for y in classes.unique()])
            """,
            "single images got another class, as in the broken step: all frames of a trajectory keep one class.",
        ),
        "the inverse": Edit(
            "own[order] -> own[order.argsort()]",
            "that is the inverse order: trajectory t gets the class of trajectory order[t].",
        ),
        "twice": Edit(
            "own[order][trajectories] -> own[order[order]][trajectories]",
            "the order was applied twice; once is enough.",
        ),
        "backwards": Edit("own[order] -> own.flip(0)", "the classes were turned around; use the order that is given."),
        "rolled": Edit(
            "own[order] -> own.roll(1)", "the classes were moved by one place; use the order that is given."
        ),
        "sorted": Edit("own[order] -> own.sort().values", "the classes were sorted; use the order that is given."),
        "pooled": Body(
            """
            own = torch.zeros_like(order)
            own[trajectories] = classes
            moved = own[order][trajectories]
            return torch.stack([fires[moved == y].mean(dim=0) for y in moved.unique()])
            """,
            "shuffled as it should be, but all images of a class were pooled: first the mean along each trajectory.",
        ),
        "names exchanged": Body(
            """
            return local_firing_rate(fires, trajectories, classes).flip(0)
            """,
            "the classes exchanged their names, so the rows changed places; each trajectory must get another class.",
        ),
        "every class alike": Body(
            """
            found = local_firing_rate(fires, trajectories, classes)
            return found.mean(dim=0).expand_as(found).clone()
            """,
            "every class got the mean over the classes; shuffled classes still differ by chance.",
        ),
        **within("local_firing_rate", "any frame", "first frame", "transposed"),
        "handed on": Body(
            """
            moved = classes.clone()
            for t in range(len(order)):
                moved[trajectories == t] = moved[trajectories == order[t]][0]
            return local_firing_rate(fires, trajectories, moved)
            """,
            "a class that had been overwritten already was handed on: read the classes as they were before.",
        ),
        "last left out": Body(
            """
            moved = classes.clone()
            for t in range(len(order) - 1):
                moved[trajectories == t] = classes[trajectories == order[t]][0]
            return local_firing_rate(fires, trajectories, moved)
            """,
            "the last trajectory keeps its class: the loop ends too early.",
        ),
        "first left out": Body(
            """
            moved = classes.clone()
            for t in range(1, len(order)):
                moved[trajectories == t] = classes[trajectories == order[t]][0]
            return local_firing_rate(fires, trajectories, moved)
            """,
            "the first trajectory keeps its class: the loop starts too late.",
        ),
        "one frame of each": Body(
            """
            moved = classes.clone()
            for t in range(len(order)):
                moved[(trajectories == t).nonzero()[0]] = classes[trajectories == order[t]][0]
            return torch.stack([fires[moved == y].mean(dim=0) for y in classes.unique()])
            """,
            "only the first frame of each trajectory got another class; all its frames must.",
        ),
        **within("local_firing_rate", "sum of trajectories", "divided by all", "sum of frames"),
    },
    right={
        "first images": """
            first = torch.stack([(trajectories == t).nonzero()[0, 0] for t in range(len(order))])
            return local_firing_rate(fires, trajectories, classes[first][order][trajectories])
        """,
        "scatter": """
            own = classes.new_zeros(len(order)).scatter(0, trajectories, classes)
            return local_firing_rate(fires, trajectories, own.gather(0, order).gather(0, trajectories))
        """,
        "image by image": """
            of = {int(t): int(c) for t, c in zip(trajectories, classes)}
            moved = torch.tensor([of[int(order[t])] for t in trajectories])
            return local_firing_rate(fires, trajectories, moved)
        """,
    },
)


# --- 10.9 official_local_rate -----------------------------------------------------------------------------------


def official_local_rate(up: Tensor, down: Tensor, trajectories: Tensor, classes: Tensor) -> Tensor:
    """The L of the official code, `(C, U)`; 0 where a unit fires on no trajectory of the class.

    Args:
        up, down: `(M, U)`, what fires with the sign +1 and with -1.
        trajectories, classes: `(M,)`.
    """
    rows = []
    for y in classes.unique():
        members = trajectories[classes == y].unique()
        along = [[f[trajectories == z].mean(dim=0) for z in members] for f in (up, down)]
        rates = torch.maximum(*(torch.stack(rates) for rates in along))
        rows.append(rates.sum(dim=0) / (rates > 0).sum(dim=0).clamp(min=1))
    return torch.stack(rows)


declare(
    __name__,
    official_local_rate,
    number="10.9",
    title="what the official code computes instead of L",
    difficulty=3,
    importance=3,
    minutes=12,
    points=2,
    hints=(
        "Along each trajectory two means, one for each sign. The larger one is kept: a sign for each trajectory.",
        "Then a mean over only those trajectories of the class whose kept rate is above 0.",
        "If there is none, the sum is 0 and the count too: .clamp(min=1) on the count keeps 0/0 away.",
    ),
    cases=lambda: _grouped(signs=True),
    gradients=False,
    answer="""
        def official_local_rate(up, down, trajectories, classes):
            rows = []
            for y in classes.unique():
                members = trajectories[classes == y].unique()
                plus = torch.stack([up[trajectories == z].mean(dim=0) for z in members])
                minus = torch.stack([down[trajectories == z].mean(dim=0) for z in members])
                rates = torch.maximum(plus, minus)
                rows.append(rates.sum(dim=0) / (rates > 0).sum(dim=0).clamp(min=1))
            return torch.stack(rows)
    """,
    mistakes={
        "all trajectories count": Edit(
            "rates.sum(dim=0) / (rates > 0).sum(dim=0).clamp(min=1) -> rates.mean(dim=0)",
            "all trajectories of the class count; the official code leaves out those on which the unit never fires.",
        ),
        "a sign for each unit": Edit(
            "rates.sum(dim=0) / (rates > 0).sum(dim=0).clamp(min=1) -> torch.maximum("
            "plus.sum(dim=0) / (plus > 0).sum(dim=0).clamp(min=1), "
            "minus.sum(dim=0) / (minus > 0).sum(dim=0).clamp(min=1))",
            "the sign was chosen for each class, after the mean; the official code chooses it on each trajectory.",
        ),
        "the definition": Body(
            "return local_firing_rate(up, trajectories, classes)",
            "that is L by the definition, for the sign +1; asked is what the official code computes.",
        ),
        "only plus": Edit("torch.maximum(plus, minus) -> plus", "only the sign +1 is used; keep the larger rate."),
        "only minus": Edit("torch.maximum(plus, minus) -> minus", "only the sign -1 is used; keep the larger rate."),
        "smaller": Edit("torch.maximum -> torch.minimum", "the smaller rate was kept; keep the larger one."),
        "added": Edit(
            "torch.maximum(plus, minus) -> (plus + minus)",
            "the rates of both signs were added, as if an image might fire with either; keep the larger.",
        ),
        "averaged": Edit(
            "torch.maximum(plus, minus) -> (plus + minus) / 2",
            "the rates of both signs were averaged; keep the larger.",
        ),
        "summed": Edit(
            "rates.sum(dim=0) / (rates > 0).sum(dim=0).clamp(min=1) -> rates.sum(dim=0)",
            "the trajectories were summed; divide by the number of those on which the unit fires.",
        ),
        "the count": Edit(
            "rates.sum(dim=0) / (rates > 0).sum(dim=0).clamp(min=1) -> (rates > 0).to(up.dtype).mean(dim=0)",
            "that is the share of trajectories on which the unit fires at all; asked is the mean rate on those.",
        ),
        "pooled": Edit(
            "rates.sum(dim=0) / (rates > 0).sum(dim=0).clamp(min=1) -> "
            "torch.maximum(up[classes == y].mean(dim=0), down[classes == y].mean(dim=0))",
            "all images of a class were pooled; both the sign and the mean belong to a trajectory.",
        ),
        "a sign for each image": Edit(
            "rates.sum(dim=0) / (rates > 0).sum(dim=0).clamp(min=1) -> "
            "torch.maximum(up, down)[classes == y].mean(dim=0)",
            "the sign was chosen for each image, and the images of a class were pooled; both belong to a trajectory.",
        ),
        "transposed": Edit("torch.stack(rows) -> torch.stack(rows, dim=1)", "that is (U, C); rows are the classes."),
        "no care for 0/0": Edit(
            ".clamp(min=1) ->", "0/0 is NaN where a unit fires on no trajectory of the class; its entry is 0."
        ),
        "an eps": Edit(
            ".clamp(min=1) -> .add(1e-6)",
            "a small number was added to the count; only 0/0 needs care, as by clamp(min=1).",
        ),
        "best trajectory": Edit(
            "rates.sum(dim=0) / (rates > 0).sum(dim=0).clamp(min=1) -> rates.amax(dim=0)",
            "only the best trajectory of a class counts, a max; take the mean over those on which the unit fires.",
        ),
        "the definition, with its sign": Body(
            """
            up, down = (local_firing_rate(f, trajectories, classes) for f in (up, down))
            return torch.where(up.amax(dim=0) >= down.amax(dim=0), up, down)
            """,
            "that is L by the definition, with one sign for each unit; points 3 and 4 are missing.",
        ),
        "the better L": Body(
            """
            up, down = (local_firing_rate(f, trajectories, classes) for f in (up, down))
            return torch.maximum(up, down)
            """,
            "the sign was chosen for each class, after the mean over all trajectories; choose it on each trajectory, "
            "and the silent ones are left out.",
        ),
        "once is enough": Edit(
            "torch.maximum(plus, minus) -> (torch.maximum(plus, minus) > 0).to(up.dtype)",
            "a trajectory counts in full as soon as the unit fires once on it; take the mean along it.",
        ),
        "half of the time": Edit(
            "(rates > 0) -> (rates >= 0.5)", "trajectories count from a rate of 0.5 on; all on which the unit fires do."
        ),
        "sum of frames": Edit(
            "== z].mean(dim=0) -> == z].sum(dim=0)", "the frames were summed; take the mean along each trajectory."
        ),
    },
    right={
        "NaN for the silent": """
            rows = []
            for y in classes.unique():
                rates = []
                for z in trajectories[classes == y].unique():
                    inside = trajectories == z
                    rate = torch.maximum(up[inside].mean(dim=0), down[inside].mean(dim=0))
                    rates.append(torch.where(rate > 0, rate, torch.full_like(rate, torch.nan)))
                rows.append(torch.stack(rates).nanmean(dim=0).nan_to_num())
            return torch.stack(rows)
        """,
        "counts": """
            rows = []
            for y in classes.unique():
                total, fired = torch.zeros_like(up[0]), torch.zeros_like(up[0])
                for z in trajectories[classes == y].unique():
                    inside = trajectories == z
                    rate = torch.max(up[inside].sum(dim=0), down[inside].sum(dim=0)) / inside.sum()
                    total, fired = total + rate, fired + (rate > 0)
                rows.append(torch.where(fired > 0, total / fired, torch.zeros_like(total)))
            return torch.stack(rows)
        """,
    },
)


# --- 10.10 same_object ------------------------------------------------------------------------------------------


def same_object(a: Tensor, b: Tensor) -> Tensor:
    """Share of pairs of views that show the same object most, among the pairs of which both show one.

    Args:
        a, b: `(N, O)`, how much of each of O objects view A and view B of image i show.
    """
    shown = (a.sum(dim=1) > 0) & (b.sum(dim=1) > 0)
    agree = a.argmax(dim=1) == b.argmax(dim=1)
    return (agree & shown).sum() / shown.sum().to(a.dtype)


def _shown() -> list[Case]:
    """Pixels of each object in both views `(N, O)`: some views show one object, some none; both types; no ties."""
    found = []
    for i, (n, o) in enumerate(((9, 2), (14, 3), (11, 2), (20, 4))):
        a, b = ((60 * _normal(seed, n, o) + 20).clamp(min=0) for seed in (120 + i, 130 + i))
        a[0], b[1], b[2] = 0.0, 0.0, 2 * a[2] + torch.arange(o)
        a[3], b[3] = 0.0, 0.0
        a[4:6] += 1 + torch.arange(o) / 2
        b[4], b[5] = a[4].flip(0), a[5]  # as many pixels, of another object and of the same
        kind = torch.float32 if i == 2 else torch.float64
        found.append(Case((a.to(kind), b.to(kind)), note="pairs 0 and 1 show nothing in one view, pair 3 in both"))
    return found


declare(
    __name__,
    same_object,
    number="10.10",
    title="do two crops show the same object?",
    difficulty=2,
    importance=3,
    minutes=8,
    points=1,
    hints=(
        "Which object a view shows most is a.argmax(dim=1), shape (N,).",
        "A pair counts only if both of its views show something: rows whose sum is above 0, in a and in b.",
        "The share among those pairs: how many agree, divided by how many count.",
    ),
    cases=_shown,
    gradients=False,
    answer="""
        def same_object(a, b):
            shown = (a.sum(dim=1) > 0) & (b.sum(dim=1) > 0)
            agree = a.argmax(dim=1) == b.argmax(dim=1)
            return agree[shown].to(a.dtype).mean()
    """,
    mistakes={
        "empty views count": Edit(
            "agree[shown] -> agree", "pairs of which a view shows nothing count too; leave them out."
        ),
        "empty views disagree": Edit(
            "agree[shown] -> (agree & shown)",
            "pairs of which a view shows nothing count as disagreeing; leave them out.",
        ),
        "one view suffices": Edit(
            "> 0) & (b -> > 0) | (b", "a pair counts if either view shows something; both must: & for |."
        ),
        "only A is asked": Edit("& (b.sum(dim=1) > 0) ->", "only view A must show something here; both must."),
        "over images": Body(
            "return (a.argmax(dim=0) == b.argmax(dim=0)).to(a.dtype).mean()",
            "argmax runs over the images; it runs over the objects, dim=1.",
        ),
        "disagree": Edit("dim=1) == b -> dim=1) != b", "that is the share that disagrees."),
        "some object in both": Edit(
            "a.argmax(dim=1) == b.argmax(dim=1) -> ((a > 0) & (b > 0)).any(dim=1)",
            "a pair counts as soon as some object is in both; asked is the object that each shows most.",
        ),
        "least": Edit("argmax -> argmin", "the object that is shown least was compared; take the largest."),
        "number": Edit("mean() -> sum()", "that is the number of pairs; asked is their share."),
        "for each pair": Edit(".mean() ->", "one entry for each pair; asked is one number."),
        "the same objects": Edit(
            "a.argmax(dim=1) == b.argmax(dim=1) -> ((a > 0) == (b > 0)).all(dim=1)",
            "the sets of objects were compared; asked is the one that each view shows most.",
        ),
        "first object": Edit(
            "a.argmax(dim=1) == b.argmax(dim=1) -> (a[:, 0] > a[:, 1]) & (b[:, 0] > b[:, 1])",
            "only agreement on the first object counts; both views may show another one.",
        ),
        "as many pixels": Edit(
            "a.argmax(dim=1) == b.argmax(dim=1) -> a.amax(dim=1) == b.amax(dim=1)",
            "the numbers of pixels were compared; asked is which object is shown most, argmax.",
        ),
        "equal counts": Edit(
            "a.argmax(dim=1) == b.argmax(dim=1) -> (a == b).all(dim=1)",
            "the counts of pixels were compared; asked is whether the same object is shown most.",
        ),
        "all objects": Edit(
            "a.sum(dim=1) > 0 -> a.amin(dim=1) > 0\nb.sum(dim=1) > 0 -> b.amin(dim=1) > 0",
            "only pairs that show all objects count; it is enough that each crop shows something.",
        ),
        "more than half": Edit(
            "a.argmax(dim=1) == b.argmax(dim=1) -> "
            "((2 * a > a.sum(1, keepdim=True)) & (2 * b > b.sum(1, keepdim=True))).any(dim=1)",
            "an object must fill more than half of what a crop shows; asked is the one that it shows most.",
        ),
        "first that is shown": Edit(
            "a.argmax(dim=1) == b.argmax(dim=1) -> (a > 0).int().argmax(dim=1) == (b > 0).int().argmax(dim=1)",
            "the first object that is shown at all was compared; asked is the one that is shown most.",
        ),
        "percent": Edit("mean() -> mean() * 100", "that is in percent; a share is between 0 and 1."),
        "divided by entries": Edit(
            "mean() -> sum() / a.numel()", "it was divided by the number of entries; by the pairs."
        ),
        "whole division": Edit("mean() -> sum() // shown.sum()", "// cuts the share to a whole number; use /."),
        "last pair left out": Edit("agree[shown] -> agree[:-1][shown[:-1]]", "the last pair was left out."),
    },
    right={
        "loop": """
            agree, count = 0, 0
            for one, other in zip(a, b):
                if one.any() and other.any():
                    count += 1
                    agree += int(one.argmax()) == int(other.argmax())
            return a.new_tensor(agree / count)
        """,
        "one-hot": """
            kept = (a.amax(dim=1) > 0) & (b.amax(dim=1) > 0)
            top = [F.one_hot(v[kept].argmax(dim=1), v.shape[1]).to(a.dtype) for v in (a, b)]
            return (top[0] * top[1]).sum() / kept.sum()
        """,
        "sums": """
            shown = ((a.sum(1) > 0) & (b.sum(1) > 0)).to(a.dtype)
            agree = (a.max(dim=1).indices == b.max(dim=1).indices).to(a.dtype)
            return (agree * shown).sum() / shown.sum()
        """,
    },
)


# --- 10.11 on_circle --------------------------------------------------------------------------------------------


def on_circle(values: Tensor, period: float) -> Tensor:
    """A factor that comes back after `period`, as `(cos, sin)` of its angle: `(N,)` -> `(N, 2)`."""
    angle = 2 * math.pi / period * values
    return torch.stack([angle.cos(), angle.sin()], dim=1)


def _angles() -> list[Case]:
    return [
        Case((_normal(140, 7),), {"period": 1.0}),
        Case((3 * _normal(141, 5),), {"period": 6.5}),
        Case((_normal(142, 6).float(),), {"period": 2.0}),
        Case((torch.tensor([0.01, 0.99, 0.5], dtype=torch.float64),), {"period": 1.0}, note="two hues near red"),
    ]


declare(
    __name__,
    on_circle,
    number="10.11",
    title="a hue is a place on a circle",
    difficulty=1,
    importance=3,
    minutes=5,
    points=1,
    hints=(
        "The angle of a value is 2 pi values / period.",
        "Two columns: the cosine, then the sine. torch.stack([...], dim=1) has shape (N, 2).",
    ),
    cases=_angles,
    gradients=False,
    answer="""
        def on_circle(values, period):
            angle = 2 * torch.pi * values / period
            return torch.stack([angle.cos(), angle.sin()], dim=1)
    """,
    mistakes={
        "no 2 pi": Edit("2 * torch.pi * values -> values", "2 pi is missing: a period is a full turn."),
        "half a turn": Edit("2 * torch.pi -> torch.pi", "a period is 2 pi, a full turn; yours is half of one."),
        "period ignored": Edit("/ period ->", "the argument period is ignored; the angle is 2 pi values / period."),
        "times the period": Edit("/ period -> * period", "values were multiplied by the period; divide."),
        "sine first": Edit(
            "angle.cos(), angle.sin() -> angle.sin(), angle.cos()", "the columns are swapped: cosine, then sine."
        ),
        "cosine twice": Edit(
            "angle.sin() -> angle.cos()", "the cosine stands in both columns; the second is the sine."
        ),
        "rows for columns": Edit("dim=1 -> dim=0", "that is (2, N); one row for each value: (N, 2)."),
        "one column": Edit(
            "torch.stack([angle.cos(), angle.sin()], dim=1) -> angle.cos()",
            "one column does not tell an angle from its mirror image; add the sine.",
        ),
        "degrees": Edit("2 * torch.pi -> 360", "the angle is in degrees; cos and sin take radians."),
        "turned backwards": Edit("angle.sin() -> -angle.sin()", "the sine has the wrong sign."),
        "the angle itself": Edit(
            "angle.cos(), angle.sin() -> angle, angle",
            "those are angles, which jump after a full turn; take their cosine and sine.",
        ),
        "shares": Edit(
            "angle.cos(), angle.sin() -> values % period / period, 1 - values % period / period",
            "the share of a period and what is left of it lie on a line; take cosine and sine of the angle.",
        ),
        "remainder only": Edit(
            "values / period -> (values % period)",
            "the remainder was taken, but not divided by the period: the angle is 2 pi values / period.",
        ),
        "by the largest": Edit(
            "/ period -> / values.max()", "values were divided by their largest; divide by the period, a full turn."
        ),
        "rounded": Edit(
            "values / period -> (values / period).round()", "the number of turns was rounded; keep its fraction."
        ),
        "shifted": Edit(
            "return torch.stack([angle.cos(), angle.sin()], dim=1) -> "
            "return (torch.stack([angle.cos(), angle.sin()], dim=1) + 1) / 2",
            "the circle was shifted and made smaller; cosine and sine lie between -1 and 1.",
        ),
        "sine by a root": Edit(
            "angle.sin() -> (1 - angle.cos().square()).clamp(min=0).sqrt()",
            "a root has no sign: the sine is negative on half of the circle. Use sin.",
        ),
        "divided at the end": Edit(
            "return torch.stack([angle.cos(), angle.sin()], dim=1) -> "
            "return torch.stack([angle.cos(), angle.sin()], dim=1) / period",
            "the result was divided by the period; only the angle is, and the circle has radius 1.",
        ),
    },
    right={
        "polar": """
            angle = values * (2 * math.pi / period)
            return torch.view_as_real(torch.polar(torch.ones_like(angle), angle))
        """,
        "remainder first": """
            angle = 2 * math.pi * torch.remainder(values, period) / period
            return torch.cat([torch.cos(angle)[:, None], torch.sin(angle)[:, None]], dim=1)
        """,
        "loop": """
            rows = []
            for v in values:
                rows.append(torch.stack([torch.cos(2 * math.pi * v / period), torch.sin(2 * math.pi * v / period)]))
            return torch.stack(rows)
        """,
    },
)


# --- 10.12 recovered --------------------------------------------------------------------------------------------


def recovered(h_train: Tensor, s_train: Tensor, h_test: Tensor, s_test: Tensor) -> Tensor:
    """R2 of each factor by the linear map that fits best on the training samples, scored on others: `(S,)`.

    Args:
        h_train, h_test: `(N, U)` and `(M, U)` features, N > U.
        s_train, s_test: `(N, S)` and `(M, S)` factors.
    """
    ones = [torch.ones_like(h[:, :1]) for h in (h_train, h_test)]
    weights = torch.linalg.lstsq(torch.cat([h_train, ones[0]], dim=1), s_train).solution
    residual = s_test - torch.cat([h_test, ones[1]], dim=1) @ weights
    return 1 - residual.square().sum(dim=0) / (s_test - s_test.mean(dim=0)).square().sum(dim=0)


def _mixtures() -> list[Case]:
    """Factors mixed into features with some noise; both have means; training and test samples differ in number."""
    found = []
    for i, (n, m, u, s, noise) in enumerate(
        ((40, 25, 4, 3, 0.3), (30, 30, 3, 2, 0.8), (50, 20, 5, 1, 0.5), (36, 28, 2, 4, 0.2), (12, 24, 8, 2, 6.0))
    ):
        mixing, spread = _normal(150 + i, s, u), 1 + torch.arange(s, dtype=torch.float64)
        parts = []
        for seed, size in ((160 + i, n), (170 + i, m)):
            factors = _normal(seed, size, s)
            h = factors @ mixing + noise * _normal(seed + 20, size, u) + 2
            parts += [h, factors * spread + 3]
        kind = torch.float32 if i == 1 else torch.float64
        found.append(Case(tuple(part.to(kind) for part in parts)))
    return found


declare(
    __name__,
    recovered,
    number="10.12",
    title="what a linear map recovers",
    difficulty=3,
    importance=4,
    minutes=12,
    points=3,
    hints=(
        "A linear map with a constant: put ones beside h. torch.linalg.lstsq(a, b).solution fits b by a @ w.",
        "Fit on train, predict on test. R2 compares the squared errors with those of a constant guess.",
        "1 - sum of squared residuals / sum of squared deviations of s_test from its own mean, for each column: dim=0.",
    ),
    cases=_mixtures,
    gradients=False,
    answer="""
        def recovered(h_train, s_train, h_test, s_test):
            def with_one(h):
                return torch.cat([h, torch.ones_like(h[:, :1])], dim=1)

            weights = torch.linalg.lstsq(with_one(h_train), s_train).solution
            residual = s_test - with_one(h_test) @ weights
            deviation = s_test - s_test.mean(dim=0)
            return 1 - residual.square().sum(dim=0) / deviation.square().sum(dim=0)
    """,
    mistakes={
        "no constant": Edit(
            "torch.cat([h, torch.ones_like(h[:, :1])], dim=1) -> h",
            "the constant is missing: put a column of ones beside h.",
        ),
        "scored on train": Edit(
            "s_test - with_one(h_test) -> s_train - with_one(h_train)\ns_test - s_test -> s_train - s_train",
            "it was scored on the training samples, which a fit flatters; score on the test samples.",
        ),
        "fitted on test": Edit(
            "with_one(h_train), s_train -> with_one(h_test), s_test",
            "the map was fitted on the test samples; fit on train.",
        ),
        "mean of train": Edit(
            "s_test.mean(dim=0) -> s_train.mean(dim=0)",
            "the deviations are from the training mean; R2 takes those from the mean of the test samples.",
        ),
        "one mean": Edit("s_test.mean(dim=0) -> s_test.mean()", "one mean for all factors; each has its own, dim=0."),
        "not centred": Edit(
            "s_test - s_test.mean(dim=0) -> s_test", "the mean was not taken away: a constant guess would look good."
        ),
        "unexplained": Edit(
            "1 - residual -> residual", "that is the share that is not explained; take it away from 1."
        ),
        "root": Edit(
            "1 - residual.square().sum(dim=0) / deviation.square().sum(dim=0) -> "
            "(1 - residual.square().sum(dim=0) / deviation.square().sum(dim=0)).clamp(min=0).sqrt()",
            "that is R, the root; asked is R2.",
        ),
        "one number": Edit(
            "residual.square().sum(dim=0) / deviation.square().sum(dim=0) -> "
            "residual.square().sum() / deviation.square().sum()",
            "one number for all factors; a factor of large spread drowns the others. Sum over the samples, dim=0.",
        ),
        "mean of factors": Edit(
            "return 1 - residual.square().sum(dim=0) / deviation.square().sum(dim=0) -> "
            "return (1 - residual.square().sum(dim=0) / deviation.square().sum(dim=0)).mean()",
            "the factors were averaged; asked is one number for each.",
        ),
        "over factors": Edit(
            "square().sum(dim=0) -> square().sum(dim=1)", "the sums run over the factors; over samples."
        ),
        "absolute errors": Edit("square() -> abs()", "absolute errors; R2 compares squares."),
        "errors": Edit(
            "/ deviation.square().sum(dim=0) ->", "the errors were not divided by those of a constant guess."
        ),
        "not squared": Edit(
            "residual.square().sum(dim=0) / deviation.square().sum(dim=0) -> "
            "residual.norm(dim=0) / deviation.norm(dim=0)",
            "lengths were divided instead of their squares.",
        ),
        "correlation": Body(
            """
            def with_one(h):
                return torch.cat([h, torch.ones_like(h[:, :1])], dim=1)

            p = with_one(h_test) @ torch.linalg.lstsq(with_one(h_train), s_train).solution
            a, b = p - p.mean(dim=0), s_test - s_test.mean(dim=0)
            return (a * b).sum(dim=0).square() / (a.square().sum(dim=0) * b.square().sum(dim=0))
            """,
            "that is the squared correlation, which forgives a wrong scale and offset; R2 on new samples does not.",
        ),
        "spread of train": Edit(
            "deviation = s_test - s_test.mean(dim=0) -> deviation = s_train - s_train.mean(dim=0)",
            "the errors are on the test samples, but the deviations on the training ones; take both on test.",
        ),
        "unbiased variance": Edit(
            "residual.square().sum(dim=0) / deviation.square().sum(dim=0) -> "
            "residual.square().mean(dim=0) / s_test.var(dim=0)",
            "torch's var divides by N - 1 (unbiased), the mean of the squares by N; sums do for both.",
        ),
        "variance of the residual": Edit(
            "residual.square().sum(dim=0) / deviation.square().sum(dim=0) -> "
            "(residual - residual.mean(dim=0)).square().sum(dim=0) / deviation.square().sum(dim=0)",
            "the variance of the residual forgives a constant offset, its mean; take the sum of its squares.",
        ),
        "explained variance": Edit(
            "return 1 - residual.square().sum(dim=0) / deviation.square().sum(dim=0) -> "
            "return (s_test - residual).var(dim=0) / s_test.var(dim=0)",
            "the variance of the prediction says nothing about its errors; take the residual: 1 - errors / deviations.",
        ),
        "cut at 0": Edit(
            "return 1 - residual.square().sum(dim=0) / deviation.square().sum(dim=0) -> "
            "return (1 - residual.square().sum(dim=0) / deviation.square().sum(dim=0)).clamp(min=0)",
            "it was cut at 0; R2 is negative where the map predicts worse than a constant.",
        ),
        "ridge": Body(
            """
            a, b = (torch.cat([h, torch.ones_like(h[:, :1])], dim=1) for h in (h_train, h_test))
            weights = torch.linalg.solve(a.T @ a + torch.eye(a.shape[1], dtype=a.dtype), a.T @ s_train)
            deviation = s_test - s_test.mean(dim=0)
            return 1 - (s_test - b @ weights).square().sum(dim=0) / deviation.square().sum(dim=0)
            """,
            "that is ridge regression, with a penalty; asked is plain least squares.",
        ),
        "errors only": Edit(
            "return 1 - residual.square().sum(dim=0) / deviation.square().sum(dim=0) -> "
            "return residual.square().mean(dim=0)",
            "that is the mean squared error; divide it by that of a constant guess, and take it away from 1.",
        ),
        "constant not added back": Body(
            """
            mean_h, mean_s = h_train.mean(dim=0), s_train.mean(dim=0)
            weights = torch.linalg.lstsq(h_train - mean_h, s_train - mean_s).solution
            residual = s_test - (h_test - mean_h) @ weights
            return 1 - residual.square().sum(dim=0) / (s_test - s_test.mean(dim=0)).square().sum(dim=0)
            """,
            "the constant is missing in the prediction: add the mean of s_train back.",
        ),
        "constant only on train": Edit(
            "with_one(h_test) @ weights -> h_test @ weights[:-1]",
            "the constant was fitted, but it is missing in the prediction on the test samples.",
        ),
        "spread of all factors": Edit(
            "/ deviation.square().sum(dim=0) -> / deviation.square().sum()",
            "the deviations of all factors were added; each factor has its own sum, dim=0.",
        ),
        "errors in the spread": Edit(
            "/ deviation.square().sum(dim=0) -> / (residual.square().sum(dim=0) + deviation.square().sum(dim=0))",
            "the errors were added to the deviations; divide by the deviations alone, the errors of a constant guess.",
        ),
    },
    right={
        "centred": """
            mean_h, mean_s = h_train.mean(dim=0), s_train.mean(dim=0)
            weights = torch.linalg.pinv(h_train - mean_h) @ (s_train - mean_s)
            predicted = (h_test - mean_h) @ weights + mean_s
            return 1 - (s_test - predicted).pow(2).mean(dim=0) / s_test.var(dim=0, correction=0)
        """,
        "normal equations": """
            a = torch.cat([torch.ones_like(h_train[:, :1]), h_train], dim=1)
            weights = torch.linalg.solve(a.T @ a, a.T @ s_train)
            residual = s_test - weights[0] - h_test @ weights[1:]
            return 1 - (residual**2).sum(dim=0) / ((s_test - s_test.mean(dim=0)) ** 2).sum(dim=0)
        """,
        "a factor after the other": """
            found = []
            a, b = (torch.cat([h, h.new_ones(len(h), 1)], dim=1) for h in (h_train, h_test))
            for j in range(s_train.shape[1]):
                w = torch.linalg.lstsq(a, s_train[:, j : j + 1]).solution
                s = s_test[:, j]
                error = s - (b @ w)[:, 0]
                found.append(1 - error @ error / ((s - s.mean()) @ (s - s.mean())))
            return torch.stack(found)
        """,
    },
)
