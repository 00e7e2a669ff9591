"""Lesson 06: its pictures and its widget, and how it names clusters by a few labels."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from matplotlib.figure import Figure
from pictures import assert_nothing_is_cut_off

from jemlib.course.lessons.lesson06_swav_sinkhorn import claims as lesson
from jemlib.course.lessons.lesson06_swav_sinkhorn import figures
from jemlib.course.lessons.lesson06_swav_sinkhorn.exercises import (
    label_votes,
    soft_assignments,
    swapped_prediction_gradient,
)
from jemlib.course.machinery import claims
from jemlib.data import Images
from jemlib.diagnose import effective_number
from jemlib.evaluate import clusters, name_clusters
from jemlib.losses import sinkhorn, swapped_prediction
from jemlib.methods import build
from jemlib.nets import Prototypes
from jemlib.scales import SCALES
from jemlib.train import History

pytestmark = pytest.mark.slow  # its pictures and its small networks

SCORES = torch.tanh(torch.randn(8, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64))
HISTORY = History(
    [
        {"step": s, "images_seen": s, "seconds": 0.0, "learning_rate": 0.1, "total": 4.0 / s, "code_entropy": 1.0 / s}
        for s in (1, 2, 3)
    ]
)
USED, ONE = torch.arange(1, 65), torch.eye(64)[0] * 2000


@pytest.mark.parametrize(
    "draw",
    [
        *(
            lambda e=e, n=n, i=i: figures.transport(e, n, i)
            for e, n, i in [(0.005, 0, 0.0), (0.005, 1000, 0.95), (10.0, 0, 1.0), (0.05, 3, 0.8), (0.05, 100, 0.6)]
        ),
        lambda: figures.codes_by_epsilon(SCORES, (10.0, 0.5, 0.05), torch.ones(8, 4)),
        lambda: figures.against_log_k(HISTORY, 64),
        lambda: figures.against_log_k({"with Sinkhorn": HISTORY, "without Sinkhorn": HISTORY}, 512),
        lambda: figures.usage({"with Sinkhorn": USED, "without Sinkhorn": ONE}),
        lambda: figures.usage({"all of 512": torch.ones(512)}),
    ],
)
def test_every_picture_draws_with_nothing_cut_off_and_leaves_no_figure_open(draw: Callable[[], Figure]) -> None:
    assert_nothing_is_cut_off(draw())


def test_the_widget_has_a_slider_for_each_number() -> None:
    names = [child.description for child in figures.transport_widget().children[:-1]]
    assert names == ["epsilon", "iterations", "imbalance"]


def test_samples_on_the_circle_meet_at_one_point_that_prefers_prototype_a() -> None:
    _, homes, even = figures.circle()
    assert even.argmax(dim=1).bincount().tolist() == [2, 2, 2, 2]
    angles, _, scores = figures.circle(imbalance=1.0)
    assert float(angles.std()) < 1e-12
    assert scores.argmax(dim=1).tolist() == [0] * 8
    torch.testing.assert_close(scores, torch.cos(angles[:, None] - homes))


def test_the_pictures_show_the_codes_of_the_library() -> None:
    texts = [t.get_text() for t in figures.transport(0.05, 100, 0.6).axes[1].texts]
    codes = sinkhorn(figures.circle(imbalance=0.6)[2], 0.05, 100)
    assert texts[:32] == [f"{value:.2f}" for value in codes.flatten().tolist()]
    assert texts[32:44] == ["1.00"] * 8 + ["2.00"] * 4


def test_soft_assignments_are_the_softmax_of_the_scores_of_prototypes() -> None:
    module = Prototypes(3, 5).double()
    z = torch.randn(6, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    expected = torch.softmax(module(z) / 0.2, dim=1)
    torch.testing.assert_close(soft_assignments(z, module.weight, 0.2), expected)


def test_the_gradient_is_that_of_the_loss() -> None:
    leaf, codes = SCORES.clone().requires_grad_(), sinkhorn(SCORES.flip(0))
    swapped_prediction(leaf, codes, 0.3).total.backward()
    torch.testing.assert_close(swapped_prediction_gradient(SCORES, codes, 0.3), leaf.grad)


def test_votes_name_clusters_as_the_library_does() -> None:
    generator = torch.Generator().manual_seed(2)
    codes = torch.rand(60, 5, generator=generator)
    labels = torch.randint(3, (60,), generator=generator)
    labelled = torch.arange(0, 60, 2)
    known = torch.full_like(labels, -1)
    known[labelled] = labels[labelled]
    votes = label_votes(codes, known)
    assert float(votes.sum()) == len(labelled)
    assert torch.equal(votes.argmax(dim=1), name_clusters(codes.argmax(dim=1), labels, labelled).classes)


def test_naming_is_perfect_for_pure_clusters_and_chance_for_one_cluster() -> None:
    labels = torch.arange(40) % 4
    centres = torch.eye(4)
    pure = clusters.Clusters(labels, labels, centres)
    assert clusters.naming_accuracy(pure, labels, labels, 1) == (1.0, 0.0)
    alone = clusters.Clusters(torch.zeros_like(labels), torch.zeros_like(labels), centres[:1])
    assert clusters.naming_accuracy(alone, labels, labels, 3)[0] == pytest.approx(0.25)


def test_drawn_labels_are_balanced_and_those_of_few_are_among_those_of_many() -> None:
    labels = torch.randint(5, (200,), generator=torch.Generator().manual_seed(3))
    few, many = (clusters.draw_labelled(labels, n, draw=1) for n in (2, 6))
    assert labels[few].bincount().tolist() == [2] * 5
    assert set(few.tolist()) <= set(many.tolist())
    assert not torch.equal(few, clusters.draw_labelled(labels, 2, draw=2))


def test_the_effective_number_counts_prototypes_in_equal_use() -> None:
    assert effective_number(torch.zeros(9, dtype=torch.int64), 4) == pytest.approx(1)
    assert effective_number(torch.arange(12) % 3, 4) == pytest.approx(3)
    assert effective_number(torch.arange(8), 8) == pytest.approx(8)


def test_clusters_have_the_shapes_that_naming_needs() -> None:
    scale = SCALES["smoke"]
    pixels = torch.randint(256, (80, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(4))
    train = test = Images(pixels, torch.arange(80) % 2, ("a", "b"))
    method = build("swav", scale=scale, prototypes=6)
    for found in (clusters.nearest_prototypes(method, train, test), clusters.k_means(method, train, test, count=6)):
        assert found.train.shape == found.test.shape == (80,)
        assert len(found.centroids) == 6
        assert int(found.train.max()) < 6
    assert torch.allclose(clusters.nearest_prototypes(method, train, test).centroids.norm(dim=1), torch.ones(6))


@pytest.mark.parametrize(
    ("id", "good", "bad"),
    [
        ("swav.learns", {"trained": 0.8, "untrained": 0.3}, {"trained": 0.5, "untrained": 0.3}),
        (
            "swav.uses-all-prototypes",
            {"with_sinkhorn": 50.0, "without": 1.0, "K": 64},
            {"with_sinkhorn": 50.0, "without": 9.0, "K": 64},
        ),
        (
            "swav.sinkhorn-prevents-collapse",
            {"spread_with": 0.9, "spread_without": 0.0, "loss_with": 2.0, "loss_without": 0.1},
            {"spread_with": 0.9, "spread_without": 0.0, "loss_with": 2.0, "loss_without": 2.1},
        ),
        ("swav.few-labels-name-clusters", {"swav": 0.4, "control": 0.1}, {"swav": 0.4, "control": 0.3}),
    ],
)
def test_a_claim_holds_and_fails_where_it_should(id: str, good: dict[str, float], bad: dict[str, float]) -> None:
    claim = claims.known()[id]
    assert claim.lesson == lesson.LESSON
    assert claim.evaluate(good)
    assert not claim.evaluate(bad)
    assert not claim.evaluate({**good, next(iter(good)): math.nan})
