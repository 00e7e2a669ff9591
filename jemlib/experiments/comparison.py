"""Several methods under one budget, views and protocol: a table of many runs."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any

from tqdm.auto import tqdm

from jemlib import validate
from jemlib.data import load
from jemlib.data.images import data_label
from jemlib.experiments.baselines import baselines
from jemlib.experiments.runs import load_scored, run
from jemlib.files import write_json, write_text
from jemlib.methods import METHODS
from jemlib.scales import Scale, adjusted_scale
from jemlib.train import hide_progress

COLUMNS = ("knn", "linear", "rankme", "normalized_std", "train_seconds")


def compare(
    names: list[str],
    *,
    data: str | None = None,
    root: str | None = None,
    scale: str | Scale | None = None,
    seeds: int = 3,
    out: str | Path | None = None,
    split: str = "test",
    supervised: bool = True,
    **overrides: Any,
) -> dict[str, Any]:
    """Train several methods under one budget, views and protocol, over several seeds, beside the baselines.

    Args:
        names: methods, see `jemlib.methods.METHODS`.
        data, root, scale, split, overrides: as `run`.
        seeds: number of seeds, 0, 1, ... Each is one run of each method.
        out: folder for the run folders, `compare.json` and `compare.md`; finished runs in it are not repeated.
        supervised: whether to train the supervised row too.

    Returns:
        `{"rows": [...], "baselines": {...}, "runs": [...], ...}`; a row has the mean and the standard deviation
        over seeds of each of `COLUMNS`.
    """
    for name in names:
        validate.choice("method", name, METHODS)
    validate.integer("seeds", seeds, at_least=1)
    scale = adjusted_scale(scale, **overrides)
    source = data or scale.data
    runs = []
    jobs = [(name, seed) for name in names for seed in range(seeds)]
    for name, seed in tqdm(jobs, desc="runs", disable=hide_progress() or None):
        folder = Path(out) / f"{name}-{seed}" if out is not None else None
        finished = run(name, data=source, root=root, scale=scale, seed=seed, out=folder, split=split)
        if finished.history.interrupted:
            raise KeyboardInterrupt
        runs.append({**finished.metrics, "data": data_label(finished.metrics["data"])})
    train = load(source, "train", root=root, limit=scale.limit)
    floor = baselines(train, load_scored(source, split, root, scale), scale=scale, supervised=supervised)
    table = {
        "data": data_label(train.name),
        "scale": scale.name,
        "seeds": seeds,
        "rows": [summary(name, [r for r in runs if r["method"] == name]) for name in names],
        "baselines": floor,
        "runs": runs,
        "protocol": runs[0]["protocol"],
    }
    if out is not None:
        write_json(Path(out) / "compare.json", table)
        write_text(Path(out) / "compare.md", markdown_table(table) + "\n")
    return table


def summary(name: str, runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Mean and standard deviation over the seeds of one method; the latter is 0 for a single run.

    Convention: unbiased (divided by the number of runs - 1), as an estimate of how much the next seed may differ.
    """
    row: dict[str, Any] = {"method": name, "seeds": len(runs)}
    for column in COLUMNS:
        values = [r[column] for r in runs]
        row[column] = {"mean": statistics.fmean(values), "std": statistics.stdev(values) if len(values) > 1 else 0.0}
    return row


def markdown_table(table: dict[str, Any]) -> str:
    """The comparison as a Markdown table: mean over seeds, and the standard deviation where there are several."""
    heads = ("method", "kNN", "linear", "RankMe", "normalised std", "seconds")
    lines = [f"| {' | '.join(heads)} |", f"| {' | '.join(['---'] * len(heads))} |"]
    for name, row in table["baselines"].items():
        lines.append(f"| *{name}* | {row['knn']:.3f} | {row['linear']:.3f} | | | {row['seconds']:.0f} |")
    formats = {"knn": ".3f", "linear": ".3f", "rankme": ".0f", "normalized_std": ".2f", "train_seconds": ".0f"}
    for row in table["rows"]:
        cells = [row.get("label", row["method"])]
        for column, form in formats.items():
            deviation = f" (± {row[column]['std']:{form}})" if row["seeds"] > 1 else ""
            cells.append(f"{row[column]['mean']:{form}}{deviation}")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)
