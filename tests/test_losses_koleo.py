"""KoLeo: values, gradients, invariances, collapse, bad input."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from oracles import dot, normal, permutation, rows, seeds, unit
from torch.testing import assert_close

from jemlib.losses import koleo

F64 = torch.float64


def oracle(z: torch.Tensor, eps: float) -> float:
    """Each pair of rows, one by one."""
    u = [unit(row) for row in rows(z)]
    total = 0.0
    for i, a in enumerate(u):
        nearest = min(math.dist(a, b) for j, b in enumerate(u) if j != i)
        total -= math.log(nearest + eps)
    return total / len(u)


@given(seed=seeds, n=st.integers(2, 7), d=st.integers(2, 5), eps=st.sampled_from([1e-8, 0.1]))
def test_koleo_is_minus_the_mean_log_distance_to_the_nearest_row(seed: int, n: int, d: int, eps: float) -> None:
    z = normal(seed, n, d)
    assert_close(koleo(z, eps).total.item(), oracle(z, eps), rtol=1e-9, atol=1e-9)


def test_golden_the_axes_are_sqrt_2_apart_and_opposite_rows_2() -> None:
    assert_close(koleo(torch.eye(4, dtype=F64), 1e-12).total.item(), -0.5 * math.log(2), rtol=1e-10, atol=0)
    opposite = torch.tensor([[1.0, 0.0], [-3.0, 0.0]], dtype=F64)
    assert_close(koleo(opposite, 1e-12).total.item(), -math.log(2), rtol=1e-10, atol=0)


@pytest.mark.parametrize(("n", "d"), [(5, 3), (3, 6), (2, 2)])
def test_its_gradient_is_that_of_finite_differences(n: int, d: int) -> None:
    z = normal(3, n, d).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: koleo(x, 0.01).total, (z,))


@given(seed=seeds, n=st.integers(2, 6), d=st.integers(2, 5))
def test_koleo_ignores_the_length_of_each_row_a_rotation_and_the_order(seed: int, n: int, d: int) -> None:
    z = normal(seed, n, d)
    rotation = torch.linalg.qr(normal(seed + 1, d, d))[0]
    lengths = normal(seed + 2, n, 1).exp()
    changed = (lengths * z @ rotation)[permutation(seed + 3, n)]
    assert_close(koleo(changed, 0.01).total, koleo(z, 0.01).total, rtol=1e-8, atol=1e-8)


def test_at_collapse_koleo_is_minus_log_eps_and_has_no_gradient() -> None:
    z = torch.tensor([0.3, -0.4], dtype=F64).expand(6, 2).clone().requires_grad_()
    total = koleo(z, 1e-8).total
    total.backward()
    assert_close(total.item(), -math.log(1e-8), rtol=1e-12, atol=0)
    assert z.grad is not None
    assert z.grad.abs().max() == 0


def test_close_to_collapse_the_force_grows_as_the_cloud_shrinks() -> None:
    forces = []
    for size in (0.1, 0.01, 0.001):
        z = (torch.tensor([1.0, 0.0, 0.0], dtype=F64) + size * normal(5, 8, 3)).requires_grad_()
        koleo(z).total.backward()
        assert z.grad is not None
        forces.append(float(z.grad.norm()))
    assert forces[1] > 5 * forces[0]
    assert forces[2] > 5 * forces[1]


def test_a_duplicate_is_finite_and_the_others_keep_their_gradient() -> None:
    z = normal(6, 5, 3)
    z[1] = 2 * z[0]
    z.requires_grad_()
    koleo(z).total.backward()
    assert z.grad is not None
    assert bool(z.grad.isfinite().all())
    assert z.grad[2:].abs().max() > 0


@pytest.mark.parametrize(
    ("z", "error", "message"),
    [
        ([[1.0, 2.0]], TypeError, r"^z must be a torch.Tensor of shape \(N, D\); got list"),
        (torch.ones(3), ValueError, r"^z must have shape \(N, D\).* got shape \(3,\)"),
        (torch.ones(1, 3), ValueError, r"^z needs at least 2 samples .* got shape \(1, 3\)"),
        (torch.ones(4, 3).long(), TypeError, r"^z must be floating point; got a int64 tensor"),
        (torch.full((4, 3), math.nan), ValueError, r"^z must be finite; got 12 NaN"),
    ],
)
def test_bad_rows_get_an_error_that_names_them(z: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        koleo(z)


@pytest.mark.parametrize("eps", [0, -1.0, math.nan])
def test_eps_must_be_positive(eps: float) -> None:
    with pytest.raises(ValueError, match=r"^eps must be a finite number > 0; got "):
        koleo(normal(0, 3, 2), eps)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_sixteen_bit_rows_get_float32_distances(dtype: torch.dtype) -> None:
    z = normal(1, 16, 8).to(dtype)
    assert koleo(z).total.dtype == torch.float32
    assert_close(koleo(z).total, koleo(z.float()).total)


def test_cosines_of_dot_products_are_not_used_for_distances_of_near_duplicates() -> None:
    """sqrt(2 - 2 cos) of rows that are 1e-6 apart is rounding in float32."""
    z = torch.tensor([[1.0, 0.0], [1.0, 1e-6]])
    assert_close(koleo(z, 1e-12).total.item(), -math.log(1e-6), rtol=1e-3, atol=0)
    assert dot(unit([1.0, 0.0]), unit([1.0, 1e-6])) == pytest.approx(1)
