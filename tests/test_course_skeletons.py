"""Adding a lesson and an exercise as CONTRIBUTING says: the commands, in its order, on a copy."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from jemlib.course import examine, lessons
from jemlib.course.build.notebooks import SourceError, parse
from jemlib.course.build.skeletons import new_exercise, new_lesson
from jemlib.course.machinery import claims
from jemlib.course.machinery import exercises as machinery
from jemlib.course.machinery.lessons import houses, load

ROOT = Path(__file__).resolve().parents[1]
LESSON = "98_trial"
SQUARE = """
import torch
from jemlib.course.machinery.agreement import Case


def square():
    return [Case((torch.arange(9.0).view(3, 3),)), Case((torch.arange(16.0).view(4, 4).double(),))]

"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A place for houses that the course finds, and registries of their own."""
    load("exercises"), load("claims")  # those of the real houses belong into the real registries
    monkeypatch.setattr(lessons, "__path__", [*lessons.__path__, str(tmp_path / "houses")])
    monkeypatch.setattr(machinery, "REGISTRY", dict(machinery.REGISTRY))
    monkeypatch.setattr(claims, "REGISTRY", dict(claims.REGISTRY))
    yield tmp_path
    for name in [name for name in sys.modules if f"lesson{LESSON}" in name]:
        del sys.modules[name]


def test_a_new_lesson_is_found_and_has_every_file_of_a_house(folder: Path) -> None:
    written = new_lesson(LESSON, folder, folder / "houses")
    assert {path.name for path in written} == {
        "__init__.py", "exercises.py", "figures.py", "claims.py", "98_trial.py", "test_lesson_98.py",
    }  # fmt: skip
    assert houses()[LESSON] == f"jemlib.course.lessons.lesson{LESSON}"
    load("claims")
    with pytest.raises(ValueError, match="is there already; nothing was written"):
        new_lesson(LESSON, folder, folder / "houses")


def test_a_skeleton_is_refused_by_the_builder_until_it_is_written(folder: Path) -> None:
    new_lesson(LESSON, folder, folder / "houses")
    source = (folder / "solutions" / f"{LESSON}.py").read_text()
    with pytest.raises(SourceError, match="something is still to be written"):
        parse(source, LESSON)


def test_a_new_exercise_checks_answers_once_it_is_declared(folder: Path) -> None:
    new_lesson(LESSON, folder, folder / "houses")
    path, cells = new_exercise(LESSON, "jemlib.losses.off_diagonal", folder, folder / "houses")
    text = path.read_text().replace("cases=single_views()", "cases=square")
    path.write_text(text.replace("\ndeclare(", f"{SQUARE}\ndeclare(", 1))
    load("exercises")
    assert re.search(r'# %% check="off_diagonal"\noff_diagonal = check\(off_diagonal\)', cells)
    space: dict[str, object] = {}
    exec("def off_diagonal(c):\n    return c - c.diagonal().diag()", space)
    assert examine(space["off_diagonal"]).state == "correct"
    exec("def off_diagonal(c):\n    return c", space)
    assert examine(space["off_diagonal"]).state == "incorrect"


def test_a_name_or_a_function_that_does_not_exist_is_named(folder: Path) -> None:
    with pytest.raises(ValueError, match="name must be two digits"):
        new_lesson("trial", folder)
    with pytest.raises(ValueError, match=r"there is no .*lesson98_trial"):
        new_exercise(LESSON, "jemlib.losses.vicreg", folder, folder / "houses")
    with pytest.raises(ValueError, match=r"function must be a name such as jemlib\.losses\.vicreg; got 'vicrek'"):
        new_exercise(LESSON, "vicrek", folder, folder / "houses")


@pytest.mark.parametrize("command", ["jem new-lesson", "jem new-exercise", "jem train NAME --split validation"])
def test_contributing_names_the_commands_in_its_steps(command: str) -> None:
    assert command in (ROOT / "CONTRIBUTING.md").read_text()
