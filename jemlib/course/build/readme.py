"""The generated tables of README.md: the lessons, and the results, both from files that runs have written."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from jemlib.course.machinery.exercises import of_lesson
from jemlib.experiments import markdown_table
from jemlib.experiments.removals import table as removals_table


def filled(text: str, root: Path) -> str:
    """README text with the parts between `<!-- NAME -->` and `<!-- /NAME -->` written anew.

    Raises:
        ValueError: a mark is missing.
    """
    for name, table in (("lessons", lessons_table(root)), ("results", results_tables(root))):
        marked = re.search(rf"<!-- {name} -->\n.*?<!-- /{name} -->", text, re.DOTALL)
        if marked is None:
            raise ValueError(f"README.md needs the marks <!-- {name} --> and <!-- /{name} -->.")
        text = f"{text[: marked.start()]}<!-- {name} -->\n{table}\n<!-- /{name} -->{text[marked.end() :]}"
    return text


def read_record(root: Path, name: str) -> dict[str, Any]:
    """A JSON record of results/, empty when it is not there yet."""
    path = root / "results" / f"{name}.json"
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else {}


def lessons_table(root: Path) -> str:
    """Lesson, what you derive, measured minutes, exercises, library functions: one row for each source."""
    seconds = read_record(root, "lessons")
    lines = [
        "| lesson | what you derive | runs in | exercises | library functions |",
        "| --- | --- | --- | --- | --- |",
    ]
    for source in sorted((root / "solutions").glob("[0-9][0-9]_*.py")):
        title = re.search(r"^# # (?:\d\d · )?(.+)$", source.read_text(encoding="utf-8"), re.MULTILINE)
        exercises = of_lesson(source.stem)
        functions = dict.fromkeys(f"`{e.reference.__name__}`" for e in exercises)
        run = seconds.get(source.stem, {})
        minutes = f"{run['seconds'] / 60:.1f} min" if run else ""
        minutes += " on one thread" if run.get("threads") == 1 else ""
        links = (
            f"[{source.stem}](lessons/{source.stem}.ipynb) ([solved](solutions/{source.stem}.ipynb))",
            title[1] if title else "",
            minutes,
            f"{len(exercises)}, about {sum(e.minutes for e in exercises)} min",
            ", ".join(functions),
        )
        lines.append(f"| {' | '.join(links)} |")
    return "\n".join(lines)


def described(table: dict[str, Any]) -> str:
    """What a comparison was run on, in a sentence."""
    run = table["runs"][0]
    seeds = f"mean over {table['seeds']} seeds (± standard deviation)" if table["seeds"] > 1 else "one seed"
    return (
        f"`{table['data']}`, {run['train_images']:,} training images, backbone `{run['backbone']}`, scale "
        f"`{table['scale']}`, {run['steps']:,} steps of {run['recipe']['batch_size']} images on {run['threads']} "
        f"threads, {seeds}:"
    )


def ratios_table(ratios: dict[str, float]) -> str:
    rows = "\n".join(f"| {name} | {value:.2f} |" for name, value in ratios.items())
    return f"| what | ratio |\n| --- | --- |\n{rows}"


def results_tables(root: Path) -> str:
    """Comparisons, collapses on purpose and speed ratios, as far as they are recorded."""
    parts = []
    for name in ("motifs_cpu", "cifar10_cpu"):
        table = read_record(root, name)
        if table:
            parts.append(f"{described(table)}\n\n{markdown_table(table)}")
    collapse = read_record(root, "collapse")
    if collapse:
        steps = collapse["scale"]["steps"]
        bare = sorted({row["method"] for row in collapse["rows"] if row["common"].get("normalize_output") is False})
        parts.append(
            f"What keeps each method from collapsing, taken away, {steps} steps. The rows of {', '.join(bare)} are "
            "without the batch norm at the output, on both sides, because it hides a complete collapse "
            "(`dino.sharpening` has it); intact they then learn less.\n\n" + removals_table(collapse)
        )
    claims = read_record(root, "claims").get("claims", [])
    if claims:
        held, seeds = sum(record["all_hold"] is True for record in claims), min(len(r["holds"]) for r in claims)
        parts.append(
            f"Claims of the lessons, measured by `jem claims`: {held} of {len(claims)} hold on each of {seeds} seeds "
            "or more (`results/claims.json`; each lesson shows its own)."
        )
    bench = read_record(root, "bench")
    if bench:
        runs = f"medians of {bench['runs']} runs" if bench.get("runs", 1) > 1 else "one run"
        parts.append(f"Speed ratios, {runs} on {bench['threads']} threads:\n\n{ratios_table(bench['ratios'])}")
    losses = read_record(root, "bench_losses")
    if losses:
        size = f"forward and backward, N = {losses['n']:,}, D = {losses['d']:,}, above 1 ours is quicker"
        parts.append(f"Speed of the objectives by themselves ({size}):\n\n{ratios_table(losses['ratios'])}")
    return "\n\n".join(parts)
