"""What the sources got wrong: where it stands in a lesson, and one page that lists it for all lessons."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

SECTION = "What the sources got wrong"
PAGE = "lessons/errata.md"
ERRATUM = re.compile(r"\*\*([EP])(\d+)\b(.*?)\*\*", re.DOTALL)
LAST_OF_THE_HAND_WRITTEN = 15
INTRODUCTION = """# Errata

Written by `jem build` from the lessons. You need none of this to follow the course; it is for readers of the sources
beside it. The course grew out of two sets of notes, and each lesson corrects, in an optional section at its end, what
they say otherwise than the papers and the official code. Cells there verify each correction.

- The **hand-written notes** are a reader's unpublished pages on Barlow Twins, the information bottleneck, *Demystifying
  Contrastive Self-Supervised Learning* and PCL.
- The **lecture notes** are *Joint Embedding Methods - Regularised* by A. Canziani and J. Zhu (scribe: S. C. Akula),
  12 May 2022, from NYU's course on deep learning.
- Items with a P are slips of the **papers** themselves, or places where a paper and its official code differ.
"""
GROUPS = ("The hand-written notes", "The lecture notes", "Papers and official code")


class Erratum(NamedTuple):
    number: str
    title: str
    lesson: str

    @property
    def group(self) -> str:
        if self.number[0] == "P":
            return GROUPS[2]
        return GROUPS[int(self.number[1:]) > LAST_OF_THE_HAND_WRITTEN]


def errata(text: str, lesson: str) -> list[Erratum]:
    """The errata of a lesson's source: what stands in bold, with its number, in the section of the sources."""
    found, inside = [], False
    for cell in re.split(r"^# %%", text, flags=re.MULTILINE)[1:]:
        options, _, body = cell.partition("\n")
        if "[markdown]" not in options:
            continue
        markdown = re.sub(r"^# ?", "", body, flags=re.MULTILINE)
        for part in re.split(r"^(?=## )", markdown, flags=re.MULTILINE):
            inside = part.startswith(f"## {SECTION}") if part.startswith("## ") else inside
            for match in ERRATUM.finditer(part) if inside else []:
                found.append(Erratum(match[1] + match[2], _title(match[3]), lesson))
    return found


def _title(rest: str) -> str:
    """The words after the number: ` (lecture notes): the log is missing.` says that the log is missing."""
    words = " ".join(rest.split()).lstrip(":,. ")
    words = re.sub(r"^\((?!\w\))[^)]*\):? *", "", words)
    return re.sub(r"^(\(\w+\)): ", r"\1 ", words).rstrip(".").replace("|", r"\|")


def page(sources: Mapping[str, str]) -> str | None:
    """The page of all errata, from the lessons' sources by name; None when there is none."""
    found = [erratum for lesson, text in sources.items() for erratum in errata(text, lesson)]
    if not found:
        return None
    parts = [INTRODUCTION]
    for group in GROUPS:
        rows = sorted((e for e in found if e.group == group), key=lambda e: (int(e.number[1:]), e.lesson))
        if rows:
            lines = [f"| {e.number} | {e.title} | [{e.lesson}]({e.lesson}.ipynb) |" for e in rows]
            parts.append("\n".join([f"## {group}\n", "| number | what | lesson |", "| --- | --- | --- |", *lines, ""]))
    return "\n".join(parts)


def misplaced(cells: list[Any]) -> str | None:
    """Why the section is not one folded, optional part at the end; None when it is."""
    start = next((i for i, cell in enumerate(cells) if _heads(cell, SECTION)), None)
    if start is None:
        return None
    later = [cell for cell in cells[start + 1 :] if _heads(cell, "")]
    if later:
        return f"## {SECTION} must be the last section; {later[0].source.splitlines()[0]!r} comes after it."
    prose = [cell.source for cell in cells[start:] if cell.cell_type == "markdown"]
    if len(prose) > 1 or not re.search(r"<details>.*</details>", prose[0], re.DOTALL):
        return f"## {SECTION} must be one markdown cell, with its text folded between <details> and </details>."
    code = [cell for cell in cells[start:] if cell.cell_type == "code"]
    if any("optional" not in cell.metadata.get("tags", []) for cell in code):
        return f'code cells of ## {SECTION} must be tagged: # %% tags=["optional"].'
    return None


def _heads(cell: Any, name: str) -> bool:
    pattern = rf"^## +{re.escape(name)}"
    return cell.cell_type == "markdown" and re.search(pattern, cell.source, re.MULTILINE) is not None
