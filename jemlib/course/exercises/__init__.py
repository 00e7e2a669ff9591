"""The exercises, one module per lesson; importing a module registers its exercises."""

from . import barlow_twins

__all__ = ["barlow_twins"]
