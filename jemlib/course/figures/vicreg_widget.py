"""Lesson 04: the widget in which one drags the points of a cloud; what it computes and draws is in `vicreg_forces`.

A short script reports a drag to the kernel through a hidden text field; the kernel computes with jemlib's own loss and
draws anew. Where no script runs, and for the keyboard, sliders and buttons do the same.
"""

from __future__ import annotations

from typing import Any

import ipywidgets
from torch import Tensor

from jemlib import validate
from jemlib.course.figures.vicreg_forces import (
    CLOUDS,
    EDGE,
    TERMS,
    WEIGHTS,
    follow,
    forces,
    label,
    moved,
    parse,
    svg,
    table,
)

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
