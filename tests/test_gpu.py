"""`jem gpu`, rehearsed on a processor: the record is complete, honest about what is missing, and survives a kill."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import pytest
import torch
from wiring import write_shades

from jemlib.data import load
from jemlib.experiments import gpu
from jemlib.methods import SELF_SUPERVISED, build
from jemlib.scales import SCALES

pytestmark = pytest.mark.slow  # programs of their own

SMOKE = SCALES["smoke"]
ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A rehearsal in seconds: one small file of tests, three methods, and the compiled step taken as measured."""
    tests = tmp_path / "test_two.py"
    tests.write_text(
        "import pytest\n\n@pytest.mark.cuda\ndef test_a(): pass\n\n@pytest.mark.cuda\ndef test_b(): assert 1 == 2\n"
    )
    monkeypatch.setattr(gpu, "test_files", lambda: [str(tests)])
    monkeypatch.setattr(gpu, "LIMITS", {"tests": 600.0, "compile": 600.0})  # a busy machine fails no test
    monkeypatch.setattr(gpu, "SELF_SUPERVISED", ("simclr", "swav", "pcl"))
    monkeypatch.setattr(gpu, "SCALES", {"smoke": dataclasses.replace(SMOKE, limit=160, batch_size=32)})
    monkeypatch.setattr(gpu, "compile_on_and_off", lambda scale, seconds, limit: {"on / off": 1.0})
    return tmp_path / "new" / "gpu.json"


def test_a_rehearsal_leaves_a_complete_record(quick: Path) -> None:
    lines: list[str] = []
    returned = gpu.run_gpu(quick, minutes=60, smoke=True, report=lines.append)
    record = json.loads(quick.read_text())
    assert record == json.loads(json.dumps(returned))
    assert (record["complete"], record["smoke"], record["skipped"]) == (True, True, {})
    assert (record["tests"]["passed"], record["tests"]["failed"]) == (1, 1)
    assert "assert 1 == 2" in record["tests"]["output"]
    assert record["data"] == {"name": "motifs", "train": 160, "test": 160}
    assert {"card", "versions", "commit", "source_digest", "scale", "compile"} <= record.keys()
    assert list(record["speed"]["methods"]) == ["pcl", "simclr", "swav"]
    assert all(row["images_per_second"] > 0 and row["loss"] for row in record["speed"]["methods"].values())
    e_step = record["speed"]["methods"]["pcl"]
    assert 0 < e_step["e_step_features_seconds"] < e_step["e_step_seconds"] * 5
    assert e_step["e_step_images"] == 160
    curve = record["run"]["curve"]
    assert [row["epoch"] for row in curve] == [0, 1, 2, 3]
    assert record["run"]["finished"]
    assert all(0 < row["knn"] < 1 for row in curve)
    assert 0 == curve[0]["seconds"] < curve[1]["seconds"] <= curve[2]["seconds"]
    assert "k=10" in record["run"]["protocol"]
    assert "motifs/test" in record["run"]["protocol"]
    assert lines[-1].startswith("epoch 3: ")


def test_a_part_that_fails_is_named_and_costs_no_other_part(quick: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    measure = gpu.measure_method

    def fails(name: str, *rest):
        if name == "swav":
            raise torch.OutOfMemoryError("no memory left")
        return measure(name, *rest)

    monkeypatch.setattr(gpu, "measure_method", fails)
    monkeypatch.setattr(gpu, "find_spec", lambda name: None)
    record = gpu.run_gpu(quick, minutes=60, data="folder:/no/such/folder", smoke=True, report=print)
    assert record["skipped"] == {
        "tests": "RuntimeError: not installed: pytest, hypothesis",
        "data": "FileNotFoundError: folder:PATH: there is no folder /no/such/folder. The set 'motifs' needs none.",
        "speed of swav": "OutOfMemoryError: no memory left",
    }
    assert list(record["speed"]["methods"]) == ["simclr", "pcl"]
    assert record["data"]["name"] == "motifs"
    assert record["run"]["finished"]


KILLED = """
import sys
from pathlib import Path
from jemlib.experiments import gpu
gpu.test_files = list
gpu.run_gpu(Path(sys.argv[1]), smoke=True, report=lambda line: print(line, flush=True))
"""


def test_a_killed_run_leaves_what_it_had(tmp_path: Path) -> None:
    out = tmp_path / "gpu.json"
    environment = {**os.environ, "CI": "true", "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(out)], stdout=subprocess.PIPE, text=True, env=environment
    )
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("vicreg"):  # the third method
            process.kill()
            break
    assert process.wait() == -signal.SIGKILL
    record = json.loads(out.read_text())
    assert record["complete"] is False
    assert {"simclr", "barlow_twins"} <= record["speed"]["methods"].keys() < set(SELF_SUPERVISED)
    assert record["seconds"]["speed of simclr"] > 0
    assert record["skipped"]["tests"].endswith("holds no tests marked cuda")


def test_a_run_without_a_gpu_is_refused_with_the_way_to_rehearse(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ValueError, match=r"needs a CUDA GPU.*--smoke rehearses"):
        gpu.run_gpu(tmp_path / "gpu.json", report=print)
    assert not (tmp_path / "gpu.json").exists()


def test_the_run_ends_when_the_time_is_over_and_keeps_its_curve(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    look = gpu.Watch.look

    def until_the_second_epoch(watch: gpu.Watch, *arguments) -> None:
        if watch.epoch == 1:
            record.end = time.monotonic()
        look(watch, *arguments)

    monkeypatch.setattr(gpu.Watch, "look", until_the_second_epoch)
    record = gpu.Record(tmp_path / "gpu.json", 60, print)
    record.values["speed"] = {"methods": {"simclr": {"images_per_second": 1e9}}}  # so that very many epochs are planned
    images = load("motifs", "train", limit=128)
    scale = dataclasses.replace(SMOKE, name="another")  # the rehearsal's epochs are few whatever the time
    gpu.train_towards_target(record, scale, images, images)
    run = json.loads(record.out.read_text())["run"]
    assert [row["epoch"] for row in run["curve"]] == [0, 2]
    assert run["planned_epochs"] > 1000
    assert not record.values["run"]["finished"]
    assert "out of time after" in record.values["skipped"]["the rest of the run"]


def test_a_point_is_added_each_so_many_epochs_and_at_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record = gpu.Record(tmp_path / "gpu.json", 60, print, run={"curve": []})
    images = load("motifs", "train", limit=64)
    watch = gpu.Watch(record, build("simclr", scale="smoke"), images, images)
    watch.plan(epochs=5, every=2)
    for epoch in range(5):
        watch.look(watch.method, {"seconds": 100.0 * (epoch + 1), "total": 0.5})
    curve = record.values["run"]["curve"]
    assert [row["epoch"] for row in curve] == [2, 4, 5]
    assert curve[0]["seconds"] == 200
    assert curve[1]["seconds"] < 400  # the time of the first point is not the training's
    assert {row["loss"] for row in curve} == {0.5}


def test_an_archive_is_unpacked_decoded_and_taken_away_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JEMLIB_CACHE", "as it was")
    with tarfile.open(tmp_path / "shades.tar.gz", "w:gz") as archive:
        archive.add(write_shades(tmp_path / "shades", train=10, test=2), arcname="shades")
    with gpu.unpacked(str(tmp_path / "shades.tar.gz")) as name:
        train, test = load(name, "train"), load(name, "test")
        folder = Path(name.removeprefix("folder:"))
        assert (len(train), len(test), train.class_names) == (36, 8, ("black", "blue", "green", "red"))
    assert not folder.exists()
    assert os.environ["JEMLIB_CACHE"] == "as it was"


def test_an_archive_of_something_else_is_named(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("x")
    notes = tmp_path / "notes.tar"
    with tarfile.open(notes, "w") as archive:
        archive.add(tmp_path / "notes.txt", arcname="notes.txt")
    with pytest.raises(ValueError, match=r"notes\.tar must hold train/CLASS"), gpu.unpacked(str(notes)):
        pass


def test_a_child_that_takes_too_long_is_ended_with_all_it_started(tmp_path: Path) -> None:
    started = time.monotonic()
    with pytest.raises(TimeoutError, match="stopped after 1 s"):
        gpu.child(["sh", "-c", f"sleep 60 & echo $! > {tmp_path}/pid; wait"], 1.0)
    assert time.monotonic() - started < 30
    grandchild = int((tmp_path / "pid").read_text())
    deadline = time.monotonic() + 30
    while Path(f"/proc/{grandchild}/stat").exists() and " Z " not in Path(f"/proc/{grandchild}/stat").read_text():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_the_shares_of_a_step_add_up() -> None:
    row = gpu.shares({"images_per_second": 1000.0}, batch=500, bare=2000.0, views=10_000.0)
    assert row == pytest.approx({"step_ms": 500, "views_ms": 50, "bare_ms": 250, "other_ms": 200, "of_bare": 0.5})


def test_the_compiled_step_is_compared_in_a_process_of_its_own() -> None:
    found = gpu.compile_on_and_off(SMOKE, seconds=0.05, limit=300)
    assert found["on / off"] == pytest.approx(found["on_images_per_second"] / found["off_images_per_second"])


def test_every_test_that_needs_a_gpu_is_found_by_its_mark() -> None:
    texts = {path.name: path.read_text("utf-8") for path in (ROOT / "tests").glob("test_*.py")}
    by_hand = [name for name, text in texts.items() if "skipif(not torch." + "cuda" in text]
    assert by_hand == []
    marked = {Path(path).name for path in gpu.test_files()}
    assert {"test_train.py", "test_train_waiting.py", "test_views.py", "test_losses_inputs.py"} <= marked
