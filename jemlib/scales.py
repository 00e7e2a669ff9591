"""How large a run is: smoke, cpu, gpu. One code path; only these numbers differ."""

from __future__ import annotations

import dataclasses
import os
from dataclasses import dataclass
from typing import Any

import torch

from jemlib import validate

OPTIMIZERS = ("adamw", "sgd")  # of `jemlib.train.build_optimizer`


@dataclass(frozen=True, kw_only=True)
class Scale:
    """How large a run is. One code path for all: only these numbers differ."""

    name: str
    backbone: str  # of `jemlib.nets.BACKBONES`
    widths: tuple[int, ...]  # of the projector's layers
    data: str  # what `jemlib.data.load` gets when no other data is asked for
    limit: int | None  # training images; None: all of them
    batch_size: int
    steps: int | None  # optimiser steps; None: `epochs` decides
    epochs: int | None
    warmup: int  # steps of linear warm-up
    optimizer: str
    learning_rate: float  # peak
    weight_decay: float
    precision: str = "auto"  # "auto": bf16 where the processor computes in it; "float32"; "bf16"
    momentum: float = 0.99  # of momentum encoders at the start, for the methods that have one

    def total_steps(self, num_images: int) -> int:
        """Optimiser steps for a data set of this size; a last batch that is not full is left out."""
        if self.steps is not None:
            return self.steps
        return (self.epochs or 1) * (num_images // self.batch_size)


SCALES = {
    # Seconds: for tests, and for notebooks in CI. Shows that everything runs; its figures mean nothing.
    "smoke": Scale(
        name="smoke",
        backbone="conv_small",
        widths=(64, 64),
        data="motifs",
        limit=512,
        batch_size=64,
        steps=8,
        epochs=None,
        warmup=2,
        optimizer="adamw",
        learning_rate=4e-3,
        weight_decay=1e-4,
        momentum=0.5,  # as cpu
    ),
    "cpu": Scale(
        name="cpu",
        backbone="conv_small",
        widths=(256, 256),
        data="motifs",
        limit=None,
        batch_size=256,
        steps=750,  # at most a minute on two cores
        epochs=None,
        warmup=200,  # so long for Barlow Twins, which often stays stuck with 50
        optimizer="adamw",
        learning_rate=8e-3,
        weight_decay=1e-4,
        momentum=0.5,  # 0.99 needs 69 of the 750 steps to forget half of the weights it started from
    ),
    # CIFAR-10 on one GPU. Others train ResNet-18 there by SGD with weight decay 5e-4 too, at rates for 512 images from
    # 0.06 (dkobak/simclr-cifar10) to 0.24 (lightly). No run at this scale has been recorded yet: see `jem gpu`.
    "gpu": Scale(
        name="gpu",
        backbone="resnet18",
        widths=(2048, 2048),
        data="cifar10",
        limit=None,
        batch_size=512,
        steps=None,
        epochs=200,
        warmup=500,  # steps: five epochs
        optimizer="sgd",
        learning_rate=0.12,
        weight_decay=5e-4,
    ),
}


def settable() -> list[str]:
    """The numbers of a scale that one may replace: all but its name and its data, which have options of their own."""
    return [f.name for f in dataclasses.fields(Scale) if f.name not in ("name", "data")]


def current_scale(name: str | None = None) -> Scale:
    """The scale by name; without one JEMLIB_SCALE decides, and without that `gpu` on a GPU machine, else `cpu`."""
    name = name or os.environ.get("JEMLIB_SCALE") or ("gpu" if torch.cuda.is_available() else "cpu")
    return SCALES[validate.choice("scale", name, SCALES)]


def adjusted_scale(scale: str | Scale | None, **overrides: Any) -> Scale:
    """A scale with some of its numbers replaced; an unknown or impossible one is an error."""
    base = scale if isinstance(scale, Scale) else current_scale(scale)
    for name in overrides:
        validate.choice("setting of the scale", name, settable())
    if overrides.get("epochs") is not None:
        overrides.setdefault("steps", None)  # epochs were asked for: they decide
    adjusted = dataclasses.replace(base, **overrides)
    validate.integer("batch_size", adjusted.batch_size, at_least=2)
    for name in ("steps", "epochs"):
        if getattr(adjusted, name) is not None:
            validate.integer(name, getattr(adjusted, name), at_least=1)
    validate.integer("warmup", adjusted.warmup, at_least=0)
    validate.number("learning_rate", adjusted.learning_rate, above=0)
    validate.number("weight_decay", adjusted.weight_decay, at_least=0)
    validate.number("momentum", adjusted.momentum, at_least=0, at_most=1)
    validate.choice("optimizer", adjusted.optimizer, OPTIMIZERS)
    validate.choice("precision", adjusted.precision, ("auto", "bf16", "float32"))
    return adjusted
