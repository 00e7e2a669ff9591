"""The methods: each owns its modules and one training step, and calls a loss."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch

from jemlib import validate
from jemlib.methods.barlow_twins import BarlowTwins
from jemlib.methods.byol import BYOL
from jemlib.methods.dino import DINO
from jemlib.methods.loss_file import LossFile, load_loss
from jemlib.methods.method import Batch, Method
from jemlib.methods.pcl import PCL
from jemlib.methods.settings import in_order
from jemlib.methods.sigreg import SIGReg
from jemlib.methods.simclr import SimCLR
from jemlib.methods.simdino import SimDINO
from jemlib.methods.simsiam import SimSiam
from jemlib.methods.supervised import Supervised
from jemlib.methods.swav import SwAV
from jemlib.methods.vicreg import VICReg
from jemlib.scales import Scale, current_scale

# One line a method; `supervised` is here because it trains by the same step, though it is no joint embedding.
METHODS: dict[str, type[Method]] = {
    method.name: method
    for method in (SimCLR, BarlowTwins, VICReg, SwAV, PCL, BYOL, SimSiam, DINO, SIGReg, SimDINO, Supervised)
}
# Those that learn without labels.
SELF_SUPERVISED = tuple(name for name in METHODS if name != Supervised.name)

__all__ = [
    "BYOL",
    "DINO",
    "METHODS",
    "PCL",
    "SELF_SUPERVISED",
    "BarlowTwins",
    "Batch",
    "LossFile",
    "Method",
    "SIGReg",
    "SimCLR",
    "SimDINO",
    "SimSiam",
    "Supervised",
    "SwAV",
    "VICReg",
    "build",
    "check_loss",
    "known_settings",
    "load_loss",
    "scale_settings",
    "settings_for",
]


def known_settings(name: str) -> dict[str, Any]:
    """The settings of a method and their defaults, its own first."""
    method = METHODS[validate.choice("method", name, METHODS)]
    return {one.name: one.default for one in in_order(method.Settings)}


def scale_settings(name: str, scale: str | Scale | None = None) -> dict[str, Any]:
    """The settings that a scale gives a method: backbone, widths, and the momentum where it has one.

    A method that works best with few dimensions gets a narrower last layer than the scale proposes.
    """
    scale = scale if isinstance(scale, Scale) else current_scale(scale)
    known = known_settings(name)
    given = {"backbone": scale.backbone, "widths": METHODS[name].widths_for(scale.widths)}
    return {**given, "momentum": scale.momentum} if "momentum" in known else given


def settings_for(name: str, scale: str | Scale | None = None, **settings: Any) -> Method.Settings:
    """The settings of a method at a scale, checked: what is given comes before what the scale says.

    Raises:
        ValueError: the method or a setting is unknown, or a value is out of range.
        TypeError: a value has the wrong type.
    """
    known = known_settings(name)
    for setting in settings:
        validate.choice(f"setting of {name}", setting, known)
    return METHODS[name].Settings(**(scale_settings(name, scale) | settings))


def check_loss(name: str, loss: object, settings: Iterable[str] = ()) -> None:
    """Refuse a loss that cannot be called in the frame of a method, or to which a setting that is given means nothing.

    Raises:
        TypeError: it is no function, takes too few tensors, or wants an argument that the frame does not give.
        ValueError: one of the settings goes to jemlib's own loss, and this one has no argument of that name.
    """
    if not callable(loss):
        raise TypeError(f"loss must be a function; got {validate.describe(loss)}.")
    ignored = METHODS[name].frame().ignored(loss, settings)
    if ignored:
        raise ValueError(
            f"{ignored[0]} is a setting of jemlib's {name}, and would change nothing: "
            f"{getattr(loss, '__name__', type(loss).__name__)} has no argument of that name."
        )


def build(
    name: str,
    *,
    scale: str | Scale | None = None,
    seed: int = 0,
    loss: Callable[..., Any] | None = None,
    **settings: Any,
) -> Method:
    """A method by name, with weights drawn from `seed`; torch's global generator is left as it was.

    Args:
        name: one of `METHODS`.
        scale: "smoke", "cpu", "gpu" or a `Scale`, for the settings in `scale_settings`; None: the current one.
        seed: of the initial weights.
        loss: train with this function instead of jemlib's, `METHODS[name].loss_function`, in the frame of the method:
            `METHODS[name].frame()` says what it gets. It returns a scalar tensor, a NamedTuple with `total`, or the
            results of jemlib's function in their order. A function that a record can name again: `load_loss`.
        settings: see `known_settings(name)`.

    Raises:
        TypeError, ValueError: as `settings_for` and `check_loss`.
    """
    config = settings_for(name, scale, **settings)
    validate.seed(seed)
    if loss is not None:
        check_loss(name, loss, settings)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return METHODS[name](loss, **vars(config))
