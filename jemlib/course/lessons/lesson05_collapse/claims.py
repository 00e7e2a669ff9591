"""What lesson 05 claims about collapse, measured."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from jemlib.course.machinery.claims import Claim, register
from jemlib.course.machinery.lessons import lesson_of
from jemlib.course.machinery.runs import splits
from jemlib.diagnose import directional_spread, participation_ratio, rankme
from jemlib.evaluate import embeddings
from jemlib.experiments.removals import start_collapsed
from jemlib.methods import build
from jemlib.scales import Scale, adjusted_scale
from jemlib.theory import linear_contrastive_dynamics
from jemlib.train import fit

LESSON = lesson_of(__name__)
NOISE = 0.01
SETTINGS: dict[str, dict[str, Any]] = {"vicreg": {}, "simclr": {}, "simsiam": {"predictor": "none"}}


def short(scale: Scale, images: int) -> Scale:
    """A sixth of the steps, with a warm-up to match, in float32: bfloat16 rounds small noise around 1 away."""
    steps = max(1, scale.total_steps(images) // 6)
    return adjusted_scale(scale, steps=steps, warmup=min(scale.warmup, steps // 5), precision="float32")


@lru_cache(maxsize=32)
def started(seed: int, scale: Scale, name: str, noise: float | None) -> dict[str, float]:
    """Diagnostics of held-out embeddings after a short run from the constant plus noise; None is the ordinary start.

    Without the batch norm behind the projector, which would hide the constant. Kept, because claims share runs.
    """
    train, held_out = splits(scale)
    method = build(name, scale=scale, seed=seed, normalize_output=False, **SETTINGS[name])
    if noise is not None:
        start_collapsed(method, noise=noise)
    fit(method, train, scale=short(scale, len(train)), seed=seed)
    z = embeddings(method, held_out)
    return {"std": float(z.std(dim=0).mean()), "spread": float(directional_spread(z)), "rankme": float(rankme(z))}


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
        statement="Started at the exact constant, VICReg stays there, and so does SimSiam without its predictor.",
        lesson=LESSON,
        criterion="std of the embeddings after training <= 0.001 for both",
        measure=lambda seed, scale: {
            "vicreg": started(seed, scale, "vicreg", 0.0)["std"],
            "simsiam": started(seed, scale, "simsiam", 0.0)["std"],
        },
        holds=lambda n: max(n["vicreg"], n["simsiam"]) <= 0.001,
    )
)
register(
    Claim(
        id="collapse.noise-is-enough-to-leave",
        statement="Started at the constant plus a little noise, VICReg and SimCLR leave it.",
        lesson=LESSON,
        criterion="directional spread after training >= 0.01 for both; at the start it is below 0.000001",
        measure=lambda seed, scale: {
            name: started(seed, scale, name, NOISE)["spread"] for name in ("vicreg", "simclr")
        },
        holds=lambda n: min(n["vicreg"], n["simclr"]) >= 0.01,
    )
)
register(
    Claim(
        id="collapse.leaving-is-not-arriving",
        statement="VICReg leaves the constant along few directions: at equal steps far behind the ordinary start.",
        lesson=LESSON,
        criterion="RankMe from the constant plus noise <= half of RankMe from the ordinary start",
        measure=lambda seed, scale: {
            "noise": started(seed, scale, "vicreg", NOISE)["rankme"],
            "ordinary": started(seed, scale, "vicreg", None)["rankme"],
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
