"""Recipes of views, named after their papers, and the drawing of their parameters: every sample has its own."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from jemlib import validate

CROP_TRIES = 10  # as torchvision's RandomResizedCrop


@dataclass(frozen=True)
class Recipe:
    """How one view is drawn. Probabilities are per sample, in [0, 1].

    Attributes:
        crop_scale: smallest and largest area of the crop, as fractions of the image in (0, 1]; None keeps the image.
        crop_ratio: smallest and largest width / height of the crop; the logarithm is uniform between them.
        flip: probability of a horizontal flip.
        jitter: strengths (brightness, contrast, saturation, hue). A strength s draws a factor from
            [max(0, 1 - s), 1 + s], the hue a shift from [-s, s] turns with s <= 0.5.
        jitter_probability: probability that a sample is jittered at all.
        grey: probability of losing the colours.
        blur: probability of a blur.
        blur_sigma: smallest and largest width of the blur, in pixels of the view, > 0.
        solarize: probability of inverting every value >= 0.5.

    Raises:
        TypeError, ValueError: a value has the wrong type or lies outside its range.
    """

    crop_scale: tuple[float, float] | None = (0.08, 1.0)
    crop_ratio: tuple[float, float] = (3 / 4, 4 / 3)
    flip: float = 0.5
    jitter: tuple[float, float, float, float] = (0.4, 0.4, 0.4, 0.1)
    jitter_probability: float = 0.8
    grey: float = 0.2
    blur: float = 0.0
    blur_sigma: tuple[float, float] = (0.1, 2.0)
    solarize: float = 0.0

    def __post_init__(self) -> None:
        for name in ("flip", "jitter_probability", "grey", "blur", "solarize"):
            validate.number(name, getattr(self, name), at_least=0, at_most=1)
        if self.crop_scale is not None:
            _check_range("crop_scale", self.crop_scale, at_most=1)
        _check_range("crop_ratio", self.crop_ratio)
        _check_range("blur_sigma", self.blur_sigma)
        if not isinstance(self.jitter, tuple) or len(self.jitter) != 4:
            raise TypeError(f"jitter must be a tuple (brightness, contrast, saturation, hue); got {self.jitter!r}.")
        for name, strength in zip(("brightness", "contrast", "saturation", "hue"), self.jitter):
            validate.number(f"jitter, {name},", strength, at_least=0, at_most=0.5 if name == "hue" else None)

    @property
    def jitters(self) -> bool:
        """Whether any sample can have its colours changed by the jitter."""
        return self.jitter_probability > 0 and any(self.jitter)


def _check_range(name: str, value: object, at_most: float | None = None) -> None:
    """Check a pair 0 < low <= high."""
    if not isinstance(value, tuple) or len(value) != 2:
        raise TypeError(f"{name} must be a tuple (low, high); got {value!r}.")
    for bound in value:
        validate.number(f"{name}, each bound,", bound, above=0, at_most=at_most)
    if value[0] > value[1]:
        raise ValueError(f"{name} must be (low, high) with low <= high; got {value!r}.")


# The papers' recipes, adapted to 32 pixels. All leave out the blur, which the papers use at 224 pixels; SimCLR
# (2002.05709, appendix B.9) leaves it out for CIFAR-10 too.
_SIMCLR = Recipe()  # B.9: strength 0.5, that is half of (0.8, 0.8, 0.8, 0.2)
# BYOL (2006.07733, appendix B): weaker saturation; only the second view is solarised. Barlow Twins uses the same.
_BYOL = Recipe(jitter=(0.4, 0.4, 0.2, 0.1))
# VICReg (2105.04906, appendix C) solarises both views alike; crops from 0.2 on are the CIFAR recipe of solo-learn.
_VICREG = replace(_BYOL, crop_scale=(0.2, 1.0), solarize=0.1)
# DINO (2104.14294) has BYOL's colours. Its global crops of 0.4-1 go with small local crops (LOCAL_CROP); for two views
# alone the official code recommends the wider range 0.14-1, and so that is what stands here.
_DINO = replace(_BYOL, crop_scale=(0.14, 1.0))
_NONE = Recipe(crop_scale=None, flip=0.0, jitter_probability=0.0, grey=0.0)

# The small crops of multi-crop; a view of 16 pixels shows as much detail of them as one of 32 shows of the image.
LOCAL_CROP = replace(_BYOL, crop_scale=(0.08, 0.4))

# One recipe per view; with more views than recipes the recipes repeat.
PRESETS: dict[str, tuple[Recipe, ...]] = {
    "simclr": (_SIMCLR,),
    "byol": (_BYOL, replace(_BYOL, solarize=0.2)),
    "vicreg": (_VICREG,),
    "dino": (_DINO, replace(_DINO, solarize=0.2)),
    "none": (_NONE,),
}


# How views are asked for: a preset's name, one recipe for all views, or a recipe per view. A run folder holds recipes
# as mappings of their values.
Views = str | Recipe | Mapping[str, Any] | Sequence[Recipe | Mapping[str, Any]]


def resolve(views: Views, name: str = "views") -> tuple[Recipe, ...]:
    """The recipes that are meant, one per view; with more views than recipes they repeat.

    Args:
        views: a name in `PRESETS`, a Recipe, a mapping of a Recipe's values (what JSON gives back), or several of the
            last two.
        name: what the argument is called, for the message.

    Raises:
        TypeError, ValueError: an unknown name, an unknown value of a recipe, or something else.
    """
    if isinstance(views, str):
        return PRESETS[validate.choice(name, views, PRESETS)]
    several: list[Any] = list(views) if isinstance(views, (tuple, list)) else [views]
    if not several or not all(isinstance(one, (Recipe, Mapping)) for one in several):
        raise TypeError(
            f"{name} must be a name ({', '.join(PRESETS)}), a Recipe, or a sequence of recipes; "
            f"got {validate.describe(views)}."
        )
    return tuple(one if isinstance(one, Recipe) else _from_values(one, name) for one in several)


def _from_values(values: Mapping[str, Any], name: str) -> Recipe:
    known = [field.name for field in fields(Recipe)]
    for key in values:
        validate.choice(f"a value of {name}", key, known)
    given: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in values.items()}
    return Recipe(**given)


def as_setting(views: Views) -> str | list[dict[str, Any]]:
    """The same as JSON can hold it: the preset's name, or each recipe's values; `resolve` takes it back."""
    return views if isinstance(views, str) else [asdict(recipe) for recipe in resolve(views)]


class ViewParameters(NamedTuple):
    """What was drawn for one view of N samples. A value that changes nothing stands where an operation was left out."""

    box: Tensor  # (N, 4) int64: top, left, height, width in pixels of the image
    flip: Tensor  # (N,) bool
    jittered: Tensor  # (N,) bool: whether the next five say anything
    brightness: Tensor  # (N,) factor, 1 = unchanged
    contrast: Tensor  # (N,) factor, 1 = unchanged
    saturation: Tensor  # (N,) factor, 1 = unchanged
    hue: Tensor  # (N,) shift in turns, 0 = unchanged
    order: Tensor  # (N, 3) int64: the order of brightness 0, contrast 1, saturation 2; the hue comes last
    grey: Tensor  # (N,) bool
    sigma: Tensor  # (N,) width of the blur in pixels, 0 = no blur
    solarize: Tensor  # (N,) bool


# ---------------------------------------------------------------------------------------------------------------------
# Drawing the parameters


def draw_boxes(uniform: Tensor, recipe: Recipe, height: int, width: int) -> Tensor:
    """The crop boxes of RandomResizedCrop, from uniform numbers: `(22, N)` in [0, 1) -> `(N, 4)` int64.

    Ten candidates are drawn for each sample and the first that fits is taken, which is what torchvision's loop of
    ten tries does. When none fits, the largest central box whose ratio is in the range is taken.

    Returns:
        top, left, height, width in pixels of an image of `height` x `width`.
    """
    if recipe.crop_scale is None:
        return _same_box((0, 0, height, width), uniform)
    low, high = recipe.crop_scale
    ratio_low, ratio_high = recipe.crop_ratio
    area = height * width * (low + (high - low) * uniform[:CROP_TRIES])
    log_ratio = math.log(ratio_low) + math.log(ratio_high / ratio_low) * uniform[CROP_TRIES : 2 * CROP_TRIES]
    root = torch.exp(log_ratio / 2)
    # w = sqrt(area * ratio), h = sqrt(area / ratio)
    side = area.sqrt()
    w, h = (side * root).round_(), (side / root).round_()
    fits = (w > 0) & (w <= width) & (h > 0) & (h <= height)
    first = fits.to(torch.uint8).argmax(dim=0, keepdim=True)  # argmax gives the first of equal values
    w, h = w.gather(0, first)[0], h.gather(0, first)[0]
    # top is uniform over 0 ... height - h. The clamp is for a product that rounds up to the bound itself.
    top = (uniform[-2] * (height - h + 1)).floor_().minimum(height - h)
    left = (uniform[-1] * (width - w + 1)).floor_().minimum(width - w)
    box = torch.stack([top, left, h, w], dim=1).long()
    # The largest central box whose width / height is in the range.
    w_most, h_most = min(width, round(height * ratio_high)), min(height, round(width / ratio_low))
    central = _same_box(((height - h_most) // 2, (width - w_most) // 2, h_most, w_most), uniform)
    return torch.where(fits.any(dim=0)[:, None], box, central)


def _same_box(box: tuple[int, int, int, int], uniform: Tensor) -> Tensor:
    """One box for every sample, `(N, 4)`. Filling makes no GPU wait, which copying a list to it does."""
    n, device = uniform.shape[1], uniform.device
    return torch.stack([torch.full((n,), side, device=device) for side in box], dim=1)


def draw_parameters(
    recipe: Recipe, n: int, height: int, width: int, *, generator: torch.Generator | None, device: torch.device
) -> ViewParameters:
    """Draw one view's parameters for `n` images of `height` x `width` pixels, with a single call of the generator."""
    crops = 2 * CROP_TRIES + 2
    uniform = torch.rand(crops + 13, n, generator=generator, device=device)
    flip, jitter, brightness, contrast, saturation, hue, grey, blur, sigma, solarize = uniform[crops : crops + 10]
    jittered = jitter < recipe.jitter_probability

    def factor(u: Tensor, strength: float) -> Tensor:
        low = max(0.0, 1 - strength)
        return torch.where(jittered, low + (1 + strength - low) * u, 1.0)

    low, high = recipe.blur_sigma
    return ViewParameters(
        box=draw_boxes(uniform[:crops], recipe, height, width),
        flip=flip < recipe.flip,
        jittered=jittered,
        brightness=factor(brightness, recipe.jitter[0]),
        contrast=factor(contrast, recipe.jitter[1]),
        saturation=factor(saturation, recipe.jitter[2]),
        hue=torch.where(jittered, recipe.jitter[3] * (2 * hue - 1), 0.0),
        order=uniform[-3:].T.argsort(dim=1),  # the ranks of three uniform numbers are a uniform permutation
        grey=grey < recipe.grey,
        sigma=torch.where(blur < recipe.blur, low + (high - low) * sigma, 0.0),
        solarize=solarize < recipe.solarize,
    )
