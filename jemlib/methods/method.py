"""What every method has: a backbone, a projector, the views it wants, and one training step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from jemlib import validate
from jemlib.data import Images
from jemlib.nets import WAYS, build_backbone, encode_masked, head
from jemlib.views import Views, as_setting, make_views, patch_mask, resolve


class Method(nn.Module):
    """A joint-embedding method. Subclasses say in `step` how a batch of views becomes a loss.

    Args:
        backbone: name of a backbone in `jemlib.nets.BACKBONES`.
        widths: widths of the projector's linear layers.
        views: name of a preset in `jemlib.recipes.PRESETS`, a `Recipe`, or a recipe per view. The default is VICReg's
            for every method, so that runs compare: its crops are larger than SimCLR's (0.2 instead of 0.08 of the
            area), and short runs learn more.
        mask_ratio: share of patches that each view loses in training, in [0, 1). Momentum encoders see whole views.
        mask_patch: side of a patch in pixels.
        masking: what becomes of masked patches, see `jemlib.masking.WAYS`.
        normalize_output: put a batch norm without affine behind the projector; None: what the method does by default.

    Attributes:
        progress: share of the training that is done, in [0, 1); `fit` sets it before each step.
        generator: the source of this step's views, and of what else a step draws: masks, slices.
    """

    name = "method"
    num_views = 2
    normalizes_output = False  # whether a batch norm without affine stands behind the projector by default
    narrow: int | None = None  # the projector's last width where it is to be small, whatever the scale says

    def __init__(
        self,
        backbone: str = "conv_small",
        widths: Sequence[int] = (256, 256),
        views: Views = "vicreg",
        mask_ratio: float = 0.0,
        mask_patch: int = 8,
        masking: str = "pixels",
        normalize_output: bool | None = None,
    ) -> None:
        super().__init__()
        validate.number("mask_ratio", mask_ratio, at_least=0, at_most=1)
        self.mask_ratio, self.mask_patch = mask_ratio, mask_patch
        self.masking = validate.choice("masking", masking, WAYS)
        self.views = resolve(views)
        self.backbone = build_backbone(backbone)
        normalize_output = self.normalizes_output if normalize_output is None else normalize_output
        self.projector = head(self.backbone.dim, widths, normalize_output=normalize_output)
        self.dim = widths[-1] if len(widths) else self.backbone.dim
        self.progress = 0.0
        self.generator: torch.Generator | None = None
        # What `methods.build` was given, completed by the defaults; a run folder records it.
        self.settings: dict[str, Any] = {"backbone": backbone, "widths": list(widths), "views": as_setting(views)}
        self.settings |= {"mask_ratio": mask_ratio, "mask_patch": mask_patch, "masking": masking}
        self.settings["normalize_output"] = normalize_output

    @classmethod
    def widths_for(cls, widths: Sequence[int]) -> tuple[int, ...]:
        """The projector's widths at a scale that proposes `widths`."""
        return tuple(widths) if cls.narrow is None else (*widths[:-1], min(cls.narrow, widths[-1]))

    def embed(self, images: Tensor) -> Tensor:
        """Normalised images `(N, 3, 32, 32)` -> embeddings `(N, D)`, on which the loss works."""
        embeddings: Tensor = self.projector(self.encode(images))
        return embeddings

    def encode(self, images: Tensor) -> Tensor:
        """Normalised images -> features of the backbone; while training, through the mask if there is one."""
        if self.mask_ratio == 0 or not self.training:
            features: Tensor = self.backbone(images)
            return features
        mask = patch_mask(
            len(images),
            self.mask_ratio,
            patch=self.mask_patch,
            size=images.shape[-1],
            generator=self.generator,
            device=images.device,
        )
        return encode_masked(self.backbone, images, mask, self.masking)

    def make_views(self, pixels: Tensor, generator: torch.Generator) -> Sequence[Tensor]:
        """The views of a batch `(N, 3, H, W)` uint8: one `(N, 3, 32, 32)` tensor each."""
        self.generator = generator
        return make_views(pixels, self.views, num_views=self.num_views, generator=generator).unbind()

    def before_step(self, images: Images, index: Tensor, progress: float) -> None:
        """Called before each step with the training images and the batch's place in them; clustering happens here."""
        self.progress = progress

    def step(self, views: Sequence[Tensor]) -> Any:
        """Views `(N, 3, 32, 32)`, `num_views` of them -> a loss NamedTuple whose `total` is to be minimised."""
        raise NotImplementedError

    def after_step(self, progress: float) -> None:
        """Called after each optimiser step; `progress` is in (0, 1]. Momentum encoders move here."""
