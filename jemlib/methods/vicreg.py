"""VICReg (Bardes et al., 2105.04906)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from jemlib.losses import VICRegLoss, vicreg
from jemlib.methods.method import Method


class VICReg(Method):
    """Backbone, expander, three terms.

    Args:
        invariance, variance, covariance: the weights, in the official code's scale.
        settings: those of `Method`.
    """

    name = "vicreg"

    def __init__(
        self, invariance: float = 25.0, variance: float = 25.0, covariance: float = 1.0, **settings: Any
    ) -> None:
        super().__init__(**settings)
        self.weights = {"invariance": invariance, "variance": variance, "covariance": covariance}
        self.settings.update(self.weights)

    def step(self, views: Sequence[Tensor]) -> VICRegLoss:
        z_a, z_b = self.embed(views[0]), self.embed(views[1])
        loss: VICRegLoss = vicreg(z_a, z_b, **self.weights)
        return loss
