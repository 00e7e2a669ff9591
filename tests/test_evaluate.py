"""kNN, linear probe, protocol, baselines."""

from __future__ import annotations

import math

import pytest
import torch

from jemlib import evaluate
from jemlib.data import load
from jemlib.experiments import baselines
from jemlib.nets import features
from jemlib.nets.backbones import conv_small


def clusters(n: int, noise: float, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(n) % 3
    centres = torch.eye(3, 5)
    return centres[labels] + noise * torch.randn(n, 5, generator=generator), labels


def knn_by_loops(bank: torch.Tensor, labels: torch.Tensor, queries: torch.Tensor, k: int, t: float) -> list[int]:
    predicted = []
    for q in queries.tolist():
        scored = []
        for row, label in zip(bank.tolist(), labels.tolist()):
            dot = sum(a * b for a, b in zip(q, row))
            norm = math.sqrt(sum(a * a for a in q)) * math.sqrt(sum(a * a for a in row))
            scored.append((dot / norm, label))
        votes: dict[int, float] = {}
        for similarity, label in sorted(scored, reverse=True)[:k]:
            votes[label] = votes.get(label, 0.0) + math.exp(similarity / t)
        predicted.append(max(votes, key=lambda c: votes[c]))
    return predicted


def test_knn_agrees_with_loops_over_neighbours() -> None:
    bank, labels = clusters(60, 0.8)
    queries, truth = clusters(40, 0.8, seed=1)
    predicted = knn_by_loops(bank, labels, queries, k=7, t=0.2)
    expected = sum(p == t for p, t in zip(predicted, truth.tolist())) / len(truth)
    assert evaluate.knn(bank, labels, queries, truth, k=7, temperature=0.2) == pytest.approx(expected)
    assert 0.4 < expected < 1.0  # neither trivial nor perfect, so that an error shows


def test_separated_clusters_are_classified_perfectly() -> None:
    bank, labels = clusters(60, 0.01)
    queries, truth = clusters(30, 0.01, seed=1)
    assert evaluate.knn(bank, labels, queries, truth) == 1.0
    assert evaluate.linear_probe(bank, labels, queries, truth) == 1.0


def test_shuffled_labels_score_at_chance() -> None:
    bank, labels = clusters(600, 0.1)
    queries, truth = clusters(300, 0.1, seed=1)
    shuffled = labels[torch.randperm(600, generator=torch.Generator().manual_seed(0))]
    assert evaluate.knn(bank, shuffled, queries, truth) < 0.5
    assert evaluate.linear_probe(bank, shuffled, queries, truth) < 0.5


def test_the_linear_probe_does_not_depend_on_the_units_of_a_feature() -> None:
    bank, labels = clusters(90, 0.5)
    queries, truth = clusters(60, 0.5, seed=1)
    units = torch.tensor([1.0, 1e3, 1e-3, 10.0, 1.0])
    plain = evaluate.linear_probe(bank, labels, queries, truth)
    assert evaluate.linear_probe(bank * units, labels, queries * units, truth) == plain


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"train_labels": torch.zeros(5, dtype=torch.long)}, r"train_labels must have shape \(60,\)"),
        ({"test_features": torch.randn(40, 4)}, "same D; got 5 and 4"),
        ({"train_features": torch.full((60, 5), float("nan"))}, "train_features must be finite"),
        ({"k": 61}, "k must be <= the number of training images 60; got 61"),
        ({"k": 0}, "k must be >= 1; got 0"),
        ({"temperature": 0.0}, "temperature must be a finite number > 0"),
    ],
)
def test_bad_input_to_knn_is_named(change: dict[str, object], message: str) -> None:
    bank, labels = clusters(60, 0.5)
    queries, truth = clusters(40, 0.5)
    good = {"train_features": bank, "train_labels": labels, "test_features": queries, "test_labels": truth}
    with pytest.raises(ValueError, match=message):
        evaluate.knn(**{**good, **change})


def test_a_probe_with_one_class_is_refused() -> None:
    bank, labels = clusters(60, 0.5)
    with pytest.raises(ValueError, match="at least two classes"):
        evaluate.linear_probe(bank, torch.zeros_like(labels), bank, labels)


def test_features_leave_the_module_in_the_mode_it_was_in() -> None:
    net = conv_small().train()
    images = load("motifs", "test", limit=16)
    first = features(net, images)
    assert net.training
    assert first.shape == (16, net.dim)
    assert not first.requires_grad


def test_parts_that_were_evaluating_stay_so_when_they_are_evaluated_together() -> None:
    backbone, tail = conv_small().eval(), torch.nn.BatchNorm1d(128).train()
    features(torch.nn.Sequential(backbone, tail), load("motifs", "test", limit=4))
    assert not any(part.training for part in backbone.modules())
    assert tail.training


def test_features_do_not_depend_on_the_batch_size() -> None:
    net = conv_small()
    images = load("motifs", "test", limit=30)
    torch.testing.assert_close(features(net, images, batch_size=7), features(net, images), rtol=1e-4, atol=1e-5)


def test_the_protocol_names_everything_a_reader_needs_to_compare() -> None:
    train, test = load("motifs", "train", limit=50), load("motifs", "test", limit=30)
    text = evaluate.evaluate(conv_small(), train, test).protocol
    for part in ("before the projector", "50 images of motifs/train", "30 of motifs/test", "k=20", "cosine", "C=1"):
        assert part in text


def test_the_baselines_come_in_one_call() -> None:
    train, test = load("motifs", "train", limit=300), load("motifs", "test", limit=100)
    rows = baselines(train, test, scale="smoke")
    assert list(rows) == ["raw pixels", "untrained", "supervised"]
    assert all(0 <= row[name] <= 1 for row in rows.values() for name in ("knn", "linear"))
