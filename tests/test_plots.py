"""Pictures and widgets: they draw, they say what is wrong, and they leave the reader's settings alone."""

from __future__ import annotations

import matplotlib.pyplot as plt
import pytest
import torch
from pictures import assert_nothing_is_cut_off

from jemlib import plots
from jemlib.course.lessons.lesson02_barlow_twins import figures
from jemlib.plots import widgets
from jemlib.train import History

HISTORY = History(
    [{"step": s, "images_seen": s, "seconds": 0.0, "learning_rate": 0.1, "total": 1.0 / s} for s in (1, 2)]
)
TABLE = {
    "data": "motifs", "scale": "cpu", "seeds": 2,
    "rows": [{"method": m, "seeds": 2, "knn": {"mean": 0.8, "std": 0.02}} for m in ("simclr", "vicreg")],
    "baselines": {"raw pixels": {"knn": 0.25}, "untrained": {"knn": 0.24}},
}  # fmt: skip


@pytest.fixture(autouse=True)
def _no_window(monkeypatch: pytest.MonkeyPatch) -> None:
    plt.switch_backend("agg")


@pytest.mark.slow
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
        lambda: figures.budget(0.01, 8, 16, 0.0),
        lambda: figures.budget(0.0, 1024, 4, 2.0),
    ],
)
def test_every_picture_draws_with_nothing_cut_off_and_leaves_no_figure_open(draw) -> None:
    before = plt.rcParams["font.size"]
    figure = draw()
    assert_nothing_is_cut_off(figure)
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
    names = [child.description for child in figures.budget_widget().children[:-1]]
    assert names == ["lambd", "batch_size", "dimensions", "noise"]


PIXELS = torch.randint(256, (5, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
FOUND = PIXELS[torch.tensor([[0, 1, 2, 3], [1, 4, 0, 2]])]
POINTS = torch.randn(60, 2, generator=torch.Generator().manual_seed(0))
SCORES = {"backbone": {"pattern": 0.9, "foreground_hue": -0.004}, "output": {"pattern": 0.95}}
FEW = {1: (0.3, 0.05), 10: (0.6, 0.02), 100: (0.8, 0.0)}


@pytest.mark.parametrize(
    ("draw", "axes"),
    [
        (lambda: plots.neighbours(PIXELS[:2], FOUND), 10),
        (lambda: plots.neighbours(PIXELS[:2], FOUND, [0, 1], [[0, 1, 0, 0], [1, 1, 1, 0]], ["plus signs", "b"]), 10),
        (lambda: plots.embedding_map(POINTS, torch.arange(60) % 10, title="t"), 1),
        (lambda: plots.embedding_map({"pca": POINTS, "tsne": POINTS.numpy()}, [0, 1] * 30, ["a", "b"]), 2),
        (lambda: plots.factor_table(SCORES, title="t"), 2),  # the second is the colour bar
        (lambda: plots.few_labels(FEW), 1),
        (lambda: plots.few_labels({"simclr": FEW, "a longer name": FEW}, chance=0.1), 1),
    ],
)
def test_pictures_of_probes_draw_with_nothing_cut_off(draw, axes) -> None:
    figure = draw()
    assert_nothing_is_cut_off(figure)
    assert len(figure.axes) == axes


def test_neighbours_of_another_class_are_framed_crossed_and_named_and_no_others() -> None:
    figure = plots.neighbours(PIXELS[:2], FOUND, [0, 1], [[0, 1, 0, 0], [1, 1, 1, 0]], ["stripes", "dots"])
    framed = [i for i, axis in enumerate(figure.axes) if axis.spines["left"].get_visible()]
    assert framed == [2, 9]  # row 0, second neighbour; row 1, fourth
    assert [i for i, axis in enumerate(figure.axes) if any(t.get_text() == "×" for t in axis.texts)] == framed
    assert [figure.axes[i].get_xlabel() for i in framed] == ["dots", "stripes"]
    assert figure.axes[5].get_ylabel() == "dots"


def test_ten_classes_on_a_map_have_ten_markers_and_twenty_have_ten_more_looks() -> None:
    styles = plots.scatter_styles()
    looks = [next(styles) for _ in range(20)]
    assert len({look["marker"] for look in looks[:10]}) == 10
    assert len({(look["marker"], look["facecolors"], look["edgecolors"]) for look in looks}) == 20


def test_the_factor_table_prints_each_value_and_a_dash_for_what_is_missing() -> None:
    texts = [t.get_text() for t in plots.factor_table(SCORES).axes[0].texts]
    assert texts == ["0.90", "0.95", "0.00", "–"]


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda: plots.neighbours(PIXELS[:1], FOUND), "Q = 1"),
        (lambda: plots.neighbours(PIXELS[:2], FOUND, [0, 1]), "both labels be given or none"),
        (lambda: plots.embedding_map(POINTS, [0, 1]), r"points must have shape \(2, 2\)"),
        (lambda: plots.factor_table({}), "at least one layer"),
        (lambda: plots.few_labels({}), "at least one number of labels"),
    ],
)
def test_bad_input_to_pictures_of_probes_is_named_and_leaves_no_figure_open(draw, message) -> None:
    with pytest.raises(ValueError, match=message):
        draw()
    assert plt.get_fignums() == []
