"""Claims: measured, asserted where the runs are large enough, recorded either way."""

from __future__ import annotations

import json
import math

import pytest

from jemlib.course import claim
from jemlib.course.machinery import claims
from jemlib.course.machinery.claims import Claim, register, run_claims


def measure(seed, scale):
    assert scale.name in ("smoke", "cpu", "gpu")
    return {"loss": 0.1 * seed, "limit": 1.0}


GOOD = Claim("test.good", "It stays small.", "99_test", "loss below 0.15", measure, lambda n: n["loss"] < 0.15)


@pytest.fixture(autouse=True)
def _only_these_claims(monkeypatch):
    monkeypatch.setattr(claims, "REGISTRY", {})
    monkeypatch.setattr(claims, "known", lambda: claims.REGISTRY)
    monkeypatch.setenv("JEMLIB_SCALE", "cpu")
    register(GOOD)


def test_a_claim_measures_itself_with_seed_0_and_prints_the_numbers(capsys):
    claim("test.good")
    said = capsys.readouterr().out
    assert "It stays small.\n  criterion: loss below 0.15" in said
    assert "loss = 0, limit = 1" in said
    assert "It holds." in said


def test_given_numbers_are_judged_instead(capsys):
    claim("test.good", loss=0.14)
    assert "loss = 0.14" in capsys.readouterr().out


def test_of_many_numbers_a_claim_that_holds_prints_how_many_and_one_that_fails_prints_all(capsys):
    many = {f"n{i}": 0.5 for i in range(11)}
    claim("test.good", loss=0.14, **many)
    said = capsys.readouterr().out
    assert "measured: 12 numbers" in said
    assert "n3" not in said
    with pytest.raises(AssertionError, match=r"loss = 0\.2, n0 = 0\.5"):
        claim("test.good", loss=0.2, **many)


@pytest.mark.parametrize("scale", ["cpu", "gpu"])
def test_a_claim_that_fails_raises_with_statement_criterion_and_numbers(scale, monkeypatch):
    monkeypatch.setenv("JEMLIB_SCALE", scale)
    with pytest.raises(
        AssertionError, match=r"(?s)test\.good: It stays small\..*criterion: loss below 0\.15.*loss = 0\.2"
    ):
        claim("test.good", loss=0.2)


def test_at_smoke_scale_nothing_is_measured_or_asserted(monkeypatch, capsys):
    monkeypatch.setenv("JEMLIB_SCALE", "smoke")
    claim("test.good", loss=0.2)
    claim("test.good")
    assert capsys.readouterr().out.count("Not tested at scale smoke") == 2


def test_a_number_that_is_nan_fails_whatever_the_criterion_says():
    register(Claim("test.blind", "S.", "99_test", "not above 1", measure, lambda n: not n["loss"] > 1))
    with pytest.raises(AssertionError, match="It does not hold"):
        claim("test.blind", loss=math.nan)


def test_a_missing_number_and_an_unknown_id_are_named():
    with pytest.raises(ValueError, match=r"test\.good needs the number 'loss'; got lost"):
        claim("test.good", lost=0.1)
    with pytest.raises(ValueError, match=r"Did you mean 'test\.good'\?"):
        claim("test.god")


def test_two_claims_cannot_share_an_id():
    register(GOOD)
    with pytest.raises(ValueError, match="two claims have the id"):
        register(Claim("test.good", "Another.", "99_test", "c", measure, GOOD.holds))
    with pytest.raises(ValueError, match="needs criterion"):
        Claim("test.empty", "S.", "99_test", " ", measure, GOOD.holds)


def test_all_seeds_are_recorded_and_a_failing_claim_does_not_stop_the_next(tmp_path, capsys):
    def broken(seed, scale):
        raise RuntimeError("no data")

    register(Claim("test.broken", "It runs.", "99_test", "it runs", broken, lambda n: True))
    register(Claim("test.large", "Limit is 1.", "99_test", "limit = 1", measure, lambda n: n["limit"] == 1))
    out = tmp_path / "results" / "claims.json"
    records = {r["id"]: r for r in run_claims(seeds=3, out=out, progress=False)}
    assert records["test.good"]["holds"] == [True, True, False]
    assert records["test.good"]["all_hold"] is False
    assert records["test.large"]["all_hold"] is True
    assert records["test.broken"]["errors"] == ["RuntimeError: no data"] * 3
    assert records["test.broken"]["all_hold"] is False
    written = json.loads(out.read_text(encoding="utf-8"))["claims"]
    assert [record["id"] for record in written] == ["test.broken", "test.good", "test.large"]
    assert written[1]["numbers"] == [{"loss": 0.1 * seed, "limit": 1.0} for seed in range(3)]
    assert written[1]["criterion"] == "loss below 0.15"
    assert set(written[1]["versions"]) == {"jemlib", "python", "torch"}
    said = capsys.readouterr().out
    assert "test.good: holds for 2 of 3 seeds" in said
    assert "test.broken: could not be measured: RuntimeError: no data" in said


def test_running_one_claim_keeps_the_records_of_the_others_and_the_same_run_gives_the_same_bytes(tmp_path):
    out = tmp_path / "claims.json"
    register(Claim("test.other", "S.", "99_test", "c", measure, lambda n: True))
    run_claims(seeds=2, out=out, progress=False)
    before = out.read_bytes()
    run_claims(["test.other"], seeds=2, out=out, progress=False)
    assert out.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["claims.json"]


def test_a_smoke_run_judges_nothing_and_leaves_the_results_alone(tmp_path, monkeypatch):
    (tmp_path / "solutions").mkdir()
    (tmp_path / "jemlib").mkdir()
    monkeypatch.chdir(tmp_path)
    records = run_claims(scale="smoke", seeds=1, progress=False)
    assert records[0]["holds"] == [None]
    assert records[0]["all_hold"] is None
    assert not (tmp_path / "results").exists()
    run_claims(scale="cpu", seeds=1, progress=False)
    assert (tmp_path / "results" / "claims.json").is_file()


def test_a_number_that_is_nan_is_written_as_null(tmp_path):
    register(Claim("test.nan", "S.", "99_test", "c", lambda seed, scale: {"x": math.nan}, lambda n: True))
    out = tmp_path / "claims.json"
    run_claims(["test.nan"], seeds=1, out=out, progress=False)
    record = json.loads(out.read_text(encoding="utf-8"))["claims"][0]
    assert record["numbers"] == [{"x": None}]
    assert record["holds"] == [False]


def test_claim_modules_are_found_by_their_name(monkeypatch):
    monkeypatch.undo()
    assert all(claim.id == id for id, claim in claims.known().items())


def test_a_run_that_is_stopped_keeps_what_it_has_measured(tmp_path):
    def stopped(seed, scale):
        raise KeyboardInterrupt

    register(Claim("test.stopped", "S.", "99_test", "c", stopped, lambda n: True))
    out = tmp_path / "claims.json"
    with pytest.raises(KeyboardInterrupt):
        run_claims(["test.good", "test.stopped"], seeds=2, out=out, progress=False)
    written = json.loads(out.read_text(encoding="utf-8"))["claims"]
    assert [record["id"] for record in written] == ["test.good"]
