"""Which images are in which step, and the seed of each step."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor


def random_state(seed: int, step: int) -> int:
    """The seed of one step. It depends on nothing else, so a resumed run needs no generator state."""
    return (seed * 1_000_003 + step) % 2**63


def batches(
    num_images: int,
    batch_size: int,
    seed: int,
    first_step: int,
    steps: int,
    device: torch.device | str = "cpu",
) -> Iterator[tuple[int, Tensor]]:
    """`(step, indices)` from `first_step` on: each epoch a new permutation of the images.

    The same on every device: drawn on the CPU, and brought over once an epoch, because each copy makes a GPU wait.
    """
    per_epoch = num_images // batch_size
    epoch, order = -1, torch.empty(0)
    for step in range(first_step, steps):
        if step // per_epoch != epoch:
            epoch = step // per_epoch
            generator = torch.Generator().manual_seed(random_state(seed, -1 - epoch) % 2**62)
            order = torch.randperm(num_images, generator=generator).to(device)
        start = (step % per_epoch) * batch_size
        yield step, order[start : start + batch_size]
