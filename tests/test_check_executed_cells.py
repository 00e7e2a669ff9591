"""The gate behind nbval: a green report in which cells were not run is not accepted."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import nbformat
import pytest
from check_executed_cells import main

pytestmark = pytest.mark.slow  # programs of their own, each of which imports Jupyter


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A folder with one tiny notebook and nbval's true report on it."""
    folder = tmp_path_factory.mktemp("nbval")
    (folder / "lessons").mkdir()
    (folder / "pytest.ini").write_text("[pytest]\n")
    new = nbformat.v4
    cells = [new.new_markdown_cell("# Text"), new.new_code_cell("a = 1"), new.new_code_cell("assert a == 1")]
    nbformat.write(new.new_notebook(cells=cells), folder / "lessons" / "01_tiny.ipynb")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--nbval-lax", "--nbval-current-env"]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST")}
    subprocess.run([*command, "lessons", "--junitxml=junit.xml"], cwd=folder, env=environment, check=True, timeout=120)
    return folder


def doctored(run, pattern, text):
    report = (run / "junit.xml").read_text(encoding="utf-8")
    changed = re.sub(pattern, text, report, count=1)
    assert changed != report
    path = run / "doctored.xml"
    path.write_text(changed, encoding="utf-8")
    return path


def test_a_report_in_which_every_cell_passed_is_accepted(run, capsys):
    assert main([str(run / "junit.xml"), str(run / "lessons")]) == 0
    said = capsys.readouterr().out
    assert "Every code cell was executed" in said
    assert re.search(r"^ +\d+\.\d s  lessons\.01_tiny\.ipynb$", said, flags=re.MULTILINE)


@pytest.mark.parametrize("kind", ["skipped", "failure", "error"])
def test_a_cell_that_did_not_pass_is_not_counted(run, kind, capsys):
    report = doctored(run, r'(<testcase [^>]*name="Cell 1"[^>]*?) ?/>', rf"\1><{kind}/></testcase>")
    assert main([str(report), str(run / "lessons")]) == 1
    assert "lessons/01_tiny.ipynb: 1 of 2 code cells executed" in capsys.readouterr().out


def test_a_cell_missing_from_the_report_is_noticed(run, capsys):
    report = doctored(run, r'<testcase [^>]*name="Cell 0"[^>]*?/>', "")
    assert main([str(report), str(run / "lessons")]) == 1
    assert "1 of 2" in capsys.readouterr().out


def test_a_report_on_another_folder_does_not_count(run, capsys):
    report = doctored(run, r"classname=\"lessons\.", 'classname="drafts.')
    assert main([str(report), str(run / "lessons")]) == 1


def test_an_empty_folder_and_a_missing_argument_are_noticed(run, tmp_path, capsys):
    assert main([str(run / "junit.xml"), str(tmp_path)]) == 1
    assert "no notebooks" in capsys.readouterr().out
    assert main([]) == 2
