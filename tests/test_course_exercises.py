"""The checker: three calm states, the right one for every kind of answer."""

from __future__ import annotations

import ast
import dataclasses
import functools
import math
import types
from pathlib import Path

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from jemlib import losses
from jemlib.course import check, examine, hint, solution
from jemlib.course.machinery import exercises as exercise_module
from jemlib.course.machinery.agreement import Agreement, Wrong
from jemlib.course.machinery.exercises import REGISTRY, Exercise, register, repository_root, solution_text

EXERCISES = list(REGISTRY.values())
WRONG = [(exercise, name) for exercise in EXERCISES for name in exercise.wrong]
RIGHT = [(exercise, name) for exercise in EXERCISES for name in exercise.right]


def named(name, function):
    """The function as a learner would have defined it: under the exercise's name."""

    def answer(*args, **kwargs):
        return function(*args, **kwargs)

    answer.__name__ = name
    return answer


class Work(TorchDispatchMode):
    """Counts the tensor operations inside, those of automatic differentiation too, and the entries of their results."""

    def __init__(self):
        super().__init__()
        self.operations, self.entries = 0, 0

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        result = operation(*args, **(kwargs or {}))
        self.operations += 1
        if isinstance(result, torch.Tensor):
            self.entries += result.numel()
        return result


def ids(pairs):
    return [f"{exercise.name}: {name}" for exercise, name in pairs]


@pytest.fixture(autouse=True)
def _no_hints_given_and_no_grading(monkeypatch):
    monkeypatch.setattr(exercise_module, "_hints_given", {})
    monkeypatch.delenv("NBGRADER_EXECUTION", raising=False)


# --- Every registered exercise ----------------------------------------------------------------------------------


@pytest.mark.parametrize("exercise", EXERCISES, ids=lambda e: e.name)
def test_an_untouched_stub_is_not_attempted(exercise):
    def stub(*args, **kwargs):
        # YOUR CODE HERE
        raise NotImplementedError()

    stub.__name__ = exercise.name
    assert examine(stub).state == "not attempted"


@pytest.mark.slow
@pytest.mark.parametrize("exercise", EXERCISES, ids=lambda e: e.name)
def test_the_reference_written_as_an_own_function_is_correct(exercise):
    verdict = examine(named(exercise.name, exercise.reference))
    assert (verdict.state, verdict.exercise) == ("correct", exercise.name), verdict.message


@pytest.mark.slow
@pytest.mark.parametrize(("exercise", "name"), RIGHT, ids=ids(RIGHT))
def test_another_right_way_of_writing_it_is_correct(exercise, name):
    verdict = examine(named(exercise.name, exercise.right[name]))
    assert verdict.state == "correct", verdict.message


@functools.cache
def verdicts_on_wrong_answers(exercise_name):
    """What each named wrong answer of an exercise is told; examined once, for all tests that ask."""
    wrong = REGISTRY[exercise_name].wrong
    return {name: examine(named(exercise_name, answer.function)) for name, answer in wrong.items()}


@pytest.mark.slow
@pytest.mark.parametrize(("exercise", "name"), WRONG, ids=ids(WRONG))
def test_a_wrong_answer_is_incorrect_and_its_mistake_is_named(exercise, name):
    wrong, verdict = exercise.wrong[name], verdicts_on_wrong_answers(exercise.name)[name]
    assert verdict.state == "incorrect"
    assert wrong.phrase in verdict.message
    others = {other.phrase for other in exercise.wrong.values()} - {wrong.phrase}
    assert not [phrase for phrase in others if phrase in verdict.message and phrase not in wrong.phrase]


@pytest.mark.parametrize("exercise", [e for e in EXERCISES if e.answer], ids=lambda e: e.name)
def test_the_answer_is_the_solution_of_the_lesson(exercise):
    text = solution_text(exercise)
    if text is None:
        pytest.skip("this copy of the course has no solutions")
    shown = next(node for node in ast.parse(text).body if isinstance(node, ast.FunctionDef))
    if ast.get_docstring(shown) is not None:
        del shown.body[0]
    assert ast.unparse(shown) == ast.unparse(ast.parse(exercise.answer))


@pytest.mark.slow
@pytest.mark.parametrize("exercise", EXERCISES, ids=lambda e: e.name)
def test_a_mistake_that_is_not_in_the_list_still_gets_its_size_and_place(exercise):
    def odd(*args, **kwargs):
        value = exercise.reference(*args, **kwargs)
        change = lambda t: t + torch.sin(3 * t) + 0.1  # noqa: E731
        return tuple(map(change, value)) if isinstance(value, tuple) else change(value)

    verdict = examine(named(exercise.name, odd))
    assert verdict.state == "incorrect"
    assert "largest absolute difference" in verdict.message
    assert "it should be" in verdict.message


@pytest.mark.slow
@pytest.mark.parametrize("exercise", EXERCISES, ids=lambda e: e.name)
def test_a_check_is_small_work(exercise):
    """A learner must not wait. Seconds depend on the machine; the tensor operations of a check do not."""
    for function in [exercise.reference, *exercise.right.values()]:
        with Work() as work:
            examine(named(exercise.name, function))
        assert work.operations > 0
        assert work.operations <= 100_000
        assert work.entries <= 100_000_000


@pytest.mark.parametrize("exercise", EXERCISES, ids=lambda e: e.name)
def test_an_exercise_has_what_the_course_promises(exercise):
    assert len(exercise.hints) >= 2
    assert len(exercise.wrong) >= 4
    assert len(exercise.right) >= 2
    assert exercise.lesson.startswith(f"{int(exercise.number.split('.')[0]):02d}_")
    assert exercise.header.count("●") + exercise.header.count("○") == 10


@pytest.mark.slow
@pytest.mark.parametrize("exercise", EXERCISES, ids=lambda e: e.name)
def test_the_solution_that_is_shown_is_correct(exercise):
    root = repository_root()
    text = solution_text(exercise)
    if root is None or not (root / "solutions" / f"{exercise.lesson}.py").is_file():
        assert text is None
        return
    assert text is not None
    # What a notebook has at that point: torch, jemlib's losses, and the exercises solved so far.
    namespace = {"torch": torch, "F": torch.nn.functional, "math": math, "losses": losses}
    namespace |= {name: getattr(losses, name) for name in losses.__all__}
    namespace |= {other.name: other.fallback for other in EXERCISES if other is not exercise}
    exec(compile(text, "solution", "exec"), namespace)
    verdict = examine(namespace[exercise.name])
    assert verdict.state == "correct", verdict.message


# --- Form: what can go wrong with any function ------------------------------------------------------------------


def test_a_body_without_code_is_not_attempted_but_a_missing_return_is_named():
    def standardize(z, eps=1e-5):
        """Only a docstring."""

    assert examine(standardize).state == "not attempted"

    def standardize(z, eps=1e-5):
        z = z - z.mean(dim=0)

    verdict = examine(standardize)
    assert verdict.state == "incorrect"
    assert "`return` missing" in verdict.message


def test_an_exception_is_told_with_type_message_line_and_help():
    def cross_correlation(z_a, z_b, eps=1e-5):
        a = losses.standardize(z_a, eps)
        return a @ losses.standardize(z_b, eps)

    verdict = examine(cross_correlation)
    assert verdict.state == "incorrect"
    assert "RuntimeError" in verdict.message
    assert "shapes cannot be multiplied" in verdict.message
    assert "in line 3 of cross_correlation (`return a @ losses.standardize(z_b, eps)`)" in verdict.message
    assert "is a .T missing?" in verdict.message


def test_a_changed_signature_is_told_calmly():
    def standardize(z, epsilon=1e-5):
        return losses.standardize(z, epsilon)

    verdict = examine(standardize)
    assert verdict.state == "incorrect"
    assert "unexpected keyword argument 'eps'" in verdict.message
    assert "keep the names of the arguments" in verdict.message


def test_an_operation_that_torch_lacks_is_not_taken_for_an_open_exercise():
    def standardize(z, eps=1e-5):
        raise NotImplementedError("\"mse_cpu\" not implemented for 'Long'")

    assert examine(standardize).state == "incorrect"


def test_calling_an_open_helper_says_which_one():
    def my_helper(z):
        raise NotImplementedError()

    def standardize(z, eps=1e-5):
        return my_helper(z)

    verdict = examine(standardize)
    assert verdict.state == "not attempted"
    assert "my_helper" in verdict.message


def test_leaving_python_is_survived():
    def standardize(z, eps=1e-5):
        raise SystemExit

    assert "SystemExit" in examine(standardize).message


@pytest.mark.parametrize(
    ("value", "phrase"),
    [
        (1.5, "a float instead of a tensor"),
        ([1, 2], "a list instead of a tensor"),
        (torch.zeros(2, 2, dtype=torch.float64), "has shape (2, 2) instead of (7, 4)"),
        (torch.zeros(7, 4), "Results keep the type of the input"),
        (torch.full((7, 4), torch.nan, dtype=torch.float64), "28 NaN or infinite entries of 28"),
    ],
)
def test_a_result_of_the_wrong_form_is_named(value, phrase):
    assert phrase in examine(named("standardize", lambda z, eps=1e-5: value)).message


def test_a_constant_factor_is_named():
    verdict = examine(named("standardize", lambda z, eps=1e-5: 3 * losses.standardize(z, eps)))
    assert "3 times the right one in every case" in verdict.message


def test_a_wrong_gradient_names_the_argument():
    def cross_correlation(z_a, z_b, eps=1e-5):
        return losses.cross_correlation(z_a.detach(), z_b, eps)

    verdict = examine(cross_correlation)
    assert verdict.state == "incorrect"
    assert "no gradient reaches z_a" in verdict.message


def test_the_identities_of_the_gradient_point_to_the_missing_part():
    gradient = losses.barlow_twins_gradient
    shifted = examine(named("barlow_twins_gradient", lambda a, b, lambd=5e-3: gradient(a, b, lambd) + 0.1))
    assert "do not sum to 0" in shifted.message
    along = examine(
        named("barlow_twins_gradient", lambda a, b, lambd=5e-3: gradient(a, b, lambd) + 0.1 * (a - a.mean(dim=0)))
    )
    assert "not orthogonal" in along.message


def test_two_mistakes_of_different_size_are_named_by_the_larger():
    def standardize(z, eps=1e-5):  # the paper's Algorithm 1: std with N - 1, and no eps
        return (z - z.mean(0)) / z.std(0)

    assert "N - 1" in examine(standardize).message


def test_the_check_leaves_random_state_threads_and_gradient_mode_alone():
    torch.manual_seed(3)
    state, threads = torch.get_rng_state(), torch.get_num_threads()
    with torch.no_grad():
        assert examine(named("barlow_twins", losses.barlow_twins)).state == "correct"
        assert not torch.is_grad_enabled()
    assert torch.equal(state, torch.get_rng_state())
    assert torch.get_num_threads() == threads


# --- Finding the exercise ---------------------------------------------------------------------------------------


def test_an_unknown_name_gets_the_nearest_exercise_and_the_list(capsys):
    def cross_corelation(z_a, z_b):
        return z_a

    assert check(cross_corelation) is cross_corelation
    said = capsys.readouterr().out
    assert "Did you mean cross_correlation?" in said
    assert "2.1 standardize" in said
    assert examine(cross_corelation).exercise is None


def test_partial_lambda_and_callable_object_are_found():
    partial = functools.partial(named("standardize", losses.standardize))
    assert examine(partial).state == "correct"

    class Standardizer:
        def __call__(self, z, eps=1e-5):
            return losses.standardize(z, eps)

    # As in a notebook, whose variables belong to the module: these two have no telling name of their own.
    for function in (lambda z, eps=1e-5: losses.standardize(z, eps), Standardizer()):
        notebook = {"examine": examine, "standardize": function}
        exec("found = examine(standardize), examine('standardize')", notebook)
        assert [verdict.state for verdict in notebook["found"]] == ["correct", "correct"]


def test_a_decorated_function_is_found_by_its_own_name():
    @functools.wraps(losses.standardize)
    def decorated(z, eps=1e-5):
        return losses.standardize(z, eps)

    assert examine(decorated).exercise == "standardize"


def test_a_name_without_a_function_is_not_attempted():
    verdict = examine("redundancy_term")
    assert (verdict.state, verdict.exercise) == ("not attempted", "redundancy_term")
    assert "no function called redundancy_term" in verdict.message


def test_something_that_is_no_function_is_told_calmly(capsys):
    assert check(3) == 3
    assert "not a function" in capsys.readouterr().out


def test_a_class_under_the_exercises_name_is_incorrect():
    class standardize:
        def __init__(self, z, eps=1e-5):
            pass

    assert "instead of a tensor" in examine(standardize).message


# --- check, hint, solution --------------------------------------------------------------------------------------


def test_check_returns_a_right_function_and_replaces_the_others(capsys):
    right = named("standardize", losses.standardize)
    assert check(right) is right
    assert capsys.readouterr().out.startswith("Correct: exercise 2.1, standardize.")

    wrong = named("standardize", lambda z, eps=1e-5: z)
    assert check(wrong) is losses.standardize
    said = capsys.readouterr().out
    assert said.startswith("Incorrect: exercise 2.1, standardize.")
    assert "jemlib's standardize takes its place" in said


def test_the_function_that_check_hands_out_is_not_called_correct(capsys):
    """Running a check cell twice must not turn a wrong answer into a right one."""
    handed_out = check(named("cross_correlation_loop", lambda z_a, z_b, eps=1e-5: z_a))
    assert handed_out.__name__ == "cross_correlation_loop"
    verdict = examine(handed_out)
    assert (verdict.state, verdict.exercise) == ("not attempted", "cross_correlation_loop")
    assert "jemlib's own function" in verdict.message


def test_under_nbgrader_check_raises_unless_correct(monkeypatch):
    monkeypatch.setenv("NBGRADER_EXECUTION", "autograde")
    right = named("standardize", losses.standardize)
    assert check(right) is right
    with pytest.raises(AssertionError, match=r"Incorrect: exercise 2.1, standardize\. Centred, but not divided"):
        check(named("standardize", lambda z, eps=1e-5: z - z.mean(0)))
    with pytest.raises(AssertionError, match="Not attempted yet"):
        check("standardize")


def test_under_nbgrader_jemlibs_function_takes_the_place_of_a_wrong_one_in_the_notebook(monkeypatch):
    import IPython

    shell = types.SimpleNamespace(user_ns={})
    monkeypatch.setattr(IPython, "get_ipython", lambda: shell)
    monkeypatch.setenv("NBGRADER_EXECUTION", "autograde")
    with pytest.raises(AssertionError):
        check(named("standardize", lambda z, eps=1e-5: z))
    assert shell.user_ns == {"standardize": losses.standardize}


def test_hints_come_one_at_a_time_and_then_point_to_the_solution(capsys):
    exercise = REGISTRY["redundancy_term"]
    for number, text in enumerate(exercise.hints, start=1):
        hint("redundancy_term")
        said = capsys.readouterr().out
        assert said.startswith(f"Hint {number} of {len(exercise.hints)}")
        assert text in said
    hint(losses.redundancy_term)
    assert "solution(redundancy_term)" in capsys.readouterr().out
    hint("redundncy_term")
    assert "Did you mean redundancy_term?" in capsys.readouterr().out


def test_solution_prints_the_text_of_the_lesson_or_says_that_it_is_not_there(tmp_path, monkeypatch, capsys):
    from lesson_source import LESSON, source

    (tmp_path / "jemlib").mkdir()
    (tmp_path / "solutions").mkdir()
    monkeypatch.chdir(tmp_path)
    solution("standardize")
    assert "not part of this copy" in capsys.readouterr().out

    Path("solutions", f"{LESSON}.py").write_text(source(), encoding="utf-8")
    solution("standardize")
    said = capsys.readouterr().out
    assert "centred = z - z.mean(dim=0)" in said
    assert "SOLUTION" not in said
    assert "def cross_correlation" not in said


# --- The registry -----------------------------------------------------------------------------------------------


def test_names_and_numbers_are_unique(monkeypatch):
    monkeypatch.setattr(exercise_module, "REGISTRY", dict(REGISTRY))
    known = REGISTRY["standardize"]
    register(known)  # a module reload
    with pytest.raises(ValueError, match="must be unique"):
        register(dataclasses.replace(known, number="9.9"))
    with pytest.raises(ValueError, match="must be unique"):
        register(dataclasses.replace(known, name="other"))


@pytest.mark.parametrize(
    "change", [{"difficulty": 6}, {"importance": 0}, {"points": 0}, {"hints": ()}, {"name": "not a name"}]
)
def test_an_impossible_exercise_is_refused(change):
    with pytest.raises(ValueError, match=r"must be|needs"):
        dataclasses.replace(REGISTRY["standardize"], **change)


def test_a_check_that_fails_itself_gives_a_verdict_and_no_traceback():
    def broken():
        raise ZeroDivisionError("in the check")

    check = Agreement(abs, broken, {"w": Wrong(abs, "x")}, {"r": abs})
    exercise = Exercise("f", "99_test", "99.1", "t", 1, 1, 1, 1, check, ("a",))
    verdict = exercise_module._examine(exercise, lambda z: z, "")
    assert verdict.state == "incorrect"
    assert "ZeroDivisionError" in verdict.message
