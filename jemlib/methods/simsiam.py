"""SimSiam (Chen and He, 2011.10566)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from jemlib.losses import SimSiamLoss, simsiam
from jemlib.methods.method import Method
from jemlib.nets import build_predictor


class SimSiam(Method):
    """Backbone, projector, predictor; the target is the same network behind a stop-gradient.

    Args:
        predictor: "mlp", "direct" (DirectPred) or "none", which removes it.
        hidden: width of the predictor's hidden layer. The paper has a quarter of the embedding's; short runs want more.
        stop_gradient: False removes it, and with it what prevents collapse.
        settings: those of `Method`.
    """

    name = "simsiam"
    normalizes_output = True

    def __init__(self, predictor: str = "mlp", hidden: int = 256, stop_gradient: bool = True, **settings: Any) -> None:
        super().__init__(**settings)
        self.stop_gradient = stop_gradient
        self.predictor = build_predictor(predictor, self.dim, hidden)
        self.settings |= {"predictor": predictor, "hidden": hidden, "stop_gradient": stop_gradient}

    def step(self, views: Sequence[Tensor]) -> SimSiamLoss:
        z_a, z_b = self.embed(views[0]), self.embed(views[1])
        p_a, p_b = self.predictor(z_a), self.predictor(z_b)
        loss: SimSiamLoss = simsiam(p_a, p_b, z_a, z_b, stop_gradient=self.stop_gradient)
        return loss
