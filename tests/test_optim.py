"""Optimisers and schedule."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import nn

from jemlib.scales import OPTIMIZERS
from jemlib.train import LARS, build_optimizer, learning_rate


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


def test_lars_steps_by_its_formula() -> None:
    """v <- 0.9 v + (g + wd w) eta |w| / |g + wd w|;  w <- w - lr v."""
    w = nn.Parameter(torch.tensor([[3.0, 4.0]]))
    optimizer = LARS([w], lr=0.5, momentum=0.9, weight_decay=0.1, eta=0.01)
    expected, velocity = w.detach().clone(), torch.zeros(1, 2)
    for _ in range(3):
        w.grad = torch.tensor([[1.0, -2.0]])
        g = w.grad + 0.1 * expected
        velocity = 0.9 * velocity + g * 0.01 * expected.norm() / g.norm()
        expected = expected - 0.5 * velocity
        optimizer.step()
    torch.testing.assert_close(w.detach(), expected, rtol=1e-5, atol=1e-7)


def test_lars_state_survives_saving() -> None:
    def run(split: bool) -> torch.Tensor:
        w = nn.Parameter(torch.ones(2, 2))
        optimizer = LARS([w], lr=0.1)
        for step in range(4):
            if split and step == 2:
                state = optimizer.state_dict()
                optimizer = LARS([w], lr=0.1)
                optimizer.load_state_dict(state)
            w.grad = torch.full((2, 2), 1.0 + step)
            optimizer.step()
        return w.detach()

    assert torch.equal(run(split=True), run(split=False))


def test_an_unknown_optimizer_is_named() -> None:
    with pytest.raises(ValueError, match="optimizer must be one of 'adamw', 'sgd', 'lars'; got 'adam'"):
        build_optimizer("adam", nn.Linear(2, 2), 0.1, 0.0)
