"""What a wrong function's own code shows: the slips of loops, a changed default, a value never used.

Read only once the numbers are wrong, and from the compiled code, which is there where the text is not. Each clue says
what the code does, so that it is true whether or not it is the mistake.
"""

from __future__ import annotations

import dis
from collections.abc import Callable, Iterator
from types import CodeType
from typing import Any, NamedTuple

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


def slips(f: Callable[..., Any], reference: Callable[..., Any]) -> Iterator[str]:
    """Sentences about the code of `f`, the most telling first."""
    yield from _defaults(f, reference)
    code = getattr(f, "__code__", None)
    if not isinstance(code, CodeType):
        return
    try:
        yield from _loops(code)
    except Exception:  # a Python whose code is built in another way: there is nothing to say
        return


def _defaults(f: Callable[..., Any], reference: Callable[..., Any]) -> Iterator[str]:
    ours = parameters(f)
    for name, parameter in parameters(reference).items():
        wanted, found = parameter.default, ours[name].default if name in ours else parameter.default
        if isinstance(wanted, (int, float)) and isinstance(found, (int, float)) and wanted != found:
            yield f"The default of {name} is {found:g} in yours; in the exercise's first line it is {wanted:g}."


def _loops(code: CodeType) -> Iterator[str]:
    steps = list(dis.get_instructions(code))
    loops, uses = _loops_of(steps), list(_uses(steps))
    for loop in loops:
        if not loop.again and any(
            step.opname.startswith("RETURN_") and loop.start < step.offset < loop.end for step in steps
        ):
            yield (
                f"The loop in line {loop.line - code.co_firstlineno + 1} ends in its first round: is the `return` "
                "indented too far?"
            )
    filled = {_line_at(steps, step.offset) for step in steps if step.opname == "STORE_SUBSCR"}
    told = set()
    for loop in reversed(loops):  # inner loops first
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
                f"`{name}` is written anew in each round of the loop in line {loop.line - code.co_firstlineno + 1} "
                f"(in line {first.line - code.co_firstlineno + 1}), so only the last round is left after it: is a + "
                "missing (+=), or does it start in the wrong place?"
            )


def _loops_of(steps: list[dis.Instruction]) -> list[_Loop]:
    line, loops = 0, []
    for step in steps:
        line = _line(step) or line
        if step.opname == "FOR_ITER":
            again = any("JUMP" in s.opname and s.argval == step.offset and s.offset > step.offset for s in steps)
            loops.append(_Loop(step.offset, step.argval, line, again))
    return loops


def _line_at(steps: list[dis.Instruction], offset: int) -> int:
    return [line for step in steps if step.offset <= offset and (line := _line(step))][-1]


def _line(step: dis.Instruction) -> int | None:
    """The line that begins here; Python 3.13 has it under another name."""
    found = getattr(step, "line_number", None) or step.starts_line
    return found if type(found) is int else None


def _uses(steps: list[dis.Instruction]) -> Iterator[_Use]:
    line, before = 0, ""
    for step in steps:
        line = _line(step) or line
        if "_FAST" in step.opname and not step.opname.startswith("DELETE"):
            # One instruction may do two such things: STORE_FAST_LOAD_FAST.
            names = step.argval if isinstance(step.argval, tuple) else (step.argval,)
            kinds = [part for part in step.opname.split("_") if part in ("STORE", "LOAD")]
            for i, name in enumerate(names):
                kind = kinds[min(i, len(kinds) - 1)]
                unpacked = before in ("FOR_ITER", "UNPACK_SEQUENCE", "STORE")
                yield _Use(name, kind == "STORE", step.offset, line, unpacked)
            before = "STORE" if before in ("UNPACK_SEQUENCE", "STORE") and kinds[0] == "STORE" else step.opname
        elif step.opname not in ("CACHE", "EXTENDED_ARG", "NOP"):
            before = step.opname


def unused(f: Callable[..., Any]) -> Iterator[str]:
    """The first value that is computed and never used."""
    code = getattr(f, "__code__", None)
    if not isinstance(code, CodeType):
        return
    try:
        uses = list(_uses(list(dis.get_instructions(code))))
    except Exception:
        return
    read = {use.name for use in uses if not use.writes} | set(code.co_cellvars)
    for use in uses:
        if use.writes and not use.unpacked and use.name not in read and not use.name.startswith("_"):
            yield f"`{use.name}` in line {use.line - code.co_firstlineno + 1} is computed and never used."
            return
