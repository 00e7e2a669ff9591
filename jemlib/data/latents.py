"""Images that six numbers decide: stripes whose place, size, turn, frequency and light are drawn from one law.

For the question which factors a representation recovers up to a linear map. A latent is a vector of six numbers, each
with mean 0 and variance 1, Gaussian or uniform. A pair of images that belong together has latents that are near each
other; everything else (hues, contrast, phase, noise) is drawn anew for each image.

    z = draw_latents(256, "gaussian", generator)             # (256, 6)
    near = move_latents(z, "gaussian", 0.9, generator)       # as often anywhere as z is, and near it
    images = draw_from_latents(z, generator)                 # 256 motifs, all of them stripes
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from jemlib import validate
from jemlib.data import motifs
from jemlib.data.images import Images

LAWS = ("gaussian", "uniform")
EDGE = math.sqrt(3)  # of the uniform law with variance 1
# What each number of a latent is: its name, the factor, and the column of the factor where it has two.
LATENTS = (
    ("x", "position", 0),
    ("y", "position", 1),
    ("scale", "scale", None),
    ("rotation", "rotation", None),
    ("frequency", "frequency", None),
    ("brightness", "brightness", None),
)
NAMES = tuple(name for name, _, _ in LATENTS)
PATTERN = motifs.PATTERNS.index("stripes")  # a turn of rings cannot be seen, one of stripes can


def draw_latents(n: int, law: str, generator: torch.Generator) -> Tensor:
    """`(n, 6)` numbers of mean 0 and variance 1, independent: Gaussian, or uniform between -sqrt 3 and sqrt 3.

    Raises:
        TypeError, ValueError: n is not a whole number >= 1, or the law is unknown.
    """
    validate.integer("n", n, at_least=1)
    if validate.choice("law", law, LAWS) == "gaussian":
        return torch.randn(n, len(LATENTS), generator=generator)
    return (2 * torch.rand(n, len(LATENTS), generator=generator) - 1) * EDGE


def move_latents(z: Tensor, law: str, rho: float, generator: torch.Generator) -> Tensor:
    """Latents near `z` that follow the same law as `z`: `(N, 6)` -> `(N, 6)`.

    Gaussian: `rho z + sqrt(1 - rho^2) noise`, whose correlation with z is rho. Uniform: z plus noise of the same
    mean square, 2 (1 - rho), mirrored at the edges, which keeps the law uniform.

    Args:
        z: as `draw_latents` returns.
        law: that of `z`.
        rho: in [0, 1]; 1 leaves everything where it is.
        generator: of the noise.

    Raises:
        TypeError, ValueError: a wrong shape, an unknown law, or rho outside [0, 1].
    """
    validate.tensor("z", z, "N 6", meaning="as draw_latents returns")
    validate.number("rho", rho, at_least=0, at_most=1)
    noise = torch.randn(z.shape, generator=generator)
    if validate.choice("law", law, LAWS) == "gaussian":
        return rho * z + math.sqrt(1 - rho**2) * noise
    moved = z + math.sqrt(2 * (1 - rho)) * noise
    # mirrored at both edges as often as it takes: a triangle wave of period 4 EDGE
    phase = torch.remainder(moved + EDGE, 4 * EDGE)
    return EDGE - (phase - 2 * EDGE).abs()


def draw_from_latents(z: Tensor, generator: torch.Generator) -> Images:
    """Stripes with these latents; all other factors are drawn anew.

    A number a standard deviation above 0 makes its factor one standard deviation larger than the mean of the motifs.
    Positions more than 3.46 standard deviations out are cut to the edge of the image, which happens to about one image
    in a thousand under the Gaussian law, and never under the uniform one.

    Raises:
        TypeError, ValueError: a wrong shape, or a value that is not finite.
    """
    z = validate.tensor("z", z, "N 6", meaning="as draw_latents returns")
    if not bool(z.isfinite().all()):
        raise ValueError(f"z must be finite; got {validate.describe(z)}.")
    factors = motifs.sample_factors(len(z), generator)
    factors = motifs.change(factors, "pattern", PATTERN)
    for column, (_, name, part) in enumerate(LATENTS):
        known = motifs.FACTORS[name]
        mean, deviation = (known.low + known.high) / 2, (known.high - known.low) / math.sqrt(12)
        values = (mean + deviation * z[:, column]).clamp(known.least, known.most)
        if part is not None:
            whole = factors[name].clone()
            whole[:, part] = values
            values = whole
        factors = motifs.change(factors, name, values)
    return motifs.draw(factors, split="drawn")
