"""SimCLR: NT-Xent between two views (Chen et al., 2002.05709)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from jemlib.losses import ContrastiveLoss, nt_xent
from jemlib.methods.method import Method


class SimCLR(Method):
    """Backbone, projector, NT-Xent.

    Args:
        temperature: tau > 0. The CIFAR recipes use 0.2 to 0.5.
        negatives: False trains on the alignment alone, to see what the other images were for.
        settings: those of `Method`.
    """

    name = "simclr"

    def __init__(self, temperature: float = 0.2, negatives: bool = True, **settings: Any) -> None:
        super().__init__(**settings)
        self.temperature, self.negatives = temperature, negatives
        self.settings |= {"temperature": temperature, "negatives": negatives}

    def step(self, views: Sequence[Tensor]) -> ContrastiveLoss:
        z_a, z_b = self.embed(views[0]), self.embed(views[1])
        loss: ContrastiveLoss = nt_xent(z_a, z_b, self.temperature)
        return loss if self.negatives else loss._replace(total=loss.alignment)
