"""Barlow Twins (Zbontar et al., 2103.03230)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from jemlib.losses import BarlowTwinsLoss, barlow_twins
from jemlib.methods.method import Method


class BarlowTwins(Method):
    """Backbone, expander, cross-correlation towards the identity.

    Args:
        lambd: weight of the redundancy term. The paper has 5e-3 at D = 8192; at D = 256, 0.01 is steadier over seeds.
        invariance: weight of the invariance term, 1 in the paper; 0 removes it, to see what it was for.
        settings: those of `Method`.
    """

    name = "barlow_twins"

    def __init__(self, lambd: float = 0.01, invariance: float = 1.0, **settings: Any) -> None:
        super().__init__(**settings)
        self.lambd, self.invariance = lambd, invariance
        self.settings |= {"lambd": lambd, "invariance": invariance}

    def step(self, views: Sequence[Tensor]) -> BarlowTwinsLoss:
        z_a, z_b = self.embed(views[0]), self.embed(views[1])
        loss: BarlowTwinsLoss = barlow_twins(z_a, z_b, self.lambd)
        return loss._replace(total=self.invariance * loss.invariance + self.lambd * loss.redundancy)
