"""What every loss does with bad input, 16-bit input, autocast, keywords and the device."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from oracles import normal
from torch import Tensor
from torch.testing import assert_close

from jemlib.losses import (
    barlow_twins,
    barlow_twins_gradient,
    cross_correlation,
    decoupled_info_nce,
    info_nce,
    nt_xent,
    vicreg,
)


def decoupled(z_a: Any, z_b: Any, temperature: Any = 0.2) -> Any:
    """The decoupled loss has no default temperature; the tests below want one."""
    return decoupled_info_nce(z_a, z_b, temperature)


Function = Callable[..., Any]
CONTRASTIVE: list[Function] = [info_nce, nt_xent, decoupled]
LOSSES: list[Function] = [*CONTRASTIVE, barlow_twins, vicreg]
ALL: list[Function] = [*LOSSES, cross_correlation, barlow_twins_gradient]

each_function = pytest.mark.parametrize("function", ALL, ids=lambda f: f.__name__)
each_loss = pytest.mark.parametrize("loss", LOSSES, ids=lambda f: f.__name__)
each_contrastive = pytest.mark.parametrize("loss", CONTRASTIVE, ids=lambda f: f.__name__)
each_side = pytest.mark.parametrize("side", ["z_a", "z_b"])


def pair(n: int = 6, d: int = 4, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    z_a = normal(0, n, d)
    return z_a.to(dtype), (z_a + 0.5 * normal(1, n, d)).to(dtype)


def with_bad(side: str, bad: Any) -> tuple[Any, Any]:
    z_a, z_b = pair()
    return (bad, z_b) if side == "z_a" else (z_a, bad)


def holding(value: float, dtype: torch.dtype = torch.float32) -> Tensor:
    z = pair(dtype=dtype)[0]
    z[2, 3] = value
    return z


# --- the result ------------------------------------------------------------------------------------------------


@each_loss
def test_every_loss_returns_named_scalars_with_total_first(loss: Function) -> None:
    result = loss(*pair())
    assert result._fields[0] == "total"
    assert len(result._fields) >= 3
    assert all(isinstance(term, Tensor) and term.shape == () for term in result)


@each_function
def test_arguments_may_be_given_by_name(function: Function) -> None:
    z_a, z_b = pair()
    by_name, by_place = function(z_b=z_b, z_a=z_a), function(z_a, z_b)
    for x, y in zip(by_name, by_place):
        assert torch.equal(x, y)


@each_function
def test_losses_leave_their_inputs_unchanged(function: Function) -> None:
    z_a, z_b = pair()
    copies = z_a.clone(), z_b.clone()
    function(z_a, z_b)
    assert torch.equal(z_a, copies[0])
    assert torch.equal(z_b, copies[1])


@each_function
@pytest.mark.parametrize(("n", "d"), [(2, 1), (2, 5), (5, 1)])
def test_the_smallest_batches_are_finite(function: Function, n: int, d: int) -> None:
    result = function(*pair(n, d))
    terms = result if isinstance(result, tuple) else (result,)
    assert all(bool(term.isfinite().all()) for term in terms)


# --- bad embeddings --------------------------------------------------------------------------------------------

BAD = [
    ("a list", [[1.0, 2.0], [3.0, 4.0]], TypeError, r"must be a torch.Tensor of shape \(N, D\); got list"),
    ("None", None, TypeError, r"must be a torch.Tensor .* got NoneType"),
    ("numpy", np.ones((6, 4)), TypeError, r"must be a torch.Tensor .* got ndarray"),
    ("a vector", torch.ones(6), ValueError, r"must have shape \(N, D\).* got shape \(6,\)"),
    ("rank 3", torch.ones(2, 6, 4), ValueError, r"must have shape \(N, D\).* got shape \(2, 6, 4\)"),
    ("integers", torch.ones(6, 4).long(), TypeError, r"must be floating point; got a int64 tensor of shape \(6, 4\)"),
    ("booleans", torch.ones(6, 4).bool(), TypeError, r"must be floating point; got a bool tensor"),
    ("one sample", torch.ones(1, 4), ValueError, r"needs at least 2 samples .* got shape \(1, 4\)"),
    ("no dimension", torch.ones(6, 0), ValueError, r"must have shape \(N, D\).* got shape \(6, 0\)"),
    ("NaN", holding(math.nan), ValueError, r"must be finite; got 1 NaN .* of 24, the first at index \(2, 3\)"),
    ("infinity", holding(math.inf), ValueError, r"must be finite; got 1 .* the first at index \(2, 3\)"),
    ("NaN, bf16", holding(math.nan, torch.bfloat16), ValueError, r"must be finite; got 1 .* at index \(2, 3\)"),
]


@each_function
@each_side
@pytest.mark.parametrize(("bad", "error", "message"), [b[1:] for b in BAD], ids=[b[0] for b in BAD])
def test_bad_embeddings_get_an_error_that_names_argument_and_value(
    function: Function, side: str, bad: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=f"^{side} {message}"):
        function(*with_bad(side, bad))


@each_function
@pytest.mark.parametrize("shape", [(5, 4), (6, 3), (4, 6)])
def test_views_of_different_shapes_are_both_named(function: Function, shape: tuple[int, int]) -> None:
    message = rf"^z_a and z_b must have the same shape .* got \(6, 4\) and \({shape[0]}, {shape[1]}\)"
    with pytest.raises(ValueError, match=message):
        function(pair()[0], torch.ones(shape))


@each_function
def test_views_on_different_devices_are_both_named(function: Function) -> None:
    z_a, z_b = pair()
    with pytest.raises(ValueError, match=r"^z_a and z_b must be on one device; got cpu and meta"):
        function(z_a, z_b.to("meta"))


# --- bad settings ----------------------------------------------------------------------------------------------

NOT_NUMBERS = ["0.2", None, True, [0.2]]
NOT_FINITE = [math.nan, math.inf, -math.inf]
SETTINGS = [
    (function, name, positive)
    for function, names, positive in [
        (info_nce, ["temperature"], True),
        (nt_xent, ["temperature"], True),
        (decoupled, ["temperature"], True),
        (vicreg, ["gamma"], True),
        (vicreg, ["invariance", "variance", "covariance", "eps"], False),
        (barlow_twins, ["lambd", "eps"], False),
        (barlow_twins_gradient, ["lambd"], False),
        (cross_correlation, ["eps"], False),
    ]
    for name in names
]
each_setting = pytest.mark.parametrize(
    ("function", "name", "positive"), SETTINGS, ids=[f"{f.__name__}-{name}" for f, name, _ in SETTINGS]
)


@each_setting
def test_settings_out_of_range_are_named_with_their_value(function: Function, name: str, positive: bool) -> None:
    sign = ">" if positive else ">="
    for value in [-1, -0.5, *NOT_FINITE, *([0, 0.0] if positive else [])]:
        with pytest.raises(ValueError, match=rf"^{name} must be a finite number {sign} 0; got {value}\.$"):
            function(*pair(), **{name: value})
    for wrong in NOT_NUMBERS:
        with pytest.raises(TypeError, match=rf"^{name} must be a finite number {sign} 0; got "):
            function(*pair(), **{name: wrong})


@each_setting
def test_settings_may_be_whole_or_numpy_numbers(function: Function, name: str, positive: bool) -> None:
    z_a, z_b = pair()
    for same in (1, np.float32(1), np.float64(1), np.int64(1)):
        for x, y in zip(function(z_a, z_b, **{name: same}), function(z_a, z_b, **{name: 1.0})):
            assert torch.equal(x, y)


# --- precision -------------------------------------------------------------------------------------------------


@each_function
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_sixteen_bit_inputs_get_float32_statistics(function: Function, dtype: torch.dtype) -> None:
    z_a, z_b = pair(64, 16, dtype)
    for low, full in zip(function(z_a, z_b), function(z_a.float(), z_b.float())):
        assert low.dtype == torch.float32
        assert_close(low, full, rtol=1e-5, atol=1e-5)


@each_loss
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64])
def test_gradients_come_back_in_the_dtype_of_the_input(loss: Function, dtype: torch.dtype) -> None:
    z_a, z_b = (z.requires_grad_() for z in pair(64, 16, dtype))
    loss(z_a, z_b).total.backward()
    for z in (z_a, z_b):
        assert z.grad is not None
        assert z.grad.dtype == dtype
        assert bool(z.grad.isfinite().all())
        assert z.grad.abs().max() > 0


@each_function
def test_float64_stays_float64_and_mixed_views_are_promoted(function: Function) -> None:
    z_a, z_b = pair(dtype=torch.float64)
    assert all(term.dtype == torch.float64 for term in function(z_a, z_b))
    assert all(term.dtype == torch.float64 for term in function(z_a.float(), z_b))
    assert all(term.dtype == torch.float32 for term in function(z_a.float(), z_b.bfloat16()))


@each_function
def test_autocast_changes_nothing(function: Function) -> None:
    z_a, z_b = pair(64, 16)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert (z_a @ z_b.T).dtype == torch.bfloat16  # autocast is on
        inside = function(z_a, z_b)
        by_name = function(z_a=z_a, z_b=z_b)
    for low, named, full in zip(inside, by_name, function(z_a, z_b)):
        assert torch.equal(low, full)
        assert torch.equal(named, full)


@each_loss
def test_bf16_embeddings_from_an_autocast_layer_train_it(loss: Function) -> None:
    layer = torch.nn.Linear(4, 4)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        z_a, z_b = (layer(z) for z in pair())
        result = loss(z_a, z_b)
    assert z_a.dtype == torch.bfloat16
    assert result.total.dtype == torch.float32
    result.total.backward()
    assert layer.weight.grad is not None
    assert bool(layer.weight.grad.isfinite().all())
    assert layer.weight.grad.abs().max() > 0


@each_contrastive
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
def test_low_temperature_does_not_overflow(loss: Function, dtype: torch.dtype) -> None:
    z_a, z_b = pair(dtype=dtype)
    # exp(1 / 0.005) = e^200 is beyond float32; the log-sum-exp never forms it.
    assert all(math.isfinite(term) for term in loss(z_a, z_b, 0.005))


@each_loss
def test_losses_are_pure_functions(loss: Function) -> None:
    z_a, z_b = pair()
    state = torch.random.get_rng_state()
    first, second = loss(z_a, z_b), loss(z_a, z_b)
    assert all(torch.equal(x, y) for x, y in zip(first, second))
    assert torch.equal(torch.random.get_rng_state(), state)


@each_function
@pytest.mark.cuda
def test_losses_agree_between_cpu_and_gpu(function: Function) -> None:
    z_a, z_b = pair(64, 16)
    with torch.autocast("cuda", dtype=torch.bfloat16):
        on_gpu = function(z_a.cuda(), z_b.cuda())
    for x, y in zip(on_gpu, function(z_a, z_b)):
        assert_close(x.cpu(), y, rtol=1e-4, atol=1e-5)
