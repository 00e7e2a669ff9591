"""A call on which a function is compared with the reference, and how well a mistake explains what was seen."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from jemlib.course.machinery.closeness import agree, close, distance

CLOSE = 1e-3  # of the error: as close must a named mistake come where a second, much smaller one was made too


class Case(NamedTuple):
    """One call on which the learner's function is compared with the reference."""

    args: tuple[Tensor, ...]
    kwargs: Mapping[str, float] = {}  # never changed
    note: str = ""

    def describe(self) -> str:
        first = self.args[0]
        settings = "".join(
            f", {name} = {value if isinstance(value, bool) else format(value, 'g')}"
            for name, value in self.kwargs.items()
        )
        note = f", {self.note}" if self.note else ""
        return f"a {str(first.dtype).removeprefix('torch.')} input of shape {tuple(first.shape)}{settings}{note}"

    def tolerance(self) -> float:
        """Far above rounding, far below any mistake."""
        return 1e-9 if self.args[0].dtype == torch.float64 else 1e-4


# Given a case, the learner's results and the right ones: a sentence of help, or None.
Symptom = Callable[[Case, Sequence[Tensor], Sequence[Tensor]], "str | None"]
Seen = tuple[Case, Sequence[Tensor], Sequence[Tensor]]  # a case, the learner's results or gradients, and the right ones


def misfit(
    seen: Sequence[Seen], observe: Callable[[Case], Sequence[Tensor] | None], loose: int, telling: Sequence[Case]
) -> float:
    """How badly a named mistake explains what was seen: 0 exactly, infinite not at all."""
    failing = explained = 0
    worst, exact = 0.0, True
    for case, ours, truth in seen:
        tolerance = loose * case.tolerance()
        wrong = not close(ours, truth, tolerance)
        failing += wrong
        theirs = observe(case)
        if agree(theirs, ours, tolerance):
            explained += wrong
            continue
        exact = False
        if not wrong:
            return math.inf  # it errs where the learner does not
        ratios = [] if theirs is None else [share(a, b, c, tolerance) for a, b, c in zip(ours, theirs, truth)]
        if ratios and max(ratios) <= CLOSE:
            explained += 1
            worst = max(worst, *ratios)
        elif any(case is c for c in telling):
            return math.inf
    if exact:
        return 0.0
    return worst + (failing - explained + 1) if 2 * explained >= failing else math.inf


def share(ours: Tensor, theirs: Tensor, truth: Tensor, tolerance: float) -> float:
    """The distance to a mistake as a share of the distance to the truth; each field must fit by itself."""
    if ours.shape != theirs.shape:
        return math.inf
    if close([ours], [theirs], tolerance):
        return 0.0
    error = distance([ours], [truth])
    gap = distance([ours], [theirs])
    return gap / error if 0 < error < math.inf else math.inf
