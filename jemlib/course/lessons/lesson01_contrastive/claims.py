"""What lesson 01 claims about contrastive learning, measured with SimCLR."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from jemlib.course.machinery.claims import Claim, register
from jemlib.course.machinery.lessons import lesson_of
from jemlib.course.machinery.runs import columns, splits, trained
from jemlib.diagnose import directional_spread, uniformity
from jemlib.evaluate import backbone_knn, embeddings
from jemlib.scales import Scale

LESSON = lesson_of(__name__)
VARIANTS: dict[str, dict[str, Any]] = {
    "intact": {},
    "no negatives": {"negatives": False},
    "hot": {"temperature": 1.0},
}
FRACTION = 1 / 3  # of the steps, for every run: enough for these claims


@lru_cache(maxsize=32)
def measured(seed: int, scale: Scale, variant: str | None, fraction: float = FRACTION) -> dict[str, float]:
    """kNN of the backbone, and spread and uniformity of the embeddings, on held-out images.

    `variant` names an entry of VARIANTS; None leaves the network untrained.
    Kept, because several claims ask for the same run.
    """
    train, held_out = splits(scale)
    method = trained("simclr", seed, scale, None if variant is None else fraction, **VARIANTS[variant or "intact"])
    z = embeddings(method, held_out)
    return {
        "knn": backbone_knn(method.backbone, train, held_out),
        "spread": float(directional_spread(z)),
        "uniformity": float(uniformity(z)),
    }


register(
    Claim(
        id="contrastive.learns",
        statement="SimCLR learns the pattern without labels: its kNN beats the same backbone untrained.",
        lesson=LESSON,
        criterion="kNN trained >= kNN untrained + 0.30",
        # all steps, as the lesson's own run; a third of them is what lesson 00 claims
        measure=lambda seed, scale: {
            "trained": measured(seed, scale, "intact", 1)["knn"],
            "untrained": measured(seed, scale, None)["knn"],
        },
        holds=lambda n: n["trained"] >= n["untrained"] + 0.30,
    )
)
register(
    Claim(
        id="contrastive.negatives-prevent-collapse",
        statement="Without negatives, alignment alone makes all embeddings point the same way.",
        lesson=LESSON,
        criterion="directional spread with negatives >= 0.5, without them <= 0.1",
        measure=columns(measured, intact=("spread", "intact"), removed=("spread", "no negatives")),
        holds=lambda n: n["intact"] >= 0.5 and n["removed"] <= 0.1,
    )
)
register(
    Claim(
        id="contrastive.hot-is-less-uniform",
        statement="At a large temperature the embeddings cover the sphere less evenly.",
        lesson=LESSON,
        criterion="uniformity(tau = 0.2) <= uniformity(tau = 1) - 0.3",
        measure=columns(measured, intact=("uniformity", "intact"), hot=("uniformity", "hot")),
        holds=lambda n: n["intact"] <= n["hot"] - 0.3,
    )
)
register(
    Claim(
        id="contrastive.hot-learns-less",
        statement="At a large temperature the features say less about the pattern.",
        lesson=LESSON,
        criterion="kNN(tau = 1) <= kNN(tau = 0.2) - 0.03",
        measure=columns(measured, intact=("knn", "intact"), hot=("knn", "hot")),
        holds=lambda n: n["hot"] <= n["intact"] - 0.03,
    )
)
