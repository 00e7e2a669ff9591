"""Progress: what the checks write down, and what `jem progress` says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from jemlib.cli import app
from jemlib.course import check
from jemlib.course.machinery import progress
from jemlib.course.machinery.exercises import of_lesson, repository_root


@pytest.fixture
def file(tmp_path, monkeypatch):
    """A learner's file: none of the marks of CI, tests and grading is set."""
    for name in progress.NOBODY:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("JEMLIB_PROGRESS", str(tmp_path / "progress.json"))
    return tmp_path / "progress.json"


def standardize(z, eps=1e-5):
    return (z - z.mean(0)) / (z.var(0, correction=0) + eps).sqrt()


def wrong():
    def standardize(z, eps=1e-5):
        return z

    return standardize


def open_one():
    def standardize(z, eps=1e-5):
        raise NotImplementedError()

    return standardize


def test_a_check_writes_what_it_found_and_the_best_stays(file):
    check(open_one())
    assert not file.exists()
    check(wrong())
    assert json.loads(file.read_text()) == {"standardize": "incorrect"}
    check(standardize)
    check(wrong())
    check(open_one())
    assert json.loads(file.read_text()) == {"standardize": "correct"}


@pytest.mark.parametrize("mark", progress.NOBODY)
def test_grading_ci_and_tests_leave_no_progress(file, monkeypatch, mark):
    monkeypatch.setenv(mark, "1")
    if mark == "NBGRADER_EXECUTION":
        with pytest.raises(AssertionError):
            check(wrong())
    check(standardize)
    assert not file.exists()


@pytest.mark.parametrize("text", ["{", "[]", '{"standardize": "perfect"}', '{"standardize": []}', "\udcff"])
def test_a_broken_file_is_started_anew_with_a_sentence(file, capsys, text):
    file.write_bytes(text.encode("utf-8", "surrogateescape"))
    check(standardize)
    assert "is not a record of your progress" in capsys.readouterr().out
    assert json.loads(file.read_text()) == {"standardize": "correct"}


def test_a_folder_that_cannot_be_written_does_not_stop_a_check(file, monkeypatch, capsys):
    monkeypatch.setenv("JEMLIB_PROGRESS", str(file.parent / "missing" / "progress.json"))
    monkeypatch.setattr(progress, "write_json", lambda *_: (_ for _ in ()).throw(PermissionError("read-only")))
    assert check(standardize) is standardize
    assert "Your progress could not be kept: read-only" in capsys.readouterr().out


def test_the_summary_counts_done_attempted_and_open(file):
    exercises = of_lesson("02_barlow_twins")
    first, second, *_ = exercises
    progress.note(first.name, "correct")
    progress.note(second.name, "incorrect")
    line, where = progress.summary(["02"]).splitlines()
    left = sum(e.minutes for e in exercises[1:])
    assert (
        line.split()
        == (
            f"02_barlow_twins 1 of {len(exercises)} done, 1 attempted, {len(exercises) - 2} open; "
            f"next {second.number} {second.name}, about {left} minutes left"
        ).split()
    )
    assert where == f"Kept in {file}."
    for exercise in exercises:
        progress.note(exercise.name, "correct")
    assert "complete" in progress.summary(["02_barlow_twins"])


def test_jem_progress_has_a_line_for_each_lesson_and_refuses_another(file):
    said = CliRunner().invoke(app, ["progress"]).output.splitlines()
    assert [line[:2] for line in said[:-1]] == sorted({e.lesson[:2] for e in of_all()})
    with pytest.raises(ValueError, match=r"LESSONS must be among 00_start_here, .*; got '77'"):
        CliRunner().invoke(app, ["progress", "77"], catch_exceptions=False)


def of_all():
    from jemlib.course.machinery.exercises import REGISTRY

    return REGISTRY.values()


def test_without_a_setting_the_file_lies_in_the_folder_of_the_course_and_git_ignores_it(monkeypatch):
    monkeypatch.delenv("JEMLIB_PROGRESS", raising=False)
    root = repository_root()
    assert progress.path() == root / ".jemlib-progress.json"
    assert ".jemlib-progress.json" in (Path(root) / ".gitignore").read_text().splitlines()
