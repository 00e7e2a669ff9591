"""SimSiam (Chen and He, 2011.10566)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from jemlib.losses import SimSiamLoss, simsiam
from jemlib.methods.method import Batch, Method
from jemlib.methods.settings import another, setting
from jemlib.nets import PREDICTORS, build_predictor


class SimSiam(Method):
    """Backbone, projector, predictor; the target is the same network behind a stop-gradient."""

    name = "simsiam"
    loss_function = staticmethod(simsiam)

    @dataclass(frozen=True, kw_only=True)
    class Settings(Method.Settings):
        predictor: str = setting("mlp", "'direct' is DirectPred, 'none' removes it", choices=PREDICTORS)
        # The paper has a quarter of the embedding's width; short runs want more.
        hidden: int = setting(256, "width of the predictor's hidden layer", at_least=1)
        stop_gradient: bool = setting(True, "False removes it, and with it what prevents collapse")
        normalize_output: bool = another(Method.Settings, "normalize_output", True)

    config: Settings

    def __init__(self, loss: Callable[..., Any] | None = None, **settings: Any) -> None:
        super().__init__(loss, **settings)
        self.predictor = build_predictor(self.config.predictor, self.dim, self.config.hidden)

    def step(self, batch: Batch) -> SimSiamLoss:
        z_a, z_b = self.embed_views(batch)
        p_a, p_b = self.predictor(z_a), self.predictor(z_b)
        loss: SimSiamLoss = self.loss(p_a, p_b, z_a, z_b, stop_gradient=self.config.stop_gradient)
        return loss
