"""Pictures and widgets: they draw, they say what is wrong, and they leave the reader's settings alone."""

from __future__ import annotations

import matplotlib.pyplot as plt
import pytest
import torch

from jemlib import plots, widgets
from jemlib.train import History

HISTORY = History(
    [{"step": s, "images_seen": s, "seconds": 0.0, "learning_rate": 0.1, "total": 1.0 / s} for s in (1, 2)]
)
TABLE = {
    "data": "motifs", "scale": "cpu", "seeds": 2,
    "rows": [{"method": m, "seeds": 2, "knn": {"mean": 0.8, "spread": 0.02}} for m in ("simclr", "vicreg")],
    "baselines": {"raw pixels": {"knn": 0.25}, "untrained": {"knn": 0.24}},
}  # fmt: skip


@pytest.fixture(autouse=True)
def _no_window(monkeypatch: pytest.MonkeyPatch) -> None:
    plt.switch_backend("agg")


@pytest.mark.parametrize(
    "draw",
    [
        lambda: plots.image_grid([torch.zeros(3, 3, 8, 8, dtype=torch.uint8), torch.rand(2, 3, 8, 8)], ["a", "b"]),
        lambda: plots.matrices([torch.eye(4), torch.zeros(4, 4)], ["one", "two"]),
        lambda: plots.curves(HISTORY),
        lambda: plots.curves({"one": HISTORY, "two": HISTORY}),
        lambda: plots.diagnose(torch.randn(40, 6), torch.randn(40, 6), title="t"),
        lambda: plots.diagnose(torch.ones(40, 6)),
        lambda: plots.comparison(TABLE),
        lambda: plots.barlow_twins_budget(0.01, 8, 16, 0.0),
        lambda: plots.barlow_twins_budget(0.0, 1024, 4, 2.0),
    ],
)
def test_every_picture_draws_with_nothing_cut_off_and_leaves_no_figure_open(draw) -> None:
    before = plt.rcParams["font.size"]
    figure = draw()
    figure.canvas.draw()
    edge = figure.get_tightbbox().padded(-0.02)
    assert edge.x0 >= -0.05
    assert edge.x1 <= figure.get_figwidth() + 0.05
    assert plt.get_fignums() == []
    assert plt.rcParams["font.size"] == before


def test_lines_differ_in_style_and_not_in_colour_alone() -> None:
    styles = plots.line_styles()
    looks = [next(styles) for _ in range(6)]
    assert len({str(look["linestyle"]) for look in looks}) == 6


def test_curves_of_an_empty_history_say_what_to_do() -> None:
    with pytest.raises(ValueError, match="train first"):
        plots.curves(History())


def test_a_widget_draws_once_without_a_front_end_and_again_when_a_slider_moves() -> None:
    drawn = []

    def draw(lambd: float, n: int):
        drawn.append((lambd, n))
        return plt.figure()

    box = widgets.explore(draw, lambd=(0.1, 0.2, 0.3), n=(1, 2))
    assert drawn == [(0.2, 2)]
    box.children[0].value = 0.3
    assert drawn[-1] == (0.3, 2)
    plt.close("all")


def test_a_widget_without_choices_is_an_error() -> None:
    with pytest.raises(ValueError, match="number of choices for n must be >= 1"):
        widgets.explore(lambda n: None, n=())


def test_the_widget_of_lesson_02_has_a_slider_for_each_number() -> None:
    names = [child.description for child in widgets.barlow_twins_budget().children[:-1]]
    assert names == ["lambd", "batch_size", "dimensions", "noise"]
