"""Sliders over the pictures: a widget is a thin shell around a plot function of plain numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ipywidgets
from IPython.display import display
from matplotlib.figure import Figure

from jemlib import plots, validate


def explore(draw: Callable[..., Figure], **choices: tuple[Any, ...]) -> ipywidgets.Widget:
    """Sliders for the arguments of a plot function.

    The picture is drawn anew when a slider is let go. Without a front end (CI, a script) it is drawn once, with the
    middle choice of each argument, so a broken plot function fails there too.

    Args:
        draw: a function of plain numbers that returns a figure.
        choices: for each argument the values to choose from, in order.

    Raises:
        ValueError: an argument has no values to choose from.
    """
    for name, values in choices.items():
        validate.integer(f"number of choices for {name}", len(values), at_least=1)
    sliders = {
        name: ipywidgets.SelectionSlider(
            options=[(f"{value:g}" if isinstance(value, float) else str(value), value) for value in values],
            value=values[len(values) // 2],
            description=name,
            continuous_update=False,
            layout=ipywidgets.Layout(width="420px"),
            style={"description_width": "110px"},
        )
        for name, values in choices.items()
    }

    def show(**arguments: Any) -> None:
        display(draw(**arguments))

    picture = ipywidgets.interactive_output(show, sliders)
    return ipywidgets.VBox([*sliders.values(), picture])


def barlow_twins_budget() -> ipywidgets.Widget:
    """What the loss of Barlow Twins is made of, over lambda, batch size and dimension (lesson 02)."""
    return explore(
        plots.barlow_twins_budget,
        lambd=(0.0, 0.0005, 0.001, 0.002, 0.004, 0.005, 0.01, 0.02, 0.05),
        batch_size=(8, 16, 32, 64, 128, 256, 512, 1024),
        dimensions=(4, 16, 64, 128, 256, 512),
        noise=(0.0, 0.1, 0.3, 0.5, 1.0, 2.0),
    )
