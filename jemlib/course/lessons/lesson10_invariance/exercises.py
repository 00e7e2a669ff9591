"""Lesson 10: firing units, RIS with its baselines, what the official code computes, and recovery up to a linear map."""

from __future__ import annotations

import math

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
        "the mean": Body("return (signs * h).mean(dim=0)", "that is the mean; asked is a quantile, which counts images."),
        "a share of the largest": Body(
            "return (1 - rate) * (signs * h).amax(dim=0)",
            "a share of the largest value was taken; a quantile counts images.",
        ),
        "standard deviations": Body(
            "s = signs * h\nreturn s.mean(dim=0) + s.std(dim=0)",
            "mean plus standard deviation says nothing about the share that fires; count images.",
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
        "no sign in the threshold": Edit("rate, signs) -> rate)", "the threshold was taken for sign +1; pass signs on."),
        "no sign": Edit(
            "signs * h > firing_threshold(h, rate, signs) -> h > firing_threshold(h, rate)",
            "signs is used nowhere: neither for h nor for the threshold.",
        ),
        "turned around": Edit("signs * h > -> signs * h <", "it fires below the threshold; f asks for above."),
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
        "True and False": Edit(").to(h.dtype) -> )", "Results keep the type of the input"),
        **within("firing_threshold", "upwards", "one for all", "no lower bound", "floor", "the smallest that fires"),
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
        "the sum over images": Edit(
            "rates.mean(dim=0) -> fires[classes == y].sum(dim=0) / len(members)",
            "the fires of all images were divided by the number of trajectories; the lengths are missing.",
        ),
        "all trajectories": Edit(
            "trajectories[classes == y].unique() -> trajectories.unique()",
            "every class gets the mean over all trajectories; take those of class y.",
        ),
        "the silent left out": Edit(
            "rates.mean(dim=0) -> rates.sum(dim=0) / (rates > 0).sum(dim=0).clamp(min=1)",
            "trajectories on which the unit never fires were left out, as the official code does; all of them count.",
        ),
        "best trajectory": Edit("rates.mean(dim=0) -> rates.amax(dim=0)", "only the best trajectory of a class counts."),
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
            "return torch.where(overall > 0, torch.log1p(local / overall), 0.0)", "a logarithm was taken; I is the ratio."
        ),
        "at most 1": Edit("local / overall -> (local / overall).clamp(max=1)", "it was cut at 1; I may be up to 1/G."),
        "squared": Edit("local / overall -> local / overall.square()", "G was squared."),
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
        "the K-th": Edit("values.mean() -> values[:, -1].mean()", "only the K-th largest counts; take the mean of the K."),
        "the best": Body("return invariance.amax(dim=1).mean()", "only the best unit counts; K of them do."),
        "best class": Edit("values.mean() -> values.mean(dim=1).amax()", "only the best class counts; take the mean."),
        "all units": Body(
            "return invariance.mean()", "all units were averaged, so nothing was chosen; take the K largest of each row."
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
        if i == 4:
            h = (h - 1.5).relu()
        order = _order(i, len(classes))
        args = (h[order].to(torch.float32 if i == 2 else torch.float64), trajectories[order], classes[order])
        found.append(Case(args, {"k": k} if i else {}, note="units that are mostly 0" if i == 4 else ""))
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
            "overall = torch.where(plus, f_up.mean(dim=0), f_down.mean(dim=0)) -> overall = h.new_full((len(plus),), rate)",
            "G was set to the rate aimed at; measure it after thresholding, because rounding and ties change it.",
        ),
        "G of plus": Edit(
            "torch.where(plus, f_up.mean(dim=0), f_down.mean(dim=0)) -> f_up.mean(dim=0)",
            "G is that of the sign +1 for all units; take that of the chosen sign.",
        ),
        "no G": Edit(
            "target_conditioned_invariance(local, overall) -> local", "L stands where I = L / G is asked."
        ),
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
        **within("mean_of_top", "all units", "one choice for all", "all together", "the best", "smallest"),
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
