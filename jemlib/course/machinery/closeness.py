"""How far two results are apart, and where."""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor


def not_finite(tensors: Sequence[Tensor]) -> bool:
    return not all(bool(t.isfinite().all()) for t in tensors)


def distance(ours: Sequence[Tensor], theirs: Sequence[Tensor]) -> float:
    """Largest absolute difference; infinite when shapes differ or only one side is NaN."""
    worst = 0.0
    for a, b in zip(ours, theirs):
        if a.shape != b.shape:
            return math.inf
        a, b = a.detach().double(), b.detach().double()
        same = (a == b) | (a.isnan() & b.isnan())
        gap = (a - b).abs().masked_fill(same, 0.0).nan_to_num(nan=math.inf, posinf=math.inf)
        worst = max(worst, float(gap.max()) if gap.numel() else 0.0)
    return worst


def close(ours: Sequence[Tensor], truth: Sequence[Tensor], tolerance: float) -> bool:
    for a, b in zip(ours, truth):
        finite = b.detach().double()[b.detach().isfinite()]  # a mask has no size of its own
        if distance([a], [b]) > tolerance * (1 + (float(finite.abs().max()) if finite.numel() else 0.0)):
            return False
    return True


def agree(found: Sequence[Tensor] | None, wanted: Sequence[Tensor] | None, tolerance: float) -> bool:
    """Whether there are results on both sides, as many, and close."""
    return found is not None and wanted is not None and len(found) == len(wanted) and close(found, wanted, tolerance)


def first_entry(a: Tensor, b: Tensor, tolerance: float) -> str:
    if a.ndim == 0:
        found, wanted = told_apart(float(a), float(b))
        return f" Yours is {found}, it should be {wanted}."
    gap = (a - b).abs() > tolerance * (1 + b.abs().max())
    where = tuple(int(i) for i in gap.nonzero()[0])
    found, wanted = told_apart(float(a[where]), float(b[where]))
    return f" The first entry that differs is [{', '.join(map(str, where))}]: yours is {found}, it should be {wanted}."


def told_apart(a: float, b: float) -> tuple[str, str]:
    """Both numbers with as many digits as show that they differ."""
    for digits in range(4, 17):
        if f"{a:.{digits}g}" != f"{b:.{digits}g}":
            return f"{a:.{digits}g}", f"{b:.{digits}g}"
    return repr(a), repr(b)
