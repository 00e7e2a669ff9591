"""What every method has: a backbone, a projector, the views it wants, and one training step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from jemlib import validate
from jemlib.nets import build_backbone, head
from jemlib.views import PRESETS


class Method(nn.Module):
    """A joint-embedding method. Subclasses say in `step` how a batch of views becomes a loss.

    Args:
        backbone: name of a backbone in `jemlib.nets.BACKBONES`.
        widths: widths of the projector's linear layers.
        views: name of a preset in `jemlib.views.PRESETS`. The default is VICReg's for every method, so that runs
            compare: its crops are larger than SimCLR's (0.2 instead of 0.08 of the area), and short runs learn more.
    """

    name = "method"
    num_views = 2

    def __init__(self, backbone: str = "conv_small", widths: Sequence[int] = (256, 256), views: str = "vicreg") -> None:
        super().__init__()
        self.views = validate.choice("views", views, PRESETS)
        self.backbone = build_backbone(backbone)
        self.projector = head(self.backbone.dim, widths)
        # What `methods.build` was given, completed by the defaults; a run folder records it.
        self.settings: dict[str, Any] = {"backbone": backbone, "widths": list(widths), "views": views}

    def embed(self, images: Tensor) -> Tensor:
        """Normalised images `(N, 3, 32, 32)` -> embeddings `(N, D)`, on which the loss works."""
        embeddings: Tensor = self.projector(self.backbone(images))
        return embeddings

    def step(self, views: Tensor) -> Any:
        """Views `(num_views, N, 3, 32, 32)` -> a loss NamedTuple whose `total` is to be minimised."""
        raise NotImplementedError

    def after_step(self, progress: float) -> None:
        """Called after each optimiser step; `progress` is in (0, 1]. Momentum encoders move here."""
