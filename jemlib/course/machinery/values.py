"""Where a wrong function begins to compute something that no right way of writing it computes.

All that torch computes in between is compared, whatever its variables are called; order and shape of the entries do not
count, so that a transposed matrix is the same. Another way of getting to a value that is known is no departure. What is
said is true by construction, and a hint only: yet another right way might begin like this too.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from types import CodeType
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from jemlib import validate
from jemlib.course.machinery.explain import line_of

MOST = 3000  # operations of one call; a longer one is not compared
# Operations that only pick entries or move them about, or that make room for them.
_MOVES = """
    getitem get t transpose permute view reshape flatten unsqueeze squeeze expand expand_as clone detach select unbind
    chunk split stack cat to double float contiguous diagonal setitem set requires_grad numpy tolist item
    zeros zeros_like new_zeros ones ones_like new_ones empty empty_like new_empty full full_like new_full
"""
MOVES = set(_MOVES.split())
SIGNS = {"add": "+", "sub": "-", "mul": "*", "truediv": "/", "div": "/", "pow": "**", "matmul": "@", "neg": "-"}


class _Value(NamedTuple):
    entries: Tensor  # sorted
    name: str  # of the operation
    line: int  # of the function that is watched; 0 outside of it
    sources: frozenset[int]  # the values it was made of


class _Watch(TorchFunctionMode):
    """Notes every value that is computed, and of which ones it was made."""

    def __init__(self, code: CodeType | None) -> None:
        super().__init__()
        self.code = code
        self.values: list[_Value] = []
        self.sources: dict[int, frozenset[int]] = {}  # by id of a tensor
        self.kept: list[Any] = []  # so that no id is given twice

    def __torch_function__(self, operation: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = operation(*args, **(kwargs or {}))
        name = getattr(operation, "__name__", "").strip("_")
        sources = self._sources((args, *(kwargs or {}).values()))
        for value in result if isinstance(result, (tuple, list)) else [result]:
            if isinstance(value, Tensor):
                self._note(value, name, sources)
        if name == "setitem" and isinstance(args[0], Tensor):
            self.sources[id(args[0])] = sources
        return result

    def _note(self, value: Tensor, name: str, sources: frozenset[int]) -> None:
        self.kept.append(value)
        if name not in MOVES and value.is_floating_point() and value.numel() and len(self.values) < MOST:
            self.values.append(_Value(value.detach().double().flatten().sort()[0], name, self._line(), sources))
            sources = frozenset([len(self.values) - 1])
        self.sources[id(value)] = sources

    def _sources(self, given: Any) -> frozenset[int]:
        if isinstance(given, (tuple, list)):
            return frozenset().union(*(self._sources(entry) for entry in given))
        return self.sources.get(id(given), frozenset()) if isinstance(given, Tensor) else frozenset()

    def _line(self) -> int:
        frame: Any = sys._getframe(3)
        while frame is not None and frame.f_code is not self.code:
            frame = frame.f_back
        return frame.f_lineno if frame is not None else 0


def _computed(call: Callable[[], object], code: CodeType | None = None) -> list[_Value]:
    watch = _Watch(code)
    try:
        with torch.no_grad(), validate.blind(), watch:
            call()
    except BaseException:
        return []
    return watch.values


def first_unknown(
    f: Callable[..., Any], call: Callable[[], object], right: Iterable[Callable[[], object]], exact: float
) -> str:
    """A sentence on the first value that no right way has and that leads to none; empty where there is none.

    Args:
        f: the learner's function.
        call: calls it.
        right: calls of the right ways with the same inputs.
        exact: relative tolerance.
    """
    found: dict[int, list[Tensor]] = {}
    for way in right:
        for value in _computed(way):
            found.setdefault(len(value.entries), []).append(value.entries)
    known = {size: torch.unique(torch.stack(entries), dim=0) for size, entries in found.items()}
    ours = _computed(call, code := getattr(f, "__code__", None))
    leads: set[int] = set()  # to what is known
    for i in reversed(range(len(ours))):
        if i in leads or _among(ours[i].entries, known.get(len(ours[i].entries)), exact):
            leads |= {i, *ours[i].sources}
    first = next((value for i, value in enumerate(ours) if value.line and i not in leads), None)
    if first is None or code is None:
        return ""
    sign = SIGNS.get(first.name.removeprefix("r").removeprefix("i"), first.name)
    return f"The result of `{sign}` {line_of(code, first.line)} is the first that no right way known here has."


def _among(entries: Tensor, known: Tensor | None, exact: float) -> bool:
    """Whether one row of `known` has these entries."""
    if known is None:
        return False
    same = torch.isclose(known, entries, rtol=exact, atol=1e-12, equal_nan=True)
    return bool(same.all(dim=1).any())
