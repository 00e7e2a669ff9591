"""RIS: both variants against loops over exact fractions, the identities, planted units, ties, baselines."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from typing import Any

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from oracles import normal, permutation, seeds
from torch import Tensor
from torch.testing import assert_close

from jemlib.invariance import (
    RIS,
    fire,
    firing_threshold,
    global_firing_rate,
    local_firing_rate,
    ris,
    target_conditioned_invariance,
)
from jemlib.invariance.firing import VARIANTS

Labelled = tuple[Tensor, Tensor, Tensor]  # h, trajectories, classes

each_variant = pytest.mark.parametrize("variant", VARIANTS)


def labels(num_classes: int, per_class: int, frames: int) -> tuple[Tensor, Tensor]:
    """Trajectories and classes, balanced, in order."""
    trajectories = torch.arange(num_classes * per_class).repeat_interleave(frames)
    return trajectories, trajectories // per_class


def one_hot(classes: Tensor, copies: int = 1) -> Tensor:
    return torch.eye(int(classes.max()) + 1, dtype=torch.float64)[classes].repeat(1, copies)


def values(kind: str, seed: int, *shape: int) -> Tensor:
    """Units without ties, units with some, and units that are mostly 0."""
    z = normal(seed, *shape)
    return {"continuous": z, "rounded": (2 * z).round(), "relu": (z - 0.8).relu()}[kind]


@st.composite
def labelled(draw: st.DrawFn, kinds: tuple[str, ...] = ("continuous", "rounded", "relu")) -> Labelled:
    """Unequal trajectories of unequal classes with arbitrary ids, the images in any order."""
    lengths = draw(st.lists(st.lists(st.integers(1, 4), min_size=1, max_size=3), min_size=2, max_size=4))
    if max(map(max, lengths)) < 3:
        lengths[0][0] = 3  # the official variant needs one
    rows = [(10 * c + t, 7 - 3 * c) for c, ts in enumerate(lengths) for t, n in enumerate(ts) for _ in range(n)]
    trajectories, classes = torch.tensor(rows).unbind(dim=1)
    order = permutation(draw(seeds), len(rows))
    h = values(draw(st.sampled_from(kinds)), draw(seeds), len(rows), draw(st.integers(1, 6)))
    return h, trajectories[order], classes[order]


@st.composite
def balanced(draw: st.DrawFn, min_classes: int = 2) -> Labelled:
    """Classes of one size, trajectories of one length, no ties."""
    shape = draw(st.integers(min_classes, 5)), draw(st.integers(1, 4)), draw(st.integers(3, 5))
    trajectories, classes = labels(*shape)
    return normal(draw(seeds), len(classes), draw(st.integers(1, 8))), trajectories, classes


# --- oracles: loops over images and units, exact fractions ------------------------------------------------------


def mean(items: list[Any]) -> Fraction:
    return Fraction(sum(items)) / len(items) if items else Fraction(0)


def oracle_local(fires: list[bool], trajectories: list[int], classes: list[int]) -> dict[int, list[Fraction]]:
    """Of one unit: class -> its firing rate on each trajectory."""
    rates: dict[int, list[Fraction]] = {y: [] for y in sorted(set(classes))}
    for t in sorted(set(trajectories)):
        inside = [i for i, other in enumerate(trajectories) if other == t]
        rates[classes[inside[0]]].append(mean([fires[i] for i in inside]))
    return rates


def oracle_definition(h: Tensor, trajectories: list[int], classes: list[int]) -> list[list[Fraction]]:
    """I_y(i), one list over the classes for each unit."""
    m, result = len(h), []
    count = min(max(round(m / len(set(classes))), 1), m - 1)
    for column in h.T.tolist():
        best: tuple[Fraction, list[Fraction]] | None = None
        for sign in (1, -1):
            signed = [sign * x for x in column]
            threshold = sorted(signed, reverse=True)[count]
            fires = [x > threshold for x in signed]
            local = [mean(rates) for rates in oracle_local(fires, trajectories, classes).values()]
            overall = mean(fires)
            if best is None or max(local) > best[0]:
                best = max(local), [rate / overall if overall else Fraction(0) for rate in local]
        assert best is not None
        result.append(best[1])
    return result


def oracle_official(h: Tensor, trajectories: list[int], classes: list[int]) -> list[list[Fraction]]:
    m, result = len(h), []
    percentile = min((1 - 1 / len(set(classes))) * 100, 95)
    for column in h.T.tolist():
        above = sorted(column)[int(m * percentile // 100)]
        below = sorted(column, reverse=True)[int(m * percentile // 100)]
        overall = mean([x >= above for x in column])
        row = []
        for y in sorted(set(classes)):
            rates = []
            for t in sorted(set(trajectories)):
                inside = [x for x, other, c in zip(column, trajectories, classes) if other == t and c == y]
                if len(inside) >= 3:
                    fired = max(sum(x > above for x in inside), sum(x < below for x in inside))
                    rates += [Fraction(fired, len(inside))] if fired else []
            row.append(mean(rates) / overall)
        result.append(row)
    return result


def oracle_score(invariance: list[list[Fraction]], k: int) -> float:
    by_class = list(zip(*invariance))
    return float(mean([mean(sorted(row, reverse=True)[:k]) for row in by_class]))


# --- values ----------------------------------------------------------------------------------------------------


def test_golden_ris1_two_selective_units_and_two_classes() -> None:
    trajectories, classes = labels(2, 1, 2)
    h = one_hot(classes)
    first, both = (ris(h, trajectories, classes, k) for k in (1, 2))
    assert torch.equal(first.invariance, torch.tensor([[2.0, 0.0], [0.0, 2.0]], dtype=torch.float64))
    assert torch.equal(first.firing_rate, torch.tensor([0.5, 0.5], dtype=torch.float64))
    assert (first.score, both.score, first.percent, both.percent) == (2, 1, 100, 50)
    assert first.units.tolist() == [[0], [1]]


@pytest.mark.parametrize(("variant", "oracle"), [("definition", oracle_definition), ("official", oracle_official)])
@given(data=labelled(), share=st.floats(0.01, 1))
def test_both_variants_equal_the_loops(variant: str, oracle: Any, data: Labelled, share: float) -> None:
    h, trajectories, classes = data
    k = max(1, round(share * h.shape[1]))
    result = ris(*data, k, variant, num_shuffles=1)
    expected = oracle(h, trajectories.tolist(), classes.tolist())
    assert_close(result.invariance.T, torch.tensor([[float(x) for x in row] for row in expected], dtype=torch.float64))
    assert_close(result.score, oracle_score(expected, k), rtol=1e-12, atol=1e-14)
    chosen = result.invariance.gather(1, result.units)
    assert_close(chosen.mean().item(), result.score, rtol=1e-12, atol=1e-14)
    assert result.classes.tolist() == sorted(set(classes.tolist()))


@given(data=labelled(), rate=st.floats(0.05, 0.95), seed=seeds)
def test_the_steps_equal_the_loops(data: Labelled, rate: float, seed: int) -> None:
    h, trajectories, classes = data
    signs = 2 * torch.randint(2, (h.shape[1],), generator=torch.Generator().manual_seed(seed)) - 1
    fires, threshold = fire(h, rate, signs), firing_threshold(h, rate, signs)
    local = local_firing_rate(fires, trajectories, classes)
    for i, (column, sign) in enumerate(zip(h.T.tolist(), signs.tolist())):
        expected = [sign * x > threshold[i].item() for x in column]
        assert fires[:, i].tolist() == expected
        assert_close(global_firing_rate(fires)[i].item(), float(mean(expected)), rtol=1e-12, atol=0)
        rates = oracle_local(expected, trajectories.tolist(), classes.tolist()).values()
        assert_close(local[:, i].tolist(), [float(mean(r)) for r in rates], rtol=1e-12, atol=0)


@given(data=labelled())
def test_the_definition_is_the_steps_one_after_the_other(data: Labelled) -> None:
    h, trajectories, classes = data
    result = ris(*data, 1, num_shuffles=1)
    assert result.signs is not None
    fires = fire(h, result.target_rate, result.signs)
    local = local_firing_rate(fires, trajectories, classes)
    assert torch.equal(target_conditioned_invariance(local, global_firing_rate(fires)), result.invariance)
    assert torch.equal(local_firing_rate(fires.float(), trajectories, classes), local)  # 0 and 1 will do


@given(seed=seeds, m=st.integers(2, 40), rate=st.floats(0.01, 1))
def test_without_ties_a_unit_fires_on_the_share_asked_for(seed: int, m: int, rate: float) -> None:
    wanted = min(max(round(rate * m), 1), m - 1)
    assert fire(normal(seed, m, 3), rate).sum(dim=0).tolist() == [wanted] * 3
    assert fire(normal(seed, m, 3), rate, -1).sum(dim=0).tolist() == [wanted] * 3


def test_a_trajectory_counts_once_whatever_its_length() -> None:
    fires = torch.tensor([[True], [False], [False], [False], [False]])
    trajectories, classes = torch.tensor([0, 1, 1, 1, 1]), torch.tensor([5, 5, 5, 5, 5])
    assert local_firing_rate(fires, trajectories, classes).tolist() == [[0.5]]  # not 1/5


@each_variant
def test_percent_is_the_score_times_the_rate_aimed_at(variant: str) -> None:
    trajectories, classes = labels(30, 2, 3)
    h = normal(0, len(classes), 12)
    floor = ris(h, trajectories, classes, 3, variant)
    assert floor.target_rate == pytest.approx(0.05 if variant == "official" else 1 / 30)
    given_rate = ris(h, trajectories, classes, 3, variant, target_rate=0.2)
    assert given_rate.target_rate == pytest.approx(0.2)
    for result in (floor, given_rate):
        assert result.percent == pytest.approx(100 * result.target_rate * result.score)
        assert result.shuffled_percent == pytest.approx(100 * result.target_rate * result.shuffled)
        assert result.null_percent == pytest.approx(100 * result.target_rate * result.null)


# --- identities of the definition ------------------------------------------------------------------------------


@given(data=balanced())
def test_under_equal_weights_the_mean_of_i_over_the_classes_is_one(data: Labelled) -> None:
    result = ris(*data, k=data[0].shape[1], num_shuffles=1)
    assert_close(result.invariance.mean(dim=0), torch.ones_like(result.firing_rate), rtol=1e-12, atol=0)
    assert result.score == pytest.approx(1, rel=1e-12)  # so all units together score 1


@given(data=balanced())
def test_the_score_never_rises_with_k_and_lies_between_1_and_the_number_of_classes(data: Labelled) -> None:
    scores = [ris(*data, k, num_shuffles=1).score for k in range(1, data[0].shape[1] + 1)]
    assert all(more <= less + 1e-12 for less, more in pairwise(scores))
    assert scores[-1] >= 1 - 1e-12
    assert scores[0] <= len(data[2].unique()) + 1e-12


@given(data=labelled())
def test_i_lies_between_0_and_one_over_g(data: Labelled) -> None:
    for variant in VARIANTS:
        result = ris(*data, 1, variant, num_shuffles=1)
        assert (result.invariance >= 0).all()
        assert (result.invariance * result.firing_rate <= 1 + 1e-12).all()


@each_variant
@given(data=labelled(), seed=seeds)
def test_a_strictly_increasing_function_of_each_unit_changes_nothing(variant: str, data: Labelled, seed: int) -> None:
    h, *rest = data
    scale = normal(seed, h.shape[1]).abs() + 0.1
    # Products and sums only: a vectorised sinh need not give equal numbers for equal numbers.
    bent = ris(scale * (h * h * h + h), *rest, 1, variant, num_shuffles=1)
    plain = ris(h, *rest, 1, variant, num_shuffles=1)
    assert torch.equal(bent.invariance, plain.invariance)
    assert (bent.shuffled, bent.null) == (plain.shuffled, plain.null)


@each_variant
@given(data=labelled(), seed=seeds)
def test_the_order_of_units_and_of_images_changes_nothing(variant: str, data: Labelled, seed: int) -> None:
    h, trajectories, classes = data
    units, order = permutation(seed, h.shape[1]), permutation(seed + 1, len(h))
    moved = ris(h[order][:, units], trajectories[order], classes[order], 1, variant, num_shuffles=1)
    assert_close(moved.invariance, ris(*data, 1, variant, num_shuffles=1).invariance[:, units])


@given(data=balanced(min_classes=3), seed=seeds)
def test_flipping_units_changes_nothing_where_one_sign_is_better(data: Labelled, seed: int) -> None:
    h, trajectories, classes = data
    rate = 1 / len(classes.unique())
    up, down = (local_firing_rate(fire(h, rate, s), trajectories, classes).amax(dim=0) for s in (1, -1))
    h = h[:, (up - down).abs() > 1e-6]
    assume(h.shape[1] > 0)
    flips = normal(seed, h.shape[1]).sign()
    flipped, plain = (ris(x, trajectories, classes, 1, num_shuffles=1) for x in (h * flips, h))
    assert torch.equal(flipped.invariance, plain.invariance)
    assert flipped.signs is not None
    assert plain.signs is not None
    assert torch.equal(flipped.signs * flips, plain.signs.double())


def test_caveat_with_two_balanced_classes_both_signs_tie_and_a_flip_changes_the_score() -> None:
    trajectories, classes = labels(2, 1, 2)
    h = one_hot(classes) * torch.tensor([1.0, -1.0])
    assert ris(h, trajectories, classes, 1).score == 1  # both units now fire for class 0


# --- planted units ---------------------------------------------------------------------------------------------


def planted(share: Fraction) -> Labelled:
    """Unit y fires on this share of each trajectory of class y, and elsewhere as seldom as G = 1/10 leaves it."""
    trajectories, classes = labels(10, 10, 6)
    frame = torch.arange(600) % 6
    h = normal(0, 600, 10)
    for y in range(10):
        own = (classes == y) & (frame < int(6 * share))
        elsewhere = ((classes != y) & (frame == 0)).nonzero().flatten()
        left_over = 60 - int(own.sum())
        h[own, y] += 100
        h[elsewhere[:: max(1, 90 // max(left_over, 1))][:left_over], y] += 100
    return h, trajectories, classes


@pytest.mark.parametrize("share", [Fraction(1), Fraction(5, 6), Fraction(1, 2)])
def test_planted_units_recover_their_share_over_g(share: Fraction) -> None:
    result = ris(*planted(share), k=1)
    assert result.score == pytest.approx(float(share) / 0.1, rel=1e-12)
    assert result.percent == pytest.approx(100 * float(share), rel=1e-12)
    assert result.units.flatten().tolist() == list(range(10))
    assert result.score > 1.5 * result.shuffled > result.null


@pytest.mark.parametrize("num_classes", [2, 10, 25])
def test_one_hot_class_units_score_100_percent(num_classes: int) -> None:
    trajectories, classes = labels(num_classes, 8, 6)
    assert ris(one_hot(classes, 10), trajectories, classes).percent == pytest.approx(100)


def test_units_that_know_the_object_but_not_its_class_stand_between_null_and_class_units() -> None:
    trajectories, classes = labels(5, 8, 6)
    of_object = normal(0, 40, 30)[trajectories] + 1e-3 * normal(1, 240, 30)  # perfectly invariant, no class in it
    result = ris(of_object, trajectories, classes)
    assert result.score == pytest.approx(result.shuffled, rel=0.1)
    assert result.score > 1.3 * result.null


# --- ties and dead units ---------------------------------------------------------------------------------------


def test_a_relu_unit_below_its_target_rate_is_divided_by_its_own_g() -> None:
    trajectories, classes = labels(10, 10, 6)
    h = one_hot(classes) * ((torch.arange(600) % 6) < 3)[:, None]  # half of the frames of its class, 0 elsewhere
    result = ris(h, trajectories, classes, 1)
    assert_close(result.firing_rate, torch.full((10,), 0.05, dtype=torch.float64))
    assert result.score == pytest.approx(0.5 / 0.05)


def test_caveat_a_unit_that_fires_once_reaches_the_ceiling() -> None:
    trajectories, classes = labels(4, 5, 6)
    h = torch.zeros(120, 4)
    h[torch.arange(4) * 30, torch.arange(4)] = 1.0
    result = ris(h, trajectories, classes, 1)
    assert result.score == pytest.approx(4)
    assert result.firing_rate.max() == pytest.approx(1 / 120)  # and this is how one sees it


def test_a_dead_unit_adds_nothing_to_the_score() -> None:
    trajectories, classes = labels(3, 2, 3)
    h = torch.cat([torch.zeros(18, 2, dtype=torch.float64), one_hot(classes)], dim=1)
    result = ris(h, trajectories, classes, 1)
    assert result.firing_rate[:2].tolist() == [0, 0]
    assert result.invariance[:, :2].tolist() == [[0, 0]] * 3
    assert result.units.flatten().tolist() == [2, 3, 4]
    assert result.score == ris(one_hot(classes), trajectories, classes, 1).score
    assert ris(h, trajectories, classes, 5).score == pytest.approx(3 / 5)


@each_variant
def test_a_collapsed_representation_scores_zero(variant: str) -> None:
    result = ris(torch.full((18, 12), 0.3), *labels(3, 2, 3), variant=variant)
    assert (result.score, result.percent, result.shuffled, result.null) == (0, 0, 0, 0)


def test_pitfall_10_exact_ties_take_perfect_units_to_0_in_the_official_variant() -> None:
    for num_classes, percent in ((10, 0.0), (25, 5.0)):
        trajectories, classes = labels(num_classes, 8, 6)
        h = one_hot(classes, 10)
        assert ris(h, trajectories, classes, variant="official").percent == pytest.approx(percent)
        # The least noise undoes the ties, but `>` still leaves out the image at the threshold.
        result = ris(h + 1e-3 * normal(0, *h.shape), trajectories, classes, variant="official")
        assert 97 < result.percent <= 100


# --- noise and baselines ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("variant", "k", "low", "high"),
    [("definition", 10, 9, 10.5), ("definition", 25, 7.3, 8.5), ("official", 10, 26, 28.5), ("official", 25, 23, 25.5)],
)
def test_caveat_p11_the_official_variant_gives_a_quarter_for_noise(
    variant: str, k: int, low: float, high: float
) -> None:
    result = ris(normal(0, 1200, 100), *labels(25, 8, 6), k, variant)
    assert low < result.percent < high
    assert result.score > 1.5  # by choosing the best k of 100 units
    assert result.shuffled == pytest.approx(result.score, rel=0.05)
    assert result.null == pytest.approx(result.score, rel=0.05)


def test_choosing_the_best_units_of_noise_exceeds_1_and_choosing_signs_adds_to_it() -> None:
    h, (trajectories, classes) = normal(0, 1200, 100), labels(25, 8, 6)
    fires = fire(h, 1 / 25)
    one_sign = target_conditioned_invariance(local_firing_rate(fires, trajectories, classes), global_firing_rate(fires))
    for k, expected in ((10, 2.33), (25, 1.92)):
        score = one_sign.topk(k, dim=1).values.mean().item()
        assert score == pytest.approx(expected, abs=0.06)
        assert score < ris(h, trajectories, classes, k).score < 1.1 * score


def test_the_official_variant_hardly_tells_a_class_from_a_shuffled_one() -> None:
    trajectories, classes = labels(20, 8, 6)
    h = one_hot(classes, 10) + 0.01 * normal(0, 960, 200)
    definition, official = (ris(h, trajectories, classes, variant=v) for v in VARIANTS)
    assert definition.shuffled < 0.3 * definition.score
    assert official.shuffled > 0.85 * official.score


def test_with_one_trajectory_per_class_only_the_null_is_a_baseline() -> None:
    trajectories, classes = labels(8, 1, 6)
    result = ris(one_hot(classes, 2), trajectories, classes, 2)
    assert result.shuffled == pytest.approx(result.score)
    assert result.null < 0.6 * result.score


def test_the_shuffles_depend_on_the_seed_alone_and_leave_the_global_state() -> None:
    h, rest = normal(0, 120, 20), labels(5, 4, 6)
    state = torch.get_rng_state()
    first, again, other = (ris(h, *rest, seed=s) for s in (3, 3, 4))
    assert torch.equal(torch.get_rng_state(), state)
    assert (first.shuffled, first.null) == (again.shuffled, again.null)
    assert (first.shuffled, first.null) != (other.shuffled, other.null)
    assert first.score == other.score
    assert ris(h, *rest, num_shuffles=1).shuffled != ris(h, *rest, num_shuffles=2).shuffled


# --- input -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
def test_short_floats_are_taken_as_the_numbers_they_are(dtype: torch.dtype) -> None:
    h, rest = normal(0, 120, 20).to(dtype), labels(5, 4, 6)
    result, exact = ris(h, *rest), ris(h.double(), *rest)
    assert result.score == exact.score
    assert torch.equal(result.invariance, exact.invariance)


def test_inputs_are_left_alone() -> None:
    h, (trajectories, classes) = normal(0, 120, 20), labels(5, 4, 6)
    copies = h.clone(), trajectories.clone(), classes.clone()
    for variant in VARIANTS:
        ris(h, trajectories, classes, variant=variant)
    assert all(torch.equal(x, y) for x, y in zip((h, trajectories, classes), copies))


H, (T, Y) = normal(0, 30, 12), labels(5, 2, 3)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"h": H.tolist()}, TypeError, "h must be a torch.Tensor"),
        ({"h": H[0]}, ValueError, "h must have shape"),
        ({"h": H.long()}, TypeError, "h must be floating point"),
        ({"h": H / 0}, ValueError, "h must be finite"),
        ({"h": H[:1]}, ValueError, "h needs at least 2 samples"),
        ({"trajectories": T.tolist()}, TypeError, "trajectories must be a torch.Tensor"),
        ({"trajectories": T[:-1]}, ValueError, r"trajectories must have shape \(M,\), M = 30"),
        ({"trajectories": T.float()}, TypeError, "trajectories must be whole numbers"),
        ({"classes": Y[:, None]}, ValueError, r"classes must have shape \(M,\), M = 30"),
        ({"classes": Y > 2}, TypeError, "classes must be whole numbers"),
        ({"classes": 0 * Y}, ValueError, "classes must hold at least two classes; got only 0"),
        ({"classes": Y.index_fill(0, torch.tensor([4]), 3)}, ValueError, r"trajectory 1 holds the classes \[0, 3\]"),
        ({"k": 0}, ValueError, "k must be >= 1"),
        ({"k": 2.0}, TypeError, "k must be a whole number"),
        ({"k": 13}, ValueError, "k must be <= the number of units 12; got 13"),
        ({"variant": "offical"}, ValueError, "Did you mean 'official'"),
        ({"variant": "official", "trajectories": torch.arange(30) // 2 % 15, "classes": torch.arange(30) // 6},
         ValueError, "skips shorter ones; the longest has 2"),
        ({"target_rate": 0.0}, ValueError, "target_rate must be a finite number > 0"),
        ({"target_rate": 1.5}, ValueError, "target_rate must be a finite number"),
        ({"num_shuffles": 0}, ValueError, "num_shuffles must be >= 1"),
        ({"seed": -1}, ValueError, "seed must be >= 0"),
    ],
)  # fmt: skip
def test_ris_names_the_bad_argument(change: dict[str, Any], error: type[Exception], message: str) -> None:
    assert isinstance(ris(H, T, Y), RIS)
    with pytest.raises(error, match=message):
        ris(**{"h": H, "trajectories": T, "classes": Y, **change})


def test_the_steps_name_the_bad_argument() -> None:
    with pytest.raises(ValueError, match="rate must be a finite number > 0 and <= 1; got 0"):
        fire(H, 0)
    for signs in (0, torch.ones(3), torch.full((12,), 2)):
        with pytest.raises(ValueError, match=r"signs must be \+1 or -1, one or a tensor \(12,\)"):
            fire(H, 0.1, signs)
    with pytest.raises(TypeError, match=r"fires must be a torch\.Tensor"):
        global_firing_rate(H.tolist())
    with pytest.raises(ValueError, match="fires must be bool, or numbers that are 0 or 1"):
        global_firing_rate(H)
    with pytest.raises(ValueError, match="fires must have shape"):
        local_firing_rate(T > 2, T, Y)
    with pytest.raises(ValueError, match=r"overall must have shape \(U,\), U = 12"):
        target_conditioned_invariance(H, H)
