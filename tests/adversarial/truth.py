"""Is a wrong answer wrong, and a right one right? Numbers decide, not the checker.

The reference is jemlib's function, or the lesson's solution where jemlib has none of that name (the loops). A lesson's
module says on which arguments to compare: `INPUTS[exercise]` is a function of a generator that returns several tuples
of arguments. Tensors that require a gradient are compared in their gradient as well.
"""

from __future__ import annotations

import linecache
import math
import re
from collections.abc import Callable, Iterable
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

SOLUTIONS = Path(__file__).parents[2] / "solutions"
# `losses.barlow_twins` is the function; the module of that name has more.
HOMES = ("jemlib.losses", "jemlib.diagnose", "jemlib.losses.barlow_twins", "jemlib.losses.bottleneck")
TOLERANCE = 1e-9  # relative, in double precision: float32 anywhere inside is off by 1e-8 at least


@cache
def solutions(lesson: str) -> dict[str, str]:
    """The source of the lesson's own answer to each exercise, in the order of the lesson."""
    (path,) = SOLUTIONS.glob(f"{lesson}_*.py")
    cells = re.split(r"^# %%", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    marked = [(re.match(r' exercise="(\w+)"[^\n]*\n', cell), cell) for cell in cells]
    return {match[1]: cell[match.end() :] for match, cell in marked if match}


def from_library(name: str) -> Callable[..., Any] | None:
    """jemlib's function of that name, if it has one."""
    found = (getattr(import_module(home), name, None) for home in HOMES)
    return next((function for function in found if callable(function)), None)


def notebook(lesson: str, exercise: str) -> dict[str, Any]:
    """The names that a notebook has when a learner who did none of the exercises comes to this one."""
    names: dict[str, Any] = {"torch": torch, "F": F, "math": math, "np": np, "losses": import_module("jemlib.losses")}
    for earlier, source in solutions(lesson).items():
        if earlier == exercise:
            return names
        library = from_library(earlier)
        if library is None:
            exec(source, names)
        else:
            names[earlier] = library
    raise ValueError(f"lesson {lesson} has no exercise {exercise!r}; it has {', '.join(solutions(lesson))}")


def define(lesson: str, exercise: str, source: str) -> Callable[..., Any]:
    """The function that a source defines in such a notebook, where its text is known to Python."""
    names = notebook(lesson, exercise)
    cell = f"<cell of {exercise}>"
    exec(compile(source, cell, "exec"), names)
    linecache.cache[cell] = (len(source), None, source.splitlines(keepends=True), cell)
    return names[exercise]


def reference(lesson: str, exercise: str) -> Callable[..., Any]:
    return from_library(exercise) or define(lesson, exercise, solutions(lesson)[exercise])


def difference(function: Callable[..., Any], truth: Callable[..., Any], cases: list[tuple[Any, ...]]) -> str | None:
    """The first case in which the function does not do what the reference does, in words; None if there is none."""
    for arguments in cases:
        want, want_gradients, _ = _outcome(truth, arguments)
        try:
            got, got_gradients, changed = _outcome(function, arguments)
        except Exception as error:
            return f"{type(error).__name__}: {error}"
        if changed:
            return "it changes its input"
        if len(got) != len(want):
            return f"{len(got)} outputs for {len(want)}"
        for kind, mine, theirs in (("value", got, want), ("gradient", got_gradients, want_gradients)):
            for x, y in zip(mine, theirs):
                if x.shape != y.shape:
                    return f"{kind} of shape {tuple(x.shape)} for {tuple(y.shape)}"
                if not torch.allclose(x, y, rtol=TOLERANCE, atol=TOLERANCE * float(y.abs().max() + 1)):
                    return f"another {kind}"
    return None


def _outcome(function: Callable[..., Any], arguments: tuple[Any, ...]) -> tuple[list[Tensor], list[Tensor], bool]:
    """Outputs, gradients of a fixed mixture of them for each leaf, and whether an argument was changed."""
    leaves = [_each(lambda x: x.detach().clone().requires_grad_(x.requires_grad), a) for a in arguments]
    # Not the leaves themselves: an answer that works in place would fail on a leaf, and what it does is to be seen.
    given = [_each(lambda x: x + 0 if x.requires_grad else x, a) for a in leaves]
    handed = _tensors(given)
    result = function(*given)
    outputs = [torch.as_tensor(x).double() for x in (result if isinstance(result, (tuple, list)) else [result])]
    changed = any(not torch.equal(a.detach(), g.detach()) for a, g in zip(_tensors(arguments), handed))
    wanted = [a for a in _tensors(leaves) if a.requires_grad]
    mixture = sum(
        (x * torch.linspace(1, 2, x.numel()).view(x.shape).double()).sum() * (i + 1) for i, x in enumerate(outputs)
    )
    if not wanted or not mixture.requires_grad:
        return [x.detach() for x in outputs], [torch.zeros_like(a) for a in wanted], changed
    gradients = torch.autograd.grad(mixture, wanted, allow_unused=True)
    filled = [torch.zeros_like(a) if g is None else g for a, g in zip(wanted, gradients)]
    return [x.detach() for x in outputs], filled, changed


def _each(change: Callable[[Tensor], Tensor], argument: Any) -> Any:
    """A tensor, or each tensor of a list, changed; anything else as it is."""
    if isinstance(argument, list):
        return [_each(change, x) for x in argument]
    return change(argument) if isinstance(argument, Tensor) else argument


def _tensors(arguments: Iterable[Any]) -> list[Tensor]:
    """The tensors among the arguments, those in lists too."""
    nested = [_tensors(a) if isinstance(a, list) else [a] for a in arguments]
    return [a for found in nested for a in found if isinstance(a, Tensor)]
