"""Collapse on purpose: for each method what keeps it from collapsing, taken away, and the diagnostic that sees it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from jemlib.data import Images, load
from jemlib.diagnose import diagnose
from jemlib.evaluate import features, knn
from jemlib.experiment import embeddings, settings_at
from jemlib.methods import Method, build
from jemlib.scales import Scale, adjusted_scale
from jemlib.train import fit


@dataclass(frozen=True)
class Removal:
    """One switch.

    Attributes:
        name: how it is called on the command line.
        method: which method.
        settings: what is set to take the protection away.
        kind: "complete" (embeddings coincide), "dimensional" (few directions are left) or "informational" (the
            embeddings spread, and say little about the image).
        sees: the diagnostic that notices it: it falls below `below`.
        blind: one that does not: it stays at or above `above`, which alone would be taken for health.
        common: settings of both runs, the intact one and the other.
        because: why the method needs what was removed.
    """

    name: str
    method: str
    settings: dict[str, Any]
    kind: str
    sees: str
    below: float
    blind: str
    above: float
    because: str
    common: dict[str, Any] = field(default_factory=dict)


# Without it the batch norm at the output holds each dimension's variance up, and hides what goes on.
BARE = {"normalize_output": False}

REMOVALS = {
    removal.name: removal
    for removal in (
        Removal(
            "simclr.negatives", "simclr", {"negatives": False}, "complete", "directional_spread", 0.1, "rankme", 2.0,
            "alignment alone is best when all images have one embedding",
        ),
    )
}  # fmt: skip


def measure(
    removal: Removal, *, seed: int = 0, intact: bool = False, scale: str | Scale | None = None
) -> dict[str, Any]:
    """Train with the protection removed, or intact, and diagnose the embeddings of un-augmented validation images.

    Returns:
        The diagnostics by name, kNN of the backbone's features, the last terms of the loss, and the seconds.
    """
    scale = adjusted_scale(scale)
    settings = settings_at(removal.method, scale) | removal.common | ({} if intact else removal.settings)
    method = build(removal.method, seed=seed, **settings)
    train = load(scale.data, "train", limit=scale.limit)
    held_out = load(scale.data, "validation", limit=scale.limit if scale.name == "smoke" else None)
    history = fit(method, train, scale=scale, seed=seed)
    return {
        **diagnostics(method, train, held_out),
        "loss": history.rows[-1]["total"],
        "seconds": history.rows[-1]["seconds"],
    }


def diagnostics(method: Method, train: Images, held_out: Images) -> dict[str, float]:
    """What `Removal.sees` and `Removal.blind` name, as plain numbers."""
    found = diagnose(embeddings(method, held_out))
    names = ("normalized_std", "directional_spread", "rankme", "participation_ratio", "correlation")
    bank, queries = features(method.backbone, train), features(method.backbone, held_out)
    accuracy = knn(bank, train.labels, queries, held_out.labels, k=min(20, len(train)))
    return {**{name: getattr(found, name) for name in names}, "knn": accuracy}
