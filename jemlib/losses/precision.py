"""Keeps a loss in full precision under autocast."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

import torch
from torch import Tensor

Function = TypeVar("Function", bound=Callable[..., Any])


def full_precision(loss: Function) -> Function:
    """Run a loss with autocast off.

    Autocast would compute its matrix products in 16 bits even on float32 embeddings; correlations and
    log-sum-exps need more. The first argument must be a tensor: its device says which autocast to switch off.
    """

    @wraps(loss)
    def wrapped(z: Tensor, *args: Any, **kwargs: Any) -> Any:
        if not isinstance(z, Tensor):  # the loss itself says what is wrong
            return loss(z, *args, **kwargs)
        with torch.autocast(z.device.type, enabled=False):
            return loss(z, *args, **kwargs)

    return wrapped  # type: ignore[return-value]  # wraps() keeps the signature; the type checker cannot see it
