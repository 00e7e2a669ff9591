"""Optimisers and the learning-rate schedule."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn

from jemlib import validate
from jemlib.scales import OPTIMIZERS


def learning_rate(step: int, steps: int, warmup: int, peak: float) -> float:
    """Linear warm-up to `peak`, then a half cosine to 0; `step` counts from 0."""
    if step < warmup:
        return peak * (step + 1) / warmup
    # peak (1 + cos(pi t)) / 2,  t from 0 at the end of the warm-up to 1 at the last step
    t = (step - warmup) / max(1, steps - warmup)
    return peak * (1 + math.cos(math.pi * t)) / 2


def build_optimizer(name: str, module: nn.Module, lr: float, weight_decay: float) -> torch.optim.Optimizer:
    """An optimiser by name. Weight decay acts on matrices only, not on biases and norm parameters.

    Raises:
        ValueError: the name is unknown.
    """
    validate.choice("optimizer", name, OPTIMIZERS)
    parameters = [p for p in module.parameters() if p.requires_grad]
    groups: list[dict[str, Any]] = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    # One fused update over all tensors: a Python loop over them costs a third of a small net's step.
    if name == "sgd":
        return torch.optim.SGD(groups, lr=lr, momentum=0.9, fused=True)
    return torch.optim.AdamW(groups, lr=lr, fused=True)
