"""Lesson 07: its pictures and its widget, plain functions of plain numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise

import ipywidgets
import matplotlib.pyplot as plt
import numpy as np
import torch
import torch.nn.functional as F
from matplotlib.figure import Figure
from torch import Tensor

from jemlib import plots
from jemlib.losses import (
    concentration,
    elbo,
    log_evidence,
    mixture_log_joint,
    mixture_m_step,
    posterior,
)
from jemlib.plots import explore

# --- Jensen -----------------------------------------------------------------------------------------------------


def jensen(joint: tuple[float, float] = (0.1, 0.3), q: float = 0.5) -> Figure:
    """The bound for two prototypes: as a chord under the logarithm, and as a function of Q.

    Left: the two ratios p(x, c)/Q(c) on the curve of the logarithm. Their mean is p(x); the chord above it ends at the
    ELBO, the curve at log p(x). Right: the ELBO for every Q, which touches log p(x) at the posterior.

    Args:
        joint: p(x, c) of the two prototypes, > 0.
        q: Q of the first, in (0, 1).
    """
    p, weights = np.array(joint), np.array([q, 1 - q])
    ratios, evidence = p / weights, p.sum()
    bound = float(weights @ np.log(ratios))
    with plots.style():
        figure, (left, right) = plt.subplots(1, 2, figsize=(10.5, 3.8))
        r = np.linspace(0.05, max(1.0, 1.15 * ratios.max()), 300)
        left.plot(r, np.log(r), color=plots.COLOURS[0], label="log")
        left.plot(ratios, np.log(ratios), color=plots.COLOURS[1], linestyle="--", marker="o", label="chord")
        left.vlines(evidence, bound, math.log(evidence), color="black", linewidth=3, label="gap")
        left.plot([evidence], [math.log(evidence)], color=plots.COLOURS[0], marker="s", markersize=9)
        left.plot([evidence], [bound], color=plots.COLOURS[1], marker="^", markersize=9)
        left.set(title="log of the mean, mean of the logs", xlabel="p(x, c) / Q(c)", ylabel="nats")
        left.set_xlim(0)
        left.legend(fontsize=9, loc="lower right")
        grid = torch.linspace(0.001, 0.999, 400, dtype=torch.float64)
        rows = torch.stack([grid, 1 - grid], dim=1)
        log_joint = torch.tensor(joint, dtype=torch.float64).log().expand(len(grid), 2)
        right.plot(grid, elbo(log_joint, rows), color=plots.COLOURS[1], linestyle="--", label="ELBO")
        right.axhline(math.log(evidence), color=plots.COLOURS[0], label="log p(x)")
        right.plot([q], [bound], color=plots.COLOURS[1], marker="^", markersize=9)
        right.vlines(q, bound, math.log(evidence), color="black", linewidth=3)
        touch = p[0] / evidence
        right.plot([touch], [math.log(evidence)], color="black", marker="*", markersize=14, linestyle="none")
        right.annotate("posterior", (touch, math.log(evidence)), xytext=(0, 8), textcoords="offset points", ha="center")
        right.set(title="the bound for every Q", xlabel="Q of the first prototype", ylabel="nats")
        right.set_ylim(top=math.log(evidence) + 0.25)
        right.legend(fontsize=9, loc="lower left")
        plt.close(figure)
    return figure


def sharper(sigmas: Sequence[float] = (2.0, 1.0, 0.5, 0.1)) -> Figure:
    """The posterior of the right one of two prototypes, at -1 and 1 on a line, for several sigma: it becomes a step."""
    x = torch.linspace(-3, 3, 601, dtype=torch.float64)
    centres = torch.tensor([[-1.0], [1.0]], dtype=torch.float64)
    with plots.style():
        figure, axis = plt.subplots(figsize=(7.5, 3.4))
        for sigma, line in zip(sigmas, plots.line_styles()):
            p = posterior(mixture_log_joint(x[:, None], centres, sigma))[:, 1]
            axis.plot(x, p, label=f"σ = {sigma:g}", **line)
        axis.plot([-1, 1], [0, 0], "k^", markersize=9, clip_on=False)
        axis.set(title="posterior of the prototype at 1", xlabel="x; triangles: the two prototypes", ylabel="p(c | x)")
        axis.legend(fontsize=9, loc="upper left")
        plt.close(figure)
    return figure


# --- EM by steps ------------------------------------------------------------------------------------------------


def points(x: float = 0.0, y: float = 0.0) -> Tensor:
    """Three groups of six points in the plane, and one point at (x, y): `(19, 2)`."""
    generator = torch.Generator().manual_seed(3)
    homes = torch.tensor([[-2.0, -1.0], [2.0, -1.0], [0.0, 2.0]], dtype=torch.float64)
    cloud = homes.repeat_interleave(6, dim=0) + 0.45 * torch.randn(18, 2, generator=generator, dtype=torch.float64)
    return torch.cat([cloud, torch.tensor([[x, y]], dtype=torch.float64)])


START = ((-1.0, 0.6), (-0.4, 0.4), (0.6, 0.4))  # where the three centres begin


def em(v: Tensor, steps: int, sigma: float) -> tuple[list[Tensor], Tensor, list[float]]:
    """The centres before each step and after the last, the last posterior, and the log-likelihood of each.

    sigma is the same for all and stays as it is: the M-step moves the centres. With sigma 0 it is k-means, whose
    log-likelihood is taken as minus the mean squared distance to the nearest centre.
    """
    centres = torch.tensor(START, dtype=v.dtype)
    path, score = [centres], []
    for step in range(steps + 1):
        squares = (v[:, None, :] - centres).square().sum(dim=2)
        if sigma == 0:
            q = F.one_hot(squares.argmin(dim=1), len(centres)).to(v)
            score.append(-float(squares.amin(dim=1).mean()))
        else:
            log_joint = mixture_log_joint(v, centres, sigma)
            q = posterior(log_joint)
            score.append(float(log_evidence(log_joint).mean()))
        if step < steps:
            mass = q.sum(dim=0)[:, None]
            centres = torch.where(mass > 0, q.T @ v / mass.clamp(min=1e-12), centres)
            path.append(centres)
    return path, q, score


def em_steps(steps: int = 2, sigma: float = 0.7, x: float = 0.0, y: float = 0.0) -> Figure:
    """EM after some steps on points of which one is at (x, y), with one sigma for all; 0 is k-means.

    Left: points as small bars of their three shares, the centres with their way so far. Right: what EM raises.
    """
    v = points(x, y)
    path, q, score = em(v, steps, sigma)
    with plots.style():
        figure, (left, right) = plt.subplots(1, 2, figsize=(10.5, 4.2), gridspec_kw={"width_ratios": [1.4, 1]})
        for j, line in zip(range(3), plots.line_styles()):
            marker, colour = "os^"[j], line["color"]
            shares = q[:, j].numpy()
            left.scatter(v[:, 0], v[:, 1], s=150 * shares + 1e-6, marker=marker, color=colour, alpha=0.55, linewidths=0)
            way = torch.stack([centres[j] for centres in path])
            left.plot(way[:, 0], way[:, 1], color=colour, linestyle=line["linestyle"], linewidth=1.5)
            left.plot(*way[-1], marker=marker, color=colour, markersize=13, markeredgecolor="black", linestyle="none")
        left.scatter(*v[-1], s=260, facecolors="none", edgecolors="black", linewidths=1.5)
        left.annotate("the point you move", tuple(v[-1].tolist()), xytext=(10, 12), textcoords="offset points")
        name = "k-means" if sigma == 0 else f"σ = {sigma:g}"
        left.set(title=f"{name}, after {steps} steps", xlim=(-4, 4), ylim=(-3, 4), aspect="equal")
        right.plot(range(len(score)), score, color=plots.COLOURS[0], marker="o")
        what = "minus the mean squared distance" if sigma == 0 else "mean log-likelihood, nats"
        right.set(title="what EM raises", xlabel="step", ylabel=what)
        right.set_xticks(range(0, len(score), max(1, len(score) // 5)))
        plt.close(figure)
    return figure


def em_widget() -> ipywidgets.Widget:
    """`em_steps` with sliders for the number of steps, sigma, and the place of one point."""
    return explore(
        em_steps,
        steps=(0, 1, 2, 3, 5, 10, 20),
        sigma=(0.0, 0.05, 0.2, 0.4, 0.7, 1.0, 2.0),
        x=(-3.5, -2.0, -1.0, 0.0, 1.0, 2.0, 3.5),
        y=(-2.5, -1.0, 0.0, 1.0, 3.0),
    )


# --- Four breaks with EM ------------------------------------------------------------------------------------------

BREAKS = ("nothing", "hard Q", "slow copy", "phi by a rule", "mini-batches")


def samples_1d() -> Tensor:
    """140 samples of a mixture on a line, `(140, 1)`."""
    generator = torch.Generator().manual_seed(4)
    parts = [torch.randn(n, 1, generator=generator, dtype=torch.float64) for n in (60, 50, 30)]
    return torch.cat([parts[0] - 2, 0.5 * parts[1] + 1.2, 0.7 * parts[2] + 3])


def broken_em(broken: str = "nothing", steps: int = 40, exact: int = 10) -> list[float]:
    """Mean log-likelihood before each step of EM on `samples_1d`, with one thing done as in PCL from step `exact` on.

    Args:
        broken: "hard Q": the nearest component gets all; "slow copy": the E-step sees a moving average of the
            parameters; "phi by a rule": the variances are `concentration`s with the mean that EM found; "mini-batches":
            the M-step sees a fifth of the samples. "nothing" is EM.
        steps: of EM.
        exact: after so many exact steps.
    """
    x, generator = samples_1d(), torch.Generator().manual_seed(0)
    centres = torch.tensor([[-1.0], [0.5], [1.5]], dtype=x.dtype)
    sigma, k = torch.ones(3, dtype=x.dtype), 3
    slow, found = (centres, sigma), []
    for step in range(steps):
        kind = broken if step >= exact else "nothing"
        found.append(float(log_evidence(mixture_log_joint(x, centres, sigma)).mean()))
        q = posterior(mixture_log_joint(x, *(slow if kind == "slow copy" else (centres, sigma))))
        if kind == "hard Q":
            q = F.one_hot(q.argmax(dim=1), k).to(x)
        seen = torch.randperm(len(x), generator=generator)[: len(x) // 5] if kind == "mini-batches" else slice(None)
        centres, sigma = mixture_m_step(x[seen], q[seen])
        if kind == "phi by a rule":
            own = q.argmax(dim=1)
            distances = (x - centres[own]).norm(dim=1)
            sigma = concentration(distances, own, k, float(sigma.square().mean())).sqrt()
        slow = (0.9 * slow[0] + 0.1 * centres, 0.9 * slow[1] + 0.1 * sigma)
    return found


def falls(likelihood: Sequence[float]) -> int:
    """How many steps lower it, by more than rounding."""
    return sum(after < before - 1e-12 for before, after in pairwise(likelihood))


def monotone(runs: Mapping[str, Sequence[float]], exact: int = 10) -> Figure:
    """The log-likelihood over the steps, for EM and for each break; a panel for each break, EM in all of them."""
    others = [name for name in runs if name != "nothing"]
    low, high = min(min(run[3:]) for run in runs.values()), max(max(run) for run in runs.values())
    with plots.style():
        figure, axes = plt.subplots(1, len(others), figsize=(11, 3.2), sharey=True, squeeze=False)
        for axis, name in zip(axes[0], others):
            axis.plot(runs["nothing"], color=plots.COLOURS[0], label="EM")
            axis.plot(runs[name], color=plots.COLOURS[1], linestyle="--", marker=".", markersize=4, label=name)
            axis.axvline(exact, color="black", linewidth=1, linestyle=":")
            axis.set(title=f"{name}: {falls(runs[name])} falls", xlabel="step")
            axis.set_ylim(low - 0.11, high + 0.06)  # room for the legend below the deepest dip
            axis.legend(fontsize=9, loc="lower right")
        axes[0][0].set_ylabel("mean log-likelihood, nats")
        plt.close(figure)
    return figure


# --- From Gaussians to the softmax --------------------------------------------------------------------------------


def dropped_factor(phi: tuple[float, float] = (0.05, 0.35), degrees: float = 60.0) -> Figure:
    """The probability of a tight prototype along a circle: exact, and with e^(-1/phi) dropped.

    Args:
        phi: of the tight prototype at 0 degrees, and of the loose one.
        degrees: where the loose one lies.
    """
    angle = torch.linspace(-180, 180, 721, dtype=torch.float64)
    homes = torch.tensor([0.0, degrees], dtype=torch.float64)
    cosines = torch.cos(torch.deg2rad(angle[:, None] - homes))
    widths = torch.tensor(phi, dtype=torch.float64)
    with plots.style():
        figure, axis = plt.subplots(figsize=(7.5, 3.4))
        exact, dropped = ((cosines - shift) / widths for shift in (1, 0))
        axis.plot(angle, torch.softmax(exact, dim=1)[:, 0], color=plots.COLOURS[0], label="exact posterior")
        axis.plot(angle, torch.softmax(dropped, dim=1)[:, 0], color=plots.COLOURS[1], linestyle="--", label="PCL")
        for home, marker, what in zip(homes.tolist(), "s^", ("tight", "loose")):
            axis.plot([home], [0], color="black", marker=marker, markersize=9, linestyle="none", clip_on=False)
            axis.annotate(what, (home, 0), xytext=(6, 6), textcoords="offset points")
        axis.set(title="probability of the tight prototype", xlabel="angle of the sample, degrees", ylabel="p")
        axis.set_xticks(range(-180, 181, 60))
        axis.legend(fontsize=9, loc="upper right")
        plt.close(figure)
    return figure


def smoothing(alphas: Sequence[float] = (0.0, 1.0, 10.0)) -> Figure:
    """phi of a cluster of mean distance 1, against its size Z, for several alpha."""
    sizes = np.arange(2, 201)
    with plots.style():
        figure, axis = plt.subplots(figsize=(7.5, 3.2))
        for alpha, line in zip(alphas, plots.line_styles()):
            axis.plot(sizes, 1 / np.log(sizes + alpha), label=f"α = {alpha:g}", **line)
        axis.set(title="φ of clusters of one width", xlabel="members of the cluster, Z", ylabel="φ = 1 / log(Z + α)")
        axis.set_xscale("log")
        axis.set_xticks([2, 5, 10, 20, 50, 100, 200], ["2", "5", "10", "20", "50", "100", "200"])
        axis.minorticks_off()
        axis.legend(fontsize=9, loc="upper right")
        plt.close(figure)
    return figure


# --- Runs -------------------------------------------------------------------------------------------------------


def training(term: Sequence[float], turns: Sequence[int], nmi: Sequence[float]) -> Figure:
    """The prototype term of each step, and the NMI that each E-step found; E-steps are dotted lines.

    Args:
        term: one number for each step.
        turns: the steps of the E-steps.
        nmi: one number for each of them.
    """
    smooth = np.convolve(term, np.ones(10) / 10, mode="valid") if len(term) > 30 else np.array(term)
    with plots.style():
        figure, (left, right) = plt.subplots(1, 2, figsize=(10.5, 3.4))
        left.plot(term, color=plots.COLOURS[5], linewidth=1, label="each step")
        start = turns[0] if len(term) > 30 and turns else 0
        shown = range(start + 9, len(term)) if start else range(len(smooth))
        left.plot(shown, smooth[start:], color=plots.COLOURS[0], linestyle="--", label="mean of ten")
        left.set(title="prototype term", ylabel="nats", ylim=(0, 1.15 * max(term)))
        left.legend(fontsize=9, loc="lower right")
        right.plot([*turns, len(term)], [*nmi, nmi[-1]], color=plots.COLOURS[1], marker="o", drawstyle="steps-post")
        right.set(title="NMI of clusters and classes", xlim=(0, len(term)), ylim=(0, 1))
        for axis in (left, right):
            axis.set_xlabel("step; dotted: an E-step")
            for turn in turns:
                axis.axvline(turn, color="black", linewidth=1, linestyle=":")
        plt.close(figure)
    return figure


def bad_one(numbers: Mapping[str, float]) -> Figure:
    """kNN against the number M of clusterings: all intact, the first a random partition, the first shuffled.

    Args:
        numbers: "intact_M", "random_M" and "shuffled_M" for M from 1, and "none" for the run without clusters.
    """
    most = max(int(name.split("_")[1]) for name in numbers if "_" in name)
    names = {"intact": "all from k-means", "random": "one a random partition", "shuffled": "one with wrong prototypes"}
    with plots.style():
        figure, axis = plt.subplots(figsize=(7.5, 3.6))
        for (kind, label), line, marker in zip(names.items(), plots.line_styles(), "os^"):
            values = [numbers[f"{kind}_{m}"] for m in range(1, most + 1)]
            axis.plot(range(1, most + 1), values, marker=marker, label=label, **line)
        axis.axhline(numbers["none"], color="black", linewidth=1.2, linestyle=(0, (1, 2)), label="no clusters")
        axis.set(title="one bad clustering among M", xlabel="clusterings, M", ylabel="kNN of the features")
        axis.set_xticks(range(1, most + 1))
        axis.legend(fontsize=9, loc="center left", bbox_to_anchor=(1.01, 0.5))
        plt.close(figure)
    return figure
