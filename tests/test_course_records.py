"""The tables of recorded runs that lessons show."""

from __future__ import annotations

import json

import pytest

from jemlib.course import objectives_so_far, recorded, recorded_claims
from jemlib.course.machinery.records import HIDES, TRAITS, recorded_numbers
from jemlib.methods import SELF_SUPERVISED, known_settings


def test_every_method_has_its_row_of_traits():
    assert set(TRAITS) == set(SELF_SUPERVISED)


@pytest.mark.parametrize("name", TRAITS)
def test_a_row_names_the_batch_norm_at_the_output_where_a_method_has_it_by_default(name):
    traits = TRAITS[name]
    assert (HIDES in traits.against_collapse) == known_settings(name)["normalize_output"]
    assert not known_settings(name)["normalize_output"] or "batch" in traits.couples


def test_the_row_of_dino_is_that_of_its_default_centre():
    assert known_settings("dino")["centering"] == "balanced"
    assert "Sinkhorn" in TRAITS["dino"].against_collapse


def test_a_row_shows_the_recorded_means_and_the_baselines_stand_above(tmp_path):
    row = {c: {"mean": v, "std": 0.0} for c, v in (("knn", 0.9), ("linear", 0.95), ("rankme", 51.62))}
    record = {"rows": [{"method": "simclr", **row}], "baselines": {"raw pixels": {"knn": 0.24}}, "seeds": 3}
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "motifs_cpu.json").write_text(json.dumps(record))
    text = objectives_so_far("simclr", "vicreg", root=tmp_path).data
    assert "| *raw pixels* | | | | 0.240 |  | |" in text
    assert "| simclr | samples with samples |" in text
    assert "| 0.900 | 0.950 | 51.6 |" in text
    assert "| not recorded | not recorded | not recorded |" in text.split("| vicreg |")[1]
    assert "mean over 3 seeds" in text


def test_without_a_record_the_table_says_which_command_writes_it(tmp_path):
    assert "jem compare --scale cpu --seeds 3" in objectives_so_far("vicreg", root=tmp_path).data


def test_an_unknown_method_and_a_lesson_without_claims_are_named():
    with pytest.raises(ValueError, match="'simclr'"):
        objectives_so_far("simcrl")
    with pytest.raises(ValueError, match=r"'99_nothing' makes no claims; lessons with claims: .*02_barlow_twins"):
        recorded_claims("99_nothing")


def test_claims_are_shown_with_numbers_and_the_count_of_seeds_on_which_they_hold(tmp_path):
    numbers = [{"trained": 0.84, "untrained": 0.25}, {"trained": 0.5, "untrained": None}]
    record = {"claims": [{"id": "barlow_twins.learns", "numbers": numbers, "holds": [True, False]}]}
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "claims.json").write_text(json.dumps(record))
    text = recorded_claims("02_barlow_twins", root=tmp_path).data
    assert "trained 0.84, untrained 0.25; trained 0.5 | test | 1 of 2 |" in text
    assert text.count("not recorded here") == 5


def test_of_many_numbers_the_table_of_claims_shows_means(tmp_path):
    seeds = [dict.fromkeys("abcdefg", value) for value in (0.2, 0.4)]
    record = {"id": "barlow_twins.learns", "numbers": seeds, "holds": [True, True]}
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "claims.json").write_text(json.dumps({"claims": [record]}))
    text = recorded_claims("02_barlow_twins", root=tmp_path).data
    assert "| means: a 0.3, b 0.3," in text


# --- recorded: a text with its figures --------------------------------------------------------------------------

CLAIM = "barlow_twins.learns"


@pytest.fixture
def one_record(tmp_path):
    """A folder with one claim, measured with three seeds, one of which has no number."""
    (tmp_path / "results").mkdir()
    numbers = [
        {"trained": 0.8, "untrained": 0.2},
        {"trained": 0.9, "untrained": 0.3},
        {"trained": 41.0, "untrained": None},
    ]
    record = {"claims": [{"id": CLAIM, "numbers": numbers}]}
    (tmp_path / "results" / "claims.json").write_text(json.dumps(record))
    return tmp_path


def test_a_recorded_text_holds_the_means_over_the_seeds_and_says_where_they_come_from(one_record, monkeypatch):
    monkeypatch.setenv("JEMLIB_SCALE", "cpu")
    text = recorded(f"From {{{CLAIM}: untrained}} to {{{CLAIM}:trained}}, $\\sqrt{{N}}$.", root=one_record).data
    assert text.startswith("From 0.25 to 14, $\\sqrt{N}$.")
    assert "Means over 2 or 3 seeds at scale cpu" in text
    assert "smoke" not in text


def test_a_recorded_text_says_at_scale_smoke_that_the_run_shows_nothing(one_record, monkeypatch):
    monkeypatch.setenv("JEMLIB_SCALE", "smoke")
    assert recorded("Text.", root=one_record).data.startswith("**This run is at scale smoke.")


def test_a_figure_without_a_record_is_said_to_be_missing(tmp_path):
    text = recorded(f"It is {{{CLAIM}: trained}}.", root=tmp_path).data
    assert "It is (not recorded here)." in text
    assert "Means over" not in text


def test_an_unknown_claim_or_number_in_a_recorded_text_is_refused(one_record):
    with pytest.raises(ValueError, match=r"claim must be one of .*nobody\.claims"):
        recorded("{nobody.claims: x}", root=one_record)
    with pytest.raises(ValueError, match=r"number of barlow_twins.learns must be one of"):
        recorded(f"{{{CLAIM}: best}}", root=one_record)


def test_the_numbers_of_a_claim_are_means_over_its_seeds_and_empty_where_nothing_is_recorded(one_record, tmp_path):
    numbers = recorded_numbers(CLAIM, root=one_record)
    assert numbers == pytest.approx({"trained": (0.8 + 0.9 + 41) / 3, "untrained": 0.25})
    assert recorded_numbers(CLAIM, root=tmp_path / "nowhere") == {}
    with pytest.raises(ValueError, match="claim must be one of"):
        recorded_numbers("nobody.claims", root=one_record)
