"""SimCLR: NT-Xent between two views (Chen et al., 2002.05709)."""

from __future__ import annotations

from dataclasses import dataclass

from jemlib.losses import ContrastiveLoss, nt_xent
from jemlib.methods.method import Batch, Method
from jemlib.methods.settings import setting


class SimCLR(Method):
    """Backbone, projector, NT-Xent."""

    name = "simclr"
    loss_function = staticmethod(nt_xent)

    @dataclass(frozen=True, kw_only=True)
    class Settings(Method.Settings):
        temperature: float = setting(0.2, "tau; the CIFAR recipes use 0.2 to 0.5", above=0)
        negatives: bool = setting(True, "False trains on the alignment alone, to see what the other images were for")

    config: Settings

    def step(self, batch: Batch) -> ContrastiveLoss:
        z_a, z_b = self.embed_views(batch)
        loss: ContrastiveLoss = self.loss(z_a, z_b, self.config.temperature)
        if self.config.negatives:
            return loss
        return loss._replace(total=self.term(loss, "alignment", "negatives = False"))
