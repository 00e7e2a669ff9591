"""Training runs that claims measure: each is done once, however many claims ask for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from jemlib.data import Images, load
from jemlib.methods import Method, build
from jemlib.scales import Scale
from jemlib.train import fit


@lru_cache(maxsize=4)
def splits(scale: Scale) -> tuple[Images, Images]:
    """The images to train on, and those to score on; few of the latter at scale smoke.

    Claims compare many variants, so they are scored on validation images; the test split is for reported figures.
    """
    limit = 200 if scale.name == "smoke" else None
    return load(scale.data, "train", limit=scale.limit), load(scale.data, "validation", limit=limit)


def steps(scale: Scale, fraction: float) -> int:
    """A fraction of the steps of a scale, at least one."""
    return max(1, int(fraction * scale.total_steps(len(splits(scale)[0]))))


@lru_cache(maxsize=32)
def trained(name: str, seed: int, scale: Scale, fraction: float | None, **settings: Any) -> Method:
    """A method after a fraction of the scale's steps; None leaves it untrained. It is shared: do not change it.

    Args:
        name: one of `jemlib.methods.METHODS`.
        seed: of the weights, the order of the images and the views.
        scale: gives data, backbone, widths and schedule.
        fraction: 1 for all steps, 1 / 3 for a third.
        settings: of the method; values that can be hashed.
    """
    method = build(name, scale=scale, seed=seed, **settings)
    if fraction is not None:
        fit(method, splits(scale)[0], scale=scale, seed=seed, steps=steps(scale, fraction))
    return method


def columns(
    measured: Callable[[int, Scale, Any], Mapping[str, float]], **wanted: tuple[str, Any]
) -> Callable[[int, Scale], dict[str, float]]:
    """A claim's measurement: for each name a column of `measured(seed, scale, variant)`, and the variant."""

    def measure(seed: int, scale: Scale) -> dict[str, float]:
        return {name: measured(seed, scale, variant)[column] for name, (column, variant) in wanted.items()}

    return measure
