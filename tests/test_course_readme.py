"""The generated tables of README.md."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from jemlib.course import readme

MARKS = "top\n<!-- lessons -->\nold\n<!-- /lessons -->\nmiddle\n<!-- results -->\n<!-- /results -->\nend\n"


def test_only_what_stands_between_the_marks_is_written_anew(tmp_path: Path) -> None:
    (tmp_path / "solutions").mkdir()
    text = readme.filled(MARKS, tmp_path)
    assert text.startswith("top\n<!-- lessons -->\n| lesson |")
    assert "old" not in text
    assert "\nmiddle\n" in text
    assert text.endswith("<!-- /results -->\nend\n")
    assert readme.filled(text, tmp_path) == text


def test_a_lesson_has_its_title_its_measured_minutes_and_its_functions(tmp_path: Path) -> None:
    (tmp_path / "solutions").mkdir()
    (tmp_path / "results").mkdir()
    (tmp_path / "solutions" / "02_barlow_twins.py").write_text("# %% [markdown]\n# # 02 · A title\n")
    (tmp_path / "results" / "lessons.json").write_text(json.dumps({"02_barlow_twins": {"seconds": 90}}))
    row = readme.lessons_table(tmp_path).splitlines()[2]
    for part in (
        "[02_barlow_twins](lessons/02_barlow_twins.ipynb)",
        "| A title |",
        "| 1.5 min |",
        "`cross_correlation`",
    ):
        assert part in row


def test_a_missing_mark_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="needs the marks <!-- lessons -->"):
        readme.filled("no marks", tmp_path)
