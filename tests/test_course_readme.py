"""The generated tables of README.md."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from jemlib.course.build import readme

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


def test_collapses_and_speeds_are_listed_where_they_are_recorded(tmp_path: Path) -> None:
    (tmp_path / "results").mkdir()
    run = {"rankme": 2.5, "normalized_std": 0.98, "knn": 0.12, "loss": 1.0}
    row = {
        "name": "vicreg.covariance",
        "kind": "dimensional",
        "sees": "rankme",
        "below": 10.0,
        "blind": "normalized_std",
    }
    row |= {"method": "vicreg", "common": {}}
    collapse = {"scale": {"steps": 300}, "rows": [{**row, "intact": {**run, "rankme": 50.0}, "runs": [run, run]}]}
    (tmp_path / "results" / "collapse.json").write_text(json.dumps(collapse))
    bench = {"runs": 3, "threads": 2, "ratios": {"simclr, complete / bare": 0.75}}
    (tmp_path / "results" / "bench.json").write_text(json.dumps(bench))
    losses = {"n": 1024, "d": 2048, "ratios": {"vicreg, lightly / ours": 1.4}}
    (tmp_path / "results" / "bench_losses.json").write_text(json.dumps(losses))
    text = readme.results_tables(tmp_path)
    for part in (
        "taken away, 300 steps.",
        "| vicreg.covariance | dimensional | rankme | 50.00 | 2.500 | < 10 |",
        "medians of 3 runs on 2 threads",
        "| simclr, complete / bare | 0.75 |",
        "N = 1,024, D = 2,048",
        "| vicreg, lightly / ours | 1.40 |",
    ):
        assert part in text


def test_the_count_of_claims_that_hold_counts_only_those_that_hold_on_every_seed(tmp_path: Path) -> None:
    (tmp_path / "results").mkdir()
    records = [
        {"all_hold": True, "holds": [True] * 3},
        {"all_hold": False, "holds": [True, False, True]},
        {"all_hold": None, "holds": [None] * 4},
    ]
    (tmp_path / "results" / "claims.json").write_text(json.dumps({"claims": records}))
    assert "1 of 3 hold on each of 3 seeds or more" in readme.results_tables(tmp_path)
