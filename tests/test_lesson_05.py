"""Lesson 05: its pictures draw, its closed forms agree with the losses, its rule and its claims' helpers do."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from pictures import assert_nothing_is_cut_off

from jemlib.course.lessons.lesson05_collapse import figures
from jemlib.course.lessons.lesson05_collapse.claims import (
    BATCHES,
    CONSTANTS,
    gradient_at_the_constant,
    in_training,
    linear_numbers,
    short,
)
from jemlib.course.lessons.lesson05_collapse.exercises import info_nce_bend, name_collapse
from jemlib.course.machinery import claims
from jemlib.data import load
from jemlib.diagnose import directional_spread
from jemlib.evaluate import embeddings
from jemlib.experiments.removals import start_collapsed
from jemlib.losses import info_nce
from jemlib.methods import build
from jemlib.scales import SCALES, adjusted_scale
from jemlib.theory import linear_contrastive_dynamics
from jemlib.train import fit

pytestmark = pytest.mark.slow  # its pictures and its small networks

GENERATOR = torch.Generator().manual_seed(0)
CLOUDS = {
    "A": torch.randn(30, 6, generator=GENERATOR),
    "B": torch.ones(30, 6),
    "C": torch.randn(30, 1, generator=GENERATOR) @ torch.ones(1, 6),
    "D": 1e-6 * torch.randn(30, 6, generator=GENERATOR),
}


@pytest.fixture(autouse=True)
def _no_window() -> None:
    plt.switch_backend("agg")


def _flow():
    x = torch.randn(6, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return linear_contrastive_dynamics(x, x + 0.1, [torch.eye(3, dtype=torch.float64)], steps=2)


@pytest.mark.parametrize(
    "draw",
    [
        *(
            lambda objective=objective, n2=n2, eps=eps, start=start: figures.landscape(objective, n2, eps, start)
            for objective in figures.OBJECTIVES
            for n2, eps, start in ((5.0, 1e-2, 1.0),)
        ),
        lambda: figures.clouds(CLOUDS),
        lambda: figures.singular_values({"one": _flow(), "two": _flow()}),
        lambda: figures.traces({f"Method without part, {s}": ([0, 1], [0.0, 0.5]) for s in ("one", "two")}, "x"),
        lambda: figures.blind_panels({name: CLOUDS[name] for name in "BD"}, dict.fromkeys(CLOUDS, -123.456)),
        lambda: figures.landscape("vicreg, std hinge", 0.0, 1e-6, 0.001),
    ],
)
def test_every_picture_draws_with_nothing_cut_off_and_leaves_no_figure_open(draw) -> None:
    assert_nothing_is_cut_off(draw())


def test_the_widget_has_a_slider_for_each_number() -> None:
    names = [child.description for child in figures.landscape_widget().children[:-1]]
    assert names == ["objective", "augmentation", "eps", "start"]


@pytest.mark.parametrize("objective", figures.OBJECTIVES)
@pytest.mark.parametrize("n2", [0.0, 0.5, 2.0])
def test_the_closed_form_along_the_scale_is_what_the_loss_of_a_drawn_cloud_is(objective: str, n2: float) -> None:
    s = np.array([0.0, 0.01, 0.3, 1.2])
    curve = figures.loss_along_scale(objective, s, n2, 1e-4)
    drawn = [figures._sampled(objective, float(x), n2, 1e-4) for x in s]
    assert curve == pytest.approx(drawn, rel=0.02, abs=0.05 if objective == "info_nce" else 0.01)


@pytest.mark.parametrize("objective", figures.OBJECTIVES)
@pytest.mark.parametrize("n2", [0.0, 0.5, 2.0])
def test_the_parabola_is_the_second_order_of_the_closed_form(objective: str, n2: float) -> None:
    s = np.array([0.0, 1e-5])
    rest, moved = figures.loss_along_scale(objective, s, n2, 1e-3)
    assert (moved - rest) / 1e-10 == pytest.approx(figures.bend_along_scale(objective, n2, 1e-3), rel=1e-3)


def test_the_rule_asks_the_spread_first_and_centres_before_the_rank() -> None:
    assert [float(name_collapse(z)) for z in CLOUDS.values()] == [0.0, 1.0, 2.0, 0.0]
    assert float(name_collapse(1 + 1e-3 * CLOUDS["A"])) == 1.0
    assert float(name_collapse(CLOUDS["A"] + 1.5)) == 0.0
    assert name_collapse(CLOUDS["A"].double()).dtype == torch.float64


def test_the_bend_is_half_the_second_derivative_of_info_nce() -> None:
    v, c = CLOUDS["A"].double(), torch.linspace(-1, 2, 6, dtype=torch.float64)

    def along(step):
        return info_nce(c + step * v, c + step * v, 0.3).total

    second = torch.autograd.functional.hessian(along, torch.zeros((), dtype=torch.float64))
    assert float(info_nce_bend(v, c, 0.3)) == pytest.approx(float(second) / 2, rel=1e-9)


def test_short_runs_take_a_sixth_of_the_steps_in_float32() -> None:
    scale = short(SCALES["cpu"], 20_000)
    assert (scale.steps, scale.warmup, scale.precision) == (125, 25, "float32")
    assert short(SCALES["smoke"], 512).steps == 1


@pytest.mark.parametrize("seed", [0, 1])
def test_the_linear_claim_holds_for_each_seed(seed: int) -> None:
    claim = claims.known()["collapse.augmentation-and-depth-lose-directions"]
    assert claim.evaluate(linear_numbers(seed)), linear_numbers(seed)


# --- The exact constant, and what moves a measurement of it -------------------------------------------------------


def test_no_batch_of_the_claim_about_the_constant_is_a_power_of_two_and_single_precision_would_round() -> None:
    assert all(n & (n - 1) for n in BATCHES)
    means = [torch.full((n,), c).mean() - torch.tensor(c) for c in CONSTANTS for n in BATCHES]
    assert any(float(mean) != 0 for mean in means)


@pytest.mark.parametrize("name", ["vicreg", "simsiam"])
def test_at_an_exact_constant_of_another_size_there_is_no_gradient(name: str) -> None:
    assert gradient_at_the_constant(0, SCALES["smoke"], name, 3.3, 6) <= 1e-10


def test_the_same_measure_sees_the_gradient_that_sigreg_has_there() -> None:
    assert gradient_at_the_constant(0, SCALES["smoke"], "sigreg", 3.3, 6) > 1e-3


def test_running_statistics_alone_move_the_spread_in_evaluation_mode_and_not_in_training_mode() -> None:
    """Eight steps that learn nothing: the same weights, and a spread that rises."""
    scale = adjusted_scale("smoke", learning_rate=1e-30)
    images, few = load("motifs", "train", limit=512), load("motifs", "validation", limit=64)
    method = start_collapsed(
        build("simsiam", scale=scale, seed=0, normalize_output=False, predictor="none"), noise=0.01
    )
    before = [float(directional_spread(view(method, few))) for view in (in_training, embeddings)]
    fit(method, images, scale=scale, seed=0)
    after = [float(directional_spread(view(method, few))) for view in (in_training, embeddings)]
    assert after[0] == pytest.approx(before[0], rel=1e-3)
    assert after[1] > 10 * before[1]


def test_looking_in_training_mode_leaves_the_method_as_it_was() -> None:
    method = build("vicreg", scale="smoke", seed=0).eval()
    before = {name: value.clone() for name, value in method.state_dict().items()}
    in_training(method, load("motifs", "validation", limit=20))
    assert not method.training
    assert all(torch.equal(value, before[name]) for name, value in method.state_dict().items())


def test_leaving_the_constant_asks_for_a_start_that_was_near_it() -> None:
    claim = claims.known()["collapse.noise-is-enough-to-leave"]
    left = {"vicreg_start": 1e-5, "vicreg": 0.1, "simclr_start": 1e-5, "simclr": 0.6}
    assert claim.evaluate(left)
    assert not claim.evaluate({**left, "simclr_start": 0.02})
    assert not claim.evaluate({**left, "vicreg": 0.005})
