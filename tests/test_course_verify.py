"""Steps that verify themselves: silent about digits when they hold, loud when they do not."""

from __future__ import annotations

import math

import pytest
import torch

from jemlib.course import verify


@pytest.mark.parametrize(
    ("actual", "expected"),
    [
        (1 + 1e-12, 1),
        (True, True),
        ([1.0, 2.0], [1.0, 2.0]),
        (torch.ones(2, 3), 1),
        (torch.tensor([math.inf, 1.0]), torch.tensor([math.inf, 1.0])),
        (torch.tensor(2.0, requires_grad=True), 2),
        (1e12 * torch.ones(2, dtype=torch.float64) + 1, 1e12),
        (torch.zeros(0), 0),
        (torch.tensor(1 / 3, dtype=torch.float64), 1 / 3),  # Python's numbers are not rounded to float32
        (torch.tensor([[1 / 3]], dtype=torch.float64), [[1 / 3]]),
    ],
)
def test_what_holds_is_said_in_one_line_without_digits(actual, expected, capsys):
    verify("both are the same", actual, expected, tolerance=1e-9)
    assert capsys.readouterr().out == "Holds: both are the same.\n"


@pytest.mark.parametrize(
    ("actual", "expected", "message"),
    [
        (1.001, 1, "does not hold: a step. One side is 1.001, the other 1."),
        (False, True, "One side is 0, the other 1"),
        ([[1.0, 2.0], [3.0, 5.0]], [[1.0, 2.0], [3.0, 4.0]], r"at \[1, 1\]: 5 against 4"),
        (math.nan, 1, "One side is nan"),
        (math.nan, math.nan, "One side is nan"),
        (torch.tensor([1.0, math.inf]), torch.tensor([1.0, 2.0]), r"at \[1\]: inf against 2"),
        (torch.tensor([1.0, 2.0]), torch.tensor([1.0, math.inf]), r"at \[1\]: 2 against inf"),
    ],
)
def test_what_does_not_hold_raises_with_both_sides_and_the_place(actual, expected, message):
    with pytest.raises(AssertionError, match=message):
        verify("a step", actual, expected)


def test_shapes_that_do_not_fit_and_values_that_are_no_numbers_are_named():
    with pytest.raises(ValueError, match=r"a step: actual has shape \(2,\) and expected \(3,\)"):
        verify("a step", torch.ones(2), torch.ones(3))
    with pytest.raises(ValueError, match=r"a step: actual has shape \(\) and expected \(1,\)"):
        verify("a step", 1.0, [1.0])
    with pytest.raises(ValueError, match="actual must be a tensor, a number or a list of numbers; got"):
        verify("a step", "1.0", 1.0)
    with pytest.raises(ValueError, match="tolerance"):
        verify("a step", 1.0, 1.0, tolerance=-1)


def test_the_tolerance_grows_with_the_size_of_the_expected_side():
    verify("close for its size", 1e6 + 1e-4, 1e6)
    with pytest.raises(AssertionError):
        verify("far for its size", 1e-3, 0)
