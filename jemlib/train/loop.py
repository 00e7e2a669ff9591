"""The visible loop: views, step, update; a history; checkpoints that survive a kill."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from tqdm.auto import tqdm

from jemlib import validate
from jemlib.data import Images
from jemlib.methods import Method
from jemlib.scales import Scale, adjusted_scale
from jemlib.train.checkpoint import Checkpoint
from jemlib.train.device import computes_in_bf16, default_device, hide_progress, looks, tuned_kernels
from jemlib.train.history import History
from jemlib.train.optimizers import build_optimizer, learning_rate
from jemlib.train.order import batches, random_state
from jemlib.train.step import train_step


def fit(
    method: Method,
    images: Images,
    *,
    scale: str | Scale | None = None,
    seed: int = 0,
    out: str | Path | None = None,
    device: str | torch.device | None = None,
    checkpoint_seconds: float = 20.0,
    log_every: int = 10,
    on_log: Callable[[Method, dict[str, float]], None] | None = None,
    **overrides: Any,
) -> History:
    """Train a method on images, in place.

    The weights after `fit` depend on the method's weights before it, the images, the scale and the seed; on a
    CPU they are the same bit for bit whether the run was interrupted or not.

    Args:
        method: from `jemlib.methods.build`.
        images: the training images.
        scale: "smoke", "cpu", "gpu" or a `Scale`; None: see `current_scale`.
        seed: of the order of the images and of the views.
        out: run folder for the checkpoint and the history; None keeps nothing. If it holds the checkpoint of an
            interrupted run with the same settings, the run goes on from there.
        device: where to train; None: the GPU if there is one.
        checkpoint_seconds: how often the checkpoint is written, in seconds.
        log_every: how often the history gets a row, in steps.
        on_log: called with the method and each new row, for example to draw.
        overrides: numbers of the scale to replace, such as `steps=200` or `learning_rate=1e-3`.

    Returns:
        The history. After Ctrl-C it ends early, says `interrupted`, and the method is usable as it is.

    Raises:
        ValueError: an argument is unknown or out of range; too few images for one batch; `out` holds a run with
            other settings.
        FloatingPointError: the loss became NaN or infinite.
    """
    scale = adjusted_scale(scale, **overrides)
    validate.seed(seed)
    validate.integer("log_every", log_every, at_least=1)
    if len(images) < scale.batch_size:
        raise ValueError(f"images must fill at least one batch of {scale.batch_size}; got {len(images)} images.")
    device = torch.device(device) if device is not None else default_device()
    steps = scale.total_steps(len(images))

    method.to(device).to(memory_format=torch.channels_last)
    method.train()
    here = dataclasses.replace(images, pixels=images.pixels.to(device), labels=images.labels.to(device), factors=None)
    optimizer = build_optimizer(scale.optimizer, method, scale.learning_rate, scale.weight_decay)
    generator = torch.Generator(device)
    bf16 = computes_in_bf16(scale.precision, device)
    history = History()
    store = Checkpoint(out, fingerprint(method, images, scale, seed), checkpoint_seconds)
    first_step, seconds = store.restore(method, optimizer, history, device)
    started = time.perf_counter() - seconds

    bar = tqdm(total=steps, initial=first_step, disable=hide_progress() or None, desc=method.name, unit="step")
    done = first_step
    with bar, tuned_kernels(), Interrupt() as interrupt:
        for step, index in batches(len(images), scale.batch_size, seed, first_step, steps, device):
            rate = learning_rate(step, steps, scale.warmup, scale.learning_rate)
            for group in optimizer.param_groups:
                group["lr"] = rate
            # What step t draws depends on (seed, t) only.
            generator.manual_seed(random_state(seed, step))
            logs = (step + 1) % log_every == 0 or step + 1 == steps
            check = looks(device, logs or step == first_step)
            loss = train_step(method, optimizer, here, index, generator, step=step, steps=steps, bf16=bf16, check=check)

            if step == first_step:
                store.begin()  # now that a step has gone well
            done = step + 1
            bar.update()
            if logs:
                terms = {name: float(value.detach()) for name, value in loss._asdict().items()}
                seconds = time.perf_counter() - started  # after the terms, which a GPU has when it is done
                row = log_row(done, scale.batch_size, seconds, rate, terms)
                history.rows.append(row)
                show(bar, row, first_step, scale.batch_size)
                if on_log is not None:
                    on_log(method, row)
                store.save_when_due(method, optimizer, history, done, seconds)
            if interrupt.asked:
                history.interrupted = True
                break
    method.eval()
    if done > first_step:
        store.save(method, optimizer, history, done, time.perf_counter() - started)
    return history


class Interrupt:
    """Turns Ctrl-C into a flag, so that a step is never cut in half: model, optimiser and step count agree.

    A second Ctrl-C interrupts at once. Outside the main thread Python delivers no signals, and nothing changes.
    """

    def __init__(self) -> None:
        self.asked = False
        self.handles = threading.current_thread() is threading.main_thread()

    def __enter__(self) -> Interrupt:
        if self.handles:
            self.before = signal.signal(signal.SIGINT, self.ask)
        return self

    def __exit__(self, *exception: object) -> None:
        if self.handles:
            signal.signal(signal.SIGINT, self.before)

    def ask(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True


def log_row(done: int, batch_size: int, seconds: float, rate: float, terms: dict[str, float]) -> dict[str, float]:
    return {
        "step": done,
        "images_seen": done * batch_size,
        "seconds": round(seconds, 3),
        "learning_rate": rate,
        **terms,
    }


def show(bar: Any, row: dict[str, float], first_step: int, batch_size: int) -> None:
    """Loss terms and speed behind the bar; the remaining time is tqdm's own."""
    if bar.disable:
        return
    speed = bar.format_dict["n"] - first_step
    speed = speed * batch_size / max(bar.format_dict["elapsed"], 1e-9)
    terms = {k: f"{v:.3g}" for k, v in row.items() if k not in ("step", "images_seen", "seconds", "learning_rate")}
    bar.set_postfix({**terms, "images/s": f"{speed:.0f}"}, refresh=False)


def fingerprint(method: Method, images: Images, scale: Scale, seed: int) -> dict[str, Any]:
    """What a checkpoint must agree on before a run goes on from it."""
    settings = {
        "method": method.name,
        "settings": method.settings,
        "data": images.name,
        "num_images": len(images),
        "data_checksum": hashlib.blake2b(images.pixels.cpu().numpy().tobytes(), digest_size=8).hexdigest(),
        "scale": dataclasses.asdict(scale),
        "seed": seed,
    }
    return dict(json.loads(json.dumps(settings)))  # through JSON, so that it equals what a file gives back
