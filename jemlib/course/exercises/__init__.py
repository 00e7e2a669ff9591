"""The exercises, one module per lesson; importing a module registers its exercises."""

from . import barlow_twins, bottleneck, collapse, contrastive, start, swav, vicreg

__all__ = ["barlow_twins", "bottleneck", "collapse", "contrastive", "start", "swav", "vicreg"]
