"""VICReg (Bardes et al., 2105.04906)."""

from __future__ import annotations

from dataclasses import dataclass

from jemlib.losses import VICRegLoss, vicreg
from jemlib.methods.method import Batch, Method
from jemlib.methods.settings import setting


class VICReg(Method):
    """Backbone, expander, three terms. The weights are in the official code's scale."""

    name = "vicreg"
    loss_function = staticmethod(vicreg)

    @dataclass(frozen=True, kw_only=True)
    class Settings(Method.Settings):
        invariance: float = setting(25.0, "weight of the invariance", at_least=0)
        variance: float = setting(25.0, "weight of the variance", at_least=0)
        covariance: float = setting(1.0, "weight of the covariance", at_least=0)

    config: Settings

    def step(self, batch: Batch) -> VICRegLoss:
        z_a, z_b = self.embed_views(batch)
        s = self.config
        loss: VICRegLoss = self.loss(z_a, z_b, s.invariance, s.variance, s.covariance)
        return loss
