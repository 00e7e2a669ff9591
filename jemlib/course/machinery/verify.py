"""Derivation steps that check themselves: a cell fails when its step is wrong, instead of printing False."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from jemlib import validate


def verify(statement: str, actual: Any, expected: Any = True, *, tolerance: float = 1e-9) -> None:
    """Print that a statement holds; raise when it does not.

    Args:
        statement: what is claimed, in a few words, such as "loop and product agree".
        actual: one side: a tensor, a number, a truth value, or a (nested) list of numbers.
        expected: the other side. It may be one number for all entries, or have the shape of `actual`.
        tolerance: largest absolute difference, relative to 1 + the largest entry of `expected`.
            Infinite entries must be equal, NaN never agrees.

    Raises:
        AssertionError: the sides differ; the message says by how much and where.
        ValueError: the shapes do not fit, or the tolerance is negative.
    """
    validate.number("tolerance", tolerance, at_least=0)
    a, b = _tensor("actual", actual), _tensor("expected", expected)
    if b.ndim and a.shape != b.shape:
        raise ValueError(f"{statement}: actual has shape {tuple(a.shape)} and expected {tuple(b.shape)}.")
    b = b.expand_as(a)
    gap = (a - b).abs().masked_fill(a == b, 0.0).nan_to_num(nan=torch.inf)
    finite = b[b.isfinite()].abs()
    allowed = tolerance * (1 + (float(finite.max()) if finite.numel() else 0.0))
    worst = float(gap.max()) if gap.numel() else 0.0
    if worst > allowed:
        raise AssertionError(f"does not hold: {statement}. {_difference(a, b, gap)}")
    print(f"Holds: {statement}.")


def _tensor(name: str, value: Any) -> Tensor:
    if isinstance(value, Tensor):
        return value.detach().cpu().double()
    try:
        return torch.as_tensor(value, dtype=torch.float64)
    except (TypeError, ValueError, RuntimeError):
        message = f"{name} must be a tensor, a number or a list of numbers; got {validate.describe(value)}."
        raise ValueError(message) from None


def _difference(a: Tensor, b: Tensor, gap: Tensor) -> str:
    if a.ndim == 0:
        return f"One side is {float(a):.6g}, the other {float(b):.6g}."
    at = tuple(int(i) for i in torch.unravel_index(gap.argmax(), gap.shape))
    place = ", ".join(map(str, at))
    return f"The largest difference is at [{place}]: {float(a[at]):.6g} against {float(b[at]):.6g}."
