"""Lesson 03: its pictures draw, its codes are all codes, and its measurement of agreement is what it says."""

from __future__ import annotations

import math

import matplotlib.pyplot as plt
import pytest
import torch
from pictures import assert_nothing_is_cut_off

from jemlib.course.lessons.lesson03_information_bottleneck import claims as lesson03_claims
from jemlib.course.lessons.lesson03_information_bottleneck import figures
from jemlib.data import load
from jemlib.methods import build

pytestmark = pytest.mark.slow  # its pictures and its small networks

ROWS = {f"lambda {x}": {"agreement": a, "rankme": r} for x, a, r in (("0", 0.9, 1.2), ("0.1", 0.05, 240.0))}


@pytest.fixture(autouse=True)
def _no_window() -> None:
    plt.switch_backend("agg")


@pytest.mark.parametrize(
    "draw",
    [
        *(lambda b=b, c=c: figures.information_plane(b, c) for b in (0.25, 1.0, 5.0) for c in (0.0, 0.5)),
        figures.barrier,
        lambda: figures.trade_off(ROWS),
    ],
)
def test_every_picture_draws_with_nothing_cut_off_and_leaves_no_figure_open(draw) -> None:
    assert_nothing_is_cut_off(draw())


def test_the_widget_has_a_slider_for_beta_and_one_for_confusion() -> None:
    box = figures.information_plane_widget()
    assert [child.description for child in box.children[:-1]] == ["beta", "confusion"]


def test_there_are_as_many_codes_as_partitions_and_each_kind_is_counted_once() -> None:
    assert [len(figures.codes(n)) for n in (1, 2, 3, 4)] == [1, 2, 5, 15]
    found = figures.points()
    assert [point.kind for point in found] == list(figures.KINDS)
    assert sum(point.codes for point in found) == 15


def test_codes_of_one_kind_score_alike_at_every_confusion() -> None:
    for confusion in (0.0, 0.1, 0.5):
        for point in figures.points(confusion):
            for code in figures.codes():
                if figures.kind(code) == point.kind:
                    encoder = torch.nn.functional.one_hot(torch.tensor(code), 4).double()
                    one = figures.information_bottleneck(figures.world(confusion), encoder, 1.0, base=2.0)
                    assert (float(one.i_zx), float(one.i_zy)) == pytest.approx((point.i_zx, point.i_zy), abs=1e-12)


def test_the_winner_changes_at_one_and_later_when_views_are_confused() -> None:
    def names(beta: float, confusion: float) -> set[str]:
        return {point.kind for point in figures.winners(figures.points(confusion), beta)}

    assert names(0.9, 0.0) == {"constant"}
    assert names(1.0, 0.0) == {"constant", "the image"}
    assert names(1.1, 0.0) == {"the image"}
    # 1 bit of the view buys 1 - H(0.1) bits of the image
    threshold = 1 / (1 + 0.1 * math.log2(0.1) + 0.9 * math.log2(0.9))
    assert names(threshold - 0.01, 0.1) == {"constant"}
    assert names(threshold + 0.01, 0.1) == {"the image"}
    assert names(5.0, 0.5) == {"constant"}


def test_agreement_is_one_without_distortion_and_low_for_an_untrained_network(monkeypatch) -> None:
    images = load("motifs", "test", limit=40)
    method = build("barlow_twins", backbone="conv_small", widths=(16, 16))
    distorted = lesson03_claims.agreement_of_views(method, images)
    assert -1 <= distorted < 0.9
    views = lesson03_claims.make_views
    monkeypatch.setattr(lesson03_claims, "make_views", lambda pixels, _, **k: views(pixels, "none", **k))
    assert lesson03_claims.agreement_of_views(method, images) == pytest.approx(1, abs=1e-2)


def test_the_entropy_is_zero_for_uncorrelated_dimensions_and_at_its_floor_for_copies() -> None:
    signs = torch.tensor([[1, 1], [1, -1], [-1, 1], [-1, -1]], dtype=torch.float64)
    assert lesson03_claims.entropy_per_dimension(7 * signs + 3) == pytest.approx(0, abs=1e-12)
    d, ridge = 64, lesson03_claims.RIDGE
    copies = torch.randn(50, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64).expand(50, d)
    # the eigenvalues of R are D, once, and 0
    floor = (math.log(d + ridge) + (d - 1) * math.log(ridge)) / (2 * d) - math.log(1 + ridge) / 2
    assert lesson03_claims.entropy_per_dimension(copies * torch.arange(1, d + 1)) == pytest.approx(floor, abs=1e-9)
    assert lesson03_claims.entropy_per_dimension(torch.ones(50, d)) == pytest.approx(
        (math.log(ridge) - math.log(1 + ridge)) / 2, abs=1e-9
    )


def test_the_threshold_of_the_entropy_is_what_a_tenth_of_the_dimensions_adds() -> None:
    d, k, n = 40, 4, 4096
    draw = torch.Generator().manual_seed(0)
    # k independent directions, each copied into D / k dimensions: R has k eigenvalues D / k, the rest are 0
    z = torch.linalg.qr(torch.randn(n, k + 1, generator=draw, dtype=torch.float64))[0][:, 1:].repeat(1, d // k)
    noise_only = (math.log(lesson03_claims.RIDGE) - math.log(1 + lesson03_claims.RIDGE)) / 2
    assert lesson03_claims.entropy_per_dimension(z) - noise_only == pytest.approx(0.35, abs=0.01)


def test_claims_hold_on_numbers_that_fit_and_fail_on_equal_ones() -> None:
    from jemlib.course.machinery.claims import known

    mine = {one.id: one for one in known().values() if one.lesson == lesson03_claims.LESSON}
    numbers = {
        "bottleneck.lambda-pays-for-entropy": {"zero": -2.2, "default": -1.0},
        "bottleneck.entropy-costs-invariance": {"default": 0.7, "large": 0.5},
        "bottleneck.lambda-keeps-the-pattern": {"zero": 0.1, "default": 0.6},
        "bottleneck.training-sorts-factors": {
            "pattern": 0.6, "pattern_untrained": 0.3, "brightness": 0.4, "brightness_untrained": 0.8,
        },
    }  # fmt: skip
    assert set(mine) == set(numbers)
    for name, measured in numbers.items():
        assert mine[name].evaluate(measured)
        assert not mine[name].evaluate(dict.fromkeys(measured, 0.5))
