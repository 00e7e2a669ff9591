"""Optimisers and schedule."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import nn

from jemlib.scales import OPTIMIZERS
from jemlib.train import build_optimizer
from jemlib.train.optimizers import learning_rate


def test_the_rate_rises_to_the_peak_and_falls_as_half_a_cosine() -> None:
    rates = [learning_rate(step, 110, 10, 2.0) for step in range(110)]
    assert rates[0] == pytest.approx(0.2)
    assert rates[9] == rates[10] == 2.0
    assert rates[60] == pytest.approx(1.0)
    assert rates[-1] == pytest.approx(1 + math.cos(math.pi * 0.99), abs=1e-12)
    assert all(a > b for a, b in itertools.pairwise(rates[10:]))


def test_without_warm_up_the_first_rate_is_the_peak() -> None:
    assert learning_rate(0, 5, 0, 0.3) == 0.3


def test_a_warm_up_longer_than_the_run_is_finite() -> None:
    assert learning_rate(3, 4, 10, 1.0) == pytest.approx(0.4)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_biases_and_norm_parameters_are_not_decayed(name: str) -> None:
    """With zero gradients only weight decay moves a parameter."""
    net = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    nn.init.ones_(net[0].bias)
    before = [p.clone() for p in net.parameters()]
    optimizer = build_optimizer(name, net, lr=0.1, weight_decay=0.5)
    for parameter in net.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    moved = [not torch.equal(a, b) for a, b in zip(before, net.parameters())]
    assert moved == [True, False, False, False]


def test_an_unknown_optimizer_is_named() -> None:
    with pytest.raises(ValueError, match="optimizer must be one of 'adamw', 'sgd'; got 'adam'"):
        build_optimizer("adam", nn.Linear(2, 2), 0.1, 0.0)
