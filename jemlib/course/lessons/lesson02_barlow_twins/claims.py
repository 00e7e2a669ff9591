"""What lesson 02 claims about Barlow Twins, measured."""

from __future__ import annotations

from functools import lru_cache

from jemlib.course.machinery.claims import Claim, register
from jemlib.course.machinery.lessons import lesson_of
from jemlib.course.machinery.runs import columns, splits, trained
from jemlib.diagnose import correlation_offdiagonal, rankme
from jemlib.evaluate import backbone_knn, embeddings
from jemlib.scales import Scale

LESSON = lesson_of(__name__)
REMOVALS: dict[str, dict[str, float]] = {
    "both": {},
    "no redundancy": {"lambd": 0.0},
    "no invariance": {"invariance": 0.0},
}


@lru_cache(maxsize=32)
def measured(seed: int, scale: Scale, removal: str | None, fraction: float = 1 / 3) -> dict[str, float]:
    """kNN of the backbone, RankMe and rms correlation of the embeddings, on the held-out images.

    `removal` names an entry of REMOVALS; None leaves the network untrained. The run takes a fraction of the steps.
    Kept, because several claims ask for the same run.
    """
    train, held_out = splits(scale)
    method = trained("barlow_twins", seed, scale, None if removal is None else fraction, **REMOVALS[removal or "both"])
    z = embeddings(method, held_out)
    return {
        "knn": backbone_knn(method.backbone, train, held_out),
        "rankme": float(rankme(z)),
        "correlation": float(correlation_offdiagonal(z)),
    }


register(
    Claim(
        id="barlow_twins.learns",
        statement="Barlow Twins learns the pattern without labels: its kNN beats the same backbone untrained.",
        lesson=LESSON,
        criterion="kNN trained >= kNN untrained + 0.30",
        measure=lambda seed, scale: {
            "trained": measured(seed, scale, "both", 1)["knn"],
            "untrained": measured(seed, scale, None, 1)["knn"],
        },
        holds=lambda n: n["trained"] >= n["untrained"] + 0.30,
    )
)
register(
    Claim(
        id="barlow_twins.redundancy-prevents-copies",
        statement="Without the redundancy term the dimensions repeat each other.",
        lesson=LESSON,
        criterion="rms correlation without the term >= 2 x with it",
        measure=columns(measured, both=("correlation", "both"), removed=("correlation", "no redundancy")),
        holds=lambda n: n["removed"] >= 2 * n["both"],
    )
)
register(
    Claim(
        id="barlow_twins.redundancy-keeps-rank",
        statement="Without the redundancy term the embeddings use fewer directions.",
        lesson=LESSON,
        criterion="RankMe without the term <= half of RankMe with it",
        measure=columns(measured, both=("rankme", "both"), removed=("rankme", "no redundancy")),
        holds=lambda n: n["removed"] <= 0.5 * n["both"],
    )
)
register(
    Claim(
        id="barlow_twins.invariance-carries-the-learning",
        statement="Without the invariance term the features say much less about the pattern.",
        lesson=LESSON,
        criterion="kNN without the term <= kNN with it - 0.20",
        measure=columns(measured, both=("knn", "both"), removed=("knn", "no invariance")),
        holds=lambda n: n["removed"] <= n["both"] - 0.20,
    )
)
register(
    Claim(
        id="barlow_twins.both-removals-allow-copies",
        statement="Without the invariance term, too, the dimensions of a view repeat each other.",
        lesson=LESSON,
        criterion="rms correlation without the term >= 2 x with it",
        measure=columns(measured, both=("correlation", "both"), removed=("correlation", "no invariance")),
        holds=lambda n: n["removed"] >= 2 * n["both"],
    )
)
register(
    Claim(
        id="barlow_twins.no-invariance-is-below-untrained",
        statement="Without the invariance term training makes the features worse than untrained ones.",
        lesson=LESSON,
        criterion="kNN without the term <= kNN untrained - 0.05",
        measure=columns(measured, untrained=("knn", None), removed=("knn", "no invariance")),
        holds=lambda n: n["removed"] <= n["untrained"] - 0.05,
    )
)
