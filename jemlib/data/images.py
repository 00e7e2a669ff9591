"""Images in memory: uint8 pixels, labels, and the factors behind them where these are known."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor
from tqdm.auto import tqdm

from jemlib import validate

SIZE = 32  # height and width of every image, in pixels
SPLITS = ("train", "validation", "test")

Item = TypeVar("Item")


@dataclass(frozen=True, repr=False, eq=False)
class Images:
    """One split of a data set, whole in memory; 20,000 images are 61 MB.

    Attributes:
        pixels: `(N, 3, 32, 32)` uint8, RGB, 0 to 255.
        labels: `(N,)` int64, indices into `class_names`.
        class_names: one name for each class.
        factors: what each image was drawn from, each tensor `(N, ...)`; None when that is not known.
        name: the name the set was loaded under.
        split: `train`, `validation` or `test`, or another word for images made by hand.

    Raises:
        TypeError, ValueError: a tensor has the wrong type, shape or range, or the lengths or devices differ.
    """

    pixels: Tensor
    labels: Tensor
    class_names: tuple[str, ...]
    factors: dict[str, Tensor] | None = None
    name: str = "images"
    split: str = "train"

    def __post_init__(self) -> None:
        validate.tensor("pixels", self.pixels, f"N 3 {SIZE} {SIZE}", kind="uint8", empty=True)
        validate.tensor("labels", self.labels, "N", kind="int64", empty=True)
        self._check_length("labels", self.labels)
        if len(self.labels) and not self.labels.is_meta:
            low, high = int(self.labels.min()), int(self.labels.max())
            if low < 0 or high >= len(self.class_names):
                raise ValueError(
                    f"labels must lie in [0, {len(self.class_names) - 1}], one for each of class_names; "
                    f"got values from {low} to {high}."
                )
        for key, values in (self.factors or {}).items():
            self._check_length(f"factors[{key!r}]", values)

    def _check_length(self, name: str, values: Tensor) -> None:
        """Raise unless there is one row of `values` for each image, on the device of the pixels."""
        if not isinstance(values, Tensor):
            raise TypeError(f"{name} must be a torch.Tensor; got {type(values).__name__}.")
        if values.ndim == 0 or len(values) != len(self.pixels):
            raise ValueError(
                f"{name} must have one row for each of the {len(self.pixels)} images; got shape {tuple(values.shape)}."
            )
        if values.device != self.pixels.device:
            raise ValueError(f"{name} must be on the device of pixels, {self.pixels.device}; got {values.device}.")

    def __len__(self) -> int:
        return len(self.pixels)

    def __repr__(self) -> str:
        known = f", {len(self.factors)} factors" if self.factors else ""
        return (
            f"Images({self.name!r}, {self.split!r}: {len(self):,} images, {len(self.class_names)} classes{known}, "
            f"{self.pixels.device})"
        )

    def to(self, device: torch.device | str) -> Images:
        """The same images with every tensor on `device`."""
        factors = None if self.factors is None else {key: values.to(device) for key, values in self.factors.items()}
        return replace(self, pixels=self.pixels.to(device), labels=self.labels.to(device), factors=factors)

    def subset(self, index: Tensor | Sequence[int] | slice) -> Images:
        """The chosen images, in the order of `index`: positions (tensor or list), a boolean mask `(N,)`, or a slice.

        Raises:
            IndexError: a position is outside [-N, N - 1], or a mask has another length than N.
        """
        if not isinstance(index, slice):
            index = self._positions(index)
        factors = None if self.factors is None else {key: values[index] for key, values in self.factors.items()}
        return replace(self, pixels=self.pixels[index], labels=self.labels[index], factors=factors)

    def _positions(self, index: Tensor | Sequence[int]) -> Tensor:
        """`index` as an int64 tensor of positions, checked against the number of images."""
        positions = torch.as_tensor(index, device=self.pixels.device)
        if positions.ndim != 1:
            raise IndexError(f"index must be a slice or have shape (K,); got shape {tuple(positions.shape)}.")
        if positions.dtype == torch.bool:
            if len(positions) != len(self):
                raise IndexError(
                    f"a boolean index needs one entry for each of the {len(self)} images; got {len(positions)}."
                )
            return positions.nonzero().flatten()
        if positions.is_floating_point() and len(positions):
            raise TypeError(f"index must hold whole numbers or booleans; got {validate.describe(positions)}.")
        positions = positions.long()
        outside = (positions < -len(self)) | (positions >= len(self))
        if bool(outside.any()):
            raise IndexError(f"index must lie in [{-len(self)}, {len(self) - 1}]; got {int(positions[outside][0])}.")
        return positions


def data_label(name: str) -> str:
    """The data's name without the folders of this machine: `folder:/some/where/cifar10` -> `folder:cifar10`."""
    kind, _, path = name.partition(":")
    return f"{kind}:{Path(path).name}" if path else kind


def scramble(values: Tensor) -> Tensor:
    """A fixed one-to-one mixing of the integers 0 to 2^32 - 1: int64 in, int64 out, same shape.

    Only integer operations, so the result is the same on every machine and in every version of torch.
    """
    values = values & 0xFFFFFFFF
    # Both factors are below 2^31, so no product leaves 63 bits. Constants: Wellons' hash-prospector.
    values = ((values ^ (values >> 16)) * 0x21F0AAAD) & 0xFFFFFFFF
    values = ((values ^ (values >> 15)) * 0x735A2D97) & 0xFFFFFFFF
    return values ^ (values >> 15)


def permutation(n: int, seed: int = 0) -> Tensor:
    """A permutation of 0 to n - 1 as `(n,)` int64, the same on every machine for a seed."""
    start = scramble(torch.tensor(seed))
    return scramble(scramble(torch.arange(n)) ^ start).argsort(stable=True)


def keep_some(images: Images, limit: int | None, seed: int) -> Images:
    """A random subset of `limit` images chosen by `seed`; all of them when limit is None or not below N.

    Raises:
        TypeError, ValueError: limit is not a whole number >= 1.
    """
    if limit is None:
        return images
    validate.integer("limit", limit, at_least=1)
    if limit >= len(images):
        return images
    return images.subset(permutation(len(images), seed)[:limit])


def data_folder() -> Path:
    """Where downloads live: the environment variable JEMLIB_DATA, or `~/.cache/jemlib`."""
    return Path(os.environ.get("JEMLIB_DATA") or "~/.cache/jemlib").expanduser()


def cache_folder() -> Path:
    """Where decoded folders are kept: the environment variable JEMLIB_CACHE, or `~/.cache/jemlib`."""
    return Path(os.environ.get("JEMLIB_CACHE") or "~/.cache/jemlib").expanduser()


def progress(items: Iterable[Item], *, total: int, description: str) -> Iterable[Item]:
    """`items` with a progress bar; without one when CI is set or nobody watches a terminal."""
    return tqdm(items, total=total, desc=description, unit="image", disable=True if os.environ.get("CI") else None)
