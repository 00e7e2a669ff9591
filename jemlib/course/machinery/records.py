"""What the lessons show of recorded runs: the growing table of objectives, and the claims over several seeds."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from IPython.display import Markdown

from jemlib import validate
from jemlib.course.machinery.exercises import repository_root


class Traits(NamedTuple):
    """An objective in a row: what it compares, what keeps it from collapsing, and what couples the samples."""

    compares: str
    against_collapse: str
    couples: str


# A batch norm without affine behind the projector gives each dimension the variance 1 over the batch. So it hides a
# complete collapse, and belongs to what keeps from it, in the methods that have it by default.
HIDES = "; a batch norm at the output"

# In the order in which the lessons derive them.
TRAITS = {
    "simclr": Traits("samples with samples", "negatives: other samples of the batch", "all pairs of the batch"),
    "barlow_twins": Traits("dimensions with dimensions", "the diagonal pulled to 1, the rest to 0", "batch statistics"),
    "vicreg": Traits("a sample with its other view", "a hinge on the std; covariances to 0", "batch statistics"),
    "swav": Traits(
        "codes with predicted codes",
        f"equal use of prototypes (Sinkhorn){HIDES}",
        "Sinkhorn over the batch; batch norm",
    ),
    "pcl": Traits("samples with prototypes", "negatives, and clusters of all images", "queue; k-means on the data set"),
    "byol": Traits("a prediction with a slow target", f"predictor, stop-gradient, momentum{HIDES}", "batch norm only"),
    "simsiam": Traits("a prediction with the other view", f"predictor, stop-gradient{HIDES}", "batch norm only"),
    "dino": Traits(
        "a distribution with a slow target",
        f"a Sinkhorn-balanced centre, sharpening{HIDES}",
        "Sinkhorn over the batch, in the centre; batch norm",
    ),
    "simdino": Traits("a sample with a slow target", "the coding rate of the batch, to be large", "batch statistics"),
    "sigreg": Traits(
        "a sample with its other view", f"projections pulled to a Gaussian{HIDES}", "batch statistics; batch norm"
    ),
}


def objectives_so_far(*methods: str, root: str | Path | None = None) -> Markdown:
    """The table of objectives: traits, and what the recorded runs reached on motifs at scale cpu.

    Args:
        methods: names such as "simclr", in the order of the rows.
        root: the folder that holds results/; None means this repository.

    Raises:
        ValueError: an unknown method.
    """
    for method in methods:
        validate.choice("method", method, TRAITS)
    record = _record(root, "motifs_cpu")
    rows = {row["method"]: row for row in record.get("rows", [])}
    lines = [
        "| objective | compares | kept from collapse by | couples samples by | kNN | linear | RankMe |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name, baseline in record.get("baselines", {}).items():
        cells = [f"{baseline[c]:.3f}" if c in baseline else "" for c in ("knn", "linear")]
        lines.append(f"| *{name}* | | | | {cells[0]} | {cells[1]} | |")
    for method in methods:
        values = [_cell(rows.get(method), column, d) for column, d in (("knn", 3), ("linear", 3), ("rankme", 1))]
        lines.append(f"| {method} | {' | '.join(TRAITS[method])} | {' | '.join(values)} |")
    missing = "" if record else "\n\nNo results/motifs_cpu.json here; `jem compare --scale cpu --seeds 3` writes it."
    seeds = f"\n\nmotifs, scale cpu, mean over {record['seeds']} seeds." if record else ""
    return Markdown("\n".join(lines) + seeds + missing)


def recorded_claims(lesson: str, root: str | Path | None = None) -> Markdown:
    """The claims of a lesson with what `jem claims --seeds 3` measured, from results/claims.json.

    Args:
        lesson: such as "02_barlow_twins".
        root: the folder that holds results/; None means this repository.
    """
    from jemlib.course.machinery import claims

    known = [one for one in claims.known().values() if one.lesson == lesson]
    if not known:
        lessons = sorted({one.lesson for one in claims.known().values()})
        raise ValueError(f"lesson {lesson!r} makes no claims; lessons with claims: {', '.join(lessons)}.")
    records = {record["id"]: record for record in _record(root, "claims").get("claims", [])}
    lines = [
        "| claim | criterion | measured, a seed after the other | images | holds |",
        "| --- | --- | --- | --- | --- |",
    ]
    for one in known:
        record = records.get(one.id)
        measured = _measured(record["numbers"]) if record else "not recorded here"
        split = record.get("split", "test") if record else ""
        held = f"{sum(v is True for v in record['holds'])} of {len(record['holds'])}" if record else ""
        lines.append(f"| {one.statement} | {one.criterion} | {measured} | {split} | {held} |")
    return Markdown("\n".join(lines))


MANY = 6  # numbers of a claim; of more than these the table of claims shows means
# A figure in a text: the claim that measured it, and which of its numbers.
FIGURE = re.compile(r"\{([\w.-]+):\s*(\w+)\}")
AT_SMOKE = (
    "**This run is at scale smoke. What the cells above printed and drew shows nothing about the method.** "
    "What follows is about runs at scale cpu."
)


def recorded(text: str, root: str | Path | None = None) -> Markdown:
    """A text about an experiment, with its figures from results/claims.json: means over the recorded seeds.

    Args:
        text: with figures such as {barlow_twins.learns: trained}: a claim, and a number that it measures.
        root: the folder that holds results/; None means this repository.

    Raises:
        ValueError: there is no such claim, or its record has no such number.
    """
    from jemlib.course.machinery import claims
    from jemlib.scales import current_scale

    records = {record["id"]: record for record in _record(root, "claims").get("claims", [])}
    seeds: set[int] = set()

    def figure(match: re.Match[str]) -> str:
        record = records.get(validate.choice("claim", match[1], claims.known()))
        if record is None:
            return "(not recorded here)"
        validate.choice(f"number of {match[1]}", match[2], sorted({name for n in record["numbers"] for name in n}))
        values = [n[match[2]] for n in record["numbers"] if n[match[2]] is not None]
        seeds.add(len(values))
        return _rounded(sum(values) / len(values)) if values else "(not recorded here)"

    filled = FIGURE.sub(figure, text)
    parts = [AT_SMOKE] if current_scale().name == "smoke" else []
    source = f"*Means over {' or '.join(map(str, sorted(seeds)))} seeds at scale cpu, from results/claims.json.*"
    return Markdown("\n\n".join([*parts, filled, *([source] if seeds else [])]))


def recorded_numbers(claim: str, root: str | Path | None = None) -> dict[str, float]:
    """What a claim measured, means over the recorded seeds; empty where nothing is recorded.

    Args:
        claim: its id.
        root: the folder that holds results/; None means this repository.

    Raises:
        ValueError: there is no such claim.
    """
    from jemlib.course.machinery import claims

    validate.choice("claim", claim, claims.known())
    records = _record(root, "claims").get("claims", [])
    record: dict[str, Any] = next((r for r in records if r["id"] == claim), {"numbers": []})
    return _means(record["numbers"])


def _rounded(value: float) -> str:
    return f"{value:.2f}" if abs(value) < 10 else f"{value:.0f}"


def _measured(numbers: list[dict[str, float | None]]) -> str:
    """A seed after the other; of many numbers the means over the seeds, because nobody reads a wall of them."""
    if max(map(len, numbers)) > MANY:
        return f"means: {_numbers(_means(numbers))}"
    return "; ".join(map(_numbers, numbers))


def _means(numbers: Iterable[Mapping[str, float | None]]) -> dict[str, float]:
    """Of each number the mean over the seeds that have it."""
    values: dict[str, list[float]] = {}
    for seed in numbers:
        for name, value in seed.items():
            if value is not None:
                values.setdefault(name, []).append(value)
    return {name: sum(found) / len(found) for name, found in values.items()}


def _numbers(numbers: Mapping[str, float | None]) -> str:
    return ", ".join(f"{name} {value:.3g}" for name, value in numbers.items() if value is not None)


def _cell(row: dict[str, Any] | None, column: str, digits: int) -> str:
    return f"{row[column]['mean']:.{digits}f}" if row is not None and column in row else "not recorded"


def _record(root: str | Path | None, name: str) -> dict[str, Any]:
    folder = Path(root) if root is not None else repository_root()
    path = folder / "results" / f"{name}.json" if folder is not None else None
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path is not None and path.is_file() else {}
