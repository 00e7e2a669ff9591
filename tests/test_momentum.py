"""The momentum encoder: starts equal, follows, and keeps its own batch statistics."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from jemlib.nets import MomentumEncoder, cosine_momentum


def student(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))


@pytest.mark.parametrize(("progress", "expected"), [(0.0, 0.996), (0.5, 0.998), (1.0, 1.0)])
def test_the_momentum_rises_from_its_base_to_one_by_a_half_cosine(progress: float, expected: float) -> None:
    assert cosine_momentum(progress, 0.996) == pytest.approx(expected, abs=1e-12)


def test_the_copy_starts_equal_shares_nothing_and_has_no_gradient() -> None:
    network = student()
    encoder = MomentumEncoder(network)
    x = torch.randn(6, 3)
    assert torch.equal(encoder(x), network(x))
    assert not encoder(x).requires_grad
    assert not any(p.requires_grad for p in encoder.parameters())
    with torch.no_grad():
        network[0].weight.zero_()
    assert encoder.network[0].weight.abs().sum() > 0


def test_momentum_zero_copies_and_momentum_one_stays() -> None:
    network, other = student(0), student(1)
    encoder = MomentumEncoder(network)
    encoder.follow(other, 1.0)
    assert torch.equal(encoder.network[0].weight, network[0].weight)
    encoder.follow(other, 0.0)
    assert torch.equal(encoder.network[0].weight, other[0].weight)


def test_the_gap_to_a_student_that_stands_still_shrinks_as_m_to_the_k() -> None:
    network, other = student(0).double(), student(1).double()
    encoder = MomentumEncoder(network)
    gap = (network[0].weight - other[0].weight).detach()
    for _ in range(5):
        encoder.follow(other, 0.9)
    torch.testing.assert_close(encoder.network[0].weight - other[0].weight, gap * 0.9**5)


def test_buffers_are_not_averaged_but_follow_the_copys_own_batches() -> None:
    network = student()
    encoder = MomentumEncoder(network)
    network(torch.randn(8, 3) + 5)  # moves the student's running mean
    before = encoder.network[1].running_mean.clone()
    encoder.follow(network, 0.0)
    assert torch.equal(encoder.network[1].running_mean, before)
    encoder(torch.randn(8, 3) + 5)
    assert not torch.equal(encoder.network[1].running_mean, before)


@pytest.mark.parametrize("momentum", [-0.1, 1.1, float("nan")])
def test_a_momentum_outside_its_range_is_refused(momentum: float) -> None:
    network = student()
    with pytest.raises(ValueError, match="momentum must be a finite number >= 0 and <= 1"):
        MomentumEncoder(network).follow(network, momentum)
