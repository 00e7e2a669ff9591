"""Sliders over the pictures: a widget is a thin shell around a plot function of plain numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ipywidgets
from IPython.display import display
from matplotlib.figure import Figure

from jemlib import validate


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
