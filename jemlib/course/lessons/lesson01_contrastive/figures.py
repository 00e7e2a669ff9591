"""Lesson 01: who pushes an anchor, and how hard; a run between its bounds; alignment against uniformity."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import ipywidgets
import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from jemlib import plots
from jemlib.plots import explore

POSITIVE, NEGATIVE, NET = plots.COLOURS[2], plots.COLOURS[1], plots.COLOURS[0]


class Forces(NamedTuple):
    """What one anchor on the circle feels. Angles are in degrees from the anchor, forces are times the temperature.

    `pull` and `push` are the two parts of minus the gradient, along the circle: counter-clockwise is positive.
    """

    angles: Tensor  # (N-1,) of the negatives, nearest first
    shares: Tensor  # (N-1,) of the push, sum 1
    probability: float  # softmax probability of the positive
    pull: float
    push: float
    loss: float

    @property
    def effective(self) -> float:
        """The effective number of negatives: e to the entropy of the shares."""
        return math.exp(float(torch.special.entr(self.shares).sum()))


def forces_on_anchor(temperature: float, negatives: Tensor, positive: float) -> Forces:
    """InfoNCE of one anchor at angle 0 of the unit circle.

    Args:
        temperature: tau > 0.
        negatives: `(N-1,)` angles of the negatives in degrees.
        positive: angle of the positive in degrees.
    """
    negatives = negatives[negatives.abs().argsort()].double()
    angles = torch.deg2rad(torch.cat([torch.tensor([positive], dtype=torch.float64), negatives]))
    p = (angles.cos() / temperature).softmax(dim=0)
    # tau dL/du = (P - I) k; its part along the circle: the tangent at the anchor times k is the sine of the angle
    pulls = -(p - torch.eye(len(p), dtype=p.dtype)[0]) * angles.sin()
    return Forces(
        angles=negatives,
        # not P_j / (1 - P_positive): where P_positive rounds to 1 that is 0 / 0
        shares=(angles[1:].cos() / temperature).softmax(dim=0),
        probability=float(p[0]),
        pull=float(pulls[0]),
        push=float(pulls[1:].sum()),
        loss=float(-p[0].log()),
    )


def spread_negatives(number: int, nearest: float, seed: int = 0) -> Tensor:
    """Angles of negatives: one at `nearest` degrees, the others spread over the rest of the circle with some jitter."""
    generator = torch.Generator().manual_seed(seed)
    room = 360 - 2 * nearest - 20
    places = (torch.arange(number - 1) + 0.2 + 0.6 * torch.rand(number - 1, generator=generator)) / max(number - 1, 1)
    others = nearest + 10 + room * places
    return torch.cat([torch.tensor([-float(nearest)]), torch.where(others > 180, others - 360, others)])


def forces(
    temperature: float = 0.2, batch_size: int = 12, nearest: int = 30, positive: int = 20, seed: int = 0
) -> Figure:
    """One anchor on the circle, its positive, and the negatives that push it.

    Left: the points; the ink of a negative is its softmax weight, and arrows show the pull of the positive and the
    push of all negatives along the circle, times the temperature. Right: how the push is shared among the negatives,
    nearest first.
    """
    felt = forces_on_anchor(temperature, spread_negatives(batch_size - 1, nearest, seed), positive)
    with plots.style():
        figure, (circle, bars) = plt.subplots(1, 2, figsize=(10, 4.4), gridspec_kw={"width_ratios": [1, 1.15]})
        _draw_circle(circle, felt, positive)
        shown = min(len(felt.shares), 16)
        bars.bar(range(shown), felt.shares[:shown].numpy(), color=NEGATIVE, hatch="//", edgecolor="white")
        bars.set_xticks(range(shown), [f"{abs(a):.0f}°" for a in felt.angles[:shown]], fontsize=9, rotation=45)
        bars.set_xlim(-0.6, max(shown, 8) - 0.4)
        bars.set_ylim(0, 1.02)
        bars.set(
            title=f"share of the push: as if from {felt.effective:.1f} of {len(felt.shares)} negatives",
            xlabel="angle between the anchor and the negative" + (" (the nearest 16)" if len(felt.shares) > 16 else ""),
            ylabel="share",
        )
        bars.grid(visible=False, axis="x")
        plt.close(figure)
    return figure


def _on_circle(degrees: float | Tensor | np.ndarray, radius: float = 1.0) -> np.ndarray:
    """Coordinates; the anchor, at 0 degrees, stands at the top."""
    angle = np.deg2rad(np.asarray(degrees) + 90)
    return radius * np.stack([np.cos(angle), np.sin(angle)])


def _draw_circle(axis: Axes, felt: Forces, positive: float) -> None:
    axis.add_patch(plt.Circle((0, 0), 1, fill=False, color="0.7", linewidth=1))
    weight = (felt.shares / felt.shares.max()).numpy()
    faces = [(*plt.matplotlib.colors.to_rgb(NEGATIVE), float(w)) for w in weight]
    x, y = _on_circle(felt.angles)
    axis.scatter(x, y, s=40 + 110 * weight, c=faces, marker="v", edgecolors=NEGATIVE, label="negatives")
    x, y = _on_circle(positive)
    axis.scatter(x, y, s=110, color=POSITIVE, marker="o", label="positive", zorder=3)
    axis.scatter(0, 1, s=190, color="black", marker="*", label="anchor", zorder=4)
    arrows = (("pull", felt.pull, POSITIVE, "-", 1.12), ("push", felt.push, NEGATIVE, "--", 1.24))
    for name, force, colour, line, radius in (*arrows, ("net", felt.pull + felt.push, NET, ":", 1.36)):
        _draw_arrow(axis, force, colour, line, radius)
        # a line without points, for the legend
        axis.plot([], [], color=colour, linestyle=line, label=f"{name} {force:+.2f}")
    axis.set(xlim=(-1.5, 1.5), ylim=(-1.15, 1.55), xticks=[], yticks=[])
    axis.set_aspect("equal")
    axis.spines[:].set_visible(False)
    axis.set_title(f"loss of the anchor {felt.loss:.2f}, p of the positive {felt.probability:.2f}")
    axis.legend(loc="center", fontsize=9)


def _draw_arrow(axis: Axes, force: float, colour: str, line: str, radius: float) -> None:
    """An arc that starts at the anchor's angle, outside of the circle; a force of 1 is 90 degrees long."""
    along = np.linspace(0, 90 * force, 40)
    axis.plot(*_on_circle(along, radius), color=colour, linestyle=line, linewidth=2.5, solid_capstyle="butt")
    if abs(force) > 0.02:
        tip = _on_circle(along[-1], radius)
        # a triangle turned along the arc
        turn = 90 + along[-1] + (0 if force > 0 else 180)
        axis.plot(*tip, marker=(3, 0, turn), color=colour, markersize=9, linestyle="")


def forces_widget() -> ipywidgets.Widget:
    """`forces` with a slider for the temperature, the batch size, the nearest negative and the positive."""
    return explore(
        forces,
        temperature=(0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0),
        batch_size=(3, 6, 12, 24, 64),
        nearest=(5, 15, 30, 60, 90),
        positive=(0, 10, 20, 45, 90, 180),
    )


def between_bounds(
    history: Sequence[Mapping[str, float]], batch_size: int, temperature: float, title: str = ""
) -> Figure:
    """A run of SimCLR: the loss between its least value and its value at collapse; alignment; uniformity.

    Args:
        history: rows with `step`, `loss`, `alignment` (mean squared distance) and `uniformity`.
        batch_size: N.
        temperature: tau.
        title: of the figure.
    """
    collapsed = math.log(2 * batch_size - 1)
    # NT-Xent of the simplex: log(1 + 2 (N-1) e^(-N / ((N-1) tau)))
    least = math.log1p(2 * (batch_size - 1) * math.exp(-batch_size / ((batch_size - 1) * temperature)))
    steps = [row["step"] for row in history]
    with plots.style():
        figure, axes = plt.subplots(1, 3, figsize=(11, 3.2))
        looks = plots.line_styles()
        for axis, column in zip(axes, ("loss", "alignment", "uniformity")):
            axis.plot(steps, [row[column] for row in history], **next(looks))
            axis.set(title=column, xlabel="step")
        for level, name in ((collapsed, "collapse: log(2N-1)"), (least, "least possible")):
            axes[0].axhline(level, color="black", linewidth=1.2, linestyle=":")
            place = {"xytext": (0, 3), "textcoords": "offset points", "ha": "right", "fontsize": 9}
            axes[0].annotate(name, (steps[-1], level), **place)
        axes[0].set_ylim(min(0.0, least) - 0.2, collapsed + 0.8)
        axes[1].set_ylim(bottom=0)
        axes[2].axhline(-4, color="black", linewidth=1.2, linestyle=":")
        axes[2].annotate("even in many dimensions: -4", (steps[-1], -4), **place)
        axes[2].set_ylim(-4.3, 0.1)
        if title:
            figure.suptitle(title)
        plt.close(figure)
    return figure


def trade_off(runs: Mapping[str, Mapping[str, float]]) -> Figure:
    """Runs as points: alignment to the right, uniformity upwards; the lower left corner is where both are best.

    Args:
        runs: by name, each with `alignment` and `uniformity`.
    """
    with plots.style():
        figure, axis = plt.subplots(figsize=(6.4, 3.6))
        for look, (name, run) in zip(plots.scatter_styles(), runs.items()):
            axis.scatter(run["alignment"], run["uniformity"], label=name, **{**look, "s": 3 * look["s"]})
        axis.set(xlabel="alignment: squared distance of the views", ylabel="uniformity", title="lower left is better")
        axis.margins(0.15)
        figure.legend(loc="outside right center", handletextpad=0.2)
        plt.close(figure)
    return figure
