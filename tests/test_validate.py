"""The argument checks: what passes, and what each message says."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from oracles import normal

from jemlib import validate

# --- describe and choice ---------------------------------------------------------------------------------------


def test_describe_gives_shape_and_type_of_a_tensor_not_its_contents() -> None:
    assert validate.describe(torch.zeros(3, 2, dtype=torch.int64)) == "a int64 tensor of shape (3, 2)"


def test_describe_shortens_long_values_and_adds_their_type() -> None:
    assert validate.describe("abc") == "'abc'"
    text = validate.describe(list(range(1000)))
    assert len(text) < 80
    assert text.startswith("[0, 1, 2")
    assert text.endswith("... (list)")


def test_choice_returns_a_known_name() -> None:
    assert validate.choice("method", "byol", ["byol", "simsiam"]) == "byol"


def test_choice_lists_the_known_names_and_suggests_the_nearest() -> None:
    with pytest.raises(ValueError, match=r"^method must be one of 'byol', 'simsiam'; got 'simsam'. Did you mean 'sims"):
        validate.choice("method", "simsam", (name for name in ("byol", "simsiam")))


def test_choice_suggests_nothing_when_nothing_is_near() -> None:
    with pytest.raises(ValueError, match=r"got 'zzz'\.$"):
        validate.choice("method", "zzz", ["byol", "simsiam"])


def test_choice_rejects_other_types_calmly() -> None:
    with pytest.raises(ValueError, match=r"got None\.$"):
        validate.choice("method", None, ["byol"])


# --- numbers ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [0.5, 1, np.float32(0.5), np.float64(0.5), np.int32(1)])
def test_number_accepts_python_and_numpy_numbers(value: Any) -> None:
    validate.number("x", value, above=0, at_most=1)


@pytest.mark.parametrize("value", [0, 0.0, -1, 1.5, math.nan, math.inf, -math.inf])
def test_number_names_its_bounds_and_the_value(value: float) -> None:
    with pytest.raises(ValueError, match=rf"^x must be a finite number > 0 and <= 1; got {value}\.$"):
        validate.number("x", value, above=0, at_most=1)


def test_number_bounds_are_closed_except_above() -> None:
    validate.number("x", 0, at_least=0, at_most=0)
    with pytest.raises(ValueError, match=r"> 0; got 0\.$"):
        validate.number("x", 0, above=0)


def test_number_without_bounds_only_wants_it_finite() -> None:
    validate.number("x", -1e30)
    with pytest.raises(ValueError, match=r"^x must be a finite number; got nan\.$"):
        validate.number("x", math.nan)


@pytest.mark.parametrize("value", ["1", None, True, [1], 1j, torch.tensor(1.0)])
def test_number_rejects_other_types(value: Any) -> None:
    with pytest.raises(TypeError, match=r"^x must be a finite number >= 0; got "):
        validate.number("x", value, at_least=0)


def test_integer_accepts_counts() -> None:
    for value in (1, 7, np.int64(3)):
        validate.integer("k", value, at_least=1)


def test_integer_names_what_it_got() -> None:
    with pytest.raises(ValueError, match=r"^k must be >= 1; got 0\.$"):
        validate.integer("k", 0, at_least=1)
    for value in (1.0, "1", True, None):
        with pytest.raises(TypeError, match=r"^k must be a whole number >= 1; got "):
            validate.integer("k", value, at_least=1)  # type: ignore[arg-type]


# --- tensors ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "returned"),
    [
        (torch.bfloat16, torch.float32),
        (torch.float16, torch.float32),
        (torch.float32, torch.float32),
        (torch.float64, torch.float64),
    ],
)
def test_embeddings_come_back_in_float32_or_float64(given: torch.dtype, returned: torch.dtype) -> None:
    z = normal(0, 3, 2, dtype=given)
    checked = validate.embeddings("z", z)
    assert checked.dtype == returned
    assert torch.equal(checked, z.to(returned))


def test_embeddings_may_ask_for_more_samples() -> None:
    validate.embeddings("z", torch.ones(1, 2), min_samples=1)
    with pytest.raises(ValueError, match=r"^z needs at least 5 samples .*N >= 5.* got shape \(4, 2\)"):
        validate.embeddings("z", torch.ones(4, 2), min_samples=5)


def test_embeddings_keep_the_graph() -> None:
    z = normal(0, 3, 2, dtype=torch.float16).requires_grad_()
    validate.embeddings("z", z).sum().backward()
    assert z.grad is not None
    assert z.grad.dtype == torch.float16


def test_paired_promotes_to_the_wider_type() -> None:
    a, b = validate.paired("a", torch.ones(2, 2).bfloat16(), "b", torch.ones(2, 2).double())
    assert (a.dtype, b.dtype) == (torch.float64, torch.float64)


def test_finite_counts_the_bad_entries_and_points_at_the_first() -> None:
    z = torch.ones(4, 3)
    z[1, 2], z[3, 0] = math.nan, -math.inf
    with pytest.raises(ValueError, match=r"^z must be finite; got 2 NaN .* of 12, the first at index \(1, 2\)\.$"):
        validate.finite("z", z)


def test_finite_sees_infinities_that_cancel_in_the_sum() -> None:
    with pytest.raises(ValueError, match="got 2 NaN or infinite"):
        validate.finite("z", torch.tensor([math.inf, -math.inf]))


def test_finite_accepts_finite_entries_whose_sum_overflows() -> None:
    validate.finite("z", torch.full((4,), 3e38))


def test_finite_lets_tensors_without_values_pass() -> None:
    validate.finite("z", torch.ones(2, device="meta"))


def test_a_finite_result_is_believed_and_another_one_is_traced_to_its_input() -> None:
    good, bad = torch.ones(2, 2), torch.tensor([[1.0, float("nan")]])
    validate.finite_result(torch.tensor(1.0), z_a=good, z_b=good)
    with pytest.raises(ValueError, match="z_b must be finite; got 1 NaN"):
        validate.finite_result(bad.sum(), z_a=good, z_b=bad)


def test_a_result_that_overflows_on_finite_inputs_is_no_error_here() -> None:
    validate.finite_result(torch.tensor(float("inf")), z_a=torch.ones(2, 2))


@pytest.mark.parametrize(
    ("values", "error", "message"),
    [
        ([1.0], TypeError, r"^x must be a torch.Tensor of shape \(N, 3, H, H\); got list"),
        (torch.zeros(2, 3, 4, 4).int(), TypeError, "^x must be floating point; got a int32 tensor"),
        (torch.zeros(2, 3, 4), ValueError, r"^x must have shape \(N, 3, H, H\), N = 2: squares; got shape \(2, 3, 4\)"),
        (torch.zeros(2, 1, 4, 4), ValueError, r"got shape \(2, 1, 4, 4\)"),  # a number is that size
        (torch.zeros(5, 3, 4, 4), ValueError, r"got shape \(5, 3, 4, 4\)"),  # a size that is known
        (torch.zeros(2, 3, 4, 5), ValueError, r"got shape \(2, 3, 4, 5\)"),  # one name, one size
        (torch.zeros(2, 3, 0, 0), ValueError, r"got shape \(2, 3, 0, 0\)"),  # nothing in it
    ],
)
def test_a_tensor_is_held_to_its_kind_and_axes(values, error, message) -> None:
    with pytest.raises(error, match=message):
        validate.tensor("x", values, "N 3 H H", meaning="squares", N=2)


def test_a_tensor_that_fits_comes_back_as_it_is_and_only_the_first_axis_may_be_empty() -> None:
    x = torch.zeros(0, 3, 4, 4)
    assert validate.tensor("x", x, "N 3 H H", empty=True) is x
    with pytest.raises(ValueError, match=r"x must have shape \(N, 3, H, H\); got shape \(0, 3, 4, 4\)"):
        validate.tensor("x", x, "N 3 H H")
    for kind, good in (("bool", x.bool()), ("integer", x.int()), ("int64", x.long()), ("uint8", x.byte())):
        assert validate.tensor("x", good, "N 3 H H", kind=kind, empty=True) is good
