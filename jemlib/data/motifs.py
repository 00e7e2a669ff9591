"""Generated images whose factors are known: a textured disc on a coloured ground, one of ten patterns.

The pattern is the class. Everything else (hues, frequency, phase, position, scale, rotation, contrast, light, noise)
is drawn without regard to it, and is kept as a label, so that "invariant to what?" has an answer:

    images = load("test")                              # 2,000 images and their factors
    redraw(images, "foreground_hue", 0.5)              # the same objects, noise and all, under one hue
    redraw(images, "occlusion", 0.5)                   # the same objects, half covered by a grey patch
    scene(sample_factors(8, g), sample_factors(8, g))  # two objects in one image

Lengths are in units of half the image: x and y run from -1 (left, top) to 1 (right, bottom), 16 pixels a unit.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from jemlib import validate
from jemlib.data.images import SIZE, SPLITS, Images, scramble

PATTERNS = ("stripes", "checks", "dots", "rings", "zigzag", "grid", "bricks", "spokes", "spiral", "plus signs")
COUNTS = {"train": 20_000, "validation": 2_000, "test": 2_000}
NOISE = 10.0  # standard deviation of the pixel noise, in grey levels of 255
CHUNK = 500  # images rendered at once: about 2 MB for each intermediate plane
SEED_LIMIT = 2**30  # three splits to a seed, and a generator tells 2^32 seeds apart


class Factor(NamedTuple):
    """How a factor is drawn, uniform in [low, high), and what it may be set to, [least, most].

    A signed factor is drawn with either sign, equally often.
    """

    low: float
    high: float
    least: float
    most: float
    columns: int  # numbers for each image: 1 is stored as (N,), 2 as (N, 2)
    meaning: str
    signed: bool = False


TURN = 2 * math.pi
# The ranges are a balance, measured: more colour, or less contrast, and self-supervised methods learn the colours
# instead of the pattern; less variety in place, frequency and sign of contrast, and raw pixels give the class away.
FACTORS = {
    "foreground_hue": Factor(0, 1, 0, 1, 1, "hue of the pattern; 0 and 1 are the same red"),
    "background_hue": Factor(0, 1, 0, 1, 1, "hue of the ground around and between the pattern"),
    "saturation": Factor(0, 0.4, 0, 1, 1, "0 is grey, 1 the most colour this luminance allows"),
    "contrast": Factor(0.2, 0.4, -0.8, 0.8, 1, "luminance of the pattern minus that of the ground", signed=True),
    "brightness": Factor(0.7, 1.2, 0, 2, 1, "the whole image is multiplied by this"),
    "light_strength": Factor(0, 0.4, 0, 1, 1, "light grows by this share from the centre to the lit side"),
    "light_angle": Factor(0, TURN, -TURN, TURN, 1, "direction of the lit side, radians"),
    "frequency": Factor(4, 8, 1, 12, 1, "periods of the pattern over the width of the image"),
    "phase": Factor(0, 1, -1, 1, 2, "shift of the pattern inside the disc, periods"),
    "position": Factor(-0.5, 0.5, -1, 1, 2, "centre of the disc, x and y"),
    "scale": Factor(0.75, 1, 0.05, 2, 1, "radius of the disc; the period of the pattern does not follow it"),
    "rotation": Factor(-0.5, 0.5, -TURN, TURN, 1, "turn of the pattern, radians"),
    "occlusion": Factor(0, 0, 0, 1, 1, "share of the disc's pixels under the grey patch"),
    "occlusion_angle": Factor(0, TURN, -TURN, TURN, 1, "side from which the patch covers, radians"),
}
# Two factors are whole numbers: `pattern`, 0 to 9, the class; and `noise_seed`, 0 to 2^32 - 1.


def load(split: str, *, limit: int | None = None, seed: int = 0) -> Images:
    """One split: 20,000 `train`, 2,000 `validation` or 2,000 `test` images, the classes equally frequent.

    Images are drawn independently, so with a limit only the first `limit` are drawn. No two splits and no two
    seeds share a random stream.

    Raises:
        TypeError, ValueError: unknown split, limit < 1, or seed outside 0 <= seed < 2^30.
    """
    validate.choice("split", split, SPLITS)
    validate.integer("seed", seed, at_least=0)
    if seed >= SEED_LIMIT:
        raise ValueError(f"seed must be < 2^30; got {seed}.")
    n = COUNTS[split]
    if limit is not None:
        validate.integer("limit", limit, at_least=1)
        n = min(n, limit)
    # Scrambled, so that nobody's Generator().manual_seed(0) draws the training images again.
    stream = int(scramble(torch.tensor(3 * seed + SPLITS.index(split) + 1)))
    return draw(sample_factors(n, torch.Generator().manual_seed(stream)), split=split)


def draw(factors: dict[str, Tensor], *, split: str = "drawn") -> Images:
    """Render `factors` into `Images`: the label is the pattern, the factors are kept."""
    return Images(render(factors), factors["pattern"], PATTERNS, factors, name="motifs", split=split)


def sample_factors(n: int, generator: torch.Generator) -> dict[str, Tensor]:
    """Draw the factors of n images, every factor independent of the pattern and of all others.

    Only integers are drawn from the generator and the rest is derived from them by integer hashing, so the result
    is the same on every machine. The first images do not depend on n.

    Args:
        n: number of images, >= 1.
        generator: a generator on the CPU.

    Returns:
        `pattern` and `noise_seed`, `(n,)` int64, and each of FACTORS, float32 `(n,)`, or `(n, 2)` for `phase` and
        `position`. Every ten images in a row hold each pattern once. `occlusion` is 0.

    Raises:
        TypeError, ValueError: n is not a whole number >= 1, or generator is no CPU generator.
    """
    validate.integer("n", n, at_least=1)
    if not isinstance(generator, torch.Generator) or generator.device.type != "cpu":
        raise TypeError(f"generator must be a torch.Generator on the CPU; got {validate.describe(generator)}.")
    rows = -(-n // len(PATTERNS)) * len(PATTERNS)
    key = torch.randint(2**24, (rows, 2), generator=generator)
    key = scramble(scramble(key[:, 0]) ^ key[:, 1])

    def uniform(column: int) -> Tensor:
        # 24 random bits: exact in float32
        return (scramble(key + 0x9E3779B1 * (column + 1)) >> 8).float() / 2**24

    order = scramble(key ^ 0x5BD1E995).view(-1, len(PATTERNS))
    factors = {"pattern": order.argsort(dim=1, stable=True).flatten(), "noise_seed": key}
    column = 0
    for name, factor in FACTORS.items():
        unit = torch.stack([uniform(column + i) for i in range(factor.columns)], dim=1)
        column += factor.columns
        values = factor.low + (factor.high - factor.low) * unit
        if factor.signed:
            values = values * torch.where(uniform(column) < 0.5, -1.0, 1.0)[:, None]
            column += 1
        factors[name] = values if factor.columns > 1 else values[:, 0]
    return {name: values[:n].clone() for name, values in factors.items()}


def render(factors: dict[str, Tensor]) -> Tensor:
    """Draw images from their factors: a dict as `sample_factors` returns -> `(N, 3, 32, 32)` uint8.

    The noise belongs to `noise_seed` alone, so images that differ in another factor have the same noise. The result
    is on the device of the factors. It is the same everywhere up to the last bit of sine, cosine and arctangent,
    which may move a pixel by one grey level.

    Raises:
        TypeError, ValueError: a factor is missing, unknown, or has the wrong type, shape or range.
    """
    check_factors(factors)
    return _in_chunks(lambda part: _finish(_paint(_ground(part), part), part), factors)


def object_mask(factors: dict[str, Tensor]) -> Tensor:
    """The pixels whose centre lies inside the disc, covered or not: `(N, 32, 32)` bool."""
    check_factors(factors)
    return _in_chunks(_disc_mask, factors)


def occlusion_mask(factors: dict[str, Tensor]) -> Tensor:
    """The pixels under the grey patch, `(N, 32, 32)` bool: exactly round(occlusion * area) of each disc's pixels."""
    check_factors(factors)
    return _in_chunks(_covered, factors)


def change(factors: dict[str, Tensor], factor: str, value: float | Sequence[float] | Tensor) -> dict[str, Tensor]:
    """A copy of `factors` with one factor set to `value`, the same for all images or one value for each.

    Args:
        factors: as `sample_factors` returns, N images.
        factor: one of its names.
        value: a number, a pair (x, y) for `position` and `phase`, or a tensor of the factor's own shape.

    Raises:
        TypeError, ValueError: unknown factor, or a value of the wrong shape or range.
    """
    check_factors(factors)
    validate.choice("factor", factor, factors)
    old = factors[factor]
    new = torch.as_tensor(value, device=old.device)
    if new.dtype == torch.bool or new.is_complex() or (new.is_floating_point() and not old.is_floating_point()):
        raise TypeError(
            f"{factor} must be {'a number' if old.is_floating_point() else 'a whole number'}; "
            f"got {validate.describe(value)}."
        )
    if new.shape not in (old.shape, old.shape[1:]):
        raise ValueError(
            f"value of {factor} must have shape {tuple(old.shape[1:])} for all images or "
            f"{tuple(old.shape)} for each; got {tuple(new.shape)}."
        )
    changed = {**factors, factor: new.to(old.dtype).expand(old.shape).clone()}
    check_factors(changed)
    return changed


def redraw(source: Images | dict[str, Tensor], factor: str, value: float | Sequence[float] | Tensor) -> Images:
    """Draw the same objects, with the same noise, under another value of one factor.

    Args:
        source: motifs with their factors, or a dict of factors.
        factor: a name in FACTORS, or `pattern` or `noise_seed`.
        value: as for `change`.

    Returns:
        Images, in the order of `source`; labels change only when factor is `pattern`.

    Raises:
        TypeError, ValueError: as `change`; or `source` has no factors, or is a scene.
    """
    split = "drawn"
    if isinstance(source, Images):
        if source.factors is None:
            raise ValueError(f"source must have known factors, as motifs have; {source!r} has none.")
        split, source = source.split, source.factors
    return draw(change(source, factor, value), split=split)


def scene(left: dict[str, Tensor], right: dict[str, Tensor]) -> Images:
    """Two objects in one image, side by side on the ground of the left one, each disc in its own two hues.

    Both are drawn with scale 0.45 at x = -0.5 and x = 0.5, and with a frequency of at least 6, so that the small disc
    shows its pattern; all else that belongs to an object is its own.
    Ground, light and noise are the left one's.

    Args:
        left, right: factors as `sample_factors` returns, N images each.

    Returns:
        Images named `scene`, labelled with the left pattern. `factors` holds both, as drawn, under `left.pattern`,
        `right.pattern` and so on.

    Raises:
        TypeError, ValueError: as `render`, or the two differ in length.
    """
    left, right = _placed(left, x=-0.5), _placed(right, x=0.5)
    if len(left["pattern"]) != len(right["pattern"]):
        raise ValueError(
            f"left and right must have the same number of images; got {len(left['pattern'])} and "
            f"{len(right['pattern'])}."
        )
    factors = {f"left.{name}": values for name, values in left.items()}
    factors |= {f"right.{name}": values for name, values in right.items()}

    def both(part: dict[str, Tensor]) -> Tensor:
        a = {name: part[f"left.{name}"] for name in left}
        b = {name: part[f"right.{name}"] for name in right}
        return _finish(_paint(_paint(_ground(a), a), b), a)

    return Images(_in_chunks(both, factors), left["pattern"], PATTERNS, factors, name="scene", split="drawn")


def check_factors(factors: dict[str, Tensor]) -> None:
    """Raise unless `factors` holds every factor, with one length, one device, and values in range."""
    if not isinstance(factors, dict):
        raise TypeError(f"factors must be a dict of tensors, as sample_factors returns; got {type(factors).__name__}.")
    known = ["pattern", "noise_seed", *FACTORS]
    missing, extra = [name for name in known if name not in factors], sorted(set(factors) - set(known))
    if missing or extra:
        raise ValueError(f"factors must hold exactly {', '.join(known)}; missing: {missing}, unknown: {extra}.")
    for name, values in factors.items():
        if not isinstance(values, Tensor):
            raise TypeError(f"factors[{name!r}] must be a torch.Tensor; got {type(values).__name__}.")
    pattern = factors["pattern"]
    for name, top in (("pattern", len(PATTERNS) - 1), ("noise_seed", 2**32 - 1)):
        _check_values(name, factors[name], torch.int64, (len(pattern),) if pattern.ndim else (1,), 0, top)
    for name, factor in FACTORS.items():
        shape = (len(pattern),) if factor.columns == 1 else (len(pattern), factor.columns)
        _check_values(name, factors[name], torch.float32, shape, factor.least, factor.most)
        if factors[name].device != pattern.device:
            raise ValueError(
                f"all factors must be on one device; pattern is on {pattern.device}, {name} on {factors[name].device}."
            )


def _check_values(
    name: str,
    values: Tensor,
    dtype: torch.dtype,
    shape: tuple[int, ...],
    low: float,
    high: float,
) -> None:
    """Raise unless a factor has this dtype, this shape and lies in [low, high]."""
    if values.dtype != dtype or tuple(values.shape) != shape:
        raise ValueError(
            f"factors[{name!r}] must be {str(dtype).removeprefix('torch.')} of shape {shape}; "
            f"got {validate.describe(values)}."
        )
    inside = (values >= low) & (values <= high)  # false for NaN too
    if not bool(inside.all()):
        raise ValueError(f"{name} must lie in [{low:g}, {high:g}]; got {values[~inside][0].item()!r}.")


def _in_chunks(function: Callable[[dict[str, Tensor]], Tensor], factors: dict[str, Tensor]) -> Tensor:
    """Apply `function` to CHUNK images at a time, to keep intermediate planes small."""
    n = len(next(iter(factors.values())))
    parts = [
        function({name: values[start : start + CHUNK] for name, values in factors.items()})
        for start in range(0, max(n, 1), CHUNK)
    ]
    return torch.cat(parts)


def _placed(factors: dict[str, Tensor], x: float) -> dict[str, Tensor]:
    """The factors of an object moved to this x, shrunk to fit into half an image, and fine enough to be told there."""
    check_factors(factors)
    position = torch.stack([torch.full_like(factors["scale"], x), factors["position"][:, 1]], dim=1)
    factors = change(factors, "frequency", factors["frequency"].clamp(min=6))
    return change(change(factors, "position", position), "scale", 0.45)


def _plane(values: Tensor) -> Tensor:
    """`(n,)` -> `(n, 1, 1)`, to combine with planes `(n, 32, 32)`."""
    return values[:, None, None]


def _grid(device: torch.device) -> tuple[Tensor, Tensor]:
    """x `(1, 32)` and y `(32, 1)` of the pixel centres, from -31/32 to 31/32."""
    line = (torch.arange(SIZE, device=device) + 0.5) * (2 / SIZE) - 1
    return line[None, :], line[:, None]


def _offsets(f: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    """x and y of each pixel relative to the centre of the disc: two planes that broadcast to `(n, 32, 32)`."""
    x, y = _grid(f["scale"].device)
    return x - _plane(f["position"][:, 0]), y - _plane(f["position"][:, 1])


def _colour(hue: Tensor, luminance: Tensor, saturation: Tensor) -> Tensor:
    """RGB `(n, 3, 1, 1)` of exactly this luminance, so that hue and contrast are independent."""
    shift = torch.tensor([0.0, 2 / 3, 1 / 3], device=hue.device)
    rgb = (2 - 6 * ((hue[:, None] + shift) % 1 - 0.5).abs()).neg().add(1).clamp(0, 1)  # the hue circle
    weights = torch.tensor([0.299, 0.587, 0.114], device=hue.device)
    chroma = rgb - (rgb * weights).sum(dim=1, keepdim=True)
    # The most colour that keeps every channel in [0, 1]; chroma has entries of both signs.
    level = luminance[:, None]
    room = torch.minimum((1 - level) / chroma.amax(dim=1, keepdim=True), level / -chroma.amin(dim=1, keepdim=True))
    return (level + saturation[:, None] * room * chroma)[:, :, None, None]


def _ground_colour(f: dict[str, Tensor]) -> Tensor:
    return _colour(f["background_hue"], 0.45 - f["contrast"] / 2, f["saturation"])


def _ground(f: dict[str, Tensor]) -> Tensor:
    """The plain ground, `(n, 3, 32, 32)` in [0, 1]."""
    return _ground_colour(f).expand(-1, 3, SIZE, SIZE)


def _paint(canvas: Tensor, f: dict[str, Tensor]) -> Tensor:
    """Put the disc on the canvas, pattern in the foreground hue, and the grey patch over it."""
    dx, dy = _offsets(f)
    ground = _ground_colour(f)
    ink = _colour(f["foreground_hue"], 0.45 + f["contrast"] / 2, f["saturation"])
    texture = ground + _ink(f, dx, dy)[:, None] * (ink - ground)
    inside = (0.5 + (_plane(f["scale"]) - (dx * dx + dy * dy).sqrt()) * (SIZE / 2)).clamp(0, 1)  # a rim of one pixel
    canvas = canvas + inside[:, None] * (texture - canvas)
    if bool((f["occlusion"] > 0).any()):
        canvas = canvas.masked_fill(_covered(f)[:, None], 0.5)
    return canvas


def _disc_mask(f: dict[str, Tensor]) -> Tensor:
    dx, dy = _offsets(f)
    return dx * dx + dy * dy <= _plane(f["scale"].square())


def _covered(f: dict[str, Tensor]) -> Tensor:
    """The first round(occlusion * area) pixels of the disc as seen from `occlusion_angle`."""
    dx, dy = _offsets(f)
    disc = _disc_mask(f)
    depth = dx * _plane(f["occlusion_angle"].cos()) + dy * _plane(f["occlusion_angle"].sin())
    depth = depth.masked_fill(~disc, torch.inf).flatten(1)
    rank = depth.argsort(dim=1, stable=True).argsort(dim=1).view_as(disc)
    count = (f["occlusion"] * disc.sum(dim=(1, 2))).round()
    return rank < _plane(count)


def _finish(canvas: Tensor, f: dict[str, Tensor]) -> Tensor:
    """Light, noise and rounding: `(n, 3, 32, 32)` in [0, 1] -> uint8."""
    x, y = _grid(canvas.device)
    slope = x * _plane(f["light_angle"].cos()) + y * _plane(f["light_angle"].sin())
    light = _plane(f["brightness"]) * (1 + _plane(f["light_strength"]) * slope)
    return (canvas * light[:, None] * 255 + _noise(f["noise_seed"])).round().clamp(0, 255).to(torch.uint8)


def _noise(seed: Tensor) -> Tensor:
    """Uniform noise in grey levels, `(n, 3, 32, 32)`, mean 0, standard deviation NOISE; a hash of seed and pixel."""
    pixel = scramble(torch.arange(SIZE * SIZE, device=seed.device))
    bits = scramble(seed[:, None] ^ pixel).view(-1, 1, SIZE, SIZE)
    shift = torch.tensor([0, 10, 20], device=seed.device).view(1, 3, 1, 1)
    level = (bits >> shift) & 1023  # ten bits for each channel
    return (level.float() - 511.5) * (NOISE * math.sqrt(12) / 1024)


class Plane(NamedTuple):
    """What a pattern is drawn from: coordinates and shifts in periods, the frequency in periods over the image."""

    u: Tensor  # (n, 32, 32), across the pattern, 0 at the centre of the disc
    v: Tensor  # (n, 32, 32), along it
    shift_u: Tensor  # (n, 1, 1)
    shift_v: Tensor  # (n, 1, 1)
    frequency: Tensor  # (n, 1, 1)


# The patterns. Each returns how far inside the pattern a pixel is, in periods: positive inside, negative outside, 0 on
# the edge. About half of each disc is inside.


def _fold(t: Tensor) -> Tensor:
    """Distance to the nearest whole number, in [0, 0.5]: the triangle wave that all the patterns are made of."""
    return (t - t.round()).abs()


def _lattice(p: Plane) -> tuple[Tensor, Tensor]:
    """Distance along u and along v from the nearest point of a square lattice, both in [0, 0.5]."""
    return _fold(p.u + p.shift_u), _fold(p.v + p.shift_v)


def _polar(p: Plane) -> tuple[Tensor, Tensor]:
    """Angle in turns, -1/2 to 1/2, and radius in periods, around the centre of the disc."""
    return torch.atan2(p.v, p.u) / TURN, (p.u * p.u + p.v * p.v).sqrt()


def _stripes(p: Plane) -> Tensor:
    return 0.25 - _fold(p.u + p.shift_u)


def _checks(p: Plane) -> Tensor:
    a, b = _lattice(p)
    a, b = 0.25 - a, 0.25 - b
    return torch.where(a * b > 0, 1.0, -1.0) * torch.minimum(a.abs(), b.abs())


def _dots(p: Plane) -> Tensor:
    a, b = _lattice(p)
    return 0.36 - (a * a + b * b).sqrt()


def _rings(p: Plane) -> Tensor:
    return 0.25 - _fold(_polar(p)[1] + p.shift_u)


def _zigzag(p: Plane) -> Tensor:
    bend = _fold(0.8 * (p.v + p.shift_v)) / 0.8
    # Slopes of one in both directions, so the distance to an edge is shorter by a root of two.
    return (0.25 - _fold(p.u + p.shift_u + bend)) / math.sqrt(2)


def _grid_lines(p: Plane) -> Tensor:
    return 0.17 - torch.minimum(*_lattice(p))


def _bricks(p: Plane) -> Tensor:
    v = p.v + p.shift_v
    u = 0.6 * p.u + p.shift_u + 0.5 * (v.floor() % 2)  # every other row is shifted by half a brick
    return torch.minimum((0.5 - _fold(u + 0.5)) / 0.6, 0.5 - _fold(v + 0.5)) - 0.2


def _spokes(p: Plane) -> Tensor:
    angle, radius = _polar(p)
    count = (1.5 * p.frequency).round()  # a whole number, or the first and the last spoke would not meet
    return (0.25 - _fold(angle * count + p.shift_u)) * radius * (TURN / count)


def _spiral(p: Plane) -> Tensor:
    angle, radius = _polar(p)
    arms = 3
    # The slope of what is folded: 1 along the radius, arms / (2 pi radius) along the circle.
    slope = (1 + (arms / TURN / radius.clamp(min=0.05)).square()).sqrt()
    return (0.25 - _fold(radius + angle * arms + p.shift_u)) / slope


def _plus_signs(p: Plane) -> Tensor:
    a, b = _lattice(p)
    return torch.maximum(torch.minimum(0.42 - a, 0.15 - b), torch.minimum(0.15 - a, 0.42 - b))


# pattern -> its function and how many of its periods make one of `frequency`: small repeats need larger cells
_DRAW: tuple[tuple[Callable[[Plane], Tensor], float], ...] = (
    (_stripes, 1.0),
    (_checks, 0.8),
    (_dots, 1.0),
    (_rings, 1.0),
    (_zigzag, 1.0),
    (_grid_lines, 0.9),
    (_bricks, 0.9),
    (_spokes, 1.0),
    (_spiral, 1.0),
    (_plus_signs, 0.7),
)


def _ink(f: dict[str, Tensor], dx: Tensor, dy: Tensor) -> Tensor:
    """How much of each pixel is pattern, `(n, 32, 32)` in [0, 1], with edges one pixel wide."""
    cos, sin = _plane(f["rotation"].cos()), _plane(f["rotation"].sin())
    per_unit = _plane(f["frequency"]) / 2
    u, v = (cos * dx + sin * dy) * per_unit, (cos * dy - sin * dx) * per_unit
    shift_u, shift_v = _plane(f["phase"][:, 0]), _plane(f["phase"][:, 1])
    ink = torch.empty_like(u)
    for label, (function, density) in enumerate(_DRAW):
        i = (f["pattern"] == label).nonzero().flatten()
        plane = Plane(u[i] * density, v[i] * density, shift_u[i], shift_v[i], 2 * per_unit[i])
        pixels_a_period = (SIZE / 2) / (per_unit[i] * density)
        ink[i] = (0.5 + function(plane) * pixels_a_period).clamp(0, 1)
    return ink
