"""Lesson 04: VICReg's pulls, its valleys at collapse, and the forces on a cloud of points, as pictures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from jemlib import plots
from jemlib.collapse import vicreg_variance_hinge
from jemlib.course.figures.vicreg_forces import ARROW, CLOUDS, EDGE, TERMS, WEIGHTS, forces
from jemlib.course.figures.vicreg_widget import forces_widget
from jemlib.losses import vicreg

__all__ = ["forces_picture", "forces_widget", "pull", "valleys"]


def pull(eps: float = 1e-4) -> Figure:
    """Length of the gradient of the standard deviation and of the variance, times sqrt(N - 1), over the spread.

    Both axes are logarithmic. Left of sqrt(eps) both fall with the spread, and the ratio is 1 / (2 sqrt(eps)).
    """
    sigma = np.logspace(-5, 0.5, 300)
    std = sigma / np.sqrt(sigma**2 + eps)
    with plots.style():
        figure, axis = plt.subplots(figsize=(6.4, 3.6))
        looks = plots.line_styles()
        axis.loglog(sigma, std, label=r"$|\nabla S|$, $S = \sqrt{\mathrm{Var} + \epsilon}$", **next(looks))
        axis.loglog(sigma, 2 * sigma, label=r"$|\nabla\,\mathrm{Var}|$", **next(looks))
        marks = {r"$\sqrt{\epsilon}$": math.sqrt(eps), r"$\frac{1}{2}$: equal": 0.5}
        for name, place in marks.items():
            axis.axvline(place, color="black", linewidth=1, linestyle=":")
            axis.annotate(name, (place, 2e-5), (4, 0), textcoords="offset points")
        axis.set(xlabel=r"spread $\sigma$ of a dimension", ylabel=r"length of the gradient $\cdot \sqrt{N-1}$")
        axis.set(title="who still pulls when the spread is small?", ylim=(1e-5, 20))
        axis.legend(loc="upper left")
        plt.close(figure)
    return figure


def scaled_loss(s: Sequence[float], noise: float, hinge: str, *, n: int = 512, seed: int = 0) -> list[float]:
    """The code's loss of `s (u + e)` and `s (u + e')`, D = 1, for each s: signal of variance 1, augmentation `noise`.

    The columns u, e, e' are made orthogonal, so that nothing depends on chance.
    """
    loss = {"std": vicreg, "variance": vicreg_variance_hinge}[hinge]
    z_a, z_b = signal_and_noise(n, 1, noise, seed)
    return [float(loss(x * z_a, x * z_b).total) for x in s]


def signal_and_noise(n: int, d: int, noise: float, seed: int = 0) -> tuple[Tensor, Tensor]:
    """`u + e` and `u + e'`, each `(N, D)`: in each dimension u of variance 1, e and e' of variance `noise`, all exact.

    N > 3: the three columns and the constant are orthogonal.
    """
    generator = torch.Generator().manual_seed(seed)
    views: tuple[list[Tensor], list[Tensor]] = [], []
    for _ in range(d):
        columns = torch.randn(n, 3, generator=generator, dtype=torch.float64)
        basis = torch.linalg.qr(torch.cat([torch.ones(n, 1, dtype=torch.float64), columns], dim=1))[0][:, 1:]
        u, e_a, e_b = (math.sqrt(n - 1) * basis).unbind(dim=1)
        views[0].append(u + math.sqrt(noise) * e_a)
        views[1].append(u + math.sqrt(noise) * e_b)
    return torch.stack(views[0], dim=1), torch.stack(views[1], dim=1)


def valleys(noises: Sequence[float] = (0.5, 2.0)) -> Figure:
    """The code's loss of embeddings shrunk by s, minus its value at s = 0, for both hinges and several noises.

    Where a curve leaves s = 0 downwards, embeddings grow away from the constant. Where it leaves upwards, they shrink.
    """
    s = np.linspace(0, 0.8, 161)
    with plots.style():
        figure, axes = plt.subplots(1, 2, figsize=(9, 3.4), sharey=True)
        for axis, hinge in zip(axes, ("std", "variance")):
            for look, noise in zip(plots.line_styles(), noises):
                values = np.array(scaled_loss(s.tolist(), noise, hinge))
                axis.plot(s, values - values[0], label=f"noise {noise:g}", **look)
            axis.axhline(0, color="black", linewidth=1)
            name = "standard deviation" if hinge == "std" else "variance"
            axis.set(title=f"hinge on the {name}", xlabel="scale $\\rho$ of the embeddings")
        axes[0].set_ylabel("loss minus loss at $\\rho = 0$")
        axes[1].legend(loc="lower left")
        axes[0].set_ylim(-18, 18)
        plt.close(figure)
    return figure


def forces_picture(clouds: Sequence[str] = ("a cloud", "nearly one point (type 1)", "a line (type 2)")) -> Figure:
    """The widget's picture on paper: the forces of the three terms on the points of some clouds.

    Args:
        clouds: names from `vicreg_forces.CLOUDS`.
    """
    with plots.style():
        figure, axes = plt.subplots(1, len(clouds), figsize=(3.7 * len(clouds), 4.7), squeeze=False)
        for axis, name in zip(axes[0], clouds):
            _draw_forces(axis, CLOUDS[name](), name)
        handles = [
            axes[0, 0].plot([], [], label=f"{term}, weight {WEIGHTS[term]:g}", **look)[0]
            for term, look in zip(TERMS, _looks())
        ]
        figure.legend(handles=handles, loc="outside lower center", ncols=3, handlelength=3)
        plt.close(figure)
    return figure


def _looks() -> list[dict[str, Any]]:
    return [{"color": plots.COLOURS[i], "linestyle": line} for i, line in enumerate(("-", "--", ":"))]


def _draw_forces(axis: Axes, points: Tensor, title: str) -> None:
    found = forces(points)
    for (x0, y0), (x1, y1) in zip(points[0].tolist(), points[1].tolist()):
        axis.plot([x0, x1], [y0, y1], color="0.75", linewidth=1)
    for term, look in zip(TERMS, _looks()):
        tips = points + ARROW * found.force[term]
        for start, tip in zip(points.reshape(-1, 2).tolist(), tips.reshape(-1, 2).tolist()):
            if math.dist(start, tip) > 0.03:
                axis.plot([start[0], tip[0]], [start[1], tip[1]], linewidth=1.8, **look)
                # The head is a piece of its own: dashes would tear it.
                near = (start[0] + 0.8 * (tip[0] - start[0]), start[1] + 0.8 * (tip[1] - start[1]))
                head: Any = {"arrowstyle": "-|>", "color": look["color"], "linewidth": 0, "shrinkA": 0, "shrinkB": 0}
                axis.annotate("", (tip[0], tip[1]), near, arrowprops=head)
    (x_a, y_a), (x_b, y_b) = points[0].T.numpy(), points[1].T.numpy()
    axis.scatter(x_a, y_a, s=26, color="0.2", zorder=3)
    axis.scatter(x_b, y_b, s=22, marker="s", facecolors="white", edgecolors="0.2", zorder=3)
    axis.set(title=f"{title}\nloss {float(found.loss.total):.1f}", xlabel="dimension 1", ylabel="dimension 2")
    axis.set(xlim=(-EDGE, EDGE), ylim=(-EDGE, EDGE))
    axis.set_aspect("equal")
