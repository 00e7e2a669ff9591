"""Pictures, in one style: legible in print, told apart without colour as well as with it."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from itertools import cycle
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from jemlib.diagnose import Diagnosis, covariance_spectrum
from jemlib.diagnose import diagnose as measure
from jemlib.plots.style import COLOURS, DIVERGING, HATCHES, LINES, MARKERS, line_styles, scatter_styles, style
from jemlib.train import History


def to_images(pixels: Tensor) -> np.ndarray:
    """`(N, 3, H, W)` uint8, or floats in [0, 1], to `(N, H, W, 3)` floats for imshow."""
    pixels = pixels.detach().cpu()
    if not pixels.is_floating_point():
        pixels = pixels.float() / 255
    array: np.ndarray = pixels.clamp(0, 1).permute(0, 2, 3, 1).numpy()
    return array


def image_grid(rows: Sequence[Tensor], labels: Sequence[str] | None = None, *, size: float = 0.75) -> Figure:
    """Rows of images, each row `(N, 3, H, W)` (uint8 or floats in [0, 1]), with a label at the left of each."""
    columns = max(len(row) for row in rows)
    with style():
        figure, axes = plt.subplots(
            len(rows), columns, figsize=(size * columns + (1.4 if labels else 0), size * len(rows)), squeeze=False
        )
        for axis in axes.flat:
            axis.set_axis_off()
        for i, row in enumerate(rows):
            for j, image in enumerate(to_images(row)):
                axes[i, j].imshow(image)
            if labels:
                axes[i, 0].text(
                    -0.15, 0.5, labels[i], transform=axes[i, 0].transAxes, ha="right", va="center", fontsize=10
                )
        plt.close(figure)
    return figure


def matrix(
    values: Tensor, axis: Axes | None = None, *, title: str = "", limit: float = 1.0, colorbar: bool = True
) -> Axes:
    """A square matrix as a heat map; blue is negative, white zero, red positive."""
    with style():
        axis = axis or plt.subplots(figsize=(3.6, 3.2))[1]
        image = axis.imshow(values.detach().float().cpu().numpy(), cmap=DIVERGING, vmin=-limit, vmax=limit)
        axis.set(title=title, xlabel="dimension $j$ of B", ylabel="dimension $i$ of A")
        axis.grid(visible=False)
        if colorbar:
            axis.figure.colorbar(image, ax=axis, shrink=0.85)
    return axis


def matrices(values: Sequence[Tensor], titles: Sequence[str], *, limit: float = 1.0) -> Figure:
    """Several matrices beside each other on one colour scale."""
    with style():
        figure, axes = plt.subplots(1, len(values), figsize=(2.6 * len(values) + 0.6, 2.9), squeeze=False)
        for axis, value, title in zip(axes[0], values, titles):
            matrix(value, axis, title=title, limit=limit, colorbar=False)
        for axis in axes[0, 1:]:
            axis.set_ylabel("")
        figure.colorbar(axes[0, -1].images[0], ax=axes[0], shrink=0.8)
        plt.close(figure)
    return figure


def curves(histories: History | dict[str, History], terms: Sequence[str] | None = None) -> Figure:
    """Loss terms over the steps, one panel a term; several histories are told apart by colour and line style."""
    named = {"": histories} if isinstance(histories, History) else histories
    if not named or not all(h.rows for h in named.values()):
        raise ValueError("histories must hold at least one logged row each; train first.")
    terms = list(terms or next(iter(named.values())).terms)
    with style():
        figure, axes = plt.subplots(1, len(terms), figsize=(3.3 * len(terms), 2.7), squeeze=False)
        for axis, term in zip(axes[0], terms):
            for look, (name, history) in zip(line_styles(), named.items()):
                axis.plot(history["step"], history[term], label=name, **look)
            axis.set(title=term, xlabel="step")
        if len(named) > 1:
            axes[0, 0].legend(fontsize=9)
        plt.close(figure)
    return figure


def spectrum(z: Tensor | dict[str, Tensor], axis: Axes | None = None) -> Axes:
    """Eigenvalues of the covariance of embeddings `(N, D)`, largest first, on a logarithmic axis."""
    named = {"": z} if isinstance(z, Tensor) else z
    with style():
        axis = axis or plt.subplots(figsize=(4.2, 2.9))[1]
        for look, (name, values) in zip(line_styles(), named.items()):
            eigenvalues = covariance_spectrum(values).cpu().numpy()
            floor = max(eigenvalues[0], 1e-30) * 1e-8
            axis.semilogy(np.arange(1, len(eigenvalues) + 1), np.maximum(eigenvalues, floor), label=name, **look)
        axis.set(title="covariance spectrum", xlabel="rank of the eigenvalue", ylabel="eigenvalue")
        if len(named) > 1:
            axis.legend(fontsize=9)
    return axis


def diagnose(z: Tensor, z_b: Tensor | None = None, *, title: str = "") -> Figure:
    """The diagnosis panel of embeddings `(N, D)`: spectrum, spread of each dimension, correlations, numbers.

    Args:
        z: embeddings of one view.
        z_b: embeddings of the other view of the same images; without it alignment is not measured.
        title: of the figure.
    """
    diagnosis = measure(z, z_b)
    z = z.detach().float().cpu()
    with style():
        figure, axes = plt.subplots(1, 4, figsize=(13, 3.2), gridspec_kw={"width_ratios": [1, 1, 1, 1.15]})
        spectrum(z, axes[0])
        axes[1].hist(z.std(dim=0).numpy(), bins=30, color=COLOURS[0])
        axes[1].set(title="spread of the dimensions", xlabel="standard deviation over the batch", ylabel="dimensions")
        shown = min(z.shape[1], 64)
        correlation = torch.corrcoef(z.T).nan_to_num(0.0)[:shown, :shown]
        image = axes[2].imshow(correlation.numpy(), cmap=DIVERGING, vmin=-1, vmax=1)
        axes[2].set(title=f"correlation of {shown} dimensions", xlabel="dimension", ylabel="dimension")
        axes[2].grid(visible=False)
        figure.colorbar(image, ax=axes[2], shrink=0.85)
        axes[3].set_axis_off()
        axes[3].text(0, 1, panel_text(diagnosis), va="top", family="monospace", fontsize=8.5)
        if title:
            figure.suptitle(title)
        plt.close(figure)
    return figure


def panel_text(diagnosis: Diagnosis) -> str:
    """The numbers of a diagnosis as short aligned lines, with the verdict under them."""
    most = min(diagnosis.samples, diagnosis.dimensions)
    lines = [
        f"{diagnosis.samples} embeddings, D = {diagnosis.dimensions}",
        f"normalised std      {diagnosis.normalized_std:8.3f}",
        f"directional spread  {diagnosis.directional_spread:8.3f}",
        f"RankMe              {diagnosis.rankme:8.1f} of {most}",
        f"participation ratio {diagnosis.participation_ratio:8.1f} of {most}",
        f"rms correlation     {diagnosis.correlation:8.3f}",
        f"uniformity          {diagnosis.uniformity:8.3f}",
    ]
    if diagnosis.alignment is not None:
        lines.append(f"alignment           {diagnosis.alignment:8.3f}")
    return "\n".join([*lines, "", *textwrap.wrap(diagnosis.verdict, 38)])


def comparison(table: dict[str, Any], column: str = "knn") -> Figure:
    """Bars of one column of `experiments.compare`, with the standard deviation over seeds; baselines are lines."""
    label = {"knn": "kNN accuracy", "linear": "linear probe accuracy"}.get(column, column)
    rows = table["rows"]
    with style():
        figure, axis = plt.subplots(figsize=(1.3 * len(rows) + 3.4, 3.2))
        for i, row in enumerate(rows):
            mean, deviation = row[column]["mean"], row[column]["std"]
            bar: Any = {"color": COLOURS[i % 6], "hatch": HATCHES[i % len(HATCHES)], "edgecolor": "white"}
            axis.bar(i, mean, yerr=deviation, capsize=4, width=0.65, **bar)
            label_box = {"facecolor": "white", "edgecolor": "none", "pad": 1.5}
            axis.text(i, mean / 2, f"{mean:.2f}", ha="center", va="center", bbox=label_box)
        for line, (name, baseline) in zip(LINES[1:], table["baselines"].items()):
            if column in baseline:
                axis.axhline(baseline[column], color="black", linewidth=1.5, linestyle=line, label=name, zorder=3)
        figure.legend(loc="outside right center")
        axis.set_ylim(0, 1.12)
        axis.set_xticks(range(len(rows)), [row["method"] for row in rows])
        axis.set(ylabel=label, title=f"{table['data']}, scale {table['scale']}, {table['seeds']} seeds")
        axis.grid(visible=False, axis="x")
        plt.close(figure)
    return figure


def neighbours(
    queries: Tensor,
    found: Tensor,
    query_labels: Sequence[int] | Tensor | None = None,
    found_labels: Sequence[Sequence[int]] | Tensor | None = None,
    class_names: Sequence[str] | None = None,
    *,
    size: float = 0.85,
) -> Figure:
    """Queries at the left, their neighbours at the right, nearest first; those of another class are framed.

    Args:
        queries: `(Q, 3, H, W)` images, uint8 or floats in [0, 1].
        found: `(Q, k, 3, H, W)`, for example `bank.pixels[nearest_neighbours(...).indices]`.
        query_labels, found_labels: `(Q,)` and `(Q, k)` class numbers; both or neither. A neighbour of another class
            gets a frame, a cross in its corner, and its class written under it.
        class_names: names for these numbers.
        size: of an image, in inches.
    """
    if found.ndim != 5 or len(found) != len(queries) or (query_labels is None) != (found_labels is None):
        raise ValueError(
            f"found must have shape (Q, k, 3, H, W) with Q = {len(queries)}, and both labels be given or none; "
            f"got shape {tuple(found.shape)}."
        )
    truth = None if query_labels is None else np.asarray(query_labels)
    labels = None if found_labels is None else np.asarray(found_labels)
    rows, k = found.shape[:2]
    with style():
        figure, axes = plt.subplots(
            rows,
            k + 1,
            figsize=(size * (k + 1) + 1.3, (size + 0.22) * rows + 0.3),
            squeeze=False,
            gridspec_kw={"width_ratios": [1.15] + [1] * k},
        )
        for axis in axes.flat:
            axis.set(xticks=[], yticks=[])
            axis.spines[:].set_visible(False)
        for j in range(k):
            axes[0, j + 1].set_title(str(j + 1), fontsize=9)
        axes[0, 0].set_title("query", fontsize=9)
        for i, (query, near) in enumerate(zip(to_images(queries), found)):
            axes[i, 0].imshow(query)
            if truth is not None:
                name = class_name(truth[i], class_names)
                axes[i, 0].set_ylabel(name, rotation=0, ha="right", va="center", fontsize=9)
            for j, image in enumerate(to_images(near)):
                axes[i, j + 1].imshow(image)
                if truth is not None and labels is not None and labels[i, j] != truth[i]:
                    mark_as_other(axes[i, j + 1], class_name(labels[i, j], class_names))
        plt.close(figure)
    return figure


def class_name(label: int, class_names: Sequence[str] | None) -> str:
    return f"class {label}" if class_names is None else class_names[int(label)]


def mark_as_other(axis: Axes, name: str) -> None:
    """A frame, a cross in the corner and a name: three signs, none of which is colour alone."""
    axis.spines[:].set(visible=True, color=COLOURS[1], linewidth=2.5)
    box = {"facecolor": "white", "edgecolor": "none", "pad": 0.3}
    axis.text(0.95, 0.95, "×", transform=axis.transAxes, ha="right", va="top", fontsize=10, weight="bold", bbox=box)
    axis.set_xlabel(name, fontsize=8, labelpad=3)


def embedding_map(
    points: Tensor | np.ndarray | dict[str, Any],
    labels: Sequence[int] | Tensor,
    class_names: Sequence[str] | None = None,
    *,
    title: str = "",
) -> Figure:
    """Points in the plane, one marker and colour for each class; a dict of several maps gives panels.

    Args:
        points: `(N, 2)`, as `probes.embedding_map` returns, or `{name: (N, 2)}` of the same N samples.
        labels: `(N,)` class numbers.
        class_names: names for these numbers.
        title: of a single map.
    """
    named = points if isinstance(points, dict) else {title: points}
    truth = np.asarray(labels)
    for values in named.values():  # before there is a figure, which would stay open
        if np.shape(values) != (len(truth), 2):
            raise ValueError(
                f"points must have shape ({len(truth)}, 2), as many as labels; got {tuple(np.shape(values))}."
            )
    with style():
        figure, axes = plt.subplots(1, len(named), figsize=(4.1 * len(named) + 1.5, 4.1), squeeze=False)
        for axis, (name, values) in zip(axes[0], named.items()):
            xy = np.asarray(values)
            for look, label in zip(scatter_styles(), np.unique(truth)):
                axis.scatter(*xy[truth == label].T, label=class_name(label, class_names), **look)
            axis.set(title=name, xticks=[], yticks=[])
            axis.set_aspect("equal", adjustable="datalim")
            axis.grid(visible=False)
        handles, texts = axes[0, 0].get_legend_handles_labels()
        figure.legend(handles, texts, loc="outside right center", markerscale=1.4, handletextpad=0.2)
        plt.close(figure)
    return figure


def factor_table(table: dict[str, dict[str, float]], *, title: str = "") -> Figure:
    """Heat map of `probes.factor_table`: factors down, layers across; white is 0 or less, dark is 1.

    Args:
        table: `{layer: {factor: score}}`. A factor that a layer lacks is shown as a dash.
        title: of the figure.
    """
    if not table or not any(table.values()):
        raise ValueError("table must hold at least one layer with at least one factor.")
    factors = list(dict.fromkeys(factor for scores in table.values() for factor in scores))
    values = np.array([[scores.get(factor, np.nan) for scores in table.values()] for factor in factors])
    with style():
        figure, axis = plt.subplots(figsize=(1.15 * len(table) + 3.2, max(0.34 * len(factors) + 1.0, 2.2)))
        image = axis.imshow(values, cmap="Blues", vmin=0, vmax=1, aspect="auto")
        for (i, j), value in np.ndenumerate(values):
            text = "–" if np.isnan(value) else f"{value:.2f}".replace("-0.00", "0.00").replace("-", "−")
            axis.text(j, i, text, ha="center", va="center", fontsize=10, color="white" if value > 0.65 else "black")
        axis.set_xticks(range(len(table)), list(table), fontsize=10)
        axis.set_yticks(range(len(factors)), [factor.replace("_", " ") for factor in factors])
        axis.tick_params(length=0)
        axis.grid(visible=False)
        axis.set(title=title)
        figure.colorbar(image, ax=axis, shrink=0.9, label="read off linearly")
        plt.close(figure)
    return figure


def few_labels(results: dict[Any, Any], *, chance: float | None = None) -> Figure:
    """Accuracy over the number of labels of each class, with the standard deviation over draws as error bars.

    Args:
        results: `{n: (mean, std)}` as `probes.few_label_accuracy` returns, or `{name: {n: (mean, std)}}`.
        chance: accuracy of guessing, drawn as a line.
    """
    if not results:
        raise ValueError("results must hold at least one number of labels.")
    named = results if isinstance(next(iter(results.values())), dict) else {"": results}
    with style():
        figure, axis = plt.subplots(figsize=(5.2, 3.2))
        for look, marker, (name, rows) in zip(line_styles(), cycle(MARKERS), named.items()):
            numbers = sorted(rows)
            means, spreads = zip(*(rows[n] for n in numbers))
            axis.errorbar(numbers, means, yerr=spreads, capsize=3, marker=marker, label=name or None, **look)
        ticks = sorted({n for rows in named.values() for n in rows})
        if chance is not None:
            axis.axhline(chance, color="black", linewidth=1, linestyle=":")
            axis.annotate("chance", (ticks[-1], chance), (0, 3), textcoords="offset points", ha="right", fontsize=9)
        axis.set_xscale("log")
        axis.set_xticks(ticks, [str(n) for n in ticks])
        axis.minorticks_off()
        axis.set_ylim(0, 1.02)
        axis.set(xlabel="labels per class", ylabel="accuracy")
        if len(named) > 1:
            figure.legend(loc="outside right center")
        plt.close(figure)
    return figure
