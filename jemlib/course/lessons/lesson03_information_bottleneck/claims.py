"""What lesson 03 claims about the trade-off that Barlow Twins' lambda sets, measured."""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import Tensor

from jemlib.course.machinery.claims import Claim, register
from jemlib.course.machinery.lessons import lesson_of
from jemlib.course.machinery.runs import columns, splits, trained
from jemlib.data import Images
from jemlib.evaluate import embeddings, factor_probe
from jemlib.losses import cross_correlation, gaussian_entropy
from jemlib.methods import Method
from jemlib.nets import evaluating
from jemlib.scales import Scale
from jemlib.views import make_views

LESSON = lesson_of(__name__)
PROBED = 6000  # training images for the probes of factors: enough for 256 dimensions
DEFAULT, LARGE = 0.01, 0.1
RIDGE = 0.01  # variance of the noise that gives the entropy a resolution: a tenth of a standard deviation


def agreement_of_views(method: Method, images: Images) -> float:
    """Mean over the dimensions of C_ii between two views of `images`, in [-1, 1]; 1 is perfect invariance.

    Without `eps`, because the embeddings of an untrained network are tiny. A dimension that is constant counts as 0.
    """
    pair = make_views(images.pixels, "vicreg", generator=torch.Generator().manual_seed(0))
    device = next(method.parameters()).device
    with evaluating(method):
        z_a, z_b = (method.embed(view.to(device)).double().cpu() for view in pair)
    return float(cross_correlation(z_a, z_b, 0.0).diagonal().nan_to_num(0.0).mean())


def entropy_per_dimension(z: Tensor) -> float:
    """Gaussian entropy of the standardised embeddings over D, in nats; 0 when dimensions are uncorrelated.

    It is `(1 / 2D) log det((R + RIDGE I) / (1 + RIDGE))` with R the correlation matrix of the `(N, D)` embeddings:
    never above 0, and near log 0.1 when all dimensions are copies of one. In R a constant dimension is a row of zeros.
    """
    centred = z.double() - z.double().mean(dim=0)
    std = centred.square().mean(dim=0).sqrt()
    scaled = centred / torch.where(std > 0, std, 1.0)
    d = z.shape[1]
    uncorrelated = d / 2 * (math.log(2 * math.pi * math.e) + math.log(1 + RIDGE))
    return (float(gaussian_entropy(scaled, RIDGE)) - uncorrelated) / d


@lru_cache(maxsize=32)
def measured(seed: int, scale: Scale, lambd: float | None, fraction: float = 1 / 3) -> dict[str, float]:
    """What the embeddings of held-out images hold at one lambda, after a fraction of the steps.

    `agreement` is that of two views, `entropy` that of the embeddings per dimension, and each factor of the motifs has
    the score of its linear probe. None for lambda leaves the network untrained. Kept, because several claims ask for
    the same run.
    """
    train, held_out = splits(scale)
    settings = {} if lambd in (None, DEFAULT) else {"lambd": lambd}
    method = trained("barlow_twins", seed, scale, None if lambd is None else fraction, **settings)
    probed = train.subset(slice(0, PROBED))
    z = embeddings(method, held_out)
    scores = factor_probe(embeddings(method, probed), probed.factors or {}, z, held_out.factors or {})
    return {"agreement": agreement_of_views(method, held_out), "entropy": entropy_per_dimension(z), **scores}


# The threshold was written down before the first measurement. In nats per dimension, (1/2) log 2 = 0.35 is the entropy
# of twice the variance: the determinant of R + RIDGE I is 2^D times as large. It is also what a tenth of the dimensions
# adds when the data fill k = D / 10 directions evenly, each with variance D / k = 10, above the floor of the noise:
# (k / 2D) log(1 + D / (k RIDGE)) = 0.05 log 1001 = 0.35, for every D.
register(
    Claim(
        id="bottleneck.lambda-pays-for-entropy",
        statement="The proxy of the entropy (lambda = 0.01 against 0) raises the entropy of the embeddings.",
        lesson=LESSON,
        criterion="Gaussian entropy per dimension at lambda = 0.01 >= at lambda = 0, plus 0.35 nats",
        measure=columns(measured, zero=("entropy", 0.0), default=("entropy", DEFAULT)),
        holds=lambda n: n["default"] >= n["zero"] + 0.35,
    )
)
register(
    Claim(
        id="bottleneck.entropy-costs-invariance",
        statement="Ten times the weight on the proxy of the entropy costs agreement between the views.",
        lesson=LESSON,
        criterion="mean C_ii at lambda = 0.1 <= mean C_ii at lambda = 0.01 - 0.05",
        measure=columns(measured, default=("agreement", DEFAULT), large=("agreement", LARGE)),
        holds=lambda n: n["large"] <= n["default"] - 0.05,
    )
)
register(
    Claim(
        id="bottleneck.lambda-keeps-the-pattern",
        statement="With the entropy's proxy the pattern can be read off the embeddings; without it hardly.",
        lesson=LESSON,
        criterion="probe of the pattern at lambda = 0.01 >= at lambda = 0, plus 0.20",
        measure=columns(measured, zero=("pattern", 0.0), default=("pattern", DEFAULT)),
        holds=lambda n: n["default"] >= n["zero"] + 0.20,
    )
)
register(
    Claim(
        id="bottleneck.training-sorts-factors",
        statement="Training gives up brightness, which the views change, and gains the pattern, which they keep.",
        lesson=LESSON,
        criterion="against the untrained network: pattern up by >= 0.10 and brightness down by >= 0.10",
        measure=columns(
            measured,
            pattern=("pattern", DEFAULT),
            pattern_untrained=("pattern", None),
            brightness=("brightness", DEFAULT),
            brightness_untrained=("brightness", None),
        ),
        holds=lambda n: (
            n["pattern"] >= n["pattern_untrained"] + 0.10 and n["brightness"] <= n["brightness_untrained"] - 0.10
        ),
    )
)
