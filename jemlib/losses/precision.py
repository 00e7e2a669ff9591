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
    log-sum-exps need more. The first tensor among the arguments, or in a list of views, says which device's autocast to
    switch off.
    """

    @wraps(loss)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        given = (value if isinstance(value, (list, tuple)) else [value] for value in (*args, *kwargs.values()))
        device = next((value.device for values in given for value in values if isinstance(value, Tensor)), None)
        if device is None or device.type == "meta":  # the loss itself says what is wrong
            return loss(*args, **kwargs)
        with torch.autocast(device.type, enabled=False):
            return loss(*args, **kwargs)

    return wrapped  # type: ignore[return-value]  # wraps() keeps the signature; the type checker cannot see it
