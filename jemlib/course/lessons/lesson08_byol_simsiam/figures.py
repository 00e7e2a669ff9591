"""Lesson 08: the phase portrait of one mode, the eight choices of parts, and modes under two losses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import ipywidgets
import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.figure import Figure

from jemlib import plots
from jemlib.plots import explore
from jemlib.theory import fixed_points, mode_dynamics
from jemlib.theory.dynamics import ModeDynamics

EDGE = 1.0  # of the plane
STARTS = ((0.05, 0.02), (0.05, 0.3), (0.4, 0.05), (0.9, 0.9))
NO_MOMENTUM = "none"


def lives(
    eta: float, alpha_p: float, sigma2: float, beta: float | None, size: int = 24
) -> tuple[np.ndarray, np.ndarray, ModeDynamics]:
    """Starts on a grid, `(size,)`; whether p is above half of p+ at time 50, `(size, size)`; the runs of STARTS."""
    grid = torch.linspace(0.005, EDGE, size, dtype=torch.float64)
    s, p = torch.meshgrid(grid, grid, indexing="ij")
    chosen = torch.tensor(STARTS, dtype=torch.float64).T
    both = [torch.cat([values.flatten(), own]) for values, own in zip((p, s), chosen)]
    run = mode_dynamics(*both, sigma2=sigma2, eta=eta, alpha_p=alpha_p, beta=beta, steps=250, dt=0.2)
    points = fixed_points(1.0, sigma2, eta)
    limit = float("inf") if points is None else points.p_plus / 2
    alive = run.p[-1, : size * size].reshape(size, size).numpy() > limit
    columns = (values[:, size * size :] for values in run[1:])
    return grid.numpy(), alive, ModeDynamics(run.time, *columns)


def portrait(
    eta: float = 0.1, alpha_p: float = 1.0, momentum: float | str = NO_MOMENTUM, sigma2: float = 0.5
) -> Figure:
    """The plane of one mode: which starts live and which die, the flow, four trajectories, and p over time.

    Args:
        eta: weight decay.
        alpha_p: rate of the predictor over that of the encoder.
        momentum: rate at which the target follows, per unit of time; "none": the target is the network itself.
        sigma2: variance that augmentation adds.
    """
    beta = None if momentum == NO_MOMENTUM else float(momentum)
    grid, alive, run = lives(eta, alpha_p, sigma2, beta)
    points = fixed_points(1.0, sigma2, eta)
    with plots.style():
        figure, (plane, time) = plt.subplots(1, 2, figsize=(10.5, 4.4), width_ratios=(1.15, 1))
        plane.contourf(grid, grid, alive.astype(float), levels=[-0.5, 0.5, 1.5], colors=["#c8c8c8", "#ffffff"])
        _flow(plane, eta, alpha_p, sigma2)
        line = np.linspace(0, EDGE, 100)
        plane.plot(line, line**2 / alpha_p, color=plots.COLOURS[6], linestyle=":", linewidth=2, label="$s = p^2/α_p$")
        for i, look in zip(range(len(STARTS)), plots.line_styles()):
            label = f"from ({STARTS[i][0]:g}, {STARTS[i][1]:g})"
            plane.plot(run.p[:, i], run.s[:, i], linewidth=2.2, **look)
            plane.plot(*STARTS[i], marker="o", color=look["color"], markersize=6)
            time.plot(run.time, run.p[:, i], linewidth=2.2, label=label, **look)
        if points is not None:
            for value, name, marker in ((points.p_minus, "$p_-$", "X"), (points.p_plus, "$p_+$", "*")):
                plane.plot(
                    value,
                    value**2 / alpha_p,
                    marker,
                    color="black",
                    markersize=12,
                    label=name,
                    linestyle="none",
                    zorder=5,
                )
                time.axhline(value, color="black", linewidth=0.8, linestyle=":")
                time.annotate(name, (run.time[-1], value), (4, -3), textcoords="offset points", annotation_clip=False)
        plane.set(xlim=(0, EDGE), ylim=(0, EDGE), xlabel="p: predictor", ylabel="s: correlation")
        plane.set_title("grey: the mode dies")
        plane.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=3, fontsize=9)
        time.set(xlabel="time", ylabel="p", title="p over time", ylim=(-0.02, 1.02))
        time.legend(fontsize=9, loc="upper right")
        target = "the network itself" if beta is None else f"follows at rate {beta:g}"
        figure.suptitle(
            f"weight decay {eta:g}, predictor's rate {alpha_p:g}, noise {sigma2:g}; target {target}", fontsize=11
        )
        plt.close(figure)
    return figure


def _flow(axis: plt.Axes, eta: float, alpha_p: float, sigma2: float) -> None:
    """Arrows of one length along the slopes where the target is the network itself."""
    p, s = np.meshgrid(np.linspace(0.06, 0.94, 11), np.linspace(0.06, 0.94, 11))
    gain = 1 - (1 + sigma2) * p
    p_slope, s_slope = alpha_p * s * gain - eta * p, 2 * p * s * gain - 2 * eta * s
    length = np.hypot(p_slope, s_slope) + 1e-12
    axis.quiver(p, s, p_slope / length, s_slope / length, color="#777777", scale=26, width=0.003, pivot="mid")


def portrait_widget() -> ipywidgets.Widget:
    """`portrait` with a slider for weight decay, the predictor's rate, momentum and noise."""
    return explore(
        portrait,
        eta=(0.0, 0.02, 0.05, 0.1, 0.15, 0.2),
        alpha_p=(0.25, 0.5, 1.0, 2.0, 4.0),
        momentum=(0.1, 0.5, NO_MOMENTUM, 2.0),
        sigma2=(0.0, 0.2, 0.5, 1.0),
    )


def bars(spreads: Mapping[str, float], collapsed: float = 0.1, alive: float = 0.3) -> Figure:
    """Directional spread of each run as a bar on a logarithmic axis, hatched where it counts as collapsed."""
    with plots.style():
        figure, axis = plt.subplots(figsize=(8.5, 0.42 * len(spreads) + 1.5))
        for i, value in enumerate(spreads.values()):
            down = value <= collapsed
            look: Any = {"color": plots.COLOURS[1 if down else 0], "hatch": plots.HATCHES[1 if down else 0]}
            axis.barh(i, max(value, 1e-5), edgecolor="white", **look)
            axis.text(max(value, 1e-5) * 1.08, i, f"{value:.2g}", va="center", fontsize=10)
        for value, name in ((collapsed, "collapsed below"), (alive, "alive above")):
            axis.axvline(value, color="black", linewidth=1, linestyle="--" if value == collapsed else ":", label=name)
        axis.set_yticks(range(len(spreads)), list(spreads))
        axis.invert_yaxis()
        axis.set(xscale="log", xlim=(1e-4, 4), xlabel="directional spread of held-out embeddings (log scale)")
        figure.legend(loc="outside upper center", ncols=2, fontsize=9)
        plt.close(figure)
    return figure


def two_losses(runs: Mapping[str, ModeDynamics]) -> Figure:
    """p of each mode over time, a panel for each loss, on a logarithmic axis."""
    with plots.style():
        figure, axes = plt.subplots(1, len(runs), figsize=(10, 3.6), sharey=True, squeeze=False)
        for axis, (name, run) in zip(axes[0], runs.items()):
            for k, look in zip(range(run.p.shape[1]), plots.line_styles()):
                axis.plot(
                    run.time, run.p[:, k].clamp(min=1e-6), linewidth=2, label=f"starts at {run.p[0, k]:.2g}", **look
                )
            axis.set(title=name, xlabel="time", yscale="log")
        axes[0, 0].set_ylabel("p of the mode (log scale)")
        axes[0, -1].legend(fontsize=9, loc="upper right")
        plt.close(figure)
    return figure
