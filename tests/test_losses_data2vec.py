"""data2vec: targets, smooth L1, the mask, gradients, what the norm does and does not exclude, bad input."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from oracles import normal, permutation, rows, seeds
from torch import Tensor
from torch.testing import assert_close

from jemlib.losses import data2vec, data2vec_targets

F64 = torch.float64


def layer_norm(x: list[float]) -> list[float]:
    mean = sum(x) / len(x)
    variance = sum((v - mean) ** 2 for v in x) / len(x)
    return [(v - mean) / math.sqrt(variance + 1e-5) for v in x]


def oracle_targets(layers: list[Tensor], top: int) -> list[list[float]]:
    blocks = [[layer_norm(row) for row in rows(layer.flatten(0, -2))] for layer in layers[len(layers) - top :]]
    return [[sum(v) / top for v in zip(*positions)] for positions in zip(*blocks)]


def smooth_l1(error: float, beta: float) -> float:
    error = abs(error)
    return error * error / (2 * beta) if error < beta else error - beta / 2


@st.composite
def shapes(draw: st.DrawFn, min_dims: int = 1) -> tuple[int, ...]:
    sizes = [draw(st.integers(1, 4)) for _ in range(draw(st.integers(1, 2)))]
    return (*sizes, draw(st.integers(min_dims, 5)))


# --- targets ---------------------------------------------------------------------------------------------------


@given(shape=shapes(2), seed=seeds, blocks=st.integers(1, 4), data=st.data(), scale=st.sampled_from([0.01, 1.0, 30.0]))
def test_targets_are_the_mean_of_the_normalised_top_blocks(
    shape: tuple[int, ...], seed: int, blocks: int, data: st.DataObject, scale: float
) -> None:
    layers = [scale * (normal(seed + i, *shape) + 1) for i in range(blocks)]
    top = data.draw(st.integers(1, blocks))
    targets = data2vec_targets(layers, top)
    assert targets.shape == shape
    expected = torch.tensor(oracle_targets(layers, top), dtype=F64)
    assert_close(targets.flatten(0, -2), expected, rtol=1e-9, atol=1e-11)
    if top == blocks:
        assert torch.equal(data2vec_targets(layers), targets)


def test_blocks_below_the_top_do_not_count() -> None:
    layers = [normal(i, 3, 4, 5) for i in range(4)]
    changed = [normal(9, 3, 4, 5), *layers[1:]]
    assert torch.equal(data2vec_targets(changed, 3), data2vec_targets(layers, 3))
    assert not torch.allclose(data2vec_targets(changed, 4), data2vec_targets(layers, 4))


@given(seed=seeds, scale=st.sampled_from([1.0, 1e3]), shift=st.sampled_from([-5.0, 0.0, 5.0]))
def test_targets_ignore_scale_and_shift_of_a_position(seed: int, scale: float, shift: float) -> None:
    layers = [100 * normal(seed + i, 3, 4, 5) for i in range(2)]
    moved = [scale * layer + shift for layer in layers]
    assert_close(data2vec_targets(moved), data2vec_targets(layers), rtol=1e-4, atol=1e-4)  # eps is the difference


@given(seed=seeds)
def test_each_position_is_normalised_by_itself(seed: int) -> None:
    layers = [normal(seed + i, 3, 4, 5) for i in range(2)]
    order = permutation(seed, 3)
    assert_close(data2vec_targets([v[order] for v in layers]), data2vec_targets(layers)[order], rtol=1e-12, atol=1e-14)
    one = data2vec_targets([v[1, 2:3] for v in layers])
    assert_close(one[0], data2vec_targets(layers)[1, 2], rtol=1e-12, atol=1e-14)


@given(shape=shapes(2), seed=seeds)
def test_targets_are_centred_and_at_most_root_d_long(shape: tuple[int, ...], seed: int) -> None:
    targets = data2vec_targets([normal(seed + i, *shape) for i in range(3)])
    assert targets.mean(dim=-1).abs().max() < 1e-12
    assert targets.norm(dim=-1).max() <= math.sqrt(shape[-1]) + 1e-12


def test_targets_carry_no_gradient() -> None:
    layers = [normal(i, 3, 4).requires_grad_() for i in range(2)]
    assert not data2vec_targets(layers).requires_grad


# --- erratum E24: what the norm excludes ------------------------------------------------------------------------


def test_erratum_e24_a_constant_stays_a_constant_and_costs_nothing() -> None:
    d = 64
    constant = normal(0, d)
    target = data2vec_targets([constant.expand(10, d)])
    assert target.std(dim=0).max() == 0  # no difference between inputs is left ...
    assert_close(target[0].square().sum().item(), float(d), rtol=1e-4, atol=0)  # ... yet the target is not small
    prediction = target[0].clone().expand(10, d)
    assert data2vec(prediction, target).total == 0


@pytest.mark.parametrize("scale", [0.1, 1.0, 1e6])
def test_erratum_e24_the_norm_excludes_fading_and_exploding_targets(scale: float) -> None:
    target = data2vec_targets([scale * normal(0, 10, 64)])
    assert_close(target.norm(dim=1), torch.full((10,), 8.0, dtype=F64), rtol=1e-3, atol=0)


def test_the_norm_does_not_exclude_features_that_are_equal_within_a_position() -> None:
    assert data2vec_targets([torch.zeros(3, 4)]).abs().max() == 0
    assert data2vec_targets([torch.full((3, 4), 7.0)]).abs().max() == 0
    assert data2vec_targets([1e-6 * normal(0, 3, 4)]).abs().max() < 1e-2  # variance far below eps = 1e-5


# --- the loss --------------------------------------------------------------------------------------------------


@given(shape=shapes(), seed=seeds, beta=st.sampled_from([0.1, 1.0, 4.0]), masked=st.booleans())
def test_data2vec_equals_the_written_out_mean(shape: tuple[int, ...], seed: int, beta: float, masked: bool) -> None:
    p, y = 2 * normal(seed, *shape), normal(seed + 1, *shape)
    mask = None
    if masked:
        mask = normal(seed + 2, *shape[:-1]) > 0
        mask.view(-1)[0] = True
    chosen = [True] * p[..., 0].numel() if mask is None else mask.flatten().tolist()
    pairs = zip(rows(p.flatten(0, -2)), rows(y.flatten(0, -2)), chosen)
    terms = [smooth_l1(a - b, beta) for x, z, take in pairs if take for a, b in zip(x, z)]
    assert_close(data2vec(p, y, mask, beta).total.item(), sum(terms) / len(terms), rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize(("error", "beta", "value"), [(0.5, 1.0, 0.125), (2.0, 1.0, 1.5), (1.0, 2.0, 0.25)])
def test_smooth_l1_has_its_hand_numbers(error: float, beta: float, value: float) -> None:
    y = torch.zeros(2, 3, 4, dtype=F64)
    assert data2vec(y + error, y, None, beta).total == value
    assert data2vec(y - error, y, beta=beta).total == value


def test_only_the_total_is_returned() -> None:
    result = data2vec(torch.ones(2, 3), torch.zeros(2, 3))
    assert result._fields == ("total",)
    assert result.total.shape == ()


@given(seed=seeds)
def test_visible_positions_cost_nothing_and_get_no_gradient(seed: int) -> None:
    p, y = normal(seed, 3, 4, 5), normal(seed + 1, 3, 4, 5)
    mask = normal(seed + 2, 3, 4) > 0
    mask[0, 0], mask[0, 1] = True, False
    changed = torch.where(mask[..., None], p, p + 10).requires_grad_()
    total = data2vec(changed, y, mask).total
    assert torch.equal(total, data2vec(p, y, mask).total)
    total.backward()
    assert changed.grad is not None
    assert changed.grad[~mask].abs().max() == 0
    # dL/dp = clip(p - y, -beta, beta) / (beta M D), M masked positions
    expected = (p - y).clamp(-1, 1)[mask] / (mask.sum() * 5)
    assert_close(changed.grad[mask], expected, rtol=1e-12, atol=1e-14)


def test_data2vec_passes_gradcheck() -> None:
    p, y = (2 * normal(0, 2, 3, 4)).requires_grad_(), normal(1, 2, 3, 4)
    mask = torch.tensor([[True, False, True], [False, True, True]])
    assert torch.autograd.gradcheck(lambda x: data2vec(x, y, mask, 0.5).total, p)


def test_targets_get_no_gradient_even_when_the_caller_forgot_to_detach() -> None:
    p, y = normal(0, 3, 4).requires_grad_(), normal(1, 3, 4).requires_grad_()
    data2vec(p, y).total.backward()
    assert p.grad is not None
    assert p.grad.abs().max() > 0
    assert y.grad is None


@given(seed=seeds)
def test_data2vec_ignores_a_common_shift_and_the_order_of_everything(seed: int) -> None:
    p, y, mask = normal(seed, 3, 4, 5), normal(seed + 1, 3, 4, 5), torch.ones(3, 4, dtype=torch.bool)
    mask[0, 1] = mask[2, 3] = False
    before, order = data2vec(p, y, mask).total, permutation(seed, 4)
    for moved in (
        data2vec(p + 2, y + 2, mask),
        data2vec(y, p, mask),
        data2vec(p[:, order], y[:, order], mask[:, order]),
        data2vec(p[..., [3, 1, 0, 4, 2]], y[..., [3, 1, 0, 4, 2]], mask),
        data2vec(p[mask], y[mask]),
    ):
        assert_close(moved.total, before, rtol=1e-11, atol=1e-13)


def test_a_small_beta_is_the_absolute_error_and_a_large_one_the_squared_error() -> None:
    p, y = normal(0, 6, 4), normal(1, 6, 4)
    assert_close(data2vec(p, y, beta=1e-9).total, (p - y).abs().mean(), rtol=1e-8, atol=0)
    assert_close(1e3 * data2vec(p, y, beta=1e3).total, (p - y).square().mean() / 2, rtol=1e-12, atol=0)


# --- input -----------------------------------------------------------------------------------------------------


def holding_nan() -> Tensor:
    x = torch.ones(2, 3, 4)
    x[1, 0, 2] = math.nan
    return x


BAD = [
    (None, TypeError, r"must be a floating-point tensor of shape \(N, T, D\) or \(N, D\); got None"),
    (torch.ones(2, 3, 4).long(), TypeError, r"must be a floating-point tensor .* got a int64 tensor"),
    (torch.ones(4), ValueError, r"must have shape \(N, T, D\) or \(N, D\).* got shape \(4,\)"),
    (torch.ones(1, 2, 3, 4), ValueError, r"must have shape .* got shape \(1, 2, 3, 4\)"),
    (torch.ones(0, 3, 4), ValueError, r"must have shape .* none empty .* got shape \(0, 3, 4\)"),
    (holding_nan(), ValueError, r"must be finite; got 1 NaN .* at index \(1, 0, 2\)"),
]


@pytest.mark.parametrize(("bad", "error", "message"), BAD)
def test_bad_tensors_are_named(bad: Any, error: type[Exception], message: str) -> None:
    good = torch.ones(2, 3, 4)
    for name, call in [
        ("predictions", lambda: data2vec(bad, good)),
        ("targets", lambda: data2vec(good, bad)),
        (r"layers\[1\]", lambda: data2vec_targets([good, bad])),
    ]:
        with pytest.raises(error, match=f"^{name} {message}"):
            call()


@pytest.mark.parametrize(
    ("layers", "top", "error", "message"),
    [
        (torch.ones(2, 3, 4), None, TypeError, r"layers must be a list .* got a float32 tensor"),
        ([], None, ValueError, r"layers must hold at least one"),
        ([torch.ones(3, 4)], 0, ValueError, r"top must be >= 1; got 0"),
        ([torch.ones(3, 4)], 1.0, TypeError, r"top must be a whole number >= 1; got 1\.0"),
        ([torch.ones(3, 4)], 2, ValueError, r"top must be at most the number of layers, 1; got 2"),
        (
            [torch.ones(3, 4), torch.ones(3, 5)],
            1,
            ValueError,
            r"layers must have one shape; .*\(3, 4\).* \(3, 5\)",
        ),
        ([torch.ones(3, 1)], 1, ValueError, r"layers\[0\] must have shape .* D >= 2; got shape \(3, 1\)"),
    ],
)
def test_bad_layers_are_named(layers: Any, top: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match="^" + message):
        data2vec_targets(layers, top)


@pytest.mark.parametrize(
    ("mask", "error", "message"),
    [
        ([True], TypeError, r"mask must be a boolean tensor.* got \[True\]"),
        (torch.ones(2, 3), TypeError, r"mask must be a boolean tensor.* got a float32 tensor of shape \(2, 3\)"),
        (torch.ones(2, 4).bool(), ValueError, r"mask must have .* \(2, 3\); got \(2, 4\)"),
        (torch.ones(2, 3, 4).bool(), ValueError, r"mask must have .* \(2, 3\); got \(2, 3, 4\)"),
        (torch.zeros(2, 3).bool(), ValueError, r"mask must be True at one position or more"),
    ],
)
def test_a_bad_mask_is_named(mask: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match="^" + message):
        data2vec(torch.ones(2, 3, 4), torch.zeros(2, 3, 4), mask)


def test_other_bad_arguments_of_the_loss_are_named() -> None:
    x = torch.ones(2, 3, 4)
    with pytest.raises(ValueError, match=r"^predictions and targets must have the same shape; .* and \(6, 4\)"):
        data2vec(x, torch.ones(6, 4))
    with pytest.raises(ValueError, match=r"^predictions and targets must be on one device; got cpu and meta"):
        data2vec(x, x.to("meta"))
    for bad in (0, -1.0, math.nan):
        with pytest.raises(ValueError, match=r"^beta must be a finite number > 0; got "):
            data2vec(x, x, beta=bad)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_sixteen_bit_inputs_and_autocast_get_float32_values(dtype: torch.dtype) -> None:
    p, layers = normal(0, 8, 3, 16).to(dtype).requires_grad_(), [normal(i, 8, 3, 16).to(dtype) for i in (1, 2)]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        targets = data2vec_targets(layers)
        low = data2vec(p, targets).total
    assert targets.dtype == low.dtype == torch.float32
    assert torch.equal(targets, data2vec_targets([v.float() for v in layers]))
    assert torch.equal(low, data2vec(p.detach().float(), targets).total)
    low.backward()
    assert p.grad is not None
    assert p.grad.dtype == dtype
    assert p.grad.abs().max() > 0


def test_mixed_dtypes_are_promoted() -> None:
    p, y = normal(0, 3, 4).float().requires_grad_(), normal(1, 3, 4)
    total = data2vec(p, y).total
    assert total.dtype == F64
    total.backward()
    assert p.grad is not None
    assert p.grad.dtype == torch.float32
