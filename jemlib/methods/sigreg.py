"""SIGReg, the objective of LeJEPA (Balestriero and LeCun, 2511.08544)."""

from __future__ import annotations

from dataclasses import dataclass

from jemlib.losses import LeJEPALoss, lejepa
from jemlib.methods.method import Batch, Method
from jemlib.methods.settings import another, setting


class SIGReg(Method):
    """Backbone, projector; views agree, and slices of the embeddings look Gaussian."""

    name = "sigreg"
    largest_output = 64
    loss_function = staticmethod(lejepa)

    @dataclass(frozen=True, kw_only=True)
    class Settings(Method.Settings):
        lambd: float = setting(0.02, "weight of SIGReg; the invariance has 1 - lambd", at_least=0, at_most=1)
        slices: int = setting(256, "random directions, drawn anew at each step", at_least=1)
        normalize_output: bool = another(Method.Settings, "normalize_output", True)

    config: Settings

    def step(self, batch: Batch) -> LeJEPALoss:
        z_a, z_b = self.embed_views(batch)
        loss: LeJEPALoss = self.loss(z_a, z_b, self.config.lambd, self.config.slices, batch.generator)
        return loss
