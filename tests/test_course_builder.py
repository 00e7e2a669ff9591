"""The notebook builder: deterministic notebooks from one source, and clear refusals of bad sources."""

from __future__ import annotations

import json
import re
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pytest
from lesson_source import LESSON, NOTATION, STANDARDIZE, exercise, markdown, source

from jemlib.course.build import errata, outputs, symbols
from jemlib.course.build import notebooks as builder
from jemlib.course.build.notebooks import SourceError, build, clear_solutions, notation_names, notebooks, parse
from jemlib.course.machinery.exercises import REGISTRY, of_lesson

pytestmark = pytest.mark.slow  # executes notebooks

REPOSITORY = Path(__file__).resolve().parents[1]
LESSONS = sorted((REPOSITORY / "solutions").glob("[0-9][0-9]_*.py"))
STUDENT, SOLVED = Path("lessons", f"{LESSON}.ipynb"), Path("solutions", f"{LESSON}.ipynb")


@pytest.fixture
def root(tmp_path):
    """A repository with one small lesson, not built yet."""
    (tmp_path / "solutions").mkdir()
    write(tmp_path, source())
    return tmp_path


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The same, built once for the tests that only read; each of the others copies it."""
    folder = tmp_path_factory.mktemp("course")
    (folder / "solutions").mkdir()
    write(folder, source())
    assert build(root=folder) == [STUDENT, SOLVED]
    return folder


@pytest.fixture
def copied(built, root):
    for path in (STUDENT, SOLVED):
        (root / path).parent.mkdir(exist_ok=True)
        (root / path).write_bytes((built / path).read_bytes())
    return root


def write(root, text):
    (root / "solutions" / f"{LESSON}.py").write_text(text, encoding="utf-8")


def read(root, path):
    return nbformat.read(root / path, as_version=4)


def edit(root, path, change):
    """Change a committed notebook, and keep the builder's layout of the file, so that only the change is a change."""
    before = (root / path).read_text(encoding="utf-8")
    notebook = json.loads(before)
    layout = {"indent": 1, "sort_keys": True, "ensure_ascii": False}
    assert json.dumps(notebook, **layout) + "\n" == before
    change(notebook)
    (root / path).write_text(json.dumps(notebook, **layout) + "\n", encoding="utf-8")


def never(*args):
    raise AssertionError("executed although nothing asked for it")


# --- What is written --------------------------------------------------------------------------------------------


def test_the_student_notebook_is_open_and_has_no_outputs(built):
    cells = {cell.id: cell for cell in read(built, STUDENT).cells}
    stub = cells["exercise-standardize"].source
    assert stub == (
        'def standardize(z, eps=1e-5):\n    """Centre and scale each dimension over the batch."""\n'
        "    # YOUR CODE HERE\n    raise NotImplementedError()"
    )
    code = [cell for cell in cells.values() if cell.cell_type == "code"]
    assert all(cell.outputs == [] and cell.execution_count is None for cell in code)
    assert not any("SOLUTION" in cell.source for cell in code)


def test_the_solved_notebook_is_executed_and_the_same_otherwise(built):
    student, solved = read(built, STUDENT), read(built, SOLVED)
    code = [cell for cell in solved.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    said = "".join(output.text for cell in code for output in cell.outputs)
    assert said.count("Correct: exercise") == 3
    assert "torch.Size([3, 2])" in said
    assert [(c.id, c.metadata, c.cell_type) for c in student.cells] == [
        (c.id, c.metadata, c.cell_type) for c in solved.cells
    ]


def test_both_notebooks_are_valid_and_carry_the_least_metadata(built):
    for path in (STUDENT, SOLVED):
        notebook = read(built, path)
        nbformat.validate(notebook)
        assert set(notebook.metadata) == {"kernelspec", "language_info", "jemlib"}
        assert notebook.metadata.language_info == {"name": "python"}
        errata = [cell for cell in notebook.cells if cell.source.startswith("## What the sources got wrong")]
        assert [set(cell.metadata) for cell in errata] == [{"jp-MarkdownHeadingCollapsed"}]
        others = [cell for cell in notebook.cells if cell not in errata]
        assert all(set(cell.metadata) <= {"nbgrader", "tags"} for cell in others)


def test_the_notebook_says_in_its_metadata_where_it_comes_from_and_begins_with_the_lesson(built):
    for path in (STUDENT, SOLVED):
        notebook = read(built, path)
        assert notebook.metadata.jemlib.source == f"solutions/{LESSON}.py"
        assert "jem build" in notebook.metadata.jemlib.generated
        assert notebook.cells[0].source == "# Lesson 02"


def test_nbgrader_metadata_comes_from_the_registry(built):
    cells = {cell.id: cell.metadata for cell in read(built, STUDENT).cells}
    assert cells["exercise-cross_correlation"]["nbgrader"] == {
        "schema_version": 3,
        "grade": False,
        "solution": True,
        "locked": False,
        "task": False,
        "grade_id": "cross_correlation",
    }
    assert cells["check-cross_correlation"]["nbgrader"] == {
        "schema_version": 3,
        "grade": True,
        "solution": False,
        "locked": True,
        "task": False,
        "grade_id": "check-cross_correlation",
        "points": REGISTRY["cross_correlation"].points,
    }


def test_headers_and_tags_are_filled_in(built):
    cells = read(built, STUDENT).cells
    assert any(
        cell.source == "Text.\n\n### Exercise 2.1 · centre and scale each dimension over the batch\n\n"
        "*difficulty ●○○○○ · importance ●●●●○ · about 5 minutes · 1 point*"
        for cell in cells
    )
    assert cells[-1].metadata["tags"] == ["nbval-check-output"]


def test_building_twice_gives_the_same_bytes_without_executing(copied, monkeypatch):
    before = [(copied / path).read_bytes() for path in (STUDENT, SOLVED)]
    monkeypatch.setattr(builder, "_execute", never)
    assert build(root=copied) == []
    assert build(root=copied, check=True) == []
    assert [(copied / path).read_bytes() for path in (STUDENT, SOLVED)] == before


def test_executing_again_gives_the_same_bytes(copied):
    assert build([LESSON], root=copied, execute=True) == []


def test_a_change_in_prose_keeps_outputs_ids_and_does_not_execute(copied, monkeypatch):
    old = {cell.id for cell in read(copied, SOLVED).cells}
    monkeypatch.setattr(builder, "_execute", never)
    write(copied, source().replace("# # Lesson 02\n", "# # Lesson 02, with another title\n"))
    assert build(root=copied) == [STUDENT, SOLVED]
    solved = read(copied, SOLVED)
    assert len(old - {cell.id for cell in solved.cells}) == 1
    assert any(cell.get("outputs") for cell in solved.cells)


def test_a_change_in_code_executes(copied, monkeypatch):
    executed = []
    monkeypatch.setattr(builder, "_execute", lambda notebook, path, root: executed.append(path.name))
    write(copied, source().replace("print(z_a.shape)", "print(z_a.shape, 1)"))
    assert build(root=copied, execute=False) == [STUDENT]
    assert executed == []
    assert SOLVED in build(root=copied)
    assert executed == [SOLVED.name]


def test_a_backend_of_the_shell_does_not_leave_the_pictures_out(root, monkeypatch):
    monkeypatch.setenv("MPLBACKEND", "agg")
    drawing = "\n# %%\nfrom jemlib import plots\n\nplots.matrices([torch.eye(2)], ['identity'])\n"
    write(root, source() + drawing)
    build(root=root)
    assert "image/png" in read(root, SOLVED).cells[-1].outputs[0].data


def test_a_lesson_that_takes_too_long_at_scale_cpu_is_told_and_recorded(root, monkeypatch):
    monkeypatch.setenv("JEMLIB_SCALE", "cpu")
    monkeypatch.setattr(builder, "_execute", lambda notebook, path, root: None)
    (root / "results").mkdir()
    for seconds, told in ((360, []), (390, [f"{LESSON} took 6.5 minutes; a solved lesson should take 6 at most"])):
        clock = iter((0.0, seconds))
        monkeypatch.setattr(builder, "time", SimpleNamespace(perf_counter=lambda clock=clock: next(clock)))
        said = []
        build([LESSON], root=root, execute=True, report=said.append)
        assert said == [f"executing {SOLVED}", *told]
        assert json.loads((root / "results" / "lessons.json").read_text())[LESSON]["seconds"] == seconds


# --- check=True -------------------------------------------------------------------------------------------------


def test_check_reports_missing_notebooks_and_writes_nothing(root):
    assert build(root=root, check=True) == [STUDENT, SOLVED]
    assert not (root / STUDENT).exists()
    assert not (root / SOLVED).exists()


def test_check_reports_a_student_notebook_edited_by_hand(copied):
    edit(copied, STUDENT, lambda notebook: notebook["cells"][1].update(source="Typed into the wrong file."))
    assert build(root=copied, check=True) == [STUDENT]


def test_check_reports_a_solved_notebook_whose_metadata_differ(copied):
    edit(copied, SOLVED, lambda notebook: notebook["metadata"].update(author="someone"))
    assert build(root=copied, check=True) == [SOLVED]


def test_check_does_not_compare_what_was_printed(copied):
    def other_text(notebook):
        next(cell for cell in notebook["cells"] if cell.get("outputs"))["outputs"][0]["text"] = ["another machine\n"]

    edit(copied, SOLVED, other_text)
    assert build(root=copied, check=True) == []


def test_a_cell_that_only_shows_a_record_follows_the_record_without_a_run(tmp_path):
    def cell(source):
        output = nbformat.v4.new_output("execute_result", data={"text/markdown": "old", "text/plain": "<Markdown>"})
        return nbformat.v4.new_code_cell(source, outputs=[output])

    shown = [cell('recorded_claims("02_barlow_twins")'), cell('recorded(\n    "No figure."\n)')]
    other = [cell("recorded_claims(lesson)\nprint()"), cell("print('recorded')"), cell("")]
    notebook = nbformat.v4.new_notebook(cells=[*shown, *other])
    for one in (*shown, *other):
        assert one.outputs[0].data["text/markdown"] == "old"
    outputs._refresh_records(notebook, Path(__file__).parents[1])
    claims, text = (one.outputs[0].data["text/markdown"] for one in shown)
    assert claims.startswith("| claim |")
    assert "validation" in claims
    assert text.startswith("No figure.")
    assert all(one.outputs[0].data["text/markdown"] == "old" for one in other)


def test_a_record_that_is_refreshed_at_scale_smoke_does_not_say_that_the_notebook_ran_there(monkeypatch):
    output = nbformat.v4.new_output("execute_result", data={"text/markdown": "old", "text/plain": "<Markdown>"})
    cell = nbformat.v4.new_code_cell('recorded("No figure.")', outputs=[output])
    monkeypatch.setenv("JEMLIB_SCALE", "smoke")
    outputs._refresh_records(nbformat.v4.new_notebook(cells=[cell]), Path(__file__).parents[1])
    assert cell.outputs[0].data["text/markdown"] == "No figure."


@pytest.mark.parametrize("damage", ["no outputs", "outputs cleared", "one cell not run", "an error"])
def test_check_reports_a_solved_notebook_that_was_not_run_to_the_end(copied, damage):
    def spoil(notebook):
        code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
        for cell in code[-1:] if damage in ("one cell not run", "an error") else code:
            error = {"output_type": "error", "ename": "E", "evalue": "", "traceback": []}
            cell["outputs"] = [error] if damage == "an error" else []
            if damage in ("no outputs", "one cell not run"):
                cell["execution_count"] = None

    edit(copied, SOLVED, spoil)
    assert build(root=copied, check=True) == [SOLVED]


def test_check_reports_a_notebook_without_a_source(copied):
    (copied / "lessons" / "09_gone.ipynb").write_text("{}", encoding="utf-8")
    assert build(root=copied, check=True) == [Path("lessons/09_gone.ipynb")]


def test_half_a_notebook_counts_as_none(copied):
    (copied / STUDENT).write_text("<<<<<<<", encoding="utf-8")
    (copied / SOLVED).write_text("<<<<<<<", encoding="utf-8")
    assert build(root=copied, check=True) == [STUDENT, SOLVED]


def test_lessons_are_chosen_by_name_or_number(copied):
    for name in (LESSON, "02", f"solutions/{LESSON}.py"):
        assert build([name], root=copied, check=True) == []
    with pytest.raises(ValueError, match="there is no lesson '07'; the lessons are: 02_barlow_twins"):
        build(["07"], root=copied)


# --- Outputs ----------------------------------------------------------------------------------------------------


def test_progress_bars_and_stderr_are_dropped_and_streams_joined():
    new = nbformat.v4.new_output
    widget = {"application/vnd.jupyter.widget-view+json": {}, "text/plain": "bar"}
    kept = outputs._cleaned(
        [
            new("stream", name="stdout", text="10%\r50%\r"),
            new("stream", name="stderr", text="a warning"),
            new("stream", name="stdout", text="done\nlast\n"),
            new("display_data", data=widget),
            new("display_data", data={"text/plain": "kept"}),
        ]
    )
    assert [output.output_type for output in kept] == ["stream", "display_data"]
    assert kept[0].text == "done\nlast\n"


def test_a_failing_cell_is_told_and_nothing_is_written(root):
    write(root, source().replace("print(z_a.shape)", "raise ValueError('broken')"))
    with pytest.raises(RuntimeError, match=r"02_barlow_twins.ipynb does not run(.|\n)*broken"):
        build(root=root)
    assert not (root / SOLVED).exists()
    assert not (root / STUDENT).exists()


@pytest.mark.parametrize("text", ["{root}/data", "<object object at 0x7f00aa>"])
def test_outputs_that_only_one_machine_has_are_refused(tmp_path, text):
    output = nbformat.v4.new_output("stream", name="stdout", text=text.format(root=tmp_path))
    cell = nbformat.v4.new_code_cell("print(x)", outputs=[output])
    with pytest.raises(RuntimeError, match=r"02.ipynb: the output .* print something else there:\nprint\(x\)"):
        outputs._refuse_local(cell, Path("02.ipynb"), tmp_path)


# --- Bad sources are refused ------------------------------------------------------------------------------------


def bad(old, new):
    text = source()
    assert old in text
    return text.replace(old, new)


REFUSED = {
    "no end mark": (
        lambda: bad('    ### END SOLUTION\n\n# %% check="standardize"', '\n# %% check="standardize"'),
        "without its partner",
    ),
    "no begin mark": (
        lambda: bad("    ### BEGIN SOLUTION\n    return standardize", "    return standardize"),
        "without its partner",
    ),
    "misspelt mark": (
        lambda: bad("### BEGIN SOLUTION\n    centred", "# BEGIN SOLUTION\n    centred"),
        "on a line of its own",
    ),
    "no solution region": (
        lambda: source(exercise("standardize", "def standardize(z, eps=1e-5):\n    return z")),
        "standardize has no solution region",
    ),
    "region in an ordinary cell": (
        lambda: source() + "\n# %%\n### BEGIN SOLUTION\nx = 1\n### END SOLUTION\n",
        "not an exercise cell",
    ),
    "unknown exercise": (
        lambda: source(exercise("standardise", STANDARDIZE)),
        "no exercise standardise is registered for this lesson; registered are: standardize, ",
    ),
    "no check": (lambda: bad('# %% check="standardize"\nstandardize = check(standardize)\n', ""), "has no check cell"),
    "check without exercise": (
        lambda: source() + '\n# %% check="invariance_term"\ninvariance_term = check(invariance_term)\n',
        "check or a header of invariance_term, but no exercise cell",
    ),
    "check that does not check": (
        lambda: bad("standardize = check(standardize)", "check(standardize)"),
        "must hold `standardize = check\\(standardize\\)`",
    ),
    "two exercise cells": (
        lambda: source(exercise("standardize", STANDARDIZE), exercise("standardize", STANDARDIZE)),
        "two exercise cells for standardize",
    ),
    "no header": (lambda: bad("# {{exercise:standardize}}", "# An exercise"), "has no header"),
    "two headers": (lambda: source() + markdown("{{exercise:standardize}}"), "stands twice"),
    "header after the exercise": (
        lambda: bad("# {{exercise:standardize}}", "# Text") + markdown("{{exercise:standardize}}"),
        "the order must be",
    ),
    "header inside a line": (
        lambda: bad("# {{exercise:standardize}}", "# Now {{exercise:standardize}}"),
        "must stand on a line of its own",
    ),
    "header right under a heading": (
        lambda: bad("# Text.\n#\n# {{exercise:standardize}}", "# ### Standardise\n#\n# {{exercise:standardize}}"),
        "'### Standardise' stands right above that of standardize",
    ),
    "empty alternative text": (lambda: bad('# %% tags=["nbval', '# %% alt="" tags=["nbval'), "alt must be a sentence"),
    "another edition": (lambda: bad("# %% [markdown]\n# # L", '# %% [markdown] edition="3"\n# # L'), 'must be "2"'),
    "edition on a later cell": (
        lambda: bad("# %% [markdown]\n# ## Quiz", '# %% [markdown] edition="2"\n# ## Quiz'),
        "unknown option 'edition'",
    ),
    "a symbol with two meanings": (
        lambda: bad("# | $C$ | `c` | (D, D) |", "# | $C$ | `c` | one |\n# | $C_{ij}$ | `c` | other |"),
        r"\$C\$ has two meanings: 'one' and 'other'",
    ),
    "another function": (
        lambda: bad("def standardize(z, eps=1e-5)", "def normalize(z, eps=1e-5)"),
        "must define a function of that name",
    ),
    "misspelt option": (
        lambda: bad('# %% exercise="standardize"', '# %% exercize="standardize"'),
        "unknown option 'exercize'",
    ),
    "missing section": (lambda: bad("# ## Quiz", "# ## Questions"), "missing sections: ## Quiz"),
    "no notation table": (lambda: bad("# | $C$ | `c` | (D, D) |", "# ").replace("`z_a`, `z_b`", "z"), "needs a table"),
    "unknown notation": (lambda: bad("`c`", "`not_a_name_anywhere`"), "names not_a_name_anywhere, found neither"),
    "not Python, with signs that IPython also has": (
        lambda: bad("print(z_a.shape)", 'print("a=%d?'),
        "not valid Python",
    ),
    "not Python": (lambda: bad("print(z_a.shape)", "print(z_a.shape"), "not valid Python"),
}


IPYTHON_LINES = {
    "a magic": "%matplotlib inline",
    "a magic that does not exist": "%no_such_magic\nraise ValueError",
    "a command": "!exit 3",
    "an indented magic": "if True:\n    %time f()",
    "an indented command": "for i in range(2):\n    !ls",
    "a cell magic": "%%time\nx = 1",
    "a cell magic after an empty line": "\n%%bash\nexit 3",
    "an assigned magic": "x = 1\ny = %time x",
    "an assigned command": "files = !ls",
    "help": "print?",
}


@pytest.mark.parametrize("code", IPYTHON_LINES.values(), ids=IPYTHON_LINES)
def test_what_only_ipython_understands_is_refused_because_nbval_does_not_see_it_fail(code):
    line = next(line.strip() for line in code.split("\n") if any(mark in line for mark in "%!?"))
    cell = len(parse(source(), LESSON)) + 1
    # as jupytext writes such lines into a source, behind a comment mark, and as somebody types them
    for written in (code, re.sub(r"^( *)([%!])", r"\1# \2", code, flags=re.MULTILINE)):
        with pytest.raises(SourceError, match=rf"{LESSON}, cell {cell}: a lesson is plain Python.*{re.escape(line)}"):
            parse(f"{source()}\n# %%\n{written}\n", LESSON)


def test_a_claim_whose_output_is_compared_is_refused_because_it_says_something_else_at_each_scale():
    cell = '# %% tags=["nbval-check-output"]\nclaim("barlow_twins.learns")\n'
    with pytest.raises(SourceError, match="depends on the scale"):
        parse(f"{source()}\n{cell}", LESSON)
    assert parse(f"{source()}\n{cell.replace('claim(', 'explain_claim(')}", LESSON)


def test_lines_of_python_that_begin_with_a_percent_sign_are_not_refused():
    code = 'x = (\n    7\n    % 4\n)\ny = """\n% of all\n! no command\n%%time\n"""\nassert x != 4'
    assert parse(f"{source()}\n# %%\n{code}\n", LESSON)[-1].source == code


@pytest.mark.parametrize("name", REFUSED)
def test_a_bad_source_is_refused_with_the_reason(name):
    make, reason = REFUSED[name]
    with pytest.raises(SourceError, match=reason):
        parse(make(), LESSON)


def test_an_exercise_of_another_lesson_is_refused():
    with pytest.raises(SourceError, match="03_vicreg: no exercise standardize is registered"):
        parse(source(), "03_vicreg")


def test_every_required_section_is_required():
    for name in builder.REQUIRED_SECTIONS:
        with pytest.raises(SourceError, match=f"missing sections: ## {name}"):
            parse(bad(f"# ## {name}\n", "# ## Something\n"), LESSON)


def test_a_required_heading_may_go_on_after_its_name():
    assert parse(bad("# ## Derivation\n", "# ## Derivation: from the sum to a matrix\n"), LESSON)


# --- The second edition -----------------------------------------------------------------------------------------

FOLDED = """## What the sources got wrong

<details><summary>For readers of the sources</summary>

**E1: the square is missing.** It belongs there. **P2 (paper): constants.** They differ.

</details>"""


def second(**changed):
    """A lesson that keeps every rule of the second edition; `changed` replaces its parts."""
    parts = {
        "first": '# %% [markdown] edition="2"\n# # Lesson 02',
        "gap": "",
        "see": markdown("### What you should see\n\nAbout `0.5`, as in exercise 2.1 and $0.3$."),
        "tail": "",
        "errata": markdown(FOLDED),
        "shown": '\n# %% tags=["optional"]\nprint(1)\n',
    } | changed
    text = source().replace("# %% [markdown]\n# # Lesson 02", parts["first"])
    text = text.replace(markdown("## What the sources got wrong\n\nText."), "")
    text = text.replace("# ## Experiment\n#\n# Text.\n", f"# ## Experiment\n#\n# Text.\n\n{parts['see']}\n")
    text = text.replace("# ## Notation", "# ## Before the notation").replace(
        '# %% exercise="standardize"',
        f'{markdown("## Notation" + chr(10) * 2 + NOTATION)}\n{parts["gap"]}\n# %% exercise="standardize"',
    )
    return f"{text}\n{parts['tail']}{parts['errata']}{parts['shown']}"


def test_a_lesson_of_the_second_edition_is_built():
    student, _ = notebooks(second(), LESSON)
    assert student.metadata.jemlib.edition == 2
    assert notebooks(source(), LESSON)[0].metadata.jemlib.edition == 1


BROKEN_RULES = {
    "nine cells without an exercise": (
        {"gap": "\n".join(f"# %%\nx = {i}\n" for i in range(9))},
        "9 cells stand between the notation and exercise standardize; at most 8 may",
    ),
    "nine cells after the last exercise": (
        {"tail": "\n".join(f"# %%\nx = {i}\n" for i in range(9))},
        "stand between exercise redundancy_term and the take-away; at most 8 may",
    ),
    "nothing to see": ({"see": ""}, '"### What you should see" after its runs'),
    "a typed figure": (
        {"see": markdown("### What you should see\n\nIt reaches .83 in exercise 2.1.")},
        r"\.83 is typed into a part",
    ),
    "a figure typed into recorded": (
        {"see": markdown("### What you should see") + '\n# %%\nrecorded("It is {a.b: c}, not 0.7.")\n'},
        "0.7 is typed into a part",
    ),
    "errata that are not folded": (
        {"errata": markdown("## What the sources got wrong\n\n**E1: no.**")},
        "folded between <details> and </details>",
    ),
    "errata in the middle": ({"shown": markdown("## Afterwards")}, "'## Afterwards' comes after it"),
    "errata without the tag": ({"shown": "\n# %%\nprint(1)\n"}, 'must be tagged: # %% tags=\\["optional"\\]'),
}


@pytest.mark.parametrize("name", BROKEN_RULES)
def test_a_broken_rule_of_the_second_edition_is_named(name):
    changed, reason = BROKEN_RULES[name]
    with pytest.raises(SourceError, match=reason):
        parse(second(**changed), LESSON)


def test_the_rules_of_the_second_edition_do_not_bind_the_first():
    assert parse(source() + "\n".join(f"# %%\nx = {i}\n" for i in range(20)), LESSON)


PICTURE = {"image/png": "aGVsbG8=", "text/plain": "<Figure>"}


def drawn(alt):
    """A solved notebook of the second edition with one picture."""
    _, solved = notebooks(second(), LESSON)
    cell = solved.cells[-1]
    cell.outputs = [nbformat.v4.new_output("display_data", data=PICTURE, metadata={"image/png": {"width": 3}})]
    cell.metadata |= {"alt": alt} if alt else {}
    return solved, cell


def test_an_alternative_text_reaches_the_picture_where_nbconvert_reads_it():
    solved, cell = drawn("A red square.")
    builder._label_pictures(solved, SOLVED)
    assert cell.outputs[0].metadata == {"image/png": {"width": 3, "alt": "A red square."}}
    nbformat.validate(solved)
    from nbconvert import HTMLExporter

    assert 'alt="A red square."' in HTMLExporter(template_name="classic").from_notebook_node(solved)[0]


def test_an_alternative_text_of_a_source_reaches_the_metadata_of_its_cell():
    student, _ = notebooks(second(shown='\n# %% alt="A number." tags=["optional"]\nprint(1)\n'), LESSON)
    assert student.cells[-1].metadata == {"alt": "A number.", "tags": ["optional"]}


def test_a_picture_without_alternative_text_is_refused_in_the_second_edition_only():
    solved, _ = drawn(None)
    with pytest.raises(SourceError, match=r"pictures without an alternative text.*in the cells: print\(1\)"):
        builder._label_pictures(solved, SOLVED)
    solved.metadata.jemlib.edition = 1
    builder._label_pictures(solved, SOLVED)


def test_check_refuses_a_committed_picture_without_alternative_text(copied, monkeypatch):
    monkeypatch.setattr(builder, "_execute", never)
    text = second()
    write(copied, text)
    _, solved = notebooks(text, LESSON)
    for count, cell in enumerate((c for c in solved.cells if c.cell_type == "code"), start=1):
        cell.execution_count = count
    solved.cells[-1].outputs = [nbformat.v4.new_output("display_data", data=PICTURE)]
    (copied / SOLVED).write_text(builder._text(solved), encoding="utf-8")
    with pytest.raises(SourceError, match="without an alternative text"):
        build(root=copied, check=True)


def test_the_errata_of_all_lessons_are_listed_on_one_page(tmp_path):
    (tmp_path / "solutions").mkdir()
    write(tmp_path, second())
    page = Path("lessons", "errata.md")
    assert page in build(root=tmp_path, execute=False)
    text = (tmp_path / page).read_text(encoding="utf-8")
    assert f"| E1 | the square is missing | [{LESSON}]({LESSON}.ipynb) |" in text
    assert f"| P2 | constants | [{LESSON}]({LESSON}.ipynb) |" in text
    assert "The **lecture notes** are" in text
    (tmp_path / page).write_text("typed", encoding="utf-8")
    assert page in build(root=tmp_path, check=True)


def test_errata_keep_their_part_and_lose_their_source():
    text = markdown(
        "## What the sources got wrong\n\n**E25 (lecture notes): a zero gradient.** **E3 (a): a step\nis missing.** "
        "**E5, second part: the pair.**"
    )
    assert [(e.number, e.title, e.group) for e in errata.errata(text, "x")] == [
        ("E25", "a zero gradient", "The lecture notes"),
        ("E3", "(a) a step is missing", "The hand-written notes"),
        ("E5", "second part: the pair", "The hand-written notes"),
    ]


# --- Symbols ----------------------------------------------------------------------------------------------------


def test_the_table_of_symbols_of_the_course_has_one_meaning_for_each_symbol_of_a_lesson():
    rows = symbols.table()
    assert {lesson for row in rows for lesson in row.lessons} >= {path.stem[:2] for path in LESSONS}


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ("a | $C$ | `c` | n | one | 01\nb | $C$ | `d` | n | two | 01 02", r"lesson 01: \$C\$ has two meanings"),
        ("a | $C$ | `c` | n | one | 01\nb | $C_{ij}$ | `d` | n | two | 01", r"lesson 01: \$C\$ has two meanings"),
        ("a | $C$ | `c` | n | one | 01\na | $D$ | `d` | n | two | 01", "key 'a' twice"),
        ("a | $C$ | `c` | n | one |", "six columns"),
    ],
)
def test_a_table_of_symbols_that_is_ambiguous_or_broken_is_refused(rows, reason):
    with pytest.raises(ValueError, match=reason):
        symbols.table(rows)


def test_lessons_may_use_a_letter_differently_when_the_table_says_so():
    rows = "a | $C$ | `c` | n | one | 01\nb | $C$ | `d` | n | two | 02\nc | $D$ | `e` | n | three | 01 02"
    assert len(symbols.table(rows)) == 3
    assert symbols.rendered("A\n\n{{symbols}}\n\nB", "02_x", rows) == (
        f"A\n\n{symbols.HEAD}\n| $C$ | `d` | n | two |\n| $D$ | `e` | n | three |\n\nB"
    )
    assert symbols.rendered("{{symbols: c}}", "01_x", rows) == f"{symbols.HEAD}\n| $D$ | `e` | n | three |"
    for key, reason in (("z", "no key 'z'"), ("a", "'a' is for lessons 01")):
        with pytest.raises(ValueError, match=reason):
            symbols.rendered(f"{{{{symbols: {key}}}}}", "02_x", rows)


def test_an_index_does_not_make_another_symbol_but_a_hat_or_a_capital_does():
    assert [symbols.plain(s) for s in ("C_{ij}", "z_b", r"\lambda_k", "C_Z", r"\hat Z", "Z^A", "H(q)")] == [
        "C", "z", r"\lambda", "C_Z", r"\hatZ", "Z^A", "H(q)",
    ]  # fmt: skip
    assert symbols.clash([("$Z^A, Z^B$", "m"), (r"$p(x,y)$", "n"), (r"$\lambda, \mu$", "o")]) is None
    assert symbols.clash([(r"$\lambda, \mu$", "o"), (r"$\mu_k$", "p")])


# --- Small parts ------------------------------------------------------------------------------------------------


def test_names_are_read_from_the_second_column_of_the_notation_table():
    table = """## Notation

| symbol | code | shape |
|---|---|---|
| `x` | `z_a`, `c[i, j]` | `y` |
| a \\| b | `w` | - |
## Next
| a | `no` | c |"""
    assert notation_names(table) == ["z_a", "c[i, j]", "w"]
    assert notation_names(source()) == ["z_a", "z_b", "c"]
    assert notation_names("## Notation\n\nNo table.") == []


def test_regions_are_cleared_with_their_own_indentation():
    text = "class A:\n    def f(self):\n        ### BEGIN SOLUTION\n        return 1\n        ### END SOLUTION\n\nx = 2"
    assert clear_solutions(text) == (
        "class A:\n    def f(self):\n        # YOUR CODE HERE\n        raise NotImplementedError()\n\nx = 2"
    )


def test_equal_cells_get_different_ids():
    twice = source() + "\n# %%\nx = 1\n\n# %%\nx = 1\n"
    ids = [cell.id for cell in notebooks(twice, LESSON)[0].cells]
    assert len(set(ids)) == len(ids)


# --- The lessons of this repository -----------------------------------------------------------------------------


@pytest.mark.parametrize("path", LESSONS, ids=lambda p: p.stem)
def test_a_lesson_holds_exactly_the_exercises_registered_for_it(path):
    cells = parse(path.read_text(encoding="utf-8"), path.stem)
    held = [cell.metadata["exercise"] for cell in cells if "exercise" in cell.metadata]
    assert sorted(held) == sorted(e.name for e in of_lesson(path.stem))


def test_every_committed_notebook_is_what_the_builder_writes():
    assert build(root=REPOSITORY, check=True) == []
