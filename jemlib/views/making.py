"""Views of a batch of images: random crops and colours, every sample with its own parameters.

A view is made in the order that the papers use: crop, resize and flip; jitter of the colours; grey; blur; solarise;
normalise. The parameters are drawn for the whole batch at once and every operation takes one value per sample, so
that nothing loops over images and everything stays on the device of the pixels.

Three things make it quick on a processor. A crop, its resize and its flip are one linear map per axis, so that a whole
batch is resampled by a selection of rows and a matrix product. Brightness, contrast and saturation, in any order, are
one blend. And the colours are worked out in place on some hundred images at a time, which stay in the cache.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, overload

import torch
from torch import Tensor

from jemlib import validate
from jemlib.views.recipes import Recipe, ViewParameters, Views, draw_parameters, resolve

SIZE = 32  # pixels; the side of every view
# Mean and standard deviation of the CIFAR-10 training pixels, per channel, on the scale [0, 1].
MEAN = (0.4914, 0.4822, 0.4465)
STD = (0.2470, 0.2435, 0.2616)
# The weights of red, green and blue in the brightness that the eye sees (ITU-R BT.601, as torchvision rounds them).
LUMA = (0.2989, 0.587, 0.114)
# Images worked on together on a processor: more leave its cache, fewer leave it waiting for Python. Set by measuring.
CHUNK = 256


# ---------------------------------------------------------------------------------------------------------------------
# The operations. x is float (N, 3, H, W) in [0, 1]; each takes one value per sample and returns a new tensor, while
# the inner functions with a trailing underscore work in place.


def crop_and_resize(x: Tensor, box: Tensor, flip: Tensor, size: int = SIZE) -> Tensor:
    """Cut a box out of each image, resize it with an antialiased bilinear filter, and mirror it where asked.

    Interpolating in y and in x are separate linear maps, so the whole operation is `out = W_y image W_x^T` for each
    image. A flip reverses the rows of W_x.

    Args:
        x: `(N, 3, H, W)` float.
        box: `(N, 4)` integers: top, left, height, width in pixels, inside the image.
        flip: `(N,)` bool.
        size: side of the result in pixels.

    Returns:
        `(N, 3, size, size)` float32; equal to torchvision's `resized_crop(..., antialias=True)` up to rounding.

    Raises:
        TypeError, ValueError: an argument has the wrong type or shape, or a box does not lie inside the image.
    """
    _check_images("x", x)
    _check_per_sample(x, flip=flip)
    validate.integer("size", size, at_least=1)
    _check_boxes(x, box)
    return _crop(x, box, flip, x.new_empty(x.shape[0], 3, size, size, dtype=torch.float32))


def _crop(x: Tensor, box: Tensor, flip: Tensor, out: Tensor, unit: float = 1.0) -> Tensor:
    """As `crop_and_resize`, also for uint8, multiplied by `unit` and written to `out` `(N, 3, size, size)`."""
    n, _, height, width = x.shape
    size, x = out.shape[-1], x.float()
    if height <= size:
        rows = _interpolate_rows(x, box[:, 0], box[:, 2], size)
    else:
        rows = torch.matmul(_resampling(box[:, 0], box[:, 2], height, size)[:, None], x)
    w_x = _resampling(box[:, 1], box[:, 3], width, size, flip).mul_(unit)
    # The three channels share W_x, so each image is one product: (3 size, W) @ (W, size).
    torch.bmm(rows.view(n, 3 * size, width), w_x.mT, out=out.view(n, 3 * size, size))
    return out


def _centres(start: Tensor, length: Tensor, size: int) -> Tensor:
    """The points `(N, size)` of the image which the pixels of the result look at: `start + (j + 1/2) length / size`."""
    target = torch.arange(size, device=start.device) + 0.5
    return start[:, None] + target * (length / size)[:, None] - 0.5  # pixel i has its centre at i + 1/2


def _interpolate_rows(x: Tensor, start: Tensor, length: Tensor, size: int) -> Tensor:
    """W_y applied to `(N, 3, H, W)` when no crop shrinks, giving `(N, 3, size, W)`.

    Each row of W_y then has two entries at most, and blending two selected rows is quicker than a product.
    """
    n, _, height, width = x.shape
    last = (start + length - 1)[:, None]
    # Beyond the border of the box stands its last row.
    centre = torch.maximum(_centres(start, length, size), start[:, None]).minimum(last)
    above = centre.floor().long()
    below = torch.minimum(above + 1, last)
    # The number of each row in the list of all rows of all channels of all images.
    first = height * torch.arange(3 * n, device=x.device).view(n, 3, 1)
    listed = x.reshape(-1, width)
    upper, lower = (listed.index_select(0, (first + row[:, None]).flatten()) for row in (above, below))
    share = (centre - above)[:, None, :].expand(n, 3, size).reshape(-1, 1)
    return torch.lerp(upper, lower, share, out=upper).view(n, 3, size, width)


def _resampling(start: Tensor, length: Tensor, pixels: int, size: int, flip: Tensor | None = None) -> Tensor:
    """The matrices `(N, size, pixels)` that resample `pixels[start : start + length]` to `size` values."""
    source = torch.arange(pixels, device=start.device)
    centre = _centres(start, length, size)
    if flip is not None:
        centre = torch.where(flip[:, None], centre.flip(1), centre)
    start, length, centre = start.view(-1, 1, 1), length.view(-1, 1, 1), centre[:, :, None]
    last = start + length - 1
    if pixels <= size:
        # No crop shrinks: a triangle of one input pixel to each side. Beyond the border stands the last pixel.
        return (source - torch.maximum(centre, start).minimum(last)).abs_().neg_().add_(1).clamp_(min=0)
    # Where the crop shrinks the triangle is one output pixel wide on each side (antialiasing). Pixels outside the box
    # have no weight, and the others share it.
    weight = (1 - (source - centre).abs_() / (length / size).clamp(min=1)).clamp_(min=0)
    weight *= (source >= start) & (source <= last)
    return weight / weight.sum(dim=2, keepdim=True)


def _luma(x: Tensor) -> Tensor:
    """The grey value of each pixel: `(N, 3, H, W)` -> `(N, 1, H, W)`."""
    red, green, blue = x.split(1, dim=1)
    return (red * LUMA[0]).add_(green, alpha=LUMA[1]).add_(blue, alpha=LUMA[2])


def _blend_(x: Tensor, keep: Tensor, to_mean: Tensor, to_grey: Tensor) -> Tensor:
    """`x <- clamp(keep x + to_mean mean(grey) + to_grey grey)`, the one form of brightness, contrast, saturation."""
    keep, to_mean, to_grey = (value.view(-1, 1, 1, 1) for value in (keep, to_mean, to_grey))
    grey = _luma(x)
    mean = grey.mean(dim=(2, 3), keepdim=True)
    base = grey.mul_(to_grey).add_(to_mean * mean)
    return torch.addcmul(base, x, keep, out=x).clamp_(0, 1)


def adjust_brightness(x: Tensor, factor: Tensor) -> Tensor:
    """`clamp(factor x)`: `(N, 3, H, W)` in [0, 1] and `(N,)` >= 0; 0 is black, 1 changes nothing."""
    _check_images("x", x)
    _check_per_sample(x, factor=factor)
    return _blend_(x.clone(), factor, torch.zeros_like(factor), torch.zeros_like(factor))


def adjust_contrast(x: Tensor, factor: Tensor) -> Tensor:
    """`clamp(factor x + (1 - factor) mean(grey))`: factor `(N,)` >= 0; 0 is plain grey, 1 changes nothing."""
    _check_images("x", x)
    _check_per_sample(x, factor=factor)
    return _blend_(x.clone(), factor, 1 - factor, torch.zeros_like(factor))


def adjust_saturation(x: Tensor, factor: Tensor) -> Tensor:
    """`clamp(factor x + (1 - factor) grey)`: factor `(N,)` >= 0; 0 is the grey image, 1 changes nothing."""
    _check_images("x", x)
    _check_per_sample(x, factor=factor)
    return _blend_(x.clone(), factor, torch.zeros_like(factor), 1 - factor)


def adjust_hue(x: Tensor, shift: Tensor) -> Tensor:
    """Turn the hue by `shift` `(N,)` in [-1, 1] turns, at the same largest and smallest channel of each pixel."""
    _check_images("x", x)
    _check_per_sample(x, shift=shift)
    return _hue_(x.clone(), shift)


def _hue_(x: Tensor, shift: Tensor) -> Tensor:
    red, green, blue = x.split(1, dim=1)
    high = torch.maximum(red, green).maximum(blue)
    low = torch.minimum(red, green).minimum(blue)
    span = (high - low).mul_(6)
    # From red over yellow and green to cyan one term after the other rises from 0 to 1/6 turn:
    #   hue = [(g - low) + (high - r) + (b - low)] / 6 (high - low)
    # and from red over magenta to cyan, where b > g, it is the same turned the other way. Grey has span 0 and hue 0.
    hue = (green + blue).add_(high).sub_(red).sub_(low, alpha=2).div_(span.clamp(min=1e-8))
    hue = torch.copysign(hue, green - blue, out=hue).add_((shift + 2).view(-1, 1, 1, 1)).frac_()
    # A channel is high within 1/6 turn of its own hue, low beyond 1/3, linear between: with d the distance clamped to
    # [1/6, 1/3], channel = high + (high - low) - span d. Red, at both ends of the circle, counts from its opposite.
    top, bottom = torch.add(high, span, alpha=1 / 6), torch.sub(low, span, alpha=1 / 6)
    for channel, base, at, sign in ((red, bottom, 1 / 2, 1), (green, top, 1 / 3, -1), (blue, top, 2 / 3, -1)):
        distance = (hue - at).abs_().clamp_(1 / 6, 1 / 3)
        torch.addcmul(base, distance, span, value=sign, out=channel)
    return x


def to_grey(x: Tensor, which: Tensor) -> Tensor:
    """Replace the three channels by their grey value where `which` `(N,)` bool says so."""
    _check_images("x", x)
    _check_per_sample(x, which=which)
    return torch.where(which.view(-1, 1, 1, 1), _luma(x), x)


def blur(x: Tensor, sigma: Tensor) -> Tensor:
    """Gaussian blur of width `sigma` `(N,)` >= 0 in pixels, over 3 x 3 pixels, mirrored at the border; 0 is no blur.

    SimCLR takes a kernel of a tenth of the image's side, which is 3 pixels here. So small a kernel bounds the blur: a
    sigma beyond 2 is nearly the mean of the nine pixels.
    """
    _check_images("x", x)
    _check_per_sample(x, sigma=sigma)
    # weights (e, 1, e) / (1 + 2e) with e = exp(-1 / (2 sigma^2)), along each axis in turn; sigma 0 gives e = 0
    e = torch.exp(-0.5 / sigma.square()).view(-1, 1, 1, 1)
    padded = torch.nn.functional.pad(x, (1, 1, 1, 1), mode="reflect")
    rows = padded[:, :, 1:-1] + e * (padded[:, :, :-2] + padded[:, :, 2:])
    return (rows[..., 1:-1] + e * (rows[..., :-2] + rows[..., 2:])) / (1 + 2 * e).square()


def solarize(x: Tensor, which: Tensor, threshold: float = 0.5) -> Tensor:
    """Invert (1 - x) every value >= threshold of the samples where `which` `(N,)` bool says so."""
    _check_images("x", x)
    _check_per_sample(x, which=which)
    validate.number("threshold", threshold, at_least=0, at_most=1)
    return torch.where(which.view(-1, 1, 1, 1) & (x >= threshold), 1 - x, x)


def _check_images(name: str, x: Tensor) -> None:
    validate.tensor(name, x, "N 3 H W", meaning="values in [0, 1]", empty=True)


def _check_per_sample(x: Tensor, **values: Tensor) -> None:
    for name, value in values.items():
        kind = "bool" if name in ("flip", "which") else "float"
        validate.tensor(name, value, "N", kind=kind, meaning="one value per sample", empty=True, N=x.shape[0])


def _check_boxes(x: Tensor, box: Tensor) -> None:
    validate.tensor("box", box, "N 4", kind="number", empty=True, N=x.shape[0])
    height, width = x.shape[2:]
    top, left, h, w = box.unbind(dim=1)
    outside = (top < 0) | (left < 0) | (h < 1) | (w < 1) | (top + h > height) | (left + w > width)
    if outside.any():
        i = int(outside.nonzero()[0])
        raise ValueError(
            f"box must be (top, left, height, width) inside the image of {height} x {width} pixels; "
            f"got {box[i].tolist()} for sample {i}."
        )


# ---------------------------------------------------------------------------------------------------------------------
# Views


@overload
def make_views(
    pixels: Tensor,
    preset: Views,
    *,
    num_views: int = 2,
    size: int = SIZE,
    generator: torch.Generator | None = None,
    return_parameters: Literal[False] = False,
) -> Tensor: ...


@overload
def make_views(
    pixels: Tensor,
    preset: Views,
    *,
    num_views: int = 2,
    size: int = SIZE,
    generator: torch.Generator | None = None,
    return_parameters: Literal[True],
) -> tuple[Tensor, list[ViewParameters]]: ...


@torch.no_grad()
def make_views(
    pixels: Tensor,
    preset: Views,
    *,
    num_views: int = 2,
    size: int = SIZE,
    generator: torch.Generator | None = None,
    return_parameters: bool = False,
) -> Tensor | tuple[Tensor, list[ViewParameters]]:
    """Draw several views of every image; each sample of each view has its own parameters.

    Convention: the parameters have the distributions of torchvision's RandomResizedCrop, RandomHorizontalFlip,
    ColorJitter, RandomGrayscale, GaussianBlur and RandomSolarize. ColorJitter differs in two ways. It orders its
    four operations at random; here brightness, contrast and saturation are in random order and the hue is last. And it
    clamps to [0, 1] after each of them; here the three are composed and clamped once, so what one of them would cut
    off another can bring back.

    Args:
        pixels: `(N, 3, H, W)` uint8, on any device.
        preset: a name in `PRESETS`, or a Recipe for all views, or a sequence of recipes, one per view (repeated when
            there are more views).
        num_views: number of views V, >= 1.
        size: side of the views in pixels, >= 1; less than 32 for the small crops of multi-crop.
        generator: source of the random numbers, on the device of the pixels; None for that device's default one.
        return_parameters: also return what was drawn.

    Returns:
        `(V, N, 3, size, size)` float32 on the device of the pixels, normalised with MEAN and STD: zero mean and unit
        variance over CIFAR-10. With return_parameters a tuple of that and a list of V `ViewParameters`.

    Raises:
        TypeError, ValueError: pixels are not uint8 `(N, 3, H, W)`, the preset is unknown, num_views or size
            is < 1, or the generator is none or lives on another device.
    """
    _check_pixels(pixels)
    recipes = resolve(preset, "preset")
    validate.integer("num_views", num_views, at_least=1)
    validate.integer("size", size, at_least=1)
    _check_generator(generator, pixels.device)
    n, _, height, width = pixels.shape
    views = torch.empty(num_views, n, 3, size, size, device=pixels.device)
    drawn = []
    # A GPU wants everything at once; a processor wants what its cache holds.
    step = CHUNK if pixels.device.type == "cpu" else max(n, 1)
    for v in range(num_views):
        recipe = recipes[v % len(recipes)]
        parameters = draw_parameters(recipe, n, height, width, generator=generator, device=pixels.device)
        for i in range(0, n, step):
            part = ViewParameters(*(value[i : i + step] for value in parameters))
            _apply(pixels[i : i + step], part, recipe, views[v, i : i + step])
        drawn.append(parameters)
    return (views, drawn) if return_parameters else views


def _apply(pixels: Tensor, p: ViewParameters, recipe: Recipe, x: Tensor) -> None:
    """Make one view of `pixels` `(n, 3, H, W)` uint8 in place in `x`; what the recipe never does is left out."""
    if recipe.crop_scale is None and recipe.flip == 0 and pixels.shape[2:] == x.shape[2:]:
        x.copy_(pixels).mul_(1 / 255)
    else:
        _crop(pixels, p.box, p.flip, out=x, unit=1 / 255)
    if recipe.jitters:
        _where_(p.jittered, x, _jitter_, p.brightness, p.contrast, p.saturation, p.hue, p.order)
    if recipe.grey > 0:
        _where_(p.grey, x, lambda some: _luma(some).expand_as(some))
    if recipe.blur > 0:
        _where_(p.sigma > 0, x, blur, p.sigma)
    if recipe.solarize > 0:
        _where_(p.solarize, x, lambda some: torch.where(some >= 0.5, 1 - some, some))
    # Plain numbers, one channel at a time: a tensor of constants would have to be brought to each device.
    for channel, mean, std in zip(x.unbind(dim=1), MEAN, STD):
        channel.sub_(mean).mul_(1 / std)


def _where_(which: Tensor, x: Tensor, change: Callable[..., Tensor], *values: Tensor) -> None:
    """`x <- change(x, *values)` for the samples `which` `(N,)`; `values` have one entry per sample.

    A processor works on those samples alone. On a GPU to count them is to wait for it, so it changes all and selects;
    a change in place, as the jitter's, has to leave the others alone by their values.
    """
    if x.device.type == "cpu":
        chosen = which.nonzero()[:, 0]
        x.index_copy_(0, chosen, change(*(value.index_select(0, chosen) for value in (x, *values))))
    else:
        torch.where(which.view(-1, 1, 1, 1), change(x, *values), x, out=x)


def _jitter_(x: Tensor, brightness: Tensor, contrast: Tensor, saturation: Tensor, hue: Tensor, order: Tensor) -> Tensor:
    """Brightness, contrast and saturation in each sample's own order, as one blend; then the hue; in place."""
    _blend_(x, *_composed(brightness, contrast, saturation, order))
    return _hue_(x, hue)


def _composed(brightness: Tensor, contrast: Tensor, saturation: Tensor, order: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The three operations in `order` as one blend `keep x + to_mean M + to_grey G`: three coefficients `(N,)`.

    G is the grey value of a pixel and M its mean over the image. Each operation is such a blend, and so is one after
    another, because a blend has the grey value `(keep + to_grey) G + to_mean M`.
    """
    zero = torch.zeros_like(brightness)
    rows = [(brightness, zero, zero), (contrast, 1 - contrast, zero), (saturation, zero, 1 - saturation)]
    blends = torch.stack([torch.stack(row, dim=1) for row in rows], dim=1)  # (N, operation, coefficient)
    blends = blends.gather(1, order[:, :, None].expand(-1, -1, 3))
    keep, to_mean, to_grey = blends[:, 0].unbind(dim=1)
    for blend in (blends[:, 1], blends[:, 2]):
        k, m, g = blend.unbind(dim=1)
        to_mean = k * to_mean + g * to_mean + m * (keep + to_mean + to_grey)
        to_grey = k * to_grey + g * (keep + to_grey)
        keep = k * keep
    return keep, to_mean, to_grey


def normalize(pixels: Tensor) -> Tensor:
    """The images as a network sees them, without augmentation: `(N, 3, H, W)` uint8 -> `(N, 3, 32, 32)` float32.

    The same as the preset `none`: resized to 32 x 32 where needed, minus MEAN, divided by STD.

    Raises:
        TypeError, ValueError: pixels are not uint8 `(N, 3, H, W)`.
    """
    return make_views(pixels, "none", num_views=1)[0]


def denormalize(views: Tensor) -> Tensor:
    """Views as pictures: normalised `(..., 3, H, W)` -> values in [0, 1] of the same shape."""
    if not isinstance(views, Tensor) or not views.is_floating_point() or views.ndim < 3 or views.shape[-3] != 3:
        raise ValueError(f"views must be a floating-point tensor (..., 3, H, W); got {validate.describe(views)}.")
    mean, std = (torch.tensor(c, dtype=views.dtype, device=views.device).view(3, 1, 1) for c in (MEAN, STD))
    return (views * std + mean).clamp_(0, 1)


def _check_pixels(pixels: Tensor) -> None:
    validate.tensor("pixels", pixels, "N 3 H W", kind="uint8", meaning="RGB images, values 0 to 255", empty=True)


def _check_generator(generator: torch.Generator | None, device: torch.device) -> None:
    if generator is None:
        return
    if not isinstance(generator, torch.Generator):
        raise TypeError(f"generator must be a torch.Generator or None; got {validate.describe(generator)}.")
    if generator.device.type != device.type or generator.device.index not in (None, device.index):
        raise ValueError(
            f"generator must be on the device of the pixels, {device}; got one on {generator.device}. "
            f"Make it with torch.Generator({str(device)!r})."
        )
