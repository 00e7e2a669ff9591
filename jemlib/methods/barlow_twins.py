"""Barlow Twins (Zbontar et al., 2103.03230)."""

from __future__ import annotations

from dataclasses import dataclass

from jemlib.losses import BarlowTwinsLoss, barlow_twins
from jemlib.methods.method import Batch, Method
from jemlib.methods.settings import setting


class BarlowTwins(Method):
    """Backbone, expander, cross-correlation towards the identity."""

    name = "barlow_twins"
    loss_function = staticmethod(barlow_twins)

    @dataclass(frozen=True, kw_only=True)
    class Settings(Method.Settings):
        # The paper has 5e-3 at D = 8192; at D = 256, 0.01 is steadier over seeds.
        lambd: float = setting(0.01, "weight of the redundancy term", at_least=0)
        invariance: float = setting(
            1.0, "weight of the invariance term, 1 in the paper; 0 removes it, to see what it was for", at_least=0
        )

    config: Settings

    def step(self, batch: Batch) -> BarlowTwinsLoss:
        z_a, z_b = self.embed_views(batch)
        loss: BarlowTwinsLoss = self.loss(z_a, z_b, self.config.lambd)
        if self.config.invariance == 1:
            return loss
        invariance, redundancy = (self.term(loss, n, "invariance other than 1") for n in ("invariance", "redundancy"))
        return loss._replace(total=self.config.invariance * invariance + self.config.lambd * redundancy)
