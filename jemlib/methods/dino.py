"""DINO (Caron et al., 2104.14294)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from jemlib.losses import DINOLoss, balanced_center, dino, update_center
from jemlib.methods.method import Batch
from jemlib.methods.multicrop import MultiCrop
from jemlib.methods.settings import another, setting
from jemlib.nets import MomentumEncoder, Prototypes, cosine_momentum

CENTERINGS = ("balanced", "mean", "none")


class DINO(MultiCrop):
    """Backbone, projector, prototypes; the student predicts the teacher's centred and sharpened assignment.

    The logits are cosines, which is DINO's l2 bottleneck followed by weight-normed prototypes of norm 1. Of the
    centres, "balanced" gives equal mean probabilities (Sinkhorn) and "mean" equal mean logits, the paper's default. On
    short runs the teacher must move fast, and then the mean does not keep enough directions alive.
    """

    name = "dino"
    largest_output = 64
    loss_function = staticmethod(dino)
    center: Tensor

    @dataclass(frozen=True, kw_only=True)
    class Settings(MultiCrop.Settings):
        prototypes: int = setting(512, "K", at_least=2)
        student_temperature: float = setting(0.2, "tau_s", above=0)
        teacher_temperature: float = setting(
            0.05, "tau_t at the end of its warm-up; below tau_s, or nothing is sharpened", above=0
        )
        teacher_temperature_start: float = setting(0.05, "tau_t at the start", above=0)
        temperature_warmup: float = setting(
            0.3, "share of the training over which tau_t goes from one to the other", at_least=0, at_most=1
        )
        momentum: float = setting(
            0.99, "of the teacher at the start; it rises to 1 by a half cosine", at_least=0, at_most=1
        )
        centering: str = setting("balanced", "which centre the teacher's logits get", choices=CENTERINGS)
        center_momentum: float = setting(0.9, "of the centre 'mean'", at_least=0, at_most=1)
        sharpening: bool = setting(True, "False gives the teacher the student's temperature")
        freeze: float = setting(
            0.0, "share of the training, from its start, in which the prototypes do not move", at_least=0, at_most=1
        )
        normalize_output: bool = another(MultiCrop.Settings, "normalize_output", True)

    config: Settings

    def __init__(self, loss: Callable[..., Any] | None = None, **settings: Any) -> None:
        super().__init__(loss, **settings)
        self.prototypes = Prototypes(self.dim, self.config.prototypes)
        self.register_buffer("center", torch.zeros(self.config.prototypes))
        self.teacher = MomentumEncoder(self.student())

    def student(self) -> nn.Module:
        """What the teacher is a copy of, heads included."""
        return nn.Sequential(self.backbone, self.projector, self.prototypes)

    def teacher_temperature(self, progress: float) -> float:
        """tau_t at this share of the training: linear from its start to its end over the warm-up."""
        s = self.config
        if not s.sharpening:
            return s.student_temperature
        share = 1.0 if s.temperature_warmup == 0 else min(1.0, progress / s.temperature_warmup)
        return s.teacher_temperature_start + (s.teacher_temperature - s.teacher_temperature_start) * share

    def step(self, batch: Batch) -> DINOLoss:
        s = self.config
        self.prototypes.requires_grad_(batch.progress >= s.freeze)
        student = [self.prototypes(z) for z in self.embed_views(batch)]
        teacher = [self.teacher(view) for view in batch.views[: self.num_views]]
        temperature = self.teacher_temperature(batch.progress)
        if s.centering == "balanced":
            self.center.copy_(balanced_center(self.center, teacher, temperature))
        loss: DINOLoss = self.loss(student, teacher, self.center, s.student_temperature, temperature)
        if s.centering == "mean":  # after its use
            self.center.copy_(update_center(self.center, teacher, s.center_momentum))
        return loss

    def after_step(self, progress: float) -> None:
        self.teacher.follow(self.student(), cosine_momentum(progress, self.config.momentum))
