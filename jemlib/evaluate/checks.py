"""What the functions of this package check about features, factors and labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from jemlib import validate


def _check_same_dimensions(name_a: str, a: Tensor, name_b: str, b: Tensor) -> None:
    if a.shape[1] != b.shape[1]:
        raise ValueError(f"{name_a} and {name_b} must have the same D; got {a.shape[1]} and {b.shape[1]}.")


def _check_features(train: Tensor, test: Tensor) -> tuple[Tensor, Tensor]:
    train = validate.embeddings("the training features", train).detach()
    test = validate.embeddings("the test features", test).detach()
    _check_same_dimensions("the training features", train, "the test features", test)
    return train, test


def _check_factors(name: str, factors: Mapping[str, Tensor], n: int) -> dict[str, Tensor]:
    """The factors on the CPU, each `(n,)` or `(n, columns)` and finite, classes `(n,)`."""
    if not isinstance(factors, Mapping):
        raise TypeError(f"{name} must be a dict of tensors, as Images.factors; got {type(factors).__name__}.")
    for key, values in factors.items():
        if not isinstance(values, Tensor):
            raise TypeError(f"{name}[{key!r}] must be a torch.Tensor; got {type(values).__name__}.")
        columns = 2 if values.is_floating_point() else 1
        if not 1 <= values.ndim <= columns or len(values) != n:
            wanted = f"({n},) or ({n}, columns)" if columns == 2 else f"({n},), whole numbers being classes"
            raise ValueError(f"{name}[{key!r}] must have shape {wanted}; got shape {tuple(values.shape)}.")
        if values.is_floating_point():
            validate.finite(f"{name}[{key!r}]", values)
    return {key: values.detach().cpu() for key, values in factors.items()}


def _check_ids(name: str, values: Tensor, n: int | None = None, *, at_least: int = 0) -> Tensor:
    """Class or cluster numbers as an `(n,)` int64 tensor on the CPU."""
    validate.tensor(name, values, "N", kind="integer", meaning="one for each sample", N=n)
    if int(values.min()) < at_least:
        raise ValueError(f"{name} must be >= {at_least}; got {int(values.min())}.")
    return values.detach().cpu().long()


def _positions(labelled: Tensor | Sequence[int], n: int) -> Tensor:
    positions = labelled if isinstance(labelled, Tensor) else torch.as_tensor(list(labelled), dtype=torch.int64)
    positions = _check_ids("labelled", positions).unique()
    if int(positions[-1]) >= n:
        raise ValueError(f"labelled must lie in [0, {n - 1}], positions of samples; got {int(positions[-1])}.")
    return positions
