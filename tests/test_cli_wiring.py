"""Every option of `jem` reaches what it names: read off the files and figures that the command leaves."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from lesson_source import LESSON, source
from typer.testing import CliRunner
from wiring import TURNED, apart, recorded_starts, write_shades

from jemlib.cli import app
from jemlib.course.machinery import claims
from jemlib.course.machinery.claims import Claim
from jemlib.experiments.runs import restore
from jemlib.methods import Batch, Method, build
from jemlib.scales import SCALES, adjusted_scale, current_scale

FEW = ("--scale", "smoke", "--limit", "64", "--set", "steps=2", "--set", "batch_size=16", "--set", "warmup=1")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the folder `shades` lies; on its test split a probe fitted on train scores `TURNED`."""
    folder = tmp_path_factory.mktemp("data")
    write_shades(folder / "shades")
    return folder


@pytest.fixture(autouse=True)
def _surroundings(tmp_path_factory: pytest.TempPathFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache and a working directory of their own; the scale is the option's."""
    monkeypatch.setenv("JEMLIB_CACHE", str(tmp_path_factory.getbasetemp() / "wiring-cache"))
    monkeypatch.setenv("CI", "true")
    monkeypatch.setenv("JEMLIB_SCALE", "smoke")
    monkeypatch.chdir(tmp_path)


def jem(*arguments: object, code: int = 0) -> str:
    """What `jem ARGUMENTS` prints; an error that a command raises is the caller's."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)
    assert result.exit_code == code, result.output
    return result.output


def metrics_of(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "metrics.json").read_text()))


# --- train ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trained(root: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A run folder of `jem train` with all of its options, and what was printed."""
    out = tmp_path_factory.mktemp("runs") / "chosen"
    data = ("--data", "folder:shades", "--root", root)
    settings = ("--set", "covariance=3", "--set", "widths=32,24", "--set", "learning_rate=2e-3")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CI", "true")
        patch.setenv("JEMLIB_CACHE", str(tmp_path_factory.getbasetemp() / "wiring-cache"))
        patch.setenv("JEMLIB_SCALE", "cpu")
        said = jem("train", "vicreg", *data, "--seed", 5, "--split", "validation", "--out", out, *FEW, *settings)
    return out, said


def test_every_option_of_train_is_obeyed(trained: tuple[Path, str], root: Path) -> None:
    found = metrics_of(trained[0])
    recipe, settings = found["recipe"], found["settings"]
    assert (found["method"], found["data"]) == ("vicreg", f"folder:{root / 'shades'}")
    assert (found["seed"], found["scale"]) == (5, "smoke")
    assert (found["split"], found["knn"], found["linear"]) == ("validation", 1.0, 1.0)
    assert (found["train_images"], found["steps"], found["images_seen"]) == (64, 2, 32)
    assert (recipe["limit"], recipe["steps"], recipe["batch_size"], recipe["learning_rate"]) == (64, 2, 16, 2e-3)
    assert (settings["covariance"], settings["widths"], settings["variance"]) == (3, [32, 24], 25.0)
    assert found["dimensions"] == 24


def test_train_prints_the_figures_of_its_metrics(trained: tuple[Path, str]) -> None:
    out, said = trained
    found = metrics_of(out)
    assert said.splitlines()[0] == (
        f"vicreg on {found['data']}/validation: kNN {found['knn']:.3f}, linear {found['linear']:.3f}, "
        f"RankMe {found['rankme']:.0f} of 24, normalised std {found['normalized_std']:.2f}; 2 steps, 32 images "
        f"in {found['train_seconds']:.0f} s"
    )
    assert f"Protocol: {found['protocol']}." in said
    assert f"Files: {out}" in said


def test_the_test_split_is_scored_unless_validation_is_asked_for(root: Path, tmp_path: Path) -> None:
    jem("train", "vicreg", "--data", f"folder:{root / 'shades'}", *FEW)
    found = metrics_of(tmp_path / "runs" / "vicreg-0")  # the default place
    assert (found["split"], found["knn"]) == ("test", TURNED)


def test_the_seed_of_train_decides_the_weights(tmp_path: Path) -> None:
    with recorded_starts() as starts:
        for seed in (0, 1):
            jem("train", "simclr", "--seed", seed, *FEW)
    assert apart(starts[0], starts[1])
    assert [metrics_of(tmp_path / "runs" / f"simclr-{seed}")["seed"] for seed in (0, 1)] == [0, 1]


def test_a_stopped_train_says_so_and_the_same_command_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[float] = []
    before_step = Method.before_step

    def stop_in_the_first(self: Method, batch: Batch) -> None:
        steps.append(batch.progress)
        if len(steps) == 1:
            os.kill(os.getpid(), signal.SIGINT)
        before_step(self, batch)

    monkeypatch.setattr(Method, "before_step", stop_in_the_first)
    assert "the same command goes on from it" in jem("train", "vicreg", *FEW, code=130)
    assert not (tmp_path / "runs" / "vicreg-0" / "metrics.json").exists()
    jem("train", "vicreg", *FEW)
    assert steps == [0.0, 0.5]  # the second call makes the second step and no other
    assert metrics_of(tmp_path / "runs" / "vicreg-0")["steps"] == 2


# --- evaluate ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("split", "score"), [("validation", 1.0), ("test", TURNED), (None, TURNED)])
def test_evaluate_scores_the_split_that_was_asked_for(
    split: str | None, score: float, trained: tuple[Path, str]
) -> None:
    said = jem("evaluate", trained[0], *(("--split", split) if split else ()))
    assert f"shades/{split or 'test'}: kNN {score:.3f}, linear {score:.3f}," in said
    assert "fitted on 64 images of folder:shades/train" in said  # the limit of the run
    assert "Panel" not in said


def test_evaluate_gives_the_figures_of_the_run_again(trained: tuple[Path, str], root: Path) -> None:
    said = jem("evaluate", trained[0], "--data", "folder:shades", "--root", root, "--split", "validation")
    assert said.splitlines()[0] == trained[1].splitlines()[0]


def test_evaluate_fits_its_probes_on_as_many_images_as_the_limit_says(trained: tuple[Path, str]) -> None:
    said = jem("evaluate", trained[0], "--limit", 10)
    assert "fitted on 10 images of folder:shades/train" in said
    assert "k=10" in said


def test_evaluate_takes_other_data(trained: tuple[Path, str]) -> None:
    said = jem("evaluate", trained[0], "--data", "motifs")
    assert "images of motifs/train, scored once on 64 of motifs/test" in said
    assert "kNN 0.250" not in said


def test_evaluate_scores_the_trained_weights(trained: tuple[Path, str]) -> None:
    method, _ = restore(trained[0])
    start = build("vicreg", seed=5, widths=(32, 24)).state_dict()
    moved = [name for name, value in method.state_dict().items() if not torch.equal(value, start[name])]
    assert {"backbone.trunk.0.weight", "projector.0.weight"} <= set(moved)


# --- compare and collapse ---------------------------------------------------------------------------------------------


def test_every_option_of_compare_is_obeyed(root: Path, tmp_path: Path) -> None:
    out = tmp_path / "table"
    data = ("--data", "folder:shades", "--root", root)
    said = jem("compare", "vicreg", *data, "--seeds", 2, "--out", out, "--no-supervised", *FEW)
    record = json.loads((out / "compare.json").read_text())
    assert (record["data"], record["scale"], record["seeds"]) == ("folder:shades", "smoke", 2)
    assert list(record["baselines"]) == ["raw pixels", "untrained"]
    assert [(r["seed"], r["train_images"], r["steps"], r["knn"]) for r in record["runs"]] == [
        (0, 64, 2, TURNED), (1, 64, 2, TURNED),
    ]  # fmt: skip
    assert (out / "compare.md").read_text().strip() in said
    assert "fitted on 64 images of folder:shades/train, scored once on 64 of folder:shades/test" in said
    assert {path.name for path in out.iterdir()} >= {"vicreg-0", "vicreg-1", "compare.png"}


def test_compare_trains_the_supervised_row_unless_told_otherwise(root: Path, tmp_path: Path) -> None:
    jem("compare", "vicreg", "--data", f"folder:{root / 'shades'}", "--seeds", 1, *FEW)
    record = json.loads((tmp_path / "runs" / "compare" / "compare.json").read_text())
    assert set(record["baselines"]) == {"raw pixels", "untrained", "supervised"}
    assert {row["knn"] for row in record["baselines"].values()} == {TURNED}


def test_collapse_measures_the_removals_and_seeds_that_were_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(SCALES, "smoke", adjusted_scale("smoke", limit=64, steps=2, batch_size=16, warmup=1))
    monkeypatch.setenv("JEMLIB_SCALE", "gpu")  # the option overrules it
    out = tmp_path / "record.json"
    said = jem("collapse", "vicreg.variance", "--seeds", 2, "--scale", "smoke", "--out", out)
    record = json.loads(out.read_text())
    (row,) = record["rows"]
    assert (record["scale"]["name"], row["name"], len(row["runs"])) == ("smoke", "vicreg.variance", 2)
    assert f"{int(row['all_cross'])} of 1 removals crossed" in said


# --- claims and build -------------------------------------------------------------------------------------------------


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, str]]:
    """Seed and scale of every measurement of the claim `test.wiring`, which holds for seed 0 alone."""
    found: list[tuple[int, str]] = []

    def measure(seed: int, scale: Any) -> dict[str, float]:
        found.append((seed, scale.name))
        return {"seed": seed}

    one = Claim("test.wiring", "Only seed 0.", "99_test", "seed = 0", measure, lambda n: n["seed"] == 0)
    monkeypatch.setitem(claims.REGISTRY, one.id, one)
    return found


def test_claims_are_measured_with_the_seeds_and_at_the_scale_that_were_asked_for(
    asked: list[tuple[int, str]], tmp_path: Path
) -> None:
    out = tmp_path / "record.json"
    said = jem("claims", "test.wiring", "--seeds", 1, "--scale", "cpu", "--out", out)
    assert asked == [(0, "cpu")]
    assert "1 of 1 claims were not contradicted on 1 seeds" in said
    record = json.loads(out.read_text())["claims"]
    assert [(r["id"], r["scale"], r["holds"]) for r in record] == [("test.wiring", "cpu", [True])]


def test_a_claim_that_fails_on_one_seed_fails_the_command(asked: list[tuple[int, str]], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"these claims do not hold: test\.wiring\."):
        jem("claims", "test.wiring", "--seeds", 3, "--scale", "cpu", "--out", tmp_path / "record.json")
    assert asked == [(0, "cpu"), (1, "cpu"), (2, "cpu")]


def test_build_with_check_names_what_is_not_up_to_date_and_writes_nothing(tmp_path: Path) -> None:
    for name in ("solutions", "jemlib"):
        (tmp_path / name).mkdir()
    (tmp_path / "solutions" / f"{LESSON}.py").write_text(source())
    (tmp_path / "solutions" / "03_other.py").write_text(source())
    message = rf"not up to date: lessons/{LESSON}\.ipynb, solutions/{LESSON}\.ipynb\. Run `jem build`"
    with pytest.raises(ValueError, match=message):
        jem("build", LESSON, "--check", "--scale", "cpu")
    assert not (tmp_path / "lessons").exists()
    assert current_scale().name == "cpu"  # what a kernel that runs a notebook inherits
