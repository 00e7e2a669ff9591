"""Lesson 08: its pictures, the basin that they draw, and the small functions behind its claims."""

from __future__ import annotations

import ipywidgets
import matplotlib.pyplot as plt
import pytest
import torch
from matplotlib.figure import Figure
from pictures import assert_nothing_is_cut_off
from torch.testing import assert_close

from jemlib.course.lessons.lesson08_byol_simsiam import claims as own
from jemlib.course.lessons.lesson08_byol_simsiam import figures
from jemlib.course.lessons.lesson08_byol_simsiam.exercises import field_jacobian, prediction_gradient, resting_points
from jemlib.course.machinery import claims
from jemlib.data import load
from jemlib.experiments.parts import CELLS
from jemlib.losses import byol
from jemlib.methods import build
from jemlib.scales import SCALES
from jemlib.theory import cosine_mode_dynamics, fixed_points, mode_dynamics
from jemlib.views import normalize

pytestmark = pytest.mark.slow  # its pictures and its small networks


@pytest.fixture(autouse=True)
def _no_window() -> None:
    plt.switch_backend("agg")


def _two_losses():
    p = torch.tensor([0.6, 0.03], dtype=torch.float64)
    shared = {"sigma2": 0.5, "eta": 0.05, "steps": 5}
    return {"squared distance": mode_dynamics(p, p**2, **shared), "cosine": cosine_mode_dynamics(p, p**2, **shared)}


@pytest.mark.parametrize(
    "draw",
    [
        figures.portrait,
        lambda: figures.portrait(0.2, 4.0, 0.1, 1.0),
        lambda: figures.bars({"predictor, stop-gradient, momentum": 0.7, "none": 0.001, "exactly none": 0.0}),
        lambda: figures.two_losses(_two_losses()),
    ],
)
def test_every_picture_draws_with_nothing_cut_off_and_leaves_no_figure_open(draw) -> None:
    assert_nothing_is_cut_off(draw())


def test_the_widget_has_a_slider_for_each_number(monkeypatch) -> None:
    monkeypatch.setattr(figures, "portrait", lambda eta, alpha_p, momentum, sigma2: Figure())
    widget = figures.portrait_widget()
    sliders = [child for child in widget.children if isinstance(child, ipywidgets.SelectionSlider)]
    assert [slider.description for slider in sliders] == ["eta", "alpha_p", "momentum", "sigma2"]


def test_the_basin_on_the_parabola_ends_at_p_minus_and_a_faster_predictor_shrinks_it() -> None:
    grid, alive, _ = figures.lives(0.1, 1.0, 0.5, None)
    points = fixed_points(1.0, 0.5, 0.1)
    for i, p in enumerate(grid):
        row = min(range(len(grid)), key=lambda k: abs(grid[k] - p**2))
        if p > 2 * points.p_minus:
            assert alive[row, i]
    assert not alive[0, 0]
    assert figures.lives(0.1, 4.0, 0.5, None)[1].sum() >= alive.sum() >= figures.lives(0.1, 0.5, 0.5, None)[1].sum()
    assert not figures.lives(0.3, 1.0, 0.5, None)[1].any()


def test_the_closed_form_of_the_gradient_is_that_of_byol() -> None:
    generator = torch.Generator().manual_seed(0)
    p, other, t = (torch.randn(5, 3, generator=generator, dtype=torch.float64) for _ in range(3))
    p.requires_grad_()
    byol(p, other, t, t).a_to_b.backward()
    assert_close(prediction_gradient(p.detach(), t), p.grad)


def test_the_resting_points_are_those_of_the_library() -> None:
    one = torch.ones(1, dtype=torch.float64)
    found, known = resting_points(0.8 * one, 0.3 * one, 0.05 * one), fixed_points(0.8, 0.3, 0.05)
    assert [float(x) for x in found] == pytest.approx([known.p_minus, known.p_plus], rel=1e-12)


@pytest.mark.parametrize("w", [-1.3, 0.0, 0.4])
def test_what_the_jacobian_lacks_to_symmetry_is_the_weight_whatever_the_noise(w: float) -> None:
    for sigma2 in (0.0, 0.5, 3.0):
        j = field_jacobian(torch.tensor(w, dtype=torch.float64), torch.tensor(0.7, dtype=torch.float64), sigma2)
        assert float(j[1, 0] - j[0, 1]) == pytest.approx(w, abs=1e-12)


def test_the_cells_have_names_of_their_own() -> None:
    assert [own.cell_name(parts) for parts in CELLS] == ["PSM", "PS", "PM", "P", "SM", "S", "M", "none"]


def test_another_width_changes_the_backbone_and_keeps_the_embeddings_size() -> None:
    method = own.with_width(build("simsiam", scale="smoke"), 4, seed=0)
    images = normalize(load("motifs", "train", limit=4).pixels)
    assert method.backbone(images).shape == (4, 32)
    assert method.embed(images).shape == (4, 64)


@pytest.mark.parametrize("seed", [0, 3])
def test_the_linear_claims_hold_for_a_seed(seed: int) -> None:
    threshold = claims.known()["byol_simsiam.critical-weight-decay"]
    assert threshold.evaluate(own.linear_threshold(seed)), own.linear_threshold(seed)
    losses = claims.known()["byol_simsiam.cosine-keeps-weak-directions"]
    assert losses.evaluate(own.linear_losses(seed)), own.linear_losses(seed)


def test_the_claim_of_the_narrow_net_allows_it_a_tenth_fewer_directions() -> None:
    whole = claims.known()["byol_simsiam.a-narrow-net-keeps-its-directions"]
    assert whole.evaluate({"narrow": 9.1, "wide": 10.0})
    assert not whole.evaluate({"narrow": 8.9, "wide": 10.0})
    assert set(whole.measure(0, SCALES["smoke"])) == {"narrow", "wide"}


def test_the_claim_of_the_parts_fails_when_a_third_cell_stands_or_one_of_the_two_falls() -> None:
    claim = claims.known()["byol_simsiam.two-parts-hold"]
    fine = {own.cell_name(parts): 0.01 for parts in CELLS} | {"PSM": 0.5, "PS": 0.5}
    assert claim.evaluate(fine)
    assert not claim.evaluate(fine | {"PM": 0.5})
    assert not claim.evaluate(fine | {"PS": 0.2})
