"""The speed of the objectives: what is compared is the same arithmetic."""

from __future__ import annotations

import pytest
import torch

from jemlib import losses
from jemlib.experiments.bench_losses import backward, clustered, leaves, loss_pairs, milliseconds, plain_sinkhorn

PAIRED = ("nt_xent", "barlow_twins", "vicreg", "swav", "simsiam", "dino", "sigreg")


@pytest.mark.parametrize("name", PAIRED)
def test_ours_and_lightlys_have_the_same_value(name: str) -> None:
    pytest.importorskip("lightly", reason="lightly comes with the bench extra only")
    ours, peers, inputs = loss_pairs(16, 8)[name]
    torch.manual_seed(0)  # sigreg's slices
    value = ours(*inputs)
    torch.manual_seed(0)
    # Random slices differ between the libraries; everything else is the same number.
    torch.testing.assert_close(value, peers(*inputs).squeeze(), rtol=0.2 if name == "sigreg" else 1e-5, atol=1e-5)


def test_the_plain_sinkhorn_is_ours_where_it_is_finite_and_infinite_where_ours_is_not() -> None:
    scores = 2 * torch.rand(12, 5, generator=torch.Generator().manual_seed(0)) - 1
    torch.testing.assert_close(plain_sinkhorn(scores, 0.05, 3), losses.sinkhorn(scores, 0.05, 3), rtol=1e-4, atol=1e-6)
    assert not plain_sinkhorn(scores, 0.003, 3).isfinite().all()
    assert losses.sinkhorn(scores, 0.003, 3).isfinite().all()


def test_each_pass_starts_without_gradients_and_leaves_one() -> None:
    (x,) = leaves(1, 3, 2)
    work = backward(lambda z: z.square().sum(), [x])
    work()
    work()
    torch.testing.assert_close(x.grad, 2 * x.detach())


def test_the_works_take_turns_and_the_warm_up_is_not_counted() -> None:
    calls = []
    found = milliseconds({"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, rounds=3)
    assert calls == ["a", "b"] * 5
    assert found.keys() == {"a", "b"}
    assert min(found.values()) >= 0


def test_the_features_of_the_e_step_are_unit_vectors() -> None:
    torch.testing.assert_close(clustered(300, 8).norm(dim=1), torch.ones(300))
