"""Training with labels: the upper row of every table, by the same step and the same loop as all methods."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch.nn.functional as F
from torch import Tensor, nn

from jemlib.methods.method import Batch, Method, images_of
from jemlib.methods.settings import another, setting


class SupervisedLoss(NamedTuple):
    """`total` is the cross-entropy in nats; accuracy, a fraction of the batch, is not part of it."""

    total: Tensor
    accuracy: Tensor


def cross_entropy(logits: Tensor, labels: Tensor) -> SupervisedLoss:
    """Cross-entropy of the logits `(N, classes)` and the accuracy, for labels `(N,)`."""
    logits = logits.float()
    return SupervisedLoss(F.cross_entropy(logits, labels), (logits.argmax(dim=1) == labels).float().mean())


class Supervised(Method):
    """Backbone and a linear classifier, on one view an image."""

    name = "supervised"
    num_views = 1
    loss_function = staticmethod(cross_entropy)

    @dataclass(frozen=True, kw_only=True)
    class Settings(Method.Settings):
        classes: int = setting(10, "number of classes", at_least=2)
        widths: tuple[int, ...] = another(Method.Settings, "widths", ())
        views: Any = another(Method.Settings, "views", "simclr")

    config: Settings

    def __init__(self, loss: Callable[..., Any] | None = None, **settings: Any) -> None:
        super().__init__(loss, **settings)
        self.classifier = nn.Linear(self.dim, self.config.classes)

    @classmethod
    def widths_for(cls, widths: Sequence[int]) -> tuple[int, ...]:
        """No projector: the classifier stands on the features."""
        return ()

    def step(self, batch: Batch) -> SupervisedLoss:
        images, index = images_of(batch)
        wanted = len(images.class_names)
        if wanted > self.config.classes:
            raise ValueError(f"classes must be >= {wanted}, those of the images; got {self.config.classes}.")
        (z,) = self.embed_views(batch)
        loss: SupervisedLoss = self.loss(self.classifier(z), images.labels.to(z.device)[index.to(z.device)])
        return loss
