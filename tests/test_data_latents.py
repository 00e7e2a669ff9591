"""Images drawn from six latents: the law is kept by a move, the factors follow the latents, bad input is told."""

from __future__ import annotations

import math

import pytest
import torch
from torch.testing import assert_close

from jemlib.data import latents, motifs

EACH_LAW = pytest.mark.parametrize("law", latents.LAWS)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@EACH_LAW
def test_latents_have_mean_0_and_variance_1_and_are_independent(law: str) -> None:
    z = latents.draw_latents(20_000, law, generator()).double()
    assert_close(z.mean(dim=0), torch.zeros(6, dtype=torch.float64), atol=0.03, rtol=0)
    assert_close(torch.cov(z.T), torch.eye(6, dtype=torch.float64), atol=0.03, rtol=0)
    assert_close(z.pow(4).mean(), torch.tensor(3.0 if law == "gaussian" else 1.8).double(), atol=0.08, rtol=0)


@EACH_LAW
@pytest.mark.parametrize("rho", [0.0, 0.5, 0.9])
def test_a_move_keeps_the_law(law: str, rho: float) -> None:
    z = latents.draw_latents(20_000, law, generator())
    moved = latents.move_latents(z, law, rho, generator(1))
    points = torch.linspace(0.05, 0.95, 19)
    assert_close(torch.quantile(moved[:, 0], points), torch.quantile(z[:, 0], points), atol=0.06, rtol=0)
    if law == "uniform":
        assert float(moved.abs().max()) <= latents.EDGE + 1e-6


def test_a_gaussian_move_has_correlation_rho_and_both_moves_are_equally_long_inside() -> None:
    z = latents.draw_latents(20_000, "gaussian", generator())
    moved = latents.move_latents(z, "gaussian", 0.9, generator(1))
    assert float((z * moved).mean()) == pytest.approx(0.9, abs=0.02)
    centre = torch.zeros(20_000, 6)
    step = latents.move_latents(centre, "uniform", 0.9, generator(1))
    assert float(step.square().mean()) == pytest.approx(float((z - moved).square().mean()), abs=0.01)


def test_a_reflection_mirrors_at_the_edge() -> None:
    edge = torch.full((2000, 6), latents.EDGE)
    step = latents.EDGE - latents.move_latents(edge, "uniform", 0.95, generator())
    assert float(step.min()) >= 0
    # a half normal: its mean is sigma sqrt(2 / pi)
    assert float(step.mean()) == pytest.approx(math.sqrt(2 * 0.05) * math.sqrt(2 / math.pi), abs=0.01)


@EACH_LAW
def test_rho_1_leaves_everything_where_it_is(law: str) -> None:
    z = latents.draw_latents(50, law, generator())
    assert_close(latents.move_latents(z, law, 1.0, generator(1)), z)


def test_the_factors_follow_the_latents_and_the_rest_is_drawn_anew() -> None:
    z = latents.draw_latents(60, "uniform", generator())
    images, again = latents.draw_from_latents(z, generator(1)), latents.draw_from_latents(z, generator(2))
    assert images.factors is not None
    assert again.factors is not None
    for column, (_, name, part) in enumerate(latents.LATENTS):
        values = images.factors[name] if part is None else images.factors[name][:, part]
        standardised = (values - values.mean()) / values.std()
        assert_close(standardised, (z[:, column] - z[:, column].mean()) / z[:, column].std(), atol=1e-5, rtol=0)
        assert torch.equal(images.factors[name], again.factors[name])
    assert not torch.equal(images.factors["foreground_hue"], again.factors["foreground_hue"])
    assert set(images.labels.tolist()) == {motifs.PATTERNS.index("stripes")}


def test_uniform_latents_stay_in_the_range_that_motifs_are_drawn_with() -> None:
    factors = latents.draw_from_latents(latents.draw_latents(500, "uniform", generator()), generator(1)).factors
    assert factors is not None
    for _, name, _ in latents.LATENTS:
        known = motifs.FACTORS[name]
        assert float(factors[name].min()) >= known.low - 1e-5
        assert float(factors[name].max()) <= known.high + 1e-5


def test_far_latents_are_cut_to_what_can_be_drawn() -> None:
    images = latents.draw_from_latents(torch.full((2, 6), 50.0), generator())
    assert images.factors is not None
    assert images.factors["position"].tolist() == [[1, 1], [1, 1]]


@pytest.mark.parametrize(
    ("call", "names"),
    [
        (lambda: latents.draw_latents(0, "uniform", generator()), "n must be"),
        (lambda: latents.draw_latents(3, "cauchy", generator()), "law"),
        (lambda: latents.move_latents(torch.zeros(3, 5), "uniform", 0.9, generator()), "z"),
        (lambda: latents.move_latents(torch.zeros(3, 6), "cauchy", 0.9, generator()), "law"),
        (lambda: latents.move_latents(torch.zeros(3, 6), "uniform", 1.1, generator()), "rho"),
        (lambda: latents.draw_from_latents(torch.zeros(3, 5), generator()), "z"),
        (lambda: latents.draw_from_latents(torch.full((3, 6), torch.nan), generator()), "z"),
    ],
)
def test_bad_input_is_told_by_the_name_of_the_argument(call, names) -> None:
    with pytest.raises((TypeError, ValueError), match=names):
        call()
