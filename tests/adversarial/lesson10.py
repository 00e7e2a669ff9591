"""Answers to the exercises of lesson 10: firing units, RIS and its baseline, the official code, linear recovery."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Generator, Tensor

from tests.adversarial.answers import (
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

AXIS = ("dim", "axis", "axes", "row", "column", "along", "over the units", "over the images", "transpos")
SHAPE = ("shape", "dim", "keepdim", "one number", "scalar")
SIGN = ("sign", "signs", "-1", "minus", "negative", "turned")
STRICT = (">", "strict", "tie", "at the threshold", "equal")
MEAN = ("mean", "sum", "divi", "factor", "average", "times the right", "right one times")
LOOP = ("last", "first", "range", "left out", "leave", "missing", "skip", "ends", "stops", "starts")
DTYPE = ("dtype", "type", "bool", "integer", "int64", "whole number")
ROUND = ("round", "truncat", "cut", "int(", "ceil", "floor", "up", "down")
NAN = ("nan", "0/0", "zero", "never fires", "dead", "infinit", "none")
POOLED = ("pool", "long", "each trajectory", "along", "average of averages", "same weight", "same say")
RULE = ("share", "how many", "count", "place", "sort", "rank", "quantile", "value of an image")

# --- firing_threshold -----------------------------------------------------------------------------------------------


def threshold(body: str) -> str:
    return function("firing_threshold(h, rate, signs=1)", body)


THRESHOLD = threshold(
    """
    M = h.shape[0]
    count = min(max(round(rate * M), 1), M - 1)
    ranked = (signs * h).sort(dim=0, descending=True).values
    return ranked[count]
    """
)

WRONG += [
    wrong(threshold("return torch.quantile(signs * h, 1 - rate, dim=0)"), "quantile", "between", "interpol"),
    wrong(
        threshold("return torch.quantile(signs * h, 1 - rate, dim=0, interpolation='lower')"),
        "quantile",
        "place",
        "count",
        "one image",
        "one too",
        "round",
    ),
    wrong(threshold("return torch.quantile(signs * h, rate, dim=0)"), "quantile", "1 - rate", "between", "descend"),
    wrong(edited(THRESHOLD, ("ranked[count]", "ranked[count - 1]")), "smallest", "does not fire", "one too", ">"),
    wrong(edited(THRESHOLD, ("ranked[count]", "ranked[count + 1]")), "one too", "one more", "place", "largest", "next"),
    wrong(edited(THRESHOLD, ("(signs * h)", "h"), ("ranked[count]", "signs * ranked[count]")), *SIGN),
    wrong(edited(THRESHOLD, ("(signs * h)", "h")), *SIGN),
    wrong(edited(THRESHOLD, ("ranked[count]", "signs * ranked[count]")), *SIGN),
    wrong(
        edited(THRESHOLD, (", descending=True", "")),
        "ascend",
        "descend",
        "downward",
        "upward",
        "smallest",
        "largest",
        "end",
    ),
    wrong(edited(THRESHOLD, ("dim=0", "dim=1"), ("ranked[count]", "ranked[:, count]")), *AXIS, *SHAPE),
    wrong(edited(THRESHOLD, ("round(rate * M)", "int(rate * M)")), *ROUND),
    wrong(edited(THRESHOLD, ("round(rate * M)", "math.ceil(rate * M)")), *ROUND),
    wrong(edited(THRESHOLD, ("max(round(rate * M), 1)", "round(rate * M)")), "at least", "one image", "none", "0"),
    wrong(
        edited(THRESHOLD, ("min(max(round(rate * M), 1), M - 1)", "max(round(rate * M), 1)")),
        "all",
        "never",
        "out of",
        "index",
        "M - 1",
    ),
    wrong(
        threshold(
            """
            M, U = h.shape
            k = max(1, min(M * U - 1, round(rate * M * U)))
            return (signs * h).flatten().sort(descending=True).values[k].repeat(U)
            """
        ),
        "each unit",
        "own",
        "all units",
        "common",
        "one threshold",
    ),
    wrong(edited(THRESHOLD, ("(signs * h)", "h.abs()")), "abs", *SIGN),
    wrong(
        threshold(
            """
            x = signs * h
            z = math.sqrt(2) * torch.erfinv(torch.tensor(1.0 - 2.0 * min(rate, 0.99), dtype=h.dtype))
            return x.mean(dim=0) + z * x.std(dim=0)
            """
        ),
        "normal",
        "gauss",
        "std",
        "standard deviation",
        *RULE,
    ),
    wrong(
        threshold("x = signs * h\nlow, high = x.amin(dim=0), x.amax(dim=0)\nreturn high - rate * (high - low)"),
        "range",
        "min",
        *RULE,
    ),
    wrong(edited(THRESHOLD, ("return ranked[count]", "return ranked[count : count + 1]")), *SHAPE),
    wrong(threshold("h *= signs\n" + "return h.sort(dim=0, descending=True).values[1]"), *IN_PLACE, "round", "rate"),
    wrong(edited(THRESHOLD, ("(signs * h)", "(signs * h).float()")), *FLOAT32),
    wrong(edited(THRESHOLD, (".values", ".indices")), "indic", "values", "place", "argsort"),
    wrong(
        threshold(
            """
            out = []
            for column in (signs * h).T:
                distinct = column.unique().flip(0)
                count = min(max(round(rate * len(column)), 1), len(column) - 1)
                out.append(distinct[min(count, len(distinct) - 1)])
            return torch.stack(out)
            """
        ),
        "unique",
        "tie",
        "twice",
        "equal",
        "distinct",
        "repeat",
    ),
]
RIGHT += [
    right(
        threshold("M = len(h)\nk = max(1, min(M - 1, round(rate * M)))\nreturn (signs * h).kthvalue(M - k, 0).values")
    ),
    right(
        threshold("M = len(h)\nk = max(1, min(M - 1, round(rate * M)))\nreturn (h * signs).topk(k + 1, 0).values[-1]")
    ),
    right(
        threshold(
            """
            M, U = h.shape
            count = round(rate * M)
            if count < 1:
                count = 1
            if count == M:
                count = M - 1
            x = h * signs
            return torch.stack([sorted(x[:, i], reverse=True)[count] for i in range(U)])
            """
        )
    ),
    right(
        threshold(
            """
            fires = min(max(round(rate * h.size(0)), 1), h.size(0) - 1)
            silent = h.size(0) - fires
            return torch.sort(signs * h, dim=0)[0][silent - 1, :]
            """
        )
    ),
    right(
        threshold(
            """
            M = len(h)
            k = int(np.clip(round(rate * M), 1, M - 1))
            return -torch.from_numpy(np.partition(-(signs * h).numpy(), k, axis=0)[k])
            """
        )
    ),
]

# --- fire -----------------------------------------------------------------------------------------------------------


def fires_of(body: str) -> str:
    return function("fire(h, rate, signs=1)", body)


FIRE = fires_of("t = firing_threshold(h, rate, signs)\nreturn (signs * h > t).to(h.dtype)")

WRONG += [
    wrong(edited(FIRE, ("h > t", "h >= t")), *STRICT),
    wrong(edited(FIRE, ("signs * h > t", "h > t")), *SIGN),
    wrong(edited(FIRE, ("h > t", "h > signs * t")), *SIGN),
    wrong(edited(FIRE, ("rate, signs)", "rate)")), *SIGN),
    wrong(edited(FIRE, ("rate, signs)", "rate)"), ("signs * h > t", "h > t")), *SIGN),
    wrong(edited(FIRE, ("h > t", "h < t")), "larger", "smaller", "turned", "silent", ">", "side", "complement"),
    wrong(edited(FIRE, ("h > t", "h <= t")), "larger", "smaller", "turned", "silent", ">", "side", "complement"),
    wrong(edited(FIRE, (".to(h.dtype)", "")), *DTYPE, note="True and False for 1 and 0"),
    wrong(edited(FIRE, (".to(h.dtype)", ".int()")), *DTYPE, note="whole numbers, where the type of h is asked for"),
    wrong(
        fires_of(
            """
            count = min(max(round(rate * len(h)), 1), len(h) - 1)
            top = (signs * h).topk(count, dim=0).indices
            return torch.zeros_like(h).scatter_(0, top, 1.0)
            """
        ),
        *STRICT,
    ),
    wrong(
        edited(FIRE, ("return (signs * h > t).to(h.dtype)", "return torch.where(signs * h > t, h, 0.0)")),
        "0 and 1",
        "0 or 1",
        "value",
        "1 where",
    ),
    wrong(
        edited(FIRE, ("return (signs * h > t).to(h.dtype)", "return torch.sigmoid(signs * h - t)")),
        "sigmoid",
        "0 and 1",
        "0 or 1",
        "soft",
        "step",
    ),
    wrong(fires_of("return (signs * h > rate).to(h.dtype)"), "threshold", "rate", "share"),
    wrong(fires_of("return (signs * h > 0).to(h.dtype)"), "threshold", "rate", "share", "depend"),
    wrong(edited(FIRE, ("rate, signs)", "1 - rate, signs)")), "1 - rate", "rate", "share"),
    wrong(
        fires_of("x = signs * h\nreturn (x > torch.quantile(x, 1 - rate, dim=0)).to(h.dtype)"),
        "quantile",
        *RULE,
        "between",
    ),
    wrong(
        fires_of("x = signs * h\nreturn (x > x.mean(dim=1, keepdim=True)).to(h.dtype)"), *AXIS, "mean", "rate", "share"
    ),
    wrong(edited(FIRE, ("(signs * h > t).to(h.dtype)", "(signs * h > t).to(h.dtype).mean(dim=0)")), *SHAPE, "mean"),
    wrong(edited(FIRE, ("(signs * h > t)", "(2.0 * (signs * h > t) - 1)")), "0 and 1", "-1", "0 or 1", *SIGN),
    wrong(edited(FIRE, ("signs * h > t", "h.abs() > t")), "abs", *SIGN),
    wrong(
        fires_of("up = (h > firing_threshold(h, rate)).to(h.dtype)\nreturn torch.where(signs * h / h > 0, up, 1 - up)"),
        *SIGN,
        "share",
        "nan",
    ),
    wrong(
        fires_of("t = firing_threshold(h, rate, signs)\nh *= signs\nreturn (h > t).to(h.dtype)"),
        *IN_PLACE,
        note="it changes h",
    ),
    wrong(edited(FIRE, (".to(h.dtype)", ".to(h.dtype).T")), *SHAPE),
]
RIGHT += [
    right(
        fires_of(
            "return torch.where(h * signs > firing_threshold(h, rate, signs), torch.ones_like(h), torch.zeros_like(h))"
        )
    ),
    right(fires_of("return torch.sign(signs * h - firing_threshold(h, rate, signs)).clamp(min=0)")),
    right(
        fires_of("d = signs * h - firing_threshold(h, rate, signs)\nreturn torch.heaviside(d, torch.zeros_like(h[0]))")
    ),
    right(
        fires_of(
            """
            x = signs * h
            count = min(max(round(rate * len(h)), 1), len(h) - 1)
            as_large = (x[None, :, :] >= x[:, None, :]).sum(dim=1)
            return (as_large <= count).to(h.dtype)
            """
        )
    ),
    right(
        fires_of(
            """
            t = firing_threshold(h, rate, signs)
            x = signs * h
            out = torch.zeros_like(h)
            for m in range(h.shape[0]):
                for i in range(h.shape[1]):
                    if x[m, i] > t[i]:
                        out[m, i] = 1
            return out
            """
        )
    ),
]

# --- local_firing_rate ----------------------------------------------------------------------------------------------


def local(body: str) -> str:
    return function("local_firing_rate(fires, trajectories, classes)", body)


LOCAL = local(
    """
    rows = []
    for y in classes.unique():
        means = []
        for t in trajectories[classes == y].unique():
            means.append(fires[trajectories == t].mean(dim=0))
        rows.append(torch.stack(means).mean(dim=0))
    return torch.stack(rows)
    """
)

WRONG += [
    wrong(local("return torch.stack([fires[classes == y].mean(dim=0) for y in classes.unique()])"), *POOLED),
    wrong(
        local("return torch.stack([fires[trajectories == t].mean(dim=0) for t in trajectories.unique()])"),
        "each class",
        "each trajectory",
        "row",
        *SHAPE,
    ),
    wrong(edited(LOCAL, ("torch.stack(means).mean(dim=0)", "torch.stack(means).sum(dim=0)")), *MEAN),
    wrong(edited(LOCAL, ("fires[trajectories == t].mean(dim=0)", "fires[trajectories == t].sum(dim=0)")), *MEAN),
    wrong(
        edited(LOCAL, ("fires[trajectories == t].mean(dim=0)", "fires[trajectories == t].amax(dim=0)")),
        "max",
        "at all",
        "once",
        "fraction",
        "mean",
    ),
    wrong(
        edited(LOCAL, ("fires[trajectories == t].mean(dim=0)", "fires[trajectories == t].amin(dim=0)")),
        "min",
        "always",
        "all frames",
        "every frame",
        "whole",
        "fraction",
        "mean",
    ),
    wrong(
        edited(LOCAL, ("torch.stack(means).mean(dim=0)", "torch.stack(means).sum(dim=0) / len(trajectories.unique())")),
        "all trajectories",
        "of the class",
        "of its class",
        "divi",
        "number of",
    ),
    wrong(
        local("return torch.stack([fires[classes == y].sum(dim=0) / len(fires) for y in classes.unique()])"),
        "all images",
        "divi",
        "number of",
        *POOLED,
    ),
    wrong(
        local(
            """
            out = torch.zeros(int(classes.max()) + 1, fires.shape[1], dtype=fires.dtype)
            for y in classes.unique():
                means = [fires[trajectories == t].mean(dim=0) for t in trajectories[classes == y].unique()]
                out[y] = torch.stack(means).mean(dim=0)
            return out
            """
        ),
        "id",
        "each class",
        "empty",
        "occur",
        *SHAPE,
    ),
    wrong(edited(LOCAL, ("classes.unique()", "dict.fromkeys(classes.tolist())")), "ascend", "sort", "order", "appear"),
    wrong(edited(LOCAL, ("torch.stack(rows)", "torch.stack(rows, dim=1)")), *SHAPE),
    wrong(edited(LOCAL, ("torch.stack(means).mean(dim=0)", "torch.stack(means).mean()")), *SHAPE, "unit"),
    wrong(
        local(
            """
            T = len(trajectories.unique())
            means = fires.view(T, -1, fires.shape[1]).mean(dim=1)
            own = classes.view(T, -1)[:, 0]
            return torch.stack([means[own == y].mean(dim=0) for y in classes.unique()])
            """
        ),
        "order",
        "length",
        "view",
        "shape",
        "frames",
        "any ids",
    ),
    wrong(
        local(
            """
            T = int(trajectories.max()) + 1
            means = torch.stack([fires[trajectories == t].mean(dim=0) for t in range(T)])
            own = classes[:T]
            return torch.stack([means[own == y].mean(dim=0) for y in classes.unique()])
            """
        ),
        "class of",
        "id",
        "nan",
        "image",
        "index",
        "empty",
    ),
    wrong(
        edited(
            LOCAL,
            ("means.append(fires[trajectories == t].mean(dim=0))", "means = [fires[trajectories == t].mean(dim=0)]"),
        ),
        "last",
        "overwrit",
        "append",
        "one trajectory",
        "only",
    ),
    wrong(edited(LOCAL, ("in classes.unique():", "in classes.unique()[:-1]:")), *LOOP, *SHAPE),
    wrong(
        edited(LOCAL, ("trajectories[classes == y].unique():", "trajectories[classes == y].unique()[1:]:")),
        *LOOP,
        "one trajectory",
        "empty",
        "stack",
    ),
    wrong(edited(LOCAL, ("fires[trajectories == t].mean", "fires.float()[trajectories == t].mean")), *FLOAT32),
    wrong(
        edited(LOCAL, ("fires[trajectories == t].mean(dim=0)", "fires[trajectories == t].median(dim=0).values")),
        "median",
        "mean",
        "fraction",
    ),
    wrong(
        edited(LOCAL, ("torch.stack(means).mean(dim=0)", "torch.stack(means).amax(dim=0)")), "max", "mean", "largest"
    ),
    wrong(
        local(
            """
            rows = []
            for y in classes.unique():
                means = [fires[(trajectories == t) & (classes == y)].mean(dim=0) for t in trajectories.unique()]
                rows.append(torch.stack(means).mean(dim=0))
            return torch.stack(rows)
            """
        ),
        *NAN,
        "empty",
    ),
    wrong(
        local(
            """
            rows = []
            for y in classes.unique():
                means = [
                    torch.nan_to_num(fires[(trajectories == t) & (classes == y)].mean(dim=0))
                    for t in trajectories.unique()
                ]
                rows.append(torch.stack(means).mean(dim=0))
            return torch.stack(rows)
            """
        ),
        "all trajectories",
        "of the class",
        "of its class",
        "divi",
        "number of",
        "other class",
    ),
]
RIGHT += [
    right(LOCAL),
    right(
        local(
            """
            ids, of = trajectories.unique(return_inverse=True)
            hot = F.one_hot(of, len(ids)).to(fires)
            means = hot.T @ fires / hot.sum(0)[:, None]
            own = torch.zeros_like(ids)
            own[of] = classes
            names, which = own.unique(return_inverse=True)
            member = F.one_hot(which, len(names)).to(fires)
            return (member / member.sum(0)).T @ means
            """
        )
    ),
    right(
        local(
            """
            T = {}
            for m in range(len(fires)):
                T.setdefault((int(classes[m]), int(trajectories[m])), []).append(fires[m])
            L = {}
            for (y, z), frames in sorted(T.items()):
                L.setdefault(y, []).append(sum(frames) / len(frames))
            return torch.stack([sum(rates) / len(rates) for y, rates in sorted(L.items())])
            """
        )
    ),
    right(
        local(
            """
            length = (trajectories[:, None] == trajectories[None, :]).sum(dim=1)
            weight = 1 / length.to(fires.dtype)
            rows = []
            for y in classes.unique().tolist():
                of_y = classes == y
                rows.append(weight[of_y] @ fires[of_y] / weight[of_y].sum())
            return torch.stack(rows)
            """
        )
    ),
    right(
        local(
            """
            _, of = torch.unique(trajectories, return_inverse=True)
            frames = torch.bincount(of)
            total = torch.zeros(len(frames), fires.size(1), dtype=fires.dtype).index_add_(0, of, fires)
            rate = total / frames.unsqueeze(1)
            own = torch.zeros(len(frames), dtype=torch.long).scatter_(0, of, classes)
            return torch.stack([rate[own == c].mean(0) for c in torch.unique(own)])
            """
        )
    ),
]

# --- target_conditioned_invariance ----------------------------------------------------------------------------------


def conditioned(body: str) -> str:
    return function("target_conditioned_invariance(local, overall)", body)


CONDITIONED = conditioned("safe = torch.where(overall > 0, overall, 1.0)\nreturn local / safe")

WRONG += [
    wrong(conditioned("return local / overall"), *NAN),
    wrong(conditioned("return local / (overall + 1e-6)"), "1e-", "eps", "small", "add"),
    wrong(conditioned("return local / overall.clamp(min=0.3)"), "clamp", "0.3", "floor", "overall", "small"),
    wrong(
        conditioned("ratio = overall / local\nreturn torch.where(local > 0, ratio, 0.0)"), "upside", "invert", "L / G"
    ),
    wrong(conditioned("return local - overall"), "differ", "minus", "ratio", "divi", "subtract", "quotient"),
    wrong(conditioned("return local * overall"), "product", "multipl", "ratio", "divi", "quotient"),
    wrong(
        conditioned("mean = local.mean(dim=0)\nreturn torch.where(mean > 0, local / mean, 0.0)"),
        "overall",
        "G",
        "global",
        "measured",
        "mean",
    ),
    wrong(
        conditioned("return torch.where(overall > 0, local / overall, 1.0)"),
        "never fires",
        "dead",
        "0 for",
        "0 by",
        "gets",
        "convention",
    ),
    wrong(
        conditioned("return torch.nan_to_num(local / overall, nan=1e-8)"),
        "never fires",
        "dead",
        "0 for",
        "0 by",
        "gets",
        "convention",
    ),
    wrong(conditioned("return torch.nan_to_num(local / overall[:, None])"), *AXIS, *SHAPE, "broadcast", "unit"),
    wrong(
        conditioned("total = local.sum(dim=0)\nreturn torch.where(total > 0, local / total, 0.0)"),
        "overall",
        "G",
        "global",
        "sum",
        "normalis",
        "budget",
    ),
    wrong(conditioned("return torch.where(overall > 0, torch.log(local / overall), 0.0)"), "log"),
    wrong(conditioned("return local / overall.mean()"), "each unit", "own", "mean", "overall", "one number"),
    wrong(conditioned("return local / overall.max()"), "each unit", "own", "max", "overall", "one number"),
    wrong(conditioned("local /= overall.clamp(min=1e-12)\nreturn local"), *IN_PLACE),
    wrong(conditioned("return torch.nan_to_num(local.float() / overall.float()).to(local)"), *FLOAT32),
    wrong(
        conditioned("alive = overall > 0\nreturn local[:, alive] / overall[alive]"), *SHAPE, "dead", "left out", "drop"
    ),
    wrong(conditioned("return local * len(local)"), "overall", "measured", "1/|Y|", "number of classes", "depend", "G"),
    wrong(edited(CONDITIONED, ("local / safe", "(local / safe).clamp(max=1)")), "clamp", "above 1", "1/G", "bound"),
    wrong(edited(CONDITIONED, ("local / safe", "(local / safe).mean(dim=0)")), *SHAPE, "mean"),
    wrong(edited(CONDITIONED, ("local / safe", "local / safe / len(local)")), *FACTOR, "number of", misleading=()),
    wrong(edited(CONDITIONED, ("local / safe", "local / safe.sqrt()")), "root", "sqrt", "power"),
]
RIGHT += [
    right(CONDITIONED),
    right(conditioned("return torch.nan_to_num(local / overall, nan=0.0)")),
    right(conditioned("return local / overall.clamp(min=1e-12)")),
    right(
        conditioned(
            "out = torch.zeros_like(local)\non = overall > 0\nout[:, on] = local[:, on] / overall[on]\nreturn out"
        )
    ),
    right(
        conditioned(
            """
            out = local.clone()
            for y in range(local.shape[0]):
                for i in range(local.shape[1]):
                    out[y, i] = 0 if overall[i] == 0 else local[y, i] / overall[i]
            return out
            """
        )
    ),
    right(conditioned("return torch.where(overall == 0, torch.zeros_like(local), local / overall.unsqueeze(0))")),
]

# --- best_signs -----------------------------------------------------------------------------------------------------


def signs(body: str) -> str:
    return function("best_signs(up, down)", body)


SIGNS = signs(
    """
    best_up = up.max(dim=0).values
    best_down = down.max(dim=0).values
    one = torch.ones_like(best_up)
    return torch.where(best_up >= best_down, one, -one)
    """
)
SUMS = ("sum", "mean", "largest", "max")
TIE = ("equal", "tie", "both", "0", ">=", "same")
SWAPPED = ("swap", "exchang", "turned", "wrong way", "opposite", *SIGN)

WRONG += [
    wrong(
        edited(SIGNS, ("up.max(dim=0).values", "up.sum(dim=0)"), ("down.max(dim=0).values", "down.sum(dim=0)")), *SUMS
    ),
    wrong(
        edited(SIGNS, ("up.max(dim=0).values", "up.mean(dim=0)"), ("down.max(dim=0).values", "down.mean(dim=0)")), *SUMS
    ),
    wrong(signs("return torch.sign(up.amax(dim=0) - down.amax(dim=0))"), *TIE),
    wrong(edited(SIGNS, ("best_up >= best_down", "best_up > best_down")), *TIE),
    wrong(edited(SIGNS, ("best_up >= best_down", "best_up <= best_down")), *SWAPPED, misleading=()),
    wrong(edited(SIGNS, ("one, -one", "-one, one")), *SWAPPED, misleading=()),
    wrong(edited(SIGNS, (".max(", ".min(")), "smallest", "min", "largest"),
    wrong(edited(SIGNS, ("dim=0", "dim=1")), *AXIS, *SHAPE),
    wrong(
        signs("return torch.where(up >= down, 1.0, -1.0).to(up.dtype)"),
        *SHAPE,
        "each unit",
        "entry",
        "class",
        "largest",
    ),
    wrong(
        signs("s = 1.0 if up.max() >= down.max() else -1.0\nreturn torch.full_like(up[0], s)"),
        "each unit",
        "all units",
        "own",
        "one sign",
    ),
    wrong(signs("return up.amax(dim=0) >= down.amax(dim=0)"), *DTYPE, "+1", "-1"),
    wrong(signs("return (up.amax(dim=0) >= down.amax(dim=0)).to(up.dtype)"), "-1", "0", *SIGN),
    wrong(signs("return torch.where(up.amax(0) >= down.amax(0), 1, -1)"), *DTYPE, note="whole numbers"),
    wrong(
        signs("better = (up >= down).sum(dim=0)\nreturn torch.where(2 * better >= len(up), 1.0, -1.0).to(up.dtype)"),
        "vote",
        "most classes",
        "how many",
        "majority",
        "largest",
        "count",
    ),
    wrong(signs("return torch.maximum(up.amax(dim=0), down.amax(dim=0))"), "sign", "+1", "-1", "rate"),
    wrong(
        signs("return torch.where(up.std(dim=0) >= down.std(dim=0), 1.0, -1.0).to(up.dtype)"),
        "std",
        "spread",
        "standard",
        "varian",
        "largest",
    ),
    wrong(edited(SIGNS, ("dim=0", "dim=0, keepdim=True")), *SHAPE),
    wrong(
        signs("return torch.where(up.argmax(dim=0) >= down.argmax(dim=0), 1.0, -1.0).to(up.dtype)"),
        "argmax",
        "where",
        "index",
        "value",
        "place",
    ),
    wrong(
        signs(
            """
            s = torch.ones_like(up[0])
            for y in range(len(up)):
                s = torch.where(up[y] >= down[y], 1.0, -1.0).to(up.dtype)
            return s
            """
        ),
        "last",
        "overwrit",
        "largest",
        "all classes",
        "class",
    ),
    wrong(
        signs("return torch.where(up.amax(0) - down.amax(0) >= 0.05, 1.0, -1.0).to(up.dtype)"),
        "0.05",
        "margin",
        "by more",
        "at least",
    ),
    wrong(
        signs("return torch.where(up.abs().sum() + 0 * up[0] >= down.sum(dim=0), 1.0, -1.0).to(up.dtype)"),
        "sum",
        "all units",
        "each unit",
        "largest",
        "every",
    ),
    wrong(
        signs("up -= down\nreturn torch.where(up.amax(dim=0) >= 0, 1.0, -1.0).to(up.dtype)"),
        *IN_PLACE,
        "differ",
        "largest",
    ),
    wrong(
        signs("d = up - down\nreturn torch.where(d.amax(dim=0) >= -d.amin(dim=0), 1.0, -1.0).to(up.dtype)"),
        "differ",
        "each class",
        "one class",
        "largest",
        "own",
    ),
]
RIGHT += [
    right(SIGNS),
    right(signs("return 2 * (up.amax(0) >= down.amax(0)).to(up) - 1")),
    right(
        signs("s = torch.sign(up.amax(dim=0) - down.amax(dim=0))\nreturn torch.where(s == 0, torch.ones_like(s), s)")
    ),
    right(
        signs(
            """
            s = torch.ones_like(up[0])
            s[down.max(dim=0)[0] > up.max(dim=0)[0]] = -1
            return s
            """
        )
    ),
    right(
        signs(
            """
            out = []
            for i in range(up.size(1)):
                out.append(1.0 if max(up[:, i].tolist()) >= max(down[:, i].tolist()) else -1.0)
            return torch.tensor(out, dtype=up.dtype)
            """
        )
    ),
]

# --- mean_of_top ----------------------------------------------------------------------------------------------------


def top(body: str) -> str:
    return function("mean_of_top(invariance, k)", body)


TOP = top("best = invariance.topk(k, dim=1).values\nreturn best.mean(dim=1).mean()")
OWN = ("own", "its own", "same units", "same k", "each class", "every class", "each row")
KS = ("k", "one more", "one too", "one unit", "k + 1", "k - 1", "how many")

WRONG += [
    wrong(edited(TOP, ("best.mean(dim=1)", "best.sum(dim=1)")), *MEAN, misleading=()),
    wrong(edited(TOP, (".mean(dim=1).mean()", ".mean(dim=1).sum()")), *MEAN, misleading=()),
    wrong(edited(TOP, ("topk(k, dim=1)", "topk(min(k, len(invariance)), dim=0)")), *AXIS, "unit"),
    wrong(edited(TOP, (".values", ".indices.to(invariance)")), "indic", "values", "which unit", "place"),
    wrong(top("return invariance.mean(dim=0).topk(k).values.mean()"), *OWN),
    wrong(top("return invariance.flatten().topk(k * len(invariance)).values.mean()"), *OWN),
    wrong(top("return invariance.flatten().topk(k).values.mean()"), *OWN),
    wrong(edited(TOP, ("dim=1).values", "dim=1, largest=False).values")), "largest", "smallest"),
    wrong(top("return invariance.sort(dim=1).values[:, :k].mean()"), "largest", "smallest", "descend", "ascend"),
    wrong(
        top("return invariance.sort(dim=1, descending=True).values[:, : k + 1].mean()"),
        *KS,
    ),
    wrong(top("return invariance.sort(dim=1, descending=True).values[:, 1 : k + 1].mean()"), *KS, "first", "largest"),
    wrong(edited(TOP, ("best.mean(dim=1)", "best.sum(dim=1) / invariance.shape[1]")), *FACTOR, "divi", misleading=()),
    wrong(top("return invariance.amax(dim=1).mean()"), "k", "only", "one unit", "largest", "depend"),
    wrong(edited(TOP, ("best.mean(dim=1)", "best.median(dim=1).values")), "median", "mean"),
    wrong(
        edited(TOP, ("best.mean(dim=1)", "best[:, k - 1]")), "k-th", "kth", "last", "all k", "smallest", "mean", "only"
    ),
    wrong(edited(TOP, ("best.mean(dim=1).mean()", "best.mean(dim=1)")), *SHAPE, "classes"),
    wrong(top("return invariance[:, :k].mean()"), "largest", "sort", "first", "topk"),
    wrong(top("return invariance.mean()"), "k", "all units", "largest", "topk", "depend"),
    wrong(edited(TOP, ("invariance.topk", "invariance.float().topk")), *FLOAT32),
    wrong(
        top("units = invariance.amax(dim=0).topk(k).indices\nreturn invariance[:, units].mean()"),
        *OWN,
    ),
    wrong(edited(TOP, ("invariance.topk", "invariance.abs().log1p().topk")), "log"),
    wrong(
        top(
            """
            for row in invariance:
                score = row.topk(k).values.mean()
            return score
            """
        ),
        "last",
        "overwrit",
        "classes",
    ),
    wrong(edited(TOP, (".mean(dim=1).mean()", ".mean(dim=1).max()")), "max", "mean", "largest", "average"),
    wrong(edited(TOP, ("topk(k,", "topk(2,")), "k", "fixed", "depend", "always"),
    wrong(
        top(
            "total = 0\nfor row in invariance[1:]:\n    total = total + row.topk(k).values.mean()\nreturn total / len(invariance)"
        ),
        *LOOP,
    ),
]
RIGHT += [
    right(top("return invariance.topk(k).values.mean()")),
    right(top("return torch.sort(invariance, dim=-1, descending=True)[0][:, :k].sum() / (k * len(invariance))")),
    right(
        top(
            """
            scores = []
            for row in invariance:
                scores.append(sum(sorted(row, reverse=True)[:k]) / k)
            return sum(scores) / len(scores)
            """
        )
    ),
    right(top("order = invariance.argsort(dim=1)[:, -k:]\nreturn torch.gather(invariance, 1, order).mean()")),
    right(top("return -torch.stack([(-row).topk(k, largest=False)[0].mean() for row in invariance]).mean()")),
]

# --- ris_score ------------------------------------------------------------------------------------------------------


def ris(body: str) -> str:
    return function("ris_score(h, trajectories, classes, k=10)", body)


RIS = ris(
    """
    rate = 1 / len(classes.unique())
    f_up = fire(h, rate, 1)
    f_down = fire(h, rate, -1)
    L_up = local_firing_rate(f_up, trajectories, classes)
    L_down = local_firing_rate(f_down, trajectories, classes)
    s = best_signs(L_up, L_down)
    L = torch.where(s > 0, L_up, L_down)
    G = torch.where(s > 0, f_up.mean(dim=0), f_down.mean(dim=0))
    I = target_conditioned_invariance(L, G)
    return mean_of_top(I, k)
    """
)
KEPT = ("sign", "signs", "kept", "keeps", "chosen", "own")
RATE = ("rate", "1/|Y|", "number of classes", "how many classes", "1 over", "classes")

WRONG += [
    wrong(edited(RIS, ("torch.where(s > 0, f_up.mean(dim=0), f_down.mean(dim=0))", "f_up.mean(dim=0)")), *KEPT),
    wrong(edited(RIS, ("torch.where(s > 0, L_up, L_down)", "L_up")), *KEPT),
    wrong(edited(RIS, ("s = best_signs(L_up, L_down)", "s = torch.ones_like(L_up[0])")), *SIGN),
    wrong(edited(RIS, ("s = best_signs(L_up, L_down)", "s = best_signs(L_down, L_up)")), *SIGN, "swap", "exchang"),
    wrong(edited(RIS, ("s = best_signs(L_up, L_down)", "s = best_signs(f_up, f_down)")), *SIGN, "L", "local", "fires"),
    wrong(
        edited(RIS, ("torch.where(s > 0, f_up.mean(dim=0), f_down.mean(dim=0))", "torch.full_like(s, rate)")),
        "measure",
        "aim",
        "tie",
        "target",
        "G",
    ),
    wrong(
        edited(RIS, ("torch.where(s > 0, f_up.mean(dim=0), f_down.mean(dim=0))", "L.mean(dim=0)")),
        "all images",
        "G",
        "global",
        "size",
        "mean over the classes",
        "balanced",
    ),
    wrong(
        edited(
            RIS,
            (
                "torch.where(s > 0, f_up.mean(dim=0), f_down.mean(dim=0))",
                "torch.where(s > 0, f_up.mean(), f_down.mean())",
            ),
        ),
        "each unit",
        "own",
        "all units",
        "dim=0",
        "G",
    ),
    wrong(edited(RIS, ("rate = 1 / len(classes.unique())", "rate = 0.5")), *RATE),
    wrong(edited(RIS, ("rate = 1 / len(classes.unique())", "rate = 1 / len(trajectories.unique())")), *RATE),
    wrong(edited(RIS, ("rate = 1 / len(classes.unique())", "rate = 1 / len(classes)")), *RATE),
    wrong(edited(RIS, ("rate = 1 / len(classes.unique())", "rate = k / h.shape[1]")), *RATE),
    wrong(edited(RIS, ("len(classes.unique())", "(int(classes.max()) + 1)")), *RATE, "id"),
    wrong(
        edited(RIS, ("rate = 1 / len(classes.unique())", "rate = max(1 / len(classes.unique()), 0.05)")),
        "floor",
        "5%",
        "5 %",
        "0.05",
        "official",
        *RATE,
    ),
    wrong(
        ris(
            """
            rate = 1 / len(classes.unique())
            scores = []
            for s in (1, -1):
                f = fire(h, rate, s)
                I = target_conditioned_invariance(local_firing_rate(f, trajectories, classes), f.mean(dim=0))
                scores.append(mean_of_top(I, k))
            return max(scores)
            """
        ),
        "each unit",
        "all units",
        "own",
        "one sign",
    ),
    wrong(
        ris(
            """
            rate = 1 / len(classes.unique())
            scores = []
            for s in (1, -1):
                f = fire(h, rate, s)
                I = target_conditioned_invariance(local_firing_rate(f, trajectories, classes), f.mean(dim=0))
                scores.append(mean_of_top(I, k))
            return sum(scores) / 2
            """
        ),
        *SIGN,
        "both",
        "better",
    ),
    wrong(
        edited(RIS, ("L = torch.where(s > 0, L_up, L_down)", "L = torch.maximum(L_up, L_down)")),
        "each class",
        "entry",
        "one sign",
        "each unit",
        *SIGN,
    ),
    wrong(
        ris(
            """
            rate = 1 / len(classes.unique())
            up, down = fire(h, rate), fire(h, rate, -1)
            I_up = target_conditioned_invariance(local_firing_rate(up, trajectories, classes), up.mean(dim=0))
            I_down = target_conditioned_invariance(local_firing_rate(down, trajectories, classes), down.mean(dim=0))
            return mean_of_top(torch.cat([I_up, I_down], dim=1), k)
            """
        ),
        "both",
        "twice",
        "one sign",
        *SIGN,
    ),
    wrong(edited(RIS, ("mean_of_top(I, k)", "mean_of_top(I, 10)")), "k", "10", "depend", "range"),
    wrong(edited(RIS, ("mean_of_top(I, k)", "mean_of_top(L, k)")), "divi", "G", "overall", "global", *FACTOR),
    wrong(edited(RIS, ("mean_of_top(I, k)", "100 * rate * mean_of_top(I, k)")), "percent", *FACTOR, misleading=()),
    wrong(edited(RIS, ("(L, G)", "(G, L)")), "swap", "order", "exchang", "G", *SHAPE, "position", "first"),
    wrong(edited(RIS, ("trajectories, classes)\n    L_down", "torch.arange(len(h)), classes)\n    L_down")), *POOLED),
    wrong(
        edited(
            RIS,
            ("(f_up, trajectories, classes)", "(f_up, classes, classes)"),
            ("(f_down, trajectories, classes)", "(f_down, classes, classes)"),
        ),
        *POOLED,
        "pooled",
    ),
    wrong(
        edited(
            RIS,
            ("(f_up, trajectories, classes)", "(f_up, classes, trajectories)"),
            ("(f_down, trajectories, classes)", "(f_down, classes, trajectories)"),
        ),
        "swap",
        "exchang",
        "order",
        "classes",
    ),
    wrong(edited(RIS, ("f_down = fire(h, rate, -1)", "f_down = 1 - f_up")), *SIGN, "complement", "rate", "silent"),
    wrong(edited(RIS, ("f_down = fire(h, rate, -1)", "f_down = fire(h, rate)")), *SIGN),
    wrong(edited(RIS, ("rate = 1 /", "h = h.abs()\n    rate = 1 /")), "abs", *SIGN),
    wrong(edited(RIS, ("fire(h, rate, 1)", "fire(h.float(), rate, 1)")), *FLOAT32),
    wrong(edited(RIS, ("return mean_of_top(I, k)", "return I.mean()")), "k", "top", "best", "all units", "largest"),
]
RIGHT += [
    right(RIS),
    right(
        ris(
            """
            rate = 1 / torch.unique(classes).numel()
            L = [local_firing_rate(fire(h, rate, s), trajectories, classes) for s in (1, -1)]
            kept = fire(h, rate, best_signs(*L))
            I = target_conditioned_invariance(local_firing_rate(kept, trajectories, classes), kept.mean(dim=0))
            return mean_of_top(I, k)
            """
        )
    ),
    right(
        ris(
            """
            C = len(set(classes.tolist()))
            chosen = []
            for i in range(h.shape[1]):
                one = h[:, i : i + 1]
                tried = []
                for s in (1, -1):
                    f = fire(one, 1 / C, s)
                    tried.append((local_firing_rate(f, trajectories, classes), f.mean(dim=0)))
                (a, ga), (b, gb) = tried
                L, g = (a, ga) if a.max() >= b.max() else (b, gb)
                chosen.append(target_conditioned_invariance(L, g))
            return mean_of_top(torch.cat(chosen, dim=1), k)
            """
        )
    ),
    right(
        ris(
            """
            rate = 1 / len(classes.unique())
            both = torch.cat([fire(h, rate), fire(h, rate, -1)], dim=1)
            L = local_firing_rate(both, trajectories, classes)
            U = h.shape[1]
            down = best_signs(L[:, :U], L[:, U:]) < 0
            place = torch.arange(U) + U * down
            return target_conditioned_invariance(L, both.mean(0))[:, place].topk(k, dim=1).values.mean()
            """
        )
    ),
]

# --- shuffled_local_rate --------------------------------------------------------------------------------------------


def shuffled(body: str) -> str:
    return function("shuffled_local_rate(fires, trajectories, classes, order)", body)


SHUFFLED = shuffled(
    """
    own = torch.zeros(len(order), dtype=classes.dtype)
    own[trajectories] = classes
    moved = own[order][trajectories]
    return local_firing_rate(fires, trajectories, moved)
    """
)
WHOLE = ("whole", "all its frames", "each image", "torn", "trajector", "frames")
INVERSE = ("invers", "order[t]", "other way", "argsort", "backward", "gives", "receiv")
UNMOVED = ("not shuffled", "unshuffled", "no shuffl", "order", "renam", "nothing moved", "as they were", "depend")

WRONG += [
    wrong(edited(SHUFFLED, ("own[order][trajectories]", "classes[order[trajectories]]")), *WHOLE, "image", "index"),
    wrong(edited(SHUFFLED, ("own[order]", "own[order.argsort()]")), *INVERSE),
    wrong(
        edited(
            SHUFFLED,
            (
                "moved = own[order][trajectories]",
                "new = own.clone()\n    new[order] = own\n    moved = new[trajectories]",
            ),
        ),
        *INVERSE,
    ),
    wrong(
        shuffled(
            """
            draw = torch.Generator().manual_seed(0)
            moved = classes[torch.randperm(len(classes), generator=draw)]
            return torch.stack([fires[moved == y].mean(dim=0) for y in moved.unique()])
            """
        ),
        *WHOLE,
        "order",
    ),
    wrong(
        edited(
            SHUFFLED,
            (
                "return local_firing_rate(fires, trajectories, moved)",
                "return torch.stack([fires[moved == y].mean(dim=0) for y in moved.unique()])",
            ),
        ),
        *POOLED,
    ),
    wrong(edited(SHUFFLED, ("trajectories, moved)", "trajectories, classes)")), *UNMOVED),
    wrong(edited(SHUFFLED, ("own[order][trajectories]", "own[trajectories]")), *UNMOVED),
    wrong(
        edited(SHUFFLED, ("own[order]", "own[torch.randperm(len(own), generator=torch.Generator().manual_seed(0))]")),
        "order",
        "given",
        "drawn",
        "own permutation",
        "randperm",
        "never used",
    ),
    wrong(shuffled("return local_firing_rate(fires, order[trajectories], classes)"), *UNMOVED),
    wrong(
        edited(SHUFFLED, ("own[order][trajectories]", "own[trajectories][order[trajectories]]")),
        *WHOLE,
        "index",
        "image",
    ),
    wrong(
        shuffled(
            """
            ids = classes.unique()
            other = ids.roll(1)
            moved = other[torch.searchsorted(ids, classes)]
            return local_firing_rate(fires, trajectories, moved)
            """
        ),
        *UNMOVED,
        "rows",
        "class",
    ),
    wrong(edited(SHUFFLED, ("own[order]", "own[order][order]")), "twice", "order", "once"),
    wrong(
        shuffled(
            """
            for t in range(len(order)):
                classes[trajectories == t] = classes[trajectories == order[t]][0]
            return local_firing_rate(fires, trajectories, classes)
            """
        ),
        *IN_PLACE,
        "already",
    ),
    wrong(
        shuffled(
            """
            moved = classes.clone()
            for t in range(len(order)):
                moved[trajectories == t] = moved[trajectories == order[t]][0]
            return local_firing_rate(fires, trajectories, moved)
            """
        ),
        "already",
        "overwrit",
        "new class",
        "has moved",
        "changed",
        "before",
    ),
    wrong(
        shuffled(
            """
            moved = classes.clone()
            for t in range(len(order) - 1):
                moved[trajectories == t] = classes[trajectories == order[t]][0]
            return local_firing_rate(fires, trajectories, moved)
            """
        ),
        *LOOP,
    ),
    wrong(
        shuffled(
            """
            moved = classes.clone()
            for t in range(len(order)):
                first = (trajectories == t).nonzero()[0]
                moved[first] = classes[trajectories == order[t]][0]
            return torch.stack([fires[moved == y].mean(dim=0) for y in classes.unique()])
            """
        ),
        *WHOLE,
    ),
    wrong(edited(SHUFFLED, ("return local_firing_rate(fires, trajectories, moved)", "return moved")), *SHAPE, *DTYPE),
    wrong(edited(SHUFFLED, ("local_firing_rate(fires,", "local_firing_rate(fires.float(),")), *FLOAT32),
    wrong(edited(SHUFFLED, ("trajectories, moved)", "trajectories, moved).T")), *SHAPE),
    wrong(
        edited(
            SHUFFLED,
            (
                "return local_firing_rate(fires, trajectories, moved)",
                "return local_firing_rate(fires, moved, trajectories)",
            ),
        ),
        "swap",
        "exchang",
        "order",
        *SHAPE,
    ),
    wrong(
        shuffled(
            """
            means = torch.stack([fires[trajectories == t].mean(dim=0) for t in trajectories.unique()])
            own = torch.stack([classes[trajectories == t][0] for t in trajectories.unique()])
            return torch.stack([means[own == y].sum(dim=0) for y in own[order].unique()])
            """
        ),
        *MEAN,
        *UNMOVED,
    ),
]
RIGHT += [
    right(SHUFFLED),
    right(
        shuffled(
            """
            moved = torch.empty_like(classes)
            for t in range(len(order)):
                moved[trajectories == t] = classes[trajectories == order[t]][0]
            return local_firing_rate(fires, trajectories, moved)
            """
        )
    ),
    right(
        shuffled(
            """
            T = order.numel()
            means = torch.stack([fires[trajectories == t].mean(dim=0) for t in range(T)])
            own = torch.stack([classes[trajectories == t].max() for t in range(T)])[order]
            return torch.stack([means[own == y].mean(dim=0) for y in own.unique()])
            """
        )
    ),
    right(
        shuffled(
            """
            own = dict(zip(trajectories.tolist(), classes.tolist()))
            names = order.tolist()
            moved = torch.tensor([own[names[t]] for t in trajectories.tolist()])
            return local_firing_rate(fires, trajectories, moved)
            """
        )
    ),
    right(
        shuffled(
            """
            own = torch.zeros_like(order).scatter_(0, trajectories, classes)
            new = torch.zeros_like(own)
            new[order.argsort()] = own
            return local_firing_rate(fires, trajectories, new.gather(0, trajectories))
            """
        )
    ),
]

# --- official_local_rate --------------------------------------------------------------------------------------------


def official(body: str) -> str:
    return function("official_local_rate(up, down, trajectories, classes)", body)


OFFICIAL = official(
    """
    rows = []
    for y in classes.unique():
        kept = []
        for t in trajectories[classes == y].unique():
            a = up[trajectories == t].mean(dim=0)
            b = down[trajectories == t].mean(dim=0)
            kept.append(torch.maximum(a, b))
        kept = torch.stack(kept)
        speaks = (kept > 0).sum(dim=0)
        rows.append(kept.sum(dim=0) / speaks.clamp(min=1))
    return torch.stack(rows)
    """
)
SILENT = ("silent", "never fires", "at all", "on which", "only those", "all trajectories", "count")
EACH = ("each trajectory", "on each", "every trajectory", "class", "whole", "sign")

WRONG += [
    wrong(
        official(
            """
            def rate(f):
                rows = []
                for y in classes.unique():
                    means = torch.stack([f[trajectories == t].mean(0) for t in trajectories[classes == y].unique()])
                    rows.append(means.sum(0) / (means > 0).sum(0).clamp(min=1))
                return torch.stack(rows)
            return torch.maximum(rate(up), rate(down))
            """
        ),
        *EACH,
    ),
    wrong(edited(OFFICIAL, ("kept.sum(dim=0) / speaks.clamp(min=1)", "kept.mean(dim=0)")), *SILENT),
    wrong(edited(OFFICIAL, ("torch.maximum(a, b)", "a")), *SIGN, "down", "larger", "one sign"),
    wrong(edited(OFFICIAL, ("torch.maximum(a, b)", "b")), *SIGN, "up", "larger", "one sign"),
    wrong(edited(OFFICIAL, ("torch.maximum(a, b)", "a + b")), *SIGN, "sum", "larger", "both", "add"),
    wrong(edited(OFFICIAL, ("torch.maximum(a, b)", "(a + b) / 2")), *SIGN, "mean", "larger", "both", "average"),
    wrong(edited(OFFICIAL, ("torch.maximum(a, b)", "torch.minimum(a, b)")), "larger", "smaller", "min", *SIGN),
    wrong(edited(OFFICIAL, ("speaks.clamp(min=1)", "speaks")), *NAN),
    wrong(edited(OFFICIAL, ("speaks.clamp(min=1)", "(speaks + 1e-6)")), "1e-", "eps", "small", "add"),
    wrong(edited(OFFICIAL, ("kept.sum(dim=0) / speaks.clamp(min=1)", "kept.sum(dim=0)")), *MEAN),
    wrong(edited(OFFICIAL, ("kept.sum(dim=0) / speaks.clamp(min=1)", "kept.amax(dim=0)")), "max", "mean", "largest"),
    wrong(
        official(
            """
            rows = []
            for y in classes.unique():
                f = torch.maximum(up[classes == y], down[classes == y])
                rows.append(f.mean(dim=0))
            return torch.stack(rows)
            """
        ),
        *POOLED,
        "each image",
        *SILENT,
    ),
    wrong(
        edited(
            OFFICIAL,
            ("a = up[trajectories == t].mean(dim=0)", "a = torch.maximum(up, down)[trajectories == t].mean(dim=0)"),
        ),
        "each image",
        "along",
        "image",
        "frame",
        "both",
        *SIGN,
    ),
    wrong(
        official(
            """
            L_up = local_firing_rate(up, trajectories, classes)
            L_down = local_firing_rate(down, trajectories, classes)
            return torch.where(best_signs(L_up, L_down) > 0, L_up, L_down)
            """
        ),
        *EACH,
        *SILENT,
    ),
    wrong(
        official(
            "return torch.maximum(local_firing_rate(up, trajectories, classes), local_firing_rate(down, trajectories, classes))"
        ),
        *EACH,
        *SILENT,
    ),
    wrong(
        edited(OFFICIAL, ("kept.append(torch.maximum(a, b))", "kept.append((torch.maximum(a, b) > 0).to(up))")),
        "mean",
        "fraction",
        "at all",
        "once",
        "share",
    ),
    wrong(
        edited(
            OFFICIAL,
            ("kept = torch.stack(kept)", "kept = torch.stack([x for x in kept if x.sum() > 0] or kept)"),
            ("kept.sum(dim=0) / speaks.clamp(min=1)", "kept.mean(dim=0)"),
        ),
        "each unit",
        "all units",
        "own",
        "any unit",
        *SILENT,
    ),
    wrong(edited(OFFICIAL, ("speaks = (kept > 0)", "speaks = (kept >= 0)")), *SILENT, ">", "strict"),
    wrong(edited(OFFICIAL, ("(kept > 0)", "(kept >= 0.5)")), "0.5", "half", *SILENT),
    wrong(
        edited(
            OFFICIAL, ("kept.sum(dim=0) / speaks.clamp(min=1)", "torch.where(kept > 0, kept, torch.nan).nanmean(dim=0)")
        ),
        *NAN,
    ),
    wrong(edited(OFFICIAL, ("torch.stack(rows)", "torch.stack(rows, dim=1)")), *SHAPE),
    wrong(edited(OFFICIAL, ("a = up[trajectories == t]", "a = up.float()[trajectories == t]")), *FLOAT32, "down"),
    wrong(edited(OFFICIAL, ("in classes.unique():", "in classes.unique()[1:]:")), *LOOP, *SHAPE),
    wrong(
        official(
            """
            kept = torch.stack([
                torch.maximum(up[trajectories == t].mean(0), down[trajectories == t].mean(0))
                for t in trajectories.unique()
            ])
            speaks = (kept > 0).sum(dim=0)
            return kept.sum(dim=0) / speaks.clamp(min=1)
            """
        ),
        *SHAPE,
        "class",
    ),
    wrong(edited(OFFICIAL, (".mean(dim=0)", ".sum(dim=0)")), *MEAN, "fraction", "length"),
]
RIGHT += [
    right(OFFICIAL),
    right(
        official(
            """
            rows = []
            for y in classes.unique():
                kept = [
                    torch.stack([up[trajectories == t].mean(0), down[trajectories == t].mean(0)]).amax(0)
                    for t in trajectories[classes == y].unique()
                ]
                kept = torch.stack(kept)
                rows.append(torch.where(kept > 0, kept, torch.nan).nanmean(dim=0).nan_to_num(nan=0.0))
            return torch.stack(rows)
            """
        )
    ),
    right(
        official(
            """
            out = torch.zeros(len(classes.unique()), up.shape[1], dtype=up.dtype)
            for c, y in enumerate(sorted(set(classes.tolist()))):
                ids = sorted(set(trajectories[classes == y].tolist()))
                for i in range(up.shape[1]):
                    found = []
                    for t in ids:
                        on = trajectories == t
                        rate = max(float(up[on, i].mean()), float(down[on, i].mean()))
                        if rate > 0:
                            found.append(rate)
                    if found:
                        out[c, i] = sum(found) / len(found)
            return out
            """
        )
    ),
    right(
        official(
            """
            ids, of = trajectories.unique(return_inverse=True)
            hot = F.one_hot(of).to(up)
            hot = hot / hot.sum(0)
            kept = torch.maximum(hot.T @ up, hot.T @ down)
            own = torch.zeros_like(ids)
            own[of] = classes
            member = (own[None, :] == own.unique()[:, None]).to(up)
            return member @ kept / (member @ (kept > 0).to(up)).clamp(min=1)
            """
        )
    ),
    right(
        official(
            """
            rows = []
            for y in classes.unique():
                total = torch.zeros_like(up[0])
                count = torch.zeros_like(up[0])
                for t in trajectories[classes == y].unique():
                    a, b = up[trajectories == t].mean(0), down[trajectories == t].mean(0)
                    s = torch.where(a >= b, 1.0, -1.0)
                    r = torch.where(s > 0, a, b)
                    total += r
                    count += r > 0
                rows.append(torch.where(count > 0, total / count, 0.0))
            return torch.stack(rows).to(up.dtype)
            """
        )
    ),
]

# --- same_object ----------------------------------------------------------------------------------------------------


def same(body: str) -> str:
    return function("same_object(a, b)", body)


SAME = same(
    """
    both = (a.sum(dim=1) > 0) & (b.sum(dim=1) > 0)
    agree = a.argmax(dim=1) == b.argmax(dim=1)
    return agree[both].to(a.dtype).mean()
    """
)
EMPTY = ("nothing", "show", "empty", "leave", "left out", "something", "nan", "none")
MOST = ("most", "argmax", "largest", "which object")

WRONG += [
    wrong(edited(SAME, ("agree[both]", "agree")), *EMPTY),
    wrong(edited(SAME, (" & (b.sum(dim=1) > 0)", "")), *EMPTY, "both"),
    wrong(edited(SAME, (") & (", ") | (")), *EMPTY, "both"),
    wrong(
        edited(SAME, ("agree[both].to(a.dtype).mean()", "(agree & both).to(a.dtype).mean()")),
        *EMPTY,
        "divi",
        "all pairs",
    ),
    wrong(
        same(
            "shared = ((a > 0) & (b > 0)).any(dim=1)\nboth = (a.sum(1) > 0) & (b.sum(1) > 0)\nreturn shared[both].to(a.dtype).mean()"
        ),
        *MOST,
        "any",
    ),
    wrong(edited(SAME, ("argmax", "argmin")), *MOST, "least", "smallest"),
    wrong(edited(SAME, ("argmax(dim=1)", "argmax(dim=0)"), ("agree[both].to", "agree.to")), *AXIS),
    wrong(edited(SAME, (".mean()", ".sum()")), *MEAN, "share", "how many", misleading=()),
    wrong(
        edited(SAME, ("a.argmax(dim=1) == b", "a.argmax(dim=1) != b")), "differ", "same", "1 -", "complement", "other"
    ),
    wrong(edited(SAME, ("a.argmax(dim=1) == b.argmax(dim=1)", "(a == b).all(dim=1)")), *MOST, "equal", "pixels"),
    wrong(
        edited(SAME, ("a.argmax(dim=1) == b.argmax(dim=1)", "a.amax(dim=1) == b.amax(dim=1)")),
        *MOST,
        "how many",
        "pixels",
    ),
    wrong(edited(SAME, ("a.argmax(dim=1) == b.argmax(dim=1)", "((a > 0) == (b > 0)).all(dim=1)")), *MOST),
    wrong(
        same(
            "cosine = F.cosine_similarity(a, b, dim=1)\nboth = (a.sum(1) > 0) & (b.sum(1) > 0)\nreturn cosine[both].mean()"
        ),
        *MOST,
        "cosine",
        "share",
    ),
    wrong(
        same(
            "both = (a > 0).all(dim=1) & (b > 0).all(dim=1)\nagree = a.argmax(1) == b.argmax(1)\nreturn agree[both].to(a.dtype).mean()"
        ),
        *EMPTY,
        "all objects",
        "some object",
    ),
    wrong(
        edited(SAME, ("agree[both].to(a.dtype).mean()", "100 * agree[both].to(a.dtype).mean()")),
        *FACTOR,
        "percent",
        misleading=(),
    ),
    wrong(edited(SAME, ("agree[both].to(a.dtype).mean()", "agree[both].to(a.dtype)")), *SHAPE, "share", "mean"),
    wrong(
        edited(
            SAME,
            (
                "a.argmax(dim=1) == b.argmax(dim=1)",
                "(2 * a > a.sum(1, True)).logical_and(2 * b > b.sum(1, True)).any(dim=1)",
            ),
        ),
        *MOST,
        "half",
    ),
    wrong(edited(SAME, ("a.argmax(dim=1) == b.argmax(dim=1)", "(a * b).sum(dim=1) > 0")), *MOST, "any", "product"),
    wrong(
        edited(
            SAME, ("a.argmax(dim=1) == b.argmax(dim=1)", "(a > 0).int().argmax(dim=1) == (b > 0).int().argmax(dim=1)")
        ),
        *MOST,
        "first",
    ),
    wrong(edited(SAME, (".mean()", ".sum() / a.numel()")), *MEAN, *EMPTY, "objects", misleading=()),
    wrong(edited(SAME, ("a.argmax(dim=1) == b", "a.argmax(dim=1) == a")), "b", "itself", "other"),
    wrong(
        edited(SAME, ("agree[both].to(a.dtype).mean()", "agree[both].to(a.dtype).sum() // both.sum()")),
        "//",
        "whole",
        "floor",
        "integer",
    ),
    wrong(edited(SAME, ("agree[both]", "agree[:-1][both[:-1]]")), *LOOP),
]
RIGHT += [
    right(SAME),
    right(
        same("keep = a.any(dim=1) & b.any(dim=1)\nreturn (a[keep].argmax(1) == b[keep].argmax(1)).to(a.dtype).mean()")
    ),
    right(
        same(
            "both = (a.amax(1) > 0) & (b.amax(1) > 0)\nagree = both & (a.argmax(1) == b.argmax(1))\nreturn agree.sum().to(a) / both.sum()"
        )
    ),
    right(
        same(
            """
            hits, pairs = 0, 0
            for x, y in zip(a, b):
                if x.sum() == 0 or y.sum() == 0:
                    continue
                pairs += 1
                hits += int(x.argmax() == y.argmax())
            return torch.tensor(hits / pairs, dtype=a.dtype)
            """
        )
    ),
    right(
        same(
            """
            K = a.shape[1]
            ok = ((a > 0).sum(dim=1) > 0) * ((b > 0).sum(dim=1) > 0)
            x = F.one_hot(a[ok].max(dim=1).indices, K)
            y = F.one_hot(b[ok].max(dim=1).indices, K)
            return (x * y).sum(dim=1).to(a.dtype).mean()
            """
        )
    ),
]

# --- on_circle ------------------------------------------------------------------------------------------------------


def circle(body: str) -> str:
    return function("on_circle(values, period)", body)


CIRCLE = circle(
    """
    angle = 2 * math.pi * values / period
    return torch.stack([torch.cos(angle), torch.sin(angle)], dim=1)
    """
)
ANGLE = ("2 pi", "2pi", "angle", "pi", "period", "turn", "circle", "radian")

WRONG += [
    wrong(
        edited(CIRCLE, ("torch.cos(angle), torch.sin(angle)", "torch.sin(angle), torch.cos(angle)")),
        "swap",
        "order",
        "cosine, then",
        "exchang",
    ),
    wrong(edited(CIRCLE, ("2 * math.pi * values", "values")), *ANGLE),
    wrong(edited(CIRCLE, ("2 * math.pi", "math.pi")), *ANGLE),
    wrong(edited(CIRCLE, ("2 * math.pi", "360")), *ANGLE, "degree"),
    wrong(edited(CIRCLE, ("values / period", "values * period")), *ANGLE, "divi"),
    wrong(edited(CIRCLE, ("values / period", "values")), *ANGLE, "divi"),
    wrong(edited(CIRCLE, ("values / period", "(values % period)")), *ANGLE, "divi"),
    wrong(edited(CIRCLE, ("values / period", "values / values.max()")), *ANGLE, "max"),
    wrong(edited(CIRCLE, ("dim=1", "dim=0")), *SHAPE),
    wrong(edited(CIRCLE, ("torch.stack", "torch.cat"), ("dim=1", "dim=0")), *SHAPE, "stack"),
    wrong(circle("return torch.exp(2j * math.pi * values / period)"), "complex", *DTYPE, *SHAPE),
    wrong(edited(CIRCLE, ("* values /", "* values.float() /")), *FLOAT32),
    wrong(circle("return torch.cos(2 * math.pi * values / period)[:, None]"), *SHAPE, "sin"),
    wrong(edited(CIRCLE, ("torch.sin(angle)", "-torch.sin(angle)")), *SIGN),
    wrong(circle("values *= 2 * math.pi / period\nreturn torch.stack([values.cos(), values.sin()], dim=1)"), *IN_PLACE),
    wrong(
        edited(
            CIRCLE,
            (
                "return torch.stack([torch.cos(angle), torch.sin(angle)], dim=1)",
                "return torch.stack([torch.cos(angle), torch.sin(angle)], dim=1) / period",
            ),
        ),
        *FACTOR,
        "period",
        "circle",
        misleading=(),
    ),
    wrong(
        edited(
            CIRCLE,
            (
                "return torch.stack([torch.cos(angle), torch.sin(angle)], dim=1)",
                "return (torch.stack([torch.cos(angle), torch.sin(angle)], dim=1) + 1) / 2",
            ),
        ),
        "circle",
        "length",
        "shift",
        "-1",
        "half",
        "centre",
        "factor",
    ),
    wrong(edited(CIRCLE, ("torch.sin(angle)", "torch.cos(angle)")), "sin", "twice", "both", "column"),
    wrong(edited(CIRCLE, ("dim=1", "dim=1).unsqueeze(1")), *SHAPE),
    wrong(
        circle(
            "angle = 2 * math.pi * values / period\nreturn torch.stack([angle.cos(), (1 - angle.cos() ** 2).sqrt()], dim=1)"
        ),
        *SIGN,
        "root",
        "half",
        "nan",
    ),
    wrong(circle("x = values % period / period\nreturn torch.stack([x, 1 - x], dim=1)"), *ANGLE, "cos", "length"),
    wrong(edited(CIRCLE, ("values / period", "(values / period).round()")), "round", "fraction", "constant", "integer"),
]
RIGHT += [
    right(CIRCLE),
    right(
        circle("z = torch.polar(torch.ones_like(values), 2 * torch.pi * values / period)\nreturn torch.view_as_real(z)")
    ),
    right(circle("t = values * (math.tau / period)\nreturn torch.cat([t.cos()[:, None], t.sin()[:, None]], dim=-1)")),
    right(
        circle(
            """
            out = torch.zeros(len(values), 2, dtype=values.dtype)
            out[:, 0] = torch.cos(values % period / period * 2 * np.pi)
            out[:, 1] = torch.sin(values % period / period * 2 * np.pi)
            return out
            """
        )
    ),
    right(
        circle(
            "rows = [(math.cos(2 * math.pi * v / period), math.sin(2 * math.pi * v / period)) for v in values.tolist()]\n"
            "return torch.tensor(rows, dtype=values.dtype)"
        )
    ),
]

# --- recovered ------------------------------------------------------------------------------------------------------


def linear(body: str) -> str:
    return function("recovered(h_train, s_train, h_test, s_test)", body)


LINEAR = linear(
    """
    A = torch.cat([h_train, torch.ones_like(h_train[:, :1])], dim=1)
    B = torch.cat([h_test, torch.ones_like(h_test[:, :1])], dim=1)
    W = torch.linalg.lstsq(A, s_train).solution
    residual = s_test - B @ W
    spread = s_test - s_test.mean(dim=0)
    return 1 - residual.pow(2).sum(dim=0) / spread.pow(2).sum(dim=0)
    """
)
CONSTANT = ("constant", "ones", "intercept", "bias", "offset")
TRAIN = ("train", "fitted on", "test")
BASE = ("mean", "centre", "baseline", "constant guess", "deviation")

WRONG += [
    wrong(
        linear(
            "W = torch.linalg.lstsq(h_train, s_train).solution\nr = s_test - h_test @ W\nreturn 1 - (r**2).sum(0) / ((s_test - s_test.mean(0)) ** 2).sum(0)"
        ),
        *CONSTANT,
    ),
    wrong(edited(LINEAR, ("lstsq(A, s_train)", "lstsq(B, s_test)")), *TRAIN),
    wrong(
        edited(
            LINEAR,
            ("residual = s_test - B @ W", "residual = s_train - A @ W"),
            ("spread = s_test - s_test.mean(dim=0)", "spread = s_train - s_train.mean(dim=0)"),
        ),
        *TRAIN,
    ),
    wrong(edited(LINEAR, ("s_test - s_test.mean(dim=0)", "s_test - s_train.mean(dim=0)")), *TRAIN, *BASE),
    wrong(
        edited(LINEAR, ("spread = s_test - s_test.mean(dim=0)", "spread = s_train - s_train.mean(dim=0)")),
        *TRAIN,
        *BASE,
    ),
    wrong(
        edited(
            LINEAR, ("spread.pow(2).sum(dim=0)", "spread.pow(2).sum(dim=0)).mean()"), ("1 - residual", "(1 - residual")
        ),
        *SHAPE,
        "each factor",
        "mean",
    ),
    wrong(
        edited(
            LINEAR,
            (
                "return 1 - residual.pow(2).sum(dim=0) / spread.pow(2).sum(dim=0)",
                "guess = B @ W\n    guess = guess - guess.mean(dim=0)\n"
                "    return (guess * spread).sum(0) ** 2 / (guess.pow(2).sum(0) * spread.pow(2).sum(0))",
            ),
        ),
        "correlat",
        "residual",
        "error",
    ),
    wrong(edited(LINEAR, ("return 1 - residual", "return residual")), "1 -", "unexplained", "left", "share"),
    wrong(edited(LINEAR, (".sum(dim=0)", ".sum(dim=1)")), *AXIS, *SHAPE),
    wrong(edited(LINEAR, (".sum(dim=0)", ".sum()")), *SHAPE, "each factor"),
    wrong(
        edited(LINEAR, ("spread.pow(2).sum(dim=0)", "spread.pow(2).sum()")), "each factor", "own", "dim", "all factors"
    ),
    wrong(
        edited(
            LINEAR,
            (
                "residual.pow(2).sum(dim=0) / spread.pow(2).sum(dim=0)",
                "residual.pow(2).mean(dim=0) / s_test.var(dim=0)",
            ),
        ),
        "unbiased",
        "N - 1",
        "n-1",
        "correction",
        "var",
    ),
    wrong(edited(LINEAR, ("spread = s_test - s_test.mean(dim=0)", "spread = s_test")), *BASE),
    wrong(
        edited(LINEAR, ("spread = s_test - s_test.mean(dim=0)", "spread = s_test - s_test.mean()")),
        *BASE,
        "each factor",
        "dim",
    ),
    wrong(
        edited(
            LINEAR, ("residual.pow(2).sum(dim=0) / spread.pow(2).sum(dim=0)", "residual.var(dim=0) / s_test.var(dim=0)")
        ),
        "var",
        "mean",
        "bias",
        "offset",
        "shift",
    ),
    wrong(
        edited(
            LINEAR,
            (
                "return 1 - residual.pow(2).sum(dim=0) / spread.pow(2).sum(dim=0)",
                "return (B @ W).var(dim=0) / s_test.var(dim=0)",
            ),
        ),
        "explained",
        "residual",
        "error",
        "var",
    ),
    wrong(
        edited(
            LINEAR,
            (
                "return 1 - residual.pow(2).sum(dim=0) / spread.pow(2).sum(dim=0)",
                "return (1 - residual.pow(2).sum(dim=0) / spread.pow(2).sum(dim=0)).clamp(min=0)",
            ),
        ),
        "clamp",
        "negative",
        "below 0",
        "cut",
    ),
    wrong(
        edited(
            LINEAR,
            (
                "return 1 - residual.pow(2).sum(dim=0) / spread.pow(2).sum(dim=0)",
                "return 1 - (residual.pow(2).sum(dim=0) / spread.pow(2).sum(dim=0)).sqrt()",
            ),
        ),
        "root",
        "square",
        "sqrt",
    ),
    wrong(
        edited(
            LINEAR,
            (
                "W = torch.linalg.lstsq(A, s_train).solution",
                "W = torch.linalg.solve(A.T @ A + torch.eye(A.shape[1], dtype=A.dtype), A.T @ s_train)",
            ),
        ),
        "ridge",
        "penal",
        "eye",
        "regulari",
        "least squares",
    ),
    wrong(
        edited(
            LINEAR,
            ("return 1 - residual.pow(2).sum(dim=0) / spread.pow(2).sum(dim=0)", "return residual.pow(2).mean(dim=0)"),
        ),
        "1 -",
        "error",
        "divi",
        "spread",
        "constant guess",
    ),
    wrong(
        linear(
            """
            W = torch.linalg.lstsq(h_train - h_train.mean(0), s_train - s_train.mean(0)).solution
            r = (s_test - s_test.mean(0)) - (h_test - h_test.mean(0)) @ W
            return 1 - (r**2).sum(0) / ((s_test - s_test.mean(0)) ** 2).sum(0)
            """
        ),
        *TRAIN,
        *BASE,
    ),
    wrong(
        linear(
            """
            W = torch.linalg.lstsq(h_train - h_train.mean(0), s_train - s_train.mean(0)).solution
            r = s_test - (h_test - h_train.mean(0)) @ W
            return 1 - (r**2).sum(0) / ((s_test - s_test.mean(0)) ** 2).sum(0)
            """
        ),
        *BASE,
        *CONSTANT,
        "add",
        "back",
    ),
    wrong(edited(LINEAR, ("pow(2)", "abs()")), "abs", "square"),
    wrong(
        edited(LINEAR, ("lstsq(A, s_train)", "lstsq(A.float(), s_train.float())"), ("B @ W", "B @ W.double()")),
        *FLOAT32,
    ),
    wrong(
        edited(LINEAR, ("spread = s_test - s_test.mean(dim=0)", "s_test -= s_test.mean(dim=0)\n    spread = s_test")),
        *IN_PLACE,
    ),
    wrong(
        edited(
            LINEAR,
            (
                "B = torch.cat([h_test, torch.ones_like(h_test[:, :1])], dim=1)",
                "B = torch.cat([h_test, torch.zeros_like(h_test[:, :1])], dim=1)",
            ),
        ),
        *CONSTANT,
    ),
    wrong(
        edited(LINEAR, ("spread.pow(2).sum(dim=0)", "residual.pow(2).sum(dim=0).add(spread.pow(2).sum(dim=0))")),
        "spread",
        "deviation",
        "divi",
        "constant guess",
        "add",
        "sum",
    ),
]
RIGHT += [
    right(LINEAR),
    right(
        linear(
            """
            mu, nu = h_train.mean(dim=0), s_train.mean(dim=0)
            W = torch.linalg.pinv(h_train - mu) @ (s_train - nu)
            error = s_test - ((h_test - mu) @ W + nu)
            return 1 - error.square().mean(dim=0) / s_test.var(dim=0, correction=0)
            """
        )
    ),
    right(
        linear(
            """
            A = F.pad(h_train, (1, 0), value=1.0)
            B = F.pad(h_test, (1, 0), value=1.0)
            Q, R = torch.linalg.qr(A)
            W = torch.linalg.solve_triangular(R, Q.T @ s_train, upper=True)
            return 1 - ((s_test - B @ W) ** 2).sum(0) / ((s_test - s_test.mean(0, keepdim=True)) ** 2).sum(0)
            """
        )
    ),
    right(
        linear(
            """
            A = torch.hstack([torch.ones(len(h_train), 1, dtype=h_train.dtype), h_train])
            B = torch.hstack([torch.ones(len(h_test), 1, dtype=h_test.dtype), h_test])
            scores = []
            for j in range(s_train.shape[1]):
                w = torch.linalg.lstsq(A, s_train[:, j : j + 1]).solution[:, 0]
                y = s_test[:, j]
                scores.append(1 - ((y - B @ w) ** 2).sum() / ((y - y.mean()) ** 2).sum())
            return torch.stack(scores)
            """
        )
    ),
    right(
        linear(
            """
            def one(x):
                return np.c_[x.numpy(), np.ones(len(x))]
            W, *_ = np.linalg.lstsq(one(h_train), s_train.numpy(), rcond=None)
            s = s_test.numpy()
            r2 = 1 - ((s - one(h_test) @ W) ** 2).sum(axis=0) / ((s - s.mean(axis=0)) ** 2).sum(axis=0)
            return torch.from_numpy(r2).to(s_test.dtype)
            """
        )
    ),
]

# --- on which arguments the answers are compared with the references ------------------------------------------------


def normal(generator: Generator, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def of_features(generator: Generator) -> list[tuple[Any, ...]]:
    """Rates whose counts round up and down, none and all; the last ones have ties, as after a ReLU, and signs."""
    cases: list[tuple[Any, ...]] = [
        (normal(generator, m, u), rate, *sign)
        for m, u, rate, sign in (
            (12, 3, 0.25, ()),
            (9, 9, 0.4, (-1,)),
            (7, 4, 0.37, (1,)),
            (6, 5, 0.01, ()),
            (5, 2, 1.0, ()),
        )
    ]
    signs = torch.tensor([1.0, -1.0, 1.0, -1.0], dtype=torch.float64)
    cases.append((normal(generator, 33, 2), 0.1))
    return [*cases, (normal(generator, 11, 4), 0.3, signs), (normal(generator, 12, 4).relu(), 0.75, signs)]


def trajectories_of(generator: Generator, lengths: list[int], of_class: list[int]) -> tuple[Tensor, Tensor]:
    """Trajectories 0, 1, ... of several lengths and their classes, in a random order of the images."""
    ids = torch.arange(len(lengths)).repeat_interleave(torch.tensor(lengths))
    ids = ids[torch.randperm(len(ids), generator=generator)]
    return ids, torch.tensor(of_class)[ids]


WORLDS = (([2, 3, 4, 1, 3], [4, 9, 4, 9, 9]), ([3, 3, 3, 3, 3, 3], [2, 0, 1, 1, 2, 0]), ([3, 5, 4, 6], [7, 1, 1, 1]))


def of_rates(generator: Generator) -> list[tuple[Any, ...]]:
    cases = []
    for lengths, classes in WORLDS:
        ids, own = trajectories_of(generator, lengths, classes)
        fires = (normal(generator, len(ids), 5) > 0.4).double()
        cases += [(fires, ids, own), (fires[:, :3], 3 * ids + 5, own)]
    return cases


def of_conditioned(generator: Generator) -> list[tuple[Any, ...]]:
    cases = []
    for classes, units in ((3, 4), (4, 4), (2, 6)):
        rates = torch.rand(classes, units, generator=generator, dtype=torch.float64)
        overall = rates.mean(dim=0) * (0.5 + torch.rand(units, generator=generator, dtype=torch.float64))
        rates[:, 1], overall[1] = 0, 0
        cases.append((rates, overall))
    return cases


def of_signs(generator: Generator) -> list[tuple[Any, ...]]:
    """The last unit is as good with both signs."""
    cases = []
    for classes, units in ((3, 6), (5, 5), (2, 8)):
        up, down = (torch.rand(classes, units, generator=generator, dtype=torch.float64) for _ in range(2))
        up[0, -1], down[1, -1] = 2, 2
        cases.append((up, down))
    return cases


def of_tops(generator: Generator) -> list[tuple[Any, ...]]:
    return [(normal(generator, c, u).exp(), k) for c, u, k in ((3, 5, 2), (4, 4, 3), (2, 9, 4), (6, 4, 1))]


def of_scores(generator: Generator) -> list[tuple[Any, ...]]:
    """Features that know the class a little, with ties in some units; the last ones have 25 classes."""
    cases: list[tuple[Any, ...]] = []
    worlds = [*WORLDS, ([3] * 50, [*range(25), *range(25)])]
    for lengths, classes in worlds:
        ids, own = trajectories_of(generator, lengths, classes)
        h = normal(generator, len(ids), 12) + normal(generator, 25, 12)[own]
        h[:, ::4] = h[:, ::4].relu()
        h[:, 1::4] = -h[:, 1::4].relu()
        cases += [(h, ids, own, 3), (h, ids, own)]
    return cases


def of_shuffles(generator: Generator) -> list[tuple[Any, ...]]:
    orders = (torch.tensor([3, 0, 1, 4, 2]), torch.tensor([1, 2, 3, 4, 5, 0]), torch.tensor([1, 2, 3, 0]))
    cases = []
    for (lengths, classes), order in zip(WORLDS, orders):
        ids, own = trajectories_of(generator, lengths, classes)
        cases.append(((normal(generator, len(ids), 5) > 0.3).double(), ids, own, order))
    return cases


def of_official(generator: Generator) -> list[tuple[Any, ...]]:
    """Units that rarely fire: many trajectories are silent, and unit 0 is so on the whole of a class."""
    cases = []
    for lengths, classes in (([3, 3, 4, 5, 3, 6], [5, 5, 2, 2, 5, 2]), ([3] * 9, [0, 1, 2] * 3)):
        ids, own = trajectories_of(generator, lengths, classes)
        values = normal(generator, len(ids), 5)
        up, down = (values > 1).double(), (values < -1).double()
        up[own == own.min(), 0], down[own == own.min(), 0] = 0, 0
        cases.append((up, down, ids, own))
    return cases


def of_crops(generator: Generator) -> list[tuple[Any, ...]]:
    """Counts of pixels without ties; some crops show nothing."""
    cases = []
    for pairs, objects in ((9, 2), (40, 3), (30, 2)):
        a, b = (torch.rand(pairs, objects, generator=generator, dtype=torch.float64).mul(90).ceil() for _ in range(2))
        a += torch.arange(objects) / 8
        b += torch.arange(objects) / 8
        b[2:5] = a[2:5]
        a[3:9, 0], b[5:12, -1] = 0, 0
        a[0], b[1], a[6], b[6] = 0, 0, 0, 0
        cases.append((a, b))
    return cases


def of_values(generator: Generator) -> list[tuple[Any, ...]]:
    return [(normal(generator, m) * period, period) for m, period in ((7, 1.0), (4, 360.0), (5, math.pi), (6, 2.5))]


def of_regressions(generator: Generator) -> list[tuple[Any, ...]]:
    """Features that hold the factors in part, with an offset; the last one predicts worse than a constant."""
    cases = []
    for train, test, units, factors, noise in ((40, 30, 4, 3, 0.5), (25, 40, 6, 2, 1.0), (12, 20, 8, 4, 3.0)):
        mixing, offset = normal(generator, factors, units), normal(generator, units)
        s = [normal(generator, n, factors) + 2 for n in (train, test)]
        h = [x @ mixing + offset + noise * normal(generator, len(x), units) for x in s]
        cases.append((h[0], s[0], h[1], s[1]))
    return cases


INPUTS = {
    "firing_threshold": of_features,
    "fire": of_features,
    "local_firing_rate": of_rates,
    "target_conditioned_invariance": of_conditioned,
    "best_signs": of_signs,
    "mean_of_top": of_tops,
    "ris_score": of_scores,
    "shuffled_local_rate": of_shuffles,
    "official_local_rate": of_official,
    "same_object": of_crops,
    "on_circle": of_values,
    "recovered": of_regressions,
}
