"""Lesson 04: VICReg's pulls and valleys as pictures, and the forces on a cloud of points that one drags.

Plain functions: positions become forces, by jemlib's own loss, and forces become a drawing. In the widget a short
script reports a drag to the kernel through a hidden text field; the kernel computes with the same loss and draws anew.
Where no script runs, and for the keyboard, sliders and buttons do the same.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import ipywidgets
import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from jemlib import plots, validate
from jemlib.losses import VICRegLoss, vicreg
from jemlib.theory import vicreg_variance_hinge

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


STEP = 0.05  # of the sliders

# Listens on the page, so it survives that the picture is replaced while a point is dragged; installed only once.
SCRIPT = """<script>(() => {
  if (window.jemlibVicregDrag) return;
  window.jemlibVicregDrag = true;
  let drag = null;
  const send = (last) => {
    if (!drag || drag.next === null) return;
    const picture = drag.box.querySelector('svg[data-event]');
    const answered = drag.sent === null || !picture || picture.dataset.event === drag.sent;
    if (!last && !answered && performance.now() - drag.at < 500) return;
    const input = drag.box.querySelector('.jemlib-vicreg-event input');
    if (!input) return;
    input.value = drag.next;
    drag.sent = drag.next; drag.next = null; drag.at = performance.now();
    for (const kind of ['input', 'change']) input.dispatchEvent(new Event(kind, {bubbles: true}));
  };
  const stop = () => { if (drag) { send(true); clearInterval(drag.timer); drag = null; } };
  document.addEventListener('pointerdown', (event) => {
    const dot = event.target.closest && event.target.closest('[data-point]');
    const box = dot && dot.closest('.jemlib-vicreg');
    if (!box) return;
    event.preventDefault();
    stop();
    drag = {box, point: dot.dataset.point, next: null, sent: null, at: 0};
    drag.timer = setInterval(send, 50, false);
  }, true);
  document.addEventListener('pointermove', (event) => {
    if (!drag) return;
    const picture = drag.box.querySelector('svg[data-event]');
    if (!picture) return;
    const frame = picture.getBoundingClientRect(), edge = Number(picture.dataset.edge);
    const clip = (v) => Math.max(-edge, Math.min(edge, v));
    const x = clip(edge * (2 * (event.clientX - frame.left) / frame.width - 1));
    const y = clip(edge * (1 - 2 * (event.clientY - frame.top) / frame.height));
    const size = picture.viewBox.baseVal.width / 2;
    const dot = picture.querySelector(`[data-point="${drag.point}"]`);
    if (dot) dot.setAttribute('transform', `translate(${size + size * x / edge},${size - size * y / edge})`);
    drag.next = `${drag.point},${x.toFixed(2)},${y.toFixed(2)}`;
  }, true);
  for (const kind of ['pointerup', 'pointercancel']) document.addEventListener(kind, stop, true);
})();</script>"""


def forces_widget(cloud: str = "a cloud") -> ipywidgets.Widget:
    """The cloud, to be dragged with the mouse; sliders and buttons for the keyboard; a checkbox for each term.

    Args:
        cloud: the cloud to begin with, one of CLOUDS.
    """
    points = CLOUDS[validate.choice("cloud", cloud, CLOUDS)]()
    count = points.shape[0] * points.shape[1]
    narrow = {"layout": ipywidgets.Layout(width="300px"), "style": {"description_width": "90px"}}
    terms = {term: ipywidgets.Checkbox(True, description=term, indent=False) for term in TERMS}
    covariance = ipywidgets.SelectionSlider(options=(1, 3, 5, 10), value=3, description="ν, covariance", **narrow)
    start = ipywidgets.Dropdown(options=list(CLOUDS), value=cloud, description="begin with", **narrow)
    follow_button, reset = ipywidgets.Button(description="follow the forces"), ipywidgets.Button(description="reset")
    which = ipywidgets.SelectionSlider(options=[(label(i), i) for i in range(count)], description="point", **narrow)
    place = [
        ipywidgets.FloatSlider(min=-EDGE, max=EDGE, step=STEP, description=f"dimension {i}", **narrow) for i in (1, 2)
    ]
    event = ipywidgets.Text(continuous_update=True, layout=ipywidgets.Layout(display="none"))
    event.add_class("jemlib-vicreg-event")
    picture, values = ipywidgets.HTML(), ipywidgets.HTML()
    answered = ""  # the event that the picture shows
    busy = False  # while the kernel sets the sliders itself

    def weights() -> dict[str, float]:
        chosen = {**WEIGHTS, "covariance": float(covariance.value)}
        return {term: chosen[term] * terms[term].value for term in TERMS}

    def show(new: Tensor | None = None) -> None:
        nonlocal points, busy
        points = points if new is None else new
        found = forces(points, weights())
        picture.value, values.value = svg(points, found, answered), table(points, found, weights())
        busy = True
        for slider, value in zip(place, points.view(-1, 2)[which.value].tolist()):
            slider.value = value
        busy = False

    def dragged(change: Any) -> None:
        nonlocal answered
        found = parse(change["new"], count)
        if found is not None:
            answered = change["new"]
            which.value = found[0]
            show(moved(points, *found))

    def slid(change: Any) -> None:
        # The page answers a value between two steps with the nearest step; that is nobody's move.
        here, there = points.view(-1, 2)[which.value].tolist(), [slider.value for slider in place]
        if not busy and max(abs(a - b) for a, b in zip(here, there)) > 0.6 * STEP:
            show(moved(points, which.value, *there))

    def begin(_: Any) -> None:
        nonlocal answered
        event.value = answered = ""  # so that the same drag counts again
        show(CLOUDS[start.value]())

    event.observe(dragged, "value")
    for slider in place:
        slider.observe(slid, "value")
    for control in (*terms.values(), covariance, which):
        control.observe(lambda change: show(), "value")
    start.observe(begin, "value")
    follow_button.on_click(lambda button: show(follow(points, weights())))
    reset.on_click(begin)
    show()
    script = ipywidgets.Output()
    script.outputs = ({"output_type": "display_data", "data": {"text/html": SCRIPT, "text/plain": ""}, "metadata": {}},)
    controls = ipywidgets.VBox(
        [values, *terms.values(), covariance, start, ipywidgets.HBox([follow_button, reset]), which, *place]
    )
    box = ipywidgets.VBox([ipywidgets.HBox([picture, controls]), event, script])
    box.add_class("jemlib-vicreg")
    return box


def pull(eps: float = 1e-4) -> Figure:
    """Length of the gradient of the standard deviation and of the variance, times sqrt(N - 1), over the spread.

    Both axes are logarithmic. Left of sqrt(eps) both fall with the spread, and the ratio is 1 / (2 sqrt(eps)).
    """
    sigma = np.logspace(-5, 0.5, 300)
    std = sigma / np.sqrt(sigma**2 + eps)
    with plots.style():
        figure, axis = plt.subplots(figsize=(6.4, 3.6))
        looks = plots.line_styles()
        axis.loglog(sigma, std, label=r"$|\nabla S|$, $S = \sqrt{\mathrm{Var} + \epsilon}$", **next(looks))
        axis.loglog(sigma, 2 * sigma, label=r"$|\nabla\,\mathrm{Var}|$", **next(looks))
        marks = {r"$\sqrt{\epsilon}$": math.sqrt(eps), r"$\frac{1}{2}$: equal": 0.5}
        for name, place in marks.items():
            axis.axvline(place, color="black", linewidth=1, linestyle=":")
            axis.annotate(name, (place, 2e-5), (4, 0), textcoords="offset points")
        axis.set(xlabel=r"spread $\sigma$ of a dimension", ylabel=r"length of the gradient $\cdot \sqrt{N-1}$")
        axis.set(title="who still pulls when the spread is small?", ylim=(1e-5, 20))
        axis.legend(loc="upper left")
        plt.close(figure)
    return figure


def scaled_loss(s: Sequence[float], noise: float, hinge: str, *, n: int = 512, seed: int = 0) -> list[float]:
    """The code's loss of `s (u + e)` and `s (u + e')`, D = 1, for each s: signal of variance 1, augmentation `noise`.

    The columns u, e, e' are made orthogonal, so that nothing depends on chance.
    """
    loss = {"std": vicreg, "variance": vicreg_variance_hinge}[hinge]
    z_a, z_b = signal_and_noise(n, 1, noise, seed)
    return [float(loss(x * z_a, x * z_b).total) for x in s]


def signal_and_noise(n: int, d: int, noise: float, seed: int = 0) -> tuple[Tensor, Tensor]:
    """`u + e` and `u + e'`, each `(N, D)`: in each dimension u of variance 1, e and e' of variance `noise`, all exact.

    N > 3: the three columns and the constant are orthogonal.
    """
    generator = torch.Generator().manual_seed(seed)
    views: tuple[list[Tensor], list[Tensor]] = [], []
    for _ in range(d):
        columns = torch.randn(n, 3, generator=generator, dtype=torch.float64)
        basis = torch.linalg.qr(torch.cat([torch.ones(n, 1, dtype=torch.float64), columns], dim=1))[0][:, 1:]
        u, e_a, e_b = (math.sqrt(n - 1) * basis).unbind(dim=1)
        views[0].append(u + math.sqrt(noise) * e_a)
        views[1].append(u + math.sqrt(noise) * e_b)
    return torch.stack(views[0], dim=1), torch.stack(views[1], dim=1)


def valleys(noises: Sequence[float] = (0.5, 2.0)) -> Figure:
    """The code's loss of embeddings shrunk by s, minus its value at s = 0, for both hinges and several noises.

    Where a curve leaves s = 0 downwards, embeddings grow away from the constant. Where it leaves upwards, they shrink.
    """
    s = np.linspace(0, 0.8, 161)
    with plots.style():
        figure, axes = plt.subplots(1, 2, figsize=(9, 3.4), sharey=True)
        for axis, hinge in zip(axes, ("std", "variance")):
            for look, noise in zip(plots.line_styles(), noises):
                values = np.array(scaled_loss(s.tolist(), noise, hinge))
                axis.plot(s, values - values[0], label=f"noise {noise:g}", **look)
            axis.axhline(0, color="black", linewidth=1)
            name = "standard deviation" if hinge == "std" else "variance"
            axis.set(title=f"hinge on the {name}", xlabel="scale $\\rho$ of the embeddings")
        axes[0].set_ylabel("loss minus loss at $\\rho = 0$")
        axes[1].legend(loc="lower left")
        axes[0].set_ylim(-18, 18)
        plt.close(figure)
    return figure


def forces_picture(clouds: Sequence[str] = ("a cloud", "nearly one point (type 1)", "a line (type 2)")) -> Figure:
    """The widget's picture on paper: the forces of the three terms on the points of some clouds.

    Args:
        clouds: names from `CLOUDS`.
    """
    with plots.style():
        figure, axes = plt.subplots(1, len(clouds), figsize=(3.7 * len(clouds), 4.7), squeeze=False)
        for axis, name in zip(axes[0], clouds):
            _draw_forces(axis, CLOUDS[name](), name)
        handles = [
            axes[0, 0].plot([], [], label=f"{term}, weight {WEIGHTS[term]:g}", **look)[0]
            for term, look in zip(TERMS, _looks())
        ]
        figure.legend(handles=handles, loc="outside lower center", ncols=3, handlelength=3)
        plt.close(figure)
    return figure


def _looks() -> list[dict[str, Any]]:
    return [{"color": plots.COLOURS[i], "linestyle": line} for i, line in enumerate(("-", "--", ":"))]


def _draw_forces(axis: Axes, points: Tensor, title: str) -> None:
    found = forces(points)
    for (x0, y0), (x1, y1) in zip(points[0].tolist(), points[1].tolist()):
        axis.plot([x0, x1], [y0, y1], color="0.75", linewidth=1)
    for term, look in zip(TERMS, _looks()):
        tips = points + ARROW * found.force[term]
        for start, tip in zip(points.reshape(-1, 2).tolist(), tips.reshape(-1, 2).tolist()):
            if math.dist(start, tip) > 0.03:
                axis.plot([start[0], tip[0]], [start[1], tip[1]], linewidth=1.8, **look)
                # The head is a piece of its own: dashes would tear it.
                near = (start[0] + 0.8 * (tip[0] - start[0]), start[1] + 0.8 * (tip[1] - start[1]))
                head: Any = {"arrowstyle": "-|>", "color": look["color"], "linewidth": 0, "shrinkA": 0, "shrinkB": 0}
                axis.annotate("", (tip[0], tip[1]), near, arrowprops=head)
    (x_a, y_a), (x_b, y_b) = points[0].T.numpy(), points[1].T.numpy()
    axis.scatter(x_a, y_a, s=26, color="0.2", zorder=3)
    axis.scatter(x_b, y_b, s=22, marker="s", facecolors="white", edgecolors="0.2", zorder=3)
    axis.set(title=f"{title}\nloss {float(found.loss.total):.1f}", xlabel="dimension 1", ylabel="dimension 2")
    axis.set(xlim=(-EDGE, EDGE), ylim=(-EDGE, EDGE))
    axis.set_aspect("equal")
