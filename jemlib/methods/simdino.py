"""SimDINO (Wu et al., 2502.10385)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import nn

from jemlib.losses import SimDINOLoss, simdino
from jemlib.methods.method import Batch
from jemlib.methods.multicrop import MultiCrop
from jemlib.methods.settings import setting
from jemlib.nets import MomentumEncoder, cosine_momentum


class SimDINO(MultiCrop):
    """Backbone, projector; the student turns towards a momentum teacher, and its coding rate keeps it spread out."""

    name = "simdino"
    loss_function = staticmethod(simdino)

    @dataclass(frozen=True, kw_only=True)
    class Settings(MultiCrop.Settings):
        eps: float = setting(0.05, "error up to which the coding rate codes the embeddings", above=0)
        expansion: float = setting(1.0, "factor of the coding rate's weight; 0 removes it", at_least=0)
        momentum: float = setting(
            0.99, "of the teacher at the start; it rises to 1 by a half cosine", at_least=0, at_most=1
        )

    config: Settings

    def __init__(self, loss: Callable[..., Any] | None = None, **settings: Any) -> None:
        super().__init__(loss, **settings)
        self.teacher = MomentumEncoder(self.student())

    def student(self) -> nn.Module:
        """What the teacher is a copy of."""
        return nn.Sequential(self.backbone, self.projector)

    def step(self, batch: Batch) -> SimDINOLoss:
        student = self.embed_views(batch)
        teacher = [self.teacher(view) for view in batch.views[: self.num_views]]
        loss: SimDINOLoss = self.loss(student, teacher, self.config.eps, self.config.expansion)
        return loss

    def after_step(self, progress: float) -> None:
        self.teacher.follow(self.student(), cosine_momentum(progress, self.config.momentum))
