"""BYOL and SimSiam: values, their identity, gradients, the stop-gradient, invariances, collapse, bad input."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from oracles import dot, normal, permutation, rotation, rows, seeds, unit
from torch import Tensor
from torch.testing import assert_close

from jemlib.losses import byol, simsiam

Four = tuple[Tensor, Tensor, Tensor, Tensor]
BOTH: list[Callable[..., Any]] = [byol, simsiam]
each = pytest.mark.parametrize("loss", BOTH, ids=lambda f: f.__name__)
# Slope of each loss in the mean cosine of one direction.
SLOPE = {byol: -2.0, simsiam: -0.5}


@st.composite
def fours(draw: st.DrawFn) -> Four:
    n, d, seed = draw(st.integers(1, 6)), draw(st.integers(1, 5)), draw(seeds)
    offset = draw(st.sampled_from([0.0, 3.0]))
    tensors = [draw(st.sampled_from([0.01, 1.0, 50.0])) * (normal(seed + i, n, d) + offset) for i in range(4)]
    assume(all(t.norm(dim=1).min() > 1e-6 for t in tensors))
    return tensors[0], tensors[1], tensors[2], tensors[3]


def four(n: int = 6, d: int = 4, dtype: torch.dtype = torch.float32) -> Four:
    return tuple(normal(i, n, d).to(dtype) for i in range(4))


def mean_cosine(p: Tensor, z: Tensor) -> float:
    return sum(dot(unit(x), unit(y)) for x, y in zip(rows(p), rows(z))) / len(p)


def squared_distance(p: Tensor, z: Tensor) -> float:
    """BYOL's energy as the paper writes it: the squared distance of unit vectors."""
    return sum(math.dist(unit(x), unit(y)) ** 2 for x, y in zip(rows(p), rows(z))) / len(p)


# --- values ----------------------------------------------------------------------------------------------------


@given(x=fours())
def test_byol_equals_the_written_out_squared_distances_of_unit_vectors(x: Four) -> None:
    p_a, p_b, target_a, target_b = x
    a_to_b, b_to_a = squared_distance(p_a, target_b), squared_distance(p_b, target_a)
    for term, expected in zip(byol(*x), (a_to_b + b_to_a, a_to_b, b_to_a)):
        assert_close(term.item(), expected, rtol=1e-10, atol=1e-12)


@given(x=fours())
def test_simsiam_equals_the_written_out_negative_cosines(x: Four) -> None:
    p_a, p_b, z_a, z_b = x
    a_to_b, b_to_a = -mean_cosine(p_a, z_b), -mean_cosine(p_b, z_a)
    for term, expected in zip(simsiam(*x), ((a_to_b + b_to_a) / 2, a_to_b, b_to_a)):
        assert_close(term.item(), expected, rtol=1e-10, atol=1e-12)


@given(x=fours())
def test_byol_is_four_plus_four_times_simsiam_and_so_are_the_gradients(x: Four) -> None:
    assert_close(byol(*x).total, 4 + 4 * simsiam(*x).total, rtol=1e-12, atol=1e-13)
    assert_close(byol(*x).a_to_b, 2 + 2 * simsiam(*x).a_to_b, rtol=1e-12, atol=1e-13)
    p = x[0].clone().requires_grad_()
    (g_byol,) = torch.autograd.grad(byol(p, *x[1:]).total, p)
    (g_simsiam,) = torch.autograd.grad(simsiam(p, *x[1:]).total, p)
    assert_close(g_byol, 4 * g_simsiam, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize(("scale", "index", "energy"), [(1.0, 1, 2.0), (-3.0, 0, 4.0), (5.0, 0, 0.0)])
def test_golden_byol1_one_direction_is_two_when_orthogonal_and_four_when_opposite(
    scale: float, index: int, energy: float
) -> None:
    basis = torch.eye(2, dtype=torch.float64)
    p, z = basis[:1], scale * basis[index : index + 1]
    result = byol(p, p, z, z)
    assert_close([t.item() for t in result], [2 * energy, energy, energy], rtol=1e-12, atol=0)
    assert_close(simsiam(p, p, z, z).total.item(), energy / 2 - 1, rtol=1e-12, atol=0)


@each
def test_each_prediction_is_held_to_the_other_view(loss: Any) -> None:
    basis = torch.eye(2, dtype=torch.float64)
    view_a, view_b = basis[:1], basis[1:]
    crossed, straight = loss(view_b, view_a, view_a, view_b), loss(view_a, view_b, view_a, view_b)
    assert crossed.total == (0.0 if loss is byol else -1.0)
    assert straight.total == (4.0 if loss is byol else 0.0)


@given(x=fours())
def test_values_stay_in_their_ranges(x: Four) -> None:
    total, *directions = byol(*x)
    assert -1e-12 <= total <= 8 + 1e-12
    assert all(-1e-12 <= term <= 4 + 1e-12 for term in directions)
    assert all(-1 - 1e-12 <= term <= 1 + 1e-12 for term in simsiam(*x))


# --- gradients -------------------------------------------------------------------------------------------------


@each
@pytest.mark.parametrize("stop_gradient", [True, False])
def test_gradcheck_passes_to_second_order(loss: Any, stop_gradient: bool) -> None:
    x = tuple(t.requires_grad_() for t in four(4, 3, torch.float64))
    # With the stop-gradient, only the predictions are variables.
    free, fixed = (x[:2], tuple(t.detach() for t in x[2:])) if stop_gradient else (x, ())

    def total(*variables: Tensor) -> Tensor:
        return loss(*variables, *fixed, stop_gradient=stop_gradient).total

    assert torch.autograd.gradcheck(total, free)
    assert torch.autograd.gradgradcheck(total, free)


@each
@given(x=fours())
def test_gradient_has_its_closed_form_and_is_orthogonal_to_the_prediction(loss: Any, x: Four) -> None:
    p = x[0].clone().requires_grad_()
    loss(p, *x[1:]).total.backward()
    assert p.grad is not None
    z, n = x[3], len(x[0])
    for i in range(n):
        p_bar, z_bar = unit(rows(x[0])[i]), unit(rows(z)[i])
        cos, length = dot(p_bar, z_bar), math.sqrt(dot(rows(x[0])[i], rows(x[0])[i]))
        # d mean cos / dp_i = (zbar - cos pbar) / (N |p|)
        expected = [SLOPE[loss] * (b - cos * a) / (n * length) for a, b in zip(p_bar, z_bar)]
        assert_close(p.grad[i].tolist(), expected, rtol=1e-8, atol=1e-10 / length)
        assert abs(dot(p.grad[i].tolist(), p_bar)) < 1e-10 / length


@each
def test_targets_get_no_gradient_unless_the_stop_gradient_is_removed(loss: Any) -> None:
    x = [t.requires_grad_() for t in four()]
    loss(*x).total.backward()
    assert all(t.grad is not None and t.grad.abs().max() > 0 for t in x[:2])
    assert all(t.grad is None for t in x[2:])
    loss(*x, stop_gradient=False).total.backward()
    assert all(t.grad is not None and t.grad.abs().max() > 0 for t in x[2:])


@each
@given(x=fours())
def test_the_stop_gradient_changes_no_value(loss: Any, x: Four) -> None:
    assert all(torch.equal(a, b) for a, b in zip(loss(*x), loss(*x, stop_gradient=False)))


def test_errata_e21_and_e22_simsiam_and_byol_differ_by_the_target_and_the_scale_only() -> None:
    # One network for both branches and no momentum: BYOL is SimSiam, times 4.
    layer = torch.nn.Linear(4, 3, dtype=torch.float64)
    x_a, x_b = normal(0, 6, 4), normal(1, 6, 4)

    def gradient(loss: Any, **settings: Any) -> Tensor:
        z_a, z_b = layer(x_a), layer(x_b)  # the predictor is the identity
        return torch.autograd.grad(loss(z_a, z_b, z_a, z_b, **settings).total, layer.weight)[0]

    assert_close(gradient(byol), 4 * gradient(simsiam), rtol=1e-12, atol=1e-13)
    # Without a predictor the stop-gradient only halves the gradient; it needs the predictor to matter.
    assert_close(gradient(byol, stop_gradient=False), 2 * gradient(byol), rtol=1e-12, atol=1e-13)


# --- invariances -----------------------------------------------------------------------------------------------


@each
@given(x=fours(), seed=seeds, scale=st.sampled_from([1e-3, 0.5, 100.0]))
def test_losses_ignore_length_order_rotation_and_swap(loss: Any, x: Four, seed: int, scale: float) -> None:
    n, d = x[0].shape
    lengths = [scale * (1 + normal(seed + i, n, 1).abs()) for i in range(4)]
    order, q, before = permutation(seed, n), rotation(seed, d), loss(*x).total
    for moved in (
        [t * length for t, length in zip(x, lengths)],
        [t[order] for t in x],
        [t @ q for t in x],
        [x[1], x[0], x[3], x[2]],
    ):
        assert_close(loss(*moved).total, before, rtol=1e-9, atol=1e-10)


@each
def test_losses_change_with_a_shift_and_with_one_turned_branch(loss: Any) -> None:
    x = four(dtype=torch.float64)
    before = loss(*x).total
    assert abs(loss(*(t + 1 for t in x)).total - before) > 0.1
    assert abs(loss(-x[0], *x[1:]).total - before) > 1e-3


@each
@given(x=fours())
def test_each_sample_is_judged_by_itself(loss: Any, x: Four) -> None:
    one_by_one = torch.stack([loss(*(t[i : i + 1] for t in x)).total for i in range(len(x[0]))])
    assert_close(loss(*x).total, one_by_one.mean(), rtol=1e-10, atol=1e-12)


# --- collapse --------------------------------------------------------------------------------------------------


@each
@pytest.mark.parametrize(("n", "d"), [(1, 1), (2, 5), (7, 3)])
def test_collapse_is_the_least_value_and_has_no_gradient(loss: Any, n: int, d: int) -> None:
    z = torch.full((n, d), -0.25, dtype=torch.float64)
    p = z.clone().requires_grad_()
    total = loss(p, p, z, z).total
    assert_close(total.item(), 0.0 if loss is byol else -1.0, rtol=0, atol=1e-14)
    (gradient,) = torch.autograd.grad(total, p)
    assert gradient.abs().max() < 1e-14


@each
def test_a_row_of_zeros_has_cosine_zero(loss: Any) -> None:
    p, z = torch.zeros(2, 3), normal(0, 2, 3).float()
    assert loss(p, p, z, z).total == (4.0 if loss is byol else 0.0)


# --- input -----------------------------------------------------------------------------------------------------


@each
@pytest.mark.parametrize("position", range(4))
def test_bad_tensors_are_named(loss: Any, position: int) -> None:
    name = (["p_a", "p_b", "target_a", "target_b"] if loss is byol else ["p_a", "p_b", "z_a", "z_b"])[position]
    nan = normal(0, 6, 4).float()
    nan[2, 3] = math.nan
    for bad, error, message in [
        ([[1.0]], TypeError, r"must be a torch.Tensor .* got list"),
        (torch.ones(6), ValueError, r"must have shape \(N, D\).* got shape \(6,\)"),
        (torch.ones(6, 4).long(), TypeError, r"must be floating point; got a int64 tensor"),
        (torch.ones(0, 4), ValueError, r"needs at least 1 samples .* got shape \(0, 4\)"),
        (nan, ValueError, r"must be finite; got 1 NaN .* at index \(2, 3\)"),
    ]:
        x: list[Any] = list(four())
        x[position] = bad
        with pytest.raises(error, match=f"^{name} {message}"):
            loss(*x)
    x = list(four())
    x[position] = torch.ones(5, 4)
    with pytest.raises(ValueError, match=rf"^.*{name}.* must have the same shape .*\(5, 4\)"):
        loss(*x)
    if position > 0:  # autocast itself refuses a first argument without data
        x[position] = torch.ones(6, 4, device="meta")
        with pytest.raises(ValueError, match=rf"^.*{name} must be on one device; got cpu and meta"):
            loss(*x)


@each
@pytest.mark.parametrize("value", [0, 1, "no", None])
def test_stop_gradient_must_be_a_truth_value(loss: Any, value: Any) -> None:
    with pytest.raises(TypeError, match=r"^stop_gradient must be True or False; got "):
        loss(*four(), stop_gradient=value)


@each
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_sixteen_bit_inputs_and_autocast_get_float32_values(loss: Any, dtype: torch.dtype) -> None:
    x = [t.requires_grad_() for t in four(64, 16, dtype)]
    full = loss(*(t.detach().float() for t in x))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        low = loss(*x)
    assert all(term.dtype == torch.float32 for term in low)
    assert all(torch.equal(a, b) for a, b in zip(low, full))
    low.total.backward()
    assert x[0].grad is not None
    assert x[0].grad.dtype == dtype
    assert x[0].grad.abs().max() > 0


@each
def test_mixed_dtypes_are_promoted(loss: Any) -> None:
    p_a, p_b, z_a, z_b = four(dtype=torch.float64)
    assert loss(p_a, p_b, z_a.float(), z_b.float()).total.dtype == torch.float64
    assert loss(p_a.float(), p_b, z_a.float(), z_b.float()).total.dtype == torch.float64
