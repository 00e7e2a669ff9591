"""Multi-crop: small crops besides the two that see most of the image (2006.09882, section 3.3)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from jemlib.methods.method import Method
from jemlib.methods.settings import setting
from jemlib.views import LOCAL_CROP, SIZE, make_views


class MultiCrop(Method):
    """A method that can take small crops behind its two views."""

    @dataclass(frozen=True, kw_only=True)
    class Settings(Method.Settings):
        local_crops: int = setting(0, "number of small crops; they only predict, and are no target", at_least=0)
        local_size: int = setting(16, "their side in pixels; transformers take 32 only", at_least=8)

    config: Settings

    def __init__(self, loss: Callable[..., Any] | None = None, **settings: Any) -> None:
        super().__init__(loss, **settings)
        s = self.config
        if s.local_crops and s.local_size != SIZE and "vit" in s.backbone:
            raise ValueError(f"local_size must be {SIZE} for {s.backbone}: its positions are fixed.")

    def make_views(self, pixels: Tensor, generator: torch.Generator) -> Sequence[Tensor]:
        views = super().make_views(pixels, generator)
        s = self.config
        if s.local_crops == 0:
            return views
        small = make_views(pixels, LOCAL_CROP, num_views=s.local_crops, size=s.local_size, generator=generator)
        return [*views, *small.unbind()]
