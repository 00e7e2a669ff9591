"""Multi-crop: small crops besides the two that see most of the image (2006.09882, section 3.3)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from jemlib import validate
from jemlib.methods.method import Method
from jemlib.views import LOCAL_CROP, SIZE, make_views


class MultiCrop(Method):
    """A method that can take small crops behind its two views.

    Args:
        local_crops: number of small crops, >= 0; they only predict, and are no target.
        local_size: their side in pixels, 8 to 32. The convolutional backbones take any; the transformers only 32.
        settings: those of `Method`.
    """

    def __init__(self, local_crops: int = 0, local_size: int = 16, **settings: Any) -> None:
        super().__init__(**settings)
        validate.integer("local_crops", local_crops, at_least=0)
        validate.integer("local_size", local_size, at_least=8)
        if local_crops and local_size != SIZE and "vit" in self.settings["backbone"]:
            raise ValueError(f"local_size must be {SIZE} for {self.settings['backbone']}: its positions are fixed.")
        self.local_crops, self.local_size = local_crops, local_size
        self.settings |= {"local_crops": local_crops, "local_size": local_size}

    def make_views(self, pixels: Tensor, generator: torch.Generator) -> Sequence[Tensor]:
        views = super().make_views(pixels, generator)
        if self.local_crops == 0:
            return views
        small = make_views(pixels, LOCAL_CROP, num_views=self.local_crops, size=self.local_size, generator=generator)
        return [*views, *small.unbind()]
