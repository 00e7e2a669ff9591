"""Lesson 03: the information plane of a world of four views, and what the surrogates replace, as pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import cycle, product
from typing import NamedTuple

import ipywidgets
import matplotlib.pyplot as plt
import numpy as np
import torch
import torch.nn.functional as F
from matplotlib.figure import Figure
from torch import Tensor

from jemlib import plots
from jemlib.losses import information_bottleneck
from jemlib.plots import explore

Code = tuple[int, ...]


def world(confusion: float = 0.0) -> Tensor:
    """Two equally likely images, two views of each: `(2, 4)` probabilities of image and view.

    Args:
        confusion: share in [0, 1] of cases in which the view is drawn as if from the other image; at 0.5 a view says
            nothing about its image.
    """
    own = torch.tensor([[1.0, 1, 0, 0], [0, 0, 1, 1]], dtype=torch.float64) / 4
    return (1 - confusion) * own + confusion * own.flip(0)


def codes(views: int = 4) -> list[Code]:
    """Every deterministic code: one symbol for each view, counted from 0 in the order of appearance. 15 for 4 views."""
    return sorted({tuple(list(dict.fromkeys(c)).index(s) for s in c) for c in product(range(views), repeat=views)})


KINDS = ("constant", "the image", "the view", "the distortion", "one view, or not", "image + one's views", "mixed")


def kind(code: Code) -> str:
    """What a code of the four views tells; views 0 and 1 belong to one image, 2 and 3 to the other."""
    symbols, kept = len(set(code)), code[0] == code[1] or code[2] == code[3]
    sizes = sorted(code.count(s) for s in set(code))
    if symbols == 2:
        if sizes == [1, 3]:
            return "one view, or not"
        return "the image" if kept else "the distortion"
    if symbols == 3:
        return "image + one's views" if kept else "mixed"
    return "constant" if symbols == 1 else "the view"


class Point(NamedTuple):
    """A kind of code in the information plane, in bits: how many codes share it, and I(Z;X) and I(Z;Y)."""

    kind: str
    codes: int
    i_zx: float
    i_zy: float

    def objective(self, beta: float) -> float:
        return self.i_zy - beta * self.i_zx


def points(confusion: float = 0.0) -> list[Point]:
    """The 15 deterministic codes of `world(confusion)`, those of one kind together, in the order of KINDS."""
    every = codes()
    found = []
    for name in KINDS:
        same = [code for code in every if kind(code) == name]
        encoder = F.one_hot(torch.tensor(same[0]), 4).double()
        result = information_bottleneck(world(confusion), encoder, 1.0, base=2.0)
        found.append(Point(name, len(same), float(result.i_zx), float(result.i_zy)))
    return found


def winners(found: Sequence[Point], beta: float) -> list[Point]:
    """The kinds with the smallest objective, several when they are equal up to rounding."""
    least = min(point.objective(beta) for point in found)
    return [point for point in found if point.objective(beta) < least + 1e-9]


def information_plane(beta: float = 2.0, confusion: float = 0.0) -> Figure:
    """The 15 codes of the world of four views: what each knows, and which one wins at this beta.

    Left: the information plane in bits. The line joins everything that scores as the winner; below it nothing may lie.
    Right: the objective I(Z;Y) - beta I(Z;X) of each kind over beta, with this beta marked.
    """
    found = points(confusion)
    best = winners(found, beta)
    names = {point.kind for point in best}
    with plots.style():
        figure, (plane, scores) = plt.subplots(1, 2, figsize=(11.5, 4.0))
        betas = np.linspace(0, 5.2, 200)
        looks = zip(plots.line_styles(), cycle(plots.MARKERS.items()), found)
        for look, (marker, size), point in looks:
            many = f" ({point.codes} codes)" if point.codes > 1 else ""
            wins = point.kind in names
            plane.scatter(point.i_zx, point.i_zy, marker=marker, s=2.6 * size, color=look["color"], zorder=3)
            if wins:
                plane.scatter(
                    point.i_zx, point.i_zy, marker="o", s=330, facecolors="none", edgecolors="black", zorder=4
                )
            values = [point.objective(b) for b in betas]
            label = point.kind + many + (" ← wins" if wins else "")
            scores.plot(betas, values, marker=marker, markevery=(10, 60), label=label, **look)
        line = np.array([-0.3, 1.3])
        plane.plot(line, line, color="0.6", linewidth=1, linestyle=":")
        plane.text(1.4, -0.16, "no code lies below\nthe dotted line", fontsize=9, color="0.3", ha="right", va="bottom")
        plane.plot(line, best[0].objective(beta) + beta * line, color="black", linewidth=1.4, linestyle="--")
        plane.set(xlim=(-0.12, 1.42), ylim=(-0.2, 2.2), xlabel="I(Z;X): known of the image, bits")
        plane.set(ylabel="I(Z;Y): known of the view, bits", title="circled: the winner")
        plane.set_xticks([0, 0.5, 1])
        plane.set_yticks([0, 0.5, 1, 1.5, 2])
        scores.axvline(beta, color="black", linewidth=1.4, linestyle="--")
        scores.set(xlim=(0, 5.2), ylim=(-4.4, 2.3), xlabel="beta", ylabel="I(Z;Y) − beta I(Z;X), bits")
        scores.set(title=f"beta = {beta:g}: least is {best[0].objective(beta):.2f} bits".replace("-", "−"))
        figure.legend(*scores.get_legend_handles_labels(), loc="outside right center", fontsize=9)
        plt.close(figure)
    return figure


def information_plane_widget() -> ipywidgets.Widget:
    """`information_plane` with a slider for beta and one for how often a view looks like the other image's."""
    return explore(
        information_plane,
        beta=(0.25, 0.5, 0.9, 1.0, 1.1, 1.5, 2.0, 3.0, 5.0),
        confusion=(0.0, 0.01, 0.03, 0.1, 0.2, 0.35, 0.5),
    )


def barrier() -> Figure:
    """Two dimensions of correlation r: the log-determinant, the Frobenius term in its place, and both slopes."""
    r = np.linspace(0, 0.999, 400)
    lines = {
        "−log det R": (-np.log(1 - r**2), 2 * r / (1 - r**2)),
        "half of the Frobenius term": (r**2, 2 * r),
    }
    with plots.style():
        figure, (value, slope) = plt.subplots(1, 2, figsize=(8.6, 3.1))
        for look, (name, (values, slopes)) in zip(plots.line_styles(), lines.items()):
            value.plot(r, values, label=name, **look)
            slope.plot(r, slopes, **look)
        for axis, title in ((value, "cost"), (slope, "slope: the force towards 0")):
            axis.set(title=title, xlabel="correlation r of the two dimensions", ylim=(0, 6), xlim=(0, 1))
        value.legend(loc="upper left", fontsize=9)
        plt.close(figure)
    return figure


def trade_off(rows: Mapping[str, Mapping[str, float]]) -> Figure:
    """The runs of the sweep as points: agreement of two views against the directions in use.

    Args:
        rows: `{name: {"agreement": ..., "rankme": ...}}`, in the order of lambda.
    """
    with plots.style():
        figure, axis = plt.subplots(figsize=(6.6, 3.4))
        for look, (marker, size), (name, row) in zip(plots.line_styles(), cycle(plots.MARKERS.items()), rows.items()):
            axis.scatter(row["rankme"], row["agreement"], marker=marker, s=2.4 * size, color=look["color"], label=name)
        axis.set_xscale("log")
        axis.set(xlabel="RankMe: directions in use", ylabel="agreement of two views,\nmean $C_{ii}$", ylim=(0, 1.02))
        axis.margins(x=0.12)
        figure.legend(loc="outside right center")
        plt.close(figure)
    return figure
