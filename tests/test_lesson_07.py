"""Lesson 07: its pictures, its EM and what breaks it, its small world, and its claims."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F
from matplotlib.figure import Figure
from pictures import assert_nothing_is_cut_off
from torch.testing import assert_close

from jemlib.course.lessons.lesson07_pcl_em import claims as lesson
from jemlib.course.lessons.lesson07_pcl_em import figures
from jemlib.course.lessons.lesson07_pcl_em.exercises import dropped_factor_error, nmi_of_counts, prototype_term
from jemlib.course.machinery import claims
from jemlib.evaluate.clusters import normalized_mutual_information
from jemlib.losses import proto_nce
from jemlib.scales import SCALES

pytestmark = pytest.mark.slow  # its pictures and its small networks

RUNS = {name: figures.broken_em(name) for name in figures.BREAKS}
KNN = {"none": 0.8, **{f"{kind}_{m}": 0.8 + 0.01 * m for kind in lesson.KINDS for m in range(1, 6)}}


@pytest.mark.parametrize(
    "draw",
    [
        figures.jensen,
        lambda: figures.jensen((0.4, 0.1), 0.9),
        figures.sharper,
        *(
            lambda n=n, s=s, x=x, y=y: figures.em_steps(n, s, x, y)
            for n, s, x, y in [(0, 2.0, 0.0, 0.0), (20, 0.0, -3.5, 3.0), (3, 0.05, 3.5, -2.5), (10, 0.7, 3.5, 3.0)]
        ),
        lambda: figures.monotone(RUNS),
        figures.dropped_factor,
        figures.smoothing,
        lambda: figures.training([0.0] * 4 + [2.0] * 16, [4, 9], [0.3, 0.4]),
        lambda: figures.training([0.0] * 60 + [2.0] * 240, [60, 100], [0.3, 0.4]),
        lambda: figures.bad_one(KNN),
    ],
)
def test_every_picture_draws_with_nothing_cut_off_and_leaves_no_figure_open(draw: Callable[[], Figure]) -> None:
    assert_nothing_is_cut_off(draw())


def test_the_widget_has_sliders_for_steps_sigma_and_the_place_of_a_point() -> None:
    names = [child.description for child in figures.em_widget().children[:-1]]
    assert names == ["steps", "sigma", "x", "y"]


def test_em_never_falls_and_each_of_the_four_breaks_does() -> None:
    assert figures.falls(RUNS["nothing"]) == 0
    assert {name: figures.falls(run) > 0 for name, run in RUNS.items() if name != "nothing"} == dict.fromkeys(
        ("hard Q", "slow copy", "phi by a rule", "mini-batches"), True
    )
    # All are one run until the break.
    assert all(run[:11] == RUNS["nothing"][:11] for run in RUNS.values())


@pytest.mark.parametrize("sigma", [0.0, 0.05, 0.4, 2.0])
def test_the_widgets_curve_never_falls(sigma: float) -> None:
    score = figures.em(figures.points(0.3, 0.4), 20, sigma)[2]
    assert all(after >= before - 1e-12 for before, after in pairwise(score))


def test_a_small_sigma_in_the_widget_is_k_means() -> None:
    v = figures.points(1.0, 1.0)
    (soft, q, _), (hard, one_hot, _) = figures.em(v, 5, 0.05), figures.em(v, 5, 0.0)
    assert_close(q, one_hot, rtol=0, atol=1e-6)
    assert_close(soft[-1], hard[-1], rtol=0, atol=1e-6)


def test_the_dropped_factor_matters_only_where_phi_differs() -> None:
    cosines = torch.tensor([[0.5, 1.0]], dtype=torch.float64)
    assert float(dropped_factor_error(cosines, torch.tensor([0.2, 0.2], dtype=torch.float64))) < 1e-15
    # A sample on the loose prototype: the exact posterior leaves it there, PCL's formula gives it to the tight one.
    assert float(dropped_factor_error(cosines, torch.tensor([0.05, 0.35], dtype=torch.float64))) > 0.99


def test_nmi_of_a_table_is_that_of_the_evaluation() -> None:
    generator = torch.Generator().manual_seed(0)
    clusters, classes = torch.randint(6, (200,), generator=generator), torch.randint(4, (200,), generator=generator)
    classes[:100] = clusters[:100] % 4
    counts = torch.zeros(6, 4, dtype=torch.float64)
    counts.index_put_((clusters, classes), torch.ones(200, dtype=torch.float64), accumulate=True)
    assert float(nmi_of_counts(counts)) == pytest.approx(normalized_mutual_information(clusters, classes), abs=1e-12)


def test_the_prototype_term_is_the_mean_of_proto_nce_for_the_images_of_the_batch() -> None:
    generator = torch.Generator().manual_seed(1)
    v, c = torch.randn(4, 3, generator=generator), torch.randn(2, 5, 3, generator=generator)
    ids, phi = torch.randint(5, (2, 9), generator=generator), torch.rand(2, 5, generator=generator) + 0.1
    index = torch.tensor([7, 0, 3, 8])
    expected = sum(proto_nce(v, c[m], ids[m][index], phi[m]).total for m in range(2)) / 2
    assert_close(prototype_term(v, index, c, ids, phi), expected)


def test_views_of_the_small_world_share_the_core_and_nothing_else() -> None:
    data = lesson.world(0, True)
    generator, index = torch.Generator().manual_seed(0), torch.arange(300)
    unmixed = [data.view(index, generator) @ data.mixing.T for _ in range(2)]
    for view in unmixed:
        assert_close(view[:, : lesson.OWN], data.core, rtol=0, atol=1e-4)
    rest = torch.stack([view[:, lesson.OWN :].flatten() for view in unmixed])
    assert abs(float(torch.corrcoef(rest)[0, 1])) < 0.05
    assert data.labels.bincount().tolist() == [25] * 12


def test_a_bad_e_step_replaces_the_first_clustering_only() -> None:
    data, encoder = lesson.world(0, True), lesson.small_encoder(0)
    found = {kind: lesson.e_step(encoder, data.still, (6, 9), kind, seed=4) for kind in lesson.KINDS}
    assert all(torch.equal(found[kind][1].assignments, found["intact"][1].assignments) for kind in lesson.KINDS)
    intact, random, shuffled = (found[kind][0] for kind in lesson.KINDS)
    assert torch.equal(shuffled.prototypes, intact.prototypes)
    assert torch.equal(shuffled.assignments.bincount(), intact.assignments.bincount())
    agree = [float((x.assignments == intact.assignments).double().mean()) for x in (random, shuffled)]
    assert max(agree) < 0.4
    # The centroids of a random partition lie together; those of k-means do not.
    near = [float(F.cosine_similarity(x.prototypes[:1], x.prototypes[1:]).mean()) for x in (random, intact)]
    assert near[0] > near[1] + 0.2


def test_a_small_run_uses_the_loss_that_it_is_given_and_repeats_itself() -> None:
    calls = []

    def own(*args: torch.Tensor) -> tuple[torch.Tensor, ...]:
        calls.append(len(args[1]))
        return tuple(proto_nce(*args))

    assert lesson.small_run(0, (4, 6), loss=own, few=True) == lesson.small_run(0, (4, 6), few=True)
    assert calls.count(4) == calls.count(6) == 2 * 16  # two views, from a fifth of 20 steps on


def test_a_small_run_tells_what_happened_on_the_way() -> None:
    run = lesson.small_run(0, (12,), few=True)
    assert run.turns == [4, 6, 8, 10, 12, 14, 16, 18]
    assert len(run.nmi) == len(run.turns)
    assert run.term[:4] == [0] * 4
    assert min(run.term[4:]) > 0
    plain = lesson.small_run(0, (), few=True)
    assert plain.untrained == run.untrained
    assert plain.term == [0] * 20
    assert plain.turns == plain.nmi == []


def test_a_jump_is_ten_steps_after_an_e_step_against_ten_before() -> None:
    run = lesson.SmallRun(0.5, [0.0] * 20 + [3.0] * 20 + [2.0] * 10 + [9.0] * 10, [20, 40, 50], [0.1, 0.2, 0.3])
    assert run.jumps == [-1.0, 7.0]


@pytest.mark.parametrize(
    ("id", "good", "bad"),
    [
        ("pcl.a-bad-one-is-diluted", (0.85, 0.79, 0.85, 0.84), (0.85, 0.84, 0.85, 0.85)),
        ("pcl.a-bad-one-is-diluted", (0.85, 0.79, 0.85, 0.84), (0.85, 0.79, 0.85, 0.80)),
        ("pcl.one-random-of-five-costs-little", (0.85, 0.84), (0.85, 0.82)),
        ("pcl.random-is-not-wrong", (0.83, 0.80), (0.80, 0.83)),
        ("pcl.random-is-like-none", (0.83, 0.82), (0.83, 0.75)),
        ("pcl.clusters-help-a-small-encoder", (0.86, 0.82), (0.82, 0.82)),
        ("pcl.clusters-become-classes", (0.2, 0.6), (0.5, 0.6)),
        ("pcl.clusters-find-classes", (0.7, 0.6), (0.6, 0.6)),
        ("pcl.learns", (0.6, 0.25), (0.5, 0.25)),
        ("pcl.clusters-cost-the-network", (0.7, 0.8), (0.7, 0.74)),
    ],
)
def test_a_claim_holds_and_fails_where_it_should(id: str, good: tuple[float, ...], bad: tuple[float, ...]) -> None:
    claim, names = claims.known()[id], list(claims.known()[id].measure(0, SCALES["smoke"]))
    assert claim.lesson == lesson.LESSON
    assert claim.evaluate(dict(zip(names, good)))
    assert not claim.evaluate(dict(zip(names, bad)))
    assert not claim.evaluate({**dict(zip(names, good)), names[0]: math.nan})
