"""Answers to the exercises by somebody who has not seen their checks: `python -m tests.adversarial.run`.

Each `lessonNN.py` beside this file has two lists, `WRONG` and `RIGHT`, and the inputs on which `truth` compares them
with the course's own answers.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from types import ModuleType


def lessons() -> dict[str, ModuleType]:
    """The modules of answers by the number of their lesson: {"00": ..., "01": ...}."""
    files = sorted(Path(__file__).parent.glob("lesson*.py"))
    return {path.stem.removeprefix("lesson"): import_module(f"{__name__}.{path.stem}") for path in files}
