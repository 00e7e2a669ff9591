"""What a wrong function's own code shows: the slips of loops, a changed default, a value never used.

Read only once the numbers are wrong, and from the compiled code, which is there where the text is not. Each clue says
what the code does, so that it is true whether or not it is the mistake.
"""

from __future__ import annotations

import dis
from collections.abc import Callable, Iterator
from types import CodeType
from typing import Any, NamedTuple

from jemlib.course.machinery.bytecode import numbered, variables
from jemlib.course.machinery.explain import innermost
from jemlib.course.machinery.families import parameters


class _Use(NamedTuple):
    """One time that a local variable is read or written."""

    name: str
    writes: bool
    at: int  # offset in the code
    line: int
    unpacked: bool  # one of several written at once, or the variable of a loop


class _Loop(NamedTuple):
    start: int  # offset of its head
    end: int  # of the first instruction after it
    line: int
    again: bool  # whether anything jumps back to its head


Steps = list[tuple[dis.Instruction, int]]  # each with its line, counted from the `def`


def slips(f: Callable[..., Any], reference: Callable[..., Any]) -> Iterator[str]:
    """Sentences about the code of `f`, the most telling first."""
    yield from _defaults(f, reference)
    try:
        steps = _steps(f)
        yield from _early_returns(steps)
        yield from _overwritten(steps)
    except Exception:  # a Python whose code is built in another way: there is nothing to say
        return


def finds_positions(f: Callable[..., Any]) -> bool:
    """Whether the code asks for positions: the `indices` of a sort or a topk, or an arg-function."""
    names = getattr(getattr(innermost(f), "__code__", None), "co_names", ())
    return not {"indices", "argsort", "argmax", "argmin"}.isdisjoint(names)


def unused(f: Callable[..., Any]) -> Iterator[str]:
    """The first value that is computed and never used."""
    try:
        uses = list(_uses(_steps(f)))
    except Exception:
        return
    read = {use.name for use in uses if not use.writes} | set(f.__code__.co_cellvars if uses else ())
    for use in uses:
        if use.writes and not use.unpacked and use.name not in read and not use.name.startswith("_"):
            yield f"`{use.name}` in line {use.line} is computed and never used."
            return


def _steps(f: Callable[..., Any]) -> Steps:
    code = getattr(f, "__code__", None)
    if not isinstance(code, CodeType):
        return []
    return [(step, line - code.co_firstlineno + 1) for step, line in numbered(code)]


def _defaults(f: Callable[..., Any], reference: Callable[..., Any]) -> Iterator[str]:
    ours = parameters(f)
    for name, parameter in parameters(reference).items():
        wanted, found = parameter.default, ours[name].default if name in ours else parameter.default
        if isinstance(wanted, (int, float)) and isinstance(found, (int, float)) and wanted != found:
            yield f"The default of {name} is {found:g} in yours; in the exercise's first line it is {wanted:g}."


def _early_returns(steps: Steps) -> Iterator[str]:
    for loop in _loops(steps):
        returns = any(s.opname.startswith("RETURN_") and loop.start < s.offset < loop.end for s, _ in steps)
        if returns and not loop.again:
            yield f"The loop in line {loop.line} ends in its first round: is the `return` indented too far?"


def _overwritten(steps: Steps) -> Iterator[str]:
    uses = list(_uses(steps))
    filled = {line for step, line in steps if step.opname == "STORE_SUBSCR"}
    told = set()
    for loop in reversed(_loops(steps)):  # inner loops first
        inside = [use for use in uses if loop.start < use.at < loop.end]
        for name in dict.fromkeys(use.name for use in inside):
            first = next(use for use in inside if use.name == name)
            read_later = [use for use in uses if use.name == name and use.at >= loop.end]
            if not first.writes or first.unpacked or name in told or not read_later or read_later[0].writes:
                continue
            writes = sum(use.name == name and use.writes for use in inside)
            reads = [use for use in inside if use.name == name and not use.writes and use.line not in filled]
            begun_before = any(use.name == name and use.writes and use.at < loop.start for use in uses)
            # An iteration, v = g(u) and u = f(v), writes anew as well; there each is read again in the next round.
            if writes == 1 and (reads or not (begun_before or filled)):
                continue
            told.add(name)
            yield (
                f"`{name}` is written anew in each round of the loop in line {loop.line} (in line "
                f"{first.line}), so only the last round is left after it: is a + "
                "missing (+=), or does it start in the wrong place?"
            )


def _loops(steps: Steps) -> list[_Loop]:
    loops = []
    for step, line in steps:
        if step.opname == "FOR_ITER":
            again = any("JUMP" in s.opname and s.argval == step.offset and s.offset > step.offset for s, _ in steps)
            loops.append(_Loop(step.offset, step.argval, line, again))
    return loops


def _uses(steps: Steps) -> Iterator[_Use]:
    before = ""
    for step, line in steps:
        if "_FAST" in step.opname and not step.opname.startswith("DELETE"):
            found = variables(step)
            unpacked = before in ("FOR_ITER", "UNPACK_SEQUENCE", "STORE")
            for name, kind in found:
                yield _Use(name, kind == "STORE", step.offset, line, unpacked)
            more = before in ("UNPACK_SEQUENCE", "STORE") and found[0][1] == "STORE"
            before = "STORE" if more else step.opname
        elif step.opname not in ("CACHE", "EXTENDED_ARG", "NOP"):
            before = step.opname
