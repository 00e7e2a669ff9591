"""Lesson 00: its pictures, its widget, and the functions behind them."""

from __future__ import annotations

import matplotlib.pyplot as plt
import pytest
import torch
import torch.nn.functional as F
from pictures import assert_nothing_is_cut_off

from jemlib import evaluate
from jemlib.course.lessons.lesson00_start_here import figures
from jemlib.course.lessons.lesson00_start_here.claims import RECIPES
from jemlib.course.lessons.lesson00_start_here.exercises import cosine_matrix, energy, knn_votes, mirror
from jemlib.data.motifs import PATTERNS, render, sample_factors
from jemlib.methods import build
from jemlib.views import crop_and_resize

pytestmark = pytest.mark.slow  # its pictures and its small networks


@pytest.fixture(autouse=True)
def _no_window() -> None:
    plt.switch_backend("agg")


@pytest.fixture(scope="module")
def factors() -> dict[str, torch.Tensor]:
    return sample_factors(10, torch.Generator().manual_seed(0))


EXTREMES = {
    "pattern": "plus signs", "rotation": 0.5, "occlusion": 0.75, "crop_area": 0.2, "crop_position": 1.0,
    "mirrored": True, "hue": 0.3, "blurred": 2.0,
}  # fmt: skip


@pytest.mark.parametrize(
    "draw",
    [
        figures.joint_embedding,
        figures.two_views,
        lambda: figures.two_views(**EXTREMES, trained=build("simclr").backbone),
        lambda: figures.two_views(hue=-0.3, crop_position=-1.0, crop_area=0.2),
        figures.what_moves_what,
        lambda: figures.bars({"one name": 1.0, "other": 0.0}, lines={"raw pixels": 0.2, "supervised": 0.9}),
        lambda: figures.bars({"alone": 0.5}),
    ],
)
def test_every_picture_draws_with_nothing_cut_off_and_leaves_no_figure_open(draw) -> None:
    assert_nothing_is_cut_off(draw())


def test_the_widget_starts_without_a_change_and_draws_when_a_slider_moves(monkeypatch) -> None:
    drawn = []

    def draw(trained=None, **settings):
        drawn.append(settings)
        return plt.figure()

    monkeypatch.setattr(figures, "two_views", draw)
    box = figures.two_views_widget()
    assert drawn[-1] == {
        "pattern": figures.PATTERN, "rotation": 0.0, "occlusion": 0.0, "crop_area": 1.0, "crop_position": 0.0,
        "mirrored": False, "hue": 0.0, "blurred": 0.0,
    }  # fmt: skip
    box.children[6].value = 0.3
    assert drawn[-1]["hue"] == 0.3
    plt.close("all")


def test_a_second_view_without_a_change_is_the_image_itself(factors) -> None:
    torch.testing.assert_close(figures.second_view(factors), render(factors).float() / 255)


def test_a_second_view_is_mirrored_and_cropped_where_it_says(factors) -> None:
    x = render(factors).float() / 255
    torch.testing.assert_close(figures.second_view(factors, mirrored=True), x.flip(3))
    left = figures.second_view(factors, crop_area=0.25, crop_position=-1.0)
    box = torch.tensor([8, 0, 16, 16]).expand(10, 4)
    torch.testing.assert_close(left, crop_and_resize(x, box, torch.zeros(10, dtype=torch.bool)))


def test_the_same_images_have_relative_energy_0_and_strangers_about_1(factors) -> None:
    x = render(factors).float() / 255
    strangers = render(sample_factors(400, torch.Generator().manual_seed(1))).float() / 255
    for features in figures.known_features().values():
        assert figures.relative_energy(features, x, x) == pytest.approx(0, abs=1e-6)
        assert figures.relative_energy(features, strangers[:200], strangers[200:]) == pytest.approx(1, abs=0.15)


def test_a_colour_histogram_counts_every_pixel_once_and_knows_no_positions(factors) -> None:
    x = render(factors).float() / 255
    counts = figures.colour_histogram(x)
    torch.testing.assert_close(counts.view(10, 3, -1).sum(dim=2), torch.ones(10, 3))
    torch.testing.assert_close(figures.colour_histogram(x.flip(3).transpose(2, 3)), counts)
    assert figures.colour_histogram(torch.ones(1, 3, 4, 4)).view(3, -1)[:, -1].tolist() == [1, 1, 1]


def test_a_network_keeps_its_training_mode_when_it_is_looked_at(factors) -> None:
    backbone = build("simclr").backbone.train()
    figures.network(backbone)(render(factors).float() / 255)
    assert backbone.training


def test_sensitivities_name_every_change_and_end_with_the_pattern() -> None:
    table = figures.sensitivities()
    for column in table.values():
        assert list(column) == [*figures.CHANGES, "another pattern"]
    assert table["colour histogram"]["mirrored"] == pytest.approx(0, abs=1e-6)
    assert table["raw pixels"]["mirrored"] > 0.1
    assert len(PATTERNS) == 10


def test_the_votes_decide_what_the_library_counts() -> None:
    generator = torch.Generator().manual_seed(3)
    bank, queries = (torch.randn(n, 5, generator=generator, dtype=torch.float64) for n in (60, 40))
    labels, truth = (torch.randint(4, (n,), generator=generator) for n in (60, 40))
    votes = knn_votes(cosine_matrix(queries, bank), labels, num_classes=4, k=7)
    found = float((votes.argmax(dim=1) == truth).double().mean())
    assert found == pytest.approx(evaluate.knn(bank, labels, queries, truth, k=7))


def test_the_energy_of_unit_vectors_is_two_minus_two_cosines_and_mirroring_twice_is_nothing() -> None:
    generator = torch.Generator().manual_seed(4)
    a, b = (torch.randn(6, 3, generator=generator, dtype=torch.float64) for _ in range(2))
    cosines = cosine_matrix(a, b).diagonal()
    torch.testing.assert_close(energy(F.normalize(a), F.normalize(b)), (2 - 2 * cosines).mean())
    x = torch.rand(3, 3, 4, 5, generator=generator)
    which = torch.tensor([True, False, True])
    assert torch.equal(mirror(mirror(x, which), which), x)


def test_the_recipes_of_the_claims_differ_in_what_their_names_say() -> None:
    assert RECIPES["no crop"].crop_scale is None
    assert RECIPES["no crop"].jitters
    assert not RECIPES["no colours"].jitters
    assert RECIPES["no colours"].grey == RECIPES["no colours"].solarize == 0
    assert RECIPES["no colours"].crop_scale == RECIPES["full"].crop_scale
    assert RECIPES["none"].crop_scale is None
    assert not RECIPES["none"].jitters
