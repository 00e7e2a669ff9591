"""The notebook builder: one source per lesson, `solutions/NN_name.py`, becomes two notebooks.

    lessons/NN_name.ipynb     what a learner opens: solution regions cleared as nbgrader clears them, no outputs
    solutions/NN_name.ipynb   the solved lesson, executed, with outputs

Conventions of a source (py:percent, runs top to bottom as a script):

    # %% exercise="NAME"      the solved function, its body between ### BEGIN SOLUTION and ### END SOLUTION
    # %% check="NAME"         holds `NAME = check(NAME)`
    # %% alt="..."            what the cell's picture shows, in a sentence, for those who do not see it
    # %% tags=["..."]         tags of a code cell, such as nbval-check-output
    # %% [markdown] edition="2"   on the first cell: the rules of the second edition hold (see `edition`)
    {{exercise:NAME}}         in markdown, on a line of its own: the exercise's heading and the line below it
    {{symbols}}               in markdown, on a line of its own: the notation table (see `symbols`)

Ids, points and headings come from the registry of exercises. The same source gives the same bytes every time.

Alternative texts: for a lesson of the second edition, and a lesson that has one alternative text is of it, every cell
whose executed output holds a picture must have one. This is known only after a run: `jem build` refuses what it has
just executed, and `jem build --check` refuses what is committed.
"""

from __future__ import annotations

import ast
import base64
import copy
import hashlib
import re
import time
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

from jemlib.course.build import edition, errata, symbols
from jemlib.course.build.outputs import (
    SourceError,
    _adopt_outputs,
    _code,
    _execute,
    _is_executed,
    _label_pictures,
    _refresh_records,
)
from jemlib.course.build.readme import filled, read_record
from jemlib.course.machinery.exercises import REGISTRY, Exercise, of_lesson, repository_root
from jemlib.experiments import hardware
from jemlib.files import write_bytes, write_json, write_text
from jemlib.scales import current_scale

# Second-level headings that every lesson has; a heading may go on after the name ("## Derivation: the gradient").
REQUIRED_SECTIONS = (
    "What you will learn",
    "Before you start",
    "Notation",
    "Derivation",
    "Ladder",
    "Predict, then run",
    "Experiment",
    "Widget",
    "What the sources got wrong",
    "Take-away",
    "Quiz",
    "References",
)
BEGIN, END = "### BEGIN SOLUTION", "### END SOLUTION"
# What a skeleton holds where somebody has to write; no lesson with one of them is built.
WRITE = "WRITE:"
STUB = ("# YOUR CODE HERE", "raise NotImplementedError()")
METADATA = {
    "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
HEADER = re.compile(r"\{\{exercise:(\w+)\}\}")
LONGEST_HEADING = 84  # characters; Jupyter's outline shows a heading in one line
# A line that is not Python but IPython's: %magic, %%magic, !command, x = %magic, x = !command, ?x, x?
IPYTHON = re.compile(r"^[%!?]|^[\w\s.,*\[\]]+=\s*[%!]|^[\w.]+\?{1,2}$")
# What a whole solved lesson should take at scale `cpu` on two cores. A slower machine is told, not refused.
LESSON_SECONDS = 360


def build(
    names: Iterable[str] | None = None,
    *,
    check: bool = False,
    execute: bool | None = None,
    root: str | Path | None = None,
    report: Callable[[str], None] = lambda message: None,
) -> list[Path]:
    """Write the notebooks of lessons and the tables of README.md, or with `check` only say which ones differ.

    Args:
        names: lessons such as "02_barlow_twins" or "02"; None means all, and then left-over notebooks count as well.
        check: write nothing.
        execute: run the solved notebook always (True), never (False), or when its code changed or it has no
            outputs (None). Changes in prose keep the outputs, and those that show a record follow results/.
        root: the folder that holds lessons/ and solutions/; None means this repository.
        report: called with a line of text before each lesson that is executed.

    Returns:
        the files that were written, or with `check` those that differ, relative to the root.

    Raises:
        SourceError: a source breaks a convention.
        RuntimeError: a cell of the solved notebook fails.
    """
    root = Path(root) if root is not None else repository_root()
    if root is None:
        raise FileNotFoundError("no folder with solutions/ and jemlib/ here or above; run this inside the repository.")
    changed: list[Path] = []
    for source in _sources(root, names):
        student, solved = notebooks(source.read_text(encoding="utf-8"), source.stem)
        paths = root / "lessons" / f"{source.stem}.ipynb", source.with_suffix(".ipynb")
        committed = _read(paths[1])
        fresh = committed is not None and _is_executed(committed) and _code(committed) == _code(solved)
        if fresh and committed is not None and not (execute and not check):
            _adopt_outputs(solved, committed)
            _refresh_records(solved, root)
        elif check or execute is False:
            changed += [paths[1].relative_to(root)] if check else []
            solved = None
        else:
            report(f"executing {paths[1].relative_to(root)}")
            started = time.perf_counter()
            _execute(solved, paths[1], root)
            _record_seconds(root, source.stem, time.perf_counter() - started, report)
        if solved is not None:
            _label_pictures(solved, paths[1].relative_to(root))
        for path, notebook in zip(paths, (student, solved)):
            if notebook is not None and _update(path, _text(notebook), check):
                changed.append(path.relative_to(root))
    if names is None and check:
        changed += [path.relative_to(root) for path in _left_over(root)]
    changed += _update_picture(root, check)
    changed += _update_errata(root, check)
    page = root / "README.md"
    if names is None and page.is_file() and _update(page, filled(page.read_text(encoding="utf-8"), root), check):
        changed.append(page.relative_to(root))
    return sorted(changed)


def _update_picture(root: Path, check: bool) -> list[Path]:
    """README's picture: the figure of the cell that is tagged `readme`, taken from the solved notebook."""
    path = root / "results" / "readme.png"
    for source in _sources(root, None):
        notebook = _read(source.with_suffix(".ipynb"))
        for cell in notebook.cells if notebook is not None else []:
            pictures = [o.data["image/png"] for o in cell.get("outputs", []) if "image/png" in o.get("data", {})]
            if "readme" not in cell.metadata.get("tags", []) or not pictures:
                continue
            fresh = base64.b64decode(pictures[0])
            if path.is_file() and path.read_bytes() == fresh:
                return []
            if not check:
                path.parent.mkdir(exist_ok=True)
                write_bytes(path, fresh)
            return [path.relative_to(root)]
    return []


def _update_errata(root: Path, check: bool) -> list[Path]:
    """The page that lists the errata of all lessons."""
    page = errata.page({source.stem: source.read_text(encoding="utf-8") for source in _sources(root, None)})
    return [Path(errata.PAGE)] if page is not None and _update(root / errata.PAGE, page, check) else []


def _record_seconds(root: Path, lesson: str, seconds: float, report: Callable[[str], None]) -> None:
    """Keep how long a solved lesson ran, for the README. Only scale `cpu` counts: that is what a reader waits for."""
    scale = current_scale()
    if scale.name == "cpu" and seconds > LESSON_SECONDS:
        report(f"{lesson} took {seconds / 60:.1f} minutes; a solved lesson should take {LESSON_SECONDS // 60} at most")
    if scale.name == "cpu" and (root / "results").is_dir():
        record = {**read_record(root, "lessons"), lesson: {"seconds": round(seconds), **hardware()}}
        write_json(root / "results" / "lessons.json", record)


def notebooks(text: str, lesson: str) -> tuple[Any, Any]:
    """The student's and the solved notebook of a source, both without outputs."""
    solved = _notebook(parse(text, lesson), lesson)
    student = copy.deepcopy(solved)
    for cell in student.cells:
        if cell.cell_type == "code":
            cell.source = clear_solutions(cell.source)
    return student, solved


def parse(text: str, lesson: str) -> list[Any]:
    """The cells of a source with headers filled in, after every convention has been checked."""
    import jupytext

    cells = [cell for cell in jupytext.reads(text, fmt="py:percent").cells if cell.source.strip()]
    for number, cell in enumerate(cells, start=1):
        _check_options(cell, f"{lesson}, cell {number}", first=number == 1)
        _check_marks(cell, f"{lesson}, cell {number}")
        _check_python(cell, f"{lesson}, cell {number}")
    _check_written(cells, lesson)
    for cell in cells:
        if cell.cell_type == "markdown":
            cell.source = _with_symbols(cell.source, lesson)
    _check_exercises(cells, lesson)
    if edition.is_second(cells) and (broken := edition.broken_rule(cells)):
        raise SourceError(f"{lesson}: {broken}")
    markdown = "\n\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    code = "\n\n".join(cell.source for cell in cells if cell.cell_type == "code")
    _check_sections(markdown, lesson)
    unknown = unknown_names(markdown, code)
    if unknown:
        raise SourceError(
            f"{lesson}: the notation table names {', '.join(unknown)}, "
            "found neither in the lesson's code nor in jemlib."
        )
    for cell in cells:
        if cell.cell_type == "markdown":
            cell.source = HEADER.sub(lambda match: REGISTRY[match[1]].header, cell.source)
    return cells


def clear_solutions(source: str) -> str:
    """Replace each solution region as nbgrader's ClearSolutions does: the stub, indented as the begin mark."""
    lines: list[str] = []
    inside = False
    for line in source.split("\n"):
        if BEGIN in line:
            indent = line[: len(line) - len(line.lstrip())]
            lines += [indent + stub for stub in STUB]
            inside = True
        elif END in line:
            inside = False
        elif not inside:
            lines.append(line)
    return "\n".join(lines)


def notation_names(source: str) -> list[str]:
    """The code names of the notation table: whatever stands in backticks in the second column of its rows.

    Args:
        source: a lesson's source, or its markdown alone.
    """
    return [name for row in notation_rows(source) for name in re.findall(r"`([^`]+)`", row[1])]


def notation_rows(source: str) -> list[list[str]]:
    """The rows of the notation table, column by column; in a source, its `{{symbols}}` counts as what it becomes."""
    lesson = re.search(r"^(?:# )?# (\d\d) ·", source, flags=re.MULTILINE)
    section = re.search(r"^(?:# )?## +Notation\b.*?$(.*?)(?=^(?:# )?## |\Z)", source, flags=re.MULTILINE | re.DOTALL)
    text = "\n".join(line.removeprefix("# ") for line in section[1].splitlines()) if section else ""
    rows = []
    for line in symbols.rendered(text, lesson[1] if lesson else "").splitlines():
        columns = [column.strip() for column in re.split(r"(?<!\\)\|", line.strip())[1:-1]]
        rows += [columns] if len(columns) >= 3 else []
    return rows


def _with_symbols(markdown: str, lesson: str) -> str:
    try:
        return symbols.rendered(markdown, lesson)
    except ValueError as error:
        raise SourceError(f"{lesson}: {error}") from None


def unknown_names(markdown: str, code: str) -> list[str]:
    """The names of the notation table that neither the lesson's code nor jemlib uses."""
    known = _identifiers(code) | _library_identifiers()
    return [name for name in notation_names(markdown) if not _identifiers(name) <= known]


# --- Checking a source ------------------------------------------------------------------------------------------


def _check_options(cell: Any, place: str, *, first: bool) -> None:
    """Only known options: a misspelt one would silently make an exercise an ordinary cell."""
    for option in ("lines_to_next_cell", "lines_to_end_of_cell_marker"):
        cell.metadata.pop(option, None)
    known = {"exercise", "check", "tags", "alt"} if cell.cell_type == "code" else {"tags"}
    known |= {"edition"} if first else set()
    for option in cell.metadata:
        if option not in known:
            raise SourceError(f"{place}: unknown option {option!r} after # %%; known are {', '.join(sorted(known))}.")
    alt = cell.metadata.get("alt", "a text")
    if not isinstance(alt, str) or not alt.strip():
        raise SourceError(f"{place}: alt must be a sentence that says what is seen; got {alt!r}.")
    if cell.metadata.get("edition", "2") != "2":
        raise SourceError(f'{place}: edition must be "2"; got {cell.metadata["edition"]!r}.')
    if "exercise" in cell.metadata and "check" in cell.metadata:
        raise SourceError(f"{place}: a cell holds an exercise or its check, not both.")


def _check_written(cells: list[Any], lesson: str) -> None:
    """A skeleton is no lesson: nothing may be left to write, in the source and in the exercises' headers."""
    texts = [cell.source for cell in cells] + [exercise.header for exercise in of_lesson(lesson)]
    left = next((line.strip() for text in texts for line in text.split("\n") if WRITE in line), None)
    if left is not None:
        raise SourceError(f"{lesson}: something is still to be written: {left!r}.")


def _check_marks(cell: Any, place: str) -> None:
    """Solution marks come in pairs, and only in exercise cells."""
    inside = False
    for line in cell.source.split("\n"):
        if "BEGIN SOLUTION" in line or "END SOLUTION" in line:
            if line.strip() not in (BEGIN, END):
                raise SourceError(
                    f"{place}: a mark is {BEGIN!r} or {END!r} on a line of its own; got {line.strip()!r}."
                )
            if (line.strip() == BEGIN) == inside:
                raise SourceError(f"{place}: {line.strip()!r} without its partner.")
            inside = not inside
    if inside:
        raise SourceError(f"{place}: {BEGIN!r} without its partner.")
    if BEGIN in cell.source and "exercise" not in cell.metadata:
        raise SourceError(f"{place}: a solution region in a cell that is not an exercise cell.")
    if BEGIN not in cell.source and "exercise" in cell.metadata:
        raise SourceError(f"{place}: exercise {cell.metadata['exercise']} has no solution region.")


def _check_python(cell: Any, place: str) -> None:
    """Code is plain Python. What IPython adds is refused: nbval passes a cell that holds it, whatever fails in it."""
    if cell.cell_type != "code":
        return
    try:
        ast.parse(cell.source)
    except SyntaxError as error:
        line = [*cell.source.split("\n"), ""][(error.lineno or 1) - 1].strip()
        if IPYTHON.search(line):
            raise SourceError(
                f"{place}: a lesson is plain Python, without IPython's % and ! lines, "
                f"because the check of the notebooks does not see them fail; got {line!r}."
            ) from None
        raise SourceError(f"{place}: not valid Python ({error.msg}, line {error.lineno}):\n{cell.source}") from None


def _check_exercises(cells: list[Any], lesson: str) -> None:
    """Every exercise is known, defined, announced by its header, and followed by its check; each of these once."""
    at = {kind: _positions(cells, kind, lesson) for kind in ("exercise", "check")}
    headers: dict[str, int] = {}
    for position, cell in enumerate(cells):
        for name in HEADER.findall(cell.source) if cell.cell_type == "markdown" else []:
            if name in headers:
                raise SourceError(f"{lesson}: the header of {name} stands twice.")
            headers[name] = position
            _check_header(cell.source, name, lesson)
    for name in [*at["exercise"], *at["check"], *headers]:
        _registered(name, lesson)
        if name not in at["exercise"]:
            raise SourceError(f"{lesson}: there is a check or a header of {name}, but no exercise cell.")
        if name not in at["check"]:
            raise SourceError(f'{lesson}: exercise {name} has no check cell (# %% check="{name}").')
        if name not in headers:
            raise SourceError(f"{lesson}: exercise {name} has no header ({{{{exercise:{name}}}}} in markdown).")
        if not headers[name] < at["exercise"][name] < at["check"][name]:
            raise SourceError(f"{lesson}: the order must be header, exercise, check; not so for {name}.")
        _check_code(name, cells[at["exercise"][name]].source, cells[at["check"][name]].source, lesson)


def _check_header(markdown: str, name: str, lesson: str) -> None:
    """A header becomes a heading: it stands on a line of its own, and not right under another heading."""
    lines = [line.strip() for line in markdown.split("\n") if line.strip()]
    mark = f"{{{{exercise:{name}}}}}"
    if mark not in lines:
        raise SourceError(f"{lesson}: {mark} must stand on a line of its own; it becomes a heading.")
    above = lines[lines.index(mark) - 1] if lines.index(mark) else ""
    if above.startswith("#"):
        raise SourceError(
            f"{lesson}: the heading {above!r} stands right above that of {name}; drop it or say something."
        )
    heading = _registered(name, lesson).header.split("\n")[0]
    if len(heading) > LONGEST_HEADING:
        raise SourceError(f"{lesson}: the title of {name} is too long for an outline: {heading!r}.")


def _positions(cells: list[Any], kind: str, lesson: str) -> dict[str, int]:
    found: dict[str, int] = {}
    for position, cell in enumerate(cells):
        name = cell.metadata.get(kind)
        if name in found:
            raise SourceError(f"{lesson}: two {kind} cells for {name}.")
        if name is not None:
            found[name] = position
    return found


def _registered(name: str, lesson: str) -> Exercise:
    exercise = REGISTRY.get(name)
    if exercise is None or exercise.lesson != lesson:
        known = ", ".join(e.name for e in of_lesson(lesson)) or "none"
        raise SourceError(f"{lesson}: no exercise {name} is registered for this lesson; registered are: {known}.")
    return exercise


def _check_code(name: str, exercise: str, check: str, lesson: str) -> None:
    if not any(isinstance(node, ast.FunctionDef) and node.name == name for node in _tree(exercise).body):
        raise SourceError(f"{lesson}: the exercise cell of {name} must define a function of that name.")
    if f"{name} = check({name})" not in [ast.unparse(node) for node in _tree(check).body]:
        raise SourceError(f"{lesson}: the check cell of {name} must hold `{name} = check({name})`.")


def _check_sections(markdown: str, lesson: str) -> None:
    headings = re.findall(r"^## +(.+?)\s*$", markdown, flags=re.MULTILINE)
    missing = [name for name in REQUIRED_SECTIONS if not any(re.match(rf"{re.escape(name)}\b", h) for h in headings)]
    if missing:
        raise SourceError(f"{lesson}: missing sections: {', '.join(f'## {name}' for name in missing)}.")
    if not notation_names(markdown):
        raise SourceError(
            f"{lesson}: ## Notation needs a table | symbol | code | shape | with the code names in backticks."
        )
    if found := symbols.clash(notation_rows(markdown)):
        raise SourceError(f"{lesson}: in the notation table {found}")


def _tree(code: str) -> ast.Module:
    try:
        return ast.parse(code)
    except SyntaxError as error:
        raise SourceError(f"not valid Python ({error.msg}, line {error.lineno}):\n{code}") from None


def _identifiers(code: str) -> set[str]:
    """Every name that a piece of code uses or defines."""
    found: set[str] = set()
    for node in ast.walk(_tree(code)):
        for field in ("id", "attr", "arg", "name"):
            value = getattr(node, field, None)
            found |= {value} if isinstance(value, str) else set()
    return found


@cache
def _library_identifiers() -> frozenset[str]:
    package = Path(__file__).resolve().parents[2]
    files = [path for path in package.rglob("*.py") if "course" not in path.relative_to(package).parts]
    return frozenset().union(*(_identifiers(path.read_text(encoding="utf-8")) for path in files))


# --- Writing notebooks ------------------------------------------------------------------------------------------


def _notebook(cells: list[Any], lesson: str) -> Any:
    import nbformat

    origin = {
        "source": f"solutions/{lesson}.py",
        "generated": "by jem build. To change the course, edit the source and build again.",
        "edition": 2 if edition.is_second(cells) else 1,
    }
    notebook = nbformat.v4.new_notebook(metadata={**copy.deepcopy(METADATA), "jemlib": origin})
    notebook.nbformat_minor = 5
    taken: set[str] = set()
    for cell in cells:
        make = nbformat.v4.new_code_cell if cell.cell_type == "code" else nbformat.v4.new_markdown_cell
        notebook.cells.append(make(cell.source, metadata=_metadata(cell), id=_cell_id(cell, taken)))
    nbformat.validate(notebook)
    return notebook


def _metadata(cell: Any) -> dict[str, Any]:
    """Tags, alternative text, and what nbgrader (schema 3) needs to release and grade the cell."""
    metadata: dict[str, Any] = {"tags": list(cell.metadata["tags"])} if "tags" in cell.metadata else {}
    if "alt" in cell.metadata:
        metadata["alt"] = cell.metadata["alt"]
    if cell.cell_type == "markdown" and cell.source.startswith(f"## {errata.SECTION}"):
        metadata["jp-MarkdownHeadingCollapsed"] = True  # JupyterLab shows the heading only, until one opens it
    name = cell.metadata.get("exercise") or cell.metadata.get("check")
    if name is None:
        return metadata
    is_check = "check" in cell.metadata
    metadata["nbgrader"] = {
        "schema_version": 3,
        "grade": is_check,
        "solution": not is_check,
        "locked": is_check,
        "task": False,
        "grade_id": f"check-{name}" if is_check else name,
    }
    if is_check:
        metadata["nbgrader"]["points"] = REGISTRY[name].points
    return metadata


def _cell_id(cell: Any, taken: set[str]) -> str:
    """An id that stays when other cells come or go: from the exercise, or from the text."""
    for kind in ("exercise", "check"):
        if kind in cell.metadata:
            return f"{kind}-{cell.metadata[kind]}"[:64]
    digest = hashlib.sha256(cell.source.encode()).hexdigest()[:12]
    id = next(candidate for candidate in _numbered(digest) if candidate not in taken)
    taken.add(id)
    return id


def _numbered(stem: str) -> Iterator[str]:
    yield stem
    count = 2
    while True:
        yield f"{stem}-{count}"
        count += 1


def _text(notebook: Any) -> str:
    import nbformat

    return nbformat.writes(notebook, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def _read(path: Path) -> Any:
    import nbformat

    if not path.is_file():
        return None
    try:
        return nbformat.read(path, as_version=4)
    except Exception:  # half a file, merge marks: the same as none, it is written anew
        return None


def _update(path: Path, text: str, check: bool) -> bool:
    """Whether the file differs from the text; unless only checking, write it then."""
    if path.is_file() and path.read_text(encoding="utf-8") == text:
        return False
    if not check:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, text)
    return True


def _sources(root: Path, names: Iterable[str] | None) -> list[Path]:
    sources = sorted((root / "solutions").glob("[0-9][0-9]_*.py"))
    if names is None:
        return sources
    chosen = []
    for name in names:
        wanted = Path(name).stem
        found = [source for source in sources if wanted in (source.stem, source.stem[:2])]
        if not found:
            known = ", ".join(source.stem for source in sources) or "none"
            raise ValueError(f"there is no lesson {name!r}; the lessons are: {known}.")
        chosen += found
    return chosen


def _left_over(root: Path) -> list[Path]:
    """Notebooks whose source is gone."""
    sources = {source.stem for source in _sources(root, None)}
    found = [path for folder in ("lessons", "solutions") for path in (root / folder).glob("*.ipynb")]
    return [path for path in found if path.stem not in sources]
