"""Where a wrong function departs from a right way of writing the same: the line, and what stands there.

Compiled code is compared, which is there where the text is not. Names of variables do not count, names of functions,
operators and numbers do.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Sequence
from difflib import SequenceMatcher
from types import CodeType
from typing import Any, NamedTuple

from jemlib.course.machinery.bytecode import numbered, variables
from jemlib.course.machinery.explain import line_of

ALIKE = 0.75  # share of the code that must agree, before a difference says anything
PLACES = 2  # more differences than this are another way of writing, and say nothing

# Instructions that only move things about, or that depend on the version of Python.
_MOVES = re.compile(
    "RESUME|NOP|CACHE|PUSH|PRECALL|EXTENDED|COPY|SWAP|POP|JUMP|GET_ITER|MAKE|TO_BOOL|END|ROT|DUP|KW_NAMES|CALL|"
    "NOT_TAKEN|BUILD_TUPLE"
)
_OLD = {"ADD": "+", "SUBTRACT": "-", "MULTIPLY": "*", "TRUE_DIVIDE": "/", "POWER": "**", "MATRIX_MULTIPLY": "@"}


class _Token(NamedTuple):
    key: tuple[str, str]
    text: str  # what a reader calls it; empty for what has no name of its own
    code: CodeType
    line: int


def departure(f: Callable[..., Any], ways: Collection[Callable[..., Any]]) -> str | None:
    """A sentence on where `f` differs from the right way that is most like it; None when none is like it."""
    try:
        return _departure(f, ways)
    except Exception:  # an object without code, or a Python whose code is built in another way
        return None


def _departure(f: Callable[..., Any], ways: Collection[Callable[..., Any]]) -> str | None:
    ours = list(_tokens(f.__code__, {}))
    best: tuple[float, list[_Token], SequenceMatcher[tuple[str, str]]] | None = None
    for way in ways:
        theirs = list(_tokens(way.__code__, {}))
        matcher = SequenceMatcher(None, [t.key for t in ours], [t.key for t in theirs], autojunk=False)
        if best is None or matcher.ratio() > best[0]:
            best = matcher.ratio(), theirs, matcher
    if best is None or not ALIKE <= best[0] < 1:
        return None
    changes = [c for c in best[2].get_opcodes() if c[0] != "equal"]
    lines: dict[int, list[str]] = {}
    for _, start, end, start_there, end_there in changes:
        here, there = ours[start:end], best[1][start_there:end_there]
        at = (here or ours[max(start - 1, 0) : start] or ours[:1])[0]
        place = line_of(at.code, at.line)
        lines.setdefault(at.line, [place]).append(_difference(here, there))
    if len(lines) > PLACES:
        return None
    told = "; ".join(f"{what[0]} {place}" for place, *what in lines.values())
    return f"Next to a way that is right, yours has {told}."


def _difference(here: Sequence[_Token], there: Sequence[_Token]) -> str:
    ours, theirs = ([t.text for t in tokens if t.text] for tokens in (here, there))
    if max(len(ours), len(theirs)) > 3 or not (ours or theirs):
        return "something else"
    mine, right = (" ".join(texts).replace(" .", ".").removeprefix(".") for texts in (ours, theirs))
    if not theirs:
        return f"`{mine}` in excess"
    return f"`{mine}` for `{right}`" if ours else f"no `{right}`"


def _tokens(code: CodeType, names: dict[str, str]) -> Iterator[_Token]:
    """The meaningful instructions; variables are numbered in the order in which they appear."""
    arguments = code.co_varnames[: code.co_argcount]
    for step, line in numbered(code):
        value = step.argval
        if isinstance(value, CodeType):
            yield from _tokens(value, names)
        elif "_FAST" in step.opname or "_DEREF" in step.opname:
            for name, kind in variables(step):
                known = name if name in arguments else names.setdefault(name, f"variable {len(names)}")
                yield _Token((kind, known), name, code, line)
        elif step.opname.startswith(("BINARY_OP", "COMPARE_OP", "INPLACE_", "BINARY_", "UNARY_")):
            sign = step.argrepr or _OLD.get(step.opname.partition("_")[2], step.opname.lower())
            yield _Token(
                ("operator", sign.rstrip("=") or sign), sign if step.argrepr else _sign(step.opname), code, line
            )
        elif not _MOVES.match(step.opname):
            dot = "." if step.opname in ("LOAD_ATTR", "LOAD_METHOD") else ""
            text = dot + str(value) if value is not None else ""
            kind = step.opname.split("_")[0] + ("" if isinstance(value, str) else "number")
            yield _Token((kind, text), text if step.opname.startswith("LOAD") else "", code, line)


def _sign(opname: str) -> str:
    return {"UNARY_NEGATIVE": "-", "UNARY_NOT": "not", "UNARY_INVERT": "~"}.get(opname, _OLD.get(opname[7:], ""))
