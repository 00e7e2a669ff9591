"""Lists of views, one tensor per crop of the same images: what DINO and SimDINO ask of them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from jemlib import validate


def named_views(name: str, views: Sequence[Tensor]) -> dict[str, Tensor]:
    return {f"{name}[{i}]": view for i, view in enumerate(views)}


def views_of(name: str, logits: Sequence[Tensor], *, check_finite: bool = True) -> dict[str, Tensor]:
    """Check a list with at least one view, each `(N, K)`; the keys are the names for error messages."""
    if not isinstance(logits, (list, tuple)):
        raise TypeError(f"{name} must be a list of (N, K) tensors, one per view; got {validate.describe(logits)}.")
    if not logits:
        raise ValueError(f"{name} must hold at least one view; got none.")
    names = [f"{name}[{i}]" for i in range(len(logits))]
    return {
        key: validate.embeddings(key, view, min_samples=1, check_finite=check_finite)
        for key, view in zip(names, logits)
    }


def alike(views: dict[str, Tensor]) -> list[Tensor]:
    """Check that all views have one shape and one device; return them in one dtype."""
    (first, reference), *others = views.items()
    for name, view in others:
        if view.shape != reference.shape:
            raise ValueError(
                f"{first} and {name} must have the same shape (N, K) (row i of all views is the same image); "
                f"got {tuple(reference.shape)} and {tuple(view.shape)}."
            )
        if view.device != reference.device:
            raise ValueError(f"{first} and {name} must be on one device; got {reference.device} and {view.device}.")
    double = any(view.dtype == torch.float64 for view in views.values())
    return [view.to(torch.float64 if double else torch.float32) for view in views.values()]


def student_and_teacher(**given: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
    """Check the student's views and the teacher's, under their names: the teacher's global views come first in both."""
    (name, students), (teacher_name, teachers) = (
        (name, views_of(name, views, check_finite=False)) for name, views in given.items()
    )
    if len(students) < max(2, len(teachers)):
        raise ValueError(
            f"{name} must hold at least two views, the teacher's global views first; "
            f"got {len(students)} for the student and {len(teachers)} in {teacher_name}."
        )
    views = alike({**students, **teachers})
    return views[: len(students)], views[len(students) :]
