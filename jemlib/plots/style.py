"""The one style of all pictures: colours, line styles and markers that a grey print still tells apart."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import cycle
from typing import Any

import matplotlib.pyplot as plt

# Okabe and Ito's palette: safe for the common kinds of colour blindness; each comes with its own line style.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")

LINES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)), (0, (1, 1)))

HATCHES = ("", "//", "..", "xx", "\\\\", "++", "oo")

DIVERGING = "RdBu_r"

# Any, because matplotlib types the keys as one long list of literals.
STYLE: Any = {
    "figure.dpi": 100,
    "figure.constrained_layout.use": True,
    "font.size": 11,
    "axes.titlesize": 11,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.3,
    "lines.linewidth": 2,
    "legend.frameon": False,
    "image.interpolation": "nearest",
}


@contextmanager
def style() -> Iterator[None]:
    """jemlib's figure style inside the block; the reader's own settings come back after it."""
    with plt.rc_context(STYLE):
        yield


def line_styles() -> Iterator[dict[str, Any]]:
    """Endless colours, each with its own line style, so that a grey print still tells lines apart."""
    for colour, line in cycle(zip(COLOURS, LINES)):
        yield {"color": colour, "linestyle": line}


# Markers of about equal ink. When the colours begin again, the markers are hollow.
MARKERS = {"o": 28, "s": 26, "^": 32, "v": 32, "D": 24, "P": 44, "X": 40, "<": 32, "*": 60, "p": 38}


def scatter_styles() -> Iterator[dict[str, Any]]:
    """Endless markers, each with its colour, filled and then hollow: classes are told apart without the colour."""
    for i, (marker, size) in enumerate(cycle(MARKERS.items())):
        colour, hollow = COLOURS[i % len(COLOURS)], i // len(COLOURS) % 2 == 1
        faces = {"facecolors": "white", "edgecolors": colour} if hollow else {"facecolors": colour}
        yield {"marker": marker, "s": size, "linewidths": 1.1 if hollow else 0.4, "edgecolors": "white", **faces}
