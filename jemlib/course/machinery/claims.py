"""Claims: sentences about training that are measured instead of asserted in prose.

A claim is a statement, a way to measure the numbers it is about, and a criterion on these numbers. The lessons'
`claims` modules define them.
"""

from __future__ import annotations

import json
import math
import platform
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

import jemlib
from jemlib import validate
from jemlib.course.machinery.lessons import load

Numbers = Mapping[str, float]


@dataclass(frozen=True)
class Claim:
    """A statement that is tested by measuring.

    Args:
        id: such as "vicreg.no-variance-collapses".
        statement: what is claimed, in one sentence.
        lesson: the lesson that makes the claim, such as "03_vicreg".
        criterion: the test on the numbers, in words and with its threshold.
        measure: `(seed, scale) -> numbers by name`.
        holds: `numbers -> bool`, the criterion as code.
    """

    id: str
    statement: str
    lesson: str
    criterion: str
    measure: Callable[[int, Any], Numbers]
    holds: Callable[[Numbers], bool]

    def __post_init__(self) -> None:
        for field in ("id", "statement", "lesson", "criterion"):
            if not getattr(self, field).strip():
                raise ValueError(f"a claim needs {field}; got an empty text.")

    def evaluate(self, numbers: Numbers) -> bool:
        """Whether the criterion holds. A number that is NaN or infinite fails; a missing one is an error."""
        try:
            verdict = bool(self.holds(numbers))
        except KeyError as missing:
            raise ValueError(
                f"claim {self.id} needs the number {missing}; got {', '.join(numbers) or 'none'}."
            ) from None
        return verdict and all(math.isfinite(value) for value in numbers.values())


REGISTRY: dict[str, Claim] = {}


def register(claim: Claim) -> Claim:
    """Make a claim known. An id is unique; the same claim may come again (a module reload)."""
    other = REGISTRY.get(claim.id)
    if other is not None and other.statement != claim.statement:
        raise ValueError(f"two claims have the id {claim.id!r}: {other.statement!r} and {claim.statement!r}.")
    REGISTRY[claim.id] = claim
    return claim


def known() -> dict[str, Claim]:
    """All claims by id, once the modules that define them are imported."""
    load("claims")
    return REGISTRY


LISTED = 10  # numbers of a claim that holds; a claim of more prints no wall of them


def claim(id: str, **numbers: float) -> None:
    """Test a claim and print the outcome; with `numbers` on these, without on numbers measured here with seed 0.

    At scale `smoke` the claim is not tested, because runs that small say nothing about it.

    Raises:
        AssertionError: the criterion does not hold, at scale `cpu` or `gpu`.
        ValueError: the id is unknown, or a number that the criterion needs is missing.
    """
    from jemlib.scales import current_scale

    claims, scale = known(), current_scale()
    found = claims[validate.choice("id", id, claims)]
    heading = f"Claim {id}: {found.statement}"
    if scale.name == "smoke":
        print(f"{heading}\n  Not tested at scale smoke: the runs are too small to say.")
        return
    measured = _as_floats(numbers or found.measure(0, scale))
    holds = found.evaluate(measured)
    listed = ", ".join(f"{name} = {value:.4g}" for name, value in measured.items())
    if holds and len(measured) > LISTED:
        listed = f"{len(measured)} numbers; the lesson's table of claims has their means"
    summary = f"{heading}\n  criterion: {found.criterion}\n  measured: {listed}"
    if not holds:
        raise AssertionError(f"{summary}\n  It does not hold.")
    print(f"{summary}\n  It holds.")


def run_claims(
    ids: Iterable[str] | None = None,
    seeds: int = 3,
    scale: str | None = None,
    out: str | Path | None = None,
    progress: bool = True,
) -> list[dict[str, Any]]:
    """Measure claims with seeds 0, 1, ... and write the records; a claim that fails does not stop the others.

    Args:
        ids: which claims; None means all.
        seeds: how many seeds, >= 1.
        scale: "smoke", "cpu" or "gpu"; None means the current one. At `smoke` nothing is judged.
        out: the JSON file; records of other claims in it are kept. None means results/claims.json of the
            repository, which a `smoke` run leaves alone.
        progress: whether to show a progress bar.

    Returns:
        one record per claim. `holds` has one entry per seed: true, false, or null where nothing was judged.
    """
    from tqdm import tqdm

    from jemlib.scales import current_scale

    validate.integer("seeds", seeds, at_least=1)
    claims, size = known(), current_scale(scale)
    chosen = [claims[validate.choice("id", id, claims)] for id in (claims if ids is None else ids)]
    path = _destination(out, size.name)
    records = []
    with tqdm(total=len(chosen) * seeds, unit="run", disable=not progress) as bar:
        for one in chosen:
            runs = []
            for seed in range(seeds):
                bar.set_description(f"{one.id}, seed {seed}")
                runs.append(_run(one, seed, size))
                bar.update()
            records.append(_record(one, runs, size.name))
            if path is not None:
                _write(path, records[-1:])  # at once: a run that is stopped keeps what it has measured
    for record in records:
        print(_line(record))
    return records


def _run(one: Claim, seed: int, scale: Any) -> dict[str, Any]:
    """One measurement; an exception becomes part of the record, so that the other claims still run."""
    try:
        numbers = _as_floats(one.measure(seed, scale))
        holds = None if scale.name == "smoke" else one.evaluate(numbers)
        return {"numbers": numbers, "holds": holds, "error": None}
    except Exception as error:
        return {"numbers": {}, "holds": False, "error": f"{type(error).__name__}: {error}"}


def _record(one: Claim, runs: list[dict[str, Any]], scale: str) -> dict[str, Any]:
    holds = [run["holds"] for run in runs]
    return {
        "id": one.id,
        "statement": one.statement,
        "lesson": one.lesson,
        "criterion": one.criterion,
        "scale": scale,
        "split": "validation",
        "numbers": [run["numbers"] for run in runs],
        "holds": holds,
        # an error is a failure at every scale; otherwise smoke judges nothing
        "all_hold": False if False in holds else None if None in holds else True,
        "errors": [run["error"] for run in runs],
        "versions": _versions(),
    }


def _versions() -> dict[str, str]:
    return {"jemlib": jemlib.__version__, "python": platform.python_version(), "torch": str(torch.__version__)}


def _as_floats(numbers: Numbers) -> dict[str, float]:
    return {name: float(value) for name, value in numbers.items()}


def _destination(out: str | Path | None, scale: str) -> Path | None:
    from jemlib.course.machinery.exercises import repository_root

    if out is not None:
        return Path(out)
    if scale == "smoke":
        return None
    return (repository_root() or Path.cwd()) / "results" / "claims.json"


def _write(path: Path, records: list[dict[str, Any]]) -> None:
    """Put the records into the file, in place of older ones of the same claims."""
    from jemlib.files import write_json

    path.parent.mkdir(parents=True, exist_ok=True)
    older = json.loads(path.read_text(encoding="utf-8"))["claims"] if path.is_file() else []
    merged = {record["id"]: record for record in [*older, *records]}
    # JSON knows no NaN: such a number is written as null.
    finite = [
        {
            **record,
            "numbers": [
                {k: v if v is not None and math.isfinite(v) else None for k, v in n.items()} for n in record["numbers"]
            ],
        }
        for record in merged.values()
    ]
    write_json(path, {"claims": sorted(finite, key=lambda record: record["id"])})


def _line(record: dict[str, Any]) -> str:
    held = sum(value is True for value in record["holds"])
    if any(record["errors"]):
        outcome = f"could not be measured: {next(error for error in record['errors'] if error)}"
    elif record["all_hold"] is None:
        outcome = f"not tested at scale {record['scale']}"
    else:
        outcome = f"holds for {held} of {len(record['holds'])} seeds"
    return f"{record['id']}: {outcome}. {record['statement']}"
