"""nbgrader releases, grades and gives feedback on what the builder writes, without any change."""

from __future__ import annotations

import copy
import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from jemlib.course.machinery.exercises import of_lesson

nbgrader = pytest.importorskip("nbgrader", reason="needs the teaching extra: pip install -e '.[teaching]'")

pytestmark = pytest.mark.slow  # programs of their own, each of which imports Jupyter
REPOSITORY = Path(__file__).resolve().parents[1]
LESSON = "02_barlow_twins"
POINTS = {exercise.name: exercise.points for exercise in of_lesson(LESSON)}
WRONG_STANDARDIZE = "def standardize(z, eps=1e-5):\n    return (z - z.mean(dim=1, keepdim=True)) / z.std()"


@pytest.fixture(scope="module", autouse=True)
def _programs_of_this_environment():
    """nbgrader calls `alembic` by name, also inside Gradebook: it must be on the path when venv is not activated."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", str(Path(sys.executable).parent), prepend=os.pathsep)
        patch.setenv("OMP_NUM_THREADS", "1")
        patch.setenv("JEMLIB_SCALE", "smoke")
        patch.delenv("NBGRADER_EXECUTION", raising=False)
        yield


def nbgrader_command(course: Path, *arguments: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "nbgrader", *arguments],
        cwd=course,
        capture_output=True,
        text=True,
        timeout=1800,  # a guard against hanging
    )
    assert done.returncode == 0, done.stderr[-3000:]


def release(course: Path, solved: object) -> list[str]:
    """Let nbgrader make the released notebook of a solved one; return the sources of its cells."""
    folder = course / "source" / "lesson"
    folder.mkdir(parents=True)
    nbformat.write(solved, folder / f"{LESSON}.ipynb")
    # By default a cell has 30 seconds, a kernel 60 to start, and printed lines 4 to arrive: on a busy machine the last
    # of these failed a cell that only imports torch.
    times = [f"c.Execute.{name} = 500" for name in ("timeout", "startup_timeout", "iopub_timeout")]
    settings = ["c = get_config()", "c.CourseDirectory.course_id = 'jem'", *times]
    (course / "nbgrader_config.py").write_text("\n".join(settings))
    nbgrader_command(course, "generate_assignment", "lesson")
    released = nbformat.read(course / "release" / "lesson" / f"{LESSON}.ipynb", as_version=4)
    return [cell.source for cell in released.cells]


def submit(course: Path, student: str, notebook: object, answers: dict[str, str]) -> None:
    """Hand in the student's notebook with some exercise cells filled in."""
    handed_in = copy.deepcopy(notebook)
    for cell in handed_in.cells:
        cell.source = answers.get(cell.id, cell.source)
    folder = course / "submitted" / student / "lesson"
    folder.mkdir(parents=True)
    nbformat.write(handed_in, folder / f"{LESSON}.ipynb")


@pytest.fixture(scope="module")
def graded(tmp_path_factory, _programs_of_this_environment):
    """A course with three graded submissions of lesson 02, each made from the notebook that is handed out."""
    course = tmp_path_factory.mktemp("course")
    student = nbformat.read(REPOSITORY / "lessons" / f"{LESSON}.ipynb", as_version=4)
    solved = nbformat.read(REPOSITORY / "solutions" / f"{LESSON}.ipynb", as_version=4)
    right = {cell.id: cell.source for cell in solved.cells if cell.id.startswith("exercise-")}
    assert right.keys() == {f"exercise-{name}" for name in POINTS}
    released = release(course, solved)
    submit(course, "untouched", student, {})
    submit(course, "right", student, right)
    submit(course, "onewrong", student, {**right, "exercise-standardize": WRONG_STANDARDIZE})
    nbgrader_command(course, "autograde", "lesson", "--create")
    return course, released, [cell.source for cell in student.cells]


def scores(course: Path, student: str) -> dict[str, float]:
    from nbgrader.api import Gradebook

    with Gradebook(f"sqlite:///{course}/gradebook.db") as gradebook:
        submission = gradebook.find_submission("lesson", student)
        assert submission.max_score == sum(POINTS.values())
        return {grade.name.removeprefix("check-"): grade.auto_score for grade in submission.notebooks[0].grades}


def test_nbgrader_releases_the_very_cells_that_the_builder_writes(graded):
    _, released, student = graded
    assert released == student


def test_an_untouched_notebook_gets_no_points(graded):
    assert scores(graded[0], "untouched") == dict.fromkeys(POINTS, 0)


def test_a_right_notebook_gets_all_points(graded):
    assert scores(graded[0], "right") == POINTS


def test_one_wrong_exercise_loses_its_own_points_and_no_others(graded):
    """cross_correlation calls standardize: after the failed check that name holds jemlib's function."""
    assert scores(graded[0], "onewrong") == {**POINTS, "standardize": 0}


def test_feedback_names_the_mistake(graded):
    course = graded[0]
    nbgrader_command(course, "generate_feedback", "lesson", "--student", "onewrong")
    page = (course / "feedback" / "onewrong" / "lesson" / f"{LESSON}.html").read_text(encoding="utf-8")
    assert "Incorrect: exercise 2.1, standardize." in page
    assert "Exercise 2.7" in page


@pytest.mark.parametrize("lesson", sorted((REPOSITORY / "lessons").glob("*.ipynb")), ids=lambda path: path.stem)
def test_nbgrader_releases_the_committed_lessons_as_they_are(lesson, tmp_path):
    """The clearing step of nbgrader alone, on the committed solved notebook."""
    from nbgrader.preprocessors import ClearSolutions

    solved = nbformat.read(REPOSITORY / "solutions" / lesson.name, as_version=4)
    cleared, _ = ClearSolutions().preprocess(solved, {})
    student = nbformat.read(lesson, as_version=4)
    assert [cell.source for cell in cleared.cells] == [cell.source for cell in student.cells]
