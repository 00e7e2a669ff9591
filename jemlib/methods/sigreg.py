"""SIGReg, the objective of LeJEPA (Balestriero and LeCun, 2511.08544)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from jemlib import validate
from jemlib.losses import LeJEPALoss, lejepa
from jemlib.methods.method import Method


class SIGReg(Method):
    """Backbone, projector; views agree, and slices of the embeddings look Gaussian.

    Args:
        lambd: weight of SIGReg in [0, 1]; the invariance has 1 - lambd.
        slices: random directions a step, drawn anew at each.
        settings: those of `Method`.
    """

    name = "sigreg"
    narrow = 64
    normalizes_output = True

    def __init__(self, lambd: float = 0.02, slices: int = 256, **settings: Any) -> None:
        super().__init__(**settings)
        validate.number("lambd", lambd, at_least=0, at_most=1)
        validate.integer("slices", slices, at_least=1)
        self.lambd, self.slices = lambd, slices
        self.settings |= {"lambd": lambd, "slices": slices}

    def step(self, views: Sequence[Tensor]) -> LeJEPALoss:
        z_a, z_b = self.embed(views[0]), self.embed(views[1])
        loss: LeJEPALoss = lejepa(z_a, z_b, self.lambd, self.slices, self.generator)
        return loss
