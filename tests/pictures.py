"""What every picture must satisfy, for the tests of pictures."""

from __future__ import annotations

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

SLACK = 0.03  # inches; a dot or two of rounding


def assert_nothing_is_cut_off(figure: Figure) -> None:
    """All that is drawn lies on the page, and no figure was left open."""
    figure.draw_without_rendering()  # a closed figure's canvas.draw() would do nothing, not even the layout
    box = figure.get_tightbbox()
    assert min(box.x0, box.y0) >= -SLACK
    assert box.x1 <= figure.get_figwidth() + SLACK
    assert box.y1 <= figure.get_figheight() + SLACK
    assert plt.get_fignums() == []
