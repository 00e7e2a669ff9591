"""SwAV (Caron et al., 2006.09882)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from jemlib import validate
from jemlib.losses import SwAVLoss, swav_multicrop
from jemlib.methods.multicrop import MultiCrop
from jemlib.nets import Prototypes


class SwAV(MultiCrop):
    """Backbone, projector, prototypes; the code of one view is predicted from the other.

    Args:
        prototypes: K. With few images in a batch K has to be small, or the queue long.
        temperature: tau of the prediction.
        epsilon: entropic regularisation of the codes, > 0.
        iterations: of Sinkhorn; 0 takes the plain softmax as code, which removes the equal shares.
        freeze: share of the training, from its start, in which the prototypes do not move, in [0, 1].
        queue: embeddings of past batches that take part in the assignment; 0 for none. They are used once it is full.
        settings: those of `MultiCrop` and `Method`.
    """

    name = "swav"
    normalizes_output = True
    narrow = 64
    queue: Tensor
    queued: Tensor

    def __init__(
        self,
        prototypes: int = 512,
        temperature: float = 0.2,
        epsilon: float = 0.05,
        iterations: int = 3,
        freeze: float = 0.0,
        queue: int = 0,
        **settings: Any,
    ) -> None:
        super().__init__(**settings)
        validate.number("freeze", freeze, at_least=0, at_most=1)
        validate.integer("queue", queue, at_least=0)
        self.temperature, self.epsilon, self.iterations, self.freeze = temperature, epsilon, iterations, freeze
        self.prototypes = Prototypes(self.dim, prototypes)
        # One queue for each of the two views that have codes; `queued` counts how much of it has been filled.
        self.register_buffer("queue", torch.zeros(2, queue, self.dim))
        self.register_buffer("queued", torch.zeros((), dtype=torch.long))
        self.settings |= {"prototypes": prototypes, "temperature": temperature, "epsilon": epsilon}
        self.settings |= {"iterations": iterations, "freeze": freeze, "queue": queue}

    def step(self, views: Sequence[Tensor]) -> SwAVLoss:
        embedded = [self.embed(view) for view in views]
        # While they are frozen the prototypes get no gradient, and so no update; the network below them does.
        self.prototypes.requires_grad_(self.progress >= self.freeze)
        scores = [self.prototypes(z) for z in embedded]
        past = self.past_scores()
        self.remember(embedded[:2])
        loss: SwAVLoss = swav_multicrop(scores, 2, self.temperature, self.epsilon, self.iterations, queue_scores=past)
        return loss

    def past_scores(self) -> list[Tensor] | None:
        """Scores of the queued embeddings under the present prototypes, once the queue is full."""
        size = self.queue.shape[1]
        if size == 0 or self.queued < size:
            return None
        with torch.no_grad():
            return [self.prototypes(past) for past in self.queue]

    @torch.no_grad()
    def remember(self, embedded: Sequence[Tensor]) -> None:
        """The newest embeddings first; the oldest fall out."""
        size = self.queue.shape[1]
        if size == 0:
            return
        newest = torch.stack([z.detach().float() for z in embedded])
        self.queue.copy_(torch.cat([newest, self.queue], dim=1)[:, :size])
        self.queued.add_(newest.shape[1]).clamp_(max=size)
