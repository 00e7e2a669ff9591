"""A momentum encoder: a copy of a network that follows it as an exponential moving average."""

from __future__ import annotations

import copy
import math

import torch
from torch import Tensor, nn

from jemlib import validate


def cosine_momentum(progress: float, base: float) -> float:
    """From `base` at progress 0 to 1 at progress 1, by a half cosine.

    Source: BYOL, 2006.07733, section 3.3.
    """
    # m = 1 - (1 - base) (cos(pi progress) + 1) / 2
    return 1 - (1 - base) * (math.cos(math.pi * progress) + 1) / 2


class MomentumEncoder(nn.Module):
    """A copy of `student`, heads and all, that gets no gradient and follows by `follow`.

    Parameters are averaged. Buffers are not: the batch norms of the copy keep running statistics of their own
    activations, which fit their own weights, and start as copies of the student's. In training mode the copy
    normalises with the statistics of its batch, as the student does.

    Args:
        student: any module; the copy starts equal to it.
    """

    def __init__(self, student: nn.Module) -> None:
        super().__init__()
        self.network = copy.deepcopy(student).requires_grad_(False)

    @torch.no_grad()
    def forward(self, images: Tensor) -> Tensor:
        """The copy's output, without gradient."""
        output: Tensor = self.network(images)
        return output

    @torch.no_grad()
    def follow(self, student: nn.Module, momentum: float) -> None:
        """One step of the average. `student` has the shape of the module that was copied.

        Raises:
            TypeError, ValueError: momentum is not a number in [0, 1]: 0 copies the student, 1 stays.
        """
        validate.number("momentum", momentum, at_least=0, at_most=1)
        # xi <- m xi + (1 - m) theta
        torch._foreach_lerp_(list(self.network.parameters()), list(student.parameters()), 1 - momentum)
