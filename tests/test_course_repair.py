"""The one place that is wrong is found by trying, told exactly, and nothing is changed on the way."""

from __future__ import annotations

import math

import pytest
import torch

from jemlib.course import examine
from jemlib.course.machinery import values
from jemlib.course.machinery.exercises import REGISTRY
from jemlib.course.machinery.mutants import mutants
from jemlib.course.machinery.repair import difference, one_place

Z = torch.randn(6, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def agrees(truth):
    """Whether a function gives what `truth` gives for Z."""

    def fits(g):
        try:
            return torch.allclose(g(Z), truth(Z), rtol=1e-9)
        except Exception:
            return False

    return fits


def spread(z):
    centred = z - z.mean(dim=0)
    return centred.square().sum(dim=1).mean()


def at_fault(f):
    return one_place(f, [], agrees(spread), lambda g: False, rich=True)


def test_a_number_a_name_an_operation_and_a_line_that_is_too_much_are_told_with_their_line():
    def number(z):
        centred = z - z.mean(dim=1, keepdim=True)
        return centred.square().sum(dim=1).mean()

    def name(z):
        centred = z - z.mean(dim=0)  # noqa: F841
        return z.square().sum(dim=1).mean()

    def operation(z):
        centred = z - z.mean(dim=0)
        return centred.square().sum(dim=1).median()

    def sign(z):
        centred = z + z.mean(dim=0)
        return (centred**2).sum() / len(z)

    def line(z):
        centred = z - z.mean(dim=0)
        centred = centred / 2
        return (centred**2).sum() / len(z)

    assert at_fault(number) == (
        "Only one place is wrong, in line 2 (`centred = z - z.mean(dim=1, keepdim=True)`): it should be `dim=0` for "
        "`dim=1`."
    )
    assert "in line 3 (" in at_fault(name)
    assert "it should be `centred` for `z`" in at_fault(name) or "`centred.square` for `z.square`" in at_fault(name)
    assert "`centred.square().sum(dim=1).mean()` for `centred.square().sum(dim=1).median()`" in at_fault(operation)
    assert "it should be `z - z.mean(dim=0)` for `z + z.mean(dim=0)`" in at_fault(sign)
    assert "line 3 (`centred = centred / 2`)" in at_fault(line)


def test_two_wrong_places_are_not_told_as_one():
    def twice(z):
        centred = z + z.mean(dim=0)
        return centred.square().sum(dim=1).median()

    assert at_fault(twice) == ""


def test_what_could_run_for_ever_or_reach_outside_is_not_changed_and_run():
    ran = []

    def endless(z):
        while z.sum() > 1e9:
            pass
        return z + z.mean(dim=0)

    def reaches(z):
        import os  # noqa: F401

        return z

    def enclosing(z):
        ran.append(1)
        return z

    for f in (endless, reaches, enclosing, torch.relu, 3):
        assert one_place(f, [], lambda g: True, lambda g: True, rich=False) == ""
    assert ran == []


def test_a_number_is_not_blamed_where_results_are_a_few_whole_numbers():
    def tenth(z):
        return z.new_tensor(0.1)

    def one(z):
        return z.new_tensor(1.0)

    assert "Only one place" in one_place(tenth, [], agrees(one), lambda g: False, rich=True)
    assert one_place(tenth, [], agrees(one), lambda g: False, rich=False) == ""


def test_a_changed_right_way_explains_an_answer_whose_text_is_not_known():
    way = REGISTRY["standardize"].right["the answer"]
    wrong: dict = {"torch": torch}
    exec("def standardize(z, eps=1e-5):\n    return torch.nn.functional.layer_norm(z, z.shape[1:], eps=eps)", wrong)
    said = one_place(wrong["standardize"], [way], lambda g: False, agrees(wrong["standardize"]), rich=True)
    assert said == "" or said.startswith("A right way of writing it gives the same with")
    biased: dict = {"torch": torch}
    exec("def standardize(z, eps=1e-5):\n    return (z - z.mean(0)) / (z.var(0, correction=0) - eps).sqrt()", biased)
    said = one_place(biased["standardize"], [way], lambda g: False, agrees(biased["standardize"]), rich=True)
    assert said.startswith("A right way of writing it gives the same with `variance - eps` for `variance + eps`")


@pytest.mark.parametrize("name", ["standardize", "participation_ratio_loop", "mutual_information_loop"])
def test_every_mutant_differs_from_its_source_in_one_place_and_leaves_it_whole(name):
    way = REGISTRY[name].right["the answer"]
    first, again = (list(mutants(way.source, name, way.__globals__)) for _ in range(2))
    assert len(first) > 20
    assert [(m.line, m.old, m.new) for m in first] == [(m.line, m.old, m.new) for m in again]
    assert all(m.old != m.new for m in first)
    lines = way.source.split("\n")
    assert all(1 < m.line <= len(lines) for m in first)


def test_no_mutants_of_what_is_no_function_of_that_name():
    assert list(mutants("def f(:", "f", {})) == list(mutants("x = 1", "f", {})) == []


def test_long_texts_are_told_by_what_differs():
    assert difference("a + b", "a - b") == ("a + b", "a - b")
    a = "entropy(joint.sum(0), base) + entropy(joint.sum(1), base) - entropy(joint, base)"
    b = a.replace("- entropy", "+ entropy")
    assert difference(a, b) == ("... , base) - entropy(joint, ...", "... , base) + entropy(joint, ...")


def test_the_verdict_tells_the_place():
    def entropy(p, base=math.e):
        q = p[p > 0]
        return -(q * torch.log(q)).median() / math.log(base)

    def participation_ratio(z):
        squared = torch.linalg.svdvals(z) ** 2
        squared = squared[1:]
        return squared.sum() ** 2 / (squared**2).sum()

    for f, place in ((entropy, "in line 3"), (participation_ratio, "line 3 (`squared = squared[1:]`) should not be")):
        verdict = examine(f)
        assert verdict.state == "incorrect"
        assert place in verdict.message


def call(f):
    return lambda: f(Z)


def test_the_first_value_that_no_right_way_has_is_told_and_another_way_to_a_known_one_is_none():
    def wrong(z):
        n = len(z)
        centred = z - z.mean(dim=0)
        squares = (centred.abs() ** 2).sum(dim=1)  # another way, the same squares
        return squares.logsumexp(dim=0) / n

    said = values.first_unknown(wrong, call(wrong), [call(spread)], 1e-8)
    assert said.startswith(
        "The result of `logsumexp` in line 5 of wrong (`return squares.logsumexp(dim=0) / n`) is the"
    )
    assert values.first_unknown(spread, call(spread), [call(spread)], 1e-8) == ""
    assert values.first_unknown(wrong, lambda: 1 / 0, [call(spread)], 1e-8) == ""
