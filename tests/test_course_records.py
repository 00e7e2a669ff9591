"""The tables of recorded runs that lessons show."""

from __future__ import annotations

import json

import pytest

from jemlib.course import objectives_so_far, recorded_claims
from jemlib.course.machinery.records import HIDES, TRAITS
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
    assert text.count("not recorded here") == 3
