"""Optimisers and the learning-rate schedule."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from jemlib import validate
from jemlib.scales import OPTIMIZERS


def learning_rate(step: int, steps: int, warmup: int, peak: float) -> float:
    """Linear warm-up to `peak`, then a half cosine to 0; `step` counts from 0."""
    if step < warmup:
        return peak * (step + 1) / warmup
    # peak (1 + cos(pi t)) / 2,  t from 0 at the end of the warm-up to 1 at the last step
    t = (step - warmup) / max(1, steps - warmup)
    return peak * (1 + math.cos(math.pi * t)) / 2


class LARS(torch.optim.Optimizer):
    """Momentum SGD in which each weight matrix gets a step in proportion to its own norm.

    Convention: trust ratio `eta |w| / (|g + wd w| + 1e-8)`, no clipping, as the official Barlow Twins and
    VICReg code; other libraries clip it at 1 and use a larger eta, which is another optimiser of the same name.
    Biases and norm parameters (one dimension or fewer) get plain momentum SGD without weight decay.

    Source: You et al., 1708.03888.
    """

    def __init__(
        self, params: Any, lr: float = 0.3, momentum: float = 0.9, weight_decay: float = 1e-4, eta: float = 1e-3
    ) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay, "eta": eta})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]  # torch's overloads
        for group in self.param_groups:
            for w in group["params"]:
                if w.grad is not None:
                    self._update(w, group)

    def _update(self, w: Tensor, group: dict[str, Any]) -> None:
        g: Tensor = w.grad  # type: ignore[assignment]  # step() has checked
        if w.ndim > 1:
            g = g + group["weight_decay"] * w
            norm_w, norm_g = w.norm(), g.norm()
            # trust = eta |w| / |g|, and 1 where one of the two vanishes
            trust = torch.where((norm_w > 0) & (norm_g > 0), group["eta"] * norm_w / (norm_g + 1e-8), 1.0)
            g = g * trust
        if "velocity" not in self.state[w]:
            self.state[w]["velocity"] = torch.zeros_like(w)
        velocity: Tensor = self.state[w]["velocity"]
        velocity.mul_(group["momentum"]).add_(g)
        w.sub_(group["lr"] * velocity)


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
    if name == "lars":
        return LARS(groups, lr=lr)
    # One fused update over all tensors: a Python loop over them costs a third of a small net's step.
    if name == "sgd":
        return torch.optim.SGD(groups, lr=lr, momentum=0.9, fused=True)
    return torch.optim.AdamW(groups, lr=lr, fused=True)
