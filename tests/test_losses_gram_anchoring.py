"""Gram anchoring: values, gradients, invariances, collapse, bad input."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from oracles import dot, normal, permutation, rows, seeds, unit
from torch import Tensor
from torch.testing import assert_close

from jemlib.losses import gram_anchoring

F64 = torch.float64


def oracle(student: Tensor, anchor: Tensor) -> float:
    """Each image, each pair of patches."""
    n, t, _ = student.shape
    total = 0.0
    for i in range(n):
        s, g = [unit(row) for row in rows(student[i])], [unit(row) for row in rows(anchor[i])]
        total += sum((dot(s[a], s[b]) - dot(g[a], g[b])) ** 2 for a in range(t) for b in range(t))
    return total / (n * t * t)


@given(seed=seeds, n=st.integers(1, 4), t=st.integers(1, 5), d=st.integers(1, 4), e=st.integers(1, 4))
def test_it_is_the_mean_squared_difference_of_all_cosines(seed: int, n: int, t: int, d: int, e: int) -> None:
    student, anchor = normal(seed, n, t, d), normal(seed + 1, n, t, e)
    assert_close(gram_anchoring(student, anchor).total.item(), oracle(student, anchor), rtol=1e-9, atol=1e-11)


def test_golden_orthogonal_patches_against_equal_ones() -> None:
    # cosines: the identity against all ones; two of four entries differ, by 1
    assert gram_anchoring(torch.eye(2, dtype=F64)[None], torch.ones(1, 2, 2, dtype=F64)).total.item() == pytest.approx(
        0.5, rel=1e-12
    )


def test_its_gradient_is_that_of_finite_differences_and_the_anchor_has_none() -> None:
    student, anchor = normal(1, 2, 4, 3).requires_grad_(), normal(2, 2, 4, 3).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: gram_anchoring(x, anchor.detach()).total, (student,))
    gram_anchoring(student, anchor).total.backward()
    assert anchor.grad is None
    assert student.grad is not None
    assert student.grad.abs().max() > 0


@given(seed=seeds, n=st.integers(1, 3), t=st.integers(2, 5), d=st.integers(1, 4))
def test_it_ignores_lengths_and_a_rotation_of_each_image(seed: int, n: int, t: int, d: int) -> None:
    student, anchor = normal(seed, n, t, d), normal(seed + 1, n, t, d)
    rotations = torch.linalg.qr(normal(seed + 2, n, d, d))[0]
    turned = normal(seed + 3, n, t, 1).exp() * student @ rotations
    before = gram_anchoring(student, anchor).total
    assert_close(gram_anchoring(turned, anchor).total, before, rtol=1e-9, atol=1e-11)
    assert_close(gram_anchoring(turned, student).total.item(), 0.0, rtol=0, atol=1e-18)
    order = permutation(seed + 4, t)
    assert_close(gram_anchoring(student[:, order], anchor[:, order]).total, before, rtol=1e-9, atol=1e-11)


def test_features_that_are_equal_at_all_positions_of_both_cost_nothing() -> None:
    collapsed = torch.tensor([0.5, -2.0, 1.0], dtype=F64).expand(3, 4, 3)
    assert_close(gram_anchoring(collapsed, 2 * collapsed).total.item(), 0.0, rtol=0, atol=1e-18)
    assert gram_anchoring(collapsed, normal(0, 3, 4, 3)).total > 0.1


@pytest.mark.parametrize(
    ("student", "anchor", "error", "message"),
    [
        (torch.ones(3, 4), torch.ones(3, 4), ValueError, r"^student must have shape \(N, T, D\).* got shape \(3, 4\)"),
        (None, torch.ones(2, 3, 4), TypeError, r"^student must be a torch.Tensor .* got NoneType"),
        (torch.ones(2, 3, 4), [1.0], TypeError, r"^anchor must be a torch.Tensor .* got list"),
        (
            torch.ones(2, 3, 4),
            torch.ones(2, 5, 4),
            ValueError,
            r"^anchor must have shape .*T = 3.* got shape",
        ),
        (
            torch.ones(2, 3, 4),
            torch.ones(1, 3, 4),
            ValueError,
            r"^anchor must have shape .*N = 2.* got shape",
        ),
        (torch.ones(2, 3, 4).int(), torch.ones(2, 3, 4), TypeError, r"^student must be floating point"),
        (torch.full((2, 3, 4), math.nan), torch.ones(2, 3, 4), ValueError, r"^student must be finite"),
        (torch.ones(2, 3, 4), torch.full((2, 3, 4), math.inf), ValueError, r"^anchor must be finite"),
    ],
)
def test_bad_features_get_an_error_that_names_them(
    student: Any, anchor: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        gram_anchoring(student, anchor)


def test_features_on_different_devices_are_both_named() -> None:
    with pytest.raises(ValueError, match=r"^student and anchor must be on one device; got cpu and meta"):
        gram_anchoring(torch.ones(2, 3, 4), torch.ones(2, 3, 4, device="meta"))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_sixteen_bit_features_get_float32_cosines(dtype: torch.dtype) -> None:
    student, anchor = normal(0, 2, 5, 8).to(dtype), normal(1, 2, 5, 8).to(dtype)
    found = gram_anchoring(student, anchor).total
    assert found.dtype == torch.float32
    assert_close(found, gram_anchoring(student.float(), anchor.float()).total)
