"""Scores of clusters against labels: oracles by hand, invariances, collapse, and bad input."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from planted import generator

from jemlib.evaluate import clusters


@given(st.permutations(range(6)), st.integers(0, 99))
def test_a_labelled_sample_of_each_planted_cluster_names_them_all(order, seed) -> None:
    labels = torch.arange(6).repeat(5)[torch.randperm(30, generator=generator(seed))]
    assignments = torch.tensor(order)[labels]
    labelled = [int((labels == c).nonzero()[0]) for c in range(6)]
    named = clusters.name_clusters(assignments, labels, labelled)
    assert named.accuracy == 1
    assert torch.equal(named.predicted, labels)
    assert torch.equal(named.classes[torch.tensor(order)], torch.arange(6))


def test_the_majority_names_a_cluster_and_the_lower_class_wins_a_tie() -> None:
    assignments = torch.tensor([0, 0, 0, 1, 1, 0, 1])
    labels = torch.tensor([2, 2, 1, 2, 1, 2, 0])
    named = clusters.name_clusters(assignments, labels, [0, 1, 2, 3, 4])
    assert named.classes.tolist() == [2, 1]
    assert named.accuracy == 0.5  # samples 5 (right) and 6 (wrong)
    again = clusters.name_clusters(assignments, labels, torch.tensor([2, 2, 2, 0, 1]))
    assert again.classes.tolist() == [2, -1]  # a repeated position is one vote


def test_a_cluster_without_labels_is_unnamed_or_takes_the_name_of_the_nearest() -> None:
    assignments, labels = torch.tensor([0, 1, 2, 2, 0]), torch.tensor([4, 3, 3, 3, 4])
    alone = clusters.name_clusters(assignments, labels, [0, 1])
    assert alone.classes.tolist() == [4, 3, -1]
    assert alone.accuracy == pytest.approx(1 / 3)
    centroids = torch.tensor([[0.0, 0.0], [5.0, 0.0], [4.0, 1.0], [0.0, 1.0]])
    near = clusters.name_clusters(assignments, labels, [0, 1], centroids=centroids)
    assert near.classes.tolist() == [4, 3, 3, 4]
    assert near.accuracy == 1


def test_unknown_labels_are_not_scored_and_nothing_to_score_is_nan() -> None:
    assignments = torch.tensor([0, 0, 1, 1])
    assert clusters.name_clusters(assignments, torch.tensor([0, -1, 1, 0]), [0, 2]).accuracy == 0
    assert math.isnan(clusters.name_clusters(assignments, torch.tensor([0, -1, 1, -1]), [0, 2]).accuracy)


@given(st.integers(1, 4), st.integers(1, 4), st.integers(0, 999))
def test_hungarian_accuracy_is_the_best_of_all_one_to_one_namings(k, c, seed) -> None:
    assignments = torch.randint(k, (15,), generator=generator(seed))
    labels = torch.randint(c, (15,), generator=generator(seed + 1))
    wide = max(k, c)
    best = 0
    for naming in itertools.permutations(range(wide)):
        best = max(best, sum(naming[a] == b for a, b in zip(assignments.tolist(), labels.tolist())))
    assert clusters.hungarian_accuracy(assignments, labels) == pytest.approx(best / 15)


@given(st.permutations(range(5)), st.integers(0, 99))
def test_cluster_scores_ignore_how_clusters_are_numbered(order, seed) -> None:
    labels = torch.randint(5, (40,), generator=generator(seed))
    noisy = torch.where(torch.rand(40, generator=generator(seed)) < 0.3, 0, labels)
    for score in (clusters.hungarian_accuracy, clusters.normalized_mutual_information):
        assert score(torch.tensor(order)[noisy], labels) == pytest.approx(score(noisy, labels))
        assert score(torch.tensor(order)[labels], labels) == pytest.approx(1)


def test_mutual_information_is_that_of_the_definition() -> None:
    a, b = torch.tensor([0, 0, 0, 1, 1, 2]), torch.tensor([0, 0, 1, 1, 1, 0])
    joint = torch.zeros(3, 2, dtype=torch.float64)
    for i, j in zip(a.tolist(), b.tolist()):
        joint[i, j] += 1 / 6

    def entropy(p: torch.Tensor) -> float:
        return -sum(x * math.log(x) for x in p.flatten().tolist() if x > 0)

    h_a, h_b = entropy(joint.sum(1)), entropy(joint.sum(0))
    expected = (h_a + h_b - entropy(joint)) / ((h_a + h_b) / 2)
    assert clusters.normalized_mutual_information(a, b) == pytest.approx(expected, rel=1e-12)


def test_cluster_scores_at_collapse() -> None:
    one, labels = torch.zeros(10, dtype=torch.int64), torch.tensor([0] * 4 + [1] * 3 + [2] * 3)
    assert clusters.hungarian_accuracy(one, labels) == pytest.approx(0.4)
    assert clusters.normalized_mutual_information(one, labels) == pytest.approx(0, abs=1e-12)


IDS = torch.tensor([0, 1, 1])


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: clusters.name_clusters(IDS, IDS, []), ValueError, "labelled must have shape"),
        (lambda: clusters.name_clusters(IDS, IDS, [3]), ValueError, r"labelled must lie in \[0, 2\]"),
        (lambda: clusters.name_clusters(IDS, IDS, [-1]), ValueError, "labelled must be >= 0"),
        (lambda: clusters.name_clusters(IDS, IDS - 1, [0]), ValueError, "an unknown label"),
        (lambda: clusters.name_clusters(IDS, IDS - 2, [0]), ValueError, "labels must be >= -1"),
        (lambda: clusters.name_clusters(IDS, IDS, [0], centroids=torch.ones(1, 2)), ValueError, "each of 2 clusters"),
        (lambda: clusters.hungarian_accuracy(IDS.float(), IDS), TypeError, "assignments must be whole numbers"),
        (lambda: clusters.hungarian_accuracy(IDS, IDS[:2]), ValueError, r"labels must have shape \(N,\), N = 3"),
        (lambda: clusters.hungarian_accuracy(IDS - 1, IDS), ValueError, "assignments must be >= 0"),
        (lambda: clusters.normalized_mutual_information(IDS[None], IDS), ValueError, "assignments must have shape"),
    ],
)
def test_bad_input_to_cluster_scores_is_named(call, error, message) -> None:
    with pytest.raises(error, match=message):
        call()
