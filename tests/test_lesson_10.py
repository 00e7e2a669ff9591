"""Lesson 10: its pictures draw, its scenes and crops are what they say, its theory is right, its claims are strict."""

from __future__ import annotations

import math

import matplotlib.pyplot as plt
import pytest
import torch
from pictures import assert_nothing_is_cut_off
from torch.testing import assert_close

from jemlib.course.lessons.lesson10_invariance import claims as small
from jemlib.course.lessons.lesson10_invariance import exercises, figures
from jemlib.course.machinery import claims
from jemlib.data import latents, motifs
from jemlib.invariance import ris
from jemlib.invariance.trajectories import MOTIF_TRANSFORMATIONS
from jemlib.scales import SCALES

SMOKE = SCALES["smoke"]


@pytest.fixture(autouse=True)
def _no_window() -> None:
    plt.switch_backend("agg")


def noise(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


# --- Pictures ---------------------------------------------------------------------------------------------------

TABLE = {
    name: {"simclr": 4.0, "simclr_shuffled": 1.9, "byol": 2.0, "byol_shuffled": 2.0} for name in ("a", "a long one")
}


@pytest.mark.slow
@pytest.mark.parametrize(
    "draw",
    [
        lambda: figures.threshold(noise(0, 12), (0.1, 0.5)),
        lambda: figures.noise(units=20, num_classes=4, objects=2, frames=3),
        lambda: figures.noise(units=40, num_classes=40, objects=2, frames=3),
        lambda: figures.baseline_bars({"noise": (2.0, 2.0, 2.0), "object code": (4.0, 2.0, 4.0)}),
        lambda: figures.scores(TABLE, title="a title"),
        lambda: figures.agreements((0.1, 0.5), {"objects": [1, 1], "scenes": [0.5, 0.6]}),
        figures.slowest_functions,
    ],
)
def test_every_picture_draws_with_nothing_cut_off_and_leaves_no_figure_open(draw) -> None:
    assert_nothing_is_cut_off(draw())


def test_the_widget_has_a_slider_for_each_number() -> None:
    names = [child.description for child in figures.noise_widget().children[:-1]]
    assert names == ["units", "num_classes", "objects", "frames"]


def test_a_table_of_scores_without_numbers_is_refused_and_rows_that_are_not_recorded_are_left_out() -> None:
    with pytest.raises(ValueError, match="table must hold"):
        figures.scores({"a": {}})
    axis = figures.scores({**TABLE, "missing": {}}).axes[0]
    assert [label.get_text() for label in axis.get_yticklabels()] == list(TABLE)


# --- Theory: what two near latents agree on ---------------------------------------------------------------------


def squared_correlation(a: torch.Tensor, b: torch.Tensor, p: torch.Tensor) -> float:
    a, b = a - p @ a, b - p @ b
    return float((p @ (a * b)) ** 2 / ((p @ a.square()) * (p @ b.square())))


@pytest.mark.parametrize("rho", [0.7, 0.9])
def test_gaussian_latents_are_themselves_what_a_pair_agrees_on_most(rho: float) -> None:
    x, p, g = figures.slowest("gaussian", rho)
    assert squared_correlation(g, x, p) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("rho", [0.7, 0.9])
def test_for_uniform_latents_it_is_half_a_cosine_wave(rho: float) -> None:
    x, p, g = figures.slowest("uniform", rho)
    assert squared_correlation(g, torch.sin(math.pi * x / (2 * latents.EDGE)), p) == pytest.approx(1, abs=1e-4)
    assert squared_correlation(g, x, p) == pytest.approx(96 / math.pi**4, abs=1e-3)


@pytest.mark.parametrize("law", latents.LAWS)
def test_the_function_has_mean_0_variance_1_and_rises(law: str) -> None:
    x, p, g = figures.slowest(law)
    inside = x.abs() < 1.5
    assert float(p.sum()) == pytest.approx(1)
    assert float(p @ g) == pytest.approx(0, abs=1e-9)
    assert float(p @ g.square()) == pytest.approx(1, abs=1e-9)
    assert bool((g[inside].diff() > 0).all())


def test_the_agreement_on_the_grid_is_that_of_drawn_pairs() -> None:
    generator = torch.Generator().manual_seed(0)
    z = latents.draw_latents(20_000, "uniform", generator)
    near = latents.move_latents(z, "uniform", 0.9, generator)
    wave = [math.sqrt(2) * torch.sin(math.pi * one / (2 * latents.EDGE)) for one in (z, near)]
    # the wave decays by exp(-variance k^2 / 2) with k = pi / (2 sqrt 3)
    expected = math.exp(-0.2 * (math.pi / (2 * latents.EDGE)) ** 2 / 2)
    assert float((wave[0] * wave[1]).mean()) == pytest.approx(expected, abs=0.01)
    assert float((z * near).mean()) < expected  # the line is agreed on less


def test_an_unknown_law_is_refused() -> None:
    with pytest.raises(ValueError, match="law"):
        figures.slowest("cauchy")


# --- The definition and its blind spot --------------------------------------------------------------------------


def test_with_equal_lengths_frames_may_change_places_within_a_class() -> None:
    trajectories = torch.arange(20).repeat_interleave(4)
    classes = trajectories // 5
    h = noise(1, 80, 6)
    order = torch.cat([block[torch.randperm(20)] for block in torch.arange(80).split(20)])
    assert ris(h[order], trajectories, classes, 2).score == pytest.approx(ris(h, trajectories, classes, 2).score)


def test_the_official_rate_is_that_of_the_library() -> None:
    trajectories = torch.arange(60).repeat_interleave(4)
    classes = trajectories // 3
    h, place = noise(2, 240, 8), (240 * 95 // 100)
    ranked = h.sort(dim=0).values
    up, down = (h > ranked[place]).double(), (h < ranked[239 - place]).double()
    found = ris(h, trajectories, classes, 2, "official")
    local = exercises.official_local_rate(up, down, trajectories, classes)
    assert_close(local / found.firing_rate, found.invariance)


def test_a_shuffle_of_trajectories_keeps_each_of_them_whole() -> None:
    trajectories = torch.arange(6).repeat_interleave(3)
    classes = trajectories // 2
    fires = (trajectories == 0).double()[:, None]  # on all frames of one trajectory
    order = torch.tensor([3, 0, 5, 1, 2, 4])
    local = exercises.shuffled_local_rate(fires, trajectories, classes, order)
    assert local.flatten().tolist() == [0, 0.5, 0]  # trajectory 0 got the class of trajectory 3


# --- Objects, scenes and crops ----------------------------------------------------------------------------------


def test_all_kinds_show_the_same_labelled_objects_at_the_same_size() -> None:
    alone, twins, pairs = (small.pictures(kind, 40, 3) for kind in ("alone", "twins", "scenes"))
    assert torch.equal(alone.labels, pairs.labels)
    assert torch.equal(twins.labels, pairs.labels)
    for name in ("pattern", "foreground_hue", "background_hue", "frequency", "rotation"):
        assert torch.equal(twins.factors[f"left.{name}"], twins.factors[f"right.{name}"])
        assert torch.equal(twins.factors[f"left.{name}"], pairs.factors[f"left.{name}"])
    both = small.object_masks(twins)
    assert both.shape[1:] == (1, 32, 32), "twins count as one object"
    assert torch.equal(both[:, 0, :, :16], small.object_masks(pairs)[:, 0, :, :16])
    masks = small.object_masks(alone), small.object_masks(pairs)
    assert masks[0].shape[1:] == (1, 32, 32)
    assert masks[1].shape[1:] == (2, 32, 32)
    areas = [mask.sum(dim=(2, 3)).double().mean() for mask in masks]
    assert float(areas[0]) == pytest.approx(float(areas[1]), rel=0.05)
    assert not bool((masks[1][:, 0] & masks[1][:, 1]).any()), "the objects of a scene do not overlap"
    assert sorted(set(alone.factors["position"][:, 0].tolist())) == [-0.5, 0.5]
    assert float(alone.factors["frequency"].min()) >= 6


def test_each_pattern_stands_as_often_left_as_right() -> None:
    alone = small.pictures("alone", 100, 0)
    left = alone.factors["position"][:, 0] < 0
    assert [int((alone.labels[left] == y).sum()) for y in range(10)] == [5] * 10


def test_a_crop_of_the_whole_image_shows_every_pixel_of_each_object() -> None:
    images = small.pictures("scenes", 20, 1)
    a, b = small.shown_in_crops(images, 1.0)
    whole = small.object_masks(images).sum(dim=(2, 3)).double()
    assert bool((a <= whole).all())
    assert bool((b <= whole).all())
    assert float((a == whole).double().mean()) > 0.3  # crops of full area that keep the ratio of the sides


def test_a_pair_is_in_sight_only_where_both_crops_show_an_object() -> None:
    a, b = small.shown_in_crops(small.pictures("alone", 60, 2), 0.2, seed=2)
    expected = sum(bool(x.sum() > 0) and bool(y.sum() > 0) for x, y in zip(a, b)) / 60
    assert small.in_sight("alone", 0.2, 60, 2) == pytest.approx(expected)
    assert 0.5 < expected < 1


def test_crops_of_one_object_agree_and_crops_of_scenes_often_do_not() -> None:
    numbers = claims.known()["invariance.crops-of-scenes-disagree"].measure(0, SMOKE)
    assert numbers["twins"] == 1
    assert small.agreement("alone", 0.2, 100) == 1
    assert 0.4 < numbers["scenes"] < 0.9


# --- Claims -----------------------------------------------------------------------------------------------------


def test_short_runs_are_about_half_of_a_whole_one() -> None:
    scale = small.short(SCALES["cpu"])
    assert (scale.steps, scale.warmup) == (small.STEPS, small.WARMUP)
    assert small.short(SMOKE) is SMOKE


def test_every_transformation_has_a_claim_and_it_fails_when_one_encoder_is_luck() -> None:
    for name in MOTIF_TRANSFORMATIONS:
        claim = claims.known()[f"invariance.{name.replace(' ', '-')}"]
        numbers = dict.fromkeys(small.ENCODERS, 3.0) | {f"{one}_shuffled": 1.9 for one in small.ENCODERS}
        assert claim.evaluate(numbers)
        assert claim.evaluate({**numbers, "untrained": 1.9})
        assert not claim.evaluate({**numbers, "byol": 2.0})


@pytest.mark.parametrize(
    ("claim", "good", "bad"),
    [
        ("training-adds-class-units", {"simclr": 4, "untrained": 2.9}, {"simclr": 3.6, "untrained": 2.9}),
        ("labels-make-more-of-them", {"supervised": 5, "simclr": 4.4}, {"supervised": 4.8, "simclr": 4.4}),
        ("an-unseen-turn-costs", {"position": 4, "rotation": 3.6}, {"position": 4, "rotation": 3.8}),
        ("scenes-teach-less", {"twins": 0.7, "scenes": 0.6}, {"twins": 0.7, "scenes": 0.68}),
        ("scenes-make-fewer-class-units", {"twins": 2.7, "scenes": 2.3}, {"twins": 2.7, "scenes": 2.65}),
        (
            "alone-teaches-nothing",
            {"alone": 0.1, "twins": 0.4, "untrained": 0.1},
            {"alone": 0.2, "twins": 0.9, "untrained": 0.1},
        ),
        ("alone-is-in-sight", {"alone": 0.92}, {"alone": 0.88}),
        ("latents-vicreg", {"gaussian": 0.5, "gaussian_untrained": 0.3}, {"gaussian": 0.5, "gaussian_untrained": 0.45}),
        ("latents-sigreg", {"gaussian": 0.61, "gaussian_untrained": 0}, {"gaussian": 0.59, "gaussian_untrained": 0}),
        ("laws-are-alike", {"gaussian": 0.8, "uniform": 0.84}, {"gaussian": 0.8, "uniform": 0.74}),
        (
            "vicreg-holds-squares",
            {"vicreg_second": 1.0, "sigreg_second": 0.4},
            {"vicreg_second": 0.8, "sigreg_second": 0.4},
        ),
        ("factors-byol", {"pattern": 0.6, "pattern_untrained": 0.3}, {"pattern": 0.45, "pattern_untrained": 0.3}),
        ("factors-untrained", {"position": 0.4}, {"position": 0.2}),
    ],
)
def test_a_claim_asks_for_the_effect_that_its_criterion_names(claim: str, good, bad) -> None:
    known = claims.known()[f"invariance.{claim}"]
    assert known.evaluate(good)
    assert not known.evaluate(bad)


def test_squares_and_products_are_uncorrelated_with_each_other_and_with_the_latents() -> None:
    z = torch.randn(200_000, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found = small.squares_and_products(z)
    assert found.shape == (200_000, 6)
    assert torch.equal(found[:, 3:], torch.stack([z[:, 0] * z[:, 1], z[:, 0] * z[:, 2], z[:, 1] * z[:, 2]], dim=1))
    covariance = torch.cov(torch.cat([z, found], dim=1).T)
    torch.testing.assert_close(covariance, torch.eye(9, dtype=torch.float64), rtol=0, atol=0.02)


def test_an_embedding_that_holds_two_latents_and_a_square_counts_two_and_one(monkeypatch) -> None:
    monkeypatch.setattr(small, "trained_on_latents", lambda *_: None)

    def embedded(net, objective, images):
        z = small_latents[id(images)]
        return torch.cat([z[:, :2], z[:, 2:3].square()], dim=1)

    small_latents, true_split = {}, small.latent_split

    def split(law, seed, n):
        images, z = true_split(law, seed, n)
        small_latents[id(images)] = z
        kept.append(images)
        return images, z

    kept = []
    monkeypatch.setattr(small, "embedded", embedded)
    monkeypatch.setattr(small, "latent_split", split)
    first, second = small.degrees.__wrapped__("vicreg", 0, SMOKE)
    assert first == pytest.approx(2, abs=0.15)
    assert second == pytest.approx(1, abs=0.3)  # noise of a fit on 200 images adds a little


def test_a_run_on_latents_is_the_same_for_a_seed_and_moves_the_weights() -> None:
    nets = [small.latent_run("vicreg", "uniform", 0, steps=2, batch=16) for _ in range(2)]
    start = small.latent_net("vicreg", 0)
    for one, other, first in zip(*(net.parameters() for net in (*nets, start))):
        assert torch.equal(one, other)
        assert one.shape == first.shape
    assert any(not torch.equal(a, b) for a, b in zip(nets[0].parameters(), start.parameters()))


@pytest.mark.parametrize("objective", small.OBJECTIVES)
def test_an_embedding_has_the_length_that_belongs_to_its_objective(objective: str) -> None:
    images, z = small.latent_split("gaussian", 0, 12)
    found = small.embedded(small.latent_net(objective, 0), objective, images)
    assert found.shape == (12, small.OBJECTIVES[objective])
    assert z.shape == (12, 6)
    if objective == "info_nce":
        assert_close(found.norm(dim=1), torch.ones(12))


def test_latents_that_are_the_embedding_are_recovered_and_training_images_are_others() -> None:
    train, test = small.latent_split("gaussian", 0, 50), small.latent_split("gaussian", 500, 50)
    assert not torch.equal(train[1], test[1])
    mixing = noise(3, 6, 6).float()
    assert_close(exercises.recovered(train[1] @ mixing, train[1], test[1] @ mixing, test[1]), torch.ones(6))


def test_stripes_are_what_the_latents_draw() -> None:
    images, _ = small.latent_split("uniform", 0, 10)
    assert {motifs.PATTERNS[int(y)] for y in images.labels} == {"stripes"}
