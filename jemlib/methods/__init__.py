"""The methods: each owns its modules and one training step, and calls a loss."""

from __future__ import annotations

import inspect
from typing import Any

import torch

from jemlib import validate
from jemlib.methods.barlow_twins import BarlowTwins
from jemlib.methods.method import Method
from jemlib.methods.simclr import SimCLR
from jemlib.methods.vicreg import VICReg

METHODS: dict[str, type[Method]] = {m.name: m for m in (SimCLR, BarlowTwins, VICReg)}

__all__ = ["METHODS", "BarlowTwins", "Method", "SimCLR", "VICReg", "build", "known_settings"]


def known_settings(name: str) -> dict[str, Any]:
    """The settings of a method and their defaults, its own first."""
    method = METHODS[validate.choice("method", name, METHODS)]
    parameters = [*inspect.signature(method).parameters.values(), *inspect.signature(Method).parameters.values()]
    return {p.name: p.default for p in parameters if p.kind is not p.VAR_KEYWORD}


def build(name: str, *, seed: int = 0, **settings: Any) -> Method:
    """A method by name, with weights drawn from `seed`; torch's global generator is left as it was.

    Args:
        name: one of `METHODS`.
        seed: of the initial weights.
        settings: see `known_settings(name)`.

    Raises:
        ValueError: the method or a setting is unknown, or a value is out of range.
    """
    known = known_settings(name)
    for setting in settings:
        validate.choice(f"setting of {name}", setting, known)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return METHODS[name](**settings)
