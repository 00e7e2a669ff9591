"""What every lesson promises, held against its source and against the records."""

from __future__ import annotations

import ast
import importlib
import json
import re
from pathlib import Path

import pytest
from source_items import ERRATA, ITEMS, PLANNED

from jemlib.course.build.notebooks import notation_names, parse
from jemlib.course.machinery import claims
from jemlib.course.machinery.exercises import REGISTRY, of_lesson
from jemlib.scales import adjusted_scale

ROOT = Path(__file__).resolve().parents[1]
SOURCES = {path.stem: path.read_text(encoding="utf-8") for path in sorted((ROOT / "solutions").glob("[0-9]*.py"))}
EACH = pytest.mark.parametrize("lesson", SOURCES)


def cells(lesson: str) -> list[tuple[str, str]]:
    """(kind, text) of each cell, "markdown" or "code"."""
    parts = re.split(r"^# %%(.*)$", SOURCES[lesson], flags=re.MULTILINE)
    pairs = zip(parts[1::2], parts[2::2])
    return [
        ("markdown", re.sub(r"^# ?", "", text, flags=re.MULTILINE)) if "[markdown]" in head else ("code", text)
        for head, text in pairs
    ]


def prose(lesson: str) -> str:
    return "\n".join(text for kind, text in cells(lesson) if kind == "markdown")


@EACH
def test_every_import_of_a_lesson_exists(lesson):
    for node in ast.walk(ast.parse(SOURCES[lesson])):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "jemlib":
            module = importlib.import_module(node.module)
            for alias in node.names:
                if not hasattr(module, alias.name):
                    importlib.import_module(f"{node.module}.{alias.name}")


@pytest.mark.slow
@EACH
def test_every_symbol_of_the_notation_table_exists_in_jemlib_or_in_the_lesson(lesson):
    assert len(notation_names(SOURCES[lesson])) >= 5
    parse(SOURCES[lesson], lesson)  # raises SourceError, naming what is unknown or missing


@EACH
def test_a_lesson_has_five_to_twelve_exercises_with_four_named_wrong_answers_each(lesson):
    exercises = of_lesson(lesson)
    assert 5 <= len(exercises) <= 12  # the second edition has one at least every eight cells
    assert [exercise.number for exercise in exercises] == [f"{int(lesson[:2])}.{n + 1}" for n in range(len(exercises))]
    defined = re.findall(r'^# %% exercise="(\w+)"', SOURCES[lesson], flags=re.MULTILINE)
    assert defined == [exercise.name for exercise in exercises], "the order of the numbers is the order of the page"
    assert all(len(exercise.wrong) >= 4 for exercise in exercises)


@EACH
def test_a_lesson_verifies_its_derivations(lesson):
    """Every section that derives has cells that fail when a step is wrong."""
    section, steps = "", {}
    for kind, text in cells(lesson):
        found = re.findall(r"^## (.+)$", text, flags=re.MULTILINE) if kind == "markdown" else []
        section = found[-1] if found else section
        steps.setdefault(section, 0)
        steps[section] += text.count("verify(") if kind == "code" else 0
    derivations = {name: count for name, count in steps.items() if name.startswith("Derivation")}
    assert derivations
    assert all(count >= 1 for count in derivations.values()), derivations


@EACH
def test_a_lesson_has_a_widget_with_its_static_picture(lesson):
    widget = SOURCES[lesson].split("\n# ## Widget")[1].split("\n# ## ")[0]
    assert re.search(r"^figures\.\w+_widget\(\)|^\w*figures\.\w+_widget\(", widget, flags=re.MULTILINE)
    assert len(re.findall(r"^\w*figures\.\w+\(", widget, flags=re.MULTILINE)) >= 2


@EACH
def test_a_lesson_names_the_commands_for_cifar_and_for_a_gpu(lesson):
    text = prose(lesson)
    assert re.search(r"jem \w+.*--data cifar10", text)
    assert re.search(r"jem \w+.*--data folder:PATH", text)
    assert re.search(r"jem \w+.*--scale gpu", text)


@EACH
def test_a_lesson_shows_its_claims_and_the_growing_table(lesson):
    assert f'recorded_claims("{lesson}")' in SOURCES[lesson]
    assert "objectives_so_far(" in SOURCES[lesson]
    own = [one for one in claims.known().values() if one.lesson == lesson]
    assert len(own) >= 3
    for one in own:
        # Judged where its run is made here; where it is only recorded, its figures stand in the text.
        judged = f'claim("{one.id}"' in SOURCES[lesson].replace("claim(\n    ", "claim(")
        assert judged or f"{{{one.id}: " in SOURCES[lesson], one.id


def test_the_record_holds_every_claim_of_every_lesson_on_three_seeds():
    records = {r["id"]: r for r in json.loads((ROOT / "results" / "claims.json").read_text())["claims"]}
    assert set(records) == set(claims.known())
    for one in claims.known().values():
        record = records[one.id]
        assert (record["statement"], record["criterion"], record["lesson"]) == (
            one.statement,
            one.criterion,
            one.lesson,
        )
        assert record["scale"] == "cpu"
        assert record["holds"] == [True] * max(3, len(record["holds"])), one.id
        assert all(one.evaluate(numbers) for numbers in record["numbers"]), one.id


def test_no_two_claims_are_one_measurement_under_two_names():
    """Two that share all their numbers would be counted twice.

    The record may be older than a claim. So those that share numbers there are measured again, small: they must differ.
    """
    records = json.loads((ROOT / "results" / "claims.json").read_text())["claims"]
    by_numbers: dict[str, list[str]] = {}
    for record in records:
        by_numbers.setdefault(str([sorted(n.values(), key=str) for n in record["numbers"]]), []).append(record["id"])
    known, scale = claims.known(), adjusted_scale("smoke")
    for shared in by_numbers.values():
        again = [sorted(known[name].measure(0, scale).values()) for name in shared if name in known and len(shared) > 1]
        assert len(again) == len({str(numbers) for numbers in again}), shared


@pytest.mark.parametrize(
    "lesson", ["00_start_here", "04_vicreg", "05_collapse", "06_swav_sinkhorn", "09_dino_data2vec"]
)
def test_variants_are_scored_on_the_validation_split_and_the_lesson_says_so(lesson):
    assert not re.search(r'load\([^)]*"test"', SOURCES[lesson])
    assert re.search(r'^held_out = load\([^)]*"validation"', SOURCES[lesson], flags=re.MULTILINE)
    assert re.search(r"\bvalidation\W+split", prose(lesson))


def test_the_time_of_every_solved_lesson_is_recorded_with_the_machine_that_took_it():
    """How long it may be is for the builder to say, to the person whose machine it is: `builder.LESSON_SECONDS`."""
    record = json.loads((ROOT / "results" / "lessons.json").read_text())
    assert set(record) == set(SOURCES)
    for row in record.values():
        assert row["seconds"] > 0
        assert {"device", "threads"} <= set(row)


def test_lessons_00_to_06_have_forty_exercises_and_140_wrong_answers():
    first = [exercise for exercise in REGISTRY.values() if exercise.lesson[:2] <= "06"]
    assert len(first) >= 40
    assert sum(len(exercise.wrong) for exercise in first) >= 140


# --- The source notes -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("item", ITEMS, ids=lambda item: f"{item.source}: {item.what}")
def test_every_item_of_the_source_notes_is_taken_up_in_its_lesson(item):
    if item.lesson in PLANNED:
        assert not item.phrase, "an item with a phrase belongs to a lesson that exists"
        return
    assert re.search(item.phrase, prose(item.lesson), flags=re.IGNORECASE | re.DOTALL)


@pytest.mark.parametrize("number", ERRATA)
def test_every_erratum_is_named_in_its_lessons_and_shown_by_a_cell(number):
    for lesson in set(ERRATA[number]) - PLANNED:
        shown, current = [], ""
        inside = False
        for kind, text in cells(lesson):
            if kind == "markdown":
                heads = re.findall(r"^## (.+)$", text, flags=re.MULTILINE)
                inside = heads[-1].startswith("What the sources got wrong") if heads else inside
                named = re.findall(r"\*\*(?:[^*]*\b)?([EP]\d+)\b", text) if inside else []
                current = named if named else current
            elif inside and number in current:
                shown.append("verify(" in text or "print(" in text)
        assert any(shown), f"{number} in {lesson}"


def test_every_erratum_of_the_notes_has_a_lesson():
    assert set(ERRATA) == {f"E{n}" for n in range(1, 31)}
    assert {lesson for lessons in ERRATA.values() for lesson in lessons} <= set(SOURCES) | PLANNED
