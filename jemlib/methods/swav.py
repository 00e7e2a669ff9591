"""SwAV (Caron et al., 2006.09882)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from jemlib.losses import SwAVLoss, swav_multicrop
from jemlib.methods.method import Batch
from jemlib.methods.multicrop import MultiCrop
from jemlib.methods.settings import another, setting
from jemlib.nets import Prototypes


class SwAV(MultiCrop):
    """Backbone, projector, prototypes; the code of one view is predicted from the other."""

    name = "swav"
    largest_output = 64
    loss_function = staticmethod(swav_multicrop)
    queue: Tensor
    queued: Tensor

    @dataclass(frozen=True, kw_only=True)
    class Settings(MultiCrop.Settings):
        # With few images in a batch K has to be small, or the queue long.
        prototypes: int = setting(512, "K", at_least=2)
        temperature: float = setting(0.2, "tau of the prediction", above=0)
        epsilon: float = setting(0.05, "entropic regularisation of the codes", above=0)
        iterations: int = setting(
            3, "of Sinkhorn; 0 takes the plain softmax as code, which removes the equal shares", at_least=0
        )
        freeze: float = setting(
            0.0, "share of the training, from its start, in which the prototypes do not move", at_least=0, at_most=1
        )
        queue: int = setting(
            0, "embeddings of past batches that take part in the assignment, once there are that many", at_least=0
        )
        normalize_output: bool = another(MultiCrop.Settings, "normalize_output", True)

    config: Settings

    def __init__(self, loss: Callable[..., Any] | None = None, **settings: Any) -> None:
        super().__init__(loss, **settings)
        self.prototypes = Prototypes(self.dim, self.config.prototypes)
        # One queue for each of the two views that have codes; `queued` counts how much of it has been filled.
        self.register_buffer("queue", torch.zeros(2, self.config.queue, self.dim))
        self.register_buffer("queued", torch.zeros((), dtype=torch.long))

    def step(self, batch: Batch) -> SwAVLoss:
        s = self.config
        embedded = self.embed_views(batch)
        # While they are frozen the prototypes get no gradient, and so no update; the network below them does.
        self.prototypes.requires_grad_(batch.progress >= s.freeze)
        scores = [self.prototypes(z) for z in embedded]
        past = self.past_scores()
        self.remember(embedded[:2])
        loss: SwAVLoss = self.loss(scores, 2, s.temperature, s.epsilon, s.iterations, queue_scores=past)
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
