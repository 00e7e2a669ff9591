"""What a lesson of the second edition keeps: alternative texts, rhythm, what one should see, errata at the end.

A lesson is of the second edition when its first cell says so, `# %% [markdown] edition="2"`, or when any of its cells
has an alternative text: a lesson that has one must have all. Others are built as before until their authors move them.
"""

from __future__ import annotations

import ast
import re
from typing import Any

from jemlib.course.build.errata import SECTION, misplaced

# Most cells between two exercises, headers counted, exercise and check cells not.
LONGEST_STRETCH = 8
SEE = "What you should see"
# What may hold a decimal that no run has measured: code, formulas, numbers of exercises and sections, addresses.
NOT_MEASURED = re.compile(
    r"```.*?```|`[^`]*`|\$\$.*?\$\$|\$[^$]*\$|\{[^}]*\}|arXiv:\S+|https?://\S+"
    r"|\b(?:exercises?|lessons?|sections?|version)\s+[\d.]+(?:(?:,| and| to)\s+[\d.]+)*",
    re.DOTALL | re.IGNORECASE,
)
DECIMAL = re.compile(r"(?<![\w.])\d*\.\d+")


def is_second(cells: list[Any]) -> bool:
    """Whether the cells of a source are a lesson of the second edition."""
    return bool(cells) and ("edition" in cells[0].metadata or any("alt" in cell.metadata for cell in cells))


def broken_rule(cells: list[Any]) -> str | None:
    """The first rule of the second edition that the cells of a source break, in words; None when they keep all."""
    return long_stretch(cells) or unseen(cells) or typed_figure(cells) or misplaced(cells)


def long_stretch(cells: list[Any]) -> str | None:
    """An exercise at least every eight cells, from the notation to the take-away."""
    start = next((i for i, cell in enumerate(cells) if _heading(cell, "## Notation")), -1)
    since, last = 0, "the notation"
    for cell in cells[start + 1 :]:
        if _heading(cell, "## Take-away") or _heading(cell, f"## {SECTION}"):
            break
        name = cell.metadata.get("exercise")
        if name is None:
            since += "check" not in cell.metadata
            continue
        if since > LONGEST_STRETCH:
            return f"{since} cells stand between {last} and exercise {name}; at most {LONGEST_STRETCH} may."
        since, last = 0, f"exercise {name}"
    if since > LONGEST_STRETCH:
        return f"{since} cells stand between {last} and the take-away; at most {LONGEST_STRETCH} may."
    return None


def unseen(cells: list[Any]) -> str | None:
    """Every section called Experiment says what one should see."""
    section, seen = None, True
    for heading in [*_headings(cells), "## the end"]:
        if heading.startswith("## "):
            if section is not None and not seen:
                return f'{section!r} needs a part "### {SEE}" after its runs.'
            section, seen = (heading, False) if heading.startswith("## Experiment") else (None, True)
        seen = seen or heading.startswith(f"### {SEE}")
    return None


def typed_figure(cells: list[Any]) -> str | None:
    """What was measured is never typed: in the parts on what one should see, it comes from `recorded`."""
    inside = False
    for cell in cells:
        if cell.cell_type != "markdown":
            texts = _strings(cell.source) if inside else []
        else:
            texts = []
            for part in re.split(r"^(?=#{2,3} )", cell.source, flags=re.MULTILINE):
                inside = part.startswith(f"### {SEE}") if part.startswith("#") else inside
                texts += [part] if inside else []
        for text in texts:
            if found := DECIMAL.search(NOT_MEASURED.sub(" ", text)):
                return (
                    f"{found[0]} is typed into a part on what one should see; what a run measured comes from "
                    "recorded(...), and a setting stands in backticks or in a formula."
                )
    return None


def without_text(notebook: Any) -> list[str]:
    """The first line of each cell of an executed notebook that shows a picture and has no alternative text."""
    return [
        (cell.source.strip() or "an empty cell").splitlines()[0]
        for cell in notebook.cells
        if cell.cell_type == "code" and pictures(cell) and not cell.metadata.get("alt")
    ]


def label(notebook: Any) -> None:
    """Put each cell's alternative text on its pictures, where nbconvert's classic template reads it."""
    for cell in notebook.cells:
        for output, kind in pictures(cell) if cell.cell_type == "code" else []:
            own = dict(output.metadata.get(kind, {}))
            own.pop("alt", None)
            own |= {"alt": cell.metadata["alt"]} if cell.metadata.get("alt") else {}
            output.metadata.pop(kind, None)
            if own:
                output.metadata[kind] = own


def pictures(cell: Any) -> list[tuple[Any, str]]:
    """The outputs of a cell that are pictures, each with its kind, such as "image/png"."""
    return [(o, kind) for o in cell.get("outputs", []) for kind in o.get("data", {}) if kind.startswith("image/")]


def _heading(cell: Any, start: str) -> bool:
    return cell.cell_type == "markdown" and any(line.startswith(start) for line in cell.source.splitlines())


def _headings(cells: list[Any]) -> list[str]:
    lines = [line for cell in cells if cell.cell_type == "markdown" for line in cell.source.splitlines()]
    return [line for line in lines if re.match(r"#{2,3} ", line)]


def _strings(code: str) -> list[str]:
    """The texts that a cell gives to `recorded`."""
    calls = [node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Call)]
    own = [call for call in calls if getattr(call.func, "id", getattr(call.func, "attr", "")) == "recorded"]
    nodes = [node for call in own for node in ast.walk(call)]
    return [node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)]
