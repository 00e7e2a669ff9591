"""Masks of whole patches, and the three ways in which a network can be shown a masked image.

A mask is a bool tensor `(N, rows, columns)` with one entry per patch, True = masked. What a network makes of it:

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
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from jemlib import validate
from jemlib.nets import Backbone, PatchTransformer

WAYS = ("tokens", "pixels", "sparse")

# ---------------------------------------------------------------------------------------------------------------------
# Masks


def visible_count(patches: int, ratio: float) -> int:
    """How many of `patches` patches stay visible: int(patches * (1 - ratio)), as in MAE (2111.06377), at least one."""
    return max(1, int(patches * (1 - ratio)))


def patch_mask(
    n: int,
    ratio: float,
    *,
    patch: int = 8,
    size: int = 32,
    independent: bool = False,
    generator: torch.Generator | None = None,
    device: torch.device | str | None = None,
) -> Tensor:
    """Draw one mask of whole patches per sample.

    Args:
        n: number of samples N.
        ratio: fraction of the patches to mask, in [0, 1). Of L patches int(L (1 - ratio)) stay visible, MAE's rule
            (2111.06377: 49 of 196 at 0.75), but at least one; every set of that many is equally likely.
        patch: side of a patch in pixels; it divides `size`.
        size: side of the image in pixels.
        independent: mask each patch with probability `ratio` regardless of the others, which is what the formula of
            `clean_fraction` assumes. The counts then differ between samples, and a sample may have none visible.
        generator: source of the random numbers, on `device`.
        device: where to make the mask; None: where the generator is, without one the processor.

    Returns:
        bool `(N, size / patch, size / patch)`, True = masked.

    Raises:
        TypeError, ValueError: a number has the wrong type or is out of range, or `patch` does not divide `size`.
    """
    validate.integer("n", n, at_least=0)
    validate.number("ratio", ratio, at_least=0)
    if ratio >= 1:
        raise ValueError(f"ratio must be in [0, 1), so that something stays visible; got {ratio!r}.")
    validate.integer("patch", patch, at_least=1)
    validate.integer("size", size, at_least=1)
    if size % patch:
        raise ValueError(f"patch must divide the image's side of {size} pixels; got {patch}.")
    if device is None:
        device = generator.device if generator is not None else "cpu"
    side = size // patch
    uniform = torch.rand(n, side * side, generator=generator, device=device)
    if independent:
        return (uniform < ratio).view(n, side, side)
    # The order of uniform numbers is a uniform permutation; its first entries stay visible.
    visible = uniform.argsort(dim=1)[:, : visible_count(side * side, ratio)]
    return torch.ones_like(uniform, dtype=torch.bool).scatter_(1, visible, False).view(n, side, side)


def visible_tokens(mask: Tensor) -> Tensor:
    """The patches that a mask leaves visible, as `PatchTransformer` wants them.

    Args:
        mask: bool `(N, rows, columns)`, True = masked, with the same number of visible patches in every sample.

    Returns:
        int64 `(N, visible)`: the indices row * columns + column, ascending.

    Raises:
        ValueError: mask is not bool `(N, rows, columns)`, the samples differ in how many
            patches are visible, or none is.
    """
    _check_mask(mask)
    flat = mask.flatten(1)
    if not len(flat):
        return flat.long()
    least, most = torch.stack((~flat).sum(dim=1).aminmax()).tolist()
    if least != most or least == 0:
        raise ValueError(
            "mask must leave the same number of patches visible in every sample, at least one, so that the kept "
            f"tokens form one tensor; got between {least} and {most} of {flat.shape[1]}."
        )
    return flat.to(torch.uint8).argsort(dim=1, stable=True)[:, :least]


def enlarge(mask: Tensor, rows: int, columns: int) -> Tensor:
    """A mask `(N, r, c)` at a finer resolution `(N, rows, columns)`: each entry becomes a block.

    Raises:
        ValueError: rows or columns are no multiple of the mask's, so that one position would lie in several patches.
    """
    _check_mask(mask)
    r, c = mask.shape[1:]
    if rows % r or columns % c or 0 in (rows, columns):
        raise ValueError(
            f"mask must be no finer than the resolution at which it is used: a grid of {r} x {c} patches does not fit "
            f"{rows} x {columns} positions, where one position lies in several patches. Mask larger patches: their "
            "side must be a multiple of the network's total stride."
        )
    return mask.repeat_interleave(rows // r, dim=1).repeat_interleave(columns // c, dim=2)


def mask_pixels(images: Tensor, mask: Tensor, fill: float = 0.0) -> Tensor:
    """Images `(N, C, H, W)` with `fill` in the masked patches; in normalised images 0 is the mean of the pixels.

    Raises:
        ValueError: images are not floating point `(N, C, H, W)`, or mask does not fit them.
    """
    if not isinstance(images, Tensor) or not images.is_floating_point() or images.ndim != 4:
        raise ValueError(f"images must be a floating-point tensor (N, C, H, W); got {validate.describe(images)}.")
    validate.number("fill", fill)
    _check_mask(mask, len(images))
    # Filling, not multiplying: whatever stands in a masked patch is gone, NaN too.
    return images.masked_fill(enlarge(mask, images.shape[2], images.shape[3])[:, None], fill)


class MaskedViews(NamedTuple):
    """Views with zeros in their masked patches, `(V, N, 3, H, W)`, and the masks `(V, N, H / patch, W / patch)`."""

    views: Tensor
    masks: Tensor


def masked_views(
    views: Tensor, ratio: float, *, patch: int = 8, generator: torch.Generator | None = None
) -> MaskedViews:
    """Mask views `(V, N, 3, H, H)`: every sample of every view has its own mask, see `patch_mask`.

    Raises:
        TypeError, ValueError: views are not floating point `(V, N, C, H, H)`; or as in `patch_mask`.
    """
    square = isinstance(views, Tensor) and views.ndim == 5 and views.shape[3] == views.shape[4]
    if not square or not views.is_floating_point():
        raise ValueError(
            f"views must be a floating-point tensor (V, N, C, H, H) of square images; got {validate.describe(views)}."
        )
    number, n, _, size, _ = views.shape
    masks = patch_mask(number * n, ratio, patch=patch, size=size, generator=generator, device=views.device)
    masked = mask_pixels(views.flatten(0, 1), masks)
    return MaskedViews(masked.unflatten(0, (number, n)), masks.unflatten(0, (number, n)))


def _check_mask(mask: Tensor, n: int | None = None) -> None:
    good = isinstance(mask, Tensor) and mask.dtype == torch.bool and mask.ndim == 3 and 0 not in mask.shape[1:]
    if not good or (n is not None and mask.shape[0] != n):
        samples = "" if n is None else f" with N = {n}"
        raise ValueError(
            f"mask must be a bool tensor (N, rows, columns){samples}, True = masked; got {validate.describe(mask)}."
        )


# ---------------------------------------------------------------------------------------------------------------------
# How much of a masked image a convolutional network sees clean


def clean_fraction(patch: int, radius: int, ratio: float) -> float:
    """Expected fraction of the visible positions whose receptive field holds no masked pixel.

    For position x of a patch of side p, the square field of radius r reaches k(x) patches along each axis,

        k(x) = floor((x + r) / p) - floor((x - r) / p) + 1,

    its own among them, and each of the others is visible with probability 1 - m. So the fraction is the mean over
    x and y of (1 - m)^(k(x) k(y) - 1). While 2 r <= p that is

        [(p - 2r)^2 + 4 r (p - 2r) (1 - m) + 4 r^2 (1 - m)^3] / p^2.

    It holds for independently masked patches, stride 1, and away from the border of the image.

    Args:
        patch: side p of a patch in pixels, >= 1.
        radius: r >= 0, so that the field has 2 r + 1 pixels a side; of n stacked 3 x 3 convolutions r = n.
        ratio: probability m that a patch is masked, in [0, 1].

    Returns:
        A fraction in [0, 1]. At p = 16, m = 0.75: .82 for r = 1, .016 for r = 8.

    Raises:
        TypeError, ValueError: an argument has the wrong type or is out of range.
    """
    validate.integer("patch", patch, at_least=1)
    validate.integer("radius", radius, at_least=0)
    validate.number("ratio", ratio, at_least=0, at_most=1)
    reached = [(x + radius) // patch - (x - radius) // patch + 1 for x in range(patch)]
    return sum((1 - ratio) ** (i * j - 1) for i in reached for j in reached) / patch**2


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


# ---------------------------------------------------------------------------------------------------------------------
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
