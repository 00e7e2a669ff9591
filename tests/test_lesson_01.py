"""Lesson 01: its pictures, its widget, and the closed forms that they and the exercises rest on."""

from __future__ import annotations

import math
import re
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from pictures import assert_nothing_is_cut_off

from jemlib import losses
from jemlib.course import verify
from jemlib.course.lessons.lesson01_contrastive import claims, figures
from jemlib.course.lessons.lesson01_contrastive.exercises import info_nce_gradient
from jemlib.scales import SCALES

pytestmark = pytest.mark.slow  # its pictures and its small networks

HISTORY = [{"step": s, "loss": 6.2 - s / 200, "alignment": 0.2, "uniformity": -s / 250} for s in range(0, 751, 50)]
RUNS = {
    name: {"alignment": i / 4, "uniformity": -i} for i, name in enumerate(("tau = 0.2", "cold, tau = 0.05", "batch"))
}


@pytest.fixture(autouse=True)
def _no_window() -> None:
    plt.switch_backend("agg")


@pytest.mark.parametrize(
    ("draw", "axes"),
    [
        (lambda: figures.forces(), 2),
        (lambda: figures.forces(0.02, 64, 5, 0), 2),
        (lambda: figures.forces(0.02, 3, 90, 180), 2),
        (lambda: figures.forces(2.0, 64, 90, 90), 2),
        (lambda: figures.forces(2.0, 3, 5, 180), 2),
        (lambda: figures.between_bounds(HISTORY, 256, 0.2, title="t"), 3),
        (lambda: figures.between_bounds(HISTORY[:1], 8, 1.0), 3),
        (lambda: figures.trade_off(RUNS), 1),
    ],
)
def test_pictures_draw_with_nothing_cut_off(draw, axes) -> None:
    figure = draw()
    assert_nothing_is_cut_off(figure)
    assert len(figure.axes) == axes


def test_the_widget_has_a_slider_for_each_number() -> None:
    names = [child.description for child in figures.forces_widget().children[:-1]]
    assert names == ["temperature", "batch_size", "nearest", "positive"]


@pytest.mark.parametrize("positive", [0.0, 20.0, 180.0])
@pytest.mark.parametrize("temperature", [0.05, 0.2, 2.0])
def test_pull_and_push_are_minus_the_gradient_along_the_circle(positive, temperature) -> None:
    negatives = figures.spread_negatives(6, 30)
    felt = figures.forces_on_anchor(temperature, negatives, positive)
    angles = torch.deg2rad(torch.cat([torch.tensor([positive]), negatives]).double())
    candidates = torch.stack([angles.cos(), angles.sin()], dim=1)
    place = torch.zeros((), dtype=torch.float64, requires_grad=True)
    anchor = torch.stack([place.cos(), place.sin()])
    loss = -(candidates @ anchor / temperature).log_softmax(dim=0)[0]
    loss.backward()
    assert felt.loss == pytest.approx(float(loss.detach()), rel=1e-6, abs=1e-12)
    assert (felt.pull + felt.push) / temperature == pytest.approx(-float(place.grad), rel=1e-6, abs=1e-9)


def test_shares_sum_to_one_and_concentrate_on_the_nearest_when_it_is_cold() -> None:
    negatives = figures.spread_negatives(11, 30)
    cold, hot = (figures.forces_on_anchor(tau, negatives, 20.0) for tau in (0.02, 100.0))
    assert float(cold.shares.sum()) == pytest.approx(1)
    assert cold.angles[0] == -30
    assert cold.shares[0] > 0.9
    assert 1 <= cold.effective < 1.5
    assert hot.effective == pytest.approx(11, rel=1e-3)


@pytest.mark.parametrize("number", [2, 5, 63])
def test_the_nearest_negative_is_where_it_was_put_and_no_other_is_nearer(number) -> None:
    angles = figures.spread_negatives(number, 15)
    assert len(angles) == number
    assert angles.abs().min() == 15
    assert angles.abs().max() <= 180


def test_the_closed_form_gradient_is_that_of_automatic_differentiation() -> None:
    generator = torch.Generator().manual_seed(0)
    z_a, z_b = (torch.randn(9, 5, generator=generator, dtype=torch.float64) for _ in range(2))
    leaf = z_a.clone().requires_grad_()
    losses.info_nce(leaf, z_b, 0.3).total.backward()
    torch.testing.assert_close(info_nce_gradient(z_a, z_b, 0.3), leaf.grad, rtol=1e-12, atol=1e-14)


def test_the_least_value_in_the_picture_is_nt_xent_of_a_simplex() -> None:
    simplex = torch.eye(8, dtype=torch.float64) - 1 / 8
    figure = figures.between_bounds(HISTORY, 8, 0.5)
    levels = sorted(float(np.asarray(line.get_ydata())[0]) for line in figure.axes[0].get_lines()[1:])
    assert levels[0] == pytest.approx(float(losses.nt_xent(simplex, simplex, 0.5).total), rel=1e-12)
    assert levels[1] == pytest.approx(math.log(15))


def cell_with(phrase: str) -> str:
    """The one code cell of the lesson's source that holds `phrase`."""
    source = (Path(__file__).resolve().parents[1] / "solutions" / "01_contrastive.py").read_text(encoding="utf-8")
    (found,) = [cell for cell in re.split(r"^# %%.*$", source, flags=re.MULTILINE) if phrase in cell]
    return found


def test_the_curvature_at_collapse_does_not_depend_on_how_the_learner_wrote_uniformity(capsys) -> None:
    def by_pdist(z, t=2):
        return torch.pdist(F.normalize(z, dim=1)).square().mul(-t).exp().mean().log()

    names = {"torch": torch, "F": F, "math": math, "verify": verify, "uniformity": by_pdist}
    exec(cell_with("curvature("), names)  # raises where a statement does not hold
    assert capsys.readouterr().out.count("Holds:") == 2


def test_excluding_the_positive_breaks_the_bound_on_the_information() -> None:
    """The lesson's own cell, in another world than the lesson's."""
    names = {"torch": torch, "math": math, "losses": losses, "verify": verify}
    names["generator"] = torch.Generator().manual_seed(5)
    exec(cell_with("def enumerated("), names)
    assert (names["included"] <= names["shared"]).all()
    assert (names["excluded"] > names["shared"]).any()


@pytest.mark.parametrize("d", [16, 64])
def test_the_entropy_estimate_errs_upwards_for_strangers_and_downwards_for_agreeing_views(d: int) -> None:
    draw = torch.Generator().manual_seed(d)
    tau, n = 0.02, 256
    a, b = (torch.randn(n, d, generator=draw, dtype=torch.float64) for _ in range(2))
    # log of the mean of exp(cos / tau) over the sphere, by the density of one coordinate
    x = torch.linspace(-1, 1, 200_001, dtype=torch.float64)[1:-1]
    weight = (d - 3) / 2 * torch.log1p(-x.square())
    log_mean = float(torch.logsumexp(x / tau + weight, 0) - torch.logsumexp(weight, 0))
    strangers, agreeing = (math.log(n) + log_mean - float(losses.info_nce(a, z, tau).contrast) for z in (b, a))
    assert strangers > 0 > agreeing
    assert agreeing <= math.log(n) + log_mean - 1 / tau


def test_a_run_of_the_claims_is_kept_and_measures_what_they_need() -> None:
    numbers = claims.measured(0, SCALES["smoke"], None)
    assert set(numbers) == {"knn", "spread", "uniformity"}
    assert claims.measured(0, SCALES["smoke"], None) is numbers
    assert -8 <= numbers["uniformity"] <= 0
