"""What comes out of a run: executing a notebook, and keeping of its outputs what a reader needs."""

from __future__ import annotations

import ast
import copy
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from IPython.display import Markdown

from jemlib.course.build import edition
from jemlib.course.machinery import records

# A cell may take this long. The `cpu` scale promises a minute per run, and a cell may hold several.
CELL_SECONDS = 1200


class SourceError(ValueError):
    """A lesson's source breaks a convention; the message says which one and where."""


def _code(notebook: Any) -> list[str]:
    return [cell.source for cell in notebook.cells if cell.cell_type == "code"]


def _is_executed(notebook: Any) -> bool:
    """Whether every code cell has been run, from top to bottom, without an error, and something came out."""
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    in_order = [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell.outputs]
    return in_order and bool(outputs) and all(output.output_type != "error" for output in outputs)


def _adopt_outputs(notebook: Any, executed: Any) -> None:
    """Take over outputs from a run of the same code."""
    old = [cell for cell in executed.cells if cell.cell_type == "code"]
    for cell, done in zip((cell for cell in notebook.cells if cell.cell_type == "code"), old):
        cell.outputs, cell.execution_count = done.outputs, done.execution_count


# What reads results/ alone: it needs no run, and must say what stands there now.
_OF_RECORDS: dict[str, Callable[..., Markdown]] = {
    f.__name__: f for f in (records.recorded, records.recorded_claims, records.objectives_so_far)
}


def _refresh_records(notebook: Any, root: Path) -> None:
    """The outputs of cells that only show a record are made anew: a record may have been measured again."""
    for cell in notebook.cells:
        call = _record_call(cell.source) if cell.cell_type == "code" else None
        if call is None:
            continue
        name, arguments = call
        for output in cell.outputs:
            if "text/markdown" in output.get("data", {}):
                text = str(_OF_RECORDS[name](*arguments, root=root).data)
                if not output.data["text/markdown"].startswith(records.AT_SMOKE):
                    text = text.removeprefix(records.AT_SMOKE).lstrip()  # the scale of that run, not of this process
                output.data["text/markdown"] = text


def _record_call(source: str) -> tuple[str, list[Any]] | None:
    """The function and its arguments, where a cell is nothing but such a call: `recorded_claims("02_barlow_twins")`."""
    body = ast.parse(source).body
    call = body[0].value if len(body) == 1 and isinstance(body[0], ast.Expr) else None
    if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name) or call.func.id not in _OF_RECORDS:
        return None
    return call.func.id, [ast.literal_eval(argument) for argument in call.args]


def _label_pictures(notebook: Any, path: Path) -> None:
    """Alternative texts onto the pictures. In a lesson of the second edition, no picture may be without."""
    edition.label(notebook)
    missing = edition.without_text(notebook)
    if missing and notebook.metadata["jemlib"]["edition"] >= 2:
        raise SourceError(
            f'{path}: pictures without an alternative text, # %% alt="...", in the cells: {"; ".join(missing)}'
        )


def _execute(notebook: Any, path: Path, root: Path) -> None:
    """Run a notebook in its folder and keep what a reader needs of the outputs."""
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError, CellTimeoutError

    client = NotebookClient(
        notebook,
        timeout=CELL_SECONDS,
        kernel_name="python3",
        resources={"metadata": {"path": str(path.parent)}},
        record_timing=False,
    )
    try:
        # CI keeps progress bars quiet: they are dropped anyway, and their many messages have hung a long run.
        # Another backend than the notebook's own would leave every picture out.
        dropped = ("NBGRADER_EXECUTION", "MPLBACKEND")
        kept = {name: value for name, value in os.environ.items() if name not in dropped}
        own = copy.deepcopy(notebook.metadata)
        client.execute(env={**kept, "CI": "true"})
    except (CellExecutionError, CellTimeoutError) as error:
        raise RuntimeError(f"{path.relative_to(root)} does not run: {error}") from None
    notebook.metadata = own  # the run adds the versions of this machine
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = _cleaned(cell.outputs)
            _refuse_local(cell, path.relative_to(root), root)


def _cleaned(outputs: list[Any]) -> list[Any]:
    """Without stderr, progress bars and live widgets; pieces of one stream joined; overwritten lines dropped."""
    kept: list[Any] = []
    for output in outputs:
        if output.output_type == "stream" and output.name == "stderr":
            continue
        if "application/vnd.jupyter.widget-view+json" in output.get("data", {}):
            continue
        if output.output_type == "stream" and kept and kept[-1].output_type == "stream":
            kept[-1].text += output.text
        else:
            kept.append(output)
    for output in kept:
        output.get("metadata", {}).pop("execution", None)
        if output.output_type == "stream":
            output.text = re.sub(r"[^\n]*\r(?!\n)", "", output.text)
    return kept


def _refuse_local(cell: Any, path: Path, root: Path) -> None:
    """Outputs are committed, so they must not name folders or addresses that only one run has."""
    texts = [
        str({**output, "data": {k: v for k, v in output.get("data", {}).items() if not k.startswith("image/")}})
        for output in cell.outputs
    ]
    folders = {str(root.resolve()), sys.prefix, str(Path.home())} - {"/", "/root", "/usr"}
    found = [folder for folder in sorted(folders) if any(folder in text for text in texts)]
    found += [match[0] for text in texts for match in re.finditer(r"\bat 0x[0-9a-f]+", text)]
    if found:
        raise RuntimeError(
            f"{path}: the output of a cell names {found[0]!r}; print something else there:\n{cell.source}"
        )
