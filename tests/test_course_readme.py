"""The generated tables of README.md."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from jemlib.course.build import readme
from jemlib.experiments.comparison import summary
from jemlib.methods import METHODS

RESULTS = Path(__file__).resolve().parents[1] / "results"
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


def test_a_time_on_one_thread_is_not_shown_as_one_of_two(tmp_path: Path) -> None:
    for folder in ("solutions", "results"):
        (tmp_path / folder).mkdir()
    (tmp_path / "solutions" / "02_barlow_twins.py").write_text("# %% [markdown]\n# # 02 · A title\n")
    record = {"02_barlow_twins": {"seconds": 90, "threads": 1}}
    (tmp_path / "results" / "lessons.json").write_text(json.dumps(record))
    assert "| 1.5 min on one thread |" in readme.lessons_table(tmp_path)


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


def test_for_every_method_it_is_recorded_how_its_settings_were_chosen_or_that_this_was_not_recorded() -> None:
    tuning = json.loads((RESULTS / "tuning.json").read_text(encoding="utf-8"))
    assert set(tuning["methods"]) == set(METHODS)
    with_runs = {run["method"] for run in tuning["runs"]}
    for name, chosen in tuning["methods"].items():
        assert chosen.startswith("not recorded") == (name not in with_runs), name
        assert chosen.startswith(("not recorded", "validation split")), name


def test_every_figure_of_the_story_behind_the_table_is_that_of_a_recorded_run() -> None:
    """Three decimals or two: the kNN of a run of results/tuning.json, or one of its settings."""
    text = (RESULTS.parent / "README.md").read_text(encoding="utf-8").split("What made the difference there:")[1]
    story = text.split("\n## ")[0]
    runs = json.loads((RESULTS / "tuning.json").read_text(encoding="utf-8"))["runs"]
    known = {run["knn_validation"] for run in runs} | {run["settings"].get("momentum") for run in runs} - {None}
    figures = re.findall(r"\b[01]\.\d+\b", story)
    assert len(figures) > 15
    for figure in figures:
        digits = len(figure.split(".")[1])
        assert any(f"{value:.{digits}f}" == figure for value in known), figure


def test_the_means_and_deviations_of_a_recorded_comparison_are_those_of_its_runs() -> None:
    for name in ("motifs_cpu", "cifar10_cpu"):
        table = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
        for row in table["rows"]:
            assert row == summary(row["method"], [run for run in table["runs"] if run["method"] == row["method"]])
