"""What a learner has done, attempted and left open: a small file that the checks write.

The file is `.jemlib-progress.json` in the folder of the course, or what the environment variable JEMLIB_PROGRESS names.
It stays on this machine and git ignores it. What was once right stays done, also when a fresh notebook is run later.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path

from jemlib.course.machinery.exercises import (
    CORRECT,
    INCORRECT,
    LISTENERS,
    NOT_ATTEMPTED,
    REGISTRY,
    of_lesson,
    repository_root,
)
from jemlib.files import write_json

NAME = ".jemlib-progress.json"
RANK = {NOT_ATTEMPTED: 0, INCORRECT: 1, CORRECT: 2}
# Grading, CI and tests run checks too, and none of them is somebody who learns.
NOBODY = ("NBGRADER_EXECUTION", "CI", "PYTEST_VERSION")


def path() -> Path:
    """Where the progress is kept."""
    named = os.environ.get("JEMLIB_PROGRESS")
    return Path(named) if named else (repository_root() or Path.cwd()) / NAME


def note(exercise: str, state: str) -> None:
    """Keep the verdict on an exercise if it is the best so far; never in the way of a check."""
    if any(os.environ.get(name) for name in NOBODY):
        return
    try:
        states = read()
        if RANK[state] > RANK[states.get(exercise, NOT_ATTEMPTED)]:
            write_json(path(), {**states, exercise: state})
    except OSError as error:
        print(f"Your progress could not be kept: {error}")


def read() -> dict[str, str]:
    """The best verdict on each exercise that was ever attempted. A file that cannot be read is started anew."""
    file = path()
    if not file.is_file():
        return {}
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        if not isinstance(found, dict) or not all(state in RANK for state in found.values()):
            raise ValueError("it must map exercises to verdicts")
    except (ValueError, TypeError) as error:
        print(f"{file} is not a record of your progress ({error}); it is started anew.")
        write_json(file, {})
        return {}
    return found


def summary(lessons: Iterable[str] | None = None) -> str:
    """A line for each lesson: how many exercises are done, attempted, open; and what comes next.

    Args:
        lessons: such as "02_barlow_twins" or "02"; None means all.

    Raises:
        ValueError: there is no such lesson.
    """
    states = read()
    known = sorted({exercise.lesson for exercise in REGISTRY.values()})
    lines = [_line(lesson, states) for lesson in (known if lessons is None else _chosen(lessons, known))]
    return "\n".join([*lines, f"Kept in {path()}."])


def _chosen(names: Iterable[str], known: list[str]) -> list[str]:
    chosen = []
    for name in names:
        found = [lesson for lesson in known if Path(name).stem in (lesson, lesson[:2])]
        if not found:
            raise ValueError(f"LESSONS must be among {', '.join(known)}; got {name!r}.")
        chosen += found
    return chosen


def _line(lesson: str, states: dict[str, str]) -> str:
    exercises = of_lesson(lesson)
    of = {state: [e for e in exercises if states.get(e.name, NOT_ATTEMPTED) == state] for state in RANK}
    done, attempted, left = (len(of[state]) for state in (CORRECT, INCORRECT, NOT_ATTEMPTED))
    following = next((e for e in exercises if e not in of[CORRECT]), None)
    minutes = sum(e.minutes for e in exercises if e not in of[CORRECT])
    then = f"; next {following.number} {following.name}, about {minutes} minutes left" if following else "; complete"
    return f"{lesson:24s} {done} of {len(exercises)} done, {attempted} attempted, {left} open{then}"


if note not in LISTENERS:
    LISTENERS.append(note)
