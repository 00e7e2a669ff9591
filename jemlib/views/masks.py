"""Masks of whole patches: drawing them, and putting them on images or tokens.

A mask is a bool tensor `(N, rows, columns)` with one entry per patch, True = masked.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from jemlib import validate


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
        TypeError, ValueError: images are not floating point `(N, C, H, W)`, or mask does not fit them.
    """
    validate.tensor("images", images, "N C H W", empty=True)
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
    validate.tensor("views", views, "V N C H H", meaning="square images")
    number, n, _, size, _ = views.shape
    masks = patch_mask(number * n, ratio, patch=patch, size=size, generator=generator, device=views.device)
    masked = mask_pixels(views.flatten(0, 1), masks)
    return MaskedViews(masked.unflatten(0, (number, n)), masks.unflatten(0, (number, n)))


def _check_mask(mask: Tensor, n: int | None = None) -> None:
    validate.tensor("mask", mask, "N rows columns", kind="bool", meaning="True = masked", empty=True, N=n)


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
