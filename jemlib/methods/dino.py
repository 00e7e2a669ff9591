"""DINO (Caron et al., 2104.14294)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from jemlib import validate
from jemlib.losses import DINOLoss, balanced_center, dino, update_center
from jemlib.methods.multicrop import MultiCrop
from jemlib.nets import MomentumEncoder, Prototypes, cosine_momentum

CENTERINGS = ("balanced", "mean", "none")


class DINO(MultiCrop):
    """Backbone, projector, prototypes; the student predicts the teacher's centred and sharpened assignment.

    The logits are cosines, which is DINO's l2 bottleneck followed by weight-normed prototypes of norm 1.

    Args:
        prototypes: K.
        student_temperature: tau_s.
        teacher_temperature: tau_t at the end of its warm-up; below tau_s, or nothing is sharpened.
        teacher_temperature_start: tau_t at the start.
        temperature_warmup: share of the training over which tau_t goes from one to the other, in [0, 1].
        momentum: of the teacher at the start, in [0, 1]; it rises to 1 by a half cosine.
        centering: "balanced" (equal mean probabilities, Sinkhorn), "mean" (equal mean logits, the paper's default) or
            "none". On short runs the teacher must move fast, and then the mean does not keep enough directions alive.
        center_momentum: of the centre "mean", in [0, 1].
        sharpening: False gives the teacher the student's temperature.
        freeze: share of the training, from its start, in which the prototypes do not move, in [0, 1].
        settings: those of `MultiCrop` and `Method`.
    """

    name = "dino"
    normalizes_output = True
    narrow = 64
    center: Tensor

    def __init__(
        self,
        prototypes: int = 512,
        student_temperature: float = 0.2,
        teacher_temperature: float = 0.05,
        teacher_temperature_start: float = 0.05,
        temperature_warmup: float = 0.3,
        momentum: float = 0.99,
        centering: str = "balanced",
        center_momentum: float = 0.9,
        sharpening: bool = True,
        freeze: float = 0.0,
        **settings: Any,
    ) -> None:
        super().__init__(**settings)
        for setting, share in (("temperature_warmup", temperature_warmup), ("momentum", momentum), ("freeze", freeze)):
            validate.number(setting, share, at_least=0, at_most=1)
        self.centering = validate.choice("centering", centering, CENTERINGS)
        self.student_temperature = student_temperature
        self.teacher_temperatures = (teacher_temperature_start, teacher_temperature)
        self.temperature_warmup, self.momentum, self.center_momentum = temperature_warmup, momentum, center_momentum
        self.sharpening, self.freeze = sharpening, freeze
        self.prototypes = Prototypes(self.dim, prototypes)
        self.register_buffer("center", torch.zeros(prototypes))
        self.teacher = MomentumEncoder(self.student())
        self.settings |= {"prototypes": prototypes, "student_temperature": student_temperature}
        self.settings |= {"teacher_temperature": teacher_temperature}
        self.settings |= {"teacher_temperature_start": teacher_temperature_start}
        self.settings |= {"temperature_warmup": temperature_warmup, "momentum": momentum}
        self.settings |= {"center_momentum": center_momentum, "centering": centering, "sharpening": sharpening}
        self.settings |= {"freeze": freeze}

    def student(self) -> nn.Module:
        """What the teacher is a copy of, heads included."""
        return nn.Sequential(self.backbone, self.projector, self.prototypes)

    def teacher_temperature(self) -> float:
        """tau_t now: linear from its start to its end over the warm-up."""
        if not self.sharpening:
            return self.student_temperature
        start, end = self.teacher_temperatures
        share = 1.0 if self.temperature_warmup == 0 else min(1.0, self.progress / self.temperature_warmup)
        return start + (end - start) * share

    def step(self, views: Sequence[Tensor]) -> DINOLoss:
        self.prototypes.requires_grad_(self.progress >= self.freeze)
        student = [self.prototypes(self.embed(view)) for view in views]
        teacher = [self.teacher(view) for view in views[: self.num_views]]
        temperature = self.teacher_temperature()
        if self.centering == "balanced":
            self.center.copy_(balanced_center(self.center, teacher, temperature))
        loss: DINOLoss = dino(student, teacher, self.center, self.student_temperature, temperature)
        if self.centering == "mean":  # after its use
            self.center.copy_(update_center(self.center, teacher, self.center_momentum))
        return loss

    def after_step(self, progress: float) -> None:
        self.teacher.follow(self.student(), cosine_momentum(progress, self.momentum))
