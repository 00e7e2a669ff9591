"""Compiled code as `reading` and `comparison` need it, alike from Python 3.10 on."""

from __future__ import annotations

import dis
from collections.abc import Iterator
from types import CodeType


def numbered(code: CodeType) -> Iterator[tuple[dis.Instruction, int]]:
    """Each instruction with the line it belongs to. Python 3.13 has the line under another name."""
    line = code.co_firstlineno
    for step in dis.get_instructions(code):
        found = getattr(step, "line_number", None) or step.starts_line
        line = found if type(found) is int else line
        yield step, line


def variables(step: dis.Instruction) -> list[tuple[str, str]]:
    """`(name, STORE or LOAD)` of the local variables; one instruction may do two things: STORE_FAST_LOAD_FAST."""
    names = step.argval if isinstance(step.argval, tuple) else (step.argval,)
    kinds = [part for part in step.opname.split("_") if part in ("STORE", "LOAD")] or [""]
    return [(name, kinds[min(i, len(kinds) - 1)]) for i, name in enumerate(names)]
