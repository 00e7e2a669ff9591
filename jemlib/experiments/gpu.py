"""What only a CUDA GPU can show, in one command of some minutes: `make gpu`.

Three parts: the tests that need a GPU, the speed of every method at scale `gpu`, and one run with its kNN curve for the
time that is left. The record is written after each step of each part, so that a killed run leaves what it had. Nothing
outside the checkout is needed; what is missing is skipped, and the record says why.
"""

from __future__ import annotations

import dataclasses
import gc
import hashlib
import json
import math
import os
import re
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from jemlib.data import Images, load
from jemlib.data.images import data_label
from jemlib.evaluate import knn, protocol
from jemlib.experiments.bench import augmentation_step, bare_step, complete_step, rates, synchronize
from jemlib.experiments.runs import load_scored, versions
from jemlib.files import write_json
from jemlib.methods import PCL, SELF_SUPERVISED, Method, build
from jemlib.nets import features
from jemlib.scales import SCALES, Scale
from jemlib.train import default_device, fit, tuned_kernels
from jemlib.views import Recipe

ROOT = Path(__file__).resolve().parents[2]
EPOCH = 50_000  # images: the size of CIFAR-10, whatever set is measured on
NEIGHBOURS, TARGET = 10, 0.9  # the kNN of the open speed challenge for CIFAR-10, and its goal
POINTS = 8  # of the curve
RESERVE = 10.0  # seconds kept for the last point of the curve and the record
LIMITS = {"tests": 90.0, "compile": 100.0}  # seconds that a child process may take; less when less is left
# SimCLR as in github.com/dkobak/simclr-cifar10, whose 100 epochs on 50,000 images reach kNN(10) 0.832, and 500 epochs
# 0.903: so the curve has something to stand beside. The projector is the scale's. Not measured here on a GPU yet.
METHOD = "simclr"
SETTINGS: dict[str, Any] = {"temperature": 0.5, "views": Recipe(crop_scale=(0.2, 1.0), grey=0.1)}
LEARNING_RATE = 0.06


class Record:
    """What has been measured so far, on disk after each step; and how much time is left."""

    def __init__(self, out: Path, minutes: float, report: Callable[[str], None], **values: Any) -> None:
        self.out, self.report = out, report
        self.end = time.monotonic() + 60 * minutes
        self.values: dict[str, Any] = {"complete": False, "seconds": {}, "skipped": {}, **values}
        out.parent.mkdir(parents=True, exist_ok=True)

    def left(self) -> float:
        """Seconds until the end."""
        return self.end - time.monotonic()

    def save(self) -> None:
        write_json(self.out, self.values)

    def skip(self, part: str, why: str) -> None:
        self.values["skipped"][part] = why
        self.report(f"skipped: {part}: {why}")
        self.save()

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Time a part and save after it. A part that fails is skipped with its error: the others are still wanted."""
        started = time.monotonic()
        try:
            yield
        except Exception as error:  # whatever it is, on a machine that one has for some minutes
            self.skip(name, f"{type(error).__name__}: {error}")
        self.values["seconds"][name] = round(time.monotonic() - started, 2)
        self.save()


def run_gpu(
    out: Path, *, minutes: float = 8.0, data: str | None = None, smoke: bool = False, report: Callable[[str], None]
) -> dict[str, Any]:
    """All parts; returns what the record holds.

    Args:
        out: the JSON record.
        minutes: for everything.
        data: "folder:PATH", "cifar10", "motifs", or an archive of `train/CLASS/*` and `test/CLASS/*`; None: motifs.
        smoke: a rehearsal at smoke size, on a machine with or without a GPU. Its figures mean nothing.
        report: gets a line for each thing that was done.

    Raises:
        ValueError: there is no CUDA GPU, and this is no rehearsal.
    """
    if not smoke and not torch.cuda.is_available():
        raise ValueError("`jem gpu` needs a CUDA GPU, and torch finds none here. --smoke rehearses it on a processor.")
    scale = SCALES["smoke" if smoke else "gpu"]
    record = Record(out, minutes, report, smoke=smoke, allowed_minutes=minutes, **machine(), **source())
    record.values["scale"] = dataclasses.asdict(scale)
    record.save()
    with record.part("tests"):
        files = test_files()
        record.values["tests"] = run_tests(files[:1] if smoke else files, min(LIMITS["tests"], record.left()))
        report(f"tests: {record.values['tests']['summary']}")
    train, test = load_images(record, data, scale)
    seconds = 0.01 if smoke else 1.5
    measure_speed(record, scale, train, seconds)
    with record.part("compile"):
        record.values["compile"] = compile_on_and_off(scale, seconds, min(LIMITS["compile"], record.left() / 3))
        report(f"torch.compile: {record.values['compile']['on / off']:.2f} of the speed without")
    with record.part("run"):
        train_towards_target(record, scale, train, test)
    record.values["complete"] = True
    record.save()
    return record.values


# --- where, with what, on what ----------------------------------------------------------------------------------


def machine() -> dict[str, Any]:
    """The card and the versions; without a GPU the card is None."""
    card = torch.cuda.get_device_properties(0) if torch.cuda.is_available() else None
    return {
        "card": card and card.name,
        "card_memory_gb": card and round(card.total_memory / 1e9, 1),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "versions": {**versions(), "cuda": torch.version.cuda, "cudnn": torch.backends.cudnn.version()},
    }


def source() -> dict[str, Any]:
    """The commit, None where git does not know it, and a digest of the library's text, which a bare copy has too."""
    try:
        git = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True)
        commit = git.stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        commit = None
    digest = hashlib.sha256()
    for path in sorted((ROOT / "jemlib").rglob("*.py")):
        digest.update(path.read_bytes())
    return {"commit": commit, "source_digest": digest.hexdigest()[:16]}


def load_images(record: Record, data: str | None, scale: Scale) -> tuple[Images, Images]:
    """Training and test images on the device: those asked for, or motifs where they cannot be had."""
    pair = None
    with record.part("data"), unpacked(data) as name:
        pair = [load(name, "train", limit=scale.limit), load_scored(name, "test", None, scale)]
    if pair is None:
        pair = [load("motifs", "train", limit=scale.limit), load_scored("motifs", "test", None, scale)]
    train, test = (dataclasses.replace(images, factors=None).to(default_device()) for images in pair)
    record.values["data"] = {"name": data_label(train.name), "train": len(train), "test": len(test)}
    record.report(f"data: {data_label(train.name)}, {len(train)} training and {len(test)} test images")
    return train, test


@contextmanager
def unpacked(data: str | None) -> Iterator[str]:
    """The name of a data set for `load`; an archive is unpacked into a temporary folder, and decoded there."""
    if data is None or not Path(data).is_file():
        yield data or "motifs"
        return
    before = os.environ.get("JEMLIB_CACHE")
    with tempfile.TemporaryDirectory() as folder, tarfile.open(data) as archive:
        if hasattr(tarfile, "data_filter"):  # a Python of 2023 or later: nothing is written outside the folder
            archive.extraction_filter = tarfile.data_filter
        archive.extractall(folder)
        tops = [path for path in (Path(folder), *sorted(Path(folder).iterdir())) if (path / "train").is_dir()]
        if not tops:
            raise ValueError(f"{data} must hold train/CLASS/* and test/CLASS/*; it has no folder train.")
        os.environ["JEMLIB_CACHE"] = folder
        try:
            yield f"folder:{tops[0]}"
        finally:
            os.environ.pop("JEMLIB_CACHE")
            if before is not None:
                os.environ["JEMLIB_CACHE"] = before


# --- a: tests ---------------------------------------------------------------------------------------------------


def test_files() -> list[str]:
    """The files that hold tests marked `cuda`: to import the others takes longer than these tests."""
    return [str(path) for path in sorted((ROOT / "tests").glob("test_*.py")) if "mark.cuda" in path.read_text("utf-8")]


def run_tests(files: list[str], seconds: float) -> dict[str, Any]:
    """`pytest -m cuda` in a process of its own: how many passed, failed or were skipped, and the end of its output.

    Raises:
        RuntimeError: pytest or hypothesis is not installed, or there are no tests.
        TimeoutError: they took longer than `seconds`.
    """
    missing = [name for name in ("pytest", "hypothesis") if find_spec(name) is None]
    if missing:
        raise RuntimeError(f"not installed: {', '.join(missing)}")
    if not files:
        raise RuntimeError(f"{ROOT / 'tests'} holds no tests marked cuda")
    # Without nbval, which these tests do not need and which takes a while to import.
    options = ["-q", "-m", "cuda", "-p", "no:cacheprovider", "-p", "no:nbval"]
    code, output = child([sys.executable, "-m", "pytest", *options, *files], seconds)
    summary = (output.strip().splitlines() or ["no output"])[-1].strip("= ")
    counts = {word.rstrip("s"): int(n) for n, word in re.findall(r"(\d+) (passed|failed|skipped|errors?)", summary)}
    return {"exit_code": code, "summary": summary, **counts, **({"output": output[-6000:]} if code else {})}


def child(command: list[str], seconds: float) -> tuple[int, str]:
    """Run a process with all that it starts, and end them all when the time is over: `(exit code, output)`.

    Raises:
        TimeoutError: it took longer.
    """
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        start_new_session=True,
        text=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    try:
        output, _ = process.communicate(timeout=max(seconds, 1.0))
    except subprocess.TimeoutExpired as error:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        raise TimeoutError(f"stopped after {seconds:.0f} s") from error
    return process.returncode, output


# --- b: speed ---------------------------------------------------------------------------------------------------


def measure_speed(record: Record, scale: Scale, images: Images, seconds: float) -> None:
    """Bare network, views and every method: rates at the scale's batch, and what of a step is neither of the first."""
    batch, speed = scale.batch_size, record.values.setdefault("speed", {"batch": scale.batch_size, "methods": {}})
    with record.part("bare network and views"):
        for name, step in (
            ("bare", bare_step(batch, scale)),
            ("views", augmentation_step(batch, "vicreg", default_device())),
        ):
            speed[f"{name}_images_per_second"] = views_per_second(step, seconds) / 2
        record.report(f"bare network {speed['bare_images_per_second']:,.0f} images/s, two views each")
    for name in SELF_SUPERVISED:
        with record.part(f"speed of {name}"):
            speed["methods"][name] = row = measure_method(name, scale, images, seconds)
            if "views_images_per_second" in speed:
                row |= shares(row, batch, speed["bare_images_per_second"], speed["views_images_per_second"])
            record.report(f"{name}: {row['seconds_per_epoch']:.2f} s for an epoch of {EPOCH:,} images")
        free()


def views_per_second(step: tuple[Callable[[], Any], int], seconds: float) -> float:
    """The median of three stretches after a warm-up, each closed by waiting for the device."""
    with tuned_kernels():
        return rates({"step": step}, seconds, rounds=3)["step"]


def measure_method(name: str, scale: Scale, images: Images, seconds: float) -> dict[str, Any]:
    """Speed, peak memory and the last loss of one method, at the peak learning rate and without warm-up."""
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    method = build(name, scale=scale)
    step = complete_step(method, scale.batch_size, scale, images)
    e_step = measure_e_step(method, images) if isinstance(method, PCL) else {}
    rate = views_per_second(step, seconds)
    loss = float(step[0]().total.detach())
    memory = torch.cuda.max_memory_allocated() / 1e9 if torch.cuda.is_available() else None
    return {
        "images_per_second": rate / 2,
        "seconds_per_epoch": 2 * EPOCH / rate,
        "peak_memory_gb": memory,  # the training images among it
        "loss": loss if math.isfinite(loss) else None,  # None: it diverged
        **e_step,
    }


def measure_e_step(method: PCL, images: Images) -> dict[str, float]:
    """Seconds of PCL's E-step on these images, and of the features in it; the rest is k-means on the processor."""
    features(method.key, images)  # a first time, in which kernels are chosen
    started = time.perf_counter()
    features(method.key, images)
    middle = time.perf_counter()
    method.e_step(images)
    return {
        "e_step_seconds": time.perf_counter() - middle,
        "e_step_features_seconds": middle - started,
        "e_step_images": len(images),
        "e_steps_a_run": method.config.e_steps,
    }


def shares(row: dict[str, Any], batch: int, bare: float, views: float) -> dict[str, float]:
    """A step in milliseconds: the views, the bare network, and the rest (heads, loss, update, momentum encoder)."""
    step, network, making = (1000 * batch / rate for rate in (row["images_per_second"], bare, views))
    parts = {"step_ms": step, "views_ms": making, "bare_ms": network, "other_ms": step - making - network}
    return {"of_bare": network / step, **parts}


def free() -> None:
    """Give the memory of a method back before the next one is measured."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def compile_on_and_off(scale: Scale, seconds: float, limit: float) -> dict[str, Any]:
    """`compare_compiled` in a process of its own, because a compiler may take for ever, or fail.

    Raises:
        RuntimeError, TimeoutError: it failed, or took longer than `limit` seconds.
    """
    text = f"from jemlib.experiments import gpu; gpu.compare_compiled({scale.name!r}, {seconds})"
    code, output = child([sys.executable, "-c", text], limit)
    if code:
        raise RuntimeError(output.strip()[-600:])
    return dict(json.loads(output.strip().splitlines()[-1]))


def compare_compiled(scale_name: str, seconds: float) -> None:
    """Print, as JSON, the speed of the complete step with the backbone as it is and through torch.compile."""
    scale, found = SCALES[scale_name], dict[str, float]()
    for word in ("off", "on"):
        method = build(METHOD, scale=scale)
        if word == "on":  # a rehearsal traces the network, and leaves the C++ compiler out
            method.backbone.compile(backend="eager" if scale_name == "smoke" else "inductor")
        step = complete_step(method, scale.batch_size, scale)
        started = time.perf_counter()
        step[0]()
        synchronize(default_device())
        found[f"{word}_first_step_seconds"] = time.perf_counter() - started
        found[f"{word}_images_per_second"] = views_per_second(step, seconds) / 2
    found["on / off"] = found["on_images_per_second"] / found["off_images_per_second"]
    print(json.dumps(found))


# --- c: one run -------------------------------------------------------------------------------------------------


class OutOfTimeError(Exception):
    """The time is over; what the curve has stands."""


def train_towards_target(record: Record, scale: Scale, train: Images, test: Images) -> None:
    """As many epochs as the time allows, under one cosine that ends with them; the curve is saved at each point."""
    method = build(METHOD, scale=scale, **SETTINGS).to(default_device())
    run = record.values["run"] = begin_run(method, scale, train, test)
    clock = Watch(record, method, train, test)
    clock.point(0)  # an untrained network, and how long a point takes
    per_epoch = seconds_per_epoch(record, scale, train)
    if per_epoch is None:
        raise ValueError(f"{METHOD}'s speed was not measured, so its schedule cannot be chosen")
    epochs = max(1, int((record.left() - RESERVE - POINTS * clock.evaluating) / (1.05 * per_epoch)))
    epochs = min(epochs, 3) if scale.name == "smoke" else epochs
    clock.plan(epochs, every := math.ceil(epochs / POINTS))
    run |= {"planned_epochs": epochs, "points_every": every}
    steps = len(train) // scale.batch_size
    warmup = min(scale.warmup, steps * epochs // 10)
    scale = dataclasses.replace(scale, epochs=epochs, steps=None, warmup=warmup, learning_rate=LEARNING_RATE)
    try:
        fit(method, train, scale=scale, log_every=steps, on_log=clock.look)
    except OutOfTimeError:
        record.skip("the rest of the run", f"out of time after {run['curve'][-1]['epoch']} of {epochs} epochs")
    reached = [row for row in run["curve"] if row["knn"] >= TARGET]
    run |= {"finished": len(run["curve"]) > 0 and run["curve"][-1]["epoch"] == epochs, "reached": reached[:1]}


def begin_run(method: Method, scale: Scale, train: Images, test: Images) -> dict[str, Any]:
    """What the record says of the run before it starts."""
    return {
        "method": METHOD,
        "settings": method.settings,
        "learning_rate": LEARNING_RATE,
        "batch": scale.batch_size,
        "protocol": protocol(train, test, min(NEIGHBOURS, len(train))).partition("; linear")[0],
        "target": TARGET,
        "curve": [],
    }


def seconds_per_epoch(record: Record, scale: Scale, train: Images) -> float | None:
    """Of these images, by the speed that was measured."""
    measured = record.values["speed"]["methods"].get(METHOD)
    images = len(train) // scale.batch_size * scale.batch_size
    return images / measured["images_per_second"] if measured else None


class Watch:
    """Called by `fit` once an epoch: adds the points of the curve, and ends the run when the time is over."""

    def __init__(self, record: Record, method: Method, train: Images, test: Images) -> None:
        self.record, self.method, self.train, self.test = record, method, train, test
        self.epoch, self.epochs, self.every = 0, 0, 1
        self.evaluating = 0.0  # seconds of one point
        self.spent = 0.0  # seconds of all points since the training began

    def plan(self, epochs: int, every: int) -> None:
        self.epochs, self.every = epochs, every

    def look(self, method: Method, row: dict[str, float]) -> None:
        self.epoch += 1
        over = self.record.left() < RESERVE / 2 + self.evaluating
        if over or self.epoch % self.every == 0 or self.epoch == self.epochs:
            self.spent += self.point(row["seconds"] - self.spent, row["total"])
        if over and self.epoch < self.epochs:
            raise OutOfTimeError

    def point(self, seconds: float, loss: float | None = None) -> float:
        """Score, add a point, save; `seconds` are those of training alone. Returns how long it took."""
        started = time.perf_counter()
        bank, queries = (features(self.method.backbone, x).to(x.pixels.device) for x in (self.train, self.test))
        score = knn(bank, self.train.labels, queries, self.test.labels, k=min(NEIGHBOURS, len(bank)))
        row = {"epoch": self.epoch, "seconds": round(seconds, 2), "knn": score, "loss": loss}
        self.record.values["run"]["curve"].append(row)
        self.record.save()
        self.record.report(f"epoch {self.epoch}: {seconds:.0f} s of training, kNN {score:.3f}")
        self.evaluating = time.perf_counter() - started
        return self.evaluating
