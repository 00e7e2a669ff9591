"""An objective of one's own, measured as the methods are: a row on a board beside them, and how far it collapses."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tqdm.auto import tqdm

import jemlib
from jemlib import validate
from jemlib.data.images import data_label
from jemlib.diagnose import COMPLETE_BELOW, DIMENSIONAL_BELOW
from jemlib.experiments.comparison import compare, markdown_table, summary
from jemlib.experiments.removals import REMOVALS, beside, measured, short_scale
from jemlib.experiments.runs import hardware, run, versions
from jemlib.files import write_json, write_text
from jemlib.methods import METHODS, LossFile, check_loss, settings_for
from jemlib.scales import Scale, adjusted_scale
from jemlib.train import hide_progress

# --- the board --------------------------------------------------------------------------------------------------------


def board(
    name: str,
    loss: LossFile,
    *,
    data: str | None = None,
    root: str | None = None,
    scale: str | Scale | None = None,
    seeds: int = 3,
    out: str | Path = "results",
    split: str = "test",
    supervised: bool = True,
    settings: dict[str, Any] | None = None,
    **overrides: Any,
) -> dict[str, Any]:
    """Train a loss in the frame of a method and enter its row into `board.json` and `board.md`, beside the methods.

    The rows of the methods come from a record of `compare` with the same data, scale and split (in `out`, or in the
    course's results/), which is read and left as it is. Where there is none, the method of the frame is trained too.

    Args:
        name: the method whose frame the loss has.
        loss: from `jemlib.methods.load_loss`.
        data, root, scale, split, settings, overrides: as `run`.
        seeds: number of seeds, 0, 1, ...
        out: folder of the board. The run folders go into `out/runs`; finished ones are not repeated.
        supervised: whether to train the supervised row, where it is not recorded.

    Returns:
        The board: what `compare` returns, with `loss` and `frame` in the rows of own losses. A row of the same
        function, file and frame is replaced; the others stay.

    Raises:
        TypeError, ValueError: as `run`; the board in `out` is of other data or another scale.
    """
    validate.choice("method", name, METHODS)
    validate.integer("seeds", seeds, at_least=1)
    scale = adjusted_scale(scale, **overrides)
    settings_for(name, scale, **(settings or {}))
    check_loss(name, loss, settings or {})
    out, source = Path(out), data or scale.data
    head = {"data": data_label(source), "scale": scale.name, "split": split, "recipe": through_json(scale)}
    table = opened(out / "board.json", head)

    budget: dict[str, Any] = {"data": source, "root": root, "scale": scale, "split": split}
    runs = []
    for seed in tqdm(range(seeds), desc="runs", disable=hide_progress() or None):
        folder = out / "runs" / f"{loss.function.__name__}-{digest(loss.record, name, settings, head)}-{seed}"
        finished = run(name, seed=seed, out=folder, settings=settings, loss=loss, **budget)
        if finished.history.interrupted:
            raise KeyboardInterrupt
        runs.append({**finished.metrics, "data": data_label(finished.metrics["data"])})

    place_methods(table, name, out, {**budget, "seeds": seeds, "supervised": supervised}, head)
    row = summary(loss.function.__name__, runs) | {"loss": loss.record, "frame": name, "label": label(loss, name)}
    table["rows"] = replaced(table["rows"], [row], owner)
    table["runs"] = replaced(table["runs"], runs, owner_of_run)
    table |= {"seeds": seeds, "protocol": runs[0]["protocol"]}
    out.mkdir(parents=True, exist_ok=True)
    write_json(out / "board.json", table)
    write_text(out / "board.md", board_text(table))
    return table


def through_json(scale: Scale) -> dict[str, Any]:
    """The numbers of a scale as a record holds them."""
    return dict(json.loads(json.dumps(dataclasses.asdict(scale))))


def digest(*parts: Any) -> str:
    """A few letters that stand for all of this."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:8]


def opened(path: Path, head: dict[str, Any]) -> dict[str, Any]:
    """The board of a file, or an empty one.

    Raises:
        ValueError: the file holds no board, or one whose rows cannot stand beside the new one.
    """
    if not path.exists():
        return {**head, "rows": [], "runs": [], "baselines": {}}
    try:
        table = dict(json.loads(path.read_text(encoding="utf-8")))
        held = {key: table[key] for key in head}
    except (json.JSONDecodeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"{path} holds no board ({type(error).__name__}). Move it away, or give another --out."
        ) from error
    changed = [key for key in head if held[key] != head[key]]
    if changed:
        what = "; ".join(f"{key} {held[key]!r} -> {head[key]!r}" for key in changed if key != "recipe") or "the recipe"
        raise ValueError(
            f"{path} is a board of other runs ({what}); rows compare within one budget only. Give another --out."
        )
    return table


def label(loss: LossFile, name: str) -> str:
    """The first cell of a row."""
    return f"**{loss.function.__name__}** in {name}'s frame, {loss.path.name} `{loss.sha256[:8]}`"


def owner(row: dict[str, Any]) -> tuple[Any, ...]:
    """Whose row it is: a function in a file in a frame, whatever is in the file now; or a method."""
    loss = row.get("loss")
    return ("method", row["method"]) if loss is None else (loss["function"], loss["file"], row["frame"])


def owner_of_run(found: dict[str, Any]) -> tuple[Any, ...]:
    """As `owner`, of the metrics of a run."""
    loss = found["settings"].get("loss")
    return ("method", found["method"]) if loss is None else (loss["function"], loss["file"], found["method"])


def replaced(
    rows: list[dict[str, Any]], new: list[dict[str, Any]], key: Callable[[dict[str, Any]], tuple[Any, ...]]
) -> list[dict[str, Any]]:
    """The rows with the new ones in the place of those with the same key, or at the end."""
    mine = key(new[0])
    place = next((i for i, row in enumerate(rows) if key(row) == mine), len(rows))
    return [*rows[:place], *new, *(row for row in rows[place:] if key(row) != mine)]


def place_methods(table: dict[str, Any], name: str, out: Path, budget: dict[str, Any], head: dict[str, Any]) -> None:
    """Put the rows of the methods first, and the baselines: recorded ones, else those of the method of this frame."""
    own = [row for row in table["rows"] if "loss" in row]
    here = [row for row in table["rows"] if "loss" not in row and row["record"] is None]
    record = recorded(out, head)
    if record is not None:
        path, found = record
        table["baselines"] = found["baselines"]
        here = [{**row, "record": path.name} for row in found["rows"]]
    elif all(row["method"] != name for row in here):
        supervised = budget["supervised"] and "supervised" not in table["baselines"]
        folder = out / "runs" / f"methods-{digest(head)}"
        found = compare([name], out=folder, **{**budget, "supervised": supervised})
        table["baselines"] = found["baselines"] | table["baselines"]
        table["runs"] = [*found["runs"], *table["runs"]]
        here += [{**row, "record": None} for row in found["rows"]]
    table["rows"] = here + own


def recorded(out: Path, head: dict[str, Any]) -> tuple[Path, dict[str, Any]] | None:
    """The first record of `compare` with these data, scale, numbers of the scale, and split."""
    for folder in (out, Path("results"), Path(jemlib.__file__).parents[1] / "results"):
        for path in sorted(folder.glob("*.json")):
            try:
                found = json.loads(path.read_text(encoding="utf-8"))
                first = found["runs"][0]
                same = [found[key] == head[key] for key in ("data", "scale")]
                # A number that a scale did not have yet when the record was made cannot differ.
                same += [head["recipe"].get(key) == value for key, value in first["recipe"].items()]
                same += [first["split"] == head["split"], bool(found["baselines"])]
            except (json.JSONDecodeError, KeyError, IndexError, TypeError):  # a record of something else
                continue
            if all(same) and path.name != "board.json":
                return path, found
    return None


def board_text(table: dict[str, Any]) -> str:
    """`board.md`: the table, what it was run on, and where its rows come from."""
    first = table["runs"][-1]
    records = sorted({row["record"] for row in table["rows"] if row.get("record")})
    source = (
        f"Rows of methods are from {', '.join(records)}, with the seconds of the machine that made it. "
        if records
        else ""
    )
    return (
        f"# Board\n\n`{table['data']}/{table['split']}`, {first['train_images']:,} training images, scale "
        f"`{table['scale']}`, {first['steps']:,} steps of {table['recipe']['batch_size']} images; mean over seeds "
        f"(± standard deviation).\n\n{markdown_table(table)}\n\n{source}"
        "A row of one's own says in which frame it was trained, and the start of the SHA-256 of its file.\n\n"
        f"Protocol: {table['protocol']}.\n"
    )


# --- its collapse -----------------------------------------------------------------------------------------------------

SHOWN = ("normalized_std", "directional_spread", "std_ratio", "rankme", "participation_ratio", "correlation", "knn")


def diagnose_loss(
    name: str,
    loss: LossFile,
    *,
    seeds: int = 3,
    scale: str | Scale | None = None,
    out: str | Path | None = None,
) -> dict[str, Any]:
    """Train a loss in the frame of a method as `run_removals` does, and measure how far it collapses.

    Args:
        name: the method whose frame it is; with its own loss, seed 0, it is the intact run.
        loss: from `jemlib.methods.load_loss`.
        seeds, scale, out: as `run_removals`.

    Returns:
        `{"name", "loss", "intact", "runs", "verdicts", "scale"}`; `std_ratio` is the raw standard deviation over that
        of the intact run. Both are without the batch norm at the output where the method's removals are.
    """
    validate.choice("method", name, METHODS)
    validate.integer("seeds", seeds, at_least=1)
    check_loss(name, loss)
    scale = short_scale() if scale is None else adjusted_scale(scale)
    common = next((removal.common for removal in REMOVALS.values() if removal.method == name), {})
    dimensions = settings_for(name, scale, **common).widths[-1]
    found = measured(name, common, seed=0, scale=scale)
    intact = beside(found, found)
    runs = [
        beside(measured(name, common, seed=seed, scale=scale, loss=loss), intact)
        for seed in tqdm(range(seeds), desc="runs", disable=hide_progress() or None)
    ]
    record = {
        "name": f"{loss.function.__name__} in {name}'s frame",
        "loss": loss.record,
        "common": common,
        "intact": intact,
        "runs": runs,
        "verdicts": [collapse_of(one, intact, dimensions) for one in runs],
        "scale": through_json(scale),
    }
    if out is not None:
        Path(out).parent.mkdir(parents=True, exist_ok=True)
        write_json(Path(out), {**record, "versions": versions(), **hardware()})
    return record


def collapse_of(found: dict[str, float], intact: dict[str, float], most: int) -> str:
    """Which collapse the diagnostics of a run show, in words, by the thresholds of `diagnose` and of the removals."""
    if found["directional_spread"] < COMPLETE_BELOW:
        return f"complete collapse: directional spread {found['directional_spread']:.2g} < {COMPLETE_BELOW:g}"
    if found["std_ratio"] < COMPLETE_BELOW:
        return (
            f"complete collapse: embeddings shrank to {found['std_ratio']:.2g} of the intact run's size, < "
            f"{COMPLETE_BELOW:g} (unless the loss ignores lengths)"
        )
    threshold = 1 + DIMENSIONAL_BELOW * (most - 1)
    if found["rankme"] < threshold:
        also = " (so has the intact run)" if intact["rankme"] < threshold else ""
        return f"dimensional collapse: RankMe {found['rankme']:.1f} of {most} < {threshold:.1f}{also}"
    return "no collapse seen"


def collapse_text(record: dict[str, Any]) -> str:
    """The record as Markdown: the intact run, and each seed of the loss beside it."""
    heads = ["", "intact, seed 0", *(f"seed {seed}" for seed in range(len(record["runs"])))]
    lines = [f"| {' | '.join(heads)} |", f"| {' | '.join(['---'] * len(heads))} |"]
    for key in SHOWN:
        cells = [f"{one[key]:.3g}" for one in (record["intact"], *record["runs"])]
        lines.append(f"| {key} | {' | '.join(cells)} |")
    lines += ["", *(f"seed {seed}: {text}." for seed, text in enumerate(record["verdicts"]))]
    return "\n".join(lines)
