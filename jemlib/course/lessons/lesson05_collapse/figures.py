"""Lesson 05: the landscape around the constant, spectra of hand-made clouds, runs to diagnose blind."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

import ipywidgets
import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from jemlib import plots
from jemlib.diagnose import covariance_spectrum, directional_spread, normalized_std, participation_ratio, rankme
from jemlib.losses import barlow_twins, info_nce, vicreg
from jemlib.plots import explore
from jemlib.theory import ContrastiveDynamics, scale_coefficient, vicreg_variance_hinge

# Of the landscape: a cloud of N samples in D dimensions.
SAMPLES, DIMENSIONS, TEMPERATURE = 256, 64, 0.2
OBJECTIVES = ("vicreg, std hinge", "vicreg, variance hinge", "info_nce", "barlow_twins")


# --- the landscape ----------------------------------------------------------------------------------------------


def loss_along_scale(objective: str, s: np.ndarray, n2: float, eps: float) -> np.ndarray:
    """A loss of `z = c + s (u + e)` in closed form, for many samples; both terms are independent over dimensions.

    u has variance 1 in each dimension and is common to both views, e has variance `n2` and is drawn for each view. The
    constant c has length 1. For `info_nce` lengths are taken to be equal and similarities Gaussian, which holds for
    many dimensions. `eps` is that of the objective; the variance hinge and InfoNCE have none.
    """
    variance = s**2 * (1 + n2)
    if objective == "vicreg, std hinge":
        return 50 * n2 * s**2 + 25 * np.maximum(0.0, 1 - np.sqrt(variance + eps))
    if objective == "vicreg, variance hinge":
        return 50 * n2 * s**2 + 25 * np.maximum(0.0, 1 - variance)
    if objective == "barlow_twins":
        return DIMENSIONS * (1 - s**2 / (variance + eps)) ** 2
    squared = 1 + DIMENSIONS * variance  # of a length
    positive = (1 + DIMENSIONS * s**2) / squared
    # cosine of two different images: mean 1 / squared, and the variance of x.y / squared
    spread = DIMENSIONS * variance**2 / squared**2
    others = 1 / (squared * TEMPERATURE) + spread / (2 * TEMPERATURE**2)
    excess: np.ndarray = np.log1p((SAMPLES - 1) * np.exp(others - positive / TEMPERATURE))
    return excess


def bend_along_scale(objective: str, n2: float, eps: float) -> float:
    """The coefficient of s^2 of `loss_along_scale` at s = 0: negative is a hill, positive a valley."""
    if objective == "vicreg, std hinge":
        return scale_coefficient(n2, DIMENSIONS, hinge="std", eps=eps)
    if objective == "vicreg, variance hinge":
        return scale_coefficient(n2, DIMENSIONS, hinge="variance")
    if objective == "barlow_twins":
        return -2 * DIMENSIONS / eps
    return -DIMENSIONS * (1 - 1 / SAMPLES) / TEMPERATURE


@lru_cache(maxsize=1)
def _white() -> tuple[Tensor, ...]:
    """Signal and two noises, `(SAMPLES, DIMENSIONS)` each: centred, of unbiased variance 1, all uncorrelated.

    White over the batch, so that chance correlations of a small batch do not blur the curve.
    """
    generator = torch.Generator().manual_seed(0)
    drawn = torch.randn(SAMPLES, 3 * DIMENSIONS, generator=generator, dtype=torch.float64)
    white = torch.linalg.qr(drawn - drawn.mean(dim=0))[0] * math.sqrt(SAMPLES - 1)
    return white.split(DIMENSIONS, dim=1)


def _sampled(objective: str, s: float, n2: float, eps: float) -> float:
    """The same from jemlib's loss and a drawn cloud."""
    u, e_a, e_b = _white()
    c = torch.ones(DIMENSIONS, dtype=torch.float64) / math.sqrt(DIMENSIONS)
    z_a, z_b = (c + s * (u + math.sqrt(n2) * e) for e in (e_a, e_b))
    if objective == "vicreg, std hinge":
        return float(vicreg(z_a, z_b, eps=eps).total)
    if objective == "vicreg, variance hinge":
        return float(vicreg_variance_hinge(z_a, z_b).total)
    if objective == "barlow_twins":
        return float(barlow_twins(z_a, z_b, eps=eps).total)
    return float(info_nce(z_a, z_b, TEMPERATURE).total)


def landscape(
    objective: str = "vicreg, std hinge", augmentation: float = 0.5, eps: float = 1e-4, start: float = 0.01
) -> Figure:
    """A loss along the size s of the cloud `z = c + s (u + e)`: is s = 0 a hill, a valley, or a kink?

    Args:
        objective: one of `OBJECTIVES`.
        augmentation: variance of e over that of u.
        eps: of the std hinge or of Barlow Twins' standardising.
        start: size of the noise at the start, marked on the curve with the way that descent goes.
    """
    bend = bend_along_scale(objective, augmentation, eps)
    with plots.style():
        figure, axes = plt.subplots(1, 2, figsize=(10, 3.9))
        for axis, edge, name in ((axes[0], 3 * math.sqrt(eps), "close to the constant"), (axes[1], 1.5, "far from it")):
            s = np.linspace(-edge, edge, 601)
            curve = loss_along_scale(objective, s, augmentation, eps)
            axis.plot(s, curve, color=plots.COLOURS[0], label="closed form")
            at = np.linspace(0, edge, 6)
            measured = [_sampled(objective, float(x), augmentation, eps) for x in at]
            axis.plot(at, measured, "o", color=plots.COLOURS[6], markersize=5, label="jemlib, 256 samples")
            low, high = min(curve.min(), *measured), max(curve.max(), *measured)
            room = 0.08 * (high - low) or 0.01
            axis.set_ylim(low - room, high + 2.5 * room)
            if name.startswith("close"):
                centre = loss_along_scale(objective, np.zeros(1), augmentation, eps)[0]
                axis.plot(s, centre + bend * s**2, "--", color=plots.COLOURS[1], label=f"parabola, {bend:.3g} s²")
            if start < edge:
                _mark_start(axis, lambda x: loss_along_scale(objective, x, augmentation, eps), start, edge)
            axis.set(title=name, xlabel="size s of the cloud", ylabel="loss" if name.startswith("close") else "")
        more = {label: handle for axis in axes for handle, label in zip(*axis.get_legend_handles_labels())}
        figure.legend(list(more.values()), list(more), loc="outside lower center", ncols=4, fontsize=9)
        shape = "a hill: collapse is left" if bend < 0 else "a valley: collapse holds" if bend > 0 else "flat"
        figure.suptitle(f"{objective}, augmentation {augmentation:g}: s = 0 is {shape}", fontsize=12)
        plt.close(figure)
    return figure


def _mark_start(axis: plt.Axes, loss: Callable[[np.ndarray], np.ndarray], start: float, edge: float) -> None:
    """A marker at the start and a triangle in the direction of descent."""
    slope = float(np.diff(loss(np.array([0.99, 1.01]) * start))[0])
    level = float(loss(np.array([start]))[0])
    marker = ">" if slope < 0 else "<" if slope > 0 else "s"
    look: Any = {"color": plots.COLOURS[4], "markeredgecolor": "black", "markersize": 11, "linestyle": "none"}
    axis.plot([start], [level], marker=marker, label="start, pointing downhill", zorder=4, **look)


def landscape_widget() -> ipywidgets.Widget:
    """`landscape` with a slider for the objective, the augmentation, eps, and the size of the noise at the start."""
    return explore(
        landscape,
        objective=OBJECTIVES,
        augmentation=(0.0, 0.1, 0.5, 0.9, 1.1, 2.0, 5.0),
        eps=(1e-6, 1e-5, 1e-4, 1e-3, 1e-2),
        start=(0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0),
    )


# --- spectra, singular values, traces ---------------------------------------------------------------------------


def clouds(named: Mapping[str, Tensor]) -> Figure:
    """Clouds in the plane of their first two dimensions, on one scale, with the origin marked."""
    with plots.style():
        figure, axes = plt.subplots(1, len(named), figsize=(2.5 * len(named), 2.8), squeeze=False)
        limit = 1.1 * max(float(z[:, :2].abs().max()) for z in named.values())
        for axis, look, (name, z) in zip(axes[0], plots.scatter_styles(), named.items()):
            axis.scatter(z[:, 0], z[:, 1], alpha=0.7, **look)
            axis.plot(0, 0, "+", color="black", markersize=12, zorder=4)
            axis.set(title=name, xlim=(-limit, limit), ylim=(-limit, limit), xlabel="dimension 1")
            axis.set_aspect("equal")
            axis.tick_params(labelsize=9)
        axes[0, 0].set_ylabel("dimension 2")
        plt.close(figure)
    return figure


def singular_values(runs: Mapping[str, ContrastiveDynamics]) -> Figure:
    """Singular values of the product of layers over time, one panel a run."""
    with plots.style():
        figure, axes = plt.subplots(1, len(runs), figsize=(3.3 * len(runs), 3), sharey=True, squeeze=False)
        for axis, (name, run) in zip(axes[0], runs.items()):
            for look, values in zip(plots.line_styles(), run.singular_values.T.numpy()):
                axis.plot(run.time.numpy(), values, **look)
            axis.set(title=name, xlabel="time")
        axes[0, 0].set_ylabel("singular values of W")
        plt.close(figure)
    return figure


def traces(named: Mapping[str, tuple[list[int], list[float]]], label: str, *, floor: float = 1e-15) -> Figure:
    """Numbers over the steps, logarithmic; of a name "method, start" the method is the panel and the start the line.

    Zeros lie on the floor.
    """
    methods = list(dict.fromkeys(name.split(", ")[0] for name in named))
    kinds = list(dict.fromkeys(name.split(", ")[1] for name in named))
    looks = dict(zip(kinds, zip(plots.line_styles(), plots.MARKERS)))
    with plots.style():
        figure, axes = plt.subplots(1, len(methods), figsize=(2.9 * len(methods), 3.6), sharey=True, squeeze=False)
        handles = {}
        for name, (steps, values) in named.items():
            method, kind = name.split(", ")
            look, marker = looks[kind]
            axis = axes[0, methods.index(method)]
            (handles[kind],) = axis.semilogy(
                steps, np.maximum(values, floor), marker=marker, markersize=5, markevery=0.2, label=kind, **look
            )
            axis.set(title=method.replace(" without", "\nwithout"), xlabel="step")
        axes[0, 0].set_ylabel(label)
        figure.legend(list(handles.values()), list(handles), loc="outside lower center", ncols=len(kinds))
        plt.close(figure)
    return figure


# --- the blind test ---------------------------------------------------------------------------------------------


def blind_panels(named: Mapping[str, Tensor], losses: Mapping[str, float] | None = None) -> Figure:
    """Unlabelled embeddings, a row each: spectrum, spread of the dimensions in raw units, numbers. No verdict."""
    rows = len(named)
    with plots.style():
        figure, axes = plt.subplots(
            rows, 3, figsize=(11, 2.1 * rows + 0.5), squeeze=False, gridspec_kw={"width_ratios": [1.2, 1.2, 1]}
        )
        for i, (look, (name, z)) in enumerate(zip(plots.line_styles(), named.items())):
            values = covariance_spectrum(z).numpy()
            shares = np.maximum(values / max(values[0], 1e-30), 1e-8)
            axes[i, 0].semilogy(np.arange(1, len(values) + 1), shares, **look)
            axes[i, 0].set_ylim(5e-9, 3)
            axes[i, 0].set_ylabel(name, rotation=0, fontsize=16, weight="bold", labelpad=18, va="center")
            deviations = z.std(dim=0).clamp(min=1e-9).numpy()
            axes[i, 1].hist(deviations, bins=list(np.logspace(-5, 1.5, 60)), color=look["color"])
            axes[i, 1].set_xscale("log")
            loss = f"final loss          {losses[name]:8.3f}\n" if losses else ""
            most = min(z.shape)
            text = (
                f"normalised std      {float(normalized_std(z)):8.3f}\n"
                f"directional spread  {float(directional_spread(z)):8.3f}\n"
                f"RankMe              {float(rankme(z)):8.1f} of {most}\n"
                f"participation ratio {float(participation_ratio(z)):8.1f} of {most}\n"
                f"  the same, centred {float(participation_ratio(z - z.mean(dim=0))):8.1f} of {most}\n{loss}"
            )
            axes[i, 2].set_axis_off()
            axes[i, 2].text(0, 0.95, text, va="top", family="monospace", fontsize=9)
        axes[0, 0].set_title("eigenvalues of the covariance / largest")
        axes[0, 1].set_title("std of each dimension, raw units")
        axes[-1, 0].set_xlabel("rank of the eigenvalue")
        axes[-1, 1].set_xlabel("standard deviation")
        plt.close(figure)
    return figure
