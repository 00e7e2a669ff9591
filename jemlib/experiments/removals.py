"""Collapse on purpose: for each method what keeps it from collapsing, taken away, and the diagnostic that sees it."""

from __future__ import annotations

import copy
import statistics
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn
from tqdm.auto import tqdm

from jemlib import validate
from jemlib.data import Images, load
from jemlib.diagnose import COMPLETE_BELOW, diagnose
from jemlib.evaluate import backbone_knn, embeddings
from jemlib.experiments.runs import hardware, versions
from jemlib.files import write_json
from jemlib.methods import Method, build
from jemlib.nets import MomentumEncoder
from jemlib.scales import Scale, adjusted_scale, current_scale
from jemlib.train import fit, hide_progress


@dataclass(frozen=True)
class Removal:
    """One switch.

    Attributes:
        name: how it is called on the command line.
        method: which method.
        settings: what is set to take the protection away.
        kind: "complete" (embeddings coincide) or "dimensional" (few directions are left).
        sees: the diagnostic that notices it: it falls below `below`. "std_ratio" is the raw standard deviation over
            that of the intact run.
        blind: one that does not: it stays at or above `above`, which alone would be taken for health. If it is the
            loss, `above` is None and blind means that the loss ends no higher than that of the intact method.
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
    above: float | None
    because: str
    common: dict[str, Any] = field(default_factory=dict)


# Without the batch norm at the output, which holds the variance of each dimension up and so hides what goes on.
BARE = {"normalize_output": False}


def complete(name: str, settings: dict[str, Any], because: str, common: dict[str, Any] | None = None) -> Removal:
    """A removal after which all embeddings coincide; the loss, at its best, is blind to it."""
    method = name.split(".")[0]
    return Removal(name, method, settings, "complete", "directional_spread", 0.1, "loss", None, because, common or BARE)


def dimensional(name: str, settings: dict[str, Any], above: float, because: str) -> Removal:
    """A removal after which few directions are left; the standard deviation, dimension by dimension, is blind to it."""
    method = name.split(".")[0]
    return Removal(name, method, settings, "dimensional", "rankme", 10.0, "normalized_std", above, because)


def shrinking(
    name: str, settings: dict[str, Any], above: float, because: str, common: dict[str, Any] | None = None
) -> Removal:
    """A removal after which embeddings shrink to a constant along all directions at once; RankMe is blind to it.

    The terms that are left fall with the size of the cloud, and nothing holds it. Its directions need not coincide on
    the way to the constant, so what sees it is the raw standard deviation. How small is collapsed? What is removed held
    the raw standard deviation near 1, so the rule of `diagnose` serves: below a tenth, a hundredth of the variance.
    """
    method = name.split(".")[0]
    return Removal(
        name, method, settings, "complete", "std_ratio", COMPLETE_BELOW, "rankme", above, because, common or {}
    )


REMOVALS = {
    removal.name: removal
    for removal in (
        complete("simclr.negatives", {"negatives": False}, "alignment alone is best when all embeddings coincide"),
        dimensional("barlow_twins.redundancy", {"lambd": 0.0}, 0.8, "one dimension, copied D times, has all C_ii = 1"),
        shrinking("vicreg.variance", {"variance": 0.0}, 30.0, "a constant has invariance 0 and covariance 0"),
        dimensional(
            "vicreg.covariance", {"covariance": 0.0}, 0.8, "one dimension, copied D times, has variance enough"
        ),
        complete("swav.sinkhorn", {"iterations": 0}, "without equal shares one prototype may take every image"),
        complete("byol.predictor", {"predictor": "none"}, "the target then follows the student into the constant"),
        complete(
            "byol.stop_gradient",
            {"momentum_encoder": False, "stop_gradient": False},
            "both branches then move towards each other, and meet",
        ),
        complete(
            "simsiam.stop_gradient", {"stop_gradient": False}, "both branches then move towards each other, and meet"
        ),
        complete(
            "simsiam.predictor", {"predictor": "none"}, "the gradient is then that of the loss without stop-gradient"
        ),
        complete("dino.centering", {"centering": "none"}, "sharpening alone leads to one prototype for every image"),
        dimensional("dino.sharpening", {"sharpening": False}, 0.6, "centring alone leads to the uniform distribution"),
        # Not blind is the loss: what was removed is a part of it. The raw standard deviation is, as lengths grow.
        Removal(
            "simdino.expansion",
            "simdino",
            {"expansion": 0.0},
            "complete",
            "directional_spread",
            0.1,
            "raw_std",
            0.3,
            "the student then follows its own teacher into the constant",
            BARE,
        ),
        shrinking("sigreg.sigreg", {"lambd": 0.0}, 20.0, "a constant has invariance 0", BARE),
    )
}


def measure(
    removal: Removal, *, seed: int = 0, intact: bool = False, scale: str | Scale | None = None
) -> dict[str, Any]:
    """Train with the protection removed, or intact, and diagnose the embeddings of un-augmented validation images.

    Returns:
        The diagnostics by name, kNN of the backbone's features, the last terms of the loss, and the seconds.
    """
    settings = removal.common | ({} if intact else removal.settings)
    return measured(removal.method, settings, seed=seed, scale=scale)


def measured(
    name: str,
    settings: dict[str, Any],
    *,
    seed: int = 0,
    scale: str | Scale | None = None,
    loss: Callable[..., Any] | None = None,
) -> dict[str, Any]:
    """What `measure` returns, of a method with these settings, and with a loss of one's own if there is one."""
    scale = adjusted_scale(scale)
    method = build(name, scale=scale, seed=seed, loss=loss, **settings)
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
    z = embeddings(method, held_out)
    found = diagnose(z)
    names = ("normalized_std", "directional_spread", "rankme", "participation_ratio", "correlation")
    return {
        **{name: getattr(found, name) for name in names},
        "raw_std": float(z.std(dim=0).mean()),
        "knn": backbone_knn(method.backbone, train, held_out),
    }


def beside(found: dict[str, Any], intact: dict[str, Any]) -> dict[str, Any]:
    """A run with its raw standard deviation over that of the intact run, which has no unit."""
    return {**found, "std_ratio": found["raw_std"] / intact["raw_std"]}


def crosses(removal: Removal, found: dict[str, Any], intact: dict[str, Any]) -> bool:
    """Whether the diagnostic that sees is below its threshold while the blind one notices nothing."""
    if removal.above is None:
        unnoticed = found[removal.blind] <= intact[removal.blind]
    else:
        unnoticed = found[removal.blind] >= removal.above
    return bool(found[removal.sees] < removal.below and unnoticed)


def run_removals(
    names: list[str] | None = None, *, seeds: int = 3, scale: str | Scale | None = None, out: str | Path | None = None
) -> dict[str, Any]:
    """Measure removals over seeds 0, 1, ..., each beside the intact method on seed 0.

    Args:
        names: keys of `REMOVALS`; None: all.
        seeds: >= 1.
        scale: as `jemlib.train.fit`; None: `short_scale()`, which takes under 30 s a run on two cores.
        out: JSON file for the record.

    Returns:
        `{"rows": [...]}`; a row has the removal, its intact run, its runs, and whether all of them cross.
    """
    validate.integer("seeds", seeds, at_least=1)
    if out is not None:
        Path(out).parent.mkdir(parents=True, exist_ok=True)
    chosen = [REMOVALS[validate.choice("removal", name, REMOVALS)] for name in names or REMOVALS]
    scale = short_scale() if scale is None else adjusted_scale(scale)
    rows = []
    kept: dict[str, dict[str, Any]] = {}  # several removals share their intact run
    for removal in tqdm(chosen, desc="removals", disable=hide_progress() or None):
        shared = f"{removal.method} {removal.common}"
        if shared not in kept:
            kept[shared] = measure(removal, seed=0, intact=True, scale=scale)
        intact = beside(kept[shared], kept[shared])
        runs = [beside(measure(removal, seed=seed, scale=scale), intact) for seed in range(seeds)]
        crossed = [crosses(removal, found, intact) for found in runs]
        rows.append({**asdict(removal), "intact": intact, "runs": runs, "crossed": crossed, "all_cross": all(crossed)})
        if out is not None:  # after each, so that a stopped run loses little
            write_json(Path(out), {"scale": asdict(scale), "rows": rows, "versions": versions(), **hardware()})
    return {"scale": asdict(scale), "rows": rows}


def short_scale() -> Scale:
    """The `cpu` scale at 300 steps; on other machines the current scale."""
    scale = current_scale()
    return adjusted_scale(scale, steps=300, warmup=80) if scale.name == "cpu" else scale


def table(record: dict[str, Any]) -> str:
    """The record as Markdown: what sees the collapse and what does not, intact and removed (worst seed)."""
    heads = ["removed", "collapse", "sees it", "intact", "removed, worst seed", "threshold", "blind to it", "removed"]
    heads += ["kNN intact", "kNN removed"]
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

    The last linear layer of the projector, also of a momentum encoder's, is replaced by one whose weights are `noise`
    times what they were, with a trainable bias of `constant`. A batch norm behind it would turn the constant into 0,
    so there must be none.

    Args:
        method: changed in place, and returned.
        constant: the value of each dimension.
        noise: 0 for the exact constant. There SimCLR, Barlow Twins, VICReg, and BYOL and SimSiam without predictor have
            no gradient at all. SwAV and SIGReg have one that is the same for all images: it moves the constant, and
            with it the last weights, by the sum of their inputs, so that after a step images may differ.
            The batch norm of an mlp predictor divides by a variance of 0: give BYOL and SimSiam some noise.

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
    method.projector[-1] = layer.to(last.weight)
    for encoder in method.modules():
        if isinstance(encoder, MomentumEncoder):  # it is a copy of backbone, projector and what may follow
            projector: Any = encoder.network.get_submodule("1")
            projector[-1] = copy.deepcopy(layer).requires_grad_(False)
    return method
