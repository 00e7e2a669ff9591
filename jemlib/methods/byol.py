"""BYOL (Grill et al., 2006.07733)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from jemlib import validate
from jemlib.losses import BYOLLoss, byol
from jemlib.methods.method import Method
from jemlib.nets import MomentumEncoder, build_predictor, cosine_momentum


class BYOL(Method):
    """Backbone, projector, predictor; the target is a momentum encoder without predictor.

    Args:
        predictor: "mlp", "direct" (set from the spectrum of the embeddings, DirectPred) or "none", which removes it.
        hidden: width of the hidden layer of the mlp.
        momentum: of the target at the start, in [0, 1]; it rises to 1 by a half cosine. 0 copies the student.
        momentum_encoder: False makes the student its own target, as in SimSiam.
        stop_gradient: False lets the gradient into the target; only the student as its own target can take it.
        settings: those of `Method`.
    """

    name = "byol"
    normalizes_output = True

    def __init__(
        self,
        predictor: str = "mlp",
        hidden: int = 256,
        momentum: float = 0.99,
        momentum_encoder: bool = True,
        stop_gradient: bool = True,
        **settings: Any,
    ) -> None:
        super().__init__(**settings)
        validate.number("momentum", momentum, at_least=0, at_most=1)
        if momentum_encoder and not stop_gradient:
            raise ValueError(
                "stop_gradient = False needs momentum_encoder = False: a momentum encoder has no gradient."
            )
        self.momentum, self.stop_gradient = momentum, stop_gradient
        self.predictor = build_predictor(predictor, self.dim, hidden)
        self.target = MomentumEncoder(self.student()) if momentum_encoder else None
        self.settings |= {"predictor": predictor, "hidden": hidden, "momentum": momentum}
        self.settings |= {"momentum_encoder": momentum_encoder, "stop_gradient": stop_gradient}

    def student(self) -> nn.Module:
        """What the momentum encoder is a copy of."""
        return nn.Sequential(self.backbone, self.projector)

    def step(self, views: Sequence[Tensor]) -> BYOLLoss:
        z_a, z_b = self.embed(views[0]), self.embed(views[1])
        target_a, target_b = (z_a, z_b) if self.target is None else (self.target(views[0]), self.target(views[1]))
        p_a, p_b = self.predictor(z_a), self.predictor(z_b)
        loss: BYOLLoss = byol(p_a, p_b, target_a, target_b, stop_gradient=self.stop_gradient)
        return loss

    def after_step(self, progress: float) -> None:
        if self.target is not None:
            self.target.follow(self.student(), cosine_momentum(progress, self.momentum))
