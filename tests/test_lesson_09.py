"""Lesson 09: its pictures and its widget, its world of three outputs, its masked transformer, and its claims."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from matplotlib.figure import Figure
from pictures import assert_nothing_is_cut_off
from torch.testing import assert_close

from jemlib import losses
from jemlib.course.lessons.lesson09_dino_data2vec import claims as lesson
from jemlib.course.lessons.lesson09_dino_data2vec import figures
from jemlib.course.lessons.lesson09_dino_data2vec.exercises import (
    dino_gradient,
    teacher_cross_entropy,
    teacher_distribution,
    teacher_step,
)
from jemlib.course.machinery import claims
from jemlib.course.machinery.exercises import REGISTRY
from jemlib.methods import build
from jemlib.nets import MomentumEncoder
from jemlib.scales import SCALES
from jemlib.train import History

pytestmark = pytest.mark.slow  # its pictures and its small networks

RUN = figures.simplex_run("mean", 0.04, steps=3)
HISTORY = History(
    [{"step": s, "total": 1.0 / s, "blind": 0.8, "size": 1.0 + 0.1 * s, "between": 0.5 / s} for s in (1.0, 2.0, 3.0)]
)
RUNS = [
    {"steps": steps, "knn_validation": 0.1 * i, "settings": {"centering": centering, "momentum": momentum}}
    for i, (steps, centering, momentum) in enumerate(((300, "mean", 0.99), (750, "mean", 0.9), (750, "balanced", 0.5)))
]


# --- pictures ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "draw",
    [
        figures.sharpened,
        lambda: figures.simplex("none", 0.01, 0.0, 0),
        lambda: figures.simplex("balanced", 0.2, 1.0, 5),
        lambda: figures.simplexes({"(a) no centre": RUN, "(b) no sharpening": RUN, "(c) both": RUN}),
        lambda: figures.centre_paths({"broken step": [0, 0.1, 0.2], "your step": [0, 0.2, 0.4]}, bias=0.4),
        lambda: figures.recorded_centres(RUNS),
        lambda: figures.recorded_centres([]),
        lambda: figures.usage({"balanced": torch.ones(512) / 512, "no centre": torch.eye(512)[0]}),
        lambda: figures.masked_training({"with the norm": HISTORY, "without": HISTORY}),
        lambda: figures.patch_cosines({"trained": torch.eye(64), "untrained": torch.eye(64)[:, :8] + 1}),
        lambda: figures.circles(dict(zip(("before", "after KoLeo"), figures.circle_descent(steps=2)))),
    ],
)
def test_every_picture_draws_with_nothing_cut_off_and_leaves_no_figure_open(draw: Callable[[], Figure]) -> None:
    assert_nothing_is_cut_off(draw())


def test_the_widget_has_sliders_for_the_centre_the_temperature_the_teacher_and_the_steps() -> None:
    names = [child.description for child in figures.simplex_widget().children[:-1]]
    assert names == ["centering", "teacher_temperature", "momentum", "steps"]


def test_the_triangle_has_one_hot_in_its_corners_and_uniform_in_its_middle() -> None:
    corners = torch.from_numpy(figures.on_the_triangle(torch.eye(3, dtype=torch.float64)))
    assert_close(torch.pdist(corners), torch.ones(3, dtype=torch.float64))
    middle = torch.from_numpy(figures.on_the_triangle(torch.full((1, 3), 1 / 3, dtype=torch.float64)))
    assert_close(middle[0], corners.mean(dim=0))


def test_the_recorded_runs_are_those_of_dino_and_name_their_centre() -> None:
    runs = figures.recorded_runs()
    assert {run["settings"]["centering"] for run in runs} == {"mean", "balanced"}
    best = {
        kind: max(run["knn_validation"] for run in runs if run["settings"]["centering"] == kind)
        for kind in ("mean", "balanced")
    }
    assert best["balanced"] > best["mean"] + 0.2  # what the lesson says of the picture


# --- a world of three outputs -----------------------------------------------------------------------------------


def ends(centering: str, temperature: float) -> tuple[int, float]:
    """How many of sixty points the most used output has, and the mean entropy over log 3."""
    end = figures.simplex_run(centering, temperature, steps=200).end
    entropy = float(torch.special.entr(end).sum(dim=1).mean()) / math.log(3)
    return int(end.argmax(dim=1).bincount(minlength=3).max()), entropy


def test_the_triangle_shows_both_collapses_and_none_with_centre_and_sharpening() -> None:
    most, entropy = ends("none", 0.04)
    assert most == 60
    assert entropy < 0.1
    assert ends("mean", 0.1)[1] > 0.9
    for centering in ("mean", "balanced"):
        most, entropy = ends(centering, 0.04)
        assert most <= 25
        assert entropy < 0.4


def test_a_teacher_of_momentum_1_keeps_the_entropy_of_its_start_up_to_the_noise_of_the_views() -> None:
    run = figures.simplex_run("none", 0.04, momentum=1.0, steps=30)
    assert max(run.entropy) - min(run.entropy) < 0.1


def test_koleo_spreads_a_bunch_of_points_over_the_circle() -> None:
    start, end = figures.circle_descent()
    assert_close(end.norm(dim=1), torch.ones(12, dtype=torch.float64))
    assert losses.koleo(end).total < losses.koleo(start).total
    assert end.mean(dim=0).norm() < 0.5 * start.mean(dim=0).norm()


# --- the exercises' own functions -------------------------------------------------------------------------------


def test_the_loss_of_two_views_is_the_mean_of_two_cross_entropies() -> None:
    draw = torch.Generator().manual_seed(0)
    student, teacher = ([torch.randn(5, 4, generator=draw, dtype=torch.float64) for _ in range(2)] for _ in range(2))
    center = torch.randn(4, generator=draw, dtype=torch.float64)
    targets = [teacher_distribution(g, center, 0.3) for g in teacher]
    mean = (teacher_cross_entropy(targets[0], student[1], 0.5) + teacher_cross_entropy(targets[1], student[0], 0.5)) / 2
    assert_close(losses.dino(student, teacher, center, 0.5, 0.3).total, mean)


def test_the_gradient_is_that_of_the_cross_entropy() -> None:
    draw = torch.Generator().manual_seed(1)
    p = torch.softmax(torch.randn(5, 4, generator=draw, dtype=torch.float64), dim=1)
    leaf = torch.randn(5, 4, generator=draw, dtype=torch.float64).requires_grad_()
    teacher_cross_entropy(p, leaf, 0.3).backward()
    assert leaf.grad is not None
    assert_close(dino_gradient(p, leaf.detach(), 0.3), leaf.grad)


def test_a_centre_from_centred_logits_stops_at_half_of_a_bias_and_one_from_raw_logits_arrives() -> None:
    bias = torch.tensor([0.4, 0.0, -0.2], dtype=torch.float64)
    logits, right, broken = [bias.expand(6, 3)] * 2, torch.zeros_like(bias), torch.zeros_like(bias)
    for _ in range(200):
        right = teacher_step(right, logits)[1]
        broken = 0.9 * broken + 0.1 * (bias - broken)
    assert_close(right, bias)
    assert_close(broken, bias / 2)


@pytest.mark.parametrize("name", ["dino", "simdino", "data2vec_targets", "balanced_center", "teacher_step"])
def test_a_function_of_views_gets_them_as_a_list(name: str) -> None:
    exercise, seen = REGISTRY[name], []

    def learner(*args: object, **settings: float) -> object:
        seen.extend(type(arg) for arg in args)
        return exercise.fallback(*args, **settings)

    exercise.check(learner)
    assert list in seen


def test_an_answer_that_works_with_stacked_views_only_is_told_so_calmly() -> None:
    exercise = REGISTRY["data2vec_targets"]

    def data2vec_targets(layers, top=None):  # type: ignore[no-untyped-def]
        return torch.nn.functional.layer_norm(layers, layers.shape[-1:])[-(top or len(layers)) :].mean(dim=0)

    with pytest.raises(Exception, match="'list' object has no attribute 'shape'"):
        exercise.check(data2vec_targets)


# --- the networks -----------------------------------------------------------------------------------------------


def test_hidden_patches_are_not_seen_and_the_teacher_sees_all() -> None:
    torch.manual_seed(0)
    network = lesson.MaskedTransformer(dim=12, depth=2, heads=2)
    images, mask = torch.randn(3, 3, 32, 32), torch.zeros(3, 64, dtype=torch.bool)
    mask[:, 5] = True  # row 0, column 5 of the 8 x 8 patches
    changed = images.clone()
    changed[:, :, :4, 20:24] = 9.0
    assert_close(network(images, mask), network(changed, mask))
    assert not torch.allclose(network.layers(images)[-1], network.layers(changed)[-1])
    assert network(images, mask).shape == (3, 64, 12)
    assert [layer.shape for layer in network.layers(images)] == [(3, 64, 12)] * 2


def test_the_teacher_is_a_copy_that_follows_and_has_no_gradient() -> None:
    torch.manual_seed(0)
    network = lesson.MaskedTransformer(dim=12, depth=2, heads=2)
    teacher, images = MomentumEncoder(lesson.Layers(network)), torch.randn(2, 3, 32, 32)
    for ours, theirs in zip(network.layers(images), teacher(images)):
        assert_close(ours, theirs)
        assert not theirs.requires_grad
    with torch.no_grad():
        network.body.position.add_(1)
    teacher.follow(lesson.Layers(network), 0.5)
    moved = teacher.network.network.body.position  # type: ignore[union-attr]
    assert_close(moved, network.body.position - 0.5)


def test_between_images_is_0_for_one_target_and_1_for_targets_with_mean_0() -> None:
    y = torch.randn(1, 4, 3)
    assert lesson.between_images(y.expand(5, 4, 3)) == pytest.approx(0, abs=1e-6)
    assert lesson.between_images(torch.cat([y, -y])) == pytest.approx(1)


def test_a_masked_run_trains_by_the_functions_that_it_is_given() -> None:
    scale, used = SCALES["smoke"], []

    def loss(predictions: torch.Tensor, y: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor, str]:
        used.append((predictions.shape, y.shape, mask.shape, y.requires_grad))
        return (predictions - y)[mask].square().mean(), "a tuple will do"

    student, history = lesson.masked_run(scale, seed=3, targets=lesson.plain_targets, loss=loss)
    assert used[0] == ((lesson.BATCH, 64, 48), (lesson.BATCH, 64, 48), (lesson.BATCH, 64), False)
    assert len(used) == 8
    assert history["step"] == [float(step) for step in range(1, 9)]
    assert all(math.isfinite(value) for name in ("total", "blind", "size", "between") for value in history[name])
    again, _ = lesson.masked_run(scale, seed=3, targets=lesson.plain_targets, loss=loss)
    assert torch.equal(student.head.weight, again.head.weight)


def test_the_probabilities_of_outputs_are_those_of_the_teachers_rule() -> None:
    scale = SCALES["smoke"]
    train, held_out = lesson.splits(scale)
    method = build("dino", scale=scale, prototypes=16)
    p = lesson.assignments(method, held_out)
    assert p.shape == (len(held_out), 16)
    assert_close(p.sum(dim=1), torch.ones(len(p)))
    row = lesson.described(method, train, held_out)
    assert 1 / 16 <= row["top"] <= 1
    assert 0 <= row["entropy"] <= 1
    assert "top" not in lesson.described(build("simdino", scale=scale), train, held_out)


# --- claims -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("id", "good", "bad"),
    [
        ("dino.learns", {"trained": 0.6, "untrained": 0.3}, {"trained": 0.4, "untrained": 0.3}),
        ("dino.balanced-beats-the-mean", {"balanced": 0.6, "mean": 0.3}, {"balanced": 0.4, "mean": 0.3}),
        ("dino.the-mean-keeps-few-directions", {"balanced": 20.0, "mean": 8.0}, {"balanced": 20.0, "mean": 13.0}),
        ("dino.no-centre-one-output", {"centred": 0.05, "none": 1.0}, {"centred": 0.3, "none": 1.0}),
        ("dino.no-sharpening-uniform", {"sharp": 0.5, "flat": 0.99}, {"sharp": 0.95, "flat": 0.99}),
        ("simdino.learns", {"trained": 0.6, "untrained": 0.3}, {"trained": 0.4, "untrained": 0.3}),
        ("simdino.the-rate-keeps-it-open", {"rate": 0.9, "none": 0.01}, {"rate": 0.9, "none": 0.2}),
        ("data2vec.beats-the-position", {"loss": 0.2, "position": 0.4}, {"loss": 0.39, "position": 0.4}),
        ("data2vec.keeps-images-apart", {"between": 0.3}, {"between": 0.05}),
        ("data2vec.no-pattern-yet", {"trained": 0.31, "untrained": 0.3}, {"trained": 0.35, "untrained": 0.3}),
        ("data2vec.the-norm-holds-the-size", {"normed": 1.05, "plain": 2.0}, {"normed": 1.05, "plain": 1.2}),
    ],
)
def test_a_claim_holds_and_fails_where_it_should(id: str, good: dict[str, float], bad: dict[str, float]) -> None:
    claim = claims.known()[id]
    assert claim.lesson == lesson.LESSON
    assert claim.evaluate(good)
    assert not claim.evaluate(bad)
    assert not claim.evaluate({**good, next(iter(good)): math.nan})


def test_a_size_that_falls_breaks_the_norms_claim_as_one_that_grows() -> None:
    holds = claims.known()["data2vec.the-norm-holds-the-size"].evaluate
    assert holds({"normed": 1.0, "plain": 0.4})
    assert not holds({"normed": 1.4, "plain": 2.0})
