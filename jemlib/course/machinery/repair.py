"""The one place in which a wrong answer is wrong, found by trying: `mutants` of it, or of the right ways.

What is told is exact for the inputs of the check: with that one change the answer agrees with all of them.
"""

from __future__ import annotations

import inspect
import re
import textwrap
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from jemlib.course.machinery.mutants import Mutant, mutants

Function = Callable[..., Any]
Fits = Callable[[Function], bool]

SECONDS = 2.0  # for one search: on a busy machine a clue less, not a learner who waits
QUOTED = 80  # characters; more code than that is not read
AROUND = 5  # words or signs that are quoted beside what differs
# A changed copy of what does these things is not run.
FORBIDDEN = ("import ", "open(", "exec(", "eval(", "os.", "sys.", "__", "input(", "globals(", "setattr(", "print(")


def one_place(f: Function, ways: Iterable[Function], right: Fits, same: Fits, rich: bool) -> str:
    """A sentence on the only thing that is wrong; empty where more is, or nothing was found in time.

    Args:
        f: the learner's function.
        ways: right ways of writing it.
        right: whether a function gives the right results.
        same: whether it gives the learner's results.
        rich: whether the results hold many numbers. A few whole ones, such as a type of collapse, come out alike for
            many reasons, and most numbers in an answer give the same.
    """
    return _repaired(f, right, rich) or (_explained(ways, same) if rich else "")


def _repaired(f: Function, right: Fits, rich: bool) -> str:
    """Where one change makes the learner's function right, if its text is known."""
    try:
        source, free = textwrap.dedent(inspect.getsource(f)), f.__closure__
    except Exception:
        return ""
    if free or any(word in source for word in FORBIDDEN):
        return ""
    tried = mutants(source, f.__name__, f.__globals__, unlikely=rich)
    found = _first(tried, lambda mutant: (rich or not mutant.number) and right(mutant.function))
    if found is None:
        return ""
    where = f"line {found.line} (`{_cut(found.place)}`)"
    if not found.new:
        return f"Only one place is wrong: {where} should not be there."
    new, old = difference(found.new, found.old)
    return f"Only one place is wrong, in {where}: it should be `{new}` for `{old}`."


def _explained(ways: Iterable[Function], same: Fits) -> str:
    """The one change of a right way that gives the same as the learner's function."""
    texts = ((way, getattr(way, "source", None)) for way in ways)
    known = [(way, text) for way, text in texts if isinstance(text, str)]
    tried = (m for way, text in known for m in mutants(text, way.__name__, way.__globals__, unlikely=False))
    found = _first(tried, lambda mutant: same(mutant.function))
    if found is None:
        return ""
    if not found.new:
        return f"A right way of writing it gives the same without `{_cut(found.old)}`."
    new, old = difference(found.new, found.old)
    where = f" in `{_cut(found.place)}`" if found.place != found.old else ""
    why = f": {found.why}" if found.why else ""
    return f"A right way of writing it gives the same with `{new}` for `{old}`{where}{why}."


def _first(tried: Iterator[Mutant], fits: Callable[[Mutant], bool]) -> Mutant | None:
    end = time.monotonic() + SECONDS
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for mutant in tried:
            if time.monotonic() > end:
                return None
            if fits(mutant):
                return mutant
    return None


def difference(a: str, b: str) -> tuple[str, str]:
    """Two texts, where they are long only what differs and a little around it: `... + entropy(...`."""
    if len(a) + len(b) <= QUOTED:
        return a, b
    words = [re.findall(r"\w+|\s+|\W", text) for text in (a, b)]
    before = _alike(*words)
    after = _alike(*(text[before:][::-1] for text in words))
    start, stop = max(before - AROUND, 0), max(after - AROUND, 0)
    kept = ("".join(text[start : len(text) - stop]).strip() for text in words)
    first, second = (f"{'... ' if start else ''}{text}{' ...' if stop else ''}" for text in kept)
    return first, second


def _alike(a: list[str], b: list[str]) -> int:
    """With how many equal entries two lists begin."""
    return next((i for i, (x, y) in enumerate(zip(a, b)) if x != y), min(len(a), len(b)))


def _cut(code: str) -> str:
    return code if len(code) <= QUOTED else code[: QUOTED - 3] + "..."
