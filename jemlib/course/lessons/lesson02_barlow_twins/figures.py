"""Lesson 02: what the loss of Barlow Twins is made of, as a picture and as a widget."""

from __future__ import annotations

import ipywidgets
import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.figure import Figure

from jemlib import plots
from jemlib.losses import barlow_twins, cross_correlation
from jemlib.plots import explore


def budget(
    lambd: float = 0.004, batch_size: int = 128, dimensions: int = 128, noise: float = 0.3, seed: int = 0
) -> Figure:
    """What the Barlow Twins loss of embeddings without any structure is made of.

    View A is Gaussian, independent over samples and dimensions; view B is A plus noise. Left: the correlations.
    Middle: the off-diagonal ones against chance, a Gaussian of variance 1/N. Right: both terms, beside the floor
    lambda (D^2/(N-1) - D) under the redundancy of identical views where D > N - 1.
    """
    generator = torch.Generator().manual_seed(seed)
    z_a = torch.randn(batch_size, dimensions, generator=generator)
    z_b = z_a + noise * torch.randn(batch_size, dimensions, generator=generator)
    loss = barlow_twins(z_a, z_b, lambd)
    c = cross_correlation(z_a, z_b)
    entries = c[~torch.eye(dimensions, dtype=torch.bool)].numpy()
    floor = lambd * max(0.0, dimensions**2 / (batch_size - 1) - dimensions)
    with plots.style():
        figure, axes = plt.subplots(1, 3, figsize=(11, 3.2))
        shown = min(dimensions, 64)
        plots.matrix(c[:shown, :shown], axes[0], title=f"C, {shown} of {dimensions} dimensions")
        edge = 4.5 / np.sqrt(batch_size)
        axes[1].hist(entries, bins=np.linspace(-edge, edge, 41), density=True, color=plots.COLOURS[5], label="measured")
        x = np.linspace(-edge, edge, 200)
        chance = np.exp(-(x**2) * batch_size / 2) * np.sqrt(batch_size / (2 * np.pi))
        axes[1].plot(x, chance, color=plots.COLOURS[6], linestyle="--", label="chance: variance 1/N")
        axes[1].set(title="off-diagonal entries", xlabel="$C_{ij}$", ylabel="density")
        axes[1].set_ylim(top=1.35 * chance.max())
        axes[1].legend(fontsize=9, loc="upper left")
        bars = {
            "invariance": float(loss.invariance),
            "λ ·\nredundancy": lambd * float(loss.redundancy),
            "its floor": floor,
        }
        for i, value in enumerate(bars.values()):
            axes[2].bar(i, value, color=plots.COLOURS[i], hatch=plots.HATCHES[i], edgecolor="white", width=0.6)
            axes[2].text(i, value, f"{value:.3g}", ha="center", va="bottom")
        axes[2].set_xticks(range(len(bars)), list(bars))
        axes[2].set(title=f"loss {float(loss.total):.3g}", ylabel="contribution")
        axes[2].margins(y=0.15)
        plt.close(figure)
    return figure


def budget_widget() -> ipywidgets.Widget:
    """`budget` with a slider for lambda, batch size, dimension and noise."""
    return explore(
        budget,
        lambd=(0.0, 0.0005, 0.001, 0.002, 0.004, 0.005, 0.01, 0.02, 0.05),
        batch_size=(8, 16, 32, 64, 128, 256, 512, 1024),
        dimensions=(4, 16, 64, 128, 256, 512),
        noise=(0.0, 0.1, 0.3, 0.5, 1.0, 2.0),
    )
