"""Lesson 09: its pictures and its widget, plain functions of plain numbers."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import ipywidgets
import matplotlib.pyplot as plt
import numpy as np
import torch
import torch.nn.functional as F
from matplotlib.figure import Figure
from torch import Tensor

from jemlib import plots
from jemlib.course.machinery.exercises import repository_root
from jemlib.losses import balanced_center, dino, koleo, update_center
from jemlib.plots import explore
from jemlib.train import History

# --- A world with K = 3 outputs -----------------------------------------------------------------------------------

OUTPUTS = 3
STUDENT_TEMPERATURE = 0.1


class SimplexRun(NamedTuple):
    """DINO with three outputs: the student's probabilities at the start and the end, and the loss over the steps."""

    groups: Tensor  # (N,) which of three groups a sample belongs to; training does not see it
    start: Tensor  # (N, 3)
    end: Tensor  # (N, 3)
    entropy: list[float]  # of the teacher
    kl: list[float]


def simplex_run(
    centering: str = "mean",
    teacher_temperature: float = 0.04,
    momentum: float = 0.9,
    steps: int = 120,
    loss: Callable[..., Any] = dino,
    seed: int = 0,
) -> SimplexRun:
    """Sixty points of three groups through a linear layer with three outputs, trained by DINO.

    Args:
        centering: "none", "mean" or "balanced".
        teacher_temperature: tau_t; the student has 0.1.
        momentum: of the teacher.
        steps: of Adam, on all points.
        loss: as `losses.dino`: (total, teacher's entropy, kl).
        seed: of the points, the weights and the noise of the views.
    """
    draw = torch.Generator().manual_seed(seed)
    groups, one = torch.arange(60) % OUTPUTS, torch.ones(60, 1)
    x = torch.randn(OUTPUTS, 6, generator=draw)[groups] + 0.5 * torch.randn(60, 6, generator=draw)
    # The last row is a bias: to begin with, output 1 is preferred to output 3.
    w = torch.cat([0.1 * torch.randn(6, OUTPUTS, generator=draw), torch.tensor([[0.1, 0.0, -0.05]])]).requires_grad_()
    slow, center = w.detach().clone(), torch.zeros(OUTPUTS)
    optimizer = torch.optim.Adam([w], lr=0.05)

    def probabilities() -> Tensor:
        return torch.softmax(torch.cat([x, one], dim=1) @ w.detach() / STUDENT_TEMPERATURE, dim=1)

    start, entropy, kl = probabilities(), [], []
    for _ in range(steps):
        views = [torch.cat([x + 0.5 * torch.randn(60, 6, generator=draw), one], dim=1) for _ in range(2)]
        teacher = [view @ slow for view in views]
        if centering == "balanced":
            center = balanced_center(center, teacher, teacher_temperature)
        found = loss([view @ w for view in views], teacher, center, STUDENT_TEMPERATURE, teacher_temperature)
        if centering == "mean":
            center = update_center(center, teacher)
        optimizer.zero_grad()
        found[0].backward()
        optimizer.step()
        slow = torch.lerp(w.detach(), slow, momentum)
        entropy.append(found[1].item())
        kl.append(found[2].item())
    return SimplexRun(groups, start, probabilities(), entropy, kl)


def on_the_triangle(p: Tensor) -> np.ndarray:
    """Probabilities `(N, 3)` -> points `(N, 2)`: corner k is where output k has all."""
    corners = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.5, math.sqrt(3) / 2]], dtype=p.dtype)
    points: np.ndarray = (p @ corners).numpy()
    return points


def simplex(
    centering: str = "mean", teacher_temperature: float = 0.04, momentum: float = 0.9, steps: int = 120
) -> Figure:
    """Where `simplex_run` puts its points, on the triangle of all distributions. Below: its loss."""
    return simplexes({f"centre: {centering}": simplex_run(centering, teacher_temperature, momentum, steps)})


def simplexes(runs: Mapping[str, SimplexRun]) -> Figure:
    """For each run a triangle, and below it the teacher's entropy and the divergence over the steps."""
    with plots.style():
        figure, axes = plt.subplots(
            2,
            len(runs),
            figsize=(3.9 * max(2, len(runs)), 6),
            height_ratios=(3, 2),
            squeeze=False,
            layout="constrained",
        )
        for (name, run), triangle, below in zip(runs.items(), *axes):
            outline = on_the_triangle(torch.eye(OUTPUTS)[[0, 1, 2, 0]])
            triangle.plot(*outline.T, color="black", linewidth=1)
            for k, (x, y) in enumerate(outline[:OUTPUTS]):
                triangle.text(x, y + (0.05 if k == 2 else -0.09), f"output {k + 1}", ha="center", fontsize=9)
            triangle.plot(*on_the_triangle(run.start).T, ".", color="0.75", markersize=4, label="at the start")
            jitter = 0.012 * np.random.default_rng(0).standard_normal((len(run.end), 2))  # points that coincide
            for group, marker in enumerate("os^"):
                own = run.groups == group
                points = on_the_triangle(run.end[own]) + jitter[own.numpy()]
                triangle.plot(*points.T, marker, color=plots.COLOURS[group], markersize=6, alpha=0.7, linestyle="none")
            triangle.set(title=name, xlim=(-0.15, 1.15), ylim=(-0.15, 1.0), aspect="equal")
            triangle.axis("off")
            below.plot(run.entropy, color=plots.COLOURS[0], label="teacher's entropy")
            below.plot(run.kl, color=plots.COLOURS[1], linestyle="--", label="divergence")
            below.axhline(math.log(OUTPUTS), color="black", linewidth=1, linestyle=":", label="log 3")
            below.set(xlabel="step", ylim=(-0.05, 1.3 * math.log(OUTPUTS)))
        axes[1, 0].set_ylabel("nats")
        figure.legend(*axes[1, 0].get_legend_handles_labels(), loc="outside lower center", fontsize=9, ncols=3)
        plt.close(figure)
    return figure


def simplex_widget() -> ipywidgets.Widget:
    """`simplex` with a slider for the centre, tau_t, the teacher's momentum and the steps."""
    return explore(
        simplex,
        centering=("none", "mean", "balanced"),
        teacher_temperature=(0.01, 0.02, 0.04, 0.07, 0.1, 0.2),
        momentum=(0.0, 0.5, 0.9, 0.99, 1.0),
        steps=(0, 10, 30, 60, 120, 240),
    )


# --- Temperatures and centres -------------------------------------------------------------------------------------


def sharpened(
    logits: Sequence[float] = (0.3, 0.25, 0.1, 0.0, -0.1), temperatures: Sequence[float] = (1, 0.1, 0.04)
) -> Figure:
    """The softmax of one row of logits at several temperatures, as bars."""
    with plots.style():
        figure, axes = plt.subplots(1, len(temperatures), figsize=(10.5, 2.8), sharey=True, layout="constrained")
        for i, (axis, tau) in enumerate(zip(axes, temperatures)):
            p = torch.softmax(torch.tensor(logits, dtype=torch.float64) / tau, dim=0)
            axis.bar(range(1, len(p) + 1), p, color=plots.COLOURS[i], hatch=plots.HATCHES[i], edgecolor="white")
            entropy = float(torch.special.entr(p).sum())
            axis.set(title=f"τ = {tau:g}, entropy {entropy:.2f}", xlabel="output", ylim=(0, 1))
        axes[0].set_ylabel("probability")
        plt.close(figure)
    return figure


def centre_paths(paths: Mapping[str, Sequence[float]], bias: float) -> Figure:
    """The centre of one output over the steps, for several ways of updating it, beside the bias it should reach."""
    with plots.style():
        figure, axis = plt.subplots(figsize=(6.5, 3.2), layout="constrained")
        for (name, path), look in zip(paths.items(), plots.line_styles()):
            axis.plot(path, label=name, **look)
        axis.axhline(bias, color="black", linewidth=1, linestyle=":", label="the bias of output 1")
        axis.set(xlabel="step", ylabel="centre of output 1", ylim=(0, 1.2 * bias))
        axis.legend(fontsize=9, loc="lower right")
        plt.close(figure)
    return figure


def recorded_runs(root: Path | None = None) -> list[dict[str, Any]]:
    """DINO's runs in results/tuning.json: every run that was made while its settings were chosen. Empty without it."""
    folder = root or repository_root()
    path = folder / "results" / "tuning.json" if folder else None
    if path is None or not path.is_file():
        return []
    return [run for run in json.loads(path.read_text(encoding="utf-8"))["runs"] if run.get("method") == "dino"]


def recorded_centres(runs: Sequence[Mapping[str, Any]]) -> Figure:
    """kNN of recorded runs over the momentum of the teacher, by centre; hollow marks are the shorter runs."""
    kinds = {"mean": ("o", plots.COLOURS[1]), "balanced": ("s", plots.COLOURS[0])}
    longest = max((run["steps"] for run in runs), default=0)
    with plots.style():
        figure, axis = plt.subplots(figsize=(7, 3.6), layout="constrained")
        for run in runs:
            marker, colour = kinds[run["settings"]["centering"]]
            face = colour if run["steps"] == longest else "none"
            away = 1 - run["settings"]["momentum"]
            axis.plot(away, run["knn_validation"], marker, markeredgecolor=colour, markerfacecolor=face, alpha=0.8)
        for name, (marker, colour) in kinds.items():
            axis.plot([], [], marker, color=colour, label=f"centre: {name}", linestyle="none")
        axis.set(xscale="log", xlabel="1 - momentum of the teacher: the larger, the faster", ylabel="kNN, validation")
        axis.set_ylim(0, 1)
        axis.legend(fontsize=9, loc="upper left")
        if not runs:
            axis.text(0.5, 0.5, "not recorded here", transform=axis.transAxes, ha="center")
        plt.close(figure)
    return figure


def usage(shares: Mapping[str, Tensor]) -> Figure:
    """How often each output is the largest, most used first, for several runs; on a logarithmic axis."""
    with plots.style():
        figure, axis = plt.subplots(figsize=(7, 3.4), layout="constrained")
        for (name, share), look in zip(shares.items(), plots.line_styles()):
            used = share.sort(descending=True).values
            axis.plot(range(1, len(used) + 1), used.clamp_min(1e-5), label=name, **look)
        axis.set(xscale="log", yscale="log", xlabel="output, most used first", ylabel="share of the images")
        axis.set_ylim(1e-4, 1.5)
        axis.legend(fontsize=9, loc="upper right")
        plt.close(figure)
    return figure


# --- data2vec -----------------------------------------------------------------------------------------------------


def masked_training(runs: Mapping[str, History]) -> Figure:
    """Three panels over the steps: the loss beside that of the position alone, the targets' size, what differs."""
    with plots.style():
        figure, (left, middle, right) = plt.subplots(1, 3, figsize=(11, 3.4), layout="constrained")
        for (name, history), look in zip(runs.items(), plots.line_styles()):
            relative = [a / b if b > 0 else math.nan for a, b in zip(history["total"], history["blind"])]
            left.plot(history["step"], relative, label=name, **look)
            middle.plot(history["step"], history["size"], label=name, **look)
            right.plot(history["step"], history["between"], label=name, **look)
        left.axhline(1, color="black", linewidth=1, linestyle=":")
        left.set(title="loss over loss of the position", xlabel="step")
        middle.set(title="size of the targets", xlabel="step")
        right.set(title="share between images", xlabel="step", ylim=(0, 1))
        for axis in (left, middle):
            axis.set_ylim(bottom=0)
        middle.legend(fontsize=9, loc="best")
        plt.close(figure)
    return figure


# --- KoLeo --------------------------------------------------------------------------------------------------------


def circle_descent(
    term: Callable[[Tensor], Any] = koleo, steps: int = 200, n: int = 12, seed: int = 0
) -> tuple[Tensor, Tensor]:
    """Points in a narrow bunch on the circle, before and after gradient descent on `term`, each `(N, 2)`, unit rows."""
    draw = torch.Generator().manual_seed(seed)
    angles = 0.3 * torch.randn(n, generator=draw, dtype=torch.float64)
    z = torch.stack([angles.cos(), angles.sin()], dim=1)
    start = z.clone()
    for step in range(steps):
        z.requires_grad_()
        found = term(z)
        (slope,) = torch.autograd.grad(found if isinstance(found, Tensor) else found[0], z)
        # A step of bounded length that becomes shorter: the force near a duplicate is very large.
        size = 0.1 * (1 - step / steps)
        z = F.normalize(z.detach() - size * slope / (slope.norm(dim=1, keepdim=True) + 1e-12), dim=1)
    return start, z


def circles(named: Mapping[str, Tensor]) -> Figure:
    """Points on the unit circle, one panel for each name."""
    with plots.style():
        figure, axes = plt.subplots(1, len(named), figsize=(3.2 * len(named), 3.3), squeeze=False, layout="constrained")
        turn = np.linspace(0, 2 * np.pi, 200)
        for i, (axis, (name, points)) in enumerate(zip(axes[0], named.items())):
            axis.plot(np.cos(turn), np.sin(turn), color="0.8", linewidth=1)
            axis.plot(*points.detach().numpy().T, "os^D"[i % 4], color=plots.COLOURS[i], alpha=0.8)
            axis.set(title=name, aspect="equal", xlim=(-1.15, 1.15), ylim=(-1.15, 1.15))
            axis.axis("off")
        plt.close(figure)
    return figure


# --- Gram matrices ------------------------------------------------------------------------------------------------


def patch_cosines(features: Mapping[str, Tensor]) -> Figure:
    """Cosines between the patches of one image, `(T, D)` features for each name, without the part that all share."""
    with plots.style():
        figure, axes = plt.subplots(
            1, len(features), figsize=(4 * len(features), 3.6), squeeze=False, layout="constrained"
        )
        for axis, (name, x) in zip(axes[0], features.items()):
            own = F.normalize(x - x.mean(dim=0), dim=1)
            plots.matrix(own @ own.T, axis, title=name)
            axis.set(xlabel="patch", ylabel="patch")
        plt.close(figure)
    return figure
