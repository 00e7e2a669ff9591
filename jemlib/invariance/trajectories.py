"""Trajectories: sets of images of one object that differ by one transformation, to measure invariance on.

On motifs the object is drawn again under other values of one factor, so that nothing else changes. On other images
the pixels are transformed. The class is the same all along a trajectory, and its first frame is the original.

    seen = motif_trajectories("occlusion", num_objects=200)
    measure_invariance(backbone, seen)                                  # RIS with its baselines
    ris(features(backbone, seen.images), seen.trajectories, seen.classes, k=25)   # the same by hand
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor, nn

from jemlib import validate
from jemlib.data import Images, keep_some, motifs
from jemlib.data.images import SIZE, scramble
from jemlib.invariance.firing import RIS, ris
from jemlib.nets import features
from jemlib.views import Recipe, adjust_hue, crop_and_resize, draw_parameters

MOST_COVERED = 0.6  # of the disc, or of the image, in the last frame of a trajectory by occlusion
LIGHT = (0.3, 1.3)  # the light's strength relative to the original's, from frame 1 to the last
TINT = 0.6  # a coloured light lacks this share of its complement's channel
SLOPE = 0.4  # light_strength where its direction changes; the most that motifs are drawn with
GREY = 0.5
CROP = Recipe(crop_scale=(0.2, 1.0), flip=0.0)
SEED_LIMIT = 2**30  # as for motifs


@dataclass(frozen=True, eq=False)
class Trajectories:
    """T trajectories of F frames each: M = T F images, the frames of a trajectory in a row.

    Attributes:
        images: the M images. With motifs their factors too, as drawn.
        num_frames: F, >= 2.
        transformation: by what the frames of a trajectory differ.

    Raises:
        TypeError, ValueError: a wrong type, or the images are no whole number of trajectories, or labels differ
            along one.
    """

    images: Images
    num_frames: int
    transformation: str

    def __post_init__(self) -> None:
        if not isinstance(self.images, Images):
            raise TypeError(f"images must be Images; got {type(self.images).__name__}.")
        validate.integer("num_frames", self.num_frames, at_least=2)
        if len(self.images) == 0 or len(self.images) % self.num_frames:
            raise ValueError(
                f"images must be a whole number of trajectories of {self.num_frames} frames; got {len(self.images)}."
            )
        labels = self.classes.view(-1, self.num_frames)
        if bool((labels != labels[:, :1]).any()):
            raise ValueError("images must have one label along each trajectory; got several.")

    @property
    def pixels(self) -> Tensor:
        """`(M, 3, 32, 32)` uint8."""
        return self.images.pixels

    @property
    def trajectories(self) -> Tensor:
        """`(M,)` int64, the trajectory of each image, from 0."""
        return torch.arange(len(self.images), device=self.pixels.device) // self.num_frames

    @property
    def classes(self) -> Tensor:
        """`(M,)` int64, the class of each image."""
        return self.images.labels

    @property
    def frames(self) -> Tensor:
        """The pixels by trajectory and frame, `(T, F, 3, 32, 32)` uint8."""
        return self.pixels.unflatten(0, (-1, self.num_frames))


def measure_invariance(
    module: nn.Module, trajectories: Trajectories, k: int = 10, variant: str = "definition", *, seed: int = 0
) -> RIS:
    """RIS of a module's outputs on un-augmented images: `ris` of `evaluate.features`.

    Args:
        module: maps `(N, 3, 32, 32)` to `(N, U)`, U >= k; evaluated in evaluation mode.
        trajectories: at least two classes.
        k, variant, seed: as for `ris`.

    Raises:
        TypeError, ValueError: as `ris`; or `trajectories` is of another type.
    """
    if not isinstance(trajectories, Trajectories):
        raise TypeError(f"trajectories must be Trajectories; got {type(trajectories).__name__}.")
    h = features(module, trajectories.images)
    return ris(h, trajectories.trajectories, trajectories.classes, k, variant, seed=seed)


# --- motifs -----------------------------------------------------------------------------------------------------


class _Drawn(NamedTuple):
    """What a transformation of motifs may use, one row for each of the M images."""

    own: dict[str, Tensor]  # the factors of the object, the same all along its trajectory
    other: dict[str, Tensor]  # another object for each frame, but the first frame's is the object itself
    share: Tensor  # from 0 in the first frame to 1 in the last
    turn: Tensor  # from 0 in the first frame to just below 1 in the last, for what comes round again
    light: Tensor  # 1 in the first frame, then from LIGHT[0] to LIGHT[1]


Changes = dict[str, Tensor]
IDENTITY = ("foreground_hue", "background_hue", "saturation", "contrast", "frequency", "phase", "noise_seed")


def _turned(d: _Drawn) -> Changes:
    return {"rotation": d.own["rotation"] + math.pi * d.turn}


def _other_instance(d: _Drawn) -> Changes:
    return {name: d.other[name] for name in IDENTITY}


def _lit_from(d: _Drawn) -> Changes:
    angle = (d.own["light_angle"] + motifs.TURN * d.turn) % motifs.TURN
    return {"light_strength": torch.full_like(angle, SLOPE), "light_angle": angle}


_MOTIFS: dict[str, Callable[[_Drawn], Changes]] = {
    "occlusion": lambda d: {"occlusion": MOST_COVERED * d.share},
    "rotation": _turned,
    "position": lambda d: {"position": d.other["position"]},
    "illumination colour": lambda d: {},  # on the pixels
    "illumination strength": lambda d: {"brightness": d.own["brightness"] * d.light},
    "illumination direction": _lit_from,
    "instance": _other_instance,
    "instance and rotation": lambda d: {**_other_instance(d), **_turned(d)},
}
MOTIF_TRANSFORMATIONS = tuple(_MOTIFS)


def motif_trajectories(
    transformation: str, *, num_objects: int = 200, num_frames: int = 6, seed: int = 0
) -> Trajectories:
    """Draw motifs under several values of one factor; everything else, the noise included, stays as it is.

    `occlusion`: the share of the disc under the grey patch, evenly from 0 to 0.6.
    `rotation`: turned evenly through half a turn, which leaves the range that motifs are drawn with.
    `position`: first the object's own, then drawn anew.
    `illumination colour`: white light, then lights of hues evenly round the circle, multiplied onto the pixels.
    `illumination strength`: the brightness times 1, then evenly from 0.3 to 1.3.
    `illumination direction`: light_strength is 0.4, and light_angle goes evenly through a full turn.
    `instance`: another object of the same pattern in each frame, at the position, scale and rotation, and under the
    light, of the first. What makes it another are the hues, saturation, contrast, frequency, phase and noise.
    `instance and rotation`: both at once.

    Args:
        transformation: one of MOTIF_TRANSFORMATIONS.
        num_objects: T, >= 2, one trajectory each. The classes are equally frequent when it is a multiple of ten.
        num_frames: F, >= 2.
        seed: 0 <= seed < 2^30; with the same seed the same objects, whatever the transformation. They come from a
            stream of their own, apart from the splits that `load` draws.

    Raises:
        TypeError, ValueError: unknown transformation, or a number of the wrong type or range.
    """
    validate.choice("transformation", transformation, MOTIF_TRANSFORMATIONS)
    validate.integer("num_objects", num_objects, at_least=2)
    validate.integer("num_frames", num_frames, at_least=2)
    generator = _generator(seed)
    objects = motifs.sample_factors(num_objects, generator)
    own = {name: values.repeat_interleave(num_frames, dim=0) for name, values in objects.items()}
    drawn = motifs.sample_factors(num_objects * num_frames, generator)
    frame = torch.arange(num_frames).repeat(num_objects)
    other = {name: values.clone() for name, values in drawn.items()}
    for name, values in own.items():
        other[name][frame == 0] = values[frame == 0]
    share, turn = frame / (num_frames - 1), frame / num_frames
    factors = own
    for name, values in _MOTIFS[transformation](_Drawn(own, other, share, turn, _strengths(num_frames)[frame])).items():
        factors = motifs.change(factors, name, values)
    images = motifs.draw(factors, split="trajectories")
    if transformation == "illumination colour":
        images = replace(images, pixels=_lit(images.pixels, _lights(num_frames)[frame]))
    return Trajectories(images, num_frames, transformation)


# --- any images -------------------------------------------------------------------------------------------------


class _Frame(NamedTuple):
    """What a transformation of pixels may use to make one frame of N images."""

    pixels: Tensor  # (N, 3, 32, 32) uint8
    number: int  # from 1; the first frame, 0, is the original
    num_frames: int
    place: Tensor  # (N, 2) uniform in [0, 1), the same for all frames
    generator: torch.Generator  # on the CPU

    @property
    def x(self) -> Tensor:
        return self.pixels.float() / 255


def _cropped(f: _Frame) -> Tensor:
    parameters = draw_parameters(CROP, len(f.pixels), SIZE, SIZE, generator=f.generator, device=torch.device("cpu"))
    device = f.pixels.device
    return _to_uint8(crop_and_resize(f.x, parameters.box.to(device), parameters.flip.to(device)))


def _covered(f: _Frame) -> Tensor:
    side = round(SIZE * math.sqrt(MOST_COVERED * f.number / (f.num_frames - 1)))
    # The square grows about a fixed point of the image, as far as it can without leaving it: each covers the last.
    top, left = (f.place * (SIZE - side + 1)).floor().unbind(dim=1)
    line = torch.arange(SIZE, device=f.pixels.device)
    rows = (line >= top[:, None]) & (line < top[:, None] + side)
    columns = (line >= left[:, None]) & (line < left[:, None] + side)
    square = rows[:, None, :, None] & columns[:, None, None, :]
    return f.pixels.masked_fill(square, round(255 * GREY))


def _hue_turned(f: _Frame) -> Tensor:
    return _to_uint8(adjust_hue(f.x, torch.full_like(f.place[:, 0], f.number / f.num_frames)))


_IMAGES: dict[str, Callable[[_Frame], Tensor]] = {
    "crop": _cropped,
    "occlusion": _covered,
    "hue": _hue_turned,
    "illumination colour": lambda f: _lit(f.pixels, _lights(f.num_frames)[f.number].expand(len(f.pixels), 3)),
    "illumination strength": lambda f: _lit(f.pixels, _strengths(f.num_frames)[f.number].expand(len(f.pixels), 1)),
}
IMAGE_TRANSFORMATIONS = tuple(_IMAGES)


def image_trajectories(
    images: Images, transformation: str, *, num_frames: int = 6, seed: int = 0, limit: int | None = None
) -> Trajectories:
    """Transform the pixels of any images several times; the first frame of each trajectory is the image itself.

    `crop`: random crops of 0.2 to 1 of the area, resized, as in the usual views but without flips.
    `occlusion`: a grey square at a random place, which grows evenly up to 0.6 of the area and covers what it covered.
    `hue`: turned evenly round the circle.
    `illumination colour`: lights of hues evenly round the circle, multiplied onto the pixels.
    `illumination strength`: the pixels times factors evenly from 0.3 to 1.3.

    Whether a transformation keeps the label is a property of the images. Where colour or the corner of an image
    decides the class, a crop or another hue does not keep it.

    Args:
        images: N images.
        transformation: one of IMAGE_TRANSFORMATIONS.
        num_frames: F, >= 2.
        seed: of the crops and the places, and of the choice of images; 0 <= seed < 2^30.
        limit: a random choice of at most this many images; None for all.

    Raises:
        TypeError, ValueError: unknown transformation, no images, or a number of the wrong type or range.
    """
    if not isinstance(images, Images):
        raise TypeError(f"images must be Images; got {type(images).__name__}.")
    validate.choice("transformation", transformation, IMAGE_TRANSFORMATIONS)
    validate.integer("num_frames", num_frames, at_least=2)
    generator = _generator(seed)
    images = keep_some(images, limit, seed)
    if len(images) == 0:
        raise ValueError("images must hold at least one image; got none.")
    place = torch.rand(len(images), 2, generator=generator).to(images.pixels.device)
    frames = [images.pixels]
    for number in range(1, num_frames):
        frames.append(_IMAGES[transformation](_Frame(images.pixels, number, num_frames, place, generator)))
    # Factors, where known, would no longer be true.
    images = replace(
        images,
        pixels=torch.stack(frames, dim=1).flatten(0, 1),
        labels=images.labels.repeat_interleave(num_frames),
        factors=None,
    )
    return Trajectories(images, num_frames, transformation)


# --- light ------------------------------------------------------------------------------------------------------


def _strengths(num_frames: int) -> Tensor:
    """`(F,)`: 1, then evenly over LIGHT."""
    return torch.cat([torch.ones(1), torch.linspace(*LIGHT, num_frames - 1)])


def _lights(num_frames: int) -> Tensor:
    """Gains of red, green and blue, `(F, 3)` in [1 - TINT, 1]: white, then hues evenly round the circle."""
    hue = torch.arange(num_frames - 1) / (num_frames - 1)
    # gain_c = 1 - TINT (1 - cos 2 pi (hue - c/3)) / 2: all of its own hue, least of the opposite one
    gains = 1 - TINT / 2 * (1 - torch.cos(2 * math.pi * (hue[:, None] - torch.arange(3) / 3)))
    return torch.cat([torch.ones(1, 3), gains])


def _lit(pixels: Tensor, gains: Tensor) -> Tensor:
    """Light multiplies: `(N, 3, H, W)` uint8 times `(N, 3)` or `(N, 1)`, rounded and clipped at white."""
    return _to_uint8(pixels.float() / 255 * gains.to(pixels.device)[:, :, None, None])


def _to_uint8(x: Tensor) -> Tensor:
    return (x * 255).round().clamp(0, 255).to(torch.uint8)


def _generator(seed: int) -> torch.Generator:
    """A stream apart from those of `motifs.load`, whose numbers grow from 1 while these fall from 2^32 - 1."""
    validate.integer("seed", seed, at_least=0)
    if seed >= SEED_LIMIT:
        raise ValueError(f"seed must be < 2^30; got {seed}.")
    return torch.Generator().manual_seed(int(scramble(torch.tensor(2**32 - 1 - seed))))
