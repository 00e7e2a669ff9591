"""The predictors of BYOL and SimSiam: learned, set from the spectrum of the embeddings (DirectPred), or none."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from jemlib import validate
from jemlib.losses.precision import full_precision
from jemlib.nets.heads import head


@full_precision
def direct_predictor(correlation: Tensor, eps: float = 0.1, variant: str = "paper") -> Tensor:
    """DirectPred: set the linear predictor from the spectrum of the embeddings' correlation instead of training it.

    With `F = U diag(s) U^T` the predictor is `W_p = U diag(p) U^T`, with p near `sqrt(s)`. Training would lead there
    too: the flow of `mode_dynamics` ends at `s = p^2` for equal learning rates. The variants agree when the largest
    s is 1. Elsewhere they differ by a factor, which losses on l2-normalised predictions ignore, and in the weight of
    eps: p goes as `sqrt(s / max s) + eps sqrt(max s)` in the paper and as `sqrt(s / max s) + eps` in the code.

    Args:
        correlation: `(D, D)` running mean of `f f^T`, not centred; symmetric, no negative eigenvalue.
        eps: lifts the small eigenvalues, >= 0.
        variant: "paper": `p_j = sqrt(s_j) + eps max s`. "code": `p_j = max(sqrt(s_j / max s) + eps, 1e-4)`.

    Returns:
        `(D, D)` symmetric; it commutes with `correlation`. A zero correlation gives 0 in the paper's variant and
        `eps I` in the code's, where s / max s counts as 0.

    Raises:
        TypeError, ValueError: an argument has the wrong type, shape or range, or `correlation` is not symmetric or
            has a negative eigenvalue beyond rounding.

    Source: Tian, Chen and Ganguli, 2102.06810, eq. 18; code facebookresearch/luckmatters, byol_trainer.py.
    """
    validate.number("eps", eps, at_least=0)
    validate.choice("variant", variant, ("paper", "code"))
    f = validate.embeddings("correlation", correlation, min_samples=1)
    f = validate.symmetric("correlation", f, len(f), dtype=f.dtype)
    s, u = torch.linalg.eigh(f)
    if not torch.compiler.is_compiling() and s[0] < -1e-3 * s.abs().max():
        raise ValueError(f"correlation must have no negative eigenvalue, as a mean of f f^T; got {s[0].item():.3g}.")
    s = s.clamp(min=0)  # rounding
    largest = s[-1]
    if variant == "paper":
        p = s.sqrt() + eps * largest
    else:
        p = (s / torch.where(largest == 0, torch.ones_like(largest), largest)).sqrt() + eps
        p = p.clamp(min=1e-4)
    # W_p = U diag(p) U^T
    w_p = (u * p) @ u.T
    return (w_p + w_p.T) / 2  # exactly symmetric


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
            z = z.to(self.correlation.dtype)  # never 16 bits: the running average would lose its small changes
            if self.training:
                unit = nn.functional.normalize(z.detach(), dim=1)
                # F <- rho F + (1 - rho) (1/N) sum_b f_b f_b^T, not centred
                self.correlation.lerp_(unit.T @ unit / len(unit), 1 - self.rho)
            return z @ direct_predictor(self.correlation, self.eps)


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
