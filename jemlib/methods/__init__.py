"""The methods: each owns its modules and one training step, and calls a loss."""

from __future__ import annotations

import inspect
from typing import Any

import torch

from jemlib import validate
from jemlib.methods.barlow_twins import BarlowTwins
from jemlib.methods.byol import BYOL
from jemlib.methods.dino import DINO
from jemlib.methods.method import Method
from jemlib.methods.pcl import PCL
from jemlib.methods.sigreg import SIGReg
from jemlib.methods.simclr import SimCLR
from jemlib.methods.simsiam import SimSiam
from jemlib.methods.swav import SwAV
from jemlib.methods.vicreg import VICReg

# One line a method.
METHODS: dict[str, type[Method]] = {
    method.name: method for method in (SimCLR, BarlowTwins, VICReg, SwAV, PCL, BYOL, SimSiam, DINO, SIGReg)
}

__all__ = [
    "BYOL",
    "DINO",
    "METHODS",
    "PCL",
    "BarlowTwins",
    "Method",
    "SIGReg",
    "SimCLR",
    "SimSiam",
    "SwAV",
    "VICReg",
    "build",
    "known_settings",
]


def known_settings(name: str) -> dict[str, Any]:
    """The settings of a method and their defaults, its own first."""
    method = METHODS[validate.choice("method", name, METHODS)]
    chain = [c for c in method.__mro__ if issubclass(c, Method) and "__init__" in vars(c)]
    parameters = [p for c in chain for p in inspect.signature(c).parameters.values()]
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
