"""Lesson 04: a cloud of points, the forces of VICReg's three terms on each, and the picture of both as SVG.

Plain functions: positions become forces, by jemlib's own loss, and forces become a drawing. `vicreg_widget` puts them
together into the cloud that one drags with the mouse.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from jemlib import plots
from jemlib.losses import VICRegLoss, vicreg

TERMS = ("invariance", "variance", "covariance")
LOOKS = dict(zip(TERMS, zip(plots.COLOURS, ("", "7 4", "1.5 5"))))  # colour, and dashes in pixels
IMAGES = 6
EDGE = 2.5  # the field reaches from -EDGE to EDGE
SIDE = 460  # pixels
ARROW = 0.2  # length of the arrow of a force of 1
# 25, 25, 1 is the usual choice; in two dimensions, the arrows of a weight of 1 are too short to be seen.
WEIGHTS = {"invariance": 25.0, "variance": 25.0, "covariance": 3.0}


# --- positions and forces ---------------------------------------------------------------------------------------


class Forces(NamedTuple):
    """The loss of a cloud, and for each term the force on each point, `(2, N, 2)`: minus the weighted gradient."""

    loss: VICRegLoss
    force: dict[str, Tensor]


def _normal(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def _cloud() -> Tensor:
    mixing = torch.tensor([[1.0, 0.6], [0.0, 0.6]], dtype=torch.float64)
    return _normal(26, 1, IMAGES, 2) @ mixing + 0.3 * _normal(1026, 2, IMAGES, 2)


def _point(spread: float) -> Tensor:
    return torch.tensor([0.8, 0.5], dtype=torch.float64) + spread * _normal(5, 1, IMAGES, 2).expand(2, -1, -1)


def _line() -> Tensor:
    along = torch.linspace(-1.4, 1.4, IMAGES, dtype=torch.float64)
    return torch.stack([along, along], dim=1) + 0.04 * _normal(6, 2, IMAGES, 2)


def _apart() -> Tensor:
    shift = torch.tensor([[[-0.9, 0.2]], [[0.9, -0.2]]], dtype=torch.float64)
    return shift + 0.9 * _normal(7, 1, IMAGES, 2) * torch.tensor([0.5, 1.0], dtype=torch.float64)


# Each makes points (2, N, 2): view, image, dimension.
CLOUDS: dict[str, Callable[[], Tensor]] = {
    "a cloud": _cloud,
    "nearly one point (type 1)": lambda: _point(0.06),
    "exactly one point (type 1)": lambda: _point(0.0),
    "a line (type 2)": _line,
    "views far apart": _apart,
}


def forces(points: Tensor, weights: Mapping[str, float] | None = None) -> Forces:
    """What each term does to each point: minus the gradient of `weight * term`, by automatic differentiation.

    Args:
        points: `(2, N, 2)`, view A and view B of N images in two dimensions.
        weights: of the three terms, in the code's scale; None means WEIGHTS. A missing one counts as 0.
    """
    weights = WEIGHTS if weights is None else weights
    z = points.detach().clone().requires_grad_()
    loss = vicreg(z[0], z[1], **{term: weights.get(term, 0.0) for term in TERMS})
    found = {}
    for term in TERMS:
        (gradient,) = torch.autograd.grad(getattr(loss, term), z, retain_graph=True)
        found[term] = -weights.get(term, 0.0) * gradient
    return Forces(VICRegLoss(*(value.detach() for value in loss)), found)


def follow(points: Tensor, weights: Mapping[str, float] | None = None, *, rate: float = 0.05, steps: int = 5) -> Tensor:
    """Some steps of gradient descent: every point follows the sum of its forces, inside the field."""
    for _ in range(steps):
        moved: Any = points + rate * sum(forces(points, weights).force.values())
        points = moved.clamp(-EDGE, EDGE)
    return points


def parse(text: str, count: int) -> tuple[int, float, float] | None:
    """`"index,x,y"`, as the script writes it, or None for anything else; a place outside the field is put on its edge.

    Args:
        text: what stands in the text field.
        count: number of points; the index is in 0 .. count - 1.
    """
    parts = text.split(",")
    try:
        index, x, y = int(parts[0]), float(parts[1]), float(parts[2])
    except (ValueError, IndexError):
        return None
    if len(parts) != 3 or not 0 <= index < count or not (math.isfinite(x) and math.isfinite(y)):
        return None
    return index, max(-EDGE, min(EDGE, x)), max(-EDGE, min(EDGE, y))


def moved(points: Tensor, index: int, x: float, y: float) -> Tensor:
    """The points with one of them elsewhere; it counts through view A first, then view B."""
    points = points.clone()
    points.view(-1, 2)[index] = torch.tensor([x, y], dtype=points.dtype)
    return points


def label(index: int, images: int = IMAGES) -> str:
    """A1, A2, ... B1, B2, ..."""
    return f"{'AB'[index // images]}{index % images + 1}"


# --- drawing ----------------------------------------------------------------------------------------------------


def _pixel(x: float, y: float) -> tuple[float, float]:
    unit = SIDE / (2 * EDGE)
    return SIDE / 2 + unit * x, SIDE / 2 - unit * y


def _stroke(term: str) -> str:
    colour, dashes = LOOKS[term]
    return f'stroke="{colour}" stroke-width="3" stroke-dasharray="{dashes}" fill="none"'


def _arrow(term: str, start: tuple[float, float], end: tuple[float, float]) -> str:
    """A line with a head, in pixels; nothing where the force is too small to be seen."""
    (x0, y0), (x1, y1) = start, end
    length = math.hypot(x1 - x0, y1 - y0)
    if length < 1.5:
        return ""
    ux, uy = (x1 - x0) / length, (y1 - y0) / length
    head = min(9.0, 3 + length / 3)
    bx, by = x1 - head * ux, y1 - head * uy
    corners = f"{x1:.1f},{y1:.1f} {bx - 0.5 * head * uy:.1f},{by + 0.5 * head * ux:.1f} "
    corners += f"{bx + 0.5 * head * uy:.1f},{by - 0.5 * head * ux:.1f}"
    line = f'<line x1="{x0:.1f}" y1="{y0:.1f}" x2="{bx:.1f}" y2="{by:.1f}" {_stroke(term)}/>'
    return f'{line}<polygon points="{corners}" fill="{LOOKS[term][0]}"/>'


def _dot(index: int, images: int, place: tuple[float, float]) -> str:
    """View A: a filled disc; view B: a hollow square. The number is that of the image."""
    body = (
        '<circle r="10" fill="#333" stroke="white"/>'
        if index < images
        else '<rect x="-9" y="-9" width="18" height="18" fill="white" stroke="#333" stroke-width="2"/>'
    )
    colour = "white" if index < images else "#333"
    text = f'<text text-anchor="middle" dy="4" font-size="11" fill="{colour}">{index % images + 1}</text>'
    style = "cursor:grab;touch-action:none;user-select:none"
    return (
        f'<g data-point="{index}" transform="translate({place[0]:.1f},{place[1]:.1f})" style="{style}">{body}{text}</g>'
    )


def svg(points: Tensor, found: Forces, event: str = "") -> str:
    """The field as SVG: pairs joined by lines, the arrows of all forces that are not zero, and the points on top.

    Args:
        points: `(2, N, 2)`.
        found: what `forces` made of them.
        event: the text that led to this picture; the script waits for it before it sends the next.
    """
    images = points.shape[1]
    places = [_pixel(*place) for place in points.reshape(-1, 2).tolist()]
    middle = SIDE / 2
    parts = [
        f'<rect width="{SIDE}" height="{SIDE}" fill="white" stroke="#999"/>',
        f'<path d="M{middle},0V{SIDE}M0,{middle}H{SIDE}" stroke="#ddd"/>',
        f'<text x="{SIDE - 8}" y="{SIDE - 8}" text-anchor="end" font-size="12" fill="#555">dimension 1 →</text>',
        '<text x="8" y="18" font-size="12" fill="#555">↑ dimension 2</text>',
    ]
    for (x0, y0), (x1, y1) in zip(places[:images], places[images:]):
        parts.append(f'<line x1="{x0:.1f}" y1="{y0:.1f}" x2="{x1:.1f}" y2="{y1:.1f}" stroke="#bbb"/>')
    for term in TERMS:
        tips = (points + ARROW * found.force[term]).reshape(-1, 2).tolist()
        parts += [_arrow(term, place, _pixel(*tip)) for place, tip in zip(places, tips)]
    parts += [_dot(index, images, place) for index, place in enumerate(places)]
    spoken = f"{images} pairs of points with the forces of the three terms; the loss is {float(found.loss.total):.2f}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {SIDE} {SIDE}" width="{SIDE}" height="{SIDE}" '
        f'role="img" aria-label="{spoken}" data-edge="{EDGE}" data-event="{event}" '
        f'font-family="sans-serif">{"".join(parts)}</svg>'
    )


def table(points: Tensor, found: Forces, weights: Mapping[str, float]) -> str:
    """The values beside the picture, as HTML: each term, its weight, what it adds; and the spread of each branch."""
    rows = []
    for term in TERMS:
        value, weight = float(getattr(found.loss, term)), weights.get(term, 0.0)
        sample = f'<svg width="34" height="10">{_arrow(term, (0, 5), (34, 5))}</svg>'
        cells = (sample, term, f"{value:.3f}", f"× {weight:g}", f"= {weight * value:.2f}")
        rows.append("".join(f'<td style="padding:1px 7px;text-align:right">{cell}</td>' for cell in cells))
    rows.append(f'<td colspan="4" style="padding:1px 7px">total</td><td><b>{float(found.loss.total):.2f}</b></td>')
    spread = points.std(dim=1).tolist()
    rows += [
        f'<td colspan="5" style="padding:1px 7px">view {name}: standard deviations {x:.2f} and {y:.2f}</td>'
        for name, (x, y) in zip("AB", spread)
    ]
    return f'<table style="line-height:1.6">{"".join(f"<tr>{row}</tr>" for row in rows)}</table>'
