"""Exercises declared by their answer: what an edit does, and the errors that a wrong declaration gets."""

from __future__ import annotations

import traceback

import pytest
import torch

from jemlib import losses
from jemlib.course.machinery import answers, exercises
from jemlib.course.machinery.agreement import Wrong
from jemlib.course.machinery.answers import Body, Edit, declare, within
from jemlib.course.machinery.inputs import single_views

ANSWER = """
    def halve(z, eps=1e-5):
        total = z + z
        return total / 4
"""


@pytest.fixture(autouse=True)
def registry(monkeypatch):
    known = dict(exercises.REGISTRY)
    monkeypatch.setattr(exercises, "REGISTRY", known)
    monkeypatch.setattr(answers, "REGISTRY", known)


def halve(z, eps=1e-5):
    return z / 2


def declared(mistakes, number="2.91", answer=ANSWER, reference=halve, right=None):
    return declare(
        "jemlib.course.lessons.lesson02_barlow_twins.exercises",
        reference,
        number=number,
        title="t",
        difficulty=1,
        importance=1,
        minutes=1,
        points=1,
        hints=("h",),
        cases=single_views(eps=0.3),
        answer=answer,
        mistakes=mistakes,
        right=right or {"loop": "total = z\nfor _ in range(1):\n    total = total / 2\nreturn total"},
    )


Z = torch.arange(6.0, dtype=torch.float64).reshape(3, 2)


def test_an_edit_replaces_every_occurrence_and_leaves_the_first_line_alone():
    wrong = declared({"eps": Edit("z -> z * eps", "p")}).wrong["eps"]
    assert wrong.phrase == "p"
    assert torch.allclose(wrong.function(Z, 0.1), 0.05 * Z)


@pytest.mark.parametrize("edits", ["+ -> -\ntotal / 4 -> total + 1", ("+ -> -", "total / 4 -> total + 1")])
def test_several_edits_are_lines_or_a_tuple(edits):
    assert torch.equal(declared({"m": Edit(edits, "p")}).wrong["m"].function(Z), torch.ones_like(Z))


def test_a_mistake_may_edit_a_right_way_have_another_body_or_be_a_function():
    wrong = declared(
        {
            "loop": Edit("range(1) -> range(2)", "p", of="loop"),
            "body": Body("return z", "q"),
            "f": Wrong(torch.exp, "r"),
        }
    ).wrong
    assert torch.allclose(wrong["loop"].function(Z), Z / 4)
    assert torch.equal(wrong["body"].function(Z), Z)
    assert wrong["f"].function is torch.exp


def test_a_mistake_of_an_earlier_exercise_is_made_inside_a_later_one():
    declared({"not halved": Edit("/ 4 ->", "it was not halved."), "f": Wrong(torch.exp, "r")})
    later = declared(
        within("halve"),
        number="2.92",
        answer="def halve_twice(z, eps=1e-5):\n    return halve(halve(z))",
        reference=lambda z, eps=1e-5: z / 4,
        right={"at once": "return z / 4"},
    )
    assert list(later.wrong) == ["halve: not halved"]  # those that are functions must be named
    assert later.wrong["halve: not halved"].phrase == "it was not halved."
    assert torch.allclose(later.wrong["halve: not halved"].function(Z), 4 * Z)
    with pytest.raises(ValueError, match="no mistake called 'turned'"):
        within("halve", "turned")


@pytest.mark.parametrize(
    "edit", ["absent -> x", "total", "def halve -> def double", Edit("z -> y", "p", of="nowhere").edits + "\nq -> z"]
)
def test_an_edit_of_a_text_that_is_not_there_names_exercise_and_mistake(edit):
    with pytest.raises(ValueError, match=r"exercise halve, 'odd': .* edits what is not in its text"):
        declared({"odd": Edit(edit, "p")})


def test_an_edit_that_does_not_compile_names_exercise_and_mistake():
    with pytest.raises(ValueError, match=r"exercise halve, 'odd' does not compile"):
        declared({"odd": Edit("return -> return return", "p")})


def test_a_mistake_cannot_edit_a_right_way_that_is_a_function():
    with pytest.raises(ValueError, match=r"exercise halve, 'odd': the right way 'f' is not a text"):
        declared({"odd": Edit("a -> b", "p", of="f")}, right={"f": torch.exp})


def test_a_traceback_shows_the_line_of_an_edited_answer():
    function = declared({"odd": Edit("z + z -> z @ z", "p")}).wrong["odd"].function
    with pytest.raises(RuntimeError) as caught:
        function(Z)
    assert traceback.extract_tb(caught.tb)[-1].line == "total = z @ z"


def test_texts_know_the_earlier_exercises_of_the_lesson_as_jemlibs():
    exercise = exercises.REGISTRY["cross_correlation"]
    z = torch.randn(5, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(exercise.right["the answer"](z, z.flip(0)), losses.cross_correlation(z, z.flip(0)))
