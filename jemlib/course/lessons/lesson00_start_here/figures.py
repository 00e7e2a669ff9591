"""Lesson 00: the picture of a joint-embedding method, and what each change of an image does to its features."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any

import ipywidgets
import matplotlib.pyplot as plt
import numpy as np
import torch
import torch.nn.functional as F
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch
from torch import Tensor, nn

from jemlib import plots
from jemlib.course.lessons.lesson00_start_here.exercises import energy
from jemlib.data.motifs import PATTERNS, change, render, sample_factors
from jemlib.diagnose import directional_spread
from jemlib.methods import build
from jemlib.nets import evaluating
from jemlib.plots import explore
from jemlib.views import MEAN, STD, adjust_hue, blur, crop_and_resize, denormalize, make_views

Features = Callable[[Tensor], Tensor]  # images (N, 3, 32, 32) in [0, 1] -> features (N, D)
PATTERN = PATTERNS[5]  # of view A in the widget; the middle choice of its slider, and so the pattern it starts with
REFERENCE_IMAGES = 200


# --- The picture ------------------------------------------------------------------------------------------------


def joint_embedding() -> Figure:
    """One image, two views, one network, two embeddings, one energy."""
    factors = sample_factors(10, torch.Generator().manual_seed(4))
    image = render(factors)[3:4]
    pair = denormalize(make_views(image, "vicreg", generator=torch.Generator().manual_seed(3)))
    with plots.style():
        figure, axis = plt.subplots(figsize=(11, 3.6))
        axis.set(xlim=(0, 22), ylim=(0, 7.2), aspect="equal")
        axis.set_axis_off()
        _picture(axis, image[0].float() / 255, 0.2, 2.5, "image $x$")
        heights = {"A": 4.4, "B": 0.6}
        for (name, bottom), view in zip(heights.items(), pair):
            middle = bottom + 1.0
            _picture(axis, view[0], 4.6, bottom, f"view {name}")
            _box(axis, 8.4, bottom, "encoder $f$")
            _box(axis, 14.0, bottom, "projector $g$")
            _arrow(axis, (2.4, 3.5), (4.5, middle))
            _arrow(axis, (6.8, middle), (8.3, middle))
            _arrow(axis, (11.2, middle), (13.9, middle), f"$h^{name}$")
            _arrow(axis, (16.8, middle), (19.0, 3.5 + 0.3 * (1 if name == "A" else -1)), f"$z^{name}$")
        for x in (9.8, 15.4):
            axis.plot([x, x], [2.7, 4.3], color="black", linestyle=":", linewidth=1.5)
            axis.text(x + 0.2, 3.5, "same weights", va="center", fontsize=9)
        axis.text(20.4, 3.5, "energy\n$E(z^A, z^B)$", ha="center", va="center", bbox={**BOX, "pad": 6})
        plt.close(figure)
    return figure


BOX: Any = {"facecolor": "white", "edgecolor": "black"}


def _picture(axis: Axes, image: Tensor, left: float, bottom: float, label: str, side: float = 2.0) -> None:
    axis.imshow(image.permute(1, 2, 0).numpy(), extent=(left, left + side, bottom, bottom + side), zorder=2)
    axis.text(left + side / 2, bottom - 0.15, label, ha="center", va="top", fontsize=10)


def _box(axis: Axes, left: float, bottom: float, label: str, width: float = 2.8, height: float = 2.0) -> None:
    axis.add_patch(FancyBboxPatch((left, bottom), width, height, boxstyle="round,pad=0,rounding_size=0.2", **BOX))
    axis.text(left + width / 2, bottom + height / 2, label, ha="center", va="center", fontsize=11)


def _arrow(axis: Axes, start: tuple[float, float], end: tuple[float, float], label: str = "") -> None:
    axis.add_patch(
        FancyArrowPatch(start, end, arrowstyle="-|>", mutation_scale=14, color="black", shrinkA=0, shrinkB=0)
    )
    above = 0.55 if start[1] >= 3.5 else -0.6
    axis.text((start[0] + end[0]) / 2, (start[1] + end[1]) / 2 + above, label, ha="center", va="center", fontsize=12)


# --- Three kinds of features that nobody trained ----------------------------------------------------------------


def raw_pixels(x: Tensor) -> Tensor:
    """The pixels themselves, normalised as a network sees them: `(N, 3, H, W)` in [0, 1] -> `(N, 3 H W)`."""
    return _normalized(x).flatten(1)


def colour_histogram(x: Tensor, bins: int = 8) -> Tensor:
    """How many pixels of each channel fall into each bin: `(N, 3, H, W)` in [0, 1] -> `(N, 3 bins)`; no positions."""
    bin_of = (x * bins).long().clamp(max=bins - 1).flatten(2)
    counts = F.one_hot(bin_of, bins).float().mean(dim=2)
    return counts.flatten(1)


def network(backbone: nn.Module) -> Features:
    """The features of a backbone, in evaluation mode."""

    def features(x: Tensor) -> Tensor:
        device = next((p.device for p in backbone.parameters()), x.device)
        with evaluating(backbone):
            found: Tensor = backbone(_normalized(x).to(device)).float().cpu()
        return found

    return features


def _normalized(x: Tensor) -> Tensor:
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (MEAN, STD))
    return (x - mean) / std


@lru_cache(maxsize=1)
def _untrained() -> nn.Module:
    return build("simclr").backbone


def known_features(trained: nn.Module | None = None) -> dict[str, Features]:
    """The features that the pictures compare, by name; with a trained backbone that one too."""
    known = {"raw pixels": raw_pixels, "colour histogram": colour_histogram, "untrained network": network(_untrained())}
    return known | ({"trained network": network(trained)} if trained is not None else {})


@lru_cache(maxsize=1)
def _reference_factors() -> dict[str, Tensor]:
    return sample_factors(REFERENCE_IMAGES, torch.Generator().manual_seed(11))


def yardstick(features: Features) -> float:
    """The mean energy of two images drawn at random, for unit features.

    Over all pairs it is 2 (1 - |mean u|^2), twice the directional spread.
    """
    return 2 * float(directional_spread(features(render(_reference_factors()).float() / 255)))


def relative_energy(features: Features, x_a: Tensor, x_b: Tensor, strangers: float | None = None) -> float:
    """Energy of the pairs of unit features over `strangers`, by default their `yardstick`.

    0 means the same, 1 as far apart as two images drawn at random.
    """
    u_a, u_b = (F.normalize(features(x), dim=1) for x in (x_a, x_b))
    return float(energy(u_a, u_b)) / (yardstick(features) if strangers is None else strangers)


# --- One image and another: the widget ---------------------------------------------------------------------------


def second_view(
    factors: dict[str, Tensor],
    pattern: str | None = None,
    rotation: float = 0.0,
    occlusion: float = 0.0,
    crop_area: float = 1.0,
    crop_position: float = 0.0,
    mirrored: bool = False,
    hue: float = 0.0,
    blurred: float = 0.0,
) -> Tensor:
    """The same objects with some factors changed, seen through some operations: `(N, 3, 32, 32)` in [0, 1].

    Args:
        factors: of the N objects.
        pattern: drawn with this pattern instead of their own; None keeps it.
        rotation: added to their own, radians.
        occlusion: share of the disc under a grey patch.
        crop_area: share of the image that the crop keeps.
        crop_position: -1 crops at the left border, 1 at the right, 0 in the middle.
        mirrored: whether left and right are exchanged.
        hue: shift of the hue in turns.
        blurred: width of the blur in pixels, 0 is none.
    """
    if pattern is not None:
        factors = change(factors, "pattern", PATTERNS.index(pattern))
    factors = change(factors, "rotation", factors["rotation"] + rotation)
    x = render(change(factors, "occlusion", occlusion)).float() / 255
    n, _, size, _ = x.shape
    side = max(1, round(size * math.sqrt(crop_area)))
    left = round((size - side) * (1 + crop_position) / 2)
    box = torch.tensor([(size - side) // 2, left, side, side]).expand(n, 4)
    x = crop_and_resize(x, box, torch.full((n,), mirrored))
    if hue:
        x = adjust_hue(x, torch.full((n,), float(hue)))
    return blur(x, torch.full((n,), float(blurred))) if blurred else x


def two_views(
    pattern: str = PATTERN,
    rotation: float = 0.0,
    occlusion: float = 0.0,
    crop_area: float = 1.0,
    crop_position: float = 0.0,
    mirrored: bool = False,
    hue: float = 0.0,
    blurred: float = 0.0,
    trained: nn.Module | None = None,
) -> Figure:
    """One image, the same image changed, and the energy between them under several kinds of features.

    The arguments are those of `second_view`; `trained` is a backbone to compare with, if there is one.
    """
    factors = {name: values[:1] for name, values in _reference_factors().items()}
    factors = change(change(factors, "pattern", PATTERNS.index(PATTERN)), "position", (0.1, 0.0))
    x_a = second_view(factors)
    x_b = second_view(factors, pattern, rotation, occlusion, crop_area, crop_position, mirrored, hue, blurred)
    energies = {name: relative_energy(f, x_a, x_b) for name, f in known_features(trained).items()}
    with plots.style():
        figure, axes = plt.subplots(1, 3, figsize=(11, 3), gridspec_kw={"width_ratios": [1, 1, 2.2]})
        for axis, x, title in zip(axes, (x_a, x_b), (f"A: {PATTERN}", f"B: {pattern}")):
            axis.imshow(plots.to_images(x)[0])
            axis.set_axis_off()
            axis.set_title(title)
        for i, value in enumerate(energies.values()):
            look: Any = {"color": plots.COLOURS[i], "hatch": plots.HATCHES[i], "edgecolor": "white"}
            axes[2].barh(i, min(value, LONGEST), height=0.65, **look)
            axes[2].text(min(value, LONGEST) + 0.03, i, f"{value:.2f}", va="center")
        axes[2].axvline(1, color="black", linestyle="--", linewidth=1.5)
        axes[2].set_yticks(range(len(energies)), list(energies))
        axes[2].set(xlim=(0, LONGEST + 0.3), xlabel="energy of A and B; 1 = two images drawn at random")
        axes[2].invert_yaxis()
        axes[2].grid(visible=False, axis="y")
        plt.close(figure)
    return figure


LONGEST = 2.0  # bars end here; the number beside them goes on


def two_views_widget(trained: nn.Module | None = None) -> ipywidgets.Widget:
    """`two_views` with a slider for each change; it starts with none."""
    box = explore(
        partial(two_views, trained=trained),
        pattern=PATTERNS,
        rotation=(-0.5, -0.25, 0.0, 0.25, 0.5),
        occlusion=(0.0, 0.25, 0.5, 0.75),
        crop_area=(1.0, 0.8, 0.6, 0.4, 0.2),
        crop_position=(-1.0, -0.5, 0.0, 0.5, 1.0),
        mirrored=(False, True),
        hue=(-0.3, -0.2, -0.1, 0.0, 0.1, 0.2, 0.3),
        blurred=(0.0, 0.5, 1.0, 2.0),
    )
    for slider in box.children[:-1]:
        if slider.description in ("occlusion", "crop_area", "mirrored", "blurred"):
            slider.value = slider.options[0][1]
    return box


# --- Many images, one change at a time ---------------------------------------------------------------------------

CHANGES: dict[str, dict[str, Any]] = {
    "mirrored": {"mirrored": True},
    "crop, 0.4 of the area": {"crop_area": 0.4},
    "hue turned by 0.2": {"hue": 0.2},
    "blur, 1 pixel": {"blurred": 1.0},
    "object turned by 0.5 rad": {"rotation": 0.5},
    "object half covered": {"occlusion": 0.5},
}


def sensitivities(trained: nn.Module | None = None) -> dict[str, dict[str, float]]:
    """`{features: {change: relative energy}}`, the mean over objects; the last change is another pattern."""
    factors = _reference_factors()
    x = second_view(factors)
    changed = {name: second_view(factors, **settings) for name, settings in CHANGES.items()}
    # The next pattern in the list, for each object; all else stays.
    changed["another pattern"] = second_view(change(factors, "pattern", (factors["pattern"] + 1) % len(PATTERNS)))
    table: dict[str, dict[str, float]] = {}
    for name, features in known_features(trained).items():
        strangers = yardstick(features)
        table[name] = {what: relative_energy(features, x, y, strangers) for what, y in changed.items()}
    return table


def what_moves_what(trained: nn.Module | None = None) -> Figure:
    """`sensitivities` as a table: how far each change moves each kind of features."""
    table = sensitivities(trained)
    rows = list(next(iter(table.values())))
    values = np.array([[column[row] for column in table.values()] for row in rows])
    with plots.style():
        figure, axis = plt.subplots(figsize=(1.5 * len(table) + 3.4, 3.6))
        image = axis.imshow(values, cmap="Blues", vmin=0, vmax=1.2, aspect="auto")
        for (i, j), value in np.ndenumerate(values):
            axis.text(j, i, f"{value:.2f}", ha="center", va="center", color="white" if value > 0.75 else "black")
        axis.axhline(len(rows) - 1.5, color="black", linewidth=1.5)
        axis.set_xticks(range(len(table)), [name.replace(" ", "\n") for name in table], fontsize=10)
        axis.set_yticks(range(len(rows)), rows)
        axis.tick_params(length=0)
        axis.grid(visible=False)
        figure.colorbar(image, ax=axis, shrink=0.9, label="1 = two random images")
        plt.close(figure)
    return figure


# --- Results as bars --------------------------------------------------------------------------------------------


LABEL: Any = {"facecolor": "white", "linewidth": 0, "pad": 1}


def bars(values: dict[str, float], *, lines: dict[str, float] | None = None, label: str = "kNN accuracy") -> Figure:
    """One bar for each name, and horizontal lines to hold them to."""
    with plots.style():
        figure, axis = plt.subplots(figsize=(1.35 * len(values) + 3.2, 3))
        for i, value in enumerate(values.values()):
            look: Any = {"color": plots.COLOURS[i % 6], "hatch": plots.HATCHES[i % 7], "edgecolor": "white"}
            axis.bar(i, value, width=0.65, **look)
            axis.text(
                i, value + 0.02, f"{value:.2f}", ha="center", bbox={"facecolor": "white", "linewidth": 0, "pad": 1}
            )
        for line, (name, value) in zip(plots.LINES[1:], (lines or {}).items()):
            axis.axhline(value, color="black", linewidth=1.5, linestyle=line, label=name, zorder=0)
        axis.set_xticks(range(len(values)), [name.replace(" ", "\n") for name in values])
        axis.set(ylim=(0, 1.1), ylabel=label)
        axis.grid(visible=False, axis="x")
        if lines:
            figure.legend(loc="outside right center")
        plt.close(figure)
    return figure
