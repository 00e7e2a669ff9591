"""Masked images through a network, in three ways. Masks are those of `jemlib.views.masks`.

- `tokens`: a transformer drops the masked patches. A token sees its own patch and nothing else, because the embedding's
  kernel, its stride and the patch are the same and the mask lies on that grid; so a dropped patch leaves no trace. A
  convolutional stem, or a mask off the grid, would break that.
- `pixels`: a convolutional network is given zeros in the masked patches. Near every border it then mixes image and
  zeros; `clean_fraction` says how little is left untouched.
- `sparse`: the repair of that for convolutional networks, as in SparK (Tian et al., 2301.03580) and, with another
  implementation, ConvNeXt V2 (Woo et al., 2301.00808): masked positions are made zero again after every layer, and
  statistics and averages are taken over the visible positions only.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from jemlib import validate
from jemlib.nets.backbones import Backbone
from jemlib.nets.transformer import PatchTransformer
from jemlib.views import enlarge, mask_pixels, visible_tokens

WAYS = ("tokens", "pixels", "sparse")


def receptive_field(trunk: nn.Sequential) -> int:
    """Side, in pixels, of the square of the input that one position of the last feature map of `trunk` sees.

    Layers in sequence: each convolution or max-pool of kernel k adds (k - 1) times the product of the strides before
    it. Global average pools and what works on each position are passed over.

    Raises:
        TypeError: trunk is no nn.Sequential; branches would need more than this sum.
    """
    if not isinstance(trunk, nn.Sequential):
        raise TypeError(f"trunk must be an nn.Sequential of layers; got {type(trunk).__name__}.")
    side, stride = 1, 1
    for layer in trunk:
        if isinstance(layer, (nn.Conv2d, nn.MaxPool2d)):
            kernel, step, dilation = (
                v if isinstance(v, int) else v[0] for v in (layer.kernel_size, layer.stride, layer.dilation)
            )
            side += (kernel - 1) * dilation * stride
            stride *= step
    return side


# Masked images through a network


def encode_masked(backbone: Backbone, images: Tensor, mask: Tensor, how: str) -> Tensor:
    """Features `(N, dim)` of masked images `(N, 3, H, W)`.

    Args:
        backbone: a `jemlib.nets.Backbone`.
        images: normalised images. With "tokens" and "sparse", and with "pixels" too, it makes no difference what
            stands in the masked patches.
        mask: bool `(N, rows, columns)`, True = masked.
        how: "tokens" (a `PatchTransformer`, which drops what is masked), "pixels" (any network, given zeros) or
            "sparse" (a convolutional network, `sparse_forward`).

    Raises:
        ValueError: how is unknown; the backbone cannot be masked in that way; images and mask do not fit.
    """
    validate.choice("how", how, WAYS)
    trunk = backbone.trunk
    if how == "sparse":
        return sparse_forward(trunk, images, mask)
    masked = mask_pixels(images, mask)
    if how == "pixels":
        features: Tensor = backbone(masked)
        return features
    if not isinstance(trunk, PatchTransformer):
        raise ValueError(
            f"how = 'tokens' needs a transformer, such as vit_micro, whose tokens are patches; got a backbone of type "
            f"{type(trunk).__name__}. A convolutional network takes 'pixels' or 'sparse'."
        )
    patch = int(trunk.embed.stride[0])
    features = trunk(images, visible_tokens(enlarge(mask, images.shape[2] // patch, images.shape[3] // patch)))
    return features


# Layers that work on every position by itself and leave zeros zero.
_POINTWISE = (nn.ReLU, nn.GELU, nn.SiLU, nn.Identity, nn.Dropout, nn.Flatten)


def sparse_forward(trunk: nn.Module, images: Tensor, mask: Tensor) -> Tensor:
    """Run a convolutional trunk as if its convolutions were sparse: on the visible patches alone.

    The weights are the trunk's own, and without masked patches so is the result. With them:

    - a convolution finds zeros at masked positions, as it does beyond the border of the image, and what it writes
      there is made zero again, so nothing creeps into the masked patches and back;
    - batch norm takes its statistics over visible positions only; zeros would shrink both mean and variance;
    - a max-pool must not let a masked position win. After a ReLU a zero loses to every positive value and ties with
      zero, and a 2 x 2 window of stride 2 lies inside one patch anyway; for every other case masked positions
      enter as -infinity;
    - the global average divides by the number of visible positions. A sample with none gets zeros.

    So the features do not depend on the pixels of masked patches. The work is that of the whole image: the savings of
    a sparse implementation are not reproduced.

    Every feature map must have a whole number of positions per patch. So the patch has to be a multiple of the total
    stride up to the last map before the average: 8 pixels for conv_small (convolution of stride 2, two max-pools) and
    for resnet18; with patches of 4 a position of the last map would be half visible.

    Args:
        trunk: a network of Conv2d, BatchNorm2d, MaxPool2d, AdaptiveAvgPool2d(1), Flatten and activations with
            f(0) = 0, in sequence or with residual sums, as in conv_small and torchvision's ResNet.
        images: normalised images `(N, 3, H, W)`.
        mask: bool `(N, rows, columns)`, True = masked.

    Returns:
        What the trunk returns; features `(N, dim)`, or a feature map that is zero at masked positions.

    Raises:
        ValueError: the trunk has a layer of another kind; mask does not fit the images or one of the feature maps.
    """
    _check_layers(trunk)
    masked = mask_pixels(images, mask)
    with _masking_hooks(trunk, _Positions(mask)):
        features: Tensor = trunk(masked)
    return features


def _check_layers(trunk: nn.Module) -> None:
    known = (nn.Conv2d, _BatchNorm, nn.MaxPool2d, *_POINTWISE)
    for name, layer in trunk.named_modules():
        pooled_to_one = isinstance(layer, nn.AdaptiveAvgPool2d) and layer.output_size in (1, (1, 1))
        if not list(layer.children()) and not isinstance(layer, known) and not pooled_to_one:
            raise ValueError(
                "trunk must consist of Conv2d, BatchNorm2d, MaxPool2d, AdaptiveAvgPool2d(1), Flatten and activations "
                f"that keep zero; got {layer} at {name!r}. A transformer drops tokens instead (how='tokens')."
            )


class _Positions:
    """A mask `(N, r, c)` at the resolution of each feature map, enlarged once for each."""

    def __init__(self, mask: Tensor) -> None:
        self.mask = mask
        self._masked: dict[tuple[int, ...], Tensor] = {}
        self._visible: dict[tuple[int, ...], Tensor] = {}

    def masked(self, shape: torch.Size) -> Tensor:
        """bool `(N, 1, H, W)` for a feature map of shape `(N, C, H, W)`."""
        _, _, rows, columns = shape
        if (rows, columns) not in self._masked:
            self._masked[rows, columns] = enlarge(self.mask, rows, columns)[:, None]
        return self._masked[rows, columns]

    def visible(self, shape: torch.Size) -> Tensor:
        """int64: which of the N H W positions of a feature map are visible, counted sample by sample, row by row."""
        _, _, rows, columns = shape
        if (rows, columns) not in self._visible:
            self._visible[rows, columns] = (~self.masked(shape)).flatten().nonzero()[:, 0]
        return self._visible[rows, columns]


@contextmanager
def _masking_hooks(trunk: nn.Module, positions: _Positions) -> Iterator[None]:
    """Hang the masking on the trunk's own layers for one forward pass, so that no second copy of them exists."""
    shapes: dict[nn.Module, torch.Size] = {}

    def empty(layer: nn.Module, args: Any, out: Tensor) -> Tensor:
        return out.masked_fill(positions.masked(out.shape), 0.0)

    def lose(layer: nn.Module, args: tuple[Tensor]) -> Tensor:
        return args[0].masked_fill(positions.masked(args[0].shape), -torch.inf)

    def gather(layer: nn.Module, args: tuple[Tensor]) -> Tensor:
        # The layer itself then does all that a batch norm does, on (visible, C, 1, 1) instead of (N, C, H, W).
        x = args[0]
        shapes[layer] = x.shape
        rows = x.permute(0, 2, 3, 1).flatten(0, 2).index_select(0, positions.visible(x.shape))
        return rows[:, :, None, None]

    def scatter(layer: nn.Module, args: Any, out: Tensor) -> Tensor:
        n, channels, height, width = shape = shapes[layer]
        x = out.new_zeros(n * height * width, channels).index_copy(0, positions.visible(shape), out.flatten(1))
        return x.view(n, height, width, channels).permute(0, 3, 1, 2)

    def average(layer: nn.Module, args: tuple[Tensor], out: Tensor) -> Tensor:
        visible = (~positions.masked(args[0].shape)).sum(dim=(2, 3), keepdim=True).clamp(min=1)
        # sum over visible / their number; masked positions are zero
        return args[0].sum(dim=(2, 3), keepdim=True) / visible

    handles = []
    for layer in trunk.modules():
        if isinstance(layer, nn.MaxPool2d):
            handles.append(layer.register_forward_pre_hook(lose))
        if isinstance(layer, _BatchNorm):
            handles.append(layer.register_forward_pre_hook(gather))
            handles.append(layer.register_forward_hook(scatter))
        if isinstance(layer, (nn.Conv2d, nn.MaxPool2d)):
            handles.append(layer.register_forward_hook(empty))
        if isinstance(layer, nn.AdaptiveAvgPool2d):
            handles.append(layer.register_forward_hook(average))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
