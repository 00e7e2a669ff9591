"""Fail when a notebook has code cells that nbval did not execute; print how long each notebook took.

    python tests/check_executed_cells.py junit.xml lessons solutions

A skip tag, a timeout or a forgotten folder leaves pytest green although nothing was run. Here every code cell must
be one passed test of the junit report.
"""

from __future__ import annotations

import sys
import xml.etree.ElementTree as ElementTree
from collections import Counter, defaultdict
from pathlib import Path

import nbformat


def passed_cells(report: Path) -> Counter[str]:
    """How many cells passed, by nbval's name of a notebook: its path with dots, such as `lessons.01_x.ipynb`."""
    counts: Counter[str] = Counter()
    for case in ElementTree.parse(report).iter("testcase"):
        troubled = any(case.find(kind) is not None for kind in ("failure", "error", "skipped"))
        counts[case.get("classname", "")] += not troubled
    return counts


def missing_cells(report: Path, folders: list[Path]) -> list[str]:
    """One line for each notebook with fewer passed cells than code cells; also when there is no notebook at all."""
    counts = passed_cells(report)
    lines = []
    for folder in folders:
        notebooks = sorted(folder.glob("*.ipynb"))
        if not notebooks:
            lines.append(f"{folder}: no notebooks")
        for path in notebooks:
            cells = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
            ending = f"{folder.name}.{path.name}"
            passed = sum(n for name, n in counts.items() if name == ending or name.endswith(f".{ending}"))
            if passed < len(cells) or not cells:
                lines.append(f"{folder.name}/{path.name}: {passed} of {len(cells)} code cells executed")
    return lines


def seconds(report: Path) -> dict[str, float]:
    """How long the cells of each notebook took together, by nbval's name of the notebook."""
    times: dict[str, float] = defaultdict(float)
    for case in ElementTree.parse(report).iter("testcase"):
        times[case.get("classname", "")] += float(case.get("time", 0))
    return times


def main(arguments: list[str]) -> int:
    if len(arguments) < 2:
        print(__doc__)
        return 2
    for name, time in sorted(seconds(Path(arguments[0])).items()):
        print(f"{time:6.1f} s  {name}")
    lines = missing_cells(Path(arguments[0]), [Path(folder) for folder in arguments[1:]])
    print("\n".join(lines) if lines else "Every code cell was executed.")
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
