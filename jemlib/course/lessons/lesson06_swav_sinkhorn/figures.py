"""Lesson 06: transport of samples to prototypes as a picture and a widget, and how codes, loss and usage look."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import ipywidgets
import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from jemlib import plots
from jemlib.diagnose import assignment_entropy
from jemlib.losses import sinkhorn
from jemlib.plots import explore
from jemlib.train import History

NAMES = "ABCD"
# Pale enough for black numbers on them, and told apart by the hatches as well.
SHARES = ("#9ecae1", "#fdae6b", "#a1d99b", "#dadaeb")


def circle(samples: int = 8, prototypes: int = 4, imbalance: float = 0.0) -> tuple[Tensor, Tensor, Tensor]:
    """Angles of samples and prototypes on the circle, and the scores (cosines), `(samples, prototypes)`.

    `imbalance` 0 spreads the samples evenly; towards 1 they move to one point near prototype A, and there they meet.
    """
    homes = torch.arange(prototypes, dtype=torch.float64) * math.tau / prototypes
    even = (torch.arange(samples, dtype=torch.float64) + 0.5) * math.tau / samples - math.pi
    meeting = 0.3
    angles = meeting + (1 - imbalance) * (even - meeting)
    return angles, homes, torch.cos(angles[:, None] - homes[None, :])


def transport(epsilon: float = 0.05, iterations: int = 100, imbalance: float = 0.6) -> Figure:
    """Eight samples and four prototypes on a circle, and the codes that Sinkhorn gives.

    Left: where they are. Middle: the codes Q with their row and column sums. Right: the codes as shares of a bar, with
    the mean entropy of a code and the entropy of the use of prototypes. `iterations` 0 is the plain softmax.
    """
    angles, homes, scores = circle(imbalance=imbalance)
    codes = sinkhorn(scores, epsilon, iterations)
    k = codes.shape[1]
    entropy = assignment_entropy(codes)
    with plots.style():
        figure, axes = plt.subplots(1, 3, figsize=(11, 4.1), gridspec_kw={"width_ratios": [1, 1, 1.15]})
        _draw_circle(axes[0], angles, homes)
        _draw_codes(axes[1], codes)
        _draw_shares(axes[2], codes)
        axes[1].set_title("Q and its sums" if iterations else "softmax and its sums")
        axes[2].set_title(
            f"entropy of a code {abs(float(entropy.per_sample)):.2f}, of the use {abs(float(entropy.usage)):.2f}\n"
            f"(log K = {math.log(k):.2f})"
        )
        plt.close(figure)
    return figure


def _draw_circle(axis: Axes, angles: Tensor, homes: Tensor) -> None:
    round_ = np.linspace(0, math.tau, 200)
    axis.plot(np.cos(round_), np.sin(round_), color="#bbbbbb", linewidth=1, zorder=0)
    for j, angle in enumerate(homes.tolist()):
        x, y = 1.28 * math.cos(angle), 1.28 * math.sin(angle)
        look = {"facecolor": SHARES[j], "edgecolor": "black", "boxstyle": "round,pad=0.3"}
        axis.text(x, y, NAMES[j], ha="center", va="center", bbox=look)
        axis.plot(
            [0.93 * math.cos(angle), 1.08 * math.cos(angle)], [0.93 * math.sin(angle), 1.08 * math.sin(angle)], "k"
        )
    apart = float((angles[1] - angles[0]).abs()) > 0.1
    for i, angle in enumerate(angles.tolist()):
        axis.plot(math.cos(angle), math.sin(angle), "o", color="black", markersize=5)
        # Numbers inside the circle, on three rings, so that neighbours stay apart; one for all where they meet.
        if apart or i == 0:
            radius = 0.82 - 0.16 * (i % 3)
            x, y, text = radius * math.cos(angle), radius * math.sin(angle), str(i + 1)
            axis.text(
                x,
                y,
                text if apart else f"1 to {len(angles)}",
                ha="center" if apart else "right",
                va="center",
                fontsize=9,
            )
    axis.set(xlim=(-1.5, 1.5), ylim=(-1.5, 1.5), aspect="equal", xticks=[], yticks=[])
    axis.set_title(f"{len(angles)} samples, {len(homes)} prototypes")
    axis.spines[:].set_visible(False)


def _draw_codes(axis: Axes, codes: Tensor) -> None:
    n, k = codes.shape
    axis.imshow(codes.numpy(), cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for (i, j), value in np.ndenumerate(codes.numpy()):
        axis.text(j, i, f"{value:.2f}", ha="center", va="center", fontsize=9, color="white" if value > 0.6 else "black")
    for i, total in enumerate(codes.sum(dim=1).tolist()):
        axis.text(k - 0.3, i, f"{total:.2f}", ha="left", va="center", fontsize=9)
    for j, total in enumerate(codes.sum(dim=0).tolist()):
        axis.text(j, n - 0.1, f"{total:.2f}", ha="center", va="center", fontsize=9)
    axis.text(-0.6, n - 0.1, "sum", ha="right", va="center", fontsize=9)
    axis.text(k - 0.3, -0.75, "sum", ha="left", va="center", fontsize=9)
    axis.set_xlim(-0.5, k + 0.3)
    axis.set_ylim(n + 0.3, -0.5)
    axis.set_xticks(range(k), list(NAMES[:k]))
    axis.set_yticks(range(n), [str(i + 1) for i in range(n)])
    axis.set(ylabel="sample")
    axis.xaxis.tick_top()
    axis.tick_params(length=0)
    axis.grid(visible=False)
    axis.spines[:].set_visible(False)


def _draw_shares(axis: Axes, codes: Tensor) -> None:
    n, k = codes.shape
    left = np.zeros(n)
    for j in range(k):
        width = codes[:, j].numpy()
        axis.barh(
            range(n), width, left=left, color=SHARES[j], hatch=plots.HATCHES[j], edgecolor="#555555", label=NAMES[j]
        )
        left += width
    axis.set(xlim=(0, 1), ylim=(n - 0.4, -0.6), xlabel="share of the code", ylabel="sample")
    axis.set_yticks(range(n), [str(i + 1) for i in range(n)])
    axis.grid(visible=False)
    axis.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), title="prototype", fontsize=9)


def transport_widget() -> ipywidgets.Widget:
    """`transport` with a slider for epsilon, the number of iterations, and how unevenly the samples lie."""
    return explore(
        transport,
        epsilon=(0.005, 0.02, 0.05, 0.1, 0.3, 1.0, 10.0),
        iterations=(0, 1, 2, 3, 10, 100, 1000),
        imbalance=(0.0, 0.2, 0.4, 0.6, 0.8, 0.95, 1.0),
    )


def codes_by_epsilon(scores: Tensor, epsilons: Sequence[float], vertex: Tensor, iterations: int = 5000) -> Figure:
    """Codes `(N, K)` of the same scores at several epsilons, and at the right the optimum of the linear programme."""
    shown = [("scores\n(−1 to 1)", scores)]
    shown += [(f"ε = {epsilon:g}", sinkhorn(scores, epsilon, iterations)) for epsilon in epsilons]
    shown += [("linear\nprogramme", vertex)]
    with plots.style():
        figure, axes = plt.subplots(1, len(shown), figsize=(1.5 * len(shown) + 0.8, 3.3))
        for axis, (title, values) in zip(axes, shown):
            low = -1 if axis is axes[0] else 0
            image = axis.imshow(values.numpy(), cmap="Blues", vmin=low, vmax=1, aspect="auto")
            axis.set(title=title, xticks=[], yticks=[], xlabel="prototypes")
            axis.grid(visible=False)
        axes[0].set_ylabel("samples")
        figure.colorbar(image, ax=axes, shrink=0.85, label="share")
        plt.close(figure)
    return figure


def against_log_k(histories: History | Mapping[str, History], prototypes: int) -> Figure:
    """Loss and entropy of the codes over the steps, beside log K, below which no constant prediction comes."""
    named = {"SwAV": histories} if isinstance(histories, History) else histories
    with plots.style():
        figure, axes = plt.subplots(1, len(named), figsize=(4.2 * len(named) + 1.6, 3.1), squeeze=False, sharey=True)
        for axis, (name, history) in zip(axes[0], named.items()):
            looks = plots.line_styles()
            axis.plot(history["step"], history["total"], label="loss", **next(looks))
            axis.plot(history["step"], history["code_entropy"], label="entropy of the codes", **next(looks))
            axis.axhline(math.log(prototypes), color="black", linewidth=1.2, linestyle=":", label="log K")
            axis.set(title=name, xlabel="step", ylim=(0, 1.25 * math.log(prototypes)))
        axes[0, 0].set_ylabel("nats")
        handles, labels = axes[0, 0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside right center")
        plt.close(figure)
    return figure


def usage(counts: Mapping[str, Tensor]) -> Figure:
    """Samples of each prototype, largest first, one line a run; the thin line is an equal share."""
    with plots.style():
        figure, axis = plt.subplots(figsize=(6.6, 3.0))
        for look, (name, values) in zip(plots.line_styles(), counts.items()):
            ordered = values.double().sort(descending=True).values
            axis.plot(np.arange(1, len(ordered) + 1), (ordered / ordered.sum()).numpy(), label=name, **look)
        k = len(next(iter(counts.values())))
        axis.axhline(1 / k, color="black", linewidth=1, linestyle=":", label="equal share 1/K")
        axis.set(title="nearest prototype", xlabel="prototypes, most used first", ylabel="share of the images")
        smallest = 10.0 ** math.floor(math.log10(1 / (2 * k)))
        ticks = [0.0] + [10.0**e for e in range(round(math.log10(smallest)), 1)]
        axis.set_yscale("symlog", linthresh=smallest)
        axis.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
        axis.set_ylim(bottom=-smallest / 4, top=1.6)
        figure.legend(loc="outside right center")
        plt.close(figure)
    return figure
