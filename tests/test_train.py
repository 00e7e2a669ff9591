"""The loop: reproducible, resumable, interruptible, and clear about bad input."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from jemlib.data import Images, load
from jemlib.methods import Method, build
from jemlib.train import History, adjusted_scale, current_scale, fit
from jemlib.train.order import batches

TINY = {"batch_size": 32, "warmup": 2, "learning_rate": 1e-3}


@pytest.fixture(scope="module")
def images() -> Images:
    return load("motifs", "train", limit=96)


def weights(method: Method) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in method.state_dict().items()}


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def trained(images: Images, seed: int = 0, **settings: object) -> dict[str, torch.Tensor]:
    method = build("vicreg", widths=(16, 16), seed=seed)
    fit(method, images, scale="smoke", seed=seed, **{**TINY, "steps": 6, **settings})
    return weights(method)


@pytest.mark.slow
def test_one_seed_gives_one_result_and_another_seed_another(images: Images) -> None:
    assert same(trained(images), trained(images))
    assert not same(trained(images), trained(images, seed=1))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["simclr", "barlow_twins", "vicreg"])
def test_training_lowers_the_loss(name: str, images: Images) -> None:
    settings = {**TINY, "steps": 80, "learning_rate": 4e-3}
    history = fit(build(name, widths=(16, 16), views="none"), images, scale="smoke", **settings, log_every=1)
    totals = history["total"]
    assert sum(totals[-20:]) < 0.95 * sum(totals[:20])


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_every_optimizer_trains(optimizer: str, images: Images) -> None:
    method = build("vicreg", widths=(16, 16))
    before = weights(method)
    fit(method, images, scale="smoke", **{**TINY, "steps": 3}, optimizer=optimizer)
    assert not same(before, weights(method))


def test_the_history_counts_images_not_views(images: Images) -> None:
    history = fit(build("simclr"), images, scale="smoke", **TINY, steps=5, log_every=2)
    assert history["step"] == [2, 4, 5]
    assert history["images_seen"] == [64, 128, 160]
    assert history.terms == ["total", "alignment", "contrast"]


def test_epochs_decide_when_they_are_asked_for(images: Images) -> None:
    history = fit(build("simclr"), images, scale="smoke", **TINY, epochs=2)
    assert history["step"][-1] == 2 * (96 // 32)


def test_an_epoch_shows_every_image_once() -> None:
    seen = torch.cat([index for _, index in batches(96, 32, seed=0, first_step=0, steps=3)])
    assert sorted(seen.tolist()) == list(range(96))


def test_the_order_of_a_resumed_run_is_that_of_the_whole_run() -> None:
    whole = dict(batches(70, 32, seed=3, first_step=0, steps=9))
    rest = dict(batches(70, 32, seed=3, first_step=5, steps=9))
    assert rest.keys() == set(range(5, 9))
    assert all(torch.equal(rest[step], whole[step]) for step in rest)


def test_a_run_folder_holds_settings_history_and_checkpoint(images: Images, tmp_path: Path) -> None:
    fit(build("vicreg"), images, scale="smoke", **TINY, steps=3, out=tmp_path)
    assert json.loads((tmp_path / "settings.json").read_text())["scale"]["steps"] == 3
    rows = list(csv.DictReader((tmp_path / "history.csv").open()))
    assert float(rows[-1]["step"]) == 3
    assert (tmp_path / "checkpoint.pt").exists()
    assert list(tmp_path.glob("*.partial")) == []


def test_a_finished_run_is_read_and_not_repeated(images: Images, tmp_path: Path) -> None:
    first = build("vicreg")
    history = fit(first, images, scale="smoke", **TINY, steps=3, out=tmp_path)
    again = build("vicreg", seed=9)
    assert fit(again, images, scale="smoke", **TINY, steps=3, out=tmp_path).rows == history.rows
    assert same(weights(first), weights(again))


def test_a_folder_with_other_settings_is_refused_and_the_difference_named(images: Images, tmp_path: Path) -> None:
    fit(build("vicreg"), images, scale="smoke", **TINY, steps=2, out=tmp_path)
    with pytest.raises(ValueError, match=r"other settings: scale\.steps 2 -> 4; seed 0 -> 1\."):
        fit(build("vicreg"), images, scale="smoke", **TINY, steps=4, seed=1, out=tmp_path)


def test_a_damaged_checkpoint_is_named_and_nothing_is_overwritten(images: Images, tmp_path: Path) -> None:
    fit(build("vicreg"), images, scale="smoke", **TINY, steps=2, out=tmp_path)
    path = tmp_path / "checkpoint.pt"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ValueError, match=r"checkpoint\.pt cannot be read .* Delete it"):
        fit(build("vicreg"), images, scale="smoke", **TINY, steps=2, out=tmp_path)
    assert path.stat().st_size == 1000


# Seconds. A guard against hanging, no demand on the machine's speed.
PATIENCE = 600
SCRIPT = """
import sys, torch
from jemlib.data import load
from jemlib.methods import build
from jemlib.train import fit
torch.set_num_threads(2)
hold = int(sys.argv[3])
def wait(method, row):  # for a kill, however slow or fast the machine is
    if row["step"] == hold:
        sys.stdin.read()
method = build("vicreg", widths=(16, 16))
fit(method, load("motifs", "train", limit=96), scale="smoke", out=sys.argv[1], steps=int(sys.argv[2]), batch_size=32,
    warmup=2, learning_rate=1e-3, checkpoint_seconds=0.0, log_every=1, on_log=wait)
torch.save(method.state_dict(), sys.argv[1] + "/final.pt")
"""


def start(folder: Path, steps: int, hold: int = 0) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "CI": "true"}
    command = [sys.executable, "-c", SCRIPT, str(folder), str(steps), str(hold)]
    return subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stderr=subprocess.PIPE)


def wait_for_rows(folder: Path, rows: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + PATIENCE
    path = folder / "history.csv"
    while not path.exists() or len(path.read_text().splitlines()) <= rows:
        assert process.poll() is None, "the run ended before it could be stopped"
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.slow
def test_a_killed_process_resumes_to_the_same_weights_bit_for_bit(tmp_path: Path) -> None:
    """SIGKILL leaves no time to tidy up; what is on disk must be enough."""
    steps = 60
    whole = start(tmp_path / "whole", steps)
    assert whole.wait(timeout=PATIENCE) == 0, whole.stderr.read()

    killed = start(tmp_path / "killed", steps, hold=steps // 2)
    wait_for_rows(tmp_path / "killed", 5, killed)
    killed.kill()
    killed.wait()
    assert not (tmp_path / "killed" / "final.pt").exists()
    done = torch.load(tmp_path / "killed" / "checkpoint.pt", weights_only=True)["done"]
    assert 0 < done < steps

    resumed = start(tmp_path / "killed", steps)
    assert resumed.wait(timeout=PATIENCE) == 0, resumed.stderr.read()
    final = [torch.load(tmp_path / name / "final.pt", weights_only=True) for name in ("whole", "killed")]
    assert same(*final)


@pytest.fixture
def ctrl_c() -> Iterator[None]:
    """Ctrl-C raises KeyboardInterrupt, as in a terminal; a process that a script starts with & ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("ctrl_c")
def test_ctrl_c_ends_after_a_whole_step_and_leaves_a_usable_model(images: Images, tmp_path: Path) -> None:
    method = build("vicreg", widths=(16, 16))

    def interrupt(method: Method, row: dict[str, float]) -> None:
        if row["step"] == 3:
            signal.raise_signal(signal.SIGINT)

    history = fit(
        method,
        images,
        scale="smoke",
        **TINY,
        steps=6,
        log_every=1,
        on_log=interrupt,
        out=tmp_path,
        checkpoint_seconds=0,
    )
    assert history.interrupted
    assert history["step"] == [1, 2, 3]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert torch.isfinite(method.embed(torch.randn(4, 3, 32, 32))).all()
    # The same call goes on, to the weights of a run that nobody stopped.
    again = build("vicreg", widths=(16, 16))
    history = fit(again, images, scale="smoke", **TINY, steps=6, log_every=1, out=tmp_path)
    assert history["step"] == [1, 2, 3, 4, 5, 6]
    assert not history.interrupted
    assert same(weights(again), trained(images))


def test_divergence_says_at_which_step_and_what_may_help(images: Images) -> None:
    method = build("vicreg")
    with torch.no_grad():
        method.projector[0].weight.fill_(float("inf"))
    with pytest.raises(FloatingPointError, match=r"vicreg diverged at step 0: z_a must be finite.*lower learning rate"):
        fit(method, images, scale="smoke", **TINY, steps=2)


def test_too_few_images_for_a_batch_is_an_error(images: Images) -> None:
    with pytest.raises(ValueError, match="at least one batch of 32; got 10 images"):
        fit(build("vicreg"), images.subset(slice(0, 10)), scale="smoke", **TINY)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"stepss": 3}, "Did you mean 'steps'"),
        ({"steps": 0}, "steps must be >= 1; got 0"),
        ({"batch_size": 1}, "batch_size must be >= 2; got 1"),
        ({"learning_rate": -1.0}, "learning_rate must be a finite number > 0; got -1.0"),
        ({"learning_rate": float("nan")}, "learning_rate must be a finite number > 0; got nan"),
        ({"optimizer": "adam"}, "optimizer must be one of"),
        ({"precision": "fp8"}, "precision must be one of"),
        ({"seed": -1}, "seed must be >= 0 and <= 2147483647; got -1"),
        ({"scale": "huge"}, "scale must be one of 'smoke', 'cpu', 'gpu'; got 'huge'"),
    ],
)
def test_a_bad_setting_is_named(images: Images, overrides: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        fit(build("vicreg"), images, **{"scale": "smoke", **overrides})


def test_the_environment_variable_chooses_the_scale_and_an_argument_overrules_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("JEMLIB_SCALE", "smoke")
    assert current_scale().name == "smoke"
    assert current_scale("cpu").name == "cpu"
    monkeypatch.setenv("JEMLIB_SCALE", "nonsense")
    with pytest.raises(ValueError, match="scale must be one of"):
        current_scale()


def test_a_scale_leaves_a_last_batch_that_is_not_full_out() -> None:
    assert adjusted_scale("gpu", batch_size=100, epochs=3).total_steps(250) == 6


def test_training_restores_nothing_it_did_not_change(images: Images) -> None:
    """`fit` takes no random numbers from torch's global generator."""
    torch.manual_seed(1)
    expected = torch.rand(4)
    torch.manual_seed(1)
    fit(build("simclr"), images, scale="smoke", **TINY, steps=2)
    assert torch.equal(torch.rand(4), expected)


def test_an_unknown_column_of_the_history_is_named() -> None:
    history = History([{"step": 1, "total": 0.5}])
    with pytest.raises(ValueError, match="column must be one of 'step', 'total'; got 'loss'"):
        history["loss"]


@pytest.mark.cuda
def test_training_runs_on_a_gpu(images: Images) -> None:
    history = fit(build("barlow_twins"), images, scale="smoke", **TINY, steps=4, device="cuda")
    assert history["step"][-1] == 4
