"""Runs, run folders, comparisons."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
import torch

from jemlib.data import load
from jemlib.data.images import data_label
from jemlib.evaluate import protocol
from jemlib.experiments import compare, markdown_table, run
from jemlib.experiments import runs as experiment
from jemlib.experiments.runs import restore
from jemlib.methods import scale_settings

REQUIRED = {
    "method", "data", "scale", "seed", "backbone", "knn", "linear", "normalized_std", "rankme", "train_seconds",
    "images_seen", "steps", "protocol", "versions",
}  # fmt: skip


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[experiment.Run, Path]:
    folder = tmp_path_factory.mktemp("run")
    return run("barlow_twins", scale="smoke", out=folder, settings={"lambd": 0.01}), folder


def test_a_run_folder_is_complete(finished: tuple[experiment.Run, Path]) -> None:
    _, folder = finished
    assert {p.name for p in folder.iterdir()} == {
        "settings.json", "history.csv", "metrics.json", "weights.pt", "checkpoint.pt",
    }  # fmt: skip


def test_the_metrics_say_all_that_was_promised(finished: tuple[experiment.Run, Path]) -> None:
    result, folder = finished
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics.keys() >= REQUIRED
    assert metrics["images_seen"] == metrics["steps"] * 64  # images, not views
    assert 0 <= metrics["knn"] <= 1
    assert 0 <= metrics["linear"] <= 1
    assert metrics["split"] == "test"
    assert metrics["settings"]["lambd"] == 0.01
    assert metrics == json.loads(json.dumps(result.metrics))


def test_a_run_folder_gives_its_method_back(finished: tuple[experiment.Run, Path]) -> None:
    result, folder = finished
    method, metrics = restore(folder)
    image = torch.randn(3, 3, 32, 32)
    torch.testing.assert_close(method.embed(image), result.method.embed(image))
    assert metrics["method"] == "barlow_twins"
    assert experiment.scale_of(metrics).name == "smoke"


def test_a_folder_without_a_run_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"holds no complete run .* Run `jem train METHOD --out"):
        restore(tmp_path)


def test_damaged_metrics_and_weights_are_named(finished: tuple[experiment.Run, Path], tmp_path: Path) -> None:
    _, folder = finished
    (tmp_path / "metrics.json").write_text((folder / "metrics.json").read_text())
    (tmp_path / "weights.pt").write_bytes((folder / "weights.pt").read_bytes()[:500])
    with pytest.raises(ValueError, match=r"weights\.pt cannot be read"):
        restore(tmp_path)
    (tmp_path / "metrics.json").write_text("{")
    with pytest.raises(ValueError, match=r"metrics\.json is not valid JSON"):
        restore(tmp_path)


def test_settings_of_the_method_are_checked_before_anything_is_loaded() -> None:
    with pytest.raises(ValueError, match=r"setting of vicreg must be one of .*; got 'lambd'"):
        run("vicreg", data="folder:/nowhere", scale="smoke", settings={"lambd": 1.0})


def test_the_label_of_a_folder_leaves_its_place_out() -> None:
    assert data_label("folder:/some/where/cifar10") == "folder:cifar10"
    assert data_label("motifs") == "motifs"


def test_the_protocol_names_a_folder_without_its_place() -> None:
    train, test = load("motifs", "train", limit=30), load("motifs", "test", limit=20)
    elsewhere = dataclasses.replace(train, name="folder:/some/where/cifar10")
    assert "images of folder:cifar10/train, scored" in protocol(elsewhere, test)


@pytest.mark.slow
def test_a_comparison_has_every_method_every_seed_and_the_baselines(tmp_path: Path) -> None:
    table = compare(["vicreg", "simclr"], scale="smoke", seeds=2, out=tmp_path, steps=3)
    assert [(r["method"], r["seed"]) for r in table["runs"]] == [
        ("vicreg", 0), ("vicreg", 1), ("simclr", 0), ("simclr", 1),
    ]  # fmt: skip
    knn = [r["knn"] for r in table["runs"][:2]]
    assert table["rows"][0]["knn"] == {"mean": sum(knn) / 2, "std": pytest.approx((max(knn) - min(knn)) / 2**0.5)}
    assert list(table["baselines"]) == ["raw pixels", "untrained", "supervised"]
    assert json.loads((tmp_path / "compare.json").read_text())["seeds"] == 2
    text = markdown_table(table)
    assert (tmp_path / "compare.md").read_text() == text + "\n"
    assert [line.split(" | ")[0].strip("| *") for line in text.splitlines()[2:]] == [
        "raw pixels", "untrained", "supervised", "vicreg", "simclr",
    ]  # fmt: skip


def test_an_unknown_method_in_a_comparison_is_named_before_anything_trains() -> None:
    with pytest.raises(ValueError, match="method must be one of"):
        compare(["vicreg", "simcrl"], scale="smoke")


def test_a_scale_proposes_backbone_widths_and_momentum_only_where_a_method_has_them() -> None:
    scale = experiment.adjusted_scale("cpu", momentum=0.8)
    assert scale_settings("vicreg", scale) == {"backbone": "conv_small", "widths": (256, 256)}
    assert scale_settings("byol", scale)["momentum"] == 0.8
    assert scale_settings("sigreg", scale)["widths"] == (256, 64)


def test_what_the_user_sets_wins_over_the_scale() -> None:
    found = experiment.run("byol", scale="smoke", steps=2, warmup=1, split="validation", settings={"momentum": 0.25})
    assert found.metrics["settings"]["momentum"] == 0.25
    assert found.metrics["settings"]["widths"] == [64, 64]
