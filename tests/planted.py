"""Random features with something planted in them, for the tests of evaluation."""

from __future__ import annotations

import torch


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def randn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=generator(seed))


def planted_clusters(classes: int, each: int, *, spread: float, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Gaussian clusters around orthogonal centres: features `(classes * each, 16)` and labels, shuffled."""
    labels = torch.arange(classes).repeat(each)[torch.randperm(classes * each, generator=generator(seed))]
    centres = 5 * torch.linalg.qr(randn(16, 16)).Q  # not the axes, so that no dimension is idle
    return centres[labels] + spread * randn(len(labels), 16, seed=seed + 1), labels
