"""Collapse on purpose: for each method what keeps it from collapsing, taken away, and the diagnostic that sees it."""

from __future__ import annotations

import statistics
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn
from tqdm.auto import tqdm

from jemlib import validate
from jemlib.data import Images, load
from jemlib.diagnose import diagnose
from jemlib.evaluate import features, knn
from jemlib.experiment import embeddings, hardware, settings_at, versions
from jemlib.files import write_json
from jemlib.methods import Method, build
from jemlib.scales import Scale, adjusted_scale, current_scale
from jemlib.train import fit, quiet


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


def crosses(removal: Removal, found: dict[str, Any]) -> bool:
    """Whether the diagnostic that sees is below its threshold while the blind one is not."""
    return bool(found[removal.sees] < removal.below and found[removal.blind] >= removal.above)


def run_removals(
    names: list[str] | None = None, *, seeds: int = 3, scale: str | Scale | None = None, out: str | Path | None = None
) -> dict[str, Any]:
    """Measure removals over seeds 0, 1, ..., each beside the intact method on seed 0.

    Args:
        names: keys of `REMOVALS`; None: all.
        seeds: >= 1.
        scale: as `jemlib.train.fit`; None: `at_work()`, which takes under 30 s a run on two cores.
        out: JSON file for the record.

    Returns:
        `{"rows": [...]}`; a row has the removal, its intact run, its runs, and whether all of them cross.
    """
    validate.integer("seeds", seeds, at_least=1)
    chosen = [REMOVALS[validate.choice("removal", name, REMOVALS)] for name in names or REMOVALS]
    scale = at_work() if scale is None else adjusted_scale(scale)
    rows = []
    for removal in tqdm(chosen, desc="removals", disable=quiet() or None):
        intact = measure(removal, seed=0, intact=True, scale=scale)
        runs = [measure(removal, seed=seed, scale=scale) for seed in range(seeds)]
        crossed = [crosses(removal, found) for found in runs]
        rows.append({**asdict(removal), "intact": intact, "runs": runs, "crossed": crossed, "all_cross": all(crossed)})
        if out is not None:  # after each, so that a stopped run loses little
            write_json(Path(out), {"scale": asdict(scale), "rows": rows, "versions": versions(), **hardware()})
    return {"scale": asdict(scale), "rows": rows}


def at_work() -> Scale:
    """The `cpu` scale at 300 steps; on other machines the current scale."""
    scale = current_scale()
    return adjusted_scale(scale, steps=300, warmup=80) if scale.name == "cpu" else scale


def table(record: dict[str, Any]) -> str:
    """The record as Markdown: what sees the collapse and what does not, intact and removed (worst seed)."""
    heads = ("removed", "collapse", "sees it", "intact", "removed, worst seed", "threshold", "blind to it", "removed")
    heads = (*heads, "kNN intact", "kNN removed")
    lines = [f"| {' | '.join(heads)} |", f"| {' | '.join(['---'] * len(heads))} |"]
    for row in record["rows"]:
        runs, intact = row["runs"], row["intact"]
        worst = max(run[row["sees"]] for run in runs)
        lines.append(
            f"| {row['name']} | {row['kind']} | {row['sees']} | {intact[row['sees']]:.2f} | {worst:.3f} "
            f"| < {row['below']:g} | {row['blind']} | {min(run[row['blind']] for run in runs):.2f} "
            f"| {intact['knn']:.2f} | {statistics.fmean(run['knn'] for run in runs):.2f} |"
        )
    return "\n".join(lines)


@torch.no_grad()
def start_collapsed(method: Method, *, constant: float = 1.0, noise: float = 0.0) -> Method:
    """Make the trivial solution the start: every image gets the embedding `constant (1, ..., 1)`, plus some noise.

    The last linear layer of the projector is replaced by one whose weights are `noise` times what they were, with a
    trainable bias of `constant`. A batch norm behind it would turn the constant into 0, so there must be none.

    Args:
        method: changed in place, and returned.
        constant: the value of each dimension.
        noise: 0 for the exact constant, at which every objective here has zero gradient in the backbone.

    Raises:
        ValueError: the projector does not end in a linear layer, or a number is out of range.
    """
    validate.number("constant", constant)
    validate.number("noise", noise, at_least=0)
    last = method.projector[-1] if len(method.projector) else None
    if not isinstance(last, nn.Linear):
        raise ValueError(
            "method must have a projector that ends in a linear layer: build it with normalize_output=False; "
            f"its last layer is {type(last).__name__}."
        )
    layer = nn.Linear(last.in_features, last.out_features)
    layer.weight.copy_(noise * last.weight)
    layer.bias.fill_(constant)
    method.projector[-1] = layer.to(last.weight.device)
    return method
