"""Exercises declared by their answer: a mistake is an edit of the answer's text, with the sentence it gets.

A complete exercise, in `jemlib/course/lessons/lessonNN_name/exercises.py`:

    declare(
        __name__,  # the lesson is that of the module
        losses.standardize,  # the function that a right answer must agree with
        number="2.1", title="centre and scale each dimension over the batch",
        difficulty=1, importance=4, minutes=5, points=1,
        hints=("Rows are samples and columns are dimensions.", "Three lines: ..."),
        cases=single_views(eps=0.3),  # the inputs
        answer='''
            def standardize(z, eps=1e-5):
                centred = z - z.mean(dim=0)
                variance = centred.square().mean(dim=0)
                return centred / torch.sqrt(variance + eps)
        ''',
        mistakes={
            "over features": Edit("dim=0 -> dim=1, keepdim=True", OVER_FEATURES),  # every occurrence is replaced
            "two at once": Edit(("return centred -> return z", "+ eps ->"), TWO_AT_ONCE),  # one after the other
            "last sample left out": Edit("range(n) -> range(n - 1)", SHORT, of="loop"),  # edits a right way
            "raw": Body("return z / z.std(dim=0)", RAW),  # the answer's first line with another body
            "odd": Wrong(a_function, ODD),  # another algebra, as a function
        },
        right={  # other right ways: a body, a whole function as text, an Edit without a sentence, or a function
            "one line": "return F.batch_norm(z, None, None, training=True, eps=eps)",
            "loop": LOOP,
        },
    )

A later exercise whose answer calls `standardize` takes over what can go wrong inside it:

        mistakes={"divided by D": Edit(...), **within("standardize", "over features", "no centring")}

The answer is the text of the solution in `solutions/NN_name.py`, without its docstring (a test compares them). Texts
are compiled where `torch`, `F`, `math`, `Tensor`, `losses`, `diagnose`, `validate` and the earlier exercises of the
lesson (jemlib's functions) are known; `using={"name": value}` adds more. An edit whose text is not there, or that does
not compile, is an error at import that names the exercise and the mistake.

Not to be written down, because `families` makes them from the signature for every exercise: an argument ignored,
outputs in another order, the input changed in place, a detached result, float32 inside, one of two views used twice,
views swapped. A sentence of your own for one of these comes first. `closed_form=True` refuses automatic differentiation
inside the function, where a formula is asked.
"""

from __future__ import annotations

import linecache
import math
import textwrap
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

from jemlib import diagnose, losses, validate
from jemlib.course.machinery.agreement import Agreement, Case, Function, Symptom, Wrong
from jemlib.course.machinery.exercises import REGISTRY, Exercise, of_lesson, register
from jemlib.course.machinery.lessons import lesson_of

KNOWN = {
    "torch": torch,
    "F": torch.nn.functional,
    "math": math,
    "Tensor": Tensor,
    "losses": losses,
    "diagnose": diagnose,
    "validate": validate,
}


class Edit(NamedTuple):
    """The answer with `old -> new` everywhere below its first line; several edits are a tuple, or lines.

    `of` names a right way to be edited instead of the answer.
    """

    edits: str | tuple[str, ...]
    phrase: str = ""
    of: str = ""


class Body(NamedTuple):
    """The answer's first line with another body, or another function of the same name, as text."""

    source: str
    phrase: str = ""


class Within(NamedTuple):
    """The answer, with a mistake inside an earlier exercise that it calls."""

    helper: str
    mistake: str
    phrase: str = ""


Mistaken = Edit | Body | Within | Wrong
Way = str | Edit | Function


def within(helper: str, *mistakes: str, phrase: str = "") -> dict[str, Mistaken]:
    """Mistakes of an earlier exercise, all of those that are texts when none is named, for one that calls it."""
    known = REGISTRY[helper].wrong
    if missing := set(mistakes) - set(known):
        raise ValueError(f"exercise {helper} has no mistake called {missing.pop()!r}; it has {', '.join(known)}.")
    chosen = mistakes or [name for name, wrong in known.items() if hasattr(wrong.function, "source")]
    return {f"{helper}: {name}": Within(helper, name, phrase) for name in chosen}


def declare(
    module: str,
    reference: Function,
    *,
    number: str,
    title: str,
    difficulty: int,
    importance: int,
    minutes: int,
    points: int,
    hints: tuple[str, ...],
    cases: Callable[[], Sequence[Case]],
    answer: str,
    mistakes: Mapping[str, Mistaken],
    right: Mapping[str, Way],
    using: Mapping[str, Any] = {},
    fields: tuple[str, ...] = (),
    gradients: bool | Literal["flow"] = True,
    symptom: Symptom | None = None,
    **more: Any,
) -> Exercise:
    """Register one exercise; the module's docstring shows it whole. `more` goes to `Agreement`.

    Raises:
        ValueError: a text does not compile, or the text that an edit replaces is not there.
    """
    lesson = lesson_of(module)
    earlier = {exercise.name: exercise.fallback for exercise in of_lesson(lesson)}
    answer = textwrap.dedent(answer).strip("\n")
    source = _Source(answer, KNOWN | earlier | dict(using))
    ways = {name: source.way(name, way) for name, way in right.items()}
    wrong = {name: source.mistake(name, mistaken, right) for name, mistaken in mistakes.items()}
    ways = {"the answer": source.compiled(answer, "the answer"), **ways}
    check = Agreement(reference, cases, wrong, ways, fields=fields, gradients=gradients, symptom=symptom, **more)
    return register(
        Exercise(
            name=source.name,
            lesson=lesson,
            number=number,
            title=title,
            difficulty=difficulty,
            importance=importance,
            minutes=minutes,
            points=points,
            check=check,
            hints=hints,
            answer=answer,
        )
    )


class _Source:
    """An answer's text, and what its edits and its other bodies become."""

    def __init__(self, answer: str, namespace: Mapping[str, Any]) -> None:
        self.answer, self.namespace = answer, namespace
        self.name = answer.removeprefix("def ").split("(")[0]
        self.head = answer[: answer.index("):\n") + 3]

    def compiled(self, text: str, label: str, **instead: Function) -> Function:
        """The function that a text defines; its lines are known to tracebacks."""
        file = f"<{self.name}: {label}>"
        namespace = {**self.namespace, **instead, "__name__": file}
        try:
            exec(compile(text, file, "exec", dont_inherit=True), namespace)
        except Exception as error:
            raise ValueError(f"exercise {self.name}, {label!r} does not compile: {error}. Its text:\n{text}") from error
        linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)
        function = namespace[self.name]
        function.source = text
        return function

    def whole(self, text: str) -> str:
        """A body becomes a function with the answer's first line; a whole function is left as it is."""
        text = textwrap.dedent(text).strip("\n")
        return text if f"def {self.name}(" in text else self.head + textwrap.indent(text, "    ")

    def edited(self, text: str, edit: Edit, label: str) -> str:
        head, line_break, text = text.partition("):\n")
        for line in edit.edits.strip().splitlines() if isinstance(edit.edits, str) else edit.edits:
            old, arrow, new = line.partition(" ->")
            if not arrow or old.strip() not in text:
                raise ValueError(f"exercise {self.name}, {label!r}: {line!r} edits what is not in its text:\n{text}")
            text = text.replace(old.strip(), new.strip())
        return head + line_break + text

    def way(self, label: str, way: Way) -> Function:
        if isinstance(way, Edit):
            return self.compiled(self.edited(self.answer, way, label), label)
        return self.compiled(self.whole(way), label) if isinstance(way, str) else way

    def mistake(self, label: str, mistaken: Mistaken, right: Mapping[str, Way]) -> Wrong:
        if isinstance(mistaken, Wrong):
            return mistaken
        if isinstance(mistaken, Within):
            inner = REGISTRY[mistaken.helper].wrong[mistaken.mistake]
            function = self.compiled(self.answer, label, **{mistaken.helper: inner.function})
            return Wrong(function, mistaken.phrase or inner.phrase)
        if isinstance(mistaken, Body):
            return Wrong(self.compiled(self.whole(mistaken.source), label), mistaken.phrase)
        base = right[mistaken.of] if mistaken.of else self.answer
        if not isinstance(base, str):
            raise ValueError(f"exercise {self.name}, {label!r}: the right way {mistaken.of!r} is not a text.")
        return Wrong(self.compiled(self.edited(self.whole(base), mistaken, label), label), mistaken.phrase)
