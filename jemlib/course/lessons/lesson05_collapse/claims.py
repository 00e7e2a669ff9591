"""What lesson 05 claims about collapse, measured."""

from __future__ import annotations

import copy
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from jemlib.course.machinery.claims import Claim, register
from jemlib.course.machinery.lessons import lesson_of
from jemlib.course.machinery.runs import splits
from jemlib.data import Images
from jemlib.diagnose import centered_rankme, directional_spread, participation_ratio
from jemlib.evaluate import embeddings
from jemlib.experiments.removals import start_collapsed
from jemlib.methods import Batch, Method, build
from jemlib.scales import Scale, adjusted_scale
from jemlib.theory import linear_contrastive_dynamics
from jemlib.train import fit
from jemlib.views import normalize

LESSON = lesson_of(__name__)
NOISE = 0.01
# Exact constants of several sizes, and batches whose size is no power of two: in single precision the mean over such a
# batch is not the constant itself, and the differences that rounding makes are noise. In double precision they are so
# small that a gradient of 0 and one that is not can be told apart.
CONSTANTS = (0.3, 1.0, 3.3, 7.0)
BATCHES = (6, 50)
SETTINGS: dict[str, dict[str, Any]] = {"vicreg": {}, "simclr": {}, "simsiam": {"predictor": "none"}}


def short(scale: Scale, images: int) -> Scale:
    """A sixth of the steps, with a warm-up to match, in float32: bfloat16 rounds small noise around 1 away."""
    steps = max(1, scale.total_steps(images) // 6)
    return adjusted_scale(scale, steps=steps, warmup=min(scale.warmup, steps // 5), precision="float32")


def in_training(method: Method, images: Images) -> Tensor:
    """Embeddings `(N, D)` of un-augmented images as a training step sees them, batch norm with their statistics.

    In evaluation mode batch norm takes running statistics, which are 0 and 1 before the first step, whatever the
    activations are. Until they have caught up, the modes differ by orders of magnitude. The method is left as it is.
    """
    copied = copy.deepcopy(method).train()
    with torch.no_grad():
        return copied.embed(normalize(images.pixels.to(next(copied.parameters()).device))).float().cpu()


@lru_cache(maxsize=32)
def started(seed: int, scale: Scale, name: str, noise: float | None) -> dict[str, float]:
    """Diagnostics of held-out embeddings after a short run from the constant plus noise; None is the ordinary start.

    Without the batch norm behind the projector, which would hide the constant. Kept, because claims share runs.
    """
    train, held_out = splits(scale)
    method = build(name, scale=scale, seed=seed, normalize_output=False, **SETTINGS[name])
    if noise is not None:
        start_collapsed(method, noise=noise)
    before = float(directional_spread(in_training(method, held_out.subset(slice(0, 256)))))
    fit(method, train, scale=short(scale, len(train)), seed=seed)
    z = embeddings(method, held_out)
    return {"start": before, "spread": float(directional_spread(z)), "rank": float(centered_rankme(z))}


def gradient_at_the_constant(seed: int, scale: Scale, name: str, constant: float, images: int) -> float:
    """The largest gradient norm of any parameter, in double precision, where all embeddings are `constant (1, ..., 1)`.

    Args:
        seed: of the weights and of the views.
        scale: gives data, backbone and widths.
        name: of the method.
        constant: the value of each dimension of the embeddings.
        images: in the batch.
    """
    method = build(name, scale=scale, seed=seed, normalize_output=False, **SETTINGS.get(name, {}))
    start_collapsed(method, constant=constant).double()
    pixels = splits(scale)[0].pixels[:images]
    views = method.make_views(pixels, torch.Generator().manual_seed(seed))
    method.step(Batch([view.double() for view in views])).total.backward()
    return max(float(p.grad.norm()) for p in method.parameters() if p.grad is not None)


def largest_gradient(seed: int, scale: Scale, name: str) -> float:
    """The largest of `gradient_at_the_constant` over CONSTANTS and BATCHES."""
    return max(gradient_at_the_constant(seed, scale, name, c, n) for c in CONSTANTS for n in BATCHES)


def linear_runs(seed: int) -> dict[str, Tensor]:
    """Final singular values of Jing et al.'s linear model: weak and strong augmentation, one layer and two.

    48 anchors of 8 dimensions. Strong augmentation adds noise of size 3 to the last four, weak 0.1 to all.
    """
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    x, noise = normal(48, 8), normal(48, 8)
    w, first, second = 0.3 * normal(8, 8), 0.1 * normal(8, 8), 0.1 * normal(8, 8)
    strong = noise * torch.tensor([0.1] * 4 + [3.0] * 4, dtype=torch.float64)
    runs = {
        "weak": (x + 0.1 * noise, [w]),
        "strong": (x + strong, [w]),
        "one layer": (x + 0.1 * noise, [second @ first]),
        "two layers": (x + 0.1 * noise, [first, second]),
    }
    return {
        name: linear_contrastive_dynamics(x, views, layers, steps=300, dt=0.05).singular_values[-1]
        for name, (views, layers) in runs.items()
    }


@lru_cache(maxsize=8)
def linear_numbers(seed: int) -> dict[str, float]:
    """What is left of the fifth direction beside the fourth, and the participation ratios of one layer and two."""
    runs = linear_runs(seed)
    return {
        "weak": float(runs["weak"][4] / runs["weak"][3]),
        "strong": float(runs["strong"][4] / runs["strong"][3]),
        "one_layer": float(participation_ratio(runs["one layer"].diag())),
        "two_layers": float(participation_ratio(runs["two layers"].diag())),
    }


register(
    Claim(
        id="collapse.exact-constant-stays",
        statement="At an exact constant of any size VICReg has no gradient, nor has SimSiam without its predictor.",
        lesson=LESSON,
        criterion=(
            "largest gradient norm of a parameter, in double precision, over the constants 0.3, 1, 3.3 and 7 and "
            "batches of 6 and 50 images, <= 1e-10 for both"
        ),
        measure=lambda seed, scale: {name: largest_gradient(seed, scale, name) for name in ("vicreg", "simsiam")},
        holds=lambda n: max(n["vicreg"], n["simsiam"]) <= 1e-10,
    )
)
register(
    Claim(
        id="collapse.noise-is-enough-to-leave",
        statement="Started at the constant plus a little noise, VICReg and SimCLR leave it.",
        lesson=LESSON,
        # The weights are 0.01 of the usual, and so is the distance of the rows: their spread is of order 0.01 squared.
        criterion="directional spread: at the start, with the statistics of a batch, <= 0.0001; after training >= 0.01",
        measure=lambda seed, scale: {
            f"{name}{suffix}": started(seed, scale, name, NOISE)[column]
            for name in ("vicreg", "simclr")
            for suffix, column in (("_start", "start"), ("", "spread"))
        },
        holds=lambda n: max(n["vicreg_start"], n["simclr_start"]) <= 0.0001 and min(n["vicreg"], n["simclr"]) >= 0.01,
    )
)
register(
    Claim(
        id="collapse.leaving-is-not-arriving",
        statement="VICReg leaves the constant along few directions: at equal steps far behind the ordinary start.",
        lesson=LESSON,
        criterion="centred RankMe from the constant plus noise <= half of centred RankMe from the ordinary start",
        measure=lambda seed, scale: {
            "noise": started(seed, scale, "vicreg", NOISE)["rank"],
            "ordinary": started(seed, scale, "vicreg", None)["rank"],
        },
        holds=lambda n: n["noise"] <= 0.5 * n["ordinary"],
    )
)
register(
    Claim(
        id="collapse.constant-attracts-without-predictor",
        statement="Without its predictor SimSiam stays near the constant, and falls into it from the ordinary start.",
        lesson=LESSON,
        criterion="directional spread after training <= 0.01 from both starts",
        measure=lambda seed, scale: {
            "noise": started(seed, scale, "simsiam", NOISE)["spread"],
            "ordinary": started(seed, scale, "simsiam", None)["spread"],
        },
        holds=lambda n: max(n["noise"], n["ordinary"]) <= 0.01,
    )
)
register(
    Claim(
        id="collapse.augmentation-and-depth-lose-directions",
        statement="In a linear contrastive model strong augmentation loses directions, and so does a second layer.",
        lesson=LESSON,
        criterion="singular value 5 over 4: strong <= 0.1, weak >= 0.5; participation ratio: two <= one layer - 1",
        measure=lambda seed, scale: linear_numbers(seed),
        holds=lambda n: n["strong"] <= 0.1 and n["weak"] >= 0.5 and n["two_layers"] <= n["one_layer"] - 1,
    )
)
