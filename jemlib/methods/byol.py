"""BYOL (Grill et al., 2006.07733)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import nn

from jemlib.losses import BYOLLoss, byol
from jemlib.methods.method import Batch, Method
from jemlib.methods.settings import another, setting
from jemlib.nets import PREDICTORS, MomentumEncoder, build_predictor, cosine_momentum


class BYOL(Method):
    """Backbone, projector, predictor; the target is a momentum encoder without predictor."""

    name = "byol"
    loss_function = staticmethod(byol)

    @dataclass(frozen=True, kw_only=True)
    class Settings(Method.Settings):
        predictor: str = setting("mlp", "'direct' is DirectPred, 'none' removes it", choices=PREDICTORS)
        hidden: int = setting(256, "width of the predictor's hidden layer", at_least=1)
        momentum: float = setting(
            0.99,
            "of the target at the start, rising to 1 by a half cosine; 0 copies the student",
            at_least=0,
            at_most=1,
        )
        momentum_encoder: bool = setting(True, "False makes the student its own target, as in SimSiam")
        stop_gradient: bool = setting(True, "False lets the gradient into the target, if that is the student itself")
        normalize_output: bool = another(Method.Settings, "normalize_output", True)

    config: Settings

    def __init__(self, loss: Callable[..., Any] | None = None, **settings: Any) -> None:
        super().__init__(loss, **settings)
        if self.config.momentum_encoder and not self.config.stop_gradient:
            raise ValueError(
                "stop_gradient = False needs momentum_encoder = False: a momentum encoder has no gradient."
            )
        self.predictor = build_predictor(self.config.predictor, self.dim, self.config.hidden)
        self.target = MomentumEncoder(self.student()) if self.config.momentum_encoder else None

    def student(self) -> nn.Module:
        """What the momentum encoder is a copy of."""
        return nn.Sequential(self.backbone, self.projector)

    def step(self, batch: Batch) -> BYOLLoss:
        z_a, z_b = self.embed_views(batch)
        target_a, target_b = (z_a, z_b) if self.target is None else map(self.target, batch.views)
        p_a, p_b = self.predictor(z_a), self.predictor(z_b)
        loss: BYOLLoss = self.loss(p_a, p_b, target_a, target_b, stop_gradient=self.config.stop_gradient)
        return loss

    def after_step(self, progress: float) -> None:
        if self.target is not None:
            self.target.follow(self.student(), cosine_momentum(progress, self.config.momentum))
