"""One training step: views, loss, gradient, update. Every run and every benchmark takes it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from jemlib import validate
from jemlib.data import Images
from jemlib.methods import Batch, Method


def train_step(
    method: Method,
    optimizer: torch.optim.Optimizer,
    images: Images,
    index: Tensor,
    generator: torch.Generator,
    *,
    step: int = 0,
    steps: int = 1,
    bf16: bool = False,
    check: bool = True,
) -> Any:
    """Move a method by one step of its optimiser.

    Args:
        method: in training mode.
        optimizer: of the method's parameters, with the rate of this step.
        images: the training images, on the device of the method.
        index: `(N,)` int64, which of them make up the batch, on the same device.
        generator: source of the views, masks and slices of this step, on the same device.
        step: which step this is, from 0.
        steps: of how many.
        bf16: compute the network in bf16; losses and the E-step stay in float32.
        check: look whether the embeddings are finite. On a GPU to look is to wait; NaN stays, so a later look finds it.

    Returns:
        The loss, a NamedTuple whose first field is `total`.

    Raises:
        FloatingPointError: the embeddings are NaN or infinite, and check is True.
    """
    views = method.make_views(images.pixels[index], generator)
    batch = Batch(views, index, images, step / steps, generator)
    method.before_step(batch)
    with torch.autocast(index.device.type, torch.bfloat16, enabled=bf16), validate.blind(not check):
        loss = step_or_explain(method, batch, step)
    optimizer.zero_grad(set_to_none=True)
    loss.total.backward()
    optimizer.step()
    method.after_step((step + 1) / steps)
    return loss


def step_or_explain(method: Method, batch: Batch, step: int) -> Any:
    """The method's step; non-finite embeddings are reported as what they are: a run that diverged."""
    try:
        with method.training_step(batch):
            return method.step(batch)
    except ValueError as error:
        if "must be finite" not in str(error):
            raise
        raise FloatingPointError(
            f"{method.name} diverged at step {step}: {error} A lower learning rate or a longer warm-up may help."
        ) from error
