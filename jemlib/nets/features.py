"""Features of un-augmented images, in evaluation mode: for clustering while training, and for every evaluation."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from jemlib.data import Images
from jemlib.views import normalize


@contextlib.contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Evaluation mode and no gradients inside the block; each part gets its own mode back after it."""
    # Part by part: a Sequential put together for the occasion says nothing about the mode of what it holds.
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for part, training in modes:
            part.training = training


@contextlib.contextmanager
def exact() -> Iterator[None]:
    """float32 means float32 inside the block: by default a GPU convolves float32 with 10 bits of mantissa (TF32)."""
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = before


def features(module: nn.Module, images: Images, *, batch_size: int = 500) -> Tensor:
    """Outputs of a backbone (or of `method.embed`'s modules) for un-augmented images, in evaluation mode.

    Args:
        module: maps `(N, 3, 32, 32)` to `(N, D)`. It is evaluated on the device of its parameters, in float32.
        images: any number of images.
        batch_size: images at a time.

    Returns:
        `(N, D)` float32, on the CPU.
    """
    device = next((p.device for p in module.parameters()), torch.device("cpu"))
    with evaluating(module), exact():
        # Brought back at the end, all at once: a copy of each part would wait for it.
        parts = [module(normalize(chunk.to(device))).float() for chunk in images.pixels.split(batch_size)]
    return torch.cat(parts).cpu()
