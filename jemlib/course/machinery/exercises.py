"""Exercises: what is asked, and a calm verdict on what the learner wrote.

A learner calls four functions: `check(f)`, `hint(f)`, `solution(f)` and, for the verdict as data, `examine(f)`. An
exercise is found by the name of the function, never by the cell it stands in.
"""

from __future__ import annotations

import functools
import html
import os
import re
import sys
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from jemlib import validate
from jemlib.course.machinery.agreement import Agreement, Wrong
from jemlib.course.machinery.calm import Nested, Session
from jemlib.course.machinery.explain import Function, Mistake, NotAttempted, explain, innermost, shown
from jemlib.course.machinery.families import parameters

LONGEST = 1100  # characters of a message; with the header it stays below 1,200
CORRECT, INCORRECT, NOT_ATTEMPTED = "correct", "incorrect", "not attempted"


class Verdict(NamedTuple):
    """`state` is "correct", "incorrect" or "not attempted"; `exercise` is its name, None when there is no such one."""

    state: str
    message: str
    exercise: str | None


@dataclass(frozen=True)
class Exercise:
    """One function that the learner writes.

    Args:
        name: the function's name; the exercise is found by it.
        lesson: the lesson's file name without ending, such as "02_barlow_twins".
        number: such as "2.1".
        title: a few words for the header line.
        difficulty: 1 to 5.
        importance: 1 to 5.
        minutes: how long it takes.
        points: what it is worth when graded.
        check: given the learner's function, raises `Mistake` when it is wrong and `NotAttempted` when it is open. It
            holds the reference, the named wrong answers and the right ways.
        hints: given one at a time.
        answer: the text of its answer, when it is declared by one (`answers.declare`).
    """

    name: str
    lesson: str
    number: str
    title: str
    difficulty: int
    importance: int
    minutes: int
    points: int
    check: Agreement
    hints: tuple[str, ...]
    answer: str | None = None

    def __post_init__(self) -> None:
        if not self.name.isidentifier():
            raise ValueError(f"an exercise's name must be the name of a function; got {self.name!r}.")
        for field in ("difficulty", "importance", "minutes", "points"):
            validate.integer(f"{field} of exercise {self.name}", getattr(self, field), at_least=1)
        if max(self.difficulty, self.importance) > 5:
            raise ValueError(f"difficulty and importance of exercise {self.name} must be at most 5.")
        if not self.hints:
            raise ValueError(f"exercise {self.name} needs hints.")

    @property
    def reference(self) -> Function:
        """The jemlib function that it derives; takes the place of a missing or wrong answer."""
        return self.check.reference

    @property
    def wrong(self) -> Mapping[str, Wrong]:
        """Wrong answers by name, each with the phrase that its message must contain."""
        return self.check.wrong

    @property
    def right(self) -> Mapping[str, Function]:
        """Right ways of writing it, by name."""
        return self.check.right

    @property
    def header(self) -> str:
        """What stands above the exercise in the notebook: a heading, and a line of facts."""
        points = f"{self.points} point{'s' if self.points > 1 else ''}"
        return (
            f"### Exercise {self.number} · {self.title}\n\n*difficulty {_dots(self.difficulty)} · "
            f"importance {_dots(self.importance)} · about {self.minutes} minutes · {points}*"
        )

    @functools.cached_property
    def fallback(self) -> Function:
        """The reference under the exercise's own name, so that `hint(f)` still finds the exercise."""
        if getattr(self.reference, "__name__", None) == self.name:
            return self.reference

        @functools.wraps(self.reference)
        def stand_in(*args: Any, **kwargs: Any) -> Any:
            return self.reference(*args, **kwargs)

        stand_in.__name__ = self.name
        return stand_in


def _dots(level: int) -> str:
    return "●" * level + "○" * (5 - level)


REGISTRY: dict[str, Exercise] = {}
_hints_given: dict[str, int] = {}


def register(exercise: Exercise) -> Exercise:
    """Make an exercise known. Names and numbers are unique; the same exercise may come again (a module reload)."""
    for other in REGISTRY.values():
        same_name, same_number = other.name == exercise.name, other.number == exercise.number
        if same_name != same_number:
            raise ValueError(
                f"exercise {exercise.number} ({exercise.name}) clashes with {other.number} ({other.name}): "
                "names and numbers must be unique."
            )
    REGISTRY[exercise.name] = exercise
    return exercise


def of_lesson(lesson: str) -> list[Exercise]:
    """The exercises of one lesson, in the order of registration."""
    return [exercise for exercise in REGISTRY.values() if exercise.lesson == lesson]


Answer = TypeVar("Answer")


def check(f: Answer) -> Answer | Function:
    """Print whether the function is right; return it when it is, and jemlib's function otherwise.

    Under nbgrader (environment variable NBGRADER_EXECUTION) a function that is not right raises AssertionError
    instead, after jemlib's function has taken its place in the notebook.
    """
    exercise, function, message = _identify(f, _caller())
    verdict = _examine(exercise, function, message)
    _note(verdict)
    right = verdict.state == CORRECT
    if os.environ.get("NBGRADER_EXECUTION") and not right:
        if exercise is not None:
            _put_into_notebook(exercise)
        raise AssertionError(_report(verdict, exercise))
    text = textwrap.fill(_report(verdict, exercise), 110, subsequent_indent="  ", break_long_words=False)
    if exercise is None:
        print(text)
        return f
    if right and function is not None:
        _say(text, verdict.state)
        return function
    _say(
        f"{text}\n  jemlib's {exercise.name} takes its place, so the cells below run. For help: hint({exercise.name})",
        verdict.state,
    )
    return exercise.fallback


# Called with the exercise and the state after each check; `progress` listens.
LISTENERS: list[Callable[[str, str], None]] = []


def _note(verdict: Verdict) -> None:
    if verdict.exercise is None:
        return
    for listener in LISTENERS:
        listener(verdict.exercise, verdict.state)


# The colour of each state, and a sign for those who do not see it.
STYLES = {CORRECT: ("#2e7d32", "\u2714"), INCORRECT: ("#c62828", "\u2718"), NOT_ATTEMPTED: ("#757575", "\u25cb")}


def _say(text: str, state: str) -> None:
    """Print a verdict; in a live notebook show it in a box with the colour of its state, the same text beside it."""
    if not _in_live_notebook():
        print(text)
        return
    from IPython.display import display

    display({"text/plain": text, "text/html": box(text, state)}, raw=True)


def box(text: str, state: str) -> str:
    """The verdict as HTML; its text is escaped."""
    colour, sign = STYLES[state]
    style = f"border-left: 5px solid {colour}; padding: .4em .8em; white-space: pre-wrap;"
    return f'<div style="{style}"><b style="color: {colour}">{sign}</b> {html.escape(text)}</div>'


def _in_live_notebook() -> bool:
    """Not in a terminal, and not where outputs are compared: nbgrader, nbval (which runs under pytest), CI."""
    if any(os.environ.get(name) for name in ("NBGRADER_EXECUTION", "CI", "PYTEST_VERSION", "PYTEST_CURRENT_TEST")):
        return False
    try:
        from IPython import get_ipython
    except ImportError:
        return False
    return type(get_ipython()).__name__ == "ZMQInteractiveShell"


def examine(f: object) -> Verdict:
    """The verdict of `check`, as data and without printing."""
    return _examine(*_identify(f, _caller()))


def hint(f: object) -> None:
    """Print the next hint for an exercise, given as the function or as its name."""
    exercise, _, message = _identify(f, _caller())
    if exercise is None:
        print(message)
        return
    given = _hints_given.get(exercise.name, 0)
    total = len(exercise.hints)
    if given == total:
        _hints_given[exercise.name] = 0
        print(f"That was the last of the {total} hints. The solution: solution({exercise.name})")
        return
    _hints_given[exercise.name] = given + 1
    print(f"Hint {given + 1} of {total}, exercise {exercise.number}, {exercise.name}: {exercise.hints[given]}")


def solution(f: object) -> None:
    """Print the lesson's own solution of an exercise, given as the function or as its name."""
    exercise, _, message = _identify(f, _caller())
    if exercise is None:
        print(message)
        return
    text = solution_text(exercise)
    if text is None:
        print(f"The solutions are not part of this copy of the course. More help: hint({exercise.name})")
        return
    print(f"Solution of exercise {exercise.number}, {exercise.name}:\n\n{text}")


def solution_text(exercise: Exercise, root: Path | None = None) -> str | None:
    """The exercise's cell of `solutions/NN_name.py` without the marks; None when that is not there."""
    root = root or repository_root()
    source = root / "solutions" / f"{exercise.lesson}.py" if root else None
    if source is None or not source.is_file():
        return None
    cell: list[str] = []
    inside = False
    for line in source.read_text(encoding="utf-8").splitlines():
        if line.startswith("# %%"):
            inside = f'exercise="{exercise.name}"' in line
        elif inside and "### BEGIN SOLUTION" not in line and "### END SOLUTION" not in line:
            cell.append(line)
    return "\n".join(cell).strip() or None


def repository_root() -> Path | None:
    """The folder with lessons/ and solutions/: above the working directory, or beside the installed package."""
    here = Path.cwd()
    for folder in (here, *here.parents, Path(__file__).resolve().parents[3]):
        if (folder / "solutions").is_dir() and (folder / "jemlib").is_dir():
            return folder
    return None


def _examine(exercise: Exercise | None, function: Function | None, message: str) -> Verdict:
    if exercise is None or function is None:
        return Verdict(NOT_ATTEMPTED, _short(message), exercise.name if exercise else None)
    if any(function is own for known in REGISTRY.values() for own in (known.reference, known.fallback)):
        # check() hands out jemlib's function; looking at that again would call an answer right that was wrong.
        text = f"{exercise.name} is jemlib's own function here. Run the cell that defines yours, then this one."
        return Verdict(NOT_ATTEMPTED, text, exercise.name)
    try:
        with Session() as session:
            exercise.check(session.wrap(function))
    except NotAttempted as open_:
        return Verdict(NOT_ATTEMPTED, _short(str(open_)), exercise.name)
    except Mistake as mistake:
        return Verdict(INCORRECT, _short(str(mistake)), exercise.name)
    except Nested:
        raise  # to the function that is being checked, whose own check says so
    except BaseException as error:
        found = explain(error, function, f"made by the check of {exercise.name}")
        state = NOT_ATTEMPTED if isinstance(found, NotAttempted) else INCORRECT
        return Verdict(state, _short(str(found)), exercise.name)
    return Verdict(CORRECT, "it agrees with jemlib on every input of the check.", exercise.name)


def _short(message: str) -> str:
    """At most as long as one can read, without what no terminal can print."""
    message = message if len(message) <= LONGEST else f"{message[: LONGEST - 6]} [...]"
    return "".join(c if c.isprintable() or c == "\n" else "?" for c in message)


def _report(verdict: Verdict, exercise: Exercise | None) -> str:
    if exercise is None:
        return verdict.message
    state = "Not attempted yet" if verdict.state == NOT_ATTEMPTED else verdict.state.capitalize()
    message, first = verdict.message, re.match(r"\w*", verdict.message)
    # Names of functions and arguments are not capitalised.
    code = {exercise.name, "check", *parameters(exercise.reference)}
    if (
        first is not None
        and first[0] not in code
        and "_" not in first[0]
        and message[first.end() :][:1] not in ("(", ".")
    ):
        message = message[:1].upper() + message[1:]
    return f"{state}: exercise {exercise.number}, {exercise.name}. {message}"


def _caller() -> dict[str, Any]:
    """The module's variables where check, hint or solution was called; a lambda can only be named through them.

    Not the local ones: a notebook has none, and copying them crashes Python 3.13.0 inside a comprehension.
    """
    return sys._getframe(2).f_globals


def _identify(f: object, variables: Mapping[str, Any]) -> tuple[Exercise | None, Function | None, str]:
    """Find the exercise and the function to look at; the message says what is missing when one of them is None."""
    try:
        return _found(f, variables)
    except BaseException as error:  # an object that does not let itself be looked at
        return None, None, f"That object raises {type(error).__name__} when it is looked at; give a function."


def _found(f: object, variables: Mapping[str, Any]) -> tuple[Exercise | None, Function | None, str]:
    if isinstance(f, str):
        if f not in REGISTRY:
            return None, None, _unknown(f)
        found = variables.get(f)
        if not callable(found):
            return REGISTRY[f], None, f"no function called {f} is defined here yet."
        return REGISTRY[f], found, ""
    if not callable(f):
        described = shown(f)
        return None, None, f"That is {described}, not a function: give the function itself, such as check(standardize)."
    own = _name(f)
    # A lambda, a partial or an object has no telling name of its own; the variable that holds it does.
    bound = [name for name, value in variables.items() if value is f and name in REGISTRY]
    for name in (own, *bound):
        if name in REGISTRY:
            return REGISTRY[name], f, ""
    return None, None, _unknown(own)


def _name(f: object) -> str:
    """The name by which a function goes; an object may refuse to tell it."""
    try:
        return str(getattr(f, "__name__", getattr(innermost(f), "__name__", type(f).__name__)))  # type: ignore[arg-type]
    except BaseException:
        return type(f).__name__


def _unknown(name: str) -> str:
    """Which exercise may have been meant, and which ones there are."""
    if name == "<lambda>":
        return (
            "A lambda has no name to find its exercise by: write `def` with the exercise's name, or give the lambda "
            "that name and check the name."
        )
    near = get_close_matches(name, REGISTRY, n=1)
    known = of_lesson(REGISTRY[near[0]].lesson) if near else list(REGISTRY.values())
    listed = ", ".join(f"{exercise.number} {exercise.name}" for exercise in known)
    meant = f" Did you mean {near[0]}?" if near else ""
    return f"There is no exercise called {name[:60]}.{meant} An exercise is found by its function's name: {listed}."


def _put_into_notebook(exercise: Exercise) -> None:
    """Give later cells jemlib's function, so that one wrong exercise does not fail the right ones after it."""
    try:
        from IPython import get_ipython
    except ImportError:
        return
    shell = get_ipython()
    if shell is not None:
        shell.user_ns[exercise.name] = exercise.fallback
