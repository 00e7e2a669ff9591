"""What lesson 06 claims about SwAV, measured."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from jemlib.course.machinery.claims import Claim, register
from jemlib.course.machinery.lessons import lesson_of
from jemlib.course.machinery.runs import columns, splits
from jemlib.diagnose import directional_spread, effective_number
from jemlib.evaluate import backbone_knn, embeddings, k_means, naming_accuracy, nearest_prototypes
from jemlib.methods import build
from jemlib.scales import Scale
from jemlib.train import fit

LESSON = lesson_of(__name__)
PROTOTYPES = 64  # fewer than images in a batch, so that codes can be sharp, and few enough to be named by hand
LABELS = (1, 5, 10)  # labelled images of each class
# Both without the batch norm at the output, which holds the spread of each dimension up and hides a collapse.
REMOVALS: dict[str, dict[str, Any]] = {
    "with Sinkhorn": {"normalize_output": False},
    "without Sinkhorn": {"normalize_output": False, "iterations": 0},
}


@lru_cache(maxsize=32)
def measured(seed: int, scale: Scale, removal: str | None) -> dict[str, float]:
    """One run, trained on all steps (`removal` ""), on a third of them ("with Sinkhorn", ...), or not (None).

    Kept, because several claims ask for the same run.
    """
    train, held_out = splits(scale)
    method = build("swav", scale=scale, seed=seed, prototypes=PROTOTYPES, **REMOVALS.get(removal or "", {}))
    steps = scale.total_steps(len(train))
    loss = float("nan")
    if removal is not None:
        # A third of the steps has a third of the warm-up.
        share = 3 if removal else 1
        history = fit(method, train, scale=scale, seed=seed, steps=max(1, steps // share), warmup=scale.warmup // share)
        loss = history.rows[-1]["total"]
    clusters = (
        nearest_prototypes(method, train, held_out)
        if removal is not None
        else k_means(method, train, held_out, PROTOTYPES)
    )
    return {
        "knn": backbone_knn(method.backbone, train, held_out),
        "named": naming_accuracy(clusters, train.labels, held_out.labels, LABELS[-1])[0],
        "used": effective_number(clusters.test, len(clusters.centroids)),
        "spread": float(directional_spread(embeddings(method, held_out))),
        "loss": loss,
    }


def sinkhorn_removed(seed: int, scale: Scale) -> dict[str, float]:
    """Spread, loss and use of the prototypes with and without Sinkhorn, at a third of the steps."""
    found: dict[str, float] = {}
    for name in REMOVALS:
        run = measured(seed, scale, name)
        found |= {f"{column} {name.split()[0]}": run[column] for column in ("spread", "loss", "used")}
    return found


register(
    Claim(
        id="swav.learns",
        statement="SwAV learns the pattern without labels: its kNN beats the same backbone untrained.",
        lesson=LESSON,
        criterion="kNN trained >= kNN untrained + 0.30",
        measure=columns(measured, trained=("knn", ""), untrained=("knn", None)),
        holds=lambda n: n["trained"] >= n["untrained"] + 0.30,
    )
)
register(
    Claim(
        id="swav.uses-all-prototypes",
        statement="With Sinkhorn the images spread over the prototypes; without it nearly all have one nearest.",
        lesson=LESSON,
        criterion="effective number of prototypes: with Sinkhorn >= K/4, without <= K/20",
        measure=lambda seed, scale: {
            "with_sinkhorn": sinkhorn_removed(seed, scale)["used with"],
            "without": sinkhorn_removed(seed, scale)["used without"],
            "K": PROTOTYPES,
        },
        holds=lambda n: n["with_sinkhorn"] >= n["K"] / 4 and n["without"] <= n["K"] / 20,
    )
)
register(
    Claim(
        id="swav.sinkhorn-prevents-collapse",
        statement="Without Sinkhorn all embeddings coincide, and the loss, which is lower then, does not show it.",
        lesson=LESSON,
        criterion="directional spread: with Sinkhorn >= 0.5, without <= 0.1; loss without < loss with",
        measure=lambda seed, scale: {
            "spread_with": sinkhorn_removed(seed, scale)["spread with"],
            "spread_without": sinkhorn_removed(seed, scale)["spread without"],
            "loss_with": sinkhorn_removed(seed, scale)["loss with"],
            "loss_without": sinkhorn_removed(seed, scale)["loss without"],
        },
        holds=lambda n: n["spread_with"] >= 0.5 and n["spread_without"] <= 0.1 and n["loss_without"] < n["loss_with"],
    )
)
register(
    Claim(
        id="swav.few-labels-name-clusters",
        statement="Ten labels a class name SwAV's clusters better than as many k-means clusters of untrained features.",
        lesson=LESSON,
        criterion="accuracy of the names >= that of the control + 0.20",
        measure=columns(measured, swav=("named", ""), control=("named", None)),
        holds=lambda n: n["swav"] >= n["control"] + 0.20,
    )
)
