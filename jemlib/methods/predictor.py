"""The predictors of BYOL and SimSiam: learned, set from the spectrum of the embeddings (DirectPred), or none."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from jemlib import validate
from jemlib.dynamics import direct_predictor
from jemlib.nets import head


class DirectPredictor(nn.Module):
    """A linear predictor without training: in training mode each call updates it from the batch's correlation.

    Args:
        dim: D of the embeddings.
        rho: share of the running correlation that is kept at each call, in [0, 1].
        eps: boost of the small eigenvalues, >= 0.

    Source: Tian, Chen, Ganguli, 2102.06810, section 4; rho and eps of its best STL-10 run.
    """

    correlation: Tensor

    def __init__(self, dim: int, rho: float = 0.3, eps: float = 0.1) -> None:
        super().__init__()
        self.rho, self.eps = rho, eps
        self.register_buffer("correlation", torch.eye(dim) / dim)

    def forward(self, z: Tensor) -> Tensor:
        """`(N, D)` -> `(N, D)`."""
        with torch.autocast(z.device.type, enabled=False):
            if self.training:
                unit = nn.functional.normalize(z.detach().float(), dim=1)
                # F <- rho F + (1 - rho) (1/N) sum_b f_b f_b^T, not centred
                self.correlation.lerp_(unit.T @ unit / len(unit), 1 - self.rho)
            return z.float() @ direct_predictor(self.correlation, self.eps)


PREDICTORS = ("mlp", "direct", "none")


def build_predictor(kind: str, dim: int, hidden: int) -> nn.Module:
    """A predictor `(N, dim) -> (N, dim)`; "none" is the identity.

    Raises:
        ValueError: the kind is unknown or `hidden` is no width.
    """
    validate.choice("predictor", kind, PREDICTORS)
    validate.integer("hidden", hidden, at_least=1)
    if kind == "mlp":
        return head(dim, (hidden, dim))
    return DirectPredictor(dim) if kind == "direct" else nn.Identity()
