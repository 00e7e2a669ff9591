"""Lesson 10: its pictures and its widget, plain functions of plain numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import ipywidgets
import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from jemlib import plots
from jemlib.invariance import firing_threshold, ris
from jemlib.invariance.firing import VARIANTS
from jemlib.plots import explore


def threshold(h: Tensor, rates: Sequence[float]) -> Figure:
    """One unit over the images, sorted: where the threshold lies for several rates, and what fires.

    Args:
        h: `(M,)` the values of a unit.
        rates: shares of images on which it shall fire.
    """
    values = h.detach().sort().values
    with plots.style():
        figure, axes = plt.subplots(1, len(rates), figsize=(3.6 * len(rates), 2.8), sharey=True, squeeze=False)
        for axis, rate in zip(axes[0], rates):
            t = float(firing_threshold(h[:, None], rate))
            fires = values > t
            place = np.arange(len(values))
            axis.scatter(place[~fires], values[~fires], s=14, facecolors="white", edgecolors=plots.COLOURS[0])
            axis.scatter(place[fires], values[fires], s=20, color=plots.COLOURS[1], marker="s", label="fires")
            axis.axhline(t, color=plots.COLOURS[6], linestyle="--", linewidth=1.2)
            axis.set(title=f"rate {rate:g}: t = {t:.2f}, G = {int(fires.sum())}/{len(values)}", xlabel="images, sorted")
        axes[0, 0].set_ylabel("$h_i(x)$")
        axes[0, 0].legend(loc="upper left", fontsize=9)
        plt.close(figure)
    return figure


def noise(units: int = 128, num_classes: int = 10, objects: int = 8, frames: int = 6, seed: int = 0) -> Figure:
    """What features of pure noise score, for K from 1 to all units, in percent: both variants.

    Args:
        units: U.
        num_classes: number of classes.
        objects: trajectories of each class.
        frames: images of each trajectory.
        seed: of the noise.
    """
    generator = torch.Generator().manual_seed(seed)
    trajectories = torch.arange(num_classes * objects).repeat_interleave(frames)
    classes = trajectories // objects
    h = torch.randn(len(classes), units, generator=generator)
    with plots.style():
        figure, axis = plt.subplots(figsize=(6.4, 3.4))
        for variant, line in zip(VARIANTS, plots.line_styles()):
            found = ris(h, trajectories, classes, 1, variant, num_shuffles=1)
            ranked = found.invariance.sort(dim=1, descending=True).values.mean(dim=0)
            k = np.arange(1, units + 1)
            axis.plot(k, 100 * found.target_rate * np.cumsum(ranked.numpy()) / k, label=variant, **line)
        axis.axhline(100 / num_classes, color=plots.COLOURS[6], linestyle=":", linewidth=1.2, label="100 / classes")
        axis.set(xlabel="K, units chosen for each class", ylabel="score of noise, percent", xscale="log")
        axis.set_title(f"{num_classes} classes, {objects} trajectories each, {frames} frames")
        axis.set_ylim(bottom=0)
        axis.legend(fontsize=9)
        plt.close(figure)
    return figure


def noise_widget() -> ipywidgets.Widget:
    """`noise` with a slider for the number of units, classes, trajectories and frames."""
    return explore(
        noise,
        units=(32, 64, 128, 256, 512),
        num_classes=(2, 5, 10, 25, 40),
        objects=(2, 4, 8, 16, 32),
        frames=(3, 4, 6, 10, 20),
    )


def baseline_bars(rows: Mapping[str, tuple[float, float, float]]) -> Figure:
    """For each representation its score beside two baselines: the broken one and the right one."""
    names = ("score", "baseline, broken", "baseline, right")
    with plots.style():
        figure, axis = plt.subplots(figsize=(7, 3.2))
        for i, name in enumerate(names):
            heights = [values[i] for values in rows.values()]
            place = np.arange(len(rows)) + 0.27 * (i - 1)
            axis.bar(
                place, heights, 0.25, color=plots.COLOURS[i], hatch=plots.HATCHES[i], edgecolor="white", label=name
            )
        axis.set_xticks(np.arange(len(rows)), list(rows))
        axis.set(ylabel="RIS")
        axis.set_ylim(top=1.35 * max(max(values) for values in rows.values()))
        axis.legend(fontsize=9, ncols=3, loc="upper left")
        plt.close(figure)
    return figure


def scores(table: Mapping[str, Mapping[str, float]], *, title: str = "") -> Figure:
    """Scores with their baselines: transformations down, encoders across; dark is far above the baseline.

    Args:
        table: `{transformation: numbers}` with `ENCODER` and `ENCODER_shuffled` for each encoder.
        title: of the figure.

    Raises:
        ValueError: there is nothing in the table.
    """
    rows = {name: numbers for name, numbers in table.items() if numbers}
    if not rows:
        raise ValueError("table must hold the numbers of at least one transformation.")
    encoders = [one for one in next(iter(rows.values())) if not one.endswith("_shuffled")]
    values = np.array([[numbers[one] for one in encoders] for numbers in rows.values()])
    base = np.array([[numbers[f"{one}_shuffled"] for one in encoders] for numbers in rows.values()])
    gap = values - base
    with plots.style():
        figure, axis = plt.subplots(figsize=(1.15 * len(encoders) + 3.4, 0.5 * len(rows) + 1.3))
        top = max(float(gap.max()), 1.0)  # so that luck does not look like a difference
        image = axis.imshow(gap, cmap="Blues", vmin=0, vmax=top, aspect="auto")
        for (i, j), value in np.ndenumerate(values):
            colour = "white" if gap[i, j] > 0.6 * top else "black"
            axis.text(j, i, f"{value:.1f}\n({base[i, j]:.1f})", ha="center", va="center", fontsize=9, color=colour)
        axis.set_xticks(range(len(encoders)), [one.replace("_", "\n") for one in encoders], fontsize=9)
        axis.set_yticks(range(len(rows)), list(rows))
        axis.tick_params(length=0)
        axis.grid(visible=False)
        axis.set_title(title)
        figure.colorbar(image, ax=axis, shrink=0.9, label="score minus shuffled")
        plt.close(figure)
    return figure


def agreements(areas: Sequence[float], curves: Mapping[str, Sequence[float]]) -> Figure:
    """Share of pairs of crops that show the same object, against the smallest area of a crop."""
    with plots.style():
        figure, axis = plt.subplots(figsize=(5.4, 3.2))
        for (name, values), line in zip(curves.items(), plots.line_styles()):
            axis.plot(areas, values, marker="o", label=name, **line)
        axis.set(xlabel="smallest area of a crop, share of the image", ylabel="pairs that show the same object")
        axis.set_ylim(0, 1.08)
        axis.legend(fontsize=9)
        plt.close(figure)
    return figure


def slowest(law: str, rho: float = 0.9, points: int = 401) -> tuple[Tensor, Tensor, Tensor]:
    """The function of one latent that two near latents agree on most, on a grid, by the eigenvectors of the move.

    Args:
        law: "gaussian" or "uniform".
        rho: how near; the move is that of `jemlib.data.latents.move_latents`.
        points: of the grid.

    Returns:
        x `(points,)`, the grid; p `(points,)`, the probability of each point; f `(points,)`, the function, with mean 0,
        variance 1, and rising.

    Raises:
        ValueError: an unknown law.
    """
    if law not in ("gaussian", "uniform"):
        raise ValueError(f"law must be 'gaussian' or 'uniform'; got {law!r}.")
    if law == "gaussian":
        x = torch.linspace(-6, 6, points, dtype=torch.float64)
        p = torch.exp(-x.square() / 2)
        kernel = torch.exp(-(x - rho * x[:, None]).square() / (2 * (1 - rho**2)))
    else:
        edge, variance = math.sqrt(3), 2 * (1 - rho)
        x = edge * (2 * (torch.arange(points, dtype=torch.float64) + 0.5) / points - 1)
        p = torch.ones_like(x)
        # mirrored at the edges: the point itself, and its images behind both
        images = [x + 4 * edge * turn for turn in range(-2, 3)] + [
            2 * edge - x + 4 * edge * turn for turn in range(-2, 3)
        ]
        kernel = torch.stack([torch.exp(-(image - x[:, None]).square() / (2 * variance)) for image in images]).sum(
            dim=0
        )
    p = p / p.sum()
    joint = p[:, None] * kernel / kernel.sum(dim=1, keepdim=True)
    joint = (joint + joint.T) / 2
    p = joint.sum(dim=1)
    # the pair's covariance of f(x) and f(x'), for f = g / sqrt p of unit length
    _, vectors = torch.linalg.eigh(joint / (p[:, None] * p).sqrt())
    f = vectors[:, -2] / p.sqrt()
    return x, p, f * torch.sign(f[-1] - f[0])


def slowest_functions(rho: float = 0.9) -> Figure:
    """What two near latents agree on most: a straight line under the Gaussian law, a bent one under the uniform."""
    with plots.style():
        figure, axes = plt.subplots(1, 2, figsize=(8, 3.2), sharey=True)
        for axis, law in zip(axes, ("gaussian", "uniform")):
            x, _, f = slowest(law, rho)
            inside = x.abs() <= 3
            axis.plot(x[inside], f[inside], color=plots.COLOURS[0], linewidth=3, label="agreed on most")
            axis.plot(x[inside], x[inside], color=plots.COLOURS[1], linestyle="--", label="the latent itself")
            axis.set(title=f"{law} latents", xlabel="latent $\\ell$")
            axis.set_xlim(-3.1, 3.1)
        axes[0].set_ylabel("$g(\\ell)$")
        axes[0].legend(fontsize=9)
        plt.close(figure)
    return figure
